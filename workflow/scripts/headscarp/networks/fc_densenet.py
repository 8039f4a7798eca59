"""FC-DenseNet of gao2021: a fully convolutional DenseNet-BC.

Gao, X. et al. (2021), the paper's Section III-B, on Jegou et al. (2017), doi:10.1109/CVPRW.2017.156, and
Huang et al. (2017), doi:10.1109/CVPR.2017.243.
"""

import torch
from torch import Tensor, nn

from headscarp.networks import register
from headscarp.networks.blocks import (
    DenseBlock,
    LogitNorm,
    SegmentationNetwork,
    convolution,
    norm_relu_conv,
    scaled,
    up_convolution,
)

LEVELS = 3
LAYERS = 4


class FCDenseNet(SegmentationNetwork):
    """Dense blocks of four bottlenecked layers, three on the way down, one at the bottom, three on the way
    up.

    With growth k = 32: stem 3x3 (N, 48, H, W); each block adds 4k = 128 maps; a transition down keeps a share
    `theta` of the maps and max-pools: 176 -> 88, 216 -> 108, 236 -> 118 at 1/2, 1/4, 1/8; a transition up
    enlarges all maps of the block below (246, 460, 440) by a 3x3 transposed convolution of stride 2 to 3k =
    96 and concatenates the skip (236, 216, 176 maps). The last block's 128 new maps (N, 128, H, W) give the
    logits (N, classes, H, W) by a 1x1 convolution and batch norm. 2,961,676 parameters with 7 bands, 1 class,
    as in Table IX. That is a choice, not a finding: the paper's tables III and IV leave tens of thousands of
    layouts with this count.
    """

    size_multiple = 2**LEVELS

    def __init__(
        self, in_channels: int, classes: int, width: float, growth: int, theta: float, dropout: float
    ):
        super().__init__()
        stem, growth = scaled(48, width), scaled(growth, width)

        def layer(channels: int) -> nn.Sequential:
            bottleneck = norm_relu_conv(channels, 4 * growth, 1, bias=False)
            return nn.Sequential(
                *bottleneck, *norm_relu_conv(4 * growth, growth, 3, bias=False), nn.Dropout(dropout)
            )

        def block(channels: int) -> DenseBlock:
            return DenseBlock(channels, LAYERS, growth, layer)

        self.stem = nn.Sequential(
            convolution(in_channels, stem, 3, bias=False), nn.BatchNorm2d(stem), nn.ReLU(inplace=True)
        )
        self.down, self.transition_down, skips = nn.ModuleList(), nn.ModuleList(), []
        channels = stem
        for _ in range(LEVELS):
            self.down.append(block(channels))
            skips.append(channels + LAYERS * growth)
            channels = int(theta * skips[-1])
            self.transition_down.append(
                nn.Sequential(*norm_relu_conv(skips[-1], channels, 1, bias=False), nn.MaxPool2d(2))
            )
        self.bottom = block(channels)
        self.transition_up, self.up = nn.ModuleList(), nn.ModuleList()
        for skip in reversed(skips):
            self.transition_up.append(up_convolution(channels + LAYERS * growth, 3 * growth, 3))
            channels = 3 * growth + skip
            self.up.append(block(channels))
        self.head = nn.Sequential(convolution(LAYERS * growth, classes, 1, bias=False), LogitNorm(classes))

    def logits(self, windows: Tensor) -> Tensor:
        maps, skips = self.stem(windows), []
        for block, transition in zip(self.down, self.transition_down, strict=True):
            skips.append(torch.cat([maps, block(maps)], dim=1))
            maps = transition(skips[-1])
        new = self.bottom(maps)
        for transition, block, skip in zip(self.transition_up, self.up, reversed(skips), strict=True):
            maps = torch.cat([transition(torch.cat([maps, new], dim=1)), skip], dim=1)
            new = block(maps)
        return self.head(new)


@register("fc_densenet")
def build_fc_densenet(
    in_channels: int, classes: int, width: float, growth: int = 32, theta: float = 0.5, dropout: float = 0.2
) -> FCDenseNet:
    """gao2021's form; `growth` k, `theta` and `dropout` as in its Section III-B."""
    return FCDenseNet(
        in_channels=in_channels, classes=classes, width=width, growth=growth, theta=theta, dropout=dropout
    )
