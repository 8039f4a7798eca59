"""Landslides as polygons, from a probability map."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import geopandas
import numpy as np
import shapely
from rasterio.crs import CRS
from rasterio.features import shapes
from scipy import ndimage
from shapely.geometry import shape

from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path, read_json
from headscarp.geo.grid import Grid
from headscarp.geo.layer import Layer, read_layer

# layers of a site that polygons take columns from, and the units they need
SLOPE, ELEVATION = ("slope", "degree"), ("elevation", "m")


@dataclass(frozen=True)
class PixelGroups:
    """Groups of pixels that share sides, numbered from 1: `numbers` (row, col), 0 outside every group, and
    how many there are."""

    numbers: np.ndarray
    count: int

    @cached_property
    def members(self) -> np.ndarray:
        """Group number of each pixel that is in one, flat: few, so that what is summed over them is small
        whatever the site."""
        return self.numbers[self.numbers > 0]

    def pixels(self) -> np.ndarray:
        """Pixels by group number, 0 to `count`."""
        return np.bincount(self.members, minlength=self.count + 1)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Mean of values (row, col) by group number, 0 to `count`, NaN left out; NaN where a group has
        none."""
        inside = values[self.numbers > 0]
        known = ~np.isnan(inside)
        sums = np.bincount(self.members[known], weights=inside[known], minlength=self.count + 1)
        pixels = np.bincount(self.members[known], minlength=self.count + 1)
        return np.divide(sums, pixels, out=np.full(self.count + 1, np.nan), where=pixels > 0)

    def maximum(self, values: np.ndarray) -> np.ndarray:
        """Greatest of values (row, col) by group number, as `mean`."""
        greatest = np.full(self.count + 1, np.nan)
        np.fmax.at(greatest, self.members, values[self.numbers > 0])
        return greatest


def landslide_polygons(
    probability: Layer, threshold: float, layers_folder: str | Path | None = None
) -> geopandas.GeoDataFrame:
    """The landslides of a map with what a mapper asks of each, the largest first.

    | column | of each landslide | |---|---| | id | 1 for the largest, counted on | | area_m2 | area of its
    pixels | | length_m | longer side of the smallest rectangle, turned as it may be, around its outline: its
    extent, not its length downslope | | perimeter_m | of the outline along pixel sides, holes included: about
    4/pi times that of a smooth one | | mean_probability, max_probability | 0..1 | | mean_slope_deg | mean of
    the layer `slope`; empty where the site has none in degrees | | mean_elevation_m, relief_m | mean, and
    highest less lowest, of the layer `elevation`; empty where the site has none in metres | | date | ISO date
    of the site's last image, by which the landslide was there |

    Args:
        probability: 0..1, NaN = no data.
        layers_folder: the layers of the site, on the grid of the map, with layers.json; None where it has
            none.

    Raises:
        HeadscarpError: the grid is not in metres, or a layer is unreadable or on another grid.
    """
    grid = probability.grid
    found, groups, chosen = outline_groups(probability.values, grid, threshold)
    found["perimeter_m"] = found.length
    found["length_m"] = longer_sides(found.geometry.values)
    found["mean_probability"] = groups.mean(probability.values)[chosen]
    found["max_probability"] = groups.maximum(probability.values)[chosen]
    found[["mean_slope_deg", "mean_elevation_m", "relief_m"]] = np.nan
    if (slope := read_site_layer(layers_folder, grid, *SLOPE)) is not None:
        found["mean_slope_deg"] = groups.mean(slope)[chosen]
    if (elevation := read_site_layer(layers_folder, grid, *ELEVATION)) is not None:
        found["mean_elevation_m"] = groups.mean(elevation)[chosen]
        found["relief_m"] = (groups.maximum(elevation) + groups.maximum(-elevation))[chosen]
    found["date"] = (
        None if layers_folder is None else str(read_json(Path(layers_folder) / "layers.json")["dates"][-1])
    )
    found = found.sort_values("area_m2", ascending=False, kind="stable", ignore_index=True)
    found["id"] = np.arange(1, len(found) + 1)
    return found[
        [
            "id",
            "area_m2",
            "length_m",
            "perimeter_m",
            "mean_probability",
            "max_probability",
            "mean_slope_deg",
            "mean_elevation_m",
            "relief_m",
            "date",
            "geometry",
        ]
    ]


