#!/usr/bin/env python3
"""`nersweep lint` as a user meets it, and its pages in docs/lint: each rule has one, and the example of each prints what the page says.

usage: lint_test.py [CASE...]"""
import json
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from support import EXAMPLES, NERSWEEP, SOURCE, run  # noqa: E402

TRAIN, DEV, TEST = (os.path.join(EXAMPLES, name + ".conll") for name in ("train", "dev", "test"))
PAGES = os.path.join(SOURCE, "docs", "lint")
ASKED_FOR = {"misspelt-type": ["--fix-types"], "duplicate-sentence": ["--fix-duplicates"]}


def rules():
    return [json.loads(line) for line in run("lint", "--rules", "--json").stdout.splitlines()]


def fences(page):
    """The commands and the output of the example."""
    with open(os.path.join(PAGES, page + ".md"), encoding="utf-8") as file:
        text = file.read()
    found = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S)
    assert [kind for kind, _ in found] == ["sh", "text"], (page, found)
    return text, found[0][1], found[1][1]


def shell(commands, folder):
    environment = {**os.environ, "PATH": os.path.dirname(NERSWEEP) + ":" + os.environ["PATH"]}
    return subprocess.run(["bash", "-c", commands], cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)


class Lint:
    def __init__(self, folder):
        self.folder = folder

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        return self.path(name)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def fails(self, code, pattern, *arguments):
        result = run("lint", *arguments, code=code, timeout=30)
        assert re.search(pattern, result.stderr), f"no /{pattern}/ in:\n{result.stderr[-2000:]}"
        return result

    # -- the pages
    def every_rule_has_a_page_and_every_page_a_rule(self):
        pages = {name[:-3] for name in os.listdir(PAGES)} - {"README"}
        assert pages == {rule["rule"] for rule in rules()}, pages ^ {rule["rule"] for rule in rules()}
        for rule in rules():
            text, _, _ = fences(rule["rule"])
            flags = "".join(" " + flag for flag in ASKED_FOR.get(rule["rule"], []))
            mends = f"`--fix OUT{flags}` mends it" if rule["fixable"] else "`--fix` does not mend it"
            summary = rule["summary"][0].upper() + rule["summary"][1:]
            assert text.startswith(f"# {rule['rule']}\n\n{summary}. Severity: {rule['severity']}; {mends}.\n"), rule
            for heading in ("\n## Example\n", "\n## What to do\n"):
                assert text.count(heading) == 1, (rule, heading)

    def the_example_of_each_page_prints_what_the_page_says(self):
        for rule in rules():
            _, commands, expected = fences(rule["rule"])
            with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                result = shell(commands, folder)
            assert result.stdout == expected, (rule["rule"], result.stdout, result.stderr)
            lines = expected.splitlines()
            assert lines and all(f" {rule['severity']}: " in line and line.endswith(f"[{rule['rule']}]") for line in lines), expected
            assert result.returncode == (1 if rule["severity"] == "error" else 0), (rule, result)

    def what_a_page_calls_fixable_is_gone_after_fix(self):
        fixable = [rule["rule"] for rule in rules() if rule["fixable"]]
        assert len(fixable) >= 8, fixable
        for rule in fixable:
            _, commands, _ = fences(rule)
            flags = ASKED_FOR.get(rule, [])
            with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                shell(commands, folder)
                path = os.path.join(folder, shlex.split(commands.strip().splitlines()[-1])[-1])
                once, twice = os.path.join(folder, "once"), os.path.join(folder, "twice")
                changes = [json.loads(line) for line in run("lint", "--fix", once, *flags, "--json", path).stdout.splitlines()]
                assert rule in {change["rule"] for change in changes}, (rule, changes)
                assert run("lint", "--only", rule, once).stdout == "", rule
                assert run("lint", "--fix", twice, *flags, "--json", once).stdout == "", rule
                with open(once, "rb") as first, open(twice, "rb") as second:
                    assert first.read() == second.read(), rule

    def every_rule_of_the_readers_is_in_the_table(self):
        known, used = {rule["rule"] for rule in rules()}, set()
        folder = os.path.join(SOURCE, "shard")
        for name in os.listdir(folder):
            if name.startswith("corpus") and name.endswith(".c"):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    text = file.read()
                used.update(re.findall(r'"([a-z0-9]+(?:-[a-z0-9]+)*)",\s*diagnostic', text))
                used.update(re.findall(r'PROBLEM_(?:ERROR|WARNING),\s*"([a-z0-9-]+)"', text))
        assert len(used) >= 15 and used <= known, used - known

    # -- the command
    def the_list_of_rules_is_for_people_too(self):
        lines = run("lint", "--rules").stdout.splitlines()
        assert len(lines) == len(rules())
        assert any(re.match(r"crlf +warning +fix +lines that end in CR LF$", line) for line in lines), lines
        assert any(re.match(r"encoding +error +bytes", line) for line in lines), lines

    def unknown_rules_are_refused_with_the_nearest_one(self):
        self.fails(2, r"--disable incoding: .*is encoding meant", "--disable", "crlf,incoding", TRAIN)
        self.fails(2, r"--only long-sentense: .*is long-sentence meant", "--only", "long-sentense", TRAIN)
        self.fails(2, r"exclude each other", "--only", "crlf", "--disable", "encoding", TRAIN)
        self.fails(2, r"exclude each other", "--model", "m", "--vocab", "v", TRAIN)
        self.fails(2, r"no file is given")
        self.fails(2, r"--fix mends one file, 2 are given", "--fix", self.path("out"), TRAIN, DEV)
        self.fails(2, r"--fix OUT is missing", "--fix-types", TRAIN)
        self.fails(2, r"--words penn", "--words", "penn", TRAIN)

    def rules_are_chosen_by_name(self):
        path = self.write("chosen.conll", "Ann B-PER\r\nLee I-LOC\r\n")
        found = lambda *flags: re.findall(r"\[([a-z-]+)\]$", run("lint", *flags, path).stdout, re.M)  # noqa: E731
        assert found() == ["crlf", "inside-without-begin"], found()
        assert found("--disable", "crlf") == ["inside-without-begin"]
        assert found("--only", "crlf,encoding") == ["crlf"]

    def the_examples_are_clean(self):
        result = run("lint", "--train", TRAIN, "--dev", DEV, "--test", TEST, "--strict")
        assert result.stdout == "" and result.stderr == "0 errors, 0 warnings in 3 files\n", result

    def the_summary_counts_by_rule_and_tells_what_is_not_shown(self):
        path = self.write("many.conll", "Ann B-PER\n" + "broken\n" * 120)
        result = run("lint", path, code=1)
        assert len(result.stdout.splitlines()) == 50, result.stdout
        assert re.search(r"^ +120 column-count .*\(50 shown\)$", result.stderr, re.M), result.stderr
        assert result.stderr.endswith("120 errors, 0 warnings in 1 file; --limit 0 shows all\n"), result.stderr
        assert len(run("lint", "--limit", "0", path, code=1).stdout.splitlines()) == 120
        problems = run("lint", "--json", path, code=1)
        assert len(problems.stdout.splitlines()) == 120 and problems.stderr == "", problems.stderr
        assert set(json.loads(problems.stdout.splitlines()[0])) == {"file", "line", "column", "severity", "rule", "message"}

    def warnings_are_errors_when_strict(self):
        path = self.write("strict.conll", "Ann B-PER\nLee I-LOC\n")
        assert " warning: " in run("lint", path).stdout
        assert " error: " in run("lint", "--strict", path, code=1).stdout

    def colours_are_for_terminals(self):
        path = self.write("colours.conll", "Ann B-PER\nLee I-LOC\n")
        assert "\033" not in run("lint", path).stdout
        ours, theirs = pty.openpty()
        environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        subprocess.run([NERSWEEP, "lint", path], stdout=theirs, stderr=subprocess.DEVNULL, env=environment, timeout=30, check=True)
        os.close(theirs)
        shown = os.read(ours, 4096).decode()
        os.close(ours)
        assert "\033[1;33mwarning:\033[0m" in shown and "\033[2m[inside-without-begin]\033[0m" in shown, shown

    def what_the_input_holds_does_not_command_the_terminal(self):
        path = self.write("escape.conll", "a B-PER\n\033[2J\a I-\033[2JX\n" + "\033]0;x B-LOC\n\n" * 6 + "\033]0;x O\n")
        text = run("lint", path).stdout
        assert "\033" not in text and "\a" not in text and "\\x1B]0;x" in text, text
        messages = [json.loads(line)["message"] for line in run("lint", "--json", path).stdout.splitlines()]
        assert any("\033]0;x" in message for message in messages), messages

    def fix_writes_a_new_file_and_a_list(self):
        path, out = self.write("fix.conll", "Ann B-PER\r\nLee I-LOC\r\n"), self.path("fixed.conll")
        result = run("lint", "--fix", out, path)
        assert self.read("fixed.conll") == b"Ann B-PER\nLee B-LOC\n" and self.read("fix.conll") == b"Ann B-PER\r\nLee I-LOC\r\n"
        assert result.stdout == "" and re.search(r"^ +2 crlf\n +1 inside-without-begin\n.*: 3 changes, listed in ", result.stderr), result
        changes = [json.loads(line) for line in self.read("fixed.conll.changes.jsonl").splitlines()]
        assert changes == [{"file": path, "line": 1, "rule": "crlf", "before": "\r\n", "after": "\n", "lines": 2},
                           {"file": path, "line": 2, "rule": "inside-without-begin", "before": "I-LOC", "after": "B-LOC", "lines": 1}]
        os.unlink(out + ".changes.jsonl")
        printed = run("lint", "--fix", out, "--json", path)
        assert [json.loads(line) for line in printed.stdout.splitlines()] == changes and printed.stderr == "", printed
        assert not os.path.exists(out + ".changes.jsonl")
        os.symlink(path, self.path("link.conll"))
        for same in (path, self.path("link.conll")):
            self.fails(2, r"over the input", "--fix", same, path)
        assert self.read("fix.conll") == b"Ann B-PER\r\nLee I-LOC\r\n"

    def a_model_folder_or_a_vocabulary_says_which_sentences_are_long(self):
        pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ann", "ran"]
        self.write("vocab.txt", "\n".join(pieces) + "\n")
        self.write("config.json", json.dumps({"model_type": "bert", "vocab_size": len(pieces), "hidden_size": 8, "num_hidden_layers": 1,
                                              "num_attention_heads": 2, "intermediate_size": 8}))
        path = self.write("long.conll", "Ann B-PER\n" + "ran O\n" * 5)
        for where in (["--vocab", self.path("vocab.txt")], ["--model", self.folder]):
            assert re.search(r"has 6 pieces.*\[long-sentence\]$", run("lint", *where, "--max-seq-length", "7", path).stdout, re.M)
            assert run("lint", *where, "--max-seq-length", "8", path).stdout == ""
        self.fails(1, r"gone/vocab\.txt", "--vocab", self.path("gone/vocab.txt"), path)

    def input_that_is_none_is_refused_in_time(self):
        os.mkfifo(self.path("pipe"))
        os.mkdir(self.path("folder"))
        self.fails(1, r"pipe is not a regular file", self.path("pipe"))
        self.fails(1, r"pipe is not a regular file", "--fix", self.path("never"), self.path("pipe"))
        self.fails(1, r"folder holds no \.ann file", self.path("folder"))
        self.fails(1, r"gone\.conll.*No such file", self.path("gone.conll"))
        self.fails(1, r"/dev/zero is not a regular file", "/dev/zero")
        assert "[no-tokens]" in run("lint", self.write("empty.conll", ""), code=1).stdout
        self.fails(1, r"nothing to mend", "--fix", self.path("never"), self.path("empty.conll"))
        binary = self.write("binary.conll", bytes(range(256)) * 64)
        result = run("lint", binary, code=1)
        assert "[encoding]" in result.stdout and len(result.stdout.splitlines()) < 120, result.stdout[-2000:]
        assert "[encoding]" in run("lint", self.write("nul.conll", b"Ann B-PER\nran\0 O\n"), code=1).stdout
        utf16 = run("lint", self.write("utf16.conll", "Ann B-PER\nran O\n".encode("utf-16")), code=1).stdout
        assert re.search(r"utf16\.conll:1:1: error: .*UTF-16.*\[encoding\]", utf16), utf16
        assert not os.path.exists(self.path("never"))

    def a_closed_or_full_output_is_an_error(self):
        path = self.write("full.conll", "Ann B-PER\n" + "broken\n" * 10)
        with open("/dev/full", "w", encoding="utf-8") as full:
            result = subprocess.run([NERSWEEP, "lint", path], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        assert result.returncode == 75 and "No space left" in result.stderr, result


def main():
    names = [name for name, value in vars(Lint).items() if callable(value) and not name.startswith("_")]
    cases = [name for name in names if name not in ("path", "write", "read", "fails")]
    failed = 0
    for name in sys.argv[1:] or cases:
        folder = tempfile.mkdtemp(prefix="nersweep-lint-")
        try:
            getattr(Lint(folder), name)()
            print(f"ok   {name}", flush=True)
        except (AssertionError, subprocess.SubprocessError, OSError, ValueError) as problem:
            failed += 1
            print(f"FAIL {name}: {problem}", flush=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{len(sys.argv[1:] or cases) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
