"""The part of the world that a site needs of a file: the box round its outline, and the cells or features
under it."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from affine import Affine
from pyproj import CRS, Proj, Transformer
from pyproj.exceptions import CRSError, ProjError

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import utm_crs
from headscarp.geo.vectors import read_vectors

DEGREES = "EPSG:4326"
DENSIFY = 21  # points a side of a box that comes to another CRS
EDGE_CELLS = 2  # cells beyond the box, which cubic interpolation at its edge reads
# Share of the box's longer side by which cells are taken beyond it, since the site's grid may be turned
# against the UTM zone: the box of an outline in a CRS turned by an angle reaches about that angle (in
# radians) times its side farther; a neighbouring zone is turned by up to 6 degrees.
TURNED = 0.1
Bounds = tuple[float, float, float, float]


@dataclass(frozen=True)
class Region:
    """A box (west, south, east, north) in metres in the UTM zone of its middle, `crs`."""

    crs: str
    bounds: Bounds

    def bounds_in(self, crs: Any) -> Bounds:
        """The box in another CRS: the smallest one there that holds it.

        Raises:
            HeadscarpError: the CRS cannot be related to the Earth or does not reach so far, or the box
                crosses the antimeridian in it.
        """
        bounds = bounds_between(self.crs, crs, self.bounds)
        if not all(map(math.isfinite, bounds)):
            raise HeadscarpError(
                f"the CRS '{CRS.from_user_input(crs).name}' does not reach the site "
                f"({in_degrees(self.bounds, self.crs)})"
            )
        if bounds[0] > bounds[2]:
            raise HeadscarpError(
                f"the site with its margin ({in_degrees(self.bounds, self.crs)}) crosses the "
                "meridian of 180 degrees, where files in degrees are torn; bring them to a "
                "projected CRS first, for example with `gdalwarp -t_srs` or `ogr2ogr -t_srs`"
            )
        return bounds


def region_around(outline: str | Path, margin_m: float) -> Region:
    """The bounding box of an outline in its UTM zone, at least `margin_m` metres on the ground wider on each
    side.

    The outline may be in any CRS; the projection's scale (0.9996 to 1.001 inside a zone, more far beyond) is
    allowed for.

    Raises:
        HeadscarpError: the file is missing, unreadable, without CRS or empty.
    """
    table = read_vectors(outline)
    if table.empty:
        raise HeadscarpError(
            f"{outline} holds no outline; draw the study area as a polygon and save it there"
        )
    west, south, east, north = shapely.total_bounds(unwrapped(table.to_crs(DEGREES).geometry.to_numpy()))
    crs = utm_crs((west + east) / 2, (south + north) / 2)
    scale = (
        Proj(crs)
        .get_factors(np.array([west, west, east, east]), np.array([south, north, south, north]))
        .meridional_scale
    )
    reach = margin_m * float(np.max(scale))
    left, bottom, right, top = (float(edge) for edge in table.to_crs(crs).total_bounds)
    return Region(crs, (left - reach, bottom - reach, right + reach, top + reach))


def unwrapped(degrees: np.ndarray) -> np.ndarray:
    """Geometries in degrees, those about the meridian of 180 degrees with longitudes that go on beyond it
    (179 to 181) and do not break off there (179 to 180, -180 to -179)."""
    west, _, east, _ = shapely.total_bounds(degrees)
    if not east - west > 180:
        return degrees
    return shapely.transform(
        degrees, lambda places: places + np.where(places[:, :1] < 0, [[360.0, 0.0]], [[0.0, 0.0]])
    )


def bounds_between(crs: Any, other: Any, bounds: Bounds) -> Bounds:
    """A box in another CRS, infinite where that cannot hold it.

    Raises:
        HeadscarpError: one of them cannot be related to the Earth (a drawing's axes, for example).
    """
    try:
        return Transformer.from_crs(crs, other, always_xy=True).transform_bounds(*bounds, densify_pts=DENSIFY)
    except (CRSError, ProjError) as error:
        raise HeadscarpError(
            f"nothing leads from one CRS to the other ({error}); give the file's true one as the key `crs`"
        ) from None


def in_degrees(bounds: Bounds, crs: Any) -> str:
    """A box as text in degrees of longitude and latitude."""
    return "west {:.4f} south {:.4f} east {:.4f} north {:.4f} degrees".format(
        *bounds_between(crs, DEGREES, bounds)
    )


@dataclass(frozen=True)
class CellRange:
    """Rows `top` to `bottom` and columns `left` to `right` (exclusive) of a lattice, and the share of the box
    that they hold."""

    top: int
    bottom: int
    left: int
    right: int
    share: float


def cells_under(
    bounds: Bounds, transform: Affine, rows: tuple[int, int], cols: tuple[int, int]
) -> CellRange | None:
    """The cells of a lattice (rotated ones too) under a box, and some around it (see TURNED), or None where
    none is under it.

    Args:
        rows, cols: first row and column that exist, and those after the last.
    """
    west, south, east, north = bounds
    x, y = np.array([west, west, east, east]), np.array([south, north, south, north])
    col, row = ~transform @ (x, y)
    spans = [(float(row.min()), float(row.max()), *rows), (float(col.min()), float(col.max()), *cols)]
    inside = [min(high, last) - max(low, first) for low, high, first, last in spans]
    if min(inside) <= 0:
        return None
    around = EDGE_CELLS + TURNED * max(high - low for low, high, _, _ in spans)
    (top, bottom), (left, right) = (
        (max(first, math.floor(low - around)), min(last, math.ceil(high + around)))
        for low, high, first, last in spans
    )
    return CellRange(
        top,
        bottom,
        left,
        right,
        inside[0] * inside[1] / ((spans[0][1] - spans[0][0]) * (spans[1][1] - spans[1][0])),
    )


def footprint(transform: Affine, rows: tuple[int, int], cols: tuple[int, int]) -> Bounds:
    """Bounding box of a lattice's cells, in units of its CRS."""
    x, y = transform @ (
        np.array([cols[0], cols[1], cols[0], cols[1]]),
        np.array([rows[0], rows[0], rows[1], rows[1]]),
    )
    return float(x.min()), float(y.min()), float(x.max()), float(y.max())


def outside_error(path: str | Path, bounds: Bounds, crs: Any, region: Region) -> HeadscarpError:
    """The error of a raster that lies elsewhere."""
    return HeadscarpError(
        f"{path} misses the site: it covers {in_degrees(bounds, crs)}, the "
        f"outline with its margin {in_degrees(region.bounds, region.crs)}; take "
        "a file of this area, or correct its CRS (key `crs`) or the outline's"
    )
