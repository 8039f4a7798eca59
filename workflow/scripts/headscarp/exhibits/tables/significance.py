"""Tables of which differences are real: McNemar's tests, and all pairs by bootstrap."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from headscarp.exhibits.averages import BOOTSTRAP_SEED
from headscarp.exhibits.runs import groups_of, scored_runs, stored_arrays
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import VERSUS, frame_of, record, text_record
from headscarp.scoring.chance import LEVEL, Estimate
from headscarp.scoring.claims import FEWEST_SEEDS
from headscarp.vocabulary import require_known

SIGNIFICANT_AT = (90, 95)  # percent, the columns of zhang2024's Table 7


def mcnemar(spec: ExhibitSpec) -> pd.DataFrame:
    """McNemar's tests of one row against the others on the same test cells, first seed (zhang2024, Table 7);
    rows `multi_vs_small`.

    Metrics: b (cells that only the reference has right), c (only the other), chi2 and p_value with continuity
    correction, p_exact, and p_block, which takes blocks of cells, not cells, as independent; significant_90
    and significant_95, the yes or no of p_value; chi2_matched, p_matched and p_block_matched are those of the
    maps with as many landslide cells as there are, whatever the thresholds. Options: `reference` (a row).
    """
    # statsmodels takes a second to import and no other table needs it.
    from headscarp.scoring.significance import at_matched_rate, compare_predictions

    reference = require_known(spec.options["reference"], spec.rows, f"exhibit '{spec.name}': reference")
    lines = []
    for protocol in spec.protocols:
        runs = {row: spec.runs_of(row, protocol)[0] for row in spec.rows if spec.runs_of(row, protocol)}
        predictions = {row: stored_arrays(run.maps / "predictions.npz", "score") for row, run in runs.items()}
        for other in [row for row in predictions if row != reference]:
            pair = predictions[reference], predictions[other]
            test, matched = compare_predictions(*pair), compare_predictions(*map(at_matched_rate, pair))
            row = f"{reference}{VERSUS}{other}"
            printed = spec.published_value(row, "p_value_below")
            note = f"the paper prints p < {printed:g}" if printed is not None else ""
            measured = {key: test[key] for key in ("b", "c", "chi2")} | {"p_value": test["p_corrected"]}
            measured |= {key: test[key] for key in ("p_exact", "p_block", "cells", "blocks")}
            measured |= {
                "chi2_matched": matched["chi2"],
                "p_matched": matched["p_corrected"],
                "p_block_matched": matched["p_block"],
            }
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
        found = f1_differences(
            {row: [one.cells() for one in group] for row, group in runs.items()}, BOOTSTRAP_SEED
        )
        p_values = pair_p_values(found)
        note = CORRECTED.format(pairs=len(p_values))
        for first, second in combinations(spec.rows, 2):
            lines += pair_records(
                spec, protocol, (first, second), found[first, second], *p_values[first, second], note
            )
    return frame_of(lines)


def pair_records(
    spec: ExhibitSpec,
    protocol: str,
    pair: tuple[str, str],
    found: Estimate,
    p: float | None,
    corrected: float | None,
    note: str,
) -> Iterator[dict[str, Any]]:
    """Tidy records of a pair of rows: their difference with its interval, p-values and verdict."""
    row, seeds = VERSUS.join(pair), found.seeds
    difference = found.size if np.isfinite(found.size) else None
    low, high = found.interval or (None, None)
    if low is None:
        note = f"no interval under {protocol}: too few blocks or landslides"
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
