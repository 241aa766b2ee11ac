"""Build the fonts that ship with hwr_nb: woff2 files, their licenses, fonts.csv and a README.

    python scripts/make_fonts.py FONTS [--out hwr_nb/data/fonts]

FONTS is a folder with fonts.csv (tier, file, family, style, licence, package, version, subset, ...),
registry/*.ttf and licenses/*.txt.
"""
import csv, io, re
from pathlib import Path
from fastcore.script import call_parse
from fontTools.ttLib import TTFont
from fontTools.ttLib.woff2 import WOFF2FlavorData
from hwr_nb.fonts import check_font

COLS = 'file family style xheight_em stroke axes chars license reserved renamed source'.split()

def reserved(tt, license):
    "Reserved font names a copyright statement declares; the license's own definition of the term does not count"
    head = re.split(r'preamble|definitions', license, flags=re.I)[0]
    said = head + ' ' + ' '.join(str(n) for n in tt['name'].names if n.nameID == 0)
    return bool(re.search(r'reserved\s+font\s+names?\b', said, re.I))

def rename(tt, name):
    "Give the font a name of ours everywhere a user could see it"
    ps = name.replace(' ', '')
    for n in list(tt['name'].names):
        if n.nameID in (1,16,21): tt['name'].setName(name, n.nameID, n.platformID, n.platEncID, n.langID)
        elif n.nameID == 4: tt['name'].setName(name, 4, n.platformID, n.platEncID, n.langID)
        elif n.nameID == 6: tt['name'].setName(ps, 6, n.platformID, n.platEncID, n.langID)
        elif n.nameID == 3: tt['name'].setName(f'hwr_nb;{ps}', 3, n.platformID, n.platEncID, n.langID)
        elif n.nameID in (18,20,22,25): tt['name'].removeNames(nameID=n.nameID)

def pack(tt):
    "woff2 with tables as they are (no glyf transform): 10 % larger, but unpacking is brotli and nothing else"
    out = io.BytesIO()
    tt.flavor, tt.flavorData = 'woff2', WOFF2FlavorData(transformedTables=())
    tt.save(out, reorderTables=None)
    return out.getvalue()

README = '''# Fonts that ship with hwr_nb

{n} handwriting fonts as woff2, made by `scripts/make_fonts.py`. `fonts.csv` says of each: style, measured x-height and stroke, the characters it draws,
its license and the package it came from. `licenses/` holds the license of every font, under the font's file name: they are all SIL Open Font License or Apache 2.0, not MIT
like the code. A font may be passed on only together with its license, and OFL fonts may not be sold by themselves.

**What was changed.** The container only: the tables of each font are inside the woff2 byte for byte (no subsetting, no glyph transform), but for
the checksum and the flag in `head` that woff2 demands. SIL's FAQ on the OFL does not count such a woff file as a modified version.
Before that, where a package keeps the Latin and the Latin Extended part of a font as two files, these had been joined into one.

**Reserved font names.** {kept} fonts declare a Reserved Font Name and are packed from the whole original; they keep their name, and have `yes` under `reserved` in `fonts.csv`.
The fonts below declare one too, but their package holds subsets of them (Latin, or Latin and Latin Extended, which have been joined into one file). A subset is a modified version,
which may not carry a reserved name. They therefore have a name of ours, in the file and in the font:

| here | made from |
| --- | --- |
{renamed}

If you change one of the fonts marked `reserved` (subset it, say), give your version another name too.
'''

@call_parse
def main(
    fonts:str,                       # folder with fonts.csv, registry/ and licenses/
    out:str='hwr_nb/data/fonts',     # where the package keeps its fonts
):
    "Pack the fonts of the tier `registry` as woff2 with licenses, fonts.csv and README.md"
    src, out = Path(fonts), Path(out)
    (out/'licenses').mkdir(parents=True, exist_ok=True)
    for p in [*out.glob('*.woff2'), *out.glob('licenses/*.txt')]: p.unlink()
    with open(src/'fonts.csv', encoding='utf-8', newline='') as f: table = [r for r in csv.DictReader(f) if r['tier'] == 'registry']
    rows, ours, kept = [], {}, 0
    for r in table:
        stem, family = Path(r['file']).stem, re.sub(r' Bold$', '', r['family'])
        license = (src/'licenses'/f'{stem}.txt').read_text(encoding='utf-8')
        load = lambda: TTFont(src/'registry'/r['file'], recalcBBoxes=False, recalcTimestamp=False)
        tt = load() # another than the one whose names are looked at: a table that was parsed is not saved byte for byte
        source, res = f"{r['family']} ({r['package']} {r['version']})", reserved(load(), license)
        if res and r['subset'] != 'full':
            name = ours.setdefault(family, f"HWR Hand {chr(ord('A')+len(ours))}")
            stem = name.replace(' ', '') + (f"-{r['weight']}" if r['weight'] != '400' else '')
            rename(tt, name)
            family = name
        else: kept += res
        path = out/f'{stem}.woff2'
        path.write_bytes(pack(tt))
        (out/'licenses'/f'{stem}.txt').write_text(license, encoding='utf-8')
        font, row = check_font(str(path), 'en')
        if font is None: raise SystemExit(f"{r['file']} cannot ship: {row['reason']}")
        rows.append(dict(file=path.name, family=family, style=r['style'], xheight_em=font.xheight_em, stroke=font.stroke, axes=';'.join(f'{lo:g} {hi:g}' for lo,hi in font.axes),
            chars=''.join(sorted(font.chars)), license=r['licence'], reserved='yes' if res and not family.startswith('HWR') else '',
            renamed='yes' if family.startswith('HWR') else '', source=source))
        print(f"{path.name:32} {path.stat().st_size:7} bytes, {len(font.chars)} characters" + (f", lacks {row['missing']}" if row['missing'] else ''))
    with open(out/'fonts.csv', 'w', encoding='utf-8', newline='') as f:
        w = csv.DictWriter(f, COLS, lineterminator='\n')
        w.writeheader()
        w.writerows(rows)
    (out/'README.md').write_text(README.format(n=len(rows), kept=kept, renamed='\n'.join(
        f"| {v} | {k} |" for k,v in ours.items())), encoding='utf-8')
    print(f'{len(rows)} fonts, {sum(p.stat().st_size for p in out.rglob("*") if p.is_file())/1e6:.2f} MB with licenses')
