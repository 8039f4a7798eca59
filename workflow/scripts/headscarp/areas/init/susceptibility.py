"""The card of the susceptibility of a study area: from an outline, an inventory and factors to its text."""

import datetime
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from headscarp.areas.guess.files import look_at
from headscarp.areas.guess.names import AREA, DEM
from headscarp.areas.guess.rasters import Band
from headscarp.areas.init.card import block, flow, grid_record
from headscarp.areas.init.draft import Draft, Entry, place, record_of_origin
from headscarp.areas.init.factors import add_factors
from headscarp.areas.init.inventory import add_inventory, split_inventory
from headscarp.areas.init.outline import Outline
from headscarp.areas.init.rasters import add_elevation
from headscarp.areas.init.study import TERRAIN, TERRAIN_CHANNELS, scale_entries
from headscarp.geo.grid import Grid
from headscarp.templating import fill

FOLDS = 5
WINDOWS = ((200, 12), (100, 8), (0, 5))  # least side of a grid in cells, and the window of the 3D-CNN
DRAWN_CLASSES = 21  # that a map can tell apart
ROWS = ("gbdt_lr", "logistic_regression", "cell_forest", "cnn3d")


def drafted_susceptibility(
    name: str,
    outline: Outline,
    files: Sequence[Path],
    event: str | None,
    year: str | None,
    resolution: float,
    folder: Path,
) -> Draft:
    """What the card will say.

    Args:
        files: the inventory first, then the factors.
        year: column of the inventory with the years of landslides.
        resolution: of the grid in metres.

    Raises:
        HeadscarpError: as `split_inventory` and `add_inventory`, or a file is missing.
    """
    grid = outline.grid(resolution)
    inventory, factors = split_inventory(files, grid)
    stems = {path.with_suffix("") for path in factors if path.suffix.lower() != ".csv"}
    given = [path for path in factors if path.suffix.lower() != ".csv" or path.with_suffix("") not in stems]
    found = look_at(given, grid)
    draft = Draft(
        name=name,
        grid=grid,
        dates=[event or datetime.date.today().isoformat()],
        why_dates="the event" if event else "GUESS today, a name only: no factor is read by its date",
        unused=list(found.unused),
        outline_notes=outline.notes,
    )
    origin = record_of_origin(place(outline.path, folder), {"layer": outline.layer})
    comment = "; ".join(("the study area; the grid lies around it", *outline.notes[1:]))
    draft.files.append(("outline.gpkg", origin, comment))
    areas = [one for one in (*inventory.vectors, *found.vectors) if one.role == AREA and not one.problem]
    add_inventory(draft, inventory, areas[:1], year, folder)
    if draft.latest_year and not event:
        draft.dates, draft.why_dates = [f"{draft.latest_year}-12-31"], "the last year of a landslide"
    models, rasters = elevation_and_others(found.bands)
    add_elevation(draft, models, folder)
    others = [one for one in found.vectors if not any(one is area for area in areas[:1])]
    add_factors(draft, rasters, others, folder)
    return draft


def elevation_and_others(bands: Sequence[Band]) -> tuple[list[Band], list[Band]]:
    """Elevation models, and all other bands; where names tell a model, those that only look like one by their
    values are factors."""
    models = [band for band in bands if band.role == DEM]
    named = [band for band in models if not band.why.startswith("GUESS")]
    chosen = named or models
    others = [
        replace(band, role=None, why="") if band.role == DEM else band
        for band in bands
        if not any(band is one for one in chosen)
    ]
    return chosen, others


def susceptibility_text(draft: Draft) -> str:
    """The whole card."""
    window = window_of(draft.grid)
    classes = class_layers(draft)
    values = [name for name, entry, _ in draft.rasters if name not in classes]
    distances = [name for name, _, _ in draft.lines]
    terrain = [name for name in TERRAIN if name != "aspect"]
    return fill(
        "areas/templates/susceptibility.yaml",
        flow=flow,
        block=block,
        draft=draft,
        title=draft.name.replace("_", " ").capitalize(),
        grid=grid_record(draft.grid),
        terrain=list(TERRAIN),
        factors=[*TERRAIN_CHANNELS, *values, *distances, *one_hot(classes)],
        shown=[*terrain, *values, *distances],
        classes=classes,
        drawn=[layer for layer, codes in classes.items() if len(codes) <= DRAWN_CLASSES],
        rows=list(ROWS),
        cells=cells_of(draft, window),
        window=window,
        scales=scales_of_cells(draft.grid, window),
        sites=flow([draft.name]),
    )


def class_layers(draft: Draft) -> dict[str, list[int]]:
    """{layer: codes} of the layers of classes."""
    return {
        name: sorted(entry["classes"]) for name, entry, _ in draft.rasters if entry.get("kind") == "classes"
    }


def one_hot(classes: dict[str, list[int]]) -> list[str]:
    """The channels of classes, one for each: their codes have no order."""
    return [f"{layer}_{code}" for layer, codes in classes.items() for code in codes]


def window_of(grid: Grid) -> int:
    return next(window for least, window in WINDOWS if min(grid.shape) >= least)


def cells_of(draft: Draft, window: int) -> list[Entry]:
    """How cells are labelled, sampled and split."""
    comments = {
        "polygons": f"outlines of landslides{'; ' + draft.why_labels if draft.why_labels else ''}",
        "points": f"points of landslides; {draft.why_labels}",
        "layer": f"the labels of the site; {draft.why_labels}",
        "temporal": "GUESS learnt from up to this year, tested on later ones; `years: {layer: year}` says "
        "what a factor shows",
    }
    entries = [(key, value, comments.get(key, "")) for key, value in draft.cells.items()]
    if "polygons" in draft.cells:
        entries.append(("label_share", 0.1, "a landslide covers at least this share of its cell"))
    return [
        *entries,
        ("windows", [window], "side of what the 3D-CNN sees around a cell, in cells"),
        ("folds", FOLDS, "of the random and of the spatial cross-validation"),
        ("background_ratio", 5, "cells without landslide that train for each with one; all are tested"),
    ]


def scales_of_cells(grid: Grid, window: int) -> list[Entry]:
    """The four scales: `tiny` has coarser cells, about 150 a side, and never fewer than two fifths."""
    size = round(min(1.0, max(0.4, 150 / max(grid.shape))), 2)
    small = min(4, window)
    tiny = {"size": size, "width": 0.0625, "seeds": [0], "training": {"epochs": 1, "steps_per_epoch": 2}}
    tiny |= {
        "cells": {"windows": [small]},
        "experiments": {"cnn3d": {"params": {"windows": [small]}}, "gbdt_lr": {"params": {"max_iter": 20}}},
    }
    demo = {"size": 1.0, "width": 0.125, "seeds": [0], "training": {"epochs": 4, "steps_per_epoch": 50}}
    standard = {"size": 1.0, "width": 0.25, "seeds": [0, 1, 2], "training": {"epochs": 25, "patience": 8}}
    full = {"size": 1.0, "width": 1.0, "seeds": [0, 1, 2]}
    return scale_entries(tiny, demo, standard, full)
