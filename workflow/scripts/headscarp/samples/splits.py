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
from headscarp.samples.blocks import DEFAULT_BLOCKS, clear_buffer, rotations, subsets_around
from headscarp.samples.ground import shared_ground, slices_of_scene
from headscarp.samples.spec import TEST_WINDOWS, SamplingSpec, StripSplit
from headscarp.samples.windows import (
    Window,
    close_pairs,
    counts_in_windows,
    footprint,
    grid_corners,
    possible_corners,
    require_room,
    squares,
    starts,
)
from headscarp.vocabulary import require_known


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
    fold: int = 0,
) -> Split:
    """Spatial subsets: windows lie wholly inside their own subset and stay at least `spec.buffer` pixels from
    those of other subsets.

    The buffer is taken from the training side (towards validation and test) and from the validation side
    (towards test), so that the test region stays whole. Windows of test tile its region at a stride of one
    window; regions are 0 where the label is 255. A `sampler` draws the training windows, if given; `scenes`
    are those of a collage (see `site.collage.join_scenes`). Of spatial blocks the folds
    0 to `spec.folds` - 1 together test all ground once.

    Raises:
        HeadscarpError: no split gives every subset of every fold landslides, background and windows, or the
            scene to test on does not exist or has no landslide.
    """
    for candidates in candidate_folds(label, spec, seed, scenes):
        found = [first_sound(subsets, label, spec) for subsets in candidates]
        if all(regions is not None for regions in found):
            regions = found[fold]
            windows, stages = windows_of_regions(
                regions, label, spec, np.random.default_rng([seed, fold]), date, sampler
            )
            refuse_close_subsets(windows, spec.buffer, "blocked")
            regions[label == UNMAPPED] = UNUSED
            return Split(windows, regions, stages)
    rotating = spec.folds > 1
    raise HeadscarpError(
        f"no {spec.kind} of the scene of {label.shape[0]} x {label.shape[1]} pixels give "
        f"train, validation and test{' of each fold' if rotating else ''} each a landslide, background and "
        f"a window of {spec.window} pixels beside a buffer of {spec.buffer}; "
        f"{'use fewer sampling.split.folds, ' if rotating else ''}make sampling.window, sampling.split.block "
        "or sampling.split.buffer smaller (or move sampling.split.edges), or use a larger site"
    )


def candidate_folds(
    label: np.ndarray, spec: SamplingSpec, seed: int, scenes: Sequence[Mapping[str, Any]]
) -> Iterator[Sequence[Iterable[np.ndarray]]]:
    """By the spec's kind of split, ways to part the ground, the best first: of each fold the subsets (row,
    col) before the buffer that it may have, the best first.

    Blocks of a collage whose scenes show one ground are of that ground: each has the same subset in all
    scenes.
    """
    if spec.kind == "strips":
        yield [[strip_subsets(label.shape, spec.split)]]
    elif spec.kind == "scenes":
        yield [scene_subsets(label, spec, seed, scenes)]
    else:
        ground = shared_ground(label.shape, scenes)
        split = label if ground is None else label[ground.reference]
        for folds in rotations(
            split, sides_of_blocks(spec), spec.folds, spec.split.validation, spec.buffer, seed
        ):
            yield (
                folds
                if ground is None
                else [(ground.paint(subsets, UNUSED) for subsets in candidates) for candidates in folds]
            )


def first_sound(candidates: Iterable[np.ndarray], label: np.ndarray, spec: SamplingSpec) -> np.ndarray | None:
    """Regions (row, col), buffer cleared, of the first subsets of which each has landslides, background and a
    window; None without any."""
    for subsets in candidates:
        regions = clear_buffer(subsets, spec.buffer)
        landslides, background = (
            np.bincount(regions[of], minlength=4)[TRAIN:] for of in (label == LANDSLIDE, is_background(label))
        )
        if landslides.all() and background.all() and has_windows(regions, label, spec):
            return regions
    return None


def has_windows(regions: np.ndarray, label: np.ndarray, spec: SamplingSpec) -> bool:
    """Whether each subset of the regions gives a window of the grid; of seeded ones, one with a landslide."""
    for code in (TRAIN, VALIDATION, TEST):
        corners = corners_inside(regions == code, spec.window, spec.window)
        counted = label == LANDSLIDE if spec.seeded_on_landslides and code != TEST else label != UNMAPPED
        if not (counts_in_windows(counted, corners, spec.window) > 0).any():
            return False
    return True


def scene_subsets(
    label: np.ndarray, spec: SamplingSpec, seed: int, scenes: Sequence[Mapping[str, Any]]
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
    tested, mapped = np.zeros(label.shape, bool), np.full_like(label, UNMAPPED)
    tested[slices[split.test]] = True
    for part in slices.values():
        mapped[part] = label[part]
    for subsets in subsets_around(mapped, tested, sides_of_blocks(spec), split.validation, spec.buffer, seed):
        yield paint_scenes(label.shape, slices, {name: subsets[part] for name, part in slices.items()})


def sides_of_blocks(spec: SamplingSpec) -> list[int]:
    return [spec.split.block] if spec.split.block else [windows * spec.window for windows in DEFAULT_BLOCKS]


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
