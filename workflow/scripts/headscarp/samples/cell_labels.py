"""Which cells of a factor map are landslides: by the outlines of an inventory, by points, or by a layer."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import shapely
from affine import Affine

from headscarp.codes import LANDSLIDE, TEMPORAL, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.samples.spec import label_kind, refuse_raster
from headscarp.site.cube import Cube
from headscarp.site.labels import rasterise_numbers, read_polygons
from headscarp.site.layer_names import LABEL
from headscarp.sources.points import read_points
from headscarp.vocabulary import require_known

PRESENCES = "presences"
FINE = 9  # polygons are rasterised at this part of a cell: 10 m on a grid of 90 m
ROWS_AT_ONCE = 64  # cells rasterised together
FIRST_YEAR, LAST_YEAR = 1800, 2099  # numbers outside are no years but codes, such as -9999


@dataclass(frozen=True)
class CellLabels:
    """`label` uint8 (row, col): 1 landslide, 0 not, 255 not sampled; `truth` likewise, 255 unknown; notes for
    the reader; `learnt` bool (row, col): land whose true landslides were known to what labels the cells.
    Where landslides have years and the card a last one to learn from, `later` bool (row, col): no slide up to
    that year, but one after it; `undated`: a slide of no known year."""

    label: np.ndarray
    truth: np.ndarray
    notes: list[str]
    learnt: np.ndarray
    later: np.ndarray | None = None
    undated: np.ndarray | None = None


def labels_source(record: Mapping[str, Any], files: Mapping[str, str | Path]) -> dict[str, Any]:
    """The source of labels that a card's `cells` holds, {kind, …}: what the card says of it, the last year to
    learn from as `until`, and the files that go with it by their roles.

    Raises:
        HeadscarpError: the record holds none.
    """
    kind = label_kind(record)
    until = {"until": record["temporal"]["until"]} if "temporal" in record else {}
    return {"kind": kind} | dict(record[kind]) | until | dict(files)


def required_of_source(source: Mapping[str, Any], key: str) -> Any:
    if key not in source:
        raise HeadscarpError(f"cells.{source['kind']} needs the key '{key}' in the card")
    return source[key]


def kind_of_labels(source: Mapping[str, Any]) -> str:
    """The kind of a source, but `presences` of points without a column of labels: all of them are landslides
    and the rest of the area is background, so that all cells of it are sampled."""
    return PRESENCES if source["kind"] == "points" and "label" not in source else source["kind"]


def label_cells(cube: Cube, source: Mapping[str, Any], label_share: float) -> CellLabels:
    """Labels of all cells of the map from a source.

    Raises:
        HeadscarpError: no cell is a landslide, or all are, or a file or the card is not what it should be.
    """
    kind = require_known(source["kind"], LABEL_SOURCES, "labels of cells: kind")
    refuse_raster(source.get(kind, ""))
    labels = LABEL_SOURCES[kind](cube, source, label_share)
    if not (labels.label == LANDSLIDE).any():
        raise HeadscarpError(
            f"{source.get(kind, source.get('channel'))}: no cell of the site is a landslide; {REMEDIES[kind]}"
        )
    if not (labels.label == 0).any():
        raise HeadscarpError(
            f"{source.get(kind, source.get('channel'))}: every sampled cell is a landslide and none is "
            f"background; {OTHER_REMEDIES[kind]}"
        )
    return labels


def from_inventory(cube: Cube, source: Mapping[str, Any], label_share: float) -> CellLabels:
    """A cell is a landslide where `inventory` covers label_share of it; `truth` likewise; cells outside
    `area` are not sampled. Cells that `learnt` touches, where the inventory's network was trained, have no
    truth: there it knew the landslides that it is held against."""
    grid = grid_of(cube)
    notes: list[str] = []
    label = (covered_share(outlines(source["inventory"], grid, notes), grid) >= label_share).astype(np.uint8)
    truth = np.full(label.shape, UNMAPPED, np.uint8)
    if source.get("truth") is not None:
        truth = (covered_share(outlines(source["truth"], grid, notes), grid) >= label_share).astype(np.uint8)
    label[outside(source.get("area"), grid, notes)] = UNMAPPED
    learnt = np.zeros(label.shape, bool)
    if source.get("learnt") is not None:
        learnt = covered_share(outlines(source["learnt"], grid, notes), grid) > 0
        truth[learnt] = UNMAPPED
    return CellLabels(label, truth, notes, learnt)


def from_polygons(cube: Cube, source: Mapping[str, Any], label_share: float) -> CellLabels:
    """A cell is a landslide where polygons of a file cover label_share of it; cells outside `area` are not
    sampled. With the column `year` and a year `until` which to learn, cells tell when they slid first."""
    grid, notes = grid_of(cube), []
    table = read_polygons(source["polygons"], grid, notes)
    polygons = table.geometry.to_numpy()
    label = (covered_share(polygons, grid) >= label_share).astype(np.uint8)
    label[outside(source.get("area"), grid, notes)] = UNMAPPED
    labels = without_truth(label, notes)
    if "year" not in source or "until" not in source:
        return labels
    years = years_of(table, source["year"], source["polygons"])
    early, later, undated = (
        covered_share(polygons[chosen], grid) >= label_share
        for chosen in (years <= source["until"], years > source["until"], np.isnan(years))
    )
    if np.isnan(years).any():
        notes.append(
            f"{np.count_nonzero(np.isnan(years))} of {len(years)} landslides have no year in "
            f"'{source['year']}': under {TEMPORAL} the cells that only they cover are not sampled"
        )
    return replace(labels, later=later & ~early, undated=undated & ~early & ~later)


def years_of(table: geopandas.GeoDataFrame, column: str, path: str | Path) -> np.ndarray:
    """Years (polygon) float64 of a column of numbers or of dates, NaN where there is none.

    Raises:
        HeadscarpError: there is no such column, or no year in it.
    """
    require_known(column, [name for name in table.columns if name != "geometry"], f"{path}: column")
    values = table[column]
    if pd.api.types.is_numeric_dtype(values):
        years = values.to_numpy(np.float64)
    else:
        years = (
            values.astype("string")
            .str.extract(r"((?:1[89]|20)\d\d)")[0]
            .to_numpy(np.float64, na_value=np.nan)
        )
    years = np.where((years >= FIRST_YEAR) & (years <= LAST_YEAR), np.floor(years), np.nan)
    if np.isnan(years).all():
        raise HeadscarpError(
            f"{path}: the column '{column}' holds no year (such as 2010 or 2010-07-28); name the column that "
            "tells when each landslide happened"
        )
    return years


def outlines(path: str | Path, grid: Grid, notes: list[str]) -> np.ndarray:
    return read_polygons(path, grid, notes).geometry.to_numpy()


def outside(area: str | Path | None, grid: Grid, notes: list[str]) -> np.ndarray:
    """Cells (row, col) bool whose centres no polygon of a file holds; none without a file."""
    if area is None:
        return np.zeros(grid.shape, bool)
    return rasterise_numbers(outlines(area, grid, notes), 1, grid) == 0


def covered_share(polygons: np.ndarray, grid: Grid) -> np.ndarray:
    """Share (row, col) float32 of each cell that polygons cover, by the centres of FINE x FINE parts of
    it."""
    share = np.zeros(grid.shape, np.float32)
    for top in range(0, grid.height, ROWS_AT_ONCE):
        height = min(ROWS_AT_ONCE, grid.height - top)
        transform = grid.transform @ Affine.translation(0, top) @ Affine.scale(1 / FINE)
        strip = Grid(grid.crs, transform, height * FINE, grid.width * FINE)
        here = polygons[shapely.intersects(polygons, shapely.box(*strip.bounds))]
        if len(here):
            share[top : top + height] = (
                (rasterise_numbers(here, 1, strip) > 0).reshape(height, FINE, grid.width, FINE).mean((1, 3))
            )
    return share


def from_points(cube: Cube, source: Mapping[str, Any], label_share: float) -> CellLabels:
    """The cells that hold points of a table, landslides where any of them is one; points outside the map are
    counted and skipped. Without a column of labels all points are landslides, and all other cells of `area`
    are background."""
    grid = grid_of(cube)
    columns = {"x": "x", "y": "y"} | {
        name: source[name] for name in ("x", "y", "crs", "label") if name in source
    }
    x, y, slides = read_points(source["points"], columns, grid.crs)
    col, row = (np.floor(values).astype(int) for values in ~grid.transform @ (x, y))
    inside = (row >= 0) & (row < grid.height) & (col >= 0) & (col < grid.width)
    notes = []
    if not inside.all():
        notes.append(
            f"{np.count_nonzero(~inside)} of {len(inside)} points are outside the map and were skipped"
        )
    row, col, slides = row[inside], col[inside], slides[inside]
    if kind_of_labels(source) == PRESENCES:
        label = np.zeros(grid.shape, np.uint8)
        label[row, col] = LANDSLIDE
        label[outside(source.get("area"), grid, notes)] = UNMAPPED
        return without_truth(label, notes)
    label = np.full(grid.shape, UNMAPPED, np.uint8)
    label[row[~slides], col[~slides]] = 0
    label[row[slides], col[slides]] = LANDSLIDE
    shared = len(row) - np.count_nonzero(label != UNMAPPED)
    if shared:
        notes.append(
            f"{shared} points share a cell with another and were merged; a cell with any landslide is one"
        )
    return without_truth(label, notes)


def from_layer(cube: Cube, source: Mapping[str, Any], label_share: float) -> CellLabels:
    """A cell is a landslide where `channel` of the cube exceeds `above`, and is not sampled where it is
    NaN. The channel `label` is the site's labels: landslides, other mapped ground, and the rest."""
    channel, above = (required_of_source(source, key) for key in ("channel", "above"))
    if channel == LABEL:
        slides = np.where(cube.label == LANDSLIDE, LANDSLIDE, 0)
        return without_truth(np.where(cube.label == UNMAPPED, UNMAPPED, slides).astype(np.uint8), [])
    values = np.asarray(cube.values[-1, cube.positions([channel])[0]])
    label = np.where(np.isnan(values), UNMAPPED, values > above).astype(np.uint8)
    return without_truth(label, [])


def without_truth(label: np.ndarray, notes: list[str]) -> CellLabels:
    """Labels beside which no truth is known."""
    return CellLabels(label, np.full(label.shape, UNMAPPED, np.uint8), notes, np.zeros(label.shape, bool))


LABEL_SOURCES = {
    "inventory": from_inventory,
    "polygons": from_polygons,
    "points": from_points,
    "layer": from_layer,
}
REMEDIES = {
    "inventory": "make cells.label_share smaller, or take an inventory of this area",
    "polygons": "make cells.label_share smaller, or take landslides of this area",
    "points": "check the coordinates (they must be in the CRS of the site's grid) and the label column",
    "layer": "make `above` smaller",
}
OTHER_REMEDIES = {
    "inventory": "make cells.label_share larger, or give as `area` the land that was searched for landslides",
    "polygons": "make cells.label_share larger, or give as `area` the land that was searched for landslides",
    "points": "add points where there is none (label 0), and check the label column",
    "layer": "make `above` larger",
}


def grid_of(cube: Cube) -> Grid:
    return Grid.from_record(cube.header["grid"])
