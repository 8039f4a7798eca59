"""Attention U-Net: layout, gates, learning. What all segmentation networks share is in test_networks.py."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional

from headscarp import networks
from headscarp.networks.attention_unet import AttentionGate


def test_parameters_by_hand():
    def normalised(inputs, outputs):  # 3x3 weights, bias, and four numbers per map of the batch norm
        return inputs * outputs * 9 + outputs + 4 * outputs

    bands, classes, widths = 4, 1, [64, 128, 256, 512, 1024]
    total = widths[0] * classes + classes
    for inputs, outputs in zip([bands, *widths[:-1]], widths, strict=True):
        total += normalised(inputs, outputs) + normalised(outputs, outputs)
    for shallow, deep in pairwise(widths):
        total += deep * shallow * 4 + shallow  # transposed convolution
        total += normalised(2 * shallow, shallow) + normalised(shallow, shallow)
        # gate: of the skip, of the level below, psi
        total += shallow * shallow * 4 + (deep * shallow + shallow) + (shallow + 1)
    assert networks.describe("attention_unet", bands, classes)["parameters"] == total


def enlarge(values: np.ndarray, axis: int) -> np.ndarray:
    """Twice as long, linear between cell centres, flat beyond the first and the last."""
    length = values.shape[axis]
    at = (np.arange(2 * length) + 0.5) / 2 - 0.5
    return np.apply_along_axis(lambda line: np.interp(at, np.arange(length), line), axis, values)


def test_gate_equals_its_formula():
    torch.manual_seed(0)
    gate = AttentionGate(skip=4, gating=8).double()
    skip, gating = torch.randn(2, 4, 6, 10).double(), torch.randn(2, 8, 3, 5).double()
    weight = {name: value.detach().numpy() for name, value in gate.named_parameters()}
    blocks = skip.numpy().reshape(2, 4, 3, 2, 5, 2)  # sample, map, row, row in 2x2, column, column in 2x2
    joint = np.einsum("ncraqb,kcab->nkrq", blocks, weight["of_skip.weight"])
    joint += np.einsum("ncrq,kc->nkrq", gating.numpy(), weight["of_gating.weight"][:, :, 0, 0])
    joint += weight["of_gating.bias"][:, None, None]
    question = (
        np.einsum("nkrq,k->nrq", np.maximum(joint, 0), weight["psi.weight"][0, :, 0, 0]) + weight["psi.bias"]
    )
    coefficients = enlarge(enlarge(1 / (1 + np.exp(-question)), 1), 2)[:, None]
    with torch.no_grad():
        np.testing.assert_allclose(gate.coefficients(skip, gating).numpy(), coefficients, rtol=1e-10)
        np.testing.assert_allclose(gate(skip, gating).numpy(), skip.numpy() * coefficients, rtol=1e-10)


def test_coefficients_are_one_per_pixel_in_0_to_1_and_open_at_the_start():
    torch.manual_seed(0)
    gate = AttentionGate(skip=64, gating=128)
    with torch.no_grad():
        coefficients = gate.coefficients(torch.randn(2, 64, 16, 24), torch.randn(2, 128, 8, 12))
    assert coefficients.shape == (2, 1, 16, 24)
    assert coefficients.min() >= 0 and coefficients.max() <= 1
    assert coefficients.mean() > 0.6
    assert coefficients.std() > 0.01


def test_gates_lie_on_all_skips_and_see_the_coarser_decoder_level():
    model = networks.build("attention_unet", 4, width=0.125).eval()
    seen, made = {}, {}
    for level, gate in enumerate(model.gate):
        gate.register_forward_hook(lambda _gate, inputs, _output, level=level: seen.update({level: inputs}))
    for level, module in enumerate([*model.up, model.down[-1]]):
        module.register_forward_hook(lambda _module, _inputs, maps, level=level: made.update({level: maps}))
    with torch.no_grad():
        model(torch.randn(1, 4, 64, 32))
    assert [tuple(skip.shape[1:]) for _, (skip, _) in sorted(seen.items())] == [
        (8, 64, 32),
        (16, 32, 16),
        (32, 16, 8),
        (64, 8, 4),
    ]
    assert all(seen[level][1] is made[level + 1] for level in range(4))


def test_a_closed_gate_shuts_its_skip_off():
    torch.manual_seed(0)
    model = networks.build("attention_unet", 4, width=0.125).eval()
    lost = torch.randn(1, 8, 32, 32)
    with torch.no_grad():
        torch.nn.init.constant_(model.gate[0].psi.bias, -1e4)
        torch.testing.assert_close(model.gate[0](lost, torch.randn(1, 16, 16, 16)), torch.zeros_like(lost))


@pytest.mark.parametrize("classes", [1, 3])
def test_one_batch_is_learnt_by_heart(classes):
    generator = torch.Generator().manual_seed(0)
    windows = torch.randn(2, 4, 32, 32, generator=generator)
    smooth = functional.avg_pool2d(windows[:, :classes], 5, stride=1, padding=2)
    truth = (smooth > smooth.mean()).float()
    torch.manual_seed(0)
    model = networks.build("attention_unet", 4, classes, width=0.125).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        loss = functional.binary_cross_entropy_with_logits(model(windows), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.1
