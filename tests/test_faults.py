"""Faults, injected one by one. Each docstring says: fault | how it is injected | what happens; nbs/faults.ipynb makes a table of them"""
import builtins, contextlib, csv, errno, importlib, io, json, multiprocessing, os, pickle, re, runpy, shutil, signal, stat, struct, subprocess, sys, threading, time, warnings, zlib
from contextvars import Context
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
import numpy as np, pytest
from PIL import Image
from conftest import env, root

LETTERS = 'aehinorst'
linux = pytest.mark.skipif(not Path('/proc/self/fd').exists(), reason='needs /proc to see which file is written')

# --- tools

def cli(name, *args):
    "A command in this process: (exit code, stdout, stderr). No traceback is ever allowed"
    import hwr_nb.cli
    file, out, err, argv = Path(os.environ['FAULTS'])/f'hwr-{name}', io.StringIO(), io.StringIO(), sys.argv
    file.write_text('import sys\nsys.exit(main())')
    sys.argv, code = [str(file), *map(str, args)], 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            Context().run(runpy.run_path, str(file), dict(main=getattr(hwr_nb.cli, f'hwr_{name}')), '__main__')
    except SystemExit as e: code = e.code or 0
    finally: sys.argv = argv
    assert 'Traceback' not in err.getvalue()
    return code, out.getvalue(), err.getvalue()

def refuses(name, *args, words=()):
    "The command fails with one line on stderr, which holds all `words`"
    t = time.process_time()
    code, out, err = cli(name, *args)
    assert code==1 and err.startswith(f'hwr-{name}: ') and err.count('\n')==1, (code, out, err)
    for w in words: assert str(w) in err, (w, err)
    return time.process_time() - t

@pytest.fixture(scope='session', autouse=True)
def scratch(tmp_path_factory):
    import hwr_nb.recognize         # what the tests time is the work, not the import
    os.environ['FAULTS'] = str(tmp_path_factory.mktemp('scripts'))

@pytest.fixture(scope='session')
def tiny(tmp_path_factory):
    "Twelve crops with labels, and two small models: one reads nonsense, the other an `a` whatever it sees, and is sure"
    import torch
    from hwr_nb.fonts import FontBook
    from hwr_nb.model import HTRNet
    from hwr_nb.recognize import Recognizer
    from hwr_nb.synth import synth_folder
    from hwr_nb.text import Charset
    d, cs = tmp_path_factory.mktemp('faults'), Charset(LETTERS)
    (d/'words.tsv').write_text('the\t9\nhorses\t5\nare\t4\nhere\t3\nit\t2\na\t2\n')
    synth_folder(d/'crops', 12, words=d/'words.tsv', fonts=FontBook.default().split(['Kalam'])[1], charset=cs)
    torch.manual_seed(0)
    net = HTRNet(len(cs)+1, dims=(4, 8, 8, 16, 8), hidden=8, speller=(8, 1, 2, 16))
    net.head.weight.data.mul_(20)
    Recognizer(net, cs).save(d/'model.safetensors')
    with torch.no_grad(): net.head.weight.zero_(); net.head.bias.zero_(); net.head.bias[1] = 9
    Recognizer(net, cs).save(d/'parrot.safetensors')
    good = sorted((d/'crops').glob('*.png'))
    return SimpleNamespace(dir=d, crops=d/'crops', good=good[0], other=good[1], model=d/'model.safetensors', parrot=d/'parrot.safetensors', words=d/'words.tsv', charset=cs)

def goes_on(tiny, *bad, words=()):
    "Bad files between two good crops: the good ones are read, each bad one has a row that names it and says `words`, exit code 1 and a last line that counts"
    code, out, err = cli('read', tiny.good, *bad, tiny.other, '--model', tiny.model, '--format', 'jsonl')
    rows = [json.loads(l) for l in out.splitlines()]
    wrong = [r for r in rows if 'error' in r]
    assert code==1 and err==f'hwr-read: {len(wrong)} of {len(rows)} could not be read; their rows say why\n' and len(wrong)==len(bad) and len(rows)==len(bad)+2
    for b, r in zip(bad, wrong): assert str(b) in r['error'] and r['text']=='' and r['confidence']==0
    for w in words: assert w in wrong[0]['error'], wrong[0]
    return wrong

def reading(tiny, *files):
    "Readings of files that must all be read"
    code, out, err = cli('read', *files, '--model', tiny.model, '--format', 'jsonl')
    assert (code, err)==(0, ''), err
    return [json.loads(l) for l in out.splitlines()]

def refuse_to_open(monkeypatch, path):
    "The system says no for this path. (Tests may run as root, who can read everything)"
    def deny(f):
        def g(p=None, *a, **kw):
            if isinstance(p, (str, Path)) and Path(p)==path: raise PermissionError(errno.EACCES, 'Permission denied', str(p))
            return f(p, *a, **kw) if p is not None else f(*a, **kw)
        return g
    monkeypatch.setattr(builtins, 'open', deny(open)); monkeypatch.setattr(os, 'scandir', deny(os.scandir))

# --- images

def test_zero_bytes(tiny, tmp_path):
    "image of zero bytes | an empty file | a row says it is no image; the rest is read, exit 1"
    f = tmp_path/'zero.png'; f.write_bytes(b'')
    goes_on(tiny, f, words=['not an image'])

