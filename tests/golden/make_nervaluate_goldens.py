#!/usr/bin/env python3
"""Writes nervaluate.json: spans of sentences with what nervaluate counts by each of its four schemas.

    python3 make_nervaluate_goldens.py [nervaluate.json]

Needs nervaluate 1.2.1 (pip install nervaluate). The same version writes the same bytes. Spans are [type, first token, behind the last token];
nervaluate's own ends are inclusive.
"""
import json
import os
import random
import sys
from importlib.metadata import version

from nervaluate import Evaluator

TYPES = ["LOC", "ORG", "PER"]
CORPORA = 40


def flat(rng, length, density):
    """Spans that do not overlap."""
    spans, at = [], 0
    while at < length:
        size = rng.choice([1, 1, 2, 3, 5])
        if rng.random() < density and at + size <= length:
            spans.append([rng.choice(TYPES), at, at + size])
            at += size
        else:
            at += 1
    return spans


def disturbed(rng, spans, length):
    """A system's answer: spans moved, retyped, split, lost and made up."""
    out, end = [], 0
    for kind, start, stop in spans:
        choice = rng.random()
        if choice < 0.2:
            continue
        if choice < 0.4:
            kind = rng.choice(TYPES)
        if 0.3 < choice < 0.6:
            start, stop = start + rng.choice([-1, 0, 1]), stop + rng.choice([-1, 0, 1, 2])
        start, stop = max(start, end), min(stop, length)
        if start < stop:
            if stop - start > 1 and choice > 0.9:
                out.append([rng.choice(TYPES), start, start + 1])
                start += 1
            out.append([kind, start, stop])
            end = stop
    return out if rng.random() < 0.9 else flat(rng, length, 0.3)


def counted(result):
    return {key: getattr(result, key) for key in ("correct", "incorrect", "partial", "missed", "spurious", "possible", "actual", "precision",
                                                  "recall", "f1")}


def evaluate(sentences):
    as_dicts = [[[{"label": k, "start": a, "end": b - 1} for k, a, b in side] for side in sides] for sides in zip(*sentences)]
    result = Evaluator(as_dicts[0], as_dicts[1], tags=TYPES, loader="dict").evaluate()
    return {"overall": {name: counted(value) for name, value in result["overall"].items()},
            "types": {kind: {name: counted(value) for name, value in by.items()} for kind, by in sorted(result["entities"].items())}}


def main():
    rng = random.Random(20130614)
    corpora = []
    for number in range(CORPORA):
        sentences = []
        for _ in range(rng.randint(1, 12)):
            length = rng.randint(1, 24)
            gold = flat(rng, length, 0.3)
            sentences.append([gold, disturbed(rng, gold, length)])
        if number == 0:  # an overlap below 1% of the gold span is none
            sentences = [[[["PER", 0, 150], ["LOC", 200, 300]], [["PER", 149, 152], ["LOC", 299, 301]]]]
        corpora.append({"sentences": sentences, **evaluate(sentences)})
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "nervaluate.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"nervaluate": version("nervaluate"), "types": TYPES, "corpora": corpora}, file, separators=(",", ":"), sort_keys=True)
        file.write("\n")


if __name__ == "__main__":
    main()
