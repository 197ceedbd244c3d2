#!/usr/bin/env python3
"""Make the goldens of the training step: what Hugging Face's Trainer does with a tiny random BERT in 20 steps.

    python3 tests/golden/make_train_goldens.py        (needs torch, transformers, accelerate)

Writes beside itself, in train/:
  start/config.json, start/model.safetensors   the model before the first step, as save_pretrained writes it
  batches.json     20 batches of 4 sentences: ids and labels (-100: not labelled)
  steps.json       per variant: options, unrounded loss and gradient norm (before clipping) of each step, versions used
  VARIANT.safetensors                           the weights after the last step
Dropout is off, batches come in a fixed order, sentences are padded for the Trainer only.
"""
import json
import os
import random
import shutil

import torch
import transformers
from safetensors.torch import save_file
from torch.utils.data import SequentialSampler
from transformers import BertConfig, BertForTokenClassification, Trainer, TrainerCallback, TrainingArguments

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "train")
STEPS, BATCH, LABELS, VOCAB = 20, 4, 5, 120
CLS, SEP = 2, 3
FROZEN_STEPS = 10

# The names of options are those of TrainingArguments; "frozen" names the parts that stand still for FROZEN_STEPS.
VARIANTS = {
    "plain": {"lr_scheduler_type": "linear", "label_smoothing_factor": 0.0, "frozen": False},
    "cosine": {"lr_scheduler_type": "cosine", "label_smoothing_factor": 0.1, "frozen": False},
    "freezing": {"lr_scheduler_type": "linear", "label_smoothing_factor": 0.0, "frozen": True},
}


def make_sentence(rng):
    length = rng.randint(3, 14)
    ids = [CLS] + [rng.randrange(5, VOCAB) for _ in range(length - 2)] + [SEP]
    labels = [-100] + [rng.randrange(LABELS) if rng.random() < 0.8 else -100 for _ in range(length - 2)] + [-100]
    labels[1] = rng.randrange(LABELS)  # no sentence without a label
    return {"input_ids": ids, "labels": labels}


def collate(sentences):
    longest = max(len(s["input_ids"]) for s in sentences)

    def padded(key, filler):
        return torch.tensor([s[key] + [filler] * (longest - len(s[key])) for s in sentences])

    mask = torch.tensor([[1] * len(s["input_ids"]) + [0] * (longest - len(s["input_ids"])) for s in sentences])
    return {"input_ids": padded("input_ids", 0), "labels": padded("labels", -100), "attention_mask": mask}


class Freezer(TrainerCallback):
    """Embeddings and the first layer stand still; from then on their AdamW state starts at t = 1."""

    def __init__(self, model):
        self.parameters = list(model.bert.embeddings.parameters()) + list(model.bert.encoder.layer[0].parameters())

    def on_train_begin(self, args, state, control, **kwargs):
        for parameter in self.parameters:
            parameter.requires_grad_(False)

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == FROZEN_STEPS:
            for parameter in self.parameters:
                parameter.requires_grad_(True)


class Recorder(Trainer):
    """Keeps losses and norms as they are: the log rounds them."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.losses, self.norms = [], []
        clip = self.accelerator.clip_grad_norm_

        def recorded(*clip_arguments, **clip_options):
            norm = clip(*clip_arguments, **clip_options)
            self.norms.append(float(norm))
            return norm

        self.accelerator.clip_grad_norm_ = recorded

    def training_step(self, *arguments, **options):
        loss = super().training_step(*arguments, **options)
        self.losses.append(float(loss))
        return loss

    def _get_train_sampler(self, *unused):
        return SequentialSampler(self.train_dataset)


def train(variant, sentences):
    model = BertForTokenClassification.from_pretrained(os.path.join(HERE, "start"))
    options = dict(
        learning_rate=2e-3, weight_decay=0.01, max_grad_norm=1.0, warmup_steps=2, max_steps=STEPS,
        lr_scheduler_type=variant["lr_scheduler_type"], label_smoothing_factor=variant["label_smoothing_factor"],
    )
    arguments = TrainingArguments(
        output_dir=os.path.join(HERE, "unused"), per_device_train_batch_size=BATCH, gradient_accumulation_steps=1, use_cpu=True,
        report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True, remove_unused_columns=False, **options)
    trainer = Recorder(model=model, args=arguments, train_dataset=sentences, data_collator=collate,
                       callbacks=[Freezer(model)] if variant["frozen"] else [])
    trainer.train()
    assert len(trainer.losses) == STEPS and len(trainer.norms) == STEPS
    weights = {name: tensor.detach().clone().contiguous() for name, tensor in model.state_dict().items()
               if tensor.is_floating_point()}
    return {"options": {**options, "frozen_steps": FROZEN_STEPS if variant["frozen"] else 0}, "losses": trainer.losses,
            "gradient_norms": trainer.norms}, weights


def main():
    shutil.rmtree(HERE, ignore_errors=True)
    os.makedirs(HERE)
    torch.manual_seed(7)
    torch.set_num_threads(1)
    config = BertConfig(
        vocab_size=VOCAB, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=32, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, initializer_range=0.2,
        id2label={0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC", 4: "I-LOC"},
        label2id={"O": 0, "B-PER": 1, "I-PER": 2, "B-LOC": 3, "I-LOC": 4})
    model = BertForTokenClassification(config)
    with torch.no_grad():  # LayerNorm and biases away from 1 and 0, so that a mistake in them is seen
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(os.path.join(HERE, "start"))

    rng = random.Random(11)
    sentences = [make_sentence(rng) for _ in range(STEPS * BATCH)]
    with open(os.path.join(HERE, "batches.json"), "w") as file:
        json.dump([sentences[i:i + BATCH] for i in range(0, len(sentences), BATCH)], file, separators=(",", ":"))
        file.write("\n")

    results = {"made_with": {"torch": torch.__version__, "transformers": transformers.__version__}}
    for name, variant in VARIANTS.items():
        results[name], weights = train(variant, sentences)
        save_file(weights, os.path.join(HERE, f"{name}.safetensors"), metadata={"format": "pt"})
    shutil.rmtree(os.path.join(HERE, "unused"), ignore_errors=True)
    with open(os.path.join(HERE, "steps.json"), "w") as file:
        json.dump(results, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
