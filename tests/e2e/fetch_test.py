#!/usr/bin/env python3
"""`nersweep fetch` against a hub on 127.0.0.1 that redirects, stalls, breaks off, lies and changes its mind.

usage: fetch_test.py [CASE ...]"""
import hashlib
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

import support

REPOSITORY = "team/ner-model"
GOLDEN = os.path.join(support.SOURCE, "tests", "golden", "torch")
BIG = bytes((i * i + i // 7) % 251 for i in range(400000))


def sha(data):
    return hashlib.sha256(data).hexdigest()


class Hub:
    """Files by name. `behave` (handler, name) may answer in its own way and return True; requests are kept as (name, headers)."""

    def __init__(self, files, prefix=f"/{REPOSITORY}/resolve/main/"):
        self.files, self.prefix, self.requests, self.behave = dict(files), prefix, [], None
        self.linked, self.commit, self.tag = True, "0123456789abcdef0123456789abcdef01234567", "v1"
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                hub.answer(self)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # connections that end early are what is tested
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def of(self, name):
        return [headers for requested, headers in self.requests if requested == name]

    def headers(self, handler, name):
        data = self.files[name]
        if self.linked:
            handler.send_header("X-Linked-ETag", f'"{sha(data)}"')
            handler.send_header("X-Linked-Size", str(len(data)))
        elif self.tag:
            handler.send_header("ETag", f'"{self.tag}"')
        if self.commit:
            handler.send_header("X-Repo-Commit", self.commit)

    def refuse(self, handler, code, **headers):
        handler.send_response(code)
        for key, value in headers.items():
            handler.send_header(key.replace("_", "-"), value)
        handler.send_header("Content-Length", "5")
        handler.end_headers()
        handler.wfile.write(b"sorry")

    def answer(self, handler):
        path = urllib.parse.unquote(handler.path.split("?")[0])
        name = path[len(self.prefix):] if path.startswith(self.prefix) else path
        self.requests.append((name, dict(handler.headers)))
        if self.behave and self.behave(handler, name):
            return
        if name not in self.files:
            self.refuse(handler, 404)
            return
        self.give(handler, name)

    def give(self, handler, name, stop_after=None, ranges=True):
        """The file, or its rest; stop_after: the connection ends after so many bytes."""
        data = self.files[name]
        match = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range") or "") if ranges else None
        start = int(match[1]) if match else 0
        if match and start >= len(data):
            handler.send_response(416)
            self.headers(handler, name)
            handler.send_header("Content-Range", f"bytes */{len(data)}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_response(206 if match else 200)
        self.headers(handler, name)
        if match:
            handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        handler.send_header("Content-Length", str(len(data) - start))
        handler.end_headers()
        handler.wfile.write(data[start:start + stop_after] if stop_after is not None else data[start:])
        handler.wfile.flush()
        if stop_after is not None:
            handler.close_connection = True


def expect(result, code, pattern):
    assert result.returncode == code, f"exit {result.returncode}, expected {code}: {result.stdout[-1000:]}{result.stderr[-3000:]}"
    assert re.search(pattern, result.stderr + result.stdout, re.S), f"no {pattern!r} in {result.stderr[-3000:]}"


class Fetch:
    def __init__(self, folder):
        self.folder = folder
        model = support.make_model(folder)
        self.model = {name: open(os.path.join(model, name), "rb").read() for name in os.listdir(model)}
        self.small = {"config.json": self.model["config.json"], "vocab.txt": self.model["vocab.txt"]}
        self.count = 0

    def _out(self):
        self.count += 1
        return os.path.join(self.folder, f"out-{self.count}")

    def _environment(self, hub, **more):
        environment = {"HF_ENDPOINT": hub if isinstance(hub, str) else hub.url, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "HF_TOKEN": ""}
        environment.update(more)
        return environment

    def _fetch(self, hub, out, *arguments, code=None, **environment):
        return support.run("fetch", REPOSITORY, "--out", out, "--retry-delay", "0.02", *arguments, code=code, timeout=120,
                           environment=self._environment(hub, **environment))

    def _hub(self, weights=None, **files):
        return Hub({**self.small, "model.safetensors": weights or BIG, **files})

    def _check(self, out, files):
        for name, data in files.items():
            with open(os.path.join(out, name), "rb") as file:
                assert file.read() == data, name
        assert sorted(os.listdir(out)) == sorted([*files, "fetch.json"]), os.listdir(out)
        assert not os.path.exists(out + ".partial")

    # -- what a hub offers
    def a_model_is_fetched_whole_and_is_ready_to_use(self):
        out = self._out()
        files = {name: data for name, data in self.model.items()
                 if name in ("config.json", "vocab.txt", "model.safetensors", "tokenizer_config.json", "tokenizer.json", "special_tokens_map.json")}
        with Hub({**files, "pytorch_model.bin": BIG, "README.md": b"x"}) as hub:
            result = self._fetch(hub, out + "/", "--json", code=0)
        self._check(out, files)
        said = json.loads(result.stdout)
        assert said["folder"] == out and said["repository"] == REPOSITORY and said["commit"] == hub.commit, said
        assert "cannot use it" not in result.stderr and "SHA-256 as the hub says" in result.stderr, result.stderr
        with open(os.path.join(out, "fetch.json"), encoding="utf-8") as file:
            assert json.load(file)["commit"] == hub.commit
        assert not hub.of("README.md") and not hub.of("pytorch_model.bin")

    def shards_come_with_their_index(self):
        out = self._out()
        index = json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}}).encode()
        files = {**self.small, "model.safetensors.index.json": index, "model-1.safetensors": BIG, "model-2.safetensors": BIG[::-1]}
        with Hub({**files, "pytorch_model.bin": BIG}) as hub:
            self._fetch(hub, out, code=0)
            assert len(hub.of("model-1.safetensors")) == 1
        self._check(out, files)

    def a_pickle_is_taken_where_there_is_nothing_better(self):
        for name in ("bert-zip.bin", "bert-legacy.bin"):
            out = self._out()
            with open(os.path.join(GOLDEN, name), "rb") as file:
                files = {**self.small, "pytorch_model.bin": file.read()}
            with Hub(files) as hub:
                result = self._fetch(hub, out, code=0)
            self._check(out, files)
            assert "cannot use it" not in result.stderr, result.stderr

    def a_hostile_pickle_is_named(self):
        out = self._out()
        with open(os.path.join(GOLDEN, "hostile-system.bin"), "rb") as file, Hub({**self.small, "pytorch_model.bin": file.read()}) as hub:
            expect(self._fetch(hub, out), 0, r"cannot use it.*posix\.system")

    def an_index_that_leads_elsewhere_is_refused(self):
        out = self._out()
        index = json.dumps({"weight_map": {"a": "../../evil.safetensors"}}).encode()
        with Hub({**self.small, "model.safetensors.index.json": index}) as hub:
            expect(self._fetch(hub, out), 1, r"no plain name")
        assert not os.path.exists(out)

    def another_revision_is_asked_for_by_name(self):
        out = self._out()
        with Hub({**self.small, "model.safetensors": BIG}, prefix=f"/{REPOSITORY}/resolve/refs/pr/1/") as hub:
            self._fetch(hub, out, "--revision", "refs/pr/1", code=0)
        self._check(out, {**self.small, "model.safetensors": BIG})

    def an_empty_file_is_a_file(self):
        out = self._out()
        with self._hub(**{"added_tokens.json": b""}) as hub:
            self._fetch(hub, out, code=0)
        assert os.path.getsize(os.path.join(out, "added_tokens.json")) == 0

    # -- what is not there
    def what_is_missing_is_named(self):
        for files, pattern in (({}, r"has no config\.json"), ({"config.json": b"{}"}, r"has no vocab\.txt"),
                               (self.small, r"neither model\.safetensors nor pytorch_model\.bin"),
                               ({**self.small, "model.safetensors.index.json": b'{"weight_map": {"a": "m.safetensors"}}'}, r"has no m\.safetensors")):
            out = self._out()
            with Hub(files) as hub:
                expect(self._fetch(hub, out), 1, pattern)
            assert not os.path.exists(out) and not os.path.exists(out + ".partial")

    def a_repository_that_is_not_there_or_not_ours_is_said(self):
        for code, headers, pattern in ((404, {"X_Error_Code": "RepoNotFound"}, r"no repository team/ner-model"),
                                       (404, {"X_Error_Code": "RevisionNotFound"}, r"no revision main"),
                                       (401, {}, r"HF_TOKEN"), (403, {}, r"HF_TOKEN"), (418, {}, r"418")):
            out = self._out()
            with self._hub() as hub:
                hub.behave = lambda handler, name, c=code, h=headers: hub.refuse(handler, c, **h) or True
                expect(self._fetch(hub, out), 1, pattern)
                assert len(hub.requests) == 1
            assert not os.path.exists(out) and not os.path.exists(out + ".partial")

    def no_network_is_temporary(self):
        out = self._out()
        with self._hub() as hub:
            url = hub.url
        result = self._fetch(url, out, "--retries", "2")
        expect(result, 75, r"127\.0\.0\.1.*tried 3 times")
        assert not os.path.exists(out)

    # -- servers that fail
    def a_busy_server_is_tried_again(self):
        out, failures = self._out(), [503, 500, 429]
        with self._hub() as hub:
            hub.behave = lambda handler, name: bool(name == "model.safetensors" and failures) and (
                hub.refuse(handler, failures.pop(), Retry_After="1") or True)
            start = time.monotonic()
            self._fetch(hub, out, code=0)
            assert time.monotonic() - start >= 3, "Retry-After was not obeyed"
            assert len(hub.of("model.safetensors")) == 4
        self._check(out, {**self.small, "model.safetensors": BIG})

    def a_server_that_stays_busy_is_given_up(self):
        out = self._out()
        with self._hub() as hub:
            hub.behave = lambda handler, name: name == "model.safetensors" and (hub.refuse(handler, 503) or True)
            expect(self._fetch(hub, out, "--retries", "3"), 75, r"answers 503 \(tried 4 times\).*")
            assert len(hub.of("model.safetensors")) == 4
        assert not os.path.exists(out)

    def _breaks_off(self, hub, times, at=100000):
        left = [times]

        def behave(handler, name):
            if name != "model.safetensors" or left[0] == 0:
                return False
            left[0] -= 1
            hub.give(handler, name, stop_after=at)
            return True
        hub.behave = behave

    def a_transfer_that_breaks_off_is_resumed_where_it_was(self):
        out = self._out()
        with self._hub() as hub:
            self._breaks_off(hub, 3)
            self._fetch(hub, out, code=0)
            ranges = [headers.get("Range") for headers in hub.of("model.safetensors")]
        assert ranges == [None, "bytes=100000-", "bytes=200000-", "bytes=300000-"], ranges
        self._check(out, {**self.small, "model.safetensors": BIG})

    def the_same_command_goes_on_where_the_last_one_ended(self):
        for linked, tag in ((True, None), (False, "v1"), (False, None)):
            out = self._out()
            with self._hub() as hub:
                hub.linked, hub.tag = linked, tag
                self._breaks_off(hub, 1, at=150000)
                expect(self._fetch(hub, out, "--retries", "0"), 75, r"goes on from there")
                assert not os.path.exists(out)
                self._fetch(hub, out, code=0)
                assert [h.get("Range") for h in hub.of("model.safetensors")] == [None, "bytes=150000-"]
                assert len(hub.of("config.json")) == 1
            self._check(out, {**self.small, "model.safetensors": BIG})

    def a_server_without_ranges_starts_from_the_beginning(self):
        out = self._out()
        with self._hub() as hub:
            self._breaks_off(hub, 1)
            self._fetch(hub, out, "--retries", "0", code=75)
            hub.behave = lambda handler, name: hub.give(handler, name, ranges=False) or True if name in hub.files else False
            self._fetch(hub, out, code=0)
        self._check(out, {**self.small, "model.safetensors": BIG})

    def a_file_that_changed_in_between_is_not_glued_together(self):
        for linked in (True, False):
            out = self._out()
            with self._hub() as hub:
                hub.linked = linked
                self._breaks_off(hub, 1)
                self._fetch(hub, out, "--retries", "0", code=75)
                hub.files["model.safetensors"], hub.tag = BIG[::-1], "v2"
                self._fetch(hub, out, code=0)
            self._check(out, {**self.small, "model.safetensors": BIG[::-1]})

    def a_part_that_is_whole_already_is_taken(self):
        out = self._out()
        with self._hub() as hub:
            self._breaks_off(hub, 1)
            self._fetch(hub, out, "--retries", "0", code=75)
            with open(out + ".partial/model.safetensors.part", "wb") as file:
                file.write(BIG)
            self._fetch(hub, out, code=0)
            assert hub.of("model.safetensors")[-1]["Range"] == f"bytes={len(BIG)}-"
        self._check(out, {**self.small, "model.safetensors": BIG})

    def a_part_that_was_damaged_is_fetched_anew(self):
        out = self._out()
        with self._hub() as hub:
            self._breaks_off(hub, 1)
            self._fetch(hub, out, "--retries", "0", code=75)
            with open(out + ".partial/model.safetensors.part", "r+b") as file:
                file.write(b"damage")
            expect(self._fetch(hub, out), 0, r"SHA-256.*trying again")
        self._check(out, {**self.small, "model.safetensors": BIG})

    def a_revision_that_moves_on_is_noticed(self):
        out = self._out()
        with self._hub() as hub:
            hub.behave = lambda handler, name: setattr(hub, "commit", "f" * 40) if name == "model.safetensors" else False
            expect(self._fetch(hub, out), 1, r"main moved from commit 0123456789ab to ffffffffffff")
        assert not os.path.exists(out) and not os.path.exists(out + ".partial")

    # -- servers that lie
    def a_wrong_hash_is_tried_once_more_and_refused(self):
        out = self._out()
        with self._hub() as hub:
            def behave(handler, name):
                if name != "model.safetensors":
                    return False
                handler.send_response(200)
                handler.send_header("ETag", f'"{sha(b"something else")}"')
                handler.send_header("Content-Length", str(len(BIG)))
                handler.end_headers()
                handler.wfile.write(BIG)
                return True
            hub.behave = behave
            expect(self._fetch(hub, out), 1, r"model\.safetensors: the content has the SHA-256 .*tried 2 times")
            assert len(hub.of("model.safetensors")) == 2
        assert not os.path.exists(out)
        assert not [name for name in os.listdir(out + ".partial") if "safetensors" in name]

    def _raw(self, hub, target, head, body):
        def behave(handler, name):
            if name != target:
                return False
            handler.close_connection = True
            handler.wfile.write(head.encode() + b"\r\n\r\n" + body)
            return True
        hub.behave = behave

    def sizes_that_lie_are_refused(self):
        cases = (("HTTP/1.1 200 OK\r\nContent-Length: 400001", BIG, 75, r"tried 2 times"),
                 ("HTTP/1.1 200 OK\r\nX-Linked-Size: 7\r\nContent-Length: 400000", BIG, 1, r"says 7 bytes"),
                 ("HTTP/1.1 200 OK\r\nContent-Length: 4611686018427387904", BIG, 1, r"over the limit"),
                 ("HTTP/1.1 200 OK\r\nContent-Length: 1099511627776", BIG, 75, r"space"),
                 ("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 7-400000/400001\r\nContent-Length: 399994", BIG, 75, r"tried 2 times"),
                 ("HTTP/1.1 200 OK", BIG, 1, r"neither how long the file is"),
                 ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", b"10\r\n0123456789abcdef\r\n", 75, r"tried 2 times"),
                 ("nonsense", b"", 1, r"HTTP/0\.9"))
        for head, body, code, pattern in cases:
            out = self._out()
            with self._hub() as hub:
                self._raw(hub, "model.safetensors", head, body)
                expect(self._fetch(hub, out, "--retries", "1"), code, pattern)
            assert not os.path.exists(out), head

    def a_chunked_file_needs_no_length(self):
        out = self._out()
        with self._hub() as hub:
            self._raw(hub, "model.safetensors", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")
            self._fetch(hub, out, code=0)
        self._check(out, {**self.small, "model.safetensors": b"hello world"})

    def headers_without_end_are_cut_off(self):
        out = self._out()
        with self._hub() as hub:
            self._raw(hub, "model.safetensors", "HTTP/1.1 200 OK\r\n" + "X-More: again\r\n" * 2000 + "Content-Length: 0", b"")
            self._fetch(hub, out, "--retries", "1", code=75)
        assert not os.path.exists(out)

    # -- redirects
    def a_redirect_is_followed_and_the_token_stays_behind(self):
        out = self._out()
        with self._hub() as hub, Hub({"blob": BIG}, prefix="/store/") as store:
            store.linked, store.tag, store.commit = False, "not-a-hash", None

            def behave(handler, name):
                if name == "/elsewhere":
                    hub.refuse(handler, 302, Location=store.url + "/store/blob?signature=secret")
                    return True
                if name != "model.safetensors":
                    return False
                handler.send_response(302)
                hub.headers(handler, name)
                handler.send_header("Location", "/elsewhere")
                handler.send_header("Content-Length", "0")
                handler.end_headers()
                return True
            hub.behave = behave
            result = self._fetch(hub, out, code=0, HF_TOKEN="hf_secret")
            assert hub.of("config.json")[0]["Authorization"] == "Bearer hf_secret"
            assert hub.of("model.safetensors")[0]["Authorization"] == "Bearer hf_secret"
            assert "Authorization" not in hub.of("/elsewhere")[0]
            assert len(store.requests) == 1 and "Authorization" not in store.requests[0][1], store.requests
            assert "hf_secret" not in result.stderr + result.stdout
        self._check(out, {**self.small, "model.safetensors": BIG})

    def redirects_that_lead_nowhere_are_refused(self):
        for location, pattern in (("/loop", r"more than 10 redirects"), ("file:///etc/passwd", r"not as safe"), ("ftp://127.0.0.1/x", r"not as safe"),
                                  ("", r"redirects to nowhere")):
            out = self._out()
            with self._hub() as hub:
                hub.behave = lambda handler, name, l=location: name in ("config.json", "/loop") and (
                    hub.refuse(handler, 302, **({"Location": l} if l else {})) or True)
                expect(self._fetch(hub, out), 1, pattern)
                assert len(hub.requests) <= 11
            assert not os.path.exists(out)

    def a_ring_of_two_hosts_ends_and_the_token_does_not_come_back(self):
        out = self._out()
        with self._hub() as hub, Hub({}, prefix="/store/") as store:
            def back(handler, name):
                store.refuse(handler, 302, Location=hub.url + "/again")
                return True

            def on(handler, name):
                if name not in ("config.json", "/again"):
                    return False
                hub.refuse(handler, 302, Location=store.url + "/store/ring")
                return True
            hub.behave, store.behave = on, back
            result = self._fetch(hub, out, HF_TOKEN="hf_secret")
            expect(result, 1, r"more than 10 redirects")
            assert hub.requests[0][1]["Authorization"] == "Bearer hf_secret"
            assert len(hub.requests) + len(store.requests) <= 11
            assert not any("Authorization" in headers for _, headers, *_ in hub.requests[1:] + store.requests)
            assert "hf_secret" not in result.stderr + result.stdout
        assert not os.path.exists(out)

    # -- servers that are slow
    def _stalls(self, hub, bytes_first):
        def behave(handler, name):
            if name != "model.safetensors":
                return False
            if bytes_first is not None:
                handler.send_response(200)
                hub.headers(handler, name)
                handler.send_header("Content-Length", str(len(BIG)))
                handler.end_headers()
                handler.wfile.write(BIG[:bytes_first])
                handler.wfile.flush()
            for _ in range(200):
                time.sleep(0.05)
                if bytes_first is not None:
                    try:
                        handler.wfile.write(b"x")
                        handler.wfile.flush()
                    except OSError:
                        break
            handler.close_connection = True
            return True
        hub.behave = behave

    def a_server_that_drips_or_says_nothing_is_given_up_in_time(self):
        for bytes_first in (None, 0):
            out = self._out()
            with self._hub() as hub:
                self._stalls(hub, bytes_first)
                start = time.monotonic()
                expect(self._fetch(hub, out, "--timeout", "1", "--retries", "1"), 75, r"tried 2 times")
                assert time.monotonic() - start < 15
            assert not os.path.exists(out)

    # -- this machine
    def a_full_disk_is_said_and_the_rest_comes_later(self):
        out = self._out()
        with self._hub() as hub:
            expect(self._fetch(hub, out, NERSWEEP_FAULT="fetch.write:3:fail"), 75, r"no space left")
            assert not os.path.exists(out)
            self._fetch(hub, out, code=0)
        self._check(out, {**self.small, "model.safetensors": BIG})

    def _killed(self, number):
        out, waiting = self._out(), threading.Event()
        with self._hub() as hub:
            def behave(handler, name):
                if name != "model.safetensors":
                    return False
                handler.send_response(200)
                hub.headers(handler, name)
                handler.send_header("Content-Length", str(len(BIG)))
                handler.end_headers()
                handler.wfile.write(BIG[:200000])
                handler.wfile.flush()
                waiting.wait(20)
                return True
            hub.behave = behave
            part = out + ".partial/model.safetensors.part"
            process = subprocess.Popen([support.NERSWEEP, "fetch", REPOSITORY, "--out", out], stderr=subprocess.PIPE, text=True,
                                       env={**os.environ, **self._environment(hub)})
            support.wait_for(lambda: os.path.exists(part) and os.path.getsize(part) == 200000, 20, "the first half")
            if number == signal.SIGINT: # somebody else with the same folder
                expect(self._fetch(hub, out), 75, r"another nersweep fetch")
            process.send_signal(number)
            error = process.communicate(timeout=20)[1]
            waiting.set()
            assert not os.path.exists(out)
            hub.behave = None
            self._fetch(hub, out, code=0)
            assert hub.of("model.safetensors")[-1]["Range"] == "bytes=200000-"
        self._check(out, {**self.small, "model.safetensors": BIG})
        return process.returncode, error

    def killed_at_any_time_it_goes_on(self):
        assert self._killed(signal.SIGKILL)[0] == -signal.SIGKILL

    def interrupted_it_says_so_and_goes_on(self):
        code, error = self._killed(signal.SIGINT)
        assert code == 130 and "goes on from there" in error, (code, error)

    def another_repository_in_the_same_folder_starts_anew(self):
        out = self._out()
        with self._hub() as hub, self._hub(weights=BIG[::-1]) as other:
            self._breaks_off(hub, 1)
            self._fetch(hub, out, "--retries", "0", code=75)
            self._fetch(other, out, code=0)
            assert "Range" not in other.of("model.safetensors")[0] and len(other.of("config.json")) == 1
        self._check(out, {**self.small, "model.safetensors": BIG[::-1]})

    def a_folder_that_is_there_is_left_alone(self):
        out = self._out()
        os.makedirs(out)
        with self._hub() as hub:
            expect(self._fetch(hub, out), 1, r"is there already")
            assert not hub.requests and os.listdir(out) == []

    def wrong_usage_is_said(self):
        with self._hub() as hub:
            environment = self._environment(hub)
            for arguments, pattern in (((), r"exactly one"), (("a", "b", "--out", "x"), r"exactly one"), (("a/b",), r"--out"),
                                       (("../etc", "--out", "x"), r"no repository"), (("a/b/c", "--out", "x"), r"no repository"),
                                       (("a/b?c", "--out", "x"), r"no repository"), (("a/b", "--out", "x", "--revision", "../../x"), r"no revision")):
                expect(support.run("fetch", *arguments, code=None, environment=environment), 2, pattern)
            expect(support.run("fetch", "a/b", "--out", "x", code=None, environment={**environment, "HF_ENDPOINT": "ftp://x"}), 2, r"HF_ENDPOINT")
            expect(support.run("fetch", "a/b", "--out", "x", code=None, environment={**environment, "HF_TOKEN": "a\nb"}), 2, r"HF_TOKEN")
            assert not hub.requests and not os.path.exists("x.partial")


def main():
    folder = tempfile.mkdtemp(prefix="nersweep-fetch-")
    wanted, passed, failed = sys.argv[1:], 0, 0
    try:
        fetch = Fetch(folder)
        for name in [n for n, value in vars(Fetch).items() if callable(value) and not n.startswith("_")]:
            if wanted and name not in wanted:
                continue
            try:
                getattr(fetch, name)()
                passed += 1
                print("passed:", name, flush=True)
            except (AssertionError, subprocess.TimeoutExpired, OSError, KeyError, IndexError) as error:
                failed += 1
                print("FAILED:", name, repr(error)[:3000], flush=True)
    finally:
        shutil.rmtree(folder)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
