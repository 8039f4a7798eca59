"""Lines and outline of a study area: faults, rivers, and the part of the scene that was mapped."""

import numpy as np
from scipy import ndimage
from shapely.geometry import LineString, box

from headscarp.geo.grid import Grid
from headscarp.sources.twin.fields import correlated_noise, strips, winding_line
from headscarp.sources.twin.routing import drain
from headscarp.sources.twin.spec import EARTHQUAKE, TwinSpec
from headscarp.sources.twin.terrain import Terrain, cells_of_lines

# Mapped ground keeps this far from a main river whose valley floor was left out (m), as at Jiuzhaigou in
# Table II of gao2021.
_VALLEY_STRIP_M = 160.0
# Ground near the main river is enough where there is that many times the study area of it.
_ENOUGH = 1.2


def fault_line(spec: TwinSpec, rng: np.random.Generator) -> np.ndarray:
    """The fault (n, 2) in rows and columns of the DEM's grid."""
    grid = spec.dem_grid
    points = np.array([(y * grid.height, x * grid.width) for x, y in spec.fault])
    return winding_line(rng, points, 2.0, 0.01 * min(grid.shape))


def distance_to(mask: np.ndarray, spacing: float, dtype: type = np.float64) -> np.ndarray:
    """Distance (m) of each cell to the mask; infinite where the mask is empty."""
    if not mask.any():
        return np.full(mask.shape, np.inf, dtype)
    nearest = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)
    distance = np.empty(mask.shape, dtype)
    for rows in strips(mask.shape):
        distance[rows] = distance_from(nearest, rows, 1.0) * spacing
    return distance


def distance_from(points: np.ndarray, rows: slice, spacing: float) -> np.ndarray:
    """Distance (m) of the cells of some rows to the cell that `points` (2, row, col) names for each."""
    down = (points[0, rows] - np.arange(points.shape[1])[rows, None]) * spacing
    right = (points[1, rows] - np.arange(points.shape[2])) * spacing
    return np.sqrt(down**2 + right**2)


def river_lines(
    spec: TwinSpec, terrain: Terrain, catchment_m2: np.ndarray, mapped: np.ndarray
) -> list[np.ndarray]:
    """The main river and its tributaries, as lines (n, 2) in rows and columns of the DEM's grid.

    A stream is a river from the largest catchment on for which no mapped cell is farther than
    `spec.river_distance_m` from one; there are none where all are as near to the main river.
    """
    shape = terrain.elevation.shape
    main = cells_of_lines([terrain.river], shape)
    for threshold in (np.inf, *np.geomspace(3e7, 3e5, 40)):
        channel = (catchment_m2 >= threshold) & ~terrain.reservoir
        if distance_to(channel | main, spec.dem_grid.resolution)[mapped].max() <= spec.river_distance_m:
            break
    return [terrain.river, *_traced(drain(terrain.elevation.astype(float)).receiver, channel & ~main, shape)]


def _traced(receiver: np.ndarray, channel: np.ndarray, shape: tuple[int, int]) -> list[np.ndarray]:
    """Lines along flow from each channel head to the first cell already traced or outside the channels."""
    cells = np.flatnonzero(channel)
    fed = np.zeros(channel.size, bool)
    fed[receiver[cells][receiver[cells] != cells]] = True
    free = channel.ravel().copy()
    lines = []
    for head in cells[~fed[cells]]:
        line = [head]
        while free[line[-1]] and receiver[line[-1]] != line[-1]:
            free[line[-1]] = False
            line.append(receiver[line[-1]])
        if len(line) > 1:
            lines.append(np.column_stack(np.unravel_index(line, shape)) + 0.5)
    return lines


def mapped_area(
    spec: TwinSpec,
    rng: np.random.Generator,
    river_distance: np.ndarray,
    fault_distance: np.ndarray,
    spacing: float,
) -> np.ndarray:
    """Mask (row, col) of the cells of a grid over the scene in the study area, of the area in the spec: one
    piece without holes, or after an earthquake the sides of a valley.

    Mappers leave out the corners of a scene; after an earthquake they stay near its fault, out of the floor
    of the main river's valley, and, where that is ground enough, as near to this river as the spec says. The
    distances (m) are given on the grid, whose cells are `spacing` m wide.
    """
    shape = river_distance.shape
    rows, cols = np.indices(shape)
    to_edge = np.minimum(np.minimum(rows, shape[0] - 1 - rows), np.minimum(cols, shape[1] - 1 - cols)) / min(
        shape
    )
    score = 0.5 * correlated_noise(rng, shape, min(shape) / 10, 3.0) + np.minimum(8 * to_edge, 1.5)
    allowed, floor = np.ones(shape, bool), np.zeros(shape, bool)
    wanted = spec.study_area_km2 * 1e6 / spacing**2
    if spec.trigger == EARTHQUAKE:
        score -= 4.0 * fault_distance / (min(shape) * spacing)
        # Rivers are found on the DEM's grid, a cell of which may be that much farther.
        near = river_distance <= spec.river_distance_m - spec.dem_grid.resolution
        if near.sum() >= _ENOUGH * wanted:
            allowed = near
        floor = river_distance < _VALLEY_STRIP_M
    return piece_of(score, allowed, wanted, floor)


def piece_of(
    score: np.ndarray, allowed: np.ndarray, wanted: float, left_out: np.ndarray | None = None
) -> np.ndarray:
    """One piece without holes of about `wanted` cells where the score is highest, inside the mask `allowed`;
    what is `left_out` of it may part it."""
    low, high = score.min(), score.max()
    for _ in range(30):
        middle = (low + high) / 2
        area = largest_part(allowed & (score > middle))
        area &= True if left_out is None else ~left_out
        low, high = (middle, high) if area.sum() > wanted else (low, middle)
    return area


def largest_part(mask: np.ndarray) -> np.ndarray:
    """The largest connected part of a mask, its holes filled."""
    parts, count = ndimage.label(mask)
    if count == 0:
        return mask
    return ndimage.binary_fill_holes(parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]))


def to_map(lines: list[np.ndarray], grid: Grid) -> list[LineString]:
    """Lines in rows and columns of `grid` as map geometries, clipped to it."""
    extent = box(*grid.bounds)
    drawn = []
    for line in lines:
        x, y = grid.transform @ (line[:, 1], line[:, 0])
        clipped = LineString(np.column_stack([x, y])).intersection(extent)
        drawn += [part for part in getattr(clipped, "geoms", [clipped]) if part.length > 0]
    return drawn