@pytest.mark.parametrize('kind', ['PNG', 'JPEG', 'TIFF', 'WEBP'])
def test_truncated_image(tiny, tmp_path, kind):
    "truncated PNG, JPEG, TIFF, WebP | the first half of a good file | a row asks whether the file is complete; the rest is read, exit 1"
    f, whole = tmp_path/f'cut.{kind.lower()}', io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (60, 200), dtype=np.uint8)
    Image.fromarray(noise).save(whole, kind)
    f.write_bytes(whole.getvalue()[:len(whole.getvalue())//2])
    e = goes_on(tiny, f)[0]['error']
    assert 'complete' in e or 'not an image' in e

def test_text_named_png(tiny, tmp_path):
    "text named .png | a text file | a row says it is no image; the rest is read, exit 1"
    f = tmp_path/'text.png'; f.write_text('Dear Sir,')
    goes_on(tiny, f, words=['not an image', 'remove or convert'])

def test_postscript_named_png(tiny, tmp_path, monkeypatch):
    "program named .png | PostScript, which Pillow would hand to Ghostscript | no program is started; a row says it is no image"
    f = tmp_path/'ps.png'; f.write_bytes(b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n')
    monkeypatch.setattr(subprocess, 'Popen', lambda *a, **k: pytest.fail('started a program'))
    goes_on(tiny, f, words=['not an image'])

def chunk(kind, data): return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

@pytest.mark.parametrize('w,h', [(60_000, 60_000), (2**31-1, 2**31-1), (20_000, 2_001)])
def test_decompression_bomb(tiny, tmp_path, w, h):
    "decompression bomb | a PNG of 100 bytes that claims up to 2 147 483 647 pixels squared | refused by its size before a pixel is read, within a second"
    f = tmp_path/'bomb.png'
    f.write_bytes(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', w, h, 8, 0, 0, 0, 0)) + chunk(b'IDAT', zlib.compress(b'\0'*99)) + chunk(b'IEND', b''))
    t = time.process_time(); goes_on(tiny, f); assert time.process_time()-t < 2

@pytest.mark.parametrize('kind', ['TIFF', 'GIF', 'PNG', 'WEBP'])
def test_many_pictures_in_one_file(tiny, tmp_path, kind):
    "animated image, TIFF of several pages | two frames in one file | a row says that there is more than one; none is dropped in silence"
    a = Image.new('L', (90, 30), 255); b = a.copy(); b.paste(0, (20, 10, 60, 14)); f = tmp_path/f'two.{kind.lower()}'
    a.save(f, kind, save_all=True, append_images=[b])
    goes_on(tiny, f, words=['holds more than one picture'])

def tiff(path, *ims):
    "A TIFF of pictures, each with its subfile type"
    from PIL import TiffImagePlugin
    with TiffImagePlugin.AppendingTiffWriter(path, new=True) as f:
        for im, kind in ims: im.save(f, 'TIFF', tiffinfo={254: kind}); f.newFrame()
    return path

def test_sizes_of_one_picture(tiny, tmp_path):
    "TIFF with a thumbnail or a pyramid | smaller sizes of the word, marked as such, behind it and before it | the word is read in full size"
    im = Image.open(tiny.good).convert('L'); small = [(im.reduce(k), 1) for k in (2, 4, 8)]
    a, *rest = reading(tiny, tiny.good, tiff(tmp_path/'pyramid.tif', (im, 0), *small), tiff(tmp_path/'first.tif', small[-1], (im, 0)))
    assert [(r['text'], r['confidence']) for r in rest]==[(a['text'], a['confidence'])]*2

@pytest.mark.parametrize('kind', [0, 1])
def test_tiff_of_many_directories(tiny, tmp_path, kind):
    "TIFF of 50 000 directories | all of them pictures, or all but the first smaller sizes of it | a row says that it holds more than one picture, within a second; they are not counted"
    f, size = tmp_path/'many.tif', 2 + 9*12 + 4
    def directory(k, kind): return struct.pack('<H', 9) + b''.join(struct.pack('<HHII', t, 4, 1, v) for t, v in ((254, kind), (256, 90), (257, 30), (258, 8), (259, 1), (262, 1), (273, 8), (278, 30), (279, 2700))) + struct.pack('<I', (k < 49_999)*(2708 + (k+1)*size))
    f.write_bytes(b'II*\0' + struct.pack('<I', 2708) + bytes(2700) + b''.join(directory(k, kind*(k > 0)) for k in range(50_000)))
    t = time.process_time(); goes_on(tiny, f, words=['holds more than one picture']); assert time.process_time()-t < 4     # with room for a busy machine

def test_foreign_format(tiny, tmp_path):
    "format that cannot be opened | photo.heic in a folder of crops | found, and its row says to convert it"
    shutil.copy(tiny.good, tmp_path/'a.png'); (tmp_path/'photo.heic').write_bytes(b'\0\0\0\x18ftypheic' + bytes(40))
    code, out, err = cli('read', tmp_path, '--model', tiny.model)
    assert code==1 and '1 of 2' in err and 'photo.heic: not an image' in out

def test_every_ending(tiny, tmp_path):
    "less usual endings | .ppm, .pnm, .pbm, .jpe, .jfif, .j2k, .jpx, .apng in a folder, and a .pdf | the pictures are read, the PDF has a row that says to convert it; none passes unnoticed"
    im, kinds = Image.open(tiny.good).convert('L'), dict(ppm='PPM', pnm='PPM', pbm='PPM', jpe='JPEG', JFIF='JPEG', j2k='JPEG2000', jpx='JPEG2000', apng='PNG')
    for e, k in kinds.items(): (im.convert('1') if e=='pbm' else im).save(tmp_path/f'a.{e}', k)
    (tmp_path/'page.pdf').write_bytes(b'%PDF-1.7')
    code, out, err = cli('read', tmp_path, '--model', tiny.model)
    rows = {Path(l.split('\t')[0]).suffix[1:]: len(l.split('\t')) for l in out.splitlines()}
    assert code==1 and '1 of 9' in err and rows==dict.fromkeys(kinds, 3) | dict(pdf=4) and 'page.pdf: not an image' in out

@linux
def test_pipe_named_png(tiny, tmp_path):
    "named pipe called x.png | mkfifo, on the command line, in a folder, and named in labels.tsv | a row says it is no file; nothing waits for it, the rest is read, exit 1"
    f = tmp_path/'x.png'; os.mkfifo(f)
    free = threading.Timer(30, lambda: os.close(os.open(f, os.O_WRONLY | os.O_NONBLOCK))); free.start()        # who has opened it would wait for ever
    try:
        goes_on(tiny, f, words=['x.png: is a folder, a pipe or a device'])
        shutil.copy(tiny.good, tmp_path/'a.png'); assert len(goes_on_any(tiny, tmp_path, why='a pipe'))==1
        (tmp_path/'labels.tsv').write_text('a.png\tthe\nx.png\tit\n')
        refuses('eval', '--labeled', tmp_path, '--model', tiny.model, words=["'x.png'", '1 of 2 files are not there'])
    finally: free.cancel()

def test_unreadable_file(tiny, tmp_path, monkeypatch):
    "unreadable file | open() fails with EACCES | a row says permission denied; the rest is read, exit 1"
    f = tmp_path/'secret.png'; shutil.copy(tiny.good, f); refuse_to_open(monkeypatch, f)
    goes_on(tiny, f, words=['Permission denied'])

def test_file_names_that_cannot_be(tiny, tmp_path):
    "missing file, name too long, link to itself | such paths on the command line | a row for each; the rest is read, exit 1"
    loop = tmp_path/'loop.png'; loop.symlink_to(loop)
    goes_on(tiny, tmp_path/'none.png', tmp_path/('x'*300+'.png'), loop, words=['no such file'])

def test_empty_folder(tiny, tmp_path):
    "empty folders | two folders without images among good crops | a row for each says so and which endings are looked for"
    for n in 'ab': (tmp_path/n).mkdir()
    assert [r['path'] for r in goes_on_any(tiny, tmp_path/'a', tmp_path/'b', why='no images in it')]==[str(tmp_path/'a'), str(tmp_path/'b')]

def goes_on_any(tiny, *folders, why):
    "As `goes_on`, for folders, whose rows come first"
    code, out, err = cli('read', tiny.good, *folders, '--model', tiny.model, '--format', 'jsonl')
    wrong = [r for r in map(json.loads, out.splitlines()) if 'error' in r]
    assert code==1 and err.startswith(f'hwr-read: {len(wrong)} of') and why in wrong[0]['error']
    return wrong

def test_unreadable_folder(tiny, tmp_path, monkeypatch):
    "folder that cannot be opened | EACCES on one folder inside another | a row names it; the crops beside it are read, exit 1"
    (tmp_path/'shut').mkdir(); shutil.copy(tiny.good, tmp_path/'a.png'); refuse_to_open(monkeypatch, tmp_path/'shut')
    assert len(goes_on_any(tiny, tmp_path, why='Permission denied'))==1

def test_unreadable_folder_of_an_archive(tiny, tmp_path, monkeypatch):
    "closed folder in an archive (lost+found of a disk) | EACCES on a folder beside the crops to learn from, of hwr-demo's archive and of a collection; then on the crops' own folder | the crops beside it are used, it is named among what was left out; refused where it is all there is"
    from hwr_nb.demo import find_archive
    from hwr_nb.importers import import_words
    from hwr_nb.selftrain import load_crops
    unl = tmp_path/'unlabeled'; unl.mkdir(); said, shut = [], 'lost+found'
    for k in range(10): shutil.copy(tiny.good, unl/f'{k}.png')
    for d in (unl, tmp_path): (d/shut).mkdir()
    for d in (unl, tmp_path): refuse_to_open(monkeypatch, d/shut)
    names, _, bad = load_crops(unl, say=said.append)
    assert len(names)==10 and list(bad)==['lost+found/'] and any('left out lost+found/' in s and 'Permission denied' in s for s in said)
    assert find_archive(tmp_path)==(unl, None)
    with pytest.warns(UserWarning, match='Permission denied'): assert import_words(unl, tmp_path/'out', labels=False).n==10
    refuse_to_open(monkeypatch, unl)
    for use in (load_crops, lambda d: import_words(d, tmp_path/'more', labels=False)):
        with pytest.raises(ValueError, match='Permission denied'): use(unl)

def test_symlink_circle(tiny, tmp_path):
    "symbolic links in a circle | two folders that link to each other | each crop is read once"
    for a in 'xy': (tmp_path/a).mkdir(); shutil.copy(tiny.good, tmp_path/a/f'{a}.png')
    (tmp_path/'x'/'to-y').symlink_to('../y'); (tmp_path/'y'/'to-x').symlink_to('../x')
    assert sorted(Path(r['path']).name for r in reading(tiny, tmp_path))==['x.png', 'y.png']

def test_one_pixel(tiny, tmp_path):
    "1 x 1 image | a PNG of one black pixel | read, with low confidence or nothing in it"
    f = tmp_path/'dot.png'; Image.new('L', (1, 1), 0).save(f)
    r, = reading(tiny, f); assert r['confidence'] < .5 or not r['text']

def test_blank_page(tiny, tmp_path):
    "blank page | white and gray paper without ink | read with confidence 0"
    for k, tone in enumerate((255, 130)): Image.new('L', (300, 80), tone).save(tmp_path/f'{k}.png')
    assert [r['confidence'] for r in reading(tiny, tmp_path)]==[0, 0]

def test_very_wide(tiny, tmp_path):
    "crop 20 000 pixels wide | one long line | read within a second, in bounded memory; and a line says that it looks like more than a word"
    a = np.full((40, 20_000), 255, np.uint8); a[15:25, 50:-50:40] = 0
    f = tmp_path/'wide.png'; Image.fromarray(a).save(f)
    t = time.process_time(); code, out, err = cli('read', f, '--model', tiny.model); assert time.process_time()-t < 4     # with room for a busy machine
    assert (code, out.count('\n'))==(0, 1) and 'cut into words' in err, err

MODES = {'1': 'PNG', 'P': 'PNG', 'RGB': 'PNG', 'RGBA': 'PNG', 'LA': 'PNG', 'I;16': 'PNG', 'CMYK': 'TIFF', 'F': 'TIFF', 'I': 'TIFF'}
@pytest.mark.parametrize('mode', [*MODES, 'turned', '10 bit', 'up to 1'])
def test_unusual_modes(tiny, tmp_path, mode):
    "10-bit, 16-bit, 32-bit, fractions up to 1, CMYK, palette, transparent, black and white, EXIF-rotated | one word saved in each way | all are read alike"
    a = np.asarray(Image.open(tiny.good).convert('L')); im = Image.fromarray(np.where(a < 128, 0, 255).astype(np.uint8))
    im.save(tmp_path/'plain.png')
    if mode=='turned':
        f, ex = tmp_path/'t.tiff', Image.Exif(); ex[0x0112] = 6
        im.transpose(Image.Transpose.ROTATE_90).save(f, exif=ex)
    elif mode=='10 bit': Image.fromarray(np.asarray(im).astype(np.uint16) * 4).save(f := tmp_path/'m.png')
    elif mode=='up to 1': Image.fromarray(np.asarray(im).astype(np.float32) / 255).save(f := tmp_path/'m.tiff')
    else:
        f = tmp_path/f'm.{MODES[mode].lower()}'
        (Image.fromarray(np.asarray(im).astype(np.uint16)*257) if mode=='I;16' else im.convert(mode)).save(f)
    x, y = reading(tiny, tmp_path/'plain.png', f)
    assert x['text']==y['text'] and abs(x['confidence']-y['confidence']) < 1e-3

@linux
def test_odd_names(tiny, tmp_path):
    "names with spaces, tabs, line breaks, terminal codes, bytes that are no UTF-8 | files so named, one of them bad | read; one row stays one line, and nothing reaches the terminal raw"
    for n in (b'a b.png', b'tab\there.png', b'line\nbreak.png', b'caf\xe9.png', b'\x1b[31mred.png'): shutil.copy(tiny.good, os.fsencode(tmp_path) + b'/' + n)
    assert len({r['path'] for r in reading(tiny, tmp_path)})==5
    code, out, err = cli('read', tmp_path, '--model', tiny.model)
    assert code==0 and len(out.splitlines())==5 and r'line\nbreak.png' in out
    assert '\x1b' not in cli('read', tmp_path, '--model', tmp_path/'\x1b[31m.safetensors')[2]

@linux
def test_names_on_a_terminal(tiny, tmp_path):
    "a file name with terminal codes, read at a terminal | hwr-read in a pseudo terminal | the codes are shown and do nothing; in a file or a pipe the name stays as it is"
    import pty
    name = '\x1b]0;title\x07.png'
    (tmp_path/'c').mkdir(); shutil.copy(tiny.good, tmp_path/'c'/name)
    script = tmp_path/'hwr-read'; script.write_text('import sys\nfrom hwr_nb.cli import hwr_read\nsys.exit(hwr_read())')
    ours, theirs = pty.openpty()
    r = subprocess.run([sys.executable, script, tmp_path/'c', '--model', tiny.model], env=env | dict(PYTHONPATH=str(root)), stdout=theirs, stderr=subprocess.PIPE, text=True); os.close(theirs)
    got = os.read(ours, 10_000).decode(); os.close(ours)
    assert r.returncode==0 and '\x1b' not in got and '\x07' not in got and r'\x1b]0;title\x07.png' in got, (got, r.stderr)
    assert name in cli('read', tmp_path/'c', '--model', tiny.model)[1]

def test_same_name_in_two_folders(tiny, tmp_path):
    "one name in two folders | 1/a.png and 2/a.png | two rows, told apart by their folders; labels too"
    for k in '12': (tmp_path/k).mkdir(); shutil.copy(tiny.good, tmp_path/k/'a.png')
    assert [r['path'] for r in reading(tiny, tmp_path)]==[str(tmp_path/k/'a.png') for k in '12']
    (tmp_path/'labels.tsv').write_text('1/a.png\tthe\n2/a.png\tare\n')
    code, out, err = cli('eval', '--labeled', tmp_path, '--model', tiny.model, '--json', tmp_path/'e.json')
    assert (code, err)==(0, '') and json.loads((tmp_path/'e.json').read_text())['n']==2

# --- labels

def labeled(tiny, tmp_path, body, name='labels.tsv'):
    for k, f in enumerate(sorted(tiny.crops.glob('*.png'))[:3]): shutil.copy(f, tmp_path/f'{k}.png')
    (tmp_path/name).write_bytes(body if isinstance(body, bytes) else body.encode())
    return '--labeled', tmp_path, '--model', tiny.model

BAD_LABELS = {
    'missing file':    ('0.png\tthe\ngone.png\tit\n', ['1 of 2 files are not there', "'gone.png'"]),
    'wrong encoding':  ('0.png\tthe\n1.png\tcafé\n'.encode('latin-1'), ['not UTF-8', 'save it as UTF-8']),
    'UTF-16':          ('0.png\tthe\n'.encode('utf-16'), ['not UTF-8']),
    'empty text':      ('0.png\tthe\n1.png\t \n', ['line 2', 'a file name, a tab and a text']),
    'no tab':          ('0.png the\n', ['line 1']),
    'one file twice':  ('0.png\tthe\n1.png\tit\n0.png\tare\n', ["line 3: '0.png'", 'in line 1']),
    'nothing in it':   ('\n\n', ['no labels in it']),
    'name too long':   ('x'*5000 + '.png\tthe\n', ['not there']),
    'zero byte':       ('a\0b.png\tthe\n', ['not there'])}
@pytest.mark.parametrize('what', BAD_LABELS)
def test_bad_labels(tiny, tmp_path, what):
    "labels.tsv with missing files, wrong encoding, empty text, no tab, a file twice, nothing | such files | one sentence with the line, exit 1, before anything is read"
    body, words = BAD_LABELS[what]
    refuses('eval', *labeled(tiny, tmp_path, body), words=['labels.tsv', *words])

BAD_CSV = {'quote never closed':     ('0.png,the\n1.png,"\n2.png,it\n', ['line 3', 'not CSV', 'quotation mark']),
           'quote closed far below': ('0.png,"\n1.png,it\n2.png,""are""\n"\n', ['line 2', 'line break']),
           'quote within a text':    ('0.png,"the" horses\n', ['line 2', 'not CSV'])}
@pytest.mark.parametrize('what', BAD_CSV)
def test_bad_csv(tiny, tmp_path, what):
    "labels.csv in which a quotation mark swallows the lines that follow | never closed, closed some lines below, closed in the middle of a text | one sentence with the line where it begins, exit 1; no row is lost"
    body, words = BAD_CSV[what]
    refuses('eval', *labeled(tiny, tmp_path, 'file,text\n' + body, 'labels.csv'), words=['labels.csv', *words])

@pytest.mark.parametrize('body', ['\ufeff0.png\tthe\r\n1.png\tit\r\n', '0.png\tthe\r1.png\tit\r', '0.png\tthe\tAnn\tp. 1\tmore\tand more\n1.png\tit\n'], ids=['BOM, CRLF', 'CR', 'extra columns'])
def test_labels_from_other_programs(tiny, tmp_path, body):
    "labels.tsv with BOM, CRLF or CR, extra columns | such files | read; columns beyond the fourth are ignored"
    code, out, err = cli('eval', *labeled(tiny, tmp_path, body), '--json', tmp_path/'e.json')
    assert code==0 and json.loads((tmp_path/'e.json').read_text())['n']==2 and 'have no row among the labels and are not measured' in err and err.count('\n')==1       # 2.png

def test_labels_outside_the_charset(tiny, tmp_path):
    "labels with characters the model cannot write, and with words too long for their crops | Greek, and 60 letters on a short crop | measured, as errors"
    code, out, err = cli('eval', *labeled(tiny, tmp_path, '0.png\tλόγος\n1.png\t' + 'horses'*10 + '\n2.png\tit\n'), '--json', tmp_path/'e.json')
    d = json.loads((tmp_path/'e.json').read_text())
    assert code==0 and d['n']==3 and np.isfinite(d['loss']) and err=="hwr-eval: 1 of 3 labels have characters the model cannot write, the first 'λόγος': they count as read wrong, and not in the loss\n"

def test_labeled_crop_that_cannot_be_opened(tiny, tmp_path):
    "bad crop among labeled ones | a text named .png | figures are given, the crop counts as wrong, the last line says so, exit 1"
    args = labeled(tiny, tmp_path, '0.png\tthe\n1.png\tit\n2.png\tare\n'); (tmp_path/'1.png').write_text('Dear Sir,')
    code, out, err = cli('eval', *args)
    assert code==1 and 'CER' in out and err.startswith('hwr-eval: 1 of 3 could not be opened and count as read wrong') and '1.png' in err

SHEETS = {'semicolons':  ('labels.csv', 'file;text;page\n0.png;1,5;p. 1\n1.png;"so;"\n', ['1,5', 'so;']),
          'tabs in CSV': ('labels.csv', 'text\tfile\n1,5\t0.png\n"say ""no"""\t1.png\n', ['1,5', 'say "no"']),
          'quoted TSV':  ('labels.tsv', '0.png\t"London,"\n1.png\t"""yes"""\n2.png\t"no"\n', ['London,', '"yes"', '"no"']),
          'own marks':   ('labels.tsv', '0.png\t"London,"\n1.png\tYork,\n2.png\t"no"\n', ['"London,"', 'York,', '"no"'])}
@pytest.mark.parametrize('what', SHEETS)
def test_labels_from_spreadsheets(tiny, tmp_path, what):
    "labels saved by a spreadsheet | CSV with semicolons, as Excel writes it in German, or tabs; TSV whose texts with commas are in quotation marks; TSV where one of them is not | read without what the spreadsheet has added; quotation marks of the writer stay"
    from hwr_nb.data import WordImages
    name, body, texts = SHEETS[what]
    labeled(tiny, tmp_path, body, name)
    assert WordImages(tmp_path).texts==texts

def scans(d):
    "Three scans called by their dates, with PAGE XML of a word in each; gives a function that imports them and tells (format, texts)"
    from hwr_nb.data import WordImages
    from hwr_nb.importers import import_words
    (d/'s'/'page').mkdir(parents=True)
    for k in '123':
        (d/'s'/'page'/f'1848-03-0{k}-001-recto.xml').write_text('<PcGts><Page imageWidth="60" imageHeight="40"><Word id="w"><Coords points="4,4 30,4 30,30"/><TextEquiv><Unicode>the</Unicode></TextEquiv></Word></Page></PcGts>')
        tiff(d/'s'/f'1848-03-0{k}-001-recto.tif', (im := Image.new('L', (60, 40), 220), 0), (im.reduce(2), 1))
    return lambda: (import_words(d/'s', d/'out').format, WordImages(d/'out').texts)

def test_scans_that_are_called_like_words(tmp_path):
    "scans called by date and side, with thumbnails in them | 1848-03-01-001-recto.tif, which CVL would call the word recto, with PAGE XML and without | the words of the XML are imported; without it no text is made up"
    assert scans(tmp_path)()==('page', ['the']*3)
    from hwr_nb.importers import import_words
    shutil.rmtree(tmp_path/'s'/'page')
    with pytest.raises(ValueError, match='nothing to import .folder.; 3 left out'): import_words(tmp_path/'s', tmp_path/'none')

@pytest.mark.parametrize('name', ['words.txt', 'transcription.txt', 'ground_truth.txt'])
def test_notes_called_like_a_list(tmp_path, name):
    "notes that are called like the list of a collection | words.txt, transcription.txt, ground_truth.txt of other contents beside PAGE XML | the XML is imported"
    read = scans(tmp_path)
    (tmp_path/'s'/name).write_text('the\t9\nwell-known\t2\nsee page 3, caf\xe9\n', encoding='latin-1')
    assert read()==('page', ['the']*3)

# --- words, charsets, fonts

BAD_TEXTS = {'empty': (b' \n', 'is empty'), 'binary': (bytes(range(256))*20, 'binary'), 'PNG': (b'\x89PNG\r\n\x1a\n' + bytes(99), 'a PNG image'),
             'one endless line': (b'abcdefgh'*250_000, 'without a space'), 'zip': (b'PK\x03\x04' + bytes(60), 'zip')}
@pytest.mark.parametrize('what', BAD_TEXTS)
def test_bad_corpus(tmp_path, what):
    "corpus that is empty, binary, a picture, a zip, one line of two million characters | such files | one sentence that names the file, within a second"
    body, why = BAD_TEXTS[what]
    (tmp_path/'t.txt').write_bytes(body)
    assert refuses('corpus', tmp_path/'t.txt', '--out', tmp_path/'w.tsv', words=['t.txt', why]) < 2 and not (tmp_path/'w.tsv').exists()

def test_corpus_in_the_wrong_encoding(tmp_path):
    "corpus in the wrong encoding | Windows-1252 | read, with one line that names the file and the encoding taken"
    (tmp_path/'old.txt').write_bytes('“Le café est fermé”, a dit la dame à l’hôtel.'.encode('cp1252'))
    code, out, err = cli('corpus', tmp_path/'old.txt', '--out', tmp_path/'w.tsv')
    assert code==0 and 'old.txt is not UTF-8 and was read as cp1252' in err and err.count('\n')==1 and 'café' in (tmp_path/'w.tsv').read_text(encoding='utf-8')

def counts_the_rest(tmp_path, *words):
    "hwr-corpus of the folder `t` counts its good texts, names what it cannot use, one line each, and exits with 1"
    code, out, err = cli('corpus', tmp_path/'t', '--out', tmp_path/'w.tsv')
    *lines, last = err.splitlines()
    assert code==1 and len(lines)==len(words) and all(w in l for w, l in zip(words, lines)) and f'w.tsv is written, but {len(words)} of the texts' in last, err
    return (tmp_path/'w.tsv').read_text()

def test_unreadable_folder_of_texts(tmp_path, monkeypatch):
    "folder of texts that cannot be opened | EACCES on one folder inside another | the texts beside it are counted, a line names it, exit 1"
    (tmp_path/'t'/'shut').mkdir(parents=True); (tmp_path/'t'/'a.txt').write_text('the horses'); refuse_to_open(monkeypatch, tmp_path/'t'/'shut')
    assert 'horses\t1' in counts_the_rest(tmp_path, 'shut cannot be opened (Permission denied)')

def test_bad_texts_in_a_folder(tmp_path, monkeypatch):
    "bad texts in a folder | an empty one, a PNG, a link to nothing, one without permission, beside a good one; then without it, then one of them named | the good one is counted, a line names each bad one, the last counts them, exit 1; with none left, or named itself, it is refused and nothing is written"
    t = tmp_path/'t'; t.mkdir(); (t/'a.txt').write_text('the horses'); (t/'b.txt').touch(); (t/'c.txt').write_bytes(b'\x89PNG'); (t/'d.txt').symlink_to('gone.txt'); (t/'e.txt').write_text('the'); refuse_to_open(monkeypatch, t/'e.txt')
    monkeypatch.setattr(Path, 'read_bytes', lambda p: open(p, 'rb').read())
    assert counts_the_rest(tmp_path, 'b.txt is empty', 'c.txt is a PNG', 'no text file', 'e.txt: Permission denied')
    assert sorted((tmp_path/'w.tsv').read_text().splitlines())==['horses\t1', 'the\t1']
    (tmp_path/'w.tsv').unlink(); refuses('corpus', t, t/'b.txt', '--out', tmp_path/'w.tsv', words=['b.txt is empty'])
    (t/'a.txt').unlink(); refuses('corpus', t, '--out', tmp_path/'w.tsv', words=['none of the 4 texts', 'b.txt is empty'])
    assert not (tmp_path/'w.tsv').exists()

def test_linked_folders_of_texts_and_fonts(tmp_path):
    "texts and fonts in linked folders, links in a circle | a folder linked into another and back | found, each once"
    t, far = tmp_path/'t', tmp_path/'far'
    for d in (t, far): d.mkdir()
    (t/'a.txt').write_text('the horses'); (far/'b.txt').write_text('the waggons'); (t/'far').symlink_to(far); (far/'back').symlink_to(t)
    shutil.copy(root/'hwr_nb'/'data'/'fonts'/'Allura.woff2', far)
    assert cli('corpus', t, '--out', tmp_path/'w.tsv')[::2]==(0, '') and (tmp_path/'w.tsv').read_text().splitlines()[0]=='the\t2'
    code, out, err = cli('synth', '--sheet', tmp_path/'s.png', '--fonts', t)
    assert (code, err)==(0, '')

def test_texts_and_labels_of_gigabytes(tiny, tmp_path):
    "a text, a labels.tsv, a labels.csv, a file of characters of 8 GB | sparse files of that size | refused by their size, naming the file and the limit, before memory is taken"
    for n in ('big.txt', 'labels.tsv', 'cs.txt'): (tmp_path/n).touch(); os.truncate(tmp_path/n, 8 << 30)
    assert refuses('corpus', tmp_path/'big.txt', '--out', tmp_path/'w.tsv', words=['big.txt holds more than 100 million bytes', 'cut it into several files']) < 2
    assert refuses('eval', '--labeled', tmp_path, '--model', tiny.model, words=['labels.tsv holds more than 100 million bytes']) < 2
    (tmp_path/'labels.tsv').rename(tmp_path/'labels.csv')
    assert refuses('eval', '--labeled', tmp_path, '--model', tiny.model, words=['labels.csv holds more than 100 million bytes']) < 2
    assert refuses('synth', '--out', tmp_path/'o', '--charset', tmp_path/'cs.txt', words=['cs.txt holds more than a million bytes']) < 2

def test_words_that_cannot_be_written(tiny, tmp_path):
    "words outside the charset or longer than 24 letters | in --words and --lexicon, beside good ones, then alone | one line says the file, how many, why, and the first of them; with none left it is refused, naming the file"
    w, bad = tmp_path/'w.tsv', tmp_path/'bad.tsv'
    w.write_text(f'the\t9\nλόγος\t5\nZeus\t4\n{"horse"*5}\t3\nit\t2\n', encoding='utf-8'); bad.write_text('λόγος\t5\n', encoding='utf-8')
    code, out, err = cli('synth', '--out', tmp_path/'o', '--n', 2, '--words', w, '--charset', LETTERS, '--workers', 1)
    assert code==0 and err==f"hwr-synth: {w}: 3 of 5 words are left out; outside the charset 'custom': 2, the first 'λόγος'; longer than 24: 1, the first '{'horse'*5}'\n", err
    for name, *args in (('read', tiny.good), ('eval', '--labeled', tiny.crops)):
        code, out, err = cli(name, *args, '--model', tiny.model, '--lexicon', w)
        assert code==0 and err.startswith(f'hwr-{name}: {w}: 2 of 5 words are left out; outside the charset') and err.count('\n')==1, err
        refuses(name, *args, '--model', tiny.model, '--lexicon', bad, words=[f'none of the 1 words of {bad} is left'])
    refuses('synth', '--out', tmp_path/'p', '--n', 2, '--words', bad, words=[f'none of the 1 words of {bad} is left'])
    refuses('pretrain', '--out', tmp_path/'m.safetensors', '--words', bad, '--steps', 1, words=[f'none of the 1 words of {bad} is left'])

@pytest.mark.parametrize('name', ['synth', 'pretrain', 'selftrain'])
def test_seed_out_of_range(name, tmp_path):
    "seed that no generator takes | --seed 100000000000000 | wrong usage, exit 2: the range is said"
    code, out, err = cli(name, '--out', tmp_path/'m.safetensors', *(['--unlabeled', tmp_path] if name=='selftrain' else []), '--seed', 10**14)
    assert code==2 and 'a whole number from 0 to 4,294,967,295' in err

@pytest.mark.parametrize('body', [b'the 9\n', b'the\tmany\n', b'the\t-1\n', b'the\tnan\n', b'the\t' + b'9'*400 + b'\n', b'the horse\t2\n', b'caf\xe9\t1\n', b''],
                         ids=['no tab', 'word', 'negative', 'nan', '400 digits', 'two words', 'encoding', 'empty'])
def test_bad_word_list(tmp_path, body):
    "words.tsv without tab, with counts that are none, two words in a line, wrong encoding | such files | one sentence with file and line"
    (tmp_path/'w.tsv').write_bytes(body)
    refuses('synth', '--out', tmp_path/'o', '--n', 1, '--words', tmp_path/'w.tsv', words=['w.tsv'])

def test_word_list_that_unpacks_to_more_than_memory(tmp_path):
    "words.tsv.gz or a model of characters (JSON, gzip) that unpacks to gigabytes | 12 000 million bytes of zeros, packed twice as small files of the same kind | refused after the first 100 million bytes, without keeping them"
    import gzip, tracemalloc
    from hwr_nb.corpus import NgramModel
    million = gzip.compress(bytes(10**6))
    for n in ('w.tsv.gz', 'm.json.gz'):
        with (tmp_path/n).open('wb') as f: f.writelines([million]*12_000)
    tracemalloc.start()
    try:
        assert refuses('synth', '--out', tmp_path/'o', '--n', 1, '--words', tmp_path/'w.tsv.gz', words=['w.tsv.gz', 'more than 100 million bytes']) < 5
        with pytest.raises(ValueError, match='m.json.gz holds more than 100 million bytes'): NgramModel.load(tmp_path/'m.json.gz')
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally: tracemalloc.stop()

@pytest.mark.parametrize('cs,why', [('abca', 'more than once'), ('a\u0301\u0302 \u0301', 'cannot be a character'), ('ab\u200b', 'cannot be a character')], ids=['twice', 'mark alone', 'invisible'])
def test_bad_charset(tmp_path, cs, why):
    "charset with duplicates, with a combining mark alone, with invisible characters | given to --charset | one sentence that shows the character"
    refuses('pretrain', '--out', tmp_path/'m.safetensors', '--charset', cs, words=[why])

def test_bad_file_of_characters(tmp_path):
    "file of characters with a combining mark alone | given to --charset | one sentence with the file and the mark"
    (tmp_path/'cs.txt').write_text('a b \u0301', encoding='utf-8')
    refuses('synth', '--out', tmp_path/'o', '--charset', tmp_path/'cs.txt', words=[tmp_path/'cs.txt', 'cannot be a character'])

def test_charset_with_combining_marks():
    "charset of letters with combining marks | c with caron and stroke, not in Unicode as one | one class each, in any normal form"
    from hwr_nb.text import Charset
    cs = Charset('ae\u0301c\u030c\u0337')
    assert len(cs)==3 and cs.decode(cs.encode('c\u030c\u0337\u00e9'))=='c\u0337\u030c\u00e9'.replace('c\u0337\u030c', cs.chars[2])

ODD = ['c\u030c\u0337', 'g\u0303', 'ß', 'ſ', 'ﬁ', 'İ', 'א', 'ب', '字', '\U0001f44d\U0001f3fd', '\ud7a3', '"', '\\', '<', "'", '%']
def test_model_of_odd_characters(tiny, tmp_path):
    "model whose charset has combining marks, ligatures, right-to-left letters, emoji of two code points, quotes | one that reads nonsense in them, and one that is sure of one of them: hwr-read in both formats, with a lexicon of such words, hwr-eval, hwr-selftrain | read, measured, trained; what is printed can be read back; a line names the characters that no font of the replay draws"
    import torch
    from hwr_nb.model import HTRNet
    from hwr_nb.recognize import Recognizer
    from hwr_nb.text import Charset, graphemes
    cs = Charset(list(LETTERS) + ODD); m, p, w = tmp_path/'m.safetensors', tmp_path/'p.safetensors', tmp_path/'w.tsv'
    torch.manual_seed(0)
    net = HTRNet(len(cs)+1, dims=(4, 8, 8, 16, 8), hidden=8, speller=(8, 1, 2, 16)); net.head.weight.data.mul_(20)
    Recognizer(net, cs).save(m)
    with torch.no_grad(): net.head.weight.zero_(); net.head.bias.zero_(); net.head.bias[len(LETTERS)+1] = 9
    Recognizer(net, cs).save(p)
    w.write_text(f'the\t9\nhorses\t5\n{ODD[0]}a{ODD[1]}\t8\n{ODD[0]}\t9\n"{ODD[3]}o"\t4\n{ODD[6]}{ODD[7]}\t2\n', encoding='utf-8')
    for lexicon in ((), ('--lexicon', w)):
        code, out, err = cli('read', tiny.crops, '--model', m, '--format', 'jsonl', *lexicon); assert code==0 and (not err or 'cut into words' in err)     # long nonsense
        texts = [json.loads(l)['text'] for l in out.splitlines()]
        code, out, err = cli('read', tiny.crops, '--model', m, *lexicon); assert code==0
        assert len(texts)==12 and [l.split('\t')[1] for l in out.splitlines()]==texts and (lexicon or set(graphemes(''.join(texts))) & set(ODD))
    labels = ''.join(f'{k}.png\t{t}\n' for k, t in enumerate(('the', ODD[0]+'a', ODD[6]+ODD[7])))
    (tmp_path/'labeled').mkdir(); args = labeled(tiny, tmp_path/'labeled', labels)
    code, out, err = cli('eval', *args[:2], '--model', m, '--lexicon', w, '--json', tmp_path/'e.json')
    assert (code, err)==(0, '') and json.loads((tmp_path/'e.json').read_text())['n']==3
    said, out = tmp_path/'said', tmp_path/'new.safetensors'
    run(command, 'selftrain', ('--unlabeled', tiny.crops, '--model', p, '--words', w, '--labeled', tmp_path/'labeled', '--out', out), said)
    code, _, err = json.loads(said.read_text())
    assert code==0 and Recognizer.load(out).charset==cs and all('no font of' in l and 'words with such characters are not drawn' in l for l in err.splitlines()), err
    assert {l.split('\t')[1] for l in (tmp_path/'new.run'/'pseudo_labels'/'round-1.tsv').read_text(encoding='utf-8').splitlines()}=={cs.chars[len(LETTERS)]}

def blank_font(path):
    from fontTools.ttLib import TTFont
    from fontTools.ttLib.tables._g_l_y_f import Glyph
    f = TTFont(root/'hwr_nb'/'data'/'fonts'/'Caveat.woff2')
    for n in f['glyf'].keys(): f['glyf'][n] = Glyph()
    f.save(path)

def test_bad_fonts(tmp_path):
    "fonts that are broken, cut off, draw nothing, are of another kind, links to nothing, pipes | beside a good one | stderr names each and why; the good one is used, exit 0: a folder of fonts is there to choose from"
    d, good = tmp_path/'fonts', root/'hwr_nb'/'data'/'fonts'/'Allura.woff2'
    d.mkdir(); shutil.copy(good, d); (d/'broken.ttf').write_bytes(b'no font'); (d/'cut.woff2').write_bytes(good.read_bytes()[:5000]); blank_font(d/'blank.woff2')
    (d/'gone.ttf').symlink_to('nowhere.ttf'); (d/'old.woff').write_bytes(b'wOFF'); os.mkfifo(d/'pipe.otf')
    code, out, err = cli('synth', '--sheet', tmp_path/'s.png', '--fonts', d)
    assert code==0 and '1 of 7 fonts used' in err
    for n, why in [('broken.ttf', 'cannot be opened'), ('cut.woff2', 'cannot be opened'), ('blank.woff2', 'draws nothing'), ('gone.ttf', 'is a link to nothing'), ('old.woff', 'is of a kind that is not read'), ('pipe.otf', 'is a link to nothing, a pipe')]:
        assert f'left out {n}: {why}' in err

def test_unreadable_folder_of_fonts(tmp_path, monkeypatch):
    "folder of fonts that cannot be opened | EACCES on one folder inside another, then with no font beside it | the report names it and why, the fonts beside it are used; with none beside it: refused, naming it"
    d = tmp_path/'fonts'; (d/'shut').mkdir(parents=True); shutil.copy(root/'hwr_nb'/'data'/'fonts'/'Allura.woff2', d); refuse_to_open(monkeypatch, d/'shut')
    code, out, err = cli('synth', '--sheet', tmp_path/'s.png', '--fonts', d)
    assert code==0 and '1 of 1 fonts used' in err and 'left out shut/: cannot be opened (Permission denied)' in err
    (d/'Allura.woff2').unlink()
    refuses('synth', '--sheet', tmp_path/'s.png', '--fonts', d, words=['no .ttf', 'shut/ cannot be opened (Permission denied)'])

def test_fonts_that_lack_the_characters(tmp_path):
    "fonts that lack the characters wanted | a Latin font for a Greek charset | refused: the font, how many characters it draws"
    (tmp_path/'f').mkdir(); shutil.copy(root/'hwr_nb'/'data'/'fonts'/'Allura.woff2', tmp_path/'f')
    refuses('synth', '--out', tmp_path/'o', '--n', 1, '--fonts', tmp_path/'f', '--charset', 'αβγδεζηθ', words=['Allura.woff2', 'draws 0 of 8'])

# --- model files

def spoil(tiny, path, change=None, meta=None):
    "A copy of the model with its bytes changed, or with changes to what its header says"
    raw = tiny.model.read_bytes(); n = int.from_bytes(raw[:8], 'little')
    if meta is not None:
        head = json.loads(raw[8:8+n]); m = json.loads(head['__metadata__']['hwr_nb']); meta(m)
        head['__metadata__']['hwr_nb'] = json.dumps(m); h = json.dumps(head).encode()
        raw = len(h).to_bytes(8, 'little') + h + raw[8+n:]
    path.write_bytes(change(raw) if change else raw)
    return path

class Mine:
    def __reduce__(self): return os.mkdir, ('pickle-was-executed',)

BAD_MODELS = {
    'empty':             dict(change=lambda b: b''),
    'cut in the header': dict(change=lambda b: b[:200]),
    'cut in the weights': dict(change=lambda b: b[:-100]),
    'bytes added':       dict(change=lambda b: b + bytes(100)),
    'header of 2^60 bytes': dict(change=lambda b: (1 << 60).to_bytes(8, 'little') + b[8:]),
    'nested JSON':       dict(change=lambda b: (200_000).to_bytes(8, 'little') + b'['*200_000),
    'a pickle, renamed': dict(change=lambda b: pickle.dumps(Mine())),
    'a PNG, renamed':    dict(change=lambda b: b'\x89PNG\r\n\x1a\n' + b),
    'another version':   dict(meta=lambda m: m.update(format=9)),
    'a module by name':  dict(meta=lambda m: m.update(architecture='os.system')),
    'giant layers':      dict(meta=lambda m: m['args'].update(hidden=4096, dims=[4096]*5)),
    'a million layers':  dict(meta=lambda m: m['args'].update(layers=10**6)),
    'a million blocks':  dict(meta=lambda m: m['args'].update(blocks=[1, 10**6])),
    'blocks in words':   dict(meta=lambda m: m['args'].update(blocks=['one', 1])),
    'negative width':    dict(meta=lambda m: m['args'].update(hidden=-8)),
    'dropout of 5':      dict(meta=lambda m: m['args'].update(drop=5)),
    'dropout, a list':   dict(meta=lambda m: m['args'].update(drop=[])),
    'args, a list':      dict(meta=lambda m: m.update(args=[1])),
    'no charset':        dict(meta=lambda m: m.pop('charset')),
    'charset too long':  dict(meta=lambda m: m['charset'].update(chars=['a', 'b']*300_000)),
    'one letter twice':  dict(meta=lambda m: m['charset'].update(chars=['a']*len(LETTERS)))}
@pytest.mark.parametrize('what', BAD_MODELS)
def test_bad_model(tiny, tmp_path, monkeypatch, what):
    "model file that is corrupted, cut off, renamed, of another version, hostile (header of 2^60 bytes, giant layers, a pickle, a module by name) | such files | refused with one sentence within a second; nothing in it is executed"
    monkeypatch.chdir(tmp_path)
    f = spoil(tiny, tmp_path/'m.safetensors', **BAD_MODELS[what])
    assert refuses('read', tiny.good, '--model', f, words=[f]) < 1
    assert os.listdir(tmp_path)==['m.safetensors']

@pytest.mark.parametrize('cal', [dict(a=1e308*10, b=1), dict(a=float('nan'), b=1), dict(a=10**400, b=1), [1], dict(a='x', b=None), dict(a=1, b=1, fast=[1])], ids=['inf', 'nan', '10**400', 'list', 'text', 'fast'])
def test_bad_calibration(tiny, tmp_path, cal):
    "calibration that is no numbers | infinity, NaN, 400 digits, a list | left out: confidence is the posterior, between 0 and 1"
    f = spoil(tiny, tmp_path/'m.safetensors', meta=lambda m: m.update(calibration=cal))
    code, out, err = cli('read', tiny.good, '--model', f)
    assert (code, err)==(0, '') and 0 <= float(out.split('\t')[2]) <= 1

def test_old_calibration(tiny, tmp_path):
    "calibration of another measure than this version's | a model of format 6 | left out; one of this version is kept"
    from hwr_nb.recognize import Recognizer
    cal = dict(a=1., b=2., fast=dict(a=3., b=4.))
    for f, want in ((6, None), (7, cal)):
        assert Recognizer.load(spoil(tiny, tmp_path/'m.safetensors', meta=lambda m: m.update(format=f, calibration=cal))).calibration==want

def test_bad_provenance(tiny, tmp_path):
    "provenance that is a list, or holds terminal codes | in the header | shown escaped"
    from hwr_nb.recognize import Recognizer
    for p in ([1], dict(phase='\x1b[31m'), None, 'x'):
        assert '\x1b' not in repr(Recognizer.load(spoil(tiny, tmp_path/'m.safetensors', meta=lambda m: m.update(provenance=p))))

def test_weights_that_are_no_numbers(tiny, tmp_path):
    "weights that are not numbers | NaN in every weight | refused with one sentence"
    raw = tiny.model.read_bytes(); n = int.from_bytes(raw[:8], 'little') + 8
    (tmp_path/'m.safetensors').write_bytes(raw[:n] + b'\xff'*(len(raw)-n))
    refuses('read', tiny.good, '--model', tmp_path/'m.safetensors', words=['not numbers'])

# --- what is written

def test_output_over_input(tiny, tmp_path):
    "output that would replace an input | --out names a crop, the model, the words; --json the labels | refused before anything is read"
    a, m, w = (shutil.copy(f, tmp_path) for f in (tiny.good, tiny.model, tiny.words))
    (tmp_path/'labels.tsv').write_text(f'{Path(a).name}\tthe\n')
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    for out in (a, m, w): refuses('read', a, '--model', m, '--lexicon', w, '--out', out, words=['one of the files to read'])
    refuses('eval', '--labeled', tmp_path, '--model', m, '--json', tmp_path/'labels.tsv', words=['one of the files to read'])
    assert before=={p: p.read_bytes() for p in tmp_path.iterdir()}

def test_list_among_the_texts(tiny, tmp_path):
    "a word list that would be one of the texts it counts | corpus --out FOLDER/x.txt, new or one of them | refused; x.tsv is written"
    (tmp_path/'a.txt').write_text('the horses are here')
    for n in ('a.txt', 'new.TXT'): refuses('corpus', tmp_path, '--out', tmp_path/n, words=['would lie among the texts'])
    assert (tmp_path/'a.txt').read_text()=='the horses are here' and not (tmp_path/'new.TXT').exists()
    assert cli('corpus', tmp_path, '--out', tmp_path/'new.tsv')[0]==0

def test_reading_stopped(tiny, tmp_path, monkeypatch):
    "Ctrl-C while a folder is read | after the third crop of a run with --out | no file of half the rows; those that were read are in OUT.part, and a line says so"
    from hwr_nb.recognize import Recognizer
    read = Recognizer.read_together
    def stopped(*a, **kw):
        for n, r in enumerate(read(*a, **kw)):
            if n==3: raise KeyboardInterrupt
            yield r
    monkeypatch.setattr(Recognizer, 'read_together', stopped)
    code, _, err = cli('read', tiny.crops, '--model', tiny.model, '--out', tmp_path/'r.tsv')
    assert (code, err)==(130, f'hwr-read: {tmp_path}/r.tsv.part holds the rows written so far\nhwr-read: stopped\n')
    assert os.listdir(tmp_path)==['r.tsv.part'] and len((tmp_path/'r.tsv.part').read_text().splitlines())==3

def test_disk_full_while_reading(tiny, tmp_path):
    "a disk that is full while a folder is read | no file may have more than 16 kB, and 400 rows of --out need twice that | the whole rows written so far are in OUT.part, and a line says so"
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16384, hard))
    try: code, _, err = cli('read', *(f'{"absent-"*6}{i}.png' for i in range(400)), '--model', tiny.model, '--out', tmp_path/'r.tsv')
    finally: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code==1 and err.count('\n')==2 and 'r.tsv.part holds the rows written so far' in err
    rows = (tmp_path/'r.tsv.part').read_text().splitlines()
    assert os.listdir(tmp_path)==['r.tsv.part'] and 100<len(rows)<400 and [r.split('\t')[0][-7:] for r in rows[-1:]]==[f'-{len(rows)-1}.png'[-7:]] and all(r.count('\t')==3 for r in rows)

def test_nothing_else_is_written(tiny, tmp_path, monkeypatch):
    "files where nobody asked for any | reading, measuring, counting, drawing, with the present folder and the data watched | only the files named with --out, --json and --sheet appear"
    (tmp_path/'here').mkdir(); (tmp_path/'out').mkdir(); monkeypatch.chdir(tmp_path/'here')
    before, o = sorted(tiny.dir.rglob('*')), tmp_path/'out'
    for name, *args in [('read', tiny.crops, '--model', tiny.model, '--out', o/'r.tsv', '--lexicon', tiny.words), ('eval', '--labeled', tiny.crops, '--model', tiny.model, '--json', o/'e.json'),
                        ('corpus', tiny.words, '--out', o/'w.tsv'), ('synth', '--sheet', o/'s.png')]: assert cli(name, *args)[::2]==(0, '')
    assert sorted(os.listdir(o))==['e.json', 'r.tsv', 's.png', 'w.tsv'] and not os.listdir(tmp_path/'here') and sorted(tiny.dir.rglob('*'))==before

def full_disk(*names):
    "From now on nothing can be forced to disk in files with one of these in their names"
    was = os.fsync
    def fsync(fd):
        if any(n in os.readlink(f'/proc/self/fd/{fd}') for n in names): raise OSError(errno.ENOSPC, 'No space left on device')
        was(fd)
    os.fsync = fsync
    return was

@linux
@pytest.mark.parametrize('name,args', [('read', '{crop} --model {model} --out {t}/o.x'), ('eval', '--labeled {crops} --model {model} --json {t}/o.x'), ('corpus', '{words} --out {t}/o.x'),
                                       ('corpus', '{words} --out {t}/o.x --kind ngram'), ('synth', '--sheet {t}/o.x')], ids=['read', 'eval', 'corpus', 'ngram', 'synth'])
def test_full_disk_while_writing(tiny, tmp_path, monkeypatch, name, args):
    "full disk while a result is written | fsync fails with ENOSPC | one line names the file; the old file stays whole, no half one is left; what was read is in OUT.part, and a line says so"
    (tmp_path/'o.x').write_text('old'); monkeypatch.setattr(os, 'fsync', os.fsync); full_disk('o.x')
    code, _, err = cli(name, *args.format(crop=tiny.good, crops=tiny.crops, model=tiny.model, words=tiny.words, t=tmp_path).split())
    *kept, last = err.splitlines()
    assert code==1 and 'o.x: No space left on device' in last and ['o.x.part holds' in l for l in kept]==[True]*(name=='read')
    assert sorted(os.listdir(tmp_path))==['o.x', *['o.x.part']*(name=='read')] and (tmp_path/'o.x').read_text()=='old'

@pytest.mark.parametrize('at', ['fsync', 'replace'])
def test_labels_of_drawn_words_appear_whole(tiny, tmp_path, monkeypatch, at):
    "full disk while hwr-synth writes labels.tsv | fsync or rename fails with ENOSPC | one line names the file; there is no labels.tsv, and no half one"
    was = getattr(os, at)
    def full(*a):
        if at=='replace' and not str(a[1]).endswith('labels.tsv'): return was(*a)
        raise OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr(os, at, full)
    refuses('synth', '--out', tmp_path/'o', '--n', 2, '--words', tiny.words, '--workers', 1, words=['labels.tsv: No space left on device'])
    assert sorted(os.listdir(tmp_path/'o'))==['.drawing', 'word-0000000.png', 'word-0000001.png']

@linux
@pytest.mark.parametrize('workers,most', [(1, 0), (2, 100)])
def test_pictures_larger_than_allowed(tmp_path, tiny, workers, most):
    "a limit to the size of files while hwr-synth draws | ulimit -f 0; a limit of 100 bytes, with two workers | one line names the picture, exit 1; no empty or half one is left"
    import resource
    script = tmp_path/'hwr-synth'; script.write_text('import sys\nfrom hwr_nb.cli import hwr_synth\nsys.exit(hwr_synth())')
    r = subprocess.run([sys.executable, script, '--out', tmp_path/'o', '--n', '2', '--words', tiny.words, '--workers', str(workers)], env=env | dict(PYTHONPATH=str(root)), capture_output=True, text=True,
                       preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)))
    assert r.returncode==1 and r.stderr==f"hwr-synth: {tmp_path/'o'/'word-0000000.png'}: File too large\n" and not os.listdir(tmp_path/'o'), r.stderr

