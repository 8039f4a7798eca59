"""How a table of scores is read: what its headings and cells stand for."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from headscarp.errors import HeadscarpError
from headscarp.scoring.audit.possible import Printed
from headscarp.vocabulary import nearest

# Headings in lower case without spaces, signs and units, by what they stand for.
HEADINGS = {
    "accuracy": "accuracy acc oa overallaccuracy pa pixelaccuracy pixelacc",
    "precision": "precision prec p ppv positivepredictivevalue useraccuracy usersaccuracy ua correctness",
    "recall": "recall rec r sensitivity tpr truepositiverate produceraccuracy producersaccuracy "
    "completeness dp detectionpercentage pod",
    "f1": "f1 f1score f1measure fscore fmeasure f dice dicescore dicecoefficient dsc",
    "iou": "iou jaccard jaccardindex jaccardscore intersectionoverunion landslideiou qp qualitypercentage "
    "quality csi",
    "miou": "miou meaniou meanintersectionoverunion meanjaccard",
    "kappa": "kappa k kc kappacoefficient cohenkappa cohenskappa",
    "specificity": "specificity tnr truenegativerate",
    "omission": "oe omission omissionerror fnr falsenegativerate",
    "commission": "ce commission commissionerror fdr falsediscoveryrate",
    "class_accuracy": "cpa classpixelaccuracy",
    "macro_precision": "macroprecision meanprecision mprecision averageprecisionofclasses",
    "macro_recall": "macrorecall meanrecall mrecall mpa meanpixelaccuracy meanaccuracy aa averageaccuracy "
    "balancedaccuracy avgrecall",
    "macro_f1": "macrof1 meanf1 mf1 mf1score macrof1score avgf1",
    "weighted_precision": "weightedprecision",
    "weighted_f1": "weightedf1 weightedf1score",
    "weighted_iou": "fwiou weightediou frequencyweightediou",
}
# What a table may hold besides; it says nothing of the confusion matrix.
PASSED_OVER = (
    "auc auroc rocauc prauc ap averageprecision map brier ece mcc loss params parameters parametersm "
    "flops gflops time testtime traintime epochs epoch fps size memory ram seed threshold"
)
KINDS = {heading: kind for kind, headings in HEADINGS.items() for heading in headings.split()}
# A number of a contradiction is questioned in this order: those that are worked out from others first.
DERIVED = (
    "kappa",
    "miou",
    "iou",
    "weighted_iou",
    "f1",
    "macro_f1",
    "weighted_f1",
    "accuracy",
    "specificity",
    "omission",
    "class_accuracy",
)
ERRORS = {"omission": "recall", "commission": "precision"}  # printed as 1 minus that
CLASS, MEANS, UNKNOWN = "landslide class", "macro average", "none"


class Reading(NamedTuple):
    """A way to read headings: what those that leave it open stand for, and whether they stay with the
    landslide class."""

    name: str
    metrics: dict[str, str]
    of_class: bool = False


MACRO = {
    "precision": "macro_precision",
    "recall": "macro_recall",
    "f1": "macro_f1",
    "iou": "miou",
    "class_accuracy": "macro_recall",
}
WEIGHTED = {
    "precision": "weighted_precision",
    "recall": "accuracy",
    "f1": "weighted_f1",
    "iou": "weighted_iou",
}
READINGS = (
    Reading(CLASS, {"class_accuracy": "precision"}, True),
    Reading(f"{CLASS}, CPA as recall", {"class_accuracy": "recall"}, True),
    Reading(MEANS, MACRO),
    Reading(f"{MEANS}, F1 of the averages", MACRO | {"f1": "macro_f1_of_means"}),
    Reading("weighted average", WEIGHTED | {"class_accuracy": "accuracy"}),
)
CLASS_ONLY = {"specificity", "omission", "commission"}


class Cell(NamedTuple):
    """A printed number as a fraction, half a unit of its last place, and as it stands in the table."""

    column: str
    kind: str
    value: float
    half: float
    text: str
    percent: bool

    def read_as(self, reading: Reading) -> Printed:
        """The metric under a reading, and its range before its last digits were rounded or cut off."""
        low, high = self.value - self.half * (1 + 1e-6), self.value + 2 * self.half
        if self.kind in ERRORS:
            return Printed(self.column, ERRORS[self.kind], 1 - high, 1 - low)
        return Printed(self.column, reading.metrics.get(self.kind, self.kind), low, high)

    def as_printed(self, value: float) -> str:
        """A fraction in the unit of the column, with two places more than it prints."""
        value = 1 - value if self.kind in ERRORS else value
        places = max(len(self.text.partition(".")[2].rstrip("% ")), 2 if self.percent else 4) + (
            0 if self.percent else 1
        )
        return f"{value * (100 if self.percent else 1):.{places}f}"


def cells_of(frame: pd.DataFrame) -> dict[str, list[Cell]]:
    """The printed numbers of each row, by its name."""
    if len(frame.columns) < 2 or not len(frame):
        raise HeadscarpError(
            "the table has no scores; it needs a heading, a first "
            "column of names and columns such as precision, recall, F1"
        )
    texts = {column: [cell_text(value) for value in frame[column]] for column in frame.columns}
    kinds = kinds_of(list(frame.columns[1:]))
    names = unique_names(texts[frame.columns[0]])
    rows: dict[str, list[Cell]] = {name: [] for name in names}
    for column, kind in kinds.items():
        numbers = [number_of(text, column, line) for line, text in enumerate(texts[column], start=2)]
        percent = (
            "%" in column
            or any("%" in text for text in texts[column])
            or any(abs(n) > 1 for n in numbers if n is not None)
        )
        for line, (name, text, number) in enumerate(zip(names, texts[column], numbers, strict=True), start=2):
            if number is None:
                continue
            scale = 100 if percent else 1
            if not (-scale if kind == "kappa" else 0) <= number <= scale:
                raise HeadscarpError(
                    f"line {line}, column '{column}': {text} is out of "
                    "range; scores are 0 to 1, or 0 to 100 in percent"
                )
            rows[name].append(Cell(column, kind, number / scale, half_unit(text) / scale, text, percent))
    return rows


def cell_text(value: Any) -> str:
    """What stands in a cell; nothing for a missing value."""
    return "" if pd.isna(value) else str(value).strip()


def unique_names(texts: Sequence[str]) -> list[str]:
    """Names of rows; empty and repeated ones get their number."""
    return [
        text if text and texts.count(text) == 1 else f"{text or 'row'} ({number})"
        for number, text in enumerate(texts, start=1)
    ]


def kinds_of(columns: Sequence[str]) -> dict[str, str]:
    """What each column of scores stands for; columns that are passed over are left out."""
    keys = {
        column: re.sub(r"[^a-z0-9]", "", re.sub(r"\(.*?\)", "", str(column).lower())) for column in columns
    }
    kinds: dict[str, str] = {}
    for column, key in keys.items():
        if key in PASSED_OVER.split():
            continue
        if key not in KINDS:
            raise HeadscarpError(
                f"column '{column}' is not known; "
                f"{nearest(key, [*KINDS, *PASSED_OVER.split()]) if key else 'give it a heading'}"
            )
        # PA is the producer's accuracy where the user's stands beside it, and the pixel accuracy elsewhere.
        kinds[column] = "recall" if key == "pa" and "ua" in keys.values() else KINDS[key]
    if not kinds:
        raise HeadscarpError(
            "no column is a score that can be audited; have some "
            "of accuracy, precision, recall, F1, IoU, mIoU, kappa"
        )
    return kinds


def number_of(text: str, column: str, line: int) -> float | None:
    """The number in a cell; None where there is none."""
    bare = text.removesuffix("%").strip()
    if bare.lower() in ("", "-", "–", "—", "nan", "n/a", "na"):
        return None
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", bare):
        raise HeadscarpError(
            f"line {line}, column '{column}': '{text}' is not a number "
            "such as 0.85 or 85.2; leave the cell empty or mend it"
        )
    return float(bare)


def half_unit(text: str) -> float:
    """Half a unit of the last printed place."""
    return 0.5 * 10.0 ** -len(text.removesuffix("%").strip().partition(".")[2])
