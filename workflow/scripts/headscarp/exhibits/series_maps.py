"""Figures of a time series on maps: what networks find in scenes seen at several dates, and slides of all
ages through the dates."""

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from rasterio.features import rasterize

from headscarp.arrays import open_array
from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.exhibits import style
from headscarp.exhibits.inventory_maps import COLOURS, LEGEND, OUTCOMES, nothing_to_show
from headscarp.exhibits.maps import (
    TEST,
    TRUE_COLOUR,
    Page,
    band_limits,
    bare,
    hatch,
    outline,
    paint,
    place,
    samples_of,
    show,
    stretch,
)
from headscarp.exhibits.rasters import View
from headscarp.exhibits.series_charts import days_of, look_of_dates
from headscarp.exhibits.spec import ExhibitSpec, RunFiles, SiteFiles
from headscarp.exhibits.tidy import frame_of, record
from headscarp.exhibits.vhr_maps import Sheet, first_runs, fraction, legend_at_foot
from headscarp.files import read_json
from headscarp.geo.grid import Grid
from headscarp.samples.windows import counts_in_windows, grid_corners, read_windows
from headscarp.scoring.pixel import pixel_metrics
from headscarp.site.cube import Cube, open_cube

# of masks: ground and slide; of images: where they have no data
GROUND, SLIDE, NOTHING = "#E4E4E4", "#222222", "#BDBDBD"

Window = tuple[int, int, int, int]  # first row, first column, rows, columns


def image_at(cube: Cube, time: int, channels: Sequence[int], window: Window) -> np.ndarray:
    """Three channels of a cube at a date as red, green, blue in a window, (row, col, 3), unstretched, NaN
    where there is no data."""
    row, col, rows, cols = window
    return np.stack(
        [cube.values[time, channel, row : row + rows, col : col + cols] for channel in channels], axis=-1
    )


def shared_limits(images: Sequence[np.ndarray]) -> np.ndarray:
    """What several images (row, col, 3) of one place are stretched between, (2, 3); 0 and 1 where none has
    data."""
    pixels = np.concatenate([image.reshape(-1, 1, 3) for image in images])
    seen = pixels[np.isfinite(pixels).all(axis=-1)]
    return band_limits(seen[:, None]) if seen.size else np.array([[0.0] * 3, [1.0] * 3])


def draw_image(axes: Axes, image: np.ndarray, limits: np.ndarray, view: View) -> None:
    """A true-colour image, grey and hatched where there is no data."""
    picture, missing = stretch(image, limits), ~np.isfinite(image).all(axis=-1)
    paint(picture, missing, NOTHING)
    show(axes, picture, view)
    hatch(axes, missing, view, "/////", "#6E6E6E")


def true_colour(spec: ExhibitSpec, cube: Cube) -> list[int]:
    """Positions of the channels that are shown as red, green and blue."""
    channels = list(spec.options.get("composite", TRUE_COLOUR))
    if len(channels) != 3:
        raise HeadscarpError(
            f"an image needs three channels for red, green and blue but the exhibit's options name {channels}"
        )
    return cube.positions(channels)


# --- Fig. 5 of stfusion

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
    columns = len(dates) + 1 + max(len(first_runs(spec, protocol)) for protocol in spec.protocols)
    sheet = Sheet(max(map(len, chosen.values())), columns, len(chosen), heading=0.6, footer=0.5, caption=0.42)
    titles = {run.row: wrapped(run.label, sheet.side) for run in spec.runs}
    sheet = replace(sheet, heading=0.3 + 0.11 * (1 + max(text.count("\n") for text in titles.values())))
    figure = sheet.figure()
    lines = []
    for block, (protocol, windows) in enumerate(chosen.items()):
        sheet.head(figure, block, f"Protocol: {protocol}")
        series, runs = places[protocol], first_runs(spec, protocol)
        for row, (rule, window) in enumerate(windows):
            name, view = series.scene_at(window)
            sheet.write_caption(
                figure, block, row, f"{rule.capitalize()}, {name.replace('_', ' ').capitalize()}"
            )
            panels = [sheet.axes(figure, block, row, column) for column in range(len(dates) + 1 + len(runs))]
            draw_place(panels[: len(dates) + 1], series, list(dates), window, view)
            style.scale_bar(panels[0], view.width_km)
            lines += window_records(spec, series, protocol, f"scene {row + 1}", rule, window)
            for axes, run in zip(panels[len(dates) + 1 :], runs, strict=True):
                numbers = draw_found(axes, series, run, window, view)
                note = f"seed {run.seed}, {rule}: {place_text(name, window)}"
                rest = {"protocol": protocol, "n_seeds": 1, "data": series.site.data, "note": note}
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
        *style.swatches([(SLIDE, "Landslide (label)"), *LEGEND]),
        *style.swatches([(NOTHING, "No data (cloud, shadow)")], hatch="//////"),
    ]
    legend_at_foot(figure, handles, 5)
    style.sign(figure, spec, "Test windows, first seed of each network; in the panels: F1 of the window.")
    return figure, frame_of(lines)


