"""FCN-8s: a classifier made convolutional, its coarse answer refined by two skips and enlarged eight times.

Long, J., Shelhamer, E. & Darrell, T. (2015). Fully convolutional networks for semantic segmentation. CVPR
2015, 3431-3440. doi:10.1109/CVPR.2015.7298965. Encoders: Krizhevsky et al. (2012) AlexNet; Simonyan &
Zisserman (2015) VGG-16, arXiv:1409.1556.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from headscarp.networks import register
from headscarp.networks.blocks import SegmentationNetwork, TwoStepHead, conv_norm_relu, convolution, scaled
from headscarp.networks.initialise import bilinear_


class FCN8sAlexNet(SegmentationNetwork):
    """gao2021's FCN-8s on an AlexNet-like encoder; every convolution but the head's with batch norm and ReLU.

    conv1 11x11, stride 4 (N, 96, H/4, W/4) - pool - conv2 5x5 (N, 256, H/8, W/8) - pool - conv3..5 3x3 (N,
    384, 384, 256, H/16, W/16) - pool - fc6 3x3 (N, 512, H/32, W/32) - fc7 1x1 (N, 256, H/32, W/32); enlarged
    twice by 2, each time a 3x3 convolution and the addition of conv5, then conv2; head at 1/8, logits
    enlarged by 8 to (N, classes, H, W). Enlarging is bilinear. Widths reproduce the 6,300,549 parameters of
    Table IX (7 bands, 1 class; a probable form). Strides carry no parameters and are ours: AlexNet's own put
    conv2 and conv5 at 1/8 and 1/16, which is where an FCN-8s takes its skips.
    """

    size_multiple = 32

    def __init__(self, in_channels: int, classes: int, width: float):
        super().__init__()
        w96, w256, w384, w512 = (scaled(channels, width) for channels in (96, 256, 384, 512))
        self.conv1 = conv_norm_relu(in_channels, w96, 11, stride=4)
        # centres a cell on the 4 x 4 pixels it stands for (half a pixel off), where 5 would be 1.5 off
        self.conv1[0].padding = (4, 4)
        self.conv2 = conv_norm_relu(w96, w256, 5)
        self.conv3_to_5 = nn.Sequential(
            conv_norm_relu(w256, w384, 3), conv_norm_relu(w384, w384, 3), conv_norm_relu(w384, w256, 3)
        )
        self.fc = nn.Sequential(conv_norm_relu(w256, w512, 3), conv_norm_relu(w512, w256, 1))
        self.up5, self.up2 = conv_norm_relu(w256, w256, 3), conv_norm_relu(w256, w256, 3)
        self.pool = nn.MaxPool2d(2)
        self.head = TwoStepHead(w256, classes)

    def logits(self, windows: Tensor) -> Tensor:
        conv2 = self.conv2(self.pool(self.conv1(windows)))
        conv5 = self.conv3_to_5(self.pool(conv2))
        maps = self.fc(self.pool(conv5))
        maps = self.up5(_enlarged(maps, 2)) + conv5
        maps = self.up2(_enlarged(maps, 2)) + conv2
        return _enlarged(self.head(maps), 8)


class FCN8sVGG16(SegmentationNetwork):
    """The original FCN-8s: VGG-16, scores of three depths added; without batch norm, or (`norm`) with it
    after every convolution but those of the scores, as xia2021's section 3.3 has all its networks.

    Five stages of 3x3 convolutions and 2x2 pools give pool3 (N, 256, H/8, W/8), pool4 (N, 512, H/16, W/16),
    pool5 (N, 512, H/32, W/32); fc6 7x7 and fc7 1x1 (N, 4096, H/32, W/32) with dropout 0.5; 1x1 scores (N,
    classes, ...) of fc7, pool4 and pool3 are summed on the way up by learned 4x4 transposed convolutions that
    start bilinear; the last enlargement by 8 is fixed bilinear, as in the paper. Padding fc6 by 3 replaces
    the original's padding of the image by 100 pixels and its crops.
    """

    size_multiple = 32
    stages = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))

    def __init__(self, in_channels: int, classes: int, width: float, norm: bool = False):
        super().__init__()
        channels = in_channels
        encoder, pooled = [], []
        for widths in self.stages:
            widths = [scaled(outputs, width) for outputs in widths]
            stage = [_rectified(*pair, 3, norm) for pair in pairwise([channels, *widths])]
            encoder.append(nn.Sequential(*stage, nn.MaxPool2d(2)))
            channels = widths[-1]
            pooled.append(channels)
        self.encoder = nn.ModuleList(encoder)
        w4096 = scaled(4096, width)
        self.fc = nn.Sequential(
            _rectified(channels, w4096, 7, norm),
            nn.Dropout(0.5),
            _rectified(w4096, w4096, 1, norm),
            nn.Dropout(0.5),
        )
        self.score_fc, self.score4, self.score3 = (
            convolution(inputs, classes, 1) for inputs in (w4096, pooled[3], pooled[2])
        )
        self.up4, self.up3 = (
            nn.ConvTranspose2d(classes, classes, 4, stride=2, padding=1, bias=False) for _ in range(2)
        )
        bilinear_(self.up4)
        bilinear_(self.up3)

    def logits(self, windows: Tensor) -> Tensor:
        maps, pooled = windows, []
        for stage in self.encoder:
            maps = stage(maps)
            pooled.append(maps)
        scores = self.up4(self.score_fc(self.fc(maps))) + self.score4(pooled[3])
        scores = self.up3(scores) + self.score3(pooled[2])
        return _enlarged(scores, 8)


def _rectified(inputs: int, outputs: int, kernel: int, norm: bool) -> nn.Sequential:
    if norm:
        return conv_norm_relu(inputs, outputs, kernel)
    return nn.Sequential(convolution(inputs, outputs, kernel), nn.ReLU(inplace=True))


def _enlarged(maps: Tensor, factor: int) -> Tensor:
    return functional.interpolate(maps, scale_factor=factor, mode="bilinear", align_corners=False)


@register("fcn8s")
def build_fcn8s(in_channels: int, classes: int, width: float) -> FCN8sAlexNet:
    """gao2021's form."""
    return FCN8sAlexNet(in_channels, classes, width)


@register("fcn8s_vgg16")
def build_fcn8s_vgg16(in_channels: int, classes: int, width: float, norm: bool = False) -> FCN8sVGG16:
    """The original form (134 million parameters); `norm`: with batch norm, as xia2021 trained it."""
    return FCN8sVGG16(in_channels, classes, width, norm)
