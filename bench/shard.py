#!/usr/bin/env python3
"""Speed and memory of `nersweep shard` on a corpus of any size, beside the tokenizer's own speed.

usage: bench/shard.py --vocab FILE [--size-gb 5] [--data DIR] [--threads 1,2] [--folder DIR] [--skip-again] [--nersweep build/release/bin/nersweep]

Makes a CoNLL file of the size wanted (deterministic: sentences of words of the vocabulary, drawn by rank as words are in a text, and of made-up
names with labels; with --data, sentences of DIR/train.conll drawn again and again), shards it once for each number of threads and compares what
was made, adds a small file and shards again, and tokenizes a part of the same text with `nersweep tokenize`. Samples RssAnon of
/proc/PID/status every 100 ms. Prints a table and one JSON line. Everything that it makes lies in one folder below --folder and is removed; the
largest moment takes about ten times the size of the corpus on disk, six times with --skip-again.
"""
import argparse
import itertools
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time

parser = argparse.ArgumentParser()
parser.add_argument("--vocab", required=True)
parser.add_argument("--size-gb", type=float, default=5)
parser.add_argument("--data")
parser.add_argument("--threads", default="1,2")
parser.add_argument("--folder")
parser.add_argument("--skip-again", action="store_true", help="leave out sharding again, which needs room for the shards twice")
parser.add_argument("--tokenize-mb", type=float, default=200)
parser.add_argument("--nersweep", default="build/release/bin/nersweep")
args = parser.parse_args()

DISTINCT_SENTENCES = 200_000
BLOCK_SENTENCES = 100_000
TYPES = ["PER", "LOC", "ORG", "MISC"]
POSITIONS = 512


def vocabulary_words():
    with open(args.vocab, encoding="utf-8") as file:
        pieces = [line.rstrip("\n") for line in file]
    return pieces, [piece for piece in pieces if len(piece) > 1 and piece.isalpha() and piece.isascii()]


def made_up_names(draw, count):
    starts, ends = ["ka", "mo", "ri", "sta", "bel", "tor", "vin", "lu", "dra", "ne"], ["son", "berg", "ville", "ova", "ton", "ica", "dale", "a"]
    return ["".join(draw.choices(starts, k=draw.randint(1, 3)) + [draw.choice(ends)]).capitalize() for _ in range(count)]


def made_up_sentences(words):
    """Words by Zipf's law, a name now and then, some capitals and numbers, and a full stop."""
    draw = random.Random(20)
    names = made_up_names(draw, 30_000)
    weights = list(itertools.accumulate(1 / (rank + 10) for rank in range(len(words))))
    sentences = []
    for _ in range(DISTINCT_SENTENCES):
        lines = []
        for word in draw.choices(words, cum_weights=weights, k=draw.randint(4, 36)):
            chance = draw.random()
            if chance < 0.06:
                kind = draw.choice(TYPES)
                lines += [f"{name}\t{'I' if i else 'B'}-{kind}" for i, name in enumerate(draw.choices(names, k=draw.randint(1, 3)))]
            elif chance < 0.08:
                lines.append(f"{draw.randint(1, 10 ** draw.randint(1, 6))}\tO")
            elif chance < 0.14:
                lines.append(",\tO")
            else:
                lines.append(f"{word.capitalize() if not lines else word}\tO")
        sentences.append("\n".join(lines + [".\tO", "", ""]).encode())
    return sentences


def corpus_sentences(folder):
    with open(f"{folder}/train.conll", encoding="utf-8") as file:
        return [text.strip("\n").encode() + b"\n\n" for text in file.read().split("\n\n") if text.strip()]


def write_corpus(path, sentences, size_bytes, seed):
    draw, written = random.Random(seed), 0
    with open(path, "wb") as file:
        while written < size_bytes:
            block = b"".join(draw.choices(sentences, k=BLOCK_SENTENCES))
            if written + len(block) > size_bytes:
                block = block[:block.rfind(b"\n\n", 0, max(int(size_bytes - written), 4)) + 2]
                size_bytes = 0
            file.write(block)
            written += len(block)
    return written


def anonymous_kb(process_id):
    try:
        with open(f"/proc/{process_id}/status") as file:
            for line in file:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1])
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


def run(command):
    """Wall seconds, CPU seconds, peak RssAnon in MB, stdout and stderr of a command."""
    start, peak = time.monotonic(), 0
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=out, stderr=errors)
        while True:
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            peak = max(peak, anonymous_kb(process.pid))
            time.sleep(0.1)
        wall = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        text, said = out.read().decode(), errors.read().decode()
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} failed with {process.returncode}:\n{said[-2000:]}")
    return wall, usage.ru_utime + usage.ru_stime, peak / 1024, text, said


