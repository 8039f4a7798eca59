"""Distance to lines (rivers, faults, roads) and polygons (settlements)."""

from pathlib import Path

import numpy as np
import shapely

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.geo.vectors import read_vectors
from headscarp.site.labels import rasterise_numbers

CELLS_AT_ONCE = 1 << 18


def distance_to_lines(path: str | Path, grid: Grid) -> np.ndarray:
    """Euclidean distance in metres from each cell's centre to the nearest line or polygon (0 inside), float32
    (row, col).

    Exact (no rasterised lines), and lines outside the grid count as well. Lines come to the grid's CRS vertex
    by vertex.

    Raises:
        HeadscarpError: the file is missing, unreadable, without CRS or without lines and polygons.
    """
    shapes = read_vectors(path, grid.crs).geometry.to_numpy()
    shapes = shapely.get_parts(shapes[~shapely.is_empty(shapes)])
    polygons = shapes[shapely.get_type_id(shapes) == shapely.GeometryType.POLYGON]
    parts = shapely.get_parts(
        np.concatenate(
            [
                shapes[shapely.get_type_id(shapes) == shapely.GeometryType.LINESTRING],
                shapely.boundary(polygons),
            ]
        )
    )
    if not len(parts):
        raise HeadscarpError(
            f"{path} holds no lines and no polygons; take the file of "
            "the lines, or drop this distance from the site's layers"
        )
    points, line = shapely.get_coordinates(parts, return_index=True)
    within = line[1:] == line[:-1]
    segments = shapely.linestrings(np.stack([points[:-1][within], points[1:][within]], axis=1))
    tree = shapely.STRtree(segments)
    distance = np.empty(grid.shape, np.float32)
    x = (grid.transform @ (np.arange(grid.width) + 0.5, 0.5))[0]
    strip = max(1, CELLS_AT_ONCE // grid.width)
    for top in range(0, grid.height, strip):
        rows = np.arange(top, min(top + strip, grid.height))
        y = (grid.transform @ (0.5, rows + 0.5))[1]
        centres = shapely.points(*np.meshgrid(x, y)).ravel()
        distance[rows] = shapely.distance(centres, segments[tree.nearest(centres)]).reshape(
            len(rows), grid.width
        )
    if len(polygons):
        distance[rasterise_numbers(polygons, 1, grid) == 1] = 0
    return distance
