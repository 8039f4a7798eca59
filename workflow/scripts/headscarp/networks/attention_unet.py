"""Attention U-Net: a U-Net whose skips pass attention gates.

Oktay, O. et al. (2018). Attention U-Net: learning where to look for the pancreas. arXiv:1804.03999.
zhang2024, the paper's section 3.1.1 and Fig. 5, maps landslides with it.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from headscarp.networks import register
from headscarp.networks.blocks import (
    SegmentationNetwork,
    convolution,
    double_conv_norm_relu,
    scaled,
    up_convolution,
)
from headscarp.networks.initialise import he_

WIDTHS = (64, 128, 256, 512, 1024)


class AttentionUNet(SegmentationNetwork):
    """U-Net of two 3x3 convolutions (batch norm, ReLU) per level, with a gate on each skip.

    With `widths` w0..wn, level i works on (N, wi, H / 2^i, W / 2^i); between levels a 2x2 max-pool goes down
    and a 2x2 transposed convolution, w(i+1) -> wi, goes up. The maps of decoder level i + 1, before they are
    enlarged, gate the skip of level i. A 1x1 convolution maps (N, w0, H, W) to the logits (N, classes, H, W).
    zhang2024 does not mention batch norm; Oktay et al. train with it.
    """

    def __init__(self, in_channels: int, classes: int, widths: list[int]):
        super().__init__()
        self.size_multiple = 2 ** (len(widths) - 1)
        self.hands_up = f"down.{len(widths) - 1}"
        self.down = nn.ModuleList(
            double_conv_norm_relu(inputs, outputs) for inputs, outputs in pairwise([in_channels, *widths])
        )
        self.pool = nn.MaxPool2d(2)
        self.gate = nn.ModuleList(AttentionGate(shallow, deep) for shallow, deep in pairwise(widths))
        self.lift = nn.ModuleList(up_convolution(deep, shallow, 2) for shallow, deep in pairwise(widths))
        self.up = nn.ModuleList(double_conv_norm_relu(2 * shallow, shallow) for shallow in widths[:-1])
        self.head = convolution(widths[0], classes, 1)

    def logits(self, windows: Tensor) -> Tensor:
        skips = [self.down[0](windows)]
        for convolve in self.down[1:]:
            skips.append(convolve(self.pool(skips[-1])))
        maps = skips.pop()
        for gate, lift, convolve in zip(
            reversed(self.gate), reversed(self.lift), reversed(self.up), strict=True
        ):
            maps = convolve(torch.cat([gate(skips.pop(), maps), lift(maps)], dim=1))
        return self.head(maps)


class AttentionGate(nn.Module):
    """Additive attention (Oktay et al. 2018, eqs 1-2): a skip x (N, skip, 2h, 2w) weighted by the coarser
    level's g (N, gating, h, w).

    q = psi(relu(Wx x + Wg g + bg)) + b_psi; x passes as x * a with a = sigmoid(q) enlarged to the skip
    (bilinear), one coefficient per pixel. As in the authors' code Wx is a 2x2 convolution of stride 2 without
    bias and q sums over as many maps as the skip has.
    """

    def __init__(self, skip: int, gating: int):
        super().__init__()
        self.of_skip = nn.Conv2d(skip, skip, 2, stride=2, bias=False)
        he_(self.of_skip)
        self.of_gating = convolution(gating, skip, 1)
        self.psi = convolution(skip, 1, 1)
        # 0.88 at the start: their gates, too, are initialised to pass everything.
        nn.init.constant_(self.psi.bias, 2.0)

    def forward(self, skip: Tensor, gating: Tensor) -> Tensor:
        return skip * self.coefficients(skip, gating)

    def coefficients(self, skip: Tensor, gating: Tensor) -> Tensor:
        """(N, 1, 2h, 2w) in 0..1."""
        weights = self.psi(functional.relu(self.of_skip(skip) + self.of_gating(gating))).sigmoid()
        return functional.interpolate(weights, scale_factor=2, mode="bilinear", align_corners=False)


@register("attention_unet")
def build_attention_unet(in_channels: int, classes: int, width: float) -> AttentionUNet:
    """zhang2024's form: four down-samplings, levels of 64-1024."""
    return AttentionUNet(in_channels, classes, [scaled(channels, width) for channels in WIDTHS])
