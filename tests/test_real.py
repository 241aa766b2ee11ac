"Real handwriting, where it is at hand: it is no part of the project (its licenses forbid that), and lies beside it on the machines of those who work on it"
import json, tarfile
import pytest
from conftest import needs_base, root
from test_commands import check_figures

GW = root.parent/'shared'/'data'/'gw.tar'      # the George Washington letter book of 1754-55
pytestmark = [pytest.mark.xdist_group('real'), needs_base, pytest.mark.skipif(not GW.is_file(), reason='no real handwriting at ../shared/data/gw.tar')]

@pytest.fixture(scope='module')
def gw(tmp_path_factory):
    "60 crops that nobody transcribed, and 60 labeled ones"
    d = tmp_path_factory.mktemp('gw')
    with tarfile.open(GW) as t:
        members = [m for m in t.getmembers() if m.isfile()]
        def take(m, part):
            (d/part).mkdir(exist_ok=True)
            (d/part/m.name.rsplit('/', 1)[1]).write_bytes(t.extractfile(m).read())
        for m in [m for m in members if '/unlabeled/' in m.name and m.name.endswith('.png')][::60]: take(m, 'unlabeled')
        labels = t.extractfile(next(m for m in members if m.name.endswith('labeled/labels.tsv'))).read().decode().splitlines()[::8][:60]
        by_name = {m.name.split('/labeled/')[-1]: m for m in members}
        for l in labels: take(by_name[l.split('\t')[0]], 'labeled')
    (d/'labeled'/'labels.tsv').write_text('\n'.join(labels)+'\n', encoding='utf-8')
    return d

def test_reads_a_letter_book(hwr, gw):
    r = hwr('read', gw/'unlabeled')
    rows = [l.split('\t') for l in r.stdout.splitlines()]
    assert len(rows)==60 and {len(x) for x in rows}=={3} and not r.stderr
    assert sum(bool(x[1]) for x in rows) > 50 and all(0 <= float(x[2]) <= 1 for x in rows)

def test_measures_a_letter_book(hwr, gw, tmp_path):
    hwr('eval', '--labeled', gw/'labeled', '--json', tmp_path/'e.json', '--lexicon', root/'hwr_nb'/'data'/'words_en.tsv')
    d = json.loads((tmp_path/'e.json').read_text())
    check_figures(d); check_figures(d['lexicon'])
    assert d['n']==60 and d['cer'] < .6        # synthetic words only: far from good, further from chance
