"""Cells of an elevation model that hold no elevation, though the file does not say so: numbers that stand for
no data, and constants behind vertical walls."""

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from headscarp.errors import HeadscarpError
from headscarp.geo.vertical import REMEDY

ELEVATION = (-500.0, 9000.0)  # metres between which land lies
SENTINELS = (
    *(-32768, -32767, 32767, 65535, 65534, -2147483648, 2147483647, 4294967295),
    *(-999, -9999, -99999, -999999, 9999, 99999, 999999, -9999.9, -999.9, 1e20, -1e20),
)
HUGE = 1e30  # the greatest numbers of a type, and NetCDF's fill value, lie beyond
LEAST_CELLS = 4  # that hold a number which is no known sentinel
MOST_UNKNOWN = 2  # such numbers in one model
WALL, TOWER = 30.0, 100.0  # metres by which a void lies below, above all cells around it; roofs stay lower
STEEP = np.tan(np.radians(60))  # or the middle one of the walls around it is steeper than this
MOST_CONSTANTS = 16  # numbers that are looked at, those first with most cells beside walls
NEAR = 3  # cells around one whose heights tell how steep the ground is
EIGHT = np.ones((3, 3), bool)
ROWS_AT_ONCE = 512
CELLS_AT_ONCE = 100_000


def take_out_sentinels(stored: np.ndarray, heights: np.ndarray, place: str) -> list[str]:
    """Make cells that lie higher or deeper than any land no data, where their numbers stand for no data;
    returns what was taken out.

    Args:
        stored: numbers of the file (row, col).
        heights: the same in metres, NaN = no data; changed in place.

    Raises:
        HeadscarpError: other cells lie beyond what land does.
    """
    with np.errstate(invalid="ignore"):
        wrong = (heights < ELEVATION[0]) | (heights > ELEVATION[1])
    if not wrong.any():
        return []
    numbers, counts = np.unique(stored[wrong], return_counts=True)
    known = np.isin(numbers, SENTINELS) | ~(np.abs(numbers.astype(np.float64)) < HUGE)
    others = ~known
    few = others.sum() <= MOST_UNKNOWN and (counts[others] >= LEAST_CELLS).all()
    land = np.count_nonzero(np.isfinite(heights)) > np.count_nonzero(wrong)
    if others.any() and not (few and land):
        strange = heights[wrong & ~np.isin(stored, numbers[known])]
        raise HeadscarpError(
            f"{place}: its elevations of {strange.min():.6g} to {strange.max():.6g} m are not on Earth, "
            f"where land lies between {ELEVATION[0]:g} and {ELEVATION[1]:g}; if they are in another unit, "
            f"{REMEDY}, else take another file: this is another quantity, or voids were mixed with ground"
        )
    heights[wrong] = np.nan
    return [told(int(count), number) for number, count in zip(numbers, counts, strict=True)]


def take_out_walled(stored: np.ndarray, heights: np.ndarray, cell_m: float) -> list[str]:
    """Make connected cells of one and the same number no data where they lie behind walls on all sides: a
    closed pit with walls of 30 m or more, which no lake (it has an outlet) and no sea is, amid ground that is
    less steep; returns what was taken out.

    Args:
        stored: numbers of the file (row, col).
        heights: the same in metres, NaN = no data; changed in place.
        cell_m: side of a cell in metres.
    """
    seeds = np.concatenate([*seeds_of(heights), np.empty(0, np.int64)])
    seeds = seeds[stands_out(heights, seeds)]
    at_seeds = heights.ravel()[seeds]
    found = []
    values, counts = np.unique(at_seeds, return_counts=True)
    for value in values[np.argsort(-counts, kind="stable")][:MOST_CONSTANTS]:
        patches, number = ndimage.label(heights == value, EIGHT)
        boxes = ndimage.find_objects(patches)
        walled = np.zeros(number + 1, bool)
        for patch in np.unique(patches.ravel()[seeds[at_seeds == value]]):
            walled[patch] = is_walled(heights, patches, patch, boxes[patch - 1], value, cell_m)
        void = walled[patches]
        count = int(np.count_nonzero(void))
        if count >= LEAST_CELLS:
            found.append(f"{told(count, stored[void][0])} behind walls on all sides")
            heights[void] = np.nan
    return found


