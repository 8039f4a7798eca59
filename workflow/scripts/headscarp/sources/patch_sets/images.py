"""Pictures and masks of one name in two folders: scenes without a place on Earth, such as those of the aerial
landslides of Sichuan (doi:10.11922/sciencedb.j00001.00222).

Red, green and blue of 8 bits (JPEG, PNG or GeoTIFF), all of one size in pixels; masks 0 and 1 (or 255). What
shows one place is a group and is never parted: pictures whose names begin alike, as far as `group` of the
record, a regular expression, says; each picture for itself without it. There is no published split.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from headscarp.errors import HeadscarpError
from headscarp.sources.patch_sets.patch import TRAIN, Channel, Patch
from headscarp.sources.patch_sets.tiles import CHANNELS, SUFFIXES, tiles_below

RESOLUTION_M = None  # pictures do not tell it
PICTURES = (*SUFFIXES, ".jpg", ".jpeg")


def read(folder: Path, record: Mapping[str, Any]) -> tuple[list[Channel], list[Patch]]:
    """The channels and all patches.

    Args:
        record: `images` and `masks`: names of the folders; `group`: which part of a picture's name is that of
            its place (all optional).

    Raises:
        HeadscarpError: there is no picture, a mask has none, or `group` is no regular expression or does not
            fit a picture's name.
    """
    images, masks = record.get("images", "images"), record.get("masks", "masks")
    patches = tiles_below(folder, images, masks, TRAIN, "", folder, PICTURES)
    return CHANNELS, [replace(one, group=group_of(Path(one.source), record.get("group"))) for one in patches]


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
