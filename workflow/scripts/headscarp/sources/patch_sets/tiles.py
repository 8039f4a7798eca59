"""Image tiles and masks of one name in two folders beside each other, as GDCLD and CAS have them."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

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
    codes_of_mask,
    label_of_mask,
    numbered_or_named,
    require_images,
    unmapped,
)

SUFFIXES = (".tif", ".tiff", ".png")
NO_VALUES: Mapping[int, str] = MappingProxyType({})
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
    values: Mapping[int, str] = NO_VALUES,
) -> list[Patch]:
    """The patches of every folder called `images` below `root`, with the masks in the folder `masks` beside
    it.

    Without `group` it is the path from `root` to the folder that holds both: an event's or area's name, or
    "". `values` says what those of masks stand for (see `patch.codes_of_mask`); without any they hold
    landslides.

    Raises:
        HeadscarpError: there is no such folder or image, or a mask has no image.
    """
    patches = []
    for place in sorted(path for path in [root / images, *root.rglob(f"*/{images}")] if path.is_dir()):
        own = group or place.parent.relative_to(root).as_posix().removeprefix(".")
        pictures, labels = tiles_in(place, suffixes), tiles_in(place.with_name(masks), suffixes)
        require_images(labels, pictures, place.parent)
        for stem, path in pictures.items():
            source = path.relative_to(folder)
            name = "_".join([*source.parent.parts, stem])
            patches.append(
                Patch(
                    name, split, own, source.as_posix(), partial(read_pixels, path, labels.get(stem), values)
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


def read_pixels(image: Path, mask: Path | None, values_of_mask: Mapping[int, str] = NO_VALUES) -> Pixels:
    """An RGB image (a fourth band is alpha) and its mask."""
    tile = read_tile(image)
    if len(tile.bands) not in (3, 4):
        raise HeadscarpError(
            f"{image} has {len(tile.bands)} bands; it must have 3, red, green and blue (or 4 with alpha)"
        )
    values = np.where(tile.known, tile.bands[:3].astype(np.float32), np.float32(np.nan))[None]
    if mask is None:
        return Pixels(values, unmapped(tile.known.shape), tile.place)
    bands = read_tile(mask).bands
    if (bands[:3] != bands[0]).any():  # grey saved as colours is fine
        raise HeadscarpError(
            f"{mask} has {len(bands)} bands that differ; a mask must have one band, or be grey"
        )
    if bands.shape[1:] != tile.known.shape:
        raise HeadscarpError(
            f"{mask} has {bands.shape[1:]} rows and columns, {image.name} "
            f"{tile.known.shape}: they do not belong together"
        )
    label = codes_of_mask(bands[0], mask, values_of_mask) if values_of_mask else label_of_mask(bands[0], mask)
    return Pixels(values, label, tile.place)


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


@contextmanager
def opened(path: Path) -> Iterator[rasterio.DatasetReader]:
    """An image that may have no place on Earth, open in the block; what is wrong with it is said in words."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as source:
                yield source
    except (RasterioError, CPLE_BaseError) as error:
        cause = error.__cause__ or error
        raise HeadscarpError(
            f"{path} cannot be read ({cause}); it is truncated or no image: unpack the archive again"
        ) from error
