"""Whether a study area can be split into training, validation and test land."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from headscarp.areas.check.findings import OK, WARNING, Checked
from headscarp.codes import LANDSLIDE, SPLITS, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.samples.spec import SamplingSpec
from headscarp.samples.splits import blocked_split


def check_split(checked: Checked, sampling: Mapping[str, Any], seed: int) -> None:
    """Whether the area can be split into training, validation and test land without leakage, and how many
    windows each gets."""
    if checked.label is None or not (checked.label == LANDSLIDE).any() or checked.view != checked.grid:
        return
    seen = checked.image_seen()
    label = checked.label if seen is None else np.where(seen, checked.label, UNMAPPED).astype(np.uint8)
    try:
        split = blocked_split(label, SamplingSpec.from_record(sampling), seed)
    except HeadscarpError as error:
        checked.tell(WARNING, "split", "blocked", str(error))
        return
    counts = {name: sum(window.split == name for window in split.windows) for name in SPLITS}
    slides = {
        name: int(np.sum((split.regions == code) & (label == LANDSLIDE)))
        for code, name in enumerate(SPLITS, start=1)
    }
    checked.split = {"windows": counts, "landslide_cells": slides}
    text = ", ".join(f"{name} {counts[name]} windows with {slides[name]} landslide cells" for name in SPLITS)
    few = counts["train"] < 20 or slides["test"] < 100
    checked.tell(
        WARNING if few else OK,
        "split",
        "blocked",
        text + ("; few to learn from or to score on" if few else ""),
    )
