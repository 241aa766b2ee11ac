"Several processes: each has its own words, they train as one would, share what they read, write files once, and end together"
import json, os, re, signal, subprocess, sys, time
from functools import partial
from pathlib import Path
import numpy as np, pytest
from conftest import base, call, env

pytest.importorskip('accelerate', reason="several processes train together through accelerate: pip install 'accelerate>=1.0,<2'")
import torch
if not torch.distributed.is_available(): pytest.skip('this torch comes without torch.distributed', allow_module_level=True)
from test_commands import linux, parrot, workers

env = env | dict(OMP_NUM_THREADS='1')        # of each process
call = partial(call, env=env)
pytestmark = pytest.mark.xdist_group('parallel')       # one worker runs them all: they share what took long to train

def launcher(hwr, n=2): return [hwr.bin/'python', '-m', 'accelerate.commands.launch', '--multi_gpu', '--num_processes', n, '--main_process_port', 0]

def together(hwr, name, *args, **kw):
    "Run an installed command in two processes"
    return call(*launcher(hwr), hwr.bin/f'hwr-{name}', *args, cwd=hwr.away, **kw)

def test_each_process_has_its_own_words():
    from hwr_nb.data import BucketStream
    from hwr_nb.text import Charset
    class Numbers:
        ink = True
        def __init__(self, n): self.n = n
        def __len__(self): return self.n
        def __getitem__(self, i): return np.zeros((32, 8 + i % 5), np.uint8), chr(97 + i)
    for total in (16, 1 << 40):     # a small source is shuffled, an endless one goes through in order
        def words(share): return [sorted(b[2][:, 0].tolist()) for _, b in zip(range(4), iter(BucketStream(Numbers(total), Charset('abcdefghijklmnopqrstuvwxyz'), bs=4, chunk=4, share=share)))]
        whole, a, b = words((0, 1)), words((0, 2)), words((1, 2))
        assert [len(w) for w in whole]==[4]*4 and [len(w) for w in a + b]==[2]*8
        assert not set(sum(a, [])) & set(sum(b, [])) and sorted(sum(a + b, []))==sorted(sum(whole, []))
    assert BucketStream(Numbers(99), Charset('a'), bs=64, share=(2, 3)).bs==66

TRAIN = """
import sys, torch
from pathlib import Path
from fastai.data.core import DataLoaders
from hwr_nb.learner import *
from hwr_nb.learner import Budget, Callback, CancelStepException, HWRLearner, in_step
from hwr_nb.data import BucketStream
from hwr_nb.parallel import rank, world
out, kind = sys.argv[1:]
class Part(WordDL):
    def __iter__(self): return (tuple(t[rank()::world()] for t in b) for b in super().__iter__())
class Seen(Callback):
    def before_fit(self): self.all, self.words = [], []
    def after_batch(self): self.all.append(float(self.loss.detach())); self.words += [self.learn.charset.decode(y.tolist()) for y in self.yb[0]]
def halves(self):
    "A batch in two parts, each normalized alone, as two processes see it"
    x, w, y = *self.xb, *self.yb
    parts = [self.loss_func(self.model(x[k::2], w[k::2]), y[k::2]) / 2 for k in range(2)]
    for p in parts: p.backward()
    self.loss = sum(parts).detach()
    self._with_events(self._step, 'step', CancelStepException); self.opt.zero_grad()
torch.manual_seed(rank())                       # the first process's weights are everybody's
synth = WordSynth(seed=5, n=1 << 40)
dl = Part(BucketStream(synth, synth.charset, 16, chunk=4))
net = HTRNet(len(synth.charset) + 1, dims=(8, 8, 16, 16, 8), hidden=16, drop=0., speller=None)
learn = hwr_learner(DataLoaders(dl, WordDL(BucketStream([], synth.charset, shuffle=False)), device=torch.device('cpu')), net, synth.charset, aug=lambda x, w: x.float() / 255, bf16=False, cbs=[Budget(2e-3, steps=30), Seen()])
learn.two_threads.on = kind=='threads'
if kind=='halves': HWRLearner._do_one_batch = halves
with learn.no_bar(), learn.no_logging(), in_step(learn): learn.fit(1)
torch.save(dict(net=learn.model.state_dict(), ema=learn.ema.avg.module.state_dict(), loss=learn.seen.all, words=learn.seen.words, step=learn.budget.step), f'{out}-{rank()}.pt')
"""

