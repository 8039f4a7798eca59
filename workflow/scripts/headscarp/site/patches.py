"""Layers of a site whose cells are patches: statistics of the terrain within each, and what a table says of
it."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas
from affine import Affine

from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path
from headscarp.geo.grid import Grid
from headscarp.geo.lattice import why_unfit
from headscarp.geo.layer import CONTINUOUS, Layer, write_layer
from headscarp.geo.rasters import align, components
from headscarp.site.checks import check_record
from headscarp.site.elevation import elevation_model
from headscarp.site.layers import LayerFolder, add_labels
from headscarp.site.terrain import HORN, ZEVENBERGEN, aspect, curvature, slope
from headscarp.vocabulary import require_known


class Patches:
    """Square patches that tile an elevation model of finer cells; a cell belongs to the patch that holds its
    centre.

    `grid` is that of the patches, `shape` that of the cells.
    """

    def __init__(self, grid: Grid, cells: Grid) -> None:
        self.grid, self.shape = grid, cells.shape
        self.rows, self.cols = (
            np.searchsorted((np.arange(length) + 0.5) * cells.resolution, np.arange(number) * grid.resolution)
            for length, number in zip(cells.shape, grid.shape, strict=True)
        )

    def reduce(self, combine: np.ufunc, values: np.ndarray) -> np.ndarray:
        """`combine` (np.add, np.fmin, np.fmax) over the cells (row, col) of each patch."""
        return combine.reduceat(combine.reduceat(values, self.rows, axis=0), self.cols, axis=1)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Mean of the cells with data, float64; NaN where a patch has none."""
        known = ~np.isnan(values)
        count = self.reduce(np.add, known.astype(np.int64))
        total = self.reduce(np.add, np.where(known, values, 0.0).astype(np.float64))
        return np.divide(total, count, out=np.full(self.grid.shape, np.nan), where=count > 0)

    def sd(self, values: np.ndarray) -> np.ndarray:
        """Standard deviation of the cells with data; NaN where a patch has none."""
        values = values.astype(np.float64)
        return np.sqrt(np.maximum(self.mean(values**2) - self.mean(values) ** 2, 0))

    def relief(self, values: np.ndarray) -> np.ndarray:
        """Greatest minus least of the cells with data; NaN where a patch has none."""
        return self.reduce(np.fmax, values) - self.reduce(np.fmin, values)


def build_patch_layers(record: dict[str, Any], raw_folder: str | Path, out_folder: str | Path) -> None:
    """Write terrain statistics and tabled values of patches as COGs whose cells are the patches, and
    `layers.json`, whole or not at all.

    The model is resampled to cells of `resolution_m` before anything is derived: one that was enlarged by
    repeating cells would give treads and risers for slopes. Layers: elevation (mean, m), relief (greatest
    minus least elevation, m), slope (mean, degree), slope_sd (degree), curvature (mean absolute total
    curvature, 1/100 m), northness and eastness (mean cosine and sine of the aspect), and one for each tabled
    value. Cells without a patch, or with one that is left out, are NaN. Nothing is labelled: `label` is
    unmapped throughout.

    Args:
        record: the part `layers` of a card's site, with the site's `name` and `data` (twin or real): `dem`:
            elevation model, in a CRS in metres. `dates`: list of one date (text). `citation`: appended to
            every layer's source (optional). `patches`: {table: CSV with a line for each patch, row and col:
            its columns with the upper-left pixel of a patch in the model, size: side of a patch in pixels of
            the model, resolution_m: cells of which the terrain is derived, values: {column: units},
            minimum_slope: least mean slope in degrees of patches that are kept (optional)}.

    Raises:
        HeadscarpError: a key is unknown or missing, a file is unfit, or patches overlap, are off their
            lattice or outside the model.
    """
    check_record(record)
    raw, patches = Path(raw_folder), record["patches"]
    dem, grid, notes = coarse_dem(raw / record["dem"], patches["resolution_m"], patches["size"])
    table = read_patches(raw / patches["table"], patches, grid)
    with atomic_path(out_folder) as path:
        path.mkdir()
        folder = LayerFolder(path, grid, record.get("citation", ""), notes=notes)
        layers = terrain_statistics(dem, grid) + tabled_values(table, patches, grid)
        kept = np.zeros(grid.shape, bool)
        kept[table["row"], table["col"]] = True
        if "minimum_slope" in patches:
            least = patches["minimum_slope"]
            steep = next(layer.values for layer in layers if layer.name == "slope") >= least
            folder.notes.append(
                f"{(kept & ~steep).sum()} of {len(table)} patches are "
                f"left out: their mean slope is under {least:g} degrees"
            )
            kept &= steep
        for layer in layers:
            values = np.where(kept, layer.values, np.nan).astype(np.float32)
            folder.add(Layer(layer.name, values, grid, layer.units, layer.source))
        add_labels(folder, None, raw, covered=kept)
        folder.write_manifest(record["name"], record["data"], [str(date) for date in record["dates"]])


