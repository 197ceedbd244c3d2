#!/usr/bin/env python3
"""Speed and memory of `nersweep shard` on a corpus of any size, beside the tokenizer's own speed.

usage: bench/shard.py --vocab FILE [--size-gb 5] [--data DIR] [--threads 1,2] [--folder DIR] [--nersweep build/release/bin/nersweep]

Makes a CoNLL file of the size wanted (deterministic: sentences of words of the vocabulary, drawn by rank as words are in a text, and of made-up
names with labels; with --data, sentences of DIR/train.conll drawn again and again), shards it once for each number of threads and compares what
was made, adds a small file and shards again, and tokenizes a part of the same text with `nersweep tokenize`. Samples RssAnon of
/proc/PID/status every 20 ms. Prints a table and one JSON line. Everything that it makes lies in one folder below --folder and is removed; the
largest moment takes about five times the size of the corpus on disk.
"""
import argparse
import hashlib
import itertools
import json
import os
import random
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
    """Wall seconds, CPU seconds, peak RssAnon in MB and stdout of a command."""
    start, peak = time.monotonic(), 0
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=out, stderr=errors)
        while True:
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            peak = max(peak, anonymous_kb(process.pid))
            time.sleep(0.02)
        wall = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        text, said = out.read().decode(), errors.read().decode()
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} failed with {process.returncode}:\n{said[-2000:]}")
    return wall, usage.ru_utime + usage.ru_stime, peak / 1024, text
