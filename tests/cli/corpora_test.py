#!/usr/bin/env python3
"""Commands that look at corpora and cut them up: lint, stats, convert, tokenize, shard, inspect.

usage: corpora_test.py [CASE...]"""
import html.parser
import json
import os
import re
import signal
import subprocess
import sys
import time

from command_cases import Commands, DEV, NERSWEEP, TEST, TRAIN, close, fails, main, on_terminal, run


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


class Corpora(Commands):
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

if __name__ == "__main__":
    sys.exit(main(Corpora))
