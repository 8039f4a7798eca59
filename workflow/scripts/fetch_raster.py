"""Rule fetch_raster: images, elevation or land cover of a catalogue on an area's grid."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headscarp.geo.grid import Grid
from headscarp.geo.outline import grid_around
from headscarp.job import job
from headscarp.sources.stac import fetch_raster

DEM_CELL_M = 30.0  # no finer than the model itself, so that slopes are those of its cells


def grid_of(record: Mapping[str, Any], spec: Mapping[str, Any], outline: Path) -> Grid:
    """The grid of a raster: the area's own, with a margin where asked, and cells of 30 m at least for
    elevation."""
    resolution = float(record["resolution_m"])
    resolution = max(resolution, DEM_CELL_M) if spec["stac"] == "dem" else resolution
    return grid_around(outline, record["crs"], resolution, float(spec.get("margin_m", 0)))


if "snakemake" in globals():
    with job(snakemake.log[0]):
        fetch_raster(
            snakemake.params.spec,
            grid_of(snakemake.params.grid, snakemake.params.spec, Path(snakemake.input.outline)),
            snakemake.params.spec.get("api", os.environ["HEADSCARP_STAC"]),
            Path(snakemake.output.raster),
            Path(snakemake.output.record),
            os.environ["HEADSCARP_MIRROR"] or None,
        )
