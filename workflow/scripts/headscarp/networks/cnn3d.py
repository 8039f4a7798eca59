"""3D-CNN of zhang2024: landslide susceptibility of a cell from a window of factors around it.

Zhang, B. et al. (2024), doi:10.1080/19475705.2024.2383309, section 3.2 and Figs 7 and 9, after VGG (Simonyan
& Zisserman 2015, arXiv:1409.1556).
"""

from collections.abc import Sequence

from torch import Tensor, nn

from headscarp.errors import HeadscarpError
from headscarp.networks import register
from headscarp.networks.blocks import scaled
from headscarp.networks.initialise import he_
from headscarp.vocabulary import require_known

# feature maps of the convolutions before each pooling; 128 is N of Fig. 7
STACKS = ((64, 64), (128, 128, 128))
NEURONS = 64
OUTPUTS = 2  # no landslide, landslide
POOL = 2
LEAST_WINDOW = POOL ** len(STACKS)
# Kernels (factors, rows, columns) of the max-pool after each stack; None for no pooling.
NONE, SPATIAL, VOLUMETRIC = "none", "spatial", "volumetric"
POOLINGS = {NONE: None, SPATIAL: (1, POOL, POOL), VOLUMETRIC: (POOL, POOL, POOL)}


class CNN3D(nn.Module):
    """A classifier of windows: (N, scales, factors, s, s) -> logits (N, 2) of no landslide and landslide, for
    a softmax.

    The scales are the input channels of a volume factors x row x col with s = min(windows), `windows` being
    the sides in cells that the scales have on the map. Two 3x3x3 convolutions, three more, fully connected 64
    over all places that are left, fully connected 2. Convolutions are valid (no padding), so that an answer
    depends on its own window only and a whole map can be convolved at once (`mapping.dense`). Batch norm
    (instead of a bias) and ReLU follow all layers but the last: without it the units of the fully connected
    one die at high learning rates.

    A max-pool may follow each stack: `spatial` (1x2x2, Table 5) or `volumetric` (2x2x2, over factors too, as
    in section 3.2.1). By default there is `none`: valid convolutions and two poolings shrink a window of 12
    cells to a single one before the fully connected layer, and where the middle of the window lies is lost,
    though labels are of single cells.

    Where an axis is too short for another valid kernel of 3, the kernel is 1 along it: an axis keeps two
    cells for each pooling along it to come, and at least one. Sides of windows without pooling:
    12-10-8-6-4-2; 17 ends at 7, 22 at 12. With it: 12-10-8 pool 4-2-2-2 pool 1; 17-15-13 pool 6-4-2-2 pool 1;
    22-20-18 pool 9-7-5-3 pool 1, and pooling an odd side drops its last row and column: of 17 the sixteen
    first rows and columns are seen, of 22 the first twenty. Fifteen factors become 13-11, 9-7-5; with
    volumetric pooling 13-11 pool 5-3-3-3 pool 1.

    Raises:
        HeadscarpError: a window that is smaller than 4 cells, or fewer than 4 factors to pool.
    """

    def __init__(self, factors: int, width: float, windows: Sequence[int], pooling: str = NONE):
        super().__init__()
        if not windows or min(windows) < LEAST_WINDOW:
            raise HeadscarpError(
                f'network "cnn3d": windows {list(windows)} do not fit; name at least one window, each '
                f"of {LEAST_WINDOW} cells or more"
            )
        kernel = POOLINGS[require_known(pooling, POOLINGS, 'network "cnn3d": pooling')]
        if pooling == VOLUMETRIC and factors < LEAST_WINDOW:
            raise HeadscarpError(
                f'network "cnn3d": {factors} factors are too few for pooling {VOLUMETRIC} over them, twice; '
                f"give it {LEAST_WINDOW} or more, or use pooling {SPATIAL}"
            )
        self.windows, self.pooling = tuple(windows), pooling
        depth_pool, side_pool, _ = kernel or (1, 1, 1)
        side, depth, channels = min(windows), factors, len(windows)
        stacks = []
        for level, widths in enumerate(STACKS):
            layers = []
            to_come = len(STACKS) - level
            for outputs in (scaled(maps, width) for maps in widths):
                across = 3 if side - 2 >= side_pool**to_come else 1
                along = 3 if depth - 2 >= depth_pool**to_come else 1
                layers += [
                    _convolution(channels, outputs, (along, across, across), bias=False),
                    nn.BatchNorm3d(outputs),
                    nn.ReLU(inplace=True),
                ]
                side, depth, channels = side - across + 1, depth - along + 1, outputs
            stacks.append(nn.Sequential(*layers))
            side, depth = side // side_pool, depth // depth_pool
        self.first, self.second = stacks
        self.pool = nn.MaxPool3d(kernel) if kernel else nn.Identity()
        neurons = max(8, scaled(NEURONS, width))
        # Fully connected layers as convolutions over all that is left of a window: the same sums, on a map of
        # any size.
        self.head = nn.Sequential(
            _convolution(channels, neurons, (depth, side, side), bias=False),
            nn.BatchNorm3d(neurons),
            nn.ReLU(inplace=True),
            _convolution(neurons, OUTPUTS, (1, 1, 1)),
        )

    def forward(self, windows: Tensor) -> Tensor:
        maps = self.pool(self.second(self.pool(self.first(windows))))
        return self.head(maps).flatten(1)


def _convolution(inputs: int, outputs: int, kernel: tuple[int, int, int], *, bias: bool = True) -> nn.Conv3d:
    layer = nn.Conv3d(inputs, outputs, kernel, bias=bias)
    he_(layer)
    return layer


@register("cnn3d")
def build_cnn3d(
    in_channels: int, classes: int, width: float, windows: Sequence[int] = (12,), pooling: str = NONE
) -> CNN3D:
    """zhang2024's form: `in_channels` factors, `windows` of 12, 17 or 22 cells, or all three (the paper's
    multi-scale model); `pooling` one of `POOLINGS`.

    `classes` is 1 (landslide) or 2 (landslide and the rest): the model has the paper's two outputs either
    way. Raises `HeadscarpError` for more classes, a small window, an unknown pooling or too few factors.
    """
    if classes > OUTPUTS:
        raise HeadscarpError(
            f'network "cnn3d" tells landslides from the rest and has no more than {OUTPUTS} classes, '
            f"not {classes}"
        )
    return CNN3D(in_channels, width, windows, pooling)
