"""Screen a change: train shortly from a model with something set otherwise, measure on labeled sets, add a row to nbs/results/ablations/ledger.json.

    python scripts/screen.py "wider pace" --fonts FONTS --sets DATA/gw/labeled DATA/iam_ondb/labeled --minutes 8 --set data.PACE=13 --style weight=.2,.68
    python scripts/screen.py "no cursive fonts" --kind style --fonts FONTS --without cursive --init none --sets DATA/gw/labeled
    python scripts/screen.py "no invented words" --kind drawing --fonts FONTS --words p_ngram=0 --init none --steps 1600 --sets DATA/gw/labeled
    python scripts/screen.py "half as wide" --kind curve --net hidden=100 --init none --minutes 4 --sets DATA/gw/labeled

A row is one run with one seed, read with one look; two rows can be compared if minutes (or steps), machine, seed and start agree. Labels are read to measure only. A default may be chosen by the mean over the sets, which are development sets then.
"""
import argparse, ast, dataclasses, importlib, json, os, platform, tempfile
from pathlib import Path
from hwr_nb import synth
from hwr_nb.corpus import WordSampler, atomic_write
from hwr_nb.data import WordImages
from hwr_nb.fonts import FontBook
from hwr_nb.metrics import cer, wer
from hwr_nb.pretrain import pretrain
from hwr_nb.recognize import model_path, open_inks
from hwr_nb.synth import SynthStyle

table = Path(__file__).resolve().parent.parent/'nbs'/'results'/'ablations'/'ledger.json'

def measure(rec, folder):
    "(CER, WER) of a model on a folder of labeled crops"
    test = WordImages(folder)
    pairs = list(zip(test.texts, (t for t, _ in rec.read_inks(open_inks(test.files)[0]))))
    return round(cer(pairs), 4), round(wer(pairs), 4)

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('name'); p.add_argument('--sets', nargs='+', required=True, help='folders of labeled crops'); p.add_argument('--fonts'); p.add_argument('--init', default='base', help='model to start from, or none')
    p.add_argument('--minutes', type=float, default=8); p.add_argument('--steps', type=int, help='batches instead of minutes: a busy machine changes nothing then'); p.add_argument('--seed', type=int, default=11); p.add_argument('--lr', type=float, default=1.2e-3); p.add_argument('--charset', default='en')
    p.add_argument('--set', nargs='*', default=[], metavar='MODULE.NAME=VALUE', help='constants of the library'); p.add_argument('--style', nargs='*', default=[], metavar='NAME=LOW,HIGH', help='of SynthStyle')
    p.add_argument('--words', nargs='*', default=[], metavar='NAME=VALUE', help='of the WordSampler')
    p.add_argument('--kind', default='training', help='table of the row'); p.add_argument('--without', choices=['print', 'semi', 'cursive'], help='leave the fonts of a style out'); p.add_argument('--net', nargs='*', default=[], metavar='NAME=VALUE', help='arguments of HTRNet')
    a = p.parse_args()
    value = lambda s: ast.literal_eval(s)
    for s in a.set:
        (mod, name), v = s.split('=')[0].rsplit('.', 1), s.split('=', 1)[1]
        if f'{mod}.{name}' in ('model.LOOKS', 'data.HEIGHT', 'data.STRETCH') or not hasattr(m := importlib.import_module(f'hwr_nb.{mod}'), name): p.error(f'{s} is not a constant that is asked for at each use')
        setattr(m, name, value(v))
    if words := {k: value(v) for k, v in (s.split('=', 1) for s in a.words)}: synth.WordSampler = lambda *args, **k: WordSampler(*args, **k | words)
    style = dataclasses.replace(SynthStyle(), **{k: value(v) for k, v in (s.split('=', 1) for s in a.style)})
    book, net = FontBook.load(a.fonts), {k: value(v) for k, v in (s.split('=', 1) for s in a.net)}
    if a.without: book = FontBook([f for f in book.fonts if f.style != a.without])
    with tempfile.TemporaryDirectory() as d:
        rec = pretrain(Path(d)/'m.safetensors', fonts=book, net=net, charset=a.charset, minutes=None if a.steps else a.minutes, steps=a.steps, seed=a.seed, lr=a.lr, init=None if a.init == 'none' else model_path(a.init), style=style)
        got = {Path(s).parent.name: measure(rec, s) for s in a.sets}
    row = dict(kind=a.kind, name=a.name, change=[*a.set, *a.style, *a.words, *a.net, *([f'without {a.without}'] if a.without else [])], parameters=sum(p.numel() for p in rec.net.parameters()), **(dict(steps=a.steps) if a.steps else dict(minutes=a.minutes)), seed=a.seed, init=a.init, words=rec.provenance['words_seen'], threads=int(os.environ.get('OMP_NUM_THREADS', os.cpu_count())),
               machine=f'{os.cpu_count()} cores, {platform.machine()}', held_out_wer=rec.provenance['held_out']['wer'], cer={k: c for k, (c, _) in got.items()}, wer={k: w for k, (_, w) in got.items()})
    rows = json.loads(table.read_text(encoding='utf-8')) if table.exists() else []
    with atomic_write(table, 'w') as f: json.dump([*rows, row], f, indent=1, ensure_ascii=False); f.write('\n')
    print(a.name, {k: f'{c:.1%}' for k, c in row['cer'].items()}, f'mean {sum(row["cer"].values()) / len(got):.2%}')

if __name__ == '__main__': main()
