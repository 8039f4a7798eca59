"""Class maps of runs, and the landslides they found (xia2021, Figs 13, 14, 19 and 20)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headscarp.codes import LANDSLIDE
from headscarp.exhibits.labels import score_text
from headscarp.exhibits.panels.figure import panel_letter, sign
from headscarp.exhibits.panels.ground import paint
from headscarp.exhibits.panels.land_cover import class_handles, class_picture, names_of_classes
from headscarp.exhibits.panels.legend import legend_at_foot, swatches
from headscarp.exhibits.panels.marks import orient, show
from headscarp.exhibits.panels.page import Page
from headscarp.exhibits.panels.scene import (
    Scene,
    classes_of,
    draw_on_tested,
    outcome_handles,
    outcome_records,
    outcomes,
    paint_outcomes,
    scenes_of,
    tested_handles,
)
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.panels.windows import Window, slices
from headscarp.exhibits.runs import scores_part
from headscarp.exhibits.spec import ExhibitSpec, RunFiles
from headscarp.exhibits.tidy import frame_of, of_seed, record


def evaluated_window(scenes: Mapping[str, Scene]) -> Window:
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
        page.head(figure, block, f"Protocol: {protocol}")
        image, labels = (page.axes_of(figure, block, index) for index in range(2))
        show(image, scene.image(view), view)
        orient(image, view.width_km)
        draw_evaluated(labels, scene, view, reference(view.thin(scene.label)))
        panels, texts = [image, labels], ["Image", "Labels"]
        for index, run in enumerate(spec.first_runs(protocol), start=2):
            panels.append(page.axes_of(figure, block, index))
            below, records = draw(panels[-1], scene, view, run)
            texts.append(f"{run.label}\n{below}")
            lines += records
        for index, (axes, text) in enumerate(zip(panels, texts, strict=True)):
            axes.set_title(f"{panel_letter(index)} {text}", fontsize=7, pad=3)
    inside = slices(window)
    bordered = [replace(scene, tested=scene.tested[inside]) for scene in scenes.values()]
    handles = [*handles, *tested_handles(bordered)]
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
        accuracy = scores_part(run.maps / "scores.json", "classes")["oa"]
        lines = [record(spec, run.row, "oa", accuracy, **of_seed(run, site))]
        lines += share_records(spec, run.row, names, mapped[scene.tested], **of_seed(run, site))
        return f"OA {score_text(accuracy)}", lines

    figure, lines = pages_of_maps(spec, scenes, draw, class_handles(names), class_picture)
    for protocol, scene in scenes.items():
        lines += share_records(
            spec, "labels", names, scene.label[scene.tested], protocol=protocol, data=site.data
        )
    return figure, frame_of(lines)


def draw_evaluated(axes: Axes, scene: Scene, view: View, picture: np.ndarray) -> None:
    """A picture (row, col, 3) on the evaluated region, the washed-out image beside it."""
    tested, image = view.thin(scene.tested), scene.faded(view)
    image[tested] = picture[tested]
    draw_on_tested(axes, scene, view, image)


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
        masks = outcomes(classes_of(run, scene) == LANDSLIDE, scene.label == LANDSLIDE, scene.tested)
        image = scene.faded(view)
        paint_outcomes(image, {outcome: view.thin(mask) for outcome, mask in masks.items()})
        draw_on_tested(axes, scene, view, image)
        pixel = scores_part(run.maps / "scores.json", "extraction")["pixel"]
        lines = [*outcome_records(spec, run.row, masks, **of_seed(run, scene.site, ", evaluated region"))]
        same = of_seed(run, scene.site, ", fraction") | {"published": None}
        lines += [record(spec, run.row, metric, pixel[metric], **same) for metric in ("dp", "qp")]
        return f"DP {score_text(pixel['dp'])}, QP {score_text(pixel['qp'])}", lines

    def reference(label: np.ndarray) -> np.ndarray:
        image = np.ones((*label.shape, 3))
        paint(image, label == LANDSLIDE, LABELLED)
        return image

    handles = [*swatches([(LABELLED, "Labelled landslide")]), *outcome_handles()]
    figure, lines = pages_of_maps(spec, scenes, draw, handles, reference)
    return figure, frame_of(lines)
