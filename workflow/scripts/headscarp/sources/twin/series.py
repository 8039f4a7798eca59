"""A time series in memory: one landscape at several dates, whose slides start and green over while fields,
snow and rivers change.

Slides take a step from plants to debris and then decay back. What looks like them is bare at all dates (rock,
quarries, some soil), now and then (fields, soil, river bars, snow) or hidden (cloud). Clearings have a
slide's course in time too, but lie on gentle stable ground.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from headscarp.sources.twin import cover as covers
from headscarp.sources.twin.cover import land_cover, snow_over
from headscarp.sources.twin.fields import cast_shadow, correlated_noise, shifted
from headscarp.sources.twin.geography import distance_to
from headscarp.sources.twin.reflectance import (
    BARE_COVERS,
    Surface,
    ground_texture,
    observe,
    parcels,
    sunlight,
)
from headscarp.sources.twin.region import annual_rain
from headscarp.sources.twin.scene import Landscape, build_landscape, part_generators
from headscarp.sources.twin.series_spec import SeriesDate, SeriesSpec
from headscarp.sources.twin.spec import EARTHQUAKE

CLEAR, CLOUD, CLOUD_SHADOW = range(3)
CLOUD_NAMES = ("clear", "cloud", "cloud shadow")
# Slides of the first date started up to so many years before it; this share of an earthquake's in its year,
# which is the first date's.
_OLDEST_YEARS, _IN_THE_EVENT = 15, 0.85
# Age (years) at a date of what started in its year: slides start in the wet season, before the images of
# autumn.
_FIRST_SEASON = 0.3
# How patches of bare soil behave: bare at all dates, cleared once and greening over, or bare now and then;
# the shares of the first two.
_ALWAYS, _CLEARED, _AT_TIMES = range(3)
_ALWAYS_SHARE, _CLEARED_SHARE = 0.25, 0.35
# Shares of the dates at which a field, and soil that is bare now and then, is bare.
_FIELD_BARE, _SOIL_BARE = 0.22, 0.5
# Fresh debris and dry soil of open country relative to the spectra of the library.
_DEBRIS_BRIGHTNESS = 1.25
# Width of river bars in a mean year (m), how strongly it falls with a year's rain, and the rain from which on
# the river is a pixel wider.
_BAR_M, _BAR_RAIN, _BAR_SLOPE_DEG, _FLOOD_RAIN = 75.0, 1.5, 15.0, 1.1
# Clouds: size (cells), height (m), reflectance, opacity from which on they are mapped, and the light that
# their shadow takes.
_CLOUD_CELLS, _CLOUD_M, _CLOUD_WHITE, _MAPPED_OPACITY, _SHADE = 16, 1400.0, 0.72, 0.12, 0.55
# A shadow is followed to ground no more than this below the ridge (m), and the light of haze is left in it.
_TALLEST_M, _DIM = 900.0, 0.12


@dataclass(frozen=True)
class Lasting:
    """What stays the same from date to date, (row, col) unless stated.

    texture: grain of the ground; vigour: of plants, relative to the date's; ragged, drifts: noise of bareness
    and snow; water_distance: m; parcel: point of each cell's parcel; soil: brightness of bare parcels;
    patches: number of the bare patch or slide, 0 none, slides last; behaviour, cleared: (patch,) `_ALWAYS`
    and so on, and the year of clearing; fresh, brightness, hardness: (1 + patch + slide,) bare share when
    new, brightness, and what hardness differs from the rock's; rain: of a mean year, mm, on cells of about 1
    km.
    """

    texture: np.ndarray
    vigour: np.ndarray
    ragged: np.ndarray
    drifts: np.ndarray
    water_distance: np.ndarray
    parcel: tuple[np.ndarray, np.ndarray]
    soil: np.ndarray
    patches: np.ndarray
    behaviour: np.ndarray
    cleared: np.ndarray
    fresh: np.ndarray
    brightness: np.ndarray
    hardness: np.ndarray
    rain: np.ndarray


@dataclass(frozen=True)
class SimulatedSeries:
    """A site and its course in time.

    land: the landscape with all slides up to the last date; cover: (row, col) land cover without slides and
    snow; started, greening: (slide,) the year in which slide k + 1 started, and the years in which its bare
    share falls by e.
    """

    spec: SeriesSpec
    seed: int
    land: Landscape
    cover: np.ndarray
    started: np.ndarray
    greening: np.ndarray
    lasting: Lasting


@dataclass(frozen=True)
class Observation:
    """One date: rgb (3, row, col) float32 reflectance; clouds (row, col) uint8 of `CLOUD_NAMES`; rain (row,
    col) float32, mm of the year on cells of about 1 km; cover (row, col) uint8, classes of `cover.NAMES` from
    1; bareness (row, col) float32, bare share of slides and of what looks like them, 0 elsewhere."""

    rgb: np.ndarray
    clouds: np.ndarray
    rain: np.ndarray
    cover: np.ndarray
    bareness: np.ndarray


def build_series(spec: SeriesSpec, seed: int) -> SimulatedSeries:
    """Simulate a site and the course of its slides; the same spec and seed give the same series.

    Raises:
        HeadscarpError: the slides do not fit into the study area.
    """
    rngs = part_generators(seed)
    site = spec.site
    land = build_landscape(site, rngs)
    snowless = replace(site, snow_line_m=None)
    slides = land.instances > 0
    cover = land_cover(
        snowless, rngs["cover"], land.ground, land.safety, land.mapped, slides, land.plants, None
    )
    rng = np.random.default_rng([seed, 1])
    started, greening = _start_years(spec, rng), _greening_years(spec, rng, land)
    return SimulatedSeries(
        spec=spec,
        seed=seed,
        land=land,
        cover=cover,
        started=started,
        greening=greening,
        lasting=_lasting(spec, rng, rngs["rain"], land, cover),
    )


def observation(series: SimulatedSeries, name: str) -> Observation:
    """The image of the date called `name`, its clouds and the rain of its year; the same whichever dates were
    simulated before."""
    spec, ground, date, lasting = series.spec, series.land.ground, series.spec.dates[name], series.lasting
    site = spec.site_at(name)
    rng = np.random.default_rng([series.seed, 2, list(spec.dates).index(name)])
    cover = _cover_at(series, rng, date)
    surface, bareness = _surface_at(series, rng, date, cover)
    shaded = cast_shadow(ground.elevation, spec.resolution_m, date.sun_deg, _TALLEST_M)
    lit = sunlight(site, ground) * np.maximum(
        1 - ndimage.gaussian_filter(shaded.astype(np.float32), 0.7), _DIM
    )
    rgb = observe(site, rng, ground.slope, surface, lasting.texture, lit)
    rgb, clouds = _clouded(spec, rng, date, rgb)
    rain = (
        date.rain
        * lasting.rain
        * np.exp(0.08 * correlated_noise(rng, lasting.rain.shape, max(2, min(lasting.rain.shape) / 5)))
    )
    return Observation(rgb, clouds, rain.astype(np.float32), cover, bareness.astype(np.float32))


def _start_years(spec: SeriesSpec, rng: np.random.Generator) -> np.ndarray:
    """Year (slide,) in which each slide starts: after one date's year and up to the next one's, in the shares
    of the spec."""
    dates = list(spec.dates.values())
    ends = np.round(spec.landslides * np.cumsum([date.started for date in dates])).astype(int)
    years = []
    for number, (date, count) in enumerate(zip(dates, np.diff(ends, prepend=0), strict=True)):
        earliest = date.year - _OLDEST_YEARS if number == 0 else dates[number - 1].year + 1
        drawn = rng.integers(earliest, date.year + 1, count)
        if number == 0 and spec.trigger == EARTHQUAKE:
            drawn[: round(_IN_THE_EVENT * count)] = date.year
        years.append(drawn)
    return rng.permutation(np.concatenate(years))


def _greening_years(spec: SeriesSpec, rng: np.random.Generator, land: Landscape) -> np.ndarray:
    """E-folding time (slide,) of each slide's bare share: slowest where it is high and sunny, spread evenly
    on a logarithmic scale."""
    harsh = 2 * land.ground.height - 0.5 * np.cos(land.ground.aspect)
    means = ndimage.mean(
        harsh, land.instances, np.arange(1, spec.landslides + 1)
    ) + 0.4 * rng.standard_normal(spec.landslides)
    rank = np.argsort(np.argsort(means)) / max(1, spec.landslides - 1)
    fastest, slowest = spec.greening_years
    return fastest * (slowest / fastest) ** rank


def _lasting(
    spec: SeriesSpec,
    rng: np.random.Generator,
    rain_rng: np.random.Generator,
    land: Landscape,
    cover: np.ndarray,
) -> Lasting:
    shape = cover.shape
    years = [date.year for date in spec.dates.values()]
    patches, count = ndimage.label(np.isin(cover, BARE_COVERS) & (land.instances == 0))
    patches = np.where(land.instances > 0, count + land.instances, patches)
    behaviour = rng.choice(
        [_ALWAYS, _CLEARED, _AT_TIMES],
        count,
        p=[_ALWAYS_SHARE, _CLEARED_SHARE, 1 - _ALWAYS_SHARE - _CLEARED_SHARE],
    )
    kind = np.zeros(count + 1, np.uint8)
    kind[np.where(land.instances > 0, 0, patches)] = cover
    behaviour[np.isin(kind[1:], (covers.ROCK, covers.QUARRY))] = _ALWAYS
    total = count + spec.landslides + 1
    parcel = parcels(rng, shape)
    return Lasting(
        texture=ground_texture(rng, shape),
        vigour=np.exp(0.14 * correlated_noise(rng, shape, 6)),
        ragged=correlated_noise(rng, shape, 5, 1.2),
        drifts=correlated_noise(rng, shape, 12),
        water_distance=distance_to(land.ground.water, spec.resolution_m),
        parcel=parcel,
        soil=_DEBRIS_BRIGHTNESS * np.exp(0.16 * rng.standard_normal(shape))[parcel],
        patches=patches,
        behaviour=behaviour,
        cleared=rng.integers(years[0] - _OLDEST_YEARS, years[-1] + 1, count),
        # Slides and look-alikes draw their bareness, rock and brightness from one distribution: one image
        # cannot tell them apart.
        fresh=rng.beta(5.0, 0.8, total),
        brightness=_DEBRIS_BRIGHTNESS * np.exp(0.14 * rng.standard_normal(total)),
        hardness=0.35 * rng.standard_normal(total),
        rain=annual_rain(spec.site, rain_rng, land.dem, spec.rainfall_mm),
    )


def _cover_at(series: SimulatedSeries, rng: np.random.Generator, date: SeriesDate) -> np.ndarray:
    """Land cover (row, col) at a date: bars along a river that is wider in wet years, and snow above the line
    of the date."""
    ground, lasting = series.land.ground, series.lasting
    cover = np.where(series.cover == covers.BAR, covers.GRASS, series.cover).astype(np.uint8)
    gentle = (ground.slope < _BAR_SLOPE_DEG) & (series.land.instances == 0)
    width = _BAR_M * max(0.0, 1 + _BAR_RAIN * (1 - date.rain))
    cover[gentle & (lasting.water_distance < width * (1 + 0.6 * lasting.ragged))] = covers.BAR
    if date.rain > _FLOOD_RAIN:
        cover[gentle & (lasting.water_distance < 1.5 * series.spec.resolution_m)] = covers.WATER
    cover[ground.water] = covers.WATER
    if date.snow_line_m is not None:
        drifts = lasting.drifts + 0.35 * correlated_noise(rng, cover.shape, 12)
        cover[snow_over(ground, date.snow_line_m, drifts) & (cover != covers.WATER)] = covers.SNOW
    return cover


def _surface_at(
    series: SimulatedSeries, rng: np.random.Generator, date: SeriesDate, cover: np.ndarray
) -> tuple[Surface, np.ndarray]:
    """What a date's reflectance is mixed from, and the bare share (row, col) of slides and of what looks like
    them."""
    lasting, shape = series.lasting, cover.shape
    growth = rng.uniform(size=shape)[lasting.parcel]
    field = cover == covers.FIELD
    vigour = date.vigour * lasting.vigour * np.exp(0.06 * correlated_noise(rng, shape, 10))
    vigour = np.clip(np.where(field, vigour * (0.45 + 0.8 * growth), vigour), 0, 1)
    built = np.exp(0.2 * rng.standard_normal(int((cover == covers.BUILT).sum())))

    shares = _bare_shares(series, rng, date)
    number = np.where(
        series.land.instances > 0, lasting.patches, np.where(np.isin(cover, BARE_COVERS), lasting.patches, 0)
    )
    # Debris greens over in tongues, from where soil has come down.
    share = shares[number] ** np.exp(0.3 * lasting.ragged)
    bareness = share * np.clip(lasting.fresh[number] + 0.16 * lasting.ragged, 0, 1)
    fallow, bar = field & (growth < _FIELD_BARE) & (number == 0), cover == covers.BAR
    bareness = np.select(
        [number > 0, fallow, bar], [bareness, 1 - growth, np.clip(0.85 + 0.16 * lasting.ragged, 0, 1)], 0.0
    )
    not_yet = (series.land.instances > 0) & (shares[number] == 0)
    bare = ((number > 0) & ~not_yet | fallow | bar) & ~np.isin(cover, (covers.WATER, covers.SNOW))
    bareness[~bare] = 0
    brightness = np.where(fallow, lasting.soil, lasting.brightness[number])
    rock = (series.land.ground.lithology - 1) / 2
    hardness = np.clip(np.where(fallow, 0.3 * rock, rock) + lasting.hardness[number], 0, 1)
    return Surface(
        cover=cover,
        vigour=vigour,
        built=built,
        bare=bare,
        bareness=bareness[bare],
        brightness=brightness[bare],
        hardness=hardness[bare],
    ), bareness


def _bare_shares(series: SimulatedSeries, rng: np.random.Generator, date: SeriesDate) -> np.ndarray:
    """Bare share (1 + patch + slide,) of each patch and slide at a date relative to its fresh state; 0 before
    a slide starts."""
    lasting, patches = series.lasting, series.lasting.behaviour.size

    def decayed(start: np.ndarray, years: np.ndarray | float) -> np.ndarray:
        age = date.year - start + _FIRST_SEASON
        return np.where(age > 0, np.exp(-np.maximum(age, 0) / years), 0.0)

    fastest, slowest = series.spec.greening_years
    cleared = decayed(lasting.cleared, np.sqrt(fastest * slowest))
    at_times = np.where(
        rng.uniform(size=patches) < _SOIL_BARE, rng.uniform(0.5, 1.0, patches), rng.uniform(0.0, 0.2, patches)
    )
    kinds = np.select([lasting.behaviour == _ALWAYS, lasting.behaviour == _CLEARED], [1.0, cleared], at_times)
    return np.concatenate([[0.0], kinds, decayed(series.started, series.greening)])


def _clouded(
    spec: SeriesSpec, rng: np.random.Generator, date: SeriesDate, rgb: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The image (3, row, col) under the date's clouds, and their codes (row, col) uint8; thin edges of clouds
    are not mapped."""
    shape = rgb.shape[1:]
    clouds = np.full(shape, CLEAR, np.uint8)
    if date.cloud_share == 0:
        return rgb, clouds
    field = correlated_noise(rng, shape, min(_CLOUD_CELLS, min(shape) / 6), 1.4)
    opacity = np.clip((field - np.quantile(field, 1 - date.cloud_share)) / 0.8 + _MAPPED_OPACITY, 0, 1)
    azimuth, elevation = np.radians(date.sun_deg)
    reach = _CLOUD_M / np.tan(elevation) / spec.resolution_m
    shade = ndimage.gaussian_filter(
        shifted(opacity, round(-np.cos(azimuth) * reach), round(np.sin(azimuth) * reach)), 1.5
    )
    white = _CLOUD_WHITE * (0.9 + 0.1 * opacity) * np.exp(0.03 * correlated_noise(rng, shape, 4))
    clouds[shade > _MAPPED_OPACITY] = CLOUD_SHADOW
    clouds[opacity > _MAPPED_OPACITY] = CLOUD
    seen = rgb * (1 - _SHADE * np.minimum(1.5 * shade, 1)) * (1 - opacity) + white * opacity
    return np.clip(seen, 0.001, 1.0).astype(np.float32), clouds
