"""The whole twin in memory: terrain, mapped area, slides, land cover and image of one site."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from shapely.geometry import LineString

from headscarp.sources.twin.cover import Ground, land_cover
from headscarp.sources.twin.fields import resample_to, slope_and_aspect
from headscarp.sources.twin.geography import distance_to, fault_line, mapped_area, river_lines, to_map
from headscarp.sources.twin.reflectance import simulate_bands
from headscarp.sources.twin.routing import drain, fill_depressions
from headscarp.sources.twin.slides import factor_of_safety, imprint, place_slides
from headscarp.sources.twin.spec import DEM_FACTOR, TwinSpec
from headscarp.sources.twin.terrain import build_terrain, cells_of_line


@dataclass(frozen=True)
class Scene:
    """A simulated site.

    bands: (7, row, col) float32 reflectance, named by `reflectance.BANDS`; dem: (row, col) float32 m on `spec.dem_grid`, depression-free;
    lithology: uint8 1 soft, 2 soft-hard, 3 hard; instances: int32, 0 none, k slide k; mapped: bool, the study area; cover: uint8,
    classes of `cover.NAMES` from 1; safety: factor of safety. All but the DEM are on `spec.grid`. rivers, faults: lines in map coordinates.
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


def simulate(spec: TwinSpec, seed: int) -> Scene:
    """Simulate a site; the same spec and seed give the same scene.

    Raises:
        HeadscarpError: the slides do not fit into the study area.
    """
    # One generator per part, so that a change to one part leaves the others as they were.
    of = dict(zip(("terrain", "fault", "outline", "slides", "cover", "image"), np.random.default_rng(seed).spawn(6), strict=True))
    shape = spec.rows, spec.cols
    dem_grid = spec.dem_grid
    spacing, resolution = dem_grid.resolution, spec.resolution_m

    terrain = build_terrain(spec, of["terrain"])
    lithology = np.repeat(np.repeat(terrain.lithology, DEM_FACTOR, 0), DEM_FACTOR, 1)[: spec.rows, : spec.cols]
    fault = fault_line(spec, of["fault"])
    fault_distance = resample_to(distance_to(cells_of_line(fault, dem_grid.shape), spacing), shape, DEM_FACTOR)
    main_river = cells_of_line(terrain.river * DEM_FACTOR, shape)
    mapped = mapped_area(spec, of["outline"], distance_to(main_river, resolution), fault_distance)

    catchment = drain(terrain.elevation.astype(float)).accumulate(np.full(terrain.elevation.size, spacing**2)).reshape(dem_grid.shape)
    rivers = river_lines(spec, terrain, catchment, mapped[::DEM_FACTOR, ::DEM_FACTOR])
    on_river = np.any([cells_of_line(line * DEM_FACTOR, shape) for line in rivers], axis=0)
    water = ndimage.gaussian_filter(resample_to(terrain.reservoir.astype(float), shape, DEM_FACTOR), 1.2) > 0.5
    if not spec.reservoir:
        water = ndimage.binary_dilation(main_river)

    elevation = resample_to(terrain.elevation, shape, DEM_FACTOR)
    slope, aspect = slope_and_aspect(ndimage.gaussian_filter(elevation, 1.0), resolution)
    contributing = np.exp(resample_to(ndimage.gaussian_filter(np.log(catchment / spacing), 0.7), shape, DEM_FACTOR))
    above_water = elevation - spec.elevation_m[0]
    safety = factor_of_safety(spec, slope, lithology, contributing, fault_distance, above_water)
    near_water = ndimage.binary_dilation(water | (on_river & (contributing > 2e4)), iterations=2)
    instances = place_slides(spec, of["slides"], elevation, slope, safety, mapped & ~near_water)

    change = imprint(elevation, instances, resolution, 1 - spec.revegetation)
    dem = fill_depressions(np.clip(terrain.elevation + _block_mean(change, dem_grid.shape), *spec.elevation_m).astype(np.float32))
    elevation = resample_to(dem, shape, DEM_FACTOR)
    slope, aspect = slope_and_aspect(elevation, resolution)
    ground = Ground(elevation, slope, aspect, safety, distance_to(on_river | water, resolution), water, lithology)
    cover = land_cover(spec, of["cover"], ground, mapped, instances > 0)
    bands = simulate_bands(spec, of["image"], ground, cover, instances)
    return Scene(
        spec, bands, dem, lithology, instances, mapped, cover, safety.astype(np.float32),
        to_map(rivers, dem_grid), to_map([fault], dem_grid),
    )  # fmt: skip


def _block_mean(fine: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Means over blocks of DEM_FACTOR x DEM_FACTOR pixels, the last row and column repeated where the image is odd."""
    padded = np.pad(fine, [(0, size * DEM_FACTOR - have) for size, have in zip(shape, fine.shape, strict=True)], mode="edge")
    return padded.reshape(shape[0], DEM_FACTOR, shape[1], DEM_FACTOR).mean(axis=(1, 3))
