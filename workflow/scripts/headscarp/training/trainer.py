"""The trainer of all networks: one loop, a checkpoint after every epoch, and a resume that changes nothing.

Order of windows, augmentation, dropout and learning rate of an epoch are functions of (seed, epoch). So
weights, optimiser state and history at the end of an epoch are all that a resumed run needs to end, on a CPU
with as many threads, with the same bits as one left alone.
"""

import csv
import hashlib
import inspect
import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from headscarp import __version__
from headscarp.codes import LANDSLIDE, NOT_LANDSLIDE, TUNED
from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path, read_json, remove, sha256_of, write_json
from headscarp.networks import count_parameters, count_trainable, start_where_landslides_are_rare
from headscarp.networks.initialise import positive_unit_ball_
from headscarp.provenance import files_read_by_run, run_provenance
from headscarp.training.batches import Batch, Batches, BatchSource
from headscarp.training.device_batches import DeviceBatches, place_batches
from headscarp.training.devices import (
    GPU_CUBE_MIB,
    autocast,
    choose_device,
    choose_precision,
    compile_on_gpu,
    device_name,
    peak_memory,
)
from headscarp.training.losses import make_loss, masked_mean
from headscarp.training.origin import origin_of_run
from headscarp.training.pretraining import pretrain
from headscarp.training.progress import Progress
from headscarp.training.recipe import Recipe
from headscarp.training.schedules import learning_rate_at
from headscarp.training.validation import ValidationScore
from headscarp.training.weights import build_network, load_initial_weights, save_weights
from headscarp.training.windows import SHUFFLED_DATES, Samples, open_samples, with_dates_of_cube

HISTORY_COLUMNS = (
    "epoch",
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "validation_score",
    "learning_rate",
    "seconds",
)
# Of a run whose deep belief network was trained in advance, layer by layer.
PRETRAINED_HISTORY_COLUMNS = ("phase", "epoch", "reconstruction_error", *HISTORY_COLUMNS[1:])
EPOCHS_IN_RECORD = 5
PLATEAU = 0.01  # of the validation score


class DivergedError(HeadscarpError):
    """The loss of a training is no longer a finite number."""


@dataclass
class TrainingState:
    """What changes from epoch to epoch beside weights and optimiser: one line of history each; the best
    weights, where these are kept."""

    history: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Tensor] | None = None

    @property
    def best_epoch(self) -> int | None:
        """Epoch (from 1) of the highest validation score; None where nothing was validated."""
        validated = [record for record in self.history if record["validation_score"] is not None]
        return max(validated, key=lambda record: record["validation_score"])["epoch"] if validated else None

    def is_out_of(self, patience: int | None) -> bool:
        return (
            patience is not None
            and self.best_epoch is not None
            and self.history[-1]["epoch"] - self.best_epoch >= patience
        )

    def has_converged(self, patience: int | None) -> bool:
        """Whether the validation score has reached its plateau: patience ran out, or the best of the last
        quarter of epochs is higher than the best of the quarter before by PLATEAU at most."""
        if not self.history or self.is_out_of(patience):
            return True
        scores = [record["validation_score"] for record in self.history]
        quarter = len(scores) // 4
        if not quarter or None in scores:
            return False
        return max(scores[-quarter:]) - max(scores[-2 * quarter : -quarter]) <= PLATEAU


def train(
    model: nn.Module,
    batches: BatchSource,
    recipe: Recipe,
    folder: str | Path,
    seed: int,
    device: torch.device,
    fingerprint: str,
    progress: bool = True,
    pretraining: Sequence[dict[str, Any]] = (),
    keep_best: bool = True,
) -> TrainingState:
    """Train `model` in place; write `model.safetensors` and `history.csv` into `folder`.

    `pretraining` holds the lines of history of what was trained before; history then says of each line which
    phase it belongs to. A `checkpoint.pt` in `folder` with the same `fingerprint` is taken up where it
    stopped; any other is ignored. With `keep_best` the weights of the highest validation score (average
    precision, or mean F1 of several classes) come back at the end, else the last ones stay.

    Raises:
        HeadscarpError: there are no windows to train on (or none to validate on, with patience).
        DivergedError: the loss is no longer a finite number.
    """
    folder = Path(folder)
    require_windows(batches, recipe, str(folder))
    for leftover in folder.glob(".*.partial*"):  # of a run killed while it wrote
        remove(leftover)
    model.to(device)
    optimiser = make_optimiser(recipe, model)
    checkpoint = folder / "checkpoint.pt"
    state = load_checkpoint(checkpoint, fingerprint, model, optimiser, device)
    loop = EpochLoop(
        model=model,
        optimiser=optimiser,
        batches=batches,
        recipe=recipe,
        device=device,
        seed=seed,
        keep_best=keep_best,
    )
    progress_bar = Progress(
        "/".join(folder.parts[-5:]),
        len(state.history) * batches.steps,
        recipe.epochs * batches.steps,
        progress,
    )
    with closing(progress_bar):
        for record in run_epochs(loop, state, str(folder), progress_bar):
            save_checkpoint(checkpoint, fingerprint, model, optimiser, state)
            progress_bar.epoch(record, recipe.epochs)
    if pretraining:
        lines = [*pretraining, *({"phase": "training"} | record for record in state.history)]
        write_history(folder / "history.csv", lines, PRETRAINED_HISTORY_COLUMNS)
    else:
        write_history(folder / "history.csv", state.history)
    save_weights(folder / "model.safetensors", model.state_dict())
    remove(checkpoint)
    return state