@pytest.fixture(scope='module')
def trained(hwr, tmp_path_factory):
    "The same 30 batches of 16 words: in one process (whole, in halves, and in two threads), and in two"
    d = tmp_path_factory.mktemp('trained')
    (d/'train.py').write_text(TRAIN)
    for kind in ('whole', 'halves', 'threads'): call(hwr.bin/'python', d/'train.py', d/kind, kind, cwd=hwr.away)
    call(*launcher(hwr), d/'train.py', d/'two', 'whole', cwd=hwr.away)
    return {p.stem: torch.load(p, weights_only=True) for p in d.glob('*.pt')}

def weights(x): return torch.cat([v.flatten() for k,v in x.items() if 'num_batches' not in k and 'running' not in k])     # statistics of batch normalization are each process's own

def test_two_processes_end_with_the_same_weights(trained):
    a, b = trained['two-0'], trained['two-1']
    assert a['step']==b['step']==30 and torch.equal(weights(a['net']), weights(b['net'])) and torch.equal(weights(a['ema']), weights(b['ema']))
    assert len(a['words'])==len(b['words'])==240
    assert sorted(a['words'] + b['words'])==sorted(trained['whole-0']['words'])

def test_two_processes_train_as_one_does(trained):
    "In halves one process computes the same sums in another order, and rounding grows with the steps; in whole batches it normalizes over twice the words"
    two, halves, whole = (np.mean([trained[k]['loss'] for k in ks], 0) for ks in (('two-0', 'two-1'), ('halves-0',), ('whole-0',)))
    assert np.allclose(two[:5], halves[:5], rtol=1e-4, atol=0) and np.allclose(two, halves, rtol=1e-3, atol=0)
    assert np.allclose(two, whole, rtol=.03, atol=0) and abs(np.mean(two) / np.mean(whole) - 1) < .005
    a, b = (weights(trained[k]['net']) for k in ('two-0', 'halves-0'))
    assert (a - b).norm() < .01 * b.norm()

def test_two_threads_train_as_one_does(trained):
    "Two steps behind, and the last batches under way are dropped"
    two, whole = (np.array(trained[k]['loss']) for k in ('threads-0', 'whole-0'))
    assert trained['threads-0']['step']==30 and np.allclose(two[3:], whole[1:-2], rtol=.03, atol=0)         # the first batch went in three parts

@pytest.fixture(scope='module')
def model(hwr, small, tmp_path_factory):
    "A model pretrained by two processes, and what they said"
    out = tmp_path_factory.mktemp('pretrained')/'m.safetensors'
    r = together(hwr, 'pretrain', '--out', out, '--words', small.words, '--fonts', small.fonts, '--charset', ''.join(small.charset.chars), '--steps', 3)
    return out, r

def files(d): return {str(p.relative_to(d)) for p in d.rglob('*') if p.is_file()}

def test_pretrain_writes_once(model):
    out, r = model
    assert r.stdout.count('m.safetensors')==1 and files(out.parent)=={'m.safetensors', 'm.run/report.json'}
    from hwr_nb.recognize import Recognizer
    p = Recognizer.load(out).provenance
    assert (p['steps'], p['words_seen'])==(3, 192)

def test_place_is_checked_once(hwr, small, model):
    r = together(hwr, 'pretrain', '--out', model[0], '--words', small.words, '--fonts', small.fonts, '--steps', 3, code=1)
    assert r.stderr.count('will not be overwritten')==1

