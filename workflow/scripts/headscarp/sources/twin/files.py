"""Names of the raw files of a simulated site and the memory that it takes, for those who plan before anything
is simulated."""

from collections.abc import Iterable
from typing import Any

SITE_FILES = (
    "bands.tif",
    "dem.tif",
    "lithology.tif",
    "faults.gpkg",
    "rivers.gpkg",
    "landslides.gpkg",
    "study_area.gpkg",
    "manifest.json",
)
REGION_FILES = (
    "dem_90m.tif",
    "soil.tif",
    "land_use.tif",
    "rainfall.tif",
    "ndvi_before.tif",
    "roads.gpkg",
    "settlements.gpkg",
    "water.gpkg",
    "district.gpkg",
    "survey.gpkg",
)
# Bands of the sensors, by the names of Landsat-8's.
SENSORS = {
    "landsat8": ("coastal", "blue", "green", "red", "nir", "swir1", "swir2"),
    "sentinel2": ("blue", "green", "red", "nir"),
    "rgb": ("red", "green", "blue"),
}
# A twin record of this kind is one of very-high-resolution images; one without a kind is a landscape with an
# image of 10 or 15 m.
VHR = "vhr"
VHR_IMAGE_FILES = ("rgb{}.tif", "classes{}.tif", "landslides{}.gpkg")
VHR_FILES = ("dem.tif", "ndvi.tif", "study_area.gpkg", "manifest.json")
VHR_SERIES_FILES = ("nets.gpkg", "mine.gpkg", "unstable.gpkg", "roads.gpkg", "buildings.gpkg")

# One of this kind is a landscape of 30 m at several dates.
SERIES = "series"
DATED_FILES = ("rgb_{}.tif", "clouds_{}.tif", "precipitation_{}.tif")
SERIES_FILES = (
    "dem.tif",
    "lithology.tif",
    "landslides.gpkg",
    "study_area.gpkg",
    "rivers.gpkg",
    "faults.gpkg",
    "manifest.json",
)

# What Python, its packages and the Snakemake around them take (MB), and bytes for each pixel of a scene,
# rounded up from what was measured (`benchmarks/README.md`). A VHR scene is simulated in cells of 0.3 m.
_PROCESS_MB = 1000
_REGION_BYTES, _SITE_BYTES, _SERIES_BYTES, _VHR_BYTES = 95, 200, 470, 210
_VHR_CELL_M = 0.3


def memory_mb(record: dict[str, Any], size: float) -> int:
    """Memory (MB) that `simulate_twin` needs for a site's `twin` record, its sides times `size`."""
    if record.get("kind") == VHR:
        pixels, bytes_each = (record["side_m"] / _VHR_CELL_M) ** 2, _VHR_BYTES
    else:
        pixels = record["rows"] * record["cols"]
        bytes_each = _SITE_BYTES
        if record.get("kind") == SERIES:
            bytes_each = _SERIES_BYTES
        elif record.get("region"):
            bytes_each = _REGION_BYTES
    return round(_PROCESS_MB + pixels * size**2 * bytes_each / 1e6)


def raw_files(record: dict[str, Any]) -> tuple[str, ...]:
    """Names of the files that `simulate_twin` writes for a site's `twin` record; those of a region or of
    several images are more.
    """
    if record.get("kind") == SERIES:
        return tuple(name.format(date) for date in record["dates"] for name in DATED_FILES) + SERIES_FILES
    if record.get("kind") == VHR:
        images = record["images"]
        per_image = tuple(name.format(suffix) for suffix in suffixes(images) for name in VHR_IMAGE_FILES)
        return per_image + VHR_FILES + (VHR_SERIES_FILES if len(images) > 1 else ())
    return SITE_FILES + (REGION_FILES if record.get("region") else ())


def bands_of(record: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """Names of the bands of the images that `simulate_twin` writes for a site's `twin` record, by file."""
    if record.get("kind") == SERIES:
        return {f"rgb_{date}.tif": SENSORS["rgb"] for date in record["dates"]}
    if record.get("kind") == VHR:
        return {f"rgb{suffix}.tif": SENSORS["rgb"] for suffix in suffixes(record["images"])}
    return {"bands.tif": SENSORS[record.get("sensor", "landsat8")]}


def suffixes(images: Iterable[str]) -> list[str]:
    """What the files of each image have in their names: "_jan" and so on, nothing where there is one image
    only."""
    names = list(images)
    return [f"_{name}" for name in names] if len(names) > 1 else [""]
