"""CBAM, convolutional block attention module: attention over channels, then over pixels.

Woo, S., Park, J., Lee, J.-Y. & Kweon, I. S. (2018). CBAM: convolutional block attention module. ECCV 2018,
3-19. doi:10.1007/978-3-030-01234-2_1.
"""

import torch
from torch import Tensor, nn

REDUCTION = 16
LEAST_UNITS = 4  # of the MLP, where a sixteenth of the channels would be fewer
SPATIAL_KERNEL = 7


class CBAM(nn.Module):
    """F (N, C, H, W) -> F'' of the same shape: F' = F * Mc(F), F'' = F' * Ms(F') (eq. 1).

    Mc (N, C, 1, 1) pools over the whole window and Ms (N, 1, H, W) sees 7x7 pixels; both lie in 0..1. Hence
    the answer at a pixel depends on all of the window around it: maps computed window by window change with
    the windows' size and place, near their edges and within.

    All layers keep PyTorch's starting weights, as in the authors' code. He weights would start the channel
    attention saturated: the maximum of thousands of normalised values is about 4, not 1.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.channel = ChannelAttention(channels)
        self.spatial = SpatialAttention()

    def forward(self, maps: Tensor) -> Tensor:
        maps = maps * self.channel(maps)
        return maps * self.spatial(maps)


class ChannelAttention(nn.Module):
    """Mc(F) = sigmoid(MLP(mean of F) + MLP(maximum of F)), both over the pixels (eq. 2): (N, C, H, W) -> (N,
    C, 1, 1).

    The MLP, one for both, has C / 16 units, at least 4, with ReLU, and biases: with them CBAM adds to
    ResNet-50 what Table 4 prints.
    """

    def __init__(self, channels: int):
        super().__init__()
        units = max(LEAST_UNITS, channels // REDUCTION)
        # A fully connected layer of a pooled vector is a 1x1 convolution of one pixel.
        self.mlp = nn.Sequential(
            nn.Conv2d(channels, units, 1), nn.ReLU(inplace=True), nn.Conv2d(units, channels, 1)
        )

    def forward(self, maps: Tensor) -> Tensor:
        return torch.sigmoid(
            self.mlp(maps.mean((2, 3), keepdim=True)) + self.mlp(maps.amax((2, 3), keepdim=True))
        )


class SpatialAttention(nn.Module):
    """Ms(F) = sigmoid(7x7 convolution of the mean and the maximum of F over its channels) (eq. 3): (N, C, H,
    W) -> (N, 1, H, W)."""

    def __init__(self):
        super().__init__()
        self.convolve = nn.Conv2d(2, 1, SPATIAL_KERNEL, padding=SPATIAL_KERNEL // 2)

    def forward(self, maps: Tensor) -> Tensor:
        return torch.sigmoid(
            self.convolve(torch.cat([maps.mean(1, keepdim=True), maps.amax(1, keepdim=True)], dim=1))
        )
