"""A landslide probability written strip by strip, so that no scene has to fit into memory."""

import errno
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import rasterio
from rasterio.shutil import copy as copy_raster
from rasterio.windows import Window

from headscarp.files import atomic_path, remove
from headscarp.site.grid import Grid
from headscarp.site.layer import CONTINUOUS

NAME = "landslide probability"
GDAL_CACHE_MEGABYTES = 64  # GDAL's own default is a share of the machine's memory


def write_probability(path: str | Path, strips: Iterable[tuple[int, np.ndarray]], grid: Grid, source: str) -> None:
    """Write strips (first row, values (rows, cols) float32), top to bottom, as a COG like those of `site.layer.write_layer`.

    Raises:
        DiskFullError: there is no room for it.
    """
    profile = {
        "driver": "GTiff", "count": 1, "dtype": "float32", "height": grid.height, "width": grid.width,
        "crs": grid.crs, "transform": grid.transform, "nodata": float("nan"), "bigtiff": "if_safer",
    }  # fmt: skip
    with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_MEGABYTES), atomic_path(path) as temporary:
        plain = temporary.with_name(temporary.name + ".plain.tif")
        try:
            with rasterio.open(plain, "w", **profile) as target:
                target.set_band_description(1, NAME)
                target.set_band_unit(1, "1")
                target.update_tags(SOURCE=source, KIND=CONTINUOUS, UNITS="1")
                for top, values in strips:
                    target.write(values, 1, window=Window(0, top, grid.width, len(values)))
            copy_raster(plain, temporary, driver="COG", compress="DEFLATE", overview_resampling="AVERAGE", bigtiff="IF_SAFER")
            require_whole(temporary)
        finally:
            remove(plain)


def require_whole(path: Path) -> None:
    """Read every block again: GDAL's COG driver does not report a disk that fills while it writes."""
    try:
        with rasterio.open(path) as source:
            for _, window in source.block_windows(1):
                source.read(1, window=window)
    except rasterio.errors.RasterioError as error:
        raise OSError(errno.ENOSPC, f"GDAL left an incomplete file: {error}") from error
