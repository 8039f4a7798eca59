"""Maps that are the mean of what other runs mapped, and their run.json."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from headscarp.errors import HeadscarpError
from headscarp.files import read_json
from headscarp.geo.grid import Grid
from headscarp.geo.layer import grid_of, strips_of_rows
from headscarp.mapping.map_files import write_map_rasters, write_map_record
from headscarp.provenance import run_provenance


def average_maps(maps: Sequence[str | Path], out_folder: str | Path) -> None:
    """Write the mean of maps of one place, `probability.tif`, with `classes.tif` and `map.json` (seconds of
    all maps together) into `out_folder`; NaN where any of them has no data.

    Raises:
        HeadscarpError: maps lie on different grids.
    """
    paths, out_folder = [Path(path) for path in maps], Path(out_folder)
    began = time.perf_counter()
    grid = common_grid(paths)
    write_map_rasters(out_folder, mean_strips(paths), grid, f"headscarp: mean of {len(paths)} maps")
    records = [read_json(path.with_name("map.json")) for path in paths]
    seconds = sum(record["seconds"] for record in records) + time.perf_counter() - began
    write_map_record(out_folder, seconds, (grid.height, grid.width), records[0]["device"])


def common_grid(paths: Sequence[Path]) -> Grid:
    grids = []
    for path in paths:
        with rasterio.open(path) as source:
            grids.append(grid_of(source))
        if grids[-1] != grids[0]:
            raise HeadscarpError(f"{path} lies on another grid than {paths[0]}; map both runs again")
    return grids[0]


def mean_strips(paths: Sequence[Path]) -> Iterator[tuple[int, np.ndarray]]:
    """Strips (first row, (1, rows, cols) float32) of the mean, of a few rows at a time."""
    sources = [rasterio.open(path) for path in paths]
    try:
        for strip in strips_of_rows(*sources[0].shape):
            yield strip.row_off, np.mean([source.read(1, window=strip) for source in sources], axis=0)[None]
    finally:
        for source in sources:
            source.close()


def record_average(records: Sequence[str | Path], average: dict[str, str], seed: int) -> dict[str, Any]:
    """The run.json of a mean of runs: what the first of them says of network and channels, what is averaged,
    and whether all of them `converged`."""
    started = time.time()
    runs = [read_json(path) for path in records]
    return {
        "spec": runs[0]["spec"],
        "seed": seed,
        "protocol": runs[0]["protocol"],
        "average": average | {"seeds": [run["seed"] for run in runs]},
        "versions": runs[0]["versions"],
        "device": runs[0]["device"],
        "converged": all(run.get("converged", True) for run in runs),
    } | run_provenance(started, records)
