"""Layers of a site as pyramids of map tiles: PNG of 256 x 256 pixels in Web Mercator, the XYZ scheme of web
maps. How many there are is capped: of a large site the deepest levels are left out, and the rasters'
overviews are drawn in place of their pixels."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from matplotlib.image import imsave
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from headscarp.exhibits.panels.view import opened
from headscarp.geo.grid import Grid

TILE = 256
WEB_MERCATOR, DEGREES = "EPSG:3857", "EPSG:4326"
WORLD_M = 2 * math.pi * 6_378_137  # the Equator: width of the one tile of zoom 0, in metres of Web Mercator
# of a zoom level: by so little may a tile's pixel be wider than the site's before the next level is drawn
SLACK = 0.1
MOST_TILES = 3000  # of a page, all its layers together: a folder that is copied and served within minutes

Colours = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Drawing:
    """One layer of a map.

    `colours` turns the values of a `band` of `rasters` (raster, row, col), float32 with NaN = no data, into
    (row, col, 4) of 0..1: red, green, blue and opacity. It is given, and hands back, `margin` pixels more on
    each side of a tile, for what depends on neighbours.
    """

    name: str
    rasters: tuple[Path, ...]
    colours: Colours
    resampling: Resampling = Resampling.nearest
    margin: int = 0
    band: int = 1


@dataclass(frozen=True)
class Pyramid:
    """The tiles that cover a grid: its bounds (west, south, east, north) in metres of Web Mercator and in
    degrees, the `finest` zoom, that of the grid's own pixels, the `deepest` that is drawn, and the `least`,
    at which the whole grid is about a tile wide."""

    grid: Grid
    bounds: tuple[float, float, float, float]
    degrees: tuple[float, float, float, float]
    least: int
    finest: int
    deepest: int

    @classmethod
    def of(cls, grid: Grid, layers: int = 1) -> "Pyramid":
        """The deepest pyramid of a grid of which so many layers have no more than `MOST_TILES` tiles."""
        whole = cls.whole(grid)
        fits = (
            deepest
            for deepest in range(whole.finest, whole.least, -1)
            if layers * replace(whole, deepest=deepest).count <= MOST_TILES
        )
        return replace(whole, deepest=next(fits, whole.least))

    @classmethod
    def whole(cls, grid: Grid) -> "Pyramid":
        """The pyramid of a grid down to its own pixels."""
        bounds = transform_bounds(grid.crs, WEB_MERCATOR, *grid.bounds)
        west, south, east, north = bounds
        finest = max(0, math.ceil(math.log2(WORLD_M / TILE / pixel_of(grid, bounds)) - SLACK))
        least = min(finest, max(0, math.floor(math.log2(WORLD_M / max(east - west, north - south)))))
        return cls(grid, bounds, transform_bounds(WEB_MERCATOR, DEGREES, *bounds), least, finest, finest)

    @property
    def count(self) -> int:
        """Tiles of one layer."""
        levels = (self.tiles(zoom) for zoom in range(self.least, self.deepest + 1))
        return sum(len(cols) * len(rows) for cols, rows in levels)

    def tiles(self, zoom: int) -> tuple[range, range]:
        """Columns and rows of the tiles of a zoom level, counted from the north-west of the world."""
        west, south, east, north = self.bounds
        width = WORLD_M / 2**zoom
        cols = range(math.floor((west + WORLD_M / 2) / width), math.ceil((east + WORLD_M / 2) / width))
        return cols, range(
            math.floor((WORLD_M / 2 - north) / width), math.ceil((WORLD_M / 2 - south) / width)
        )

    @property
    def coarser(self) -> float:
        """Size of a pixel of the deepest tiles in pixels of the grid."""
        return WORLD_M / TILE / 2**self.deepest / pixel_of(self.grid, self.bounds)

    @property
    def pixel_m(self) -> float:
        """Size on the ground, in metres, of a pixel of the deepest tiles in the middle of the grid."""
        _, south, _, north = self.degrees
        return WORLD_M / TILE / 2**self.deepest * math.cos(math.radians((south + north) / 2))


def pixel_of(grid: Grid, bounds: tuple[float, float, float, float]) -> float:
    """Size of a pixel of a grid in metres of Web Mercator, in which it has bounds."""
    west, south, east, north = bounds
    return min((east - west) / grid.width, (north - south) / grid.height)


def write_tiles(folder: Path, drawing: Drawing, pyramid: Pyramid) -> None:
    """Write the tiles of a layer as `folder`/zoom/column/row.png.

    The deepest level is warped from the rasters, or from those of their overviews that are as fine, tile by
    tile, so that no scene has to fit into memory; each pixel of a level above is the mean of four of the
    level below.

    Raises:
        HeadscarpError: a raster cannot be read or is not on the grid of the pyramid.
    """
    with ExitStack() as stack:
        sources = [stack.enter_context(as_fine(path, pyramid)) for path in drawing.rasters]
        warped = [stack.enter_context(in_tiles(source, drawing, pyramid)) for source in sources]
        cols, rows = pyramid.tiles(pyramid.least)
        for col in cols:
            for row in rows:
                write_branch(folder, drawing, pyramid, warped, (pyramid.least, col, row))


@contextmanager
def as_fine(path: Path, pyramid: Pyramid) -> Iterator[rasterio.DatasetReader]:
    """A raster on the grid of a pyramid, open for reading: the coarsest of its overviews that is as fine as
    the deepest tiles, or the raster itself."""
    with opened(path, pyramid.grid.shape) as source:
        most = pyramid.coarser * (1 + SLACK)
        fine = [level for level, factor in enumerate(source.overviews(1)) if factor <= most]
        if not fine:
            yield source
            return
    with rasterio.open(path, overview_level=fine[-1]) as overview:
        yield overview


def write_branch(
    folder: Path, drawing: Drawing, pyramid: Pyramid, warped: Sequence[WarpedVRT], tile: tuple[int, int, int]
) -> np.ndarray:
    """Write a tile (zoom, column, row) and all below it; returns its colours times their opacity, (256, 256,
    4)."""
    zoom, col, row = tile
    if zoom == pyramid.deepest:
        image = drawn(drawing, pyramid, warped, col, row)
    else:
        image = np.zeros((2 * TILE, 2 * TILE, 4), np.float32)
        below = pyramid.tiles(zoom + 1)
        for i, j in np.ndindex(2, 2):
            if 2 * col + j in below[0] and 2 * row + i in below[1]:
                part = write_branch(folder, drawing, pyramid, warped, (zoom + 1, 2 * col + j, 2 * row + i))
                image[i * TILE : (i + 1) * TILE, j * TILE : (j + 1) * TILE] = part
        image = image.reshape(TILE, 2, TILE, 2, 4).mean(axis=(1, 3))
    path = folder / str(zoom) / str(col) / f"{row}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    opacity = image[..., 3:]
    plain = np.divide(image[..., :3], opacity, out=np.zeros_like(image[..., :3]), where=opacity > 0)
    imsave(
        path,
        np.rint(255 * np.concatenate([plain, opacity], axis=-1)).astype(np.uint8),
        metadata={"Software": None},
    )
    return image


def drawn(drawing: Drawing, pyramid: Pyramid, warped: Sequence[WarpedVRT], col: int, row: int) -> np.ndarray:
    """Colours times their opacity, (256, 256, 4), of a tile of the deepest level."""
    cols, rows = pyramid.tiles(pyramid.deepest)
    size = TILE + 2 * drawing.margin
    window = Window((col - cols.start) * TILE, (row - rows.start) * TILE, size, size)
    bands = [
        source.read(drawing.band, window=window, masked=True).astype(np.float32).filled(np.nan)
        for source in warped
    ]
    image = np.clip(drawing.colours(np.stack(bands)), 0, 1).astype(np.float32)
    image = image[drawing.margin : size - drawing.margin, drawing.margin : size - drawing.margin]
    image[..., :3] *= image[..., 3:]
    return image


def in_tiles(source: object, drawing: Drawing, pyramid: Pyramid) -> WarpedVRT:
    """A raster in the pixels of the deepest tiles, with the layer's margin around them."""
    cols, rows = pyramid.tiles(pyramid.deepest)
    width = WORLD_M / 2**pyramid.deepest
    corner = Affine(
        width / TILE, 0, cols.start * width - WORLD_M / 2, 0, -width / TILE, WORLD_M / 2 - rows.start * width
    )
    return WarpedVRT(
        source,
        crs=WEB_MERCATOR,
        transform=corner @ Affine.translation(-drawing.margin, -drawing.margin),
        width=len(cols) * TILE + 2 * drawing.margin,
        height=len(rows) * TILE + 2 * drawing.margin,
        resampling=drawing.resampling,
    )
