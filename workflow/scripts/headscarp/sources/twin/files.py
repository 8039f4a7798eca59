"""Names of the raw files of a simulated site, for those who plan before anything is simulated."""

from typing import Any

SITE_FILES = ("bands.tif", "dem.tif", "lithology.tif", "faults.gpkg", "rivers.gpkg", "landslides.gpkg", "study_area.gpkg", "manifest.json")
REGION_FILES = (
    "dem_90m.tif", "soil.tif", "land_use.tif", "rainfall.tif", "roads.gpkg", "settlements.gpkg", "water.gpkg", "district.gpkg",
    "survey.gpkg",
)  # fmt: skip


def raw_files(record: dict[str, Any]) -> tuple[str, ...]:
    """Names of the files that `simulate_twin` writes for a site's `twin` record; those of a region are more."""
    return SITE_FILES + (REGION_FILES if record.get("region") else ())
