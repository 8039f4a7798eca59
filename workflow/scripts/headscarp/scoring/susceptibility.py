"""The score of susceptibility models on labelled cells: scores.json, counts.npz and predictions.npz of a
run."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from headscarp.arrays import write_arrays
from headscarp.codes import LANDSLIDE, TUNED, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.samples.cell_table import Cells
from headscarp.scoring.metric_names import FOLD_METRICS, RANKING
from headscarp.scoring.pixel import ranking_counts, ranking_metrics, to_python
from headscarp.scoring.score import PUBLISHED_THRESHOLD, score_pixels, tuned_threshold, write_scores


def score_cells(
    susceptibility: np.ndarray, cells: Cells, seed: int, converged: bool = True
) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Score susceptibility on the test cells of all folds together, each by the model of its fold.

    `published` and `as_released` call cells landslides at 0.5; `blocked` and `temporal` at the one threshold
    of highest F1 on the validation cells of all folds.

    Args:
        susceptibility: (fold, row, col) probability of landslide by the model of each fold; NaN where its
            windows are incomplete.
        cells: label is 1 at landslides; truth is 1 or 0, or 255 where unknown. seed: of the bootstrap, which
            draws blocks of cells. converged: whether training reached its plateau.

    Returns:
        scores: the record of scores.json. Metrics are fractions, None where undefined; `n_pixels` counts test
            cells; `metrics` are of all folds together, but `fold_auc` and `fold_average_precision`, the means
            over folds; `truth` holds {auc, average_precision} against the true landslides, which the labels
            may miss, or None where no truth is known.
        histograms: what `histograms.CellHistograms` keeps of the test cells by block.
        predictions: row, col, label, truth, block, fold, probability (float32), predicted (uint8) of the test
        cells by fold, row, column.

    Raises:
        HeadscarpError: there are not as many maps as folds, a cell lies outside the map, there is no test
            cell (or no validation cell to choose the threshold on), or a cell has no probability.
    """
    started = time.perf_counter()
    check_grid(susceptibility, cells)
    tested = cells_of(susceptibility, cells, "test")
    probability, label = tested["probability"], tested["label"] == LANDSLIDE
    threshold, notes = PUBLISHED_THRESHOLD, []
    if cells.record["protocol"] in TUNED:
        tuning = cells_of(susceptibility, cells, "validation")
        threshold, notes = tuned_threshold(
            tuning["probability"], tuning["label"] == LANDSLIDE, "validation cells have"
        )
    scores, histograms = score_pixels(
        probability,
        label,
        tested["block"],
        threshold,
        cells.record["protocol"],
        cells.record["data"],
        seed,
        cells.record["fold"],
    )
    notes += empty_folds(tested, len(susceptibility))
    scores |= {
        "converged": converged,
        "metrics": scores["metrics"] | fold_means(tested),
        "objects": None,
        "size_recall": [],
        "notes": notes,
        "truth": truth_scores(probability, tested["truth"]),
    }
    predictions = tested | {"predicted": (probability >= threshold).astype(np.uint8)}
    return scores | {"seconds": round(time.perf_counter() - started, 3)}, histograms, predictions


def check_grid(susceptibility: np.ndarray, cells: Cells) -> None:
    folds, *shape = susceptibility.shape
    if folds != cells.folds:
        raise HeadscarpError(
            f"susceptibility.tif has {folds} bands but cells.npz "
            f"{cells.folds} folds; make the cells, the run and its map again"
        )
    if (
        (cells.row.max() >= shape[0])
        or (cells.col.max() >= shape[1])
        or min(cells.row.min(), cells.col.min()) < 0
    ):
        raise HeadscarpError(
            f"cells.npz holds cells outside the map of {shape[0]} x {shape[1]} cells in susceptibility.tif; "
            "make the cube, the cells and the map of this site again"
        )


def cells_of(susceptibility: np.ndarray, cells: Cells, name: str) -> dict[str, np.ndarray]:
    """The cells of the subset `name` in all folds, by fold, row and column: row, col, label, truth, block,
    fold, probability.

    Raises:
        HeadscarpError: no fold has any, or some have no probability.
    """
    members = [cells.members(fold, name) for fold in range(cells.folds)]
    if not np.any(members):
        raise HeadscarpError(
            f"cells.npz has no {name} cell in any fold; take fewer folds, smaller blocks or more cells"
        )
    found = []
    for fold, mask in enumerate(members):
        member = np.flatnonzero(mask)
        member = member[np.lexsort((cells.col[member], cells.row[member]))]
        chosen = {key: getattr(cells, key)[member] for key in ("row", "col", "label", "truth", "block")}
        probability = susceptibility[fold, chosen["row"], chosen["col"]].astype(np.float32)
        missing = int(np.isnan(probability).sum())
        if missing:
            raise HeadscarpError(
                f"{missing} of {member.size} {name} cells of fold {fold} have no probability "
                "(NaN) in susceptibility.tif; cells are sampled where every window is "
                "complete: make the cells and the map again with the same windows and channels"
            )
        found.append(chosen | {"fold": np.full(member.size, fold, np.uint8), "probability": probability})
    return {key: np.concatenate([subset[key] for subset in found]) for key in found[0]}


def empty_folds(tested: Mapping[str, np.ndarray], folds: int) -> list[str]:
    """Notes on test cells without landslide, of all folds or of one."""
    label = tested["label"] == LANDSLIDE
    if not label.any():
        return ["the test cells have no landslide: nothing to score"]
    empty = [str(fold) for fold in range(folds) if not label[tested["fold"] == fold].any()]
    return (
        [f"the test cells of fold {', '.join(empty)} have no landslide; scores are of all folds together"]
        if empty
        else []
    )


def fold_means(tested: Mapping[str, np.ndarray]) -> dict[str, float | None]:
    """`metric_names.FOLD_METRICS`: AUC and average precision of each fold's test cells, averaged over the
    folds with landslides and others. Models of different folds may answer at different levels, which costs
    the scores of all folds together and not these."""
    found = []
    for fold in np.unique(tested["fold"]):
        chosen = tested["fold"] == fold
        label = tested["label"][chosen] == LANDSLIDE
        if label.any() and not label.all():
            found.append(ranking_metrics(*ranking_counts(tested["probability"][chosen], label)))
    return to_python(
        {
            of_folds: np.float64(np.mean([one[name] for one in found]) if found else np.nan)
            for of_folds, name in zip(FOLD_METRICS, RANKING, strict=True)
        }
    )


def truth_scores(probability: np.ndarray, truth: np.ndarray) -> dict[str, float | None] | None:
    """AUC and average precision against the true landslides on the cells where they are known."""
    known = truth != UNMAPPED
    if not known.any():
        return None
    metrics = ranking_metrics(*ranking_counts(probability[known], truth[known] == LANDSLIDE))
    return to_python({name: metrics[name] for name in RANKING})


def write_cell_scores(
    folder: str | Path,
    scores: dict[str, Any],
    histograms: dict[str, np.ndarray],
    predictions: dict[str, np.ndarray],
) -> None:
    """Write scores.json, counts.npz and predictions.npz into the folder of a map, atomically."""
    write_arrays(Path(folder) / "predictions.npz", predictions)
    write_scores(folder, scores, histograms)
