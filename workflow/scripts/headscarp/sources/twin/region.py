"""What a region has besides a site: rain, places, roads, soils, land use, a surveyed district, and slides
that depend on all of them."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import minimum_spanning_tree
from skimage.graph import MCP_Geometric

from headscarp.sources.twin import cover as covers
from headscarp.sources.twin.fields import correlated_noise, highest, strips
from headscarp.sources.twin.geography import distance_from, distance_to, largest_part, piece_of
from headscarp.sources.twin.slides import infinite_slope
from headscarp.sources.twin.spec import COARSE_FACTOR, SURVEY_SIZES, TwinSpec
from headscarp.sources.twin.strata import CARBONATE, CLASTIC, COHESION, FRICTION_DEG, RED_BED, ROCK, SLATE

# One place (village or town) in so many km2, and paths of the network beyond its minimum spanning tree.
_KM2_PER_PLACE, _EXTRA_PATHS = 6.0, 0.3
# Root cohesion (Pa) by land cover, after the ranges of Schmidt et al. (2001).
_ROOTS = {covers.FOREST: 5.0e3, covers.SHRUB: 3.5e3, covers.GRASS: 1.5e3, covers.FIELD: 0.5e3}
# What a road cut and an undercut bank take from cohesion beside them, and the distances (m) over which that
# falls by e.
_ROAD_CUT, _ROAD_REACH_M = 0.65, 90.0
_UNDERCUT, _BANK_REACH_M = 0.45, 120.0
# Catchment per contour length that saturates the soil under the mean rain (m), and saturated share between
# the driest and wettest place.
_SATURATING_M, _RAIN_WETNESS = 1500.0, 0.45
# What the ground within this distance (m) does to a slope and no factor of the slope itself shows: by how
# much the logarithm of its factor of safety falls from the crest of a valley side to its foot, and the depth
# of a valley (m) that halves it.
_NEIGHBOURHOOD_M = 1000.0
_UPSLOPE, _VALLEY_M = 2.5, 150.0
# Slip volume from area, V = 0.074 A^1.450 (Guzzetti et al., 2009), and the limits of DZ/T 0261-2014 (m3).
_VOLUME_FACTOR, _VOLUME_EXPONENT = 0.074, 1.450
_MEDIUM_M3, _LARGE_M3, _EXTRA_LARGE_M3 = 1e5, 1e6, 1e7
# Places that are tried for the district.
_DISTRICTS = 24

LAND_USE = {
    10: "cropland",
    20: "forest",
    30: "grassland",
    50: "wetland",
    60: "water bodies",
    80: "artificial surfaces",
}
_USE_OF_COVER = {
    covers.FOREST: 20,
    covers.SHRUB: 20,
    covers.GRASS: 30,
    covers.FIELD: 10,
    covers.SOIL: 10,
    covers.ROCK: 30,
    covers.QUARRY: 80,
    covers.BAR: 50,
    covers.ROAD: 80,
    covers.BUILT: 80,
    covers.WATER: 60,
}
SOILS = (
    "haplic acrisols",
    "humic acrisols",
    "ferric alisols",
    "haplic alisols",
    "cumulic anthrosols",
    "dystric cambisols",
    "ferralic cambisols",
    "rendzic leptosols",
    "haplic luvisols",
    "ferric lixisols",
    "chromic luvisols",
    "calcaric regosols",
    "dystric regosols",
    "water bodies",
)
_HUMIC, _ANTHROSOL, _WATER = 2, 5, 14
# Soils over each kind of rock, from one end of a noise to the other.
_SOILS_OF_ROCK = {CARBONATE: (8, 9, 11), RED_BED: (10, 12, 13), CLASTIC: (1, 4, 6), SLATE: (3, 7)}


@dataclass(frozen=True)
class RegionLayers:
    """Layers of a region beside those of a scene.

    rainfall: (row, col) float32 mm a year on `spec.coarser_grid(rain_factor(spec))`; dem: float32 m, soil:
    uint8 of `SOILS` from 1, units: uint8 of `strata.UNITS` from 1, each on
    `spec.coarser_grid(spec.coarse_factor)`; land_use: uint8 of `LAND_USE`, ndvi_before: float32, the NDVI
    before any slide, each on the DEM's grid; roads: lines (n, 2) in rows and columns of the DEM's grid;
    settlements, water, district: masks of the image's pixels; surveyed: for each class of slip volume the
    numbers of the slides in the district that were surveyed.
    """

    rainfall: np.ndarray
    dem: np.ndarray
    soil: np.ndarray
    units: np.ndarray
    land_use: np.ndarray
    ndvi_before: np.ndarray
    roads: list[np.ndarray]
    settlements: np.ndarray
    water: np.ndarray
    district: np.ndarray
    surveyed: dict[str, list[int]]


def block_mean(fine: np.ndarray, factor: int) -> np.ndarray:
    """Means over blocks of `factor` x `factor` cells; the last row and column are repeated where a side is no
    multiple."""
    padded = np.pad(fine, [(0, -size % factor) for size in fine.shape], mode="edge")
    return padded.reshape(padded.shape[0] // factor, factor, padded.shape[1] // factor, factor).mean(
        axis=(1, 3)
    )


def block_majority(fine: np.ndarray, factor: int) -> np.ndarray:
    """The commonest code in each block of `factor` x `factor` cells, the lowest of equals."""
    codes = np.unique(fine)
    most, result = None, None
    for code in codes:
        share = block_mean(fine == code, factor)
        if most is None:
            most, result = share, np.full(share.shape, code, fine.dtype)
        more = share > most
        result[more], most[more] = code, share[more]
    return result


def rain_factor(spec: TwinSpec) -> int:
    """Side of a cell of the rain in pixels of the image: about 1 km."""
    return round(1000 / spec.resolution_m)


def annual_rain(
    spec: TwinSpec, rng: np.random.Generator, dem: np.ndarray, rainfall_mm: tuple[float, float]
) -> np.ndarray:
    """Annual rain (mm) on cells of 1 km, in the range `rainfall_mm`: more on high ground and where moist air
    from the south-east rises."""
    factor = rain_factor(spec)
    spacing = spec.dem_grid.resolution
    broad = ndimage.gaussian_filter(dem, 700 / spacing)
    southward, eastward = np.gradient(ndimage.gaussian_filter(dem, 1500 / spacing))
    # Air that moves to the north-west rises over ground that falls to the south-east.
    lift = -(southward + eastward)
    shape = spec.coarser_grid(factor).shape
    at = [
        np.minimum((np.arange(size) + 0.5) * factor / spec.dem_factor, limit - 1)
        for size, limit in zip(shape, dem.shape, strict=True)
    ]
    where = np.meshgrid(*at, indexing="ij")
    height, lift = (ndimage.map_coordinates(field, where, order=1) for field in (broad, lift))
    rain = (
        height / height.std()
        + 0.7 * lift / lift.std()
        + 0.3 * correlated_noise(rng, shape, max(2, min(shape) / 5))
    )
    driest, wettest = rainfall_mm
    return (driest + (rain - rain.min()) / np.ptp(rain) * (wettest - driest)).astype(np.float32)


def places_and_roads(
    spec: TwinSpec,
    rng: np.random.Generator,
    dem: np.ndarray,
    slope_deg: np.ndarray,
    river_distance: np.ndarray,
    water: np.ndarray,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Places (n, 2) and roads between them (lines) in rows and columns of the DEM's grid, on which the
    arguments are given.

    Roads are the cheapest paths between neighbouring places over gentle ground: a minimum spanning tree and
    some of the cheaper other ones. Four places on the border let roads leave the scene; they are no
    settlements.
    """
    height, slope, river, wet = (
        block_mean(field, COARSE_FACTOR) for field in (dem, slope_deg, river_distance, water)
    )
    shape = height.shape
    height = (height - height.min()) / np.ptp(height)
    above_valley = height - ndimage.gaussian_filter(height, 10)
    appeal = (
        0.5 * correlated_noise(rng, shape, 6)
        - slope / 7
        - height
        - 6 * above_valley
        - np.minimum(river, 3000) / 1500
        - 20 * wet
    )
    count = max(4, round(spec.scene_area_km2 / _KM2_PER_PLACE))
    apart = 0.75 * np.sqrt(slope.size / count)
    places: list[tuple[int, int]] = []
    open_ground = np.ones(shape, bool)
    for cell in np.argsort(-appeal, axis=None):
        row, col = divmod(int(cell), shape[1])
        if not open_ground[row, col]:
            continue
        places.append((row, col))
        if len(places) == count:
            break
        reach = int(np.ceil(apart))
        window = tuple(
            slice(max(0, at - reach), min(limit, at + reach + 1))
            for at, limit in zip((row, col), shape, strict=True)
        )
        rows, cols = np.ogrid[window]
        open_ground[window] &= np.hypot(rows - row, cols - col) > apart
    cost = 1 + (slope / 7) ** 2 + 25 * wet + 1.5 * height
    rows, cols = shape
    exits = [(int(cost[:, edge].argmin()), edge) for edge in (0, cols - 1)] + [
        (edge, int(cost[edge].argmin())) for edge in (0, rows - 1)
    ]
    lines = _network(cost, list(dict.fromkeys(places + exits)))
    smooth = [
        ndimage.gaussian_filter1d(line + 0.5, 0.9, axis=0, mode="nearest") * COARSE_FACTOR for line in lines
    ]
    return (np.array(places) + 0.5) * COARSE_FACTOR, smooth


