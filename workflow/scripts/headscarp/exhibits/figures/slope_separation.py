"""Slope of landslides and of built-up ground (xia2021, Fig. 16)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from headscarp.codes import LANDSLIDE
from headscarp.errors import HeadscarpError
from headscarp.exhibits.layers import values_of
from headscarp.exhibits.panels.factors import draw_scale, factor_picture, scale_of
from headscarp.exhibits.panels.figure import WIDTH, panel_letter, sign
from headscarp.exhibits.panels.ground import hillshade
from headscarp.exhibits.panels.land_cover import BARE, BUILDING, INKS, ROAD, names_of_classes
from headscarp.exhibits.panels.legend import legend_at_foot
from headscarp.exhibits.panels.marks import outline, scale_bar, show
from headscarp.exhibits.panels.page import Page, place
from headscarp.exhibits.panels.scene import Scene, scene_of
from headscarp.exhibits.panels.windows import densest_window, slide_windows
from headscarp.exhibits.spec import ExhibitSpec, SiteFiles
from headscarp.exhibits.tidy import frame_of, record

# degrees: bins for ranks, bins for densities and overlap, greatest slope
FINE, COARSE, STEEPEST = 0.01, 1.0, 90.0
COMPARED = (BUILDING, ROAD, BARE)
SLIDE_EDGE, BUILT_EDGE = "#D55E00", "#56B4E9"
QUANTILES = (5, 25, 50, 75, 95)
CHART, BESIDE = 2.3, 2.5  # inches: height of the chart with its axis, width of what stands beside it


def slope_separation(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Close-ups of a landslide and of built-up ground (image, hill shade, slope, aspect) above the
    distributions of slope of labelled landslide, building, road and bare-land pixels.

    The numbers behind it are quantiles of the slope of each class in degrees and, of landslide against each
    other class, the overlap of the two densities (sum of the lesser share in bins of 1 degree: 0 apart, 1
    alike) and the AUC (probability that a landslide pixel is the steeper of two, ties half). Options:
    `composite` (three layers for red, green, blue; default red, green, blue).

    Raises:
        HeadscarpError: no landslide pixel, or no pixel of another class to compare with, has a slope.
    """
    site = spec.only_site()
    scene, names = scene_of(spec, site), names_of_classes(site)
    counts = slope_counts(values_of(site, "slope"), scene.label)
    if not counts[LANDSLIDE].sum() or not any(counts[code].sum() for code in COMPARED):
        raise HeadscarpError(
            f"exhibit '{spec.name}' ({spec.kind}): site '{site.name}' has no labelled landslide with a "
            f"slope, or no building, road or bare "
            "land to compare it with"
        )
    counts = {code: of_class for code, of_class in counts.items() if of_class.sum()}
    lines = list(slope_records(spec, site, names, counts))
    windows = close_up_windows(scene)
    page = Page.grid(len(windows), 4, 1, heading=0.3, footer=CHART + 1.1)
    figure = page.figure()
    draw_close_ups(figure, page, scene, windows)
    below = page.top(len(windows)) + 0.55
    axes = place(figure, (0.55, below, WIDTH - 0.55 - BESIDE, CHART - 0.45))
    draw_densities(axes, names, counts)
    axes.set_title(f"{panel_letter(4)} Slope of labelled pixels", pad=4)
    corner = ((WIDTH - BESIDE + 0.2) / WIDTH, 1 - (below + 1.0) / figure.get_figheight())
    figure.text(
        *corner,
        comparison_text(names, lines),
        family="DejaVu Sans Mono",
        fontsize=7,
        va="top",
        linespacing=1.5,
    )
    handles = [
        Line2D([], [], color=SLIDE_EDGE, lw=1.4, label="Landslide (outline)"),
        Line2D([], [], color=BUILT_EDGE, lw=1.4, label="Building or road (outline)"),
    ]
    legend_at_foot(figure, handles, 2)
    sign(
        figure,
        spec,
        "AUC: probability that a landslide pixel is the steeper of two. Overlap of the densities: 0 "
        "apart, 1 alike.",
    )
    return figure, frame_of(lines)


def comparison_text(names: Mapping[int, str], lines: Sequence[Mapping[str, Any]]) -> str:
    """AUC and overlap of landslide against each class as a small table."""
    values = {(line["row"], line["metric"]): line["value"] for line in lines}
    rows = [f"{'Landslide against':18}{'AUC':>6}{'overlap':>9}"]
    for code in COMPARED:
        row = against(names, code)
        if (row, "auc") in values:
            rows.append(f"{names[code]:18}{values[row, 'auc']:6.3f}{values[row, 'overlap']:9.3f}")
    return "\n".join(rows)


def against(names: Mapping[int, str], code: int) -> str:
    """The row of a comparison of landslide with a class."""
    return f"{names[LANDSLIDE]} against {names[code]}"


def slope_counts(slope: np.ndarray, label: np.ndarray) -> dict[int, np.ndarray]:
    """{class: pixels in bins of `FINE` degrees} of slope (row, col) in degrees, for landslide and the classes
    compared with it."""
    bins = round(STEEPEST / FINE)
    counts = {}
    for code in (LANDSLIDE, *COMPARED):
        values = slope[(label == code) & np.isfinite(slope)]
        counts[code] = np.bincount(np.clip(values / FINE, 0, bins - 1).astype(int), minlength=bins)
    return counts


