"""Fetching one file: from a mirror or else from its own address, going on where a connection broke; whole and
right, or not at all."""

import csv
import datetime
import email.utils
import hashlib
import http.client
import logging
import os
import random
import re
import shlex
import shutil
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headscarp.errors import HeadscarpError
from headscarp.files import (
    NoRoomError,
    atomic_path,
    is_disk_full,
    read_json,
    remove,
    require_room,
    sha256_of,
    write_json,
)

CHUNK = 1 << 18
TEMPORARY_STATUS_CODES = (429, 500, 502, 503, 504)
TEMPORARY_ERRORS = (
    ConnectionResetError,
    ConnectionAbortedError,
    BrokenPipeError,
    TimeoutError,
    http.client.IncompleteRead,
    ssl.SSLEOFError,
)
ATTEMPTS = 5
ENOUGH_PROGRESS = 1 << 20  # an attempt that adds this many bytes is not counted as failed
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 120.0
SECONDS_BETWEEN_LINES = 30.0
LEDGER_COLUMNS = ["url", "bytes", "sha256", "first_seen"]


@dataclass(frozen=True)
class RemoteFile:
    """A file at an address; what is known beforehand of its content (size in bytes, checksums in hexadecimal)
    is enforced."""

    name: str
    url: str
    bytes: int | None = None
    sha256: str | None = None
    md5: str | None = None

    @property
    def has_checksum(self) -> bool:
        return bool(self.sha256 or self.md5)


class FetchFailed(Exception):
    """An address did not give the file; the text says why."""


class TemporaryFailure(FetchFailed):
    """The same address may give the file later, at best after `wait` seconds."""

    def __init__(self, reason: str, wait: float = 0.0):
        super().__init__(reason)
        self.wait = wait


class FileChanged(TemporaryFailure):
    """The address no longer has the file of which there is a part."""


