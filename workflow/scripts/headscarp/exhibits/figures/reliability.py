"""Calibration: observed shares against mapped probability."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.figure import new_figure, sign
from headscarp.exhibits.runs import Scored, groups_of, scored_runs
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import frame_of, record
from headscarp.scoring.histograms import CellHistograms
from headscarp.scoring.pixel import CALIBRATION_BINS

RELIABILITY_BINS = CALIBRATION_BINS  # those of the expected calibration error, which no histogram straddles


def reliability(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Observed landslide share against mapped probability in 15 bins, seeds pooled, over the distribution of
    probabilities."""
    figure = new_figure(4.3)
    panels = figure.subplots(2, len(spec.protocols), squeeze=False, sharex=True, height_ratios=[3, 1])
    of_protocol = dict(zip(spec.protocols, panels.T, strict=True))
    for upper, _ in of_protocol.values():
        upper.plot([0, 1], [0, 1], color=palette.MUTED, lw=0.8, ls="--")
    lines = []
    for row, protocol, group in groups_of(spec, scored_runs(spec)):
        bins = calibration_bins(group)
        draw_bins(*of_protocol[protocol], bins, spec.rows.index(row), spec.labels[row])
        lines += bin_records(spec, row, protocol, bins, len(group))
    for protocol, (upper, lower) in of_protocol.items():
        upper.set(xlim=(0, 1), ylim=(0, 1), aspect="auto", ylabel="Observed landslide share")
        upper.set_title(f"Protocol {protocol}")
        upper.legend(loc="upper left")
        lower.set(yscale="log", xlabel="Mapped probability of landslide", ylabel="Share of pixels")
    sign(figure, spec, "Dashed: perfect calibration.")
    return figure, frame_of(lines)


def draw_bins(upper: Axes, lower: Axes, bins: pd.DataFrame, index: int, label: str) -> None:
    """Observed share against probability, and how often each probability is mapped, of the row `index`."""
    look = {"color": palette.OKABE_ITO[index % 8], "lw": 1.1}
    filled = bins[bins["pixels"] > 0]
    marker = palette.MARKERS[index % 8]
    upper.plot(filled["mapped"], filled["observed"], marker=marker, ms=3.2, label=label, **look)
    lower.stairs(bins["pixels"] / bins["pixels"].sum(), np.linspace(0, 1, RELIABILITY_BINS + 1), **look)


def bin_records(
    spec: ExhibitSpec, row: str, protocol: str, bins: pd.DataFrame, seeds: int
) -> Iterator[dict[str, Any]]:
    note = f"{spec.labels[row]}: mean mapped probability and observed landslide share of the filled bins"
    same = {"protocol": protocol, "n_seeds": seeds, "data": spec.only_site().data, "note": note}
    for number, one in enumerate(bins[bins["pixels"] > 0].itertuples(), start=1):
        for metric in ("mapped", "observed"):
            yield record(spec, row, f"{metric}_{number:02d}", float(getattr(one, metric)), **same)


def calibration_bins(group: Sequence[Scored]) -> pd.DataFrame:
    """Pixels, mean mapped probability and observed landslide share in equal bins of probability, pooled over
    runs and cells."""
    pooled = CellHistograms.pooled([one.cells() for one in group])
    positive, negative, *_ = pooled.counts(np.ones(len(pooled.per_cell)))
    within = np.minimum((pooled.centres * RELIABILITY_BINS).astype(int), RELIABILITY_BINS - 1)
    binned = [
        np.bincount(within, weights=part, minlength=RELIABILITY_BINS)
        for part in (positive + negative, (positive + negative) * pooled.centres, positive)
    ]
    pixels, summed, slides = binned
    with np.errstate(invalid="ignore"):
        return pd.DataFrame({"pixels": pixels, "mapped": summed / pixels, "observed": slides / pixels})
