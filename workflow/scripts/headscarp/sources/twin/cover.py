"""Land cover that follows the terrain, and the bare ground that looks like a landslide but is none."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.graph import route_through_array

from headscarp.sources.twin.fields import correlated_noise, highest, strips
from headscarp.sources.twin.spec import TwinSpec

FOREST, SHRUB, GRASS, FIELD, SOIL, ROCK, QUARRY, BAR, ROAD, BUILT, WATER, SNOW = range(1, 13)
NAMES = (
    "forest",
    "shrub",
    "grass",
    "field",
    "bare soil",
    "rock",
    "quarry",
    "river bar",
    "road",
    "built-up",
    "water",
    "snow",
)


# Zhangjiajie is mainly forest and fields (zhang2024, Section 2.1).
_FOREST_GAIN = 0.7


@dataclass(frozen=True)
class CoverFactors:
    """What land cover depends on, each (row, col) at the image's pixels: elevation (m), slope (degrees),
    azimuth of the slope (radians), distance to rivers (m), water (mask) and lithology (1-3)."""

    elevation: np.ndarray
    slope: np.ndarray
    aspect: np.ndarray
    river_distance: np.ndarray
    water: np.ndarray
    lithology: np.ndarray

    @property
    def height(self) -> np.ndarray:
        """Elevation as a share of the scene's relief."""
        return (self.elevation - self.elevation.min()) / np.ptp(self.elevation)

    @property
    def position(self) -> np.ndarray:
        """Height (m) above the mean of the surroundings: positive on ridges, negative in valleys."""
        return self.elevation - ndimage.gaussian_filter(self.elevation, 15)


def vegetation(
    spec: TwinSpec, rng: np.random.Generator, ground: CoverFactors, mapped: np.ndarray, remoteness: np.ndarray
) -> np.ndarray:
    """Classes of plants, fields and built-up land (row, col) uint8; people build where fields are and
    `remoteness` is low."""
    shape = ground.slope.shape
    alpine = spec.snow_line_m is not None
    size = mapped.sum()
    height = ground.height
    noise = correlated_noise(rng, shape, 18)
    cover = np.empty(shape, np.uint8)
    for rows in strips(shape):
        slope = ground.slope[rows]
        shady = -np.sin(np.radians(slope)) * np.cos(ground.aspect[rows] - np.pi)
        wild = 0.8 * noise[rows] + shady + 0.025 * (slope - 25)
        if alpine:
            wild -= 2.5 * np.maximum(height[rows] - 0.65, 0)
        if spec.region:
            wild += _FOREST_GAIN
        cover[rows] = np.select([wild > -0.1, wild > -0.9], [FOREST, SHRUB], GRASS)
    del noise

    gentle = correlated_noise(rng, shape, 10)
    gentle -= ground.slope / 7
    gentle -= 3 * height
    del height
    farmed = highest(gentle, ground.slope < 22, mapped, (0.06 if alpine else 0.16) * size)
    gentle = gentle[farmed]
    suited = gentle + correlated_noise(rng, shape, 4)[farmed] - remoteness[farmed]
    built = highest(suited, np.ones(suited.shape, bool), mapped[farmed], 0.012 * size)
    cover[farmed] = np.where(built, BUILT, FIELD)
    return cover


def land_cover(
    spec: TwinSpec,
    rng: np.random.Generator,
    ground: CoverFactors,
    safety: np.ndarray,
    mapped: np.ndarray,
    slides: np.ndarray,
    plants: np.ndarray,
    roads: np.ndarray | None,
) -> np.ndarray:
    """Classes of land cover (row, col) uint8 as it was before the slides: `plants` (of `vegetation`), bare
    ground, roads, snow and water.

    Look-alikes keep off the mask `slides` and unsafe ground (`safety`: factor of safety), and their share of
    the mask `mapped` is the spec's. `roads` is a mask; None lets them be drawn.
    """
    shape = ground.slope.shape
    cover = plants.copy()
    for kind, mask in _look_alikes(spec, rng, ground, safety, mapped, ~slides & (cover != BUILT)):
        cover[mask] = kind
    cover[_roads(rng, ground) if roads is None else roads] = ROAD
    if spec.snow_line_m is not None:
        cover[snow_over(ground, spec.snow_line_m, correlated_noise(rng, shape, 12)) & ~slides] = SNOW
    cover[ground.water] = WATER
    return cover


