"""Factors in close-up windows, and their colour scales."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from headscarp.exhibits.layers import layer_path, layer_record, units_of
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.spec import SiteFiles
from headscarp.geo.layer import ANGLE

MAPS = {"elevation": "gray", "slope": "cividis", "ndvi": "YlGn"}


def factor_picture(site: SiteFiles, layer: str, view: View) -> np.ndarray:
    """Values (row, col) of a factor in a window: angles of the nearest cell, elevation above its lowest
    point, means of others."""
    if layer_record(site, layer).get("kind") == ANGLE:
        return view.read(layer_path(site, layer), classes=True)
    values = view.read(layer_path(site, layer))
    return values - np.nanmin(values) if layer == "elevation" and np.isfinite(values).any() else values


def scale_of(site: SiteFiles, layer: str, pictures: Sequence[np.ndarray]) -> ScalarMappable:
    """The colours that all windows of a factor share; level ground, which has no aspect, is grey and no data
    white."""
    if layer_record(site, layer).get("kind") == ANGLE:
        return ScalarMappable(
            Normalize(0, 360), colormaps["twilight"].with_extremes(under="#9A9A9A", bad="white")
        )
    values = np.concatenate([picture.ravel() for picture in pictures])
    low, high = np.nanpercentile(values, [1, 99]) if np.isfinite(values).any() else (0, 1)
    return ScalarMappable(
        Normalize(low, max(high, low + 1e-9)),
        colormaps[MAPS.get(layer, "viridis")].with_extremes(bad="white"),
    )


def draw_scale(figure: Figure, bar: Axes, scale: ScalarMappable, site: SiteFiles, layer: str) -> None:
    drawn = figure.colorbar(scale, cax=bar, orientation="horizontal")
    drawn.ax.tick_params(labelsize=6, pad=1.5)
    if layer_record(site, layer).get("kind") == ANGLE:
        drawn.set_ticks([0, 90, 180, 270, 360], labels=["N", "E", "S", "W", "N"])
    units = units_of(site, layer)
    drawn.set_label({"degree": "°", "1": ""}.get(units, units), fontsize=6.5, labelpad=1)
