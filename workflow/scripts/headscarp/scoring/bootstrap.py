"""Block bootstrap of all pixel metrics from counts in spatial cells, such as histograms of probability.

Neighbouring pixels are not independent, so squares of one window are drawn with replacement, not pixels
(block bootstrap, Künsch 1989); what differs between seeds is joined to that in `chance`. Everything is a
product of weights and histograms, so a thousand draws take a moment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from headscarp.arrays import read_arrays
from headscarp.errors import HeadscarpError
from headscarp.files import read_json
from headscarp.scoring.chance import Estimate, estimate
from headscarp.scoring.pixel import (
    BINS,
    CALIBRATION_BINS,
    Confusion,
    confusion_metrics,
    probability_bins,
    ranking_metrics,
    ratio,
)

DRAWS = 1000
DRAWS_AT_ONCE = 200  # bounds the memory of the weights
PERCENTILES = (2.5, 97.5)
CENTRES = (np.arange(BINS) + 0.5) / BINS


class ScoredCells(Protocol):
    """One run's counts of pixels in spatial cells, and the metrics that any weighting of the cells gives."""

    @property
    def per_cell(self) -> np.ndarray:
        """Pixels (cells, classes) by true class, which are the same for every run on the same cells."""

    def metrics(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Every metric (...) with weights (..., cells) of the cells; NaN where undefined."""


@dataclass(frozen=True)
class CellHistograms:
    """One run: pixels (cells, 256) of landslide and background by bin of probability in each cell, and the
    run's threshold 0..1."""

    positive: np.ndarray
    negative: np.ndarray
    threshold: float

    @property
    def per_cell(self) -> np.ndarray:
        """Landslide and background pixels (cells, 2), which are the same for every run on the same cells."""
        return np.stack([self.positive.sum(axis=1), self.negative.sum(axis=1)], axis=1)

    def metrics(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """All pixel metrics (...) with weights (..., cells) of the cells; NaN where undefined."""
        return histogram_metrics(weights @ self.positive, weights @ self.negative, self.threshold)


def cell_histograms(
    probability: np.ndarray, truth: np.ndarray, cell: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Histograms (cells, 256) int32 of the probability of landslide and of background pixels, in ascending
    order of cell id.

    Args:
        probability, truth, cell: flat arrays of the scored pixels; truth is boolean, cell an id.
    """
    ids, index = np.unique(cell, return_inverse=True)
    flat = index * BINS + probability_bins(probability)
    histograms = (np.bincount(flat[chosen], minlength=len(ids) * BINS) for chosen in (truth, ~truth))
    positive, negative = (histogram.reshape(len(ids), BINS).astype(np.int32) for histogram in histograms)
    return positive, negative


def histogram_metrics(positive: np.ndarray, negative: np.ndarray, threshold: float) -> dict[str, np.ndarray]:
    """All pixel metrics from histograms (..., 256); NaN where undefined.

    Confusion metrics are exact when the threshold is a multiple of 1/256. Ranking metrics take the 256 bins
    as thresholds; Brier score and ECE take every pixel at the centre of its bin (errors of the order of
    1/512).
    """
    tp = np.cumsum(positive[..., ::-1], axis=-1)
    fp = np.cumsum(negative[..., ::-1], axis=-1)
    at = BINS - 1 - min(int(np.ceil(threshold * BINS)), BINS - 1)
    positives, negatives = tp[..., -1], fp[..., -1]
    counts = Confusion(tp[..., at], fp[..., at], positives - tp[..., at], negatives - fp[..., at])
    metrics = confusion_metrics(counts) | ranking_metrics(tp, fp)
    n = positives + negatives
    metrics["brier"] = ratio(positive @ (1 - CENTRES) ** 2 + negative @ CENTRES**2, n)
    surplus = (positive + negative) * CENTRES - positive
    first = np.searchsorted(CENTRES, np.arange(CALIBRATION_BINS) / CALIBRATION_BINS)
    metrics["ece"] = ratio(np.abs(np.add.reduceat(surplus, first, axis=-1)).sum(axis=-1), n)
    return metrics


def intervals(runs: Sequence[ScoredCells], seed: int, draws: int = DRAWS) -> dict[str, list[float] | None]:
    """95 % interval [low, high] of every metric, averaged over runs that differ in their seed only.

    Of one run it is the percentile interval over drawn cells, the same for all metrics; of several it is that
    of `chance.estimate`, which knows of the chance of training too, within what the metric can be. None where
    most draws leave the metric undefined, and with a single cell.

    Raises:
        HeadscarpError: the runs are not of the same cells.
    """
    require_same_cells(runs)
    drawn, points = drawn_metrics(runs, seed, draws), metrics_by_run(runs)
    if len(runs) == 1:
        return {name: percentile_interval(values, runs) for name, values in drawn.items()}
    return {
        name: within_range(estimate(points[name], values, blocks_of(runs)).interval, points[name])
        for name, values in drawn.items()
    }


def within_range(interval: list[float] | None, points: np.ndarray) -> list[float] | None:
    """An interval cut at 1 and at 0 (at -1 where a score is negative), beyond which no metric goes."""
    if interval is None:
        return None
    least = -1.0 if (points < 0).any() else 0.0
    return [max(least, interval[0]), min(1.0, interval[1])]


def paired_difference(
    first: Sequence[ScoredCells], second: Sequence[ScoredCells], seed: int, draws: int = DRAWS
) -> dict[str, Estimate]:
    """Mean difference, first - second, of every metric between two experiments, and its chance.

    Run k of one experiment is paired with run k of the other (same seed), and both see the same draws of
    cells.

    Raises:
        HeadscarpError: different cells, or different numbers of runs.
    """
    if len(first) != len(second):
        raise HeadscarpError(
            f"experiments of {len(first)} and {len(second)} "
            "seeds cannot be paired; run both with the same seeds"
        )
    require_same_cells([*first, *second])
    points = [metrics_by_run(runs) for runs in (first, second)]
    drawn = [drawn_metrics(runs, seed, draws) for runs in (first, second)]
    return {
        name: estimate(points[0][name] - points[1][name], drawn[0][name] - drawn[1][name], blocks_of(first))
        for name in points[0]
    }


def blocks_of(runs: Sequence[ScoredCells]) -> int:
    """How many cells a score rests on: of two classes those that have the rarer one, of more all with any
    pixel."""
    held = runs[0].per_cell > 0
    return int(held.sum(axis=0).min() if held.shape[1] <= 2 else held.any(axis=1).sum())


def metrics_by_run(runs: Sequence[ScoredCells]) -> dict[str, np.ndarray]:
    """Every metric (runs,) on all cells; NaN where undefined."""
    each = [run.metrics(np.ones(len(run.per_cell))) for run in runs]
    return {name: np.array([float(metrics[name]) for metrics in each]) for name in each[0]}


def require_same_cells(runs: Sequence[ScoredCells]) -> None:
    if any(not np.array_equal(run.per_cell, runs[0].per_cell) for run in runs[1:]):
        raise HeadscarpError(
            "runs to compare were scored on different cells (the true classes of their cells differ); "
            "delete their scores.json and counts.npz and score them again on the same samples"
        )


def drawn_metrics(runs: Sequence[ScoredCells], seed: int, draws: int) -> dict[str, np.ndarray]:
    """Every metric (draws,), averaged over runs, on drawn cells; equal seeds and sizes give equal draws."""
    rng = np.random.default_rng(seed)
    n_cells = len(runs[0].per_cell)
    chunks = []
    for first in range(0, draws, DRAWS_AT_ONCE):
        n = min(DRAWS_AT_ONCE, draws - first)
        weights = rng.multinomial(n_cells, np.full(n_cells, 1 / n_cells), size=n).astype(np.float64)
        each = [run.metrics(weights) for run in runs]
        chunks.append({name: np.mean([metrics[name] for metrics in each], axis=0) for name in each[0]})
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def percentile_interval(values: np.ndarray, runs: Sequence[ScoredCells]) -> list[float] | None:
    """The 2.5 % and 97.5 % percentiles of the defined draws; None if most are undefined or the runs have one
    cell only."""
    defined = values[~np.isnan(values)]
    if 2 * len(defined) < len(values) or len(runs[0].per_cell) < 2:
        return None
    return [float(bound) for bound in np.percentile(defined, PERCENTILES)]


def read_cell_histograms(folder: str | Path) -> CellHistograms:
    """Histograms and threshold of a scored map, from its counts.npz and scores.json.

    Raises:
        HeadscarpError: one of them is missing or damaged.
    """
    threshold = read_json(Path(folder) / "scores.json")["threshold"]
    arrays = read_arrays(Path(folder) / "counts.npz")
    return CellHistograms(arrays["positive"], arrays["negative"], threshold)
