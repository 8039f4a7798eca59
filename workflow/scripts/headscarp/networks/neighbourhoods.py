"""Windows of factors around cells, cut on the device that holds the map."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from headscarp.errors import HeadscarpError


def neighbourhoods(factors: Tensor, rows: Tensor, cols: Tensor, windows: Sequence[int]) -> Tensor:
    """Windows of several sizes around cells, resampled to the smallest (zhang2024, section 3.2.2 and Fig. 8).

    A window of n cells around (r, c) has the rows r - n // 2 .. r - n // 2 + n - 1, columns likewise. Larger
    windows are resampled bilinearly, as `torch.nn.functional.interpolate` does with `align_corners=False`.

    Args:
        factors: (factor, row, col) float.
        rows, cols: (N,) int64 on the same device.
        windows: sides in cells.

    Returns:
        (N, window, factor, s, s) with s = min(windows), on the device of `factors`.

    Raises:
        HeadscarpError: a window leaves the map.
    """
    side = min(windows)
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
    scales = []
    for window in windows:
        # a view: (factor, first row, first col, row, col)
        every_window = factors.unfold(1, window, 1).unfold(2, window, 1)
        values = every_window[:, rows - window // 2, cols - window // 2].movedim(0, 1)
        scales.append(
            values
            if window == side
            else functional.interpolate(values, (side, side), mode="bilinear", align_corners=False)
        )
    return torch.stack(scales, dim=1)
