"""Which row of a table is the best in a score."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from headscarp.exhibits.tidy import AS_PRINTED, VERSUS
from headscarp.scoring.metric_names import EXTRACTION

# Errors; all other scores are the better the higher.
LOWEST = {
    "brier",
    "ece",
    *(f"{of}{name}" for of in ("", "object_") for name in EXTRACTION if name in ("oe", "ce")),
}
# What tables tell beside scores: counts, shares and costs, which no row is better for.
NO_SCORES = {
    "slides",
    "landslide_share_percent",
    "share_percent",
    "parameters",
    "giga_multiply_adds_per_megapixel",
    "seconds_per_megapixel",
    "training_memory_mib",
}


def best_lines(frame: pd.DataFrame, decimals: Mapping[str, int]) -> set[Any]:
    """The index of each tidy line that is the best of its metric among rows of the same ground and data: of
    ids such as `site:row`, those that differ in the last part only.

    Values that show alike at the `decimals` of their metric are equally good; where all of them do, none is
    best. Rows that compare two others do not compete.

    Args:
        frame: tidy lines of one protocol.
    """
    scores = frame[
        ~frame["metric"].isin(NO_SCORES) & frame["value"].notna() & ~frame["row"].str.contains(VERSUS)
    ]
    ground = scores["row"].str.rpartition(":")[0]
    found: set[Any] = set()
    for (metric, *_), rivals in scores.groupby(["metric", ground, "data"]):
        shown = rivals["value"].round(decimals[metric])
        best = shown.min() if metric.removesuffix(AS_PRINTED) in LOWEST else shown.max()
        if (shown != best).any():
            found |= set(rivals.index[shown == best])
    return found
