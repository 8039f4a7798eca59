"""`headscarp init`: the files it writes."""

import datetime
import math
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import shapely

from headscarp.areas.guess.files import look_at
from headscarp.areas.init.card import card_text, drafted
from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path
from headscarp.geo.grid import utm_crs
from headscarp.geo.outline import grid_around
from headscarp.geo.vectors import read_vectors

AREAS = Path("areas")


def write_card(
    outline: str | Path,
    files: Sequence[str | Path] = (),
    name: str | None = None,
    event: str | None = None,
    resolution: float = 10,
    dates: Sequence[str] = (),
    folder: str | Path = ".",
) -> Path:
    """Write `areas/<name>.yaml` below `folder`, the working folder, and return its path.

    Args:
        outline: vector file with the polygons of the study area, any CRS.
        files: rasters and vectors, any CRS; side files such as .dbf are passed over.
        name: of the area; that of the outline's file unless given.
        event: ISO date of the landslides; parts images into before and after, and sets the windows of what is
        fetched.
        resolution: of the grid in metres.
        dates: ISO dates of a series of images, the last one that of the labels; one image of each date is
        taken, or fetched.

    Raises:
        HeadscarpError: the outline or a file is missing, the outline has no polygons or no CRS, a date, the
            name or the resolution is unfit, the card exists already, or there is neither an image nor a date.
    """
    outline, folder = Path(outline), Path(folder)
    name = name or name_of(outline)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise HeadscarpError(
            f"--name '{name}' cannot name an area: use lower-case letters, digits and _, a letter first"
        )
    if not (math.isfinite(resolution) and resolution > 0):
        raise HeadscarpError(f"--resolution {resolution} is no size of a cell; give metres above 0")
    event, dates = iso(event, "--event") if event else None, [iso(one, "--dates") for one in dates]
    if dates != sorted(set(dates)):
        raise HeadscarpError(
            f"--dates {' '.join(dates)} do not rise; give each date once, the earliest first"
        )
    target = folder / AREAS / f"{name}.yaml"
    if target.exists():
        raise HeadscarpError(
            f"{target} exists already and stays as it is; edit it, remove it, or give another --name"
        )
    shape = outline_of(outline)
    grid = grid_around(outline, utm_crs(shape.centroid.x, shape.centroid.y), resolution)
    found = look_at([Path(one) for one in files], grid)
    draft = drafted(name, outline, grid, found, event, dates, folder)
    with atomic_path(target) as temporary:
        temporary.write_text(card_text(draft), encoding="utf-8")
    return target


def write_config(name: str, folder: str | Path = ".") -> Path | None:
    """Write `config.yaml` below `folder` for the card `name`, unless there is one; its path if it was
    written."""
    path = Path(folder) / "config.yaml"
    if path.exists():
        return None
    with atomic_path(path) as temporary:
        temporary.write_text(
            f"cards: [{name}]   # what plain `snakemake` runs\n"
            "scale: demo       # tiny (does everything run?) | demo (minutes) | full (wants a GPU)\n",
            encoding="utf-8",
        )
    return path


def snakefile_option(folder: str | Path = ".") -> str:
    """What `snakemake` must be told to find the workflow from `folder`: nothing in the repository itself."""
    snakefile = Path(__file__).resolve().parents[5] / "Snakefile"
    if (Path(folder) / "Snakefile").exists() or not snakefile.exists():
        return ""
    return f" --snakefile {shlex.quote(str(snakefile))}"


def name_of(outline: Path) -> str:
    """A name for an area from its outline's file: `Atsuma-AOI.geojson` gives atsuma."""
    found = re.sub(r"[^a-z0-9]+", "_", outline.stem.lower()).strip("_")
    found = re.sub(r"_?(aoi|outline|area|boundary|extent)$", "", found) or found
    if not found or not found[0].isalpha():
        found = f"area_{found}".rstrip("_")
    return found


def iso(text: str, what: str) -> str:
    try:
        return datetime.date.fromisoformat(str(text)).isoformat()
    except ValueError:
        raise HeadscarpError(f"{what} '{text}' is no date; write it as 2018-09-06") from None


def outline_of(path: Path) -> Any:
    """The polygons of an outline in degrees, as one geometry.

    Raises:
        HeadscarpError: the file is missing, unreadable, without CRS or without polygons.
    """
    geometry = shapely.make_valid(
        shapely.unary_union(shapely.make_valid(read_vectors(path, "EPSG:4326").geometry.to_numpy()))
    )
    if not geometry.area > 0:
        raise HeadscarpError(f"{path} holds no polygons; draw the outline of the study area as a polygon")
    return geometry
