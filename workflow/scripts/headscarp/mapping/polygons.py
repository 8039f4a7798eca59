"""Landslides as polygons, from a probability map."""

from collections.abc import Mapping
from pathlib import Path

import geopandas
import numpy as np
import shapely
from rasterio.crs import CRS

from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path, read_json
from headscarp.geo.grid import Grid
from headscarp.geo.layer import grid_of, open_raster
from headscarp.mapping.pixel_groups import pixel_groups, strips_of_array, strips_of_layer

# layers of a site that polygons take columns from, and the units they need
SLOPE, ELEVATION = ("slope", "degree"), ("elevation", "m")


def landslide_polygons(
    probability: str | Path,
    threshold: float,
    layers_folder: str | Path | None = None,
    minimum_area_m2: float = 0.0,
) -> geopandas.GeoDataFrame:
    """The landslides of a map with what a mapper asks of each, the largest first. Rasters are read strip by
    strip: memory holds one and all polygons.

    | column | of each landslide | |---|---| | id | 1 for the largest, counted on | | area_m2 | area of its
    pixels | | length_m | longer side of the smallest rectangle, turned as it may be, around its outline: its
    extent, not its length downslope | | perimeter_m | of the outline along pixel sides, holes included: about
    4/pi times that of a smooth one | | mean_probability, max_probability | 0..1 | | mean_slope_deg | mean of
    the layer `slope`; empty where the site has none in degrees | | mean_elevation_m, relief_m | mean, and
    highest less lowest, of the layer `elevation`; empty where the site has none in metres | | date | ISO date
    of the site's last image, by which the landslide was there |

    Args:
        probability: file of a map in 0..1, NaN = no data.
        layers_folder: the layers of the site, on the grid of the map, with layers.json; None where it has
            none.
        minimum_area_m2: smaller ones are left out.

    Raises:
        HeadscarpError: the grid is not in metres, or the map or a layer is unreadable, or a layer is on
            another grid.
    """
    with open_raster(probability) as source:
        grid = require_metres(grid_of(source))
    slope, elevation = (site_layer(layers_folder, grid, *one) for one in (SLOPE, ELEVATION))
    with pixel_groups(strips_of_layer(probability), grid, threshold, minimum_area_m2) as groups:
        found, chosen = groups.outlines()
        found["area_m2"] = groups.pixels[chosen] * abs(grid.transform.determinant)
        found["perimeter_m"] = found.length
        found["length_m"] = longer_sides(found.geometry.values)
        of_map = groups.summary(strips_of_layer(probability))
        found["mean_probability"] = of_map.mean[chosen]
        found["max_probability"] = of_map.maximum[chosen]
        found[["mean_slope_deg", "mean_elevation_m", "relief_m"]] = np.nan
        if slope:
            found["mean_slope_deg"] = groups.summary(strips_of_layer(slope)).mean[chosen]
        if elevation:
            heights = groups.summary(strips_of_layer(elevation))
            found["mean_elevation_m"] = heights.mean[chosen]
            found["relief_m"] = (heights.maximum - heights.minimum)[chosen]
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


def site_layer(folder: str | Path | None, grid: Grid, name: str, units: str) -> Path | None:
    """The file of a site's layer, None where the site has none in these units.

    Raises:
        HeadscarpError: the file is unreadable or on another grid.
    """
    if folder is None:
        return None
    path = Path(folder) / f"{name}.tif"
    if not path.exists():
        return None
    with open_raster(path) as source:
        if grid_of(source) != grid:
            raise HeadscarpError(
                f"{path} is not on the grid of the probability map; "
                "align the layers of this site and map it again"
            )
        return path if source.units[0] == units else None


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
    strips = strips_of_array(probability)
    with pixel_groups(strips, require_metres(grid), threshold, minimum_area_m2) as groups:
        found, chosen = groups.outlines()
        found.insert(0, "area_m2", groups.pixels[chosen] * abs(grid.transform.determinant))
        for name, values in ({"probability": probability} | dict(layers or {})).items():
            found[f"mean_{name}"] = groups.summary(strips_of_array(values)).mean[chosen]
    order = [name for name in found.columns if name != "geometry"] + ["geometry"]
    return found[order].sort_values("area_m2", ascending=False, ignore_index=True)


def require_metres(grid: Grid) -> Grid:
    """A grid whose cells have areas.

    Raises:
        HeadscarpError: it is not in metres.
    """
    if CRS.from_user_input(grid.crs).linear_units.lower() not in ("metre", "meter"):
        raise HeadscarpError(
            f"polygons need a CRS in metres for their areas and {grid.crs} "
            "is not; reproject the site, for example to its UTM zone"
        )
    return grid


def write_polygons(path: str | Path, polygons: geopandas.GeoDataFrame) -> None:
    """Write polygons, which may be none, as a GeoPackage with the layer `landslides`, atomically."""
    with atomic_path(path) as temporary:
        polygons.to_file(temporary, driver="GPKG", layer="landslides", geometry_type="Polygon")
