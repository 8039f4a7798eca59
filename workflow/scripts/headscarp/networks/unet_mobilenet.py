"""U-Net with a MobileNetV3-Large encoder, a light baseline for ResU-CBNet.

Howard, A. et al. (2019). Searching for MobileNetV3. ICCV 2019, 1314-1324. doi:10.1109/ICCV.2019.00140.
Squeeze-and-excitation: Hu, J., Shen, L. & Sun, G. (2018). CVPR 2018, 7132-7141. doi:10.1109/CVPR.2018.00745.
"""

from typing import NamedTuple

from torch import Tensor, nn

from headscarp.networks import register
from headscarp.networks.blocks import convolution, scaled
from headscarp.networks.resnet import bias_free
from headscarp.networks.resunet import ResUNet


class Row(NamedTuple):
    """A row of Table 1: kernel, exp size, #out, SE (units, 0 for none) and NL (hard-swish, else ReLU)."""

    kernel: int
    expanded: int
    outputs: int
    squeezed: int
    hard_swish: bool


# Table 1 by the level on which a row's answer lies, 1/2 to 1/32; the first row of every level but the first
# goes down (s = 2). SE has a quarter of the expanded channels, rounded to a multiple of 8 and by no more than
# a tenth down (the authors' code): 72 / 4 becomes 24.
LEVELS = (
    (Row(3, 16, 16, 0, False),),
    (Row(3, 64, 24, 0, False), Row(3, 72, 24, 0, False)),
    (Row(5, 72, 40, 24, False), *2 * (Row(5, 120, 40, 32, False),)),
    (
        Row(3, 240, 80, 0, True),
        Row(3, 200, 80, 0, True),
        *2 * (Row(3, 184, 80, 0, True),),
        Row(3, 480, 112, 120, True),
        Row(3, 672, 112, 168, True),
    ),
    (Row(5, 672, 160, 168, True), *2 * (Row(5, 960, 160, 240, True),)),
)
STEM_MAPS, HEAD_MAPS = (
    16,
    960,
)  # maps of the 3x3 convolution before and the 1x1 convolution after the bottlenecks
DECODER = (256, 128, 64, 32, 16)  # at 1/16 to 1/1, the widths of segmentation_models.pytorch


class MobileNetUNet(ResUNet):
    """(N, bands, H, W) -> logits (N, classes, H, W); the encoder's five levels lie at 1/2 to 1/32, see
    `mobilenet_v3_large`.

    Each step of the decoder takes the deeper maps enlarged by 2 (nearest) and concatenated with the level's
    last maps (112, 40, 24 and 16 at 1/16, 1/8, 1/4 and 1/2), through two 3x3 convolutions with batch norm and
    ReLU; from 1/2 to the full size there is no skip. Squeeze-and-excitation pools over all of a window: maps
    computed window by window depend on the windows' size and place.
    """

    def __init__(self, in_channels: int, classes: int, width: float):
        skips = [scaled(level[-1].outputs, width) for level in LEVELS[:-1]]
        *steps, last = (scaled(channels, width) for channels in DECODER)
        deeper = [scaled(HEAD_MAPS, width), *steps[:-1]]
        decoder = [
            _two_convolutions(below + skip, step)
            for below, skip, step in zip(deeper, reversed(skips), steps, strict=True)
        ]
        head = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="nearest"),
            _two_convolutions(steps[-1], last),
            convolution(last, classes, 3),
        )
        super().__init__(mobilenet_v3_large(in_channels, width), decoder[::-1], head)
        self.size_multiple = 2 ** len(LEVELS)


def mobilenet_v3_large(in_channels: int, width: float) -> list[nn.Module]:
    """Table 1 up to its pooling, as levels to call one after the other: (N, bands, H, W) -> (N, 16, H/2, W/2)
    - (N, 24, H/4, W/4) - (N, 40, H/8, W/8) - (N, 112, H/16, W/16) - (N, 960, H/32, W/32).

    5,483,032 trainable parameters with 3 bands and the classifier (1280 units, 1000 classes). No pre-trained
    weights.
    """
    channels, levels = scaled(STEM_MAPS, width), []
    for rows in LEVELS:
        level = nn.Sequential()
        for row in rows:
            goes_down = bool(levels) and not level
            level.append(InvertedResidual(channels, row, width, stride=2 if goes_down else 1))
            channels = scaled(row.outputs, width)
        levels.append(level)
    levels[0].insert(
        0,
        nn.Sequential(
            *bias_free(in_channels, scaled(STEM_MAPS, width), 3, stride=2), nn.Hardswish(inplace=True)
        ),
    )
    levels[-1].append(
        nn.Sequential(*bias_free(channels, scaled(HEAD_MAPS, width), 1), nn.Hardswish(inplace=True))
    )
    return levels


class InvertedResidual(nn.Module):
    """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride): 1x1 convolution to the expanded width,
    depthwise convolution, squeeze-and-excitation, linear 1x1 convolution (Fig. 4); added to the input where
    size and width stay.

    Batch norm after each convolution, the row's nonlinearity after the first two. Where the expanded width is
    the input's, the first 1x1 convolution is left out.
    """

    def __init__(self, inputs: int, row: Row, width: float, *, stride: int):
        super().__init__()
        expanded, outputs = scaled(row.expanded, width), scaled(row.outputs, width)
        activate = nn.Hardswish if row.hard_swish else nn.ReLU
        self.layers = nn.Sequential()
        if row.expanded != STEM_MAPS:
            self.layers.extend([*bias_free(inputs, expanded, 1), activate(inplace=True)])
        self.layers.extend(
            [
                *bias_free(expanded, expanded, row.kernel, stride=stride, groups=expanded),
                activate(inplace=True),
            ]
        )
        if row.squeezed:
            self.layers.append(SqueezeExcitation(expanded, scaled(row.squeezed, width)))
        self.layers.extend(bias_free(expanded, outputs, 1))
        self.adds = stride == 1 and inputs == outputs

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.layers(maps) if self.adds else self.layers(maps)


class SqueezeExcitation(nn.Module):
    """(N, C, H, W) -> (N, C, H, W): each map times a number in 0..1 that two fully connected layers make of
    the means of all maps."""

    def __init__(self, channels: int, units: int):
        super().__init__()
        # Fully connected layers of a pooled vector are 1x1 convolutions of one pixel.
        squeeze = (nn.AdaptiveAvgPool2d(1), convolution(channels, units, 1), nn.ReLU(inplace=True))
        self.weigh = nn.Sequential(*squeeze, convolution(units, channels, 1), nn.Hardsigmoid())

    def forward(self, maps: Tensor) -> Tensor:
        return maps * self.weigh(maps)


def _two_convolutions(inputs: int, outputs: int) -> nn.Sequential:
    layers = (
        *bias_free(inputs, outputs, 3),
        nn.ReLU(inplace=True),
        *bias_free(outputs, outputs, 3),
        nn.ReLU(inplace=True),
    )
    return nn.Sequential(*layers)


@register("unet_mobilenet_v3")
def build_unet_mobilenet_v3(in_channels: int, classes: int, width: float) -> MobileNetUNet:
    """The encoder of Table 1 and the decoder of segmentation_models.pytorch; `width` is the paper's width
    multiplier for both."""
    return MobileNetUNet(in_channels, classes, width)
