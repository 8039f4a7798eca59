"""Which windows train, validate and test: the papers' random split, and spatial blocks with a buffer between
the subsets."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from headscarp.codes import LANDSLIDE, SPLITS, TEST, TRAIN, UNMAPPED, UNUSED, VALIDATION
from headscarp.errors import HeadscarpError
from headscarp.samples.background import is_background
from headscarp.samples.ground import shared_ground, slices_of_scene
from headscarp.samples.spec import TEST_WINDOWS, SamplingSpec, StripSplit
from headscarp.samples.windows import (
    Window,
    close_pairs,
    counts_in_windows,
    footprint,
    grid_corners,
    integral_image,
    possible_corners,
    require_room,
    squares,
    starts,
)
from headscarp.vocabulary import require_known

ASSIGNMENTS = 600  # random assignments of blocks that the seeded search compares
MOST_TRIED = 60  # of these, how many are tried with buffer and windows before giving up
DEFAULT_BLOCKS = (3, 2, 1)  # sides in windows, tried in this order
FEW_BLOCKS = 6  # fewer than this are no choice, and smaller ones are tried
BORDER_COST = 0.5  # weight of the share of the area that lies near a border between subsets


@dataclass(frozen=True)
class Split:
    """Windows of all subsets, and the region (row, col) uint8 of every pixel: 0 unused or buffer, 1 train, 2
    validation, 3 evaluated.

    `stages` tells how a sampler drew the training windows.
    """

    windows: list[Window]
    regions: np.ndarray
    stages: list[dict[str, Any]] = field(default_factory=list)


class Sampler(Protocol):
    """Another way to draw training windows than from the regular grid; `superpixels.SuperpixelSampler` is
    one."""

    def candidates(self, region: np.ndarray) -> np.ndarray:
        """Corners (n, 2) of windows wholly inside the mask `region` (row, col), evenly spread."""

    def balanced(
        self, corners: np.ndarray, region: np.ndarray, rng: np.random.Generator, held_out: np.ndarray = ...
    ) -> tuple[np.ndarray, list[dict[str, Any]]]:
        """Corners of the training windows made from candidates, all inside `region` and none of those
        `held_out`, and the record of each stage."""


def published_split(
    label: np.ndarray, spec: SamplingSpec, seed: int, date: int = 0, sampler: Sampler | None = None
) -> Split:
    """Windows split at random, train_fraction of them for training; what is evaluated follows
    `spec.evaluate`.

    `area` as Gao et al. (2021), section III-A: windows of 64 pixels at a step of 32 seeded on landslide
    pixels, 3:7 train to validation, and "the trained model is used to test the entire study area", training
    windows included. `test_windows` as Zhang et al. (2024), section 4.1.2: 80 % of 2428 chips train; the
    other 20 % stop the training and are the test set, so that the same windows are validation and test.
    Pixels of training windows that no test window covers are region 1 there, pixels of no window 0. With a
    `sampler` its candidates are split, and the training ones balanced with further windows that lie wholly on
    the ground of training ones and are none of the others: what balances the classes adds no ground of test
    windows to that which overlapping windows share by chance.

    Args:
        label: (row, col) uint8 class codes, 1 landslide, 255 never scored.

    Raises:
        HeadscarpError: the scene is smaller than a window, or fewer than two windows hold landslide pixels.
    """
    rng = np.random.default_rng(seed)
    require_room(label.shape, spec.window)
    everywhere = np.ones(label.shape, dtype=bool)
    if sampler is None:
        corners = draw_windows(grid_corners(label.shape, spec.window, spec.stride), label, spec, rng)
    else:
        corners = sampler.candidates(everywhere)
    if len(corners) < 2:
        raise HeadscarpError(
            f"only {len(corners)} window of {spec.window} pixels can be drawn from a scene "
            f"of {label.shape[0]} x {label.shape[1]} pixels, too few to split; make "
            "sampling.window or sampling.stride smaller, or use a site with more landslides"
        )
    training = np.zeros(len(corners), dtype=bool)
    n_training = int(np.clip(round(spec.train_fraction * len(corners)), 1, len(corners) - 1))
    training[rng.permutation(len(corners))[:n_training]] = True
    if sampler is None:
        trained, stages = corners[training], []
    else:
        of_training = footprint(windows_at(corners[training], spec.window, date, "train"), label.shape)
        trained, stages = sampler.balanced(corners[training], of_training, rng, corners[~training])
    windows = windows_at(trained, spec.window, date, "train") + windows_at(
        corners[~training], spec.window, date, "validation"
    )
    regions = np.full(label.shape, TEST, np.uint8)
    if spec.evaluate == TEST_WINDOWS:
        test = windows_at(corners[~training], spec.window, date, "test")
        regions = np.where(
            footprint(test, label.shape), TEST, np.where(footprint(windows, label.shape), TRAIN, UNUSED)
        ).astype(np.uint8)
        windows += test
    regions[label == UNMAPPED] = UNUSED
    return Split(windows, regions, stages)


def draw_windows(
    corners: np.ndarray, label: np.ndarray, spec: SamplingSpec, rng: np.random.Generator
) -> np.ndarray:
    """Of the possible windows, those to learn from: with landslide pixels, and `background_ratio` times as
    many without."""
    scored = counts_in_windows(label != UNMAPPED, corners, spec.window)
    if not spec.seeded_on_landslides or spec.superpixels:
        return corners[scored > 0]
    slides = counts_in_windows(label == LANDSLIDE, corners, spec.window) > 0
    # A background window that is mostly unmapped would teach next to nothing.
    background = np.flatnonzero(~slides & (2 * scored >= spec.window**2))
    wanted = min(len(background), round(spec.background_ratio * int(slides.sum())))
    chosen = np.concatenate([np.flatnonzero(slides), rng.choice(background, wanted, replace=False)])
    return corners[np.sort(chosen)]


def windows_at(corners: np.ndarray, size: int, date: int, split: str) -> list[Window]:
    return [Window(row, col, size, date, split) for row, col in corners.tolist()]


def blocked_split(
    label: np.ndarray,
    spec: SamplingSpec,
    seed: int,
    date: int = 0,
    sampler: Sampler | None = None,
    scenes: Sequence[Mapping[str, Any]] = (),
) -> Split:
    """Spatial subsets: windows lie wholly inside their own subset and stay at least `spec.buffer` pixels from
    those of other subsets.

    The buffer is taken from the training side (towards validation and test) and from the validation side
    (towards test), so that the test region stays whole. Windows of test tile its region at a stride of one
    window; regions are 0 where the label is 255. A `sampler` draws the training windows, if given; `scenes`
    are those of a collage (see `site.collage.join_scenes`).

    Raises:
        HeadscarpError: no split gives every subset landslides, background and windows, or the scene to test
            on does not exist or has no landslide.
    """
    rng = np.random.default_rng(seed)
    for subsets in candidate_subsets(label, spec, rng, scenes):
        regions = clear_buffer(subsets, spec.buffer)
        windows, stages = windows_of_regions(regions, label, spec, rng, date, sampler)
        landslides, background = (
            np.bincount(regions[of], minlength=4)[TRAIN:] for of in (label == LANDSLIDE, is_background(label))
        )
        if landslides.all() and background.all() and {window.split for window in windows} == set(SPLITS):
            refuse_close_subsets(windows, spec.buffer, "blocked")
            regions[label == UNMAPPED] = UNUSED
            return Split(windows, regions, stages)
    raise HeadscarpError(
        f"no {spec.kind} of the scene of {label.shape[0]} x {label.shape[1]} pixels give "
        f"train, validation and test each a landslide, background and a window of {spec.window} pixels "
        f"beside a buffer of {spec.buffer}; make sampling.window, sampling.split.block or "
        "sampling.split.buffer smaller (or move sampling.split.edges), or use a larger site"
    )


def candidate_subsets(
    label: np.ndarray, spec: SamplingSpec, rng: np.random.Generator, scenes: Sequence[Mapping[str, Any]]
) -> Iterable[np.ndarray]:
    """Subsets (row, col) of every pixel before the buffer, by the spec's kind of split, the best first.

    Blocks of a collage whose scenes show one ground are of that ground: each has the same subset in all
    scenes.
    """
    if spec.kind == "strips":
        return [strip_subsets(label.shape, spec.split)]
    if spec.kind == "scenes":
        return scene_subsets(label, spec, rng, scenes)
    if ground := shared_ground(label.shape, scenes):
        of_ground = block_assignments(
            label[ground.reference], sides_of_blocks(spec), spec.split.fractions, spec.buffer, rng
        )
        return (ground.paint(subsets, UNUSED) for subsets in of_ground)
    return block_assignments(label, sides_of_blocks(spec), spec.split.fractions, spec.buffer, rng)


def scene_subsets(
    label: np.ndarray, spec: SamplingSpec, rng: np.random.Generator, scenes: Sequence[Mapping[str, Any]]
) -> Iterator[np.ndarray]:
    """Subsets of a collage: one scene is the test, whole; the others train but for the scene or the blocks
    that validate.

    Raises:
        HeadscarpError: the site is no collage, it lacks the scene, or the test scene has no landslide or no
            room for a window.
    """
    if not scenes:
        raise HeadscarpError(
            "sampling.split.kind is scenes, but the site holds only "
            "one; use it for a site that joins scenes, or blocks"
        )
    split, slices = spec.split, {scene["name"]: slices_of_scene(scene) for scene in scenes}
    test = label[slices[require_known(split.test, slices, "sampling.split.test: scene")]]
    if not (test == LANDSLIDE).any():
        raise HeadscarpError(
            f"sampling.split.test: scene '{split.test}' has no landslide, so "
            "nothing can be scored on it; it can only train: leave out another scene"
        )
    if min(test.shape) < spec.window:
        raise HeadscarpError(
            f"sampling.split.test: scene '{split.test}' of {test.shape[0]} x "
            f"{test.shape[1]} pixels is smaller than the window of {spec.window}; "
            "make sampling.window smaller or leave out another scene"
        )
    if isinstance(split.validation, str):
        require_known(split.validation, slices, "sampling.split.validation: scene")
        codes = {split.test: TEST, split.validation: VALIDATION}
        yield paint_scenes(label.shape, slices, {name: codes.get(name, TRAIN) for name in slices})
        return
    others = np.full_like(label, UNMAPPED)
    for name, part in slices.items():
        if name != split.test:
            others[part] = label[part]
    for blocks in block_assignments(
        others, sides_of_blocks(spec), (1 - split.validation, split.validation), spec.buffer, rng
    ):
        yield paint_scenes(
            label.shape,
            slices,
            {name: TEST if name == split.test else blocks[part] for name, part in slices.items()},
        )


def paint_scenes(
    shape: tuple[int, int], slices: Mapping[str, tuple[slice, slice]], codes: Mapping[str, Any]
) -> np.ndarray:
    """Subsets (row, col) with a code, or an array of codes, for each scene and UNUSED between them."""
    subsets = np.full(shape, UNUSED, np.uint8)
    for name, part in slices.items():
        subsets[part] = codes[name]
    return subsets


def strip_subsets(shape: tuple[int, int], split: StripSplit) -> np.ndarray:
    """Subset (row, col) of every pixel for strips along an axis, before the buffer."""
    axis = 1 if split.axis == "x" else 0
    codes = np.array([TRAIN + SPLITS.index(subset) for subset in split.subsets], np.uint8)
    along = codes[np.digitize((np.arange(shape[axis]) + 0.5) / shape[axis], split.edges)]
    return np.broadcast_to(along[None, :] if axis else along[:, None], shape).copy()


def sides_of_blocks(spec: SamplingSpec) -> list[int]:
    return [spec.split.block] if spec.split.block else [windows * spec.window for windows in DEFAULT_BLOCKS]


def block_assignments(
    label: np.ndarray, sides: Sequence[int], fractions: Sequence[float], buffer: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield subsets 1 … len(fractions) (row, col) of every pixel: of several hundred random assignments of
    blocks the best, best first.

    Blocks have each of `sides` in turn; where there is a choice, a side of which the scene holds few blocks
    is passed over. An assignment costs the summed differences of the subsets' shares of scored area and of
    landslide area from the fractions, and the share of area near borders, which the buffer would take.
    Half-random sweeps across the scene supply contiguous assignments.
    """
    for block in sides:
        rows, cols = block_lines(label != UNMAPPED, block)
        area = sums_of_blocks(label != UNMAPPED, rows, cols)
        if np.count_nonzero(area) < FEW_BLOCKS and len(sides) > 1:
            continue
        slides = sums_of_blocks(label == LANDSLIDE, rows, cols)
        shares = np.stack([area.ravel() / max(area.sum(), 1), slides.ravel() / max(slides.sum(), 1)])
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
    """Imbalance of scored and landslide area plus the area lost to buffers (in blocks); infinite where a
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
    """Summed differences of the subsets' `shares` (scored and landslide area, block) from the fractions;
    infinite where one has none."""
    achieved = np.stack(
        [np.bincount(assignment, weights=share, minlength=len(fractions) + 1)[1:] for share in shares]
    )
    return np.abs(achieved - np.asarray(fractions)).sum() if achieved.all() else np.inf


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


def windows_of_regions(
    regions: np.ndarray,
    label: np.ndarray,
    spec: SamplingSpec,
    rng: np.random.Generator,
    date: int,
    sampler: Sampler | None,
) -> tuple[list[Window], list[dict[str, Any]]]:
    """Windows of every subset that lie wholly in its region; training and validation as drawn, test as a
    tiling of what is scored.

    The training windows of a `sampler` come with the record of its stages.
    """
    windows: list[Window] = []
    stages: list[dict[str, Any]] = []
    for code, name in zip((TRAIN, VALIDATION, TEST), SPLITS, strict=True):
        if code == TRAIN and sampler is not None:
            corners, stages = sampler.balanced(sampler.candidates(regions == code), regions == code, rng)
            windows += windows_at(corners, spec.window, date, name)
            continue
        corners = corners_inside(regions == code, spec.window, spec.window if code == TEST else spec.stride)
        if code == TEST:
            corners = corners[counts_in_windows(label != UNMAPPED, corners, spec.window) > 0]
        else:
            corners = draw_windows(corners, label, spec, rng)
        windows += windows_at(corners, spec.window, date, name)
    return windows, stages


def corners_inside(mask: np.ndarray, size: int, stride: int) -> np.ndarray:
    """Corners (n, 2) of windows wholly inside the mask that cover every pixel which any such window could
    cover.

    The possible corners form rectangles; each is filled at the stride, with a last row and column shifted
    inward.
    """
    possible = possible_corners(mask, size)
    if not possible.any():
        return np.empty((0, 2), dtype=np.int64)
    changes = np.flatnonzero((possible[1:] != possible[:-1]).any(axis=1)) + 1
    bands = np.concatenate([[0], changes, [len(possible)]])
    corners = [np.empty((0, 2), dtype=np.int64)]
    for top, bottom in pairwise(bands):
        steps = np.flatnonzero(np.diff(np.concatenate([[0], possible[top].astype(np.int8), [0]])))
        for left, right in steps.reshape(-1, 2):
            rows = top + starts(bottom - top, 1, stride)
            cols = left + starts(right - left, 1, stride)
            corners.append(np.stack(np.meshgrid(rows, cols, indexing="ij"), axis=-1).reshape(-1, 2))
    return np.concatenate(corners)


def refuse_close_subsets(windows: Sequence[Window], buffer: int, protocol: str) -> None:
    """Refuse a `blocked` index whose subsets come closer than the buffer (audit of leakage); other protocols
    pass.

    Raises:
        HeadscarpError: two windows of different subsets intersect or have fewer than `buffer` pixels between
            them; they are named.
    """
    if protocol != "blocked":
        return
    footprints = {name: squares(w for w in windows if w.split == name) for name in SPLITS}
    for one, other in (("train", "test"), ("validation", "test"), ("train", "validation")):
        for i, j in close_pairs(footprints[one], footprints[other], buffer):
            a, b = footprints[one][i[0]], footprints[other][j[0]]
            raise HeadscarpError(
                f"blocked samples leak: the {one} window at row {a[0]}, col {a[1]} (size "
                f"{a[2]}) and the {other} window at row {b[0]}, col {b[1]} (size {b[2]}) "
                f"intersect or have fewer than {buffer} pixels between them; delete "
                "windows.csv and make the samples again, or call the protocol published"
            )


def overlap_share(windows: Sequence[Window], subset: str = "validation") -> float | None:
    """Share of a subset's windows that overlap a training window; None where it has no windows."""
    train = squares(w for w in windows if w.split == "train")
    others = squares(w for w in windows if w.split == subset)
    if not len(others):
        return None
    overlapping = np.zeros(len(others), dtype=bool)
    for i, _ in close_pairs(others, train, 0):
        overlapping[i] = True
    return float(overlapping.mean())
