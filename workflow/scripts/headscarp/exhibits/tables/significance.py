"""Tables of which differences are real: McNemar's tests, and all pairs by bootstrap."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from headscarp.exhibits.averages import BOOTSTRAP_SEED, CROWDED, fits, mean_of
from headscarp.exhibits.runs import Scored, groups_of, scored_runs, stored_arrays
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import VERSUS, frame_of, record, text_record
from headscarp.scoring.chance import LEVEL
from headscarp.scoring.claims import FEWEST_SEEDS
from headscarp.vocabulary import require_known

SIGNIFICANT_AT = (90, 95)  # percent, the columns of zhang2024's Table 7


def mcnemar(spec: ExhibitSpec) -> pd.DataFrame:
    """McNemar's tests of one row against the others on the same test cells, first seed (zhang2024, Table 7);
    rows `multi_vs_small`.

    Metrics: b (cells that only the reference has right), c (only the other), chi2 and p_value with continuity
    correction, p_exact, and p_block, which takes blocks of cells, not cells, as independent; significant_90
    and significant_95, the yes or no of p_value. Options: `reference` (a row).
    """
    # statsmodels takes a second to import and no other table needs it.
    from headscarp.scoring.significance import compare_predictions

    reference = require_known(spec.options["reference"], spec.rows, f"exhibit '{spec.name}': reference")
    lines = []
    for protocol in spec.protocols:
        runs = {row: spec.runs_of(row, protocol)[0] for row in spec.rows if spec.runs_of(row, protocol)}
        predictions = {row: stored_arrays(run.maps / "predictions.npz", "score") for row, run in runs.items()}
        for other in [row for row in predictions if row != reference]:
            test = compare_predictions(predictions[reference], predictions[other])
            row = f"{reference}{VERSUS}{other}"
            printed = spec.published_value(row, "p_value_below")
            note = f"the paper prints p < {printed:g}" if printed is not None else ""
            measured = {key: test[key] for key in ("b", "c", "chi2")} | {"p_value": test["p_corrected"]}
            measured |= {key: test[key] for key in ("p_exact", "p_block", "cells", "blocks")}
            same = {"protocol": protocol, "data": spec.only_site().data, "n_seeds": 1, "note": note}
            lines += [record(spec, row, metric, float(value), **same) for metric, value in measured.items()]
            lines += significant_records(spec, row, test["p_corrected"], same)
    return frame_of(lines)


def significant_records(spec: ExhibitSpec, row: str, p: float, same: dict[str, Any]) -> list[dict[str, Any]]:
    """Tidy records of whether a p-value is significant at the paper's two levels, yes or no."""
    answers = {f"significant_{percent}": p < 1 - percent / 100 for percent in SIGNIFICANT_AT}
    same = {key: value for key, value in same.items() if key != "note"}
    return [
        text_record(spec, row, name, "yes" if found else "no", spec.published_text(row, name), **same)
        for name, found in answers.items()
    ]


BETTER, WORSE, OPEN = "better", "worse", "not told apart"
FEW_SEEDS = (
    f"fewer than {FEWEST_SEEDS} seeds: no p-value, for nobody knows how far training by itself moves a score"
)
CORRECTED = "p of the chance of blocks and seeds together (t), corrected by Holm for {pairs} pairs"


def pairwise(spec: ExhibitSpec) -> pd.DataFrame:
    """Difference in F1 of every pair of rows, first - second, with its 95 % interval over blocks and seeds;
    rows `a_vs_b`.

    Metrics: f1_difference, p_value, p_holm (corrected for all pairs of the table) and verdict: `better`
    or `worse` where p_holm is below 0.05, else `not told apart`. An interval is of its pair alone: it may
    leave out 0 where the verdict does not.
    """
    # statsmodels takes a second to import and no other table of this module needs it.
    from headscarp.scoring.pairs import f1_differences, pair_p_values

    groups = {(protocol, row): group for row, protocol, group in groups_of(spec, scored_runs(spec))}
    lines: list[dict[str, Any]] = []
    for protocol in spec.protocols:
        runs = {row: groups[protocol, row] for row in spec.rows}
        fine = {row: [one.cells() for one in group] for row, group in runs.items() if is_fine(group)}
        found = f1_differences(fine, BOOTSTRAP_SEED) if len(fine) > 1 else {}
        p_values = pair_p_values(found)
        note = CORRECTED.format(pairs=len(p_values))
        for first, second in combinations(spec.rows, 2):
            exact = [
                mean_of([one.scores["metrics"]["f1"] for one in runs[row]])["value"]
                for row in (first, second)
            ]
            bounds = found[first, second].interval if (first, second) in found else None
            p, corrected = p_values.get((first, second), (None, None)) if bounds else (None, None)
            lines += pair_records(
                spec, protocol, (first, second), exact, bounds, p, corrected, note, len(runs[first])
            )
    return frame_of(lines)


def is_fine(group: Sequence[Scored]) -> bool:
    """Whether histograms stand for the F1 of all runs of a row."""
    coarse = [one.cells().metrics(np.ones(len(one.cells().per_cell)))["f1"] for one in group]
    return fits(coarse, [one.scores["metrics"]["f1"] for one in group])


def pair_records(
    spec: ExhibitSpec,
    protocol: str,
    pair: tuple[str, str],
    exact: Sequence[float | None],
    bounds: Sequence[float] | None,
    p: float | None,
    corrected: float | None,
    note: str,
    seeds: int,
) -> Iterator[dict[str, Any]]:
    """Tidy records of a pair of rows: difference of their `exact` scores with `bounds`, p-values and
    verdict."""
    row = VERSUS.join(pair)
    difference = None if None in exact else exact[0] - exact[1]
    low, high = bounds or (None, None)
    if bounds is None:
        note = f"no interval under {protocol}: too few blocks or landslides, or {CROWDED}"
    elif seeds < FEWEST_SEEDS:
        note = f"{note}; {FEW_SEEDS}"
    same = {"protocol": protocol, "data": spec.only_site().data, "n_seeds": seeds, "published": None}
    yield record(spec, row, "f1_difference", difference, ci_low=low, ci_high=high, note=note, **same)
    yield record(spec, row, "p_value", p, **same)
    yield record(spec, row, "p_holm", corrected, **same)
    del same["published"], same["n_seeds"]
    yield text_record(spec, row, "verdict", verdict(difference, corrected), **same)


def verdict(difference: float | None, p: float | None) -> str:
    """What a corrected p-value says of the first of two rows."""
    if difference is None or p is None or p >= LEVEL:
        return OPEN
    return BETTER if difference > 0 else WORSE
