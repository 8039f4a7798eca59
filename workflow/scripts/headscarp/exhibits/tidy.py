"""The tidy form of every table, and the Markdown and HTML that people read."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from headscarp.errors import HeadscarpError
from headscarp.exhibits.spec import TWIN, ExhibitSpec
from headscarp.files import atomic_path
from headscarp.rendering import render

COLUMNS = [
    "row",
    "metric",
    "protocol",
    "value",
    "sd",
    "ci_low",
    "ci_high",
    "n_seeds",
    "published",
    "difference",
    "data",
    "note",
]
NUMBERS = ["value", "sd", "ci_low", "ci_high", "published", "difference"]
SIMULATED = "simulated site (twin)"
UNIT = "unit "  # how a note begins that states a row's unit: shown behind the row's name
TEXT = "text "  # how a note begins that stands for a value which is text: shown in its cell
PRINTED_TEXT = "; published "  # what parts our text from the paper's in such a note
VERSUS = "_vs_"  # in the id of a row that compares two rows
AS_PRINTED = " (as printed)"  # how the name of a metric ends that stands in a paper's own column

METRIC_LABELS = {
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "kappa": "Kappa",
    "iou": "IoU",
    "miou": "mIoU",
    "recomputed_miou": "Recomputed mIoU",
    "average_precision": "Average precision",
    "auc": "AUC",
    "mcc": "MCC",
    "brier": "Brier",
    "ece": "ECE",
    "rows": "Rows",
    "cols": "Columns",
    "resolution_m": "Resolution (m)",
    "landslides": "Landslides",
    "landslide_area_km2": "Landslide area (km²)",
    "study_area_km2": "Study area (km²)",
    "min": "Minimum",
    "max": "Maximum",
    "dp": "DP",
    "qp": "QP",
    "oe": "OE",
    "ce": "CE",
    "oa": "OA",
    "g_mean": "G-mean",
    "avg_recall": "Average recall",
    "avg_f1": "Average F1",
    "landslide_f1": "Landslide F1",
    "mean_f1": "Mean F1",
    "boundary_f1": "Boundary F1",
    "effective_resolution_m": "Effective resolution (m)",
    "training_patches": "Training patches",
    "object_recall": "Object recall",
    "object_precision": "Object precision",
    "object_f1": "Object F1",
    "parameters": "Parameters",
    "model_ram_mb": "Model (MiB)",
    "test_time_s": "Test time (s)",
    "macro_precision": "Macro precision",
    "macro_recall": "Macro recall",
    "macro_f1": "Macro F1",
    "truth_auc": "AUC (truth)",
    "truth_average_precision": "Average precision (truth)",
    "area_percent": "Share of area (%)",
    "landslide_percent": "Share of landslides (%)",
    "density_percent": "Landslide density (%)",
    "chi2": "χ² (corrected)",
    "polygons": "Polygons",
    "area_km2": "Area (km²)",
    "min_area_m2": "Smallest (m²)",
    "median_area_m2": "Median area (m²)",
    "mean_area_m2": "Mean area (m²)",
    "max_area_m2": "Largest (m²)",
    "slides": "True slides",
    "b": "b (only first right)",
    "c": "c (only second right)",
    "implied_iou": "Implied landslide IoU",
    "needed_background_iou": "Needed background IoU",
    "days_since_last": "Days since the date before",
    "pa": "PA (pixel accuracy)",
    "cpa": "CPA (landslide precision)",
    "landslide_share_percent": "Landslides (% of pixels)",
    "giga_multiply_adds_per_megapixel": "Multiply-adds (10⁹/megapixel)",
    "seconds_per_megapixel": "Time (s/megapixel)",
    "image_f1": "F1 per image",
    "image_miou": "mIoU per image",
    "image_auc": "AUC per image",
    "image_f1_with_empty": "F1 per image (empty = 1)",
    "p_bootstrap": "p (bootstrap)",
    "p_holm": "p (Holm)",
    "training_memory_mib": "Training memory (MiB)",
    "p_value": "p (corrected)",
    "p_exact": "p (exact)",
    "p_block": "p (blocks)",
    "sd_orders": "SD over orders",
    "sd_seeds": "SD over seeds",
    "implied_landslide_f1": "Implied landslide F1",
    "f_beta": "F-beta",
    "eq7_as_printed": "Eq. 7 as printed",
}
ROW_LABELS = {
    "gp": "Gaussian process",
    "random": "Random search",
    "eq7": "Eq. 7",
    "per_image_with_empty": "per image (empty = 1)",
} | {key: METRIC_LABELS[key] for key in ("f1", "auc", "average_precision")}


def metric_label(metric: str) -> str:
    """What people read for a metric."""
    if metric.endswith(AS_PRINTED):
        return metric_label(metric.removesuffix(AS_PRINTED)) + AS_PRINTED
    return METRIC_LABELS.get(metric, metric.replace("_", " ").capitalize())


def record(spec: ExhibitSpec, row: str, metric: str, value: float | None, **rest: Any) -> dict[str, Any]:
    """One line of a tidy table, with the published value and the difference beside our value (None or NaN:
    not scored).

    The published value is that of the row and metric, unless `published` is given.
    """
    line = (
        dict.fromkeys(COLUMNS, "") | dict.fromkeys(NUMBERS) | {"row": row, "metric": metric, "value": value}
    )
    line |= rest if "published" in rest else {"published": spec.published_value(row, metric)} | rest
    if line["published"] is not None and value is not None:
        line["difference"] = value - line["published"]
    return line


def text_record(
    spec: ExhibitSpec, row: str, metric: str, text: str, printed: str | None = None, **rest: Any
) -> dict[str, Any]:
    """One line of a tidy table whose value is text, with what the paper prints; both stand in the note."""
    note = TEXT + text + (f"{PRINTED_TEXT}{printed}" if printed else "")
    return record(spec, row, metric, None, published=None, note=note, **rest)


def frame_of(lines: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Tidy records as a frame with the columns of every table, numbers as floats and seeds as nullable
    integers."""
    frame = pd.DataFrame(list(lines), columns=COLUMNS)
    frame[NUMBERS] = frame[NUMBERS].astype(float)
    frame["n_seeds"] = pd.to_numeric(frame["n_seeds"].replace("", None)).astype("Int64")
    return frame


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


