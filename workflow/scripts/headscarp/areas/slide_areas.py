"""Number and area distribution of landslides."""

from dataclasses import dataclass

import numpy as np

FEWEST_IN_TAIL = 50
MOST_CUTOFFS = 200


@dataclass(frozen=True)
class Tail:
    """A power law p(A) ~ A^-exponent of areas from `cutoff` (m2) on, with its standard error and the number
    of slides in it."""

    exponent: float
    error: float
    cutoff: float
    count: int


def power_law_tail(areas: np.ndarray) -> Tail | None:
    """The power law that fits the large areas best; None where fewer than 50 areas are left for any cutoff.

    Exponent by maximum likelihood, 1 + n / sum(ln(A / cutoff)); the cutoff is that for which the distance of
    Kolmogorov and Smirnov between the areas above it and the law is least (Clauset, Shalizi and Newman 2009,
    doi 10.1137/070710111, sections 3.1 and 3.3).

    Args:
        areas: (n,) in m2, positive.
    """
    areas = np.sort(areas)
    cutoffs = np.unique(areas[: max(0, len(areas) - FEWEST_IN_TAIL + 1)])
    if len(cutoffs) > MOST_CUTOFFS:
        cutoffs = cutoffs[np.unique(np.linspace(0, len(cutoffs) - 1, MOST_CUTOFFS).astype(int))]
    best, least = None, np.inf
    for cutoff in cutoffs:
        tail = areas[areas >= cutoff]
        logs = np.log(tail / cutoff).sum()
        if logs <= 0:
            continue
        exponent = 1 + len(tail) / logs
        law = 1 - (tail / cutoff) ** (1 - exponent)
        steps = np.arange(len(tail) + 1) / len(tail)
        distance = max(np.abs(law - steps[:-1]).max(), np.abs(law - steps[1:]).max())
        if distance < least:
            least, best = (
                distance,
                Tail(float(exponent), float((exponent - 1) / np.sqrt(len(tail))), float(cutoff), len(tail)),
            )
    return best


def area_density(areas: np.ndarray, bins: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Frequency density (slides per m2 of area) in bins of equal width on a logarithmic scale: centres (m2)
    and densities, empty bins left out (Malamud et al. 2004, doi 10.1002/esp.1064, without the division by the
    number of slides)."""
    low, high = np.log10(areas.min()), np.log10(areas.max())
    edges = np.logspace(low, high if high > low else low + 1, bins + 1)
    counts, _ = np.histogram(areas, edges)
    centres, widths = np.sqrt(edges[:-1] * edges[1:]), np.diff(edges)
    filled = counts > 0
    return centres[filled], counts[filled] / widths[filled]
