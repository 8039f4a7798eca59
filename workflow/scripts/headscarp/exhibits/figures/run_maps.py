"""Class maps of runs, and the landslides they found (xia2021, Figs 13, 14, 19 and 20)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from headscarp.codes import LANDSLIDE
from headscarp.exhibits.panels.figure import panel_letter, sign
from headscarp.exhibits.panels.ground import paint
from headscarp.exhibits.panels.land_cover import class_handles, class_picture, names_of_classes
from headscarp.exhibits.panels.legend import legend_at_foot, swatches
from headscarp.exhibits.panels.marks import bare, north_arrow, outline, scale_bar, show
from headscarp.exhibits.panels.page import Page
from headscarp.exhibits.panels.scene import (
    COLOURS,
    FADED,
    LEGEND,
    OUTCOMES,
    Scene,
    classes_of,
    draw_evaluated,
    first_runs,
    fraction,
    outcome_records,
    scenes_of,
)
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.runs import scores_part
from headscarp.exhibits.spec import ExhibitSpec, RunFiles
from headscarp.exhibits.tidy import frame_of, record


def evaluated_window(scenes: Mapping[str, Scene]) -> tuple[int, int, int, int]:
    """First row, first column, rows and columns of all that is evaluated under any protocol."""
    tested = np.any([scene.tested for scene in scenes.values()], axis=0)
    rows, cols = (np.flatnonzero(tested.any(axis=axis)) for axis in (1, 0))
    return int(rows[0]), int(cols[0]), int(np.ptp(rows)) + 1, int(np.ptp(cols)) + 1


def pages_of_maps(
    spec: ExhibitSpec, scenes: Mapping[str, Scene], draw: Any, handles: Sequence[Any], reference: Any
) -> tuple[Figure, list[dict[str, Any]]]:
    """Image, labels and a panel for the first seed of each row, a block for each protocol; returns the figure
    and the tidy records.

    `draw(axes, scene, view, run)` draws a panel and returns what stands below its title and its records;
    `reference(label)` gives the picture of labels (row, col).
    """
    window = evaluated_window(scenes)
    page = Page.fit(2 + len(spec.rows), window[2] / window[3], len(scenes), heading=0.2, footer=0.75)
    figure = page.figure()
    lines: list[dict[str, Any]] = []
    for block, (protocol, scene) in enumerate(scenes.items()):
        view = scene.view(window)
        page.head(figure, block, f"Protocol: {protocol}", "")
        image, labels = (page.axes(figure, block, index) for index in range(2))
        show(image, scene.image(view), view)
        scale_bar(image, view.width_km)
        north_arrow(image)
        draw_evaluated(labels, scene, view, reference(view.thin(scene.label)))
        panels, texts = [image, labels], ["Image", "Labels"]
        for index, run in enumerate(first_runs(spec, protocol), start=2):
            panels.append(page.axes(figure, block, index))
            below, records = draw(panels[-1], scene, view, run)
            texts.append(f"{run.label}\n{below}")
            lines += records
        for index, (axes, text) in enumerate(zip(panels, texts, strict=True)):
            axes.set_title(f"{panel_letter(index)} {text}", fontsize=7, pad=3)
            bare(axes)
    if any(
        not scene.tested[window[0] : window[0] + window[2], window[1] : window[1] + window[3]].all()
        for scene in scenes.values()
    ):
        handles = [*handles, Line2D([], [], color="black", lw=0.8, label="Evaluated region")]
    legend_at_foot(figure, handles, 5 if len(handles) == 5 else 4)
    where = (
        f"Mapped at {spec.target.title} by networks trained elsewhere. "
        if spec.options.get("elsewhere")
        else ""
    )
    sign(figure, spec, f"{where}First seed of each network.")
    return figure, lines


def class_maps_of_runs(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Image, labels and the class map of the first seed of each row, a block for each protocol; only the
    evaluated region is coloured.

    The numbers behind it are the share of each class in the evaluated region, labelled and mapped, and the
    overall accuracy of scores.json. Options: `composite` (three layers for red, green, blue; default red,
    green, blue); `elsewhere` (true: the maps of the target site).
    """
    scenes = scenes_of(spec)
    site = next(iter(scenes.values())).site
    names = names_of_classes(site)

    def draw(axes: Axes, scene: Scene, view: View, run: RunFiles) -> tuple[str, list[dict[str, Any]]]:
        mapped = classes_of(run, scene)
        draw_evaluated(axes, scene, view, class_picture(view.thin(mapped)))
        accuracy = multi_class(spec, run)["oa"]
        rest = {"protocol": run.protocol, "n_seeds": 1, "data": site.data, "note": f"seed {run.seed}"}
        lines = [record(spec, run.row, "oa", accuracy, **rest)]
        lines += share_records(spec, run.row, names, mapped[scene.tested], **rest)
        return f"OA {fraction(accuracy)}", lines

    figure, lines = pages_of_maps(spec, scenes, draw, class_handles(names), class_picture)
    for protocol, scene in scenes.items():
        lines += share_records(
            spec, "labels", names, scene.label[scene.tested], protocol=protocol, data=site.data
        )
    return figure, frame_of(lines)


