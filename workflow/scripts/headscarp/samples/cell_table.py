"""Sampled cells as they are read back: NumPy only, for the stations that train, map and score."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headscarp.codes import AS_RELEASED, SPARE, SPLITS, TEST, TRAIN, UNUSED, VALIDATION
from headscarp.errors import HeadscarpError
from headscarp.files import read_json
from headscarp.site.cube import Cube
from headscarp.vocabulary import require_known

SUBSETS = dict(zip(SPLITS, (TRAIN, VALIDATION, TEST), strict=True))


def members(split: np.ndarray, subset: str, protocol: str) -> np.ndarray:
    """Which cells of a fold's `split` (any shape, uint8) belong to a subset under a protocol, bool."""
    if protocol == AS_RELEASED and subset != "test":
        return (split != UNUSED) & (split != SPARE)
    return split == SUBSETS[subset]


@dataclass(frozen=True)
class Cells:
    """Cells of one protocol, n of them in order of row and column.

    `row`, `col` int32 (n); `label`, `truth` uint8 (n); `block` int32 (n), the bootstrap block; `split` uint8
    (folds, n): 0 unused, 1 train, 2 validation, 3 test, 4 spare (see `codes.SPARE`); `record`: cells.json.
    """

    row: np.ndarray
    col: np.ndarray
    label: np.ndarray
    truth: np.ndarray
    block: np.ndarray
    split: np.ndarray
    record: dict[str, Any]

    @property
    def folds(self) -> int:
        return len(self.split)

    def members(self, fold: int, subset: str) -> np.ndarray:
        """Which cells train, validate or test a fold, bool (n); a cell may do several under `as_released`."""
        return members(self.split[fold], subset, self.record["protocol"])

    def normalisation(self, fold: int, channels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Minimum and range of chosen channels, float32 (channel), with which a fold is scaled to 0..1.

        Raises:
            HeadscarpError: the cells were made without one of the channels.
        """
        known = self.record["normalisation"][fold]
        ranges = [
            known[require_known(name, known, "cells.json: normalisation of channel")] for name in channels
        ]
        least, most = (np.array([r[key] for r in ranges], np.float32) for key in ("min", "max"))
        return least, most - least


def read_cells(folder: str | Path) -> Cells:
    """Read the cells that `build_cells` wrote.

    Raises:
        HeadscarpError: a file is missing or damaged.
    """
    path = Path(folder) / "cells.npz"
    record = read_json(Path(folder) / "cells.json")
    try:
        with np.load(path) as arrays:
            return Cells(
                *(arrays[name] for name in ("row", "col", "label", "truth", "block", "split")), record
            )
    except FileNotFoundError:
        raise HeadscarpError(f"{path} does not exist; run the rule that samples the cells") from None
    except Exception as error:  # NumPy and zipfile answer a damaged file with many kinds
        raise HeadscarpError(f"{path} is damaged ({error}); delete it and sample the cells again") from None


def scaled_factors(cube: Cube, cells: Cells, fold: int, channels: Sequence[str]) -> np.ndarray:
    """Channels (channel, row, col) float32 of the last date, scaled by a fold's minima and maxima.

    Values outside the range of the training windows fall outside 0..1 and stay so: clipping would make them
    look like the extremes.
    """
    least, extent = cells.normalisation(fold, channels)
    factors = np.stack([cube.values[-1, position] for position in cube.positions(channels)])
    factors -= least[:, None, None]
    factors /= extent[:, None, None]
    return factors


def is_one_hot(name: str, channels: Sequence[str]) -> bool:
    """Whether a channel is one class of a class layer, named <layer>_<code> as by `site.stack`."""
    layer, _, code = name.rpartition("_")
    return code.isdigit() and layer in channels


def layers_of_channels(channels: Sequence[str], known: Sequence[str]) -> dict[str, list[int]]:
    """{layer: positions of its channels}: the sine and cosine of an angle, and all classes of a layer, are
    one factor. `known` are the channels of the cube, each layer among them."""
    layers: dict[str, list[int]] = {}
    for position, name in enumerate(channels):
        layer, _, part = name.rpartition("_")
        is_part = is_one_hot(name, known) or (part in ("sin", "cos") and layer in known)
        layers.setdefault(layer if is_part else name, []).append(position)
    return layers
