"""The grid of a study area and its outline, as the check sees them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from affine import Affine

from headscarp.areas.check.files import Located, at_hand, polygons_of
from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid, part_of
from headscarp.geo.outline import grid_around
from headscarp.site.labels import rasterise_numbers
from headscarp.site.layers import PART_KEYS, site_grid

# of the grid on which values are looked at and the split is tried; a larger one is thinned
MOST_CELLS = 4_000_000


def grid_of_site(record: Mapping[str, Any], located: Mapping[str, Located | str], place: str) -> Grid:
    """The grid of a site from files at hand.

    Raises:
        HeadscarpError: the file that sets it is not at hand, or unfit.
    """
    file = record.get("around", record.get("like"))
    known = at_hand(located, file) if file else None
    if known is None:
        raise HeadscarpError(
            f"{place}: its grid lies on {file}, which is not at hand; "
            f"{located.get(file, 'name it among the files')}"
        )
    if "around" not in record:
        return site_grid(dict(record), known.path.parent)
    grid = grid_around(known.path, record["crs"], float(record["resolution_m"]))
    return part_of(grid, *(record["part"][key] for key in PART_KEYS)) if "part" in record else grid


def thinned(grid: Grid) -> Grid:
    """A grid of at most MOST_CELLS cells over the same ground."""
    factor = max(1.0, np.sqrt(grid.height * grid.width / MOST_CELLS))
    if factor == 1:
        return grid
    height, width = round(grid.height / factor), round(grid.width / factor)
    scale = Affine.scale(grid.width / width, grid.height / height)
    return Grid(grid.crs, grid.transform @ scale, height, width)


def outline_mask(layers: Mapping[str, Any], located: Mapping[str, Located | str], view: Grid) -> np.ndarray:
    """Cells (row, col) inside the outline; all of them where the site has none."""
    place = at_hand(located, layers["grid"].get("around", ""))
    if place is None:
        return np.ones(view.shape, bool)
    shapes = polygons_of(place, view.crs)
    inside = rasterise_numbers(shapes, 1, view) == 1 if len(shapes) else np.zeros(view.shape, bool)
    return inside if inside.any() else np.ones(view.shape, bool)
