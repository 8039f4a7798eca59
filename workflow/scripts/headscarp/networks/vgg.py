"""The convolutions of the VGG networks.

Simonyan, K. & Zisserman, A. (2015). Very deep convolutional networks for large-scale image recognition. ICLR
2015. arXiv:1409.1556. Batch norm after each, of which that paper could not know, is xia2021's (section 2.3).
"""

from itertools import pairwise

from torch import nn

from headscarp.networks.blocks import conv_norm_relu, scaled

# Widths of conv1-conv5, configurations A and D of the paper's Table 1.
VGG11 = ((64,), (128,), (256, 256), (512, 512), (512, 512))
VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class VGG(nn.Sequential):
    """conv1-conv5 of 3x3 convolutions with batch norm and ReLU, a 2x2 max-pool between stages: four
    down-samplings by 2.

    (N, bands, H, W) -> (N, `outputs`, H/16, W/16) with `outputs` the last stage's width, 512 at width 1.
    VGG-16 has 138,357,544 parameters with 3 bands and its three fully connected layers, and 8448 of batch
    norms.
    """

    def __init__(self, in_channels: int, stages: tuple[tuple[int, ...], ...], width: float):
        layers, channels = [], in_channels
        for number, widths in enumerate(stages):
            if number:
                layers.append(nn.MaxPool2d(2))
            widths = [scaled(outputs, width) for outputs in widths]
            layers += [conv_norm_relu(*pair, 3) for pair in pairwise([channels, *widths])]
            channels = widths[-1]
        super().__init__(*layers)
        self.outputs = channels
