"""Tables of maps of several classes: data and samples, scores by class, extraction of landslides,
fine-tuning, change, and their audit."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from headscarp.codes import LAND_COVER_KEYS
from headscarp.errors import HeadscarpError
from headscarp.exhibits.audit_tables import PRINTED, printed_rows
from headscarp.exhibits.runs import BOOTSTRAP_SEED, effects, mean_of
from headscarp.exhibits.spec import ExhibitSpec, RunFiles, SiteFiles
from headscarp.exhibits.tidy import frame_of, record, text_record
from headscarp.files import read_json
from headscarp.scoring.audit import audit_row
from headscarp.scoring.bootstrap import intervals, require_same_cells
from headscarp.scoring.classes import CellConfusions, absence_notes, read_cell_confusions
from headscarp.scoring.extraction import EXTRACTION
from headscarp.scoring.pixel import to_python
from headscarp.vocabulary import require_known

LANDSLIDE = "landslide"
# Names of Table 3 in its order: {column: metric of `scoring.classes.flat_metrics`}. The column of a class is
# its precision.
PRINTED_COLUMNS = {
    name: f"{name}_precision" for name in ("bare_land", "vegetation", "water", "building", "road", LANDSLIDE)
} | {
    "avg_recall": "mean_recall",
    "avg_f1": "mean_f1",
    "oa": "oa",
}
OURS = {name: name for name in ("g_mean", "landslide_recall", "landslide_f1")}
EFFECTS = ("landslide_f1", "oa")

# --- Tables 1, 2 and 5, and the samples


def data_sources(spec: ExhibitSpec) -> pd.DataFrame:
    """Layers and training patches of each site (xia2021, Tables 1, 2 and 5).

    Rows such as `mangkam_feb:slope`: resolution of the grid, effective resolution (that of the source, where
    it is another), size and date; row `mangkam_feb`: training patches under each protocol, where the site has
    samples.
    """
    lines: list[dict[str, Any]] = []
    for site in spec.sites:
        manifest = read_json(site.folder / "layers" / "layers.json")
        grid, date = manifest["grid"], ", ".join(map(str, manifest["dates"]))
        for layer in manifest["layers"]:
            if layer["name"] != "instances":
                lines += layer_records(spec, site, layer, grid, layer.get("date", date))
        for protocol, folder in site.samples.items():
            if (folder / "samples.json").exists():
                patches = float(read_json(folder / "samples.json")["counts"]["train"]["windows"])
                lines.append(
                    record(
                        spec, site.name, "training_patches", patches, data=site.data, note=f"under {protocol}"
                    )
                )
    return frame_of(lines)


def layer_records(
    spec: ExhibitSpec, site: SiteFiles, layer: Mapping[str, Any], grid: Mapping[str, Any], date: str
) -> Iterator[dict[str, Any]]:
    """Tidy records of one layer (of one date, where it has dates); a source's resolution that its manifest
    does not tell is the grid's."""
    row = f"{site.name}:{layer['name']}" + (f":{layer['date']}" if "date" in layer else "")
    nominal = layer.get("resolution_m", abs(grid["transform"][0]))
    measured = {
        "resolution_m": nominal,
        "effective_resolution_m": layer.get("effective_resolution_m", nominal),
        "rows": grid["height"],
        "cols": grid["width"],
    }
    yield text_record(spec, row, "date", date, spec.published_text(row, "date"), data=site.data)
    for metric, value in measured.items():
        yield record(spec, row, metric, float(value), data=site.data)


