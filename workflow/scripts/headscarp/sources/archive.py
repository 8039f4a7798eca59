"""Source `archive`: files of a published data set, from a mirror or from their own address, each checked
against its SHA-256."""

import csv
import http.client
import threading
import time
import urllib.request
from dataclasses import dataclass, fields
from pathlib import Path

from headscarp.errors import HeadscarpError
from headscarp.sources import downloads
from headscarp.sources.downloads import RemoteFile, addresses_of, has_size, is_offline


@dataclass(frozen=True)
class ArchiveFile:
    """One file of a data table: its local name, where it comes from, and what its content must be."""

    name: str
    url: str
    bytes: int
    sha256: str
    licence: str
    citation: str

    @property
    def remote(self) -> RemoteFile:
        return RemoteFile(self.name, self.url, self.bytes, self.sha256)


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
                raise HeadscarpError(
                    f"{path}: the column {missing[0]} is missing; the header must be {','.join(columns)}"
                )
            for line in reader:
                if empty := [column for column in columns if not line[column]]:
                    raise HeadscarpError(f"{path}, line {reader.line_num}: {empty[0]} is empty; fill it in")
                if not line["bytes"].isdigit():
                    raise HeadscarpError(
                        f"{path}, line {reader.line_num}: bytes "
                        f"'{line['bytes']}' is not a whole number; correct it"
                    )
                if line["name"] in table:
                    raise HeadscarpError(
                        f"{path}, line {reader.line_num}: a second "
                        f"file is called '{line['name']}'; rename one"
                    )
                table[line["name"]] = ArchiveFile(
                    **{column: line[column] for column in columns} | {"bytes": int(line["bytes"])}
                )
    except FileNotFoundError:
        raise HeadscarpError(
            f"the data table {path} does not exist; correct `archive:` in the card"
        ) from None
    return table


def fetch_archive_file(
    file: ArchiveFile, target: str | Path, mirror: str | None, timeout: float = 30.0
) -> None:
    """Put a file at `target`, from the mirror or else from its own address; nothing is left there unless size
    and SHA-256 are right.

    A file that is there already and right is kept. Arguments and errors are those of
    `headscarp.sources.downloads.fetch`.
    """
    downloads.fetch(file.remote, target, mirror, timeout=timeout)


def is_reachable(
    table: dict[str, ArchiveFile], mirror: str | None, raw_folder: str | Path, timeout: float = 3.0
) -> bool:
    """Whether the files of a table can be had: each is in `raw_folder` or in the mirror, or else the first
    one's address answers in time.

    Only a folder is searched file by file; a server (of the mirror or of the publisher) is asked for one
    file.
    """
    absent = [file for file in table.values() if not has_size(Path(raw_folder) / file.name, file.bytes)]
    if mirror and "://" not in mirror:
        absent = [
            file for file in absent if not has_size(Path(addresses_of(file.url, mirror)[0]), file.bytes)
        ]
    if not absent or is_offline():
        return not absent
    addresses = [address for address in addresses_of(absent[0].url, mirror) if "://" in address]
    answers: list[bool] = []
    askers = [
        threading.Thread(
            target=lambda address=address: answers.append(answers_at(address, timeout)), daemon=True
        )
        for address in addresses
    ]
    for asker in askers:
        asker.start()
    deadline = time.monotonic() + timeout
    for asker in askers:  # a thread, since looking up a name obeys no timeout
        asker.join(max(0.0, deadline - time.monotonic()))
    return any(answers)


def answers_at(url: str, timeout: float) -> bool:
    """Whether a server has something at `url`."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=timeout):
            return True
    except (OSError, http.client.HTTPException, ValueError):
        return False