STEPS = """
import runpy, sys
import hwr_nb.selftrain as S
budget, S.Budget = S.Budget, lambda lr, minutes, steps, **kw: budget(lr, None, 20, **kw)
sys.argv[0] = 'hwr-selftrain'
runpy.run_path(f'{sys.prefix}/bin/hwr-selftrain', run_name='__main__')
"""

def test_selftrain_shares_pseudo_labels(hwr, small, parrot, tmp_path, tmp_path_factory):
    "The command with a budget of batches, of which a slow machine does as many"
    out, script = tmp_path/'mine.safetensors', tmp_path_factory.mktemp('steps')/'steps.py'
    script.write_text(STEPS)
    r = call(*launcher(hwr), script, '--model', parrot, '--unlabeled', small.crops, '--labeled', small.crops, '--out', out, '--minutes', .1, '--rounds', 2, '--words', small.words, cwd=hwr.away)
    assert r.stdout.count('round 1:')==1 and len(re.findall(r'round \d is returned', r.stdout))==1
    assert files(tmp_path)=={'mine.safetensors', *(f'mine.run/{f}' for f in ('history.csv', 'report.json', 'report.html', 'pseudo_labels/round-1.tsv', 'pseudo_labels/round-2.tsv'))}
    rows = [l.split('\t') for l in (tmp_path/'mine.run'/'pseudo_labels'/'round-1.tsv').read_text().splitlines()]
    assert [x[0] for x in rows]==sorted(p.name for p in small.crops.glob('*.png')) and {x[1] for x in rows}=={'a'}
    assert len(json.loads((tmp_path/'mine.run'/'report.json').read_text())['rounds'])==3

LOOK = """
import sys, numpy as np
from types import SimpleNamespace
from hwr_nb.selftrain import *
from hwr_nb.selftrain import label, lexicon_of, load_crops
from hwr_nb.recognize import Recognizer
model, crops, words = sys.argv[1:]
rec = Recognizer.load(model)
names, inks, _ = load_crops(crops)
vocab, lex = vocabulary(words), lexicon_of(words, rec.charset)
pl = PseudoLabels(inks, names, vocab, None, lexicon=lex)
pl.teacher, pl.learn = lambda: rec, SimpleNamespace(budget=SimpleNamespace(seconds=0., t0=0.))
pl.look()
one, two = label(rec, inks, vocab, lex), pl.lab
assert len(set(one['texts'])) > 5
for k in ('plain', 'texts'): assert one[k]==two[k], k
for k in ('stable', 'known', 'good'): assert one[k].dtype==two[k].dtype and (one[k]==two[k]).all(), k
assert np.allclose(one['conf'], two['conf'], atol=1e-4)
"""

def test_labels_are_those_of_one_process(hwr, small, tmp_path):
    (tmp_path/'look.py').write_text(LOOK)
    call(*launcher(hwr), tmp_path/'look.py', base if base.exists() else small.model, small.crops, small.words, cwd=hwr.away)

def test_read_gives_what_one_process_gives(hwr, small, tmp_path):
    (tmp_path/'cut.png').write_bytes(b'')
    what = (small.crops, tmp_path/'cut.png', '--model', small.model)
    one = hwr('read', *what, '--out', tmp_path/'one.tsv', code=1)
    two = together(hwr, 'read', *what, '--out', tmp_path/'two.tsv', code=1)
    a, b = ([l.split('\t') for l in (tmp_path/f'{n}.tsv').read_text().splitlines()] for n in ('one', 'two'))
    assert [(x[0], x[1]) for x in a]==[(x[0], x[1]) for x in b] and len(a)==25
    assert np.allclose([float(x[2]) for x in a], [float(x[2]) for x in b], atol=1e-3)
    assert two.stderr.count('1 of 25 could not be read')==one.stderr.count('1 of 25 could not be read')==1
    assert not re.search(r'process 1\b', two.stderr), two.stderr        # the other one ends as well as it can

