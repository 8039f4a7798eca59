"""Sites at very high resolution: image, slope and hill shade (xia2021, Fig. 10)."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from headscarp.codes import LANDSLIDE
from headscarp.exhibits.layers import layer_path, site_grid
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.figure import WIDTH, new_figure, panel_letter, sign
from headscarp.exhibits.panels.ground import TRUE_COLOUR, composite, has_image, hillshade, left_out
from headscarp.exhibits.panels.location import head_of_site, place_records
from headscarp.exhibits.panels.marks import kilometres, orient, outline, show
from headscarp.exhibits.panels.page import MARGIN, place
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.spec import ExhibitSpec, SiteFiles
from headscarp.exhibits.tidy import frame_of, record

IMAGE, SLOPE, SHADE = "Image", "Mean slope", "Hill shade"
SITE_LEFT, SITE_HEAD, SITE_FOOT = 0.42, 0.5, 0.95  # inches: beside, above and below the panels of a site


def vhr_site(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Image with the outlines of landslides, mean slope and hill shade, a row of panels for each site; those
    whose layers a site lacks are left out, which the figure says.

    The numbers behind it are where each site lies, how high, and the mean, 5th and 95th percentile of the
    slope in degrees. Options: `composite` (three layers for red, green, blue; default red, green, blue).
    """
    layers = {
        IMAGE: spec.options.get("composite", TRUE_COLOUR),
        SLOPE: ("slope",),
        SHADE: ("elevation",),
    }
    remarks = ["Slope and hill shade are those of the elevation model, resampled to the image's grid."]
    views = [View.of(site_grid(site)) for site in spec.sites]
    width = (WIDTH - SITE_LEFT - MARGIN - 2 * 0.12) / 3
    heights = [SITE_HEAD + width * view.aspect + SITE_FOOT for view in views]
    figure = new_figure(sum(heights) + 0.15, layout=None)
    top, number, lines = 0.0, 0, list(place_records(spec))
    for site, view, height in zip(spec.sites, views, heights, strict=True):
        tall = width * view.aspect
        shown = [name for name, needed in layers.items() if has_image(site, needed)]
        remarks += [left_out(site, name, *needed) for name, needed in layers.items() if name not in shown]
        below = top + SITE_HEAD + tall + 0.45
        for column, name in enumerate(shown):
            left = SITE_LEFT + column * (width + 0.12)
            axes = place(figure, (left, top + SITE_HEAD, width, tall))
            axes.set_title(f"{panel_letter(number)} {name}", pad=4)
            number += 1
            drawn = draw_panel(axes, name, site, view, layers[IMAGE])
            if column == 0:
                orient(axes, view.width_km)
            kilometres(axes, site_grid(site), ylabel=column == 0)
            axes.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10], prune="both"))
            if name == SLOPE:
                bar = place(figure, (left, below, width, 0.09))
                figure.colorbar(drawn, cax=bar, orientation="horizontal", label="Slope (°)", extend="max")
                lines += slope_records(spec, site, view)
        handle = Line2D([], [], color=palette.IMAGE_SLIDE, lw=1.4, label="Landslide")
        corner = SITE_LEFT / WIDTH, 1 - (below - 0.05) / figure.get_figheight()
        figure.legend(handles=[handle], loc="upper left", bbox_to_anchor=corner)
        head_of_site(figure, top, site)
        top += height
    sign(figure, spec, " ".join(remarks))
    return figure, frame_of(lines)


def draw_panel(axes: Axes, name: str, site: SiteFiles, view: View, channels: Sequence[str]) -> AxesImage:
    """One panel of a site; returns how it is drawn."""
    if name == SLOPE:
        slope = view.read(layer_path(site, "slope"))
        return show(axes, slope, view, cmap="cividis", vmin=0, vmax=np.nanpercentile(slope, 99))
    if name == SHADE:
        return show(axes, hillshade(view, site), view, cmap="gray", vmin=0, vmax=1)
    drawn = show(axes, composite(view, site, channels), view)
    slides = view.read(layer_path(site, "label"), classes=True) == LANDSLIDE
    outline(axes, slides, view, palette.IMAGE_SLIDE, 0.6)
    return drawn


def slope_records(spec: ExhibitSpec, site: SiteFiles, view: View) -> Iterator[dict[str, Any]]:
    slope = view.read(layer_path(site, "slope"))
    numbers = {"slope_mean": np.nanmean(slope)} | {
        f"slope_p{part:02d}": np.nanpercentile(slope, part) for part in (5, 95)
    }
    note = f"unit degree; of the {view.shape[0]} x {view.shape[1]} drawn cells"
    for metric, value in numbers.items():
        yield record(spec, site.name, metric, float(value), data=site.data, note=note)
