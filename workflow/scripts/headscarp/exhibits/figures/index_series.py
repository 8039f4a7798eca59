"""An index of slides and background through an event."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.exhibits.labels import factor_label
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.dates import (
    clear_shares,
    dated_channel,
    days_of,
    draw_band,
    draw_shares,
    look_of_dates,
    quartiles,
)
from headscarp.exhibits.panels.figure import new_figure, sign
from headscarp.exhibits.spec import ExhibitSpec, SiteFiles
from headscarp.exhibits.tidy import frame_of, record

GROUPS = {"landslide": ("#D55E00", "o"), "background": ("#0072B2", "s")}


def index_series(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Median and quartiles of a channel by date, of slide pixels and of all other mapped pixels, over the
    share of clear pixels.

    The numbers behind it are these, rows such as `landslide:2023-05-20`; and with an event the median of all
    values before and after it and their difference, rows `landslide` and `background`. Options: `layer` (a
    channel with dates, default ndvi); `event` (ISO date, drawn as a line; a date on its day counts as after
    it).

    Raises:
        HeadscarpError: no such channel, one without dates, no slide in the label, or `event` is no date.
    """
    site = spec.only_site()
    cube, name, position = dated_channel(spec, site)
    dates, event = cube.header["dates"], event_of(spec)
    masks = {
        "landslide": cube.label == LANDSLIDE,
        "background": (cube.label != LANDSLIDE) & (cube.label != UNMAPPED),
    }
    for group, mask in masks.items():
        if not mask.any():
            raise HeadscarpError(
                f"exhibit '{spec.name}' ({spec.kind}): the label of site '{site.name}' has no {group} "
                f"pixel; name a site with mapped slides"
            )
    values = {group: cube.values[:, position][:, mask] for group, mask in masks.items()}
    figure = new_figure(3.9)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    lines = []
    for group, (colour, marker) in GROUPS.items():
        shown, clear = quartiles(values[group])
        text = f"{'Landslide' if group == 'landslide' else 'Background'} ({values[group].shape[1]:,} pixels)"
        draw_band(upper, dates, shown, colour, marker, text)
        lines += quartile_records(spec, site, group, dates, shown, clear)
        lines += event_records(spec, site, group, dates, values[group], event)
    shares = clear_shares(cube, position)
    draw_shares(lower, dates, shares)
    lines += [
        record(spec, f"site:{date}", "clear_share", float(share), data=site.data)
        for date, share in zip(dates, shares, strict=True)
    ]
    if event is not None:
        for axes in (upper, lower):
            axes.axvline(event, color=palette.INK, lw=1, ls="--")
        upper.plot([], [], color=palette.INK, lw=1, ls="--", label=f"Event, {event}")
    upper.set_ylabel(factor_label(name))
    upper.legend(loc="best")
    look_of_dates(lower, dates)
    upper.grid(axis="y", color="#DDDDDD", lw=0.5)
    sign(
        figure, spec, f"{site.title}, {len(dates)} dates. Line: median; band: quartiles of the clear pixels."
    )
    return figure, frame_of(lines)


def event_of(spec: ExhibitSpec) -> np.datetime64 | None:
    """The option `event` as a day.

    Raises:
        HeadscarpError: it is no date.
    """
    text = spec.options.get("event")
    try:
        return None if text is None else np.datetime64(str(text), "D")
    except ValueError:
        raise HeadscarpError(
            f"exhibit '{spec.name}', options: event '{text}' is no date; write it as 2023-05-16"
        ) from None


def quartile_records(
    spec: ExhibitSpec, site: SiteFiles, group: str, dates: Sequence[str], shown: np.ndarray, clear: np.ndarray
) -> Iterator[dict[str, Any]]:
    for time, date in enumerate(dates):
        for metric, value in zip(
            ("p25", "median", "p75", "clear_pixels"), (*shown[:, time], clear[time]), strict=True
        ):
            yield record(spec, f"{group}:{date}", metric, float(value), data=site.data)


def event_records(
    spec: ExhibitSpec,
    site: SiteFiles,
    group: str,
    dates: Sequence[str],
    values: np.ndarray,
    event: np.datetime64 | None,
) -> Iterator[dict[str, Any]]:
    """Tidy records of the median of all values before an event and after it, and of how far it rose."""
    if event is None:
        return
    after = days_of(dates) >= event
    medians = [
        float(np.nanmedian(part)) if np.isfinite(part).any() else np.nan
        for part in (values[~after], values[after])
    ]
    for metric, value in zip(
        ("median_before", "median_after", "change"), (*medians, medians[1] - medians[0]), strict=True
    ):
        yield record(
            spec,
            group,
            metric,
            value,
            data=site.data,
            note=f"event of {event}; all clear values of {values.shape[1]} pixels",
        )
