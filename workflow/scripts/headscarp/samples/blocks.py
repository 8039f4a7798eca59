"""Spatial blocks dealt to subsets: balanced in area and in landslides, with few borders between them."""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import ndimage

from headscarp.codes import LANDSLIDE, TEST, TRAIN, UNMAPPED, UNUSED, VALIDATION
from headscarp.samples.windows import integral_image

ASSIGNMENTS = 600  # random assignments of blocks that the seeded search compares
MOST_TRIED = 60  # of these, how many are tried with buffer and windows before giving up
MOST_TRIED_WITHIN = 6  # of those of training and validation within one choice of the ground to test
FEW_BLOCKS = 6  # fewer than this are no choice, and smaller ones are tried
BORDER_COST = 0.5  # weight of the share of the area that lies near a border between subsets
DEFAULT_BLOCKS = (3, 2, 1)  # sides in windows, tried in this order


def rotations(
    label: np.ndarray, sides: Sequence[int], folds: int, validation: float, buffer: int, seed: int
) -> Iterator[list[Iterator[np.ndarray]]]:
    """Yield ways to deal all ground to `folds` that are tested in turn, the best first: for each fold the
    subsets (row, col) that it may have, the best first.

    The folds of one way part the ground, so that all of it is tested once. The ground that a fold does not
    test is dealt anew to training and, a share of it, to validation.

    Args:
        label: (row, col) class codes, 1 landslide, 255 never scored. sides: of blocks in pixels, tried in
            turn. buffer: pixels that will be kept free between subsets.
    """
    shares = (1 / folds,) * folds
    for dealt in block_assignments(label, sides, shares, buffer, np.random.default_rng(seed)):
        yield [
            subsets_around(label, dealt == fold + 1, sides, validation, buffer, seed) for fold in range(folds)
        ]


def subsets_around(
    label: np.ndarray, tested: np.ndarray, sides: Sequence[int], validation: float, buffer: int, seed: int
) -> Iterator[np.ndarray]:
    """Subsets (row, col) in which the mask `tested` is the test and blocks of the other ground train and
    validate, the best first."""
    others = np.where(tested, UNMAPPED, label)
    shares = 1 - validation, validation
    found = block_assignments(others, sides, shares, buffer, np.random.default_rng(seed))
    for subsets, _ in zip(found, range(MOST_TRIED_WITHIN), strict=False):
        yield np.where(tested, TEST, subsets).astype(np.uint8)


