"""Co-registration: any raster on the grid of a site."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from rasterio.warp import Resampling, reproject
from rasterio.warp import transform as transform_points

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.geo.lattice import north_of
from headscarp.geo.layer import ANGLE, CLASSES, FLAT, Layer, grid_of, open_raster
from headscarp.vocabulary import nearest

MINIMUM_COVER = 0.5
PROBES = 64
# From this ratio of cell sizes on, a cell of the grid holds several cells of the raster, and its value is
# that of all of them.
COARSER = 1.5
# Metres in a degree of latitude, for the resolution of grids in degrees.
DEGREE_M = 111_320.0
# From the middle of a cell to those of its sides: west and east, north and south.
HALF_STEPS = ((-0.5, 0), (0.5, 0), (0, -0.5), (0, 0.5))
# How a raster comes onto a grid that is not coarser; cubic is convolution (Keys 1981, a = -0.5), as GDAL has
# it.
BILINEAR, CUBIC = "bilinear", "cubic"
RESAMPLINGS = {BILINEAR: Resampling.bilinear, CUBIC: Resampling.cubic}


def align(
    path: str | Path,
    band: int | str,
    grid: Grid,
    kind: str,
    minimum_cover: float = MINIMUM_COVER,
    resampling: str = BILINEAR,
) -> Layer:
    """One band of a raster on a site's grid.

    Continuous values are resampled as asked and classes by the nearest cell; where the grid is coarser than
    the raster (1.5 times or more), by the area's mean and the commonest class. Angles go through sine and
    cosine, so that 359 and 1 degree give 0, and count from the grid's north as they did from that of the
    raster's CRS. No-data cells carry no weight: their number never mixes into a
    neighbour's value. Cells that the raster does not cover are no data.

    Args:
        band: number from 1, or description.
        kind: CONTINUOUS, CLASSES or ANGLE of `site.layer`.
        minimum_cover: least share of the grid that the raster's footprint must cover.
        resampling: BILINEAR or CUBIC, for continuous values and the components of angles.

    Returns:
        A layer with the band's description (or the file's stem) as name and the file's tag SOURCE (or its
        name) as source.

    Raises:
        HeadscarpError: the file is missing, truncated or without CRS; no such band; too little of the site
            covered; no data at all on the site; classes that are not integers.
    """
    with open_raster(path) as source:
        index = band_of(source, band)
        require_cover(source, grid, minimum_cover)
        if kind == CLASSES:
            values, nodata = resample_classes(source, index, grid)
            empty = bool(np.all(values == nodata))
        else:
            values, nodata = (
                (resample_angles if kind == ANGLE else resample)(source, index, grid, resampling),
                float("nan"),
            )
            empty = bool(np.isnan(values).all())
        if empty:
            raise HeadscarpError(
                f"{path}, band {band}, holds no data on the site: "
                "every cell is nodata or NaN; take another file or band"
            )
        name = source.descriptions[index - 1] or Path(path).stem
        origin = source.tags().get("SOURCE", Path(path).name)
        return Layer(
            name=name,
            values=values,
            grid=grid,
            units=source.units[index - 1] or "",
            source=origin,
            kind=kind,
            nodata=nodata,
        )


def flagged(path: str | Path, codes: Sequence[int], grid: Grid) -> np.ndarray:
    """Where the nearest cell of a raster (band 1; the commonest on a coarser grid) has one of `codes`, bool
    (row, col); else False.

    Raises:
        HeadscarpError: the file is missing, truncated or without CRS, lies beside the grid, or does not hold
            integers.
    """
    with open_raster(path) as source:
        require_cover(source, grid, 0.0)
        return np.isin(resample_classes(source, 1, grid)[0], codes)


def require_cover(source: rasterio.DatasetReader, grid: Grid, minimum: float) -> None:
    """Refuse a raster whose footprint holds less than the share `minimum` of a grid, or nothing of it."""
    cover = cover_of(source, grid)
    if cover == 0 or cover < minimum:
        needed = f"at least {minimum:.0%} are needed; " if minimum else ""
        raise HeadscarpError(
            f"{source.name} covers {cover:.0%} of the site, {needed}check its CRS and "
            f"extent ({source.crs.to_string()}, "
            f"{', '.join(f'{edge:.6g}' for edge in grid_of(source).bounds)}); or take another raster"
        )


def band_of(source: rasterio.DatasetReader, band: int | str) -> int:
    """Number of a band given by number or description.

    Raises:
        HeadscarpError: there is none; the message lists the bands or names the nearest.
    """
    if isinstance(band, int):
        if band not in source.indexes:
            raise HeadscarpError(f"{source.name} has no band {band}; it has the bands 1 to {source.count}")
        return band
    known = [name for name in source.descriptions if name]
    if band not in known:
        how = (
            nearest(band, known)
            if known
            else f"its bands have no names, use a number from 1 to {source.count}"
        )
        raise HeadscarpError(f"{source.name} has no band '{band}'; {how}")
    return source.descriptions.index(band) + 1


def cover_of(source: rasterio.DatasetReader, grid: Grid) -> float:
    """Share of a grid inside a raster's footprint, on a lattice of at most PROBES x PROBES cells."""
    rows = np.unique(np.linspace(0, grid.height - 1, PROBES).round()) + 0.5
    cols = np.unique(np.linspace(0, grid.width - 1, PROBES).round()) + 0.5
    col, row = np.meshgrid(cols, rows)
    x, y = grid.transform @ (col.ravel(), row.ravel())
    x, y = (np.array(values) for values in transform_points(grid.crs, source.crs, x, y))
    col, row = ~source.transform @ (x, y)
    return float(np.mean((col >= 0) & (col <= source.width) & (row >= 0) & (row <= source.height)))


