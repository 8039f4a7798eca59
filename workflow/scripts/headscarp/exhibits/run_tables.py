"""Tables of searches and runs: trials, scores in a paper's own columns, hyper-parameters, McNemar tests,
spread over factor orders."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from headscarp.exhibits.runs import Scored, aggregate, mean_of, scored_runs, stored_arrays
from headscarp.exhibits.spec import ExhibitSpec, RunFiles, SearchFiles
from headscarp.exhibits.tidy import AS_PRINTED, VERSUS, frame_of, read_csv, record, text_record
from headscarp.files import read_json
from headscarp.vocabulary import require_known

# --- Table 3 of zhang2024

PRINTED_SEARCH = ("published", "gp")  # protocol and sampler of the search that the paper prints
TRIED = ("learning_rate", "alpha", "gamma")


def search(spec: ExhibitSpec) -> pd.DataFrame:
    """Every trial of a search of hyper-parameters (zhang2024, Table 3); rows such as `gp:iteration_01`.

    Metrics: accuracy under `published` and f1 under `blocked`, which are what a search maximises, and what
    the trial tried. The published iterations stand beside those of the Gaussian process under `published`.
    """
    lines: list[dict[str, Any]] = []
    for one in spec.searches:
        trials = read_csv(one.folder / "trials.csv", ["trial", "value", *TRIED])
        best = read_json(one.folder / "best.json")["trial"]
        for trial in trials.itertuples():
            lines += trial_records(spec, one, trial, "best trial" if trial.trial == best else "")
    return frame_of(lines)


def trial_records(spec: ExhibitSpec, search: SearchFiles, trial: Any, note: str) -> Iterator[dict[str, Any]]:
    """Tidy records of one line of trials.csv (trials count from 1)."""
    iteration, objective = (
        f"iteration_{trial.trial:02d}",
        "accuracy" if search.protocol == "published" else "f1",
    )
    printed = (search.protocol, search.sampler) == PRINTED_SEARCH
    same = {"protocol": search.protocol, "data": spec.only_site().data}
    row = f"{search.sampler}:{iteration}"
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


# --- Tables 4 and 6

# how the name of a metric begins that scores a map against the simulated truth instead of its labels
TRUTH = "truth_"


def printed_scores(spec: ExhibitSpec) -> pd.DataFrame:
    """Scores in a paper's own columns, beside its values, and by their names (zhang2024, Tables 4 and 6;
    stfusion, Tables 2 to 4).

    Options: `columns` {printed column: metric of scores.json that fits it}, shown as `accuracy (as printed)`;
    `row_columns` {row: such columns, where a row was computed in another way}; `metrics`, of the landslide
    class; those that begin with `truth_` come from what scores.json holds of the simulated truth. `beside`
    {metric: printed column}: metrics with a published value, such as pooled scores and scores per image where
    the paper does not say which it prints. `published_rows` {row: row of the published table}, where its name
    is another.
    """
    columns, metrics = spec.options.get("columns", {}), spec.options.get("metrics", [])
    of_row = {row: spec.options.get("row_columns", {}).get(row, columns) for row in spec.rows}
    column_of, printed_row = names_of(spec, "beside", metrics), names_of(spec, "published_rows", spec.rows)
    direct = [metric for metric in metrics if not metric.startswith(TRUTH)]
    wanted = [
        *dict.fromkeys([*direct, *(metric for chosen in of_row.values() for metric in chosen.values())])
    ]
    found = {(line["row"], line["protocol"], line["metric"]): line for line in aggregate(spec, wanted)}
    truths = truth_records(spec, [metric for metric in metrics if metric.startswith(TRUTH)])
    lines = []
    for protocol in spec.protocols:
        for row in [row for row in spec.rows if spec.runs_of(row, protocol)]:
            columns_of_row = [*of_row[row], *column_of.values()]
            published = {
                column: spec.published_value(printed_row.get(row, row), column) for column in columns_of_row
            }
            for printed, metric in of_row[row].items():
                lines.append(beside(found[row, protocol, metric], printed + AS_PRINTED, published[printed]))
            for metric in metrics:
                line = (
                    truths[row, protocol, metric]
                    if metric.startswith(TRUTH)
                    else found[row, protocol, metric]
                )
                lines.append(beside(line, metric, published.get(column_of.get(metric))))
    return frame_of(lines)


def names_of(spec: ExhibitSpec, option: str, known: Collection[str]) -> dict[str, str]:
    """An option {name of ours: name in the published table}.

    Raises:
        HeadscarpError: a name of ours is not `known`.
    """
    return {
        require_known(name, known, f"exhibit '{spec.name}', {option}: name"): to
        for name, to in spec.options.get(option, {}).items()
    }


def beside(line: Mapping[str, Any], metric: str, published: float | None = None) -> dict[str, Any]:
    """A tidy line under another name of its metric and beside another published value."""
    difference = line["value"] - published if published is not None and line["value"] is not None else None
    return {**line, "metric": metric, "published": published, "difference": difference}


def truth_records(spec: ExhibitSpec, metrics: list[str]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Tidy lines by (row, protocol, metric): means over seeds of the scores against the simulated truth."""
    lines = {}
    for row, protocol, group in groups_of(spec, scored_runs(spec) if metrics else []):
        for metric in metrics:
            value = mean_of([(one.scores["truth"] or {}).get(metric.removeprefix(TRUTH)) for one in group])
            note = "" if value["n_seeds"] else "the truth of the test cells is not known"
            same = {"protocol": protocol, "data": spec.only_site().data, "published": None, "note": note}
            lines[row, protocol, metric] = record(spec, row, metric, **value, **same)
    return lines


