"""Train the speller of a model on words without pictures, while the rest of its network stays as it is.

    python scripts/make_speller.py base.safetensors --out base-spelling.safetensors --minutes 25 --seed 931

A speller without a table gets one. Every two minutes the model as it stands is written to NAME.part.safetensors, from which a killed run can be started again (give it as the model). At the end `best_trust` and the calibration are found on held-out drawn words; with `--minutes 0` only that is done.
"""
import argparse
from pathlib import Path

import torch

from hwr_nb.model import HTRNet, load_model, save_model
from hwr_nb.pretrain import held_out, provenance, word_sources
from hwr_nb.spell import lesson, word_batches

def with_speller(path):
    "A trained network, its speller given what spellers have by default and it lacks"
    old, charset, meta = load_model(path)
    net = HTRNet(**{**old.args, 'speller': HTRNet(2).args['speller']})
    net.load_state_dict(old.state_dict(), strict=False)
    return net.eval(), charset, meta

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('model', type=Path); p.add_argument('--out', type=Path, required=True); p.add_argument('--minutes', type=float, default=25); p.add_argument('--seed', type=int, default=931); p.add_argument('--lr', type=float, default=1.5e-3)
    a = p.parse_args()
    torch.manual_seed(a.seed)
    net, charset, meta = with_speller(a.model)
    synth, valid = word_sources(None, None, None, a.seed, charset, 3000)
    part, prov, loss_, told = a.out.with_suffix('.part.safetensors'), dict(meta['provenance']), None, 120
    def each(seconds, steps, loss, speller):
        nonlocal loss_, told
        loss_ = loss if loss_ is None else loss_ + (loss - loss_) * .01
        if seconds < told: return
        told += 120; print(f'{steps} steps, {seconds:.0f} s, loss {loss_:.3f} nats per character', flush=True)
        own, net.speller = net.speller, speller; save_model(part, net, charset, meta.get('calibration'), prov); net.speller = own
    if a.minutes:
        steps = lesson(net.speller, word_batches(synth.words, charset, a.seed), a.minutes, lr=a.lr, each=each)
        prov['speller'] = [*prov.get('speller', []), {k: v for k, v in provenance(synth, minutes=a.minutes, steps=steps).items() if not k.startswith('fonts')}]
    prov['held_out'], calibration = held_out(net, valid, charset)
    save_model(a.out, net, charset, calibration, prov)
    print(f'{a.out}: trust {prov["held_out"]["trust"]}, {1 - prov["held_out"]["wer"]:.1%} of held-out words right')
    part.unlink(missing_ok=True)

if __name__ == '__main__': main()
