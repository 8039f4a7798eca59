"""A tidy table as people read it: rows against metrics, by protocol."""

import math
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from headscarp.exhibits.best import best_lines
from headscarp.exhibits.kinds import KINDS
from headscarp.exhibits.labels import metric_label, protocol_label, row_label, unit_text
from headscarp.exhibits.pages import in_one_line, write_pages
from headscarp.exhibits.runs import NOT_CONVERGED
from headscarp.exhibits.sections import Cell, Line, Page, Section
from headscarp.exhibits.spec import TWIN, ExhibitSpec
from headscarp.exhibits.tidy import PRINTED_TEXT, SIMULATED, TEXT, UNIT, write_csv

NOTES_PARTED_BY = "; "
NONE = "–"


def write_table(frame: pd.DataFrame, spec: ExhibitSpec, csv: str | Path, *pages: str | Path) -> None:
    """Write a tidy table of an exhibit as CSV, and as pages (`page_of`), each atomically; the CSV keeps ids
    where people read labels."""
    write_csv(frame, csv)
    write_pages(page_of(frame, spec), *pages)


def page_of(frame: pd.DataFrame, spec: ExhibitSpec) -> Page:
    """The pivot of a tidy table of an exhibit: rows x metrics, one block per protocol."""
    sections = sections_of(frame, spec.labels, KINDS[spec.kind].compares)
    notes = [*filter(None, [spec.caption]), *notes_of(frame, spec.labels)]
    return Page(spec.title, f"{spec.card}_{spec.name}", list(sections), notes)


def notes_of(frame: pd.DataFrame, labels: Mapping[str, str]) -> list[str]:
    """Each distinct note of a frame once, with the rows it belongs to where they are few and it names none;
    a line may hold several, parted by semicolons."""
    noted = frame[(frame["note"] != "") & ~frame["note"].str.startswith((UNIT, TEXT))]
    single = noted.assign(note=noted["note"].str.split(NOTES_PARTED_BY)).explode("note")
    lines = []
    for note, group in single.groupby("note", sort=False):
        rows = list(dict.fromkeys(row_label(row, labels) for row in group["row"]))
        lines.append(
            f"{', '.join(rows)}: {note}"
            if len(rows) <= 3 and len(rows) < frame["row"].nunique() and not note.startswith(rows[0])
            else note
        )
    return lines


def digits_for(values: Iterable[float]) -> int:
    """Decimals that show a column's values to about four significant digits: none for whole numbers and
    thousands."""
    finite = [abs(value) for value in values if math.isfinite(value)]
    if not finite or max(finite) >= 10000 or all(value == round(value) for value in finite):
        return 0
    return 2 if max(finite) > 1.5 else 3 if max(finite) > 0.2 else 4


def cell_text(line: Any, digits: int) -> str:
    """'value ± sd [low, high]' of one tidy line, with folds 'value [low, high]; folds mean ± sd'; its text
    where it has one, else an en dash where there is no value."""
    return in_one_line(cell_of(line, digits))


def cell_of(line: Any, digits: int, best: bool = False) -> Cell:
    """The cell of one tidy line, with what the paper prints."""
    text, _, printed = line.note.removeprefix(TEXT).partition(PRINTED_TEXT)
    if not line.note.startswith(TEXT):
        text, printed = NONE, ""
    if math.isfinite(line.published):
        printed = number_text(line.published, digits)
    if not math.isfinite(line.value):
        return Cell(text, printed=printed)
    spread = f"± {line.sd:,.{digits}f}" if math.isfinite(line.sd) else ""
    has_interval, has_folds = math.isfinite(line.ci_low), math.isfinite(line.fold_mean)
    return Cell(
        number_text(line.value, digits),
        spread="" if has_folds else spread,
        interval=f"[{line.ci_low:,.{digits}f}, {line.ci_high:,.{digits}f}]" if has_interval else "",
        more=f"folds {number_text(line.fold_mean, digits)} {spread}".strip() if has_folds else "",
        printed=printed,
        best=best,
    )


def number_text(value: float, digits: int) -> str:
    """A number with `digits` decimals; with an exponent where these would show a 0 that it is not."""
    return f"{value:,.{digits}f}" if value == 0 or abs(value) >= 0.5 * 10**-digits else f"{value:.1e}"


def sections_of(frame: pd.DataFrame, labels: Mapping[str, str], compares: bool) -> Iterator[Section]:
    """The pivot of a tidy frame: a section for each protocol, in the frame's order, and further ones for rows
    of it that have no metric in common with those above.

    The first column of a line is the row's label; the second says whether the site is simulated. Where the
    exhibit `compares` its rows, the best of each column is marked.
    """
    decimals = {key: decimals_by(frame, key) for key in ("metric", "row")}
    for heading, part in parts_of(frame):
        metrics = list(dict.fromkeys(part["metric"]))
        best = best_lines(part, decimals["metric"]) if compares else set()
        lines = [
            line_of(row, group, metrics, labels, decimals, best)
            for row, group in part.groupby("row", sort=False)
        ]
        yield Section(heading, ["", "Data", *map(metric_label, metrics)], lines, of_scores=True)


def line_of(
    row: str,
    group: pd.DataFrame,
    metrics: Sequence[str],
    labels: Mapping[str, str],
    decimals: Mapping[str, Mapping[str, int]],
    best: Container[Any],
) -> Line:
    """The line of a row, whose tidy lines are `group`; `best` holds the index of those that are the best of
    their column."""
    cells = {line.metric: line for line in group.itertuples()}
    data = SIMULATED if (group["data"] == TWIN).any() else group["data"].iloc[0]
    note = group["note"].iloc[0]
    shown = [Cell(row_label(row, labels) + unit_text(note)), Cell(data)]
    for metric in metrics:
        digits = decimals["row"][row] if note.startswith(UNIT) else decimals["metric"][metric]
        line = cells.get(metric)
        shown.append(Cell("") if line is None else cell_of(line, digits, line.Index in best))
    converged = not group["note"].str.contains(NOT_CONVERGED).any()
    return Line(shown, converged, ours=any(cell.text not in ("", NONE) for cell in shown[2:]))


def parts_of(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The lines of each protocol, parted where rows have no metric in common, with the heading of the first
    part."""
    for protocol, lines in frame.groupby("protocol", sort=False):
        parts: list[tuple[set[str], list[str]]] = []
        for row, metrics in lines.groupby("row", sort=False)["metric"].agg(set).items():
            joined = [part for part in parts if part[0] & metrics]
            parts = [part for part in parts if not part[0] & metrics]
            named = [name for _, names in joined for name in names]
            parts.append((metrics.union(*(known for known, _ in joined)), [*named, row]))
        order = list(dict.fromkeys(lines["row"]))
        parts.sort(key=lambda part: order.index(part[1][0]))
        for number, (_, names) in enumerate(parts):
            heading = f"Protocol: {protocol_label(protocol)}" if protocol and number == 0 else ""
            yield heading, lines[lines["row"].isin(names)]


def decimals_by(frame: pd.DataFrame, key: str) -> dict[str, int]:
    """Decimals of each metric (values of one column), or of each row where rows have units of their own."""
    return {
        name: digits_for(np.r_[group["value"], group["published"]])
        for name, group in frame.groupby(key, sort=False)
    }
