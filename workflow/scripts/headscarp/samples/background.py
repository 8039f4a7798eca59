"""Landslides and background, mapped ground that is no landslide: without either nothing can be learnt."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.samples.windows import Window, footprint


def is_background(label: np.ndarray) -> np.ndarray:
    """Where mapped ground is no landslide, bool as `label` (class codes, 255 unmapped)."""
    return (label != LANDSLIDE) & (label != UNMAPPED)


def require_both(label: np.ndarray, path: Path) -> None:
    """The label (row, col) of a site, a file's, has landslides and background.

    Raises:
        HeadscarpError: it lacks one of them.
    """
    if not (label == LANDSLIDE).any():
        raise HeadscarpError(
            f"{path} holds no landslide pixel (1); check the landslides and the mapped area (`area`) of the "
            f"site's labels"
        )
    if not is_background(label).any():
        raise HeadscarpError(
            f"{path} holds landslides only and no background; the `area` of the site's labels must be all "
            f"land that was searched for landslides, and a label raster must tell background from no data "
            f"(`values`)"
        )


def require_both_observed(label: np.ndarray, path: Path) -> None:
    """The label (row, col), unmapped where a site's cube of layers lacks an input, has both still.

    Raises:
        HeadscarpError: it lacks one of them.
    """
    for found, lacking in ((label == LANDSLIDE, "landslide"), (is_background(label), "background")):
        if not found.any():
            raise HeadscarpError(
                f"{path} has no {lacking} pixel where all input groups have values; check that its layers "
                f"cover the slides and the land around them"
            )


def require_both_in_training(label: np.ndarray, windows: Iterable[Window]) -> None:
    """The training windows see landslides and background.

    Raises:
        HeadscarpError: they see but one of them.
    """
    seen = label[footprint((window for window in windows if window.split == "train"), label.shape)]
    for found, lacking in ((seen == LANDSLIDE, "landslide"), (is_background(seen), "background")):
        if not found.any():
            raise HeadscarpError(
                f"the training windows hold no {lacking}, so that nothing can be learnt from them; change "
                f"sampling.split, sampling.window or the seed, or use a larger site"
            )
