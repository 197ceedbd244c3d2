#!/usr/bin/env python3
"""Writes a tiny random BERT (2 layers, 32 wide) with a vocabulary made from examples/: a model folder for tests that need no download.

usage: tiny_model.py FOLDER EXAMPLES_FOLDER
The standard library alone; the same bytes every time."""
import collections
import json
import os
import random
import struct
import sys

LAYERS, WIDTH, HEADS, FFN, POSITIONS = 2, 32, 4, 64, 128


def vocabulary(examples):
    words = collections.Counter()
    for name in ("train", "dev", "test"):
        with open(os.path.join(examples, name + ".conll"), encoding="utf-8") as file:
            words.update(line.split("\t")[0] for line in file if line.strip())
    characters = sorted({c for word in words for c in word})
    frequent = [word for word, count in sorted(words.items(), key=lambda item: (-item[1], item[0])) if count > 1 and len(word) > 1]
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + characters + ["##" + c for c in characters] + frequent[:600]


def tensors(vocab_size, generator):
    def normal(*shape):
        count = 1
        for n in shape:
            count *= n
        return shape, [generator.gauss(0, 0.05) for _ in range(count)]

    def constant(value, n):
        return (n,), [value] * n

    out = {"bert.embeddings.word_embeddings.weight": normal(vocab_size, WIDTH),
           "bert.embeddings.position_embeddings.weight": normal(POSITIONS, WIDTH),
           "bert.embeddings.token_type_embeddings.weight": normal(2, WIDTH),
           "bert.embeddings.LayerNorm.weight": constant(1.0, WIDTH),
           "bert.embeddings.LayerNorm.bias": constant(0.0, WIDTH)}
    for i in range(LAYERS):
        layer = f"bert.encoder.layer.{i}."
        for name in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            out[layer + name + ".weight"] = normal(WIDTH, WIDTH)
            out[layer + name + ".bias"] = constant(0.0, WIDTH)
        out[layer + "intermediate.dense.weight"] = normal(FFN, WIDTH)
        out[layer + "intermediate.dense.bias"] = constant(0.0, FFN)
        out[layer + "output.dense.weight"] = normal(WIDTH, FFN)
        out[layer + "output.dense.bias"] = constant(0.0, WIDTH)
        for name in ("attention.output", "output"):
            out[layer + name + ".LayerNorm.weight"] = constant(1.0, WIDTH)
            out[layer + name + ".LayerNorm.bias"] = constant(0.0, WIDTH)
    return out


def write_safetensors(path, entries):
    header, offset = {}, 0
    for name, (shape, values) in entries.items():
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [offset, offset + 4 * len(values)]}
        offset += 4 * len(values)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, values in entries.values():
            file.write(struct.pack(f"<{len(values)}f", *values))


def write_model(folder, examples):
    os.makedirs(folder, exist_ok=True)
    pieces = vocabulary(examples)
    with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8") as file:
        file.write("".join(piece + "\n" for piece in pieces))
    config = {"architectures": ["BertModel"], "model_type": "bert", "vocab_size": len(pieces), "hidden_size": WIDTH,
              "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "intermediate_size": FFN, "hidden_act": "gelu",
              "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "max_position_embeddings": POSITIONS,
              "type_vocab_size": 2, "initializer_range": 0.02, "layer_norm_eps": 1e-12, "pad_token_id": 0}
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file, indent=2)
    with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as file:
        json.dump({"do_lower_case": False, "tokenizer_class": "BertTokenizer"}, file)
    write_safetensors(os.path.join(folder, "model.safetensors"), tensors(len(pieces), random.Random(1)))


if __name__ == "__main__":
    write_model(sys.argv[1], sys.argv[2])
