#!/usr/bin/env python3
"""scripts/nersweep.sbatch on a real Slurm cluster: whole sweeps over two hosts, disturbed in every way that Slurm knows.

usage: cluster.sh 3 sweep_test.py [SCENARIO...] [--keep]"""
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import support  # noqa: E402

SCRIPT = os.path.join(support.SOURCE, "scripts", "nersweep.sbatch")
BIN = os.path.join(support.BINARY, "bin")
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL")
# Long enough to be disturbed in the middle, and to learn something.
SWEEP = """\
name: {name}
model: {model}
data: {{train: {train}, dev: {{main: {dev}}}, test: {test}, max_seq_length: 64, stride: 16}}
method: grid
seeds: [1, 2]
parameters:
  learning_rate: {{values: [2.0e-3, 4.0e-3]}}
  freeze_schedule: {{value: "embeddings@0.25"}}
  num_train_epochs: {{value: 6}}
  per_device_train_batch_size: {{value: 4}}
resources: {{concurrent_trials: 2, backend: cpu, heartbeat: 0.2, lease: 3}}
storage: {{path: {storage}, save_total_limit: 2}}
"""
SHORT_SWEEP = SWEEP.replace("num_train_epochs: {{value: 6}}", "num_train_epochs: {{value: 2}}")


def poll(condition, seconds, what):
    """Seldom enough to leave the processors to the sweep: each look starts programs."""
    def holds():
        value = condition()
        if not value:
            time.sleep(0.1)
        return value
    return support.wait_for(holds, seconds, what)


