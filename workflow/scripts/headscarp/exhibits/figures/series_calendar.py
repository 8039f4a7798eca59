"""When a site was seen."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

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
from headscarp.exhibits.panels.figure import WIDTH, new_figure, sign
from headscarp.exhibits.panels.marks import bare, orient, show
from headscarp.exhibits.panels.page import place
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.spec import ExhibitSpec, SiteFiles
from headscarp.exhibits.tidy import frame_of, record
from headscarp.geo.grid import Grid

MAP, LEFT, RIGHT = 2.4, 0.55, 0.12  # inches: side of the map, room beside panels


def series_calendar(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """The dates of a site on a time axis with the share of clear pixels, the median and quartiles of a
    channel at them, and a map of how many dates are clear at each pixel, beside the days between successive
    dates.

    The numbers behind it are these by date, rows such as `slovenia:2015-07-11`, and of the site the number of
    dates, the median and longest time between two, the least, median and greatest number of clear dates of a
    pixel and the share of pixels that are never clear. Options: `layer` (a channel with dates, default ndvi).

    Raises:
        HeadscarpError: no such channel, or one without dates.
    """
    site = spec.only_site()
    cube, name, position = dated_channel(spec, site)
    dates, values = cube.header["dates"], cube.values[:, position]
    shares, counts = clear_shares(cube, position), np.isfinite(values).sum(axis=0)
    shown, clear = quartiles(values.reshape(len(dates), -1))
    view = View.of(Grid.from_record(cube.header["grid"]), longest_side=max(counts.shape))
    across, down = MAP / max(1.0, view.aspect), MAP * min(1.0, view.aspect)
    figure = new_figure(4.25 + down, layout=None)
    calendar, series = (
        place(figure, (LEFT, top, WIDTH - LEFT - RIGHT, height)) for top, height in ((0.3, 1.0), (1.7, 1.45))
    )
    draw_shares(calendar, dates, shares)
    calendar.set_title(f"(a) Share of clear pixels at {len(dates)} dates", pad=4)
    draw_band(series, dates, shown, palette.OKABE_ITO[0], "o", factor_label(name))
    series.set_title(f"(b) {factor_label(name)}: median and quartiles of the clear pixels", pad=4)
    series.set_ylabel(factor_label(name))
    for axes in (calendar, series):
        look_of_dates(axes, dates)
    pixels = place(figure, (LEFT, 3.6, across, down))
    drawn = show(pixels, view.thin(counts), view, cmap="cividis")
    pixels.set_title("(c) Clear dates of each pixel", pad=4)
    bare(pixels)
    orient(pixels, view.width_km)
    bar = place(figure, (LEFT + across + 0.1, 3.6, 0.1, down))
    figure.colorbar(drawn, cax=bar, label="Dates", ticks=MaxNLocator(6, integer=True))
    gaps = np.diff(days_of(dates)).astype(int)
    beside = LEFT + across + 1.2
    draw_gaps(place(figure, (beside, 3.6, WIDTH - beside - RIGHT, down)), gaps)
    sign(figure, spec, f"{site.title}, {dates[0]} to {dates[-1]}. Clear: the pixel has a value.")
    lines = list(calendar_records(spec, site, dates, shares, shown, clear))
    lines += whole_records(spec, site, gaps, counts)
    return figure, frame_of(lines)


def draw_gaps(axes: Axes, gaps: np.ndarray) -> None:
    """How often two successive dates are so many days apart."""
    axes.hist(gaps, np.linspace(0, gaps.max(), 25), color=palette.OKABE_ITO[5])
    axes.set_title("(d) Days between successive dates", pad=4)
    axes.set(xlabel="Days", ylabel="Pairs of dates")
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.axvline(np.median(gaps), color=palette.INK, lw=1, ls="--", label=f"Median {np.median(gaps):g}")
    axes.axvline(gaps.max(), color=palette.OKABE_ITO[1], lw=1, ls=":", label=f"Longest {gaps.max()}")
    axes.legend()


def calendar_records(
    spec: ExhibitSpec,
    site: SiteFiles,
    dates: Sequence[str],
    shares: np.ndarray,
    shown: np.ndarray,
    clear: np.ndarray,
) -> Iterator[dict[str, Any]]:
    for time, date in enumerate(dates):
        numbers = {"clear_share": shares[time], "clear_pixels": clear[time], "median": shown[1, time]}
        for metric, value in numbers.items():
            yield record(spec, f"{site.name}:{date}", metric, float(value), data=site.data)


def whole_records(
    spec: ExhibitSpec, site: SiteFiles, gaps: np.ndarray, counts: np.ndarray
) -> Iterator[dict[str, Any]]:
    """Tidy records of a site's dates as a whole; `gaps` in days, `counts` (row, col) of clear dates."""
    numbers = {
        "dates": len(gaps) + 1,
        "median_gap_days": np.median(gaps),
        "longest_gap_days": gaps.max(),
        "clear_dates_min": counts.min(),
        "clear_dates_median": np.median(counts),
        "clear_dates_max": counts.max(),
        "never_clear_share": np.mean(counts == 0),
    }
    for metric, value in numbers.items():
        yield record(spec, site.name, metric, float(value), data=site.data)
