"Long use: memory and open files stay as they are, however many crops are read and however many rounds are trained. The long ones run with `pytest -m slow -s -n 0`"
import json, os, subprocess, time
from pathlib import Path
import pytest
from conftest import env
from test_commands import parrot

pytestmark = pytest.mark.skipif(not Path('/proc/self/fd').exists(), reason='needs /proc to see memory and open files')
MB, slow = 1024, pytest.mark.slow       # /proc counts in kB

def kb(pid, key): return next(int(l.split()[1]) for l in Path(f'/proc/{pid}/status').read_text().splitlines() if l.startswith(f'{key}:'))

def watch(p, done, every=.1):
    "(work done, memory, open files, highest memory so far) of a process, ten times a second, until it ends"
    seen = []
    while p.poll() is None:
        try: seen.append((done(), kb(p.pid, 'VmRSS'), len(os.listdir(f'/proc/{p.pid}/fd')), kb(p.pid, 'VmHWM')))
        except (OSError, StopIteration): pass       # it has just ended
        time.sleep(every)
    return seen

def archive(crops, to, n):
    "`n` crops in folders of a thousand: hard links to a few"
    for k in range(n):
        d = to/f'{k//1000:03}'
        if k%1000==0: d.mkdir(parents=True)
        os.link(crops[k % len(crops)], d/f'{k:06}.png')
    return to

@pytest.mark.parametrize('n,warm', [(12_000, .4), pytest.param(200_000, .1, marks=slow)])
def test_reading_does_not_grow(hwr, small, tmp_path, n, warm):
    "Once it is under way, `hwr-read` takes no more memory or files: what it takes at most in the last tenth is what it took at the start. It never takes 1 GB"
    hwr('synth', '--out', tmp_path/'crops', '--n', 300, '--words', small.words, '--fonts', small.fonts, '--workers', 1)
    folder, out = archive(sorted((tmp_path/'crops').glob('*.png')), tmp_path/'archive', n), tmp_path/'out'/'r.tsv'
    start = time.monotonic()
    p = subprocess.Popen([hwr.bin/'hwr-read', folder, '--model', small.model, '--out', out], cwd=hwr.away, env=env, stderr=subprocess.PIPE, text=True)
    try: seen = watch(p, lambda: sum(f.stat().st_size for f in out.parent.glob('.*.tmp')))
    finally: p.kill()
    took, size = time.monotonic()-start, out.stat().st_size
    assert p.returncode==0 and not [l for l in p.stderr.read().splitlines() if f'of {n:,}' not in l]
    with out.open(encoding='utf-8') as f: assert sum(l.count('\t')==2 for l in f)==n
    part = lambda a, b: [s[1:] for s in seen if a*size <= s[0] <= b*size]
    early, late, peak = part(warm, warm+.1), part(.9, 1), max(s[3] for s in seen)
    print(f'{n:,} crops in {took:.0f} s: {max(early)[0]/MB:.0f} MB early, {max(late)[0]/MB:.0f} MB late, {peak/MB:.0f} MB at most; open files {max(s[2] for s in seen)}')
    assert max(late)[0]-max(early)[0] < 50*MB and peak < 1000*MB       # kernels for widths that come for the first time are kept: in bfloat16 some 35 MB
    assert max(f for _, f, _ in late) <= max(f for _, f, _ in early)

TRAIN = '''
import json, os, re, sys
from pathlib import Path
from hwr_nb.selftrain import selftrain
model, crops, words, out, rounds = sys.argv[1:]
def children(): return sum(len(f.read_text().split()) for f in Path('/proc/self/task').glob('*/children'))
def look(line):
    if re.match(r'round \\d+:', line): print(json.dumps([int(re.search(r'VmRSS:\\s*(\\d+)', Path('/proc/self/status').read_text())[1]), len(os.listdir('/proc/self/fd')), children()]), flush=True)
rec = selftrain(model, crops, out, steps=2*int(rounds), rounds=int(rounds), words=words, bs=8, say=look)
'''

@pytest.mark.parametrize('rounds', [12, pytest.param(100, marks=slow)])
def test_self_training_does_not_grow(hwr, small, parrot, tmp_path, rounds):
    "From round to round self-training, which begins each with new labels and a new worker, takes no more memory, files or processes"
    out, start = tmp_path/'m.safetensors', time.monotonic()
    r = subprocess.run([hwr.bin/'python', '-c', TRAIN, parrot, small.crops, small.words, out, str(rounds)], cwd=hwr.away, env=env, capture_output=True, text=True, timeout=1200)
    assert r.returncode==0 and out.exists(), r.stderr
    rows = list(map(json.loads, r.stdout.splitlines()))
    assert len(rows)==rounds+1              # the last look, after the last round
    memory, files, processes = zip(*rows[5:])     # in bfloat16 kernels for widths that come for the first time are kept, some 35 MB
    print(f'{rounds} rounds in {time.monotonic()-start:.0f} s: {memory[0]/MB:.0f} MB after round 5, {memory[-1]/MB:.0f} MB after the last, {max(memory)/MB:.0f} MB at most; open files {files[0]} and {files[-1]}, workers {processes[0]} and {processes[-1]}')
    assert max(memory)-memory[0] < 50*MB and max(files) <= files[0]+2 and max(processes) <= 2
