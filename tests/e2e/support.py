"""What the end-to-end tests share: the programs, a tiny model, a sweep over examples/, and comparisons of whole sweeps."""
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SOURCE = os.environ.get("NERSWEEP_SOURCE_DIR") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BINARY = os.environ.get("NERSWEEP_BINARY_DIR") or os.path.join(SOURCE, "build", "release")
NERSWEEP = os.path.join(BINARY, "bin", "nersweep")
EXAMPLES = os.path.join(SOURCE, "examples")

sys.path.insert(0, os.path.dirname(__file__))
import tiny_model  # noqa: E402

SWEEP = """\
name: {name}
model: {model}
data: {{train: {train}, dev: {{main: {dev}}}, test: {test}, max_seq_length: 64, stride: 16}}
method: grid
metric: {{name: f1, goal: maximize, dataset: main}}
seeds: [1]
parameters:
  learning_rate: {{values: [3.0e-3, 6.0e-3]}}
  oversample_factor: {{values: [1, 1.5]}}
  freeze_schedule: {{value: "embeddings@0.5"}}
  num_train_epochs: {{value: 6}}
  per_device_train_batch_size: {{value: 8}}
  eval_every_epochs: {{value: 2}}
  warmup_ratio: {{value: 0.1}}
resources: {{ranks_per_trial: 1, threads_per_rank: 1, concurrent_trials: 2, backend: cpu, precision: fp32, heartbeat: 0.2, lease: 5}}
storage: {{path: {storage}, save_total_limit: 2}}
"""


def make_model(folder):
    path = os.path.join(folder, "model")
    if not os.path.exists(os.path.join(path, "model.safetensors")):
        tiny_model.write_model(path, EXAMPLES)
    return path


def write_sweep(folder, name="tiny", storage="runs", text=SWEEP, **overrides):
    values = dict(name=name, model=make_model(folder), storage=os.path.join(folder, storage),
                  train=os.path.join(EXAMPLES, "train.conll"), dev=os.path.join(EXAMPLES, "dev.conll"),
                  test=os.path.join(EXAMPLES, "test.conll"))
    values.update(overrides)
    path = os.path.join(folder, f"{storage}-{name}.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.format(**values))
    return path


def run(*arguments, code=0, environment=None, timeout=300, input_text=None):
    """Runs nersweep and checks its exit code (None: any); the finished process."""
    result = subprocess.run([NERSWEEP, *arguments], capture_output=True, text=True, timeout=timeout, input=input_text,
                            env={**os.environ, **(environment or {})})
    if code is not None and result.returncode != code:
        raise AssertionError(f"nersweep {' '.join(arguments)}: exit {result.returncode}, expected {code}\n{result.stdout[-2000:]}\n"
                             f"{result.stderr[-4000:]}")
    return result


def start(*arguments, environment=None, log=None):
    """Starts nersweep in a session of its own, so that everything it starts can be found again."""
    out = open(log, "ab") if log else subprocess.DEVNULL
    try:
        return subprocess.Popen([NERSWEEP, *arguments], stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
                                env={**os.environ, **(environment or {})})
    finally:
        if log:
            out.close()


def session_processes(session):
    """Process ids of a session that still live."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    fields = file.read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(int(name))
    return found


def kill_session(session):
    for pid in session_processes(session):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what}: not within {seconds} s")


def status(sweep):
    return json.loads(run("status", sweep, "--json").stdout)


def file_hashes(folder):
    return file_hashes_of(folder, sorted(os.listdir(folder)))


def file_hashes_of(folder, names):
    hashes = {}
    for name in names:
        with open(os.path.join(folder, name), "rb") as file:
            hashes[name] = hashlib.sha256(file.read()).hexdigest()
    return hashes


def outcome(sweep, folder, name):
    """All that must be the same whatever happened on the way: trials, scores, winner and the best checkpoint's bytes."""
    now = status(sweep)
    trials = [{key: trial.get(key) for key in ("trial", "configuration", "seed", "state", "parameters", "best_score", "best_step")}
              | {"evaluations": [{k: v for k, v in e.items() if k != "checkpoint"} for e in trial["evaluations"]]}
              for trial in now["trials"]]
    out = os.path.join(folder, name)
    run("pull", sweep, "--out", out)
    winner = {key: now["winner"][key] for key in ("trial", "score", "test")}
    ranking = [{k: v for k, v in row.items()} for row in now["ranking"]]
    assert now["winner"]["score"] > 0.05, "a model that learnt nothing compares nothing"
    return {"state": now["state"], "trials": trials, "winner": winner, "ranking": ranking, "files": file_hashes(out)}


def run_cases(suite, helpers=()):
    """Makes a suite of a temporary folder and calls its methods one after another, in the order of the file, but for helpers and those whose names
    begin with an underscore; given names alone where the program has some. --keep keeps the folder. Returns the exit code."""
    folder = tempfile.mkdtemp(prefix=f"nersweep-{suite.__name__.lower()}-")
    cases = [name for name, value in vars(suite).items() if callable(value) and not name.startswith("_") and name not in helpers]
    wanted = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    passed = failed = 0
    started = time.monotonic()
    try:
        made = suite(folder)
        for name in cases:
            if wanted and name not in wanted:
                continue
            try:
                getattr(made, name)()
                passed += 1
                print(f"passed: {name} ({time.monotonic() - started:.0f} s)", flush=True)
            except (AssertionError, subprocess.TimeoutExpired) as error:
                failed += 1
                print("FAILED:", name, error, flush=True)
    finally:
        if "--keep" in sys.argv:
            print(folder)
        else:
            shutil.rmtree(folder)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0
