"""All formats of sets of patches, and reading one as a site's record says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headscarp.errors import HeadscarpError
from headscarp.sources.patch_sets import cas, gdcld, hr_gldd, landslide4sense, sen12landslides
from headscarp.sources.patch_sets.patch import Channel, Patch, require_unique
from headscarp.vocabulary import require_known

COMMON_KEYS = ("format", "resolution_m")


@dataclass(frozen=True)
class Format:
    """How a set is read: keys of the record that only it knows, size of its cells in metres, and the
    reader (folder, record) -> (channels, patches), which lists the patches without reading them."""

    keys: tuple[str, ...]
    resolution_m: float
    read: Callable[[Path, Mapping[str, Any]], tuple[list[Channel], list[Patch]]]


FORMATS = {
    name: Format(module.KEYS, module.RESOLUTION_M, module.read)
    for name, module in (
        ("landslide4sense", landslide4sense),
        ("hr_gldd", hr_gldd),
        ("gdcld", gdcld),
        ("cas", cas),
        ("sen12landslides", sen12landslides),
    )
}


@dataclass(frozen=True)
class PatchSet:
    """The channels and patches of a set of patches, nothing read yet, and the size of its cells in metres."""

    channels: list[Channel]
    patches: list[Patch]
    resolution_m: float


def open_patch_set(record: Mapping[str, Any], folder: str | Path) -> PatchSet:
    """List the patches of the set that was unpacked into `folder`.

    Args:
        record: the part `patch_set` of a card's site: `format` (one of FORMATS), `resolution_m` (optional,
            else the format's), and the keys of the format (see its module).

    Raises:
        HeadscarpError: an unknown format or key, or files that the format needs are missing or do not fit
            together.
    """
    folder = Path(folder)
    check_patch_set(record)
    form = FORMATS[record["format"]]
    channels, patches = form.read(folder, record)
    if not patches:
        raise HeadscarpError(f"{folder} holds no patch of {record['format']}; unpack the set's archive there")
    require_unique(patches, folder)
    return PatchSet(channels, patches, float(record.get("resolution_m", form.resolution_m)))


def check_patch_set(record: Mapping[str, Any]) -> None:
    """Check the keys of a record, without any file.

    Raises:
        HeadscarpError: an unknown format or key, or a resolution that is not above 0.
    """
    if "format" not in record:
        raise HeadscarpError(f"patch_set: the key 'format' is missing; it is one of {', '.join(FORMATS)}")
    form = FORMATS[require_known(record["format"], FORMATS, "patch_set, format:")]
    for key in record:
        require_known(key, (*COMMON_KEYS, *form.keys), f"patch_set of the format {record['format']}: key")
    resolution = record.get("resolution_m", form.resolution_m)
    if isinstance(resolution, bool) or not isinstance(resolution, int | float) or not resolution > 0:
        raise HeadscarpError(
            f"patch_set, resolution_m: {resolution!r} is no number of metres above 0; correct it"
        )
