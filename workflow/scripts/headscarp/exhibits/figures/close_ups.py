"""Landslides found, invented and missed around single slides (zhang2024, Fig. 12)."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import ndimage

from headscarp.exhibits.figures.inventory_comparison import legend_below
from headscarp.exhibits.layers import layer_path, site_grid
from headscarp.exhibits.panels.figure import HEIGHT, WIDTH, new_figure, panel_letter, sign
from headscarp.exhibits.panels.marks import bare, scale_bar, show
from headscarp.exhibits.panels.page import GAP, MARGIN, place
from headscarp.exhibits.panels.scene import (
    Scene,
    draw_outcomes,
    draw_reference,
    nothing_to_show,
    outcome_records,
)
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.panels.windows import SLIDES, square_around
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import frame_of


def close_ups(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Six evaluated slides from the larger half, spread in size: image, reference, and one line of panels for
    each row.

    A block for each protocol. The numbers behind it are the found, false and missed pixels of each close-up;
    rows such as `model1:slide 2`. Options: `composite` (three layers for red, green, blue; default red,
    green, blue).
    """
    scenes = {protocol: Scene.of(spec, protocol) for protocol in spec.protocols}
    kinds = 2 + len(spec.rows)
    label_width, heading, foot = 0.62, 0.36, 0.55
    side = min(
        (WIDTH - 2 * MARGIN - label_width) / SLIDES - GAP,
        ((HEIGHT - foot) / len(spec.protocols) - heading) / kinds - GAP,
    )
    block_height = heading + kinds * (side + GAP)
    figure = new_figure(len(spec.protocols) * block_height + foot, layout=None)
    tall = figure.get_figheight()
    lines = []
    for block, (protocol, scene) in enumerate(scenes.items()):
        top = block * block_height
        figure.text(
            MARGIN / WIDTH,
            1 - (top + 0.05) / tall,
            f"Protocol: {protocol}",
            weight="bold",
            fontsize=8.5,
            va="top",
        )
        runs = [runs[0] for row in spec.rows if (runs := spec.runs_of(row, protocol))]
        for line, text in enumerate(("Image", "Reference", *(run.label for run in runs))):
            middle = 1 - (top + heading + line * (side + GAP) + side / 2) / tall
            words = textwrap.fill(f"{panel_letter(line)} {text}", 16)
            figure.text(
                (MARGIN + label_width / 2) / WIDTH,
                middle,
                words,
                rotation=90,
                ha="center",
                va="center",
                fontsize=7,
            )
        for column, (window, area) in enumerate(chosen_slides(scene, spec, protocol)):
            view = scene.view(window)
            left = MARGIN + label_width + column * (side + GAP)
            panels = [
                place(figure, (left, top + heading + line * (side + GAP), side, side))
                for line in range(2 + len(runs))
            ]
            show(panels[0], scene.image(view), view)
            panels[0].set_title(f"{area / 1e4:.1f} ha", fontsize=7, pad=2.5)
            scale_bar(panels[0], view.width_km)
            draw_reference(panels[1], scene, view, 1.0)
            for axes, run in zip(panels[2:], runs, strict=True):
                counts = draw_outcomes(axes, scene, view, run)
                lines += outcome_records(
                    spec,
                    f"{run.row}:slide {column + 1}",
                    run,
                    counts,
                    f"seed {run.seed}, slide of {area:.0f} m²",
                )
            for axes in panels:
                bare(axes)
    legend_below(figure, scenes.values())
    sign(figure, spec, "Area of the slide above each column. First seed of each network.")
    return figure, frame_of(lines)


def chosen_slides(
    scene: Scene, spec: ExhibitSpec, protocol: str
) -> list[tuple[tuple[int, int, int, int], float]]:
    """Up to six squares (first row, first column, rows, columns) around slides that are evaluated whole, and
    their areas in m2.

    Raises:
        HeadscarpError: no slide lies wholly in the evaluated region.
    """
    grid = site_grid(scene.site)
    instances = View.of(grid, max(grid.shape)).read(layer_path(scene.site, "instances"), classes=True)
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
