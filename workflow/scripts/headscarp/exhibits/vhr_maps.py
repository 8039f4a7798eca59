"""Figures of sites mapped in classes at very high resolution: the site, its labels, class maps, landslides
found, outlines, change."""

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps, patheffects
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from scipy import ndimage

from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.exhibits import style
from headscarp.exhibits.charts import factor_label
from headscarp.exhibits.inventory_maps import (
    COLOURS,
    FADED,
    LEGEND,
    OUTCOMES,
    Scene,
    draw_reference,
    outcome_records,
    square_around,
)
from headscarp.exhibits.maps import (
    GAP,
    IMAGE_SLIDE,
    MARGIN,
    TEST,
    TRUE_COLOUR,
    Page,
    band_limits,
    bare,
    composite,
    hillshade,
    image_bands,
    kilometres,
    locator,
    outline,
    paint,
    place,
    place_records,
    raw_vectors,
    regions_of,
    rings_of,
    show,
    stretch,
)
from headscarp.exhibits.rasters import View, class_names, layer_path, layer_record, site_grid, units_of
from headscarp.exhibits.spec import ExhibitSpec, RunFiles, SiteFiles
from headscarp.exhibits.tidy import frame_of, record
from headscarp.files import read_json
from headscarp.geo.grid import Grid
from headscarp.geo.layer import ANGLE, grid_of, open_raster
from headscarp.vocabulary import require_known

BUILDING, ROAD = 2, 5

# --- what these figures share


def names_of_classes(site: SiteFiles) -> dict[int, str]:
    """{code: name} of the classes of a site's labels, all of which have a colour.

    Raises:
        HeadscarpError: the site has no labels, they have no names, or a code has no colour.
    """
    names = {code: name for code, name in class_names(site, "label").items() if code != UNMAPPED}
    unknown = sorted(set(names) - set(style.LAND_COVER))
    if unknown:
        raise HeadscarpError(
            f"the labels of site '{site.name}' have classes {unknown} but maps know "
            f"{sorted(style.LAND_COVER)}; "
            "give the classes of its labels these codes in the card"
        )
    return names


def class_picture(codes: np.ndarray) -> np.ndarray:
    """Classes (row, col) in their colours (row, col, 3); white where there is none."""
    palette = np.ones((256, 3))
    for code, colour in style.LAND_COVER.items():
        palette[code] = to_rgb(colour)
    return palette[codes]


def class_handles(names: Mapping[int, str]) -> list[Rectangle]:
    """Legend handles of the classes."""
    return style.swatches(
        (style.LAND_COVER[code], name[:1].upper() + name[1:]) for code, name in sorted(names.items())
    )


def whole_view(site: SiteFiles) -> View:
    """A site at full resolution."""
    grid = site_grid(site)
    return View.of(grid, max(grid.shape))


def scene_of(spec: ExhibitSpec, site: SiteFiles) -> Scene:
    """A site whose labelled pixels all count, with the stretch of its image."""
    channels = spec.options.get("composite", TRUE_COLOUR)
    limits = band_limits(image_bands(View.of(site_grid(site)), site, channels))
    label = whole_view(site).read(layer_path(site, "label"), classes=True)
    return Scene(site, channels, limits, label, label != UNMAPPED)


def scenes_of(spec: ExhibitSpec) -> dict[str, Scene]:
    """{protocol: scene} of an exhibit of runs: its site with the pixels evaluated under the protocol or, with
    the option `elsewhere`, its target site, where all labelled pixels are evaluated.

    Raises:
        HeadscarpError: `elsewhere` without a target, samples are missing, or no pixel is evaluated.
    """
    if spec.options.get("elsewhere"):
        if spec.target is None:
            raise HeadscarpError(
                f"exhibit '{spec.name}' of card '{spec.card}' ({spec.kind}) has the option `elsewhere` "
                f"but no `target`"
            )
        scene = scene_of(spec, spec.target)
        scenes = dict.fromkeys(spec.protocols, scene)
    else:
        scene = scene_of(spec, spec.only_site())
        whole = whole_view(scene.site)
        scenes = {
            protocol: replace(scene, tested=scene.tested & (regions_of(scene.site, protocol, whole) == TEST))
            for protocol in spec.protocols
        }
    for protocol, one in scenes.items():
        if not one.tested.any():
            raise HeadscarpError(
                f"exhibit '{spec.name}' ({spec.kind}): site '{one.site.name}' has no labelled pixel to "
                f"evaluate under '{protocol}'; "
                "make its samples again, or leave the protocol out of the exhibit"
            )
    return scenes


def folder_of(spec: ExhibitSpec, run: RunFiles) -> Path:
    """Where a run's maps and scores of the site that an exhibit shows lie."""
    return run.maps_of(spec.target.name) if spec.options.get("elsewhere") else run.maps


def first_runs(spec: ExhibitSpec, protocol: str) -> list[RunFiles]:
    """The first seed of each row under a protocol."""
    return [runs[0] for row in spec.rows if (runs := spec.runs_of(row, protocol))]


def classes_of(spec: ExhibitSpec, run: RunFiles, scene: Scene) -> np.ndarray:
    """The class map (row, col) of a run at full resolution."""
    return whole_view(scene.site).read(folder_of(spec, run) / "classes.tif", classes=True)


