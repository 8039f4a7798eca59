"""Surface reflectance in the bands of Landsat-8 OLI or Sentinel-2: a spectral library, mixing, illumination
by slope, haze and noise."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import ndimage

from headscarp.sources.twin import cover as covers
from headscarp.sources.twin.cover import CoverFactors
from headscarp.sources.twin.fields import correlated_noise, strips, widened
from headscarp.sources.twin.region import block_mean
from headscarp.sources.twin.spec import SENSORS, TwinSpec

BANDS = SENSORS["landsat8"]
# Typical reflectance per band, after the ranges of the ASTER and USGS spectral libraries resampled to OLI.
_LIBRARY = {
    "leaf forest": (0.020, 0.027, 0.052, 0.033, 0.310, 0.145, 0.062),
    "leaf shrub": (0.028, 0.037, 0.066, 0.048, 0.300, 0.175, 0.085),
    "leaf grass": (0.034, 0.045, 0.080, 0.064, 0.310, 0.215, 0.115),
    "leaf crop": (0.030, 0.042, 0.084, 0.055, 0.350, 0.195, 0.100),
    "litter": (0.050, 0.065, 0.095, 0.120, 0.190, 0.260, 0.185),
    "debris soft": (0.078, 0.098, 0.130, 0.165, 0.220, 0.285, 0.240),
    "debris medium": (0.098, 0.120, 0.155, 0.185, 0.235, 0.290, 0.250),
    "debris hard": (0.130, 0.152, 0.185, 0.208, 0.245, 0.280, 0.240),
    "built": (0.120, 0.135, 0.160, 0.180, 0.225, 0.245, 0.215),
    "asphalt": (0.090, 0.100, 0.120, 0.135, 0.170, 0.200, 0.180),
    "water": (0.050, 0.050, 0.055, 0.028, 0.010, 0.006, 0.004),
    "snow": (0.720, 0.720, 0.710, 0.690, 0.640, 0.140, 0.090),
}
_PATH = np.array([0.050, 0.036, 0.022, 0.013, 0.006, 0.002, 0.001])
_DIFFUSE = np.array([0.34, 0.29, 0.22, 0.17, 0.12, 0.07, 0.05])
# Point spread of a pan-sharpened pixel, in pixels.
_BLUR = 0.75
# So many pixels away a filter of that spread looks.
_BLUR_REACH = 3
_LEAF = {
    covers.FOREST: "leaf forest",
    covers.SHRUB: "leaf shrub",
    covers.GRASS: "leaf grass",
    covers.FIELD: "leaf crop",
}
# Ground that is bare, and looks like a slide.
BARE_COVERS = (covers.SOIL, covers.ROCK, covers.QUARRY, covers.BAR)


@dataclass(frozen=True)
class Surface:
    """What the ground's reflectance is mixed from: land cover (row, col); green share of plants; brightness
    of built-up pixels (n,), in the order of the array; and of the pixels of bare patches (mask `bare`) bare
    share, brightness and hardness of the rock, each (m,)."""

    cover: np.ndarray
    vigour: np.ndarray
    built: np.ndarray
    bare: np.ndarray
    bareness: np.ndarray
    brightness: np.ndarray
    hardness: np.ndarray

    def part(self, rows: slice) -> "Surface":
        """Some rows of the surface."""
        built, bare = (slice(count[rows.start], count[rows.stop]) for count in self._counted)
        return Surface(
            cover=self.cover[rows],
            vigour=self.vigour[rows],
            built=self.built[built],
            bare=self.bare[rows],
            bareness=self.bareness[bare],
            brightness=self.brightness[bare],
            hardness=self.hardness[bare],
        )

    @cached_property
    def _counted(self) -> list[np.ndarray]:
        """Built-up and bare pixels of all rows before each one."""
        return [np.append(0, np.cumsum(mask.sum(axis=1))) for mask in (self.cover == covers.BUILT, self.bare)]


def simulate_bands(
    spec: TwinSpec, rng: np.random.Generator, slope: np.ndarray, surface: Surface, lit: np.ndarray
) -> np.ndarray:
    """Reflectance (band, row, col) float32 in 0..1 of a surface on slopes (degrees) under direct sunlight
    `lit`, in the bands of the spec's sensor."""
    return observe(spec, rng, slope, surface, ground_texture(rng, surface.cover.shape), lit)


