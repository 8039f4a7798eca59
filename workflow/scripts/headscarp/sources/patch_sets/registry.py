"""All formats of sets of patches, and reading one as a site's record says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headscarp.errors import HeadscarpError
from headscarp.schema import validate
from headscarp.sources.patch_sets import cas, gdcld, hr_gldd, images, landslide4sense, sen12landslides
from headscarp.sources.patch_sets.patch import Channel, Patch, require_unique


@dataclass(frozen=True)
class Format:
    """How a set is read: size of its cells in metres (None: not known), and the reader (folder, record) ->
    (channels, patches), which lists the patches without reading them."""

    resolution_m: float | None
    read: Callable[[Path, Mapping[str, Any]], tuple[list[Channel], list[Patch]]]


FORMATS = {
    name: Format(module.RESOLUTION_M, module.read)
    for name, module in (
        ("landslide4sense", landslide4sense),
        ("hr_gldd", hr_gldd),
        ("gdcld", gdcld),
        ("cas", cas),
        ("sen12landslides", sen12landslides),
        ("images", images),
    )
}


@dataclass(frozen=True)
class PatchSet:
    """The channels and patches of a set of patches, nothing read yet, and the size of its cells in metres
    (None: not known)."""

    channels: list[Channel]
    patches: list[Patch]
    resolution_m: float | None


def open_patch_set(record: Mapping[str, Any], folder: str | Path) -> PatchSet:
    """List the patches of the set that was unpacked into `folder`.

    Args:
        record: the part `patch_set` of a card's site (section `patch_set` of the schema); `resolution_m` is
            else the format's.

    Raises:
        HeadscarpError: the record does not follow the schema, or files that the format needs are missing or
        do not fit together.
    """
    folder = Path(folder)
    validate("patch_set", record, "patch_set")
    form = FORMATS[record["format"]]
    channels, patches = form.read(folder, record)
    if not patches:
        raise HeadscarpError(f"{folder} holds no patch of {record['format']}; unpack the set's archive there")
    require_unique(patches, folder)
    return PatchSet(channels, patches, record.get("resolution_m", form.resolution_m))
