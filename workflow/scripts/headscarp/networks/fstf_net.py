"""RAE-D and FSTF-Net, the fully convolutional spectral-topographic fusion network of xia2021 (sections
2.1-2.3, Figs 2-8).

RAE-D: ResNet-50 + ASPP + encoder-decoder, for the spectral channels. FSTF-Net: RAE-D joined at 1/16 by a
VGG-16 for all other channels.
"""

import torch
from torch import Tensor, nn

from headscarp.errors import HeadscarpError
from headscarp.networks import register
from headscarp.networks.aspp import ASPP
from headscarp.networks.blocks import SegmentationNetwork, convolution, enlarge, scaled
from headscarp.networks.resnet import ResNet50, bias_free
from headscarp.networks.vgg import VGG, VGG16
from headscarp.vocabulary import require_known


class RAED(SegmentationNetwork):
    """ResNet-50 to block 4 at 1/16, ASPP, and a decoder with two skips; batch norm after every convolution
    but the classifier.

    The encoder's (N, 256, H/16, W/16) is enlarged by 2 and joined by the first convolution of block 2's
    fourth bottleneck (128 maps at 1/8), then again by that of block 1's third (64 maps at 1/4), each skip
    reduced to 48 maps by a 1x1 convolution and each join followed by a 3x3 convolution of 256; dropout, 1x1
    convolution to the classes, enlarged by 4. Enlarging is bilinear. The paper reduces "three feature maps of
    different sizes" without saying to what: 256, 48 and 48 are DeepLab v3+'s widths, so that against that
    network RAE-D has one more skip and as many convolutions.
    """

    size_multiple = 16

    def __init__(self, in_channels: int, classes: int, width: float, dropout: float):
        super().__init__()
        self.resnet = ResNet50(in_channels, width)
        self.aspp = ASPP(self.resnet.outputs[3], width)
        w256 = self.aspp.outputs
        self.join8, self.join4 = (DecoderStep(w256, self.resnet.reduced[block], width) for block in (1, 0))
        self.head = nn.Sequential(nn.Dropout(dropout), convolution(w256, classes, 1), enlarge(4))

    def logits(self, windows: Tensor) -> Tensor:
        return self.decode(*self.encode(windows))

    def encode(self, windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, bands, H, W) -> (N, 256, H/16, W/16) and the skips (N, 128, H/8, W/8), (N, 64, H/4, W/4)."""
        (_, quarter), (_, eighth), _, (deep, _) = self.resnet(windows)
        return self.aspp(deep), eighth, quarter

    def decode(self, maps: Tensor, eighth: Tensor, quarter: Tensor) -> Tensor:
        """What `encode` gave -> logits (N, classes, H, W)."""
        return self.head(self.join4(self.join8(maps, eighth), quarter))


class DecoderStep(nn.Module):
    """A step of the decoder: maps (N, inputs, h, w) and a skip (N, skip, 2h, 2w) -> (N, inputs, 2h, 2w)."""

    def __init__(self, inputs: int, skip: int, width: float):
        super().__init__()
        w48 = scaled(48, width)
        self.enlarge = enlarge(2)
        self.reduce = nn.Sequential(*bias_free(skip, w48, 1), nn.ReLU(inplace=True))
        self.refine = nn.Sequential(*bias_free(inputs + w48, inputs, 3), nn.ReLU(inplace=True))

    def forward(self, maps: Tensor, skip: Tensor) -> Tensor:
        return self.refine(torch.cat([self.enlarge(maps), self.reduce(skip)], dim=1))


class FSTFNet(RAED):
    """RAE-D on the first `spectral` channels, conv1-conv5 of VGG-16 on the rest, fused at 1/16 before the
    decoder.

    `fuse` maps the encoder's (N, 256, H/16, W/16) and VGG's (N, 512, H/16, W/16) to (N, 256, H/16, W/16), see
    `ConcatFusion` and `SumFusion`.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        width: float,
        dropout: float,
        spectral: int,
        fusion: type[nn.Module],
    ):
        super().__init__(spectral, classes, width, dropout)
        self.spectral = spectral
        self.vgg = VGG(in_channels - spectral, VGG16, width)
        self.fuse = fusion(self.aspp.outputs, self.vgg.outputs)

    def logits(self, windows: Tensor) -> Tensor:
        maps, *skips = self.encode(windows[:, : self.spectral])
        return self.decode(self.fuse(maps, self.vgg(windows[:, self.spectral :])), *skips)


class ConcatFusion(nn.Module):
    """Fig. 5a, eq. 1: both sources' maps, concatenated and reduced to as many as the first has by a 1x1
    convolution."""

    def __init__(self, inputs: int, others: int):
        super().__init__()
        self.reduce = nn.Sequential(*bias_free(inputs + others, inputs, 1), nn.ReLU(inplace=True))

    def forward(self, maps: Tensor, others: Tensor) -> Tensor:
        return self.reduce(torch.cat([maps, others], dim=1))


class SumFusion(nn.Module):
    """Fig. 5b: element-wise sum, the second source's maps first brought to as many as the first has by a 1x1
    convolution."""

    def __init__(self, inputs: int, others: int):
        super().__init__()
        self.project = nn.Sequential(*bias_free(others, inputs, 1), nn.ReLU(inplace=True))

    def forward(self, maps: Tensor, others: Tensor) -> Tensor:
        return maps + self.project(others)


FEATURE_FUSIONS = {"concat": ConcatFusion, "sum": SumFusion}


@register("rae_d")
def build_rae_d(in_channels: int, classes: int, width: float, dropout: float = 0.5) -> RAED:
    """RAE-D on all its channels; xia2021 gives it red, green and blue. The paper prints no dropout rate: 0.5
    is that of its source for dropout, Srivastava et al. 2014."""
    return RAED(in_channels, classes, width, dropout)


@register("fstf_net")
def build_fstf_net(
    in_channels: int,
    classes: int,
    width: float,
    spectral: int = 3,
    fusion: str = "concat",
    dropout: float = 0.5,
) -> RAED:
    """FSTF-Net; `spectral` is how many of the channels, from the first, are spectral.

    `fusion`: "concat" (the paper's) or "sum" of features, or "stack", layer stacking (Fig. 4a): a single
    RAE-D sees all channels. Raises `HeadscarpError` for another fusion, and where one of the two branches
    would have no channel.
    """
    require_known(fusion, [*FEATURE_FUSIONS, "stack"], 'network "fstf_net": fusion')
    if not 0 < spectral < in_channels:
        raise HeadscarpError(
            f'network "fstf_net" fuses the first `spectral` channels with the others, and with '
            f"spectral={spectral} of {in_channels} channels one of its branches has "
            "none; add terrain channels to the inputs, change `spectral`, or take rae_d"
        )
    if fusion == "stack":
        return RAED(in_channels, classes, width, dropout)
    return FSTFNet(
        in_channels=in_channels,
        classes=classes,
        width=width,
        dropout=dropout,
        spectral=spectral,
        fusion=FEATURE_FUSIONS[fusion],
    )
