"""Reading layers for exhibits: whole or block by block for numbers, thinned for drawing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.windows import Window

from headscarp.codes import UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.exhibits.spec import SiteFiles
from headscarp.files import read_json
from headscarp.geo.grid import Grid, cropped
from headscarp.geo.layer import open_raster, read_layer
from headscarp.vocabulary import require_known

LONGEST_SIDE = 1000  # pixels of a drawn map: about 300 dpi on half a page
# pattern and length of an ISO date in the name of a layer's file
DATED, ISO = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]", 10


def layer_path(site: SiteFiles, name: str, date: str | None = None) -> Path:
    """Where a layer of a site lies: that of `date` (ISO text) or, of a layer with dates, of its last one; one
    without is that of any date.

    Raises:
        HeadscarpError: the site has no such layer, or it has none of that date; the message names the
        nearest.
    """
    folder = site.folder / "layers"
    path = folder / f"{name}.tif"
    if path.exists():
        return path
    dated = {other.stem[-ISO:]: other for other in sorted(folder.glob(f"{name}_{DATED}.tif"))}
    if not dated:
        known = (
            ", ".join(
                sorted({other.stem.removesuffix(date_suffix(other.stem)) for other in folder.glob("*.tif")})
            )
            or "none"
        )
        raise HeadscarpError(
            f"{path} does not exist: site '{site.name}' has no layer '{name}' (it has: {known}); name "
            f"another in the exhibit"
        )
    return dated[require_known(date or max(dated), dated, f"site '{site.name}', layer '{name}': date")]


def date_suffix(stem: str) -> str:
    """`_2020-09-22` of the name of the file of a layer with dates; nothing of one without."""
    return stem[-ISO - 1 :] if fnmatchcase(stem, f"*_{DATED}") else ""


def values_of(site: SiteFiles, name: str) -> np.ndarray:
    """A layer of a site whole, (row, col)."""
    return read_layer(layer_path(site, name)).values


def site_grid(site: SiteFiles) -> Grid:
    """The grid that all layers of a site share."""
    return Grid.from_record(read_json(site.folder / "layers" / "layers.json")["grid"])


def layer_record(site: SiteFiles, name: str) -> dict[str, Any]:
    """What the manifest says of a layer (name, units, kind, classes, ...); nothing where it does not list
    it."""
    layers = read_json(site.folder / "layers" / "layers.json")["layers"]
    return next((layer for layer in layers if layer["name"] == name), {})


def units_of(site: SiteFiles, name: str) -> str:
    """Units of a layer as its manifest states them."""
    return layer_record(site, name).get("units", "")


def class_names(site: SiteFiles, name: str) -> dict[int, str]:
    """{code: name} of a class layer, as its manifest states them.

    Raises:
        HeadscarpError: the site has no such layer, or the manifest names no classes for it.
    """
    path = layer_path(site, name)
    classes = layer_record(site, name).get("classes")
    if not classes:
        raise HeadscarpError(
            f"{path.parent / 'layers.json'} names no classes for layer '{name}' of site '{site.name}'; "
            "give {code: name} as `classes` of that raster in the card, or name a class layer in the exhibit"
        )
    return {int(code): text for code, text in classes.items()}


def is_classed(site: SiteFiles, name: str) -> bool:
    """Whether a layer holds classes with names."""
    return bool(layer_record(site, name).get("classes"))


def value_range(site: SiteFiles, name: str) -> tuple[float, float]:
    """Least and greatest value of a continuous layer, read block by block; NaN where it holds none."""
    low, high = np.inf, -np.inf
    with open_raster(layer_path(site, name)) as source:
        for _, window in source.block_windows(1):
            values = source.read(1, window=window, masked=True)
            finite = values.compressed()[np.isfinite(values.compressed())]
            if finite.size:
                low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return (low, high) if low <= high else (np.nan, np.nan)


def class_counts(site: SiteFiles, name: str) -> dict[int, int]:
    """Mapped pixels of each class of a class layer (0..255), read block by block; no data is left out."""
    counts = np.zeros(256, np.int64)
    label = site.folder / "layers" / "label.tif"
    with (
        open_raster(layer_path(site, name)) as source,
        open_raster(label if label.exists() else source.name) as mapped,
    ):
        for _, window in source.block_windows(1):
            values = source.read(1, window=window)
            inside = values != source.nodata
            if label.exists():
                inside &= mapped.read(1, window=window) != UNMAPPED
            counts += np.bincount(values[inside], minlength=256)
    return {code: int(counts[code]) for code in np.flatnonzero(counts)}


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
