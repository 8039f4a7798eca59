"""Which patches of a set's sheet train, validate and test, and the windows in them; a window lies in
one patch."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from headscarp.codes import LANDSLIDE, SPLITS, TEST, TRAIN, UNMAPPED, UNUSED, VALIDATION
from headscarp.errors import HeadscarpError
from headscarp.samples.blocks import ASSIGNMENTS, MOST_TRIED, imbalance, random_assignment
from headscarp.samples.patches import PlacedPatch
from headscarp.samples.spec import SamplingSpec
from headscarp.samples.splits import Sampler, Split, draw_windows, windows_at
from headscarp.samples.windows import Window, close_pairs, counts_in_windows, grid_corners

CODES = dict(zip(SPLITS, (TRAIN, VALIDATION, TEST), strict=True))

PUBLISHED_NOTE = "train, validation and test are the set's own split"
BY_REGION_NOTE = "the set's own split is by region: no event or area is in two subsets, and it is kept"
BY_NEIGHBOURHOOD_NOTE = (
    "patches were split by their places: neighbours stay together, and those near another subset are left out"
)
BY_GROUP_NOTE = "patches were split by the events or areas that they come from"
AT_RANDOM_NOTE = (
    "patches were split at random: neither their places nor their events are known, "
    "so that patches of two subsets may be neighbours on the ground or overlap"
)


def patch_split(
    label: np.ndarray,
    spec: SamplingSpec,
    seed: int,
    patches: Sequence[PlacedPatch],
    protocol: str,
    date: int = 0,
    sampler: Sampler | None = None,
    fold: int = 0,
) -> tuple[Split, str]:
    """Windows and regions of a sheet, and a note on how its patches were split.

    `published`: the set's own subsets. `blocked`: the same if they are by region, else those of
    `blocked_subsets`, of which the fold `fold` is tested where there are several. Every window lies in one
    patch: training and validation windows are drawn from the grid of the patch (`spec.stride`), those of test
    tile the patch. The training windows of a `sampler`, if given, take the place of the former.

    Raises:
        HeadscarpError: a patch is smaller than a window, or a subset has no landslide or no window.
    """
    rng = np.random.default_rng(seed)
    small = min(min(patch.height, patch.width) for patch in patches)
    if small < spec.window:
        raise HeadscarpError(
            f"patches of {small} pixels are smaller than the "
            f"window of {spec.window}; make sampling.window smaller"
        )
    counts = pixels_by_code(label, patches)
    slides = counts[:, LANDSLIDE]
    published = np.array([CODES[patch.split] for patch in patches], np.uint8)
    if protocol == "published":
        candidates, note = iter([published]), PUBLISHED_NOTE
    elif is_by_region(patches) and subset_without_landslides(published, slides) is None:
        candidates, note = iter([without_close_patches(published, patches, spec.buffer)]), BY_REGION_NOTE
    else:
        candidates, note = blocked_subsets(patches, counts, spec, rng, fold)
    subsets = None
    for subsets in candidates:
        if subset_without_landslides(subsets, slides) is None:
            return split_by_patches(subsets, label, patches, spec, rng, date, sampler), note
    missing = (
        "train, validation or test"
        if subsets is None or protocol != "published"
        else subset_without_landslides(subsets, slides)
    )
    raise HeadscarpError(
        f"{protocol} split of {len(patches)} patches: {missing} has no patch with a landslide in its mask; "
        + (
            "the set published no masks of it, or they were not unpacked: add them, "
            "or use the protocol blocked, which splits the patches that have masks"
            if protocol == "published"
            else "make sampling.split.neighbourhood or sampling.split.buffer smaller, or take more patches"
        )
    )


def pixels_by_code(label: np.ndarray, patches: Sequence[PlacedPatch]) -> np.ndarray:
    """Pixels (patch, code) int64 of each code of a label but that of no data."""
    return np.stack(
        [np.bincount(label[patch.area].ravel(), minlength=UNMAPPED + 1)[:UNMAPPED] for patch in patches]
    )


def balanced_shares(counts: np.ndarray) -> np.ndarray:
    """What subsets shall share evenly, as shares of the whole (n, patch): scored pixels, landslides and, of
    labels of several classes, each of the others."""
    others = np.delete(counts, LANDSLIDE, axis=1)
    others = others[:, others.any(axis=0)]
    amounts = [counts.sum(axis=1), counts[:, LANDSLIDE], *(others.T if others.shape[1] > 1 else [])]
    return np.stack([amount / max(amount.sum(), 1) for amount in amounts])


def subset_without_landslides(subsets: np.ndarray, slides: np.ndarray) -> str | None:
    """The first subset that has no landslide pixel, or None."""
    found = np.bincount(subsets, weights=slides, minlength=4)
    return next((name for name, code in CODES.items() if not found[code]), None)


def is_by_region(patches: Sequence[PlacedPatch]) -> bool:
    """Whether every patch's event or area is known, and none is in two of the published subsets."""
    subsets = defaultdict(set)
    for patch in patches:
        subsets[patch.group].add(patch.split)
    return "" not in subsets and all(len(splits) == 1 for splits in subsets.values())


