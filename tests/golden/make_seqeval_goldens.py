#!/usr/bin/env python3
"""Writes seqeval.json: label sequences with the spans and scores that seqeval gives them.

    python3 make_seqeval_goldens.py [seqeval.json]

Needs seqeval (scripts/setup --peers). The same version of seqeval writes the same bytes.
seqeval's default mode does not know L- and U-, so for BILOU it is given E- and S- in their place; strict mode sees the labels as they are.
"""
import json
import os
import random
import sys
import warnings
from importlib.metadata import version

import seqeval.metrics as metrics
import seqeval.metrics.v1 as strict_metrics
import seqeval.scheme as schemes
from seqeval.metrics.sequence_labeling import get_entities

PREFIXES = {"IOB1": "IB", "IOB2": "IB", "IOE1": "IE", "IOE2": "IE", "IOBES": "IBES", "BILOU": "BILU"}
TYPES = ["PER", "LOC", "A-B", "Stra\u00dfe"]  # a type with a hyphen, one outside ASCII
SEQUENCES = 60
CORPORA = 8


def mapped(labels):
    swap = {"L": "E", "U": "S"}
    return [swap.get(label[0], label[0]) + label[1:] for label in labels]


def any_labels(rng, scheme, length, types):
    """Every transition, valid or not, with runs of one type likely enough to make long spans."""
    labels, kind = [], rng.choice(types)
    for _ in range(length):
        if rng.random() < 0.3:
            kind = rng.choice(types)
        labels.append("O" if rng.random() < 0.25 else rng.choice(PREFIXES[scheme]) + "-" + kind)
    return labels


def valid_labels(rng, scheme, length, types):
    """Spans drawn first, then written down by the book."""
    spans, position = [], 0
    while position < length:
        if rng.random() < 0.5:
            end = min(length, position + rng.randint(1, 4))
            spans.append((position, end, rng.choice(types)))
            position = end
        else:
            position += 1
    labels = ["O"] * length
    for index, (start, end, kind) in enumerate(spans):
        before = index > 0 and spans[index - 1][1:] == (start, kind)
        after = index + 1 < len(spans) and spans[index + 1][0] == end and spans[index + 1][2] == kind
        inside = ["I"] * (end - start)
        if scheme == "IOB2" or (scheme == "IOB1" and before):
            inside[0] = "B"
        if scheme == "IOE2" or (scheme == "IOE1" and after):
            inside[-1] = "E"
        if scheme in ("IOBES", "BILOU"):
            single, last = ("S", "E") if scheme == "IOBES" else ("U", "L")
            inside = [single] if end - start == 1 else ["B"] + inside[1:-1] + [last]
        labels[start:end] = [prefix + "-" + kind for prefix in inside]
    return labels


def default_spans(labels):
    return [[kind, start, last + 1] for kind, start, last in get_entities(mapped(labels))]


def strict_spans(labels, scheme):
    entities = schemes.Entities([labels], getattr(schemes, scheme)).entities[0]
    return [[entity.tag, entity.start, entity.end] for entity in entities]


def noisy(rng, scheme, labels):
    other = any_labels(rng, scheme, len(labels), TYPES)
    return [new if rng.random() < 0.25 else old for old, new in zip(labels, other)]


def row(values):
    precision, recall, f1, support = values
    return [float(precision), float(recall), float(f1), int(support)]


def scores(gold, predicted, scheme, zero_division):
    """scheme None: default mode."""
    if scheme:
        def score(average):
            return strict_metrics.precision_recall_fscore_support(
                gold, predicted, average=average, scheme=getattr(schemes, scheme), zero_division=zero_division)
        spans = [strict_spans(labels, scheme) for labels in gold + predicted]
    else:
        gold, predicted = [mapped(labels) for labels in gold], [mapped(labels) for labels in predicted]

        def score(average):
            return metrics.sequence_labeling.precision_recall_fscore_support(
                gold, predicted, average=average, zero_division=zero_division)
        spans = [default_spans(labels) for labels in gold + predicted]
    names = sorted({kind for sentence in spans for kind, _, _ in sentence})
    if not names:
        return None  # an average over nothing: seqeval gives NaN
    result = {average: row(score(average)) for average in ("micro", "macro", "weighted")}
    result["types"] = {name: row(values) for name, values in zip(names, zip(*score(None)))}
    return result


def corpus_pair(rng, scheme, index):
    types = TYPES[:2] if index % 3 == 0 else TYPES
    sentences = rng.randint(1, 6)
    make = valid_labels if index % 2 == 0 else any_labels
    gold = [make(rng, scheme, rng.randint(1, 12), types) for _ in range(sentences)]
    if index == 1:
        gold = [["O"] * len(labels) for labels in gold]  # nothing to find
    predicted = [noisy(rng, scheme, labels) for labels in gold]
    if index == 2:
        predicted = [["O"] * len(labels) for labels in gold]  # nothing found
    return gold, predicted


def main():
    warnings.simplefilter("ignore")
    rng = random.Random(20240229)
    result = {"seqeval": version("seqeval"), "sequences": {}, "corpora": []}
    for scheme in PREFIXES:
        rows = []
        for index in range(SEQUENCES):
            make = valid_labels if index % 3 == 0 else any_labels
            labels = make(rng, scheme, rng.randint(1, 14), TYPES)
            rows.append({"labels": labels, "default": default_spans(labels), "strict": strict_spans(labels, scheme)})
        result["sequences"][scheme] = rows
        for index in range(CORPORA):
            gold, predicted = corpus_pair(rng, scheme, index)
            zero_division = index % 2
            corpus = {"scheme": scheme, "zero_division": zero_division, "gold": gold, "predicted": predicted,
                      "accuracy": float(metrics.accuracy_score(gold, predicted))}
            for mode, given in (("default", None), ("strict", scheme)):
                scored = scores(gold, predicted, given, zero_division)
                if scored:
                    corpus[mode] = scored
            result["corpora"].append(corpus)
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "seqeval.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(result, file, ensure_ascii=False, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