def cell_size(source: rasterio.DatasetReader, grid: Grid) -> float:
    """The longer side of a raster's cells, at the middle of a grid, in units of the grid's CRS: no detail is
    finer in both directions."""
    (x,), (y,) = transform_points(grid.crs, source.crs, *middle_of(grid))
    col, row = ~source.transform @ (x, y)
    ends = [source.transform @ (col + right, row + down) for right, down in HALF_STEPS]
    x, y = transform_points(source.crs, grid.crs, *map(list, zip(*ends, strict=True)))
    # To nine digits, so that a cell of 10 m is not a little more
    return float(f"{max(np.hypot(x[1] - x[0], y[1] - y[0]), np.hypot(x[3] - x[2], y[3] - y[2])):.9g}")


def middle_of(grid: Grid) -> tuple[list[float], list[float]]:
    """Coordinates x and y of a grid's middle."""
    x, y = grid.transform @ (grid.width / 2, grid.height / 2)
    return [x], [y]


def is_coarser(grid: Grid, source: rasterio.DatasetReader) -> bool:
    """Whether cells of a grid are so much larger than those of a raster that their values must be gathered
    from several."""
    return grid.resolution >= COARSER * cell_size(source, grid)


def resolution_m(grid: Grid, path: str | Path | None = None) -> float:
    """Size of a grid's cells in metres; with the path of a raster, that of the raster's cells where they are
    larger.

    A layer has one value per cell of its grid but no more detail than the raster that it came from.

    Raises:
        HeadscarpError: the file is missing, truncated or without CRS.
    """
    size = grid.resolution
    if path is not None:
        with open_raster(path) as source:
            size = max(size, cell_size(source, grid))
    crs = rasterio.crs.CRS.from_user_input(grid.crs)
    return float(f"{size * (DEGREE_M if crs.is_geographic else crs.linear_units_factor[1]):.6g}")


