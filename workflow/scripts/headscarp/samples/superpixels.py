"""Training windows centred on superpixels, and multistage sampling against unequal classes (Xia et al. 2019,
2021).

The windows of a training region are drawn in three stages, each only as long as the largest class covers more
than `bound` times what the smallest does: one window per cell of a grid, centred on a superpixel; more of the
superpixels' windows where a scarce class lies; windows centred on pixels of the scarcest class.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from typing import Any

import numpy as np
from skimage.segmentation import slic

from headscarp.codes import UNMAPPED
from headscarp.samples.spec import SamplingSpec
from headscarp.samples.windows import possible_corners

TILE = 1024  # pixels; bounds the memory of SLIC
# of the maximum that windows may reach by the end of a stage
MAXIMUM_SHARES = {"superpixels": 1, "tiles": 2, "re-crops": 3}
NO_CORNERS = np.empty((0, 2), np.int64)
PROPOSALS = 16  # re-crops that are compared to take the best

# corners and class counts of windows, given the scarcest class
Propose = Callable[[int], tuple[np.ndarray, np.ndarray]]


def superpixel_centres(
    image: np.ndarray, channels: Sequence[int], mapped: np.ndarray, pixels: int, compactness: float
) -> np.ndarray:
    """Centroids (n, 2) int64 as row, col of the SLIC superpixels of a scene whose centroid lies on a mapped
    pixel.

    Superpixels start from a regular grid, without random numbers. Scenes are cut into tiles of about `TILE`
    pixels, at whose borders superpixels end; scikit-image stretches each tile to [0, 1] and takes three
    channels as RGB, in CIELAB.

    Args:
        image: (channel, row, col) float32, usually a memory map; NaN counts as the tile's mean of its
            channel.
        channels: positions of those that superpixels are made of.
        mapped: (row, col) bool.
        pixels: mean size of a superpixel.
        compactness: weight of nearness in space against likeness in colour.
    """
    centres = [np.empty((0, 2), np.int64)]
    for rows in tiles(mapped.shape[0]):
        for cols in tiles(mapped.shape[1]):
            if not mapped[rows, cols].any():
                continue
            tile = without_gaps(
                np.stack([image[channel, rows, cols] for channel in channels]).astype(np.float64)
            )
            segments = max(1, round(tile[0].size / pixels))
            labels = slic(tile, n_segments=segments, compactness=compactness, start_label=0, channel_axis=0)
            centres.append(centroids(labels) + np.array([rows.start, cols.start]))
    found = np.concatenate(centres)
    return found[mapped[found[:, 0], found[:, 1]]]


def centroids(segments: np.ndarray) -> np.ndarray:
    """Centroids (n, 2) int64, rounded, of segments 0 … n - 1 (row, col)."""
    count = np.bincount(segments.ravel())
    sums = [np.bincount(segments.ravel(), weights=index.ravel()) for index in np.indices(segments.shape)]
    return (np.stack(sums, axis=1) / count[:, None]).round().astype(np.int64)


def tiles(length: int) -> Iterator[slice]:
    """An axis in even parts of at most `TILE` pixels."""
    edges = np.linspace(0, length, -(-length // TILE) + 1).round().astype(int).tolist()
    yield from (slice(first, end) for first, end in pairwise(edges))


def without_gaps(image: np.ndarray) -> np.ndarray:
    """An image (channel, row, col) with the mean of its channel for NaN, 0 where a channel has no value."""
    known = ~np.isnan(image)
    mean = np.where(known, image, 0).sum((1, 2)) / known.sum((1, 2)).clip(min=1)
    return np.where(known, image, mean[:, None, None])


@dataclass(frozen=True)
class SuperpixelSampler:
    """Draws the training windows of a split; a `splits.Sampler`.

    `centres` (n, 2) are the rows and columns of superpixels, `label` (row, col) uint8 class codes with 255
    for unmapped.
    """

    centres: np.ndarray
    label: np.ndarray
    spec: SamplingSpec

    def candidates(self, region: np.ndarray) -> np.ndarray:
        """Corners (n, 2) of windows centred on superpixels of `region`: of each cell of `stride` pixels the
        one nearest its middle.

        A window is shifted as little as needed to lie wholly in the region, and left out where it would lose
        its superpixel's centre.
        """
        centres, stride = self._centres_of(region), self.spec.stride
        cells = centres // stride
        distance = ((centres - cells * stride - (stride - 1) / 2) ** 2).sum(axis=1)
        order = np.lexsort((distance, cells[:, 1], cells[:, 0]))
        _, first = np.unique(cells[order], axis=0, return_index=True)
        return self._windows_around(centres[order][first], possible_corners(region, self.spec.window))

    def balanced(
        self,
        corners: np.ndarray,
        region: np.ndarray,
        rng: np.random.Generator,
        held_out: np.ndarray = NO_CORNERS,
    ) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """Corners (m, 2) of the training windows, sorted, and the record of each stage.

        Stage `superpixels` has the given corners, or as many at random as are a third of the maximum. Stage
        `tiles` adds windows of other superpixels, up to two thirds, and stage `re-crops` windows centred on
        random pixels of the class that is scarcest so far, neither any of the corners `held_out` (k, 2); for
        both see `with_scarce_classes`. Records are
        {stage, windows, shares: of the pixels by class code}; the first, `region`, is the region before any
        sampling. A region of a single class has nothing to balance.
        """
        codes = np.flatnonzero(np.bincount(self.label[region], minlength=UNMAPPED + 1)[:UNMAPPED])
        counts_of = partial(class_counts, self.label, codes, size=self.spec.window)
        stages = [
            stage_record("region", 0, np.bincount(self.label[region], minlength=UNMAPPED + 1)[codes], codes)
        ]
        possible = possible_corners(region, self.spec.window)
        others = without(self._windows_around(self._centres_of(region), possible), held_out)
        counts_of_others = counts_of(others)

        @cache
        def pixels_of(index: int) -> np.ndarray:
            return np.flatnonzero((self.label == codes[index]) & region)

        def propose_tiles(scarcest: int) -> tuple[np.ndarray, np.ndarray]:
            return others, counts_of_others

        def propose_re_crops(scarcest: int) -> tuple[np.ndarray, np.ndarray]:
            chosen = rng.choice(pixels_of(scarcest), PROPOSALS)
            places = np.stack(np.unravel_index(chosen, region.shape), axis=1)
            crops = without(self._windows_around(places, possible), held_out)
            return crops, counts_of(crops)

        corners = corners[np.sort(rng.permutation(len(corners))[: self._limit("superpixels")])]
        totals = counts_of(corners).sum(axis=0)
        stages.append(stage_record("superpixels", len(corners), totals, codes))
        for stage, propose in (("tiles", propose_tiles), ("re-crops", propose_re_crops)):
            corners, totals = with_scarce_classes(
                corners, totals, propose, self._limit(stage), self.spec.superpixels.bound
            )
            stages.append(stage_record(stage, len(corners), totals, codes))
        return np.unique(corners, axis=0), stages

    def _limit(self, stage: str) -> int:
        return MAXIMUM_SHARES[stage] * self.spec.superpixels.maximum // 3

    def _centres_of(self, region: np.ndarray) -> np.ndarray:
        return self.centres[region[self.centres[:, 0], self.centres[:, 1]]]

    def _windows_around(self, points: np.ndarray, possible: np.ndarray) -> np.ndarray:
        return windows_around(points, possible, self.spec.window)


def without(corners: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Corners (n, 2) that are none of the others (k, 2)."""
    known = set(map(tuple, others.tolist()))
    return corners[[tuple(corner) not in known for corner in corners.tolist()]]


