"""What is drawn on map axes in kilometres: images, outlines, hatches, graticule, scale bar, north arrow."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from headscarp.exhibits.panels.view import View
from headscarp.geo.grid import Grid


def show(axes: Axes, image: np.ndarray, view: View, **options: Any) -> Any:
    """Draw an image (row, col[, 3]) in kilometres with square pixels and a thin frame."""
    drawn = axes.imshow(image, extent=view.extent, interpolation="nearest", **options)
    axes.autoscale(False)
    axes.spines[:].set_visible(True)
    axes.spines[:].set_linewidth(0.5)
    return drawn


def outline(
    axes: Axes, mask: np.ndarray, view: View, colour: str, width: float, dashed: bool = False
) -> None:
    """Draw the edge of a mask (row, col), the border of the map included."""
    padded = np.pad(mask.astype(float), 1)
    west, east, south, north = view.extent
    dx, dy = (east - west) / mask.shape[1], (north - south) / mask.shape[0]
    x = west + (np.arange(padded.shape[1]) - 0.5) * dx
    y = north - (np.arange(padded.shape[0]) - 0.5) * dy
    if padded.any():
        axes.contour(
            x, y, padded, [0.5], colors=[colour], linewidths=width, linestyles="dashed" if dashed else "solid"
        )


def hatch(axes: Axes, mask: np.ndarray, view: View, pattern: str = "////", colour: str = "#A0A0A0") -> None:
    """Hatch the pixels of a mask (row, col)."""
    if mask.any():
        west, east, south, north = view.extent
        hatches = axes.contourf(
            np.linspace(west, east, mask.shape[1]),
            np.linspace(north, south, mask.shape[0]),
            mask.astype(float),
            [0.5, 1.5],
            colors="none",
            hatches=[pattern],
        )
        hatches.set_edgecolor(colour)
        hatches.set_linewidth(0)


def kilometres(axes: Axes, grid: Grid, ylabel: bool = True) -> None:
    """Projected coordinates in kilometres as a graticule."""
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.tick_params(axis="y", labelrotation=90)
    for label in axes.get_yticklabels():
        label.set_verticalalignment("center")
    axes.ticklabel_format(useOffset=False, style="plain")
    axes.grid(color="black", alpha=0.25, linewidth=0.3)
    axes.set_xlabel(f"Easting (km, {grid.crs})")
    if ylabel:
        axes.set_ylabel("Northing (km)")
    else:
        axes.tick_params(axis="y", labelleft=False)


def bare(axes: Axes) -> None:
    """No ticks: the scale bar says enough."""
    axes.set_xticks([])
    axes.set_yticks([])


def nice_length(longest: float) -> float:
    """The largest of 1, 2, 5 x 10^n that is not above `longest` (positive)."""
    magnitude = 10.0 ** math.floor(math.log10(longest) + 1e-9)
    return max(factor * magnitude for factor in (1, 2, 5) if factor * magnitude <= longest * (1 + 1e-9))


def scale_bar(axes: Axes, width_km: float) -> None:
    """A bar of a round length, about a quarter of the map, in the lower left of a map whose axes are in
    kilometres."""
    length = nice_length(width_km / 3.5)
    text = f"{length:g} km" if length >= 1 else f"{1000 * length:g} m"
    font = FontProperties(size=6.5)
    bar = AnchoredSizeBar(
        axes.transData,
        length,
        text,
        "lower left",
        pad=0.35,
        borderpad=0.3,
        sep=2,
        size_vertical=width_km / 90,
        fontproperties=font,
        label_top=True,
    )
    bar.patch.set(alpha=0.85, ec="none")
    bar.set_zorder(8)
    axes.add_artist(bar)


def north_arrow(axes: Axes) -> None:
    """An arrow to grid north in the upper right."""
    box = {"boxstyle": "square,pad=0.25", "fc": "white", "ec": "none", "alpha": 0.85}
    place = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "center", "va": "top"}
    axes.annotate(
        "▲\nN", (1, 1), (-8, -5), fontsize=6.5, linespacing=0.95, weight="bold", bbox=box, zorder=8, **place
    )


def orient(axes: Axes, width_km: float) -> None:
    """Scale bar and north arrow, for the first map of a page."""
    scale_bar(axes, width_km)
    north_arrow(axes)


def note_in_corner(axes: Axes, text: str) -> None:
    """A short text on white in the lower right corner of a panel."""
    axes.text(
        0.97,
        0.03,
        text,
        transform=axes.transAxes,
        ha="right",
        va="bottom",
        fontsize=6,
        bbox={"boxstyle": "square,pad=0.2", "fc": "white", "ec": "none", "alpha": 0.85},
        zorder=8,
    )
