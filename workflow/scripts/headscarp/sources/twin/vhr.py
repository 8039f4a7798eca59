"""The ground of a very-high-resolution twin: valley, mine, river, roads, buildings, plants, and slides that
appear and grow."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, stats

from headscarp.codes import LAND_COVER, LANDSLIDE
from headscarp.errors import HeadscarpError
from headscarp.sources.twin.fields import (
    blurred_noise,
    correlated_noise,
    highest,
    resample_to,
    slope_and_aspect,
    winding_line,
)
from headscarp.sources.twin.geography import distance_to
from headscarp.sources.twin.slides import grow, imprint
from headscarp.sources.twin.terrain import cells_of_lines
from headscarp.sources.twin.vhr_spec import PIXEL_M, VhrSpec

BARE, BUILDING, VEGETATION, WATER, ROAD = (code for code in range(len(LAND_COVER)) if code != LANDSLIDE)
# Each slide that does not change prefers a slope drawn from this range (degrees); none lies on gentler ground
# than its foot. People build and dig on slopes up to one drawn for each neighbourhood, at most so far beyond
# the valley floor (share of the side), a good part of it on hillsides, which are steeper than _HILL_DEG. The
# two overlap, as where villages stand on terraces: slope alone tells neither for sure.
SLIDE_DEG, _FOOT_DEG, BUILT_DEG, _HILL_DEG, _HILLSIDE = (14.0, 46.0), 8.0, (8.0, 36.0), 10.0, 0.2
# How far from its preferred slope a slide starts (degrees).
_SLOPE_SPREAD = 4.0
# Slides avoid a tile of the scene, and a side of the light, the more the more of them are there already: so
# many tiles a side, and how strongly (in units of the Gumbel noise that draws their places).
_TILES, _CROWDING = 4, 2.5
# Terrain is built in cells of a metre.
_TERRAIN_M = 1.0
_TO_FINE = _TERRAIN_M / PIXEL_M
# Size of the reference scene's features (m): river and road width, bench height of the mine.
_RIVER_M, _ROAD_M, _LANE_M, _BENCH_M = 32.0, 10.0, 6.0, 6.0
# Half the width of the gentle valley floor and half the axes of the mine, as shares of the scene's side.
_FLOOR, _MINE = 0.13, (0.10, 0.065)
# Share of the hillsides' gradient that is of ridges and side valleys, which face all ways on both sides of
# the river; the rest falls to the floor. Their width as a share of the scene's side.
_RIDGED, _RIDGE = 0.88, 0.11
# Mean distance of the road from the river's axis, and how far the floor reaches at least, as shares of the
# side.
_ROAD_AT, _ROAD_REACH = 0.085, 0.115
# Specks beside a slide that are smaller than this (fine cells) are no part of it.
_SMALLEST_PIECE = 60
# What befalls a slide between the first and the last image.
UNCHANGED, GROWN, NEW = "unchanged", "grown", "new"


@dataclass(frozen=True)
class Slide:
    """A landslide: number from 1; UNCHANGED, GROWN or NEW; its reach at each image, the depth (see
    `ValleyGround`) up to which it has come, negative before it starts; whether a sand-proof net covers part
    of it."""

    number: int
    status: str
    reach: tuple[float, ...]
    netted: bool

    @property
    def unstable(self) -> bool:
        """Whether it is one of those that change on the unstable slope; the others change beside the mine."""
        return self.status != UNCHANGED and _on_unstable_slope(self.number)


@dataclass(frozen=True)
class ValleyGround:
    """The ground in cells of `PIXEL_M`, arrays (row, col) of `spec.cells` a side.

    elevation: bare ground, m, float32; height: of trees and buildings above it, m, float32; base: classes
    without slides, uint8; owner: number of the nearest slide, int32; depth: 0 at the heart of that slide, 1
    at its final rim, more outside, float32; roof: kind of roof from 1, 0 none, uint8; works: raw debris on
    gentle ground that looks like slides, bool; mine: bool; furrow: relief of fields, 0 elsewhere, float32;
    crowns: under a tree, bool. surface: the elevation in cells of a metre over the same extent, float64.
    """

    spec: VhrSpec
    elevation: np.ndarray
    height: np.ndarray
    base: np.ndarray
    owner: np.ndarray
    depth: np.ndarray
    roof: np.ndarray
    works: np.ndarray
    mine: np.ndarray
    furrow: np.ndarray
    crowns: np.ndarray
    slides: tuple[Slide, ...]
    surface: np.ndarray

    def instances_at(self, date: int) -> np.ndarray:
        """Slides at the `date`-th image, int32 (row, col), 0 none."""
        reach = np.array([-1.0, *(slide.reach[date] for slide in self.slides)], np.float32)
        body = ndimage.binary_opening(self.depth <= reach[self.owner], np.ones((3, 3), bool))
        pieces, _ = ndimage.label(body)
        body &= np.bincount(pieces.ravel())[pieces] >= _SMALLEST_PIECE
        return np.where(body, self.owner, 0).astype(np.int32)

    def nets(self) -> np.ndarray:
        """Cells under sand-proof nets (bool): the middle of the netted slides, which do not move."""
        netted = np.array([False, *(slide.netted for slide in self.slides)])
        return netted[self.owner] & (self.depth <= 0.75)

    def classes_at(self, instances: np.ndarray) -> np.ndarray:
        """Classes (uint8) once the slides of a date lie on the ground."""
        return np.where(instances > 0, LANDSLIDE, self.base).astype(np.uint8)


def build_ground(spec: VhrSpec, seed: int) -> ValleyGround:
    """Simulate the ground; the same spec and seed give the same ground.

    Raises:
        HeadscarpError: the slides do not fit onto the slopes.
    """
    # One generator per part, so that a change to one part leaves the others as they were.
    parts = ("terrain", "river", "roads", "works", "slides", "buildings", "plants", "fate")
    rngs = dict(zip(parts, np.random.default_rng(seed).spawn(len(parts)), strict=True))
    cells = round(spec.extent_m / _TERRAIN_M)
    shape, fine = (cells, cells), (spec.cells, spec.cells)

    course = winding_line(
        rngs["river"], np.array([(y, x) for x, y in spec.river]) * spec.side_m, 4.0, 0.012 * spec.side_m
    )
    axis_distance = distance_to(cells_of_lines([course], shape), _TERRAIN_M)
    elevation, beyond = _valley(spec, rngs["terrain"], axis_distance)
    floor = beyond < 0
    mine = np.zeros(shape, bool)
    if spec.mine is not None:
        elevation, mine = _carve_mine(spec, rngs["terrain"], elevation)
    slope, _ = slope_and_aspect(elevation, _TERRAIN_M)

    roads = _roads(spec, rngs["roads"], course, elevation, floor)
    water = _finer(axis_distance, fine) < 0.5 * _RIVER_M * spec.size
    road = np.zeros(fine, bool)
    for line, width in roads:
        road |= _along(line, width * spec.size, fine)
    busy = _coarser(water | road, shape)

    instances, statuses = _place(
        spec, rngs["slides"], elevation, slope, ndimage.binary_dilation(busy | mine, iterations=3)
    )
    elevation = elevation + imprint(elevation, instances, _TERRAIN_M, 1.0)
    slides = _slide_histories(spec, rngs["fate"], instances, statuses)
    owner, depth = _depths(rngs["fate"], instances, fine)

    slope, aspect = slope_and_aspect(ndimage.gaussian_filter(elevation, 4.0), _TERRAIN_M)
    # Ground that people use, with one limit of slope for each neighbourhood.
    low, high = BUILT_DEG
    limit = low + (high - low) * _uniform(correlated_noise(rngs["works"], shape, 0.05 * spec.side_m, 2.0))
    used = (slope < limit) & (beyond < _HILLSIDE * spec.side_m) & ~busy & (instances == 0)
    used = ndimage.binary_erosion(used) & ~mine
    hill = used & (slope > _HILL_DEG)
    roof, height = _buildings(spec, rngs["buildings"], used, hill, fine)
    works = _works(spec, rngs["works"], used, hill, fine) & ~(water | road | (roof > 0))
    plants, crowns, crown_height, furrow = _plants(
        spec, rngs["plants"], elevation, aspect, axis_distance, floor, fine
    )
    open_ground = ~(water | road | works | (roof > 0) | (_finer(mine.astype(np.float32), fine) > 0.5))
    base = np.full(fine, BARE, np.uint8)
    base[plants & open_ground] = VEGETATION
    for mask, code in ((water, WATER), (road, ROAD), (roof > 0, BUILDING)):
        base[mask] = code
    height = np.where(base == VEGETATION, crown_height, height).astype(np.float32)
    return ValleyGround(
        spec=spec,
        elevation=_finer(elevation, fine),
        height=height,
        base=base,
        owner=owner,
        depth=depth,
        roof=roof,
        works=works,
        mine=_finer(mine.astype(np.float32), fine) > 0.5,
        furrow=furrow,
        crowns=crowns & (base == VEGETATION),
        slides=slides,
        surface=elevation,
    )


def _uniform(noise: np.ndarray) -> np.ndarray:
    """Gaussian noise of unit variance as a share that is uniform from 0 to 1."""
    return stats.norm.cdf(noise)


def _finer(values: np.ndarray, fine: tuple[int, int]) -> np.ndarray:
    return resample_to(values.astype(np.float32), fine, _TO_FINE)


def _coarser(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The cells of the terrain that a fine mask touches."""
    rows, cols = np.nonzero(mask)
    coarse = np.zeros(shape, bool)
    coarse[(rows / _TO_FINE).astype(int), (cols / _TO_FINE).astype(int)] = True
    return coarse


