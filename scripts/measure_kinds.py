"""How a model reads drawn words of single kinds, in fonts it never trained on, and writes nbs/results/kinds/NAME.json.

    python scripts/measure_kinds.py base-latin before MODEL.safetensors
    python scripts/measure_kinds.py base-latin after base-latin

Kinds of words (Roman numerals, ampersands, ...) and kinds of crops (a piece of a neighbor at the side, a line under the word, ...), 120 drawn words each, with one look. No real crop is read; this says what is missing in drawn words, not how well an archive is read.
"""
import argparse, dataclasses, json
from pathlib import Path
from hwr_nb.corpus import SHORT, atomic_write
from hwr_nb.metrics import cer, wer
from hwr_nb.pretrain import training_fonts
from hwr_nb.recognize import Recognizer
from hwr_nb.synth import SynthStyle, WordSynth

WORDS = dict(english=None, roman='XVIII XIV XVI XIX VIII VII III XII XVII XXIV XXXI MDCCLIV MDCCXCIX', ordinals='XIXe XVIIIe XIVe Ier XVIème', ampersands='& & &c &c.', initials='J. J.P. W.F. A.B.C. G.W. H. L.v.', abbreviations=' '.join(w for w in SHORT if '.' in w),
             elided="l'un l'on l'eau l'homme d'un d'Orléans qu'il j'ai n'est s'est c'était", Icelandic='það þegar við maður góður þá bróðir verið Þórður Ísland ráð', Swedish='när även över få från många först häst året små därför Är', German='daß Straße größer Füße über können Mädchen weiß groß ihnen')
CROPS = dict(plain={}, beside=dict(p_beside=1.), cut=dict(p_cut=1.), lined=dict(p_lined=1.), neighbor=dict(p_neighbor=1.), ruled=dict(p_ruled=1.))

class Few:
    "A sampler of a few words, each as often"
    def __init__(self, words): self.words = words.split()
    def __call__(self, rng): return self.words[int(rng.integers(len(self.words)))]

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('name'); p.add_argument('when', help='before or after'); p.add_argument('model')
    a = p.parse_args()
    rec, none = Recognizer.load(a.model), {k: 0. for k in ('p_beside', 'p_cut', 'p_lined', 'p_neighbor', 'p_ruled', 'p_tall')}
    held, out = training_fonts(charset=rec.charset)[1], {}
    def measure(words, style):
        synth = WordSynth(words, held, style, 7, rec.charset, 120)
        images, texts = zip(*(synth[i] for i in range(120)))
        pairs = [(t, r.text) for t, r in zip(texts, rec.read(list(images), fast=True))]
        return dict(cer=round(cer(pairs), 4), wer=round(wer(pairs), 4))
    for k, words in WORDS.items():
        if not words or all(rec.charset.covers(w) for w in words.split()): out[k] = measure(Few(words) if words else None, None)
    for k, some in CROPS.items(): out[f'crop: {k}'] = measure(None, dataclasses.replace(SynthStyle(), **none | some))
    table = Path(__file__).resolve().parent.parent/'nbs'/'results'/'kinds'/f'{a.name}.json'
    table.parent.mkdir(exist_ok=True)
    was = json.loads(table.read_text(encoding='utf-8')) if table.exists() else {}
    with atomic_write(table, 'w') as f: json.dump(was | {a.when: out}, f, indent=1); f.write('\n')
    for k, r in out.items(): print(f'{k}: CER {r["cer"]:.1%}, wrong {r["wer"]:.0%}')

if __name__ == '__main__': main()
