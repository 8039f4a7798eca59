"""What a twin must match: the site table of a paper, and the conditions of its image."""

import math
from dataclasses import dataclass, replace
from typing import Any

from affine import Affine
from pyproj import Transformer

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.schema import validate
from headscarp.sources.twin.files import SENSORS

RAIN = "rain"
EARTHQUAKE = "earthquake"
SURVEY_SIZES = ("small", "medium", "large")
# The coarse grid of a region's factors (90 m over a DEM of 30 m), in cells of the DEM.
COARSE_FACTOR = 3
# A district leaves at least this share of the study area to the rest, however small the scale.
_LARGEST_DISTRICT = 0.6


@dataclass(frozen=True)
class RegionSpec:
    """What a region has besides a site, for susceptibility mapping: a surveyed district and the layers of its
    factors.

    `district_km2` is the area of the district whose slides were mapped, `surveyed` the number of its surveyed
    sites of each class of slip volume (`SURVEY_SIZES`, DZ/T 0261-2014), `rainfall_mm` the range of annual
    rainfall.
    """

    district_km2: float
    surveyed: dict[str, int]
    rainfall_mm: tuple[float, float]

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "RegionSpec":
        return cls(record["district_km2"], dict(record["surveyed"]), tuple(record["rainfall_mm"]))

    def scaled(self, fraction: float, study_area_km2: float) -> "RegionSpec":
        """The district's area goes with `fraction`, not its square, so that windows still fit; it stays below
        a share of the study area."""
        district = min(self.district_km2 * fraction, _LARGEST_DISTRICT * study_area_km2)
        surveyed = {
            size: round(count * district / self.district_km2) for size, count in self.surveyed.items()
        }
        return replace(self, district_km2=district, surveyed=surveyed)


@dataclass(frozen=True)
class TwinSpec:
    """A study area to simulate.

    `elevation_m` is (lowest, highest). `river` and `fault` are control points (x, y) as fractions of the
    scene's width and height from its north-western corner, the river's from source to mouth. `revegetation`
    is the mean share of a slide that has greened over (0 fresh, 1 gone); `vegetation_vigour` the green share
    of vegetation (season); `look_alike_share` the share of the study area under bare ground that is no slide;
    `haze` multiplies a clear-sky path reflectance; `noise` is the sensor's standard deviation in reflectance.
    `river_distance_m` is how far mapped ground may lie from a river. `snow_line_m` is None where no snow
    lies. `sensor` names one of `SENSORS`; the DEM is `dem_factor` times as coarse as the image (2 as in
    gao2021: 30 m GDEM, 15 m pan-sharpened bands). `region` is None for a site of which no more than gao2021's
    layers are needed.
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
    sensor: str = "landsat8"
    dem_factor: int = 2
    region: RegionSpec | None = None

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "TwinSpec":
        """Read a spec from a mapping with the fields of this class as keys; those with a default may be left
        out.

        Raises:
            HeadscarpError: it does not follow the schema, or its parts contradict each other.
        """
        validate("twin", record, "twin")
        values = dict(record)
        values["elevation_m"] = tuple(values["elevation_m"])
        for key in ("river", "fault"):
            values[key] = tuple(tuple(point) for point in values[key])
        if values.get("region") is not None:
            values["region"] = RegionSpec.from_record(values["region"])
        spec = cls(**values)
        spec._check()
        return spec

    def _check(self) -> None:
        if not self.elevation_m[0] < self.elevation_m[1]:
            raise HeadscarpError(f"twin: elevation_m {list(self.elevation_m)} must be [lowest, highest]")
        if not self.landslide_area_km2 < self.study_area_km2 < self.scene_area_km2:
            raise HeadscarpError(
                f"twin: landslide_area_km2 ({self.landslide_area_km2}) must be below study_area_km2 "
                f"({self.study_area_km2}), and that below the scene's {self.scene_area_km2:.2f} km2"
            )
        if self.region is None:
            return
        if self.rows % self.coarse_factor or self.cols % self.coarse_factor:
            raise HeadscarpError(
                f"twin: rows ({self.rows}) and cols ({self.cols}) of a region must be "
                f"multiples of {self.coarse_factor}, so that the grid of its factors fits"
            )
        if not self.region.district_km2 < self.study_area_km2:
            raise HeadscarpError(
                f"twin, region: district_km2 ({self.region.district_km2}) "
                f"must be below study_area_km2 ({self.study_area_km2})"
            )
        if not 0 < self.region.rainfall_mm[0] < self.region.rainfall_mm[1]:
            raise HeadscarpError(
                f"twin, region: rainfall_mm {list(self.region.rainfall_mm)} must be [lowest, highest]"
            )

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the image's bands."""
        return SENSORS[self.sensor]

    @property
    def coarse_factor(self) -> int:
        """Side of a cell of a region's factors in pixels of the image."""
        return self.dem_factor * COARSE_FACTOR

    @property
    def scene_area_km2(self) -> float:
        return self.rows * self.cols * self.resolution_m**2 / 1e6

    @property
    def grid(self) -> Grid:
        """The image's grid, its centre within a pixel of (longitude, latitude)."""
        x, y = Transformer.from_crs("EPSG:4326", self.crs, always_xy=True).transform(
            self.longitude, self.latitude
        )
        west, north = (
            self.resolution_m * round(value / self.resolution_m)
            for value in (x - self.half_width_m, y + self.half_height_m)
        )
        return Grid(
            self.crs, Affine(self.resolution_m, 0, west, 0, -self.resolution_m, north), self.rows, self.cols
        )

    @property
    def dem_grid(self) -> Grid:
        """The coarser grid of the DEM: same corner, covering the image."""
        return self.coarser_grid(self.dem_factor)

    def coarser_grid(self, factor: int) -> Grid:
        """A grid with cells of `factor` x `factor` pixels: same corner, covering the image."""
        grid = self.grid
        return Grid(
            self.crs,
            grid.transform @ Affine.scale(factor),
            math.ceil(self.rows / factor),
            math.ceil(self.cols / factor),
        )

    @property
    def half_width_m(self) -> float:
        return self.cols * self.resolution_m / 2

    @property
    def half_height_m(self) -> float:
        return self.rows * self.resolution_m / 2

    def scaled(self, fraction: float) -> "TwinSpec":
        """A smaller piece of the same landscape: sides times `fraction`, areas and count (at least 3) times
        its square.

        Relief goes with the square root of `fraction`, as in fractal terrain (Hurst exponent about 0.5); the
        whole relief in a part of the space would make every slope a cliff. Rows and columns of a region stay
        multiples of its coarse cells.
        """
        lowest, highest = self.elevation_m
        relief = (highest - lowest) * math.sqrt(fraction)
        landslides = max(3, round(self.landslides * fraction**2))
        snow_line = (
            None if self.snow_line_m is None else lowest + (self.snow_line_m - lowest) * math.sqrt(fraction)
        )
        step = 1 if self.region is None else self.coarse_factor
        rows, cols = (step * round(size * fraction / step) for size in (self.rows, self.cols))
        area_ratio = rows * cols / (self.rows * self.cols)
        study_area = self.study_area_km2 * area_ratio
        return replace(
            self,
            rows=rows,
            cols=cols,
            elevation_m=(lowest, lowest + relief),
            landslides=landslides,
            landslide_area_km2=self.landslide_area_km2 * area_ratio,
            study_area_km2=study_area,
            river_distance_m=self.river_distance_m * fraction,
            snow_line_m=snow_line,
            region=self.region and self.region.scaled(fraction, study_area),
        )
