"""Which of several rasters are tiles of one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import shapely
from pyproj import CRS

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.sources.rasters import open_part
from headscarp.sources.region import Region, footprint

LEAST_GAIN = 0.001  # share of the grid that a tile adds at least to those before it


def tiles_of(paths: Sequence[Path], spec: Mapping[str, Any], grid: Grid) -> list[Path]:
    """The first of the rasters, and those that the import joins with it and that cover more of the grid
    besides; another whole raster, or one on another lattice, is no tile.

    Args:
        paths: the best raster first.
        spec: what the import must know of each of them (see `import_file`).
    """
    region = Region(grid.crs, grid.bounds)
    tiles, covered = [paths[0]], ground_of(paths[0], spec, region)
    for path in paths[1:]:
        try:
            ground = ground_of(path, spec, region)
            with TemporaryDirectory() as scratch, open_part(spec, [*tiles, path], region, Path(scratch)):
                pass
        except HeadscarpError:
            continue
        if ground[0] == covered[0] and gain(ground[1], covered[1], ground[2]) >= LEAST_GAIN:
            tiles.append(path)
            covered = (covered[0], covered[1].union(ground[1]), covered[2])
    return tiles


def ground_of(path: Path, spec: Mapping[str, Any], region: Region) -> tuple[CRS, Any, Any]:
    """A raster's CRS, the part of a region's box that it covers, and the box, in that CRS.

    Raises:
        HeadscarpError: as the import of the raster.
    """
    with TemporaryDirectory() as scratch, open_part(spec, [path], region, Path(scratch)) as (part, _, _):
        crs = CRS.from_user_input(part.crs)
        cells = shapely.box(*footprint(part.transform, (0, part.height), (0, part.width)))
    box = shapely.box(*region.bounds_in(crs))
    return crs, cells.intersection(box), box


def gain(ground: Any, covered: Any, box: Any) -> float:
    """Share of a box that is in one geometry and not in another."""
    return ground.difference(covered).area / box.area
