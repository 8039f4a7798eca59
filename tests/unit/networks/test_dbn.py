"""Restricted Boltzmann machines against enumeration of all states; pre-training of a network's deep belief
network."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from headscarp import networks
from headscarp.errors import HeadscarpError
from headscarp.networks.dbn import DBN, RBM, Divergence, GaussianRBM
from headscarp.training.pretraining import pretrain, train_machine

SETTINGS = {"epochs": 3, "pixels": 600, "batch": 50, "learning_rate": 0.01}


def every_state(units: int) -> torch.Tensor:
    """All 2^units binary vectors."""
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=units)))


def random_machine(kind: type[RBM], visible: int = 4, hidden: int = 3) -> RBM:
    torch.manual_seed(0)
    machine = kind(visible, hidden)
    for values in (machine.weight.data, machine.hidden_bias.data, machine.visible_bias):
        values.normal_()
    return machine


def numpy_energy(machine: RBM, v: np.ndarray, h: np.ndarray) -> float:
    w, b, a = (
        part.detach().numpy().astype(float)
        for part in (machine.weight, machine.hidden_bias, machine.visible_bias)
    )
    seen = ((v - a) ** 2).sum() / 2 if isinstance(machine, GaussianRBM) else -a @ v
    return seen - b @ h - h @ w @ v


def mean_log_likelihood(machine: RBM, data: torch.Tensor) -> float:
    """Exact, in nats per vector: the partition function is a sum over all visible states."""
    with torch.no_grad():
        log_z = torch.logsumexp(-machine.free_energy(every_state(data.shape[1])).double(), 0)
        return float((-machine.free_energy(data).double() - log_z).mean())


# --- energies and conditionals
# ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [RBM, GaussianRBM])
def test_energies_are_those_of_the_definition(kind):
    machine = random_machine(kind)
    visible = torch.randn(6, 4) if kind is GaussianRBM else every_state(4)
    for v in visible:
        energies = [numpy_energy(machine, v.numpy(), h.numpy()) for h in every_state(3)]
        ours = machine.energy(v.expand(8, 4), every_state(3)).detach().numpy()
        np.testing.assert_allclose(ours, energies, rtol=1e-5, atol=1e-5)
        assert machine.free_energy(v[None]).item() == pytest.approx(
            -np.log(np.exp(-np.array(energies)).sum()), abs=1e-4
        )
        weights = np.exp(-np.array(energies))
        expected = (weights[:, None] * every_state(3).numpy()).sum(0) / weights.sum()
        np.testing.assert_allclose(
            machine.hidden_probability(v[None])[0].detach().numpy(), expected, atol=1e-5
        )


def test_binary_visible_units_follow_the_joint_distribution():
    machine, visible = random_machine(RBM), every_state(4).numpy()
    for h in every_state(3):
        weights = np.exp([-numpy_energy(machine, v, h.numpy()) for v in visible])
        np.testing.assert_allclose(
            machine.visible_mean(h[None])[0].detach().numpy(),
            (weights[:, None] * visible).sum(0) / weights.sum(),
            atol=1e-5,
        )


def test_gaussian_visible_units_lie_around_the_least_energy_with_unit_variance():
    machine, h = random_machine(GaussianRBM), torch.tensor([[1.0, 0.0, 1.0]])
    mean = machine.visible_mean(h).detach().requires_grad_()
    machine.energy(mean, h).sum().backward()
    torch.testing.assert_close(mean.grad, torch.zeros(1, 4), atol=1e-6, rtol=0)
    with torch.no_grad():
        drawn = machine.sample_visible(h.expand(20_000, 3), torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.mean(0), mean[0].detach(), atol=0.05, rtol=0)
    torch.testing.assert_close(drawn.std(0), torch.ones(4), atol=0.03, rtol=0)


def test_gibbs_sampling_reaches_the_exact_distribution():
    machine, random = random_machine(RBM), torch.Generator().manual_seed(0)
    with torch.no_grad():
        exact = torch.softmax(-machine.free_energy(every_state(4)), 0)
        visible = torch.zeros(20_000, 4)
        for _ in range(60):
            visible = machine.gibbs_step(visible, random)
    states = (visible @ torch.tensor([8.0, 4.0, 2.0, 1.0])).long()
    torch.testing.assert_close(states.bincount(minlength=16) / len(states), exact, atol=0.02, rtol=0)


@pytest.mark.parametrize("kind", [RBM, GaussianRBM])
def test_contrastive_divergence_goes_down_in_the_free_energy_of_data_and_up_in_that_of_their_reconstruction(
    kind,
):
    machine, data = random_machine(kind), every_state(4)
    *uphill, reconstruction = machine.contrastive_divergence(data, torch.Generator().manual_seed(0))
    parameters = [machine.weight, machine.hidden_bias, machine.visible_bias.requires_grad_()]
    contrast = machine.free_energy(data).mean() - machine.free_energy(reconstruction).mean()
    for ours, gradient in zip(uphill, torch.autograd.grad(contrast, parameters), strict=True):
        torch.testing.assert_close(ours, -gradient, atol=1e-6, rtol=1e-5)
    possible = machine.visible_mean(every_state(3)).detach()  # reconstructed from binary hidden units
    assert torch.cdist(reconstruction, possible).min(1).values.max() < 1e-3
    assert len(reconstruction.round(decimals=3).unique(dim=0)) > 1


# --- learning
# ------------------------------------------------------------------------------------------


def bars_and_stripes() -> torch.Tensor:
    """The 14 pictures of 3 x 3 whose rows, or whose columns, are each all on or all off (MacKay 2003)."""
    lines = every_state(3)
    pictures = torch.cat([lines[:, :, None].expand(8, 3, 3), lines[:, None, :].expand(8, 3, 3)]).flatten(1)
    return pictures.unique(dim=0)


def test_cd1_learns_bars_and_stripes():
    pictures = bars_and_stripes()
    assert len(pictures) == 14
    torch.manual_seed(0)
    machine, random = RBM(9, 16), torch.Generator().manual_seed(0)
    data = pictures.repeat(10, 1)
    before = mean_log_likelihood(machine, pictures)
    history = train_machine(machine, data, epochs=500, batch=14, learning_rate=0.1, generator=random)
    assert mean_log_likelihood(machine, pictures) > before + 1
    # no distribution does better on 14 pictures
    assert mean_log_likelihood(machine, pictures) < -math.log(14) + 1e-6
    assert history[-1]["reconstruction_error"] < 0.5 * history[0]["reconstruction_error"]
    visible = torch.rand(2000, 9, generator=random).round()
    with torch.no_grad():
        for _ in range(200):
            visible = machine.gibbs_step(visible, random)
    in_set = (visible[:, None] == pictures).all(2).any(1).float().mean()
    assert in_set > 10 * 14 / 512


def test_gaussian_machine_separates_two_clusters():
    random = np.random.default_rng(0)
    cluster = random.integers(2, size=1000)
    centre = np.array([1.0, -1.0, 1.0, 1.0, -1.0, 1.0])
    values = torch.from_numpy(
        (np.where(cluster[:, None], centre, -centre) + random.normal(0, 0.4, (1000, 6))).astype(np.float32)
    )
    values = (values - values.mean(0)) / values.std(0)
    torch.manual_seed(0)
    machine = GaussianRBM(6, 8)
    history = train_machine(
        machine, values, epochs=30, batch=50, learning_rate=0.05, generator=torch.Generator().manual_seed(0)
    )
    assert history[-1]["reconstruction_error"] < 0.5  # the variance is 1; the clusters' own, 0.14
    hidden = machine.hidden_probability(values).detach().numpy()
    assert np.abs(hidden[cluster == 1].mean(0) - hidden[cluster == 0].mean(0)).max() > 0.9


@pytest.mark.parametrize(("kind", "rate"), [(RBM, 0.01), (GaussianRBM, 0.001)])
def test_momentum_rises_after_five_epochs_and_weights_decay(kind, rate):
    class Constant(kind):
        def contrastive_divergence(self, visible, generator):
            return Divergence(
                torch.zeros_like(self.weight),
                torch.ones_like(self.hidden_bias),
                torch.zeros_like(self.visible_bias),
                visible,
            )

    torch.manual_seed(0)
    machine = Constant(3, 2)
    before = machine.weight.detach().clone()
    history = train_machine(
        machine, torch.rand(4, 3), epochs=6, batch=4, learning_rate=0.01, generator=torch.Generator()
    )
    distance = rate * (1 + 1.5 + 1.75 + 1.875 + 1.9375 + (0.9 * 1.9375 + 1))
    torch.testing.assert_close(machine.hidden_bias.detach(), torch.full((2,), distance))
    torch.testing.assert_close(
        machine.weight.detach() - before, -2e-4 * distance * before, rtol=0.05, atol=1e-8
    )
    assert [record["epoch"] for record in history] == [1, 2, 3, 4, 5, 6]


# --- the network's DBN
# ------------------------------------------------------------------------------------------


class Windows:
    """Training batches of windows 13 x 13, whose masked pixels are poison."""

    steps = 3

    def __init__(self, counted: bool = True):
        random = torch.Generator().manual_seed(5)
        image = torch.randn(6, 8, 13, 13, generator=random)
        image[:, 4:7] = image[:, 0:3] + 0.3 * image[:, 4:7]  # the dates of a place are alike
        image[:, [3, 7]] = 1
        self.mask = (torch.rand(6, 13, 13, generator=random) < 0.7).float() * counted
        self.image = torch.where(self.mask[:, None] > 0, image, torch.nan)

    def count(self, split: str) -> int:
        return len(self.image)

    def training(self, epoch: int):
        for image, mask in zip(self.image.split(2), self.mask.split(2), strict=True):
            yield image, mask.long(), mask


def network(**params) -> nn.Module:
    torch.manual_seed(0)
    return networks.build("st_fusion", 8, width=0.125, dates=2, **params)


def test_layers_of_the_network_are_the_machines():
    torch.manual_seed(0)
    dbn, maps = DBN(5, [7, 4, 3]), torch.randn(2, 5, 3, 2)
    assert [type(machine) for machine in dbn.machines] == [GaussianRBM, RBM, RBM]
    pixels = maps.permute(0, 2, 3, 1).flatten(0, 2) * 3 + 1
    expected = dbn.standardise(pixels)
    torch.testing.assert_close(expected.std(0, correction=0), torch.ones(5))
    for machine in dbn.machines:
        expected = machine.hidden_probability(expected)
    torch.testing.assert_close(dbn(maps * 3 + 1).permute(0, 2, 3, 1).flatten(0, 2), expected)


def test_a_plane_that_hardly_changes_is_not_blown_up():
    dbn = DBN(2, [4])
    standardised = dbn.standardise(torch.tensor([[1.0, 5.0]] * 9 + [[0.99, 5.0]]))
    assert standardised.abs().max() < 0.1
    assert dbn.sd.tolist() == pytest.approx([0.1, 0.1])


def test_pretraining_changes_the_dbn_only_and_teaches_it():
    model, untrained = network(temporal=False), network(temporal=False)
    rows = pretrain(model, Windows(), SETTINGS, seed=3)
    assert [(row["phase"], row["epoch"]) for row in rows] == [
        (f"rbm {machine}", epoch) for machine in (1, 2) for epoch in (1, 2, 3)
    ]
    assert set(rows[0]) == {"phase", "epoch", "reconstruction_error", "seconds"}
    for machine in (1, 2):
        errors = [row["reconstruction_error"] for row in rows if row["phase"] == f"rbm {machine}"]
        assert errors[-1] < errors[0]
    for (name, trained), start in zip(
        model.state_dict().items(), untrained.state_dict().values(), strict=True
    ):
        assert torch.equal(trained, start) != name.startswith("dbn."), name
    assert model.training


def test_pretraining_sees_only_pixels_that_count():
    # Without the temporal module, vectors are the pixels themselves; masked ones are NaN, and 13 x 13 are
    # padded to 16 x 16.
    model, windows = network(temporal=False), Windows()
    pretrain(model, windows, SETTINGS | {"pixels": 10_000}, seed=3)
    seen = windows.image.permute(0, 2, 3, 1)[windows.mask > 0]
    torch.testing.assert_close(model.dbn.mean, seen.mean(0), atol=1e-5, rtol=0)
    torch.testing.assert_close(model.dbn.sd, seen.std(0, correction=0).clamp(min=0.1), atol=1e-5, rtol=0)


def test_pretraining_reads_at_most_the_pixels_asked_for(monkeypatch):
    model, sizes = network(temporal=False), []
    standardise = DBN.standardise
    monkeypatch.setattr(
        DBN, "standardise", lambda self, pixels: (sizes.append(pixels.shape), standardise(self, pixels))[1]
    )
    pretrain(model, Windows(), SETTINGS | {"pixels": 77}, seed=3)
    pretrain(model, Windows(), SETTINGS | {"pixels": 10_000}, seed=3)
    assert sizes == [(77, 8), (int(Windows().mask.sum()), 8)]


def test_pretraining_is_a_function_of_the_seed_and_leaves_the_global_generator_alone():
    windows = Windows()
    windows.image.nan_to_num_()
    models = [network() for _ in range(3)]
    state = torch.get_rng_state()
    for number, (model, seed) in enumerate(zip(models, (3, 3, 4), strict=True)):
        torch.manual_seed(number)
        before = torch.get_rng_state()
        pretrain(model, windows, SETTINGS, seed)
        assert torch.equal(torch.get_rng_state(), before)
    torch.set_rng_state(state)
    first, second, other = (model.state_dict()["dbn.machines.1.weight"] for model in models)
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_pretraining_says_what_is_wrong():
    with pytest.raises(HeadscarpError, match=r"deep belief network.*none"):
        pretrain(network(dbn=False), Windows(), SETTINGS, seed=3)
    with pytest.raises(HeadscarpError, match="no pixel that counts"):
        pretrain(network(temporal=False), Windows(counted=False), SETTINGS, seed=3)
    with pytest.raises(
        HeadscarpError, match=r"reconstruction error .* became .* lower `learning_rate`.*now 1e\+06"
    ):
        pretrain(network(temporal=False), Windows(), SETTINGS | {"learning_rate": 1e6, "epochs": 30}, seed=3)
