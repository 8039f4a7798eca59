"""Runs scored on the regions of other runs, under the names of xing2026."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from headscarp.exhibits.averages import aggregate
from headscarp.exhibits.forests import held_against_forests
from headscarp.exhibits.runs import scored_runs
from headscarp.exhibits.spec import ExhibitSpec, SiteFiles
from headscarp.exhibits.tidy import beside, record

PERCENT = 100.0
COMPARED = ("f1", "average_precision")  # in which rows are held against pixel-wise forests
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


HOME = "trained there: scored on the test part of the region"
AWAY = (
    "never seen in training: scored on the whole region, at the threshold and with the normalisation of "
    "the region of training"
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
    for line in held_against_forests(there, lines, COMPARED):
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
