"""ONNX files: what another runtime computes from a tile is what the map shows, and the metadata are those
that QGIS's plugin Deepness reads."""

import json
import sys

import numpy as np
import pytest
import torch

from headscarp.delivery.onnx_file import write_onnx
from headscarp.delivery.trained_model import read_model
from headscarp.errors import HeadscarpError
from headscarp.files import write_json
from headscarp.mapping.predict import predict_windows
from headscarp.training.weights import build_network, load_network, save_weights
from headscarp.training.windows import NormalisedCube

pytestmark = pytest.mark.slow

SCALES = {"red": (0.08, 0.03), "slope": (14.0, 8.0), "grey": (0.4, 0.2)}
UNITS = {"red": "reflectance", "slope": "degree", "grey": "brightness"}
WINDOW, SIDE = 32, 64  # pixels of training, and of a tile
THRESHOLD = 0.37


def make_run(folder, network="unet", classes=1, dates=None):
    """The folder of a run whose network has random weights."""
    torch.manual_seed(1)
    spec = {"network": {"name": network, "width": 0.125, "params": {}}, "channels": list(SCALES)}
    spec |= {"classes": classes, "recipe": {}, "seed": 0} | ({"dates_read": dates} if dates else {})
    save_weights(folder / "model.safetensors", build_network(spec).state_dict())
    channels = [
        {"name": name, "layer": name, "units": UNITS[name], "normalisation": {"mean": mean, "sd": sd}}
        for name, (mean, sd) in SCALES.items()
    ]
    grid = {"crs": "EPSG:32654", "transform": [2.5, 0, 0, 0, -2.5, 0], "height": 64, "width": 64}
    origin = {"run": "a/b/c/blocked/seed0", "window": WINDOW, "site": "b", "grid": grid, "channels": channels}
    write_json(folder / "run.json", {"spec": spec, "trained_on": origin | {"classes": None}})
    write_json(folder / "b" / "scores.json", {"threshold": THRESHOLD})
    return folder


def values_of_tile():
    """Values (channel, row, col) in the units of training, some of them no data."""
    rng = np.random.default_rng(0)
    values = np.stack([rng.normal(mean, sd, (SIDE, SIDE)) for mean, sd in SCALES.values()])
    values = values.astype(np.float32)
    values[1, 20:30, 5:9] = np.nan
    return values


def as_deepness_feeds(values):
    """A raster of the values, grey as bytes, divided by 255 as Deepness does with any numbers."""
    raster = values.copy()
    raster[2] *= 255
    return (raster / 255)[None].astype(np.float32)


@pytest.mark.parametrize(("network", "classes"), [("unet", 1), ("resunet", 2), ("deeplab_v3plus", 6)])
def test_another_runtime_finds_the_same_probabilities(tmp_path, network, classes):
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    make_run(tmp_path, network, classes)
    write_onnx(read_model(tmp_path), tmp_path / "model.onnx")
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    (found,) = session.run(None, {session.get_inputs()[0].name: as_deepness_feeds(values_of_tile())})
    mean, sd = zip(*SCALES.values(), strict=True)
    cube = NormalisedCube(values_of_tile()[None], [0, 1, 2], list(mean), list(sd))
    window = np.nan_to_num(cube.read(0, slice(None), slice(None)))[None]
    expected = predict_windows(load_network(tmp_path)[0].eval(), window, torch.device("cpu"), torch.float32)
    if classes == 2:
        expected = expected[:, 1:]
    assert found.shape == (1, max(1, classes if classes > 2 else 1), SIDE, SIDE)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_deepness_reads_its_keys(tmp_path):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    make_run(tmp_path)
    write_onnx(read_model(tmp_path), tmp_path / "model.onnx")
    told = {one.key: json.loads(one.value) for one in onnx.load(tmp_path / "model.onnx").metadata_props}
    bands = told.pop("headscarp_bands")
    assert told == {
        "model_type": "Segmentor",
        "class_names": {"0": "landslide"},
        "resolution": 250.0,  # centimetres
        "tile_size": SIDE,
        "tiles_size": SIDE,
        "tiles_overlap": 50,
        "standardization_mean": [0.0, 0.0, 0.0],
        "standardization_std": [1.0, 1.0, 1.0],
        "seg_thresh": THRESHOLD,
        "headscarp_run": "a/b/c/blocked/seed0",
    }
    assert [(band["band"], band["channel"]) for band in bands] == [(1, "red"), (2, "slope"), (3, "grey")]
    assert bands[2]["units"] == "bytes 0..255"


def test_a_network_of_a_series_is_refused(tmp_path):
    make_run(tmp_path, dates=["2020-01-01", "2020-02-01"])
    with pytest.raises(HeadscarpError, match=r"reads 2 dates .* use `headscarp map`"):
        write_onnx(read_model(tmp_path), tmp_path / "model.onnx")


def test_missing_packages_are_named(tmp_path, monkeypatch):
    make_run(tmp_path)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(HeadscarpError, match=r"missing \(.*onnx.*\); .*pip install 'headscarp\[onnx\]'"):
        write_onnx(read_model(tmp_path), tmp_path / "model.onnx")
