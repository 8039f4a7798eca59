"""Names of the layers and channels that a site's record gives, for those who plan before any is made."""

import re
from collections.abc import Mapping
from typing import Any

# Statistics of the terrain within patches, see `site.patches`.
PATCH_STATISTICS = ("elevation", "relief", "slope", "slope_sd", "curvature", "northness", "eastness")
ANGLES = ("aspect",)
LABEL = "label"
# Units of layers that are images, of light and of radar.
OPTICAL_UNITS = ("reflectance", "brightness")
IMAGE_UNITS = (*OPTICAL_UNITS, "dB")
# What layers of terrain are derived from, as layers.json and cube.json say it.
ELEVATION_MODEL = "elevation model"


def layer_names(record: Mapping[str, Any]) -> list[str]:
    """Names of the layers that the part `layers` of a card's site gives, but for `label` and `instances`."""
    if "patches" in record:
        return [*PATCH_STATISTICS, *record["patches"]["values"]]
    of_series = [name for entry in record.get("series", []) for name in entry["variables"]]
    named = [name for part in ("rasters", "static", "indices", "lines") for name in record.get(part, {})]
    return [*of_series, *named, *record.get("terrain", [])]


def channel_names(record: Mapping[str, Any]) -> list[str]:
    """Names of the channels of the cube of these layers (see `site.stack.build_cube`): each layer, two more
    of an angle, and one for each class of a layer of classes whose names the record gives."""
    classes = classes_of_layers(record)
    names = []
    for name in layer_names(record):
        angles = [f"{name}_sin", f"{name}_cos"] if name in ANGLES else []
        names += [name, *angles, *(f"{name}_{code}" for code in classes.get(name, {}))]
    return names


def classes_of_layers(record: Mapping[str, Any]) -> dict[str, Mapping[Any, str]]:
    """{layer: {code: name}} of the layers of classes; empty where the record names none, since they come with
    the file."""
    entries = record.get("rasters", {}) | record.get("static", {})
    return {
        name: entry.get("classes", {})
        for name, entry in entries.items()
        if "classes" in entry or entry.get("kind") == "classes"
    }


def is_channel(name: str, record: Mapping[str, Any]) -> bool:
    """Whether the cube of these layers has a channel; a class whose code only the file knows may be one."""
    if name in channel_names(record):
        return True
    unnamed = [layer for layer, classes in classes_of_layers(record).items() if not classes]
    return any(re.fullmatch(rf"{re.escape(layer)}_\d+", name) for layer in unnamed)


def files_read(record: Mapping[str, Any]) -> dict[str, str]:
    """Raw files that the layers are made of, by their key in the record (`rasters, red, file`)."""
    labels, grid, patches = record.get("labels") or {}, record.get("grid", {}), record.get("patches", {})
    found = {"dem": record["dem"]} if "dem" in record else {}
    found |= {f"grid, {key}": grid[key] for key in ("like", "around", "within") if key in grid}
    found |= {f"lines, {name}": file for name, file in record.get("lines", {}).items()}
    found |= {
        f"labels, {key}": labels[key] for key in ("landslides", "area", "classes", "file") if key in labels
    }
    found |= {f"patches, {key}": patches[key] for key in ("table",) if key in patches}
    for name, entry in record.get("rasters", {}).items():
        found |= _files_of(entry, f"rasters, {name}") | _files_of(
            entry.get("mask", {}), f"rasters, {name}, mask"
        )
    for number, entry in enumerate(record.get("series", [])):
        found |= {f"series, {number}, {key}": entry[key] for key in ("file", "outline") if key in entry}
    for name, entry in record.get("static", {}).items():
        found |= {f"static, {name}, file": entry["file"]}
    return found


def _files_of(entry: Mapping[str, Any], place: str) -> dict[str, str]:
    """The file of an entry, or those of its dates."""
    dated = {f"{place}, files, {date}": file for date, file in entry.get("files", {}).items()}
    return ({f"{place}, file": entry["file"]} if "file" in entry else {}) | dated
