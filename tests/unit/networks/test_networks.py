"""Segmentation networks: published parameter counts, any window size, learning, starting weights,
registry."""

import csv
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from headscarp import networks
from headscarp.errors import HeadscarpError
from headscarp.networks import blocks, initialise

# gao2021, Table IX: parameters and "RAM" in MiB, with 7 bands and 1 output
TABLE_IX = {
    "fcn8s": (6_300_549, 73),
    "segnet": (29_461_253, 338),
    "unet": (7_700_741, 89),
    "resunet": (9_874_437, 114),
    "fc_densenet": (2_961_676, 35),
}


def is_segmentation_network(name: str) -> bool:
    """Of images: those of series, which need to know their dates, are in test_st_fusion.py."""
    with torch.device("meta"):
        return not networks.takes_dates(name) and isinstance(
            networks.build(name, 5), blocks.SegmentationNetwork
        )


NAMES = [name for name in networks.names() if is_segmentation_network(name)]
WITH_DROPOUT = {
    "fc_densenet",
    "tiramisu56",
    "tiramisu67",
    "tiramisu103",
    "fcn8s_vgg16",
    "unet_ronneberger",
    "rae_d",
    "fstf_net",
}


def small(name: str, bands: int = 5, classes: int = 1) -> nn.Module:
    torch.manual_seed(0)
    return networks.build(name, bands, classes, width=0.125)


