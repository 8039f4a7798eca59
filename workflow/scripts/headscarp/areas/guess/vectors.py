"""What the layers of a user's vector files probably are, read as the import reads them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import geopandas
import numpy as np
import shapely

from headscarp.areas.guess.names import LABEL, role_of_vectors
from headscarp.areas.guess.slide_names import instead_of_slides
from headscarp.areas.guess.words import words
from headscarp.errors import HeadscarpError, NoCrsError
from headscarp.geo.grid import Grid
from headscarp.sources.originals import VECTOR_FILES, files_in_zip, is_zip, unpacked_file
from headscarp.sources.region import DEGREES, Region, bounds_between, in_degrees
from headscarp.sources.vectors import FLAT_KINDS, dimensions_of, features_of, info_of, layers_of

SMALL = 0.05  # share of an inventory that is taken for too small to map
KINDS = ("Point", "LineString", "Polygon")  # by the dimension of a geometry


@dataclass(frozen=True)
class VectorLayer:
    """One layer of a user's vector file: what it is taken for (`role`, None: unknown) and `why`.

    `geometry` is the kind that tells (polygons where there are any), `counts` how many features there are of
    each kind, `on_site` how many of `geometry` touch the site's grid (None: not counted), `covers` the box of
    all in words where none does. `small_m2` is the area below which a twentieth of its polygons on the site
    are, `median_m2` that below which half are (None: it has none). `spec` is the entry of its file in a card.
    `problem` says why it cannot be used.
    """

    path: Path
    spec: dict[str, Any]
    geometry: str = ""
    counts: tuple[int, int, int] = (0, 0, 0)
    on_site: int | None = None
    covers: str = ""
    small_m2: float | None = None
    median_m2: float | None = None
    role: str | None = None
    why: str = ""
    notes: tuple[str, ...] = ()
    problem: str = ""

    @property
    def layer(self) -> str | None:
        return self.spec.get("layer")

    @property
    def count(self) -> int:
        """Features of the kind that tells."""
        return self.counts[KINDS.index(self.geometry)] if self.geometry else 0

    @property
    def name(self) -> str:
        """What to call it."""
        return self.path.name + (f", layer {self.layer}" if self.layer else "")

    @property
    def own_name(self) -> str:
        """The name that tells what it is: its layer's, or its file's where that is all there is."""
        return self.layer or self.path.stem


def layer_named(given: str | Path) -> tuple[Path, str | None]:
    """The file and the layer (None: not told) of a vector file as QGIS writes it:
    `project.gpkg|layername=study_area`."""
    text = str(given)
    if "|" not in text or Path(given).exists():
        return Path(given), None
    file, *options = text.split("|")
    named = dict(option.partition("=")[::2] for option in options)
    if set(named) != {"layername"} or not named["layername"]:
        raise HeadscarpError(
            f"'{text}': after a file's name only |layername=… is known, as in 'project.gpkg|layername=slides'"
        )
    return Path(file), named["layername"]


def vector_layers(path: Path, grid: Grid, layer: str | None = None) -> list[VectorLayer]:
    """The layers of a vector file that have geometry; those of each file of a zip.

    Args:
        grid: of the site, on which features are counted.
        layer: the only one that is meant.

    Raises:
        HeadscarpError: the file is missing or unreadable, or has no such layer.
    """
    if layer is None and is_zip(path) and len(members := files_in_zip(path, VECTOR_FILES)) > 1:
        return [one for member in members for one in layers_of_member(path, grid, member)]
    with TemporaryDirectory() as scratch:
        file, rest = unpacked_file(path, VECTOR_FILES, layer, Path(scratch))
        layers = layers_of(file, path)
        if not layers:
            raise HeadscarpError(f"{path} holds no geometries; it is truncated, or another file has them")
        if rest is not None and rest not in layers:
            raise HeadscarpError(f"{path.name} has no layer {rest}; it holds {', '.join(layers)}")
        chosen = [rest] if rest is not None else list(layers)
        if len(chosen) > 1 and layer is not None:
            return [
                VectorLayer(
                    path,
                    {"layer": layer},
                    problem=f"a file of several layers in a zip ({', '.join(chosen)}); unpack it",
                )
            ]
        named = {name: {"layer": layer or name} if layer or len(layers) > 1 else {} for name in chosen}
        found = {name: counted(path, spec, file, name, layers[name], grid) for name, spec in named.items()}
    return with_roles(path, found, layer)


def layers_of_member(path: Path, grid: Grid, member: str) -> list[VectorLayer]:
    """The layers of one file of a zip, or the only one with what is wrong with it."""
    try:
        return vector_layers(path, grid, member)
    except HeadscarpError as error:
        return [VectorLayer(path, {"layer": member}, problem=reason_of(error, path))]


def reason_of(error: HeadscarpError, path: Path) -> str:
    """An error of a file without the file's name."""
    return str(error).removeprefix(str(path)).lstrip(" :,")


