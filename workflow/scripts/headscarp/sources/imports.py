"""A user's file or a download as a raw file of a site: the part round the site's outline, in its own CRS, as
GeoPackage or GeoTIFF."""

import codecs
import shutil
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import geopandas
import numpy as np
import pandas
import pyogrio
import rasterio
import shapely
from affine import Affine
from pyogrio.errors import DataSourceError
from pyproj import CRS, Geod
from pyproj.exceptions import CRSError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window

from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path
from headscarp.geo.layer import open_any_raster
from headscarp.geo.vectors import read_table, repaired
from headscarp.sources.netcdf import NETCDF, read_netcdf
from headscarp.sources.parts import RasterPart, write_part
from headscarp.sources.region import (
    DEGREES,
    Region,
    bounds_between,
    cells_under,
    footprint,
    in_degrees,
    outside_error,
    region_around,
)
from headscarp.sources.unpack import name_of
from headscarp.vocabulary import check_keys, require_known

ORIGIN_KEYS = ("path", "dataset", "url", "sha256", "licence")
OUTLINE_KEYS = (*ORIGIN_KEYS, "layer", "where", "encoding", "crs")
VECTOR_KEYS = (*OUTLINE_KEYS, "margin_m")
RASTER_KEYS = (*ORIGIN_KEYS, "margin_m", "layer", "variable", "time", "crs")
VECTOR, RASTER = ".gpkg", ".tif"
VECTOR_FILES = (".shp", ".gpkg", ".geojson", ".json", ".fgb", ".gml", ".kml", ".pbf", ".osm")
RASTER_FILES = (".tif", ".tiff", ".img", ".jp2", ".png", ".asc", *NETCDF)
# Files that belong to another one: parts of a Shapefile, world files, statistics.
COMPANIONS = (
    ".shx",
    ".dbf",
    ".prj",
    ".cpg",
    ".qix",
    ".sbn",
    ".sbx",
    ".qpj",
    ".qmd",
    ".xml",
    ".tfw",
    ".pgw",
    ".jgw",
    ".wld",
    ".ovr",
    ".msk",
)
WHOLE = 0.999  # share of the region from which a raster counts as covering it


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


# --- files ---


def unpacked_file(
    path: Path, suffixes: Sequence[str], layer: str | None, scratch: Path
) -> tuple[Path, str | None]:
    """The file itself; of a zip, the only one in it or that which `layer` names, with its companions, under
    plain names in `scratch`.

    Names in a zip may be in any encoding and point anywhere; none is used for writing.

    Returns:
        The file, and `layer` where it still has to choose among layers.

    Raises:
        HeadscarpError: the zip is damaged or holds no such file, several, or none of that name.
    """
    if path.suffix.lower() != ".zip" or path.name.lower().endswith(".gdb.zip"):
        return path, layer
    if not path.exists():
        raise HeadscarpError(f"{path} does not exist; fetch it or make it again")
    try:
        with zipfile.ZipFile(path) as archive:
            named = {
                PurePosixPath(name_of(member)): member for member in archive.infolist() if not member.is_dir()
            }
            mains = {
                name.stem: name
                for name in named
                if name.suffix.lower() in suffixes and "__MACOSX" not in name.parts
            }
            if not mains:
                raise HeadscarpError(
                    f"{path} holds none of {', '.join(suffixes)}; unpack it and give the file itself"
                )
            if layer is None and len(mains) > 1:
                raise HeadscarpError(
                    f"{path} holds several files: {', '.join(sorted(mains))}; choose one by the key `layer`"
                )
            main = (
                mains[require_known(layer, mains, f"{path}: layer")]
                if layer in mains or len(mains) > 1
                else next(iter(mains.values()))
            )
            folder = scratch / path.stem
            folder.mkdir()
            for name, member in named.items():
                if name.parent == main.parent and (name.stem == main.stem or name.name.startswith(main.name)):
                    with (
                        archive.open(member) as stream,
                        open(folder / f"file{name.name[len(main.stem) :]}", "wb") as sink,
                    ):
                        shutil.copyfileobj(stream, sink)
            return folder / f"file{main.suffix}", None if layer == main.stem else layer
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise HeadscarpError(
            f"{path} cannot be unpacked ({error}); it is truncated or encrypted: fetch it or make it again"
        ) from None


