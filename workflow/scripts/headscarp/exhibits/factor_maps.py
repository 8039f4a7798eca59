"""Figures that are maps of classes: lithology and soil, factors in natural breaks, susceptibility in natural
breaks."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from headscarp.errors import HeadscarpError
from headscarp.exhibits import style
from headscarp.exhibits.charts import factor_label
from headscarp.exhibits.maps import Page, bare, hatch, mapped_area, paint, place, show
from headscarp.exhibits.rasters import (
    View,
    class_counts,
    class_names,
    is_classed,
    layer_path,
    layer_record,
    site_grid,
    units_of,
    values_of,
)
from headscarp.exhibits.spec import ExhibitSpec, RunFiles, SiteFiles
from headscarp.exhibits.tidy import UNIT, frame_of, record, unit_text
from headscarp.geo.layer import ANGLE
from headscarp.scoring.breaks import natural_breaks

CLASSES, BREAKS_SEED = 5, 0
CLASS_UNIT = "class"  # the units of class layers
NOT_MAPPED = "#FFFFFF"

# Tints of seven hues that stay apart with deuteranopia and protanopia; hatches make three classes of each.
TINTS = ["#9CC9E8", "#F2B179", "#8FCFB4", "#E3B4CF", "#F3E08A", "#5E8FB8", "#BDBDBD"]
HATCHES = ["", "/////", "....."]


@dataclass(frozen=True)
class ClassStyle:
    """How a class is drawn."""

    colour: str
    hatch: str


def class_styles(codes: Sequence[int], layer: str) -> dict[int, ClassStyle]:
    """{code: style} for up to 21 classes, neighbours in order never of one hue.

    Raises:
        HeadscarpError: there are more classes than can be told apart.
    """
    room = len(TINTS) * len(HATCHES)
    if len(codes) > room:
        raise HeadscarpError(
            f"layer '{layer}' has {len(codes)} classes but a map can tell {room} apart; merge classes, "
            f"or leave it out of the exhibit"
        )
    return {
        code: ClassStyle(TINTS[place % len(TINTS)], HATCHES[place // len(TINTS)])
        for place, code in enumerate(sorted(codes))
    }


# --- Fig. 2 of zhang2024

MAP_WIDTH, LEGEND_LINE, CHARACTERS = 4.0, 0.135, 46  # inches, inches, letters on a line of a legend


def class_maps(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Class layers of one site, each beside its legend; the numbers behind it are the shares of the mapped
    area.

    Options: `layers` (class layers, whose class names layers.json gives).
    """
    site = spec.only_site()
    view = View.of(site_grid(site), longest_side=700)
    inside = mapped_area(view, site)
    layers = options_of(spec, "layers")
    names = {layer: class_names(site, layer) for layer in layers}
    counts = {layer: class_counts(site, layer) for layer in layers}
    legends = {layer: legend_lines(names[layer], counts[layer]) for layer in layers}
    width = min(MAP_WIDTH, 8.6 / len(layers) / view.aspect)
    heights = [
        0.36
        + max(
            width * view.aspect, LEGEND_LINE * sum(text.count("\n") + 1 for text in legends[layer].values())
        )
        for layer in layers
    ]
    figure = style.new_figure(sum(heights) + 0.25, layout=None)
    top, lines = 0.0, []
    for number, (layer, height) in enumerate(zip(layers, heights, strict=True)):
        styles = class_styles(list(counts[layer]), layer)
        axes = place(figure, (0.05, top + 0.28, width, width * view.aspect))
        draw_classes(
            axes, view, np.where(inside, view.read(layer_path(site, layer), classes=True), 0), styles
        )
        axes.set_title(f"{style.panel_letter(number)} {factor_label(layer)}", pad=4)
        style.scale_bar(axes, view.width_km)
        if number == 0:
            style.north_arrow(axes)
        legend_of_classes(
            place(figure, (width + 0.15, top + 0.28, style.WIDTH - width - 0.2, height - 0.36)),
            legends[layer],
            styles,
        )
        lines += list(share_records(spec, site, layer, counts[layer]))
        top += height
    style.sign(figure, spec, "Percent of the mapped area.")
    return figure, frame_of(lines)


def options_of(spec: ExhibitSpec, key: str) -> list[str]:
    """The layers that an option names.

    Raises:
        HeadscarpError: the option is missing or empty.
    """
    names = list(spec.options.get(key) or [])
    if not names:
        raise HeadscarpError(
            f"exhibit '{spec.name}' of card '{spec.card}' ({spec.kind}) needs the option `{key}`: a "
            f"list of layers"
        )
    return names