def longer_sides(polygons: np.ndarray) -> np.ndarray:
    """Longer side of the smallest rotated rectangle around each of `polygons` (polygon,), none of them
    without area."""
    corners = shapely.get_coordinates(shapely.minimum_rotated_rectangle(polygons)).reshape(-1, 5, 2)
    return np.linalg.norm(np.diff(corners[:, :3], axis=1), axis=2).max(axis=1, initial=0)


def read_site_layer(folder: str | Path | None, grid: Grid, name: str, units: str) -> np.ndarray | None:
    """Values (row, col) of a site's layer, None where the site has none in these units.

    Raises:
        HeadscarpError: the file is unreadable or on another grid.
    """
    if folder is None:
        return None
    path = Path(folder) / f"{name}.tif"
    if not path.exists():
        return None
    layer = read_layer(path)
    if layer.grid != grid:
        raise HeadscarpError(
            f"{path} is not on the grid of the probability map; "
            "align the layers of this site and map it again"
        )
    return layer.values if layer.units == units else None


def polygonise(
    probability: np.ndarray,
    grid: Grid,
    threshold: float = 0.5,
    minimum_area_m2: float = 0.0,
    layers: Mapping[str, np.ndarray] | None = None,
) -> geopandas.GeoDataFrame:
    """Outline the groups of pixels (sharing sides) whose probability reaches `threshold` and whose area
    reaches `minimum_area_m2`.

    Args:
        probability: (row, col) in 0..1; NaN is no data and belongs to no group.
        layers: further (row, col) arrays by name, NaN = no data; each adds a column with the mean of a
            group's pixels.

    Returns:
        Polygons in the grid's CRS with `area_m2`, `mean_probability` and a `mean_<name>` for each of
        `layers`, the largest first.

    Raises:
        HeadscarpError: the grid is not in metres.
    """
    found, groups, chosen = outline_groups(probability, grid, threshold, minimum_area_m2)
    for name, values in ({"probability": probability} | dict(layers or {})).items():
        found[f"mean_{name}"] = groups.mean(values)[chosen]
    order = [name for name in found.columns if name != "geometry"] + ["geometry"]
    return found[order].sort_values("area_m2", ascending=False, ignore_index=True)


def outline_groups(
    probability: np.ndarray, grid: Grid, threshold: float, minimum_area_m2: float = 0.0
) -> tuple[geopandas.GeoDataFrame, PixelGroups, np.ndarray]:
    """Outlines with `area_m2`, all groups of pixels, and the number of the group of each outline; as
    `polygonise`, in no order."""
    if CRS.from_user_input(grid.crs).linear_units.lower() not in ("metre", "meter"):
        raise HeadscarpError(
            f"polygons need a CRS in metres for their areas and {grid.crs} "
            "is not; reproject the site, for example to its UTM zone"
        )
    numbers, count = ndimage.label(probability >= threshold)
    groups = PixelGroups(numbers.astype(np.int32, copy=False), count)
    area = groups.pixels() * abs(grid.transform.determinant)
    inside = groups.numbers > 0
    inside[inside] = (area >= minimum_area_m2)[groups.members]
    outlines = list(shapes(groups.numbers, mask=inside, connectivity=4, transform=grid.transform))
    chosen = np.array([int(number) for _, number in outlines], int)
    polygons = geopandas.GeoDataFrame(
        {"area_m2": area[chosen]}, geometry=[shape(outline) for outline, _ in outlines], crs=grid.crs
    )
    return polygons, groups, chosen


def write_polygons(path: str | Path, polygons: geopandas.GeoDataFrame) -> None:
    """Write polygons, which may be none, as a GeoPackage with the layer `landslides`, atomically."""
    with atomic_path(path) as temporary:
        polygons.to_file(temporary, driver="GPKG", layer="landslides", geometry_type="Polygon")
