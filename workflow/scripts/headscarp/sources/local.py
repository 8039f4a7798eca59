"""Files of a user's data folder as the raw files of a site."""

from pathlib import Path

import rasterio
from rasterio.shutil import copy as copy_raster

from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path
from headscarp.geo.layer import open_any_raster

VECTORS = (".gpkg", ".geojson", ".json", ".shp", ".zip", ".kml", ".gml", ".fgb")


def take_file(origin: str | Path, output: str | Path, crs: str | None = None) -> None:
    """Make `output` a link to the absolute path of `origin`; with a `crs`, which is that of a site whose
    rasters have none, a copy of the raster that has it.

    Raises:
        HeadscarpError: with a `crs`: the file is missing, a vector file or no raster, or has a CRS itself.
    """
    if crs is None:
        Path(output).symlink_to(Path(origin).resolve())
        return
    if Path(origin).suffix.lower() in VECTORS:
        raise HeadscarpError(
            f"{origin} is a vector file, and the key `crs` of its site is for rasters that have no CRS; name "
            "it in a site of its own, or give the rasters their CRS and leave out the key"
        )
    with open_any_raster(origin) as source, atomic_path(output) as partial:
        if source.crs is not None:
            raise HeadscarpError(
                f"{origin} has a CRS of its own ({source.crs}); leave out the key `crs` of its site, which "
                "is for rasters that have none"
            )
        copy_raster(source, partial, driver="GTiff", tiled=True, compress="DEFLATE")
        with rasterio.open(partial, "r+") as copied:
            copied.crs = crs
