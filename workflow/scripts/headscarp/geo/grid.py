"""The grid that all layers of a site share."""

import math
from dataclasses import dataclass
from typing import Any

from affine import Affine

from headscarp.errors import HeadscarpError


@dataclass(frozen=True)
class Grid:
    """A north-up raster grid: CRS (e.g. "EPSG:32649"), affine transform (pixel -> CRS units), rows and
    columns."""

    crs: str
    transform: Affine
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def resolution(self) -> float:
        """Pixel size in CRS units (x direction)."""
        return abs(self.transform.a)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north in CRS units."""
        west, north = self.transform @ (0, 0)
        east, south = self.transform @ (self.width, self.height)
        return west, south, east, north

    def to_record(self) -> dict[str, Any]:
        return {
            "crs": self.crs,
            "transform": list(self.transform)[:6],
            "height": self.height,
            "width": self.width,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Grid":
        return cls(record["crs"], Affine(*record["transform"]), int(record["height"]), int(record["width"]))


def grid_for(source: Grid, crs: str, resolution: float) -> Grid:
    """The north-up grid in a metric CRS that covers the footprint of `source`; its edges are multiples of
    `resolution` (metres).

    Raises:
        HeadscarpError: `crs` is unknown or is not in metres.
    """
    from rasterio.warp import transform_bounds  # here, so that those who only carry grids about need no GDAL

    return covering(transform_bounds(source.crs, require_metric(crs), *source.bounds), crs, resolution)


def require_metric(crs: str) -> Any:
    """The CRS of a site's grid, as rasterio has it.

    Raises:
        HeadscarpError: it is unknown or is not in metres.
    """
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    try:
        target = CRS.from_user_input(crs)
    except CRSError as error:
        raise HeadscarpError(
            f"the CRS '{crs}' of the site's grid is unknown ({error}); use a code such as EPSG:32654"
        ) from None
    if not target.is_projected or target.linear_units_factor[1] != 1.0:
        raise HeadscarpError(
            f"the CRS '{crs}' of the site's grid is not in metres; use a projected one such as a UTM zone"
        )
    return target


def covering(bounds: tuple[float, float, float, float], crs: str, resolution: float) -> Grid:
    """The smallest grid whose edges are multiples of `resolution` that covers bounds (west, south, east,
    north)."""
    west, south, east, north = bounds
    west, south = math.floor(west / resolution), math.floor(south / resolution)
    east, north = math.ceil(east / resolution), math.ceil(north / resolution)
    transform = Affine(resolution, 0.0, west * resolution, 0.0, -resolution, north * resolution)
    return Grid(crs, transform, north - south, east - west)


def cropped(grid: Grid, bounds: tuple[float, float, float, float]) -> Grid | None:
    """The part of a grid, in whole cells, under bounds (west, south, east, north in its CRS), or None where
    there is none."""
    west, south, east, north = bounds
    left, top = ~grid.transform @ (west, north)
    right, bottom = ~grid.transform @ (east, south)
    # A hundredth of a cell, so that an edge on a cell's edge does not take the next cell for a rounding
    # error.
    left, top = max(0, math.floor(left + 0.01)), max(0, math.floor(top + 0.01))
    right, bottom = min(grid.width, math.ceil(right - 0.01)), min(grid.height, math.ceil(bottom - 0.01))
    if left >= right or top >= bottom:
        return None
    return Grid(grid.crs, grid.transform @ Affine.translation(left, top), bottom - top, right - left)


def part_of(grid: Grid, axis: str, low: float, high: float) -> Grid:
    """The part of a grid between two shares of its width (`axis` x, from the west) or height (y, from the
    north), in whole cells.

    Parts whose shares meet share no cell.
    """
    length = grid.width if axis == "x" else grid.height
    first, last = round(low * length), round(high * length)
    if axis == "x":
        return Grid(grid.crs, grid.transform @ Affine.translation(first, 0), grid.height, last - first)
    return Grid(grid.crs, grid.transform @ Affine.translation(0, first), last - first, grid.width)


def utm_crs(longitude: float, latitude: float) -> str:
    """EPSG code of the UTM zone of a place (WGS 84, degrees), without the exceptions around Norway and
    Svalbard."""
    zone = int((longitude + 180) // 6) % 60 + 1
    return f"EPSG:{(32600 if latitude >= 0 else 32700) + zone}"
