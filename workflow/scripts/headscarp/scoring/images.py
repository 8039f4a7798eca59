"""Scores per image: the mean over test windows of the scores of each, beside those of all pixels pooled.

Papers that cut a scene into images often average over them. A window then counts the same whatever landslide
it holds. The IoU is a convex function of F1, F1 / (2 - F1), so the mean of the IoUs is at least the IoU that
the mean F1 implies (Jensen's inequality) and may be much more: a mean F1 and a mean mIoU can stand in a table
together that no confusion matrix fits.

A class that is neither in a window nor mapped there has no F1 and no IoU, and does not count; the mIoU of
that window is the IoU of the other class (as scikit-learn's `jaccard_score` of the labels that occur), which
is 1, so that it would be the same with an empty class as 1. A window of one class has no AUC. `f1_with_empty`
counts windows where landslides are rightly left out as 1, as metrics with a smoothing constant do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from headscarp.codes import LANDSLIDE
from headscarp.samples.windows import Window
from headscarp.scoring.bootstrap import intervals
from headscarp.scoring.metric_names import IMAGE_METRICS
from headscarp.scoring.pixel import confusion, ranking_counts, ranking_metrics, ratio, to_python


@dataclass(frozen=True)
class ImageScores:
    """One run's scores (images, 4), in the order of `SCORED_METRICS` and NaN where undefined, of its test
    windows, as `bootstrap.ScoredCells`.

    `pixels` (images, 2) counts the scored landslide and background pixels; `cell` (images,) is the spatial
    cell of each window's centre.
    """

    scores: np.ndarray
    pixels: np.ndarray
    cell: np.ndarray
    fold: int = 0

    @classmethod
    def pooled(cls, parts: Sequence["ImageScores"]) -> "ImageScores":
        scores, pixels = (
            np.concatenate([getattr(part, of) for part in parts]) for of in ("scores", "pixels")
        )
        # Cells of different folds are different ones, whatever their numbers.
        cells = np.concatenate(
            [np.stack([np.full_like(part.cell, n), part.cell]) for n, part in enumerate(parts)], 1
        )
        return cls(scores, pixels, np.unique(cells, axis=1, return_inverse=True)[1].ravel())

    @property
    def per_cell(self) -> np.ndarray:
        """Landslide and background pixels (cells, 2) of the windows of a cell, which are the same for every
        run on the same windows."""
        return self.sums(self.pixels)

    def metrics(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Means (...) over the windows that define a metric, with weights (..., cells) of the cells; NaN
        where none does."""
        defined = np.isfinite(self.scores)
        means = ratio(weights @ self.sums(np.where(defined, self.scores, 0)), weights @ self.sums(defined))
        return {name: means[..., index] for index, name in enumerate(IMAGE_METRICS)}

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sums (cells, n) over the windows of each cell of values (images, n)."""
        ids, index = np.unique(self.cell, return_inverse=True)
        total = np.zeros((len(ids), values.shape[1]))
        np.add.at(total, index, values)
        return total

    def arrays(self) -> dict[str, np.ndarray]:
        """What counts.npz keeps of the windows."""
        return {"image_scores": self.scores, "image_pixels": self.pixels, "image_cell": self.cell}

    @classmethod
    def from_arrays(cls, stored: Mapping[str, np.ndarray], fold: int = 0) -> "ImageScores":
        """The windows of a counts.npz that keeps them."""
        return cls(*(stored[name] for name in ("image_scores", "image_pixels", "image_cell")), fold)


def image_scores(
    probability: np.ndarray,
    label: np.ndarray,
    scored: np.ndarray,
    windows: Sequence[Window],
    threshold: float,
) -> ImageScores | None:
    """Score each test window on its own scored pixels; None where no test window has any.

    Args:
        probability: (row, col) 0..1, not NaN where scored. label: (row, col), 1 landslide. scored: mask (row,
            col) of the pixels that pooled scores count. windows: of all subsets. threshold: landslide is
            mapped at it and above, as for the pooled scores.
    """
    rows, pixels, cells = [], [], []
    columns = probability.shape[1]
    for window in windows:
        part = np.s_[window.row : window.row + window.size, window.col : window.col + window.size]
        inside = scored[part]
        if window.split != "test" or not inside.any():
            continue
        truth = label[part][inside] == LANDSLIDE
        rows.append(scores_of_image(probability[part][inside], truth, threshold))
        pixels.append((np.count_nonzero(truth), np.count_nonzero(~truth)))
        row, col = ((corner + window.size // 2) // window.size for corner in (window.row, window.col))
        cells.append(row * columns + col)
    return (
        ImageScores(np.array(rows), np.array(pixels, np.int64), np.array(cells, np.int64)) if rows else None
    )


def scores_of_image(probability: np.ndarray, truth: np.ndarray, threshold: float) -> tuple[float, ...]:
    """The metrics of `SCORED_METRICS` of one window's flat arrays; NaN where undefined."""
    counts = confusion(probability >= threshold, truth)
    f1 = ratio(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn)
    wrong = counts.fp + counts.fn
    ious = [ratio(right, right + wrong) for right in (counts.tp, counts.tn)]
    auc = ranking_metrics(*ranking_counts(probability, truth))["auc"]
    return float(f1), float(np.nan_to_num(ious, nan=1).mean()), float(auc), float(np.nan_to_num(f1, nan=1))


def images_record(images: ImageScores, seed: int) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Of scores.json: the metrics, their 95 % intervals by bootstrap over cells, and `images`.

    `images` counts test windows, those without landslide, and by metric those that define it.
    """
    everywhere = np.ones(len(images.per_cell))
    defined = np.isfinite(images.scores).sum(axis=0).tolist()
    counts = {
        "windows": len(images.scores),
        "without_landslide": int((images.pixels[:, 0] == 0).sum()),
        "defined": dict(zip(IMAGE_METRICS, defined, strict=True)),
    }
    return to_python(images.metrics(everywhere)), intervals([images], seed), counts
