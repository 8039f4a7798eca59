"""The forest plot of the claims of all papers."""

import math
import textwrap
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import blended_transform_factory

from headscarp.exhibits.claims import NUMBERS, labels_of, place_of, tests_of, versus
from headscarp.exhibits.labels import metric_label
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.figure import WIDTH, look, new_figure
from headscarp.exhibits.panels.legend import swatches
from headscarp.scoring.claims import CONTRADICTED, DECIDED, EQUIVALENT, INCONCLUSIVE, SUPPORTED

ROW, SENTENCE, HEAD = 0.17, 0.16, 0.34  # inches: a test, a line of a claim's sentence, the name of a paper
TOP, BOTTOM = 0.75, 0.5  # inches: legend and upper axis, lower axis
LEFT, RIGHT = 2.95, 1.8  # inches: comparisons, sites
WRAP = 132  # characters of a claim's sentence in a line
LOOKS = {
    SUPPORTED: ("^", "#009E73"),
    CONTRADICTED: ("v", "#D55E00"),
    EQUIVALENT: ("s", "#0072B2"),
    INCONCLUSIVE: ("o", "#777777"),
    DECIDED: ("D", "#B9A3CC"),
}
OFFSETS = {"published": 0.038, "blocked": -0.038}  # inches above the middle of a row
REAL = "#EAF2F8"


class Placed(NamedTuple):
    """What stands at a height of the plot, in inches below its upper edge: a paper, a line of a sentence, or
    a test with its lines."""

    kind: str
    top: float
    text: str
    test: Any = None
    lines: dict[str, Any] | None = None


def placed(frame: pd.DataFrame, record: Mapping[str, Any]) -> tuple[list[Placed], float]:
    """Everything that the plot shows, from top to bottom, and the height it takes in inches."""
    items: list[Placed] = []
    labels, height, told = labels_of(record), 0.0, (None, None)
    for test, lines in tests_of(frame):
        if test.card != told[0]:
            items.append(Placed("paper", height, test.card))
            height += HEAD
        if (test.card, test.claim) != told:
            for sentence in textwrap.wrap(f"{test.text} ({test.place}; {metric_label(test.metric)})", WRAP):
                items.append(Placed("sentence", height, sentence))
                height += SENTENCE
        told = test.card, test.claim
        items.append(Placed("test", height, versus(labels, test).replace(" against ", " vs "), test, lines))
        height += ROW
    return items, height


def forest_plot(frame: pd.DataFrame, record: Mapping[str, Any]) -> Figure:
    """Every test of every claim in the style of a forest plot: effects with 95 % intervals under each
    protocol, and the printed effect.

    Colour and shape of a marker tell the verdict, its filling the protocol; real sites stand on a tinted
    ground.
    """
    with look():
        items, height = placed(frame, record)
        figure = new_figure(TOP + height + BOTTOM, layout=None)
        total = TOP + height + BOTTOM
        axes = figure.add_axes((LEFT / WIDTH, BOTTOM / total, 1 - (LEFT + RIGHT) / WIDTH, height / total))
        axes.set_ylim(height, 0)
        for item in items:
            PAINTERS[item.kind](axes, item)
        look_of_axis(axes, frame)
        add_legend(figure, total, set(frame["protocol"]))
        return figure


def beside(axes: Axes) -> Any:
    """Places across the whole figure, x in inches from its left edge, y in inches of the plot."""
    across = axes.figure.dpi_scale_trans
    return blended_transform_factory(across, axes.transData)


def paint_paper(axes: Axes, item: Placed) -> None:
    where = beside(axes)
    axes.plot(
        [0.06, WIDTH - 0.06],
        [item.top + 0.09] * 2,
        color=palette.INK,
        lw=0.7,
        transform=where,
        clip_on=False,
    )
    axes.text(
        0.06, item.top + HEAD - 0.09, item.text, transform=where, weight="bold", fontsize=8.5, va="center"
    )