def coarse_dem(path: Path, resolution: float, size: int) -> tuple[Layer, Grid, list[str]]:
    """An elevation model with cells of `resolution` metres, the grid of patches of `size` of its own pixels,
    from the same corner, and notes on it.

    Raises:
        HeadscarpError: as `elevation_model`, its lattice is not metric, or `resolution` is unfit.
    """
    model = elevation_model(path)
    own = model.grid
    if why := why_unfit(own.crs, own.transform, own.shape):
        raise HeadscarpError(
            f"{path} cannot be cut into patches because {why}; reproject it to "
            "square cells in metres, for example with `gdalwarp -t_srs … -tr … …`, and its table with it"
        )
    if resolution < own.resolution or resolution * 2 > size * own.resolution:
        raise HeadscarpError(
            f"patches.resolution_m is {resolution:g}; it must lie between "
            f"{own.resolution:g}, the cells of {path}, and half of a patch"
        )
    cells, patches = (coarser(own, factor) for factor in (resolution / own.resolution, size))
    with TemporaryDirectory() as temporary:
        write_layer(Path(temporary) / "dem.tif", model)
        dem = align(Path(temporary) / "dem.tif", 1, cells, CONTINUOUS, minimum_cover=0.0)
    return dem, patches, list(model.notes)


def coarser(grid: Grid, factor: float) -> Grid:
    """The grid with cells `factor` times as long, from the same upper-left corner, over all of its cells."""
    height, width = (int(np.ceil(length / factor)) for length in grid.shape)
    return Grid(grid.crs, grid.transform @ Affine.scale(factor), height, width)


def terrain_statistics(dem: Layer, grid: Grid) -> list[Layer]:
    """Layers of statistics over the cells of each patch."""
    patches = Patches(grid, dem.grid)
    steepness = slope(dem.values, dem.grid)
    east, north = components(aspect(dem.values, dem.grid))
    bend = np.abs(curvature(dem.values, dem.grid))
    cells = f"of {dem.source}, cells of {dem.grid.resolution:g} m"
    return [
        Layer("elevation", patches.mean(dem.values), grid, "m", f"mean {cells}"),
        Layer("relief", patches.relief(dem.values), grid, "m", f"greatest minus least {cells}"),
        Layer("slope", patches.mean(steepness), grid, "degree", f"mean RichDEM slope ({HORN}); {cells}"),
        Layer(
            "slope_sd",
            patches.sd(steepness),
            grid,
            "degree",
            f"standard deviation of the RichDEM slope ({HORN}); {cells}",
        ),
        Layer(
            "curvature",
            patches.mean(bend),
            grid,
            "1/100 m",
            f"mean absolute RichDEM curvature ({ZEVENBERGEN}); {cells}",
        ),
        Layer(
            "northness",
            patches.mean(north),
            grid,
            "1",
            f"mean cosine of the RichDEM aspect ({HORN}), 0 where flat; {cells}",
        ),
        Layer(
            "eastness",
            patches.mean(east),
            grid,
            "1",
            f"mean sine of the RichDEM aspect ({HORN}), 0 where flat; {cells}",
        ),
    ]


def tabled_values(table: pandas.DataFrame, patches: dict[str, Any], grid: Grid) -> list[Layer]:
    """Layers of the table's columns that are asked for."""
    layers = []
    for name, units in patches["values"].items():
        values = np.full(grid.shape, np.nan)
        values[table["row"], table["col"]] = table[name]
        layers.append(Layer(name, values, grid, units, f"column {name} of {patches['table']}"))
    return layers


def read_patches(path: Path, patches: dict[str, Any], grid: Grid) -> pandas.DataFrame:
    """The table of patches: `row` and `col` in the grid of patches, and the values asked for."""
    try:
        table = pandas.read_csv(path)
    except FileNotFoundError:
        raise HeadscarpError(f"{path} does not exist; fetch it or make it again") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise HeadscarpError(
            f"{path} cannot be read ({error}); it is truncated or no CSV: fetch it or make it again"
        ) from None
    wanted = [patches["row"], patches["col"], *patches["values"]]
    for name in wanted:
        require_known(name, map(str, table.columns), f"{path}: column")
        if not pandas.api.types.is_numeric_dtype(table[name]) or table[name].isna().any():
            raise HeadscarpError(
                f"{path}: the column '{name}' holds something that is no number, or nothing; correct it"
            )
    table = table[wanted].rename(columns={patches["row"]: "row", patches["col"]: "col"})
    place = table[["row", "col"]]
    off = (place % patches["size"] != 0).any(axis=1)
    if off.any():
        raise HeadscarpError(
            f"{path}: {int(off.sum())} patches do not start at "
            f"multiples of {patches['size']} pixels; correct `size`"
        )
    table[["row", "col"]] = place // patches["size"]
    inside = table["row"].between(0, grid.height - 1) & table["col"].between(0, grid.width - 1)
    if not inside.all():
        raise HeadscarpError(
            f"{path}: {int((~inside).sum())} patches lie outside "
            "the elevation model; take the table that belongs to it"
        )
    twice = table.duplicated(["row", "col"])
    if twice.any():
        raise HeadscarpError(f"{path}: {int(twice.sum())} patches stand twice in it; remove them")
    return table
