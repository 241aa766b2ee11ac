"""What are corrections worth? Self-training with the readings of some crops corrected, and without; writes nbs/results/corrections/SET.json.

    python scripts/measure_corrections.py DATA/gw [--minutes 5] [--correct 0 20 100] [--seed 1]

DATA/gw holds `unlabeled/` and `labeled/`. Half of the labeled crops join the first thousand of the archive as crops without labels; of these the most doubtful ones, as the model reads them before, are the ones that a person corrects. The other half is measured. This is
the one script that gives labels to a run: they stand for what somebody types.
"""
import argparse, json, tempfile
from pathlib import Path
from hwr_nb.corpus import atomic_write
from hwr_nb.data import WordImages, find_images
from hwr_nb.metrics import evaluate
from hwr_nb.recognize import Recognizer
from hwr_nb.selftrain import selftrain

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('data', type=Path); p.add_argument('--model', default='base'); p.add_argument('--minutes', type=float, default=5); p.add_argument('--correct', type=int, nargs='+', default=[0, 20, 100]); p.add_argument('--seed', type=int, default=1)
    a = p.parse_args()
    to, test = Path(__file__).resolve().parent.parent/'nbs'/'results'/'corrections'/f'{a.data.name}.json', WordImages(a.data/'labeled')
    rec, ours, theirs = Recognizer.load(a.model), range(0, len(test), 2), range(1, len(test), 2)
    doubt = sorted(zip((r.confidence for r in rec.read([test.files[i] for i in ours])), ours))
    def measure(r, **kw): return evaluate([test.texts[i] for i in theirs], [x.text for x in r.read([test.files[i] for i in theirs], **kw)])
    files = [*find_images(a.data/'unlabeled')[:1000], *(test.files[i] for i in ours)]
    for n in a.correct:
        with tempfile.TemporaryDirectory() as d:
            given = Path(d)/'corrections.tsv'
            given.write_text(''.join(f'{test.files[i]}\t{test.texts[i]}\tcorrected\n' for _, i in doubt[:n]), encoding='utf-8')
            new = selftrain(a.model, files, Path(d)/'m.safetensors', minutes=a.minutes, corrections=given if n else None, seed=a.seed)
        r, one = measure(new), measure(new, fast=True)
        row = dict(seed=a.seed, corrected=n, minutes=a.minutes, model=a.model, words=r.n, before=measure(rec).cer, before_one_look=measure(rec, fast=True).cer, cer=r.cer, one_look=one.cer, wer=r.wer, cer_ci=r.cer_ci,
                   round=new.provenance['selftrain']['round'], steps=new.provenance['selftrain']['steps'])
        rows = [x for x in json.loads(to.read_text(encoding='utf-8')) if any(x[k] != row[k] for k in ('seed', 'corrected', 'model', 'minutes'))] if to.exists() else []
        with atomic_write(to, 'w') as f: json.dump(sorted([*rows, row], key=lambda x: (x['seed'], x['corrected'])), f, indent=1); f.write('\n')
        print(row, flush=True)

if __name__ == '__main__': main()
