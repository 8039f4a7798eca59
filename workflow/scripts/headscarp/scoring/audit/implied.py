"""What the numbers of a published table say about each other.

Precision, recall and accuracy of one class fix the whole confusion matrix up to its size: with the landslide
share s of the evaluated pixels, tp = recall s, fp = tp (1 / precision - 1), fn = s - tp, and 1 - accuracy =
fp + fn gives s. Kappa, IoU and mean IoU follow. Every quantity is computed over the range that rounding
leaves to the printed numbers, so a finding is not a matter of a chosen tolerance. All numbers are fractions,
0..1.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from headscarp.scoring.pixel import Confusion, confusion_metrics, ratio

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


def is_possible_row(row: Mapping[str, float], rounding: float = ROUNDING) -> bool:
    """Whether some confusion matrix, pooled over all pixels, has the printed numbers of the row."""
    return not any(found["verdict"] in ("disagrees", "impossible") for found in audit_row(row, rounding))


class Identity(NamedTuple):
    """A quantity of a row that follows from others: the printed numbers that it reads, how it is recomputed,
    and the bounds of a possible result."""

    name: str
    reads: tuple[str, ...]
    recompute: Callable[..., Range]
    bounds: tuple[float, float] = (-np.inf, np.inf)


# An identity that is named after a printed number is compared with it; the others must be possible.
IDENTITIES = (
    Identity("f1", ("precision", "recall"), implied_f1),
    Identity("iou", ("f1",), implied_iou),
    Identity("landslide_share", ("precision", "recall", "accuracy"), implied_share, (0, 1)),
    Identity("kappa", ("precision", "recall", "accuracy"), implied_kappa),
    Identity("miou", ("precision", "recall", "accuracy"), implied_miou),
    Identity("background_iou", ("f1", "miou"), implied_background_iou, (0, 1)),
    Identity("oe", ("dp",), implied_omission),
    Identity("ce", ("precision",), implied_commission),
    Identity("qp", ("dp", "ce"), implied_quality),
)


def audit_row(row: Mapping[str, float | None], rounding: float = ROUNDING) -> list[dict[str, Any]]:
    """Recompute what a row of a table can tell about itself.

    Args:
        row: `row` (its name) and any of precision, recall, accuracy, f1, iou, miou, kappa, dp, qp, oe, ce as
            fractions.
        rounding: half a unit of the last printed place.

    Returns:
        One finding per identity: {row, quantity, stated, recomputed, low, high, difference (stated -
        recomputed), verdict}. The verdict is `agrees` or `disagrees` where the row prints the quantity,
        `possible` or `impossible` where it does not. Whole tables of unknown origin are for `scores`.
    """
    printed = {name: value for name, value in row.items() if isinstance(value, (int, float))}
    findings = []
    for identity in IDENTITIES:
        derived = identity.bounds != (-np.inf, np.inf)
        if not printed.keys() >= set(identity.reads) or not (derived or identity.name in printed):
            continue
        result = identity.recompute(*(printed[name] for name in identity.reads), rounding=rounding)
        stated = printed.get(identity.name)
        if not (identity.bounds[0] <= result.high and result.low <= identity.bounds[1]):
            verdict = "impossible"
        elif stated is None:
            verdict = "possible"
        else:
            verdict = "agrees" if result.low - rounding <= stated <= result.high + rounding else "disagrees"
        findings.append(
            {
                "row": row.get("row"),
                "quantity": identity.name,
                "stated": stated,
                "recomputed": result.value,
                "low": result.low,
                "high": result.high,
                "difference": None if stated is None else stated - result.value,
                "verdict": verdict,
            }
        )
    return findings


def rounding_of(places: int) -> float:
    """Half a unit of the last place of fractions that are printed with so many decimal places."""
    return 0.5 * 10.0**-places


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