def snow_over(ground: CoverFactors, snow_line_m: float, drifts: np.ndarray) -> np.ndarray:
    """Mask (row, col) of snow: above the snow line, lower in drifts (noise of unit variance) and on northern
    slopes, not on cliffs."""
    depth = 120 * drifts + 220 * np.cos(ground.aspect) - 6 * np.maximum(ground.slope - 35, 0)
    return (ground.elevation + depth > snow_line_m) & (ground.elevation > snow_line_m - 150)


def _look_alikes(
    spec: TwinSpec,
    rng: np.random.Generator,
    ground: CoverFactors,
    safety: np.ndarray,
    mapped: np.ndarray,
    allowed: np.ndarray,
) -> Iterator[tuple[int, np.ndarray]]:
    """Kind and mask of bare patches as large as slides but on stable ground: cleared soil, rock on ridges,
    quarries near valleys, bars by rivers."""
    shape = ground.slope.shape
    total = spec.look_alike_share * mapped.sum()
    stable = allowed & (safety > np.quantile(safety[mapped], 0.55))
    ridge = stable & (ground.position > np.quantile(ground.position[mapped], 0.65))
    gentle = stable & (ground.slope < np.quantile(ground.slope[mapped], 0.4))
    floor = allowed & (ground.river_distance < 150) & (ground.slope < 15)
    patches = (correlated_noise(rng, shape, correlation, 1.8) for correlation in (7, 7, 6, 5))
    yield SOIL, highest(next(patches) - ground.slope / 22, gentle & ~ridge, mapped, 0.55 * total)
    yield ROCK, highest(next(patches) + 0.3 * (ground.lithology == 3), ridge, mapped, 0.38 * total)
    steep = stable & (ground.slope < 30)
    yield QUARRY, highest(next(patches) - ground.river_distance / 1500, steep, mapped, 0.04 * total)
    yield BAR, highest(next(patches) - ground.river_distance / 40, floor, mapped, 0.03 * total)


def _roads(rng: np.random.Generator, ground: CoverFactors) -> np.ndarray:
    """Roads: cheapest ways over gentle ground between places in valleys, found on a grid four times coarser
    and drawn one pixel wide."""
    step = 4
    cost = (
        1
        + (ground.slope[::step, ::step] / 8) ** 2
        + 30 * ground.water[::step, ::step]
        + 4 * ground.height[::step, ::step]
    )
    cost = ndimage.gaussian_filter(cost, 1)
    rows, cols = cost.shape
    ends = [(rng.integers(rows), edge) for edge in (0, cols - 1)] + [
        (edge, rng.integers(cols)) for edge in (0, rows - 1)
    ]
    ends += [(rng.integers(rows), rng.integers(cols)) for _ in range(3)]
    mask = np.zeros(ground.slope.shape, bool)
    hub = np.unravel_index(
        np.argmin(
            cost + 0.02 * np.hypot(*(np.indices(cost.shape) - np.array(cost.shape)[:, None, None] / 2))
        ),
        cost.shape,
    )
    for end in ends:
        way = np.array(route_through_array(cost, end, hub, fully_connected=True)[0], float)
        if len(way) < 4:
            continue
        way = ndimage.gaussian_filter1d(way, 1.2, axis=0, mode="nearest") * step + step / 2
        fine = np.linspace(0, len(way) - 1, 6 * step * len(way) // 4)
        at = np.column_stack([np.interp(fine, np.arange(len(way)), way[:, axis]) for axis in (0, 1)]).astype(
            int
        )
        mask[np.clip(at[:, 0], 0, mask.shape[0] - 1), np.clip(at[:, 1], 0, mask.shape[1] - 1)] = True
    return mask
