"""What the tests of commands share: a folder, a small trained model, and how cases are run.

A test file ends with main(CLASS): CLASS is Commands with a method for each case; each takes names of cases as arguments."""
import fcntl
import functools
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import support  # noqa: E402
from support import EXAMPLES, NERSWEEP, run  # noqa: E402, F401

TRAIN, DEV, TEST = (os.path.join(EXAMPLES, name + ".conll") for name in ("train", "dev", "test"))


def fails(code, pattern, *arguments, **options):
    result = run(*arguments, code=code, **options)
    assert re.search(pattern, result.stderr), f"no /{pattern}/ in:\n{result.stderr[-2000:]}"
    return result


def close(a, b):
    return abs(a - b) < 1e-12


def on_terminal(columns, command, environment):
    """What a command prints on a terminal of so many columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    clean = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    with subprocess.Popen(command, stdout=slave, stderr=subprocess.DEVNULL, env={**clean, **environment}) as process:
        os.close(slave)
        out = b""
        while True:
            try:
                block = os.read(master, 1 << 16)
            except OSError:  # the other end is closed
                break
            if not block:
                break
            out += block
        assert process.wait(60) == 0, out
    os.close(master)
    return out.decode().replace("\r\n", "\n")

class Commands:
    helpers = ()  # methods that are no cases

    def __init__(self, folder):
        self.folder = folder
        self.start = support.make_model(folder)

    @functools.cached_property
    def trained(self):
        """What train printed of the model in self.model."""
        return json.loads(run("train", "--model", self.start, "--train", TRAIN, "--dev", "main=" + DEV, "--out", self.path("model-trained"),
                              "--max-seq-length", "64", "--stride", "8", "--num-train-epochs", "8", "--learning-rate", "5e-3",
                              "--per-device-train-batch-size", "16", "--threads", "1", "--json").stdout)

    @property
    def model(self):
        assert self.trained
        return self.path("model-trained")

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        return self.path(name)


def main(tests):
    return support.run_cases(tests, tests.helpers)
