"""The cube that networks read: every channel of a site in one array on disk. This side needs NumPy only."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headscarp.arrays import open_array
from headscarp.errors import HeadscarpError
from headscarp.files import read_json
from headscarp.vocabulary import require_known


@dataclass(frozen=True)
class Cube:
    """Memory maps of a site; nothing is read before it is indexed.

    `values` float32 (time, channel, row, col), NaN = no data; `label` uint8 (row, col): 1 landslide, 0 not,
    255 unmapped; `instances` int32 (row, col): 0 none, k slide k; `header`: cube.json (see
    `stack.build_cube`).
    """

    values: np.ndarray
    label: np.ndarray
    instances: np.ndarray
    header: dict[str, Any]

    @property
    def channels(self) -> list[str]:
        """Names of the channels in their order."""
        return [channel["name"] for channel in self.header["channels"]]

    def positions(self, names: Iterable[str]) -> list[int]:
        """Positions of channels in `values`.

        Raises:
            HeadscarpError: the cube has no such channel; the message names the nearest.
        """
        known = self.channels
        return [
            known.index(require_known(name, known, f"site {self.header['site']}: channel")) for name in names
        ]

    def without_mean(self, names: Iterable[str]) -> list[bool]:
        """Whether the values of each channel have no mean: codes of classes, and angles."""
        return [
            not self.header["channels"][position].get("has_mean", True) for position in self.positions(names)
        ]


def open_cube(folder: str | Path) -> Cube:
    """Open the cube of a site (`cube.npy`, `label.npy`, `instances.npy`, `cube.json`).

    Raises:
        HeadscarpError: a file is missing or truncated, or the files do not belong together.
    """
    folder = Path(folder)
    header = read_json(folder / "cube.json")
    cube = Cube(*(open_array(folder / f"{name}.npy") for name in ("cube", "label", "instances")), header)
    plane = (header["grid"]["height"], header["grid"]["width"])
    wanted = {
        "cube": (len(header["dates"]), len(header["channels"]), *plane),
        "label": plane,
        "instances": plane,
    }
    for (name, shape), array in zip(wanted.items(), (cube.values, cube.label, cube.instances), strict=True):
        if array.shape != shape:
            raise HeadscarpError(
                f"{folder / name}.npy has the shape {array.shape}, cube.json "
                f"says {shape}; delete the folder and stack the cube again"
            )
    return cube
