"""The elevation model of a study area: range, whole metres, treads of a model that was enlarged."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from headscarp.areas.check.files import Located, wanted
from headscarp.areas.check.findings import ERROR, NOTE, OK, WARNING, Checked
from headscarp.areas.check.rasters import tell_file, tell_unfit, values_of
from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.geo.layer import CONTINUOUS, open_raster, write_layer
from headscarp.geo.rasters import align, cell_size
from headscarp.site.elevation import ElevationModel, metric_dem

TREADS = range(2, 11)  # factors of enlargement that are looked for in an elevation model
MODEL_SIDE = 1500  # pixels a side of the part of an elevation model that is looked at for treads


def check_elevation(checked: Checked, file: str, located: Mapping[str, Located | str]) -> None:
    """The elevation model: range, whole metres, treads of a model that was enlarged."""
    place = wanted(checked, located, file, "is the elevation model but")
    if place is None:
        return
    try:
        model, values = elevation_on(place.path, checked.view)
    except HeadscarpError as error:
        tell_unfit(checked, file, place, error)
        return
    if file not in checked.files:
        tell_file(checked, file, place, values)
    for level, notes in ((WARNING, model.doubts), (NOTE, model.changes)):
        for note in notes:
            checked.tell(level, "values", "elevation", note)
    checked.elevation = values
    inside = values[checked.outline & np.isfinite(values)]
    if not inside.size:
        checked.tell(ERROR, "values", "elevation", "holds no data inside the outline; take another file")
        return
    low, high = float(inside.min()), float(inside.max())
    seen = f"{low:.4g} to {high:.4g} m"
    if high - low < 5:
        checked.tell(
            WARNING,
            "values",
            "elevation",
            f"{seen}: hardly any relief; is it in other units, or another quantity?",
        )
    else:
        checked.tell(OK, "values", "elevation", seen)
    with open_raster(place.path) as source:
        window = ((0, min(source.height, MODEL_SIDE)), (0, min(source.width, MODEL_SIDE)))
        stored = source.read(1, window=window, masked=True).astype(np.float64).filled(np.nan)
        size = cell_size(source, checked.grid)
    factor = enlarged_by(stored)
    if factor:
        checked.tell(
            WARNING,
            "values",
            "elevation",
            f"its values stand in treads of {factor} x {factor} cells: a model of about "
            f"{factor * size:.3g} m was enlarged without "
            "interpolation, so slopes and curvatures will show steps; take the original",
        )
    known = stored[np.isfinite(stored)]
    if known.size and np.array_equal(known, np.round(known)):
        step = np.degrees(np.arctan(model.unit_m / (2 * size)))
        whole = "metres" if model.unit_m == 1 else f"multiples of {model.unit_m:.4g} m"
        text = (
            f"whole {whole}: slopes come in steps of about {step:.1f}° on cells of {size:.3g} m, and "
            f"gentle ground in terraces"
        )
        checked.tell(NOTE, "values", "elevation", text)


def elevation_on(path: Path, grid: Grid) -> tuple[ElevationModel, np.ndarray]:
    """The model of which the pipeline derives terrain, and its elevations on a grid, float32 (row, col), NaN
    = no data.

    Raises:
        HeadscarpError: as `metric_dem`.
    """
    model = metric_dem(path)
    with TemporaryDirectory() as scratch:
        write_layer(Path(scratch) / "elevation.tif", model)
        return model, values_of(align(Path(scratch) / "elevation.tif", 1, grid, CONTINUOUS, 0.0))


def enlarged_by(model: np.ndarray) -> int | None:
    """The factor by which an elevation model (row, col) was enlarged by repeating its cells, or None.

    Where it was, values change only at every k-th column and row; whole metres on gentle ground change
    rarely, but anywhere.
    """
    largest = None
    for factor in TREADS:
        if all(changes_every(model if axis else model.T, factor) for axis in (0, 1)):
            largest = factor
    return largest


def changes_every(model: np.ndarray, factor: int) -> bool:
    """Whether values change from column to column only at every `factor`-th border, wherever the first one
    is."""
    steps = np.diff(model, axis=1)
    changed = (np.isfinite(steps) & (steps != 0)).sum(axis=0)
    if changed.sum() < 100 or len(changed) < 4 * factor:
        return False
    phases = [changed[phase::factor].sum() for phase in range(factor)]
    return bool(max(phases) >= 0.98 * changed.sum())
