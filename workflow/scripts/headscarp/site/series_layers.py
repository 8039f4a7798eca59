"""Layers of a site whose images lie in files that hold many dates each."""

import datetime
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from affine import Affine
from rasterio.io import MemoryFile

from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path
from headscarp.geo.grid import Grid
from headscarp.geo.layer import CLASSES, CONTINUOUS, Layer, write_layer
from headscarp.geo.rasters import (
    BILINEAR,
    MINIMUM_COVER,
    align,
    cover_of,
    resample,
    resample_classes,
    resolution_m,
)
from headscarp.site.checks import check_record
from headscarp.site.dates import ALL_DATES, nearest_date, rising_dates
from headscarp.site.labels import connected_labels
from headscarp.site.layers import (
    LayerFolder,
    add_index,
    add_labels,
    add_terrain,
    grid_text,
    masked_with_indices,
    same_grid,
    write_labels,
)
from headscarp.site.terrain import derive_terrain
from headscarp.sources.series import RasterSeries, read_series


def build_series_layers(record: dict[str, Any], raw_folder: str | Path, out_folder: str | Path) -> None:
    """Write the images of series as dated COGs on one grid, what does not change as static ones, and
    `layers.json`, whole or not at all.

    The grid is that of the first file of `series`; others are co-registered, which the notes say. A day's
    images that are pieces of one pass are put together: later ones fill the gaps of earlier ones. An image
    without any value (all cloud) is missing. A cell without any value at any date is unmapped.

    Args:
        record: the part `layers` of a card's site, with the site's `name` and `data` (twin or real): `dates`:
            ISO dates of the site, or `all`: those of the first file of `series`. `citation`: appended to
            every layer's source (optional). `series`: list of {file: NetCDF or .npz, variables: {layer:
            variable}, units, scale (factor on the values, default 1), resolution_m (cells of what the file
            was enlarged from, optional), mask ({variable, values}: where it has one of these codes there is
            no data, optional), within_days (default 0: images of other days are left out; else each image
            goes to the nearest date of the site within so many days, and the nearest image of a date wins),
            outline, times (see `sources.series`)}. `static`: {layer: {file: one of `series`, variable, units,
            resolution_m (optional), classes ({code: name}, makes it a layer of classes, codes without a name
            being no data; no units then)}} (optional). `terrain`: derivatives of the static layer `elevation`
            (optional), from cells of its `resolution_m`: a model enlarged by repeating its cells has treads
            and risers for slopes. `indices`: {ndvi: {nir, red}, mndwi: {green, swir1}}, names of layers of
            `series` (optional). `labels`: {file: one of `series`, variable: 1 landslide, 0 none} (optional;
            without it every cell is unmapped). Connected cells are one slide.

    Raises:
        HeadscarpError: a key is unknown or missing, a file is unfit or lies elsewhere, no file has one of the
            dates, or what is said to be static, or the label, changes with time.
    """
    check_record(record)
    entries = record["series"]
    files = {entry["file"]: read_entry(Path(raw_folder), entry["file"], record) for entry in entries}
    first = files[entries[0]["file"]]
    dates = site_dates(record["dates"], files, first)
    with atomic_path(out_folder) as path:
        path.mkdir()
        folder = LayerFolder(path, first.grid, record.get("citation", ""))
        covered = np.zeros(first.grid.shape, bool)
        for entry in entries:
            covered |= add_images(folder, entry, files[entry["file"]], dates)
        for name, entry in record.get("static", {}).items():
            add_static(folder, name, entry, files[entry["file"]])
        if record.get("terrain"):
            derive_from_elevation(folder, record["terrain"], record["static"]["elevation"])
        for name, inputs in record.get("indices", {}).items():
            add_index(folder, name, inputs)
        if record.get("labels"):
            add_slides(folder, record["labels"], files[record["labels"]["file"]], covered)
        else:
            add_labels(folder, None, Path(raw_folder), covered)
        masked = [name for entry in entries if "mask" in entry for name in entry["variables"]]
        folder.write_manifest(
            record["name"], record["data"], dates, masked_with_indices(masked, record.get("indices", {}))
        )


def read_entry(raw: Path, file: str, record: dict[str, Any]) -> RasterSeries:
    """A file of `series` with all variables that the record takes from it."""
    entries = [entry for entry in record["series"] if entry["file"] == file]
    names = [variable for entry in entries for variable in entry["variables"].values()]
    names += [entry["mask"]["variable"] for entry in entries if "mask" in entry]
    others = [*record.get("static", {}).values(), *([record["labels"]] if record.get("labels") else [])]
    names += [entry["variable"] for entry in others if entry["file"] == file]
    outline = entries[0].get("outline")
    return read_series(raw / file, names, raw / outline if outline else None, entries[0].get("times"))


