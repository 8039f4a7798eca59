"""ResU-CBNet and CBAM: formulas, layout, the two components, learning. What all segmentation networks share
is in test_networks.py."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional

from headscarp import networks
from headscarp.networks.cbam import CBAM
from headscarp.networks.resnet import BOTTLENECKS, EXPANSION, WIDTHS
from headscarp.networks.resunet import ResidualUnit

pytestmark = pytest.mark.slow

VARIANTS = [(residual, attention) for residual in (False, True) for attention in (False, True)]
BANDS = 7


def small(**params) -> torch.nn.Module:
    torch.manual_seed(0)
    return networks.build("resu_cbnet", BANDS, width=0.125, **params)


# --- CBAM
# ------------------------------------------------------------------------------------------


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def test_cbam_equals_its_formulas():
    torch.manual_seed(0)
    module = CBAM(8).double()
    maps = torch.randn(2, 8, 9, 12).double()
    weight = {name: value.detach().numpy() for name, value in module.named_parameters()}
    image = maps.numpy()

    def mlp(pooled):
        units = np.maximum(
            pooled @ weight["channel.mlp.0.weight"][:, :, 0, 0].T + weight["channel.mlp.0.bias"], 0
        )
        return units @ weight["channel.mlp.2.weight"][:, :, 0, 0].T + weight["channel.mlp.2.bias"]

    image = image * sigmoid(mlp(image.mean((2, 3))) + mlp(image.max((2, 3))))[:, :, None, None]
    pooled = np.pad(np.stack([image.mean(1), image.max(1)], 1), ((0, 0), (0, 0), (3, 3), (3, 3)))
    windows = np.lib.stride_tricks.sliding_window_view(pooled, (7, 7), axis=(2, 3))
    spatial = (
        np.einsum("nprcij,pij->nrc", windows, weight["spatial.convolve.weight"][0])
        + weight["spatial.convolve.bias"]
    )
    with torch.no_grad():
        np.testing.assert_allclose(module(maps).numpy(), image * sigmoid(spatial)[:, None], rtol=1e-10)


def test_cbam_adds_to_resnet50_what_table_4_of_its_paper_prints():
    outputs = [
        EXPANSION * width for width, count in zip(WIDTHS, BOTTLENECKS, strict=True) for _ in range(count)
    ]
    resnet50, added = 25_557_032, sum(networks.count_trainable(CBAM(channels)) for channels in outputs)
    assert round((resnet50 + added) / 1e6, 2) == 28.09  # 28.07 without the biases of the MLP


@pytest.mark.parametrize(("channels", "units"), [(4, 4), (32, 4), (64, 4), (128, 8), (256, 16)])
def test_the_mlp_keeps_a_few_units(channels, units):
    assert CBAM(channels).channel.mlp[0].out_channels == units


def test_attention_is_not_saturated_at_the_start():
    torch.manual_seed(0)
    for channels in (16, 256):
        module, maps = CBAM(channels), torch.randn(4, channels, 64, 64)  # as a batch norm leaves them
        with torch.no_grad():
            for weights in (module.channel(maps), module.spatial(maps)):
                assert weights.min() > 0.03
                assert weights.max() < 0.97
                assert weights.std() > 0.001


def test_an_answer_depends_on_all_of_its_window():
    for attention in (True, False):
        windows = torch.randn(1, BANDS, 160, 160, requires_grad=True)
        small(attention=attention).eval()(windows)[0, 0, 2, 2].backward()
        farthest = windows.grad[..., -8:, -8:].abs().max()
        assert (farthest > 0) == attention  # convolutions alone do not see that far


# --- layout
# ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("residual", "attention"), VARIANTS)
def test_parameters_by_hand(residual, attention):
    widths, classes = [16, 32, 64, 128, 256], 3

    def normalised(inputs, outputs, kernel):  # weights, bias, scale and shift
        return inputs * outputs * kernel**2 + 3 * outputs

    def cbam(channels):
        units = max(4, channels // 16)
        return 2 * channels * units + units + channels + 2 * 49 + 1

    total = widths[0] * classes + classes
    steps = [*pairwise([BANDS, *widths]), *((shallow + deep, shallow) for shallow, deep in pairwise(widths))]
    for inputs, outputs in steps:
        total += normalised(inputs, outputs, 3) + normalised(outputs, outputs, 3)
        total += residual * normalised(inputs, outputs, 1) + attention * cbam(outputs)
    described = networks.describe("resu_cbnet", BANDS, classes, residual=residual, attention=attention)
    assert described["trainable"] == total
    assert 0.2e6 < total < 2.2e6


def test_a_component_that_is_off_is_nowhere():
    for residual, attention in VARIANTS:
        kinds = [type(module) for module in small(residual=residual, attention=attention).modules()]
        assert (kinds.count(ResidualUnit), kinds.count(CBAM)) == (9 * residual, 9 * attention)


def test_attention_comes_before_the_addition():
    model = small().eval()
    unit = model.decoder[0]
    maps = torch.randn(1, unit.shortcut[0].in_channels, 16, 16)
    with torch.no_grad():
        by_hand = torch.relu(unit.residual[-1](unit.residual[:-1](maps)) + unit.shortcut(maps))
        torch.testing.assert_close(unit(maps), by_hand)
        # Closed attention leaves the shortcut, not nothing.
        torch.nn.init.constant_(unit.residual[-1].spatial.convolve.bias, -1e4)
        torch.testing.assert_close(unit(maps), torch.relu(unit.shortcut(maps)))


@pytest.mark.parametrize(("residual", "attention"), VARIANTS)
def test_one_batch_is_learnt_by_heart(residual, attention):
    generator = torch.Generator().manual_seed(0)
    windows = torch.randn(2, BANDS, 32, 32, generator=generator)
    smooth = functional.avg_pool2d(windows[:, :1], 5, stride=1, padding=2)
    truth = (smooth > smooth.mean()).float()
    model = small(residual=residual, attention=attention).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(80):
        loss = functional.binary_cross_entropy_with_logits(model(windows), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.2


@pytest.mark.parametrize("seed", range(6))
def test_a_narrow_head_can_call_a_landslide_whatever_the_seed(seed):
    """Four maps after a ReLU: with negative weights alone (seed 1) no pixel came above 0.2."""
    torch.manual_seed(seed)
    model = networks.build("resu_cbnet", 3, width=0.125)
    weights = model.head.weight.flatten()
    assert (weights > 0).any() and (weights < 0).any()
    label = torch.zeros(4, 1, 32, 32)
    label[:, :, 8:20, 10:24] = 1
    windows = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) + 2 * label
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(60):
        loss = functional.binary_cross_entropy_with_logits(model(windows), label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    probability = model(windows).sigmoid()
    assert probability[label > 0].median() > 0.7 and probability[label == 0].median() < 0.2
