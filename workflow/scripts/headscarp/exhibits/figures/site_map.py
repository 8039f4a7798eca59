"""Where a site lies, how high, what it looks like (gao2021, Figs 1 and 2)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.exhibits.layers import has_layer, layer_path, site_grid
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.figure import WIDTH, new_figure, panel_letter, sign
from headscarp.exhibits.panels.ground import ELEVATION, TRUE_COLOUR, composite, left_out, shade
from headscarp.exhibits.panels.legend import COMPACT, swatches
from headscarp.exhibits.panels.location import head_of_site, place_records
from headscarp.exhibits.panels.marks import kilometres, orient, outline, show
from headscarp.exhibits.panels.page import place
from headscarp.exhibits.panels.vectors import draw_lines, draw_outlines, outline_handles, raw_vectors
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.spec import ExhibitSpec, SiteFiles
from headscarp.exhibits.tidy import frame_of
from headscarp.vocabulary import require_known

BACKGROUNDS = ("relief", "composite")
NAMES = {"relief": "Relief", "composite": "Image"}
EVEN = "even"  # where a site has neither
# inches: beside a map for its northings and its colour bar, above and below it
LEFT, BAR, HEAD, FOOT = 0.45, 0.75, 0.5, 0.85
BETWEEN = 0.12


def site_map(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Shaded relief with slides, rivers, faults and study area beside an image, one row of panels for each
    site.

    Options: `composite` (three layers for red, green, blue; default red, green, blue); `background` (`relief`
    or `composite`: one panel instead of both; for all sites, or {site: background}); `points` (file among the
    raw files with surveyed sites and their column `size`, shown on the relief instead of the outlines of
    slides); `outlines` ({what people read: file among the raw files}).

    A panel whose layers a site lacks is left out, which the figure says; without any, slides are shown on
    even ground.
    """
    channels = spec.options.get("composite", TRUE_COLOUR)
    views = [View.of(site_grid(site)) for site in spec.sites]
    wanted = [backgrounds_of(spec, site) for site in spec.sites]
    panels = [
        tuple(one for one in backgrounds if has_background(site, one, channels)) or (EVEN,)
        for site, backgrounds in zip(spec.sites, wanted, strict=True)
    ]
    widths = [(WIDTH - LEFT - BAR - BETWEEN * (len(shown) - 1)) / len(shown) for shown in panels]
    heights = [HEAD + width * view.aspect + FOOT for view, width in zip(views, widths, strict=True)]
    figure = new_figure(sum(heights) + 0.2, layout=None)
    top, number = 0.0, 0
    for site, view, shown, width, height in zip(spec.sites, views, panels, widths, heights, strict=True):
        label = view.read(layer_path(site, "label"), classes=True)
        right = LEFT + len(shown) * (width + BETWEEN) - 0.02
        for column, background in enumerate(shown):
            left = LEFT + column * (width + BETWEEN)
            axes = place(figure, (left, top + HEAD, width, width * view.aspect))
            if background == "relief":
                drawn = draw_relief(axes, spec, site, view, label)
                bar = place(figure, (right, top + HEAD, 0.1, width * view.aspect))
                figure.colorbar(drawn, cax=bar, label="Elevation (m)")
                draw_points(axes, spec, site)
            elif background == EVEN:
                draw_slides(axes, label, view)
            else:
                show(axes, composite(view, site, channels), view)
                outline(axes, label == LANDSLIDE, view, palette.IMAGE_SLIDE, 0.4)
            draw_outlines(axes, spec, site)
            axes.set_title(f"{panel_letter(number)} {panel_title(spec, background, channels)}", pad=4)
            kilometres(axes, site_grid(site), ylabel=column == 0)
            if column == 0:
                orient(axes, view.width_km)
            number += 1
        head_of_site(figure, top, site)
        top += height
        handles = site_legend(spec, site, label, shown)
        foot = {"loc": "lower center", "bbox_to_anchor": (0.5, 1 - top / figure.get_figheight())}
        figure.legend(handles=handles, ncols=6 if len(handles) <= 6 else 4, **foot, **COMPACT)
    remarks = [
        left_out(site, NAMES[name], *layers_of(name, channels))
        for site, backgrounds in zip(spec.sites, wanted, strict=True)
        for name in backgrounds
        if not has_background(site, name, channels)
    ]
    sign(figure, spec, " ".join(remarks))
    return figure, frame_of(place_records(spec))


def has_background(site: SiteFiles, background: str, channels: Sequence[str]) -> bool:
    """Whether a site has the layers of a background."""
    return all(has_layer(site, layer) for layer in layers_of(background, channels))


def layers_of(background: str, channels: Sequence[str]) -> Sequence[str]:
    """The layers that a background is drawn from."""
    return channels if background == "composite" else ("elevation",)


