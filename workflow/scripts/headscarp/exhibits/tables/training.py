"""Tables of training: trials of a search, hyper-parameters of networks."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from headscarp.exhibits.spec import ExhibitSpec, RunFiles, SearchFiles
from headscarp.exhibits.tidy import frame_of, read_csv, record, text_record
from headscarp.files import read_json

PRINTED_SEARCH = ("published", "gp")  # protocol and sampler of the search that the paper prints
TRIED = ("learning_rate", "alpha", "gamma")


def search(spec: ExhibitSpec) -> pd.DataFrame:
    """Every trial of searches of hyper-parameters (zhang2024, Table 3); rows such as `gp:iteration_01`, with
    the name of the search before it where there are several.

    Metrics: the objective that a search maximises, and what the trial tried. The published iterations stand
    beside those of the Gaussian process under `published`.
    """
    lines: list[dict[str, Any]] = []
    several = len({one.name for one in spec.searches}) > 1
    for one in spec.searches:
        trials = read_csv(one.folder / "trials.csv", ["trial", "value", *TRIED])
        best = read_json(one.folder / "best.json")
        row = f"{one.name}:{one.sampler}" if several else one.sampler
        for trial in trials.itertuples():
            note = "best trial" if trial.trial == best["trial"] else ""
            lines += trial_records(spec, one, row, best["objective"], trial, note)
    return frame_of(lines)


def trial_records(
    spec: ExhibitSpec, search: SearchFiles, row: str, objective: str, trial: Any, note: str
) -> Iterator[dict[str, Any]]:
    """Tidy records of one line of trials.csv (trials count from 1), `row` being that of its search."""
    iteration = f"iteration_{trial.trial:02d}"
    printed = (search.protocol, search.sampler) == PRINTED_SEARCH
    same = {"protocol": search.protocol, "data": spec.only_site().data}
    row = f"{row}:{iteration}"
    failed = "" if np.isfinite(trial.value) else "the trial gave no value"
    for metric in (objective, *TRIED):
        value = getattr(trial, "value" if metric == objective else metric)
        beside = spec.published_value(iteration, metric) if printed else None
        yield record(
            spec,
            row,
            metric,
            None if np.isnan(value) else float(value),
            published=beside,
            note=failed or note,
            **same,
        )
    learner = spec.published_text(iteration, "optimizer") if printed else None
    yield text_record(spec, row, "optimiser", trial.optimiser, learner, **same)


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
