"""The audit of one card: what its checks recompute from its published tables, and what our own samples and
scores show of the same."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from headscarp.exhibits.averages import mean_of
from headscarp.exhibits.runs import groups_of, scored_runs
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import frame_of, record, text_record
from headscarp.files import read_json
from headscarp.scoring.audit.findings import Recomputed
from headscarp.scoring.audit.implied import is_possible_row
from headscarp.scoring.audit.pairs import ARITHMETIC, UNPOOLED, needed
from headscarp.scoring.audit.registry import run_checks

PRINTED = "published"
# F1 and mIoU of scores.json by way of averaging, and a note on F1; see `scoring.images`.
AVERAGES = {
    "pooled": ("f1", "miou", ""),
    "per_image": ("image_f1", "image_miou", ""),
    "per_image_with_empty": (
        "image_f1_with_empty",
        "image_miou",
        "empty = 1: F1 of a window that has no landslide and where none is mapped is 1 instead of undefined",
    ),
}
UNSCORED = "no landslide or no test window to score"
EXACT = 1e-9  # rounding of scores that were not printed


def audit(spec: ExhibitSpec) -> pd.DataFrame:
    """What the printed scores of the card show, by the checks of its `audit`.

    Rows such as `table7:unet`, which hold printed numbers only and say `data = published`: what each check
    recomputes. Rows of sites: windows that overlap training windows. Rows such as `unet:pooled`,
    `unet:per_image` and `unet:per_image_with_empty`, where the exhibit has rows: whether F1 and mIoU of our
    runs can both be pooled over the same pixels, mean over seeds; pooled scores always can, means over images
    need not. Options: `overlap` (whether to tell the overlap at its sites).
    """
    lines = [printed_record(spec, one) for one in recomputed_of(spec)]
    if spec.options.get("overlap"):
        lines += overlap_records(spec)
    return frame_of([*lines, *own_records(spec)])


def recomputed_of(spec: ExhibitSpec) -> Iterator[Recomputed]:
    """What the checks of the card recompute."""
    published: dict[str, list[dict[str, Any]]] = {}
    for one in spec.published:
        published.setdefault(one["table"], []).append(one)
    for found in run_checks(spec.checks, published, f"card {spec.card}, audit"):
        if isinstance(found, Recomputed):
            yield found


def printed_record(spec: ExhibitSpec, one: Recomputed) -> dict[str, Any]:
    """The tidy record of a recomputed value."""
    if one.text:
        return text_record(spec, one.row, one.quantity, one.text, data=PRINTED)
    same = {"published": one.printed, "data": PRINTED, "note": one.note}
    return record(spec, one.row, one.quantity, one.value, **same)


def overlap_records(spec: ExhibitSpec) -> Iterator[dict[str, Any]]:
    """Share of evaluated windows that overlap a training window, by site and protocol, from our own samples.

    Sites of windows say it for each subset; sites of cells for the largest window of the test cells, here the
    mean over folds.
    """
    for one in spec.sites:
        for protocol, folder in one.samples.items():
            cells = folder / "cells.json"
            overlap = read_json(cells if cells.exists() else folder / "samples.json")["overlap"]
            shares = (
                overlap
                if isinstance(overlap, dict)
                else {"test_windows_overlapping_training": float(np.mean(overlap))}
            )
            for metric, share in shares.items():
                yield record(spec, one.name, metric, share, protocol=protocol, data=one.data)


def own_records(spec: ExhibitSpec) -> Iterator[dict[str, Any]]:
    """Whether F1 and mIoU of our runs can both be pooled, by row, protocol and way of averaging."""
    for row, protocol, group in groups_of(spec, scored_runs(spec) if spec.runs else []):
        same = {"protocol": protocol, "data": spec.only_site().data}
        for average, (*names, note) in AVERAGES.items():
            pairs = [tuple(one.scores["metrics"].get(name) for name in names) for one in group]
            pairs = [pair for pair in pairs if None not in pair]
            name = f"{row}:{average}"
            if pairs:
                yield from pair_records(spec, name, pairs, note, same | {"n_seeds": len(pairs)})
            else:
                yield record(spec, name, "f1", None, published=None, note=UNSCORED, **same)


def pair_records(
    spec: ExhibitSpec, row: str, pairs: Sequence[tuple[float, float]], of_f1: str, same: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Tidy records of pairs of F1 and mIoU, one for each seed: their means, what they need, whether that is
    possible.

    `of_f1` is a note on F1.
    """
    possible = [is_possible_row({"f1": f1, "miou": miou}, EXACT) for f1, miou in pairs]
    note = ARITHMETIC if all(possible) else UNPOOLED
    of_seeds = [needed(*pair) for pair in pairs]
    for metric in of_seeds[0]:
        value = mean_of([one[metric] for one in of_seeds])
        noted = of_f1 if of_f1 and metric == "f1" else note
        yield record(spec, row, metric, value["value"], sd=value["sd"], published=None, note=noted, **same)
    yield text_record(spec, row, "verdict", verdict_of_pairs(possible), **same)


def verdict_of_pairs(possible: Sequence[bool]) -> str:
    """Whether pairs are possible, in words."""
    if all(possible):
        return "possible"
    return (
        f"impossible for {possible.count(False)} of {len(possible)} seeds" if any(possible) else "impossible"
    )
