#!/usr/bin/env python3
"""F1 beside Hugging Face Trainer over seeds: whole runs of both programs, and whether their means are equivalent within a margin.

usage: bench/f1.py --model DIR --data NAME=DIR [--data NAME=DIR ...] --runs FILE [--peer SCRIPT] [--seeds 10] [--precision bf16]
                   [--margin 0.015] [--recorded bench/f1_recorded.jsonl]
       bench/f1.py ... --precision bf16 --paired fp32

Each DIR of --data holds train.conll, dev.conll, test.conll. Both programs train 3 epochs at learning rate 2e-4, batch 16, 10% warm-up, weight decay
0.01, linear schedule, and are scored after the last epoch. Every run is a line of FILE (JSON Lines), written as soon as it is known: the same command goes on
where it was stopped, and runs that are there, of either program, are not repeated; neither are those of --recorded, whose names of corpora are wnut17
and ncbi (transformers 5.23, torch 2.15). Without --peer only what is known of it is compared.

Run i has seed i with nersweep and 1000 i with Trainer: its sampler shuffles epoch e of seed s as it does epoch 0 of seed s + e, so runs of neighbouring seeds
share most of their batches. They then differ less than independent ones, and all of them may be off the same way.

With --paired nersweep is compared with itself in another precision, seed by seed: start weights, order and masks are the same, so the differences of pairs scatter
far less than runs do. In fp32 nersweep does what Trainer does on other random numbers (bench/parity.py).

Equivalence is two one-sided tests at 5% (Schuirmann 1987), Welch's or of pairs: the 90% interval of the difference of means lies within the margin. With few seeds the
interval is wide, and "not shown" says no more than that. Prints a table and one JSON line.
"""
import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--data", action="append", required=True, metavar="NAME=DIR")
parser.add_argument("--runs", required=True)
parser.add_argument("--peer")
parser.add_argument("--peer-precision", choices=("fp32", "bf16"), default="fp32")
parser.add_argument("--recorded", default=os.path.join(os.path.dirname(__file__), "f1_recorded.jsonl"))
parser.add_argument("--seeds", type=int, default=10)
parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
parser.add_argument("--paired", choices=("fp32", "bf16"))
parser.add_argument("--margin", type=float, default=0.015)
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--nersweep", default="build/release/bin/nersweep")
args = parser.parse_args()
if args.paired == args.precision:
    parser.error("--paired is a precision other than that of --precision")
PEER_PYTHON = os.environ.get("NERSWEEP_PEERS_PYTHON", ".peers/bin/python")
PEER_SEED_STEP = 1000


def read_runs():
    """{(program, precision, corpus, seed): {"dev": f1, "test": f1}}; a line that a stop cut short is left out."""
    runs = {}
    for path in filter(os.path.exists, (args.recorded, args.runs)):
        with open(path) as file:
            for line in file:
                try:
                    run = json.loads(line)
                    runs[run["program"], run["precision"], run["corpus"], run["seed"]] = {"dev": run["dev"], "test": run["test"]}
                except (ValueError, KeyError):
                    print(f"{path}: not a run: {line.rstrip()[:80]}", file=sys.stderr)
    return runs


def keep_run(runs, key, result):
    runs[key] = result
    program, precision, corpus, seed = key
    line = json.dumps({"program": program, "precision": precision, "corpus": corpus, "seed": seed, **result})
    with open(args.runs, "a") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())
    print(line, file=sys.stderr)


def last_json(command):
    process = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    lines = [line for line in process.stdout.decode().splitlines() if line.startswith("{")]
    if process.returncode != 0 or not lines:
        sys.exit(f"{' '.join(command)} failed with {process.returncode}:\n{process.stderr.decode()[-2000:]}")
    return json.loads(lines[-1])


def run_ours(folder, seed, precision):
    with tempfile.TemporaryDirectory() as out:
        result = last_json([args.nersweep, "train", "--model", args.model, "--train", f"{folder}/train.conll", "--dev", f"{folder}/dev.conll",
                            "--test", f"{folder}/test.conll", "--out", f"{out}/run", "--num-train-epochs", "3", "--eval-every-epochs", "3",
                            "--learning-rate", "2e-4", "--per-device-train-batch-size", "16", "--warmup-ratio", "0.1", "--weight-decay", "0.01",
                            "--seed", str(seed), "--threads", str(args.threads), "--precision", precision, "--json"])
    (dev,) = result["last"]["dev"].values()
    return {"dev": dev["f1"], "test": result["last"]["test"]["f1"]}


