"""Sen12Landslides: time series of Sentinel-1 and Sentinel-2 in NetCDF, each patch with its place.

Höhn, P. et al. (2025). Sen12Landslides: a spatio-temporal dataset for satellite-based landslide detection.
Scientific Data. doi:10.1038/s41597-025-06167-2. Code and tasks: github.com/PaulH97/Sen12Landslides

Checked on one patch of each sensor: `<inventory>_<sensor>_<number>.nc` (sensor s2, s1asc or s1dsc), 128 x 128
cells of 10 m, 15 images; the dimensions are (time, x, y) and go by name; Sentinel-2 bands are reflectance x
1e4 with the scene classification SCL, Sentinel-1 is VV and VH in dB; DEM in m; MASK 1 where a landslide of
the event is. From the paper, not checked here: a task is a JSON file with the lists train, val (or
validation) and test, whose entries are paths of patches or mappings of such; a patch is known by its name
without the sensor. Images of two patches are of other days: the dates of the sheet count images, and the
event falls between others in each. A patch without annotation (MASK 0 throughout) may lie outside the mapped
area.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from headscarp.errors import HeadscarpError
from headscarp.files import read_json
from headscarp.sources.patch_sets.patch import (
    TEST,
    TRAIN,
    VALIDATION,
    Channel,
    Patch,
    Pixels,
    label_of_mask,
    numbered_or_named,
)
from headscarp.sources.series import read_series
from headscarp.vocabulary import require_known

RESOLUTION_M = 10.0
BANDS = {
    "blue": "B02",
    "green": "B03",
    "red": "B04",
    "red_edge1": "B05",
    "red_edge2": "B06",
    "red_edge3": "B07",
    "nir": "B08",
    "nir_narrow": "B8A",
    "swir1": "B11",
    "swir2": "B12",
}
RADAR = {"vv": "VV", "vh": "VH"}
SENSORS = {"s2": BANDS, "s1asc": RADAR, "s1dsc": RADAR}
SCALE = 1e-4  # reflectance
SCL, MASK, DEM = "SCL", "MASK", "DEM"
HIDDEN = (0, 1, 3, 8, 9, 10, 11)  # of SCL: no data, defective, cloud shadow, cloud, thin cirrus, snow
SUBSETS = {"train": TRAIN, "val": VALIDATION, "validation": VALIDATION, "test": TEST}


def read(folder: Path, record: Mapping[str, Any]) -> tuple[list[Channel], list[Patch]]:
    """The channels of one sensor and the patches that a task lists, of those that lie anywhere in `folder`.

    Args:
        record: `sensor`: s2, s1asc or s1dsc; `task`: JSON file with the split, in `folder`.

    Raises:
        HeadscarpError: a key is missing, the task is no such file or lists a patch twice or one that is not
            there.
    """
    sensor = record["sensor"]
    files = {
        patch_name(path): path for path in sorted(folder.rglob(f"*_{sensor}_*.nc"), key=numbered_or_named)
    }
    splits = read_task(folder / record["task"])
    if lacking := [name for name in splits if name not in files]:
        raise HeadscarpError(
            f"{folder / record['task']} lists {len(splits)} patches, of which "
            f"{len(lacking)} have no file of {sensor} in {folder}, '{lacking[0]}' "
            "among them; unpack their archive there, or shorten the task"
        )
    patches = [
        Patch(
            name,
            split,
            name.rsplit("_", 1)[0],
            files[name].relative_to(folder).as_posix(),
            partial(read_pixels, files[name], sensor),
        )
        for name, split in splits.items()
    ]
    return channels_of(sensor), patches


def channels_of(sensor: str) -> list[Channel]:
    optical = sensor == "s2"
    units, source = ("reflectance", "Sentinel-2") if optical else ("dB", f"Sentinel-1 {sensor}")
    bands = [
        Channel(name, units, f"{source} {band}", dated=True, masked=optical)
        for name, band in SENSORS[sensor].items()
    ]
    return [*bands, Channel("elevation", "m", "Copernicus DEM (about 30 m, enlarged by the authors)")]


def patch_name(path: Path) -> str:
    """italy_4120 of italy_s2_4120.nc: sensors of one place have one name."""
    return "_".join(part for part in path.stem.split("_") if part not in SENSORS)


def read_task(path: Path) -> dict[str, str]:
    """{patch: train, validation or test} of a task."""
    task = read_json(path)
    if not isinstance(task, dict) or not task:
        raise HeadscarpError(f"{path} is no task: it must be a mapping with the lists train, val and test")
    splits: dict[str, str] = {}
    for subset, entries in task.items():
        split = SUBSETS[require_known(subset, SUBSETS, f"{path}: subset")]
        for entry in entries:
            # An entry of several sensors names one place.
            for name in {patch_name(Path(text)) for text in texts_of(entry)}:
                if splits.setdefault(name, split) != split:
                    raise HeadscarpError(
                        f"{path} lists the patch '{name}' as {splits[name]} and as {split}; leave it in one"
                    )
    return splits


def texts_of(entry: Any) -> Iterator[str]:
    """File names in an entry: the entry itself, or the values of a mapping that end in .nc."""
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, dict):
        yield from (value for value in entry.values() if isinstance(value, str) and value.endswith(".nc"))


def read_pixels(path: Path, sensor: str) -> Pixels:
    bands = SENSORS[sensor]
    series = read_series(path, [*bands.values(), *([SCL] if sensor == "s2" else []), MASK, DEM])
    found = series.variables
    values = np.stack([found[band] for band in bands.values()], axis=1)
    if sensor == "s2":
        values = np.where(
            np.isin(found[SCL], HIDDEN)[:, None], np.float32(np.nan), values * np.float32(SCALE)
        )
    elevation = np.broadcast_to(found[DEM], (len(values), *values.shape[2:]))
    # The mask repeats at every image.
    label = label_of_mask(found[MASK].reshape(-1, *values.shape[2:]).max(axis=0), f"{path}: {MASK}")
    return Pixels(np.concatenate([values, elevation[:, None]], axis=1), label, series.grid)
