"""The raw files of a very-high-resolution twin."""

import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
from scipy import ndimage
from shapely.geometry import GeometryCollection, box

from headscarp.codes import LAND_COVER, LANDSLIDE, SLIDE_NUMBER, UNMAPPED
from headscarp.files import write_json
from headscarp.geo.layer import CLASSES, Layer, write_cog, write_layer
from headscarp.sources.twin.fields import correlated_noise, slope_and_aspect
from headscarp.sources.twin.files import suffixes
from headscarp.sources.twin.region import block_mean
from headscarp.sources.twin.vhr import (
    BUILDING,
    ROAD,
    VEGETATION,
    WATER,
    ValleyGround,
    build_ground,
)
from headscarp.sources.twin.vhr_image import lit_ground, observe, observed_cells, seen_classes, texture_of
from headscarp.sources.twin.vhr_spec import BANDS, PIXEL_M, SENSORS, VhrImage, VhrSpec
from headscarp.sources.twin.write import polygons, write_vectors

# Errors of the elevation model (m, correlated over some cells) and of the NDVI.
_DEM_ERROR_M, _NDVI_ERROR = 0.3, 0.02


def write_vhr_twin(folder: str | Path, spec: VhrSpec, seed: int) -> ValleyGround:
    """Simulate a scene and write the files of `files.raw_files` into `folder`, byte-identical for equal
    `spec` and `seed`.

    Raises:
        HeadscarpError: slides or buildings find no room, or the disk is full.
    """
    folder, source = Path(folder), f"simulated (headscarp twin, seed {seed}); no measurement"
    ground = build_ground(spec, seed)
    texture = texture_of(ground, seed)
    started = _started(ground)
    realised = {}
    for date, (suffix, image) in enumerate(zip(suffixes(spec.images), spec.images.values(), strict=True)):
        instances = ground.instances_at(date)
        cells = observed_cells(spec, image, np.where(instances > 0, 0, ground.height))
        rgb = observe(lit_ground(ground, texture, image, instances), image, cells, [seed, 2, date])
        classes, seen = (seen_classes(values, cells) for values in (ground.classes_at(instances), instances))
        grid = spec.grid(image.resolution_m)
        write_cog(
            folder / f"rgb{suffix}.tif",
            rgb,
            grid,
            float("nan"),
            BANDS,
            "reflectance",
            f"{source}; {image.sensor}, {image.date}",
        )
        names = ", ".join(f"{code} {name}" for code, name in enumerate(LAND_COVER))
        write_layer(
            folder / f"classes{suffix}.tif",
            Layer(
                name="classes",
                values=classes,
                grid=grid,
                units=names,
                source=source,
                kind=CLASSES,
                nodata=UNMAPPED,
            ),
        )
        bodies, numbers = polygons(seen, grid)
        areas = [round(body.area, 2) for body in bodies]
        write_vectors(
            folder / f"landslides{suffix}.gpkg",
            spec.crs,
            bodies,
            **{SLIDE_NUMBER: numbers},
            area_m2=areas,
            started=[started[number] for number in numbers],
        )
        realised[image.date] = _statistics(image, classes, areas)
    _write_topography(folder, ground, seed, source)
    grid = spec.grid(min(image.resolution_m for image in spec.images.values()))
    write_vectors(folder / "study_area.gpkg", spec.crs, [box(*grid.bounds)])
    if len(spec.images) > 1:
        _write_features(folder, ground)
    record = {
        "data": "twin",
        "source": source,
        "seed": seed,
        "spec": asdict(spec),
        "resolution_m": _resolutions(spec),
    }
    write_json(folder / "manifest.json", record | {"realised": _changes(ground) | {"images": realised}})
    return ground


def _resolutions(spec: VhrSpec) -> dict[str, dict[str, float]]:
    """Cell size (nominal) and finest detail (effective: an image's point spread at half its height, if that
    is wider) of each raster."""
    found = {"dem.tif": (spec.dem_resolution_m,) * 2, "ndvi.tif": (spec.ndvi_resolution_m,) * 2}
    for suffix, image in zip(suffixes(spec.images), spec.images.values(), strict=True):
        width = 2 * math.sqrt(2 * math.log(2)) * SENSORS[image.sensor].spread
        found[f"rgb{suffix}.tif"] = image.resolution_m, round(image.resolution_m * max(1, width), 3)
    return {
        name: {"nominal": nominal, "effective": effective} for name, (nominal, effective) in found.items()
    }


def _started(ground: ValleyGround) -> dict[int, str]:
    """Date of the first image that shows each slide; slides of the first image may be older."""
    dates = [image.date for image in ground.spec.images.values()]
    return {slide.number: dates[int(np.argmax(np.array(slide.reach) > 0))] for slide in ground.slides}


