"""Class layers of a site beside their legends (zhang2024, Fig. 2)."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from headscarp.exhibits.labels import factor_label
from headscarp.exhibits.layers import class_counts, class_names, layer_path, site_grid
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.classed import ClassStyle, class_styles, options_of
from headscarp.exhibits.panels.figure import WIDTH, new_figure, panel_letter, sign
from headscarp.exhibits.panels.ground import mapped_area, paint
from headscarp.exhibits.panels.marks import bare, hatch, north_arrow, scale_bar, show
from headscarp.exhibits.panels.page import place
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.spec import ExhibitSpec, SiteFiles
from headscarp.exhibits.tidy import frame_of, record

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
    figure = new_figure(sum(heights) + 0.25, layout=None)
    top, lines = 0.0, []
    for number, (layer, height) in enumerate(zip(layers, heights, strict=True)):
        styles = class_styles(list(counts[layer]), layer)
        axes = place(figure, (0.05, top + 0.28, width, width * view.aspect))
        draw_classes(
            axes, view, np.where(inside, view.read(layer_path(site, layer), classes=True), 0), styles
        )
        axes.set_title(f"{panel_letter(number)} {factor_label(layer)}", pad=4)
        scale_bar(axes, view.width_km)
        if number == 0:
            north_arrow(axes)
        legend_of_classes(
            place(figure, (width + 0.15, top + 0.28, WIDTH - width - 0.2, height - 0.36)),
            legends[layer],
            styles,
        )
        lines += list(share_records(spec, site, layer, counts[layer]))
        top += height
    sign(figure, spec, "Percent of the mapped area.")
    return figure, frame_of(lines)


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
            hatch(axes, codes == code, view, look.hatch, palette.INK)
    bare(axes)


def legend_of_classes(axes: Axes, texts: Mapping[int, str], styles: Mapping[int, ClassStyle]) -> None:
    """A column of swatches and names, from the top of `axes`."""
    handles = [
        Rectangle(
            (0, 0), 1, 1, fc=styles[code].colour, ec=palette.INK, lw=0.4, hatch=styles[code].hatch, label=text
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
