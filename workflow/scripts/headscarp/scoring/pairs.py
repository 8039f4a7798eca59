"""Which of several networks differ: paired bootstrap of every pair over blocks and seeds, with Holm's
correction for the number of pairs.

Two-sided p-values invert the bootstrap's percentile interval: Davison, A. C. & Hinkley, D. V. (1997).
Bootstrap methods and their application. Cambridge University Press, section 4.4. Holm, S. (1979).
Scandinavian Journal of Statistics 6, 65-70. Mean ranks, joined where networks are not told apart: Demsar, J.
(2006). Journal of Machine Learning Research 7, 1-30, whose critical difference takes data sets as
independent; seeds on one block are not, so that ranks are bootstrapped here as scores are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import rankdata
from statsmodels.stats.multitest import multipletests

from headscarp.scoring.bootstrap import CellHistograms, drawn_metrics, require_same_cells
from headscarp.scoring.pixel import BINS, ratio

DRAWS = 10_000  # the least p-value, 2 / (draws + 1), must survive a correction for more than a hundred pairs
LEVEL = 0.05


@dataclass(frozen=True)
class CellOutcomes:
    """One run's true positives, false positives and false negatives (cells) at its threshold."""

    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray

    @classmethod
    def of(cls, cells: CellHistograms) -> "CellOutcomes":
        first = min(int(np.ceil(cells.threshold * BINS)), BINS - 1)
        tp = cells.positive[:, first:].sum(axis=1)
        return cls(tp, cells.negative[:, first:].sum(axis=1), cells.positive.sum(axis=1) - tp)

    @property
    def per_cell(self) -> np.ndarray:
        """Landslide pixels (cells, 1), which are the same for every run on the same cells."""
        return (self.tp + self.fn)[:, None]

    def metrics(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """F1 (...) with weights (..., cells) of the cells; NaN where undefined."""
        tp, fp, fn = (weights @ counts for counts in (self.tp, self.fp, self.fn))
        return {"f1": ratio(2 * tp, 2 * tp + fp + fn)}


def drawn_f1(
    runs: Mapping[str, Sequence[CellHistograms]], seed: int, draws: int = DRAWS
) -> dict[str, np.ndarray]:
    """F1 (draws,) of each experiment, mean over its drawn seeds; a draw takes the same blocks and seeds for
    all.

    Raises:
        HeadscarpError: the runs were scored on different cells.
    """
    require_same_cells([run for group in runs.values() for run in group])
    return {
        name: drawn_metrics([CellOutcomes.of(run) for run in group], seed, draws)["f1"]
        for name, group in runs.items()
    }


def block_ranks(runs: Mapping[str, Sequence[CellHistograms]]) -> np.ndarray:
    """Rank by F1 (block, seed, experiment) of each experiment, 1 the best and means where equal, in every
    block with landslides.

    Raises:
        HeadscarpError: the runs were scored on different cells.
    """
    require_same_cells([run for group in runs.values() for run in group])
    scores = [[f1_by_block(CellOutcomes.of(run)) for run in group] for group in runs.values()]
    return rankdata(-np.array(scores), axis=0).transpose(2, 1, 0)


def f1_by_block(outcomes: CellOutcomes) -> np.ndarray:
    """F1 (block,) of each block with landslides."""
    tp, fp, fn = (counts[outcomes.per_cell[:, 0] > 0] for counts in (outcomes.tp, outcomes.fp, outcomes.fn))
    return 2 * tp / (2 * tp + fp + fn)


def drawn_ranks(ranks: np.ndarray, seed: int, draws: int = DRAWS) -> np.ndarray:
    """Mean ranks (draws, experiment) of ranks (block, seed, experiment), blocks and seeds drawn with
    replacement."""
    rng = np.random.default_rng(seed)
    shares = [rng.multinomial(n, np.full(n, 1 / n), size=draws) / n for n in ranks.shape[:2]]
    return np.einsum("db,ds,bse->de", *shares, ranks, optimize=True)


def bootstrap_p(differences: np.ndarray) -> float | None:
    """Two-sided p-value of no difference, from drawn differences (draws,); None where most draws leave them
    undefined."""
    defined = differences[~np.isnan(differences)]
    if 2 * len(defined) < len(differences):
        return None
    beyond = min(np.count_nonzero(defined <= 0), np.count_nonzero(defined >= 0))
    return min(1.0, 2 * (1 + beyond) / (1 + len(defined)))


def pair_p_values(
    drawn: Mapping[str, np.ndarray],
) -> dict[tuple[str, str], tuple[float | None, float | None]]:
    """{(first, second): (p, p corrected by Holm for all pairs)} of every pair of drawn scores {name:
    (draws,)}; None where undefined."""
    p_values = {
        (first, second): bootstrap_p(drawn[first] - drawn[second]) for first, second in combinations(drawn, 2)
    }
    defined = {pair: p for pair, p in p_values.items() if p is not None}
    corrected = (
        dict(zip(defined, map(float, multipletests(list(defined.values()), method="holm")[1]), strict=True))
        if defined
        else {}
    )
    return {pair: (p, corrected.get(pair)) for pair, p in p_values.items()}


def not_told_apart(
    order: Sequence[str], p_values: Mapping[tuple[str, str], tuple[float | None, float | None]]
) -> list[tuple[int, int]]:
    """The longest runs (first, last) of positions in `order` in which no pair differs at the 5 % level after
    correction."""

    def alike(pair: tuple[str, str]) -> bool:
        p = p_values.get(pair, p_values.get(pair[::-1]))[1]
        return p is None or p >= LEVEL

    found: list[tuple[int, int]] = []
    for first in range(len(order)):
        last = first
        while last + 1 < len(order) and all(
            alike((order[one], order[last + 1])) for one in range(first, last + 1)
        ):
            last += 1
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found
