"""Windows of a cube as training batches: slices of memory maps, never a whole scene.

What is read in which order, and how it is turned, is a function of (seed, epoch) alone; a resumed run needs no sampler state.
"""

import mmap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from headscarp.errors import HeadscarpError
from headscarp.files import read_json
from headscarp.samples.splits import TEST, TRAIN, UNMAPPED, UNUSED, VALIDATION
from headscarp.samples.windows import SPLITS, Window, read_windows
from headscarp.site.cube import open_array
from headscarp.vocabulary import require_known

BLOCKED = "blocked"
REGION_OF = dict(zip(SPLITS, (TRAIN, VALIDATION, TEST), strict=True))
RELEASE_BYTES = 64 << 20

Batch = tuple[Tensor, Tensor, Tensor]


class Scene:
    """Chosen channels of a cube (time, channel, row, col), z-scored as they are read.

    Args:
        cube: float32, usually a memory map; NaN is no data.
        channels: positions of the chosen channels in the cube.
        mean, sd: one number for each chosen channel, in its units; sd 0 (a constant channel) counts as 1.
    """

    def __init__(self, cube: np.ndarray, channels: list[int], mean: list[float], sd: list[float]) -> None:
        self.cube = cube
        self.channels = channels
        self._mean = np.asarray(mean, np.float32)[:, None, None]
        self._sd = np.asarray([s or 1.0 for s in sd], np.float32)[:, None, None]
        self._unreleased = 0

    @property
    def shape(self) -> tuple[int, int]:
        return self.cube.shape[2:]

    def read(self, date: int, rows: slice, cols: slice) -> np.ndarray:
        """Standardised values (channel, row, col) float32 of one date; NaN stays NaN."""
        values = np.stack([self.cube[date, channel, rows, cols] for channel in self.channels])
        self._release(values.nbytes)
        values -= self._mean
        values /= self._sd
        return values

    def read_pixels(self, date: int, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Standardised values (pixel, channel) float32 of single pixels; NaN stays NaN."""
        values = np.stack([self.cube[date, channel, rows, cols] for channel in self.channels])
        return ((values - self._mean[:, 0]) / self._sd[:, 0]).T

    def _release(self, count: int) -> None:
        """Give pages of the map that were read back to the system now and then, or they would count as memory of this process."""
        self._unreleased += count
        mapped = getattr(self.cube, "_mmap", None)
        if self._unreleased > RELEASE_BYTES and mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)
            self._unreleased = 0


def open_scene(cube_folder: str | Path, samples_folder: str | Path, channels: list[str], statistics: str | Path | None = None) -> Scene:
    """Open the cube's memory map with the normalisation of a set of samples, or that of another samples.json, `statistics`.

    Raises:
        HeadscarpError: a file is missing or truncated; a channel is not in the cube (the nearest name is told) or has no normalisation.
    """
    header, samples = Path(cube_folder) / "cube.json", Path(statistics or Path(samples_folder) / "samples.json")
    names = [channel["name"] for channel in read_json(header)["channels"]]
    normalisation = read_json(samples)["normalisation"]
    for name in channels:
        require_known(name, names, f"{header}: channel")
        require_known(name, normalisation, f"{samples}: normalisation of channel")
    scale = [normalisation[name] for name in channels]
    cube = open_array(Path(cube_folder) / "cube.npy")
    return Scene(cube, [names.index(name) for name in channels], [s["mean"] for s in scale], [s["sd"] for s in scale])


@dataclass(frozen=True)
class Samples:
    """Windows of a scene with labels: `windows` maps a split to an int array (window, [row, col, size, date])."""

    scene: Scene
    label: np.ndarray
    regions: np.ndarray
    protocol: str
    windows: dict[str, np.ndarray]

    def read(self, split: str, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One window: image (channel, row, col) float32 with no data as 0 (the mean), target uint8 and mask bool, both (row, col).

        The mask leaves out pixels that are unmapped or never used and, under protocol blocked, those outside the split's region.
        """
        row, col, size, date = (int(n) for n in self.windows[split][index])
        rows, cols = slice(row, row + size), slice(col, col + size)
        image = self.scene.read(date, rows, cols)
        np.nan_to_num(image, copy=False)
        return image, *self._target(rows, cols, split)

    def _target(self, rows: slice, cols: slice, split: str) -> tuple[np.ndarray, np.ndarray]:
        label, region = self.label[rows, cols], self.regions[rows, cols]
        mask = (label != UNMAPPED) & (region == REGION_OF[split] if self.protocol == BLOCKED else region != UNUSED)
        return np.where(mask, label, 0), mask

    def with_share(self, share: float, seed: int) -> "Samples":
        """The same with a share of the training windows, drawn by the seed: at least one, and all of a smaller share in a larger.

        Raises:
            HeadscarpError: the share is not above 0 and at most 1.
        """
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            raise HeadscarpError(f"the share of training windows is {share!r}; it must be a number above 0 and at most 1")
        train = self.windows["train"]
        drawn = np.random.default_rng([seed, len(train), 3]).permutation(len(train))[: max(1, round(share * len(train)))]
        return replace(self, windows=self.windows | {"train": train[np.sort(drawn)]})

    def balanced_weights(self, classes: int) -> np.ndarray:
        """Weights (class) float32 with which all classes of the training windows count the same: pixels / (classes found x pixels of
        the class), as scikit-learn's `balanced`; 0 for a class without pixels."""
        counts = np.zeros(classes, np.int64)
        for row, col, size, _ in self.windows["train"].tolist():
            target, mask = self._target(slice(row, row + size), slice(col, col + size), "train")
            counts += np.bincount(target[mask], minlength=classes)
        weights = counts.sum() / (np.count_nonzero(counts) or 1) / counts.clip(min=1)
        return np.where(counts, weights, 0).astype(np.float32)


def open_samples(cube_folder: str | Path, samples_folder: str | Path, channels: list[str], statistics: str | Path | None = None) -> Samples:
    """Open a cube with the windows of one protocol; for `statistics` see `open_scene`.

    Raises:
        HeadscarpError: a file is missing or truncated, or a channel is unknown.
    """
    cube_folder, samples_folder = Path(cube_folder), Path(samples_folder)
    return Samples(
        scene=open_scene(cube_folder, samples_folder, channels, statistics),
        label=open_array(cube_folder / "label.npy"),
        regions=open_array(samples_folder / "regions.npy"),
        protocol=read_json(samples_folder / "samples.json")["protocol"],
        windows=by_split(read_windows(samples_folder / "windows.csv")),
    )


def by_split(windows: Iterable[Window]) -> dict[str, np.ndarray]:
    """Windows as int arrays (window, [row, col, size, date]), one for each split."""
    found: dict[str, list[tuple[int, ...]]] = {split: [] for split in SPLITS}
    for window in windows:
        found[window.split].append(window[:4])
    return {split: np.array(corners, np.int64).reshape(-1, 4) for split, corners in found.items()}


class Batches:
    """Batches of one run: image (n, channel, row, col) float32 channels-last, target (n, row, col) int64, mask (n, row, col) float32.

    Args:
        steps: batches per epoch; None is as many as one pass over the training windows takes.
        augment: turn and flip each training window at random. Values stay as they are: an aspect still matches the shading of its slope.
        jitter: spread of a random gain (around 1) and offset (around 0, in standard deviations) of every channel of a training window.
        class_weights: of each class (class) float32, by which masks are multiplied.
    """

    def __init__(
        self,
        samples: Samples,
        batch: int,
        seed: int,
        steps: int | None = None,
        augment: bool = False,
        jitter: float = 0.0,
        class_weights: np.ndarray | None = None,
    ) -> None:
        self.samples = samples
        self.batch = batch
        self.seed = seed
        self.steps = steps or -(-self.count("train") // batch)
        self.augment = augment
        self.jitter = jitter
        self.class_weights = None if class_weights is None else torch.from_numpy(class_weights)

    def count(self, split: str) -> int:
        return len(self.samples.windows[split])

    def order(self, epoch: int) -> np.ndarray:
        return training_order(self.count("train"), self.steps * self.batch, self.seed, epoch)

    def training(self, epoch: int) -> Iterator[Batch]:
        order = self.order(epoch)
        symmetries = (
            np.random.default_rng([self.seed, epoch, 1]).integers(8, size=len(order)) if self.augment else np.zeros(len(order), int)
        )
        for start in range(0, len(order), self.batch):
            chosen = slice(start, start + self.batch)
            windows = [self.samples.read("train", index) for index in order[chosen]]
            image, target, mask = collate(
                [tuple(turn(part, k) for part in window) for window, k in zip(windows, symmetries[chosen], strict=True)]
            )
            if self.jitter:
                random = torch.Generator().manual_seed(int(np.random.SeedSequence([self.seed, epoch, 2, start]).generate_state(1)[0]))
                gain, offset = self.jitter * torch.randn(2, *image.shape[:2], 1, 1, generator=random)
                image = image * (1 + gain) + offset
            yield image, target, self._weighed(target, mask)

    def validation(self) -> Iterator[Batch]:
        chosen = validation_order(self.count("validation"), self.steps * self.batch)
        for start in range(0, len(chosen), self.batch):
            image, target, mask = collate([self.samples.read("validation", index) for index in chosen[start : start + self.batch]])
            yield image, target, self._weighed(target, mask)

    def _weighed(self, target: Tensor, mask: Tensor) -> Tensor:
        return mask if self.class_weights is None else mask * self.class_weights[target]


def training_order(count: int, wanted: int, seed: int, epoch: int) -> np.ndarray:
    """The `wanted` samples of `count` that an epoch trains on: shuffled passes, one after the other, cut so that every batch is full."""
    random = np.random.default_rng([seed, epoch])
    return np.concatenate([random.permutation(count) for _ in range(-(-wanted // count))])[:wanted]


def validation_order(count: int, wanted: int) -> np.ndarray:
    """The same samples every epoch: all, or as many as an epoch trains on, evenly spaced, so that it never costs more than training."""
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).astype(int))


def turn(array: np.ndarray, symmetry: int) -> np.ndarray:
    """One of the eight symmetries of a square (0 is none): `symmetry` % 4 quarter turns, then from 4 on a flip, of the last two axes."""
    turned = np.rot90(array, symmetry % 4, axes=(-2, -1))
    return turned[..., ::-1] if symmetry >= 4 else turned


def collate(windows: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Batch:
    images, targets, masks = zip(*windows, strict=True)
    # Laid out as (n, row, col, channel) and seen as (n, channel, row, col): this is torch's channels-last.
    image = torch.from_numpy(np.ascontiguousarray(np.stack(images).transpose(0, 2, 3, 1))).permute(0, 3, 1, 2)
    return image, torch.from_numpy(np.stack(targets).astype(np.int64)), torch.from_numpy(np.stack(masks).astype(np.float32))
