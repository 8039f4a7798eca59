"""How well zhang2024's 3D-CNNs rank cells beside GBDT + LR: same cells, splits and steps for all.

    python benchmarks/bench_cnn3d.py CUBE INVENTORY AREA OUT [--steps 2000] [--width 0.125] [--rows small …]

CUBE: folder of a cube (`results/sites/zhangjiajie_90m/cube`); INVENTORY, AREA: outlines that label its cells
(`results/raw/zhangjiajie/landslides.gpkg` and `study_area.gpkg`); OUT: folder for cells, runs and maps. Rows
are trained, mapped and read back as in the card's runs, by its recipe; a run that is there already is not
repeated. Prints a Markdown table of AUC and average precision over the test cells.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from headscarp.codes import LANDSLIDE, TEST
from headscarp.geo.layer import open_any_raster
from headscarp.mapping.cell_models import fit_cell_model
from headscarp.mapping.susceptibility import map_susceptibility
from headscarp.samples.cell_table import read_cells
from headscarp.samples.cells import build_cells
from headscarp.samples.spec import CellsSpec
from headscarp.training.cells import train_cells
from headscarp.yaml_files import read_yaml

CARD = Path(__file__).parents[1] / "workflow" / "cards" / "zhang2024.yaml"
BASE = {"loss": "bce", "optimiser": "adam", "epochs": 10}
PROTOCOLS = ("published", "blocked")


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("cube", "inventory", "area", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--width", type=float, default=0.125)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", nargs="+", default=["small", "medium", "large", "multi", "gbdt_lr"])
    chosen = parser.parse_args()
    card = read_yaml(CARD)
    groups = card["inputs"]
    print(
        f"torch {torch.__version__}, width {chosen.width:g}, {chosen.steps} steps, seed {chosen.seed}\n\n"
        "| row | cells | AUC | AP | share of landslides | s |\n|---|---|---|---|---|---|",
        flush=True,
    )
    for protocol in PROTOCOLS:
        samples = chosen.out / protocol
        if not (samples / "cells.json").exists():
            source = {"kind": "inventory", "inventory": chosen.inventory, "area": chosen.area}
            spec = CellsSpec.from_record(cells_record(card))
            of_cells = [names for group, names in groups.items() if group != "bands"]
            build_cells(chosen.cube, samples, spec, source, protocol, chosen.seed, of_cells)
        cells = read_cells(samples)
        for row in chosen.rows:
            began = time.perf_counter()
            experiment = card["experiments"][row]
            name = f"{row}-{protocol}-{chosen.steps}-{chosen.width:g}-{chosen.seed}"
            run, maps = chosen.out / name, chosen.out / name / "maps"
            if not (maps / "map.json").exists():
                fit(experiment, groups, chosen, samples, run, maps)
            auc, precision, share = scores(cells, maps / "susceptibility.tif")
            seconds = time.perf_counter() - began
            print(
                f"| {row} | {protocol} | {auc:.3f} | {precision:.3f} | {share:.3f} | {seconds:.0f} |",
                flush=True,
            )


def cells_record(card: dict) -> dict:
    (record,) = card["cells"].values()
    return record


def fit(experiment: dict, groups: dict, chosen, samples: Path, run: Path, maps: Path) -> None:
    """Train and map one row; networks by the card's recipe, but for the number of steps."""
    spec = {
        "network": {
            "name": experiment["network"],
            "width": chosen.width,
            "params": experiment.get("params", {}),
        },
        "channels": [name for group in experiment["inputs"] for name in groups[group]],
        "classes": 1,
        "seed": chosen.seed,
    }
    if experiment["network"] != "cnn3d":
        fit_cell_model(chosen.cube, samples, run, maps, spec)
        return
    epochs = {"steps_per_epoch": chosen.steps // BASE["epochs"], "epochs": BASE["epochs"]}
    spec["recipe"] = BASE | experiment["training"] | epochs
    train_cells(chosen.cube, samples, run, spec, progress=False)
    map_susceptibility(run, chosen.cube, samples, maps)


def scores(cells, path: Path) -> tuple[float, float, float]:
    """AUC and average precision over the test cells of all folds, and their share of landslides."""
    label, probability = [], []
    with open_any_raster(path) as source:
        for fold in range(cells.folds):
            test = cells.split[fold] == TEST
            label.append(cells.label[test] == LANDSLIDE)
            probability.append(source.read(fold + 1)[cells.row[test], cells.col[test]])
    truth, found = np.concatenate(label), np.concatenate(probability)
    return roc_auc_score(truth, found), average_precision_score(truth, found), truth.mean()


if __name__ == "__main__":
    main()
