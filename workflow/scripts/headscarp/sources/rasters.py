"""Rasters on their way into a site: the cells round it, of one file or of tiles, with what says where they
are valid."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from pyproj import CRS
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.windows import Window

from headscarp.errors import HeadscarpError
from headscarp.geo.layer import open_any_raster
from headscarp.sources.netcdf import NETCDF, read_netcdf
from headscarp.sources.originals import RASTER_FILES, crs_of_file, unpacked_file
from headscarp.sources.parts import RasterPart, write_part
from headscarp.sources.region import Region, cells_under, footprint, outside_error

WHOLE = 0.999  # share of the region from which a raster counts as covering it


def import_raster(
    spec: Mapping[str, Any], paths: Sequence[Path], region: Region, target: Path, scratch: Path
) -> list[str]:
    """Write the cells under a region."""
    notes: list[str] = []
    files = []
    for path in paths:
        file, layer = unpacked_file(path, RASTER_FILES, spec.get("layer"), scratch)
        if layer is not None:
            raise HeadscarpError(f"{path}: `layer` chooses a file of a zip or a layer of vectors; remove it")
        files.append(file)
    listed = ", ".join(path.name for path in paths)
    if files[0].suffix.lower() in NETCDF:
        if len(files) > 1:
            raise HeadscarpError(
                f"{listed}: several NetCDF files cannot be joined; "
                "join them first, for example with `cdo mergetime`"
            )
        part, share, notes = read_netcdf(
            files[0], spec.get("variable"), spec.get("time"), spec.get("crs"), region
        )
        write_part(replace(part, tags={"SOURCE": listed}), target)
    else:
        for key in ("variable", "time"):
            if key in spec:
                raise HeadscarpError(
                    f"{paths[0]}: the key `{key}` is for NetCDF files ({', '.join(NETCDF)}); remove it"
                )
        with ExitStack() as stack:
            sources = [stack.enter_context(open_any_raster(file)) for file in files]
            part, share = part_of_tiles(sources, spec, paths, region, notes)
            write_part(replace(part, tags={"SOURCE": listed} | part.tags), target)
    if share < WHOLE:
        notes.append(f"{listed} covers {share:.1%} of the outline's box with its margin")
    return [
        f"{listed}: {part.height} x {part.width} cells of {len(part.names)} bands round the outline",
        *notes,
    ]


def part_of_tiles(
    sources: Sequence[rasterio.DatasetReader],
    spec: Mapping[str, Any],
    paths: Sequence[Path],
    region: Region,
    notes: list[str],
) -> tuple[RasterPart, float]:
    """The cells of one raster, or of several on one lattice (the first with data counts), under a region, and
    the share of it covered.

    Numbers that the file says to scale (GDAL's scale and offset of a band) are scaled, as float32.
    """
    first = sources[0]
    crs = crs_of_file(first.crs, spec, paths[0], notes)
    lattice = lattice_of(first, paths[0])
    corners = [corner_on(lattice, source, first, path) for source, path in zip(sources, paths, strict=True)]
    rows = (
        min(top for top, _ in corners),
        max(top + source.height for (top, _), source in zip(corners, sources, strict=True)),
    )
    cols = (
        min(left for _, left in corners),
        max(left + source.width for (_, left), source in zip(corners, sources, strict=True)),
    )
    bounds, turn = region.bounds_in(crs), 0
    cut = cells_under(bounds, lattice, rows, cols)
    if cut is None and CRS.from_user_input(crs).is_geographic:  # longitudes from 0 to 360
        turn = 360
        cut = cells_under((bounds[0] + turn, bounds[1], bounds[2] + turn, bounds[3]), lattice, rows, cols)
    if cut is None:
        raise outside_error(paths[0], footprint(lattice, rows, cols), crs, region)
    scales = np.array([first.scales, first.offsets])
    packed = bool((scales != [[1], [0]]).any())
    dtype, nodata = kind_of_cells(sources, paths, packed)
    if packed:
        packings = ", ".join(sorted({f"x {scale:g} + {offset:g}" for scale, offset in scales.T}))
        notes.append(
            f"{paths[0].name}: its bands are to be scaled; the "
            f"values are stored numbers {packings}, as float32"
        )
    own_mask = (
        len(sources) == 1
        and not packed
        and MaskFlags.per_dataset in first.mask_flag_enums[0]
        and MaskFlags.alpha not in first.mask_flag_enums[0]
    )

    def read(window: Window) -> np.ndarray:
        values = np.full((first.count, window.height, window.width), 0 if nodata is None else nodata, dtype)
        free = np.full(values.shape, True)
        for source, (top, left) in zip(sources, corners, strict=True):
            here, there = overlap(source, window, cut.top - top, cut.left - left)
            if there is None:
                continue
            cells = source.read(window=there, masked=len(sources) > 1 or packed)
            if packed:
                cells = cells.astype(np.float64) * scales[0][:, None, None] + scales[1][:, None, None]
            known = ~np.ma.getmaskarray(cells) & free[:, *here]
            np.copyto(values[:, *here], np.ma.getdata(cells), where=known, casting="unsafe")
            free[:, *here] &= ~known
        return values

    def read_mask(window: Window) -> np.ndarray:
        return first.read_masks(
            1, window=Window(window.col_off + cut.left, window.row_off + cut.top, window.width, window.height)
        )

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
        read_mask=read_mask if own_mask else None,
        colours=first.colorinterp,
        colormap=colormap_of(first),
        tags=first.tags(),
    )
    return part, cut.share


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
        how = (
            "it has control points; bring it to a grid with `gdalwarp`"
            if source.gcps[0]
            else "add a world file or georeference it in QGIS"
        )
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
    alike = (source.crs, source.count, source.dtypes, source.scales) == (
        first.crs,
        first.count,
        first.dtypes,
        first.scales,
    )
    if not near or not alike:
        raise HeadscarpError(
            f"{path} is no tile beside {first.name}: its CRS, cells or bands differ; join "
            "them first, for example with `gdalwarp` or `gdalbuildvrt`, and give the result"
        )
    return row, col


def kind_of_cells(
    sources: Sequence[rasterio.DatasetReader], paths: Sequence[Path], packed: bool
) -> tuple[str, float | None]:
    """Type of the cells to write and the value of those without data.

    Raises:
        HeadscarpError: bands differ in either, or tiles of whole numbers have none.
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
    if nodata is None and len(sources) > 1:
        if not np.issubdtype(dtype, np.floating):
            raise HeadscarpError(
                f"{paths[0]}: tiles without a nodata value leave cells between "
                "them unknown; declare one with `gdal_edit.py -a_nodata`"
            )
        nodata = float("nan")
    return dtype, nodata


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
