"""The files of a map: landslide probability and classes, or susceptibility, and what making them took.

Of all that maps, whatever model it maps with: nothing here imports torch, nor do forests and averages for it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.files import write_json
from headscarp.geo.grid import Grid
from headscarp.geo.layer import write_cog
from headscarp.mapping.raster import class_raster, probability_raster
from headscarp.site.cube import Cube

EVEN = 0.5  # a landslide is as likely as not
SUSCEPTIBILITY_NAME = "landslide susceptibility"


def grid_of_maps(header: Mapping[str, Any]) -> Grid:
    """The grid of the maps of a cube, of which `header` is cube.json. A sheet of patches and a collage of
    scenes have no place on Earth, so that no CRS may claim one."""
    grid = Grid.from_record(header["grid"])
    return replace(grid, crs="") if "patches" in header or "scenes" in header else grid


def write_map_rasters(
    folder: Path, strips: Iterable[tuple[int, np.ndarray]], grid: Grid, source: str
) -> None:
    """Write strips (first row, probabilities (classes, rows, cols); of one class that of landslides alone) as
    `probability.tif` and `classes.tif`."""
    shown = (
        (top, probability[LANDSLIDE if len(probability) > 1 else 0], likeliest(probability))
        for top, probability in strips
    )
    write_shown_strips(folder, shown, grid, source)


def write_shown_strips(
    folder: Path, strips: Iterable[tuple[int, np.ndarray, np.ndarray]], grid: Grid, source: str
) -> None:
    """Write strips (first row, landslide probabilities (rows, cols), codes of classes (rows, cols)) as
    `probability.tif` and `classes.tif`."""
    with (
        probability_raster(folder / "probability.tif", grid, source) as write_probability,
        class_raster(folder / "classes.tif", grid, source) as write_classes,
    ):
        for top, probability, classes in strips:
            write_probability(top, probability)
            write_classes(top, classes)


def likeliest(probability: np.ndarray) -> np.ndarray:
    """Codes (rows, cols) uint8 of the likeliest of classes (classes, rows, cols), the first of equals; 255
    where NaN. Of landslides alone (1, rows, cols): 1 where they are as likely as not, or likelier."""
    codes = probability[0] >= EVEN if len(probability) == 1 else probability.argmax(axis=0)
    return np.where(np.isnan(probability[0]), UNMAPPED, codes).astype(np.uint8)


def write_map_record(folder: Path, seconds: float, shape: tuple[int, int], device: str) -> None:
    write_json(
        folder / "map.json", {"seconds": round(seconds, 3), "pixels": shape[0] * shape[1], "device": device}
    )


def write_susceptibility(
    folder: Path, bands: Sequence[np.ndarray], cube: Cube, network: str, seed: int
) -> None:
    """Write one band (row, col) float32 for each fold as `susceptibility.tif`."""
    names = (
        [SUSCEPTIBILITY_NAME]
        if len(bands) == 1
        else [f"{SUSCEPTIBILITY_NAME}, fold {fold}" for fold in range(len(bands))]
    )
    grid = Grid.from_record(cube.header["grid"])
    write_cog(
        folder / "susceptibility.tif",
        np.stack(bands),
        grid,
        float("nan"),
        names,
        "1",
        f"headscarp: {network}, seed {seed}",
    )
