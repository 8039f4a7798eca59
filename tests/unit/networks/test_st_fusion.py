"""Networks of series: 3-D convolution, LSTM and its equations, unobserved dates, CNN-LSTM with DCNN and
DBN."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from headscarp import networks
from headscarp.errors import HeadscarpError
from headscarp.networks.cnn_lstm import LSTM, SeriesConvolution

DATES, CHANNELS = 5, 3
FORMS = {
    "cnn_lstm": ("cnn_lstm", {}),
    "whole": ("st_fusion", {}),
    "no temporal module": ("st_fusion", {"temporal": False}),
    "no DBN": ("st_fusion", {"dbn": False}),
    "DCNN only": ("st_fusion", {"temporal": False, "dbn": False}),
}
every_form = pytest.mark.parametrize("form", FORMS)


def small(
    form: str = "whole",
    classes: int = 1,
    dates: int = DATES,
    width: float = 0.125,
    planes: int = CHANNELS + 1,
) -> nn.Module:
    name, params = FORMS[form]
    torch.manual_seed(0)
    return networks.build(name, dates * planes, classes, width, dates=dates, **params)


def series(batch: int, height: int, width: int, dates: int = DATES, unobserved: float = 0.2) -> torch.Tensor:
    """Planes (batch, dates x (channels + 1), height, width): noise, 0 where the last plane of its date is
    0."""
    observed = (torch.rand(batch, dates, 1, height, width) >= unobserved).float()
    return torch.cat(
        [torch.randn(batch, dates, CHANNELS, height, width) * observed, observed], dim=2
    ).flatten(1, 2)


# --- 3-D convolution
# ------------------------------------------------------------------------------------------


def test_series_convolution_is_torchs_3d_convolution():
    torch.manual_seed(0)
    ours, theirs = SeriesConvolution(3, 6), nn.Conv3d(3, 6, 3, padding=1)
    nn.init.normal_(ours.convolve.bias)
    with torch.no_grad():
        theirs.weight.copy_(ours.convolve.weight.unflatten(1, (3, 3)).transpose(1, 2))
        theirs.bias.copy_(ours.convolve.bias)
    maps = torch.randn(2, 5, 3, 9, 11)
    torch.testing.assert_close(ours(maps), theirs(maps.transpose(1, 2)).transpose(1, 2), atol=1e-5, rtol=1e-5)


def test_series_convolution_starts_with_he_weights():
    torch.manual_seed(0)
    maps = torch.relu(torch.randn(2, 6, 16, 12, 12))
    assert SeriesConvolution(16, 32)(maps)[:, 1:-1, :, 1:-1, 1:-1].square().mean().item() == pytest.approx(
        1, rel=0.2
    )


# --- LSTM
# ------------------------------------------------------------------------------------------


def random_lstm(inputs: int = 5, hidden: int = 4) -> LSTM:
    torch.manual_seed(1)
    lstm = LSTM(inputs, hidden)
    nn.init.normal_(lstm.gates.weight, std=0.5)
    nn.init.normal_(lstm.gates.bias)
    return lstm


def all_observed(maps: torch.Tensor) -> torch.Tensor:
    return torch.ones(len(maps), maps.shape[1], *maps.shape[-2:], dtype=torch.bool)


def test_lstm_equals_torchs_cell():
    lstm, cell = random_lstm(), nn.LSTMCell(5, 4)
    forget, let_in, candidate, let_out = lstm.gates.weight.flatten(1).split(4)
    weights = torch.cat([let_in, forget, candidate, let_out])  # torch's order: i, f, g, o
    bias = torch.cat([lstm.gates.bias[4:8], lstm.gates.bias[:4], lstm.gates.bias[8:]])
    with torch.no_grad():
        cell.weight_hh.copy_(weights[:, :4])
        cell.weight_ih.copy_(weights[:, 4:])
        cell.bias_ih.copy_(bias)
        cell.bias_hh.zero_()
    maps = torch.randn(2, 6, 5, 3, 2)
    states = None
    for step in maps.unbind(1):
        states = cell(step.permute(0, 2, 3, 1).flatten(0, 2), states)
    expected = states[0].unflatten(0, (2, 3, 2)).permute(0, 3, 1, 2)
    torch.testing.assert_close(lstm(maps, all_observed(maps)), expected, atol=1e-6, rtol=0)


def test_lstm_follows_the_papers_equations():
    lstm, maps = random_lstm(), torch.randn(1, 4, 5, 1, 1)
    weight, bias = (
        lstm.gates.weight.detach().numpy()[..., 0, 0].astype(float),
        lstm.gates.bias.detach().numpy().astype(float),
    )
    (w_f, w_i, w, w_o), (b_f, b_i, b, b_o) = np.split(weight, 4), np.split(bias, 4)

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    h = c = np.zeros(4)
    for x in maps[0, :, :, 0, 0].numpy().astype(float):
        joined = np.concatenate([h, x])
        z_f = sigmoid(w_f @ joined + b_f)  # eq. 2
        z_i = sigmoid(w_i @ joined + b_i)  # eq. 3
        z = np.tanh(w @ joined + b)  # eq. 4
        c = z_f * c + z_i * z  # eq. 5
        z_o = sigmoid(w_o @ joined + b_o)  # eq. 6
        h = z_o * np.tanh(c)  # eq. 7
    np.testing.assert_allclose(lstm(maps, all_observed(maps)).detach().numpy()[0, :, 0, 0], h, atol=1e-6)


def test_a_date_that_was_not_observed_is_as_if_it_were_not_there():
    lstm, maps = random_lstm(), torch.randn(2, 5, 5, 3, 3)
    observed = all_observed(maps)
    observed[:, 2] = False
    expected = lstm(maps[:, [0, 1, 3, 4]], observed[:, [0, 1, 3, 4]])
    torch.testing.assert_close(lstm(maps, observed), expected)
    assert not torch.allclose(lstm(maps, all_observed(maps)), expected)


def test_each_location_has_its_own_observed_dates():
    lstm, maps = random_lstm(), torch.randn(1, 4, 5, 2, 2)
    observed = all_observed(maps)
    observed[0, 3, 0, 1] = False
    answer = lstm(maps, observed)
    torch.testing.assert_close(answer[..., 0, 1], lstm(maps[:, :3], observed[:, :3])[..., 0, 1])
    torch.testing.assert_close(answer[..., 1, 0], lstm(maps, all_observed(maps))[..., 1, 0])


def test_forget_gate_starts_open():
    bias = LSTM(5, 4).gates.bias.detach()
    assert torch.equal(bias, torch.cat([torch.ones(4), torch.zeros(12)]))


def test_one_observed_pixel_makes_a_cell_of_4_by_4_observed():
    fusion, seen = small("cnn_lstm").fusion, []
    fusion.lstm.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[1]))
    planes = series(1, 8, 8, unobserved=1.0)
    planes.unflatten(1, (DATES, CHANNELS + 1))[0, 3, -1, 5, 2] = 1
    fusion(planes)
    expected = torch.zeros(1, DATES, 2, 2, dtype=torch.bool)
    expected[0, 3, 1, 0] = True
    assert torch.equal(seen[0], expected)


def test_a_series_that_was_never_observed_leaves_the_fused_maps_empty():
    fusion = small("cnn_lstm").fusion
    assert fusion(torch.randn(1, DATES * 4, 8, 8) - 9).abs().max() == 0
    assert fusion(series(1, 8, 8)).abs().max() > 0


def test_state_stays_float32_under_autocast():
    lstm, maps = random_lstm(), torch.randn(1, 4, 5, 2, 2)
    exact = lstm(maps, all_observed(maps))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = lstm(maps.bfloat16(), all_observed(maps))
    assert rough.dtype == torch.float32
    assert not torch.equal(rough, rough.bfloat16().float())
    torch.testing.assert_close(rough, exact, atol=0.02, rtol=0)


# --- whole networks
# ------------------------------------------------------------------------------------------


@every_form
def test_any_size_any_dates_any_classes(form):
    for dates, classes, batch, size in ((5, 1, 1, (1, 1)), (1, 3, 2, (45, 30)), (3, 2, 1, (16, 24))):
        model = small(form, classes, dates)
        for mode in (True, False):
            logits = model.train(mode)(series(batch, *size, dates))
            assert logits.shape == (batch, classes, *size)
            assert logits.isfinite().all()


@every_form
def test_odd_sizes_are_edge_padded_below_and_right(form):
    model, windows = small(form).eval(), series(1, 21, 26)
    below, right = (-side % model.size_multiple for side in (21, 26))
    padded = torch.from_numpy(np.pad(windows.numpy(), ((0, 0), (0, 0), (0, below), (0, right)), mode="edge"))
    with torch.no_grad():
        torch.testing.assert_close(model(windows), model(padded)[..., :21, :26])


@every_form
def test_gradients_reach_every_parameter(form):
    model = small(form, classes=2)
    functional.cross_entropy(model(series(2, 32, 32)), torch.randint(0, 2, (2, 32, 32))).backward()
    for label, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), label
        assert parameter.grad.abs().max() > 0, label


@pytest.mark.parametrize("part", ["dcnn", "dbn"])
def test_both_parts_teach_the_temporal_module(part):
    model, features = small(), []
    getattr(model, part).register_forward_hook(lambda _module, _inputs, maps: features.append(maps))
    model(series(1, 16, 16))
    features[0].square().sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in model.fusion.parameters())


@every_form
def test_mixed_precision_with_channels_last_agrees_with_float32(form):
    model, windows = small(form).eval(), series(2, 24, 16)
    with torch.no_grad():
        exact = model(windows)
        model = model.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = model(windows.contiguous(memory_format=torch.channels_last)).float()
    assert (rough - exact).abs().mean() < 0.1 * exact.abs().mean()


def test_parts_of_a_batch_add_up_to_the_whole():
    model, windows = small("cnn_lstm"), series(4, 16, 16)  # the form without batch norm
    model(windows).square().sum().backward()
    whole = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    for part in windows.split(1):
        model(part).square().sum().backward()
    for parameter, expected in zip(model.parameters(), whole, strict=True):
        torch.testing.assert_close(
            parameter.grad, expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item()
        )


def toy(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Patches of 8 x 8 pixels, three kinds alike at the last date: a slide (a step that later decays), always
    bright, slowly brighter."""
    random = np.random.default_rng(seed)
    kind = random.integers(3, size=(4, 4, 4)).repeat(8, 1).repeat(8, 2)
    event = random.integers(1, 4, size=(4, 4, 4)).repeat(8, 1).repeat(8, 2)
    date = np.arange(DATES)[:, None, None, None]
    last = 2 * 0.7 ** (DATES - 1 - event)
    slide = np.where(date >= event, 2 * 0.7 ** np.clip(date - event, 0, None), 0)
    values = np.where(kind == 0, slide, np.where(kind == 1, last, last * date / (DATES - 1)))
    np.testing.assert_allclose(values[-1], last)
    values = values[:, :, None] + random.normal(0, 0.1, (DATES, 4, 2, 32, 32))
    planes = (
        np.concatenate([values, np.ones((DATES, 4, 1, 32, 32))], axis=2)
        .transpose(1, 0, 2, 3, 4)
        .reshape(4, -1, 32, 32)
    )
    return torch.from_numpy(planes.astype(np.float32)), torch.from_numpy((kind == 0).astype(np.float32))[
        :, None
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "width", "steps"), [("whole", 0.25, 80), ("whole", 0.125, 80), ("cnn_lstm", 0.25, 80)]
)
def test_network_learns_a_step_that_decays(form, width, steps):
    windows, target = toy()
    model = small(form, width=width, planes=3)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(steps):
        logits = model(windows)
        optimiser.zero_grad()
        functional.binary_cross_entropy_with_logits(logits, target).backward()
        optimiser.step()
    assert ((logits > 0) == (target > 0)).float().mean() > 0.95


