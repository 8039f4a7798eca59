"""Susceptibility of a whole map: equal to the model's answer for each cell's own windows, with bounded
memory."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headscarp.errors import HeadscarpError
from headscarp.mapping.dense import susceptibility_map
from headscarp.networks.neighbourhoods import neighbourhoods
from tests.unit.networks.test_cnn3d import small

CPU = torch.device("cpu")
MULTI = [12, 17, 22]


def spread_out(model: torch.nn.Module, factors: np.ndarray) -> torch.nn.Module:
    """The model with logits moved and stretched so that probabilities lie all over 0..1 and would show a
    wrong tap."""
    side = min(model.windows)
    with torch.no_grad():
        logits = model(
            torch.from_numpy(np.nan_to_num(factors[:, :side, :side])).expand(
                1, len(model.windows), -1, -1, -1
            )
        )
        model.head[3].weight.mul_(10)
        model.head[3].bias.sub_(10 * logits[0])
    return model


def cell_by_cell(
    model: torch.nn.Module, factors: np.ndarray, without_mean: list[bool] | None = None
) -> np.ndarray:
    """The map from windows cut one at a time."""
    height, width = factors.shape[1:]
    largest = max(model.windows)
    values = torch.from_numpy(factors)
    probability = np.full((height, width), np.nan, np.float32)
    for row in range(largest // 2, height - largest + largest // 2 + 1):
        around = factors[:, row - largest // 2 :][:, :largest]
        cols = [
            col
            for col in range(largest // 2, width - largest + largest // 2 + 1)
            if not np.isnan(around[:, :, col - largest // 2 :][:, :, :largest]).any()
        ]
        if cols:
            at = torch.full((len(cols),), row), torch.tensor(cols)
            with torch.no_grad():
                logits = model(neighbourhoods(values, *at, model.windows, without_mean))
            probability[row, cols] = logits.softmax(1)[:, 1].numpy()
    return probability


@pytest.mark.parametrize("pooling", ["none", "spatial", "volumetric"])
@pytest.mark.parametrize("factors", [5, 14])
@pytest.mark.parametrize("windows", [[12], [17], [22], MULTI], ids=str)
def test_every_cell_has_the_answer_of_its_own_window(windows, factors, pooling):
    values = np.random.default_rng(0).normal(size=(factors, 37, 46)).astype(np.float32)
    model = spread_out(small(factors, windows, pooling=pooling), values)
    values[factors - 1, 3, 40] = np.nan
    values[:, 30:, :4] = np.nan
    without_mean = [factor % 2 == 0 for factor in range(factors)]
    expected = cell_by_cell(model, values, without_mean)
    found = susceptibility_map(model, values, CPU, strip_rows=7, without_mean=without_mean)
    assert found.dtype == np.float32 and found.shape == (37, 46)
    np.testing.assert_allclose(found, expected, atol=5e-5)  # NaN where expected is NaN and nowhere else
    assert np.nanstd(found) > 0.05


@settings(deadline=None, max_examples=30)
@given(
    window=st.integers(4, 25),
    spare=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    factors=st.integers(1, 4),
    strip_rows=st.integers(1, 12),
    holes=st.integers(0, 2),
    seed=st.integers(0, 99),
)
def test_any_window_map_and_strip(window, spare, factors, strip_rows, holes, seed):
    random = np.random.default_rng(seed)
    values = random.normal(size=(factors, window + spare[0], window + spare[1])).astype(np.float32)
    pooling = ("none", "spatial")[seed % 2]
    model = spread_out(small(factors, [window], seed, pooling), values)
    values.reshape(-1)[random.integers(0, values.size, holes)] = np.nan
    np.testing.assert_allclose(
        susceptibility_map(model, torch.from_numpy(values), CPU, strip_rows),
        cell_by_cell(model, values),
        atol=5e-5,  # float32 sums in another order, under logits that were spread out
    )


def test_the_edge_and_the_reach_of_holes():
    values = np.random.default_rng(0).random((3, 40, 40), np.float32)
    values[1, 20, 20] = np.nan
    mapped = ~np.isnan(susceptibility_map(small(3, [12]), values, CPU))
    expected = np.zeros((40, 40), bool)
    expected[6:35, 6:35] = True  # a window of 12 reaches from r - 6 to r + 5
    expected[15:27, 15:27] = False
    assert (mapped == expected).all()


def test_training_mode_does_not_leak_into_a_map():
    model, values = small(3, [12]), np.random.default_rng(0).random((3, 20, 20), np.float32)
    before = susceptibility_map(model, values, CPU)
    statistics = model.first[1].running_mean.clone()
    np.testing.assert_array_equal(susceptibility_map(model.train(), values, CPU), before)
    assert torch.equal(model.first[1].running_mean, statistics)


def test_strips_go_through_the_network_once_and_bound_the_memory():
    model, inputs = small(3, [22]), []
    model.first.register_forward_hook(lambda _layer, given, _maps: inputs.append(given[0].shape))
    susceptibility_map(model, np.zeros((3, 100, 90), np.float32), CPU, strip_rows=16)
    assert len(inputs) == 5  # 79 rows in strips of 16
    assert max(shape[-2] for shape in inputs) == 16 + 21
    assert sum(shape[0] * shape[-1] for shape in inputs) < 5 * (90 + 2 * 21 + 8)


@pytest.mark.parametrize("shape", [(21, 60), (60, 21)])
def test_a_window_larger_than_the_map_is_refused(shape):
    with pytest.raises(
        HeadscarpError, match=rf"window of 22 x 22 cells does not fit into the map of {shape[0]} x {shape[1]}"
    ):
        susceptibility_map(small(2, MULTI), np.zeros((2, *shape), np.float32), CPU)
