"""Landslide polygons, or a raster of classes, on a site's grid: the label and the number of each slide."""

from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import shapely
from rasterio.features import rasterize
from scipy import ndimage

from headscarp.codes import LANDSLIDE, SLIDE_NUMBER, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.geo.vectors import read_vectors, repaired
from headscarp.site.label_rasters import Meaning, codes_on_grid


@dataclass(frozen=True)
class Labels:
    """`label` uint8 (row, col): 1 landslide, 255 unmapped, others not (0, or the code of a class);
    `instances` int32 (row, col): 0 none, k slide k; notes."""

    label: np.ndarray
    instances: np.ndarray
    notes: list[str]


def rasterise_labels(
    landslides: str | Path, grid: Grid, area: str | Path | None = None, covered: np.ndarray | None = None
) -> Labels:
    """Polygons on a grid: a cell belongs to a polygon that holds its centre, to the later one where two do.

    A slide's number is its place in the file from 1, or that of the column SLIDE_NUMBER of a file that
    headscarp wrote; no other column counts. Invalid geometries are repaired, polygons outside the site
    dropped; the notes count both, slides that hold no cell centre, and those that lie under others.

    Args:
        area: polygons of the mapped area; cells outside are unmapped. None: everything is mapped.
        covered: bool (row, col); cells without any image are unmapped, whatever the polygons say. None: all
            have one.

    Raises:
        HeadscarpError: a file is missing, unreadable, without CRS or without polygons; no landslide is on the
            site and in the mapped area; numbers of slides are unfit (see `slide_numbers`).
    """
    notes: list[str] = []
    slides = read_polygons(landslides, grid, notes)
    numbers = (
        slide_numbers(slides, landslides)
        if SLIDE_NUMBER in slides
        else np.arange(1, len(slides) + 1, dtype=np.int32)
    )
    inside = shapely.intersects(slides.geometry.to_numpy(), shapely.box(*grid.bounds))
    if not inside.any():
        raise HeadscarpError(
            f"{landslides}: none of its {len(slides)} polygons is on the site; it "
            f"covers {bounds_of(slides)}, the site {bounds_text(grid.bounds)} in "
            f"{grid.crs}: check the polygons' CRS or take the inventory of this site"
        )
    if not inside.all():
        notes.append(
            f"{Path(landslides).name}: {np.count_nonzero(~inside)} of "
            f"{len(slides)} polygons are outside the site and were dropped"
        )
    shapes, numbers = slides.geometry.to_numpy()[inside], numbers[inside]
    instances = rasterise_numbers(shapes, numbers, grid)
    under = covered_slides(shapes, numbers, instances, grid)
    if under:
        notes.append(
            f"{Path(landslides).name}: {under} of {len(numbers)} slides on the site lie wholly under others "
            f"and have no cell of their own; are some drawn twice?"
        )
    label = (instances > 0).astype(np.uint8)
    mapped = np.ones(grid.shape, bool) if covered is None else covered
    if area is not None:
        mapped = mapped & (
            rasterise_numbers(read_polygons(area, grid, notes).geometry.to_numpy(), 1, grid) == 1
        )
    label[~mapped] = UNMAPPED
    instances[~mapped] = 0
    if not (label == LANDSLIDE).any():
        where = f" in the mapped area of {area}" if area is not None else ""
        where += " where an image has data" if covered is not None and not covered.all() else ""
        raise HeadscarpError(
            f"{landslides}: no cell of the site has a landslide{where} (cells "
            f"of {grid.resolution:g} m); check that they belong together"
        )
    small = np.setdiff1d(numbers, instances).size - under
    if small:
        notes.append(
            f"{Path(landslides).name}: {small} of {len(numbers)} "
            "slides on the site hold no centre of a mapped cell"
        )
    return Labels(label, instances, notes)


def covered_slides(shapes: np.ndarray, numbers: np.ndarray, instances: np.ndarray, grid: Grid) -> int:
    """How many slides hold centres of cells, all of which later ones have taken in `instances` (row, col)."""
    lost, count = ~np.isin(numbers, instances), 0
    while lost.any():  # those that lie under others that are lost too show once these are gone
        shown = lost & np.isin(numbers, rasterise_numbers(shapes[lost], numbers[lost], grid))
        if not shown.any():
            break
        count += np.count_nonzero(shown)
        lost &= ~shown
    return count


