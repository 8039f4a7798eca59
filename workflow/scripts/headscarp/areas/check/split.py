"""Whether a study area can be split into training, validation and test land."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from headscarp.areas.check.findings import NOTE, OK, WARNING, Checked, CheckedSite
from headscarp.codes import LANDSLIDE, SPLITS, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.samples.spec import SamplingSpec
from headscarp.samples.splits import blocked_split

SMALLEST_WINDOW = 8  # that a card may name


def check_split(checked: Checked, sampling: Mapping[str, Any], seed: int) -> None:
    """Whether the area can be split into training, validation and test land without leakage, and how many
    windows each gets; on a view that is thinned windows are as much smaller."""
    if checked.label is None or not (checked.label == LANDSLIDE).any():
        return
    factor, coarse = checked.thinning, ""
    if factor > 1:
        window = SamplingSpec.from_record(sampling).window
        if window / factor < SMALLEST_WINDOW:
            checked.tell(
                NOTE,
                "split",
                "blocked",
                f"left out: the grid is too large to be split at once, and on {factor:.1f} times coarser "
                f"cells windows of {window} are too small",
            )
            return
        sampling = thinned_sampling(sampling, factor)
        coarse = f", tried on {factor:.1f} times coarser cells"
    tell_split(checked, seen_label(checked), sampling, seed, coarse=coarse)


def seen_label(checked: Checked) -> np.ndarray:
    """The label (row, col) of a site's view, unmapped where no image has data."""
    seen = checked.image_seen()
    return checked.label if seen is None else np.where(seen, checked.label, UNMAPPED).astype(np.uint8)


def thinned_sampling(sampling: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """A card's `sampling` for cells that are `factor` times longer: all that it counts in pixels is as much
    smaller."""
    spec = SamplingSpec.from_record(sampling)
    split = dict(sampling.get("split", {}))
    split |= {key: thinned_side(split[key], factor) for key in ("block", "buffer") if split.get(key)}
    window = thinned_side(spec.window, factor)
    stride = min(window, thinned_side(spec.stride, factor))
    return dict(sampling) | {"window": window, "stride": stride, "split": split}


def thinned_side(side: int, factor: float) -> int:
    return max(1, round(side / factor))


def tell_split(
    checked: CheckedSite,
    label: np.ndarray,
    sampling: Mapping[str, Any],
    seed: int,
    scenes: Sequence[Mapping[str, Any]] = (),
    coarse: str = "",
) -> None:
    """How many windows and landslide cells of a label (row, col) each subset gets, or why it cannot be split.

    Args:
        scenes: where those of a collage stand in it.
        coarse: what is to be said of the cells, if they are not the site's.
    """
    try:
        split = blocked_split(label, SamplingSpec.from_record(sampling), seed, scenes=scenes)
    except HeadscarpError as error:
        checked.tell(WARNING, "split", "blocked", f"{error}{coarse}")
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
        text + ("; few to learn from or to score on" if few else "") + coarse,
    )
