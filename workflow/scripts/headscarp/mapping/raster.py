"""Maps written strip by strip, so that no site has to fit into memory: landslide probability, and
classes."""

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import rasterio
from rasterio.shutil import copy as copy_raster
from rasterio.windows import Window

from headscarp.codes import UNMAPPED
from headscarp.files import atomic_path, remove
from headscarp.geo.grid import Grid
from headscarp.geo.layer import CLASSES, CONTINUOUS

PROBABILITY_NAME = "landslide probability"
CLASSES_BAND = "classes"
GDAL_CACHE_MEGABYTES = 64  # GDAL's own default is a share of the machine's memory

StripWriter = Callable[[int, np.ndarray], None]  # writes values (rows, cols) from a first row on


def probability_raster(path: str | Path, grid: Grid, source: str) -> AbstractContextManager[StripWriter]:
    """A COG of landslide probabilities float32, NaN = no data, that the block fills with the yielded
    `StripWriter`, as in `strip_raster`."""
    return strip_raster(path, grid, source, PROBABILITY_NAME, "1", CONTINUOUS, "float32", float("nan"))


def class_raster(
    path: str | Path, grid: Grid, source: str, colours: Mapping[int, tuple[int, int, int]] | None = None
) -> AbstractContextManager[StripWriter]:
    """A COG of class codes uint8, 255 = no data, that the block fills with the yielded `StripWriter`, as in
    `strip_raster`."""
    return strip_raster(path, grid, source, CLASSES_BAND, "class", CLASSES, "uint8", UNMAPPED, colours)


@contextmanager
def strip_raster(
    path: str | Path,
    grid: Grid,
    source: str,
    name: str,
    units: str,
    kind: str,
    dtype: str,
    nodata: float,
    colours: Mapping[int, tuple[int, int, int]] | None = None,
) -> Iterator[StripWriter]:
    """Yield what writes strips, top to bottom, into a one-band raster that becomes a COG at `path` when the
    block succeeds.

    `colours` is a colour table: {code: (red, green, blue)} in 0..255.

    Raises:
        DiskFullError: there is no room for it.
    """
    profile = {
        "driver": "GTiff",
        "count": 1,
        "dtype": dtype,
        "height": grid.height,
        "width": grid.width,
        "crs": grid.crs or None,
        "transform": grid.transform,
        "nodata": nodata,
        "bigtiff": "if_safer",
    }
    overviews = "AVERAGE" if kind == CONTINUOUS else "NEAREST"
    with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_MEGABYTES), atomic_path(path) as temporary:
        plain = temporary.with_name(temporary.name + ".plain.tif")
        try:
            with rasterio.open(plain, "w", **profile) as target:
                target.set_band_description(1, name)
                target.set_band_unit(1, units)
                target.update_tags(SOURCE=source, KIND=kind, UNITS=units)
                if colours:
                    target.write_colormap(1, dict(colours))
                yield lambda top, values: target.write(
                    values, 1, window=Window(0, top, grid.width, len(values))
                )
            copy_raster(
                plain,
                temporary,
                driver="COG",
                compress="DEFLATE",
                overview_resampling=overviews,
                bigtiff="IF_SAFER",
            )
            require_readable(temporary)
        finally:
            remove(plain)


def require_readable(path: Path) -> None:
    """Read every block again: GDAL's COG driver does not report a disk that fills while it writes."""
    try:
        with rasterio.open(path) as source:
            for _, window in source.block_windows(1):
                source.read(1, window=window)
    except rasterio.errors.RasterioError as error:
        raise OSError(errno.ENOSPC, f"GDAL left an incomplete file: {error}") from error
