#!/usr/bin/env python3
"""A corpus of 100 MB is linted within a minute of processor time and in bounded memory; the output is the same each time.

usage: lint_large_test.py [MEGABYTES]"""
import itertools
import os
import random
import resource
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from support import NERSWEEP  # noqa: E402

SECONDS_PER_100_MB = 60
MEMORY_MB, MEMORY_PER_MB = 64, 3


def write_corpus(path, size_bytes):
    """Words by Zipf's law, names among them; every 50th sentence is a copy of an earlier one, every 100th nearly one."""
    generator = random.Random(7)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(generator.choices(letters, k=generator.randint(2, 9))) for _ in range(60000)]
    weights = list(itertools.accumulate(1 / (rank + 2) ** 0.9 for rank in range(len(words))))
    written, number, kept = 0, 0, []
    with open(path, "w", encoding="ascii") as file:
        while written < size_bytes:
            lines = []
            for word in generator.choices(words, cum_weights=weights, k=generator.randint(4, 40)):
                if generator.random() < 0.08:
                    lines.append(f"{word.capitalize()}\tB-{generator.choice(('PER', 'ORG', 'LOC', 'MISC'))}\n")
                else:
                    lines.append(f"{word}\tO\n")
            number += 1
            if number % 50 == 0:
                lines = list(generator.choice(kept))
                if number % 100 == 0:
                    lines[-1] = "changed\tO\n"
            elif len(kept) < 1000 and len(lines) > 12:
                kept.append(lines)
            text = "".join(lines) + "\n"
            file.write(text)
            written += len(text)


def main():
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory(prefix="nersweep-lint-") as folder:
        path = os.path.join(folder, "large.conll")
        write_corpus(path, megabytes * 1000000)
        outputs = []
        for _ in range(2):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            result = subprocess.run([NERSWEEP, "lint", path], capture_output=True, text=True, timeout=900, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            outputs.append(result.stdout)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        memory = after.ru_maxrss / 1000
        print(result.stderr, f"{megabytes} MB: {seconds:.1f} s of processor time, {memory:.0f} MB", sep="")
        assert outputs[0] == outputs[1]
        assert "duplicate-sentence" in result.stderr and "near-duplicate-sentence" in result.stderr
        assert seconds < SECONDS_PER_100_MB * megabytes / 100 + 1, seconds
        assert memory < MEMORY_MB + MEMORY_PER_MB * megabytes, memory


if __name__ == "__main__":
    main()
