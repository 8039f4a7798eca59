"""The score of a run's map of one place: scores.json and counts.npz."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headscarp.arrays import write_arrays
from headscarp.codes import LANDSLIDE, TEST, UNMAPPED, VALIDATION
from headscarp.errors import HeadscarpError
from headscarp.files import read_json, write_json
from headscarp.samples.windows import Window
from headscarp.scoring.bootstrap import intervals
from headscarp.scoring.boundary import boundary_scores
from headscarp.scoring.classes import absence_notes, cell_confusions, classes_record, landslide_outcomes
from headscarp.scoring.extraction import extraction_metrics, object_extraction
from headscarp.scoring.histograms import CellHistograms
from headscarp.scoring.images import image_scores, images_record
from headscarp.scoring.metric_names import METRICS
from headscarp.scoring.objects import (
    object_scores,
    predicted_objects,
    quarter_edges,
    reference_slides,
    size_recall,
)
from headscarp.scoring.pixel import best_threshold, crowds_at, pixel_metrics, to_python

PUBLISHED_THRESHOLD = 0.5
OBJECT_OVERLAP = 0.5
OBJECT_MINIMUM_PIXELS = 4


def score_run(
    probability: np.ndarray,
    label: np.ndarray,
    instances: np.ndarray,
    regions: np.ndarray,
    blocks: np.ndarray,
    pixel_area: float,
    protocol: str,
    data: str,
    seed: int,
    threshold: float | None = None,
    windows: Sequence[Window] = (),
    fold: int = 0,
    converged: bool = True,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Score a probability map (row, col) 0..1 on the evaluated region of its samples.

    `published` maps landslides at 0.5; `blocked` at the threshold of highest F1 on the validation region.
    Both score region 3, which is the whole mapped area, or that of the test windows, under `published`.
    `best_threshold` of the scores is for maps of other places: that of highest F1 on the pixels that tune a
    protocol's networks, which are the evaluated ones under `published`.

    Args:
        label: 1 landslide, 255 never scored, all else (254 too) not. instances: 0 or the number of the slide.
        regions, blocks: of the samples.
        pixel_area: m2 of a pixel. data: twin or real. seed: of the bootstrap.
        threshold: taken instead of the protocol's own, of a run that was tuned on another site.
        windows: of the samples; those of the test are scored one by one as well.
        fold: which of the folds that rotate with the seed the samples test.
        converged: whether training reached its plateau.

    Returns:
        scores: the record of scores.json; metrics are fractions, None where undefined. With test windows
            `metrics` and `intervals` hold those of `images.IMAGE_METRICS`, and `images` counts windows.
        counts: what `histograms.CellHistograms` keeps of the evaluated region by cell of the bootstrap, and
            `images.ImageScores` of the test windows.

    Raises:
        HeadscarpError: shapes differ, nothing to score, or pixels to be scored have no probability.
    """
    started = time.perf_counter()
    require_same_shape(
        probability=probability, label=label, instances=instances, regions=regions, blocks=blocks
    )
    scored = (regions == TEST) & (label != UNMAPPED)
    if not scored.any():
        raise HeadscarpError(
            "regions.npy holds no evaluated pixel (3) where label.npy is mapped; make the samples again"
        )
    values, truth = probability_in(probability, scored, "evaluated"), label[scored] == LANDSLIDE
    tuned, notes = protocol == "blocked" or threshold is not None, []
    if not tuned:
        threshold = PUBLISHED_THRESHOLD
    elif threshold is None:
        tuning = (regions == VALIDATION) & (label != UNMAPPED)
        validation = probability_in(probability, tuning, "validation"), label[tuning] == LANDSLIDE
        threshold, notes = tuned_threshold(*validation, "validation region has")
    scores, counts = score_pixels(values, truth, blocks[scored], threshold, protocol, data, seed, fold)
    if truth.any():
        objects, sizes = score_objects(probability >= threshold, label, instances, scored, pixel_area)
        images = image_scores(probability, label, scored, windows, threshold)
        if images is not None:
            metrics, bounds, scores["images"] = images_record(images, seed)
            scores["metrics"] |= metrics
            scores["intervals"] |= bounds
            counts |= images.arrays()
    else:
        notes.append("the evaluated region has no landslide: nothing to score")
        objects, sizes = None, []
    best = threshold if tuned else tuned_threshold(values, truth, "evaluated region has")[0]
    seconds = round(time.perf_counter() - started, 3)
    return scores | {"best_threshold": best, "converged": converged} | {
        "objects": objects,
        "size_recall": sizes,
        "notes": notes,
        "seconds": seconds,
    }, counts


