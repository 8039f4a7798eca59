"""Charts of time series: scores as bars, pre-training, an index of slides and background through the dates,
and the calendar of a site."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.exhibits import style
from headscarp.exhibits.charts import (
    draw_history,
    factor_label,
    last_values,
    look_of_curves,
    read_history,
    training_of,
)
from headscarp.exhibits.maps import bare, place, show
from headscarp.exhibits.rasters import View
from headscarp.exhibits.run_tables import beside, names_of
from headscarp.exhibits.runs import aggregate, mean_of
from headscarp.exhibits.spec import ExhibitSpec, RunFiles, SiteFiles
from headscarp.exhibits.tidy import frame_of, metric_label, record
from headscarp.geo.grid import Grid
from headscarp.site.cube import Cube, open_cube

# --- what charts by date share


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
    axes.grid(axis="y", color="#DDDDDD", lw=0.5)
    axes.set_axisbelow(True)


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


# --- Figs 6 and 7 of stfusion

METRICS = ("miou", "f1", "auc")
PRINTED = "#000000"


def score_bars(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Bars of each row grouped by metric, a panel for each protocol, with 95 % intervals where there are any
    and the paper's values.

    Options: `metrics` (of scores.json, default miou, f1 and auc); `beside` {metric: metric of the published
    table} and `published_rows` {row: row of the published table}, where their names are others.
    """
    metrics = list(spec.options.get("metrics", METRICS))
    column_of, printed_row = names_of(spec, "beside", metrics), names_of(spec, "published_rows", spec.rows)
    lines = []
    for line in aggregate(spec, metrics):
        row, metric = line["row"], line["metric"]
        lines.append(
            beside(
                line, metric, spec.published_value(printed_row.get(row, row), column_of.get(metric, metric))
            )
        )
    figure = style.new_figure(2.75 + 0.17 * -(-len(spec.rows) // 3))
    panels = figure.subplots(1, len(spec.protocols), squeeze=False, sharey=True)[0]
    for axes, protocol in zip(panels, spec.protocols, strict=True):
        part = {(line["row"], line["metric"]): line for line in lines if line["protocol"] == protocol}
        draw_bars(axes, part, spec.rows, metrics)
        axes.set_title(f"Protocol {protocol}")
    panels[0].set_ylabel("Score")
    handles = style.swatches(
        (style.OKABE_ITO[index % 8], spec.labels[row]) for index, row in enumerate(spec.rows)
    )
    if any(line["published"] is not None for line in lines):
        handles.append(
            Line2D([], [], color=PRINTED, ls="", marker="D", ms=4, mfc="white", label="Printed in the paper")
        )
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    style.sign(figure, spec, "Mean of seeds; whiskers: 95 % bootstrap over blocks and seeds.")
    return figure, frame_of(lines)


def draw_bars(
    axes: Axes, part: Mapping[tuple[str, str], Mapping[str, Any]], rows: Sequence[str], metrics: Sequence[str]
) -> None:
    """Bars of one protocol; `part` holds tidy lines by (row, metric)."""
    width = 0.84 / len(rows)
    for group, metric in enumerate(metrics):
        for index, row in enumerate(rows):
            line = part.get((row, metric))
            if line is None:
                continue
            x = group - 0.42 + width * (index + 0.5)
            colour = style.OKABE_ITO[index % 8]
            if line["value"] is not None:
                axes.bar(x, line["value"], width * 0.9, color=colour)
                text = {
                    "rotation": 90,
                    "ha": "center",
                    "va": "bottom",
                    "fontsize": 6,
                    "color": text_colour(colour),
                }
                axes.text(x, 0.015, f"{line['value']:.3f}", **text)
            if line["ci_low"] is not None:
                for ink, thickness in (("white", 2.4), (style.INK, 1.0)):
                    axes.vlines(x, line["ci_low"], line["ci_high"], color=ink, lw=thickness)
            if line["published"] is not None:
                axes.plot(x, line["published"], "D", color=PRINTED, mfc="white", ms=4, mew=0.9, zorder=5)
    axes.set_xticks(range(len(metrics)), [metric_label(metric) for metric in metrics])
    axes.tick_params(axis="x", length=0)
    axes.set_ylim(0, 1.02)
    axes.grid(axis="y", color="#DDDDDD", lw=0.5)
    axes.set_axisbelow(True)


def text_colour(ground: str) -> str:
    """Black or white, whichever can be read better on a colour."""
    red, green, blue = to_rgb(ground)
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.55 else "black"


# --- pre-training of the deep belief network

RBM = "rbm "  # how the phase of a machine begins


def pretraining_chart(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Reconstruction error of each restricted Boltzmann machine by epoch, and beside it the training and
    validation loss of all rows by epoch of the training that follows; a row of panels for each protocol,
    every seed a line.

    The numbers behind it are the reconstruction error of the first and the last epoch of each machine, rows
    such as `st_fusion:rbm 1`, and the losses of the last epoch, mean and sd over seeds.

    Raises:
        HeadscarpError: a history is missing, or no run was pre-trained.
    """
    histories = {run.folder: read_history(run.folder / "history.csv") for run in spec.runs}
    machines = {run.folder: machines_of(histories[run.folder]) for run in spec.runs}
    pretrained = [run for run in spec.runs if machines[run.folder]]
    if not pretrained:
        raise HeadscarpError(
            f"exhibit '{spec.name}' ({spec.kind}): none of its runs was pre-trained "
            f"({spec.runs[0].folder / 'history.csv'} has no phase "
            "'rbm 1'); name an experiment with `pretraining` in its training among the `rows`"
        )
    trainings = {folder: training_of(history) for folder, history in histories.items()}
    names = list(dict.fromkeys(name for run in pretrained for name in machines[run.folder]))
    figure = style.new_figure(0.85 + 2.0 * len(spec.protocols))
    panels = figure.subplots(len(spec.protocols), 2, squeeze=False, sharex="col")
    for (left, right), protocol in zip(panels, spec.protocols, strict=True):
        for run in (run for run in pretrained if run.protocol == protocol):
            for index, name in enumerate(names):
                if name in machines[run.folder]:
                    errors = machines[run.folder][name]
                    look = {
                        "color": RBM_COLOURS[index % len(RBM_COLOURS)],
                        "marker": style.MARKERS[index % 8],
                        "ms": 3,
                        "lw": 1.1,
                    }
                    left.plot(errors.index, errors, **look)
        for run in (run for run in spec.runs if run.protocol == protocol):
            draw_history(right, trainings[run.folder], "loss", style.OKABE_ITO[spec.rows.index(run.row) % 8])
        look_of_curves(left, "loss")
        look_of_curves(right, "loss")
        left.set(ylabel=f"Protocol {protocol}\nReconstruction error")
        right.set(ylabel="Loss")
    panels[0, 0].set_title("(a) Pre-training, machine by machine")
    panels[0, 1].set_title("(b) Training of the whole network")
    for axes in panels[-1]:
        axes.set_xlabel("Epoch")
    figure.legend(handles=pretraining_handles(spec, names), loc="outside upper center", ncols=4)
    style.sign(figure, spec, "RBM: restricted Boltzmann machine. Every line is a seed.")
    lines = [*machine_records(spec, pretrained, machines, names), *last_values(spec, trainings, ["loss"])]
    return figure, frame_of(lines)


RBM_COLOURS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def machines_of(history: pd.DataFrame) -> dict[str, pd.Series]:
    """{phase: reconstruction error by epoch} of the machines that a history tells of."""
    if "phase" not in history:
        return {}
    phases = [phase for phase in dict.fromkeys(history["phase"]) if phase.startswith(RBM)]
    return {
        phase: history[history["phase"] == phase].groupby("epoch")["reconstruction_error"].mean()
        for phase in phases
    }


def pretraining_handles(spec: ExhibitSpec, names: Sequence[str]) -> list[Line2D]:
    machines = [
        Line2D(
            [],
            [],
            color=RBM_COLOURS[index % len(RBM_COLOURS)],
            marker=style.MARKERS[index % 8],
            ms=3,
            lw=1.1,
            label=name.replace("rbm", "RBM"),
        )
        for index, name in enumerate(names)
    ]
    rows = [
        Line2D([], [], color=style.OKABE_ITO[index % 8], lw=3, label=spec.labels[row])
        for index, row in enumerate(spec.rows)
    ]
    kinds = [
        Line2D([], [], color=style.INK, lw=1, label="Training"),
        Line2D([], [], color=style.INK, lw=1, ls="--", label="Validation"),
    ]
    return [*machines, *rows, *kinds]


def machine_records(
    spec: ExhibitSpec,
    pretrained: Sequence[RunFiles],
    machines: Mapping[Path, Mapping[str, pd.Series]],
    names: Sequence[str],
) -> Iterator[dict[str, Any]]:
    for protocol in spec.protocols:
        for row in spec.rows:
            of_runs = [
                machines[run.folder] for run in pretrained if (run.row, run.protocol) == (row, protocol)
            ]
            for name in names if of_runs else ():
                for which, position in (("first", 0), ("last", -1)):
                    value = mean_of([float(one[name].iloc[position]) for one in of_runs if name in one])
                    rest = {"protocol": protocol, "data": spec.only_site().data}
                    yield record(
                        spec, f"{row}:{name}", f"reconstruction_error_{which}_epoch", **rest, **value
                    )


# --- an index of slides and background through an event

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
    figure = style.new_figure(3.9)
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
            axes.axvline(event, color=style.INK, lw=1, ls="--")
        upper.plot([], [], color=style.INK, lw=1, ls="--", label=f"Event, {event}")
    upper.set_ylabel(factor_label(name))
    upper.legend(loc="best")
    look_of_dates(lower, dates)
    upper.grid(axis="y", color="#DDDDDD", lw=0.5)
    style.sign(
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


def clear_shares(cube: Cube, position: int) -> np.ndarray:
    """Share of the pixels of a site for which a channel has a value, at each date."""
    return np.array([np.isfinite(values[position]).mean() for values in cube.values])


def draw_shares(axes: Axes, dates: Sequence[str], shares: np.ndarray) -> None:
    """Stems of the share of clear pixels at each date; a cross where none is clear."""
    days = days_of(dates)
    axes.vlines(days, 0, shares, color=style.MUTED, lw=1.6)
    axes.plot(days[shares == 0], shares[shares == 0], "x", color=style.INK, ms=4)
    axes.set(ylim=(-0.06, 1.06), ylabel="Clear")
    axes.set_yticks([0, 0.5, 1])
    axes.yaxis.set_major_formatter(PercentFormatter(1))


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


# --- when a site was seen

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
    figure = style.new_figure(4.25 + down, layout=None)
    calendar, series = (
        place(figure, (LEFT, top, style.WIDTH - LEFT - RIGHT, height))
        for top, height in ((0.3, 1.0), (1.7, 1.45))
    )
    draw_shares(calendar, dates, shares)
    calendar.set_title(f"(a) Share of clear pixels at {len(dates)} dates", pad=4)
    draw_band(series, dates, shown, style.OKABE_ITO[0], "o", factor_label(name))
    series.set_title(f"(b) {factor_label(name)}: median and quartiles of the clear pixels", pad=4)
    series.set_ylabel(factor_label(name))
    for axes in (calendar, series):
        look_of_dates(axes, dates)
    pixels = place(figure, (LEFT, 3.6, across, down))
    drawn = show(pixels, view.thin(counts), view, cmap="cividis")
    pixels.set_title("(c) Clear dates of each pixel", pad=4)
    bare(pixels)
    style.scale_bar(pixels, view.width_km)
    style.north_arrow(pixels)
    bar = place(figure, (LEFT + across + 0.1, 3.6, 0.1, down))
    figure.colorbar(drawn, cax=bar, label="Dates", ticks=MaxNLocator(6, integer=True))
    gaps = np.diff(days_of(dates)).astype(int)
    beside = LEFT + across + 1.2
    draw_gaps(place(figure, (beside, 3.6, style.WIDTH - beside - RIGHT, down)), gaps)
    style.sign(figure, spec, f"{site.title}, {dates[0]} to {dates[-1]}. Clear: the pixel has a value.")
    lines = list(calendar_records(spec, site, dates, shares, shown, clear))
    lines += whole_records(spec, site, gaps, counts)
    return figure, frame_of(lines)


def draw_gaps(axes: Axes, gaps: np.ndarray) -> None:
    """How often two successive dates are so many days apart."""
    axes.hist(gaps, np.linspace(0, gaps.max(), 25), color=style.OKABE_ITO[5])
    axes.set_title("(d) Days between successive dates", pad=4)
    axes.set(xlabel="Days", ylabel="Pairs of dates")
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.axvline(np.median(gaps), color=style.INK, lw=1, ls="--", label=f"Median {np.median(gaps):g}")
    axes.axvline(gaps.max(), color=style.OKABE_ITO[1], lw=1, ls=":", label=f"Longest {gaps.max()}")
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
