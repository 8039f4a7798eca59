"""A look at a user's files."""

import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from headscarp.areas.guess.rasters import Band, bands_of
from headscarp.areas.guess.vectors import VectorLayer, layer_named, openstreetmap, reason_of, vector_layers
from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.geo.vectors import UNREADABLE
from headscarp.sources.originals import GEODATABASE, RASTER_FILES

RESERVED = {
    ".dbf",
    ".shx",
    ".prj",
    ".cpg",
    ".sbn",
    ".sbx",
    ".qix",
    ".qmd",
    ".qml",
    ".xml",
    ".tfw",
    ".aux",
    ".ovr",
    ".txt",
    ".md",
}
VECTORS = {
    ".gpkg",
    ".shp",
    ".geojson",
    ".json",
    ".kml",
    ".kmz",
    ".gml",
    ".fgb",
    ".zip",
    ".pbf",
    ".gpx",
    GEODATABASE,
    *UNREADABLE,
}
OSM = (".osm.pbf", ".osm")


@dataclass
class Found:
    """What a user's files hold, and those that nothing could be made of, each with the reason."""

    bands: list[Band] = field(default_factory=list)
    vectors: list[VectorLayer] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)


def look_at(given: Sequence[Path], grid: Grid) -> Found:
    """Look at every file; side files of others (such as .dbf) are passed over.

    Args:
        given: files, those of vectors with a layer or without (see `layer_named`).

    Raises:
        HeadscarpError: a file does not exist.
    """
    found = Found()
    named = [layer_named(one) for one in given]
    used = [path for path, _ in named if path.suffix.lower() not in RESERVED]
    for path, _ in named:
        if not path.exists():
            raise HeadscarpError(f"{path} does not exist; check the path")
    for path, layer in named:
        if path not in used:
            continue
        try:
            if path.name.lower().endswith(OSM):
                found.vectors += openstreetmap(path)
            elif layer or (path.suffix.lower() in VECTORS and not is_zip_of_rasters(path)):
                found.vectors += vector_layers(path, grid, layer)
            elif path.is_dir():
                raise HeadscarpError(f"{path} is a folder; give the files in it, for example {path}/*.tif")
            else:
                found.bands += bands_of(path, grid, telling_folder(path, used))
        except HeadscarpError as error:
            found.unused.append(f"{path.name}: {reason_of(error, path)}")
    return found


def telling_folder(path: Path, paths: Sequence[Path]) -> str:
    """The folders that tell a file from the others, as those of scenes that were unpacked into `pre` and
    `post`."""
    folders = [other.resolve().parent for other in paths]
    return path.resolve().parent.relative_to(os.path.commonpath(folders)).as_posix()


def is_zip_of_rasters(path: Path) -> bool:
    """Whether a zip holds rasters rather than vectors."""
    if path.suffix.lower() != ".zip" or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        suffixes = {PurePosixPath(name).suffix.lower() for name in archive.namelist()}
    return bool(suffixes & set(RASTER_FILES)) and not suffixes & {".shp", ".gpkg", ".gdbtable"}
