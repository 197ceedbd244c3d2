#!/usr/bin/env python3
"""The repository's own text: no promises in place of code, no paths of a machine, no overlong files without a reason.

usage: check_text.py SOURCE_DIR"""
import os
import re
import sys

PROMISE = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|not yet implemented|not implemented yet")
LINE_LIMIT = 800
SKIP = {".git", "build", ".peers", "runs", "models", "__pycache__"}

problems = []
for folder, folders, names in os.walk(sys.argv[1]):
    folders[:] = [f for f in folders if f not in SKIP]
    for name in names:
        path = os.path.join(folder, name)
        if not name.endswith((".c", ".h", ".py", ".md", ".txt", ".cmake", ".sh", ".yaml", ".proto")) or name == "check_text.py":
            continue
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().split("\n")
        for number, line in enumerate(lines, 1):
            if PROMISE.search(line):
                problems.append(f"{path}:{number}: a promise instead of code: {line.strip()}")
        if name.endswith((".c", ".h")) and len(lines) > LINE_LIMIT and "_tables.c" not in name:
            problems.append(f"{path}: {len(lines)} lines, over {LINE_LIMIT}")
print("\n".join(problems))
sys.exit(1 if problems else 0)
