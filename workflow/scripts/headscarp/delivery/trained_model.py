"""A trained network as its folder alone describes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from headscarp.delivery.styles import BINARY
from headscarp.errors import HeadscarpError
from headscarp.files import read_json
from headscarp.geo.grid import Grid
from headscarp.geo.layer import CONTINUOUS
from headscarp.site.layer_names import ELEVATION_MODEL

EXAMPLE = "results/runs/CARD/SITE/EXPERIMENT/PROTOCOL/seed0"


@dataclass(frozen=True)
class TrainedModel:
    """The folder of a run, its run.json, and scores.json of the map of its own site, if that is beside it."""

    folder: Path
    record: Mapping[str, Any]
    scores: Mapping[str, Any] | None

    @property
    def origin(self) -> Mapping[str, Any]:
        """What the network was trained on, see `training.origin.origin_of_run`."""
        return self.record["trained_on"]

    @property
    def channels(self) -> list[dict[str, Any]]:
        """The channels in the order in which the network reads them, with layer and kind."""
        return [
            {"layer": channel["name"], "kind": CONTINUOUS} | channel for channel in self.origin["channels"]
        ]

    @cached_property
    def layers(self) -> dict[str, list[dict[str, Any]]]:
        """The channels that each layer gives, by the layer's name."""
        found: dict[str, list[dict[str, Any]]] = {}
        for channel in self.channels:
            found.setdefault(channel["layer"], []).append(channel)
        return found

    @property
    def terrain(self) -> list[str]:
        """The layers that are derived from an elevation model."""
        return [name for name, (first, *_) in self.layers.items() if origin_of(first) == ELEVATION_MODEL]

    @property
    def indices(self) -> dict[str, dict[str, str]]:
        """The layers that are computed of others, {index: {band: layer}}."""
        return {
            name: first["derived_from"]
            for name, (first, *_) in self.layers.items()
            if isinstance(origin_of(first), dict)
        }

    @property
    def rasters(self) -> dict[str, dict[str, Any]]:
        """The layers that must be given as a band, those of indices too, by name: the first channel of each,
        or what is known of it."""
        given = {name: first for name, (first, *_) in self.layers.items() if origin_of(first) is None}
        of_indices = [layer for inputs in self.indices.values() for layer in inputs.values()]
        return given | {
            layer: {"name": layer, "layer": layer, "kind": CONTINUOUS, "units": "reflectance"}
            for layer in of_indices
            if layer not in given
        }

    @property
    def dates(self) -> list[str] | None:
        """The dates that a network of series reads; None of one that reads one."""
        return self.record["spec"].get("dates_read")

    @property
    def resolution(self) -> float | None:
        """Size in metres of the pixels that the network was trained on; None where nobody knows it."""
        if not self.origin.get("patches", {}).get("size_known", True):
            return None
        return Grid.from_record(self.origin["grid"]).resolution

    @property
    def elevation_resolution(self) -> float | None:
        """Size in metres of the cells that terrain had in training; None without terrain."""
        sizes = [self.layers[name][0]["effective_resolution_m"] for name in self.terrain]
        return max(sizes, default=None)

    @property
    def classes(self) -> dict[int, str]:
        """The names of the classes that the network tells apart."""
        if self.record["spec"]["classes"] < 3:
            return dict(BINARY)
        names = self.origin.get("classes") or {}
        return {code: names.get(str(code), f"class {code}") for code in range(self.record["spec"]["classes"])}

    @property
    def threshold(self) -> float | None:
        """The probability from which ground counts as landslide; None where the run was not scored."""
        return None if self.scores is None else self.scores["threshold"]


def origin_of(channel: Mapping[str, Any]) -> Any:
    """What else gives a channel's layer at another place; None where a raster of its own does."""
    return channel.get("derived_from")


def read_model(folder: str | Path) -> TrainedModel:
    """The network in a run's folder, wherever that lies.

    Raises:
        HeadscarpError: it is not the folder of a run, or of one that has no network on windows of its own, or
            of one that does not say what it was trained on.
    """
    folder = Path(folder)
    path = folder / "run.json"
    if not path.is_file():
        raise HeadscarpError(
            f"{folder} holds no run.json; give the folder of a trained run, such as {EXAMPLE}"
        )
    record = read_json(path)
    if "average" in record:
        raise HeadscarpError(
            f"{folder} is the mean of what other runs mapped and has no network of its own; give the folder "
            f"of a run of the experiment '{record['average']['of']}'"
        )
    if not (folder / "model.safetensors").is_file():
        raise HeadscarpError(
            f"{folder} holds no model.safetensors: forests and models of cells are made anew for each map, "
            "and copies may lack it; give the whole folder of a run of a network"
        )
    if "trained_on" not in record:
        raise HeadscarpError(
            f"{path} lacks 'trained_on': the run is one of susceptibility, which is mapped by its card "
            "alone, or an older headscarp trained it; train it again (delete the folder and ask for it)"
        )
    origin = record["trained_on"]
    if "patches" not in origin and not all("layer" in channel for channel in origin["channels"]):
        raise HeadscarpError(
            f"{path}: the layers of its site are of an older headscarp and do not say what they are derived "
            f"from; delete the layers and the cube of {origin['site']} and train the run again"
        )
    scores = folder / origin.get("site", "") / "scores.json"
    return TrainedModel(folder, record, read_json(scores) if scores.is_file() else None)
