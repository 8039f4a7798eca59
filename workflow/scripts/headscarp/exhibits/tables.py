"""The tables: one function of an `ExhibitSpec` for each kind, in `TABLES`, gives a tidy frame."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.exhibits.audit_tables import audit, model_audit
from headscarp.exhibits.class_tables import (
    change_table,
    class_ratios,
    class_scores,
    data_sources,
    extraction,
    extraction_audit,
    fine_tuning,
    paired_effect,
)
from headscarp.exhibits.comparison_tables import network_comparison, pairwise
from headscarp.exhibits.cross_tables import cross_scene, lightweight, score_gains
from headscarp.exhibits.factor_tables import class_shares, factor_classes
from headscarp.exhibits.fusion_tables import ablation_effects, date_table, fusion_audit
from headscarp.exhibits.inventory_tables import inventory
from headscarp.exhibits.rasters import site_grid, units_of, values_of
from headscarp.exhibits.run_tables import hyperparameters, mcnemar, order_spread, printed_scores, search
from headscarp.exhibits.runs import aggregate, mean_of, scored_runs
from headscarp.exhibits.scene_tables import left_out_scenes
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import UNIT, frame_of, record, write_table
from headscarp.files import read_json

RANGE_FACTORS = ("elevation", "slope", "curvature", "ndvi", "mndwi", "distance_to_river", "distance_to_fault")
NETWORK = "network"
COUNTED = "parameters and size are of the network at full width, whatever the data"


def site(spec: ExhibitSpec) -> pd.DataFrame:
    """Size, slides and areas of each site, counted on its layers (gao2021, Table I and section II-A); row =
    site."""
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
        lines += [
            record(spec, one.name, metric, float(value), data=one.data) for metric, value in measured.items()
        ]
    return frame_of(lines)


def factor_ranges(spec: ExhibitSpec) -> pd.DataFrame:
    """Least and greatest value of factors inside each study area (gao2021, Table II); rows such as
    `zigui:elevation`.

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
        raise HeadscarpError(
            f"exhibit '{spec.name}': unit '{unit}' does not exist; it is percent or fraction"
        )
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


def object_record(
    spec: ExhibitSpec, row: str, metric: str, protocol: str, value: dict[str, Any], seeds: int
) -> dict[str, Any]:
    if value["n_seeds"] < seeds:
        value["note"] = f"undefined for {seeds - value['n_seeds']} of {seeds} seeds under {protocol}"
    return record(spec, row, metric, protocol=protocol, data=spec.only_site().data, **value)


def recall_by_size(of_seeds: list[list[dict[str, Any]]]) -> dict[str, list[float | None]]:
    """Recall of each seed by class of slide area, keyed by the class's name."""
    classes: dict[str, list[float | None]] = {}
    for classes_of_seed in of_seeds:
        for one in classes_of_seed:
            classes.setdefault(f"recall {one['low_m2']:,.0f}–{one['high_m2']:,.0f} m²", []).append(
                one["recall"]
            )
    return classes


def complexity(spec: ExhibitSpec) -> pd.DataFrame:
    """Parameters and saved size of each row's network at full width, and the time to map its scene (gao2021,
    Table IX).

    Options: `bands` (channels of the input, default 7).
    """
    from headscarp import networks  # here, since no other table waits for torch

    one = spec.only_site()
    lines = []
    for row in spec.rows:
        runs = [run for run in spec.runs if run.row == row]
        network = read_json(runs[0].folder / "run.json")["spec"]["network"]
        size = networks.describe(network["name"], spec.options.get("bands", 7), **network.get("params", {}))
        lines.append(record(spec, row, "parameters", float(size["parameters"]), data=NETWORK, note=COUNTED))
        lines.append(record(spec, row, "model_ram_mb", float(size["model_mib"]), data=NETWORK, note=COUNTED))
        maps = [read_json(run.maps / "map.json") for run in runs]
        devices = ", ".join(dict.fromkeys(one["device"] for one in maps))
        note = (
            f"test time on {devices} at width {network['width']:g} for {maps[0]['pixels']:,} pixels; "
            "published: NVIDIA RTX 3090, full width, so the difference is of machines and scale"
        )
        lines.append(
            record(
                spec,
                row,
                "test_time_s",
                data=one.data,
                note=note,
                **mean_of([one["seconds"] for one in maps]),
            )
        )
    return frame_of(lines)


TABLES: dict[str, Callable[[ExhibitSpec], pd.DataFrame]] = {
    "site": site,
    "factor_ranges": factor_ranges,
    "scores": scores,
    "objects": objects,
    "complexity": complexity,
    "audit": audit,
    "class_shares": class_shares,
    "factor_classes": factor_classes,
    "search": search,
    "printed_scores": printed_scores,
    "hyperparameters": hyperparameters,
    "mcnemar": mcnemar,
    "order_spread": order_spread,
    "inventory": inventory,
    "model_audit": model_audit,
    "left_out_scenes": left_out_scenes,
    "data_sources": data_sources,
    "class_ratios": class_ratios,
    "class_scores": class_scores,
    "extraction": extraction,
    "fine_tuning": fine_tuning,
    "paired_effect": paired_effect,
    "change_table": change_table,
    "extraction_audit": extraction_audit,
    "ablation_effects": ablation_effects,
    "fusion_audit": fusion_audit,
    "date_table": date_table,
    "network_comparison": network_comparison,
    "pairwise": pairwise,
    "score_gains": score_gains,
    "cross_scene": cross_scene,
    "lightweight": lightweight,
}

__all__ = ["TABLES", "write_table"]
