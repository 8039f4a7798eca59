"""The window index: square cut-outs of a scene as (row, col, size), never as copies of pixels."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path

HEADER = ("row", "col", "size", "date", "split")
SQUARES_AT_ONCE = 512  # bounds the memory of close_pairs


class Window(NamedTuple):
    """A square of `size` pixels with its upper-left corner at (`row`, `col`), on date number `date` of the
    cube."""

    row: int
    col: int
    size: int
    date: int
    split: str


def starts(length: int, size: int, stride: int) -> np.ndarray:
    """First pixels of windows along an axis of `length` pixels; the last window is shifted inward to end at
    the border."""
    last = length - size
    return np.unique(np.append(np.arange(0, last + 1, stride), last))


def grid_corners(shape: tuple[int, int], size: int, stride: int) -> np.ndarray:
    """Corners (n, 2) of a regular grid of windows that covers a scene of `shape` (row, col).

    Raises:
        HeadscarpError: the scene is smaller than a window.
    """
    require_room(shape, size)
    rows, cols = np.meshgrid(starts(shape[0], size, stride), starts(shape[1], size, stride), indexing="ij")
    return np.stack([rows.ravel(), cols.ravel()], axis=1)


def require_room(shape: tuple[int, int], size: int) -> None:
    if min(shape) < size:
        raise HeadscarpError(
            f"a scene of {shape[0]} x {shape[1]} pixels is smaller "
            f"than the window of {size}; make sampling.window smaller"
        )


def possible_corners(mask: np.ndarray, size: int) -> np.ndarray:
    """Whether a window of `size` with its upper-left corner here lies wholly in `mask` (row, col): (row -
    size + 1, col - size + 1)."""
    if min(mask.shape) < size:
        return np.zeros([max(0, length - size + 1) for length in mask.shape], dtype=bool)
    table = integral_image(mask)
    return (
        table[size:, size:] - table[:-size, size:] - table[size:, :-size] + table[:-size, :-size] == size**2
    )


def integral_image(mask: np.ndarray) -> np.ndarray:
    """Summed-area table of a (row, col) mask with a leading row and column of zeros."""
    table = np.zeros(
        (mask.shape[0] + 1, mask.shape[1] + 1), dtype=np.int64 if mask.size >= 2**31 else np.int32
    )
    np.cumsum(mask, axis=0, dtype=table.dtype, out=table[1:, 1:])
    np.cumsum(table[1:, 1:], axis=1, out=table[1:, 1:])
    return table


def counts_in_windows(mask: np.ndarray, corners: np.ndarray, size: int) -> np.ndarray:
    """Number of true pixels of `mask` in each window of `size` with upper-left `corners` (n, 2)."""
    table = integral_image(mask)
    row, col = corners[:, 0], corners[:, 1]
    return table[row + size, col + size] - table[row, col + size] - table[row + size, col] + table[row, col]


def footprint(windows: Iterable[Window], shape: tuple[int, int]) -> np.ndarray:
    """Mask (row, col) of the pixels that at least one window covers."""
    mask = np.zeros(shape, dtype=bool)
    for window in windows:
        mask[window.row : window.row + window.size, window.col : window.col + window.size] = True
    return mask


def squares(windows: Iterable[Window]) -> np.ndarray:
    """Distinct footprints (n, 3) as row, col, size; windows of several dates on one place are one
    footprint."""
    return np.unique(
        np.array([(w.row, w.col, w.size) for w in windows], dtype=np.int64).reshape(-1, 3), axis=0
    )


def close_pairs(
    first: np.ndarray, second: np.ndarray, distance: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Index pairs (i, j) of squares (n, 3) with fewer than `distance` pixels between them; distance 0 finds
    the intersecting ones.

    The gap between two squares is the larger of their gaps along rows and columns. Squares are sorted into
    cells no smaller than any size plus `distance`, so that partners lie in neighbouring cells and the work
    grows with the number of near pairs, not with n^2.
    """
    if not len(first) or not len(second):
        return
    cell = int(max(first[:, 2].max(), second[:, 2].max())) + distance
    columns = int(max(first[:, 1].max(), second[:, 1].max())) // cell + 3
    key = (second[:, 0] // cell + 1) * columns + second[:, 1] // cell + 1
    order = np.argsort(key, kind="stable")
    key = key[order]
    for low in range(0, len(first), SQUARES_AT_ONCE):
        part = first[low : low + SQUARES_AT_ONCE]
        for row_step in (-1, 0, 1):
            for col_step in (-1, 0, 1):
                wanted = (part[:, 0] // cell + 1 + row_step) * columns + part[:, 1] // cell + 1 + col_step
                begin = np.searchsorted(key, wanted, side="left")
                count = np.searchsorted(key, wanted, side="right") - begin
                i = np.repeat(np.arange(len(part)), count)
                j = order[np.arange(len(i)) + np.repeat(begin - (np.cumsum(count) - count), count)]
                near = gap(part[i], second[j]) < distance
                if near.any():
                    yield i[near] + low, j[near]


def gap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pixels between squares (n, 3) and (n, 3), pair by pair; negative where they intersect."""
    ahead = second[:, :2] - (first[:, :2] + first[:, 2:])
    behind = first[:, :2] - (second[:, :2] + second[:, 2:])
    return np.maximum(ahead, behind).max(axis=1)


def write_windows(path: str | Path, windows: Sequence[Window]) -> None:
    """Write the index as CSV with the header row,col,size,date,split, atomically."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(HEADER)
        writer.writerows(windows)


def read_windows(path: str | Path) -> list[Window]:
    """Read an index written by `write_windows`.

    Raises:
        HeadscarpError: the file is missing or is not such an index.
    """
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            reader = csv.reader(stream)
            if tuple(next(reader, ())) != HEADER:
                raise HeadscarpError(
                    f"{path} is not a window index: its header must be "
                    f"{','.join(HEADER)}; delete it and make the samples again"
                )
            return [Window(*(int(value) for value in row[:4]), row[4]) for row in reader]
    except FileNotFoundError:
        raise HeadscarpError(f"{path} does not exist; run the rule that makes the samples") from None
    except (ValueError, IndexError, TypeError) as error:
        raise HeadscarpError(f"{path} is damaged ({error}); delete it and make the samples again") from None
