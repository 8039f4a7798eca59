"""Terrain carved by rivers: uplift, stream-power erosion and threshold hillslopes, from a coarse grid to a
fine one.

Rivers follow dz/dt = U - K A^m S, solved implicitly from the outlet upstream (Braun and Willett, 2013);
hillslopes creep (diffusion) and fail above the threshold angle of their rock. Rock decides K and that angle.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import ndimage
from skimage.draw import line as raster_line

from headscarp.sources.twin.fields import correlated_noise, resample_to, winding_line
from headscarp.sources.twin.routing import Drainage, drain, fill_depressions, fill_towards
from headscarp.sources.twin.spec import TwinSpec
from headscarp.sources.twin.strata import RESISTANCE, folded_units

# Concavity of river profiles (slope ~ area^-0.45), the common value of graded rivers.
CONCAVITY = 0.45
# Lithology codes 1 soft, 2 soft-hard, 3 hard: erodibility relative to code 2, and threshold angle of
# hillslopes (degrees).
ERODIBILITY = np.array([np.nan, 1.35, 1.0, 0.75])
THRESHOLD_DEG = np.array([np.nan, 25.0, 32.0, 45.0])
# Passes of the erosion model: coarsening factor, steps, uplift per step as a share of the relief.
_PASSES = ((4, 50, 0.05), (2, 24, 0.03), (1, 16, 0.02))
_MARGIN = 0.12
_DROWNED_SHARE = 0.045
# Sharpest ridges: convex curvature (1/100 m, Zevenbergen and Thorne 1987) before the relief is stretched to
# the spec's, such that it becomes that of Table II of gao2021; and how often what is sharper crumbles.
_SHARPEST, _CRUMBLING = 5.1, 40
# A long main river falls by no more than this share of the relief.
_RIVER_FALL_SHARE = 0.2


@dataclass(frozen=True)
class Terrain:
    """Elevation (m), lithology (1-3) and mask of standing water of the scene on the DEM's grid; `river` is
    the main river's line (n, 2) in rows and columns of that grid; `units`: codes of a region's lithological
    units, None for a site without."""

    elevation: np.ndarray
    lithology: np.ndarray
    reservoir: np.ndarray
    river: np.ndarray
    units: np.ndarray | None


def build_terrain(spec: TwinSpec, rng: np.random.Generator) -> Terrain:
    """Simulate the terrain of a site on its DEM grid; lowest and highest elevation are those of the spec."""
    grid = spec.dem_grid
    spacing = grid.resolution
    margin = 4 * round(_MARGIN * max(grid.shape) / 4)
    height, width = (4 * int(np.ceil((size + 2 * margin) / 4)) for size in grid.shape)
    scene = slice(margin, margin + grid.height), slice(margin, margin + grid.width)
    units = folded_units(rng, (height, width), scene) if spec.region else None
    lithology = RESISTANCE[units] if spec.region else _lithology(rng, (height, width))
    points = np.array([(margin + y * grid.height, margin + x * grid.width) for x, y in spec.river])
    course = winding_line(rng, _extended(points, 2.0 * margin), 1.0, 0.035 * min(grid.shape))
    relief = spec.elevation_m[1] - spec.elevation_m[0]
    elevation = _carve(spec, rng, lithology, course, spacing, relief, scene)

    # The eight directions of the flow leave straight valleys; a gentle warp bends them.
    shift = np.stack([2.5 * correlated_noise(rng, (height, width), 12, 2.5) for _ in range(2)])
    where = np.indices((height, width)) + shift
    elevation = ndimage.map_coordinates(elevation, where, order=1, mode="nearest")[scene]
    if units is None:
        lithology = ndimage.map_coordinates(lithology, where, order=0, mode="nearest")[scene]
    else:
        units = ndimage.map_coordinates(units, where, order=0, mode="nearest")[scene]
        lithology = RESISTANCE[units]
    course = (
        course
        - np.column_stack(
            [ndimage.map_coordinates(part, course.T, order=1, mode="nearest") for part in shift]
        )
        - margin
    )
    elevation, reservoir = _fit_range(
        spec, fill_depressions(_rounded_ridges(elevation, spacing)), cells_of_lines([course], elevation.shape)
    )
    elevation = fill_depressions(_flat_floors(elevation, spacing).astype(np.float32))
    return Terrain(elevation, lithology, reservoir, course, units)


def cells_of_lines(lines: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Mask of the cells that lines (n, 2) in rows and columns pass."""
    mask = np.zeros(shape, bool)
    for line in lines:
        for (row, col), (next_row, next_col) in pairwise(np.floor(line).astype(int)):
            rows, cols = raster_line(row, col, next_row, next_col)
            inside = (rows >= 0) & (rows < shape[0]) & (cols >= 0) & (cols < shape[1])
            mask[rows[inside], cols[inside]] = True
    return mask