class Job:
    """A sweep as a Slurm job over two hosts."""

    def __init__(self, sweep, options=(), environment=None):
        self.sweep, self.log = sweep, sweep + ".out"
        result = slurm("sbatch", "--parsable", "--nodes=2", "--ntasks-per-node=1", "--time=20", f"--output={self.log}",
                       "--open-mode=append", *options, SCRIPT, sweep,
                       environment={"NERSWEEP_BIN": BIN, **(environment or {})})
        self.id = result.strip()

    def show(self):
        fields = slurm("scontrol", "--oneliner", "show", "job", self.id).split(" ")
        return dict(field.split("=", 1) for field in fields if "=" in field)

    def wait_for(self, condition, seconds, what):
        """Until the condition holds; fails at once when the job ends without."""
        def holds():
            ended = self.show()["JobState"] in ENDED
            value = condition()
            assert value or not ended, f"{what}: job {self.id} ended before"
            return value
        return poll(holds, seconds, what)

    def wait_until_ended(self, seconds=90):
        poll(lambda: self.show()["JobState"] in ENDED, seconds, f"the end of job {self.id}")
        return self.show()

    def wait_until_completed(self, seconds=90):
        shown = self.wait_until_ended(seconds)
        assert (shown["JobState"], shown["ExitCode"]) == ("COMPLETED", "0:0"), shown
        wait_until_nothing_is_left()

    def output(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()


def slurm(*arguments, environment=None):
    result = subprocess.run(arguments, capture_output=True, text=True, timeout=60, env={**os.environ, **(environment or {})})
    assert result.returncode == 0, f"{' '.join(arguments)}: exit {result.returncode}: {result.stderr}"
    return result.stdout


def sweep_folder(sweep):
    return support.run("coordinator", sweep, "--show-folder").stdout.strip()


def processes_named(*names):
    """Process ids of the whole cluster: those of the hosts are seen from here."""
    found = []
    for path in glob.glob("/proc/[0-9]*/comm"):
        try:
            with open(path, encoding="utf-8") as file:
                if file.read().strip() in names:
                    found.append(int(path.split("/")[2]))
        except OSError:
            continue
    return found


def wait_until_nothing_is_left():
    poll(lambda: not processes_named("nersweep", "nersweep-worker", "srun", "slurm_script"), 15, "the end of every process of the sweep")


def in_the_middle(sweep):
    """Trials that are assigned and have reported an evaluation, but not the last one."""
    result = support.run("status", sweep, "--json", code=None)
    if result.returncode != 0:
        return []  # not begun yet
    return [trial for trial in json.loads(result.stdout)["trials"]
            if trial["state"] == "running" and trial["evaluations"] and trial["step"] < trial["total_steps"]]


def wait_until_in_the_middle(job):
    job.wait_for(lambda: in_the_middle(job.sweep), 60, "a trial in the middle of its training")


def assert_work_was_in_flight(sweep):
    running = [trial["trial"] for trial in support.status(sweep)["trials"] if trial["state"] == "running"]
    assert running, "no trial was in flight"


def assert_trials_began_again(sweep):
    again = [trial["trial"] for trial in support.status(sweep)["trials"] if trial["attempts"] > 1]
    assert again, "no trial was interrupted"


class Scenarios:
    def __init__(self, folder):
        self.folder = folder
        sweep = support.write_sweep(folder, storage="undisturbed", text=SWEEP)
        support.run("run", sweep)
        self.expected = support.outcome(sweep, folder, "undisturbed-best")
        assert self.expected["state"] == "done" and len(self.expected["trials"]) == 4, self.expected
        assert self.expected["winner"]["score"] > 0, "the sweep learns nothing: its scores prove nothing"

    def write(self, name, text=SWEEP):
        return support.write_sweep(self.folder, storage=name, text=text)

    def assert_outcome(self, sweep, name):
        actual = support.outcome(sweep, self.folder, name + "-best")
        assert actual == self.expected, f"the outcome differs\nexpected {self.expected}\nactual   {actual}"

    def a_job_on_two_hosts_ends_like_a_local_run_and_can_be_watched_from_a_third(self, name):
        job = Job(self.write(name))
        folder = sweep_folder(job.sweep)
        job.wait_for(lambda: os.path.exists(os.path.join(folder, "endpoint.json")), 60, "the endpoint file")
        # Into a file: a pipe that nobody reads would be full before the end.
        with open(job.log + ".watch", "w+", encoding="utf-8") as seen:
            self.watch_from_h3(job, folder, seen)
            lines = [json.loads(line) for line in seen]
        assert lines[-1]["state"] == "done", lines[-1:]
        kinds = [line.get("event") for line in lines]
        assert "reported" in kinds and "trial_ended" in kinds, kinds
        for host in ("h1", "h2"):
            assert f"goes to {host}-" in job.output(), f"no trial went to a worker on {host}"
        assert not os.path.exists(os.path.join(folder, "endpoint.json"))
        self.assert_outcome(job.sweep, name)
        # Nothing is left to do: the same job again changes nothing.
        Job(job.sweep).wait_until_completed()
        self.assert_outcome(job.sweep, name + "-again")

    def watch_from_h3(self, job, folder, seen):
        watch = subprocess.Popen(["on-host", "h3", support.NERSWEEP, "watch", folder, "--json"], stdout=seen)
        def both_work():
            status = json.loads(slurm("on-host", "h3", support.NERSWEEP, "status", folder, "--json"))
            assert status["live"] is True, "status from h3 did not reach the coordinator"
            return {worker["host"] for worker in status["workers"] if worker["trial"] is not None} == {"h1", "h2"}
        job.wait_for(both_work, 60, "a trial on each host, seen from h3")
        with open(os.path.join(folder, "endpoint.json"), encoding="utf-8") as file:
            endpoint = json.load(file)
        # Made by the job itself: nobody had to think of keys.
        assert endpoint["address"].startswith("tcp://h1:") and endpoint["server_key"], endpoint
        assert os.stat(os.path.join(folder, "keys", "worker.key")).st_mode & 0o777 == 0o600
        job.wait_until_completed()
        assert watch.wait(30) == 0, watch.returncode
        seen.seek(0)

    def one_group_spans_both_hosts(self, name):
        job = Job(self.write(name, SHORT_SWEEP), environment={"NERSWEEP_RANKS": "2"})
        job.wait_until_completed()
        status = support.status(job.sweep)
        assert status["state"] == "done" and len(status["trials"]) == 4, status
        assert all(trial["state"] == "completed" and trial["attempts"] == 1 for trial in status["trials"]), status["trials"]
        with open(os.path.join(sweep_folder(job.sweep), "logs", "worker-0.log"), encoding="utf-8") as file:
            assert "2 rank(s)" in file.read()

    def a_killed_worker_is_started_again(self, name):
        job = Job(self.write(name))
        wait_until_in_the_middle(job)
        os.kill(next(iter(processes_named("nersweep-worker"))), signal.SIGKILL)
        assert_work_was_in_flight(job.sweep)
        job.wait_until_completed()
        assert "ended with exit code 137 (failure 1 of 4)" in job.output(), job.output()
        assert_trials_began_again(job.sweep)
        self.assert_outcome(job.sweep, name)

    def what_cannot_work_fails_with_a_message(self, name):
        def fails(expected_code, message, *options, sweep=None, **environment):
            job = Job(sweep or self.write(name, SHORT_SWEEP), options, environment)
            shown = job.wait_until_ended()
            assert (shown["JobState"], shown["ExitCode"]) == ("FAILED", f"{expected_code}:0"), shown
            assert message in job.output(), job.output()
            wait_until_nothing_is_left()

        fails(2, "fewer than the 3 ranks of one group", NERSWEEP_RANKS="3")
        fails(2, "a number from 1 is expected", NERSWEEP_RANKS="two")
        fails(2, "nersweep is not on PATH", NERSWEEP_BIN="")
        fails(1, "s-broken-tiny.yaml:4:", sweep=support.write_sweep(self.folder, storage="s-broken", text=SWEEP.replace("grid", "gird")))
        # No worker ever comes up: the job does not wait for its time limit.
        fails(1, "no worker group is left", NERSWEEP_SRUN="--there-is-no-such-option")

    def a_requeued_job_goes_on(self, name):
        job = Job(self.write(name))
        wait_until_in_the_middle(job)
        slurm("scontrol", "requeue", job.id)
        poll(lambda: job.show()["Restarts"] == "1", 20, "the restart to be counted")
        assert_work_was_in_flight(job.sweep)
        job.wait_until_completed()
        assert_trials_began_again(job.sweep)
        self.assert_outcome(job.sweep, name)

    def before_its_time_limit_a_job_saves_and_requeues_itself(self, name):
        job = Job(self.write(name))
        wait_until_in_the_middle(job)
        # What Slurm sends at --signal=B:USR1@90.
        slurm("scancel", "--batch", "--signal=USR1", job.id)
        poll(lambda: job.show()["Restarts"] == "1", 40, "the job's own requeue")
        assert "the state is saved, and the job goes on" in job.output(), job.output()
        job.wait_until_completed()
        assert_trials_began_again(job.sweep)
        # The workers had said how far they were: nobody had to be missed first.
        assert "no sign of life" not in job.output() and "ended together with" not in job.output(), job.output()
        self.assert_outcome(job.sweep, name)

    def after_scancel_the_same_command_goes_on(self, name):
        job = Job(self.write(name))
        wait_until_in_the_middle(job)
        slurm("scancel", job.id)
        # At once, with the predecessor perhaps still ending.
        again = Job(job.sweep)
        assert job.wait_until_ended()["JobState"] == "CANCELLED"
        again.wait_until_completed()
        assert_trials_began_again(job.sweep)
        self.assert_outcome(job.sweep, name)

    def a_job_whose_first_host_dies_goes_on_elsewhere(self, name):
        job = Job(self.write(name))
        wait_until_in_the_middle(job)
        endpoint = os.path.join(sweep_folder(job.sweep), "endpoint.json")
        slurm("power-off", "h1")
        assert_work_was_in_flight(job.sweep)
        assert os.path.exists(endpoint), "the dead coordinator's endpoint file is what its successor must cope with"
        slurm("scontrol", "update", "nodename=h1", "state=down", "reason=test")
        poll(lambda: job.show()["Restarts"] == "1", 40, "the restart to be counted")
        job.wait_until_completed()
        assert job.show()["NodeList"] == "h[2-3]", job.show()
        assert_trials_began_again(job.sweep)
        self.assert_outcome(job.sweep, name)


# The last one takes a host away.
SCENARIOS = ["a_job_on_two_hosts_ends_like_a_local_run_and_can_be_watched_from_a_third", "one_group_spans_both_hosts",
             "a_killed_worker_is_started_again", "a_requeued_job_goes_on", "before_its_time_limit_a_job_saves_and_requeues_itself",
             "after_scancel_the_same_command_goes_on", "what_cannot_work_fails_with_a_message",
             "a_job_whose_first_host_dies_goes_on_elsewhere"]


def show_logs(folder):
    logs = glob.glob(os.path.join(folder, "*.out")) + glob.glob(os.path.join(folder, "*", "*", "logs", "*.log"))
    for path in sorted(logs) + ["/run/cluster/log/slurmctld"]:
        with open(path, encoding="utf-8", errors="replace") as file:
            print(f"---- {path}\n{file.read()[-6000:]}", flush=True)


def main():
    wanted = [argument for argument in sys.argv[1:] if not argument.startswith("--")] or SCENARIOS
    folder = tempfile.mkdtemp(prefix="nersweep-slurm-")
    try:
        scenarios = Scenarios(folder)
        for number, name in enumerate(wanted):
            started = time.monotonic()
            getattr(scenarios, name)(f"s{number}")
            print(f"passed: {name} ({time.monotonic() - started:.1f} s)", flush=True)
    except Exception:
        show_logs(folder)
        raise
    finally:
        if "--keep" in sys.argv:
            print(folder)
        else:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
