"""Vector files on their way into a site: the features on it, repaired, and the outline made of polygons."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas
import pyogrio
import shapely
from pyogrio.errors import DataSourceError
from pyproj import CRS, Geod

from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path
from headscarp.geo.vectors import read_table, repaired
from headscarp.sources.originals import VECTOR_FILES, crs_of_file, unpacked_file
from headscarp.sources.region import DEGREES, Region, bounds_between, in_degrees
from headscarp.vocabulary import require_known


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
