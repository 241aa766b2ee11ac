"The seven commands as installed: that they work, how they fail, and that they can be stopped"
import contextlib, filecmp, hashlib, json, os, re, shutil, signal, subprocess, time
from pathlib import Path
import numpy as np, pytest
from PIL import Image
from conftest import LETTERS, base, call, env, needs_base

OPTIONS = dict(
    demo='--data --model --minutes --out', corpus='--out --kind --max-words --wordfreq', synth='--out --n --seed --start --words --fonts --charset --workers --sheet',
    pretrain='--out --words --fonts --charset --minutes --steps --seed --resume --device',
    selftrain='--model --unlabeled --out --minutes --rounds --words --labeled --corrections --seed --resume --device', eval='--model --labeled --json --lexicon --fast',
    read='--model --out --format --lexicon --fast')

@pytest.mark.parametrize('name', OPTIONS)
def test_help_and_usage(hwr, name):
    r = hwr(name, '--help')
    for o in OPTIONS[name].split() + ['--debug']: assert f' {o} ' in r.stdout.replace(']', ' ').replace('[', ' ')
    r = hwr(name, '--nonsense', code=2)
    assert r.stdout=='' and 'usage: hwr-'+name in r.stderr

# what cannot work, its exit code, and a part of the one line it must say
BAD = [
    ('demo',      '--data {d}/nowhere --out {t}/demo', 1, 'nowhere'),
    ('demo',      '--minutes 0', 2, ''),
    ('demo',      '--model {d}/no.safetensors --out {t}/demo', 1, 'no.safetensors'),
    ('pretrain',  '--out {t} --steps 1', 1, 'is a folder; name a file in it'),
    ('corpus',    '{d}/nowhere.txt --out {t}/w.tsv', 1, 'no text file'),
    ('corpus',    '--out {t}/w.tsv', 2, ''),
    ('corpus',    '{d}/letter.txt', 2, ''),
    ('synth',     '--out {d}/crops --n 1 --words {d}/words.tsv', 1, 'not an empty folder'),
    ('synth',     '--out {t}/new --n 1 --fonts {d}/crops', 1, 'no .ttf'),
    ('synth',     '', 2, ''),
    ('pretrain',  '--out {t}/model.pt --steps 1', 1, 'ends in .safetensors'),
    ('pretrain',  '--out {d}/tiny.safetensors --steps 1', 1, 'will not be overwritten'),
    ('pretrain',  '--out {t}/m.safetensors --steps 1 --resume', 1, 'nothing to resume'),
    ('pretrain',  '--out {t}/m.safetensors --steps 1 --device abacus', 1, 'abacus'),
    ('pretrain',  '--out {t}/m.safetensors --steps 1 --minutes 1', 2, ''),
    ('selftrain', '--unlabeled {d}/nowhere --out {t}/m.safetensors --model {d}/tiny.safetensors', 1, 'no such folder'),
    ('selftrain', '--unlabeled {d}/crops --out {t}/m.safetensors --model {d}/nowhere.safetensors', 1, 'no such model file'),
    ('selftrain', '--unlabeled {d}/crops', 2, ''),
    ('eval',      '--labeled {d}/fonts --model {d}/tiny.safetensors', 1, 'no images'),
    ('eval',      '--labeled {d}/crops --model {d}/words.tsv', 1, 'neither a .safetensors file nor a shipped model'),
    ('eval',      '', 2, ''),
    ('read',      '{d}/crops --model {d}/letter.safetensors', 1, 'not a safetensors file'),
    ('read',      '{d}/crops --model {d}/tiny.safetensors --out {t}', 1, 'is a folder'),
    ('read',      '', 2, ''),
]

ALL = """
import contextlib, io, json, runpy, sys
results = []
for name, args in json.load(sys.stdin):
    out, err, sys.argv = io.StringIO(), io.StringIO(), [f'hwr-{name}', *args]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try: code = runpy.run_path(f'{sys.prefix}/bin/hwr-{name}', run_name='__main__')
        except SystemExit as e: code = e.code or 0
    results.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(results))
"""

