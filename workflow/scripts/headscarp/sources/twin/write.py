"""The raw files of a simulated site."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
from rasterio.features import shapes
from scipy import ndimage
from shapely.geometry import shape as to_geometry
from shapely.ops import unary_union

from headscarp.codes import SLIDE_NUMBER
from headscarp.files import atomic_path, write_json
from headscarp.geo.grid import Grid
from headscarp.geo.layer import CLASSES, Layer, write_cog, write_layer
from headscarp.sources.twin.cover import NAMES
from headscarp.sources.twin.fields import resample_to, slope_and_aspect
from headscarp.sources.twin.geography import to_map
from headscarp.sources.twin.region import LAND_USE, SOILS, rain_factor, size_class, slip_volume
from headscarp.sources.twin.scene import SimulatedSite, simulate_site
from headscarp.sources.twin.spec import TwinSpec
from headscarp.sources.twin.strata import UNITS

# GeoPackages carry the time of their making; a fixed one keeps equal seeds equal to the byte.
_GEOPACKAGE_DATE = "2000-01-01T00:00:00.000Z"


def write_twin(folder: str | Path, spec: TwinSpec, seed: int) -> SimulatedSite:
    """Simulate a site and write its raw layers into `folder`, byte-identical for equal `spec` and `seed`.

    Writes the files of `files.raw_files`.

    Raises:
        HeadscarpError: the slides do not fit into the study area, or the disk is full.
    """
    scene = simulate_site(spec, seed)
    folder = Path(folder)
    source = f"simulated (headscarp twin, seed {seed}); no measurement"
    write_cog(
        folder / "bands.tif",
        scene.bands,
        spec.grid,
        float("nan"),
        spec.bands,
        "reflectance",
        f"{source}; date {spec.date}",
    )
    write_layer(folder / "dem.tif", Layer("elevation", scene.dem, spec.dem_grid, "m", source))
    if scene.region is None:
        rock = Layer(
            name="lithology",
            values=scene.lithology,
            grid=spec.grid,
            units="1 soft, 2 soft-hard, 3 hard",
            source=source,
            kind=CLASSES,
            nodata=0,
        )
        write_layer(folder / "lithology.tif", rock)
    else:
        _write_region(folder, scene, source)
    slides, instances = polygons(scene.instances, spec.grid)
    areas = np.bincount(scene.instances.ravel())[1:] * spec.resolution_m**2
    write_vectors(
        folder / "landslides.gpkg",
        spec.crs,
        slides,
        **{SLIDE_NUMBER: instances},
        area_m2=areas[np.array(instances) - 1],
    )
    write_vectors(folder / "study_area.gpkg", spec.crs, polygons(scene.mapped.astype(np.int32), spec.grid)[0])
    write_vectors(folder / "faults.gpkg", spec.crs, scene.faults)
    write_vectors(folder / "rivers.gpkg", spec.crs, scene.rivers)
    write_json(
        folder / "manifest.json",
        {"data": "twin", "source": source, "seed": seed, "spec": asdict(spec), "realised": statistics(scene)},
    )
    return scene


def _write_region(folder: Path, scene: SimulatedSite, source: str) -> None:
    """The layers of a scene's region."""
    spec, region = scene.spec, scene.region
    coarse = spec.coarser_grid(spec.coarse_factor)
    units = ", ".join(f"{code} {unit.symbol}" for code, unit in enumerate(UNITS, start=1))
    named_soils = ", ".join(f"{code} {name}" for code, name in enumerate(SOILS, start=1))
    uses = ", ".join(f"{code} {name}" for code, name in LAND_USE.items())
    for file, layer in (
        ("dem_90m", Layer("elevation", region.dem, coarse, "m", f"means of dem.tif; {source}")),
        (
            "lithology",
            Layer(
                name="lithology",
                values=region.units,
                grid=coarse,
                units=units,
                source=source,
                kind=CLASSES,
                nodata=0,
            ),
        ),
        (
            "soil",
            Layer(
                name="soil",
                values=region.soil,
                grid=coarse,
                units=named_soils,
                source=source,
                kind=CLASSES,
                nodata=0,
            ),
        ),
        (
            "land_use",
            Layer(
                name="land_use",
                values=region.land_use,
                grid=spec.dem_grid,
                units=uses,
                source=source,
                kind=CLASSES,
                nodata=0,
            ),
        ),
        (
            "rainfall",
            Layer("rainfall", region.rainfall, spec.coarser_grid(rain_factor(spec)), "mm/yr", source),
        ),
        (
            "ndvi_before",
            Layer("ndvi_before", region.ndvi_before, spec.dem_grid, "1", f"before any slide; {source}"),
        ),
    ):
        write_layer(folder / f"{file}.tif", layer)
    write_vectors(folder / "roads.gpkg", spec.crs, to_map(region.roads, spec.dem_grid))
    for name, mask in (("settlements", region.settlements), ("water", region.water)):
        parts, _ = ndimage.label(mask)
        write_vectors(folder / f"{name}.gpkg", spec.crs, polygons(parts.astype(np.int32), spec.grid)[0])
    write_vectors(
        folder / "district.gpkg", spec.crs, polygons(region.district.astype(np.int32), spec.grid)[0]
    )
    surveyed = sorted(number for numbers in region.surveyed.values() for number in numbers)
    slides = polygons(np.where(np.isin(scene.instances, surveyed), scene.instances, 0), spec.grid)[0]
    volumes = slip_volume([slide.area for slide in slides])
    write_vectors(
        folder / "survey.gpkg",
        spec.crs,
        [slide.representative_point() for slide in slides],
        **{SLIDE_NUMBER: surveyed},
        area_m2=[slide.area for slide in slides],
        volume_m3=volumes.round(),
        size=size_class(volumes),
    )


