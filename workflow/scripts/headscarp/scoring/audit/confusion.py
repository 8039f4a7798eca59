"""Checks of rows that print accuracy, precision and recall of the landslide class: these three fix the
confusion matrix up to its size, and with it everything else."""

from collections.abc import Iterator, Mapping

from headscarp.scoring.audit.findings import (
    ALL_ROWS,
    CONSISTENT,
    INCONSISTENT,
    NOTED,
    UNEQUAL,
    Finding,
    Recomputed,
)
from headscarp.scoring.audit.implied import (
    Range,
    common_share,
    gains,
    implied_kappa,
    implied_miou,
    implied_share,
)
from headscarp.scoring.audit.published import Published, rows_of

AREA_TOLERANCE = 0.0005  # what the printed digits of both areas leave to their ratio
WHOLE_AREA = 0.1  # how far, as a part of it, a share may lie from that of the whole study area
PRINTED_PLACE = 1e-4  # one unit of the last place of 95.83 %
IMPLIED = (
    "worked out from printed accuracy, precision and recall; "
    "the printed share is landslide area over study area"
)


def confusion_matrix(
    published: Published, table: str, area: Mapping[str, str]
) -> Iterator[Finding | Recomputed]:
    """The landslide share of the evaluated pixels, beside that of the study area, and kappa and mIoU.

    `area` ({table, row}) prints landslide_area_km2 and study_area_km2.
    """
    rows, areas = rows_of(published, table), rows_of(published, area["table"])[area["row"]]
    printed = areas["landslide_area_km2"] / areas["study_area_km2"]
    shares = {row: implied_share(*three(numbers)) for row, numbers in rows.items()}
    common = common_share(rows.values())
    one = max(share.low for share in shares.values()) <= min(share.high for share in shares.values())
    text = (
        f"one landslide share explains {'all' if one else 'not all'} "
        f"{len(rows)} rows; {beside_area(common.value, areas)}"
    )
    verdict = CONSISTENT if one else INCONSISTENT
    share = "implied_landslide_share"
    yield Finding(table, ALL_ROWS, share, common.value, verdict, text, common.low, common.high, printed)
    for row, numbers in rows.items():
        found = shares[row]
        yield Recomputed(f"{table}:{row}", share, found.value, printed, note=IMPLIED)
        verdict = CONSISTENT if one or found.low <= common.value <= found.high else INCONSISTENT
        text = (
            "landslide share that accuracy, precision and recall imply, with the range that rounding leaves"
        )
        yield Finding(table, row, share, found.value, verdict, text, found.low, found.high, common.value)
        for metric, implied in (("kappa", implied_kappa), ("miou", implied_miou)):
            yield from recomputed(table, row, metric, implied(*three(numbers)), numbers[metric])


def three(numbers: Mapping[str, float]) -> tuple[float, float, float]:
    return numbers["precision"], numbers["recall"], numbers["accuracy"]


def beside_area(share: float, areas: Mapping[str, float]) -> str:
    """What a landslide share of the evaluated pixels says of the part of the study area that was scored."""
    slides, whole = areas["landslide_area_km2"], areas["study_area_km2"]
    printed = slides / whole
    ratio = f"landslide over study area ({slides:g} / {whole:g} km2 = {printed:.4f})"
    off = share / printed - 1
    if abs(off) > WHOLE_AREA:
        return f"it is {off:+.1%} off {ratio}, so other pixels than the whole area were scored"
    near = abs(share - printed) <= AREA_TOLERANCE
    beside = "equal to" if near else f"{off:+.1%} off, but nearest to,"
    return f"it is {beside} {ratio}, so the whole area was scored, training windows included"


def recomputed(
    table: str, row: str, metric: str, found: Range, printed: float
) -> Iterator[Finding | Recomputed]:
    """A metric of a row beside the printed one."""
    name = f"recomputed_{metric}"
    yield Recomputed(f"{table}:{row}", name, 100 * found.value, 100 * printed, note=IMPLIED)
    verdict = CONSISTENT if abs(found.value - printed) <= PRINTED_PLACE else INCONSISTENT
    text = f"{metric} from accuracy, precision and recall, beside the printed one"
    yield Finding(table, row, name, found.value, verdict, text, found.low, found.high, printed)


def gain_by_factors(
    published: Published, table: str, metric: str, proposed: str, with_factors: str
) -> Iterator[Finding | Recomputed]:
    """What the claimed gain of a network over each baseline is made of, in points of percent.

    `proposed` is its row on the inputs of the baselines, `with_factors` that with influencing factors too.
    """
    values = {row: numbers[metric] for row, numbers in rows_of(published, table).items()}
    baselines = [row for row in values if row not in (proposed, with_factors)]
    for gain in gains(values, proposed, with_factors, baselines):
        row = gain["baseline"]
        for part, note in (
            ("claimed", f"claimed gain: printed {metric} of {with_factors} minus this row's"),
            (
                "like_for_like",
                f"like for like: printed {metric} of {proposed}, on the same inputs, minus this row's",
            ),
        ):
            yield Recomputed(f"{table}:{row}", f"{metric}_gain_{part}", 100 * gain[part], note=note)
        for part, verdict, text in (
            ("claimed", UNEQUAL, f"{metric} of {with_factors} minus this row's, which has fewer inputs"),
            ("like_for_like", NOTED, f"{metric} of {proposed} minus this row's, on the same inputs"),
            ("inputs", NOTED, f"{metric} of {with_factors} minus that of {proposed}: what the factors add"),
        ):
            yield Finding(table, row, f"{metric}_gain_{part}_points", 100 * gain[part], verdict, text)
    note = f"printed {metric} of {with_factors} minus that of {proposed}"
    added = 100 * (values[with_factors] - values[proposed])
    yield Recomputed(f"{table}:{with_factors}", f"{metric}_gain_by_factors", added, note=note)
