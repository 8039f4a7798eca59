"""Where a susceptibility map may be believed: the dissimilarity of every cell to the cells that trained, and
the area of applicability.

Meyer, H. and Pebesma, E. (2021). Predicting into unknown space? Estimating the area of applicability of
spatial prediction models. Methods in Ecology and Evolution 12, 1620-1633. doi:10.1111/2041-210X.13650
"""

import csv
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headscarp.codes import TEST, TRAIN
from headscarp.errors import HeadscarpError
from headscarp.files import read_json, write_json
from headscarp.geo.grid import Grid
from headscarp.geo.layer import write_cog
from headscarp.samples.cell_table import Cells, layers_of_channels, read_cells
from headscarp.site.cube import Cube, open_cube

MOST_CELLS = 5000  # that trained, drawn at random where there are more
AT_ONCE = 4096  # cells whose distances are worked out together
WHISKER = 1.5  # of the interquartile range, beyond which a dissimilarity is an outlier


@dataclass(frozen=True)
class Space:
    """Predictors of the training cells, standardised and weighted (cell, channel) float64, with what brings
    others there: `mean`, `scale` (channel); and the mean distance between training cells."""

    training: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    mean_distance: float

    def dissimilarity(self, values: np.ndarray) -> np.ndarray:
        """Dissimilarity index (cell) of values (cell, channel): the distance to the nearest training cell
        over the mean distance between training cells."""
        placed = (values - self.mean) * self.scale
        return (
            np.concatenate([distances(part, self.training).min(axis=1) for part in chunks(placed)])
            / self.mean_distance
        )


def space_of(values: np.ndarray, weights: np.ndarray) -> Space:
    """The space of predictors of training cells (cell, channel), each standardised and times its weight.

    Raises:
        HeadscarpError: all training cells are the same, or no predictor has a weight.
    """
    mean, sd = values.mean(axis=0), values.std(axis=0, ddof=1)
    scale = np.divide(weights, sd, out=np.zeros_like(sd), where=sd > 0)
    training = (values - mean) * scale
    count = len(training)
    total = sum(distances(part, training).sum() for part in chunks(training))
    if not total:
        raise HeadscarpError(
            "the training cells do not differ in any factor that has weight, so no dissimilarity is known"
        )
    return Space(training, mean, scale, total / (count * (count - 1)))


def distances(these: np.ndarray, those: np.ndarray) -> np.ndarray:
    """Euclidean distances (these, those)."""
    squares = (these**2).sum(1)[:, None] + (those**2).sum(1)[None] - 2 * these @ those.T
    return np.sqrt(np.maximum(squares, 0))


def chunks(values: np.ndarray) -> list[np.ndarray]:
    return [values[first : first + AT_ONCE] for first in range(0, len(values), AT_ONCE)]


def training_dissimilarity(space: Space, group: np.ndarray) -> np.ndarray:
    """Dissimilarity index (cell) of each training cell to those of other folds, `group` (cell).

    Raises:
        HeadscarpError: all are of one fold.
    """
    if len(np.unique(group)) < 2:
        raise HeadscarpError("the training cells are of one fold, so that none is left to compare them with")
    found = np.empty(len(group))
    for first in range(0, len(group), AT_ONCE):
        part = slice(first, first + AT_ONCE)
        apart = distances(space.training[part], space.training)
        apart[group[part, None] == group[None]] = np.inf
        found[part] = apart.min(axis=1)
    return found / space.mean_distance


def threshold_of(dissimilarity: np.ndarray) -> float:
    """The largest dissimilarity of training cells that is no outlier: no further above the upper hinge than
    `WHISKER` times the distance of the hinges (Tukey's boxplot)."""
    ordered = np.sort(dissimilarity)
    half = (len(ordered) + 1) // 2
    lower, upper = np.median(ordered[:half]), np.median(ordered[-half:])
    return float(ordered[ordered <= upper + WHISKER * (upper - lower)].max())


def channel_weights(importance: Mapping[str, float], layers: Mapping[str, Sequence[int]]) -> np.ndarray:
    """Weight (channel) of each channel: the importance of its layer {layer: AUC lost}, none below 0, shared
    among its channels; all the same where no layer is of importance."""
    weights = np.zeros(sum(map(len, layers.values())))
    for layer, positions in layers.items():
        weights[list(positions)] = max(0.0, importance[layer]) / len(positions)
    return weights if weights.any() else np.ones_like(weights)


