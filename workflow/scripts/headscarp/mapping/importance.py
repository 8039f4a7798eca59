"""Importance of factors by permutation: what a model loses on test cells when the values of one factor are
shuffled among them.

Breiman, L. (2001). Random forests. Machine Learning 45, 5-32. doi:10.1023/A:1010933404324
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from headscarp.codes import LANDSLIDE
from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path, read_json
from headscarp.mapping.cell_models import MODELS, training_cells
from headscarp.samples.cell_table import Cells, layers_of_channels, read_cells
from headscarp.site.cube import Cube, open_cube

REPEATS = 5
MOST_CELLS = 2000  # test cells of a fold, drawn at random where there are more
Predict = Callable[[np.ndarray], np.ndarray]


def auc_drops(
    predict: Predict,
    values: np.ndarray,
    slides: np.ndarray,
    layers: Mapping[str, Sequence[int]],
    rng: np.random.Generator,
) -> tuple[float, dict[str, float]]:
    """AUC of a model on cells, and how much of it is lost by shuffling each layer, the mean of `REPEATS`.

    Args:
        predict: from values to the probability (cell) of a landslide.
        values: (cell, channel, …). slides: bool (cell), of both kinds.
        layers: {layer: positions of channels}, which are shuffled together.
    """
    whole = float(roc_auc_score(slides, predict(values)))
    drops = {}
    for layer, positions in layers.items():
        lost = []
        for _ in range(REPEATS):
            shuffled = values.copy()
            shuffled[:, positions] = values[rng.permutation(len(values))][:, positions]
            lost.append(whole - float(roc_auc_score(slides, predict(shuffled))))
        drops[layer] = float(np.mean(lost))
    return whole, drops


def test_cells(cells: Cells, fold: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of the test cells of a fold, at most `MOST_CELLS`, drawn at random."""
    tested = np.flatnonzero(cells.members(fold, "test"))
    return tested if len(tested) <= MOST_CELLS else np.sort(rng.choice(tested, MOST_CELLS, replace=False))


def permute_factors(
    cube_folder: str | Path,
    cells_folder: str | Path,
    run_folder: str | Path,
    target: str | Path,
    threads: int = 1,
) -> None:
    """Write the importance of each factor of a run as CSV, the most important first: `factor`, `auc_drop` and
    `sd` (mean and standard deviation over folds), `auc` (of all factors, mean over folds) and `folds`.

    Each fold's model meets its own test cells. Models of single cells are fitted anew with the run's seed,
    which makes the same ones; networks are read.

    Raises:
        HeadscarpError: a file is missing, or no fold tests landslides and others.
    """
    cube, cells = open_cube(cube_folder), read_cells(cells_folder)
    spec = read_json(Path(run_folder) / "run.json")["spec"]
    channels = spec["channels"]
    layers = layers_of_channels(channels, cube.channels)
    found, whole = [], []
    for fold in range(cells.folds):
        rng = np.random.default_rng((spec["seed"], fold))
        chosen = test_cells(cells, fold, rng)
        slides = cells.label[chosen] == LANDSLIDE
        if not slides.any() or slides.all():
            continue
        predict, values = fold_model(cube, cells, fold, chosen, spec, Path(run_folder), threads)
        auc, drops = auc_drops(predict, values, slides, layers, rng)
        whole.append(auc)
        found.append(drops)
    if not found:
        raise HeadscarpError(f"{run_folder}: no fold tests landslides and others, so no importance is known")
    write_importance(target, found, float(np.mean(whole)))


def write_importance(target: str | Path, found: Sequence[Mapping[str, float]], auc: float) -> None:
    """Write what each fold found {layer: AUC lost}, the most important layer first.

    Args:
        auc: of all factors.
    """
    drops = {layer: np.array([one[layer] for one in found]) for layer in found[0]}
    lines = [
        {
            "factor": layer,
            "auc_drop": f"{lost.mean():.6g}",
            "sd": f"{lost.std(ddof=1):.6g}" if len(found) > 1 else "",
            "auc": f"{auc:.6g}",
            "folds": len(found),
        }
        for layer, lost in sorted(drops.items(), key=lambda item: -item[1].mean())
    ]
    with atomic_path(target) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)


def fold_model(
    cube: Cube, cells: Cells, fold: int, chosen: np.ndarray, spec: dict, run_folder: Path, threads: int
) -> tuple[Predict, np.ndarray]:
    """What a fold's model predicts with, and the values (cell, channel, …) of chosen cells as it reads
    them."""
    name, channels = spec["network"]["name"], spec["channels"]
    if name not in MODELS:
        # Here, since models of single cells start without torch.
        from headscarp.mapping.cell_networks import network_of_fold

        return network_of_fold(cube, cells, fold, chosen, run_folder)
    model = MODELS[name](spec["network"]["params"], spec["seed"], threads)
    model.fit(*training_cells(cube, cells, fold, channels))
    row, col = cells.row[chosen], cells.col[chosen]
    values = np.stack([cube.values[-1, position, row, col] for position in cube.positions(channels)], axis=1)
    return model.probability, values
