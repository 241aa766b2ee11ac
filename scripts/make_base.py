"""Train the shipped model `base` in two phases on synthetic words; each can be killed and resumed.

    python scripts/make_base.py FONTS --out base.safetensors [--first 38 --second 30] [--resume]

FONTS is a folder of more handwriting fonts beside the shipped ones (here 175 files, all under the SIL Open Font License or the Apache License 2.0; the families of `HELD_OUT` are never trained on). The first phase learns from
the shipped fonts, the second goes on with those of FONTS at a lower rate. The model that ships was made with `--first 70`, stopped after 38 minutes, and then the second phase of 30 minutes, on two cores without matrix units.
"""
import argparse
from pathlib import Path
from hwr_nb.pretrain import pretrain

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('fonts'); p.add_argument('--out', type=Path, required=True); p.add_argument('--first', type=float, default=38); p.add_argument('--second', type=float, default=30)
    p.add_argument('--resume', action='store_true')
    a = p.parse_args()
    one = a.out.with_name(f'{a.out.stem}-first.safetensors')
    if not one.exists(): pretrain(one, minutes=a.first, seed=1, resume=a.resume and one.with_suffix('.resume').exists())
    print(pretrain(a.out, minutes=a.second, seed=2, lr=1.3e-3, init=one, fonts=a.fonts, resume=a.resume and a.out.with_suffix('.resume').exists()))

if __name__ == '__main__': main()
