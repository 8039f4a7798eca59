"""Probability of a whole site from a network that sees one window at a time.

Windows overlap, and over the overlap neighbours fade into each other with a raised cosine, so that what a
network says at the edge of its window counts for little. A window's outer `margin` may be discarded besides,
but not at the site's own border. Networks that were trained on padded windows do not need that: without it
six had average precisions from 0.003 lower to 0.023 higher (`benchmarks/README.md`). The weights of all
windows add up to 1 at every pixel. Windows start at multiples of `ALIGNMENT`, the coarsest stride of the
networks, so their pooling grids lie on those of one forward pass over the cube: with a margin beyond the
network's receptive radius the result is that of one pass. At the bottom and the right the site is mirrored up
to a multiple of `ALIGNMENT`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from headscarp.errors import HeadscarpError
from headscarp.read_ahead import read_ahead
from headscarp.training.devices import autocast
from headscarp.training.windows import NormalisedCube, apply_symmetry, undo_symmetry

ALIGNMENT = 32


@dataclass(frozen=True)
class Tiling:
    """How a site is cut: side of the largest window (a multiple of 32), discarded margin and least width of
    the fade, in pixels.

    Raises:
        HeadscarpError: sizes that do not fit together.
    """

    window: int = 512
    margin: int = 0
    fade: int = 32

    def __post_init__(self) -> None:
        if self.window % ALIGNMENT or self.margin < 0 or self.fade < 1 or self.overlap >= self.window:
            raise HeadscarpError(
                f"mapping: window {self.window}, margin {self.margin} and fade "
                f"{self.fade} do not fit; the window must be a multiple of {ALIGNMENT} "
                f"and larger than two margins and the fade together ({self.overlap})"
            )

    @classmethod
    def of_card(cls, mapping: Mapping[str, int], trained_on: int) -> "Tiling":
        """As a card's section `mapping` says or, where it says nothing, `like_training`."""
        return cls(**mapping) if mapping else cls.like_training(trained_on)

    @classmethod
    def like_training(cls, window: int) -> "Tiling":
        """Windows of the size that a network was trained on, or the next one that fits.

        Larger ones would be cheaper, but they are not what was learned: taps of atrous convolutions that saw
        nothing but padding in training never had a gradient and fire in a larger window, pooled context
        widens, and zeros beyond the edge, which deep layers learn to expect, are gone. The same weights lose
        a fifth of their score (RAE-D, DeepLab v3+) to a half (SegNet, PSPNet).
        """
        return cls(max(2 * ALIGNMENT, round_up_to_alignment(window)))

    @property
    def pixels(self) -> int:
        return self.window * self.window

    @property
    def overlap(self) -> int:
        """Pixels that neighbouring windows share, at least; a multiple of the alignment."""
        return round_up_to_alignment(2 * self.margin + self.fade)

    def origins(self, length: int) -> tuple[int, list[int]]:
        """Size and first pixels of the windows along one side of a site: as few as possible, and then as
        small as possible."""
        padded = round_up_to_alignment(length)
        count = max(1, -(-(padded - self.overlap) // (self.window - self.overlap)))
        size = min(padded, round_up_to_alignment(-(-(padded + (count - 1) * self.overlap) // count)))
        return size, [min(k * (size - self.overlap), padded - size) for k in range(count)]

    def weights(self, length: int) -> np.ndarray:
        """Weights (window, pixel) float32 along one side; those of all windows add up to 1 at every pixel."""
        size, origins = self.origins(length)
        rise = cosine_ramp((np.arange(size) + 0.5 - self.margin) / (self.overlap - 2 * self.margin))
        weights = np.ones((len(origins), size))
        weights[1:] *= rise
        weights[:-1] *= rise[::-1]
        total = np.zeros(round_up_to_alignment(length))
        for origin, weight in zip(origins, weights, strict=True):
            total[origin : origin + size] += weight
        return np.array(
            [weight / total[o : o + size] for o, weight in zip(origins, weights, strict=True)], np.float32
        )

    def reaching(self, length: int, first: int, last: int) -> list[tuple[int, np.ndarray, int]]:
        """First pixel and weights (pixel) of the windows along one side whose weights reach the pixels from
        `first` to before `last`; and where the next one begins, or those pixels end."""
        _, origins = self.origins(length)
        found = [
            (origin, weight)
            for origin, weight in zip(origins, self.weights(length), strict=True)
            if weight[max(0, first - origin) : max(0, last - origin)].any()
        ]
        ends = [*(origin for origin, _ in found[1:]), last]
        return [(origin, weight, end) for (origin, weight), end in zip(found, ends, strict=True)]


def rows_of_part(height: int, part: int, parts: int) -> tuple[int, int]:
    """The first row of a part of a scene, and that after its last: of `parts` of equal height, but for a row,
    the one numbered `part`, from 1 at the top.

    Raises:
        HeadscarpError: the scene has fewer rows than parts.
    """
    if parts > height:
        raise HeadscarpError(
            f"mapping: parts {parts} cannot be cut out of a scene of {height} rows; make `parts` smaller"
        )
    return (part - 1) * height // parts, part * height // parts


def round_up_to_alignment(length: int) -> int:
    return -(-length // ALIGNMENT) * ALIGNMENT


def cosine_ramp(share: np.ndarray) -> np.ndarray:
    """From 0 at `share` 0 to 1 at 1, flat outside."""
    return (1 - np.cos(np.pi * np.clip(share, 0, 1))) / 2


def predict_strips(
    model: nn.Module,
    cube: NormalisedCube,
    device: torch.device,
    precision: torch.dtype = torch.float32,
    date: int = -1,
    tiling: Tiling | None = None,
    batch: int = 1,
    turns: Sequence[int] = (),
    rows: tuple[int, int] | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the map strip by strip from the top: (first row, probabilities of shape (classes, rows, cols)
    float32); of all rows, or of those from the first of `rows` to before the second, bit for bit the same.

    A single logit gives the sigmoid, several the softmax. NaN where the site has no data: all channels are
    NaN or, of a `NormalisedSeries`, no date is observed. Memory holds one strip of windows, whatever the
    height of the site; `batch` windows go through the network at once, while the next are read. It sees each
    as it is and in the `turns`, symmetries of `training.windows.apply_symmetry`; what it finds is the mean.
    """
    tiling = tiling or Tiling()
    height, width = cube.shape
    row, last = rows or (0, height)
    tall, _ = tiling.origins(height)
    wide, lefts = tiling.origins(width)
    across = tiling.weights(width)
    strips = tiling.reaching(height, row, last)
    groups = [range(first, min(first + batch, len(lefts))) for first in range(0, len(lefts), batch)]
    places = [(top, [lefts[index] for index in group]) for top, _, _ in strips for group in groups]
    model.eval()
    strip = empty = None
    # The first windows go through the network whatever they hold, for it tells the number of classes.
    reading = read_ahead(
        read_windows(cube, date, top, chosen, (tall, wide), turns, look_at_all=number == 0)
        for number, (top, chosen) in enumerate(places)
    )
    with closing(reading):
        for top, down, below in strips:
            for group in groups:
                windows = next(reading)
                found = predict_seen(model, windows.images, device, precision, turns)
                if strip is None:
                    strip = np.zeros((found.shape[1], tall, round_up_to_alignment(width)), np.float32)
                    empty = np.zeros(strip.shape[1:], bool)
                for index, probability in zip(windows.seen, found, strict=True):
                    cols = slice(lefts[group[index]], lefts[group[index]] + wide)
                    strip[:, :, cols] += probability * down[:, None] * across[group[index]]
                for index, nothing in zip(group, windows.nothing, strict=True):
                    empty[:, lefts[index] : lefts[index] + wide] = nothing
            done = below - top
            if row < below:
                whole = slice(row - top, done)
                yield row, np.where(empty[whole, :width], np.float32(np.nan), strip[:, whole, :width])
                row = below
            strip[:, :-done] = strip[:, done:]
            strip[:, -done:] = 0


def predict_patches(
    model: nn.Module, cube: NormalisedCube, patches: Sequence[tuple[slice, slice]], *options, **named
) -> Iterator[tuple[int, np.ndarray]]:
    """`predict_strips` of a sheet, each of its `patches` (rows, columns) as a scene of its own: no network
    sees two at once. NaN between them.

    Patches that share a row start with each other.
    """
    height, width = cube.shape
    top = 0
    for first in sorted({down.start for down, _ in patches}):
        line = [(down, across) for down, across in patches if down.start == first]
        end = max(down.stop for down, _ in line)
        strip = None
        for down, across in line:
            strips = predict_strips(model, cube.part(down, across), *options, **named)
            found = np.concatenate([each for _, each in strips], axis=1)
            if strip is None:
                strip = np.full((len(found), end - top, width), np.nan, np.float32)
            strip[:, first - top : down.stop - top, across] = found
        yield top, strip
        top = end
    if top < height:
        yield top, np.full((len(strip), height - top, width), np.nan, np.float32)


@dataclass(frozen=True)
class Windows:
    """Windows side by side that go through a network together.

    nothing: where (row, col) each has no data. seen: which of them the network sees, those with data.
    images: of these (seen, plane, row, col), as they are, and for each turn as `read_window` gives it.
    """

    nothing: list[np.ndarray]
    seen: list[int]
    images: list[np.ndarray]


def read_windows(
    cube: NormalisedCube,
    date: int,
    top: int,
    lefts: Sequence[int],
    shape: tuple[int, int],
    turns: Sequence[int],
    look_at_all: bool,
) -> Windows:
    """The windows of a `shape` (rows, cols) from row `top` and columns `lefts` on; all are seen or, since the
    others are not worth the network's time, those with data."""
    plain = [read_window(cube, date, top, left, *shape) for left in lefts]
    seen = [index for index, (_, nothing) in enumerate(plain) if look_at_all or not nothing.all()]
    by_turn = [[plain[index][0] for index in seen]] + [
        [read_window(cube, date, top, lefts[index], *shape, turn)[0] for index in seen] for turn in turns
    ]
    return Windows([nothing for _, nothing in plain], seen, [np.stack(each) for each in by_turn if each])


def read_window(
    cube: NormalisedCube, date: int, top: int, left: int, tall: int, wide: int, turn: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """A window (plane, tall, wide), no data as 0, mirrored where it leaves the site; and where (tall, wide)
    it has no data at all. Its azimuths are those of a window turned by the symmetry `turn`, which itself is
    left to `predict_turned`."""
    values = cube.read(date, slice(top, top + tall), slice(left, left + wide), turn)
    values = undo_symmetry(values, turn)
    beyond = ((0, tall - values.shape[1]), (0, wide - values.shape[2]))
    nothing = np.pad(~cube.has_data(values), beyond)
    np.nan_to_num(values, copy=False)
    return np.pad(values, ((0, 0), *beyond), mode="reflect"), nothing


def predict_seen(
    model: nn.Module,
    images: Sequence[np.ndarray],
    device: torch.device,
    precision: torch.dtype,
    turns: Sequence[int],
) -> np.ndarray:
    """Mean probabilities (n, classes, row, col) float32 of the `images` of `Windows`, of which the first is
    seen as it is and each other in one of the turns; none of no images."""
    if not images:
        return np.empty(0, np.float32)
    found = predict_windows(model, images[0], device, precision)
    for turn, turned in zip(turns, images[1:], strict=True):
        found += predict_turned(model, turned, device, precision, turn)
    return found / np.float32(1 + len(turns))


def predict_windows(
    model: nn.Module, images: np.ndarray, device: torch.device, precision: torch.dtype
) -> np.ndarray:
    """Probabilities (n, classes, row, col) float32 of images (n, channel, row, col)."""
    image = torch.from_numpy(images).to(device).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(), autocast(device, precision):
        logits = model(image)
    return to_probability(logits.float()).cpu().numpy()


def predict_turned(
    model: nn.Module, images: np.ndarray, device: torch.device, precision: torch.dtype, turn: int
) -> np.ndarray:
    """`predict_windows` of images that the network sees turned by a symmetry."""
    turned = np.ascontiguousarray(apply_symmetry(images, turn))
    return undo_symmetry(predict_windows(model, turned, device, precision), turn)


def to_probability(logits: Tensor) -> Tensor:
    return logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)
