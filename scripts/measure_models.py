"""Measure a shipped model on labeled sets, greedy and with a word list, and write nbs/results/MODEL/SET.json, from which the model cards are made.

    python scripts/measure_models.py base DATA/gw/labeled DATA/iam_ondb/labeled [--words words.tsv]

`greedy` is one look read greedily by CTC alone (`--fast`), and again with the list. `looks` is five looks without the speller: nothing of a language but what the network took from its words. `unknown` counts the words that the list does not hold: how many there are, their CER and how many are read wrong, without the list and with it. `fails` counts what is read wrong.
"""
import argparse
import json
from pathlib import Path
from hwr_nb.corpus import WordDistribution, atomic_write
from hwr_nb.data import WordImages
from hwr_nb.metrics import evaluate
from hwr_nb.recognize import Recognizer
from hwr_nb.text import fold

def unknown(report, words):
    "Of the words that the list does not hold: how many, and how they are read without it and with it"
    pairs = [(x, y) for x, y in zip(report.rows, report.lexicon.rows) if fold(x.text) and fold(x.text) not in words.vocab()]
    both = [evaluate([p[k].text for p in pairs], [p[k].reading for p in pairs]) for k in (0, 1)] if pairs else []
    return dict(n=len(pairs)) | {f'{what}{end}': getattr(r, what) for end, r in zip(('', '_lexicon'), both) for what in ('cer', 'wer')}

def looks_alone(model, folder):
    "CER and WER of five looks without the speller"
    rec = Recognizer.load(model); rec.net.speller = None
    r = rec.evaluate(WordImages(folder))
    return dict(cer=r.cer, wer=r.wer)

def failures(report, most=12):
    "Where it fails, without a crop or a word of the set: the commonest confusions (written, read, how often), and (length, words, CER)"
    pairs = [(a, b, n) for (a, b), n in report.confusions().most_common() if a != b][:most]
    return dict(confusions=pairs, by_length=[(k, int(n), round(float(c), 4)) for k, n, c in report.by_length()[['length', 'n', 'cer']].itertuples(index=False)])

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('model'); p.add_argument('sets', nargs='+', type=Path); p.add_argument('--words', help='word list; default: shipped English')
    a = p.parse_args()
    rec, words = Recognizer.load(a.model), WordDistribution.load(a.words)
    for s in a.sets:
        full, fast = (rec.evaluate(WordImages(s), lexicon=words, fast=fast) for fast in (False, True))
        greedy = dict(cer=fast.cer, wer=fast.wer, cer_lexicon=fast.lexicon.cer, wer_lexicon=fast.lexicon.wer, unknown=unknown(fast, words))
        d = {k: v for k, v in full.to_dict().items() if k != 'errors'} | dict(greedy=greedy, looks=looks_alone(a.model, s), unknown=unknown(full, words), fails=failures(full))
        with atomic_write(Path(__file__).resolve().parent.parent/'nbs'/'results'/a.model/f'{s.parent.name}.json', 'w') as f: json.dump(d, f, indent=1); f.write('\n')
        print(f'{a.model} {s.parent.name}, five looks alone: CER {d["looks"]["cer"]:.1%}, WER {d["looks"]["wer"]:.1%}')
        for how, r, u in (('one look', fast, greedy['unknown']), ('five looks and the speller', full, d['unknown'])):
            print(f'{a.model} {s.parent.name}, {how}: CER {r.cer:.1%}, WER {r.wer:.1%}; with the list {r.lexicon.cer:.1%}, {r.lexicon.wer:.1%}; unknown to it {u}')

if __name__ == '__main__': main()
