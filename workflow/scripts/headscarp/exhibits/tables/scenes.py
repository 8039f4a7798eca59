"""Tables of runs across scenes: left out in turn, and every run on every region."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from headscarp.exhibits.averages import aggregate
from headscarp.exhibits.regions import cross_records
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import VERSUS, beside, frame_of, names_of, record
from headscarp.vocabulary import require_known


def left_out_scenes(spec: ExhibitSpec) -> pd.DataFrame:
    """Pixel metrics on each left-out scene, then their mean over scenes, then the mean of the differences
    between two experiments.

    Rows are `site:experiment` (mean, sd over seeds and interval as in `runs.aggregate`), `experiment` and
    `experiment_vs_other`; the sd of the last two is that over scenes, since scenes are what the scores
    generalise to.

    Options: `metrics` (names of scores.json), `pairs` (list of [experiment, experiment it is compared with],
    optional).
    """
    metrics, lines = spec.options["metrics"], []
    for site in spec.sites:
        runs = tuple(run for run in spec.runs if run.site == site.name)
        of_site = aggregate(replace(spec, sites=(site,), runs=runs), metrics)
        lines += [line | {"row": f"{site.name}:{line['row']}"} for line in of_site]
    found = {(line["row"], line["protocol"], line["metric"]): line["value"] for line in lines}
    summary = []
    for protocol in spec.protocols:
        for metric in metrics:
            values = {
                row: np.array(
                    [found[f"{site.name}:{row}", protocol, metric] for site in spec.sites], dtype=float
                )
                for row in spec.rows
            }
            for row, of_scenes in values.items():
                summary.append(over_scenes(spec, row, metric, protocol, of_scenes))
            for pair in spec.options.get("pairs", []):
                first, second = (
                    require_known(row, spec.rows, f"exhibit '{spec.name}', pairs: row") for row in pair
                )
                summary.append(
                    over_scenes(
                        spec, f"{first}{VERSUS}{second}", metric, protocol, values[first] - values[second]
                    )
                )
    return frame_of(lines + summary)


def over_scenes(
    spec: ExhibitSpec, row: str, metric: str, protocol: str, values: np.ndarray
) -> dict[str, Any]:
    """Mean and (n - 1) standard deviation of a score over the scenes on which it is defined."""
    defined = values[~np.isnan(values)]
    missing = len(values) - len(defined)
    note = f"mean and sd over {len(defined)} scenes" + (f", undefined on {missing}" if missing else "")
    return record(
        spec,
        row,
        metric,
        float(defined.mean()) if len(defined) else None,
        protocol=protocol,
        data=spec.sites[0].data,
        note=note,
        sd=float(defined.std(ddof=1)) if len(defined) > 1 else None,
    )


def cross_scene(spec: ExhibitSpec) -> pd.DataFrame:
    """Scores in percent of each row trained on each site of the exhibit, on every site; rows such as
    `region_a:region_b:resu_cbnet`.

    Metrics: PA, CPA, F1, mIoU, average precision, and the share of landslides among the scored pixels (PA and
    CPA depend on it). Options: `published_rows` {such a row: row of the published table}.
    """
    lines = cross_records(spec)
    printed_row = names_of(spec, "published_rows", {line["row"] for line in lines})
    return frame_of(
        beside(
            line,
            line["metric"],
            spec.published_value(printed_row[line["row"]], line["metric"])
            if line["row"] in printed_row
            else None,
        )
        for line in lines
    )
