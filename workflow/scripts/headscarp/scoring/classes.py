"""Scores of maps of several classes from confusion matrices: rows are the truth, columns the map, both in the
order of the codes.

Precision, recall and F1 of a class are those of scikit-learn, as are overall accuracy (OA) and kappa (Cohen
1960); the G-mean is the geometric mean of the recalls (Kubat and Matwin 1997; imbalanced-learn). A class that
the truth lacks has no part in the means. A class that the truth has and the map lacks has no precision, F1 0
and recall 0.

Where labels tell classes in part (code 254: no landslide, class not told), a matrix has one more row for that
ground. What is mapped there as a landslide is commission of landslides; to all other classes, and to overall
accuracy and kappa, that ground is unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headscarp.arrays import read_arrays
from headscarp.codes import LAND_COVER_KEYS, LANDSLIDE, NOT_LANDSLIDE
from headscarp.errors import HeadscarpError
from headscarp.files import read_json
from headscarp.scoring.extraction import extraction_metrics
from headscarp.scoring.metric_names import CLASS_METRICS, OVERALL_METRICS
from headscarp.scoring.pixel import ratio, to_python


def cell_confusions(truth: np.ndarray, predicted: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Confusion matrices (cells, classes, classes) int32 of flat arrays of codes, in ascending order of cell
    id; (cells, classes + 1, classes) where the truth tells classes in part.

    Raises:
        HeadscarpError: a code has no class.
    """
    count = len(LAND_COVER_KEYS)
    in_part = truth == NOT_LANDSLIDE
    rows = count + int(in_part.any())
    for what, codes in (("labels", truth[~in_part]), ("map", predicted)):
        unknown = np.unique(codes[codes >= count])
        if unknown.size:
            raise HeadscarpError(
                f"the {what} hold {', '.join(map(str, unknown))} in the evaluated region, which is "
                f"no class: codes are 0 to {count - 1} ({', '.join(LAND_COVER_KEYS.values())}); "
                "check the classes of the site's labels, make the samples and map the site again"
            )
    ids, index = np.unique(cell, return_inverse=True)
    flat = (index * rows + np.where(in_part, count, truth)) * count + predicted
    counts = np.bincount(flat, minlength=len(ids) * rows * count)
    return counts.reshape(len(ids), rows, count).astype(np.int32)


def confusion_scores(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """precision, recall, f1 and iou (..., classes), and mean_recall, mean_f1, g_mean, oa and kappa (...), of
    matrices (..., classes, classes) of counts, or with one more row of ground that is no landslide; NaN where
    undefined."""
    table = np.asarray(confusion, float)
    confusion = told_rows(table)
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    true, mapped, n = confusion.sum(axis=-1), confusion.sum(axis=-2), confusion.sum(axis=(-2, -1))
    oa, by_chance = ratio(right.sum(axis=-1), n), ratio((true * mapped).sum(axis=-1), n**2)
    mapped[..., LANDSLIDE] = table[..., LANDSLIDE].sum(axis=-1)
    present = true > 0
    recall, f1 = ratio(right, true), ratio(2 * right, true + mapped)
    with np.errstate(divide="ignore"):
        logarithm = np.log(np.where(present, recall, 1.0))
    classes = present.sum(axis=-1)
    return {
        "precision": ratio(right, mapped),
        "recall": recall,
        "f1": f1,
        "iou": ratio(right, true + mapped - right),
        "mean_recall": ratio(np.where(present, recall, 0.0).sum(axis=-1), classes),
        "mean_f1": ratio(np.where(present, f1, 0.0).sum(axis=-1), classes),
        "g_mean": np.where(classes > 0, np.exp(ratio(logarithm.sum(axis=-1), classes)), np.nan),
        "oa": oa,
        "kappa": ratio(oa - by_chance, 1 - by_chance),
    }


def told_rows(confusion: np.ndarray) -> np.ndarray:
    """The square part (..., classes, classes) of matrices: the ground whose class is told."""
    return confusion[..., : confusion.shape[-1], :]


def flat_metrics(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Metrics (...) of matrices (..., classes, classes) by one name each: `landslide_precision`, ..., those
    of all classes, and dp, qp, oe and ce of the landslides."""
    scores = confusion_scores(confusion)
    of_classes = {
        f"{name}_{metric}": scores[metric][..., code]
        for code, name in LAND_COVER_KEYS.items()
        for metric in CLASS_METRICS
    }
    return (
        of_classes
        | {metric: scores[metric] for metric in OVERALL_METRICS}
        | extraction_metrics(*landslide_outcomes(confusion))
    )


def landslide_outcomes(confusion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Landslide pixels found, taken for landslides wrongly, and missed (...), of matrices (..., classes,
    classes), or with one more row."""
    found = confusion[..., LANDSLIDE, LANDSLIDE]
    return (
        found,
        confusion[..., :, LANDSLIDE].sum(axis=-1) - found,
        confusion[..., LANDSLIDE, :].sum(axis=-1) - found,
    )


@dataclass(frozen=True)
class CellConfusions:
    """One run: confusion matrices (cells, classes, classes), or with one more row, of its spatial cells, as
    `bootstrap.ScoredCells`."""

    confusion: np.ndarray
    fold: int = 0

    @classmethod
    def pooled(cls, parts: Sequence["CellConfusions"]) -> "CellConfusions":
        rows = max(part.confusion.shape[1] for part in parts)
        return cls(
            np.concatenate(
                [
                    np.pad(part.confusion, ((0, 0), (0, rows - part.confusion.shape[1]), (0, 0)))
                    for part in parts
                ]
            )
        )

    @property
    def per_cell(self) -> np.ndarray:
        """Pixels (cells, classes) by true class."""
        return self.confusion.sum(axis=-1)

    def metrics(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Metrics of `flat_metrics` (...) with weights (..., cells) of the cells."""
        return flat_metrics(np.tensordot(weights, self.confusion.astype(float), axes=1))


def classes_record(confusion: np.ndarray) -> dict[str, Any]:
    """The part `classes` of scores.json, from one matrix (classes, classes), or with one more row; None where
    undefined."""
    scores = confusion_scores(confusion)
    per_class = {
        str(code): to_python({metric: scores[metric][code] for metric in CLASS_METRICS})
        for code in LAND_COVER_KEYS
    }
    overall = to_python({metric: scores[metric] for metric in OVERALL_METRICS})
    return {"confusion": np.asarray(confusion).tolist(), "per_class": per_class, **overall}


def absence_notes(confusion: np.ndarray) -> list[str]:
    """A note for each class that the truth of one matrix lacks."""
    told = told_rows(np.asarray(confusion))
    absent = [LAND_COVER_KEYS[code] for code in np.flatnonzero(told.sum(axis=1) == 0)]
    return (
        [f"the evaluated region has no {', '.join(absent)}: left out of the means over classes"]
        if absent
        else []
    )


def read_cell_confusions(folder: str | Path) -> CellConfusions:
    """Confusion matrices of a scored map of several classes, from its counts.npz.

    Raises:
        HeadscarpError: the run has none, or it is damaged.
    """
    path = Path(folder) / "counts.npz"
    if not path.exists():
        raise HeadscarpError(f"{path} does not exist; score the run again")
    counts = read_arrays(path)
    if "confusion" not in counts:
        raise HeadscarpError(f"{path} tells no classes apart; take a run of several classes")
    return CellConfusions(counts["confusion"], read_json(Path(folder) / "scores.json")["fold"])
