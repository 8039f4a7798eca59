"""Batches of training windows.

What is read in which order, and how it is turned, is a function of (seed, epoch) alone; a resumed run needs
no sampler state.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from headscarp.training.windows import Samples

Batch = tuple[Tensor, Tensor, Tensor]


class BatchSource(Protocol):
    """What the trainer asks of its batches: images, targets, and masks that weigh the losses."""

    steps: int
    in_part: bool  # whether targets tell classes in part (code 254)

    def count(self, split: str) -> int: ...
    def training(self, epoch: int) -> Iterator[Batch]: ...
    def validation(self) -> Iterator[Batch]: ...


class Batches:
    """Batches of one run: image (n, plane, row, col) float32 channels-last, target (n, row, col) int64, mask
    (n, row, col) float32.

    Args:
        steps: batches per epoch; None is as many as one pass over the training windows takes.
        augment: turn and flip each training window at random, and its azimuths with it (`NormalisedCube`).
            Light turns too: slopes that the sun lit face another way.
        jitter: spread of a random gain (around 1) and offset (around 0, in standard deviations) of every
            channel of a training window, at every date; what says where a date was observed stays as it is.
        class_weights: of each class (class) float32, by which masks are multiplied.
        shuffled: the dates of each training window of a `NormalisedSeries` in a random order, drawn anew for
            each; validation keeps the true one.
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
        shuffled: bool = False,
    ) -> None:
        self.samples = samples
        self.in_part = samples.in_part
        self.batch = batch
        self.seed = seed
        self.steps = steps or -(-self.count("train") // batch)
        self.augment = augment
        self.jitter = jitter
        self.class_weights = None if class_weights is None else torch.from_numpy(class_weights)
        self.shuffled = shuffled

    def count(self, split: str) -> int:
        return len(self.samples.windows[split])

    def order(self, epoch: int) -> np.ndarray:
        return training_order(self.count("train"), self.steps * self.batch, self.seed, epoch)

    def training(self, epoch: int) -> Iterator[Batch]:
        order = self.order(epoch)
        symmetries = self.symmetries(epoch, len(order))
        orders = self.date_orders(epoch, len(order))
        for start in range(0, len(order), self.batch):
            chosen = range(start, min(start + self.batch, len(order)))
            windows = (self._turned(order[k], int(symmetries[k]), orders and orders[k]) for k in chosen)
            image, target, mask = collate(windows, len(chosen))
            if self.jitter:
                gain, offset = self.jitters(epoch, start, len(chosen))
                image.mul_(gain).add_(offset)
            yield image, target, weighed(target, mask, self.class_weights)

    def symmetries(self, epoch: int, count: int) -> np.ndarray:
        """The symmetry by which each of the `count` training windows of an epoch is turned."""
        if not self.augment:
            return np.zeros(count, int)
        return np.random.default_rng([self.seed, epoch, 1]).integers(8, size=count)

    def jitters(self, epoch: int, start: int, count: int) -> Tensor:
        """Gains and offsets (2, count, plane, 1, 1) of the batch that begins with window `start`."""
        random = torch.Generator().manual_seed(
            int(np.random.SeedSequence([self.seed, epoch, 2, start]).generate_state(1)[0])
        )
        cube = self.samples.cube
        drawn = self.jitter * torch.randn(2, count, cube.planes, 1, 1, generator=random)
        drawn[:, :, cube.flag_planes] = 0
        drawn[0] += 1
        return drawn

    def date_orders(self, epoch: int, count: int) -> list[np.ndarray] | None:
        """The order of dates in each of the `count` training windows of an epoch; None is the true one in
        all."""
        if not self.shuffled:
            return None
        random = np.random.default_rng([self.seed, epoch, 4])
        return [random.permutation(len(self.samples.cube.values)) for _ in range(count)]

    def _turned(self, index: int, symmetry: int, dates: np.ndarray | None) -> tuple[np.ndarray, ...]:
        """A training window, turned, with its dates in another order unless `dates` is None."""
        image, target, mask = self.samples.read("train", index, symmetry)
        if dates is not None:
            image = image.reshape(len(dates), -1, *image.shape[1:])[dates].reshape(image.shape)
        return image, target, mask

    def validation(self) -> Iterator[Batch]:
        order = self.validation_order()
        for start in range(0, len(order), self.batch):
            chosen = order[start : start + self.batch]
            image, target, mask = collate(
                (self.samples.read("validation", index) for index in chosen), len(chosen)
            )
            yield image, target, weighed(target, mask, self.class_weights)

    def validation_order(self) -> np.ndarray:
        return validation_order(self.count("validation"), self.steps * self.batch)


def weighed(target: Tensor, mask: Tensor, class_weights: Tensor | None) -> Tensor:
    """The mask, times the weight of each pixel's class where there are such."""
    return mask if class_weights is None else mask * class_weights[target]


def training_order(count: int, wanted: int, seed: int, epoch: int) -> np.ndarray:
    """The `wanted` samples of `count` that an epoch trains on: shuffled passes, one after the other, cut so
    that every batch is full."""
    random = np.random.default_rng([seed, epoch])
    return np.concatenate([random.permutation(count) for _ in range(-(-wanted // count))])[:wanted]


def validation_order(count: int, wanted: int) -> np.ndarray:
    """The same samples every epoch: all, or as many as an epoch trains on, evenly spaced, so that it never
    costs more than training."""
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).astype(int))


def collate(windows: Iterable[tuple[np.ndarray, ...]], count: int) -> Batch:
    """A batch of `count` windows (image, target, mask), which are read one after the other into it: it lies
    in memory once."""
    batch = None
    for k, window in enumerate(windows):
        batch = batch or empty_batch(count, *window[0].shape)
        for whole, part in zip(batch, window, strict=True):
            whole[k] = torch.from_numpy(np.ascontiguousarray(part))
    return batch


def empty_batch(count: int, planes: int, height: int, width: int) -> Batch:
    image = torch.empty(count, planes, height, width, memory_format=torch.channels_last)
    return image, torch.empty(count, height, width, dtype=torch.int64), torch.empty(count, height, width)
