"""Names of the channels of each format of patch sets, for those who plan before any patch is read."""

from collections.abc import Mapping
from typing import Any

SENTINEL2 = (
    "blue",
    "green",
    "red",
    "red_edge1",
    "red_edge2",
    "red_edge3",
    "nir",
    "nir_narrow",
    "swir1",
    "swir2",
)
_OF_FORMAT = {
    "landslide4sense": (
        "coastal",
        *SENTINEL2[:7],
        "water_vapour",
        "cirrus",
        *SENTINEL2[8:],
        "slope",
        "elevation",
    ),
    "hr_gldd": ("blue", "green", "red", "nir"),
    "gdcld": ("red", "green", "blue"),
    "cas": ("red", "green", "blue"),
    "images": ("red", "green", "blue"),
}
_OF_SENSOR = {"s2": SENTINEL2, "s1asc": ("vv", "vh"), "s1dsc": ("vv", "vh")}


def channel_names(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Channels of a set of patches from its record in a card (section `patch_set` of the schema)."""
    if record["format"] in _OF_FORMAT:
        return _OF_FORMAT[record["format"]]
    return (*_OF_SENSOR[record["sensor"]], "elevation")