def run_epochs(
    loop: "EpochLoop", state: TrainingState, name: str, progress_bar: Progress
) -> Iterator[dict[str, Any]]:
    """Run the epochs that `state` still lacks, until the recipe's number or its patience is reached; yield
    the record of each.

    At the end of a training that keeps them the best weights are put back. `name` is what messages call the
    training.
    """
    recipe = loop.recipe
    while len(state.history) < recipe.epochs and not state.is_out_of(recipe.patience):
        record = loop.run_epoch(len(state.history), progress_bar)
        require_finite_losses(record, recipe, name)
        state.history.append(record)
        if loop.keep_best and state.best_epoch == record["epoch"]:
            state.best = {name: tensor.detach().clone() for name, tensor in loop.model.state_dict().items()}
        yield record
    if state.best is not None:
        loop.model.load_state_dict(state.best)


def require_windows(batches: BatchSource, recipe: Recipe, name: str) -> None:
    if not batches.count("train"):
        raise HeadscarpError(
            f"{name}: there are no training windows; use smaller windows or blocks in the card's `sampling`"
        )
    if recipe.patience is not None and not batches.count("validation"):
        raise HeadscarpError(
            f"{name}: early stopping needs validation windows and "
            "there are none; set `patience: null` or use smaller blocks"
        )


def require_finite_losses(record: dict[str, Any], recipe: Recipe, name: str) -> None:
    for key, needed in (("train_loss", True), ("validation_loss", recipe.patience is not None)):
        if record[key] is None and needed:
            raise HeadscarpError(
                f"{name}: no pixel counted in {key}: all are unmapped or "
                "outside their region; check the labels and the blocks"
            )
        if record[key] is not None and not math.isfinite(record[key]):
            raise DivergedError(
                f"{name}: {key} became {record[key]} in epoch {record['epoch']}; lower `learning_rate` (now "
                f"{recipe.learning_rate:g}) or set `precision: float32`, and run the same command again"
            )


