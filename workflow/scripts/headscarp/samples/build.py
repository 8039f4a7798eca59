"""The samples of a site: window index, regions, bootstrap cells and the statistics that normalise the
channels."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headscarp.arrays import open_array, write_array
from headscarp.codes import LANDSLIDE, SPLITS, TEST, TRAIN, UNMAPPED, VALIDATION
from headscarp.errors import HeadscarpError
from headscarp.files import read_json, write_json
from headscarp.samples.background import require_both, require_both_in_training, require_both_observed
from headscarp.samples.ground import SharedGround, shared_ground, slices_of_scene
from headscarp.samples.patch_split import patch_cells, patch_split
from headscarp.samples.patches import PATCHES_FILE, read_patches
from headscarp.samples.spec import AREA, BLOCKS, PATCHES, TEST_WINDOWS, SamplingSpec
from headscarp.samples.splits import Split, blocked_split, overlap_share, published_split
from headscarp.samples.superpixels import SuperpixelSampler, superpixel_centres
from headscarp.samples.windows import Window, footprint, write_windows
from headscarp.vocabulary import require_known

STRIP_BYTES = 64 << 20  # how much of a cube is in memory at a time

EVALUATION_NOTES = {
    AREA: "every mapped pixel is evaluated, those of the training windows included, as in the paper",
    TEST_WINDOWS: "the test windows, drawn at random, are also the validation windows that stop and tune "
    "the training, as in the paper",
}
UNBALANCED_NOTES = {
    "blocked": "only training windows are centred on superpixels and balanced; validation and test windows "
    "are those of the regular grid",
    "published": "patches of superpixels are split at random; only the training ones are balanced, with "
    "further patches on the ground of training ones",
}
SHARED_NOTES = {
    "blocked": "the scenes show one ground: a place has the same subset in all of them, and is one cell of "
    "the bootstrap",
    "published": "the scenes show one ground, and windows are split at random: a place may train in one "
    "scene and be tested in another, as in the paper",
}
SPLITTERS = {"published": published_split, "blocked": blocked_split}


def build_samples(
    cube_folder: str | Path,
    out_folder: str | Path,
    spec: SamplingSpec,
    protocol: str,
    seed: int,
    groups: Sequence[Sequence[str]] = (),
    fold: int = 0,
) -> None:
    """Write windows.csv, regions.npy, blocks.npy and samples.json of a cube under a protocol (`published` or
    `blocked`).

    Where all channels of one of `groups` (lists of channel names) are NaN at all dates the pixel is not
    scored (region 0), so that all experiments on a site are scored on the same pixels. The label belongs to
    the last date of the cube, as all windows do, each of which stands for all dates of its place. Statistics
    for normalisation come from the training region under `blocked` and from all scored pixels under
    `published` (Gao et al. 2021 standardise the whole image). Where training windows are those of
    superpixels, samples.json tells their `stages` (see `SuperpixelSampler.balanced`).

    Of spatial blocks, or of patches dealt to folds, under `blocked` the fold `fold` is tested; the folds
    together test all ground once.

    The cube of a set of patches (its header has `patches`) is split by whole patches (see
    `patch_split.patch_split`), of which each is a bootstrap cell.

    Raises:
        HeadscarpError: unknown protocol or channel, no landslide or no background in the label, where the
            inputs are observed, or in the training windows, no possible split, or a split of kind patches for
            a site that is no set of patches or the reverse.
    """
    require_known(protocol, SPLITTERS, "protocol")
    cube_folder, out_folder = Path(cube_folder), Path(out_folder)
    header = read_json(cube_folder / "cube.json")
    cube, label = open_array(cube_folder / "cube.npy"), open_array(cube_folder / "label.npy")
    channels = [channel["name"] for channel in header["channels"]]
    dated = [channel["name"] for channel in header["channels"] if channel.get("dated")]
    patches = read_patches(cube_folder / PATCHES_FILE) if "patches" in header else []
    require_kind(spec, bool(patches), cube_folder)
    require_both(label, cube_folder / "label.npy")

    seen = observed(cube, channels, groups)
    unobserved = int(((label != UNMAPPED) & ~seen).sum())
    label = np.where(seen, label, UNMAPPED).astype(np.uint8)
    require_both_observed(label, cube_folder / "cube.npy")
    sampler = superpixel_sampler(cube[-1], channels, label, spec) if spec.superpixels else None
    blocked, scenes = protocol == "blocked", header.get("scenes", [])
    if patches:
        split, note = patch_split(label, spec, seed, patches, protocol, len(cube) - 1, sampler, fold)
        notes = [note]
    else:
        split = SPLITTERS[protocol](
            label,
            spec,
            seed,
            date=len(cube) - 1,
            sampler=sampler,
            **({"scenes": scenes, "fold": fold} if blocked else {}),
        )
        notes = [] if blocked else [EVALUATION_NOTES[spec.evaluate]]
    require_both_in_training(label, split.windows)
    if unobserved:
        when = " at all dates" if len(cube) > 1 else ""
        notes.append(
            f"{unobserved} mapped pixels lack all channels of an input group{when} and are not scored"
        )
    record = {
        "protocol": protocol,
        "seed": seed,
        "fold": fold,
        "folds": spec.folds if blocked else 1,
        "window": spec.window,
        "stride": spec.stride,
        "buffer": spec.buffer if blocked and all(patch.crs for patch in patches) else None,
        "kind": spec.kind if blocked or patches else "random",
        "normalisation": normalisation(
            cube, split.regions == TRAIN if blocked else label != UNMAPPED, channels, dated
        ),
        "counts": subset_counts(split, label, protocol),
        "overlap": training_overlap(split, label),
        "notes": notes,
    }
    if sampler:
        record["superpixels"] = asdict(spec.superpixels) | {"count": len(sampler.centres)}
        record["stages"] = split.stages
        notes += [UNBALANCED_NOTES[protocol], *notes_of_stages(split.stages, label, spec)]
    if scenes:
        record["scenes"] = scene_counts(split, label, scenes)
        idle = [scene["name"] for scene in record["scenes"] if not any(scene["windows"].values())]
        notes += [f"scene {name} gives no window, neither to learn from nor to test on" for name in idle]
    scored = label != UNMAPPED
    ground = shared_ground(label.shape, scenes) if spec.kind == BLOCKS else None
    if ground:
        notes.append(SHARED_NOTES[protocol])
    write_windows(out_folder / "windows.csv", split.windows)
    write_array(out_folder / "regions.npy", split.regions)
    write_array(
        out_folder / "blocks.npy",
        patch_cells(scored, patches) if patches else bootstrap_cells(scored, spec.window, ground),
    )
    write_json(out_folder / "samples.json", record)


def require_kind(spec: SamplingSpec, of_patches: bool, cube_folder: Path) -> None:
    """A set's sheet is split by patches, and nothing else is.

    Raises:
        HeadscarpError: the kind of split does not suit the site.
    """
    if of_patches and spec.kind != PATCHES:
        raise HeadscarpError(
            f"{cube_folder} is a sheet of patches, but sampling.split.kind is {spec.kind}; make it {PATCHES}"
        )
    if spec.kind == PATCHES and not of_patches:
        raise HeadscarpError(
            f"sampling.split.kind is {PATCHES}, but {cube_folder} "
            "is no sheet of patches; use blocks, strips or scenes"
        )


def superpixel_sampler(
    image: np.ndarray, channels: Sequence[str], label: np.ndarray, spec: SamplingSpec
) -> SuperpixelSampler:
    """The sampler of the superpixels of an image (channel, row, col).

    Raises:
        HeadscarpError: the image lacks a channel that superpixels are made of.
    """
    chosen = [
        channels.index(require_known(name, channels, "sampling.superpixels channel"))
        for name in spec.superpixels.channels
    ]
    centres = superpixel_centres(
        image, chosen, label != UNMAPPED, spec.superpixels.pixels, spec.superpixels.compactness
    )
    return SuperpixelSampler(centres, label, spec)


def notes_of_stages(stages: Sequence[dict[str, Any]], label: np.ndarray, spec: SamplingSpec) -> list[str]:
    """What a reader must know of how far the classes were balanced."""
    region, last = stages[0]["shares"], stages[-1]["shares"]
    notes = []
    missing = sorted(set(np.unique(label[label != UNMAPPED]).tolist()) - {int(code) for code in region})
    if missing:
        notes.append(
            "the training region has no pixel of class "
            f"{', '.join(map(str, missing))}, which its windows cannot balance"
        )
    rarest, largest = min(last.values()), max(last.values())
    if largest > spec.superpixels.bound * rarest:
        times = f"{largest / rarest:.1f} times" if rarest else "infinitely more than"
        notes.append(
            f"in the {stages[-1]['windows']} training windows the largest class covers {times} "
            f"what the smallest does; the bound of {spec.superpixels.bound:g} was not reached"
        )
    return notes


def observed(cube: np.ndarray, channels: Sequence[str], groups: Sequence[Sequence[str]]) -> np.ndarray:
    """Mask (row, col) of pixels that have, in every group of channels, at least one value that is not NaN.

    Raises:
        HeadscarpError: a group names a channel that the cube lacks.
    """
    indices = [
        [channels.index(require_known(name, channels, "channel")) for name in group] for group in groups
    ]
    mask = np.ones(cube.shape[2:], dtype=bool)
    for rows in row_strips(cube):
        for group in indices:
            missing = np.ones(mask[rows].shape, dtype=bool)
            for channel in group:
                missing &= np.isnan(cube[:, channel, rows]).all(axis=0)
            mask[rows] &= ~missing
    return mask


def row_strips(cube: np.ndarray) -> Iterator[slice]:
    """Slices of rows of which one (time, channel, row, col) strip fits in `STRIP_BYTES`."""
    time, channel, height, width = cube.shape
    step = max(1, STRIP_BYTES // (time * channel * width * cube.itemsize))
    for first in range(0, height, step):
        yield slice(first, min(first + step, height))


@dataclass
class Moments:
    """Number, mean and summed squared deviations of values that come in parts."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, values: np.ndarray) -> None:
        """Merge further values, NaN left out, in float64, by the update of Chan, Golub and LeVeque (1983)."""
        values = values[~np.isnan(values)].astype(np.float64)
        if not values.size:
            return
        total = self.count + values.size
        shift = values.mean() - self.mean
        self.squares += ((values - values.mean()) ** 2).sum() + shift**2 * self.count * values.size / total
        self.mean += shift * values.size / total
        self.count = total

    def record(self) -> dict[str, float] | None:
        """Mean and standard deviation, of which 0 becomes 1; None without values."""
        return (
            {"mean": float(self.mean), "sd": float(np.sqrt(self.squares / self.count)) or 1.0}
            if self.count
            else None
        )


