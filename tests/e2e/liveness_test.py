#!/usr/bin/env python3
"""Dead and hung ranks of real mpirun groups: found, ended and started again in time, and nothing is left of them.

usage: liveness_test.py [ROUNDS] [--full-length]
All times are a tenth of what is promised: found within 3 s (30), at work again within 6 s (60). --full-length: the promised ones."""
import os
import re
import shutil
import signal
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import support  # noqa: E402

ENVIRONMENT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1",
               "OMPI_MCA_mpi_yield_when_idle": "1"}
SWEEP = """\
name: {name}
model: {model}
data: {{train: {train}, dev: {{main: {dev}}}, test: {test}, max_seq_length: 64, stride: 16}}
method: grid
max_retries: 1000
parameters:
  learning_rate: {{value: 1.0e-4}}
  num_train_epochs: {{value: 10000}}
  per_device_train_batch_size: {{value: 4}}
  eval_every_epochs: {{value: 0.2}}
resources: {{ranks_per_trial: 2, threads_per_rank: 1, concurrent_trials: 1, backend: cpu, heartbeat: 0.2, lease: LEASE, hang: HANG}}
storage: {{path: {storage}, save_total_limit: 2}}
"""
# A signal for rank 0, for rank 1. A stopped rank keeps the other one in a collective that never returns.
STRIKES = [("rank 1 stopped", {1: signal.SIGSTOP}), ("rank 0 killed", {0: signal.SIGKILL}), ("rank 0 stopped", {0: signal.SIGSTOP}),
           ("rank 1 killed", {1: signal.SIGKILL}), ("both stopped", {0: signal.SIGSTOP, 1: signal.SIGSTOP})]


class Log:
    """The coordinator's log, each line with the time at which it was seen."""

    def __init__(self, path):
        self.path, self.position, self.rest = path, 0, ""
        self.lines = []

    def read(self):
        with open(self.path, encoding="utf-8", errors="replace") as file:
            file.seek(self.position)
            text = self.rest + file.read()
            self.position = file.tell()
        *whole, self.rest = text.split("\n")
        self.lines += [(time.monotonic(), line) for line in whole]

    def wait_for(self, pattern, start, seconds, what):
        """Time and index of the first line from start on that has the pattern."""
        end = time.monotonic() + seconds
        seen = start
        while True:
            self.read()
            for index in range(seen, len(self.lines)):
                if re.search(pattern, self.lines[index][1]):
                    return self.lines[index][0], index
            seen = len(self.lines)
            if time.monotonic() > end:
                raise AssertionError(f"{what}: not within {seconds} s; the log's end:\n" + "\n".join(l for _, l in self.lines[-15:]))
            time.sleep(0.01)


def ranks_of(session):
    """Rank by process id of the workers that run."""
    found = {}
    for pid in support.session_processes(session):
        try:
            with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                name = file.read().strip()
            with open(f"/proc/{pid}/environ", encoding="utf-8", errors="replace") as file:
                rank = re.search(r"OMPI_COMM_WORLD_RANK=(\d+)", file.read())
        except OSError:
            continue
        if name == "nersweep-worker" and rank:
            found[pid] = int(rank.group(1))
    return found


class Run:
    def __init__(self, folder, name, scale, environment=None):
        text = SWEEP.replace("LEASE", f"{10 * scale:g}").replace("HANG", f"{18 * scale:g}")
        self.scale = scale
        self.sweep = support.write_sweep(folder, storage=name, text=text)
        self.log = Log(self.sweep + ".log")
        self.process = support.start("run", self.sweep, environment={**ENVIRONMENT, **(environment or {})}, log=self.log.path)

    def wait_until_at_work(self, start):
        """A report of the group that works now: so far it has got on."""
        return self.log.wait_for(r"trial 0: step \d+/", start, 60, "a report")[1] + 1

    def assert_recovered(self, struck, start, old, what):
        found, _ = self.log.wait_for(r"trial 0: attempt ended: ", start, 30 * self.scale + 3, f"{what}: the end of the attempt")
        again, index = self.log.wait_for(r"trial 0 goes to ", start, 60 * self.scale + 6, f"{what}: the next attempt")
        assert found - struck <= 30 * self.scale, f"{what}: found after {found - struck:.2f} s"
        assert again - struck <= 60 * self.scale, f"{what}: at work again after {again - struck:.2f} s"
        left = set(old) & set(ranks_of(self.process.pid))
        assert not left, f"{what}: {left} are still there"
        print(f"passed: {what}: found after {found - struck:.2f} s, at work again after {again - struck:.2f} s", flush=True)
        return index

    def strike(self, number):
        what, signals = STRIKES[number % len(STRIKES)]
        start = self.wait_until_at_work(len(self.log.lines))
        old = ranks_of(self.process.pid)
        assert sorted(old.values()) == [0, 1], old
        struck = time.monotonic()
        for pid, rank in old.items():
            if rank in signals:
                os.kill(pid, signals[rank])
        self.assert_recovered(struck, start, old, what)

    def end(self):
        self.log.read()
        end = len(self.log.lines)
        self.wait_until_at_work(end)  # whatever was done to it, it works
        os.kill(self.process.pid, signal.SIGTERM)
        assert self.process.wait(60) == 130, self.process.returncode
        support.wait_for(lambda: not support.session_processes(self.process.pid), 10, "the end of every process")


def an_endless_step_is_ended(folder, scale):
    once, reached = os.path.join(folder, "once"), os.path.join(folder, "reached")
    run = Run(folder, "endless", scale, {"NERSWEEP_FAULT": "nersweep-worker@worker.mid_step:40:hang", "NERSWEEP_FAULT_ONCE": once,
                                         "NERSWEEP_FAULT_LOG": reached})
    try:
        support.wait_for(lambda: os.path.exists(reached), 60, "the endless step")
        struck = time.monotonic()
        run.log.read()
        run.assert_recovered(struck, len(run.log.lines), ranks_of(run.process.pid), "a step that never ends")
        run.end()
    finally:
        support.kill_session(run.process.pid)


def ranks_are_found_and_started_again(folder, scale, rounds):
    run = Run(folder, "strikes", scale)
    try:
        for number in range(rounds):
            run.strike(number)
        run.end()
    finally:
        support.kill_session(run.process.pid)


def main():
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    rounds = int(arguments[0]) if arguments else 5
    scale = 1 if "--full-length" in sys.argv else 0.1
    folder = tempfile.mkdtemp(prefix="nersweep-liveness-")
    try:
        an_endless_step_is_ended(folder, scale)
        ranks_are_found_and_started_again(folder, scale, rounds)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
