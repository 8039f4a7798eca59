"""Shares of classes through the stages of sampling."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from headscarp.codes import LAND_COVER
from headscarp.errors import HeadscarpError
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.charts import ruled
from headscarp.exhibits.panels.figure import new_figure, sign
from headscarp.exhibits.panels.land_cover import INKS
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.stages import class_ratio, read_stages
from headscarp.exhibits.tidy import frame_of, record


def sampling_chart(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Share of each class in the windows of each stage of sampling, on a logarithmic axis, a panel for each
    protocol.

    The numbers behind it are those shares, the number of windows, and the ratio of the largest to the
    smallest share that is not 0; rows such as `all:landslide` and `all`.

    Raises:
        HeadscarpError: the site has no samples, or they were not drawn in stages.
    """
    site = spec.only_site()
    names = dict(enumerate(LAND_COVER))
    if not site.samples:
        raise HeadscarpError(
            f"exhibit '{spec.name}' ({spec.kind}): site '{site.name}' has no samples; make them"
        )
    stages = {protocol: read_stages(folder) for protocol, folder in site.samples.items()}
    figure = new_figure(3.6)
    panels = figure.subplots(1, len(stages), squeeze=False, sharey=True)[0]
    lines = []
    for axes, (protocol, of_protocol) in zip(panels, stages.items(), strict=True):
        draw_stages(axes, of_protocol, names)
        axes.set_title(f"Protocol {protocol}")
        for stage in of_protocol:
            rest = {"protocol": protocol, "data": site.data}
            lines += [
                record(spec, f"{stage['stage']}:{names[code]}", "share", share, **rest)
                for code, share in stage["shares"].items()
            ]
            lines.append(record(spec, stage["stage"], "windows", float(stage["windows"]), **rest))
            lines.append(record(spec, stage["stage"], "ratio", class_ratio(stage["shares"]), **rest))
    panels[0].set_ylabel("Share of labelled pixels")
    handles = [
        Line2D(
            [],
            [],
            color=INKS[code],
            marker=palette.MARKERS[index],
            ms=4.5,
            lw=1.3,
            label=names[code].capitalize(),
        )
        for index, code in enumerate(sorted(names))
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=6)
    sign(figure, spec, "Below the stages: windows, and the ratio of the largest class to the smallest.")
    return figure, frame_of(lines)


def draw_stages(axes: Axes, stages: Sequence[Mapping[str, Any]], names: Mapping[int, str]) -> None:
    """A line for each class through the stages of sampling."""
    for index, code in enumerate(sorted(names)):
        shares = [stage["shares"].get(code, 0.0) or np.nan for stage in stages]
        axes.plot(range(len(stages)), shares, color=INKS[code], marker=palette.MARKERS[index], ms=4.5, lw=1.3)
    texts = []
    for stage in stages:
        ratio = class_ratio(stage["shares"])
        windows = f"{stage['windows']:,} windows" if stage["windows"] else ""
        name = textwrap.fill(stage["stage"].replace("_", " "), 14)
        texts.append(f"{name}\n{windows}\n" + ("" if ratio is None else f"{ratio:.3g} : 1"))
    axes.set_xticks(range(len(stages)), texts)
    axes.set(yscale="log", xlim=(-0.3, len(stages) - 0.7))
    ruled(axes, "y")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
    axes.yaxis.set_minor_formatter(NullFormatter())
