"""ResNet-50, the encoder of the DeepLab family and of xia2021's RAE-D.

He, K., Zhang, X., Ren, S. & Sun, J. (2016). Deep residual learning for image recognition. CVPR 2016, 770-778.
doi:10.1109/CVPR.2016.90. Atrous convolution in its last blocks: Yu, F. & Koltun, V. (2016), arXiv:1511.07122;
Chen et al. (2017), arXiv:1706.05587.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from headscarp.networks.blocks import scaled
from headscarp.networks.initialise import he_

BOTTLENECKS = (3, 4, 6, 3)  # of blocks 1-4
WIDTHS = (64, 128, 256, 512)
EXPANSION = 4
# Atrous rates of the bottlenecks of blocks that do not go down, by output stride: each kernel sees what it
# sees in the plain network, whose stride is 32.
PLAIN: Mapping[int, Sequence[int]] = {}
STRIDE_16 = {4: (1, 2, 2)}
STRIDE_8 = {3: (1, 2, 2, 2, 2, 2), 4: (2, 4, 4)}


class ResNet50(nn.Module):
    """(N, bands, H, W), H and W multiples of 16 -> for each of four blocks its maps and those of its last
    bottleneck's first convolution.

    conv1 7x7, stride 2 (N, 64, H/2, W/2) - 3x3 max-pool, stride 2 - block 1 (N, 256, H/4, W/4) - block 2 (N,
    512, H/8, W/8) - block 3 (N, 1024, H/16, W/16) - block 4 (N, 2048, H/16, W/16); the last bottlenecks'
    first convolutions make a quarter of a block's maps. Blocks 2 and 3 go down in the 3x3 convolution of
    their first bottleneck.

    `atrous` ({block: rate of each of its bottlenecks}) names the blocks that do not go down and reach as far
    by atrous 3x3 convolutions. `STRIDE_16` and `STRIDE_8` are the plain network computed more densely
    (xia2021, section 2.1.1); `PLAIN` goes down to 1/32 in block 4 (H and W multiples of 32). 25,557,032
    trainable parameters with 3 bands and a fully connected layer to 1000 classes.
    """

    def __init__(self, in_channels: int, width: float, atrous: Mapping[int, Sequence[int]] = STRIDE_16):
        super().__init__()
        channels = scaled(WIDTHS[0], width)
        self.conv1 = nn.Sequential(*bias_free(in_channels, channels, 7, stride=2), nn.ReLU(inplace=True))
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.reduced = [scaled(outputs, width) for outputs in WIDTHS]
        self.outputs = [scaled(EXPANSION * outputs, width) for outputs in WIDTHS]
        self.blocks = nn.ModuleList()
        for number, (count, reduced, outputs) in enumerate(
            zip(BOTTLENECKS, self.reduced, self.outputs, strict=True), start=1
        ):
            block = nn.ModuleList()
            for index, rate in enumerate(atrous.get(number, (1,) * count)):
                goes_down = index == 0 and number > 1 and number not in atrous
                block.append(
                    Bottleneck(
                        channels,
                        reduced,
                        outputs,
                        stride=2 if goes_down else 1,
                        rate=rate,
                    )
                )
                channels = outputs
            self.blocks.append(block)

    def forward(self, windows: Tensor) -> list[tuple[Tensor, Tensor]]:
        maps, of_blocks = self.pool(self.conv1(windows)), []
        for block in self.blocks:
            for bottleneck in block:
                maps, reduced = bottleneck(maps)
            of_blocks.append((maps, reduced))
        return of_blocks


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution with batch norm, ReLU between; added to the input, ReLU.

    (N, inputs, H, W) -> (N, outputs, H / stride, W / stride) and what the first convolution made, (N,
    reduced, H, W). Where size or width change, the input passes a 1x1 convolution with batch norm on its way
    to the sum.
    """

    def __init__(self, inputs: int, reduced: int, outputs: int, *, stride: int, rate: int):
        super().__init__()
        self.reduce = nn.Sequential(*bias_free(inputs, reduced, 1), nn.ReLU(inplace=True))
        self.residual = nn.Sequential(
            *bias_free(reduced, reduced, 3, stride=stride, rate=rate),
            nn.ReLU(inplace=True),
            *bias_free(reduced, outputs, 1),
        )
        same = inputs == outputs and stride == 1
        self.shortcut = (
            nn.Identity() if same else nn.Sequential(*bias_free(inputs, outputs, 1, stride=stride))
        )
        self.activate = nn.ReLU(inplace=True)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        reduced = self.reduce(maps)
        return self.activate(self.residual(reduced) + self.shortcut(maps)), reduced


def bias_free(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, rate: int = 1, groups: int = 1
) -> list[nn.Module]:
    """Convolution of atrous rate `rate` with He weights, padded so that stride 1 keeps the size; batch norm,
    whose shift is its bias."""
    layer = nn.Conv2d(
        inputs,
        outputs,
        kernel,
        stride=stride,
        padding=rate * (kernel // 2),
        dilation=rate,
        groups=groups,
        bias=False,
    )
    he_(layer)
    return [layer, nn.BatchNorm2d(outputs)]
