"""Dates of a site: ISO texts in rising order, and the files that belong to them."""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from headscarp.errors import HeadscarpError

# The dates of a site of series that takes those of its first file.
ALL_DATES = "all"


def iso_date(value: Any, place: str) -> str:
    """A date as text, "2008-09-14". YAML reads dates without quotes as `datetime.date`, so that both are
    taken.

    Raises:
        HeadscarpError: it is no date; `place` is the key that holds it.
    """
    try:
        return datetime.date.fromisoformat(str(value)).isoformat()
    except ValueError:
        raise HeadscarpError(
            f"{place}: '{value}' is not a date; write year, month and day, such as 2008-09-14"
        ) from None


def rising_dates(values: Sequence[Any], place: str) -> list[str]:
    """The dates of a site as ISO texts.

    Raises:
        HeadscarpError: there is none, one is no date, one stands twice, or they do not rise; `place` is the
            key that holds them.
    """
    if not isinstance(values, list | tuple) or not values:
        raise HeadscarpError(
            f"{place} must list one date or more, in rising order, such as [2008-09-14, 2011-09-20]"
        )
    dates = [iso_date(value, place) for value in values]
    for earlier, later in pairwise(dates):
        if dates.count(later) > 1:
            raise HeadscarpError(f"{place}: {later} stands twice; keep one of them")
        if later < earlier:
            raise HeadscarpError(
                f"{place}: {later} stands after {earlier}; put "
                "the dates in rising order, that of the label last"
            )
    return dates


def files_by_date(files: Mapping[Any, str], dates: Sequence[str], place: str) -> dict[str, str]:
    """The files {date: file} of a raster, in the order of the site's `dates`, which need not all have one.

    Raises:
        HeadscarpError: there is none, or one is not of the site's dates (the nearest is named); `place` is
            the key that holds them.
    """
    if not isinstance(files, Mapping) or not files:
        raise HeadscarpError(
            f"{place} must give a file for one date or more, such as {{{dates[-1]}: image.tif}}"
        )
    dated: dict[str, str] = {}
    for key, file in files.items():
        date = iso_date(key, place)
        if date not in dates:
            raise HeadscarpError(
                f"{place}: {date} is not one of the site's dates, did you mean "
                f"{nearest_date(date, dates)}? Correct it or add it to `dates`"
            )
        if date in dated:
            raise HeadscarpError(f"{place}: {date} stands twice; keep one of {dated[date]} and {file}")
        dated[date] = file
    return {date: dated[date] for date in dates if date in dated}


def nearest_date(date: str, dates: Sequence[str]) -> str:
    """The one of `dates` with the fewest days between it and `date` (the earlier of two)."""
    day = datetime.date.fromisoformat(date)
    return min(dates, key=lambda other: abs(datetime.date.fromisoformat(other) - day))


def files_of(entry: dict[str, Any], dates: Sequence[str], place: str) -> dict[str | None, str]:
    """The files of a raster or a mask by date, in rising order; that of a static one at None."""
    return (
        files_by_date(entry["files"], dates, f"{place}, files") if "files" in entry else {None: entry["file"]}
    )


def common_dates(layers: Iterable[Iterable[str | None]]) -> list[str | None]:
    """The dates that all dated layers have, rising; None alone where all are static (their only date is
    None)."""
    dated = [set(dates) for dates in layers if None not in dates]
    return sorted(set.intersection(*dated)) if dated else [None]