def _network(cost: np.ndarray, places: list[tuple[int, int]]) -> list[np.ndarray]:
    """Cheapest paths (n, 2) between neighbouring places: where the grounds nearest to two places meet, at the
    cheapest crossing."""
    shape = cost.shape
    paths = MCP_Geometric(cost)
    spent, steps = paths.find_costs(places)
    spent = spent.ravel()
    offsets = np.array([down * shape[1] + right for down, right in paths.offsets])
    steps = steps.ravel()
    towards = np.arange(spent.size)
    towards[steps >= 0] -= offsets[steps[steps >= 0]]
    origin = towards
    while not np.array_equal(origin[origin], origin):
        origin = origin[origin]

    index = np.arange(spent.size).reshape(shape)
    first = np.concatenate([index[:, :-1].ravel(), index[:-1].ravel()])
    second = np.concatenate([index[:, 1:].ravel(), index[1:].ravel()])
    border = origin[first] != origin[second]
    first, second = first[border], second[border]
    number = {row * shape[1] + col: k for k, (row, col) in enumerate(places)}
    ends = np.array([[number[a], number[b]] for a, b in zip(origin[first], origin[second], strict=True)])
    pair = ends.min(axis=1) * len(places) + ends.max(axis=1)
    weight = spent[first] + spent[second] + 1e-6
    order = np.lexsort((weight, pair))
    best = order[np.unique(pair[order], return_index=True)[1]]
    graph = coo_array(
        (weight[best], (ends[best].min(axis=1), ends[best].max(axis=1))), shape=(len(places),) * 2
    )
    rows, cols = minimum_spanning_tree(graph.tocsr()).nonzero()
    in_tree = np.isin(pair[best], np.minimum(rows, cols) * len(places) + np.maximum(rows, cols))
    others = best[~in_tree]
    kept = [
        *best[in_tree],
        *others[np.argsort(weight[others], kind="stable")][: round(_EXTRA_PATHS * len(others))],
    ]
    return [
        np.column_stack(
            np.unravel_index([*_way(towards, first[k])[::-1], *_way(towards, second[k])], shape)
        ).astype(float)
        for k in kept
    ]


