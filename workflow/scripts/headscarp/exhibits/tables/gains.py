"""Tables of what parts of a network and inputs gain."""

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from headscarp.exhibits.averages import aggregate
from headscarp.exhibits.effects import Effect, effects, exact_difference
from headscarp.exhibits.forests import held_against_forests
from headscarp.exhibits.regions import COMPARED, PAPER_NAMES, PERCENT, in_paper_names
from headscarp.exhibits.runs import Scored, groups_of, plateau_notes, scored_runs
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import frame_of, record, text_record
from headscarp.scoring.claims import CONTRADICTED, EQUIVALENT, INCONCLUSIVE, SUPPORTED, judge

BETTER, WORSE, OPEN = "better", "worse", "not settled"
WORDS = {SUPPORTED: BETTER, CONTRADICTED: WORSE, EQUIVALENT: EQUIVALENT, INCONCLUSIVE: OPEN}


def ablation_effects(spec: ExhibitSpec) -> pd.DataFrame:
    """What parts of a network or of its inputs do: differences between two rows, first - second, with a 95 %
    interval over blocks and seeds, and a word; rows `a_vs_b`.

    Metrics: f1 and average_precision, each with its verdict: `better`, `worse`, `no difference` or `not
    settled`, as `scoring.claims.judge` says of a claim that states no size. Options: `pairs`, a list of
    {rows: [row, row that it is compared with], label: what the pair tells}.
    """
    lines: list[dict[str, Any]] = []
    for pair, *measured in measured_effects(spec, COMPARED):
        lines += effect_records(spec, *measured, pair["label"])
    return frame_of(lines)


def score_gains(spec: ExhibitSpec) -> pd.DataFrame:
    """PA, CPA, F1, mIoU and average precision of each row in percent, then the gain of one row over another
    in percentage points, with a 95 % interval over blocks and seeds; rows `a_vs_b`.

    Options: `pairs`, a list of {rows: [row, row that it is compared with], label: what the pair tells,
    published: row of the published table that holds its gains (optional), whose metrics are `pa_gain` and so
    on}.
    """
    scored = held_against_forests(spec, aggregate(spec, list(PAPER_NAMES), PERCENT), COMPARED)
    lines = [in_paper_names(line) for line in scored]
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


def measured_effects(
    spec: ExhibitSpec, metrics: Sequence[str]
) -> Iterator[tuple[dict[str, Any], Effect, list[Scored]]]:
    """Each of the option `pairs` with its effect on a metric under a protocol, and the runs of both rows."""
    runs = {(protocol, row): group for row, protocol, group in groups_of(spec, scored_runs(spec))}
    cells = {key: [one.cells() for one in group] for key, group in runs.items()}
    for pair in spec.options["pairs"]:
        for effect in effects(spec, pair["rows"], cells, metrics):
            sides = [runs[effect.protocol, row] for row in (effect.first, effect.second)]
            found = exact_difference(effect.found, effect.metric, sides)
            yield pair, effect._replace(found=found), [*sides[0], *sides[1]]


def effect_records(
    spec: ExhibitSpec, effect: Effect, runs: Sequence[Scored], label: str
) -> Iterator[dict[str, Any]]:
    """Tidy records of an effect: its size with its interval, and its verdict, open where a training stopped
    before its plateau."""
    found, seeds, unready = effect.found, len(runs) // 2, plateau_notes(runs)
    why = found.why_no_interval
    note = "; ".join(filter(None, [label, why and f"{why} under {effect.protocol}", *unready]))
    verdict = INCONCLUSIVE if unready else judge(found.low, found.high, seeds)
    same = {"protocol": effect.protocol, "data": spec.only_site().data}
    measured = {"ci_low": found.low, "ci_high": found.high, "n_seeds": seeds, "note": note}
    yield record(spec, effect.row, effect.metric, found.size, published=None, **measured, **same)
    yield text_record(spec, effect.row, f"{effect.metric}_verdict", WORDS[verdict], **same)
