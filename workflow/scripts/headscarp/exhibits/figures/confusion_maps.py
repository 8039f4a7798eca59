"""Where each network is right and wrong (gao2021, Figs 7 and 8)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from headscarp.codes import LANDSLIDE, TEST, TRAIN, UNMAPPED, VALIDATION
from headscarp.exhibits.labels import score_text
from headscarp.exhibits.layers import layer_path, site_grid
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.figure import panel_letter, sign
from headscarp.exhibits.panels.ground import grey_relief, paint, tone
from headscarp.exhibits.panels.legend import WIDE, legend_at_foot, swatches
from headscarp.exhibits.panels.marks import hatch, orient, outline, show
from headscarp.exhibits.panels.page import HEADING, Page
from headscarp.exhibits.panels.scene import CONFUSION, outcomes, paint_outcomes, regions_shown, site_shown
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.spec import ExhibitSpec, RunFiles
from headscarp.exhibits.tidy import frame_of, of_seed, record
from headscarp.files import read_json


def confusion_maps(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """True positives, false positives and false negatives of the first seed of each run, a block of panels
    for each protocol.

    Under `blocked` only the test region, outlined, is coloured; the page shows what is scored under any
    protocol, with a rim. The numbers behind it are the F1 of that seed. Options: `elsewhere` (true: the maps
    of the target site, where all is scored).
    """
    site = site_shown(spec)
    view = View.of(site_grid(site))
    regions = {protocol: regions_shown(spec, protocol, view) for protocol in spec.protocols}
    west, east, south, north = scored_extent(list(regions.values()), view)
    relief = tone(view, site)
    label = view.read(layer_path(site, "label"), classes=True)
    page = Page.fit(
        len(spec.rows), (north - south) / (east - west), len(spec.protocols), HEADING, footer=0.62
    )
    figure = page.figure()
    lines = []
    for block, protocol in enumerate(spec.protocols):
        page.head(figure, block, *heading_of(spec, protocol))
        for index, run in enumerate(spec.first_runs(protocol)):
            scores = read_json(run.maps / "scores.json")
            axes = page.axes_of(figure, block, index)
            draw_confusion(axes, run, scores["threshold"], view, relief, label, regions[protocol])
            axes.set(xlim=(west, east), ylim=(south, north))
            f1 = scores["metrics"]["f1"]
            text = f"{run.label}\nF1 {score_text(f1)}"
            axes.set_title(f"{panel_letter(index)} {text}", fontsize=7.5, pad=3)
            if index == 0:
                orient(axes, east - west)
            same = of_seed(run, site, ", fraction")
            lines.append(record(spec, run.row, "f1", f1, published=None, **same))
    legend_at_foot(figure, confusion_legend(list(regions.values()), label), 4, WIDE)
    sign(figure, spec, "First seed of each network.")
    return figure, frame_of(lines)


PROTOCOL_REMARK = {
    "published": "scored on the whole area, training windows included",
    "blocked": "scored on the outlined test blocks only",
}


def heading_of(spec: ExhibitSpec, protocol: str) -> tuple[str, str]:
    """Title of a block and what stands below it."""
    if spec.options.get("elsewhere"):
        title = f"Trained on {spec.only_site().title}, mapped on {spec.target.title}"
        return title, f"protocol {protocol}; scored on all of it, at the threshold of the region of training"
    return f"Protocol: {protocol}", PROTOCOL_REMARK[protocol]


def scored_extent(regions: Sequence[np.ndarray], view: View) -> tuple[float, float, float, float]:
    """West, east, south and north, in kilometres, of all that is scored in any of the regions (row, col) of
    protocols, with a rim of a twentieth."""
    scored = np.any([one == TEST for one in regions], axis=0)
    limits = []
    for axis, (first, last) in ((0, view.extent[:2]), (1, view.extent[2:])):
        inside = np.flatnonzero(scored.any(axis=axis))
        share = np.array([inside[0], inside[-1] + 1]) / scored.shape[1 - axis]
        share = np.clip(share + np.ptp(share) / 20 * np.array([-1, 1]), 0, 1)
        low, high = share if axis == 0 else 1 - share[::-1]
        limits += [first + low * (last - first), first + high * (last - first)]
    return tuple(limits)


def draw_confusion(
    axes: Axes,
    run: RunFiles,
    threshold: float,
    view: View,
    relief: np.ndarray,
    label: np.ndarray,
    regions: np.ndarray,
) -> None:
    """One panel: the scored region in the three colours over grey relief."""
    image = grey_relief(relief, label)
    paint(image, (regions == TRAIN) & (label != UNMAPPED), palette.TRAINED_GREY, 0.65)
    paint(image, (regions == VALIDATION) & (label != UNMAPPED), palette.VALIDATED_GREY, 0.65)
    probability = view.read(run.maps / "probability.tif", classes=True)
    scored = (regions == TEST) & (label != UNMAPPED) & ~np.isnan(probability)
    paint_outcomes(image, outcomes(probability >= threshold, label == LANDSLIDE, scored))
    show(axes, image, view)
    hatch(axes, label == UNMAPPED, view)
    if (regions == TRAIN).any():
        outline(axes, regions == TEST, view, "black", 0.6)


def confusion_legend(regions: Sequence[np.ndarray], label: np.ndarray) -> list[Any]:
    """Legend handles of what the panels of all protocols show."""
    handles: list[Any] = swatches(CONFUSION)
    if any((one == TRAIN).any() for one in regions):
        handles += swatches(
            [(palette.TRAINED_GREY, "Training blocks"), (palette.VALIDATED_GREY, "Validation blocks")]
        )
        handles.append(Line2D([], [], color="black", lw=0.8, label="Test blocks"))
    if (label == UNMAPPED).any():
        handles += swatches([("white", "Not mapped")], hatch="//////")
    return handles
