"""How far a mean over few seeds and few blocks may lie from the truth: both kinds of chance in one interval.

Two things differ when a study is done again: the ground that is tested (blocks), and the training (seeds).
The variance between blocks comes from a bootstrap of blocks with the seeds held; that between seeds from the
seeds themselves, of which there are few, so that Student's t and not the normal distribution gives the
interval. Drawing the seeds with replacement, as a bootstrap over both does, takes their variance (n - 1) / n
times too small and knows nothing of t: it calls a third of equal networks different at two or three seeds
(Bouthillier et al. 2021, MLSys, on the sources of variance; Satterthwaite 1946, Biometrics Bulletin 2,
110-114, on the degrees of freedom of a sum).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from headscarp.scoring.claims import FEWEST_SEEDS

LEVEL = 0.05


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its standard `error` and the `freedom` (degrees of) of that; both None where
    most draws of blocks leave it undefined. With one seed the error is that of the blocks alone."""

    size: float
    error: float | None
    freedom: float | None
    seeds: int

    @property
    def interval(self) -> list[float] | None:
        """The 95 % interval [low, high], or None."""
        if self.error is None:
            return None
        reach = self.error * float(stats.t.ppf(1 - LEVEL / 2, self.freedom))
        return [self.size - reach, self.size + reach]

    @property
    def p_value(self) -> float | None:
        """Two-sided p of no difference; None where it is undefined, and with fewer than FEWEST_SEEDS, from
        which nobody knows how far training by itself moves a score."""
        if self.error is None or self.seeds < FEWEST_SEEDS:
            return None
        if self.error == 0:
            return 1.0 if self.size == 0 else 0.0
        return float(2 * stats.t.sf(abs(self.size) / self.error, self.freedom))


def estimate(points: Sequence[float], drawn: np.ndarray, blocks: int) -> Estimate:
    """The mean of a score, or of a difference of two, and what chance of blocks and seeds makes of it.

    Args:
        points: (seeds,) on all blocks. drawn: (draws,) means over the same seeds on drawn blocks, NaN where
            undefined. blocks: independent ones that the score rests on.
    """
    points = np.asarray(points, float)
    size = float(points.mean())
    defined = drawn[~np.isnan(drawn)]
    if blocks < 2 or 2 * len(defined) < len(drawn) or not np.isfinite(size):
        return Estimate(size, None, None, len(points))
    # The spread of bootstrap draws is that of (blocks - 1) / blocks of the variance.
    of_blocks = float(defined.var()) * blocks / (blocks - 1)
    of_seeds = float(points.var(ddof=1)) / len(points) if len(points) > 1 else 0.0
    total = of_blocks + of_seeds
    if total == 0:
        return Estimate(size, 0.0, float(blocks - 1), len(points))
    shares = of_blocks**2 / (blocks - 1) + (of_seeds**2 / (len(points) - 1) if len(points) > 1 else 0.0)
    return Estimate(size, float(np.sqrt(total)), total**2 / shares, len(points))