def class_ratios(spec: ExhibitSpec) -> pd.DataFrame:
    """Class shares of the training windows after each stage of sampling; rows such as `mangkam_feb:tiles`.

    Metrics: windows, the share of each class, and `largest_to_smallest`, the ratio of the largest class to
    the smallest that is there.

    Raises:
        HeadscarpError: samples of a site were not drawn in stages.
    """
    lines: list[dict[str, Any]] = []
    for site in spec.sites:
        for protocol, folder in site.samples.items():
            stages = read_json(folder / "samples.json").get("stages")
            if not stages:
                raise HeadscarpError(
                    f"{folder / 'samples.json'} tells no stages of sampling; take a site sampled by "
                    f"superpixels in exhibit '{spec.name}'"
                )
            for stage in stages:
                same = {"protocol": protocol, "data": site.data}
                row, shares = (
                    f"{site.name}:{stage['stage']}",
                    {int(code): share for code, share in stage["shares"].items()},
                )
                lines.append(record(spec, row, "windows", float(stage["windows"]), **same))
                lines += [
                    record(spec, row, name, shares.get(code), **same)
                    for code, name in LAND_COVER_KEYS.items()
                ]
                positive = [share for share in shares.values() if share > 0]
                ratio = max(positive) / min(positive) if positive else None
                lines.append(record(spec, row, "largest_to_smallest", ratio, **same))
    return frame_of(lines)


# --- Tables 3, 4, 6 and 7

FolderOf = Callable[[RunFiles], Path]


def class_scores(spec: ExhibitSpec) -> pd.DataFrame:
    """Precision of each class, mean recall, mean F1 and OA as printed, then the G-mean and the landslides'
    recall and F1 (xia2021, Tables 3 and 6); mean and sd over seeds, and a 95 % interval by bootstrap over
    blocks and seeds.

    Options: `elsewhere` (true: of the runs applied to the exhibit's target).
    """
    return frame_of(score_records(spec, scored_at(spec), PRINTED_COLUMNS | OURS))


def extraction(spec: ExhibitSpec) -> pd.DataFrame:
    """DP, QP, OE and CE of landslide pixels (with the printed ones and intervals) and of whole slides, and
    boundary F1 (xia2021, Tables 4 and 7, Fig. 15).

    Options: `elsewhere` (true: of the runs applied to the exhibit's target).
    """
    return frame_of(extraction_records(spec, scored_at(spec)))


def at_home(run: RunFiles) -> Path:
    """Folder of the scores of a run on its own site."""
    return run.maps


def scored_at(spec: ExhibitSpec) -> FolderOf:
    """Gives the folder of a run's scores: on its own site or, with the option `elsewhere`, on the exhibit's
    target.

    Raises:
        HeadscarpError: the target is asked for and the exhibit names none.
    """
    if not spec.options.get("elsewhere", False):
        return at_home
    if spec.target is None:
        raise HeadscarpError(
            f"exhibit '{spec.name}' of card '{spec.card}' is of runs elsewhere; name the site that they "
            f"mapped as `target`"
        )
    name = spec.target.name
    return lambda run: run.maps_of(name)


def groups(spec: ExhibitSpec) -> Iterator[tuple[str, str, list[RunFiles]]]:
    """(protocol, row, runs of its seeds) of an exhibit, in order."""
    for protocol in spec.protocols:
        for row in spec.rows:
            runs = spec.runs_of(row, protocol)
            if runs:
                yield protocol, row, runs


def cells_by_group(spec: ExhibitSpec, folder_of: FolderOf) -> dict[tuple[str, str], list[CellConfusions]]:
    """Confusion matrices of the runs of each (protocol, row).

    Raises:
        HeadscarpError: a file is missing, or runs of one protocol were scored on different pixels.
    """
    cells = {
        (protocol, row): [read_cell_confusions(folder_of(run)) for run in runs]
        for protocol, row, runs in groups(spec)
    }
    for protocol in spec.protocols:
        require_same_cells([one for (of, _), group in cells.items() if of == protocol for one in group])
    return cells


