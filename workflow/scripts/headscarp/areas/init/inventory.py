"""The inventory that labels cells of susceptibility: polygons, points, or a raster of landslides."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headscarp.areas.guess.files import RESERVED, Found, look_at
from headscarp.areas.guess.names import AREA, LABEL
from headscarp.areas.guess.vectors import VectorLayer, layer_named
from headscarp.areas.init.draft import Draft
from headscarp.areas.init.factors import features_on
from headscarp.areas.init.vectors import KIND_WORDS, add_vector, label_raster
from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.samples.cell_labels import years_of

LEARNT_SHARE = 0.7  # of the dated landslides, about, that are learnt from under `temporal`


def split_inventory(files: Sequence[Path], grid: Grid) -> tuple[Found, list[Path]]:
    """What the first file, the inventory, holds, and the other files.

    Raises:
        HeadscarpError: there is none, or nothing can be made of it.
    """
    named = [path for path in files if layer_named(path)[0].suffix.lower() not in RESERVED]
    if not named:
        raise HeadscarpError(
            "susceptibility has no labels without an inventory: after the outline give landslides as "
            "polygons or points first, then the factors, as in `headscarp init outline.gpkg "
            "landslides.gpkg dem.tif --susceptibility`"
        )
    found = look_at(named[:1], grid)
    if found.unused:
        raise HeadscarpError(f"the inventory, the first file after the outline: {found.unused[0]}")
    return found, [path for path in files if path != named[0]]


def add_inventory(
    draft: Draft, found: Found, areas: Sequence[VectorLayer], year: str | None, folder: Path
) -> None:
    """The labels of the cells from what the inventory's file holds.

    Args:
        areas: layers of polygons of the land that was searched for landslides, if there are any.
        year: column of the inventory with the years of landslides.

    Raises:
        HeadscarpError: nothing in it can label cells; the column of years is missing or has no two years.
    """
    if found.bands:
        if year:
            raise HeadscarpError(
                f"--year {year}: {found.bands[0].path.name} is a raster, which has no years; give polygons"
            )
        add_raster_labels(draft, found, folder)
        area = area_of(draft, areas, folder)
        draft.labels["area"] = area
        draft.cells = {"layer": {"channel": "label", "above": 0}}
        return
    layer = inventory_layer(found.vectors)
    file = add_vector(draft, layer, "landslides.gpkg", folder)
    area = area_of(draft, areas, folder)
    if layer.geometry == "Point":
        if year:
            raise HeadscarpError(
                f"--year {year}: {layer.name} holds points; landslides are learnt from by their years as "
                "polygons only"
            )
        draft.cells = {"points": {"file": file, "area": area}}
        draft.why_labels = "GUESS every point is a landslide; `label: column` says which are"
        return
    draft.labels = {"landslides": file, "area": area}
    draft.cells = {"polygons": {"file": file, "area": area}}
    if year:
        add_years(draft, layer, year)


def add_raster_labels(draft: Draft, found: Found, folder: Path) -> None:
    told = len(draft.unused)
    label_raster(draft, found.bands[0], folder)
    if not draft.labels:
        raise HeadscarpError(f"the inventory, the first file after the outline: {draft.unused[told]}")


def inventory_layer(vectors: Sequence[VectorLayer]) -> VectorLayer:
    """The layer of the inventory's file that is the inventory: one that is named so, or else the first of
    polygons, or of points.

    Raises:
        HeadscarpError: there is none, or it has nothing on the site.
    """
    fit = [one for one in vectors if not one.problem and one.geometry in ("Polygon", "Point")]
    fit.sort(key=lambda one: (one.role != LABEL, one.role == AREA, one.geometry != "Polygon"))
    if not fit:
        one = vectors[0]
        why = one.problem or f"it holds {one.count} {KIND_WORDS[one.geometry]}"
        raise HeadscarpError(
            f"{one.name} cannot be the inventory: {why}; give landslides as polygons or points"
        )
    if not fit[0].on_site:
        covers = f"; it covers {fit[0].covers}" if fit[0].covers else ""
        raise HeadscarpError(
            f"{fit[0].name} cannot be the inventory: none of its {fit[0].count} "
            f"{KIND_WORDS[fit[0].geometry]} is on the site{covers}"
        )
    return fit[0]


def area_of(draft: Draft, areas: Sequence[VectorLayer], folder: Path) -> str:
    """The raw file of the land that was searched: the first of the layers given, or the outline."""
    area = next((one for one in areas if one.on_site), None)
    if area is None:
        draft.why_labels = "; ".join(
            filter(None, (draft.why_labels, "GUESS the whole outline was searched for landslides"))
        )
        return "outline.gpkg"
    return add_vector(draft, area, "mapped_area.gpkg", folder)


def add_years(draft: Draft, layer: VectorLayer, column: str) -> None:
    """Protocol `temporal` by a column of years.

    Raises:
        HeadscarpError: there is no such column, no year in it, or one year only.
    """
    years = years_of(features_on(layer, draft.grid), column, layer.path)
    until = last_year_learnt(years[np.isfinite(years)])
    if until is None:
        raise HeadscarpError(
            f"{layer.path}: the column '{column}' holds one year on the site, and later landslides are "
            "needed to test on; leave --year out"
        )
    draft.cells["polygons"]["year"] = column
    draft.cells["temporal"] = {"until": until}
    draft.cells["protocols"] = ["temporal"]
    draft.latest_year = int(np.nanmax(years))


def last_year_learnt(years: np.ndarray) -> int | None:
    """The year, but not the last, up to which about `LEARNT_SHARE` of landslides are; None of one year."""
    candidates = np.unique(years)[:-1]
    shares = [abs(float(np.mean(years <= year)) - LEARNT_SHARE) for year in candidates]
    return int(candidates[int(np.argmin(shares))]) if len(candidates) else None


def label_file(cells: dict[str, Any]) -> str | None:
    """The raw file that labels the cells, of vectors."""
    return next((cells[kind]["file"] for kind in ("polygons", "points") if kind in cells), None)
