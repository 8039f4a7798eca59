"""Calibration: observed shares against mapped probability."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.figure import new_figure, sign
from headscarp.exhibits.runs import Scored, scored_runs
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import frame_of, record

RELIABILITY_BINS = 16


def reliability(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Observed landslide share against mapped probability in 16 bins, seeds pooled, over the distribution of
    probabilities."""
    runs = scored_runs(spec)
    columns = len(spec.protocols)
    figure = new_figure(4.3)
    panels = figure.subplots(2, columns, squeeze=False, sharex=True, height_ratios=[3, 1])
    lines = []
    for (upper, lower), protocol in zip(panels.T, spec.protocols, strict=True):
        upper.plot([0, 1], [0, 1], color=palette.MUTED, lw=0.8, ls="--")
        for index, row in enumerate(spec.rows):
            group = [one for one in runs if (one.run.row, one.run.protocol) == (row, protocol)]
            if not group:
                continue
            bins = calibration_bins(group)
            look = {"color": palette.OKABE_ITO[index % 8], "lw": 1.1}
            filled = bins[bins["pixels"] > 0]
            upper.plot(
                filled["mapped"],
                filled["observed"],
                marker=palette.MARKERS[index % 8],
                ms=3.2,
                label=spec.labels[row],
                **look,
            )
            lower.stairs(
                bins["pixels"] / bins["pixels"].sum(), np.linspace(0, 1, RELIABILITY_BINS + 1), **look
            )
            for number, one in enumerate(filled.itertuples(), start=1):
                note = (
                    f"{spec.labels[row]}: mean mapped probability and observed landslide share of the "
                    f"filled bins"
                )
                for metric in ("mapped", "observed"):
                    value = float(getattr(one, metric))
                    rest = {
                        "protocol": protocol,
                        "n_seeds": len(group),
                        "data": spec.only_site().data,
                        "note": note,
                    }
                    lines.append(record(spec, row, f"{metric}_{number:02d}", value, **rest))
        upper.set(xlim=(0, 1), ylim=(0, 1), aspect="auto", ylabel="Observed landslide share")
        upper.set_title(f"Protocol {protocol}")
        upper.legend(loc="upper left")
        lower.set(yscale="log", xlabel="Mapped probability of landslide", ylabel="Share of pixels")
    sign(figure, spec, "Dashed: perfect calibration.")
    return figure, frame_of(lines)


def calibration_bins(group: Sequence[Scored]) -> pd.DataFrame:
    """Pixels, mean mapped probability and observed landslide share in equal bins of probability, pooled over
    runs and cells."""
    cells = [one.cells() for one in group]
    positive, negative = (
        np.sum([getattr(of, kind).sum(axis=0) for of in cells], axis=0) for kind in ("positive", "negative")
    )
    centres = (np.arange(positive.size) + 0.5) / positive.size
    binned = [
        part.reshape(RELIABILITY_BINS, -1).sum(axis=1)
        for part in (positive + negative, (positive + negative) * centres, positive)
    ]
    pixels, summed, slides = binned
    with np.errstate(invalid="ignore"):
        return pd.DataFrame({"pixels": pixels, "mapped": summed / pixels, "observed": slides / pixels})