def wrapped(text: str, width: float) -> str:
    """A title on lines that fit a panel of a width in inches."""
    return textwrap.fill(text, max(8, int(width * 17)))


def slices(window: Window) -> tuple[slice, slice]:
    row, col, rows, cols = window
    return slice(row, row + rows), slice(col, col + cols)


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


def draw_masks(axes: Axes, view: View, known: np.ndarray, masks: Mapping[str, np.ndarray]) -> None:
    """{colour: mask (row, col)} on plain ground, hatched where nothing is known."""
    picture = np.ones((*view.shape, 3))
    paint(picture, known, GROUND)
    for colour, mask in masks.items():
        paint(picture, mask, colour)
    paint(picture, ~known, NOTHING)
    show(axes, picture, view)
    hatch(axes, ~known, view, "/////", "#6E6E6E")


def draw_found(
    axes: Axes, series: Series, run: RunFiles, window: Window, view: View
) -> dict[str, float | None]:
    """What a run finds, invents and misses in a window, with its F1 (None without a slide); returns the F1
    and the pixels of each."""
    probability = View.of(series.grid, window=window).read(run.maps / "probability.tif", classes=True)
    threshold = read_json(run.maps / "scores.json")["threshold"]
    scored = series.scored(window) & np.isfinite(probability)
    slide, mapped = series.slides(window), probability >= threshold
    masks = [mask & scored for mask in (mapped & slide, mapped & ~slide, ~mapped & slide)]
    draw_masks(axes, view, scored, dict(zip(COLOURS, masks, strict=True)))
    f1 = pixel_metrics(probability[scored], slide[scored], threshold)["f1"] if slide[scored].any() else None
    box = {"boxstyle": "square,pad=0.2", "fc": "white", "ec": "none", "alpha": 0.85}
    axes.text(
        0.97,
        0.03,
        fraction(f1),
        transform=axes.transAxes,
        ha="right",
        va="bottom",
        fontsize=6,
        bbox=box,
        zorder=8,
    )
    return {"f1": f1} | {
        f"{outcome}_pixels": float(mask.sum()) for outcome, mask in zip(OUTCOMES, masks, strict=True)
    }


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


# --- why one date is ambiguous and the series is not

AGES = ("#56B4E9", "#0072B2", "#CC79A7", "#E69F00", "#D55E00")
VEGETATION, BARE_LAND = "#009E73", "#222222"
CHART = 2.0  # inches: the chart below the maps without its axis
# quantile of the background above which it is vegetation; pixels of slides of an age that a window shows
GREENEST, SHOWN = 2 / 3, 20
SIDE = 96  # pixels of the window


def series_maps(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """A window of a site at all dates in true colour, with slides outlined by when they started, over the
    mean greenness through the dates of slides of each age, of vegetation and of bare land that looks like
    slides.

    Greenness is the NDVI where the cube has it or `nir`, else the excess green (2g - r - b) / (r + g + b)
    (Woebbecke et al. 1995). Vegetation: the third of what is no slide that is greenest in the mean of its
    dates. Bare land: no slide, at the last date within the quartiles of the newest slides in greenness and in
    red. The numbers behind it are these means with their clear pixels, rows such as `slides
    2008-2011:2014-09-11`. Options: `window` (pixels along a side, default 96); `composite` (three channels;
    default red, green, blue).

    Raises:
        HeadscarpError: the site has one date only, its slides have no column `started`, or none has started
        by the last date.
    """
    site = spec.only_site()
    cube = open_cube(site.folder / "cube")
    dates = cube.header["dates"]
    if len(dates) < 2:
        raise HeadscarpError(
            f"exhibit '{spec.name}' ({spec.kind}): site '{site.name}' has one date only; name a site "
            f"with several `dates`"
        )
    ages = slide_ages(site, cube)
    names = age_names(dates)
    colours = age_colours(len(dates))
    greenness, index = greenness_of(cube)
    groups = pixel_groups(greenness, cube.values[-1, cube.positions(["red"])[0]], ages, cube.label, names)
    window = telling_window(ages, cube, int(spec.options.get("window", SIDE)))
    page = Page.fit(len(dates) + 1, 1.0, 1, 0, footer=CHART + 1.1)
    figure = page.figure()
    draw_dates(figure, page, spec, cube, ages, colours, window)
    below = page.block[1] + 0.3
    axes = place(figure, (0.55, below, style.WIDTH - 2.65, CHART))
    draw_greenness(axes, dates, greenness, groups, colours)
    axes.set_ylabel(index)
    axes.set_title(f"{style.panel_letter(len(dates) + 1)} Mean greenness by date, {site.title}", pad=4)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(1.01, 1.03),
        fontsize=6.8,
        title="Number of pixels",
        title_fontsize=7,
        alignment="left",
    )
    legend_at_foot(figure, series_handles(), 4)
    style.sign(
        figure, spec, "Bare as new slides: within their quartiles of greenness and of red at the last date."
    )
    return figure, frame_of(greenness_records(spec, site, dates, greenness, groups, index))


