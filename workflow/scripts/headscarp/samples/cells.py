"""Labelled cells of a factor map: where they are, whether they are landslides, and which of them train,
validate and test.

A sample is a cell; networks look at the square windows around it. Only cells whose largest window lies inside
the map and has no NaN in any channel of any input group are sampled, so that all models, with or without
windows, are scored on the same cells.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from headscarp.arrays import write_arrays
from headscarp.codes import (
    AS_RELEASED,
    BACKGROUND,
    BLOCKED,
    LANDSLIDE,
    SPARE,
    SPLITS,
    TEMPORAL,
    TEST,
    TRAIN,
    UNMAPPED,
    UNUSED,
    VALIDATION,
)
from headscarp.errors import HeadscarpError
from headscarp.files import write_json
from headscarp.samples.blocks import DEFAULT_BLOCKS, block_assignments, clear_buffer, dilated, rotations
from headscarp.samples.build import bootstrap_cells
from headscarp.samples.cell_labels import CellLabels, kind_of_labels, label_cells
from headscarp.samples.cell_table import SUBSETS, is_one_hot, members
from headscarp.samples.spec import CellsSpec
from headscarp.site.cube import Cube, open_cube
from headscarp.vocabulary import require_known

EARLY_STOPPING_SHARE = 0.1  # of the training cells of a random split, kept aside for the curves of validation


def build_cells(
    cube_folder: str | Path,
    out_folder: str | Path,
    spec: CellsSpec,
    source: Mapping[str, Any],
    protocol: str,
    seed: int,
    groups: Sequence[Sequence[str]],
    fold: int = 0,
) -> None:
    """Write cells.npz and cells.json of a cube under a protocol: `published` (random split), `as_released`
    (a random part is tested, all train), `blocked` (spatial blocks) or `temporal` (later landslides are
    tested).

    Minima and maxima come from the windows of the training cells under `blocked`, where windows of different
    subsets never intersect, and `temporal`, and from those of all sampled cells under the others.

    Args:
        source: of the labels (see `labels_source`): {kind: inventory, inventory: polygons, truth: polygons,
            area: polygons}, the last two if there are any; {kind: polygons, polygons: polygons, area:
            polygons, year: column, until: year}, the last three if there are any; {kind: points, points:
            table, label, x, y: columns}; {kind: points, points: landslides, area: polygons} without a column
            of labels; or {kind: layer, channel: name, above: value}.
        groups: lists of channel names, together all that any experiment reads.
        fold: of those that rotate with the seed, the one that is tested under `blocked`.

    Raises:
        HeadscarpError: an unknown protocol, channel or source; a window larger than the map; no cell that can
            be sampled; a subset without landslides or without background; a factor of one value.
    """
    require_known(protocol, [*AT_RANDOM, BLOCKED, TEMPORAL], "protocol")
    cube = open_cube(cube_folder)
    channels = list(dict.fromkeys(name for group in groups for name in group))
    labels = label_cells(cube, source, spec.label_share)
    notes = list(labels.notes)
    if protocol == TEMPORAL:
        require_years(labels, source)
        labels = replace(labels, label=np.where(labels.undated, UNMAPPED, labels.label).astype(np.uint8))
    label = without_partial_windows(
        labels.label, whole_windows(cube, channels, spec.largest_window, Path(cube_folder)), notes
    )

    if protocol == BLOCKED:
        known = labels.learnt & (label != UNMAPPED)
        if known.any():
            notes.append(
                f"{np.count_nonzero(known)} cells lie where the network that labels the cells was trained: "
                "they train, and are not tested"
            )
        regions = blocked_regions(label, spec, seed, fold, labels.learnt)
        refuse_overlap(regions, spec.largest_window)
        learnt = regions == TRAIN
    elif protocol == TEMPORAL:
        regions, label = temporal_regions(label, labels.later, source["until"], seed, notes)
        learnt = regions == TRAIN
    else:
        regions = AT_RANDOM[protocol](label, spec, seed)
        learnt = np.broadcast_to(label != UNMAPPED, (1, *label.shape))
    if spec.background_ratio is not None:
        regions = thinned_background(regions, label, spec.background_ratio, seed)
    normalisation = ranges(cube, channels, [footprints(mask, spec.largest_window) for mask in learnt], notes)
    row, col = np.nonzero(label != UNMAPPED)
    arrays = {
        "row": row.astype(np.int32),
        "col": col.astype(np.int32),
        "label": label[row, col],
        "truth": labels.truth[row, col],
        "block": bootstrap_cells(label != UNMAPPED, spec.block or spec.largest_window)[row, col],
        "split": regions[:, row, col],
    }
    write_arrays(Path(out_folder) / "cells.npz", arrays)
    write_json(
        Path(out_folder) / "cells.json",
        {
            "protocol": protocol,
            "seed": seed,
            "windows": list(spec.windows),
            "folds": len(regions),
            "fold": fold,
            "kind": {BLOCKED: "blocks", TEMPORAL: "years"}.get(protocol, "random"),
            "buffer": spec.separation if protocol == BLOCKED else None,
            "normalisation": normalisation * (len(regions) // len(normalisation)),
            "counts": [subset_counts(arrays["label"], split, protocol) for split in arrays["split"]],
            "overlap": [overlap_share(region, spec.largest_window, protocol) for region in regions],
            "label_source": kind_of_labels(source),
            "label_share": spec.label_share,
            "background_ratio": spec.background_ratio,
            "data": cube.header["data"],
            "notes": notes,
        },
    )


# Which cells


def whole_windows(cube: Cube, channels: Sequence[str], window: int, folder: Path) -> np.ndarray:
    """Mask (row, col) of cells whose window lies inside the map and holds no NaN in any channel; read channel
    by channel.

    Raises:
        HeadscarpError: the window is larger than the map, or there is no such cell.
    """
    shape = cube.label.shape
    if window > min(shape):
        raise HeadscarpError(
            f"cells.windows holds {window}, but the map {folder} has "
            f"{shape[0]} x {shape[1]} cells; make the windows smaller"
        )
    missing = {
        name: np.isnan(cube.values[-1, position])
        for name, position in zip(channels, cube.positions(channels), strict=True)
    }
    bad = np.zeros(shape, bool)
    for mask in missing.values():
        bad |= mask
    whole = ~within_reach(bad, window)
    before, after = window // 2, window - 1 - window // 2
    whole[:before], whole[:, :before] = False, False
    whole[shape[0] - after :], whole[:, shape[1] - after :] = False, False
    if not whole.any():
        worst = max(missing, key=lambda name: missing[name].mean())
        raise HeadscarpError(
            f"{folder}: no cell has a whole window of {window} cells without "
            f"missing values; '{worst}' is missing at {missing[worst].mean():.0%} "
            "of the cells: drop it from the card, or make cells.windows smaller"
        )
    return whole


def within_reach(mask: np.ndarray, window: int) -> np.ndarray:
    """Cells (row, col) whose window of `window` cells holds a true cell of the mask."""
    return dilated(mask, window // 2, window - 1 - window // 2)


def footprints(mask: np.ndarray, window: int) -> np.ndarray:
    """What the windows of the mask's cells cover, bool (row, col)."""
    return dilated(mask, window - 1 - window // 2, window // 2)


def without_partial_windows(label: np.ndarray, whole: np.ndarray, notes: list[str]) -> np.ndarray:
    """The label, with cells without a whole window as not sampled (255), and a note of how many they are.

    Raises:
        HeadscarpError: no cell is left, or only landslides or only others.
    """
    lost = np.count_nonzero((label != UNMAPPED) & ~whole)
    kept = np.where(whole, label, UNMAPPED).astype(np.uint8)
    slides, others = np.count_nonzero(kept == LANDSLIDE), np.count_nonzero(kept == 0)
    if lost:
        notes.append(
            f"{lost} labelled cells have no whole window (border "
            "of the map, or missing values) and are not sampled"
        )
    if not slides or not others:
        raise HeadscarpError(
            f"{slides} landslide cells and {others} others have a whole window, {lost} labelled cells have "
            "none; both kinds are needed: make cells.windows smaller, or use a site with more landslides"
        )
    return kept


# Splits


def random_regions(label: np.ndarray, spec: CellsSpec, seed: int) -> np.ndarray:
    """Regions (fold, row, col) uint8 of a random split, or of as many shuffled folds; a tenth of the training
    cells validates.

    Raises:
        HeadscarpError: the training or the test cells of a fold hold no landslide, or nothing else.
    """
    rng = np.random.default_rng(seed)
    cells = np.flatnonzero(label != UNMAPPED)
    order = rng.permutation(len(cells))
    fold_of = np.empty(len(cells), int)
    if spec.folds == 1:
        fold_of[order] = np.where(np.arange(len(cells)) < round(spec.test_fraction * len(cells)), 0, 1)
    else:
        fold_of[order] = np.arange(len(cells)) % spec.folds
    regions = np.full((spec.folds, label.size), UNUSED, np.uint8)
    for fold, region in enumerate(regions):
        region[cells] = np.where(fold_of == fold, TEST, TRAIN)
        training = np.flatnonzero(region == TRAIN)
        region[rng.choice(training, round(EARLY_STOPPING_SHARE * len(training)), replace=False)] = VALIDATION
    regions = regions.reshape(spec.folds, *label.shape)
    problem = missing_class(label, regions, ("train", "test"))
    if problem:
        raise HeadscarpError(f"{problem}; use fewer cells.folds, another seed or a site with more landslides")
    return regions


def blocked_regions(
    label: np.ndarray, spec: CellsSpec, seed: int, fold: int, learnt: np.ndarray
) -> np.ndarray:
    """Regions (fold, row, col) uint8 of spatial blocks; largest windows of cells of different subsets never
    intersect.

    Of a hold-out it is the one that tests fold `fold` of `spec.rotating` (see `blocks.rotations`). In a
    cross-validation fold k is tested with fold k, validated with the next one and trained with the others.
    Training cells near test or validation cells, and validation cells near test cells, are unused. Cells of
    the land `learnt` (row, col) train in every fold.

    Raises:
        HeadscarpError: no blocks give every subset of every fold landslides and others; the fold of the best
            ones is named.
    """
    sides = [spec.block] if spec.block else [windows * spec.largest_window for windows in DEFAULT_BLOCKS]
    first_problem = None
    for candidates in candidate_folds(label, spec, sides, seed, learnt):
        chosen = []
        for subsets in candidates:
            regions = [clear_buffer(one, spec.separation) for one in subsets]
            problems = [missing_class(label, one[None], SPLITS) for one in regions]
            sound = [one for one, problem in zip(regions, problems, strict=True) if problem is None]
            if not sound:
                where = f"fold {len(chosen) + 1} of {len(candidates)}"
                told = problems[0] if problems else "fold 1 of 1 leaves too few blocks with landslides"
                first_problem = first_problem or told.replace("fold 1 of 1", where)
                break
            chosen.append(sound[0])
        else:
            return np.stack(chosen if spec.folds > 1 else [chosen[fold]])
    raise HeadscarpError(
        f"{first_problem or 'there are too few blocks with landslides to deal them out'} (spatial blocks "
        f"of {' or '.join(map(str, sides))} cells, {spec.separation} cells between subsets); change "
        "cells.block, make cells.windows or cells.buffer smaller, use fewer cells.folds or a larger site"
    )


def candidate_folds(
    label: np.ndarray, spec: CellsSpec, sides: Sequence[int], seed: int, learnt: np.ndarray
) -> Iterator[list[Iterable[np.ndarray]]]:
    """Ways to deal the cells, the best first: of each fold the subsets (row, col) before the buffer that it
    may have; unused where nothing is sampled.

    Cells of the land `learnt`, whose labels come from a network that was trained there, train in every fold.
    """
    outside = np.where(learnt, UNMAPPED, label)

    def dealt_to(subsets: np.ndarray) -> np.ndarray:
        return np.where(label == UNMAPPED, UNUSED, np.where(learnt, TRAIN, subsets)).astype(np.uint8)

    if spec.folds == 1:
        for folds in rotations(outside, sides, spec.rotating, spec.validation, spec.separation, seed):
            yield [map(dealt_to, subsets) for subsets in folds]
        return
    shares = (1 / spec.folds,) * spec.folds
    for dealt in block_assignments(outside, sides, shares, spec.separation, np.random.default_rng(seed)):
        yield [[dealt_to(subsets_of_fold(dealt, fold, spec.folds))] for fold in range(spec.folds)]


def subsets_of_fold(dealt: np.ndarray, fold: int, folds: int) -> np.ndarray:
    """Train, validation and test (row, col) of fold `fold` from 0, of cells dealt to the folds 1 … `folds` (0
    unused)."""
    subsets = np.where(dealt > 0, TRAIN, UNUSED).astype(np.uint8)
    subsets[dealt == (fold + 1) % folds + 1] = VALIDATION
    subsets[dealt == fold + 1] = TEST
    return subsets


def released_regions(label: np.ndarray, spec: CellsSpec, seed: int) -> np.ndarray:
    """Regions (fold, row, col) uint8 of which the test cells are those of `random_regions`; all others are
    region 1, and training takes them all (`cell_table.members`).

    Raises:
        HeadscarpError: as `random_regions`.
    """
    regions = random_regions(label, spec, seed)
    regions[regions == VALIDATION] = TRAIN
    return regions


def require_years(labels: CellLabels, source: Mapping[str, Any]) -> None:
    if labels.later is None:
        raise HeadscarpError(
            f"protocol {TEMPORAL} needs the years of landslides, which labels from {source['kind']} lack; "
            "give `polygons: {file, year: column}` and `temporal: {until: year}` in the card's `cells`"
        )


def temporal_regions(
    label: np.ndarray, later: np.ndarray, until: int, seed: int, notes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Regions (1, row, col) uint8 of what was known in the year `until` and what came after, and the label as
    each subset has it.

    All cells that slid up to then train. Of the others, which were all background then, a random half trains
    as such, slides of later years in it too, and the other half is tested on whether it slid later. So no
    cell both trains and is tested, and nothing of the training knows what came after. A tenth of the training
    cells validates.

    Raises:
        HeadscarpError: no cell slid up to the year, or none of those tested did after it.
    """
    rng = np.random.default_rng(seed)
    stable = np.flatnonzero((label != UNMAPPED) & ((label != LANDSLIDE) | later))
    region = np.where(label == UNMAPPED, UNUSED, TRAIN).astype(np.uint8).ravel()
    region[rng.permutation(stable)[: len(stable) // 2]] = TEST
    training = np.flatnonzero(region == TRAIN)
    region[rng.choice(training, round(EARLY_STOPPING_SHARE * len(training)), replace=False)] = VALIDATION
    regions = region.reshape(1, *label.shape)
    unknown = later & (regions[0] != TEST) & (label == LANDSLIDE)
    seen = np.where(unknown, BACKGROUND, label).astype(np.uint8)
    problem = missing_class(seen, regions, ("train", "test"))
    if problem:
        raise HeadscarpError(
            f"{problem.replace('fold 1 of 1', f'protocol {TEMPORAL} (until {until})')}; choose `temporal: "
            "{until: year}` so that landslides lie on both sides of it"
        )
    notes.append(
        f"learnt from landslides up to {until}, tested on later ones; {np.count_nonzero(unknown)} cells that "
        "slid later stand in the training half, as background, which is what was known then"
    )
    return regions, seen


def thinned_background(regions: np.ndarray, label: np.ndarray, ratio: float, seed: int) -> np.ndarray:
    """Regions (fold, row, col) uint8 with at most `ratio` background cells that train for each landslide cell
    that does, drawn at random; the others are spare."""
    regions = regions.copy()
    for fold, region in enumerate(regions):
        slides = np.count_nonzero((region == TRAIN) & (label == LANDSLIDE))
        background = np.flatnonzero((region == TRAIN) & (label == BACKGROUND))
        order = np.random.default_rng((seed, fold)).permutation(background)
        region.flat[order[round(ratio * slides) :]] = SPARE
    return regions


AT_RANDOM = {"published": random_regions, AS_RELEASED: released_regions}


def missing_class(label: np.ndarray, regions: np.ndarray, needed: Sequence[str]) -> str | None:
    """A sentence on the first fold of which a needed subset lacks landslides or others; None where all have
    both."""
    for fold, region in enumerate(regions, start=1):
        for name in needed:
            present = np.bincount(label[region == SUBSETS[name]], minlength=2)
            if not present[LANDSLIDE]:
                return (
                    f"fold {fold} of {len(regions)} has no landslide cell to "
                    f"{name.replace('validation', 'validate')}"
                )
            if not present[0]:
                return (
                    f"fold {fold} of {len(regions)} has nothing but landslide cells to "
                    f"{name.replace('validation', 'validate')}"
                )
    return None


def overlap_share(region: np.ndarray, window: int, protocol: str) -> float:
    """Share of the test cells of a fold whose windows of `window` cells intersect the window of a training
    cell."""
    return float(dilated(members(region, "train", protocol), window - 1)[region == TEST].mean())


def refuse_overlap(regions: np.ndarray, window: int) -> None:
    """The guard against leakage: windows of training and test cells must not intersect in any fold.

    Raises:
        HeadscarpError: they do; the fold is named.
    """
    for fold, region in enumerate(regions, start=1):
        share = overlap_share(region, window, "blocked")
        if share > 0:
            raise HeadscarpError(
                f"blocked cells leak: in fold {fold} the windows of {share:.1%} of "
                f"the test cells intersect windows of {window} cells around "
                "training cells; raise cells.buffer, or call the protocol published"
            )


# What the record tells


def ranges(
    cube: Cube, channels: Sequence[str], masks: Sequence[np.ndarray], notes: list[str]
) -> list[dict[str, dict[str, float]]]:
    """Minimum and maximum of every channel within each mask (row, col); 0 and 1 for the one-hot channels of
    class layers.

    Raises:
        HeadscarpError: a factor has one value only.
    """
    found: list[dict[str, dict[str, float]]] = [{} for _ in masks]
    for name, position in zip(channels, cube.positions(channels), strict=True):
        plane = np.asarray(cube.values[-1, position])
        for scale, mask in zip(found, masks, strict=True):
            least, most = float(plane[mask].min()), float(plane[mask].max())
            if is_one_hot(name, cube.channels):
                if least == most:
                    notes.append(
                        f"'{name}' is {least:g} everywhere in the windows that its range is taken from"
                    )
                least, most = 0.0, 1.0
            elif least == most:
                raise HeadscarpError(
                    f"factor '{name}' has one value ({least:g}) in the windows of the training cells, "
                    "so it cannot be scaled and tells nothing; drop it from the input groups in the card"
                )
            scale[name] = {"min": least, "max": most}
    return found


def subset_counts(label: np.ndarray, split: np.ndarray, protocol: str) -> dict[str, dict[str, int]]:
    """Cells and landslide cells of every subset of a fold."""
    masks = {name: members(split, name, protocol) for name in SUBSETS}
    return {
        name: {"cells": int(mask.sum()), "landslides": int((label[mask] == LANDSLIDE).sum())}
        for name, mask in masks.items()
    }