@linux
def test_full_stdout_and_devices(tmp_path):
    "full standard output, and /dev/null as output | > /dev/full; --out /dev/null | one line and exit 1, no complaint of Python's own; the device stays a device"
    (tmp_path/'t.txt').write_text('the horses')
    script = tmp_path/'hwr-corpus'; script.write_text('import sys\nfrom hwr_nb.cli import hwr_corpus\nsys.exit(hwr_corpus())')
    run = lambda out, **kw: subprocess.run([sys.executable, script, tmp_path/'t.txt', '--out', out], env=env | dict(PYTHONPATH=str(root)), stderr=subprocess.PIPE, text=True, **kw)
    with open('/dev/full', 'w') as full: r = run(str(tmp_path/'w.tsv'), stdout=full)
    assert r.returncode==1 and r.stderr.endswith('No space left on device\n') and r.stderr.count('\n')==1, r.stderr
    (tmp_path/'null').symlink_to('/dev/null')
    r = run(str(tmp_path/'null'), stdout=subprocess.DEVNULL)
    assert r.returncode==0 and r.stderr.count('\n')==1 and 'null: WordDistribution' in r.stderr and stat.S_ISCHR(os.stat('/dev/null').st_mode) and (tmp_path/'null').is_symlink()

EVIL = '"><script src="http://x/y">\'</bdi></td><img src=x onerror=alert(1)><style>@import "//x"</style>&lt;'

