"""Landslides found, invented and missed around single slides (zhang2024, Fig. 12)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import ndimage

from headscarp.exhibits.layers import layer_path, site_grid
from headscarp.exhibits.panels.figure import panel_letter, sign
from headscarp.exhibits.panels.legend import WIDE, legend_at_foot
from headscarp.exhibits.panels.marks import scale_bar, show
from headscarp.exhibits.panels.page import Page
from headscarp.exhibits.panels.scene import (
    Scene,
    draw_outcomes,
    draw_reference,
    nothing_to_show,
    outcome_records,
    reference_handles,
    scenes_of,
    whole_view,
)
from headscarp.exhibits.panels.windows import Window, square_around
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import frame_of, of_seed

SLIDES = 6


def close_ups(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Six evaluated slides from the larger half, spread in size: image, reference, and one line of panels for
    each row.

    A block for each protocol. The numbers behind it are the found, false and missed pixels of each close-up;
    rows such as `model1:slide 2`. Options: `composite` (three layers for red, green, blue; default red,
    green, blue).
    """
    scenes = scenes_of(spec)
    page = Page.grid(2 + len(spec.rows), SLIDES, len(spec.protocols), heading=0.36, footer=0.55, caption=0.62)
    figure = page.figure()
    lines = []
    for block, (protocol, scene) in enumerate(scenes.items()):
        page.head(figure, block, f"Protocol: {protocol}")
        runs = spec.first_runs(protocol)
        for row, text in enumerate(("Image", "Reference", *(run.label for run in runs))):
            page.write_caption(figure, block, row, f"{panel_letter(row)} {text}")
        for column, (window, area) in enumerate(chosen_slides(scene, spec, protocol)):
            view = scene.view(window)
            panels = [page.axes(figure, block, row, column) for row in range(2 + len(runs))]
            show(panels[0], scene.image(view), view)
            panels[0].set_title(f"{area / 1e4:.1f} ha", fontsize=7, pad=2.5)
            scale_bar(panels[0], view.width_km)
            draw_reference(panels[1], scene, view, 1.0)
            for axes, run in zip(panels[2:], runs, strict=True):
                masks = draw_outcomes(axes, scene, view, run)
                same = of_seed(run, scene.site, f", slide of {area:.0f} m²")
                lines += outcome_records(spec, f"{run.row}:slide {column + 1}", masks, **same)
    legend_at_foot(figure, reference_handles(scenes.values()), 5, WIDE)
    sign(figure, spec, "Area of the slide above each column. First seed of each network.")
    return figure, frame_of(lines)


def chosen_slides(scene: Scene, spec: ExhibitSpec, protocol: str) -> list[tuple[Window, float]]:
    """Up to six squares (first row, first column, rows, columns) around slides that are evaluated whole, and
    their areas in m2.

    Raises:
        HeadscarpError: no slide lies wholly in the evaluated region.
    """
    grid = site_grid(scene.site)
    instances = whole_view(scene.site).read(layer_path(scene.site, "instances"), classes=True)
    boxes = ndimage.find_objects(instances)
    sizes = np.bincount(instances.ravel(), minlength=len(boxes) + 1)
    evaluated = np.bincount(instances[scene.tested], minlength=len(boxes) + 1)
    whole = [
        number for number in range(1, len(boxes) + 1) if sizes[number] and evaluated[number] == sizes[number]
    ]
    if not whole:
        raise nothing_to_show(spec, protocol)
    whole.sort(key=lambda number: (-sizes[number], number))
    larger = whole[: max(SLIDES, len(whole) // 2)]
    ranks = np.unique(np.linspace(0, len(larger) - 1, min(SLIDES, len(larger))).round().astype(int))
    pixel_area = grid.resolution**2
    return [
        (square_around(boxes[larger[rank] - 1], grid.shape), sizes[larger[rank]] * pixel_area)
        for rank in ranks
    ]
