"""What a network costs: parameters, multiply-adds and time per megapixel (a million pixels of the map, not of
its channels)."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from headscarp.errors import HeadscarpError
from headscarp.networks import build, describe
from headscarp.networks.blocks import SegmentationNetwork

MEGAPIXEL = 1_000_000
WINDOW = 256  # a multiple of every network's `size_multiple`: nothing is padded


def multiply_adds(model: nn.Module, shape: Sequence[int]) -> int:
    """Multiply-adds of a forward pass over an array of `shape`, (N, bands, H, W) for segmentation networks;
    leaves evaluation mode on.

    Counted are convolutions, plain and transposed, grouped and atrous, and matrix products; not norms,
    activations, pooling, enlarging and element-wise products, as usual. The array lies where the model does:
    on the device "meta" nothing is computed.
    """
    windows = torch.empty(tuple(shape), device=next(model.parameters()).device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(windows)
    return counter.get_total_flops() // 2


def describe_costs(
    name: str, in_channels: int, classes: int = 1, width: float = 1.0, **params
) -> dict[str, int]:
    """`networks.describe` and `multiply_adds_per_megapixel` of a segmentation network; nothing is allocated
    or measured.

    They are counted on one window of 256 x 256; what a network computes once per window (pooled attention) is
    therein once. Raises `HeadscarpError` as `networks.build` does, and for a network that classifies cells.
    """
    with torch.device("meta"):
        model = build(name, in_channels, classes, width, **params)
    if not isinstance(model, SegmentationNetwork):
        raise HeadscarpError(
            f'network "{name}" classifies cells, and has no costs per megapixel; take a segmentation network'
        )
    per_window = multiply_adds(model, (1, in_channels, WINDOW, WINDOW))
    described = describe(name, in_channels, classes, width, **params)
    return described | {"multiply_adds_per_megapixel": round(per_window * MEGAPIXEL / WINDOW**2)}


def seconds_per_megapixel(
    model: nn.Module, channels: int, window: int = WINDOW, batch: int = 1, least_seconds: float = 0.5
) -> float:
    """Median measured time of the forward pass over windows (batch, channels, window, window), for a million
    pixels; leaves evaluation mode on.

    Runs where the model lies, in the precision that is on, with PyTorch's number of threads now, for
    `least_seconds` at least, after a warm-up. Windows do not overlap and reading, normalising and writing are
    not included, so a map takes longer.
    """
    # Imported here: it takes longer to import than all networks together, and few runs time anything.
    from torch.utils.benchmark import Timer

    windows = torch.ones(batch, channels, window, window, device=next(model.parameters()).device)
    # Maps are made with this memory format.
    windows = windows.contiguous(memory_format=torch.channels_last)
    model = model.eval().to(memory_format=torch.channels_last)
    timer = Timer(
        "model(windows)", globals={"model": model, "windows": windows}, num_threads=torch.get_num_threads()
    )
    with torch.inference_mode():
        return timer.blocked_autorange(min_run_time=least_seconds).median * MEGAPIXEL / (batch * window**2)
