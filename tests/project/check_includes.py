#!/usr/bin/env python3
"""Packages include only downwards, and a third-party header stays in its one file (docs/architecture.md).

usage: check_includes.py SOURCE_DIR        prints each violation as file:line: message; exit 1 when there is one
       check_includes.py --self-test       shows that the rules refuse what they should
"""
import os
import re
import sys
import tempfile

# package -> packages whose headers it may include (its own always)
BASE, IO, SPANS = "core/base", "core/io", "core/spans"
OPTIONS, STORE = "core/options", "core/store"
CORE = {BASE, IO, SPANS, OPTIONS, STORE}
ALLOWED = {
    BASE: set(),
    IO: {BASE},
    SPANS: {BASE},
    OPTIONS: {BASE, IO},
    STORE: {BASE, IO},
    "kernels": {BASE},
    "proto": {BASE, IO},
    "shard": CORE - {STORE},
    "model": CORE | {"kernels"},
    "inference": CORE | {"kernels", "shard", "model"},
    "worker": CORE | {"kernels", "shard", "model", "inference", "proto"},
    "coordinator": CORE | {"proto"},
    "cli": CORE | {"kernels", "shard", "model", "inference", "coordinator", "proto"},
}
# third-party header -> the one file that may include it (ZeroMQ: the sockets, and the thread that watches over them)
BOUNDARY = {
    r"jansson\.h": "core/io/json.c",
    r"libfyaml\.h": "core/io/yaml.c",
    r"lmdb\.h": "core/io/kv.c",
    r"sodium.*\.h": "core/io/hash.c",
    r"nettle/.*\.h": "core/io/hash.c",
    r"curl/.*\.h": "core/io/http.c",
    r"zip\.h": "core/io/zip.c",
    r"utf8proc\.h": "shard/unicode.c",
    r"cblas.*\.h": "kernels/cpu/blas.c",
    r"zmq\.h": ("proto/socket.c", "proto/guard.c"),
    r"mpi\.h": "worker/communicator.c",
    r"protobuf-c/.*\.h": "(generated)",
    r"nersweep\.pb-c\.h": "tests/proto/generated_test.c",
    r"journal\.pb-c\.h": "tests/proto/generated_test.c",
}
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
SYSTEM = re.compile(r"^(sys/|linux/|netinet/|arpa/)?[a-z0-9_]+\.h$")


def package_of(path):
    for package in sorted(ALLOWED, key=len, reverse=True):
        if path.startswith(package + "/"):
            return package
    return None


def check_line(path, target):
    """The message for one include, or None when it is fine."""
    for pattern, owner in BOUNDARY.items():
        if re.fullmatch(pattern, target):
            owners = owner if isinstance(owner, tuple) else (owner,)
            if path in owners:
                return None
            return f"third-party header {target} belongs in {' and '.join(owners)} alone"
    package, wanted = package_of(path), package_of(target)
    if wanted is None:
        if SYSTEM.match(target) and "/" not in target.replace("sys/", "").replace("linux/", "").replace("arpa/", ""):
            return None
        return f"{target} is neither a package's header (from the root of the repository) nor a known one"
    if wanted != package and wanted not in ALLOWED[package]:
        return f"{package} may not include {target}: {wanted} is not below it"
    return None


def check(root):
    problems, files = [], 0
    for package in ALLOWED:
        for folder, _, names in os.walk(os.path.join(root, package)):
            for name in sorted(names):
                if not name.endswith((".c", ".h", ".inc", ".cu", ".cuh")):
                    continue
                path = os.path.relpath(os.path.join(folder, name), root)
                files += 1
                with open(os.path.join(root, path), encoding="utf-8") as file:
                    for number, line in enumerate(file, 1):
                        match = INCLUDE.match(line)
                        message = match and check_line(path, match.group(1))
                        if message:
                            problems.append(f"{path}:{number}: {message}")
    return sorted(set(problems)), files


def self_test():
    cases = [
        ("core/base/a.c", "core/io/file.h", False),
        ("core/io/a.c", "core/base/status.h", True),
        ("core/io/a.c", "jansson.h", False),
        ("core/io/json.c", "jansson.h", True),
        ("coordinator/a.c", "shard/corpus.h", False),
        ("coordinator/a.c", "proto/messages.h", True),
        ("cli/a.c", "worker/trainer.h", False),
        ("worker/a.c", "mpi.h", False),
        ("proto/messages.c", "zmq.h", False),
        ("proto/guard.c", "zmq.h", True),
        ("shard/a.c", "core/store/store.h", False),
        ("model/a.c", "curl/curl.h", False),
        ("model/a.c", "stdint.h", True),
    ]
    for path, target, fine in cases:
        assert (check_line(path, target) is None) == fine, (path, target)
    with tempfile.TemporaryDirectory() as root:
        os.makedirs(os.path.join(root, "kernels"))
        with open(os.path.join(root, "kernels", "a.c"), "w", encoding="utf-8") as file:
            file.write('#include "model/model.h"\n')
        assert check(root)[0] == ["kernels/a.c:1: kernels may not include model/model.h: model is not below it"]
    print("self-test passed")


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        sys.exit(0)
    found, count = check(sys.argv[1])
    print("\n".join(found))
    print(f"{count} files, {len(found)} violations")
    sys.exit(1 if found or count == 0 else 0)
