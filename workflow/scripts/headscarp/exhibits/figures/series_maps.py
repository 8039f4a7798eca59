"""A place through the dates: why one date is ambiguous and the series is not."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from rasterio.features import rasterize

from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.dates import days_of, look_of_dates
from headscarp.exhibits.panels.figure import WIDTH, panel_letter, sign
from headscarp.exhibits.panels.ground import TRUE_COLOUR, shared_limits
from headscarp.exhibits.panels.legend import legend_at_foot, swatches
from headscarp.exhibits.panels.marks import bare, orient, outline
from headscarp.exhibits.panels.page import Page, place
from headscarp.exhibits.panels.series import NOTHING, draw_image, draw_masks, image_at, true_colour
from headscarp.exhibits.panels.series_windows import telling_window
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.panels.windows import Window, slices
from headscarp.exhibits.spec import ExhibitSpec, SiteFiles
from headscarp.exhibits.tidy import frame_of, record
from headscarp.geo.grid import Grid
from headscarp.site.cube import Cube, open_cube

AGES = ("#56B4E9", "#0072B2", "#CC79A7", "#E69F00", "#D55E00")
VEGETATION, BARE_LAND = "#009E73", "#222222"
CHART = 2.0  # inches: the chart below the maps without its axis
# quantile of the background above which it is vegetation
GREENEST = 2 / 3
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
    axes = place(figure, (0.55, below, WIDTH - 2.65, CHART))
    draw_greenness(axes, dates, greenness, groups, colours)
    axes.set_ylabel(index)
    axes.set_title(f"{panel_letter(len(dates) + 1)} Mean greenness by date, {site.title}", pad=4)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(1.01, 1.03),
        fontsize=6.8,
        title="Number of pixels",
        title_fontsize=7,
        alignment="left",
    )
    legend_at_foot(figure, series_handles(), 4)
    sign(figure, spec, "Bare as new slides: within their quartiles of greenness and of red at the last date.")
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
    started = slides["started"].astype(str).str[:4]
    is_year = started.str.fullmatch(r"\d{4}")
    if not is_year.all():
        raise HeadscarpError(
            f"{path}: the column 'started' must have the year in which each slide started, such as 2019, but "
            f"has '{slides['started'][~is_year].iloc[0]}'; correct it"
        )
    started = started.astype(int)
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
        axes = page.axes_of(figure, 0, time)
        draw_image(axes, image, limits, view)
        for age, colour in enumerate(colours, start=1):
            outline(axes, inside == age, view, colour, 1.1 if age <= time + 1 else 0.8, dashed=age > time + 1)
        axes.set_title(f"{panel_letter(time)} {date}", pad=3)
        bare(axes)
    axes = page.axes_of(figure, 0, len(dates))
    draw_masks(
        axes,
        view,
        cube.label[slices(window)] != UNMAPPED,
        {colour: inside == age for age, colour in enumerate(colours, start=1)},
    )
    axes.set_title(f"{panel_letter(len(dates))} When slides started", pad=3)
    bare(axes)
    orient(axes, view.width_km)


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
        Line2D([], [], color=palette.INK, lw=1.2, label="Slide"),
        Line2D([], [], color=palette.INK, lw=0.9, ls="--", label="Slide that has not started yet"),
        Line2D(
            [],
            [],
            ls="",
            marker="o",
            ms=4,
            mec=palette.INK,
            mfc="white",
            label="Fewer than half of the pixels clear",
        ),
        *swatches([(NOTHING, "No data (cloud, shadow)")], hatch="//////"),
    ]
