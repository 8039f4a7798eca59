"""The labels of cells of susceptibility, and whether they can be split."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from headscarp.areas.check.files import Located, wanted
from headscarp.areas.check.findings import ERROR, NOTE, OK, WARNING, Checked
from headscarp.codes import LANDSLIDE, SPLITS, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.samples.cell_labels import CellLabels, label_cells, labels_source
from headscarp.samples.cells import blocked_regions
from headscarp.samples.spec import CellsSpec, label_kind
from headscarp.site.cube import Cube
from headscarp.site.layer_names import LABEL

FEW = 100  # landslide cells that are few to learn from


def check_cells(
    checked: Checked, record: Mapping[str, Any], located: Mapping[str, Located | str], seed: int
) -> None:
    """How many cells are landslides and background, in which years, and whether the ground can be dealt to
    spatial folds. What another network or a layer labels is not there before a run."""
    try:
        kind = label_kind(record)
    except HeadscarpError as error:
        checked.tell(ERROR, "cells", "labels", str(error))
        return
    if kind == "inventory" or (kind == "layer" and record["layer"]["channel"] != LABEL):
        checked.tell(NOTE, "cells", "labels", f"they come from {kind} and are not there before a run")
        return
    given = {role: record[kind][role] for role in ("file", "area") if role in record[kind]}
    places = {role: wanted(checked, located, file, "labels cells but is") for role, file in given.items()}
    subject = given.get("file", LABEL)
    if None in places.values() or (kind == "layer" and checked.label is None):
        return
    if checked.view != checked.grid:
        text = "left out: the grid is too large to label and to split its cells before a run"
        checked.tell(NOTE, "cells", subject, text)
        return
    files = {("area" if role == "area" else kind): place.path for role, place in places.items() if place}
    try:
        labels = cell_labels_of(checked, record, files)
    except HeadscarpError as error:
        checked.tell(ERROR, "cells", subject, str(error))
        return
    tell_counts(checked, subject, labels)
    try:
        regions = blocked_regions(labels.label, CellsSpec.from_record(record), seed, 0, labels.learnt)
    except HeadscarpError as error:
        checked.tell(WARNING, "cells", "blocked", str(error))
        return
    tell_folds(checked, regions, labels.label)


def cell_labels_of(checked: Checked, record: Mapping[str, Any], files: Mapping[str, Path]) -> CellLabels:
    """Labels of the cells as the pipeline makes them.

    Raises:
        HeadscarpError: as `label_cells`.
    """
    plane = checked.grid.shape
    label = np.full(plane, UNMAPPED, np.uint8) if checked.label is None else checked.label
    header = {"grid": checked.grid.to_record(), "site": checked.name, "channels": []}
    cube = Cube(np.empty((1, 0, *plane), np.float32), label, np.zeros(plane, np.int32), header)
    return label_cells(cube, labels_source(record, files), CellsSpec.from_record(record).label_share)


def tell_counts(checked: Checked, subject: str, labels: CellLabels) -> None:
    slides, background = (int((labels.label == code).sum()) for code in (LANDSLIDE, 0))
    text = f"{slides} cells are landslides, {background} background"
    if labels.later is not None:
        text += f"; {int(labels.later.sum())} slid later than the years that are learnt from"
    if slides < FEW:
        text += "; few to learn from"
    checked.tell(WARNING if slides < FEW else OK, "cells", subject, text)
    for note in labels.notes:
        checked.tell(NOTE, "cells", subject, note)


def tell_folds(checked: Checked, regions: np.ndarray, label: np.ndarray) -> None:
    """How many landslide cells each subset of the spatial folds has, at least."""
    least = {
        name: min(int(((region == code) & (label == LANDSLIDE)).sum()) for region in regions)
        for code, name in enumerate(SPLITS, start=1)
    }
    checked.split = {"folds": len(regions), "least_landslide_cells": least}
    listed = ", ".join(f"{name} {count}" for name, count in least.items())
    checked.tell(OK, "cells", "blocked", f"{len(regions)} folds; landslide cells of each at least: {listed}")
