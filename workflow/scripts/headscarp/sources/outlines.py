"""A user's outline on its way into a site: its polygons made one, after a check that they can be one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas
import shapely
from pyproj import Geod

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import utm_crs
from headscarp.sources.region import DEGREES, bounds_between, in_degrees, unwrapped
from headscarp.sources.vectors import empty_message, features_of, write_table

GEOD = Geod(ellps="WGS84")
LEAST_FILL = 0.01  # share of its box that an outline of several parts covers, below which a part may be stray


def import_outline(spec: Mapping[str, Any], paths: Sequence[Path], target: Path, scratch: Path) -> list[str]:
    """Write the polygons of an outline as one; the first note tells its area and box, a later one parts that
    lie far apart."""
    notes: list[str] = []
    tables = [features_of(path, spec, None, scratch, notes, polygons=True) for path in paths]
    table = pandas.concat([part.to_crs(tables[0].crs) for part in tables], ignore_index=True)
    listed = ", ".join(map(str, paths))
    if table.empty:
        raise HeadscarpError(empty_message(spec, paths, None, table.crs))
    table = in_one_turn(table, listed, notes)
    check_coordinates(table, listed)
    polygons = table[shapely.area(table.geometry.to_numpy()) > 0]
    if polygons.empty:
        kinds = ", ".join(sorted(set(table.geom_type)))
        raise HeadscarpError(
            f"{listed} holds no area ({kinds} only); draw the study area as a polygon and save it there"
        )
    whole = geopandas.GeoDataFrame(geometry=[polygons.union_all()], crs=table.crs)
    west, south, east, north = whole.total_bounds
    if table.crs.is_geographic and not -180 <= west <= east <= 180:
        whole = whole.to_crs(utm_crs((west + east) / 2, (south + north) / 2))
        notes.append(f"{listed}: it crosses the meridian of 180 degrees and was brought to {whole.crs.name}")
    write_table(whole, target, notes)
    (degrees,) = unwrapped(whole.to_crs(DEGREES).geometry.to_numpy())
    box = in_degrees(tuple(shapely.bounds(degrees)), DEGREES)
    told = f"{listed}: outline of {len(polygons)} polygons, {area_km2(degrees):.6g} km2, {box}"
    return [told, *notes, *(f"{listed}: {text}" for text in stray_parts(degrees))]


def in_one_turn(table: geopandas.GeoDataFrame, listed: str, notes: list[str]) -> geopandas.GeoDataFrame:
    """An outline in degrees with longitudes that do not jump: those about the meridian of 180 degrees go on
    beyond it, others from 0 to 360 come to -180 to 180."""
    west, south, east, north = table.total_bounds
    if not table.crs.is_geographic or max(abs(south), abs(north)) > 90 or max(abs(west), abs(east)) > 360:
        return table
    shapes = unwrapped(table.geometry.to_numpy())
    west, _, east, _ = shapely.total_bounds(shapes)
    turn = 360 if west >= 180 and east > 180 else -360 if east <= -180 and west < -180 else 0
    if turn:
        notes.append(f"{listed}: longitudes of {west:.6g} to {east:.6g} were brought to -180 to 180")
        shapes = shapely.transform(shapes, lambda places: places - [turn, 0])
    return table.set_geometry(shapes, crs=table.crs)


def check_coordinates(table: geopandas.GeoDataFrame, listed: str) -> None:
    """Refuse coordinates that cannot be of the CRS that is told.

    Raises:
        HeadscarpError: they are no degrees, or degrees where metres are told, or swapped, or span more than
            half the Earth, or are nowhere.
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
        if max(abs(south), abs(north)) > 90 or max(abs(west), abs(east)) > 360:
            raise HeadscarpError(f"{listed}: {box} are no degrees, but the CRS is {name}; {remedy}")
        if east - west > 180:
            raise HeadscarpError(
                f"{listed}: {box}: it spans more than half the Earth; remove the polygons that lie elsewhere"
            )
    elif max(abs(west), abs(east)) <= 180 and max(abs(south), abs(north)) <= 90:
        raise HeadscarpError(f"{listed}: {box} seem to be degrees, but the CRS is {name}; {remedy}")
    elif not np.isfinite(bounds_between(table.crs, DEGREES, (west, south, east, north))).all():
        raise HeadscarpError(f"{listed}: {box} is nowhere on Earth in {name}; {remedy}")


def stray_parts(degrees: Any) -> list[str]:
    """A warning where an outline in degrees consists of parts that lie far apart, which makes its grid large
    and mostly empty: a stray polygon, as a rule."""
    parts = shapely.get_parts(degrees)
    fill = area_km2(degrees) / area_km2(shapely.box(*degrees.bounds))
    if len(parts) == 1 or fill >= LEAST_FILL:
        return []
    areas = np.array([area_km2(part) for part in parts])
    x, y = shapely.get_coordinates(shapely.centroid(parts)).T
    main = int(areas.argmax())
    metres = GEOD.inv(np.full(len(x), x[main]), np.full(len(y), y[main]), x, y)[2]
    far = int(np.argmax(metres))
    return [
        f"WARNING its {len(parts)} polygons fill only {100 * fill:.2g} % of the box around them, on which "
        f"the grid lies: one of {areas[far]:.3g} km2 is {metres[far] / 1000:.0f} km away from the largest "
        f"({areas[main]:.3g} km2); is it stray? Then remove it from the outline"
    ]


def area_km2(degrees: Any) -> float:
    """Area of a geometry in degrees on the ellipsoid."""
    return abs(GEOD.geometry_area_perimeter(degrees)[0]) / 1e6