def evaluated_window(scenes: Mapping[str, Scene]) -> tuple[int, int, int, int]:
    """First row, first column, rows and columns of all that is evaluated under any protocol."""
    tested = np.any([scene.tested for scene in scenes.values()], axis=0)
    rows, cols = (np.flatnonzero(tested.any(axis=axis)) for axis in (1, 0))
    return int(rows[0]), int(cols[0]), int(np.ptp(rows)) + 1, int(np.ptp(cols)) + 1


def slide_windows(slides: np.ndarray, count: int) -> list[tuple[int, int, int, int]]:
    """Square windows (first row, first column, rows, columns) around the `count` largest connected parts of a
    mask (row, col)."""
    parts, number = ndimage.label(slides, np.ones((3, 3)))
    sizes = np.bincount(parts.ravel(), minlength=number + 1)[1:]
    boxes = ndimage.find_objects(parts)
    return [square_around(boxes[index], slides.shape) for index in np.argsort(-sizes, kind="stable")[:count]]


def densest_window(wanted: np.ndarray, unwanted: np.ndarray, side: int) -> tuple[int, int, int, int] | None:
    """The square window of `side` pixels with the most `wanted` (row, col) pixels less all `unwanted` ones;
    None if that is none."""
    side = min(side, *wanted.shape)
    total = np.pad(wanted.astype(np.int32) - unwanted, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    inside = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    first = np.unravel_index(np.argmax(inside), inside.shape)
    return (int(first[0]), int(first[1]), side, side) if inside[first] > 0 else None


def fraction(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def halo(width: float) -> list[Any]:
    """A black rim that parts a line of some width from any image."""
    return [patheffects.withStroke(linewidth=width + 1.2, foreground="black")]


def draw_border(axes: Axes, rings: Sequence[np.ndarray]) -> None:
    """Borders of something that is no class: dashed white in a black rim; rings (vertex, 2) in kilometres."""
    lines = LineCollection(rings, colors="white", linewidths=1.0, linestyles="--", path_effects=halo(1.0))
    axes.add_collection(lines, autolim=False)


def border_handle(label: str) -> Line2D:
    """Legend handle of `draw_border`."""
    return Line2D([], [], color="white", lw=1.0, ls="--", path_effects=halo(1.0), label=label)


@dataclass(frozen=True)
class Sheet:
    """Equal square panels in rows and columns, in blocks below each other, with captions at the left and
    titles above the columns."""

    rows: int
    columns: int
    blocks: int
    heading: float
    footer: float
    caption: float = 0.25

    @property
    def side(self) -> float:
        """Width of a panel in inches: as wide as the page allows, at most 2.3."""
        widest = (style.WIDTH - 2 * MARGIN - self.caption) / self.columns - GAP
        tallest = ((style.HEIGHT - self.footer) / self.blocks - self.heading) / self.rows - GAP
        return min(widest, tallest, 2.3)

    @property
    def block(self) -> float:
        return self.heading + self.rows * (self.side + GAP)

    def figure(self) -> Figure:
        return style.new_figure(self.blocks * self.block + self.footer, layout=None)

    def left(self, column: int) -> float:
        """Left edge of a column in inches; panels are centred on the page."""
        used = self.caption + self.columns * (self.side + GAP) - GAP
        return (style.WIDTH - used) / 2 + self.caption + column * (self.side + GAP)

    def top(self, block: int, row: int) -> float:
        """Distance of a row of panels from the top in inches."""
        return block * self.block + self.heading + row * (self.side + GAP)

    def axes(self, figure: Figure, block: int, row: int, column: int) -> Axes:
        axes = place(figure, (self.left(column), self.top(block, row), self.side, self.side))
        bare(axes)
        return axes

    def head(self, figure: Figure, block: int, text: str) -> None:
        height = 1 - (block * self.block + 0.05) / figure.get_figheight()
        figure.text(self.left(0) / style.WIDTH, height, text, weight="bold", fontsize=8.5, va="top")

    def write_caption(self, figure: Figure, block: int, row: int, text: str) -> None:
        """Words beside a row of panels, read upwards."""
        middle = 1 - (self.top(block, row) + self.side / 2) / figure.get_figheight()
        words = textwrap.fill(text, max(10, int(self.side * 15)))
        figure.text(
            (self.left(0) - 0.07) / style.WIDTH,
            middle,
            words,
            rotation=90,
            ha="right",
            va="center",
            fontsize=7,
        )


def legend_at_foot(figure: Figure, handles: Sequence[Any], columns: int) -> None:
    anchor = (0.5, 0.2 / figure.get_figheight())
    figure.legend(
        handles=handles,
        loc="lower center",
        bbox_to_anchor=anchor,
        ncols=columns,
        columnspacing=1.4,
        handlelength=1.6,
    )


# --- Fig. 10 of xia2021

SITE_LEFT, SITE_HEAD, SITE_FOOT = 0.42, 0.5, 0.95  # inches: beside, above and below the panels of a site


def vhr_site(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Image with the outlines of landslides, mean slope and hill shade, a row of panels for each site.

    The numbers behind it are where each site lies, how high, and the mean, 5th and 95th percentile of the
    slope in degrees. Options: `composite` (three layers for red, green, blue; default red, green, blue).
    """
    views = [View.of(site_grid(site)) for site in spec.sites]
    width = (style.WIDTH - SITE_LEFT - MARGIN - 2 * 0.12) / 3
    heights = [SITE_HEAD + width * view.aspect + SITE_FOOT for view in views]
    figure = style.new_figure(sum(heights) + 0.15, layout=None)
    tall, top, lines = figure.get_figheight(), 0.0, list(place_records(spec))
    for number, (site, view, height) in enumerate(zip(spec.sites, views, heights, strict=True)):
        panels = [
            place(figure, (SITE_LEFT + column * (width + 0.12), top + SITE_HEAD, width, width * view.aspect))
            for column in range(3)
        ]
        show(panels[0], composite(view, site, spec.options.get("composite", TRUE_COLOUR)), view)
        outline(
            panels[0], view.read(layer_path(site, "label"), classes=True) == LANDSLIDE, view, IMAGE_SLIDE, 0.6
        )
        slope = view.read(layer_path(site, "slope"))
        drawn = show(panels[1], slope, view, cmap="cividis", vmin=0, vmax=np.nanpercentile(slope, 99))
        show(panels[2], hillshade(view, site), view, cmap="gray", vmin=0, vmax=1)
        for column, (axes, title) in enumerate(
            zip(panels, ("Image", "Mean slope", "Hill shade"), strict=True)
        ):
            axes.set_title(f"{style.panel_letter(3 * number + column)} {title}", pad=4)
            kilometres(axes, site_grid(site), ylabel=column == 0)
            axes.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10], prune="both"))
        style.scale_bar(panels[0], view.width_km)
        style.north_arrow(panels[0])
        below = top + SITE_HEAD + width * view.aspect + 0.45
        bar = place(figure, (SITE_LEFT + width + 0.12, below, width, 0.09))
        figure.colorbar(drawn, cax=bar, orientation="horizontal", label="Slope (°)", extend="max")
        handle = Line2D([], [], color=IMAGE_SLIDE, lw=1.4, label="Landslide")
        figure.legend(
            handles=[handle],
            loc="upper left",
            bbox_to_anchor=(SITE_LEFT / style.WIDTH, 1 - (below - 0.05) / tall),
        )
        figure.text(
            0.01,
            1 - (top + 0.05) / tall,
            f"{site.title} · {locator(site_grid(site))}",
            weight="bold",
            va="top",
        )
        numbers = {"slope_mean": np.nanmean(slope)} | {
            f"slope_p{part:02d}": np.nanpercentile(slope, part) for part in (5, 95)
        }
        note = f"unit degree; of the {view.shape[0]} x {view.shape[1]} drawn cells"
        lines += [
            record(spec, site.name, metric, float(value), data=site.data, note=note)
            for metric, value in numbers.items()
        ]
        top += height
    style.sign(
        figure, spec, "Slope and hill shade are those of the elevation model, resampled to the image's grid."
    )
    return figure, frame_of(lines)


# --- Figs 11-12 of xia2021

FACTORS = ("elevation", "slope", "aspect", "ndvi")
MAPS = {"elevation": "gray", "slope": "cividis", "ndvi": "YlGn"}


def label_examples(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Windows of a site: image, labels and factors side by side; around slides, and one built-up place
    without slides.

    Elevation is drawn above the lowest point of its window, so that windows at different heights share a
    scale. The numbers behind it are the share of each class and the mean of each factor (not of angles) in
    each window. Options: `layers` (factors, default elevation, slope, aspect and ndvi; an empty list shows
    image and labels only); `windows` (how many around slides, default 3); `nets` (vector file among the raw
    files with nets laid over slides: outlined, and the largest is one of the windows); `composite` (three
    layers for red, green, blue; default red, green, blue).
    """
    site = spec.only_site()
    scene, names = scene_of(spec, site), names_of_classes(site)
    layers = list(spec.options.get("layers", FACTORS))
    nets = raw_vectors(site, spec.options["nets"]) if "nets" in spec.options else None
    windows = example_windows(spec, scene, nets)
    pictures = {
        text: [factor_picture(site, layer, scene.view(window)) for window in windows.values()]
        for text, layer in titles(layers)
    }
    sheet = Sheet(len(windows), 2 + len(layers), 1, heading=0.3, footer=1.05 if layers else 0.65)
    figure = sheet.figure()
    scales = [scale_of(site, layer, pictures[text]) for text, layer in titles(layers)]
    lines = []
    for row, (name, window) in enumerate(windows.items()):
        view = scene.view(window)
        panels = [sheet.axes(figure, 0, row, column) for column in range(2 + len(layers))]
        show(panels[0], scene.image(view), view)
        show(panels[1], class_picture(view.thin(scene.label)), view)
        for axes, scale, picture in zip(panels[2:], scales, pictures.values(), strict=True):
            show(axes, scale.to_rgba(picture[row])[..., :3], view)
        if nets is not None:
            for axes in panels[:2]:
                draw_border(axes, rings_of(nets))
        style.scale_bar(panels[0], view.width_km)
        sheet.write_caption(figure, 0, row, name)
        lines += window_records(spec, site, names, scene.label, window, name, pictures, row)
    for column, title in enumerate(("Image", "Labels", *pictures)):
        figure.axes[column].set_title(f"{style.panel_letter(column)} {title}", fontsize=7.5, pad=3)
    below = sheet.top(0, len(windows))
    for column, (scale, (_, layer)) in enumerate(zip(scales, titles(layers), strict=True), start=2):
        bar = place(figure, (sheet.left(column) + 0.05, below, sheet.side - 0.1, 0.08))
        draw_scale(figure, bar, scale, site, layer)
    handles = class_handles(names)
    if nets is not None:
        handles.append(border_handle("Sand-proof net"))
    legend_at_foot(figure, handles, 4)
    style.sign(figure, spec)
    return figure, frame_of(lines)


def titles(layers: Sequence[str]) -> list[tuple[str, str]]:
    """(what people read, layer) of factors."""
    return [("Height" if layer == "elevation" else factor_label(layer), layer) for layer in layers]


def example_windows(spec: ExhibitSpec, scene: Scene, nets: Any) -> dict[str, tuple[int, int, int, int]]:
    """{what people read: window} of the examples.

    Raises:
        HeadscarpError: the labels hold no landslide, or no net lies on the site.
    """
    slides = scene.label == LANDSLIDE
    found = slide_windows(slides, int(spec.options.get("windows", 3)))
    if not found:
        raise HeadscarpError(
            f"exhibit '{spec.name}' ({spec.kind}): the labels of site '{scene.site.name}' hold no "
            f"landslide to show"
        )
    windows = {f"Landslide {number}": window for number, window in enumerate(found, start=1)}
    if nets is not None:
        grid = site_grid(scene.site)
        largest = nets.geometry.iloc[int(np.argmax(nets.geometry.area))] if len(nets) else None
        if largest is None:
            raise HeadscarpError(
                f"{scene.site.raw / spec.options['nets']} holds no net; leave the option `nets` out of "
                f"the exhibit"
            )
        row, col, rows, cols = View.under(grid, largest.bounds).window
        windows["Under a net"] = square_around((slice(row, row + rows), slice(col, col + cols)), grid.shape)
    side = int(np.median([window[2] for window in windows.values()]))
    built = densest_window(np.isin(scene.label, (BUILDING, ROAD)), slides, side)
    return windows | ({"No landslide": built} if built else {})


def factor_picture(site: SiteFiles, layer: str, view: View) -> np.ndarray:
    """Values (row, col) of a factor in a window: angles of the nearest cell, elevation above its lowest
    point, means of others."""
    if layer_record(site, layer).get("kind") == ANGLE:
        return view.read(layer_path(site, layer), classes=True)
    values = view.read(layer_path(site, layer))
    return values - np.nanmin(values) if layer == "elevation" and np.isfinite(values).any() else values


def scale_of(site: SiteFiles, layer: str, pictures: Sequence[np.ndarray]) -> ScalarMappable:
    """The colours that all windows of a factor share; level ground, which has no aspect, is grey and no data
    white."""
    if layer_record(site, layer).get("kind") == ANGLE:
        return ScalarMappable(
            Normalize(0, 360), colormaps["twilight"].with_extremes(under="#9A9A9A", bad="white")
        )
    values = np.concatenate([picture.ravel() for picture in pictures])
    low, high = np.nanpercentile(values, [1, 99]) if np.isfinite(values).any() else (0, 1)
    return ScalarMappable(
        Normalize(low, max(high, low + 1e-9)),
        colormaps[MAPS.get(layer, "viridis")].with_extremes(bad="white"),
    )


def draw_scale(figure: Figure, bar: Axes, scale: ScalarMappable, site: SiteFiles, layer: str) -> None:
    drawn = figure.colorbar(scale, cax=bar, orientation="horizontal")
    drawn.ax.tick_params(labelsize=6, pad=1.5)
    if layer_record(site, layer).get("kind") == ANGLE:
        drawn.set_ticks([0, 90, 180, 270, 360], labels=["N", "E", "S", "W", "N"])
    units = units_of(site, layer)
    drawn.set_label({"degree": "°", "1": ""}.get(units, units), fontsize=6.5, labelpad=1)


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


# --- Figs 13 and 19 of xia2021


def class_maps_of_runs(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Image, labels and the class map of the first seed of each row, a block for each protocol; only the
    evaluated region is coloured.

    The numbers behind it are the share of each class in the evaluated region, labelled and mapped, and the
    overall accuracy of scores.json. Options: `composite` (three layers for red, green, blue; default red,
    green, blue); `elsewhere` (true: the maps of the target site).
    """
    scenes = scenes_of(spec)
    site = next(iter(scenes.values())).site
    names = names_of_classes(site)

    def draw(axes: Axes, scene: Scene, view: View, run: RunFiles) -> tuple[str, list[dict[str, Any]]]:
        mapped = classes_of(spec, run, scene)
        draw_evaluated(axes, scene, view, class_picture(view.thin(mapped)))
        accuracy = multi_class(spec, run)["oa"]
        rest = {"protocol": run.protocol, "n_seeds": 1, "data": site.data, "note": f"seed {run.seed}"}
        lines = [record(spec, run.row, "oa", accuracy, **rest)]
        lines += share_records(spec, run.row, names, mapped[scene.tested], **rest)
        return f"OA {fraction(accuracy)}", lines

    figure, lines = pages_of_maps(spec, scenes, draw, class_handles(names), class_picture)
    for protocol, scene in scenes.items():
        lines += share_records(
            spec, "labels", names, scene.label[scene.tested], protocol=protocol, data=site.data
        )
    return figure, frame_of(lines)


def multi_class(spec: ExhibitSpec, run: RunFiles) -> dict[str, Any]:
    """The scores in classes of a run at the site that an exhibit shows.

    Raises:
        HeadscarpError: the run was not scored in classes.
    """
    path = folder_of(spec, run) / "scores.json"
    return scores_part(path, "classes")


def scores_part(path: Path, part: str) -> dict[str, Any]:
    """A part of a scores.json that only runs in several classes have.

    Raises:
        HeadscarpError: the file or the part is missing.
    """
    scores = read_json(path)
    if part not in scores:
        raise HeadscarpError(
            f"{path} has no scores '{part}': its site is not labelled in several classes, or it must be "
            f"scored again"
        )
    return scores[part]


def share_records(
    spec: ExhibitSpec, row: str, names: Mapping[int, str], codes: np.ndarray, **rest: Any
) -> Iterator[dict[str, Any]]:
    """Tidy records of the share of each class among codes (pixel,)."""
    counts = np.bincount(codes, minlength=256)
    for code, name in sorted(names.items()):
        yield record(spec, f"{row}:{name}", "area_share", float(counts[code] / codes.size), **rest)


def draw_evaluated(axes: Axes, scene: Scene, view: View, picture: np.ndarray) -> None:
    """A picture (row, col, 3) on the evaluated region, the washed-out image beside it."""
    tested = view.thin(scene.tested)
    image = (1 - FADED) * scene.image(view) + FADED
    image[tested] = picture[tested]
    show(axes, image, view)
    if not tested.all():
        outline(axes, tested, view, "black", 0.6)


def pages_of_maps(
    spec: ExhibitSpec, scenes: Mapping[str, Scene], draw: Any, handles: Sequence[Any], reference: Any
) -> tuple[Figure, list[dict[str, Any]]]:
    """Image, labels and a panel for the first seed of each row, a block for each protocol; returns the figure
    and the tidy records.

    `draw(axes, scene, view, run)` draws a panel and returns what stands below its title and its records;
    `reference(label)` gives the picture of labels (row, col).
    """
    window = evaluated_window(scenes)
    page = Page.fit(2 + len(spec.rows), window[2] / window[3], len(scenes), heading=0.2, footer=0.75)
    figure = page.figure()
    lines: list[dict[str, Any]] = []
    for block, (protocol, scene) in enumerate(scenes.items()):
        view = scene.view(window)
        page.head(figure, block, f"Protocol: {protocol}", "")
        image, labels = (page.axes(figure, block, index) for index in range(2))
        show(image, scene.image(view), view)
        style.scale_bar(image, view.width_km)
        style.north_arrow(image)
        draw_evaluated(labels, scene, view, reference(view.thin(scene.label)))
        panels, texts = [image, labels], ["Image", "Labels"]
        for index, run in enumerate(first_runs(spec, protocol), start=2):
            panels.append(page.axes(figure, block, index))
            below, records = draw(panels[-1], scene, view, run)
            texts.append(f"{run.label}\n{below}")
            lines += records
        for index, (axes, text) in enumerate(zip(panels, texts, strict=True)):
            axes.set_title(f"{style.panel_letter(index)} {text}", fontsize=7, pad=3)
            bare(axes)
    if any(
        not scene.tested[window[0] : window[0] + window[2], window[1] : window[1] + window[3]].all()
        for scene in scenes.values()
    ):
        handles = [*handles, Line2D([], [], color="black", lw=0.8, label="Evaluated region")]
    legend_at_foot(figure, handles, 5 if len(handles) == 5 else 4)
    where = (
        f"Mapped at {spec.target.title} by networks trained elsewhere. "
        if spec.options.get("elsewhere")
        else ""
    )
    style.sign(figure, spec, f"{where}First seed of each network.")
    return figure, lines


# --- Figs 14 and 20 of xia2021

LABELLED = "#4D4D4D"  # no colour of found, false and missed


def extraction_maps(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Image, labelled landslides, and the landslides that the first seed of each row found, missed or falsely
    mapped, on the image.

    A block for each protocol. The numbers behind it are the found, false and missed pixels of the whole
    evaluated region, and the detection percentage and quality percentage of scores.json. Options as of
    `class_maps_of_runs`.
    """
    scenes = scenes_of(spec)

    def draw(axes: Axes, scene: Scene, view: View, run: RunFiles) -> tuple[str, list[dict[str, Any]]]:
        found, slide = classes_of(spec, run, scene) == LANDSLIDE, scene.label == LANDSLIDE
        masks = [mask & scene.tested for mask in (found & slide, found & ~slide, ~found & slide)]
        image = (1 - FADED) * scene.image(view) + FADED
        for colour, mask in zip(COLOURS, masks, strict=True):
            paint(image, view.thin(mask), colour)
        show(axes, image, view)
        if not view.thin(scene.tested).all():
            outline(axes, view.thin(scene.tested), view, "black", 0.6)
        pixel = scores_part(folder_of(spec, run) / "scores.json", "extraction")["pixel"]
        counts = {outcome: int(mask.sum()) for outcome, mask in zip(OUTCOMES, masks, strict=True)}
        lines = list(
            outcome_records(
                replace(spec, sites=(scene.site,)), run.row, run, counts, f"seed {run.seed}, evaluated region"
            )
        )
        rest = {
            "protocol": run.protocol,
            "n_seeds": 1,
            "data": scene.site.data,
            "note": f"seed {run.seed}, fraction",
        }
        lines += [
            record(spec, run.row, metric, pixel[metric], published=None, **rest) for metric in ("dp", "qp")
        ]
        return f"DP {fraction(pixel['dp'])}, QP {fraction(pixel['qp'])}", lines

    def reference(label: np.ndarray) -> np.ndarray:
        image = np.ones((*label.shape, 3))
        paint(image, label == LANDSLIDE, LABELLED)
        return image

    handles = style.swatches([(LABELLED, "Labelled landslide"), *LEGEND])
    figure, lines = pages_of_maps(spec, scenes, draw, handles, reference)
    return figure, frame_of(lines)


# --- Fig. 15 of xia2021

BOUNDARIES = ("#CC79A7", "#56B4E9", "#009E73", "#000000")
CLOSE_UPS = 3


def boundary_maps(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Outlines of the labelled landslide and of those mapped by the first seed of each row around the largest
    evaluated slides.

    A block for each protocol. The numbers behind it are the intersection over union of labelled and mapped
    landslide in each close-up, rows such as `fstf:slide 1`, and the boundary F1 of scores.json. Options:
    `slides` (how many, default 3); `composite` (three layers for red, green, blue); `elsewhere` (true: the
    target site).

    Raises:
        HeadscarpError: there are more rows than outlines can be told apart, or no evaluated pixel is a
        landslide.
    """
    if len(spec.rows) > len(BOUNDARIES):
        raise HeadscarpError(
            f"exhibit '{spec.name}' ({spec.kind}) has {len(spec.rows)} rows but shows "
            f"{len(BOUNDARIES)} at most"
        )
    scenes, count = scenes_of(spec), int(spec.options.get("slides", CLOSE_UPS))
    windows = {
        protocol: slide_windows(scene.tested & (scene.label == LANDSLIDE), count)
        for protocol, scene in scenes.items()
    }
    for protocol, found in windows.items():
        if not found:
            raise HeadscarpError(
                f"exhibit '{spec.name}' ({spec.kind}): the evaluated region under protocol '{protocol}' "
                f"holds no landslide to show; "
                "make the samples with another seed, or leave the protocol out of the exhibit"
            )
    sheet = Sheet(1, max(map(len, windows.values())), len(scenes), heading=0.52, footer=0.75, caption=0.0)
    figure, lines = sheet.figure(), []
    for block, (protocol, scene) in enumerate(scenes.items()):
        runs = first_runs(spec, protocol)
        maps = [classes_of(spec, run, scene) == LANDSLIDE for run in runs]
        texts = []
        for run in runs:
            part = scores_part(folder_of(spec, run) / "scores.json", "boundary")
            note = f"seed {run.seed}, evaluated region, tolerance {part['tolerance_px']} pixels"
            rest = {"protocol": protocol, "n_seeds": 1, "data": scene.site.data, "note": note}
            lines.append(record(spec, run.row, "boundary_f1", part["f1"], **rest))
            texts.append(f"{run.label} {fraction(part['f1'])}")
        sheet.head(figure, block, f"Protocol: {protocol} · boundary F1: {', '.join(texts)}")
        for column, window in enumerate(windows[protocol]):
            view, axes = scene.view(window), sheet.axes(figure, block, 0, column)
            draw_reference(axes, scene, view, 2.4)
            overlaps = []
            for colour, run, mapped in zip(BOUNDARIES, runs, maps, strict=False):
                outline(axes, view.thin(mapped), view, colour, 0.9)
                overlaps.append(overlap_in(mapped, scene, window))
                rest = {
                    "protocol": protocol,
                    "n_seeds": 1,
                    "data": scene.site.data,
                    "note": f"seed {run.seed}, close-up",
                }
                lines.append(record(spec, f"{run.row}:slide {column + 1}", "iou", overlaps[-1], **rest))
            text = ", ".join(fraction(value) for value in overlaps)
            axes.set_title(f"{style.panel_letter(column)} Slide {column + 1}\nIoU {text}", fontsize=7, pad=3)
            style.scale_bar(axes, view.width_km)
    handles = [Line2D([], [], color=IMAGE_SLIDE, lw=2.4, label="Labelled landslide")]
    for colour, row in zip(BOUNDARIES, spec.rows, strict=False):
        handles.append(Line2D([], [], color=colour, lw=1.4, label=spec.labels[row]))
    legend_at_foot(figure, handles, 3)
    style.sign(figure, spec, "First seed of each network. IoU of the close-up, in the order of the legend.")
    return figure, frame_of(lines)


def overlap_in(mapped: np.ndarray, scene: Scene, window: tuple[int, int, int, int]) -> float | None:
    """Intersection over union of mapped and labelled landslide among the evaluated pixels of a window; None
    where there is neither."""
    row, col, rows, cols = window
    inside = np.s_[row : row + rows, col : col + cols]
    tested, slide, found = scene.tested[inside], scene.label[inside] == LANDSLIDE, mapped[inside]
    union = int(((slide | found) & tested).sum())
    return float((slide & found & tested).sum() / union) if union else None


# --- Figs 17-18 of xia2021

STATUS = {"new": "#D55E00", "grown": "#F0E442", "unchanged": "#56B4E9"}
# areas shown; rim as a share of an area's length; least side in metres
AREAS, AREA_RIM, SMALLEST_M = 2, 0.5, 60.0
AREA_COLUMN = re.compile(r"area_(.+)_m2")


@dataclass(frozen=True)
class Area:
    """A place shown at every date: name, square bounds (west, south, east, north) and the rings (vertex, 2)
    in km that mark it."""

    name: str
    bounds: tuple[float, float, float, float]
    rings: list[np.ndarray]


def change_maps(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Images of every date of two areas with the outlines of new, grown and unchanged landslides, a block for
    each run.

    A slide is outlined solid from the date of its first mapped pixels on, and dotted before. The images are
    `rgb_<date>.tif` among the raw files of the site, in which bands 1 to 3 are red, green and blue; dates are
    those of the columns `area_<date>_m2` of the run's change/landslides.gpkg. The numbers behind it are, for
    each area, how many slides of each status it shows, and their area at every date. Options: `dates` ({date:
    what people read}; default the dates of the columns); `areas` (names of vector files among the raw files,
    without .gpkg; filled up to two with the largest new slides, then grown, then unchanged ones outside
    them).
    """
    site = spec.only_site()
    runs = [run for protocol in spec.protocols for run in first_runs(spec, protocol)]
    slides = {run.folder: read_change(run, site) for run in runs}
    dates = dates_of(spec, slides)
    areas = {run.folder: areas_of(spec, site, slides[run.folder]) for run in runs}
    images = {date: dated_image(site, date) for date in dates}
    sheet = Sheet(max(map(len, areas.values())), len(dates), len(runs), heading=0.42, footer=0.6)
    figure, lines = sheet.figure(), []
    for block, run in enumerate(runs):
        sheet.head(figure, block, f"{run.label}, protocol {run.protocol}")
        for row, area in enumerate(areas[run.folder]):
            inside = slides[run.folder].cx[area.bounds[0] : area.bounds[2], area.bounds[1] : area.bounds[3]]
            sheet.write_caption(figure, block, row, area.name)
            for column, (date, text) in enumerate(dates.items()):
                axes = sheet.axes(figure, block, row, column)
                images[date].draw(axes, area)
                draw_change(axes, inside, date, area)
                if row == 0:
                    axes.set_title(
                        f"{style.panel_letter(column)} {text}", fontsize=7.5 if sheet.side > 1.2 else 6, pad=3
                    )
                if column == 0:
                    style.scale_bar(axes, (area.bounds[2] - area.bounds[0]) / 1000)
            lines += change_records(spec, run, area, inside, dates)
    handles = [
        Line2D([], [], color=colour, lw=1.8, label=f"{status.capitalize()} landslide")
        for status, colour in STATUS.items()
    ]
    handles.append(Line2D([], [], color=style.MUTED, lw=1.4, ls=":", label="Not yet mapped at this date"))
    if any(area.rings for found in areas.values() for area in found):
        handles.append(border_handle("Named area"))
    legend_at_foot(figure, handles, 5)
    style.sign(figure, spec, "Post-classification comparison by the first seed of each network.")
    return figure, frame_of(lines)


def read_change(run: RunFiles, site: SiteFiles) -> Any:
    """The landslides of all dates that a run's comparison gives, in the CRS of the site's grid.

    Raises:
        HeadscarpError: the file is missing, has no column `status` or no area of any date, or a status is
        unknown.
    """
    from headscarp.geo.vectors import read_vectors

    path = run.folder / "change" / "landslides.gpkg"
    slides = read_vectors(path, site_grid(site).crs)
    if "status" not in slides or not any(AREA_COLUMN.fullmatch(column) for column in slides):
        raise HeadscarpError(f"{path} has no columns status and area_<date>_m2; compare the dates again")
    for status in set(slides["status"]):
        require_known(status, STATUS, f"{path}: status")
    return slides


def dates_of(spec: ExhibitSpec, slides: Mapping[Path, Any]) -> dict[str, str]:
    """{date: what people read} of the columns `area_<date>_m2`, in their order.

    Raises:
        HeadscarpError: the option `dates` names one that there is not.
    """
    columns = next(iter(slides.values())).columns
    found = [match[1] for column in columns if (match := AREA_COLUMN.fullmatch(column))]
    chosen = spec.options.get("dates") or {date: date.capitalize() for date in found}
    return {
        require_known(date, found, f"exhibit '{spec.name}', options, dates: date"): str(text)
        for date, text in chosen.items()
    }


def areas_of(spec: ExhibitSpec, site: SiteFiles, slides: Any) -> list[Area]:
    """The places that change maps show: named ones, then the largest slides in the order of `STATUS`, else
    the whole site."""
    grid = site_grid(site)
    areas = []
    for name in spec.options.get("areas", []):
        frame = raw_vectors(site, f"{name}.gpkg")
        if not len(frame):
            raise HeadscarpError(
                f"{site.raw / name}.gpkg holds no area; leave '{name}' out of the exhibit's option `areas`"
            )
        areas.append(
            Area(
                name.replace("_", " ").capitalize(),
                square_bounds(frame.total_bounds, grid.bounds),
                rings_of(frame),
            )
        )
    order = {status: rank for rank, status in enumerate(STATUS)}
    for slide in sorted(slides.itertuples(), key=lambda slide: (order[slide.status], -slide.geometry.area)):
        if len(areas) >= AREAS:
            break
        x, y = slide.geometry.representative_point().coords[0]
        if not any(
            west <= x <= east and south <= y <= north
            for west, south, east, north in (area.bounds for area in areas)
        ):
            number = 1 + sum(not area.rings for area in areas)
            name = f"Area {number} ({slide.status} landslide)"
            areas.append(Area(name, square_bounds(slide.geometry.bounds, grid.bounds), []))
    return areas or [Area("Whole site, no landslide mapped", square_bounds(grid.bounds, grid.bounds), [])]


def square_bounds(
    bounds: Sequence[float], within: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    """A square with a rim around bounds (west, south, east, north), moved to lie inside `within`, no wider
    than it."""
    wide = max(bounds[2] - bounds[0], bounds[3] - bounds[1])
    side = min(max(wide * (1 + 2 * AREA_RIM), SMALLEST_M), within[2] - within[0], within[3] - within[1])
    west, south = (
        min(max((bounds[axis] + bounds[axis + 2] - side) / 2, within[axis]), within[axis + 2] - side)
        for axis in (0, 1)
    )
    return west, south, west + side, south + side


@dataclass(frozen=True)
class DatedImage:
    """A raw image of one date with bands red, green and blue, and how it is stretched."""

    path: Path
    grid: Grid
    limits: np.ndarray

    def read(self, view: View) -> np.ndarray:
        return np.stack([view.read(self.path, band=band) for band in (1, 2, 3)], axis=-1)

    def draw(self, axes: Axes, area: Area) -> None:
        view = View.under(self.grid, area.bounds)
        show(axes, stretch(self.read(view), self.limits), view)
        west, south, east, north = (bound / 1000 for bound in area.bounds)
        axes.set(xlim=(west, east), ylim=(south, north))


def dated_image(site: SiteFiles, date: str) -> DatedImage:
    """The raw image of a date.

    Raises:
        HeadscarpError: it is missing or unreadable, has fewer than three bands, or another CRS than the site.
    """
    path = site.raw / f"rgb_{date}.tif"
    with open_raster(path) as source:
        grid, count = grid_of(source), source.count
    if count < 3:
        raise HeadscarpError(f"{path} has {count} bands but an image needs red, green and blue")
    if grid.crs != site_grid(site).crs:
        raise HeadscarpError(
            f"{path} is in {grid.crs}, site '{site.name}' in {site_grid(site).crs}; reproject the image"
        )
    image = DatedImage(path, grid, np.empty(0))
    return replace(image, limits=band_limits(image.read(View.of(grid))))


def draw_change(axes: Axes, slides: Any, date: str, area: Area) -> None:
    """Outlines of slides at a date in a dark rim; those of later dates dotted; the border of a named area
    dashed."""
    for status, colour in STATUS.items():
        of_status = slides[slides["status"] == status]
        present = of_status[f"area_{date}_m2"] > 0
        for part, line, width in ((of_status[present], "-", 1.3), (of_status[~present], (0, (1, 1.2)), 1.1)):
            rings = rings_of(part) if len(part) else []
            lines = LineCollection(
                rings, colors=colour, linewidths=width, linestyles=line, path_effects=halo(width)
            )
            axes.add_collection(lines, autolim=False)
    draw_border(axes, area.rings)


def change_records(
    spec: ExhibitSpec, run: RunFiles, area: Area, slides: Any, dates: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Tidy records of the slides that touch an area: how many of each status, and their summed area at each
    date in m2."""
    west, south, east, north = area.bounds
    note = (
        f"seed {run.seed}, slides that touch {west:.0f}..{east:.0f} m east, {south:.0f}..{north:.0f} m north"
    )
    rest = {"protocol": run.protocol, "n_seeds": 1, "data": spec.only_site().data, "note": note}
    for status in STATUS:
        of_status = slides[slides["status"] == status]
        row = f"{run.row}:{area.name}:{status}"
        yield record(spec, row, "landslides", float(len(of_status)), **rest)
        for date in dates:
            yield record(spec, row, f"area_{date}_m2", float(of_status[f"area_{date}_m2"].sum()), **rest)
