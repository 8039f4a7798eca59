"""A made-up factor map in a cube's folder, for tests of cells and of the models that learn from them."""

import json

import numpy as np
from scipy.ndimage import gaussian_filter

from tests.site_files import make_grid


def write_cube(folder, channels, cell=90.0):
    """A cube of named planes (row, col), without labels of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    values = np.stack(list(channels.values())).astype(np.float32)
    plane = values.shape[1:]
    np.save(folder / "cube.npy", values[None])
    np.save(folder / "label.npy", np.zeros(plane, np.uint8))
    np.save(folder / "instances.npy", np.zeros(plane, np.int32))
    header = {
        "site": "made_up",
        "data": "twin",
        "dates": ["2020-01-01"],
        "grid": make_grid(*plane, cell).to_record(),
        "channels": [{"name": name, "units": "1", "source": "a test"} for name in channels],
    }
    (folder / "cube.json").write_text(json.dumps(header))
    return folder


def smooth(shape, seed, width=2.0):
    """A random field (row, col) of mean 0 and standard deviation 1."""
    field = gaussian_filter(np.random.default_rng(seed).normal(size=shape), width)
    return (field - field.mean()) / field.std()


def neighbourhood_site(folder, shape=(90, 90), seed=0):
    """A map whose landslides are where the mean of `wetness` within 5 x 5 cells is high, though the cell
    itself tells little of it.

    Channels: wetness (white noise), slope (white noise, no use), slides (1 where a landslide is).
    """
    random = np.random.default_rng(seed)
    wetness, slope = random.normal(size=(2, *shape))
    around = np.lib.stride_tricks.sliding_window_view(np.pad(wetness, 2), (5, 5)).mean((2, 3))
    return write_cube(
        folder, {"wetness": wetness, "slope": slope, "slides": around > np.quantile(around, 0.75)}
    )
