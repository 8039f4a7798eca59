"""Tables of scores of pixels and of whole slides, in our columns and in a paper's."""

from typing import Any

import pandas as pd

from headscarp.errors import HeadscarpError
from headscarp.exhibits.averages import aggregate, mean_of, over_folds, undefined_notes
from headscarp.exhibits.forests import held_against_forests
from headscarp.exhibits.runs import Scored, groups_of, plateau_notes, scored_runs
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import AS_PRINTED, beside, frame_of, names_of, record
from headscarp.scoring.objects import pooled_objects

HELD_AGAINST_PIXELS = ("average_precision", "f1")


def scores(spec: ExhibitSpec) -> pd.DataFrame:
    """Pixel metrics of each experiment under each protocol (gao2021, Tables VII and VIII); a note says where
    a network scores below a pixel-wise forest.

    Options: `metrics` (names of scores.json), `unit` (percent or fraction, the default).
    """
    unit = spec.options.get("unit", "fraction")
    if unit not in ("percent", "fraction"):
        raise HeadscarpError(
            f"exhibit '{spec.name}': unit '{unit}' does not exist; it is percent or fraction"
        )
    lines = aggregate(spec, spec.options["metrics"], 100.0 if unit == "percent" else 1.0)
    return frame_of(held_against_forests(spec, lines, HELD_AGAINST_PIXELS))


def objects(spec: ExhibitSpec) -> pd.DataFrame:
    """Detection of whole slides, and recall by size of slide, as fractions; mean and sd over seeds, folds of
    the ground pooled."""
    lines = []
    for row, protocol, group in groups_of(spec, scored_runs(spec)):
        records, folds = [one.scores["objects"] or {} for one in group], [one.fold for one in group]
        pooled = pooled_objects(records) if all(records) else {}
        for metric in ("recall", "precision", "f1", "slides"):
            value = over_folds([one.get(metric) for one in records], pooled.get(metric), folds)
            if metric == "slides":  # the same slides whatever the seed, and a sum over folds
                value |= {"sd": None, "fold_mean": None}
            name = "slides" if metric == "slides" else f"object_{metric}"
            lines.append(object_record(spec, row, name, protocol, value, group))
        for name, of_seeds in by_size([one.scores["size_recall"] for one in group]).items():
            slides, found = (sum(one[key] for one in of_seeds) for key in ("slides", "detected"))
            value = over_folds([one["recall"] for one in of_seeds], found / slides if slides else None, folds)
            lines.append(object_record(spec, row, name, protocol, value, group))
    return frame_of(lines)


def object_record(
    spec: ExhibitSpec, row: str, metric: str, protocol: str, value: dict[str, Any], group: list[Scored]
) -> dict[str, Any]:
    note = "; ".join([*undefined_notes(value["n_seeds"], len(group), protocol), *plateau_notes(group)])
    same = {"protocol": protocol, "data": spec.only_site().data, "note": note}
    return record(spec, row, metric, **same, **value)


def by_size(of_seeds: list[list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """The records of each seed by class of slide area, keyed by the class's name."""
    classes: dict[str, list[dict[str, Any]]] = {}
    for classes_of_seed in of_seeds:
        for one in classes_of_seed:
            name = f"recall {one['low_m2']:,.0f}–{one['high_m2']:,.0f} m²"
            classes.setdefault(name, []).append(one)
    return classes


# how the name of a metric begins that scores a map against the simulated truth instead of its labels
TRUTH = "truth_"


def printed_scores(spec: ExhibitSpec) -> pd.DataFrame:
    """Scores in a paper's own columns, beside its values, and by their names (zhang2024, Tables 4 and 6;
    stfusion, Tables 2 to 4).

    Options: `columns` {printed column: metric of scores.json that fits it}, shown as `accuracy (as printed)`;
    `row_columns` {row: such columns, where a row was computed in another way}; `metrics`, of the landslide
    class; those that begin with `truth_` come from what scores.json holds of the simulated truth. `beside`
    {metric: printed column}: metrics with a published value, such as pooled scores and scores per image where
    the paper does not say which it prints. `published_rows` {row: row of the published table}, where its name
    is another.
    """
    columns, metrics = spec.options.get("columns", {}), spec.options.get("metrics", [])
    of_row = {row: spec.options.get("row_columns", {}).get(row, columns) for row in spec.rows}
    column_of, printed_row = names_of(spec, "beside", metrics), names_of(spec, "published_rows", spec.rows)
    direct = [metric for metric in metrics if not metric.startswith(TRUTH)]
    wanted = [
        *dict.fromkeys([*direct, *(metric for chosen in of_row.values() for metric in chosen.values())])
    ]
    found = {(line["row"], line["protocol"], line["metric"]): line for line in aggregate(spec, wanted)}
    truths = truth_records(spec, [metric for metric in metrics if metric.startswith(TRUTH)])
    lines = []
    for protocol in spec.protocols:
        for row in [row for row in spec.rows if spec.runs_of(row, protocol)]:
            columns_of_row = [*of_row[row], *column_of.values()]
            published = {
                column: spec.published_value(printed_row.get(row, row), column) for column in columns_of_row
            }
            for printed, metric in of_row[row].items():
                lines.append(beside(found[row, protocol, metric], printed + AS_PRINTED, published[printed]))
            for metric in metrics:
                line = (
                    truths[row, protocol, metric]
                    if metric.startswith(TRUTH)
                    else found[row, protocol, metric]
                )
                lines.append(beside(line, metric, published.get(column_of.get(metric))))
    return frame_of(held_against_forests(spec, lines, HELD_AGAINST_PIXELS))


def truth_records(spec: ExhibitSpec, metrics: list[str]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Tidy lines by (row, protocol, metric): means over seeds of the scores against the simulated truth."""
    lines = {}
    for row, protocol, group in groups_of(spec, scored_runs(spec) if metrics else []):
        for metric in metrics:
            value = mean_of([(one.scores["truth"] or {}).get(metric.removeprefix(TRUTH)) for one in group])
            note = "" if value["n_seeds"] else "the truth of the test cells is not known"
            same = {"protocol": protocol, "data": spec.only_site().data, "published": None, "note": note}
            lines[row, protocol, metric] = record(spec, row, metric, **value, **same)
    return lines
