"""The one hundred layers Tiramisu: FC-DenseNet-56, -67 and -103.

Jegou, S., Drozdzal, M., Vazquez, D., Romero, A. & Bengio, Y. (2017). The one hundred layers tiramisu: fully
convolutional DenseNets for semantic segmentation. CVPR Workshops 2017, 1175-1183. doi:10.1109/CVPRW.2017.156
"""

import torch
from torch import Tensor, nn

from headscarp.networks import register
from headscarp.networks.blocks import (
    DenseBlock,
    SegmentationNetwork,
    convolution,
    norm_relu_conv,
    scaled,
    up_convolution,
)


class Tiramisu(SegmentationNetwork):
    """Dense blocks without bottleneck, five on the way down, one at the bottom, five on the way up (their
    Tables 1 and 2).

    `layers` per block from top to bottom, `growth` maps per layer. Stem 3x3 (N, 48, H, W); a block of the way
    down passes on its input and its new maps, at 1/2 .. 1/32 behind a transition (batch norm, ReLU, 1x1
    convolution, dropout, max-pool) that keeps the number of maps; a transition up enlarges only the new maps
    of the block below, by a 3x3 transposed convolution of stride 2; the last block's input and new maps give
    the logits (N, classes, H, W) by a 1x1 convolution. Convolutions have biases.
    """

    size_multiple = 32

    def __init__(
        self,
        in_channels: int,
        classes: int,
        width: float,
        layers: tuple[int, ...],
        growth: int,
        dropout: float,
    ):
        super().__init__()
        channels, growth = scaled(48, width), scaled(growth, width)

        def layer(channels: int) -> nn.Sequential:
            return nn.Sequential(*norm_relu_conv(channels, growth, 3), nn.Dropout(dropout))

        self.stem = convolution(in_channels, channels, 3)
        self.down, self.transition_down = nn.ModuleList(), nn.ModuleList()
        skips = []
        for count in layers[:-1]:
            self.down.append(DenseBlock(channels, count, growth, layer))
            channels += count * growth
            skips.append(channels)
            self.transition_down.append(
                nn.Sequential(*norm_relu_conv(channels, channels, 1), nn.Dropout(dropout), nn.MaxPool2d(2))
            )
        self.bottom = DenseBlock(channels, layers[-1], growth, layer)
        self.transition_up, self.up = nn.ModuleList(), nn.ModuleList()
        new = self.bottom.outputs
        for count, skip in zip(reversed(layers[:-1]), reversed(skips), strict=True):
            self.transition_up.append(up_convolution(new, new, 3))
            channels = new + skip
            self.up.append(DenseBlock(channels, count, growth, layer))
            new = self.up[-1].outputs
        self.head = convolution(channels + new, classes, 1)

    def logits(self, windows: Tensor) -> Tensor:
        maps, skips = self.stem(windows), []
        for block, transition in zip(self.down, self.transition_down, strict=True):
            skips.append(torch.cat([maps, block(maps)], dim=1))
            maps = transition(skips[-1])
        new = self.bottom(maps)
        for transition, block, skip in zip(self.transition_up, self.up, reversed(skips), strict=True):
            maps = torch.cat([transition(new), skip], dim=1)
            new = block(maps)
        return self.head(torch.cat([maps, new], dim=1))


@register("tiramisu56")
def build_tiramisu56(in_channels: int, classes: int, width: float, dropout: float = 0.2) -> Tiramisu:
    """56 convolutions, growth 12 (1,376,795 trainable parameters with 3 bands, 11 classes)."""
    return Tiramisu(
        in_channels=in_channels,
        classes=classes,
        width=width,
        layers=(4, 4, 4, 4, 4, 4),
        growth=12,
        dropout=dropout,
    )


@register("tiramisu67")
def build_tiramisu67(in_channels: int, classes: int, width: float, dropout: float = 0.2) -> Tiramisu:
    """67 convolutions, growth 16 (3,463,243)."""
    return Tiramisu(
        in_channels=in_channels,
        classes=classes,
        width=width,
        layers=(5, 5, 5, 5, 5, 5),
        growth=16,
        dropout=dropout,
    )


@register("tiramisu103")
def build_tiramisu103(in_channels: int, classes: int, width: float, dropout: float = 0.2) -> Tiramisu:
    """103 convolutions, growth 16 (9,322,091)."""
    return Tiramisu(
        in_channels=in_channels,
        classes=classes,
        width=width,
        layers=(4, 5, 7, 10, 12, 15),
        growth=16,
        dropout=dropout,
    )
