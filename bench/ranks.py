#!/usr/bin/env python3
"""Training on several MPI ranks beside one rank with as many threads, taken in turn; and a cost model for more ranks held against measurements.

usage: bench/ranks.py --model DIR --data DIR [--worlds 1x2,2x1] [--precisions fp32,bf16] [--steps 40] [--repeat 3] [--world] [--cost-model]
                      [--network-gbit 100] [--network-us 5] [--build build/release]

A world RxT is R ranks of T threads; every one is compared with the first. Speeds are real tokens per second of training, without checkpoints;
"processor" is the processor time of all processes of the first world for a step, as a ratio to that of the others: on a busy machine it says
more than wall time. --world measures each world under `deterministic: world`, too. --cost-model takes, for the first precision, the time of a step from
runs of one rank and thread at two batch sizes, and latency and time per byte of a sum from bench_ranks on two ranks; it predicts 1, 2 and 4
ranks on this machine's cores, prints that beside what they take, and predicts 8, 16 and 64 ranks, each a core like these, on a network of
--network-gbit and --network-us for each message. What does not grow with the batch it takes as repeated by each rank, though the ranks share AdamW out.
Prints tables and one JSON line.
"""
import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--data", required=True)
parser.add_argument("--worlds", default="1x2,2x1")
parser.add_argument("--precisions", default="fp32,bf16")
parser.add_argument("--steps", type=int, default=40)
parser.add_argument("--repeat", type=int, default=3)
parser.add_argument("--batch", type=int, default=16)
parser.add_argument("--world", action="store_true")
parser.add_argument("--cost-model", action="store_true")
parser.add_argument("--network-gbit", type=float, default=100)
parser.add_argument("--network-us", type=float, default=5)
parser.add_argument("--build", default="build/release")
args = parser.parse_args()
CORES = len(os.sched_getaffinity(0))
MPI = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1"}


