#!/usr/bin/env python3
"""Training speed beside Hugging Face Trainer: both in one run on one machine, taken in turn; real (unpadded) tokens per second.

usage: bench/train.py --model DIR --data DIR --peer SCRIPT [--steps 100] [--repeat 3] [--level NAME] [--nersweep build/release/bin/nersweep]

DIR of --data holds train.conll, dev.conll, test.conll. --peer is a script that trains the same with Trainer and ends with a JSON line that has
real_tokens_per_s; it is called with --model --data --max-steps --batch --no-eval (and --bf16 --group for its fastest setting). Without --peer
only nersweep is measured. --freeze measures freezing schedules instead: steps per second with nothing, the embeddings, half of the layers and all
but the last layer frozen throughout, the last also without dropout in what is frozen, and each as a ratio to nothing frozen. --profile
trains with `nersweep train --profile` and prints where a step's time goes, what is furthest above its roofline first; of several turns each
operation's quickest counts, against the best peaks of all. --model may be a config.json, with --vocab: random weights. The interpreter is
$NERSWEEP_PEERS_PYTHON or .peers/bin/python; a torch built for CUDA wants its libraries' folders in LD_LIBRARY_PATH. --level keeps both
programs to the instructions of a level (amx, avx512bf16, avx512, avx2) on a processor that has more: nersweep by NERSWEEP_CPU_FEATURES, the peer by
the variables of oneDNN, MKL and ATen. Without it each takes what it finds. Prints a table and one JSON line, which says the level and what was set.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--vocab")
parser.add_argument("--data", required=True)
parser.add_argument("--peer")
parser.add_argument("--peer-variants", default="default,fastest")
parser.add_argument("--steps", type=int, default=100)
parser.add_argument("--repeat", type=int, default=3)
parser.add_argument("--batch", type=int, default=16)
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
parser.add_argument("--unit", choices=("sentence", "document"), default="sentence")
parser.add_argument("--level", choices=("amx", "avx512bf16", "avx512", "avx2"))
parser.add_argument("--freeze", action="store_true")
parser.add_argument("--profile", action="store_true")
parser.add_argument("--nersweep", default="build/release/bin/nersweep")
args = parser.parse_args()
PEER_PYTHON = os.environ.get("NERSWEEP_PEERS_PYTHON", ".peers/bin/python")
PEER_FLAGS = {"default": [], "fp32-group": ["--group"], "fastest": ["--bf16", "--group"]}
# Per level what keeps each library to its instructions: the names are the libraries' own.
OUR_SETTINGS = {level: {"NERSWEEP_CPU_FEATURES": level} for level in ("amx", "avx512bf16", "avx512", "avx2")}
PEER_SETTINGS = {
    "amx": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_AMX", "ATEN_CPU_CAPABILITY": "avx512", "MKL_ENABLE_INSTRUCTIONS": "AVX512_E4"},
    "avx512bf16": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16", "ATEN_CPU_CAPABILITY": "avx512", "MKL_ENABLE_INSTRUCTIONS": "AVX512_E3"},
    "avx512": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "ATEN_CPU_CAPABILITY": "avx512", "MKL_ENABLE_INSTRUCTIONS": "AVX512"},
    "avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
}


described = set()  # what nersweep said it computes with


def settings(of_level):
    return of_level[args.level] if args.level else {}


def setting_summary():
    """What the JSON line says of the instructions that were allowed."""
    used = {"nersweep_backend": "; ".join(sorted(described))}
    if not args.level:
        return {"level": None, **used}
    return {"level": args.level, **used, "settings": {"nersweep": settings(OUR_SETTINGS), "peer": settings(PEER_SETTINGS) if args.peer else None}}


def measured(command, environment=None):
    """Runs a command; its last JSON line and the peak memory of it and its children in MB."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, env=environment)
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        lines = [line for line in out.read().decode().splitlines() if line.startswith("{")]
    if process.returncode != 0 or not lines:
        sys.exit(f"{' '.join(command)} failed with {process.returncode}:\n{errors.decode()[-2000:]}")
    return json.loads(lines[-1]), usage.ru_maxrss / 1024


