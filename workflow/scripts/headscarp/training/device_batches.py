"""Batches that are made on the device, or brought there while the network is at work.

What is drawn comes from `batches.Batches`, so that every way gives the same windows in the same order. Where
the ground of the windows fits, all of it lies on the device and windows are cut there. Else a thread reads
the next batch into pinned memory, and it is copied while the device computes.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from headscarp.codes import BLOCKED, UNMAPPED, UNUSED
from headscarp.read_ahead import read_ahead
from headscarp.training.batches import Batch, Batches, BatchSource, weighed
from headscarp.training.devices import MIB
from headscarp.training.windows import (
    QUARTER_TURNS,
    REGION_CODES,
    SYMMETRIES,
    NormalisedSeries,
    Samples,
    apply_symmetry,
    require_both_components,
)

TRAINED_ON = ("train", "validation")


def place_batches(
    batches: Batches, device: torch.device, limit_mib: int, micro_batch: int | None = None
) -> BatchSource:
    """The same batches in the way that suits the device: on a CPU as they are, on another made on it where
    the ground of their windows takes `limit_mib` at most, else brought to it.

    Batches that go through the network in parts (`micro_batch`) are too large for the device: they stay in
    pinned memory, and their parts are copied when it is their turn.
    """
    if device.type == "cpu":
        return batches
    if micro_batch is None and ground_bytes(batches.samples) <= limit_mib * MIB:
        return DeviceBatches(batches, device)
    return FedBatches(batches, device, whole=micro_batch is None)


class DeviceGround:
    """The part of a cube that training and validation windows see, with its labels, on a device.

    Windows are cut as `Samples.read` cuts them, all of a batch at once and without waiting for the device.
    Values lie pixel by pixel, (date x row x col, channel), in their units: azimuths turn in these.
    """

    def __init__(self, samples: Samples, device: torch.device) -> None:
        cube = samples.cube
        dates, rows, cols = part_seen(samples)
        height, width = rows.stop - rows.start, cols.stop - cols.start
        values = torch.empty(len(dates), height, width, len(cube.channels), device=device)
        for number, date in enumerate(dates):
            for place in range(len(cube.channels)):
                values[number, :, :, place] = torch.from_numpy(cube.read_channel(date, place, rows, cols))
        self._values = values.flatten(0, 2)
        self._label, self._region = (
            torch.from_numpy(np.array(codes[rows, cols])).to(device).flatten()
            for codes in (samples.label, samples.regions)
        )
        self._area, self._device = height * width, device
        self._blocked = samples.protocol == BLOCKED
        self._series = isinstance(cube, NormalisedSeries)
        self._several_dates = len(cube.values) > 1
        self._directions = cube.directions
        by_date = torch.from_numpy(np.stack([cube.mean[dates], cube.sd[dates]])[..., 0, 0])
        self._mean, self._sd = by_date.to(device)
        self._observed_by = torch.from_numpy(np.flatnonzero(cube.observed_by)).to(device)
        turns = [(*QUARTER_TURNS[k % 4], -1 if k >= 4 else 1, 90 * (k % 4)) for k in SYMMETRIES]
        self._turns = torch.tensor(turns, dtype=torch.float32, device=device)
        used = {split: samples.windows[split] for split in TRAINED_ON if len(samples.windows.get(split, ()))}
        self._corners = {
            split: torch.from_numpy((found[:, 0] - rows.start) * width + found[:, 1] - cols.start).to(device)
            for split, found in used.items()
        }
        self._dates = {
            split: torch.from_numpy(np.searchsorted(dates, found[:, 3])).to(device)
            for split, found in used.items()
        }
        self._sides = {split: int(found[0, 2]) for split, found in used.items()}
        self._steps = {
            split: torch.from_numpy(turned_steps(side, width)).to(device)
            for split, side in self._sides.items()
        }

    def read(
        self, split: str, chosen: Tensor, symmetries: Tensor | None = None, dates: Tensor | None = None
    ) -> Batch:
        """The windows `chosen` (n) as a batch, see `Batches`.

        Args:
            symmetries: (n) by which they are turned; None leaves all as they are.
            dates: (n, date) order of the dates of each window of a series; None is the true one.
        """
        side, count = self._sides[split], len(chosen)
        steps = self._steps[split]
        steps = steps[:1] if symmetries is None else steps[symmetries]
        pixels = self._corners[split][chosen][:, None] + steps
        if dates is None:
            dates = self._dates[split][chosen][:, None]
            if self._series:
                dates = torch.arange(len(self._mean), device=self._device).expand(count, -1)
        places = dates[:, None] * self._area + pixels[:, :, None]
        values = self._values.index_select(0, places.flatten()).view(*places.shape, -1)
        if symmetries is not None:
            self._turn_directions(values, symmetries)
        values -= self._mean[dates][:, None]
        values /= self._sd[dates][:, None]
        observed, trainable = self._observed(values)
        if self._series:
            values = torch.cat([values, observed[..., None].float()], -1)
        image = values.nan_to_num_().view(count, side, side, -1).permute(0, 3, 1, 2)

        label, region = self._label[pixels], self._region[pixels]
        mapped = (label != UNMAPPED) & (region == REGION_CODES[split] if self._blocked else region != UNUSED)
        target = torch.where(mapped, label, 0).long().view(count, side, side)
        return image, target, (mapped & trainable).float().view(count, side, side)

    def _turn_directions(self, values: Tensor, symmetries: Tensor) -> None:
        """As `windows.turn_directions`, of all windows (n, pixel, date, channel)."""
        cosine_of_turn, sine_of_turn, mirrored, quarter = self._turns[symmetries].T[..., None, None]
        unturned = (symmetries == 0)[:, None, None]
        for one in self._directions:
            if one.degrees is not None:
                azimuth = values[..., one.degrees]
                # The sum makes -0 a 0, as NumPy's remainder does.
                turned = (mirrored * (azimuth - quarter)).remainder(360) + 0.0
                values[..., one.degrees] = torch.where((azimuth < 0) | unturned, azimuth, turned)
            require_both_components(one)
            if one.sine is not None:
                sine, cosine = values[..., one.sine].clone(), values[..., one.cosine].clone()
                turned = mirrored * (sine * cosine_of_turn - cosine * sine_of_turn)
                values[..., one.sine] = torch.where(unturned, sine, turned)
                turned = cosine * cosine_of_turn + sine * sine_of_turn
                values[..., one.cosine] = torch.where(unturned, cosine, turned)

    def _observed(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Of standardised values (n, pixel, date, channel): which dates (n, pixel, date) were observed, and
        which pixels (n, pixel) may count in a loss."""
        observed = torch.ones(values.shape[:3], dtype=torch.bool, device=self._device)
        if len(self._observed_by):
            observed = ~values.index_select(3, self._observed_by).isnan().all(3)
        if self._series:
            return observed, (observed & ~values.isnan().all(3)).any(2)
        return observed, observed[:, :, 0] if self._several_dates else torch.ones_like(observed[:, :, 0])


