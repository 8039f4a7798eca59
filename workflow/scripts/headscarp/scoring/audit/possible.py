"""Whether any confusion matrix has the numbers of a printed row: a search that proves it where there is none.

A confusion matrix of two classes, up to its size, is three numbers: the landslide share s of the evaluated
pixels, recall r, and false alarms t per landslide pixel (tp = s r, fn = s (1 - r), fp = s t, tn = 1 - s (1 +
t)). Every metric but the weighted means rises with r, falls with t and falls with s (precision, recall, F1
and IoU do not change with s). So the values that a metric takes over a box of (r, t, s) lie between those at
two of its corners, and a box in which some printed number, give or take its rounding, cannot be met is thrown
away whole. Boxes are halved until none is left, which proves that the row is impossible, or one meets every
number. Where the search ends without either, the row counts as possible: an impossible row is never a matter
of chance, tolerance or a search that stopped too soon.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from headscarp.errors import HeadscarpError
from headscarp.vocabulary import require_known

SLACK = 0.125  # a box is met when all of it lies within the printed range and this part of the rounding
MOST_FALSE_ALARMS_PER_SLIDE = 1e9  # most false alarms per landslide pixel
BATCH = 256  # boxes at a time
MOST_BOXES_SEARCHED, MOST_BOXES_FOR_RANGES = (
    20_000,
    6_000,
)  # boxes after which a search for one matrix, and for the range of all, ends
WEIGHTED = ("weighted_precision", "weighted_f1", "weighted_iou")
MONOTONE = (
    "accuracy",
    "precision",
    "recall",
    "f1",
    "iou",
    "specificity",
    "miou",
    "kappa",
    "macro_precision",
    "macro_recall",
    "macro_f1",
    "macro_f1_of_means",
)
QUANTITIES = (*MONOTONE, *WEIGHTED)
MEANS = (
    ("miou", "iou", "background_iou"),
    ("macro_precision", "precision", "background_precision"),
    ("macro_recall", "recall", "specificity"),
    ("macro_f1", "f1", "background_f1"),
)
# Corners of a box, upper end or not by r, w and s: those of the lowest and the highest metrics, and three
# next to each.
EXTREMES = np.array([[False, True, True], [True, False, False]])
BESIDE_LOWEST, BESIDE_HIGHEST = (corner ^ np.eye(3, dtype=bool) for corner in EXTREMES)


class Printed(NamedTuple):
    """A printed number of a row: its column, the metric (one of `QUANTITIES`) that it is read as, and its
    range before rounding."""

    column: str
    metric: str
    low: float
    high: float


class Boxes(NamedTuple):
    """Boxes of (recall, false alarms t as t / (1 + t), landslide share): lower and upper corners, each (n,
    3)."""

    low: np.ndarray
    high: np.ndarray

    def __getitem__(self, chosen) -> "Boxes":
        return Boxes(self.low[chosen], self.high[chosen])


def metrics_of(r: np.ndarray, w: np.ndarray, s: np.ndarray) -> dict[str, np.ndarray]:
    """All metrics, and precision, F1 and IoU of the background, at recall r, w = t / (1 + t) and share s,
    arrays of one shape.

    Where false alarms are more than there is background, that is cut to 0, and kappa, which has no such
    limit, is -1. Of a class that is never predicted the precision is 0 (landslides) or 1 (background).
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.minimum(w / (1 - w), MOST_FALSE_ALARMS_PER_SLIDE)
        background = np.maximum(1 - s * (1 + t), 0)
        found = {
            "accuracy": 1 - s * (1 - r + t),
            "precision": filled(r / (r + t), 0),
            "recall": r,
            "f1": 2 * r / (r + 1 + t),
            "iou": r / (1 + t),
            "specificity": filled(background / (1 - s), 0),
            "background_precision": filled(background / (background + s * (1 - r)), 1),
            "background_iou": filled(background / (1 - s * r), 0),
            "kappa": np.where(
                background > 0, filled(2 * (r - s * (r + t)) / (1 + (r + t) * (1 - 2 * s)), -1), -1
            ),
        }
        found["background_f1"] = 2 * found["background_iou"] / (1 + found["background_iou"])
        for metric, of_landslides, of_background in MEANS:
            found[metric] = (found[of_landslides] + found[of_background]) / 2
        p, q = found["macro_precision"], found["macro_recall"]
        found["macro_f1_of_means"] = filled(2 * p * q / (p + q), 0)
    return found | {
        f"weighted_{name}": s * found[name] + (1 - s) * found[f"background_{name}"]
        for name in ("precision", "f1", "iou")
    }


def filled(values: np.ndarray, value: float) -> np.ndarray:
    """The array with `value` in place of 0 / 0."""
    return np.where(np.isnan(values), value, values)


def at_corners(boxes: Boxes, corners: np.ndarray) -> dict[str, np.ndarray]:
    """Metrics (corners, n) at corners of boxes; each corner (3,) says for r, w and s whether it is the upper
    end."""
    points = np.where(corners[:, None, :], boxes.high, boxes.low)
    return metrics_of(*np.moveaxis(points, -1, 0))


