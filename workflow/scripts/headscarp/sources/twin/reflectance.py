"""Surface reflectance in the seven bands of Landsat-8 OLI: a spectral library, mixing, illumination by slope, haze and noise."""

import numpy as np
from scipy import ndimage

from headscarp.sources.twin import cover as covers
from headscarp.sources.twin.cover import Ground
from headscarp.sources.twin.fields import correlated_noise
from headscarp.sources.twin.spec import TwinSpec

BANDS = ("coastal", "blue", "green", "red", "nir", "swir1", "swir2")
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
_LEAF = {covers.FOREST: "leaf forest", covers.SHRUB: "leaf shrub", covers.GRASS: "leaf grass", covers.FIELD: "leaf crop"}
_BARE = (covers.SOIL, covers.ROCK, covers.QUARRY, covers.BAR)


def simulate_bands(spec: TwinSpec, rng: np.random.Generator, ground: Ground, cover: np.ndarray, instances: np.ndarray) -> np.ndarray:
    """Reflectance (band, row, col) float32 in 0..1 of the seven bands of `BANDS`."""
    surface = _surface(spec, rng, ground, cover, instances)
    shape = cover.shape
    surface *= np.exp(0.07 * correlated_noise(rng, shape, 2, 0.8))
    lit = _illumination(spec, ground)
    haze = np.clip(spec.haze * (1 + 0.15 * correlated_noise(rng, shape, min(shape) / 4, 2.5)), 0, None)
    bands = np.empty((len(BANDS), *shape), np.float32)
    for k in range(len(BANDS)):
        light = (1 - _DIFFUSE[k]) * lit + _DIFFUSE[k] * (0.5 + 0.5 * np.cos(np.radians(ground.slope)))
        seen = ndimage.gaussian_filter(surface[k] * light, _BLUR)
        seen = seen * (1 - 0.8 * _PATH[k] * haze) + _PATH[k] * haze
        bands[k] = np.clip(seen + spec.noise * rng.standard_normal(shape), 0.001, 1.0)
    return bands


def _spectrum(name: str) -> np.ndarray:
    return np.array(_LIBRARY[name])[:, None]


def _surface(spec: TwinSpec, rng: np.random.Generator, ground: Ground, cover: np.ndarray, instances: np.ndarray) -> np.ndarray:
    """Reflectance (band, row, col) of the ground under even light."""
    shape = cover.shape
    litter = _spectrum("litter")
    vigour = np.clip(spec.vegetation_vigour * np.exp(0.14 * correlated_noise(rng, shape, 6)), 0, 1)
    vigour[cover == covers.FIELD] *= _parcels(rng, shape, 0.45, 1.25)[cover == covers.FIELD]
    vigour = np.clip(vigour, 0, 1)
    surface = np.empty((len(BANDS), *shape))
    for kind in range(1, len(covers.NAMES) + 1):
        at = cover == kind
        if kind in _LEAF:
            surface[:, at] = vigour[at] * _spectrum(_LEAF[kind]) + (1 - vigour[at]) * litter
        elif kind not in _BARE:
            surface[:, at] = _spectrum({covers.ROAD: "asphalt", covers.BUILT: "built", covers.WATER: "water", covers.SNOW: "snow"}[kind])
    surface[:, cover == covers.BUILT] *= np.exp(0.2 * rng.standard_normal(int((cover == covers.BUILT).sum())))

    # Slides and look-alikes draw their bareness, rock and brightness from one distribution: spectra alone cannot tell them apart.
    regrown = vigour * _spectrum("leaf shrub")[:, :, None] + (1 - vigour) * litter[:, :, None]
    bare = np.isin(cover, _BARE)
    patches, count = ndimage.label(bare & (instances == 0))
    patches = np.where(instances > 0, count + instances, patches)
    total = int(patches.max()) + 1
    spread = np.clip(rng.beta(3.0 * (1 - spec.revegetation) + 0.3, 3.0 * spec.revegetation + 0.3, total), 0.05, 1.0)
    # A patch that spans many hectares is bare here and green there.
    bareness = np.clip(spread[patches] + 0.16 * correlated_noise(rng, shape, 5, 1.2), 0.0, 1.0)
    brightness = np.exp(0.14 * rng.standard_normal(total))[patches]
    hardness = np.clip((ground.lithology - 1) / 2 + 0.35 * rng.standard_normal(total)[patches], 0, 1)
    debris = (
        np.maximum(1 - 2 * hardness, 0) * _spectrum("debris soft")[:, :, None]
        + (1 - np.abs(2 * hardness - 1)) * _spectrum("debris medium")[:, :, None]
        + np.maximum(2 * hardness - 1, 0) * _spectrum("debris hard")[:, :, None]
    ) * brightness
    mixed = bareness * debris + (1 - bareness) * regrown
    at = (patches > 0) & (cover != covers.WATER)
    surface[:, at] = mixed[:, at]
    return surface


def _parcels(rng: np.random.Generator, shape: tuple[int, int], lowest: float, highest: float) -> np.ndarray:
    """One value per field: parcels are the cells nearest to scattered points."""
    seeds = rng.uniform(size=shape) < 1 / 60
    seeds[0, 0] = True
    nearest = ndimage.distance_transform_edt(~seeds, return_distances=False, return_indices=True)
    return rng.uniform(lowest, highest, shape)[nearest[0], nearest[1]]


def _illumination(spec: TwinSpec, ground: Ground) -> np.ndarray:
    """Direct sunlight relative to level ground (Lambert): cosine of the incidence angle over that of the sun's zenith angle."""
    zenith, azimuth = np.radians(90 - spec.sun_elevation_deg), np.radians(spec.sun_azimuth_deg)
    slope = np.radians(ground.slope)
    cosine = np.cos(zenith) * np.cos(slope) + np.sin(zenith) * np.sin(slope) * np.cos(azimuth - ground.aspect)
    return np.maximum(cosine, 0) / np.cos(zenith)
