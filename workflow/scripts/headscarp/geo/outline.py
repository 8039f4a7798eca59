"""The grid of a study area under its outline."""

from pathlib import Path

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid, covering, require_metric
from headscarp.geo.vectors import read_vectors


def grid_around(outline: str | Path, crs: str, resolution: float, margin: float = 0.0) -> Grid:
    """The north-up grid in a metric CRS under the bounding box of a vector file, `margin` metres wider on
    each side; its edges are multiples of `resolution` (metres).

    Raises:
        HeadscarpError: the file is missing, unreadable, without CRS or empty; `crs` is unknown or is not in
            metres.
    """
    require_metric(crs)
    shapes = read_vectors(outline, crs)
    if shapes.empty:
        raise HeadscarpError(
            f"{outline} holds no outline; draw the study area as a polygon and save it there"
        )
    west, south, east, north = shapes.total_bounds
    return covering((west - margin, south - margin, east + margin, north + margin), crs, resolution)
