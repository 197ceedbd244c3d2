#!/usr/bin/env python3
"""One training by both programs on the same random numbers: nersweep and Hugging Face Trainer, step by step.

usage: bench/parity.py --model DIR [--vocab FILE] --data DIR [--seed 1] [--epochs 3] [--learning-rate 2e-4] [--no-dropout] [--precision fp32] [--threads N]
                       [--out FILE]

DIR of --data holds train.conll, dev.conll, test.conll; --model may be a config.json, with --vocab: random weights. Both begin with the weights that nersweep
draws, and the order of sentences and the dropout masks are rebuilt here from their definitions (core/base/philox.h, shard/batch_plan.h, kernels/backend.h), in
front of a Trainer that is otherwise as it comes, in fp32; tokens without pieces are dropped by both, as its usual alignment does. So nothing is left to chance, and
what differs is arithmetic: no number of seeds could show as much. Prints the mean loss of every 50 steps and the last checkpoint's F1 of both, and one JSON line.
Exit status 1: a mean loss differs by over 2%, or an F1 by over 0.01.

Runs itself with the peers' Python ($NERSWEEP_PEERS_PYTHON, else .peers/bin/python).
"""
import argparse
import json
import math
import os
import subprocess
import sys
import tempfile

WINDOW = 50  # steps whose losses are averaged
MOST_LOSS, MOST_F1 = 0.02, 0.01
WORD = 0xFFFFFFFF
DROPOUT, SHUFFLE = 1, 2  # purposes of random numbers

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--vocab")
parser.add_argument("--data", required=True)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--learning-rate", type=float, default=2e-4)
parser.add_argument("--no-dropout", action="store_true")
parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--nersweep", default="build/release/bin/nersweep")
parser.add_argument("--out", help="the JSON line is added to this file too")
args = parser.parse_args()

sys.path.pop(0)  # this folder: torch wants the standard library's tokenize, not the bench of that name
try:
    import torch
except ImportError:
    python = os.environ.get("NERSWEEP_PEERS_PYTHON", ".peers/bin/python")
    if os.path.abspath(sys.executable) == os.path.abspath(python) or not os.path.exists(python):
        sys.exit(f"{sys.executable} has no torch, and {python} is not there: scripts/setup --peers")
    os.execv(python, [python] + sys.argv)
os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
import transformers
from seqeval.metrics import f1_score

BATCH, WARMUP, DECAY = 16, 0.1, 0.01
torch.set_num_threads(args.threads)


# -- nersweep


def nersweep(model, out, *flags):
    data = [part for split in ("train", "dev", "test") for part in (f"--{split}", f"{args.data}/{split}.conll")]
    dropout = [part for kind in ("hidden", "attention", "classifier") for part in (f"--{kind}-dropout", "0")] if args.no_dropout else []
    command = [args.nersweep, "train", "--model", model, *data, "--out", out, "--learning-rate", str(args.learning_rate), "--weight-decay", str(DECAY),
               "--per-device-train-batch-size", str(BATCH), "--seed", str(args.seed), "--threads", str(args.threads), "--zero-piece", "drop", "--json", *dropout, *flags]
    process = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} failed with {process.returncode}:\n{process.stderr.decode()[-2000:]}")
    return json.loads(process.stdout)


# -- its random numbers


def philox(key, counter):
    """Philox 4x32-10 (Salmon et al. 2011) of four counter words, numbers or int64 tensors of them. Products of 32-bit numbers wrap, and keep their bits."""
    (k0, k1), (c0, c1, c2, c3) = key, counter
    for _ in range(10):
        p0, p1 = c0 * 0xD2511F53, c2 * 0xCD9E8D57
        c0, c1, c2, c3 = ((p1 >> 32) & WORD) ^ c1 ^ k0, p1 & WORD, ((p0 >> 32) & WORD) ^ c3 ^ k1, p0 & WORD
        k0, k1 = (k0 + 0x9E3779B9) & WORD, (k1 + 0xBB67AE85) & WORD
    return c0, c1, c2, c3


