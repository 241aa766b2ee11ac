"""How does self-training fare on small and odd archives? Runs it on each and writes nbs/results/archives/SET.json.

    python scripts/measure_archives.py DATA/gw [--minutes 4] [--only NAME ...] [--model base-latin --beside DATA/copiste]

DATA/gw holds `unlabeled/` and `labeled/`. The small archives are the first crops of one shuffle of it; the odd ones are made of 600 of its crops, or drawn: junk (a fifth are blank, scribbled on, or two words), two languages (half of the crops from the
archive `--beside`, measured on the first one), digits (only numbers in one simulated hand), and Russian words, which the charset cannot write, in a printed font where no shipped one has the letters. Rows are written as they come and replaced when run again; labels are only measured.
"""
import argparse, json, tempfile
from pathlib import Path
import matplotlib, numpy as np
from PIL import Image, ImageDraw
from hwr_nb.corpus import WordDistribution, atomic_write, sample_number
from hwr_nb.fonts import FontBook
from hwr_nb.pretrain import HELD_OUT
from hwr_nb.selftrain import selftrain
from hwr_nb.synth import SynthStyle, WordSynth
from hwr_nb.text import Charset

def drawn(to, words, n, seed, charset, labels=False):
    "Words in one simulated hand, of a font that no model was trained on; with their labels if asked for"
    able = [f for f in FontBook.default() if f.family in HELD_OUT and all(c in f.chars for c in charset)][:1]
    fonts = FontBook(able) if able else FontBook.load(Path(matplotlib.get_data_path())/'fonts'/'ttf', charset=Charset(charset))
    synth, to = WordSynth(words, fonts, SynthStyle().narrow(np.random.default_rng(seed)), seed, charset), to/('labeled' if labels else 'unlabeled')
    to.mkdir()
    rows = []
    for i in range(n):
        im, t = synth[i + (10_000 if labels else 0)]
        Image.fromarray(im).save(to/f'{i:05}.png'); rows.append(f'{i:05}.png\t{t}\n')
    if labels: (to/'labels.tsv').write_text(''.join(rows), encoding='utf-8')
    return to

def spoil(files, to, rng):
    "One crop in five blank, scribbled on, or beside its neighbor"
    for k, f in enumerate(files):
        im = Image.open(f).convert('L')
        if k % 5 == 0: im = Image.new('L', im.size, 200)
        if k % 15 == 5: ImageDraw.Draw(im).line([tuple(p) for p in (rng.random((12, 2)) * im.size).tolist()], 40, 3)
        if k % 15 == 10:
            both = Image.new('L', (im.width * 2, im.height), 200); both.paste(Image.open(f).convert('L')); both.paste(Image.open(files[k-1]).convert('L').resize(im.size), (im.width, 0)); im = both
        im.save(to/f'{k:05}.png')
    return to

def archives(data, tmp, beside=None):
    "(name, files or folder, labeled folder or None) of each archive"
    rng = np.random.default_rng(7)
    files, labeled = sorted((data/'unlabeled').glob('*.png')), data/'labeled'
    files = [files[i] for i in rng.permutation(len(files))]
    for n in (50, 200, 1000, 5000):
        if n <= len(files): yield f'{n:,} crops', (lambda n=n: files[:n]), lambda: labeled
    def junk(): (d := tmp/'junk').mkdir(); return spoil(files[:600], d, rng)
    def numbers(rng): return sample_number(rng)
    digits, russian = tmp/'digits', tmp/'script'
    def lot(d, *a): d.mkdir(exist_ok=True); return drawn(d, *a)
    signs = '0123456789.,/-:stndrh'
    yield '600 crops, a fifth junk', junk, lambda: labeled
    if beside: yield f'600 crops, half of them from {beside.name}', (lambda: files[:300] + sorted((beside/'unlabeled').iterdir())[:300]), lambda: labeled
    yield '600 numbers', (lambda: lot(digits, numbers, 600, 3, signs)), lambda: lot(digits, numbers, 200, 3, signs, True)
    words = 'и в не на что быть весь это как она они мы этот который мочь человек наш один время рука дело жизнь день слово место вопрос лицо друг страна город дом работа сила конец'.split()
    yield '600 Russian words', (lambda: lot(russian, WordDistribution(words, np.ones(len(words))), 600, 4, ''.join(sorted(set(''.join(words)))))), lambda: None

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('data', type=Path); p.add_argument('--model', default='base'); p.add_argument('--minutes', type=float, default=4); p.add_argument('--only', nargs='*'); p.add_argument('--beside', type=Path)
    a = p.parse_args()
    to = Path(__file__).resolve().parent.parent/'nbs'/'results'/'archives'/f'{a.data.name}.json'
    with tempfile.TemporaryDirectory() as tmp:
        tmp = Path(tmp)
        for name, crops, labeled in archives(a.data, tmp, a.beside):
            if a.only and name not in a.only: continue
            said, out = [], tmp/'m.safetensors'
            try: selftrain(a.model, crops(), out, minutes=a.minutes, labeled=labeled(), seed=1, say=said.append)
            except ValueError as e: said.append(str(e))
            row = dict(name=name, model=a.model, minutes=a.minutes, said=said)
            if out.exists():
                report = json.loads((tmp/'m.run'/'report.json').read_text(encoding='utf-8'))
                rounds = report['rounds']
                row |= dict(returned=report['round'], kept=[r['kept'] for r in rounds if r['kept'] != ''], cer=[r['cer'] for r in rounds if 'cer' in r], left_out=len(report['left_out']))
                out.unlink()
            rows = json.loads(to.read_text(encoding='utf-8')) if to.exists() else []
            with atomic_write(to, 'w') as f: json.dump([r for r in rows if any(r[k] != row[k] for k in ('name', 'model', 'minutes'))] + [row], f, indent=1, ensure_ascii=False); f.write('\n')
            print(row, flush=True)

if __name__ == '__main__': main()
