"""Windows of a site chosen by what lies in them."""

import numpy as np
from scipy import ndimage

Window = tuple[int, int, int, int]  # first row, first column, rows, columns


def slices(window: Window) -> tuple[slice, slice]:
    row, col, rows, cols = window
    return slice(row, row + rows), slice(col, col + cols)


RIM, SMALLEST_SIDE = 0.5, 24  # margin around a slide as a share of its length; pixels


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


def slide_windows(slides: np.ndarray, count: int) -> list[Window]:
    """Square windows (first row, first column, rows, columns) around the `count` largest connected parts of a
    mask (row, col)."""
    parts, number = ndimage.label(slides, np.ones((3, 3)))
    sizes = np.bincount(parts.ravel(), minlength=number + 1)[1:]
    boxes = ndimage.find_objects(parts)
    return [square_around(boxes[index], slides.shape) for index in np.argsort(-sizes, kind="stable")[:count]]


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