def crs_of_file(own: Any, spec: Mapping[str, Any], path: Path, notes: list[str]) -> Any:
    """The CRS of a file: the key's, or its own.

    Raises:
        HeadscarpError: there is neither.
    """
    if "crs" in spec:
        if own is not None and CRS.from_user_input(own) != CRS.from_user_input(spec["crs"]):
            notes.append(
                f"{path.name}: the file says {CRS.from_user_input(own).name}; "
                f"taken as {spec['crs']}, as the key `crs` says"
            )
        return spec["crs"]
    if own is None:
        raise HeadscarpError(
            f"{path} has no CRS; find out which it is and give "
            "it as the key `crs`, for example `crs: EPSG:4326`"
        )
    return own


# --- vectors ---


def import_vectors(
    spec: Mapping[str, Any], paths: Sequence[Path], region: Region | None, target: Path, scratch: Path
) -> list[str]:
    """Write the features that touch a region."""
    notes: list[str] = []
    tables = [features_of(path, spec, region, scratch, notes) for path in paths]
    table = (
        pandas.concat([part.to_crs(tables[0].crs) for part in tables], ignore_index=True)
        if len(tables) > 1
        else tables[0]
    )
    if table.empty:
        raise HeadscarpError(empty_message(spec, paths, region, table.crs))
    write_table(table, target, notes)
    return [
        f"{', '.join(path.name for path in paths)}: {len(table)} "
        f"features{where_text(spec)} on the site and within its margin",
        *notes,
    ]


def features_of(
    path: Path, spec: Mapping[str, Any], region: Region | None, scratch: Path, notes: list[str]
) -> geopandas.GeoDataFrame:
    """The features of one file that touch a region (None: all), repaired, without Z, in the file's CRS."""
    file, layer = unpacked_file(path, VECTOR_FILES, spec.get("layer"), scratch)
    reading = {"encoding": spec["encoding"]} if "encoding" in spec else {}
    layer = layer_of(file, layer, path)
    own = pyogrio.read_info(file, layer=layer, **reading)["crs"]
    crs = crs_of_file(own, spec, path, notes)
    selection = reading | {"layer": layer} | ({"where": spec["where"]} if "where" in spec else {})
    box = region.bounds_in(crs) if region else None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Measured")  # the values M of vertices are left out with Z
        try:
            table = read_table(file, bbox=box, **selection)
        except ValueError as error:
            if "where" not in spec:
                raise
            columns = ", ".join(pyogrio.read_info(file, layer=layer, **reading)["fields"])
            raise HeadscarpError(
                f"{path}: `where: {spec['where']}` is not understood ({error}); the attributes "
                f"are: {columns} (in double quotes where they are more than letters from a to z)"
            ) from None
    table = table.set_crs(crs, allow_override=True)
    table, invalid = repaired(table[table.geometry.notna()])
    if invalid:
        notes.append(f"{path.name}: {invalid} of {len(table)} geometries were invalid and were repaired")
    high = int(table.has_z.sum())
    if high:
        notes.append(f"{path.name}: heights of {high} features are left out")
        table = table.set_geometry(shapely.force_2d(table.geometry.to_numpy()), crs=crs)
    table = table[~table.is_empty]
    # A GDAL without GEOS compares envelopes only.
    return table[table.intersects(shapely.box(*box))] if box else table


def layer_of(file: Path, layer: str | None, path: Path) -> str:
    """The layer to read: the one asked for, or the only one with geometry (QGIS keeps styles in one without).

    Raises:
        HeadscarpError: the file is missing or unreadable, there is no such layer, or several and none is
            asked for.
    """
    if not file.exists():
        raise HeadscarpError(f"{path} does not exist; fetch it or make it again")
    try:
        layers = [str(name) for name, kind in pyogrio.list_layers(file) if kind is not None]
    except DataSourceError as error:
        raise HeadscarpError(
            f"{path} cannot be read ({error}); it is truncated or no vector file: fetch it or make it again"
        ) from None
    if layer is not None:
        return require_known(layer, layers, f"{path}: layer")
    if len(layers) != 1:
        how = (
            f"it holds the layers {', '.join(layers)}; choose one by the key `layer`"
            if layers
            else "it holds no geometries"
        )
        raise HeadscarpError(f"{path}: which layer? {how}")
    return layers[0]


def where_text(spec: Mapping[str, Any]) -> str:
    return f" with {spec['where']}" if "where" in spec else ""


