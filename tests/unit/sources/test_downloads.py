"""One file from a server that fails in every way: it ends in the right file or in one clear error, never in a
bad file."""

import email.utils
import hashlib
import http.server
import multiprocessing
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.parse
from collections import namedtuple
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headscarp import files
from headscarp.errors import HeadscarpError
from headscarp.files import DiskFullError
from headscarp.sources import downloads
from headscarp.sources.archive import ArchiveFile, is_reachable
from headscarp.sources.downloads import RemoteFile, describe_missing, fetch, missing_files, read_ledger
from tests.conftest import REPOSITORY

CONTENT = bytes(range(256)) * 3000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """No proxy, no mirror, and no waiting; the seconds that would have been waited."""
    slept = []
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("HEADSCARP_OFFLINE", raising=False)
    monkeypatch.setattr(
        downloads, "time", SimpleNamespace(sleep=slept.append, time=time.time, monotonic=time.monotonic)
    )
    return slept


class Server(http.server.ThreadingHTTPServer):
    """Serves `content` with ranges; `faults` are used up one a request: a status, (status, headers), or
    ("reset" | "cut", bytes sent)."""

    daemon_threads = True

    def __init__(self, content=CONTENT):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.faults, self.ranges = content, [], []
        self.has_ranges, self.headers, self.delay = True, {"ETag": '"1"'}, 0.0
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def handle_error(self, *_):
        pass

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/a/data.bin"

    def file(self, **known):
        return RemoteFile("data.bin", self.url, **known)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.ranges.append(wanted)
        time.sleep(server.delay)
        fault = server.faults.pop(0) if server.faults else ("cut", len(server.content) + 1)
        if isinstance(fault, int):
            fault = (fault, {})
        if isinstance(fault[0], int):
            return self.answer(*fault, b"")
        condition = self.headers.get("If-Range")
        if (
            wanted
            and server.has_ranges
            and condition in (None, server.headers.get("ETag"), server.headers.get("Last-Modified"))
        ):
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            if start >= len(server.content):
                return self.answer(416, {}, b"")
            size = len(server.content)
            self.answer(
                206,
                {"Content-Range": f"bytes {start}-{size - 1}/{size}"} | server.headers,
                server.content[start:],
                fault,
            )
        else:
            self.answer(200, server.headers, server.content, fault)

    def answer(self, status, headers, body, fault=("cut", None)):
        how, count = fault
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:count])
        self.wfile.flush()
        if how == "reset":
            time.sleep(0.2)  # so that the bytes are read before the connection breaks
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    made = Server()
    yield made
    made.shutdown()
    made.server_close()


