"""Speed of synthesis, training and reading on this machine, one JSON line per figure, medians of three repeats.

    python scripts/bench.py [--peer PYTHON --fonts DIR] [--out FILE.json] [WHAT...]

Run it on a quiet machine. WHAT is any of synth, peak, lstm, train, read, bf16, start (all without it). With `--peer`, an interpreter that has the packages named in bench_peers.py, their tools are measured in the same run on the same words,
with the .ttf and .otf files in DIR. Every figure is taken in a process of its own.
"""
import argparse, gc, json, os, resource, statistics, subprocess, sys, tempfile, time
from pathlib import Path

HERE = Path(__file__).resolve()
CORES = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()

def say(what, values, **more): print(json.dumps(dict(what=what, median=round(statistics.median(values), 2), all=[round(v, 2) for v in values], **more)), flush=True)
def timed(f): t = time.perf_counter(); f(); return time.perf_counter() - t
def rates(n, f, repeats=3): return [n / timed(f) for _ in range(repeats)]
def peak_mb(who=resource.RUSAGE_SELF): return round(resource.getrusage(who).ru_maxrss / 1024)

def synth(words):
    from hwr_nb.data import ink_image
    from hwr_nb.synth import WordSynth, synth_folder
    ws, n = WordSynth(seed=5), 1000
    gc.freeze()             # as the processes that draw do
    some = ws.__getitems__(range(300))
    say('synthesis, images/s on one core, in memory', rates(n, lambda: ws.__getitems__(range(n))))
    say('width over height of an ink image, mean', [statistics.mean(ink_image(a).shape[1] / 32 for a, _ in some)])
    for k in (1, CORES):
        with tempfile.TemporaryDirectory() as d:
            full = [timed(lambda: synth_folder(Path(d)/f'{k}-{r}', 4500, workers=k)) for r in range(3)]
            less = [timed(lambda: synth_folder(Path(d)/f'{k}-{r}-', 500, workers=k)) for r in range(3)]
        say('synthesis to PNG files, images/s, without the start', [4000 / (a - b) for a, b in zip(full, less)], workers=k)

def peak(words):
    import torch
    for name in ('float32', 'bfloat16'):
        a, b = torch.randn(2, 2048, 2048).to(getattr(torch, name))
        a @ b
        say(f'matrix product in {name}, billion floating-point operations/s', rates(2 * 2048**3 * 4 / 1e9, lambda: [a @ b for _ in range(4)], 5), threads=torch.get_num_threads())

def lstm(words):
    import torch
    from hwr_nb.model import bf16_pays
    kind, reps = torch.bfloat16 if bf16_pays() else torch.float32, 20
    def took(what, n, f, **more): f(); say(what, [1e6 * timed(lambda: [f() for _ in range(reps)]) / reps / n for _ in range(3)], words=n, threads=torch.get_num_threads(), **more)
    net = torch.nn.LSTM(384, 192).to(kind)
    for n in (56, 58, 59, 60, 64):
        x = torch.randn(17, n, 384).to(kind)
        with torch.inference_mode(): took('LSTM of 17 steps, microseconds per word', n, lambda: net(x))
    for units in (128, 160, 184, 192, 200, 224, 256):
        net, x = torch.nn.LSTM(2 * units, units).to(kind), torch.randn(17, 32, 2 * units).to(kind).requires_grad_()
        took('the same, there and back', 32, lambda: net(x)[0].sum().backward(), units=units)

def train(words):
    import torch
    from hwr_nb.data import word_dls
    from hwr_nb.learner import Budget, Callback, hwr_learner
    from hwr_nb.model import HTRNet, bf16_pays, ctc_loss
    from hwr_nb.synth import WordSynth
    from hwr_nb.text import Charset
    charset, steps = Charset.named('en'), 250          # as many batches as half an epoch of pretraining has
    dls = word_dls(WordSynth(seed=6, n=1 << 40), WordSynth(seed=7, n=64), charset, 64, 1, steps, 3)
    learn = hwr_learner(dls, HTRNet(len(charset) + 1), charset, cbs=Budget(1e-3, steps=10**6))
    learn.remove_cbs([c for c in learn.cbs if c.name in ('lines', 'progress')])
    class Clock(Callback):
        def before_train(self): out.append(-time.perf_counter())
        def after_train(self): out.append(time.perf_counter())
    out = []
    learn.add_cb(Clock())
    with learn.no_logging(), learn.no_bar(): learn.fit(4)
    say('training, words/s, whole loop with drawing', [64 * steps / (a + b) for a, b in zip(out[::2], out[1::2])][1:], threads=torch.get_num_threads(), peak_mb=peak_mb(), peak_mb_of_a_worker=peak_mb(resource.RUSAGE_CHILDREN),
        parameters=sum(p.numel() for p in learn.model.parameters()), batches=steps)
    batches = [b for b, _ in zip(dls.train, range(32))]
    half = bf16_pays()
    net, parts = HTRNet(len(charset) + 1), dict(forward=0., backward=0., optimizer=0.)
    opt = torch.optim.AdamW(net.parameters(), 1e-4, fused=True)
    def step(x, w, y):
        t = [time.perf_counter()]; tick = lambda: t.append(time.perf_counter())
        with torch.autocast('cpu', torch.bfloat16, enabled=half): pred = net(x, w)
        loss = ctc_loss(pred, y); tick()
        loss.backward(); tick()
        opt.step(); opt.zero_grad(); tick()
        for k, a, b in zip(parts, t, t[1:]): parts[k] += b - a
    for b in batches[:6]: step(*b)
    parts.update(dict.fromkeys(parts, 0.))
    out = rates(64 * 26, lambda: [step(*b) for b in batches[6:]])
    say('training step, words/s, one after the other', out, threads=torch.get_num_threads(), shares={k: round(v / sum(parts.values()), 3) for k, v in parts.items()})

