"""Image, labels and factors in windows of a site (xia2021, Figs 11 and 12)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from rasterio.features import rasterize
from scipy import ndimage

from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.exhibits.labels import factor_label
from headscarp.exhibits.layers import has_layer, site_grid
from headscarp.exhibits.panels.factors import draw_scale, factor_picture, scale_of
from headscarp.exhibits.panels.figure import panel_letter, sign
from headscarp.exhibits.panels.ground import left_out
from headscarp.exhibits.panels.land_cover import (
    BUILDING,
    ROAD,
    class_handles,
    class_picture,
    names_of_classes,
)
from headscarp.exhibits.panels.legend import legend_at_foot
from headscarp.exhibits.panels.marks import scale_bar, show
from headscarp.exhibits.panels.page import Page, place
from headscarp.exhibits.panels.scene import Scene, scene_of
from headscarp.exhibits.panels.vectors import border_handle, draw_border, raw_vectors, rings_of
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.panels.windows import densest_window, slide_windows, square_around
from headscarp.exhibits.spec import ExhibitSpec, SiteFiles
from headscarp.exhibits.tidy import frame_of, record

FACTORS = ("elevation", "slope", "aspect", "ndvi")


def label_examples(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Windows of a site: image, labels and factors side by side; around slides, and one built-up place
    without slides.

    Elevation is drawn above the lowest point of its window, so that windows at different heights share a
    scale. The numbers behind it are the share of each class and the mean of each factor (not of angles) in
    each window. Options: `layers` (factors, default those of elevation, slope, aspect and ndvi that the site
    has; an empty list shows image and labels only); `windows` (how many around slides, default 3); `nets`
    (vector file among the raw files with nets laid over slides: outlined, and the largest is one of the
    windows); `composite` (three layers for red, green, blue; default red, green, blue).
    """
    site = spec.only_site()
    scene, names = scene_of(spec, site), names_of_classes(site)
    layers = list(spec.options.get("layers", [one for one in FACTORS if has_layer(site, one)]))
    nets = raw_vectors(site, spec.options["nets"]) if "nets" in spec.options else None
    windows = example_windows(spec, scene, nets)
    pictures = {
        text: [factor_picture(site, layer, scene.view(window)) for window in windows.values()]
        for text, layer in titles(layers)
    }
    page = Page.grid(len(windows), 2 + len(layers), 1, heading=0.3, footer=1.05 if layers else 0.65)
    figure = page.figure()
    scales = [scale_of(site, layer, pictures[text]) for text, layer in titles(layers)]
    lines = []
    for row, (name, window) in enumerate(windows.items()):
        view = scene.view(window)
        panels = [page.axes(figure, 0, row, column) for column in range(2 + len(layers))]
        show(panels[0], scene.image(view), view)
        show(panels[1], class_picture(view.thin(scene.label)), view)
        for axes, scale, picture in zip(panels[2:], scales, pictures.values(), strict=True):
            show(axes, scale.to_rgba(picture[row])[..., :3], view)
        if nets is not None:
            for axes in panels[:2]:
                draw_border(axes, rings_of(nets))
        scale_bar(panels[0], view.width_km)
        page.write_caption(figure, 0, row, name)
        lines += window_records(spec, site, names, scene.label, window, name, pictures, row)
    for column, title in enumerate(("Image", "Labels", *pictures)):
        figure.axes[column].set_title(f"{panel_letter(column)} {title}", fontsize=7.5, pad=3)
    below = page.top(len(windows))
    for column, (scale, (_, layer)) in enumerate(zip(scales, titles(layers), strict=True), start=2):
        bar = place(figure, (page.left(column) + 0.05, below, page.side - 0.1, 0.08))
        draw_scale(figure, bar, scale, site, layer)
    handles = class_handles(names)
    if nets is not None:
        handles.append(border_handle("Sand-proof net"))
    legend_at_foot(figure, handles, 4)
    missing = [] if "layers" in spec.options else [one for one in FACTORS if one not in layers]
    sign(figure, spec, left_out(site, "Factors", *missing) if missing else "")
    return figure, frame_of(lines)


def titles(layers: Sequence[str]) -> list[tuple[str, str]]:
    """(what people read, layer) of factors."""
    return [("Height" if layer == "elevation" else factor_label(layer), layer) for layer in layers]


def example_windows(spec: ExhibitSpec, scene: Scene, nets: Any) -> dict[str, tuple[int, int, int, int]]:
    """{what people read: window} of the examples; where nets are shown, slides without one and one under
    one.

    Raises:
        HeadscarpError: the labels hold no landslide, or no net lies on the site.
    """
    slides = scene.label == LANDSLIDE
    if not slides.any():
        raise HeadscarpError(
            f"exhibit '{spec.name}' ({spec.kind}): the labels of site '{scene.site.name}' hold no "
            f"landslide to show"
        )
    netted = {}
    if nets is not None:
        grid = site_grid(scene.site)
        largest = nets.geometry.iloc[int(np.argmax(nets.geometry.area))] if len(nets) else None
        if largest is None:
            raise HeadscarpError(
                f"{scene.site.raw / spec.options['nets']} holds no net; leave the option `nets` out of "
                f"the exhibit"
            )
        row, col, rows, cols = View.under(grid, largest.bounds).window
        netted["Under a net"] = square_around((slice(row, row + rows), slice(col, col + cols)), grid.shape)
    open_slides = slides if nets is None else slides & ~beneath(nets, scene)
    found = slide_windows(open_slides, int(spec.options.get("windows", 3)), list(netted.values()))
    windows = {f"Landslide {number}": window for number, window in enumerate(found, start=1)} | netted
    side = int(np.median([window[2] for window in windows.values()]))
    built = densest_window(np.isin(scene.label, (BUILDING, ROAD)), slides, side)
    return windows | ({"No landslide": built} if built else {})


def beneath(nets: Any, scene: Scene) -> np.ndarray:
    """Mask (row, col) of the labelled slides that nets touch, whole."""
    grid = site_grid(scene.site)
    covered = rasterize(nets.geometry, out_shape=grid.shape, transform=grid.transform, all_touched=True) > 0
    parts, _ = ndimage.label(scene.label == LANDSLIDE, np.ones((3, 3)))
    return (parts > 0) & np.isin(parts, parts[covered])


def window_records(
    spec: ExhibitSpec,
    site: SiteFiles,
    names: Mapping[int, str],
    label: np.ndarray,
    window: tuple[int, int, int, int],
    name: str,
    pictures: Mapping[str, Sequence[np.ndarray]],
    row: int,
) -> Iterator[dict[str, Any]]:
    first_row, first_col, rows, cols = window
    part = label[first_row : first_row + rows, first_col : first_col + cols]
    where = f"{rows} x {cols} pixels from row {first_row}, column {first_col}"
    for code, text in sorted(names.items()):
        share = float((part == code).sum() / max((part != UNMAPPED).sum(), 1))
        yield record(spec, f"{name}:{text}", "area_share", share, data=site.data, note=where)
    for text, picture in pictures.items():
        if np.isfinite(picture[row]).any() and text != factor_label("aspect"):
            yield record(
                spec, f"{name}:{text}", "mean", float(np.nanmean(picture[row])), data=site.data, note=where
            )
