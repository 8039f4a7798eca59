"""The table of spread over the orders of factors and over seeds."""

import numpy as np
import pandas as pd

from headscarp.exhibits.runs import groups_of, scored_runs
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import frame_of, record


def order_spread(spec: ExhibitSpec) -> pd.DataFrame:
    """How scores vary over rows that differ in the order of their factors only, and over seeds; row = metric.

    Per metric: mean, least and greatest value of all runs; `sd_seeds`, the standard deviation over seeds
    pooled within orders; `sd_orders`, that of orders alone by one-way analysis of variance: the variance of
    the orders' means less what seeds put into it (their variance over the number of seeds), 0 where seeds
    explain it all. Where the seeds test folds of the ground in turn, what a fold is easier or harder than
    another for all orders alike is taken out first. With one seed the two cannot be told apart: `sd_orders`
    then holds both, with a note.
    Options: `metrics` (names of scores.json).
    """
    runs = scored_runs(spec)
    lines = []
    for metric in spec.options["metrics"]:
        for protocol in spec.protocols:
            of_orders = [group for _, of, group in groups_of(spec, runs) if of == protocol]
            groups = [[one.scores["metrics"][metric] for one in group] for group in of_orders]
            rotating = len({one.fold for group in of_orders for one in group}) > 1
            defined = [[value for value in group if value is not None] for group in groups]
            spread, note = spread_of([group for group in defined if group], rotating)
            if sum(map(len, defined)) < sum(map(len, groups)):
                note = "; ".join(filter(None, [note, f"undefined for some runs under {protocol}"]))
            same = {"protocol": protocol, "data": spec.only_site().data, "published": None, "note": note}
            same["n_seeds"] = max(map(len, groups), default=0)
            lines += [record(spec, metric, name, value, **same) for name, value in spread.items()]
    return frame_of(lines)


def spread_of(groups: list[list[float]], rotating: bool) -> tuple[dict[str, float | None], str]:
    """Mean, sd_orders, sd_seeds, min, max and number of orders of groups of scores (one group for each
    order), with a note; `rotating` where score k of every group is of fold k."""
    values = np.concatenate([*groups, []]).astype(float)
    if not values.size:
        return dict.fromkeys(("mean", "sd_orders", "sd_seeds", "min", "max")) | {
            "orders": 0.0
        }, "undefined for all runs"
    means = np.array([np.mean(group) for group in groups])
    least, most, freedom = values.min(), values.max(), values.size - len(groups)
    if rotating and len({len(group) for group in groups}) == 1:
        of_folds = np.mean(groups, axis=0)
        groups = [list(np.array(group) - of_folds + of_folds.mean()) for group in groups]
        freedom -= len(of_folds) - 1
    between = means.var(ddof=1) if len(groups) > 1 else np.nan
    within = sum(np.var(group) * len(group) for group in groups) / freedom if freedom else np.nan
    alone = (
        between
        if np.isnan(within)
        else max(0.0, between - within * np.mean([1 / len(group) for group in groups]))
    )
    spread = {
        "mean": means.mean(),
        "sd_orders": np.sqrt(alone),
        "sd_seeds": np.sqrt(within),
        "min": least,
        "max": most,
    }
    record = {name: None if np.isnan(value) else float(value) for name, value in spread.items()} | {
        "orders": float(len(groups))
    }
    return (
        record,
        "" if freedom else "one seed for each order: the spread over orders holds that over seeds too",
    )
