"""The temporal phase fusion module of stfusion (section 2.2, eqs 1-7, Figs 2 and 3): 3-D convolutions, an
LSTM along time, up-sampling.

A series is read as planes (N, dates x (C + 1), H, W): date by date C channels, then a plane that is 1 where
the date was observed.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from headscarp.errors import HeadscarpError
from headscarp.networks import register
from headscarp.networks.blocks import SegmentationNetwork, convolution, enlarge, scaled

# maps of the two 3-D convolutions, each followed by a spatial pooling by two; the paper prints no widths
CONVOLVED = (32, 64)
REMEMBERED = 64  # maps of the LSTM's state
FUSED = 32  # maps at the input's size
POOL = 4


class TemporalFusion(nn.Module):
    """(N, dates x (C + 1), H, W), H and W multiples of 4 -> fused maps (N, 32, H, W): the series compressed
    along time.

    Twice a 3x3x3 convolution over (time, row, col), ReLU and 2x2 spatial max-pool; an LSTM along time at each
    of the H/4 x W/4 locations, of which the last state stays; twice enlarged by 2 (bilinear) with a 3x3
    convolution and ReLU.
    """

    def __init__(self, in_channels: int, width: float, dates: int):
        super().__init__()
        self.dates = dates
        first, second = (scaled(maps, width) for maps in CONVOLVED)
        remembered, self.outputs = scaled(REMEMBERED, width), scaled(FUSED, width)
        self.convolve = nn.ModuleList(
            [SeriesConvolution(in_channels // dates, first), SeriesConvolution(first, second)]
        )
        self.pool = nn.MaxPool2d(2)
        self.lstm = LSTM(second, remembered)
        self.up = nn.Sequential(
            enlarge(2),
            convolution(remembered, self.outputs, 3),
            nn.ReLU(inplace=True),
            enlarge(2),
            convolution(self.outputs, self.outputs, 3),
            nn.ReLU(inplace=True),
        )

    def forward(self, windows: Tensor) -> Tensor:
        series = windows.unflatten(1, (self.dates, -1))
        observed = functional.max_pool2d(series[:, :, -1], POOL) > 0.5
        for convolve in self.convolve:
            maps = functional.relu(convolve(series), inplace=True)
            series = self.pool(maps.flatten(0, 1)).unflatten(0, maps.shape[:2])
        return self.up(self.lstm(series, observed))


class SeriesConvolution(nn.Module):
    """3x3x3 convolution over (time, row, col), many-to-many: (N, T, inputs, H, W) -> (N, T, outputs, H, W),
    zero-padded (eq. 1).

    Computed as a 3x3 convolution of each date's maps stacked with those of the dates before and after: the
    same sums as `nn.Conv3d`, twice as fast on a CPU, and in the memory layout of all other networks here. The
    2-D kernel's input maps are those of t - 1, t and t + 1.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.convolve = convolution(3 * inputs, outputs, 3)

    def forward(self, series: Tensor) -> Tensor:
        padded = functional.pad(series, (0, 0, 0, 0, 0, 0, 1, 1))
        stacked = torch.cat([padded[:, :-2], padded[:, 1:-1], padded[:, 2:]], dim=2)
        planes = stacked.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        return self.convolve(planes).unflatten(0, series.shape[:2])


class LSTM(nn.Module):
    """Long short-term memory along time, at each location by itself (eqs 2-7): (N, T, inputs, h, w) -> last
    state (N, hidden, h, w).

    The four weight matrices on [h, x] are one 1x1 convolution, in the order of the equations: forget, input,
    candidate, output. `observed` (N, T, h, w) bool tells which dates a location has: the others leave h and C
    as they are. State and gates are float32 whatever the precision of the convolution. Biases start at 0 but
    the forget gate's at 1, so that the first states last (our choice: Jozefowicz et al. 2015, ICML 37,
    2342-2350); weights as Glorot & Bengio 2010, for sigmoid and tanh units.
    """

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.hidden = hidden
        self.gates = nn.Conv2d(hidden + inputs, 4 * hidden, 1)
        for gate in self.gates.weight.split(hidden):
            nn.init.xavier_uniform_(gate)
        nn.init.zeros_(self.gates.bias)
        nn.init.ones_(self.gates.bias[:hidden])

    def forward(self, series: Tensor, observed: Tensor) -> Tensor:
        state = memory = series.new_zeros(len(series), self.hidden, *series.shape[-2:], dtype=torch.float32)
        for maps, seen in zip(series.unbind(1), observed.unbind(1), strict=True):
            gates = self.gates(torch.cat([state, maps.float()], dim=1)).float()
            forget, let_in, candidate, let_out = gates.chunk(4, dim=1)
            updated = forget.sigmoid() * memory + let_in.sigmoid() * candidate.tanh()
            seen = seen[:, None]
            memory = torch.where(seen, updated, memory)
            state = torch.where(seen, let_out.sigmoid() * updated.tanh(), state)
        return state


class CNNLSTM(SegmentationNetwork):
    """`TemporalFusion` with a logistic regression per pixel on its fused maps, a 1x1 convolution."""

    size_multiple = POOL

    def __init__(self, in_channels: int, classes: int, width: float, dates: int):
        super().__init__()
        self.fusion = TemporalFusion(in_channels, width, dates)
        self.classify = logistic_regression(self.fusion.outputs, classes)

    def logits(self, windows: Tensor) -> Tensor:
        return self.classify(self.fusion(windows))


def logistic_regression(inputs: int, classes: int) -> nn.Conv2d:
    """Per pixel, as a 1x1 convolution with He weights."""
    return convolution(inputs, classes, 1)


def require_series(name: str, in_channels: int, dates: int) -> None:
    """Refuse planes that are no series of `dates` dates, each of at least one channel and the plane that
    tells where it was observed."""
    if dates < 1 or in_channels % dates or in_channels // dates < 2:
        raise HeadscarpError(
            f'network "{name}" reads for each date its channels and a plane that is 1 where the date '
            f"was observed; {in_channels} planes are no such series of {dates} dates"
        )


@register("cnn_lstm")
def build_cnn_lstm(in_channels: int, classes: int, width: float, *, dates: int) -> CNNLSTM:
    """stfusion's temporal module by itself; `in_channels` = dates x (channels + 1). Raises `HeadscarpError`
    where it is not."""
    require_series("cnn_lstm", in_channels, dates)
    return CNNLSTM(in_channels, classes, width, dates)
