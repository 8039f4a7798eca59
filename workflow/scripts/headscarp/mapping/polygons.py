"""Landslides as polygons, from a probability map."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

import geopandas
import numpy as np
import pandas as pd
import shapely
from rasterio.crs import CRS

from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path, read_json
from headscarp.geo.grid import Grid
from headscarp.geo.layer import grid_of, open_raster
from headscarp.mapping.pixel_groups import (
    PixelGroups,
    Summary,
    pixel_groups,
    strips_of_array,
    strips_of_layer,
)

AT_ONCE = 50_000  # landslides in memory with their outlines
# layers of a site that polygons take columns from, and the units they need
SLOPE, ELEVATION = ("slope", "degree"), ("elevation", "m")


def landslide_polygons(
    probability: str | Path,
    threshold: float,
    layers_folder: str | Path | None = None,
    minimum_area_m2: float = 0.0,
) -> geopandas.GeoDataFrame:
    """All of `landslide_batches` in one frame."""
    batches = landslide_batches(probability, threshold, layers_folder, minimum_area_m2)
    return geopandas.GeoDataFrame(pd.concat(list(batches), ignore_index=True))


def landslide_batches(
    probability: str | Path,
    threshold: float,
    layers_folder: str | Path | None = None,
    minimum_area_m2: float = 0.0,
) -> Iterator[geopandas.GeoDataFrame]:
    """The landslides of a map with what a mapper asks of each, the largest first and of equal ones the
    northern, `AT_ONCE` to a frame; one frame without any where there is none. Rasters are read strip by strip
    and outlines lie on disk: memory holds two strips, one frame, and 100 bytes for each landslide.

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
    date = None if layers_folder is None else str(read_json(Path(layers_folder) / "layers.json")["dates"][-1])
    with pixel_groups(strips_of_layer(probability), grid, threshold, minimum_area_m2) as groups:
        none = np.full(len(groups.pixels), np.nan)
        of_map = groups.summary(strips_of_layer(probability))
        slopes = groups.summary(strips_of_layer(slope)).mean if slope else none
        heights = groups.summary(strips_of_layer(elevation)) if elevation else Summary(none, none, none)
        order = np.argsort(-groups.pixels[1:], kind="stable") + 1
        with kept_outlines(groups) as outlines:
            for start in range(0, max(len(order), 1), AT_ONCE):
                chosen = order[start : start + AT_ONCE]
                polygons = outlines(chosen)
                yield geopandas.GeoDataFrame(
                    {
                        "id": np.arange(start + 1, start + 1 + len(chosen)),
                        "area_m2": groups.pixels[chosen] * abs(grid.transform.determinant),
                        "length_m": longer_sides(polygons),
                        "perimeter_m": shapely.length(polygons),
                        "mean_probability": of_map.mean[chosen],
                        "max_probability": of_map.maximum[chosen],
                        "mean_slope_deg": slopes[chosen],
                        "mean_elevation_m": heights.mean[chosen],
                        "relief_m": (heights.maximum - heights.minimum)[chosen],
                        "date": date,
                    },
                    geometry=polygons,
                    crs=grid.crs,
                )


@contextmanager
def kept_outlines(groups: PixelGroups) -> Iterator[Callable[[np.ndarray], np.ndarray]]:
    """Yield a function from numbers of groups (group,) to their polygons (group,), which are kept on disk
    while the block lasts."""
    place, length = np.zeros((2, len(groups.pixels)), np.int64)
    with TemporaryFile() as file:
        for numbers, polygons in groups.outlines():
            for number, text in zip(numbers, shapely.to_wkb(polygons), strict=True):
                place[number], length[number] = file.tell(), file.write(text)

        def read(chosen: np.ndarray) -> np.ndarray:
            texts = []
            for number in chosen:
                file.seek(place[number])
                texts.append(file.read(length[number]))
            return shapely.from_wkb(np.array(texts, object))

        yield read


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
        order = np.argsort(-groups.pixels[1:], kind="stable") + 1
        columns = {"area_m2": groups.pixels[order] * abs(grid.transform.determinant)}
        for name, values in ({"probability": probability} | dict(layers or {})).items():
            columns[f"mean_{name}"] = groups.summary(strips_of_array(values)).mean[order]
        with kept_outlines(groups) as outlines:
            return geopandas.GeoDataFrame(columns, geometry=outlines(order), crs=grid.crs)


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
    write_batches(path, [polygons])


def write_batches(path: str | Path, batches: Iterable[geopandas.GeoDataFrame]) -> None:
    """Write the polygons of one or more frames, one after the other, as `write_polygons` does."""
    with atomic_path(path) as temporary:
        for number, batch in enumerate(batches):
            batch.to_file(
                temporary,
                driver="GPKG",
                layer="landslides",
                geometry_type="Polygon",
                mode="a" if number else "w",
            )