def part_seen(samples: Samples) -> tuple[np.ndarray, slice, slice]:
    """Dates, rows and columns of a cube that training and validation windows read."""
    windows = np.concatenate([samples.windows[split] for split in TRAINED_ON if split in samples.windows])
    (top, left), (bottom, right) = windows[:, :2].min(0), (windows[:, :2] + windows[:, 2:3]).max(0)
    series = isinstance(samples.cube, NormalisedSeries)
    dates = np.arange(len(samples.cube.values)) if series else np.unique(windows[:, 3])
    return dates, slice(int(top), int(bottom)), slice(int(left), int(right))


def ground_bytes(samples: Samples) -> int:
    """What `DeviceGround` takes of a device's memory."""
    if not any(len(samples.windows[split]) for split in TRAINED_ON):
        return 0
    dates, rows, cols = part_seen(samples)
    pixels = (rows.stop - rows.start) * (cols.stop - cols.start)
    return pixels * (4 * len(dates) * len(samples.cube.channels) + 2)


def turned_steps(side: int, width: int) -> np.ndarray:
    """How far from a window's corner, in a scene `width` pixels wide, each pixel of the window lies that a
    symmetry puts in its place: (symmetry, side * side) int64."""
    steps = np.arange(side)[:, None] * width + np.arange(side)
    return np.stack([apply_symmetry(steps, symmetry).ravel() for symmetry in SYMMETRIES])