def key_of(purpose, step):
    return (args.seed & WORD) ^ (purpose * 0x9E3779B9 & WORD), (args.seed >> 32) ^ step


def order_of(count, epoch):
    order = list(range(count))
    for i in range(count - 1, 0, -1):
        high, low, _, _ = philox(key_of(SHUFFLE, epoch), (i, 0, 0, 0))
        other = ((high << 32 | low) * (i + 1)) >> 64
        order[i], order[other] = order[other], order[i]
    return order


class Masks:
    """Stands in for torch's dropout. Calls come in the order of the network: embeddings; of each layer attention, its output, the FFN's output; head."""

    def __init__(self, layers):
        self.layers, self.step, self.calls = layers, 0, 0

    def begin_step(self, step):
        self.step, self.calls = step, 0

    def __call__(self, x, p=0.5, training=True, inplace=False):
        if not training or p == 0:
            return x
        call = self.calls
        self.calls += 1
        heads = x.shape[1] if x.dim() == 4 else 1
        batch, rows, channels = x.shape[0], x.shape[-2], x.shape[-1]
        quads = (channels + 3) // 4
        site = 0 if call == 0 else 4 * self.layers if call == 3 * self.layers + 1 else 4 * ((call - 1) // 3) + 1 + (call - 1) % 3
        shape = (batch, heads, rows, quads)
        counter = [torch.arange(n).view([n if axis == i else 1 for axis in range(4)]).expand(shape) for i, n in ((0, batch), (2, rows), (3, quads))]
        sites = site | torch.arange(heads).view(1, heads, 1, 1).expand(shape) << 16
        words = torch.stack(philox(key_of(DROPOUT, self.step), (*counter, sites)), -1)
        words = words.reshape(batch, heads, rows, 4 * quads)[..., :channels].reshape(x.shape)
        kept = (words >> 8).to(torch.float32) * 2.0**-24 >= p
        return x * kept / (1 - p)


# -- Trainer


def read(split):
    """[[(token, label)]]"""
    sentences = [[]]
    with open(f"{args.data}/{split}.conll", encoding="utf-8") as file:
        for line in file:
            columns = line.rstrip("\n").split("\t")
            if not line.strip():
                sentences.append([])
            elif not columns[0].startswith("-DOCSTART-"):
                sentences[-1].append((columns[0], columns[-1]))
    return [sentence for sentence in sentences if sentence]


class Sentences(torch.utils.data.Dataset):
    def __init__(self, split, tokenizer, labels):
        self.items = []
        for sentence in read(split):
            pieces = tokenizer([token for token, _ in sentence], is_split_into_words=True, truncation=True, max_length=512)
            words = pieces.word_ids(0)
            first = [word is not None and word != before for before, word in zip([None] + words, words)]
            targets = [labels.get(sentence[word][1], labels["O"]) if begins else -100 for word, begins in zip(words, first)]
            self.items.append({"input_ids": pieces["input_ids"], "attention_mask": [1] * len(targets), "labels": targets})

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


class Order(torch.utils.data.Sampler):
    def __init__(self, count):
        self.count, self.epoch = count, 0

    def __len__(self):
        return self.count

    def __iter__(self):
        self.epoch += 1
        return iter(order_of(self.count, self.epoch - 1))


def trainer(start, scratch, expected_steps):
    """Mean losses of the windows, and F1 of dev and test."""
    kept = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0) if args.no_dropout else {}
    model = transformers.AutoModelForTokenClassification.from_pretrained(start, attn_implementation="eager", **kept)
    tokenizer = transformers.BertTokenizerFast(f"{start}/vocab.txt", do_lower_case=json.load(open(f"{start}/tokenizer_config.json"))["do_lower_case"])
    names, splits = model.config.id2label, {split: Sentences(split, tokenizer, model.config.label2id) for split in ("train", "dev", "test")}
    masks = Masks(model.config.num_hidden_layers)
    torch.nn.functional.dropout = masks
    losses = []

    def score(prediction):
        best = prediction.predictions.argmax(-1)
        rows = [(gold[gold != -100], row[gold != -100]) for gold, row in zip(prediction.label_ids, best)]
        return {"f1": f1_score([[names[int(i)] for i in gold] for gold, _ in rows], [[names[int(i)] for i in row] for _, row in rows])}

    class SameNumbers(transformers.Trainer):
        def _get_train_sampler(self, *_, **__):
            return Order(len(splits["train"]))

        def compute_loss(self, model, inputs, *rest, **named):
            if model.training:
                masks.begin_step(len(losses))
            result = super().compute_loss(model, inputs, *rest, **named)
            if model.training:
                losses.append((result[0] if isinstance(result, tuple) else result).item())
            return result

    steps = args.epochs * math.ceil(len(splits["train"]) / BATCH)
    if steps != expected_steps:
        sys.exit(f"Trainer would take {steps} steps and nersweep took {expected_steps}: they read {args.data}/train.conll in different ways")
    settings = transformers.TrainingArguments(output_dir=scratch, num_train_epochs=args.epochs, learning_rate=args.learning_rate, per_device_train_batch_size=BATCH,
                                              weight_decay=DECAY, warmup_steps=math.ceil(WARMUP * steps), use_cpu=True, report_to=[], save_strategy="no",
                                              eval_strategy="no", logging_strategy="no", disable_tqdm=True, per_device_eval_batch_size=32)
    run = SameNumbers(model=model, args=settings, train_dataset=splits["train"], compute_metrics=score,
                      data_collator=transformers.DataCollatorForTokenClassification(tokenizer))
    run.train()
    windows = [sum(part) / len(part) for part in (losses[i:i + WINDOW] for i in range(0, len(losses), WINDOW))]
    return windows, {split: run.evaluate(splits[split])["eval_f1"] for split in ("dev", "test")}