def run(command):
    """The last JSON line of a command, and the processor seconds of it and all it started."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | MPI)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    lines = [line for line in done.stdout.decode().splitlines() if line.startswith("{")]
    if done.returncode != 0 or not lines:
        sys.exit(f"{' '.join(command)} failed with {done.returncode}:\n{done.stderr.decode()[-2000:]}")
    return json.loads(lines[-1]), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def train(ranks, threads, precision, batch=args.batch, steps=args.steps, flags=()):
    with tempfile.TemporaryDirectory() as out:
        return run([f"{args.build}/bin/nersweep", "train", "--model", args.model, "--train", f"{args.data}/train.conll", "--dev",
                    f"{args.data}/dev.conll", "--out", out, "--max-steps", str(steps), "--per-device-train-batch-size", str(batch),
                    "--learning-rate", "5e-5", "--no-eval", "--ranks", str(ranks), "--threads", str(threads), "--precision", precision,
                    "--json", *flags])


def measure(ranks, threads, precision, flags=()):
    """Tokens per second, and processor seconds for a step: of two runs, so that what is done once cancels out."""
    short = max(2, args.steps // 4)
    _, once_s = train(ranks, threads, precision, steps=short, flags=flags)
    result, processor_s = train(ranks, threads, precision, flags=flags)
    return result["real_tokens_per_s"], (processor_s - once_s) / (args.steps - short)


def compare_worlds(precision):
    worlds = [tuple(map(int, world.split("x"))) for world in args.worlds.split(",")]
    modes = [("", ())] + ([(" world", ("--deterministic", "world"))] if args.world else [])
    measured = {}
    for turn in range(args.repeat):
        for ranks, threads in worlds:
            for mode, flags in modes:
                speed, processor_s = measure(ranks, threads, precision, flags)
                measured.setdefault(f"{ranks}x{threads}{mode}", []).append((speed, processor_s))
                print(f"turn {turn + 1}: {precision} {ranks}x{threads}{mode:6s} {speed:9.1f} tokens/s {processor_s * 1e3:8.1f} ms of processor "
                      "time a step", file=sys.stderr)
    first = next(iter(measured.values()))
    summary = {}
    print(f"{precision:14s} {'tokens/s':>10s} {'to first':>9s} {'processor, ms/step':>20s} {'to first':>9s}")
    for name, values in measured.items():
        # Ratios pair by pair: the machine's speed drifts from minute to minute.
        speed_ratio = statistics.median(a[0] / b[0] for a, b in zip(values, first))
        processor_ratio = statistics.median(b[1] / a[1] for a, b in zip(values, first))
        speed, processor = (statistics.median(v[i] for v in values) for i in (0, 1))
        print(f"{name:14s} {speed:10.1f} {speed_ratio:8.2f}x {processor * 1e3:20.1f} {processor_ratio:8.2f}x")
        summary[name] = {"tokens_per_s": round(speed, 1), "ratio": round(speed_ratio, 3), "processor_ms": round(processor * 1e3, 2),
                         "processor_ratio": round(processor_ratio, 3)}
    return summary


def sums(ranks):
    """Best times of sums over so many ranks by bytes."""
    result, _ = run(["mpirun", "-n", str(ranks), "--bind-to", "none", f"{args.build}/bin/bench_ranks"])
    return {row["bytes"]: row["best_s"] for row in result["sums"]}


def gradient_bytes():
    """Of a step: all layers, and of the embeddings the rows that a step has, some 20 distinct pieces for a sentence, and the positions."""
    with open(args.model if args.model.endswith(".json") else os.path.join(args.model, "config.json")) as file:
        config = json.load(file)
    d, f, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    layer = 4 * d * d + 2 * d * f + 9 * d + f
    return 4 * (layers * layer + (20 * args.batch + config["max_position_embeddings"] + 4) * d)


def step_s(result):
    return result["train_s"] / result["steps"]


def sum_s(ranks, size_bytes, latency_s, byte_s):
    """Recursive halving and doubling: 2 log2 R exchanges one after another, 2 (R - 1) / R of the bytes through each rank."""
    return 2 * math.log2(ranks) * latency_s + 2 * (ranks - 1) / ranks * size_bytes * byte_s if ranks > 1 else 0.0


def cost_model(precision):
    sizes = (args.batch, 2 * args.batch)
    runs = {size: [] for size in sizes}
    for _ in range(args.repeat):
        for size in sizes:
            result, _ = train(1, 1, precision, batch=size)
            runs[size].append((step_s(result), result["pieces"] / result["steps"] if "pieces" in result else
                               result["real_tokens_per_s"] * step_s(result)))
    small, large = (min(runs[size]) for size in sizes)
    token_s = (large[0] - small[0]) / (large[1] - small[1])
    fixed_s = max(0.0, small[0] - token_s * small[1])  # the optimizer, and whatever else does not grow with the batch
    on_two = sums(2)
    least, most = min(on_two), max(on_two)
    latency_s, byte_s = on_two[least] / 2, (on_two[most] - on_two[least]) / most
    bytes_, tokens = gradient_bytes(), small[1]

    def predict(ranks, cores, latency, byte):
        share = max(1.0, ranks / cores) * (fixed_s + token_s * tokens / ranks)
        reduce = max(1.0, ranks / cores) * sum_s(ranks, bytes_, latency, byte)
        return share, reduce

    print(f"{precision}: {token_s * 1e6:.1f} us a token and {fixed_s * 1e3:.1f} ms a step on one core; sums: {latency_s * 1e6:.1f} us a message, "
          f"{byte_s * 1e9:.3f} ns a byte; {bytes_ / 1e6:.1f} MB of gradients, {tokens:.0f} tokens a step")
    print(f"{'ranks':>5s} {'compute':>9s} {'sums':>8s} {'predicted':>10s} {'measured':>9s} {'off by':>7s}")
    rows = []
    for ranks in (1, 2, 4):
        share, reduce = predict(ranks, CORES, latency_s, byte_s)
        measured = min(step_s(train(ranks, 1, precision)[0]) for _ in range(args.repeat))
        predicted = share + reduce
        rows.append({"ranks": ranks, "predicted_s": predicted, "measured_s": measured})
        print(f"{ranks:5d} {share * 1e3:6.1f} ms {reduce * 1e3:5.1f} ms {predicted * 1e3:7.1f} ms {measured * 1e3:6.1f} ms {predicted / measured - 1:+7.1%}")
    network_byte_s = 8e-9 / args.network_gbit
    print(f"on a network of {args.network_gbit:g} Gbit/s and {args.network_us:g} us a message, one core for each rank; sums behind backward, or beside it:")
    print(f"{'ranks':>5s} {'compute':>9s} {'sums':>8s} {'a step':>15s} {'speed-up':>15s}")
    forecast = []
    for ranks in (8, 16, 64):
        share, reduce = predict(ranks, ranks, args.network_us * 1e-6, network_byte_s + byte_s / 2)
        beside = max(share, reduce)
        alone = fixed_s + token_s * tokens
        forecast.append({"ranks": ranks, "step_s": share + reduce, "overlapped_s": beside})
        print(f"{ranks:5d} {share * 1e3:6.1f} ms {reduce * 1e3:5.1f} ms {(share + reduce) * 1e3:5.1f} or {beside * 1e3:4.1f} ms {alone / (share + reduce):6.2f} or {alone / beside:5.2f}")
    return {"token_us": token_s * 1e6, "fixed_ms": fixed_s * 1e3, "latency_us": latency_s * 1e6, "byte_ns": byte_s * 1e9,
            "gradient_mb": bytes_ / 1e6, "checked": rows, "forecast": forecast}


precisions = args.precisions.split(",")
summary = {"model": args.model, "data": args.data, "steps": args.steps, "cores": CORES}
if args.cost_model:
    summary["cost_model"] = cost_model(precisions[0])
else:
    summary.update({precision: compare_worlds(precision) for precision in precisions})
print(json.dumps(summary))
