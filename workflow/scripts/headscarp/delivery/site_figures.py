"""Figures of a site's summary page: its map, and the areas of its landslides."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from headscarp.delivery.ground import label_path
from headscarp.delivery.mapped_runs import MappedRun, polygons_of
from headscarp.exhibits.layers import has_layer, site_grid, values_of
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.figure import WIDTH, new_figure, panel_letter, screen_picture
from headscarp.exhibits.panels.ground import composite, grey_relief, hillshade
from headscarp.exhibits.panels.legend import swatches
from headscarp.exhibits.panels.marks import bare, north_arrow, scale_bar, show
from headscarp.exhibits.panels.page import Page, place
from headscarp.exhibits.panels.scene import draw_inventory
from headscarp.exhibits.panels.vectors import rings_of
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.spec import SiteFiles

PIXELS = 900  # longer side of a drawn map


def draw_map(site: SiteFiles, run: MappedRun, channels: Sequence[str] | None) -> Figure:
    """Image (or relief, if the site has either), probability over relief, the mapped landslides on the image,
    and the site's inventory if it has one."""
    grid = site_grid(site)
    view = View.of(grid, longest_side=PIXELS)
    relief = relief_of(site, view)
    image = composite(view, site, channels) if channels else relief
    titles = {"probability": "Probability of landslide", "slides": "Mapped landslides"}
    if channels:
        titles = {"ground": f"Image: {', '.join(channels)}"} | titles
    elif has_layer(site, "elevation"):
        titles = {"ground": "Relief"} | titles
    if label_path(site):
        titles["inventory"] = "Inventory of the site"
    layout = Page.fit(len(titles), view.aspect, 1, 0, footer=0.75)
    figure = layout.figure()
    panels = {name: layout.axes_of(figure, 0, index) for index, name in enumerate(titles)}
    if "ground" in panels:
        show(panels["ground"], image, view)
    show(panels["probability"], relief, view)
    probability = np.ma.masked_invalid(view.read(run.maps / "probability.tif"))
    drawn = show(panels["probability"], probability, view, cmap="cividis", vmin=0, vmax=1)
    show(panels["slides"], image, view)
    draw_slides(panels["slides"], polygons_of(run, grid))
    if "inventory" in panels:
        draw_inventory(panels["inventory"], site, view)
    for index, (name, axes) in enumerate(panels.items()):
        axes.set_title(f"{panel_letter(index)} {titles[name]}")
        bare(axes)
    first = next(iter(panels.values()))
    scale_bar(first, view.width_km)
    north_arrow(first)
    bar = place(figure, (0.08 * WIDTH, figure.get_figheight() - 0.6, 0.4 * WIDTH, 0.1))
    figure.colorbar(drawn, cax=bar, orientation="horizontal", label="Probability of landslide")
    handles = [Line2D([], [], color=palette.IMAGE_SLIDE, lw=1.2, label="Mapped landslide")]
    if "inventory" in panels:
        handles += swatches([(palette.SLIDE, "Landslide of the inventory")])
    figure.legend(handles=handles, loc="lower right", bbox_to_anchor=(0.97, 0.18 / figure.get_figheight()))
    return figure


def relief_of(site: SiteFiles, view: View) -> np.ndarray:
    """Grey relief (row, col, 3) of a site, white where it has no elevation."""
    if not has_layer(site, "elevation"):
        return np.ones((*view.shape, 3))
    return grey_relief(hillshade(view, site), np.zeros(view.shape))


def draw_slides(axes: Axes, polygons: Any) -> None:
    """Outlines of landslides over a dark halo that parts them from bright ground."""
    rings = rings_of(polygons)
    for colour, width in ((palette.INK, 0.9), (palette.IMAGE_SLIDE, 0.45)):
        axes.add_collection(
            PolyCollection(rings, facecolors="none", edgecolors=colour, linewidths=width, rasterized=True),
            autolim=False,
        )


def draw_areas(site: SiteFiles, mapped: np.ndarray) -> Figure:
    """How many landslides have at least each area, both axes logarithmic: those mapped, and those of the
    site's inventory if it has one."""
    groups = [
        ("mapped", mapped, palette.OKABE_ITO[1], "o"),
        ("inventory of the site", inventory_areas(site), palette.OKABE_ITO[0], "s"),
    ]
    figure = new_figure(2.9)
    axes = figure.add_subplot()
    for label, areas, colour, marker in groups:
        if areas.size:
            values, counts = np.unique(areas, return_counts=True)
            text = f"{areas.size:,} {label}, median {np.median(areas):,.0f} m²"
            axes.loglog(
                values, counts[::-1].cumsum()[::-1], color=colour, lw=1, marker=marker, ms=2.5, label=text
            )
    axes.set(xlabel="Area (m²)", ylabel="Landslides of at least this area")
    axes.grid(color="black", alpha=0.15, linewidth=0.3)
    axes.legend(loc="lower left")
    return figure


def inventory_areas(site: SiteFiles) -> np.ndarray:
    """Areas in m2 of the slides of the site's inventory on its grid; none where it has no inventory."""
    if not (site.folder / "layers" / "instances.tif").exists():
        return np.zeros(0)
    pixels = np.bincount(values_of(site, "instances").ravel())[1:]
    return pixels[pixels > 0] * abs(site_grid(site).transform.determinant)


def png_text(figure: Figure) -> str:
    """A figure as PNG in base 64, to stand inside a page."""
    stream = io.BytesIO()
    screen_picture(figure).save(stream, format="png")
    return base64.b64encode(stream.getvalue()).decode()


def draw_reliability(reliability: Mapping[str, Sequence[Mapping[str, float]]]) -> Figure:
    """Observed share of landslides by mapped probability, before and after calibration, as
    `scoring.best_map.choose_map` gives it; a calibrated map is on the dashed line."""
    figure = new_figure(2.9)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=palette.MUTED, lw=0.8, ls="--")
    for index, (name, points) in enumerate(reliability.items()):
        axes.plot(
            [point["probability"] for point in points],
            [point["observed"] for point in points],
            marker=palette.MARKERS[index],
            ms=3.2,
            lw=1.1,
            color=palette.OKABE_ITO[index],
            label=f"{name} calibration",
        )
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="Mapped probability", ylabel="Observed landslide share")
    axes.legend(loc="upper left")
    return figure
