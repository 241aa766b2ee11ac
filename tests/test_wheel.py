"The installed package: what is in the wheel, and whether it works far from the project's folder"
import ast, csv, re, sys, tarfile, zipfile
from configparser import ConfigParser
from email import message_from_bytes
from conftest import base, call, project_files, root

def settings():
    c = ConfigParser(delimiters='=')
    c.read(root/'settings.ini', encoding='utf-8')
    return c['DEFAULT']

def inside(z, end): return z.read(next(n for n in z.namelist() if n.endswith(end)))

def test_wheel_holds_the_package_and_its_data(wheel):
    with zipfile.ZipFile(wheel) as z:
        names = set(z.namelist())
        fonts = list(csv.DictReader(z.read('hwr_nb/data/fonts/fonts.csv').decode().splitlines()))
    assert len(fonts) > 50
    for f in fonts:
        assert f'hwr_nb/data/fonts/{f["file"]}' in names
        assert f'hwr_nb/data/fonts/licenses/{f["file"].rsplit(".", 1)[0]}.txt' in names, f'{f["file"]} would ship without its license'
    for f in project_files():
        if f.parts[0]=='hwr_nb': assert f.as_posix() in names, f'{f} is in the project but not in the wheel'
    assert 'hwr_nb/data/words_en.tsv' in names
    assert {f'hwr_nb/data/models/{m}.safetensors' for m in ('base', 'base-latin')} <= set(names)

def test_wheel_holds_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as z:
        extra = [n for n in z.namelist() if not re.match(r'hwr_nb/|hwr_nb-[\d.]+\.dist-info/', n)]
        assert not extra
        assert not [n for n in z.namelist() if re.search(r'\.(ipynb|png|jpe?g|tar|resume|pkl|pyc)$|labels\.tsv', n)]    # no notebooks, no real handwriting
    assert wheel.stat().st_size < 25e6

def test_metadata_is_that_of_settings(wheel):
    s = settings()
    with zipfile.ZipFile(wheel) as z: m, points = message_from_bytes(inside(z, 'METADATA')), inside(z, 'entry_points.txt').decode()
    assert (m['Name'].replace('-', '_'), m['Version'], m['Summary'], m['Requires-Python']) == (s['lib_name'], s['version'], s['description'], f'>={s["min_python"]}')
    assert m['License'] == s['license'] == 'MIT' and 'LICENSE' in (m['License-File'] or '')
    squeeze = lambda r: tuple(sorted(re.split(r'[,\s()]+|(?=[<>])', r.replace('"', "'").split(';')[0].strip())))
    both = s['requirements'].split() + s['dev_requirements'].split()
    assert {squeeze(r) for r in m.get_all('Requires-Dist')} == {squeeze(r) for r in both}
    for v in ('3.10', '3.11', '3.12', '3.13'): assert f'Programming Language :: Python :: {v}' in m.get_all('Classifier')
    for c in 'demo corpus synth pretrain selftrain eval read'.split(): assert f'hwr-{c} = hwr_nb.cli:hwr_{c}' in points
    assert 'nbdev_test = nbdev.test:nbdev_test' in points

def test_version_stands_in_one_place():
    import hwr_nb
    assert hwr_nb.__version__ == settings()['version']

DISTS = dict(PIL='pillow', cv2='opencv-python-headless', fontTools='fonttools', charset_normalizer='charset-normalizer')

def imports(code):
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import): yield from (a.name.split('.')[0] for a in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level: yield node.module.split('.')[0]

def packages(tops): return {DISTS.get(t, t) for t in tops} - set(sys.stdlib_module_names) - {'hwr_nb'}

def test_requirements_are_what_is_imported():
    declared = {re.split(r'[\[<>=!~]', r)[0] for r in settings()['requirements'].split()}
    library = packages(t for f in (root/'hwr_nb').glob('*.py') for t in imports(f.read_text(encoding='utf-8')))
    assert library-declared=={'accelerate'}, 'used by the library but not in settings.ini'      # for several processes only: whoever starts them installs it
    notebooks = ''.join((root/f).read_text(encoding='utf-8') for f in project_files() if f.suffix=='.ipynb')
    idle = [d for d in declared-library if not re.search(rf'(from|import) {d}\b', notebooks)]
    assert not idle, 'in settings.ini but used by neither library nor notebooks'

def test_sdist_can_be_built_from(source, tmp_path):
    call(sys.executable, 'setup.py', '-q', 'sdist', '-d', tmp_path, cwd=source)
    with tarfile.open(next(tmp_path.glob('*.tar.gz'))) as t: names = {n.split('/', 1)[1] for n in t.getnames() if '/' in n}
    assert {'setup.py', 'settings.ini', 'pyproject.toml', 'LICENSE', 'README.md', 'hwr_nb/data/fonts/fonts.csv', 'hwr_nb/data/words_en.tsv', 'hwr_nb/cli.py'} <= names

def test_runs_from_elsewhere(hwr):
    r = call(hwr.bin/'python', '-c', 'import hwr_nb; print(hwr_nb.__file__, hwr_nb.__version__)', cwd=hwr.away)
    file, version = r.stdout.split()
    assert str(hwr.bin.parent) in file and version==settings()['version']
    call(hwr.bin/'nbdev_test', '--help', cwd=hwr.away)
    r = hwr('synth', '--out', 'drawn', '--n', 3, '--workers', 1)          # shipped words, shipped fonts
    assert len((hwr.away/'drawn'/'labels.tsv').read_text().splitlines())==3 and not r.stderr
    script = 'from hwr_nb.recognize import shipped_models as s; print(*s())'
    assert call(hwr.bin/'python', '-c', script, cwd=hwr.away).stdout.split() == sorted(p.stem for p in base.parent.glob('*.safetensors'))
