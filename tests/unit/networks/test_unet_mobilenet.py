"""U-Net with MobileNetV3: published counts, layout, squeeze-and-excitation, learning. What all networks share
is in test_networks.py."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from headscarp import networks
from headscarp.networks import costs, unet_mobilenet
from headscarp.networks.unet_mobilenet import InvertedResidual, SqueezeExcitation, mobilenet_v3_large


def classifier() -> nn.Module:
    with torch.device("meta"):
        pooled = (
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(960, 1280),
            nn.Hardswish(),
            nn.Linear(1280, 1000),
        )
        return nn.Sequential(*mobilenet_v3_large(3, 1.0), *pooled)


def test_mobilenet_v3_large_with_its_classifier_has_the_published_count():
    assert networks.count_trainable(classifier()) == 5_483_032


def test_mobilenet_v3_large_with_its_classifier_has_the_published_multiply_adds():
    # torchvision: 0.22 GFLOP (its "GFLOPS" are multiply-adds) at 224 x 224; the paper, whose count is not
    # described, 219 million
    counted = costs.multiply_adds(classifier(), (1, 3, 224, 224)) / 1e6
    assert round(counted, -1) == 220
    assert counted == pytest.approx(219, rel=0.02)


def test_hard_swish_begins_and_squeeze_and_excitation_sits_where_table_1_says():
    levels = mobilenet_v3_large(3, 0.125)
    bottlenecks = [module for level in levels for module in level if isinstance(module, InvertedResidual)]
    squeezed = [
        any(isinstance(module, SqueezeExcitation) for module in bottleneck.modules())
        for bottleneck in bottlenecks
    ]
    swish = [
        any(isinstance(module, nn.Hardswish) for module in bottleneck.modules()) for bottleneck in bottlenecks
    ]
    strides = [
        max(layer.stride[0] for layer in bottleneck.modules() if isinstance(layer, nn.Conv2d))
        for bottleneck in bottlenecks
    ]
    kernels = [
        max(layer.kernel_size[0] for layer in bottleneck.modules() if isinstance(layer, nn.Conv2d))
        for bottleneck in bottlenecks
    ]
    assert [index + 1 for index, there in enumerate(squeezed) if there] == [4, 5, 6, 11, 12, 13, 14, 15]
    assert [index + 1 for index, there in enumerate(swish) if there] == list(range(7, 16))
    assert [index + 1 for index, stride in enumerate(strides) if stride == 2] == [2, 4, 7, 13]
    assert [index + 1 for index, kernel in enumerate(kernels) if kernel == 5] == [4, 5, 6, 13, 14, 15]
    # added to the input wherever size and width stay
    assert [index + 1 for index, bottleneck in enumerate(bottlenecks) if bottleneck.adds] == [
        1,
        3,
        5,
        6,
        8,
        9,
        10,
        12,
        14,
        15,
    ]


def test_levels_lie_at_half_to_a_thirty_second():
    with torch.device("meta"):
        maps, shapes = torch.empty(1, 7, 96, 64), []
        for level in mobilenet_v3_large(7, 1.0):
            maps = level(maps)
            shapes.append(tuple(maps.shape[1:]))
    assert shapes == [(16, 48, 32), (24, 24, 16), (40, 12, 8), (112, 6, 4), (960, 3, 2)]


def test_squeeze_and_excitation_equals_its_formula():
    torch.manual_seed(0)
    module = SqueezeExcitation(8, 4).double()
    maps = torch.randn(2, 8, 5, 6).double() + 1
    weight = {name: value.detach().numpy() for name, value in module.named_parameters()}
    units = np.maximum(
        maps.numpy().mean((2, 3)) @ weight["weigh.1.weight"][:, :, 0, 0].T + weight["weigh.1.bias"], 0
    )
    excited = units @ weight["weigh.3.weight"][:, :, 0, 0].T + weight["weigh.3.bias"]
    gains = np.clip(excited + 3, 0, 6) / 6
    with torch.no_grad():
        np.testing.assert_allclose(module(maps).numpy(), maps.numpy() * gains[:, :, None, None], rtol=1e-10)


def test_bottleneck_equals_its_steps():
    torch.manual_seed(0)
    bottleneck = InvertedResidual(40, unet_mobilenet.LEVELS[2][1], 1.0, stride=1).eval()
    maps = torch.randn(1, 40, 9, 7)
    parts = dict(bottleneck.named_parameters())
    weights = [value for name, value in parts.items() if value.ndim == 4 and "weigh." not in name]
    gate = next(module for module in bottleneck.modules() if isinstance(module, SqueezeExcitation))
    flat = (1 + 1e-5) ** -0.5  # an untrained batch norm
    with torch.no_grad():
        expanded = functional.relu(functional.conv2d(maps, weights[0]) * flat)
        filtered = functional.relu(functional.conv2d(expanded, weights[1], padding=2, groups=120) * flat)
        # linear: no activation after the last
        by_hand = maps + functional.conv2d(gate(filtered), weights[2]) * flat
        torch.testing.assert_close(bottleneck(maps), by_hand)


def test_parameters_of_the_decoder_by_hand():
    bands, classes = 7, 2
    encoder = 5_483_032 - (960 * 1280 + 1280) - (1280 * 1000 + 1000) + (bands - 3) * 16 * 9

    def step(inputs, outputs):
        return 9 * (inputs * outputs + outputs * outputs) + 4 * outputs

    decoder = (
        step(960 + 112, 256) + step(256 + 40, 128) + step(128 + 24, 64) + step(64 + 16, 32) + step(32, 16)
    )
    assert (
        networks.describe("unet_mobilenet_v3", bands, classes)["trainable"]
        == encoder + decoder + 9 * 16 * classes + classes
    )


def test_skips_come_from_strides_2_to_16():
    torch.manual_seed(0)
    model, seen = networks.build("unet_mobilenet_v3", 7, width=0.25).eval(), {}
    for number, step in enumerate(model.decoder):
        step.register_forward_hook(
            lambda _step, inputs, _maps, number=number: seen.update({2 ** (number + 1): inputs[0]})
        )
    made = {}
    for number, level in enumerate(model.encoder):
        level.register_forward_hook(
            lambda _level, _inputs, maps, number=number: made.update({2 ** (number + 1): maps})
        )
    with torch.no_grad():
        model(torch.randn(1, 7, 64, 96))
    assert {stride: maps.shape[-2:] for stride, maps in seen.items()} == {
        stride: (64 // stride, 96 // stride) for stride in (2, 4, 8, 16)
    }
    for stride, maps in seen.items():
        assert torch.equal(maps[:, -made[stride].shape[1] :], made[stride])


def test_one_batch_is_learnt_by_heart():
    generator = torch.Generator().manual_seed(0)
    windows = torch.randn(2, 7, 64, 64, generator=generator)
    smooth = functional.avg_pool2d(windows[:, :1], 9, stride=1, padding=4)
    truth = (smooth > smooth.mean()).float()
    torch.manual_seed(0)
    model = networks.build("unet_mobilenet_v3", 7, width=0.125).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(80):
        loss = functional.binary_cross_entropy_with_logits(model(windows), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.4