def paint_sentence(axes: Axes, item: Placed) -> None:
    ground = {"fc": "white", "ec": "none", "pad": 0.8}  # keeps the lines of the axis out of the words
    place = {"transform": beside(axes), "va": "center", "bbox": ground, "zorder": 6}
    axes.text(0.06, item.top + SENTENCE / 2, item.text, fontsize=6.6, style="italic", **place)


def paint_test(axes: Axes, item: Placed) -> None:
    middle, where = item.top + ROW / 2, beside(axes)
    if item.test.data == "real":
        axes.axhspan(item.top, item.top + ROW, color=REAL, lw=0, zorder=0)
    axes.text(LEFT - 0.08, middle, item.text, transform=where, fontsize=6, ha="right", va="center")
    axes.text(
        WIDTH - RIGHT + 0.08,
        middle,
        f"{place_of(item.test)}, {item.test.data}",
        transform=where,
        fontsize=6.2,
        va="center",
        weight="bold" if item.test.data == "real" else "normal",
    )
    if math.isfinite(item.test.published_effect):
        axes.plot(
            [item.test.published_effect] * 2,
            [item.top + 0.015, item.top + ROW - 0.015],
            color=palette.INK,
            lw=1.1,
            zorder=3,
        )
    for protocol, line in item.lines.items():
        paint_effect(axes, middle - OFFSETS[protocol], line, filled=protocol == "blocked")


def paint_effect(axes: Axes, height: float, line: Any, filled: bool) -> None:
    """One marker with its interval, or a note in its place."""
    marker, colour = LOOKS[line.verdict]
    if math.isfinite(line.ci_low):
        axes.plot(
            [line.ci_low, line.ci_high], [height] * 2, color=colour, lw=0.9, zorder=4, solid_capstyle="butt"
        )
    if math.isfinite(line.effect):
        axes.plot(
            line.effect,
            height,
            marker,
            ms=3.6,
            mec=colour,
            mfc=colour if filled else "white",
            mew=0.8,
            zorder=5,
        )


PAINTERS = {"paper": paint_paper, "sentence": paint_sentence, "test": paint_test}


def look_of_axis(axes: Axes, frame: pd.DataFrame) -> None:
    """A line at no difference, and limits that show every interval."""
    axes.axvline(0, color=palette.INK, lw=0.7, zorder=2)
    values = frame[NUMBERS].to_numpy()
    reach = max(0.02, float(np.nanmax(np.abs(values)))) if np.isfinite(values).any() else 0.02
    axes.set_xlim(-1.05 * reach, 1.05 * reach)
    axes.set_yticks([])
    axes.tick_params(top=True, labeltop=True)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.spines[["left"]].set_visible(False)
    axes.grid(axis="x", color="#E3E3E3", lw=0.5)
    axes.set_axisbelow(True)
    axes.set_xlabel("Difference of the score, first less second")


def add_legend(figure: Figure, total: float, protocols: set[str]) -> None:
    """Verdicts, protocols, the printed effect and the ground of real data, above the plot."""
    handles = [
        Line2D([], [], color=colour, marker=marker, ms=4.5, lw=0.9, label=verdict)
        for verdict, (marker, colour) in LOOKS.items()
    ]
    for protocol in (one for one in OFFSETS if one in protocols):
        face = palette.MUTED if protocol == "blocked" else "white"
        handles.append(
            Line2D(
                [], [], color=palette.MUTED, marker="s", ms=4, lw=0, mfc=face, label=f"{protocol} protocol"
            )
        )
    handles.append(Line2D([], [], color=palette.INK, marker="|", ms=7, mew=1.1, lw=0, label="printed effect"))
    handles += swatches([(REAL, "real site, others simulated (twins)")])
    place = {"loc": "upper left", "bbox_to_anchor": (0.005, 1 - 0.04 / total)}
    figure.legend(handles=handles, ncols=4, columnspacing=1.2, handletextpad=0.5, **place)
