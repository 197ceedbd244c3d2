#!/usr/bin/env python3
"""Takes one safeguard out of the program at a time, in a copy, and shows that some test then fails. Run by hand: minutes.

usage: mutations.py SOURCE_DIR [NAME...]

Each mutation is a text that stands exactly once in a file, what it becomes, and the tests that are to notice. It fails when a text is no longer
there, when the mutated program cannot be built, or when all of the tests pass."""
import os
import shutil
import subprocess
import sys
import tempfile

# name: (file, text, what it becomes, tests of which one must fail)
MUTATIONS = {
    "the fence": ("coordinator/core_work.c", "core->trials.items[id.trial].work.fence == id.fence", "core->trials.items[id.trial].work.fence >= id.fence",
                  ["coordinator_core", "coordinator_simulation"]),
    "the sync of a batch": ("core/store/journal.c", "    TRY(file_fsync(journal->fs, journal->file, journal->path, diagnostic));\n    if (fault_point(\"journal.after_fsync\"))",
                            "    if (fault_point(\"journal.after_fsync\"))", ["core_store_power_cut"]),
    "the checksum of a record": ("core/store/journal_segment.c", """ &&
           segment_load_number(segment->bytes + offset, 8) ==
               checksum64(segment->bytes + offset + 8, RECORD_HEADER_SIZE - 8 + frame->payload_size);""", ";",
                                 ["core_store_journal", "core_store_power_cut"]),
    "the filter of repeated reports": ("coordinator/core_messages.c", "bool applied = report->sequence <= trial->evaluations.count;", "bool applied = false;",
                                       ["coordinator_core", "coordinator_simulation"]),
    "the lease": ("coordinator/core.c", "if (step->now_ns > slot->lease_end_ns)", "if (false)", ["coordinator_core"]),
    "the restored moments": ("worker/checkpoint.c", "    TRY(optimizer_state_set(optimizer, values, values + layout->float_count, part_t, diagnostic));\n", "",
                             ["worker_trainer"]),
    "the restored place of the generator": ("worker/train_step.c", """    ModelStep model_step = {
        .seed = stepper->options->seed,
        .step = step,
""", """    static const TrainStepper *owner;
    static int64_t drawn;
    drawn = owner == stepper ? drawn + 1 : 0;
    owner = stepper;
    ModelStep model_step = {
        .seed = stepper->options->seed,
        .step = drawn,
""", ["worker_trainer"]),
    "the look for a later epoch": ("core/store/journal.c", "    if (!segment_epoch_taken(journal->folder, journal->epoch + 1))", "    if (true)",
                                   ["core_store_journal_epochs"]),
    "the filter of records that came before": ("core/store/journal.c", "    if (sequence <= once->seen)", "    if (false)", ["core_store_care"]),
    "the bound on blocks ahead": ("core/store/journal_ahead.c", "ahead->made - ahead->taken == AHEAD_BLOCKS", "ahead->made - ahead->taken == AHEAD_BLOCKS + 1",
                                  ["core_store_journal_ahead"]),
    "the order of back-offs": ("coordinator/core_work.c", "return a->until_ns < b->until_ns ||", "return a->until_ns > b->until_ns ||", ["coordinator_core"]),
}


def run(command, folder):
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def survives(folder, name):
    """None when a test notices, else what went wrong."""
    path, text, becomes, tests = MUTATIONS[name]
    path = os.path.join(folder, path)
    with open(path, encoding="utf-8") as file:
        source = file.read()
    if source.count(text) != 1:
        return f"{path} holds the text {source.count(text)} times, expected once"
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(source.replace(text, becomes))
        build = run(["cmake", "--build", "build/mutations", "--target"] + [f"test_{test}" for test in tests] + ["nersweep-worker"], folder)
        if build.returncode != 0:
            return "the mutated program cannot be built:\n" + build.stdout[-1500:]
        pattern = "^(" + "|".join(tests) + ")$"
        result = run(["ctest", "--test-dir", "build/mutations", "-R", pattern, "--timeout", "300"], folder)
        return None if result.returncode != 0 and "tests failed" in result.stdout else "all of its tests pass"
    finally:
        with open(path, "w", encoding="utf-8") as file:
            file.write(source)


def main():
    names = sys.argv[2:] or list(MUTATIONS)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="nersweep-mutations-") as place:
        folder = os.path.join(place, "source")
        shutil.copytree(sys.argv[1], folder, ignore=shutil.ignore_patterns("build", ".git", ".peers", "runs", "models", "__pycache__"))
        configured = run(["cmake", "-S", ".", "-B", "build/mutations", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_C_FLAGS_DEBUG=-O2"], folder)
        if configured.returncode != 0:
            sys.exit(configured.stdout[-2000:])
        for name in names:
            problem = survives(folder, name)
            failed += problem is not None
            print(f"{'noticed ' if problem is None else 'MISSED  '} without {name}{': ' + problem if problem else ''}", flush=True)
    print(f"{len(names) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
