"""Tables of xing2026: what inputs and parts of a network gain, every run on every region, and how light the
networks are."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pandas as pd

from headscarp.exhibits.fusion_tables import effect_records, measured_effects
from headscarp.exhibits.run_tables import beside, names_of
from headscarp.exhibits.runs import aggregate, mean_of, scored_runs
from headscarp.exhibits.spec import ExhibitSpec, SiteFiles
from headscarp.exhibits.tidy import frame_of, record
from headscarp.files import read_json

PERCENT = 100.0
# The paper's names of its scores, and ours: papers.md reads CPA (class pixel accuracy) as the precision of
# the landslide class.
MEASURES = {
    "pa": "accuracy",
    "cpa": "precision",
    "f1": "f1",
    "miou": "miou",
    "average_precision": "average_precision",
}
PAPER_NAMES = {metric: name for name, metric in MEASURES.items()}


def in_paper_names(line: dict[str, Any], published: float | None = None) -> dict[str, Any]:
    """A tidy line under the paper's name of its metric, beside a published value."""
    return beside(line, PAPER_NAMES[line["metric"]], published)


# --- what inputs and parts gain


def score_gains(spec: ExhibitSpec) -> pd.DataFrame:
    """PA, CPA, F1, mIoU and average precision of each row in percent, then the gain of one row over another
    in percentage points, with a 95 % interval by paired bootstrap over blocks and seeds; rows `a_vs_b`.

    Options: `pairs`, a list of {rows: [row, row that it is compared with], label: what the pair tells,
    published: row of the published table that holds its gains (optional), whose metrics are `pa_gain` and so
    on}.
    """
    lines = [in_paper_names(line) for line in aggregate(spec, list(PAPER_NAMES), PERCENT)]
    for pair, *measured in measured_effects(spec, list(PAPER_NAMES)):
        line, _ = effect_records(spec, *measured, f"{pair['label']}: difference in percentage points")
        points = {key: PERCENT * line[key] for key in ("value", "ci_low", "ci_high") if line[key] is not None}
        printed = (
            spec.published_value(pair["published"], f"{PAPER_NAMES[line['metric']]}_gain")
            if "published" in pair
            else None
        )
        lines.append(in_paper_names(line | points, printed))
    return frame_of(lines)


# --- every run on every region

HOME = "trained there: scored on the test part of the region"
AWAY = (
    "never seen in training: scored on the whole region, at the threshold and with the normalisation of "
    "the region of training"
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


def cross_records(spec: ExhibitSpec) -> list[dict[str, Any]]:
    """Tidy records of `cross_scene`, by site of training, then site of scoring."""
    return [
        line
        for trained in spec.sites
        for scored in spec.sites
        for line in pair_records(spec, trained, scored)
    ]


def pair_records(spec: ExhibitSpec, trained: SiteFiles, scored: SiteFiles) -> Iterator[dict[str, Any]]:
    """Tidy records of the runs of one site, scored on one site."""
    home = trained.name == scored.name
    runs = (run for run in spec.runs if run.site == trained.name)
    there = replace(
        spec,
        sites=(scored,),
        runs=tuple(run if home else replace(run, maps=run.maps_of(scored.name)) for run in runs),
    )
    where = HOME if home else AWAY
    shares = {(one.run.row, one.run.protocol): one.scores["landslide_share"] for one in scored_runs(there)}
    lines = aggregate(there, list(PAPER_NAMES), PERCENT)
    for line in lines:
        note = "; ".join(filter(None, [where, line["note"]]))
        yield in_paper_names(line | {"row": f"{trained.name}:{scored.name}:{line['row']}", "note": note})
    for (row, protocol), share in shares.items():
        row = f"{trained.name}:{scored.name}:{row}"
        yield record(
            spec,
            row,
            "landslide_share_percent",
            PERCENT * share,
            protocol=protocol,
            data=scored.data,
            note=where,
        )


# --- how light the networks are

NETWORK = "network"
COUNTED = (
    "parameters and multiply-adds are of the network at full width with the channels of its "
    "experiment, whatever the data"
)


def lightweight(spec: ExhibitSpec) -> pd.DataFrame:
    """Parameters and multiply-adds per megapixel of each row's network at full width, and the time to map a
    megapixel at this scale."""
    # Imported here: it takes seconds to import torch, and figures share the rest of this module.
    from headscarp.networks.costs import MEGAPIXEL, describe_costs

    data, lines = spec.only_site().data, []
    for row in spec.rows:
        described = spec.experiments[row]
        costs = describe_costs(described["network"], len(described["channels"]), **described["params"])
        counted = {
            "parameters": float(costs["parameters"]),
            "giga_multiply_adds_per_megapixel": costs["multiply_adds_per_megapixel"] / 1e9,
        }
        lines += [
            record(spec, row, metric, value, data=NETWORK, note=COUNTED) for metric, value in counted.items()
        ]
        maps = [read_json(run.maps / "map.json") for run in spec.runs if run.row == row]
        devices = ", ".join(dict.fromkeys(one["device"] for one in maps))
        note = (
            f"time on {devices} at width {described['width']:g}, maps of {maps[0]['pixels']:,} pixels; "
            f"reading, overlapping windows and "
            "writing are included, and other jobs may have run beside"
        )
        seconds = mean_of([one["seconds"] / one["pixels"] * MEGAPIXEL for one in maps])
        lines.append(record(spec, row, "seconds_per_megapixel", data=data, note=note, **seconds))
    return frame_of(lines)