def score_classes(
    classes: np.ndarray, label: np.ndarray, instances: np.ndarray, regions: np.ndarray, blocks: np.ndarray
) -> tuple[dict[str, Any], np.ndarray, list[str]]:
    """Score a map of classes (row, col), 255 = no data, on the pixels that `score_run` evaluates; arguments
    as there.

    Returns:
        scores: `classes`, `extraction` and `boundary` of scores.json (xia2021, Tables 3 and 4, Fig. 15).
        confusions: (cells, classes, classes) int32, or with one more row (`classes.cell_confusions`).
        notes: on classes that the truth lacks.

    Raises:
        HeadscarpError: shapes differ, pixels to be scored have no class, or a code has no class.
    """
    require_same_shape(classes=classes, label=label, instances=instances, regions=regions, blocks=blocks)
    known = label != UNMAPPED
    scored = (regions == TEST) & known
    confusions = cell_confusions(label[scored], classes[scored], blocks[scored])
    confusion = confusions.sum(axis=0)
    mapped = classes == LANDSLIDE
    objects, _ = score_objects(mapped, label, instances, scored, pixel_area=1.0)
    scores = {
        "classes": classes_record(confusion),
        "extraction": {
            "pixel": to_python(extraction_metrics(*landslide_outcomes(confusion))),
            "object": object_extraction(objects),
        },
        "boundary": boundary_scores(mapped, label == LANDSLIDE, known, scored),
    }
    return scores, confusions, absence_notes(confusion)


def tuned_threshold(probability: np.ndarray, truth: np.ndarray, subject: str) -> tuple[float, list[str]]:
    """The threshold of highest F1 on flat validation arrays; the published one, with a note, where they hold
    no landslide."""
    threshold = best_threshold(probability, truth)
    if threshold is None:
        return PUBLISHED_THRESHOLD, [f"the {subject} no landslide: threshold {PUBLISHED_THRESHOLD}"]
    return threshold, []


def score_pixels(
    probability: np.ndarray,
    truth: np.ndarray,
    cell: np.ndarray,
    threshold: float,
    protocol: str,
    data: str,
    seed: int,
    fold: int,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What every scores.json and counts.npz hold, from flat arrays of the scored pixels; all metrics are None
    without landslides.

    Args:
        probability: 0..1. truth: boolean. cell: id of the bootstrap cell of each pixel. seed: of the
            bootstrap. fold: of those that rotate with the seed.
    """
    cells = CellHistograms.of(probability, truth, cell, threshold, fold)
    metrics = bounds = dict.fromkeys(METRICS)
    if truth.any():
        metrics, bounds = (
            pixel_metrics(probability, truth, threshold),
            intervals([cells], seed),
        )
    scores = {
        "threshold": threshold,
        "crowded": crowds_at(threshold, probability, truth),
        "protocol": protocol,
        "data": data,
        "fold": fold,
        "n_pixels": int(truth.size),
        "landslide_share": float(truth.mean()),
        "metrics": metrics,
        "intervals": bounds,
    }
    return scores, cells.arrays()


def require_same_shape(**arrays: np.ndarray) -> None:
    shapes = {name: array.shape for name, array in arrays.items()}
    if len(set(shapes.values())) > 1:
        raise HeadscarpError(
            f"map and samples are not of one grid: {shapes}; make "
            "the cube, the samples and the map of this site again"
        )


def probability_in(probability: np.ndarray, mask: np.ndarray, region: str) -> np.ndarray:
    """Probabilities of the mask's pixels.

    Raises:
        HeadscarpError: some are NaN; samples already leave out the pixels that were not observed.
    """
    values = probability[mask]
    missing = int(np.isnan(values).sum())
    if missing:
        raise HeadscarpError(
            f"{missing} of {values.size} pixels of the {region} region have no "
            "probability (NaN); the map does not cover the samples: make the "
            "samples with the experiments' input groups, and the map, again"
        )
    return values


def score_objects(
    prediction: np.ndarray, label: np.ndarray, instances: np.ndarray, scored: np.ndarray, pixel_area: float
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Object scores with the rule they follow, and recall by size of slide in quarters of the site's slides,
    whatever part of it is scored."""
    areas, detected = reference_slides(prediction, instances, scored, OBJECT_OVERLAP)
    true = predicted_objects(prediction, label == LANDSLIDE, scored, OBJECT_OVERLAP, OBJECT_MINIMUM_PIXELS)
    rule = {"overlap": OBJECT_OVERLAP, "minimum_pixels": OBJECT_MINIMUM_PIXELS}
    edges = quarter_edges(instances, pixel_area)
    return {**object_scores(detected, true), **rule}, size_recall(areas * pixel_area, detected, edges)


def has_converged(run: str | Path) -> bool:
    """Whether the training of a run.json reached its plateau; models without steps of training have."""
    return read_json(run).get("converged", True)


def write_scores(folder: str | Path, scores: dict[str, Any], counts: dict[str, np.ndarray]) -> None:
    """Write scores.json and counts.npz into the folder of a map, each atomically."""
    write_arrays(Path(folder) / "counts.npz", counts)
    write_json(Path(folder) / "scores.json", scores)
