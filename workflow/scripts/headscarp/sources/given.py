"""Which files of a user an entry of a card names, and whether they are still the same.

Without GDAL, for those who only plan.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# Files that belong to another one: parts of a Shapefile, world files, statistics.
COMPANIONS = (
    ".shx",
    ".dbf",
    ".prj",
    ".cpg",
    ".qix",
    ".sbn",
    ".sbx",
    ".qpj",
    ".qmd",
    ".xml",
    ".tfw",
    ".pgw",
    ".jgw",
    ".wld",
    ".ovr",
    ".msk",
)


def paths_of(spec: Mapping[str, Any], data: str | None = None) -> list[Path]:
    """The user's files that an entry of a card names: its key `path`, one or a list, or its key `data`, below
    the folder of data sets."""
    if "data" in spec:
        return [Path(data or ".") / spec["data"]]
    given = spec["path"]
    return [Path(path).expanduser() for path in ([given] if isinstance(given, str) else given)]


def state_of(paths: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Name, bytes and time of change (ns) of files, of their companions and of what folders among them hold;
    it differs where a file was replaced by another one, even an older one. Missing ones are left out."""
    found = []
    for path in paths:
        beside = [path.with_suffix(ending) for ending in COMPANIONS]
        whole = (
            path.rglob("*")
            if path.is_dir()
            else [path, *beside, *(Path(f"{path}{end}") for end in COMPANIONS)]
        )
        found += [(one.name, one.stat().st_size, one.stat().st_mtime_ns) for one in whole if one.is_file()]
    return sorted(set(found))