def before_slides(surface: Surface, plants: np.ndarray, slides: np.ndarray) -> Surface:
    """A surface as it was before its slides (mask, row, col): under the plants of `cover.vegetation` that
    stood there, and under shrub where these are none."""
    grown = np.where(np.isin(plants, list(_LEAF)), plants, covers.SHRUB)
    kept = ~slides[surface.bare]
    return replace(
        surface,
        cover=np.where(slides, grown, surface.cover),
        bare=surface.bare & ~slides,
        bareness=surface.bareness[kept],
        brightness=surface.brightness[kept],
        hardness=surface.hardness[kept],
    )


def ndvi_of(surface: Surface, factor: int) -> np.ndarray:
    """NDVI (row, col) float32 of a surface under even light, without haze or noise, of the mean reflectances
    of cells of `factor` x `factor` pixels."""
    red, nir = (block_mean(_reflectance(surface, BANDS.index(name)), factor) for name in ("red", "nir"))
    return ((nir - red) / (nir + red)).astype(np.float32)


def ground_texture(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Brightness (row, col) of the ground's grain relative to its mean."""
    texture = correlated_noise(rng, shape, 2, 0.8)
    texture *= 0.07
    return np.exp(texture, out=texture)


def observe(
    spec: TwinSpec,
    rng: np.random.Generator,
    slope: np.ndarray,
    surface: Surface,
    texture: np.ndarray,
    lit: np.ndarray,
) -> np.ndarray:
    """Reflectance (band, row, col) float32 in 0..1 of a surface on slopes (degrees) under direct sunlight
    `lit`, through haze, with the sensor's noise."""
    shape = texture.shape
    thickness = correlated_noise(rng, shape, min(shape) / 4, 2.5)
    bands = np.empty((len(spec.bands), *shape), np.float32)
    for band, name in enumerate(spec.bands):
        k = BANDS.index(name)
        for rows in strips(shape):
            around, inner = widened(rows, _BLUR_REACH, shape[0])
            sky = 0.5 + 0.5 * np.cos(np.radians(slope[around]))
            light = (1 - _DIFFUSE[k]) * lit[around] + _DIFFUSE[k] * sky
            sharp = _reflectance(surface.part(around), k) * texture[around] * light
            seen = ndimage.gaussian_filter(sharp, _BLUR)[inner]
            haze = np.clip(spec.haze * (1 + 0.15 * thickness[rows]), 0, None)
            seen = seen * (1 - 0.8 * _PATH[k] * haze) + _PATH[k] * haze
            bands[band, rows] = np.clip(seen + spec.noise * rng.standard_normal(seen.shape), 0.001, 1.0)
    return bands


def surface_of(
    spec: TwinSpec, rng: np.random.Generator, ground: CoverFactors, cover: np.ndarray, instances: np.ndarray
) -> Surface:
    """The surface under a land cover (row, col) with slides (int32, 0 none)."""
    shape = cover.shape
    vigour = correlated_noise(rng, shape, 6)
    for rows in strips(shape):
        vigour[rows] = np.clip(spec.vegetation_vigour * np.exp(0.14 * vigour[rows]), 0, 1)
    field = cover == covers.FIELD
    parcel = tuple(part[field] for part in parcels(rng, shape))
    vigour[field] *= rng.uniform(0.45, 1.25, shape)[parcel]
    np.clip(vigour, 0, 1, out=vigour)
    built = np.exp(0.2 * rng.standard_normal(int((cover == covers.BUILT).sum())))

    # Slides and look-alikes draw their bareness, rock and brightness from one distribution: spectra alone
    # cannot tell them apart.
    patches, count = ndimage.label(np.isin(cover, BARE_COVERS) & (instances == 0))
    sliding = instances > 0
    patches[sliding] = count + instances[sliding]
    total = int(patches.max()) + 1
    spread = np.clip(
        rng.beta(3.0 * (1 - spec.revegetation) + 0.3, 3.0 * spec.revegetation + 0.3, total), 0.05, 1.0
    )
    bare = (patches > 0) & (cover != covers.WATER)
    patch = patches[bare]
    del patches, sliding, parcel, field
    # A patch that spans many hectares is bare here and green there.
    bareness = np.clip(spread[patch] + 0.16 * correlated_noise(rng, shape, 5, 1.2)[bare], 0.0, 1.0)
    brightness = np.exp(0.14 * rng.standard_normal(total))[patch]
    hardness = np.clip((ground.lithology[bare] - 1) / 2 + 0.35 * rng.standard_normal(total)[patch], 0, 1)
    if spec.region:
        # Shallow slides bare weathered soil, yellow whatever the rock below.
        hardness = 0.45 * hardness
    return Surface(
        cover=cover,
        vigour=vigour,
        built=built,
        bare=bare,
        bareness=bareness,
        brightness=brightness,
        hardness=hardness,
    )


def _reflectance(surface: Surface, k: int) -> np.ndarray:
    """Reflectance (row, col) of the ground under even light in band k of the library."""
    spectrum = {name: values[k] for name, values in _LIBRARY.items()}
    result = np.empty(surface.cover.shape)
    for kind in range(1, len(covers.NAMES) + 1):
        at = surface.cover == kind
        if kind in _LEAF:
            result[at] = (
                surface.vigour[at] * spectrum[_LEAF[kind]] + (1 - surface.vigour[at]) * spectrum["litter"]
            )
        elif kind not in BARE_COVERS:
            result[at] = spectrum[
                {covers.ROAD: "asphalt", covers.BUILT: "built", covers.WATER: "water", covers.SNOW: "snow"}[
                    kind
                ]
            ]
    result[surface.cover == covers.BUILT] *= surface.built

    vigour, hardness = surface.vigour[surface.bare], surface.hardness
    regrown = vigour * spectrum["leaf shrub"] + (1 - vigour) * spectrum["litter"]
    debris = (
        np.maximum(1 - 2 * hardness, 0) * spectrum["debris soft"]
        + (1 - np.abs(2 * hardness - 1)) * spectrum["debris medium"]
        + np.maximum(2 * hardness - 1, 0) * spectrum["debris hard"]
    ) * surface.brightness
    result[surface.bare] = surface.bareness * debris + (1 - surface.bareness) * regrown
    return result


def parcels(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Row and column, each (row, col), of the point that stands for each cell's parcel: the nearest of
    scattered points."""
    seeds = rng.uniform(size=shape) < 1 / 60
    seeds[0, 0] = True
    return tuple(ndimage.distance_transform_edt(~seeds, return_distances=False, return_indices=True))


def sunlight(spec: TwinSpec, ground: CoverFactors) -> np.ndarray:
    """Direct sunlight relative to level ground (Lambert): cosine of the incidence angle over that of the
    sun's zenith angle."""
    zenith, azimuth = np.radians(90 - spec.sun_elevation_deg), np.radians(spec.sun_azimuth_deg)
    lit = np.empty(ground.slope.shape)
    for rows in strips(lit.shape):
        slope, aspect = np.radians(ground.slope[rows]), ground.aspect[rows]
        cosine = np.cos(zenith) * np.cos(slope) + np.sin(zenith) * np.sin(slope) * np.cos(azimuth - aspect)
        lit[rows] = np.maximum(cosine, 0) / np.cos(zenith)
    return lit
