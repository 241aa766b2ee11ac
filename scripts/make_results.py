"Measure a finished self-training run and write nbs/results/NAME.json, from which the README is made: figures, and readings only of simulated archives"
import argparse, json, os, platform, sys
from pathlib import Path
import numpy as np
from hwr_nb.corpus import atomic_write
from hwr_nb.data import WordImages
from hwr_nb.pretrain import run_dir
from hwr_nb.recognize import Recognizer
from hwr_nb.review import untsv
from hwr_nb.text import graphemes

def readings(run, base, new, folder):
    "The crops whose reading changed, in random order: [{file, rounds: {'before': reading, 'after': reading}}]"
    files = [untsv(l.split('\t')[0]) for l in (run/'pseudo_labels'/'round-1.tsv').read_text(encoding='utf-8').split('\n') if l]
    first, last = ([r.text for r in m.read([folder/f for f in files])] for m in (base, new))
    changed = [i for i in np.random.default_rng(0).permutation(len(files)) if first[i] != last[i]]
    return [dict(file=files[i], rounds={'before': first[i], 'after': last[i]}) for i in changed]       # between them are labels, read with a lexicon

def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('name', help='of the file to write'); p.add_argument('model', type=Path, help='adapted model; its .run folder stands beside it')
    p.add_argument('--labeled', type=Path, required=True, help='crops to measure with'); p.add_argument('--title', required=True); p.add_argument('--command', required=True, help='that made the model, without private paths')
    p.add_argument('--machine', default=f'{os.cpu_count()} cores, {platform.machine()}'); p.add_argument('--unlabeled', type=Path, help='crops of a SIMULATED archive, whose readings may be shown')
    a = p.parse_args()
    run, test = run_dir(a.model), WordImages(a.labeled)
    report = json.loads((run/'report.json').read_text(encoding='utf-8'))
    s, base, new = report['settings'], Recognizer.load(report['settings']['model']), Recognizer.load(a.model)
    keep = lambda r: {k: v for k, v in r.evaluate(test).to_dict().items() if k in ('n', 'cer', 'wer', 'cer_ci', 'wer_ci', 'folded', 'ece')}
    rounds = [{k: round(r[k], 6) if isinstance(r[k], float) else r[k] for k in ('round', 'seconds', 'score', 'sound', 'confidence', 'kept', 'cer', 'wer') if k in r} for r in report['rounds']]
    if 'cer' not in rounds[0]: sys.exit(f'{run}/report.json has no error rates: run hwr-selftrain with --labeled, which only measures.')
    chars = [c for t in test.texts for c in graphemes(new.charset.clean(t))]
    outside = sum(c not in new.charset for c in chars) / len(chars)             # what this model cannot write, however well it reads
    d = dict(title=a.title, real=a.unlabeled is None, before=keep(base), after=keep(new), minutes=s['minutes'], seed=s['seed'], command=a.command, machine=a.machine, chosen=report['round'], charset=new.charset.name, outside=round(outside, 4), rounds=rounds)
    if a.unlabeled: d['readings'] = readings(run, base, new, a.unlabeled)
    new.net.speller = None; d['after']['looks'] = round(new.evaluate(test).cer, 6)      # five looks alone
    with atomic_write(Path(__file__).resolve().parent.parent/'nbs'/'results'/f'{a.name}.json', 'w') as f: json.dump(d, f, indent=1, ensure_ascii=False); f.write('\n')
    print(f'{a.title}: CER {d["before"]["cer"]:.1%} -> {d["after"]["cer"]:.1%}, WER {d["before"]["wer"]:.1%} -> {d["after"]["wer"]:.1%}')

if __name__ == '__main__': main()
