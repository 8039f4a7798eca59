"""Registered data sets: what `workflow/datasets.yaml` says of them, the files that they consist of, and
fetching these.

The files of a data set are named in the registry, or listed by the repository that publishes it: Zenodo's
records state size and MD5 of each file, Hugging Face the names in one commit. Such a list is fetched first,
to `record.json` beside the files.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from headscarp.errors import HeadscarpError
from headscarp.sources.downloads import RemoteFile, fetch
from headscarp.sources.unpack import path_inside
from headscarp.vocabulary import check_keys, nearest, require_known
from headscarp.yaml_files import read_yaml

KINDS = ("vectors", "raster", "patch_set")
ORIGINS = ("files", "zenodo", "huggingface")
TEXTS = ("title", "licence", "citation")
RECORD = "record.json"


@dataclass(frozen=True)
class Dataset:
    """A published data set.

    Either `files` are known, or `zenodo` (number of a record) or `huggingface` (owner/name of a data set)
    lists them.
    """

    name: str
    title: str
    kind: str
    licence: str
    citation: str
    files: tuple[RemoteFile, ...]
    zenodo: int | None
    huggingface: str | None
    notes: str

    @property
    def record(self) -> RemoteFile | None:
        """The list of files of the repository that publishes the data set, or None where the registry names
        the files."""
        if self.zenodo is not None:
            return RemoteFile(RECORD, f"https://zenodo.org/api/records/{self.zenodo}")
        if self.huggingface is not None:
            return RemoteFile(RECORD, f"https://huggingface.co/api/datasets/{self.huggingface}")
        return None


def read_datasets(path: str | Path) -> dict[str, Dataset]:
    """Read a registry of data sets: {name: {title, kind, licence, citation, files | zenodo | huggingface,
    notes (optional)}}.

    `files` are [{name, url, bytes (optional), sha256 (optional)}].

    Raises:
        HeadscarpError: the file is missing or not YAML; a key is unknown, missing, given twice, or has a bad
            value.
    """
    path = Path(path)
    if not path.is_file():
        raise HeadscarpError(f"the registry of data sets {path} does not exist; restore it")
    return {
        name: dataset_of(name, record, f"{path.name}, {name}") for name, record in read_yaml(path).items()
    }


def dataset_of(name: str, record: dict[str, Any], place: str) -> Dataset:
    """One entry of the registry, checked."""
    if not isinstance(record, dict):
        raise HeadscarpError(
            f"{place}: an entry has the keys {', '.join((*TEXTS, 'kind'))} "
            f"and one of {', '.join(ORIGINS)}; write them"
        )
    check_keys(record, (*TEXTS, "kind", *ORIGINS, "notes"), (*TEXTS, "kind"), place)
    for key in (*TEXTS, "notes"):
        text = record.get(key, "none")
        if not isinstance(text, str) or not text.strip():
            raise HeadscarpError(f"{place}: {key} is empty or no text; fill it in")
    require_known(record["kind"], KINDS, f"{place}: kind")
    given = [key for key in ORIGINS if key in record]
    if len(given) != 1:
        raise HeadscarpError(
            f"{place}: {' and '.join(given) or 'no origin'} given; name exactly one of {', '.join(ORIGINS)}"
        )
    zenodo, huggingface = record.get("zenodo"), record.get("huggingface")
    if "zenodo" in record and not (isinstance(zenodo, int) and not isinstance(zenodo, bool) and zenodo > 0):
        raise HeadscarpError(
            f"{place}: zenodo '{zenodo}' is not the number of a "
            "record, as in zenodo.org/records/<number>; correct it"
        )
    if "huggingface" in record and not re.fullmatch(r"[\w.-]+/[\w.-]+", str(huggingface)):
        raise HeadscarpError(
            f"{place}: huggingface '{huggingface}' is not "
            "owner/name, as in huggingface.co/datasets/<owner/name>"
        )
    files = files_of(record["files"], place) if "files" in record else ()
    texts = {key: record[key].strip() for key in TEXTS}
    return Dataset(
        name,
        **texts,
        kind=record["kind"],
        files=files,
        zenodo=zenodo,
        huggingface=huggingface,
        notes=record.get("notes", ""),
    )


def files_of(records: list[dict[str, Any]], place: str) -> tuple[RemoteFile, ...]:
    """The files that the registry names for one data set, checked."""
    if not isinstance(records, list) or not records:
        raise HeadscarpError(f"{place}: files is an empty list or none; name at least one file")
    files: dict[str, RemoteFile] = {}
    for number, record in enumerate(records, 1):
        here = f"{place}, file {number}"
        if not isinstance(record, dict):
            raise HeadscarpError(
                f"{here}: a file has the keys name and url, and may have bytes and sha256; write them"
            )
        check_keys(record, ("name", "url", "bytes", "sha256"), ("name", "url"), here)
        name, url, size, sha256 = (record.get(key) for key in ("name", "url", "bytes", "sha256"))
        if not re.fullmatch(r"[^/\\\s]+", str(name)) or name in (".", "..", RECORD):
            raise HeadscarpError(f"{here}: name '{name}' is no file name without folders; rename it")
        if name in files:
            raise HeadscarpError(f"{here}: a second file is called '{name}'; rename one")
        if not re.fullmatch(r"https?://[^/\s]+/\S+", str(url)):
            raise HeadscarpError(f"{here}: url '{url}' is no http or https address of a file; correct it")
        if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
            raise HeadscarpError(f"{here}: bytes '{size}' is no whole number above 0; correct it")
        if sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", str(sha256)):
            raise HeadscarpError(f"{here}: sha256 '{sha256}' is not 64 small hexadecimal digits; correct it")
        files[name] = RemoteFile(name, url, size, sha256)
    return tuple(files.values())


def known_files(dataset: Dataset, folder: str | Path) -> tuple[RemoteFile, ...]:
    """Files of a data set as far as they are known without the network; none while its list is not in
    `folder`.

    Raises:
        HeadscarpError: the list in `folder` is not one.
    """
    if dataset.record is None:
        return dataset.files
    path = Path(folder) / RECORD
    return listed_files(dataset, path) if path.exists() else ()


def listed_files(dataset: Dataset, path: Path) -> tuple[RemoteFile, ...]:
    """Files of a data set by the answer of its repository in the file `path`."""
    try:
        answer = json.loads(path.read_text(encoding="utf-8"))
        files = (
            zenodo_files(answer, dataset.zenodo)
            if dataset.zenodo is not None
            else huggingface_files(answer, dataset.huggingface)
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HeadscarpError(
            f"{path} does not list the files of {dataset.name} as {dataset.record.url} "
            f"did when this was written ({type(error).__name__}: {error}); delete it "
            "and run again, or name the files in the registry of data sets"
        ) from None
    if not files:
        raise HeadscarpError(
            f"{path} lists no files of {dataset.name}: are they open to all? See {dataset.record.url}"
        )
    for file in files:
        path_inside(file.name, str(path))
    return files


def zenodo_files(answer: dict[str, Any], record: int) -> tuple[RemoteFile, ...]:
    """Files of a record of Zenodo (developers.zenodo.org, `files` of a record: key, size, checksum
    `md5:<hexadecimal>`).

    The address of a file is the one that its page shows, since those that the record links lie below the
    record's own address, which a mirror folder cannot hold as both a file and a folder.
    """
    files = []
    for entry in answer["files"]:
        algorithm, _, checksum = entry["checksum"].partition(":")
        if algorithm != "md5" or not re.fullmatch(r"[0-9a-f]{32}", checksum):
            raise ValueError(f"the checksum '{entry['checksum']}' is not MD5")
        url = f"https://zenodo.org/records/{record}/files/{quote(entry['key'])}"
        files.append(RemoteFile(entry["key"], url, int(entry["size"]), md5=checksum))
    return tuple(files)


def huggingface_files(answer: dict[str, Any], name: str) -> tuple[RemoteFile, ...]:
    """Files of a data set of Hugging Face in the commit that its list is of (huggingface.co/docs/hub/api:
    `sha`, `siblings`)."""
    base = f"https://huggingface.co/datasets/{name}/resolve/{answer['sha']}"
    return tuple(
        RemoteFile(entry["rfilename"], f"{base}/{quote(entry['rfilename'])}") for entry in answer["siblings"]
    )


def resolve_files(dataset: Dataset, folder: str | Path, mirror: str | None) -> tuple[RemoteFile, ...]:
    """Files of a data set; where its repository lists them, the list is fetched to `folder`, once.

    Raises:
        HeadscarpError: the list cannot be had, or is not one.
    """
    if dataset.record is not None:
        fetch(dataset.record, Path(folder) / RECORD, mirror)
    return known_files(dataset, folder)


def find_file(dataset: Dataset, files: Iterable[RemoteFile], name: str | None) -> RemoteFile:
    """The file called `name`, or the only one where `name` is None.

    Raises:
        HeadscarpError: there is no such file, there are several, or none is known yet.
    """
    files = {file.name: file for file in files}
    if not files:
        raise HeadscarpError(
            f"the files of data set {dataset.name} are not known "
            "before their list is fetched; name one as `file:`"
        )
    if name is None and len(files) > 1:
        raise HeadscarpError(
            f"data set {dataset.name} has {len(files)} files, name one as `file:`; {nearest('', files)}"
        )
    return (
        next(iter(files.values()))
        if name is None
        else files[require_known(name, files, f"data set {dataset.name}: file")]
    )


def fetch_dataset(
    dataset: Dataset,
    folder: str | Path,
    mirror: str | None,
    ledger: str | Path | None,
    names: Iterable[str] | None = None,
) -> dict[str, Path]:
    """Fetch the files of a data set, or those called `names`, to `folder`; their paths by name.

    Raises:
        HeadscarpError: a name is unknown, or a file cannot be had (see `headscarp.sources.downloads.fetch`,
            also for the ledger).
    """
    files = resolve_files(dataset, folder, mirror)
    wanted = files if names is None else [find_file(dataset, files, name) for name in names]
    for file in wanted:
        fetch(file, Path(folder) / file.name, mirror, ledger)
    return {file.name: Path(folder) / file.name for file in wanted}


def wanted_files(
    dataset: Dataset, folder: str | Path, names: Iterable[str] | None = None
) -> list[tuple[RemoteFile, Path]]:
    """(file, target) of all that `fetch_dataset` needs, as far as it is known without the network: the list
    of files alone while it is missing."""
    folder = Path(folder)
    if not (files := known_files(dataset, folder)):
        return [(dataset.record, folder / RECORD)]
    wanted = files if names is None else [find_file(dataset, files, name) for name in names]
    return [(file, folder / file.name) for file in wanted]
