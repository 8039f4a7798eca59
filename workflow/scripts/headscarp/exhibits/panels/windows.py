"""Windows of a site chosen by what lies in them."""

import numpy as np
from scipy import ndimage

Window = tuple[int, int, int, int]  # first row, first column, rows, columns


def slices(window: Window) -> tuple[slice, slice]:
    row, col, rows, cols = window
    return slice(row, row + rows), slice(col, col + cols)


SLIDES, RIM, SMALLEST_SIDE = 6, 0.5, 24  # close-ups; margin around a slide as a share of its length; pixels


def square_around(box: tuple[slice, slice], shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """A square window (first row, first column, rows, columns) with a rim around a box, moved to lie inside a
    map of `shape`."""
    length = max(one.stop - one.start for one in box)
    side = min(max(SMALLEST_SIDE, round(length * (1 + 2 * RIM))), *shape)
    firsts = [
        int(np.clip((one.start + one.stop - side) // 2, 0, full - side))
        for one, full in zip(box, shape, strict=True)
    ]
    return firsts[0], firsts[1], side, side


def slide_windows(slides: np.ndarray, count: int) -> list[tuple[int, int, int, int]]:
    """Square windows (first row, first column, rows, columns) around the `count` largest connected parts of a
    mask (row, col)."""
    parts, number = ndimage.label(slides, np.ones((3, 3)))
    sizes = np.bincount(parts.ravel(), minlength=number + 1)[1:]
    boxes = ndimage.find_objects(parts)
    return [square_around(boxes[index], slides.shape) for index in np.argsort(-sizes, kind="stable")[:count]]


def densest_window(wanted: np.ndarray, unwanted: np.ndarray, side: int) -> tuple[int, int, int, int] | None:
    """The square window of `side` pixels with the most `wanted` (row, col) pixels less all `unwanted` ones;
    None if that is none."""
    side = min(side, *wanted.shape)
    total = np.pad(wanted.astype(np.int32) - unwanted, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    inside = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    first = np.unravel_index(np.argmax(inside), inside.shape)
    return (int(first[0]), int(first[1]), side, side) if inside[first] > 0 else None
