"""SegNet.

Badrinarayanan, V., Kendall, A. & Cipolla, R. (2017). SegNet: a deep convolutional encoder-decoder
architecture for image segmentation. IEEE TPAMI 39(12), 2481-2495. doi:10.1109/TPAMI.2016.2644615
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from headscarp.networks import register
from headscarp.networks.blocks import LogitNorm, SegmentationNetwork, conv_norm_relu, convolution, scaled

# the 13 convolutions of VGG-16
ENCODER = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
DECODER = ((512, 512, 512), (512, 512, 256), (256, 256, 128), (128, 64), (64,))


class SegNet(SegmentationNetwork):
    """VGG-16's convolutions with batch norm, and a decoder that puts maxima back where pooling found them.

    Stage i of five: 3x3 convolutions (bias, batch norm, ReLU) on (N, wi, H / 2^i, W / 2^i), 2x2 max-pool that
    keeps its indices; decoder: unpooling by those indices, convolutions, up to (N, 64, H, W); 1x1 convolution
    to the logits (N, classes, H, W), and with `logit_norm` batch norm on them. 29,461,253 parameters with 7
    bands, 1 class: the form identified by gao2021's Table IX, which has that batch norm; the original has
    none.
    """

    size_multiple = 32
    hands_up = f"encoder.{len(ENCODER) - 1}"

    def __init__(self, in_channels: int, classes: int, width: float, logit_norm: bool):
        super().__init__()
        channels = in_channels
        stages = []
        for widths in ENCODER + DECODER:
            widths = [scaled(outputs, width) for outputs in widths]
            stages.append(
                nn.Sequential(*(conv_norm_relu(*pair, 3) for pair in pairwise([channels, *widths])))
            )
            channels = widths[-1]
        self.encoder, self.decoder = (
            nn.ModuleList(stages[: len(ENCODER)]),
            nn.ModuleList(stages[len(ENCODER) :]),
        )
        norm = [LogitNorm(classes)] if logit_norm else []
        self.head = nn.Sequential(convolution(channels, classes, 1), *norm)

    def logits(self, windows: Tensor) -> Tensor:
        maps, indices = windows, []
        for stage in self.encoder:
            maps, where = functional.max_pool2d(stage(maps), 2, return_indices=True)
            indices.append(where)
        for stage, where in zip(self.decoder, reversed(indices), strict=True):
            maps = stage(functional.max_unpool2d(maps, where, 2))
        return self.head(maps)


@register("segnet")
def build_segnet(in_channels: int, classes: int, width: float, logit_norm: bool = True) -> SegNet:
    """gao2021's form; without `logit_norm` the original one."""
    return SegNet(in_channels, classes, width, logit_norm)
