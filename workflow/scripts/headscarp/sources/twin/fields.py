"""Fields that several parts of a twin need: correlated noise, slopes, lines drawn through control points.

A region has more pixels than memory has room for many fields of them, so what a cell's own neighbourhood
decides is worked out in strips of rows. The strips change no bit of the result.
"""

from collections.abc import Iterator

import numpy as np
from scipy import fft, ndimage

# What is lower than this (m) casts no shadow.
_LEAST_SHADOW_M = 0.15
# Cells of a strip.
_STRIP_CELLS = 2**20


def strips(shape: tuple[int, int]) -> Iterator[slice]:
    """Consecutive rows of a grid, at least one at a time."""
    rows = max(1, _STRIP_CELLS // shape[1])
    for start in range(0, shape[0], rows):
        yield slice(start, min(start + rows, shape[0]))


def widened(rows: slice, margin: int, height: int) -> tuple[slice, slice]:
    """A strip with up to `margin` rows more on both sides, inside a grid of `height` rows; and where the
    strip lies in it."""
    start, stop = max(0, rows.start - margin), min(height, rows.stop + margin)
    return slice(start, stop), slice(rows.start - start, rows.stop - start)


def correlated_noise(
    rng: np.random.Generator, shape: tuple[int, int], correlation: float, roughness: float = 1.5
) -> np.ndarray:
    """Gaussian noise of zero mean and unit variance, shape (row, col), correlated over about `correlation`
    cells (von Karman spectrum).

    A larger `roughness` exponent means a smoother field.
    """
    spectrum = fft.rfft2(rng.standard_normal(shape))
    down, right = fft.fftfreq(shape[0]) ** 2, fft.rfftfreq(shape[1]) ** 2
    for rows in strips(spectrum.shape):
        squared = down[rows, None] + right
        spectrum[rows] *= (1 + (2 * np.pi * correlation) ** 2 * squared) ** (-(roughness + 1) / 2)
    spectrum[0, 0] = 0
    # What irfft2 does, without its copy of the spectrum.
    spectrum = fft.ifft(spectrum, axis=0, norm="forward", overwrite_x=True)
    field = np.empty(shape)
    for rows in strips(shape):
        field[rows] = fft.irfft(spectrum[rows], shape[1], norm="forward")
    del spectrum
    field *= 1 / field.size
    field /= field.std()
    return field


def blurred_noise(rng: np.random.Generator, shape: tuple[int, int], sigma: float) -> np.ndarray:
    """Gaussian noise of unit variance, shape (row, col) float32, smooth over about `sigma` cells; cheap where
    they are few."""
    field = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), sigma)
    return field / field.std()


def slope_and_aspect(elevation: np.ndarray, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Slope (degrees) and downslope azimuth (radians clockwise from north) of a north-up elevation grid, by
    central differences."""
    slope, aspect = np.empty_like(elevation), np.empty_like(elevation)
    for rows in strips(elevation.shape):
        around, inner = widened(rows, 1, len(elevation))
        southward, eastward = (part[inner] for part in np.gradient(elevation[around], spacing))
        slope[rows] = np.degrees(np.arctan(np.hypot(southward, eastward)))
        aspect[rows] = np.arctan2(-eastward, southward)
    return slope, aspect


def resample_to(coarse: np.ndarray, shape: tuple[int, int], factor: int, order: int = 1) -> np.ndarray:
    """Values of a grid at the pixel centres of a grid `factor` times finer with the same corner."""
    down, right = ((np.arange(size) + 0.5) / factor - 0.5 for size in shape)
    fine = np.empty(shape, coarse.dtype)
    # The coefficients of a spline depend on the whole grid.
    for rows in strips(shape) if order == 1 else [slice(None)]:
        where = np.meshgrid(down[rows], right, indexing="ij")
        ndimage.map_coordinates(coarse, where, output=fine[rows], order=order, mode="nearest")
    return fine


def highest(score: np.ndarray, eligible: np.ndarray, within: np.ndarray, cells: float) -> np.ndarray:
    """Mask of the eligible cells whose score is at least that of the `cells` highest eligible ones inside the
    mask `within`."""
    inside = score[eligible & within]
    cells = min(int(cells), inside.size)
    if cells == 0:
        return np.zeros(score.shape, bool)
    inside.partition(-cells)
    return eligible & (score >= inside[-cells])


def winding_line(
    rng: np.random.Generator, points: np.ndarray, spacing: float, amplitude: float
) -> np.ndarray:
    """A line through control points (n, 2) in cells, densified to about `spacing`, swinging to its sides with
    about `amplitude` cells."""
    points = np.asarray(points, float)
    along = np.r_[0, np.cumsum(np.hypot(*np.diff(points, axis=0).T))]
    count = max(8, int(along[-1] / spacing))
    at = np.linspace(0, along[-1], count)
    line = np.column_stack([np.interp(at, along, points[:, axis]) for axis in (0, 1)])
    line = ndimage.gaussian_filter1d(line, count / 25, axis=0, mode="nearest")
    tangent = np.gradient(line, axis=0)
    normal = np.column_stack([-tangent[:, 1], tangent[:, 0]]) / np.hypot(*tangent.T)[:, None]
    swing = sum(
        weight * ndimage.gaussian_filter1d(rng.standard_normal(count), sigma) * np.sqrt(sigma)
        for sigma, weight in ((count / 14, 1.6), (count / 45, 1.1))
    )
    return line + amplitude * swing[:, None] * normal


def cast_shadow(
    top: np.ndarray, spacing: float, sun_deg: tuple[float, float], tallest: float, step: int = 1
) -> np.ndarray:
    """Mask (row, col) of the cells in the shadow of what rises up to `tallest` above them: heights `top` (m)
    in cells of `spacing` (m), the sun's azimuth and elevation (degrees), followed towards the sun every
    `step` cells."""
    azimuth, elevation = np.radians(sun_deg)
    shaded = np.zeros(top.shape, bool)
    for cells in range(step, int(tallest / np.tan(elevation) / spacing), step):
        down, right = round(-np.cos(azimuth) * cells), round(np.sin(azimuth) * cells)
        shaded |= shifted(top, down, right) - cells * spacing * np.tan(elevation) > top + _LEAST_SHADOW_M
    return shaded


def shifted(values: np.ndarray, down: int, right: int) -> np.ndarray:
    """`values` at (row + down, col + right), 0 beyond the edges."""
    rows, cols = values.shape
    moved = np.zeros_like(values)
    moved[max(0, -down) : rows - max(0, down), max(0, -right) : cols - max(0, right)] = values[
        max(0, down) : rows + min(0, down), max(0, right) : cols + min(0, right)
    ]
    return moved
