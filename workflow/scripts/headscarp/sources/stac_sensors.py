"""What the STAC catalogues offer to a site: collections, assets, scales, cloud masks, and the offset of
Sentinel-2's newer baselines.

Sources: Sentinel-2 Products Specification Document (scene classification, BOA_ADD_OFFSET of processing
baseline 04.00, in force since 25 January 2022); Landsat 8-9 Collection 2 Level 2 Science Product Guide
(scaling, QA_PIXEL); Copernicus DEM Product Handbook; ESA WorldCover Product User Manual. The names of
collections and assets are those that Earth Search v1 and the Planetary Computer document; neither has been
tried live.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

APIS = {
    "earth_search": "https://earth-search.aws.element84.com/v1",
    "planetary_computer": "https://planetarycomputer.microsoft.com/api/stac/v1",
}
IMAGERY, ELEVATION, LAND_COVER = "imagery", "elevation", "land_cover"
# no data, saturated or defective, cloud shadow, cloud (medium, high probability), thin cirrus
SCL_MASKED = (0, 1, 3, 8, 9, 10)
QA_MASKED = 0b11111  # fill, dilated cloud, cirrus, cloud, cloud shadow: bits 0 to 4 of QA_PIXEL
NEW_BASELINE, NEW_BASELINE_SINCE = 4.0, date(2022, 1, 25)
NEW_BASELINE_OFFSET = -1000  # digital numbers
# The dark-pixel test, in reflectance. Surfaces do not reflect less than nothing, but noise over water and in
# shadow does by a little; a scene of some size has something dark (water, shadow, dense forest), in one band
# at least.
TOO_LOW, TOO_MANY = -0.02, 0.05
TOO_HIGH, DARK, DARK_PERCENTILE = 0.1, 0.05, 1
FEWEST_PIXELS = 100


def scl_shows_ground(mask: np.ndarray) -> np.ndarray:
    """Where the scene classification (SCL) shows the ground, bool; snow counts as ground."""
    return ~np.isin(mask, SCL_MASKED)


def qa_shows_ground(mask: np.ndarray) -> np.ndarray:
    """Where QA_PIXEL shows the ground, bool; snow counts as ground."""
    return (mask & QA_MASKED) == 0


@dataclass(frozen=True)
class Sensor:
    """One kind of data.

    `bands` maps our names to the names that catalogues give to the asset or (common name) to its band, in the
    order of preference, `mask` holds those of the cloud mask. A value is `scale` x digital number + `add`.
    `nodata` is that of files that declare none.
    """

    title: str
    kind: str
    collection: str
    apis: Sequence[str]
    bands: Mapping[str, Sequence[str]]
    units: str
    attribution: str
    mask: Sequence[str] = ()
    mask_nodata: int = 0
    shows_ground: Callable[[np.ndarray], np.ndarray] = scl_shows_ground
    nodata: float | None = 0
    scale: float = 1.0
    add: float = 0.0
    has_baselines: bool = False


SENSORS = {
    "sentinel2": Sensor(
        title="Sentinel-2 L2A",
        kind=IMAGERY,
        collection="sentinel-2-l2a",
        apis=tuple(APIS),
        bands={
            "blue": ("blue", "B02"),
            "green": ("green", "B03"),
            "red": ("red", "B04"),
            "red_edge1": ("rededge1", "B05"),
            "red_edge2": ("rededge2", "B06"),
            "red_edge3": ("rededge3", "B07"),
            "nir": ("nir", "B08"),
            "narrow_nir": ("nir08", "B8A"),
            "swir1": ("swir16", "B11"),
            "swir2": ("swir22", "B12"),
        },
        units="reflectance",
        attribution="contains modified Copernicus Sentinel data",
        mask=("scl", "SCL"),
        scale=1e-4,
        has_baselines=True,
    ),
    # Earth Search lists Landsat too, but its files ask for an account of the USGS or for the requester to
    # pay.
    "landsat": Sensor(
        title="Landsat Collection 2 Level 2",
        kind=IMAGERY,
        collection="landsat-c2-l2",
        apis=("planetary_computer",),
        bands={
            "blue": ("blue",),
            "green": ("green",),
            "red": ("red",),
            "nir": ("nir08", "nir"),
            "swir1": ("swir16",),
            "swir2": ("swir22",),
        },
        units="reflectance",
        attribution="Landsat data courtesy of the U.S. Geological Survey",
        mask=("qa_pixel",),
        mask_nodata=1,
        shows_ground=qa_shows_ground,
        scale=2.75e-5,
        add=-0.2,
    ),
    "dem": Sensor(
        title="Copernicus DEM GLO-30",
        kind=ELEVATION,
        collection="cop-dem-glo-30",
        apis=tuple(APIS),
        bands={"elevation": ("data", "elevation", "dem")},
        units="m",
        attribution="(c) DLR e.V. 2010-2014 and (c) Airbus Defence and Space GmbH "
        "2014-2018, provided under COPERNICUS by the European Union and ESA",
        nodata=None,
    ),
    "land_cover": Sensor(
        title="ESA WorldCover",
        kind=LAND_COVER,
        collection="esa-worldcover",
        apis=("planetary_computer",),
        bands={"land_cover": ("map", "data", "land_cover")},
        units="class",
        attribution="(c) ESA WorldCover project, contains modified Copernicus Sentinel "
        "data processed by the ESA WorldCover consortium, CC BY 4.0",
    ),
}


def judge_offset(numbers: np.ndarray, stated: int) -> tuple[int, str]:
    """Check the stated offset of a Sentinel-2 tile by its dark pixels.

    Args:
        numbers: digital numbers of clear pixels, (band, pixel), NaN = no data.
        stated: 0 or -1000, by the catalogue.

    Returns:
        The offset that is physically possible, the stated one where both are; and what was found.
    """
    numbers = numbers[:, np.isfinite(numbers).all(axis=0)]
    if numbers.shape[1] < FEWEST_PIXELS:
        return stated, f"not checked: {numbers.shape[1]} clear pixels are too few"
    offset = NEW_BASELINE_OFFSET / 1e4
    low = float((numbers / 1e4 + offset < TOO_LOW).mean(axis=1).max())
    darkest = float(np.percentile(numbers / 1e4, DARK_PERCENTILE, axis=1).min())
    if stated and low > TOO_MANY:
        return 0, (
            f"the catalogue is wrong: applying the offset would send {low:.0%} of the "
            f"clear pixels below {TOO_LOW}, so it has been applied already; not applied"
        )
    if not stated and low <= TOO_MANY and TOO_HIGH <= darkest < TOO_HIGH + DARK:
        return NEW_BASELINE_OFFSET, (
            f"the catalogue is wrong: the darkest pixels reflect {darkest:.3f} or "
            "more in every band, so the offset has not been applied yet; applied"
        )
    if darkest >= (TOO_HIGH + DARK if stated else TOO_HIGH):
        return (
            stated,
            "cannot be decided: nothing is dark here (darkest "
            f"{darkest:.3f} before any offset); the catalogue's word is kept",
        )
    return stated, f"confirmed: the darkest pixels reflect {darkest + stated / 1e4:.3f}"
