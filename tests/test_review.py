"The reviewer as a person has it: typed into, closed, killed and opened again; its page once in a real browser"
import importlib.util, json, os, shutil, signal, socket, subprocess, sys, time
from contextlib import contextmanager
import pytest
from conftest import env, root

CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
FLAGS = '--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync --window-size=900,460'
missing = [f'{p} (pip install {p})' for p in ('voila', 'selenium', 'ipykernel') if not importlib.util.find_spec(p)]
missing += [] if CHROMIUM else ['chromium (apt-get install chromium)']
missing += [] if shutil.which('chromedriver') else ['chromedriver (apt-get install chromium-driver)']
needs_browser = pytest.mark.skipif(bool(missing), reason=f'not installed: {", ".join(missing)}')

TEXTS = ['stcp', 'dcal', '<b>&amp;', 'grcat', 'Amer', 'x']       # as a model may have read what is drawn: step deal preferred great American measures

def test_killed_while_typing(tmp_path):
    "A process that is killed loses nothing that was typed before"
    out = tmp_path/'corrections.tsv'
    code = f'''
from hwr_nb.review import Review
r = Review([("a.png", "Tlie", .1), ("b.png", "borses", .2)], {str(out)!r})
r.accept("The")
for k in range(1, 4): r.draft("horses"[:k])
import os, signal; os.kill(os.getpid(), signal.SIGKILL)'''
    r = subprocess.run([sys.executable, '-c', code], cwd=root, env=env, capture_output=True, text=True)
    assert r.returncode == -signal.SIGKILL, r.stderr
    assert out.read_text() == 'a.png\tThe\tcorrected\nb.png\thor\tdraft\n'
    assert os.listdir(tmp_path) == ['corrections.tsv']

@pytest.fixture
def archive(tmp_path):
    "Six drawn crops and a notebook that reviews them"
    from hwr_nb.synth import WordSynth
    (tmp_path/'crops').mkdir()
    ws = WordSynth(seed=4)
    for i in range(len(TEXTS)): ws.image(i).save(tmp_path/'crops'/f'{i}.png')
    code = f'''from hwr_nb.review import review
review([(f"{{i}}.png", t, i / 10) for i, t in enumerate({TEXTS!r})], "corrections.tsv", "crops")'''
    cell = dict(cell_type='code', execution_count=None, id='a', metadata={}, outputs=[], source=code)
    nb = dict(cells=[cell], metadata=dict(kernelspec=dict(name='python3', display_name='python3', language='python')), nbformat=4, nbformat_minor=5)
    (tmp_path/'review.ipynb').write_text(json.dumps(nb))
    return tmp_path

@contextmanager
def voila(folder):
    "The notebook as a page: its address"
    with socket.socket() as s: s.bind(('127.0.0.1', 0)); port = s.getsockname()[1]
    log = open(folder/'voila.log', 'ab')
    e = env | dict(PYTHONPATH=str(root), OMP_NUM_THREADS='1', JUPYTER_CONFIG_DIR=str(folder/'jupyter'), JUPYTER_RUNTIME_DIR=str(folder/'runtime'), IPYTHONDIR=str(folder/'ipython'))
    p = subprocess.Popen([sys.executable, '-m', 'voila', 'review.ipynb', '--no-browser', f'--port={port}', '--Voila.ip=127.0.0.1'], cwd=folder, env=e, stdout=log, stderr=log, start_new_session=True)
    url = f'http://127.0.0.1:{port}/'
    try:
        def up():
            assert p.poll() is None, (folder/'voila.log').read_text()
            with socket.socket() as s: return s.connect_ex(('127.0.0.1', port)) == 0
        until(up, 'Voila answers')
        yield url
    finally:
        p.terminate()
        try: p.wait(20)
        except subprocess.TimeoutExpired: os.killpg(p.pid, signal.SIGKILL); p.wait()
        log.close()

def until(f, what, seconds=240):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if f(): return
        time.sleep(.1)
    raise AssertionError(f'waited {seconds} s in vain until: {what}')