def score_records(
    spec: ExhibitSpec, folder_of: FolderOf, metrics: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Tidy records of metrics, {column: metric of `scoring.classes.flat_metrics`}, of each row under each
    protocol."""
    cells = cells_by_group(spec, folder_of)
    for protocol, row, runs in groups(spec):
        group = cells[protocol, row]
        bounds = intervals(group, BOOTSTRAP_SEED)
        each = [to_python(one.metrics(np.ones(len(one.confusion)))) for one in group]
        same = {"protocol": protocol, "data": data_of(runs, folder_of)}
        absent = absence_notes(group[0].confusion.sum(axis=0))
        for column, metric in metrics.items():
            value = mean_of([one[metric] for one in each])
            value["ci_low"], value["ci_high"] = bounds[metric] or (None, None)
            notes = (
                absent
                if metric.startswith("mean") or metric == "g_mean"
                else undefined_notes(value["n_seeds"], len(group), protocol)
            )
            yield record(spec, row, column, note="; ".join(notes), **same, **value)


def extraction_records(spec: ExhibitSpec, folder_of: FolderOf) -> Iterator[dict[str, Any]]:
    """Tidy records of extraction: of pixels from confusion matrices, of slides and boundaries from
    scores.json."""
    of_pixels: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in score_records(spec, folder_of, {metric: metric for metric in EXTRACTION}):
        of_pixels.setdefault((line["protocol"], line["row"]), []).append(line)
    for protocol, row, runs in groups(spec):
        yield from of_pixels[protocol, row]
        scores = [read_json(folder_of(run) / "scores.json") for run in runs]
        same = {"protocol": protocol, "data": data_of(runs, folder_of)}
        rule = scores[0]["extraction"]["object"]["rule"]
        measured = {
            f"object_{metric}": ([one["extraction"]["object"][metric] for one in scores], rule)
            for metric in EXTRACTION
        }
        tolerance = f"boundaries agree within {scores[0]['boundary']['tolerance_px']:g} pixels"
        measured["boundary_f1"] = [one["boundary"]["f1"] for one in scores], tolerance
        for metric, (values, note) in measured.items():
            value = mean_of(values)
            notes = [note, *undefined_notes(value["n_seeds"], len(values), protocol)]
            yield record(spec, row, metric, published=None, note="; ".join(notes), **same, **value)


def data_of(runs: Sequence[RunFiles], folder_of: FolderOf) -> str:
    """Whether runs were scored on a twin or on real data."""
    return read_json(folder_of(runs[0]) / "scores.json")["data"]


def undefined_notes(defined: int, seeds: int, protocol: str) -> list[str]:
    return [f"undefined for {seeds - defined} of {seeds} seeds under {protocol}"] if defined < seeds else []


# --- fine-tuning and the effect of topography


def fine_tuning(spec: ExhibitSpec) -> pd.DataFrame:
    """Scores of runs tuned on a share of a new site, with the share in percent.

    Options: `shares` ({row: percent of the training windows}).

    Raises:
        HeadscarpError: a row has no share.
    """
    shares = spec.options["shares"]
    for row in spec.rows:
        require_known(row, shares, f"exhibit '{spec.name}', shares: row")
    lines: list[dict[str, Any]] = []
    names = (
        "landslide_f1",
        "landslide_precision",
        "landslide_recall",
        "oa",
        "mean_recall",
        "mean_f1",
        "g_mean",
    )
    done: set[tuple[str, str]] = set()
    for line in score_records(spec, at_home, {name: name for name in names}):
        key = line["protocol"], line["row"]
        if key not in done:
            done.add(key)
            lines.append(
                record(
                    spec,
                    line["row"],
                    "share_percent",
                    float(shares[line["row"]]),
                    protocol=key[0],
                    data=line["data"],
                )
            )
        lines.append(line)
    return frame_of(lines)


def paired_effect(spec: ExhibitSpec) -> pd.DataFrame:
    """Difference of scores between two rows with its 95 % interval, by bootstrap over the same blocks and
    seeds; rows `a_vs_b`.

    Options: `pairs` (list of [row, row that it is compared with]), `metrics` (names of
    `scoring.classes.flat_metrics`, default landslide_f1 and oa).
    """
    cells = cells_by_group(spec, at_home)
    lines: list[dict[str, Any]] = []
    for pair in spec.options["pairs"]:
        for effect in effects(spec, pair, cells, spec.options.get("metrics", EFFECTS)):
            runs = spec.runs_of(effect.first, effect.protocol)
            size, low, high = effect.found
            value = {"value": size, "ci_low": low, "ci_high": high, "n_seeds": len(runs)}
            same = {
                "protocol": effect.protocol,
                "data": data_of(runs, at_home),
                "note": effect_note(low, high),
            }
            lines.append(record(spec, effect.row, effect.metric, **same, **value))
    return frame_of(lines)


def effect_note(low: float | None, high: float | None) -> str:
    """What an interval says of the sign of an effect."""
    if low is None or high is None:
        return "no interval: too few blocks"
    return "" if low > 0 or high < 0 else "the interval holds 0: the sign of the effect is not settled"


# --- change


def change_table(spec: ExhibitSpec) -> pd.DataFrame:
    """Landslides between dates by each run; mean and sd over seeds.

    Rows such as `fstf_net:new` (and grown, unchanged, gone): landslides, area at the last date and its change
    since the first, m2, and of new and grown ones the true slides, how many of them were found, and mapped
    ones that are false. Rows such as `fstf_net:bare_land_to_landslide`: m2 between dates;
    `fstf_net:landslides`: m2 at each date.
    """
    lines: list[dict[str, Any]] = []
    for protocol, row, runs in groups(spec):
        of_runs = [change_numbers(read_json(run.folder / "change" / "change.json")) for run in runs]
        for part, numbers in of_runs[0].items():
            for metric in numbers:
                value = mean_of([one[part][metric] for one in of_runs])
                lines.append(
                    record(
                        spec, f"{row}:{part}", metric, protocol=protocol, data=spec.only_site().data, **value
                    )
                )
    return frame_of(lines)


def change_numbers(made: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """{part of a row: {metric: number}} of one change.json."""
    numbers = {"landslides": {f"area_{date}_m2": area for date, area in made["landslide_area_m2"].items()}}
    for status, counts in (made["by_status"] | {"gone": made["gone"]}).items():
        numbers[status] = {
            "landslides": float(counts["count"]),
            "area_m2": counts["area_m2"],
            "change_m2": counts["change_m2"],
        }
        for metric, key in (("slides", "slides"), ("slides_found", "found"), ("false_polygons", "false")):
            if made["truth"] and status in made["truth"]:
                numbers[status][metric] = float(made["truth"][status][key])
    code_of = {name: code for code, name in LAND_COVER_KEYS.items()}
    for name in (name for name in LAND_COVER_KEYS.values() if name != LANDSLIDE):
        numbers[f"{name}_to_{LANDSLIDE}"] = {
            f"{one['from']}_to_{one['to']}_m2": one["area_m2"][code_of[name]][code_of[LANDSLIDE]]
            for one in made["transitions"]
        }
    return numbers


# --- what the printed tables say of each other

ROUNDING = 0.005  # half a unit of the last printed place
READ_AS = {
    "oe": "1 - printed DP",
    "ce": "1 - printed landslide precision, so that it counts pixels",
    "qp": "TP / (TP + FP + FN) from printed DP and CE",
}


def extraction_audit(spec: ExhibitSpec) -> pd.DataFrame:
    """Printed OE, CE and QP beside what the printed DP, CE and landslide precision make of them (xia2021,
    Tables 3 and 4).

    Rows such as `table4:fcn8s`, which say `data = published`; the note tells whether the two agree within
    rounding. Needs published records with the key `table`. Options: `classes` (table of precision by class,
    default table3), `extraction` (table of DP, QP, OE and CE, default table4).
    """
    table = spec.options.get("extraction", "table4")
    precision = {
        row: numbers[LANDSLIDE]
        for row, numbers in printed_rows(spec, spec.options.get("classes", "table3")).items()
    }
    lines = []
    for row, printed in printed_rows(spec, table).items():
        known = printed | ({"precision": precision[row]} if row in precision else {})
        for finding in audit_row(known, ROUNDING):
            note = f"{finding['check'].upper()} {finding['verdict']} with {READ_AS[finding['check']]}"
            same = {"published": finding["stated"], "data": PRINTED, "note": note}
            lines.append(record(spec, f"{table}:{row}", finding["check"], finding["recomputed"], **same))
    return frame_of(lines)
