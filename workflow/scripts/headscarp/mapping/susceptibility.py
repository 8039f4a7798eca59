"""The susceptibility map of a run: one band for each fold, whatever model gave it."""

import time
from pathlib import Path

import torch

from headscarp.mapping.dense import susceptibility_map
from headscarp.mapping.map_files import write_map_record, write_susceptibility
from headscarp.samples.cell_table import read_cells, scaled_factors
from headscarp.site.cube import open_cube
from headscarp.training.cells import load_fold_networks
from headscarp.training.devices import choose_device, device_name


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
