"""PSPNet, the pyramid scene parsing network.

Zhao, H., Shi, J., Qi, X., Wang, X. & Jia, J. (2017). Pyramid scene parsing network. CVPR 2017, 6230-6239.
doi:10.1109/CVPR.2017.660.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from headscarp.networks import register
from headscarp.networks.blocks import SegmentationNetwork, convolution, enlarge, scaled
from headscarp.networks.resnet import STRIDE_8, ResNet50, bias_free

STRIDE = 8
BINS = (1, 2, 3, 6)
MAPS = 512  # of each bin, and before the classes
AUXILIARY_MAPS = 256


class PSPNet(SegmentationNetwork):
    """ResNet-50 at output stride 8, as in the paper, pyramid pooling, 3x3 convolution (N, 512, H/8, W/8), 1x1
    convolution to the classes, enlarged by 8 (bilinear).

    An auxiliary head on
    block 3, a 3x3 convolution of 256 and a 1x1 to the classes, is used in training only, with the original's
    loss weight of 0.4: in training mode the network gives (logits, auxiliary logits), else the logits.
    """

    hands_up = "pyramid"
    size_multiple = STRIDE
    auxiliary_weight = 0.4

    def __init__(self, in_channels: int, classes: int, width: float):
        super().__init__()
        self.resnet = ResNet50(in_channels, width, STRIDE_8)
        self.pyramid = PyramidPooling(self.resnet.outputs[3], width)
        self.head = _head(self.pyramid.outputs, scaled(MAPS, width), classes)
        self.auxiliary = _head(self.resnet.outputs[2], scaled(AUXILIARY_MAPS, width), classes)

    def logits(self, windows: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        _, _, (third, _), (deep, _) = self.resnet(windows)
        logits = self.head(self.pyramid(deep))
        return (logits, self.auxiliary(third)) if self.training else logits


class PyramidPooling(nn.Module):
    """(N, inputs, h, w) -> (N, inputs + 4 x 512, h, w): the maps and their means over 1x1, 2x2, 3x3 and 6x6
    bins, each reduced to 512 by a 1x1 convolution with batch norm and ReLU and enlarged to h x w (bilinear).
    """

    def __init__(self, inputs: int, width: float):
        super().__init__()
        reduced = scaled(MAPS, width)
        self.outputs = inputs + len(BINS) * reduced
        self.reduce = nn.ModuleList(nn.Sequential(*bias_free(inputs, reduced, 1)) for _ in BINS)

    def forward(self, maps: Tensor) -> Tensor:
        views = [maps]
        for bins, reduce in zip(BINS, self.reduce, strict=True):
            # Convolution and batch norm come before the mean, which they commute with, for the reason given
            # in `aspp`.
            view = functional.relu(functional.adaptive_avg_pool2d(reduce(maps), bins))
            views.append(
                functional.interpolate(view, size=maps.shape[-2:], mode="bilinear", align_corners=False)
            )
        return torch.cat(views, dim=1)


def _head(inputs: int, maps: int, classes: int) -> nn.Sequential:
    return nn.Sequential(
        *bias_free(inputs, maps, 3), nn.ReLU(inplace=True), convolution(maps, classes, 1), enlarge(STRIDE)
    )


@register("pspnet")
def build_pspnet(in_channels: int, classes: int, width: float) -> PSPNet:
    """PSPNet on ResNet-50, stfusion's baseline."""
    return PSPNet(in_channels, classes, width)
