"""The map of a scene out of those of its parts, strips of rows that were mapped each by a job of its own."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from headscarp.files import read_json
from headscarp.geo.grid import Grid
from headscarp.geo.layer import grid_of, open_any_raster, strips_of_rows
from headscarp.mapping.map_files import write_map_record, write_shown_strips


def gather_parts(parts: Sequence[str | Path], out_folder: str | Path) -> None:
    """Write the maps in the folders of all parts of a scene, from the top, as one: `probability.tif` and
    `classes.tif`, byte for byte those of the scene mapped at once, and `map.json` (seconds of all parts
    together).

    Raises:
        HeadscarpError: a map is missing or unreadable.
        DiskFullError: there is no room for them.
    """
    folders, out_folder = [Path(part) for part in parts], Path(out_folder)
    grid, source = whole_of(folders)
    write_shown_strips(out_folder, strips_of(folders), grid, source)
    records = [read_json(folder / "map.json") for folder in folders]
    write_map_record(
        out_folder, sum(record["seconds"] for record in records), grid.shape, records[0]["device"]
    )


def whole_of(folders: Sequence[Path]) -> tuple[Grid, str]:
    """The grid that parts make up together, and the source that the first of them tells."""
    height = 0
    for folder in folders:
        with open_any_raster(folder / "probability.tif") as raster:
            height += raster.height
    with open_any_raster(folders[0] / "probability.tif") as raster:
        first, source = grid_of(raster), raster.tags()["SOURCE"]
    return Grid(first.crs, first.transform, height, first.width), source


def strips_of(folders: Sequence[Path]) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Strips (first row of the scene, landslide probabilities, codes of classes) of a few rows at a time."""
    top = 0
    for folder in folders:
        with ExitStack() as opened:
            rasters = [
                opened.enter_context(open_any_raster(folder / name))
                for name in ("probability.tif", "classes.tif")
            ]
            for strip in strips_of_rows(*rasters[0].shape):
                probability, classes = (raster.read(1, window=strip) for raster in rasters)
                yield top + strip.row_off, probability, classes
            top += rasters[0].height
