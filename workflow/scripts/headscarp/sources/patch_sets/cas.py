"""CAS Landslide Dataset: tiles of satellites and unmanned aircraft from nine areas.

Xu, Y. et al. (2024). CAS Landslide Dataset: a large-scale and multisensor dataset for deep learning-based
landslide detection. Scientific Data 11, 12. doi:10.1038/s41597-023-02847-z. Data: doi:10.5281/zenodo.10294997

From the paper and assumed, not checked against the archive here: a folder for each area and sensor, with
`img`, `mask` and `label`, GeoTIFFs of 512 x 512 cells (0.5 to 5 m): RGB images, masks of 0 and 1 (or 255),
and label, a picture of the mask, which is not read. The set comes without a split, so that the record names
the areas of each subset; one that it does not name is left out, which also keeps the sheet small: all 20 865
patches are 5.5e9 cells. Areas of one place seen by two sensors belong into one subset. Cells differ in size
between sensors; areas in m2 count cells of `resolution_m`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headscarp.errors import HeadscarpError
from headscarp.sources.patch_sets.patch import TEST, TRAIN, VALIDATION, Channel, Patch, folder_below
from headscarp.sources.patch_sets.tiles import CHANNELS, tiles_below

RESOLUTION_M = 1.0
SPLITS = (TRAIN, VALIDATION, TEST)


def read(folder: Path, record: Mapping[str, Any]) -> tuple[list[Channel], list[Patch]]:
    """The channels and the patches of the named areas.

    Args:
        record: `areas`: {train: folders, validation: folders, test: folders}; `images` and `masks`: names of
            the folders in each (optional, img and mask).

    Raises:
        HeadscarpError: no area is named, one is named twice, a subset is unknown, or a folder is not there or
            has no image.
    """
    areas: Mapping[str, list[str]] = record.get("areas", {})
    named = [area for split in areas.values() for area in split]
    if not named:
        raise HeadscarpError(
            "patch_set, areas: the CAS dataset has no split of its "
            "own; name the folders of train, validation and test"
        )
    if twice := [area for area in named if named.count(area) > 1]:
        raise HeadscarpError(f"patch_set, areas: '{twice[0]}' is named twice; leave it in one subset")
    images, masks, patches = record.get("images", "img"), record.get("masks", "mask"), []
    for split, folders in areas.items():
        for area in folders:
            patches += tiles_below(folder_below(folder, area), images, masks, split, area, folder)
    return CHANNELS, patches
