"""The whole twin in memory: terrain, mapped area, slides, land cover and image of one site."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from shapely.geometry import LineString

from headscarp.sources.twin import region as regions
from headscarp.sources.twin.cover import BUILT, WATER, CoverFactors, land_cover, vegetation
from headscarp.sources.twin.fields import resample_to, slope_and_aspect
from headscarp.sources.twin.geography import distance_to, fault_line, mapped_area, river_lines, to_map
from headscarp.sources.twin.reflectance import (
    Surface,
    before_slides,
    ndvi_of,
    simulate_bands,
    sunlight,
    surface_of,
)
from headscarp.sources.twin.region import RegionLayers, block_mean, refined
from headscarp.sources.twin.routing import drain, fill_depressions
from headscarp.sources.twin.slides import factor_of_safety, imprint, place_slides
from headscarp.sources.twin.spec import COARSE_FACTOR, TwinSpec
from headscarp.sources.twin.terrain import build_terrain, cells_of_lines

# Half the width of a region's main river (pixels), and the catchment per metre of contour from which on a
# tributary is wider than a pixel.
_RIVER_WIDTH, _WIDE_M = 3, 4e5


@dataclass(frozen=True)
class SimulatedSite:
    """A simulated site.

    bands: (band, row, col) float32 reflectance, named by `spec.bands`; dem: (row, col) float32 m on
    `spec.dem_grid`, depression-free; lithology: uint8 1 soft, 2 soft-hard, 3 hard; instances: int32, 0 none,
    k slide k; mapped: bool, the study area; cover: uint8, classes of `cover.NAMES` from 1; safety: factor of
    safety. All but the DEM are on `spec.grid`. rivers, faults: lines in map coordinates. region: further
    layers where the spec has a region, else None.
    """

    spec: TwinSpec
    bands: np.ndarray
    dem: np.ndarray
    lithology: np.ndarray
    instances: np.ndarray
    mapped: np.ndarray
    cover: np.ndarray
    safety: np.ndarray
    rivers: list[LineString]
    faults: list[LineString]
    region: RegionLayers | None


@dataclass(frozen=True)
class Landscape:
    """A site before its image is taken.

    dem, lithology, instances, mapped and safety as in `SimulatedSite`; ground: what land cover depends on;
    plants: classes of `cover.vegetation`. rivers, fault: lines (n, 2) in rows and columns of the DEM's grid.
    Of a
    region: its terrain's units, roads as lines and as a mask, and annual rain; None for a site without.
    """

    dem: np.ndarray
    lithology: np.ndarray
    instances: np.ndarray
    mapped: np.ndarray
    safety: np.ndarray
    ground: CoverFactors
    plants: np.ndarray
    rivers: list[np.ndarray]
    fault: np.ndarray
    units: np.ndarray | None
    roads: list[np.ndarray] | None
    road_mask: np.ndarray | None
    rain: np.ndarray | None


def part_generators(seed: int) -> dict[str, np.random.Generator]:
    """One generator per part of a scene, so that a change to one part leaves the others as they were."""
    parts = ("terrain", "fault", "outline", "slides", "cover", "image", "places", "rain", "soil", "district")
    return dict(zip(parts, np.random.default_rng(seed).spawn(len(parts)), strict=True))


def simulate_site(spec: TwinSpec, seed: int) -> SimulatedSite:
    """Simulate a site; the same spec and seed give the same scene.

    Raises:
        HeadscarpError: the slides do not fit into the study area.
    """
    rngs = part_generators(seed)
    land = build_landscape(spec, rngs)
    slides = land.instances > 0
    cover = land_cover(
        spec, rngs["cover"], land.ground, land.safety, land.mapped, slides, land.plants, land.road_mask
    )
    surface = surface_of(spec, rngs["image"], land.ground, cover, land.instances)
    finished = {
        "dem": land.dem,
        "lithology": land.lithology,
        "instances": land.instances,
        "mapped": land.mapped,
        "cover": cover,
        "safety": land.safety.astype(np.float32, copy=False),
        "rivers": to_map(land.rivers, spec.dem_grid),
        "faults": to_map([land.fault], spec.dem_grid),
        "region": _region_layers(spec, rngs, land, cover, surface) if spec.region else None,
    }
    slope, lit = land.ground.slope, sunlight(spec, land.ground)
    # Room for the image, which is the largest part.
    del land, slides
    return SimulatedSite(
        spec=spec, bands=simulate_bands(spec, rngs["image"], slope, surface, lit), **finished
    )


def _region_layers(
    spec: TwinSpec,
    rngs: dict[str, np.random.Generator],
    land: Landscape,
    cover: np.ndarray,
    surface: Surface,
) -> RegionLayers:
    slides = land.instances > 0
    district = regions.district_area(spec, rngs["district"], land.mapped, slides)
    use = regions.land_use(spec, cover, land.ground.river_distance, land.ground.slope)
    coarse_dem, coarse_use = block_mean(land.dem, COARSE_FACTOR), regions.block_majority(use, COARSE_FACTOR)
    units = regions.block_majority(land.units, COARSE_FACTOR)
    return RegionLayers(
        rainfall=land.rain,
        dem=coarse_dem,
        soil=regions.soils(rngs["soil"], units, coarse_dem, coarse_use),
        units=units,
        land_use=use,
        ndvi_before=ndvi_of(before_slides(surface, land.plants, slides), spec.dem_factor),
        roads=land.roads,
        settlements=cover == BUILT,
        water=cover == WATER,
        district=district,
        surveyed=regions.survey(spec, rngs["district"], land.instances, district),
    )


def build_landscape(spec: TwinSpec, rngs: dict[str, np.random.Generator]) -> Landscape:
    """Terrain, mapped area, slides and plants of a site, from the `part_generators` of its seed.

    Raises:
        HeadscarpError: the slides do not fit into the study area.
    """
    shape, factor = (spec.rows, spec.cols), spec.dem_factor
    dem_grid = spec.dem_grid
    spacing, resolution = dem_grid.resolution, spec.resolution_m
    # A region has many more pixels than a site.
    real = np.float32 if spec.region else np.float64

    terrain = build_terrain(spec, rngs["terrain"])
    lithology = _repeated(terrain.lithology, factor, shape)
    fault = fault_line(spec, rngs["fault"])
    fault_distance = resample_to(
        distance_to(cells_of_lines([fault], dem_grid.shape), spacing), shape, factor
    ).astype(real)
    main_river = cells_of_lines([terrain.river * factor], shape)
    mapped = _mapped(spec, rngs["outline"], main_river, fault_distance)

    catchment = (
        drain(terrain.elevation.astype(float))
        .accumulate(np.full(terrain.elevation.size, spacing**2))
        .reshape(dem_grid.shape)
    )
    rivers = river_lines(spec, terrain, catchment, mapped[::factor, ::factor])
    on_river = cells_of_lines([line * factor for line in rivers], shape)
    contributing = np.exp(
        resample_to(ndimage.gaussian_filter(np.log(catchment / spacing), 0.7), shape, factor)
    ).astype(real)
    water = ndimage.gaussian_filter(resample_to(terrain.reservoir.astype(real), shape, factor), 1.2) > 0.5
    if not spec.reservoir:
        water = ndimage.binary_dilation(main_river, iterations=_RIVER_WIDTH if spec.region else 1)
    if spec.region:
        water |= ndimage.binary_dilation(on_river & (contributing > _WIDE_M))

    elevation = resample_to(terrain.elevation, shape, factor)
    slope, aspect = slope_and_aspect(ndimage.gaussian_filter(elevation, 1.0), resolution)
    near_water = ndimage.binary_dilation(water | (on_river & (contributing > 2e4)), iterations=2)
    river_distance = distance_to(on_river | water, resolution, real)
    allowed = mapped & ~near_water
    del main_river, on_river, near_water
    plants = roads = road_mask = rain = None
    if spec.region:
        places, roads = regions.places_and_roads(
            spec,
            rngs["places"],
            terrain.elevation,
            slope_and_aspect(terrain.elevation, spacing)[0],
            block_mean(river_distance, factor),
            block_mean(water, factor),
        )
        road_mask = cells_of_lines([line * factor for line in roads], shape)
        road_distance = distance_to(road_mask, resolution, real)
        ground = CoverFactors(
            elevation=elevation,
            slope=slope,
            aspect=aspect,
            river_distance=river_distance,
            water=water,
            lithology=lithology,
        )
        plants = vegetation(
            spec,
            rngs["cover"],
            ground,
            mapped,
            regions.remoteness(spec, rngs["places"], places, road_distance),
        )
        del ground, aspect
        rain = regions.annual_rain(spec, rngs["rain"], terrain.elevation, spec.region.rainfall_mm)
        safety = regions.factor_of_safety(
            spec,
            rngs["soil"],
            slope,
            _repeated(terrain.units, factor, shape),
            contributing,
            resample_to(rain, shape, regions.rain_factor(spec)).astype(real),
            river_distance,
            road_distance,
            fault_distance,
            plants,
            *(
                resample_to(field, shape, spec.coarse_factor).astype(real)
                for field in regions.valley_side(spec, terrain.elevation)
            ),
        )
        allowed &= ~road_mask & (plants != BUILT)
        del road_distance
    else:
        safety = factor_of_safety(
            spec, slope, lithology, contributing, fault_distance, elevation - spec.elevation_m[0]
        )
    del contributing, fault_distance
    instances = place_slides(spec, rngs["slides"], elevation, slope, safety, allowed)
    del slope, allowed

    change = imprint(elevation, instances, resolution, 1 - spec.revegetation)
    dem = fill_depressions(
        np.clip(terrain.elevation + block_mean(change, factor), *spec.elevation_m).astype(np.float32)
    )
    del change, elevation
    elevation = resample_to(dem, shape, factor)
    slope, aspect = slope_and_aspect(elevation, resolution)
    ground = CoverFactors(
        elevation=elevation,
        slope=slope,
        aspect=aspect,
        river_distance=river_distance,
        water=water,
        lithology=lithology,
    )
    if plants is None:
        plants = vegetation(spec, rngs["cover"], ground, mapped, ground.river_distance / 800)
    return Landscape(
        dem=dem,
        lithology=lithology,
        instances=instances,
        mapped=mapped,
        safety=safety,
        ground=ground,
        plants=plants,
        rivers=rivers,
        fault=fault,
        units=terrain.units,
        roads=roads,
        road_mask=road_mask,
        rain=rain,
    )


def _mapped(
    spec: TwinSpec, rng: np.random.Generator, main_river: np.ndarray, fault_distance: np.ndarray
) -> np.ndarray:
    """The study area (row, col); that of a region is found on its coarse grid."""
    river_distance = distance_to(main_river, spec.resolution_m)
    if not spec.region:
        return mapped_area(spec, rng, river_distance, fault_distance, spec.resolution_m)
    step = spec.coarse_factor
    coarse = mapped_area(
        spec, rng, river_distance[::step, ::step], fault_distance[::step, ::step], spec.resolution_m * step
    )
    return refined(coarse, step)


def _repeated(coarse: np.ndarray, factor: int, shape: tuple[int, int]) -> np.ndarray:
    return np.repeat(np.repeat(coarse, factor, 0), factor, 1)[: shape[0], : shape[1]]
