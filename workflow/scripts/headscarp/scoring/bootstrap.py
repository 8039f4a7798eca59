"""Block bootstrap of all pixel metrics from counts in spatial cells, such as histograms of probability.

Neighbouring pixels are not independent, so squares of one window are drawn with replacement, not pixels
(block bootstrap, Künsch 1989); what differs between seeds is joined to that in `chance`. Everything is a
product of weights and histograms, so a thousand draws take a moment.

Where the seeds of an experiment test folds of the ground in turn, the folds are pooled: every piece of ground
counts once, by the run that did not learn from it.
"""

from collections.abc import Sequence
from typing import Protocol, Self

import numpy as np

from headscarp.errors import HeadscarpError
from headscarp.scoring.chance import Estimate, estimate

DRAWS = 1000
DRAWS_AT_ONCE = 200  # bounds the memory of the weights
PERCENTILES = (2.5, 97.5)


class ScoredCells(Protocol):
    """One run's counts of pixels in spatial cells, and the metrics that any weighting of the cells gives.

    `fold` is which of the folds that rotate with the seed it tests, 0 where there is one.
    """

    fold: int

    @property
    def per_cell(self) -> np.ndarray:
        """Pixels (cells, classes) by true class, which are the same for every run on the same cells."""

    def metrics(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Every metric (...) with weights (..., cells) of the cells; NaN where undefined."""

    @classmethod
    def pooled(cls, parts: Sequence[Self]) -> "ScoredCells":
        """The cells of all parts, one behind the other, scored together."""


def repeats_of(runs: Sequence[ScoredCells]) -> list[ScoredCells]:
    """The runs of an experiment as repeats of it, in each of which the folds of the ground are pooled; where
    there is one fold every run is a repeat.

    Raises:
        HeadscarpError: the repeats do not test the same folds.
    """
    repeats: list[dict[int, ScoredCells]] = []
    for run in runs:
        lacking = next((folds for folds in repeats if run.fold not in folds), None)
        if lacking is None:
            repeats.append(lacking := {})
        lacking[run.fold] = run
    tested = [sorted(folds) for folds in repeats]
    if any(folds != tested[0] for folds in tested):
        raise HeadscarpError(
            f"the seeds of an experiment test the folds {', '.join(str(run.fold) for run in runs)} of the "
            "ground, so that some ground would count more often; give `seeds` as many as there are folds, or "
            "a multiple of that"
        )
    of_folds = [[folds[fold] for fold in tested[0]] for folds in repeats]
    return [parts[0] if len(parts) == 1 else type(parts[0]).pooled(parts) for parts in of_folds]


def intervals(runs: Sequence[ScoredCells], seed: int, draws: int = DRAWS) -> dict[str, list[float] | None]:
    """95 % interval [low, high] of every metric, averaged over repeats that differ in their seeds only.

    Of one run it is the percentile interval over drawn cells, the same for all metrics; of several it is that
    of `chance.estimate`, which knows of the chance of training too, within what the metric can be. None where
    most draws leave the metric undefined, and with a single cell.

    Raises:
        HeadscarpError: the runs are not of the same cells.
    """
    repeats = repeats_of(runs)
    require_same_cells(repeats)
    drawn = drawn_metrics(repeats, seed, draws)
    if len(runs) == 1:
        return {name: percentile_interval(values, repeats) for name, values in drawn.items()}
    points, sizes = metrics_by_run(runs), pooled_metrics(runs)
    return {
        name: within_range(
            estimate(points[name], values, blocks_of(repeats), sizes[name]).interval, points[name]
        )
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

    Run k of one experiment is paired with run k of the other (same seed, same fold), and both see the same
    draws of cells.

    Raises:
        HeadscarpError: different cells, or different numbers of runs.
    """
    if len(first) != len(second):
        raise HeadscarpError(
            f"experiments of {len(first)} and {len(second)} "
            "seeds cannot be paired; run both with the same seeds"
        )
    repeats = [repeats_of(runs) for runs in (first, second)]
    require_same_cells([*repeats[0], *repeats[1]])
    points, sizes = ([of(runs) for runs in (first, second)] for of in (metrics_by_run, pooled_metrics))
    drawn = [drawn_metrics(of, seed, draws) for of in repeats]
    return {
        name: estimate(
            points[0][name] - points[1][name],
            drawn[0][name] - drawn[1][name],
            blocks_of(repeats[0]),
            sizes[0][name] - sizes[1][name],
        )
        for name in points[0]
    }


def blocks_of(runs: Sequence[ScoredCells]) -> int:
    """How many cells a score rests on: of two classes those that have the rarer one, of more all with any
    pixel."""
    held = runs[0].per_cell > 0
    return int(held.sum(axis=0).min() if held.shape[1] <= 2 else held.any(axis=1).sum())


def metrics_by_run(runs: Sequence[ScoredCells]) -> dict[str, np.ndarray]:
    """Every metric (runs,) of each run on all of its own cells; NaN where undefined."""
    each = [run.metrics(np.ones(len(run.per_cell))) for run in runs]
    return {name: np.array([float(metrics[name]) for metrics in each]) for name in each[0]}


def pooled_metrics(runs: Sequence[ScoredCells]) -> dict[str, float]:
    """Every metric with the folds of the runs pooled, a mean over repeats; NaN where undefined."""
    return {name: float(values.mean()) for name, values in metrics_by_run(repeats_of(runs)).items()}


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
