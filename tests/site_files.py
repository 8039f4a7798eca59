"""Small rasters and vectors for tests of the stations source, site and cube."""

import json
import warnings

import geopandas
import numpy as np
import rasterio
from affine import Affine

from headscarp.geo.grid import Grid

CRS = "EPSG:32649"
WEST, NORTH = 500_000.0, 3_400_000.0


def make_grid(rows=40, cols=50, cell=15.0, west=WEST, north=NORTH):
    """A north-up grid in UTM zone 49N."""
    return Grid(CRS, Affine(cell, 0, west, 0, -cell, north), rows, cols)


def write_raster(path, bands, grid=None, crs=CRS, nodata=None, names=None):
    """A GeoTIFF of an array (band, row, col) or (row, col), by rasterio alone."""
    bands = np.asarray(bands)
    bands = bands[None] if bands.ndim == 2 else bands
    grid = grid or make_grid(*bands.shape[1:])
    profile = dict(
        driver="GTiff",
        count=len(bands),
        height=grid.height,
        width=grid.width,
        dtype=bands.dtype,
        crs=crs,
        transform=grid.transform,
    )
    with rasterio.open(path, "w", **profile, nodata=nodata) as target:
        target.write(bands)
        for number, name in enumerate(names or [], start=1):
            target.set_band_description(number, name)
    return path


def write_picture(path, bands, **place):
    """A JPEG, PNG or TIFF of an array (band, row, col), with a CRS and transform only if they are given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    driver = {".jpg": "JPEG", ".png": "PNG", ".tif": "GTiff"}[path.suffix]
    shape = {"count": len(bands), "height": bands.shape[1], "width": bands.shape[2], "dtype": bands.dtype}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver=driver, **shape, **place) as target:
            target.write(bands)
    return path


def truncate(path, share=0.5):
    """Cut the end of a file off."""
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def write_shapes(path, geometries, crs=CRS, **columns):
    """A vector file of shapely geometries."""
    geopandas.GeoDataFrame(columns, geometry=geometries, crs=crs).to_file(path)
    return path


def read_manifest(folder):
    return json.loads((folder / "layers.json").read_text())
