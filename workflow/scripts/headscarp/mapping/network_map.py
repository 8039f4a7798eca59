"""The map of a trained run: landslide probability and classes of a whole place, as COGs."""

import time
from collections.abc import Sequence
from pathlib import Path

import torch

from headscarp.files import read_json
from headscarp.geo.grid import rows_of
from headscarp.mapping.map_files import grid_of_maps, write_map_rasters, write_map_record
from headscarp.mapping.predict import Tiling, predict_patches, predict_strips, rows_of_part
from headscarp.samples.patches import PATCHES_FILE, read_patches
from headscarp.training.devices import choose_device, choose_precision, device_name
from headscarp.training.weights import load_network
from headscarp.training.windows import open_normalised, require_dates

PIXELS_AT_ONCE = 512 * 512  # of windows that go through a network together


def map_run(
    run_folder: str | Path,
    cube_folder: str | Path,
    samples_folder: str | Path,
    out_folder: str | Path,
    device: str = "auto",
    threads: int = 1,
    date: int = -1,
    tiling: Tiling | None = None,
    statistics: str | Path | None = None,
    turns: Sequence[int] = (),
    part: int = 1,
    parts: int = 1,
) -> None:
    """Write `probability.tif`, `classes.tif` and `map.json` of a trained run into `out_folder`.

    Where the scene is cut into several `parts`, strips of rows, they are of one `part` alone, counted from 1
    at the top: `mapping.parts.gather_parts` makes of all of them what one call would have made.

    The probability is that of landslides (class 1 where there are several); `classes.tif` holds the codes of
    the likeliest classes.

    The cube of a set of patches is mapped patch by patch, each as a scene of its own.

    `date` counts the cube's dates as Python does; the label, and so the windows, belong to the last one; a
    network of series reads all dates of the cube in their order, which must be as many as those it was
    trained on. The cube may be that of another place than the run was trained on; `samples_folder` is of the
    training site in any case, so that values are normalised as in training (by the statistics of `run.json`,
    if the run was trained with others than its site's). `statistics` names another samples.json, such as that
    of the cube's own site, to normalise by instead. In the `turns` (see `predict.predict_strips`) the network
    sees each window too, and the map is the mean.

    Raises:
        HeadscarpError: the run is not complete, a file of the cube or the samples is missing, the cube lacks
            a channel of the run or has another number of dates than a network of series reads, the scene has
            fewer rows than parts, or the device does not exist.
    """
    run_folder, cube_folder, out_folder = Path(run_folder), Path(cube_folder), Path(out_folder)
    torch_device = choose_device(device)
    torch.set_num_threads(threads)
    model, record = load_network(run_folder)
    spec = record["spec"]
    require_dates(spec, cube_folder, run_folder)
    model.to(torch_device, memory_format=torch.channels_last)
    cube = open_normalised(
        cube_folder,
        samples_folder,
        spec["channels"],
        statistics or record.get("statistics"),
        spec.get("dates"),
    )
    precision = choose_precision(spec["recipe"]["precision"], torch_device)
    tiling = tiling or Tiling()
    batch = max(1, PIXELS_AT_ONCE // tiling.pixels)
    header = read_json(cube_folder / "cube.json")
    options = torch_device, precision, date, tiling, batch, turns
    first, last = rows_of_part(cube.shape[0], part, parts)
    if "patches" in header:
        patches = [patch.area for patch in read_patches(cube_folder / PATCHES_FILE)]
        strips = predict_patches(model, cube, patches, *options)
    else:
        strips = predict_strips(model, cube, *options, rows=(first, last))
    network = spec["network"]["name"]
    began = time.perf_counter()
    grid = rows_of(grid_of_maps(header), first, last)
    write_map_rasters(
        out_folder,
        ((top - first, probability) for top, probability in strips),
        grid,
        f"headscarp: {network}, seed {record['seed']}",
    )
    write_map_record(out_folder, time.perf_counter() - began, grid.shape, device_name(torch_device))
