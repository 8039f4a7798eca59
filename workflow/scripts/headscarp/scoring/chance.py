"""How far a mean over few seeds and few blocks may lie from the truth: both kinds of chance in one interval.

Two things differ when a study is done again: the ground that is tested (blocks), and the training (seeds).
The variance between blocks comes from a bootstrap of blocks with the seeds held; that between seeds from the
seeds themselves, of which there are few, so that Student's t and not the normal distribution gives the
interval. Drawing the seeds with replacement, as a bootstrap over both does, takes their variance (n - 1) / n
times too small and knows nothing of t: it calls a third of equal networks different at two or three seeds
(Bouthillier et al. 2021, MLSys, on the sources of variance).

The reach of an interval is the standard error times the mean of the two quantiles of t, weighted by the two
variances (Cochran, W. G. (1964). Biometrics 20, 191-195). With three seeds Satterthwaite's degrees of freedom
(1946) call a little more than the nominal 5 % of equal networks different, this a little less.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from headscarp.scoring.claims import FEWEST_SEEDS

LEVEL = 0.05
LEAST_LEVEL = 1e-12  # p-values below are not told apart


@dataclass(frozen=True)
class Estimate:
    """A score with the variances that chance of blocks and of seeds gives it, both None where most draws of
    blocks leave it undefined. With one seed nothing is known of the latter, and it is 0."""

    size: float
    of_blocks: float | None
    of_seeds: float | None
    blocks: int
    seeds: int

    @property
    def interval(self) -> list[float] | None:
        """The 95 % interval [low, high], or None."""
        if self.of_blocks is None:
            return None
        reach = self.reach(LEVEL)
        return [self.size - reach, self.size + reach]

    @property
    def p_value(self) -> float | None:
        """Two-sided p of no difference; None where it is undefined, and with fewer than FEWEST_SEEDS, from
        which nobody knows how far training by itself moves a score."""
        if self.of_blocks is None or self.seeds < FEWEST_SEEDS:
            return None
        if self.of_blocks + self.of_seeds == 0:
            return 1.0 if self.size == 0 else 0.0
        if self.reach(LEAST_LEVEL) <= abs(self.size):
            return LEAST_LEVEL
        return float(optimize.brentq(lambda level: self.reach(level) - abs(self.size), LEAST_LEVEL, 1.0))

    def reach(self, level: float) -> float:
        """Half the length of the interval that leaves out the truth in `level` of all studies."""
        total = self.of_blocks + self.of_seeds
        if total == 0:
            return 0.0
        quantiles = special.stdtrit([self.blocks - 1, max(self.seeds - 1, 1)], 1 - level / 2)
        return float((self.of_blocks * quantiles[0] + self.of_seeds * quantiles[1]) / np.sqrt(total))


def estimate(points: Sequence[float], drawn: np.ndarray, blocks: int, size: float | None = None) -> Estimate:
    """A score, or a difference of two, and what chance of blocks and seeds makes of it.

    Where seeds test folds of the ground in turn, `size` pools the folds and the spread of the points holds
    that of the ground between folds too. Both are counted, so that the interval is wider than it need be,
    not narrower.

    Args:
        points: (seeds,) on all blocks that a seed tests. drawn: (draws,) on drawn blocks, NaN where
            undefined. blocks: independent ones that the score rests on. size: on all blocks; the mean of the
            points unless given.
    """
    points = np.asarray(points, float)
    size = float(points.mean()) if size is None else size
    defined = drawn[~np.isnan(drawn)]
    if blocks < 2 or 2 * len(defined) < len(drawn) or not np.isfinite(size):
        return Estimate(size, None, None, blocks, len(points))
    # The spread of bootstrap draws is that of (blocks - 1) / blocks of the variance.
    of_blocks = float(defined.var()) * blocks / (blocks - 1)
    of_seeds = float(points.var(ddof=1)) / len(points) if len(points) > 1 else 0.0
    return Estimate(size, of_blocks, of_seeds, blocks, len(points))
