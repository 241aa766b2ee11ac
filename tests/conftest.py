"What the tests share: the project built and installed as a user gets it, small data, and a way to run commands"
import os, shutil, subprocess, sys, sysconfig
from pathlib import Path
from types import SimpleNamespace
import pytest

root = Path(__file__).resolve().parent.parent
base = root/'hwr_nb'/'data'/'models'/'base.safetensors'
needs_base = pytest.mark.skipif(not base.exists(), reason='the base model is not there yet: hwr_nb/data/models/base.safetensors')
env = {k:v for k,v in os.environ.items() if k not in ('PYTHONPATH', 'IN_TEST')} | dict(PYTHONDONTWRITEBYTECODE='1', COLUMNS='120')

def project_files():
    "Every file of the project that git knows or would add, relative to its root"
    if (root/'.git').exists():
        out = subprocess.run(['git', 'ls-files', '-coz', '--exclude-standard'], cwd=root, capture_output=True, check=True).stdout
        files = [Path(os.fsdecode(f)) for f in out.split(b'\0') if f]
    else: files = [p.relative_to(root) for p in root.rglob('*') if not {'__pycache__', 'build', '.git'} & set(p.parts)]
    return sorted(f for f in files if (root/f).is_file())

def copy_project(to):
    for f in project_files():
        (to/f).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root/f, to/f)
    return to

def call(*cmd, code=0, cwd=None, env=env, **kw):
    "Run a program; its exit code must be `code`"
    r = subprocess.run([str(c) for c in cmd], capture_output=True, text=True, cwd=cwd, env=env, timeout=300, **kw)
    assert r.returncode==code, f'{" ".join(map(str, cmd))}: exit {r.returncode}, not {code}\n{r.stdout}\n{r.stderr}'
    return r

@pytest.fixture(scope='session')
def source(tmp_path_factory):
    "A copy of the project, so that building leaves nothing behind"
    return copy_project(tmp_path_factory.mktemp('source'))

@pytest.fixture(scope='session')
def wheel(source, tmp_path_factory):
    to = tmp_path_factory.mktemp('wheel')
    call(sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation', '-w', to, source)
    return next(to.glob('*.whl'))

@pytest.fixture(scope='session')
def bin(wheel, tmp_path_factory):
    "The commands of the wheel, installed in a fresh environment that borrows the dependencies of this one"
    venv = tmp_path_factory.mktemp('venv')
    call(sys.executable, '-m', 'venv', '--without-pip', venv)
    call(sys.executable, '-m', 'pip', '-q', '--python', venv/'bin'/'python', 'install', '--no-deps', '--no-compile', wheel)
    site = next(venv.glob('lib/python*/site-packages'))
    (site/'borrowed.pth').write_text('\n'.join({sysconfig.get_path('purelib'), sysconfig.get_path('platlib')}))
    return venv/'bin'

@pytest.fixture(scope='session')
def hwr(bin, tmp_path_factory):
    "Run an installed command from a folder that has nothing to do with the project"
    away = tmp_path_factory.mktemp('away')
    def run(name, *args, **kw): return call(bin/f'hwr-{name}', *args, cwd=away, **kw)
    run.bin, run.away = bin, away
    return run

LETTERS = 'abcdefghijklmnopqrstuvwxyzTHIA.,0123456789'

@pytest.fixture(scope='session')
def small(hwr, tmp_path_factory):
    "Small data: a text, its words, three fonts, 24 crops with labels, and a model with random weights that reads nonsense"
    import torch
    from hwr_nb.model import HTRNet
    from hwr_nb.recognize import Recognizer
    from hwr_nb.text import Charset
    d = tmp_path_factory.mktemp('small')
    (d/'letter.txt').write_text('The horses and the waggons are here, and the men. I have sent a letter to the house, it is late and the hay is not in.')
    hwr('corpus', d/'letter.txt', '--out', d/'words.tsv')
    (d/'fonts').mkdir()
    for f in ('Caveat', 'Allura', 'Kalam'): shutil.copy(root/'hwr_nb'/'data'/'fonts'/f'{f}.woff2', d/'fonts')
    hwr('synth', '--out', d/'crops', '--n', 24, '--words', d/'words.tsv', '--fonts', d/'fonts', '--workers', 1)
    torch.manual_seed(0)
    cs = Charset(LETTERS)
    net = HTRNet(len(cs)+1, dims=(8,8,16,16,8), hidden=16, speller=(16, 1, 2, 16))
    net.head.weight.data.mul_(20)
    Recognizer(net, cs).save(d/'tiny.safetensors')
    return SimpleNamespace(dir=d, text=d/'letter.txt', words=d/'words.tsv', fonts=d/'fonts', crops=d/'crops', model=d/'tiny.safetensors', charset=cs)