def blocked_subsets(
    patches: Sequence[PlacedPatch],
    counts: np.ndarray,
    spec: SamplingSpec,
    rng: np.random.Generator,
    fold: int,
) -> tuple[Iterator[np.ndarray], str]:
    """Subsets (patch) uint8 of whole patches, the best first, and a note on how they came about.

    Patches that stay together: where all places are known, those of one square of `spec.split.neighbourhood`
    patches a side, and patches closer than `spec.buffer` pixels to another subset's are left out (of
    training, then of validation); else those of one event or area where there are three or more; else each is
    for itself. Of several hundred random assignments those whose shares (`balanced_shares` of `counts`) are
    nearest to `spec.split.fractions` come first. Where the split has several folds, all is dealt to them, the
    best deal alone, and what the fold `fold` does not test is assigned to training and validation.
    """
    if all(patch.crs for patch in patches):
        names, note = squares_of_patches(patches, spec.split.neighbourhood), BY_NEIGHBOURHOOD_NOTE
    elif all(patch.group for patch in patches) and len({patch.group for patch in patches}) >= len(SPLITS):
        names, note = [(patch.group,) for patch in patches], BY_GROUP_NOTE
    else:
        names, note = [(patch.name,) for patch in patches], AT_RANDOM_NOTE
    known = {name: number for number, name in enumerate(dict.fromkeys(names))}
    unit = np.array([known[name] for name in names])
    shares = np.stack([np.bincount(unit, weights=share) for share in balanced_shares(counts)])
    centres = centres_of(list(known), rng)
    if spec.folds > 1:
        found = folded_assignments(centres, shares, spec, rng, fold)
    else:
        found = best_assignments(centres, shares, spec.split.fractions, rng)
    return (without_close_patches(units[unit], patches, spec.buffer) for units in found), note


def best_assignments(
    centres: np.ndarray, shares: np.ndarray, fractions: Sequence[float], rng: np.random.Generator
) -> list[np.ndarray]:
    """Of several hundred random assignments (unit) of codes 1 … len(fractions) the best, the best first."""
    tried = [random_assignment(centres, shares[0], fractions, rng) for _ in range(ASSIGNMENTS)]
    costs = np.array([imbalance(assignment, shares, fractions) for assignment in tried])
    best = np.argsort(costs, kind="stable")[:MOST_TRIED]
    return [tried[index] for index in best if np.isfinite(costs[index])]


def folded_assignments(
    centres: np.ndarray, shares: np.ndarray, spec: SamplingSpec, rng: np.random.Generator, fold: int
) -> Iterator[np.ndarray]:
    """Subsets (unit) in which the fold `fold` of the best deal to all folds is the test, the best first."""
    for dealt in best_assignments(centres, shares, (1 / spec.folds,) * spec.folds, rng)[:1]:
        others = np.flatnonzero(dealt != fold + 1)
        train, validation, _ = spec.split.fractions
        parts = np.array([train, validation]) / (train + validation)
        whole = shares[:, others].sum(axis=1, keepdims=True)
        left = shares[:, others] / np.where(whole > 0, whole, 1)
        for assignment in best_assignments(centres[others], left, parts, rng):
            subsets = np.full(len(dealt), TEST, np.uint8)
            subsets[others] = assignment
            yield subsets