def auc_of(higher: np.ndarray, lower: np.ndarray) -> float:
    """Probability that a value of the first of two histograms (bin,) exceeds one of the second, ties half."""
    below = np.cumsum(lower) - lower
    return float((higher * (below + lower / 2)).sum() / (higher.sum() * lower.sum()))


def density(counts: np.ndarray) -> np.ndarray:
    """Shares of pixels in bins of `COARSE` degrees."""
    return counts.reshape(round(STEEPEST / COARSE), -1).sum(axis=1) / counts.sum()


def quantile_of(counts: np.ndarray, percent: float) -> float:
    """A quantile of a histogram in bins of `FINE` degrees, to the middle of a bin."""
    return float((np.searchsorted(np.cumsum(counts), percent / 100 * counts.sum()) + 0.5) * FINE)


def slope_records(
    spec: ExhibitSpec, site: SiteFiles, names: Mapping[int, str], counts: Mapping[int, np.ndarray]
) -> Iterator[dict[str, Any]]:
    for code, of_class in counts.items():
        rest = {"data": site.data, "note": "unit degree"}
        for percent in QUANTILES:
            yield record(spec, names[code], f"slope_p{percent:02d}", quantile_of(of_class, percent), **rest)
        yield record(spec, names[code], "pixels", float(of_class.sum()), data=site.data)
    for code in COMPARED:
        if code in counts:
            row = against(names, code)
            yield record(spec, row, "auc", auc_of(counts[LANDSLIDE], counts[code]), data=site.data)
            overlap = float(np.minimum(density(counts[LANDSLIDE]), density(counts[code])).sum())
            yield record(spec, row, "overlap", overlap, data=site.data)


def close_up_windows(scene: Scene) -> dict[str, tuple[int, int, int, int]]:
    """{what people read: window}: around the largest slide, and of the same size where most is built up and
    nothing has slid."""
    slides = scene.label == LANDSLIDE
    around = slide_windows(slides, 1)[0]
    built = densest_window(np.isin(scene.label, (BUILDING, ROAD)), slides, around[2])
    return {"Landslide": around} | ({"Built-up ground": built} if built else {})


def draw_close_ups(
    figure: Figure, page: Page, scene: Scene, windows: Mapping[str, tuple[int, int, int, int]]
) -> None:
    """A row of panels for each window: image, hill shade, slope and aspect, with outlines of slides and
    built-up ground."""
    factors = {
        layer: [factor_picture(scene.site, layer, scene.view(window)) for window in windows.values()]
        for layer in ("slope", "aspect")
    }
    scales = {layer: scale_of(scene.site, layer, pictures) for layer, pictures in factors.items()}
    for row, (name, window) in enumerate(windows.items()):
        view = scene.view(window)
        panels = [page.axes(figure, 0, row, column) for column in range(4)]
        show(panels[0], scene.image(view), view)
        show(panels[1], hillshade(view, scene.site), view, cmap="gray", vmin=0, vmax=1)
        for axes, layer in zip(panels[2:], factors, strict=True):
            show(axes, scales[layer].to_rgba(factors[layer][row])[..., :3], view)
        label = view.thin(scene.label)
        for axes in panels:
            outline(axes, label == LANDSLIDE, view, SLIDE_EDGE, 1.0)
            outline(axes, np.isin(label, (BUILDING, ROAD)), view, BUILT_EDGE, 0.8)
        scale_bar(panels[0], view.width_km)
        page.write_caption(figure, 0, row, name)
        if row == 0:
            for column, text in enumerate(("Image", "Hill shade", "Slope", "Aspect")):
                panels[column].set_title(f"{panel_letter(column)} {text}", fontsize=7.5, pad=3)
    for column, layer in enumerate(factors, start=2):
        bar = place(figure, (page.left(column) + 0.05, page.top(len(windows)), page.side - 0.1, 0.08))
        draw_scale(figure, bar, scales[layer], scene.site, layer)


LINES = {LANDSLIDE: "-", BUILDING: "--", ROAD: "-.", BARE: ":"}


def draw_densities(axes: Axes, names: Mapping[int, str], counts: Mapping[int, np.ndarray]) -> None:
    """Share of the pixels of each class in bins of one degree."""
    edges = np.arange(round(STEEPEST / COARSE) + 1) * COARSE
    for code, of_class in counts.items():
        shares = density(of_class)
        if code == LANDSLIDE:
            axes.stairs(shares, edges, fill=True, color=INKS[code], alpha=0.2)
        label = f"{names[code].capitalize()}, median {quantile_of(of_class, 50):.1f}°"
        axes.stairs(shares, edges, color=INKS[code], lw=1.4, ls=LINES[code], label=label)
    steepest = max(quantile_of(of_class, 99.5) for of_class in counts.values())
    axes.set(
        xlim=(0, min(STEEPEST, steepest + 3)),
        ylim=(0, None),
        xlabel="Slope (°)",
        ylabel="Share of pixels per degree",
    )
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.04))