def fetch(
    file: RemoteFile,
    target: str | Path,
    mirror: str | None,
    ledger: str | Path | None = None,
    timeout: float = 30.0,
) -> None:
    """Put a file at `target`, from the mirror or else from its own address; nothing is left there unless it
    is whole and right.

    A file that is there already and right is kept. What a broken connection gave stays beside the target as
    `.<name>.part`, for the next attempt or call, where the server can go on from it. Of several processes
    that want one target, one downloads.

    Args:
        mirror: folder or URL prefix below which files lie under their URL without its scheme, or None.
        ledger: CSV table of checksums (url,bytes,sha256,first_seen): a file whose SHA-256 is unknown is
            entered there when it comes first, and must stay the same ever after. None: not kept.
        timeout: seconds to wait for an answer of a server.

    Raises:
        HeadscarpError: no address gave the file whole; every one and what was wrong there is named. Or
            HEADSCARP_OFFLINE is set and no folder has it.
        DiskFullError: there is no room for it.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(target):
        known = with_recorded_checksum(file, ledger)
        if is_intact(known, target):
            record_checksum(file, target, ledger)
            return
        failures = []
        for address in addresses_of(file.url, mirror):
            try:
                fetch_from(known, address, target, timeout)
                record_checksum(file, target, ledger)
                return
            except FetchFailed as failure:
                failures.append(f"{address}: {failure}")
        raise HeadscarpError(failure_message(file, known, target, mirror, ledger, failures))


def failure_message(
    file: RemoteFile,
    known: RemoteFile,
    target: Path,
    mirror: str | None,
    ledger: str | Path | None,
    failures: list[str],
) -> str:
    """What was tried to get a file, and what a user can do."""
    text = f"{file.name} could not be fetched and nothing was left at {target}. Tried {'; '.join(failures)}. "
    if is_offline():
        return (
            f"{text}HEADSCARP_OFFLINE forbids the network (`offline: true` in "
            f"config.yaml); where there is one: {command_for(file, target)}"
        )
    part = PartialFile.of(target)
    if part.content.exists():
        text += (
            f"The {part.content.stat().st_size} bytes that came are "
            f"kept in {part.content}; the next run goes on from there. "
        )
    whose = f" (SHA-256 {known.sha256})" if known.sha256 else ""
    text += (
        "Check the network, or set `mirror:` in config.yaml or HEADSCARP_MIRROR to a "
        f"folder or URL with a sound copy, or put the file{whose} at {target} yourself"
    )
    if known.sha256 != file.sha256:
        return (
            f"{text}; if the publisher really changed it, delete "
            f"the line of {file.url} from {ledger} and run again"
        )
    return (
        f"{text}; if the publisher changed it, update the table that states its checksum"
        if file.has_checksum
        else text
    )


def is_offline() -> bool:
    """Whether the environment variable HEADSCARP_OFFLINE forbids the network."""
    return os.environ.get("HEADSCARP_OFFLINE", "") not in ("", "0")


def addresses_of(url: str, mirror: str | None) -> list[str]:
    """Where to look for the file of `url`, in order: in the mirror under the URL without its scheme, then at
    `url` itself.

    Raises:
        HeadscarpError: `url` is none.
    """
    if "://" not in url:
        raise HeadscarpError(
            f"'{url}' is no address; begin it with https://, or name a file of this machine as `path:`"
        )
    if not mirror:
        return [url]
    path = url.split("://", 1)[1]
    if "://" not in mirror:
        return [str(Path(mirror).expanduser() / path), url]
    addresses = [f"{mirror.rstrip('/')}/{path}"]
    # a plain file server decodes the path once, but the files keep the percent signs of the URL in their
    # names
    if "%" in path:
        addresses.append(f"{mirror.rstrip('/')}/{path.replace('%', '%25')}")
    return [*addresses, url]


@contextmanager
def file_lock(target: Path) -> Iterator[None]:
    """Hold the lock of a file, among processes and threads; its lock file is gone afterwards."""
    # here, since the plan reads this module where Snakemake is all that is installed
    from filelock import FileLock

    lock = target.with_name(f".{target.name}.lock")
    with FileLock(lock):
        try:
            yield
        finally:
            # who waits on the removed file notices (it has no links) and takes a new one
            lock.unlink(missing_ok=True)


# --- one address


def fetch_from(file: RemoteFile, address: str, target: Path, timeout: float) -> None:
    """Put the file of one address, checked, at `target`, or raise `FetchFailed`."""
    part = PartialFile.of(target)
    with atomic_path(target) as temporary:
        if "://" not in address:
            copy_from_mirror(file, address, temporary)
            return
        if is_offline():
            raise FetchFailed("not asked, HEADSCARP_OFFLINE is set")
        try:
            download(file, address, part, timeout)
        except BaseException as error:
            # a part left on a full disk would make every other job fail too
            if (
                not part.note.exists()
                or not part.size
                or (is_disk_full(error, target.parent) and not isinstance(error, NoRoomError))
            ):
                part.discard()
            raise
        os.replace(part.content, temporary)
        part.discard()


def copy_from_mirror(file: RemoteFile, address: str, target: Path) -> None:
    """Copy the file of a mirror folder, and check it."""
    try:
        require_room(target.parent, Path(address).stat().st_size, file.name)
        shutil.copyfile(address, target)
    except FileNotFoundError:
        raise FetchFailed("no such file") from None
    except OSError as error:
        if is_disk_full(error, target.parent):
            raise
        raise FetchFailed(f"reading failed ({type(error).__name__}: {error})") from None
    require_intact(file, target)


def download(file: RemoteFile, address: str, part: "PartialFile", timeout: float) -> None:
    """Get all of a URL into the part file, and check it; a bad one is deleted, and once more begun afresh if
    it was of two pieces."""
    pieces = part.size
    download_with_retries(file, address, part, timeout)
    try:
        require_intact(file, part.content)
    except FetchFailed:
        part.discard()
        if not pieces:
            raise
        download(file, address, part, timeout)


def download_with_retries(file: RemoteFile, address: str, part: "PartialFile", timeout: float) -> None:
    """Get all of a URL into the part file, in several attempts where its server fails for a while."""
    jitter = random.Random(address)  # jobs that fetch different files ask again at different times
    furthest, failed = part.size, 0
    while True:
        try:
            return download_rest(file, address, part, timeout)
        except TemporaryFailure as failure:
            if isinstance(failure, FileChanged):
                part.discard()
            failed = 0 if part.size >= furthest + ENOUGH_PROGRESS else failed + 1
            furthest = max(furthest, part.size)
            if failed == ATTEMPTS:
                raise FetchFailed(f"{failure}, in {ATTEMPTS} attempts") from None
            wait = max(failure.wait, FIRST_WAIT_S * 2 ** max(0, failed - 1) * (1 + jitter.random() / 4))
            logging.warning("%s: %s; asking again in %.1f s", address, failure, min(wait, LONGEST_WAIT_S))
            time.sleep(min(wait, LONGEST_WAIT_S))


def download_rest(file: RemoteFile, address: str, part: "PartialFile", timeout: float) -> None:
    """Ask a server once for all that is not yet in the part file."""
    state = part.state(address)
    count = part.size if state else 0
    total = state.get("bytes")
    if count and count == total:
        return
    with open_response(address, state, count, timeout) as response:
        if response.status == 206:
            if not continues_at(response, state, count):
                raise FileChanged("the file changed on the server")
        else:
            count, total = 0, content_length(response)
            require_expected_length(file, total, response)
            part.begin(address, total, response.headers, file.has_checksum)
        limit = file.bytes if total is None else total
        require_room(part.content.parent, (limit or count) - count, file.name)
        progress = Progress(file.name, count, limit)
        with progress, open(part.content, "ab" if count else "wb") as stream:
            while chunk := read_chunk(response):
                count += len(chunk)
                if limit is not None and count > limit:
                    part.discard()
                    raise FetchFailed(f"more than the expected {limit} bytes")
                stream.write(chunk)
                progress.add(len(chunk))
    if total is not None and count < total:
        raise TemporaryFailure(f"truncated, {count} of {total} bytes")


@contextmanager
def open_response(
    address: str, state: dict[str, Any], start: int, timeout: float
) -> Iterator[http.client.HTTPResponse]:
    """The answer of a server to the wish for the bytes of a URL from `start` on."""
    if not address.startswith(("http://", "https://")):
        raise FetchFailed(
            "only http and https addresses are fetched; name a file of this machine by its path"
        )
    headers = {"User-Agent": "headscarp"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if state["validator"]:
            headers["If-Range"] = state["validator"]
    with as_fetch_failures():
        response = urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=timeout)
    with response:
        yield response


def read_chunk(response: http.client.HTTPResponse) -> bytes:
    with as_fetch_failures():
        return response.read1(CHUNK)  # what has come, since `read` would lose it with the connection


@contextmanager
def as_fetch_failures() -> Iterator[None]:
    """Make a reason of every failure to ask a server."""
    try:
        yield
    except urllib.error.HTTPError as error:
        text = f"the server answered {error.code} {error.reason}"
        if error.code in TEMPORARY_STATUS_CODES:
            raise TemporaryFailure(text, retry_after_seconds(error.headers.get("Retry-After"))) from None
        raise FileChanged(text) if error.code == 416 else FetchFailed(text) from None
    except urllib.error.URLError as error:
        kind = TemporaryFailure if isinstance(error.reason, TEMPORARY_ERRORS) else FetchFailed
        raise kind(f"no connection ({error.reason})") from None
    except TEMPORARY_ERRORS as error:
        raise TemporaryFailure(f"the connection broke ({type(error).__name__}: {error})") from None
    except (http.client.HTTPException, ValueError, OSError) as error:
        raise FetchFailed(f"reading failed ({type(error).__name__}: {error})") from None


def retry_after_seconds(retry_after: str | None) -> float:
    """Seconds to wait by the header Retry-After (RFC 9110, 10.2.3: seconds or a date); 0 where it says
    nothing."""
    if retry_after is None:
        return 0.0
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return 0.0


def continues_at(response: http.client.HTTPResponse, state: dict[str, Any], start: int) -> bool:
    """Whether an answer of status 206 goes on at byte `start` of the same file (RFC 9110, 14.4)."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
    same_size = found and found[2] in ("*", str(state.get("bytes")))
    same_version = validator_of(response.headers) in (None, state.get("validator"))
    return bool(start and found and int(found[1]) == start and same_size and same_version)


