"""The DeepLab family on ResNet-50: `aspp`, `deeplab_v3` and `deeplab_v3plus`.

Chen, L.-C., Papandreou, G., Schroff, F. & Adam, H. (2017). Rethinking atrous convolution for semantic image
segmentation. arXiv:1706.05587. Chen, L.-C. et al. (2018). Encoder-decoder with atrous separable convolution
for semantic image segmentation. ECCV 2018, 833-851. doi:10.1007/978-3-030-01234-2_49.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from headscarp.networks import register
from headscarp.networks.aspp import ASPP
from headscarp.networks.blocks import SegmentationNetwork, convolution, enlarge, scaled
from headscarp.networks.resnet import ResNet50, bias_free


class DeepLab(SegmentationNetwork):
    """ResNet-50 at output stride 16, ASPP (N, 256, H/16, W/16), 1x1 convolution to the classes, enlarged by
    16 (bilinear).

    `rates` are the atrous rates of block 4, see `ResNet50`; windows are seen `enlarged` times larger
    (bilinear), and logits are means over as many rows and columns.
    """

    size_multiple = 16

    def __init__(self, in_channels: int, classes: int, width: float, rates: Sequence[int], enlarged: int = 1):
        super().__init__()
        self.enlarged = enlarged
        self.resnet = ResNet50(in_channels, width, {4: rates})
        self.aspp = ASPP(self.resnet.outputs[3], width)
        self.head = nn.Sequential(convolution(self.aspp.outputs, classes, 1), enlarge(16))

    def logits(self, windows: Tensor) -> Tensor:
        if self.enlarged == 1:
            return self.logits_of(windows)
        return functional.avg_pool2d(self.logits_of(enlarge(self.enlarged)(windows)), self.enlarged)

    def logits_of(self, windows: Tensor) -> Tensor:
        """The same of windows as large as the network sees them."""
        *_, (deep, _) = self.resnet(windows)
        return self.head(self.aspp(deep))


class DeepLabV3Plus(SegmentationNetwork):
    """The same encoder and a decoder of one step.

    ASPP enlarged by 4 (N, 256, H/4, W/4), joined by block 1 reduced to 48 maps, two 3x3 convolutions of 256,
    1x1 convolution to the classes, enlarged by 4. Enlarging is bilinear; plain convolutions, as in the
    paper's ResNet variant.
    """

    size_multiple = 16

    def __init__(self, in_channels: int, classes: int, width: float):
        super().__init__()
        self.resnet = ResNet50(in_channels, width)
        self.aspp = ASPP(self.resnet.outputs[3], width)
        self.enlarge = enlarge(4)
        w48, w256 = scaled(48, width), self.aspp.outputs
        self.low_level = nn.Sequential(*bias_free(self.resnet.outputs[0], w48, 1), nn.ReLU(inplace=True))
        self.refine = nn.Sequential(
            *bias_free(w256 + w48, w256, 3),
            nn.ReLU(inplace=True),
            *bias_free(w256, w256, 3),
            nn.ReLU(inplace=True),
        )
        self.head = nn.Sequential(convolution(w256, classes, 1), enlarge(4))

    def logits(self, windows: Tensor) -> Tensor:
        (low, _), *_, (deep, _) = self.resnet(windows)
        maps = torch.cat([self.enlarge(self.aspp(deep)), self.low_level(low)], dim=1)
        return self.head(self.refine(maps))


@register("aspp")
def build_aspp(in_channels: int, classes: int, width: float) -> DeepLab:
    """xia2021's baseline "ASPP": the encoder of its RAE-D without the decoder."""
    return DeepLab(in_channels, classes, width, rates=(1, 2, 2))


@register("deeplab_v3")
def build_deeplab_v3(in_channels: int, classes: int, width: float, enlarge: int = 1) -> DeepLab:
    """DeepLab v3 with its multi-grid (1, 2, 4), that is rates of 2, 4 and 8 in block 4 at output stride 16;
    `enlarge`: how many times larger it sees a window."""
    return DeepLab(in_channels, classes, width, rates=(2, 4, 8), enlarged=enlarge)


@register("deeplab_v3plus")
def build_deeplab_v3plus(in_channels: int, classes: int, width: float) -> DeepLabV3Plus:
    """DeepLab v3+; block 4 as in `aspp`, so that xia2021's three networks differ in their decoders only."""
    return DeepLabV3Plus(in_channels, classes, width)
