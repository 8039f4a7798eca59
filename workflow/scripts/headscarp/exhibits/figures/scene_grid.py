"""Test windows of a series and what networks find in them (stfusion, Fig. 5)."""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.exhibits.labels import score_text
from headscarp.exhibits.panels.figure import sign
from headscarp.exhibits.panels.ground import shared_limits
from headscarp.exhibits.panels.legend import legend_at_foot, swatches
from headscarp.exhibits.panels.marks import scale_bar
from headscarp.exhibits.panels.page import Page
from headscarp.exhibits.panels.scene import OUTCOMES, nothing_to_show, outcome_handles, outcomes, samples_of
from headscarp.exhibits.panels.series import NOTHING, SLIDE, draw_image, draw_masks, image_at, true_colour
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.panels.windows import Window, slices
from headscarp.exhibits.spec import ExhibitSpec, RunFiles, SiteFiles
from headscarp.exhibits.tidy import frame_of, of_seed, record
from headscarp.files import read_json
from headscarp.geo.grid import Grid
from headscarp.samples.splits import TEST
from headscarp.samples.windows import grid_corners, read_windows
from headscarp.scoring.pixel import pixel_metrics
from headscarp.site.cube import Cube, open_array, open_cube

LEAST = 4  # pixels of a slide that counts as one in a window


@dataclass(frozen=True)
class Shapes:
    """The slides in a window: pixels of each inside it, ratio of the axes of each, and what each counts:
    half, if the window cuts it."""

    sizes: np.ndarray
    ratios: np.ndarray
    counts: np.ndarray


# What the four images of the paper stand for ("several major landslide scales and morphologies"): how a
# window is rated, given the median size of the slides of all windows. The window rated highest is shown.
RULES: dict[str, Callable[[Shapes, float], float]] = {
    "largest slide": lambda slides, typical: float((slides.sizes * slides.counts).max()),
    "several slides": lambda slides, typical: float(slides.counts.sum()),
    "small slides": lambda slides, typical: float(
        slides.counts.sum() if slides.sizes.max() <= typical else -slides.sizes.max()
    ),
    "long slide": lambda slides, typical: float(
        (slides.ratios * slides.counts)[slides.sizes >= min(typical, slides.sizes.max())].max()
    ),
}


@dataclass(frozen=True)
class Series:
    """A site as `scene_grid` shows it under a protocol: its cube, the channels of its image, its samples and
    their regions (row, col)."""

    site: SiteFiles
    cube: Cube
    channels: Sequence[int]
    samples: Path
    regions: np.ndarray

    @classmethod
    def of(cls, spec: ExhibitSpec, protocol: str) -> "Series":
        site = spec.only_site()
        cube, samples = open_cube(site.folder / "cube"), samples_of(site, protocol)
        return cls(site, cube, true_colour(spec, cube), samples, open_array(samples / "regions.npy"))

    def scored(self, window: Window) -> np.ndarray:
        """The evaluated pixels (row, col) in a window."""
        part = slices(window)
        return (self.regions[part] == TEST) & (self.cube.label[part] != UNMAPPED)

    def slides(self, window: Window) -> np.ndarray:
        """The label (row, col) of a window as a mask of slides."""
        return self.cube.label[slices(window)] == LANDSLIDE

    @property
    def grid(self) -> Grid:
        return Grid.from_record(self.cube.header["grid"])

    def scene_at(self, window: Window) -> tuple[str, View]:
        """Name of the scene of a collage (of the site, where it is no collage) that holds a window, and the
        window's view there."""
        for scene in self.cube.header.get("scenes", []):
            if scene["row"] <= window[0] < scene["row"] + scene["height"]:
                there = (window[0] - scene["row"], *window[1:])
                return scene["name"], View.of(Grid.from_record(scene["grid"]), window=there)
        return self.site.name, View.of(self.grid, window=window)


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
    room = {"footer": 0.5, "caption": 0.42}
    side = Page.grid(*shape, heading=0.6, **room).side
    titles = {run.row: wrapped(run.label, side) for run in spec.runs}
    title_lines = 1 + max(text.count("\n") for text in titles.values())
    page = Page.grid(*shape, heading=0.3 + 0.11 * title_lines, **room)
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


def chosen_windows(spec: ExhibitSpec, series: Series, protocol: str) -> list[tuple[str, Window]]:
    """(rule, window) of the test windows to show: each rule in turn takes the window that it rates highest,
    of those that overlap no earlier one; of equals, the first.

    Raises:
        HeadscarpError: samples are missing, or no test window holds an evaluated slide.
    """
    shapes = {
        window: slides for window in test_windows(series) if (slides := shapes_in(series, window)) is not None
    }
    if not shapes:
        raise nothing_to_show(spec, protocol)
    typical = float(np.median(np.concatenate([slides.sizes for slides in shapes.values()])))
    rules, chosen = list(RULES), []
    for number in range(int(spec.options.get("count", len(RULES)))):
        free = [window for window in shapes if not any(overlap(window, taken) for _, taken in chosen)]
        free = free or [window for window in shapes if window not in [taken for _, taken in chosen]]
        if not free:
            break
        rule = rules[number % len(rules)]
        chosen.append((rule, max(free, key=lambda window: RULES[rule](shapes[window], typical))))
    return chosen


def test_windows(series: Series) -> list[Window]:
    """Test windows of a protocol, each place once; those of the regular grid where it evaluates the whole
    area."""
    windows = read_windows(series.samples / "windows.csv")
    squares = dict.fromkeys((one.row, one.col, one.size, one.size) for one in windows if one.split == "test")
    if squares:
        return list(squares)
    sampling = read_json(series.samples / "samples.json")
    size = sampling["window"]
    return [
        (int(row), int(col), size, size)
        for row, col in grid_corners(series.grid.shape, size, sampling["stride"])
    ]


def shapes_in(series: Series, window: Window) -> Shapes | None:
    """The evaluated slides in a window; None where there is none."""
    shown, instances = series.scored(window) & series.slides(window), series.cube.instances[slices(window)]
    numbers, sizes = np.unique(instances[shown], return_counts=True)
    kept = (numbers > 0) & (sizes >= LEAST)
    if not kept.any():
        return None
    masks = [shown & (instances == number) for number in numbers[kept]]
    cut = [mask[[0, -1]].any() or mask[:, [0, -1]].any() for mask in masks]
    return Shapes(sizes[kept], np.array([axis_ratio(mask) for mask in masks]), np.where(cut, 0.5, 1.0))


def axis_ratio(mask: np.ndarray) -> float:
    """Length over width of a mask (row, col): ratio of the axes of the ellipse with its second moments,
    pixels being squares."""
    moments = np.cov(np.array(np.nonzero(mask), float), bias=True) + np.eye(2) / 12
    narrow, wide = np.linalg.eigvalsh(moments)
    return float(np.sqrt(wide / narrow))


def overlap(one: Window, other: Window) -> bool:
    """Whether two windows share a pixel."""
    return all(
        one[axis] < other[axis] + other[axis + 2] and other[axis] < one[axis] + one[axis + 2]
        for axis in (0, 1)
    )


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
    box = {"boxstyle": "square,pad=0.2", "fc": "white", "ec": "none", "alpha": 0.85}
    axes.text(
        0.97,
        0.03,
        score_text(f1),
        transform=axes.transAxes,
        ha="right",
        va="bottom",
        fontsize=6,
        bbox=box,
        zorder=8,
    )
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
