"""A training before it is run in earnest: two steps, a batch of validation and a mapped window at full size,
on random numbers, for what they cost."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn

from headscarp.codes import TRAIN, VALIDATION
from headscarp.errors import HeadscarpError
from headscarp.files import write_json
from headscarp.mapping.dense import susceptibility_map
from headscarp.mapping.predict import Tiling, predict_windows
from headscarp.networks import count_parameters
from headscarp.samples.windows import Window, write_windows
from headscarp.training.batches import BatchSource
from headscarp.training.cells import CellBatches, build_untrained, recipe_of_cells
from headscarp.training.devices import choose_device, choose_precision, device_name, peak_memory
from headscarp.training.recipe import Recipe
from headscarp.training.trainer import EpochLoop, make_optimiser, prepare_training
from headscarp.training.windows import open_samples, with_dates_of_cube

STEPS = 2  # the first pays for what is prepared once, the second is measured
PROBE = 2  # windows of the first steps
COPIES_OF_WEIGHTS = 4  # weights, gradients and two moments of Adam
SEED = 0
CELLS_MAPPED = 32  # rows and columns of a map of susceptibility


class Clock:
    """The moments at which a training begins and its steps end; stands in for `progress.Progress`."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.moments = [now(device)]

    def step(self) -> None:
        self.moments.append(now(self.device))


