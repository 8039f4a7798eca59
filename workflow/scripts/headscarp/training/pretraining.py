"""Unsupervised pre-training of a network's deep belief network, machine by machine, before its training.

Contrastive divergence with the momentum, weight decay and rates of Hinton, G. (2010), A practical guide to
training restricted Boltzmann machines, UTML TR 2010-003 (sections 7-10 and 13.2). stfusion, section 2.3,
names the method and prints no number.
"""

import math
import time
from typing import Any

import torch
from torch import Tensor, nn

from headscarp.errors import HeadscarpError
from headscarp.networks.dbn import RBM, GaussianRBM
from headscarp.training.batches import BatchSource

EARLY_MOMENTUM, EARLY_EPOCHS, MOMENTUM = 0.5, 5, 0.9
WEIGHT_DECAY = 2e-4
GAUSSIAN_RATE = 0.1  # the rate of real-valued units, of the rate of binary ones
PIXELS_PER_WINDOW = 256
WINDOWS_AT_ONCE = 8


def pretrain(
    model: nn.Module, batches: BatchSource, settings: dict[str, Any], seed: int
) -> list[dict[str, Any]]:
    """Train the machines of `model.dbn` in place, each on what the one below makes of pixels of the training
    windows.

    Args:
        model: a network with a `dbn` (`networks.dbn.DBN`); nothing else in it changes.
        batches: the batches of its training, of which epoch 0 is read.
        settings: {epochs of each machine, pixels to train on at most, batch: pixels per step, learning_rate}.
        seed: of pixels, order and samples; torch's global generator is left alone.

    Returns:
        For each machine and epoch {phase: "rbm 1", "rbm 2", ..., epoch from 1, reconstruction_error: mean
        square, seconds}.

    Raises:
        HeadscarpError: the network has no DBN; no training pixel counts; a reconstruction error is not
            finite.
    """
    if getattr(model, "dbn", None) is None:
        raise HeadscarpError(
            "`pretraining` trains the deep belief network of a "
            "network, and this one has none; remove it from the recipe"
        )
    pixels = dbn_inputs(model, batches, int(settings["pixels"]), seed)
    data = model.dbn.standardise(pixels)
    random = torch.Generator(data.device).manual_seed(seed)
    history = []
    for number, machine in enumerate(model.dbn.machines, start=1):
        for record in train_machine(
            machine, data, int(settings["epochs"]), int(settings["batch"]), settings["learning_rate"], random
        ):
            history.append({"phase": f"rbm {number}"} | record)
        data = machine.hidden_probability(data).detach()
    return history


def dbn_inputs(model: nn.Module, batches: BatchSource, count: int, seed: int) -> Tensor:
    """What reaches `model.dbn` at `count` pixels that count in training, or at all there are, (n, inputs)
    float32.

    From each window 256 pixels are drawn, more only where there are too few windows, so that few windows go
    through a large network.
    """
    device = next(model.parameters()).device
    random = torch.Generator().manual_seed(seed)
    per_window = max(PIXELS_PER_WINDOW, math.ceil(count / batches.count("train")))
    drawn, missing = [], count
    for image, _, mask in batches.training(0):
        for windows, counts in zip(image.split(WINDOWS_AT_ONCE), mask.split(WINDOWS_AT_ONCE), strict=True):
            reached = _reaching_dbn(model, windows.to(device))
            for maps, counted in zip(reached, (counts > 0).cpu(), strict=True):
                rows, cols = counted.nonzero(as_tuple=True)
                chosen = torch.randperm(len(rows), generator=random)[: min(per_window, missing)]
                drawn.append(maps[:, rows[chosen].to(device), cols[chosen].to(device)].T)
                missing -= len(chosen)
            if not missing:
                return torch.cat(drawn)
    if missing == count:
        raise HeadscarpError(
            "pre-training found no pixel that counts in the training windows; check the labels and the blocks"
        )
    return torch.cat(drawn)


@torch.no_grad()
def _reaching_dbn(model: nn.Module, windows: Tensor) -> Tensor:
    """The maps that `model.dbn` is given for windows (N, bands, H, W): (N, inputs, H, W), without what
    padding added."""
    given = []
    hook = model.dbn.register_forward_pre_hook(lambda _module, inputs: given.append(inputs[0]))
    training = model.training
    try:
        model.eval()(windows)
    finally:
        hook.remove()
        model.train(training)
    return given[0][..., : windows.shape[-2], : windows.shape[-1]]


@torch.no_grad()
def train_machine(
    machine: RBM, data: Tensor, epochs: int, batch: int, learning_rate: float, generator: torch.Generator
) -> list[dict[str, Any]]:
    """Train a machine in place on `data` (n, visible) by CD-1; per epoch {epoch, reconstruction_error,
    seconds}.

    Raises:
        HeadscarpError: the reconstruction error is not finite.
    """
    rate = learning_rate * (GAUSSIAN_RATE if isinstance(machine, GaussianRBM) else 1)
    machine.start_visible_bias(data)
    parameters = [machine.weight, machine.hidden_bias, machine.visible_bias]
    steps = [torch.zeros_like(parameter) for parameter in parameters]
    history = []
    for epoch in range(1, epochs + 1):
        began = time.perf_counter()
        momentum = EARLY_MOMENTUM if epoch <= EARLY_EPOCHS else MOMENTUM
        squares = 0.0
        for visible in data[torch.randperm(len(data), generator=generator, device=data.device)].split(batch):
            *uphill, reconstruction = machine.contrastive_divergence(visible, generator)
            uphill[0] -= WEIGHT_DECAY * machine.weight
            for parameter, step, gradient in zip(parameters, steps, uphill, strict=True):
                step.mul_(momentum).add_(gradient, alpha=rate)
                parameter += step
            squares += (visible - reconstruction).square().sum(dtype=torch.float64)
        error = float(squares) / data.numel()
        if not math.isfinite(error):
            raise HeadscarpError(
                f"pre-training: the reconstruction error of a machine became {error} "
                f"in epoch {epoch}; lower `learning_rate` of the recipe's "
                f"`pretraining` (now {learning_rate:g}) and run the same command again"
            )
        history.append(
            {"epoch": epoch, "reconstruction_error": error, "seconds": round(time.perf_counter() - began, 3)}
        )
    return history