def resample(source: rasterio.DatasetReader, index: int, grid: Grid, resampling: str) -> np.ndarray:
    """A band on a grid, interpolated or averaged, float32 (row, col), NaN = no data."""
    values = np.full(grid.shape, np.nan, np.float32)
    nodata = source.nodata
    if nodata is None and np.issubdtype(source.dtypes[index - 1], np.floating):
        nodata = float("nan")
    reproject(
        rasterio.band(source, index),
        values,
        dst_transform=grid.transform,
        dst_crs=grid.crs,
        src_nodata=nodata,
        dst_nodata=np.nan,
        resampling=Resampling.average if is_coarser(grid, source) else RESAMPLINGS[resampling],
    )
    values[np.isinf(values)] = np.nan
    return values


def resample_classes(source: rasterio.DatasetReader, index: int, grid: Grid) -> tuple[np.ndarray, int]:
    """A class band on a grid, nearest or commonest class, and its nodata code (the greatest of its type where
    the file declares none)."""
    dtype = np.dtype(source.dtypes[index - 1])
    if not np.issubdtype(dtype, np.integer):
        raise HeadscarpError(
            f"{source.name} holds classes as {dtype}; convert it to "
            "integers, for example with `gdal_translate -ot Byte`"
        )
    nodata = int(source.nodata) if source.nodata is not None else int(np.iinfo(dtype).max)
    values = np.full(grid.shape, nodata, dtype)
    reproject(
        rasterio.band(source, index),
        values,
        dst_transform=grid.transform,
        dst_crs=grid.crs,
        src_nodata=source.nodata,
        dst_nodata=nodata,
        resampling=Resampling.mode if is_coarser(grid, source) else Resampling.nearest,
    )
    return values, nodata


def resample_angles(source: rasterio.DatasetReader, index: int, grid: Grid, resampling: str) -> np.ndarray:
    """A band of angles (degrees clockwise from the north of its CRS, FLAT where level) on a grid, from whose
    north they count then, float32 (row, col), NaN = no data."""
    angles = source.read(index, masked=True).astype(np.float32).filled(np.nan)
    if turn := turn_between(source, grid):
        angles = np.where(angles == FLAT, angles, angles + np.float32(turn))
    east, north = components(angles)
    on_grid = []
    for part in (east, north):
        values = np.full(grid.shape, np.nan, np.float32)
        reproject(
            part,
            values,
            src_transform=source.transform,
            src_crs=source.crs,
            dst_transform=grid.transform,
            dst_crs=grid.crs,
            src_nodata=np.nan,
            dst_nodata=np.nan,
            resampling=Resampling.average if is_coarser(grid, source) else RESAMPLINGS[resampling],
        )
        on_grid.append(values)
    east, north = on_grid
    turned = np.degrees(np.arctan2(east, north)) % 360
    turned[turned >= 360] = 0  # float32 rounds the remainder of a tiny negative angle up to 360
    return np.where(np.hypot(east, north) < 1e-6, np.float32(FLAT), turned).astype(np.float32)


def turn_between(source: rasterio.DatasetReader, grid: Grid) -> float:
    """Degrees that an angle from the north of a raster's CRS gains when it counts from a grid's north, at the
    grid's middle: 0 in one CRS, up to some degrees between neighbouring zones."""
    own = grid_of(source)
    if own.crs == grid.crs:
        return 0.0
    (here_x,), (here_y,) = middle_of(grid)
    (there_x,), (there_y,) = transform_points(grid.crs, source.crs, [here_x], [here_y])
    return north_of(own.crs, there_x, there_y, own.resolution) - north_of(
        grid.crs, here_x, here_y, grid.resolution
    )


def components(angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sine (east) and cosine (north) of angles in degrees clockwise from north, float32; 0 and 0 where FLAT,
    NaN where no data."""
    radians = np.radians(angles)
    level = angles == FLAT
    return np.where(level, 0, np.sin(radians)).astype(np.float32), np.where(level, 0, np.cos(radians)).astype(
        np.float32
    )
