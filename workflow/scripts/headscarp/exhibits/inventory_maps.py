"""Figures of mapped landslides on imagery: models against the reference, close-ups, the inventory of another
site."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy import ndimage

from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.exhibits import style
from headscarp.exhibits.maps import (
    CONFUSION,
    GAP,
    IMAGE_SLIDE,
    MARGIN,
    TEST,
    TRUE_COLOUR,
    Page,
    band_limits,
    bare,
    composite,
    draw_outlines,
    grey_relief,
    hillshade,
    image_bands,
    outline,
    outline_handles,
    paint,
    place,
    regions_of,
    rings_of,
    show,
)
from headscarp.exhibits.rasters import View, layer_path, site_grid
from headscarp.exhibits.spec import ExhibitSpec, RunFiles, SiteFiles
from headscarp.exhibits.tidy import frame_of, record
from headscarp.files import read_json
from headscarp.vocabulary import require_known

FADED = 0.55  # how far an image is washed out below the colours of found, false and missed
OUTCOMES = ("found", "false", "missed")
COLOURS = tuple(colour for colour, _ in CONFUSION)
LEGEND = tuple(zip(COLOURS, ("Found", "False", "Missed"), strict=True))


@dataclass(frozen=True)
class Scene:
    """A scored site under one protocol: reference (row, col), evaluated pixels (row, col), and how its image
    is stretched."""

    site: SiteFiles
    channels: Sequence[str]
    limits: np.ndarray
    label: np.ndarray
    tested: np.ndarray

    @classmethod
    def of(cls, spec: ExhibitSpec, protocol: str) -> "Scene":
        site = spec.only_site()
        grid = site_grid(site)
        whole = View.of(grid, max(grid.shape))
        channels = spec.options.get("composite", TRUE_COLOUR)
        limits = band_limits(image_bands(View.of(grid), site, channels))
        label = whole.read(layer_path(site, "label"), classes=True)
        return cls(
            site, channels, limits, label, (regions_of(site, protocol, whole) == TEST) & (label != UNMAPPED)
        )

    def view(self, window: tuple[int, int, int, int]) -> View:
        return View.of(site_grid(self.site), window=window)

    def image(self, view: View) -> np.ndarray:
        return composite(view, self.site, self.channels, self.limits)


def draw_reference(axes: Axes, scene: Scene, view: View, width: float) -> None:
    """The image with the outlines of reference landslides."""
    show(axes, scene.image(view), view)
    outline(axes, view.thin(scene.label) == LANDSLIDE, view, IMAGE_SLIDE, width)


def draw_outcomes(axes: Axes, scene: Scene, view: View, run: RunFiles) -> dict[str, int]:
    """The washed-out image with found, false and missed pixels of the evaluated region; returns how many
    drawn pixels are which."""
    threshold = read_json(run.maps / "scores.json")["threshold"]
    predicted = view.read(run.maps / "probability.tif", classes=True) >= threshold
    slide, tested = view.thin(scene.label) == LANDSLIDE, view.thin(scene.tested)
    image = (1 - FADED) * scene.image(view) + FADED
    masks = [mask & tested for mask in (predicted & slide, predicted & ~slide, ~predicted & slide)]
    for colour, mask in zip(COLOURS, masks, strict=True):
        paint(image, mask, colour)
    show(axes, image, view)
    if not tested.all():
        outline(axes, tested, view, "black", 0.6)
    return {outcome: int(mask.sum()) for outcome, mask in zip(OUTCOMES, masks, strict=True)}


def outcome_records(
    spec: ExhibitSpec, row: str, run: RunFiles, counts: dict[str, int], note: str
) -> Iterator[dict[str, Any]]:
    for outcome, count in counts.items():
        rest = {"protocol": run.protocol, "n_seeds": 1, "data": spec.only_site().data, "note": note}
        yield record(spec, row, f"{outcome}_pixels", float(count), **rest)


# --- Fig. 11 of zhang2024

RECTANGLE = (300, 400)  # rows and columns at most: 3 x 4 km of Sentinel-2
SHARE_OF_MAP = 2 / 3


def inventory_comparison(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """A rectangle of the evaluated region: reference outlines, then found, false and missed pixels of the
    first seed of each row.

    The rectangle of a protocol is the one with the most evaluated landslide pixels. The numbers behind it are
    pixels inside it. Options: `composite` (three layers for red, green, blue; default red, green, blue).
    """
    scenes = {protocol: Scene.of(spec, protocol) for protocol in spec.protocols}
    windows = {protocol: richest_window(scene, spec, protocol) for protocol, scene in scenes.items()}
    shape = next(iter(windows.values()))[2:]
    page = Page.fit(1 + len(spec.rows), shape[0] / shape[1], len(spec.protocols), heading=0.2, footer=0.55)
    figure = page.figure()
    lines = []
    for block, (protocol, scene) in enumerate(scenes.items()):
        view = scene.view(windows[protocol])
        page.head(figure, block, f"Protocol: {protocol}", "")
        reference = page.axes(figure, block, 0)
        draw_reference(reference, scene, view, 0.9)
        reference.set_title("(a) Reference", fontsize=7.5, pad=3)
        style.scale_bar(reference, view.width_km)
        style.north_arrow(reference)
        bare(reference)
        for index, run in enumerate(
            (runs[0] for row in spec.rows if (runs := spec.runs_of(row, protocol))), start=1
        ):
            axes = page.axes(figure, block, index)
            counts = draw_outcomes(axes, scene, view, run)
            axes.set_title(f"{style.panel_letter(index)} {run.label}", fontsize=7.5, pad=3)
            bare(axes)
            row, col, rows, cols = windows[protocol]
            note = f"seed {run.seed}, rectangle of {rows} x {cols} pixels from row {row}, column {col}"
            lines += outcome_records(spec, run.row, run, counts, note)
    legend_below(figure, scenes.values())
    style.sign(figure, spec, "First seed of each network.")
    return figure, frame_of(lines)


def legend_below(figure: Figure, scenes: Iterable[Scene]) -> None:
    """What the colours of the panels mean, at the foot of a page of panels."""
    handles: list[Any] = [
        Line2D([], [], color=IMAGE_SLIDE, lw=1.4, label="Reference landslide"),
        *style.swatches(LEGEND),
    ]
    if any(not scene.tested.all() for scene in scenes):
        handles.append(Line2D([], [], color="black", lw=0.8, label="Evaluated region"))
    figure.legend(
        handles=handles, loc="lower center", bbox_to_anchor=(0.5, 0.2 / figure.get_figheight()), ncols=5
    )


def richest_window(scene: Scene, spec: ExhibitSpec, protocol: str) -> tuple[int, int, int, int]:
    """First row, first column, rows and columns of the rectangle with the most evaluated landslide pixels; of
    ties, the first.

    Raises:
        HeadscarpError: no evaluated pixel is a landslide.
    """
    slides = scene.tested & (scene.label == LANDSLIDE)
    if not slides.any():
        raise nothing_to_show(spec, protocol)
    rows, cols = (
        min(most, max(1, round(SHARE_OF_MAP * side)))
        for most, side in zip(RECTANGLE, slides.shape, strict=True)
    )
    total = np.pad(slides.astype(np.int32), ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    inside = total[rows:, cols:] - total[:-rows, cols:] - total[rows:, :-cols] + total[:-rows, :-cols]
    first = np.unravel_index(np.argmax(inside), inside.shape)
    return int(first[0]), int(first[1]), rows, cols


def nothing_to_show(spec: ExhibitSpec, protocol: str) -> HeadscarpError:
    return HeadscarpError(
        f"exhibit '{spec.name}' ({spec.kind}): the evaluated region of site '{spec.only_site().name}' "
        f"under protocol '{protocol}' holds no "
        "landslide to show; make the samples with another seed, or leave the protocol out of the exhibit"
    )


# --- Fig. 12 of zhang2024

SLIDES, RIM, SMALLEST_SIDE = 6, 0.5, 24  # close-ups; margin around a slide as a share of its length; pixels


def close_ups(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Six evaluated slides from the larger half, spread in size: image, reference, and one line of panels for
    each row.

    A block for each protocol. The numbers behind it are the found, false and missed pixels of each close-up;
    rows such as `model1:slide 2`. Options: `composite` (three layers for red, green, blue; default red,
    green, blue).
    """
    scenes = {protocol: Scene.of(spec, protocol) for protocol in spec.protocols}
    kinds = 2 + len(spec.rows)
    label_width, heading, foot = 0.62, 0.36, 0.55
    side = min(
        (style.WIDTH - 2 * MARGIN - label_width) / SLIDES - GAP,
        ((style.HEIGHT - foot) / len(spec.protocols) - heading) / kinds - GAP,
    )
    block_height = heading + kinds * (side + GAP)
    figure = style.new_figure(len(spec.protocols) * block_height + foot, layout=None)
    tall = figure.get_figheight()
    lines = []
    for block, (protocol, scene) in enumerate(scenes.items()):
        top = block * block_height
        figure.text(
            MARGIN / style.WIDTH,
            1 - (top + 0.05) / tall,
            f"Protocol: {protocol}",
            weight="bold",
            fontsize=8.5,
            va="top",
        )
        runs = [runs[0] for row in spec.rows if (runs := spec.runs_of(row, protocol))]
        for line, text in enumerate(("Image", "Reference", *(run.label for run in runs))):
            middle = 1 - (top + heading + line * (side + GAP) + side / 2) / tall
            words = textwrap.fill(f"{style.panel_letter(line)} {text}", 16)
            figure.text(
                (MARGIN + label_width / 2) / style.WIDTH,
                middle,
                words,
                rotation=90,
                ha="center",
                va="center",
                fontsize=7,
            )
        for column, (window, area) in enumerate(chosen_slides(scene, spec, protocol)):
            view = scene.view(window)
            left = MARGIN + label_width + column * (side + GAP)
            panels = [
                place(figure, (left, top + heading + line * (side + GAP), side, side))
                for line in range(2 + len(runs))
            ]
            show(panels[0], scene.image(view), view)
            panels[0].set_title(f"{area / 1e4:.1f} ha", fontsize=7, pad=2.5)
            style.scale_bar(panels[0], view.width_km)
            draw_reference(panels[1], scene, view, 1.0)
            for axes, run in zip(panels[2:], runs, strict=True):
                counts = draw_outcomes(axes, scene, view, run)
                lines += outcome_records(
                    spec,
                    f"{run.row}:slide {column + 1}",
                    run,
                    counts,
                    f"seed {run.seed}, slide of {area:.0f} m²",
                )
            for axes in panels:
                bare(axes)
    legend_below(figure, scenes.values())
    style.sign(figure, spec, "Area of the slide above each column. First seed of each network.")
    return figure, frame_of(lines)


