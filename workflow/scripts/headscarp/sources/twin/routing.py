"""Single-direction (D8) flow routing on elevation grids, vectorised by distance from the outlet."""

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import richdem

NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
_WALL = 1e6


@dataclass(frozen=True)
class Drainage:
    """Flow of a grid of n cells: `receiver` (n,) flat index each cell drains to (itself at an outlet),
    `distance` (n,) in cells to it, `order` (n,) cells from outlets upstream, and `bounds`, the ends of the
    groups of equal number of steps to the outlet."""

    receiver: np.ndarray
    distance: np.ndarray
    order: np.ndarray
    bounds: np.ndarray

    def groups_upstream(self) -> Iterator[np.ndarray]:
        """Groups of cells that drain into earlier groups only, outlets left out."""
        for start, end in zip(self.bounds[:-1], self.bounds[1:], strict=True):
            yield self.order[start:end]

    def accumulate(self, weight: np.ndarray) -> np.ndarray:
        """Sum of `weight` (n,) over each cell and everything upstream of it."""
        total = weight.astype(float).copy()
        for group in reversed(list(self.groups_upstream())):
            np.add.at(total, self.receiver[group], total[group])
        return total


def drain(
    elevation: np.ndarray, preference: np.ndarray | None = None, course: np.ndarray | None = None
) -> Drainage:
    """Route each cell to its steepest lower neighbour.

    Args:
        elevation: (row, col).
        preference: (8, row, col) positive weights of the neighbours; weights that scatter about 1 break the
            grid's eight directions (Rho8 of Fairfield and Leymarie, 1991).
        course: flat indices of a river's cells from source to mouth; each drains to the next.
    """
    rows, cols = elevation.shape
    walled = np.pad(elevation, 1, constant_values=np.inf)
    index = np.arange(rows * cols).reshape(rows, cols)
    best = np.zeros((rows, cols))
    receiver, distance = index.copy(), np.ones((rows, cols))
    for k, (down, right) in enumerate(NEIGHBOURS):
        length = np.hypot(down, right)
        fall = (elevation - walled[1 + down : 1 + down + rows, 1 + right : 1 + right + cols]) / length
        if preference is not None:
            fall = fall * preference[k]
        steeper = fall > best
        best[steeper] = fall[steeper]
        receiver[steeper] = index[steeper] + down * cols + right
        distance[steeper] = length
    receiver, distance = receiver.ravel(), distance.ravel()
    if course is not None:
        receiver[course] = np.append(course[1:], course[-1])
        distance[course] = 1.0
    steps = _steps_to_outlet(receiver)
    order = np.argsort(steps, kind="stable")
    return Drainage(receiver, distance, order, np.cumsum(np.bincount(steps)))


def _steps_to_outlet(receiver: np.ndarray) -> np.ndarray:
    """Number of cells between each cell and its outlet, by pointer doubling."""
    steps = (receiver != np.arange(receiver.size)).astype(np.int64)
    ahead = receiver
    while True:
        further = steps[ahead]
        if not further.any():
            return steps
        steps = steps + further
        ahead = ahead[ahead]


def fill_depressions(elevation: np.ndarray) -> np.ndarray:
    """Raise pits and flats by the least representable amounts so that every cell drains to the grid's border
    (Barnes et al., 2014)."""
    grid = richdem.rdarray(elevation, no_data=-9999.0)
    grid.geotransform = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
    with _quiet():
        return np.array(richdem.FillDepressions(grid, epsilon=True))


def fill_towards(elevation: np.ndarray, outlet: tuple[int, int]) -> np.ndarray:
    """As `fill_depressions`, but water leaves only at the border cell `outlet`."""
    walled = np.pad(elevation, 1, constant_values=_WALL)
    row, col = outlet
    walled[row : row + 3, col : col + 3][walled[row : row + 3, col : col + 3] == _WALL] = -_WALL / 1000
    return fill_depressions(walled)[1:-1, 1:-1]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """RichDEM reports its progress on the process's standard error and output; keep it out of the log."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        for descriptor in (*saved, sink):
            os.close(descriptor)
