"""The files of a study area as the pipeline's import gives them, and those that cannot be had yet."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely
from tqdm import tqdm

from headscarp.areas.check.findings import ERROR, NOTE, WARNING, Checked, Finding
from headscarp.errors import HeadscarpError
from headscarp.geo.vectors import read_vectors, repaired
from headscarp.plan.available import why_not_in_data
from headscarp.plan.read_sites import OUTLINE, origins_of
from headscarp.sources.given import paths_of
from headscarp.sources.imports import import_file
from headscarp.sources.local import take_file
from headscarp.sources.twin.files import raw_files

UNFIT = "unfit"  # the state of a file that the import refuses


@dataclass(frozen=True)
class Located:
    """A raw file as the pipeline reads it, and what it was made of, as the user names it."""

    path: Path
    origin: str


@dataclass(frozen=True)
class Place:
    """Where a check is at work: the path of the card, the working folder, and the folder of data sets that
    cannot be downloaded, if there is one."""

    card: str
    folder: Path
    data: str | None


@dataclass
class RawFiles:
    """The raw files of a site by name: where each is, or a sentence why it cannot be read; and what the
    import had to say."""

    located: dict[str, Located | str]
    findings: list[Finding]


def import_files(name: str, entry: Mapping[str, Any], place: Place, scratch: Path) -> RawFiles:
    """Import each of a user's files into `scratch`, as the rule import_file does, and find the others.
    Nothing is fetched.

    Args:
        name: of the site whose raw files they are; `entry` is its part of the card.

    Raises:
        HeadscarpError: the outline is unfit.
    """
    raw = place.folder / "results" / "sites" / name / "raw"
    files = entry.get("files", [])
    origins = origins_of(dict(entry), f"{place.card}, site {name}, files") if isinstance(files, dict) else {}
    if "twin" in entry:
        files = raw_files(entry["twin"])
    elif not files:  # those of a site of another card
        files = sorted(path.name for path in raw.glob("*")) if raw.is_dir() else []
    found = RawFiles({}, [])
    ordered = sorted(files, key=lambda file: file != OUTLINE)  # the others are cut by it
    for file in tqdm(ordered, f"files of {name}", leave=False, disable=not sys.stderr.isatty()):
        origin = origins.get(file, {})
        if "path" in origin:
            import_own_file(found, file, origin, place.folder, scratch)
        elif entry["source"] == "local" and "raw" not in entry:
            take_local_file(found, file, place.data, entry.get("folder", name), entry.get("crs"), scratch)
        elif (raw / file).exists():
            found.located[file] = Located(raw / file, str(raw / file))
        else:
            how = "simulated" if "twin" in entry else f"fetched ({origin_text(origin)})"
            found.located[file] = f"to be {how}: `snakemake --cores 1 {raw / file}` does so"
    return found


def import_own_file(
    found: RawFiles, file: str, origin: Mapping[str, Any], folder: Path, scratch: Path
) -> None:
    """Import one file of the user's; what is wrong with it is a finding, but for the outline's faults."""
    paths = [folder / path for path in paths_of(origin)]
    try:
        outline = None if file == OUTLINE else scratch / OUTLINE
        notes = import_file(origin, paths, outline, scratch / file)
    except HeadscarpError as error:
        if file == OUTLINE:
            raise
        found.findings.append(Finding(ERROR, "files", file, str(error)))
        found.located[file] = UNFIT
        return
    found.located[file] = Located(scratch / file, ", ".join(map(str, paths)))
    found.findings += [
        Finding(WARNING if "WARNING" in note else NOTE, "files", file, note.replace("WARNING ", ""))
        for note in notes[1:]
    ]


def take_local_file(
    found: RawFiles, file: str, data: str | None, folder: str, crs: str | None, scratch: Path
) -> None:
    """Find one file in the folder of data sets, as the rule link_file takes it over; what is wrong with it is
    a finding."""
    place = Path(data or "") / folder / file
    try:
        if not (data and place.exists()):
            raise HeadscarpError(why_not_in_data(data, f"{place} does not exist", folder))
        if crs:
            take_file(place, scratch / file, crs)
    except HeadscarpError as error:
        found.findings.append(Finding(ERROR, "files", file, str(error)))
        found.located[file] = UNFIT
        return
    found.located[file] = Located(scratch / file if crs else place, str(place))


def origin_text(origin: Mapping[str, Any]) -> str:
    """Where a file will come from, in words."""
    if "stac" in origin:
        span = f" {origin['from']} to {origin['to']}" if "from" in origin and "to" in origin else ""
        return f"{origin['stac']}{span}"
    return f"data set {origin['dataset']}" if "dataset" in origin else str(origin.get("url", "archive"))


def at_hand(located: Mapping[str, Located | str], file: str) -> Located | None:
    """The place of a file that can be read now."""
    place = located.get(file)
    return place if isinstance(place, Located) else None


def wanted(checked: Checked, located: Mapping[str, Located | str], file: str, use: str) -> Located | None:
    """The place of a file that can be read now; an error is told where it is not even among the files. `use`
    says what it is for, as in `is the inventory but`."""
    if file not in located:
        checked.tell(ERROR, "files", file, f"{use} not among the files; add it there")
    return at_hand(located, file)


def vectors_of(place: Located, crs: str) -> geopandas.GeoDataFrame:
    """Features of a file at hand in a CRS, valid, those without geometry left out.

    Raises:
        HeadscarpError: the file is missing, unreadable or has no CRS.
    """
    return repaired(read_vectors(place.path, crs))[0]


def polygons_of(place: Located, crs: str) -> np.ndarray:
    """The polygons of a file at hand in a CRS; features without area are left out.

    Raises:
        HeadscarpError: as `vectors_of`.
    """
    shapes = vectors_of(place, crs).geometry.to_numpy()
    return shapes[shapely.area(shapes) > 0]
