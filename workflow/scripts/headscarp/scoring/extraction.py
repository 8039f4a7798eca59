"""How well landslides are extracted: detection (DP), quality (QP), omission (OE) and commission (CE) of
pixels and of whole slides.

Xia et al. (2021), Eqs. 13-16, whose denominators are garbled in print, read as
DP = TP / (TP + FN), OE = FN / (TP + FN), CE = FP / (TP + FP), QP = TP / (TP + FP + FN).
"""

from typing import Any

import numpy as np

from headscarp.scoring.pixel import ratio, to_python


def extraction_metrics(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> dict[str, np.ndarray]:
    """DP, QP, OE and CE of landslides found, false and missed, numbers or arrays; NaN where undefined."""
    return {
        "dp": ratio(tp, tp + fn),
        "qp": ratio(tp, tp + fp + fn),
        "oe": ratio(fn, tp + fn),
        "ce": ratio(fp, tp + fp),
    }


def object_extraction(objects: dict[str, Any]) -> dict[str, Any]:
    """DP, QP, OE and CE of whole slides, with the rule they follow, from the record of `score.score_objects`.

    Slides are found or missed and mapped objects true or false. As several objects may make up one slide, DP
    and OE count slides, CE counts objects, and QP counts found slides over all slides and false objects.
    """
    found, slides, true, mapped = (objects[key] for key in ("detected", "slides", "true", "objects"))
    metrics = extraction_metrics(found, mapped - true, slides - found) | {"ce": ratio(mapped - true, mapped)}
    share = f"{objects['overlap']:.0%}"
    rule = (
        f"a slide is found where at least {share} of its pixels are mapped; an object of "
        f"{objects['minimum_pixels']} pixels or more is false where less than {share} of it is landslide"
    )
    return to_python(metrics) | {"rule": rule}
