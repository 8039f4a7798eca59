"""The vectors of a study area: inventory, mapped area, and lines that distances are measured to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headscarp.areas.guess.files import Found
from headscarp.areas.guess.names import AREA, LABEL
from headscarp.areas.guess.rasters import Band
from headscarp.areas.guess.vectors import VectorLayer, first_label
from headscarp.areas.init.draft import NO_CRS, Draft, place, record_of_origin, warnings_of

RAW_LINES = {
    "distance_to_rivers": "rivers.gpkg",
    "distance_to_faults": "faults.gpkg",
    "distance_to_roads": "roads.gpkg",
}
LINE_MARGIN_M = {"distance_to_rivers": 5000, "distance_to_faults": 20000, "distance_to_roads": 5000}


def add_vectors(draft: Draft, found: Found, folder: Path) -> None:
    """Inventory, mapped area and lines."""
    label, rasters = first_label(found.vectors), [band for band in found.bands if band.role == LABEL]
    area = next((one for one in found.vectors if one.role == AREA), None)
    if label:
        draft.labels = {"landslides": add_vector(draft, label, "landslides.gpkg", folder)}
    elif rasters and rasters[0].codes:
        draft.labels = label_raster(draft, rasters[0], folder)
    draft.unused += [
        f"{one.path.name}: landslides are taken from elsewhere" for one in (rasters if label else rasters[1:])
    ]
    if draft.labels:
        draft.labels["area"] = add_vector(draft, area, "mapped_area.gpkg", folder) if area else "outline.gpkg"
        draft.why_labels = (
            ""
            if area
            else "GUESS landslides are mapped in the whole outline; else give the polygons that were"
        )
    for one in found.vectors:
        if one.role in RAW_LINES and one.role not in {name for name, _, _ in draft.lines}:
            name = add_vector(draft, one, RAW_LINES[one.role], folder, {"margin_m": LINE_MARGIN_M[one.role]})
            draft.lines.append((one.role, name, ""))
        elif one is not label and one is not (area if draft.labels else None):
            draft.unused.append(f"{vector_name(one)}: {why_unused(one)}")


def label_raster(draft: Draft, band: Band, folder: Path) -> dict[str, Any]:
    """Labels from a raster of codes, of which 1 is landslides."""
    origin = record_of_origin(place(band.path, folder), band.spec)
    name = draft.add_file(
        "landslides.tif",
        origin,
        "; ".join((f"landslides {band.why}; 1 must be landslides", *warnings_of(band))),
    )
    names = {0: "not a landslide", 1: "landslide"} | {
        code: f"class {code}" for code in band.codes if code not in (0, 1, 255)
    }
    return {"classes": name, "names": names}


def add_vector(
    draft: Draft, one: VectorLayer, wanted: str, folder: Path, further: Mapping[str, Any] = {}
) -> str:
    count = f"{one.count} " if one.count else ""
    comment = f"{count}{one.why}" + ("" if one.crs else f"; {NO_CRS}")
    origin = record_of_origin(place(one.path, folder), {"layer": one.layer, "where": one.where})
    return draft.add_file(
        wanted,
        origin | dict(further),
        comment,
    )


def vector_name(one: VectorLayer) -> str:
    return one.path.name + (f", layer {one.layer}" if one.layer else "")


def why_unused(one: VectorLayer) -> str:
    """Why a vector layer has no place in the card."""
    if one.geometry == "Point":
        return f"{one.count} points; landslides are needed as polygons"
    if one.role == LABEL:
        return "polygons that may be landslides; another layer is taken as the inventory"
    if one.role:
        return "another file is taken"
    kind = {"LineString": "lines", "Polygon": "polygons"}.get(one.geometry, one.geometry)
    return f"{one.count} {kind} whose name tells no use (landslides, mapped area, rivers, faults, roads)"
