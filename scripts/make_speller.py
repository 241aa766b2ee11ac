"""Train the speller of a model on drawn words, while the rest of its network stays as it is.

    python scripts/make_speller.py base.safetensors FONTS --out base-spelling.safetensors --minutes 35 --seed 901

The network reads a batch of drawn, augmented words; its frames join a buffer, from which the speller learns eight batches, each spoiled anew, and with each of them 512 words (`--texts`) that it spells without seeing anything. These are rarer words than those drawn: counts to the power ½ (`--power`), as the n-gram of the soft lexicon weighs them, or a judge of spelling would never hear of most of them.
Every five minutes the model as it stands is written to NAME.part.safetensors, from which a killed run can be started again (give it as the model). At the end `best_trust` and the calibration are found on held-out drawn words.
Several runs one after another made the spellers that ship (nbs/model_cards.ipynb has the minutes).
"""
import argparse, random, time
from pathlib import Path

import numpy as np
import torch

from hwr_nb.data import BucketStream, padded, word_dls
from hwr_nb.learner import BatchAugment, lr_share
from hwr_nb.model import HTRNet, best_trust, calibrate, load_model, predict, save_model, LOOKS
from hwr_nb.pretrain import provenance, word_sources, worn
from hwr_nb.spell import spelling_loss

USES, BUFFER = 8, 500       # batches learned from for each one read, batches remembered

def with_speller(path):
    "A trained network, given a new speller where it has none"
    net, charset, meta = load_model(path)
    if net.speller is None:
        old, net = net, HTRNet(**{**net.args, 'speller': HTRNet(2).args['speller']})
        net.load_state_dict(old.state_dict(), strict=False)
    for k, p in net.named_parameters(): p.requires_grad_(k.startswith('speller'))
    for m in net.speller.modules():         # words without end need no dropout
        if hasattr(m, 'drop'): m.drop = 0. if isinstance(m.drop, float) else torch.nn.Identity()
    return net, charset, meta

def unseen(sampler, charset, rng, bs, n=20_000):
    "Batches of texts of about the same length, without end, as class numbers padded with 0"
    while True:
        ids = sorted((charset.encode(sampler(rng)) for _ in range(n)), key=len)
        for k in rng.permutation(n - bs)[:n // bs]: yield padded(ids[k:k + bs])

def frames_of(net, dl, aug):
    "Batches (frames, their number for each word, targets) from a buffer that is filled as it is read"
    buffer, drawn = [], (b for _ in iter(int, 1) for b in dl)
    while True:
        x, w, y = next(drawn)
        with torch.inference_mode(): seen = net.eval()(aug(x, w), w)
        buffer = [*buffer, (seen.frames.half().clone(), seen.lens.clone(), y)][-BUFFER:]
        for k in range(USES): z, lens, y = buffer[-1] if k == 0 else random.choice(buffer); yield z.float(), lens, y

def finish(net, charset, meta, synth, valid, out, minutes, steps):
    "Trust and calibration on held-out drawn words, then the file"
    stream = BucketStream(valid, charset)
    items = [stream.sample(i) for i in range(len(valid))]
    trust = best_trust(net, worn([a for a, _ in items]), [t for _, t in items])
    got = predict(net, [a for a, _ in items], looks=LOOKS)
    right = [list(t) == list(y) for (t, _), (_, y) in zip(got, items)]
    prov = dict(meta['provenance']); prov['speller'] = [*prov.get('speller', []), provenance(synth, minutes=minutes, steps=steps, trust=trust) | dict(fonts=len(synth.fonts.families))]
    prov['held_out'] = dict(fonts=sorted({f.family for f in valid.fonts.fonts}), words=len(valid), wer=float(1 - np.mean(right)), trust=trust)
    save_model(out, net, charset, calibrate(np.array([p for _, p in got]), np.array(right)), prov)
    print(f'{out}: trust {trust}, {np.mean(right):.1%} of held-out words right', flush=True)

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('model', type=Path); p.add_argument('fonts'); p.add_argument('--out', type=Path, required=True); p.add_argument('--minutes', type=float, default=60); p.add_argument('--seed', type=int, default=901); p.add_argument('--lr', type=float, default=2e-3); p.add_argument('--texts', type=int, default=512); p.add_argument('--power', type=float, default=.5)
    a = p.parse_args()
    random.seed(a.seed); torch.manual_seed(a.seed)
    net, charset, meta = with_speller(a.model)
    synth, valid = word_sources(None, a.fonts, None, a.seed, charset, 512)
    batches, texts = frames_of(net, word_dls(synth, valid, charset, 64, 0, 500, 3, a.seed).train, BatchAugment(1.15)), unseen(synth.words.tempered(a.power), charset, np.random.default_rng(a.seed), a.texts)
    opt = torch.optim.AdamW(net.speller.parameters(), a.lr, weight_decay=.01, fused=True)
    ema = torch.optim.swa_utils.AveragedModel(net.speller, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(.998), use_buffers=True)
    t0, steps, loss_, told = time.monotonic(), 0, 0., 60
    part, kept = a.out.with_suffix('.part.safetensors'), 300
    while (s := time.monotonic() - t0) < 60 * a.minutes:
        for g in opt.param_groups: g['lr'] = a.lr * lr_share(s / 60 / a.minutes)
        z, lens, y = next(batches); net.speller.train()
        loss = spelling_loss(net.speller, z, lens, y, next(texts)); loss.backward()
        torch.nn.utils.clip_grad_norm_(net.speller.parameters(), 2.); opt.step(); opt.zero_grad(); ema.update_parameters(net.speller)
        steps += 1; loss_ += (loss.item() - loss_) * max(.01, 1 / steps)
        if s > told: told += 60; print(f'{steps} steps, {s:.0f} s, loss {loss_:.3f} nats per character', flush=True)
        if s > kept: kept += 300; own = net.speller; net.speller = ema.module.eval(); save_model(part, net, charset, meta.get('calibration'), meta['provenance']); net.speller = own
    net.speller = ema.module.eval()
    finish(net, charset, meta, synth, valid, a.out, a.minutes, steps)
    part.unlink(missing_ok=True)

if __name__ == '__main__': main()
