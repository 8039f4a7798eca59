"""Reading vector files of any kind that GDAL knows, a zip of a shapefile included."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely
from pyogrio.errors import CRSError
from pyproj.exceptions import ProjError
from shapely.errors import GEOSException

from headscarp.errors import HeadscarpError

# What pyogrio, GEOS and PROJ throw at bytes that make no sense to them; pyogrio's own are RuntimeErrors, a
# file without layers is an IndexError there, and a CRS that is no text an UnboundLocalError.
FOREIGN = (RuntimeError, ValueError, IndexError, OverflowError, UnboundLocalError, GEOSException)
# Beginnings of what is saved in place of a file that was to be downloaded.
WEB_PAGE = (b"<!doctype html", b"<html")
LFS_POINTER = b"version https://git-lfs"
# Vector files that GDAL's usual builds cannot read, and what they are.
UNREADABLE = {
    ".parquet": "GeoParquet",
    ".geoparquet": "GeoParquet",
    ".mdb": "a personal geodatabase of Access",
    ".dwg": "a drawing",
    ".lyr": "a layer's style, without its data",
    ".lyrx": "a layer's style, without its data",
    ".qgs": "a project, without its data",
    ".qgz": "a project, without its data",
}


def read_vectors(path: str | Path, crs: str | None = None) -> geopandas.GeoDataFrame:
    """All features of a vector file in `crs` (None: its own), those without geometry left out.

    Raises:
        HeadscarpError: the file is missing, unreadable or has no CRS.
    """
    table = read_table(path)
    if table.crs is None:
        raise HeadscarpError(
            f"{path} has no CRS; find out which it is and assign it, for "
            f"example with `ogr2ogr -a_srs EPSG:4326 with_crs.gpkg {path}`"
        )
    table = table[table.geometry.notna()]
    return table.to_crs(crs) if crs else table


def read_table(path: str | Path, **selection: Any) -> geopandas.GeoDataFrame:
    """Features of a vector file as it has them; rings that are not closed are closed, and geometries that
    are none (NaN in a ring, unknown kinds) become null.

    Args:
        selection: what `geopandas.read_file` takes: layer, bbox, where, encoding. Only what they select is
            read.

    Raises:
        HeadscarpError: the file is missing or unreadable.
    """
    if not Path(path).exists():
        raise HeadscarpError(f"{path} does not exist; fetch it or make it again")
    with foreign(path):
        table = read_features(path, **selection)
    if not isinstance(table, geopandas.GeoDataFrame):
        raise HeadscarpError(f"{path} holds no geometries; give the file that has them")
    return table


def read_features(path: str | Path, **selection: Any) -> geopandas.GeoDataFrame:
    """As `read_table`, but raising whatever comes (see `foreign`)."""
    return geopandas.read_file(path, on_invalid="fix", **selection)


@contextmanager
def foreign(path: str | Path) -> Iterator[None]:
    """Turn what a block throws at a user's vector file into one line, and silence its warnings.

    Raises:
        HeadscarpError: the file cannot be read; the message says why as far as can be told.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters of them is counted by those who call
            yield
    except FOREIGN as error:
        raise HeadscarpError(f"{path} {unreadable(Path(path), error)}") from None


def unreadable(path: Path, error: Exception) -> str:
    """Why a vector file cannot be read, and what to do."""
    if what := UNREADABLE.get(path.suffix.lower()):
        return f"is {what}, which cannot be read here; save it as GeoPackage (in QGIS: Export)"
    if path.is_dir():
        return "is a folder, and no file geodatabase; give the file in it"
    with open(path, "rb") as stream:
        start = stream.read(512).lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    if not path.stat().st_size:
        return "is empty (0 bytes); fetch it or make it again"
    if start.startswith(WEB_PAGE):
        return "is a web page, not the file itself; download the file again and look at its beginning"
    if start.startswith(LFS_POINTER):
        return "only points to a file (Git LFS); get the file itself, for example with `git lfs pull`"
    reason = str(error).split("; ")[0].splitlines()[0] if str(error) else type(error).__name__
    if re.match(r"Unable to open .*\.shx", reason):
        return "lacks its part .shx; put the .shx, .dbf and .prj of the Shapefile beside it"
    if "not recognized as being in a supported file format" in reason:
        reason = "of no kind that GDAL knows"
    if isinstance(error, UnicodeDecodeError):
        return f"has text in another encoding than it says ({reason}); give the true one as `encoding`"
    if isinstance(error, CRSError | ProjError | UnboundLocalError):
        return f"has a CRS that cannot be understood ({reason}); mend it, or remove its .prj and give `crs`"
    if "Curved types" in reason or (isinstance(error, GEOSException) and not str(error)):
        return "holds curves within collections; save it with straight edges (ogr2ogr -nlt CONVERT_TO_LINEAR)"
    return f"cannot be read ({reason}); it is truncated or no vector file: fetch it or make it again"


def repaired(table: geopandas.GeoDataFrame) -> tuple[geopandas.GeoDataFrame, int]:
    """A table with valid geometries (parts that collapse are left out), and how many were not."""
    invalid = ~table.geometry.is_valid.to_numpy()
    if invalid.any():
        table = table.set_geometry(
            shapely.make_valid(table.geometry.to_numpy(), method="structure", keep_collapsed=False),
            crs=table.crs,
        )
    return table, int(np.count_nonzero(invalid))
