"""What a twin of very-high-resolution images must match: the ground, its landslides, and the images of each
date."""

import math
from dataclasses import dataclass, replace
from typing import Any

from affine import Affine
from pyproj import Transformer

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.schema import validate

BANDS = ("red", "green", "blue")
# The ground is simulated in cells of this size (m), and its extent is a multiple of the NDVI's cells.
PIXEL_M = 0.3
# Sizes and counts in a record are those of a scene this wide (m).
REFERENCE_SIDE_M = 960.0
# Mean area of a slide (m2) below which a scaled scene has fewer, and the fewest slides and buildings: so few,
# every status and class is still there.
_SMALLEST_MEAN_M2, _FEWEST_SLIDES, _FEWEST_BUILDINGS = 120.0, 6, 6


@dataclass(frozen=True)
class Sensor:
    """What a sensor makes of the ground: reflectance becomes gain * reflectance ** gamma + offset per band
    (red, green, blue).

    `spread` is the standard deviation of the point spread in the image's pixels, `noise` a standard deviation
    of reflectance, `shift_m` the image's error of position (east, south), `lean` by how many metres the top
    of what is a metre high is displaced (east, south).
    """

    gain: tuple[float, float, float]
    offset: tuple[float, float, float]
    gamma: tuple[float, float, float]
    spread: float
    noise: float
    shift_m: tuple[float, float]
    lean: tuple[float, float]


SENSORS = {
    "beijing2": Sensor(
        gain=(0.86, 0.90, 1.02),
        offset=(0.035, 0.042, 0.058),
        gamma=(1.00, 0.98, 0.95),
        spread=0.75,
        noise=0.007,
        shift_m=(0.7, -0.5),
        lean=(-0.28, 0.10),
    ),
    "worldview3": Sensor(
        gain=(1.00, 1.00, 1.00),
        offset=(0.010, 0.014, 0.022),
        gamma=(1.00, 1.00, 1.00),
        spread=0.55,
        noise=0.004,
        shift_m=(0.0, 0.0),
        lean=(0.08, -0.05),
    ),
    "superview1": Sensor(
        gain=(1.10, 1.04, 0.93),
        offset=(0.022, 0.020, 0.026),
        gamma=(1.08, 1.05, 1.04),
        spread=0.95,
        noise=0.009,
        shift_m=(-0.5, 0.6),
        lean=(0.22, 0.20),
    ),
    "google_earth": Sensor(
        gain=(1.06, 1.14, 0.98),
        offset=(0.000, 0.012, 0.020),
        gamma=(1.14, 1.08, 1.06),
        spread=0.70,
        noise=0.005,
        shift_m=(0.0, 0.0),
        lean=(-0.12, -0.16),
    ),
}


@dataclass(frozen=True)
class VhrImage:
    """One image: pixel size, a name of `SENSORS`, its date, and the sun's azimuth and elevation (degrees)."""

    resolution_m: float
    sensor: str
    date: str
    sun_deg: tuple[float, float]


