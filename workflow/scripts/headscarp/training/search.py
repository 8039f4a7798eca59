"""Search of hyper-parameters: short trainings, proposed by a Gaussian process or drawn at random, in a
journal that outlives a kill.

Zhang et al. (2024), section 4.1.1: a Gaussian process with expected improvement, 30 trials. Optuna's
GPSampler models the objective by a Gaussian process with a Matern 5/2 kernel and maximises the logarithm of
the expected improvement (Ament et al. 2023), which has the same maximum; its first ten trials are random
ones. The sampler is made anew for every trial from (seed, number of finished trials), so a search that was
killed ends with the same trials as one left alone, and both samplers begin with the same ten.
"""

import csv
import itertools
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import GPSampler, RandomSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from headscarp.codes import BLOCKED, LANDSLIDE
from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path, remove, write_json
from headscarp.training.batches import Batches
from headscarp.training.devices import GPU_CUBE_MIB, choose_device, compile_on_gpu
from headscarp.training.progress import Progress
from headscarp.training.recipe import Recipe
from headscarp.training.space import ALWAYS_REPORTED, LOSS_KEYS, RECIPE_KEYS, check_space, recipe_of_trial
from headscarp.training.trainer import (
    DivergedError,
    EpochLoop,
    TrainingState,
    fingerprint_of_run,
    keeps_best,
    make_optimiser,
    prepare_training,
    require_windows,
    run_epochs,
)
from headscarp.training.validation import average_precision
from headscarp.training.windows import Samples, open_samples, with_dates_of_cube
from headscarp.vocabulary import require_known

SAMPLERS = {"gp": GPSampler, "random": RandomSampler}
ACCURACY, AVERAGE_PRECISION = "accuracy", "average_precision"
OBJECTIVE_NOTES = {
    ACCURACY: "pixel accuracy at 0.5 on the test windows, as in the paper: the test set tunes, and where "
    "landslides are rare a map without any scores nearly 1",
    AVERAGE_PRECISION: "average precision of landslides on the validation windows; a map of one value has "
    "their share of the pixels",
}
TUNED_ON_TEST = "under published the validation windows are the test windows: the test set tunes"
FOUND_NOTHING = {
    ACCURACY: "the search found nothing: a map without landslides is as accurate as its best trial",
    AVERAGE_PRECISION: "the search found nothing: a map of one value is as precise as its best trial",
}
TIED = "{tied} of {trials} trials are equally good; of these that of highest average precision is taken"

log = logging.getLogger(__name__)


def run_search(
    cube_folder: str | Path,
    samples_folder: str | Path,
    out_folder: str | Path,
    spec: dict[str, Any],
    device: str = "auto",
    threads: int = 1,
    gpu_cube_mib: int = GPU_CUBE_MIB,
    compiled: bool = False,
) -> None:
    """Search and write `trials.csv` and `best.json` into `out_folder`; `journal.log` there remembers finished
    trials.

    The objective is the average precision of landslides on the validation windows, which under protocol
    published are the test windows; there a search may name pixel accuracy at 0.5 instead, as its paper does.
    A learning rate out of a range is drawn, and modelled, by its logarithm. Every trial begins with the same
    weights and sees the same windows in the same order. A trial whose loss is no longer a finite number
    counts as 0. More `trials` continue a search; any other change of the spec, or of the samples, begins a
    new one.

    Args:
        spec: {network: {name, width, params}, channels: [names], classes, recipe: {...}, seed, sampler: gp |
            random, trials, space: {optimiser | learning_rate | weight_decay | alpha | gamma: [choices] or
            {low, high}}}; recipe is that of a trial, but for what is searched. `objective`
            (average_precision or accuracy) is that of protocol published; `dates` as in
            `trainer.train_run`, and so are `gpu_cube_mib` and `compiled`.

    Raises:
        HeadscarpError: an unknown sampler, channel, network or device, a range that is none or a parameter
        that the loss does not have; no windows, or no landslide in them.
    """
    require_known(spec["sampler"], SAMPLERS, "search: sampler")
    check_space(spec["space"], spec["recipe"], "search")
    space = make_space(spec["space"])
    torch_device = choose_device(device)
    torch.set_num_threads(threads)
    samples = open_samples(cube_folder, samples_folder, spec["channels"], dates=spec.get("dates"))
    spec = with_dates_of_cube(spec, cube_folder)
    objective = AVERAGE_PRECISION if samples.protocol == BLOCKED else spec.get("objective", AVERAGE_PRECISION)
    # The number of trials is no part of a search's identity: a longer one continues a shorter one.
    lasting = {key: value for key, value in spec.items() if key != "trials"}
    study = open_study(
        Path(out_folder) / "journal.log", fingerprint_of_run(lasting, Path(cube_folder), Path(samples_folder))
    )
    while len(finished := finished_trials(study)) < spec["trials"]:
        study.sampler = SAMPLERS[spec["sampler"]](seed=seed_of_trial(spec["seed"], len(finished)))
        trial = study.ask(space)
        name = f"trial {len(finished) + 1}"
        began = time.perf_counter()
        try:
            value, ranked = train_trial(
                spec | {"recipe": recipe_of_trial(spec["recipe"], trial.params)},
                samples,
                objective,
                torch_device,
                name,
                gpu_cube_mib,
                compiled,
            )
        except DivergedError as error:
            value = ranked = 0.0
            trial.set_user_attr("note", f"{error}; counted as 0")
        seconds = time.perf_counter() - began
        trial.set_user_attr("seconds", round(seconds, 3))
        trial.set_user_attr(AVERAGE_PRECISION, ranked)
        study.tell(trial, value)
        best = max([value, *(past.value for past in finished)])
        chosen_values = ", ".join(
            f"{key} {chosen:.4g}" if isinstance(chosen, float) else f"{key} {chosen}"
            for key, chosen in trial.params.items()
        )
        log.info(
            "%s/%d: %s %.4f (best %.4f), %s, %.1f s",
            name,
            spec["trials"],
            objective,
            value,
            best,
            chosen_values,
            seconds,
        )
    notes = [OBJECTIVE_NOTES[objective]]
    if objective == AVERAGE_PRECISION and samples.protocol != BLOCKED:
        notes.append(TUNED_ON_TEST)
    trials = finished[: spec["trials"]]
    write_results(Path(out_folder), trials, spec, objective, no_skill(samples, objective), notes)


