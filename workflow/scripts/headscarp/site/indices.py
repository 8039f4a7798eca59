"""Spectral indices of reflectances; arrays of one shape, float32, NaN = no data."""

import numpy as np


def ndvi(nir: np.ndarray, red: np.ndarray) -> np.ndarray:
    """Normalised difference vegetation index, (nir - red) / (nir + red) (Rouse et al. 1974), in [-1, 1]."""
    return normalised_difference(nir, red)


def mndwi(green: np.ndarray, swir1: np.ndarray) -> np.ndarray:
    """Modified normalised difference water index, (green - swir1) / (green + swir1) (Xu 2006), in [-1, 1]."""
    return normalised_difference(green, swir1)


def normalised_difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(first - second) / (first + second); NaN where the sum is not positive (no light, or no data)."""
    first, second = np.asarray(first, np.float32), np.asarray(second, np.float32)
    total = first + second
    return np.divide(first - second, total, out=np.full(total.shape, np.nan, np.float32), where=total > 0)


INDICES = {"ndvi": (ndvi, ("nir", "red")), "mndwi": (mndwi, ("green", "swir1"))}
