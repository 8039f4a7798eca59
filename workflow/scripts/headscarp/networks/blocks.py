"""Pieces that several networks share."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from headscarp.networks.initialise import he_


class SegmentationNetwork(nn.Module):
    """A network for windows of any size: (N, bands, H, W) -> logits (N, classes, H, W).

    One that is trained with a second, auxiliary head has an `auxiliary_weight`, the weight of its loss, and
    gives (logits, auxiliary logits), both of this shape, while it is in training mode.

    `forward` repeats the last row and column until both sides are multiples of `size_multiple` (the stride of
    the deepest level), calls `logits` and cuts its answer back to H x W. The upper-left corner stays where it
    is, so pooling cells do not move with the size.
    """

    size_multiple: int
    # The module that hands the encoder's features up, where others make maps as small after it.
    hands_up: str | None = None

    def forward(self, windows: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        height, width = windows.shape[-2:]
        # Training batch norms need two values per channel: a lone window must keep more than one cell at the
        # deepest level.
        least = 2 * self.size_multiple if self.training and len(windows) == 1 else self.size_multiple
        padded = (max(least, -(-side // self.size_multiple) * self.size_multiple) for side in (height, width))
        below, right = (whole - side for whole, side in zip(padded, (height, width), strict=True))
        if below or right:
            windows = functional.pad(windows, (0, right, 0, below), mode="replicate")
        answer = self.logits(windows)
        if isinstance(answer, tuple):
            logits, auxiliary = answer
            return logits[..., :height, :width], auxiliary[..., :height, :width]
        return answer[..., :height, :width]

    def logits(self, windows: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """(N, bands, H, W) -> (N, classes, H, W), H and W multiples of `size_multiple`; with an auxiliary
        head, in training, two such."""
        raise NotImplementedError


def scaled(channels: int, width: float) -> int:
    """`channels` x `width`, rounded to a multiple of 4, at least 4 (every published width is a multiple of
    4)."""
    return max(4, 4 * round(channels * width / 4))


def convolution(inputs: int, outputs: int, kernel: int, *, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    """Convolution with He weights, padded so that stride 1 keeps the size."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=bias)
    he_(layer)
    return layer


def up_convolution(inputs: int, outputs: int, kernel: int) -> nn.ConvTranspose2d:
    """Transposed convolution of kernel 2 or 3 with He weights and bias: (N, inputs, H, W) -> (N, outputs, 2H,
    2W)."""
    layer = nn.ConvTranspose2d(
        inputs, outputs, kernel, stride=2, padding=(kernel - 1) // 2, output_padding=kernel % 2
    )
    he_(layer)
    return layer


def conv_norm_relu(inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> nn.Sequential:
    """CB(kernel, inputs -> outputs): convolution with bias, batch norm, ReLU."""
    return nn.Sequential(
        convolution(inputs, outputs, kernel, stride=stride), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def double_conv_norm_relu(inputs: int, outputs: int) -> nn.Sequential:
    """Twice a 3x3 convolution with bias, batch norm and ReLU."""
    return nn.Sequential(conv_norm_relu(inputs, outputs, 3), conv_norm_relu(outputs, outputs, 3))


def norm_relu_conv(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, bias: bool = True
) -> list[nn.Module]:
    """Batch norm, ReLU, convolution."""
    return [
        nn.BatchNorm2d(inputs),
        nn.ReLU(inplace=True),
        convolution(inputs, outputs, kernel, stride=stride, bias=bias),
    ]


class DenseBlock(nn.Module):
    """Layers that each see the block's input and all maps made before: (N, inputs, H, W) -> only the new maps
    (N, layers x growth, H, W).

    `make_layer(channels)` builds a layer from `channels` to `growth` maps. Huang et al. 2017,
    doi:10.1109/CVPR.2017.243, eq. 2.
    """

    def __init__(self, inputs: int, layers: int, growth: int, make_layer: Callable[[int], nn.Module]):
        super().__init__()
        self.layers = nn.ModuleList(make_layer(inputs + index * growth) for index in range(layers))
        self.outputs = layers * growth

    def forward(self, maps: Tensor) -> Tensor:
        new = [self.layers[0](maps)]
        for layer in self.layers[1:]:
            maps = torch.cat([maps, new[-1]], dim=1)
            new.append(layer(maps))
        return torch.cat(new, dim=1)


class TwoStepHead(nn.Sequential):
    """head2(inputs): 3x3 convolution to two maps per class, ReLU, 1x1 convolution to the logits (N, classes,
    H, W).

    The two maps of a class start as mirror images, z and -z, and the logit as relu(z) - relu(-z) = z: drawn
    independently, both can be dead from the start (all pixels negative), and with two maps only that ends a
    training run before it begins.
    """

    def __init__(self, inputs: int, classes: int):
        super().__init__(
            convolution(inputs, 2 * classes, 3), nn.ReLU(inplace=True), convolution(2 * classes, classes, 1)
        )
        with torch.no_grad():
            self[0].weight[classes:] = -self[0].weight[:classes]
            self[2].weight[:, :, 0, 0] = torch.cat([torch.eye(classes), -torch.eye(classes)], dim=1)


class LogitNorm(nn.BatchNorm2d):
    """Batch norm on the logits (N, classes, H, W), which Table IX shows SegNet and FC-DenseNet of gao2021 to
    have.

    It fixes the logits' mean and spread, which then only move with its own two numbers per class, by one
    learning rate a step.
    """


def enlarge(factor: int) -> nn.Upsample:
    """Bilinear: (N, C, H, W) -> (N, C, factor H, factor W)."""
    return nn.Upsample(scale_factor=factor, mode="bilinear", align_corners=False)