def _along(line: np.ndarray, width: float, fine: tuple[int, int]) -> np.ndarray:
    """Fine cells within half a width (m) of a line (n, 2) in metres."""
    return distance_to(cells_of_lines([line / PIXEL_M], fine), PIXEL_M) <= width / 2


def _valley(
    spec: VhrSpec, rng: np.random.Generator, axis_distance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Elevation (m) of the valley and how far a cell lies beyond its gentle floor (m, negative on it): a
    terrace on both banks, then hillsides with ridges, side valleys and gullies."""
    shape, side = axis_distance.shape, spec.side_m
    spurs = correlated_noise(rng, shape, 0.07 * side, 2.5)
    half = _FLOOR * side * (1 + 0.22 * correlated_noise(rng, shape, 0.18 * side, 3.0))
    # The road's strip stays gentle whatever spur comes down to it.
    beyond = axis_distance - np.maximum(half - 0.035 * side * np.clip(spurs, -1.5, 1.5), _ROAD_REACH * side)
    gentler = 8.0 * np.clip(correlated_noise(rng, shape, 0.2 * side, 3.0), -2, 1)
    steep = np.tan(np.radians(spec.slope_deg + gentler))
    # A smooth foot: the slope begins over some metres, not at an edge.
    foot = 4.0 * spec.size
    rise = foot * np.logaddexp(0, beyond / foot) * steep
    ramp = np.clip(rise / (0.05 * side), 0, 1)
    ridges = correlated_noise(rng, shape, _RIDGE * side, 3.5)
    gradient = np.hypot(*np.gradient(ridges, _TERRAIN_M))
    ridges *= _RIDGED * steep / np.sqrt(np.mean(gradient**2))
    rise *= np.sqrt(1 - _RIDGED**2)
    rough = (correlated_noise(rng, shape, 0.06 * side, 1.4) * 0.012 * side + ridges) * ramp
    bank = 2.5 * spec.size / (1 + np.exp(-(axis_distance - 0.6 * _RIVER_M * spec.size) / 1.5))
    along = np.linspace(0.02 * side, 0, shape[1])[None, :]
    surface = ndimage.gaussian_filter(0.025 * axis_distance + bank + rise + rough + along, 1.5)
    return spec.valley_floor_m + surface - surface.min(), beyond


def _carve_mine(
    spec: VhrSpec, rng: np.random.Generator, elevation: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The mine: benches cut into the slope inside an uneven ellipse, and its mask."""
    rows, cols = np.indices(elevation.shape) * _TERRAIN_M
    (x, y), (long, short) = spec.mine, _MINE
    radius = np.hypot((cols / spec.side_m - x) / long, (rows / spec.side_m - y) / short)
    radius = radius * (1 + 0.16 * correlated_noise(rng, elevation.shape, 0.025 * spec.side_m, 1.5))
    bench = _BENCH_M * spec.size
    steps = np.floor(elevation / bench) * bench + bench * np.clip(
        (elevation % bench / bench - 0.7) / 0.3, 0, 1
    )
    share = 1 / (1 + np.exp((radius - 1) * 18))
    return ndimage.gaussian_filter(elevation * (1 - share) + steps * share, 0.7), radius < 1


def _roads(
    spec: VhrSpec, rng: np.random.Generator, course: np.ndarray, elevation: np.ndarray, floor: np.ndarray
) -> list[tuple[np.ndarray, float]]:
    """Lines (n, 2) in metres (row, col) with widths: a road along the river, lanes from it across the floor
    and over the river."""
    tangent = np.gradient(ndimage.gaussian_filter1d(course, 6, axis=0, mode="nearest"), axis=0)
    normal = np.column_stack([-tangent[:, 1], tangent[:, 0]]) / np.hypot(*tangent.T)[:, None]
    # The bank of the mine, so that a road leads to it.
    sign = 1.0
    if spec.mine is not None:
        target = np.array([spec.mine[1], spec.mine[0]]) * spec.side_m
        nearest = np.argmin(np.hypot(*(course - target).T))
        sign = float(np.sign(normal[nearest] @ (target - course[nearest]))) or 1.0
    swing = 1 + 0.12 * np.sin(np.linspace(0, 9, len(course)) + rng.uniform(0, 6))
    main = course + sign * _ROAD_AT * spec.side_m * swing[:, None] * normal
    lines = [(main, _ROAD_M)]
    for share in np.linspace(0.2, 0.8, max(2, round(6 * spec.size))):
        at = int((share + rng.uniform(-0.06, 0.06)) * (len(course) - 1))
        across = (
            np.linspace(_ROAD_AT * swing[at], -0.11 if len(lines) % 2 else 0.14, 30)[:, None]
            * spec.side_m
            * sign
        )
        lane = (
            course[at]
            + across * normal[at]
            + 0.01 * spec.side_m * np.sin(np.linspace(0, 4, 30))[:, None] * tangent[at]
        )
        inside = np.clip(lane, 0, np.array(elevation.shape) - 1).astype(int)
        lines.append((lane[floor[inside[:, 0], inside[:, 1]]], _LANE_M))
    return [(line, width) for line, width in lines if len(line) > 1]


def _place(
    spec: VhrSpec, rng: np.random.Generator, elevation: np.ndarray, slope: np.ndarray, busy: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    """Slides at their final extent, int32 (row, col) on the terrain's grid, and what befalls each.

    The first ones, those that change, start beside the mine and on the unstable slope, the others spread over
    the rest of the scene and over sunlit and shaded slopes (see `_CROWDING`), so that any part of the scene
    has several of both.
    """
    shape, count = elevation.shape, spec.landslides
    statuses = [UNCHANGED] * count
    if len(spec.images) > 1:
        changing = max(3, round(0.45 * count))
        statuses = [(NEW, GROWN, NEW)[k % 3] for k in range(changing)] + [UNCHANGED] * (count - changing)
    unit = np.exp(0.75 * stats.norm.ppf((np.arange(count) + 0.5) / count))
    areas = rng.permutation(unit / unit.sum() * spec.landslide_share * spec.side_m**2)
    surface, ragged = ndimage.gaussian_filter(elevation, 2.5), correlated_noise(rng, shape, 5, 1.0)
    smooth_slope, aspect = slope_and_aspect(surface, _TERRAIN_M)
    weakness = np.zeros(shape)
    # The toes of slides lie on gentle ground too.
    free = ~busy & (smooth_slope > _FOOT_DEG)
    ground = _tile_and_light(spec, aspect)
    taken = np.zeros(2 * _TILES**2)
    edge = round(spec.side_m / _TERRAIN_M)
    free[edge - 2 :] = free[:, edge - 2 :] = free[:2] = free[:, :2] = False
    instances = np.zeros(shape, np.int32)
    rows, cols = np.indices(shape) * _TERRAIN_M / spec.side_m
    for number, (status, area) in enumerate(zip(statuses, areas, strict=True), start=1):
        candidates = np.flatnonzero(free & (smooth_slope > SLIDE_DEG[0]))
        rank = rng.gumbel(size=candidates.size)
        preferred = rng.uniform(*SLIDE_DEG)
        if status == UNCHANGED:
            rank -= np.abs(smooth_slope.ravel()[candidates] - preferred) / _SLOPE_SPREAD
            rank -= _CROWDING * taken[ground.ravel()[candidates]]
        else:
            x, y = spec.unstable if _on_unstable_slope(number) else spec.mine
            rank -= (np.hypot(cols - x, rows - y) / 0.11).ravel()[candidates] ** 2
        tried = candidates[np.argsort(-rank, kind="stable")][:400]
        for attempt, start in enumerate(tried):
            # A slide that finds no room shrinks, since the mine's and the unstable slope have little.
            pixels = round(area * max(0.3, 1 - attempt / 60))
            length = np.sqrt(pixels * rng.lognormal(np.log(3.0), 0.25)) * max(0.5, 1 - attempt / 300)
            body = grow(
                divmod(int(start), shape[1]), pixels, length, surface, smooth_slope, weakness, ragged, free
            )
            if body is not None:
                break
        else:
            raise HeadscarpError(
                f"twin: slide {number} of {count} ({area:.0f} m2) finds no room; lower landslide_share"
            )
        instances[body] = number
        taken[ground.flat[start]] += 1
        window = tuple(slice(max(0, part.min() - 4), part.max() + 5) for part in body)
        free[window] &= ~ndimage.binary_dilation(
            instances[window] == number, np.ones((3, 3), bool), iterations=4
        )
    return instances, statuses


def _on_unstable_slope(number: int) -> bool:
    """Whether the slide of a number, if it changes, does so on the unstable slope and not beside the mine."""
    return number % 2 == 0


def _tile_and_light(spec: VhrSpec, aspect: np.ndarray) -> np.ndarray:
    """Number (row, col) of a cell's tile of the scene and side of the light: even where its slope faces away
    from the sun of the first image, odd where it faces it."""
    azimuth = np.radians(next(iter(spec.images.values())).sun_deg[0])
    rows, cols = (
        index * _TILES // size for index, size in zip(np.indices(aspect.shape), aspect.shape, strict=True)
    )
    return 2 * (rows * _TILES + cols) + (np.cos(aspect - azimuth) > 0)


def _slide_histories(
    spec: VhrSpec, rng: np.random.Generator, instances: np.ndarray, statuses: list[str]
) -> tuple[Slide, ...]:
    """Reach of each slide at each image, and which lie under nets: the largest of those that do not move."""
    dates, slides = len(spec.images), []
    areas = np.bincount(instances.ravel(), minlength=len(statuses) + 1)
    still = [number for number, status in enumerate(statuses, start=1) if status == UNCHANGED]
    netted = sorted(still, key=lambda number: -areas[number])[: spec.nets]
    newcomers = 0
    for number, status in enumerate(statuses, start=1):
        reach = np.ones(dates)
        if status == GROWN:
            reach = np.linspace(rng.uniform(0.5, 0.65), 1, dates)
        elif status == NEW:
            # In turn at the second image (small, then at its full extent) and at each later one.
            first = 1 + newcomers % (dates - 1)
            newcomers += 1
            reach[:first] = -1
            reach[first:] = np.linspace(0.6, 1, dates - first) if first < dates - 1 else 1
        slides.append(
            Slide(number, status, tuple(float(value) for value in reach.round(4)), number in netted)
        )
    return tuple(slides)


def _depths(
    rng: np.random.Generator, instances: np.ndarray, fine: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Number of the nearest slide and depth in it (0 heart, 1 rim, more outside) on the fine grid, with edges
    uneven at that scale."""
    outside, nearest = ndimage.distance_transform_edt(instances == 0, return_indices=True)
    owner = instances[tuple(nearest)]
    depth = 1.0 + outside / 2.0
    for number, window in enumerate(ndimage.find_objects(instances), start=1):
        body = np.pad(instances[window] == number, 1)
        inner = ndimage.distance_transform_edt(body)[1:-1, 1:-1]
        rows, cols = np.nonzero(body[1:-1, 1:-1])
        depth[window][rows, cols] = 1.0 - (inner / inner.max())[rows, cols]
    rows, cols = ((np.arange(size) / _TO_FINE).astype(int) for size in fine)
    depth = _finer(depth, fine) - 0.04 + 0.05 * blurred_noise(rng, fine, 3.0)
    return owner[np.ix_(rows, cols)].astype(np.int32), depth.astype(np.float32)


def _works(
    spec: VhrSpec, rng: np.random.Generator, used: np.ndarray, hill: np.ndarray, fine: tuple[int, int]
) -> np.ndarray:
    """Patches of raw debris on the ground that people use (fans, spoil, building plots, cuts on hillsides):
    slides by their looks, bare land by their place."""
    field = correlated_noise(rng, used.shape, 0.03 * spec.side_m, 1.6)
    chosen = np.zeros(used.shape, bool)
    for part, share in ((used & ~hill, 0.12), (hill, 0.5)):
        chosen |= highest(field, part, np.ones_like(part), share * part.sum())
    return _finer(chosen.astype(np.float32), fine) > 0.5


def _buildings(
    spec: VhrSpec, rng: np.random.Generator, used: np.ndarray, hill: np.ndarray, fine: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Kind of roof (1 to 5, 0 none; uint8) and height (m, of a gabled or flat roof; float32): hamlets of
    rectangles on the ground that people use, and as many single houses on hillsides as find room."""
    roof, height = np.zeros(fine, np.uint8), np.zeros(fine, np.float32)
    free = _finer(used.astype(np.float32), fine) > 0.9
    hamlets = max(2, round(spec.buildings / 14))
    centres = rng.choice(np.flatnonzero(used), hamlets)
    centres = np.column_stack(np.divmod(centres, used.shape[1])) * _TO_FINE
    angles = rng.uniform(0, np.pi, hamlets)
    # Where a hamlet is full, houses stand alone: anywhere, smaller ones in a scene with little room.
    tries, anywhere = 60 * spec.buildings, rng.permutation(np.flatnonzero(free))[: 400 * spec.buildings]
    on_hill = rng.permutation(np.flatnonzero(free & (_finer(hill.astype(np.float32), fine) > 0.9)))
    small = 0.55 + 0.45 * spec.size
    built = 0
    for attempt in range(tries + len(anywhere)):
        if built == spec.buildings:
            break
        hamlet = attempt % hamlets
        row, col = divmod(int(anywhere[attempt - tries]), fine[1])
        if attempt < tries:
            row, col = (centres[hamlet] + 30 * spec.size / PIXEL_M * rng.standard_normal(2)).astype(int)
            if attempt % 2 and attempt < len(on_hill):
                row, col = divmod(int(on_hill[attempt]), fine[1])
        long, wide = small * rng.uniform(8, 16) / PIXEL_M, small * rng.uniform(6.5, 10) / PIXEL_M
        angle = angles[hamlet] + rng.choice([0, np.pi / 2]) + 0.08 * rng.standard_normal()
        reach = int(np.hypot(long, wide) / 2) + 5
        if not (reach <= row < fine[0] - reach and reach <= col < fine[1] - reach):
            continue
        window = slice(row - reach, row + reach + 1), slice(col - reach, col + reach + 1)
        down, right = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        u, v = right * np.cos(angle) + down * np.sin(angle), down * np.cos(angle) - right * np.sin(angle)
        body, yard = ((np.abs(u) <= long / 2 + gap) & (np.abs(v) <= wide / 2 + gap) for gap in (0, 4))
        if not free[window][yard].all():
            continue
        roof[window][body] = kind = rng.integers(1, 6)
        gable = (
            1.6 * (1 - np.abs(v[body]) / (wide / 2)) if kind > 2 else 0.5 * (np.abs(v[body]) > wide / 2 - 1.5)
        )
        height[window][body] = rng.uniform(3.0, 6.0) + gable
        free[window][yard] = False
        built += 1
    if built == 0:
        raise HeadscarpError(
            "twin: no building finds room on the valley floor; lower slope_deg or take a larger scene"
        )
    return roof, height


def _plants(
    spec: VhrSpec,
    rng: np.random.Generator,
    elevation: np.ndarray,
    aspect: np.ndarray,
    axis_distance: np.ndarray,
    floor: np.ndarray,
    fine: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Fine masks of vegetation and of tree crowns, height of the crowns (m, float32), and furrows of fields
    (signed, 0 elsewhere)."""
    shape, side = elevation.shape, spec.side_m
    hollow = ndimage.gaussian_filter(elevation, 12 * spec.size + 2) - elevation
    moist = 0.5 * np.cos(aspect) + 0.5 * hollow / hollow.std() + 1.2 * np.exp(-axis_distance / (0.08 * side))
    moist = moist + 1.1 * correlated_noise(rng, shape, 0.03 * side, 1.8)
    score = _finer(moist, fine) + 0.45 * blurred_noise(rng, fine, 6.0)
    field, furrow = _fields(spec, rng, floor, fine)
    score = np.where(field != 0, np.where(field > 0, np.inf, -np.inf), score)
    # The field's share is part of the whole.
    plants = score >= np.quantile(score[::5, ::5], 1 - spec.vegetation_share)
    woods = (field == 0) & (
        _finer(moist, fine) + 0.5 * blurred_noise(rng, fine, 14.0)
        > np.quantile(moist, 1 - 0.55 * spec.vegetation_share)
    )
    crowns, heights = _trees(spec, rng, woods & plants, fine)
    return plants, crowns, heights, furrow


def _fields(
    spec: VhrSpec, rng: np.random.Generator, floor: np.ndarray, fine: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Parcels on parts of the floor: 1 sown, -1 fallow, 0 none (int8); and their furrows."""
    tilled = correlated_noise(rng, floor.shape, 0.06 * spec.side_m, 2.0) > 0.55
    farm = _finer((tilled & floor).astype(np.float32), fine) > 0.5
    angle = rng.uniform(0.1, 0.6)
    down, right = (np.arange(size, dtype=np.float32) * np.float32(PIXEL_M) for size in fine)
    u = right[None] * np.float32(np.cos(angle)) + down[:, None] * np.float32(np.sin(angle))
    v = down[:, None] * np.float32(np.cos(angle)) - right[None] * np.float32(np.sin(angle))
    long, wide = (u / 26).astype(int), np.floor(v / 13).astype(int)
    sown = rng.random((long.max() + 1, np.ptp(wide) + 1)) < 0.35 + 0.4 * spec.greenness
    kind = np.where(sown[long, wide - wide.min()], 1, -1).astype(np.int8)
    return np.where(farm, kind, 0).astype(np.int8), np.where(
        farm, np.sin(v * np.float32(2 * np.pi / 1.6)), 0
    ).astype(np.float32)


def _trees(
    spec: VhrSpec, rng: np.random.Generator, woods: np.ndarray, fine: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Mask of crowns and their height (m): a hemisphere over each of jittered places in the woods."""
    spacing = 10 - 2 * spec.greenness
    numbers = [int(size / spacing) for size in fine]
    rows, cols = (
        np.clip((places + rng.uniform(0, 1, places.shape)) * spacing, 0, size - 1).astype(int)
        for places, size in zip(np.indices(numbers), fine, strict=True)
    )
    stems = np.zeros(fine, bool)
    stems[rows, cols] = woods[rows, cols]
    if not stems.any():
        return stems, np.zeros(fine, np.float32)
    distance, (near_row, near_col) = ndimage.distance_transform_edt(~stems, return_indices=True)
    radius = rng.uniform(3.0, 7.0, fine).astype(np.float32)[near_row, near_col]
    share = (distance / radius).astype(np.float32)
    return share < 1, np.where(
        share < 1, np.sqrt(np.maximum(0, 1 - share**2)) * radius * PIXEL_M * 2.2, 0
    ).astype(np.float32)