def legend_lines(names: Mapping[int, str], counts: Mapping[int, int]) -> dict[int, str]:
    """{code: text} of the classes that occur, wrapped, with their share of the mapped area."""
    total = sum(counts.values())
    return {
        code: "\n".join(
            textwrap.wrap(
                f"{names.get(code, f'class {code}')} ({100 * count / total:.1f}\u00a0%)", CHARACTERS
            )
        )
        for code, count in counts.items()
    }


def draw_classes(axes: Axes, view: View, codes: np.ndarray, styles: Mapping[int, ClassStyle]) -> None:
    """Classes (row, col) in their colours and hatches; codes without a style stay white."""
    image = np.ones((*codes.shape, 3))
    for code, look in styles.items():
        paint(image, codes == code, look.colour)
    show(axes, image, view)
    for code, look in styles.items():
        if look.hatch:
            hatch(axes, codes == code, view, look.hatch, style.INK)
    bare(axes)


def legend_of_classes(axes: Axes, texts: Mapping[int, str], styles: Mapping[int, ClassStyle]) -> None:
    """A column of swatches and names, from the top of `axes`."""
    handles = [
        Rectangle(
            (0, 0), 1, 1, fc=styles[code].colour, ec=style.INK, lw=0.4, hatch=styles[code].hatch, label=text
        )
        for code, text in texts.items()
    ]
    axes.set_axis_off()
    axes.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0,
        borderpad=0,
        fontsize=6.6,
        labelspacing=0.32,
        handlelength=1.9,
        handleheight=0.95,
        handletextpad=0.5,
    )


def share_records(
    spec: ExhibitSpec, site: SiteFiles, layer: str, counts: Mapping[int, int]
) -> Iterator[dict[str, Any]]:
    names, total = class_names(site, layer), sum(counts.values())
    for code, count in counts.items():
        yield record(
            spec,
            f"{layer}:{code}",
            "area_share",
            count / total,
            data=site.data,
            note=names.get(code, "no name"),
        )


# --- Fig. 4 of zhang2024

COLUMNS, LEGEND_HEIGHT = 3, 0.42  # panels side by side; inches below a panel
DIRECTIONS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")
FLAT_COLOUR = "#009E73"


@dataclass(frozen=True)
class Classed:
    """A factor in classes: class numbers 0 … n-1 (row, col), -1 outside; n colours; n names, or n + 1
    bounds."""

    codes: np.ndarray
    colours: list[str]
    names: list[str]
    bounds: np.ndarray


