"""Scores of all networks at a glance."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from headscarp.exhibits.averages import aggregate
from headscarp.exhibits.labels import metric_label
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.charts import ruled
from headscarp.exhibits.panels.figure import new_figure, sign
from headscarp.exhibits.runs import scored_runs
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import frame_of

FACTORS_SUFFIX = "+factors"


def score_chart(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Dots with 95 % intervals for each network, on optical bands alone and with factors; one column of
    panels for each metric.

    Options: `metrics` (default average_precision and f1), `baseline` (row set apart at the bottom; default
    random_forest).
    """
    metrics = list(spec.options.get("metrics", ("average_precision", "f1")))
    frame = frame_of(aggregate(spec, metrics))
    shares = {one.run.protocol: one.scores["landslide_share"] for one in scored_runs(spec)}
    baseline = spec.options.get("baseline", "random_forest")
    bases = list(dict.fromkeys(row.removesuffix(FACTORS_SUFFIX) for row in spec.rows))
    bases.sort(key=lambda base: base == baseline)  # stable: the baseline goes last
    figure = new_figure((0.75 + 0.27 * len(bases)) * len(spec.protocols) + 0.5)
    panels = figure.subplots(len(spec.protocols), len(metrics), squeeze=False, sharey=True)
    for row, protocol in zip(panels, spec.protocols, strict=True):
        for axes, metric in zip(row, metrics, strict=True):
            part = frame[(frame["protocol"] == protocol) & (frame["metric"] == metric)].set_index("row")
            draw_dots(axes, part, bases)
            axes.set_title(f"{metric_label(metric)}, protocol {protocol}")
            if metric == "average_precision":
                axes.axvline(shares[protocol], color=palette.MUTED, lw=0.8, ls=":")
        row[0].set_yticks(range(len(bases)), [base_label(spec, base) for base in bases])
        row[0].set_ylim(len(bases) - 0.4, -0.6)
        if baseline in bases[1:]:
            for axes in row:
                axes.axhline(len(bases) - 1.5, color=palette.MUTED, lw=0.6)
    figure.legend(handles=dot_handles("average_precision" in metrics), loc="outside upper center", ncols=3)
    sign(figure, spec, "Mean of seeds; bars: 95 % interval over blocks and seeds.")
    return figure, frame


DOTS = (("", "#0072B2", "o", "Optical bands"), (FACTORS_SUFFIX, "#D55E00", "s", "Optical bands + factors"))


def base_label(spec: ExhibitSpec, base: str) -> str:
    """Label of a network whatever its inputs: that of the run without factors, or what its name says."""
    return spec.labels.get(base) or spec.labels[base + FACTORS_SUFFIX].split(" + ")[0]


def draw_dots(axes: Axes, part: pd.DataFrame, bases: Sequence[str]) -> None:
    """Dots of one metric under one protocol; `part` is indexed by row."""
    for shift, (suffix, colour, marker, _) in zip((-0.14, 0.14), DOTS, strict=True):
        for y, base in enumerate(bases):
            if base + suffix in part.index and np.isfinite(part.loc[base + suffix, "value"]):
                line = part.loc[base + suffix]
                axes.plot(
                    [line["ci_low"], line["ci_high"]],
                    [y + shift] * 2,
                    color=colour,
                    lw=1.2,
                    solid_capstyle="butt",
                )
                axes.plot(line["value"], y + shift, marker, color=colour, ms=4.2, mec="white", mew=0.4)
    axes.tick_params(axis="y", length=0)
    ruled(axes, "x")


def dot_handles(chance: bool) -> list[Line2D]:
    handles = [
        Line2D([], [], color=colour, marker=marker, ms=4.2, lw=1.2, label=label)
        for _, colour, marker, label in DOTS
    ]
    return handles + (
        [Line2D([], [], color=palette.MUTED, lw=0.8, ls=":", label="Landslide share (a map of chance)")]
        if chance
        else []
    )
