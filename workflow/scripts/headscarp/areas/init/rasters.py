"""Rasters of a study area that are no image: elevation, land cover, lithology, soil, rain, indices, radar."""

from collections.abc import Sequence
from pathlib import Path

from headscarp.areas.guess.names import AREA, DERIVED, LAND_COVER, MASK, UNITS
from headscarp.areas.guess.rasters import Band
from headscarp.areas.guess.slide_names import instead_of_slides
from headscarp.areas.init.draft import DEM_FILE, Draft, place, record_of_origin, warnings_of
from headscarp.areas.init.images import time_of
from headscarp.areas.init.satellites import ELEVATION_M, LAND_COVER_M, is_too_fine
from headscarp.areas.init.tiles import tiles_of

DEM_MARGIN_M = 1000  # so that slopes and contributing areas at the edge of the grid know what lies beyond
# ESA WorldCover, product user manual v2.0 (2022), table 3.
WORLD_COVER = {
    10: "tree cover",
    20: "shrubland",
    30: "grassland",
    40: "cropland",
    50: "built-up",
    60: "bare or sparse vegetation",
    70: "snow and ice",
    80: "permanent water",
    90: "herbaceous wetland",
    95: "mangroves",
    100: "moss and lichen",
}
MOST_CLASSES = 64


def add_elevation(draft: Draft, models: Sequence[Band], folder: Path) -> None:
    """The user's elevation model, the one that covers most with the tiles that go on beside it, or
    Copernicus'."""
    if not models:
        told = ["Copernicus DEM, fetched: no file is an elevation model"]
        if is_too_fine(draft.grid.resolution, ELEVATION_M):
            told.append(
                f"WARNING its cells of {ELEVATION_M:g} m tell nothing of one cell of "
                f"{draft.grid.resolution:g} m from the next: give a finer model or a coarser --resolution"
            )
        draft.add_file(DEM_FILE, {"stac": "dem", "margin_m": DEM_MARGIN_M}, "; ".join(told))
        return
    best = max(models, key=lambda band: (band.cover or 0, -models.index(band)))
    likely = [band.path for band in models if band.spec == best.spec and band is not best]
    tiles = tiles_of([best.path, *likely], best.spec, draft.grid)
    origin = record_of_origin(place(best.path, folder), best.spec) | {"margin_m": DEM_MARGIN_M}
    told = warnings_of(best)
    if len(tiles) > 1:
        origin["path"] = [place(path, folder) for path in tiles]
        told = [f"GUESS {len(tiles)} tiles of one model, joined", *best.notes]
    draft.add_file(DEM_FILE, origin, "; ".join((f"elevation model {best.why}", *told)))
    draft.unused += [
        f"{band.path.name}: another elevation model is taken ({best.path.name}, {best.cover:.0%} of it; "
        f"this one has {band.cover:.0%} and is no tile beside it)"
        for band in models
        if band.path not in tiles
    ]


def add_elevation_that_fits(draft: Draft, models: Sequence[Band], folder: Path) -> None:
    """The same, but no model is fetched that is too coarse for the grid."""
    size = draft.grid.resolution
    if models or not (draft.is_placeless or is_too_fine(size, ELEVATION_M)):
        add_elevation(draft, models, folder)
        return
    if draft.is_placeless:
        draft.not_fetched.append(
            "an elevation model: nobody knows where this is; give one of the same frame to `headscarp init`"
        )
        return
    draft.not_fetched.append(
        f"an elevation model: cells of {ELEVATION_M:g} m (Copernicus) tell nothing of the terrain in those "
        f"of {size:g} m; give a finer one to `headscarp init`, or follow the comments on `dem` and `terrain` "
        "in the card"
    )


def add_other_rasters(draft: Draft, bands: Sequence[Band], folder: Path) -> None:
    """Land cover, lithology, soil, rain, indices and radar; what is derived anyway and what nobody can tell
    are left out."""
    for band in bands:
        place_of_band = band.path.name + (f" (band {band.number})" if band.count > 1 else "")
        time = time_of(band, draft.dates[-1], bands)[0]
        layer = f"{time}_{band.role}" if time and band.role else band.role
        if band.role is None:
            instead = instead_of_slides(band.path.stem)
            about = f"its name speaks of {instead}, which is no inventory" if instead else ""
            why = about or band.why or "neither name nor values tell what it is"
            draft.unused.append(f"{place_of_band}: {why}; add it to files and rasters if it is of use")
        elif band.role in DERIVED:
            draft.unused.append(f"{place_of_band}: {band.role} is derived from the elevation model")
        elif band.role == AREA:
            draft.unused.append(
                f"{place_of_band}: a raster of the area; the mapped area is given as polygons"
            )
        elif band.role == MASK:
            draft.unused.append(
                f"{place_of_band}: hides clouds where the rasters it belongs to get `mask: {{file: …, "
                f"values: […]}}`"
            )
        elif any(layer == one for one, _, _ in draft.rasters):
            draft.unused.append(f"{place_of_band}: another file is taken for {layer}")
        else:
            add_raster(draft, band, layer, folder)


def add_raster(draft: Draft, band: Band, layer: str, folder: Path) -> None:
    """One raster that is no image and no elevation model."""
    comment = "; ".join((f"{band.role} {band.why}", *warnings_of(band)))
    draft.cover |= band.role == LAND_COVER
    is_class = band.role in (LAND_COVER, "lithology", "soil") and 0 < len(band.codes) <= MOST_CLASSES
    entry = {
        "file": draft.add_file(f"{layer}.tif", record_of_origin(place(band.path, folder), band.spec), comment)
    }
    entry |= {"band": band.number} if band.count > 1 else {}
    if is_class:
        # Codes of rocks and soils may be 10, 20, 30 too.
        is_cover = band.role == LAND_COVER and set(band.codes) <= WORLD_COVER.keys() | {0}
        known = WORLD_COVER if is_cover else {}
        names = {code: known.get(code, f"class {code}") for code in band.codes if code or not known}
        note = (
            "GUESS the codes are those of ESA WorldCover"
            if known
            else "GUESS codes as found at a glance; name them, and add those that are missing"
        )
        draft.rasters.append((layer, entry | {"kind": "classes", "units": "class", "classes": names}, note))
    else:
        draft.rasters.append((layer, entry | {"units": UNITS.get(band.role, "1")}, "GUESS the units"))


def add_fetched_cover(draft: Draft) -> None:
    """ESA WorldCover, to be fetched, unless it is too coarse for the grid."""
    size = draft.grid.resolution
    if is_too_fine(size, LAND_COVER_M):
        draft.not_fetched.append(
            f"land cover: cells of {LAND_COVER_M:g} m (ESA WorldCover) are too coarse for those of {size:g} "
            "m; give a finer raster to `headscarp init`, or add `land_cover.tif: {stac: land_cover}` to "
            "files and a layer of it to rasters"
        )
        return
    comment = "ESA WorldCover, fetched; 2020 or 2021, whatever the event"
    file = draft.add_file("land_cover.tif", {"stac": "land_cover"}, comment)
    entry = {"file": file, "kind": "classes", "units": "class", "classes": WORLD_COVER}
    why = "for maps; no input, since its images may be later than the landslides"
    draft.rasters.append(("land_cover", entry, why))
