"""Elevation models as users have them, made ready for derivatives: in metres, north-up on a metric grid,
their voids no data."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.warp import Resampling, reproject

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid, grid_for, utm_crs
from headscarp.geo.lattice import STRETCH, horizontal, place_of, steps_at, upright, why_unfit
from headscarp.geo.layer import Layer, grid_of, open_raster
from headscarp.geo.vertical import HeightUnit, height_unit
from headscarp.site.voids import take_out_sentinels, take_out_walled

EDGE = 2  # cells beyond the model's own that cubic convolution reads
FULL = 255


@dataclass(frozen=True)
class ElevationModel(Layer):
    """Elevations in metres, with what was done to them (`changes`) and what may be wrong with them
    (`doubts`), each a sentence; `unit_m` is the metres in 1 of the file's numbers."""

    changes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    unit_m: float = 1.0

    @property
    def notes(self) -> tuple[str, ...]:
        return self.doubts + self.changes


def metric_dem(path: str | Path, resolution: float | None = None) -> ElevationModel:
    """An elevation model (band 1) in metres on a north-up grid of square cells in metres.

    One that is not north-up, square, in metres and true to scale goes to the UTM zone of its middle, by cubic
    convolution (bilinear interpolation would leave creases for curvatures), with cells as long as the longer
    side of its own is on the ground (so that none of its detail is lost that it has in both directions), or
    of `resolution` metres; where flipping its rows and columns is enough, they are flipped. Any other stays
    as it is.

    Raises:
        HeadscarpError: as `elevation_model`, or its CRS does not reach it.
    """
    model = elevation_model(path)
    values, transform = upright(model.values, model.grid.transform)
    flipped = transform != model.grid.transform
    grid = Grid(model.grid.crs, transform, *values.shape)
    why = why_unfit(grid.crs, transform, grid.shape)
    name = Path(path).name
    if why is None:
        if not flipped:
            return model
        change = (
            f"{name}: its rows or columns do not run to the south and the east; they were put in this order"
        )
        return replace(
            model, values=np.ascontiguousarray(values), grid=grid, changes=(*model.changes, change)
        )
    col, row = grid.width / 2, grid.height / 2
    utm = utm_crs(*place_of(grid.crs, transform, col, row))
    steps = steps_at(grid.crs, transform, col, row)
    target = grid_for(grid, utm, resolution or float(f"{max(steps.across, steps.down):.2g}"))
    # A cell of 10 m of a map is 10.004 m on the ground: two of them are one of 20 m all the same
    several = [int((1 + STRETCH) * target.resolution / length) for length in (steps.across, steps.down)]
    values, grid = thinned(values, grid, *several)
    own = name_of(grid.crs)
    how = f"resampled in {utm}" if own == utm else f"reprojected from {own} to {utm}"
    change = f"{name}: {how}, cubic, to cells of {target.resolution:g} m, because {why}"
    return replace(
        model,
        values=warped(values, grid, target),
        grid=target,
        source=f"{model.source} {how}, cubic",
        changes=(*model.changes, change),
    )


def elevation_model(path: str | Path) -> ElevationModel:
    """An elevation model (band 1) in metres on its own lattice, which may be any.

    Its unit is that of the band or of the vertical part of its CRS; depths become negative elevations.
    Numbers that stand for no data without being declared are taken out, see `site.voids`.

    Raises:
        HeadscarpError: the file is missing, truncated, without CRS or without data, its unit is unknown or
            contradicts its CRS, or its elevations are not on Earth.
    """
    name = Path(path).name
    with open_raster(path) as source:
        cells, grid = source.read(1, masked=True), grid_of(source)
        unit = height_unit(source.units[0], source.crs.to_wkt(), str(path))
        scale, offset = source.scales[0], source.offsets[0]
        origin = source.tags().get("SOURCE", name)
    factor = -unit.metres if unit.downward else unit.metres
    stored = cells.data
    heights = in_metres(stored, scale * factor, offset * factor)
    heights[np.ma.getmaskarray(cells)] = np.nan
    steps = steps_at(grid.crs, grid.transform, grid.width / 2, grid.height / 2)
    voids = take_out_sentinels(stored, heights, str(path))
    voids += take_out_walled(stored, heights, min(steps.across, steps.down))
    if np.isnan(heights).all():
        raise HeadscarpError(
            f"{path}, band 1, holds no data: every cell is nodata or NaN; take another file or band"
        )
    doubts = unit_doubts(unit, grid.crs, name)
    if voids:
        doubts += (
            f"{name}: {', '.join(voids)} were taken for no data, which the file does not say they are",
        )
    how = [f"times {factor:.7g} to metres"] if factor != 1 else []
    how += [f"no data where {', '.join(voids)}"] if voids else []
    return ElevationModel(
        "elevation",
        heights,
        grid,
        "m",
        "; ".join([origin, *how]),
        changes=unit_changes(unit, scale, offset, name),
        doubts=doubts,
        unit_m=abs(scale * factor),
    )


