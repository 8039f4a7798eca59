"""Whether zhang2024's 3D-CNN ranks cells better without its two poolings: the same cells, folds, seeds and
steps for both forms.

    python benchmarks/bench_cnn3d.py CUBE SAMPLES [SAMPLES …] [--steps 400 2000] [--seeds 3] [--device cuda]

CUBE: folder of a cube (`results/sites/ecuador/cube`). SAMPLES: folders of cells with folds
(`results/sites/ecuador/samples/ecuador/published`). Prints a Markdown table of the AUC over all test folds.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch.nn import functional

from headscarp import networks
from headscarp.codes import TEST, TRAIN
from headscarp.networks.neighbourhoods import neighbourhoods

WINDOW, BATCH, LEARNING_RATE = 12, 64, 1e-3


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("cube", type=Path)
    parser.add_argument("samples", type=Path, nargs="+")
    parser.add_argument("--steps", type=int, nargs="+", default=[400, 2000])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    chosen = parser.parse_args()
    device = torch.device(chosen.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    values = torch.from_numpy(np.load(chosen.cube / "cube.npy")[0].astype(np.float32))
    print(
        f"{name}, torch {torch.__version__}, width {chosen.width:g}, windows of {WINDOW}, batches of {BATCH}"
        f", Adam {LEARNING_RATE:g}\n\n| cells | form | steps | AUC by seed | mean |\n|---|---|---|---|---|",
        flush=True,
    )
    for folder in chosen.samples:
        cells = np.load(folder / "cells.npz")
        for pooling in (True, False):
            began = time.perf_counter()
            scores = [
                auc_by_steps(values, cells, pooling, seed, chosen.steps, chosen.width, device)
                for seed in range(chosen.seeds)
            ]
            for steps in chosen.steps:
                found = [one[steps] for one in scores]
                print(
                    f"| {folder.name} | {'pooled' if pooling else 'not pooled'} | {steps} | "
                    f"{', '.join(f'{auc:.3f}' for auc in found)} | {np.mean(found):.3f} |",
                    flush=True,
                )
            print(f"<!-- {time.perf_counter() - began:.0f} s -->", flush=True)


def auc_by_steps(values, cells, pooling, seed, steps, width, device) -> dict[int, float]:
    """AUC over the cells of all test folds after each number of steps."""
    label = cells["label"] == 1
    predicted = {one: np.full(len(label), np.nan) for one in steps}
    for split in cells["split"]:
        train, test = np.flatnonzero(split == TRAIN), np.flatnonzero(split == TEST)
        mean = torch.nanmean(values.flatten(1), 1)[:, None, None]
        spread = torch.from_numpy(np.nanstd(values.numpy(), axis=(1, 2)))[:, None, None]
        factors = ((values - mean) / spread).nan_to_num().to(device)
        torch.manual_seed(seed)
        model = networks.build("cnn3d", len(values), width=width, windows=[WINDOW], pooling=pooling).to(
            device
        )
        optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
        rng = np.random.default_rng(seed)
        share = label[train].mean()
        weight = torch.tensor([1 / (1 - share), 1 / share], dtype=torch.float32, device=device)
        rows, cols = (torch.from_numpy(cells[axis].astype(np.int64)).to(device) for axis in ("row", "col"))
        truth = torch.from_numpy(label.astype(np.int64)).to(device)
        for step in range(1, max(steps) + 1):
            chosen = torch.from_numpy(rng.choice(train, BATCH)).to(device)
            windows = neighbourhoods(factors, rows[chosen], cols[chosen], [WINDOW])
            loss = functional.cross_entropy(model.train()(windows), truth[chosen], weight)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if step in steps:
                with torch.no_grad():
                    seen = neighbourhoods(factors, rows[test], cols[test], [WINDOW])
                    predicted[step][test] = model.eval()(seen).softmax(1)[:, 1].cpu().numpy()
    scored = ~np.isnan(predicted[steps[0]])
    return {one: float(roc_auc_score(label[scored], predicted[one][scored])) for one in steps}


if __name__ == "__main__":
    main()
