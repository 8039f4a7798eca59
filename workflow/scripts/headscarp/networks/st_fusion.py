"""The network of stfusion: CNN-LSTM, then DCNN and DBN, then logistic regression (sections 2.1-2.4, Figs 1
and 4)."""

import torch
from torch import Tensor, nn

from headscarp.networks import register
from headscarp.networks.blocks import SegmentationNetwork, double_conv_norm_relu, scaled
from headscarp.networks.cnn_lstm import TemporalFusion, logistic_regression, require_series
from headscarp.networks.dbn import DBN
from headscarp.networks.unet import UNet

LEVELS = (32, 64, 128, 256)  # maps of the DCNN; the paper prints no widths
LEAST_LEVEL = 8  # of narrow forms: with four maps, all may die (be 0 everywhere) early in a training
HIDDEN = (128, 64)  # units of the DBN


class STFusion(SegmentationNetwork):
    """Series (N, dates x (C + 1), H, W), see `cnn_lstm` -> fused maps -> map features and pixel features ->
    logits (N, classes, H, W).

    `TemporalFusion` compresses the series; fused maps and raw series go into the DCNN, an encoder-decoder
    with skips (N, 32, H, W), and, as one vector per pixel, into the DBN (N, 64, H, W); a logistic regression
    per pixel reads the features of both. The DCNN has batch norm, which the paper does not name: without it
    the first steps, which lower all probabilities to the share of landslides, leave its units dead.
    `training.pretraining` trains the DBN before all else.
    """

    size_multiple = 2 ** (len(LEVELS) - 1)

    def __init__(self, in_channels: int, classes: int, width: float, dates: int, temporal: bool, dbn: bool):
        super().__init__()
        self.fusion = TemporalFusion(in_channels, width, dates) if temporal else None
        inputs = in_channels + (self.fusion.outputs if temporal else 0)
        levels = [max(LEAST_LEVEL, scaled(maps, width)) for maps in LEVELS]
        self.dcnn = UNet(inputs, levels, head=nn.Identity(), convolutions=double_conv_norm_relu)
        self.dbn = DBN(inputs, [scaled(units, width) for units in HIDDEN]) if dbn else None
        self.classify = logistic_regression(levels[0] + (self.dbn.outputs if dbn else 0), classes)

    def logits(self, windows: Tensor) -> Tensor:
        maps = windows if self.fusion is None else torch.cat([self.fusion(windows), windows], dim=1)
        features = self.dcnn(maps)
        if self.dbn is not None:
            features = torch.cat([features, self.dbn(maps)], dim=1)
        return self.classify(features)


@register("st_fusion")
def build_st_fusion(
    in_channels: int, classes: int, width: float, *, dates: int, temporal: bool = True, dbn: bool = True
) -> STFusion:
    """stfusion's network; `in_channels` = dates x (channels + 1). Raises `HeadscarpError` where it is not.

    Without `temporal`, DCNN and DBN read the raw series only (the paper's ablation, Table 4); without `dbn`,
    there is no pixel branch.
    """
    require_series("st_fusion", in_channels, dates)
    return STFusion(
        in_channels=in_channels, classes=classes, width=width, dates=dates, temporal=temporal, dbn=dbn
    )
