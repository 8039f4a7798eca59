"""Time series of one place in one file: NetCDF with named dimensions (.nc), NumPy archives of images
(.npz)."""

import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
import rasterio.crs
import xarray
from affine import Affine
from rasterio.errors import CRSError

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.geo.vectors import read_vectors
from headscarp.vocabulary import require_known

NETCDF, ARCHIVE = ".nc", ".npz"
TIME, X_NAMES, Y_NAMES = "time", ("x", "lon", "longitude"), ("y", "lat", "latitude")
# In cells: how far coordinates may be from where a grid has them.
TOLERANCE = 0.01


@dataclass(frozen=True)
class RasterSeries:
    """Variables of one file on its north-up grid.

    `times` (n) datetime64[s], rising, are those of the images; `variables` are float32, NaN = no data, (n,
    row, col), or (row, col) for one that time plays no part in.
    """

    times: np.ndarray
    grid: Grid
    variables: dict[str, np.ndarray]

    @property
    def days(self) -> list[str]:
        """ISO date of each image; two images of one day have the same."""
        return [str(day) for day in self.times.astype("datetime64[D]")]


def read_series(
    path: str | Path, names: Iterable[str], outline: str | Path | None = None, times: str | None = None
) -> RasterSeries:
    """Read variables of a series.

    NetCDF: dimensions are told apart by their names (time; x, lon or longitude; y, lat or latitude) and may
    come in any order; packed and fill values are decoded as the CF conventions say. The cells are where the
    grid mapping's GeoTransform has them, whether x and y are their centres or their upper-left corners;
    without one x and y are the centres.

    Args:
        outline: vector file whose bounding box is that of the images, north at the first row; .npz files need
            it.
        times: array of a .npz file that holds the time of each image.

    Raises:
        HeadscarpError: the file is missing, unreadable or of another kind; it has no such variable, no time
            axis, no CRS, no regular grid, or its times do not rise.
    """
    path, names = Path(path), list(dict.fromkeys(names))
    if path.suffix not in (NETCDF, ARCHIVE):
        raise HeadscarpError(
            f"{path} is no file of a series that can be read; known are {NETCDF} and {ARCHIVE}"
        )
    if not path.exists():
        raise HeadscarpError(f"{path} does not exist; fetch it or make it again")
    series = read_netcdf(path, names) if path.suffix == NETCDF else read_archive(path, names, outline, times)
    steps = np.diff(series.times)
    if wrong := np.flatnonzero(steps <= np.timedelta64(0, "s")).tolist():
        before, after = series.times[wrong[0]], series.times[wrong[0] + 1]
        what = "stands twice in it" if before == after else f"comes after {before}"
        raise HeadscarpError(
            f"{path}: the times must rise and {after} {what}; sort the images and keep one of each time"
        )
    return series


def read_netcdf(path: Path, names: list[str]) -> RasterSeries:
    try:
        with xarray.open_dataset(path, decode_times=False) as data:
            x_name, y_name = (
                next((name for name in known if name in data.coords), None) for known in (X_NAMES, Y_NAMES)
            )
            if not (x_name and y_name):
                raise HeadscarpError(
                    f"{path} has no coordinates x and y (or lon and lat); write them into it"
                )
            times = netcdf_times(data, path)
            known = [
                str(name)
                for name, variable in data.data_vars.items()
                if {x_name, y_name} <= set(variable.dims)
            ]
            chosen = [data[require_known(name, known, f"{path}: variable")] for name in names]
            grid, upside_down = netcdf_grid(chosen[0], data, x_name, y_name, path)
            variables = {}
            for variable in chosen:
                if strange := set(variable.dims) - {TIME, y_name, x_name}:
                    raise HeadscarpError(
                        f"{path}: the variable '{variable.name}' has a "
                        f"dimension '{strange.pop()}'; take one slice of it"
                    )
                ordered = variable.transpose(
                    *(name for name in (TIME, y_name, x_name) if name in variable.dims)
                )
                values = ordered.values.astype(np.float32)
                variables[str(variable.name)] = values[..., ::-1, :] if upside_down else values
            return RasterSeries(times, grid, variables)
    # what the libraries let through of broken files
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise HeadscarpError(
            f"{path} cannot be read ({error}); it is truncated or no NetCDF: fetch it or make it again"
        ) from None


def netcdf_times(data: xarray.Dataset, path: Path) -> np.ndarray:
    """Times of the images, datetime64[s]; a calendar other than the usual one has none."""
    missing = HeadscarpError(
        f"{path} has no time axis; it needs a coordinate '{TIME}' in the "
        "standard calendar with units such as 'days since 2020-01-01'"
    )
    if TIME not in data.coords:
        raise missing
    try:
        times = xarray.decode_cf(data[[]].assign_coords({TIME: data[TIME]}))[TIME].values
    except ValueError:
        raise missing from None
    if not np.issubdtype(times.dtype, np.datetime64):
        raise missing
    return np.atleast_1d(times).astype("datetime64[s]")


