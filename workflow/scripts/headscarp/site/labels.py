"""Landslide polygons, or a raster of classes, on a site's grid: the label and the number of each slide."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
import shapely
from rasterio.features import rasterize
from scipy import ndimage

from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.geo.layer import CLASSES
from headscarp.geo.rasters import align
from headscarp.geo.vectors import read_vectors, repaired


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

    A slide's number is the file's column `instance`, or else its place in the file from 1. Invalid geometries
    are repaired, polygons outside the site dropped; the notes count both, and slides that hold no cell
    centre.

    Args:
        area: polygons of the mapped area; cells outside are unmapped. None: everything is mapped.
        covered: bool (row, col); cells without any image are unmapped, whatever the polygons say. None: all
            have one.

    Raises:
        HeadscarpError: a file is missing, unreadable, without CRS or without polygons; no landslide is on the
            site and in the mapped area.
    """
    notes: list[str] = []
    slides = read_polygons(landslides, grid, notes)
    numbers = (
        slides["instance"].to_numpy(np.int32)
        if "instance" in slides
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
    instances = rasterise_numbers(slides.geometry.to_numpy()[inside], numbers[inside], grid)
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
        raise HeadscarpError(
            f"{landslides}: no cell of the site has a landslide{where} (cells "
            f"of {grid.resolution:g} m); check that they belong together"
        )
    small = np.setdiff1d(numbers[inside], instances).size
    if small:
        notes.append(
            f"{Path(landslides).name}: {small} of {np.count_nonzero(inside)} "
            "slides on the site hold no centre of a mapped cell"
        )
    return Labels(label, instances, notes)


def align_labels(
    classes: str | Path,
    codes: Iterable[int],
    grid: Grid,
    area: str | Path | None = None,
    covered: np.ndarray | None = None,
) -> Labels:
    """A raster of classes on a grid (nearest cell; the commonest class on a coarser grid), its code 1 being
    landslides.

    Slides are connected cells of that code (by edges or corners), numbered from 1 row by row. Cells beyond
    the raster or where it has no data (its nodata value; 255 where it declares none) are unmapped. A raster
    without any landslide is noted, not refused.

    Args:
        codes: the codes that the raster may hold.
        area, covered: as in `rasterise_labels`.

    Raises:
        HeadscarpError: a file is missing or unreadable, the raster lies beside the site or holds another
            code; `area` has no polygons.
    """
    notes: list[str] = []
    layer = align(classes, 1, grid, CLASSES, minimum_cover=0.0)
    mapped = layer.values != layer.nodata
    known = sorted(int(code) for code in codes)
    unknown = np.setdiff1d(layer.values[mapped], known)
    if unknown.size:
        listed = ", ".join(str(code) for code in unknown[:12]) + (" …" if unknown.size > 12 else "")
        raise HeadscarpError(
            f"{classes} holds the codes {listed}, which labels.names does "
            f"not name (it names {', '.join(map(str, known))}); add their "
            f"names, or recode them, {UNMAPPED} where a cell has no label"
        )
    if covered is not None:
        mapped &= covered
    if area is not None:
        mapped &= rasterise_numbers(read_polygons(area, grid, notes).geometry.to_numpy(), 1, grid) == 1
    return connected_labels(
        np.where(mapped, layer.values, UNMAPPED).astype(np.uint8), Path(classes).name, notes
    )


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
    """Numbers of polygons at the cells whose centres they hold, int32 (row, col), 0 elsewhere."""
    shapes = zip(geometries, np.broadcast_to(numbers, len(geometries)).tolist(), strict=True)
    return rasterize(shapes, out_shape=grid.shape, transform=grid.transform, fill=0, dtype="int32")


def bounds_of(table: geopandas.GeoDataFrame) -> str:
    return bounds_text(table.total_bounds)


def bounds_text(bounds: tuple[float, float, float, float]) -> str:
    return "west {:.0f} south {:.0f} east {:.0f} north {:.0f}".format(*bounds)
