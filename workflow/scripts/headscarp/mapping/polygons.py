"""Landslides as polygons, from a probability map."""

from collections.abc import Mapping
from pathlib import Path

import geopandas
import numpy as np
from rasterio.crs import CRS
from rasterio.features import shapes
from scipy import ndimage
from shapely.geometry import shape

from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path
from headscarp.site.grid import Grid


def polygonise(
    probability: np.ndarray,
    grid: Grid,
    threshold: float = 0.5,
    minimum_area_m2: float = 0.0,
    layers: Mapping[str, np.ndarray] | None = None,
) -> geopandas.GeoDataFrame:
    """Outline the groups of pixels (sharing sides) whose probability reaches `threshold` and whose area reaches `minimum_area_m2`.

    Args:
        probability: (row, col) in 0..1; NaN is no data and belongs to no group.
        layers: further (row, col) arrays by name, NaN = no data; each adds a column with the mean of a group's pixels.

    Returns:
        Polygons in the grid's CRS with `area_m2`, `mean_probability` and a `mean_<name>` for each of `layers`, the largest first.

    Raises:
        HeadscarpError: the grid is not in metres.
    """
    if CRS.from_user_input(grid.crs).linear_units.lower() not in ("metre", "meter"):
        raise HeadscarpError(
            f"polygons need a CRS in metres for their areas and {grid.crs} is not; reproject the site, for example to its UTM zone"
        )
    groups, count = ndimage.label(probability >= threshold)
    inside = groups > 0  # few pixels, so that what is summed below is small whatever the scene
    numbers = groups[inside]
    area = np.bincount(numbers, minlength=count + 1) * abs(grid.transform.determinant)
    large = area >= minimum_area_m2
    inside[inside] = large[numbers]
    outlines = list(shapes(groups.astype(np.int32, copy=False), mask=inside, connectivity=4, transform=grid.transform))
    chosen = np.array([int(number) for _, number in outlines], int)
    columns = {"area_m2": area[chosen]}
    for name, values in ({"probability": probability} | dict(layers or {})).items():
        columns[f"mean_{name}"] = group_means(values[groups > 0], numbers, count)[chosen]
    return geopandas.GeoDataFrame(columns, geometry=[shape(outline) for outline, _ in outlines], crs=grid.crs).sort_values(
        "area_m2", ascending=False, ignore_index=True
    )


def group_means(values: np.ndarray, numbers: np.ndarray, count: int) -> np.ndarray:
    """Mean of flat values by group number (0 to `count`), NaN left out; NaN where a group has none."""
    known = ~np.isnan(values)
    sums = np.bincount(numbers[known], weights=values[known], minlength=count + 1)
    pixels = np.bincount(numbers[known], minlength=count + 1)
    return np.divide(sums, pixels, out=np.full(count + 1, np.nan), where=pixels > 0)


def write_polygons(path: str | Path, polygons: geopandas.GeoDataFrame) -> None:
    """Write polygons, which may be none, as a GeoPackage with the layer `landslides`, atomically."""
    with atomic_path(path) as temporary:
        polygons.to_file(temporary, driver="GPKG", layer="landslides", geometry_type="Polygon")
