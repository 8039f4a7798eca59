"""Groups of pixels that share sides, in rasters that are read strip by strip: whatever their size, memory
holds one strip and a few numbers for each group."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import geopandas
import numpy as np
import rasterio
from rasterio.features import shapes
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from shapely.geometry import shape

from headscarp.geo.grid import Grid
from headscarp.geo.layer import layer_strips, strips_of_rows
from headscarp.mapping.raster import GDAL_CACHE_MEGABYTES

# A raster as strips (row, col) of `geo.layer.ROWS_AT_ONCE` rows from the top, as often as it is asked for.
Strips = Callable[[], Iterable[np.ndarray]]


def strips_of_array(values: np.ndarray) -> Strips:
    """Strips of an array (row, col)."""
    return lambda: (
        values[strip.row_off : strip.row_off + strip.height] for strip in strips_of_rows(*values.shape)
    )


def strips_of_layer(path: str | Path) -> Strips:
    """Strips of a continuous layer's file, NaN = no data."""
    return lambda: layer_strips(path)


@dataclass(frozen=True)
class Summary:
    """What the pixels of each group hold, by group number, 0 (no group) to the last; no data is left out, NaN
    where a group has nothing else."""

    mean: np.ndarray
    maximum: np.ndarray
    minimum: np.ndarray


@dataclass(frozen=True)
class PixelGroups:
    """Groups numbered from 1: raster files of the `numbers`, 0 outside every group, and of where they lie
    (`inside`, 1), on a grid; `pixels` by group number."""

    numbers: Path
    inside: Path
    grid: Grid
    pixels: np.ndarray

    def outlines(self) -> tuple[geopandas.GeoDataFrame, np.ndarray]:
        """A polygon for each group, in no order, and the numbers of their groups."""
        with rasterio.open(self.numbers) as numbers, rasterio.open(self.inside) as inside:
            bands = rasterio.band(numbers, 1), rasterio.band(inside, 1)
            found = [
                (int(number), shape(outline))
                for outline, number in shapes(*bands, connectivity=4, transform=self.grid.transform)
            ]
        chosen = np.array([number for number, _ in found], int)
        return geopandas.GeoDataFrame(geometry=[one for _, one in found], crs=self.grid.crs), chosen

    def summary(self, values: Strips) -> Summary:
        """Mean and extremes of the values on the groups' pixels."""
        pixels = np.zeros(len(self.pixels), np.int64)
        total = np.zeros(len(self.pixels))
        high, low = np.full((2, len(self.pixels)), np.nan)
        for numbers, strip in zip(self._strips(), values(), strict=True):
            counted = (numbers > 0) & ~np.isnan(strip)
            # Of the groups' pixels alone: few, so that what is summed over them is small.
            members, found = numbers[counted], strip[counted]
            pixels += np.bincount(members, minlength=len(pixels))
            total += np.bincount(members, weights=found, minlength=len(pixels))
            np.fmax.at(high, members, found)
            np.fmin.at(low, members, found)
        mean = np.divide(total, pixels, out=np.full(len(pixels), np.nan), where=pixels > 0)
        return Summary(mean, high, low)

    def _strips(self) -> Iterator[np.ndarray]:
        with rasterio.open(self.numbers) as raster:
            for strip in strips_of_rows(*raster.shape):
                yield raster.read(1, window=strip)


@contextmanager
def pixel_groups(
    values: Strips, grid: Grid, threshold: float, minimum_area: float = 0.0
) -> Iterator[PixelGroups]:
    """Yield the groups of pixels whose values reach `threshold` (NaN does not) and whose area reaches
    `minimum_area`, in square units of the CRS; they are kept on disk while the block lasts."""
    with TemporaryDirectory() as folder, rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_MEGABYTES):
        joined = join_groups(values, threshold)
        pixels = np.bincount(joined.group, weights=joined.pixels).astype(np.int64)
        kept = pixels * abs(grid.transform.determinant) >= minimum_area
        number = np.where(kept, np.cumsum(kept), 0).astype(np.int32)[joined.group]
        paths = Path(folder) / "numbers.tif", Path(folder) / "inside.tif"
        with (
            rasterio.open(paths[0], "w", dtype="int32", **profile_of(grid)) as numbers,
            rasterio.open(paths[1], "w", dtype="uint8", **profile_of(grid)) as inside,
        ):
            first = 0
            for window, (labels, found) in zip(
                strips_of_rows(*grid.shape), labelled(values, threshold), strict=True
            ):
                strip = np.append(np.int32(0), number[first : first + found])[labels]
                numbers.write(strip, 1, window=window)
                inside.write((strip > 0).astype(np.uint8), 1, window=window)
                first += found
        yield PixelGroups(*paths, grid, np.append(0, pixels[kept]))


def profile_of(grid: Grid) -> dict[str, Any]:
    """Of a raster file that is mostly 0 and read line by line."""
    return {
        "driver": "GTiff",
        "count": 1,
        "height": grid.height,
        "width": grid.width,
        "crs": grid.crs,
        "transform": grid.transform,
        "compress": "deflate",
        "zlevel": 1,
        "sparse_ok": True,
        "bigtiff": "if_safer",
    }


@dataclass(frozen=True)
class JoinedGroups:
    """Groups of single strips, in their order: their pixels, and the group of the whole raster, from 0, that
    each is a piece of."""

    pixels: np.ndarray
    group: np.ndarray


def join_groups(values: Strips, threshold: float) -> JoinedGroups:
    """The groups of all strips, joined where they share sides across two."""
    pixels: list[np.ndarray] = [np.zeros(0, np.int64)]
    pairs: list[np.ndarray] = [np.zeros((2, 0), np.int64)]
    count, above = 0, None
    for labels, found in labelled(values, threshold):
        pixels.append(np.bincount(labels[labels > 0], minlength=found + 1)[1:])
        first, last = (labels[row].astype(np.int64) for row in (0, -1))
        if above is not None:
            touching = (above >= 0) & (first > 0)
            pairs.append(np.unique([above[touching], count + first[touching] - 1], axis=1))
        above = np.where(last > 0, count + last - 1, -1)
        count += found
    one, other = np.concatenate(pairs, axis=1)
    sides = coo_matrix((np.ones(len(one), bool), (one, other)), shape=(count, count))
    return JoinedGroups(np.concatenate(pixels), connected_components(sides, directed=False)[1])


def labelled(values: Strips, threshold: float) -> Iterator[tuple[np.ndarray, int]]:
    """The groups of each strip alone: numbers (row, col) from 1, and how many there are."""
    for strip in values():
        yield ndimage.label(strip >= threshold)
