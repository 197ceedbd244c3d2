#!/usr/bin/env python3
"""Writes tests/golden/torch/: files as torch.save makes them, and some that nobody should make. Needs torch.

usage: make_torch_bins.py OUT_DIR

The value of element k of tensor number n (in the order of their names) is ((7 k + 3 n) mod 33 - 16) / 8: exact in every type. The older form
has addresses in it as keys, so that no two runs write the same bytes.
"""
import io
import json
import os
import pickle
import sys
import zipfile
from collections import OrderedDict

import torch


def values(number, shape, dtype):
    count = 1
    for extent in shape:
        count *= extent
    return torch.tensor([((7 * k + 3 * number) % 33 - 16) / 8 for k in range(count)]).reshape(shape).to(dtype)


def mixed():
    """Every type, views, a transposed tensor, one that is spread, two that share a storage, a parameter, a number beside them."""
    state = OrderedDict()
    state["a.float"] = values(0, (3, 5), torch.float32)
    state["b.half"] = values(1, (4,), torch.float16)
    state["c.bfloat16"] = values(2, (2, 3), torch.bfloat16)
    state["d.double"] = values(3, (2, 2), torch.float64)
    state["e.transposed"] = values(4, (3, 4), torch.float32).t().contiguous().t()
    whole = torch.zeros(40)
    state["f.view"] = whole[7:13].view(2, 3).copy_(values(5, (2, 3), torch.float32))
    state["g.spread"] = whole[20:32:2].copy_(values(6, (6,), torch.float32))
    state["h.parameter"] = torch.nn.Parameter(values(7, (2,), torch.float32))
    state["i.cube"] = values(8, (2, 3, 4), torch.float32).permute(2, 0, 1).contiguous().permute(1, 2, 0)
    state["j.long"] = torch.arange(6).reshape(1, 6)
    state["k.empty"] = torch.zeros(0, 4)
    state["l.scalar"] = torch.tensor(1.5)
    state._metadata = OrderedDict([("", {"version": 1})])
    for name, tensor in state.items():
        if name[0] in "efgi":
            assert not name[0] in "egi" or not tensor.is_contiguous(), name
    return state


def published(kind):
    """The tiny BERT in the forms in which known models are published: the same numbers as bert(), what is beside them differs.

    bert-base-cased, bert-large-cased, BioBERT: prefix, gamma and beta, the heads of pre-training; the decoder is the word embedding itself.
    SciBERT, LegalBERT: prefix, weight and bias, the heads of pre-training with a decoder bias, position ids.
    FinBERT: prefix, weight and bias, a classifier of sentences, position ids.
    """
    state = OrderedDict()
    for name, tensor in bert(torch.float32).items():
        if name.startswith("cls.") or name.endswith("position_ids"):
            continue
        if kind != "base":
            name = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
        state["bert." + name] = tensor
    words = state["bert.embeddings.word_embeddings.weight"]
    if kind != "base":
        state["bert.embeddings.position_ids"] = torch.arange(20).reshape(1, 20)
    if kind == "finbert":
        state["classifier.weight"] = values(0, (5, 16), torch.float32)
        state["classifier.bias"] = values(0, (5,), torch.float32)
        return state
    norm = ("gamma", "beta") if kind == "base" else ("weight", "bias")
    state["cls.predictions.bias"] = values(0, (50,), torch.float32)
    state["cls.predictions.transform.dense.weight"] = values(0, (16, 16), torch.float32)
    state["cls.predictions.transform.dense.bias"] = values(0, (16,), torch.float32)
    for part in norm:
        state["cls.predictions.transform.LayerNorm." + part] = values(0, (16,), torch.float32)
    state["cls.predictions.decoder.weight"] = words
    if kind != "base":
        state["cls.predictions.decoder.bias"] = state["cls.predictions.bias"]
    state["cls.seq_relationship.weight"] = values(0, (2, 16), torch.float32)
    state["cls.seq_relationship.bias"] = values(0, (2,), torch.float32)
    state._metadata = OrderedDict([("", {"version": 1}), ("bert", {"version": 1})])
    return state


