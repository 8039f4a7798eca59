"""Tables of training: trials of a search, hyper-parameters of networks."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from headscarp.exhibits.spec import ExhibitSpec, RunFiles, SearchFiles
from headscarp.exhibits.tidy import frame_of, read_csv, record, text_record
from headscarp.files import read_json

# The search that a paper prints: its protocol, its sampler, and how its trials are called in the table.
PRINTED_PROTOCOL, PRINTED_SAMPLER, PRINTED_ROW, PRINTED_DATA = "published", "gp", "printed", "published"
TRIED = ("learning_rate", "alpha", "gamma")
BEST_TRIAL = "best trial"
NO_SKILL = {
    "accuracy": "a map without landslides on the same windows",
    "average_precision": "a map of one value on the same windows",
}
NOTHING = "; it found nothing, for {map} scores as much"


def search(spec: ExhibitSpec) -> pd.DataFrame:
    """Every trial of searches of hyper-parameters (zhang2024, Table 3); rows such as `gp:iteration_01`, with
    the name of the search before it where there are several.

    Metrics: the objective that a search maximises, and what the trial tried. Trials of two searches have
    nothing in common but their numbers, so that those of the paper are rows of their own,
    `printed:iteration_01`. Beside each other stand the best trial (`gp:best`) and the mean (`gp:mean`);
    `gp:no_skill` is what a map scores that knows nothing, and where the best is no better the search found
    nothing, which is noted.
    """
    lines: list[dict[str, Any]] = []
    several = len({one.name for one in spec.searches}) > 1
    for one in spec.searches:
        trials = read_csv(one.folder / "trials.csv", ["trial", "value", *TRIED])
        best = read_json(one.folder / "best.json")
        name = f"{one.name}:{one.sampler}" if several else one.sampler
        note = BEST_TRIAL
        if best["value"] <= best["no_skill"]:
            note += NOTHING.format(map=NO_SKILL[best["objective"]])
        for trial in trials.itertuples():
            noted = note if trial.trial == best["trial"] else ""
            lines += trial_records(spec, one, name, best["objective"], trial, noted)
        lines += summary_records(spec, one, name, trials, best, note)
    if spec.published and any(one.protocol == PRINTED_PROTOCOL for one in spec.searches):
        lines += printed_trials(spec)
    return frame_of(lines)


def trial_records(
    spec: ExhibitSpec, search: SearchFiles, name: str, objective: str, trial: Any, note: str
) -> Iterator[dict[str, Any]]:
    """Tidy records of one line of trials.csv (trials count from 1) of the search that rows call `name`."""
    same = {"protocol": search.protocol, "data": spec.only_site().data}
    row = f"{name}:iteration_{trial.trial:02d}"
    failed = "" if np.isfinite(trial.value) else "the trial gave no value"
    for metric in (objective, *TRIED):
        value = getattr(trial, "value" if metric == objective else metric)
        value = None if np.isnan(value) else float(value)
        yield record(spec, row, metric, value, published=None, note=failed or note, **same)
    yield text_record(spec, row, "optimiser", trial.optimiser, **same)


def summary_records(
    spec: ExhibitSpec,
    search: SearchFiles,
    row: str,
    trials: pd.DataFrame,
    best: Mapping[str, Any],
    note: str,
) -> Iterator[dict[str, Any]]:
    """Tidy records of a search, which rows call `row`, as a whole, the paper's best and mean beside those of
    the search that it prints."""
    objective = best["objective"]
    printed = []
    if (search.protocol, search.sampler) == (PRINTED_PROTOCOL, PRINTED_SAMPLER):
        printed = [float(one["value"]) for one in spec.published if one["metric"] == objective]
    same = {"protocol": search.protocol, "data": spec.only_site().data}
    for name, value, beside, noted in (
        ("best", best["value"], max(printed, default=None), note.removeprefix(BEST_TRIAL).removeprefix("; ")),
        ("mean", float(trials["value"].mean()), float(np.mean(printed)) if printed else None, ""),
        ("no_skill", best["no_skill"], None, NO_SKILL[objective]),
    ):
        yield record(spec, f"{row}:{name}", objective, value, published=beside, note=noted, **same)


def printed_trials(spec: ExhibitSpec) -> Iterator[dict[str, Any]]:
    """Tidy records of the paper's own trials."""
    same = {"protocol": PRINTED_PROTOCOL, "data": PRINTED_DATA}
    for iteration in dict.fromkeys(one["row"] for one in spec.published):
        row = f"{PRINTED_ROW}:{iteration}"
        for metric in ("accuracy", *TRIED):
            printed = spec.published_value(iteration, metric)
            yield record(spec, row, metric, None, published=printed, **same)
        learner = spec.published_text(iteration, "optimizer")
        yield text_record(spec, row, "optimiser", "", learner, **same)


