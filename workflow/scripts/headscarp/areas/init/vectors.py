"""The vectors of a study area: inventory, mapped area, and lines that distances are measured to."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from headscarp.areas.guess.files import Found
from headscarp.areas.guess.label_rasters import guess_labels
from headscarp.areas.guess.names import AREA, LABEL
from headscarp.areas.guess.rasters import Band
from headscarp.areas.guess.vectors import VectorLayer, first_label
from headscarp.areas.init.draft import NO_CRS, Draft, place, record_of_origin, warnings_of
from headscarp.errors import HeadscarpError
from headscarp.sources.rasters import import_raster
from headscarp.sources.region import Region

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
    for band in rasters:
        if draft.labels:
            draft.unused.append(f"{band.path.name}: landslides are taken from elsewhere")
        else:
            label_raster(draft, band, folder)
    if draft.labels:
        draft.labels["area"] = add_vector(draft, area, "mapped_area.gpkg", folder) if area else "outline.gpkg"
        where = "GUESS landslides are mapped in the whole outline; else give the polygons that were"
        draft.why_labels = "; ".join(text for text in (draft.why_labels, "" if area else where) if text)
    for one in found.vectors:
        if one.role in RAW_LINES and one.role not in {name for name, _, _ in draft.lines}:
            name = add_vector(draft, one, RAW_LINES[one.role], folder, {"margin_m": LINE_MARGIN_M[one.role]})
            draft.lines.append((one.role, name, ""))
        elif one is not label and one is not (area if draft.labels else None):
            draft.unused.append(f"{vector_name(one)}: {why_unused(one)}")


def label_raster(draft: Draft, band: Band, folder: Path) -> None:
    """Labels from a raster, or why it is not used."""
    region = Region(draft.grid.crs, draft.grid.bounds)
    with TemporaryDirectory() as scratch:
        imported = Path(scratch) / "landslides.tif"
        try:
            import_raster(band.spec, [band.path], region, imported, Path(scratch))
            guess = guess_labels(imported)
        except HeadscarpError as error:
            draft.unused.append(str(error).replace(str(imported), band.path.name))
            return
    origin = record_of_origin(place(band.path, folder), band.spec)
    comment = "; ".join((f"landslides {band.why}", *warnings_of(band)))
    draft.labels = {"classes": draft.add_file("landslides.tif", origin, comment), "values": guess.values}
    draft.labels |= {"names": guess.names} if guess.names else {}
    draft.why_labels = guess.why


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