def slide_numbers(slides: pd.DataFrame, path: str | Path) -> np.ndarray:
    """The numbers int32 (slide,) of the column SLIDE_NUMBER.

    Raises:
        HeadscarpError: one is missing, no whole number from 1, or there twice.
    """
    given = slides[SLIDE_NUMBER]
    numbers = pd.to_numeric(given, errors="coerce").to_numpy(float, na_value=np.nan)
    fit = (numbers >= 1) & (numbers <= np.iinfo(np.int32).max) & (numbers == np.round(numbers))
    if not fit.all():
        first = given[~fit].iloc[0]
        raise HeadscarpError(
            f"{path}: {np.count_nonzero(~fit)} of {len(fit)} values of the column '{SLIDE_NUMBER}' are no "
            f"number of a slide (such as '{first}'); give each slide a whole number from 1"
        )
    values, times = np.unique(numbers, return_counts=True)
    if (times > 1).any():
        raise HeadscarpError(
            f"{path}: the column '{SLIDE_NUMBER}' has the number {values[times > 1][0]:g} "
            f"{times.max()} times; give each slide a number of its own, and one feature"
        )
    return numbers.astype(np.int32)


def align_labels(
    classes: str | Path,
    meaning: Meaning,
    grid: Grid,
    area: str | Path | None = None,
    covered: np.ndarray | None = None,
    place: str = "labels",
) -> Labels:
    """A label raster on a grid (nearest cell; the commonest class on a coarser grid), its class code 1 being
    landslides.

    Slides are connected cells of that code (by edges or corners), numbered from 1 row by row. Cells beyond
    the raster, or that have no label (see `label_rasters.codes_of_file`), are unmapped. A raster without any
    landslide is noted, not refused.

    Args:
        meaning: of the raster's values.
        area, covered: as in `rasterise_labels`.
        place: of the labels in the card, for messages.

    Raises:
        HeadscarpError: a file is missing or unreadable, the raster lies beside the site or holds a value
            without a meaning (see `codes_of_file`); `area` has no polygons.
    """
    notes: list[str] = []
    label = codes_on_grid(classes, meaning, grid, place)
    if covered is not None:
        label[~covered] = UNMAPPED
    if area is not None:
        shapes = read_polygons(area, grid, notes).geometry.to_numpy()
        label[rasterise_numbers(shapes, 1, grid) == 0] = UNMAPPED
    return connected_labels(label, Path(classes).name, notes)


def connected_labels(label: np.ndarray, name: str, notes: list[str]) -> Labels:
    """Codes (row, col) uint8 with their slides: connected cells (by edges or corners) of code 1, numbered
    from 1 row by row."""
    instances, count = ndimage.label(label == LANDSLIDE, np.ones((3, 3), bool), output=np.int32)
    if count == 0:
        notes.append(f"{name}: no mapped cell of the site is a landslide (code {LANDSLIDE})")
    return Labels(label, instances, notes)


def read_polygons(path: str | Path, grid: Grid, notes: list[str]) -> geopandas.GeoDataFrame:
    """Polygons of a vector file in the grid's CRS, invalid ones repaired and noted.

    Raises:
        HeadscarpError: the file is missing, unreadable, without CRS or without polygons.
    """
    table, invalid = repaired(read_vectors(path, grid.crs))
    if invalid:
        notes.append(
            f"{Path(path).name}: {invalid} of {len(table)} geometries were invalid and were repaired"
        )
    table = table[shapely.area(table.geometry.to_numpy()) > 0]
    if table.empty:
        raise HeadscarpError(
            f"{path} holds no polygons; take the file of the outlines (areas, not points or lines)"
        )
    return table


def rasterise_numbers(geometries: np.ndarray, numbers: np.ndarray | int, grid: Grid) -> np.ndarray:
    """Numbers of polygons, which may be none, at the cells whose centres they hold, int32 (row, col), 0
    elsewhere."""
    if not len(geometries):
        return np.zeros(grid.shape, np.int32)
    shapes = zip(geometries, np.broadcast_to(numbers, len(geometries)).tolist(), strict=True)
    return rasterize(shapes, out_shape=grid.shape, transform=grid.transform, fill=0, dtype="int32")


def bounds_of(table: geopandas.GeoDataFrame) -> str:
    return bounds_text(table.total_bounds)


def bounds_text(bounds: tuple[float, float, float, float]) -> str:
    return "west {:.0f} south {:.0f} east {:.0f} north {:.0f}".format(*bounds)
