"""The outline of a study area as the import takes it over, and the grid around it."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from headscarp.areas.guess.vectors import layer_named
from headscarp.geo.grid import Grid
from headscarp.geo.outline import grid_around
from headscarp.sources.imports import import_file
from headscarp.sources.region import region_around


@dataclass(frozen=True)
class Outline:
    """A user's outline: its file, the layer that is asked for, the grid in its UTM zone, and what the import
    says of it."""

    path: Path
    layer: str | None
    grid: Grid
    notes: list[str]


def read_outline(given: str | Path, resolution: float) -> Outline:
    """Read an outline.

    Args:
        given: its file, with a layer or without (see `layer_named`).
        resolution: of the grid in metres.

    Raises:
        HeadscarpError: as the import of the outline.
    """
    path, layer = layer_named(given)
    with TemporaryDirectory(prefix="headscarp-init-") as scratch:
        imported = Path(scratch) / "outline.gpkg"
        notes = import_file({"layer": layer} if layer else {}, path, None, imported)
        grid = grid_around(imported, region_around(imported, 0).crs, resolution)
    return Outline(path, layer, grid, notes)
