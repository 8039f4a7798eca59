"""The five levels of susceptibility of a map."""

import numpy as np

from headscarp.exhibits.layers import BREAKS_SEED
from headscarp.scoring.breaks import natural_breaks

LEVELS = ("Very low", "Low", "Moderate", "High", "Very high")
TOO_FEW = "too few distinct values for five classes"


def level_bounds(values: np.ndarray, name: str) -> np.ndarray:
    """Natural breaks (6) between the levels of susceptibilities; none where these have too few values.

    A network that learned nothing may answer fewer values than there are levels.
    """
    finite = values[np.isfinite(values)]
    if np.unique(finite).size < len(LEVELS):
        return np.empty(0)
    return natural_breaks(values, len(LEVELS), BREAKS_SEED, name)


def level_key(level: str) -> str:
    """A level as a part of ids."""
    return level.lower().replace(" ", "_")