@pytest.fixture(scope='session')
def failed(hwr, small, tmp_path_factory):
    "What each command of `BAD` said. One process runs them all, so that fastai is imported once; they are the installed scripts all the same"
    t = tmp_path_factory.mktemp('failed')
    shutil.copy(small.text, small.dir/'letter.safetensors')
    todo = [(name, args.format(d=small.dir, t=t).split()) for name, args, *_ in BAD]
    r = call(hwr.bin/'python', '-c', ALL, cwd=hwr.away, input=json.dumps(todo))
    assert not list(t.rglob('*.safetensors')) and not list(t.rglob('*.resume'))
    return dict(zip([b[:2] for b in BAD], json.loads(r.stdout)))

@pytest.mark.parametrize('name,args,code,words', [pytest.param(*b, marks=needs_base) if b[1].startswith('--data') else b for b in BAD], ids=[f'{n} {a}' for n,a,*_ in BAD])
def test_failures(failed, name, args, code, words):
    got, out, err = failed[name, args]
    assert got==code and 'Traceback' not in out + err
    if code==1: assert err.startswith(f'hwr-{name}: ') and err.count('\n')==1 and words in err
    else: assert out=='' and err

def test_debug_shows_the_traceback(hwr, tmp_path):
    assert 'Traceback' in hwr('corpus', tmp_path/'no.txt', '--out', tmp_path/'w.tsv', '--debug', code=1).stderr

def test_corpus_reads_stdin_and_writes_a_list_or_a_model(hwr, tmp_path):
    hwr('corpus', '-', '--out', tmp_path/'w.tsv', '--max-words', 3, input='one two two three three three four')
    assert (tmp_path/'w.tsv').read_text() == 'three\t3\ntwo\t2\none\t1\n'
    hwr('corpus', '-', '--out', tmp_path/'n.json', '--kind', 'ngram', input='one two two')
    from hwr_nb.corpus import NgramModel
    assert NgramModel.load(tmp_path/'n.json').logprob('two') > NgramModel.load(tmp_path/'n.json').logprob('xyz')

def same_files(a, b):
    names = sorted(p.name for p in a.iterdir())
    return names==sorted(p.name for p in b.iterdir()) and filecmp.cmpfiles(a, b, names, shallow=False)[0]==names

def test_synth_is_a_function_of_seed_and_number(hwr, small, tmp_path):
    def draw(out, *args): return hwr('synth', '--out', tmp_path/out, '--words', small.words, '--fonts', small.fonts, '--seed', 7, *args)
    draw('one', '--n', 450, '--workers', 1); draw('two', '--n', 450, '--workers', 2); draw('part', '--n', 5, '--start', 210, '--workers', 1)
    assert len(list((tmp_path/'one').glob('*.png')))==450 and same_files(tmp_path/'one', tmp_path/'two')
    for p in (tmp_path/'part').glob('*.png'): assert p.read_bytes()==(tmp_path/'one'/p.name).read_bytes()
    assert (tmp_path/'part'/'labels.tsv').read_text() in (tmp_path/'one'/'labels.tsv').read_text()

def test_synth_contact_sheet(hwr, small, tmp_path):
    hwr('synth', '--sheet', tmp_path/'sheet.png', '--fonts', small.fonts)
    assert np.asarray(Image.open(tmp_path/'sheet.png')).std() > 10
    assert [p.name for p in tmp_path.iterdir()]==['sheet.png']

FIGURES = {'n', 'cer', 'wer', 'cer_ci', 'wer_ci', 'folded', 'loss', 'words_per_s', 'ece', 'empty'}

