"""Speed of other people's tools on this machine, one JSON line per figure. `bench.py --peer PYTHON` runs it; it imports nothing of hwr_nb.

    python scripts/bench_peers.py WHAT WORDS FONTS      # WHAT: lafhterlearn-synth, lafhterlearn-train, lafhterlearn-read, trdg-synth, rapidocr-read

WORDS is a folder of word crops with labels.tsv (`hwr-synth --out`), FONTS a folder of .ttf and .otf files. In an environment of its own:
`pip install torch torchvision pillow numpy scipy nltk h5py opencv-python-headless tqdm "setuptools<81"` then `pip install --no-deps lafhterlearn==0.7.1 torchmetrics==0.11.4 lightning-utilities trdg==1.8.0 rapidocr==3.10.0`
and what rapidocr asks for (onnxruntime among it). Patched is only what present libraries force: `ImageFont.FreeTypeFont.getsize`, gone from Pillow, is given back to trdg. Batch sizes and options are the tools' defaults.
"""
import contextlib, io, json, os, random, statistics, sys, tempfile, time, warnings
from pathlib import Path

from PIL import Image, ImageFont

warnings.filterwarnings('ignore')

def rates(n, f, repeats=3):
    "Items per second of wall time, several times"
    out = []
    for _ in range(repeats):
        t = time.perf_counter(); f(); out.append(n / (time.perf_counter() - t))
    return out

def say(what, values, **more): print(json.dumps(dict(what=what, median=round(statistics.median(values), 2), all=[round(v, 2) for v in values], **more)), flush=True)

def crops(folder, n=None):
    rows = [l.split('\t') for l in (Path(folder)/'labels.tsv').read_text(encoding='utf-8').splitlines()][:n]
    return [Path(folder)/r[0] for r in rows], [r[1] for r in rows]

def laf(words, fonts):
    "lafhterlearn with its default configuration, fed the words of `words` by frequency, letters only, 14 characters at most, as its `word_distr` makes them"
    from lafhterlearn.configuration import Configuration
    d, count = tempfile.mkdtemp(), {}
    for t in crops(words)[1]:
        if t.isalpha() and t.isascii() and len(t) <= 14: count[t] = count.get(t, 0) + 1
    with open(f'{d}/w.csv', 'w') as f: f.writelines(f'{w},{c / sum(count.values())!r}\n' for w, c in count.items())
    c = Configuration()
    c.fonts_dir, c.sampler_data_file, c.session_dir, c.tuning_data_dir, c.device = fonts, f'{d}/w.csv', f'{d}/session', f'{d}/none', 'cpu'
    return c

def laf_env(words, fonts):
    from lafhterlearn.cmd_api.make_session import prepare_session
    from lafhterlearn.environment import Environment
    c = laf(words, fonts)
    c.training_set_size, c.validation_set_size = 32, 32
    prepare_session(c)
    return c, Environment(c)

def lafhterlearn_synth(words, fonts, n=600):
    from lafhterlearn.datasets import SyntheticOnlineDataset
    from lafhterlearn.word_samplers import FrequencyBasedSampler
    c = laf(words, fonts)
    ds = SyntheticOnlineDataset(fonts, n, word_sampler=FrequencyBasedSampler(c.sampler_data_file, **c.sampler_kwargs), **c.data_generator_options)
    ims = [ds[i][0] for i in range(50)]
    say('lafhterlearn: synthesis, images/s', rates(n, lambda: [ds[i] for i in range(n)]), width_over_height=round(statistics.mean(i.width / i.height for i in ims), 2))

def lafhterlearn_train(words, fonts):
    import torch
    c, env = laf_env(words, fonts)
    tr, widths = env.training_loop.trainer, []
    own = tr.recognizer.image_preprocessor
    def spy(ims): b = own(ims); widths.append([i.width * min(1, 64 / i.height) for i in ims]); return b
    tr.recognizer.image_preprocessor = spy
    next(iter(tr))                                              # warm-up
    def epoch():
        env.training_loop.epochs = env.training_loop.starting_epoch = epoch.k = epoch.k + 1
        with contextlib.redirect_stdout(io.StringIO()):
            for _ in env.training_loop: pass
    epoch.k = 0
    say('lafhterlearn: training, words/s, its own loop', rates(32, epoch), threads=torch.get_num_threads())
    ims, text = next(iter(tr.data_loader)); b = own(ims)
    w = round(statistics.mean(x for r in widths for x in r) / 32) * 32
    tr.recognizer.image_preprocessor = lambda _: b[..., :w].contiguous()
    tr.train_one_iteration(ims, text)
    say('lafhterlearn: training step, words/s, batch cut to the mean width of its words', rates(32, lambda: tr.train_one_iteration(ims, text)), width=w, threads=torch.get_num_threads())

def lafhterlearn_read(words, fonts, n=32):
    import torch
    from lafhterlearn.decoding import decode_output_batch
    from lafhterlearn.image_pipelines import make_validation_pipeline
    from lafhterlearn.recognition import WordRecognitionPipeline
    c, env = laf_env(words, fonts)
    env.neural_pipeline.eval_mode()
    rec = WordRecognitionPipeline(env.neural_pipeline, env.training_loop.trainer.tokenizer, make_validation_pipeline(c.max_image_width, c.image_height, c.resize_images))
    files, _ = crops(words, n)
    def read():
        with torch.no_grad():
            for f in files: decode_output_batch(rec([Image.open(f).convert('L')]), rec.tokenizer)
    read()
    say('lafhterlearn: reading files, words/s', rates(n, read), threads=torch.get_num_threads())

def trdg_synth(words, fonts, n=200):
    ImageFont.FreeTypeFont.getsize = lambda self, t: self.getbbox(t)[2:]
    from trdg.data_generator import FakeTextDataGenerator as G
    texts, fs = crops(words)[1], [str(f) for f in sorted(Path(fonts).iterdir()) if f.suffix in ('.ttf', '.otf')]
    random.seed(0)
    def one(waves=(0, 0)): return G.generate(0, random.choice(texts), random.choice(fs), None, 64, 'png', 5, True, 1, True, 0, *waves, False, 0, -1, 0, '#000000,#404040', 0, 1.0, 0, (5, 5, 5, 5), True, False, False, '')
    for what, waves in (('height 64, skew 5, blur 1, noisy paper', (0, 0)), ('the same with its random waves, both ways', (3, 2))):
        for _ in range(20): one(waves)
        say('trdg: synthesis, images/s, ' + what, rates(n, lambda: [one(waves) for _ in range(n)]))

def rapidocr_read(words, fonts, n=200):
    from rapidocr import RapidOCR
    threads = int(os.environ.get('OMP_NUM_THREADS', 1))
    ocr = RapidOCR(params={'EngineConfig.onnxruntime.intra_op_num_threads': threads, 'EngineConfig.onnxruntime.inter_op_num_threads': 1, 'Global.log_level': 'error'})
    files, _ = crops(words, n)
    def read():
        for f in files: ocr(str(f), use_det=False, use_cls=False, use_rec=True)
    read()
    say('rapidocr: reading files, recognition only, words/s', rates(n, read), threads=threads)

if __name__ == '__main__':
    what, words, fonts = sys.argv[1:]
    try: globals()[what.replace('-', '_')](words, fonts)
    except ImportError as e: print(json.dumps(dict(what=what, skipped=f'not installed here: {e}')), flush=True)