def multi_class(spec: ExhibitSpec, run: RunFiles) -> dict[str, Any]:
    """The scores in classes of a run at the site that an exhibit shows.

    Raises:
        HeadscarpError: the run was not scored in classes.
    """
    path = run.maps / "scores.json"
    return scores_part(path, "classes")


def share_records(
    spec: ExhibitSpec, row: str, names: Mapping[int, str], codes: np.ndarray, **rest: Any
) -> Iterator[dict[str, Any]]:
    """Tidy records of the share of each class among codes (pixel,)."""
    counts = np.bincount(codes, minlength=256)
    for code, name in sorted(names.items()):
        yield record(spec, f"{row}:{name}", "area_share", float(counts[code] / codes.size), **rest)


LABELLED = "#4D4D4D"  # no colour of found, false and missed


def extraction_maps(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Image, labelled landslides, and the landslides that the first seed of each row found, missed or falsely
    mapped, on the image.

    A block for each protocol. The numbers behind it are the found, false and missed pixels of the whole
    evaluated region, and the detection percentage and quality percentage of scores.json. Options as of
    `class_maps_of_runs`.
    """
    scenes = scenes_of(spec)

    def draw(axes: Axes, scene: Scene, view: View, run: RunFiles) -> tuple[str, list[dict[str, Any]]]:
        found, slide = classes_of(run, scene) == LANDSLIDE, scene.label == LANDSLIDE
        masks = [mask & scene.tested for mask in (found & slide, found & ~slide, ~found & slide)]
        image = (1 - FADED) * scene.image(view) + FADED
        for colour, mask in zip(COLOURS, masks, strict=True):
            paint(image, view.thin(mask), colour)
        show(axes, image, view)
        if not view.thin(scene.tested).all():
            outline(axes, view.thin(scene.tested), view, "black", 0.6)
        pixel = scores_part(run.maps / "scores.json", "extraction")["pixel"]
        counts = {outcome: int(mask.sum()) for outcome, mask in zip(OUTCOMES, masks, strict=True)}
        lines = list(
            outcome_records(
                replace(spec, sites=(scene.site,)), run.row, run, counts, f"seed {run.seed}, evaluated region"
            )
        )
        rest = {
            "protocol": run.protocol,
            "n_seeds": 1,
            "data": scene.site.data,
            "note": f"seed {run.seed}, fraction",
        }
        lines += [
            record(spec, run.row, metric, pixel[metric], published=None, **rest) for metric in ("dp", "qp")
        ]
        return f"DP {fraction(pixel['dp'])}, QP {fraction(pixel['qp'])}", lines

    def reference(label: np.ndarray) -> np.ndarray:
        image = np.ones((*label.shape, 3))
        paint(image, label == LANDSLIDE, LABELLED)
        return image

    handles = swatches([(LABELLED, "Labelled landslide"), *LEGEND])
    figure, lines = pages_of_maps(spec, scenes, draw, handles, reference)
    return figure, frame_of(lines)
