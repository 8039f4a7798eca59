"""The interactive map of a site's susceptibility: classes, mean and spread of the folds, and where the map
may be believed."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import to_hex

from headscarp.delivery.ground import label_path
from headscarp.delivery.map_page import (
    PALETTE,
    Layer,
    count_of_ground,
    flat_colours,
    ground_drawings,
    ground_layers,
    page_record,
    write_page,
    write_parts,
)
from headscarp.delivery.map_tiles import Drawing, Pyramid
from headscarp.delivery.mapped_runs import PROTOCOLS
from headscarp.delivery.susceptibility import METRICS
from headscarp.delivery.susceptibility_page import DELIVERED, validation
from headscarp.delivery.susceptibility_styles import OUTSIDE
from headscarp.exhibits.labels import metric_label
from headscarp.exhibits.layers import site_grid
from headscarp.exhibits.levels import LEVELS
from headscarp.exhibits.panels.palette import SUSCEPTIBILITY
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.spec import RunFiles, SiteFiles
from headscarp.files import atomic_path, read_json

LAYERS_OF_RUN = 4
PIXELS = 1000  # longest side at which the range of the spread is looked for


def build_susceptibility_map(record: Mapping[str, Any], page: str | Path, folder: str | Path) -> None:
    """Write the interactive map: the page, and beside it the folder of its tiles and scripts.

    Args:
        record: as `susceptibility_page.build_susceptibility_page` takes it.
        page: the HTML file; `folder` lies beside it.

    Raises:
        HeadscarpError: a file is missing, unreadable or not on the grid of its site.
    """
    site = SiteFiles.from_record(dict(record))
    found = sorted(map(RunFiles.from_record, record["runs"]), key=lambda run: run.protocol != "blocked")
    runs = {f"run{number}": run for number, run in enumerate(found, start=1)}
    truth = label_path(site)
    pyramid = Pyramid.of(site_grid(site), count_of_ground(site, None, truth) + LAYERS_OF_RUN * len(runs))
    ground = list(ground_drawings(site, None, pyramid, truth))
    widest = max(largest_spread(run, pyramid) for run in found)
    with atomic_path(folder) as temporary:
        write_parts(temporary, ground, {key: run_drawings(run, widest) for key, run in runs.items()}, pyramid)
    described = page_record(site, record["citation"], pyramid, Path(folder).name) | {
        "heading": "map of susceptibility",
        "more": {"page": "susceptibility.html", "text": "Scores, classes, factors, files"},
        "layers": [vars(layer) for layer in (*ground_layers(ground, None), *run_layers(widest))],
        "runs": [run_record(key, run) for key, run in runs.items()],
        "columns": [],
    }
    write_page(page, described)


def largest_spread(run: RunFiles, pyramid: Pyramid) -> float:
    """The largest standard deviation of the folds, as far as a coarse look tells."""
    view = View.of(pyramid.grid, longest_side=PIXELS)
    spread = view.read(run.maps / DELIVERED / "susceptibility.tif", band=2)
    return max(float(np.nanmax(spread, initial=0)), 1e-6)


def run_drawings(run: RunFiles, widest: float) -> Iterator[Drawing]:
    """The layers of a run, `LAYERS_OF_RUN`; colours of the spread end at `widest`."""
    delivered = run.maps / DELIVERED
    threshold = read_json(delivered / "applicability.json")["threshold"]
    mean = (delivered / "susceptibility.tif",)
    yield Drawing("classes", (delivered / "classes.tif",), lambda values: class_colours(values[0]))
    yield Drawing("mean", mean, lambda values: ramp_colours(values[0]))
    yield Drawing("spread", mean, lambda values: ramp_colours(values[0] / widest), band=2)
    yield Drawing(
        "outside",
        (delivered / "applicability.tif",),
        lambda values: flat_colours({OUTSIDE: values[0] > threshold}),
    )


def class_colours(classes: np.ndarray) -> np.ndarray:
    """Classes 1 … 5 (row, col) in the colours of the figures; transparent where there is none."""
    return flat_colours({colour: classes == code for code, colour in enumerate(SUSCEPTIBILITY, start=1)})


def ramp_colours(values: np.ndarray) -> np.ndarray:
    """Values of 0..1 (row, col) in the palette of the figures; transparent where there are none."""
    return np.dstack([PALETTE(np.nan_to_num(values))[..., :3], np.isfinite(values)])


def run_layers(widest: float) -> Iterator[Layer]:
    ramp = [to_hex(PALETTE(value)) for value in np.linspace(0, 1, 11)]
    boxes = [[colour, name] for colour, name in zip(SUSCEPTIBILITY, LEVELS, strict=True)]
    remark = "Natural breaks of the mean of the folds"
    yield Layer("classes", "Susceptibility, five classes", "run", True, 0.7, {"boxes": boxes}, remark)
    yield Layer("mean", "Susceptibility", "run", False, 0.8, {"ramp": ramp, "ends": ["0", "1"]})
    ends = ["0", f"{widest:.2g}"]
    remark = "Standard deviation of the folds"
    yield Layer("spread", "Spread", "run", False, 0.8, {"ramp": ramp, "ends": ends}, remark)
    yield Layer(
        "outside",
        "Outside the area of applicability",
        "run",
        False,
        0.7,
        {"boxes": [[OUTSIDE, "Unlike all training cells"]]},
        "Scores say nothing of the map there",
    )


def run_record(key: str, run: RunFiles) -> dict[str, Any]:
    """A run as the page's list of models names it, with its scores."""
    metrics = read_json(run.maps / DELIVERED / "summary.json")["metrics"]
    return {
        "key": key,
        "title": f"{run.label} · {validation(run.protocol)}",
        "threshold": None,
        "about": PROTOCOLS.get(run.protocol, ""),
        "scores": [
            [metric_label(name), metrics[name], None] for name in METRICS if metrics[name] is not None
        ],
    }