def left_in(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def target(tmp_path):
    return tmp_path / "raw" / "data.bin"


def is_whole(target):
    return target.read_bytes() == CONTENT and left_in(target.parent) == ["data.bin"]


def refuse(file, target, *arguments, **named):
    with pytest.raises(HeadscarpError) as caught:
        fetch(file, target, *(arguments or (None,)), **named)
    assert not target.exists() and "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("how", ["reset", "cut"])
@pytest.mark.parametrize("known", [{}, {"sha256": SHA256}])
def test_a_broken_connection_is_resumed(server, target, how, known):
    server.faults = [(how, 200_000)]
    fetch(server.file(**known), target, None)
    assert is_whole(target)
    assert server.ranges[0] is None and len(server.ranges) == 2
    start = int(re.fullmatch(r"bytes=(\d+)-", server.ranges[1])[1])
    assert start == 200_000 if how == "cut" else 0 < start <= 200_000


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(breaks=st.lists(st.integers(0, len(CONTENT) - 1), max_size=4), etag=st.booleans())
def test_wherever_the_connection_breaks(tmp_path_factory, breaks, etag):
    server, target = Server(), tmp_path_factory.mktemp("broken") / "data.bin"
    server.headers = {"ETag": '"1"'} if etag else {}
    server.faults = [("cut", count) for count in breaks]
    try:
        fetch(server.file(sha256=SHA256), target, None)
    finally:
        server.shutdown()
        server.server_close()
    assert is_whole(target) and (etag or set(server.ranges) == {None})


def test_the_next_call_goes_on_from_the_part(server, target):
    server.faults = [("cut", 400_000)] + [503] * downloads.ATTEMPTS
    message = refuse(server.file(), target)
    assert "the server answered 503" in message and "The 400000 bytes that came are kept" in message
    assert left_in(target.parent) == [".data.bin.part", ".data.bin.part.json"]
    del server.faults[:], server.ranges[:]
    fetch(server.file(), target, None)
    assert is_whole(target) and server.ranges == ["bytes=400000-"]


def test_a_killed_process_leaves_a_part_to_go_on_from(server, target):
    code = (
        "import sys, os; sys.path.insert(0, sys.argv[1])\n"
        "from headscarp.sources import downloads\n"
        "downloads.time.sleep = lambda seconds: os.kill(os.getpid(), 9)\n"
        "downloads.fetch(downloads.RemoteFile('data.bin', sys.argv[2]), sys.argv[3], None)\n"
    )
    server.faults = [("cut", 500_000)]
    done = subprocess.run(
        [sys.executable, "-c", code, str(REPOSITORY / "workflow" / "scripts"), server.url, str(target)]
    )
    assert done.returncode == -9 and not target.exists()
    fetch(server.file(), target, None)
    assert is_whole(target) and server.ranges == [None, "bytes=500000-"]


@pytest.mark.parametrize("has_etag", [True, False])
def test_a_server_without_ranges_starts_afresh(server, target, has_etag):
    server.has_ranges, server.headers, server.faults = (
        False,
        {"ETag": '"1"'} if has_etag else {},
        [("cut", 500_000)],
    )
    fetch(server.file(), target, None)
    assert is_whole(target) and server.ranges == [None, "bytes=500000-" if has_etag else None]


@pytest.mark.parametrize("tag", [{"ETag": '"2"'}, {"Last-Modified": "Fri, 20 Nov 2026 10:00:00 GMT"}])
@pytest.mark.parametrize("size", [len(CONTENT), 450_000, 350_000])
def test_a_file_that_changed_in_between_starts_afresh(server, target, tag, size):
    old = {next(iter(tag)): '"1"' if "ETag" in tag else "Thu, 19 Nov 2026 10:00:00 GMT"}
    server.content, server.headers, server.faults = (
        b"\xff" * len(CONTENT),
        old,
        [("cut", 400_000)] + [500] * downloads.ATTEMPTS,
    )
    refuse(server.file(), target)
    server.content, server.headers, server.faults = CONTENT[:size], tag, []
    del server.ranges[:]
    fetch(server.file(), target, None)
    assert target.read_bytes() == CONTENT[:size] and left_in(target.parent) == ["data.bin"]
    # whose If-Range is not fulfilled, so that the answer is the whole new file
    assert server.ranges == ["bytes=400000-"]


@pytest.mark.parametrize("size", [len(CONTENT), 1_000_000, 450_000, 350_000])
@pytest.mark.parametrize("etag", ['"2"', None])
def test_a_change_is_noticed_where_the_server_ignores_if_range(server, target, monkeypatch, size, etag):
    monkeypatch.setattr(
        Handler,
        "headers",
        property(lambda self: without_condition(self.__dict__["headers"]), set_headers),
        raising=False,
    )
    server.content, server.faults = b"\xff" * len(CONTENT), [("cut", 400_000)] + [500] * downloads.ATTEMPTS
    refuse(server.file(), target)
    server.content, server.headers, server.faults = (CONTENT * 2)[:size], {"ETag": etag}, []
    is_seen = etag or size != len(CONTENT)  # otherwise the checksum tells
    fetch(server.file(sha256=None if is_seen else SHA256), target, None)
    assert target.read_bytes() == server.content and left_in(target.parent) == ["data.bin"]
    assert server.ranges[-1] is None


def set_headers(handler, headers):
    handler.__dict__["headers"] = headers


def without_condition(headers):
    del headers["If-Range"]
    return headers


def test_a_part_of_another_place_is_not_used(server, target):
    server.faults = [("cut", 400_000)] + [500] * downloads.ATTEMPTS
    refuse(server.file(), target)
    del server.faults[:], server.ranges[:]
    other = RemoteFile("data.bin", server.url.replace("/a/", "/b/"))
    fetch(other, target, None)
    assert is_whole(target) and server.ranges == [None]


def test_too_many_requests_are_waited_for(server, target, waits):
    date = email.utils.formatdate(time.time() + 50, usegmt=True)
    answers = [(429, "7"), (503, date), (429, "99999"), (429, "?")]
    server.faults = [(status, {"Retry-After": value}) for status, value in answers]
    fetch(server.file(sha256=SHA256), target, None)
    assert is_whole(target)
    assert (
        waits[0] == 7 and 48 < waits[1] <= 50 and waits[2] == downloads.LONGEST_WAIT_S and 8 <= waits[3] <= 10
    )


def test_500_then_success(server, target, waits):
    server.faults = [500, 502, 504]
    fetch(server.file(sha256=SHA256), target, None)
    assert is_whole(target) and len(server.ranges) == 4
    assert all(base <= wait <= 1.25 * base for wait, base in zip(waits, (1, 2, 4), strict=True))


def test_always_500(server, target, waits):
    server.faults = [500] * 99
    message = refuse(server.file(sha256=SHA256), target)
    assert f"{server.url}: the server answered 500 Internal Server Error, in 5 attempts" in message
    assert len(server.ranges) == downloads.ATTEMPTS == len(waits) + 1 and left_in(target.parent) == []


def test_a_slow_large_file_is_not_given_up_while_it_grows(server, target):
    server.content = bytes(9 << 20)
    server.faults = [("cut", (1 << 20) + 1)] * 8
    fetch(server.file(), target, None)
    assert target.stat().st_size == 9 << 20 and len(server.ranges) == 9


@pytest.mark.parametrize("status", [403, 404, 410])
def test_what_does_not_pass_is_asked_once(server, target, status):
    server.faults = [status]
    assert f"the server answered {status}" in refuse(server.file(), target)
    assert len(server.ranges) == 1 and left_in(target.parent) == []


@pytest.mark.parametrize("known", [{"sha256": "0" * 64}, {"md5": "0" * 32}])
def test_a_wrong_checksum_leaves_nothing(server, target, known):
    message = refuse(server.file(**known), target)
    name, got = ("SHA-256", SHA256) if "sha256" in known else ("MD5", hashlib.md5(CONTENT).hexdigest())
    assert (
        f"checksum failure, expected {name} {'0' * (64 if 'sha256' in known else 32)}, got {got}" in message
    )
    assert left_in(target.parent) == []


def test_a_bad_part_is_thrown_away_and_the_file_fetched_afresh(server, target):
    server.faults = [("cut", 400_000)] + [500] * downloads.ATTEMPTS
    refuse(server.file(), target)
    (target.parent / ".data.bin.part").write_bytes(bytes(400_000))
    del server.faults[:], server.ranges[:]
    fetch(server.file(sha256=SHA256), target, None)
    assert is_whole(target) and server.ranges == ["bytes=400000-", None]


def test_a_truncated_file(server, target):
    server.has_ranges, server.faults = False, [("cut", 1000)] * 99
    message = refuse(server.file(sha256=SHA256), target)
    assert f"truncated, 1000 of {len(CONTENT)} bytes, in 5 attempts" in message
    # the end of the connection looks like the end of the file
    server.faults, server.headers = [], {"Content-Length": None}
    server.content = CONTENT[:1000]
    assert "truncated, 1000 of" in refuse(server.file(bytes=len(CONTENT)), target)
    assert "does not tell the size" in refuse(server.file(), target)


@pytest.mark.parametrize(("size", "word"), [(10, "more"), (10**6, "less")])
def test_the_size_is_checked_before(server, target, size, word):
    assert f"{word} than the expected {size} bytes: {len(CONTENT)}" in refuse(server.file(bytes=size), target)
    assert left_in(target.parent) == []


def test_a_web_page_is_not_taken_for_a_file(server, target):
    server.headers = {"Content-Type": "text/html; charset=utf-8"}
    assert "answered with a web page" in refuse(server.file(), target)
    fetch(server.file(sha256=SHA256), target, None)
    assert is_whole(target)


@pytest.mark.parametrize("kind", ["ftp", "file"])
def test_other_addresses_are_refused(target, kind):
    assert "only http and https" in refuse(RemoteFile("data.bin", f"{kind}://127.0.0.1/data.bin"), target)


def test_an_empty_file_is_no_file(server, target, tmp_path):
    content, server.content = server.content, b""
    assert f"{server.url}: the file is empty" in refuse(
        server.file(), target, None, tmp_path / "checksums.csv"
    )
    server.content = content
    target.touch()
    fetch(server.file(), target, mirror_of(server, tmp_path, b""))
    assert is_whole(target) and not (tmp_path / "checksums.csv").exists()


def test_a_path_is_no_address(target, tmp_path):
    (tmp_path / "data.bin").write_bytes(CONTENT)
    assert "is no address; begin it with https://" in refuse(
        RemoteFile("data.bin", str(tmp_path / "data.bin")), target
    )


def test_the_log_tells_how_far_it_is(server, target, monkeypatch, caplog):
    monkeypatch.setattr(downloads, "SECONDS_BETWEEN_LINES", 0.0)
    with caplog.at_level("INFO"):
        fetch(server.file(), target, None)
    assert caplog.messages[-1] == "data.bin: 0.8 of 0.8 MB"


def test_there_is_no_room(server, target, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage(len(CONTENT) - 1))
    with pytest.raises(DiskFullError, match=r"no room for data\.bin: it needs 0\.001 GB"):
        fetch(server.file(), target, None)
    assert left_in(target.parent) == []
    monkeypatch.undo()
    fetch(server.file(), target, None)
    assert is_whole(target)


FULL_DISK = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from headscarp.files import DiskFullError
from headscarp.sources.downloads import RemoteFile, fetch
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    fetch(RemoteFile("data.bin", sys.argv[2]), sys.argv[3], sys.argv[4] or None)
except DiskFullError as error:
    print(error)
"""


@pytest.mark.parametrize("from_mirror", [False, True])
def test_a_full_disk_leaves_nothing(server, target, tmp_path, from_mirror):
    mirror = mirror_of(server, tmp_path) if from_mirror else ""
    arguments = [str(REPOSITORY / "workflow" / "scripts"), server.url, str(target), mirror]
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(
        f"the disk is full: {target} could not be written and nothing was left of it; free some space"
    )
    assert left_in(target.parent) == [] and len(server.ranges) == (not from_mirror)


def mirror_of(server, tmp_path, content=CONTENT):
    path = tmp_path / "mirror" / server.url.split("://")[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(tmp_path / "mirror")


def race(url, target, ledger, barrier):
    barrier.wait()
    fetch(RemoteFile("data.bin", url), target, None, ledger)


@pytest.mark.parametrize("kind", [multiprocessing.Process, threading.Thread])
def test_two_that_race_for_one_file_download_it_once(server, target, tmp_path, kind):
    server.delay = 0.2
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(3)
    kind = context.Process if kind is multiprocessing.Process else kind
    racers = [
        kind(target=race, args=(server.url, target, tmp_path / "checksums.csv", barrier)) for _ in range(3)
    ]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(20)
    assert all(getattr(racer, "exitcode", 0) == 0 for racer in racers)
    assert is_whole(target) and server.ranges == [None] and len(read_ledger(tmp_path / "checksums.csv")) == 1


def test_an_unknown_checksum_is_recorded_and_enforced(server, target, tmp_path):
    ledger = tmp_path / "records" / "checksums.csv"
    fetch(server.file(), target, None, ledger)
    today = time.strftime("%Y-%m-%d", time.gmtime())
    assert ledger.read_text().splitlines() == [
        "url,bytes,sha256,first_seen",
        f"{server.url},{len(CONTENT)},{SHA256},{today}",
    ]
    target.unlink()
    fetch(server.file(), target, None, ledger)
    target.unlink()
    server.content = b"\xff" + CONTENT[1:]
    message = refuse(server.file(), target, None, ledger=ledger)
    assert f"expected SHA-256 {SHA256}, got {hashlib.sha256(server.content).hexdigest()}" in message
    assert (
        f"if the publisher really changed it, delete the line of {server.url} from {ledger} and run again"
        in message
    )
    assert left_in(target.parent) == []
    ledger.write_text("".join(line for line in ledger.read_text().splitlines(True) if server.url not in line))
    fetch(server.file(), target, None, ledger)
    assert target.read_bytes() == server.content and ledger.read_text().count(server.url) == 1


def test_a_known_checksum_needs_no_record(server, target, tmp_path):
    fetch(server.file(sha256=SHA256), target, None, tmp_path / "checksums.csv")
    assert not (tmp_path / "checksums.csv").exists()
    fetch(server.file(md5=hashlib.md5(CONTENT).hexdigest()), target, None, tmp_path / "checksums.csv")
    assert read_ledger(tmp_path / "checksums.csv")[server.url]["sha256"] == SHA256


@pytest.mark.parametrize(
    "text", ["url,sha256\n", f"url,bytes,sha256,first_seen\nhttp://x/a,5,{'z' * 64},2026-01-01\n"]
)
def test_a_spoilt_ledger_is_refused(server, target, tmp_path, text):
    (tmp_path / "checksums.csv").write_text(text)
    assert str(tmp_path / "checksums.csv") in refuse(
        server.file(), target, None, ledger=tmp_path / "checksums.csv"
    )


def test_without_a_network(server, target, tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSCARP_OFFLINE", "1")
    for mirror in (None, str(tmp_path / "mirror"), server.url.replace("/a/data.bin", "")):
        message = refuse(server.file(), target, mirror)
        assert (
            "HEADSCARP_OFFLINE" in message
            and f"curl -L -C - --fail --create-dirs -o {target} {server.url}" in message
        )
    fetch(server.file(), target, mirror_of(server, tmp_path))
    assert is_whole(target)
    fetch(server.file(), target, None)
    assert not is_reachable(
        {"data.bin": ArchiveFile("data.bin", server.url, 5, SHA256, "CC0", "somebody")}, None, tmp_path
    )
    assert server.ranges == []


def test_missing_files_and_their_commands(tmp_path):
    folder = tmp_path / "my downloads"
    here, mirrored, short, absent = (
        (RemoteFile(f"{name}.tif", f"https://example.org/d/{name}.tif?x=1&y=2", size), folder / f"{name}.tif")
        for name, size in (("here", 4), ("mirrored", None), ("short", 5), ("absent", None))
    )
    folder.mkdir()
    for file, path in (here, short):
        path.write_bytes(b"four")
        assert file.bytes
    mirror = tmp_path / "mirror" / "example.org" / "d"
    mirror.mkdir(parents=True)
    (mirror / "mirrored.tif?x=1&y=2").write_bytes(b"12")
    wanted = [here, mirrored, short, absent]
    assert missing_files(wanted, str(tmp_path / "mirror")) == [short, absent]
    assert (
        missing_files(wanted, None)
        == missing_files(wanted, "https://mirror.org")
        == [mirrored, short, absent]
    )
    text = describe_missing([short, absent], str(tmp_path / "mirror"))
    assert text.count("curl ") == 2 and "2 files are missing" in text
    assert f"cp absent.tif '{mirror / 'absent.tif?x=1&y=2'}'" in text
    assert "cp " not in describe_missing([absent], None)


@pytest.mark.skipif(not os.access("/usr/bin/curl", os.X_OK), reason="curl is not installed")
def test_the_command_fetches_the_file(server, tmp_path):
    path = tmp_path / "a b" / "data.bin"
    text = describe_missing([(server.file(), path)], None)
    subprocess.run(["bash", "-c", text.splitlines()[1]], check=True, capture_output=True)
    assert path.read_bytes() == CONTENT and urllib.parse.quote(server.url, safe=":/") in text
