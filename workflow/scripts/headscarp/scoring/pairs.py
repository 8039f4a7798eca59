"""Which of several networks differ: every pair by the chance of blocks and seeds together, with Holm's
correction for the number of pairs.

Holm, S. (1979). Scandinavian Journal of Statistics 6, 65-70. Mean ranks, joined where networks are not told
apart: Demsar, J. (2006). Journal of Machine Learning Research 7, 1-30, whose critical difference takes data
sets as independent; seeds on one block are not, so that ranks are estimated here as scores are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import rankdata
from statsmodels.stats.multitest import multipletests

from headscarp.scoring.bootstrap import paired_difference, repeats_of, require_same_cells
from headscarp.scoring.chance import LEVEL, Estimate, estimate
from headscarp.scoring.histograms import CellHistograms
from headscarp.scoring.pixel import ratio

DRAWS = 1000


@dataclass(frozen=True)
class CellOutcomes:
    """One run's true positives, false positives and false negatives (cells) at its threshold."""

    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray
    fold: int = 0

    @classmethod
    def of(cls, cells: CellHistograms) -> "CellOutcomes":
        tp, fp = (counts[:, cells.mapped].sum(axis=1) for counts in (cells.positive, cells.negative))
        return cls(tp, fp, cells.positive.sum(axis=1) - tp, cells.fold)

    @classmethod
    def pooled(cls, parts: Sequence["CellOutcomes"]) -> "CellOutcomes":
        return cls(*(np.concatenate([getattr(part, of) for part in parts]) for of in ("tp", "fp", "fn")))

    @property
    def per_cell(self) -> np.ndarray:
        """Landslide pixels (cells, 1), which are the same for every run on the same cells."""
        return (self.tp + self.fn)[:, None]

    def metrics(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """F1 (...) with weights (..., cells) of the cells; NaN where undefined."""
        tp, fp, fn = (weights @ counts for counts in (self.tp, self.fp, self.fn))
        return {"f1": ratio(2 * tp, 2 * tp + fp + fn)}


def f1_differences(
    runs: Mapping[str, Sequence[CellHistograms]], seed: int
) -> dict[tuple[str, str], Estimate]:
    """{(first, second): difference in F1, first - second} of every pair of experiments, mean over seeds.

    Raises:
        HeadscarpError: the runs were scored on different cells.
    """
    outcomes = {name: [CellOutcomes.of(run) for run in group] for name, group in runs.items()}
    return {
        (first, second): paired_difference(outcomes[first], outcomes[second], seed)["f1"]
        for first, second in combinations(runs, 2)
    }


def block_ranks(runs: Mapping[str, Sequence[CellHistograms]]) -> np.ndarray:
    """Rank by F1 (block, repeat, experiment) of each experiment, 1 the best and means where equal, in every
    block with landslides; see `bootstrap.repeats_of`.

    Raises:
        HeadscarpError: the runs were scored on different cells.
    """
    repeats = [repeats_of([CellOutcomes.of(run) for run in group]) for group in runs.values()]
    require_same_cells([repeat for group in repeats for repeat in group])
    scores = [[f1_by_block(repeat) for repeat in group] for group in repeats]
    return rankdata(-np.array(scores), axis=0).transpose(2, 1, 0)


def f1_by_block(outcomes: CellOutcomes) -> np.ndarray:
    """F1 (block,) of each block with landslides."""
    tp, fp, fn = (counts[outcomes.per_cell[:, 0] > 0] for counts in (outcomes.tp, outcomes.fp, outcomes.fn))
    return 2 * tp / (2 * tp + fp + fn)


def mean_ranks(ranks: np.ndarray, seed: int) -> list[Estimate]:
    """Mean rank of each experiment over blocks and seeds, of ranks (block, seed, experiment)."""
    drawn = ranks_of_drawn_blocks(ranks, seed)
    return [
        estimate(ranks[..., one].mean(axis=0), drawn[:, one], len(ranks)) for one in range(ranks.shape[2])
    ]


def rank_differences(ranks: np.ndarray, names: Sequence[str], seed: int) -> dict[tuple[str, str], Estimate]:
    """{(first, second): difference of mean ranks, first - second} of every pair of experiments."""
    drawn, by_seed = ranks_of_drawn_blocks(ranks, seed), ranks.mean(axis=0)
    return {
        (names[first], names[second]): estimate(
            by_seed[:, first] - by_seed[:, second], drawn[:, first] - drawn[:, second], len(ranks)
        )
        for first, second in combinations(range(len(names)), 2)
    }


def ranks_of_drawn_blocks(ranks: np.ndarray, seed: int) -> np.ndarray:
    """Mean ranks (draws, experiment) over seeds of ranks (block, seed, experiment), blocks drawn with
    replacement."""
    blocks = len(ranks)
    shares = np.random.default_rng(seed).multinomial(blocks, np.full(blocks, 1 / blocks), size=DRAWS) / blocks
    return shares @ ranks.mean(axis=1)


def pair_p_values(
    differences: Mapping[tuple[str, str], Estimate],
) -> dict[tuple[str, str], tuple[float | None, float | None]]:
    """{(first, second): (p, p corrected by Holm for all pairs)} of every pair; None where undefined."""
    p_values = {pair: found.p_value for pair, found in differences.items()}
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
