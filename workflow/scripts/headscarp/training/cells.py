"""Training of a network that tells from the factors around a cell how susceptible it is, one training for
each fold.

Windows are never stored: each batch is cut from the factor map on the device that trains.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from headscarp import __version__
from headscarp.errors import HeadscarpError
from headscarp.files import read_json, remove, sha256_of, write_json
from headscarp.networks import count_parameters, count_trainable
from headscarp.networks.neighbourhoods import neighbourhoods, require_within_map
from headscarp.provenance import files_read_by_run, run_provenance
from headscarp.samples.cell_table import Cells, read_cells, scaled_factors
from headscarp.site.cube import Cube, open_cube
from headscarp.training.batches import Batch, training_order, validation_order
from headscarp.training.devices import choose_device, choose_precision, device_name
from headscarp.training.recipe import Recipe
from headscarp.training.trainer import HISTORY_COLUMNS, keeps_best, train, write_history
from headscarp.training.weights import build_network, save_weights


@dataclass(frozen=True)
class CellBatches:
    """Batches of one fold, all on the device of `factors`: windows (n, scale, channel, s, s), target (n)
    int64, weight (n) float32.

    `factors` (channel, row, col) are scaled, `without_mean` says which of them have none; `subsets` maps
    train and validation to row, col and label (cell) int64 of their cells; `weights` are those of no
    landslide and landslide.
    """

    factors: Tensor
    without_mean: Tensor
    subsets: dict[str, tuple[Tensor, Tensor, Tensor]]
    weights: Tensor
    windows: tuple[int, ...]
    batch: int
    steps: int
    seed: int
    in_part: bool = False

    def count(self, split: str) -> int:
        return len(self.subsets[split][0])

    def training(self, epoch: int) -> Iterator[Batch]:
        return self._batches(
            "train", training_order(self.count("train"), self.steps * self.batch, self.seed, epoch)
        )

    def validation(self) -> Iterator[Batch]:
        return self._batches(
            "validation", validation_order(self.count("validation"), self.steps * self.batch)
        )

    def _batches(self, split: str, order: np.ndarray) -> Iterator[Batch]:
        for chosen in torch.from_numpy(order).to(self.factors.device).split(self.batch):
            row, col, label = (values[chosen] for values in self.subsets[split])
            windows = neighbourhoods(self.factors, row, col, self.windows, self.without_mean)
            yield windows, label, self.weights[label]


def train_cells(
    cube_folder: str | Path,
    cells_folder: str | Path,
    run_folder: str | Path,
    spec: dict[str, Any],
    device: str = "auto",
    threads: int = 1,
    progress: bool = True,
) -> None:
    """Train the run that `spec` describes on cells: `model.safetensors` (names begin with fold0., fold1. …),
    `history.csv`, `run.json`.

    The loss `bce` is that of the two outputs together, which is the cross-entropy of their softmax. A fold is
    trained in `fold<k>` below the run's folder and taken up where it stopped; those folders go when all are
    trained.

    Args:
        spec: {network: {name, width, params}, channels: [names], classes, recipe: {...}, seed}, as for
            `trainer.train_run`.

    Raises:
        HeadscarpError: an unknown channel, network, recipe key or device; windows larger than those the cells
            were chosen for; a recipe that cells have no use for; a loss that is not finite.
    """
    began = time.time()
    run_folder, torch_device = Path(run_folder), choose_device(device)
    torch.set_num_threads(threads)
    recipe = recipe_of_cells(Recipe.from_record(spec["recipe"]))
    cube, cells = open_cube(cube_folder), read_cells(cells_folder)
    model = build_untrained(spec)
    require_windows_within(model, cells, Path(cells_folder))
    fingerprint = fingerprint_of_cells(spec, Path(cube_folder), Path(cells_folder))
    folders = [run_folder / f"fold{fold}" for fold in range(cells.folds)]
    folds = [
        train_fold(cube, cells, fold, folder, spec, recipe, torch_device, fingerprint, progress)
        for fold, folder in enumerate(folders)
    ]

    weights = [load_file(folder / "model.safetensors") for folder in folders]
    state = {
        f"fold{fold}.{name}": tensor
        for fold, tensors in enumerate(weights)
        for name, tensor in tensors.items()
    }
    save_weights(run_folder / "model.safetensors", state)
    history = [{"fold": fold} | line for fold, record in enumerate(folds) for line in record["history"]]
    write_history(run_folder / "history.csv", history, ("fold", *HISTORY_COLUMNS))
    write_json(
        run_folder / "run.json",
        {
            "spec": spec | {"recipe": recipe.to_record()},
            "seed": spec["seed"],
            "protocol": cells.record["protocol"],
            "versions": {"torch": torch.__version__, "numpy": np.__version__, "headscarp": __version__},
            "device": device_name(torch_device),
            "precision": str(choose_precision(recipe.precision, torch_device)).removeprefix("torch."),
            "threads": threads,
            "parameters": count_parameters(model),
            "trainable": count_trainable(model),
            "cells": cells.record["counts"],
            "folds": [
                {
                    key: record[key]
                    for key in ("epochs", "best_epoch", "weights", "converged", "class_weights", "seconds")
                }
                for record in folds
            ],
            "epochs": max(record["epochs"] for record in folds),
            "converged": all(record["converged"] for record in folds),
            "seconds": round(sum(record["seconds"] for record in folds), 3),
        }
        | run_provenance(began, files_read_by_run(cube_folder, cells_folder)),
    )
    for folder in folders:
        remove(folder)


def recipe_of_cells(recipe: Recipe) -> Recipe:
    """The recipe, with the loss that suits cells.

    Raises:
        HeadscarpError: it asks for what cells have no use for.
    """
    for key, plain in (
        ("augment", False),
        ("jitter", 0),
        ("positive_weight", None),
        ("initialisation", "default"),
        ("pretraining", None),
    ):
        if getattr(recipe, key) != plain:
            shown = json.dumps(plain)
            raise HeadscarpError(
                f"recipe.{key} is {getattr(recipe, key)!r}, but "
                f"cells are trained without it; set `{key}: {shown}`"
            )
    if recipe.loss == "mse_bce":
        raise HeadscarpError("recipe.loss 'mse_bce' is not for cells; use bce, cross_entropy or focal")
    return replace(recipe, loss="cross_entropy" if recipe.loss == "bce" else recipe.loss)


def build_untrained(spec: dict[str, Any]) -> nn.Module:
    """The network of a spec: a function of its seed, whatever ran before."""
    torch.manual_seed(spec["seed"])
    return build_network(spec)


def require_windows_within(model: nn.Module, cells: Cells, folder: Path) -> None:
    largest = max(cells.record["windows"])
    if max(model.windows) > largest:
        raise HeadscarpError(
            f"the network looks at windows of {max(model.windows)} cells, but the cells in "
            f"{folder} were chosen for {largest}; add the size to cells.windows in the card"
        )


def train_fold(
    cube: Cube,
    cells: Cells,
    fold: int,
    folder: Path,
    spec: dict[str, Any],
    recipe: Recipe,
    device: torch.device,
    fingerprint: str,
    progress: bool,
) -> dict[str, Any]:
    """Train one fold in `folder` and return its record; one that is trained already, for the same run, is
    left as it is."""
    record_path = folder / "fold.json"
    if record_path.exists():
        record = read_json(record_path)
        if record["fingerprint"] == fingerprint:
            return record
    batches = fold_batches(cube, cells, fold, spec, recipe, device)
    state = train(
        build_untrained(spec),
        batches,
        recipe,
        folder,
        spec["seed"],
        device,
        fingerprint,
        progress,
        keep_best=keeps_best(cells.record["protocol"]),
    )
    record = {
        "fingerprint": fingerprint,
        "history": state.history,
        "epochs": len(state.history),
        "best_epoch": state.best_epoch,
        "weights": "best" if state.best is not None else "last",
        "converged": state.has_converged(recipe.patience),
        "class_weights": batches.weights.tolist(),
        "seconds": round(sum(line["seconds"] for line in state.history), 3),
    }
    write_json(record_path, record)
    return record


def fold_batches(
    cube: Cube, cells: Cells, fold: int, spec: dict[str, Any], recipe: Recipe, device: torch.device
) -> CellBatches:
    factors = torch.from_numpy(scaled_factors(cube, cells, fold, spec["channels"])).to(device)
    chosen = {name: cells.members(fold, name) for name in ("train", "validation")}
    columns = (cells.row, cells.col, cells.label)
    subsets = {
        name: tuple(torch.from_numpy(values[mask].astype(np.int64)).to(device) for values in columns)
        for name, mask in chosen.items()
    }
    weights = torch.ones(2, device=device)
    if recipe.class_weights == "balanced":
        weights = balanced_weights(subsets["train"][2])
    steps = recipe.steps_per_epoch or -(-int(chosen["train"].sum()) // recipe.batch)
    windows = build_untrained(spec).windows
    for row, col, _ in subsets.values():
        require_within_map(factors, row, col, windows)
    return CellBatches(
        factors=factors,
        without_mean=torch.tensor(cube.without_mean(spec["channels"]), device=device),
        subsets=subsets,
        weights=weights,
        windows=windows,
        batch=recipe.batch,
        steps=steps,
        seed=spec["seed"],
    )


def balanced_weights(label: Tensor) -> Tensor:
    """Weights (2) float32 with which both classes count the same and the mean is 1: n / (2 n_class), as
    scikit-learn's `balanced`."""
    return len(label) / (2 * torch.bincount(label, minlength=2).float())


