#!/usr/bin/env python3
"""A coordinator that other machines can reach, with the real programs: keys, wrong keys, no keys, and strangers on its port.

usage: security_test.py [CASE...]
On a machine without an address of its own the test makes one in a network namespace (as root)."""
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import support  # noqa: E402
from support import run  # noqa: E402

WORKER = os.path.join(support.BINARY, "bin", "nersweep-worker")
NAMESPACE = "NERSWEEP_TEST_NAMESPACE"


def own_address():
    """An address of this machine that is not loopback, or None. Nothing is sent."""
    listed = subprocess.run(["ip", "-4", "-o", "addr", "show", "scope", "global"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"inet (\d+\.\d+\.\d+\.\d+)", listed)
    return found.group(1) if found else None


def run_in_a_namespace():
    assert NAMESPACE not in os.environ, "the namespace has no address"
    script = ("ip link set lo up && ip link add port0 type veth peer name port1 && ip addr add 10.78.0.1/24 dev port0 && "
              "ip link set port0 up && ip link set port1 up && exec \"$@\"")
    sys.exit(subprocess.run(["unshare", "--net", "sh", "-c", script, "sh", sys.executable, *sys.argv],
                            env={**os.environ, NAMESPACE: "1"}, check=False).returncode)


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


class Coordinator:
    def __init__(self, sweep, address, *options):
        self.folder = run("coordinator", sweep, "--show-folder").stdout.strip()
        self.endpoint_path = os.path.join(self.folder, "endpoint.json")
        self.log = sweep + ".log"
        self.process = support.start("coordinator", sweep, "--listen", f"tcp://{address}:*", "--exit-when-done", "--linger", "1", *options,
                                     log=self.log)
        support.wait_for(lambda: os.path.exists(self.endpoint_path) or self.process.poll() is not None, 60, "the endpoint file")
        assert self.process.poll() is None, self.said()
        with open(self.endpoint_path, encoding="utf-8") as file:
            self.endpoint = json.load(file)
        self.port = int(self.endpoint["address"].rsplit(":", 1)[1])

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def end(self, code=0):
        assert self.process.wait(60) == code, self.said()


def worker(*arguments, code=None, timeout=120):
    result = subprocess.run([WORKER, *arguments], capture_output=True, text=True, timeout=timeout, check=False)
    assert code is None or result.returncode == code, f"worker: exit {result.returncode}, expected {code}\n{result.stderr[-3000:]}"
    return result


class Cases:
    def __init__(self, folder, address):
        self.folder, self.address = folder, address
        self.text = support.SWEEP.replace("num_train_epochs: {{value: 6}}", "num_train_epochs: {{value: 2}}")

    def sweep(self, name):
        return support.write_sweep(self.folder, storage=name, text=self.text)

    def an_address_of_other_machines_without_keys_is_refused(self, name):
        sweep = self.sweep(name)
        result = run("coordinator", sweep, "--listen", f"tcp://{self.address}:*", code=1)
        assert "nersweep keys" in result.stderr and "--insecure" in result.stderr, result.stderr
        result = worker("--coordinator", f"tcp://{self.address}:9", code=1)
        assert "--key FILE" in result.stderr, result.stderr
        run("coordinator", sweep, "--listen", "tcp://127.0.0.1:*", "--insecure", "--make-keys", code=2)

    def keys_are_made_for_their_owner_and_not_overwritten(self, name):
        sweep = self.sweep(name)
        made = json.loads(run("keys", sweep, "--json").stdout)["keys"]
        assert mode_of(made) == 0o700
        files = sorted(os.listdir(made))
        assert files == ["allowed.json", "operator.key", "reader.key", "server.key", "worker.key"], files
        assert all(mode_of(os.path.join(made, file)) == 0o600 for file in files)
        before = support.file_hashes(made)
        assert "--force" in run("keys", sweep, code=1).stderr
        assert support.file_hashes(made) == before
        run("keys", sweep, "--renew", "reader")
        after = support.file_hashes(made)
        assert {file for file in files if after[file] != before[file]} == {"reader.key", "allowed.json"}
        run("keys", os.path.dirname(made), "--force")
        assert not set(support.file_hashes(made).values()) & set(after.values())
        run("keys", code=2)
        run("keys", sweep, "--renew", "king", code=2)

    def a_whole_sweep_runs_over_encrypted_connections_in_the_presence_of_strangers(self, name):
        sweep = self.sweep(name)
        coordinator = Coordinator(sweep, self.address, "--make-keys")
        keys = os.path.join(coordinator.folder, "keys")
        assert coordinator.endpoint["server_key"], coordinator.endpoint
        # Strangers: connections that say nothing, and some that say what nobody understands.
        silent = [socket.create_connection((self.address, coordinator.port)) for _ in range(64)]
        for number in range(20):
            with socket.create_connection((self.address, coordinator.port)) as stranger:
                stranger.sendall(os.urandom(4096) if number % 2 else b"GET / HTTP/1.1\r\n\r\n" * 50)
        assert json.loads(run("status", sweep, "--json").stdout)["live"] is True
        # The reader's key is all that somebody elsewhere needs, and it does not make him a worker.
        elsewhere = os.path.join(self.folder, "mine.key")
        shutil.copy(os.path.join(keys, "reader.key"), elsewhere)
        shown = json.loads(run("status", sweep, "--key", elsewhere, "--json").stdout)
        assert shown["live"] is True and shown["security"]["keys"] is True, shown
        result = worker("--sweep", coordinator.folder, "--key", elsewhere, "--give-up", "20", code=1)
        assert "a reader key does not permit HELLO" in result.stderr, result.stderr
        result = worker("--coordinator", coordinator.endpoint["address"], "--insecure", "--give-up", "4")
        assert result.returncode != 0 and "wants a key" in result.stderr, result.stderr
        watch = subprocess.Popen([support.NERSWEEP, "watch", sweep, "--json"], stdout=subprocess.PIPE, text=True)
        worker("--sweep", coordinator.folder, code=0, timeout=300)
        coordinator.end()
        lines = [json.loads(line) for line in watch.communicate(timeout=30)[0].splitlines()]
        assert watch.returncode == 0 and lines[-1]["state"] == "done", lines[-1:]
        assert support.status(sweep)["state"] == "done"
        for connection in silent:
            connection.close()

    def wrong_keys_are_refused_with_a_message(self, name):
        sweep = self.sweep(name)
        coordinator = Coordinator(sweep, self.address, "--make-keys")
        keys = os.path.join(coordinator.folder, "keys")
        # Of another set.
        run("keys", "--out", os.path.join(self.folder, "others"))
        result = run("status", sweep, "--key", os.path.join(self.folder, "others", "reader.key"), "--json")
        assert json.loads(result.stdout)["live"] is False and "is for another server" in result.stderr, result.stderr
        # Open to others.
        copy = os.path.join(self.folder, "open.key")
        shutil.copy(os.path.join(keys, "worker.key"), copy)
        os.chmod(copy, 0o644)
        assert "is open to others (mode 0644)" in worker("--sweep", coordinator.folder, "--key", copy, code=1).stderr
        # Revoked.
        shutil.copy(os.path.join(keys, "reader.key"), os.path.join(self.folder, "old.key"))
        run("keys", sweep, "--renew", "reader")
        result = run("watch", sweep, "--key", os.path.join(self.folder, "old.key"), code=1)
        assert "refuses the reader key" in result.stderr, result.stderr
        result = run("status", sweep, "--key", os.path.join(self.folder, "old.key"), "--json")
        assert json.loads(result.stdout)["live"] is False and "refuses the reader key" in result.stderr, result.stderr
        assert json.loads(run("status", sweep, "--json").stdout)["live"] is True
        os.kill(coordinator.process.pid, 15)
        coordinator.end(130)

    def insecure_is_what_it_says(self, name):
        sweep = self.sweep(name)
        coordinator = Coordinator(sweep, self.address, "--insecure")
        assert coordinator.endpoint["server_key"] == "", coordinator.endpoint
        assert not os.path.exists(os.path.join(coordinator.folder, "keys"))
        assert "--insecure" in worker("--sweep", coordinator.folder, code=1).stderr
        assert json.loads(run("status", sweep, "--insecure", "--json").stdout)["live"] is True
        result = run("status", sweep, "--json")
        assert json.loads(result.stdout)["live"] is False and "--insecure" in result.stderr, result.stderr
        worker("--sweep", coordinator.folder, "--insecure", code=0, timeout=300)
        coordinator.end()

    def local_groups_of_a_run_use_the_keys(self, name):
        sweep = self.sweep(name)
        result = run("run", sweep, "--listen", f"tcp://{self.address}:*", "--make-keys", "--json")
        assert json.loads(result.stdout)["state"] == "done"
        assert "with keys" in result.stderr, result.stderr


def main():
    address = own_address() or run_in_a_namespace()
    cases = [name for name in vars(Cases) if not name.startswith("_") and name != "sweep"]
    folder = tempfile.mkdtemp(prefix="nersweep-security-")
    try:
        for number, name in enumerate(sys.argv[1:] or cases):
            started = time.monotonic()
            getattr(Cases(folder, address), name)(f"s{number}")
            print(f"passed: {name} ({time.monotonic() - started:.1f} s)", flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
