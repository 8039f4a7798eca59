"""Image tiles and masks of one name in two folders beside each other, as GDCLD and CAS have them."""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.geo.layer import grid_of
from headscarp.sources.patch_sets.patch import (
    Channel,
    Patch,
    Pixels,
    label_of_mask,
    numbered_or_named,
    require_images,
    unmapped,
)

SUFFIXES = (".tif", ".tiff", ".png")
PNG_END, TAIL = b"IEND\xaeB`\x82", 65536  # the end of a PNG, and how many bytes may hold it: some add notes
MASK = "_mask"  # what the name of a mask may have more than its picture's
LabelOf = Callable[[np.ndarray, Path], np.ndarray]  # (values of a mask, its file) -> label
CHANNELS = [Channel(name, "DN", f"{name}, 8 bits as published") for name in ("red", "green", "blue")]


@dataclass(frozen=True)
class Tile:
    """Bands (band, row, col), `known` bool (row, col) where they are data, and the place on Earth if the file
    has a CRS."""

    bands: np.ndarray
    known: np.ndarray
    place: Grid | None


def tiles_below(
    root: Path,
    images: str,
    masks: str,
    split: str,
    group: str,
    folder: Path,
    suffixes: Sequence[str] = SUFFIXES,
    label_of: LabelOf = label_of_mask,
) -> list[Patch]:
    """The patches of every folder called `images` below `root`, with the masks in the folder `masks` beside
    it (see `masks_in`).

    Without `group` it is the path from `root` to the folder that holds both: an event's or area's name, or
    "". `label_of` makes labels of masks; as it is they hold landslides.

    Raises:
        HeadscarpError: there is no such folder or image, or a mask has no image.
    """
    patches = []
    for place in sorted(path for path in [root / images, *root.rglob(f"*/{images}")] if path.is_dir()):
        own = group or place.parent.relative_to(root).as_posix().removeprefix(".")
        pictures, labels = tiles_in(place, suffixes), masks_in(place.with_name(masks), suffixes)
        require_images(labels, pictures, place.parent)
        for stem, path in pictures.items():
            source = path.relative_to(folder)
            name = "_".join([*source.parent.parts, stem])
            patches.append(
                Patch(
                    name,
                    split,
                    own,
                    source.as_posix(),
                    partial(read_pixels, path, labels.get(stem), label_of),
                )
            )
    if not patches:
        raise HeadscarpError(
            f"{root} holds no image ({', '.join(suffixes)}) in a folder '{images}'; unpack the archive "
            "there, or name the folders of images and masks in the site's patch_set (images:, masks:)"
        )
    return patches


def tiles_in(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """{stem: file} of the images of a folder.

    Raises:
        HeadscarpError: two files differ in their suffix only.
    """
    paths = sorted(
        (path for path in folder.glob("*") if path.suffix.lower() in suffixes), key=numbered_or_named
    )
    tiles = {path.stem: path for path in paths}
    if len(tiles) < len(paths):
        double = next(path for path in paths if tiles[path.stem] != path)
        raise HeadscarpError(
            f"{folder} has {double.name} and {tiles[double.stem].name}, "
            "which stand for one patch; keep one of them"
        )
    return tiles


def masks_in(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """{stem of its picture: file} of the masks of a folder: img_1.png, or img_1_mask.png, is that of img_1.

    Raises:
        HeadscarpError: two files stand for one mask.
    """
    found: dict[str, Path] = {}
    for stem, path in tiles_in(folder, suffixes).items():
        other = found.setdefault(stem.removesuffix(MASK), path)
        if other != path:
            raise HeadscarpError(
                f"{folder} has {other.name} and {path.name}, which stand for one mask; keep one of them"
            )
    return found


def read_pixels(image: Path, mask: Path | None, label_of: LabelOf = label_of_mask) -> Pixels:
    """An RGB image (a fourth band is alpha) and its mask.

    Raises:
        HeadscarpError: one cannot be read, they differ in size, the image has other bands, or the mask has
        several that differ or values that have no label.
    """
    tile = read_tile(image)
    require_colours(image, len(tile.bands))
    values = np.where(tile.known, tile.bands[:3].astype(np.float32), np.float32(np.nan))[None]
    if mask is None:
        return Pixels(values, unmapped(tile.known.shape), tile.place)
    return Pixels(values, label_of(read_mask(mask, image, tile.known.shape), mask), tile.place)


def require_colours(image: Path, bands: int) -> None:
    """Refuse an image of another number of bands than colours have.

    Raises:
        HeadscarpError: it has.
    """
    if bands not in (3, 4):
        raise HeadscarpError(
            f"{image} has {bands} bands; it must have 3, red, green and blue (or 4 with alpha)"
        )


def read_mask(path: Path, image: Path, shape: tuple[int, int]) -> np.ndarray:
    """The values (row, col) of a mask of one band, or of grey saved as colours.

    Args:
        image: the image that it belongs to, of `shape` rows and columns.

    Raises:
        HeadscarpError: it cannot be read, has several bands that differ, or another size than its image.
    """
    bands = read_tile(path).bands
    if (bands[:3] != bands[0]).any():
        raise HeadscarpError(
            f"{path} has {len(bands)} bands that differ; a mask must have one band, or be grey"
        )
    if bands.shape[1:] != shape:
        raise HeadscarpError(
            f"{path} has {bands.shape[1:]} rows and columns, {image.name} "
            f"{shape}: they do not belong together"
        )
    return bands[0]


def size_of(path: Path) -> tuple[int, int]:
    """Rows and columns of an image, from its header.

    Raises:
        HeadscarpError: it is truncated or no image.
    """
    with opened(path) as source:
        return source.shape


def read_tile(path: Path) -> Tile:
    """An image with or without a place on Earth.

    Raises:
        HeadscarpError: it is truncated or no image.
    """
    with opened(path) as source:
        return Tile(source.read(), source.dataset_mask() > 0, grid_of(source) if source.crs else None)


def has_end(path: Path) -> bool:
    """Whether a PNG is whole."""
    with open(path, "rb") as stream:
        stream.seek(-min(TAIL, path.stat().st_size), os.SEEK_END)
        return PNG_END in stream.read()


@contextmanager
def opened(path: Path) -> Iterator[rasterio.DatasetReader]:
    """An image that may have no place on Earth, open in the block; what is wrong with it is said in words."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as source:
                if source.driver == "PNG" and not has_end(path):
                    raise RasterioError("its end is missing")  # which GDAL fills with 0
                yield source
    except (RasterioError, CPLE_BaseError) as error:
        cause = error.__cause__ or error
        raise HeadscarpError(
            f"{path} cannot be read ({cause}); it is truncated or no image: unpack the archive again"
        ) from error
