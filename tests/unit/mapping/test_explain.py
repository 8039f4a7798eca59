"""Grad-CAM: the layers that are explained, the maps against gradients written out by hand, and the
windows."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from headscarp import networks
from headscarp.errors import HeadscarpError
from headscarp.exhibits.panels.figure import draw
from headscarp.mapping.explain import explain_run, explained_layers, grad_cam, largest_slides, module_outputs
from headscarp.networks.blocks import SegmentationNetwork
from headscarp.training.weights import save_weights
from tests.site_files import make_grid, write_raster
from tests.world import one, spec_of

CELL_NETWORKS = {"cnn3d"}


class Small(SegmentationNetwork):
    """Three maps, halved, enlarged, one logit: small enough to be worked out by hand."""

    size_multiple = 2

    def __init__(self):
        super().__init__()
        self.deep = nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU(inplace=True), nn.AvgPool2d(2))
        self.enlarge = nn.Upsample(scale_factor=2, mode="nearest")
        self.head = nn.Conv2d(3, 1, 1)

    def logits(self, windows):
        return self.head(self.enlarge(self.deep(windows)))


def built(name, width=0.125):
    return networks.build(name, 14, 1, width, **({"dates": 2} if networks.takes_dates(name) else {}))


@pytest.mark.parametrize("name", sorted(set(networks.names()) - CELL_NETWORKS))
def test_every_network_has_two_layers_that_explain_it(name):
    torch.manual_seed(0)
    model = built(name)
    layers = explained_layers(model, 14, 1)
    side = 4 * model.size_multiple
    made = {one.name: one for one in module_outputs(model, torch.zeros(1, 14, side, side))}
    decoder, encoder = made[layers["decoder"]], made[layers["encoder"]]
    assert min(decoder.maps, encoder.maps) > 2  # features, not logits
    assert decoder.height >= encoder.height
    assert encoder.height <= side / 4
    pixels = torch.zeros(side, side, dtype=torch.bool)
    pixels[: side // 2, : side // 2] = True
    torch.manual_seed(1)
    cam = grad_cam(model.eval(), layers["decoder"], torch.randn(1, 14, side, side), pixels, 0)
    assert cam.shape == (side, side) and cam.dtype == np.float32
    assert np.isfinite(cam).all() and cam.min() >= 0


LAYERS = {
    "aspp": ("aspp", "aspp"),
    "attention_unet": ("up.0", "down.4"),
    "basic_fcn": ("pool", "pool"),
    "cnn_lstm": ("fusion", "fusion.lstm"),
    "deeplab_v3": ("aspp", "aspp"),
    "deeplab_v3plus": ("refine", "aspp"),
    "fc_densenet": ("up.2", "bottom"),
    "fcn8s": ("up2", "fc"),
    "fcn8s_vgg16": ("fc", "fc"),  # its decoder adds logits only
    "fstf_net": ("head.0", "fuse"),
    "pspnet": ("head.2", "pyramid"),
    "rae_d": ("head.0", "aspp"),
    "resu_cbnet": ("decoder.0", "encoder.4"),
    "resunet": ("decoder.0", "encoder.4"),
    "resunet_zhang": ("decoder.0", "encoder.3"),
    "segnet": ("decoder.4", "encoder.4"),
    "st_fusion": ("dbn", "dcnn.down.3"),
    "tiramisu56": ("up.4", "bottom"),
    "tiramisu67": ("up.4", "bottom"),
    "tiramisu103": ("up.4", "bottom"),
    "unet": ("up.0", "down.3"),
    "unet_mobilenet_v3": ("head.1", "encoder.4"),
    "unet_ronneberger": ("up.0", "down.4"),
}


@pytest.mark.parametrize("name", sorted(set(networks.names()) - CELL_NETWORKS))
def test_layers_are_those_that_the_architectures_name(name):
    assert tuple(explained_layers(built(name), 14, 1).values()) == LAYERS[name]


def test_the_width_of_a_network_does_not_change_its_layers():
    with torch.device("meta"):
        full = networks.build("resu_cbnet", 14, 1, 1.0)
    assert explained_layers(full, 14, 1) == explained_layers(built("resu_cbnet"), 14, 1)


def test_grad_cam_is_the_maps_weighted_by_their_mean_gradient():
    torch.manual_seed(0)
    model, window = Small().eval(), torch.randn(1, 2, 8, 8)
    with torch.no_grad():
        model.head.weight[0, :, 0, 0] = torch.tensor([1.0, -0.5, 2.0])
    pixels = torch.zeros(8, 8, dtype=torch.bool)
    pixels[2:5, 1:4] = True
    found = grad_cam(model, "deep", window, pixels, 0)
    # The head's weights spread over 9 pixels, of which each stands on one of 16 coarse cells: the mean
    # gradient of a map is w / 16.
    maps = model.deep(window)
    weights = model.head.weight.detach()[0, :, 0, 0] / 16
    coarse = torch.relu((weights[:, None, None] * maps[0]).sum(0))
    expected = nn.functional.interpolate(coarse[None, None], (8, 8), mode="bilinear", align_corners=False)[
        0, 0
    ]
    assert found.max() > 0
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-5, atol=1e-7)


def test_windows_lie_around_the_largest_tested_slides():
    instances = np.zeros((100, 120), np.int32)
    instances[10:20, 10:20] = 1  # 100 pixels
    instances[60:80, 80:100] = 2  # 400 pixels
    instances[62:64, 102:104] = 3  # inside the window of slide 2
    instances[0:50, 60:120] = 4  # the largest, but not tested
    tested = np.ones(instances.shape, bool)
    tested[:50, 60:] = False
    windows = largest_slides(instances, tested, count=3, size=40)
    assert windows[:, 2:].tolist() == [[40, 40], [40, 40]]
    centres = windows[:, :2] + 20
    np.testing.assert_allclose(centres[0], [69.5, 89.5], atol=1)
    assert windows[1, :2].tolist() == [0, 0]  # moved into the scene
    with pytest.raises(HeadscarpError, match="no landslide to explain"):
        largest_slides(instances, np.zeros_like(tested))


def test_a_bent_slide_is_in_its_window():
    instances = np.zeros((200, 200), np.int32)
    instances[50:150, 50:52] = instances[50:52, 50:150] = instances[148:150, 50:150] = 1
    row, col, height, width = largest_slides(instances, np.ones(instances.shape, bool), size=20)[0]
    assert (instances[row : row + height, col : col + width] == 1).any()


@pytest.fixture
def run(tmp_path):
    """A run of an untrained U-Net on a site of random values, with one slide in the test region."""
    rng = np.random.default_rng(0)
    cube, samples, folder = tmp_path / "cube", tmp_path / "samples", tmp_path / "run"
    for one_folder in (cube, samples, folder):
        one_folder.mkdir()
    label = np.zeros((64, 96), np.uint8)
    label[20:30, 70:80] = 1
    regions = np.where(np.arange(96) < 48, 1, 3)[None].repeat(64, 0).astype(np.uint8)
    np.save(cube / "cube.npy", rng.normal(size=(1, 2, 64, 96)).astype(np.float32))
    np.save(cube / "label.npy", label)
    np.save(cube / "instances.npy", label.astype(np.int32))
    np.save(samples / "regions.npy", regions)
    channels = [{"name": name, "dated": True} for name in ("red", "slope")]
    (cube / "cube.json").write_text(json.dumps({"channels": channels, "dates": ["2020-01-01"]}))
    normalisation = {name: {"mean": 0.0, "sd": 1.0} for name in ("red", "slope")}
    (samples / "samples.json").write_text(json.dumps({"protocol": "blocked", "normalisation": normalisation}))
    torch.manual_seed(0)
    spec = {
        "network": {"name": "unet", "width": 0.125, "params": {}},
        "channels": ["slope", "red"],
        "classes": 1,
    }
    save_weights(folder / "model.safetensors", networks.build("unet", 2, 1, 0.125).state_dict())
    (folder / "run.json").write_text(json.dumps({"spec": spec, "seed": 0}))
    return folder, cube, samples


def test_a_run_is_explained_on_its_largest_test_slides(run):
    folder = run[0]
    explain_run(*run, device="cpu")
    with np.load(folder / "gradcam.npz") as stored:
        found = dict(stored)
    assert found["windows"].tolist() == [[0, 0, 64, 96]]  # the scene is smaller than a window
    assert found["decoder"].shape == found["encoder"].shape == found["probability"].shape == (1, 64, 96)
    assert str(found["decoder_layer"]) == "up.0"
    assert ((found["probability"] > 0) & (found["probability"] < 1)).all()


# --- the figure


@pytest.fixture
def world(run):
    """Two runs explained on two windows of a site with layers."""
    folder = run[0].parent
    layers, grid = folder / "layers", make_grid(60, 90)
    layers.mkdir()
    rng = np.random.default_rng(1)
    label = np.zeros((60, 90), np.uint8)
    label[10:20, 10:20] = 1
    for name in ("red", "green", "blue", "elevation"):
        write_raster(layers / f"{name}.tif", rng.random((60, 90), np.float32), grid)
    write_raster(layers / "label.tif", label, grid)
    (layers / "layers.json").write_text(json.dumps({"grid": grid.to_record(), "layers": []}))
    runs = []
    for row, inside in (("sharp", 1.0), ("flat", 0.0)):
        one_folder = folder / row
        one_folder.mkdir()
        attention = np.zeros((2, 30, 30), np.float32)
        attention[0, 10:20, 10:20] = inside
        attention[0, 25, 25] = 1 - inside
        arrays = {
            "decoder": attention,
            "encoder": attention,
            "windows": np.array([[0, 0, 30, 30], [30, 60, 30, 30]]),
        }
        np.savez(one_folder / "gradcam.npz", **arrays)
        runs.append(
            {
                "row": row,
                "label": row,
                "experiment": row,
                "protocol": "blocked",
                "seed": 0,
                "folder": str(one_folder),
                "maps": str(one_folder),
            }
        )
    site = {"name": "hills", "title": "Hills", "folder": str(folder), "data": "twin"}
    return {"sites": [site], "runs": runs}


def test_the_figure_shows_image_label_and_every_network_in_every_window(world):
    figure, numbers = draw(spec_of(world, "grad_cam"))
    titles = [axes.get_title("left") for axes in figure.axes]
    assert [titles.count(name) for name in ("Image", "Label", "sharp", "flat")] == [2, 2, 2, 2]
    assert one(numbers, "sharp:window_1", "inside", "blocked")["value"] == 1
    assert one(numbers, "flat:window_1", "inside", "blocked")["value"] == 0
    assert one(numbers, "flat:window_1", "landslide_share", "blocked")["value"] == pytest.approx(100 / 900)
    empty = one(numbers, "sharp:window_2", "inside", "blocked")
    assert np.isnan(empty["value"]) and "nothing" in empty["note"]


def test_the_figure_refuses_other_windows_layers_and_several_protocols(world, tmp_path):
    with pytest.raises(HeadscarpError, match="decoder"):
        draw(spec_of(world, "grad_cam", options={"layer": "decodr"}))
    both = world["runs"] + [world["runs"][0] | {"protocol": "published"}]
    with pytest.raises(HeadscarpError, match="one protocol"):
        draw(spec_of(world, "grad_cam", runs=both))
    path = tmp_path / "flat" / "gradcam.npz"
    with np.load(path) as stored:
        np.savez(path, **(dict(stored) | {"windows": np.array([[0, 0, 30, 30], [30, 50, 30, 30]])}))
    with pytest.raises(HeadscarpError, match="other windows"):
        draw(spec_of(world, "grad_cam"))
