#!/usr/bin/env python3
"""The main job on a tiny model: sweep, interruption, readers, pull, predict, eval, train; and that every axis of a sweep really acts."""
import json
import os
import signal
import sys

import support
from support import EXAMPLES, run

TRAIN, DEV, TEST = (os.path.join(EXAMPLES, name + ".conll") for name in ("train", "dev", "test"))
MPI_AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1"}


class Pipeline:
    def __init__(self, folder):
        self.folder = folder
        self.model = support.make_model(folder)
        self.sweep = support.write_sweep(folder, storage="reference")
        run("run", self.sweep)
        self.expected = support.outcome(self.sweep, folder, "reference-best")

    def path(self, name):
        return os.path.join(self.folder, name)

    def one_group_and_four_end_with_the_same_bytes(self):
        for groups in ("1", "4"):
            sweep = support.write_sweep(self.folder, storage="groups" + groups)
            run("run", sweep, "--workers", groups)
            assert support.outcome(sweep, self.folder, "best" + groups) == self.expected

    def two_ranks_score_the_same_trials(self):
        sweep = support.write_sweep(self.folder, storage="ranks")
        run("run", sweep, "--workers", "1", "--ranks", "2", environment=MPI_AS_ROOT)
        now = support.status(sweep)
        assert now["state"] == "done" and all(trial["state"] == "completed" for trial in now["trials"]), now
        for trial, expected in zip(now["trials"], self.expected["trials"]):
            assert trial["parameters"] == expected["parameters"]
            assert abs(trial["evaluations"][0]["train_loss"] - expected["evaluations"][0]["train_loss"]) < 1e-3

    def ctrl_c_saves_and_the_same_command_goes_on(self):
        sweep = support.write_sweep(self.folder, storage="interrupted")
        process = support.start("run", sweep, log=self.path("interrupted.log"))
        support.wait_for(lambda: any(t["step"] > 0 for t in json.loads(run("status", sweep, "--json", code=None).stdout or '{"trials":[]}')["trials"]),
                         60, "a first step")
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(60) == 130, process.returncode
        support.wait_for(lambda: not support.session_processes(process.pid), 20, "orphans")
        run("run", sweep)
        assert support.outcome(sweep, self.folder, "interrupted-best") == self.expected

    def watch_follows_a_sweep_to_its_end(self):
        sweep = support.write_sweep(self.folder, storage="watched")
        process = support.start("run", sweep, log=self.path("watched.log"))
        support.wait_for(lambda: os.path.exists(self.path("watched/tiny/endpoint.json")), 60, "the coordinator")
        out = run("watch", sweep).stdout
        assert process.wait(60) == 0
        assert "done" in out and "best" in out, out
        status = support.status(sweep)
        assert len(status["trials"]) == 4 and status["winner"]["trial"] == self.expected["winner"]["trial"]

    def dry_run_shows_the_plan_and_starts_nothing(self):
        sweep = support.write_sweep(self.folder, storage="dry")
        plan = json.loads(run("run", sweep, "--dry-run", "--json").stdout)
        assert plan["trials"] == 4 and plan["train_sentences"] > 200, plan
        memory = plan["memory"]
        assert memory["assumed_length"] == 64 and memory["pieces"] == 8 * 64 and memory["trainings"] == 2, memory
        assert memory["trainings_bytes"] == 2 * memory["host_bytes"] and memory["options"]["oversample_factor"] == 1.5, memory
        text = run("run", sweep, "--dry-run").stdout
        assert "4 trials, 2 at once" in text and "optimizer's moments" in text and "max_seq_length, 64 pieces" in text, text
        assert not os.path.exists(self.path("dry"))

    def dry_run_plans_by_the_shards_that_are_there(self):
        memory = json.loads(run("run", self.sweep, "--dry-run", "--json").stdout)["memory"]
        assert memory["assumed_length"] is None and 0 < memory["pieces"] < 8 * 64, memory
        assert "as the sweep's shards have it" in run("run", self.sweep, "--dry-run").stdout
        # Another sweep of the name has other shards.
        other = json.loads(run("run", self.sweep, "--dry-run", "--json", "--set", "seeds=[7]").stdout)["memory"]
        assert other["assumed_length"] == 64, other

    def dry_run_counts_all_ranks_of_all_groups(self):
        options = ("--dry-run", "--json", "--ranks", "2", "--workers", "3")
        memory = json.loads(run("run", self.sweep, *options, environment=MPI_AS_ROOT).stdout)["memory"]
        assert memory["host_ranks"] == 2 and memory["trainings"] == 3, memory
        assert 1.5 * memory["total_bytes"] < memory["host_bytes"] < 2.5 * memory["total_bytes"], memory
        assert memory["trainings_bytes"] == 3 * memory["host_bytes"], memory

    def dry_run_plans_in_the_precision_that_would_be_taken(self):
        native = json.loads(run("doctor", "--json", code=None).stdout)["backend"]["bf16"]
        for precision, taken in (("auto", "bf16" if native else "fp32"), ("bf16", "bf16"), ("fp32", "fp32")):
            memory = json.loads(run("run", self.sweep, "--dry-run", "--json", "--set", f"resources.precision={precision}").stdout)["memory"]
            assert memory["precision"] == taken, memory

    def dry_run_refuses_what_does_not_fit(self):
        refused = run("run", self.sweep, "--dry-run", "--json", "--set", "resources.memory_limit=1M", code=1)
        assert "memory_limit allows 1 MB" in refused.stderr and refused.stdout == "", refused

    def best_ranks_configurations(self):
        best = json.loads(run("best", self.sweep, "--json").stdout)
        means = [row["mean"] for row in best["ranking"]]
        assert means == sorted(means, reverse=True) and len(means) == 4
        assert best["winner"]["score"] == means[0]

    def journal_is_shown_packed_and_read_again(self):
        before = run("best", self.sweep, "--json").stdout
        dump = [json.loads(line) for line in run("journal", "dump", self.sweep).stdout.splitlines()]
        assert [record["sequence"] for record in dump] == list(range(1, len(dump) + 1))
        kinds = {record["record"] for record in dump}
        assert {"sweep_opened", "epoch_opened", "trial_created", "assigned", "reported", "trial_ended", "sweep_ended"} <= kinds, kinds
        assert "removed" in run("journal", "compact", self.sweep, "--keep", "0").stdout
        assert json.loads(run("journal", "check", self.sweep, "--json").stdout)["next_sequence"] == len(dump) + 1
        assert [json.loads(line) for line in run("journal", "dump", self.sweep).stdout.splitlines()] == dump
        assert run("best", self.sweep, "--json").stdout == before

    def eval_of_the_pulled_model_gives_the_reported_score(self):
        out = self.path("reference-best")
        scores = json.loads(run("eval", "--model", out, "--data", "main=" + DEV, "--data", "test=" + TEST, "--json").stdout)
        assert abs(scores["main"]["overall_f1"] - self.expected["winner"]["score"]) < 1e-9, scores
        assert abs(scores["test"]["overall_f1"] - self.expected["winner"]["test"]["f1"]) < 1e-9, scores

    def predict_streams_texts_and_tokens(self):
        out = self.path("reference-best")
        lines = run("predict", "--model", out, input_text="Anna sang in Oslo.\n\nÅse 🙂 met U.S. envoys\n").stdout.splitlines()
        assert len(lines) == 3, lines
        for line, text in zip(lines, ["Anna sang in Oslo.", "", "Åse 🙂 met U.S. envoys"]):
            answer = json.loads(line)
            assert answer["text"] == text
            for entity in answer["entities"]:
                assert text[entity["start"]:entity["end"]] == entity["word"] and 0 < entity["score"] <= 1
        conll = run("predict", "--model", out, "--input", "conll", "--output", "conll", DEV).stdout
        predicted = self.path("predicted.conll")
        with open(predicted, "w", encoding="utf-8") as file:
            file.write(conll)
        report = json.loads(run("eval", "--gold", DEV, "--pred", predicted, "--json").stdout)
        assert abs(report["overall_f1"] - self.expected["winner"]["score"]) < 1e-9, report
        assert run("predict", "--model", out, "--min-confidence", "1", input_text="Anna sang.\n").stdout.count("entity_group") == 0
        run("predict", "--model", out, "--input", "jsonl", code=1, input_text='{"text": "ok"}\n{"no": 1}\n')

    def train_goes_on_where_it_was_interrupted(self):
        common = ["train", "--model", self.model, "--train", TRAIN, "--dev", "main=" + DEV, "--max-seq-length", "64", "--stride", "8",
                  "--num-train-epochs", "6", "--learning-rate", "3e-3", "--per-device-train-batch-size", "8", "--seed", "5"]
        first = json.loads(run(*common, "--out", self.path("whole"), "--json").stdout)
        assert len(first["evaluations"]) == 6 and first["best"]["dev"]["main"]["f1"] > 0 and first["real_tokens_per_s"] > 0, first
        process = support.start(*common, "--out", self.path("broken"), log=self.path("broken.log"),
                                environment={"NERSWEEP_FAULT": "nersweep-worker@worker.mid_step:130:kill"})
        assert process.wait(120) != 0
        second = json.loads(run(*common, "--out", self.path("broken"), "--json").stdout)
        assert second["best"]["dev"] == first["best"]["dev"]
        names = [n for n in os.listdir(self.path("whole")) if n != ".nersweep"]
        assert "model.safetensors" in names
        for name in names:
            with open(self.path("whole/" + name), "rb") as a, open(self.path("broken/" + name), "rb") as b:
                assert a.read() == b.read(), name

    def every_axis_changes_the_weights(self):
        base = ["train", "--model", self.model, "--train", TRAIN, "--dev", DEV, "--max-seq-length", "64", "--stride", "8",
                "--num-train-epochs", "1", "--learning-rate", "1e-3", "--per-device-train-batch-size", "16", "--no-eval"]
        axes = {"learning-rate": ["--learning-rate", "2e-3"], "warm-up": ["--warmup-ratio", "0.3"],
                "freezing": ["--freeze-schedule", "embeddings+1@0.5"], "oversampling": ["--oversample-factor", "2"],
                "seed": ["--seed", "7"], "decay": ["--weight-decay", "0.1"], "schedule": ["--lr-scheduler-type", "cosine"],
                "smoothing": ["--label-smoothing-factor", "0.1"], "clipping": ["--max-grad-norm", "0.01"],
                "accumulation": ["--gradient-accumulation-steps", "2"], "dropout": ["--hidden-dropout", "0.3"]}
        seen = {}
        for name, flags in {"base": [], **axes}.items():
            arguments = list(base)
            if flags and flags[0] in arguments:
                at = arguments.index(flags[0])
                del arguments[at:at + 2]
            out = self.path("axis-" + name)
            run(*arguments, *flags, "--out", out)
            digest = support.file_hashes_of(out, ["model.safetensors"])["model.safetensors"]
            assert digest not in seen, f"{name} and {seen.get(digest)} end with the same weights"
            seen[digest] = name

    def oversampling_is_in_the_plan(self):
        shards = self.path("reference/tiny/shards")
        lines = [run("inspect", shards, "--plan", "--per-device-train-batch-size", "16", "--n", "1000", "--json", *more).stdout.splitlines()
                 for more in ([], ["--oversample-factor", "2"])]
        counts = []
        for text in lines:
            windows = [w for line in text for w in json.loads(line)["windows"]]
            counts.append({w: windows.count(w) for w in windows})
        assert set(counts[0].values()) == {1}
        assert set(counts[1].values()) == {1, 2} and set(counts[1]) == set(counts[0])

    def inspect_prints_pieces_beside_labels(self):
        out = run("inspect", self.path("reference/tiny/shards"), "--n", "2", "--vocab", os.path.join(self.model, "vocab.txt")).stdout
        assert "[CLS]" in out and "-100" in out and "##" in out and out.count("# window") == 2, out

    def stats_count_the_examples(self):
        stats = json.loads(run("stats", TRAIN, "--json").stdout)
        with open(TRAIN, encoding="utf-8") as file:
            text = file.read()
        assert stats["sentences"] == len([s for s in text.split("\n\n") if s.strip()]), stats
        assert stats["tokens"] == sum(1 for line in text.splitlines() if line.strip())
        assert stats["spans"] == text.count("\tB-")

    def random_search_repeats_itself(self):
        text = support.SWEEP.replace("method: grid", "method: random\nrun_cap: 3\nsearch_seed: 9").replace(
            "{{values: [3.0e-3, 6.0e-3]}}", "{{distribution: log_uniform_values, min: 1.0e-3, max: 1.0e-2}}").replace("seeds: [1]", "seeds: [1, 2]")
        seen = []
        for storage in ("random1", "random2"):
            sweep = support.write_sweep(self.folder, storage=storage, text=text)
            run("run", sweep)
            seen.append(support.outcome(sweep, self.folder, storage + "-best"))
        assert seen[0] == seen[1]
        assert len(seen[0]["trials"]) == 6 and len({t["parameters"]["learning_rate"] for t in seen[0]["trials"]}) == 3

    def doctor_finds_this_machine(self):
        found = json.loads(run("doctor", "--json", code=None).stdout)
        assert found["backend"]["ok"] and found["worker"]["ok"] and found["mpi"]["ok"], found


if __name__ == "__main__":
    sys.exit(support.run_cases(Pipeline, helpers=("path",)))
