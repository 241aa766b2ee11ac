"""Train the speller of a model on words without pictures, while the rest of its network stays as it is.

    python scripts/make_speller.py base.safetensors --out base-spelling.safetensors --minutes 25 --seed 931

Words are drawn by their counts to the power 1/2, as the n-gram of the soft lexicon weighs them: a judge of spelling has to have met rare words too.
Every two minutes the model as it stands is written to NAME.part.safetensors, from which a killed run can be started again (give it as the model). At the end `best_trust` and the calibration are found on held-out drawn words; with `--minutes 0` only that is done.
"""
import argparse, time
from pathlib import Path

import numpy as np
import torch

from hwr_nb.data import BucketStream, padded
from hwr_nb.learner import lr_share
from hwr_nb.model import HTRNet, best_trust, calibrate, load_model, predict, save_model, LOOKS
from hwr_nb.pretrain import provenance, word_sources, worn
from hwr_nb.spell import spelling_loss

def with_speller(path):
    "A trained network, given a new speller where it has none"
    net, charset, meta = load_model(path)
    if net.speller is None:
        old, net = net, HTRNet(**{**net.args, 'speller': HTRNet(2).args['speller']})
        net.load_state_dict(old.state_dict(), strict=False)
    for m in net.speller.modules():         # words without end need no dropout
        if hasattr(m, 'drop'): m.drop = 0. if isinstance(m.drop, float) else torch.nn.Identity()
    return net, charset, meta

def texts(sampler, charset, rng, bs, n=40_960):
    "Batches of words of about the same length, without end, as class numbers padded with 0"
    while True:
        ids = sorted((charset.encode(sampler(rng)) for _ in range(n)), key=len)
        for k in rng.permutation(n // bs): yield padded(ids[k * bs:(k + 1) * bs])

def finish(net, charset, meta, synth, valid, out, minutes, steps):
    "Trust and calibration on held-out drawn words, then the file"
    stream = BucketStream(valid, charset)
    items = [stream.sample(i) for i in range(len(valid))]
    trust = best_trust(net, [a for strength in (1.2, 1.6) for a in worn([a for a, _ in items], strength)], [t for _, t in items] * 2)
    got = predict(net, [a for a, _ in items], looks=LOOKS)
    right = [list(t) == list(y) for (t, _), (_, y) in zip(got, items)]
    prov = dict(meta['provenance'])
    if steps: prov['speller'] = [*prov.get('speller', []), {k: v for k, v in provenance(synth, minutes=minutes, steps=steps).items() if not k.startswith('fonts')}]
    prov['held_out'] = dict(fonts=sorted({f.family for f in valid.fonts.fonts}), words=len(valid), wer=float(1 - np.mean(right)), trust=trust)
    save_model(out, net, charset, calibrate(np.array([p for _, p in got]), np.array(right)), prov)
    print(f'{out}: trust {trust}, {np.mean(right):.1%} of held-out words right', flush=True)

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('model', type=Path); p.add_argument('--out', type=Path, required=True); p.add_argument('--minutes', type=float, default=25); p.add_argument('--seed', type=int, default=931)
    p.add_argument('--lr', type=float, default=1.5e-3); p.add_argument('--bs', type=int, default=512); p.add_argument('--power', type=float, default=.5)
    a = p.parse_args()
    torch.manual_seed(a.seed)
    net, charset, meta = with_speller(a.model)
    synth, valid = word_sources(None, None, None, a.seed, charset, 1000)
    batches = texts(synth.words.tempered(a.power), charset, np.random.default_rng(a.seed), a.bs)
    opt = torch.optim.AdamW(net.speller.parameters(), a.lr, weight_decay=.01, fused=True)
    ema = torch.optim.swa_utils.AveragedModel(net.speller, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(.998), use_buffers=True)
    t0, steps, loss_, told = time.monotonic(), 0, 0., 120
    part = a.out.with_suffix('.part.safetensors')
    while (s := time.monotonic() - t0) < 60 * a.minutes:
        for g in opt.param_groups: g['lr'] = a.lr * lr_share(s / 60 / a.minutes)
        loss = spelling_loss(net.speller.train(), next(batches)); loss.backward()
        torch.nn.utils.clip_grad_norm_(net.speller.parameters(), 2.); opt.step(); opt.zero_grad(); ema.update_parameters(net.speller)
        steps += 1; loss_ += (loss.item() - loss_) * max(.01, 1 / steps)
        if s < told: continue
        told += 120; print(f'{steps} steps, {s:.0f} s, loss {loss_:.3f} nats per character', flush=True)
        own = net.speller; net.speller = ema.module.eval(); save_model(part, net, charset, meta.get('calibration'), meta['provenance']); net.speller = own
    if steps: net.speller = ema.module.eval()
    finish(net, charset, meta, synth, valid, a.out, a.minutes, steps)
    part.unlink(missing_ok=True)

if __name__ == '__main__': main()