def squares_of_patches(patches: Sequence[PlacedPatch], side: int) -> list[tuple[str, int, int]]:
    """CRS, row and column of the square of `side` x `side` patches that the centre of each patch is in."""
    squares = []
    for patch in patches:
        x, y = patch.transform @ (patch.width / 2, patch.height / 2)
        wide, tall = side * patch.width * abs(patch.transform.a), side * patch.height * abs(patch.transform.e)
        squares.append((patch.crs, int(-y // tall), int(x // wide)))
    return squares


def centres_of(names: Sequence[tuple[Any, ...]], rng: np.random.Generator) -> np.ndarray:
    """Places (unit, 2) between 0 and 1 by which units are swept: those of squares of one CRS, else at
    random."""
    if len(names[0]) == 1 or len({crs for crs, _, _ in names}) > 1:
        return rng.uniform(size=(len(names), 2))
    centres = np.array([name[1:] for name in names], np.float64)
    centres -= centres.min(axis=0)
    return centres / np.maximum(centres.max(axis=0), 1)


def without_close_patches(subsets: np.ndarray, patches: Sequence[PlacedPatch], buffer: int) -> np.ndarray:
    """The subsets (patch), with 0 for patches closer on the ground than `buffer` pixels to those of test, and
    of validation on the training side; patches without a place, or of different CRSs, are near none."""
    kept = subsets.copy()
    by_crs = defaultdict(list)
    for number, patch in enumerate(patches):
        if patch.crs:
            by_crs[patch.crs].append(number)
    for numbers in by_crs.values():
        numbers = np.array(numbers)
        squares, own = ground_squares([patches[number] for number in numbers]), subsets[numbers]
        for code, others in ((VALIDATION, own == TEST), (TRAIN, own > TRAIN)):
            mine = np.flatnonzero(own == code)
            for near, _ in close_pairs(squares[mine], squares[others], buffer):
                kept[numbers[mine[near]]] = UNUSED
    return kept


def ground_squares(patches: Sequence[PlacedPatch]) -> np.ndarray:
    """Patches of one CRS as squares (n, 3): row, column and side on one lattice of the smallest pixels."""
    cell = min(abs(patch.transform.a) for patch in patches)
    found = []
    for patch in patches:
        west, north = patch.transform @ (0, 0)
        side = max(patch.width * abs(patch.transform.a), patch.height * abs(patch.transform.e))
        found.append((round(-north / cell), round(west / cell), round(side / cell)))
    squares = np.array(found, np.int64)
    squares[:, :2] -= squares[:, :2].min(axis=0)
    return squares


def split_by_patches(
    subsets: np.ndarray,
    label: np.ndarray,
    patches: Sequence[PlacedPatch],
    spec: SamplingSpec,
    rng: np.random.Generator,
    date: int,
    sampler: Sampler | None,
) -> Split:
    """Windows and regions of the subsets (patch).

    Raises:
        HeadscarpError: a subset has no window.
    """
    regions = np.zeros(label.shape, np.uint8)
    for patch, code in zip(patches, subsets, strict=True):
        regions[patch.area] = code
    windows: list[Window] = []
    stages: list[dict[str, Any]] = []
    for name, code in CODES.items():
        chosen = [patch for patch, own in zip(patches, subsets, strict=True) if own == code]
        if code == TRAIN and sampler is not None:
            corners, stages = sampler.balanced(sampler.candidates(regions == code), regions == code, rng)
        elif code == TEST:
            corners = corners_in_patches(chosen, spec.window, spec.window)
            corners = corners[counts_in_windows(label != UNMAPPED, corners, spec.window) > 0]
        else:
            corners = draw_windows(corners_in_patches(chosen, spec.window, spec.stride), label, spec, rng)
        if not len(corners):
            raise HeadscarpError(
                f"the {name} patches give no window of {spec.window} pixels; take more patches"
            )
        windows += windows_at(corners, spec.window, date, name)
    regions[label == UNMAPPED] = UNUSED
    return Split(windows, regions, stages)


def corners_in_patches(patches: Sequence[PlacedPatch], size: int, stride: int) -> np.ndarray:
    """Corners (n, 2) of the regular grid of windows in each patch: every one lies in one patch, and together
    they cover all."""
    corners = [np.empty((0, 2), np.int64)]
    for patch in patches:
        corners.append(
            np.array([patch.row, patch.col]) + grid_corners((patch.height, patch.width), size, stride)
        )
    return np.concatenate(corners)


def patch_cells(scored: np.ndarray, patches: Sequence[PlacedPatch]) -> np.ndarray:
    """Number (row, col) int32 of the patch that a pixel lies in, which bootstraps draw; -1 where nothing is
    scored."""
    cells = np.full(scored.shape, -1, np.int32)
    for number, patch in enumerate(patches):
        cells[patch.area] = np.where(scored[patch.area], number, -1)
    return cells