def in_metres(stored: np.ndarray, scale: float, offset: float) -> np.ndarray:
    """Numbers of a file times `scale` plus `offset`, float32; NaN where it is not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        if (scale, offset) == (1, 0):
            return stored.astype(np.float32)
        return (stored.astype(np.float64) * scale + offset).astype(np.float32)


def unit_doubts(unit: HeightUnit, crs: str, name: str) -> tuple[str, ...]:
    """A doubt where a map in feet leaves the unit of heights open."""
    axis = horizontal(crs).axis_info[0]
    if unit.told or not horizontal(crs).is_projected or axis.unit_conversion_factor == 1:
        return ()
    return (
        f"{name}: its CRS is in {axis.unit_name}, and nothing says in what its elevations are; metres are "
        "assumed, else give `units` in its entry in the card",
    )


def unit_changes(unit: HeightUnit, scale: float, offset: float, name: str) -> tuple[str, ...]:
    changes = []
    if (scale, offset) != (1, 0):
        changes.append(
            f"{name}: its elevations are stored numbers x {scale:g} + {offset:g}, as the file says"
        )
    if unit.metres != 1:
        changes.append(f"{name}: its elevations are in {unit.name}; times {unit.metres:.7g} they are metres")
    if unit.downward:
        changes.append(f"{name}: its CRS counts downwards; the sign of its numbers was turned")
    return tuple(changes)


def name_of(crs: str) -> str:
    """A CRS in few words."""
    known = rasterio.crs.CRS.from_user_input(crs).to_authority()
    return ":".join(known) if known else horizontal(crs).name


def warped(values: np.ndarray, own: Grid, grid: Grid) -> np.ndarray:
    """Elevations (row, col) on another grid by cubic convolution, float32.

    NaN where a cell's centre lies outside the model or one of the four cells around it has no data: GDAL
    would give the other three's mean there, which is a step on a slope. At its edges the model goes on in a
    straight line, for the same reason.
    """
    around = np.pad(values, EDGE, mode="reflect", reflect_type="odd")
    transform = own.transform @ Affine.translation(-EDGE, -EDGE)
    heights = on_grid(around, transform, own.crs, grid, Resampling.cubic)
    inside = on_grid(np.full(own.shape, FULL, np.uint8), own.transform, own.crs, grid, Resampling.nearest)
    if np.isnan(values).any():
        known = np.where(np.isnan(around), np.uint8(0), np.uint8(FULL))
        inside &= on_grid(known, transform, own.crs, grid, Resampling.bilinear)
    heights[inside < FULL] = np.nan
    # No ground is higher or lower than the model has it, though the convolution may be
    return np.clip(heights, np.nanmin(values), np.nanmax(values))


def thinned(values: np.ndarray, grid: Grid, across: int, down: int) -> tuple[np.ndarray, Grid]:
    """Means of blocks of `across` x `down` cells (1 or more), so that no cell is left out where another grid
    is coarser; NaN where one has no data, cells that fill no block are left out."""
    across, down = max(1, across), max(1, down)
    height, width = values.shape[0] // down, values.shape[1] // across
    if (across, down) == (1, 1) or not (height and width):
        return values, grid
    blocks = values[: height * down, : width * across].reshape(height, down, width, across)
    means = blocks.mean(axis=(1, 3), dtype=np.float64).astype(np.float32)
    return means, Grid(grid.crs, grid.transform @ Affine.scale(across, down), height, width)


def on_grid(
    values: np.ndarray, transform: Affine, crs: str, grid: Grid, resampling: Resampling
) -> np.ndarray:
    """An array of a lattice on a grid; where it does not reach, NaN, or 0 of integers."""
    nodata = float("nan") if np.issubdtype(values.dtype, np.floating) else None
    target = np.full(grid.shape, np.nan if nodata is not None else 0, values.dtype)
    reproject(
        values,
        target,
        src_transform=transform,
        src_crs=crs,
        src_nodata=nodata,
        dst_transform=grid.transform,
        dst_crs=grid.crs,
        dst_nodata=nodata,
        resampling=resampling,
        # Else GDAL takes a turned or narrower cell for a reason to widen its kernel, whose weights then shift
        # heights by centimetres from cell to cell: as much as all of the curvature of a smooth slope.
        XSCALE=1,
        YSCALE=1,
    )
    return target
