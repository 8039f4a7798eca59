"""Atrous spatial pyramid pooling (ASPP).

Chen, L.-C., Papandreou, G., Schroff, F. & Adam, H. (2017). Rethinking atrous convolution for semantic image
segmentation. arXiv:1706.05587, section 3.3. xia2021, section 2.1.1 and Fig. 2.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from headscarp.networks.blocks import scaled
from headscarp.networks.resnet import bias_free

RATES = (6, 12, 18)  # for maps at 1/16


class ASPP(nn.Module):
    """(N, inputs, h, w) -> (N, 256, h, w): five views of the same maps, 256 maps each, reduced by a 1x1
    convolution.

    A 1x1 convolution, three 3x3 convolutions of atrous rates 6, 12 and 18, and the mean over the window; each
    with batch norm and ReLU.
    """

    def __init__(self, inputs: int, width: float):
        super().__init__()
        self.outputs = scaled(256, width)
        kernels = [(1, 1), *((3, rate) for rate in RATES)]
        self.pyramid = nn.ModuleList(
            nn.Sequential(*bias_free(inputs, self.outputs, kernel, rate=rate), nn.ReLU(inplace=True))
            for kernel, rate in kernels
        )
        self.image = nn.Sequential(*bias_free(inputs, self.outputs, 1))
        self.reduce = nn.Sequential(
            *bias_free((len(kernels) + 1) * self.outputs, self.outputs, 1), nn.ReLU(inplace=True)
        )

    def forward(self, maps: Tensor) -> Tensor:
        # Convolution and batch norm come before the mean, which they commute with: after it a batch norm
        # would have one value per window to learn its statistics from, and none at all to compare with in a
        # batch of one.
        image = functional.relu(self.image(maps).mean(dim=(2, 3), keepdim=True))
        views = [view(maps) for view in self.pyramid]
        return self.reduce(torch.cat([*views, image.expand_as(views[0])], dim=1))
