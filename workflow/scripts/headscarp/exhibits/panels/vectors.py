"""Vector files on maps: lines, borders and rings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.lines import Line2D

from headscarp.exhibits.layers import site_grid
from headscarp.exhibits.spec import ExhibitSpec, SiteFiles


def raw_vectors(site: SiteFiles, file: str) -> Any:
    """A vector file among a site's raw files, in the CRS of the site's grid.

    Raises:
        HeadscarpError: it is missing, unreadable or has no CRS.
    """
    from headscarp.geo.vectors import read_vectors

    return read_vectors(site.raw / file, site_grid(site).crs)


def rings_of(polygons: Any) -> list[np.ndarray]:
    """Outer rings (vertex, 2) of polygons in kilometres."""
    parts = polygons.geometry.explode(index_parts=False)
    return [np.asarray(part.exterior.coords)[:, :2] / 1000 for part in parts if part.geom_type == "Polygon"]


def draw_lines(axes: Axes, path: Path, crs: str, colour: str, width: float, linestyle: str = "solid") -> None:
    """Draw the lines of a vector file, if the site has it, clipped by the map."""
    if not path.exists():
        return
    from headscarp.geo.vectors import read_vectors

    frame = read_vectors(path, crs).explode(index_parts=False)
    limits = axes.get_xlim(), axes.get_ylim()
    lines = [
        np.asarray(line.coords)[:, :2] / 1000 for line in frame.geometry if line.geom_type == "LineString"
    ]
    axes.add_collection(
        LineCollection(lines, colors=colour, linewidths=width, linestyles=linestyle), autolim=False
    )
    axes.set(xlim=limits[0], ylim=limits[1])


OUTLINES = ("#000000", "#CC79A7", "#56B4E9")


def draw_outlines(axes: Axes, spec: ExhibitSpec, site: SiteFiles) -> None:
    """Borders of the areas that the option `outlines` names, over a white halo that parts them from any
    ground."""
    for colour, file in zip(OUTLINES, spec.options.get("outlines", {}).values(), strict=False):
        rings = rings_of(raw_vectors(site, file))
        for ink, width in (("white", 2.6), (colour, 1.2)):
            axes.add_collection(
                PolyCollection(rings, facecolors="none", edgecolors=ink, linewidths=width, zorder=5),
                autolim=False,
            )


def outline_handles(spec: ExhibitSpec) -> list[Line2D]:
    """Legend handles of the option `outlines`."""
    names = spec.options.get("outlines", {})
    return [
        Line2D([], [], color=colour, lw=1.2, label=name)
        for colour, name in zip(OUTLINES, names, strict=False)
    ]


def halo(width: float) -> list[Any]:
    """A black rim that parts a line of some width from any image."""
    return [patheffects.withStroke(linewidth=width + 1.2, foreground="black")]


def draw_border(axes: Axes, rings: Sequence[np.ndarray]) -> None:
    """Borders of something that is no class: dashed white in a black rim; rings (vertex, 2) in kilometres."""
    lines = LineCollection(rings, colors="white", linewidths=1.0, linestyles="--", path_effects=halo(1.0))
    axes.add_collection(lines, autolim=False)


def border_handle(label: str) -> Line2D:
    """Legend handle of `draw_border`."""
    return Line2D([], [], color="white", lw=1.0, ls="--", path_effects=halo(1.0), label=label)
