"""ResU-Net: a U-Net of residual units.

Zhang, Z., Liu, Q. & Wang, Y. (2018). Road extraction by deep residual U-Net. IEEE GRSL 15(5), 749-753.
doi:10.1109/LGRS.2018.2802944 Residual units: He et al. (2016), doi:10.1109/CVPR.2016.90 (ReLU after the sum)
and arXiv:1603.05027 (pre-activation).
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from headscarp.networks import register
from headscarp.networks.blocks import (
    SegmentationNetwork,
    TwoStepHead,
    conv_norm_relu,
    convolution,
    norm_relu_conv,
    scaled,
)


class ResUNet(SegmentationNetwork):
    """U-shaped network: (N, bands, H, W) -> logits (N, classes, H, W).

    `encoder[i]` maps to (N, wi, H / 2^i, W / 2^i), going down by itself; `decoder[i]` takes level i + 1
    enlarged by 2 (nearest, no parameters) and concatenated with level i, wi + w(i+1) channels, to wi.
    """

    def __init__(self, encoder: list[nn.Module], decoder: list[nn.Module], head: nn.Module):
        super().__init__()
        self.size_multiple = 2 ** len(decoder)
        self.encoder, self.decoder, self.head = nn.ModuleList(encoder), nn.ModuleList(decoder), head
        self.enlarge = nn.Upsample(scale_factor=2, mode="nearest")

    def logits(self, windows: Tensor) -> Tensor:
        maps, skips = windows, []
        for level in self.encoder:
            maps = level(maps)
            skips.append(maps)
        for unit, skip in zip(reversed(self.decoder), reversed(skips[:-1]), strict=True):
            maps = unit(torch.cat([self.enlarge(maps), skip], dim=1))
        return self.head(maps)


class ResidualUnit(nn.Module):
    """Two 3x3 convolutions with batch norm, added to the input, ReLU. Where the width changes the input
    passes a 1x1 convolution with batch norm on its way to the sum."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.residual = nn.Sequential(
            conv_norm_relu(inputs, outputs, 3), convolution(outputs, outputs, 3), nn.BatchNorm2d(outputs)
        )
        self.shortcut = (
            nn.Identity()
            if inputs == outputs
            else nn.Sequential(convolution(inputs, outputs, 1), nn.BatchNorm2d(outputs))
        )
        self.activate = nn.ReLU(inplace=True)

    def forward(self, maps: Tensor) -> Tensor:
        return self.activate(self.residual(maps) + self.shortcut(maps))


class PreActivatedUnit(nn.Module):
    """Batch norm, ReLU, 3x3 convolution, twice (the first `opens` with its convolution), added to a 1x1
    projection of the input."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, opens: bool = False):
        super().__init__()
        first = (
            [convolution(inputs, outputs, 3)] if opens else norm_relu_conv(inputs, outputs, 3, stride=stride)
        )
        self.residual = nn.Sequential(*first, *norm_relu_conv(outputs, outputs, 3))
        self.shortcut = convolution(inputs, outputs, 1, stride=stride)

    def forward(self, maps: Tensor) -> Tensor:
        return self.residual(maps) + self.shortcut(maps)


@register("resunet")
def build_resunet(in_channels: int, classes: int, width: float) -> ResUNet:
    """gao2021's form: levels of 32-512, two units each but one at the bottom, max-pools, one unit per level
    on the way up.

    9,874,437 parameters with 7 bands, 1 class (Table IX; a probable form).
    """
    widths = [scaled(channels, width) for channels in (32, 64, 128, 256, 512)]
    encoder = []
    for inputs, outputs in pairwise([in_channels, *widths]):
        level = nn.Sequential(ResidualUnit(inputs, outputs))
        if encoder:
            level.insert(0, nn.MaxPool2d(2))
        if outputs != widths[-1]:
            level.append(ResidualUnit(outputs, outputs))
        encoder.append(level)
    decoder = [ResidualUnit(shallow + deep, shallow) for shallow, deep in pairwise(widths)]
    return ResUNet(encoder, decoder, TwoStepHead(widths[0], classes))


@register("resunet_zhang")
def build_resunet_zhang(in_channels: int, classes: int, width: float) -> ResUNet:
    """The original: pre-activated units of 64, 128, 256 and a bridge of 512, going down by strides, 1x1
    convolution to the classes.

    The paper prints 7.8 million parameters; the 1x1 projections, which it does not mention but the changing
    widths need, add 0.4 million.
    """
    widths = [scaled(channels, width) for channels in (64, 128, 256, 512)]
    encoder = [PreActivatedUnit(in_channels, widths[0], opens=True)]
    encoder += [PreActivatedUnit(shallow, deep, stride=2) for shallow, deep in pairwise(widths)]
    decoder = [PreActivatedUnit(shallow + deep, shallow) for shallow, deep in pairwise(widths)]
    return ResUNet(encoder, decoder, convolution(widths[0], classes, 1))
