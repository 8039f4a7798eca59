"""Differences of scores between two rows, with 95 % intervals."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from headscarp.exhibits.averages import BOOTSTRAP_SEED, mean_of
from headscarp.exhibits.runs import Scored
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import VERSUS
from headscarp.scoring.bootstrap import ScoredCells, paired_difference
from headscarp.vocabulary import require_known


class Difference(NamedTuple):
    """Mean difference over seeds of a metric, first - second, and its 95 % interval, None where undefined.

    With one seed the interval is of blocks alone and says nothing of the chance of training.
    """

    size: float | None
    low: float | None
    high: float | None

    @property
    def why_no_interval(self) -> str:
        """A sentence where there is no interval, else ''."""
        if self.size is None:
            return "no interval: the score is undefined for one of the two"
        return "no interval: too few blocks or landslides" if self.low is None else ""


class Effect(NamedTuple):
    """The difference of a metric between two rows under one protocol."""

    first: str
    second: str
    protocol: str
    metric: str
    found: Difference

    @property
    def row(self) -> str:
        """Id of the tidy row."""
        return f"{self.first}{VERSUS}{self.second}"


def effects(
    spec: ExhibitSpec,
    pair: Sequence[str],
    cells: Mapping[tuple[str, str], Sequence[ScoredCells]],
    metrics: Sequence[str],
) -> Iterator[Effect]:
    """Effects of a pair of rows under each protocol, on the same blocks and seeds.

    Args:
        cells: counts of the runs of each (protocol, row), in the order of seeds.

    Raises:
        HeadscarpError: a row or metric does not exist, or the runs cannot be paired.
    """
    first, second = (require_known(row, spec.rows, f"exhibit '{spec.name}', pairs: row") for row in pair)
    for protocol in spec.protocols:
        of_rows = cells[protocol, first], cells[protocol, second]
        for metric, found in differences(*of_rows, metrics, f"exhibit '{spec.name}'").items():
            yield Effect(first, second, protocol, metric, found)


def differences(
    first: Sequence[ScoredCells], second: Sequence[ScoredCells], metrics: Sequence[str], place: str
) -> dict[str, Difference]:
    """The difference of each metric between two groups of runs, on the same blocks and seeds; `place` begins
    an error.

    Raises:
        HeadscarpError: a metric does not exist, or the runs cannot be paired.
    """
    measured = paired_difference(first, second, BOOTSTRAP_SEED)
    found = {metric: measured[require_known(metric, measured, f"{place}: metric")] for metric in metrics}
    return {
        metric: Difference(one.size if math.isfinite(one.size) else None, *(one.interval or (None, None)))
        for metric, one in found.items()
    }


def exact_difference(found: Difference, metric: str, sides: Sequence[Sequence[Scored]]) -> Difference:
    """A difference measured on the scores of scores.json in place of histograms, which are near them; on the
    histograms where folds of the ground are pooled, of which no file holds the scores."""
    if len({one.fold for side in sides for one in side}) > 1:
        return found
    first, second = (mean_of([one.scores["metrics"][metric] for one in side])["value"] for side in sides)
    return found._replace(size=None if first is None or second is None else first - second)
