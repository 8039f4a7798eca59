"""Landslide susceptibility of every cell of a map from the 3D-CNN, which sees one window of factors per cell.

Neighbouring windows share nearly all their cells and, with valid convolutions, nearly all their sums. So the
map itself goes through the network once, strip by strip. In the form that pools, stride 2 would leave answers
at every second row and column only; instead the maps are pooled from each of the corners (0, 0), (0, 1), (1,
0), (1, 1), and what follows runs on the four fragments, side by side in the batch. That is stride-1 pooling
followed by convolutions with dilated taps (2 cells apart after the first pooling, 4 after the second),
without gaps in memory. Giusti, A. et al. (2013). Fast image scanning with deep max-pooling convolutional
neural networks. ICIP 2013, 4034-4038. doi:10.1109/ICIP.2013.6738831

Several windows cannot share like this. A window of 17 cells resampled to 12 has its taps 17/12 cells apart,
each at another fraction of a cell: a tap of one window lies where no tap of any other window lies. The first
convolution adds up the scales, so that from there on two windows have no sum in common. Models of several
windows therefore get them cut and resampled on the device, some cells at a time.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from headscarp.errors import HeadscarpError
from headscarp.networks.cnn3d import CNN3D, NONE, POOL, VOLUMETRIC
from headscarp.networks.neighbourhoods import neighbourhoods

BATCH = 64  # windows at once where they are evaluated one by one: more is slower on CPUs
PERIOD = POOL * POOL  # rows after which pooling twice begins anew


def susceptibility_map(
    model: CNN3D,
    factors: np.ndarray | Tensor,
    device: torch.device,
    strip_rows: int = 64,
    without_mean: Sequence[bool] | None = None,
) -> np.ndarray:
    """Probability of a landslide at every cell, as the model gives it for the cell's own windows.

    Args:
        model: on `device`; it is put into evaluation mode.
        factors: (factor, row, col), scaled as for training; NaN is no data.
        strip_rows: rows that are mapped at once; they bound the memory. Strips overlap by the largest window
            less one row.
        without_mean: of each factor, for `neighbourhoods`.

    Returns:
        (row, col) float32; NaN where the largest window leaves the map or holds a NaN.

    Raises:
        HeadscarpError: the largest window is larger than the map.
    """
    factors = torch.as_tensor(factors, dtype=torch.float32)
    height, width = factors.shape[1:]
    window = max(model.windows)
    if window > min(height, width):
        raise HeadscarpError(
            f"a window of {window} x {window} cells does not fit into the map "
            f"of {height} x {width} cells; use a smaller window or a larger map"
        )
    probability = np.full((height, width), np.nan, np.float32)
    tall, wide = height - window + 1, width - window + 1
    inside = probability[window // 2 :, window // 2 :][:tall, :wide]
    if len(model.windows) == 1:
        evaluate = map_convolved
    else:
        evaluate = partial(map_window_by_window, without_mean=without_mean)
    model.eval()
    # TF32, cuDNN's default for float32 convolutions, rounds to 10 bits: maps would depend on the strips by
    # 1e-3.
    with (
        torch.inference_mode(),
        torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False),
    ):
        for top in range(0, tall, strip_rows):
            strip = factors[:, top : top + strip_rows + window - 1].to(device)
            holes = functional.max_pool2d(strip.isnan().any(0, keepdim=True).float(), window, stride=1)[0] > 0
            answers = evaluate(model, strip.nan_to_num())
            inside[top : top + strip_rows] = answers.masked_fill(holes, torch.nan).cpu().numpy()
    return probability


def map_window_by_window(
    model: CNN3D, factors: Tensor, batch: int = BATCH, without_mean: Sequence[bool] | None = None
) -> Tensor:
    """Probability (row - n + 1, col - n + 1) at each position of the largest window, n, in (factor, row,
    col); each window on its own."""
    window = max(model.windows)
    tall, wide = (side - window + 1 for side in factors.shape[1:])
    cells = torch.arange(tall * wide, device=factors.device)
    batches = zip(
        (cells // wide + window // 2).split(batch), (cells % wide + window // 2).split(batch), strict=True
    )
    logits = [
        model(neighbourhoods(factors, rows, cols, model.windows, without_mean)) for rows, cols in batches
    ]
    return torch.cat(logits).softmax(1)[:, 1].reshape(tall, wide)


def map_convolved(model: CNN3D, factors: Tensor) -> Tensor:
    """The same as `map_window_by_window`, for a model of one window: all positions share the convolutions."""
    (window,) = model.windows
    tall, wide = (side - window + 1 for side in factors.shape[1:])
    period = 1 if model.pooling == NONE else PERIOD
    below, half = -tall % period, period * -(-wide // (2 * period))
    padded = functional.pad(factors, (0, 2 * half - wide, 0, below))
    # A left and a right half, because PyTorch leaves a lone input of few channels to a convolution that is
    # ten times slower on CPUs.
    halves = padded.unfold(2, half + window - 1, half).movedim(2, 0)
    if model.pooling == NONE:
        pool, join = nothing, nothing
    else:
        pool, join = partial(pool_fragments, over_factors=model.pooling == VOLUMETRIC), join_fragments
    maps = pool(model.second(pool(model.first(halves[:, None]))))
    logits = join(join(model.head(maps).squeeze(2)))
    return torch.cat(list(logits.softmax(1)[:, 1]), dim=1)[:tall, :wide]


def nothing(maps: Tensor) -> Tensor:
    """What a form that does not pool does in its place."""
    return maps


def pool_fragments(maps: Tensor, over_factors: bool) -> Tensor:
    """Max-pool (N, maps, factor, row, col) from the corners (0, 0), (0, 1), (1, 0), (1, 1): (4 N, maps,
    factor, row / 2, col / 2), and half as many factors if the pooling is over them too.

    With an even number of window positions along both axes all fragments are of one size, and the rows and
    columns left over are those that pooling an odd window drops.
    """
    if over_factors:
        maps = functional.max_pool3d(maps, (POOL, 1, 1))
    rows, cols = ((side - 1) // POOL for side in maps.shape[-2:])
    # The maximum of shifted maps is stride-1 pooling, ten times as fast on a CPU as max_pool3d from each
    # corner.
    for axis, length in ((-2, POOL * rows), (-1, POOL * cols)):
        maps = torch.maximum(maps.narrow(axis, 0, length), maps.narrow(axis, 1, length))
    corners = maps.unflatten(-1, (cols, POOL)).unflatten(-3, (rows, POOL))
    return corners.movedim((-3, -1), (0, 1)).flatten(0, 2)


def join_fragments(fragments: Tensor) -> Tensor:
    """What was computed on fragments, (4 N, maps, row, col), back in its places: (N, maps, 2 row, 2 col)."""
    corners = fragments.unflatten(0, (POOL, POOL, -1))
    return corners.movedim((0, 1), (-3, -1)).flatten(-2).flatten(-3, -2)
