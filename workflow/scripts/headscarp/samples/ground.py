"""Scenes of a collage that show the same ground, such as images of one place by several sensors: what is
split there is the ground, so that no place trains at one date and tests at another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headscarp.arrays import open_array
from headscarp.errors import HeadscarpError
from headscarp.files import read_json
from headscarp.geo.grid import Grid

# How far the scenes of one ground may reach beyond the coarsest of them, in its pixels.
TOLERANCE_PX = 1.5


@dataclass(frozen=True)
class SharedGround:
    """The ground that all scenes of a collage show, on the grid of the coarsest, whose rows and columns of
    the collage are `reference`: blocks of whole windows of it hold windows of every other scene too. `shape`
    is that of the collage; `nearest` holds, for each scene, its slices of the collage and the rows and
    columns of the reference under the centres of its pixels."""

    shape: tuple[int, int]
    reference: tuple[slice, slice]
    nearest: tuple[tuple[tuple[slice, slice], np.ndarray, np.ndarray], ...]

    def paint(self, values: np.ndarray, beside: int) -> np.ndarray:
        """Values (row, col) of the reference's grid at every pixel (row, col) of the collage that shows their
        ground, and `beside` between scenes."""
        painted = np.full(self.shape, beside, values.dtype)
        for part, rows, cols in self.nearest:
            painted[part] = values[np.ix_(rows, cols)]
        return painted


def shared_ground(shape: tuple[int, int], scenes: Sequence[Mapping[str, Any]]) -> SharedGround | None:
    """The ground of a collage's scenes (as in its cube.json), or None where no two show the same.

    Raises:
        HeadscarpError: scenes overlap in part only, or on grids of different CRS, so that they cannot be
            split together.
    """
    grids = [Grid.from_record(scene["grid"]) for scene in scenes]
    if not any(overlap(one, other) for index, one in enumerate(grids) for other in grids[index + 1 :]):
        return None
    coarsest = max(range(len(grids)), key=lambda index: grids[index].resolution)
    reference = grids[coarsest]
    for scene, grid in zip(scenes, grids, strict=True):
        reach = np.abs(np.subtract(grid.bounds, reference.bounds)).max() / reference.resolution
        if grid.crs != reference.crs or reach > TOLERANCE_PX:
            raise HeadscarpError(
                f"scenes {scenes[coarsest]['name']} and {scene['name']} of a collage overlap in part; what "
                "trains in one could be tested in the other: crop them to the same extent and CRS, or leave "
                "one out of `scenes`"
            )
    return SharedGround(
        shape,
        slices_of_scene(scenes[coarsest]),
        tuple(
            (slices_of_scene(scene), *indices_under(grid, reference))
            for scene, grid in zip(scenes, grids, strict=True)
        ),
    )


def slices_of_scene(scene: Mapping[str, Any]) -> tuple[slice, slice]:
    """Rows and columns of a collage that a scene of its cube.json holds."""
    return slice(scene["row"], scene["row"] + scene["height"]), slice(0, scene["width"])


def part_of_collage(folder: str | Path, scene: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Regions and blocks (row, col) of one scene in the samples of a collage; None where `folder` holds no
    samples of a collage with such a scene."""
    folder = Path(folder)
    joined = {one["name"]: one for one in read_json(folder / "samples.json").get("scenes", [])}
    if scene not in joined:
        return None
    part = slices_of_scene(joined[scene])
    return open_array(folder / "regions.npy")[part], open_array(folder / "blocks.npy")[part]


def overlap(one: Grid, other: Grid) -> bool:
    """Whether two grids of one CRS share more ground than a pixel's width."""
    (west, south, east, north), theirs = one.bounds, other.bounds
    across = min(east, theirs[2]) - max(west, theirs[0]), min(north, theirs[3]) - max(south, theirs[1])
    return one.crs == other.crs and min(across) > max(one.resolution, other.resolution)


def indices_under(grid: Grid, reference: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the reference that lie under the centres of a grid's rows and columns, at its edges
    the nearest."""
    ratio = grid.resolution / reference.resolution
    down = (reference.bounds[3] - grid.bounds[3]) / reference.resolution
    right = (grid.bounds[0] - reference.bounds[0]) / reference.resolution
    rows, cols = (
        np.clip(((np.arange(size) + 0.5) * ratio + start).astype(int), 0, most - 1)
        for size, start, most in zip(grid.shape, (down, right), reference.shape, strict=True)
    )
    return rows, cols
