"""Where each network looks, beside the image and the label."""

import math
import textwrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from headscarp.codes import LANDSLIDE
from headscarp.errors import HeadscarpError
from headscarp.exhibits.layers import layer_path
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.figure import HEIGHT, WIDTH, sign
from headscarp.exhibits.panels.ground import (
    grey_relief,
    paint,
    tone,
)
from headscarp.exhibits.panels.marks import outline, scale_bar, show
from headscarp.exhibits.panels.page import MARGIN, Page, place
from headscarp.exhibits.panels.scene import scene_of
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.runs import stored_arrays
from headscarp.exhibits.spec import ExhibitSpec, RunFiles
from headscarp.exhibits.tidy import frame_of, record
from headscarp.vocabulary import require_known

LAYERS = ("decoder", "encoder")
COLOURS = "cividis"  # sequential in lightness, and the same to colour-blind readers
PER_LINE = 9
# inches: above a line of panels, left of it, between panels, below all
TITLE, SIDE, GAP, FOOT = 0.3, 0.28, 0.05, 0.75
LETTERS_PER_INCH = 20  # of a title
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
    site, (protocol, *others) = spec.only_site(), spec.protocols
    layer = require_known(
        spec.options.get("layer", LAYERS[0]), LAYERS, f"exhibit '{spec.name}', options: layer"
    )
    if others:
        raise HeadscarpError(
            f"exhibit '{spec.name}' shows one protocol at a time; name one as `protocols: [blocked]`"
        )
    runs = spec.first_runs(protocol)
    explained = {run.row: stored_arrays(run.folder / "gradcam.npz", "explain") for run in runs}
    windows = same_windows(runs, explained)
    scene = scene_of(spec, site)
    page = page_of(len(windows), 2 + len(runs))
    figure = page.figure()
    lines: list[dict[str, Any]] = []
    for number, window in enumerate(windows):
        view = scene.view(tuple(int(n) for n in window))
        slides = view.read(layer_path(site, "label"), classes=True) == LANDSLIDE
        ground = grey_relief(tone(view, site), np.zeros(view.shape))
        axes = [page.axes_of(figure, number, index) for index in range(2 + len(runs))]
        axes[0].set_ylabel(f"Window {number + 1}", fontsize=7)
        show(axes[0], scene.image(view), view)
        scale_bar(axes[0], view.width_km)
        draw_label(axes[1], ground, slides, view)
        for run, drawn in zip(runs, axes[2:], strict=True):
            attention = explained[run.row][layer]
            draw_attention(drawn, ground, attention[number] / (attention.max() or 1), slides, view)
            lines += explanation_records(spec, run, number, attention[number], slides)
        texts = ["Image", "Label", *(run.label for run in runs)]
        for one, text in zip(axes, texts, strict=True):
            lines_of_text = textwrap.wrap(text, int(LETTERS_PER_INCH * page.side))
            one.set_title("\n".join(lines_of_text), fontsize=6.5, pad=2)
    bar = place(figure, (0.3 * WIDTH, figure.get_figheight() - FOOT + 0.12, 0.4 * WIDTH, 0.09))
    scale = ScalarMappable(Normalize(0, 1), COLOURS)
    text = "Grad-CAM, share of the network's strongest"
    figure.colorbar(scale, cax=bar, orientation="horizontal", label=text)
    sign(figure, spec, f"First seed, {layer}; label outlined.")
    return figure, frame_of(lines)


def page_of(windows: int, panels: int) -> Page:
    """A block for each window, its panels in as few lines as `PER_LINE` allows."""
    rows = math.ceil(panels / PER_LINE)
    columns = math.ceil(panels / rows)
    side = min((WIDTH - SIDE - MARGIN) / columns - GAP, (HEIGHT - FOOT) / (windows * rows) - TITLE - GAP)
    return Page(rows, columns, (side, side), windows, footer=FOOT, title=TITLE, caption=SIDE, gap=GAP)


def draw_label(axes: Axes, ground: np.ndarray, slides: np.ndarray, view: View) -> None:
    """Labelled slides (row, col) over the ground (row, col, 3)."""
    image = ground.copy()
    paint(image, slides, palette.SLIDE, 0.75)
    show(axes, image, view)


def draw_attention(
    axes: Axes, ground: np.ndarray, shares: np.ndarray, slides: np.ndarray, view: View
) -> None:
    """Shares (row, col) of the strongest activation over the ground, with the outline of slides."""
    show(axes, ground, view)
    opacity = np.clip(shares / (10 * SMALL_SHARE), 0, 1) ** 0.5 * 0.9
    show(axes, shares, view, cmap=COLOURS, vmin=0, vmax=1, alpha=opacity)
    for colour, width in ((palette.INK, 1.0), ("white", 0.4)):  # seen on pale relief and on dark blue
        outline(axes, slides, view, colour, width)
    if not shares.any():
        words = {"transform": axes.transAxes, "ha": "center", "fontsize": 6, "color": palette.INK}
        axes.text(0.5, 0.03, "nothing above 0", **words)


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
