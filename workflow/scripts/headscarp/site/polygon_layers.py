"""Layers from an attribute of polygons: lithology, soil and land use maps, rain between isohyets."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.geo.layer import CLASSES, CONTINUOUS, Layer
from headscarp.site.labels import rasterise_numbers, read_polygons
from headscarp.vocabulary import nearest, require_known

LISTED = 12  # values that a message names
# Types of a class layer and the greatest code of each, which stands for no data.
CODE_TYPES = {np.uint8: 255, np.uint16: 65_535, np.int32: 2**31 - 1}


def rasterise_attribute(
    path: str | Path, attribute: str, grid: Grid, kind: str, classes: Mapping[int, str] | None = None
) -> tuple[Layer, dict[int, str] | None, list[str]]:
    """An attribute of polygons on a site's grid: a cell takes that of the polygon that holds its centre, of
    the later one where two do.

    Args:
        kind: CLASSES or CONTINUOUS of `site.layer`. Classes given as text are numbered from 1 in alphabetical
            order, those given as whole numbers are their codes; continuous values are numbers.
        classes: {code: name} of the classes that the polygons may have; text must be one of the names,
            numbers one of the codes. None: all that the file holds.

    Returns:
        The layer (no data where no polygon is or its attribute is empty; float32 or the smallest type that
        holds the codes), {code: name}
        of a class layer, and notes.

    Raises:
        HeadscarpError: the file is missing, unreadable, without CRS or polygons; there is no such attribute,
            or no value of it here; a continuous value is no number, a code no whole number from 0, or a class
            is not among `classes`.
    """
    notes: list[str] = []
    table = read_polygons(path, grid, notes)
    require_known(attribute, table.columns.drop(table.geometry.name), f"{path}: attribute")
    place = f"{path}, attribute '{attribute}'"
    column = table[attribute]
    column = column if pandas.api.types.is_numeric_dtype(column) else column.astype(object).map(text_of)
    number = rasterise_numbers(table.geometry.to_numpy(), np.arange(1, len(table) + 1), grid)
    empty = int(column.isna().sum())
    if empty:
        notes.append(
            f"{Path(path).name}: {attribute} of {empty} of {len(table)} polygons is empty; they are no data"
        )
    if kind == CONTINUOUS:
        values, nodata, names = numbers_of(column, place), float("nan"), None
    else:
        values, nodata, names = codes_of(column, classes, place)
    layer = np.concatenate([[nodata], values]).astype(values.dtype)[number]
    if np.all(layer == nodata) if kind == CLASSES else np.isnan(layer).all():
        raise HeadscarpError(
            f"{place} has no value on the site: no polygon with one "
            "holds the centre of a cell; check the file's CRS and area"
        )
    return (
        Layer(
            name=attribute,
            values=layer,
            grid=grid,
            units="",
            source=f"{Path(path).name}, attribute {attribute} of polygons",
            kind=kind,
            nodata=nodata,
        ),
        names,
        notes,
    )


def text_of(value: object) -> str | None:
    """A value as text without blanks around it, None where that leaves nothing."""
    return None if pandas.isna(value) else str(value).strip() or None


def numbers_of(column: pandas.Series, place: str) -> np.ndarray:
    """Numbers, float32, NaN where empty; text that is a number counts as one."""
    values = pandas.to_numeric(column, errors="coerce")
    wrong = column[values.isna() & column.notna()]
    if len(wrong):
        raise HeadscarpError(
            f"{place} holds '{wrong.iloc[0]}', which is no number; take another attribute, or `kind: classes`"
        )
    return values.to_numpy(np.float32, na_value=np.nan)


def codes_of(
    column: pandas.Series, classes: Mapping[int, str] | None, place: str
) -> tuple[np.ndarray, int, dict[int, str]]:
    """Codes, the one that stands for no data, and {code: name}."""
    known = column.dropna()
    if pandas.api.types.is_numeric_dtype(column):
        if (known < 0).any() or (known != known.round()).any() or (known >= 2**31 - 1).any():
            raise HeadscarpError(
                f"{place} holds numbers that are no codes of classes "
                "(whole, from 0); take another one, or `kind: continuous`"
            )
        found = sorted(int(code) for code in known.unique())
        names = (
            {int(code): str(name) for code, name in classes.items()}
            if classes
            else {code: str(code) for code in found}
        )
        code_of = {code: code for code in names}
        unknown = [str(code) for code in found if code not in names]
        choices = [str(code) for code in names]
    else:
        found = sorted(known.unique())
        names = (
            {int(code): str(name) for code, name in classes.items()}
            if classes
            else dict(enumerate(found, start=1))
        )
        code_of = {name: code for code, name in names.items()}
        unknown, choices = [name for name in found if name not in code_of], list(code_of)
    if unknown:
        listed = ", ".join(unknown[:LISTED]) + (
            f" and {len(unknown) - LISTED} more" if len(unknown) > LISTED else ""
        )
        raise HeadscarpError(
            f"{place} holds {listed}, which the layer's `classes` do not name "
            f"({nearest(unknown[0], choices)}); add them there"
        )
    dtype, nodata = next((kind, most) for kind, most in CODE_TYPES.items() if max(names, default=0) < most)
    codes = np.full(len(column), nodata, dtype)
    present = column.notna().to_numpy()
    codes[present] = [code_of[value] for value in known]
    return codes, nodata, names
