#!/usr/bin/env python3
"""WordPiece beside Hugging Face tokenizers: both in one run on one core, taken in turn; MB of UTF-8 per second.

usage: bench/tokenize.py --data DIR --peer SCRIPT [--repeat 5] [--clock cpu|wall] [--bench build/release/bin/bench_tokenize]

DIR of --data holds */*.conll, whose sentences are joined to lines, and vocab/bert-base-cased.txt and vocab/bert-base-uncased.txt. --peer is a
script that is called with --vocab FILE [--cased] FILE..., times a batch of all sentences five times and ends with a JSON line of the best:
mb_per_s, sentences. The interpreter is $NERSWEEP_PEERS_PYTHON or .peers/bin/python. Without --peer only nersweep is measured.

Ours is the best of five passes, each over all sentences from cold caches (the processor's are swept, the word cache is new). The ratio is also given
for the median of our passes, since on a busy machine a short pass finds a quiet moment more easily than the peer's long ones. By --clock cpu
(default) both sides are timed by the time that they ran for, since a machine that others use stretches a second of the peer's more than our
milliseconds: the peer's script then runs with its clock replaced. Before anything is timed the ids of both are compared, all of them, by count and
SHA-256: if they differ, no ratio is printed.

What is made: ours ids, offsets and word ids, checked to be UTF-8 on the way, offsets in code points; the peer's encode_batch_fast ids, pieces and
word ids, without offsets, and two special tokens a sentence.
"""
import argparse
import glob
import json
import os
import statistics
import subprocess
import sys

ORACLE = """
import array, hashlib, json, sys
from tokenizers import BertWordPieceTokenizer
vocab, lowercase = sys.argv[1], sys.argv[2] == "uncased"
texts, tokens = [], []
for path in sys.argv[3:]:
    for line in open(path, encoding="utf-8"):
        if line.strip():
            tokens.append(line.split("\\t")[0])
        elif tokens:
            texts.append(" ".join(tokens))
            tokens = []
if tokens:
    texts.append(" ".join(tokens))
ids = array.array("i")
for encoding in BertWordPieceTokenizer(vocab, lowercase=lowercase).encode_batch(texts, add_special_tokens=False):
    ids.extend(encoding.ids)
print(json.dumps({"pieces": len(ids), "ids_sha256": hashlib.sha256(ids.tobytes()).hexdigest(), "sentences": len(texts)}))
"""
CPU_CLOCK = "import runpy, sys, time; time.perf_counter = time.process_time; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"

parser = argparse.ArgumentParser()
parser.add_argument("--data", required=True)
parser.add_argument("--peer")
parser.add_argument("--repeat", type=int, default=5)
parser.add_argument("--cache", type=int, default=4096)
parser.add_argument("--clock", choices=("cpu", "wall"), default="cpu")
parser.add_argument("--core", type=int, default=0, help="the core that both use when they use one")
parser.add_argument("--bench", default="build/release/bin/bench_tokenize")
args = parser.parse_args()
PEER_PYTHON = os.environ.get("NERSWEEP_PEERS_PYTHON", ".peers/bin/python")
FILES = sorted(glob.glob(os.path.join(args.data, "*", "*.conll")))
if not FILES:
    sys.exit(f"{args.data} holds no */*.conll")


def measured(command, cores=(args.core,)):
    """Runs a command on these cores; its last JSON line."""
    environment = dict(os.environ, RAYON_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, preexec_fn=lambda: os.sched_setaffinity(0, cores))
    lines = [line for line in run.stdout.decode().splitlines() if line.startswith("{")]
    if run.returncode != 0 or not lines:
        sys.exit(f"{' '.join(command[:6])} ... failed with {run.returncode}:\n{run.stderr.decode()[-2000:]}")
    return json.loads(lines[-1])


def vocabulary(casing):
    return os.path.join(args.data, "vocab", f"bert-base-{casing}.txt")


def run_ours(casing, flags, cores=(args.core,)):
    command = [args.bench, "--vocab", vocabulary(casing), "--clock", args.clock] + flags + (["--cased"] if casing == "cased" else [])
    return measured(command + FILES, cores)


def run_peer(casing):
    command = [PEER_PYTHON] + (["-c", CPU_CLOCK] if args.clock == "cpu" else []) + [args.peer, "--vocab", vocabulary(casing)]
    return measured(command + (["--cased"] if casing == "cased" else []) + FILES)


def check_ids(casing):
    """The peer's sentences, when all ids are equal."""
    expected = measured([PEER_PYTHON, "-c", ORACLE, vocabulary(casing), casing] + FILES)
    for flags in ([], ["--cache", str(args.cache)]):
        ours = run_ours(casing, flags + ["--repeat", "1", "--hash"])
        for key in ("sentences", "pieces", "ids_sha256"):
            if ours[key] != expected[key]:
                sys.exit(f"{casing}: {key} is {ours[key]}, the peer's {expected[key]}: no ratio of different work")
    return expected


VARIANTS = {"no cache": [], "word cache": ["--cache", str(args.cache)], "token by token": ["--words", "--cache", str(args.cache)]}
summary = {"data": args.data, "clock": args.clock, "repeat": args.repeat}
print(f"{'':9s} {'':18s} {'MB/s':>8s} {'best pass':>12s} {'median pass':>12s}   (medians of {args.repeat}; {args.clock} time)")
for casing in ("uncased", "cased"):
    sentences = check_ids(casing)["sentences"] if args.peer else None
    speeds = {name: [] for name in list(VARIANTS) + (["peer"] if args.peer else [])}
    medians = {name: [] for name in VARIANTS}
    alone, together = [], []
    for turn in range(args.repeat):
        for name, flags in VARIANTS.items():
            result = run_ours(casing, flags)
            speeds[name].append(result["mb_per_s"])
            medians[name].append(result["median_mb_per_s"])
        if args.peer:
            result = run_peer(casing)
            if result["sentences"] != sentences:
                sys.exit(f"the peer took {result['sentences']} sentences, not {sentences}: no ratio of different work")
            speeds["peer"].append(result["mb_per_s"])
        if os.cpu_count() > 1:
            flags = VARIANTS["word cache"] + ["--repeat", "20"]
            alone.append(run_ours(casing, flags, range(2))["mb_per_s"])
            together.append(run_ours(casing, flags + ["--threads", "2"], range(2))["mb_per_s"])
    rows = {}
    for name, values in speeds.items():
        rows[name] = {"mb_per_s": round(statistics.median(values), 2)}
        # Ratios pair by pair: the machine's speed drifts from minute to minute.
        shown = ""
        if args.peer and name != "peer":
            best, middle = (statistics.median(a / b for a, b in zip(ours, speeds["peer"])) for ours in (values, medians[name]))
            rows[name].update(ratio=round(best, 2), ratio_of_median_pass=round(middle, 2))
            shown = f"{best:11.1f}x {middle:11.1f}x"
        print(f"{casing:9s} {name:18s} {rows[name]['mb_per_s']:8.2f} {shown}")
    if together:
        scaling = [b / a for a, b in zip(alone, together)]
        rows["two threads"] = {"mb_per_s": round(max(together), 2), "of_one": round(statistics.median(scaling), 2), "of_one_best": round(max(scaling), 2)}
        print(f"{casing:9s} {'two threads':18s} {max(together):8.2f}   {statistics.median(scaling):.2f} times one thread (best pair {max(scaling):.2f})")
    summary[casing] = rows
print(json.dumps(summary))
