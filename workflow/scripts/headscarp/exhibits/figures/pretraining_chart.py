"""Pre-training of a deep belief network, and the training that follows."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from headscarp.errors import HeadscarpError
from headscarp.exhibits.averages import mean_of
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.curves import (
    draw_history,
    last_values,
    look_of_curves,
    read_history,
    training_of,
)
from headscarp.exhibits.panels.figure import new_figure, sign
from headscarp.exhibits.spec import ExhibitSpec, RunFiles
from headscarp.exhibits.tidy import frame_of, record

RBM = "rbm "  # how the phase of a machine begins
RBM_COLOURS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def pretraining_chart(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Reconstruction error of each restricted Boltzmann machine by epoch, and beside it the training and
    validation loss of all rows by epoch of the training that follows; a row of panels for each protocol,
    every seed a line.

    The numbers behind it are the reconstruction error of the first and the last epoch of each machine, rows
    such as `st_fusion:rbm 1`, and the losses of the last epoch, mean and sd over seeds.

    Raises:
        HeadscarpError: a history is missing, or no run was pre-trained.
    """
    histories = {run.folder: read_history(run.folder / "history.csv") for run in spec.runs}
    machines = {run.folder: machines_of(histories[run.folder]) for run in spec.runs}
    pretrained = [run for run in spec.runs if machines[run.folder]]
    if not pretrained:
        raise HeadscarpError(
            f"exhibit '{spec.name}' ({spec.kind}): none of its runs was pre-trained "
            f"({spec.runs[0].folder / 'history.csv'} has no phase "
            "'rbm 1'); name an experiment with `pretraining` in its training among the `rows`"
        )
    trainings = {folder: training_of(history) for folder, history in histories.items()}
    names = list(dict.fromkeys(name for run in pretrained for name in machines[run.folder]))
    figure = new_figure(0.85 + 2.0 * len(spec.protocols))
    panels = figure.subplots(len(spec.protocols), 2, squeeze=False, sharex="col")
    for (left, right), protocol in zip(panels, spec.protocols, strict=True):
        for run in (run for run in pretrained if run.protocol == protocol):
            for index, name in enumerate(names):
                if name in machines[run.folder]:
                    errors = machines[run.folder][name]
                    look = {
                        "color": RBM_COLOURS[index % len(RBM_COLOURS)],
                        "marker": palette.MARKERS[index % 8],
                        "ms": 3,
                        "lw": 1.1,
                    }
                    left.plot(errors.index, errors, **look)
        for run in (run for run in spec.runs if run.protocol == protocol):
            draw_history(
                right, trainings[run.folder], "loss", palette.OKABE_ITO[spec.rows.index(run.row) % 8]
            )
        look_of_curves(left, "loss")
        look_of_curves(right, "loss")
        left.set(ylabel=f"Protocol {protocol}\nReconstruction error")
        right.set(ylabel="Loss")
    panels[0, 0].set_title("(a) Pre-training, machine by machine")
    panels[0, 1].set_title("(b) Training of the whole network")
    for axes in panels[-1]:
        axes.set_xlabel("Epoch")
    figure.legend(handles=pretraining_handles(spec, names), loc="outside upper center", ncols=4)
    sign(figure, spec, "RBM: restricted Boltzmann machine. Every line is a seed.")
    lines = [*machine_records(spec, pretrained, machines, names), *last_values(spec, trainings, ["loss"])]
    return figure, frame_of(lines)


def machines_of(history: pd.DataFrame) -> dict[str, pd.Series]:
    """{phase: reconstruction error by epoch} of the machines that a history tells of."""
    if "phase" not in history:
        return {}
    phases = [phase for phase in dict.fromkeys(history["phase"]) if phase.startswith(RBM)]
    return {
        phase: history[history["phase"] == phase].groupby("epoch")["reconstruction_error"].mean()
        for phase in phases
    }


def pretraining_handles(spec: ExhibitSpec, names: Sequence[str]) -> list[Line2D]:
    machines = [
        Line2D(
            [],
            [],
            color=RBM_COLOURS[index % len(RBM_COLOURS)],
            marker=palette.MARKERS[index % 8],
            ms=3,
            lw=1.1,
            label=name.replace("rbm", "RBM"),
        )
        for index, name in enumerate(names)
    ]
    rows = [
        Line2D([], [], color=palette.OKABE_ITO[index % 8], lw=3, label=spec.labels[row])
        for index, row in enumerate(spec.rows)
    ]
    kinds = [
        Line2D([], [], color=palette.INK, lw=1, label="Training"),
        Line2D([], [], color=palette.INK, lw=1, ls="--", label="Validation"),
    ]
    return [*machines, *rows, *kinds]


def machine_records(
    spec: ExhibitSpec,
    pretrained: Sequence[RunFiles],
    machines: Mapping[Path, Mapping[str, pd.Series]],
    names: Sequence[str],
) -> Iterator[dict[str, Any]]:
    for protocol in spec.protocols:
        for row in spec.rows:
            of_runs = [
                machines[run.folder] for run in pretrained if (run.row, run.protocol) == (row, protocol)
            ]
            for name in names if of_runs else ():
                for which, position in (("first", 0), ("last", -1)):
                    value = mean_of([float(one[name].iloc[position]) for one in of_runs if name in one])
                    rest = {"protocol": protocol, "data": spec.only_site().data}
                    yield record(
                        spec, f"{row}:{name}", f"reconstruction_error_{which}_epoch", **rest, **value
                    )