def read(words):
    import torch
    from hwr_nb.data import WordImages
    from hwr_nb.recognize import Recognizer, open_inks
    rec, wi = Recognizer.load('base'), WordImages(words)
    n, threads = len(wi), torch.get_num_threads()
    rec.read(wi.files[:100])
    inks, _ = open_inks(wi.files)
    say('reading from memory, words/s', rates(n, lambda: rec.read_inks(inks)), threads=threads)
    for what, k, fast in (('reading PNG files, words/s', 5, True), ('the same, doubtful words looked at five times', 1, False)):
        say(what, rates(k * n, lambda: rec.read(wi.files * k, fast=fast)), threads=threads, processes_that_open=threads, files=k * n, peak_mb=peak_mb(), looks=1 if fast else 5)
    for fast in (True, False): say('latency of one crop, ms', [1000 * timed(lambda: [rec.read(f, fast=fast) for f in wi.files[:50]]) / 50 for _ in range(3)], threads=threads, looks=1 if fast else 5)

def bf16(words):
    import hwr_nb.model
    from hwr_nb.data import WordImages
    from hwr_nb.recognize import Recognizer
    rec, files, got = Recognizer.load('base'), WordImages(words).files, {}
    for on in (False, True):
        hwr_nb.model.bf16_pays = lambda device, on=on: on
        got[on] = [[r.text for r in rec.read(files, fast=fast)] for fast in (True, False)]
    for looks, a, b in zip((1, 5), got[False], got[True]): say(f'readings that differ in bfloat16, of {len(files):,}', [sum(x != y for x, y in zip(a, b))], looks=looks)

def start(words):
    file = str(next(Path(words).glob('*.png')))
    say('hwr-read, seconds from start to the answer for one crop', [timed(lambda: subprocess.run([Path(sys.executable).with_name('hwr-read'), file], check=True, capture_output=True)) for _ in range(3)])

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('what', nargs='*', metavar='WHAT'); p.add_argument('--peer'); p.add_argument('--fonts'); p.add_argument('--out', type=Path)
    a = p.parse_args()
    a.peer, a.fonts = (x and os.path.abspath(x) for x in (a.peer, a.fonts))
    if a.peer and not (a.fonts and any(f.suffix in ('.ttf', '.otf') for f in Path(a.fonts).iterdir())): p.error('--peer needs --fonts, a folder with .ttf or .otf files in it, not in folders below')
    import torch
    from hwr_nb.synth import synth_folder
    caps = torch.cpu.get_capabilities()
    lines = [json.dumps(dict(what='machine', cores=CORES, torch=torch.__version__, load=round(os.getloadavg()[0], 2), has=[k for k, v in caps.items() if v is True and k.startswith(('avx', 'amx'))]))]
    print(lines[0], flush=True)
    jobs = [('synth', 1, ['lafhterlearn-synth', 'trdg-synth'], 1), ('peak', CORES, [], 1), ('lstm', 1, [], 1), ('train', CORES, ['lafhterlearn-train'], CORES), ('read', 1, ['lafhterlearn-read', 'rapidocr-read'], 1), ('read', CORES, ['lafhterlearn-read', 'rapidocr-read'], CORES), ('bf16', CORES, [], 1), ('start', CORES, [], 1)]
    with tempfile.TemporaryDirectory() as d:
        synth_folder(Path(d)/'words', 1000, seed=8, workers=CORES)
        for what, omp, peers, n in jobs:
            if a.what and what not in a.what: continue
            runs = [[sys.executable, HERE, '--inner', what, f'{d}/words']] + [[a.peer, HERE.with_name('bench_peers.py'), w, f'{d}/words', a.fonts] for w in peers if a.peer]
            for run in runs:
                r = subprocess.run(run, env=os.environ | dict(OMP_NUM_THREADS=str(omp)), stdout=subprocess.PIPE, text=True, cwd=d)      # lafhterlearn leaves a log where it is run
                print(r.stdout, end='', flush=True); lines += r.stdout.splitlines()
                if r.returncode: print(json.dumps(dict(what=str(run[2]), skipped=f'ended with exit code {r.returncode}')), flush=True)
    if a.out: a.out.write_text(json.dumps([json.loads(l) for l in lines if l.startswith('{')], indent=1) + '\n')

if __name__ == '__main__':
    if sys.argv[1:2] == ['--inner']: globals()[sys.argv[2]](sys.argv[3])
    else: main()
