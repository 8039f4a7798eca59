"""A part of a raster on its way to a GeoTIFF of its own."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from headscarp.files import atomic_path

TILE = 512
CHUNK = 2 * TILE  # cells a side that are held at once
RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)


@dataclass(frozen=True)
class RasterPart:
    """Cells of a raster: `read` gives those of a window of the part as (band, row, col), `read_mask` (for
    files with a mask of their own) as (row, col) uint8, 0 where there is no data. `names` and `units` are
    those of the bands."""

    crs: Any
    transform: Affine
    height: int
    width: int
    dtype: str
    nodata: float | None
    names: Sequence[str | None]
    units: Sequence[str | None]
    read: Callable[[Window], np.ndarray]
    read_mask: Callable[[Window], np.ndarray] | None = None
    colours: Sequence[ColorInterp] = ()
    colormap: dict[int, tuple[int, ...]] | None = None
    tags: dict[str, str] = field(default_factory=dict)


def write_part(part: RasterPart, target: str | Path) -> None:
    """Write a part as a tiled, deflated GeoTIFF, atomically.

    Raises:
        DiskFullError: there is no room for it.
    """
    profile = {
        "driver": "GTiff",
        "count": len(part.names),
        "dtype": part.dtype,
        "height": part.height,
        "width": part.width,
        "crs": part.crs,
        "transform": part.transform,
        "nodata": part.nodata,
        "tiled": True,
        "blockxsize": TILE,
        "blockysize": TILE,
        "compress": "deflate",
        "predictor": 3 if np.issubdtype(part.dtype, np.floating) else 2,
        "interleave": "band",
        "bigtiff": "if_safer",
        "photometric": "RGB" if tuple(part.colours[:3]) == RGB else "MINISBLACK",
    }
    if np.issubdtype(part.dtype, np.complexfloating):
        del profile["predictor"]
    inside = rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True)
    with atomic_path(target) as temporary, inside, rasterio.open(temporary, "w", **profile) as sink:
        sink.update_tags(**part.tags)
        if part.colormap:
            sink.write_colormap(1, part.colormap)
        elif part.colours and tuple(part.colours) != sink.colorinterp:
            sink.colorinterp = part.colours
        for number, (name, unit) in enumerate(zip(part.names, part.units, strict=True), start=1):
            sink.set_band_description(number, name or "")
            sink.set_band_unit(number, unit or "")
        for window in chunks(part.height, part.width):
            sink.write(part.read(window), window=window)
            if part.read_mask:
                sink.write_mask(part.read_mask(window), window=window)


def chunks(height: int, width: int) -> Iterator[Window]:
    """Windows that fill a raster, in whole tiles."""
    for top in range(0, height, CHUNK):
        for left in range(0, width, CHUNK):
            yield Window(left, top, min(CHUNK, width - left), min(CHUNK, height - top))
