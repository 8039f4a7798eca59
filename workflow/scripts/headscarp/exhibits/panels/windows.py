"""Windows of a site chosen by what lies in them."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

Window = tuple[int, int, int, int]  # first row, first column, rows, columns


def slices(window: Window) -> tuple[slice, slice]:
    row, col, rows, cols = window
    return slice(row, row + rows), slice(col, col + cols)


RIM, SMALLEST_SIDE = 0.5, 24  # margin around a slide as a share of its length; pixels
SAME_PLACE = 0.25  # share of the smaller of two windows from which on both show one place


def square_around(box: tuple[slice, slice], shape: tuple[int, int]) -> Window:
    """A square window (first row, first column, rows, columns) with a rim around a box, moved to lie inside a
    map of `shape`."""
    length = max(one.stop - one.start for one in box)
    side = min(max(SMALLEST_SIDE, round(length * (1 + 2 * RIM))), *shape)
    firsts = [
        int(np.clip((one.start + one.stop - side) // 2, 0, full - side))
        for one, full in zip(box, shape, strict=True)
    ]
    return firsts[0], firsts[1], side, side


def slide_windows(slides: np.ndarray, count: int, taken: Sequence[Window] = ()) -> list[Window]:
    """Square windows (first row, first column, rows, columns) around the largest connected parts of a mask
    (row, col), up to `count`, none of the place of another or of a window that is `taken`."""
    parts, number = ndimage.label(slides, np.ones((3, 3)))
    sizes = np.bincount(parts.ravel(), minlength=number + 1)[1:]
    boxes = ndimage.find_objects(parts)
    chosen: list[Window] = []
    for index in np.argsort(-sizes, kind="stable"):
        window = square_around(boxes[index], slides.shape)
        if len(chosen) < count and not any(show_one_place(window, other) for other in (*taken, *chosen)):
            chosen.append(window)
    return chosen


def show_one_place(one: Window, other: Window) -> bool:
    """Whether two windows share more than `SAME_PLACE` of the smaller."""
    down, right = (
        min(one[axis] + one[axis + 2], other[axis] + other[axis + 2]) - max(one[axis], other[axis])
        for axis in (0, 1)
    )
    return max(down, 0) * max(right, 0) > SAME_PLACE * min(one[2] * one[3], other[2] * other[3])


def fullest_window(values: np.ndarray, shape: tuple[int, int]) -> tuple[Window, int]:
    """The window of a shape (rows, columns) with the greatest sum of whole numbers (row, col), the first of
    equals, and that sum."""
    rows, cols = shape
    total = np.pad(values.astype(np.int32), ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    inside = total[rows:, cols:] - total[:-rows, cols:] - total[rows:, :-cols] + total[:-rows, :-cols]
    row, col = np.unravel_index(np.argmax(inside), inside.shape)
    return (int(row), int(col), rows, cols), int(inside[row, col])


def densest_window(wanted: np.ndarray, unwanted: np.ndarray, side: int) -> Window | None:
    """The square window of `side` pixels with the most `wanted` (row, col) pixels less all `unwanted` ones;
    None if that is none."""
    side = min(side, *wanted.shape)
    window, most = fullest_window(wanted.astype(np.int32) - unwanted, (side, side))
    return window if most > 0 else None
