"""The audit of all selected cards: the findings of their checks, and how far our own windows overlap.

Everything of a paper is worked out from its published values by the checks of `scoring.audit.registry`;
nothing is trained.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from headscarp.exhibits.pages import write_pages
from headscarp.exhibits.sections import Page, Section
from headscarp.exhibits.tidy import write_csv
from headscarp.files import read_json
from headscarp.scoring.audit.findings import OVERLAP_ITEM, Finding
from headscarp.scoring.audit.registry import run_checks

COLUMNS = [
    "item",
    "card",
    "table",
    "row",
    "quantity",
    "value",
    "low",
    "high",
    "expected",
    "verdict",
    "explanation",
]
NUMBERS = ["value", "low", "high", "expected"]
TITLE = "What the published numbers themselves show"
# Items and titles of cards are in their `audit`.
OVERLAP_TITLE = "Overlap of training with validation and test windows, measured on our own samples"
OVERLAPPING, SEPARATE = "overlapping", "separate"
WHAT = {
    "validation_windows_overlapping_training": "share of validation windows that overlap a training window",
    "test_windows_overlapping_training": "share of test windows that overlap a training window",
    "test_pixels_in_training_windows": "share of test pixels that lie in a training window",
}


def audit_of_cards(record: Mapping[str, Any]) -> pd.DataFrame:
    """Findings with `COLUMNS`, by item; fractions, but points of percent where a quantity says so.

    Args:
        record: `audits` ([{card, item, title, checks, published}], `published` as in
            `scoring.audit.published`) and `samples` ([{card, site, protocol, folder}]).
    """
    lines: list[dict[str, Any]] = []
    for one in record["audits"]:
        for found in run_checks(one["checks"], one["published"], f"card {one['card']}, audit"):
            if isinstance(found, Finding):
                lines.append({"item": one["item"], "card": one["card"]} | found._asdict())
    for sample in record["samples"]:
        lines += overlap_lines(sample)
    frame = pd.DataFrame(sorted(lines, key=lambda line: line["item"]), columns=COLUMNS)
    frame[NUMBERS] = frame[NUMBERS].astype(float)
    return frame


def overlap_lines(sample: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Shares of evaluated windows that overlap a training window, and of test pixels inside one; none where
    none is evaluated."""
    place = f"{sample['site']}:{sample['protocol']}"
    for name, share in read_json(Path(sample["folder"]) / "samples.json")["overlap"].items():
        if share is None:
            continue
        text = f"{WHAT.get(name, name.replace('_', ' '))} of {sample['site']}, {sample['protocol']} protocol"
        found = Finding("", place, name, share, OVERLAPPING if share else SEPARATE, text)
        yield {"item": OVERLAP_ITEM, "card": sample["card"]} | found._asdict()


def titles_of(record: Mapping[str, Any]) -> dict[int, str]:
    """The title of each item."""
    return {one["item"]: one["title"] for one in record["audits"]} | {OVERLAP_ITEM: OVERLAP_TITLE}


def write_audit(frame: pd.DataFrame, titles: Mapping[int, str], csv: str | Path, *pages: str | Path) -> None:
    """Write the findings as CSV, and by item as pages, each atomically."""
    write_csv(frame, csv)
    sections = [
        Section.of_text(f"{item}. {titles[item]}", HEADS, map(cells_of, part.itertuples()))
        for item, part in frame.groupby("item", sort=False)
    ]
    write_pages(Page(TITLE, "audit", sections), *pages)


HEADS = ["Where", "What", "Value", "Range", "Beside", "Verdict"]


def cells_of(found: Any) -> list[str]:
    """One finding as text."""
    where = ": ".join(filter(None, [found.table, found.row.replace("_", " ")]))
    bounds = f"{found.low:.4f} to {found.high:.4f}" if math.isfinite(found.low) else ""
    value, beside = (
        f"{number:.4f}" if math.isfinite(number) else "" for number in (found.value, found.expected)
    )
    return [
        where,
        f"{found.quantity.replace('_', ' ')}: {found.explanation}",
        value,
        bounds,
        beside,
        found.verdict,
    ]
