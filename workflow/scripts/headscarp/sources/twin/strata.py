"""The nineteen lithological units of zhang2024 (Table 1) as folded strata, and the soil over each.

Fragile are the units in which the paper finds most landslides: K2, P, D1, O, epsilon 3 and epsilon 2. The
numbers are plausible, not measured.
"""

from dataclasses import dataclass

import numpy as np

from headscarp.sources.twin.fields import correlated_noise

CARBONATE, RED_BED, CLASTIC, SLATE = range(4)


@dataclass(frozen=True)
class Unit:
    """A lithological unit: symbol, rock, resistance to erosion (1 soft, 2 soft-hard, 3 hard), cohesion (Pa)
    and friction angle (degrees) of the soil over it, and its share of the ground."""

    symbol: str
    rock: int
    resistance: int
    cohesion: float
    friction_deg: float
    share: float


# In the order of Table 1, the youngest first; code 1 is the first.
UNITS = (
    Unit("K2", RED_BED, 1, 2.5e3, 20.0, 0.07),
    Unit("K1", RED_BED, 1, 9.0e3, 30.0, 0.05),
    Unit("K", RED_BED, 2, 9.5e3, 31.0, 0.02),
    Unit("J1+2", CLASTIC, 2, 10.0e3, 32.0, 0.03),
    Unit("J1", CLASTIC, 2, 10.0e3, 32.0, 0.03),
    Unit("T3", CLASTIC, 2, 9.5e3, 31.0, 0.03),
    Unit("T2", RED_BED, 1, 8.5e3, 29.0, 0.09),
    Unit("T1", CARBONATE, 3, 11.5e3, 34.0, 0.10),
    Unit("P", CARBONATE, 3, 2.5e3, 21.0, 0.07),
    Unit("D2+3", CLASTIC, 3, 12.0e3, 35.0, 0.07),
    Unit("D1", CLASTIC, 2, 2.5e3, 20.0, 0.03),
    Unit("S", CLASTIC, 1, 8.5e3, 29.0, 0.14),
    Unit("O", CARBONATE, 2, 3.0e3, 21.0, 0.06),
    Unit("epsilon 3", CARBONATE, 3, 3.0e3, 21.0, 0.05),
    Unit("epsilon 2+3", CARBONATE, 3, 11.0e3, 33.0, 0.04),
    Unit("epsilon 2", CARBONATE, 2, 2.5e3, 20.0, 0.04),
    Unit("epsilon 1", CARBONATE, 2, 9.5e3, 31.0, 0.04),
    Unit("Z", CLASTIC, 2, 10.5e3, 32.0, 0.02),
    Unit("Pt3bx", SLATE, 3, 11.0e3, 33.0, 0.02),
)
# By code; code 0 is no unit.
ROCK = np.array([-1] + [unit.rock for unit in UNITS])
RESISTANCE = np.array([0] + [unit.resistance for unit in UNITS], np.uint8)
COHESION = np.array([np.nan] + [unit.cohesion for unit in UNITS], np.float32)
FRICTION_DEG = np.array([np.nan] + [unit.friction_deg for unit in UNITS], np.float32)


def folded_units(rng: np.random.Generator, shape: tuple[int, int], scene: tuple[slice, slice]) -> np.ndarray:
    """Codes of the units (row, col) uint8: young ones in synclines, old ones in anticlines; inside `scene`
    each has its share."""
    size = max(shape)
    # The folds of north-western Hunan strike to the north-east.
    strike = rng.uniform(np.radians(25), np.radians(65))
    rows, cols = np.indices(shape, np.float32) / size
    across = rows * np.cos(strike) + cols * np.sin(strike)
    depth = np.sin(
        2 * np.pi * (1.7 * across + 0.16 * correlated_noise(rng, shape, size / 7, 2.5))
        + rng.uniform(0, 2 * np.pi)
    )
    depth += 0.45 * correlated_noise(rng, shape, size / 5, 2.5) + 0.05 * correlated_noise(
        rng, shape, size / 40, 2.0
    )
    ends = np.cumsum([unit.share for unit in UNITS])[:-1]
    return np.digitize(depth, np.quantile(depth[scene], ends)).astype(np.uint8) + np.uint8(1)
