"""The course of a search of hyper-parameters."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from headscarp.errors import HeadscarpError
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.figure import new_figure, sign
from headscarp.exhibits.spec import ExhibitSpec, SearchFiles
from headscarp.exhibits.tidy import frame_of, read_csv, record
from headscarp.files import read_json

OBJECTIVES = {"accuracy": "Pixel accuracy", "average_precision": "Average precision"}
WINDOWS = {"published": "test windows", "blocked": "validation windows"}  # on which a search is judged
PAPERS_BEST = "iteration_16"
SAMPLERS = {"gp": "Gaussian process", "random": "Random"}


def search_chart(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Best value so far against trial, of every search and sampler, with every trial as a dot; a panel for
    each protocol, whose objectives differ.

    The paper's best accuracy (published row `iteration_16`, metric `accuracy`) is a line in panels whose
    objective is accuracy; what a map scores that knows nothing (`no_skill`) is one in all.

    Raises:
        HeadscarpError: the exhibit has no searches, or a search has no finished trial.
    """
    if not spec.searches:
        raise HeadscarpError(
            f"exhibit '{spec.name}' of card '{spec.card}' (search_chart) has no searches; name them as "
            f"`searches`"
        )
    protocols = list(dict.fromkeys(one.protocol for one in spec.searches))
    several = len({one.name for one in spec.searches}) > 1
    figure = new_figure(3.6)
    panels = figure.subplots(1, len(protocols), squeeze=False, sharex=True)[0]
    lines = []
    for axes, protocol in zip(panels, protocols, strict=True):
        of_protocol = [one for one in spec.searches if one.protocol == protocol]
        for index, search in enumerate(of_protocol):
            trials = read_trials(search)
            sampler = SAMPLERS[search.sampler]
            draw_trials(axes, trials, index, f"{search.label}: {sampler}" if several else sampler)
            lines += trial_records(spec, search, trials)
        best = read_json(of_protocol[0].folder / "best.json")  # of one protocol all see the same windows
        objective = best["objective"]
        rule(axes, best["no_skill"], "no skill", ":", "left")
        printed = spec.published_value(PAPERS_BEST, "accuracy") if objective == "accuracy" else None
        if printed is not None:
            rule(axes, printed, f"paper {printed:g}", "--", "right")
        axes.set(xlabel="Trial", ylabel=f"{OBJECTIVES[objective]} on the {WINDOWS[protocol]}")
        axes.set_title(f"Protocol {protocol}")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.grid(axis="y", color="#DDDDDD", lw=0.5)
        axes.margins(y=0.1)
    handles, _ = panels[0].get_legend_handles_labels()
    dot = Line2D([], [], ls="", marker="o", ms=3, color=palette.INK, alpha=0.6, label="One trial")
    figure.legend(
        handles=[*handles, dot], loc="outside upper center", ncols=2 if several else len(handles) + 1
    )
    sign(figure, spec, "Lines: best value so far. Dotted: a map without any landslide, or without any skill.")
    return figure, frame_of(lines)


def read_trials(search: SearchFiles) -> pd.DataFrame:
    """Columns trial (from 1) and value (NaN where it failed) of a search's trials.csv, and best, recomputed
    from them.

    Raises:
        HeadscarpError: the file is missing or damaged, or no trial has a value.
    """
    path = search.folder / "trials.csv"
    if not path.exists():
        raise HeadscarpError(f"{path} does not exist; run the search")
    trials = read_csv(path, ["trial", "value"])
    if not trials["value"].notna().any():
        raise HeadscarpError(f"{path} holds no finished trial; run the search again")
    trials = trials.sort_values("trial")
    return pd.DataFrame(
        {
            "trial": np.arange(1, len(trials) + 1),
            "value": trials["value"],
            "best": trials["value"].cummax().ffill(),
        }
    )


def rule(axes: Axes, value: float, text: str, style: str, side: str) -> None:
    """A line across a panel at a value, with a word below it at one side."""
    axes.axhline(value, color=palette.MUTED, lw=0.9, ls=style)
    axes.annotate(
        text,
        (side == "right", value),
        (-2 if side == "right" else 2, -2),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha=side,
        va="top",
        fontsize=7,
        color=palette.MUTED,
    )


def draw_trials(axes: Axes, trials: pd.DataFrame, index: int, label: str) -> None:
    colour, marker = palette.OKABE_ITO[index % 8], palette.MARKERS[index % 8]
    axes.plot(
        trials["trial"], trials["value"], ls="", marker=marker, ms=3.2, color=colour, alpha=0.6, mec="none"
    )
    axes.step(trials["trial"], trials["best"], where="post", color=colour, lw=1.5, label=label)


def trial_records(spec: ExhibitSpec, search: SearchFiles, trials: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Tidy records of every trial: its value and the best so far; row = search:sampler."""
    rest = {"protocol": search.protocol, "data": spec.only_site().data}
    for one in trials.itertuples():
        note = "" if np.isfinite(one.value) else "this trial gave no value"
        value = float(one.value) if np.isfinite(one.value) else None
        yield record(
            spec, f"{search.name}:{search.sampler}", f"value_{one.trial:02d}", value, note=note, **rest
        )
        yield record(
            spec, f"{search.name}:{search.sampler}", f"best_{one.trial:02d}", float(one.best), **rest
        )
