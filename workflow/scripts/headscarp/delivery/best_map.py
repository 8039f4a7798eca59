"""The one map that a site is given: the mean of the calibrated maps of all trainings of the chosen model, and
how far these lie apart."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from headscarp.geo.grid import Grid
from headscarp.geo.layer import CONTINUOUS, open_raster, strips_of_rows
from headscarp.mapping.averages import common_grid
from headscarp.mapping.raster import StripWriter, probability_raster, strip_raster
from headscarp.scoring.calibration import Calibration

UNCERTAINTY_NAME = "standard deviation of the probability between trainings"


def write_best_map(folder: str | Path, choice: Mapping[str, Any], maps: Sequence[str | Path]) -> None:
    """Write `probability.tif`, the mean of `maps` (of the chosen experiment, in the order of its seeds) after
    the calibration of each, and `uncertainty.tif`, their standard deviation: NaN everywhere where there is
    one map, which tells nothing of it.

    Raises:
        HeadscarpError: maps lie on different grids.
    """
    folder, paths = Path(folder), [Path(path) for path in maps]
    calibrations = [Calibration.from_record(record) for record in choice["calibrations"]]
    grid = common_grid(paths)
    seeds = ", ".join(map(str, choice["seeds"]))
    source = f"headscarp: {choice['label']}, mean of the calibrated maps of seeds {seeds}"
    with (
        probability_raster(folder / "probability.tif", grid, source) as write_probability,
        uncertainty_raster(folder / "uncertainty.tif", grid, source) as write_uncertainty,
    ):
        for top, values in calibrated_strips(paths, calibrations):
            write_probability(top, values.mean(axis=0, dtype=np.float64).astype(np.float32))
            write_uncertainty(top, spread(values))


def uncertainty_raster(path: Path, grid: Grid, source: str) -> AbstractContextManager[StripWriter]:
    """A COG of standard deviations float32, NaN = no data, filled as `raster.strip_raster` is."""
    return strip_raster(path, grid, source, UNCERTAINTY_NAME, "1", CONTINUOUS, "float32", float("nan"))


def calibrated_strips(
    paths: Sequence[Path], calibrations: Sequence[Calibration]
) -> Iterator[tuple[int, np.ndarray]]:
    """Strips (first row, (map, rows, cols) float32) of a few rows at a time."""
    with ExitStack() as opened:
        sources = [opened.enter_context(open_raster(path)) for path in paths]
        for strip in strips_of_rows(*sources[0].shape):
            values = [
                calibration.apply(source.read(1, window=strip))
                for source, calibration in zip(sources, calibrations, strict=True)
            ]
            yield strip.row_off, np.stack(values)


def spread(values: np.ndarray) -> np.ndarray:
    """Standard deviation (rows, cols) float32 of maps (map, rows, cols), with n - 1; NaN of one."""
    if len(values) == 1:
        return np.full(values.shape[1:], np.nan, np.float32)
    return values.std(axis=0, ddof=1, dtype=np.float64).astype(np.float32)
