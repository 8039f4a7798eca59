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
GLANCES, GLANCE = 5, 128  # windows along each side that a glance takes, and their cells a side
RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)


@dataclass(frozen=True)
class RasterPart:
    """Cells of a raster: `read` gives those of a window of the part as (band, row, col) and where they are
    data, bool of the same shape. What is no data has the value `nodata`; where that is None, a mask tells it.
    `names` and `units` are those of the bands."""

    crs: Any
    transform: Affine
    height: int
    width: int
    dtype: str
    nodata: float | None
    names: Sequence[str | None]
    units: Sequence[str | None]
    read: Callable[[Window], tuple[np.ndarray, np.ndarray]]
    has_mask: bool = False
    colours: Sequence[ColorInterp] = ()
    colormap: dict[int, tuple[int, ...]] | None = None
    tags: dict[str, str] = field(default_factory=dict)

    def glance(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """What `read` gives of a few windows spread over the part, all of a small one."""
        return [self.read(window) for window in glances(self.height, self.width)]


def glances(height: int, width: int) -> list[Window]:
    """Windows spread evenly over a raster, its corners included; one of the whole where it is small."""
    if max(height, width) <= GLANCES * GLANCE:
        return [Window(0, 0, width, height)]
    tops, lefts = (
        np.unique(np.linspace(0, max(0, side - GLANCE), GLANCES).astype(int)) for side in (height, width)
    )
    return [
        Window(int(left), int(top), min(GLANCE, width), min(GLANCE, height)) for top in tops for left in lefts
    ]


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
            values, known = part.read(window)
            sink.write(values, window=window)
            if part.has_mask:
                sink.write_mask(known.any(axis=0), window=window)


def chunks(height: int, width: int) -> Iterator[Window]:
    """Windows that fill a raster, in whole tiles."""
    for top in range(0, height, CHUNK):
        for left in range(0, width, CHUNK):
            yield Window(left, top, min(CHUNK, width - left), min(CHUNK, height - top))