def empty_message(spec: Mapping[str, Any], paths: Sequence[Path], region: Region | None, crs: Any) -> str:
    """What to say and do where no feature is left."""
    listed = ", ".join(map(str, paths))
    if region is None:
        return f"{listed}: no feature{where_text(spec)} has a geometry; give a file that has some"
    name = CRS.from_user_input(crs)
    box = "west {:.6g} south {:.6g} east {:.6g} north {:.6g}".format(*region.bounds_in(crs))
    return (
        f"{listed}: no feature{where_text(spec)} touches the site and its margin of "
        f"{spec.get('margin_m', 0):g} m ({box} in {name.name}; {in_degrees(region.bounds, region.crs)}); "
        "take the file of this area, correct its CRS (key `crs`), or raise `margin_m`"
    )


def write_table(table: geopandas.GeoDataFrame, target: Path, notes: list[str]) -> None:
    """Write a GeoPackage of one layer, named as the file; attributes whose names it cannot hold get another
    one, which is noted."""
    names, taken = {}, {"fid", "geom"}
    for column in table.columns.drop(table.geometry.name):
        name = str(column)
        while name.lower() in taken:
            name += "_1"
        taken.add(name.lower())
        names[column] = name
    changed = [f"{old} -> {new}" for old, new in names.items() if str(old) != new]
    if changed:
        notes.append(f"{target.name}: attributes were renamed: {', '.join(changed)}")
    table = table.rename(columns=names).rename_geometry("geom")
    with atomic_path(target) as temporary:
        table.to_file(temporary, driver="GPKG", layer=target.stem, engine="pyogrio")


# --- the outline ---


def import_outline(spec: Mapping[str, Any], paths: Sequence[Path], target: Path, scratch: Path) -> list[str]:
    """Write the polygons of an outline as one, after a check that they can be one."""
    notes: list[str] = []
    tables = [features_of(path, spec, None, scratch, notes) for path in paths]
    table = pandas.concat([part.to_crs(tables[0].crs) for part in tables], ignore_index=True)
    listed = ", ".join(map(str, paths))
    if table.empty:
        raise HeadscarpError(empty_message(spec, paths, None, table.crs))
    check_coordinates(table, listed)
    polygons = table[shapely.area(table.geometry.to_numpy()) > 0]
    if polygons.empty:
        kinds = ", ".join(sorted(set(table.geom_type)))
        raise HeadscarpError(
            f"{listed} holds no area ({kinds} only); draw the study area as a polygon and save it there"
        )
    whole = geopandas.GeoDataFrame(geometry=[polygons.union_all()], crs=table.crs)
    write_table(whole, target, notes)
    degrees = whole.to_crs(DEGREES)
    area = abs(Geod(ellps="WGS84").geometry_area_perimeter(degrees.geometry[0])[0]) / 1e6
    box = in_degrees(tuple(degrees.total_bounds), DEGREES)
    return [f"{listed}: outline of {len(polygons)} polygons, {area:.6g} km2, {box}", *notes]


def check_coordinates(table: geopandas.GeoDataFrame, listed: str) -> None:
    """Refuse coordinates that cannot be of the CRS that is told.

    Raises:
        HeadscarpError: they are no degrees, or degrees where metres are told, or swapped, or cross the
            antimeridian, or are nowhere.
    """
    west, south, east, north = table.total_bounds
    box = f"west {west:.6g} south {south:.6g} east {east:.6g} north {north:.6g}"
    name, remedy = table.crs.name, "correct the file, or give its true CRS as the key `crs`"
    if table.crs.is_geographic:
        if (
            max(abs(south), abs(north)) > 90 >= max(abs(west), abs(east))
            and max(abs(south), abs(north)) <= 180
        ):
            raise HeadscarpError(
                f"{listed}: {box} in {name}: longitude and latitude "
                f"seem to be swapped; x must be the longitude: {remedy}"
            )
        if max(abs(south), abs(north)) > 90 or max(abs(west), abs(east)) > 180:
            raise HeadscarpError(f"{listed}: {box} are no degrees, but the CRS is {name}; {remedy}")
        if east - west > 180:
            raise HeadscarpError(
                f"{listed}: {box}: it seems to cross the meridian of 180 "
                "degrees; give it in a projected CRS such as a UTM zone"
            )
    elif max(abs(west), abs(east)) <= 180 and max(abs(south), abs(north)) <= 90:
        raise HeadscarpError(f"{listed}: {box} seem to be degrees, but the CRS is {name}; {remedy}")
    elif not np.isfinite(bounds_between(table.crs, DEGREES, (west, south, east, north))).all():
        raise HeadscarpError(f"{listed}: {box} is nowhere on Earth in {name}; {remedy}")


# --- rasters ---


