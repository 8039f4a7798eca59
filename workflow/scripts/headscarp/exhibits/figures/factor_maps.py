"""Factors of a site in classes (zhang2024, Fig. 4)."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from headscarp.exhibits.labels import factor_label, unit_text
from headscarp.exhibits.layers import (
    BREAKS_SEED,
    CLASSES,
    DIRECTIONS,
    class_names,
    is_classed,
    layer_path,
    layer_record,
    site_grid,
    units_of,
    values_of,
)
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.classed import (
    TINTS,
    Classed,
    breaks_codes,
    class_image,
    class_styles,
    options_of,
    ramp,
)
from headscarp.exhibits.panels.figure import HEIGHT, WIDTH, new_figure, panel_letter, sign
from headscarp.exhibits.panels.ground import mapped_area
from headscarp.exhibits.panels.legend import swatches
from headscarp.exhibits.panels.marks import bare, orient, show
from headscarp.exhibits.panels.page import place
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.spec import ExhibitSpec, SiteFiles
from headscarp.exhibits.tidy import UNIT, frame_of, record
from headscarp.geo.layer import ANGLE
from headscarp.scoring.breaks import natural_breaks

CLASS_UNIT = "class"  # the units of class layers
COLUMNS, LEGEND_HEIGHT = 3, 0.42  # panels side by side; inches below a panel
FLAT_COLOUR = "#009E73"


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
    width = (WIDTH - 0.1 - gap * (columns - 1)) / columns
    width = min(width, ((HEIGHT - 0.4) / rows - 0.25 - LEGEND_HEIGHT) / view.aspect)
    step = 0.25 + width * view.aspect + LEGEND_HEIGHT
    figure = new_figure(rows * step + 0.25, layout=None)
    left = (WIDTH - columns * width - (columns - 1) * gap) / 2
    lines = []
    for number, factor in enumerate(factors):
        corner = left + number % columns * (width + gap), number // columns * step + 0.25
        units = units_of(site, factor)
        classed = classify(site, factor, view, inside, classes)
        axes = place(figure, (*corner, width, width * view.aspect))
        show(axes, class_image(classed), view)
        bare(axes)
        axes.set_title(
            f"{panel_letter(number)} "
            f"{factor_label(factor)}{unit_text(UNIT + units) if units != CLASS_UNIT else ''}",
            fontsize=7.5,
            pad=2.5,
        )
        legend = place(
            figure, (corner[0], corner[1] + width * view.aspect + 0.04, width, LEGEND_HEIGHT - 0.06)
        )
        (draw_bounds if classed.bounds.size else draw_names)(legend, classed)
        if number == 0:
            orient(axes, view.width_km)
        for order, bound in enumerate(classed.bounds):
            lines.append(
                record(spec, factor, f"break_{order}", float(bound), data=site.data, note=UNIT + units)
            )
    sign(figure, spec, f"Continuous factors in {classes} natural-break classes; one scale for all panels.")
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


def cyclic(count: int) -> list[str]:
    return [to_hex(colour) for colour in colormaps["twilight"](np.arange(count) / count * 0.94 + 0.03)]


def draw_bounds(axes: Axes, classed: Classed) -> None:
    """A bar of equal boxes, the classes' bounds below the edges between them."""
    box_row(axes, classed.colours)
    texts = [number_text(bound, classed.bounds) for bound in classed.bounds]
    for x, text in enumerate(texts):
        at = "left" if x == 0 else "right" if x == len(texts) - 1 else "center"
        axes.text(x, -0.08, text, ha=at, va="top", fontsize=6, color=palette.INK)


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
            axes.text(x + 0.5, -0.08, name, ha="center", va="top", fontsize=6, color=palette.INK)
        return
    axes.set_axis_off()
    columns = 3 if len(classed.names) > 6 else 2
    handles = swatches(
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
        axes.add_patch(Rectangle((x, 0), 1, 0.6, fc=colour, ec=palette.INK, lw=0.4))
    axes.set(xlim=(0, len(colours)), ylim=(-1.3, 0.6))
    axes.set_axis_off()
