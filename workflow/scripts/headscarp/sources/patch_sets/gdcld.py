"""GDCLD: tiles of very high resolution from several sensors and events.

Fang, C. et al. (2024). A globally distributed dataset for coseismic landslide mapping via multi-source
high-resolution remote sensing images. Earth System Science Data 16, 4817-4842. doi:10.5194/essd-16-4817-2024.
Data: doi:10.5281/zenodo.13612636

From the paper and assumed, not checked against the archive here: RGB tiles of 1024 x 1024 cells (GeoTIFF or
PNG, 8 bits) of PlanetScope (3 m), Gaofen-6 (2 m), Map World (0.5 to 1 m) and unmanned aircraft (0.2 m and
finer), masks 0 and 1 (or 255), in the folders `train_data`, `val_data` and `test_data`, each with `images`
and `masks`, in it or in folders of events and sensors in it. Folders of other names are given in the record:
`subsets: {train: …, validation: …, test: …}`, `images`, `masks`. Sensors stand side by side, so that cells
differ in size; areas in m2 count cells of `resolution_m`. With a folder for each event the published split is
by region.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headscarp.sources.patch_sets.patch import TEST, TRAIN, VALIDATION, Channel, Patch, folder_below
from headscarp.sources.patch_sets.tiles import CHANNELS, tiles_below

RESOLUTION_M = 3.0
SUBSETS = {TRAIN: "train_data", VALIDATION: "val_data", TEST: "test_data"}


def read(folder: Path, record: Mapping[str, Any]) -> tuple[list[Channel], list[Patch]]:
    """The channels and all patches.

    Args:
        record: `subsets` (a subset that it leaves out has the name above), `images` and `masks`: names of
            folders (optional).

    Raises:
        HeadscarpError: the folder of a subset is not there or has no image.
    """
    given = record.get("subsets", {})
    images, masks, patches = record.get("images", "images"), record.get("masks", "masks"), []
    for split, name in (SUBSETS | given).items():
        patches += tiles_below(folder_below(folder, name), images, masks, split, "", folder)
    return CHANNELS, patches
