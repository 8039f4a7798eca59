"""The grid that all layers of a site share."""

import math
from dataclasses import dataclass
from typing import Any

from affine import Affine

from headscarp.errors import HeadscarpError

EDGE_STEPS = 22  # of an edge whose way into another CRS is bent


@dataclass(frozen=True)
class Grid:
    """A raster grid: CRS (e.g. "EPSG:32649"), affine transform (pixel -> CRS units), rows and columns.

    That of a site is north-up, of square cells in metres; a user's file may have any. The CRS is an empty
    text where a grid has no place on Earth: its metres then count from a corner of its own."""

    crs: str
    transform: Affine
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def resolution(self) -> float:
        """Pixel size in CRS units (along a row)."""
        return math.hypot(self.transform.a, self.transform.d)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north in CRS units of the box that holds all cells."""
        corners = [self.transform @ (col, row) for col in (0, self.width) for row in (0, self.height)]
        x, y = zip(*corners, strict=True)
        return min(x), min(y), max(x), max(y)

    @property
    def centre_degrees(self) -> tuple[float, float]:
        """Longitude and latitude of the centre."""
        from pyproj import Transformer

        west, south, east, north = self.bounds
        return Transformer.from_crs(self.crs, "EPSG:4326", always_xy=True).transform(
            (west + east) / 2, (south + north) / 2
        )

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
    """The north-up grid in a metric CRS that covers the footprint of `source`, which may be rotated; its
    edges are multiples of `resolution` (metres).

    Raises:
        HeadscarpError: `crs` is unknown, is not in metres or not true to scale here.
    """
    from rasterio.warp import transform  # here, so that those who only carry grids about need no GDAL

    share = [number / EDGE_STEPS for number in range(EDGE_STEPS + 1)]
    ring = [(a, b) for a in share for b in (0, 1)] + [(a, b) for b in share for a in (0, 1)]
    places = [source.transform @ (a * source.width, b * source.height) for a, b in ring]
    x, y = transform(source.crs, require_metric(crs), *map(list, zip(*places, strict=True)))
    return covering((min(x), min(y), max(x), max(y)), crs, resolution)


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


def require_metric_grid(grid: Grid, file: Any, place: str) -> None:
    """Refuse the grid of a file as a site's, unless it is north-up, of square cells, in metres and true to
    scale.

    Args:
        place: the site whose key `grid` names the file.

    Raises:
        HeadscarpError: it is not; the message says why, and the remedy.
    """
    from headscarp.geo.lattice import MOST_TURN, place_of, why_unfit

    if why := why_unfit(grid.crs, grid.transform, grid.shape, MOST_TURN):
        utm = utm_crs(*place_of(grid.crs, grid.transform, grid.width / 2, grid.height / 2))
        raise HeadscarpError(
            f"{file}: its grid ({grid.crs}) is not of square north-up pixels in metres, true to scale "
            f"({why}), so it cannot be the site's; give {place}, grid the keys crs (a UTM zone, here {utm}) "
            "and resolution_m"
        )


def covering(bounds: tuple[float, float, float, float], crs: str, resolution: float) -> Grid:
    """The smallest grid whose edges are multiples of `resolution` that covers bounds (west, south, east,
    north).

    Raises:
        HeadscarpError: the CRS does not reach there or is not true to scale there, such as Web Mercator.
    """
    from headscarp.geo.lattice import MOST_TURN, place_of, why_unfit

    west, south, east, north = bounds
    west, south = math.floor(west / resolution), math.floor(south / resolution)
    east, north = math.ceil(east / resolution), math.ceil(north / resolution)
    transform = Affine(resolution, 0.0, west * resolution, 0.0, -resolution, north * resolution)
    grid = Grid(crs, transform, north - south, east - west)
    if why := why_unfit(crs, transform, grid.shape, MOST_TURN):
        utm = utm_crs(*place_of(crs, transform, grid.width / 2, grid.height / 2))
        raise HeadscarpError(
            f"the CRS '{crs}' cannot be that of the site's grid because {why}; use a UTM zone, here {utm}"
        )
    return grid


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


def rows_of(grid: Grid, first: int, last: int) -> Grid:
    """The rows of a grid from `first` to before `last`."""
    return Grid(grid.crs, grid.transform @ Affine.translation(0, first), last - first, grid.width)


def part_of(grid: Grid, axis: str, low: float, high: float) -> Grid:
    """The part of a grid between two shares of its width (`axis` x, from the west) or height (y, from the
    north), in whole cells.

    Parts whose shares meet share no cell.
    """
    length = grid.width if axis == "x" else grid.height
    first, last = round(low * length), round(high * length)
    if axis == "x":
        return Grid(grid.crs, grid.transform @ Affine.translation(first, 0), grid.height, last - first)
    return rows_of(grid, first, last)


def utm_crs(longitude: float, latitude: float) -> str:
    """EPSG code of the UTM zone of a place (WGS 84, degrees), without the exceptions around Norway and
    Svalbard."""
    zone = int((longitude + 180) // 6) % 60 + 1
    return f"EPSG:{(32600 if latitude >= 0 else 32700) + zone}"
