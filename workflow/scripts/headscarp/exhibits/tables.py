"""The tables: one function of an `ExhibitSpec` for each kind, in `TABLES`, gives a tidy frame."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from headscarp import networks
from headscarp.errors import HeadscarpError
from headscarp.exhibits.rasters import UNMAPPED, site_grid, units_of, values_of
from headscarp.exhibits.runs import aggregate, mean_of, scored_runs
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import UNIT, frame_of, record, write_table
from headscarp.files import read_json
from headscarp.scoring.audit import gains, implied_kappa, implied_miou, implied_share

LANDSLIDE = 1
RANGE_FACTORS = ("elevation", "slope", "curvature", "ndvi", "mndwi", "distance_to_river", "distance_to_fault")
FACTORS = "+factors"  # how the name of an experiment with influencing factors ends
PRINTED = "published"
NETWORK = "network"
COUNTED = "parameters and size are of the network at full width, whatever the data"
IMPLIED = "worked out from printed accuracy, precision and recall; the printed share is landslide area over study area"


def site(spec: ExhibitSpec) -> pd.DataFrame:
    """Size, slides and areas of each site, counted on its layers (gao2021, Table I and section II-A); row = site."""
    lines = []
    for one in spec.sites:
        grid, label, instances = site_grid(one), values_of(one, "label"), values_of(one, "instances")
        cell_km2 = abs(grid.transform.a * grid.transform.e) / 1e6
        measured = {
            "rows": grid.height,
            "cols": grid.width,
            "resolution_m": grid.resolution,
            "landslides": np.unique(instances[instances > 0]).size,
            "landslide_area_km2": np.count_nonzero(label == LANDSLIDE) * cell_km2,
            "study_area_km2": np.count_nonzero(label != UNMAPPED) * cell_km2,
        }
        lines += [record(spec, one.name, metric, float(value), data=one.data) for metric, value in measured.items()]
    return frame_of(lines)


def factor_ranges(spec: ExhibitSpec) -> pd.DataFrame:
    """Least and greatest value of factors inside each study area (gao2021, Table II); rows such as `zigui:elevation`.

    Options: `factors` (continuous layers).
    """
    lines = []
    for one in spec.sites:
        mapped = values_of(one, "label") != UNMAPPED
        for factor in spec.options.get("factors", RANGE_FACTORS):
            values = values_of(one, factor)[mapped]
            values = values[np.isfinite(values)]
            bounds = (float(values.min()), float(values.max())) if values.size else (None, None)
            note = f"{UNIT}{units_of(one, factor)}" if values.size else "no data inside the study area"
            for metric, value in zip(("min", "max"), bounds, strict=True):
                lines.append(record(spec, f"{one.name}:{factor}", metric, value, data=one.data, note=note))
    return frame_of(lines)


def scores(spec: ExhibitSpec) -> pd.DataFrame:
    """Pixel metrics of each experiment under each protocol (gao2021, Tables VII and VIII).

    Options: `metrics` (names of scores.json), `unit` (percent or fraction, the default).
    """
    unit = spec.options.get("unit", "fraction")
    if unit not in ("percent", "fraction"):
        raise HeadscarpError(f"exhibit '{spec.name}': unit '{unit}' does not exist; it is percent or fraction")
    return frame_of(aggregate(spec, spec.options["metrics"], 100.0 if unit == "percent" else 1.0))


def objects(spec: ExhibitSpec) -> pd.DataFrame:
    """Detection of whole slides, and recall by size of slide, as fractions; mean and sd over seeds."""
    runs = scored_runs(spec)
    lines = []
    for protocol in spec.protocols:
        for row in spec.rows:
            group = [one.scores for one in runs if (one.run.row, one.run.protocol) == (row, protocol)]
            for metric in ("recall", "precision", "f1", "slides") if group else ():
                value = mean_of([(scores["objects"] or {}).get(metric) for scores in group])
                name = "slides" if metric == "slides" else f"object_{metric}"
                value["sd"] = None if metric == "slides" else value["sd"]  # the same slides whatever the seed
                lines.append(object_record(spec, row, name, protocol, value, len(group)))
            for name, values in recall_by_size([scores["size_recall"] for scores in group]).items():
                lines.append(object_record(spec, row, name, protocol, mean_of(values), len(group)))
    return frame_of(lines)


def object_record(spec: ExhibitSpec, row: str, metric: str, protocol: str, value: dict[str, Any], seeds: int) -> dict[str, Any]:
    if value["n_seeds"] < seeds:
        value["note"] = f"undefined for {seeds - value['n_seeds']} of {seeds} seeds under {protocol}"
    return record(spec, row, metric, protocol=protocol, data=spec.only_site().data, **value)


def recall_by_size(of_seeds: list[list[dict[str, Any]]]) -> dict[str, list[float | None]]:
    """Recall of each seed by class of slide area, keyed by the class's name."""
    classes: dict[str, list[float | None]] = {}
    for classes_of_seed in of_seeds:
        for one in classes_of_seed:
            classes.setdefault(f"recall {one['low_m2']:,.0f}–{one['high_m2']:,.0f} m²", []).append(one["recall"])
    return classes


