"""Where the files of a study area lie, and which of them can be read now."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely

from headscarp.areas.check.findings import ERROR, Checked
from headscarp.errors import HeadscarpError
from headscarp.geo.vectors import read_table, read_vectors, repaired
from headscarp.plan.read_sites import origins_of

READ_AT_IMPORT = ("variable", "time", "crs")  # what only the import of a file knows how to read


@dataclass(frozen=True)
class Located:
    """A file at hand, and what of it is meant (`layer` and `where` of a vector file)."""

    path: Path
    selection: dict[str, Any]


def locate(name: str, entry: Mapping[str, Any], card: str, folder: Path) -> dict[str, Located | str]:
    """Each raw file of a site: where it is, or a sentence why it cannot be read yet. Nothing is fetched."""
    raw = folder / "results" / "sites" / entry.get("raw", name) / "raw"
    files = entry.get("files", [])
    origins = origins_of(dict(entry), f"{card}, site {name}, files") if isinstance(files, dict) else {}
    if not files:  # a simulated site, whose card does not list them, or one that reads the files of another
        files = sorted(path.name for path in raw.glob("*")) if raw.is_dir() else []
    located: dict[str, Located | str] = {}
    for file in files:
        origin = origins.get(file, {})
        if "path" in origin and not any(key in origin for key in READ_AT_IMPORT):
            selection = {key: origin[key] for key in ("layer", "where") if key in origin}
            located[file] = Located(folder / origin["path"], selection)
        elif entry["source"] == "local":
            located[file] = Located(
                Path(os.environ.get("HEADSCARP_DATA", folder)) / entry.get("folder", name) / file, {}
            )
        elif (raw / file).exists():
            located[file] = Located(raw / file, {})
        elif "path" in origin:
            how = ", ".join(key for key in READ_AT_IMPORT if key in origin)
            located[file] = f"is read by the import ({how}): run `snakemake {raw / file}`, then check again"
        else:
            located[file] = (
                f"to be fetched ({origin_text(origin)}): `snakemake --cores 1 {raw / file}` does so"
            )
    return located


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
    if not place.selection:
        return repaired(read_vectors(place.path, crs))[0]
    table = read_table(place.path, **place.selection)
    if table.crs is None:
        raise HeadscarpError(
            f'{place.path} has no CRS; find out which it is and add `crs: "EPSG:…"` to its entry'
        )
    return repaired(table[table.geometry.notna()].to_crs(crs))[0]


def polygons_of(place: Located, crs: str) -> np.ndarray:
    """The polygons of a file at hand in a CRS; features without area are left out.

    Raises:
        HeadscarpError: as `vectors_of`.
    """
    shapes = vectors_of(place, crs).geometry.to_numpy()
    return shapes[shapely.area(shapes) > 0]
