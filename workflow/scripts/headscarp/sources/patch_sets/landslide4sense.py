"""Landslide4Sense: patches of Sentinel-2, slope and elevation in HDF5.

Ghorbanzadeh, O. et al. (2022). Landslide4Sense: reference benchmark data and deep learning models for
landslide detection. IEEE Transactions on Geoscience and Remote Sensing 60, 5633017.
doi:10.1109/TGRS.2022.3215209. Data: doi:10.5281/zenodo.10463239

From the paper and the challenge's description, not checked against the archive here: `TrainData`, `ValidData`
and `TestData` (3799, 245 and 800 patches), each with `img/image_<n>.h5` (data set `img`, 128 x 128 x 14) and
`mask/mask_<n>.h5` (data set `mask`, 128 x 128, 0 or 1); 10 m cells; layers 1 to 12 are the bands of
Sentinel-2 without B8A (so the organisers in github.com/iarai/Landslide4Sense-2022, issue 3; in patches the
ninth layer is less like B08 than any B8A, and the tenth, cirrus, not at all), 13 the slope and 14 the
elevation of ALOS PALSAR. Values were rescaled by the authors (they are neither reflectances nor metres), so
that all units are 1. Where the patches are is not told. The challenge published no masks of ValidData and
TestData; such patches are unmapped.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from headscarp.errors import HeadscarpError
from headscarp.sources.patch_sets.patch import (
    TEST,
    TRAIN,
    VALIDATION,
    Channel,
    Patch,
    Pixels,
    folder_below,
    folders_below,
    label_of_mask,
    numbered_or_named,
    require_images,
    unmapped,
)

RESOLUTION_M = 10.0
SUBSETS = {TRAIN: "TrainData", VALIDATION: "ValidData", TEST: "TestData"}
BANDS = {
    "coastal": "B01",
    "blue": "B02",
    "green": "B03",
    "red": "B04",
    "red_edge1": "B05",
    "red_edge2": "B06",
    "red_edge3": "B07",
    "nir": "B08",
    "water_vapour": "B09",
    "cirrus": "B10",
    "swir1": "B11",
    "swir2": "B12",
}
CHANNELS = [
    *(Channel(name, "1", f"Sentinel-2 {band}, rescaled by the authors") for name, band in BANDS.items()),
    Channel("slope", "1", "slope of ALOS PALSAR, rescaled by the authors"),
    Channel("elevation", "1", "elevation of ALOS PALSAR, rescaled by the authors"),
]


def read(folder: Path, record: Mapping[str, Any]) -> tuple[list[Channel], list[Patch]]:
    """The channels and all patches of the subsets that lie in `folder` (see `folder_below`); TrainData must
    be there.

    Raises:
        HeadscarpError: TrainData is not there, a subset is empty, or a mask has no image.
    """
    patches = []
    for split, subset in SUBSETS.items():
        if split != TRAIN and not folders_below(folder, subset):
            continue
        place = folder_below(folder, subset)
        images, masks = (
            numbered_files(place, kind, prefix) for kind, prefix in (("img", "image_"), ("mask", "mask_"))
        )
        require_images(masks, images, place)
        if not images:
            raise HeadscarpError(f"{place} holds no img/image_<number>.h5; unpack the set's archive again")
        patches += [
            patch_of(split, subset, number, path, masks.get(number), folder)
            for number, path in images.items()
        ]
    return CHANNELS, patches


def numbered_files(folder: Path, kind: str, prefix: str) -> dict[str, Path]:
    """{number: file} of `<kind>/<prefix><number>.h5`."""
    return {
        path.stem.removeprefix(prefix): path
        for path in sorted((folder / kind).glob(f"{prefix}*.h5"), key=numbered_or_named)
    }


def patch_of(split: str, subset: str, number: str, image: Path, mask: Path | None, folder: Path) -> Patch:
    return Patch(
        f"{subset}_{number}",
        split,
        "",
        image.relative_to(folder).as_posix(),
        partial(read_pixels, image, mask),
    )


def read_pixels(image: Path, mask: Path | None) -> Pixels:
    values = read_dataset(image, "img")
    if values.ndim != 3 or values.shape[2] != len(CHANNELS):
        raise HeadscarpError(
            f"{image}: 'img' has the shape {values.shape}; it must be (row, col, {len(CHANNELS)})"
        )
    label = label_of_mask(read_dataset(mask, "mask"), mask) if mask else unmapped(values.shape[:2])
    return Pixels(np.moveaxis(values, 2, 0)[None].astype(np.float32), label)


def read_dataset(path: Path, name: str) -> np.ndarray:
    """A data set of an HDF5 file, whole.

    Raises:
        HeadscarpError: the file is truncated or no HDF5, or has no such data set.
    """
    try:
        with h5py.File(path, "r") as file:
            if name not in file:
                raise HeadscarpError(
                    f"{path} has no data set '{name}' (it holds "
                    f"{', '.join(file) or 'none'}); fetch the archive again"
                )
            return file[name][()]
    except (OSError, RuntimeError) as error:
        raise HeadscarpError(
            f"{path} cannot be read ({error}); it is truncated or no HDF5: unpack the archive again"
        ) from None
