"""Starting weights of convolutions."""

import torch
from torch import nn

Convolution = nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d


def he_(layer: Convolution) -> None:
    """Normal weights of variance 2 / fan-in and zero biases, in place (He et al. 2015,
    doi:10.1109/ICCV.2015.123, eq. 10).

    The fan-in of a transposed convolution is what reaches one output value: in_channels x kernel area /
    stride area.
    """
    fan_in = layer.weight[0].numel()
    if isinstance(layer, nn.ConvTranspose2d):
        fan_in = layer.weight[:, 0].numel() / (layer.stride[0] * layer.stride[1])
    nn.init.normal_(layer.weight, std=(2 / fan_in) ** 0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


@torch.no_grad()
def bilinear_(layer: nn.ConvTranspose2d) -> None:
    """Weights with which a square transposed convolution of kernel 2 x stride interpolates each channel
    bilinearly, in place (Long et al. 2015, section 3.3)."""
    kernel, stride = layer.kernel_size[0], layer.stride[0]
    along = 1 - (torch.arange(kernel, device=layer.weight.device) - (kernel - 1) / 2).abs() / stride
    layer.weight.zero_()
    layer.weight.diagonal().copy_(torch.outer(along, along)[..., None].expand(-1, -1, layer.in_channels))


@torch.no_grad()
def positive_unit_ball_(model: nn.Module) -> None:
    """Non-negative convolution weights, uniform, scaled so that those that reach one output value sum to 1;
    zero biases; in place.

    gao2021's "positive unit ball" (Section IV-A; known from Caffe as the filler `positive_unitball`). The
    taps of a transposed convolution that reach one output value are every stride-th, so each of the stride x
    stride phases sums to 1 over its inputs.
    """
    for layer in model.modules():
        if not isinstance(layer, Convolution):
            continue
        weight = nn.init.uniform_(layer.weight, 0, 1)
        if isinstance(layer, nn.ConvTranspose2d):
            down, across = layer.stride
            for phase in (
                weight[:, :, row::down, column::across] for row in range(down) for column in range(across)
            ):
                phase /= phase.sum(dim=(0, 2, 3), keepdim=True)
        else:
            weight /= weight.flatten(1).sum(1).reshape(-1, *[1] * (weight.ndim - 1))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
