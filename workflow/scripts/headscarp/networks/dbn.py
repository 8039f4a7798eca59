"""Restricted Boltzmann machines and the deep belief network of stfusion (section 2.3, Fig. 4).

Hinton, G. E., Osindero, S. & Teh, Y.-W. (2006). A fast learning algorithm for deep belief nets. Neural
Computation 18, 1527-1554. doi:10.1162/neco.2006.18.7.1527. Hinton, G. E. & Salakhutdinov, R. R. (2006).
Science 313, 504-507. doi:10.1126/science.1127647. Hinton, G. (2010). A practical guide to training restricted
Boltzmann machines. UTML TR 2010-003; "the guide" below.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

LEAST_SPREAD = 0.1


class Divergence(NamedTuple):
    """What one step of contrastive divergence gives: the way uphill for each parameter, and the mean of the
    reconstructed visible units."""

    weight: Tensor
    hidden_bias: Tensor
    visible_bias: Tensor
    reconstruction: Tensor


class RBM(nn.Module):
    """Bernoulli-Bernoulli machine of `visible` and `hidden` binary units: E(v, h) = -a'v - b'h - h'Wv.

    Vectors are (n, visible) and (n, hidden). As a layer of a network it maps (N, visible, H, W) to the hidden
    probabilities (N, hidden, H, W), pixel by pixel. The visible bias a is no part of that layer: it is a
    buffer, which only pre-training changes.
    """

    def __init__(self, visible: int, hidden: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(hidden, visible))
        self.hidden_bias = nn.Parameter(torch.zeros(hidden))
        self.register_buffer("visible_bias", torch.zeros(visible))
        # for sigmoid units; the guide's 0.01 (section 8) would leave an untrained layer flat
        nn.init.xavier_uniform_(self.weight)

    def forward(self, maps: Tensor) -> Tensor:
        return functional.conv2d(maps, self.weight[:, :, None, None], self.hidden_bias).sigmoid()

    def energy(self, visible: Tensor, hidden: Tensor) -> Tensor:
        """E(v, h) of each pair, (n,)."""
        return (
            self.visible_energy(visible) - hidden @ self.hidden_bias - (hidden @ self.weight * visible).sum(1)
        )

    def free_energy(self, visible: Tensor) -> Tensor:
        """-log of the sum of exp(-E(v, h)) over all h, (n,)."""
        return self.visible_energy(visible) - functional.softplus(self._into_hidden(visible)).sum(1)

    def visible_energy(self, visible: Tensor) -> Tensor:
        """The part of the energy that has no hidden unit in it, (n,)."""
        return -visible @ self.visible_bias

    def hidden_probability(self, visible: Tensor) -> Tensor:
        """P(h = 1 | v)."""
        return self._into_hidden(visible).sigmoid()

    def visible_mean(self, hidden: Tensor) -> Tensor:
        """Mean of v given h, here P(v = 1 | h)."""
        return self._into_visible(hidden).sigmoid()

    def sample_visible(self, hidden: Tensor, generator: torch.Generator) -> Tensor:
        return _draw(self.visible_mean(hidden), generator)

    def sample_hidden(self, visible: Tensor, generator: torch.Generator) -> Tensor:
        return _draw(self.hidden_probability(visible), generator)

    def gibbs_step(self, visible: Tensor, generator: torch.Generator) -> Tensor:
        """v -> h -> v, each sampled."""
        return self.sample_visible(self.sample_hidden(visible, generator), generator)

    @torch.no_grad()
    def contrastive_divergence(self, visible: Tensor, generator: torch.Generator) -> Divergence:
        """CD-1 of a batch: what data and their reconstruction say about each parameter, data minus
        reconstruction, mean over the batch.

        The hidden units that reconstruct are sampled; the reconstruction and the hidden units it drives are
        probabilities (the guide, sections 3.1-3.3).
        """
        hidden = self.hidden_probability(visible)
        reconstruction = self.visible_mean(_draw(hidden, generator))
        hidden_after = self.hidden_probability(reconstruction)
        return Divergence(
            (hidden.T @ visible - hidden_after.T @ reconstruction) / len(visible),
            (hidden - hidden_after).mean(0),
            (visible - reconstruction).mean(0),
            reconstruction,
        )

    @torch.no_grad()
    def start_visible_bias(self, visible: Tensor) -> None:
        """The bias with which silent hidden units reconstruct the mean of the data (the guide, section
        8.1)."""
        self.visible_bias.copy_(visible.mean(0).clamp(0.01, 0.99).logit())

    def _into_hidden(self, visible: Tensor) -> Tensor:
        return functional.linear(visible, self.weight, self.hidden_bias)

    def _into_visible(self, hidden: Tensor) -> Tensor:
        return hidden @ self.weight + self.visible_bias


def _draw(probability: Tensor, generator: torch.Generator) -> Tensor:
    """1 with this probability, else 0. Unlike `Tensor.bernoulli` it bears NaN, which the reconstruction error
    then reports."""
    return (torch.rand(probability.shape, generator=generator, device=probability.device) < probability).to(
        probability.dtype
    )


class GaussianRBM(RBM):
    """Gaussian-Bernoulli machine for standardised data: E(v, h) = |v - a|^2 / 2 - b'h - h'Wv, visible units
    of unit variance (the guide, section 13.2)."""

    def visible_energy(self, visible: Tensor) -> Tensor:
        return (visible - self.visible_bias).square().sum(1) / 2

    def visible_mean(self, hidden: Tensor) -> Tensor:
        return self._into_visible(hidden)

    def sample_visible(self, hidden: Tensor, generator: torch.Generator) -> Tensor:
        mean = self.visible_mean(hidden)
        return mean + torch.randn(mean.shape, generator=generator, device=mean.device)

    @torch.no_grad()
    def start_visible_bias(self, visible: Tensor) -> None:
        self.visible_bias.copy_(visible.mean(0))


class DBN(nn.Module):
    """Deep belief network of single pixels: (N, inputs, H, W) -> hidden probabilities of the last machine (N,
    hidden[-1], H, W).

    A pixel's vector is standardised by buffers, which pre-training sets (until then they change nothing), and
    goes through a Gaussian-Bernoulli machine of `hidden[0]` units and a Bernoulli-Bernoulli one for each
    further number.
    """

    def __init__(self, inputs: int, hidden: list[int]):
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("sd", torch.ones(inputs))
        first, *others = hidden
        self.machines = nn.ModuleList([GaussianRBM(inputs, first)])
        for outputs in others:
            self.machines.append(RBM(self.outputs, outputs))

    @property
    def outputs(self) -> int:
        return len(self.machines[-1].hidden_bias)

    def forward(self, maps: Tensor) -> Tensor:
        maps = (maps - self.mean[:, None, None]) / self.sd[:, None, None]
        for machine in self.machines:
            maps = machine(maps)
        return maps

    @torch.no_grad()
    def standardise(self, pixels: Tensor) -> Tensor:
        """Take mean and standard deviation of `pixels` (n, inputs), also those of later inputs; give them
        standardised.

        A standard deviation counts as 0.1 at least: inputs are of the order of 1, and a plane that hardly
        ever changes would become one of huge values.
        """
        self.mean.copy_(pixels.mean(0))
        self.sd.copy_(pixels.std(0, correction=0).clamp(min=LEAST_SPREAD))
        return (pixels - self.mean) / self.sd
