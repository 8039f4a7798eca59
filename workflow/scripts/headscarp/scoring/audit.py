"""What the numbers of a published table say about each other.

Precision, recall and accuracy of one class fix the whole confusion matrix up to its size: with the landslide
share s of the evaluated pixels, tp = recall s, fp = tp (1 / precision - 1), fn = s - tp, and 1 - accuracy =
fp + fn gives s. Kappa, IoU and mean IoU follow. Every quantity is computed over the range that rounding
leaves to the printed numbers, so a finding is not a matter of a chosen tolerance. All numbers are fractions,
0..1.

Where the columns themselves are in doubt (of the landslide class or means over both classes, and under which
heading) `fit_reading` looks for the confusion matrix that comes nearest to the printed row under each
reading.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from headscarp.errors import HeadscarpError
from headscarp.scoring.pixel import CONFUSION_METRICS, Confusion, confusion_metrics, ratio
from headscarp.vocabulary import require_known

ROUNDING = 0.00005  # half a unit of the last place of 95.83 % and of 0.9583


class Range(NamedTuple):
    """A recomputed quantity: from the printed numbers as they are, and the lowest and highest that rounding
    allows."""

    value: float
    low: float
    high: float


def implied_confusion(precision: np.ndarray, recall: np.ndarray, accuracy: np.ndarray) -> Confusion:
    """Confusion matrix, as shares of the evaluated pixels, that has this precision, recall and accuracy; NaN
    where there is none."""
    share = ratio(1 - np.asarray(accuracy), ratio(recall, precision) - 2 * np.asarray(recall) + 1)
    tp = recall * share
    fp, fn = ratio(tp, precision) - tp, share - tp
    return Confusion(tp, fp, fn, 1 - tp - fp - fn)


def over_rounding(function: Callable[..., np.ndarray], *printed: float, rounding: float = ROUNDING) -> Range:
    """The function at the printed numbers, and its range over the corners of their rounding (it is monotone
    over so small a box)."""
    corners = np.array(list(product(*((value - rounding, value + rounding) for value in printed)))).T
    values = function(*corners)
    return Range(float(function(*printed)), float(np.min(values)), float(np.max(values)))


def implied_share(precision: float, recall: float, accuracy: float, rounding: float = ROUNDING) -> Range:
    """Landslide share of the evaluated pixels, tp + fn."""

    def share(*printed: np.ndarray) -> np.ndarray:
        counts = implied_confusion(*printed)
        return counts.tp + counts.fn

    return over_rounding(share, precision, recall, accuracy, rounding=rounding)


def implied_metric(
    metric: str, precision: float, recall: float, accuracy: float, rounding: float = ROUNDING
) -> Range:
    """Any metric of `pixel.confusion_metrics`, e.g. kappa."""
    return over_rounding(
        lambda *printed: confusion_metrics(implied_confusion(*printed))[metric],
        precision,
        recall,
        accuracy,
        rounding=rounding,
    )


def implied_kappa(precision: float, recall: float, accuracy: float, rounding: float = ROUNDING) -> Range:
    """Cohen's kappa."""
    return implied_metric("kappa", precision, recall, accuracy, rounding)


def implied_miou(precision: float, recall: float, accuracy: float, rounding: float = ROUNDING) -> Range:
    """Mean IoU of landslide and background."""
    return implied_metric("miou", precision, recall, accuracy, rounding)


def implied_f1(precision: float, recall: float, rounding: float = ROUNDING) -> Range:
    """Harmonic mean of precision and recall."""
    return over_rounding(lambda p, r: ratio(2 * p * r, p + r), precision, recall, rounding=rounding)


def implied_iou(f1: float, rounding: float = ROUNDING) -> Range:
    """Landslide IoU, F1 / (2 - F1)."""
    return over_rounding(lambda f: ratio(f, 2 - f), f1, rounding=rounding)


def implied_background_iou(f1: float, miou: float, rounding: float = ROUNDING) -> Range:
    """Background IoU that landslide F1 and the mean IoU of both classes leave over, 2 mIoU - F1 / (2 -
    F1)."""
    return over_rounding(lambda f, m: 2 * m - ratio(f, 2 - f), f1, miou, rounding=rounding)


def implied_omission(dp: float, rounding: float = ROUNDING) -> Range:
    """Omission OE, 1 - DP."""
    return over_rounding(lambda d: 1 - d, dp, rounding=rounding)


def implied_commission(precision: float, rounding: float = ROUNDING) -> Range:
    """Commission CE, 1 - precision of the landslide class, where it counts pixels."""
    return over_rounding(lambda p: 1 - p, precision, rounding=rounding)


def implied_quality(dp: float, ce: float, rounding: float = ROUNDING) -> Range:
    """Quality QP, TP / (TP + FP + FN), from DP = TP / (TP + FN) and CE = FP / (TP + FP)."""
    return over_rounding(lambda d, c: 1 / (1 / d + 1 / (1 - c) - 1), dp, ce, rounding=rounding)


def is_possible(row: Mapping[str, float], rounding: float = ROUNDING) -> bool:
    """Whether some confusion matrix, pooled over all pixels, has the printed numbers of the row."""
    return not any(finding["verdict"] in ("disagrees", "impossible") for finding in audit_row(row, rounding))


class Check(NamedTuple):
    """One check of a row: the printed numbers that it reads, how it recomputes, and the bounds of a possible
    result."""

    name: str
    reads: tuple[str, ...]
    recompute: Callable[..., Range]
    bounds: tuple[float, float] = (-np.inf, np.inf)