def import_raster(
    spec: Mapping[str, Any], paths: Sequence[Path], region: Region, target: Path, scratch: Path
) -> list[str]:
    """Write the cells under a region."""
    notes: list[str] = []
    files = []
    for path in paths:
        file, layer = unpacked_file(path, RASTER_FILES, spec.get("layer"), scratch)
        if layer is not None:
            raise HeadscarpError(f"{path}: `layer` chooses a file of a zip or a layer of vectors; remove it")
        files.append(file)
    listed = ", ".join(path.name for path in paths)
    if files[0].suffix.lower() in NETCDF:
        if len(files) > 1:
            raise HeadscarpError(
                f"{listed}: several NetCDF files cannot be joined; "
                "join them first, for example with `cdo mergetime`"
            )
        part, share, notes = read_netcdf(
            files[0], spec.get("variable"), spec.get("time"), spec.get("crs"), region
        )
        write_part(replace(part, tags={"SOURCE": listed}), target)
    else:
        for key in ("variable", "time"):
            if key in spec:
                raise HeadscarpError(
                    f"{paths[0]}: the key `{key}` is for NetCDF files ({', '.join(NETCDF)}); remove it"
                )
        with ExitStack() as stack:
            sources = [stack.enter_context(open_any_raster(file)) for file in files]
            part, share = part_of_tiles(sources, spec, paths, region, notes)
            write_part(replace(part, tags={"SOURCE": listed} | part.tags), target)
    if share < WHOLE:
        notes.append(f"{listed} covers {share:.1%} of the outline's box with its margin")
    return [
        f"{listed}: {part.height} x {part.width} cells of {len(part.names)} bands round the outline",
        *notes,
    ]


def part_of_tiles(
    sources: Sequence[rasterio.DatasetReader],
    spec: Mapping[str, Any],
    paths: Sequence[Path],
    region: Region,
    notes: list[str],
) -> tuple[RasterPart, float]:
    """The cells of one raster, or of several on one lattice (the first with data counts), under a region, and
    the share of it covered.

    Numbers that the file says to scale (GDAL's scale and offset of a band) are scaled, as float32.
    """
    first = sources[0]
    crs = crs_of_file(first.crs, spec, paths[0], notes)
    lattice = lattice_of(first, paths[0])
    corners = [corner_on(lattice, source, first, path) for source, path in zip(sources, paths, strict=True)]
    rows = (
        min(top for top, _ in corners),
        max(top + source.height for (top, _), source in zip(corners, sources, strict=True)),
    )
    cols = (
        min(left for _, left in corners),
        max(left + source.width for (_, left), source in zip(corners, sources, strict=True)),
    )
    bounds, turn = region.bounds_in(crs), 0
    cut = cells_under(bounds, lattice, rows, cols)
    if cut is None and CRS.from_user_input(crs).is_geographic:  # longitudes from 0 to 360
        turn = 360
        cut = cells_under((bounds[0] + turn, bounds[1], bounds[2] + turn, bounds[3]), lattice, rows, cols)
    if cut is None:
        raise outside_error(paths[0], footprint(lattice, rows, cols), crs, region)
    scales = np.array([first.scales, first.offsets])
    packed = bool((scales != [[1], [0]]).any())
    dtype, nodata = kind_of_cells(sources, paths, packed)
    if packed:
        packings = ", ".join(sorted({f"x {scale:g} + {offset:g}" for scale, offset in scales.T}))
        notes.append(
            f"{paths[0].name}: its bands are to be scaled; the "
            f"values are stored numbers {packings}, as float32"
        )
    own_mask = (
        len(sources) == 1
        and not packed
        and MaskFlags.per_dataset in first.mask_flag_enums[0]
        and MaskFlags.alpha not in first.mask_flag_enums[0]
    )

    def read(window: Window) -> np.ndarray:
        values = np.full((first.count, window.height, window.width), 0 if nodata is None else nodata, dtype)
        free = np.full(values.shape, True)
        for source, (top, left) in zip(sources, corners, strict=True):
            here, there = overlap(source, window, cut.top - top, cut.left - left)
            if there is None:
                continue
            cells = source.read(window=there, masked=len(sources) > 1 or packed)
            if packed:
                cells = cells.astype(np.float64) * scales[0][:, None, None] + scales[1][:, None, None]
            known = ~np.ma.getmaskarray(cells) & free[:, *here]
            np.copyto(values[:, *here], np.ma.getdata(cells), where=known, casting="unsafe")
            free[:, *here] &= ~known
        return values

    def read_mask(window: Window) -> np.ndarray:
        return first.read_masks(
            1, window=Window(window.col_off + cut.left, window.row_off + cut.top, window.width, window.height)
        )

    part = RasterPart(
        crs=crs,
        transform=Affine.translation(-turn, 0) @ lattice @ Affine.translation(cut.left, cut.top),
        height=cut.bottom - cut.top,
        width=cut.right - cut.left,
        dtype=dtype,
        nodata=nodata,
        names=first.descriptions,
        units=first.units,
        read=read,
        read_mask=read_mask if own_mask else None,
        colours=first.colorinterp,
        colormap=colormap_of(first),
        tags=first.tags(),
    )
    return part, cut.share


