"""Detection of whole landslides: which slides a map finds, which of its objects are real, and how that
depends on size."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import ndimage

from headscarp.scoring.pixel import ratio, to_python

EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=int)


def reference_slides(
    prediction: np.ndarray, instances: np.ndarray, scored: np.ndarray, overlap: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """Areas (pixels, of the whole slide) and detection of the slides of which at least half lies in the
    scored area.

    A slide is detected when at least `overlap` of its scored pixels are predicted.

    Args:
        prediction, scored: (row, col) bool.
        instances: (row, col) integers, 0 background, k = slide k.

    Returns:
        areas: (slides,) integers; detected: (slides,) bool.
    """
    length = int(instances.max()) + 1
    whole = np.bincount(instances.ravel(), minlength=length)
    inside = np.bincount(instances[scored], minlength=length)
    found = np.bincount(instances[scored & prediction], minlength=length)
    counted = (inside > 0) & (2 * inside >= whole)
    counted[0] = False
    return whole[counted], found[counted] >= overlap * inside[counted]


def predicted_objects(
    prediction: np.ndarray,
    landslide: np.ndarray,
    scored: np.ndarray,
    overlap: float = 0.5,
    minimum_pixels: int = 4,
) -> np.ndarray:
    """Whether each predicted object is true: at least `overlap` of its pixels lie on landslides.

    Objects are 8-connected groups of at least `minimum_pixels` predicted pixels in the scored area; arrays
    are (row, col) bool.
    """
    objects, count = ndimage.label(prediction & scored, EIGHT_NEIGHBOURS)
    size = np.bincount(objects.ravel(), minlength=count + 1)[1:]
    on_landslide = np.bincount(objects[landslide], minlength=count + 1)[1:]
    large = size >= minimum_pixels
    return on_landslide[large] >= overlap * size[large]


def object_scores(detected: np.ndarray, true: np.ndarray) -> dict[str, float | None]:
    """Object recall (1 - omission error), object precision (1 - commission error) and their harmonic mean,
    with the counts."""
    counts = {
        "slides": int(detected.size),
        "detected": int(detected.sum()),
        "objects": int(true.size),
        "true": int(true.sum()),
    }
    return object_rates(counts) | counts


def object_rates(counts: Mapping[str, int]) -> dict[str, float | None]:
    """Precision, recall and F1 of counts of `slides`, those `detected`, `objects` and the `true` of them."""
    recall, precision = ratio(counts["detected"], counts["slides"]), ratio(counts["true"], counts["objects"])
    return to_python(
        {"precision": precision, "recall": recall, "f1": ratio(2 * precision * recall, precision + recall)}
    )


def pooled_objects(of_folds: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """The scores of whole slides of several folds of the ground together."""
    counts = {key: sum(one[key] for one in of_folds) for key in ("slides", "detected", "objects", "true")}
    return object_rates(counts) | counts


def quarter_edges(instances: np.ndarray, pixel_area: float) -> np.ndarray:
    """Edges (m2) that part all slides of a site, as in `reference_slides`, into quarters by area; none
    without a slide."""
    areas = np.bincount(instances.ravel())[1:]
    areas = areas[areas > 0] * pixel_area
    return np.unique(np.quantile(areas, [0, 0.25, 0.5, 0.75, 1])) if areas.size else areas


def size_recall(
    areas_m2: np.ndarray, detected: np.ndarray, edges_m2: Sequence[float] | np.ndarray
) -> list[dict[str, Any]]:
    """Object recall in classes of area (m2) between `edges_m2`.

    Returns:
        One record {low_m2, high_m2, slides, detected, recall} per class; a class holds low <= area < high,
        the last one high too. Slides outside the edges are in no class; recall is None in an empty class.
    """
    edges = np.asarray(edges_m2, float)
    if len(edges) == 1:
        edges = np.repeat(edges, 2)
    records = []
    for low, high in pairwise(edges):
        member = (areas_m2 >= low) & ((areas_m2 < high) | ((high == edges[-1]) & (areas_m2 == high)))
        slides, found = int(member.sum()), int(detected[member].sum())
        recall = found / slides if slides else None
        records.append(
            {
                "low_m2": float(low),
                "high_m2": float(high),
                "slides": slides,
                "detected": found,
                "recall": recall,
            }
        )
    return records
