"""Weights of a network on disk, and a trained network back from its run folder."""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from headscarp import networks
from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path, read_json


def save_weights(path: str | Path, state: dict[str, Tensor]) -> None:
    """Write a state dictionary as safetensors, atomically."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(plain))  # Python's own writing names a full disk as such


def load_network(run_folder: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """The trained network of a run, on the CPU, and its `run.json`.

    Raises:
        HeadscarpError: the run is not complete, or its weights do not fit its network.
    """
    record = read_json(Path(run_folder) / "run.json")
    model = build_network(record["spec"])
    path = Path(run_folder) / "model.safetensors"
    try:
        model.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise HeadscarpError(
            f"{path} cannot be loaded ({error}); delete the folder {run_folder} and train the run again"
        ) from None
    return model, record


def load_initial_weights(model: nn.Module, path: str | Path) -> None:
    """Put the weights of another run's `model.safetensors` into `model`, in place.

    Raises:
        HeadscarpError: the file cannot be read, or its weights have other names or shapes than the network's.
    """
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise HeadscarpError(
            f"{path}, from which training is to start, cannot be read ({error}); train its run first"
        ) from None
    wanted, given = (
        {name: tuple(tensor.shape) for name, tensor in weights.items()}
        for weights in (model.state_dict(), state)
    )
    differing = sorted(name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name))
    if differing:
        name = differing[0]
        here, there = wanted.get(name, "missing"), given.get(name, "missing")
        raise HeadscarpError(
            f"{path} does not fit the network: {len(differing)} of its weights "
            f"differ, first '{name}': {here} in the network, {there} in the file; "
            "start from a run with the same network, width, channels and classes"
        )
    model.load_state_dict(state)


def build_network(spec: dict[str, Any]) -> nn.Module:
    """The untrained network of a run's specification; that of one that reads all dates (`dates_read`) takes
    all planes of a `NormalisedSeries`."""
    network, params = spec["network"], spec["network"]["params"]
    in_channels = len(spec["channels"])
    if "dates_read" in spec:
        dates = len(spec["dates_read"])
        in_channels = dates * (in_channels + 1)
        if networks.takes_dates(network["name"]):
            params = params | {"dates": dates}
    return networks.build(
        network["name"], in_channels, classes=spec["classes"], width=network["width"], **params
    )