def netcdf_grid(
    variable: xarray.DataArray, data: xarray.Dataset, x_name: str, y_name: str, path: Path
) -> tuple[Grid, bool]:
    """The north-up grid of a variable, and whether its rows go from south to north."""
    mapping = variable.attrs.get("grid_mapping", variable.encoding.get("grid_mapping"))
    georeference = data[mapping].attrs if mapping in data.variables else {}
    text = georeference.get("crs_wkt") or georeference.get("spatial_ref") or data.attrs.get("crs")
    if not text:
        raise HeadscarpError(
            f"{path} has no CRS; find out which it is and write "
            "it, for example with rioxarray's `rio.write_crs`"
        )
    x, y = data[x_name].values.astype(np.float64), data[y_name].values.astype(np.float64)
    upside_down = len(y) > 1 and y[0] < y[-1]
    if upside_down:
        y = y[::-1]
    width, height = spacing(x, path), spacing(-y, path)
    transform = Affine(width, 0.0, x[0] - width / 2, 0.0, -height, y[0] + height / 2)
    if "GeoTransform" in georeference:
        transform = Affine.from_gdal(*(float(number) for number in georeference["GeoTransform"].split()))
        if transform.e > 0:
            transform = transform @ Affine.translation(0, len(y)) @ Affine.scale(1, -1)
        col, row = ~transform @ (np.array([x[0], x[-1] + width]), np.array([y[0], y[-1] - height]))
        off = np.concatenate([col - [0, len(x)], row - [0, len(y)]])
        # Between a corner and a centre; a shift that grows from the first cell to the last is another cell
        # size.
        if off.min() < -TOLERANCE or off.max() > 0.5 + TOLERANCE:
            raise HeadscarpError(
                f"{path}: its GeoTransform does not fit its x and y; write "
                "one that does, with rioxarray's `rio.write_transform`"
            )
    return Grid(crs_text(text, path), transform, len(y), len(x)), bool(upside_down)


def spacing(centres: np.ndarray, path: Path) -> float:
    """Distance of rising coordinates."""
    if len(centres) > 1:
        step = (centres[-1] - centres[0]) / (len(centres) - 1)
        if step > 0 and np.allclose(np.diff(centres), step, rtol=0, atol=TOLERANCE * step):
            return float(step)
    raise HeadscarpError(f"{path}: its x or y are not evenly spaced; resample it onto a regular grid")


def crs_text(text: str, path: Path) -> str:
    try:
        return rasterio.crs.CRS.from_user_input(text).to_string()
    except CRSError:
        raise HeadscarpError(
            f"{path}: its CRS '{text[:60]}' is unknown; write one with a code such as EPSG:32632"
        ) from None


def read_archive(path: Path, names: list[str], outline: str | Path | None, times: str | None) -> RasterSeries:
    if outline is None or times is None:
        raise HeadscarpError(
            f"{path}: an archive of arrays says neither where nor when it is; give `outline` and `times`"
        )
    try:
        with np.load(path) as data:
            wanted = [require_known(name, data.files, f"{path}: variable") for name in [*names, times]]
            arrays = {name: data[name] for name in wanted}
    except (
        OSError,
        ValueError,
        TypeError,
        EOFError,
        NotImplementedError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise HeadscarpError(
            f"{path} cannot be read ({error}); it is truncated or holds Python objects: make it again"
        ) from None
    try:
        moments = arrays.pop(times).astype("datetime64[s]")
    except (ValueError, TypeError):
        raise HeadscarpError(
            f"{path} has no time axis: '{times}' holds no times such as 2020-01-31T10:00:00"
        ) from None
    plane = arrays[names[0]].shape[-2:]
    for name, values in arrays.items():
        if len(plane) != 2 or values.shape not in (plane, (len(moments), *plane)):
            raise HeadscarpError(
                f"{path}: '{name}' has the shape {values.shape}; it must be "
                f"{(len(moments), *plane)} or {plane} (time, row, column)"
            )
    grid = outlined_grid(Path(outline), plane)
    return RasterSeries(moments, grid, {name: values.astype(np.float32) for name, values in arrays.items()})


def outlined_grid(outline: Path, shape: tuple[int, int]) -> Grid:
    """The grid of so many cells (row, col) over the bounding box of a vector file, in that file's CRS."""
    table: geopandas.GeoDataFrame = read_vectors(outline)
    west, south, east, north = table.total_bounds
    transform = Affine((east - west) / shape[1], 0.0, west, 0.0, (south - north) / shape[0], north)
    return Grid(table.crs.to_string(), transform, *shape)