def test_what_cannot_be_shared_says_so(hwr, small, tmp_path):
    for name, args in dict(eval=(small.crops, '--model', small.model), demo=('--out', tmp_path/'d')).items():
        r = together(hwr, name, *(('--labeled', *args) if name=='eval' else args), code=1)
        assert r.stderr.count('runs in one process, not in 2')==1 and not (tmp_path/'d').exists()

def started(launcher):
    "The processes that a launcher has started, by rank (it starts other helpers too, which soon end)"
    got = []
    for c in (c for f in Path(f'/proc/{launcher}/task').glob('*/children') for c in f.read_text().split()):
        try: m = re.search(r'(?:^|\0)RANK=(\d+)', Path(f'/proc/{c}/environ').read_text())
        except OSError: continue
        if m: got.append((int(m[1]), int(c)))
    return [c for _, c in sorted(got)]

@linux
@pytest.mark.slow
@pytest.mark.parametrize('name,victim', [('pretrain', 'rank 0'), ('pretrain', 'rank 1'), ('pretrain', 'launcher'), ('selftrain', 'launcher')])
def test_one_ends_all_end(hwr, small, parrot, tmp_path, name, victim):
    "A killed process takes the other with it; the launcher passes a signal on. What was learned is saved"
    out = tmp_path/'m.safetensors'
    if name=='selftrain': hwr('synth', '--out', tmp_path/'many', '--n', 600, '--words', small.words, '--fonts', small.fonts)      # fewer have been learned from often enough within seconds
    args = ('--out', out, '--words', small.words, *(('--fonts', small.fonts, '--charset', ''.join(small.charset.chars)) if name=='pretrain' else ('--model', parrot, '--unlabeled', tmp_path/'many', '--rounds', 2)))
    p = subprocess.Popen([str(a) for a in (*launcher(hwr), hwr.bin/f'hwr-{name}', *args, '--minutes', 10)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=hwr.away, env=env, start_new_session=True)
    ranks = []
    try:
        until = time.monotonic() + 120
        while p.poll() is None and time.monotonic() < until and not (len(ranks)==2 and all(workers(c) for c in ranks)):
            time.sleep(1)
            ranks = started(p.pid)
        assert len(ranks)==2, p.communicate()[1] if p.poll() is not None else 'no processes'
        time.sleep(10)                              # some steps
        if victim=='launcher': p.send_signal(signal.SIGTERM)
        else: os.kill(ranks[int(victim[-1])], signal.SIGKILL)
        said, err = p.communicate(timeout=60)
        assert p.returncode and not out.exists(), said + err
        until = time.monotonic() + 10
        while any(Path(f'/proc/{c}').exists() for c in ranks) and time.monotonic() < until: time.sleep(.2)
        assert not any(Path(f'/proc/{c}').exists() for c in ranks)
        if victim=='rank 0': return                 # it alone writes, every two minutes
        assert (tmp_path/'m.resume').exists(), err
        stopped = err.count(f'hwr-{name}: stopped; the same command with --resume goes on')
        assert stopped==1 or victim=='rank 1' and 'Another process of this run has ended' in err      # what it learns of first: the silence of the other, or the launcher's signal
        together(hwr, name, *args, *(('--steps', 2) if name=='pretrain' else ('--minutes', .05)), '--resume')
        assert out.exists() and not (tmp_path/'m.resume').exists()
    finally:
        if p.poll() is None: os.killpg(p.pid, signal.SIGKILL); p.wait()

def test_script_that_is_read_again(small, tmp_path):
    "Where processes start anew (Windows, a Mac), a script without a guard is read again by each; the error says so"
    (tmp_path/'s.py').write_text(f"""import multiprocessing
multiprocessing.set_start_method('spawn', force=True)
from hwr_nb.data import WordImages, word_dls
next(iter(word_dls(WordImages({str(small.crops)!r}), charset='en', workers=1, bs=2).train))
""")
    r = call(sys.executable, tmp_path/'s.py', code=1)
    assert "must stand under if __name__ == '__main__'" in r.stderr.splitlines()[-1]
