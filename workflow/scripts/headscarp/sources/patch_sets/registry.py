"""All formats of benchmarks, and reading one as a site's record says."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headscarp.errors import HeadscarpError
from headscarp.schema import validate
from headscarp.sources.patch_sets import cas, gdcld, hr_gldd, landslide4sense, sen12landslides
from headscarp.sources.patch_sets.patch import Channel, Patch, require_unique


@dataclass(frozen=True)
class Format:
    """How a benchmark is read: size of its cells in metres, and the reader (folder, record) -> (channels,
    patches), which lists the patches without reading them."""

    resolution_m: float
    read: Callable[[Path, Mapping[str, Any]], tuple[list[Channel], list[Patch]]]


FORMATS = {
    name: Format(module.RESOLUTION_M, module.read)
    for name, module in (
        ("landslide4sense", landslide4sense),
        ("hr_gldd", hr_gldd),
        ("gdcld", gdcld),
        ("cas", cas),
        ("sen12landslides", sen12landslides),
    )
}


@dataclass(frozen=True)
class Benchmark:
    """The channels and patches of a benchmark, nothing read yet, and the size of its cells in metres."""

    channels: list[Channel]
    patches: list[Patch]
    resolution_m: float


def open_benchmark(record: Mapping[str, Any], folder: str | Path) -> Benchmark:
    """List the patches of the benchmark that was unpacked into `folder`.

    Args:
        record: the part `benchmark` of a card's site: `format` (one of FORMATS), `resolution_m` (optional,
            else the format's), and the keys of the format (section `patch_set` of the
            schema).

    Raises:
        HeadscarpError: the record does not follow the schema, or files that the format needs are missing or
        do not fit together.
    """
    folder = Path(folder)
    validate("patch_set", record, "benchmark")
    form = FORMATS[record["format"]]
    channels, patches = form.read(folder, record)
    if not patches:
        raise HeadscarpError(
            f"{folder} holds no patch of {record['format']}; unpack the benchmark's archive there"
        )
    require_unique(patches, folder)
    return Benchmark(channels, patches, float(record.get("resolution_m", form.resolution_m)))
