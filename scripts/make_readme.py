"Make README.md and its pictures from nbs/index.ipynb as it is saved: `python scripts/make_readme.py`; with `--check` nothing is written, and exit 1 says what is out of sync"
import base64, json, posixpath, re, sys
from pathlib import Path

root = Path(__file__).resolve().parent.parent
text = lambda x: x if isinstance(x, str) else ''.join(x)

def link(m):
    "A link as seen from the root, where the notebook's own links start at nbs/"
    return m[0] if re.match(r'\w+:|#|/', m[2]) else f'{m[1]}({posixpath.normpath("nbs/" + m[2])})'

def output(o, alt, pictures):
    "Markdown of a saved output; a picture is put among `pictures`"
    if o['output_type'] == 'error': sys.exit(f'nbs/index.ipynb: a cell ended in an error ({o["ename"]}); run it again before making the README.')
    if o['output_type'] == 'stream': return f'```text\n{text(o["text"]).rstrip()}\n```'
    data = o['data']
    if 'image/png' in data:
        name = f'nbs/images/index-{len(pictures) + 1}.png'
        pictures[name] = base64.b64decode(text(data['image/png']))
        return f'![{alt}]({name})'
    return text(data['text/markdown']).strip() if 'text/markdown' in data else f'```text\n{text(data["text/plain"]).rstrip()}\n```'

def make(nb):
    "README text and pictures {path: bytes}: hidden cells are left out, `echo: false` leaves out a cell's code"
    parts, pictures = ['<!-- Made from nbs/index.ipynb by scripts/make_readme.py: edit the notebook. -->'], {}
    for c in nb['cells']:
        src = text(c['source'])
        if c['cell_type'] == 'markdown': parts.append(re.sub(r'(\[[^\]]*\])\(([^)\s]+)\)', link, src).strip())
        if c['cell_type'] != 'code': continue
        opts = [l[2:].strip() for l in src.split('\n') if l.startswith('#|')]
        if 'hide' in opts: continue
        code, alt = re.sub(r'(?m)^#\|.*\n?', '', src).strip(), next((o.split(':', 1)[1].strip() for o in opts if o.startswith('fig-alt:')), '')
        if 'echo: false' not in opts: parts.append(f'```python\n{code}\n```')
        elif not c['outputs']: sys.exit('nbs/index.ipynb: a cell that shows only its output has none; run the notebook and save it before making the README.')
        parts += [output(o, alt, pictures) for o in c['outputs']]
    return '\n\n'.join(p for p in parts if p) + '\n', pictures

def main(check=False):
    readme, pictures = make(json.loads((root/'nbs'/'index.ipynb').read_text(encoding='utf-8')))
    want, have = {'README.md': readme.encode(), **pictures}, sorted((root/'nbs'/'images').glob('index-*.png'))
    stale = [p for p in have if p.relative_to(root).as_posix() not in want]
    wrong = [n for n, b in want.items() if not (root/n).is_file() or (root/n).read_bytes() != b] + [p.relative_to(root).as_posix() for p in stale]
    if not check:
        for n, b in want.items(): (root/n).parent.mkdir(parents=True, exist_ok=True); (root/n).write_bytes(b)
        for p in stale: p.unlink()
    elif wrong: sys.exit(f'Out of sync with nbs/index.ipynb: {", ".join(wrong)}; run python scripts/make_readme.py.')
    lost = [l for l in re.findall(r'\]\(([^)\s]+)\)', readme) if not re.match(r'\w+:|#', l) and not (root/l.split('#')[0]).exists()]
    if lost: sys.exit(f'README.md points to files that are not there: {", ".join(lost)}.')

if __name__ == '__main__': main(check='--check' in sys.argv[1:])
