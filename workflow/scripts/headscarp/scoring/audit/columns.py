"""Checks of what the columns of a table are: of the landslide class, or means over both classes and under
which heading; and of what follows from the confusion matrix behind them.

`columns` ({heading: metric}) names the means that the headings are suspected to stand for.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from headscarp.scoring.audit.findings import (
    CONSISTENT,
    INCONSISTENT,
    MISLABELLED,
    NOTED,
    OTHER_TEST_SET,
    Finding,
    Recomputed,
)
from headscarp.scoring.audit.implied import all_background as background_metrics
from headscarp.scoring.audit.implied import f_beta, printed_f_score
from headscarp.scoring.audit.possible import Printed, is_possible
from headscarp.scoring.audit.published import Published, rows_of, title_of
from headscarp.scoring.audit.readings import COLUMNS, MACRO, Fit, macro_or_class
from headscarp.scoring.pixel import to_python

READING_NAMES = {"class": "landslide class", "macro": "mean of both classes"}
WORDS = {"accuracy": "pixel accuracy"}
HALF_UNIT = 0.0005  # of the last of three places
LEAST_ERROR = 0.0025  # of five such numbers
COLLAPSED = 0.05  # landslide F1 below which a map says next to nothing of the landslides
LOOSE = (
    "almost no landslide is found, so missed landslides and false "
    "alarms can change places: the share is hardly determined"
)
OTHER = 5  # times the landslide share of most rows is another test set
NEAR = 0.01  # a best accuracy that exceeds that of a map without landslides by less is no skill
ALPHAS = (0.5, 1.0, 2.0)


def headings(published: Published, table: str, columns: Mapping[str, str]) -> Iterator[Finding | Recomputed]:
    """Whether the headings stand for the means of `columns`, and the landslide class behind these."""
    reading = reading_text(columns)
    for row, numbers in rows_of(published, table).items():
        fits = best_fits(numbers, columns)
        yield from recomputed(table, row, numbers, fits)
        named, macro = fits["class"].error, fits["macro"]
        text = f"sum of absolute errors when {reading}; as headed it is {named:.3f}"
        verdict = verdict_of(numbers, columns, fits)
        yield Finding(table, row, "error_macro", macro.error, verdict, text, expected=LEAST_ERROR)
        f1 = macro.metric("f1")
        text = "F1 of the landslide class that these means imply, beside the printed mean"
        verdict = MISLABELLED if verdict == MISLABELLED else NOTED
        yield Finding(table, row, "implied_landslide_f1", f1, verdict, text, expected=numbers["f1"])
        text = "landslide share of the evaluated pixels" + (
            " (hardly determined: almost no landslide is found)" if f1 < COLLAPSED else ""
        )
        yield Finding(table, row, "implied_landslide_share", macro.share, NOTED, text)


def verdict_of(numbers: Mapping[str, float], columns: Mapping[str, str], fits: Mapping[str, Fit]) -> str:
    """Whether a row is as headed, of the means of `columns`, or neither."""
    if fits["class"].error <= LEAST_ERROR:
        return CONSISTENT
    if fits["macro"].error <= LEAST_ERROR:
        return MISLABELLED
    # The nearest matrix may be missed; that there is none is proved.
    printed = [
        Printed(heading, metric, numbers[heading] - HALF_UNIT, numbers[heading] + HALF_UNIT)
        for heading, metric in columns.items()
    ]
    return NOTED if is_possible(printed, most_share=0.5) else INCONSISTENT


def reading_text(columns: Mapping[str, str]) -> str:
    """What headings stand for, in words."""
    moved = ", ".join(
        f"'{heading}' {WORDS.get(metric, metric.replace('_', ' '))}"
        for heading, metric in columns.items()
        if metric != MACRO[heading]
    )
    if not moved:
        return "all columns are means over both classes"
    return f"{moved.replace(' ', ' is ', 1)} and the others means over both classes"


def one_test_set(
    published: Published, table: str, columns: Mapping[str, str]
) -> Iterator[Finding | Recomputed]:
    """Whether all rows, each of the landslide class or the means of `columns`, can be of one test set."""
    rows = rows_of(published, table)
    fits = {row: best_fits(numbers, columns) for row, numbers in rows.items()}
    median = float(np.median([best_of(found)[1].share for found in fits.values()]))
    for row, found in fits.items():
        yield from recomputed(table, row, rows[row], found)
        reading, best = best_of(found)
        kind = "the landslide class" if reading == "class" else "both classes (macro)"
        text = f"landslide share of the test set when the row is of {kind}"
        if best.share > OTHER * median:
            text += f", {best.share / median:.0f} times that of most rows: not scored on one test set"
            verdict = OTHER_TEST_SET
        else:
            text += ", which fits better"
            verdict = NOTED
        share = "implied_landslide_share"
        yield Finding(table, row, share, best.share, verdict, text, expected=median)


def best_fits(numbers: Mapping[str, float], columns: Mapping[str, str]) -> dict[str, Fit]:
    """Fits of a printed row under both readings, the better one first."""
    return macro_or_class({name: numbers[name] for name in COLUMNS if name in numbers}, columns)


def best_of(fits: Mapping[str, Fit]) -> tuple[str, Fit]:
    """The better reading and its fit."""
    return next(iter(fits.items()))


def recomputed(
    table: str, row: str, printed: Mapping[str, float], fits: Mapping[str, Fit]
) -> Iterator[Recomputed]:
    """What a printed row is under both readings, and the landslide class under the better one."""
    name, (reading, best) = f"{table}:{row}", best_of(fits)
    for one in ("class", "macro"):
        yield Recomputed(name, f"error_{one}", fits[one].error)
    yield Recomputed(name, "reading", text=READING_NAMES[reading])
    note = LOOSE if best.metric("f1") < COLLAPSED else ""
    yield Recomputed(name, "implied_landslide_share", best.share, note=note)
    for metric in ("precision", "recall", "f1"):
        beside = printed[metric] if metric == "f1" else None
        value = to_python({metric: np.float64(best.metric(metric))})[metric]
        yield Recomputed(name, f"implied_landslide_{metric}", value, beside)


def fit_of_row(published: Published, source: Mapping[str, Any]) -> Fit:
    """The confusion matrix behind a row (`source`: {table, row, columns}) that prints means over classes."""
    return best_fits(rows_of(published, source["table"])[source["row"]], source["columns"])["macro"]


def all_background(
    published: Published, table: str, background_accuracy: float, source: Mapping[str, Any]
) -> Iterator[Finding | Recomputed]:
    """What a map without landslides scores, beside the best accuracy of the trials in a table.

    `background_accuracy` is that of such a map as the paper's data imply it; the finding takes the landslide
    share behind the row `source` ({table, row, columns}) instead.
    """
    trials = rows_of(published, table)
    best = max(numbers["accuracy"] for numbers in trials.values())
    share = 1 - background_accuracy
    metrics = to_python({name: np.float64(value) for name, value in background_metrics(share).items()})
    note = (
        f"a map without landslides where {share:.1%} are landslides; "
        f"beside its accuracy the best of {len(trials)} printed trials"
    )
    for metric in ("accuracy", "macro_precision", "macro_recall", "macro_f1", "miou"):
        beside = best if metric == "accuracy" else None
        yield Recomputed("all_background", metric, metrics[metric], beside, note=note)
    share = fit_of_row(published, source).share
    text = (
        "accuracy of a map without landslides at the share that "
        f"{title_of(source['table'])} implies ({share:.4f}), beside the best of the search"
    )
    accuracy = background_metrics(share)["accuracy"]
    verdict = INCONSISTENT if accuracy < best - NEAR else NOTED
    yield Finding(table, "all_background", "accuracy", accuracy, verdict, text, expected=best)


def f_score(published: Published, equation: int, source: Mapping[str, Any]) -> Iterator[Finding | Recomputed]:
    """The F-score of an equation whose denominator weights the sum of precision and recall, beside the proper
    one, at the landslide precision and recall behind the row `source` ({table, row, columns})."""
    fit = fit_of_row(published, source)
    precision, recall = fit.metric("precision"), fit.metric("recall")
    at = f"Eq. {equation} at precision {precision:.2f} and recall {recall:.2f}"
    for alpha in ALPHAS:
        printed, proper = printed_f_score(precision, recall, alpha), f_beta(precision, recall, alpha)
        table, row = f"eq{equation}", f"alpha_{alpha:g}"
        note = f"{at}: as printed it is an F-score at alpha = 1 only"
        yield Recomputed(f"{table}:{row}", f"{table}_as_printed", printed, note=note)
        yield Recomputed(f"{table}:{row}", "f_beta", proper, note=note)
        verdict = CONSISTENT if math.isclose(printed, proper) else INCONSISTENT
        text = f"{at}, beside the F-score that it should be"
        yield Finding(table, row, "f_score", printed, verdict, text, expected=proper)
