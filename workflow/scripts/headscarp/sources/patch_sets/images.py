"""Pictures and masks of one name in two folders: scenes without a place on Earth, such as those of the aerial
landslides of Sichuan (doi:10.11922/sciencedb.j00001.00222).

Red, green and blue of 8 bits (JPEG, PNG or GeoTIFF), of any size in pixels; masks of landslides (0 and 1, or
255), or of the classes that `values` of the record names. Several sets may stand together (`sets`), each with
folders and values of its own, so that one may tell of landslides alone and another of all other classes. What
shows one place is a group and is never parted: pictures whose names begin alike, as far as `group` of the
record, a regular expression, says; each picture for itself without it. There is no published split. A mask is
called as its picture, or with `_mask` behind that.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from headscarp.codes import BACKGROUND, CODES_OF_GROUND, NOT_A_LANDSLIDE
from headscarp.errors import HeadscarpError
from headscarp.sources.patch_sets.ground import tells_in_part
from headscarp.sources.patch_sets.patch import TRAIN, Channel, Patch, codes_of_mask, label_of_mask
from headscarp.sources.patch_sets.tiles import CHANNELS, SUFFIXES, size_of, tiles_below

RESOLUTION_M = None  # pictures do not tell it
PICTURES = (*SUFFIXES, ".jpg", ".jpeg")


def read(folder: Path, record: Mapping[str, Any]) -> tuple[list[Channel], list[Patch]]:
    """The channels and all patches.

    Args:
        record: `images` and `masks`: names of the folders; `group`: which part of a picture's name is that of
            its place; `values`: the class that each value of the masks stands for (all optional); `sets`:
            a list of such records, of which these are the defaults.

    Raises:
        HeadscarpError: there is no picture, a mask has none, or `group` is no regular expression or does not
            fit a picture's name.
    """
    sets, codes = record.get("sets", [{}]), CODES_OF_GROUND
    if not tells_in_part(record):
        codes = codes | {NOT_A_LANDSLIDE: BACKGROUND}
    return CHANNELS, [patch for one in sets for patch in patches_of(folder, {**record, **one}, codes)]


def patches_of(folder: Path, record: Mapping[str, Any], codes: Mapping[str, int]) -> list[Patch]:
    """The patches of one pair of folders; `codes` are the labels of classes by name."""
    images, masks = record.get("images", "images"), record.get("masks", "masks")
    values = {int(value): name for value, name in record.get("values", {}).items()}
    label_of = partial(codes_of_mask, values=values, codes=codes) if values else label_of_mask
    found = tiles_below(folder, images, masks, TRAIN, "", folder, PICTURES, label_of)
    places = f"{images}/" if "sets" in record else ""  # two sets may have names in common
    return [
        replace(
            one,
            group=places + group_of(Path(one.source), record.get("group")),
            size=size_of(folder / one.source),
        )
        for one in found
    ]


def group_of(picture: Path, pattern: str | None) -> str:
    if pattern is None:
        return picture.stem
    try:
        found = re.match(pattern, picture.stem)
    except re.error as error:
        raise HeadscarpError(
            f"patch_set, group: '{pattern}' is no regular expression ({error}); correct it"
        ) from None
    if not found:
        raise HeadscarpError(
            f"patch_set, group: '{pattern}' does not fit the beginning of the name {picture.name}; correct "
            "it, or leave it out to take each picture for a place of its own"
        )
    return found.group()
