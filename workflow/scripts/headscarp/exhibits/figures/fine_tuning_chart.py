"""Scores against the share of a new site that a network was fine-tuned on."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from headscarp.codes import LANDSLIDE
from headscarp.errors import HeadscarpError
from headscarp.exhibits.averages import mean_of
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.charts import ruled
from headscarp.exhibits.panels.figure import new_figure, sign
from headscarp.exhibits.runs import scores_part
from headscarp.exhibits.spec import ExhibitSpec, RunFiles
from headscarp.exhibits.tidy import frame_of, record
from headscarp.vocabulary import require_known

TUNED = {"landslide_f1": "Landslide F1", "oa": "Overall accuracy"}


def fine_tuning_chart(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Landslide F1 and overall accuracy against the share of the new site that a network was fine-tuned on:
    mean and sd over seeds, each seed a dot, a line for each protocol.

    Options: `shares` ({row: percent of the new site}). Where the exhibit has a target, a row of 0 percent was
    never trained there: its scores are those of its run applied to the target. The numbers behind it are the
    means, with published values where there are any.

    Raises:
        HeadscarpError: `shares` is missing, names an unknown row or leaves one out, or a share is no
        percentage.
    """
    shares = shares_of(spec)
    values = {
        (protocol, row): [tuned_scores(spec, run, shares[row]) for run in spec.runs_of(row, protocol)]
        for protocol in spec.protocols
        for row in shares
    }
    figure = new_figure(3.3)
    panels = figure.subplots(1, len(TUNED), squeeze=False)[0]
    ticks = sorted(set(shares.values()))
    lines = []
    for index, protocol in enumerate(spec.protocols):
        scored = {row: values[protocol, row] for row in shares if values[protocol, row]}
        for axes, metric in zip(panels, TUNED, strict=True):
            found = {row: [one[metric] for one in of_row] for row, of_row in scored.items()}
            at_ticks = {ticks.index(shares[row]): of_row for row, of_row in found.items()}
            draw_tuned(axes, at_ticks, protocol, index)
            for row, of_row in found.items():
                note = f"{shares[row]:g} % of the new site; {pixels_text(scored[row])} pixels evaluated"
                same = {"protocol": protocol, "data": spec.sites[0].data, "note": note}
                lines.append(record(spec, row, metric, **same, **mean_of(of_row)))
    for axes, metric in zip(panels, TUNED, strict=True):
        printed = {row: spec.published_value(row, metric) for row in shares}
        draw_printed(axes, {ticks.index(shares[row]): value for row, value in printed.items()})
        axes.set_xticks(range(len(ticks)), [f"{tick:g}" for tick in ticks])
        axes.set(xlabel="Share of the new site in fine-tuning (%)", ylabel=TUNED[metric])
        axes.set(ylim=(0, 1), xlim=(-0.4, len(ticks) - 0.6))
        ruled(axes, "y")
    figure.legend(handles=tuning_handles(spec, shares), loc="outside upper center", ncols=3)
    sign(figure, spec, f"Mean and standard deviation of seeds, each a dot.{pixels_remark(values)}")
    return figure, frame_of(lines)


def pixels_text(scores: Sequence[Mapping[str, Any]]) -> str:
    """On how many pixels the runs of a row were evaluated."""
    return ", ".join(f"{count:,}" for count in sorted({one["n_pixels"] for one in scores}))


def draw_printed(axes: Axes, values: Mapping[int, float | None]) -> None:
    """Stars for the values that the paper prints, by place on the axis of shares."""
    for place, value in values.items():
        if value is not None:
            axes.plot(place, value, "*", ms=9, mfc="none", mec=palette.INK, mew=0.9, zorder=6)


def tuning_handles(spec: ExhibitSpec, rows: Iterable[str]) -> list[Line2D]:
    """Legend handles of protocols, and of printed values where there are any."""
    looks = zip(palette.OKABE_ITO, palette.MARKERS, spec.protocols, strict=False)
    handles = [
        Line2D([], [], color=colour, marker=marker, ms=4.5, label=f"Protocol {protocol}")
        for colour, marker, protocol in looks
    ]
    if any(spec.published_value(row, metric) is not None for row in rows for metric in TUNED):
        handles.append(
            Line2D([], [], ls="", marker="*", ms=9, mfc="none", mec=palette.INK, label="Published")
        )
    return handles


def shares_of(spec: ExhibitSpec) -> dict[str, float]:
    """{row: percent} of the option `shares`, ascending."""
    place_of = f"exhibit '{spec.name}' ({spec.kind}), options, shares"
    shares = spec.options.get("shares")
    if not isinstance(shares, Mapping) or not shares:
        raise HeadscarpError(
            f"{place_of}: say on how many percent of the new site each row was fine-tuned, as {{row: "
            f"percent}}"
        )
    for row, share in shares.items():
        require_known(row, spec.rows, f"{place_of}: row")
        if not isinstance(share, int | float) or not 0 <= share <= 100:
            raise HeadscarpError(f"{place_of}: {row} has '{share}' but a share lies within 0 and 100 percent")
    for row in spec.rows:
        require_known(row, shares, f"{place_of} leave out a row of the exhibit: row")
    return {row: float(share) for row, share in sorted(shares.items(), key=lambda item: item[1])}


def tuned_scores(spec: ExhibitSpec, run: RunFiles, share: float) -> dict[str, Any]:
    """Landslide F1 and overall accuracy of the class map of a run at the new site, and how many pixels they
    are of."""
    path = (run.maps_of(spec.target.name) if share == 0 and spec.target else run.maps) / "scores.json"
    classes = scores_part(path, "classes")
    pixels = int(np.sum(classes["confusion"]))
    return {
        "landslide_f1": classes["per_class"][str(LANDSLIDE)]["f1"],
        "oa": classes["oa"],
        "n_pixels": pixels,
    }


def draw_tuned(axes: Axes, found: Mapping[int, Sequence[float | None]], protocol: str, index: int) -> None:
    """Dots of seeds, their mean and sd at each place on the axis of shares; `index` is the protocol's
    number."""
    colour, shift = palette.OKABE_ITO[index], 0.08 * (index - 0.5)
    means = {at: mean_of(values) for at, values in found.items()}
    defined = {at: one for at, one in means.items() if one["value"] is not None}
    x = np.array(list(defined)) + shift
    deviations = [one["sd"] or 0.0 for one in defined.values()]
    axes.errorbar(
        x,
        [one["value"] for one in defined.values()],
        deviations,
        color=colour,
        marker=palette.MARKERS[index],
        ms=4.5,
        lw=1.3,
        capsize=2.5,
        elinewidth=1.0,
        label=protocol,
        zorder=4,
    )
    for at, values in found.items():
        seeds = [value for value in values if value is not None]
        axes.plot(np.full(len(seeds), at + shift), seeds, ".", color=colour, ms=3.5, alpha=0.55, zorder=3)


def pixels_remark(values: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]) -> str:
    """A warning if the rows of a protocol were evaluated on different numbers of pixels, as no fair
    comparison is."""
    of_protocol: dict[str, set[int]] = {}
    for (protocol, _), group in values.items():
        of_protocol.setdefault(protocol, set()).update(one["n_pixels"] for one in group)
    return (
        " Shares differ in the pixels they were evaluated on."
        if any(len(found) > 1 for found in of_protocol.values())
        else ""
    )
