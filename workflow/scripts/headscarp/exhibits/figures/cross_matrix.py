"""F1 of every region of training on every region of scoring."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.figure import new_figure, panel_letter, sign
from headscarp.exhibits.regions import cross_records
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import frame_of

# made for readers with and without colour vision deficiency (Nuñez et al. 2018, doi
# 10.1371/journal.pone.0199239)
COLOURS = "cividis"
DARK = 50.0  # percent: numbers on darker cells are white
SHORTENED = " (simulated)"  # the figure says so below
PANEL = 2.75  # inches: height of a row of panels


def cross_matrix(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Heat maps of F1 in percent, region of training x region of scoring, a panel for each row of the exhibit
    (and line for each protocol).

    The diagonal, framed, is the test part of the region of training; every other cell is the whole of another
    region.
    """
    frame = frame_of(line for line in cross_records(spec) if line["metric"] == "f1")
    figure = new_figure(0.55 + PANEL * len(spec.protocols))
    panels = figure.subplots(len(spec.protocols), len(spec.rows), squeeze=False, sharex=True, sharey=True)
    for line, protocol in zip(panels, spec.protocols, strict=True):
        for axes, row in zip(line, spec.rows, strict=True):
            image = draw_matrix(axes, spec, frame[frame["protocol"] == protocol].set_index("row"), row)
            heading = spec.labels[row] if len(spec.protocols) == 1 else f"{spec.labels[row]}, {protocol}"
            axes.set_title(f"{panel_letter(list(panels.flat).index(axes))} {heading}")
        line[0].set_ylabel("Trained on")
    for axes in panels[-1]:
        axes.set_xlabel("Scored on")
    figure.colorbar(image, ax=panels, label="F1 (%)", shrink=0.8, pad=0.02)
    sign(
        figure,
        spec,
        "Framed: test part of the region of training; all else: a whole region not seen in training.",
    )
    return figure, frame


def draw_matrix(axes: Axes, spec: ExhibitSpec, lines: pd.DataFrame, row: str) -> AxesImage:
    """One matrix with F1 and its 95 % interval in each cell; `lines` are tidy lines by row."""
    names = [site.name for site in spec.sites]
    found = [[lines.loc[f"{trained}:{scored}:{row}"] for scored in names] for trained in names]
    values = np.array([[one["value"] for one in of_training] for of_training in found], float)
    image = axes.imshow(values, cmap=COLOURS, vmin=0, vmax=100)
    for y, of_training in enumerate(found):
        for x, one in enumerate(of_training):
            axes.text(
                x,
                y,
                cell_text(one),
                ha="center",
                va="center",
                fontsize=8,
                color="white" if not one["value"] >= DARK else palette.INK,
            )
        axes.add_patch(
            Rectangle(
                (y - 0.5, y - 0.5), 1, 1, fill=False, ec=palette.FALSE_POSITIVE, lw=2, clip_on=False, zorder=3
            )
        )
    titles = [site.title.removesuffix(SHORTENED).replace(", ", ",\n") for site in spec.sites]
    axes.set_xticks(range(len(names)), titles)
    axes.set_yticks(range(len(names)), titles)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image


def cell_text(line: pd.Series) -> str:
    """'45.3' and, below, its interval; an en dash where F1 is undefined."""
    if not np.isfinite(line["value"]):
        return "–"
    interval = f"\n[{line['ci_low']:.0f}, {line['ci_high']:.0f}]" if np.isfinite(line["ci_low"]) else ""
    return f"{line['value']:.1f}{interval}"