def stands_out(heights: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Which cells (flat indices) lie farther from the nearest other height around them than these heights lie
    from each other: ground that is steep everywhere has pits with walls too."""
    around = np.pad(heights, NEAR, constant_values=np.nan)
    shifts = np.arange(2 * NEAR + 1)
    out = np.zeros(cells.size, bool)
    for first in range(0, cells.size, CELLS_AT_ONCE):
        chosen = cells[first : first + CELLS_AT_ONCE]
        row, col = np.unravel_index(chosen, heights.shape)
        window = around[row[:, None, None] + shifts[:, None], col[:, None, None] + shifts]
        value = heights[row, col][:, None, None]
        other = np.isfinite(window) & (window != value)
        highest = np.where(other, window, -np.inf).max(axis=(1, 2))
        lowest = np.where(other, window, np.inf).min(axis=(1, 2))
        gap = np.where(other, np.abs(window - value), np.inf).min(axis=(1, 2))
        out[first : first + CELLS_AT_ONCE] = gap > highest - lowest
    return out


def told(count: int, number: float) -> str:
    return f"{count} cell{'s' if count > 1 else ''} of {number:g}"


def seeds_of(heights: np.ndarray) -> Iterator[np.ndarray]:
    """Flat indices of cells each of whose neighbours has the same height or stands WALL higher (or TOWER
    lower), and at least one does: the border of every walled patch has some, natural ground hardly any."""
    height, width = heights.shape
    for top in range(0, height, ROWS_AT_ONCE):
        bottom = min(height, top + ROWS_AT_ONCE)
        around = np.full((bottom - top + 2, width + 2), np.nan, heights.dtype)
        first, last = max(0, top - 1), min(height, bottom + 1)
        around[first - top + 1 : last - top + 1, 1:-1] = heights[first:last]
        middle = around[1:-1, 1:-1]
        pit, tower = np.isfinite(middle), np.isfinite(middle)
        walled = np.zeros(middle.shape, bool)
        for down in (0, 1, 2):
            for right in (0, 1, 2):
                rise = around[down : down + bottom - top, right : right + width] - middle
                pit &= ~((rise != 0) & (rise <= WALL))
                tower &= ~((rise != 0) & (rise >= -TOWER))
                walled |= (rise > WALL) | (rise < -TOWER)
        yield np.flatnonzero((pit | tower) & walled) + top * width


def is_walled(
    heights: np.ndarray,
    patches: np.ndarray,
    number: int,
    box: tuple[slice, slice],
    height: float,
    cell_m: float,
) -> bool:
    """Whether all cells around a patch lie WALL above (TOWER below) it, or half of them so much that it would
    be a vertical wall."""
    window = tuple(slice(max(0, part.start - 1), part.stop + 1) for part in box)
    patch = patches[window] == number
    rise = heights[window][ndimage.binary_dilation(patch, EIGHT) & ~patch].astype(np.float64) - height
    rise = rise[np.isfinite(rise)]
    cut = any(part.start == 0 or part.stop == length for part, length in zip(box, heights.shape, strict=True))
    # A large cell in the corner of an enlarged model has three neighbours, all of which may well be higher
    if rise.size < LEAST_CELLS or (cut and np.unique(rise).size < LEAST_CELLS):
        return False
    steep = STEEP * cell_m
    middle = np.median(rise)
    return bool(
        rise.min() > WALL or middle > max(WALL, steep) or rise.max() < -TOWER or middle < -max(TOWER, steep)
    )
