"""The inventory of another site (zhang2024, Fig. 13)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from headscarp.codes import UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.exhibits.layers import layer_path, site_grid
from headscarp.exhibits.panels.figure import panel_letter, sign
from headscarp.exhibits.panels.ground import TRUE_COLOUR, composite, grey_relief, hillshade, paint
from headscarp.exhibits.panels.legend import WIDE, legend_at_foot, swatches
from headscarp.exhibits.panels.marks import orient, show
from headscarp.exhibits.panels.page import Page
from headscarp.exhibits.panels.vectors import draw_outlines, outline_handles, rings_of
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.spec import ExhibitSpec, RunFiles, SiteFiles
from headscarp.exhibits.tidy import frame_of, of_seed, record
from headscarp.vocabulary import require_known

BACKGROUNDS = ("composite", "relief")
FOUND = "#FFD92F"


def inventory_map(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """All landslides that the first run of each protocol found at the target site, over its image or relief;
    a panel for each protocol.

    The numbers behind it are how many there are and their area. Options: `background` (composite, the
    default, or relief); `composite` (three layers for red, green, blue; default red, green, blue); `outlines`
    ({what people read: file among the target's raw files}).

    Raises:
        HeadscarpError: the exhibit names no target site, or an inventory is missing or unreadable.
    """
    if spec.target is None:
        raise HeadscarpError(
            f"exhibit '{spec.name}' of card '{spec.card}' (inventory_map) names no target; give the "
            f"site it maps as `target`"
        )
    target = spec.target
    view = View.of(site_grid(target), longest_side=1400)
    ground = background_of(spec, view)
    page = Page.fit(len(spec.protocols), view.aspect, 1, 0, footer=0.6)
    figure = page.figure()
    lines = []
    for index, protocol in enumerate(spec.protocols):
        run = next(run for run in spec.runs if run.protocol == protocol)
        polygons = inventory_of(run, target)
        axes = page.axes_of(figure, 0, index)
        show(axes, ground, view)
        axes.add_collection(inventory_patches(polygons), autolim=False)
        draw_outlines(axes, spec, target)
        area = float(polygons.geometry.area.sum()) / 1e6
        title = f"{panel_letter(index)} {run.label}, {protocol}"
        axes.set_title(f"{title}\n{len(polygons):,} landslides, {area:.2f} km²", fontsize=7.5, pad=3)
        if index == 0:
            orient(axes, view.width_km)
        rest = of_seed(run, target, f", mapped at {target.name}")
        lines.append(record(spec, run.row, "landslides", float(len(polygons)), **rest))
        lines.append(record(spec, run.row, "landslide_area_km2", area, **rest))
    handles = swatches([(FOUND, "Mapped landslide")]) + outline_handles(spec)
    legend_at_foot(figure, handles, 4, WIDE)
    sign(figure, spec, f"Mapped at {target.title} by the first seed of the network.")
    return figure, frame_of(lines)


def background_of(spec: ExhibitSpec, view: View) -> np.ndarray:
    """Image or grey relief (row, col, 3) of the target site."""
    target = spec.target
    label = view.read(layer_path(target, "label"), classes=True)
    chosen = require_known(
        spec.options.get("background", "composite"),
        BACKGROUNDS,
        f"exhibit '{spec.name}', options: background",
    )
    if chosen == "relief":
        return grey_relief(hillshade(view, target), label)
    image = composite(view, target, spec.options.get("composite", TRUE_COLOUR))
    paint(image, label == UNMAPPED, "white", 0.7)
    return image


def inventory_of(run: RunFiles, target: SiteFiles) -> Any:
    """Polygons that a run mapped at the target site, in the CRS of its grid."""
    from headscarp.geo.vectors import read_vectors

    return read_vectors(run.maps_of(target.name) / "inventory.gpkg", site_grid(target).crs)


def inventory_patches(polygons: Any) -> PolyCollection:
    """Polygons filled, with an edge that keeps small ones visible on the map of a whole city."""
    return PolyCollection(
        rings_of(polygons), facecolors=FOUND, edgecolors="#D7191C", linewidths=0.45, zorder=4, rasterized=True
    )
