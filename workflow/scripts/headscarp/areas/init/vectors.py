"""The vectors of a study area: inventory, mapped area, and lines that distances are measured to."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from headscarp.areas.guess.files import Found
from headscarp.areas.guess.label_rasters import guess_labels
from headscarp.areas.guess.names import AREA, LABEL
from headscarp.areas.guess.rasters import Band
from headscarp.areas.guess.slide_names import instead_of_slides, names_slides
from headscarp.areas.guess.vectors import VectorLayer
from headscarp.areas.init.draft import Draft, place, record_of_origin, warnings_of
from headscarp.errors import HeadscarpError
from headscarp.sources.rasters import import_raster
from headscarp.sources.region import Region

RAW_LINES = {
    "distance_to_rivers": "rivers.gpkg",
    "distance_to_faults": "faults.gpkg",
    "distance_to_roads": "roads.gpkg",
}
LINE_MARGIN_M = {"distance_to_rivers": 5000, "distance_to_faults": 20000, "distance_to_roads": 5000}
KIND_WORDS = {"Point": "points", "LineString": "lines", "Polygon": "polygons"}


def add_vectors(draft: Draft, found: Found, label: VectorLayer | None, folder: Path) -> None:
    """Inventory, mapped area and lines.

    Args:
        label: the one of the layers that is the inventory.
    """
    placed = [one for one in found.vectors if one.on_site]
    rasters = [band for band in found.bands if band.role == LABEL]
    area = next((one for one in placed if one.role == AREA), None)
    taken = {}
    if label:
        others = sum(one.role == LABEL for one in placed) - 1
        guess = f"GUESS of {others + 1} candidates the one of the event's year, else the plainest"
        note = guess if others else ""
        draft.labels = {"landslides": add_vector(draft, label, "landslides.gpkg", folder, note=note)}
        draft.small_m2 = label.small_m2
        taken[LABEL] = label
    used = label.name if label else ""
    for band in rasters:
        if draft.labels:
            draft.unused.append(f"{band.path.name}: landslides are taken from {used}")
        else:
            label_raster(draft, band, folder)
            used = band.path.name
    if draft.labels:
        draft.labels["area"] = add_vector(draft, area, "mapped_area.gpkg", folder) if area else "outline.gpkg"
        where = "GUESS landslides are mapped in the whole outline; else give the polygons that were"
        draft.why_labels = "; ".join(text for text in (draft.why_labels, "" if area else where) if text)
        taken |= {AREA: area} if area else {}
    for one in found.vectors:
        if one.role in RAW_LINES and not one.problem and one.role not in taken:
            name = add_vector(draft, one, RAW_LINES[one.role], folder, {"margin_m": LINE_MARGIN_M[one.role]})
            draft.lines.append((one.role, name, ""))
            taken[one.role] = one
    draft.unused += [
        f"{one.name}: {why_unused(one, taken)}"
        for one in found.vectors
        if not any(one is other for other in taken.values())
    ]


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
    draft: Draft,
    one: VectorLayer,
    wanted: str,
    folder: Path,
    further: Mapping[str, Any] = {},
    note: str = "",
) -> str:
    """Add a layer as a raw file; returns its name."""
    count = "" if one.on_site is None else f"{one.on_site} of {one.count} on the site: "
    origin = record_of_origin(place(one.path, folder), one.spec) | dict(further)
    return draft.add_file(wanted, origin, "; ".join(filter(None, (f"{count}{one.why}", note, *one.notes))))


def why_unused(one: VectorLayer, taken: Mapping[str, VectorLayer]) -> str:
    """Why a vector layer has no place in the card.

    Args:
        taken: the layers that have one, by their roles.
    """
    if one.problem:
        return one.problem
    kind = KIND_WORDS[one.geometry]
    instead = instead_of_slides(one.own_name) or instead_of_slides(one.path.stem)
    if instead and not one.role:
        return f"its name speaks of {instead}, which is no inventory"
    if one.geometry != "Polygon" and (names_slides(one.own_name) or names_slides(one.path.stem)):
        return f"{one.count} {kind}; landslides are needed as polygons"
    if one.role in (LABEL, AREA) and not one.on_site:
        return f"none of its {one.count} {kind} is on the site; it covers {one.covers}"
    if one.role == LABEL:
        other = taken[LABEL].name
        return f"{one.on_site} polygons on the site that may be landslides; {other} is taken as the inventory"
    if one.role == AREA and AREA not in taken:
        return "the area in which landslides were mapped, but none of the files is their inventory"
    if one.role:
        return f"{taken[one.role].name} is taken for that"
    return f"{one.count} {kind} whose name tells no use (landslides, mapped area, rivers, faults, roads)"
