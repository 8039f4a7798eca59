"""When each landslide of an inventory happened, by the column that tells it."""

import datetime
import re
from contextlib import suppress
from dataclasses import dataclass

import geopandas
import numpy as np
import pandas as pd

from headscarp.areas.guess.words import plain
from headscarp.errors import HeadscarpError
from headscarp.samples.cell_labels import years_of

MOSTLY = 0.5  # share of landslides whose date a column must tell
# Names of columns that tell a date or a year, in languages of inventories.
WHEN = (
    r"_(dates?|years?|yrs?|datum|jahr|annee|ano|anno|data|fecha|jaar|rok|tahun|yil|occur\w*)_|"
    r"(date|year)_|_(date|year)|年|月日|日付|日期|时间|날짜|연도"
)
# Those of the landslide itself, which come first.
OWN = r"_(event\w*|eventos?|slides?|ls|landslides?|occur\w*|trigger\w*|fail\w*)_|発生|发生|發生"
# Those of maps, images and edits of the landslide.
OTHER = (
    r"_(last|edit\w*|creat\w*|modif\w*|updat\w*|up|digiti\w*|map\w*|survey\w*|import\w*|upload\w*|acq\w*|"
    r"im(a?ge?)?|imager?y?|photo\w*|ortho\w*|air|sat\w*|scene|source|src|ref\w*|pub\w*|before|pre|interpret\w*|"
    r"entry|entered|record\w*|report\w*|check\w*|valid\w*|delet\w*|built|end|visit\w*|candidate)_|"
    r"撮影|判読|更新|作成|拍摄|解译"
)
BEGINS_WITH_YEAR = re.compile(r"\s*((?:18|19|20)\d\d)([-/.]?)(\d\d)\2(\d\d)(?!\d)")
BEGINS_WITH_DAY = re.compile(r"\s*(\d\d?)\.(\d\d?)\.((?:18|19|20)\d\d)")


@dataclass(frozen=True)
class Dated:
    """A column of an inventory and what it tells of each feature (n): the day, datetime64[D] (NaT: not told),
    and the year, float64 (NaN: not told)."""

    column: str
    days: np.ndarray
    years: np.ndarray


def dated(table: geopandas.GeoDataFrame) -> Dated | None:
    """When each feature of an inventory happened, by the column that tells it most plainly and of at least
    half of them: one of the landslide before others, then one of days before one of years."""
    names = [name for name in table.columns if name != table.geometry.name and means_when(str(name))]
    found = [one for one in (read_dates(table, name) for name in names) if one]

    def rank(one: Dated) -> tuple[bool, bool]:
        return not re.search(OWN, plain(one.column)), bool(np.isnat(one.days).all())

    return min(found, key=rank, default=None)


def means_when(name: str) -> bool:
    """Whether a column's name means the date or the year of what it is about."""
    text = plain(name)
    return bool(re.search(WHEN, text)) and not re.search(OTHER, text)


def read_dates(table: geopandas.GeoDataFrame, column: str) -> Dated | None:
    """What a column tells, or None where that is of too few features."""
    days = days_of(table[column])
    years = np.where(np.isnat(days), np.nan, days.astype("datetime64[Y]").astype(float) + 1970)
    with suppress(HeadscarpError):  # numbers such as 20180906, or no year at all
        years = np.where(np.isnan(years), years_of(table, column, column), years)
    told = float(np.mean(~np.isnan(years))) if len(years) else 0.0
    return Dated(column, days, years) if told >= MOSTLY else None


def days_of(values: pd.Series) -> np.ndarray:
    """The day that each value tells (n) datetime64[D], NaT where it tells none."""
    if pd.api.types.is_datetime64_any_dtype(values):
        return values.dt.tz_localize(None).to_numpy("datetime64[D]")
    whole = pd.api.types.is_float_dtype(values)
    days = {value: day_in(f"{value:.0f}" if whole else str(value)) for value in values.dropna().unique()}
    return np.array([days.get(value) for value in values], "datetime64[D]")


def day_in(text: str) -> datetime.date | None:
    """The day with which a text begins: 2018-09-06, 20180906 or 6.9.2018. Which number of 06/09/2018 is the
    month nobody can tell."""
    if found := BEGINS_WITH_YEAR.match(text):
        year, month, day = found.group(1, 3, 4)
    elif found := BEGINS_WITH_DAY.match(text):
        day, month, year = found.groups()
    else:
        return None
    try:
        return datetime.date(int(year), int(month), int(day))
    except ValueError:
        return None
