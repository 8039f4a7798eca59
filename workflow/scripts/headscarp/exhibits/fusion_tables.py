"""Whether printed scores of the fusion of dates can stand together."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from headscarp.exhibits.audit_tables import PRINTED, printed_rows
from headscarp.exhibits.averages import mean_of
from headscarp.exhibits.runs import groups_of, scored_runs
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import frame_of, record, text_record
from headscarp.scoring.audit import ROUNDING, implied_background_iou, implied_iou, is_possible

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
ARITHMETIC = (
    "landslide IoU = F1 / (2 - F1), background IoU = 2 mIoU - landslide IoU; no score that is "
    "pooled over all pixels needs more than 1"
)
IMPOSSIBLE = "F1 and mIoU cannot both be pooled over the same pixels; means over images can give such a pair"
UNSCORED = "no landslide or no test window to score"
EXACT = 1e-9  # rounding of scores that were not printed


def fusion_audit(spec: ExhibitSpec) -> pd.DataFrame:
    """Whether a printed F1 and mIoU can both be pooled over the same pixels (stfusion, Tables 2 to 4).

    Rows such as `table2:proposed` say `data = published`: F1, mIoU, the landslide IoU that F1 implies, the
    background IoU that mIoU then needs, and whether that is possible within rounding. Rows such as
    `st_fusion:pooled`, `st_fusion:per_image` and `st_fusion:per_image_with_empty`: the same for each of our
    runs, mean over seeds. Pooled scores always pass; means over images need not. Needs published records with
    the key `table`. Options: `tables` (names of published tables).
    """
    lines: list[dict[str, Any]] = []
    for table in spec.options["tables"]:
        for row, printed in printed_rows(spec, table).items():
            lines += pair_records(
                spec, f"{table}:{row}", [(printed["f1"], printed["miou"])], ROUNDING, {"data": PRINTED}
            )
    for row, protocol, group in groups_of(spec, scored_runs(spec) if spec.runs else []):
        same = {"protocol": protocol, "data": spec.only_site().data}
        for average, (*names, note) in AVERAGES.items():
            pairs = [tuple(one.scores["metrics"].get(name) for name in names) for one in group]
            pairs = [pair for pair in pairs if None not in pair]
            if pairs:
                lines += pair_records(
                    spec, f"{row}:{average}", pairs, EXACT, same | {"n_seeds": len(pairs)}, note
                )
            else:
                lines.append(
                    record(spec, f"{row}:{average}", "f1", None, published=None, note=UNSCORED, **same)
                )
    return frame_of(lines)


def pair_records(
    spec: ExhibitSpec,
    row: str,
    pairs: Sequence[tuple[float, float]],
    rounding: float,
    same: dict[str, Any],
    of_f1: str = "",
) -> Iterator[dict[str, Any]]:
    """Tidy records of pairs of F1 and mIoU (one for each seed): their means, what they imply and whether that
    is possible.

    `of_f1` is a note on F1.
    """
    f1, miou = np.array(pairs).T
    measured = {
        "f1": f1.tolist(),
        "miou": miou.tolist(),
        "implied_iou": [implied_iou(one).value for one in f1],
        "needed_background_iou": [implied_background_iou(one, other).value for one, other in pairs],
    }
    possible = [is_possible({"f1": one, "miou": other}, rounding) for one, other in pairs]
    note = ARITHMETIC if all(possible) else IMPOSSIBLE
    for metric, values in measured.items():
        value = mean_of(values)
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
