"""Tables that compare many networks on the same windows: scores beside costs, and which differences are
real."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from headscarp.exhibits.cross_tables import lightweight
from headscarp.exhibits.run_tables import groups_of
from headscarp.exhibits.runs import BOOTSTRAP_SEED, CROWDED, Scored, aggregate, fits, mean_of, scored_runs
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import VERSUS, frame_of, record, text_record
from headscarp.files import read_json
from headscarp.scoring.bootstrap import percentile_interval
from headscarp.vocabulary import require_known

METRICS = ("f1", "average_precision", "iou")
BETTER, WORSE, OPEN = "better", "worse", "not told apart"
ONE_SEED = "one seed: the interval and the p-value are over blocks alone"
CORRECTED = "p by {draws:,} draws of blocks and seeds, corrected by Holm for {pairs} pairs"


# --- scores beside costs


def network_comparison(spec: ExhibitSpec) -> pd.DataFrame:
    """F1, average precision and IoU of each row with 95 % intervals, what `cross_tables.lightweight` tells of
    its costs, and the peak memory of its training in MiB."""
    frames = [frame_of(aggregate(spec, METRICS))]
    for protocol in spec.protocols:
        runs = tuple(run for run in spec.runs if run.protocol == protocol)
        frames.append(lightweight(replace(spec, runs=runs)).assign(protocol=protocol))
    return pd.concat([*frames, frame_of(memory_records(spec))], ignore_index=True)


def memory_records(spec: ExhibitSpec) -> Iterator[dict[str, Any]]:
    """Tidy records of the peak memory of training, mean and sd over seeds."""
    for protocol in spec.protocols:
        for row in spec.rows:
            records = [read_json(run.folder / "run.json") for run in spec.runs_of(row, protocol)]
            memories = [one.get("peak_memory") for one in records]
            measured = [memory for memory in memories if memory]
            of_what = (
                require_known(measured[0]["of"], MEMORIES, f"run.json of {row}: peak memory of")
                if measured
                else ""
            )
            value = mean_of([memory and memory["mib"] for memory in memories])
            note = (
                MEMORIES[of_what] if measured else "trained before memory was recorded; train the run again"
            )
            yield record(
                spec,
                row,
                "training_memory_mib",
                protocol=protocol,
                data=spec.only_site().data,
                note=note,
                **value,
            )


MEMORIES = {
    "process": "memory is the largest resident set of the training process, Python and its libraries (some "
    "hundreds of MiB) included",
    "device": "memory is the most that tensors took on the accelerator at once",
}


# --- which differences are real


def pairwise(spec: ExhibitSpec) -> pd.DataFrame:
    """Difference in F1 of every pair of rows, first - second, with its 95 % interval by paired bootstrap over
    blocks and seeds; rows `a_vs_b`.

    Metrics: f1_difference, p_bootstrap, p_holm (corrected for all pairs of the table) and verdict: `better`
    or `worse` where p_holm is below 0.05, else `not told apart`. An interval is of its pair alone: it may
    leave out 0 where the verdict does not.
    """
    # statsmodels takes a second to import and no other table of this module needs it.
    from headscarp.scoring.pairs import DRAWS, drawn_f1, pair_p_values

    groups = {(protocol, row): group for row, protocol, group in groups_of(spec, scored_runs(spec))}
    lines: list[dict[str, Any]] = []
    for protocol in spec.protocols:
        runs = {row: groups[protocol, row] for row in spec.rows}
        fine = {row: [one.cells() for one in group] for row, group in runs.items() if is_fine(group)}
        drawn = drawn_f1(fine, BOOTSTRAP_SEED) if len(fine) > 1 else {}
        p_values = pair_p_values(drawn)
        note = CORRECTED.format(draws=DRAWS, pairs=len(p_values))
        for first, second in combinations(spec.rows, 2):
            exact = [
                mean_of([one.scores["metrics"]["f1"] for one in runs[row]])["value"]
                for row in (first, second)
            ]
            bounds = (
                percentile_interval(drawn[first] - drawn[second], fine[first])
                if {first, second} <= drawn.keys()
                else None
            )
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
    elif seeds == 1:
        note = f"{note}; {ONE_SEED}"
    same = {"protocol": protocol, "data": spec.only_site().data, "n_seeds": seeds, "published": None}
    yield record(spec, row, "f1_difference", difference, ci_low=low, ci_high=high, note=note, **same)
    yield record(spec, row, "p_bootstrap", p, **same)
    yield record(spec, row, "p_holm", corrected, **same)
    del same["published"], same["n_seeds"]
    yield text_record(spec, row, "verdict", verdict(difference, corrected), **same)


def verdict(difference: float | None, p: float | None) -> str:
    """What a corrected p-value says of the first of two rows."""
    from headscarp.scoring.pairs import LEVEL

    if difference is None or p is None or p >= LEVEL:
        return OPEN
    return BETTER if difference > 0 else WORSE
