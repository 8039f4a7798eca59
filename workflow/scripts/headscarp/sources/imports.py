"""A user's file or a download as a raw file of a site: the part round the site's outline, in its own CRS, as
GeoPackage or GeoTIFF."""

import codecs
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio.errors import NotGeoreferencedWarning

from headscarp.errors import HeadscarpError
from headscarp.sources.given import COMPANIONS
from headscarp.sources.outlines import import_outline
from headscarp.sources.rasters import import_raster
from headscarp.sources.region import region_around
from headscarp.sources.vectors import import_vectors
from headscarp.vocabulary import check_keys, require_known

ORIGIN_KEYS = ("path", "dataset", "url", "sha256", "licence")
OUTLINE_KEYS = (*ORIGIN_KEYS, "layer", "where", "encoding", "crs")
VECTOR_KEYS = (*OUTLINE_KEYS, "margin_m")
RASTER_KEYS = (*ORIGIN_KEYS, "margin_m", "layer", "variable", "time", "crs", "nodata", "units")
VECTOR, RASTER = ".gpkg", ".tif"


def import_file(
    spec: Mapping[str, Any],
    origin: str | Path | Sequence[str | Path],
    outline: str | Path | None,
    target: str | Path,
) -> list[str]:
    """Write the part of a file that a site needs; returns what the reader should know of it.

    `target` says what it is: `.gpkg` for vectors, `.tif` for rasters. Vectors are the features that touch the
    box, whole, repaired where they are invalid, without Z, with all attributes; rasters the cells under the
    box and a tenth more on each side, all bands, with nodata, names, units, colours. Both keep their CRS. The
    box is that of the outline in its UTM zone, `margin_m` wider on each side.

    Args:
        spec: the file's entry in an area's card. `margin_m` (metres, default 0); `crs`: the CRS of a file
            that has none, or a wrong one; vectors: `layer`, `where` (OGR's SQL, such as "highway IS NOT
            NULL"), `encoding` of a Shapefile that does not say it; rasters: `variable` and `time` (the
            beginning of ISO text; all steps become bands) of a NetCDF file. In a zip of several files `layer`
            names one. What says where the file comes from (path, dataset, url, sha256, licence) is for
            others.
        origin: the file, or several: vectors are joined, rasters must be tiles of one lattice. Companions
            (.dbf, .tfw, …) are ignored.
        outline: the site's outline as this function imported it; None for the outline itself, whose polygons
            become one.

    Raises:
        HeadscarpError: a key is unknown, a file is missing, unreadable, without CRS or empty here, or lies
            elsewhere; the message names it and the remedy.
    """
    target = Path(target)
    place = f"file {target.name}"
    kind = require_known(
        target.suffix,
        (VECTOR, RASTER),
        f"{place}: its name says what it becomes, a vector file or a raster; ending",
    )
    given = [origin] if isinstance(origin, str | Path) else origin
    paths = [path for path in map(Path, given) if path.suffix.lower() not in COMPANIONS]
    if not paths:
        raise HeadscarpError(
            f"{place}: {', '.join(map(str, given)) or 'nothing'} is "
            "only part of a file; give the main one, such as the .shp"
        )
    known = VECTOR_KEYS if kind == VECTOR else RASTER_KEYS
    if outline is None:
        known = OUTLINE_KEYS
    check_keys(spec, known, (), place)
    check_values(spec, place)
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        TemporaryDirectory(prefix=f".{target.stem}.", dir=target.parent) as scratch,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # an error here, see `lattice_of`
        if outline is None:
            return import_outline(spec, paths, target, Path(scratch))
        region = region_around(outline, float(spec.get("margin_m", 0)))
        return (import_vectors if kind == VECTOR else import_raster)(
            spec, paths, region, target, Path(scratch)
        )


def check_values(spec: Mapping[str, Any], place: str) -> None:
    """Refuse a margin that is no length, and a CRS or an encoding that does not exist."""
    margin = spec.get("margin_m", 0)
    if isinstance(margin, bool) or not isinstance(margin, int | float) or not 0 <= margin < float("inf"):
        raise HeadscarpError(f"{place}: margin_m is {margin!r}; give metres, 0 or more")
    if "crs" in spec:
        try:
            CRS.from_user_input(spec["crs"])
        except CRSError as error:
            raise HeadscarpError(
                f"{place}: the CRS '{spec['crs']}' is unknown ({error}); use a code such as EPSG:32654"
            ) from None
    try:
        codecs.lookup(str(spec.get("encoding", "utf-8")))
    except LookupError:
        raise HeadscarpError(
            f"{place}: the encoding '{spec['encoding']}' is unknown; use a name such as CP932 or UTF-8"
        ) from None
