"""Tables of maps of several classes: scores by class, extraction, fine-tuning, effects."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from headscarp.exhibits.averages import BOOTSTRAP_SEED, aggregate, mean_of, over_folds, undefined_notes
from headscarp.exhibits.effects import effects
from headscarp.exhibits.forests import held_against_forests
from headscarp.exhibits.runs import Scored, plateau_notes, runs_by_row
from headscarp.exhibits.spec import ExhibitSpec, RunFiles
from headscarp.exhibits.tidy import beside, frame_of, record
from headscarp.files import read_json
from headscarp.scoring.bootstrap import intervals, pooled_metrics, repeats_of, require_same_cells
from headscarp.scoring.claims import FEWEST_SEEDS
from headscarp.scoring.classes import CellConfusions, absence_notes, read_cell_confusions
from headscarp.scoring.metric_names import EXTRACTION
from headscarp.scoring.pixel import to_python
from headscarp.vocabulary import require_known

# Names of Table 3 in its order: {column: metric of `scoring.classes.flat_metrics`}. The column of a class is
# its precision.
PRINTED_COLUMNS = {
    name: f"{name}_precision"
    for name in ("bare_land", "vegetation", "water", "building", "road", "landslide")
} | {
    "avg_recall": "mean_recall",
    "avg_f1": "mean_f1",
    "oa": "oa",
}
OURS = {name: name for name in ("g_mean", "landslide_recall", "landslide_f1")}
EFFECTS = ("landslide_f1", "oa")
# A seed is scored on its own fold of the ground, whose slides and boundaries are not pooled.
FOLDS_APART = "slides and boundaries: mean of the folds that the seeds test"
RANKED = "landslide_average_precision"
# Scores in which a row is held against those that see single pixels only.
HELD_AGAINST_PIXELS = ("oa", "avg_f1", "landslide_f1", RANKED)


def class_scores(spec: ExhibitSpec) -> pd.DataFrame:
    """Precision of each class, mean recall, mean F1 and OA as printed, then the G-mean and the landslides'
    recall, F1 and average precision (xia2021, Tables 3 and 6); mean and sd over seeds, and a 95 % interval by
    bootstrap over blocks and seeds.

    Where a row scores below a pixel-wise forest a note says so. Options: `elsewhere` (true: of the runs
    applied to the exhibit's target).
    """
    lines = [*score_records(spec, PRINTED_COLUMNS | OURS), *ranked_records(spec)]
    return frame_of(held_against_forests(spec, lines, HELD_AGAINST_PIXELS))


def ranked_records(spec: ExhibitSpec) -> list[dict[str, Any]]:
    """Tidy records of the average precision of landslides, which no threshold and no argmax decides."""
    place = replace(spec, sites=(spec.target,)) if spec.options.get("elsewhere") else spec
    return [
        beside(line, RANKED, spec.published_value(line["row"], RANKED))
        for line in aggregate(place, ["average_precision"])
    ]


def extraction(spec: ExhibitSpec) -> pd.DataFrame:
    """DP, QP, OE and CE of landslide pixels (with the printed ones and intervals) and of whole slides, and
    boundary F1 (xia2021, Tables 4 and 7, Fig. 15).

    Options: `elsewhere` (true: of the runs applied to the exhibit's target).
    """
    return frame_of(extraction_records(spec))


def cells_by_group(spec: ExhibitSpec) -> dict[tuple[str, str], list[CellConfusions]]:
    """Confusion matrices of the runs of each (protocol, row).

    Raises:
        HeadscarpError: a file is missing, or runs of one protocol were scored on different pixels.
    """
    cells = {
        (protocol, row): [read_cell_confusions(run.maps) for run in runs]
        for protocol, row, runs in runs_by_row(spec)
    }
    for protocol in spec.protocols:
        groups = [group for (of, _), group in cells.items() if of == protocol]
        require_same_cells([one for group in groups for one in repeats_of(group)])
    return cells


def score_records(spec: ExhibitSpec, metrics: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Tidy records of metrics, {column: metric of `scoring.classes.flat_metrics`}, of each row under each
    protocol."""
    cells = cells_by_group(spec)
    for protocol, row, runs in runs_by_row(spec):
        group = cells[protocol, row]
        bounds, pooled = intervals(group, BOOTSTRAP_SEED), to_python(pooled_metrics(group))
        folds = [one.fold for one in group]
        each = [to_python(one.metrics(np.ones(len(one.confusion)))) for one in group]
        unready = plateau_notes(scores_of(runs))
        same = {"protocol": protocol, "data": data_of(runs)}
        absent = absence_notes(CellConfusions.pooled(group).confusion.sum(axis=0))
        for column, metric in metrics.items():
            value = over_folds([one[metric] for one in each], pooled[metric], folds)
            value["ci_low"], value["ci_high"] = bounds[metric] or (None, None)
            notes = (
                absent
                if metric.startswith("mean") or metric == "g_mean"
                else undefined_notes(value["n_seeds"], len(group), protocol)
            )
            yield record(spec, row, column, note="; ".join([*notes, *unready]), **same, **value)


def extraction_records(spec: ExhibitSpec) -> Iterator[dict[str, Any]]:
    """Tidy records of extraction: of pixels from confusion matrices, of slides and boundaries from
    scores.json."""
    of_pixels: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in score_records(spec, {metric: metric for metric in EXTRACTION}):
        of_pixels.setdefault((line["protocol"], line["row"]), []).append(line)
    for protocol, row, runs in runs_by_row(spec):
        yield from of_pixels[protocol, row]
        scored = scores_of(runs)
        scores = [one.scores for one in scored]
        same = {"protocol": protocol, "data": data_of(runs)}
        of_run = [*([FOLDS_APART] if len({one.fold for one in scored}) > 1 else []), *plateau_notes(scored)]
        rule = scores[0]["extraction"]["object"]["rule"]
        measured = {
            f"object_{metric}": ([one["extraction"]["object"][metric] for one in scores], rule)
            for metric in EXTRACTION
        }
        tolerance = f"boundaries agree within {scores[0]['boundary']['tolerance_px']:g} pixels"
        measured["boundary_f1"] = [one["boundary"]["f1"] for one in scores], tolerance
        for metric, (values, note) in measured.items():
            value = mean_of(values)
            notes = [note, *undefined_notes(value["n_seeds"], len(values), protocol), *of_run]
            yield record(spec, row, metric, published=None, note="; ".join(notes), **same, **value)


def scores_of(runs: Sequence[RunFiles]) -> list[Scored]:
    """Runs with their scores."""
    return [Scored(run, read_json(run.maps / "scores.json")) for run in runs]


def data_of(runs: Sequence[RunFiles]) -> str:
    """Whether runs were scored on a twin or on real data."""
    return scores_of(runs[:1])[0].scores["data"]


def fine_tuning(spec: ExhibitSpec) -> pd.DataFrame:
    """Scores of runs tuned on a share of a new site, with the share in percent.

    Options: `shares` ({row: percent of the training windows}).

    Raises:
        HeadscarpError: a row has no share.
    """
    shares = spec.options["shares"]
    for row in spec.rows:
        require_known(row, shares, f"exhibit '{spec.name}', shares: row")
    lines: list[dict[str, Any]] = []
    names = (
        "landslide_f1",
        "landslide_precision",
        "landslide_recall",
        "oa",
        "mean_recall",
        "mean_f1",
        "g_mean",
    )
    done: set[tuple[str, str]] = set()
    for line in score_records(spec, {name: name for name in names}):
        key = line["protocol"], line["row"]
        if key not in done:
            done.add(key)
            lines.append(
                record(
                    spec,
                    line["row"],
                    "share_percent",
                    float(shares[line["row"]]),
                    protocol=key[0],
                    data=line["data"],
                )
            )
        lines.append(line)
    return frame_of([*lines, *ranked_records(spec)])


def paired_effect(spec: ExhibitSpec) -> pd.DataFrame:
    """Difference of scores between two rows with its 95 % interval over the same blocks and seeds; rows
    `a_vs_b`.

    Options: `pairs` (list of [row, row that it is compared with]), `metrics` (names of
    `scoring.classes.flat_metrics`, default landslide_f1 and oa).
    """
    cells = cells_by_group(spec)
    lines: list[dict[str, Any]] = []
    for pair in spec.options["pairs"]:
        for effect in effects(spec, pair, cells, spec.options.get("metrics", EFFECTS)):
            runs = spec.runs_of(effect.first, effect.protocol)
            size, low, high = effect.found
            value = {"value": size, "ci_low": low, "ci_high": high, "n_seeds": len(runs)}
            same = {
                "protocol": effect.protocol,
                "data": data_of(runs),
                "note": effect_note(low, high, len(runs)),
            }
            lines.append(record(spec, effect.row, effect.metric, **same, **value))
    return frame_of(lines)


def effect_note(low: float | None, high: float | None, seeds: int) -> str:
    """What an interval says of the sign of an effect."""
    if low is None or high is None:
        return "no interval: too few blocks"
    if seeds < FEWEST_SEEDS:
        return f"fewer than {FEWEST_SEEDS} seeds: the sign of the effect is not settled"
    return "" if low > 0 or high < 0 else "the interval holds 0: the sign of the effect is not settled"
