#!/usr/bin/env python3
"""Searches that look back, with real training: paused trials go on from their checkpoints with the same bits, and in the logical order neither
the number of worker groups nor a kill changes a byte of the outcome."""
import json
import os
import shutil
import sys
import tempfile

import support
from support import run

LOGICAL = """\
method: tpe
order: logical
search: {{startup_trials: 3, lag: 1}}
early_terminate: {{type: asha, min_iter: 1, eta: 2}}
"""
ARRIVAL = """\
method: random
early_terminate: {{type: asha, min_iter: 1, eta: 2}}
"""
PLAIN = "method: random\n"
PARAMETERS = """\
run_cap: 6
parameters:
  learning_rate: {{distribution: log_uniform_values, min: 1.0e-4, max: 1.0e-2}}
  lr_scheduler_type: {{values: [linear, cosine]}}
  warmup_steps: {{min: 1, max: 8, when: {{lr_scheduler_type: linear}}}}
  num_train_epochs: {{value: 4}}
  per_device_train_batch_size: {{value: 8}}
"""


def sweep_text(search):
    head, rest = support.SWEEP.split("method: grid\n")
    metric, resources = rest.split("parameters:")[0], rest[rest.index("resources:"):]
    return head + search + metric + PARAMETERS + resources


def write(folder, search, name, **more):
    return support.write_sweep(folder, storage=name, text=sweep_text(search), **more)


def the_logical_order_is_the_same_bytes_whatever_happens(folder):
    sweep = write(folder, LOGICAL, "logical")
    run("run", sweep)
    expected = support.outcome(sweep, folder, "logical-best")
    states = [trial["state"] for trial in expected["trials"]]
    assert expected["state"] == "done" and "stopped" in states and "completed" in states, states
    for groups in ("1", "3"):
        again = write(folder, LOGICAL, "groups" + groups)
        run("run", again, "--workers", groups)
        assert support.outcome(again, folder, "groups-best" + groups) == expected, groups
    for point, nth in (("coordinator.before_acknowledge", 9), ("coordinator.before_journal", 12), ("journal.before_fsync", 15)):
        name = f"{point}-{nth}".replace(".", "_")
        killed = write(folder, LOGICAL, name)
        fault = {"NERSWEEP_FAULT": f"nersweep@{point}:{nth}:kill", "NERSWEEP_FAULT_ONCE": os.path.join(folder, name + ".reached")}
        process = support.start("run", killed, environment=fault, log=os.path.join(folder, name + ".log"))
        try:
            assert process.wait(120) == -9, process.returncode
            support.wait_for(lambda: not support.session_processes(process.pid), 30, "orphans")
            run("run", killed)
        finally:
            support.kill_session(process.pid)
        assert support.outcome(killed, folder, name + "-best") == expected, point


def a_paused_trial_goes_on_with_the_same_bits(folder):
    """Every evaluation is what the same trial has without early termination, also across a pause; what was stopped can be pulled."""
    plain, paused = write(folder, PLAIN, "plain"), write(folder, ARRIVAL, "paused")
    run("run", plain)
    run("run", paused, "--workers", "1", "--set", "storage.save_total_limit=1")
    whole, cut = support.status(plain)["trials"], support.status(paused)["trials"]
    assert len(whole) == len(cut) == 6
    resumed = stopped = 0
    for left, right in zip(whole, cut):
        assert left["parameters"] == right["parameters"] and len(left["evaluations"]) == 4
        assert right["state"] in ("completed", "stopped"), right
        keys = ("step", "train_loss", "score", "learning_rate")
        for a, b in zip(left["evaluations"], right["evaluations"]):
            assert [a[key] for key in keys] == [b[key] for key in keys], (a, b)
        if right["state"] == "stopped":
            stopped += 1
            run("pull", paused, "--trial", str(right["trial"]), "--out", os.path.join(folder, f"stopped-{right['trial']}"))
        resumed += right["attempts"] > 1 and len(right["evaluations"]) > 1
    assert resumed and stopped, (resumed, stopped)
    winner = support.status(paused)["winner"]["trial"]
    for name, sweep in (("plain-winner", plain), ("paused-winner", paused)):
        run("pull", sweep, "--trial", str(winner), "--out", os.path.join(folder, name))
    if cut[winner]["state"] == "completed":
        assert support.file_hashes(os.path.join(folder, "plain-winner")) == support.file_hashes(os.path.join(folder, "paused-winner"))


def what_mattered_is_said(folder):
    plain = os.path.join(folder, "plain-tiny.yaml")
    importance = json.loads(run("best", plain, "--importance", "--json").stdout)["importance"]
    assert importance["method"] == "fanova" and importance["configurations"] == 6, importance
    assert {row["parameter"] for row in importance["parameters"]} == {"learning_rate", "lr_scheduler_type"}, importance
    assert importance["parameters"][0]["parameter"] == "learning_rate", importance
    assert "learning_rate" in run("best", plain, "--importance").stdout
    paused = os.path.join(folder, "paused-tiny.yaml")  # one or two of its trials were trained to their end
    assert "configurations were trained to their end" in run("best", paused, "--importance", code=1).stderr


def an_earlier_sweep_is_learnt_from(folder):
    earlier = os.path.join(folder, "plain", "tiny")
    sweep = write(folder, "method: tpe\nsearch: {{startup_trials: 6}}\nwarm_start: [" + earlier + "]\n", "warm")
    run("run", sweep, "--set", "run_cap=2")
    now = support.status(sweep)
    assert now["state"] == "done" and len(now["trials"]) == 2, now
    os.rename(earlier, earlier + "-gone")  # what was learnt is in the journal: the sweep can be gone on with
    run("run", sweep, "--set", "run_cap=3")
    assert len(support.status(sweep)["trials"]) == 3
    assert "a folder that warm_start names is gone" in run("run", sweep, "--new", code=1).stderr
    fresh = write(folder, "method: tpe\nsearch: {{startup_trials: 6}}\n", "fresh")
    run("run", fresh, "--set", "run_cap=1")
    assert support.status(fresh)["trials"][0]["parameters"] != now["trials"][0]["parameters"]


def main():
    folder = tempfile.mkdtemp(prefix="nersweep-search-")
    try:
        for test in (the_logical_order_is_the_same_bytes_whatever_happens, a_paused_trial_goes_on_with_the_same_bits,
                     what_mattered_is_said, an_earlier_sweep_is_learnt_from):
            test(folder)
            print("passed:", test.__name__, flush=True)
    finally:
        if "--keep" not in sys.argv:
            shutil.rmtree(folder)
        else:
            print(folder)


if __name__ == "__main__":
    main()
