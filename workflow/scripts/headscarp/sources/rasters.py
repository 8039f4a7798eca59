"""Rasters on their way into a site: the cells round it, of one file or of tiles, with what says where they
are valid."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from pyproj import CRS
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from headscarp.errors import HeadscarpError
from headscarp.geo.layer import open_any_raster
from headscarp.sources.heights import with_unit
from headscarp.sources.netcdf import NETCDF, read_netcdf
from headscarp.sources.originals import RASTER_FILES, crs_of_file, unpacked_file
from headscarp.sources.parts import RasterPart, glances, write_part
from headscarp.sources.region import CellRange, Region, cells_under, footprint, outside_error
from headscarp.sources.validity import Validity

WHOLE = 0.999  # share of the region from which a raster counts as covering it


def import_raster(
    spec: Mapping[str, Any], paths: Sequence[Path], region: Region, target: Path, scratch: Path
) -> list[str]:
    """Write the cells under a region."""
    listed = ", ".join(path.name for path in paths)
    with open_part(spec, paths, region, scratch) as (part, share, notes):
        write_part(part, target)
        told = notes()
    if share < WHOLE:
        margin = float(spec.get("margin_m", 0))
        what = f" with the margin of {margin:g} m round it; it may end in that" if margin else ""
        told.append(f"{listed} covers {share:.1%} of the outline's box{what}")
    return [
        f"{listed}: {part.height} x {part.width} cells of {len(part.names)} bands round the outline",
        *told,
    ]


@contextmanager
def open_part(
    spec: Mapping[str, Any], paths: Sequence[Path], region: Region, scratch: Path
) -> Iterator[tuple[RasterPart, float, Callable[[], list[str]]]]:
    """The cells of a file, or of tiles, under a region, as the import takes them over.

    Returns:
        The part, to be read while the block lasts; the share of the region that it covers; a function that
        gives what the reader should know of what has been read until then.

    Raises:
        HeadscarpError: a file is missing, unreadable or elsewhere, or does not say where it lies.
    """
    listed = ", ".join(path.name for path in paths)
    files = []
    for path in paths:
        file, layer = unpacked_file(path, RASTER_FILES, spec.get("layer"), scratch)
        if layer is not None:
            raise HeadscarpError(f"{path}: `layer` chooses a file of a zip or a layer of vectors; remove it")
        files.append(file)
    if files[0].suffix.lower() in NETCDF:
        if len(files) > 1:
            raise HeadscarpError(
                f"{listed}: several NetCDF files cannot be joined; "
                "join them first, for example with `cdo mergetime`"
            )
        refuse_keys(spec, ("nodata",), paths[0], "is for other files than NetCDF")
        part, share, told = read_netcdf(
            files[0], spec.get("variable"), spec.get("time"), spec.get("crs"), region
        )
        part, of_unit = with_unit(part, spec.get("units"), listed)
        yield replace(part, tags={"SOURCE": listed}), share, lambda: told + of_unit
        return
    refuse_keys(spec, ("variable", "time"), paths[0], f"is for NetCDF files ({', '.join(NETCDF)})")
    with ExitStack() as stack:
        sources = [stack.enter_context(open_any_raster(file)) for file in files]
        part, share, notes = part_of_tiles(sources, spec, paths, region)
        part, of_unit = with_unit(part, spec.get("units"), listed)
        yield replace(part, tags={"SOURCE": listed} | part.tags), share, lambda: notes() + of_unit


def refuse_keys(spec: Mapping[str, Any], keys: Sequence[str], path: Path, why: str) -> None:
    for key in keys:
        if key in spec:
            raise HeadscarpError(f"{path}: the key `{key}` {why}; remove it")


def part_of_tiles(
    sources: Sequence[rasterio.DatasetReader], spec: Mapping[str, Any], paths: Sequence[Path], region: Region
) -> tuple[RasterPart, float, Callable[[], list[str]]]:
    """The cells of one raster, or of several on one lattice (the first with data counts), under a region, the
    share of it covered, and a function that gives notes on what was read.

    Numbers that the file says to scale (GDAL's scale and offset of a band) are scaled, as float32.
    """
    first, notes = sources[0], []
    lattice = lattice_of(first, paths[0])
    crs = crs_of_file(first.crs, spec, paths[0], notes)
    corners = [corner_on(lattice, source, first, path) for source, path in zip(sources, paths, strict=True)]
    rows = (
        min(top for top, _ in corners),
        max(top + source.height for (top, _), source in zip(corners, sources, strict=True)),
    )
    cols = (
        min(left for _, left in corners),
        max(left + source.width for (_, left), source in zip(corners, sources, strict=True)),
    )
    cut, turn = cut_of(lattice, rows, cols, crs, region, paths[0])
    scales = scales_of(first, paths[0])
    if scales is not None:
        packings = ", ".join(sorted({f"x {scale:g} + {offset:g}" for scale, offset in scales.T}))
        notes.append(
            f"{paths[0].name}: its bands are to be scaled; the "
            f"values are stored numbers {packings}, as float32"
        )
    valid = [
        Validity(source, spec, tuple(glances_under(cut, corner, source)))
        for source, corner in zip(sources, corners, strict=True)
    ]
    partial = len(sources) > 1 or any(one.is_partial for one in valid)
    dtype, nodata = kind_of_cells(sources, spec, paths, scales is not None, notes)
    fill = 0 if nodata is None else nodata

    def read(window: Window) -> tuple[np.ndarray, np.ndarray]:
        values = np.full((first.count, window.height, window.width), fill, dtype)
        known = np.zeros(values.shape, bool)
        for tile, (top, left) in zip(valid, corners, strict=True):
            here, there = overlap(tile.source, window, cut.top - top, cut.left - left)
            if there is None:
                continue
            stored = tile.source.read(window=there)
            taken = tile.known(there, stored) & ~known[:, *here]
            if scales is not None:
                stored = stored.astype(np.float64) * scales[0][:, None, None] + scales[1][:, None, None]
            np.copyto(values[:, *here], stored, where=taken, casting="unsafe")
            known[:, *here] |= taken
        return values, known

    def notes_of_what_was_read() -> list[str]:
        total = (cut.bottom - cut.top) * (cut.right - cut.left)
        return [
            *notes,
            *(note for one, path in zip(valid, paths, strict=True) for note in one.notes(path.name, total)),
        ]

    part = RasterPart(
        crs=crs,
        transform=Affine.translation(-turn, 0) @ lattice @ Affine.translation(cut.left, cut.top),
        height=cut.bottom - cut.top,
        width=cut.right - cut.left,
        dtype=dtype,
        nodata=nodata,
        names=first.descriptions,
        units=first.units,
        read=read,
        has_mask=partial and nodata is None,
        colours=first.colorinterp,
        colormap=colormap_of(first),
        tags=first.tags(),
    )
    return part, cut.share, notes_of_what_was_read


def cut_of(
    lattice: Affine, rows: tuple[int, int], cols: tuple[int, int], crs: Any, region: Region, path: Path
) -> tuple[CellRange, int]:
    """The cells of a lattice under a region, and by how many degrees its longitudes are turned on (360 where
    they run from 0 to 360).

    Raises:
        HeadscarpError: none is under it.
    """
    bounds = region.bounds_in(crs)
    turns = (0, 360) if CRS.from_user_input(crs).is_geographic else (0,)
    for turn in turns:
        turned = (bounds[0] + turn, bounds[1], bounds[2] + turn, bounds[3])
        if cut := cells_under(turned, lattice, rows, cols):
            return cut, turn
    raise outside_error(path, footprint(lattice, rows, cols), crs, region)


def scales_of(source: rasterio.DatasetReader, path: Path) -> np.ndarray | None:
    """GDAL's scales and offsets (2, band) of the stored numbers, or None where there are none to apply.

    Raises:
        HeadscarpError: a scale is 0 or no number.
    """
    scales = np.array([source.scales, source.offsets], np.float64)
    if not np.isfinite(scales).all() or (scales[0] == 0).any():
        raise HeadscarpError(
            f"{path} declares the scale {scales[0][0]:g} and the offset {scales[1][0]:g} of its "
            "numbers, which make nothing of them; correct them, for example with "
            "`gdal_edit.py -scale 1 -offset 0`"
        )
    return scales if (scales != [[1], [0]]).any() else None


def glances_under(
    cut: CellRange, corner: tuple[int, int], source: rasterio.DatasetReader
) -> Iterator[Window]:
    """Windows of a raster spread over the part of it that is cut out."""
    for window in glances(cut.bottom - cut.top, cut.right - cut.left):
        _, there = overlap(source, window, cut.top - corner[0], cut.left - corner[1])
        if there is not None:
            yield there


def lattice_of(source: rasterio.DatasetReader, path: Path) -> Affine:
    """Where the cells of a raster lie.

    Raises:
        HeadscarpError: the file does not say it, or says it by control points, or holds several rasters.
    """
    if source.count == 0:
        raise HeadscarpError(
            f"{path} holds several rasters and no band of its own; "
            "give one of them, for example made by `gdal_translate`"
        )
    if source.transform == Affine.identity():
        if source.gcps[0]:
            how = "it has control points only; bring it to a grid with `gdalwarp`"
        elif source.rpcs:
            how = "it has rational polynomials (RPC) only; orthorectify it, for example with `gdalwarp -rpc`"
        else:
            how = "add a world file or georeference it in QGIS"
        raise HeadscarpError(f"{path} does not say where its cells lie; {how}")
    return source.transform


def corner_on(
    lattice: Affine, source: rasterio.DatasetReader, first: rasterio.DatasetReader, path: Path
) -> tuple[int, int]:
    """Row and column of a raster's first cell on the lattice of the first.

    Raises:
        HeadscarpError: it has another CRS, other cells or other bands.
    """
    between = ~lattice @ lattice_of(source, path)
    row, col = round(between.f), round(between.c)
    # A hundredth of a cell at its far corner
    reach = np.abs(
        np.array(between @ (source.width, source.height)) - (col + source.width, row + source.height)
    ).max()
    near = max(reach, abs(between.f - row), abs(between.c - col)) < 0.01
    compared = ["crs", "count", "dtypes", "scales", "offsets"]
    compared += ["descriptions"] if source.count > 1 else []  # bands in another order
    alike = all(getattr(source, what) == getattr(first, what) for what in compared)
    if not near or not alike:
        raise HeadscarpError(
            f"{path} is no tile beside {first.name}: its CRS, cells or bands differ; join "
            "them first, for example with `gdalwarp` or `gdalbuildvrt`, and give the result"
        )
    return row, col


def kind_of_cells(
    sources: Sequence[rasterio.DatasetReader],
    spec: Mapping[str, Any],
    paths: Sequence[Path],
    packed: bool,
    notes: list[str],
) -> tuple[str, float | None]:
    """Type of the cells to write and the value of those without data; None: a mask tells them, or all have
    data.

    Raises:
        HeadscarpError: bands or tiles differ in either.
    """
    first = sources[0]
    if packed:
        return "float32", float("nan")
    values = {repr(value) for source in sources for value in source.nodatavals}
    if len(set(first.dtypes)) > 1 or len(values) > 1:
        raise HeadscarpError(
            f"{paths[0]}: its bands or tiles differ in type or nodata value "
            f"({', '.join(sorted(set(first.dtypes) | values))}); make them "
            "alike, for example with `gdalwarp -ot … -dstnodata …`"
        )
    dtype, nodata = first.dtypes[0], first.nodata
    if nodata is None and first.count == 1 and "nodata" in spec:
        nodata = float(spec["nodata"])
    if np.issubdtype(dtype, np.floating):
        return dtype, float("nan") if nodata is None else nodata
    if nodata is not None and not can_hold(dtype, nodata):
        notes.append(
            f"{paths[0].name}: no cell has its value of no data, {nodata:g}, which {dtype} cannot hold"
        )
        return dtype, None
    return dtype, nodata


def can_hold(dtype: str, value: float) -> bool:
    """Whether a type of whole numbers has a value."""
    if not np.issubdtype(dtype, np.integer):
        return True
    return (
        value == round(value) and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max
        if np.isfinite(value)
        else False
    )


def overlap(
    source: rasterio.DatasetReader, window: Window, down: int, right: int
) -> tuple[tuple[slice, slice], Window | None]:
    """The cells of a window of the part that a raster has: as slices of the window, and as a window of the
    raster (None: it has none).

    Args:
        down, right: row and column of the raster at the part's first cell.
    """
    top, left = window.row_off + down, window.col_off + right
    low, high = max(0, top), min(source.height, top + window.height)
    west, east = max(0, left), min(source.width, left + window.width)
    here = slice(low - top, high - top), slice(west - left, east - left)
    return here, Window(west, low, east - west, high - low) if high > low and east > west else None


def colormap_of(source: rasterio.DatasetReader) -> dict[int, tuple[int, ...]] | None:
    """The colour table of a raster of one band, or None."""
    return source.colormap(1) if source.count == 1 and source.colorinterp[0] == ColorInterp.palette else None
