#!/usr/bin/env python3
"""A whole `nersweep run` on the tiny model under valgrind, coordinator and workers: no leak of ours, no invalid access of ours.

A finding is ours when the innermost frame below the allocator (for leaks), or any frame (for invalid accesses), is in this repository's source."""
import glob
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

import support

ALLOCATORS = {"malloc", "calloc", "realloc", "memalign", "posix_memalign", "aligned_alloc", "strdup"}
TEXT = support.SWEEP.replace("num_train_epochs: {{value: 6}}", "max_steps: {{value: 4}}").replace("[3.0e-3, 6.0e-3]", "[3.0e-3]").replace(
    "lease: 5", "lease: 120")


def is_ours(frame):
    return (frame.findtext("dir") or "").startswith(support.SOURCE)


def finding(error):
    """A description when the error is ours, else None."""
    kind = error.findtext("kind")
    frames = error.findall("stack/frame")
    if kind.startswith("Leak_"):
        if kind != "Leak_DefinitelyLost":
            return None
        frames = [f for f in frames if (f.findtext("fn") or "") not in ALLOCATORS][:1]
    if not any(is_ours(frame) for frame in frames):
        return None
    where = " <- ".join(f"{f.findtext('fn')} ({f.findtext('file')}:{f.findtext('line')})" for f in error.findall("stack/frame")[:8])
    return f"{kind}: {error.findtext('xwhat/text') or error.findtext('what')}: {where}"


def main():
    folder = tempfile.mkdtemp(prefix="nersweep-valgrind-")
    try:
        sweep = support.write_sweep(folder, text=TEXT)
        command = ["valgrind", "--leak-check=full", "--trace-children=yes", "--xml=yes", f"--xml-file={folder}/valgrind.%p.xml",
                   "--child-silent-after-fork=yes", support.NERSWEEP, "run", sweep]
        result = subprocess.run(command, capture_output=True, text=True, timeout=1500, check=False)
        assert result.returncode == 0, result.stderr[-3000:]
        ours, programs = [], set()
        for path in glob.glob(f"{folder}/valgrind.*.xml"):
            try:
                root = ElementTree.parse(path).getroot()
            except ElementTree.ParseError:  # a child that replaced itself before it could write its end
                continue
            programs.add(os.path.basename(root.findtext("args/argv/exe") or ""))
            ours += [f"{os.path.basename(path)}: {text}" for text in map(finding, root.findall("error")) if text]
        print("\n".join(ours))
        assert {"nersweep", "nersweep-worker"} <= programs, f"only {programs} were watched"
        print(f"{0 if ours else 1} passed, {1 if ours else 0} failed")
        return 1 if ours else 0
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
