#!/usr/bin/env python3
"""Commands that need no coordinator, as a strict user meets them: help, wrong usage, closed outputs, train, doctor, journal.

usage: commands_test.py [CASE...]"""
import json
import os
import re
import shutil
import subprocess
import sys

from command_cases import Commands, DEV, NERSWEEP, TRAIN, fails, main, run

COMMANDS = ["run", "train", "predict", "eval", "status", "watch", "best", "pull", "lint", "stats", "tokenize", "shard", "inspect", "coordinator",
            "doctor", "convert", "journal", "keys"]
JSON_COMMANDS = ["run", "train", "predict", "eval", "status", "watch", "best", "pull", "lint", "stats", "tokenize", "shard", "inspect",
                 "coordinator", "doctor", "convert", "journal", "keys"]


class EveryCommand(Commands):
    # -- every command
    def help_goes_to_stdout_and_names_every_flag(self):
        for command in COMMANDS:
            for flag in ("--help", "-h"):
                result = run(command, flag)
                assert result.stdout.startswith(f"usage: nersweep {command} ") and result.stderr == "", result
                assert "\033" not in result.stdout and len(result.stdout.splitlines()) > 4, result.stdout
                assert ("--json" in result.stdout) == (command in JSON_COMMANDS), command
        overview = run("--help").stdout
        for command in COMMANDS:
            assert re.search(rf"^  {command} ", overview, re.M), command
        assert run("--version").stdout.startswith("nersweep ")

    def wrong_usage_is_said_with_the_usage_line(self):
        for command in COMMANDS:
            fails(2, rf"nersweep {command}: unknown flag --no-such-flag.*\nusage: nersweep {command} ", command, "--no-such-flag")
        fails(2, r"--vocab is given twice", "tokenize", "--vocab", "a", "--vocab", "b")
        fails(2, r"--vocab needs a value", "tokenize", "--vocab")
        fails(2, r"--vocab is required", "tokenize")
        fails(2, r"no file is given", "lint")
        fails(2, r"no file is given", "stats")
        fails(2, r"--model is required", "predict")
        fails(2, r"more than one file", "predict", "--model", self.model, "a", "b")
        fails(2, r"go together", "predict", "--model", self.model, "--input", "conll")
        fails(2, r"--words.*|\"penn\" is no words rule", "predict", "--model", self.model, "--words", "penn", input_text="a\n")
        fails(2, r"exclude each other", "predict", "--model", self.model, "--output", "prodigy", "--json")
        fails(2, r"one folder of shards", "inspect")
        fails(2, r"--train, --model and --out", "shard", "--train", TRAIN)
        fails(2, r"--model, --train and --out", "train", "--model", self.model)
        fails(2, r"--vocab is needed", "train", "--model", os.path.join(self.start, "config.json"), "--train", TRAIN, "--out", self.path("x"))
        fails(2, r"stray is not expected here", "train", "stray")
        fails(2, r"stray is not expected here", "doctor", "stray")
        fails(2, r"one sweep is expected", "watch", "a", "b")
        fails(2, r"either --gold and --pred, or --model and --data", "eval")
        fails(2, r"either --gold and --pred, or --model and --data", "eval", "--gold", DEV, "--pred", DEV, "--data", DEV)
        for command in ("lint", "stats"):
            for value in ("0", "99", "x", "1.5"):
                fails(2, r"label_column", command, "--label-column", value, TRAIN)

    def options_that_contradict_each_other_start_nothing(self):
        common = ["--model", self.start, "--train", TRAIN, "--out", self.path("nothing")]
        for command in ("train", "shard"):
            fails(2, r"stride", command, *common, "--max-seq-length", "32", "--stride", "30")
            fails(2, r"max-seq-length", command, *common, "--max-seq-length", "2")
            fails(2, r"exclude each other", command, *common, "--cased", "--lowercase")
        assert not os.path.exists(self.path("nothing"))

    def a_closed_or_full_output_is_an_error(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            for arguments in (["stats", TRAIN], ["--help"], ["--version"], ["lint", "--help"], ["predict", "--model", self.model, DEV]):
                result = subprocess.run([NERSWEEP, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
                assert result.returncode == 75 and "cannot write the results: No space left" in result.stderr, (arguments, result)
        # A reader that goes ends the work, however much input there is.
        for arguments in (["predict", "--model", self.model], ["tokenize", "--vocab", os.path.join(self.model, "vocab.txt")]):
            with subprocess.Popen(["yes", "Anna sang in Oslo."], stdout=subprocess.PIPE) as endless:
                with subprocess.Popen([NERSWEEP, *arguments], stdin=endless.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                    endless.stdout.close()
                    assert process.stdout.readline().startswith(b"{")
                    process.stdout.close()
                    code, message = process.wait(60), process.stderr.read().decode()
                    assert code == 1 and "Broken pipe" in message, (arguments, code, message)
                endless.wait(60)

    # -- train, doctor, journal
    # -- train
    def train_reports_the_agreed_keys(self):
        assert {"steps", "wall_s", "real_tokens_per_s", "peak_rss_mb", "backend", "precision", "best", "last"} <= set(self.trained), self.trained
        quicker = json.loads(run("doctor", "--json", code=None).stdout)["backend"]["bf16"]
        assert self.trained["precision"] == ("bf16" if quicker else "fp32"), self.trained  # auto
        for which in ("best", "last"):
            assert set(self.trained[which]["dev"]["main"]) >= {"f1", "precision", "recall"} and self.trained[which]["step"] > 0
        names = set(os.listdir(self.model)) - {".nersweep"}
        assert {"config.json", "model.safetensors", "vocab.txt", "tokenizer.json", "tokenizer_config.json", "nersweep.json"} <= names, names
        assert not any("tmp" in name for name in names)

    def a_profile_is_a_table_and_a_file(self):
        arguments = ["train", "--model", self.start, "--train", TRAIN, "--dev", DEV, "--max-seq-length", "64", "--stride", "8", "--max-steps", "3",
                     "--threads", "1", "--profile", "--out"]
        told = run(*arguments, self.path("profiled"), "--precision", "fp32")
        assert re.search(r"^profile of 2 steps in fp32, after a first one of [0-9.]+ ms; .*\npeaks: \d+ GF/s fp32", told.stdout, re.M), told.stdout
        for line in (r"^training +[\d.]+ +[\d.]+ +100.0% +[\d.]+%$", r"^  linear_forward ffn_in +\d+ .*%$", r"^  norm_forward .* memory +[\d.]+%$",
                     r"^  no operation: reading ", r"^evaluation "):
            assert re.search(line, told.stdout, re.M), (line, told.stdout)
        told = run(*arguments, self.path("profiled-json"), "--precision", "bf16", "--json")
        result = json.loads(told.stdout)
        assert "profile of 2 steps in bf16" in told.stderr and result["profile"] == self.path("profiled-json/profile.json"), told.stderr
        with open(result["profile"], encoding="utf-8") as file:
            profile = json.load(file)
        assert profile["training"]["steps"] == 2 and profile["precision"] == "bf16" and not profile["synchronized"], profile
        again = run(*arguments, self.path("profiled"), "--precision", "fp32")
        assert "no step was trained in this run" in again.stderr and "profile of" not in again.stdout, again

    def doctor_runs_every_operation_on_every_level(self):
        told = run("doctor", "--numerics", timeout=60).stdout
        lines = told.splitlines()[1:]
        whole = re.compile(r"cpu \w+, (own products|BLAS) +(in use +)?right +linear \d+%, .*, bf16 attention \d+%")
        assert len(lines) >= 2 and all(whole.fullmatch(line) for line in lines), told
        assert sum(" in use " in line for line in lines) == 1 and "cpu portable, BLAS" in told, told
        report = json.loads(run("doctor", "--numerics", "--json", environment={"NERSWEEP_CPU_FEATURES": "portable"}, timeout=60).stdout)
        in_use = [setting for setting in report["settings"] if setting["in_use"]]
        assert report["right"] and len(in_use) == 1 and in_use[0]["features"] == "portable", report
        for setting in report["settings"]:
            assert setting["right"] and {"linear_forward", "bf16_attention", "adamw"} <= set(setting["operations"]), setting
            assert all(0 <= operation["share_of_allowed"] <= 1 for operation in setting["operations"].values()), setting

    def doctor_says_whether_bf16_is_quicker(self):
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            intel = "GenuineIntel" in file.read()
        for features in ({}, {"NERSWEEP_CPU_FEATURES": "avx512bf16"}, {"NERSWEEP_CPU_FEATURES": "portable"}):
            backend = json.loads(run("doctor", "--json", code=None, environment=features).stdout)["backend"]
            level = re.match(r"cpu: (\w+) vectors, .*; (.*)", backend["found"])
            assert backend["bf16"] == (level[1] == "amx" or (level[1] == "avx512bf16" and not intel)), backend
            assert level[2].startswith("quicker in bf16, which precision auto takes" if backend["bf16"] else "not quicker in bf16"), backend
            if features.get("NERSWEEP_CPU_FEATURES") == "portable":
                assert level[1] == "portable" and not backend["bf16"], backend

    def doctor_refuses_a_backend_that_computes_wrong(self):
        wrong = {"NERSWEEP_BACKEND_PATH": os.path.join(os.path.dirname(NERSWEEP), "..", "tests", "wrong")}
        told = run("doctor", "--numerics", code=1, environment=wrong, timeout=60)
        assert re.search(r"^cpu portable, own products +in use WRONG linear 0%,", told.stdout, re.M), told.stdout
        assert re.search(r"^  adamw is wrong: on the shape \d+, \w+.*\[\d+\] is .* instead of ", told.stdout, re.M), told.stdout
        assert told.stdout.count(" is wrong: ") == 2 and "nothing here computes right but the reference: train with --backend reference" in told.stdout
        assert "nersweep: error: 2 of 2 ways to compute here are wrong" in told.stderr, told.stderr
        report = json.loads(run("doctor", "--numerics", "--json", code=1, environment=wrong, timeout=60).stdout)
        assert not report["right"] and not report["settings"][0]["operations"]["adamw"]["right"] and "advice" in report["settings"][0], report

    def colours_are_for_terminals_that_want_them(self):
        result = run("doctor", code=None)
        assert "\033" not in result.stdout + result.stderr
        result = run("stats", DEV, environment={"NO_COLOR": "1"})
        assert "\033" not in result.stdout + result.stderr

    def journal_is_checked_repaired_packed_and_copied(self):
        golden = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "journal-v1")
        journal = self.path("journal-v1")
        shutil.copytree(golden, journal)

        def checked(code=0, where=journal):
            return json.loads(run("journal", "check", where, "--json", code=code).stdout)
        report = checked()
        assert report["sound"] and report["next_sequence"] == 7 and [f["torn_at"] for f in report["files"]] == [None, None, 56], report
        fails(2, r"say --yes", "journal", "check", "--repair", journal)
        assert checked() == report
        assert "sound: 6 records" in run("journal", "check", "--repair", "--yes", journal).stdout
        assert os.path.getsize(os.path.join(journal, "epoch-000003.log")) == 56
        assert os.path.getsize(os.path.join(journal, "epoch-000003.log.torn-56")) == 66
        packed = json.loads(run("journal", "compact", journal, "--keep", "0", "--json").stdout)
        assert packed["snapshot_epoch"] == 2 and packed["segments_removed"] == 2, packed
        assert [f["name"] for f in checked()["files"]] == ["snapshot-000002.log", "epoch-000003.log"]
        run("journal", "backup", journal, self.path("copy"))
        assert checked(where=self.path("copy")) == checked()
        fails(1, r"copy exists already", "journal", "backup", journal, self.path("copy"))
        with open(os.path.join(journal, "snapshot-000002.log"), "r+b") as file:
            file.seek(20)
            file.write(b"X")
        fails(1, r"snapshot-000002\.log: a block is damaged at offset 0", "journal", "check", journal)
        assert not checked(1)["sound"]
        fails(1, r"epoch-000002.json is missing", "journal", "dump", journal)
        fails(1, r"record 1: a journal record that cannot be decoded", "journal", "dump", golden)
        fails(1, r"holds no journal", "journal", "check", self.folder)
        fails(2, r"expected check, dump, compact or backup", "journal", "chekc", journal)
        fails(2, r"a sweep and a new folder", "journal", "backup", journal)
        fails(2, r"belong to check", "journal", "dump", journal, "--yes")

if __name__ == "__main__":
    sys.exit(main(EveryCommand))