def _lithology(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Folded strata: parallel beds, bent and broken by noise, in three classes of strength."""
    size = max(shape)
    strike = rng.uniform(0, np.pi)
    rows, cols = np.indices(shape) / size
    across = rows * np.cos(strike) + cols * np.sin(strike)
    beds = np.sin(
        2 * np.pi * (2.6 * across + 0.22 * correlated_noise(rng, shape, size / 10, 2.5))
        + rng.uniform(0, 2 * np.pi)
    )
    beds += 0.35 * correlated_noise(rng, shape, size / 16, 2.5)
    return np.digitize(beds, np.quantile(beds, [0.35, 0.7])).astype(np.uint8) + np.uint8(1)


def _extended(points: np.ndarray, length: float) -> np.ndarray:
    """Control points with both ends prolonged by `length` cells, beyond the border of the grid."""
    ends = []
    for end, inner in ((points[0], points[1]), (points[-1], points[-2])):
        ends.append(end + (end - inner) / np.hypot(*(end - inner)) * length)
    return np.vstack([ends[0], points, ends[1]])


def _river_cells(course: np.ndarray, factor: int, shape: tuple[int, int]) -> np.ndarray:
    """Cells (n, 2) of the river on a grid coarser by `factor`, from its source to the border, without
    loops."""
    coarse = np.floor(course / factor).astype(int)
    cells: dict[tuple[int, int], None] = {}
    for (row, col), (next_row, next_col) in pairwise(coarse):
        for cell in zip(*raster_line(row, col, next_row, next_col), strict=True):
            cell = int(cell[0]), int(cell[1])
            if not (0 <= cell[0] < shape[0] and 0 <= cell[1] < shape[1]):
                continue
            if cell in cells:
                kept = list(cells)
                cells = dict.fromkeys(kept[: kept.index(cell) + 1])
            else:
                cells[cell] = None
    return np.array(list(cells))


def _carve(
    spec: TwinSpec,
    rng: np.random.Generator,
    lithology: np.ndarray,
    course: np.ndarray,
    spacing: float,
    relief: float,
    scene: tuple[slice, slice],
) -> np.ndarray:
    """Elevation (m above the river's mouth) after the passes of `_PASSES`."""
    shape = lithology.shape
    uplift_pattern = np.exp(0.25 * correlated_noise(rng, shape, max(shape) / 6, 2.5))
    strength_noise = np.exp(0.25 * correlated_noise(rng, shape, max(shape) / 40))
    roughness = correlated_noise(rng, shape, max(shape) / 12, 1.2)
    elevation = None
    ratio = 90.0
    for factor, steps, uplift_share in _PASSES:
        here = tuple(size // factor for size in shape)
        cell = spacing * factor
        sample = (slice(factor // 2, None, factor),) * 2
        river = _river_cells(course, factor, here)
        flat = np.ravel_multi_index(river.T, here)
        if elevation is None:
            # A rough plateau tilted towards the river: without the tilt, lakes come first and their outlets
            # run straight.
            away = np.ones(here, bool)
            away.ravel()[flat] = False
            elevation = relief * (
                0.5 * ndimage.distance_transform_edt(away) / max(here) + 0.10 * roughness[sample]
            )
            elevation -= elevation.min()
        else:
            elevation = resample_to(elevation, here, 2, order=3)
        river_gradient = (
            0.0005 if spec.reservoir else min(0.014, _RIVER_FALL_SHARE * relief / (cell * len(river)))
        )
        bed = river_gradient * cell * np.arange(len(river))[::-1]
        rock = lithology[sample]
        erodibility = (ERODIBILITY[rock] * strength_noise[sample]).ravel()
        # Grids coarser than a hillslope average over it, so that their steepest slopes are gentler.
        steepest = (
            np.tan(np.radians(THRESHOLD_DEG[rock] - 2 * (factor // 2))) * strength_noise[sample] ** -0.7
        ).ravel()
        preference = np.exp(0.35 * rng.standard_normal((8, *here)))
        uplift = (uplift_share * relief * uplift_pattern[sample]).ravel()
        window = tuple(slice(part.start // factor, part.stop // factor) for part in scene)
        for _ in range(steps):
            elevation = elevation + 0.0015 * relief / _PASSES[0][0] * factor * rng.standard_normal(here)
            elevation.ravel()[flat] = bed
            elevation = fill_towards(elevation, tuple(river[-1]))
            drainage = drain(elevation, preference, flat)
            area = drainage.accumulate(np.full(elevation.size, cell**2))
            pull = uplift_share * relief / ratio * erodibility * area**CONCAVITY / (drainage.distance * cell)
            elevation = _erode(
                elevation.ravel() + uplift, drainage, pull, steepest * cell, flat, bed
            ).reshape(here)
            elevation = ndimage.gaussian_filter(elevation, 0.45 if factor > 1 else 0.6, mode="nearest")
            found = np.ptp(elevation[window])
            ratio *= float(
                np.clip(relief * (1.0 + (_DROWNED_SHARE if spec.reservoir else 0)) / found, 0.9, 1.1)
            )
        elevation.ravel()[flat] = bed
    return elevation


def _erode(
    elevation: np.ndarray,
    drainage: Drainage,
    pull: np.ndarray,
    steepest_fall: np.ndarray,
    fixed: np.ndarray,
    fixed_elevation: np.ndarray,
) -> np.ndarray:
    """One implicit step of the stream-power law with threshold slopes, from the outlet upstream; `fixed`
    cells keep their elevation."""
    result = elevation.copy()
    result[fixed] = fixed_elevation
    is_fixed = np.zeros(result.size, bool)
    is_fixed[fixed] = True
    for group in drainage.groups_upstream():
        group = group[~is_fixed[group]]
        below = result[drainage.receiver[group]]
        eroded = (result[group] + pull[group] * below) / (1 + pull[group])
        result[group] = np.minimum(eroded, below + steepest_fall[group] * drainage.distance[group])
    return result


def _fit_range(
    spec: TwinSpec, elevation: np.ndarray, main_river: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Elevations (row, col) stretched to the spec's range, and the mask of standing water: a reservoir drowns
    the valleys to its level."""
    lowest, highest = spec.elevation_m
    floor, top = elevation.min(), elevation.max()
    if not spec.reservoir:
        return lowest + (elevation - floor) / (top - floor) * (highest - lowest), np.zeros(
            elevation.shape, bool
        )
    level = floor + _DROWNED_SHARE * (top - floor)
    parts, _ = ndimage.label(elevation < level)
    reached = np.unique(parts[main_river & (parts > 0)])
    water = np.isin(parts, reached[reached > 0])
    stretched = lowest + (elevation - level) / (top - level) * (highest - lowest)
    return np.where(water, lowest, np.maximum(stretched, lowest + 0.5)), water


def _rounded_ridges(elevation: np.ndarray, spacing: float) -> np.ndarray:
    """Let ridges crumble that are sharper than `_SHARPEST`; without it the threshold slopes of hard rock meet
    in edges that no elevation model of 30 m shows."""
    drop = _SHARPEST / 100 * spacing**2 / 4
    mean_of_four = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]) / 4
    for _ in range(_CRUMBLING):
        above = elevation - ndimage.convolve(elevation, mean_of_four, mode="nearest")
        elevation = elevation - np.maximum(above - drop, 0)
    return elevation


def _flat_floors(
    elevation: np.ndarray, spacing: float, thickness: float = 10.0, catchment_km2: float = 1.5
) -> np.ndarray:
    """Fill the floors of larger valleys with sediment: heights above the stream below `thickness` (m) are
    flattened."""
    filled = fill_depressions(elevation)
    drainage = drain(filled)
    catchment = drainage.accumulate(np.full(filled.size, spacing**2 / 1e6))
    base = filled.ravel().copy()
    channel = catchment >= catchment_km2
    for group in drainage.groups_upstream():
        inherited = base[drainage.receiver[group]]
        base[group] = np.where(channel[group], base[group], np.minimum(inherited, base[group]))
    above = filled - base.reshape(filled.shape)
    return np.where(above < thickness, filled - above + above**2 / thickness, filled)