def run_ours(flags=()):
    """The result of one training, its peak MB, and its profile where one is asked for."""
    with tempfile.TemporaryDirectory() as out:
        command = [args.nersweep, "train", "--model", args.model, "--train", f"{args.data}/train.conll", "--dev", f"{args.data}/dev.conll",
                   "--out", out, "--max-steps", str(args.steps), "--per-device-train-batch-size", str(args.batch), "--learning-rate", "5e-5",
                   "--warmup-ratio", "0.1", "--weight-decay", "0.01", "--no-eval", "--threads", str(args.threads), "--unit", args.unit, "--precision", args.precision, "--json"]
        if args.vocab:
            command += ["--vocab", args.vocab]
        result, rss = measured(command + list(flags), {**os.environ, **settings(OUR_SETTINGS)})
        described.add(result["backend_description"])
        return result, rss, read_profile(result)


def read_profile(result):
    if "profile" not in result:
        return None
    with open(result["profile"], encoding="utf-8") as file:
        return json.load(file)


def run_speeds(flags=()):
    """Real tokens per second, steps per second, peak MB."""
    result, rss, _ = run_ours(flags)
    return result["real_tokens_per_s"], result["steps"] / result["wall_s"], rss


def freeze_variants():
    path = args.model if args.model.endswith(".json") else os.path.join(args.model, "config.json")
    with open(path) as file:
        layers = json.load(file)["num_hidden_layers"]
    schedules = {"none": "none", "embeddings": "embeddings@10000", "half": f"embeddings+{layers // 2}@10000",
                 "all-but-last": f"embeddings+{layers - 1}@10000"}
    flags = {name: ["--freeze-schedule", schedule] for name, schedule in schedules.items()}
    flags["all-but-last-kept"] = flags["all-but-last"] + ["--no-frozen-dropout"]
    return flags


def compare_freezing():
    variants, speeds = freeze_variants(), {}
    for turn in range(args.repeat):
        for name, flags in variants.items():
            _, speed, rss = run_speeds(flags)
            speeds.setdefault(name, []).append(speed)
            print(f"turn {turn + 1}: {name:18s} {speed:8.3f} steps/s  {rss:7.0f} MB", file=sys.stderr)
    summary = {"model": args.model, "data": args.data, "steps": args.steps, "threads": args.threads, "precision": args.precision,
               **setting_summary()}
    print(f"{'frozen':18s} {'steps/s':>8s} {'to none':>8s}")
    for name, values in speeds.items():
        ratio = statistics.median(a / b for a, b in zip(values, speeds["none"]))
        print(f"{name:18s} {statistics.median(values):8.3f} {ratio:7.2f}x")
        summary[name] = {"steps_per_s": round(statistics.median(values), 4), "ratio": round(ratio, 3)}
    print(json.dumps(summary))


def run_peer(variant):
    command = [PEER_PYTHON, args.peer, "--model", args.model, "--data", args.data, "--max-steps", str(args.steps), "--batch", str(args.batch),
               "--threads", str(args.threads), "--unit", args.unit, "--no-eval"] + PEER_FLAGS[variant]
    if args.vocab:
        command += ["--vocab", args.vocab]
    result, rss = measured(command, {**os.environ, **settings(PEER_SETTINGS)})
    return result["real_tokens_per_s"], rss


def best_of(profiles):
    """The peaks reached in any turn, and each operation of a step as in its quickest one: {name: (ms, GF/s, GB/s, bound, roofline ms)}."""
    peaks = {key: max(profile["peaks"][key] for profile in profiles) for key in profiles[0]["peaks"]}
    rows = {}
    for profile in profiles:
        steps = profile["training"]["steps"]
        for operation in profile["training"]["operations"]:
            name = f"{operation['operation']} {operation.get('matrix', '')}".strip() + (" (bf16)" if operation["type"] == "bf16" else "")
            compute_ms = operation["flop"] / peaks[operation["type"] + "_gflops"] / steps * 1e-6
            memory_ms = operation["bytes"] / peaks["memory_gb_per_s"] / steps * 1e-6
            row = (operation["wall_s"] / steps * 1e3, operation["gflops"], operation["gb_per_s"], "memory" if memory_ms > compute_ms else "compute",
                   max(compute_ms, memory_ms))
            rows[name] = min(row, rows.get(name, row))
    return peaks, rows