def shard(folder, out, files, threads):
    command = [args.nersweep, "shard", "--model", f"{folder}/config.json", "--vocab", args.vocab, "--out", out, "--threads", str(threads), "--json"]
    for path in files:
        command += ["--train", path]
    wall, cpu, peak, text, said = run(command)
    passes = re.search(r"([0-9.]+) s for the hashes of the files, ([0-9.]+) s for their labels and words, ([0-9.]+) s for the records", said)
    return {"threads": threads, "wall_s": round(wall, 2), "cpu_s": round(cpu, 2), "rss_anon_mb": round(peak, 1),
            "passes_s": [float(number) for number in passes.groups()] if passes else None, "summary": json.loads(text)}


def tokenizer_mb_per_s(folder, corpus):
    """`nersweep tokenize --words` on the same sentences, one a line: MB of text per second of one thread, reading and printing included."""
    lines, size = f"{folder}/lines.txt", 0
    with open(corpus, encoding="utf-8") as source, open(lines, "w", encoding="utf-8") as file:
        words = []
        for line in source:
            if line.strip():
                words.append(line.split("\t")[0])
                continue
            size += file.write(" ".join(words) + "\n")
            words = []
            if size > args.tokenize_mb * 1e6:
                break
    casing = [] if lowercase else ["--cased"]
    wall, cpu, _, _, _ = run([args.nersweep, "tokenize", "--vocab", args.vocab, "--words"] + casing + [lines])
    os.unlink(lines)
    return size / 1e6 / wall, size / 1e6 / cpu


pieces, words = vocabulary_words()
lowercase = not any(piece.lower() != piece for piece in pieces if not piece.startswith("["))
sentences = corpus_sentences(args.data) if args.data else made_up_sentences(words)
results = []
with tempfile.TemporaryDirectory(prefix="nersweep-bench-shard-", dir=args.folder) as folder:
    corpus, added = f"{folder}/corpus.conll", f"{folder}/added.conll"
    with open(f"{folder}/config.json", "w") as file:
        json.dump({"model_type": "bert", "vocab_size": len(pieces), "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1,
                   "intermediate_size": 16, "max_position_embeddings": POSITIONS, "type_vocab_size": 2}, file)
    size_mb = write_corpus(corpus, sentences, args.size_gb * 1e9, 1) / 1e6
    write_corpus(added, sentences, 1e6, 2)
    identities = set()
    for threads in [int(number) for number in args.threads.split(",")]:
        out = f"{folder}/shards"
        results.append(shard(folder, out, [corpus], threads))
        results[-1].update(name=f"{threads} threads", mb_per_s=round(size_mb / results[-1]["wall_s"], 2),
                           mb_per_cpu_s=round(size_mb / results[-1]["cpu_s"], 2), store_mb=round(os.path.getsize(f"{out}/shards.mdb") / 1e6))
        identities.add(results[-1]["summary"]["identity"])
        print(f"{results[-1]}", file=sys.stderr)
        if threads != int(args.threads.split(",")[-1]):
            os.unlink(f"{out}/shards.mdb")
    for name, files in [] if args.skip_again else [("again, nothing changed", [corpus]), ("again, 1 MB added", [corpus, added])]:
        results.append(shard(folder, out, files, threads))
        results[-1].update(name=name)
    wall_speed, cpu_speed = tokenizer_mb_per_s(folder, corpus)
if len(identities) != 1:
    sys.exit(f"the shards differ: {identities}")
print(f"{size_mb:.0f} MB of CoNLL, {results[0]['summary']['splits']['train']['tokens']} tokens, {results[0]['store_mb']} MB of shards")
print(f"{'':24s} {'wall s':>8s} {'CPU s':>8s} {'MB/s':>8s} {'MB/CPU s':>9s} {'RssAnon MB':>11s}  hashes, survey, records (s)")
for result in results:
    print(f"{result['name']:24s} {result['wall_s']:8.1f} {result['cpu_s']:8.1f} {result.get('mb_per_s', ''):>8} {result.get('mb_per_cpu_s', ''):>9}"
          f" {result['rss_anon_mb']:11.1f}  {result['passes_s'] or ''}")
print(f"nersweep tokenize --words: {wall_speed:.1f} MB/s of plain text, {cpu_speed:.1f} MB per CPU second")
for result in results:
    del result["summary"]
print(json.dumps({"size_mb": size_mb, "runs": results, "tokenize_mb_per_s": round(wall_speed, 2), "tokenize_mb_per_cpu_s": round(cpu_speed, 2)}))
