"""Landslides found, invented and missed in one rectangle (zhang2024, Fig. 11)."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from headscarp.codes import LANDSLIDE
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.figure import panel_letter, sign
from headscarp.exhibits.panels.legend import swatches
from headscarp.exhibits.panels.marks import bare, north_arrow, scale_bar
from headscarp.exhibits.panels.page import Page
from headscarp.exhibits.panels.scene import (
    LEGEND,
    Scene,
    draw_outcomes,
    draw_reference,
    nothing_to_show,
    outcome_records,
)
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import frame_of

RECTANGLE = (300, 400)  # rows and columns at most: 3 x 4 km of Sentinel-2
SHARE_OF_MAP = 2 / 3


def inventory_comparison(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """A rectangle of the evaluated region: reference outlines, then found, false and missed pixels of the
    first seed of each row.

    The rectangle of a protocol is the one with the most evaluated landslide pixels. The numbers behind it are
    pixels inside it. Options: `composite` (three layers for red, green, blue; default red, green, blue).
    """
    scenes = {protocol: Scene.of(spec, protocol) for protocol in spec.protocols}
    windows = {protocol: richest_window(scene, spec, protocol) for protocol, scene in scenes.items()}
    shape = next(iter(windows.values()))[2:]
    page = Page.fit(1 + len(spec.rows), shape[0] / shape[1], len(spec.protocols), heading=0.2, footer=0.55)
    figure = page.figure()
    lines = []
    for block, (protocol, scene) in enumerate(scenes.items()):
        view = scene.view(windows[protocol])
        page.head(figure, block, f"Protocol: {protocol}", "")
        reference = page.axes(figure, block, 0)
        draw_reference(reference, scene, view, 0.9)
        reference.set_title("(a) Reference", fontsize=7.5, pad=3)
        scale_bar(reference, view.width_km)
        north_arrow(reference)
        bare(reference)
        for index, run in enumerate(
            (runs[0] for row in spec.rows if (runs := spec.runs_of(row, protocol))), start=1
        ):
            axes = page.axes(figure, block, index)
            counts = draw_outcomes(axes, scene, view, run)
            axes.set_title(f"{panel_letter(index)} {run.label}", fontsize=7.5, pad=3)
            bare(axes)
            row, col, rows, cols = windows[protocol]
            note = f"seed {run.seed}, rectangle of {rows} x {cols} pixels from row {row}, column {col}"
            lines += outcome_records(spec, run.row, run, counts, note)
    legend_below(figure, scenes.values())
    sign(figure, spec, "First seed of each network.")
    return figure, frame_of(lines)


def legend_below(figure: Figure, scenes: Iterable[Scene]) -> None:
    """What the colours of the panels mean, at the foot of a page of panels."""
    handles: list[Any] = [
        Line2D([], [], color=palette.IMAGE_SLIDE, lw=1.4, label="Reference landslide"),
        *swatches(LEGEND),
    ]
    if any(not scene.tested.all() for scene in scenes):
        handles.append(Line2D([], [], color="black", lw=0.8, label="Evaluated region"))
    figure.legend(
        handles=handles, loc="lower center", bbox_to_anchor=(0.5, 0.2 / figure.get_figheight()), ncols=5
    )


def richest_window(scene: Scene, spec: ExhibitSpec, protocol: str) -> tuple[int, int, int, int]:
    """First row, first column, rows and columns of the rectangle with the most evaluated landslide pixels; of
    ties, the first.

    Raises:
        HeadscarpError: no evaluated pixel is a landslide.
    """
    slides = scene.tested & (scene.label == LANDSLIDE)
    if not slides.any():
        raise nothing_to_show(spec, protocol)
    rows, cols = (
        min(most, max(1, round(SHARE_OF_MAP * side)))
        for most, side in zip(RECTANGLE, slides.shape, strict=True)
    )
    total = np.pad(slides.astype(np.int32), ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    inside = total[rows:, cols:] - total[:-rows, cols:] - total[rows:, :-cols] + total[:-rows, :-cols]
    first = np.unravel_index(np.argmax(inside), inside.shape)
    return int(first[0]), int(first[1]), rows, cols
