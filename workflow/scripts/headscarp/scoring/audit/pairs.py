"""Checks of rows that print too few numbers for a confusion matrix, but more than are free of each other."""

from collections.abc import Iterator, Mapping

from headscarp.scoring.audit.findings import (
    ALL_ROWS,
    CONSISTENT,
    IMPOSSIBLE,
    INCONSISTENT,
    NOTED,
    POSSIBLE,
    Finding,
    Recomputed,
)
from headscarp.scoring.audit.implied import (
    audit_row,
    implied_background_iou,
    implied_iou,
    is_possible_row,
    rounding_of,
)
from headscarp.scoring.audit.possible import Printed, ranges
from headscarp.scoring.audit.published import Published, rows_of, title_of

PERCENTAGES = ("dp", "qp", "oe", "ce")
FROM = {
    "oe": "1 - printed DP",
    "ce": "1 - printed landslide precision, so that it counts pixels",
    "qp": "TP / (TP + FP + FN) from printed DP and CE",
}
ARITHMETIC = (
    "landslide IoU = F1 / (2 - F1), background IoU = 2 mIoU - landslide "
    "IoU; no score that is pooled over all pixels needs more than 1"
)
UNPOOLED = "F1 and mIoU cannot both be pooled over the same pixels; means over images can give such a pair"


def extraction(
    published: Published, table: str, places: int, precision: Mapping[str, str]
) -> Iterator[Finding | Recomputed]:
    """Omission OE, commission CE and quality QP beside what DP, CE and the precision of pixels make of them.

    `places` is how many decimal places the table prints, `precision` ({table, metric}) where the precision of
    the landslide class stands.
    """
    pixels, rounding = rows_of(published, precision["table"]), rounding_of(places)
    explained = {
        "oe": FROM["oe"],
        "ce": f"1 - landslide precision of {title_of(precision['table'])}: where they agree, the "
        "object-level score counts the same pixels",
        "qp": f"{FROM['qp']}, beside the printed QP",
    }
    quality = []
    for row, numbers in rows_of(published, table).items():
        known = {name: numbers[name] for name in PERCENTAGES}
        if row in pixels:
            known["precision"] = pixels[row][precision["metric"]]
        for found in audit_row(known, rounding):
            name, value, stated = found["quantity"], found["recomputed"], found["stated"]
            note = f"{name.upper()} {found['verdict']} with {FROM[name]}"
            yield Recomputed(f"{table}:{row}", name, value, stated, note=note)
            verdict = CONSISTENT if found["verdict"] == "agrees" else INCONSISTENT
            bounds = found["low"], found["high"]
            yield Finding(table, row, name, value, verdict, explained[name], *bounds, stated)
            if name == "qp":
                quality.append(found)
    worst = max(abs(found["difference"]) for found in quality)
    verdict = CONSISTENT if all(found["verdict"] == "agrees" for found in quality) else INCONSISTENT
    text = "largest difference of printed and recomputed QP"
    yield Finding(table, ALL_ROWS, "largest_difference_of_qp", worst, verdict, text)


def f1_and_miou(published: Published, table: str) -> Iterator[Finding | Recomputed]:
    """The background IoU that a printed F1 and mIoU need together: above 1 they cannot both be pooled over
    the same pixels."""
    for row, numbers in rows_of(published, table).items():
        f1, miou = numbers["f1"], numbers["miou"]
        possible = is_possible_row({"f1": f1, "miou": miou})
        verdict, note = (POSSIBLE, ARITHMETIC) if possible else (IMPOSSIBLE, UNPOOLED)
        for name, value in needed(f1, miou).items():
            yield Recomputed(f"{table}:{row}", name, value, note=note)
        yield Recomputed(f"{table}:{row}", "verdict", text=verdict)
        iou, background = implied_iou(f1), implied_background_iou(f1, miou)
        text = f"landslide IoU F1 / (2 - F1) of F1 {f1:g}"
        yield Finding(table, row, "implied_iou", iou.value, NOTED, text, iou.low, iou.high)
        text = f"background IoU that mIoU {miou:g} then needs; " + (
            "at most 1" if possible else "no score pooled over pixels is above 1, means over images may be"
        )
        bounds = background.low, background.high
        yield Finding(table, row, "needed_background_iou", background.value, verdict, text, *bounds, 1.0)


def needed(f1: float, miou: float) -> dict[str, float]:
    """F1 and mIoU, the landslide IoU that F1 implies, and the background IoU that mIoU then needs."""
    return {
        "f1": f1,
        "miou": miou,
        "implied_iou": implied_iou(f1).value,
        "needed_background_iou": implied_background_iou(f1, miou).value,
    }


def accuracy_and_f1(
    published: Published, table: str, accuracy: str, places: int
) -> Iterator[Finding | Recomputed]:
    """The landslide share that pixel accuracy and F1 leave, if F1 is of the landslide class.

    `accuracy` is the heading of the pixel accuracy, `places` how many decimal places the table prints.
    """
    for row, numbers in rows_of(published, table).items():
        pair = numbers[accuracy], numbers["f1"]
        yield from share_left(table, row, "implied_landslide_share", accuracy, *pair, places)


def accuracy_and_f1_by_row(
    published: Published, table: str, accuracy: str, places: int
) -> Iterator[Finding | Recomputed]:
    """The same if the sentence that prints the numbers means them the other way: "accuracy and F1 of a, b and
    c, d" as one pair after the other, where the table has both accuracies first."""
    rows = rows_of(published, table)
    listed = [numbers[name] for name in (accuracy, "f1") for numbers in rows.values()]
    for row, *pair in zip(rows, listed[::2], listed[1::2], strict=True):
        yield from share_left(table, row, "implied_landslide_share_read_by_row", accuracy, *pair, places)


def share_left(
    table: str, row: str, quantity: str, heading: str, accuracy: float, f1: float, places: int
) -> Iterator[Finding | Recomputed]:
    """The landslide share that a pixel accuracy under a heading and an F1 leave, as a row of the table."""
    rounding = rounding_of(places)
    printed = [
        Printed(name, metric, value - rounding, value + rounding)
        for name, metric, value in ((heading, "accuracy", accuracy), ("f1", "f1", f1))
    ]
    found = ranges(printed, ("share",))
    pair = f"{heading.upper()} {accuracy:.3f} and F1 {f1:.3f}"
    if found is None:
        yield Finding(table, row, quantity, None, IMPOSSIBLE, f"no confusion matrix has {pair}")
        return
    low, high = found["share"]
    text = (
        f"landslide share of the evaluated pixels that {pair} leave, if F1 is of landslides; a whole region "
        "has far less: windows without landslides were left out or F1 is a mean over classes"
    )
    yield Recomputed(f"{table}:{row}", quantity, (low + high) / 2, note=text)
    yield Finding(table, row, quantity, (low + high) / 2, NOTED, text, low, high)
