"""The landslide inventory of a mapped site: what a network took for landslides, less ground that holds none,
as polygons.

Zhang et al. (2024), section 4.1.4: false positives on roads, residential land and water are removed by
overlay.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.features import geometry_mask
from scipy import ndimage

from headscarp.codes import UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.files import write_json
from headscarp.geo.grid import Grid
from headscarp.geo.layer import read_layer
from headscarp.geo.vectors import read_vectors
from headscarp.mapping.polygons import polygonise, write_polygons
from headscarp.vocabulary import require_known

MEAN_COLUMNS = {"slope": "slope_deg", "elevation": "elevation_m"}  # layer: column mean_<...> of the polygons
MASK_KEYS = ("file", "buffer_m")
# Recall on the run's own evaluated land below which a map at the protocol's threshold is no inventory.
LEAST_RECALL = 0.1
# How many times the share of landslides in that land an inventory may map; a network without skill has its
# highest F1 where it calls all ground landslides.
MOST_MAPPED = 4


def inventory_threshold(scores: Mapping[str, Any], probability: np.ndarray) -> tuple[float, list[str]]:
    """The probability from which a run's map is landslides, by its scores.json and its `probability` (row,
    col), and a note where that is not the protocol's threshold.

    A network that answers next to nothing at that threshold would leave no inventory; the one of highest F1
    on the land that tunes the protocol's networks is taken then (the test chips under `published`), or, where
    that would map far more than the landslides of that land, the one that maps as large a share as they have.
    """
    threshold, best = scores["threshold"], scores["best_threshold"]
    if (scores["metrics"]["recall"] or 0.0) >= LEAST_RECALL or best >= threshold:
        return threshold, []
    note = (
        f"at {threshold:g} the network finds less than {LEAST_RECALL:.0%} of the landslide pixels of its own "
        "evaluated land; "
    )
    values, share = probability[np.isfinite(probability)], scores["landslide_share"]
    mapped = float((values >= best).mean())
    if mapped <= MOST_MAPPED * share:
        return best, [f"{note}{best:.3g} is taken, the threshold of highest F1 there"]
    likeliest = float(np.quantile(values, 1 - share))
    return likeliest, [
        f"{note}that of highest F1 there, {best:.3g}, would map {mapped:.0%} of the ground, so that the "
        f"network tells landslides from other ground hardly at all; {likeliest:.3g} is taken, which maps as "
        f"large a share as landslides have there ({share:.2%}): read nothing into this inventory, nor into "
        "what is learnt from it"
    ]


def build_inventory(
    probability_path: str | Path,
    threshold: float,
    layers_folder: str | Path,
    raw_folder: str | Path,
    masks: Mapping[str, Mapping[str, Any]],
    minimum_area_m2: float,
    out_gpkg: str | Path,
    out_json: str | Path,
    notes: Sequence[str] = (),
) -> None:
    """Write the polygons of an inventory and the record of how they came about.

    Polygons are groups of pixels (sharing sides) of the study area whose probability reaches `threshold` and
    whose centres no mask covers, of `minimum_area_m2` (the smallest mapping unit) or more, with area_m2,
    mean_probability, mean_slope_deg and mean_elevation_m. The record holds pixels, polygons and area_km2 as
    `mapped`, after each of `masks` in turn, and of the `inventory` after the smallest unit. Rasters are in
    memory whole, in 20 bytes a pixel at most: 2.4 GB for a city of 119 million pixels.

    Args:
        layers_folder: holds slope.tif (degrees), elevation.tif (m) and label.tif (255 outside the study area)
            on the grid of the probability.
        masks: {name: {file: vector file in raw_folder, buffer_m: metres around its features, 0 if left out}}.
        notes: on the threshold, for the record.

    Raises:
        HeadscarpError: a file is missing or unreadable, a layer is on another grid, an unknown key or a
            negative buffer of a mask, or a grid that is not in metres.
    """
    probability = read_layer(probability_path)
    grid, values = probability.grid, probability.values
    kept = (values >= threshold) & (read_on_grid(Path(layers_folder) / "label.tif", grid) != UNMAPPED)
    record = {
        "threshold": threshold,
        "minimum_area_m2": minimum_area_m2,
        "mapped": mask_counts(kept, grid),
        "masks": {},
        "notes": list(notes),
    }
    for name, mask in masks.items():
        kept &= ~masked_pixels(name, mask, Path(raw_folder), grid)
        record["masks"][name] = mask_counts(kept, grid)
    values[~kept] = np.nan
    layers = {
        column: read_on_grid(Path(layers_folder) / f"{layer}.tif", grid)
        for layer, column in MEAN_COLUMNS.items()
    }
    polygons = polygonise(values, grid, threshold, minimum_area_m2, layers)
    area = float(polygons.area_m2.sum())
    record["inventory"] = {
        "pixels": round(area / pixel_area(grid)),
        "polygons": len(polygons),
        "area_km2": area / 1e6,
    }
    if polygons.empty:
        record["notes"].append("no landslide is left: the polygons file is empty")
    write_polygons(out_gpkg, polygons)
    write_json(out_json, record)


def masked_pixels(name: str, mask: Mapping[str, Any], folder: Path, grid: Grid) -> np.ndarray:
    """Pixels (row, col) bool whose centres the features of a mask, with its buffer, cover; of lines without a
    buffer, those they cross."""
    for key in mask:
        require_known(key, MASK_KEYS, f"inventory mask {name}: key")
    buffer = mask.get("buffer_m", 0)
    if not isinstance(buffer, int | float) or buffer < 0:
        raise HeadscarpError(f"inventory mask {name}: buffer_m is {buffer!r}; give metres, 0 or more")
    features = read_vectors(folder / mask["file"], grid.crs).geometry
    shapes = [shape for shape in (features.buffer(buffer) if buffer else features) if not shape.is_empty]
    if not shapes:
        return np.zeros(grid.shape, bool)
    return geometry_mask(shapes, grid.shape, grid.transform, invert=True)


def mask_counts(mask: np.ndarray, grid: Grid) -> dict[str, float]:
    """Pixels, groups of pixels (sharing sides) and area of a mask (row, col)."""
    pixels = int(np.count_nonzero(mask))
    return {
        "pixels": pixels,
        "polygons": int(ndimage.label(mask)[1]),
        "area_km2": pixels * pixel_area(grid) / 1e6,
    }


def pixel_area(grid: Grid) -> float:
    """Area of a pixel in square units of the CRS."""
    return abs(grid.transform.determinant)


def read_on_grid(path: Path, grid: Grid) -> np.ndarray:
    """Values (row, col) of a layer.

    Raises:
        HeadscarpError: the file is missing or on another grid.
    """
    layer = read_layer(path)
    if layer.grid != grid:
        raise HeadscarpError(
            f"{path} is not on the grid of the probability map; "
            "align the layers of this site and map it again"
        )
    return layer.values
