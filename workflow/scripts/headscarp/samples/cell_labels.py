"""Which cells of a factor map are landslides: by the outlines of an inventory, by points, or by a layer."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from affine import Affine

from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.site.cube import Cube
from headscarp.site.labels import rasterise_numbers, read_polygons
from headscarp.sources.points import read_points
from headscarp.vocabulary import require_known

FINE = 9  # polygons are rasterised at this part of a cell: 10 m on a grid of 90 m
ROWS_AT_ONCE = 64  # cells rasterised together


@dataclass(frozen=True)
class CellLabels:
    """`label` uint8 (row, col): 1 landslide, 0 not, 255 not sampled; `truth` likewise, 255 unknown; notes for
    the reader; `learnt` bool (row, col): land whose true landslides were known to what labels the cells."""

    label: np.ndarray
    truth: np.ndarray
    notes: list[str]
    learnt: np.ndarray


def labels_source(record: Mapping[str, Any], files: Mapping[str, str | Path]) -> dict[str, Any]:
    """The source of labels that a card's `cells` holds, {kind, …}: what the card says of it, and the files
    that go with it by their roles.

    Raises:
        HeadscarpError: the record holds none.
    """
    kind = next((name for name in LABEL_SOURCES if name in record), None)
    if kind is None:
        raise HeadscarpError(f"the card's `cells` have no labels; give one of {', '.join(LABEL_SOURCES)}")
    return {"kind": kind} | dict(record[kind]) | dict(files)


def required_of_source(source: Mapping[str, Any], key: str) -> Any:
    if key not in source:
        raise HeadscarpError(f"cells.{source['kind']} needs the key '{key}' in the card")
    return source[key]


def label_cells(cube: Cube, source: Mapping[str, Any], label_share: float) -> CellLabels:
    """Labels of all cells of the map from a source.

    Raises:
        HeadscarpError: no cell is a landslide, or all are, or a file or the card is not what it should be.
    """
    kind = require_known(source["kind"], LABEL_SOURCES, "labels of cells: kind")
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
    label = (covered_share(source["inventory"], grid, notes) >= label_share).astype(np.uint8)
    truth = np.full(label.shape, UNMAPPED, np.uint8)
    if source.get("truth") is not None:
        truth = (covered_share(source["truth"], grid, notes) >= label_share).astype(np.uint8)
    if source.get("area") is not None:
        label[
            rasterise_numbers(read_polygons(source["area"], grid, notes).geometry.to_numpy(), 1, grid) == 0
        ] = UNMAPPED
    learnt = np.zeros(label.shape, bool)
    if source.get("learnt") is not None:
        learnt = covered_share(source["learnt"], grid, notes) > 0
        truth[learnt] = UNMAPPED
    return CellLabels(label, truth, notes, learnt)


def covered_share(path: str | Path, grid: Grid, notes: list[str]) -> np.ndarray:
    """Share (row, col) float32 of each cell that polygons cover, by the centres of FINE x FINE parts of
    it."""
    polygons = read_polygons(path, grid, notes).geometry.to_numpy()
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
    counted and skipped."""
    grid = grid_of(cube)
    columns = (
        {"x": "x", "y": "y"}
        | {name: source[name] for name in ("x", "y", "crs") if name in source}
        | {"label": required_of_source(source, "label")}
    )
    x, y, slides = read_points(source["points"], columns, grid.crs)
    col, row = (np.floor(values).astype(int) for values in ~grid.transform @ (x, y))
    inside = (row >= 0) & (row < grid.height) & (col >= 0) & (col < grid.width)
    notes = []
    if not inside.all():
        notes.append(
            f"{np.count_nonzero(~inside)} of {len(inside)} points are outside the map and were skipped"
        )
    row, col, slides = row[inside], col[inside], slides[inside]
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
    NaN."""
    values = np.asarray(cube.values[-1, cube.positions([required_of_source(source, "channel")])[0]])
    label = np.where(np.isnan(values), UNMAPPED, values > required_of_source(source, "above")).astype(
        np.uint8
    )
    return without_truth(label, [])


def without_truth(label: np.ndarray, notes: list[str]) -> CellLabels:
    """Labels beside which no truth is known."""
    return CellLabels(label, np.full(label.shape, UNMAPPED, np.uint8), notes, np.zeros(label.shape, bool))


LABEL_SOURCES = {"inventory": from_inventory, "points": from_points, "layer": from_layer}
REMEDIES = {
    "inventory": "make cells.label_share smaller, or take an inventory of this area",
    "points": "check the coordinates (they must be in the CRS of the site's grid) and the label column",
    "layer": "make `above` smaller",
}
OTHER_REMEDIES = {
    "inventory": "make cells.label_share larger, or give as `area` the land that was searched for landslides",
    "points": "add points where there is none (label 0), and check the label column",
    "layer": "make `above` larger",
}


def grid_of(cube: Cube) -> Grid:
    return Grid.from_record(cube.header["grid"])
