"""Train the shipped models on synthetic words only, in phases that can each be killed and resumed.

    python scripts/make_base.py FONTS --out base.safetensors --charset en [--resume]
    python scripts/make_base.py FONTS --out base-latin.safetensors --charset latin [--resume]

FONTS is a folder of more handwriting fonts beside the shipped ones: for the first four phases 175 files, then 295, the other 120 from the npm packages named in scripts/more_fonts.txt (all under the SIL Open Font License or the
Apache License 2.0; the families of all of them stand in the header of the models, `Recognizer.load('base').provenance['fonts']`; those of `HELD_OUT` are never trained on). The first phase learns English from the shipped fonts, the later ones go on with those of FONTS; after the third they are in the charset asked for, with the words
`WordDistribution.expected` of it (for `latin` English, French, German, Spanish and Italian alike). Phases are told apart by their seeds below.

The models that ship share the first three phases, were made on two cores, from seeds 81 and 82 on with bfloat16, and while the library grew:
- The first phase was stopped at 38 minutes of a 70-minute schedule, the first two saw ink images before they had an even pace, and the second trained on one held-out family under another spelling.
- Only from the fifth phase on are joins, dots and even strokes drawn as `SynthStyle` has them now (the fifth of `base` without `loose_marks` and with fewer ruled lines).
- Phases without `SHALLOW` have three residual blocks in the second stage instead of one. In the first 33 minutes of seeds 51 and 52, and in seed 61, the width of words still changed within the picture, which cut the ends of long ones.
- Words in brackets were seen from seeds 62 and 71 on.
- Phases before seeds 71 and 72 ended before there was a lesson of the speller; in those two it took 2 minutes and was not kept, and since then there is none: the spellers that ship had their lessons from scripts/make_speller.py.
- From seeds 81 and 82 on two phases ran side by side, one core each. Until the 14th minute of seed 82 `base-latin` had seen no German ß, until its 42nd no words of the neighbors' languages, no ¿ or „ at a word, and French elisions at random: what wordfreq folds and cuts was put back while it ran.
- What a phase with `mixed` ends with is averaged with what it began with, half and half: the averages read real words better than either.
- In the 29th minute of seeds 91 and 92 drawn words got ampersands, Roman numerals, initials and abbreviations, pieces of neighbors at the sides, boxes that cut, and lines drawn by hand; `base-latin` words of Icelandic and Finnish.
- Up to seeds 91 and 92 words were distorted (`BatchAugment`), since then they are learned as they are drawn.
- From seeds 151 and 152 on some letters and accents are loose (in a quarter of the words), from 161 and 162 on more of them (`looser`, `barred`), from 171 and 172 on still more, with ends drawn out (`flourished`), worn sheets (`worn`), fonts without hints and variable ones varied; from 181 and 192 on capitals are also large small letters (`enlarged`).
- Seeds 211 and 202 began with `narrowed` networks: 192 units instead of 200 (a fifth more steps, see 06_model), which read the real words as before.
"""
import argparse
from pathlib import Path

import torch

from hwr_nb import pretrain as pt
from hwr_nb.data import word_dls
from hwr_nb.model import HTRNet, flip_within, load_model, save_model

SHALLOW, DEEPER = dict(net=dict(blocks=(1, 1), hidden=200)), dict(net=dict(blocks=(1, 3)))     # a phase has the network it begins with, but for what it says otherwise
SHARED = [dict(minutes=38, seed=1, **SHALLOW), dict(minutes=30, seed=2, lr=1.3e-3, **SHALLOW), dict(minutes=14, seed=11, lr=1.2e-3, **SHALLOW)]
OWN = {'en': [dict(minutes=52, seed=31, lr=1.5e-3, **SHALLOW), dict(minutes=80, seed=41, lr=1.5e-3, **SHALLOW), dict(minutes=60, seed=51, lr=1.4e-3, reuse=2, **DEEPER), dict(minutes=62, seed=71, lr=1.4e-3, reuse=2), dict(minutes=75, seed=81, lr=1.4e-3, reuse=2, mixed=True),
              dict(minutes=82, seed=91, lr=1.4e-3, reuse=2, mixed=True), dict(minutes=50, seed=121, lr=1.2e-3, reuse=2, mixed=True, augment=0.), dict(minutes=50, seed=141, lr=1.2e-3, reuse=2, mixed=True, augment=0.), dict(minutes=35, seed=151, lr=1.2e-3, reuse=2, mixed=True, augment=0.), dict(minutes=50, seed=161, lr=1.2e-3, reuse=2, mixed=True, augment=0.), dict(minutes=43, seed=171, lr=1.2e-3, reuse=2, mixed=True, augment=0.), dict(minutes=45, seed=181, lr=1.2e-3, reuse=2, mixed=True, augment=0.), dict(minutes=39, seed=191, lr=1.2e-3, reuse=2, mixed=True, augment=0.), dict(minutes=45, seed=201, lr=1.2e-3, reuse=2, mixed=True, augment=0.),
              dict(minutes=48, seed=211, lr=1.2e-3, reuse=2, mixed=True, augment=0., narrow=192)],
       'latin': [dict(minutes=52, seed=32, lr=1.5e-3, **SHALLOW), dict(minutes=64, seed=42, lr=1.5e-3, **SHALLOW), dict(minutes=14, seed=61, lr=1.2e-3, reuse=2, **DEEPER), dict(minutes=60, seed=52, lr=1.4e-3, reuse=2), dict(minutes=28, seed=62, lr=1e-3, reuse=2, bs=32), dict(minutes=62, seed=72, lr=1.4e-3, reuse=2), dict(minutes=75, seed=82, lr=1.4e-3, reuse=2),
                 dict(minutes=82, seed=92, lr=1.4e-3, reuse=2, mixed=True), dict(minutes=50, seed=122, lr=1.2e-3, reuse=2, mixed=True, augment=0.), dict(minutes=50, seed=142, lr=1.2e-3, reuse=2, mixed=True, augment=0.), dict(minutes=35, seed=152, lr=1.2e-3, reuse=2, mixed=True, augment=0.), dict(minutes=50, seed=162, lr=1.2e-3, reuse=2, mixed=True, augment=0.), dict(minutes=43, seed=172, lr=1.2e-3, reuse=2, mixed=True, augment=0.), dict(minutes=34, seed=192, lr=1.2e-3, reuse=2, mixed=True, augment=0.),
                 dict(minutes=48, seed=202, lr=1.2e-3, reuse=2, mixed=True, augment=0., narrow=192)]}

