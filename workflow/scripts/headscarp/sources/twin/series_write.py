"""The raw files of a simulated time series."""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from headscarp.codes import SLIDE_NUMBER, UNMAPPED
from headscarp.files import write_json
from headscarp.geo.layer import CLASSES, Layer, write_cog, write_layer
from headscarp.sources.twin.cover import NAMES
from headscarp.sources.twin.geography import to_map
from headscarp.sources.twin.region import rain_factor
from headscarp.sources.twin.series import (
    CLOUD,
    CLOUD_NAMES,
    CLOUD_SHADOW,
    Observation,
    SimulatedSeries,
    build_series,
    observation,
)
from headscarp.sources.twin.series_spec import SeriesSpec
from headscarp.sources.twin.write import polygons, write_vectors

# Every pixel of a cloud mask has a code; this one stands for none.


def write_series_twin(folder: str | Path, spec: SeriesSpec, seed: int) -> SimulatedSeries:
    """Simulate a site at its dates and write the files of `files.raw_files` into `folder`, byte-identical for
    equal `spec` and `seed`.

    Raises:
        HeadscarpError: the slides do not fit into the study area, or the disk is full.
    """
    folder, source = Path(folder), f"simulated (headscarp twin, seed {seed}); no measurement"
    series = build_series(spec, seed)
    site, land = spec.site, series.land
    codes = ", ".join(f"{code} {name}" for code, name in enumerate(CLOUD_NAMES))
    dates = {}
    for name, date in spec.dates.items():
        seen, of_date = observation(series, name), f"{source}; date {date.date}"
        write_cog(
            folder / f"rgb_{name}.tif", seen.rgb, spec.grid, float("nan"), site.bands, "reflectance", of_date
        )
        write_layer(
            folder / f"clouds_{name}.tif",
            Layer(
                name="clouds",
                values=seen.clouds,
                grid=spec.grid,
                units=codes,
                source=of_date,
                kind=CLASSES,
                nodata=UNMAPPED,
            ),
        )
        rain_grid = site.coarser_grid(rain_factor(site))
        write_layer(
            folder / f"precipitation_{name}.tif",
            Layer("precipitation", seen.rain, rain_grid, "mm/yr", of_date),
        )
        dates[name] = {"date": date.date} | _statistics_at(series, name, seen)
    write_layer(folder / "dem.tif", Layer("elevation", land.dem, spec.grid, "m", source))
    rock = Layer(
        name="lithology",
        values=land.lithology,
        grid=spec.grid,
        units="1 soft, 2 soft-hard, 3 hard",
        source=source,
        kind=CLASSES,
        nodata=0,
    )
    write_layer(folder / "lithology.tif", rock)
    slides, instances = polygons(land.instances, spec.grid)
    areas = np.bincount(land.instances.ravel())[1:] * spec.resolution_m**2
    write_vectors(
        folder / "landslides.gpkg",
        spec.crs,
        slides,
        **{SLIDE_NUMBER: instances},
        area_m2=areas,
        started=series.started.astype(np.int32),
    )
    write_vectors(folder / "study_area.gpkg", spec.crs, polygons(land.mapped.astype(np.int32), spec.grid)[0])
    write_vectors(folder / "faults.gpkg", spec.crs, to_map([land.fault], spec.grid))
    write_vectors(folder / "rivers.gpkg", spec.crs, to_map(land.rivers, spec.grid))
    record = {"data": "twin", "source": source, "seed": seed, "spec": asdict(spec)}
    write_json(folder / "manifest.json", record | {"realised": _statistics(series) | {"dates": dates}})
    return series


def _statistics(series: SimulatedSeries) -> dict[str, object]:
    """What the site turned out to be, in the units of its record."""
    pixel_km2 = series.spec.resolution_m**2 / 1e6
    years, counts = np.unique(series.started, return_counts=True)
    return {
        "landslides": int(series.land.instances.max()),
        "landslide_area_km2": round(float((series.land.instances > 0).sum() * pixel_km2), 4),
        "study_area_km2": round(float(series.land.mapped.sum() * pixel_km2), 4),
        "elevation_m": [float(series.land.dem.min()), float(series.land.dem.max())],
        "started": {str(year): int(count) for year, count in zip(years, counts, strict=True)},
    }


def _statistics_at(series: SimulatedSeries, name: str, seen: Observation) -> dict[str, object]:
    """What a date turned out to show: shares of the scene under cloud, of the study area by land cover,
    bareness of slides, and rain."""
    mapped = series.land.mapped
    cover = np.bincount(seen.cover[mapped], minlength=len(NAMES) + 1)[1:] / mapped.sum()
    return {
        "cloud_share": round(float((seen.clouds == CLOUD).mean()), 4),
        "cloud_shadow_share": round(float((seen.clouds == CLOUD_SHADOW).mean()), 4),
        "land_cover_share": {kind: round(float(share), 4) for kind, share in zip(NAMES, cover, strict=True)},
        "landslides": int((series.started <= series.spec.dates[name].year).sum()),
        "mean_bare_share_of_landslides": round(float(seen.bareness[series.land.instances > 0].mean()), 4),
        "rainfall_mm": [round(float(seen.rain.min()), 1), round(float(seen.rain.max()), 1)],
    }