def factor_maps(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Small multiples of factors: continuous ones in natural-break classes, aspect in eight directions, class
    layers by class.

    The breaks are those of the table of factor classes. The numbers behind the figure are the bounds of
    natural-break classes. Options: `factors` (layers), `classes` (of natural breaks, default 5).
    """
    site = spec.only_site()
    factors, classes = options_of(spec, "factors"), int(spec.options.get("classes", CLASSES))
    view = View.of(site_grid(site), longest_side=500)
    inside = mapped_area(view, site)
    columns, gap = min(COLUMNS, len(factors)), 0.1
    rows = -(-len(factors) // columns)
    width = (style.WIDTH - 0.1 - gap * (columns - 1)) / columns
    width = min(width, ((style.HEIGHT - 0.4) / rows - 0.25 - LEGEND_HEIGHT) / view.aspect)
    step = 0.25 + width * view.aspect + LEGEND_HEIGHT
    figure = style.new_figure(rows * step + 0.25, layout=None)
    left = (style.WIDTH - columns * width - (columns - 1) * gap) / 2
    lines = []
    for number, factor in enumerate(factors):
        corner = left + number % columns * (width + gap), number // columns * step + 0.25
        units = units_of(site, factor)
        classed = classify(site, factor, view, inside, classes)
        axes = place(figure, (*corner, width, width * view.aspect))
        show(axes, class_image(classed), view)
        bare(axes)
        axes.set_title(
            f"{style.panel_letter(number)} "
            f"{factor_label(factor)}{unit_text(UNIT + units) if units != CLASS_UNIT else ''}",
            fontsize=7.5,
            pad=2.5,
        )
        legend = place(
            figure, (corner[0], corner[1] + width * view.aspect + 0.04, width, LEGEND_HEIGHT - 0.06)
        )
        (draw_bounds if classed.bounds.size else draw_names)(legend, classed)
        if number == 0:
            style.scale_bar(axes, view.width_km)
            style.north_arrow(axes)
        for order, bound in enumerate(classed.bounds):
            lines.append(
                record(spec, factor, f"break_{order}", float(bound), data=site.data, note=UNIT + units)
            )
    style.sign(
        figure, spec, f"Continuous factors in {classes} natural-break classes; one scale for all panels."
    )
    return figure, frame_of(lines)


def classify(site: SiteFiles, factor: str, view: View, inside: np.ndarray, classes: int) -> Classed:
    """A factor in the classes in which it is drawn."""
    nothing = np.empty(0)
    if is_classed(site, factor):
        values, names = view.read(layer_path(site, factor), classes=True), class_names(site, factor)
        present = [code for code in sorted(names) if (values[inside] == code).any()]
        codes = np.select([inside & (values == code) for code in present], range(len(present)), -1)
        looks = class_styles(present, factor)
        colours = (
            [look.colour for look in looks.values()]
            if len(present) <= len(TINTS)
            else ramp("viridis", len(present))
        )
        return Classed(codes, colours, [names[code] for code in present], nothing)
    if layer_record(site, factor).get("kind") == ANGLE:
        # The mean of angles is none (it turns 359 and 1 degrees into 180): the nearest pixel is drawn.
        angle = view.read(layer_path(site, factor), classes=True)
        sector = np.floor((angle + 22.5) % 360 / 45)
        codes = np.where(inside & np.isfinite(angle), np.where(angle < 0, 0, sector + 1), -1).astype(int)
        return Classed(codes, [FLAT_COLOUR, *cyclic(len(DIRECTIONS))], ["flat", *DIRECTIONS], nothing)
    bounds = natural_breaks(whole_inside(site, factor), classes, BREAKS_SEED, factor)
    values = view.read(layer_path(site, factor))
    return Classed(breaks_codes(values, inside, bounds), ramp("viridis", classes), [], bounds)


def whole_inside(site: SiteFiles, factor: str) -> np.ndarray:
    """All values of a layer inside the study area, flat."""
    values = values_of(site, factor)
    return values[mapped_area(View.of(site_grid(site), max(values.shape)), site)]


def breaks_codes(values: np.ndarray, inside: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Class 0 … n-1 of each value (row, col) between n + 1 bounds, upper bound included; -1 where there is
    none."""
    return np.where(inside & np.isfinite(values), np.digitize(values, bounds[1:-1], right=True), -1)


def ramp(name: str, count: int) -> list[str]:
    """`count` colours of a sequential map, darkest first."""
    return [to_hex(colour) for colour in colormaps[name](np.linspace(0.02, 0.97, count))]


def cyclic(count: int) -> list[str]:
    return [to_hex(colour) for colour in colormaps["twilight"](np.arange(count) / count * 0.94 + 0.03)]


def class_image(classed: Classed) -> np.ndarray:
    """The picture (row, col, 3) of a factor in classes."""
    palette = np.array([to_rgb(colour) for colour in (*classed.colours, NOT_MAPPED)])
    return palette[classed.codes]  # -1 is the last colour


def draw_bounds(axes: Axes, classed: Classed) -> None:
    """A bar of equal boxes, the classes' bounds below the edges between them."""
    box_row(axes, classed.colours)
    texts = [number_text(bound, classed.bounds) for bound in classed.bounds]
    for x, text in enumerate(texts):
        at = "left" if x == 0 else "right" if x == len(texts) - 1 else "center"
        axes.text(x, -0.08, text, ha=at, va="top", fontsize=6, color=style.INK)


def number_text(value: float, values: np.ndarray) -> str:
    """A bound with the decimals that tell the closest two bounds apart, at most three."""
    closest = float(np.min(np.diff(values)))
    digits = int(np.clip(np.ceil(-np.log10(max(closest, 1e-3))), 0, 3))
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.removeprefix("-")


def draw_names(axes: Axes, classed: Classed) -> None:
    """Names of classes: in a row of boxes where they are short, else as a legend of two or three columns."""
    if max(map(len, classed.names)) <= 4:
        box_row(axes, classed.colours)
        for x, name in enumerate(classed.names):
            axes.text(x + 0.5, -0.08, name, ha="center", va="top", fontsize=6, color=style.INK)
        return
    axes.set_axis_off()
    columns = 3 if len(classed.names) > 6 else 2
    handles = style.swatches(
        zip(
            classed.colours,
            (textwrap.shorten(name, 17 if columns == 3 else 26, placeholder="…") for name in classed.names),
            strict=True,
        )
    )
    axes.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0, 1),
        ncols=columns,
        borderaxespad=0,
        borderpad=0,
        fontsize=5.8,
        labelspacing=0.2,
        handlelength=1.2,
        handleheight=0.7,
        handletextpad=0.4,
        columnspacing=0.7,
    )


