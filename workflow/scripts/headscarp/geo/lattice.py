"""Whether lengths and directions can be read off a raster's lattice, which is measured on the ellipsoid.

A lattice is a CRS and an affine transform (pixel -> CRS units) of a raster of (rows, columns).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from affine import Affine
from pyproj import CRS, Geod, Transformer
from pyproj.exceptions import CRSError, ProjError

from headscarp.errors import HeadscarpError

DEGREES = "EPSG:4326"
EARTH = Geod(ellps="WGS84")
# Share by which lengths on the map may differ from those on the ground, and the sides of a cell from each
# other. UTM keeps within 0.1 % in its zone; 1 % is a quarter of a degree of a slope of 30 degrees.
STRETCH = 0.01
# Degrees by which the map's north may differ from true north where aspects are taken from it; 3 at most in a
# zone of UTM.
TURN = 5.0
MOST_TURN = 45.0  # from here on no direction of a map can be called north
# Share of a cell by which a rotation may move the farthest cell of a lattice and yet count as none.
SHIFT = 0.01


@dataclass(frozen=True)
class Steps:
    """A step to the next column (`across`) and row (`down`) at a place: length on the ground in metres, and
    azimuth in degrees clockwise from true north."""

    across: float
    across_azimuth: float
    down: float
    down_azimuth: float

    @property
    def turn(self) -> float:
        """Degrees from true north to the lattice's north, the direction against that of its rows, in [-180,
        180)."""
        return self.down_azimuth % 360 - 180


def horizontal(crs: CRS | str) -> CRS:
    """A CRS without its vertical part."""
    crs = CRS.from_user_input(crs)
    while crs.is_compound:
        crs = crs.sub_crs_list[0]
    return crs.to_2d()


@lru_cache(maxsize=64)
def to_degrees(crs: str) -> Transformer:
    """From a CRS to longitudes and latitudes.

    Raises:
        HeadscarpError: it cannot be related to the Earth.
    """
    try:
        return Transformer.from_crs(horizontal(crs), DEGREES, always_xy=True)
    except (CRSError, ProjError) as error:
        raise HeadscarpError(
            f"nothing leads from the CRS '{crs}' to places on the Earth ({error}); give the file's true one"
        ) from None


def place_of(crs: str, transform: Affine, col: float, row: float) -> tuple[float, float]:
    """Longitude and latitude of a place of a lattice.

    Raises:
        HeadscarpError: the CRS does not reach it.
    """
    longitude, latitude = to_degrees(crs).transform(*(transform @ (col, row)))
    if not np.isfinite([longitude, latitude]).all():
        x, y = transform @ (col, row)
        raise HeadscarpError(f"the CRS '{crs}' does not reach x {x:.9g}, y {y:.9g}; give the file's true one")
    return longitude, latitude


def steps_at(crs: str, transform: Affine, col: float, row: float) -> Steps:
    """The steps of a lattice at a place, centred on it.

    Raises:
        HeadscarpError: the CRS does not reach it.
    """
    west, east, top, bottom = (
        place_of(crs, transform, col + right, row + under)
        for right, under in ((-0.5, 0), (0.5, 0), (0, -0.5), (0, 0.5))
    )
    across_azimuth, _, across = EARTH.inv(*west, *east)
    down_azimuth, _, down = EARTH.inv(*top, *bottom)
    return Steps(across, across_azimuth, down, down_azimuth)


def why_unfit(crs: str, transform: Affine, shape: tuple[int, int], most_turned: float = TURN) -> str | None:
    """Why a raster's lattice is not north-up, of square cells, in metres and true to scale in its middle, in
    words that follow "because"; None where it is.

    Args:
        most_turned: degrees by which its north may differ from true north.

    Raises:
        HeadscarpError: the CRS does not reach the middle.
    """
    height, width = shape
    reasons = []
    across, down = np.hypot(transform.a, transform.d), np.hypot(transform.b, transform.e)
    if max(abs(transform.b) * height, abs(transform.d) * width) > SHIFT * min(across, down):
        reasons.append(
            f"its rows are turned by {np.degrees(np.arctan2(transform.d, transform.a)):.3g} degrees"
        )
    elif transform.e > 0:
        reasons.append("its rows run from south to north")
    elif transform.a < 0:
        reasons.append("its columns run from east to west")
    steps, flat = steps_at(crs, transform, width / 2, height / 2), horizontal(crs)
    if not flat.is_projected:
        return " and ".join([*reasons, "its CRS is in degrees, not in metres"])
    unit = flat.axis_info[0]
    stretched = max(
        (
            across * unit.unit_conversion_factor / steps.across,
            down * unit.unit_conversion_factor / steps.down,
        ),
        key=lambda ratio: abs(np.log(ratio)),
    )
    if unit.unit_conversion_factor != 1:
        reasons.append(f"its CRS is in {unit.unit_name}, not in metres")
    elif abs(stretched - 1) > STRETCH:
        reasons.append(f"a metre on the ground is {stretched:.3g} m in its CRS here")
    if abs(steps.across / steps.down - 1) > STRETCH:
        reasons.append(f"its cells are oblong ({steps.across:.3g} x {steps.down:.3g} m)")
    if not reasons and abs(steps.turn) > most_turned:
        reasons.append(f"its north is {abs(steps.turn):.0f} degrees off true north")
    return " and ".join(reasons) or None


def north_of(crs: str, x: float, y: float, step: float) -> float:
    """Azimuth in degrees of a CRS's y axis at a place, measured over a length of `step` in its units."""
    if not horizontal(crs).is_projected:
        return 0.0
    return steps_at(crs, Affine(step, 0, x, 0, -step, y), 0, 0).turn


def upright(values: np.ndarray, transform: Affine) -> tuple[np.ndarray, Affine]:
    """A raster (row, col) whose rows run to the south and columns to the east, as far as flips and a quarter
    turn can make it so: no value is changed."""
    if abs(transform.a) < abs(transform.d) and abs(transform.e) < abs(transform.b):
        values = values.T
        transform = transform @ Affine(0, 1, 0, 1, 0, 0)
    height, width = values.shape
    if transform.e > 0:
        values, transform = values[::-1], transform @ Affine(1, 0, 0, 0, -1, height)
    if transform.a < 0:
        values, transform = values[:, ::-1], transform @ Affine(-1, 0, width, 0, 1, 0)
    return values, transform
