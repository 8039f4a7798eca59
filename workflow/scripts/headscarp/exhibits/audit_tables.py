"""Tables of what published numbers show, and of how far our own training and evaluation windows overlap."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd

from headscarp.errors import HeadscarpError
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import frame_of, record, text_record
from headscarp.files import read_json
from headscarp.scoring.audit import (
    COLUMNS,
    Fit,
    all_background,
    f_beta,
    gains,
    implied_kappa,
    implied_miou,
    implied_share,
    macro_or_class,
    printed_f_score,
)
from headscarp.scoring.pixel import to_python

FACTORS = "+factors"  # how the name of an experiment with influencing factors ends
PRINTED = "published"
IMPLIED = (
    "worked out from printed accuracy, precision and recall; the printed share is landslide area "
    "over study area"
)


def audit(spec: ExhibitSpec) -> pd.DataFrame:
    """What the printed scores imply, and how far training and validation windows overlap.

    Rows such as `table7:unet`, which hold printed numbers only and say `data = published`: landslide share
    implied by accuracy, precision and recall, kappa and mIoU recomputed from the same three numbers, and what
    the claimed gain in kappa is made of. Row `zigui`: validation windows that overlap training windows. Needs
    published records with the key `table`. Options: `tables` ({table of published scores: site}).
    """
    lines = []
    for table, name in spec.options["tables"].items():
        printed = printed_rows(spec, table)
        for row, numbers in printed.items():
            lines += implied_records(spec, f"{table}:{row}", numbers, area_share(spec, name))
        lines += gain_records(spec, table, {row: numbers["kappa"] for row, numbers in printed.items()})
    return frame_of([*lines, *overlap_records(spec)])


def printed_rows(spec: ExhibitSpec, table: str) -> dict[str, dict[str, float]]:
    """{row: {metric: fraction}} of the numbers of one published table, in percent or fractions."""
    rows = fractions(one for one in spec.published if one.get("table") == table)
    if not rows:
        raise HeadscarpError(
            f"exhibit '{spec.name}' has no published values of table '{table}'; name a table of the "
            f"card's published values"
        )
    return rows


def fractions(records: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """{row: {metric: fraction}} of published records; text is left out."""
    rows: dict[str, dict[str, float]] = {}
    for one in records:
        with suppress(ValueError):
            rows.setdefault(one["row"], {})[one["metric"]] = float(one["value"]) / (
                100 if one["unit"] == "percent" else 1
            )
    return rows


def area_share(spec: ExhibitSpec, name: str) -> float | None:
    """Landslide area over study area of a site as printed, if both are."""
    slides, whole = (
        spec.published_value(name, metric) for metric in ("landslide_area_km2", "study_area_km2")
    )
    return slides / whole if slides and whole else None


def implied_records(
    spec: ExhibitSpec, row: str, printed: dict[str, float], share: float | None
) -> Iterator[dict[str, Any]]:
    """Tidy records of one printed row; kappa and mIoU in percent, the share as a fraction."""
    numbers = printed["precision"], printed["recall"], printed["accuracy"]
    yield record(
        spec,
        row,
        "implied_landslide_share",
        implied_share(*numbers).value,
        published=share,
        data=PRINTED,
        note=IMPLIED,
    )
    for metric, implied in (("kappa", implied_kappa), ("miou", implied_miou)):
        value = 100 * implied(*numbers).value
        yield record(
            spec,
            row,
            f"recomputed_{metric}",
            value,
            published=100 * printed[metric],
            data=PRINTED,
            note=IMPLIED,
        )


def gain_records(spec: ExhibitSpec, table: str, kappa: dict[str, float]) -> Iterator[dict[str, Any]]:
    """Points of printed kappa over each baseline: as claimed (with factors against without), like for like,
    and by the factors alone."""
    for enriched in kappa:
        proposed = enriched.removesuffix(FACTORS)
        if proposed == enriched or proposed not in kappa:
            continue
        baselines = [row for row in kappa if row != proposed and not row.endswith(FACTORS)]
        found = gains(kappa, proposed, enriched, baselines)
        for gain in found:
            row = f"{table}:{gain['baseline']}"
            yield record(
                spec,
                row,
                "kappa_gain_claimed",
                100 * gain["claimed"],
                data=PRINTED,
                note=f"claimed gain: printed kappa of {enriched} minus this row's",
            )
            note = f"like for like: printed kappa of {proposed}, on the same inputs, minus this row's"
            yield record(
                spec, row, "kappa_gain_like_for_like", 100 * gain["like_for_like"], data=PRINTED, note=note
            )
        note = f"printed kappa of {enriched} minus that of {proposed}"
        yield record(
            spec,
            f"{table}:{enriched}",
            "kappa_gain_by_factors",
            100 * found[0]["inputs"],
            data=PRINTED,
            note=note,
        )


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


# --- zhang2024

READING_NAMES = {"class": "landslide class", "macro": "mean of both classes"}
COLLAPSED = 0.05  # landslide F1 below which a map says next to nothing of the landslides
LOOSE = (
    "almost no landslide is found, so missed landslides and false alarms can change places: the share "
    "is hardly determined"
)
OBJECTIVE = "accuracy"  # what the search of Table 3 maximises
ALPHAS = (0.5, 1.0, 2.0)


def model_audit(spec: ExhibitSpec) -> pd.DataFrame:
    """Whether printed columns are of the landslide class or means over both classes, and what follows
    (zhang2024, Tables 3, 4 and 6).

    Rows such as `table4:focal_50` say `data = published`: sum of absolute errors of the nearest confusion
    matrix when the columns are of the landslide class as named (`error_class`) and when they are the means
    that the options name (`error_macro`), the `reading` that fits better, and under it the landslide share of
    the evaluated pixels and precision, recall and F1 of the landslide class; the printed F1 stands beside.
    Row `all_background`: what a map without landslides scores. Rows `eq7:alpha_2`: Eq. 7 as printed and the
    F-score that it should be. Rows of sites: overlap of our own windows. Needs published records with the key
    `table`. Options: `tables` ({table: {columns: {printed column: metric}}}), `background_accuracy` (pixel
    accuracy of an all-background answer as the paper's data imply it), `search` (table of trials, default
    table3).
    """
    lines: list[dict[str, Any]] = []
    fits: list[Fit] = []
    for table, reading in spec.options["tables"].items():
        for row, numbers in printed_rows(spec, table).items():
            found = macro_or_class(
                {name: numbers[name] for name in COLUMNS if name in numbers}, reading["columns"]
            )
            fits.append(next(iter(found.values())))
            lines += reading_records(spec, f"{table}:{row}", numbers, found)
    lines += background_records(spec, 1 - spec.options["background_accuracy"])
    lines += formula_records(spec, fits[0])
    return frame_of([*lines, *overlap_records(spec)])


def reading_records(
    spec: ExhibitSpec, row: str, printed: Mapping[str, float], fits: Mapping[str, Fit]
) -> Iterator[dict[str, Any]]:
    """Tidy records of one printed row under both readings, the better one first in `fits`."""
    reading, best = next(iter(fits.items()))
    for name in ("class", "macro"):
        yield record(spec, row, f"error_{name}", fits[name].error, data=PRINTED)
    yield text_record(spec, row, "reading", READING_NAMES[reading], data=PRINTED)
    note = LOOSE if best.metric("f1") < COLLAPSED else ""
    yield record(spec, row, "implied_landslide_share", best.share, data=PRINTED, note=note)
    for metric in ("precision", "recall", "f1"):
        beside = printed[metric] if metric == "f1" else None
        value = to_python({metric: np.float64(best.metric(metric))})[metric]
        yield record(spec, row, f"implied_landslide_{metric}", value, published=beside, data=PRINTED)


def background_records(spec: ExhibitSpec, share: float) -> Iterator[dict[str, Any]]:
    """Tidy records of a map without landslides; beside its accuracy the best that the search printed."""
    trials = printed_rows(spec, spec.options.get("search", "table3"))
    best = max(numbers[OBJECTIVE] for numbers in trials.values())
    metrics = to_python({name: np.float64(value) for name, value in all_background(share).items()})
    note = (
        f"a map without landslides where {share:.1%} are landslides; beside its accuracy the best of "
        f"{len(trials)} printed trials"
    )
    for metric in ("accuracy", "macro_precision", "macro_recall", "macro_f1", "miou"):
        beside = best if metric == OBJECTIVE else None
        yield record(
            spec, "all_background", metric, metrics[metric], published=beside, data=PRINTED, note=note
        )


def formula_records(spec: ExhibitSpec, fit: Fit) -> Iterator[dict[str, Any]]:
    """Tidy records of Eq. 7 as printed beside the F-score, at the landslide precision and recall of one
    row."""
    precision, recall = fit.metric("precision"), fit.metric("recall")
    note = (
        f"Eq. 7 at precision {precision:.2f} and recall {recall:.2f}: as printed it is an F-score at "
        f"alpha = 1 only"
    )
    for alpha in ALPHAS:
        for metric, formula in (("eq7_as_printed", printed_f_score), ("f_beta", f_beta)):
            yield record(
                spec,
                f"eq7:alpha_{alpha:g}",
                metric,
                formula(precision, recall, alpha),
                data=PRINTED,
                note=note,
            )
