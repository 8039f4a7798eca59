"""The Markdown and HTML of a tidy table, as people read it."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from headscarp.exhibits.labels import metric_label, protocol_label, row_label, unit_text
from headscarp.exhibits.runs import NOT_CONVERGED
from headscarp.exhibits.sections import Section, write_pages
from headscarp.exhibits.spec import TWIN
from headscarp.exhibits.tidy import PRINTED_TEXT, SIMULATED, TEXT, UNIT, write_csv

NOTES_PARTED_BY = "; "
NOT_CONVERGED_MARK = " (not converged)"


def write_table(
    frame: pd.DataFrame,
    csv: str | Path,
    md: str | Path,
    html: str | Path,
    title: str,
    notes: Sequence[str],
    labels: Mapping[str, str],
) -> None:
    """Write a tidy table as CSV, and its pivot (rows x metrics, one block per protocol) as Markdown and HTML,
    each atomically.

    `labels` gives what people read for a row id; the CSV keeps ids.
    """
    write_csv(frame, csv)
    write_pages(md, html, title, sections_of(frame, labels), [*notes, *notes_of(frame, labels)])


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
    if not math.isfinite(line.value):
        return line.note.removeprefix(TEXT).split(PRINTED_TEXT)[0] if line.note.startswith(TEXT) else "–"
    text = number_text(line.value, digits)
    spread = f" ± {line.sd:,.{digits}f}" if math.isfinite(line.sd) else ""
    interval = (
        f" [{line.ci_low:,.{digits}f}, {line.ci_high:,.{digits}f}]" if math.isfinite(line.ci_low) else ""
    )
    if math.isfinite(line.fold_mean):
        return f"{text}{interval}; folds {number_text(line.fold_mean, digits)}{spread}"
    return text + spread + interval


def number_text(value: float, digits: int) -> str:
    """A number with `digits` decimals; with an exponent where these would show a 0 that it is not."""
    return f"{value:,.{digits}f}" if value == 0 or abs(value) >= 0.5 * 10**-digits else f"{value:.1e}"


def sections_of(frame: pd.DataFrame, labels: Mapping[str, str]) -> list[Section]:
    """The pivot of a tidy frame: a section for each protocol, in the frame's order, and further ones for rows
    of it that have no metric in common with those above.

    The first column of a line is the row's label, marked where its training stopped before its plateau; the
    second says whether the site is simulated.
    """
    in_columns, in_rows = (decimals_by(frame, key) for key in ("metric", "row"))
    sections = []
    for heading, part in parts_of(frame):
        metrics = list(dict.fromkeys(part["metric"]))
        lines = []
        for row, group in part.groupby("row", sort=False):
            cells = {line.metric: line for line in group.itertuples()}
            data = SIMULATED if (group["data"] == TWIN).any() else group["data"].iloc[0]
            note = group["note"].iloc[0]
            digits = {
                metric: in_rows[row] if note.startswith(UNIT) else in_columns[metric] for metric in metrics
            }
            mark = NOT_CONVERGED_MARK if group["note"].str.contains(NOT_CONVERGED).any() else ""
            lines.append(
                [(row_label(row, labels) + unit_text(note) + mark, ""), (data, "")]
                + [pair_of(cells.get(metric), digits[metric]) for metric in metrics]
            )
        sections.append(Section(heading, ["", "Data", *map(metric_label, metrics)], lines))
    return sections


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


def pair_of(line: Any, digits: int) -> tuple[str, str]:
    """Our value and the published one as text; the second is empty where the paper prints none."""
    if line is None:
        return "", ""
    printed = line.note.partition(PRINTED_TEXT)[2] if line.note.startswith(TEXT) else ""
    return cell_text(line, digits), number_text(line.published, digits) if math.isfinite(
        line.published
    ) else printed
