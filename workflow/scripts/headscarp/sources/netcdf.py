"""NetCDF (3 and 4) of the CF conventions as north-up rasters: rain, soil moisture, class maps."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray
from affine import Affine
from pyproj import CRS
from pyproj.exceptions import CRSError
from scipy.spatial import cKDTree

from headscarp.errors import HeadscarpError, NoCrsError
from headscarp.sources.parts import RasterPart
from headscarp.sources.region import DEGREES, CellRange, Region, cells_under, footprint, outside_error
from headscarp.vocabulary import require_known

NETCDF = (".nc", ".nc4", ".cdf", ".netcdf")
# by a file's first four bytes: NetCDF 4 and 3
ENGINES = {b"\x89HDF": "h5netcdf", b"CDF\x01": "scipy", b"CDF\x02": "scipy"}
X, Y = "x", "y"
STANDARD_NAMES = {
    X: ("longitude", "projection_x_coordinate", "grid_longitude"),
    Y: ("latitude", "projection_y_coordinate", "grid_latitude"),
}
NAMES = {
    X: ("x", "lon", "long", "longitude", "easting", "rlon"),
    Y: ("y", "lat", "latitude", "northing", "rlat"),
}
UNITS = {X: "degrees_east", Y: "degrees_north"}
LONGITUDE = ("lon", "long", "longitude")
UNEVEN = 0.05  # share of a cell by which coordinates may leave an even spacing (single precision leaves some)
KILOMETRES = ("km", "kilometer", "kilometers", "kilometre", "kilometres")


def read_netcdf(
    path: Path, variable: str | None, time: Any, crs: str | None, region: Region
) -> tuple[RasterPart, float, list[str]]:
    """The part of a variable under a region.

    Axes may come in any order and direction, longitudes from 0 to 360. Coordinates of two dimensions (a
    curved grid) go to an even grid in degrees by the nearest node. Packed values (scale_factor, add_offset)
    are unpacked to float32; others keep their type.

    Args:
        variable: its name; needed where the file has several.
        time: the steps to take as ISO text or its beginning (2018-09-06 takes that day's); None takes all.
            Each is a band.
        crs: CRS of the coordinates where the file does not say it.

    Returns:
        The part, the share of the region that it covers, and notes.

    Raises:
        HeadscarpError: the file is unreadable or misses the region; variable, time or CRS is unknown or not
            told; axes are uneven.
    """
    with open_dataset(path) as data:
        array = variable_of(data, variable, path)
        array, names = steps_of(array, time, path)
        axes = {kind: axis_of(data, array, kind) for kind in (X, Y)}
        place = f"{path}, variable '{array.name}'"
        if None in axes.values() or (lacks_crs(data, array, axes) and not crs and curved(data, array)):
            values, transform, share, notes = curved_part(data, array, place, path, region)
            system = CRS.from_user_input(DEGREES)
        else:
            system, notes = crs_of(data, array, axes, crs, place), []
            values, transform, share = even_part(data, array, axes, system, place, path, region)
        values, nodata, packed = unpacked(values, array.attrs)
        if packed:
            notes.append(f"{path.name}: {array.name} is packed; its values are {packed}, as float32")
        units = [str(array.attrs.get("units", ""))] * len(values)
    part = RasterPart(
        crs=system.to_wkt(),
        transform=transform,
        height=values.shape[1],
        width=values.shape[2],
        dtype=values.dtype.name,
        nodata=nodata,
        names=names,
        units=units,
        read=lambda window: with_data(values[:, *window.toslices()], nodata),
    )
    return part, share, notes


def with_data(values: np.ndarray, nodata: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Values, and where they are data, bool of the same shape."""
    known = np.ones(values.shape, bool) if nodata is None else values != nodata
    return values, known & ~np.isnan(values) if np.issubdtype(values.dtype, np.floating) else known


@contextmanager
def open_dataset(path: Path) -> Iterator[xarray.Dataset]:
    """A NetCDF file, its values as they are stored, its times decoded.

    Raises:
        HeadscarpError: it is missing or unreadable.
    """
    if not path.exists():
        raise HeadscarpError(f"{path} does not exist; fetch it or make it again")
    with open(path, "rb") as stream:
        engine = ENGINES.get(stream.read(4))
    if engine is None:
        raise HeadscarpError(
            f"{path} is no NetCDF file of version 3 or 4; fetch it "
            "or make it again, or convert it with `nccopy -k nc4`"
        )
    try:
        data = xarray.open_dataset(path, engine=engine, mask_and_scale=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise HeadscarpError(
            f"{path} cannot be read ({error}); it is truncated or no NetCDF: fetch it or make it again"
        ) from None
    with data:
        yield data


def variable_of(data: xarray.Dataset, name: str | None, path: Path) -> xarray.DataArray:
    """The variable that is asked for, or the only one that lies on the ground.

    Raises:
        HeadscarpError: it does not exist, or there are several or none.
    """
    maps = maps_of(data)
    if name is not None:
        return data[require_known(name, maps, f"{path}: variable")]
    if len(maps) != 1:
        how = (
            f"it holds {', '.join(maps)}; choose one by the key `variable`"
            if maps
            else "none of its variables has axes x and y"
        )
        raise HeadscarpError(f"{path}: which variable? {how}")
    return data[maps[0]]


def maps_of(data: xarray.Dataset) -> list[str]:
    """Names of the variables that lie on the ground."""
    return [
        str(key) for key, array in data.data_vars.items() if on_even_axes(data, array) or curved(data, array)
    ]


def variables_of(path: Path) -> list[str]:
    """Names of the variables of a file that lie on the ground.

    Raises:
        HeadscarpError: the file is missing or unreadable.
    """
    with open_dataset(path) as data:
        return maps_of(data)


def on_even_axes(data: xarray.Dataset, array: xarray.DataArray) -> bool:
    return all(axis_of(data, array, kind) for kind in (X, Y))


def axis_of(data: xarray.Dataset, array: xarray.DataArray, kind: str) -> str | None:
    """The dimension of an array that runs along x or y by its coordinate's name or attributes, or None."""
    return next(
        (
            str(dim)
            for dim in array.dims
            if dim in data.variables and data[dim].ndim == 1 and is_axis(data[dim], kind)
        ),
        None,
    )


def curved(data: xarray.Dataset, array: xarray.DataArray) -> dict[str, str] | None:
    """Names of the longitude (x) and latitude (y) of two dimensions of an array, or None."""
    found = {
        kind: next(
            (
                str(name)
                for name, other in data.variables.items()
                if other.ndim == 2
                and set(other.dims) <= set(array.dims)
                and name != array.name
                and is_axis(data[name], kind)
            ),
            None,
        )
        for kind in (X, Y)
    }
    return found if all(found.values()) else None


def is_axis(coordinate: xarray.DataArray, kind: str) -> bool:
    """Whether a coordinate is that along x or y, by its standard name, axis, units or name."""
    attributes = coordinate.attrs
    return (
        attributes.get("standard_name") in STANDARD_NAMES[kind]
        or str(attributes.get("axis", "")).lower() == kind
        or attributes.get("units") == UNITS[kind]
        or str(coordinate.name).lower() in NAMES[kind]
    )


def steps_of(array: xarray.DataArray, time: Any, path: Path) -> tuple[xarray.DataArray, list[str]]:
    """The chosen times of an array, and names of the bands that they become.

    Raises:
        HeadscarpError: no step is of that time, there are no times, or another dimension has several steps.
    """
    steps = next((dim for dim in array.dims if dim in array.coords and is_time(array[dim])), None)
    if steps is None:
        if time is not None:
            raise HeadscarpError(
                f"{path}: {array.name} has no times, so the key `time` chooses nothing; remove it"
            )
        return array, [str(array.name)]
    labels = [time_text(value) for value in array[steps].values]
    wanted = "" if time is None else str(time).replace(" ", "T")
    chosen = [number for number, text in enumerate(labels) if text.startswith(wanted)]
    if not chosen:
        raise HeadscarpError(
            f"{path}: no step of {array.name} is of the time {time}; its "
            f"{len(labels)} steps run from {labels[0]} to {labels[-1]}"
        )
    midnight = all(text.endswith("T00:00:00") for text in labels)
    return array.isel({steps: chosen}), [
        labels[number].removesuffix("T00:00:00") if midnight else labels[number] for number in chosen
    ]


def is_time(coordinate: xarray.DataArray) -> bool:
    return (
        np.issubdtype(coordinate.dtype, np.datetime64)
        or coordinate.attrs.get("standard_name") == "time"
        or coordinate.name == "time"
    )


def time_text(value: Any) -> str:
    """ISO text of a time, in seconds; of another calendar's day as it writes itself."""
    return (
        str(np.datetime_as_string(value, unit="s"))
        if isinstance(value, np.datetime64)
        else str(value).replace(" ", "T")
    )


def planes(array: xarray.DataArray, y: str, x: str, place: str) -> np.ndarray:
    """Stored values as (band, row, col).

    Raises:
        HeadscarpError: besides time, y and x it has a dimension of several steps.
    """
    others = [dim for dim in array.dims if dim not in (y, x) and not is_time_dimension(array, dim)]
    for dim in others:
        if array.sizes[dim] > 1:
            raise HeadscarpError(
                f"{place} has {array.sizes[dim]} steps of '{dim}', "
                "of which one must be chosen; save a file of one step"
            )
    array = array.isel(dict.fromkeys(others, 0))
    array = array.transpose(..., y, x)
    return array.values.reshape(-1, array.sizes[y], array.sizes[x])


def is_time_dimension(array: xarray.DataArray, dim: Any) -> bool:
    return dim in array.coords and is_time(array[dim])


# --- coordinates ---


def lacks_crs(data: xarray.Dataset, array: xarray.DataArray, axes: dict[str, str]) -> bool:
    """Whether the file does not say what the coordinates along its axes are."""
    return "grid_mapping" not in array.attrs and not is_longitude(data[axes[X]])


def is_longitude(coordinate: xarray.DataArray) -> bool:
    attributes = coordinate.attrs
    named = str(coordinate.name).lower() in LONGITUDE and "degree" in str(attributes.get("units", "degrees"))
    return attributes.get("standard_name") == "longitude" or attributes.get("units") == UNITS[X] or named


def crs_of(
    data: xarray.Dataset, array: xarray.DataArray, axes: dict[str, str], crs: str | None, place: str
) -> CRS:
    """The CRS of a variable: the given one, that of its grid mapping, or WGS 84 for longitudes and latitudes.

    Raises:
        HeadscarpError: nothing tells it.
    """
    if crs is not None:
        return CRS.from_user_input(crs)
    mapping = str(array.attrs.get("grid_mapping", "")).split(":")[0].split(" ")[0]
    if mapping in data.variables:
        attributes = data[mapping].attrs
        try:
            return (
                CRS.from_user_input(attributes["spatial_ref"])
                if "spatial_ref" in attributes and "crs_wkt" not in attributes
                else CRS.from_cf(attributes)
            )
        except (CRSError, KeyError) as error:
            raise HeadscarpError(
                f"{place}: its grid mapping '{mapping}' is no CRS "
                f"({error}); give the file's CRS as the key `crs`"
            ) from None
    if is_longitude(data[axes[X]]):
        return CRS.from_user_input(DEGREES)
    raise NoCrsError(
        f"{place} has no CRS; find out which it is and give "
        "it as the key `crs`, for example `crs: EPSG:32654`"
    )


def even_part(
    data: xarray.Dataset,
    array: xarray.DataArray,
    axes: dict[str, str],
    crs: CRS,
    place: str,
    path: Path,
    region: Region,
) -> tuple[np.ndarray, Affine, float]:
    """Stored values (band, row, col) from north to south and west to east under a region, their transform,
    and the share covered."""
    x, columns = sorted_coordinates(coordinates(data[axes[X]], crs), crs.is_geographic)
    y, rows = sorted_coordinates(-coordinates(data[axes[Y]], crs), False)
    (west, step_x), (south, step_y) = origin_of(x, axes[X], place), origin_of(y, axes[Y], place)
    transform = Affine(step_x, 0, west, 0, -step_y, -south)
    spans = (0, len(y)), (0, len(x))
    cut = cells_under(region.bounds_in(crs), transform, *spans)
    if cut is None:
        raise outside_error(path, footprint(transform, *spans), crs, region)
    taken = array.isel({axes[Y]: rows[cut.top : cut.bottom], axes[X]: columns[cut.left : cut.right]})
    return (
        planes(taken, axes[Y], axes[X], place),
        transform @ Affine.translation(cut.left, cut.top),
        cut.share,
    )


def coordinates(axis: xarray.DataArray, crs: CRS) -> np.ndarray:
    """Values of an axis in the CRS's units, float64."""
    values, _, _ = unpacked(axis.values, axis.attrs)
    factor = 1000.0 if crs.is_projected and str(axis.attrs.get("units", "")).lower() in KILOMETRES else 1.0
    return values.astype(np.float64) * factor


def sorted_coordinates(values: np.ndarray, turns: bool) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates rising, and their places in the file; longitudes beyond 180 degrees (`turns`) are taken
    back by a turn."""
    if turns and values.max() > 180:
        values = np.where(values > 180, values - 360, values)
    order = np.argsort(values, kind="stable")
    return values[order], order


def origin_of(values: np.ndarray, name: str, place: str) -> tuple[float, float]:
    """The outer edge of the first cell and the size of the cells of rising, evenly spaced centres.

    Raises:
        HeadscarpError: there is one cell only, or they are uneven.
    """
    if len(values) < 2:
        raise HeadscarpError(
            f"{place}: one step along '{name}' does not tell how "
            "large its cells are; take a larger part of the source"
        )
    step = float(values[-1] - values[0]) / (len(values) - 1)
    if step <= 0 or np.abs(values - (values[0] + step * np.arange(len(values)))).max() > UNEVEN * step:
        raise HeadscarpError(
            f"{place}: its coordinates along '{name}' are not evenly spaced; "
            "bring it to an even grid, for example with `cdo remapbil`"
        )
    return float(values[0]) - step / 2, step


def curved_part(
    data: xarray.Dataset, array: xarray.DataArray, place: str, path: Path, region: Region
) -> tuple[np.ndarray, Affine, float, list[str]]:
    """As `even_part` for longitudes and latitudes of two dimensions: each cell of an even grid takes the
    nearest node, if that is not farther than one step of the curved grid."""
    names = curved(data, array)
    dims = data[names[X]].dims
    lon, lat = (
        unpacked(data[names[kind]].transpose(*dims).values, data[names[kind]].attrs)[0].astype(np.float64)
        for kind in (X, Y)
    )
    lon = np.where(lon > 180, lon - 360, lon)
    bounds = region.bounds_in(DEGREES)
    # a degree of longitude in degrees of latitude
    shrink = math.cos(math.radians((bounds[1] + bounds[3]) / 2))
    step = float(
        np.median(
            [
                np.nanmedian(np.hypot(np.diff(lon, axis=side) * shrink, np.diff(lat, axis=side)))
                for side in (0, 1)
            ]
        )
    )
    west, south, east, north = (
        float(edge) for edge in (np.nanmin(lon), np.nanmin(lat), np.nanmax(lon), np.nanmax(lat))
    )
    transform = Affine(step / shrink, 0, west - step / shrink / 2, 0, -step, north + step / 2)
    spans = (0, math.ceil((north - south) / step) + 1), (0, math.ceil((east - west) / (step / shrink)) + 1)
    cut = cells_under(bounds, transform, *spans)
    if cut is None:
        raise outside_error(path, footprint(transform, *spans), DEGREES, region)
    nodes, beyond = nearest_nodes(lon, lat, transform, cut, shrink, step)
    if beyond.all():
        raise outside_error(path, (west, south, east, north), DEGREES, region)
    rows, cols = np.unravel_index(nodes, lon.shape)
    top, left = int(rows.min()), int(cols.min())
    taken = array.isel({dims[0]: slice(top, int(rows.max()) + 1), dims[1]: slice(left, int(cols.max()) + 1)})
    values = planes(taken, dims[0], dims[1], place)[:, rows - top, cols - left]
    values = mask_distant_cells(values, beyond, array.attrs, place)
    note = (
        f"{path.name}: its grid is curved; the nearest node went to each "
        f"cell of an even grid of {step / shrink:.5g} x {step:.5g} degrees"
    )
    return values, transform @ Affine.translation(cut.left, cut.top), cut.share, [note]


def nearest_nodes(
    lon: np.ndarray, lat: np.ndarray, transform: Affine, cut: CellRange, shrink: float, step: float
) -> tuple[np.ndarray, np.ndarray]:
    """Flat index of the node nearest to each cell of a cut (row, col), and where it is farther than a
    step."""
    known = np.flatnonzero(np.isfinite(lon) & np.isfinite(lat))
    tree = cKDTree(np.column_stack([lon.ravel()[known] * shrink, lat.ravel()[known]]))
    col, row = np.meshgrid(np.arange(cut.left, cut.right) + 0.5, np.arange(cut.top, cut.bottom) + 0.5)
    x, y = transform @ (col, row)
    distance, nearest = tree.query(np.stack([x * shrink, y], axis=-1))
    return known[nearest], distance > step


def mask_distant_cells(
    values: np.ndarray, beyond: np.ndarray, attributes: dict[str, Any], place: str
) -> np.ndarray:
    """Stored values (band, row, col) with the file's fill value `beyond` (row, col) the nodes.

    Raises:
        HeadscarpError: they are integers and there is no fill value.
    """
    fills = fill_values(attributes, values.dtype)
    if not beyond.any():
        return values
    if not fills and not np.issubdtype(values.dtype, np.floating):
        raise HeadscarpError(
            f"{place}: whole numbers without a _FillValue cannot have cells without data; add one to the file"
        )
    return np.where(beyond, values.dtype.type(fills[0] if fills else np.nan), values)


# --- values ---


def unpacked(values: np.ndarray, attributes: dict[str, Any]) -> tuple[np.ndarray, float | None, str]:
    """Stored values as what they mean: (values, nodata, how they were unpacked or nothing).

    Packed ones become float32 with NaN = no data, other floats NaN where a fill value is, whole numbers one
    fill value.
    """
    if str(attributes.get("_Unsigned", "")).lower() == "true" and np.issubdtype(
        values.dtype, np.signedinteger
    ):
        values = values.view(f"u{values.dtype.itemsize}")
    fills = fill_values(attributes, values.dtype)
    empty = np.isin(values, fills)
    scale, offset = (
        float(np.ravel(attributes.get(key, usual))[0])
        for key, usual in (("scale_factor", 1.0), ("add_offset", 0.0))
    )
    if "scale_factor" in attributes or "add_offset" in attributes:
        real = (values.astype(np.float64) * scale + offset).astype(np.float32)
        real[empty] = np.nan
        return real, float("nan"), f"stored values x {scale:g} + {offset:g}"
    if np.issubdtype(values.dtype, np.floating):
        return np.where(empty, values.dtype.type(np.nan), values), float("nan"), ""
    return (np.where(empty, fills[0], values), int(fills[0]), "") if fills else (values, None, "")


def fill_values(attributes: dict[str, Any], dtype: np.dtype) -> list[np.generic]:
    """What stands for no data, in the type of the values."""
    found: Sequence[Any] = [
        value for key in ("_FillValue", "missing_value") for value in np.ravel(attributes.get(key, []))
    ]
    kept = []
    for value in found:
        try:
            kept.append(np.asarray(value).astype(dtype)[()])
        except (ValueError, TypeError):  # a missing_value as text, which says nothing
            continue
    return kept
