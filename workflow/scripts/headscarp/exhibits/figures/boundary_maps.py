"""Outlines of labelled and mapped landslides (xia2021, Fig. 15)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from headscarp.codes import LANDSLIDE
from headscarp.errors import HeadscarpError
from headscarp.exhibits.labels import score_text
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.figure import panel_letter, sign
from headscarp.exhibits.panels.legend import legend_at_foot
from headscarp.exhibits.panels.marks import outline, scale_bar
from headscarp.exhibits.panels.page import Page
from headscarp.exhibits.panels.scene import (
    Scene,
    classes_of,
    draw_reference,
    scenes_of,
)
from headscarp.exhibits.panels.windows import Window, slices, slide_windows
from headscarp.exhibits.runs import scores_part
from headscarp.exhibits.spec import ExhibitSpec, RunFiles
from headscarp.exhibits.tidy import frame_of, of_seed, record

BOUNDARIES = ("#CC79A7", "#56B4E9", "#009E73", "#000000")
CLOSE_UPS = 3


def boundary_maps(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Outlines of the labelled landslide and of those mapped by the first seed of each row around the largest
    evaluated slides that lie apart from each other.

    A block for each protocol. The numbers behind it are the intersection over union of labelled and mapped
    landslide in each close-up, rows such as `fstf:slide 1`, and the boundary F1 of scores.json. Options:
    `slides` (how many, default 3); `composite` (three layers for red, green, blue); `elsewhere` (true: the
    target site).

    Raises:
        HeadscarpError: there are more rows than outlines can be told apart, or no evaluated pixel is a
        landslide.
    """
    if len(spec.rows) > len(BOUNDARIES):
        raise HeadscarpError(
            f"exhibit '{spec.name}' ({spec.kind}) has {len(spec.rows)} rows but shows "
            f"{len(BOUNDARIES)} at most"
        )
    scenes = scenes_of(spec)
    windows = {protocol: close_up_windows(spec, scene, protocol) for protocol, scene in scenes.items()}
    page = Page.grid(1, max(map(len, windows.values())), len(scenes), heading=0.52, footer=0.75, caption=0.0)
    figure, lines = page.figure(), []
    for block, (protocol, scene) in enumerate(scenes.items()):
        runs = spec.first_runs(protocol)
        maps = [classes_of(run, scene) == LANDSLIDE for run in runs]
        of_runs = [boundary_record(spec, run, scene) for run in runs]
        texts = [f"{run.label} {score_text(one['value'])}" for run, one in zip(runs, of_runs, strict=True)]
        page.head(figure, block, f"Protocol: {protocol} · boundary F1: {', '.join(texts)}")
        lines += of_runs
        for column, window in enumerate(windows[protocol]):
            view, axes = scene.view(window), page.axes(figure, block, 0, column)
            draw_reference(axes, scene, view, 2.4)
            overlaps = []
            for colour, run, mapped in zip(BOUNDARIES, runs, maps, strict=False):
                outline(axes, view.thin(mapped), view, colour, 0.9)
                overlaps.append(overlap_in(mapped, scene, window))
                same = of_seed(run, scene.site, ", close-up")
                lines.append(record(spec, f"{run.row}:slide {column + 1}", "iou", overlaps[-1], **same))
            text = ", ".join(map(score_text, overlaps))
            axes.set_title(f"{panel_letter(column)} Slide {column + 1}\nIoU {text}", fontsize=7, pad=3)
            scale_bar(axes, view.width_km)
    handles = [Line2D([], [], color=palette.IMAGE_SLIDE, lw=2.4, label="Labelled landslide")]
    for colour, row in zip(BOUNDARIES, spec.rows, strict=False):
        handles.append(Line2D([], [], color=colour, lw=1.4, label=spec.labels[row]))
    legend_at_foot(figure, handles, 3)
    sign(figure, spec, "First seed of each network. IoU of the close-up, in the order of the legend.")
    return figure, frame_of(lines)


def close_up_windows(spec: ExhibitSpec, scene: Scene, protocol: str) -> list[Window]:
    """Windows around the largest evaluated slides."""
    count = int(spec.options.get("slides", CLOSE_UPS))
    found = slide_windows(scene.tested & (scene.label == LANDSLIDE), count)
    if not found:
        raise HeadscarpError(
            f"exhibit '{spec.name}' ({spec.kind}): the evaluated region under protocol '{protocol}' "
            f"holds no landslide to show; "
            "make the samples with another seed, or leave the protocol out of the exhibit"
        )
    return found


def boundary_record(spec: ExhibitSpec, run: RunFiles, scene: Scene) -> dict[str, Any]:
    """Tidy record of the boundary F1 of a run."""
    part = scores_part(run.maps / "scores.json", "boundary")
    same = of_seed(run, scene.site, f", evaluated region, tolerance {part['tolerance_px']} pixels")
    return record(spec, run.row, "boundary_f1", part["f1"], **same)


def overlap_in(mapped: np.ndarray, scene: Scene, window: Window) -> float | None:
    """Intersection over union of mapped and labelled landslide among the evaluated pixels of a window; None
    where there is neither."""
    inside = slices(window)
    tested, slide, found = scene.tested[inside], scene.label[inside] == LANDSLIDE, mapped[inside]
    union = int(((slide | found) & tested).sum())
    return float((slide & found & tested).sum() / union) if union else None
