"""Differences of scores between two rows, with 95 % intervals."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from headscarp.exhibits.averages import BOOTSTRAP_SEED, CROWDED, fits, mean_of
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


def from_exact_scores(
    found: Difference, exact: Sequence[Sequence[float | None]], coarse: Sequence[Sequence[float]]
) -> tuple[Difference, str]:
    """A difference measured on the scores of scores.json, and why it has no interval ('' where it has one).

    Its interval is of histograms, and given only where these are fine enough to stand for the scores.

    Args:
        exact: scores of both groups by seed. coarse: the same from histograms.
    """
    first, second = (mean_of(values)["value"] for values in exact)
    size = None if first is None or second is None else first - second
    fine = all(map(fits, coarse, exact))
    low, high = (found.low, found.high) if fine else (None, None)
    return Difference(
        size, low, high
    ), "" if low is not None else "too few blocks or landslides" if fine else CROWDED
