"""Factors of susceptibility: every raster, line and polygon that a user gives beside the inventory."""

import re
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import geopandas
import numpy as np
import pandas as pd

from headscarp.areas.guess.legends import legend_of
from headscarp.areas.guess.names import AREA, DERIVED, LABEL, LAND_COVER, MASK, UNITS, role_in
from headscarp.areas.guess.rasters import Band
from headscarp.areas.guess.vectors import VectorLayer
from headscarp.areas.guess.words import has_word
from headscarp.areas.init.draft import Draft, place, record_of_origin, warnings_of
from headscarp.areas.init.rasters import MOST_CLASSES, WORLD_COVER
from headscarp.areas.init.vectors import KIND_WORDS, LINE_MARGIN_M, add_vector
from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.geo.layer import open_raster
from headscarp.sources.rasters import import_raster
from headscarp.sources.region import Region
from headscarp.sources.vectors import features_of

CLASS_ROLES = (LAND_COVER, "lithology", "soil")
FEW_CODES = 24  # whole numbers of at most so many values are taken for classes
OTHER_LINES_MARGIN_M = 5000
# Columns of polygons that are likelier than others to name their classes.
CLASS_WORDS = (
    "lith",
    "litho",
    "lithology",
    "geol",
    "geology",
    "unit",
    "class",
    "type",
    "name",
    "soil",
    "cover",
)


def add_factors(draft: Draft, bands: Sequence[Band], vectors: Sequence[VectorLayer], folder: Path) -> None:
    """Every raster band, and every layer of lines or polygons, as a factor, or why it is none."""
    for band in bands:
        add_raster_factor(draft, band, folder)
    for one in vectors:
        add_vector_factor(draft, one, folder)


def add_raster_factor(draft: Draft, band: Band, folder: Path) -> None:
    name = band.path.name + (f" (band {band.number})" if band.count > 1 else "")
    layer = band.role or slug(band.path.stem + (f"_{band.number}" if band.count > 1 else ""))
    if band.is_optical:
        draft.unused.append(f"{name}: a band of an image is no factor; give an index of it, such as NDVI")
    elif band.role in DERIVED:
        draft.unused.append(f"{name}: {band.role} is derived from the elevation model")
    elif band.role in (AREA, MASK, LABEL):
        draft.unused.append(f"{name}: its name says that it is a mask, an area or an inventory, not a factor")
    elif any(layer == one for one, _, _ in draft.rasters):
        draft.unused.append(f"{name}: another file is taken for {layer}")
    else:
        try:
            classes, why = classes_of_raster(band, draft.grid)
        except HeadscarpError as error:
            draft.unused.append(f"{name}: {error}")
            return
        origin = record_of_origin(place(band.path, folder), band.spec)
        comment = "; ".join((band.why or "GUESS a factor, since it is given", *warnings_of(band)))
        entry: dict[str, Any] = {"file": draft.add_file(f"{layer}.tif", origin, comment)}
        entry |= {"band": band.number} if band.count > 1 else {}
        if classes:
            entry |= {"kind": "classes", "units": "class", "classes": classes}
        else:
            entry |= {"units": UNITS.get(band.role or "", "1")}
        draft.rasters.append((layer, entry, why))


def classes_of_raster(band: Band, grid: Grid) -> tuple[dict[int, str], str]:
    """{code: name} of a raster of classes, and where the names are from; none of a raster of values.

    Raises:
        HeadscarpError: its legend cannot be read, or it has more classes than can be factors.
    """
    values = {}, "GUESS the units"
    if not np.issubdtype(band.dtype, np.integer):
        return values
    legend = legend_of(band.path)
    if not legend and band.role not in CLASS_ROLES and len(band.codes) > FEW_CODES:
        return values
    codes = codes_in(band, grid)
    if len(codes) > MOST_CLASSES:
        raise HeadscarpError(
            f"its {len(codes)} classes are too many for a channel each; merge them to at most {MOST_CLASSES}"
        )
    if legend:
        names, file = legend
        missing = [code for code in codes if code not in names]
        told = f"; {missing} of the raster are not in it" if missing else ""
        return {code: names.get(code, f"class {code}") for code in codes}, f"names from {file}{told}"
    if band.role == LAND_COVER and set(codes) <= WORLD_COVER.keys() | {0}:
        return {c: WORLD_COVER[c] for c in codes if c}, "GUESS the codes are those of ESA WorldCover"
    return (
        {code: f"class {code}" for code in codes},
        f"GUESS classes without a legend: name them here, or put {band.path.stem}.csv (code,name) beside it",
    )


