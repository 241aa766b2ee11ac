"Error rates against jiwer, the usual library: equal where characters are single code points, and where they are not, different by what is known"
import math, random, unicodedata
import pytest
from hwr_nb.metrics import cer, compare, edits, evaluate, wer
from hwr_nb.text import graphemes

jiwer = pytest.importorskip('jiwer', reason="jiwer is not installed: pip install -e '.[dev]'")

PLAIN = 'abcdeABC0123.,;-\'&£éßœñÀ€'          # each one code point in NFC
MARKED = ['q\u0303', 'x\u0302', 'e\u0301', 'é', 'a', 'b', 'i\u0323\u0302', '.']   # stored apart; some compose, some never do

def words(rng, chars, n, low=0): return [''.join(rng.choices(chars, k=rng.randint(low, 9))) for _ in range(n)]

def spoil(rng, w, chars):
    "A reading of `w`: each character may be missed, replaced or doubled"
    return ''.join(rng.choices([c, '', rng.choice(chars), c+c], [8, 1, 1, 1])[0] for c in w)

@pytest.mark.parametrize('seed', range(20))
def test_random_words(seed):
    rng = random.Random(seed)
    refs = words(rng, PLAIN, 40, low=1)
    hyps = [spoil(rng, w, PLAIN) for w in refs]
    assert math.isclose(cer(zip(refs, hyps)), jiwer.cer(refs, hyps))
    assert math.isclose(wer(zip(refs, hyps)), jiwer.wer(refs, hyps))
    for r, h in zip(refs, hyps):
        p = jiwer.process_characters(r, h)
        assert edits(r, h)==p.substitutions+p.insertions+p.deletions

def test_unrelated_words():
    rng = random.Random(99)
    refs, hyps = words(rng, PLAIN, 300, low=1), words(rng, PLAIN, 300)
    assert math.isclose(cer(zip(refs, hyps)), jiwer.cer(refs, hyps))

def test_same_ink():
    "An apostrophe or an s of another form is one sign for us"
    for r, h in (('l’eau', "l'eau"), ('ſo', 'so')): assert cer([(r, h)])==0<jiwer.cer([r], [h])

def test_empty_readings():
    refs, hyps = ['ab', 'c', 'def'], ['', 'c', '']
    assert cer(zip(refs, hyps))==jiwer.cer(refs, hyps)==5/6
    assert wer(zip(refs, hyps))==jiwer.wer(refs, hyps)==2/3

def test_empty_references():
    "What is read where nothing is written counts in both CERs; jiwer's WER divides by written words only, ours by all"
    refs, hyps = ['ab', '', ''], ['ab', 'xyz', '']
    assert cer(zip(refs, hyps))==jiwer.cer(refs, hyps)==3/2
    assert wer(zip(refs, hyps))==1/3 and jiwer.wer(refs, hyps)==1
    with pytest.raises(ValueError, match='all references are empty'): cer([('', 'x')])

def by_code_point(s): return unicodedata.normalize('NFC', s)

def test_combining_characters():
    "jiwer counts code points, hwr_nb characters: equal once both texts are NFC and no character needs two code points"
    assert edits('\u00e9', 'e\u0301')==0 and jiwer.cer('\u00e9', 'e\u0301')==2       # one `é`, stored in two ways
    assert jiwer.cer('\u00e9', by_code_point('e\u0301'))==0
    assert cer([('q\u0303u', 'u')])==1/2 and jiwer.cer('q\u0303u', 'u')==2/3          # a missed `q̃`: one character, two code points
    assert cer([('q\u0303', 'q')])==1 and jiwer.cer('q\u0303', 'q')==1/2              # a missed tilde: the whole character is wrong

@pytest.mark.parametrize('seed', range(10))
def test_random_combining_characters(seed):
    "With every grapheme renamed to one code point of its own, jiwer gives our figures"
    rng = random.Random(seed)
    refs = words(rng, MARKED, 40, low=1)
    hyps = [spoil(rng, graphemes(w), MARKED) for w in refs]
    names = {}
    def renamed(s): return ''.join(names.setdefault(g, chr(0x4e00+len(names))) for g in graphemes(s))
    assert math.isclose(cer(zip(refs, hyps)), jiwer.cer([renamed(r) for r in refs], [renamed(h) for h in hyps]))

def test_difference_of_two_reports():
    rng = random.Random(5)
    refs = words(rng, PLAIN, 60, low=1)
    a, b = ([spoil(rng, w, PLAIN) for w in refs] for _ in 'ab')
    c = compare(evaluate(refs, a), evaluate(refs, b), n=50)
    assert math.isclose(c.cer, jiwer.cer(refs, b)-jiwer.cer(refs, a), abs_tol=1e-12)
    assert math.isclose(c.wer, jiwer.wer(refs, b)-jiwer.wer(refs, a), abs_tol=1e-12)
