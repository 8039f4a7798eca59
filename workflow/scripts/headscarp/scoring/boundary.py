"""How well a map draws the boundary of landslides: boundary F1 (Csurka et al. 2013, "What is a good
evaluation measure for semantic segmentation?", section 2.3)."""

import numpy as np
from scipy import ndimage

from headscarp.scoring.pixel import ratio, to_python

# 0.75 % of the diagonal of a window of 256 pixels, the share that Csurka et al. take of an image
TOLERANCE_PX = 3


def boundary_scores(
    prediction: np.ndarray,
    truth: np.ndarray,
    known: np.ndarray,
    scored: np.ndarray,
    tolerance: float = TOLERANCE_PX,
) -> dict[str, float | None]:
    """Precision, recall and F1 of the boundary of `prediction` against that of `truth`, all (row, col) bool.

    Precision is the share of the mapped boundary's pixels that lie within `tolerance` (Euclidean, pixels) of
    the true boundary; recall the share of the true boundary's that lie as near to the mapped one. Only pixels
    of `scored` are counted, the boundaries that they are measured against may lie beside it. Boundaries
    between `known` pixels and others are none of either.

    Returns:
        precision, recall, f1 (None without any boundary to count) and tolerance_px.
    """
    mapped, true = (outline(mask, known) for mask in (prediction, truth))
    precision, recall = (
        near_share(mapped & scored, true, tolerance),
        near_share(true & scored, mapped, tolerance),
    )
    # One boundary without the other is a map that is all wrong; without both there is nothing to score.
    f1 = (
        np.nan
        if np.isnan(precision) and np.isnan(recall)
        else harmonic(np.nan_to_num(precision), np.nan_to_num(recall))
    )
    return to_python({"precision": precision, "recall": recall, "f1": f1}) | {"tolerance_px": tolerance}


def outline(mask: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Pixels of a mask that share a side with a known pixel outside it."""
    return mask & known & ndimage.binary_dilation(known & ~mask)


def near_share(pixels: np.ndarray, boundary: np.ndarray, tolerance: float) -> np.ndarray:
    """Share of `pixels` within `tolerance` of `boundary`; NaN without pixels."""
    if not boundary.any():
        return ratio(0, np.count_nonzero(pixels))
    distance = ndimage.distance_transform_edt(~boundary)
    return ratio(np.count_nonzero(distance[pixels] <= tolerance), np.count_nonzero(pixels))


def harmonic(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
