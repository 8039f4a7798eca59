"""Learning curves of all rows."""

from collections.abc import Iterable

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.curves import (
    draw_history,
    last_values,
    look_of_curves,
    read_history,
    training_of,
)
from headscarp.exhibits.panels.figure import new_figure, sign
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import frame_of

QUANTITIES = {"loss": "Loss", "accuracy": "Accuracy"}


def curves(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Training and validation loss by epoch, and accuracy above it where the runs record it: one column of
    panels for each row, its protocols in colours, its seeds as separate lines, folds averaged.

    The numbers behind it are those of the last epoch, mean and sd over seeds.
    """
    histories = {run.folder: training_of(read_history(run.folder / "history.csv")) for run in spec.runs}
    quantities = recorded(histories.values())
    columns = min(4, len(spec.rows))
    groups = -(-len(spec.rows) // columns)
    figure = new_figure(0.9 + 1.75 * groups * len(quantities))
    panels = figure.subplots(groups * len(quantities), columns, squeeze=False, sharey="row")
    for number, row in enumerate(spec.rows):
        first = number // columns * len(quantities)
        for line, quantity in enumerate(quantities):
            axes = panels[first + line, number % columns]
            for run in (run for run in spec.runs if run.row == row):
                draw_history(
                    axes,
                    histories[run.folder],
                    quantity,
                    palette.OKABE_ITO[spec.protocols.index(run.protocol)],
                )
            look_of_curves(axes, quantity)
            axes.set_xlabel("Epoch" if line == len(quantities) - 1 else "")
            axes.set_ylabel(QUANTITIES[quantity] if number % columns == 0 else "")
        panels[first, number % columns].set_title(spec.labels[row], fontsize=8)
    for axes in panels[-len(quantities) :, len(spec.rows) - columns * (groups - 1) :].flat:
        axes.set_axis_off()
    kinds = [
        Line2D([], [], color=palette.INK, lw=1, label="Training"),
        Line2D([], [], color=palette.INK, lw=1, ls="--", label="Validation"),
    ]
    protocols = [
        Line2D([], [], color=palette.OKABE_ITO[index], lw=3, label=name)
        for index, name in enumerate(spec.protocols)
    ]
    figure.legend(handles=[*kinds, *protocols], loc="outside upper center", ncols=4)
    sign(figure, spec, "Mean of folds." if any("fold" in one for one in histories.values()) else "")
    return figure, frame_of(last_values(spec, histories, quantities))


def recorded(histories: Iterable[pd.DataFrame]) -> list[str]:
    """What the histories record of training: accuracy, if all of them do, and loss."""
    return ["accuracy", "loss"] if all("train_accuracy" in history for history in histories) else ["loss"]
