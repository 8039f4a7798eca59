"""What two folders of pictures and masks hold, read as the reader of sets of pictures reads them."""

import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from tqdm import tqdm

from headscarp.codes import LAND_COVER, LANDSLIDE, NOT_A_LANDSLIDE, UNLABELLED
from headscarp.errors import HeadscarpError
from headscarp.geo.layer import grid_of
from headscarp.geo.rasters import resolution_m
from headscarp.sources.patch_sets.images import PICTURES
from headscarp.sources.patch_sets.tiles import masks_in, opened, read_mask, require_colours, tiles_in

SLIDE = LAND_COVER[LANDSLIDE]
MOST_VALUES = 16  # of masks; more are no classes
LISTED = 4
SMALLEST_PIXEL_M = 0.001  # a world file of smaller steps counts degrees
ALIKE = 0.01  # share by which sizes of pixels may differ that are one
CRS, WORLD_FILE = "CRS", "world file"
SUBSETS = 3
SMALLEST = 16  # pixels a side of a picture
# A name that begins with that of its place: tile1_part003, tile1_r02_c05. The shorter place comes first.
PLACES = (".+?(?=([_-][A-Za-z]*[0-9]+)+$)", ".+(?=[_-][A-Za-z]*[0-9]+$)")


@dataclass(frozen=True)
class Picture:
    """A picture: its name without suffix, rows and columns, type of its numbers, size of a pixel in metres
    (None: nothing tells it) and what tells that, and how many pixels of its mask have each value (None: it
    has no mask)."""

    name: str
    size: tuple[int, int]
    dtype: str
    pixel_m: float | None
    told_by: str
    values: Mapping[int, int] | None


@dataclass(frozen=True)
class MeaningOfMasks:
    """What values of masks probably stand for: `values` as a card has them (empty: 0 and 1, or 255, as the
    reader takes them by itself), `why` for people, the pictures with `slides` by name, and the `share` of
    what is labelled that is landslide."""

    values: dict[int, str]
    why: str
    slides: list[str]
    share: float


def look_at_pictures(images: Path, masks: Path) -> list[Picture]:
    """The pictures of a folder with what their masks in another hold.

    Raises:
        HeadscarpError: the folders are one, hold no pictures, or a mask has no picture; a file cannot be
            read, is no picture of red, green and blue, or no mask of a few values.
    """
    if images.resolve() == masks.resolve():
        raise HeadscarpError(f"{images} is given twice; put pictures and masks into a folder each")
    pictures, labels = tiles_in(images, PICTURES), masks_in(masks, PICTURES)
    for folder, found in ((images, pictures), (masks, labels)):
        if not found:
            raise HeadscarpError(
                f"{folder} holds no picture ({', '.join(PICTURES)}); give the folder in which they lie, not "
                "one above it"
            )
    if lonely := sorted(set(labels) - set(pictures)):
        raise HeadscarpError(
            f"{len(lonely)} of {len(labels)} masks in {masks} have no picture of their name in {images} "
            f"({listed(lonely)}); name both alike, as img_1.png and img_1.png or img_1_mask.png, or remove "
            "what is left over"
        )
    names = tqdm(pictures, "pictures", leave=False, disable=not sys.stderr.isatty())
    return [look_at_picture(pictures[name], labels.get(name)) for name in names]


def look_at_picture(path: Path, mask: Path | None) -> Picture:
    """One picture and its mask.

    Raises:
        HeadscarpError: as `look_at_pictures`.
    """
    with opened(path) as source:
        require_colours(path, source.count)
        size, dtype, (pixel_m, told_by) = source.shape, source.dtypes[0], pixel_of(source)
    values = None if mask is None else counted(read_mask(mask, path, size), mask)
    return Picture(path.stem, size, dtype, pixel_m, told_by, values)


def pixel_of(source: rasterio.DatasetReader) -> tuple[float | None, str]:
    """The size of a picture's pixels in metres and what tells it."""
    if source.crs:
        return resolution_m(grid_of(source)), CRS
    side = float(f"{abs(source.transform.a):.6g}")
    counts_pixels = source.transform.a == source.transform.e == 1  # as of a tile of a picture without place
    if counts_pixels or side < SMALLEST_PIXEL_M:
        return None, ""
    return side, WORLD_FILE


