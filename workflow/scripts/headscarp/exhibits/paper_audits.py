"""The audit of all papers: what their printed numbers say of each other, one finding a line, and how far our
own windows overlap.

Everything is worked out from the published values of the cards; nothing is trained.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from headscarp.exhibits.audit_tables import FACTORS, fractions
from headscarp.exhibits.kinds import AUDITED
from headscarp.exhibits.render import Section, html_page, markdown_line
from headscarp.exhibits.tidy import write_csv
from headscarp.files import atomic_path, read_json
from headscarp.scoring.audit import (
    COLUMNS as SCORES,
)
from headscarp.scoring.audit import (
    MACRO,
    MACRO_SWAPPED,
    Fit,
    all_background,
    audit_row,
    common_share,
    f_beta,
    gains,
    implied_background_iou,
    implied_iou,
    implied_kappa,
    implied_miou,
    implied_share,
    is_possible,
    macro_or_class,
    printed_f_score,
)
from headscarp.scoring.possible import Printed, ranges

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
ALL = "all rows"
TITLE = "What the published numbers themselves show"
ITEMS = {
    1: "Landslide share, kappa and gain of gao2021",
    2: "Headings and objective of zhang2024",
    3: "Extraction scores of xia2021",
    4: "F1 and mIoU of stfusion",
    5: "Overlap of training with validation and test windows, measured on our own samples",
    6: "Landslide share behind the abstract of xing2026",
}
CONSISTENT, INCONSISTENT, POSSIBLE, IMPOSSIBLE = "consistent", "inconsistent", "possible", "impossible"
MISLABELLED, MIXED, UNEQUAL, NOTED = "mislabelled", "other test set", "not like for like", "noted"
OVERLAPPING, SEPARATE = "overlapping", "separate"
AREA_TOLERANCE = 0.0005  # what the printed digits of both areas leave to their ratio
Tables = Mapping[str, Mapping[str, Mapping[str, float]]]


def paper_audits(record: Mapping[str, Any]) -> pd.DataFrame:
    """Findings with `COLUMNS`, by item; fractions, but points of percent where a quantity says so.

    Args:
        record: `published` ({card: {table: [{row, metric, value, unit}]}}) and `samples` ([{card, site,
        protocol, folder}]).
    """
    lines: list[dict[str, Any]] = []
    for card, tables in record["published"].items():
        lines += AUDITS[card](card, {table: fractions(values) for table, values in tables.items()})
    for sample in record["samples"]:
        lines += overlap_lines(sample)
    frame = pd.DataFrame(sorted(lines, key=lambda line: line["item"]), columns=COLUMNS)
    frame[NUMBERS] = frame[NUMBERS].astype(float)
    return frame


def line(
    item: int,
    card: str,
    table: str,
    row: str,
    quantity: str,
    value: float | None,
    verdict: str,
    text: str,
    **rest: Any,
) -> dict:
    """One finding; `rest` may hold low, high and expected."""
    known = {"item": item, "card": card, "table": table, "row": row, "quantity": quantity, "value": value}
    return dict.fromkeys(COLUMNS) | known | {"verdict": verdict, "explanation": text} | rest


# --- gao2021


def audit_gao2021(card: str, tables: Tables) -> Iterator[dict[str, Any]]:
    """Item 1: the share of landslides among the evaluated pixels, kappa and mIoU from three numbers, and what
    the gain is made of."""
    for table, site in (("table7", "zigui"), ("table8", "jiuzhaigou")):
        rows, areas = tables[table], tables["table1"][site]
        printed = areas["landslide_area_km2"] / areas["study_area_km2"]
        ranges_of_rows = [implied_share(*three(numbers)) for numbers in rows.values()]
        one = max(found.low for found in ranges_of_rows) <= min(found.high for found in ranges_of_rows)
        share = common_share(rows.values())
        near = abs(share.value - printed) <= AREA_TOLERANCE
        beside = "equal to" if near else f"{share.value / printed - 1:+.1%} off, but nearest to,"
        text = (
            f"one landslide share explains {'all' if one else 'not all'} {len(rows)} rows; it is "
            f"{beside} landslide over study area "
            f"({areas['landslide_area_km2']:g} / {areas['study_area_km2']:g} km2 = {printed:.4f}), so "
            f"the whole area was scored, training "
            "windows included"
        )
        same = {"low": share.low, "high": share.high, "expected": printed}
        yield line(
            1,
            card,
            table,
            ALL,
            "implied_landslide_share",
            share.value,
            CONSISTENT if one else INCONSISTENT,
            text,
            **same,
        )
        for (row, numbers), found in zip(rows.items(), ranges_of_rows, strict=True):
            text = (
                "landslide share that accuracy, precision and recall imply, with the range that "
                "rounding leaves"
            )
            verdict = CONSISTENT if one or found.low <= share.value <= found.high else INCONSISTENT
            same = {"low": found.low, "high": found.high, "expected": share.value}
            yield line(1, card, table, row, "implied_landslide_share", found.value, verdict, text, **same)
            for metric, implied in (("kappa", implied_kappa), ("miou", implied_miou)):
                found_metric = implied(*three(numbers))
                verdict = CONSISTENT if abs(found_metric.value - numbers[metric]) <= 1e-4 else INCONSISTENT
                text = f"{metric} from accuracy, precision and recall, beside the printed one"
                same = {"low": found_metric.low, "high": found_metric.high, "expected": numbers[metric]}
                yield line(
                    1, card, table, row, f"recomputed_{metric}", found_metric.value, verdict, text, **same
                )
        yield from gain_lines(card, table, {row: numbers["kappa"] for row, numbers in rows.items()})


def three(numbers: Mapping[str, float]) -> tuple[float, float, float]:
    return numbers["precision"], numbers["recall"], numbers["accuracy"]


def gain_lines(card: str, table: str, kappa: Mapping[str, float]) -> Iterator[dict[str, Any]]:
    """The claimed gain in kappa over each baseline, and that on the same inputs, in points of percent."""
    enriched = next(row for row in kappa if row.endswith(FACTORS))
    proposed = enriched.removesuffix(FACTORS)
    for gain in gains(kappa, proposed, enriched, [row for row in kappa if row not in (proposed, enriched)]):
        for name, verdict, text in (
            ("claimed", UNEQUAL, f"kappa of {enriched} minus this row's, which has fewer inputs"),
            ("like_for_like", NOTED, f"kappa of {proposed} minus this row's, on the same inputs"),
            ("inputs", NOTED, f"kappa of {enriched} minus that of {proposed}: what the factors add"),
        ):
            yield line(
                1, card, table, gain["baseline"], f"kappa_gain_{name}_points", 100 * gain[name], verdict, text
            )


# --- zhang2024

LEAST_ERROR = 0.0025
MACRO_OF_TABLE6 = {name: MACRO[name] for name in ("accuracy", "precision", "recall", "f1")}


def audit_zhang2024(card: str, tables: Tables) -> Iterator[dict[str, Any]]:
    """Item 2: what the headings stand for, the landslide F1 behind them, an all-background answer beside the
    search, and Eq. 7."""
    fits = {row: best_fits(numbers, MACRO_SWAPPED) for row, numbers in tables["table4"].items()}
    for row, found in fits.items():
        text = (
            "sum of absolute errors when 'accuracy' is macro precision, 'precision' pixel accuracy and "
            "the others means over both classes; "
            f"as headed it is {found['class'].error:.3f}"
        )
        fitting = found["macro"].error <= LEAST_ERROR
        verdict = MISLABELLED if fitting else INCONSISTENT
        yield line(
            2, card, "table4", row, "error_macro", found["macro"].error, verdict, text, expected=LEAST_ERROR
        )
        text = "F1 of the landslide class that these means imply, beside the printed mean"
        f1, beside = found["macro"].metric("f1"), tables["table4"][row]["f1"]
        yield line(2, card, "table4", row, "implied_landslide_f1", f1, MISLABELLED, text, expected=beside)
        text = "landslide share of the evaluated pixels" + (
            " (hardly determined: almost no landslide is found)" if f1 < 0.05 else ""
        )
        yield line(2, card, "table4", row, "implied_landslide_share", found["macro"].share, NOTED, text)
    sixth = {row: best_fits(numbers, MACRO_OF_TABLE6) for row, numbers in tables["table6"].items()}
    median = float(np.median([next(iter(found.values())).share for found in sixth.values()]))
    for row, found in sixth.items():
        reading, best = next(iter(found.items()))
        text = (
            f"landslide share of the test set when the row is of "
            f"{'the landslide class' if reading == 'class' else 'both classes (macro)'}"
        )
        other = best.share > 5 * median
        text += (
            f", {best.share / median:.0f} times that of most rows: not scored on one test set"
            if other
            else ", which fits better"
        )
        yield line(
            2,
            card,
            "table6",
            row,
            "implied_landslide_share",
            best.share,
            MIXED if other else NOTED,
            text,
            expected=median,
        )
    yield from objective_lines(card, tables, fits)


def best_fits(numbers: Mapping[str, float], columns: Mapping[str, str]) -> dict[str, Fit]:
    """Fits of a printed row under both readings, the better one first."""
    return macro_or_class({name: numbers[name] for name in SCORES if name in numbers}, columns)


def objective_lines(
    card: str, tables: Tables, fits: Mapping[str, Mapping[str, Fit]]
) -> Iterator[dict[str, Any]]:
    """What an all-background answer scores where the search maximises accuracy, and Eq. 7 beside the
    F-score."""
    first = next(iter(fits.values()))["macro"]
    best = max(numbers["accuracy"] for numbers in tables["table3"].values())
    text = (
        f"accuracy of a map without landslides at the share that Table 4 implies ({first.share:.4f}), "
        f"beside the best of the search"
    )
    background = all_background(first.share)["accuracy"]
    verdict = INCONSISTENT if background < best - 0.01 else NOTED
    yield line(2, card, "table3", "all_background", "accuracy", background, verdict, text, expected=best)
    precision, recall = first.metric("precision"), first.metric("recall")
    for alpha in (0.5, 1.0, 2.0):
        printed, proper = printed_f_score(precision, recall, alpha), f_beta(precision, recall, alpha)
        text = (
            f"Eq. 7 at precision {precision:.2f} and recall {recall:.2f}, beside the F-score that it "
            f"should be"
        )
        verdict = CONSISTENT if math.isclose(printed, proper) else INCONSISTENT
        yield line(2, card, "eq7", f"alpha_{alpha:g}", "f_score", printed, verdict, text, expected=proper)


# --- xia2021

ROUNDING_OF_TABLE4 = 0.005
EXPLAINED = {
    "oe": "1 - printed DP",
    "ce": "1 - landslide precision of Table 3: where they agree, the object-level score counts the "
    "same pixels",
    "qp": "TP / (TP + FP + FN) from printed DP and CE, beside the printed QP",
}


def audit_xia2021(card: str, tables: Tables) -> Iterator[dict[str, Any]]:
    """Item 3: commission is 1 - pixel precision, and quality does not follow from detection and
    commission."""
    worst = 0.0
    for row, numbers in tables["table4"].items():
        for found in audit_row(
            numbers | {"precision": tables["table3"][row]["landslide"]}, ROUNDING_OF_TABLE4
        ):
            verdict = CONSISTENT if found["verdict"] == "agrees" else INCONSISTENT
            same = {"low": found["low"], "high": found["high"], "expected": found["stated"]}
            yield line(
                3,
                card,
                "table4",
                row,
                found["check"],
                found["recomputed"],
                verdict,
                EXPLAINED[found["check"]],
                **same,
            )
            if found["check"] == "qp":
                worst = max(worst, abs(found["difference"]))
    yield line(
        3,
        card,
        "table4",
        ALL,
        "largest_difference_of_qp",
        worst,
        INCONSISTENT,
        "largest difference of printed and recomputed QP",
    )


# --- stfusion


def audit_stfusion(card: str, tables: Tables) -> Iterator[dict[str, Any]]:
    """Item 4: the background IoU that a printed F1 and mIoU need together."""
    for table in ("table2", "table3", "table4"):
        for row, numbers in tables[table].items():
            iou, background = (
                implied_iou(numbers["f1"]),
                implied_background_iou(numbers["f1"], numbers["miou"]),
            )
            verdict = (
                POSSIBLE if is_possible({name: numbers[name] for name in ("f1", "miou")}) else IMPOSSIBLE
            )
            text = f"landslide IoU F1 / (2 - F1) of F1 {numbers['f1']:g}"
            yield line(4, card, table, row, "implied_iou", iou.value, NOTED, text, low=iou.low, high=iou.high)
            text = f"background IoU that mIoU {numbers['miou']:g} then needs; " + (
                "no score pooled over pixels is above 1, means over images may be"
                if verdict == IMPOSSIBLE
                else "at most 1"
            )
            same = {"low": background.low, "high": background.high, "expected": 1.0}
            yield line(4, card, table, row, "needed_background_iou", background.value, verdict, text, **same)


# --- xing2026


def audit_xing2026(card: str, tables: Tables) -> Iterator[dict[str, Any]]:
    """Item 6: only PA and F1 of two regions are known; if F1 is of the landslide class they bound the
    landslide share."""
    for row, numbers in tables["abstract_cross_scene"].items():
        printed = [
            Printed(name, metric, numbers[name] - 5e-4, numbers[name] + 5e-4)
            for name, metric in (("pa", "accuracy"), ("f1", "f1"))
        ]
        low, high = ranges(printed, ("share",))["share"]
        text = (
            f"landslide share of the evaluated pixels if F1 {numbers['f1']:.3f} is of landslides and PA "
            f"{numbers['pa']:.3f} of all "
            "pixels; a whole region has far less: windows without landslides were left out or F1 is a "
            "mean over classes"
        )
        yield line(
            6,
            card,
            "abstract_cross_scene",
            row,
            "implied_landslide_share",
            (low + high) / 2,
            NOTED,
            text,
            low=low,
            high=high,
        )


AUDITS: dict[str, Callable[[str, Tables], Iterator[dict[str, Any]]]] = dict(
    zip(AUDITED, (audit_gao2021, audit_zhang2024, audit_xia2021, audit_stfusion, audit_xing2026), strict=True)
)

# --- our own windows


WHAT = {
    "validation_windows_overlapping_training": "share of validation windows that overlap a training window",
    "test_windows_overlapping_training": "share of test windows that overlap a training window",
    "test_pixels_in_training_windows": "share of test pixels that lie in a training window",
}


def overlap_lines(sample: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Item 5: shares of evaluated windows that overlap a training window, and of test pixels inside one; none
    where none is evaluated."""
    for name, share in read_json(Path(sample["folder"]) / "samples.json")["overlap"].items():
        if share is None:
            continue
        text = f"{WHAT.get(name, name.replace('_', ' '))} of {sample['site']}, {sample['protocol']} protocol"
        verdict = OVERLAPPING if share else SEPARATE
        yield line(
            5, sample["card"], "", f"{sample['site']}:{sample['protocol']}", name, share, verdict, text
        )


# --- what people read


def write_audits(frame: pd.DataFrame, csv: str | Path, md: str | Path, html: str | Path) -> None:
    """Write the findings as CSV, and by item as Markdown and HTML, each atomically."""
    write_csv(frame, csv)
    for path, text in ((md, to_markdown(frame)), (html, to_html(frame))):
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


def to_markdown(frame: pd.DataFrame) -> str:
    parts = [f"# {TITLE}", ""]
    for item, part in frame.groupby("item", sort=False):
        parts += [f"## {item}. {ITEMS[item]}", "", markdown_line(HEADS), "|" + " --- |" * len(HEADS)]
        parts += [*(markdown_line(cells_of(found)) for found in part.itertuples()), ""]
    return "\n".join(parts).rstrip() + "\n"


def to_html(frame: pd.DataFrame) -> str:
    sections = [
        Section(
            f"{item}. {ITEMS[item]}",
            HEADS,
            [[(cell, "") for cell in cells_of(found)] for found in part.itertuples()],
        )
        for item, part in frame.groupby("item", sort=False)
    ]
    return html_page(TITLE, sections, [])