def content_length(response: http.client.HTTPResponse) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() and not response.chunked else None


def require_expected_length(file: RemoteFile, total: int | None, response: http.client.HTTPResponse) -> None:
    """Raise `FetchFailed` where the head of an answer tells that its body is not the file, or that nobody
    could tell."""
    if file.bytes is not None and total is not None and total != file.bytes:
        raise FetchFailed(
            f"{'more' if total > file.bytes else 'less'} than the expected {file.bytes} bytes: {total}"
        )
    if file.has_checksum:
        return
    if response.headers.get_content_type() == "text/html" and not file.name.endswith((".html", ".htm")):
        raise FetchFailed("the server answered with a web page, not with the file")
    if total is None and file.bytes is None and not response.chunked:
        raise FetchFailed(
            "the server does not tell the size, so a broken connection "
            "would go unnoticed; state the file's bytes or sha256"
        )


def validator_of(headers: Any) -> str | None:
    """What tells one version of a file from another (RFC 9110, 8.8): its strong ETag, else its date."""
    tag = headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified")


@dataclass(frozen=True)
class PartialFile:
    """What is there of a file so far, and a note of where it came from: {place, validator, bytes}; without
    the note it is useless."""

    content: Path
    note: Path

    @classmethod
    def of(cls, target: Path) -> "PartialFile":
        return cls(target.with_name(f".{target.name}.part"), target.with_name(f".{target.name}.part.json"))

    @property
    def size(self) -> int:
        return self.content.stat().st_size if self.content.exists() else 0

    def state(self, address: str) -> dict[str, Any]:
        """The note, or nothing unless `address` can go on from here."""
        try:
            note = read_json(self.note) if self.note.exists() else {}
        except HeadscarpError:
            return {}
        return note if isinstance(note, dict) and note.get("place") == address and "validator" in note else {}

    def begin(self, address: str, total: int | None, headers: Any, has_checksum: bool) -> None:
        """Start afresh, with a note if the server can go on and it will be noticed when it goes on with
        another version."""
        self.discard()
        ranges, validator = headers.get("Accept-Ranges", ""), validator_of(headers)
        if ranges != "none" and (validator or (has_checksum and ranges == "bytes")):
            write_json(self.note, {"place": address, "validator": validator, "bytes": total})

    def discard(self) -> None:
        remove(self.content)
        remove(self.note)


