"""Susceptibility in natural breaks (zhang2024, Fig. 16)."""

import textwrap
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from headscarp.exhibits.layers import site_grid
from headscarp.exhibits.levels import LEVELS, TOO_FEW, level_bounds, level_key
from headscarp.exhibits.panels.classed import NOT_MAPPED, Classed, breaks_codes, class_image
from headscarp.exhibits.panels.figure import panel_letter, sign
from headscarp.exhibits.panels.ground import mapped_area
from headscarp.exhibits.panels.legend import WIDE, legend_at_foot, swatches
from headscarp.exhibits.panels.marks import orient, show
from headscarp.exhibits.panels.page import Page
from headscarp.exhibits.panels.palette import SUSCEPTIBILITY
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.spec import ExhibitSpec, RunFiles, SiteFiles
from headscarp.exhibits.tidy import frame_of, of_seed, record


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
        page.head(figure, block, f"Protocol: {protocol}")
        for index, run in enumerate(spec.first_runs(protocol)):
            axes = page.axes_of(figure, block, index)
            bounds, codes = susceptibility_classes(run, view, inside)
            show(axes, class_image(Classed(codes, list(SUSCEPTIBILITY), list(LEVELS), bounds)), view)
            if not bounds.size:
                axes.text(0.5, 0.5, TOO_FEW, transform=axes.transAxes, ha="center", va="center", fontsize=7)
            axes.set_title(f"{panel_letter(index)} {textwrap.fill(run.label, 30)}", fontsize=7.5, pad=3)
            if index == 0:
                orient(axes, view.width_km)
            lines += susceptibility_records(spec, site, run, bounds, codes)
    shown = [*zip(SUSCEPTIBILITY, LEVELS, strict=True), (NOT_MAPPED, "Not mapped")]
    legend_at_foot(figure, swatches(shown), 6, WIDE)
    sign(figure, spec, "First seed, mean of folds; natural breaks of each map.")
    return figure, frame_of(lines)


def susceptibility_classes(run: RunFiles, view: View, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds (6) and class numbers (row, col) of the mean susceptibility of a run's folds, -1 where it has
    none; no bounds, and -1 everywhere, of a map of too few values."""
    values = view.read_mean(run.maps / "susceptibility.tif")
    bounds = level_bounds(values[inside], f"susceptibility of {run.label} under {run.protocol}")
    if not bounds.size:
        return bounds, np.full(values.shape, -1)
    return bounds, breaks_codes(values, inside, bounds)


def susceptibility_records(
    spec: ExhibitSpec, site: SiteFiles, run: RunFiles, bounds: np.ndarray, codes: np.ndarray
) -> Iterator[dict[str, Any]]:
    if not bounds.size:
        same = of_seed(run, site, f": {TOO_FEW}") | {"n_seeds": 0}
        yield record(spec, run.row, "upper_bound_very_high", None, **same)
        return
    shares = np.bincount(codes[codes >= 0], minlength=len(LEVELS)) / np.count_nonzero(codes >= 0)
    for level, upper, share in zip(LEVELS, bounds[1:], shares, strict=True):
        name = level_key(level)
        yield record(spec, run.row, f"upper_bound_{name}", float(upper), **of_seed(run, site))
        yield record(spec, run.row, f"area_share_{name}", float(share), **of_seed(run, site))
