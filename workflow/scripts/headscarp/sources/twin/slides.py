"""Landslides: where a slope is least stable, how large, and how far down they run."""

import numpy as np
from scipy import ndimage, special
from scipy.spatial import cKDTree

from headscarp.errors import HeadscarpError
from headscarp.sources.twin.fields import correlated_noise
from headscarp.sources.twin.spec import EARTHQUAKE, TwinSpec

# Shape of the inverse-gamma distribution of slide areas (Malamud et al., 2004: rho = 1.4 for triggered
# inventories).
AREA_SHAPE = 1.4
# Lithology codes 1 soft, 2 soft-hard, 3 hard: cohesion (Pa) and friction angle (degrees) of the soil over it.
_COHESION = np.array([np.nan, 7e3, 9e3, 12e3])
_FRICTION_DEG = np.array([np.nan, 25.0, 30.0, 36.0])
_SOIL_M = 3.0
_SOIL_WEIGHT, _WATER_WEIGHT = 19e3, 9.81e3
# Peak horizontal acceleration (g) at the fault and the distance over which it falls by e; catchment per
# contour that saturates soil.
_SHAKING_G, _SHAKING_REACH_M = 0.45, 4000.0
_SATURATING_M = 900.0
# Slides smaller than this are not mapped (pixels), and those of a region are no larger (m2): a slip of 1e7
# m3, extra large in DZ/T 0261.
_SMALLEST_PX, _LARGEST_M2 = 4, 4.0e5
# Places tried before a slide is given up; the later ones with ever more compact bodies.
_ATTEMPTS = 1200
# After so many slides the places taken are dropped from the list of candidates.
_SLIDES_PER_SWEEP = 50
# Shallow slides of a region: how much their place owes to chance (in units of the factor of safety's
# logarithm: its range is wider than a site's), length over width, and the gentlest slope (degrees) on which
# they start.
_REGION_CHANCE, _REGION_SLENDER, _REGION_SLOPE_DEG = 0.65, 5.0, 10.0


def factor_of_safety(
    spec: TwinSpec,
    slope_deg: np.ndarray,
    lithology: np.ndarray,
    contributing_m: np.ndarray,
    fault_distance: np.ndarray,
    above_water: np.ndarray,
) -> np.ndarray:
    """Factor of safety of an infinite slope, shape (row, col).

    Rain wets the soil by contributing area per contour length and slope (Montgomery and Dietrich, 1994) and a
    reservoir its banks; an earthquake adds a horizontal force that falls off with distance (m) from the fault
    (pseudo-static). Crushed rock near the fault has less cohesion.
    """
    slope = np.radians(np.clip(slope_deg, 1.0, 80.0))
    cohesion = _COHESION[lithology] * (1 - 0.3 * np.exp(-fault_distance / 4000.0))
    wetness = contributing_m / (np.sin(slope) * _SATURATING_M)
    if spec.reservoir:
        wetness = wetness + 0.9 * np.exp(-np.maximum(above_water, 0) / 90.0)
    wetness = np.clip(wetness, 0, 1) if spec.trigger != EARTHQUAKE else np.clip(0.3 * wetness, 0, 0.3)
    shaking = _SHAKING_G * np.exp(-fault_distance / _SHAKING_REACH_M) if spec.trigger == EARTHQUAKE else 0.0
    return infinite_slope(slope, cohesion, _FRICTION_DEG[lithology], wetness, shaking)