def class_counts(label: np.ndarray, codes: np.ndarray, corners: np.ndarray, size: int) -> np.ndarray:
    """Pixels of each class of `codes` in windows of `size`: (n, classes) int64 for corners (n, 2)."""
    windows = (label[row : row + size, col : col + size].ravel() for row, col in corners.tolist())
    return np.array(
        [np.bincount(window, minlength=UNMAPPED + 1)[codes] for window in windows], np.int64
    ).reshape(-1, len(codes))


def with_scarce_classes(
    corners: np.ndarray, totals: np.ndarray, propose: Propose, limit: int, bound: float
) -> tuple[np.ndarray, np.ndarray]:
    """`corners` and, one after the other, the proposed one that most helps the class that is scarcest so far;
    their class totals.

    It is the one with which the scarcest class covers most in relation to the largest. Ends when the largest
    class covers at most `bound` times what the scarcest does, at `limit` windows, or when no proposal helps.
    """
    taken = set(map(tuple, corners.tolist()))
    added = []
    while taken and len(taken) < limit and totals.max() > bound * totals.min():
        scarcest = int(totals.argmin())
        proposed, counts = propose(scarcest)
        balance = (totals[scarcest] + counts[:, scarcest]) / (totals + counts).max(axis=1)
        best = next(
            (n for n in np.argsort(-balance, kind="stable") if tuple(proposed[n].tolist()) not in taken), None
        )
        if best is None or balance[best] <= totals[scarcest] / totals.max():
            break
        taken.add(tuple(proposed[best].tolist()))
        added.append(proposed[best])
        totals = totals + counts[best]
    return np.concatenate([corners, np.array(added, np.int64).reshape(-1, 2)]), totals


def windows_around(points: np.ndarray, possible: np.ndarray, size: int) -> np.ndarray:
    """Distinct corners (n, 2), sorted, of windows centred on `points` (row, col), shifted as little as needed
    to where they are `possible`.

    Args:
        possible: (row, col) bool, where upper-left corners may lie. Points that no possible window holds are
            left out.
    """
    if not possible.any():
        return np.empty((0, 2), np.int64)
    corners = [nearest_corner(point, possible, size) for point in points]
    return np.unique(
        np.array([corner for corner in corners if corner is not None], np.int64).reshape(-1, 2), axis=0
    )


def nearest_corner(point: np.ndarray, possible: np.ndarray, size: int) -> np.ndarray | None:
    """The possible corner nearest to that of a window centred on `point`, among windows that hold the point;
    None if there is none."""
    wanted = point - size // 2
    if (wanted >= 0).all() and (wanted < possible.shape).all() and possible[tuple(wanted)]:
        return wanted
    first = np.maximum(point - size + 1, 0)
    around = possible[first[0] : point[0] + 1, first[1] : point[1] + 1]
    found = np.argwhere(around) + first
    return found[((found - wanted) ** 2).sum(axis=1).argmin()] if len(found) else None


def stage_record(stage: str, windows: int, counts: np.ndarray, codes: np.ndarray) -> dict[str, Any]:
    shares = counts / max(1, counts.sum())
    return {
        "stage": stage,
        "windows": windows,
        "shares": {str(code): float(share) for code, share in zip(codes, shares, strict=True)},
    }
