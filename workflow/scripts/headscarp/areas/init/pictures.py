"""The card of a set of pictures with masks, of two folders: from what they hold to its text."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headscarp.areas.guess.pictures import (
    ALIKE,
    CRS,
    SMALLEST,
    MeaningOfMasks,
    Picture,
    listed,
    look_at_pictures,
    meaning_of_masks,
    place_in_names,
)
from headscarp.areas.init.card import block, flow
from headscarp.areas.init.draft import Entry, place
from headscarp.areas.init.study import experiment, scale_entries
from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path
from headscarp.site.patch_sheet import Sheet
from headscarp.templating import fill

FOLDS = 3
SIDES = {
    "tiny": 64,
    "standard": 256,
}  # about as many pixels a side are left of the smallest picture at a scale
WINDOWS = {"tiny": 32, "standard": 128, "full": 256}  # at most
BYTES = 3 * 4 + 1 + 4  # of a pixel of the sheet: three channels, label, number of the slide


@dataclass(frozen=True)
class PictureDraft:
    """What the card of a set of pictures will say. `images` and `masks` are the folders as a card has them,
    `pixel_m` the size of a pixel (None: not known) and `why_pixel` how it is known, `group` what names say of
    places and how many these are."""

    name: str
    images: str
    masks: str
    pictures: list[Picture]
    meaning: MeaningOfMasks
    pixel_m: float | None
    why_pixel: str
    group: tuple[str, int] | None

    @property
    def smallest(self) -> int:
        """The shortest side of all pictures, pixels."""
        return min(min(one.size) for one in self.pictures)

    @property
    def unmasked(self) -> list[str]:
        return [one.name for one in self.pictures if one.values is None]

    @property
    def why_images(self) -> str:
        """What the folder of pictures holds."""
        areas = sorted({one.size for one in self.pictures}, key=lambda size: (size[0] * size[1], size))
        sizes = " to ".join(f"{height} x {width}" for height, width in dict.fromkeys((areas[0], areas[-1])))
        kinds = ", ".join(sorted({one.dtype for one in self.pictures}))
        return f"{len(self.pictures)} pictures of {sizes} pixels, red, green and blue, {kinds}"

    @property
    def why_masks(self) -> str:
        """What the folder of masks holds."""
        count, slides = len(self.pictures) - len(self.unmasked), len(self.meaning.slides)
        text = f"{count} masks, {slides} with landslides, {self.meaning.share:.1%} of what is labelled"
        if self.unmasked:
            text += (
                f"; {len(self.unmasked)} of {len(self.pictures)} pictures without a mask "
                f"({listed(self.unmasked)}): mapped, never trained or scored on"
            )
        return text

    @property
    def why_group(self) -> str:
        """What names say of places."""
        if self.group:
            return f"GUESS names begin with one of {self.group[1]} places, which are never parted"
        return "GUESS each picture shows a place of its own; else give what those of one place have in common"


def drafted_pictures(name: str, images: Path, masks: Path, pixel: float | None, folder: Path) -> PictureDraft:
    """What the card will say of two folders.

    Args:
        pixel: the size of a pixel in metres; None: what the files say, or not known.

    Raises:
        HeadscarpError: as `look_at_pictures` and `meaning_of_masks`, or a picture is too small.
    """
    pictures = look_at_pictures(images, masks)
    small = min(pictures, key=lambda one: min(one.size))
    if min(small.size) < SMALLEST:
        raise HeadscarpError(
            f"{images}: {small.name} has {small.size[0]} x {small.size[1]} pixels, too few for any network; "
            f"remove what has less than {SMALLEST} a side"
        )
    meaning = meaning_of_masks(pictures)
    pixel_m, why_pixel = size_of_pixel(pictures, pixel)
    return PictureDraft(
        name=name,
        images=place(images, folder),
        masks=place(masks, folder),
        pictures=pictures,
        meaning=meaning,
        pixel_m=pixel_m,
        why_pixel=why_pixel,
        group=place_in_names(pictures, meaning.slides),
    )


def size_of_pixel(pictures: Sequence[Picture], given: float | None) -> tuple[float | None, str]:
    """The size of a pixel in metres, and how it is known."""
    if given is not None:
        return given, "as given by --pixel"
    told = [one for one in pictures if one.pixel_m is not None]
    unknown = "lengths and areas count a pixel as one metre until `resolution_m` (--pixel) says its size"
    if len(told) < len(pictures):
        which = f"{len(told)} of {len(pictures)} files tell" if told else "no file tells"
        return None, f"{which} the size of a pixel: {unknown}"
    sizes = [one.pixel_m for one in told]
    if np.ptp(sizes) > ALIKE * min(sizes):
        return None, f"pixels are of {min(sizes):g} to {max(sizes):g} m, no one size: {unknown}"
    by = " and ".join(sorted({one.told_by for one in told}))
    guess = "" if by == CRS else "GUESS metres, "
    return float(f"{np.median(sizes):.6g}"), f"{guess}by the {by} of the files"


def write_pictures(draft: PictureDraft, target: Path) -> None:
    """Write the card of a set of pictures."""
    with atomic_path(target) as temporary:
        temporary.write_text(pictures_text(draft), encoding="utf-8")


def pictures_text(draft: PictureDraft) -> str:
    """The whole card."""
    rows = [
        experiment(network, label, network, ["rgb"])
        for network, label in (("random_forest", "Random forest"), ("unet", "U-Net"), ("resunet", "ResU-Net"))
    ]
    names = [name for name, _, _ in rows]
    return fill(
        "areas/templates/pictures.yaml",
        flow=flow,
        block=block,
        draft=draft,
        title=draft.name.replace("_", " ").capitalize(),
        patch_set=patch_set_of(draft),
        experiments=rows,
        rows=names,
        trained_by_epoch=names[1:],
        sampling=sampling_at(draft.smallest, WINDOWS["full"])
        | {
            "seeded_on_landslides": False,
            "split": {"kind": "patches", "folds": FOLDS, "fractions": [0.5, 0.17, 0.33]},
        },
        scales=scales_of_pictures(draft.smallest),
    )


def patch_set_of(draft: PictureDraft) -> list[Entry]:
    """How the pictures are read."""
    entries: list[Entry] = [("format", "images", "")]
    entries.append(
        ("shrinks_with_scale", True, "a scale of size 0.25 joins 4 x 4 pixels; false: all scales read all")
    )
    if draft.pixel_m is not None:
        entries.append(("resolution_m", draft.pixel_m, draft.why_pixel))
    if draft.meaning.values:
        entries.append(("values", draft.meaning.values, draft.meaning.why))
    if draft.group:
        entries.append(("group", draft.group[0], draft.why_group))
    return entries


def sampling_at(side: int, most: int) -> dict[str, Any]:
    """Windows that fit into pictures of a side in pixels, of a power of two, at most `most`."""
    window = min(most, 2 ** (side.bit_length() - 1))
    return {"window": window, "stride": window // 2}


def scales_of_pictures(smallest: int) -> list[Entry]:
    """The four scales: below `full` pixels of large pictures are joined."""
    parts: dict[str, dict[str, Any]] = {}
    for scale, side in SIDES.items():
        join = max(1, round(smallest / side))
        parts[scale] = {
            "size": float(f"{1 / join:.4g}"),
            "sampling": sampling_at(smallest // join, WINDOWS[scale]),
        }
    tiny = parts["tiny"] | {"width": 0.125, "seeds": [0]}
    tiny |= {"training": {"batch": 4, "epochs": 2, "steps_per_epoch": 3}}
    demo = parts["standard"] | {
        "width": 0.25,
        "seeds": [0],
        "training": {"epochs": 4, "steps_per_epoch": 25},
    }
    standard = parts["standard"] | {"width": 0.25, "seeds": [0, 1, 2]}
    full = {"size": 1.0, "width": 1.0, "seeds": [0, 1, 2]}
    return scale_entries(tiny, demo, standard, full)


def summary_of_pictures(draft: PictureDraft) -> list[str]:
    """Lines for people: what the folders hold, what masks and names are taken for, and how large it gets."""
    scales = {name: scale["size"] for name, scale, _ in scales_of_pictures(draft.smallest)}
    lines = [
        f"pictures: {draft.images} ({draft.why_images})",
        f"masks: {draft.masks} ({draft.why_masks})",
        f"values: {draft.meaning.why}",
        f"pixel: {f'{draft.pixel_m:g} m, ' if draft.pixel_m is not None else ''}{draft.why_pixel}",
        f"places: {draft.why_group}{f' (`group: {flow(draft.group[0])}`)' if draft.group else ''}",
    ]
    sizes = ", ".join(f"{gibibytes(draft.pictures, scales[name]):.2g} GiB at {name}" for name in scales)
    return [*lines, f"side by side: {sizes}"]


def gibibytes(pictures: Sequence[Picture], size: float) -> float:
    """What the sheet of the pictures takes on disk at a scale of a size."""
    join = round(1 / size)
    rows, cols = Sheet([(one.size[0] // join, one.size[1] // join) for one in pictures]).shape
    return rows * cols * BYTES / 2**30
