"""The audit: what the checks of cards find in published tables, and how far our own windows overlap.

Everything of a paper is worked out from its published values by the checks of `scoring.audit.registry`;
nothing is trained.
"""

import html as html_module
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from headscarp.exhibits.run_tables import groups_of
from headscarp.exhibits.runs import mean_of, scored_runs
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import frame_of, html_page, markdown_line, record, text_record, write_csv
from headscarp.files import atomic_path, read_json
from headscarp.scoring.audit.findings import OVERLAP_ITEM, Finding, Recomputed
from headscarp.scoring.audit.implied import is_possible_row
from headscarp.scoring.audit.pairs import ARITHMETIC, UNPOOLED, needed
from headscarp.scoring.audit.registry import run_checks

PRINTED = "published"

# --- the table of one card

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


# --- the table of all cards

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


def audit_of_cards(plan: Mapping[str, Any]) -> pd.DataFrame:
    """Findings with `COLUMNS`, by item; fractions, but points of percent where a quantity says so.

    Args:
        plan: `audits` ([{card, item, title, checks, published}], `published` as in `scoring.audit.published`)
            and `samples` ([{card, site, protocol, folder}]).
    """
    lines: list[dict[str, Any]] = []
    for one in plan["audits"]:
        for found in run_checks(one["checks"], one["published"], f"card {one['card']}, audit"):
            if isinstance(found, Finding):
                lines.append({"item": one["item"], "card": one["card"]} | found._asdict())
    for sample in plan["samples"]:
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


def titles_of(plan: Mapping[str, Any]) -> dict[int, str]:
    """The title of each item."""
    return {one["item"]: one["title"] for one in plan["audits"]} | {OVERLAP_ITEM: OVERLAP_TITLE}


def write_audit(
    frame: pd.DataFrame, titles: Mapping[int, str], csv: str | Path, md: str | Path, html: str | Path
) -> None:
    """Write the findings as CSV, and by item as Markdown and HTML, each atomically."""
    write_csv(frame, csv)
    for path, text in ((md, to_markdown(frame, titles)), (html, to_html(frame, titles))):
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


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


def to_markdown(frame: pd.DataFrame, titles: Mapping[int, str]) -> str:
    parts = [f"# {TITLE}", ""]
    for item, part in frame.groupby("item", sort=False):
        parts += [f"## {item}. {titles[item]}", "", markdown_line(HEADS), "|" + " --- |" * len(HEADS)]
        parts += [*(markdown_line(cells_of(found)) for found in part.itertuples()), ""]
    return "\n".join(parts).rstrip() + "\n"


def to_html(frame: pd.DataFrame, titles: Mapping[int, str]) -> str:
    def row_of(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html_module.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    parts = [f"<h1>{html_module.escape(TITLE)}</h1>"]
    for item, part in frame.groupby("item", sort=False):
        parts += [
            f"<h2>{item}. {html_module.escape(titles[item])}</h2>",
            "<table>",
            f"<thead>{row_of(HEADS, 'th')}</thead>",
            "<tbody>",
        ]
        parts += [*(row_of(cells_of(found), "td") for found in part.itertuples()), "</tbody>", "</table>"]
    return html_page(TITLE, parts, [])