def counted(
    path: Path, spec: dict[str, Any], file: Path, name: str, declared: str, grid: Grid
) -> VectorLayer:
    """A layer with its features counted, in the whole file and on the site; its CRS guessed where it has
    none."""
    try:
        counts = counts_of(file, name, declared, path)
        kind = next((KINDS[number] for number in (2, 1, 0) if counts[number]), "")
        one = VectorLayer(path, spec, kind, counts)
        if not kind:
            return replace(one, problem="no feature has a geometry")
        try:
            shapes = geometries(path, spec, grid)
        except NoCrsError as error:
            crs, shapes = likely_crs(path, spec, grid, error)
            one = replace(
                one,
                spec=spec | {"crs": crs},
                notes=(f"GUESS no CRS in the file; its coordinates fit the site in {crs}",),
            )
        touching = int((shapely.get_dimensions(shapes.to_numpy()) == KINDS.index(kind)).sum())
        small, median = sizes_of(shapes, grid) if kind == "Polygon" else (None, None)
        is_elsewhere = kind == "Polygon" and not touching
        covers = box_of(geometries(path, one.spec, None)) if is_elsewhere else ""
    except HeadscarpError as error:
        return VectorLayer(path, spec, problem=reason_of(error, path))
    return replace(one, on_site=touching, covers=covers, small_m2=small, median_m2=median)


def sizes_of(shapes: geopandas.GeoSeries, grid: Grid) -> tuple[float | None, float | None]:
    """The areas (m2) below which a twentieth and half of the polygons are; None where there are none."""
    areas = shapes.to_crs(grid.crs).area
    areas = areas[areas > 0]
    return (float(areas.quantile(SMALL)), float(areas.median())) if len(areas) else (None, None)


def counts_of(file: Path, name: str, declared: str, path: Path) -> tuple[int, int, int]:
    """How many points, lines and polygons a layer has. One that declares points or lines holds no others, and
    is not read for it: roads of a country are many."""
    if declared in FLAT_KINDS:
        count = int(info_of(file, name, path)["features"])
        return (count, 0, 0) if "Point" in declared else (0, count, 0)
    dimensions = dimensions_of(file, name, path)
    points, lines, polygons = (int((dimensions == number).sum()) for number in range(3))
    return points, lines, polygons


def geometries(path: Path, spec: dict[str, Any], grid: Grid | None) -> geopandas.GeoSeries:
    """The geometries that the import would take over without a margin (None: wherever they are)."""
    region = Region(grid.crs, grid.bounds) if grid else None
    with TemporaryDirectory() as scratch:
        return features_of(path, spec, region, Path(scratch), []).geometry


def box_of(shapes: geopandas.GeoSeries) -> str:
    """Where features lie, in words: degrees, or their own numbers where these are nowhere."""
    bounds = tuple(map(float, shapes.total_bounds))
    if np.isfinite(bounds_between(shapes.crs, DEGREES, bounds)).all():
        return in_degrees(bounds, shapes.crs)
    return "west {:.6g} south {:.6g} east {:.6g} north {:.6g}".format(*bounds) + f" in {shapes.crs.name}"


def likely_crs(
    path: Path, spec: dict[str, Any], grid: Grid, error: NoCrsError
) -> tuple[str, geopandas.GeoSeries]:
    """The CRS of a file that does not say it, that of the grid or degrees, in which it has features on the
    site, and these.

    Raises:
        NoCrsError: it has none in either.
    """
    for crs in (grid.crs, DEGREES):
        shapes = geometries(path, spec | {"crs": crs}, grid)
        if len(shapes):
            return crs, shapes
    raise NoCrsError(
        f"{str(error).split(';')[0]}, and its coordinates fit the site neither in {grid.crs} nor in degrees; "
        "find out which it is and assign it, for example in QGIS"
    )


def with_roles(path: Path, found: dict[str, VectorLayer], member: str | None) -> list[VectorLayer]:
    """Layers with their roles: by the names of several, and, where these say nothing, by the file's where one
    of them alone has polygons (or lines); by the file's name and then the layer's where it has only one."""
    file = path.stem if member is None or member in found else member
    if len(found) == 1:
        ((name, one),) = found.items()
        return [with_role(one, (file, name))]
    layers = [with_role(one, (name,)) for name, one in found.items()]
    for kind in ("Polygon", "LineString"):
        only = [one for one in layers if one.geometry == kind]
        if len(only) == 1 and not any(one.role for one in layers):
            layers = [with_role(one, (file,)) if one is only[0] else one for one in layers]
    return layers


def with_role(one: VectorLayer, names: Sequence[str]) -> VectorLayer:
    """A layer with the role that the first of its names tells, by its polygons or else by its lines."""
    for name in names:
        if instead_of_slides(name):
            break
        for number in (2, 1):
            role, why = role_of_vectors(name, KINDS[number])
            if one.counts[number] and role:
                return replace(one, geometry=KINDS[number], role=role, why=why)
    return one


def openstreetmap(path: Path) -> list[VectorLayer]:
    """Rivers and roads of an extract of OpenStreetMap, which is not opened: it may be large."""
    which = {
        "distance_to_rivers": "waterway IN ('river', 'stream')",
        "distance_to_roads": "highway IS NOT NULL",
    }
    return [
        VectorLayer(
            path,
            {"layer": "lines", "where": where},
            "LineString",
            role=role,
            why="an OpenStreetMap extract",
        )
        for role, where in which.items()
    ]


def first_label(vectors: Sequence[VectorLayer], date: str) -> VectorLayer | None:
    """The layer that is most plainly the inventory of an event, polygons only: one that has some on the site,
    then one whose name has the event's year, then the one with the fewest words in its name, then the one
    with the most polygons on the site."""
    labels = [one for one in vectors if one.role == LABEL]

    def rank(one: VectorLayer) -> tuple[bool, bool, int, int]:
        own = words(one.own_name)
        return not one.on_site, date[:4] not in " ".join(own), len(own), -(one.on_site or 0)

    return min(labels, key=rank, default=None)
