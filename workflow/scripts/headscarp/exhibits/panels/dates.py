"""Charts by date: a channel of a series through the dates of a site."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.ticker import PercentFormatter

from headscarp.errors import HeadscarpError
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.charts import ruled
from headscarp.exhibits.spec import ExhibitSpec, SiteFiles
from headscarp.site.cube import Cube, open_cube


def days_of(dates: Sequence[str]) -> np.ndarray:
    """ISO dates as days, datetime64[D]."""
    return np.array(dates, "datetime64[D]")


def look_of_dates(axes: Axes, dates: Sequence[str]) -> None:
    """A time axis that is true to the distances between dates, with a margin at both ends."""
    days = days_of(dates)
    rim = max(np.timedelta64(5, "D"), (days[-1] - days[0]) // 30)
    locator = AutoDateLocator(minticks=4, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.set_xlim(days[0] - rim, days[-1] + rim)
    ruled(axes, "y")


def dated_channel(spec: ExhibitSpec, site: SiteFiles) -> tuple[Cube, str, int]:
    """The cube of a site, and the name and position of the channel with dates that the option `layer` names
    (default ndvi).

    Raises:
        HeadscarpError: the cube has no such channel, it is the same at all dates, or the site has one date
        only.
    """
    cube, name = open_cube(site.folder / "cube"), spec.options.get("layer", "ndvi")
    position = cube.positions([name])[0]
    place = f"exhibit '{spec.name}' ({spec.kind}): layer '{name}' of site '{site.name}'"
    dated = [channel["name"] for channel in cube.header["channels"] if channel.get("dated")]
    if len(cube.header["dates"]) < 2 or name not in dated:
        raise HeadscarpError(
            f"{place} has no dates; name one that has as the option `layer` (there are: "
            f"{', '.join(dated) or 'none'})"
        )
    return cube, name, position


def quartiles(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """25th, 50th and 75th percentile (3, time) of the known values (time, pixel) of each date, NaN where none
    is, and their number."""
    clear = np.isfinite(values).sum(axis=1)
    shown = np.full((3, len(values)), np.nan)
    for time in np.flatnonzero(clear):
        shown[:, time] = np.nanpercentile(values[time], [25, 50, 75])
    return shown, clear


def draw_band(
    axes: Axes, dates: Sequence[str], shown: np.ndarray, colour: str, marker: str, label: str
) -> None:
    """Median and band of quartiles (3, time) of the dates at which there is any value."""
    known = np.isfinite(shown[1])
    days = days_of(dates)[known]
    axes.fill_between(days, shown[0, known], shown[2, known], color=colour, alpha=0.2, lw=0)
    axes.plot(days, shown[1, known], color=colour, lw=1.2, marker=marker, ms=3, label=label)


def clear_shares(cube: Cube, position: int) -> np.ndarray:
    """Share of the pixels of a site for which a channel has a value, at each date."""
    return np.array([np.isfinite(values[position]).mean() for values in cube.values])


def draw_shares(axes: Axes, dates: Sequence[str], shares: np.ndarray) -> None:
    """Stems of the share of clear pixels at each date; a cross where none is clear."""
    days = days_of(dates)
    axes.vlines(days, 0, shares, color=palette.MUTED, lw=1.6)
    axes.plot(days[shares == 0], shares[shares == 0], "x", color=palette.INK, ms=4)
    axes.set(ylim=(-0.06, 1.06), ylabel="Clear")
    axes.set_yticks([0, 0.5, 1])
    axes.yaxis.set_major_formatter(PercentFormatter(1))
