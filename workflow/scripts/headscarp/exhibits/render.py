"""The Markdown and HTML of a tidy table, as people read it."""

import html as html_module
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from headscarp.exhibits.labels import metric_label, row_label, unit_text
from headscarp.exhibits.spec import TWIN
from headscarp.exhibits.tidy import PRINTED_TEXT, SIMULATED, TEXT, UNIT, write_csv
from headscarp.files import atomic_path


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
    notes = [*notes, *notes_of(frame, labels)]
    for path, text in (
        (md, to_markdown(frame, title, notes, labels)),
        (html, to_html(frame, title, notes, labels)),
    ):
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def notes_of(frame: pd.DataFrame, labels: Mapping[str, str]) -> list[str]:
    """Each distinct note of a frame once, with the rows it belongs to where they are few."""
    noted = frame[(frame["note"] != "") & ~frame["note"].str.startswith((UNIT, TEXT))]
    lines = []
    for note, group in noted.groupby("note", sort=False):
        rows = list(dict.fromkeys(row_label(row, labels) for row in group["row"]))
        lines.append(
            f"{', '.join(rows)}: {note}" if len(rows) <= 3 and len(rows) < frame["row"].nunique() else note
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
    """'value ± sd [low, high]' of one tidy line; its text where it has one, else an en dash where there is no
    value."""
    if not math.isfinite(line.value):
        return line.note.removeprefix(TEXT).split(PRINTED_TEXT)[0] if line.note.startswith(TEXT) else "–"
    text = number_text(line.value, digits)
    if math.isfinite(line.sd):
        text += f" ± {line.sd:,.{digits}f}"
    if math.isfinite(line.ci_low):
        text += f" [{line.ci_low:,.{digits}f}, {line.ci_high:,.{digits}f}]"
    return text


def number_text(value: float, digits: int) -> str:
    """A number with `digits` decimals; with an exponent where these would show a 0 that it is not."""
    return f"{value:,.{digits}f}" if value == 0 or abs(value) >= 0.5 * 10**-digits else f"{value:.1e}"


def blocks_of(
    frame: pd.DataFrame, labels: Mapping[str, str]
) -> list[tuple[str, list[str], list[list[tuple[str, str]]]]]:
    """The pivot of a tidy frame: (heading, column heads, lines of (ours, published)) for each protocol, in
    the frame's order.

    The first column of a line is the row's label, the second says whether the site is simulated.
    """
    in_columns, in_rows = (decimals_by(frame, key) for key in ("metric", "row"))
    blocks = []
    for protocol, part in frame.groupby("protocol", sort=False):
        metrics = list(dict.fromkeys(part["metric"]))
        lines = []
        for row, group in part.groupby("row", sort=False):
            cells = {line.metric: line for line in group.itertuples()}
            data = SIMULATED if (group["data"] == TWIN).any() else group["data"].iloc[0]
            note = group["note"].iloc[0]
            digits = {
                metric: in_rows[row] if note.startswith(UNIT) else in_columns[metric] for metric in metrics
            }
            lines.append(
                [(row_label(row, labels) + unit_text(note), ""), (data, "")]
                + [pair_of(cells.get(metric), digits[metric]) for metric in metrics]
            )
        heading = f"Protocol: {protocol}" if protocol else ""
        blocks.append((heading, ["", "Data", *map(metric_label, metrics)], lines))
    return blocks


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


def to_markdown(frame: pd.DataFrame, title: str, notes: Sequence[str], labels: Mapping[str, str]) -> str:
    """The pivot as Markdown; published values stand in parentheses."""
    parts = [f"# {title}", ""]
    for heading, heads, lines in blocks_of(frame, labels):
        if heading:
            parts += [f"## {heading}", ""]
        parts += [markdown_line(heads), "|" + " --- |" * len(heads)]
        parts += [
            markdown_line([f"{ours} (published {printed})" if printed else ours for ours, printed in line])
            for line in lines
        ] + [""]
    parts += [f"- {note}" for note in notes]
    return "\n".join(parts).rstrip() + "\n"


def markdown_line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: 1em 0; font-variant-numeric: tabular-nums; }
th, td { padding: .35em .9em; border-bottom: 1px solid #ddd; text-align: right; vertical-align: top; }
th { border-bottom: 2px solid #555; } th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; }
.printed { display: block; color: #666; font-size: .85em; } .simulated { color: #8a4b00; font-size: .85em;
  white-space: nowrap; }
ul { color: #444; font-size: .9em; }
""".strip()


def to_html(frame: pd.DataFrame, title: str, notes: Sequence[str], labels: Mapping[str, str]) -> str:
    """The pivot as one self-contained page; published values stand below ours, simulated sites are marked."""
    escape = html_module.escape
    parts = [f"<h1>{escape(title)}</h1>"]
    for heading, heads, lines in blocks_of(frame, labels):
        if heading:
            parts.append(f"<h2>{escape(heading)}</h2>")
        parts.append(
            "<table>\n<thead><tr>"
            + "".join(f"<th>{escape(head)}</th>" for head in heads)
            + "</tr></thead>\n<tbody>"
        )
        parts += ["<tr>" + "".join(html_cell(*pair) for pair in line) + "</tr>" for line in lines]
        parts.append("</tbody>\n</table>")
    return html_page(title, parts, notes)


def html_page(title: str, parts: Sequence[str], notes: Sequence[str]) -> str:
    """A self-contained page of HTML `parts`, with notes below."""
    listed = (
        ["<ul>" + "".join(f"<li>{html_module.escape(note)}</li>" for note in notes) + "</ul>"]
        if notes
        else []
    )
    head = f'<meta charset="utf-8"><title>{html_module.escape(title)}</title><style>{STYLE}</style>'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n'
        + "\n".join([*parts, *listed])
        + "\n</body></html>\n"
    )


def html_cell(ours: str, printed: str) -> str:
    text = f'<span class="simulated">{SIMULATED}</span>' if ours == SIMULATED else html_module.escape(ours)
    return (
        f"<td>{text}"
        + (f'<span class="printed">published {html_module.escape(printed)}</span>' if printed else "")
        + "</td>"
    )
