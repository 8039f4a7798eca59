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
from headscarp.exhibits.panels.ground import TRUE_COLOUR, composite, hillshade
from headscarp.exhibits.panels.location import head_of_site, place_records
from headscarp.exhibits.panels.marks import kilometres, orient, outline, show
from headscarp.exhibits.panels.page import MARGIN, place
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.spec import ExhibitSpec, SiteFiles
from headscarp.exhibits.tidy import frame_of, record

TITLES = ("Image", "Mean slope", "Hill shade")
SITE_LEFT, SITE_HEAD, SITE_FOOT = 0.42, 0.5, 0.95  # inches: beside, above and below the panels of a site


def vhr_site(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Image with the outlines of landslides, mean slope and hill shade, a row of panels for each site.

    The numbers behind it are where each site lies, how high, and the mean, 5th and 95th percentile of the
    slope in degrees. Options: `composite` (three layers for red, green, blue; default red, green, blue).
    """
    views = [View.of(site_grid(site)) for site in spec.sites]
    width = (WIDTH - SITE_LEFT - MARGIN - 2 * 0.12) / 3
    heights = [SITE_HEAD + width * view.aspect + SITE_FOOT for view in views]
    figure = new_figure(sum(heights) + 0.15, layout=None)
    top, lines = 0.0, list(place_records(spec))
    for number, (site, view, height) in enumerate(zip(spec.sites, views, heights, strict=True)):
        tall = width * view.aspect
        lefts = [SITE_LEFT + column * (width + 0.12) for column in range(3)]
        panels = [place(figure, (left, top + SITE_HEAD, width, tall)) for left in lefts]
        slope, drawn = draw_site(panels, spec, site, view)
        for column, (axes, title) in enumerate(zip(panels, TITLES, strict=True)):
            axes.set_title(f"{panel_letter(3 * number + column)} {title}", pad=4)
            kilometres(axes, site_grid(site), ylabel=column == 0)
            axes.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10], prune="both"))
        below = top + SITE_HEAD + tall + 0.45
        bar = place(figure, (lefts[1], below, width, 0.09))
        figure.colorbar(drawn, cax=bar, orientation="horizontal", label="Slope (°)", extend="max")
        handle = Line2D([], [], color=palette.IMAGE_SLIDE, lw=1.4, label="Landslide")
        corner = SITE_LEFT / WIDTH, 1 - (below - 0.05) / figure.get_figheight()
        figure.legend(handles=[handle], loc="upper left", bbox_to_anchor=corner)
        head_of_site(figure, top, site)
        lines += slope_records(spec, site, view, slope)
        top += height
    sign(
        figure, spec, "Slope and hill shade are those of the elevation model, resampled to the image's grid."
    )
    return figure, frame_of(lines)


def draw_site(
    panels: Sequence[Axes], spec: ExhibitSpec, site: SiteFiles, view: View
) -> tuple[np.ndarray, AxesImage]:
    """The three panels of a site; returns the slope (row, col) in degrees and how it is drawn."""
    image, steepness, shadow = panels
    show(image, composite(view, site, spec.options.get("composite", TRUE_COLOUR)), view)
    slides = view.read(layer_path(site, "label"), classes=True) == LANDSLIDE
    outline(image, slides, view, palette.IMAGE_SLIDE, 0.6)
    orient(image, view.width_km)
    slope = view.read(layer_path(site, "slope"))
    drawn = show(steepness, slope, view, cmap="cividis", vmin=0, vmax=np.nanpercentile(slope, 99))
    show(shadow, hillshade(view, site), view, cmap="gray", vmin=0, vmax=1)
    return slope, drawn


def slope_records(
    spec: ExhibitSpec, site: SiteFiles, view: View, slope: np.ndarray
) -> Iterator[dict[str, Any]]:
    numbers = {"slope_mean": np.nanmean(slope)} | {
        f"slope_p{part:02d}": np.nanpercentile(slope, part) for part in (5, 95)
    }
    note = f"unit degree; of the {view.shape[0]} x {view.shape[1]} drawn cells"
    for metric, value in numbers.items():
        yield record(spec, site.name, metric, float(value), data=site.data, note=note)
