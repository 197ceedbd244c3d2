#!/usr/bin/env python3
"""Each bad input named in the users' guide: one clear message with its place, the contract's exit code, nothing half-written."""
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys

import support
from support import NERSWEEP, EXAMPLES, run

TRAIN, DEV, TEST = (os.path.join(EXAMPLES, name + ".conll") for name in ("train", "dev", "test"))


def expect(result, code, pattern):
    text = result.stderr + result.stdout
    assert result.returncode == code, f"exit {result.returncode}, expected {code}:\n{text[-3000:]}"
    assert re.search(pattern, text), f"no /{pattern}/ in:\n{text[-3000:]}"


def write(path, text):
    with open(path, "wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode())
    return path


class BadInput:
    def __init__(self, folder):
        self.folder = folder
        self.model = support.make_model(folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def shard(self, train, dev=DEV, code=1, *more):
        out = self.path("shards-out")
        shutil.rmtree(out, ignore_errors=True)
        result = run("shard", "--train", train, "--dev", dev, "--model", self.model, "--out", out, "--max-seq-length", "64", "--stride", "8",
                     *more, code=None)
        left = os.listdir(out) if os.path.isdir(out) else []
        assert code == 0 or left == [], f"left behind: {left}"
        return result

    # -- corpora
    def missing_file(self):
        expect(self.shard(self.path("none.conll")), 1, r"none\.conll")

    def unreadable_file(self):
        if os.geteuid() == 0:  # root reads everything; a folder is unreadable as a file for root too
            expect(self.shard(self.folder), 1, re.escape(self.folder))
            return
        path = write(self.path("secret.conll"), "a\tO\n")
        os.chmod(path, 0)
        expect(self.shard(path), 1, r"secret\.conll.*[Pp]ermission")

    def wrong_column_count(self):
        path = write(self.path("columns.conll"), "Anna\tB-PER\nsang\n\n")
        expect(self.shard(path), 1, r"columns\.conll:2:\d+: ")

    def column_that_is_not_there(self):
        expect(self.shard(TRAIN, DEV, 1, "--label-column", "7"), 1, r"column")

    def unknown_prefix(self):
        path = write(self.path("prefix.conll"), "Anna\tB-PER\nsang\tX-PER\n\n")
        expect(self.shard(path), 1, r"prefix\.conll:2:\d+: .*X-PER")
        expect(run("lint", path, code=None), 1, r"prefix\.conll:2:6: error: .*unknown-prefix")

    def inside_without_begin(self):
        path = write(self.path("inside.conll"), "Anna\tB-PER\nsang\tO\nOslo\tI-LOC\nis\tO\nbig\tO\nBob\tB-PER\n\n")
        expect(run("lint", path, "--scheme", "IOB2", code=None), 0, r"inside\.conll:3:6: warning: .*inside-without-begin")
        expect(run("lint", path, "--scheme", "IOB2", "--strict", code=None), 1, r"inside\.conll:3:6: error: ")

    def label_that_train_lacks(self):
        dev = write(self.path("newlabel.conll"), "Anna\tB-PER\nat\tO\nZebra\tB-ANIMAL\n\n")
        result = self.shard(TRAIN, dev, 0)
        expect(result, 0, r"B-ANIMAL")

    def invalid_utf8(self):
        path = write(self.path("bytes.conll"), b"Anna\tB-PER\n\xff\xfe\tO\n\n")
        expect(self.shard(path), 1, r"bytes\.conll:2:1: .*UTF-8")

    def empty_corpus(self):
        expect(self.shard(write(self.path("empty.conll"), "")), 1, r"empty\.conll|no sentence")

    # -- models
    def vocabulary_of_another_model(self):
        other = self.path("other")
        shutil.copytree(self.model, other, dirs_exist_ok=True)
        config = json.load(open(os.path.join(other, "config.json"), encoding="utf-8"))
        config["vocab_size"] = 100
        json.dump(config, open(os.path.join(other, "config.json"), "w", encoding="utf-8"))
        expect(run("shard", "--train", TRAIN, "--dev", DEV, "--model", other, "--out", self.path("o2"), "--max-seq-length", "64", "--stride", "8",
                   code=None), 1, r"697|vocab")

    def vocabulary_without_special_pieces(self):
        path = write(self.path("plain-vocab.txt"), "a\nb\nc\n")
        expect(run("tokenize", "--vocab", path, code=None, input_text="a\n"), 1, r"\[(UNK|CLS|SEP|PAD)\]")

    def text_in_another_script_than_the_vocabulary(self):
        path = write(self.path("greek.conll"), "".join(f"λόγος{chr(0x3b1 + i % 20)}\tO\nΑθήνα\tB-LOC\n\n" for i in range(50)))
        expect(self.shard(path, path), 1, r"UNK")

    def train_with_weights(self, name, weights):
        model = self.path(name)
        shutil.copytree(self.model, model, dirs_exist_ok=True)
        write(os.path.join(model, "model.safetensors"), weights)
        out = self.path(name + "-out")
        result = run("train", "--model", model, "--train", TRAIN, "--dev", DEV, "--out", out, "--max-steps", "1", "--max-seq-length", "64",
                     "--stride", "8", code=None)
        assert not os.path.exists(os.path.join(out, "model.safetensors"))
        return result

    def truncated_weights(self):
        with open(os.path.join(self.model, "model.safetensors"), "rb") as file:
            weights = file.read()
        expect(self.train_with_weights("cut", weights[:-1000]), 1, r"model\.safetensors")

    def hostile_weights(self):
        header = json.dumps({"bert.embeddings.word_embeddings.weight": {"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 8]}})
        expect(self.train_with_weights("hostile", struct.pack("<Q", len(header)) + header.encode() + b"12345678"), 1, r"model\.safetensors")
        expect(self.train_with_weights("huge", struct.pack("<Q", 1 << 62) + b"{}"), 1, r"model\.safetensors")

    def weights_that_lack_a_tensor(self):
        header = json.dumps({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})
        expect(self.train_with_weights("lacking", struct.pack("<Q", len(header)) + header.encode() + b"12345678"), 1, r"embeddings")

    def hostile_shards(self):
        out = self.path("bad-shards")
        os.makedirs(out, exist_ok=True)
        for bytes_ in (b"", b"garbage" * 4000, b"\0" * 65536):
            write(os.path.join(out, "shards.mdb"), bytes_)
            expect(run("inspect", out, code=None), 1, r"shards\.mdb")
        good = self.path("good-shards")
        run("shard", "--train", TRAIN, "--dev", DEV, "--model", self.model, "--out", good, "--max-seq-length", "64", "--stride", "8")
        with open(os.path.join(good, "shards.mdb"), "rb") as file:
            whole = file.read()
        for size in (len(whole) // 2, len(whole) - 4096, 5000):
            write(os.path.join(out, "shards.mdb"), whole[:size])
            expect(run("inspect", out, "--n", "100000", code=None), 1, r"shards\.mdb|corrupt|truncated")

    # -- sweep files
    def sweep(self, name, old, new):
        return support.write_sweep(self.folder, name=name, text=support.SWEEP.replace(old, new))

    def unknown_keys_are_all_reported_at_once(self):
        path = self.sweep("keys", "  oversample_factor:", "  learning_rat: {{value: 1}}\n  oversample_factr:")
        result = run("run", path, code=None)
        expect(result, 1, r"keys\.yaml:9:\d+: error: .*learning_rat.*learning_rate")
        expect(result, 1, r"keys\.yaml:10:\d+: error: .*oversample_factr.*oversample_factor")
        assert not os.path.exists(self.path("runs/keys"))

    def empty_range(self):
        path = self.sweep("range", "{{values: [3.0e-3, 6.0e-3]}}", "{{distribution: uniform, min: 1.0e-3, max: 1.0e-4}}")
        expect(run("run", path, code=None), 1, r"range\.yaml:8:\d+: error: .*empty range")

    def wrong_type(self):
        path = self.sweep("type", "num_train_epochs: {{value: 6}}", "num_train_epochs: {{value: many}}")
        expect(run("run", path, code=None), 1, r"type\.yaml:11:\d+: error: .*many")

    def file_that_is_not_there(self):
        path = support.write_sweep(self.folder, name="files", train=self.path("nowhere.conll"))
        expect(run("run", path, code=None), 1, r"files\.yaml:3:\d+: error: .*nowhere\.conll")

    def malformed_yaml(self):
        expect(run("run", write(self.path("broken.yaml"), "name: [1\nmodel: }"), code=None), 1, r"broken\.yaml:\d+:\d+: ")

    def edited_sweep_under_the_same_name(self):
        run("run", support.write_sweep(self.folder, name="edited", text=support.SWEEP.replace("num_train_epochs: {{value: 6}}", "num_train_epochs: {{value: 1}}")))
        path = support.write_sweep(self.folder, name="edited", text=support.SWEEP.replace("num_train_epochs: {{value: 6}}", "num_train_epochs: {{value: 3}}"))
        expect(run("run", path, code=None), 1, r"num_train_epochs.*1.*3")
        resources = support.SWEEP.replace("num_train_epochs: {{value: 6}}", "num_train_epochs: {{value: 1}}").replace("concurrent_trials: 2", "concurrent_trials: 1")
        run("run", support.write_sweep(self.folder, name="edited", text=resources))

    # -- places and processes
    def disk_full(self):
        result = run("shard", "--train", TRAIN, "--dev", DEV, "--model", self.model, "--out", self.path("full"), "--max-seq-length", "64",
                     "--stride", "8", code=None, environment={"NERSWEEP_FAULT": "shard.write:1:fail"})
        expect(result, 75, r"space")
        assert not os.path.exists(self.path("full"))

    def port_taken(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            path = support.write_sweep(self.folder, name="port")
            expect(run("coordinator", path, "--listen", f"tcp://127.0.0.1:{port}", code=None, timeout=60), 75, rf"{port}")

    def second_coordinator(self):
        path = support.write_sweep(self.folder, name="second", text=support.SWEEP.replace("num_train_epochs: {{value: 6}}", "num_train_epochs: {{value: 300}}"))
        first = support.start("run", path, log=self.path("second.log"))
        try:
            support.wait_for(lambda: os.path.exists(self.path("runs/second/endpoint.json")), 60, "the first coordinator")
            expect(run("run", path, code=None, timeout=60), 75, rf"{first.pid}")
        finally:
            support.kill_session(first.pid)
            first.wait()

    def wrong_world_size(self):
        job = write(self.path("job.json"), "{}")
        result = subprocess.run([os.path.join(os.path.dirname(NERSWEEP), "nersweep-worker"), "--job", job, "--result", self.path("r.json"),
                                 "--ranks", "3"], capture_output=True, text=True, timeout=60, check=False)
        expect(result, 1, r"3 ranks.*1|1.*3 ranks")

    def wrong_usage(self):
        expect(run(code=None), 2, r"usage")
        expect(run("frobnicate", code=None), 2, r"frobnicate")
        expect(run("run", code=None), 2, r"usage")
        expect(run("train", "--learning-rat", "1", code=None), 2, r"learning-rate")
        expect(run("lint", "--scheme", "NOPE", TRAIN, code=None), 2, r"NOPE")

    def sweep_that_is_not_there(self):
        expect(run("status", self.path("no-such-sweep"), code=None), 1, r"no-such-sweep")

    def gold_and_prediction_of_different_tokens(self):
        gold = write(self.path("gold.conll"), "a\tO\nb\tO\n\n")
        pred = write(self.path("pred.conll"), "a\tO\nc\tO\n\n")
        expect(run("eval", "--gold", gold, "--pred", pred, code=None), 1, r"pred\.conll:2:1: .*\"c\"")

    def folder_for_pull_is_there_already(self):
        path = support.write_sweep(self.folder, name="edited", text=support.SWEEP.replace("num_train_epochs: {{value: 6}}", "num_train_epochs: {{value: 1}}"))
        out = self.path("there")
        os.makedirs(out)
        expect(run("pull", path, "--out", out, code=None), 1, r"there")
        assert os.listdir(out) == []

    def damaged_object(self):
        path = support.write_sweep(self.folder, name="edited", text=support.SWEEP.replace("num_train_epochs: {{value: 6}}", "num_train_epochs: {{value: 1}}"))
        objects = os.path.join(self.folder, "runs", "edited", "objects")
        for folder, _, names in os.walk(objects):
            for name in names:
                if os.path.getsize(os.path.join(folder, name)) > 100000:
                    with open(os.path.join(folder, name), "r+b") as handle:
                        handle.seek(1000)
                        handle.write(b"\xff\xff\xff\xff")
        out = self.path("pulled")
        expect(run("pull", path, "--out", out, code=None), 1, r"model\.safetensors|optimizer")
        assert not os.path.exists(out)


    # -- memory
    def too_little_memory(self):
        out = self.path("crammed")
        arguments = ("train", "--model", self.model, "--train", TRAIN, "--dev", DEV, "--out", out, "--max-seq-length", "64", "--stride", "8",
                     "--max-steps", "2", "--backend", "reference")
        expect(run(*arguments, "--memory-limit", "plenty", code=None), 2, r"--memory-limit plenty")
        expect(run(*arguments, "--memory-limit", "1M", code=None), 1,
               r"training takes \d+ MB on this host .*memory_limit allows 1 MB: take a shorter max_seq_length")
        assert not os.path.exists(os.path.join(out, "model.safetensors"))
        run(*arguments, "--memory-limit", "1G")
        assert os.path.exists(os.path.join(out, "model.safetensors"))

    def too_little_memory_in_a_sweep(self):
        text = support.SWEEP.replace("lease: 5}}", "lease: 5, memory_limit: 1M}}")
        sweep = support.write_sweep(self.folder, name="crammed", text=text)
        expect(run("run", sweep, code=None), 1, r"memory_limit allows 1 MB")
        assert all(trial["state"] == "failed" for trial in support.status(sweep)["trials"])


if __name__ == "__main__":
    sys.exit(support.run_cases(BadInput, helpers=("path", "shard", "sweep", "train_with_weights")))
