"""Groups of pixels that share sides, in rasters that are read strip by strip: whatever their size, memory
holds two strips, the polygons in them and a few numbers for each group."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio import windows
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
Outlines = tuple[np.ndarray, np.ndarray]  # numbers of groups (group,) and their polygons (group,)


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
    """Groups numbered from 1, in the order of their first pixels: raster files of the `numbers`, 0 outside
    every group, and of where those lie that reach over more than two strips (`tall`, 1), on a grid; by group
    number `pixels`, and the `first` and the `last` strip."""

    numbers: Path
    tall: Path
    grid: Grid
    pixels: np.ndarray
    first: np.ndarray
    last: np.ndarray

    def outlines(self) -> Iterator[Outlines]:
        """Numbers of groups and their polygons, each once and in no order: strip by strip those that end
        there, then the tall ones."""
        tall = self.last - self.first > 1
        with rasterio.open(self.numbers) as numbers, rasterio.open(self.tall) as inside:
            above = None
            for index, strip in enumerate(strips_of_rows(*numbers.shape)):
                ending = (self.last == index) & ~tall
                reaches_up = (self.first[ending] < index).any()
                window = windows.union(above, strip) if reaches_up else strip
                if ending.any():
                    values = numbers.read(1, window=window)
                    place = self.grid.transform @ Affine.translation(0, window.row_off)
                    yield outlines_of(shapes(values, ending[values], connectivity=4, transform=place))
                above = strip
            if tall.any():
                bands = rasterio.band(numbers, 1), rasterio.band(inside, 1)
                yield outlines_of(shapes(*bands, connectivity=4, transform=self.grid.transform))

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


def outlines_of(found: Iterable[tuple[dict[str, Any], float]]) -> Outlines:
    """Numbers and polygons, as arrays (group,), of what `rasterio.features.shapes` gives."""
    pairs = [(int(number), shape(outline)) for outline, number in found]
    return np.array([number for number, _ in pairs], int), np.array([one for _, one in pairs], object)


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
        first, last = joined.reach(len(pixels))
        number = np.where(kept, np.cumsum(kept), 0).astype(np.int32)[joined.group]
        is_tall = np.append(False, (last - first > 1)[kept])
        paths = Path(folder) / "numbers.tif", Path(folder) / "tall.tif"
        with (
            rasterio.open(paths[0], "w", dtype="int32", **profile_of(grid)) as numbers,
            rasterio.open(paths[1], "w", dtype="uint8", **profile_of(grid)) as tall,
        ):
            begin = 0
            for window, (labels, found) in zip(
                strips_of_rows(*grid.shape), labelled(values, threshold), strict=True
            ):
                strip = np.append(np.int32(0), number[begin : begin + found])[labels]
                numbers.write(strip, 1, window=window)
                tall.write(is_tall[strip].astype(np.uint8), 1, window=window)
                begin += found
        by_number = [
            np.append(nobody, values[kept]) for nobody, values in ((0, pixels), (-1, first), (-1, last))
        ]
        yield PixelGroups(*paths, grid, *by_number)


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
    """Groups of single strips, in their order: the number of the strip, their pixels, and the group of the
    whole raster, from 0, that each is a piece of."""

    strip: np.ndarray
    pixels: np.ndarray
    group: np.ndarray

    def reach(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The first and the last strip of each of `count` groups of the whole raster."""
        first, last = np.full(count, len(self.strip)), np.full(count, -1)
        np.minimum.at(first, self.group, self.strip)
        np.maximum.at(last, self.group, self.strip)
        return first, last


def join_groups(values: Strips, threshold: float) -> JoinedGroups:
    """The groups of all strips, joined where they share sides across two."""
    pixels: list[np.ndarray] = [np.zeros(0, np.int64)]
    pieces: list[int] = []
    pairs: list[np.ndarray] = [np.zeros((2, 0), np.int64)]
    count, above = 0, None
    for labels, found in labelled(values, threshold):
        pixels.append(np.bincount(labels[labels > 0], minlength=found + 1)[1:])
        pieces.append(found)
        first, last = (labels[row].astype(np.int64) for row in (0, -1))
        if above is not None:
            touching = (above >= 0) & (first > 0)
            pairs.append(np.unique([above[touching], count + first[touching] - 1], axis=1))
        above = np.where(last > 0, count + last - 1, -1)
        count += found
    one, other = np.concatenate(pairs, axis=1)
    sides = coo_matrix((np.ones(len(one), bool), (one, other)), shape=(count, count))
    strip = np.repeat(np.arange(len(pieces)), pieces)
    return JoinedGroups(strip, np.concatenate(pixels), connected_components(sides, directed=False)[1])


def labelled(values: Strips, threshold: float) -> Iterator[tuple[np.ndarray, int]]:
    """The groups of each strip alone: numbers (row, col) from 1, and how many there are."""
    for strip in values():
        yield ndimage.label(strip >= threshold)
