"""Derivatives of an elevation model, computed with RichDEM on the model's own metric grid.

A layer keeps one convention throughout: x to the east, y to the north, lengths in metres.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import richdem
from scipy import ndimage

from headscarp.files import atomic_path
from headscarp.geo.grid import Grid
from headscarp.geo.layer import ANGLE, CONTINUOUS, FLAT, Layer, write_layer
from headscarp.site.elevation import metric_dem
from headscarp.site.terrain_names import parse_windowed

NODATA = -9999.0
LEAST_GRADIENT = 1e-3
RELIEF_WINDOW = 3
HORN = "Horn 1981, doi 10.1109/PROC.1981.11918"
ZEVENBERGEN = "Zevenbergen and Thorne 1987, doi 10.1002/esp.3290120107, times 100"
WEISS = (
    "topographic position index, Weiss 2001, Topographic position "
    "and landforms analysis, poster, ESRI user conference"
)
TARBOTON = "D-infinity, Tarboton 1997, doi 10.1029/96WR03137, depressions filled and flats resolved"


def derive_terrain(
    dem_path: str | Path, out_folder: str | Path, over_windows: Iterable[str] = ()
) -> tuple[str, ...]:
    """Write elevation and its derivatives as COGs into `out_folder`, which appears whole or not at all.

    Files: elevation, slope, aspect, curvature, plan_curvature, profile_curvature, flow_accumulation, twi,
    relief, roughness (`.tif`), on the model's own grid where it is metric, else on that of its UTM zone, see
    `metric_dem`. `over_windows` names further ones, such as `tpi_9`.

    Returns:
        What was done to the model and what may be wrong with it; `notes_of` elevation.tif gives it again.

    Raises:
        HeadscarpError: as `metric_dem`, a window is unfit, or the disk is full.
    """
    windows = {name: parse_windowed(name) for name in over_windows}
    dem = metric_dem(dem_path)
    with atomic_path(out_folder) as folder:
        folder.mkdir()
        write_layer(folder / "elevation.tif", dem, dem.notes)
        for name, (derive, units, method) in DERIVATIVES.items():
            values = derive(dem.values, dem.grid)
            kind = ANGLE if name == "aspect" else CONTINUOUS
            source = f"{method}; of {dem.source}" + (f", cells of {dem.grid.resolution:g} m")
            write_layer(
                folder / f"{name}.tif",
                Layer(name=name, values=values, grid=dem.grid, units=units, source=source, kind=kind),
            )
        for name, (what, cells) in windows.items():
            derive, units, method = DERIVATIVES_OVER_WINDOWS[what]
            source = f"{method.format(cells)}; of {dem.source}, cells of {dem.grid.resolution:g} m"
            write_layer(
                folder / f"{name}.tif",
                Layer(name, derive(dem.values, dem.grid, cells), dem.grid, units, source),
            )
    return dem.notes


def slope(dem: np.ndarray, grid: Grid) -> np.ndarray:
    """Slope in degrees, 0 to 90 (Horn 1981). Arrays here are (row, col) float32, NaN = no data, and cells
    beside no data are no data."""
    return attribute(dem, grid, "slope_degrees")


def aspect(dem: np.ndarray, grid: Grid) -> np.ndarray:
    """Direction a cell faces (downslope), degrees clockwise from north in [0, 360); FLAT (-1) where the slope
    is 0 (Horn 1981)."""
    angle = attribute(dem, grid, "aspect") % 360
    angle[slope(dem, grid) == 0] = FLAT
    return angle


def curvature(dem: np.ndarray, grid: Grid) -> np.ndarray:
    """Total curvature in 1/100 m, positive where convex (Zevenbergen and Thorne 1987: -200 (D + E), as ArcGIS
    and gao2021's Table II)."""
    return attribute(dem, grid, "curvature")


def plan_curvature(dem: np.ndarray, grid: Grid) -> np.ndarray:
    """Curvature across the slope in 1/100 m, positive where flow diverges (Zevenbergen and Thorne 1987,
    ArcGIS's sign)."""
    return attribute(dem, grid, "planform_curvature")


def profile_curvature(dem: np.ndarray, grid: Grid) -> np.ndarray:
    """Curvature along the slope in 1/100 m, positive where flow slows down (Zevenbergen and Thorne 1987,
    ArcGIS's sign)."""
    return attribute(dem, grid, "profile_curvature")


def flow_accumulation(dem: np.ndarray, grid: Grid) -> np.ndarray:
    """Contributing area in m2, the cell itself included (D-infinity, Tarboton 1997).

    Depressions are filled and flats resolved first. D-infinity rather than D8, which draws parallel lines on
    planar slopes (and in RichDEM compares drops, not gradients, so that diagonals win ties).
    """
    known = ~np.isnan(dem)
    with silence_stdout():
        surface = padded(dem, grid, NODATA)
        richdem.FillDepressions(surface, in_place=True)
        richdem.ResolveFlats(surface, in_place=True)
        cells = np.asarray(richdem.FlowAccumulation(surface, "Dinf"))[1:-1, 1:-1]
    area = cells * abs(grid.transform.a * grid.transform.e)
    return np.where(known, area, np.nan).astype(np.float32)


def twi(dem: np.ndarray, grid: Grid) -> np.ndarray:
    """Topographic wetness index ln(a / tan(slope)), a the contributing area per metre of cell width (Beven
    and Kirkby 1979).

    The gradient is at least 0.001, so that level cells have a value.
    """
    width = np.sqrt(abs(grid.transform.a * grid.transform.e))
    gradient = np.maximum(np.tan(np.radians(slope(dem, grid))), LEAST_GRADIENT)
    return np.log(flow_accumulation(dem, grid) / width / gradient)


def relief(dem: np.ndarray, grid: Grid, cells: int = RELIEF_WINDOW) -> np.ndarray:
    """Highest minus lowest elevation in m of `cells` x `cells` cells, by default a cell and its eight
    neighbours (zhang2024, Table 2); at the border of those there are."""
    # NaN does not order: no data stands as a value beyond all others, and what it reached is no data.
    highest = ndimage.maximum_filter(np.where(np.isnan(dem), np.inf, dem), size=cells, mode="nearest")
    lowest = ndimage.minimum_filter(np.where(np.isnan(dem), -np.inf, dem), size=cells, mode="nearest")
    return np.where(np.isinf(highest), np.nan, highest - lowest).astype(np.float32)


def roughness(dem: np.ndarray, grid: Grid) -> np.ndarray:
    """Surface area over planimetric area of a cell, 1 / cos(slope), at least 1 (zhang2024, Table 2: 1 to
    3.321)."""
    return 1 / np.cos(np.radians(slope(dem, grid)))


def mean_elevation(dem: np.ndarray, cells: int) -> np.ndarray:
    """Mean elevation (row, col) float64 in m of windows of `cells` x `cells` (an odd number); NaN where one
    reaches no data.

    Beyond its edges the model goes on in a straight line, as in `padded`, so that a plane keeps its elevation
    and slope up to them.
    """
    reach = cells // 2
    surface = np.pad(dem.astype(np.float64), reach, mode="reflect", reflect_type="odd")
    unknown = np.isnan(surface)
    mean = ndimage.uniform_filter(np.where(unknown, 0.0, surface), cells)
    mean[ndimage.maximum_filter(unknown, cells)] = np.nan
    rows, cols = dem.shape
    return mean[reach : reach + rows, reach : reach + cols]


def slope_over(dem: np.ndarray, grid: Grid, cells: int) -> np.ndarray:
    """Slope in degrees (Horn 1981) of the elevation averaged over windows of `cells` x `cells`."""
    return slope(mean_elevation(dem, cells), grid)


def topographic_position(dem: np.ndarray, grid: Grid, cells: int) -> np.ndarray:
    """Topographic position index in m: elevation minus its mean in a window of `cells` x `cells`, positive on
    ridges (Weiss 2001)."""
    return (dem - mean_elevation(dem, cells)).astype(np.float32)


DERIVATIVES: dict[str, tuple[Callable[[np.ndarray, Grid], np.ndarray], str, str]] = {
    "slope": (slope, "degree", f"RichDEM slope ({HORN})"),
    "aspect": (aspect, "degree", f"RichDEM aspect, -1 = flat ({HORN})"),
    "curvature": (curvature, "1/100 m", f"RichDEM curvature ({ZEVENBERGEN})"),
    "plan_curvature": (plan_curvature, "1/100 m", f"RichDEM planform curvature ({ZEVENBERGEN})"),
    "profile_curvature": (profile_curvature, "1/100 m", f"RichDEM profile curvature ({ZEVENBERGEN})"),
    "flow_accumulation": (flow_accumulation, "m2", f"RichDEM contributing area ({TARBOTON})"),
    "twi": (twi, "ln(m)", f"ln(a / tan slope), RichDEM contributing area ({TARBOTON}) and slope ({HORN})"),
    "relief": (relief, "m", f"highest minus lowest elevation in {RELIEF_WINDOW} x {RELIEF_WINDOW} cells"),
    "roughness": (roughness, "1", f"1 / cos(slope), RichDEM slope ({HORN})"),
}

DERIVATIVES_OVER_WINDOWS: dict[str, tuple[Callable[[np.ndarray, Grid, int], np.ndarray], str, str]] = {
    "slope": (slope_over, "degree", f"RichDEM slope ({HORN}) of the mean elevation of {{0}} x {{0}} cells"),
    "relief": (relief, "m", "highest minus lowest elevation in {0} x {0} cells"),
    "tpi": (topographic_position, "m", f"elevation minus its mean in {{0}} x {{0}} cells ({WEISS})"),
}


def attribute(dem: np.ndarray, grid: Grid, name: str) -> np.ndarray:
    """A RichDEM terrain attribute, float32 (row, col)."""
    with silence_stdout():
        return np.array(richdem.TerrainAttribute(padded(dem, grid, float("nan")), name))[1:-1, 1:-1]


def padded(dem: np.ndarray, grid: Grid, nodata: float) -> richdem.rdarray:
    """The model as RichDEM takes it, one row and column larger on each side, continued in a straight line.

    Without that ring RichDEM repeats the outermost cells, which halves the slope there, and lets them pass no
    water on. NaN as `nodata` makes cells beside no data no data; RichDEM's own rule would take their
    elevation for that of the missing neighbour.
    """
    surface = np.pad(dem.astype(np.float64), 1, mode="reflect", reflect_type="odd")
    surface[np.isnan(surface)] = nodata
    return richdem.rdarray(surface, no_data=nodata, geotransform=grid.transform.to_gdal())


@contextmanager
def silence_stdout() -> Iterator[None]:
    """Send what C++ code prints on standard output and error to nowhere."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        for stream, copy in enumerate(kept, start=1):
            os.dup2(copy, stream)
            os.close(copy)
