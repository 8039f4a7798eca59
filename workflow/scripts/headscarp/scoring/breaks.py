"""Classes of a continuous factor by natural breaks (Jenks 1967)."""

import numpy as np

from headscarp.errors import HeadscarpError

SAMPLE = 5000  # values that natural breaks are sought in; more change a break by less than a class is wide


def natural_breaks(values: np.ndarray, classes: int, seed: int, name: str) -> np.ndarray:
    """Bounds (classes + 1), ascending, of natural-break classes of flat `values`: their minimum, the breaks,
    their maximum.

    The breaks are mapclassify's `NaturalBreaks` (one-dimensional k-means, ten starts) of a sample of at most
    5000 values. A class holds lower bound < value <= upper bound, the first one its lower bound too.

    Args:
        values: NaN is left out. seed: of the sample and of the k-means. name: of the factor, for errors.

    Raises:
        HeadscarpError: no value, one value only, or fewer distinct values than classes.
    """
    from mapclassify import NaturalBreaks

    values = values[np.isfinite(values)].astype(float)
    distinct = np.unique(values)
    if distinct.size < max(classes, 2):
        held = (
            f"{distinct.size} distinct values" if distinct.size != 1 else f"one value only ({distinct[0]:g})"
        )
        raise HeadscarpError(
            f"factor '{name}' holds {held} and cannot be divided into {classes} natural-break classes; "
            "ask for fewer classes or leave the factor out"
        )
    rng = np.random.default_rng(seed)
    sample = values if values.size <= SAMPLE else rng.choice(values, SAMPLE, replace=False)
    if np.unique(sample).size < classes:  # rare values may be missing from the sample
        sample = distinct if distinct.size <= SAMPLE else rng.choice(distinct, SAMPLE, replace=False)
    state = np.random.get_state()  # mapclassify gives its k-means no seed of its own
    np.random.seed(seed)
    try:
        inner = np.asarray(NaturalBreaks(sample, classes).bins, float)[:-1]
    finally:
        np.random.set_state(state)
    return np.concatenate([[distinct[0]], inner, [distinct[-1]]])