def test_report_escapes_what_comes_from_files(tmp_path):
    "HTML in names, labels, readings, model files | a script, an image and a style sheet in every text of the report | shown as text: no script, nothing loaded from anywhere, no handlers"
    from hwr_nb.demo import Story, Word, html_report
    from hwr_nb.metrics import evaluate
    from hwr_nb.text import Charset
    f = tmp_path/'"onload="alert(1)<b>.png'; Image.new('L', (40, 20), 255).save(f)
    words = [Word(str(f), EVIL, EVIL + '!', .5, .7, EVIL), Word(EVIL, EVIL, '', .5, .1, 'x')]
    b, a = (evaluate([w.text for w in words], [getattr(w, k) for w in words], [.5, .5], groups=[EVIL, 'x'], files=[EVIL, 'x']) for k in ('before', 'after'))
    rounds = [dict(round=float(k), score=.1*k, kept=.5, confidence=.5) for k in range(2)]
    page = html_report(Story(EVIL, EVIL, False, 3, 1., Charset(LETTERS, EVIL), rounds, 1, 400, b, a, words, words, {}, [(EVIL, 1.)], {EVIL: EVIL, 'deep': {EVIL: [EVIL]}}), tmp_path/'r.html').read_text(encoding='utf-8')
    tags, urls, handlers = set(), [], []
    class P(HTMLParser):
        def handle_starttag(self, t, attrs):
            tags.add(t); urls.extend(v for k, v in attrs if k in ('src', 'href', 'srcset', 'action')); handlers.extend(k for k, _ in attrs if k.startswith('on'))
    P().feed(page)
    assert not tags & {'script', 'link', 'iframe', 'object', 'base', 'form', 'svg'} and not handlers and urls and all(u.startswith('data:image/png;base64,') for u in urls)
    assert page.count('<style>')==1 and not re.search(r'url\(|@import', page.split('<style>')[1].split('</style>')[0]) and "default-src 'none'" in page