def make_space(record: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    """Optuna's distributions of what a card searches: lists are choices, {low, high} is a range, of which
    learning rates are drawn by their logarithm."""
    return {
        name: FloatDistribution(float(values["low"]), float(values["high"]), log=name == "learning_rate")
        if isinstance(values, Mapping)
        else CategoricalDistribution(tuple(values))
        for name, values in record.items()
    }


def open_study(journal: Path, name: str) -> optuna.Study:
    """The study `name` of a journal, begun if it is not there; a trial that a kill left running is marked
    failed."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal.parent.mkdir(parents=True, exist_ok=True)
    repair_journal(journal)
    storage = JournalStorage(JournalFileBackend(str(journal)))
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    return study


def repair_journal(journal: Path) -> None:
    """Drop what a process killed while it wrote leaves: half a line, which Optuna would refuse later, and the
    lock it would wait for."""
    remove(journal.with_name(journal.name + ".lock"))
    if not journal.exists():
        return
    text = journal.read_bytes()
    whole = text.rfind(b"\n") + 1
    if whole < len(text):
        with open(journal, "r+b") as stream:
            stream.truncate(whole)


def finished_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Complete trials in the order in which they were begun."""
    return sorted(
        study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)), key=lambda trial: trial.number
    )


def seed_of_trial(seed: int, number: int) -> int:
    """A seed for Optuna's samplers (32 bits), well mixed from the search's seed and the number of finished
    trials."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def train_trial(
    spec: dict[str, Any],
    samples: Samples,
    objective: str,
    device: torch.device,
    name: str,
    gpu_cube_mib: int = GPU_CUBE_MIB,
    compiled: bool = False,
) -> tuple[float, float]:
    """Train a network in memory as `trainer.train` would, without files, and return its objective and its
    average precision (0 without a landslide to find), which tells trials apart that are equally good.

    Raises:
        DivergedError: the loss is no longer a finite number.
        HeadscarpError: no windows to train on, no mapped pixel to validate on, or for average precision no
            landslide to find there.
    """
    recipe = Recipe.from_record(spec["recipe"])
    model, batches, _ = prepare_training(spec, recipe, samples, device, gpu_cube_mib)
    require_windows(batches, recipe, name)
    if compiled:
        compile_on_gpu(model, device)
    loop = EpochLoop(
        model=model,
        optimiser=make_optimiser(recipe, model),
        batches=batches,
        recipe=recipe,
        device=device,
        seed=spec["seed"],
        keep_best=keeps_best(samples.protocol),
    )
    for _ in run_epochs(
        loop, TrainingState(), name, Progress(name, 0, recipe.epochs * batches.steps, shown=False)
    ):
        pass
    # An epoch may be shorter than one pass; the objective is of all validation windows.
    probability, truth = validation_pixels(
        loop, Batches(samples, recipe.batch, spec["seed"], steps=batches.count("validation"))
    )
    if not truth.size or (objective == AVERAGE_PRECISION and not truth.any()):
        lacking = "landslide pixel" if truth.size else "mapped pixel"
        raise HeadscarpError(
            "the validation windows of the search hold no "
            f"{lacking}; use another seed, or other windows or blocks"
        )
    ranked = average_precision(torch.from_numpy(probability), torch.from_numpy(truth)) if truth.any() else 0.0
    return ranked if objective == AVERAGE_PRECISION else float(np.mean((probability >= 0.5) == truth)), ranked


def validation_pixels(loop: EpochLoop, batches: Batches) -> tuple[np.ndarray, np.ndarray]:
    """Probability of landslides (float32) and whether there is one, of all pixels that count in the
    validation windows."""
    probabilities, truths = [np.empty(0, np.float32)], [np.empty(0, bool)]
    for logits, target, mask in loop.validation_logits(batches):
        probability = logits.sigmoid()[:, 0] if logits.shape[1] == 1 else logits.softmax(1)[:, LANDSLIDE]
        counted = mask > 0
        probabilities.append(probability[counted].cpu().numpy())
        truths.append((target == LANDSLIDE)[counted].cpu().numpy())
    return np.concatenate(probabilities), np.concatenate(truths)


def no_skill(samples: Samples, objective: str) -> float:
    """The objective of a map that knows nothing, from the labels of the validation windows alone: accuracy
    without any landslide, or average precision of one value everywhere, the share of landslides."""
    slides = pixels = 0
    for index in range(len(samples.windows["validation"])):
        _, target, mask = samples.read("validation", index)
        slides += int(np.count_nonzero(target[mask] == LANDSLIDE))
        pixels += int(np.count_nonzero(mask))
    return slides / pixels if objective == AVERAGE_PRECISION else (pixels - slides) / pixels


def write_results(
    folder: Path,
    trials: list[FrozenTrial],
    spec: dict[str, Any],
    objective: str,
    without_skill: float,
    notes: list[str],
) -> None:
    """Write trials.csv (trials from 1, `best` so far) and best.json (of equally good trials that of highest
    average precision, then the first; with `no_skill`, beside which its value stands, and notes on the
    objective)."""
    recipes = [Recipe.from_record(recipe_of_trial(spec["recipe"], trial.params)) for trial in trials]
    reported = [key for key in RECIPE_KEYS if key in ALWAYS_REPORTED or key in spec["space"]]
    values = [trial.value for trial in trials]
    with (
        atomic_path(folder / "trials.csv") as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["trial", "value", "best", *reported, *LOSS_KEYS, "seconds"])
        for number, (trial, recipe, best) in enumerate(
            zip(trials, recipes, itertools.accumulate(values, max), strict=True), start=1
        ):
            chosen = [getattr(recipe, key) for key in reported] + [
                recipe.loss_params.get(key, "") for key in LOSS_KEYS
            ]
            writer.writerow([number, trial.value, best, *chosen, trial.user_attrs["seconds"]])
    best_number, tied = best_of(trials)
    recipe = recipes[best_number]
    write_json(
        folder / "best.json",
        {
            "value": values[best_number],
            "no_skill": without_skill,
            "trial": best_number + 1,
            "objective": objective,
            "recipe": {key: getattr(recipe, key) for key in (*reported, "loss", "loss_params")},
            "sampler": spec["sampler"],
            "trials": len(trials),
            "notes": [
                *notes,
                *([FOUND_NOTHING[objective]] if values[best_number] <= without_skill else []),
                *([TIED.format(tied=tied, trials=len(trials))] if tied > 1 else []),
                *(trial.user_attrs["note"] for trial in trials if "note" in trial.user_attrs),
            ],
        },
    )


def best_of(trials: list[FrozenTrial]) -> tuple[int, int]:
    """Number from 0 of the best trial, and how many have its value: of those it is the one of highest average
    precision, then the first. Accuracy at 0.5 calls all maps without landslides equally good, however well
    their probabilities rank the ground."""
    best = max(trial.value for trial in trials)
    tied = [number for number, trial in enumerate(trials) if trial.value == best]
    return max(tied, key=lambda number: trials[number].user_attrs.get(AVERAGE_PRECISION, 0.0)), len(tied)
