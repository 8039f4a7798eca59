"""Reading layers for exhibits: whole for numbers, thinned for drawing."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import Resampling

from headscarp.errors import HeadscarpError
from headscarp.exhibits.spec import SiteFiles
from headscarp.files import read_json
from headscarp.site.grid import Grid
from headscarp.site.layer import read_layer

UNMAPPED = 255
LONGEST_SIDE = 1000  # pixels of a drawn map: about 300 dpi on half a page


def layer_path(site: SiteFiles, name: str) -> Path:
    """Where a layer of a site lies.

    Raises:
        HeadscarpError: the site has no such layer.
    """
    path = site.folder / "layers" / f"{name}.tif"
    if not path.exists():
        known = ", ".join(sorted(other.stem for other in path.parent.glob("*.tif"))) or "none"
        raise HeadscarpError(
            f"{path} does not exist: site '{site.name}' has no layer '{name}' (it has: {known}); name another in the exhibit"
        )
    return path


def values_of(site: SiteFiles, name: str) -> np.ndarray:
    """A layer of a site whole, (row, col)."""
    return read_layer(layer_path(site, name)).values


def site_grid(site: SiteFiles) -> Grid:
    """The grid that all layers of a site share."""
    return Grid.from_record(read_json(site.folder / "layers" / "layers.json")["grid"])


def units_of(site: SiteFiles, name: str) -> str:
    """Units of a layer as its manifest states them."""
    layers = read_json(site.folder / "layers" / "layers.json")["layers"]
    return next((layer["units"] for layer in layers if layer["name"] == name), "")


@dataclass(frozen=True)
class View:
    """How a grid is thinned for drawing: shape of the picture and its extent (west, east, south, north) in kilometres."""

    shape: tuple[int, int]
    extent: tuple[float, float, float, float]
    full_shape: tuple[int, int]

    @classmethod
    def of(cls, grid: Grid, longest_side: int = LONGEST_SIDE) -> "View":
        thin = max(1.0, max(grid.shape) / longest_side)
        west, south, east, north = (edge / 1000 for edge in grid.bounds)
        return cls((round(grid.height / thin), round(grid.width / thin)), (west, east, south, north), grid.shape)

    @property
    def aspect(self) -> float:
        """Height over width."""
        return self.full_shape[0] / self.full_shape[1]

    @property
    def width_km(self) -> float:
        return self.extent[1] - self.extent[0]

    @property
    def cell_m(self) -> tuple[float, float]:
        """Width and height of a drawn cell in metres."""
        west, east, south, north = self.extent
        return 1000 * (east - west) / self.shape[1], 1000 * (north - south) / self.shape[0]

    def read(self, path: Path, classes: bool = False) -> np.ndarray:
        """A one-band raster on the grid, thinned: the mean for continuous values (NaN = no data), the nearest for classes.

        Raises:
            HeadscarpError: the file cannot be read or is not on the grid.
        """
        try:
            with rasterio.open(path) as source:
                if source.shape != self.full_shape:
                    raise HeadscarpError(
                        f"{path} has {source.shape} pixels, its site has {self.full_shape}; make it again on the site's grid"
                    )
                if classes:
                    return source.read(1, out_shape=self.shape, resampling=Resampling.nearest)
                thinned = source.read(1, out_shape=self.shape, resampling=Resampling.average, masked=True)
        except rasterio.errors.RasterioError as error:
            raise HeadscarpError(f"{path} cannot be read ({error}); it is missing or truncated: make it again") from None
        return thinned.astype(np.float32).filled(np.nan)

    def thin(self, values: np.ndarray) -> np.ndarray:
        """An array (row, col) on the grid, thinned to the nearest pixel."""
        rows, cols = (((np.arange(n) + 0.5) * full / n).astype(int) for n, full in zip(self.shape, self.full_shape, strict=True))
        return values[np.ix_(rows, cols)]