def normalisation(
    cube: np.ndarray, mask: np.ndarray, channels: Sequence[str], dated: Sequence[str] = ()
) -> dict[str, dict[str, float | list[dict[str, float] | None]]]:
    """Mean and standard deviation of every channel of a (time, channel, row, col) cube over the pixels of
    `mask`, NaN left out.

    All dates are pooled; a channel of `dated` has those of each date too, `by_date` (None where the date has
    no value), where there are several. A standard deviation of 0 becomes 1. The cube is read strip by strip.

    Raises:
        HeadscarpError: a channel has no value in `mask`.
    """
    pooled = {name: Moments() for name in channels}
    by_date = {name: [Moments() for _ in cube] for name in dated if len(cube) > 1}
    for rows in row_strips(cube):
        inside = mask[rows]
        if not inside.any():
            continue
        for index, name in enumerate(channels):
            values = cube[:, index, rows][:, inside]
            pooled[name].add(values)
            for moments, part in zip(by_date.get(name, ()), values, strict=False):
                moments.add(part)
    empty = [name for name in channels if not pooled[name].count]
    if empty:
        raise HeadscarpError(
            f"channel '{empty[0]}' has no value (all NaN) in the "
            "training pixels; check that its layer covers the site"
        )
    record = {name: pooled[name].record() for name in channels}
    for name, moments in by_date.items():
        if name in record:
            record[name]["by_date"] = [each.record() for each in moments]
    return record


