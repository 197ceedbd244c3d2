#!/usr/bin/env python3
"""The coordinator's speed beside Optuna's, in one run on one machine: durable trials and reports over TCP, start-up, memory.

usage: bench/coordinator.py [--peer SCRIPT] [--sizes 1000,10000,100000] [--seconds 10] [--repeat 1] [--folder DIR] [--program build/release/bin/bench_coordinator]

For each size a journal of so many ended trials is made below --folder, which must be a disk; then a coordinator goes on with it under 64 TCP
clients: trials of 3 reports (durable transitions per second: assigned and ended), and trials of 100 reports (reports per second). --peer is a script
that runs trials of 3 reports through Optuna and ends with a JSON line of trials per second by storage; the interpreter is
$NERSWEEP_PEERS_PYTHON or .peers/bin/python. Prints a table and one JSON line; of several runs the best counts, because others share the machine.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

parser = argparse.ArgumentParser()
parser.add_argument("--peer")
parser.add_argument("--sizes", default="1000,10000,100000")
parser.add_argument("--seconds", type=int, default=10)
parser.add_argument("--repeat", type=int, default=1)
parser.add_argument("--folder", default=".")
parser.add_argument("--program", default="build/release/bin/bench_coordinator")
args = parser.parse_args()
PROGRAM = os.path.abspath(args.program)
PEER_PYTHON = os.environ.get("NERSWEEP_PEERS_PYTHON", ".peers/bin/python")


def lines(command, folder=None):
    result = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)} failed with {result.returncode}:\n{result.stderr[-2000:]}")
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


def serve(place, reports, window):
    """From the same journal each time: what a run adds must not count for the next. In the same folder, which the sweep's paths are part of."""
    runs = []
    kept, journal = os.path.join(place, "kept"), os.path.join(place, "journal")
    os.rename(journal, kept)
    for _ in range(args.repeat):
        shutil.copytree(kept, journal)
        runs.append(lines([PROGRAM, "serve", str(args.seconds), str(reports), str(window)], place)[-1])
        shutil.rmtree(journal)
    os.rename(kept, journal)
    return runs


summary = {"seconds": args.seconds, "sizes": {}}
print(f"{'trials':>9s} {'transitions/s':>14s} {'p99 ms':>8s} {'reports/s':>10s} {'p99 ms':>8s} {'start s':>8s} {'packed s':>9s} {'bytes/trial':>12s}")
for size in map(int, args.sizes.split(",")):
    with tempfile.TemporaryDirectory(dir=args.folder, prefix="bench-") as place:
        lines([PROGRAM, "journal", str(size)], place)
        plain = min((lines([PROGRAM, "start"], place)[-1] for _ in range(args.repeat)), key=lambda run: run["s"])
        lines([PROGRAM, "pack"], place)  # else the servers would do it while they are measured
        trials = max(serve(place, 3, 3), key=lambda run: run["trials_per_s"])
        reports = max(serve(place, 100, 32), key=lambda run: run["reports_per_s"])
        packed = min((lines([PROGRAM, "start"], place)[-1] for _ in range(args.repeat)), key=lambda run: run["s"])
    print(f"{size:9d} {trials['transitions_per_s']:14.0f} {trials['p99_ms']:8.1f} {reports['reports_per_s']:10.0f} {reports['p99_ms']:8.1f} "
          f"{plain['s']:8.2f} {packed['s']:9.2f} {packed['bytes_per_trial']:12.0f}", flush=True)
    summary["sizes"][size] = {"trials": trials, "reports": reports, "start": plain, "packed": packed}
if args.peer:
    summary["peer"] = lines([PEER_PYTHON, args.peer])[-1]
    print("Optuna, one process, trials/s:", ", ".join(f"{name[:-13]} {value}" for name, value in summary["peer"].items()))
print(json.dumps(summary))