def box_row(axes: Axes, colours: Sequence[str]) -> None:
    """A row of equal coloured boxes along the upper edge of `axes`, box k from k to k + 1."""
    for x, colour in enumerate(colours):
        axes.add_patch(Rectangle((x, 0), 1, 0.6, fc=colour, ec=style.INK, lw=0.4))
    axes.set(xlim=(0, len(colours)), ylim=(-1.3, 0.6))
    axes.set_axis_off()


# --- Fig. 16 of zhang2024

# ColorBrewer's RdYlBu, safe for colour-blind readers
SUSCEPTIBILITY = ("#2C7BB6", "#ABD9E9", "#FFFFBF", "#FDAE61", "#D7191C")
LEVELS = ("Very low", "Low", "Moderate", "High", "Very high")


TOO_FEW = "too few distinct values for five classes"


def susceptibility_maps(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Susceptibility of the first seed of each run, the mean of its folds, in five natural-break classes: a
    block for each protocol.

    The numbers behind it are the upper bound of each class and its share of the area. Breaks are those of
    each map, as in the paper.
    """
    site = spec.only_site()
    view = View.of(site_grid(site), longest_side=700)
    inside = mapped_area(view, site)
    page = Page.fit(len(spec.rows), view.aspect, len(spec.protocols), heading=0.2, footer=0.55)
    figure = page.figure()
    lines = []
    for block, protocol in enumerate(spec.protocols):
        page.head(figure, block, f"Protocol: {protocol}", "")
        for index, run in enumerate(runs[0] for row in spec.rows if (runs := spec.runs_of(row, protocol))):
            axes = page.axes(figure, block, index)
            bounds, codes = susceptibility_classes(run, view, inside)
            show(axes, class_image(Classed(codes, list(SUSCEPTIBILITY), list(LEVELS), bounds)), view)
            bare(axes)
            if not bounds.size:
                axes.text(0.5, 0.5, TOO_FEW, transform=axes.transAxes, ha="center", va="center", fontsize=7)
            axes.set_title(f"{style.panel_letter(index)} {textwrap.fill(run.label, 30)}", fontsize=7.5, pad=3)
            if index == 0:
                style.scale_bar(axes, view.width_km)
                style.north_arrow(axes)
            lines += susceptibility_records(spec, site, run, bounds, codes)
    anchor = (0.5, 0.2 / figure.get_figheight())
    handles = style.swatches(zip(SUSCEPTIBILITY, LEVELS, strict=True))
    figure.legend(
        handles=[*handles, *style.swatches([(NOT_MAPPED, "Not mapped")])],
        loc="lower center",
        bbox_to_anchor=anchor,
        ncols=6,
    )
    style.sign(figure, spec, "First seed, mean of folds; natural breaks of each map.")
    return figure, frame_of(lines)


def susceptibility_classes(run: RunFiles, view: View, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds (6) and class numbers (row, col) of the mean susceptibility of a run's folds, -1 where it has
    none.

    A network that learned nothing may answer fewer values than there are classes: no bounds then, and -1
    everywhere.
    """
    values = view.read_mean(run.maps / "susceptibility.tif")
    if np.unique(values[inside & np.isfinite(values)]).size < len(LEVELS):
        return np.empty(0), np.full(values.shape, -1)
    bounds = natural_breaks(
        values[inside], len(LEVELS), BREAKS_SEED, f"susceptibility of {run.label} under {run.protocol}"
    )
    return bounds, breaks_codes(values, inside, bounds)


def susceptibility_records(
    spec: ExhibitSpec, site: SiteFiles, run: RunFiles, bounds: np.ndarray, codes: np.ndarray
) -> Iterator[dict[str, Any]]:
    if not bounds.size:
        rest = {
            "protocol": run.protocol,
            "data": site.data,
            "n_seeds": 0,
            "note": f"seed {run.seed}: {TOO_FEW}",
        }
        yield record(spec, run.row, "upper_bound_very_high", None, **rest)
        return
    shares = np.bincount(codes[codes >= 0], minlength=len(LEVELS)) / np.count_nonzero(codes >= 0)
    for level, upper, share in zip(LEVELS, bounds[1:], shares, strict=True):
        rest = {"protocol": run.protocol, "data": site.data, "n_seeds": 1, "note": f"seed {run.seed}"}
        name = level.lower().replace(" ", "_")
        yield record(spec, run.row, f"upper_bound_{name}", float(upper), **rest)
        yield record(spec, run.row, f"area_share_{name}", float(share), **rest)
