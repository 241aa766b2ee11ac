"Make hwr_nb/data/words_en.tsv, the shipped English word list, from public-domain texts: `python scripts/make_words.py CORPORA_FOLDER`"
import sys
from collections import Counter
from pathlib import Path
from hwr_nb.text import Charset
from hwr_nb.corpus import WordDistribution, read_text, tokenize

# US presidents' messages 1790-2021 (works of the US government), Austen's novels and Moby Dick: all in the public domain.
texts = ['en_sotu_1790_1865', 'en_sotu_1866_1913', 'en_sotu_1934_2021', 'en_mobydick_1851', 'en_austen_1811_1818']
max_bytes = 600_000

def main(folder):
    cnt,en = Counter(),Charset.named('en')
    for t in texts:
        text = read_text(Path(folder)/f'{t}.txt').replace('_', '')       # the transcribers' _italics_
        for w,n in Counter(tokenize(text)).items():
            if en.covers(w) and len(w)<=24: cnt[en.clean(w)] += n
    cnt,size = {w:n for w,n in sorted(cnt.items(), key=lambda o: (-o[1], o[0])) if n>1},0
    for w,n in cnt.items():                                               # whole count classes only: no cut through the alphabet
        size += len(f'{w}\t{n}\n'.encode())
        if size>max_bytes: cnt = {w:m for w,m in cnt.items() if m>n}; break
    out = Path(__file__).resolve().parent.parent/'hwr_nb'/'data'/'words_en.tsv'
    WordDistribution(list(cnt), list(cnt.values())).to_tsv(out)
    print(f'{out.name}: {len(cnt):,} words, {sum(cnt.values()):,} counted, {out.stat().st_size:,} bytes')

if __name__=='__main__': main(sys.argv[1] if len(sys.argv)>1 else Path(__file__).resolve().parent.parent.parent/'shared'/'corpora')
