"""Scores as bars beside the paper's (stfusion, Figs 6 and 7)."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from headscarp.exhibits.averages import aggregate
from headscarp.exhibits.labels import metric_label
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.charts import ruled
from headscarp.exhibits.panels.figure import new_figure, sign
from headscarp.exhibits.panels.legend import swatches
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import beside, frame_of, names_of

METRICS = ("miou", "f1", "auc")
PRINTED = "#000000"


def score_bars(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Bars of each row grouped by metric, a panel for each protocol, with 95 % intervals where there are any
    and the paper's values.

    Options: `metrics` (of scores.json, default miou, f1 and auc); `beside` {metric: metric of the published
    table} and `published_rows` {row: row of the published table}, where their names are others.
    """
    metrics = list(spec.options.get("metrics", METRICS))
    column_of, printed_row = names_of(spec, "beside", metrics), names_of(spec, "published_rows", spec.rows)
    lines = []
    for line in aggregate(spec, metrics):
        row, metric = line["row"], line["metric"]
        lines.append(
            beside(
                line, metric, spec.published_value(printed_row.get(row, row), column_of.get(metric, metric))
            )
        )
    figure = new_figure(2.75 + 0.17 * -(-len(spec.rows) // 3))
    panels = figure.subplots(1, len(spec.protocols), squeeze=False, sharey=True)[0]
    for axes, protocol in zip(panels, spec.protocols, strict=True):
        part = {(line["row"], line["metric"]): line for line in lines if line["protocol"] == protocol}
        draw_bars(axes, part, spec.rows, metrics)
        axes.set_title(f"Protocol {protocol}")
    panels[0].set_ylabel("Score")
    handles = swatches(
        (palette.OKABE_ITO[index % 8], spec.labels[row]) for index, row in enumerate(spec.rows)
    )
    if any(line["published"] is not None for line in lines):
        handles.append(
            Line2D([], [], color=PRINTED, ls="", marker="D", ms=4, mfc="white", label="Printed in the paper")
        )
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    sign(figure, spec, "Mean of seeds; whiskers: 95 % interval over blocks and seeds.")
    return figure, frame_of(lines)


def draw_bars(
    axes: Axes, part: Mapping[tuple[str, str], Mapping[str, Any]], rows: Sequence[str], metrics: Sequence[str]
) -> None:
    """Bars of one protocol; `part` holds tidy lines by (row, metric)."""
    width = 0.84 / len(rows)
    for group, metric in enumerate(metrics):
        for index, row in enumerate(rows):
            line = part.get((row, metric))
            if line is None:
                continue
            x = group - 0.42 + width * (index + 0.5)
            colour = palette.OKABE_ITO[index % 8]
            if line["value"] is not None:
                axes.bar(x, line["value"], width * 0.9, color=colour)
                text = {
                    "rotation": 90,
                    "ha": "center",
                    "va": "bottom",
                    "fontsize": 6,
                    "color": text_colour(colour),
                }
                axes.text(x, 0.015, f"{line['value']:.3f}", **text)
            if line["ci_low"] is not None:
                for ink, thickness in (("white", 2.4), (palette.INK, 1.0)):
                    axes.vlines(x, line["ci_low"], line["ci_high"], color=ink, lw=thickness)
            if line["published"] is not None:
                axes.plot(x, line["published"], "D", color=PRINTED, mfc="white", ms=4, mew=0.9, zorder=5)
    axes.set_xticks(range(len(metrics)), [metric_label(metric) for metric in metrics])
    axes.tick_params(axis="x", length=0)
    axes.set_ylim(0, 1.02)
    ruled(axes, "y")


def text_colour(ground: str) -> str:
    """Black or white, whichever can be read better on a colour."""
    red, green, blue = to_rgb(ground)
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.55 else "black"
