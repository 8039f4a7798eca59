"""Reading vector files of any kind that GDAL knows, a zip of a shapefile included."""

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely
from pyogrio.errors import DataLayerError, DataSourceError

from headscarp.errors import HeadscarpError


def read_vectors(path: str | Path, crs: str | None = None) -> geopandas.GeoDataFrame:
    """All features of a vector file in `crs` (None: its own), those without geometry left out.

    Raises:
        HeadscarpError: the file is missing, unreadable or has no CRS.
    """
    table = read_table(path)
    if table.crs is None:
        raise HeadscarpError(
            f"{path} has no CRS; find out which it is and assign it, for "
            f"example with `ogr2ogr -a_srs EPSG:4326 with_crs.gpkg {path}`"
        )
    table = table[table.geometry.notna()]
    return table.to_crs(crs) if crs else table


def read_table(path: str | Path, **selection: Any) -> geopandas.GeoDataFrame:
    """Features of a vector file as it has them.

    Args:
        selection: what `geopandas.read_file` takes: layer, bbox, where, encoding. Only what they select is
            read.

    Raises:
        HeadscarpError: the file is missing or unreadable.
    """
    if not Path(path).exists():
        raise HeadscarpError(f"{path} does not exist; fetch it or make it again")
    try:
        return geopandas.read_file(path, **selection)
    except (DataSourceError, DataLayerError, UnicodeDecodeError) as error:
        raise HeadscarpError(
            f"{path} cannot be read ({error}); it is truncated or no vector file: fetch it or make it again"
        ) from None


def repaired(table: geopandas.GeoDataFrame) -> tuple[geopandas.GeoDataFrame, int]:
    """A table with valid geometries (parts that collapse are left out), and how many were not."""
    invalid = ~table.geometry.is_valid.to_numpy()
    if invalid.any():
        table = table.set_geometry(
            shapely.make_valid(table.geometry.to_numpy(), method="structure", keep_collapsed=False),
            crs=table.crs,
        )
    return table, int(np.count_nonzero(invalid))
