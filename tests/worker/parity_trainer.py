#!/usr/bin/env python3
"""`nersweep train` and Hugging Face Trainer on the same random numbers (bench/parity.py): a tiny model from nothing learns a made-up language, with dropout in
every place, warm-up, weight decay and clipping, and both programs have the same losses and the same F1. Another order of the sentences or another mask anywhere
would show. Exit code 77: skipped, no torch and transformers in NERSWEEP_PEERS_PYTHON or .peers/bin/python."""
import json
import os
import random
import subprocess
import sys
import tempfile

SOURCE = os.environ.get("NERSWEEP_SOURCE_DIR") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BINARY = os.environ.get("NERSWEEP_BINARY_DIR") or os.path.join(SOURCE, "build", "release")
PYTHON = os.environ.get("NERSWEEP_PEERS_PYTHON", os.path.join(SOURCE, ".peers", "bin", "python"))
MOST_LOSS = 1e-4  # relative, in fp32; 1e-7 was seen
NAMES = {"PER": ["anna", "olaf", "zoe"], "LOC": ["oslo", "paris", "rome"]}
OTHERS = ["went", "to", "saw", "in", "the", "rain", ".", "met", "ings"]


def write_corpus(path, count, numbers):
    with open(path, "w", encoding="utf-8") as file:
        for _ in range(count):
            for _ in range(numbers.randint(2, 14)):
                kind = numbers.choice(["O", "O", "O", "PER", "LOC"])
                if kind == "O":
                    file.write(f"{numbers.choice(OTHERS)}\tO\n")
                    continue
                for i in range(numbers.randint(1, 2)):
                    file.write(f"{numbers.choice(NAMES[kind])}{['', 'ings'][i]}\t{'BI'[i]}-{kind}\n")
            file.write("\n")


def write_model(folder):
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "##ings", *OTHERS, *NAMES["PER"], *NAMES["LOC"]]
    with open(f"{folder}/vocab.txt", "w", encoding="utf-8") as file:
        file.write("".join(piece + "\n" for piece in pieces))
    with open(f"{folder}/config.json", "w", encoding="utf-8") as file:
        json.dump({"model_type": "bert", "vocab_size": len(pieces), "hidden_size": 36, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 80,
                   "max_position_embeddings": 64, "hidden_dropout_prob": 0.05, "attention_probs_dropout_prob": 0.1, "classifier_dropout": 0.2}, file)


def peer_is_there():
    return os.access(PYTHON, os.X_OK) and subprocess.run([PYTHON, "-c", "import torch, transformers, seqeval"], capture_output=True, check=False).returncode == 0


def main():
    if not peer_is_there():
        print("skipped: no interpreter with torch, transformers and seqeval (scripts/setup --peers)")
        sys.exit(77)
    numbers = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        write_model(folder)
        for split, count in (("train", 300), ("dev", 60), ("test", 60)):
            write_corpus(f"{folder}/{split}.conll", count, numbers)
        result = subprocess.run([PYTHON, os.path.join(SOURCE, "bench", "parity.py"), "--model", f"{folder}/config.json", "--vocab", f"{folder}/vocab.txt",
                                 "--data", folder, "--epochs", "8", "--learning-rate", "6e-3", "--threads", "2",
                                 "--nersweep", os.path.join(BINARY, "bin", "nersweep")], capture_output=True, text=True, check=False)
    print(result.stdout)
    assert result.returncode == 0, f"exit {result.returncode}\n{result.stderr[-3000:]}"
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["most_loss"] < MOST_LOSS, f"losses differ by a factor of up to 1 +- {found['most_loss']}"
    assert found["f1"]["nersweep"] == found["f1"]["trainer"], f"F1 differs: {found['f1']}"
    assert found["f1"]["nersweep"]["test"] > 0.4, "the model learned nothing, so its F1 says nothing"


main()