def write_csv(frame: pd.DataFrame, csv: str | Path) -> None:
    """Write a tidy frame as CSV, atomically; ten significant digits, empty where there is no value."""
    with atomic_path(csv) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.10g")


def read_csv(path: Path, numbers: Sequence[str]) -> pd.DataFrame:
    """A CSV file that a run or a search wrote; its columns `numbers` are numeric.

    Raises:
        HeadscarpError: it is missing, or damaged: no such table, or without one of these columns.
    """
    try:
        frame = pd.read_csv(path)
    except FileNotFoundError:
        raise HeadscarpError(f"{path} does not exist; run the rule that makes it") from None
    except ValueError as error:  # of pandas' parser, or of bytes that are no text
        raise HeadscarpError(
            f"{path} is damaged ({error}); delete it and run the rule that makes it again"
        ) from None
    for name in numbers:
        if name not in frame or (len(frame) and not pd.api.types.is_numeric_dtype(frame[name])):
            raise HeadscarpError(
                f"{path} is damaged (no numbers in a column {name}); delete it and run the rule that "
                f"makes it again"
            )
    return frame


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


def row_label(row: str, labels: Mapping[str, str]) -> str:
    """What people read for a row id such as `unet`, `zigui`, `zigui:distance_to_river` or
    `multi_vs_small`."""
    labels = ROW_LABELS | dict(labels)
    if row in labels:
        return labels[row]
    if VERSUS in row:
        return " vs ".join(row_label(part, labels) for part in row.split(VERSUS))
    head, *rest = row.split(":")
    if not rest:
        return row.replace("_", " ")
    return ": ".join([labels.get(head, head), *(labels.get(part, part.replace("_", " ")) for part in rest)])


def unit_text(note: str) -> str:
    """' (m)' of the note 'unit m'; nothing for other notes and pure numbers."""
    unit = note.removeprefix(UNIT)
    return f" ({unit})" if unit not in (note, "", "1", "-", "index") else ""


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


@dataclass(frozen=True)
class Section:
    """One table of a page: heading and sentences above it, heads, and lines of cells (ours, published), of
    which the second is empty where nothing is published."""

    heading: str
    heads: Sequence[str]
    lines: Sequence[Sequence[tuple[str, str]]]
    sentences: Sequence[str] = ()


def to_html(frame: pd.DataFrame, title: str, notes: Sequence[str], labels: Mapping[str, str]) -> str:
    """The pivot as one self-contained page; published values stand below ours, simulated sites are marked."""
    return html_page(title, [Section(*block) for block in blocks_of(frame, labels)], notes)


def html_page(title: str, sections: Sequence[Section], notes: Sequence[str], caption: str = "") -> str:
    """A self-contained page of tables, with notes below."""
    return render(
        "exhibits/templates/table.html",
        title=title,
        caption=caption,
        sections=sections,
        notes=notes,
        simulated=SIMULATED,
    )