def test_demo_with_bad_crops(tiny, tmp_path, monkeypatch):
    "bad crops in an archive for hwr-demo | a text named .png among the labeled crops and one among the others, the training replaced by one that changes nothing | the story is told to its end; the terminal and the report name both, the last line counts them, exit 1"
    import hwr_nb.demo as D
    from hwr_nb.recognize import Recognizer
    def learn(model, unlabeled, out, labeled, say=None, **kw):
        from hwr_nb.data import WordImages
        from hwr_nb.selftrain import load_crops, measured
        out.write_text('model'); D.run_dir(out).mkdir(); rec = Recognizer.load(tiny.model)
        report = dict(settings={}, rounds=[dict(round=0, confidence=.5)], round=0, provenance=dict(selftrain=dict(steps=0)), left_out=load_crops(unlabeled, 32, say)[2], readings=[])
        (D.run_dir(out)/'report.json').write_text(json.dumps(report | measured(rec, rec, WordImages(labeled))))
    monkeypatch.setattr(D, 'Recognizer', SimpleNamespace(load=lambda m: Recognizer.load(tiny.model))); monkeypatch.setattr(D, 'selftrain', learn)
    (tmp_path/'a'/'labeled').mkdir(parents=True); (tmp_path/'a'/'unlabeled').mkdir(); labeled(tiny, tmp_path/'a'/'labeled', '0.png\tthe\n1.png\tit\n')
    for k in range(10): shutil.copy(tiny.good, tmp_path/'a'/'unlabeled'/f'{k}.png')
    (tmp_path/'a'/'unlabeled'/'worse.png').write_text('Dear Sir,'); (tmp_path/'a'/'labeled'/'1.png').write_text('Dear Sir,')
    code, out, err = cli('demo', '--data', tmp_path/'a', '--out', tmp_path/'o', '--minutes', 1)
    assert code==1 and err==f"hwr-demo: 2 crops could not be opened; {tmp_path/'o'/'report.html'} names them\n" and 'Report: ' in out, err
    page = (tmp_path/'o'/'report.html').read_text(encoding='utf-8')
    for n in ('labeled/1.png', 'worse.png'): assert f'left out {n}' in out and n in page