def groups_of(spec: ExhibitSpec, runs: list[Scored]) -> Iterator[tuple[str, str, list[Scored]]]:
    """Row, protocol and runs (one for each seed) in the order in which they are shown."""
    for protocol in spec.protocols:
        for row in spec.rows:
            group = [one for one in runs if (one.run.row, one.run.protocol) == (row, protocol)]
            if group:
                yield row, protocol, group


# --- Table 5

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


# --- Table 7


def mcnemar(spec: ExhibitSpec) -> pd.DataFrame:
    """McNemar's tests of one row against the others on the same test cells, first seed (zhang2024, Table 7);
    rows `multi_vs_small`.

    Metrics: b (cells that only the reference has right), c (only the other), chi2 and p_value with continuity
    correction, p_exact, and p_block, which takes blocks of cells, not cells, as independent. Options:
    `reference` (a row).
    """
    # statsmodels takes a second to import and no other table needs it.
    from headscarp.scoring.significance import compare_predictions

    reference = require_known(spec.options["reference"], spec.rows, f"exhibit '{spec.name}': reference")
    lines = []
    for protocol in spec.protocols:
        runs = {row: spec.runs_of(row, protocol)[0] for row in spec.rows if spec.runs_of(row, protocol)}
        predictions = {row: stored_arrays(run.maps / "predictions.npz", "score") for row, run in runs.items()}
        for other in [row for row in predictions if row != reference]:
            test = compare_predictions(predictions[reference], predictions[other])
            row = f"{reference}{VERSUS}{other}"
            printed = spec.published_value(row, "p_value_below")
            note = f"the paper prints p < {printed:g}" if printed is not None else ""
            measured = {key: test[key] for key in ("b", "c", "chi2")} | {"p_value": test["p_corrected"]}
            measured |= {key: test[key] for key in ("p_exact", "p_block", "cells", "blocks")}
            same = {"protocol": protocol, "data": spec.only_site().data, "n_seeds": 1, "note": note}
            lines += [record(spec, row, metric, float(value), **same) for metric, value in measured.items()]
    return frame_of(lines)


# --- the order of the factors


def order_spread(spec: ExhibitSpec) -> pd.DataFrame:
    """How scores vary over rows that differ in the order of their factors only, and over seeds; row = metric.

    Per metric: mean, least and greatest value of all runs; `sd_seeds`, the standard deviation over seeds
    pooled within orders; `sd_orders`, that of orders alone by one-way analysis of variance: the variance of
    the orders' means less what seeds put into it (their variance over the number of seeds), 0 where seeds
    explain it all. With one seed the two cannot be told apart: `sd_orders` then holds both, with a note.
    Options: `metrics` (names of scores.json).
    """
    runs = scored_runs(spec)
    lines = []
    for metric in spec.options["metrics"]:
        for protocol in spec.protocols:
            groups = [
                [one.scores["metrics"][metric] for one in group]
                for _, of, group in groups_of(spec, runs)
                if of == protocol
            ]
            defined = [[value for value in group if value is not None] for group in groups]
            spread, note = spread_of([group for group in defined if group])
            if sum(map(len, defined)) < sum(map(len, groups)):
                note = "; ".join(filter(None, [note, f"undefined for some runs under {protocol}"]))
            same = {"protocol": protocol, "data": spec.only_site().data, "published": None, "note": note}
            same["n_seeds"] = max(map(len, groups), default=0)
            lines += [record(spec, metric, name, value, **same) for name, value in spread.items()]
    return frame_of(lines)


def spread_of(groups: list[list[float]]) -> tuple[dict[str, float | None], str]:
    """Mean, sd_orders, sd_seeds, min, max and number of orders of groups of scores (one group for each
    order), with a note."""
    values = np.concatenate([*groups, []]).astype(float)
    if not values.size:
        return dict.fromkeys(("mean", "sd_orders", "sd_seeds", "min", "max")) | {
            "orders": 0.0
        }, "undefined for all runs"
    means = np.array([np.mean(group) for group in groups])
    between = means.var(ddof=1) if len(groups) > 1 else np.nan
    freedom = values.size - len(groups)
    within = sum(np.var(group) * len(group) for group in groups) / freedom if freedom else np.nan
    alone = (
        between
        if np.isnan(within)
        else max(0.0, between - within * np.mean([1 / len(group) for group in groups]))
    )
    spread = {
        "mean": means.mean(),
        "sd_orders": np.sqrt(alone),
        "sd_seeds": np.sqrt(within),
        "min": values.min(),
        "max": values.max(),
    }
    record = {name: None if np.isnan(value) else float(value) for name, value in spread.items()} | {
        "orders": float(len(groups))
    }
    return (
        record,
        "" if freedom else "one seed for each order: the spread over orders holds that over seeds too",
    )