def check_figures(d):
    assert FIGURES <= set(d) and set(d['folded'])=={'cer', 'wer', 'cer_ci', 'wer_ci'}
    for f in (d, d['folded']):
        for k in ('cer', 'wer'): assert f[f'{k}_ci'][0] <= f[k] <= f[f'{k}_ci'][1]
    assert 0 <= d['ece'] <= 1 and 0 <= d['empty'] <= 1

def test_eval_writes_figures(hwr, small, tmp_path):
    r = hwr('eval', '--labeled', small.crops, '--model', small.model, '--json', tmp_path/'e.json', '--lexicon', small.words)
    d = json.loads((tmp_path/'e.json').read_text())
    assert d['n']==24 and 'CER' in r.stdout and 'labels have characters the model cannot write' in r.stderr and r.stderr.count('\n')==1
    check_figures(d); check_figures(d['lexicon'])
    assert d['loss'] > 0 and d['words_per_s'] > 0

def test_read_goes_on_after_a_bad_file(hwr, small, tmp_path):
    good = sorted(small.crops.glob('*.png'))
    odd, cut, empty = tmp_path/'tab\there\nand below.png', tmp_path/'cut.png', tmp_path/'empty.png'
    shutil.copy(good[0], odd); cut.write_bytes(good[0].read_bytes()[:60]); empty.write_bytes(b'')
    r = hwr('read', small.crops, odd, cut, empty, tmp_path/'gone.png', '--model', small.model, '--out', tmp_path/'r.tsv', code=1)
    assert r.stderr=='hwr-read: 3 of 28 could not be read; their rows say why\n' and not r.stdout
    rows = [l.split('\t') for l in (tmp_path/'r.tsv').read_text().splitlines()]
    assert [x[0] for x in rows[:24]]==[str(g) for g in good] and rows[24][0].endswith(r'tab\there\nand below.png')
    assert [len(x) for x in rows]==[3]*25 + [4]*3 and rows[24][1]==rows[0][1]
    for x, p in zip(rows[25:], (cut, empty, 'gone.png')): assert x[1]=='' and float(x[2])==0 and Path(p).name in x[3]
    r = hwr('read', odd, cut, '--model', small.model, '--format', 'jsonl', code=1)
    a, b = map(json.loads, r.stdout.splitlines())
    assert a['path']==str(odd) and 0 <= a['confidence'] <= 1 and 'error' not in a and 'cut.png' in b['error']

@pytest.mark.parametrize('which', ['random', pytest.param('base', marks=needs_base)])
def test_a_batch_reads_like_single_words(small, which, monkeypatch):
    from hwr_nb.recognize import Recognizer
    from hwr_nb.synth import WordSynth
    if which=='random': monkeypatch.setattr('hwr_nb.model.bf16_pays', lambda device='cpu': False)        # which of two letters it prefers is a matter of rounding
    rec = Recognizer.load(small.model if which=='random' else base)
    ws = WordSynth(seed=3, charset=rec.charset)
    ims = [ws[i][0] for i in range(64)]
    assert max(i.shape[1] for i in ims) > 4*min(i.shape[1] for i in ims)
    together, alone = rec.read(ims), [rec.read(i)[0] for i in ims]
    assert [r.text for r in together]==[r.text for r in alone] and len({r.text for r in alone}) > (5 if which=='random' else 40)
    assert np.allclose([r.confidence for r in together], [r.confidence for r in alone], atol=1e-3 if which=='random' else .01)      # in bfloat16 batches of other sizes are rounded otherwise

# --- training, killed and resumed

def workers(pid):
    "Processes that a run has forked to draw words: once there are any, it is under way"
    line = lambda p: Path(f'/proc/{p}/cmdline').read_bytes()
    try: return [c for f in Path(f'/proc/{pid}/task').glob('*/children') for c in f.read_text().split() if line(c)==line(pid)]
    except OSError: return []

