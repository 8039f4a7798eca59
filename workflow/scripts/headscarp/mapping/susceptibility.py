"""The susceptibility map of a run: one band for each fold, whatever model gave it."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from headscarp.geo.grid import Grid
from headscarp.geo.layer import write_cog
from headscarp.mapping.dense import susceptibility_map
from headscarp.mapping.network_map import write_map_record
from headscarp.samples.cell_table import read_cells, scaled_factors
from headscarp.site.cube import Cube, open_cube
from headscarp.training.cells import load_fold_networks
from headscarp.training.devices import choose_device, device_name

SUSCEPTIBILITY_NAME = "landslide susceptibility"


def map_susceptibility(
    run_folder: str | Path,
    cube_folder: str | Path,
    cells_folder: str | Path,
    out_folder: str | Path,
    device: str = "auto",
    threads: int = 1,
) -> None:
    """Write `susceptibility.tif` (probability of a landslide, band k by the network of fold k) and `map.json`
    of a run into `out_folder`.

    Cells whose largest window leaves the map or holds no data are NaN.

    Raises:
        HeadscarpError: the run is not complete, a file of the cube or the cells is missing, or the device
            does not exist.
    """
    torch_device = choose_device(device)
    torch.set_num_threads(threads)
    cube, cells = open_cube(cube_folder), read_cells(cells_folder)
    models, record = load_fold_networks(run_folder, cells.folds)
    channels = record["spec"]["channels"]
    began = time.perf_counter()
    bands = [
        susceptibility_map(
            model.to(torch_device),
            scaled_factors(cube, cells, fold, channels),
            torch_device,
            without_mean=cube.without_mean(channels),
        )
        for fold, model in enumerate(models)
    ]
    write_susceptibility(Path(out_folder), bands, cube, record["spec"]["network"]["name"], record["seed"])
    write_map_record(Path(out_folder), time.perf_counter() - began, bands[0].shape, device_name(torch_device))


def write_susceptibility(
    folder: Path, bands: Sequence[np.ndarray], cube: Cube, network: str, seed: int
) -> None:
    """Write one band (row, col) float32 for each fold as `susceptibility.tif`."""
    names = (
        [SUSCEPTIBILITY_NAME]
        if len(bands) == 1
        else [f"{SUSCEPTIBILITY_NAME}, fold {fold}" for fold in range(len(bands))]
    )
    grid = Grid.from_record(cube.header["grid"])
    write_cog(
        folder / "susceptibility.tif",
        np.stack(bands),
        grid,
        float("nan"),
        names,
        "1",
        f"headscarp: {network}, seed {seed}",
    )
