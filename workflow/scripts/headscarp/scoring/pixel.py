"""Pixel metrics of the landslide class, and the means over both classes (macro) that some papers print.

All formulas work on arrays as well as on single numbers, so that whole maps, histograms and thousands of
bootstrap draws share them. An undefined metric is NaN inside the library and None in a record (`to_python`),
never a silent 0.
"""

from typing import NamedTuple

import numpy as np

from headscarp.scoring.metric_names import MACRO_METRICS

CALIBRATION_BINS = 15
CROWD_REACH, CROWD_STEP = 0.02, 0.1


class Confusion(NamedTuple):
    """Pixels by outcome: landslide found, false alarm, landslide missed, background left alone. Numbers or
    arrays of one shape."""

    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray
    tn: np.ndarray


def confusion(prediction: np.ndarray, truth: np.ndarray) -> Confusion:
    """Outcomes of boolean predictions against boolean truth of the same shape."""
    tp = np.count_nonzero(prediction & truth)
    fp = np.count_nonzero(prediction) - tp
    fn = np.count_nonzero(truth) - tp
    return Confusion(*(np.float64(count) for count in (tp, fp, fn, truth.size - tp - fp - fn)))


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient, NaN where the denominator is 0."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    return np.divide(numerator, denominator, out=np.full(denominator.shape, np.nan), where=denominator != 0)


def confusion_metrics(counts: Confusion) -> dict[str, np.ndarray]:
    """Accuracy, precision, recall, F1, kappa (Cohen 1960), IoU, mean IoU of both classes, Matthews
    correlation coefficient, macro means."""
    tp, fp, fn, tn = (np.asarray(count, float) for count in counts)
    n = tp + fp + fn + tn
    accuracy = ratio(tp + tn, n)
    by_chance = ratio((tp + fp) * (tp + fn) + (tn + fn) * (tn + fp), n**2)
    iou = ratio(tp, tp + fp + fn)
    return {
        "accuracy": accuracy,
        "precision": ratio(tp, tp + fp),
        "recall": ratio(tp, tp + fn),
        "f1": ratio(2 * tp, 2 * tp + fp + fn),
        "kappa": ratio(accuracy - by_chance, 1 - by_chance),
        "iou": iou,
        "miou": (iou + ratio(tn, tn + fp + fn)) / 2,
        "mcc": ratio(tp * tn - fp * fn, np.sqrt((tp + fp) * (tp + fn)) * np.sqrt((tn + fp) * (tn + fn))),
    } | macro_metrics(tp, fp, fn, tn)


def macro_metrics(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, tn: np.ndarray) -> dict[str, np.ndarray]:
    """Means over landslide and background of precision, recall and F1.

    A class that is never predicted counts with precision 0, as in scikit-learn and Keras: a map without any
    landslide has a macro precision of about one half, and papers print that. NaN where the truth holds one
    class only.
    """
    both = (tp + fn > 0) & (fp + tn > 0)
    of_landslides = ratio(tp, tp + fp), ratio(tp, tp + fn), ratio(2 * tp, 2 * tp + fp + fn)
    of_background = ratio(tn, tn + fn), ratio(tn, tn + fp), ratio(2 * tn, 2 * tn + fp + fn)
    means = (
        (np.nan_to_num(one) + np.nan_to_num(other)) / 2
        for one, other in zip(of_landslides, of_background, strict=True)
    )
    return {name: np.where(both, mean, np.nan) for name, mean in zip(MACRO_METRICS, means, strict=True)}


def ranking_metrics(tp: np.ndarray, fp: np.ndarray) -> dict[str, np.ndarray]:
    """Average precision (sum of precision times step in recall) and area under the ROC curve (trapezoids).

    Args:
        tp, fp: (..., thresholds) landslide and background pixels at or above each threshold, from the highest
            to the lowest, which all pixels reach.
    """
    step = np.diff(tp, axis=-1, prepend=0)
    fp_step = np.diff(fp, axis=-1, prepend=0)
    precision = np.divide(tp, tp + fp, out=np.zeros(tp.shape), where=tp + fp > 0)
    positives, negatives = tp[..., -1], fp[..., -1]
    return {
        "average_precision": ratio((precision * step).sum(axis=-1), positives),
        "auc": ratio((fp_step * (tp - step / 2)).sum(axis=-1), positives * negatives),
    }


def ranking_counts(probability: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Landslide and background pixels at or above each distinct probability, highest first, of flat
    arrays."""
    order = np.argsort(-probability, kind="stable")
    ranked = truth[order]
    last = np.append(np.flatnonzero(np.diff(probability[order])), len(order) - 1)
    tp = np.cumsum(ranked, dtype=np.float64)[last]
    return tp, last + 1.0 - tp


def expected_calibration_error(probability: np.ndarray, truth: np.ndarray) -> float:
    """Mean over pixels of |mean probability - landslide share| in 15 equal-width bins of probability (Naeini
    et al. 2015)."""
    bins = np.minimum((probability.astype(np.float64) * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    predicted, observed = (
        np.bincount(bins, weights=values, minlength=CALIBRATION_BINS) for values in (probability, truth)
    )
    return float(np.abs(predicted - observed).sum() / len(probability))


def pixel_metrics(probability: np.ndarray, truth: np.ndarray, threshold: float) -> dict[str, float | None]:
    """All pixel metrics of flat arrays: probabilities 0..1 and boolean truth; landslide is predicted at
    `threshold` and above."""
    metrics = confusion_metrics(confusion(probability >= threshold, truth))
    metrics |= ranking_metrics(*ranking_counts(probability, truth))
    metrics["brier"] = np.mean((probability.astype(np.float64) - truth) ** 2)
    metrics["ece"] = expected_calibration_error(probability, truth)
    return to_python(metrics)


def to_python(metrics: dict[str, np.ndarray]) -> dict[str, float | None]:
    """Python numbers for a record, with None for NaN."""
    return {name: None if np.isnan(value) else float(value) for name, value in metrics.items()}


def crowds_at(threshold: float, probability: np.ndarray, truth: np.ndarray) -> bool:
    """Whether so many probabilities (flat arrays) lie near the threshold that its F1 hangs on their last
    digits: a threshold CROWD_REACH higher or lower moves it by more than CROWD_STEP."""
    f1 = [
        confusion_metrics(confusion(probability >= threshold + shift, truth))["f1"]
        for shift in (-CROWD_REACH, 0.0, CROWD_REACH)
    ]
    return bool(np.nanmax(f1, initial=0.0) - np.nanmin(f1, initial=1.0) > CROWD_STEP)


def best_threshold(probability: np.ndarray, truth: np.ndarray) -> float | None:
    """The threshold of highest F1 on flat arrays, midway between two probabilities that occur; of equally
    good ones the nearest to 0.5; None without landslides."""
    if not truth.any():
        return None
    tp, fp = ranking_counts(probability, truth)
    levels = np.unique(probability)[::-1].astype(np.float64)
    midway = np.append((levels[:-1] + levels[1:]) / 2, levels[-1])
    f1 = 2 * tp / (tp + fp + np.count_nonzero(truth))
    best = midway[f1 == f1.max()]
    return float(np.float32(best[np.argmin(np.abs(best - 0.5))]))
