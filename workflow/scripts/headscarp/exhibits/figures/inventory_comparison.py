"""Landslides found, invented and missed in one rectangle (zhang2024, Fig. 11)."""

import pandas as pd
from matplotlib.figure import Figure

from headscarp.codes import LANDSLIDE
from headscarp.exhibits.panels.figure import panel_letter, sign
from headscarp.exhibits.panels.legend import WIDE, legend_at_foot
from headscarp.exhibits.panels.marks import orient
from headscarp.exhibits.panels.page import Page
from headscarp.exhibits.panels.scene import (
    Scene,
    draw_outcomes,
    draw_reference,
    nothing_to_show,
    outcome_records,
    reference_handles,
    scenes_of,
)
from headscarp.exhibits.panels.windows import Window, fullest_window
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import frame_of, of_seed

RECTANGLE = (300, 400)  # rows and columns at most: 3 x 4 km of Sentinel-2
SHARE_OF_MAP = 2 / 3


def inventory_comparison(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """A rectangle of the evaluated region: reference outlines, then found, false and missed pixels of the
    first seed of each row.

    The rectangle of a protocol is the one with the most evaluated landslide pixels. The numbers behind it are
    pixels inside it. Options: `composite` (three layers for red, green, blue; default red, green, blue).
    """
    scenes = scenes_of(spec)
    windows = {protocol: richest_window(scene, spec, protocol) for protocol, scene in scenes.items()}
    shape = next(iter(windows.values()))[2:]
    page = Page.fit(1 + len(spec.rows), shape[0] / shape[1], len(spec.protocols), heading=0.2, footer=0.55)
    figure = page.figure()
    lines = []
    for block, (protocol, scene) in enumerate(scenes.items()):
        view = scene.view(windows[protocol])
        page.head(figure, block, f"Protocol: {protocol}")
        reference = page.axes_of(figure, block, 0)
        draw_reference(reference, scene, view, 0.9)
        reference.set_title("(a) Reference", fontsize=7.5, pad=3)
        orient(reference, view.width_km)
        row, col, rows, cols = windows[protocol]
        note = f", rectangle of {rows} x {cols} pixels from row {row}, column {col}"
        for index, run in enumerate(spec.first_runs(protocol), start=1):
            axes = page.axes_of(figure, block, index)
            masks = draw_outcomes(axes, scene, view, run)
            axes.set_title(f"{panel_letter(index)} {run.label}", fontsize=7.5, pad=3)
            lines += outcome_records(spec, run.row, masks, **of_seed(run, scene.site, note))
    legend_at_foot(figure, reference_handles(scenes.values()), 5, WIDE)
    sign(figure, spec, "First seed of each network.")
    return figure, frame_of(lines)


def richest_window(scene: Scene, spec: ExhibitSpec, protocol: str) -> Window:
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
    return fullest_window(slides, (rows, cols))[0]