def now(device: torch.device) -> float:
    """Seconds by the clock once the device has done what it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def rehearse(record: dict[str, Any], device: str, threads: int, memory_mib: float) -> dict[str, Any]:
    """What a training costs on a device.

    A batch that goes through the network in parts (`micro_batch`) is rehearsed as one part, and its seconds
    are multiplied. A step of two windows (batch norm wants more than one) tells the memory that each takes:
    where all of a batch would not fit into `memory_mib`, it alone is measured.

    Args:
        record: {network: {name, width, params}, channels: their number, classes, recipe: what costs,
            of_cells, window, dates, mapping}, as `plan.rehearsal.Rehearsal.record` makes it.
        memory_mib: of the processor's memory, what one job may take; of an accelerator all that it has.

    Returns:
        parameters; seconds_a_step of the whole batch; seconds_a_validation_batch; memory {mib, of}; fits, and
        where it does not `windows_that_fit` (0: not even one); mapped {seconds, pixels}: of a window of a map
        and the pixels that it adds; device, threads.

    Raises:
        HeadscarpError: an unknown network, recipe or device; or nobody knows yet how many dates are read.
    """
    if isinstance(record["dates"], str):
        raise HeadscarpError(
            f"how many dates its site has only {record['dates']} tells, which does not exist; run `snakemake "
            f"--cores 2 {record['dates']}` first, then rehearse again"
        )
    torch_device = choose_device(device)
    torch.set_num_threads(threads)
    limit = memory_of(torch_device) if torch_device.type == "cuda" else memory_mib
    recipe = Recipe.from_record(record["recipe"])
    part = min(recipe.micro_batch or recipe.batch, recipe.batch)
    before = peak_memory(torch_device)["mib"]
    small = part <= PROBE
    model, measured = run_steps(record, PROBE, STEPS if small else 1, torch_device)
    weights = count_parameters(model) * COPIES_OF_WEIGHTS * 4 / 2**20
    each = max((peak_memory(torch_device)["mib"] - before - weights) / PROBE, 1.0)
    needed = before + weights + each * max(part, PROBE)
    fits = needed <= limit
    if fits and not small:
        model, measured = run_steps(record, part, STEPS, torch_device)
    windows = max(part, PROBE) if fits else PROBE
    parts = recipe.batch / windows
    mapped = (
        map_cells(model, record, torch_device)
        if record["of_cells"]
        else map_window(model, record, torch_device)
    )
    memory = peak_memory(torch_device)
    return {
        "parameters": count_parameters(model),
        "seconds_a_step": measured["step"] * parts,
        "seconds_a_validation_batch": measured["validation"] * parts,
        "memory": memory if fits else memory | {"mib": round(needed, 1)},
        "fits": fits,
        "windows_that_fit": part if fits else max(0, int((limit - before - weights) / each)),
        "mapped": mapped,
        "device": device_name(torch_device),
        "threads": threads,
    }


def memory_of(device: torch.device) -> float:
    """Memory of an accelerator in MiB."""
    return torch.cuda.get_device_properties(device).total_memory / 2**20


def run_steps(
    record: dict[str, Any], batch: int, steps: int, device: torch.device
) -> tuple[nn.Module, dict[str, float]]:
    """The network after some steps of `batch` windows (or cells) and a batch of validation, and the seconds
    of the last step and of that batch."""
    recipe = record["recipe"] | {"batch": batch, "micro_batch": None, "epochs": 1, "steps_per_epoch": steps}
    with TemporaryDirectory() as folder:
        prepare = cells_at_random if record["of_cells"] else windows_at_random
        model, batches, resolved = prepare(record, Recipe.from_record(recipe), Path(folder), device)
        clock = Clock(device)
        loop = EpochLoop(
            model, make_optimiser(resolved, model), batches, resolved, device, SEED, keep_best=False
        )
        loop.run_epoch(0, clock)
        end = now(device)
    return model, {"step": clock.moments[-1] - clock.moments[-2], "validation": end - clock.moments[-1]}


def spec_of(record: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    dates = {"dates": "all"} if record["dates"] > 1 else {}
    channels = [f"channel {number}" for number in range(record["channels"])]
    wanted = {"network": record["network"], "channels": channels, "classes": record["classes"]}
    return wanted | {"recipe": recipe.to_record(), "seed": SEED} | dates


def windows_at_random(
    record: dict[str, Any], recipe: Recipe, folder: Path, device: torch.device
) -> tuple[nn.Module, BatchSource, Recipe]:
    """Network, batches and recipe of a made-up site of one window, half of it for training, half for
    validation."""
    spec, side = spec_of(record, recipe), record["window"]
    channels = spec["channels"]
    random = np.random.default_rng(SEED)
    np.save(
        folder / "cube.npy",
        random.standard_normal((record["dates"], len(channels), side, side), np.float32),
    )
    np.save(folder / "label.npy", random.integers(0, max(2, record["classes"]), (side, side), np.uint8))
    regions = np.full((side, side), TRAIN, np.uint8)
    regions[:, side // 2 :] = VALIDATION
    np.save(folder / "regions.npy", regions)
    named = [{"name": name, "dated": True} for name in channels]
    write_json(folder / "cube.json", {"channels": named, "dates": [str(n) for n in range(record["dates"])]})
    scale = {name: {"mean": 0.0, "sd": 1.0} for name in channels}
    write_json(folder / "samples.json", {"protocol": "blocked", "normalisation": scale})
    date = record["dates"] - 1
    windows = [
        Window(0, 0, side, date, split) for split in ("train", "validation") for _ in range(recipe.batch)
    ]
    write_windows(folder / "windows.csv", windows)
    samples = open_samples(folder, folder, channels, dates=spec.get("dates"))
    model, batches, _ = prepare_training(with_dates_of_cube(spec, folder), recipe, samples, device)
    return model, batches, recipe


def cells_at_random(
    record: dict[str, Any], recipe: Recipe, folder: Path, device: torch.device
) -> tuple[nn.Module, BatchSource, Recipe]:
    """Network, batches and recipe of cells on a made-up map of factors, a little larger than a window."""
    spec, recipe = spec_of(record, recipe), recipe_of_cells(recipe)
    model = build_untrained(spec).to(device)
    margin = max(model.windows)
    random = np.random.default_rng(SEED)
    side = 3 * margin
    factors = random.standard_normal((record["channels"], side, side), np.float32)
    place = [torch.from_numpy(random.integers(margin, 2 * margin, recipe.batch)).to(device) for _ in "rc"]
    label = torch.from_numpy(random.integers(0, 2, recipe.batch)).to(device)
    batches = CellBatches(
        factors=torch.from_numpy(factors).to(device),
        without_mean=[False] * len(factors),
        subsets=dict.fromkeys(("train", "validation"), (*place, label)),
        weights=torch.ones(2, device=device),
        windows=model.windows,
        batch=recipe.batch,
        steps=STEPS,
        seed=SEED,
    )
    return model, batches, recipe


def map_window(model: nn.Module, record: dict[str, Any], device: torch.device) -> dict[str, float]:
    """Seconds of one window of a map, and the pixels that it adds to those of its neighbours."""
    tiling = Tiling.of_card(record["mapping"], record["window"])
    planes = record["channels"]
    planes = record["dates"] * (planes + 1) if record["dates"] > 1 else planes
    image = np.random.default_rng(SEED).standard_normal((1, planes, tiling.window, tiling.window), np.float32)
    precision = choose_precision(Recipe.from_record(record["recipe"]).precision, device)
    model.eval()
    predict_windows(model, image, device, precision)
    began = now(device)
    predict_windows(model, image, device, precision)
    return {"seconds": now(device) - began, "pixels": (tiling.window - tiling.overlap) ** 2}


def map_cells(model: nn.Module, record: dict[str, Any], device: torch.device) -> dict[str, float]:
    """Seconds of a small map of susceptibility, and its cells."""
    side = CELLS_MAPPED + max(model.windows) - 1
    factors = np.random.default_rng(SEED).standard_normal((record["channels"], side, side), np.float32)
    began = now(device)
    susceptibility_map(model, factors, device, without_mean=[False] * len(factors))
    return {"seconds": now(device) - began, "pixels": CELLS_MAPPED**2}
