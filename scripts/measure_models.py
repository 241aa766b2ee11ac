"""Measure a shipped model on labeled sets, greedy and with a word list, and write nbs/results/MODEL/SET.json, from which the model cards are made.

    python scripts/measure_models.py base DATA/gw/labeled DATA/iam_ondb/labeled [--words words.tsv]

`greedy` is one look read greedily by CTC alone (`--fast`). `unknown` counts the words that the list does not hold: how many there are and how many are read wrong, without the list and with it.
"""
import argparse
import json
from pathlib import Path
from hwr_nb.corpus import WordDistribution
from hwr_nb.data import WordImages, atomic_write
from hwr_nb.recognize import Recognizer
from hwr_nb.text import fold

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('model'); p.add_argument('sets', nargs='+', type=Path); p.add_argument('--words', help='word list; default: shipped English')
    a = p.parse_args()
    rec, words = Recognizer.load(a.model), WordDistribution.load(a.words)
    for s in a.sets:
        report, plain = rec.evaluate(WordImages(s), lexicon=words), rec.evaluate(WordImages(s), fast=True)
        pairs = [(x, y) for x, y in zip(report.rows, report.lexicon.rows) if fold(x.text) and fold(x.text) not in words.vocab()]
        wrong = lambda k: sum(o[k].text != o[k].reading for o in pairs) / max(1, len(pairs))
        d = {k: v for k, v in report.to_dict().items() if k != 'errors'} | dict(greedy=dict(cer=plain.cer, wer=plain.wer), unknown=dict(n=len(pairs), wer=wrong(0), wer_lexicon=wrong(1)))
        with atomic_write(Path(__file__).resolve().parent.parent/'nbs'/'results'/a.model/f'{s.parent.name}.json', 'w') as f: json.dump(d, f, indent=1); f.write('\n')
        print(f"{a.model} {s.parent.name}: greedy CER {plain.cer:.1%}; five looks and the speller CER {d['cer']:.1%}, WER {d['wer']:.1%}; with the list {d['lexicon']['cer']:.1%}, {d['lexicon']['wer']:.1%}; of {len(pairs)} unknown words {wrong(0):.1%} wrong, with it {wrong(1):.1%}")

if __name__ == '__main__': main()
