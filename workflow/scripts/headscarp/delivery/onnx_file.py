"""A trained network as an ONNX file with the metadata that QGIS's plugin Deepness reads.

Deepness (https://github.com/PUTvision/qgis-plugin-deepness, read at its commit f450c63) cuts tiles out of the
bands of a raster, divides their numbers by 255 and feeds them, (1, band, row, col) float32. The network in
the file undoes that and standardises, so that the raster holds the channels in their units; those of
brightness as bytes.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from headscarp.codes import LANDSLIDE
from headscarp.delivery.trained_model import TrainedModel
from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path
from headscarp.mapping.predict import Tiling, to_probability
from headscarp.training.weights import load_network

BYTE = 255.0
BRIGHTNESS = "brightness"
OPSET = 18
INSTALL = "install them, for example with `pip install 'headscarp[onnx]'`"


class Standalone(nn.Module):
    """A network that takes tiles as Deepness feeds them and gives probabilities: of landslides alone (n, 1,
    row, col), or of each of three classes and more."""

    def __init__(self, network: nn.Module, model: TrainedModel) -> None:
        super().__init__()
        self.network = network
        units = [BYTE if channel["units"] != BRIGHTNESS else 1.0 for channel in model.channels]
        scales = [channel["normalisation"] for channel in model.channels]
        self.register_buffer("units", planes(units))
        self.register_buffer("mean", planes([scale["mean"] for scale in scales]))
        self.register_buffer("sd", planes([scale["sd"] or 1.0 for scale in scales]))

    def forward(self, tile: Tensor) -> Tensor:
        values = (tile * self.units - self.mean) / self.sd
        values = torch.where(torch.isnan(values), torch.zeros_like(values), values)
        probability = to_probability(self.network(values))
        return probability[:, LANDSLIDE : LANDSLIDE + 1] if probability.shape[1] == 2 else probability


def planes(numbers: list[float]) -> Tensor:
    """One number for each channel (1, channel, 1, 1)."""
    return torch.tensor(numbers, dtype=torch.float32)[None, :, None, None]


def write_onnx(model: TrainedModel, target: str | Path) -> None:
    """Write a network as ONNX, atomically.

    Raises:
        HeadscarpError: the packages that write it are missing, or the network reads a series of dates.
    """
    if model.dates:
        raise HeadscarpError(
            f"{model.folder} reads {len(model.dates)} dates with a plane for each that tells clouds, which "
            "nothing outside gives it; export a network of one date, or use `headscarp map`"
        )
    try:
        import onnx
        import onnxscript  # noqa: F401 - torch's exporter imports it
    except ImportError as error:
        raise HeadscarpError(
            f"ONNX files are written by packages that are missing ({error}); {INSTALL}"
        ) from None
    network, _ = load_network(model.folder)
    tiling = Tiling.like_training(model.origin["window"])
    tile = torch.zeros(1, len(model.channels), tiling.window, tiling.window)
    exported = torch.onnx.export(
        Standalone(network, model).eval(),
        (tile,),
        dynamo=True,
        opset_version=OPSET,
        input_names=["tile"],
        output_names=["probability"],
        verbose=False,
    )
    proto = exported.model_proto
    for key, value in metadata(model, tiling).items():
        proto.metadata_props.add(key=key, value=json.dumps(value, ensure_ascii=False))
    with atomic_path(target) as temporary:
        temporary.write_bytes(proto.SerializeToString())
    onnx.checker.check_model(str(target))


def metadata(model: TrainedModel, tiling: Tiling) -> dict[str, Any]:
    """What the file says of itself: the keys that Deepness reads, and what the bands of a raster must be."""
    alone = len(model.classes) == 2
    size = {} if model.resolution is None else {"resolution": 100 * model.resolution}
    return size | {
        "model_type": "Segmentor",
        "class_names": {0: "landslide"} if alone else model.classes,
        "tile_size": tiling.window,  # its code reads this key,
        "tiles_size": tiling.window,  # its documentation names this one
        "tiles_overlap": round(100 * tiling.overlap / tiling.window),
        # The file standardises by itself, so that nothing is left to do.
        "standardization_mean": [0.0] * len(model.channels),
        "standardization_std": [1.0] * len(model.channels),
        # Of several classes the likeliest counts, however likely it is.
        "seg_thresh": (model.threshold if model.threshold is not None else 0.5) if alone else 0.0,
        "headscarp_run": model.origin["run"],
        "headscarp_bands": bands_of_raster(model),
    }


def bands_of_raster(model: TrainedModel) -> list[dict[str, Any]]:
    """What the bands of a raster must hold, in their order: {band, channel, units}."""
    return [
        {
            "band": number,
            "channel": channel["name"],
            "units": "bytes 0..255" if channel["units"] == BRIGHTNESS else channel["units"],
        }
        for number, channel in enumerate(model.channels, start=1)
    ]
