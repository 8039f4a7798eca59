"""One raster layer with everything that belongs to it, and its file: a Cloud-Optimised GeoTIFF."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.shutil import copy as copy_raster
from rasterio.windows import Window

from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path
from headscarp.geo.grid import Grid

CONTINUOUS = "continuous"
CLASSES = "classes"
ANGLE = "angle"
FLAT = -1.0
ROWS_AT_ONCE = 512  # the height of a block of a COG


@dataclass(frozen=True)
class Layer:
    """Values of shape (row, col) on a grid.

    Continuous layers and angles are float32 with NaN = no data; class layers are integers with `nodata`.
    Angles are degrees clockwise from north in [0, 360), or FLAT (-1) where a level cell has none: kept apart
    from no data.
    """

    name: str
    values: np.ndarray
    grid: Grid
    units: str
    source: str
    kind: str = CONTINUOUS
    nodata: float = float("nan")


def write_layer(path: str | Path, layer: Layer, notes: Sequence[str] = ()) -> None:
    """Write a layer as a one-band COG with nodata, description, units, source and notes (see `notes_of`),
    atomically.

    Raises:
        DiskFullError: there is no room for it.
    """
    values = layer.values if layer.kind == CLASSES else layer.values.astype(np.float32)
    write_cog(
        path,
        values[None],
        layer.grid,
        layer.nodata,
        [layer.name],
        layer.units,
        layer.source,
        layer.kind,
        {"NOTES": "\n".join(notes)} if notes else {},
    )


def write_cog(
    path: str | Path,
    bands: np.ndarray,
    grid: Grid,
    nodata: float,
    names: Sequence[str],
    units: str,
    source: str,
    kind: str = CONTINUOUS,
    tags: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write bands (band, row, col) of one kind and unit as a COG, with further `tags`, atomically.

    GDAL works in memory and Python writes the bytes: GDAL's COG driver does not report a disk that fills
    while it writes.

    Raises:
        DiskFullError: there is no room for it.
    """
    profile = {
        "driver": "GTiff",
        "count": len(bands),
        "dtype": bands.dtype.name,
        "height": grid.height,
        "width": grid.width,
        "crs": grid.crs,
        "transform": grid.transform,
        "nodata": nodata,
    }
    overviews = "AVERAGE" if kind == CONTINUOUS else "NEAREST"
    with MemoryFile(ext=".tif") as plain, MemoryFile(ext=".tif") as cog:
        with plain.open(**profile) as target:
            target.write(bands)
            for number, name in enumerate(names, start=1):
                target.set_band_description(number, name)
                target.set_band_unit(number, units)
            target.update_tags(**tags, SOURCE=source, KIND=kind, UNITS=units)
        copy_raster(
            plain.name,
            cog.name,
            driver="COG",
            compress="DEFLATE",
            predictor="YES",
            overview_resampling=overviews,
        )
        with atomic_path(path) as temporary:
            temporary.write_bytes(cog.getbuffer())


@contextmanager
def open_raster(path: str | Path) -> Iterator[rasterio.DatasetReader]:
    """Open a georeferenced raster for reading; GDAL's errors in the block name the file and the remedy.

    Raises:
        HeadscarpError: the file is missing, truncated or no raster, or has no CRS.
    """
    with open_any_raster(path) as source:
        if source.crs is None:
            raise HeadscarpError(
                f"{path} has no CRS; find out which it is and assign it, "
                f"for example with `gdal_edit.py -a_srs EPSG:32649 {path}`"
            )
        yield source


@contextmanager
def open_any_raster(path: str | Path) -> Iterator[rasterio.DatasetReader]:
    """The same for a raster that may have no CRS."""
    if not Path(path).exists():
        raise HeadscarpError(f"{path} does not exist; fetch it or make it again")
    try:
        with rasterio.open(path) as source:
            yield source
    except (RasterioError, CPLE_BaseError) as error:
        cause = error.__cause__ or error
        raise HeadscarpError(
            f"{path} cannot be read ({cause}); it is truncated or no raster: fetch it or make it again"
        ) from error


def read_layer(path: str | Path) -> Layer:
    """Read a layer written by `write_layer` whole.

    Raises:
        HeadscarpError: the file is missing, truncated or has no CRS.
    """
    with open_raster(path) as source:
        return layer_of(source)


def read_any_layer(path: str | Path) -> Layer:
    """The same of a layer that may have no CRS, such as the map of a collage."""
    with open_any_raster(path) as source:
        return layer_of(source)


def layer_of(source: rasterio.DatasetReader) -> Layer:
    """The layer of an open raster, whole."""
    tags = source.tags()
    kind = tags.get("KIND", CONTINUOUS)
    values = source.read(1)
    nodata = source.nodata if source.nodata is not None else math.nan
    if kind != CLASSES:
        values, nodata = without_nodata(values, source.nodata), math.nan
    return Layer(
        name=source.descriptions[0] or Path(source.name).stem,
        values=values,
        grid=grid_of(source),
        units=source.units[0] or "",
        source=tags.get("SOURCE", ""),
        kind=kind,
        nodata=nodata,
    )


def layer_strips(path: str | Path) -> Iterator[np.ndarray]:
    """Values (row, col) of a continuous layer's file in the strips of `strips_of_rows`, NaN = no data.

    Raises:
        HeadscarpError: as `read_layer`.
    """
    with open_raster(path) as source:
        for strip in strips_of_rows(*source.shape):
            yield without_nodata(source.read(1, window=strip), source.nodata)


def without_nodata(values: np.ndarray, nodata: float | None) -> np.ndarray:
    """Values as float32, NaN = no data."""
    values = values.astype(np.float32, copy=False)
    if nodata is not None:
        values[values == nodata] = np.nan
    return values


def notes_of(path: str | Path) -> list[str]:
    """The notes that `write_layer` left in a file."""
    with open_raster(path) as source:
        return source.tags().get("NOTES", "").splitlines()


def strips_of_rows(height: int, width: int) -> Iterator[Window]:
    """A raster's strips of a few rows, from the top, in which it is read without being held whole."""
    for top in range(0, height, ROWS_AT_ONCE):
        yield Window(0, top, width, min(ROWS_AT_ONCE, height - top))


def grid_of(source: rasterio.DatasetReader) -> Grid:
    """The grid of an open raster, whichever way its rows run, without the vertical part of its CRS."""
    crs = source.crs.to_string() if source.crs else ""
    if crs and source.crs.to_wkt().startswith("COMPD_CS"):
        from headscarp.geo.lattice import horizontal  # here, since hardly any raster has one

        crs = rasterio.crs.CRS.from_user_input(horizontal(crs)).to_string()
    return Grid(crs, source.transform, source.height, source.width)
