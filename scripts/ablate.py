"""What is each choice of self-training worth? Runs it with one thing changed on several sets, one row each in nbs/results/ablations/rounds.json.

    python scripts/ablate.py DATA/gw DATA/iam_ondb --model base [--only NAME ...] [--seed 1] [--steps 240] [--rounds 4] [--crops 1000]

Each DATA/SET holds `unlabeled/` and `labeled/`. All runs of a set see the same crops, chosen by lot, for the same number of steps, so that a slow machine changes nothing. Labels are only measured (one look at each word, after each round). Rows are written as they come and replaced when run again.
"""
import argparse, json, tempfile
from pathlib import Path
from types import MethodType
from unittest import mock
import numpy as np
from torch.nn import BatchNorm2d, Module
from hwr_nb import selftrain as st
from hwr_nb.corpus import atomic_write
from hwr_nb.learner import BatchAugment, bare
from hwr_nb.recognize import Recognizer

table = Path(__file__).resolve().parent.parent/'nbs'/'results'/'ablations'/'rounds.json'
P, M = st.PseudoLabels, st.MixedWords

def student(self): return Recognizer(bare(self.learn.model), self.learn.charset, self.calibration)
def once_only(self): return self.held | (self.lab is None)
def only_real(self, idx, get=M.__getitems__): return get(self, [2 * i for i in idx])
def unspliced(self): return None
def early(self, last=False, look=P.look):
    if self.round >= 2: self.lexicon = None
    return look(self, last)
def everything(texts, conf, stable, known, share=.6, sure=.97, doubt=.8): return ['kept' if t else 'empty' for t in texts]
def sure_ones(texts, conf, stable, known, share=.6, sure=.97, doubt=.8): return ['empty' if not t else 'kept' if c >= doubt else 'unsure' for t, c in zip(texts, conf)]
def surer(texts, conf, stable, known, share=.6, sure=.97, doubt=.8, select=st.select): return select(texts, conf, stable, known, share, sure, (1 + doubt) / 2)
def undropped(*a, hwr_learner=st.hwr_learner, **k):
    learn = hwr_learner(*a, **k); bare(learn.model).drop.p = 0.
    return learn
def frozen(*a, hwr_learner=st.hwr_learner, **k):
    learn = hwr_learner(*a, **k)
    for m in bare(learn.model).modules():
        if isinstance(m, BatchNorm2d): m.train = MethodType(lambda self, mode=True: Module.train(self, False), m)
    return learn
def any_fonts(rec, inks, fonts, say=print): return fonts
def broad(self, choose=P.choose):
    self.share = (max(self.share),) * 2; choose(self)
def own_words(self, pieces=P.pieces):
    new, texts = pieces(self), [self.lab['texts'][i] for i in self.keep]
    new.sampler = lambda rng, draw=new.sampler: texts[int(rng.integers(len(texts)))] if rng.random() < .5 else draw(rng)
    return new
def level(texts, kept, most=3.): return np.array(kept, float)
def augment(*args): return lambda *_: BatchAugment(*args)

AUGMENTED = (st, 'BatchAugment', augment(1.2, 3))       # as it was until this table was made
CHANGES = {'as it is': [],
    'augmented (1.2)': [AUGMENTED],
    'augmented (1.2), labels from the network itself, not from the average': [AUGMENTED, (P, 'teacher', student)],
    'augmented (1.2), labels of the first round only': [AUGMENTED, (P, 'turn', once_only)],
    'augmented (1.2), no replay': [AUGMENTED, (M, '__getitems__', only_real)],
    'augmented (.6)': [(st, 'BatchAugment', augment(.6, 3))],
    'augmented (.3)': [(st, 'BatchAugment', augment(.3, 3))],
    'labels from the network itself, not from the average': [(P, 'teacher', student)],
    'labels of the first round only': [(P, 'turn', once_only)],
    'twice as sure where doubtful (.9 to .95 for .8 to .9)': [(st, 'select', surer)],
    'no dropout': [(st, 'hwr_learner', undropped)],
    'all lengths compete together': [(st, 'LENGTHS', (1,))],
    'all kinds of words weigh the same': [(st, 'balance', level)],
    'everything that is not empty is kept': [(st, 'select', everything)],
    'what is sure is kept, stable and known or not': [(st, 'select', sure_ones)],
    'no replay': [(M, '__getitems__', only_real)],
    'no spliced words, only drawn ones': [(P, 'pieces', unspliced)],
    'half of the spliced words from the readings of the archive': [(P, 'pieces', own_words)],
    'drawn words in all fonts, not mostly in those like the hand': [(st, 'matched', any_fonts)],
    'as many kept in the first round as in the last, of what is sure': [(P, 'choose', broad)],
    'batch normalization as pretraining left it': [(st, 'hwr_learner', frozen)],
    'no word list after the second round': [(P, 'look', early)],
    'nothing erased, but augmented (1.2)': [(st, 'BatchAugment', augment(1.2, 0))]}

def run(data, model, changes, seed, steps, rounds, crops):
    "CER by round, the round returned, what was kept in the last one"
    files = sorted(f for f in (data/'unlabeled').iterdir() if f.suffix == '.png')
    files = [files[i] for i in np.random.default_rng(7).permutation(len(files))[:crops]]
    with tempfile.TemporaryDirectory() as tmp:
        out = Path(tmp)/'m.safetensors'
        patches = [mock.patch.object(*c) for c in changes]
        for p in patches: p.start()
        try: st.selftrain(model, files, out, steps=steps, rounds=rounds, labeled=data/'labeled', seed=seed)
        finally:
            for p in patches: p.stop()
        r = json.loads((out.with_suffix('.run')/'report.json').read_text(encoding='utf-8'))
    return dict(cer=[round(x['cer'], 4) for x in r['rounds']], returned=r['round'], kept=[x['kept'] for x in r['rounds'] if x['kept'] != ''][-1], five_looks=dict(before=round(r['before']['cer'], 4), after=round(r['after']['cer'], 4)))

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('sets', nargs='+', type=Path); p.add_argument('--model', default='base'); p.add_argument('--only', nargs='*', choices=CHANGES, default=list(CHANGES))
    p.add_argument('--seed', type=int, default=1); p.add_argument('--steps', type=int, default=240); p.add_argument('--rounds', type=int, default=4); p.add_argument('--crops', type=int, default=1000)
    a = p.parse_args()
    for name in a.only:
        for data in a.sets:
            key = dict(change=name, set=data.name, model=a.model, seed=a.seed, steps=a.steps, rounds=a.rounds, crops=a.crops)
            row = key | run(data, a.model, CHANGES[name], a.seed, a.steps, a.rounds, a.crops)
            rows = json.loads(table.read_text(encoding='utf-8')) if table.exists() else []
            with atomic_write(table, 'w') as f: json.dump([r for r in rows if any(r[k] != v for k, v in key.items())] + [row], f, indent=1, ensure_ascii=False); f.write('\n')
            print(name, data.name, *(f'{c:.1%}' for c in row['cer']), f'five looks {row["five_looks"]["before"]:.1%} to {row["five_looks"]["after"]:.1%}, kept {row["kept"]:.0%}, round {row["returned"]}', flush=True)

if __name__ == '__main__': main()