def backgrounds_of(spec: ExhibitSpec, site: SiteFiles) -> tuple[str, ...]:
    """The panels of one site: the backgrounds they are drawn on."""
    chosen = spec.options.get("background")
    if isinstance(chosen, Mapping):
        for name in chosen:
            require_known(
                name, [one.name for one in spec.sites], f"exhibit '{spec.name}', options, background: site"
            )
        chosen = chosen.get(site.name)
    return (
        BACKGROUNDS
        if chosen is None
        else (require_known(chosen, BACKGROUNDS, f"exhibit '{spec.name}', options: background"),)
    )


def panel_title(spec: ExhibitSpec, background: str, channels: Sequence[str]) -> str:
    if background == "composite":
        return f"Image: {', '.join(channels)}"
    if background == EVEN:
        return "Landslides"
    return "Relief and surveyed landslides" if "points" in spec.options else "Relief and landslides"


# area in square points, colour
SIZES = {"small": (4, "#FDE0A0"), "medium": (22, "#E69F00"), "large": (80, "#D55E00")}


def draw_points(axes: Axes, spec: ExhibitSpec, site: SiteFiles) -> None:
    """Surveyed landslides as discs graduated by size, the largest first so that no small one is hidden."""
    if "points" not in spec.options:
        return
    survey = raw_vectors(site, spec.options["points"])
    if "size" not in survey:
        raise HeadscarpError(
            f"{site.raw / spec.options['points']} has no column 'size' (small, medium or large); name "
            f"the file of a survey as `points`"
        )
    for size in sorted(
        set(survey["size"]),
        key=lambda size: -SIZES[require_known(size, SIZES, f"{spec.options['points']}: size")][0],
    ):
        area, colour = SIZES[size]
        of_size = survey.geometry[survey["size"] == size]
        axes.scatter(
            of_size.x / 1000,
            of_size.y / 1000,
            s=area,
            c=colour,
            edgecolors=palette.INK,
            linewidths=0.5,
            zorder=6,
        )


def draw_relief(
    axes: Axes, spec: ExhibitSpec, site: SiteFiles, view: View, label: np.ndarray
) -> ScalarMappable:
    """Hypsometric tints over shaded relief, with lines, and outlines of slides and of the mapped area unless
    the exhibit shows points and outlines of its own; returns the mappable of the elevation."""
    elevation = view.read(layer_path(site, "elevation"))
    colours = ScalarMappable(Normalize(*np.nanpercentile(elevation, [0.2, 99.8])), ELEVATION)
    lit = np.clip(0.35 + 0.9 * shade(elevation, view), 0, 1.25)[..., None]
    tinted = np.clip(colours.to_rgba(elevation)[..., :3] * lit, 0, 1)
    tinted[~np.isfinite(elevation)] = 1
    show(axes, tinted, view)
    draw_lines(axes, site.raw / "rivers.gpkg", site_grid(site).crs, palette.WATER, 0.8)
    draw_lines(axes, site.raw / "faults.gpkg", site_grid(site).crs, palette.FAULT, 0.9, "dashed")
    if "points" not in spec.options:
        draw_slides(axes, label, view)
    if "outlines" not in spec.options:
        outline(axes, label != UNMAPPED, view, "black", 0.9)
    return colours


def draw_slides(axes: Axes, label: np.ndarray, view: View) -> None:
    """Landslides of the labels, see-through and outlined."""
    patches = np.zeros((*label.shape, 4))
    patches[label == LANDSLIDE] = (*to_rgb(palette.SLIDE), 0.45)
    show(axes, patches, view)
    outline(axes, label == LANDSLIDE, view, palette.SLIDE, 0.4)


def site_legend(spec: ExhibitSpec, site: SiteFiles, label: np.ndarray, shown: Sequence[str]) -> list[Any]:
    """Legend handles of what the panels of a site show."""
    handles: list[Any] = []
    if "relief" in shown and "points" in spec.options:
        for size, (area, colour) in SIZES.items():
            text = f"{size.capitalize()} landslide"
            handles.append(
                Line2D(
                    [], [], ls="", marker="o", ms=area**0.5, mfc=colour, mec=palette.INK, mew=0.5, label=text
                )
            )
    elif "relief" in shown or EVEN in shown:
        handles += swatches([("#DC9A9F", "Landslide")])
        handles[0].set_edgecolor(palette.SLIDE)
    if "composite" in shown:
        handles.append(Line2D([], [], color=palette.IMAGE_SLIDE, lw=1.2, label="Landslide on the image"))
    handles += outline_handles(spec)
    if "relief" in shown:
        if (label == UNMAPPED).any() and "outlines" not in spec.options:
            handles.append(Line2D([], [], color="black", lw=0.9, label="Mapped area"))
        if (site.raw / "rivers.gpkg").exists():
            handles.append(Line2D([], [], color=palette.WATER, lw=0.9, label="River"))
        if (site.raw / "faults.gpkg").exists():
            handles.append(Line2D([], [], color=palette.FAULT, lw=0.9, ls="dashed", label="Fault"))
    return handles