FORKED = """
import multiprocessing, sys, torch
from hwr_nb.recognize import Recognizer
torch.set_num_threads(2)
rec = Recognizer.load(sys.argv[1]); rec.read(sys.argv[2:])
def read(path): return rec.read(path)[0].text
with multiprocessing.get_context('fork').Pool(2) as pool: assert pool.map_async(read, sys.argv[2:]).get(60)==[r.text for r in rec.read(sys.argv[2:])]
"""

@linux
def test_reading_in_forked_processes(tiny):
    "a process that has a model forks others, as web servers do | a pool of two reads, after the first has read with two threads | all reads the same"
    r = subprocess.run([sys.executable, '-c', FORKED, tiny.model, *sorted(tiny.crops.glob('*.png'))], env=env | dict(PYTHONPATH=str(root)), capture_output=True, text=True, timeout=120)
    assert r.returncode==0, r.stderr

# --- runs that are killed, stopped, out of disk, or two at a time: each run in a process of its own, forked from a server that has fastai loaded

ctx = multiprocessing.get_context('forkserver' if 'forkserver' in multiprocessing.get_all_start_methods() else 'spawn')
if ctx.get_start_method()=='forkserver': ctx.set_forkserver_preload(['hwr_nb.selftrain', 'hwr_nb.recognize', 'hwr_nb.cli', 'torch._dynamo'])