@dataclass(frozen=True)
class VhrSpec:
    """A valley to simulate for images of very high resolution.

    The scene is a square of `side_m`. `valley_floor_m` is its lowest elevation, `slope_deg` the mean slope of
    its sides; `river` holds control points (x, y) as fractions of the scene from its north-western corner.
    `vegetation_share` is the share of plants where nothing is built, `greenness` how green they are and how
    dark the soil (0 arid, 1 humid). `landslides` and `landslide_share` (of the scene) hold for the last image
    (places on the slopes permitting); with several images some slides appear or grow between them, at `mine`
    and on the slope at `unstable` (x, y), which a site of one image may leave out (None). `nets` slides lie
    partly under sand-proof nets. `images` are in the order of their dates; one called `jan` has the files
    rgb_jan.tif and so on, a single one rgb.tif.
    """

    kind: str
    side_m: float
    crs: str
    longitude: float
    latitude: float
    valley_floor_m: float
    slope_deg: float
    river: tuple[tuple[float, float], ...]
    vegetation_share: float
    greenness: float
    buildings: int
    landslides: int
    landslide_share: float
    nets: int
    mine: tuple[float, float] | None
    unstable: tuple[float, float] | None
    dem_resolution_m: float
    ndvi_resolution_m: float
    images: dict[str, VhrImage]

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "VhrSpec":
        """Read a spec from a mapping with the fields of this class as keys.

        Raises:
            HeadscarpError: it does not follow the schema, or sizes do not fit each other.
        """
        validate("twin", record, "twin")
        values = dict(record)
        values["river"] = tuple(tuple(point) for point in values["river"])
        for key in ("mine", "unstable"):
            values[key] = values[key] and tuple(values[key])
        values["images"] = {
            name: VhrImage(
                float(image["resolution_m"]), image["sensor"], image["date"], tuple(image["sun_deg"])
            )
            for name, image in record["images"].items()
        }
        spec = cls(**values)
        spec._check()
        return spec

    def _check(self) -> None:
        dates = [image.date for image in self.images.values()]
        if dates != sorted(dates):
            raise HeadscarpError(
                f"twin, images: the dates {', '.join(dates)} are not in order; list the earliest image first"
            )
        if len(self.images) > 1 and (self.mine is None or self.unstable is None or self.nets < 1):
            raise HeadscarpError(
                "twin: several images need places where slides appear "
                "and nets; give mine and unstable as [x, y], nets from 1"
            )
        if round(self.ndvi_resolution_m * 10) % 3 or self.ndvi_resolution_m % self.dem_resolution_m:
            raise HeadscarpError(
                f"twin: ndvi_resolution_m ({self.ndvi_resolution_m}) must be a multiple "
                f"of {PIXEL_M} m and of dem_resolution_m ({self.dem_resolution_m})"
            )
        if round(self.side_m * 100) % self._step_cm:
            raise HeadscarpError(
                f"twin: side_m ({self.side_m}) must be a multiple of "
                f"{self._step_cm / 100:g} m, so that all pixels fit"
            )

    @property
    def _step_cm(self) -> int:
        """Shortest length that is a whole number of pixels of every image."""
        return math.lcm(*(round(image.resolution_m * 100) for image in self.images.values()))

    @property
    def size(self) -> float:
        """Length of features (a river's width, a bench of the mine) relative to the reference scene; they
        shrink less than the scene does."""
        return math.sqrt(self.side_m / REFERENCE_SIDE_M)

    def grid(self, resolution_m: float) -> Grid:
        """A grid of all scene layers: same north-western corner, covering the scene, its centre within a
        metre of the coordinates."""
        x, y = Transformer.from_crs("EPSG:4326", self.crs, always_xy=True).transform(
            self.longitude, self.latitude
        )
        west, north = round(x - self.side_m / 2), round(y + self.side_m / 2)
        cells = math.ceil(round(self.side_m / resolution_m, 6))
        return Grid(self.crs, Affine(resolution_m, 0, west, 0, -resolution_m, north), cells, cells)

    @property
    def extent_m(self) -> float:
        """Side of the ground that is simulated: the scene's in whole cells of the NDVI."""
        return self.ndvi_resolution_m * math.ceil(round(self.side_m / self.ndvi_resolution_m, 6))

    @property
    def cells(self) -> int:
        """Side of the simulated ground in cells of `PIXEL_M`."""
        return round(self.extent_m / PIXEL_M)

    def scaled(self, fraction: float) -> "VhrSpec":
        """A smaller scene: sides times `fraction` (in whole pixels of all images) and buildings times its
        square.

        It keeps the number of slides, so that every part of it has several to learn from and to score on:
        they become smaller, and fewer only where their mean area would fall below `_SMALLEST_MEAN_M2`. River
        and roads shrink with the square root (see `size`), so that shares of classes stay about the same;
        buildings do not.
        """
        side = max(1, round(self.side_m * 100 * fraction / self._step_cm)) * self._step_cm / 100
        room = int(self.landslide_share * side**2 / _SMALLEST_MEAN_M2)
        landslides = min(self.landslides, max(_FEWEST_SLIDES, room))
        return replace(
            self,
            side_m=side,
            landslides=landslides,
            buildings=max(_FEWEST_BUILDINGS, round(self.buildings * fraction**2)),
            nets=max(min(1, self.nets), round(self.nets * landslides / self.landslides)),
        )
