"""Tables of susceptibility maps in levels."""

import numpy as np
import pandas as pd

from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.exhibits.averages import mean_of
from headscarp.exhibits.layers import values_of
from headscarp.exhibits.levels import LEVELS, TOO_FEW, level_bounds, level_key
from headscarp.exhibits.runs import runs_by_row, stored_arrays
from headscarp.exhibits.spec import ExhibitSpec, RunFiles
from headscarp.exhibits.tables.factors import share_of_class
from headscarp.exhibits.tidy import frame_of, record
from headscarp.geo.layer import open_any_raster
from headscarp.scoring.pixel import to_python


def susceptibility_levels(spec: ExhibitSpec) -> pd.DataFrame:
    """How test cells and landslides among them are shared by the five levels of each susceptibility map; rows
    such as `multi:very_high`.

    Levels are natural breaks of the mean of the folds over the whole study area; a test cell is in the level
    of its probability by the model of its fold. Per level: percent of the test cells and of the landslides
    among them, landslide density and frequency ratio, and the frequency ratio of the true landslides where
    they are known. Mean and sd over seeds.
    """
    site = spec.only_site()
    mapped = values_of(site, "label") != UNMAPPED
    lines = []
    for protocol, row, runs in runs_by_row(spec):
        found = [levels_of(run, mapped) for run in runs]
        for level in LEVELS:
            of_level = [one[level] for one in found if one]
            note = "" if of_level else TOO_FEW
            for metric in METRICS:
                value = mean_of([one[metric] for one in of_level])
                same = {"protocol": protocol, "data": site.data, "note": note}
                lines.append(record(spec, f"{row}:{level_key(level)}", metric, **value, **same))
    return frame_of(lines)


TRUE_RATIO = "truth_frequency_ratio"
METRICS = ("area_percent", "landslide_percent", "density_percent", "frequency_ratio", TRUE_RATIO)


def levels_of(run: RunFiles, mapped: np.ndarray) -> dict[str, dict[str, float | None]]:
    """{level: {metric: value}} of a run; nothing where its map has too few values. `mapped` is the study area
    (row, col)."""
    with open_any_raster(run.maps / "susceptibility.tif") as source:
        values = source.read(masked=True).astype(np.float32).filled(np.nan).mean(axis=0)
    bounds = level_bounds(values[mapped], f"susceptibility of {run.label} under {run.protocol}")
    if not bounds.size:
        return {}
    tested = stored_arrays(run.maps / "predictions.npz", "score")
    level = np.digitize(tested["probability"], bounds[1:-1], right=True)
    slides, truth = tested["label"] == LANDSLIDE, tested["truth"]
    known = truth != UNMAPPED
    return {
        name: to_python(
            share_of_class(level == number, slides)
            | {
                TRUE_RATIO: share_of_class(level[known] == number, truth[known] == LANDSLIDE)[
                    "frequency_ratio"
                ]
            }
        )
        for number, name in enumerate(LEVELS)
    }