def subset_counts(split: Split, label: np.ndarray, protocol: str) -> dict[str, dict[str, float | None]]:
    """Windows, scored pixels and landslide share of every subset; under `published` train and validation are
    what their windows cover."""
    counts = {}
    for code, name in zip((TRAIN, VALIDATION, TEST), SPLITS, strict=True):
        windows: list[Window] = [window for window in split.windows if window.split == name]
        area = split.regions == code
        if protocol == "published" and code != TEST:
            area = footprint(windows, label.shape) & (label != UNMAPPED)
        pixels = int(area.sum())
        landslides = int((label[area] == LANDSLIDE).sum())
        counts[name] = {
            "windows": len(windows),
            "pixels": pixels,
            "landslide_share": landslides / pixels if pixels else None,
        }
    return counts


def scene_counts(split: Split, label: np.ndarray, scenes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Place in the collage, windows of every subset, scored pixels and landslide share of each scene."""
    counts = []
    for scene in scenes:
        rows, part = range(scene["row"], scene["row"] + scene["height"]), label[slices_of_scene(scene)]
        splits = [window.split for window in split.windows if window.row in rows]
        pixels = int((part != UNMAPPED).sum())
        counts.append(
            {
                "name": scene["name"],
                **{key: scene[key] for key in ("row", "height", "width")},
                "windows": {name: splits.count(name) for name in SPLITS},
                "pixels": pixels,
                "landslide_share": int((part == LANDSLIDE).sum()) / pixels if pixels else None,
            }
        )
    return counts


def training_overlap(split: Split, label: np.ndarray) -> dict[str, float | None]:
    """How much of what is validated and evaluated was trained on: shares of windows, and of evaluated pixels,
    None where there are none."""
    trained = footprint((window for window in split.windows if window.split == "train"), label.shape)
    return {
        "validation_windows_overlapping_training": overlap_share(split.windows),
        "test_windows_overlapping_training": overlap_share(split.windows, "test"),
        "test_pixels_in_training_windows": float(trained[split.regions == TEST].mean()),
    }


def bootstrap_cells(scored: np.ndarray, size: int, ground: SharedGround | None = None) -> np.ndarray:
    """Id (row, col) int32 of the square of `size` pixels that a pixel lies in; -1 where nothing is scored. Of
    a collage whose scenes show one ground the squares are of that ground, on the grid of its reference."""
    if ground:
        whole = np.ones(scored[ground.reference].shape, bool)
        return np.where(scored, ground.paint(bootstrap_cells(whole, size), -1), -1).astype(np.int32)
    rows, cols = (np.arange(length, dtype=np.int32) // size for length in scored.shape)
    return np.where(scored, rows[:, None] * (cols[-1] + 1) + cols[None, :], -1).astype(np.int32)