def slide_ages(site: SiteFiles, cube: Cube) -> np.ndarray:
    """Ages (row, col) of slides: 0 none, k those that are there at the k-th date and not yet at the one
    before; newer above older ones.

    A slide is there at the dates from the year in which it started (column `started` of landslides.gpkg) on.

    Raises:
        HeadscarpError: the file is missing or has no years, or no slide started by the last date.
    """
    from headscarp.geo.vectors import read_vectors

    grid = Grid.from_record(cube.header["grid"])
    path = site.raw / "landslides.gpkg"
    slides = read_vectors(path, grid.crs)
    if "started" not in slides:
        raise HeadscarpError(
            f"{path} has no column 'started' (the year in which each slide started); name a simulated "
            f"site with several dates"
        )
    started = slides["started"].astype(str).str[:4].astype(int)
    years = np.array([int(date[:4]) for date in cube.header["dates"]])
    age = np.searchsorted(years, started) + 1
    shapes = sorted(
        ((shape, int(one)) for shape, one in zip(slides.geometry, age, strict=True) if one <= len(years)),
        key=lambda pair: pair[1],
    )
    if not shapes:
        raise HeadscarpError(
            f"{path} holds no slide that started by {cube.header['dates'][-1]}, the last date of site "
            f"'{site.name}'"
        )
    return rasterize(shapes, grid.shape, transform=grid.transform, dtype=np.uint8)


def age_names(dates: Sequence[str]) -> list[str]:
    """What people read for the slides of each age, from 1 on."""
    return [f"until {dates[0][:4]}", *(f"{before[:4]}–{date[:4]}" for before, date in pairwise(dates))]


def age_colours(count: int) -> list[str]:
    """A colour for the slides of each age, from 1 on."""
    return (
        list(AGES[-count:])
        if count <= len(AGES)
        else [to_hex(colormaps["plasma"](share)) for share in np.linspace(0, 0.9, count)]
    )


def greenness_of(cube: Cube) -> tuple[np.ndarray, str]:
    """Greenness (time, row, col) of a cube, NaN = no data, and its name: NDVI where there is a near infrared,
    else the excess green."""
    if "ndvi" in cube.channels:
        return cube.values[:, cube.positions(["ndvi"])[0]], "NDVI"
    if "nir" in cube.channels:
        nir, red = (cube.values[:, position] for position in cube.positions(["nir", "red"]))
        return ratio(nir - red, nir + red), "NDVI"
    red, green, blue = (cube.values[:, position] for position in cube.positions(TRUE_COLOUR))
    return ratio(2 * green - red - blue, red + green + blue), "Excess green"


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


def pixel_groups(
    greenness: np.ndarray, red: np.ndarray, ages: np.ndarray, label: np.ndarray, names: Sequence[str]
) -> dict[str, np.ndarray]:
    """{name: mask (row, col)} of the slides of each age that has any, of vegetation and of bare land, those
    that have any pixel.

    Args:
        greenness: (time, row, col). red: (row, col) of the last date.
    """
    groups = {f"slides {name}": ages == age for age, name in enumerate(names, start=1)}
    rest = (label != LANDSLIDE) & (label != UNMAPPED) & (ages == 0)
    clear = np.isfinite(greenness).sum(axis=0)
    mean = np.where(clear > 0, np.nansum(greenness, axis=0) / np.maximum(clear, 1), np.nan)
    groups["vegetation"] = rest & (mean > np.nanquantile(mean[rest], GREENEST))
    newest = (ages == ages.max()) & np.isfinite(greenness[-1])
    groups["bare land"] = rest & newest.any()
    for values in (greenness[-1], red) if newest.any() else ():
        low, high = np.quantile(values[newest], [0.25, 0.75])
        groups["bare land"] &= (values >= low) & (values <= high)
    return {name: mask for name, mask in groups.items() if mask.any()}