def mix(end, began):
    "Average the network of a model file with that of another; the speller stays"
    (net, charset, meta), (old, *_) = load_model(end), load_model(began)
    was = old.state_dict()
    net.load_state_dict({k: (v + was[k]) / 2 if v.is_floating_point() and not k.startswith('speller') else v for k, v in net.state_dict().items()})
    save_model(end, net, charset, meta.get('calibration'), meta['provenance'] | dict(averaged='with the weights it began with, half and half'))

@torch.no_grad()
def retold(H, weight, n, ridge=1e-3):
    """What the units of an LSTM say (H, [frames, units]), told by n of them: (their numbers, a matrix A that makes H of them and of a 1)

    One after the other the unit goes whose part that the others cannot tell, times `weight`, matters least."""
    units, H = H.shape[1], torch.cat([H, H.new_ones(len(H), 1)], 1)
    G, keep = H.T @ H / len(H), list(range(units))
    while len(keep) > n:
        k = keep + [units]
        keep.pop(int((weight[keep] / torch.linalg.inv(G[k][:, k] + ridge * G.diagonal()[k].diag()).diagonal()[:-1]).argmin()))
    k = keep + [units]
    A = torch.linalg.solve(G[k][:, k] + 1e-6 * torch.eye(len(k)), G[k])[:, :units].T
    A[keep] = torch.eye(len(k), dtype=A.dtype)[:-1]
    return keep, A

@torch.no_grad()
def narrowed(net, hidden, batches):
    "A network with fewer LSTM units. What those that are left out said to others is said by the others, as far as they can (least squares over batches of words)"
    sd, old, last = {k: v.double() if v.is_floating_point() else v for k, v in net.state_dict().items()}, net.args['hidden'], net.args['layers'] - 1
    said = {(l, d): [] for l in range(last + 1) for d in ('fwd', 'bwd')}
    for x, w, _ in batches:
        (z, _, _), lens = net.columns(x, w), (w + 7) // 8
        real = torch.arange(len(z))[:, None] < lens[None]
        for l, lstm in enumerate(net.lstm):
            z = lstm(z, lens)
            for d, h in zip(('fwd', 'bwd'), z.split(old, 2)): said[l, d].append(h[real])
    for (l, d), hs in said.items():
        p, at, heard = f'lstm.{l}.{d}.', slice(0, old) if d == 'fwd' else slice(-old, None), [f'lstm.{l + 1}.{e}.weight_ih_l0' for e in ('fwd', 'bwd')] if l < last else ['spread.weight']
        keep, A = retold(torch.cat(hs).double(), sd[p + 'weight_hh_l0'].square().sum(0) + sum(sd[h][:, at].square().sum(0) for h in heard), hidden)
        rows = torch.tensor([g * old + u for g in range(4) for u in keep])
        for h, b in [(p + 'weight_hh_l0', p + 'bias_hh_l0'), *((h, h.replace('weight', 'bias')) for h in heard)]:
            told = sd[h][:, at] @ A
            sd[h], sd[b] = torch.cat([told[:, :-1], sd[h][:, old:]] if at.start == 0 else [sd[h][:, :-old], told[:, :-1]], 1), sd[b] + told[:, -1]
        for k in ('weight_ih_l0', 'weight_hh_l0', 'bias_ih_l0', 'bias_hh_l0'): sd[p + k] = sd[p + k][rows]
    new = HTRNet(**net.args | dict(hidden=hidden)); new.load_state_dict(sd)
    return new.eval()

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('fonts'); p.add_argument('--out', type=Path, required=True); p.add_argument('--charset', default='en', choices=OWN); p.add_argument('--resume', action='store_true')
    a, before = p.parse_args(), None
    phases = [dict(s, charset='en') for s in SHARED] + [dict(s, charset=a.charset) for s in OWN[a.charset]]
    for k, phase in enumerate(phases, 1):
        out = a.out if k == len(phases) else a.out.with_name(f'{a.out.stem}-{k}.safetensors')
        mixed, pt.AUGMENT, narrow = phase.pop('mixed', False), phase.pop('augment', 1.), phase.pop('narrow', None)
        if narrow and not (thin := out.with_name(f'{out.stem}-narrow.safetensors')).exists():
            net, charset, meta = load_model(before)
            synth, valid = pt.word_sources(None, a.fonts, None, 977, charset, 64)
            save_model(thin, narrowed(net, narrow, [b for b, _ in zip(word_dls(synth, valid, charset, seed=977).train, range(120))]), charset, meta.get('calibration'), meta['provenance'])
        if narrow: before = thin
        if not out.exists():
            print(pt.pretrain(out, fonts=a.fonts if k > 1 else None, init=before, resume=a.resume and out.with_suffix('.resume').exists(), **phase))
        if mixed and 'averaged' not in load_model(out)[2]['provenance']: mix(out, before)       # a run may have been killed between
        before = out

if __name__ == '__main__': main()