def counted(mask: np.ndarray, path: Path) -> dict[int, int]:
    """{value: pixels} of a mask.

    Raises:
        HeadscarpError: it holds many values, or others than whole numbers from 0 to 255.
    """
    values, counts = np.unique(mask, return_counts=True)
    if len(values) > MOST_VALUES:
        raise HeadscarpError(
            f"{path} holds {len(values)} values from {values[0]:g} to {values[-1]:g}, as JPEG blurs them; a "
            "mask must hold one value for each class: save it as PNG or TIFF of 0 and 1 (or 255)"
        )
    if not (np.equal(np.mod(values, 1), 0) & (values >= 0) & (values <= 255)).all():
        raise HeadscarpError(
            f"{path} holds {listed([f'{value:g}' for value in values])}; a mask must hold whole numbers from "
            "0 to 255"
        )
    return dict(zip(values.astype(int).tolist(), counts.tolist(), strict=True))


def meaning_of_masks(pictures: Sequence[Picture]) -> MeaningOfMasks:
    """What the values of all masks probably stand for.

    Raises:
        HeadscarpError: all have one value, or fewer than SUBSETS of them hold landslides.
    """
    masks = {one.name: one.values for one in pictures if one.values is not None}
    total = sum((Counter(values) for values in masks.values()), Counter())
    if len(total) == 1:
        raise HeadscarpError(
            f"all masks hold the value {next(iter(total))} alone; landslides must have one, such as 1, and "
            "other ground another, such as 0"
        )
    plain = all(set(values) <= {0, 1} or set(values) <= {0, 255} for values in masks.values())
    values = {} if plain else guessed_values(total)
    slides = [name for name, own in masks.items() if any(is_slide(value, values) for value in own)]
    labelled = {value: count for value, count in total.items() if values.get(value) != UNLABELLED}
    share = sum(count for value, count in labelled.items() if is_slide(value, values)) / sum(
        labelled.values()
    )
    if len(slides) < SUBSETS:
        raise HeadscarpError(
            f"{len(slides)} of {len(masks)} masks hold landslides, and training, validation and test need a "
            "picture with some each; bring more, or cut the pictures into smaller ones"
        )
    return MeaningOfMasks(values, why_of(total, values, share), slides, share)


def is_slide(value: int, values: Mapping[int, str]) -> bool:
    """Whether a value of a mask stands for landslides; without `values` all but 0 does."""
    return values[value] == SLIDE if values else value > 0


def guessed_values(total: Mapping[int, int]) -> dict[int, str]:
    """Names for the values of masks, of which `total` says how many pixels each has: of two, 0 or what covers
    more is background; of more 1 is landslide, or the greatest."""
    found = sorted(total)
    slide = 1 if 1 in total else found[-1]
    if len(found) == 2:
        background = 0 if 0 in total else max(found, key=lambda value: total[value])
        slide = next(value for value in found if value != background)
    empty = {255} - {slide} if len(found) > 2 else set()
    return {
        value: SLIDE if value == slide else UNLABELLED if value in empty else NOT_A_LANDSLIDE
        for value in found
    }


def why_of(total: Mapping[int, int], values: Mapping[int, str], share: float) -> str:
    """What a reader of the card must know of the masks."""
    if values:
        slide = next(value for value, name in values.items() if name == SLIDE)
        why = f"GUESS {slide} is {SLIDE}; mend the others: {SLIDE}, {NOT_A_LANDSLIDE} or {UNLABELLED}"
    elif {1, 255} <= set(total):
        why = f"GUESS some masks hold 0 and 1, others 0 and 255: the greater is {SLIDE} in both"
    else:
        why = f"masks hold 0 and {max(total)}: {max(total)} is {SLIDE}"
    if share > 0.5:
        why += (
            f"; WARNING {share:.0%} is {SLIDE}: if masks are inverted, say so, as in `values: {{0: {SLIDE}, "
            f"{max(total)}: {NOT_A_LANDSLIDE}}}`"
        )
    return why


def place_in_names(pictures: Sequence[Picture], slides: Sequence[str]) -> tuple[str, int] | None:
    """The beginning of a picture's name that probably is that of its place, as a regular expression, and how
    many places there are; None where names tell none, or too few with landslides to be parted."""
    names = [one.name for one in pictures]
    for pattern in PLACES:
        found = {name: re.match(pattern, name) for name in names}
        if not all(found.values()):
            continue
        places = {match.group() for match in found.values()}
        with_slides = {found[name].group() for name in slides}
        if len(with_slides) >= SUBSETS and len(places) < len(names):
            return pattern, len(places)
    return None


def listed(names: Sequence[str]) -> str:
    """The first of some names."""
    return ", ".join(names[:LISTED]) + (" …" if len(names) > LISTED else "")
