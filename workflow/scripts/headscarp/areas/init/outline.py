"""The outline of a study area as the import takes it over, and grids around it."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from headscarp.areas.guess.vectors import layer_named
from headscarp.geo.grid import Grid, covering
from headscarp.sources.imports import import_file
from headscarp.sources.region import Region, region_around

LOOK_M = 0.1  # cells of the grid in which files are looked at before it is known what the area's are


@dataclass(frozen=True)
class Outline:
    """A user's outline: its file, the layer that is asked for, its box in its UTM zone, and what the import
    says of it."""

    path: Path
    layer: str | None
    box: Region
    notes: list[str]

    def grid(self, resolution: float) -> Grid:
        """The grid around it, of cells of `resolution` metres."""
        return covering(self.box.bounds, self.box.crs, resolution)


def read_outline(given: str | Path) -> Outline:
    """Read an outline.

    Args:
        given: its file, with a layer or without (see `layer_named`).

    Raises:
        HeadscarpError: as the import of the outline.
    """
    path, layer = layer_named(given)
    with TemporaryDirectory(prefix="headscarp-init-") as scratch:
        imported = Path(scratch) / "outline.gpkg"
        notes = import_file({"layer": layer} if layer else {}, path, None, imported)
        box = region_around(imported, 0)
    return Outline(path, layer, box, notes)
