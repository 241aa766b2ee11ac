"""How right are the labels a model would teach itself with? Labels a set of transcribed crops as self-training does and writes nbs/results/labels/NAME.json.

    python scripts/measure_labels.py NAME MODEL DATA/gw/labeled [--words words.tsv]

For each share of the surest readings of each length, and the confidence that they need: how many are kept, and how many of those are right. The last row is the last round's choice. Transcriptions are compared with, never learned from.
"""
import argparse, json
from pathlib import Path
from hwr_nb.data import WordImages, atomic_write
from hwr_nb.recognize import Recognizer, open_inks
from hwr_nb.selftrain import expected_words, label, lexicon_of, select, vocabulary

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
    print(a.name, ', '.join(f'share {r["share"]}: {r["kept"]:.0%} kept, {r["right"]:.1%} right' for r in rows))

if __name__ == '__main__': main()
