"""A look at a user's files."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import rasterio
from pyogrio.errors import DataSourceError

from headscarp.areas.guess.rasters import Band, bands_of
from headscarp.areas.guess.vectors import VectorLayer, openstreetmap, vector_layers
from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid

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
    ".parquet",
}
OSM = ".osm.pbf"


@dataclass
class Found:
    """What a user's files hold, and those that nothing could be made of, each with the reason."""

    bands: list[Band] = field(default_factory=list)
    vectors: list[VectorLayer] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)


def look_at(paths: Sequence[Path], grid: Grid) -> Found:
    """Look at every file; side files of others (such as .dbf) are passed over.

    Raises:
        HeadscarpError: a file does not exist.
    """
    found = Found()
    for path in paths:
        if not path.exists():
            raise HeadscarpError(f"{path} does not exist; check the path")
        if path.suffix.lower() in RESERVED:
            continue
        try:
            if path.name.lower().endswith(OSM):
                found.vectors += openstreetmap(path)
            elif path.suffix.lower() in VECTORS:
                found.vectors += vector_layers(path)
            else:
                found.bands += bands_of(path, grid)
        except (DataSourceError, rasterio.errors.RasterioError, UnicodeDecodeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            found.unused.append(f"{path.name}: cannot be read ({reason})")
    return found
