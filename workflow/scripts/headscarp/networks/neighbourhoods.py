"""Windows of factors around cells, cut on the device that holds the map."""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from headscarp.errors import HeadscarpError


def neighbourhoods(
    factors: Tensor,
    rows: Tensor,
    cols: Tensor,
    windows: Sequence[int],
    without_mean: Sequence[bool] | Tensor | None = None,
) -> Tensor:
    """Windows of several sizes around cells, resampled to the smallest (zhang2024, section 3.2.2 and Fig. 8).

    A window of n cells around (r, c) has the rows r - n // 2 .. r - n // 2 + n - 1, columns likewise. All are
    resampled about the middle of the smallest one, so that a place in the volume means the same direction at
    every scale: its s x s cells become n / s times as large. Their values are means over area; where a factor
    has no mean, as codes of classes, that of the cell in which their centre lies.

    Args:
        factors: (factor, row, col) float.
        rows, cols: (N,) int64 on the same device, of cells whose windows lie on the map
            (`require_within_map`).
        windows: sides in cells.
        without_mean: whether each factor has no mean; all have one by default.

    Returns:
        (N, window, factor, s, s) with s = min(windows), on the device of `factors`.
    """
    side, device = min(windows), factors.device
    nearest_of = (
        torch.zeros(len(factors), dtype=torch.bool, device=device)
        if without_mean is None
        else torch.as_tensor(without_mean, device=device)
    )
    scales = []
    for window in windows:
        # a view: (factor, first row, first col, row, col)
        every_window = factors.unfold(1, window, 1).unfold(2, window, 1)
        values = every_window[:, rows - window // 2, cols - window // 2].movedim(0, 1)
        if window != side:
            shares, nearest = resampling_there(window, side, factors.dtype, device)
            means = shares @ values @ shares.T
            picked = values[..., nearest[:, None], nearest]
            values = torch.where(nearest_of[:, None, None], picked, means)
        scales.append(values)
    return torch.stack(scales, dim=1)


def require_within_map(factors: Tensor, rows: Tensor, cols: Tensor, windows: Sequence[int]) -> None:
    """Refuse cells a window around which leaves the map.

    Not a part of `neighbourhoods`, since to look at the cells is to wait for a GPU.
    """
    inside = torch.ones_like(rows, dtype=torch.bool)
    for positions, length in zip((rows, cols), factors.shape[1:], strict=True):
        before = max(window // 2 for window in windows)
        after = max(window - window // 2 for window in windows)
        inside &= (positions >= before) & (positions + after <= length)
    if not inside.all():
        at = int(inside.logical_not().nonzero()[0, 0])
        raise HeadscarpError(
            f"the window of {max(windows)} cells around cell ({int(rows[at])}, {int(cols[at])}) leaves "
            f"the map of {factors.shape[1]} x {factors.shape[2]} cells; leave out cells near the border"
        )


@lru_cache
def resampling_there(
    window: int, side: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    """`resampling` in the precision and on the device of a map, brought there once."""
    shares, nearest = resampling(window, side)
    return shares.to(device, dtype), nearest.to(device)


def resampling(window: int, side: int) -> tuple[Tensor, Tensor]:
    """How a window becomes one of `side` cells about the middle of the window of `side` cells.

    Where only one of the two numbers is even their middles lie half a cell apart: half a cell of the window
    is left over at one end, and at the other the outermost resampled cell is cut off.

    Returns:
        (side, window) float64, the share of each resampled cell that each cell of the window covers, rows
        adding up to 1; (side,) int64, the cell of the window in which the centre of each resampled cell lies,
        the later one where that is an edge.
    """
    edges = window // 2 - side // 2 + side / 2 + (torch.arange(side + 1) - side / 2).double() * window / side
    cells = torch.arange(window).double()
    covered = torch.minimum(edges[1:, None], cells + 1) - torch.maximum(edges[:-1, None], cells)
    covered = covered.clamp(min=0)
    centres = (edges[1:] + edges[:-1]) / 2
    return covered / covered.sum(1, keepdim=True), centres.floor().long().clamp(0, window - 1)
