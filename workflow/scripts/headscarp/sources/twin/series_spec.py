"""What a simulated time series must match: the site, how its slides start and green over, and the conditions
of each date."""

import math
from dataclasses import dataclass, replace
from datetime import date as calendar_date
from typing import Any

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.schema import validate
from headscarp.sources.twin.spec import TwinSpec

# Share of a slide that is green in the elevation model, which is of no one date.
_REVEGETATION = 0.3
# Fewest slides of a scaled site: so few, every date still has fresh ones.
_FEWEST_SLIDES = 12


@dataclass(frozen=True)
class SeriesDate:
    """One date: ISO date, the sun's azimuth and elevation (degrees), the share of slides that started since
    the date before (for the first: up to it), the green share of vegetation, the year's rain relative to the
    mean of years, the factor of a clear sky's path reflectance, the share of the scene under cloud, and the
    snow line (m), None where no snow lies."""

    date: str
    sun_deg: tuple[float, float]
    started: float
    vigour: float
    rain: float
    haze: float
    cloud_share: float = 0.0
    snow_line_m: float | None = None

    @property
    def year(self) -> int:
        return calendar_date.fromisoformat(self.date).year


@dataclass(frozen=True)
class SeriesSpec:
    """A site to simulate at several dates.

    Fields of the same name are those of `TwinSpec`. `landslides` and their area count all slides up to the
    last date. `rainfall_mm` is the range of annual rainfall in a mean year, `greening_years` (fastest,
    slowest) the times in which the bare share of a slide falls by e. `dates` are in order; one called `2008`
    has the files rgb_2008.tif and so on.
    """

    kind: str
    rows: int
    cols: int
    resolution_m: float
    crs: str
    longitude: float
    latitude: float
    elevation_m: tuple[float, float]
    landslides: int
    landslide_area_km2: float
    study_area_km2: float
    trigger: str
    river: tuple[tuple[float, float], ...]
    river_distance_m: float
    fault: tuple[tuple[float, float], ...]
    look_alike_share: float
    noise: float
    rainfall_mm: tuple[float, float]
    greening_years: tuple[float, float]
    dates: dict[str, SeriesDate]

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "SeriesSpec":
        """Read a spec from a mapping with the fields of this class as keys.

        Raises:
            HeadscarpError: it does not follow the schema, dates are out of order or twice there, or other
            parts contradict each other.
        """
        validate("twin", record, "twin")
        values = dict(record)
        for key in ("elevation_m", "rainfall_mm", "greening_years"):
            values[key] = tuple(values[key])
        for key in ("river", "fault"):
            values[key] = tuple(tuple(point) for point in values[key])
        dates = {}
        for name, entry in record["dates"].items():
            dates[str(name)] = SeriesDate(**entry | {"sun_deg": tuple(entry["sun_deg"])})
        values["dates"] = dates
        spec = cls(**values)
        spec._check()
        return spec

    def _check(self) -> None:
        before = None
        for name, date in self.dates.items():
            place = f"twin, dates, {name}"
            if before is not None and date.date == before:
                raise HeadscarpError(f"{place}: the date {date.date} is there twice; each date stands once")
            if before is not None and date.date < before:
                raise HeadscarpError(
                    f"{place}: {date.date} comes after {before} in the list; list the earliest date first"
                )
            before = date.date
            if not 0 < date.sun_deg[1] <= 90:
                raise HeadscarpError(
                    f"{place}: the sun's elevation {date.sun_deg[1]:g} must lie above 0 and up to 90 degrees"
                )
        years = [date.year for date in self.dates.values()]
        if len(set(years)) < len(years):
            raise HeadscarpError(
                f"twin, dates: two of the years {years} are the same; "
                "a slide starts in a year, so give each date its own"
            )
        total = sum(date.started for date in self.dates.values())
        if not math.isclose(total, 1, abs_tol=1e-6):
            raise HeadscarpError(
                f"twin, dates: the shares `started` add up to {total:g}, "
                "not 1; every slide starts before the last date"
            )
        for key in ("rainfall_mm", "greening_years"):
            low, high = getattr(self, key)
            if low > high:
                raise HeadscarpError(f"twin: {key} {[low, high]} must be [lowest, highest]")
        TwinSpec.from_record(self._site_record())

    def site_at(self, name: str) -> TwinSpec:
        """The site as it is at the date called `name`."""
        date = self.dates[name]
        return replace(
            TwinSpec.from_record(self._site_record()),
            date=date.date,
            vegetation_vigour=date.vigour,
            haze=date.haze,
            snow_line_m=date.snow_line_m,
            sun_azimuth_deg=date.sun_deg[0],
            sun_elevation_deg=date.sun_deg[1],
        )

    @property
    def site(self) -> TwinSpec:
        """The site at no one date: its ground, with the highest of the snow lines."""
        return TwinSpec.from_record(self._site_record())

    def _site_record(self) -> dict[str, Any]:
        same = (
            "rows",
            "cols",
            "resolution_m",
            "crs",
            "longitude",
            "latitude",
            "elevation_m",
            "landslides",
            "landslide_area_km2",
            "study_area_km2",
            "trigger",
            "river",
            "river_distance_m",
            "fault",
            "look_alike_share",
            "noise",
        )
        last = list(self.dates.values())[-1]
        snow_lines = [date.snow_line_m for date in self.dates.values() if date.snow_line_m is not None]
        return {key: getattr(self, key) for key in same} | {
            "date": last.date,
            "reservoir": False,
            "revegetation": _REVEGETATION,
            "vegetation_vigour": last.vigour,
            "snow_line_m": max(snow_lines, default=None),
            "sun_azimuth_deg": last.sun_deg[0],
            "sun_elevation_deg": last.sun_deg[1],
            "haze": last.haze,
            "sensor": "rgb",
            "dem_factor": 1,
        }

    @property
    def grid(self) -> Grid:
        """Grid of the images, the DEM and the lithology."""
        return self.site.grid

    def scaled(self, fraction: float) -> "SeriesSpec":
        """A smaller piece of the same landscape: sides times `fraction`, relief and snow lines as in
        `TwinSpec.scaled`.

        The number of slides goes with `fraction` (at least 12) and their mean area with its square root, as
        the relief: a piece then has a larger share of slides than the whole, enough to learn from.
        """
        site = self.site.scaled(fraction)
        lowest = self.elevation_m[0]
        dates = {
            name: replace(
                date,
                snow_line_m=date.snow_line_m and lowest + (date.snow_line_m - lowest) * math.sqrt(fraction),
            )
            for name, date in self.dates.items()
        }
        landslides = max(_FEWEST_SLIDES, round(self.landslides * fraction))
        area = self.landslide_area_km2 / self.landslides * landslides * math.sqrt(fraction)
        return replace(
            self,
            rows=site.rows,
            cols=site.cols,
            elevation_m=site.elevation_m,
            landslides=landslides,
            landslide_area_km2=area,
            study_area_km2=site.study_area_km2,
            river_distance_m=site.river_distance_m,
            dates=dates,
        )