def show_roofline():
    profiles, loads = [], []
    for turn in range(args.repeat):
        loads.append(round(os.getloadavg()[0], 2))
        result, _, profile = run_ours(["--profile"])
        profiles.append(profile)
        print(f"turn {turn + 1}: {result['real_tokens_per_s']:9.1f} tokens/s  load before {loads[-1]}", file=sys.stderr)
    peaks, rows = best_of(profiles)
    steps = profiles[0]["training"]["steps"]
    step_ms = min(profile["training"]["wall_s"] for profile in profiles) / steps * 1e3
    rest_ms = min(profile["training"]["wall_s"] - profile["training"]["operations_s"] for profile in profiles) / steps * 1e3
    roofline_ms = sum(row[4] for row in rows.values())
    print(f"{profiles[0]['device']}; {profiles[0]['precision']}, {steps} steps of batch {args.batch}, {args.repeat} turns, load before each {loads}")
    print(f"peaks: {peaks['fp32_gflops']:.0f} GF/s fp32, {peaks['bf16_gflops']:.0f} GF/s bf16, {peaks['memory_gb_per_s']:.1f} GB/s")
    print(f"quickest turn: {step_ms:.1f} ms a step; the roofline of all operations is {roofline_ms:.1f} ms, {100 * roofline_ms / step_ms:.0f}% of it\n")
    print("| operation | ms/step | GF/s | GB/s | bound | of roofline | ms above it |\n|---|---|---|---|---|---|---|")
    for name, (ms, gflops, gb_per_s, bound, least_ms) in sorted(rows.items(), key=lambda item: item[1][4] - item[1][0]):
        if ms >= 0.005 * step_ms:
            print(f"| {name} | {ms:.2f} | {gflops:.0f} | {gb_per_s:.1f} | {bound} | {100 * least_ms / ms:.0f}% | {ms - least_ms:.2f} |")
    print(f"| no operation | {rest_ms:.2f} | | | | | {rest_ms:.2f} |")
    print(json.dumps({"model": args.model, **setting_summary(), "loads": loads, "peaks": peaks, "step_ms": step_ms, "roofline_ms": roofline_ms}))


if args.freeze:
    compare_freezing()
    sys.exit(0)
if args.profile:
    show_roofline()
    sys.exit(0)
variants = args.peer_variants.split(",") if args.peer else []
speeds, peaks = {"nersweep": []}, {"nersweep": 0.0}
for turn in range(args.repeat):
    for name in ["nersweep"] + variants:
        speed, rss = run_speeds()[::2] if name == "nersweep" else run_peer(name)
        speeds.setdefault(name, []).append(speed)
        peaks[name] = max(peaks.get(name, 0.0), rss)
        print(f"turn {turn + 1}: {name:12s} {speed:9.1f} tokens/s  {rss:7.0f} MB", file=sys.stderr)
summary = {"model": args.model, "data": args.data, "steps": args.steps, "threads": args.threads, "precision": args.precision,
               **setting_summary()}
print(f"{'':12s} {'tokens/s':>10s} {'peak MB':>9s} {'nersweep is':>12s}")
ours = statistics.median(speeds["nersweep"])
for name, values in speeds.items():
    middle = statistics.median(values)
    # Ratios pair by pair: the machine's speed drifts from minute to minute.
    ratio = statistics.median(a / b for a, b in zip(speeds["nersweep"], values))
    print(f"{name:12s} {middle:10.1f} {peaks[name]:9.0f} {ratio:11.2f}x")
    summary[name] = {"tokens_per_s": middle, "peak_rss_mb": round(peaks[name]), "ratio": round(ratio, 3)}
print(json.dumps(summary))
