"""The layers of a place against those that a network was trained on: cells of the terrain, and values."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from headscarp.delivery.trained_model import TrainedModel, origin_of
from headscarp.errors import HeadscarpError
from headscarp.files import read_json
from headscarp.geo.rasters import COARSER
from headscarp.site.cube import Cube

# Standard deviations of the training values by which the median of a layer may lie off their mean: beyond,
# the network sees what it has hardly seen; or what cannot be the same quantity in the same units.
UNLIKE, ANOTHER_UNIT = 3.0, 20.0
SPREAD = 5.0  # times by which values may vary more or less than in training
MOST_CELLS = 1_000_000  # of a channel, looked at


def check_terrain(model: TrainedModel, layers: Path) -> Iterator[str]:
    """A warning where the elevation model is coarser or finer than that of training: slopes and curvatures
    change with its cells."""
    if not model.terrain:
        return
    records = {record["name"]: record for record in read_json(layers / "layers.json")["layers"]}
    here = max(records[name]["effective_resolution_m"] for name in model.terrain)
    ratio = here / model.elevation_resolution
    if max(ratio, 1 / ratio) >= COARSER:
        yield (
            f"WARNING the elevation model has cells of {here:g} m, that of training of "
            f"{model.elevation_resolution:g} m: slopes and curvatures of other cells are other numbers"
        )


def check_values(model: TrainedModel, cube: Cube) -> Iterator[str]:
    """A warning for each channel whose values are unlike those of training.

    Raises:
        HeadscarpError: values of a raster are so far from those of training that they must be of another unit
            or scale.
    """
    for channel, position in zip(
        model.channels, cube.positions([channel["name"] for channel in model.channels]), strict=True
    ):
        known = known_values(cube, position)
        if not known.size:
            raise HeadscarpError(
                f"{channel['name']} holds no data on the ground that is mapped; give a file that covers it"
            )
        if not channel.get("has_mean", True):
            continue
        mean, sd = channel["normalisation"]["mean"], channel["normalisation"]["sd"]
        middle = float(np.median(known))
        off, times = (middle - mean) / sd, float(known.std(dtype=np.float64)) / sd
        seen = (
            f"{channel['name']}: the median here is {middle:.4g} {channel['units']}, the mean of training "
            f"was {mean:.4g} with a standard deviation of {sd:.4g}"
        )
        if abs(off) > ANOTHER_UNIT and origin_of(channel) is None:
            raise HeadscarpError(
                f"{seen}; values so far off are of another unit or scale: give the factor that makes the "
                f"file's numbers {channel['units']} as training had them, --scale {channel['layer']}=FACTOR"
            )
        if abs(off) > UNLIKE:
            yield f"WARNING {seen}: {abs(off):.1f} of them away, ground that the network has hardly seen"
        elif not 1 / SPREAD < times < SPREAD:
            yield f"WARNING {seen}; values vary {times:.2g} times as much here"


def known_values(cube: Cube, position: int) -> np.ndarray:
    """Values of a channel that are no NaN, of all dates, thinned where there are many."""
    dates, _, height, width = cube.values.shape
    step = max(1, int(np.sqrt(dates * height * width / MOST_CELLS)))
    values = np.asarray(cube.values[:, position, ::step, ::step])
    return values[np.isfinite(values)]
