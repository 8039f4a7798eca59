"""Scores over seeds and folds, with 95 % intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from headscarp.exhibits.runs import Scored, groups_of, plateau_notes, scored_runs
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import record
from headscarp.scoring.bootstrap import intervals, pooled_metrics
from headscarp.scoring.metric_names import CONFUSION_METRICS, IMAGE_METRICS
from headscarp.scoring.pixel import to_python

BOOTSTRAP_SEED = 0
FOLDS = (
    "the seeds test folds of the ground in turn: the first number pools them, mean and standard deviation of "
    "the folds stand behind"
)


def aggregate(spec: ExhibitSpec, metrics: Sequence[str], scale: float = 1.0) -> list[dict[str, Any]]:
    """Tidy records of pixel metrics: mean and sd over seeds, folds of the ground pooled, and a 95 % interval
    of the chance of blocks and seeds.

    Values are `scale` times the fractions of scores.json. A metric that is undefined for a seed is left out
    of the mean, with a note. Those of `images.IMAGE_METRICS` say in a note what they average over.
    """
    lines = []
    for row, protocol, group in groups_of(spec, scored_runs(spec)):
        bounds, pooled = bootstrapped(group, metrics)
        lines += [aggregated(spec, row, metric, protocol, group, bounds, pooled, scale) for metric in metrics]
    return lines


def bootstrapped(
    group: Sequence[Scored], metrics: Sequence[str]
) -> tuple[dict[str, Any], dict[str, float | None]]:
    """Intervals of the metrics of a row's runs, and the metrics with the folds of the runs pooled."""
    cells = [one.cells() for one in group]
    bounds, pooled = intervals(cells, BOOTSTRAP_SEED), pooled_metrics(cells)
    if not set(IMAGE_METRICS).isdisjoint(metrics) and all("images" in one.scores for one in group):
        images = [one.images() for one in group]
        bounds |= intervals(images, BOOTSTRAP_SEED)
        pooled |= pooled_metrics(images)
    return bounds, to_python(pooled)


def aggregated(
    spec: ExhibitSpec,
    row: str,
    metric: str,
    protocol: str,
    group: Sequence[Scored],
    bounds: Mapping[str, Any],
    pooled: Mapping[str, float | None],
    scale: float,
) -> dict[str, Any]:
    """The tidy record of a metric of a row's runs, with what `bootstrapped` gives of them."""
    exact = [one.scores["metrics"].get(metric) for one in group]
    value = over_folds(exact, pooled.get(metric), [one.fold for one in group], scale)
    notes = [image_note(group[0].scores, protocol)] if metric in IMAGE_METRICS else []
    notes += [FOLDS] if "fold_mean" in value else []
    notes += [*undefined_notes(value["n_seeds"], len(group), protocol), *plateau_notes(group)]
    notes += crowd_notes(group) if metric in CONFUSION_METRICS else []
    if value["value"] is not None and bounds.get(metric):
        value["ci_low"], value["ci_high"] = (scale * bound for bound in bounds[metric])
    same = {"protocol": protocol, "data": spec.only_site().data, "note": "; ".join(notes)}
    return record(spec, row, metric, **same, **value)


def undefined_notes(defined: int, seeds: int, protocol: str) -> list[str]:
    """A note where a score is undefined for some seeds."""
    return [f"undefined for {seeds - defined} of {seeds} seeds under {protocol}"] if defined < seeds else []


def crowd_notes(group: Sequence[Scored]) -> list[str]:
    """A note where scores at a threshold hang on the last digits of the probabilities of some seeds."""
    crowded = sum(one.scores["crowded"] for one in group)
    return (
        [
            f"probabilities of {crowded} of {len(group)} seeds crowd at the threshold: one 0.02 more or less "
            "moves F1 by more than 0.1, so read the average precision"
        ]
        if crowded
        else []
    )


def image_note(scores: Mapping[str, Any], protocol: str) -> str:
    """What the scores per image of a run average over; the same for all runs on the same samples."""
    images = scores.get("images")
    if images is None:
        return f"no score per image under {protocol}: its samples have no test windows with landslides"
    return (
        f"per image under {protocol}: mean over {images['windows']} test windows, "
        f"{images['without_landslide']} of them without landslide; "
        "a class that is neither in a window nor mapped there does not count, and a window of one "
        "class has no AUC"
    )


def mean_of(values: Sequence[float | None], scale: float = 1.0) -> dict[str, Any]:
    """Mean and (n - 1) standard deviation of the defined values, times `scale`; None where there are too
    few."""
    defined = np.array([value for value in values if value is not None], float) * scale
    return {
        "value": float(defined.mean()) if defined.size else None,
        "sd": float(defined.std(ddof=1)) if defined.size > 1 else None,
        "n_seeds": int(defined.size),
    }


def over_folds(
    values: Sequence[float | None], pooled: float | None, folds: Sequence[int], scale: float = 1.0
) -> dict[str, Any]:
    """`mean_of` the values of runs; where their seeds test different folds of the ground the value is the
    pooled one, which may be undefined, and `fold_mean` the mean of the folds."""
    found = mean_of(values, scale)
    if len(set(folds)) == 1:
        return found
    return found | {"value": None if pooled is None else pooled * scale, "fold_mean": found["value"]}
