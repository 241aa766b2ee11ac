"The notebooks as the source of everything: clean, in sync with library and README, and every public name explained and used"
import importlib, inspect, json, re, sys
from pathlib import Path
import pytest
from conftest import call, copy_project, project_files, root

pytestmark = pytest.mark.xdist_group('notebooks')

NOTEBOOKS = [f for f in project_files() if f.suffix=='.ipynb' and f.parts[0]=='nbs']
CHAPTERS = [f for f in NOTEBOOKS if f.parent==Path('nbs') and re.match(r'\d\d[a-z]?_', f.name)]
text = lambda x: x if isinstance(x, str) else ''.join(x)

def cells(f, kind='code'): return [text(c['source']) for c in json.loads((root/f).read_text(encoding='utf-8'))['cells'] if c['cell_type']==kind]
def exported(src): return bool(re.search(r'^#\|\s*export', src, re.M))

def test_there_are_notebooks(): assert len(CHAPTERS) >= 12

@pytest.fixture(scope='module')
def rebuilt(tmp_path_factory):
    "A copy of the project with its notebooks cleaned and its library exported anew"
    to = copy_project(tmp_path_factory.mktemp('rebuilt'))
    call(sys.executable, '-c', '''
from pathlib import Path
from nbdev.clean import nbdev_clean
from nbdev.export import nb_export
for f in sorted(Path('nbs').rglob('*.ipynb')): nbdev_clean(fname=str(f))
for f in Path('hwr_nb').glob('*.py'):
    if f.name != '__init__.py': f.unlink()
for f in sorted(Path('nbs').rglob('*.ipynb')): nb_export(str(f), lib_path='hwr_nb')
''', cwd=to)
    return to

@pytest.mark.parametrize('f', NOTEBOOKS, ids=str)
def test_notebook_is_clean(rebuilt, f):
    assert (rebuilt/f).read_bytes()==(root/f).read_bytes(), f'run nbdev-clean --fname {f}'

def test_library_is_what_the_notebooks_export(rebuilt):
    modules = lambda d: {f.name: f.read_text(encoding='utf-8') for f in (d/'hwr_nb').glob('*.py') if f.name not in ('__init__.py', '_modidx.py')}
    new, here = modules(rebuilt), modules(root)
    assert set(new)==set(here)
    assert not [n for n in new if new[n]!=here[n]], 'run nbdev-export'

def test_readme_is_made_from_the_index():
    if not (root/'nbs'/'index.ipynb').exists(): pytest.skip('nbs/index.ipynb is not there yet')
    call(sys.executable, root/'scripts'/'make_readme.py', '--check')

def test_readme_has_two_commands():
    if not (root/'README.md').exists(): pytest.skip('README.md is not there yet')
    blocks = re.findall(r'^```(?:bash|sh)\n(.*?)^```', (root/'README.md').read_text(encoding='utf-8'), re.M | re.S)
    assert len(blocks) >= 2 and all(len(b.strip().splitlines())==1 for b in blocks[:2])
    assert 'hwr-demo' in blocks[0] and blocks[1].strip()=="pip install -e '.[dev]' && nbdev_test && pytest"

@pytest.mark.parametrize('f', CHAPTERS, ids=lambda f: f.name)
def test_notebook_is_a_chapter(f):
    code, prose = cells(f), cells(f, 'markdown')
    ex = [c for c in code if exported(c)]
    assert re.match(r'# .+\n+> .+', prose[0]), 'a title and a line that says what it is about'
    assert any('default_exp' in c for c in code)
    assert max(len(c.splitlines()) for c in ex) <= 45
    assert len([c for c in code if re.search(r'\b(test_\w+|assert|ExceptionExpected|expect_fail)\b', c) and not exported(c)]) >= len(ex)/2
    assert len(prose) >= len(code)/3
    assert not [c for c in code if re.search(r'eval:\s*false|skip_exec', c)], 'cells that no test runs'

# --- the public names of the design

PUBLIC = dict(text='Charset fold', corpus='WordDistribution NgramModel', fonts='FontBook', synth='WordSynth SynthStyle', data='WordImages word_dls',
    augment='BatchAugment', model='HTRNet ctc_loss', metrics='CER WER evaluate EvalReport compare', learner='hwr_learner', pretrain='pretrain',
    selftrain='PseudoLabels selftrain', recognize='Recognizer', importers='import_words', review='Review review', decode='beam_search', cli='hwr_demo hwr_corpus hwr_synth hwr_pretrain hwr_selftrain hwr_eval hwr_read', demo='demo')
NAMES = [(m, n) for m, ns in PUBLIC.items() for n in ns.split()]

def public(m, n):
    try: return getattr(importlib.import_module(f'hwr_nb.{m}'), n)
    except ModuleNotFoundError as e:
        if e.name=='hwr_nb.demo': pytest.skip('the room demo is not there yet')
        raise

@pytest.mark.parametrize('m,n', NAMES, ids=lambda x: x)
def test_public_name_is_documented(m, n):
    from fastcore.docments import docments
    o = public(m, n)
    assert (o.__doc__ or '').strip() and not o.__doc__.startswith(f'{n}('), 'no docstring'
    f = o.__init__ if inspect.isclass(o) else o
    if n in ('CER', 'WER'): return          # fastai metrics, without arguments of their own
    bare = [k for k, d in docments(o, returns=False).items() if not d and k not in ('self', 'args', 'kwargs')]
    assert not bare, f'parameters of {n} without a comment: {bare}'

@pytest.mark.parametrize('m,n', NAMES, ids=lambda x: x)
def test_public_name_is_used_in_a_notebook(m, n):
    public(m, n)
    assert [f for f in NOTEBOOKS for c in cells(f) if not exported(c) and re.search(rf'\b{n}\b', c)]

def test_one_import_brings_what_a_notebook_needs():
    code = 'from hwr_nb.learner import *\nprint(*[n for n in %r if n not in globals()])' % [n for m, n in NAMES if m not in ('cli', 'demo')]
    assert call(sys.executable, '-c', code, cwd=root).stdout.split()==[]

def test_rooms_import_only_from_rooms_above():
    order = 'text corpus fonts synth data augment spell model decode metrics parallel learner pretrain match splice selftrain recognize importers review cli demo'.split()
    top = re.compile(r'^from \.(\w+) import|^from hwr_nb\.(\w+) import|^import hwr_nb\.(\w+)', re.M)
    for f in (root/'hwr_nb').glob('*.py'):
        if f.stem not in order: continue
        for g in top.findall(f.read_text(encoding='utf-8')):
            up = next(filter(None, g))
            assert order.index(up) < order.index(f.stem), f'{f.stem} imports {up}, which lies below it'

PRIVATE = re.compile(r'(?:^|[^.\w])/(?:work|tmp|root|farm|home)/\w')

def test_no_private_paths():
    bad = []
    for f in project_files():
        if f.suffix not in ('.ipynb', '.py', '.md', '.toml', '.ini', '.in', '.csv') and f.name!='run': continue
        s = (root/f).read_text(encoding='utf-8')
        if f.suffix=='.ipynb': s = re.sub(r'"image/\w+": "[^"]*"', '', s)      # base64 may spell anything
        bad += [f'{f}: {s[max(0, m.start()-30):m.end()+30]!r}' for m in PRIVATE.finditer(s)]
    assert not bad, '\n'.join(bad)
