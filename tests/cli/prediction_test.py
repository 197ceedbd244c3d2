#!/usr/bin/env python3
"""Commands that score and predict: eval and predict, with files for annotation and memory's bound.

usage: prediction_test.py [CASE...]"""
import json
import os
import re
import select
import signal
import subprocess
import sys

from command_cases import Commands, DEV, NERSWEEP, TRAIN, close, fails, main, run


def pseudo_sentences(path):
    """[(token, label, weight)] of each sentence."""
    with open(path, encoding="utf-8") as file:
        return [[tuple(line.split("\t")) for line in block.split("\n")] for block in file.read().strip("\n").split("\n\n")]


class Prediction(Commands):
    helpers = ("predict", "dev_texts", "confidence")

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

if __name__ == "__main__":
    sys.exit(main(Prediction))