# A check that is named after a printed number is compared with it; the others must be possible.
CHECKS = (
    Check("f1", ("precision", "recall"), implied_f1),
    Check("iou", ("f1",), implied_iou),
    Check("landslide_share", ("precision", "recall", "accuracy"), implied_share, (0, 1)),
    Check("kappa", ("precision", "recall", "accuracy"), implied_kappa),
    Check("miou", ("precision", "recall", "accuracy"), implied_miou),
    Check("background_iou", ("f1", "miou"), implied_background_iou, (0, 1)),
    Check("oe", ("dp",), implied_omission),
    Check("ce", ("precision",), implied_commission),
    Check("qp", ("dp", "ce"), implied_quality),
)


def audit_row(row: Mapping[str, float | None], rounding: float = ROUNDING) -> list[dict[str, Any]]:
    """Recompute what a row of a table can tell about itself.

    Args:
        row: `row` (its name) and any of precision, recall, accuracy, f1, iou, miou, kappa, dp, qp, oe, ce as
            fractions.
        rounding: half a unit of the last printed place.

    Returns:
        One finding per check: {row, check, stated, recomputed, low, high, difference (stated - recomputed),
        verdict}. The verdict is
        `agrees` or `disagrees` where the row prints the quantity, `possible` or `impossible` where it does
        not. Whole tables of unknown
        origin are for `scoring.table_audit`.
    """
    printed = {name: value for name, value in row.items() if isinstance(value, (int, float))}
    findings = []
    for check in CHECKS:
        derived = check.bounds != (-np.inf, np.inf)
        if not printed.keys() >= set(check.reads) or not (derived or check.name in printed):
            continue
        result = check.recompute(*(printed[name] for name in check.reads), rounding=rounding)
        stated = printed.get(check.name)
        if not (check.bounds[0] <= result.high and result.low <= check.bounds[1]):
            verdict = "impossible"
        elif stated is None:
            verdict = "possible"
        else:
            verdict = "agrees" if result.low - rounding <= stated <= result.high + rounding else "disagrees"
        findings.append(
            {
                "row": row.get("row"),
                "check": check.name,
                "stated": stated,
                "recomputed": result.value,
                "low": result.low,
                "high": result.high,
                "difference": None if stated is None else stated - result.value,
                "verdict": verdict,
            }
        )
    return findings


def common_share(rows: Iterable[Mapping[str, float]]) -> Range:
    """Landslide share implied by several rows of one table: the median row, and the range over rows of the
    values as printed."""
    shares = [implied_share(row["precision"], row["recall"], row["accuracy"]).value for row in rows]
    return Range(float(np.median(shares)), min(shares), max(shares))


def gains(
    values: Mapping[str, float], proposed: str, enriched: str, baselines: Sequence[str]
) -> list[dict[str, Any]]:
    """What a claimed gain over each baseline is made of.

    Args:
        values: one metric by row of the table, e.g. kappa.
        proposed: row of the proposed network on the baselines' inputs. enriched: the proposed network with
            more inputs.

    Returns:
        Per baseline {baseline, claimed (enriched - baseline), like_for_like (proposed - baseline), inputs
        (enriched - proposed)}.
    """
    return [
        {
            "baseline": baseline,
            "claimed": values[enriched] - values[baseline],
            "like_for_like": values[proposed] - values[baseline],
            "inputs": values[enriched] - values[proposed],
        }
        for baseline in baselines
    ]


COLUMNS = ("accuracy", "precision", "recall", "f1", "miou")  # what a printed row may hold
AS_NAMED = {name: name for name in COLUMNS}
# Means over both classes, under their names and as Zhang et al. 2024 print them in Table 4: pixel accuracy
# under "precision" and macro precision under "accuracy".
MACRO = AS_NAMED | {"precision": "macro_precision", "recall": "macro_recall", "f1": "macro_f1"}
MACRO_SWAPPED = MACRO | {"accuracy": "macro_precision", "precision": "accuracy"}
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
            `pixel.confusion_metrics`}, such as `AS_NAMED`, `MACRO`, `MACRO_SWAPPED`; columns that it does not
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


def macro_or_class(printed: Mapping[str, float], macro: Mapping[str, str] = MACRO) -> dict[str, Fit]:
    """Fits of a printed row when its columns are of the landslide class as named (`class`), and means over
    both classes (`macro`).

    The better one stands first. `macro` says which mean stands under which heading.
    """
    fits = {
        "class": fit_reading(printed, {name: AS_NAMED[name] for name in macro if name in AS_NAMED}),
        "macro": fit_reading(printed, macro),
    }
    return dict(sorted(fits.items(), key=lambda item: item[1].error))


def all_background(share: float) -> dict[str, float]:
    """Confusion metrics of a map without any landslide where `share` of the pixels are landslides; NaN where
    undefined."""
    return {
        name: float(value) for name, value in confusion_metrics(Confusion(0.0, 0.0, share, 1 - share)).items()
    }


def f_beta(precision: float, recall: float, beta: float) -> float:
    """F-score with recall weighted `beta` times as much as precision (van Rijsbergen 1979)."""
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)


def printed_f_score(precision: float, recall: float, alpha: float) -> float:
    """Zhang et al. 2024, Eq. 7 as printed: the denominator weights the sum, so that it is an F-score at alpha
    = 1 only."""
    return (alpha**2 + 1) * precision * recall / (alpha**2 * (precision + recall))
