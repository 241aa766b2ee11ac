"""How right are the labels a model would teach itself with? Labels a set of transcribed crops as self-training does and writes nbs/results/labels/NAME.json.

    python scripts/measure_labels.py NAME MODEL DATA/gw/labeled [--words words.tsv]

For each share of the surest readings of each length, and the confidence that they need: how many are kept, and how many of those are right. The last row is the last round's choice. And nbs/results/signals/NAME.json: how many are right of the surest
fifth, two fifths ... of all labels, as each of several confidences orders them. Transcriptions are compared with, never learned from.
"""
import argparse, json
from pathlib import Path
import numpy as np
from hwr_nb.corpus import atomic_write
from hwr_nb.data import WordImages
from hwr_nb.recognize import Recognizer, open_inks
from hwr_nb.selftrain import TWICE, each_of, expected_words, fit_of, label, lexicon_of, seen, select, vocabulary

SHARES = [.2, .4, .6, .8, .9]

def signals(rec, inks, lab):
    "{confidence: a number for each label, higher is surer}; where one says yes or no, `sureness` orders the rest"
    ids = {id(a): rec.charset.encode(t) for a, t in zip(inks, lab['texts'])}
    def raw(net, some):
        looks = seen(net, some, TWICE)
        post = np.mean([[f for f, in fit_of(p, [[tuple(ids[id(a)])] for a in some])] for p in looks], 0)
        top = np.mean([[p.scores[:n, j].log_softmax(1).amax(1).mean().item() for j, n in enumerate(p.lens.tolist())] for p in looks], 0)
        return zip(post, top)
    post, top = np.array(each_of(rec, inks, raw)).T
    sure = lab['conf']
    return {'mean of the maxima of all frames': top, 'log posterior': post, '`sureness`: how far ahead of its rivals': sure, '... and the same in both looks, with the word list': lab['stable'] + sure,
            '... and the same without the word list': (np.array(lab['plain']) == np.array(lab['texts'])) + sure, '... and both looks plain and known words': lab['good'] + sure}

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('name'); p.add_argument('model'); p.add_argument('labeled', type=Path); p.add_argument('--words')
    a = p.parse_args()
    rec, test = Recognizer.load(a.model), WordImages(a.labeled)
    inks = open_inks(test.files)[0]
    words, langs = expected_words(a.words, rec, inks)
    lab = label(rec, inks, vocabulary(words, langs), lexicon_of(words, rec.charset))
    rows = []
    for share, doubt in ((.2, .8), (.4, .8), (.6, .8), (.8, .8), (.9, .9)):
        kept = [i for i, r in enumerate(select(lab['texts'], lab['conf'], lab['stable'], lab['known'], share, doubt=doubt)) if r == 'kept']
        rows.append(dict(share=share, doubt=doubt, kept=round(len(kept) / len(inks), 4), right=round(sum(lab['texts'][i] == test.texts[i] for i in kept) / max(1, len(kept)), 4)))
    with atomic_write(Path(__file__).resolve().parent.parent/'nbs'/'results'/'labels'/f'{a.name}.json', 'w') as f: json.dump(rows, f, indent=1); f.write('\n')
    right = np.array([x == y for x, y in zip(lab['texts'], test.texts)])
    table = {k: [round(float(right[np.argsort(-v, kind='stable')[:round(share * len(inks))]].mean()), 4) for share in SHARES] for k, v in signals(rec, inks, lab).items()}
    with atomic_write(Path(__file__).resolve().parent.parent/'nbs'/'results'/'signals'/f'{a.name}.json', 'w') as f: json.dump(dict(shares=SHARES, n=len(inks), right=table), f, indent=1, ensure_ascii=False); f.write('\n')
    for k, v in table.items(): print(f'{k}:', ', '.join(f'{x:.1%}' for x in v))
    print(a.name, ', '.join(f'share {r["share"]}: {r["kept"]:.0%} kept, {r["right"]:.1%} right' for r in rows))

if __name__ == '__main__': main()