class Progress:
    """A bar on a terminal, else a line in the log now and then."""

    def __init__(self, name: str, start: int, total: int | None):
        # here, since the plan reads this module where Snakemake is all that is installed
        from tqdm import tqdm

        self.name, self.count, self.total = name, start, total
        self.bar = tqdm(
            total=total,
            initial=start,
            desc=name,
            unit="B",
            unit_scale=True,
            disable=not sys.stderr.isatty(),
            leave=False,
        )
        self.last_line = time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def add(self, count: int) -> None:
        self.bar.update(count)
        self.count += count
        if self.bar.disable and time.monotonic() - self.last_line >= SECONDS_BETWEEN_LINES:
            self.last_line = time.monotonic()
            of_all = f" of {self.total / 1e6:.1f}" if self.total else ""
            logging.info("%s: %.1f%s MB", self.name, self.count / 1e6, of_all)


# --- checksums


def require_intact(file: RemoteFile, path: Path) -> None:
    """Raise `FetchFailed` unless a file is as large as it must be and has the checksums it must have."""
    count = path.stat().st_size
    if file.bytes is None and count == 0:
        raise FetchFailed("the file is empty")
    if file.bytes is not None and count != file.bytes:
        raise FetchFailed(
            f"truncated, {count} of {file.bytes} bytes"
            if count < file.bytes
            else f"more than the expected {file.bytes} bytes"
        )
    for name, expected, measure in (("SHA-256", file.sha256, sha256_of), ("MD5", file.md5, md5_of)):
        got = measure(path) if expected else None
        if expected and got != expected.lower():
            raise FetchFailed(f"checksum failure, expected {name} {expected}, got {got}")


