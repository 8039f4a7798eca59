"""Learning curves: histories of runs, read and drawn."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from headscarp.errors import HeadscarpError
from headscarp.exhibits.averages import mean_of
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import read_csv, record


def read_history(path: Path) -> pd.DataFrame:
    """A run's history.csv.

    Raises:
        HeadscarpError: it is missing or damaged, or holds no epoch.
    """
    history = read_csv(path, ["epoch", "train_loss", "validation_loss"])
    if history.empty:
        raise HeadscarpError(f"{path} holds no epoch; train the run again")
    return history


def training_of(history: pd.DataFrame) -> pd.DataFrame:
    """The epochs of a history in which the whole network was trained, without those of its pre-training."""
    if "phase" not in history:
        return history
    return (
        history[history["phase"] == "training"]
        .drop(columns=["phase", "reconstruction_error"])
        .reset_index(drop=True)
    )


def draw_history(axes: Axes, history: pd.DataFrame, quantity: str, colour: str) -> None:
    """Training (solid) and validation (dashed) values of one run by epoch, the mean of the folds that were
    still trained then."""
    by_epoch = history.groupby("epoch").mean()
    axes.plot(by_epoch.index, by_epoch[f"train_{quantity}"], color=colour, lw=1.0)
    axes.plot(by_epoch.index, by_epoch[f"validation_{quantity}"], color=colour, lw=1.0, ls="--")


def look_of_curves(axes: Axes, quantity: str) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.grid(axis="y", color="#DDDDDD", lw=0.5)
    if quantity == "loss":
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())


def last_values(
    spec: ExhibitSpec, histories: Mapping[Path, pd.DataFrame], quantities: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Tidy records of the last epoch of each row under each protocol; of every fold its own last epoch, then
    the mean of the folds."""
    for protocol in spec.protocols:
        for row in spec.rows:
            last = [last_epoch(histories[run.folder]) for run in spec.runs_of(row, protocol)]
            for metric in (
                [f"{subset}_{quantity}" for quantity in quantities for subset in ("train", "validation")]
                if last
                else ()
            ):
                value = mean_of([one[metric] if np.isfinite(one[metric]) else None for one in last])
                yield record(spec, row, metric, protocol=protocol, data=spec.only_site().data, **value)


def last_epoch(history: pd.DataFrame) -> pd.Series:
    """The last line of a history, averaged over folds if it has them."""
    return history.groupby("fold").last().mean() if "fold" in history else history.iloc[-1]