def start(f, *args, **kw):
    p = ctx.Process(target=f, args=args, kwargs=kw); p.start(); return p

def run(f, *args, **kw):
    "The exit code of `f` in a process of its own: minus the signal where it was killed"
    p = start(f, *args, **kw); p.join(300)
    assert p.exitcode is not None, 'it hangs'
    return p.exitcode

class Abc:
    "Words of three letters"
    def __call__(self, rng): return ''.join('abc'[i] for i in rng.integers(3, size=3))
    def __repr__(self): return 'Abc()'

def die(*_): os.kill(os.getpid(), signal.SIGKILL)

def before(obj, name, n, act):
    "Do `act` at the start of the `n`-th call of a function"
    f, count = getattr(obj, name), iter(range(1, 1 << 30))
    def g(*a, **kw):
        if next(count)==n: act()
        return f(*a, **kw)
    setattr(obj, name, g)

def moment(name, act):
    "Arrange for `act` at a moment of a run"
    import hwr_nb.pretrain as P, hwr_nb.selftrain as S, hwr_nb.learner as L, hwr_nb.model as M
    where, n = name.split(':')
    before(*{'forward': (M.HTRNet, 'forward'), 'averages': (L.EMA, 'after_step'), 'fsync': (os, 'fsync'), 'rename': (os, 'replace'), 'measure': (L.EMA, 'before_validate'),
             'line': (P, 'append_history'), 'model': (P, 'save_model'), 'label': (S, 'label'), 'last': (S, 'save_model')}[where], int(n), act)

def small_run(name, every=0):
    "Make `pretrain` or `selftrain` small: a tiny network, one font, few words to measure with, a checkpoint after every batch unless `every` so many seconds"
    import torch, hwr_nb.pretrain as P, hwr_nb.selftrain as S
    from hwr_nb.fonts import FontBook
    torch.set_num_threads(1)
    if linux.args[0] is False: multiprocessing.set_start_method('fork', force=True)      # of the workers, as in a command
    M, font, sources, ckpt = dict(pretrain=P, selftrain=S)[name], FontBook.default().split(['Kalam'])[1], P.word_sources, P.Checkpoint
    M.word_sources = lambda w, f, st, seed, cs, n: sources(w, f, st, seed, cs, 24)
    M.Checkpoint = partial(ckpt, every=every)
    f = getattr(M, name)
    if name=='pretrain': g = lambda out, words=None, fonts=None, charset=None, minutes=None, steps=None, **kw: f(out, Abc(), font, 'abc', steps=18, **dict(dict(bs=4, every=5, workers=0, net=dict(dims=(4, 8, 8, 16, 8), hidden=8, speller=(8, 1, 2, 16))), **kw))
    else: g = lambda model, unlabeled, out, minutes=None, **kw: f(model, unlabeled, out, **dict(dict(steps=8, rounds=2, fonts=font, bs=4, workers=0), **{k: v for k, v in kw.items() if k!='rounds'}))
    setattr(M, name, g)
    return g

def training(out, resume=False, at=None, sig=None, **kw):
    f = small_run('pretrain', every=1e9 if sig else 0)
    if at: moment(at, partial(signal.raise_signal, sig) if sig else die)
    f(out, resume=resume, say=lambda s: None, **kw)

def self_training(tiny, out, resume=False, at=None, **kw):
    f = small_run('selftrain', every=1e9 if at=='last:1' else 0)
    if at: moment(at, die)
    f(tiny.parrot, tiny.crops, out, words=tiny.words, resume=resume, say=lambda s: None, **kw)

def command(name, args, said, at=None, sig=None, full=()):
    "A command on a small run; what it said goes to the file `said`"
    small_run(name)
    warnings.filterwarnings('ignore', category=FutureWarning, module='torch.jit')
    if at: moment(at, partial(signal.raise_signal, sig))
    if full: full_disk(*full)
    said.write_text(json.dumps(cli(name, *args)))

def curve(out):
    "The loss curve of a run: steps, training and measured losses, error rates"
    with out.with_suffix('.run').joinpath('history.csv').open() as f: rows = list(csv.DictReader(f))
    return [[float(v) for k, v in r.items() if k!='seconds' and v] for r in rows]

@pytest.fixture(scope='session')
def whole(tmp_path_factory):
    "The loss curve of a run that nobody interrupts"
    out = tmp_path_factory.mktemp('whole')/'m.safetensors'
    assert run(training, out)==0
    return curve(out)

def finished(d, whole=None):
    "The run has left its model and its records and nothing else, and its curve is that of an uninterrupted one: losses to one part in 10 000"
    assert sorted(os.listdir(d))==['m.run', 'm.safetensors']
    assert not [p for p in d.rglob('*.tmp')]
    if whole is not None: assert len(whole) >= 2; np.testing.assert_allclose(curve(d/'m.safetensors'), whole, rtol=1e-4)

@pytest.mark.parametrize('at', ['forward:8', 'fsync:9', 'measure:2', 'model:1'])
def test_killed_at_any_moment(tmp_path, whole, at):
    "SIGKILL at any moment of a pretraining | kill -9 in a batch, with a checkpoint half written, while measuring, before the model is written | --resume goes on; the loss curve is that of an uninterrupted run, nothing is left lying about"
    out = tmp_path/'m.safetensors'
    assert run(training, out, at=at)==-signal.SIGKILL and not out.exists()
    assert run(training, out, resume=True)==0
    finished(tmp_path, whole)

def test_killed_three_times(tmp_path, whole):
    "SIGKILL three times | kill -9 in the first batch, later between weights and averages, then before a line of history, --resume each time (the first time there is no state yet: a new start) | the loss curve equals the uninterrupted one to one part in 10 000, on one thread"
    out = tmp_path/'m.safetensors'
    for at in ('forward:1', 'averages:4', 'line:2'): assert run(training, out, resume=(tmp_path/'m.resume').exists(), at=at)==-signal.SIGKILL
    assert run(training, out, resume=True)==0
    finished(tmp_path, whole)

@linux
def test_killed_with_workers(tmp_path):
    "SIGKILL of a run whose workers live on for seconds | kill -9 with a worker, and --resume at once | goes on"
    out = tmp_path/'m.safetensors'
    assert run(training, out, at='averages:4', workers=1)==-signal.SIGKILL
    assert run(training, out, resume=True)==0
    finished(tmp_path)

@pytest.mark.parametrize('sig,at', [(signal.SIGTERM, 'averages:7'), (signal.SIGINT, 'measure:2')])
def test_stopped_at_any_moment(tmp_path, whole, sig, at):
    "SIGTERM, Ctrl-C at any moment | raised between weights and averages, and while measuring | the state is saved at the end of the batch, one line, exit 143 or 130; resumed, the loss curve is that of an uninterrupted run"
    out, said = tmp_path/'m.safetensors', tmp_path/'said'
    args = ('--out', out, '--charset', 'abc')
    assert run(command, 'pretrain', args, said, at, sig)==0
    assert json.loads(said.read_text())[::2]==[128+sig, 'hwr-pretrain: stopped; the same command with --resume goes on\n'] and (tmp_path/'m.resume').exists()
    assert run(command, 'pretrain', (*args, '--resume'), said)==0
    assert json.loads(said.read_text())[0]==0
    said.unlink(); finished(tmp_path, whole)

def test_script_told_to_end(tmp_path, whole):
    "SIGTERM to a script that calls `pretrain`, hours before the next checkpoint | raised between weights and averages | the script ends as it was told, the state is saved; resumed, the loss curve is that of an uninterrupted run"
    out = tmp_path/'m.safetensors'
    assert run(training, out, at='averages:7', sig=signal.SIGTERM)==-signal.SIGTERM and (tmp_path/'m.resume').exists()
    assert run(training, out, resume=True)==0
    finished(tmp_path, whole)

@linux
def test_full_disk_at_a_checkpoint(tmp_path, whole):
    "full disk when a checkpoint is due | fsync of NAME.resume fails with ENOSPC | one warning, training goes on and ends well"
    out, said = tmp_path/'m.safetensors', tmp_path/'said'
    run(command, 'pretrain', ('--out', out, '--charset', 'abc'), said, full=['m.resume'])
    code, _, err = json.loads(said.read_text())
    assert code==0 and 'm.resume could not be written (No space left on device); training goes on' in err and set(l.split(': ')[0] for l in err.splitlines())=={'hwr-pretrain'}
    said.unlink(); finished(tmp_path, whole)

