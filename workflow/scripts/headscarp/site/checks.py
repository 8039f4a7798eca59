"""What the layers of a site's record must have to do with each other, which no schema says: dates rise, files
belong to dates, derived layers have what they are derived from.

Records are checked against their schema (section `layers`) before.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from headscarp.errors import HeadscarpError
from headscarp.schema import validate
from headscarp.site.dates import ALL_DATES, common_dates, files_by_date, files_of, rising_dates
from headscarp.site.layer_names import layer_names
from headscarp.site.terrain_names import TERRAIN, check_terrain
from headscarp.vocabulary import require_known

# Keys that the plan adds to the part `layers` of a card's site.
TOLD = ("name", "data")
CLASSES = "classes"


def check_record(record: Mapping[str, Any]) -> None:
    """Check the part `layers` of a card's site, with the site's `name` and `data`, against the schema and
    itself before any work is done.

    Raises:
        HeadscarpError: a key or name is unknown (the nearest is named) or missing, or parts contradict each
        other.
    """
    place = f"site {record.get('name', '?')}, layers"
    own = {key: value for key, value in record.items() if key not in TOLD}
    validate("layers", own, place)
    check_layers(own, place)


def check_layers(record: Mapping[str, Any], place: str) -> None:
    """Check what the parts of a valid record have to do with each other.

    Raises:
        HeadscarpError: parts contradict each other.
    """
    if "series" in record:
        _check_series(record, place)
    elif "patches" not in record:
        _check_rasters(record, place)
    names = layer_names(record)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise HeadscarpError(f"{place}: two layers are called '{twice[0]}'; rename one")


def _check_rasters(record: Mapping[str, Any], place: str) -> None:
    dates, rasters = rising_dates(record["dates"], f"{place}, dates"), record["rasters"]
    _check_grid(record["grid"], f"{place}, grid")
    if record.get("labels") is not None:
        _check_labels(record["labels"], f"{place}, labels")
    for name, entry in rasters.items():
        _check_raster(entry, dates, f"{place}, rasters, {name}")
    if record.get("terrain") and "dem" not in record:
        raise HeadscarpError(
            f"{place}: terrain layers need an elevation model and none is named; give its file as `dem`"
        )
    for name in record.get("terrain", []):
        check_terrain(name, f"{place}, terrain")
    for name, inputs in record.get("indices", {}).items():
        for layer in inputs.values():
            require_known(layer, rasters, f"{place}, indices, {name}: raster layer")
        if not common_dates(files_of(rasters[layer], dates, place) for layer in inputs.values()):
            raise HeadscarpError(
                f"{place}, indices, {name}: {' and '.join(inputs.values())} have no date in common; give "
                f"them `files` of one, or drop the index"
            )
    if len(dates) > 1 and not any("files" in entry for entry in rasters.values()):
        raise HeadscarpError(
            f"{place}: all rasters are the same at all {len(dates)} dates; give one of them `files`, or "
            f"list one date"
        )


def _check_grid(grid: Mapping[str, Any], place: str) -> None:
    """A grid like a raster's, or around an outline."""
    if ("around" in grid) == ("like" in grid):
        raise HeadscarpError(
            f"{place}: like (a raster) and around (an outline) exclude each other, and one must be there; "
            f"keep or add one of them"
        )
    # Without a CRS the raster's own grid is taken, in which a resolution would have no say.
    needed = ("crs", "resolution_m") if {"around", "crs", "resolution_m"} & set(grid) else ()
    for key in needed:
        if key not in grid:
            raise HeadscarpError(f"{place}: the key '{key}' is missing; add it")
    if "around" in grid and "within" in grid:
        raise HeadscarpError(f"{place}: a grid around an outline lies within it; remove the key 'within'")
    part = grid.get("part")
    if part and not part["from"] < part["to"]:
        raise HeadscarpError(
            f"{place}, part: from {part['from']} to {part['to']} is no part; give two rising shares of the "
            f"grid from 0 to 1"
        )


def _check_labels(labels: Mapping[str, Any], place: str) -> None:
    """Polygons of landslides, or a raster of classes and what its values mean."""
    if "landslides" in labels and any(key in labels for key in (CLASSES, "names", "values")):
        raise HeadscarpError(
            f"{place}: landslides (polygons) and classes (a raster with names or values) exclude each other; "
            f"keep one of them"
        )
    if "landslides" not in labels and CLASSES not in labels:
        raise HeadscarpError(
            f"{place}: the key 'landslides' is missing; name a file of polygons, or a raster as `classes`"
        )
    if CLASSES in labels and "names" not in labels and "values" not in labels:
        raise HeadscarpError(
            f"{place}: nothing says what the values of {labels[CLASSES]} mean; add for example "
            f"`values: {{0: not a landslide, 1: landslide}}`"
        )


def _check_raster(entry: Mapping[str, Any], dates: Sequence[str], place: str) -> None:
    if "attribute" in entry:
        for key in ("files", "band", "resampling"):
            if key in entry:
                raise HeadscarpError(f"{place}: polygons (attribute) have no {key}; remove the key '{key}'")
    elif entry.get("kind") == CLASSES:
        if CLASSES not in entry:
            raise HeadscarpError(f"{place}: the key 'classes' is missing; add it")
        if "resampling" in entry:
            raise HeadscarpError(f"{place}: classes go by the nearest cell; remove the key 'resampling'")
    _check_files(entry, dates, place)
    if "mask" not in entry:
        return
    _check_files(entry["mask"], dates, f"{place}, mask")
    if "files" in entry["mask"] and "file" in entry:
        raise HeadscarpError(
            f"{place}, mask: a mask of `files` belongs to a raster of `files`; give the mask one `file` or "
            f"the raster dates"
        )


def _check_files(entry: Mapping[str, Any], dates: Sequence[str], place: str) -> None:
    """Either one file, or files of the site's dates."""
    if ("file" in entry) == ("files" in entry):
        how = "both `file` and `files` are" if "file" in entry else "neither `file` nor `files` is"
        raise HeadscarpError(
            f"{place}: {how} given; give `file` for a raster that is the same at all dates, `files` for "
            f"one of each date"
        )
    if "files" in entry:
        files_by_date(entry["files"], dates, f"{place}, files")


def _check_series(record: Mapping[str, Any], place: str) -> None:
    if record["dates"] != ALL_DATES:
        rising_dates(record["dates"], f"{place}, dates")
    files, static = [entry["file"] for entry in record["series"]], record.get("static", {})
    layers = [name for entry in record["series"] for name in entry["variables"]]
    for name, entry in static.items():
        require_known(entry["file"], files, f"{place}, static, {name}: file of `series`")
        if "classes" not in entry and "units" not in entry:
            raise HeadscarpError(f"{place}, static, {name}: the key 'units' is missing; add it")
    labels = record.get("labels") or {}
    if labels and set(labels) != {"file", "variable"}:
        raise HeadscarpError(
            f"{place}, labels: labels of `series` are {{file: one of `series`, variable: its variable}}; "
            f"give these two keys"
        )
    if labels:
        require_known(labels["file"], files, f"{place}, labels: file of `series`")
    for name, inputs in record.get("indices", {}).items():
        for layer in inputs.values():
            require_known(layer, layers, f"{place}, indices, {name}: layer of `series`")
    if record.get("terrain") and "elevation" not in static:
        raise HeadscarpError(
            f"{place}: terrain layers need an elevation model; give one as `elevation` in `static`"
        )
    for name in record.get("terrain", []):
        require_known(name, [known for known in TERRAIN if known != "elevation"], f"{place}, terrain: layer")