def site_dates(wanted: str | list, files: dict[str, RasterSeries], first: RasterSeries) -> list[str]:
    """The dates of the site; each must be that of an image."""
    if wanted == ALL_DATES:
        return sorted(set(first.days))
    dates = rising_dates(wanted, "dates")
    known = sorted({day for series in files.values() for day in series.days})
    for date in dates:
        if date not in known:
            raise HeadscarpError(
                f"no file of the series ({', '.join(files)}) has an image of {date}, "
                f"the nearest is of {nearest_date(date, known)}; correct `dates`"
            )
    return dates


def match_days(entry: dict[str, Any], days: list[str], dates: list[str]) -> tuple[dict[str, str], list[str]]:
    """The day whose images stand for each date of the site, and notes on what stands for another day and what
    belongs to none."""
    within, taken, notes = entry.get("within_days", 0), {}, []
    for day in sorted(set(days)):
        date = nearest_date(day, dates)
        if days_between(date, day) <= within and (
            date not in taken or days_between(date, day) < days_between(date, taken[date])
        ):
            taken[date] = day
    file, around = entry["file"], f" within {within} days" if within else ""
    if lacking := [date for date in dates if date not in taken]:
        notes.append(f"{file}: no image{around} of {', '.join(lacking)}")
    if moved := [f"{day} for {date}" for date, day in sorted(taken.items()) if date != day]:
        notes.append(f"{file}: images of other days stand for the site's dates: {', '.join(moved)}")
    if left := sorted(set(days) - set(taken.values())):
        notes.append(
            f"{file}: {len(left)} images belong to none of the "
            f"site's dates and are left out: {', '.join(left)}"
        )
    if pieces := sorted(day for day in taken.values() if days.count(day) > 1):
        notes.append(f"{file}: the images of one day were put together: {', '.join(pieces)}")
    return dict(sorted(taken.items())), notes


def days_between(date: str, other: str) -> int:
    """Days between two ISO dates."""
    return abs((datetime.date.fromisoformat(date) - datetime.date.fromisoformat(other)).days)


def add_images(
    folder: LayerFolder, entry: dict[str, Any], series: RasterSeries, dates: list[str]
) -> np.ndarray:
    """Add the layers of one entry of `series`, but for images without any value, which the notes name.

    Returns:
        Where one of them has a value at one date or more, bool (row, col).
    """
    file, scale, mask = entry["file"], entry.get("scale", 1), entry.get("mask")
    taken, notes = match_days(entry, series.days, dates)
    if not same_grid(series.grid, folder.grid):
        notes.append(
            f"{file} lies on another grid ({grid_text(series.grid)}) "
            "than the first file of the series; it was co-registered"
        )
    hidden, remark = np.zeros(series.grid.shape, bool), f", times {scale:g}" if scale != 1 else ""
    if mask:
        codes = series.variables[mask["variable"]]
        hidden = np.isin(codes, mask["values"]) | np.isnan(codes)
        remark += f", no data where {mask['variable']} is {' or '.join(map(str, mask['values']))}"
    covered, blank = np.zeros(folder.grid.shape, bool), set()
    for name, variable in entry["variables"].items():
        values = series.variables[variable]
        if values.ndim != 3:
            raise HeadscarpError(
                f"{file}: '{variable}' does not change with time; name it in `static`, not in `series`"
            )
        values = np.where(hidden | ~np.isfinite(values), np.float32(np.nan), values * np.float32(scale))
        for date, day in taken.items():
            images = values[[own == day for own in series.days]]
            plane = first_values(resample_images(images, series.grid, folder.grid, file))
            if np.isnan(plane).all():
                blank.add(date)
                continue
            source = f"{variable} of {file}" + (f", image of {day}" if day != date else "") + remark
            folder.add(
                Layer(name, plane, folder.grid, entry["units"], source),
                None,
                effective_m(entry, series, folder.grid),
                date,
            )
            covered |= ~np.isnan(plane)
        if not folder.records_by_date(name):
            raise HeadscarpError(
                f"{file}: '{variable}' has no value at any date of "
                "the site; check `dates`, `within_days` and `mask`"
            )
    if blank:
        notes.append(f"{file}: no cell is clear on {', '.join(sorted(blank))}")
    folder.notes += [note for note in notes if note not in folder.notes]
    return covered


def first_values(images: np.ndarray) -> np.ndarray:
    """One image (row, col) of several (n, row, col): the first value of each cell."""
    whole = images[0]
    for image in images[1:]:
        whole = np.where(np.isnan(whole), image, whole)
    return whole