@linux
def test_full_disk_at_the_end(tmp_path, whole):
    "full disk when the model is written | fsync fails with ENOSPC | one line says so and that --resume goes on; with room again it does"
    out, said = tmp_path/'m.safetensors', tmp_path/'said'
    run(command, 'pretrain', ('--out', out, '--charset', 'abc'), said, full=['m.safetensors'])
    code, _, err = json.loads(said.read_text())
    assert code==1 and err==f'hwr-pretrain: {out}: No space left on device; the same command with --resume goes on\n' and not out.exists()
    assert run(training, out, resume=True)==0
    said.unlink(); finished(tmp_path, whole)

def hold(out, held, free):
    from hwr_nb.pretrain import run_place
    with run_place(out): held.set(); free.wait(60)

def test_two_runs_in_one_place(tmp_path):
    "two runs in one folder | a second run while the first one works, with and without --resume, checkpoint there or not | refused at once, naming the first one's process; never told to delete its state"
    import hwr_nb.pretrain          # what is timed is the refusal, not the import
    held, free, out = ctx.Event(), ctx.Event(), tmp_path/'m.safetensors'
    p = start(hold, out, held, free)
    try:
        assert held.wait(60)
        for more in ((), ('--resume',)):
            assert refuses('pretrain', '--out', out, '--steps', 1, *more, words=[f'Process {p.pid} is working on {out}']) < 2
            (tmp_path/'m.resume').write_text('x')
    finally: free.set(); p.join(60)

def contend(out, seconds):
    from hwr_nb.pretrain import run_place
    end, got = time.monotonic()+seconds, 0
    while time.monotonic() < end or not got:
        try:
            with run_place(out):
                fd = os.open(out.with_suffix('.mine'), os.O_CREAT | os.O_EXCL); os.close(fd)      # fails if another is inside
                got += 1; time.sleep(.001); os.unlink(out.with_suffix('.mine'))
        except ValueError as e: assert 'is working on' in str(e)

def test_no_third_process_slips_in(tmp_path):
    "a lock file that is removed while others wait for it | three processes take and leave one place for a second | never two inside"
    ps = [start(contend, tmp_path/'m.safetensors', 1) for _ in range(3)]
    for p in ps: p.join(60)
    assert [p.exitcode for p in ps]==[0]*3 and not os.listdir(tmp_path)

def test_resume_is_not_start_from(tiny, tmp_path):
    "--resume mistaken for 'start from this model' | a .resume given as --model, --resume with a model, where nothing is to resume, over a finished model | refused, each with its reason"
    out = tmp_path/'m.safetensors'
    (tmp_path/'m.resume').write_bytes(b'state')
    refuses('selftrain', '--unlabeled', tiny.crops, '--out', tmp_path/'n.safetensors', '--model', tmp_path/'m.resume', words=['neither a .safetensors file nor a shipped model'])
    assert cli('selftrain', '--unlabeled', tiny.crops, '--out', out, '--resume', tiny.model)[0]==2
    refuses('pretrain', '--out', out, '--steps', 1, words=['holds an unfinished run; resume it'])
    refuses('pretrain', '--out', tmp_path/'n.safetensors', '--steps', 1, '--resume', words=['nothing to resume'])
    shutil.copy(tiny.model, out)
    for more in ((), ('--resume',)): refuses('pretrain', '--out', out, '--steps', 1, *more, words=['will not be overwritten'])

def test_resume_file_that_is_none(tmp_path, monkeypatch):
    "state file that is damaged, of another kind, or a pickle | such files as NAME.resume | refused; nothing in it is executed"
    monkeypatch.chdir(tmp_path)
    import torch
    with warnings.catch_warnings():
        for body in (b'', b'state', pickle.dumps(Mine()), dict(step=3), dict(x=Mine())):
            torch.save(body, tmp_path/'m.resume') if isinstance(body, dict) else (tmp_path/'m.resume').write_bytes(body)
            refuses('pretrain', '--out', tmp_path/'m.safetensors', '--steps', 1, '--charset', 'abc', '--resume', words=['m.resume', 'delete it to begin anew'])
    assert os.listdir(tmp_path)==['m.resume']

def commands(todo, said):
    "Several commands on small runs, one after the other"
    for name in ('pretrain', 'selftrain'): small_run(name)
    said.write_text(json.dumps([cli(name, *args) for name, args in todo]))

def test_resume_with_other_settings(tiny, tmp_path):
    "--resume with another seed, another charset, another model to start from, by the other command | after a kill | refused: what was, what is now"
    said, a, b = tmp_path/'said', tmp_path/'a.safetensors', tmp_path/'b.safetensors'
    assert run(training, a, at='averages:3')==run(self_training, tiny, b, at='averages:3')==-signal.SIGKILL
    teach = ['--unlabeled', tiny.crops, '--words', tiny.words, '--resume', '--model']
    todo = [('pretrain', ['--out', a, '--resume', '--seed', 5], 'seed was 0, now 5'), ('selftrain', ['--out', a, *teach, tiny.parrot], 'crops was None'), ('selftrain', ['--out', b, *teach, tiny.model], 'model was')]
    run(commands, [t[:2] for t in todo], said)
    for (code, _, err), (*_, why) in zip(json.loads(said.read_text()), todo):
        assert code==1 and 'belongs to a run with other settings' in err and why in err and err.count('\n')==1, err
    assert (tmp_path/'a.resume').exists() and (tmp_path/'b.resume').exists()

def test_resume_with_other_corrections(tiny, tmp_path):
    "--resume of a self-training after more was corrected, and without --labeled | after a kill | corrections are refused; nothing is measured any more, and the run ends well"
    out, fixed, said = tmp_path/'m.safetensors', tmp_path/'corrections.tsv', tmp_path/'said'
    fixed.write_text(f'{tiny.good.name}\tthe\taccepted\n')
    assert run(self_training, tiny, out, at='averages:6', labeled=tiny.crops)==-signal.SIGKILL
    args = ['--out', out, '--unlabeled', tiny.crops, '--words', tiny.words, '--resume', '--model', tiny.parrot]
    run(command, 'selftrain', [*args, '--corrections', fixed], said)
    assert 'belongs to a run with other settings: corrections was' in json.loads(said.read_text())[2]
    assert run(self_training, tiny, out, resume=True)==0
    rows = list(csv.DictReader((tmp_path/'m.run'/'history.csv').open()))
    assert rows[0]['cer'] and not rows[-1]['cer']

@pytest.mark.parametrize('at', ['label:2', 'averages:6', 'last:1'])
def test_selftraining_killed_at_any_moment(tiny, tmp_path, at):
    "SIGKILL at any moment of a self-training | kill -9 while labeling, in the second round, before the model is written (no state was due since the start) | --resume goes on to the end; nothing is left lying about"
    out = tmp_path/'m.safetensors'
    assert run(self_training, tiny, out, at=at)==-signal.SIGKILL and not out.exists()
    assert run(self_training, tiny, out, resume=True)==0
    finished(tmp_path)
    rows = list(csv.DictReader((tmp_path/'m.run'/'history.csv').open()))
    assert [r['round'] for r in rows]==['0', '1', '2'] and json.loads((tmp_path/'m.run'/'report.json').read_text())['rounds']

def test_resume_after_more_crops_have_come(tiny, tmp_path):
    "an archive that has grown or lost a crop between a kill and --resume | after a kill a crop is taken away, then it is back and another has come (one has a byte E9 in its name) | refused by the name of the one that is gone; then it goes on with the crops that it began with, and says so"
    crops, out, said = tmp_path/'crops', tmp_path/'m.safetensors', tmp_path/'said'
    shutil.copytree(tiny.crops, crops); odd = os.fsdecode(os.fsencode(crops) + b'/caf\xe9.png'); shutil.copy(tiny.good, odd)
    own = SimpleNamespace(**vars(tiny) | dict(crops=crops)); gone = crops/tiny.good.name
    assert run(self_training, own, out, at='averages:6')==-signal.SIGKILL
    gone.rename(tmp_path/'away.png')
    args = ['--out', out, '--unlabeled', crops, '--words', tiny.words, '--resume', '--model', tiny.parrot]
    run(command, 'selftrain', args, said)
    code, _, err = json.loads(said.read_text())
    assert code==1 and err.count('\n')==1 and f"1 of the 13 crops that this run began with are not there or cannot be used, the first '{gone.name}'" in err
    shutil.copy(tmp_path/'away.png', gone); shutil.copy(tiny.good, crops/'new.png')
    run(command, 'selftrain', args, said)
    code, text, err = json.loads(said.read_text())
    assert code==0 and 'It goes on with the 13 crops that it began with; 14 are there.' in text and out.exists(), err

def test_selftraining_with_bad_crops(tiny, tmp_path):
    "bad crops in an archive to learn from | a text named .png, a blank page | each is named, training goes on; the last line counts those that could not be opened, exit 1, and the model is there"
    crops, out, said = tmp_path/'crops', tmp_path/'m.safetensors', tmp_path/'said'
    shutil.copytree(tiny.crops, crops); (crops/'bad\x1b[31m\n.png').write_text('Dear Sir,'); Image.new('L', (90, 30), 255).save(crops/'blank.png')
    run(command, 'selftrain', ('--unlabeled', crops, '--model', tiny.parrot, '--words', tiny.words, '--out', out), said)
    code, text, err = json.loads(said.read_text())
    assert code==1 and err.count('\n')==1 and '1 crops could not be opened and were left out' in err and 'report.json' in err and out.exists()
    assert 'left out blank.png: blank' in text and r'left out bad\x1b[31m\n.png' in text and '\x1b' not in text

def test_selftraining_with_names_that_are_no_text(tiny, tmp_path):
    "names that are no UTF-8, in self-training | a crop with a byte E9 in its name; a model with one | trained, the records write it as an escape; the model is refused: rename it"
    odd = lambda n: Path(os.fsdecode(os.fsencode(tmp_path) + b'/' + n))
    crops, model, out, said = tmp_path/'crops', odd(b'mod\xe9le.safetensors'), tmp_path/'m.safetensors', tmp_path/'said'
    shutil.copytree(tiny.crops, crops); shutil.copy(tiny.good, odd(b'crops/caf\xe9.png')); shutil.copy(tiny.parrot, model)
    refuses('read', tiny.good, '--model', model, words=['no UTF-8; rename it'])
    assert run(command, 'selftrain', ('--unlabeled', crops, '--model', tiny.parrot, '--words', tiny.words, '--out', out), said)==0
    assert json.loads(said.read_text())[::2]==[0, '']
    assert r'caf\udce9.png' in (tmp_path/'m.run'/'pseudo_labels'/'round-1.tsv').read_text(encoding='utf-8')
