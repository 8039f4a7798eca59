"""Test windows of a series and what networks find in them (stfusion, Fig. 5)."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headscarp.codes import UNMAPPED
from headscarp.exhibits.labels import score_text
from headscarp.exhibits.panels.figure import sign
from headscarp.exhibits.panels.ground import shared_limits
from headscarp.exhibits.panels.legend import legend_at_foot, swatches
from headscarp.exhibits.panels.marks import note_in_corner, scale_bar
from headscarp.exhibits.panels.page import Page
from headscarp.exhibits.panels.scene import OUTCOMES, outcome_handles, outcomes
from headscarp.exhibits.panels.series import NOTHING, SLIDE, draw_image, draw_masks, image_at
from headscarp.exhibits.panels.series_windows import Series, chosen_windows, shapes_in
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.panels.windows import Window, slices
from headscarp.exhibits.spec import ExhibitSpec, RunFiles
from headscarp.exhibits.tidy import frame_of, of_seed, record
from headscarp.files import read_json
from headscarp.scoring.pixel import pixel_metrics
from headscarp.site.cube import Cube


def scene_grid(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Test windows with slides of several sizes and shapes: images of the first and the last date, label, and
    what the first seed of each row finds, a block for each protocol.

    Windows are chosen by rule, in turn: the largest slide, the most slides, small slides only, the longest
    for its width; no two overlap where that can be. The numbers behind it are the F1 of each window and the
    pixels found, false and missed in it, rows such as `st_fusion:scene 1`, and the slides of each window,
    rows such as `scene 1`. Options: `count` (windows, default 4); `composite` (three channels for red, green,
    blue; default red, green, blue).

    Raises:
        HeadscarpError: no test window holds an evaluated slide, or a channel does not exist.
    """
    places = {protocol: Series.of(spec, protocol) for protocol in spec.protocols}
    chosen = {protocol: chosen_windows(spec, series, protocol) for protocol, series in places.items()}
    dates = image_dates(next(iter(places.values())).cube)
    columns = len(dates) + 1 + max(len(spec.first_runs(protocol)) for protocol in spec.protocols)
    shape = max(map(len, chosen.values())), columns, len(chosen)
    page, titles = titled_grid(spec, shape, footer=0.5, caption=0.42)
    figure = page.figure()
    lines = []
    for block, (protocol, windows) in enumerate(chosen.items()):
        page.head(figure, block, f"Protocol: {protocol}")
        series, runs = places[protocol], spec.first_runs(protocol)
        for row, (rule, window) in enumerate(windows):
            name, view = series.scene_at(window)
            page.write_caption(
                figure, block, row, f"{rule.capitalize()}, {name.replace('_', ' ').capitalize()}"
            )
            panels = [page.axes(figure, block, row, column) for column in range(len(dates) + 1 + len(runs))]
            draw_place(panels[: len(dates) + 1], series, list(dates), window, view)
            if series.cube.header.get("patches", {}).get("size_known", True):
                scale_bar(panels[0], view.width_km)
            lines += window_records(spec, series, protocol, f"scene {row + 1}", rule, window)
            for axes, run in zip(panels[len(dates) + 1 :], runs, strict=True):
                numbers = draw_found(axes, series, run, window, view)
                rest = of_seed(run, series.site, f", {rule}: {place_text(name, window)}")
                lines += [
                    record(spec, f"{run.row}:scene {row + 1}", metric, value, **rest)
                    for metric, value in numbers.items()
                ]
            if row == 0:
                for axes, text in zip(
                    panels, (*dates.values(), "Label", *(titles[run.row] for run in runs)), strict=True
                ):
                    axes.set_title(text, fontsize=6.5, pad=3, loc="center")
    handles = [
        *swatches([(SLIDE, "Landslide (label)")]),
        *outcome_handles(),
        *swatches([(NOTHING, "No data (cloud, shadow)")], hatch="//////"),
    ]
    legend_at_foot(figure, handles, 5)
    sign(figure, spec, "Test windows, first seed of each network; in the panels: F1 of the window.")
    return figure, frame_of(lines)


def titled_grid(spec: ExhibitSpec, shape: tuple[int, int, int], **room: float) -> tuple[Page, dict[str, str]]:
    """A page of (rows, columns, blocks) square panels, with a heading that holds the titles of the rows'
    runs, {row: title on lines that fit a panel}; `room` as in `Page.grid`, inches."""
    side = Page.grid(*shape, heading=0.6, **room).side
    titles = {run.row: wrapped(run.label, side) for run in spec.runs}
    title_lines = 1 + max(text.count("\n") for text in titles.values())
    return Page.grid(*shape, heading=0.3 + 0.11 * title_lines, **room), titles


def wrapped(text: str, width: float) -> str:
    """A title on lines that fit a panel of a width in inches."""
    return textwrap.fill(text, max(8, int(width * 17)))


def place_text(name: str, window: Window) -> str:
    row, col, rows, cols = window
    return f"window of {rows} x {cols} pixels from row {row}, column {col} of the cube, scene {name}"


def image_dates(cube: Cube) -> dict[int, str]:
    """{time: title} of the first and the last date of a cube; one where it has no other."""
    dates = cube.header["dates"]
    return {time: f"Image\n{short_date(dates[time])}" for time in sorted({0, len(dates) - 1})}


def short_date(date: str) -> str:
    """A date as it is; of the dates of several scenes (`2008-09-12, 2008-09-20`) their years."""
    days = date.split(", ")
    return date if len(days) == 1 else ", ".join(dict.fromkeys(day[:4] for day in days))


def draw_place(
    panels: Sequence[Axes], series: Series, times: Sequence[int], window: Window, view: View
) -> None:
    """Images of some dates, stretched alike, and the label."""
    images = [image_at(series.cube, time, series.channels, window) for time in times]
    limits = shared_limits(images)
    for axes, image in zip(panels, images, strict=False):
        draw_image(axes, image, limits, view)
    draw_masks(
        panels[-1], view, series.cube.label[slices(window)] != UNMAPPED, {SLIDE: series.slides(window)}
    )


def draw_found(
    axes: Axes, series: Series, run: RunFiles, window: Window, view: View
) -> dict[str, float | None]:
    """What a run finds, invents and misses in a window, with its F1 (None without a slide); returns the F1
    and the pixels of each."""
    probability = View.of(series.grid, window=window).read(run.maps / "probability.tif", classes=True)
    threshold = read_json(run.maps / "scores.json")["threshold"]
    scored = series.scored(window) & np.isfinite(probability)
    slide, mapped = series.slides(window), probability >= threshold
    masks = outcomes(mapped, slide, scored)
    draw_masks(axes, view, scored, {OUTCOMES[outcome]: mask for outcome, mask in masks.items()})
    f1 = pixel_metrics(probability[scored], slide[scored], threshold)["f1"] if slide[scored].any() else None
    note_in_corner(axes, score_text(f1))
    return {"f1": f1} | {f"{outcome}_pixels": float(mask.sum()) for outcome, mask in masks.items()}


def window_records(
    spec: ExhibitSpec, series: Series, protocol: str, row: str, rule: str, window: Window
) -> Iterator[dict[str, Any]]:
    """Tidy records of the evaluated slides of a window."""
    slides = shapes_in(series, window)
    numbers = {
        "slides": len(slides.sizes),
        "largest_slide_pixels": slides.sizes.max(),
        "longest_axis_ratio": slides.ratios.max(),
    }
    note = f"{rule}: {place_text(series.scene_at(window)[0], window)}"
    for metric, value in numbers.items():
        yield record(spec, row, metric, float(value), protocol=protocol, data=series.site.data, note=note)
