"""3D-CNN: layout, arithmetic, learning; windows around cells and their resampling."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from headscarp import networks
from headscarp.errors import HeadscarpError
from headscarp.networks.neighbourhoods import neighbourhoods, require_within_map


def small(factors: int, windows: list[int], seed: int = 0, pooling: str = "none") -> torch.nn.Module:
    """A narrow network whose batch norms are not those of the start."""
    torch.manual_seed(seed)
    model = networks.build("cnn3d", factors, width=0.0625, windows=windows, pooling=pooling)
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm3d):
            torch.nn.init.normal_(layer.running_mean, std=0.3)
            torch.nn.init.uniform_(layer.running_var, 0.5, 2)
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.normal_(layer.bias, std=0.3)
    return model.eval()


# --- layout
# ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "sides"),
    [(12, [12, 10, 8, 4, 2, 2, 2, 1]), (17, [17, 15, 13, 6, 4, 2, 2, 1]), (22, [22, 20, 18, 9, 7, 5, 3, 1])],
)
@pytest.mark.parametrize(
    ("factors", "depths"), [(14, [14, 12, 10, 10, 8, 6, 4, 4]), (5, [5, 3, 1, 1, 1, 1, 1, 1]), (1, [1] * 8)]
)
def test_sides_and_depths_with_pooling(window, sides, factors, depths):
    check_shapes(small(factors, [window], pooling="spatial"), factors, window, depths, sides)


@pytest.mark.parametrize(
    ("factors", "depths"), [(15, [15, 13, 11, 5, 3, 3, 3, 1]), (4, [4, 4, 4, 2, 2, 2, 2, 1])]
)
def test_depths_with_pooling_over_factors(factors, depths):
    model = small(factors, [12], pooling="volumetric")
    check_shapes(model, factors, 12, depths, [12, 10, 8, 4, 2, 2, 2, 1])


@pytest.mark.parametrize("window", [12, 17, 22])
@pytest.mark.parametrize(("factors", "depths"), [(14, [14, 12, 10, 8, 6, 4]), (5, [5, 3, 1, 1, 1, 1])])
def test_sides_and_depths(window, factors, depths):
    check_shapes(small(factors, [window]), factors, window, depths, range(window, window - 11, -2))


def check_shapes(model, factors, window, depths, sides):
    """What each layer gives (factors, rows, cols), the fully connected one a single cell."""
    shapes = [(factors, window, window)]
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm3d | torch.nn.MaxPool3d):
            layer.register_forward_hook(lambda _layer, _inputs, maps: shapes.append(tuple(maps.shape[2:])))
    assert model(torch.randn(2, 1, factors, window, window)).shape == (2, 2)
    assert shapes[:-1] == [(depth, side, side) for depth, side in zip(depths, sides, strict=True)]
    assert shapes[-1] == (1, 1, 1)  # the fully connected layer


def test_parameters_by_hand():
    normalised = [(1, 64, 27), (64, 64, 27), (64, 128, 27), (128, 128, 27), (128, 128, 27)]
    total = sum(inputs * outputs * taps + 4 * outputs for inputs, outputs, taps in normalised)
    total += 128 * 64 * 4 * 2 * 2 + 4 * 64 + 64 * 2 + 2  # of 14 factors 4 are left, of 12 cells 2
    assert networks.describe("cnn3d", 14)["parameters"] == total


def test_parameters_of_the_pooled_form_by_hand():
    # at the end 2 x 2 cells: kernels 3 x 1 x 1
    normalised = [(1, 64, 27), (64, 64, 27), (64, 128, 27), (128, 128, 3), (128, 128, 3)]
    total = sum(inputs * outputs * taps + 4 * outputs for inputs, outputs, taps in normalised)
    total += 128 * 64 * 4 + 4 * 64 + 64 * 2 + 2  # of 14 factors 4 are left
    assert networks.describe("cnn3d", 14, pooling="spatial")["parameters"] == total
    # two more input channels
    wider = networks.describe("cnn3d", 14, windows=[12, 17, 22], pooling="spatial")
    assert wider["parameters"] == total + 2 * 64 * 27


def by_hand(model: torch.nn.Module, volume: np.ndarray) -> np.ndarray:
    """Logits (2,) of one sample (scale, factor, row, col), with NumPy."""

    def convolve(maps, layer):
        kernel = layer.weight.detach().numpy()
        patches = np.lib.stride_tricks.sliding_window_view(maps, kernel.shape[2:], axis=(1, 2, 3))
        return np.einsum("cdrqxyz,kcxyz->kdrq", patches, kernel)

    def of_stack(maps, stack):
        for at in range(0, len(stack), 3):
            norm = stack[at + 1]
            mean, variance, weight, bias = (
                value.detach().numpy()[:, None, None, None]
                for value in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
            )
            maps = np.maximum(
                (convolve(maps, stack[at]) - mean) / np.sqrt(variance + norm.eps) * weight + bias, 0
            )
        return maps

    def pool(maps):
        if model.pooling == "none":
            return maps
        if model.pooling == "volumetric":
            depth = maps.shape[1] // 2 * 2
            maps = maps[:, :depth].reshape(len(maps), depth // 2, 2, *maps.shape[2:]).max(2)
        rows, cols = (side // 2 * 2 for side in maps.shape[2:])
        return maps[:, :, :rows, :cols].reshape(*maps.shape[:2], rows // 2, 2, cols // 2, 2).max((3, 5))

    maps = pool(of_stack(pool(of_stack(volume, model.first)), model.second))
    neurons, last = of_stack(maps, model.head[:3]).ravel(), model.head[3]
    return last.weight.detach().numpy()[:, :, 0, 0, 0] @ neurons + last.bias.detach().numpy()


@pytest.mark.parametrize("pooling", ["none", "spatial", "volumetric"])
@pytest.mark.parametrize("windows", [[12], [17], [22], [24], [12, 17, 22]])
def test_forward_is_its_definition(windows, pooling):
    model = small(6, windows, pooling=pooling).double()
    volume = np.random.default_rng(0).random((len(windows), 6, min(windows), min(windows)))
    with torch.no_grad():
        found = model(torch.from_numpy(volume)[None])[0].numpy()
    np.testing.assert_allclose(found, by_hand(model, volume), rtol=1e-9)


@pytest.mark.parametrize(("window", "seen"), [(12, 12), (17, 16), (22, 20)])
def test_pooling_drops_the_last_rows_and_columns_of_odd_sides(window, seen):
    model = small(14, [window], pooling="spatial")
    volumes = torch.rand(32, 1, 14, window, window, requires_grad=True)
    model(volumes)[:, 1].sum().backward()
    touched = volumes.grad.abs().sum((0, 1, 2))
    assert (touched[seen:] == 0).all() and (touched[:, seen:] == 0).all()
    assert touched[:seen, :seen].sum(0).min() > 0 and touched[:seen, :seen].sum(1).min() > 0


def test_the_middle_of_a_window_is_not_lost():
    """Which of two neighbouring cells bears the mark is learnt, as labels of single cells ask for."""
    generator = torch.Generator().manual_seed(0)
    volumes = torch.rand(256, 1, 3, 12, 12, generator=generator)
    labels = torch.arange(256) % 2
    rows = 6 - labels  # the cell itself, or the one above it
    volumes[torch.arange(256), 0, 1, rows, 6] = 3.0
    torch.manual_seed(0)
    model = networks.build("cnn3d", 3, width=0.0625).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(60):
        batch = slice(64 * (step % 3), 64 * (step % 3) + 64)
        loss = functional.cross_entropy(model(volumes[batch]), labels[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        right = model.eval()(volumes[192:]).argmax(1) == labels[192:]
    assert right.float().mean() > 0.9


def test_a_batch_is_learnt_by_heart():
    generator = torch.Generator().manual_seed(0)
    volumes, labels = torch.rand(32, 1, 6, 12, 12, generator=generator), torch.arange(32) % 2
    torch.manual_seed(0)
    model = networks.build("cnn3d", 6, width=0.125).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(40):
        loss = functional.cross_entropy(model(volumes), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.05


@pytest.mark.parametrize("settings", [{"windows": [3]}, {"windows": [12, 2]}, {"windows": []}])
def test_small_windows_are_refused(settings):
    with pytest.raises(HeadscarpError, match=r'"cnn3d": windows .* each of 4 cells or more'):
        networks.build("cnn3d", 14, **settings)


def test_pooling_is_one_that_there_is_and_has_factors_enough():
    with pytest.raises(HeadscarpError, match="pooling 'spacial' does not exist; did you mean 'spatial'"):
        networks.build("cnn3d", 14, pooling="spacial")
    with pytest.raises(HeadscarpError, match="3 factors are too few for pooling volumetric"):
        networks.build("cnn3d", 3, pooling="volumetric")


def test_impossible_numbers_are_refused():
    with pytest.raises(HeadscarpError, match="in_channels and classes must be at least 1"):
        networks.build("cnn3d", 0)
    with pytest.raises(HeadscarpError, match="no more than 2 classes, not 3"):
        networks.build("cnn3d", 14, 3)


# --- windows around cells
# ------------------------------------------------------------------------------------------


def resampled_by_hand(values: np.ndarray, at: tuple[int, int], window: int, side: int, by_mean: bool):
    """A window (side, side) of a map (row, col) around a cell, each of its cells drawn on 1/`side` of a cell
    of the map: what it covers there, or what lies at its centre."""
    first, fine = [position - window // 2 for position in at], 2 * side
    cut = values[first[0] : first[0] + window, first[1] : first[1] + window]
    drawn = np.kron(cut, np.ones((fine, fine)))
    # the middle of the smallest window, in parts of a cell of the map from the window's first edge
    middle = fine * (window // 2 - side // 2) + fine * side // 2
    starts = middle - window * fine // 2 + 2 * window * np.arange(side)
    result = np.empty((side, side))
    for row, top in enumerate(starts):
        for col, left in enumerate(starts):
            if by_mean:
                result[row, col] = drawn[
                    max(0, top) : top + 2 * window, max(0, left) : left + 2 * window
                ].mean()
            else:
                result[row, col] = drawn[
                    min(top + window, len(drawn) - 1), min(left + window, len(drawn) - 1)
                ]
    return result


@settings(deadline=None, max_examples=25)
@given(
    windows=st.lists(st.integers(4, 23), min_size=1, max_size=3),
    spare=st.tuples(st.integers(0, 8), st.integers(0, 8)),
    factors=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_windows_are_cut_and_resampled(windows, spare, factors, seed):
    random, largest, side = np.random.default_rng(seed), max(windows), min(windows)
    values = random.random((factors, largest + spare[0], largest + spare[1]))
    without_mean = random.random(factors) < 0.5
    rows, cols = (largest // 2 + random.integers(0, more + 1, 3) for more in spare)
    found = neighbourhoods(
        torch.from_numpy(values), torch.from_numpy(rows), torch.from_numpy(cols), windows, without_mean
    )
    assert found.shape == (3, len(windows), factors, side, side)
    for sample, at in enumerate(zip(rows, cols, strict=True)):
        for scale, window in enumerate(windows):
            for factor, nearest in enumerate(without_mean):
                expected = resampled_by_hand(values[factor], at, window, side, by_mean=not nearest)
                np.testing.assert_allclose(found[sample, scale, factor].numpy(), expected, atol=1e-9)


@pytest.mark.parametrize("windows", [[12, 17, 22], [4, 5, 6], [5, 8, 11]], ids=str)
def test_all_scales_have_one_middle(windows):
    """On a slope the mean over opposite places is the height at the middle, which the scales share."""
    rows, cols = np.indices((40, 40)).astype(float)
    slope = torch.from_numpy((3 * rows + cols)[None])
    at = torch.tensor([20])
    side = min(windows)
    volume = neighbourhoods(slope, at, at, windows)[0, :, 0].numpy()
    # not the outermost places, one of which is cut off where the middles of two windows differ
    inner = volume[:, 1 : side - 1, 1 : side - 1].mean((1, 2))
    np.testing.assert_allclose(inner, 4 * (20 if side % 2 else 19.5), rtol=1e-12)
    spread = volume[:, side - 2, side // 2] - volume[:, 1, side // 2]
    np.testing.assert_allclose(spread, 3 * np.array(windows) / side * (side - 3), atol=0.75)


def test_codes_are_never_mixed():
    codes = torch.from_numpy(np.random.default_rng(0).choice([4.0, 19.0], (1, 40, 40)))
    at = torch.tensor([20, 17])
    assert set(neighbourhoods(codes, at, at, [12, 17, 22], [True]).unique().tolist()) == {4, 19}
    assert len(neighbourhoods(codes, at, at, [12, 17, 22], [False]).unique()) > 10


@pytest.mark.parametrize("cell", [(10, 15), (20, 15), (15, 10), (15, 20), (-15, 15)])
def test_windows_that_leave_the_map_are_refused(cell):
    values = torch.zeros(1, 30, 30)
    innermost = torch.tensor([11, 19])
    require_within_map(values, innermost, innermost, [22])
    assert neighbourhoods(values, innermost, innermost, [22]).shape == (2, 1, 1, 22, 22)
    with pytest.raises(
        HeadscarpError,
        match=rf"window of 22 cells around cell \({cell[0]}, {cell[1]}\) leaves the map of 30 x 30",
    ):
        require_within_map(values, torch.tensor([15, cell[0]]), torch.tensor([15, cell[1]]), [12, 22])