def answers(model: nn.Module, windows: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Logits, and those of an auxiliary head in training mode."""
    answer = model(windows)
    return answer if isinstance(answer, tuple) else (answer,)


@pytest.mark.parametrize("name", NAMES)
def test_every_network_starts_where_landslides_are_rare(name, monkeypatch):
    windows = torch.rand(2, 5, 64, 64)
    begun = small(name).eval()
    monkeypatch.setattr(networks, "LOGIT_OF_RARE", 0.0)
    with torch.no_grad():
        torch.testing.assert_close(begun(windows), small(name).eval()(windows) - 2.0, atol=1e-4, rtol=1e-4)


def test_names_are_those_of_the_papers():
    canonical = {
        "fcn8s_vgg16",
        "resunet_zhang",
        "unet_ronneberger",
        "tiramisu56",
        "tiramisu67",
        "tiramisu103",
    }
    assert set(NAMES) >= set(TABLE_IX) | canonical


# --- counts
# ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLE_IX)
def test_parameters_and_size_equal_table_ix(name):
    described = networks.describe(name, in_channels=7)
    assert (described["parameters"], described["model_mib"]) == TABLE_IX[name]


@pytest.mark.parametrize("name", TABLE_IX)
def test_table_ix_here_is_the_published_one(name, real_data):
    with open(real_data("published/tables.csv"), encoding="utf-8", newline="") as stream:
        published = {
            line["metric"]: float(line["value"])
            for line in csv.DictReader(stream)
            if (line["paper"], line["table"], line["row"]) == ("gao2021", "table9", name)
        }
    assert (published["parameters"], published["model_ram_mb"]) == TABLE_IX[name]


@pytest.mark.parametrize(
    ("name", "published"), [("tiramisu56", 1_376_795), ("tiramisu67", 3_463_243), ("tiramisu103", 9_322_091)]
)
def test_trainable_parameters_of_the_tiramisus(name, published):
    assert networks.describe(name, in_channels=3, classes=11)["trainable"] == published


def test_original_unet_has_its_well_known_count():
    # 31,031,685 is the count of the Keras U-Net with a 3x3 convolution to two maps and a 1x1 to one (1157
    # parameters) for a head; the paper's own head is a 1x1 convolution of 64 maps to two classes (130
    # parameters).
    assert (
        networks.describe("unet_ronneberger", in_channels=1, classes=2)["parameters"]
        == 31_031_685 - 1157 + 130
    )


def test_original_fcn8s_is_vgg16_without_its_last_layer_and_with_scores():
    classes = 21
    vgg16, fc8 = 138_357_544, 4096 * 1000 + 1000
    scores = sum(inputs * classes + classes for inputs in (4096, 512, 256)) + 2 * classes * classes * 4 * 4
    assert (
        networks.describe("fcn8s_vgg16", in_channels=3, classes=classes)["parameters"] == vgg16 - fc8 + scores
    )


def test_original_resunet_has_7_8_million_parameters_without_projections():
    with torch.device("meta"):
        model = networks.build("resunet_zhang", 3)
    projections = sum(
        networks.count_trainable(module)
        for name, module in model.named_modules()
        if name.endswith("shortcut")
    )
    assert round((networks.count_trainable(model) - projections) / 1e6, 1) == 7.8


def test_keras_counts_four_numbers_per_batch_norm_channel():
    layer = nn.BatchNorm2d(10)
    assert (networks.count_parameters(layer), networks.count_trainable(layer)) == (40, 20)


@pytest.mark.parametrize("name", NAMES)
def test_width_scales_the_network(name):
    full, half = (networks.describe(name, 7, width=width)["trainable"] for width in (1, 0.5))
    assert 0.2 < half / full < 0.45  # a growth of 12 becomes 8, a multiple of 4, not 6


# --- windows in, logits out
# ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_any_size_any_bands_any_classes(name):
    fewest = 4 if name == "fstf_net" else 1  # three spectral channels and one to fuse with them
    for bands, classes, batch, size in ((fewest, 1, 1, (32, 32)), (19, 3, 2, (45, 70))):
        model = small(name, bands, classes)
        windows = torch.randn(batch, bands, *size)
        for mode in (True, False):
            for logits in answers(model.train(mode), windows):
                assert logits.shape == (batch, classes, *size)
                assert logits.isfinite().all()
                assert logits.std() > 0


@pytest.mark.parametrize("name", NAMES)
def test_odd_sizes_are_edge_padded_below_and_right(name):
    model = small(name).eval()
    windows = np.random.default_rng(0).normal(size=(1, 5, 41, 50)).astype(np.float32)
    below, right = (-side % model.size_multiple for side in (41, 50))
    padded = np.pad(windows, ((0, 0), (0, 0), (0, below), (0, right)), mode="edge")
    with torch.no_grad():
        torch.testing.assert_close(
            model(torch.from_numpy(windows)), model(torch.from_numpy(padded))[..., :41, :50]
        )


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_every_parameter(name):
    model = small(name, classes=2).train()
    target = torch.randint(0, 2, (2, 64, 64))
    sum(
        functional.cross_entropy(logits, target) for logits in answers(model, torch.randn(2, 5, 64, 64))
    ).backward()
    for label, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), label
        if parameter.ndim > 1:  # a bias in front of a batch norm has none by right
            assert parameter.grad.abs().max() > 0, label


@pytest.mark.parametrize("name", NAMES)
def test_mixed_precision_with_channels_last_agrees_with_float32(name):
    model = small(name).eval()
    windows = torch.randn(2, 5, 48, 40)
    with torch.no_grad():
        exact = model(windows)
        model = model.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = model(windows.contiguous(memory_format=torch.channels_last)).float()
    assert rough.isfinite().all()
    # SegNet's pooling may pick another of nearly equal pixels in bfloat16, hence a bound on the mean.
    assert (rough - exact).abs().mean() < 0.1 * exact.abs().mean()


@pytest.mark.parametrize("name", NAMES)
def test_dropout_acts_in_training_only(name):
    model = small(name)
    windows = torch.randn(2, 5, 64, 64)
    with torch.no_grad():
        assert torch.equal(answers(model.train(), windows)[0], answers(model, windows)[0]) == (
            name not in WITH_DROPOUT
        )
        assert torch.equal(model.eval()(windows), model(windows))


def test_skips_of_fcn8s_lie_at_an_eighth_and_a_sixteenth():
    model, sizes = small("fcn8s").eval(), {}
    for label in ("conv2", "conv3_to_5", "fc"):
        getattr(model, label).register_forward_hook(
            lambda _module, _inputs, maps, label=label: sizes.update({label: maps.shape[-2:]})
        )
    model(torch.randn(1, 5, 64, 96))
    assert sizes == {"conv2": (8, 12), "conv3_to_5": (4, 6), "fc": (2, 3)}


def test_segnet_without_batch_norm_on_its_logits_has_the_originals_head():
    """gao2021's Table IX counts four numbers more than the original: those of batch norm on one logit."""
    counts = [networks.describe("segnet", 7, logit_norm=norm)["parameters"] for norm in (True, False)]
    assert counts == [29_461_253, 29_461_253 - 4]
    head = networks.build("segnet", 5, width=0.125, logit_norm=False).head
    assert [type(layer) for layer in head] == [nn.Conv2d] and head[0].bias.item() == networks.LOGIT_OF_RARE


def test_an_enlarged_window_is_mapped_as_its_enlargement_and_averaged_back():
    plain, enlarged = (networks.build("deeplab_v3", 3, width=0.125, enlarge=times).eval() for times in (1, 4))
    enlarged.load_state_dict(plain.state_dict())
    windows = torch.randn(2, 3, 16, 32)
    pixels = functional.interpolate(windows, scale_factor=4, mode="bilinear", align_corners=False)
    expected = plain(pixels).unflatten(3, (32, 4)).unflatten(2, (16, 4)).mean(dim=(3, 5))
    torch.testing.assert_close(enlarged(windows), expected)
    assert enlarged(windows[..., :13, :21]).shape == (2, 1, 13, 21)
    assert not torch.allclose(enlarged(windows), plain(windows), atol=1e-3)


# --- learning
# ------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE_IX)
def test_network_learns_smooth_blobs_in_noise(name):
    generator = torch.Generator().manual_seed(1)
    field = functional.interpolate(
        torch.randn(4, 1, 4, 4, generator=generator), size=(32, 32), mode="bicubic"
    )
    share = 0.2
    truth = (field > field.quantile(1 - share)).float()
    windows = 0.3 * field + 0.8 * truth + torch.randn(4, 7, 32, 32, generator=generator)
    constant = -share * math.log(share) - (1 - share) * math.log(1 - share)
    torch.manual_seed(0)
    model = networks.build(name, 7, width=0.125).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(60):
        loss = functional.binary_cross_entropy_with_logits(model(windows), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.65 * constant


# --- starting weights
# ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: blocks.convolution(32, 32, 3),
        lambda: blocks.up_convolution(32, 32, 2),
        lambda: blocks.up_convolution(32, 32, 3),
    ],
)
def test_he_weights_keep_the_variance_behind_a_relu(make):
    torch.manual_seed(0)
    maps = torch.relu(torch.randn(4, 32, 24, 24))
    assert make()(maps)[..., 2:-2, 2:-2].square().mean().item() == pytest.approx(1, rel=0.15)


