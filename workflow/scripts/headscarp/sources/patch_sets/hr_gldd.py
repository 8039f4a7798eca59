"""HR-GLDD: patches of PlanetScope as arrays of NumPy.

Meena, S. R. et al. (2023). HR-GLDD: a globally distributed dataset using generalized deep learning (DL) for
rapid landslide mapping on high-resolution (HR) satellite imagery. Earth System Science Data 15, 3283-3298.
doi:10.5194/essd-15-3283-2023. Data: doi:10.5281/zenodo.7189381

From the paper, not checked against the archive here: `trainX.npy`, `valX.npy`, `testX.npy` (patch, 128, 128,
4), blue, green, red and near infrared of PlanetScope at 3 m, rescaled by the authors (units 1), and
`trainY.npy`, `valY.npy`, `testY.npy` (patch, 128, 128, 1), 0 or 1. Which patch comes from which of the ten
areas is not told.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from headscarp.arrays import open_array
from headscarp.errors import HeadscarpError
from headscarp.sources.patch_sets.patch import (
    TEST,
    TRAIN,
    VALIDATION,
    Channel,
    Patch,
    Pixels,
    label_of_mask,
    unmapped,
)

RESOLUTION_M = 3.0
SUBSETS = {TRAIN: "train", VALIDATION: "val", TEST: "test"}
CHANNELS = [
    Channel(name, "1", f"PlanetScope {name}, rescaled by the authors")
    for name in ("blue", "green", "red", "nir")
]


def read(folder: Path, record: Mapping[str, Any]) -> tuple[list[Channel], list[Patch]]:
    """The channels and all patches of the subsets that `folder`, or one up to two folders deeper, holds;
    trainX.npy must be there.

    Raises:
        HeadscarpError: trainX.npy is not there, or an array is truncated, has another shape or does not
            belong to the other.
    """
    found = [path for up in ("", "*/", "*/*/") for path in sorted(folder.glob(f"{up}trainX.npy"))]
    if len(found) != 1:
        what = "several trainX.npy; keep one" if found else "no trainX.npy; unpack the set's archive there"
        raise HeadscarpError(f"{folder} has {what}")
    patches = []
    for split, subset in SUBSETS.items():
        path = found[0].with_name(f"{subset}X.npy")
        if path.exists():
            images, masks = open_pair(path, path.with_name(f"{subset}Y.npy"))
            source = path.relative_to(folder).as_posix()
            patches += [
                Patch(
                    f"{subset}_{index}",
                    split,
                    "",
                    f"{source}[{index}]",
                    partial(read_pixels, images, masks, index, path),
                )
                for index in range(len(images))
            ]
    return CHANNELS, patches


def open_pair(path: Path, mask_path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Memory maps of the images of a subset and of its masks, if there are any."""
    images, masks = open_array(path), open_array(mask_path) if mask_path.exists() else None
    if images.ndim != 4 or images.shape[3] != len(CHANNELS):
        raise HeadscarpError(
            f"{path} has the shape {images.shape}; it must be (patch, row, col, {len(CHANNELS)})"
        )
    if masks is not None and masks.shape[:3] != images.shape[:3]:
        raise HeadscarpError(
            f"{mask_path} has the shape {masks.shape}, {path.name} "
            f"{images.shape}: they do not belong together"
        )
    return images, masks


def read_pixels(images: np.ndarray, masks: np.ndarray | None, index: int, path: Path) -> Pixels:
    values = np.moveaxis(images[index], 2, 0)[None].astype(np.float32)
    label = (
        unmapped(values.shape[2:])
        if masks is None
        else label_of_mask(masks[index], f"mask {index} of {path}")
    )
    return Pixels(values, label)