def enclosures(boxes: Boxes) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Lowest and highest value of every metric over each box, each (n,); those of weighted means may be wider
    than the truth."""
    found = at_corners(boxes, EXTREMES)
    low, high = ({name: values[end] for name, values in found.items()} for end in (0, 1))
    shares = boxes.low[:, 2], boxes.high[:, 2]
    for name in ("precision", "f1", "iou"):
        low[f"weighted_{name}"] = np.minimum(
            *(s * low[name] + (1 - s) * low[f"background_{name}"] for s in shares)
        )
        high[f"weighted_{name}"] = np.maximum(
            *(s * high[name] + (1 - s) * high[f"background_{name}"] for s in shares)
        )
    return low, high


def classify_boxes(boxes: Boxes, printed: Sequence[Printed]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes that may meet all printed numbers and those that do so throughout, both (n,) boolean, and how far
    each box reaches beyond."""
    low, high = enclosures(boxes)
    may = boxes.low[:, 2] <= 1 - boxes.low[:, 1]  # s (1 + t) <= 1: false alarms are background
    beyond = np.zeros(len(may))
    for number in printed:
        unit = (number.high - number.low) / 2
        may &= (high[number.metric] >= number.low) & (low[number.metric] <= number.high)
        beyond = np.maximum(
            beyond, np.maximum(number.low - low[number.metric], high[number.metric] - number.high) / unit
        )
    return may, may & (beyond <= SLACK), beyond


def bisected(boxes: Boxes, printed: Sequence[Printed]) -> Boxes:
    """Both halves of each box, (2 n, 3), cut along the side that matters most to the printed numbers."""
    width = boxes.high - boxes.low
    matters = 1e-9 * width  # ties go to the longest side
    found = at_corners(boxes, np.concatenate([EXTREMES, BESIDE_LOWEST, BESIDE_HIGHEST]))
    for number in printed:
        values = found[number.metric]
        change = np.maximum(np.abs(values[2:5] - values[0]), np.abs(values[5:8] - values[1])).T
        matters = np.maximum(matters, change / (number.high - number.low))
    # A metric may jump where one class vanishes; a side must not grow thin without end for that.
    rows, side = np.arange(len(width)), (matters * width**0.1).argmax(axis=1)
    middle = (boxes.low[rows, side] + boxes.high[rows, side]) / 2
    first_high, second_low = boxes.high.copy(), boxes.low.copy()
    first_high[rows, side] = second_low[rows, side] = middle
    return Boxes(np.concatenate([boxes.low, second_low]), np.concatenate([first_high, boxes.high]))


def whole_space(most_share: float) -> Boxes:
    """The box of all confusion matrices whose landslide share is at most `most_share`."""
    return Boxes(np.zeros((1, 3)), np.array([[1.0, 1.0, most_share]]))


def is_possible(printed: Sequence[Printed], most_share: float = 1.0) -> bool:
    """Whether some confusion matrix may have all printed numbers; False is proved.

    Raises:
        HeadscarpError: a metric does not exist.
    """
    for number in printed:
        require_known(number.metric, QUANTITIES, "metric")
        if not number.low < number.high:
            raise HeadscarpError(
                f"column '{number.column}' leaves no room for rounding "
                f"({number.low} to {number.high}); give its printed digits"
            )
    waiting, seen = whole_space(most_share), 0
    while len(waiting.low) and seen < MOST_BOXES_SEARCHED:
        rest, children = waiting[:-BATCH], bisected(waiting[-BATCH:], printed)
        seen += len(children.low)
        may, met, beyond = classify_boxes(children, printed)
        if met.any():
            return True
        # The most promising wait last and are taken first.
        order = np.flatnonzero(may)
        children = children[order[np.argsort(-beyond[order], kind="stable")]]
        waiting = Boxes(np.concatenate([rest.low, children.low]), np.concatenate([rest.high, children.high]))
    return bool(len(waiting.low))


def ranges(
    printed: Sequence[Printed], metrics: Sequence[str], most_share: float = 1.0
) -> dict[str, tuple[float, float]] | None:
    """Range of metrics (and of `share`) over all confusion matrices that have the printed numbers; None where
    there are none.

    The true range lies within; it is wider than that where printed numbers leave much open.
    """
    waiting, met, seen = whole_space(most_share), [], 0
    while len(waiting.low) and seen < MOST_BOXES_FOR_RANGES:
        seen += len(waiting.low)
        may, done, _ = classify_boxes(waiting, printed)
        met.append(waiting[may & done])
        waiting = bisected(waiting[may & ~done], printed)
    met.append(waiting[classify_boxes(waiting, printed)[0]])
    boxes = Boxes(*(np.concatenate(corners) for corners in zip(*met, strict=True)))
    if not len(boxes.low):
        return None
    low, high = enclosures(boxes)
    low["share"], high["share"] = boxes.low[:, 2], boxes.high[:, 2]
    return {metric: (float(low[metric].min()), float(high[metric].max())) for metric in metrics}
