"""Vector files on their way into a site: the features of a layer that are on it, repaired."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas
import pyogrio
import shapely
from pyproj import CRS

from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path
from headscarp.geo.vectors import FOREIGN, foreign, read_features, repaired
from headscarp.sources.originals import (
    GEODATABASE,
    VECTOR_FILES,
    choice_text,
    crs_of_file,
    refuse_partial_shapefile,
    unpacked_file,
)
from headscarp.sources.region import DEGREES, Bounds, Region, in_degrees
from headscarp.vocabulary import require_known

ANY_BYTES = "ISO-8859-1"  # an encoding in which every byte is a letter
# Kinds that a layer may declare without an area in any of its features.
FLAT_KINDS = ("Point", "MultiPoint", "LineString", "MultiLineString")
COLLECTION = 7  # shapely's number of the geometry type


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
    path: Path,
    spec: Mapping[str, Any],
    region: Region | None,
    scratch: Path,
    notes: list[str],
    polygons: bool = False,
) -> geopandas.GeoDataFrame:
    """The features of one file that touch a region (None: all), repaired, without Z, in the file's CRS; of
    collections that hold polygons these alone.

    Args:
        polygons: whether only a layer that holds polygons is meant.
    """
    file, layer = unpacked_file(path, VECTOR_FILES, spec.get("layer"), scratch)
    layer = layer_of(file, layer, path, polygons, notes)
    own = info_of(file, layer, path)["crs"]
    crs = crs_of_file(own or None, spec, path, notes)  # of a damaged FlatGeobuf it is empty
    box = region.bounds_in(crs) if region else None
    table = features_in(file, layer, path, spec, box, notes)
    if box and table.empty and CRS.from_user_input(crs).is_geographic:  # longitudes from 0 to 360
        turned = features_in(file, layer, path, spec, (box[0] + 360, box[1], box[2] + 360, box[3]), notes)
        if not turned.empty:
            notes.append(f"{path.name}: longitudes from 0 to 360 were brought to -180 to 180")
            table = turned.set_geometry(turned.translate(-360), crs=turned.crs)
    table = table.set_crs(crs, allow_override=True)
    table = usable(table, path, notes)
    # A GDAL without GEOS compares envelopes only.
    return table[table.intersects(shapely.box(*box))] if box else table


def features_in(
    file: Path, layer: str, path: Path, spec: Mapping[str, Any], box: Bounds | None, notes: list[str]
) -> geopandas.GeoDataFrame:
    """The features of a layer whose box meets another one (None: all), as the file has them.

    Text in another encoding than the file says is read all the same, which makes it ugly and is noted.
    """
    selection = {"layer": layer, "bbox": box} | {
        key: spec[key] for key in ("where", "encoding") if key in spec
    }
    with foreign(path):
        try:
            return read_features(file, **selection)
        except UnicodeDecodeError:
            if "encoding" in spec:
                raise
            notes.append(
                f"{path.name}: its text is not in the encoding that it says; letters will be wrong until "
                "the key `encoding` gives the true one, such as CP932"
            )
            return read_features(file, **selection, encoding=ANY_BYTES)
        except ValueError as error:
            if "where" not in spec or "SQL" not in str(error):
                raise
            columns = ", ".join(info_of(file, layer, path, spec.get("encoding", ANY_BYTES))["fields"])
            raise HeadscarpError(
                f"{path}: `where: {spec['where']}` is not understood ({error}); the attributes "
                f"are: {columns} (in double quotes where they are more than letters from a to z)"
            ) from None


def usable(table: geopandas.GeoDataFrame, path: Path, notes: list[str]) -> geopandas.GeoDataFrame:
    """Features with a geometry of finite numbers, valid and flat; what is left out or changed is noted."""
    shapes = table.geometry.to_numpy()
    with foreign(path):
        places, owners = shapely.get_coordinates(shapes, return_index=True)
    lost = table.geometry.isna().to_numpy(copy=True)
    lost[np.unique(owners[~np.isfinite(places).all(axis=1)])] = True
    if lost.any():
        notes.append(f"{path.name}: {lost.sum()} of {len(table)} features have no geometry and are left out")
    with foreign(path):
        table, invalid = repaired(table[~lost])
    if invalid:
        notes.append(f"{path.name}: {invalid} of {len(table)} geometries were invalid and were repaired")
    high = int(table.has_z.sum())
    if high:
        notes.append(f"{path.name}: heights of {high} features are left out")
    shapes = shapely.force_2d(table.geometry.to_numpy())
    collected = (shapely.get_type_id(shapes) == COLLECTION) & (shapely.area(shapes) > 0)
    if collected.any():
        notes.append(f"{path.name}: of {collected.sum()} collections the polygons are taken")
        shapes[collected] = [polygons_among(shape) for shape in shapes[collected]]
    table = table.set_geometry(shapes, crs=table.crs)
    return table[~table.is_empty]


def polygons_among(collection: Any) -> Any:
    """The polygons of a collection, and of those within it, as one geometry."""
    parts = np.array([collection])
    while (shapely.get_type_id(parts) == COLLECTION).any():
        parts = shapely.get_parts(parts)
    return shapely.union_all(parts[shapely.get_dimensions(parts) == 2])


def layer_of(file: Path, layer: str | None, path: Path, polygons: bool, notes: list[str]) -> str:
    """The layer to read: the one asked for, or the only one with geometry (QGIS keeps styles in one without),
    or, where polygons are wanted, the only one that holds any, which is noted.

    Raises:
        HeadscarpError: the file is missing, unreadable or truncated, there is no such layer, or several and
            none is asked for, or none holds polygons where they are wanted.
    """
    layers = layers_of(file, path)
    if layer is not None:
        return require_known(layer, layers, f"{path}: layer")
    if not layers:
        raise HeadscarpError(f"{path} holds no geometries; it is truncated, or another file has them")
    names = list(layers)
    if polygons and len(names) > 1:
        names = [
            name
            for name, kind in layers.items()
            if kind not in FLAT_KINDS and (dimensions_of(file, name, path) == 2).any()
        ]
        if not names:
            raise HeadscarpError(
                f"{path} holds no area (no polygons in {', '.join(layers)}); "
                "draw the study area as a polygon and save it there"
            )
        if len(names) == 1:
            notes.append(f"{path.name}: of its layers {', '.join(layers)} only {names[0]} holds polygons")
    if len(names) > 1:
        raise HeadscarpError(f"{path}: which layer? it holds {', '.join(names)}; {choice_text(path, names)}")
    return names[0]


def layers_of(file: Path, path: Path) -> dict[str, str]:
    """The layers of a file that have geometry, each with the kind that it declares.

    Args:
        path: what the user calls the file.

    Raises:
        HeadscarpError: it is missing, unreadable or truncated, or no vector file.
    """
    if not file.exists():
        raise HeadscarpError(f"{path} does not exist; fetch it or make it again")
    if file.is_dir() and file.suffix.lower() != GEODATABASE:
        raise HeadscarpError(f"{path} is a folder; give the file in it")
    with foreign(path):
        layers = {
            str(name): kind.split(" Z")[0].removeprefix("2.5D ").split(" M")[0]
            for name, kind in pyogrio.list_layers(file)
            if kind is not None
        }
    refuse_partial_shapefile(file, path)
    return layers


def info_of(file: Path, layer: str, path: Path, encoding: str = ANY_BYTES) -> dict[str, Any]:
    """What pyogrio tells of a layer: crs, fields, features, driver, ….

    Raises:
        HeadscarpError: it cannot be read to its end.
    """
    with foreign(path):
        info = pyogrio.read_info(file, layer=layer, encoding=encoding, force_feature_count=True)
        CRS.from_user_input(info["crs"] or DEGREES)  # raises where it is none
    # These are read up to where they break off, without a word.
    if info["driver"] in ("FlatGeobuf", "GML") and info["features"] > 0:
        last = {"skip_features": info["features"] - 1, "max_features": 1}
        try:
            pyogrio.read_dataframe(file, layer=layer, columns=[], encoding=encoding, **last)
        except FOREIGN:
            raise HeadscarpError(
                f"{path} is truncated (the last of its {info['features']} features cannot be read); "
                "fetch it or make it again"
            ) from None
    return info


def dimensions_of(file: Path, layer: str, path: Path, **selection: Any) -> np.ndarray:
    """The dimension of each feature of a layer (n): 0 points, 1 lines, 2 polygons, curved ones and
    collections that hold some too; -1 none.

    Args:
        selection: what `geopandas.read_file` takes.
    """
    with foreign(path):
        table = read_features(file, layer=layer, columns=[], encoding=ANY_BYTES, **selection)
        return shapely.get_dimensions(table.geometry.to_numpy())


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
    """Write a GeoPackage of one layer, named as the file; attributes whose names it cannot hold, or that
    another one has too, get another name, which is noted."""
    attributes = pandas.DataFrame(table.loc[:, table.columns != table.geometry.name])
    names, taken = [], {"fid", "geom"}
    for column in attributes.columns:
        name = str(column)
        while name.lower() in taken:
            name += "_1"
        taken.add(name.lower())
        names.append(name)
    changed = [
        f"{old} -> {new}" for old, new in zip(attributes.columns, names, strict=True) if str(old) != new
    ]
    if changed:
        notes.append(f"{target.name}: attributes were renamed: {', '.join(changed)}")
    attributes.columns = names
    table = geopandas.GeoDataFrame(attributes, geometry=table.geometry, crs=table.crs)
    table = table.rename_geometry("geom")
    with atomic_path(target) as temporary:
        table.to_file(temporary, driver="GPKG", layer=target.stem, engine="pyogrio")
