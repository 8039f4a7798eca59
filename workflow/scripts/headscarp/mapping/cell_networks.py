"""What the network of a fold says of chosen cells, from the windows around them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from headscarp.codes import LANDSLIDE
from headscarp.mapping.dense import BATCH
from headscarp.networks.neighbourhoods import neighbourhoods
from headscarp.samples.cell_table import Cells, scaled_factors
from headscarp.site.cube import Cube
from headscarp.training.cells import load_fold_networks


def network_of_fold(
    cube: Cube, cells: Cells, fold: int, chosen: np.ndarray, run_folder: Path
) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
    """The probability of a landslide by the network of a fold, as a function of the windows (cell, channel,
    window, s, s), and those of the chosen cells.

    Raises:
        HeadscarpError: the run is not complete.
    """
    models, record = load_fold_networks(run_folder, cells.folds)
    model, channels = models[fold].eval(), record["spec"]["channels"]
    factors = torch.from_numpy(scaled_factors(cube, cells, fold, channels))
    row, col = (torch.from_numpy(values[chosen].astype(np.int64)) for values in (cells.row, cells.col))
    windows = neighbourhoods(factors, row, col, model.windows, cube.without_mean(channels))

    def predict(values: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            parts = torch.from_numpy(values).transpose(1, 2).split(BATCH)
            return torch.cat([model(part).softmax(1)[:, LANDSLIDE] for part in parts]).numpy()

    return predict, windows.transpose(1, 2).numpy()
