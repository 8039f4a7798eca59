"""Rasters thinned for drawing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.windows import Window

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid, cropped

LONGEST_SIDE = 1000  # pixels of a drawn map: about 300 dpi on half a page


@contextmanager
def opened(path: Path, shape: tuple[int, int]) -> Iterator[rasterio.DatasetReader]:
    """A raster of `shape` (rows, columns), open for reading.

    Raises:
        HeadscarpError: the file cannot be read or has another shape.
    """
    try:
        with rasterio.open(path) as source:
            if source.shape != shape:
                raise HeadscarpError(
                    f"{path} has {source.shape} pixels, its site has {shape}; make it again on the "
                    f"site's grid"
                )
            yield source
    except rasterio.errors.RasterioError as error:
        raise HeadscarpError(
            f"{path} cannot be read ({error}); it is missing or truncated: make it again"
        ) from None


@dataclass(frozen=True)
class View:
    """How a grid, or a rectangle of it, is thinned for drawing.

    `shape` is that of the picture, `extent` is (west, east, south, north) in kilometres, `window` the
    rectangle (first row, first column, rows, columns) of the grid, whose shape is `full_shape`.
    """

    shape: tuple[int, int]
    extent: tuple[float, float, float, float]
    full_shape: tuple[int, int]
    window: tuple[int, int, int, int]

    @classmethod
    def of(
        cls, grid: Grid, longest_side: int = LONGEST_SIDE, window: tuple[int, int, int, int] | None = None
    ) -> "View":
        first_row, first_col, rows, cols = window = window or (0, 0, *grid.shape)
        thin = max(1.0, max(rows, cols) / longest_side)
        west, north = grid.transform @ (first_col, first_row)
        east, south = grid.transform @ (first_col + cols, first_row + rows)
        extent = (west / 1000, east / 1000, south / 1000, north / 1000)
        return cls((max(1, round(rows / thin)), max(1, round(cols / thin))), extent, grid.shape, window)

    @classmethod
    def under(
        cls, grid: Grid, bounds: tuple[float, float, float, float], longest_side: int = LONGEST_SIDE
    ) -> "View":
        """The whole cells of a grid under bounds (west, south, east, north in its CRS).

        Raises:
            HeadscarpError: the bounds lie beside the grid.
        """
        part = cropped(grid, bounds)
        if part is None:
            raise HeadscarpError(
                f"the area {bounds} to be drawn lies beside its image ({grid.bounds}, {grid.crs}); "
                f"check the area's file"
            )
        first_col, first_row = ~grid.transform @ (part.transform.c, part.transform.f)
        return cls.of(grid, longest_side, (round(first_row), round(first_col), *part.shape))

    @property
    def aspect(self) -> float:
        """Height over width."""
        return self.window[2] / self.window[3]

    @property
    def width_km(self) -> float:
        return self.extent[1] - self.extent[0]

    @property
    def cell_m(self) -> tuple[float, float]:
        """Width and height of a drawn cell in metres."""
        west, east, south, north = self.extent
        return 1000 * (east - west) / self.shape[1], 1000 * (north - south) / self.shape[0]

    def read(self, path: Path, classes: bool = False, band: int = 1) -> np.ndarray:
        """A band of a raster on the grid, thinned: the mean for continuous values (NaN = no data), the
        nearest for classes.

        Raises:
            HeadscarpError: the file cannot be read or is not on the grid.
        """
        with opened(path, self.full_shape) as source:
            return self._band(source, band, classes)

    def read_mean(self, path: Path) -> np.ndarray:
        """The mean over the bands of a raster on the grid, thinned; NaN where no band has data. Errors as in
        `read`."""
        total, known = np.zeros(self.shape), np.zeros(self.shape)
        with opened(path, self.full_shape) as source:
            for band in range(1, source.count + 1):
                values = self._band(source, band, classes=False)
                total += np.nan_to_num(values)
                known += np.isfinite(values)
        return np.where(known > 0, total / np.maximum(known, 1), np.nan)

    def _band(self, source: rasterio.DatasetReader, band: int, classes: bool) -> np.ndarray:
        row, col, rows, cols = self.window
        where = {"window": Window(col, row, cols, rows), "out_shape": self.shape}
        if classes:
            return source.read(band, resampling=Resampling.nearest, **where)
        thinned = source.read(band, resampling=Resampling.average, masked=True, **where)
        return thinned.astype(np.float32).filled(np.nan)

    def thin(self, values: np.ndarray) -> np.ndarray:
        """An array (row, col) on the grid, thinned to the nearest pixel."""
        first = self.window[:2]
        rows, cols = (
            start + ((np.arange(n) + 0.5) * full / n).astype(int)
            for start, n, full in zip(first, self.shape, self.window[2:], strict=True)
        )
        return values[np.ix_(rows, cols)]
