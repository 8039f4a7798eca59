"""Source `archive`: files come whole and right, or not at all and with one clear reason."""

import csv
import functools
import hashlib
import http.server
import shutil
import socket
import threading
import time

import pytest

from headscarp.errors import HeadscarpError
from headscarp.sources import downloads
from headscarp.sources.archive import ArchiveFile, fetch_archive_file, is_reachable, read_table
from headscarp.sources.downloads import addresses_of
from tests.conftest import REPOSITORY

TABLE = REPOSITORY / "workflow" / "cards" / "archive" / "iburi2018.csv"
CONTENT = bytes(range(256)) * 3000
HEADER = "name,url,bytes,sha256,licence,citation\n"


@pytest.fixture(autouse=True)
def _no_proxy_and_no_waiting(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(downloads, "FIRST_WAIT_S", 0.001)


def file_at(url, content=CONTENT, name="data.bin"):
    return ArchiveFile(name, url, len(content), hashlib.sha256(content).hexdigest(), "CC0", "somebody")


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by the last part of the path: what can go wrong on a server."""

    def do_GET(self):
        kind = self.path.rsplit("/", 1)[-1]
        if kind == "absent":
            return self.send_error(404, "Not Found")
        body = {"wrong": b"\xff" + CONTENT[1:], "longer": CONTENT + b"x"}.get(kind, CONTENT)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[: len(body) // 2] if kind == "truncated" else body)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    """Start servers on 127.0.0.1; returns the address of each."""
    servers = []

    def start(handler):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def closed():
    """An address where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def put(folder, url, content):
    path = folder / url.split("://", 1)[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def left_in(folder):
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def test_a_file_comes_from_its_own_address(serve, tmp_path):
    fetch_archive_file(file_at(serve(Handler) + "/good"), tmp_path / "raw" / "data.bin", None, timeout=5)
    assert (tmp_path / "raw" / "data.bin").read_bytes() == CONTENT
    assert left_in(tmp_path / "raw") == ["data.bin"]


def test_the_mirror_folder_comes_first_with_the_percent_encoded_path(closed, tmp_path):
    url = closed + "/shp/%E5%88%A4%E8%AA%AD.zip"
    put(tmp_path / "mirror", url, CONTENT)
    fetch_archive_file(file_at(url), tmp_path / "raw" / "data.bin", str(tmp_path / "mirror"), timeout=5)
    assert (tmp_path / "raw" / "data.bin").read_bytes() == CONTENT


def test_a_mirror_on_a_server(serve, closed, tmp_path):
    fetch_archive_file(
        file_at(closed + "/any/good"), tmp_path / "data.bin", serve(Handler) + "/cache/", timeout=5
    )
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


def test_a_mirror_folder_behind_a_plain_file_server(serve, closed, tmp_path):
    url = closed + "/shp/%E5%88%A4.zip"
    put(tmp_path / "mirror", url, CONTENT)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    mirror = serve(functools.partial(Quiet, directory=str(tmp_path / "mirror")))
    fetch_archive_file(file_at(url), tmp_path / "data.bin", mirror, timeout=5)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("damaged", [b"\xff" + CONTENT[1:], CONTENT[:1000]])
def test_a_corrupt_mirror_falls_through_to_the_origin(serve, tmp_path, damaged):
    url = serve(Handler) + "/good"
    put(tmp_path / "mirror", url, damaged)
    fetch_archive_file(file_at(url), tmp_path / "data.bin", str(tmp_path / "mirror"), timeout=5)
    assert (tmp_path / "data.bin").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("truncated", "truncated"),
        ("wrong", f"checksum failure, expected SHA-256 {hashlib.sha256(CONTENT).hexdigest()}, got "),
        ("longer", f"more than the expected {len(CONTENT)} bytes"),
        ("absent", "the server answered 404"),
    ],
)
def test_what_a_server_can_do_wrong(serve, tmp_path, kind, reason):
    url = f"{serve(Handler)}/{kind}"
    with pytest.raises(HeadscarpError) as caught:
        fetch_archive_file(file_at(url), tmp_path / "raw" / "data.bin", None, timeout=5)
    message = str(caught.value)
    assert (
        "data.bin could not be fetched" in message
        and f"{url}: {reason}" in message
        and "HEADSCARP_MIRROR" in message
    )
    assert left_in(tmp_path / "raw") == []