def lattice_of(source: rasterio.DatasetReader, path: Path) -> Affine:
    """Where the cells of a raster lie.

    Raises:
        HeadscarpError: the file does not say it, or says it by control points, or holds several rasters.
    """
    if source.count == 0:
        raise HeadscarpError(
            f"{path} holds several rasters and no band of its own; "
            "give one of them, for example made by `gdal_translate`"
        )
    if source.transform == Affine.identity():
        how = (
            "it has control points; bring it to a grid with `gdalwarp`"
            if source.gcps[0]
            else "add a world file or georeference it in QGIS"
        )
        raise HeadscarpError(f"{path} does not say where its cells lie; {how}")
    return source.transform


def corner_on(
    lattice: Affine, source: rasterio.DatasetReader, first: rasterio.DatasetReader, path: Path
) -> tuple[int, int]:
    """Row and column of a raster's first cell on the lattice of the first.

    Raises:
        HeadscarpError: it has another CRS, other cells or other bands.
    """
    between = ~lattice @ lattice_of(source, path)
    row, col = round(between.f), round(between.c)
    # A hundredth of a cell at its far corner
    reach = np.abs(
        np.array(between @ (source.width, source.height)) - (col + source.width, row + source.height)
    ).max()
    near = max(reach, abs(between.f - row), abs(between.c - col)) < 0.01
    alike = (source.crs, source.count, source.dtypes, source.scales) == (
        first.crs,
        first.count,
        first.dtypes,
        first.scales,
    )
    if not near or not alike:
        raise HeadscarpError(
            f"{path} is no tile beside {first.name}: its CRS, cells or bands differ; join "
            "them first, for example with `gdalwarp` or `gdalbuildvrt`, and give the result"
        )
    return row, col


def kind_of_cells(
    sources: Sequence[rasterio.DatasetReader], paths: Sequence[Path], packed: bool
) -> tuple[str, float | None]:
    """Type of the cells to write and the value of those without data.

    Raises:
        HeadscarpError: bands differ in either, or tiles of whole numbers have none.
    """
    first = sources[0]
    if packed:
        return "float32", float("nan")
    values = {repr(value) for source in sources for value in source.nodatavals}
    if len(set(first.dtypes)) > 1 or len(values) > 1:
        raise HeadscarpError(
            f"{paths[0]}: its bands or tiles differ in type or nodata value "
            f"({', '.join(sorted(set(first.dtypes) | values))}); make them "
            "alike, for example with `gdalwarp -ot … -dstnodata …`"
        )
    dtype, nodata = first.dtypes[0], first.nodata
    if nodata is None and len(sources) > 1:
        if not np.issubdtype(dtype, np.floating):
            raise HeadscarpError(
                f"{paths[0]}: tiles without a nodata value leave cells between "
                "them unknown; declare one with `gdal_edit.py -a_nodata`"
            )
        nodata = float("nan")
    return dtype, nodata


def overlap(
    source: rasterio.DatasetReader, window: Window, down: int, right: int
) -> tuple[tuple[slice, slice], Window | None]:
    """The cells of a window of the part that a raster has: as slices of the window, and as a window of the
    raster (None: it has none).

    Args:
        down, right: row and column of the raster at the part's first cell.
    """
    top, left = window.row_off + down, window.col_off + right
    low, high = max(0, top), min(source.height, top + window.height)
    west, east = max(0, left), min(source.width, left + window.width)
    here = slice(low - top, high - top), slice(west - left, east - left)
    return here, Window(west, low, east - west, high - low) if high > low and east > west else None


def colormap_of(source: rasterio.DatasetReader) -> dict[int, tuple[int, ...]] | None:
    """The colour table of a raster of one band, or None."""
    return source.colormap(1) if source.count == 1 and source.colorinterp[0] == ColorInterp.palette else None