def complexity(spec: ExhibitSpec) -> pd.DataFrame:
    """Parameters and saved size of each row's network at full width, and the time to map its scene (gao2021, Table IX).

    Options: `bands` (channels of the input, default 7).
    """
    one = spec.only_site()
    lines = []
    for row in spec.rows:
        runs = [run for run in spec.runs if run.row == row]
        network = read_json(runs[0].folder / "run.json")["spec"]["network"]
        size = networks.describe(network["name"], spec.options.get("bands", 7), **network.get("params", {}))
        lines.append(record(spec, row, "parameters", float(size["parameters"]), data=NETWORK, note=COUNTED))
        lines.append(record(spec, row, "model_ram_mb", float(size["model_mib"]), data=NETWORK, note=COUNTED))
        maps = [read_json(run.folder / "map.json") for run in runs]
        devices = ", ".join(dict.fromkeys(one["device"] for one in maps))
        note = (
            f"test time on {devices} at width {network['width']:g} for {maps[0]['pixels']:,} pixels; "
            "published: NVIDIA RTX 3090, full width, so the difference is of machines and scale"
        )
        lines.append(record(spec, row, "test_time_s", data=one.data, note=note, **mean_of([one["seconds"] for one in maps])))
    return frame_of(lines)


def audit(spec: ExhibitSpec) -> pd.DataFrame:
    """What the printed scores imply, and how far training and validation windows overlap.

    Rows such as `table7:unet`, which hold printed numbers only and say `data = published`: landslide share implied by accuracy,
    precision and recall, kappa and mIoU recomputed from the same three numbers, and what the claimed gain in kappa is made of. Row
    `zigui`: validation windows that overlap training windows.
    Needs published records with the key `table`. Options: `tables` ({table of published scores: site}).
    """
    lines = []
    for table, name in spec.options["tables"].items():
        printed = printed_scores(spec, table)
        for row, numbers in printed.items():
            lines += implied_records(spec, f"{table}:{row}", numbers, area_share(spec, name))
        lines += gain_records(spec, table, {row: numbers["kappa"] for row, numbers in printed.items()})
    return frame_of([*lines, *overlap_records(spec)])


def printed_scores(spec: ExhibitSpec, table: str) -> dict[str, dict[str, float]]:
    """{row: {metric: fraction}} of one published table in percent."""
    rows: dict[str, dict[str, float]] = {}
    for one in spec.published:
        if one.get("table") == table:
            rows.setdefault(one["row"], {})[one["metric"]] = float(one["value"]) / 100
    if not rows:
        raise HeadscarpError(
            f"exhibit '{spec.name}' has no published values of table '{table}'; name a table of the card's published values"
        )
    return rows


def area_share(spec: ExhibitSpec, name: str) -> float | None:
    """Landslide area over study area of a site as printed, if both are."""
    slides, whole = (spec.published_value(name, metric) for metric in ("landslide_area_km2", "study_area_km2"))
    return slides / whole if slides and whole else None


def implied_records(spec: ExhibitSpec, row: str, printed: dict[str, float], share: float | None) -> Iterator[dict[str, Any]]:
    """Tidy records of one printed row; kappa and mIoU in percent, the share as a fraction."""
    numbers = printed["precision"], printed["recall"], printed["accuracy"]
    yield record(spec, row, "implied_landslide_share", implied_share(*numbers).value, published=share, data=PRINTED, note=IMPLIED)
    for metric, implied in (("kappa", implied_kappa), ("miou", implied_miou)):
        value = 100 * implied(*numbers).value
        yield record(spec, row, f"recomputed_{metric}", value, published=100 * printed[metric], data=PRINTED, note=IMPLIED)


def gain_records(spec: ExhibitSpec, table: str, kappa: dict[str, float]) -> Iterator[dict[str, Any]]:
    """Points of printed kappa over each baseline: as claimed (with factors against without), like for like, and by the factors alone."""
    for enriched in kappa:
        proposed = enriched.removesuffix(FACTORS)
        if proposed == enriched or proposed not in kappa:
            continue
        baselines = [row for row in kappa if row != proposed and not row.endswith(FACTORS)]
        found = gains(kappa, proposed, enriched, baselines)
        for gain in found:
            row = f"{table}:{gain['baseline']}"
            yield record(
                spec, row, "kappa_gain_claimed", 100 * gain["claimed"], data=PRINTED,
                note=f"claimed gain: printed kappa of {enriched} minus this row's",
            )  # fmt: skip
            note = f"like for like: printed kappa of {proposed}, on the same inputs, minus this row's"
            yield record(spec, row, "kappa_gain_like_for_like", 100 * gain["like_for_like"], data=PRINTED, note=note)
        note = f"printed kappa of {enriched} minus that of {proposed}"
        yield record(spec, f"{table}:{enriched}", "kappa_gain_by_factors", 100 * found[0]["inputs"], data=PRINTED, note=note)


def overlap_records(spec: ExhibitSpec) -> Iterator[dict[str, Any]]:
    """Share of validation windows that overlap a training window, by site and protocol, from our own samples."""
    for one in spec.sites:
        for protocol, folder in one.samples.items():
            share = read_json(folder / "samples.json")["overlap"]["validation_windows_overlapping_training"]
            yield record(spec, one.name, "validation_windows_overlapping_training", share, protocol=protocol, data=one.data)


TABLES: dict[str, Callable[[ExhibitSpec], pd.DataFrame]] = {
    "site": site,
    "factor_ranges": factor_ranges,
    "scores": scores,
    "objects": objects,
    "complexity": complexity,
    "audit": audit,
}

__all__ = ["TABLES", "write_table"]