def block_assignments(
    label: np.ndarray, sides: Sequence[int], fractions: Sequence[float], buffer: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield subsets 1 … len(fractions) (row, col) of every pixel: of several hundred random assignments of
    blocks the best, best first.

    Blocks have each of `sides` in turn; where there is a choice, a side of which the scene holds few blocks
    is passed over. An assignment costs the summed differences of the subsets' shares of scored area, of
    landslide area and of the number of landslides from the fractions, and the share of area near borders,
    which the buffer would take. Half-random sweeps across the scene supply contiguous assignments.
    """
    for block in sides:
        rows, cols = block_lines(label != UNMAPPED, block)
        area = sums_of_blocks(label != UNMAPPED, rows, cols)
        if np.count_nonzero(area) < FEW_BLOCKS and len(sides) > 1:
            continue
        counted = [area, sums_of_blocks(label == LANDSLIDE, rows, cols), slides_of_blocks(label, rows, cols)]
        shares = np.stack([of.ravel() / max(of.sum(), 1) for of in counted])
        centres = np.stack(np.unravel_index(np.arange(area.size), area.shape), axis=1) / np.array(area.shape)
        assignments = np.stack(
            [random_assignment(centres, shares[0], fractions, rng) for _ in range(ASSIGNMENTS)]
        )
        costs = np.array([assignment_cost(a, area, shares, fractions, buffer / block) for a in assignments])
        for index in np.argsort(costs, kind="stable")[:MOST_TRIED]:
            if np.isfinite(costs[index]):
                blocks = np.where(area > 0, assignments[index].reshape(area.shape), UNUSED).astype(np.uint8)
                yield np.repeat(np.repeat(blocks, np.diff(rows), axis=0), np.diff(cols), axis=1)


def block_lines(scored: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column edges of blocks that divide the extent of the scored pixels evenly; the outer blocks
    reach the scene's border."""
    edges = []
    for axis in (0, 1):
        inside = np.flatnonzero(scored.any(axis=1 - axis))
        first, end = (inside[0], inside[-1] + 1) if len(inside) else (0, scored.shape[axis])
        # At least two thirds of the block asked for, i.e. two windows at the default, remain of every block.
        lines = np.linspace(first, end, max(1, round((end - first) / block)) + 1).round().astype(int)
        lines[0], lines[-1] = 0, scored.shape[axis]
        edges.append(lines)
    return edges[0], edges[1]


def sums_of_blocks(mask: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Number of true pixels in every block between the row and column edges."""
    return np.diff(np.diff(integral_image(mask)[np.ix_(rows, cols)], axis=0), axis=1)


def slides_of_blocks(label: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Number of landslides (connected pixels) whose centre lies in every block between the row and column
    edges."""
    slides, count = ndimage.label(label == LANDSLIDE)
    centres = ndimage.center_of_mass(slides > 0, slides, np.arange(1, count + 1))
    row, col = np.array(centres).reshape(-1, 2).T
    return np.histogram2d(row, col, [rows, cols])[0]


def random_assignment(
    centres: np.ndarray, area: np.ndarray, fractions: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """Subset 1 … len(fractions) of every block: a sweep in a random direction, disturbed by random noise, cut
    at the fractions of area."""
    direction = rng.normal(size=2)
    place = centres @ (direction / np.linalg.norm(direction)) + rng.choice(
        [0.0, 0.1, 0.3, 1.0]
    ) * rng.uniform(size=len(centres))
    order = np.argsort(place, kind="stable")
    subsets = rng.permutation(len(fractions))
    cuts = np.cumsum(np.asarray(fractions)[subsets])[:-1]
    middle = np.cumsum(area[order]) - area[order] / 2
    assignment = np.empty(len(centres), dtype=np.uint8)
    assignment[order] = subsets[np.searchsorted(cuts, middle)] + TRAIN
    return assignment


def assignment_cost(
    assignment: np.ndarray, area: np.ndarray, shares: np.ndarray, fractions: Sequence[float], buffer: float
) -> float:
    """Imbalance of area and of landslides plus the area lost to buffers (in blocks); infinite where a
    subset holds no landslide."""
    uneven = imbalance(assignment, shares, fractions)
    if not np.isfinite(uneven):
        return np.inf
    blocks = assignment.reshape(area.shape)
    below = np.minimum(area[1:], area[:-1])[blocks[1:] != blocks[:-1]].sum()
    beside = np.minimum(area[:, 1:], area[:, :-1])[blocks[:, 1:] != blocks[:, :-1]].sum()
    lost = (below + beside) / area.sum() * buffer
    return float(uneven + BORDER_COST * lost)


def imbalance(assignment: np.ndarray, shares: np.ndarray, fractions: Sequence[float]) -> float:
    """Summed differences of the subsets' `shares` (kind, block) from the fractions; infinite where one has
    none of the first two kinds, scored area and landslide area (of one slide across all blocks only one has
    the centre)."""
    achieved = np.stack(
        [np.bincount(assignment, weights=share, minlength=len(fractions) + 1)[1:] for share in shares]
    )
    return np.abs(achieved - np.asarray(fractions)).sum() if achieved[:2].all() else np.inf


def clear_buffer(subsets: np.ndarray, buffer: int) -> np.ndarray:
    """Regions (row, col): the subsets, with 0 within `buffer` pixels of test, and of validation on the
    training side."""
    regions = subsets.copy()
    regions[(subsets == VALIDATION) & dilated(subsets == TEST, buffer)] = UNUSED
    regions[(subsets == TRAIN) & dilated(subsets > TRAIN, buffer)] = UNUSED
    return regions


def dilated(mask: np.ndarray, by: int, ahead: int | None = None) -> np.ndarray:
    """Pixels with a true one among the `by` pixels before and the `ahead` (`by` unless given) after them,
    along rows and columns."""
    ahead = by if ahead is None else ahead
    for axis in (0, 1):
        length = mask.shape[axis]
        sums = np.concatenate(
            [np.zeros_like(mask.take([0], axis), dtype=np.int32), np.cumsum(mask, axis=axis, dtype=np.int32)],
            axis=axis,
        )
        end = np.minimum(np.arange(length) + ahead + 1, length)
        begin = np.maximum(np.arange(length) - by, 0)
        mask = sums.take(end, axis) > sums.take(begin, axis)
    return mask
