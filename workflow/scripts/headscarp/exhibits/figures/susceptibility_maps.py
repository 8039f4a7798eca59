"""Susceptibility in natural breaks (zhang2024, Fig. 16)."""

import textwrap
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from headscarp.exhibits.layers import site_grid
from headscarp.exhibits.panels.classed import BREAKS_SEED, NOT_MAPPED, Classed, breaks_codes, class_image
from headscarp.exhibits.panels.figure import panel_letter, sign
from headscarp.exhibits.panels.ground import mapped_area
from headscarp.exhibits.panels.legend import swatches
from headscarp.exhibits.panels.marks import bare, north_arrow, scale_bar, show
from headscarp.exhibits.panels.page import Page
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.spec import ExhibitSpec, RunFiles, SiteFiles
from headscarp.exhibits.tidy import frame_of, record
from headscarp.scoring.breaks import natural_breaks

# ColorBrewer's RdYlBu, safe for colour-blind readers
SUSCEPTIBILITY = ("#2C7BB6", "#ABD9E9", "#FFFFBF", "#FDAE61", "#D7191C")
LEVELS = ("Very low", "Low", "Moderate", "High", "Very high")
TOO_FEW = "too few distinct values for five classes"


def susceptibility_maps(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Susceptibility of the first seed of each run, the mean of its folds, in five natural-break classes: a
    block for each protocol.

    The numbers behind it are the upper bound of each class and its share of the area. Breaks are those of
    each map, as in the paper.
    """
    site = spec.only_site()
    view = View.of(site_grid(site), longest_side=700)
    inside = mapped_area(view, site)
    page = Page.fit(len(spec.rows), view.aspect, len(spec.protocols), heading=0.2, footer=0.55)
    figure = page.figure()
    lines = []
    for block, protocol in enumerate(spec.protocols):
        page.head(figure, block, f"Protocol: {protocol}", "")
        for index, run in enumerate(runs[0] for row in spec.rows if (runs := spec.runs_of(row, protocol))):
            axes = page.axes(figure, block, index)
            bounds, codes = susceptibility_classes(run, view, inside)
            show(axes, class_image(Classed(codes, list(SUSCEPTIBILITY), list(LEVELS), bounds)), view)
            bare(axes)
            if not bounds.size:
                axes.text(0.5, 0.5, TOO_FEW, transform=axes.transAxes, ha="center", va="center", fontsize=7)
            axes.set_title(f"{panel_letter(index)} {textwrap.fill(run.label, 30)}", fontsize=7.5, pad=3)
            if index == 0:
                scale_bar(axes, view.width_km)
                north_arrow(axes)
            lines += susceptibility_records(spec, site, run, bounds, codes)
    anchor = (0.5, 0.2 / figure.get_figheight())
    handles = swatches(zip(SUSCEPTIBILITY, LEVELS, strict=True))
    figure.legend(
        handles=[*handles, *swatches([(NOT_MAPPED, "Not mapped")])],
        loc="lower center",
        bbox_to_anchor=anchor,
        ncols=6,
    )
    sign(figure, spec, "First seed, mean of folds; natural breaks of each map.")
    return figure, frame_of(lines)


def susceptibility_classes(run: RunFiles, view: View, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds (6) and class numbers (row, col) of the mean susceptibility of a run's folds, -1 where it has
    none.

    A network that learned nothing may answer fewer values than there are classes: no bounds then, and -1
    everywhere.
    """
    values = view.read_mean(run.maps / "susceptibility.tif")
    if np.unique(values[inside & np.isfinite(values)]).size < len(LEVELS):
        return np.empty(0), np.full(values.shape, -1)
    bounds = natural_breaks(
        values[inside], len(LEVELS), BREAKS_SEED, f"susceptibility of {run.label} under {run.protocol}"
    )
    return bounds, breaks_codes(values, inside, bounds)


def susceptibility_records(
    spec: ExhibitSpec, site: SiteFiles, run: RunFiles, bounds: np.ndarray, codes: np.ndarray
) -> Iterator[dict[str, Any]]:
    if not bounds.size:
        rest = {
            "protocol": run.protocol,
            "data": site.data,
            "n_seeds": 0,
            "note": f"seed {run.seed}: {TOO_FEW}",
        }
        yield record(spec, run.row, "upper_bound_very_high", None, **rest)
        return
    shares = np.bincount(codes[codes >= 0], minlength=len(LEVELS)) / np.count_nonzero(codes >= 0)
    for level, upper, share in zip(LEVELS, bounds[1:], shares, strict=True):
        rest = {"protocol": run.protocol, "data": site.data, "n_seeds": 1, "note": f"seed {run.seed}"}
        name = level.lower().replace(" ", "_")
        yield record(spec, run.row, f"upper_bound_{name}", float(upper), **rest)
        yield record(spec, run.row, f"area_share_{name}", float(share), **rest)
