"""The map of a trained run: landslide probability and classes of a whole place, as COGs."""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.files import read_json, write_json
from headscarp.geo.grid import Grid, rows_of
from headscarp.mapping.predict import Tiling, predict_patches, predict_strips, rows_of_part
from headscarp.mapping.raster import class_raster, probability_raster
from headscarp.samples.patches import PATCHES_FILE, read_patches
from headscarp.training.devices import choose_device, choose_precision, device_name
from headscarp.training.weights import load_network
from headscarp.training.windows import open_normalised, with_dates_of_cube

PIXELS_AT_ONCE = 512 * 512  # of windows that go through a network together
EVEN = 0.5  # a landslide is as likely as not


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
    grid = rows_of(Grid.from_record(header["grid"]), first, last)
    write_map_rasters(
        out_folder,
        ((top - first, probability) for top, probability in strips),
        grid,
        f"headscarp: {network}, seed {record['seed']}",
    )
    write_map_record(out_folder, time.perf_counter() - began, grid.shape, device_name(torch_device))


def require_dates(spec: dict[str, Any], cube_folder: Path, run_folder: Path) -> None:
    """Refuse a cube of another number of dates than the network of a run's specification reads."""
    read, there = spec.get("dates_read"), with_dates_of_cube(spec, cube_folder).get("dates_read")
    if read and len(there) != len(read):
        raise HeadscarpError(
            f"{cube_folder / 'cube.json'} has {len(there)} date(s) ({', '.join(there)}), but "
            f"the network in {run_folder} reads {len(read)} ({', '.join(read)}); give the site "
            f"as many dates, or map it with an experiment without `dates: {spec['dates']}`"
        )


def write_map_rasters(
    folder: Path, strips: Iterable[tuple[int, np.ndarray]], grid: Grid, source: str
) -> None:
    """Write strips (first row, probabilities (classes, rows, cols); of one class that of landslides alone) as
    `probability.tif` and `classes.tif`."""
    shown = (
        (top, probability[LANDSLIDE if len(probability) > 1 else 0], likeliest(probability))
        for top, probability in strips
    )
    write_shown_strips(folder, shown, grid, source)


def write_shown_strips(
    folder: Path, strips: Iterable[tuple[int, np.ndarray, np.ndarray]], grid: Grid, source: str
) -> None:
    """Write strips (first row, landslide probabilities (rows, cols), codes of classes (rows, cols)) as
    `probability.tif` and `classes.tif`."""
    with (
        probability_raster(folder / "probability.tif", grid, source) as write_probability,
        class_raster(folder / "classes.tif", grid, source) as write_classes,
    ):
        for top, probability, classes in strips:
            write_probability(top, probability)
            write_classes(top, classes)


def likeliest(probability: np.ndarray) -> np.ndarray:
    """Codes (rows, cols) uint8 of the likeliest of classes (classes, rows, cols), the first of equals; 255
    where NaN. Of landslides alone (1, rows, cols): 1 where they are as likely as not, or likelier."""
    codes = probability[0] >= EVEN if len(probability) == 1 else probability.argmax(axis=0)
    return np.where(np.isnan(probability[0]), UNMAPPED, codes).astype(np.uint8)


def write_map_record(folder: Path, seconds: float, shape: tuple[int, int], device: str) -> None:
    write_json(
        folder / "map.json", {"seconds": round(seconds, 3), "pixels": shape[0] * shape[1], "device": device}
    )
