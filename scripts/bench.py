"""Speed of synthesis, training and reading on this machine, one JSON line per figure (medians of three repeats).

    python scripts/bench.py            # on a quiet machine
"""
import json, os, statistics, tempfile, time
from pathlib import Path

import torch

from hwr_nb.data import WordImages, ink_image, word_dls
from hwr_nb.learner import Budget, hwr_learner
from hwr_nb.model import HTRNet
from hwr_nb.pretrain import training_fonts
from hwr_nb.recognize import Recognizer
from hwr_nb.synth import WordSynth, synth_folder
from hwr_nb.text import Charset

REPEATS = 3

def say(what, values, **more): print(json.dumps(dict(what=what, median=round(statistics.median(values), 1), all=[round(v, 1) for v in values], **more)), flush=True)

def timed(f):
    t = time.perf_counter(); f(); return time.perf_counter() - t

def synthesis(n=1500):
    ws = WordSynth(seed=5); [ws[i] for i in range(300)]
    say('synthesis, images/s per core, in memory', [n / timed(lambda: [ws[i] for i in range(k * n, (k + 1) * n)]) for k in range(REPEATS)])
    ws = [WordSynth(seed=5)[i][0] for i in range(300)]
    say('mean width over height of an ink image', [statistics.mean(ink_image(a).shape[1] / 32 for a in ws)])

def training(steps=40):
    charset = Charset.named('en')
    dls = word_dls(WordSynth(seed=6, fonts=training_fonts()[0], n=1 << 40), WordSynth(seed=7, n=64), charset, 64, 1, steps, 3)
    learn = hwr_learner(dls, HTRNet(len(charset) + 1), charset, cbs=Budget(1e-3, steps=10**6))
    learn.remove_cbs([c for c in learn.cbs if c.name in ('lines', 'progress')])
    rates = []
    with learn.no_logging():
        learn.fit(1)                                    # warm-up
        for _ in range(REPEATS): rates.append(64 * steps / timed(lambda: learn.fit(1)))
    say('training, words/s, whole loop with drawing and augmentation', rates, threads=torch.get_num_threads())

def reading(n=1000):
    rec = Recognizer.load('base')
    with tempfile.TemporaryDirectory() as d:
        synth_folder(Path(d) / 'words', n, seed=8)
        wi = WordImages(Path(d) / 'words', labels=None)
        rec.read(wi.files[:100])
        for threads in (1, torch.get_num_threads()):
            torch.set_num_threads(threads)
            say('reading PNG files, words/s', [n / timed(lambda: rec.read(wi)) for _ in range(REPEATS)], threads=threads)
        one = wi.files[:50]
        say('latency of one crop, ms', [1000 * timed(lambda: [rec.read(f) for f in one]) / 50 for _ in range(REPEATS)])

if __name__ == '__main__':
    print(json.dumps(dict(what='machine', cores=os.cpu_count(), torch=torch.__version__, capabilities=[k for k, v in torch.cpu.get_capabilities().items() if v is True and k.startswith(('avx', 'amx'))])))
    synthesis(); training(); reading()