def run_peer(folder, seed):
    flags = ["--bf16", "--group"] if args.peer_precision == "bf16" else []
    with tempfile.TemporaryDirectory() as out:
        result = last_json([PEER_PYTHON, args.peer, "--model", args.model, "--data", folder, "--epochs", "3", "--lr", "2e-4", "--batch", "16",
                            "--warmup-ratio", "0.1", "--wd", "0.01", "--seed", str(seed), "--threads", str(args.threads), "--out", out] + flags)
    return {"dev": result["dev"]["f1"], "test": result["test"]["f1"]}


def t_probability(t, freedom):
    """P(T <= t) of Student's distribution, by Simpson's rule over the density."""
    density = lambda x: (1 + x * x / freedom) ** (-(freedom + 1) / 2)
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)
    steps = 2000
    width = t / steps
    total = density(0) + density(t) + sum((4 if i % 2 else 2) * density(i * width) for i in range(1, steps))
    return 0.5 + scale * total * width / 3


def t_quantile(probability, freedom):
    low, high = 0.0, 1000.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if t_probability(middle, freedom) < probability else (low, middle)
    return high


def compare_pairs(ours, others):
    """Mean difference of pairs with its 90% interval; None: too few pairs for one."""
    differences = [a - b for a, b in zip(ours, others)]
    difference = statistics.mean(differences)
    if len(differences) < 2:
        return difference, None
    half = t_quantile(0.95, len(differences) - 1) * statistics.stdev(differences) / math.sqrt(len(differences))
    return difference, (difference - half, difference + half)


def compare(ours, peers):
    """Difference of means with its 90% interval; None: too few runs for one."""
    difference = statistics.mean(ours) - statistics.mean(peers)
    if len(ours) < 2 or len(peers) < 2:
        return difference, None
    a, b = statistics.variance(ours) / len(ours), statistics.variance(peers) / len(peers)
    if a + b == 0:
        return difference, (difference, difference)
    freedom = (a + b) ** 2 / (a * a / (len(ours) - 1) + b * b / (len(peers) - 1))
    half = t_quantile(0.95, freedom) * math.sqrt(a + b)
    return difference, (difference - half, difference + half)


def scores_of(runs, program, precision, corpus, split):
    """{seed: F1}"""
    return {seed: result[split] for (*what, seed), result in sorted(runs.items()) if what == [program, precision, corpus]}


corpora = dict(item.split("=", 1) for item in args.data)
runs = read_runs()
for seed in range(1, args.seeds + 1):
    for corpus, folder in corpora.items():
        for precision in filter(None, (args.precision, args.paired)):
            key = ("nersweep", precision, corpus, seed)
            if key not in runs:
                keep_run(runs, key, run_ours(folder, seed, precision))
        key = ("trainer", args.peer_precision, corpus, PEER_SEED_STEP * seed)
        if args.peer and key not in runs:
            keep_run(runs, key, run_peer(folder, PEER_SEED_STEP * seed))

other = ("nersweep", args.paired) if args.paired else ("trainer", args.peer_precision)
summary = {"model": args.model, "precision": args.precision, "other": other, "margin": args.margin}
print(f"{'':20s} {'nersweep':>16s} {' '.join(other):>16s} {'difference':>11s}   90% interval")
for corpus in corpora:
    for split in ("dev", "test"):
        ours, others = scores_of(runs, "nersweep", args.precision, corpus, split), scores_of(runs, *other, corpus, split)
        if args.paired:
            ours = {seed: score for seed, score in ours.items() if seed in others}
            others = {seed: others[seed] for seed in ours}
        ours, others = list(ours.values()), list(others.values())
        if not others:
            print(f"{corpus + ' ' + split:20s} {statistics.mean(ours):9.4f} ({len(ours):2d})")
            continue
        difference, interval = (compare_pairs if args.paired else compare)(ours, others)
        equivalent = interval is not None and -args.margin < interval[0] and interval[1] < args.margin
        verdict = f"{interval[0]:+.4f} .. {interval[1]:+.4f}: " + ("equivalent" if equivalent else "not shown") if interval else "too few runs"
        print(f"{corpus + ' ' + split:20s} {statistics.mean(ours):9.4f} ({len(ours):2d}) {statistics.mean(others):11.4f} ({len(others):2d}) {difference:+11.4f}   {verdict}")
        summary[f"{corpus} {split}"] = {"nersweep": ours, "other": others, "difference": round(difference, 5), "interval": interval, "equivalent": equivalent}
print(json.dumps(summary))