def read_importance(path: str | Path) -> dict[str, float]:
    """{layer: AUC lost} as `importance.write_importance` wrote it.

    Raises:
        HeadscarpError: the file is missing or is not such a table.
    """
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            return {line["factor"]: float(line["auc_drop"]) for line in csv.DictReader(stream)}
    except (OSError, KeyError, ValueError) as error:
        raise HeadscarpError(
            f"{path} cannot be read as importance of factors ({error}); delete it, and it is made again"
        ) from None


def drawn_training(cells: Cells, seed: int) -> np.ndarray:
    """Positions of cells that train any fold, at most `MOST_CELLS`, drawn at random."""
    trained = np.flatnonzero((cells.split == TRAIN).any(axis=0))
    if len(trained) > MOST_CELLS:
        trained = np.sort(np.random.default_rng(seed).choice(trained, MOST_CELLS, replace=False))
    return trained


def folds_of(cells: Cells, chosen: np.ndarray) -> np.ndarray:
    """The fold (cell) that tests each of the chosen cells; of a hold-out, which tests none of them, the
    spatial block instead."""
    if cells.folds == 1:
        return cells.block[chosen]
    return (cells.split[:, chosen] == TEST).argmax(axis=0)


def map_applicability(
    cube_folder: str | Path,
    cells_folder: str | Path,
    run_folder: str | Path,
    importance: str | Path,
    out_folder: str | Path,
) -> None:
    """Write `applicability.tif` (the dissimilarity index, and 1 inside the area of applicability or 0) and
    `applicability.json` (threshold, weights, share of the map inside) of a run; NaN where a factor is.

    Predictors are standardised over training cells and weighted by permutation importance. The threshold is
    the largest dissimilarity, but for outliers, of training cells to those of other folds.

    Raises:
        HeadscarpError: a file is missing, or the training cells have no dissimilarity.
    """
    began = time.perf_counter()
    cube, cells = open_cube(cube_folder), read_cells(cells_folder)
    run = read_json(Path(run_folder) / "run.json")["spec"]
    channels = run["channels"]
    layers = layers_of_channels(channels, cube.channels)
    weights = channel_weights(read_importance(importance), layers)
    chosen = drawn_training(cells, run["seed"])
    space = space_of(values_at(cube, channels, cells.row[chosen], cells.col[chosen]), weights)
    threshold = threshold_of(training_dissimilarity(space, folds_of(cells, chosen)))
    index = dissimilarity_map(cube, channels, space)
    inside = np.where(np.isnan(index), np.nan, index <= threshold).astype(np.float32)
    write_cog(
        Path(out_folder) / "applicability.tif",
        np.stack([index, inside]),
        Grid.from_record(cube.header["grid"]),
        float("nan"),
        ["dissimilarity index", "inside the area of applicability"],
        "1",
        f"headscarp: Meyer and Pebesma 2021, {run['network']['name']}, seed {run['seed']}",
    )
    write_json(
        Path(out_folder) / "applicability.json",
        {
            "threshold": threshold,
            "training_cells": len(chosen),
            "mean_distance": space.mean_distance,
            "weights": dict(zip(channels, weights.tolist(), strict=True)),
            "inside_share": float(np.nanmean(inside)),
            "seconds": round(time.perf_counter() - began, 3),
        },
    )


def values_at(cube: Cube, channels: Sequence[str], row: np.ndarray, col: np.ndarray) -> np.ndarray:
    """Values (cell, channel) float64 at cells."""
    found = [cube.values[-1, position, row, col] for position in cube.positions(channels)]
    return np.stack(found, axis=1).astype(np.float64)


def dissimilarity_map(cube: Cube, channels: Sequence[str], space: Space) -> np.ndarray:
    """Dissimilarity index (row, col) float32 of every cell, NaN where a factor is."""
    index = np.full(cube.label.shape, np.nan, np.float32)
    rows = max(1, 16 * AT_ONCE // index.shape[1])
    for top in range(0, index.shape[0], rows):
        planes = [cube.values[-1, position, top : top + rows] for position in cube.positions(channels)]
        values = np.stack(planes, axis=-1).astype(np.float64)
        seen = ~np.isnan(values).any(-1)
        if seen.any():
            index[top : top + rows][seen] = space.dissimilarity(values[seen])
    return index
