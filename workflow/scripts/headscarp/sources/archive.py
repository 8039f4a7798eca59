"""Source `archive`: files of a published data set, from a mirror or from their own address, each checked against its SHA-256."""

import csv
import hashlib
import http.client
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from tqdm import tqdm

from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path, sha256_of

CHUNK = 1 << 18


@dataclass(frozen=True)
class ArchiveFile:
    """One file of a data table: its local name, where it comes from, and what its content must be."""

    name: str
    url: str
    bytes: int
    sha256: str
    licence: str
    citation: str


class _Unfetched(Exception):
    """One place did not give the file; the text says why."""


def read_table(path: str | Path) -> dict[str, ArchiveFile]:
    """Read a data table: CSV with the header name,url,bytes,sha256,licence,citation, one line a file.

    Raises:
        HeadscarpError: the table is missing, lacks a column or a value, or has two files of one name.
    """
    columns = [field.name for field in fields(ArchiveFile)]
    table: dict[str, ArchiveFile] = {}
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            if missing := [column for column in columns if column not in (reader.fieldnames or [])]:
                raise HeadscarpError(f"{path}: the column {missing[0]} is missing; the header must be {','.join(columns)}")
            for line in reader:
                if empty := [column for column in columns if not line[column]]:
                    raise HeadscarpError(f"{path}, line {reader.line_num}: {empty[0]} is empty; fill it in")
                if not line["bytes"].isdigit():
                    raise HeadscarpError(f"{path}, line {reader.line_num}: bytes '{line['bytes']}' is not a whole number; correct it")
                if line["name"] in table:
                    raise HeadscarpError(f"{path}, line {reader.line_num}: a second file is called '{line['name']}'; rename one")
                table[line["name"]] = ArchiveFile(**{column: line[column] for column in columns} | {"bytes": int(line["bytes"])})
    except FileNotFoundError:
        raise HeadscarpError(f"the data table {path} does not exist; correct `archive:` in the card") from None
    return table


def fetch(file: ArchiveFile, target: str | Path, mirror: str | None, timeout: float = 30.0) -> None:
    """Put a file at `target`, from the mirror or else from its own address; nothing is left there unless size and SHA-256 are right.

    A file that is there already and right is kept.

    Args:
        mirror: folder or URL prefix below which files lie under their URL without its scheme, or None.
        timeout: seconds to wait for an answer of a server.

    Raises:
        HeadscarpError: no place gave the file whole; every place and what was wrong there is named. Or the disk is full.
    """
    target = Path(target)
    if target.is_file() and target.stat().st_size == file.bytes and sha256_of(target) == file.sha256:
        return
    failures = []
    for place in places_of(file.url, mirror):
        try:
            with atomic_path(target) as temporary:
                download(file, place, temporary, timeout)
            return
        except _Unfetched as failure:
            failures.append(f"{place}: {failure}")
    raise HeadscarpError(
        f"{file.name} could not be fetched and nothing was left at {target}. Tried " + "; ".join(failures) + ". "
        "Check the network, or set `mirror:` in config.yaml or HEADSCARP_MIRROR to a folder or URL with a sound copy, or put "
        f"the file (SHA-256 {file.sha256}) at {target} yourself; if the publisher changed it, update the card's data table"
    )


def places_of(url: str, mirror: str | None) -> list[str]:
    """Where to look for the file of `url`, in order: in the mirror under the URL without its scheme, then at `url` itself."""
    if not mirror:
        return [url]
    path = url.split("://", 1)[1]
    if "://" not in mirror:
        return [str(Path(mirror).expanduser() / path), url]
    places = [f"{mirror.rstrip('/')}/{path}"]
    if "%" in path:  # a plain file server decodes the path once, but the files keep the percent signs of the URL in their names
        places.append(f"{mirror.rstrip('/')}/{path.replace('%', '%25')}")
    return [*places, url]


def download(file: ArchiveFile, place: str, target: Path, timeout: float) -> None:
    """Copy a file from a path or URL to `target`, with a progress bar on a terminal, and check it."""
    digest, count = hashlib.sha256(), 0
    bar = tqdm(total=file.bytes, desc=file.name, unit="B", unit_scale=True, disable=not sys.stderr.isatty(), leave=False)
    with bar, open(target, "wb") as stream:
        for chunk in chunks_of(place, timeout):
            count += len(chunk)
            if count > file.bytes:
                raise _Unfetched(f"more than the expected {file.bytes} bytes")
            stream.write(chunk)
            digest.update(chunk)
            bar.update(len(chunk))
    if count < file.bytes:
        raise _Unfetched(f"truncated, {count} of {file.bytes} bytes")
    if digest.hexdigest() != file.sha256:
        raise _Unfetched(f"checksum failure, expected SHA-256 {file.sha256}, got {digest.hexdigest()}")


def chunks_of(place: str, timeout: float) -> Iterator[bytes]:
    """Content of a path or URL, piece by piece; every failure to read becomes a reason."""
    try:
        with urllib.request.urlopen(place, timeout=timeout) if "://" in place else open(place, "rb") as stream:
            while chunk := stream.read(CHUNK):
                yield chunk
    except FileNotFoundError:
        raise _Unfetched("no such file") from None
    except urllib.error.HTTPError as error:
        raise _Unfetched(f"the server answered {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise _Unfetched(f"no connection ({error.reason})") from None
    except http.client.IncompleteRead as error:
        raise _Unfetched(f"truncated, the connection ended {error.expected or '?'} bytes early") from None
    except (http.client.HTTPException, ValueError, OSError) as error:
        raise _Unfetched(f"reading failed ({type(error).__name__}: {error})") from None


def is_reachable(table: dict[str, ArchiveFile], mirror: str | None, raw_folder: str | Path, timeout: float = 3.0) -> bool:
    """Whether the files of a table can be had: each is in `raw_folder` or in the mirror, or else the first one's address answers in time.

    Only a folder is searched file by file; a server (of the mirror or of the publisher) is asked for one file.
    """
    absent = [file for file in table.values() if not has_size(Path(raw_folder) / file.name, file.bytes)]
    if mirror and "://" not in mirror:
        absent = [file for file in absent if not has_size(Path(places_of(file.url, mirror)[0]), file.bytes)]
    if not absent:
        return True
    places = [place for place in places_of(absent[0].url, mirror) if "://" in place]
    answers: list[bool] = []
    askers = [threading.Thread(target=lambda place=place: answers.append(answers_at(place, timeout)), daemon=True) for place in places]
    for asker in askers:
        asker.start()
    deadline = time.monotonic() + timeout
    for asker in askers:  # a thread, since looking up a name obeys no timeout
        asker.join(max(0.0, deadline - time.monotonic()))
    return any(answers)


def has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def answers_at(url: str, timeout: float) -> bool:
    """Whether a server has something at `url`."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=timeout):
            return True
    except (OSError, http.client.HTTPException, ValueError):
        return False
