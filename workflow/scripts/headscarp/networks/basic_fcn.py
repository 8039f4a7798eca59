"""Basic FCN: the simplest baseline of xia2021 (Table 3), an encoder and one enlargement.

Long, J., Shelhamer, E. & Darrell, T. (2015). Fully convolutional networks for semantic segmentation. CVPR
2015, 3431-3440. doi:10.1109/CVPR.2015.7298965.
"""

from torch import Tensor, nn

from headscarp.networks import register
from headscarp.networks.blocks import SegmentationNetwork, convolution, enlarge
from headscarp.networks.vgg import VGG, VGG11


class BasicFCN(SegmentationNetwork):
    """VGG-11's eight convolutions and five pools (N, 512, H/32, W/32), 1x1 scores, enlarged by 32 (bilinear)
    to (N, classes, H, W).

    xia2021 says nothing of its "Basic FCN": the form is our choice, that of FCN-32s (no skip) on the smallest
    VGG, with batch norm to train from scratch and without the fully connected layers.
    """

    size_multiple = 32

    def __init__(self, in_channels: int, classes: int, width: float):
        super().__init__()
        self.vgg = VGG(in_channels, VGG11, width)
        self.pool = nn.MaxPool2d(2)
        self.score = convolution(self.vgg.outputs, classes, 1)
        self.enlarge = enlarge(32)

    def logits(self, windows: Tensor) -> Tensor:
        return self.enlarge(self.score(self.pool(self.vgg(windows))))


@register("basic_fcn")
def build_basic_fcn(in_channels: int, classes: int, width: float) -> BasicFCN:
    """FCN-32s on VGG-11."""
    return BasicFCN(in_channels, classes, width)