def make_optimiser(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    if recipe.optimiser == "sgd":
        sgd = without_compile_wrappers(torch.optim.SGD)
        return sgd(
            model.parameters(), recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay
        )
    return without_compile_wrappers(torch.optim.Adam)(
        model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
    )


def without_compile_wrappers(optimiser: type[torch.optim.Optimizer]) -> type[torch.optim.Optimizer]:
    """The same optimiser without the wrappers by which torch keeps torch.compile out of it: their first call
    loads all of torch._dynamo, one to three seconds of CPU time, half of a short training."""
    bare = {
        name: inspect.unwrap(getattr(optimiser, name))
        for name in ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
    }
    return type(
        optimiser.__name__, (optimiser,), bare | {"step": torch.no_grad()(inspect.unwrap(optimiser.step))}
    )


class EpochLoop:
    """One epoch at a time: a pass over training batches, then one over validation batches."""

    def __init__(
        self,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        batches: BatchSource,
        recipe: Recipe,
        device: torch.device,
        seed: int,
        keep_best: bool,
    ) -> None:
        self.keep_best = keep_best
        self.model = model
        self.optimiser = optimiser
        self.batches = batches
        self.recipe = recipe
        self.device = device
        self.seed = seed
        self.loss = make_loss(recipe, batches.in_part)
        self.precision = choose_precision(recipe.precision, device)

    def run_epoch(self, epoch: int, progress_bar: Progress) -> dict[str, Any]:
        """Train and validate epoch `epoch` (from 0); return its line of history."""
        began = time.perf_counter()
        torch.manual_seed(epoch_seed(self.seed, epoch))
        self.model.train()
        losses, accuracy = PixelMean(), PixelMean()
        for number, batch in enumerate(self.batches.training(epoch)):
            rate = learning_rate_at(
                self.recipe, epoch * self.batches.steps + number, self.recipe.epochs * self.batches.steps
            )
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            counted = batch[2].to(self.device, non_blocking=True).sum()
            self.optimiser.zero_grad()
            for part in self._parts(batch):
                (logits, *auxiliary), target, mask = self._outputs(part)
                pixel_losses = self.loss(logits, target)
                minimised = sum(
                    (
                        self.model.auxiliary_weight * self.loss(logits_of_head, target)
                        for logits_of_head in auxiliary
                    ),
                    pixel_losses,
                )
                masked_mean(minimised, mask, counted).backward()
                losses.add(pixel_losses.detach(), mask)
                accuracy.add(is_correct(logits.detach(), target), mask > 0)
            self.optimiser.step()
            progress_bar.step()
        validation_loss, validation_accuracy, validation_score = self._validate()
        return {
            "epoch": epoch + 1,
            "train_loss": losses.value(),
            "train_accuracy": accuracy.value(),
            "validation_loss": validation_loss,
            "validation_accuracy": validation_accuracy,
            "validation_score": validation_score,
            "learning_rate": rate,
            "seconds": round(time.perf_counter() - began, 3),
        }

    def validation_logits(self, batches: BatchSource) -> Iterator[Batch]:
        """Logits float32, target and mask of each (micro) batch of validation of `batches`, on the device,
        without gradients."""
        self.model.eval()
        with torch.inference_mode():
            for batch in batches.validation():
                for part in self._parts(batch):
                    (logits,), target, mask = self._outputs(part)
                    yield logits, target, mask

    def _validate(self) -> tuple[float | None, float | None, float | None]:
        losses, accuracy, score = PixelMean(), PixelMean(), ValidationScore()
        for logits, target, mask in self.validation_logits(self.batches):
            losses.add(self.loss(logits, target), mask)
            accuracy.add(is_correct(logits, target), mask > 0)
            score.add(logits, target, mask > 0)
        return losses.value(), accuracy.value(), score.value()

    def _parts(self, batch: Batch) -> Iterator[Batch]:
        """The micro batches of a batch, still where the batch is."""
        size = self.recipe.micro_batch or len(batch[0])
        return zip(*(part.split(size) for part in batch), strict=True)

    def _outputs(self, batch: Batch) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
        """Logits float32, of a network with an auxiliary head in training both of its logits; target and
        mask; all on the device."""
        image, target, mask = (part.to(self.device, non_blocking=True) for part in batch)
        with autocast(self.device, self.precision):
            found = self.model(image)
        outputs = found if isinstance(found, tuple) else (found,)
        return tuple(logits.float() for logits in outputs), target, mask


def is_correct(logits: Tensor, target: Tensor) -> Tensor:
    """Whether the class of highest probability, for a single logit that of 0.5 or more, is the target, or
    not landslide where the target tells no more: (n, row, col) bool."""
    found = logits[:, 0] >= 0 if logits.shape[1] == 1 else logits.argmax(1)
    return (found == target) | ((target == NOT_LANDSLIDE) & (found != LANDSLIDE))


class PixelMean:
    """Mean of a quantity over all pixels that count, kept on the device until asked for."""

    def __init__(self) -> None:
        self._sum: Tensor | float = 0.0
        self._count: Tensor | float = 0.0

    def add(self, values: Tensor, mask: Tensor) -> None:
        self._sum = self._sum + (values * mask).sum(dtype=torch.float64)
        self._count = self._count + mask.sum(dtype=torch.float64)

    def value(self) -> float | None:
        """None where no pixel counted."""
        return float(self._sum / self._count) if float(self._count) else None


def keeps_best(protocol: str) -> bool:
    """Whether a protocol takes the weights that validation ground likes best. The papers' validation windows
    overlap those of training or are those of the test: `published` takes the last."""
    return protocol in TUNED


def epoch_seed(seed: int, epoch: int) -> int:
    """A seed for torch's generator, well mixed from both."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> 1)


def save_checkpoint(
    path: Path, fingerprint: str, model: nn.Module, optimiser: torch.optim.Optimizer, state: TrainingState
) -> None:
    record = {
        "fingerprint": fingerprint,
        "history": state.history,
        "best": state.best,
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        torch.save(record, stream)


def load_checkpoint(
    path: Path, fingerprint: str, model: nn.Module, optimiser: torch.optim.Optimizer, device: torch.device
) -> TrainingState:
    """Put a checkpoint back into model and optimiser; a fresh state where there is none, it is another run's,
    or it cannot be read."""
    try:
        record = torch.load(path, map_location=device, weights_only=True)
    except Exception:  # whatever torch makes of a damaged file, the answer is to start again
        return TrainingState()
    if record.get("fingerprint") != fingerprint:
        return TrainingState()
    model.load_state_dict(record["model"])
    optimiser.load_state_dict(record["optimiser"])
    return TrainingState(record["history"], record["best"])


def write_history(
    path: Path, history: list[dict[str, Any]], columns: Sequence[str] = HISTORY_COLUMNS
) -> None:
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)


def train_run(
    cube_folder: str | Path,
    samples_folder: str | Path,
    run_folder: str | Path,
    spec: dict[str, Any],
    device: str = "auto",
    threads: int = 1,
    progress: bool = True,
    start: str | Path | None = None,
    gpu_cube_mib: int = GPU_CUBE_MIB,
    compiled: bool = False,
) -> None:
    """Train the run that `spec` describes and record it in `run.json`, beside the weights and the history.
    Its part `trained_on` (see `origin.origin_of_run`) tells all that the network needs at another place.

    Args:
        spec: {network: {name, width, params}, channels: [names], classes, recipe: {...}, seed} and, where
            they are asked for, {share: of the training windows, drawn by the seed; window: side of larger
            windows around those of the samples; statistics: samples.json
            that normalises the channels instead of the site's own; dates: which of a place the network reads:
            last, all, or all shuffled}. With all dates, run.json says which were read.
        start: `model.safetensors` of another run, whose weights training starts from.
        gpu_cube_mib: MiB that the ground of the windows may take on a GPU; a larger one is read from disk.
        compiled: on a GPU, run the network compiled. Neither of these two changes what is learnt.

    Raises:
        HeadscarpError: an unknown channel, network, recipe key, choice of dates or device; no training
            windows; a loss that is not finite; labels of more classes than the network has; a share out of
            range; weights to start from that do not fit, or for a network that would be trained in advance.
    """
    began = time.time()
    recipe = Recipe.from_record(spec["recipe"])
    torch_device = choose_device(device)
    torch.set_num_threads(threads)
    share, statistics = spec.get("share", 1), spec.get("statistics")
    samples = open_samples(
        cube_folder, samples_folder, spec["channels"], statistics, spec.get("dates")
    ).with_share(share, spec["seed"])
    if "window" in spec:
        samples = samples.with_windows(spec["window"])
    spec = with_dates_of_cube(spec, cube_folder)
    require_classes(samples, spec["classes"], Path(cube_folder) / "label.npy")
    if start is not None and recipe.pretraining is not None:
        raise HeadscarpError(
            f"the run starts from the weights of {start}, which "
            "would undo recipe.pretraining; set `pretraining: null`"
        )
    model, batches, pretraining = prepare_training(spec, recipe, samples, torch_device, gpu_cube_mib)
    if start is not None:
        load_initial_weights(model, start)
    if compiled:
        compile_on_gpu(model, torch_device)
    fingerprint = fingerprint_of_run(spec, Path(cube_folder), Path(samples_folder), start)
    state = train(
        model,
        batches,
        recipe,
        run_folder,
        spec["seed"],
        torch_device,
        fingerprint,
        progress,
        pretraining,
        keeps_best(samples.protocol),
    )
    write_json(
        Path(run_folder) / "run.json",
        {
            "spec": spec | {"recipe": recipe.to_record()},
            "seed": spec["seed"],
            "protocol": samples.protocol,
            "start": None if start is None else str(start),
            "share": share,
            "statistics": statistics,
            "trained_on": origin_of_run(spec, cube_folder, samples_folder, run_folder),
            "versions": {"torch": torch.__version__, "numpy": np.__version__, "headscarp": __version__},
            "device": device_name(torch_device),
            "precision": str(choose_precision(recipe.precision, torch_device)).removeprefix("torch."),
            "threads": threads,
            "compiled": compiled and torch_device.type == "cuda",
            "cube_on_gpu": isinstance(batches, DeviceBatches),
            "peak_memory": peak_memory(torch_device),
            "parameters": count_parameters(model),
            "trainable": count_trainable(model),
            "windows": {split: batches.count(split) for split in ("train", "validation")},
            "epochs": len(state.history),
            "steps": len(state.history) * batches.steps,
            "seconds": round(sum(record["seconds"] for record in (*pretraining, *state.history)), 3),
            "best_epoch": state.best_epoch,
            "weights": "best" if state.best is not None else "last",
            "converged": state.has_converged(recipe.patience),
            "history": state.history[-EPOCHS_IN_RECORD:],
        }
        | run_provenance(
            began, [*files_read_by_run(cube_folder, samples_folder), *filter(None, (start, statistics))]
        ),
    )


def prepare_training(
    spec: dict[str, Any],
    recipe: Recipe,
    samples: Samples,
    device: torch.device,
    gpu_cube_mib: int = GPU_CUBE_MIB,
) -> tuple[nn.Module, BatchSource, list[dict[str, Any]]]:
    """The network, on the device, and the batches of a run: a function of the spec's seed, whatever ran
    before; `gpu_cube_mib` as in `train_run`. The network is untrained but for what the recipe trains in
    advance; the third are the lines of history of that, none without.

    Raises:
        HeadscarpError: the network has nothing that can be trained in advance, or there is nothing to train
            it on.
    """
    torch.manual_seed(spec["seed"])
    model = build_network(spec)
    if recipe.initialisation == "positive_unit_ball":
        positive_unit_ball_(model)
        if spec["classes"] == 1:
            start_where_landslides_are_rare(model)
    model.to(memory_format=torch.channels_last)
    weights = (
        samples.balanced_weights(max(2, spec["classes"])) if recipe.class_weights == "balanced" else None
    )
    batches = Batches(
        samples=samples,
        batch=recipe.batch,
        seed=spec["seed"],
        steps=recipe.steps_per_epoch,
        augment=recipe.augment,
        jitter=recipe.jitter,
        class_weights=weights,
        shuffled=spec.get("dates") == SHUFFLED_DATES,
    )
    model.to(device)
    batches = place_batches(batches, device, gpu_cube_mib, recipe.micro_batch)
    if recipe.pretraining is None:
        return model, batches, []
    require_windows(batches, recipe, "pretraining")
    return model, batches, pretrain(model, batches, recipe.pretraining, spec["seed"])


def require_classes(samples: Samples, classes: int, path: Path) -> None:
    """Refuse labels, of file `path`, with codes that the outputs of a network cannot stand for."""
    if samples.in_part and classes < 3:
        raise HeadscarpError(
            f"{path} says of some ground only that it is no landslide, which a network of two classes calls "
            "a class: give the card its `classes`, or name that ground in `values` as one of two"
        )
    label = samples.label
    highest = int(label.max(where=label < NOT_LANDSLIDE, initial=0))
    if highest >= max(2, classes):
        raise HeadscarpError(
            f"{path} has the class code {highest}, but the network has "
            f"{classes} output(s); give the experiment `classes: {highest + 1}`"
        )


def tuned_recipe(recipe: dict[str, Any], best: dict[str, Any]) -> dict[str, Any]:
    """A card's recipe with the optimiser, learning rate and, if searched, weight decay that a search found
    (its `best.json`), and its loss parameters where both train with the same loss; all else, loss and epochs
    included, stays as the card says."""
    found = best["recipe"]
    tuned = recipe | {key: value for key, value in found.items() if key not in ("loss", "loss_params")}
    if recipe.get("loss", Recipe.loss) == found["loss"]:
        tuned["loss_params"] = recipe.get("loss_params", {}) | found["loss_params"]
    return tuned


def fingerprint_of_run(
    spec: dict[str, Any], cube_folder: Path, samples_folder: Path, start: str | Path | None = None
) -> str:
    """A digest that changes with anything that training depends on; large files enter by size and time of
    change."""
    arrays = [cube_folder / "cube.npy", cube_folder / "label.npy", samples_folder / "regions.npy"]
    content = {
        "spec": spec,
        "cube": read_json(cube_folder / "cube.json"),
        "samples": read_json(samples_folder / "samples.json"),
        "windows": hashlib.sha256((samples_folder / "windows.csv").read_bytes()).hexdigest(),
        "arrays": [[path.stat().st_size, path.stat().st_mtime_ns] for path in arrays],
        "start": start and sha256_of(start),
        "statistics": spec.get("statistics") and read_json(spec["statistics"]),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