def _way(towards: np.ndarray, cell: int) -> list[int]:
    """Cells from one to the place it belongs to."""
    way = [int(cell)]
    while towards[way[-1]] != way[-1]:
        way.append(int(towards[way[-1]]))
    return way


def remoteness(
    spec: TwinSpec, rng: np.random.Generator, places: np.ndarray, road_distance: np.ndarray
) -> np.ndarray:
    """How far from people each pixel is (row, col): distance to the nearest place over that place's size, and
    to roads."""
    mask = np.zeros(road_distance.shape, bool)
    rows, cols = (places * spec.dem_factor).astype(int).T
    mask[rows, cols] = True
    size = np.zeros(mask.shape, np.float32)
    size[rows, cols] = 150 * rng.lognormal(0, 0.6, len(places))
    nearest = ndimage.distance_transform_edt(
        ~mask, sampling=spec.resolution_m, return_distances=False, return_indices=True
    )
    remote = np.empty(mask.shape)
    for rows in strips(mask.shape):
        distance = distance_from(nearest, rows, spec.resolution_m)
        remote[rows] = distance / size[tuple(nearest[:, rows])] + road_distance[rows] / 120
    return remote


def valley_side(spec: TwinSpec, dem: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each cell lies on its valley side, and how deep the valley is: the share of the range of
    elevation within `_NEIGHBOURHOOD_M` that lies above it (0 crest, 1 foot), and that range (m).

    Both (row, col) on `spec.coarser_grid(spec.coarse_factor)`, from a DEM on `spec.dem_grid`.
    """
    height = block_mean(dem, COARSE_FACTOR)
    reach = round(_NEIGHBOURHOOD_M / (spec.resolution_m * spec.coarse_factor))
    down, right = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    around = np.hypot(down, right) <= reach
    crest, floor = (
        filtered(height, footprint=around, mode="nearest")
        for filtered in (ndimage.maximum_filter, ndimage.minimum_filter)
    )
    return (crest - height) / np.maximum(crest - floor, 1.0), crest - floor


def factor_of_safety(
    spec: TwinSpec,
    rng: np.random.Generator,
    slope_deg: np.ndarray,
    units: np.ndarray,
    contributing_m: np.ndarray,
    rain_mm: np.ndarray,
    river_distance: np.ndarray,
    road_distance: np.ndarray,
    fault_distance: np.ndarray,
    plants: np.ndarray,
    upslope: np.ndarray,
    valley_m: np.ndarray,
) -> np.ndarray:
    """Factor of safety, shape (row, col), from all that susceptibility is mapped by: that of an infinite
    slope, less at the foot of a valley side and in deep valleys.

    Cohesion is that of the unit's soil, less beside faults, road cuts and undercut banks (distances in m),
    and of roots (`plants`: land cover); water comes from the catchment (m2 per m of contour) and annual rain.
    Soil varies by itself too, which no layer shows. The valley side is that of `valley_side`: it takes a
    neighbourhood to see it, so that windows of cells can tell more than cells.
    """
    roots = np.zeros(covers.SNOW + 1, np.float32)
    for kind, strength in _ROOTS.items():
        roots[kind] = strength
    driest, wettest = spec.region.rainfall_mm
    soil = correlated_noise(rng, slope_deg.shape, 8, 1.0)
    safety = np.empty_like(slope_deg)
    for rows in strips(safety.shape):
        slope = np.radians(np.clip(slope_deg[rows], 1.0, 80.0))
        cohesion = COHESION[units[rows]] * (1 - 0.3 * np.exp(-fault_distance[rows] / 2000.0))
        cohesion *= 1 - _ROAD_CUT * np.exp(-road_distance[rows] / _ROAD_REACH_M)
        cohesion *= 1 - _UNDERCUT * np.exp(-river_distance[rows] / _BANK_REACH_M)
        cohesion *= np.exp(0.2 * soil[rows]).astype(np.float32)
        cohesion += roots[plants[rows]]
        rain = rain_mm[rows] / ((driest + wettest) / 2)
        wetness = contributing_m[rows] * rain**2 / (np.sin(slope) * _SATURATING_M) + _RAIN_WETNESS * (
            rain_mm[rows] - driest
        ) / (wettest - driest)
        alone = infinite_slope(slope, cohesion, FRICTION_DEG[units[rows]], np.clip(wetness, 0, 1))
        safety[rows] = alone * np.exp(_UPSLOPE * (0.5 - upslope[rows])) / (1 + valley_m[rows] / _VALLEY_M)
    return safety


def land_use(
    spec: TwinSpec, cover: np.ndarray, river_distance: np.ndarray, slope_deg: np.ndarray
) -> np.ndarray:
    """Codes of `LAND_USE` on the DEM's grid (row, col) uint8, the commonest in each cell; level ground by
    rivers is wetland."""
    codes = np.zeros(covers.SNOW + 1, np.uint8)
    for kind, code in _USE_OF_COVER.items():
        codes[kind] = code
    use = codes[cover]
    use[(river_distance < 80) & (slope_deg < 2.5) & np.isin(use, (20, 30))] = 50
    return block_majority(use, spec.dem_factor)


def soils(rng: np.random.Generator, units: np.ndarray, dem: np.ndarray, use: np.ndarray) -> np.ndarray:
    """Codes of `SOILS` (row, col) uint8 on the grid of the arguments: by rock, elevation and land use, in
    patches as broad as a map's."""
    shape = units.shape
    patch = correlated_noise(rng, shape, max(shape) / 14, 2.0)
    stretched = np.argsort(np.argsort(patch, axis=None)).reshape(shape) / patch.size
    rock = ROCK[units]
    soil = np.zeros(shape, np.uint8)
    for kind, choices in _SOILS_OF_ROCK.items():
        at = rock == kind
        soil[at] = np.array(choices, np.uint8)[
            np.minimum((stretched[at] * len(choices)).astype(int), len(choices) - 1)
        ]
    soil[(dem > np.quantile(dem, 0.93)) & (rock != CARBONATE)] = _HUMIC
    farmed = ndimage.gaussian_filter((use == 10).astype(float), 3) > 0.55
    soil[farmed & (dem < np.quantile(dem, 0.5))] = _ANTHROSOL
    soil[use == 60] = _WATER
    return soil


def refined(mask: np.ndarray, factor: int) -> np.ndarray:
    """A mask of one piece on a grid `factor` times finer: the same area with a smooth outline."""
    fine = np.repeat(np.repeat(mask.astype(np.float32), factor, 0), factor, 1)
    everywhere = np.ones(fine.shape, bool)
    return largest_part(
        highest(ndimage.gaussian_filter(fine, 0.7 * factor), everywhere, everywhere, mask.sum() * factor**2)
    )


def district_area(
    spec: TwinSpec, rng: np.random.Generator, mapped: np.ndarray, slides: np.ndarray
) -> np.ndarray:
    """Mask (row, col) of the image's pixels in the surveyed district: one compact piece of the study area
    `mapped`, of the spec's area.

    Of several places the one is taken in which slides have nearest to the same share of the ground as in the
    study area.
    """
    factor = spec.coarse_factor
    inside, slide = block_mean(mapped, factor), block_mean(slides, factor)
    allowed = ndimage.binary_erosion(inside == 1, iterations=2)
    wanted = spec.region.district_km2 * 1e6 / (spec.resolution_m * factor) ** 2
    overall = slides.sum() / mapped.sum()
    rows, cols = np.indices(allowed.shape)
    radius = np.sqrt(wanted / np.pi)
    centres = np.argwhere(allowed & (distance_to(~allowed, 1.0) > 0.5 * radius))
    if not len(centres):
        centres = np.argwhere(allowed)
    best, least = None, np.inf
    for row, col in centres[rng.integers(len(centres), size=_DISTRICTS)]:
        score = (
            0.25 * correlated_noise(rng, allowed.shape, max(2.0, radius / 3), 2.0)
            - np.hypot(rows - row, cols - col) / radius
        )
        district = piece_of(score, allowed, wanted)
        share = abs(slide[district].mean() / overall - 1) + 5 * abs(district.sum() / wanted - 1)
        if share < least:
            best, least = district, share
    return refined(best, factor)


def slip_volume(area_m2: np.ndarray) -> np.ndarray:
    """Slip volume (m3) of slides from their area: V = 0.074 A^1.450 (Guzzetti et al., 2009, Earth Planet.
    Sci. Lett. 279, Eq. 3)."""
    return _VOLUME_FACTOR * np.asarray(area_m2, float) ** _VOLUME_EXPONENT


def size_class(volume_m3: np.ndarray) -> np.ndarray:
    """Class of a slip volume in DZ/T 0261-2014: small below 1e5 m3, medium below 1e6 m3, large below 1e7 m3;
    extra large from there on."""
    names = np.array([*SURVEY_SIZES, "extra large"])
    return names[np.digitize(volume_m3, [_MEDIUM_M3, _LARGE_M3, _EXTRA_LARGE_M3])]


def survey(
    spec: TwinSpec, rng: np.random.Generator, instances: np.ndarray, district: np.ndarray
) -> dict[str, list[int]]:
    """Numbers of the district's surveyed slides for each class of slip volume: as many as the spec says, or
    all there are."""
    numbers = np.unique(instances[district])
    numbers = numbers[numbers > 0]
    sizes = size_class(slip_volume(np.bincount(instances.ravel())[numbers] * spec.resolution_m**2))
    chosen = {}
    for size, count in spec.region.surveyed.items():
        found = numbers[sizes == size]
        chosen[size] = sorted(
            int(number) for number in rng.choice(found, min(count, len(found)), replace=False)
        )
    return chosen