def chosen_slides(
    scene: Scene, spec: ExhibitSpec, protocol: str
) -> list[tuple[tuple[int, int, int, int], float]]:
    """Up to six squares (first row, first column, rows, columns) around slides that are evaluated whole, and
    their areas in m2.

    Raises:
        HeadscarpError: no slide lies wholly in the evaluated region.
    """
    grid = site_grid(scene.site)
    instances = View.of(grid, max(grid.shape)).read(layer_path(scene.site, "instances"), classes=True)
    boxes = ndimage.find_objects(instances)
    sizes = np.bincount(instances.ravel(), minlength=len(boxes) + 1)
    evaluated = np.bincount(instances[scene.tested], minlength=len(boxes) + 1)
    whole = [
        number for number in range(1, len(boxes) + 1) if sizes[number] and evaluated[number] == sizes[number]
    ]
    if not whole:
        raise nothing_to_show(spec, protocol)
    whole.sort(key=lambda number: (-sizes[number], number))
    larger = whole[: max(SLIDES, len(whole) // 2)]
    ranks = np.unique(np.linspace(0, len(larger) - 1, min(SLIDES, len(larger))).round().astype(int))
    pixel_area = grid.resolution**2
    return [
        (square_around(boxes[larger[rank] - 1], grid.shape), sizes[larger[rank]] * pixel_area)
        for rank in ranks
    ]


def square_around(box: tuple[slice, slice], shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """A square window (first row, first column, rows, columns) with a rim around a box, moved to lie inside a
    map of `shape`."""
    length = max(one.stop - one.start for one in box)
    side = min(max(SMALLEST_SIDE, round(length * (1 + 2 * RIM))), *shape)
    firsts = [
        int(np.clip((one.start + one.stop - side) // 2, 0, full - side))
        for one, full in zip(box, shape, strict=True)
    ]
    return firsts[0], firsts[1], side, side


# --- Fig. 13 of zhang2024

BACKGROUNDS = ("composite", "relief")


def inventory_map(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """All landslides that the first run of each protocol found at the target site, over its image or relief;
    a panel for each protocol.

    The numbers behind it are how many there are and their area. Options: `background` (composite, the
    default, or relief); `composite` (three layers for red, green, blue; default red, green, blue); `outlines`
    ({what people read: file among the target's raw files}).

    Raises:
        HeadscarpError: the exhibit names no target site, or an inventory is missing or unreadable.
    """
    if spec.target is None:
        raise HeadscarpError(
            f"exhibit '{spec.name}' of card '{spec.card}' (inventory_map) names no target; give the "
            f"site it maps as `target`"
        )
    target = spec.target
    view = View.of(site_grid(target), longest_side=1400)
    ground = background_of(spec, view)
    page = Page.fit(len(spec.protocols), view.aspect, 1, 0, footer=0.6)
    figure = page.figure()
    lines = []
    for index, protocol in enumerate(spec.protocols):
        run = next(run for run in spec.runs if run.protocol == protocol)
        polygons = inventory_of(run, target)
        axes = page.axes(figure, 0, index)
        show(axes, ground, view)
        axes.add_collection(inventory_patches(polygons), autolim=False)
        draw_outlines(axes, spec, target)
        bare(axes)
        area = float(polygons.geometry.area.sum()) / 1e6
        title = f"{style.panel_letter(index)} {run.label}, {protocol}"
        axes.set_title(f"{title}\n{len(polygons):,} landslides, {area:.2f} km²", fontsize=7.5, pad=3)
        if index == 0:
            style.scale_bar(axes, view.width_km)
            style.north_arrow(axes)
        rest = {
            "protocol": protocol,
            "n_seeds": 1,
            "data": target.data,
            "note": f"seed {run.seed}, mapped at {target.name}",
        }
        lines.append(record(spec, run.row, "landslides", float(len(polygons)), **rest))
        lines.append(record(spec, run.row, "landslide_area_km2", area, **rest))
    handles = style.swatches([(FOUND, "Mapped landslide")]) + outline_handles(spec)
    figure.legend(
        handles=handles, loc="lower center", bbox_to_anchor=(0.5, 0.2 / figure.get_figheight()), ncols=4
    )
    style.sign(figure, spec, f"Mapped at {target.title} by the first seed of the network.")
    return figure, frame_of(lines)


FOUND = "#FFD92F"


def background_of(spec: ExhibitSpec, view: View) -> np.ndarray:
    """Image or grey relief (row, col, 3) of the target site."""
    target = spec.target
    label = view.read(layer_path(target, "label"), classes=True)
    chosen = require_known(
        spec.options.get("background", "composite"),
        BACKGROUNDS,
        f"exhibit '{spec.name}', options: background",
    )
    if chosen == "relief":
        return grey_relief(hillshade(view, target), label)
    image = composite(view, target, spec.options.get("composite", TRUE_COLOUR))
    paint(image, label == UNMAPPED, "white", 0.7)
    return image


def inventory_of(run: RunFiles, target: SiteFiles) -> Any:
    """Polygons that a run mapped at the target site, in the CRS of its grid."""
    from headscarp.geo.vectors import read_vectors

    return read_vectors(run.maps_of(target.name) / "inventory.gpkg", site_grid(target).crs)


def inventory_patches(polygons: Any) -> PolyCollection:
    """Polygons filled, with an edge that keeps small ones visible on the map of a whole city."""
    return PolyCollection(
        rings_of(polygons), facecolors=FOUND, edgecolors="#D7191C", linewidths=0.45, zorder=4, rasterized=True
    )