def bert(dtype):
    """The tiny BERT of tests/model/support.c, as the first conversions from TensorFlow wrote it: no prefix, gamma and beta, a head of its own,
    matrices that were transposed."""
    hidden, inner, state, number = 16, 24, OrderedDict(), [0]

    def add(name, *shape):
        tensor = values(number[0], shape, dtype)
        number[0] += 1
        state[name] = tensor.t().contiguous().t() if len(shape) == 2 and number[0] % 3 == 0 else tensor

    add("embeddings.word_embeddings.weight", 50, hidden)
    add("embeddings.position_embeddings.weight", 20, hidden)
    add("embeddings.token_type_embeddings.weight", 2, hidden)
    add("embeddings.LayerNorm.gamma", hidden)
    add("embeddings.LayerNorm.beta", hidden)
    for layer in range(2):
        prefix = f"encoder.layer.{layer}."
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            add(prefix + part + ".weight", hidden, hidden)
            add(prefix + part + ".bias", hidden)
        add(prefix + "attention.output.LayerNorm.gamma", hidden)
        add(prefix + "attention.output.LayerNorm.beta", hidden)
        add(prefix + "intermediate.dense.weight", inner, hidden)
        add(prefix + "intermediate.dense.bias", inner)
        add(prefix + "output.dense.weight", hidden, inner)
        add(prefix + "output.dense.bias", hidden)
        add(prefix + "output.LayerNorm.gamma", hidden)
        add(prefix + "output.LayerNorm.beta", hidden)
    add("pooler.dense.weight", hidden, hidden)
    add("pooler.dense.bias", hidden)
    add("cls.predictions.bias", 50)
    state["embeddings.position_ids"] = torch.arange(20).reshape(1, 20)
    return state


class Evil:
    def __reduce__(self):
        return os.system, ("echo run",)


def rewrite(source, target, change=None, drop=(), compression=zipfile.ZIP_STORED, add=()):
    """The same archive with entries changed, left out or added."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for entry in old.infolist():
            name = entry.filename.split("/", 1)[1]
            if name in drop:
                continue
            data = old.read(entry)
            new.writestr(zipfile.ZipInfo(entry.filename), change(name, data) if change else data, compress_type=compression)
        for name, data in add:
            new.writestr(zipfile.ZipInfo(name), data)


def main():
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)

    def path(name):
        return os.path.join(out, name)

    def save(state, name):
        torch.save(state, path(name + "-zip.bin"))
        torch.save(state, path(name + "-legacy.bin"), _use_new_zipfile_serialization=False)

    save(mixed(), "mixed")
    save(bert(torch.float32), "bert")
    save(bert(torch.bfloat16), "bert-bfloat16")
    for kind in ("base", "scibert"):
        torch.save(published(kind), path(f"published-{kind}.bin"), _use_new_zipfile_serialization=False)
    torch.save(published("finbert"), path("published-finbert.bin"))
    torch.save(OrderedDict((name, tensor.half() if tensor.is_floating_point() else tensor) for name, tensor in published("base").items()),
               path("published-half.bin"))
    # the large ones come in parts
    state, parts = published("base"), {}
    for number, name in enumerate(state):
        parts.setdefault(1 + number * 2 // len(state), OrderedDict())[name] = state[name]
    index = {"metadata": {"total_size": sum(t.numel() * 4 for t in state.values())}, "weight_map": {}}
    for number, part in parts.items():
        file = f"pytorch_model-0000{number}-of-00002.bin"
        torch.save(part, path(file))
        index["weight_map"].update((name, file) for name in part)
    with open(path("pytorch_model.bin.index.json"), "w") as file:
        json.dump(index, file, indent=2, sort_keys=True)
    small = path("small-zip.bin")
    torch.save({"w": values(0, (4,), torch.float32)}, small)
    torch.save({"w": values(0, (4,), torch.float32)}, path("small-legacy.bin"), _use_new_zipfile_serialization=False)
    rewrite(small, path("hostile-compressed.bin"), compression=zipfile.ZIP_DEFLATED)
    rewrite(small, path("hostile-no-storage.bin"), drop=("data/0",))
    rewrite(small, path("hostile-short-storage.bin"), lambda name, data: data[:-4] if name == "data/0" else data)
    rewrite(small, path("hostile-long-storage.bin"), lambda name, data: data + b"1234" if name == "data/0" else data)
    rewrite(small, path("hostile-byte-order.bin"), lambda name, data: b"big" if name == "byteorder" else data)
    rewrite(small, path("hostile-two-pickles.bin"), add=(("other/data.pkl", b"\x80\x02}."),))
    rewrite(small, path("hostile-no-pickle.bin"), drop=("data.pkl",))
    rewrite(small, path("hostile-system.bin"), lambda name, data: pickle.dumps({"w": Evil()}, 2) if name == "data.pkl" else data)
    rewrite(small, path("hostile-tail.bin"), lambda name, data: data + b"!" if name == "data.pkl" else data)
    torch.save({"w": Evil()}, path("hostile-system-legacy.bin"), _use_new_zipfile_serialization=False)
    buffer = io.BytesIO()
    torch.save([values(0, (4,), torch.float32)], buffer)
    with open(path("hostile-list.bin"), "wb") as file:
        file.write(buffer.getvalue())


if __name__ == "__main__":
    main()
