"""`headscarp map`: the map of a user's rasters by a trained network, and what is delivered beside it."""

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from headscarp.areas.map.bands import Inputs, find_inputs
from headscarp.areas.map.check import check_terrain, check_values
from headscarp.areas.map.place import Place, made_place
from headscarp.delivery.delivered import deliver_map
from headscarp.delivery.model_card import write_model_card
from headscarp.delivery.styles import class_style, probability_style, write_style
from headscarp.delivery.trained_model import TrainedModel, read_model
from headscarp.errors import HeadscarpError
from headscarp.files import read_json, write_json
from headscarp.geo.layer import grid_of, open_raster
from headscarp.mapping.network_map import map_run
from headscarp.mapping.predict import Tiling
from headscarp.provenance import run_provenance
from headscarp.site.cube import open_cube
from headscarp.vocabulary import require_known


def map_rasters(
    run_folder: str | Path,
    images: Sequence[str | Path],
    out_folder: str | Path,
    bands: Mapping[str, str] | None = None,
    scales: Mapping[str, str] | None = None,
) -> list[str]:
    """Map the ground that rasters show with the network of a run, whose folder may lie anywhere.

    `out_folder` gets probability.tif, classes.tif, their QGIS styles, model_card.md and map.json, which says
    of which band each layer was made; where the run knows its threshold mask.tif and landslides.gpkg too.

    Args:
        bands: {layer, or dem: band}, see `bands.find_inputs`. scales: {layer: factor on its values}.

    Returns:
        What the reader should know, a line each.

    Raises:
        HeadscarpError: the run or a raster is unfit, a band is missing, or values are not those of training.
    """
    began, out = time.time(), Path(out_folder)
    model, paths = read_model(run_folder), [Path(path) for path in images]
    with open_raster(paths[0]) as source:
        around = grid_of(source)
    inputs = find_inputs(model, paths, around, bands)
    out.mkdir(parents=True, exist_ok=True)
    with made_place(model, inputs, factors(model, scales or {}), out.name, out) as place:
        told = [f"{layer}: {how}" for layer, how in place.channels.items()]
        notes = [
            *place.notes,
            *check_terrain(model, place.layers),
            *check_values(model, open_cube(place.cube)),
        ]
        draw(model, place, out)
        deliver(model, inputs, place, out)
    write_model_card(model, out / "model_card.md")
    write_record(model, inputs, paths, place.channels, notes, began, out)
    return [*told, *notes]


def factors(model: TrainedModel, given: Mapping[str, str]) -> dict[str, float]:
    """The factors on values of layers that a user gives as text.

    Raises:
        HeadscarpError: there is no such layer, or one is no number but 0.
    """
    found = {}
    for layer, text in given.items():
        require_known(layer, model.rasters, "--scale: layer")
        try:
            found[layer] = float(text)
        except ValueError:
            found[layer] = 0.0
        if not math.isfinite(found[layer]) or found[layer] == 0:
            raise HeadscarpError(f"--scale {layer}={text} is no factor; give a number such as 0.0001")
    return found


def draw(model: TrainedModel, place: Place, out: Path) -> None:
    """probability.tif and classes.tif of a place, in windows of the size of training."""
    map_run(
        model.folder,
        place.cube,
        place.samples,
        out,
        threads=torch.get_num_threads(),
        tiling=Tiling.like_training(model.origin["window"]),
        statistics=place.samples / "samples.json",
    )


def deliver(model: TrainedModel, inputs: Inputs, place: Place, out: Path) -> None:
    """The styles, and where the run knows its threshold what is made with it."""
    write_style(out / "classes.qml", class_style(model.classes))
    if model.threshold is None:
        write_style(out / "probability.qml", probability_style())
    else:
        deliver_map(out / "probability.tif", model.threshold, place.layers, is_dated=bool(inputs.dates))


def write_record(
    model: TrainedModel,
    inputs: Inputs,
    paths: Sequence[Path],
    channels: Mapping[str, str],
    notes: Sequence[str],
    began: float,
    out: Path,
) -> None:
    """How a map came about: map.json of `map_run`, with the run, of which band each layer was made, notes,
    and what `run_provenance` tells."""
    record: dict[str, Any] = {
        **read_json(out / "map.json"),
        "run": model.origin["run"],
        "threshold": model.threshold,
        "dates": list(inputs.dates),
        "layers": dict(channels),
        "notes": list(notes),
    }
    read = [model.folder / name for name in ("run.json", "model.safetensors")]
    write_json(out / "map.json", record | run_provenance(began, [*read, *paths]))