def fingerprint_of_cells(spec: dict[str, Any], cube_folder: Path, cells_folder: Path) -> str:
    """A digest that changes with anything that training depends on; the cube enters by size and time of
    change."""
    status = (cube_folder / "cube.npy").stat()
    content = {
        "spec": spec,
        "cube": read_json(cube_folder / "cube.json"),
        "array": [status.st_size, status.st_mtime_ns],
        "cells": [read_json(cells_folder / "cells.json"), sha256_of(cells_folder / "cells.npz")],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def load_fold_networks(run_folder: str | Path, folds: int) -> tuple[list[nn.Module], dict[str, Any]]:
    """The trained networks of a run, one a fold, on the CPU, and its `run.json`.

    Raises:
        HeadscarpError: the run is not complete, or its weights do not fit its network or the number of folds.
    """
    record = read_json(Path(run_folder) / "run.json")
    path = Path(run_folder) / "model.safetensors"
    try:
        weights = load_file(path)
        models = [build_untrained(record["spec"]) for _ in range(folds)]
        for fold, model in enumerate(models):
            prefix = f"fold{fold}."
            model.load_state_dict(
                {
                    name.removeprefix(prefix): tensor
                    for name, tensor in weights.items()
                    if name.startswith(prefix)
                }
            )
    except (OSError, SafetensorError, RuntimeError) as error:
        raise HeadscarpError(
            f"{path} cannot be loaded ({error}); delete the folder {run_folder} and train the run again"
        ) from None
    return models, record
