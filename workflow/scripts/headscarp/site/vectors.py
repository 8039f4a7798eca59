"""Reading vector files of any kind that GDAL knows, a zip of a shapefile included."""

from pathlib import Path

import geopandas
from pyogrio.errors import DataSourceError

from headscarp.errors import HeadscarpError


def read_vectors(path: str | Path, crs: str | None = None) -> geopandas.GeoDataFrame:
    """All features of a vector file in `crs` (None: its own), those without geometry left out.

    Raises:
        HeadscarpError: the file is missing, unreadable or has no CRS.
    """
    if not Path(path).exists():
        raise HeadscarpError(f"{path} does not exist; fetch it or make it again")
    try:
        table = geopandas.read_file(path)
    except (DataSourceError, UnicodeDecodeError) as error:
        raise HeadscarpError(f"{path} cannot be read ({error}); it is truncated or no vector file: fetch it or make it again") from None
    if table.crs is None:
        raise HeadscarpError(
            f"{path} has no CRS; find out which it is and assign it, for example with `ogr2ogr -a_srs EPSG:4326 with_crs.gpkg {path}`"
        )
    table = table[table.geometry.notna()]
    return table.to_crs(crs) if crs else table
