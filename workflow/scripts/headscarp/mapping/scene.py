"""The map of a trained run: probability of its whole scene as a COG."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from headscarp.files import read_json, write_json
from headscarp.learning.devices import choose_device, choose_precision, device_name
from headscarp.learning.weights import load_network
from headscarp.learning.windows import open_scene
from headscarp.mapping.predict import Tiling, predict_scene
from headscarp.mapping.raster import write_probability
from headscarp.samples.splits import LANDSLIDE
from headscarp.site.grid import Grid


def map_run(
    run_folder: str | Path,
    cube_folder: str | Path,
    samples_folder: str | Path,
    device: str = "auto",
    threads: int = 1,
    date: int = -1,
    tiling: Tiling | None = None,
    batch: int = 1,
    out_folder: str | Path | None = None,
) -> None:
    """Write `probability.tif` (of class 1 where there are several) and `map.json` into the folder of a trained run, or `out_folder`.

    `date` counts the cube's dates as Python does; the label, and so the windows, belong to the last one. The cube may be that of another
    site than the run was trained on; `samples_folder` is of the training site in any case, so that values are normalised as in training.

    Raises:
        HeadscarpError: the run is not complete, a file of the cube or the samples is missing, the cube lacks a channel of the run, or the
            device does not exist.
    """
    run_folder, cube_folder = Path(run_folder), Path(cube_folder)
    out_folder = run_folder if out_folder is None else Path(out_folder)
    place = choose_device(device)
    torch.set_num_threads(threads)
    model, record = load_network(run_folder)
    model.to(place, memory_format=torch.channels_last)
    scene = open_scene(cube_folder, samples_folder, record["spec"]["channels"])
    precision = choose_precision(record["spec"]["recipe"]["precision"], place)
    strips = predict_scene(model, scene, place, precision, date, tiling, batch)
    network = record["spec"]["network"]["name"]
    began = time.perf_counter()
    grid = Grid.from_record(read_json(cube_folder / "cube.json")["grid"])
    write_probability(out_folder / "probability.tif", of_landslides(strips), grid, f"headscarp: {network}, seed {record['seed']}")
    write_map_record(out_folder, time.perf_counter() - began, scene.shape, device_name(place))


def of_landslides(strips: Iterator[tuple[int, np.ndarray]]) -> Iterator[tuple[int, np.ndarray]]:
    """The one plane of a binary network, or that of landslides among several classes."""
    for top, probability in strips:
        yield top, probability[0 if len(probability) == 1 else LANDSLIDE]


def write_map_record(folder: Path, seconds: float, shape: tuple[int, int], device: str) -> None:
    write_json(folder / "map.json", {"seconds": round(seconds, 3), "pixels": shape[0] * shape[1], "device": device})
