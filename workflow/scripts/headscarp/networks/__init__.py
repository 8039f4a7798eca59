"""Station `networks`: networks, chosen by name.

Adding a network is adding one file to this package: a builder decorated with `register("its_name")`. The
builder takes `(in_channels, classes, width)` and, by keyword, parameters of its own. It returns a module that
maps windows (N, in_channels, H, W) to logits (N, classes, H, W), see `blocks.SegmentationNetwork`, or one
that classifies cells (`cnn3d`).
"""

import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Iterator

import torch
from torch import nn

from headscarp.errors import HeadscarpError
from headscarp.vocabulary import nearest

Builder = Callable[..., nn.Module]

# Headers and names that HDF5 adds per array: h5py writes 1100-1270 bytes for the layouts of Table IX.
HDF5_BYTES_PER_ARRAY = 1150
LOGIT_OF_RARE = -2.0  # probability 0.12

_builders: dict[str, Builder] = {}


def register(name: str) -> Callable[[Builder], Builder]:
    """Give a builder function its name in configs and cards. Raises `HeadscarpError` when two builders claim
    one name."""

    def add(builder: Builder) -> Builder:
        if name in _builders:
            places = f"{_place(_builders[name])} and {_place(builder)}"
            raise HeadscarpError(
                f'two networks are called "{name}": {places}; rename one of them in its @register(...)'
            )
        _builders[name] = builder
        return builder

    return add


def names() -> list[str]:
    """Names of all networks, sorted."""
    _discover()
    return sorted(_builders)


def build(name: str, in_channels: int, classes: int = 1, width: float = 1.0, **params) -> nn.Module:
    """A freshly initialised network; its class says what it maps to what.

    `width` multiplies every channel width and growth rate (1 = as published); `params` are the network's own.
    Weights come from PyTorch's global random generator: call `torch.manual_seed` before. Raises
    `HeadscarpError` for a name, parameter or size that does not exist, and for a network of series without
    its number of `dates`.
    """
    builder = _builder(name)
    if in_channels < 1 or classes < 1 or width <= 0:
        raise HeadscarpError(
            f'network "{name}": in_channels and classes must be at least 1 and width above 0, '
            f"not in_channels={in_channels}, classes={classes}, width={width}"
        )
    own = list(inspect.signature(builder).parameters)[3:]
    for param in params:
        if param not in own:
            raise HeadscarpError(
                f'network "{name}" has no parameter "{param}"; {nearest(param, own)} (it has: '
                f"{', '.join(own) or 'none'})"
            )
    if "dates" in own and "dates" not in params:
        raise HeadscarpError(
            f'network "{name}" reads series of images and needs their number of dates; give its '
            f"experiment `dates: all`"
        )
    model = builder(in_channels, classes, width, **params)
    if classes == 1:
        let_one_logit_rise_and_fall(model)
        start_where_landslides_are_rare(model)
    return model


def let_one_logit_rise_and_fall(model: nn.Module) -> None:
    """Turn the sign of every other weight of a last 1x1 convolution to one logit where all have the same.

    Maps after a ReLU only add up: with negative weights alone the logit never rises above its bias, and
    training turns off the maps of landslides in place of the signs (ResU-CBNet with four maps and one seed in
    eight; no pixel then reaches a probability of 0.2). `TwoStepHead`, of two maps, starts with both signs by
    itself.
    """
    for layer in last_of_heads(model, is_last_of_maps):
        weight = layer.weight
        if not weight.is_meta and ((weight > 0).all() or (weight < 0).all()):
            with torch.no_grad():
                weight[:, 1::2] *= -1


def is_last_of_maps(module: nn.Module) -> bool:
    """Whether a layer can be the last one, which adds up maps to one logit."""
    return (
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and module.out_channels == 1 < module.in_channels
    )


def last_of_heads(model: nn.Module, fits: Callable[[nn.Module], bool]) -> Iterator[nn.Module]:
    """The last layer that fits of the network, and that of its auxiliary head if it has one."""
    for auxiliary in (False, True):
        found = [
            module
            for name, module in model.named_modules()
            if ("auxiliary" in name) == auxiliary and fits(module)
        ]
        yield from found[-1:]


def start_where_landslides_are_rare(model: nn.Module) -> None:
    """Let a network of one logit begin with a probability of 0.12 on average, not 0.5.

    Landslides are rare, and the first hundreds of steps would go into telling the network so (Lin et al.
    2017, doi:10.1109/ICCV.2017.324, section 3.3); where batch norm stands on the logits (gao2021's SegNet and
    FC-DenseNet) thousands would, since nothing else moves their mean. It is the same for all networks: a
    start that some lacked would decide precision and recall at 0.5 after the papers' few steps.
    """
    for layer in last_of_heads(model, has_one_bias):
        nn.init.constant_(layer.bias, LOGIT_OF_RARE)


def has_one_bias(module: nn.Module) -> bool:
    """Whether a layer has a bias of one number."""
    bias = getattr(module, "bias", None)
    return bias is not None and tuple(bias.shape) == (1,)


def takes_dates(name: str) -> bool:
    """Whether a network reads series of images: its builder then has a parameter `dates`, their number.

    Raises `HeadscarpError` for a name that does not exist.
    """
    return "dates" in inspect.signature(_builder(name)).parameters


def count_parameters(model: nn.Module) -> int:
    """Parameters as Keras counts them: weights, biases and the running means and variances of batch norms
    (gao2021, Table IX)."""
    return count_trainable(model) + sum(statistic.numel() for statistic in _running_statistics(model))


def count_trainable(model: nn.Module) -> int:
    """Parameters that an optimiser changes."""
    return sum(parameter.numel() for parameter in model.parameters())


def model_mib(model: nn.Module) -> int:
    """Size in MiB, rounded up, of a Keras file of the model with Adam's state: float32 weights, two moments
    per trainable weight, running statistics, and HDF5's bookkeeping. Equals "RAM" of gao2021's Table IX for
    all five networks."""
    trained, running = list(model.parameters()), _running_statistics(model)
    numbers = 3 * count_trainable(model) + sum(statistic.numel() for statistic in running)
    return math.ceil((4 * numbers + HDF5_BYTES_PER_ARRAY * (3 * len(trained) + len(running))) / 2**20)


def describe(name: str, in_channels: int, classes: int = 1, width: float = 1.0, **params) -> dict[str, int]:
    """Complexity of a network, `{parameters, trainable, model_mib}`, worked out without allocating its
    weights."""
    with torch.device("meta"):
        model = build(name, in_channels, classes, width, **params)
    return {
        "parameters": count_parameters(model),
        "trainable": count_trainable(model),
        "model_mib": model_mib(model),
    }


def _running_statistics(model: nn.Module) -> list[torch.Tensor]:
    return [buffer for buffer in model.buffers() if buffer.is_floating_point()]


def _builder(name: str) -> Builder:
    _discover()
    if name not in _builders:
        raise HeadscarpError(
            f'there is no network "{name}"; {nearest(name, _builders)} (networks: '
            f"{', '.join(sorted(_builders))})"
        )
    return _builders[name]


def _discover() -> None:
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")


def _place(builder: Builder) -> str:
    return f"{builder.__code__.co_filename}, line {builder.__code__.co_firstlineno}"