def codes_in(band: Band, grid: Grid) -> list[int]:
    """All codes of a band round the outline, as the import gives them."""
    with TemporaryDirectory() as scratch:
        target = Path(scratch) / "classes.tif"
        import_raster(band.spec, [band.path], Region(grid.crs, grid.bounds), target, Path(scratch))
        with open_raster(target) as source:
            values = source.read(band.number, masked=True)
    return [int(code) for code in np.unique(values.compressed())]


def add_vector_factor(draft: Draft, one: VectorLayer, folder: Path) -> None:
    if one.problem:
        draft.unused.append(f"{one.name}: {one.problem}")
    elif one.geometry == "LineString" or one.role in LINE_MARGIN_M:
        add_distance(draft, one, folder)
    elif one.geometry == "Polygon" and one.role is None:
        add_polygon_classes(draft, one, folder)
    else:
        what = {LABEL: "another inventory is taken", AREA: "another mapped area is taken"}.get(one.role or "")
        count = f"{one.count} {KIND_WORDS[one.geometry]}"
        draft.unused.append(f"{one.name}: {what or f'{count} are no factor; give lines or polygons'}")


def add_distance(draft: Draft, one: VectorLayer, folder: Path) -> None:
    """Lines (or the polygons of rivers) that distances are measured to."""
    layer = one.role or f"distance_to_{slug(one.own_name)}"
    if layer in [name for name, _, _ in draft.lines]:
        draft.unused.append(f"{one.name}: another file is taken for {layer}")
        return
    margin = {"margin_m": LINE_MARGIN_M.get(layer, OTHER_LINES_MARGIN_M)}
    file = add_vector(draft, one, f"{layer.removeprefix('distance_to_')}.gpkg", folder, margin)
    draft.lines.append((layer, file, ""))


def add_polygon_classes(draft: Draft, one: VectorLayer, folder: Path) -> None:
    """Polygons of a map in classes, by the column that most plainly names them."""
    table = features_on(one, draft.grid)
    column = class_column(table)
    layer = role_in(one.own_name) or slug(one.own_name)
    if column is None:
        listed = ", ".join(table.columns.drop(table.geometry.name)) or "none"
        draft.unused.append(
            f"{one.name}: no column of its polygons names classes (columns: {listed}); add one with the "
            "class of each polygon as text"
        )
        return
    if layer in [name for name, _, _ in draft.rasters]:
        draft.unused.append(f"{one.name}: another file is taken for {layer}")
        return
    file = add_vector(draft, one, f"{layer}.gpkg", folder)
    entry = {"file": file, "attribute": column, "kind": "classes", "units": "class"}
    classes = classes_of_column(table[column])
    draft.rasters.append(
        (layer, entry | {"classes": classes}, f"GUESS the column {column} names the classes")
    )


def features_on(one: VectorLayer, grid: Grid) -> geopandas.GeoDataFrame:
    """The features of a layer that touch a grid, with their columns."""
    with TemporaryDirectory() as scratch:
        return features_of(one.path, one.spec, Region(grid.crs, grid.bounds), Path(scratch), [])


def class_column(table: geopandas.GeoDataFrame) -> str | None:
    """The column of polygons that most plainly names classes: text of a few values, one whose name says so
    before others, or else whole numbers of a few values."""
    columns = table.drop(columns=table.geometry.name)
    few = [name for name in columns if 2 <= columns[name].dropna().nunique() <= FEW_CODES]
    text = [name for name in few if not pd.api.types.is_numeric_dtype(columns[name])]
    whole = [name for name in few if pd.api.types.is_integer_dtype(columns[name])]
    return next((name for name in text if has_word(name, CLASS_WORDS)), next(iter([*text, *whole]), None))


def classes_of_column(column: pd.Series) -> dict[int, str]:
    """{code: name}: text numbered from 1 in alphabetical order, whole numbers as they are."""
    known = column.dropna()
    if pd.api.types.is_integer_dtype(column):
        return {int(code): f"class {code}" for code in sorted(known.unique())}
    names = sorted({str(value).strip() for value in known} - {""})
    return dict(enumerate(names, start=1))


def slug(text: str) -> str:
    """A name of a layer from that of a file: small letters, digits and _, a letter first."""
    found = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return found if found[:1].isalpha() else f"factor_{found}".rstrip("_")
