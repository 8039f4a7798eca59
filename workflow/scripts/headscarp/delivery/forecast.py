"""What a run of the selected cards will cost on this machine: hours, memory and disk, from rehearsals."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from headscarp import memory
from headscarp.codes import SPLITS
from headscarp.exhibits.pages import write_pages
from headscarp.exhibits.sections import Page, Section
from headscarp.exhibits.tidy import write_csv
from headscarp.files import read_json, write_json

TITLE = "Forecast"
VALIDATED = 1 / 3  # batches of validation for each of training
OF_GROUND = 1 / 2  # share of a site whose windows train, where a recipe sets no number of steps
SPARE = 1.25  # memory and time that a scheduler is asked for, beyond what is forecast
LEAST_MIB, LEAST_MINUTES = 2000, 20
COLUMNS = (
    *("rule", "what", "training", "jobs", "parameters", "seconds_a_step", "steps", "hours_a_job", "hours"),
    *("memory_mib", "memory_of", "disk_gb", "fits", "note"),
)
EXPECTED = {  # what the user of an area is told of
    "trainings": ("train_network", "train_susceptibility"),
    "maps": ("map_scene", "map_susceptibility"),
}
UNKNOWN = "how much there is to do is not known until files and samples are there"


@dataclass(frozen=True)
class Cost:
    """A run: folder, name of its training, steps and seconds of it, and seconds of each place that it maps;
    NaN where the size of a site is not known."""

    folder: str
    training: str
    of_cells: bool
    steps: float
    seconds: float
    mapped: tuple[float, ...]


def write_forecast(
    record: Mapping[str, Any], csv: str | Path, pages: Sequence[str | Path], requests: str | Path
) -> pd.DataFrame:
    """The forecast, a line of COLUMNS for each kind of job. Write it as CSV and as pages, and as JSON what a
    scheduler shall be asked for: {scale, runs: {folder of a run: {train, map: {mem_mb, runtime}}}, twins:
    {site: {mem_mb, runtime}}}, in MiB and minutes.

    Args:
        record: `plan.rehearsal.Rehearsal.forecast`.
    """
    trainings = {name: read_json(path) for name, path in record["trainings"].items()}
    twins = {
        site: grown(read_json(one["file"]), one["size"], one["memory_mb"])
        for site, one in record["twins"].items()
    }
    runs = [cost_of_run(run, trainings[run["training"]], twins) for run in record["runs"]]
    searches = [cost_of_search(one, trainings[one["training"]], twins) for one in record["searches"]]
    lines = [
        *lines_of_runs(runs, trainings, record["what"]),
        *lines_of_searches(searches, trainings, record["what"]),
        *lines_of_twins(twins, memory.of_machine()),
        *lines_of_fetches(record["fetched"]),
    ]
    frame = pd.DataFrame(lines, columns=list(COLUMNS)).sort_values("hours", ascending=False, kind="stable")
    write_csv(frame, csv)
    table = Section.of_text("", HEADS, map(cells_of, frame.itertuples()), summary(record, trainings, frame))
    write_pages(Page(TITLE, "forecast", [table], NOTES), *pages)
    write_json(requests, {"scale": record["scale"], **requests_of(runs, trainings, twins)})
    return frame


# --- what each costs


def grown(twin: Mapping[str, Any], size: float, memory_mb: float) -> dict[str, Any]:
    """A small twin that was rehearsed, at the size wanted: seconds and bytes grow with its area; the memory
    is known (`sources.twin.files.memory_mb`)."""
    times = (size / twin["size"]) ** 2
    return {
        "seconds": twin["seconds"] * times,
        "memory_mib": memory_mb / 1.048576,
        "disk_gb": twin["bytes"] * times / 1e9,
        "rasters": {
            name: {key: value * times for key, value in raster.items()}
            for name, raster in twin["rasters"].items()
        },
        "rehearsed": twin["size"],
    }


def largest(twin: Mapping[str, Any]) -> dict[str, float]:
    return max(twin["rasters"].values(), key=lambda raster: raster["pixels"])


def pixels_on(twin: Mapping[str, Any], like: str | None, resolution_m: float | None) -> float:
    """Pixels of a simulated site on the grid of one of its rasters, or of a resolution."""
    raster = twin["rasters"].get(like) or largest(twin)
    return raster["area_m2"] / resolution_m**2 if resolution_m else raster["pixels"]


def pixels_of(site: Mapping[str, Any], twins: Mapping[str, Mapping[str, Any]]) -> float:
    """Pixels of a site: of its simulated rasters, or of its cube where it is there; NaN if neither is."""
    if site["twins"]:
        return sum(pixels_on(twins[one["site"]], one["like"], one["resolution_m"]) for one in site["twins"])
    if not Path(site["cube"]).exists():
        return math.nan
    grid = read_json(site["cube"])["grid"]
    there, wanted = abs(grid["transform"][0]), site["resolution_m"]
    return grid["height"] * grid["width"] * ((there / wanted) ** 2 if wanted else 1.0)


def cost_of_run(
    run: Mapping[str, Any], rehearsed: Mapping[str, Any], twins: Mapping[str, Mapping[str, Any]]
) -> Cost:
    steps = steps_of(run, twins) * run["folds"]
    each = rehearsed["mapped"]["seconds"] / rehearsed["mapped"]["pixels"]
    return Cost(
        folder=run["run"],
        training=run["training"],
        of_cells=run["of_cells"],
        steps=steps,
        seconds=steps * seconds_a_step(rehearsed),
        mapped=tuple(pixels_of(place, twins) * each * run["folds"] for place in run["places"]),
    )


def cost_of_search(
    search: Mapping[str, Any], rehearsed: Mapping[str, Any], twins: Mapping[str, Mapping[str, Any]]
) -> Cost:
    """All trials of a search, as one training."""
    steps = steps_of(search, twins) * search["trials"]
    seconds = steps * seconds_a_step(rehearsed)
    return Cost(search["folder"], search["training"], False, steps, seconds, ())


def steps_of(run: Mapping[str, Any], twins: Mapping[str, Mapping[str, Any]]) -> float:
    """Steps of one training of a run or a search."""
    return run["epochs"] * (run["steps_per_epoch"] or windows_of(run, twins) / run["batch"])


def seconds_a_step(rehearsed: Mapping[str, Any]) -> float:
    """Of a step with its part of validation."""
    return rehearsed["seconds_a_step"] + VALIDATED * rehearsed["seconds_a_validation_batch"]


def windows_of(run: Mapping[str, Any], twins: Mapping[str, Mapping[str, Any]]) -> float:
    """Training windows of a run whose recipe goes through all of them in an epoch: as drawn, or at most
    where that is to come; of cells it is not known how many will be drawn (NaN)."""
    if run["stride"] is None:
        return math.nan
    if Path(run["windows"]).exists():
        return int((pd.read_csv(run["windows"])["split"] == SPLITS[0]).sum())
    pixels = pixels_of(run["site"], twins)
    windows = OF_GROUND * pixels / run["stride"] ** 2
    return min(windows, run["most_windows"] or math.inf)


# --- lines of the table


def lines_of_runs(
    runs: Sequence[Cost], trainings: Mapping[str, Mapping[str, Any]], what: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """A line for all trainings of a kind, and one for all of their maps; `what` is each in words."""
    for name, group in by_training(runs).items():
        told, of_cells = trainings[name], group[0].of_cells
        rule = "train_susceptibility" if of_cells else "train_network"
        yield line_of_trainings(rule, what[name], group, told)
        mapped = [seconds for run in group for seconds in run.mapped]
        if mapped:
            yield line_of_trainings(rule, what[name], group, told) | {
                "rule": "map_susceptibility" if of_cells else "map_scene",
                "jobs": len(mapped),
                "seconds_a_step": math.nan,
                "steps": math.nan,
                **hours_of(mapped),
                "note": unknown(mapped),
            }


def by_training(costs: Sequence[Cost]) -> dict[str, list[Cost]]:
    """Runs or searches by the kind of training that they have."""
    kinds = defaultdict(list)
    for cost in costs:
        kinds[cost.training].append(cost)
    return kinds


def lines_of_searches(
    searches: Sequence[Cost], trainings: Mapping[str, Mapping[str, Any]], what: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """A line for all searches that train one kind of network."""
    for name, group in by_training(searches).items():
        yield line_of_trainings("search_hyperparameters", what[name], group, trainings[name])


def line_of_trainings(rule: str, what: str, group: Sequence[Cost], told: Mapping[str, Any]) -> dict[str, Any]:
    seconds = [one.seconds for one in group]
    return {
        "rule": rule,
        "what": what,
        "training": group[0].training,
        "jobs": len(group),
        "parameters": told["parameters"],
        "seconds_a_step": told["seconds_a_step"],
        "steps": max(one.steps for one in group),
        **hours_of(seconds),
        "memory_mib": told["memory"]["mib"],
        "memory_of": told["memory"]["of"],
        "fits": told["fits"],
        "note": "; ".join(filter(None, [advice(told), unknown(seconds)])),
    }


def hours_of(seconds: Sequence[float]) -> dict[str, float]:
    """Hours of the longest job and of all; those of jobs that are not known are left out."""
    known = [one for one in seconds if not math.isnan(one)]
    return {
        "hours_a_job": max(known, default=math.nan) / 3600,
        "hours": sum(known) / 3600 if known else math.nan,
    }


def unknown(seconds: Sequence[float]) -> str:
    missing = sum(map(math.isnan, seconds))
    return f"{missing} of {len(seconds)} jobs are not counted: {UNKNOWN}" if missing else ""


def advice(told: Mapping[str, Any]) -> str:
    """What to change where a training does not fit."""
    if told["fits"]:
        return ""
    if told["windows_that_fit"]:
        most = told["windows_that_fit"]
        return f"does not fit: set `micro_batch: {most}` in its training, or a smaller `width`"
    return "not even one window fits: make the scale's `width`, or `sampling.window`, smaller"


def lines_of_twins(twins: Mapping[str, Mapping[str, Any]], machine: float) -> Iterator[dict[str, Any]]:
    for site, twin in twins.items():
        fits = twin["memory_mib"] <= machine
        pixels = largest(twin)["pixels"] / 1e6
        note = f"{pixels:.1f} Mpixel, from a twin of size {twin['rehearsed']:g} by its area"
        yield {
            "rule": "simulate_twin",
            "what": site,
            "jobs": 1,
            **hours_of([twin["seconds"]]),
            "memory_mib": twin["memory_mib"],
            "memory_of": "process",
            "disk_gb": twin["disk_gb"],
            "fits": fits,
            "note": note + ("" if fits else "; does not fit: make the scale's `size` smaller"),
        }


def lines_of_fetches(fetched: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for one in fetched:
        note = f"{one['files']} files of source {one['source']}; not fetched by a rehearsal"
        yield {"rule": "fetch", "what": one["site"], "jobs": one["files"], "fits": True, "note": note}


# --- what is read and asked for

HEADS = (
    *("Rule", "What", "Jobs", "Parameters", "s a step", "Steps", "h a job", "h in all"),
    *("Memory, GB", "Fits", "Note"),
)
NOTES = (
    "Seconds of a step and of a mapped window were measured on random numbers at full size; what else runs "
    "beside slows it.",
    "Trainings that stop early take less; batches of validation are counted as a third of those of training, "
    "and windows, where no number of steps is set, as those of half of the site, which is more than a card "
    "draws that looks for landslides.",
    "Not rehearsed: derivatives, cubes, samples, forests, scores and exhibits, whose jobs take seconds to "
    "minutes.",
)


def cells_of(line: Any) -> list[str]:
    """One line as text."""
    numbers = (line.parameters, line.seconds_a_step, line.steps, line.hours_a_job, line.hours)
    return [
        line.rule.replace("_", " "),
        line.what,
        f"{line.jobs:.0f}",
        *(number_text(number) for number in numbers),
        number_text(line.memory_mib / 1024),
        "yes" if line.fits else "no",
        line.note,
    ]


def number_text(number: float) -> str:
    if math.isnan(number):
        return ""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def summary(
    record: Mapping[str, Any], trainings: Mapping[str, Mapping[str, Any]], frame: pd.DataFrame
) -> list[str]:
    """Sentences above the table."""
    devices = sorted({told["device"] for told in trainings.values()})
    by_rule = frame.groupby("rule")["hours"].sum()
    by_rule = by_rule[by_rule > 0].sort_values(ascending=False)
    rules = ", ".join(f"{rule.replace('_', ' ')} {hours:,.1f} h" for rule, hours in by_rule.items())
    where = f"Scale {record['scale']} on {', '.join(devices) or 'no device'}"
    sentences = [
        f"{where}: {frame['hours'].sum():,.1f} hours one after the other ({rules}).",
        f"Most memory of a job: {frame['memory_mib'].max() / 1024:.1f} GB; simulated rasters on disk: "
        f"{frame['disk_gb'].sum():.1f} GB.",
    ]
    if not frame["fits"].all():
        sentences.append(
            f"{(~frame['fits'].astype(bool)).sum()} of the lines do not fit; their notes say what to change."
        )
    return sentences


def expected(frame: pd.DataFrame, name: str, page: str | Path) -> str:
    """How long the trainings and maps of an area called `name` will take, in words; `page` tells more."""
    parts = [
        f"{group['jobs'].sum():.0f} {what} {duration(group['hours'].sum())}"
        for what, rules in EXPECTED.items()
        if len(group := frame[frame["rule"].isin(rules)])
    ]
    hours = frame["hours"].sum()
    return (
        f"{name}: at most {duration(hours)} of computing to come, shared by the cores that Snakemake has "
        f"({', '.join(parts)}); trainings end when they learn nothing more. By kind: {page}"
    )


def duration(hours: float) -> str:
    minutes = hours * 60
    if minutes < 1:
        return "less than a minute"
    return f"{minutes:.0f} min" if minutes < 90 else f"{hours:.1f} h"


def requests_of(
    runs: Sequence[Cost], trainings: Mapping[str, Mapping[str, Any]], twins: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """What a scheduler is asked for; on an accelerator the memory of the process is not forecast."""
    asked = {}
    for run in runs:
        told = trainings[run.training]["memory"]
        mib = told["mib"] if told["of"] == "process" else math.nan
        asked[run.folder] = {"train": request(mib, run.seconds)}
        if run.mapped:
            asked[run.folder]["map"] = request(mib, max(run.mapped))
    return {
        "runs": asked,
        "twins": {site: request(twin["memory_mib"], twin["seconds"]) for site, twin in twins.items()},
    }


def request(mib: float, seconds: float) -> dict[str, int]:
    """Memory (mem_mb) and minutes (runtime) to ask for; what is not known is left out."""
    found = {}
    if not math.isnan(mib):
        found["mem_mb"] = round(max(LEAST_MIB, SPARE * mib))
    if not math.isnan(seconds):
        found["runtime"] = math.ceil(max(LEAST_MINUTES, SPARE * seconds / 60))
    return found