def add_static(folder: LayerFolder, name: str, entry: dict[str, Any], series: RasterSeries) -> None:
    """Add a layer that does not change with time, of values or of classes."""
    values, source = constant_variable(series, entry), f"{entry['variable']} of {entry['file']}"
    coarse = effective_m(entry, series, folder.grid)
    if "classes" not in entry:
        plane = resample_images(values[None], series.grid, folder.grid, entry["file"])[0]
        folder.add(Layer(name, plane, folder.grid, entry["units"], source), effective_m=coarse)
        return
    names = {int(code): meaning for code, meaning in entry["classes"].items()}
    codes = np.where(np.isin(values, list(names)), values, UNMAPPED).astype(np.uint8)
    plane = resample_images(codes[None], series.grid, folder.grid, entry["file"], UNMAPPED)[0]
    folder.add(
        Layer(
            name=name,
            values=plane,
            grid=folder.grid,
            units="class",
            source=source,
            kind=CLASSES,
            nodata=UNMAPPED,
        ),
        names,
        coarse,
    )


def derive_from_elevation(folder: LayerFolder, names: Sequence[str], elevation: dict[str, Any]) -> None:
    """Add derivatives of the folder's layer `elevation`, from whole cells of about its `resolution_m` over
    the site."""
    grid, own = folder.grid, resolution_m(folder.grid)
    cell = max(elevation.get("resolution_m", own), own)
    height, width = (max(1, round(length * own / cell)) for length in grid.shape)
    coarse = Grid(
        grid.crs, grid.transform @ Affine.scale(grid.width / width, grid.height / height), height, width
    )
    dem = align(folder.path / "elevation.tif", 1, coarse, CONTINUOUS)
    with TemporaryDirectory() as temporary:
        model, terrain = Path(temporary) / "dem.tif", Path(temporary) / "terrain"
        write_layer(model, replace(dem, source=f"{elevation['variable']} of {elevation['file']}"))
        derive_terrain(model, terrain)
        add_terrain(folder, names, terrain)


def add_slides(folder: LayerFolder, entry: dict[str, str], series: RasterSeries, covered: np.ndarray) -> None:
    """Add the label; cells that are not `covered` or have no label are unmapped."""
    file, variable = entry["file"], entry["variable"]
    values = constant_variable(series, entry)
    mapped = ~np.isnan(values)
    if strange := np.setdiff1d(values[mapped], (0, LANDSLIDE)).tolist():
        raise HeadscarpError(
            f"{file}: the label '{variable}' holds {strange[0]:g}; "
            "it must be 1 where there is a landslide, else 0"
        )
    label = np.where(mapped, values, UNMAPPED).astype(np.uint8)
    label = resample_images(label[None], series.grid, folder.grid, file, UNMAPPED)[0]
    label[~covered] = UNMAPPED
    write_labels(
        folder, connected_labels(label, file, []), f"{variable} of {file}, connected cells are one slide"
    )


def constant_variable(series: RasterSeries, entry: dict[str, Any]) -> np.ndarray:
    """A variable (row, col) that is the same at all times.

    Raises:
        HeadscarpError: it is not.
    """
    values = series.variables[entry["variable"]]
    if values.ndim == 2:
        return values
    if not np.array_equal(values, np.broadcast_to(values[0], values.shape), equal_nan=True):
        changed = next(
            day
            for day, image in zip(series.days, values, strict=True)
            if not np.array_equal(image, values[0], equal_nan=True)
        )
        raise HeadscarpError(
            f"{entry['file']}: '{entry['variable']}' changes with time (first on {changed}), but layers "
            "of `static` and `labels` may not; take the variable of one date, or name it in `series`"
        )
    return values[0]


def effective_m(entry: dict[str, Any], series: RasterSeries, grid: Grid) -> float:
    """Cell size in metres of what a layer comes from, at least the grid's."""
    return max(float(entry.get("resolution_m", 0)), resolution_m(series.grid), resolution_m(grid))


def resample_images(
    values: np.ndarray, own: Grid, grid: Grid, file: str, nodata: int | None = None
) -> np.ndarray:
    """Images (n, row, col) of one grid on another: bilinear or averaged, or where `nodata` is given by the
    nearest or commonest code.

    Raises:
        HeadscarpError: they cover too little of it.
    """
    if same_grid(own, grid):
        return values
    profile = {
        "driver": "GTiff",
        "count": len(values),
        "dtype": values.dtype.name,
        "height": own.height,
        "width": own.width,
    }
    with MemoryFile(ext=".tif") as memory:
        with memory.open(**profile, crs=own.crs, transform=own.transform, nodata=nodata) as target:
            target.write(values)
        with memory.open() as source:
            cover = cover_of(source, grid)
            if cover < MINIMUM_COVER:
                raise HeadscarpError(
                    f"{file} covers {cover:.0%} of the site, the grid of the first file of the series; at "
                    f"least {MINIMUM_COVER:.0%} are needed: take files of one place, or check their CRS"
                )
            if nodata is None:
                return np.stack([resample(source, number, grid, BILINEAR) for number in source.indexes])
            return np.stack([resample_classes(source, number, grid)[0] for number in source.indexes])