def test_all_that_was_tried_is_named(closed, tmp_path):
    url = closed + "/data.bin"
    put(tmp_path / "mirror", url, b"\xff" + CONTENT[1:])
    with pytest.raises(HeadscarpError, match=r"mirror.*checksum failure.*; http.*: no connection") as caught:
        fetch_archive_file(file_at(url), tmp_path / "data.bin", str(tmp_path / "mirror"), timeout=5)
    assert str(caught.value).count("\n") == 0
    (tmp_path / "mirror" / url.split("://", 1)[1]).unlink()
    with pytest.raises(HeadscarpError, match="no such file"):
        fetch_archive_file(file_at(url), tmp_path / "data.bin", str(tmp_path / "mirror"), timeout=5)
    assert left_in(tmp_path) == ["mirror"]


def test_a_sound_file_is_kept_and_a_bad_one_replaced(serve, closed, tmp_path):
    target = tmp_path / "data.bin"
    target.write_bytes(CONTENT)
    fetch_archive_file(file_at(closed + "/data.bin"), target, None, timeout=5)
    target.write_bytes(b"half")
    with pytest.raises(HeadscarpError):
        fetch_archive_file(file_at(closed + "/data.bin"), target, None, timeout=5)
    assert target.read_bytes() == b"half"
    fetch_archive_file(file_at(serve(Handler) + "/good"), target, None, timeout=5)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,url,bytes,licence,citation\n", "the column sha256 is missing"),
        (HEADER + "a,http://x/a,1,ff,,x\n", "line 2: licence is empty"),
        (HEADER + "a,http://x/a,many,ff,CC0,x\n", "bytes 'many' is not a whole number"),
        (HEADER + "a,http://x/a,1,ff,CC0,x\n" * 2, "a second file is called 'a'"),
    ],
)
def test_a_bad_table_is_refused(tmp_path, text, message):
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(HeadscarpError, match=message):
        read_table(tmp_path / "table.csv")


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(HeadscarpError, match="does not exist"):
        read_table(tmp_path / "table.csv")


def test_reachable(serve, closed, tmp_path):
    server = serve(Handler)
    here, gone = {"data.bin": file_at(server + "/good")}, {"data.bin": file_at(closed + "/good")}
    raw = tmp_path / "raw"
    assert is_reachable(here, None, raw, timeout=5)
    assert not is_reachable({"data.bin": file_at(server + "/absent")}, None, raw, timeout=5)
    assert not is_reachable(gone, None, raw, timeout=5)
    assert is_reachable(gone, server, raw, timeout=5)
    assert not is_reachable(gone, str(tmp_path / "mirror"), raw, timeout=5)
    put(tmp_path / "mirror", gone["data.bin"].url, CONTENT)
    assert is_reachable(gone, str(tmp_path / "mirror"), raw, timeout=5)
    raw.mkdir()
    (raw / "data.bin").write_bytes(CONTENT)
    assert is_reachable(gone, None, raw, timeout=5)


def test_a_silent_server_is_given_up(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/data.bin"
        start = time.monotonic()
        assert not is_reachable({"data.bin": file_at(url)}, None, tmp_path, timeout=0.3)
        with pytest.raises(HeadscarpError, match="timed out"):
            fetch_archive_file(file_at(url), tmp_path / "data.bin", None, timeout=0.3)
        assert time.monotonic() - start < 5


def test_the_table_of_iburi_agrees_with_the_mirror(real_data, closed, tmp_path):
    with open(real_data("mirror") / "FILES.csv", newline="", encoding="utf-8") as stream:
        upstream = {line["url"]: line for line in csv.DictReader(stream)}
    table = read_table(TABLE)
    for file in table.values():
        assert (str(file.bytes), file.sha256, file.licence) == tuple(
            upstream[file.url][key] for key in ("bytes", "sha256", "licence")
        )
        assert addresses_of(file.url, "mirror")[0] == f"mirror/{upstream[file.url]['path']}"
    mirror = str(real_data("mirror"))
    assert is_reachable(table, mirror, tmp_path)
    fetch_archive_file(table["landslides.zip"], tmp_path / "landslides.zip", mirror)
    shutil.unpack_archive(tmp_path / "landslides.zip", tmp_path / "shapes")
    assert list((tmp_path / "shapes").rglob("*.shp"))
