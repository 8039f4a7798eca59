"""Multiply-adds by hand formulas and published numbers; time per megapixel. Times themselves are never
asserted."""

import pytest
import torch
from torch import nn

from headscarp import networks
from headscarp.errors import HeadscarpError
from headscarp.networks import costs
from headscarp.networks.blocks import SegmentationNetwork
from headscarp.networks.cnn3d import CNN3D
from headscarp.networks.resnet import PLAIN, ResNet50

pytestmark = pytest.mark.slow

SIDE = 16


@pytest.mark.parametrize(
    ("layer", "shape", "by_hand"),
    [
        # values of the answer x inputs of each
        (nn.Conv2d(3, 8, 5, padding=2), (1, 3, SIDE, SIDE), SIDE * SIDE * 8 * 3 * 25),
        (nn.Conv2d(3, 8, 3, stride=2, padding=1), (2, 3, SIDE, SIDE), 2 * (SIDE // 2) ** 2 * 8 * 3 * 9),
        (nn.Conv2d(3, 8, 3, padding=4, dilation=4), (1, 3, SIDE, SIDE), SIDE * SIDE * 8 * 3 * 9),
        (nn.Conv2d(8, 8, 3, padding=1, groups=8), (1, 8, SIDE, SIDE), SIDE * SIDE * 8 * 9),
        (nn.Conv2d(8, 12, 3, padding=1, groups=4), (1, 8, SIDE, SIDE), SIDE * SIDE * 12 * 2 * 9),
        # each value of the input x values it reaches
        (nn.ConvTranspose2d(8, 4, 2, stride=2), (1, 8, SIDE, SIDE), SIDE * SIDE * 8 * 4 * 4),
        (nn.Conv3d(2, 4, 3), (1, 2, 5, SIDE, SIDE), 3 * (SIDE - 2) ** 2 * 4 * 2 * 27),
        (nn.Linear(10, 6), (3, 10), 3 * 10 * 6),
        (
            nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
            (1, 3, SIDE, SIDE),
            SIDE * SIDE * 8 * 3,
        ),
    ],
)
def test_multiply_adds_of_layers_by_hand(layer, shape, by_hand):
    assert costs.multiply_adds(layer, shape) == by_hand
    assert costs.multiply_adds(layer.to("meta"), shape) == by_hand


def test_multiply_adds_of_resnet50_are_the_published_4_1_billion():
    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.resnet, self.classify = ResNet50(3, 1.0, PLAIN), nn.Linear(2048, 1000)

        def forward(self, windows):
            return self.classify(self.resnet(windows)[-1][0].mean((2, 3)))

    with torch.device("meta"):
        model = Classifier()
    # 4.089 GFLOP of torchvision's resnet50 (its "GFLOPS" are multiply-adds), whose 3x3 convolutions go down
    # as ours do
    assert round(costs.multiply_adds(model, (1, 3, 224, 224)) / 1e9, 3) == 4.089


def test_multiply_adds_of_unet_by_hand():
    bands, widths, total, side = 7, [64, 128, 256, 512], 0, costs.WINDOW
    for level, (inputs, outputs) in enumerate(zip([bands, *widths[:-1]], widths, strict=True)):
        pixels = (side >> level) ** 2
        total += pixels * 9 * (inputs * outputs + outputs * outputs)
        if level < len(widths) - 1:
            deeper = widths[level + 1]
            total += pixels // 4 * deeper * outputs * 4  # transposed convolution
            total += pixels * 9 * (2 * outputs * outputs + outputs * outputs)
    total += side * side * (9 * widths[0] * 2 + 2)  # two-step head
    described = costs.describe_costs("unet", bands)
    assert described == networks.describe("unet", bands) | {
        "multiply_adds_per_megapixel": round(total * 1e6 / side**2)
    }


def test_networks_of_cells_have_no_costs_per_megapixel():
    with pytest.raises(HeadscarpError, match=r'"cnn3d" classifies cells'):
        costs.describe_costs("cnn3d", 14)


def test_cells_of_the_3d_network_are_counted_too():
    model = CNN3D(factors=14, width=0.125, windows=(12,))
    convolutions, answers = [module for module in model.modules() if isinstance(module, nn.Conv3d)], []
    for layer in convolutions:
        layer.register_forward_hook(
            lambda layer, _inputs, maps: answers.append(maps.numel() * layer.weight[0].numel())
        )
    assert costs.multiply_adds(model, (2, 1, 14, 12, 12)) == sum(answers) > 0


def test_costs_of_every_segmentation_network_grow_with_its_area():
    for name in networks.names():
        dates = {"dates": 5} if networks.takes_dates(name) else {}
        planes = 10 if dates else 7
        with torch.device("meta"):
            model = networks.build(name, planes, width=0.125, **dates)
        if isinstance(model, SegmentationNetwork):
            assert costs.WINDOW % model.size_multiple == 0, name
            small, large = (
                costs.multiply_adds(model, (1, planes, side, side))
                for side in (costs.WINDOW, 2 * costs.WINDOW)
            )
            # what is computed once per window is next to nothing
            assert 3.99 * small < large <= 4 * small, name


def test_costs_are_those_of_the_parameters_given():
    with_cbam, without = (
        costs.describe_costs("resu_cbnet", 7, attention=attention) for attention in (True, False)
    )
    assert all(with_cbam[key] > without[key] for key in ("trainable", "multiply_adds_per_megapixel"))


def test_seconds_per_megapixel_count_all_pixels_of_a_batch_and_change_nothing(monkeypatch):
    class Measured:
        median = 0.5

    monkeypatch.setattr(
        "torch.utils.benchmark.Timer.blocked_autorange", lambda _timer, min_run_time: Measured()
    )
    model = networks.build("resu_cbnet", 3, width=0.125)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    assert costs.seconds_per_megapixel(model, 3, window=50, batch=4) == pytest.approx(
        0.5 * 1e6 / (4 * 50 * 50)
    )
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_time_is_measured_on_windows_of_the_asked_shape_without_gradients():
    class Probe(nn.Module):
        def __init__(self):
            super().__init__()
            self.gain, self.seen = nn.Parameter(torch.ones(1)), set()

        def forward(self, windows):
            self.seen.add(
                (tuple(windows.shape), self.training, torch.is_grad_enabled(), torch.get_num_threads())
            )
            return self.gain * windows

    probe, threads = Probe(), torch.get_num_threads()
    assert costs.seconds_per_megapixel(probe, 3, window=32, batch=2, least_seconds=0.01) > 0
    assert probe.seen == {((2, 3, 32, 32), False, False, threads)}
