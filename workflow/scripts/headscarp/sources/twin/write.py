"""The raw files of a simulated site."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
from rasterio.features import shapes
from shapely.geometry import shape as to_geometry
from shapely.ops import unary_union

from headscarp.files import atomic_path, write_json
from headscarp.site.grid import Grid
from headscarp.site.layer import CLASSES, Layer, write_cog, write_layer
from headscarp.sources.twin.cover import NAMES
from headscarp.sources.twin.fields import resample_to, slope_and_aspect
from headscarp.sources.twin.reflectance import BANDS
from headscarp.sources.twin.scene import Scene, simulate
from headscarp.sources.twin.spec import DEM_FACTOR, TwinSpec

# GeoPackages carry the time of their making; a fixed one keeps equal seeds equal to the byte.
_GEOPACKAGE_DATE = "2000-01-01T00:00:00.000Z"


def write_twin(folder: str | Path, spec: TwinSpec, seed: int) -> Scene:
    """Simulate a site and write its raw layers into `folder`, byte-identical for equal `spec` and `seed`.

    Writes bands.tif, dem.tif, lithology.tif, faults.gpkg, rivers.gpkg, landslides.gpkg, study_area.gpkg and manifest.json.

    Raises:
        HeadscarpError: the slides do not fit into the study area, or the disk is full.
    """
    scene = simulate(spec, seed)
    folder = Path(folder)
    source = f"simulated (headscarp twin, seed {seed}); no measurement"
    write_cog(folder / "bands.tif", scene.bands, spec.grid, float("nan"), BANDS, "reflectance", f"{source}; date {spec.date}")
    write_layer(folder / "dem.tif", Layer("elevation", scene.dem, spec.dem_grid, "m", source))
    write_layer(folder / "lithology.tif", Layer("lithology", scene.lithology, spec.grid, "1 soft, 2 soft-hard, 3 hard", source, CLASSES, 0))
    slides, instances = polygons(scene.instances, spec.grid)
    areas = np.bincount(scene.instances.ravel())[1:] * spec.resolution_m**2
    _write_vectors(folder / "landslides.gpkg", spec.crs, slides, instance=instances, area_m2=areas[np.array(instances) - 1])
    _write_vectors(folder / "study_area.gpkg", spec.crs, polygons(scene.mapped.astype(np.int32), spec.grid)[0])
    _write_vectors(folder / "faults.gpkg", spec.crs, scene.faults)
    _write_vectors(folder / "rivers.gpkg", spec.crs, scene.rivers)
    write_json(
        folder / "manifest.json", {"data": "twin", "source": source, "seed": seed, "spec": asdict(spec), "realised": statistics(scene)}
    )
    return scene


def statistics(scene: Scene) -> dict[str, object]:
    """What the scene turned out to be, in the units of the site table."""
    pixel_km2 = scene.spec.resolution_m**2 / 1e6
    slope, _ = slope_and_aspect(resample_to(scene.dem.astype(float), scene.mapped.shape, DEM_FACTOR), scene.spec.resolution_m)
    slide = scene.instances > 0
    mapped_cover = np.bincount(scene.cover[scene.mapped], minlength=len(NAMES) + 1)[1:] / scene.mapped.sum()
    return {
        "landslides": int(scene.instances.max()),
        "landslide_area_km2": round(float(slide.sum() * pixel_km2), 4),
        "study_area_km2": round(float(scene.mapped.sum() * pixel_km2), 4),
        "elevation_m": [float(scene.dem.min()), float(scene.dem.max())],
        "mean_slope_deg": {"landslides": round(float(slope[slide].mean()), 2), "study_area": round(float(slope[scene.mapped].mean()), 2)},
        "land_cover_share": {name: round(float(share), 4) for name, share in zip(NAMES, mapped_cover, strict=True)},
    }


def polygons(labels: np.ndarray, grid: Grid) -> tuple[list, list[int]]:
    """One geometry per positive label (row, col) int32, along pixel edges, and the labels in rising order."""
    parts: dict[int, list] = {}
    for geometry, value in shapes(labels, mask=labels > 0, connectivity=4, transform=grid.transform):
        parts.setdefault(int(value), []).append(to_geometry(geometry))
    return [unary_union(parts[value]) for value in sorted(parts)], sorted(parts)


def _write_vectors(path: Path, crs: str, geometries: list, **columns: object) -> None:
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