def statistics(scene: SimulatedSite) -> dict[str, object]:
    """What the scene turned out to be, in the units of the site table."""
    pixel_km2 = scene.spec.resolution_m**2 / 1e6
    slope, _ = slope_and_aspect(
        resample_to(scene.dem.astype(float), scene.mapped.shape, scene.spec.dem_factor),
        scene.spec.resolution_m,
    )
    slide = scene.instances > 0
    mapped_cover = np.bincount(scene.cover[scene.mapped], minlength=len(NAMES) + 1)[1:] / scene.mapped.sum()
    realised = {
        "landslides": int(scene.instances.max()),
        "landslide_area_km2": round(float(slide.sum() * pixel_km2), 4),
        "study_area_km2": round(float(scene.mapped.sum() * pixel_km2), 4),
        "elevation_m": [float(scene.dem.min()), float(scene.dem.max())],
        "mean_slope_deg": {
            "landslides": round(float(slope[slide].mean()), 2),
            "study_area": round(float(slope[scene.mapped].mean()), 2),
        },
        "land_cover_share": {
            name: round(float(share), 4) for name, share in zip(NAMES, mapped_cover, strict=True)
        },
    }
    if scene.region is None:
        return realised
    district = scene.region.district
    return realised | {
        "district_km2": round(float(district.sum() * pixel_km2), 4),
        "landslide_share": {
            "district": round(float(slide[district].mean()), 5),
            "study_area": round(float(slide[scene.mapped].mean()), 5),
        },
        "surveyed": {size: len(numbers) for size, numbers in scene.region.surveyed.items()},
        "rainfall_mm": [float(scene.region.rainfall.min()), float(scene.region.rainfall.max())],
    }


def polygons(labels: np.ndarray, grid: Grid) -> tuple[list, list[int]]:
    """One geometry per positive label (row, col) int32, along pixel edges, and the labels in rising order."""
    parts: dict[int, list] = {}
    for geometry, value in shapes(labels, mask=labels > 0, connectivity=4, transform=grid.transform):
        parts.setdefault(int(value), []).append(to_geometry(geometry))
    return [unary_union(parts[value]) for value in sorted(parts)], sorted(parts)


def write_vectors(path: Path, crs: str, geometries: list, **columns: object) -> None:
    frame = gpd.GeoDataFrame(columns, geometry=geometries, crs=crs)
    with atomic_path(path) as temporary, _fixed_geopackage_date():
        frame.to_file(temporary, driver="GPKG", layer=path.stem, engine="pyogrio")


@contextmanager
def _fixed_geopackage_date() -> Iterator[None]:
    before = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": _GEOPACKAGE_DATE})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": before})
