#!/usr/bin/env python3
"""Commands that need no coordinator, as a strict user meets them: help, wrong usage, streams, closed outputs, what they print and where.

usage: commands_test.py [CASE...]"""
import fcntl
import html.parser
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import support  # noqa: E402
from support import EXAMPLES, NERSWEEP, run  # noqa: E402

TRAIN, DEV, TEST = (os.path.join(EXAMPLES, name + ".conll") for name in ("train", "dev", "test"))
COMMANDS = ["run", "train", "predict", "eval", "status", "watch", "best", "pull", "lint", "stats", "tokenize", "shard", "inspect", "coordinator",
            "doctor", "convert", "journal", "keys"]
JSON_COMMANDS = ["run", "train", "predict", "eval", "status", "watch", "best", "pull", "lint", "stats", "tokenize", "shard", "inspect",
                 "coordinator", "doctor", "convert", "journal", "keys"]


def fails(code, pattern, *arguments, **options):
    result = run(*arguments, code=code, **options)
    assert re.search(pattern, result.stderr), f"no /{pattern}/ in:\n{result.stderr[-2000:]}"
    return result


def close(a, b):
    return abs(a - b) < 1e-12


def on_terminal(columns, command, environment):
    """What a command prints on a terminal of so many columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    clean = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    with subprocess.Popen(command, stdout=slave, stderr=subprocess.DEVNULL, env={**clean, **environment}) as process:
        os.close(slave)
        out = b""
        while True:
            try:
                block = os.read(master, 1 << 16)
            except OSError:  # the other end is closed
                break
            if not block:
                break
            out += block
        assert process.wait(60) == 0, out
    os.close(master)
    return out.decode().replace("\r\n", "\n")


def pseudo_sentences(path):
    """[(token, label, weight)] of each sentence."""
    with open(path, encoding="utf-8") as file:
        return [[tuple(line.split("\t")) for line in block.split("\n")] for block in file.read().strip("\n").split("\n\n")]


class Page(html.parser.HTMLParser):
    """Elements counted, every one closed as it was opened; texts and roles collected."""
    VOID = {"meta"}

    def __init__(self):
        super().__init__()
        self.open, self.counts, self.texts, self.roles = [], {}, "", []

    def handle_starttag(self, tag, attrs):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        assert not any(name.startswith("on") or name in ("href", "src") for name, _ in attrs), (tag, attrs)
        if tag == "svg":
            self.roles.append(dict(attrs).get("role"))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.counts[tag] = self.counts.get(tag, 0) + 1

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, (tag, self.open)

    def handle_data(self, data):
        self.texts += data


class Counts(dict):
    texts, roles = "", []


def parse_page(text):
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == [], page.open
    for number in re.findall(r' (?:x|y|x1|x2|y1|y2|width|height)="([^"]*)"', text):
        float(number)
    assert not re.search(r"\b(nan|inf)\b", re.sub(r">[^<]*<", "><", text)), "a chart with numbers that are none"
    counts = Counts(page.counts)
    counts.texts, counts.roles = page.texts, page.roles
    return counts


class Commands:
    def __init__(self, folder):
        self.folder = folder
        self.start = support.make_model(folder)
        self.model = self.path("model-trained")
        self.trained = json.loads(run("train", "--model", self.start, "--train", TRAIN, "--dev", "main=" + DEV, "--out", self.model,
                                      "--max-seq-length", "64", "--stride", "8", "--num-train-epochs", "8", "--learning-rate", "5e-3",
                                      "--per-device-train-batch-size", "16", "--threads", "1", "--json").stdout)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        return self.path(name)

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

    # -- lint and stats
    def lint_reports_every_file(self):
        bad = self.write("bad.conll", "Anna\tX-PER\nsang\tO\nOslo\tI-LOC\n\n")
        good = self.write("good.conll", "Anna\tB-PER\nsang\tO\n\n")
        result = run("lint", good, self.path("gone.conll"), bad, "--scheme", "IOB2", code=1)
        assert re.search(r"bad\.conll:1:6: error: .*\[unknown-prefix\]", result.stdout), result.stdout
        assert re.search(r"bad\.conll:3:6: warning: .*\[inside-without-begin\]", result.stdout), result.stdout
        assert "gone.conll" in result.stderr and "good.conll" not in result.stdout
        problems = [json.loads(line) for line in run("lint", bad, "--json", code=1).stdout.splitlines()]
        assert all(set(p) == {"file", "line", "column", "severity", "rule", "message"} for p in problems) and problems
        assert run("lint", good, "--json").stdout == ""
        columns = self.write("columns.conll", "B-PER x Anna\nO y sang\n\n")
        assert run("lint", columns, "--token-column", "-1", "--label-column", "1").stdout == ""
        run("lint", columns, code=1)

    def convert_goes_there_and_back_or_leaves_nothing(self):
        plain, there, back = self.path("plain.conll"), self.path("there.json"), self.path("back.conll")
        run("convert", DEV, plain, "--to", "conll")
        said = run("convert", plain, there, "--to", "labelstudio")
        assert said.stdout == "" and re.search(r"^\d+ sentences, conll to labelstudio\n$", said.stderr), said
        summary = json.loads(run("convert", there, back, "--to", "conll", "--json").stdout)
        assert summary["from"] == "labelstudio" and summary["misaligned"] == 0, summary
        with open(plain, "rb") as before, open(back, "rb") as after:
            assert before.read() == after.read()
        assert json.loads(run("stats", there, "--json").stdout)["spans"] == json.loads(run("stats", DEV, "--json").stdout)["spans"]
        loose = self.write("loose.conll", "a\tB-X\n\nb\tI-X\n")
        fails(1, r"loose\.conll:3:3: error: .*--repair", "convert", loose, self.path("never.jsonl"), "--to", "prodigy")
        assert not os.path.exists(self.path("never.jsonl"))
        assert re.search(r"loose\.conll:3:3: repaired: I-X becomes B-X", run("convert", loose, self.path("mended"), "--to", "conll", "--repair").stderr)
        fails(2, r"--to is required", "convert", DEV, plain)
        fails(2, r"expected IN and OUT", "convert", DEV, "--to", "conll")
        fails(2, r"--to auto", "convert", DEV, plain, "--to", "auto")
        fails(2, r"--from xml", "convert", DEV, plain, "--from", "xml", "--to", "csv")

    def stats_compare_further_files_with_the_first(self):
        first, second = (json.loads(line) for line in run("stats", TRAIN, DEV, "--json").stdout.splitlines())
        assert first["file"] == TRAIN and second["file"] == DEV
        assert "overlap_with_train" in second and "overlap_with_train" not in first, second
        assert sum(first["spans_by_type"].values()) == first["spans"]
        pieces = json.loads(run("stats", DEV, "--vocab", os.path.join(self.model, "vocab.txt"), "--json").stdout)["pieces"]
        assert pieces["max"] >= second["length"]["max"], pieces
        text = run("stats", DEV).stdout
        assert re.search(rf"^sentences +{second['sentences']}$", text, re.M), text
        fails(1, r"gone\.conll", "stats", TRAIN, self.path("gone.conll"))

    def stats_of_several_files_stand_side_by_side(self):
        text = run("stats", TRAIN, DEV, TEST, "--model", self.model).stdout
        first, second, third = (json.loads(line) for line in run("stats", TRAIN, DEV, TEST, "--model", self.model, "--json").stdout.splitlines())
        assert re.search(rf"^ +train\.conll +dev\.conll +test\.conll$", text, re.M), text
        assert re.search(rf"^sentences +{first['sentences']} +{second['sentences']} +{third['sentences']}$", text, re.M), text
        assert re.search(r"^pieces of text in a window +62 +62 +62$", text, re.M), text
        assert third["overlap"] == [{"file": TRAIN, "sentences": 0}, {"file": DEV, "sentences": 0}], third["overlap"]
        assert sum(count for _, count in first["length"]["histogram"]) == first["sentences"]
        assert sum(length * count for length, count in first["length"]["histogram"]) == first["tokens"]
        assert first["pieces"]["window"] == 62
        assert first["pieces"]["over_window"] == sum(count for length, count in first["pieces"]["histogram"] if length > 62)
        fails(2, r"exclude each other", "stats", DEV, "--model", self.model, "--vocab", "x")
        fails(2, r"--html takes at most 8 files", "stats", "--html", self.path("many.html"), *[DEV] * 9)

    def unseen_forms_are_those_of_a_count_by_hand(self):
        def forms(path):
            spans, now = [], None
            with open(path, encoding="utf-8") as file:
                for line in [*file, "\n"]:
                    token, _, label = line.rstrip("\n").partition("\t")
                    if now and not label.startswith("I-"):
                        spans.append((now[0], tuple(now[1])))
                        now = None
                    if label.startswith("B-"):
                        now = (label[2:], [token])
                    elif label.startswith("I-"):
                        now[1].append(token)
            return spans
        seen, dev = set(forms(TRAIN)), forms(DEV)
        stats = json.loads(run("stats", TRAIN, DEV, "--json").stdout.splitlines()[1])
        assert stats["spans"] == len(dev) and stats["unseen"] == sum(span not in seen for span in dev), stats["unseen"]
        for name, row in stats["types"].items():
            mine = [span for span in dev if span[0] == name]
            assert (row["spans"], row["forms"]) == (len(mine), len(set(mine))) and row["unseen"] == sum(s not in seen for s in mine), name
            assert close(row["mean_length"], sum(len(s[1]) for s in mine) / len(mine))

    def a_page_of_statistics_is_whole_and_nothing_in_it_is_markup_but_ours(self):
        label = "</title></svg></script><img src=x onerror=alert(1)>&\"'"
        hostile = self.write("<b>hostile & \u202e.conll", f"<script>alert(1)</script>\tB-{label}\nx\tI-{label}\n\nfine\tO\n")
        page = self.path("stats.html")
        assert run("stats", "--html", page, TRAIN, hostile, "--model", self.model).stdout == ""
        with open(page, encoding="utf-8") as file:
            text = file.read()
        seen = parse_page(text)
        assert seen["svg"] >= 6 and seen["title"] > seen["svg"] and seen["desc"] == seen["svg"], seen
        assert not {"script", "img", "link", "iframe", "object", "b"} & set(seen), seen
        assert "http" not in re.sub(r'http-equiv', "", text) and "url(" not in text and "@import" not in text
        assert label in seen.texts and text.endswith("</html>\n") and "prefers-color-scheme:dark" in text
        assert all(role == "img" for role in seen.roles), seen.roles
        before = os.listdir(self.folder)
        fails(1, r"gone\.conll", "stats", "--html", self.path("never.html"), TRAIN, self.path("gone.conll"))
        assert os.listdir(self.folder) == before
        fails(1, r"no/folder", "stats", "--html", self.path("no/folder/stats.html"), TRAIN)
        for files in ([TRAIN], [self.write("empty-spans.conll", "a\tO\n")]):
            run("stats", "--html", page, *files)
            with open(page, encoding="utf-8") as file:
                parse_page(file.read())

    # -- tokenize
    def tokenize_prints_a_line_for_a_line(self):
        vocab = os.path.join(self.model, "vocab.txt")
        lines = ["Anna sang", "", "\u00c5se \U0001f642 e\u0301", "[SEP] x"]
        out = [json.loads(line) for line in run("tokenize", "--vocab", vocab, "--json", input_text="\r\n".join(lines)).stdout.splitlines()]
        assert len(out) == 4
        for line, answer in zip(lines, out):
            assert answer["tokens"][0] == "[CLS]" and answer["tokens"][-1] == "[SEP]" and answer["word_ids"][0] is None
            for start, end in answer["offsets"]:
                assert 0 <= start <= end <= len(line)
        assert out[1]["tokens"] == ["[CLS]", "[SEP]"] and out[3]["tokens"][1] == "[SEP]"
        plain = json.loads(run("tokenize", "--vocab", vocab, "--ignore-special-tokens", input_text="[SEP]\n").stdout)
        assert plain["tokens"].count("[SEP]") == 1
        words = json.loads(run("tokenize", "--vocab", vocab, "--words", input_text="it's  here\n").stdout)
        assert max(word for word in words["word_ids"] if word is not None) == 1
        path = self.write("bytes.txt", b"fine\nbro\xffken\n")
        result = fails(1, r"bytes\.txt:2:1: error: ", "tokenize", "--vocab", vocab, path)
        assert len(result.stdout.splitlines()) == 1
        fails(1, r"cannot open .*gone\.txt", "tokenize", "--vocab", vocab, self.path("gone.txt"))

    # -- shard and inspect
    def shard_is_safe_to_repeat_and_says_what_it_made(self):
        out = self.path("shards")
        arguments = ["shard", "--train", TRAIN, "--dev", "main=" + DEV, "--dev", "more=" + TEST, "--test", TEST, "--model", self.start, "--out", out,
                     "--max-seq-length", "64", "--stride", "8", "--json"]
        first = json.loads(run(*arguments).stdout)
        assert set(first["splits"]) == {"train", "dev:main", "dev:more", "test"}, first
        again = run(*arguments)
        assert json.loads(again.stdout) == first and "up to date" in again.stderr
        windows = [json.loads(line) for line in run("inspect", out, "--split", "dev:more", "--n", "3", "--json").stdout.splitlines()]
        assert len(windows) == 3 and all(len(w["pieces"]) == len(w["labels"]) for w in windows)
        steps = [json.loads(line) for line in run("inspect", out, "--plan", "--json", "--per-device-train-batch-size", "64").stdout.splitlines()]
        assert steps and all(step["pieces"] > 0 for step in steps)
        fails(1, r"no split \"dev:none\"", "inspect", out, "--split", "dev:none")
        fails(1, r"not the vocabulary", "inspect", out, "--vocab", self.write("other-vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\nx\n"))

    def inspect_shows_pieces_beside_labels_and_marks_overlaps(self):
        out, vocab = self.path("narrow"), os.path.join(self.start, "vocab.txt")
        run("shard", "--train", TRAIN, "--model", self.start, "--out", out, "--max-seq-length", "24", "--stride", "8")
        windows = [json.loads(line) for line in run("inspect", out, "--index", "1", "--n", "1", "--vocab", vocab, "--json").stdout.splitlines()]
        assert len(windows) == windows[0]["windows_of_sequence"] > 1 and {w["sequence"] for w in windows} == {1}, windows
        assert [w["window_of_sequence"] for w in windows] == list(range(len(windows)))
        text = run("inspect", out, "--index", "1", "--n", "1", "--vocab", vocab).stdout
        tables = text.strip().split("\n\n")
        counted = []
        for window, table in zip(windows, tables):
            first, end = window["owned"]
            rows = table.splitlines()[4:]
            assert len(rows) == len(window["pieces"]), table
            for i, row in enumerate(rows):
                overlap = window["token_index"][i] >= 0 and not first <= i < end
                number, piece, label, token = row.lstrip("~ ").split()[:4]
                assert row.startswith("~") == overlap, row
                assert (int(number), piece, label) == (i, window["pieces"][i], window["labels"][i]), row
                assert token == ("-" if window["token_index"][i] < 0 else str(window["token_index"][i])), row
                if overlap or window["token_index"][i] < 0:
                    assert label == "-100"
                elif window["labels"][i] != "-100":
                    counted.append((window["token_index"][i], label))
        with open(TRAIN, encoding="utf-8") as file:
            second = file.read().strip().split("\n\n")[1].splitlines()
        gold = [line.split("\t")[1] for line in second if line and not line.startswith("-DOCSTART-")]
        assert counted == list(enumerate(gold)), (counted, gold)  # every token once, over all windows
        assert "\033" not in text and not re.search(r" $", text, re.M)

    def inspect_chooses_sequences(self):
        out = self.path("narrow")
        if not os.path.exists(out):
            run("shard", "--train", TRAIN, "--model", self.start, "--out", out, "--max-seq-length", "24", "--stride", "8")

        def sequences(*arguments):
            seen = [json.loads(line) for line in run("inspect", out, "--json", *arguments).stdout.splitlines()]
            return list(dict.fromkeys(window["sequence"] for window in seen)), seen
        assert sequences("--n", "3")[0] == [0, 1, 2]
        assert sequences("--n", "2", "--index", "282")[0] == [282, 283]
        numbers, windows = sequences("--n", "1000", "--with-entities")
        assert len(numbers) == 284 - 56
        for number in numbers[:20]:
            assert any(t["gold"] != "O" for w in windows if w["sequence"] == number for t in w["tokens"]), number
        numbers, _ = sequences("--n", "1000", "--contains", "Joost Bakker")
        with open(TRAIN, encoding="utf-8") as file:
            sentences = [" ".join(line.split("\t")[0] for line in block.splitlines()) for block in file.read().strip().split("\n\n")]
        sentences = [sentence for sentence in sentences if not sentence.startswith("-DOCSTART-")]
        assert numbers == [i for i, sentence in enumerate(sentences) if "Joost Bakker" in sentence] and numbers, numbers
        nothing = run("inspect", out, "--contains", "no such text")
        assert nothing.stdout == "" and "no sequence" in nothing.stderr
        fails(1, r"--index 284: the split has 284 sequences", "inspect", out, "--index", "284")
        fails(2, r"--plan shows steps", "inspect", out, "--plan", "--contains", "x")

    def inspect_fits_a_terminal_and_colours_it(self):
        out = self.path("narrow-text")
        corpus = self.write("narrow.conll", "\x1b[2Jevil\tB-PER\n" + "w" * 90 + "\tO\n\u6771\u4eac\tB-LOC\n\n")
        run("shard", "--train", corpus, "--model", self.start, "--out", out, "--max-seq-length", "128", "--stride", "8")
        for environment in ({"TERM": "xterm"}, {"NO_COLOR": "1"}):
            text = on_terminal(48, [NERSWEEP, "inspect", out, "--vocab", os.path.join(self.start, "vocab.txt")], environment)
            lines = [re.sub(r"\033\[[0-9;]*m", "", line) for line in text.splitlines()]
            assert all(len(line) + sum(line.count(c) for c in "\u6771\u4eac") <= 48 for line in lines), text
            assert ("\033[36m" in text or "\033[33m" in text) == ("NO_COLOR" not in environment), text
            assert "\033[2J" not in text and "\ufffd[2Jevil" in text and "\u2026" in text, text

    def the_casing_of_a_vocabulary_of_another_name_is_seen(self):
        with open(os.path.join(self.start, "vocab.txt"), encoding="utf-8") as file:
            copy = self.write("pieces-cased.txt", file.read())  # the name lies: there is no capital in it
        out = run("shard", "--train", TRAIN, "--model", os.path.join(self.start, "config.json"), "--vocab", copy, "--out", self.path("named"),
                  "--max-seq-length", "64", "--stride", "8", "--json").stdout
        same = run("shard", "--train", TRAIN, "--model", self.start, "--out", self.path("usual"), "--max-seq-length", "64", "--stride", "8",
                   "--json").stdout
        assert json.loads(out)["identity"] == json.loads(same)["identity"]

    def shards_take_pseudo_labels_and_weak_labels_and_say_how_many(self):
        pseudo = self.write("tagged.conll", "Ada\tB-PER\t0.9\nsang\tO\t0.9\n\nin\tO\t0.5\nOslo\tB-LOC\t0.5\n")
        weak = [self.write("rules.conll", "Ada\tB-PER\nsang\tO\n\nit\tO\n"), self.write("names.conll", "Ada\tB-LOC\nsang\tO\n\nit\tB-LOC\n")]
        arguments = ["shard", "--train", TRAIN, "--model", self.start, "--out", self.path("mixed"), "--max-seq-length", "64", "--stride", "8",
                     "--pseudo", pseudo, "--pseudo-weight", "0.5", "--weak", weak[0], "--weak", weak[1], "--json"]
        train = json.loads(run(*arguments).stdout)["splits"]["train"]
        assert train["pseudo"] == {**train["pseudo"], "sentences": 2, "tokens": 4}, train
        assert train["weak"]["sentences"] == 1 and train["unlabelled_tokens"] == 1 and train["dropped"] == 1, train
        gold = json.loads(run("shard", "--train", TRAIN, "--model", self.start, "--out", self.path("gold"), "--max-seq-length", "64",
                              "--stride", "8", "--json").stdout)["splits"]["train"]
        assert train["sentences"] == gold["sentences"] + 3 and "pseudo" not in gold, (train, gold)
        added = run(*arguments, "--dev", DEV)
        assert re.search(rf"{train['sentences']} sentences of unchanged files were taken over", added.stderr), added.stderr
        wrong = self.write("other.conll", "Ada\tB-PER\nsings\tO\n")
        fails(1, r"other.conll:2:1: .*\"sings\" stands where", *arguments, "--weak", wrong)
        fails(2, r"weak-weight: must be a number above 0", *arguments, "--weak-weight", "0")
        trained = json.loads(run("train", "--model", self.start, "--train", TRAIN, "--pseudo", pseudo, "--weak", weak[0], "--dev", DEV, "--out",
                                 self.path("model-mixed"), "--max-seq-length", "64", "--stride", "8", "--max-steps", "2", "--threads", "1",
                                 "--no-eval", "--json").stdout)
        assert trained["steps"] == 2, trained

    def an_interrupted_shard_leaves_nothing_and_the_next_goes_through(self):
        with open(TRAIN, encoding="utf-8") as file:
            large = self.write("large.conll", file.read() * 200)
        out = self.path("interrupted")
        command = [NERSWEEP, "shard", "--train", large, "--model", self.start, "--out", out, "--max-seq-length", "64", "--stride", "8", "--threads", "3"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            deadline = time.monotonic() + 60
            while not (os.path.isdir(out) and os.listdir(out)) and time.monotonic() < deadline:  # the first pass is over
                time.sleep(0.005)
            process.send_signal(signal.SIGINT)
            errors = process.communicate(timeout=60)[1]
        assert process.returncode == 130 and "interrupted" in errors, (process.returncode, errors)
        assert not os.path.exists(out), os.listdir(out)
        again = json.loads(run(*command[1:], "--json").stdout)
        assert again["splits"]["train"]["sentences"] > 200 * 200 and os.listdir(out) == ["shards.mdb"], again

    # -- train
    def train_reports_the_agreed_keys(self):
        assert {"steps", "wall_s", "real_tokens_per_s", "peak_rss_mb", "backend", "precision", "best", "last"} <= set(self.trained), self.trained
        for which in ("best", "last"):
            assert set(self.trained[which]["dev"]["main"]) >= {"f1", "precision", "recall"} and self.trained[which]["step"] > 0
        names = set(os.listdir(self.model)) - {".nersweep"}
        assert {"config.json", "model.safetensors", "vocab.txt", "tokenizer.json", "tokenizer_config.json", "nersweep.json"} <= names, names
        assert not any("tmp" in name for name in names)

    def a_profile_is_a_table_and_a_file(self):
        arguments = ["train", "--model", self.start, "--train", TRAIN, "--dev", DEV, "--max-seq-length", "64", "--stride", "8", "--max-steps", "3",
                     "--threads", "1", "--profile", "--out"]
        told = run(*arguments, self.path("profiled"))
        assert re.search(r"^profile of 3 steps in fp32; .*\npeaks: \d+ GF/s fp32", told.stdout, re.M), told.stdout
        for line in (r"^training +[\d.]+ +[\d.]+ +100.0% +[\d.]+%$", r"^  linear_forward ffn_in +\d+ .*%$", r"^  adamw .* memory +[\d.]+%$",
                     r"^  no operation: reading ", r"^evaluation "):
            assert re.search(line, told.stdout, re.M), (line, told.stdout)
        told = run(*arguments, self.path("profiled-json"), "--precision", "bf16", "--json")
        result = json.loads(told.stdout)
        assert "profile of 3 steps in bf16" in told.stderr and result["profile"] == self.path("profiled-json/profile.json"), told.stderr
        with open(result["profile"], encoding="utf-8") as file:
            profile = json.load(file)
        assert profile["training"]["steps"] == 3 and profile["precision"] == "bf16" and not profile["synchronized"], profile
        again = run(*arguments, self.path("profiled"))
        assert "no step was trained in this run" in again.stderr and "profile of" not in again.stdout, again

    # -- eval
    def eval_counts_as_seqeval_does(self):
        gold = self.write("gold.conll", "a\tB-X\nb\tI-X\nc\tO\nd\tB-Y\n\ne\tB-X\nf\tO\n\n")
        pred = self.write("pred.conll", "a\tB-X\nb\tI-X\nc\tB-Y\nd\tB-Y\n\ne\tI-X\nf\tO\n\n")
        report = json.loads(run("eval", "--gold", gold, "--pred", pred, "--json").stdout)
        assert close(report["overall_precision"], 3 / 4) and close(report["overall_recall"], 1) and close(report["overall_accuracy"], 4 / 6)
        assert report["X"]["support"] == 2 and close(report["Y"]["precision"], 1 / 2) and report["mode"] == "default"
        assert set(report) >= {"micro avg", "macro avg", "weighted avg", "overall_f1"} and set(report["X"]) == {"precision", "recall", "f1-score",
                                                                                                                "support"}
        strict = json.loads(run("eval", "--gold", gold, "--pred", pred, "--mode", "strict", "--scheme", "IOB2", "--json").stdout)
        assert close(strict["overall_recall"], 2 / 3) and strict["mode"] == "strict"
        assert "token accuracy" in run("eval", "--gold", gold, "--pred", pred).stdout
        fails(1, r"pred\.conll:5:1|ends before", "eval", "--gold", self.write("short.conll", "a\tB-X\nb\tI-X\nc\tO\nd\tB-Y\n\n"), "--pred", pred)
        fails(1, r"odd\.conll:1:3: error: \"FOO\" is no label", "eval", "--gold", self.write("odd.conll", "a\tFOO\n\n"), "--pred",
              self.write("odd2.conll", "a\tO\n\n"))
        both = self.write("both.conll", "a B-X B-X\nb I-X O\n\n")
        scores = json.loads(run("eval", "--gold", both, "--pred", both, "--label-column", "2", "--json").stdout)
        assert close(scores["overall_f1"], 1)

    def nested_spans_are_scored_as_sets(self):
        def prodigy(name, *texts):
            return self.write(name, "".join(json.dumps({"text": text, "spans": [{"start": a, "end": b, "label": k} for a, b, k in spans]}) + "\n"
                                            for text, spans in texts))
        bank = "The Bank of \u00c5land in Mariehamn"
        gold = prodigy("nested-gold.jsonl", (bank, [(0, 17, "ORG"), (12, 17, "LOC"), (21, 30, "LOC")]), ("none here", []),
                       ("Ann", [(0, 3, "PER"), (0, 3, "ARTIST")]))
        pred = prodigy("nested-pred.jsonl", (bank, [(12, 17, "LOC"), (4, 17, "ORG"), (21, 30, "LOC"), (12, 17, "LOC")]), ("none here", [(0, 4, "PER")]),
                       ("Ann", [(0, 3, "PER")]))
        report = json.loads(run("eval", "--gold", gold, "--pred", pred, "--mode", "nested", "--json").stdout)
        assert report["mode"] == "nested" and "overall_accuracy" not in report and report["micro avg"]["support"] == 5, report
        assert close(report["overall_precision"], 3 / 5) and close(report["overall_recall"], 3 / 5) and close(report["overall_f1"], 3 / 5), report
        assert close(report["LOC"]["f1-score"], 1) and report["ORG"]["f1-score"] == 0 and close(report["PER"]["precision"], 1 / 2)
        low, high = report["overall_f1_interval"]
        assert 0 <= low <= 3 / 5 <= high <= 1
        for form, name in (("spacy", "nested.spacy.jsonl"), ("labelstudio", "nested.json"), ("brat", "nested.ann")):
            for source, out in ((gold, "gold-"), (pred, "pred-")):
                run("convert", source, self.path(out + name), "--to", form)
            same = json.loads(run("eval", "--gold", self.path("gold-" + name), "--pred", self.path("pred-" + name), "--mode", "nested", "--json").stdout)
            assert {k: v for k, v in same.items() if k not in ("overall_f1_interval",)} == \
                {k: v for k, v in report.items() if k not in ("overall_f1_interval",)}, (form, same)
        assert re.search(r"^LOC +1\.0000 +1\.0000 +1\.0000 +2$", run("eval", "--gold", gold, "--pred", pred, "--mode", "nested").stdout, re.M)
        other = prodigy("nested-other.jsonl", (bank, []), ("none there", []), ("Ann", []))
        fails(1, r"nested-other\.jsonl:2:\d+: error: the text is not the one of .*nested-gold\.jsonl:2", "eval", "--gold", gold, "--pred", other, "--mode",
              "nested")
        fails(1, r"nested-gold\.jsonl:3:\d+: error: .*ends before this text", "eval", "--gold", gold, "--pred",
              prodigy("nested-short.jsonl", (bank, []), ("none here", [])), "--mode", "nested")
        fails(1, r"conll, a format of tokens", "eval", "--gold", gold, "--pred", DEV, "--mode", "nested")
        fails(2, r"a model predicts no nested spans", "eval", "--model", self.model, "--data", DEV, "--mode", "nested")

    def predictions_are_scored_beside_gold_texts(self):
        gold = self.path("dev-gold.jsonl")
        run("convert", DEV, gold, "--to", "prodigy")
        with open(gold, encoding="utf-8") as file:
            texts = [json.loads(line) for line in file]
        answers = self.predict("--words", "whitespace", "--output", "prodigy", text="\n".join(t["text"] for t in texts)).stdout
        pred = self.write("dev-pred.jsonl", answers)
        triples = [{(i, s["start"], s["end"], s["label"]) for i, record in enumerate(records) for s in record["spans"]}
                   for records in (texts, [json.loads(line) for line in answers.splitlines()])]
        report = json.loads(run("eval", "--gold", gold, "--pred", pred, "--mode", "nested", "--json").stdout)
        assert close(report["overall_f1"], 2 * len(triples[0] & triples[1]) / (len(triples[0]) + len(triples[1]))) and report["overall_f1"] > 0.1

    def the_schemas_of_muc_are_counted(self):
        gold = self.write("muc-gold.conll", "a\tB-X\nb\tI-X\nc\tO\nd\tB-X\ne\tO\nf\tB-Y\ng\tI-Y\n\n")
        pred = self.write("muc-pred.conll", "a\tB-X\nb\tI-X\nc\tO\nd\tB-Y\ne\tB-X\nf\tO\ng\tB-Y\n\n")
        report = json.loads(run("eval", "--gold", gold, "--pred", pred, "--mode", "muc", "--json").stdout)
        counts = {name: [report[name][k] for k in ("correct", "incorrect", "partial", "missed", "spurious")]
                  for name in ("strict", "exact", "partial", "ent_type")}
        assert counts == {"strict": [1, 2, 0, 0, 1], "exact": [2, 1, 0, 0, 1], "partial": [2, 0, 1, 0, 1], "ent_type": [2, 1, 0, 0, 1]}, counts
        assert close(report["partial"]["precision"], 2.5 / 4) and close(report["partial"]["recall"], 2.5 / 3)
        assert report["types"]["Y"]["strict"]["missed"] == 0 and report["types"]["X"]["strict"]["missed"] == 1, report["types"]
        text = run("eval", "--gold", gold, "--pred", pred, "--mode", "muc").stdout
        assert re.search(r"^all types +strict +0\.2500 +0\.3333 +0\.2857 +1 +2 +0 +0 +1$", text, re.M), text

    def an_f1_is_given_with_its_doubt(self):
        worse, better = self.write("worse.conll", ""), self.write("better.conll", "")
        with open(DEV, encoding="utf-8") as file:
            lines = file.read().splitlines()
        for path, every in ((worse, 2), (better, 5)):
            seen, out = 0, []
            for line in lines:
                token, tab, label = line.partition("\t")
                if label.startswith("B-"):
                    seen += 1
                out.append(token + tab + ("O" if label.startswith(("B-", "I-")) and seen % every == 0 else label))
            with open(path, "w", encoding="utf-8") as file:
                file.write("\n".join(out) + "\n")
        report = json.loads(run("eval", "--gold", DEV, "--pred", worse, "--compare", better, "--json").stdout)
        low, high = report["overall_f1_interval"]
        assert low < report["overall_f1"] < high and high - low < 0.3, report
        compared = report["compared"]
        assert close(compared["difference"], compared["overall_f1"] - report["overall_f1"]) and compared["file"] == better
        assert compared["difference_interval"][0] > 0 and compared["bootstrap_p"] == 0 and compared["randomisation_p"] < 0.01, compared
        assert run("eval", "--gold", DEV, "--pred", worse, "--compare", better).stdout == run("eval", "--gold", DEV, "--pred", worse, "--compare",
                                                                                           better).stdout
        none = json.loads(run("eval", "--gold", DEV, "--pred", worse, "--resamples", "0", "--json").stdout)
        assert "overall_f1_interval" not in none and none["overall_f1"] == report["overall_f1"]
        fails(2, r"--compare goes with --gold and --pred", "eval", "--model", self.model, "--data", DEV, "--compare", better)
        fails(2, r"exclude each other", "eval", "--gold", DEV, "--pred", worse, "--compare", better, "--mode", "muc")

    # -- predict
    def predict(self, *arguments, text, code=0):
        return run("predict", "--model", self.model, "--threads", "1", *arguments, input_text=text, code=code)

    def predict_answers_in_order_and_in_every_form(self):
        texts = [f"{name} sang in Oslo for {i} days" for i, name in enumerate(["Anna", "\u00c5se \U0001f642", "Bob"] * 70)]
        whole = [json.loads(line) for line in self.predict(text="\n".join(texts)).stdout.splitlines()]
        assert [answer["text"] for answer in whole] == texts
        jsonl = self.predict("--input", "jsonl", "--json", text="\n\n".join(json.dumps({"text": t, "meta": 1}) for t in texts)).stdout
        assert [json.loads(line) for line in jsonl.splitlines()] == whole
        prodigy = [json.loads(line) for line in self.predict("--output", "prodigy", text="\n".join(texts)).stdout.splitlines()]
        for a, b in zip(whole, prodigy):
            assert [(e["start"], e["end"], e["entity_group"]) for e in a["entities"]] == [(s["start"], s["end"], s["label"]) for s in b["spans"]]
        path = self.write("texts.txt", "\r\n".join(texts) + "\r\n")
        assert [json.loads(line) for line in self.predict(path, text="").stdout.splitlines()] == whole
        pieces = [json.loads(line) for line in self.predict("--aggregation-strategy", "none", text="\n".join(texts)).stdout.splitlines()]
        assert all(set(e) == {"entity", "score", "index", "word", "start", "end"} for answer in pieces for e in answer["entities"])
        assert any(answer["entities"] for answer in whole + pieces), "the model has learnt nothing"

    def predict_answers_while_its_input_stays_open(self):
        with subprocess.Popen([NERSWEEP, "predict", "--model", self.model, "--threads", "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as process:
            for text in (b"Anna sang.", b"Oslo", b""):
                process.stdin.write(text + b"\n")
                process.stdin.flush()
                assert select.select([process.stdout], [], [], 60)[0], "no answer"
                assert json.loads(process.stdout.readline())["text"].encode() == text
            process.stdin.close()
            assert process.wait(60) == 0

    def predict_takes_tokens_from_a_pipe(self):
        with open(DEV, encoding="utf-8") as file:
            text = file.read()
        piped = self.predict("--input", "conll", "--output", "conll", text=text).stdout
        assert piped == self.predict("--input", "conll", "--output", "conll", DEV, text="").stdout
        tokens = [line.split("\t")[0] for line in text.splitlines() if line.strip()]
        assert [line.split("\t")[0] for line in piped.splitlines() if line] == tokens
        result = self.predict("--input", "conll", "--output", "conll", text="Anna\tO\nsang\n\n", code=1)
        assert re.search(r"^standard input:2:\d+: error: ", result.stderr, re.M), result.stderr

    def predict_names_the_line_it_cannot_read(self):
        path = self.write("broken.txt", b"Anna sang\nbro\xffken\nOslo\n")
        result = fails(1, r"broken\.txt:2:1: error: .*UTF-8", "predict", "--model", self.model, path)
        assert [json.loads(line)["text"] for line in result.stdout.splitlines()] == ["Anna sang"]
        result = self.predict("--input", "jsonl", text='{"text": "a"}\n{"text": 1}\n', code=1)
        assert "standard input:2:1: error: " in result.stderr and len(result.stdout.splitlines()) == 1
        result = self.predict("--input", "jsonl", text='{"text": "a"}\n{"text": \n', code=1)
        assert re.search(r"standard input:2:\d+: error: ", result.stderr), result.stderr
        fails(1, r"cannot open .*gone\.txt", "predict", "--model", self.model, self.path("gone.txt"))
        fails(1, r"config\.json", "predict", "--model", self.path("gone"))

    def dev_texts(self):
        with open(DEV, encoding="utf-8") as file:
            blocks = [block for block in file.read().strip().split("\n\n") if not block.startswith("-DOCSTART-")]
        return [" ".join(line.split("\t")[0] for line in block.splitlines()) for block in blocks] + [""]

    def confidence(self, answer):
        return min(entity["score"] for entity in answer["entities"])

    def unsure_texts_are_reviewed_and_sure_ones_are_pseudo_labels(self):
        texts = self.dev_texts()
        answers = [json.loads(line) for line in self.predict(text="\n".join(texts) + "\n").stdout.splitlines()]
        scores = sorted(self.confidence(answer) for answer in answers if answer["entities"])
        assert len(scores) > 20, "the model has learnt nothing"
        minimum = scores[len(scores) // 2]
        review, pseudo = self.path("review.jsonl"), self.path("pseudo.conll")
        result = self.predict("--min-confidence", repr(minimum), "--review", review, "--pseudo-labels", pseudo, text="\n".join(texts) + "\n")
        for before, after in zip(answers, [json.loads(line) for line in result.stdout.splitlines()]):
            assert after["entities"] == [entity for entity in before["entities"] if entity["score"] >= minimum]
        with open(review, encoding="utf-8") as file:
            queue = [json.loads(line) for line in file]
        assert [r["meta"]["confidence"] for r in queue] == sorted(r["meta"]["confidence"] for r in queue)
        for record in queue:
            answer = answers[record["meta"]["number"] - 1]
            assert record["text"] == answer["text"] and "answer" not in record
            assert [(s["start"], s["end"], s["label"], s["score"]) for s in record["spans"]] == \
                [(e["start"], e["end"], e["entity_group"], e["score"]) for e in answer["entities"]]
            assert all(record["tokens"][s["token_start"]]["start"] == s["start"] and record["tokens"][s["token_end"]]["end"] == s["end"]
                       for s in record["spans"])
            assert all(record["text"][t["start"]:t["end"]] == t["text"] for t in record["tokens"])
            assert record["meta"]["confidence"] < minimum
        reviewed = {record["meta"]["number"] for record in queue}
        sentences = pseudo_sentences(pseudo)
        sure = [i for i, answer in enumerate(answers, 1) if i not in reviewed and answer["text"]]
        assert len(sentences) == len(sure) > 10 and len(reviewed) > 10, (len(sentences), len(reviewed))
        assert all(self.confidence(answers[i - 1]) < minimum for i in reviewed if answers[i - 1]["entities"])
        for i, sentence in zip(sure, sentences):
            entities = answers[i - 1]["entities"]
            assert len({weight for _, _, weight in sentence}) == 1, sentence
            assert [token for token, _, _ in sentence if token not in answers[i - 1]["text"]] == []
            assert [label[2:] for _, label, _ in sentence if label.startswith("B-")] == [entity["entity_group"] for entity in entities]
            if entities:
                assert sentence[0][2] == f"{self.confidence(answers[i - 1]):.4f}" and float(sentence[0][2]) >= minimum - 5e-5
            else:
                assert minimum - 5e-5 <= float(sentence[0][2]) <= 1
        read = json.loads(run("stats", pseudo, "--label-column", "2", "--json").stdout)
        assert read["sentences"] == len(sure) and read["spans"] == sum(len(answers[i - 1]["entities"]) for i in sure), read
        assert run("lint", pseudo, "--label-column", "2", "--scheme", "IOB2").stdout == ""
        assert run("lint", pseudo, "--weight-column", "--scheme", "IOB2").stdout == ""
        # What predict has written is what shard takes, weights and all.
        made = json.loads(run("shard", "--train", TRAIN, "--pseudo", pseudo, "--model", self.start, "--out", self.path("with-pseudo"), "--json").stdout)
        train = made["splits"]["train"]
        assert train["pseudo"]["sentences"] == len(sentences), (train, len(sentences))

    def review_files_come_back_through_our_own_readers(self):
        texts = self.dev_texts()
        everything = ["--min-confidence", "1", "--review"]
        prodigy, tasks = self.path("all.jsonl"), self.path("all.json")
        self.predict(*everything, prodigy, text="\n".join(texts))
        self.predict(*everything, tasks, text="\n".join(texts))
        odd = self.path("odd.queue")
        self.predict(*everything, odd, "--review-format", "labelstudio", text="\n".join(texts))
        with open(tasks, "rb") as one, open(odd, "rb") as other:
            assert one.read() == other.read()
        with open(tasks, encoding="utf-8") as file:
            queue = json.load(file)
        order = [task["predictions"][0]["score"] for task in queue]
        assert order == sorted(order) and len(order) > 20
        for task in queue:  # what a person does who accepts everything
            task["annotations"] = [{"result": task.pop("predictions")[0]["result"]}]
        accepted = self.write("accepted.json", json.dumps(queue))
        for source, out in ((prodigy, "from-prodigy.conll"), (accepted, "from-tasks.conll")):
            run("convert", source, self.path(out), "--to", "conll")
        with open(self.path("from-prodigy.conll"), "rb") as one, open(self.path("from-tasks.conll"), "rb") as other:
            converted = one.read()
            assert converted == other.read() and converted.count(b"B-") > 20
        whole = self.predict("--output", "labelstudio", text="\n".join(texts)).stdout
        printed = json.loads(whole)
        assert [task["data"]["text"] for task in printed] == texts[:-1]  # the empty one has no line of its own here
        assert {json.dumps(t["annotations"][0]["result"][0]["value"]) for t in queue if t["annotations"][0]["result"]} <= \
            {json.dumps(r["value"]) for t in printed for r in t["predictions"][0]["result"]}
        assert json.loads(self.predict("--output", "labelstudio", text="").stdout) == []

    def tokens_are_reviewed_as_they_are_and_labelled_only_where_sure(self):
        plain = self.predict("--input", "conll", "--output", "conll", DEV, text="").stdout
        review, pseudo = self.path("tokens.jsonl"), self.path("tokens.conll")
        out = self.predict("--input", "conll", "--output", "conll", DEV, "--review", review, "--pseudo-labels", pseudo, "--min-confidence",
                           "0.9", text="").stdout
        blocks, filtered = plain.strip().split("\n\n"), out.strip().split("\n\n")
        with open(review, encoding="utf-8") as file:
            queue = {record["meta"]["number"]: record for record in map(json.loads, file)}
        sentences = pseudo_sentences(pseudo)
        assert len(queue) > 5 and len(sentences) > 5 and len(queue) + len(sentences) == len(blocks), (len(queue), len(sentences))
        for number, (before, after) in enumerate(zip(blocks, filtered), 1):
            tokens = [line.split("\t")[0] for line in before.splitlines()]
            if number not in queue:
                assert sentences.pop(0)[0][0] == tokens[0] and before == after
                continue
            record = queue[number]
            assert [token["text"] for token in record["tokens"]] == tokens and record["text"] == " ".join(tokens)
            unsure = {i for s in record["spans"] if s["score"] < 0.9 for i in range(s["token_start"], s["token_end"] + 1)}
            for i, (old, new) in enumerate(zip(before.splitlines(), after.splitlines())):
                assert new == (f"{tokens[i]}\tO" if i in unsure else old), (number, i)

    def types_have_minima_of_their_own(self):
        texts = "\n".join(self.dev_texts())
        answers = [json.loads(line) for line in self.predict(text=texts).stdout.splitlines()]
        some = [json.loads(line) for line in self.predict("--min-confidence", "0.5", "--min-confidence-type", "PER=1,LOC=0", "--min-confidence-type",
                                                          "ORG=0.95", text=texts).stdout.splitlines()]
        minima = {"PER": 1, "LOC": 0, "ORG": 0.95, "MISC": 0.5}
        kept = [[e for e in answer["entities"] if e["score"] >= minima[e["entity_group"]]] for answer in answers]
        assert [answer["entities"] for answer in some] == kept and 0 < sum(map(len, kept)) < sum(len(a["entities"]) for a in answers)
        for value, message in (("NONE=0.5", r"the model has no type \"NONE\""), ("PER", r"expected TYPE=MINIMUM"), ("PER=2", r"from 0 to 1"),
                               ("PER=0.5,PER=0.6", r"two minima"), ("=1", r"expected TYPE"), ("PER=0.5,", r"expected TYPE")):
            assert re.search(message, self.predict("--min-confidence-type", value, text="a\n", code=2).stderr), value

    def files_for_annotation_appear_whole_or_not_at_all(self):
        before = sorted(os.listdir(self.folder))
        review, pseudo = self.path("no.jsonl"), self.path("no.conll")
        self.predict("--review", review, "--pseudo-labels", pseudo, "--input", "jsonl", text='{"text": "Anna sang"}\n{"text": 1}\n', code=1)
        assert sorted(os.listdir(self.folder)) == before
        with open("/dev/full", "w", encoding="utf-8") as full:
            result = subprocess.run([NERSWEEP, "predict", "--model", self.model, "--review", review, DEV], stdout=full, stderr=subprocess.PIPE,
                                    text=True, timeout=60, check=False)
        assert result.returncode == 75 and sorted(os.listdir(self.folder)) == before, result
        self.predict("--review", self.path("no/folder.jsonl"), text="a\n", code=1)
        for arguments, message in ((["--review", "x.txt"], r"name it \.jsonl or \.json"), (["--review-format", "prodigy"], r"goes with --review"),
                                   (["--review", "x.json", "--pseudo-labels", "x.json"], r"the same file"),
                                   (["--review", "x.json", "--aggregation-strategy", "none"], r"pieces, not spans"),
                                   (["--pseudo-labels", "x", "--aggregation-strategy", "simple"], r"labels words"),
                                   (["--min-confidence", "-0.5"], r"from 0 to 1"), (["--review", "x", "--review-format", "xml"], r"xml")):
            assert re.search(message, self.predict(*arguments, text="a\n", code=2).stderr), arguments

    def an_interrupt_leaves_no_half_file_for_annotation(self):
        before = sorted(os.listdir(self.folder))
        with subprocess.Popen([NERSWEEP, "predict", "--model", self.model, "--threads", "1", "--review", self.path("cut.jsonl"), "--pseudo-labels",
                               self.path("cut.conll")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdin.write(b"Anna sang.\n")
            process.stdin.flush()
            assert process.stdout.readline().startswith(b"{")
            assert len(os.listdir(self.folder)) == len(before) + 2  # under names of their own until they are whole
            for _ in range(100):  # again, should one come just before the program waits
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(0.5)
                    break
                except subprocess.TimeoutExpired:
                    pass
            assert process.returncode == 130, process.stderr.read()
            assert b"interrupted" in process.stderr.read()
        assert sorted(os.listdir(self.folder)) == before

    def pieces_grouped_into_spans_are_reviewed_as_well(self):
        out = self.predict("--aggregation-strategy", "simple", "--output", "prodigy", text="\n".join(self.dev_texts())).stdout
        spans = [(record, span) for record in map(json.loads, out.splitlines()) for span in record["spans"]]
        assert len(spans) > 20
        for record, span in spans:
            if "token_start" in span:
                assert record["tokens"][span["token_start"]]["start"] == span["start"]
                assert record["tokens"][span["token_end"]]["end"] == span["end"]
        assert any("token_start" not in span for _, span in spans) and any("token_start" in span for _, span in spans)

    def memory_is_bounded_whatever_the_input(self):
        limit = 600_000_000
        command = f"ulimit -v {limit // 1000}; exec '{NERSWEEP}' predict --model '{self.model}' --threads 1"
        with open("/dev/zero", "rb") as endless:  # one line without an end
            result = subprocess.run(["sh", "-c", command], stdin=endless, capture_output=True, text=True, timeout=120, check=False)
        assert result.returncode == 1 and "standard input:1:1: error: the line is longer than 16 MiB" in result.stderr, result.stderr
        lines = "Anna sang in Oslo and Bergen .\n" * 30000
        result = subprocess.run(["sh", "-c", command], input=lines, capture_output=True, text=True, timeout=120, check=False)
        assert result.returncode == 0 and result.stdout.count("\n") == 30000, result.stderr

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


def main():
    folder = tempfile.mkdtemp(prefix="nersweep-cli-")
    cases = [name for name, value in vars(Commands).items() if callable(value) and not name.startswith("_")
             and name not in ("path", "write", "predict", "dev_texts", "confidence")]
    failed = 0
    try:
        commands = Commands(folder)
        for name in cases:
            if sys.argv[1:] and name not in sys.argv[1:]:
                continue
            try:
                getattr(commands, name)()
                print("passed:", name, flush=True)
            except (AssertionError, subprocess.TimeoutExpired) as error:
                failed += 1
                print("FAILED:", name, error, flush=True)
    finally:
        shutil.rmtree(folder)
    print(f"{failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