def telling_window(ages: np.ndarray, cube: Cube, side: int) -> Window:
    """The square window that shows slides of the most ages, and of those the one that is clearest through the
    dates; the first of equals.

    A window shows slides of an age with `SHOWN` pixels of them, an eighth of its side or more from its edge.
    Windows start at every eighth.
    """
    side = min(side, *ages.shape)
    rim = side // 8
    corners = grid_corners(ages.shape, side, max(1, rim))
    inner = [
        counts_in_windows(ages == age, corners + rim, side - 2 * rim) for age in np.unique(ages[ages > 0])
    ]
    shown = sum((count >= SHOWN).astype(float) for count in inner)
    optical = cube.values[:, cube.positions(["red"])[0]] if "red" in cube.channels else cube.values[:, 0]
    clear = sum(counts_in_windows(np.isfinite(values), corners, side) for values in optical) / (
        len(optical) * side**2
    )
    row, col = corners[np.argmax(shown + clear / 2)]
    return int(row), int(col), side, side


def draw_dates(
    figure: Figure,
    page: Page,
    spec: ExhibitSpec,
    cube: Cube,
    ages: np.ndarray,
    colours: Sequence[str],
    window: Window,
) -> None:
    """The window at each date, and the ages of its slides; slides that have not started yet are dashed."""
    dates, channels = cube.header["dates"], true_colour(spec, cube)
    view = View.of(Grid.from_record(cube.header["grid"]), window=window)
    images = [image_at(cube, time, channels, window) for time in range(len(dates))]
    limits, inside = shared_limits(images), ages[slices(window)]
    for time, (date, image) in enumerate(zip(dates, images, strict=True)):
        axes = page.axes(figure, 0, time)
        draw_image(axes, image, limits, view)
        for age, colour in enumerate(colours, start=1):
            outline(axes, inside == age, view, colour, 1.1 if age <= time + 1 else 0.8, dashed=age > time + 1)
        axes.set_title(f"{style.panel_letter(time)} {date}", pad=3)
        bare(axes)
    axes = page.axes(figure, 0, len(dates))
    draw_masks(
        axes,
        view,
        cube.label[slices(window)] != UNMAPPED,
        {colour: inside == age for age, colour in enumerate(colours, start=1)},
    )
    axes.set_title(f"{style.panel_letter(len(dates))} When slides started", pad=3)
    bare(axes)
    style.scale_bar(axes, view.width_km)
    style.north_arrow(axes)


def draw_greenness(
    axes: Axes,
    dates: Sequence[str],
    greenness: np.ndarray,
    groups: Mapping[str, np.ndarray],
    colours: Sequence[str],
) -> None:
    """Mean greenness of each group by date; hollow where fewer than half of its pixels are clear, a gap where
    none is."""
    names = {f"slides {name}": colour for name, colour in zip(age_names(dates), colours, strict=True)}
    looks = names | {"vegetation": VEGETATION, "bare land": BARE_LAND}
    words = {"vegetation": "rest: greenest third", "bare land": "rest: bare as new slides"}
    for name, mask in groups.items():
        means, clear = clear_means(greenness, mask)
        background = name not in names
        look = {"color": looks[name], "lw": 1.2, "ls": "--" if background else "-"}
        axes.plot(days_of(dates), means, label=f"{words.get(name, name)} ({mask.sum():,})", **look)
        for when, mean, share in zip(days_of(dates), means, clear / mask.sum(), strict=True):
            axes.plot(
                when,
                mean,
                "s" if background else "o",
                ms=4,
                mec=looks[name],
                mfc=looks[name] if share >= 0.5 else "white",
            )
    look_of_dates(axes, dates)
    axes.set_xticks(days_of(dates), dates)


def clear_means(greenness: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (NaN where there is none) and number of the clear pixels of a mask (row, col) at each date."""
    values = greenness[:, mask]
    clear = np.isfinite(values).sum(axis=1)
    return np.where(clear > 0, np.nansum(values, axis=1) / np.maximum(clear, 1), np.nan), clear


def greenness_records(
    spec: ExhibitSpec,
    site: SiteFiles,
    dates: Sequence[str],
    greenness: np.ndarray,
    groups: Mapping[str, np.ndarray],
    index: str,
) -> Iterator[dict[str, Any]]:
    for name, mask in groups.items():
        for date, mean, clear in zip(dates, *clear_means(greenness, mask), strict=True):
            row, note = f"{name}:{date}", f"{index} of {mask.sum()} pixels"
            yield record(spec, row, "greenness", float(mean), data=site.data, note=note)
            yield record(spec, row, "clear_pixels", float(clear), data=site.data, note=note)


def series_handles() -> list[Any]:
    """Legend handles of what the legend of the chart does not say."""
    return [
        Line2D([], [], color=style.INK, lw=1.2, label="Slide"),
        Line2D([], [], color=style.INK, lw=0.9, ls="--", label="Slide that has not started yet"),
        Line2D(
            [],
            [],
            ls="",
            marker="o",
            ms=4,
            mec=style.INK,
            mfc="white",
            label="Fewer than half of the pixels clear",
        ),
        *style.swatches([(NOTHING, "No data (cloud, shadow)")], hatch="//////"),
    ]
