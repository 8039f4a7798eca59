"""Which landslides of a dated inventory are those of the event."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import shapely

from headscarp.areas.guess.dated import Dated, dated
from headscarp.areas.guess.rasters import Band
from headscarp.areas.guess.vectors import VectorLayer, sizes_of
from headscarp.areas.init.factors import features_on
from headscarp.areas.init.images import AFTER_DAYS, shifted
from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid

SORTABLE = re.compile(r"(18|19|20)\d\d[-/.\dT:Z ]*")  # text of dates whose order is that of time


def shown_until(event: str, dates: Sequence[str], images: Sequence[Band]) -> str:
    """The last day that the images after an event show: that of the series' or the images' last date, or else
    of what is fetched."""
    told = [*dates, *(band.date for band in images if band.date and band.time != "pre")]
    return max((date for date in told if date >= event), default=shifted(event, AFTER_DAYS))


def with_dates(layer: VectorLayer, event: str | None, until: str | None, grid: Grid) -> VectorLayer:
    """An inventory of which only the landslides of an event are taken, by `where` of its entry, where a
    column dates them; all, with a note, where nothing says of which event they are to be.

    Args:
        event, until: the first and the last day on which they may have happened; None: no event is known.

    Raises:
        HeadscarpError: all dated landslides are older than the event, or from before and after it.
    """
    table = features_on(layer, grid)
    table = table[shapely.get_dimensions(table.geometry.to_numpy()) == 2]
    told = dated(table)
    if told is None:
        return layer
    if event is None:
        first, last = int(np.nanmin(told.years)), int(np.nanmax(told.years))
        if first == last:
            return layer
        all_years = f"GUESS landslides of all years, {first} to {last} by the column {told.column}"
        return with_note(layer, f"{all_years}: nothing dates the event; --event takes those of one")
    return of_event(layer, table, told, event, until, grid)


def of_event(
    layer: VectorLayer, table: geopandas.GeoDataFrame, told: Dated, event: str, until: str, grid: Grid
) -> VectorLayer:
    """The same of a dated inventory and an event."""
    year = int(event[:4])
    within = (told.days >= np.datetime64(event)) & (told.days <= np.datetime64(until))
    within |= np.isnat(told.days) & (told.years == year)
    window = (event, until)
    span = f"{event} to {until}" if not np.isnat(told.days).all() else str(year)
    if not within.any():
        within = told.years == year
        window = (f"{year}-01-01", f"{year}-12-31")
        span = f"{year}, as none is of {span}"
    if not within.any():
        return of_other_years(layer, told, event)
    undated = np.isnan(told.years)
    others = int((~within & ~undated).sum())
    if not others:
        return layer
    left = f"{others} of other dates" + (f" and {undated.sum()} undated" if undated.any() else "")
    spec = layer.spec | {"where": where_of(table[told.column], within, window)}
    small, median = sizes_of(table.geometry[within], grid)
    return with_note(
        replace(layer, spec=spec, small_m2=small, median_m2=median),
        f"GUESS the {within.sum()} of them that the column {told.column} dates to the event ({span}); {left} "
        "are left out: remove `where` to take all",
    )


def of_other_years(layer: VectorLayer, told: Dated, event: str) -> VectorLayer:
    """All landslides, with a warning, where their dates are later than the event, as those of mapping are.

    Raises:
        HeadscarpError: some are older.
    """
    first, last = int(np.nanmin(told.years)), int(np.nanmax(told.years))
    years = str(first) if first == last else f"{first} to {last}"
    if first > int(event[:4]):
        return with_note(
            layer,
            f"WARNING none is of the event of {event}: the column {told.column} says {years}. All are taken, "
            "as that may be when they were mapped; if they happened then, give their date as --event",
        )
    raise HeadscarpError(
        f"{layer.name}: none of its landslides on the site is of the event of {event}: the column "
        f"{told.column} says {years}. Give the date of these landslides as --event, or the inventory of this "
        "event; if the column tells something else than when they happened, rename it"
    )


def with_note(layer: VectorLayer, note: str) -> VectorLayer:
    return replace(layer, notes=(note, *layer.notes))


def where_of(values: pd.Series, within: np.ndarray, window: tuple[str, str]) -> str:
    """What OGR must be asked to give the features whose values lie within, and no others.

    Args:
        values: of the column (n); within: (n) bool.
        window: first and last day, of a column of dates.
    """
    column = f'"{values.name}"'
    if pd.api.types.is_datetime64_any_dtype(values):
        after = shifted(window[1], 1)
        return f"{column} >= '{window[0]}' AND {column} < '{after}'"
    chosen = sorted(values[within].dropna().unique())
    others = set(values[~within].dropna().unique())
    is_number = pd.api.types.is_numeric_dtype(values)
    literals = [literal(value) for value in chosen]
    if len(chosen) == 1:
        return f"{column} = {literals[0]}"
    is_sorted = is_number or all(map(SORTABLE.fullmatch, {*chosen, *others}))
    if is_sorted and not any(chosen[0] <= value <= chosen[-1] for value in others):
        return f"{column} >= {literals[0]} AND {column} <= {literals[-1]}"
    return f"{column} IN ({', '.join(literals)})"


def literal(value: Any) -> str:
    """A value as SQL has it."""
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else f"{value:.15g}"
