"""Probabilities of landslide and background pixels counted by spatial cell and bin: what a bootstrap draws.

The bins follow the probabilities of the run: their edges are quantiles of those of landslide pixels and of
those of background pixels, so that bins are narrow wherever pixels are many, and scores of the counts are
those of the pixels to within a fraction of a hundredth however the probabilities crowd.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from headscarp.arrays import read_arrays
from headscarp.files import read_json
from headscarp.scoring.pixel import (
    CALIBRATION_BINS,
    Confusion,
    confusion_metrics,
    ranking_metrics,
    ratio,
)

QUANTILES = 256  # of the probabilities of each class


@dataclass(frozen=True)
class CellHistograms:
    """One run: pixels (cells, bins) of landslide and background by bin of probability in each cell.

    `centres` (bins,) is the mean probability of the pixels of a bin, ascending, and `mapped` (bins,) whether
    they are mapped as landslide at the run's threshold, which no bin straddles. `fold` as in
    `bootstrap.ScoredCells`.
    """

    positive: np.ndarray
    negative: np.ndarray
    centres: np.ndarray
    mapped: np.ndarray
    fold: int = 0

    @classmethod
    def of(
        cls, probability: np.ndarray, truth: np.ndarray, cell: np.ndarray, threshold: float, fold: int = 0
    ) -> "CellHistograms":
        """Count flat arrays of the scored pixels; cells are in ascending order of their id.

        Args:
            probability: 0..1. truth: boolean. cell: id of the cell of each pixel. threshold: landslide is
                mapped at it and above.
        """
        threshold = np.asarray(threshold, probability.dtype)  # as the comparison with the map rounds it
        edges = bin_edges(probability, truth, threshold)
        bins = np.digitize(probability, edges)
        # Bins without a pixel are dropped, so that each has a mean.
        filled, bins = np.unique(bins, return_inverse=True)
        ids, index = np.unique(cell, return_inverse=True)
        flat, shape = index * len(filled) + bins, (len(ids), len(filled))
        positive, negative = (
            np.bincount(flat[chosen], minlength=shape[0] * shape[1]).reshape(shape).astype(np.int32)
            for chosen in (truth, ~truth)
        )
        centres = np.bincount(bins, weights=probability) / np.bincount(bins)
        return cls(positive, negative, centres, filled > np.searchsorted(edges, threshold), fold)

    @classmethod
    def pooled(cls, parts: Sequence["CellHistograms"]) -> "PooledHistograms":
        return PooledHistograms(tuple(parts))

    @property
    def per_cell(self) -> np.ndarray:
        """Landslide and background pixels (cells, 2), which are the same for every run on the same cells."""
        return np.stack([self.positive.sum(axis=1), self.negative.sum(axis=1)], axis=1)

    def metrics(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """All pixel metrics (...) with weights (..., cells) of the cells; NaN where undefined."""
        return histogram_metrics(self.counts(weights), self.centres)

    def counts(self, weights: np.ndarray) -> "Counts":
        """What is counted with weights (..., cells) of the cells."""
        positive, negative = weights @ self.positive, weights @ self.negative
        found, false = (of[..., self.mapped].sum(axis=-1) for of in (positive, negative))
        return Counts(positive, negative, found, false)

    def arrays(self) -> dict[str, np.ndarray]:
        """What counts.npz keeps; the fold stands in scores.json."""
        return {
            "positive": self.positive,
            "negative": self.negative,
            "centres": self.centres,
            "mapped": self.mapped,
        }

    @classmethod
    def from_arrays(cls, stored: Mapping[str, np.ndarray], fold: int = 0) -> "CellHistograms":
        return cls(*(stored[name] for name in ("positive", "negative", "centres", "mapped")), fold)


class Counts(NamedTuple):
    """Landslide and background pixels (..., bins) in ascending order of probability, and those (...) that are
    mapped as landslides."""

    positive: np.ndarray
    negative: np.ndarray
    found: np.ndarray
    false: np.ndarray


@dataclass(frozen=True)
class PooledHistograms:
    """Runs that test different folds, scored together: the cells of all, and their bins in one order of
    probability; landslides are mapped at each run's own threshold."""

    parts: tuple[CellHistograms, ...]
    fold: int = 0

    @cached_property
    def levels(self) -> tuple[np.ndarray, np.ndarray]:
        """The probabilities (levels,) of the bins of all parts, ascending, and the level of each bin, part
        behind part; equal ones, as of forests, are one level."""
        centres = np.concatenate([part.centres for part in self.parts])
        return np.unique(centres.astype(np.float32), return_inverse=True)

    @property
    def centres(self) -> np.ndarray:
        return self.levels[0].astype(np.float64)

    @property
    def per_cell(self) -> np.ndarray:
        return np.concatenate([part.per_cell for part in self.parts])

    def metrics(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        return histogram_metrics(self.counts(weights), self.centres)

    def counts(self, weights: np.ndarray) -> Counts:
        """As `CellHistograms.counts`, of the cells of all parts."""
        ends = np.cumsum([len(part.positive) for part in self.parts])[:-1]
        each = [
            part.counts(of) for part, of in zip(self.parts, np.split(weights, ends, axis=-1), strict=True)
        ]
        order = np.argsort(self.levels[1], kind="stable")
        starts = np.flatnonzero(np.diff(self.levels[1][order], prepend=-1))
        positive, negative = (
            np.add.reduceat(np.concatenate(of, axis=-1)[..., order], starts, axis=-1)
            for of in ([one.positive for one in each], [one.negative for one in each])
        )
        found, false = (sum(of) for of in ([one.found for one in each], [one.false for one in each]))
        return Counts(positive, negative, found, false)


def bin_edges(probability: np.ndarray, truth: np.ndarray, threshold: float) -> np.ndarray:
    """Edges of bins, ascending; a bin holds the probabilities from its lower edge on.

    Those of the expected calibration error and the threshold are among them, so that scores of these are
    exact.
    """
    shares = np.linspace(0, 1, QUANTILES + 1)
    of_classes = [
        np.quantile(values, shares, method="inverted_cdf")
        for values in (probability[truth], probability[~truth])
        if values.size
    ]
    calibration = (np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS).astype(probability.dtype)
    return np.unique(np.concatenate([*of_classes, calibration, [threshold]]))


def histogram_metrics(counts: Counts, centres: np.ndarray) -> dict[str, np.ndarray]:
    """All pixel metrics of counts in bins of the mean probabilities `centres` (bins,); NaN where undefined.

    Confusion metrics are exact. Ranking metrics take the edges of bins as thresholds; Brier score and ECE
    take every pixel at the mean probability of its bin.
    """
    positive, negative, found, false = counts
    tp = np.cumsum(positive[..., ::-1], axis=-1)
    fp = np.cumsum(negative[..., ::-1], axis=-1)
    positives, negatives = tp[..., -1], fp[..., -1]
    metrics = confusion_metrics(Confusion(found, false, positives - found, negatives - false))
    metrics |= ranking_metrics(tp, fp)
    n = positives + negatives
    metrics["brier"] = ratio(positive @ (1 - centres) ** 2 + negative @ centres**2, n)
    surplus = (positive + negative) * centres - positive
    in_bin = np.minimum((centres * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    of_bins = surplus @ (in_bin[:, None] == np.arange(CALIBRATION_BINS)).astype(float)
    metrics["ece"] = ratio(np.abs(of_bins).sum(axis=-1), n)
    return metrics


def read_cell_histograms(folder: str | Path) -> CellHistograms:
    """Histograms of a scored map, from its counts.npz and scores.json.

    Raises:
        HeadscarpError: one of them is missing or damaged.
    """
    fold = read_json(Path(folder) / "scores.json")["fold"]
    return CellHistograms.from_arrays(read_arrays(Path(folder) / "counts.npz"), fold)
