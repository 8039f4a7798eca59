"""The figure of Grad-CAM: where each network looks, beside the image and the label."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from headscarp.codes import LANDSLIDE
from headscarp.errors import HeadscarpError
from headscarp.exhibits import style
from headscarp.exhibits.maps import (
    TRUE_COLOUR,
    band_limits,
    bare,
    grey_relief,
    hillshade,
    image_bands,
    outline,
    paint,
    place,
    show,
    stretch,
)
from headscarp.exhibits.rasters import View, layer_path, site_grid
from headscarp.exhibits.runs import stored_arrays
from headscarp.exhibits.spec import ExhibitSpec, RunFiles
from headscarp.exhibits.tidy import frame_of, record
from headscarp.vocabulary import require_known

LAYERS = ("decoder", "encoder")
COLOURS = "cividis"  # sequential in lightness, and the same to colour-blind readers
PER_LINE = 9
# inches: above a line of panels, left of it, between panels, below all
TITLE, SIDE, GAP, FOOT = 0.3, 0.28, 0.05, 0.75
SMALL_SHARE = 0.05  # of the strongest: below, the relief shows through


def grad_cam(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """For each window around a large slide of the test region: image, label, and Grad-CAM of each row's first
    seed over grey relief.

    A network's maps are shares of its strongest activation in any of the windows: what it attends to can be
    compared between networks, how strongly cannot. A label's outline is white within black. Numbers, by
    `row:window`: `inside`, the share of the activation that lies on labelled landslides, and
    `landslide_share` of the window, which is what chance gives. Options: `composite` (three layers as red,
    green and blue), `layer` (decoder, the default, or encoder).

    Raises:
        HeadscarpError: the layer does not exist, several protocols are asked for, or runs were explained on
        different windows.
    """
    site = spec.only_site()
    layer = require_known(
        spec.options.get("layer", LAYERS[0]), LAYERS, f"exhibit '{spec.name}', options: layer"
    )
    if len(spec.protocols) > 1:
        raise HeadscarpError(
            f"exhibit '{spec.name}' shows one protocol at a time; name one as `protocols: [blocked]`"
        )
    runs = [spec.runs_of(row, spec.protocols[0])[0] for row in spec.rows]
    explained = {run.row: stored_arrays(run.folder / "gradcam.npz", "explain") for run in runs}
    windows = same_windows(runs, explained)
    grid = site_grid(site)
    channels = spec.options.get("composite", TRUE_COLOUR)
    limits = band_limits(image_bands(View.of(grid, longest_side=500), site, channels))

    lines_of_panels = math.ceil((2 + len(runs)) / PER_LINE)
    columns = math.ceil((2 + len(runs)) / lines_of_panels)
    panel = (style.WIDTH - SIDE - 0.04) / columns - GAP
    panel = min(panel, (style.HEIGHT - FOOT) / (len(windows) * lines_of_panels) - TITLE - GAP)
    step = TITLE + panel + GAP
    figure = style.new_figure(len(windows) * lines_of_panels * step + FOOT, layout=None)
    lines: list[dict[str, Any]] = []
    for number, window in enumerate(windows):
        view = View.of(grid, window=tuple(int(n) for n in window))
        slides = view.read(layer_path(site, "label"), classes=True) == LANDSLIDE
        ground = grey_relief(hillshade(view, site), np.zeros(view.shape))
        boxes = [
            (
                SIDE + index % columns * (panel + GAP),
                (number * lines_of_panels + index // columns) * step + TITLE,
                panel,
                panel,
            )
            for index in range(2 + len(runs))
        ]
        axes = [place(figure, box) for box in boxes]
        axes[0].set_ylabel(f"Window {number + 1}", fontsize=7)
        show(axes[0], stretch(image_bands(view, site, channels), limits), view)
        axes[0].set_title("Image", fontsize=6.5, pad=2)
        style.scale_bar(axes[0], view.width_km)
        labelled = ground.copy()
        paint(labelled, slides, style.SLIDE, 0.75)
        show(axes[1], labelled, view)
        axes[1].set_title("Label", fontsize=6.5, pad=2)
        for run, drawn in zip(runs, axes[2:], strict=True):
            attention = explained[run.row][layer]
            shares = attention[number] / (attention.max() or 1)
            show(drawn, ground, view)
            opacity = np.clip(shares / (10 * SMALL_SHARE), 0, 1) ** 0.5 * 0.9
            show(drawn, shares, view, cmap=COLOURS, vmin=0, vmax=1, alpha=opacity)
            for colour, width in ((style.INK, 1.0), ("white", 0.4)):  # seen on pale relief and on dark blue
                outline(drawn, slides, view, colour, width)
            if not attention[number].any():
                drawn.text(
                    0.5,
                    0.03,
                    "nothing above 0",
                    transform=drawn.transAxes,
                    ha="center",
                    fontsize=6,
                    color=style.INK,
                )
            drawn.set_title(run.label.replace(" (", "\n("), fontsize=6.5, pad=2)
            lines += explanation_records(spec, run, number, attention[number], slides)
        for one in axes:
            bare(one)
    bar = place(figure, (0.3 * style.WIDTH, figure.get_figheight() - FOOT + 0.12, 0.4 * style.WIDTH, 0.09))
    figure.colorbar(
        ScalarMappable(Normalize(0, 1), COLOURS),
        cax=bar,
        orientation="horizontal",
        label="Grad-CAM, share of the network's strongest",
    )
    style.sign(figure, spec, f"First seed, {layer}; label outlined.")
    return figure, frame_of(lines)


def same_windows(runs: list[RunFiles], explained: dict[str, dict[str, np.ndarray]]) -> np.ndarray:
    """The windows (window, [row, col, height, width]) that all runs were explained on."""
    windows = explained[runs[0].row]["windows"]
    for run in runs[1:]:
        if not np.array_equal(explained[run.row]["windows"], windows):
            first, other = (one.folder / "gradcam.npz" for one in (runs[0], run))
            raise HeadscarpError(
                f"{other} shows other windows than {first}; delete both and explain the runs again"
            )
    return windows


def explanation_records(
    spec: ExhibitSpec, run: RunFiles, number: int, attention: np.ndarray, slides: np.ndarray
) -> list[dict[str, Any]]:
    """How much of the activation (row, col) in a window lies on its slides, and their share of the window."""
    total = float(attention.sum())
    inside = float(attention[slides].sum()) / total if total else None
    same = {"protocol": run.protocol, "data": spec.only_site().data, "n_seeds": 1, "published": None}
    row = f"{run.row}:window_{number + 1}"
    note = "" if total else "nothing in the layer speaks for landslides"
    return [
        record(spec, row, "inside", inside, note=note, **same),
        record(spec, row, "landslide_share", float(slides.mean()), **same),
    ]