LOSS_NAMES = {
    "bce": "binary cross-entropy",
    "cross_entropy": "cross-entropy",
    "focal": "focal",
    "mse_bce": "MSE/2 + binary cross-entropy",
}


def hyperparameters(spec: ExhibitSpec) -> pd.DataFrame:
    """How each row's network was built and trained, from its first run, beside what the paper prints
    (zhang2024, Table 5).

    Options: `published_row` (row of the published table, where its name is another).
    """
    lines = []
    for protocol in spec.protocols:
        for row in spec.rows:
            for run in spec.runs_of(row, protocol)[:1]:
                lines += run_records(spec, run)
    return frame_of(lines)


def run_records(spec: ExhibitSpec, run: RunFiles) -> Iterator[dict[str, Any]]:
    """Tidy records of the hyper-parameters in one run.json; text stands in the notes."""
    described = read_json(run.folder / "run.json")["spec"]
    recipe, printed_row = described["recipe"], spec.options.get("published_row", run.row)
    same = {"protocol": run.protocol, "data": spec.only_site().data}
    anatomy = network_anatomy(described)
    texts = {
        "convolution_kernel": anatomy["kernel"],
        "pooling": anatomy["pooling"],
        "loss": LOSS_NAMES.get(recipe["loss"], recipe["loss"]),
        "optimizer": recipe["optimiser"],
        "activation": anatomy["activation"],
    }
    for metric, text in texts.items():
        yield text_record(spec, run.row, metric, text, spec.published_text(printed_row, metric), **same)
    for metric, key in (("epochs", "epochs"), ("batch_size", "batch"), ("learning_rate", "learning_rate")):
        yield record(
            spec,
            run.row,
            metric,
            float(recipe[key]),
            published=spec.published_value(printed_row, metric),
            **same,
        )


def network_anatomy(described: Mapping[str, Any]) -> dict[str, str]:
    """Kernel of the first convolution, kernel of the first pooling and activation of a run's network, as
    text; `none` where it has none."""
    from torch import nn

    from headscarp import networks

    network = described["network"]
    model = networks.build(
        network["name"],
        len(described["channels"]),
        described["classes"],
        network["width"],
        **network.get("params", {}),
    )
    convolution = first_of(model, nn.Conv2d, nn.Conv3d)
    pooling = first_of(model, nn.MaxPool2d, nn.MaxPool3d)
    activation = first_of(model, nn.ReLU, nn.LeakyReLU, nn.ELU)
    return {
        "kernel": ",".join(map(str, convolution.kernel_size)) if convolution else "none",
        "pooling": kernel_text(pooling.kernel_size, model) if pooling else "none",
        "activation": type(activation).__name__.lower() if activation else "none",
    }


def first_of(model: Any, *kinds: type) -> Any:
    return next((module for module in model.modules() if isinstance(module, kinds)), None)


def kernel_text(size: int | tuple[int, ...], model: Any) -> str:
    """'2,2' of the kernel 2 or (2, 2) of a pooling layer."""
    from torch import nn

    axes = 3 if first_of(model, nn.MaxPool3d) else 2
    return ",".join(map(str, size if isinstance(size, tuple) else (size,) * axes))
