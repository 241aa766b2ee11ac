"""What a single look's doubt should count beside a word list: the calibration error with several values of `model.ALONE`.

    python scripts/measure_doubt.py base DATA/gw/labeled DATA/iam_ondb/labeled

One row per value, one column per set: the expected calibration error of what `hwr-read --fast --lexicon` reads, with the calibration of the model. The default was chosen by the mean over development sets.
"""
import argparse
from pathlib import Path
from hwr_nb import model
from hwr_nb.corpus import WordDistribution
from hwr_nb.data import WordImages
from hwr_nb.recognize import Recognizer

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('model'); p.add_argument('sets', nargs='+', help='folders of labeled crops'); p.add_argument('--words', help='words.tsv; else those expected of the charset')
    a = p.parse_args()
    rec = Recognizer.load(a.model)
    words = WordDistribution.load(a.words) if a.words else WordDistribution.expected(rec.charset)
    for model.ALONE in (0., .25, .5):
        got = {Path(s).resolve().parent.name: rec.evaluate(WordImages(s), lexicon=words, fast=True).lexicon for s in a.sets}
        print(f'{model.ALONE:.2f}', '  '.join(f'{s} {r.ece:.3f}' for s, r in got.items()), flush=True)

if __name__ == '__main__': main()
