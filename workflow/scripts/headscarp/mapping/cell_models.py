"""Susceptibility from single cells, without their neighbours: the baseline GBDT + LR of zhang2024, logistic
regression, random forest."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from sklearn.base import BaseEstimator
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

from headscarp import __version__
from headscarp.codes import LANDSLIDE
from headscarp.errors import HeadscarpError
from headscarp.files import write_json
from headscarp.mapping.forest import make_forest
from headscarp.mapping.map_files import write_map_record, write_susceptibility
from headscarp.provenance import files_read_by_run, run_provenance
from headscarp.samples.cell_table import Cells, read_cells
from headscarp.site.cube import Cube, open_cube
from headscarp.vocabulary import require_known

STRIP_CELLS = 1 << 18
STACK_FOLDS = 5
MAXIMUM_STEPS = 1000  # of the solver of logistic regressions


class CellModel(ABC):
    """A classifier of cells from their factors (cell, factor), fitted with balanced class weights."""

    @abstractmethod
    def fit(self, values: np.ndarray, slides: np.ndarray, blocks: np.ndarray) -> None:
        """Fit to values (cell, factor), whether each cell is a landslide, bool (cell), and its bootstrap
        block (cell)."""

    @abstractmethod
    def probability(self, values: np.ndarray) -> np.ndarray:
        """Probability (cell) of a landslide."""

    @abstractmethod
    def described(self, channels: Sequence[str]) -> dict[str, Any]:
        """What the fitted model tells of the factors, for run.json."""


class Logistic(CellModel):
    """Logistic regression of the standardised factors, with scikit-learn's L2 penalty; `coefficients` are
    those of standardised factors."""

    def __init__(self, params: dict[str, Any], seed: int, threads: int) -> None:
        self.pipeline = logistic_regression(params)

    def fit(self, values: np.ndarray, slides: np.ndarray, blocks: np.ndarray) -> None:
        self.pipeline.fit(values, slides)

    def probability(self, values: np.ndarray) -> np.ndarray:
        return self.pipeline.predict_proba(values)[:, 1]

    def described(self, channels: Sequence[str]) -> dict[str, Any]:
        return coefficients(self.pipeline[-1], channels)


class Forest(CellModel):
    """A random forest as `mapping.forest`'s; `importances` are Gini's and add up to 1."""

    def __init__(self, params: dict[str, Any], seed: int, threads: int) -> None:
        self.forest = make_forest({"class_weight": "balanced"} | params, seed, threads)

    def fit(self, values: np.ndarray, slides: np.ndarray, blocks: np.ndarray) -> None:
        self.forest.fit(values, slides)

    def probability(self, values: np.ndarray) -> np.ndarray:
        return self.forest.predict_proba(values)[:, 1]

    def described(self, channels: Sequence[str]) -> dict[str, Any]:
        return {"importances": dict(zip(channels, self.forest.feature_importances_.tolist(), strict=True))}


class StackedGBDT(CellModel):
    """GBDT + LR: gradient-boosted trees whose probability is stacked, beside the standardised factors, into a
    logistic regression.

    The regression learns from out-of-fold probabilities: the cells of a spatial block get theirs from trees
    that saw none of the block. A map gets the probabilities of trees fitted to all training cells. Trees are
    scikit-learn's HistGradientBoostingClassifier, `params` its.
    """

    def __init__(self, params: dict[str, Any], seed: int, threads: int) -> None:
        known = HistGradientBoostingClassifier().get_params()
        for name in params:
            require_known(name, known, "gbdt_lr: parameter")
        self.seed = seed
        self.trees = HistGradientBoostingClassifier(
            **{"class_weight": "balanced", "random_state": seed} | params
        )
        self.regression = logistic_regression({})

    def fit(self, values: np.ndarray, slides: np.ndarray, blocks: np.ndarray) -> None:
        stacked = out_of_fold(self.trees, values, slides, blocks, self.seed)
        self.trees.fit(values, slides)
        self.regression.fit(np.column_stack([stacked, values]), slides)

    def probability(self, values: np.ndarray) -> np.ndarray:
        stacked = self.trees.predict_proba(values)[:, 1]
        return self.regression.predict_proba(np.column_stack([stacked, values]))[:, 1]

    def described(self, channels: Sequence[str]) -> dict[str, Any]:
        return coefficients(self.regression[-1], ["gbdt", *channels])


class LeafGBDT(CellModel):
    """The variant of GBDT + LR in which the regression learns from the leaves that a cell falls into,
    one-hot, instead of a probability.

    Leaves of different trees cannot be compared, so there are no out-of-fold leaves: the trees learn from one
    half of the spatial blocks and the regression from the other (He et al. 2014, section 3.1). Trees are
    scikit-learn's GradientBoostingClassifier, `params` its. He, X. et al. (2014). Practical lessons from
    predicting clicks on ads at Facebook. ADKDD'14. doi:10.1145/2648584.2648589
    """

    def __init__(self, params: dict[str, Any], seed: int, threads: int) -> None:
        known = GradientBoostingClassifier().get_params()
        for name in params:
            require_known(name, known, "gbdt_lr with leaves: parameter")
        self.seed = seed
        self.trees = GradientBoostingClassifier(**{"random_state": seed} | params)
        self.leaves = OneHotEncoder(handle_unknown="ignore")
        self.regression = LogisticRegression(class_weight="balanced", max_iter=MAXIMUM_STEPS)

    def fit(self, values: np.ndarray, slides: np.ndarray, blocks: np.ndarray) -> None:
        for_regression, for_trees = next(
            block_folds(2, self.seed, slides, blocks).split(values, slides, blocks)
        )
        weight = compute_sample_weight("balanced", slides[for_trees])
        self.trees.fit(values[for_trees], slides[for_trees], sample_weight=weight)
        self.leaves.fit(self._leaves(values[for_trees]))
        self.regression.fit(
            self.leaves.transform(self._leaves(values[for_regression])), slides[for_regression]
        )

    def probability(self, values: np.ndarray) -> np.ndarray:
        return self.regression.predict_proba(self.leaves.transform(self._leaves(values)))[:, 1]

    def described(self, channels: Sequence[str]) -> dict[str, Any]:
        return {"importances": dict(zip(channels, self.trees.feature_importances_.tolist(), strict=True))}

    def _leaves(self, values: np.ndarray) -> np.ndarray:
        return self.trees.apply(values)[:, :, 0]


def logistic_regression(params: dict[str, Any]) -> Any:
    for name in params:
        require_known(name, LogisticRegression().get_params(), "logistic_regression: parameter")
    regression = LogisticRegression(**{"class_weight": "balanced", "max_iter": MAXIMUM_STEPS} | params)
    return make_pipeline(StandardScaler(), regression)


def coefficients(regression: LogisticRegression, names: Sequence[str]) -> dict[str, Any]:
    found = dict(zip(names, regression.coef_[0].tolist(), strict=True))
    return {"coefficients": found, "intercept": float(regression.intercept_[0])}


def out_of_fold(
    model: BaseEstimator, values: np.ndarray, slides: np.ndarray, blocks: np.ndarray, seed: int
) -> np.ndarray:
    """Probability (cell) of a landslide by copies of `model` that saw no cell of the cell's block.

    Raises:
        HeadscarpError: landslides, or other cells, lie in one block only.
    """
    folds = block_folds(STACK_FOLDS, seed, slides, blocks)
    return cross_val_predict(model, values, slides, groups=blocks, cv=folds, method="predict_proba")[:, 1]


def block_folds(folds: int, seed: int, slides: np.ndarray, blocks: np.ndarray) -> StratifiedGroupKFold:
    """Folds of whole blocks, as many as asked for or as there are blocks with landslides, and with others."""
    most = min(len(np.unique(blocks[slides])), len(np.unique(blocks[~slides])))
    if most < 2:
        raise HeadscarpError(
            "gbdt_lr: the landslides (or the other cells) to train on lie in one spatial block only, which "
            "cannot be held out from itself; use a site with more landslides or smaller cells.windows"
        )
    return StratifiedGroupKFold(min(folds, most), shuffle=True, random_state=seed)


def gbdt_lr(params: dict[str, Any], seed: int, threads: int) -> CellModel:
    rest = {name: value for name, value in params.items() if name != "leaves"}
    return (LeafGBDT if params.get("leaves", False) else StackedGBDT)(rest, seed, threads)


MODELS = {"gbdt_lr": gbdt_lr, "logistic_regression": Logistic, "cell_forest": Forest}


def fit_cell_model(
    cube_folder: str | Path,
    cells_folder: str | Path,
    run_folder: str | Path,
    out_folder: str | Path,
    spec: dict[str, Any],
    threads: int = 1,
) -> None:
    """Fit a model of single cells to each fold's training cells: `run.json` in `run_folder`,
    `susceptibility.tif` (band k by fold k) and `map.json` in `out_folder`.

    The map is NaN where any factor is.

    Args:
        spec: {network: {name: gbdt_lr, logistic_regression or cell_forest, params: of its scikit-learn class,
            and `leaves: true` for the leaf variant of gbdt_lr}, channels: [names], seed}, as for
            `training.cells.train_cells`.

    Raises:
        HeadscarpError: an unknown model, parameter or channel, a missing file, or landslides in one block
            only (gbdt_lr).
    """
    started, run_folder = time.time(), Path(run_folder)
    cube, cells = open_cube(cube_folder), read_cells(cells_folder)
    name, params, seed = spec["network"]["name"], spec["network"]["params"], spec["seed"]
    make = MODELS[require_known(name, MODELS, "model of cells")]
    models, folds = [], []
    for fold in range(cells.folds):
        began = time.perf_counter()
        model = make(params, seed, threads)
        model.fit(*training_cells(cube, cells, fold, spec["channels"]))
        models.append(model)
        folds.append(model.described(spec["channels"]) | {"seconds": round(time.perf_counter() - began, 3)})
    write_json(
        run_folder / "run.json",
        {
            "spec": spec,
            "seed": seed,
            "protocol": cells.record["protocol"],
            "versions": {
                "scikit-learn": sklearn.__version__,
                "numpy": np.__version__,
                "headscarp": __version__,
            },
            "device": "cpu",
            "threads": threads,
            "cells": cells.record["counts"],
            "folds": folds,
            "seconds": round(sum(fold["seconds"] for fold in folds), 3),
        }
        | run_provenance(started, files_read_by_run(cube_folder, cells_folder)),
    )
    began = time.perf_counter()
    bands = predict_map(models, cube, spec["channels"])
    write_susceptibility(Path(out_folder), bands, cube, name, seed)
    write_map_record(Path(out_folder), time.perf_counter() - began, cube.label.shape, "cpu")


def training_cells(
    cube: Cube, cells: Cells, fold: int, channels: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Factors (cell, factor) float32 of a fold's training cells, whether each is a landslide, and its
    block."""
    chosen = cells.members(fold, "train")
    row, col = cells.row[chosen], cells.col[chosen]
    values = np.stack([cube.values[-1, position, row, col] for position in cube.positions(channels)], axis=1)
    return values, cells.label[chosen] == LANDSLIDE, cells.block[chosen]


def predict_map(models: Sequence[CellModel], cube: Cube, channels: Sequence[str]) -> np.ndarray:
    """Probability (model, row, col) float32 of a landslide at every cell, strip by strip; NaN where a factor
    is."""
    height, width = cube.label.shape
    positions = cube.positions(channels)
    bands = np.full((len(models), height, width), np.nan, np.float32)
    rows = max(1, STRIP_CELLS // width)
    for top in range(0, height, rows):
        values = np.stack([cube.values[-1, position, top : top + rows] for position in positions], axis=-1)
        seen = ~np.isnan(values).any(-1)
        if seen.any():
            for band, model in zip(bands, models, strict=True):
                band[top : top + rows][seen] = model.probability(values[seen])
    return bands
