"""What a twin must match: the site table of a paper, and the conditions of its image."""

import math
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any

from affine import Affine
from pyproj import Transformer

from headscarp.errors import HeadscarpError
from headscarp.site.grid import Grid

RAIN = "rain"
EARTHQUAKE = "earthquake"
# The DEM of a twin is twice as coarse as its image, as in gao2021 (30 m GDEM, 15 m pan-sharpened bands).
DEM_FACTOR = 2


@dataclass(frozen=True)
class TwinSpec:
    """A study area to simulate.

    `elevation_m` is (lowest, highest). `river` and `fault` are control points (x, y) as fractions of the scene's width and height from its
    north-western corner, the river's from source to mouth. `revegetation` is the mean share of a slide that has greened over (0 fresh, 1
    gone); `vegetation_vigour` the green share of vegetation (season); `look_alike_share` the share of the study area under bare ground
    that is no slide; `haze` multiplies a clear-sky path reflectance; `noise` is the sensor's standard deviation in reflectance.
    `river_distance_m` is how far mapped ground may lie from a river. `snow_line_m` is None where no snow lies.
    """

    rows: int
    cols: int
    resolution_m: float
    crs: str
    longitude: float
    latitude: float
    date: str
    elevation_m: tuple[float, float]
    landslides: int
    landslide_area_km2: float
    study_area_km2: float
    trigger: str
    reservoir: bool
    river: tuple[tuple[float, float], ...]
    river_distance_m: float
    fault: tuple[tuple[float, float], ...]
    revegetation: float
    vegetation_vigour: float
    look_alike_share: float
    snow_line_m: float | None
    sun_azimuth_deg: float
    sun_elevation_deg: float
    haze: float
    noise: float

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "TwinSpec":
        """Read a spec from a mapping with exactly the fields of this class.

        Raises:
            HeadscarpError: a key is unknown or missing, or a value cannot be right.
        """
        known = [field.name for field in fields(cls)]
        for key in record:
            if key not in known:
                nearest = get_close_matches(str(key), known, 1, 0)[0]
                raise HeadscarpError(f"twin: unknown key '{key}'; did you mean '{nearest}'?")
        for key in known:
            if key not in record:
                raise HeadscarpError(f"twin: key '{key}' is missing; add it to the site's twin record")
        values = dict(record)
        values["date"] = str(values["date"])
        values["elevation_m"] = tuple(values["elevation_m"])
        for key in ("river", "fault"):
            values[key] = tuple(tuple(point) for point in values[key])
        spec = cls(**values)
        spec._check()
        return spec

    def _check(self) -> None:
        if self.trigger not in (RAIN, EARTHQUAKE):
            raise HeadscarpError(f"twin: trigger '{self.trigger}' is unknown; use '{RAIN}' or '{EARTHQUAKE}'")
        if not self.elevation_m[0] < self.elevation_m[1]:
            raise HeadscarpError(f"twin: elevation_m {list(self.elevation_m)} must be [lowest, highest]")
        if not self.landslide_area_km2 < self.study_area_km2 < self.scene_area_km2:
            raise HeadscarpError(
                f"twin: landslide_area_km2 ({self.landslide_area_km2}) must be below study_area_km2 ({self.study_area_km2}), "
                f"and that below the scene's {self.scene_area_km2:.2f} km2"
            )

    @property
    def scene_area_km2(self) -> float:
        return self.rows * self.cols * self.resolution_m**2 / 1e6

    @property
    def grid(self) -> Grid:
        """The image's grid, its centre within a pixel of (longitude, latitude)."""
        x, y = Transformer.from_crs("EPSG:4326", self.crs, always_xy=True).transform(self.longitude, self.latitude)
        west, north = (self.resolution_m * round(value / self.resolution_m) for value in (x - self.half_width_m, y + self.half_height_m))
        return Grid(self.crs, Affine(self.resolution_m, 0, west, 0, -self.resolution_m, north), self.rows, self.cols)

    @property
    def dem_grid(self) -> Grid:
        """The coarser grid of the DEM: same corner, covering the image."""
        grid = self.grid
        return Grid(
            self.crs, grid.transform @ Affine.scale(DEM_FACTOR), math.ceil(self.rows / DEM_FACTOR), math.ceil(self.cols / DEM_FACTOR)
        )

    @property
    def half_width_m(self) -> float:
        return self.cols * self.resolution_m / 2

    @property
    def half_height_m(self) -> float:
        return self.rows * self.resolution_m / 2

    def scaled(self, fraction: float) -> "TwinSpec":
        """A smaller piece of the same landscape: sides times `fraction`, areas and count (at least 3) times its square.

        Relief goes with the square root of `fraction`, as in fractal terrain (Hurst exponent about 0.5); the whole relief in a part of the
        space would make every slope a cliff.
        """
        lowest, highest = self.elevation_m
        relief = (highest - lowest) * math.sqrt(fraction)
        landslides = max(3, round(self.landslides * fraction**2))
        snow_line = None if self.snow_line_m is None else lowest + (self.snow_line_m - lowest) * math.sqrt(fraction)
        rows, cols = round(self.rows * fraction), round(self.cols * fraction)
        area_ratio = rows * cols / (self.rows * self.cols)
        return replace(
            self, rows=rows, cols=cols, elevation_m=(lowest, lowest + relief), landslides=landslides,
            landslide_area_km2=self.landslide_area_km2 * area_ratio, study_area_km2=self.study_area_km2 * area_ratio,
            river_distance_m=self.river_distance_m * fraction, snow_line_m=snow_line,
        )  # fmt: skip
