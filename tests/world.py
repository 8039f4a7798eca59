"""What tests of exhibits share: surfaces and layers of invented sites, runs and specs as the plan hands them
to an exhibit, and one line of a tidy frame."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage

from headscarp.exhibits.spec import ExhibitSpec
from headscarp.files import write_json
from headscarp.geo.grid import Grid
from headscarp.geo.layer import Layer, write_layer


def smooth(rng: np.random.Generator, shape: tuple[int, int], sigma: float) -> np.ndarray:
    """A smooth random surface (row, col) with zero mean and unit variance."""
    surface = ndimage.gaussian_filter(rng.normal(size=shape), sigma, mode="wrap")
    return (surface - surface.mean()) / surface.std()


def write_site_layers(
    site: Path,
    layers: Sequence[Layer],
    date: str | None = None,
    classes: Mapping[str, Mapping[int, str]] | None = None,
) -> None:
    """layers/NAME.tif of a site, and the list of them; `classes` are the names of the codes of some."""
    manifest = []
    for layer in layers:
        write_layer(site / "layers" / f"{layer.name}.tif", layer)
        named = (classes or {}).get(layer.name)
        codes = {"classes": {str(code): name for code, name in named.items()}} if named else {}
        manifest.append({"name": layer.name, "units": layer.units, "kind": layer.kind} | codes)
    dates = [date] if date else []
    record = {"grid": layers[0].grid.to_record(), "layers": manifest, "dates": dates, "notes": []}
    write_json(site / "layers" / "layers.json", record)


def pixels_of(path: Path) -> np.ndarray:
    """A raster read by another library than the one under test."""
    with Image.open(path) as image:
        return np.asarray(image)


def layer_of(site: dict, layer: str) -> np.ndarray:
    return pixels_of(Path(site["folder"]) / "layers" / f"{layer}.tif")


def grid_of(site: dict) -> Grid:
    return Grid.from_record(json.loads((Path(site["folder"]) / "layers" / "layers.json").read_text())["grid"])


def run_record(
    folder: Path, row: str, label: str, protocol: str, seed: int, maps: Path | None = None
) -> dict:
    """A run as an exhibit is told of it; its maps lie in its own folder unless told otherwise."""
    record = {"row": row, "label": label, "experiment": row, "protocol": protocol, "seed": seed}
    return record | {"folder": str(folder), "maps": str(maps or folder)}


def spec_of(world: dict, kind: str, **changes) -> ExhibitSpec:
    return ExhibitSpec.from_record(
        {"card": "test", "name": kind, "kind": kind, "title": "A title", "caption": "A caption.", **world}
        | changes
    )


def one(frame: pd.DataFrame, row: str, metric: str, protocol: str = "") -> pd.Series:
    chosen = frame[(frame["row"] == row) & (frame["metric"] == metric) & (frame["protocol"] == protocol)]
    assert len(chosen) == 1, (row, metric, protocol)
    return chosen.iloc[0]