def is_intact(file: RemoteFile, path: Path) -> bool:
    if not has_size(path, file.bytes):
        return False
    try:
        require_intact(file, path)
    except FetchFailed:
        return False
    return True


def has_size(path: Path, size: int | None) -> bool:
    """Whether there is a file of that size, if the size is known."""
    return path.is_file() and (size is None or path.stat().st_size == size)


def md5_of(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def with_recorded_checksum(file: RemoteFile, ledger: str | Path | None) -> RemoteFile:
    """A file whose SHA-256 is unknown with that of the first time it came, if the ledger has it."""
    if file.sha256 or ledger is None:
        return file
    line = read_ledger(ledger).get(file.url)
    if line is None:
        return file
    return replace(file, bytes=int(line["bytes"]), sha256=line["sha256"])


def record_checksum(file: RemoteFile, path: Path, ledger: str | Path | None) -> None:
    """Enter a file whose SHA-256 is unknown in the ledger, unless it is there."""
    if file.sha256 or ledger is None:
        return
    ledger = Path(ledger)
    ledger.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(ledger):
        lines = read_ledger(ledger)
        if file.url in lines:
            return
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        lines[file.url] = {
            "url": file.url,
            "bytes": path.stat().st_size,
            "sha256": sha256_of(path),
            "first_seen": today,
        }
        with atomic_path(ledger) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, LEDGER_COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(lines.values())


def read_ledger(path: str | Path) -> dict[str, dict[str, Any]]:
    """Lines of a ledger (url,bytes,sha256,first_seen) by URL; none where there is no such file.

    Raises:
        HeadscarpError: it has other columns, or a bad line.
    """
    if not Path(path).exists():
        return {}
    with open(path, newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        if reader.fieldnames != LEDGER_COLUMNS:
            raise HeadscarpError(
                f"{path}: the header must be {','.join(LEDGER_COLUMNS)}; "
                "correct it, or delete the file to record anew"
            )
        lines = {}
        for line in reader:
            if not (line["bytes"] or "").isdigit() or not re.fullmatch(r"[0-9a-f]{64}", line["sha256"] or ""):
                raise HeadscarpError(
                    f"{path}, line {reader.line_num}: no size and "
                    "SHA-256 as they were recorded; delete the line"
                )
            lines[line["url"]] = line
    return lines


# --- without a network


def missing_files(
    wanted: Iterable[tuple[RemoteFile, Path]], mirror: str | None
) -> list[tuple[RemoteFile, Path]]:
    """Those of the wanted (file, target) that are neither at their target nor in a mirror folder; a mirror on
    a server does not count."""

    def is_at_hand(file: RemoteFile, target: Path) -> bool:
        folders = (Path(address) for address in addresses_of(file.url, mirror) if "://" not in address)
        return any(has_size(path, file.bytes) for path in (Path(target), *folders))

    return [(file, target) for file, target in wanted if not is_at_hand(file, target)]


def command_for(file: RemoteFile, target: str | Path) -> str:
    """A shell command that fetches a file, going on where it was interrupted."""
    return f"curl -L -C - --fail --create-dirs -o {shlex.quote(str(target))} {shlex.quote(file.url)}"


def describe_missing(missing: list[tuple[RemoteFile, Path]], mirror: str | None) -> str:
    """What a user does about missing files: a command for each, one line a file."""
    lines = [
        f"offline, and {len(missing)} file{'s are' if len(missing) > 1 else ' is'} "
        "missing; where there is a network, run here:"
    ]
    for file, target in missing:
        lines.append(f"  {command_for(file, target)}")
        if mirror and "://" not in mirror:
            lines.append(
                f"    or, if you have {file.name}: cp {file.name} "
                f"{shlex.quote(addresses_of(file.url, mirror)[0])}"
            )
    return "\n".join(lines)
