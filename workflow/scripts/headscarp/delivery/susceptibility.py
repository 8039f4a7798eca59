"""A susceptibility map as its users take it: mean and spread of the folds, five classes with the landslides
in each, and the tested cells.

Classes are natural breaks (Jenks) of the mean over the study area, as those of the table
`susceptibility_levels`. Landslides are tested ones, each in the class of its susceptibility by the model that
did not learn from it.
"""

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd

from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.delivery.susceptibility_styles import (
    write_classes_style,
    write_dissimilarity_style,
    write_steps_style,
)
from headscarp.exhibits.figures.rate_curves import run_rates
from headscarp.exhibits.levels import LEVELS, TOO_FEW, level_bounds
from headscarp.exhibits.panels.palette import SUSCEPTIBILITY
from headscarp.exhibits.runs import stored_arrays
from headscarp.exhibits.spec import RunFiles
from headscarp.files import atomic_path, read_json, write_json
from headscarp.geo.grid import Grid
from headscarp.geo.layer import CLASSES, grid_of, open_any_raster, open_raster, write_cog
from headscarp.samples.cell_table import read_cells

METRICS = ("auc", "fold_auc", "average_precision", "brier")


def deliver_susceptibility(run: RunFiles, cells_folder: Path, layers: Path, out_folder: Path) -> None:
    """Write `susceptibility.tif` (mean and standard deviation of the folds), `classes.tif` (1 … 5),
    `classes.csv`, `cells.gpkg`, styles for QGIS and `summary.json` (scores, rates, bounds) of a run.

    Args:
        layers: folder of the site's layers.
        out_folder: where `applicability.json` of the run lies already.

    Raises:
        HeadscarpError: a file is missing, or map and cells do not belong together.
    """
    with open_any_raster(run.maps / "susceptibility.tif") as source:
        folds, grid = source.read(masked=True).astype(np.float32).filled(np.nan), grid_of(source)
    mean, spread = folds.mean(axis=0), folds.std(axis=0, ddof=1 if len(folds) > 1 else 0)
    write_mean(out_folder / "susceptibility.tif", mean, spread, grid, run, len(folds))
    tested = stored_arrays(run.maps / "predictions.npz", "score")
    inside = mapped_area(layers / "label.tif", mean.shape) & np.isfinite(mean)
    bounds = level_bounds(mean[inside], f"susceptibility of {run.label} under {run.protocol}")
    table = class_table(mean[inside], tested, bounds, grid)
    classes = np.where(inside, level_of(mean, bounds), UNMAPPED).astype(np.uint8)
    tags = {"rule": "natural breaks of the mean of the folds over the study area"}
    write_cog(
        out_folder / "classes.tif",
        classes[None],
        grid,
        UNMAPPED,
        ["susceptibility class"],
        "class",
        f"headscarp: {run.label}",
        CLASSES,
        tags,
    )
    with atomic_path(out_folder / "classes.csv") as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
    write_cells(out_folder / "cells.gpkg", tested, bounds, grid)
    write_styles(out_folder, bounds, read_json(out_folder / "applicability.json")["threshold"])
    rates = run_rates(run, read_cells(cells_folder))
    write_json(
        out_folder / "summary.json",
        {
            "label": run.label,
            "protocol": run.protocol,
            "seed": run.seed,
            "folds": len(folds),
            "metrics": {name: read_json(run.maps / "scores.json")["metrics"][name] for name in METRICS},
            "success_rate_auc": rates["success"][1],
            "prediction_rate_auc": rates["prediction"][1],
            "bounds": bounds.tolist(),
            "mean_spread": float(spread[inside].mean()),
            "notes": [] if bounds.size else [TOO_FEW],
        },
    )


def write_mean(
    path: Path, mean: np.ndarray, spread: np.ndarray, grid: Grid, run: RunFiles, folds: int
) -> None:
    """Mean and standard deviation (row, col) of the folds as two bands."""
    write_cog(
        path,
        np.stack([mean, spread]),
        grid,
        float("nan"),
        [f"landslide susceptibility, mean of {folds} folds", "standard deviation of the folds"],
        "1",
        f"headscarp: {run.label}, {run.protocol}, seed {run.seed}",
    )


def mapped_area(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Cells (row, col) that the site's labels call mapped; all, where it has none."""
    if not path.exists():
        return np.ones(shape, bool)
    with open_raster(path) as source:
        mapped = source.read(1) != UNMAPPED
    return mapped if mapped.any() else np.ones(shape, bool)


def level_of(values: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Classes 1 … 5 of susceptibilities by their bounds, 255 where there are none."""
    if not bounds.size:
        return np.full(values.shape, UNMAPPED)
    return np.digitize(values, bounds[1:-1], right=True) + 1


def class_table(
    area: np.ndarray, tested: dict[str, np.ndarray], bounds: np.ndarray, grid: Grid
) -> pd.DataFrame:
    """A line for each class: its bounds, area, tested landslide cells, shares of both, the frequency ratio
    (share of the landslides over share of the area), and landslide cells per km2.

    Args:
        area: mean susceptibility of the cells of the study area.
    """
    if not bounds.size:
        return pd.DataFrame(columns=["class", "name"])
    cell_km2 = abs(grid.transform.determinant) / 1e6
    numbers = np.arange(1, len(LEVELS) + 1)
    cells = np.bincount(level_of(area, bounds), minlength=len(LEVELS) + 1)[1:]
    slides = tested["probability"][tested["label"] == LANDSLIDE]
    found = np.bincount(level_of(slides, bounds), minlength=len(LEVELS) + 1)[1:]
    area_share, slide_share = cells / cells.sum(), found / found.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio, density = slide_share / area_share, found / (cells * cell_km2)
    return pd.DataFrame(
        {
            "class": numbers,
            "name": LEVELS,
            "from": bounds[:-1],
            "to": bounds[1:],
            "area_km2": cells * cell_km2,
            "area_percent": 100 * area_share,
            "landslide_cells": found,
            "landslide_percent": 100 * slide_share,
            "frequency_ratio": ratio,
            "landslide_cells_per_km2": density,
        }
    )


def write_cells(path: Path, tested: dict[str, Any], bounds: np.ndarray, grid: Grid) -> None:
    """The tested cells as points: label, fold, susceptibility by the model that did not learn from them and
    its class."""
    x, y = grid.transform @ (tested["col"] + 0.5, tested["row"] + 0.5)
    table = geopandas.GeoDataFrame(
        {
            "landslide": (tested["label"] == LANDSLIDE).astype(np.int32),
            "fold": tested["fold"].astype(np.int32),
            "susceptibility": tested["probability"].astype(np.float64).round(6),
            "class": level_of(tested["probability"], bounds).astype(np.int32),
        },
        geometry=geopandas.points_from_xy(x, y),
        crs=grid.crs,
    )
    with atomic_path(path) as temporary:
        table.to_file(temporary, layer="cells", driver="GPKG")


def write_styles(folder: Path, bounds: np.ndarray, threshold: float) -> None:
    """Styles beside the maps."""
    uppers = [*bounds[1:-1], 1.0] if bounds.size else [0.2, 0.4, 0.6, 0.8, 1.0]
    steps = [
        (float(upper), f"{name} (to {upper:.3f})", colour)
        for upper, name, colour in zip(uppers, LEVELS, SUSCEPTIBILITY, strict=True)
    ]
    write_steps_style(folder / "susceptibility.qml", steps)
    write_classes_style(folder / "classes.qml", LEVELS, SUSCEPTIBILITY)
    write_dissimilarity_style(folder / "applicability.qml", threshold)