def infinite_slope(
    slope: np.ndarray,
    cohesion: np.ndarray,
    friction_deg: np.ndarray,
    wetness: np.ndarray,
    shaking: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Factor of safety of soil on an infinite slope (radians): cohesion (Pa), friction angle, saturated share
    of the soil's depth, and horizontal acceleration (g)."""
    weight = _SOIL_WEIGHT * _SOIL_M
    normal = (
        weight * np.cos(slope) * (np.cos(slope) - shaking * np.sin(slope))
        - wetness * _WATER_WEIGHT * _SOIL_M * np.cos(slope) ** 2
    )
    driving = weight * np.cos(slope) * (np.sin(slope) + shaking * np.cos(slope))
    return (cohesion + normal * np.tan(np.radians(friction_deg))) / driving


def slide_areas(spec: TwinSpec, rng: np.random.Generator) -> np.ndarray:
    """Areas (m2) of the slides, largest first: inverse gamma, one draw in each of as many equal slices of
    probability, scaled to the total.

    The law's mean is carried by rare giants, so areas stop at the larger of 9 % of the total and 2.5 means;
    none is below the smallest that is mapped.
    """
    count, total = spec.landslides, spec.landslide_area_km2 * 1e6
    shares = (np.arange(count) + rng.uniform(0.1, 0.9, count)) / count
    unit = 1 / special.gammainccinv(AREA_SHAPE, shares)  # quantiles of the inverse gamma distribution
    smallest, largest = _SMALLEST_PX * spec.resolution_m**2, max(0.09 * total, 2.5 * total / count)
    if spec.region:
        largest = min(largest, _LARGEST_M2)
    low, high = 0.0, total
    for _ in range(60):
        scale = (low + high) / 2
        low, high = (scale, high) if np.clip(unit * scale, smallest, largest).sum() < total else (low, scale)
    return np.sort(np.clip(unit * scale, smallest, largest))[::-1]


def place_slides(
    spec: TwinSpec,
    rng: np.random.Generator,
    elevation: np.ndarray,
    slope_deg: np.ndarray,
    safety: np.ndarray,
    allowed: np.ndarray,
) -> np.ndarray:
    """Instances (row, col) int32, 0 = none, k = slide k: the largest first, each at an unstable free place, a
    pixel apart from the others.

    Raises:
        HeadscarpError: the slides of the spec do not fit into its study area.
    """
    shape = elevation.shape
    instances = np.zeros(shape, np.int32)
    # Outlines ignore details smaller than the slide-forming landforms.
    surface = ndimage.gaussian_filter(elevation, 2.5)
    ragged = correlated_noise(rng, shape, 5, 1.0)
    weakness = ndimage.gaussian_filter(np.log(safety) if spec.region else safety, 1.5)
    free = ndimage.binary_erosion(allowed, iterations=2)
    candidates = np.flatnonzero(free & (slope_deg > (_REGION_SLOPE_DEG if spec.region else 18)))
    # Gumbel noise on the logarithm of the weights exp(-FS / chance) draws without replacement.
    chance = _REGION_CHANCE if spec.region else 0.08
    slender = _REGION_SLENDER if spec.region else 2.4 if spec.trigger == EARTHQUAKE else 1.7
    order = rng.gumbel(size=candidates.size)
    np.subtract(weakness.ravel()[candidates] / chance, order, out=order)
    rank = candidates[np.argsort(order, kind="stable")]
    del candidates, order
    open_start = np.ones(shape, bool)
    for number, area in enumerate(slide_areas(spec, rng), start=1):
        pixels = round(area / spec.resolution_m**2)
        # No strip is narrower than two pixels.
        elongation = min(rng.lognormal(np.log(slender), 0.25), pixels / 4)
        if number % _SLIDES_PER_SWEEP == 1:
            rank = rank[(free & open_start).ravel()[rank]]
        grown = None
        for attempt, start in enumerate(
            place for place in rank if free.flat[place] and open_start.flat[place]
        ):
            length = np.sqrt(pixels * elongation * max(0.4, 1 - attempt / 600))
            grown = grow(
                divmod(int(start), shape[1]), pixels, length, surface, slope_deg, weakness, ragged, free
            )
            if grown is not None or attempt == _ATTEMPTS:
                break
            # The thousands of slides of a region do not try again where another did not fit.
            open_start.flat[start] = not spec.region
        if grown is None:
            raise HeadscarpError(
                f"twin: slide {number} of {spec.landslides} ({area:.0f} m2) "
                "finds no room; lower landslide_area_km2 or raise study_area_km2"
            )
        instances[grown] = number
        window = tuple(slice(max(0, part.min() - 2), part.max() + 3) for part in grown)
        free[window] &= ~ndimage.binary_dilation(
            instances[window] == number, np.ones((3, 3), bool), iterations=2
        )
    return instances


def grow(
    start: tuple[int, int],
    pixels: int,
    length: float,
    surface: np.ndarray,
    slope_deg: np.ndarray,
    weakness: np.ndarray,
    ragged: np.ndarray,
    free: np.ndarray,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Rows and columns of a slide of `pixels` pixels from `start` about `length` pixels downslope, or None
    where it does not fit.

    The body surrounds the line of steepest descent, rounded at the crown and tapering to the toe, and prefers
    weak and steep ground.
    """
    path = _descent(start, length, surface, slope_deg, free)
    if len(path) < 0.5 * length:
        return None
    reach = int(1.5 * length + 6)
    window = tuple(
        slice(max(0, path[:, axis].min() - reach), min(free.shape[axis], path[:, axis].max() + reach + 1))
        for axis in (0, 1)
    )
    rows, cols = np.mgrid[window]
    distance, nearest = cKDTree(path).query(np.column_stack([rows.ravel(), cols.ravel()]))
    along = nearest / max(1, len(path) - 1)
    breadth = pixels / len(path) * (0.55 + 0.75 * np.sin(np.pi * np.clip(along + 0.12, 0, 1)) ** 0.7) / 2
    score = (distance / breadth).reshape(rows.shape)
    steep = max(20.0, slope_deg[start] - 6)
    score += (
        0.22 * ragged[window]
        + 0.9 * np.clip(weakness[window] - weakness[start], -0.3, 1.0)
        + 0.05 * np.maximum(steep - slope_deg[window], 0)
    )
    score[~free[window]] = np.inf
    origin = start[0] - window[0].start, start[1] - window[1].start
    low, high = score[origin], score[np.isfinite(score)].max()
    body = None
    for _ in range(18):
        middle = (low + high) / 2
        parts, _ = ndimage.label(score <= middle)
        part = parts == parts[origin] if parts[origin] else np.zeros(parts.shape, bool)
        if part.sum() <= pixels:
            low, body = middle, part
        else:
            high = middle
    if body is None or body.sum() < 0.93 * pixels:
        return None
    inside = np.nonzero(body)
    return inside[0] + window[0].start, inside[1] + window[1].start


def _descent(
    start: tuple[int, int], length: float, surface: np.ndarray, slope_deg: np.ndarray, free: np.ndarray
) -> np.ndarray:
    """Cells (n, 2) of steepest descent from `start`, as long as they are free and not yet on flat ground, up
    to `length` cells."""
    path = [start]
    row, col = start
    travelled = 0.0
    while travelled < length:
        around = surface[row - 1 : row + 2, col - 1 : col + 2]
        down, right = (int(step) - 1 for step in divmod(int(np.argmin(around)), 3))
        if (down, right) == (0, 0):
            break
        row, col = row + down, col + right
        if not free[row, col] or slope_deg[row, col] < 12:
            break
        path.append((row, col))
        travelled += np.hypot(down, right)
    return np.array(path)


def imprint(elevation: np.ndarray, instances: np.ndarray, resolution: float, freshness: float) -> np.ndarray:
    """Change of elevation (m): slides leave a hollow at the crown and a lobe at the toe, deeper the larger
    and fresher they are."""
    change = np.zeros(elevation.shape)
    for number, window in enumerate(ndimage.find_objects(instances), start=1):
        body = instances[window] == number
        heights = elevation[window][body]
        upward = (heights - heights.min()) / max(np.ptp(heights), 1.0)
        depth = 0.012 * np.sqrt(body.sum()) * resolution * (0.4 + 0.6 * freshness)
        change[window][body] = depth * np.interp(
            upward, [0, 0.25, 0.55, 0.85, 1], [0.2, 0.7, -0.2, -1.0, -0.4]
        )
    return ndimage.gaussian_filter(change, 1.5, output=change)
