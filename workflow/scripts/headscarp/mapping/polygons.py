"""Landslides as polygons, from a probability map."""

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


def polygonise(probability: np.ndarray, grid: Grid, threshold: float = 0.5, minimum_area_m2: float = 0.0) -> geopandas.GeoDataFrame:
    """Outline the groups of pixels (sharing sides) whose probability reaches `threshold` and whose area reaches `minimum_area_m2`.

    Args:
        probability: (row, col) in 0..1; NaN is no data and belongs to no group.

    Returns:
        Polygons in the grid's CRS with `area_m2` and `mean_probability` of their pixels, the largest first.

    Raises:
        HeadscarpError: the grid is not in metres.
    """
    if CRS.from_user_input(grid.crs).linear_units.lower() not in ("metre", "meter"):
        raise HeadscarpError(
            f"polygons need a CRS in metres for their areas and {grid.crs} is not; reproject the site, for example to its UTM zone"
        )
    groups, count = ndimage.label(probability >= threshold)
    pixels = np.bincount(groups.ravel(), minlength=count + 1)
    mean = ndimage.mean(probability, groups, np.arange(1, count + 1))
    area = pixels * abs(grid.transform.determinant)
    large = np.append(False, area[1:] >= minimum_area_m2)
    outlines = list(shapes(groups.astype(np.int32), mask=large[groups], connectivity=4, transform=grid.transform))
    numbers = np.array([int(number) for _, number in outlines], int)
    return geopandas.GeoDataFrame(
        {"area_m2": area[numbers], "mean_probability": np.asarray(mean, float)[numbers - 1]},
        geometry=[shape(outline) for outline, _ in outlines],
        crs=grid.crs,
    ).sort_values("area_m2", ascending=False, ignore_index=True)


def write_polygons(path: str | Path, polygons: geopandas.GeoDataFrame) -> None:
    """Write polygons, which may be none, as a GeoPackage with the layer `landslides`, atomically."""
    with atomic_path(path) as temporary:
        polygons.to_file(temporary, driver="GPKG", layer="landslides", geometry_type="Polygon")
