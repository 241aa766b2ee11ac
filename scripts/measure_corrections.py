"""What are corrections worth? Self-training with the readings of some crops corrected, and without; writes nbs/results/corrections/SET.json.

    python scripts/measure_corrections.py DATA/gw [--minutes 6] [--correct 0 20 100] [--seed 1]

DATA/gw holds `unlabeled/` and `labeled/`. Half of the labeled crops join the archive as crops without labels; of these the most doubtful ones, as the model reads them before, are the ones that a person corrects. The other half is measured. This is the one
script that gives labels to a run: they stand for what somebody types.
"""
import argparse, json, tempfile
from pathlib import Path
from hwr_nb.data import WordImages, atomic_write
from hwr_nb.metrics import evaluate
from hwr_nb.recognize import Recognizer
from hwr_nb.selftrain import selftrain

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('data', type=Path); p.add_argument('--model', default='base'); p.add_argument('--minutes', type=float, default=6); p.add_argument('--correct', type=int, nargs='+', default=[0, 20, 100]); p.add_argument('--seed', type=int, default=1)
    a = p.parse_args()
    to, test = Path(__file__).resolve().parent.parent/'nbs'/'results'/'corrections'/f'{a.data.name}.json', WordImages(a.data/'labeled')
    to.parent.mkdir(exist_ok=True)
    rec, ours, theirs = Recognizer.load(a.model), range(0, len(test), 2), range(1, len(test), 2)
    doubt = sorted(zip(rec.read([test.files[i] for i in ours]), ours), key=lambda x: x[0].confidence)
    measure = lambda r: evaluate([test.texts[i] for i in theirs], [x.text for x in r.read([test.files[i] for i in theirs])])
    files = [*sorted(p for p in (a.data/'unlabeled').iterdir() if p.suffix == '.png'), *(test.files[i] for i in ours)]
    for n in a.correct:
        with tempfile.TemporaryDirectory() as d:
            given = Path(d)/'corrections.tsv'
            given.write_text(''.join(f'{test.files[i]}\t{test.texts[i]}\tcorrected\n' for _, i in doubt[:n]), encoding='utf-8')
            new = selftrain(a.model, files, Path(d)/'m.safetensors', minutes=a.minutes, corrections=given if n else None, seed=a.seed)
        b, r = measure(rec), measure(new)
        row = dict(corrected=n, minutes=a.minutes, seed=a.seed, model=a.model, words=r.n, cer_before=b.cer, cer=r.cer, wer=r.wer, cer_ci=r.cer_ci, steps=new.provenance['selftrain']['steps'])
        rows = json.loads(to.read_text(encoding='utf-8')) if to.exists() else []
        with atomic_write(to, 'w') as f: json.dump(sorted([x for x in rows if (x['corrected'], x['seed']) != (n, a.seed)] + [row], key=lambda x: (x['seed'], x['corrected'])), f, indent=1); f.write('\n')
        print(row, flush=True)

if __name__ == '__main__': main()