@contextmanager
def browser(folder):
    from selenium import webdriver
    o = webdriver.ChromeOptions()
    o.binary_location, o.page_load_strategy = CHROMIUM, 'none'      # Voila sends the page bit by bit: we wait for what we want to see
    for f in [*FLAGS.split(), f'--user-data-dir={folder/"chromium"}']: o.add_argument(f)
    d = webdriver.Chrome(o, webdriver.ChromeService(shutil.which('chromedriver')))
    try: yield d
    finally: d.quit()

class Page:
    "What a person sees and does"
    def __init__(self, driver, url, k):
        self.d = driver
        driver.get('about:blank'); until(lambda: not self.see(), 'the page of the day before is gone')
        driver.get(url)
        self.wait(k)

    def see(self):
        body = self.d.execute_script('return document.body ? document.body.innerText : ""')
        return body.replace('\xa0', ' ')
    def wait(self, k): until(lambda: f'{k} of {len(TEXTS)}' in self.see(), f'crop {k} is shown', 600); time.sleep(.5)     # a busy machine takes minutes to start a kernel; then a person looks
    def cursor(self): return self.d.switch_to.active_element
    def box(self): return next(b for b in self.d.find_elements('css selector', '.widget-text') if b.size['height'] > 10).find_element('tag name', 'input')
    def text(self): return self.box().get_attribute('value')
    def type(self, *keys): self.cursor().send_keys(*keys)

@needs_browser
def test_in_a_browser(archive):
    from selenium.webdriver.common.keys import Keys
    afresh, out = Keys.CONTROL + 'a' + Keys.NULL, archive/'corrections.tsv'
    said = lambda: out.read_text() if out.exists() else ''
    says = lambda text: until(lambda: said() == text, f'the file says {text!r}')        # the last letter may come after Enter
    with browser(archive) as d:
        with voila(archive) as url:
            p = Page(d, url, 1)
            im = d.find_element('tag name', 'img')
            assert d.execute_script('return arguments[0].naturalHeight', im) == 160 == im.size['height']
            assert p.text() == 'stcp'
            p.box().click()
            p.type(afresh, 'step', Keys.ENTER); p.wait(2)
            says('0.png\tstep\tcorrected\n')
            until(lambda: p.cursor() == p.box() and p.text() == 'dcal', 'the cursor has followed')
            p.type(afresh, 'de'); until(lambda: said().endswith('1.png\tde\tdraft\n'), 'the file has what is typed')
            if 'HWR_SCREENSHOT' in os.environ: d.save_screenshot(os.environ['HWR_SCREENSHOT'])
            p.type('al', Keys.ENTER); p.wait(3)
            until(lambda: p.text() == '<b>&amp;' and 'read as <b>&amp; with 20%' in p.see(), 'the reading is text')
            p.type('//', Keys.ENTER); p.wait(4)
            p.type('//j', Keys.ENTER); p.wait(5)
            says('0.png\tstep\tcorrected\n1.png\tdeal\tcorrected\n2.png\t<b>&amp;\tskipped\n3.png\tgrcat\tjunk\n')
            next(b for b in d.find_elements('tag name', 'button') if b.text == 'Back').click(); p.wait(4)
            p.type(Keys.ENTER); p.wait(5)
            p.type(afresh, 'Ame'); until(lambda: said().endswith('4.png\tAme\tdraft\n'), 'the file has what is typed')
        with voila(archive) as url:         # another day
            p = Page(d, url, 5)
            until(lambda: p.text() == 'Ame' and '(accepted)' in p.see(), 'it goes on')
            p.box().click(); p.type(Keys.END, 'rican', Keys.ENTER); p.wait(6)
            p.type(Keys.ENTER); until(lambda: 'All 6 crops have an answer' in p.see(), 'the end')
    from hwr_nb.review import load_corrections
    assert load_corrections(out) == ({'0.png': 'step', '1.png': 'deal', '3.png': 'grcat', '4.png': 'American', '5.png': 'x'}, set())