# --- counts
# ------------------------------------------------------------------------------------------


def test_parameters_by_hand():
    planes, classes = 7, 2
    raw = DATES * planes

    def kernel(inputs, outputs, size):
        return inputs * outputs * size + outputs

    def norms(maps):
        return 2 * 2 * maps  # two batch norms: scale and shift

    lstm = 4 * (64 + 64 + 1) * 64
    fusion = kernel(planes, 32, 27) + kernel(32, 64, 27) + lstm + kernel(64, 32, 9) + kernel(32, 32, 9)
    levels = [32, 64, 128, 256]

    def dcnn(inputs):
        down = sum(kernel(a, b, 9) + kernel(b, b, 9) + norms(b) for a, b in pairwise([inputs, *levels]))
        return down + sum(
            kernel(b, a, 4) + kernel(2 * a, a, 9) + kernel(a, a, 9) + norms(a) for a, b in pairwise(levels)
        )

    def dbn(inputs):
        return kernel(inputs, 128, 1) + kernel(128, 64, 1)

    by_hand = {
        "cnn_lstm": fusion + kernel(32, classes, 1),
        "whole": fusion + dcnn(raw + 32) + dbn(raw + 32) + kernel(32 + 64, classes, 1),
        "no temporal module": dcnn(raw) + dbn(raw) + kernel(32 + 64, classes, 1),
        "no DBN": fusion + dcnn(raw + 32) + kernel(32, classes, 1),
        "DCNN only": dcnn(raw) + kernel(32, classes, 1),
    }
    for form, (name, params) in FORMS.items():
        assert networks.describe(name, raw, classes, dates=DATES, **params)["trainable"] == by_hand[form], (
            form
        )
    described = networks.describe("st_fusion", raw, classes, dates=DATES)
    running = sum(map(norms, levels)) + sum(map(norms, levels[:-1]))  # means and variances of the batch norms
    buffers = 2 * (raw + 32) + (raw + 32) + 128 + running  # mean and sd of the vectors; visible biases
    assert described["parameters"] == by_hand["whole"] + buffers


# --- registry
# ------------------------------------------------------------------------------------------


def test_networks_of_series_are_known_as_such():
    assert {name for name in networks.names() if networks.takes_dates(name)} == {"cnn_lstm", "st_fusion"}
    with pytest.raises(HeadscarpError, match=r'no network "st_fusoin".*st_fusion'):
        networks.takes_dates("st_fusoin")


@pytest.mark.parametrize("name", ["cnn_lstm", "st_fusion"])
def test_a_network_of_series_needs_the_dates(name):
    with pytest.raises(HeadscarpError, match=rf'"{name}" reads series.*`dates: all`'):
        networks.build(name, 20)
    for planes, dates in ((21, 5), (5, 5), (20, 0)):
        with pytest.raises(HeadscarpError, match=f"{planes} planes.*no such series of {dates} dates"):
            networks.build(name, planes, dates=dates)