def _write_topography(folder: Path, ground: ValleyGround, seed: int, source: str) -> None:
    """The elevation model and the NDVI: means over their cells, with errors."""
    spec, rng = ground.spec, np.random.default_rng([seed, 3])
    dem_grid, ndvi_grid = spec.grid(spec.dem_resolution_m), spec.grid(spec.ndvi_resolution_m)
    dem = block_mean(ground.surface, round(spec.dem_resolution_m))[: dem_grid.height, : dem_grid.width]
    dem = dem + _DEM_ERROR_M * correlated_noise(rng, dem.shape, 2.0)
    write_layer(folder / "dem.tif", Layer("elevation", dem.astype(np.float32), dem_grid, "m", source))
    greens = np.where(
        ground.base == VEGETATION, 0.30 + 0.30 * spec.greenness, np.where(ground.base == WATER, -0.12, 0.07)
    )
    greens = np.where(ground.instances_at(len(spec.images) - 1) > 0, 0.06, greens + 0.15 * ground.crowns)
    ndvi = block_mean(greens, round(spec.ndvi_resolution_m / PIXEL_M))
    ndvi = np.clip(ndvi + _NDVI_ERROR * rng.standard_normal(ndvi.shape), -1, 1)
    write_layer(folder / "ndvi.tif", Layer("ndvi", ndvi.astype(np.float32), ndvi_grid, "1", source))


def _write_features(folder: Path, ground: ValleyGround) -> None:
    """Outlines of what lies on the ground, in the scene and as it is (no image's error of position), and of
    the unstable slope: the hull of the slides that change there."""
    spec = ground.spec
    grid = spec.grid(PIXEL_M)
    last = ground.instances_at(len(spec.images) - 1)
    for name, mask in (
        ("nets", (last > 0) & ground.nets()),
        ("mine", ground.mine),
        ("roads", ground.base == ROAD),
        ("buildings", ground.base == BUILDING),
    ):
        parts, _ = ndimage.label(mask[: grid.height, : grid.width])
        write_vectors(folder / f"{name}.gpkg", spec.crs, polygons(parts.astype(np.int32), grid)[0])
    bodies, numbers = polygons(last[: grid.height, : grid.width], grid)
    moving = {slide.number for slide in ground.slides if slide.unstable}
    # A slide may lie in several parts.
    slope = GeometryCollection(
        [body for body, number in zip(bodies, numbers, strict=True) if number in moving]
    )
    write_vectors(folder / "unstable.gpkg", spec.crs, [slope.convex_hull])


def _statistics(image: VhrImage, classes: np.ndarray, areas: list[float]) -> dict[str, object]:
    """What one image turned out to show."""
    shares = np.bincount(classes.ravel(), minlength=len(LAND_COVER)) / classes.size
    return {
        "sensor": image.sensor,
        "resolution_m": image.resolution_m,
        "pixels": list(classes.shape),
        "class_share": {name: round(float(share), 5) for name, share in zip(LAND_COVER, shares, strict=True)},
        "landslides": len(areas),
        "landslide_area_m2": round(sum(areas), 1),
    }


def _changes(ground: ValleyGround) -> dict[str, object]:
    """Slides by what befell them between each image and the next, and slopes (degrees) by class, on the
    ground as it is."""
    spec, pixel = ground.spec, PIXEL_M**2
    areas = [
        np.bincount(ground.instances_at(date).ravel(), minlength=len(ground.slides) + 1)[1:] * pixel
        for date in range(len(spec.images))
    ]
    names, between = list(spec.images), {}
    for date in range(1, len(names)):
        before, after = areas[date - 1], areas[date]
        between[f"{names[date - 1]}-{names[date]}"] = {
            "new": int(np.sum((before == 0) & (after > 0))),
            "grown": int(np.sum((before > 0) & (after > 1.02 * before))),
            "unchanged": int(np.sum((before > 0) & (after <= 1.02 * before))),
            "new_area_m2": round(float((after - before).sum()), 1),
        }
    slope = slope_and_aspect(ndimage.gaussian_filter(ground.elevation, 5.0), PIXEL_M)[0]
    classes = ground.classes_at(ground.instances_at(len(names) - 1))
    slopes = ndimage.mean(slope, classes, range(len(LAND_COVER)))
    raw = ground.works & (classes != LANDSLIDE)
    return {
        "changes": between,
        "nets": sum(slide.netted for slide in ground.slides),
        "mean_slope_deg": {
            name: round(float(value), 1) for name, value in zip(LAND_COVER, slopes, strict=True)
        }
        | {"bare works": round(float(slope[raw].mean()), 1)},
        "elevation_m": [round(float(ground.elevation.min()), 1), round(float(ground.elevation.max()), 1)],
    }
