"""What the columns of a printed table stand for, where that is in doubt: of the landslide class or means over
both classes, and under which heading.

`fit_reading` looks for the confusion matrix that comes nearest to the printed row under each reading.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from headscarp.errors import HeadscarpError
from headscarp.scoring.metric_names import CONFUSION_METRICS
from headscarp.scoring.pixel import Confusion, confusion_metrics
from headscarp.vocabulary import require_known

COLUMNS = ("accuracy", "precision", "recall", "f1", "miou")  # what a printed row may hold
AS_NAMED = {name: name for name in COLUMNS}
# Means over both classes under their names.
MACRO = AS_NAMED | {"precision": "macro_precision", "recall": "macro_recall", "f1": "macro_f1"}
ZOOM_STEPS, ZOOM_SHRINK, ZOOM_POINTS, ZOOM_STARTS = 36, 0.7, 11, 6
LOGIT_REACH = 9.0  # shares and rates down to 1.2e-4 and as near to 1


class Fit(NamedTuple):
    """The confusion matrix, as shares of the evaluated pixels, nearest to a printed row, and its sum of
    absolute errors."""

    error: float
    counts: Confusion

    def metric(self, name: str) -> float:
        """A metric of `pixel.confusion_metrics`, e.g. f1 of the landslide class."""
        return float(confusion_metrics(self.counts)[name])

    @property
    def share(self) -> float:
        """Landslide share of the evaluated pixels."""
        return float(self.counts.tp + self.counts.fn)


def fit_reading(printed: Mapping[str, float], columns: Mapping[str, str]) -> Fit:
    """The confusion matrix with the least sum of absolute errors to the printed numbers of a row under one
    reading of its columns.

    Landslide share (at most one half: means over classes are the same when the classes change places), recall
    and false alarm rate are free; they are sought on a grid of their logits that closes in on each of its
    best points.

    Args:
        printed: {name of the printed column: fraction}. columns: {name of the printed column: metric of
            `pixel.confusion_metrics`}, such as `AS_NAMED`, `MACRO`; columns that it does not
            name are left out.

    Raises:
        HeadscarpError: no printed column is named, or a metric does not exist.
    """
    read = {
        name: require_known(metric, CONFUSION_METRICS, "metric")
        for name, metric in columns.items()
        if name in printed
    }
    if not read:
        raise HeadscarpError(
            f"none of the printed columns ({', '.join(printed)}) has "
            f"a reading ({', '.join(columns)}); name their metrics"
        )
    axis = np.linspace(-1, 1, ZOOM_POINTS)
    offsets = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)

    def errors(logits: np.ndarray) -> np.ndarray:
        found = confusion_metrics(confusion_of(logits))
        return sum(np.abs(found[metric] - printed[name]) for name, metric in read.items())

    # A zoom that starts at the single best point of a coarse grid may miss the valley, so several starts far
    # apart are tried.
    coarse = LOGIT_REACH * offsets - [LOGIT_REACH, 0, 0]
    order = np.argsort(errors(coarse), kind="stable")
    starts: list[np.ndarray] = []
    for point in coarse[order]:
        if all(np.abs(point - other).max() > LOGIT_REACH / 4 for other in starts):
            starts.append(point)
        if len(starts) == ZOOM_STARTS:
            break
    ends = [zoom(errors, start, offsets) for start in starts]
    error, logits = min(ends, key=lambda end: end[0])
    return Fit(error, confusion_of(logits))


def zoom(
    errors: Callable[[np.ndarray], np.ndarray], start: np.ndarray, offsets: np.ndarray
) -> tuple[float, np.ndarray]:
    """Least error and where, on a grid around `start` that shrinks about its best point."""
    best, error, reach = start, float(errors(start[None])[0]), LOGIT_REACH / 2
    for _ in range(ZOOM_STEPS):
        points = best + reach * offsets
        found = errors(points)
        if found.min() < error:
            best, error = points[found.argmin()], float(found.min())
        reach *= ZOOM_SHRINK
    return error, best


def confusion_of(logits: np.ndarray) -> Confusion:
    """Shares by outcome from logits (..., 3) of twice the landslide share, recall and false alarm rate."""
    share, recall, false_alarms = np.moveaxis(1 / (1 + np.exp(-logits)), -1, 0)
    share = share / 2
    tp, fp = share * recall, (1 - share) * false_alarms
    return Confusion(tp, fp, share - tp, 1 - share - fp)


def macro_or_class(printed: Mapping[str, float], macro: Mapping[str, str]) -> dict[str, Fit]:
    """Fits of a printed row when its columns are of the landslide class as named (`class`), and means over
    both classes (`macro`).

    The better one stands first. `macro` says which mean stands under which heading.
    """
    fits = {
        "class": fit_reading(printed, {name: AS_NAMED[name] for name in macro if name in AS_NAMED}),
        "macro": fit_reading(printed, macro),
    }
    return dict(sorted(fits.items(), key=lambda item: item[1].error))
