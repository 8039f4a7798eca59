"""ROC curves (zhang2024, Fig. 15)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from headscarp.errors import HeadscarpError
from headscarp.exhibits.averages import aggregate
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.charts import LINES, below, protocol_panels
from headscarp.exhibits.panels.figure import sign
from headscarp.exhibits.runs import Scored, groups_of, scored_runs
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import frame_of, record
from headscarp.scoring.histograms import CellHistograms

FALSE_POSITIVE_RATES = (0.01, 0.05, 0.1, 0.2, 0.5)


def roc(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """ROC curves of all rows, a panel for each protocol, with AUC and its 95 % interval; seeds pooled in the
    curves, averaged in the AUC.

    The numbers behind it are the AUC and the true-positive rate at five false-positive rates.
    """
    lines = aggregate(spec, ["auc"])
    areas = {(line["row"], line["protocol"]): line for line in lines}
    figure, panels = protocol_panels(spec)
    of_protocol = dict(zip(spec.protocols, panels, strict=True))
    for axes in panels:
        axes.plot([0, 1], [0, 1], color=palette.MUTED, lw=0.8, ls="--")
    for row, protocol, group in groups_of(spec, scored_runs(spec)):
        fpr, tpr = roc_points(group)
        index, label = spec.rows.index(row), f"{spec.labels[row]}: {area_text(areas[row, protocol])}"
        look = {"color": palette.OKABE_ITO[index % 8], "ls": LINES[index // 8 % 2], "lw": 1.3}
        of_protocol[protocol].plot(fpr, tpr, label=label, **look)
        same = {"protocol": protocol, "n_seeds": len(group), "data": spec.only_site().data}
        for rate in FALSE_POSITIVE_RATES:
            value = float(np.interp(rate, fpr, tpr))
            lines.append(record(spec, row, f"tpr_at_fpr_{rate:.2f}", value, **same))
    for axes in panels:
        axes.set(xlim=(-0.01, 1), ylim=(0, 1.01), xlabel="False-positive rate", aspect="equal", anchor="N")
        below(axes, "AUC [95 % interval]")
    panels[0].set_ylabel("True-positive rate")
    sign(figure, spec, "Dashed: a map of chance. Intervals over blocks and seeds.")
    return figure, frame_of(lines)


def roc_points(group: Sequence[Scored]) -> tuple[np.ndarray, np.ndarray]:
    """False- and true-positive rates, ascending from (0, 0) to (1, 1), at the bins of probability; blocks,
    folds and seeds pooled.

    Raises:
        HeadscarpError: the evaluated cells are all landslides or all not.
    """
    pooled = CellHistograms.pooled([one.cells() for one in group])
    positive, negative, *_ = pooled.counts(np.ones(len(pooled.per_cell)))
    if not positive.sum() or not negative.sum():
        raise HeadscarpError(
            f"{group[0].run.maps / 'counts.npz'} holds landslides only or none, so there is no ROC curve; "
            "make the samples again with both in the test region"
        )
    tpr, fpr = (
        np.concatenate([[0], np.cumsum(counts[::-1])]) / counts.sum() for counts in (positive, negative)
    )
    return fpr, tpr


def area_text(line: dict[str, Any]) -> str:
    """'0.871 [0.832, 0.903]' of the record of an AUC."""
    text = f"{line['value']:.3f}"
    return text if line["ci_low"] is None else f"{text} [{line['ci_low']:.3f}, {line['ci_high']:.3f}]"
