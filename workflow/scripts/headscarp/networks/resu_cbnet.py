"""ResU-CBNet of xing2026: a small residual U-Net with CBAM in its residual units.

Xing, K. et al. (2026). Lightweight deep learning for cross-scene landslide intelligent recognition with
multi-source feature fusion. Earth Science 51(2), 657-673. doi:10.3799/dqkx.2025.255. Only its abstract is
known, which says that a hybrid of spatial and channel attention is integrated into the network and a residual
network replaces the conventional structure. The layout is ours.
"""

from functools import partial
from itertools import pairwise

from torch import nn

from headscarp.networks import register
from headscarp.networks.blocks import convolution, scaled
from headscarp.networks.cbam import CBAM
from headscarp.networks.resunet import ResidualUnit, ResUNet

# a quarter of the original U-Net's, which makes a sixteenth of its parameters
WIDTHS = (16, 32, 64, 128, 256)


@register("resu_cbnet")
def build_resu_cbnet(
    in_channels: int, classes: int, width: float, residual: bool = True, attention: bool = True
) -> ResUNet:
    """Levels of 16-256, one unit each on the way down and up, max-pools, 1x1 convolution to the classes: see
    `ResUNet` for the shapes.

    `residual` and `attention` are the two components that the paper adds to a U-Net: without both this is a
    plain U-Net of double convolutions with batch norm, of the same widths. About 2 million parameters in all
    four forms. With attention, maps computed window by window depend on the windows: CBAM pools over all of a
    window (see `CBAM`).
    """
    widths = [scaled(channels, width) for channels in WIDTHS]
    make = partial(_unit, residual=residual, attention=attention)
    deeper = [nn.Sequential(nn.MaxPool2d(2), make(shallow, deep)) for shallow, deep in pairwise(widths)]
    decoder = [make(shallow + deep, shallow) for shallow, deep in pairwise(widths)]
    return ResUNet([make(in_channels, widths[0]), *deeper], decoder, convolution(widths[0], classes, 1))


def _unit(inputs: int, outputs: int, *, residual: bool, attention: bool) -> nn.Module:
    """(N, inputs, H, W) -> (N, outputs, H, W): `ResidualUnit` with CBAM before its addition; without
    `residual` no shortcut is added."""
    unit = ResidualUnit(inputs, outputs)
    if attention:
        unit.residual.append(CBAM(outputs))
    return unit if residual else nn.Sequential(unit.residual, unit.activate)
