"""Networks by their mean rank, joined where they are not told apart."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from headscarp.exhibits.averages import BOOTSTRAP_SEED
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.figure import new_figure, sign
from headscarp.exhibits.runs import groups_of, scored_runs
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import VERSUS, frame_of, record

BAR_GAP = 0.035  # of the width of the axes, between bars that join networks


def ranks(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Mean rank by F1 of each row over blocks with landslides and seeds, with 95 % intervals, best on top;
    bars join rows of which no pair differs in mean rank (chance of blocks and seeds together, Holm's
    correction, 5 % level); with one seed none is told from another.

    Numbers: `mean_rank` of each row, `p_holm` of each pair `a_vs_b`.
    """
    # statsmodels takes a second to import and only this figure needs it.
    from headscarp.scoring.pairs import (
        block_ranks,
        mean_ranks,
        not_told_apart,
        pair_p_values,
        rank_differences,
    )

    groups = {(protocol, row): group for row, protocol, group in groups_of(spec, scored_runs(spec))}
    figure = new_figure(len(spec.protocols) * (0.55 + 0.2 * len(spec.rows)) + 0.45)
    panels = figure.subplots(len(spec.protocols), squeeze=False)[:, 0]
    lines: list[dict[str, Any]] = []
    for axes, protocol in zip(panels, spec.protocols, strict=True):
        found = block_ranks({row: [one.cells() for one in groups[protocol, row]] for row in spec.rows})
        means = mean_ranks(found, BOOTSTRAP_SEED)
        p_values = pair_p_values(rank_differences(found, spec.rows, BOOTSTRAP_SEED))
        order = [spec.rows[index] for index in np.argsort([one.size for one in means], kind="stable")]
        mean = {row: one.size for row, one in zip(spec.rows, means, strict=True)}
        bound = {
            row: np.clip(one.interval or [one.size] * 2, 1, len(spec.rows))
            for row, one in zip(spec.rows, means, strict=True)
        }
        draw_ranks(axes, spec, order, mean, bound, not_told_apart(order, p_values))
        blocks, seeds = found.shape[:2]
        axes.set_title(f"{protocol}: {blocks} blocks with landslides, {seeds} seed{'s' if seeds > 1 else ''}")
        same = {"protocol": protocol, "data": spec.only_site().data, "n_seeds": seeds, "published": None}
        for row in order:
            low, high = map(float, bound[row])
            lines.append(record(spec, row, "mean_rank", float(mean[row]), ci_low=low, ci_high=high, **same))
        lines += [record(spec, VERSUS.join(pair), "p_holm", p, **same) for pair, (_, p) in p_values.items()]
    panels[-1].set_xlabel("Mean rank by F1 (1 is best), with 95 % interval")
    sign(figure, spec, "Bars on the right join networks that are not told apart.")
    return figure, frame_of(lines)


def draw_ranks(
    axes: Axes,
    spec: ExhibitSpec,
    order: Sequence[str],
    mean: Mapping[str, float],
    bound: Mapping[str, np.ndarray],
    bars: Sequence[tuple[int, int]],
) -> None:
    """Dots with intervals, one line for each row in `order`, and to their right the bars (first, last) over
    positions in it."""
    y = np.arange(len(order))
    low, high = np.array([bound[row] for row in order]).T
    axes.hlines(y, low, high, color=palette.OKABE_ITO[0], lw=1.4)
    axes.plot([mean[row] for row in order], y, "o", color=palette.OKABE_ITO[0], ms=4.5)
    for where, row, right in zip(y, order, high, strict=True):
        axes.annotate(
            f"{mean[row]:.1f}",
            (right, where),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=6.5,
            color=palette.INK,
        )
    axes.set_yticks(y, [spec.labels[row] for row in order])
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.set_xlim(min(0.9, low.min() - 0.1), max(high.max(), len(order)) + 0.1)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))
    axes.grid(color="#E4E4E4", lw=0.5)
    axes.set_axisbelow(True)
    for (first, last), lane in zip(bars, lanes_of(bars), strict=True):
        x = 1 + BAR_GAP * (1 + lane)
        axes.plot(
            [x, x],
            [first - 0.2, last + 0.2],
            color=palette.INK,
            lw=2.6,
            solid_capstyle="butt",
            clip_on=False,
            transform=axes.get_yaxis_transform(),
        )


def lanes_of(bars: Sequence[tuple[int, int]]) -> list[int]:
    """The lane of each bar (first, last), in ascending order of `first`: the leftmost in which it touches no
    other."""
    ends: list[int] = []
    lanes = []
    for first, last in bars:
        lane = next((index for index, end in enumerate(ends) if end < first), len(ends))
        ends[lane : lane + 1] = [last]
        lanes.append(lane)
    return lanes
