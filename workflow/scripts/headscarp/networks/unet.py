"""U-Net.

Ronneberger, O., Fischer, P. & Brox, T. (2015). U-Net: convolutional networks for biomedical image
segmentation. MICCAI 2015, LNCS 9351, 234-241. doi:10.1007/978-3-319-24574-4_28
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from headscarp.networks import register
from headscarp.networks.blocks import (
    SegmentationNetwork,
    TwoStepHead,
    convolution,
    double_conv_norm_relu,
    scaled,
    up_convolution,
)


class UNet(SegmentationNetwork):
    """Contracting and expanding path of two 3x3 convolutions per level, joined by concatenation.

    With `widths` w0..wn, level i works on (N, wi, H / 2^i, W / 2^i); between levels a 2x2 max-pool goes down
    and a 2x2 transposed convolution, w(i+1) -> wi, goes up. `head` maps (N, w0, H, W) to the logits (N,
    classes, H, W). `dropout` follows the two deepest levels of the contracting path. `convolutions(inputs,
    outputs)` makes those of a level, as here with bias and ReLU and no batch norm. Unlike the original's,
    convolutions are zero-padded, so that the output has the input's size.
    """

    def __init__(
        self,
        in_channels: int,
        widths: list[int],
        head: nn.Module,
        dropout: float = 0.0,
        convolutions: Callable[[int, int], nn.Module] | None = None,
    ):
        super().__init__()
        convolutions = convolutions or two_convolutions
        self.size_multiple = 2 ** (len(widths) - 1)
        self.down = nn.ModuleList(
            convolutions(inputs, outputs) for inputs, outputs in pairwise([in_channels, *widths])
        )
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(dropout)
        self.lift = nn.ModuleList(up_convolution(deep, shallow, 2) for shallow, deep in pairwise(widths))
        self.up = nn.ModuleList(convolutions(2 * shallow, shallow) for shallow in widths[:-1])
        self.head = head

    def logits(self, windows: Tensor) -> Tensor:
        maps, skips = windows, []
        for level, convolve in enumerate(self.down):
            maps = convolve(maps if level == 0 else self.pool(maps))
            if level >= len(self.down) - 2:
                maps = self.dropout(maps)
            skips.append(maps)
        for lift, convolve, skip in zip(
            reversed(self.lift), reversed(self.up), reversed(skips[:-1]), strict=True
        ):
            maps = convolve(torch.cat([skip, lift(maps)], dim=1))
        return self.head(maps)


def two_convolutions(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        convolution(inputs, outputs, 3),
        nn.ReLU(inplace=True),
        convolution(outputs, outputs, 3),
        nn.ReLU(inplace=True),
    )


@register("unet")
def build_unet(
    in_channels: int, classes: int, width: float, dropout: float = 0.0, norm: bool = False
) -> UNet:
    """gao2021's form, four levels of 64-512 (7,700,741 parameters with 7 bands, 1 class: the only natural
    form that fits Table IX); not of the paper are `dropout` at the two deepest levels and `norm`, batch norm
    after every convolution of a level."""
    widths = [scaled(channels, width) for channels in (64, 128, 256, 512)]
    convolutions = double_conv_norm_relu if norm else two_convolutions
    return UNet(in_channels, widths, TwoStepHead(widths[0], classes), dropout, convolutions)


@register("unet_ronneberger")
def build_unet_ronneberger(in_channels: int, classes: int, width: float) -> UNet:
    """The original: five levels of 64-1024, dropout 0.5 at the end of the contracting path, 1x1 convolution
    to the classes."""
    widths = [scaled(channels, width) for channels in (64, 128, 256, 512, 1024)]
    return UNet(in_channels, widths, convolution(widths[0], classes, 1), dropout=0.5)