class DeviceBatches:
    """The batches of `Batches`, made on a device: the random numbers of an epoch are drawn on the CPU and go
    there at its start."""

    def __init__(self, batches: Batches, device: torch.device) -> None:
        self._batches = batches
        self._device = device
        self._size = batches.batch
        self.steps, self.in_part = batches.steps, batches.in_part
        self._ground = DeviceGround(batches.samples, device)
        weights = batches.class_weights
        self._class_weights = None if weights is None else weights.to(device)
        self._validated = torch.from_numpy(batches.validation_order()).to(device)

    def count(self, split: str) -> int:
        return self._batches.count(split)

    def training(self, epoch: int) -> Iterator[Batch]:
        drawn = self._batches.order(epoch)
        count = len(drawn)
        order = self._there(drawn)
        symmetries = self._there(self._batches.symmetries(epoch, count)) if self._batches.augment else None
        orders = self._batches.date_orders(epoch, count)
        dates = None if orders is None else self._there(np.stack(orders))
        starts = range(0, count, self._size)
        jitters = None
        if self._batches.jitter:
            sizes = (min(self._size, count - start) for start in starts)
            parts = map(self._batches.jitters, [epoch] * len(starts), starts, sizes)
            jitters = torch.cat(list(parts), 1).to(self._device)
        for start in starts:
            part = slice(start, start + self._size)
            image, target, mask = self._ground.read(
                "train",
                order[part],
                None if symmetries is None else symmetries[part],
                None if dates is None else dates[part],
            )
            if jitters is not None:
                gain, offset = jitters[:, part]
                image.mul_(gain).add_(offset)
            yield image, target, weighed(target, mask, self._class_weights)

    def validation(self) -> Iterator[Batch]:
        for start in range(0, len(self._validated), self._size):
            chosen = self._validated[start : start + self._size]
            image, target, mask = self._ground.read("validation", chosen)
            yield image, target, weighed(target, mask, self._class_weights)

    def _there(self, drawn: np.ndarray) -> Tensor:
        return torch.from_numpy(drawn).to(self._device)


class FedBatches:
    """The batches of another source, read ahead by a thread into pinned memory and, if `whole`, copied to the
    device on a stream of their own: one is at work while the next one comes."""

    def __init__(self, source: BatchSource, device: torch.device, whole: bool = True) -> None:
        self._source = source
        self._device = device
        self._whole = whole
        self.steps, self.in_part = source.steps, source.in_part

    def count(self, split: str) -> int:
        return self._source.count(split)

    def training(self, epoch: int) -> Iterator[Batch]:
        return self._read_ahead(self._source.training(epoch))

    def validation(self) -> Iterator[Batch]:
        return self._read_ahead(self._source.validation())

    def _read_ahead(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        pinned = self._device.type == "cuda"
        stream = torch.cuda.Stream(self._device) if pinned and self._whole else None

        def make_ready(batch: Batch) -> tuple[Batch, torch.cuda.Event | None]:
            if pinned:
                batch = tuple(part.pin_memory() for part in batch)
            if stream is None:
                return batch, None
            with torch.cuda.stream(stream):
                batch = tuple(part.to(self._device, non_blocking=True) for part in batch)
                return batch, stream.record_event()

        for batch, copied in read_ahead(map(make_ready, batches)):
            if copied is not None:
                network = torch.cuda.current_stream(self._device)
                network.wait_event(copied)
                for part in batch:
                    part.record_stream(network)
            yield batch
