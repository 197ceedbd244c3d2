#!/usr/bin/env python3
"""Kills the coordinator, a worker, or everything at each named fault point of a sweep; the same command again ends with the same bytes.

usage: kill_test.py FOLDER [--points NAME,...]"""
import os
import shutil
import sys
import tempfile

import support

# (program that is killed, fault point, which time it is reached, "one": that process, "all": the whole session)
CASES = [
    ("nersweep", "journal.before_write", 6, "one"),
    ("nersweep", "journal.before_fsync", 7, "one"),
    ("nersweep", "journal.after_fsync", 8, "one"),
    ("nersweep", "coordinator.before_journal", 6, "one"),
    ("nersweep", "coordinator.before_acknowledge", 5, "one"),
    ("nersweep", "coordinator.after_acknowledge", 5, "one"),
    ("nersweep", "coordinator.assigned", 3, "one"),
    ("nersweep-worker", "worker.mid_step", 9, "one"),
    ("nersweep-worker", "worker.evaluating", 1, "one"),
    ("nersweep-worker", "worker.before_checkpoint", 2, "one"),
    ("nersweep-worker", "file.temporary_written", 3, "one"),
    ("nersweep-worker", "file.before_rename", 4, "one"),
    ("nersweep-worker", "file.after_rename", 2, "one"),
    ("nersweep-worker", "store.objects_written", 2, "one"),
    ("nersweep-worker", "store.manifest_written", 2, "one"),
    ("nersweep-worker", "worker.checkpoint_written", 1, "one"),
    ("nersweep-worker", "worker.before_report", 2, "one"),
    ("nersweep-worker", "worker.after_report", 1, "one"),
    ("nersweep-worker", "worker.mid_step", 25, "all"),
    ("nersweep-worker", "worker.evaluating", 2, "all"),
    ("nersweep-worker", "file.before_rename", 6, "all"),
    ("nersweep-worker", "worker.after_report", 2, "all"),
    ("nersweep", "coordinator.before_acknowledge", 9, "all"),
]


def in_flight(sweep):
    """Trials that were assigned and have not ended, as the journal has it."""
    return [trial for trial in support.status(sweep)["trials"] if trial["state"] == "running"]


def disturb(folder, program, point, nth, scope):
    """One sweep with one kill; afterwards the same command goes on. The outcome."""
    name = f"{program}-{point}-{nth}-{scope}".replace(".", "_")
    sweep = support.write_sweep(folder, storage=name)
    reached = os.path.join(folder, name + ".reached")
    action = "stop" if scope == "all" else "kill"
    environment = {"NERSWEEP_FAULT": f"{program}@{point}:{nth}:{action}", "NERSWEEP_FAULT_ONCE": reached}
    process = support.start("run", sweep, environment=environment, log=os.path.join(folder, name + ".log"))
    try:
        support.wait_for(lambda: os.path.exists(reached) or process.poll() is not None, 120, f"{name}: the fault point")
        assert os.path.exists(reached), f"{name}: the sweep ended with {process.poll()} before the fault point was reached"
        if scope == "all":
            support.kill_session(process.pid)
            process.wait(30)
        elif program == "nersweep":
            process.wait(30)
            assert process.returncode == -9, f"{name}: exit {process.returncode}"
        if scope == "all" or program == "nersweep":
            support.wait_for(lambda: not support.session_processes(process.pid), 20, f"{name}: orphans {support.session_processes(process.pid)}")
            assert in_flight(sweep), f"{name}: nothing was in flight when it was killed"
            support.run("run", sweep)
        else:
            process.wait(240)
            assert process.returncode == 0, f"{name}: a killed worker ended the sweep with {process.returncode}"
            ended = support.status(sweep)["trials"]
            assert any(trial["attempts"] > 1 for trial in ended), f"{name}: no trial was in flight when the worker was killed"
    finally:
        support.kill_session(process.pid)
    return support.outcome(sweep, folder, name + "-best")


def main():
    folder = tempfile.mkdtemp(prefix="nersweep-kill-")
    wanted = sys.argv[sys.argv.index("--points") + 1].split(",") if "--points" in sys.argv else None
    passed = failed = 0
    try:
        sweep = support.write_sweep(folder, storage="undisturbed")
        support.run("run", sweep)
        expected = support.outcome(sweep, folder, "undisturbed-best")
        assert expected["state"] == "done" and len(expected["trials"]) == 4, expected
        # A finished sweep has nothing left to do: the same command changes nothing.
        support.run("run", sweep)
        assert support.outcome(sweep, folder, "again-best") == expected
        for case in CASES:
            if wanted and case[1] not in wanted:
                continue
            try:
                actual = disturb(folder, *case)
                assert actual == expected, f"{case}: the outcome differs\nexpected {expected}\nactual   {actual}"
                passed += 1
                print("passed:", *case, flush=True)
            except AssertionError as error:
                failed += 1
                print("FAILED:", *case, error, flush=True)
    finally:
        if "--keep" not in sys.argv:
            shutil.rmtree(folder)
        else:
            print(folder)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