@pytest.mark.parametrize("name", ["segnet", "unet", "fc_densenet", "fcn8s_vgg16"])
def test_positive_unit_ball_gives_weighted_means(name):
    model = small(name)
    initialise.positive_unit_ball_(model)
    convolutions = [
        module for module in model.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    ]
    assert convolutions
    for layer in convolutions:
        assert layer.weight.min() >= 0
        assert layer.weight.std() > 0 or layer.weight.numel() == 1
        # A weighted mean of ones is one, wherever no padding is seen.
        ones = layer(torch.ones(1, layer.in_channels, 20, 20))[..., 4:-4, 4:-4]
        torch.testing.assert_close(ones, torch.ones_like(ones))


def test_bilinear_transposed_convolution_interpolates():
    layer = nn.ConvTranspose2d(3, 3, 4, stride=2, padding=1, bias=False)
    initialise.bilinear_(layer)
    maps = torch.randn(1, 3, 8, 8)
    expected = functional.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(layer(maps)[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])


def test_two_step_head_starts_alive():
    head = blocks.TwoStepHead(8, classes=3)
    maps = torch.rand(2, 8, 12, 12)
    torch.testing.assert_close(head(maps), head[0](maps)[:, :3])  # the ReLU hides no pixel from the logits


def test_networks_are_reproducible_from_the_seed():
    first, second = small("fc_densenet"), small("fc_densenet")
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


# --- registry
# ------------------------------------------------------------------------------------------


def test_a_new_network_is_one_new_file(tmp_path, monkeypatch):
    (tmp_path / "one_pixel.py").write_text(
        "from torch import nn\n"
        "from headscarp.networks import register\n\n"
        '@register("one_pixel")\n'
        "def build_one_pixel(in_channels, classes, width, kernel=1):\n"
        "    return nn.Conv2d(in_channels, classes, kernel)\n"
    )
    monkeypatch.setattr(networks, "__path__", [*networks.__path__, str(tmp_path)])
    monkeypatch.setattr(networks, "_builders", dict(networks._builders))
    assert "one_pixel" in networks.names()
    assert networks.count_parameters(networks.build("one_pixel", 7, 2, kernel=3)) == 7 * 2 * 9 + 2


def test_two_networks_of_one_name_are_refused_and_both_places_named(monkeypatch):
    monkeypatch.setattr(networks, "_builders", dict(networks._builders))
    with pytest.raises(HeadscarpError, match=r'"unet".*unet\.py, line \d+.*test_networks\.py, line \d+'):

        @networks.register("unet")
        def build_another(in_channels, classes, width):
            raise NotImplementedError


def test_unknown_network_names_the_nearest():
    with pytest.raises(
        HeadscarpError, match=r'no network "resnet".*did you mean .*resunet.*networks: .*tiramisu103'
    ):
        networks.build("resnet", 7)


def test_unknown_parameter_names_the_nearest():
    with pytest.raises(
        HeadscarpError, match=r'"grwoth"; did you mean \'growth\'\? \(it has: growth, theta, dropout\)'
    ):
        networks.build("fc_densenet", 7, grwoth=12)
    with pytest.raises(HeadscarpError, match="it has: none"):
        networks.build("resunet", 7, growth=12)


@pytest.mark.parametrize(
    "sizes", [{"in_channels": 0}, {"in_channels": 7, "classes": 0}, {"in_channels": 7, "width": 0}]
)
def test_impossible_sizes_are_refused(sizes):
    with pytest.raises(HeadscarpError, match="at least 1"):
        networks.build("unet", **sizes)