with tempfile.TemporaryDirectory() as scratch:
    start = f"{scratch}/start"
    vocabulary = ["--vocab", args.vocab] if args.vocab else []
    nersweep(args.model, start, "--max-steps", "1", "--warmup-steps", "1", "--precision", "fp32", *vocabulary)  # a step at rate 0
    ours = nersweep(start, f"{scratch}/run", "--num-train-epochs", str(args.epochs), "--warmup-ratio", str(WARMUP), "--eval-steps", str(WINDOW),
                    "--precision", args.precision)
    their_losses, their_f1 = trainer(start, f"{scratch}/trainer", ours["steps"])

our_losses = [evaluation["train_loss"] for evaluation in ours["evaluations"]]
(dev,) = ours["last"]["dev"].values()
our_f1 = {"dev": dev["f1"], "test": ours["last"]["test"]["f1"]}
print(f"{'mean loss to step':18s} {'nersweep':>9s} {'Trainer':>9s} {'ratio':>8s}")
for i, (mine, theirs) in enumerate(zip(our_losses, their_losses)):
    print(f"{min((i + 1) * WINDOW, ours['steps']):18d} {mine:9.5f} {theirs:9.5f} {mine / theirs:8.5f}")
for split in ("dev", "test"):
    print(f"F1 of {split:12s} {our_f1[split]:9.4f} {their_f1[split]:9.4f} {our_f1[split] - their_f1[split]:+8.4f}")
most_loss = max(abs(mine / theirs - 1) for mine, theirs in zip(our_losses, their_losses))
most_f1 = max(abs(our_f1[split] - their_f1[split]) for split in our_f1)
line = json.dumps({"data": os.path.basename(os.path.normpath(args.data)), "seed": args.seed, "dropout": not args.no_dropout, "precision": args.precision,
                   "steps": ours["steps"], "backend": ours["backend_description"], "losses": {"nersweep": our_losses, "trainer": their_losses},
                   "f1": {"nersweep": our_f1, "trainer": their_f1}, "most_loss": most_loss, "most_f1": most_f1})
print(line)
if args.out:
    with open(args.out, "a") as file:
        file.write(line + "\n")
sys.exit(len(our_losses) != len(their_losses) or most_loss > MOST_LOSS or most_f1 > MOST_F1)