def stop_when_under_way(hwr, sig, name, *args):
    "Start a command, send it and its workers a signal once it has workers; returns (exit code, stdout, stderr)"
    p = subprocess.Popen([str(a) for a in (hwr.bin/f'hwr-{name}', *args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=hwr.away, env=env, start_new_session=True)
    try:
        until = time.monotonic() + 200
        seen = []                  # a program about to be started looks like a worker for a moment: wait for one that stays
        while p.poll() is None and time.monotonic() < until and not set(seen) & set(seen := workers(p.pid)): time.sleep(1)
        os.killpg(p.pid, sig)      # as Ctrl-C in a terminal, `timeout` and a machine that shuts down do
        out, err = p.communicate(timeout=120)
        return p.returncode, out, err
    finally:
        if p.poll() is None: p.kill(); p.wait()

linux = pytest.mark.skipif(not Path('/proc/self/task').exists(), reason='needs /proc to see when a run has begun')

@linux
def test_pretrain_stopped_and_resumed(hwr, small, tmp_path):
    out = tmp_path/'m.safetensors'
    args = ('--out', out, '--words', small.words, '--fonts', small.fonts, '--charset', ''.join(small.charset.chars))
    code, _, err = stop_when_under_way(hwr, signal.SIGTERM, 'pretrain', *args, '--minutes', 10)
    assert (code, err)==(143, 'hwr-pretrain: stopped; the same command with --resume goes on\n')
    assert (tmp_path/'m.resume').exists() and not out.exists()
    assert 'unfinished run' in hwr('pretrain', *args, '--steps', 1, code=1).stderr
    r = hwr('pretrain', *args, '--steps', 2, '--resume')
    assert str(out) in r.stdout and out.exists() and not (tmp_path/'m.resume').exists() and not list(tmp_path.glob('*.lock'))
    r = hwr('read', small.crops, '--model', out)
    assert len(r.stdout.splitlines())==24

@linux
def test_pretrain_on_a_terminal(hwr, small, tmp_path):
    "hwr-pretrain where a person watches | both streams are a terminal | bars, and a model, with no more memory than usual"
    import pty, resource        # not on Windows
    out = tmp_path/'m.safetensors'
    command = [hwr.bin/'hwr-pretrain', '--out', out, '--words', small.words, '--fonts', small.fonts, '--charset', ''.join(small.charset.chars), '--steps', 2]
    us, them = pty.openpty()
    with subprocess.Popen(list(map(str, command)), cwd=hwr.away, env=env | dict(IN_TEST=''), stdin=them, stdout=them, stderr=them, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (12 << 30,) * 2)) as p:
        os.close(them)
        said = b''
        with contextlib.suppress(OSError):      # a terminal whose other end is closed gives an error, not an end
            while part := os.read(us, 4096): said += part
    os.close(us)
    assert p.returncode==0 and out.exists() and b'valid_loss' in said and b'/100' in said and b'65536' not in said, said[-2000:]

@pytest.fixture(scope='session')
def parrot(small):
    "A model that reads `a` whatever it sees, and is sure: enough to teach itself something"
    import torch
    from hwr_nb.model import HTRNet
    from hwr_nb.recognize import Recognizer
    net = HTRNet(len(small.charset)+1, dims=(8,8,16,16,8), hidden=16, speller=(16, 1, 2, 16))
    with torch.no_grad(): net.head.weight.zero_(); net.head.bias.zero_(); net.head.bias[small.charset.chars.index('a')+1] = 9
    return Recognizer(net, small.charset).save(small.dir/'parrot.safetensors')

def test_selftrain_leaves_a_model_and_its_records(hwr, small, parrot, tmp_path):
    out = tmp_path/'mine.safetensors'
    hwr('selftrain', '--model', parrot, '--unlabeled', small.crops, '--labeled', small.crops, '--out', out, '--minutes', .05, '--rounds', 2, '--words', small.words)
    assert out.exists() and not (tmp_path/'mine.resume').exists() and not list(tmp_path.glob('*.lock'))
    run = tmp_path/'mine.run'
    assert {'history.csv', 'report.json'} <= {p.name for p in run.iterdir()}
    rows = [l.split('\t') for l in (run/'pseudo_labels'/'round-1.tsv').read_text().splitlines()]
    assert len(rows)==24 and {len(r) for r in rows}=={5} and {r[1] for r in rows}=={'a'}
    json.loads((run/'report.json').read_text())
    assert len(hwr('read', small.crops, '--model', out).stdout.splitlines())==24

def test_selftrain_believes_corrections(hwr, small, parrot, tmp_path):
    out, fixed = tmp_path/'mine.safetensors', tmp_path/'corrections.tsv'
    names = sorted(p.name for p in small.crops.glob('*.png'))
    fixed.write_text(f'{names[2]}\tae\tcorrected\n{names[5]}\ta\tjunk\n{names[7]}\ta\tskipped\n')
    hwr('selftrain', '--model', parrot, '--unlabeled', small.crops, '--out', out, '--minutes', .05, '--rounds', 2, '--words', small.words, '--corrections', fixed)
    rows = {l.split('\t')[0]: l.split('\t')[1:] for l in (tmp_path/'mine.run'/'pseudo_labels'/'round-1.tsv').read_text().splitlines()}
    assert (rows[names[2]][0], *rows[names[2]][2:], rows[names[5]][3])==('ae', '1', 'corrected', 'junk') and rows[names[7]][3] not in ('corrected', 'junk')
    report = json.loads((tmp_path/'mine.run'/'report.json').read_text())
    assert (report['settings']['corrections'], report['settings']['junk'])==(1, 1) and any('1 were marked as junk' in s for s in report['saw'])

def sha(*parts):
    "As notebook 09 says: the first 16 digits of SHA-256, each part followed by a zero byte"
    return hashlib.sha256(b''.join((p if isinstance(p, bytes) else str(p).encode()) + b'\0' for p in parts)).hexdigest()[:16]

def test_models_and_reports_say_how_they_were_made(hwr, small, parrot, tmp_path):
    from importlib.metadata import version
    from hwr_nb.corpus import WordDistribution
    from hwr_nb.recognize import Recognizer
    new, mine, w = tmp_path/'new.safetensors', tmp_path/'mine.safetensors', WordDistribution.load(small.words)
    hashed = lambda w: sha(*w.words, *w.counts)
    drawn = lambda charset: hashed(w.restrict(charset, 24))          # the words that can be written
    fonts = sha(*sorted(sha(f.read_bytes()) for f in small.fonts.iterdir()))
    hwr('pretrain', '--out', new, '--words', small.words, '--fonts', small.fonts, '--charset', LETTERS, '--steps', 1)
    hwr('selftrain', '--model', parrot, '--unlabeled', small.crops, '--out', mine, '--minutes', .02, '--rounds', 1, '--words', small.words, '--seed', 3)
    hwr('eval', '--labeled', small.crops, '--model', mine, '--lexicon', small.words, '--json', tmp_path/'e.json')
    a, b = Recognizer.load(new).provenance, Recognizer.load(mine).provenance['selftrain']
    c, report = json.loads((tmp_path/'e.json').read_text())['provenance'], json.loads((tmp_path/'mine.run'/'report.json').read_text())
    assert report['provenance']['selftrain']==b
    assert (a['fonts_hash'], a['words_hash'], b['words_hash'], c['words_hash'])==(fonts, drawn(LETTERS), drawn(Recognizer.load(parrot).charset), hashed(w)) and len(b['fonts_hash'])==16
    assert (b['model_hash'], c['model_hash'])==(sha(parrot.read_bytes()), sha(mine.read_bytes())) and (a['seed'], b['seed'], c['seed'])==(0, 3, 0)
    labels = [l.split('\t') for l in (small.crops/'labels.tsv').read_text().splitlines()]
    assert c['labels_hash']==sha(*(l[0] for l in labels), *(l[1] for l in labels))
    for made, name in ((a, 'pretrain'), (b, 'selftrain'), (c, 'eval')):
        assert made['command'].startswith(f'hwr-{name} --') and (made['versions']['hwr_nb'], made['versions']['torch'])==(version('hwr_nb'), version('torch'))
    assert b['command']==f'hwr-selftrain --model {parrot} --unlabeled {small.crops} --out {mine} --minutes 0.02 --rounds 1 --words {small.words} --seed 3'

@linux
@pytest.mark.parametrize('sig', [signal.SIGINT, signal.SIGTERM])
def test_selftrain_stopped_and_resumed(hwr, small, parrot, tmp_path, sig):
    out = tmp_path/'mine.safetensors'
    args = ('--model', parrot, '--unlabeled', small.crops, '--out', out, '--rounds', 2, '--words', small.words)
    code, _, err = stop_when_under_way(hwr, sig, 'selftrain', *args, '--minutes', 3)       # a tenth of them is the speller's
    assert code==128+sig and err=='hwr-selftrain: stopped; the same command with --resume goes on\n' and (tmp_path/'mine.resume').exists()
    hwr('selftrain', *args, '--minutes', .05, '--resume')
    assert out.exists() and not (tmp_path/'mine.resume').exists()

FULL = """
import errno, os, runpy, sys
from functools import partial
import hwr_nb.selftrain as S
budget, was, (name, full) = S.Budget, os.fsync, sys.argv[1:3]
S.Checkpoint, S.Budget = partial(S.Checkpoint, every=0), lambda lr, minutes, steps, **kw: budget(lr, None, 6, **kw)       # six batches, a state after each
def fsync(fd):
    if any(n in os.readlink(f'/proc/self/fd/{fd}') for n in full.split()): raise OSError(errno.ENOSPC, 'No space left on device')
    was(fd)
os.fsync, sys.argv[:3] = fsync, [name]
runpy.run_path(f'{sys.prefix}/bin/{name}', run_name='__main__')
"""

@linux
def test_selftrain_on_a_full_disk(hwr, small, parrot, tmp_path):
    "full disk while a self-training writes its records | fsync of history.csv, round-1.tsv and report.json fails with ENOSPC | one warning for each record, training goes on; without report.json there is no model, one line, and --resume ends the run"
    out, run = tmp_path/'mine.safetensors', tmp_path/'mine.run'
    args = ('--model', parrot, '--unlabeled', small.crops, '--out', out, '--rounds', 2, '--words', small.words, '--minutes', .05)
    r = call(hwr.bin/'python', '-W', 'ignore::FutureWarning', '-c', FULL, 'hwr-selftrain', 'history.csv round-1.tsv report.json', *args, cwd=hwr.away, code=1)
    lost, full = 'could not be written (No space left on device); training goes on without it.', 'No space left on device; the same command with --resume goes on'
    assert sorted(r.stderr.splitlines())==sorted(f'hwr-selftrain: {l}' for l in (f'{run}/pseudo_labels/round-1.tsv {lost}', f'{run}/history.csv {lost}', f'{run}/report.json: {full}'))
    assert not out.exists() and (tmp_path/'mine.resume').exists() and not (run/'history.csv').exists() and (run/'pseudo_labels'/'round-2.tsv').exists()
    (other := tmp_path/'other'/small.words.name).parent.mkdir()
    *lines, last = small.words.read_text().splitlines()
    other.write_text('\n'.join([*lines, 'zebra\t' + last.split('\t')[1]]) + '\n')
    assert 'words_hash was' in hwr('selftrain', *args, '--words', other, '--resume', code=1).stderr      # of the same name and size, and yet another list
    shutil.rmtree(other.parent)
    hwr('selftrain', *args, '--resume')
    assert sorted(p.name for p in tmp_path.iterdir())==['mine.run', 'mine.safetensors'] and {'report.json', 'history.csv'} <= {p.name for p in run.iterdir()}
    assert len((run/'history.csv').read_text().splitlines())==4      # a header and three looks: what was lost is written with the next line

@linux
def test_output_that_nobody_takes(hwr, small, parrot, tmp_path):
    "standard output that is full, or closed | hwr-selftrain > /dev/full; hwr-corpus >&- | one line, and the training goes on to its model and its page; a closed one is no matter; exit 0"
    run = lambda *cmd, **kw: subprocess.run(list(map(str, cmd)), cwd=hwr.away, env=env, stderr=subprocess.PIPE, text=True, timeout=300, **kw)
    with open('/dev/full', 'w') as full: r = run(hwr.bin/'hwr-selftrain', '--model', parrot, '--unlabeled', small.crops, '--labeled', small.crops, '--out', tmp_path/'m.safetensors', '--rounds', 1, '--words', small.words, '--minutes', .05, stdout=full)
    assert r.returncode==0 and r.stderr.endswith('(No space left on device); the work goes on\n') and r.stderr.count('\n')==1, r.stderr
    page = (tmp_path/'m.run'/'report.html').read_text(encoding='utf-8')
    assert (tmp_path/'m.safetensors').exists() and 'How sure the labels are' in page and 'On 24 labeled crops' in page and 'no such file' not in page
    r = run('sh', '-c', 'exec "$@" >&-', 'sh', hwr.bin/'hwr-corpus', small.text, '--out', tmp_path/'w.tsv')
    assert (r.returncode, r.stderr)==(0, '') and (tmp_path/'w.tsv').exists()

@linux
@pytest.mark.parametrize('sig', [signal.SIGINT, signal.SIGTERM])
def test_stopping_leaves_one_line(hwr, small, tmp_path, sig):
    code, out, err = stop_when_under_way(hwr, sig, 'synth', '--out', tmp_path/'many', '--n', 200_000, '--words', small.words, '--workers', 2)
    assert (code, out, err)==(128+sig, '', f"hwr-synth: stopped; {tmp_path/'many'} holds pictures without labels, the same command draws them anew\n")

@linux
def test_read_is_stopped_while_it_opens_images(hwr, small, tmp_path):
    "Ctrl-C while hwr-read opens big images | SIGINT one second after it begins with 512 JPEGs of 12 megapixels | it waits for one of them, not for all: one line, exit 130, no file"
    big, out = tmp_path/'big.jpg', tmp_path/'out'
    Image.effect_noise((4000, 3000), 90).save(big)
    p = subprocess.Popen([str(a) for a in (hwr.bin/'hwr-read', *[big]*1024, '--model', small.model, '--out', out/'r.tsv')], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=hwr.away, env=env)
    try:
        until = time.monotonic() + 100
        while p.poll() is None and time.monotonic() < until and not out.exists(): time.sleep(.1)
        time.sleep(1)
        p.send_signal(signal.SIGINT)
        assert p.communicate(timeout=20)==('', 'hwr-read: stopped\n') and p.returncode==130 and not list(out.iterdir())
    finally:
        if p.poll() is None: p.kill(); p.wait()

@needs_base
def test_demo_on_a_small_archive(hwr, small, tmp_path):
    (tmp_path/'archive').mkdir()
    shutil.copytree(small.crops, tmp_path/'archive'/'labeled')
    shutil.copytree(small.crops, tmp_path/'archive'/'unlabeled', ignore=shutil.ignore_patterns('labels.tsv'))
    r = hwr('demo', '--data', tmp_path/'archive', '--minutes', .1, '--out', tmp_path/'demo')
    html = next((tmp_path/'demo').glob('*.html')).read_text(encoding='utf-8')
    assert 'CER' in html and 'data:image/png;base64,' in html
    assert not re.search(r'(src|href)\s*=\s*["\']?(\w+:)?//|url\(', html), 'a report loads nothing from the network'
    assert not r.stderr
