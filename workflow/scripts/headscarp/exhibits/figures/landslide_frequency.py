"""Landslides in classes of factors (gao2021, Fig. 10)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.exhibits.labels import factor_label, unit_text
from headscarp.exhibits.layers import BREAKS_SEED, CLASSES, units_of, values_of
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.figure import new_figure, sign
from headscarp.exhibits.panels.legend import swatches
from headscarp.exhibits.spec import ExhibitSpec, SiteFiles
from headscarp.exhibits.tidy import UNIT, frame_of, record
from headscarp.scoring.breaks import natural_breaks


def landslide_frequency(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Landslide pixels in five natural-break classes of factors, the classes' share of the area, and the
    ratio of the two.

    Options: `factors` (continuous layers; default slope, NDVI and distance to fault).
    """
    factors = list(spec.options.get("factors", ("slope", "ndvi", "distance_to_fault")))
    figure = new_figure(0.75 + 2.15 * len(spec.sites))
    panels = figure.subplots(len(spec.sites), len(factors), squeeze=False, sharey="row")
    lines = []
    for row, site in zip(panels, spec.sites, strict=True):
        label = values_of(site, "label")
        for axes, factor in zip(row, factors, strict=True):
            values = values_of(site, factor)
            usable = (label != UNMAPPED) & np.isfinite(values)
            classes = frequency_by_class(values[usable], label[usable] == LANDSLIDE, factor)
            draw_frequency(axes, classes, f"{factor_label(factor)}{unit_text(UNIT + units_of(site, factor))}")
            lines += frequency_records(spec, site, factor, classes)
        row[0].set_ylabel(f"{site.title}\nShare of pixels", fontsize=7.5)
    figure.legend(handles=[*swatches(FREQUENCY_COLOURS)], loc="outside upper right", ncols=2)
    sign(figure, spec, "Above the bars: frequency ratio, landslide share over area share.")
    return figure, frame_of(lines)


FREQUENCY_COLOURS = (("#D55E00", "Share of landslide pixels"), ("#BBBBBB", "Share of the study area"))


def frequency_by_class(values: np.ndarray, truth: np.ndarray, factor: str) -> pd.DataFrame:
    """Per natural-break class of flat `values`: low, high, landslide_share, area_share (each summing to 1)
    and frequency_ratio."""
    edges = natural_breaks(values, CLASSES, BREAKS_SEED, factor)
    member = np.digitize(values, edges[1:-1], right=True)
    counts, slides = (np.bincount(of, minlength=CLASSES) for of in (member, member[truth]))
    frame = pd.DataFrame(
        {
            "low": edges[:-1],
            "high": edges[1:],
            "landslide_share": slides / slides.sum(),
            "area_share": counts / counts.sum(),
        }
    )
    frame["frequency_ratio"] = frame["landslide_share"] / frame["area_share"]
    return frame


def frequency_records(
    spec: ExhibitSpec, site: SiteFiles, factor: str, classes: pd.DataFrame
) -> list[dict[str, Any]]:
    lines = []
    for number, one in enumerate(classes.itertuples(), start=1):
        for metric in ("landslide_share", "area_share", "frequency_ratio"):
            note = f"{factor} {one.low:.4g} to {one.high:.4g} {units_of(site, factor)}".strip()
            lines.append(
                record(
                    spec,
                    f"{site.name}:{factor}:{number}",
                    metric,
                    float(getattr(one, metric)),
                    data=site.data,
                    note=note,
                )
            )
    return lines


def draw_frequency(axes: Axes, classes: pd.DataFrame, title: str) -> None:
    x = np.arange(len(classes))
    for shift, metric, (colour, _) in zip(
        (-0.2, 0.2), ("landslide_share", "area_share"), FREQUENCY_COLOURS, strict=True
    ):
        axes.bar(x + shift, classes[metric], 0.38, color=colour)
    tops = classes[["landslide_share", "area_share"]].max(axis=1)
    for where, top, ratio in zip(x, tops, classes["frequency_ratio"], strict=True):
        axes.text(
            where, top + 0.01, f"{ratio:.2f}", ha="center", va="bottom", fontsize=6.5, color=palette.INK
        )
    digits = 0 if classes["high"].max() >= 20 else 2
    axes.set_xticks(
        x,
        [
            f"{low:.{digits}f}–\n{high:.{digits}f}"
            for low, high in zip(classes["low"], classes["high"], strict=True)
        ],
        fontsize=6.5,
    )
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel(title)
    axes.margins(y=0.12)
