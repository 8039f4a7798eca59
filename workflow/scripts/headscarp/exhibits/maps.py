"""Figures that are maps: the study area, the errors of each network, and probabilities."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import LightSource, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from headscarp.errors import HeadscarpError
from headscarp.exhibits import style
from headscarp.exhibits.rasters import UNMAPPED, View, layer_path, site_grid, values_of
from headscarp.exhibits.spec import ExhibitSpec, RunFiles, SiteFiles
from headscarp.exhibits.tidy import frame_of, record
from headscarp.files import read_json
from headscarp.site.grid import Grid

LANDSLIDE = 1
TRAIN, VALIDATION, TEST = 1, 2, 3
CONFUSION = ((style.TRUE_POSITIVE, "True positive"), (style.FALSE_POSITIVE, "False positive"), (style.FALSE_NEGATIVE, "False negative"))
TRUE_COLOUR = ("red", "green", "blue")
IMAGE_SLIDE = "#FFD92F"
TRAINED_GREY, VALIDATED_GREY = "#777777", "#B0B0B0"


# --- what all maps share


def hillshade(view: View, site: SiteFiles) -> np.ndarray:
    """Illumination 0..1 of a site's relief from the north-west at 45 degrees, (row, col)."""
    elevation = view.read(layer_path(site, "elevation"))
    return shade(elevation, view)


def shade(elevation: np.ndarray, view: View) -> np.ndarray:
    filled = np.where(np.isfinite(elevation), elevation, np.nanmedian(elevation))
    dx, dy = view.cell_m
    return LightSource(315, 45).hillshade(filled, vert_exag=1.2, dx=dx, dy=dy)


def composite(view: View, site: SiteFiles, channels: Sequence[str]) -> np.ndarray:
    """Three layers as red, green and blue, (row, col, 3), stretched together between the 2nd and 98th percentile of each."""
    if len(channels) != 3:
        raise HeadscarpError(f"an image needs three layers for red, green and blue but the exhibit's options name {list(channels)}")
    bands = np.stack([view.read(layer_path(site, channel)) for channel in channels], axis=-1)
    low, high = np.nanpercentile(bands, [2, 98], axis=(0, 1))
    stretched = np.clip((bands - low) / np.maximum(high - low, 1e-9), 0, 1) ** 0.85
    return np.where(np.isfinite(stretched), stretched, 1.0)


def grey_relief(relief: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Light grey relief (row, col, 3) as a ground for colours; unmapped land paler still."""
    image = np.repeat(0.55 + 0.42 * relief[..., None], 3, axis=-1)
    paint(image, label == UNMAPPED, "white", 0.8)
    return image


def paint(base: np.ndarray, mask: np.ndarray, colour: str, opacity: float = 1.0) -> None:
    """Lay a colour over the pixels of `mask` of an image (row, col, 3), in place."""
    base[mask] = (1 - opacity) * base[mask] + opacity * np.asarray(to_rgb(colour))


def show(axes: Axes, image: np.ndarray, view: View, **options: Any) -> Any:
    """Draw an image (row, col[, 3]) in kilometres with square pixels and a thin frame."""
    drawn = axes.imshow(image, extent=view.extent, interpolation="nearest", **options)
    axes.autoscale(False)
    axes.spines[:].set_visible(True)
    axes.spines[:].set_linewidth(0.5)
    return drawn


def outline(axes: Axes, mask: np.ndarray, view: View, colour: str, width: float, dashed: bool = False) -> None:
    """Draw the edge of a mask (row, col), the border of the map included."""
    padded = np.pad(mask.astype(float), 1)
    west, east, south, north = view.extent
    dx, dy = (east - west) / mask.shape[1], (north - south) / mask.shape[0]
    x = west + (np.arange(padded.shape[1]) - 0.5) * dx
    y = north - (np.arange(padded.shape[0]) - 0.5) * dy
    if padded.any():
        axes.contour(x, y, padded, [0.5], colors=[colour], linewidths=width, linestyles="dashed" if dashed else "solid")


def hatch(axes: Axes, mask: np.ndarray, view: View) -> None:
    """Hatch the pixels of a mask (row, col)."""
    if mask.any():
        west, east, south, north = view.extent
        hatches = axes.contourf(
            np.linspace(west, east, mask.shape[1]), np.linspace(north, south, mask.shape[0]), mask.astype(float), [0.5, 1.5],
            colors="none", hatches=["////"],
        )  # fmt: skip
        hatches.set_edgecolor("#A0A0A0")
        hatches.set_linewidth(0)


def kilometres(axes: Axes, grid: Grid, ylabel: bool = True) -> None:
    """Projected coordinates in kilometres as a graticule."""
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.tick_params(axis="y", labelrotation=90)
    for label in axes.get_yticklabels():
        label.set_verticalalignment("center")
    axes.ticklabel_format(useOffset=False, style="plain")
    axes.grid(color="black", alpha=0.25, linewidth=0.3)
    axes.set_xlabel(f"Easting (km, {grid.crs})")
    if ylabel:
        axes.set_ylabel("Northing (km)")
    else:
        axes.tick_params(axis="y", labelleft=False)


def bare(axes: Axes) -> None:
    """No ticks: the scale bar says enough."""
    axes.set_xticks([])
    axes.set_yticks([])


def place(figure: Figure, box: tuple[float, float, float, float]) -> Axes:
    """Axes at (left, distance from the top, width, height) in inches."""
    left, top, width, height = box
    tall = figure.get_figheight()
    return figure.add_axes((left / style.WIDTH, 1 - (top + height) / tall, width / style.WIDTH, height / tall))


HEADING, TITLE, GAP, MARGIN = 0.42, 0.33, 0.09, 0.04  # inches: above a block, above a panel, between panels, around the page


@dataclass(frozen=True)
class Page:
    """Equal map panels in blocks on one page, placed by hand: constrained layouts leave holes around maps, whose aspect is fixed."""

    columns: int
    rows: int
    across: int
    down: int
    panel: tuple[float, float]
    heading: float
    footer: float

    @classmethod
    def fit(cls, count: int, aspect: float, blocks: int, heading: float, footer: float) -> "Page":
        """The arrangement with the widest panels of one aspect (height / width): `count` in each block, blocks side by side or stacked."""
        pages = []
        for across, down in {(1, blocks), (blocks, 1)}:
            for columns in range(1, count + 1):
                rows = math.ceil(count / columns)
                widest = ((style.WIDTH - 2 * MARGIN - GAP * (across - 1)) / across - GAP * (columns - 1)) / columns
                tallest = ((style.HEIGHT - footer) / down - heading) / rows - TITLE - GAP
                width = min(widest, tallest / aspect)
                pages.append(cls(columns, rows, across, down, (width, width * aspect), heading, footer))
        return max(pages, key=lambda page: (round(page.panel[0], 2), page.across, -page.columns))

    @property
    def block(self) -> tuple[float, float]:
        """Width and height of a block with its heading, gaps included."""
        width, height = self.panel
        return self.columns * (width + GAP), self.heading + self.rows * (height + TITLE + GAP)

    def figure(self) -> Figure:
        return style.new_figure(self.down * self.block[1] + self.footer, layout=None)

    def corner(self, block: int) -> tuple[float, float]:
        """Left edge and distance from the top of a block, in inches; blocks are centred together on the page."""
        left = (style.WIDTH - self.across * self.block[0] + GAP) / 2
        return left + block % self.across * self.block[0], block // self.across * self.block[1]

    def head(self, figure: Figure, block: int, text: str, remark: str) -> None:
        """Write the heading of a block."""
        left, top = self.corner(block)
        for line, (words, weight, size) in enumerate(((text, "bold", 8.5), (remark, "normal", 7.5))):
            height = 1 - (top + 0.05 + 0.17 * line) / figure.get_figheight()
            figure.text(left / style.WIDTH, height, words, weight=weight, fontsize=size, va="top")

    def axes(self, figure: Figure, block: int, index: int) -> Axes:
        """Axes of panel `index` of a block."""
        left, top = self.corner(block)
        width, height = self.panel
        left += index % self.columns * (width + GAP)
        top += self.heading + index // self.columns * (height + TITLE + GAP) + TITLE
        return place(figure, (left, top, width, height))


# --- Figs 1-2 of gao2021: where, how high, what it looks like


def site_map(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Shaded relief with slides, rivers, faults and study area beside an image, one row of panels for each site.

    Options: `image` (three layers for red, green, blue; default true colour red, green, blue).
    """
    channels = spec.options.get("composite", TRUE_COLOUR)
    views = [View.of(site_grid(site)) for site in spec.sites]
    width = (style.WIDTH - 0.45 - 0.12 - 0.75) / 2
    heights = [0.5 + width * view.aspect + 0.75 for view in views]
    figure = style.new_figure(sum(heights) + 0.2, layout=None)
    top = 0.0
    for index, (site, view, height) in enumerate(zip(spec.sites, views, heights, strict=True)):
        grid = site_grid(site)
        label = view.read(layer_path(site, "label"), classes=True)
        box = (0.45, top + 0.5, width, width * view.aspect)
        relief, image, bar = (place(figure, (box[0] + shift, box[1], wide, box[3])) for shift, wide in
                              ((0, width), (width + 0.12, width), (2 * width + 0.22, 0.1)))  # fmt: skip
        drawn = draw_relief(relief, site, view, label)
        show(image, composite(view, site, channels), view)
        outline(image, label == LANDSLIDE, view, IMAGE_SLIDE, 0.4)
        for axes, text in ((relief, "Relief and landslides"), (image, f"Image: {', '.join(channels)}")):
            axes.set_title(f"{style.panel_letter(2 * index + (axes is image))} {text}", pad=4)
            kilometres(axes, grid, ylabel=axes is relief)
        style.scale_bar(relief, view.width_km)
        style.north_arrow(relief)
        figure.colorbar(drawn, cax=bar, label="Elevation (m)")
        tall = figure.get_figheight()
        figure.text(0.01, 1 - (top + 0.05) / tall, f"{site.title} · {locator(grid)}", weight="bold", va="top")
        anchor = (0.5, 1 - (top + height) / tall)
        figure.legend(
            handles=site_legend(site, label), loc="lower center", bbox_to_anchor=anchor, ncols=6, handlelength=1.6, columnspacing=1.4
        )
        top += height
    style.sign(figure, spec)
    return figure, frame_of(place_records(spec))


def place_records(spec: ExhibitSpec) -> Iterator[dict[str, Any]]:
    """Tidy records of where each site lies and how high: centre in degrees, lowest and highest elevation in metres."""
    for site in spec.sites:
        longitude, latitude = centre(site_grid(site))
        elevation = values_of(site, "elevation")
        numbers = {"centre_longitude": longitude, "centre_latitude": latitude}
        numbers |= {"elevation_min": float(np.nanmin(elevation)), "elevation_max": float(np.nanmax(elevation))}
        for metric, value in numbers.items():
            yield record(spec, site.name, metric, value, data=site.data, note="unit m" if "elevation" in metric else "unit degree")


def draw_relief(axes: Axes, site: SiteFiles, view: View, label: np.ndarray) -> ScalarMappable:
    """Hypsometric tints over shaded relief, with lines and outlines; returns the mappable of the elevation."""
    elevation = view.read(layer_path(site, "elevation"))
    colours = ScalarMappable(Normalize(*np.nanpercentile(elevation, [0.2, 99.8])), style.ELEVATION)
    lit = np.clip(0.35 + 0.9 * shade(elevation, view), 0, 1.25)[..., None]
    tinted = np.clip(colours.to_rgba(elevation)[..., :3] * lit, 0, 1)
    tinted[~np.isfinite(elevation)] = 1
    show(axes, tinted, view)
    draw_lines(axes, site.folder / "raw" / "rivers.gpkg", site_grid(site).crs, style.WATER, 0.8)
    draw_lines(axes, site.folder / "raw" / "faults.gpkg", site_grid(site).crs, style.FAULT, 0.9, "dashed")
    slides = np.zeros((*label.shape, 4))
    slides[label == LANDSLIDE] = (*to_rgb(style.SLIDE), 0.45)
    show(axes, slides, view)
    outline(axes, label == LANDSLIDE, view, style.SLIDE, 0.4)
    outline(axes, label != UNMAPPED, view, "black", 0.9)
    return colours


def draw_lines(axes: Axes, path: Path, crs: str, colour: str, width: float, linestyle: str = "solid") -> None:
    """Draw the lines of a vector file, if the site has it, clipped by the map."""
    if not path.exists():
        return
    import geopandas

    frame = geopandas.read_file(path).to_crs(crs).explode(index_parts=False)
    limits = axes.get_xlim(), axes.get_ylim()
    lines = [np.asarray(line.coords)[:, :2] / 1000 for line in frame.geometry if line.geom_type == "LineString"]
    axes.add_collection(LineCollection(lines, colors=colour, linewidths=width, linestyles=linestyle), autolim=False)
    axes.set(xlim=limits[0], ylim=limits[1])


def site_legend(site: SiteFiles, label: np.ndarray) -> list[Any]:
    """Legend handles of what a site map shows."""
    handles: list[Any] = style.swatches([("#DC9A9F", "Landslide")])
    handles[0].set_edgecolor(style.SLIDE)
    handles.append(Line2D([], [], color=IMAGE_SLIDE, lw=1.2, label="Landslide on the image"))
    if (label == UNMAPPED).any():
        handles.append(Line2D([], [], color="black", lw=0.9, label="Mapped area"))
    if (site.folder / "raw" / "rivers.gpkg").exists():
        handles.append(Line2D([], [], color=style.WATER, lw=0.9, label="River"))
    if (site.folder / "raw" / "faults.gpkg").exists():
        handles.append(Line2D([], [], color=style.FAULT, lw=0.9, ls="dashed", label="Fault"))
    return handles


def centre(grid: Grid) -> tuple[float, float]:
    """Longitude and latitude of the centre of a grid in degrees."""
    from pyproj import Transformer

    west, south, east, north = grid.bounds
    return Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform((west + east) / 2, (south + north) / 2)


def locator(grid: Grid) -> str:
    """Where a grid lies: its centre in degrees, its size in pixels and its resolution."""
    longitude, latitude = centre(grid)
    place = f"{abs(latitude):.2f}° {'N' if latitude >= 0 else 'S'}, {abs(longitude):.2f}° {'E' if longitude >= 0 else 'W'}"
    return f"centre {place} · {grid.height} × {grid.width} px of {grid.resolution:g} m"


# --- Figs 7-8 of gao2021: where each network is right and wrong


def confusion_maps(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """True positives, false positives and false negatives of the first seed of each run, a block of panels for each protocol.

    Under `blocked` only the test region, outlined, is coloured; the page shows what is scored under any protocol, with a rim. The numbers
    behind it are the F1 of that seed.
    """
    site = spec.only_site()
    view = View.of(site_grid(site))
    west, east, south, north = scored_extent(site, spec.protocols, view)
    relief = hillshade(view, site)
    label = view.read(layer_path(site, "label"), classes=True)
    page = Page.fit(len(spec.rows), (north - south) / (east - west), len(spec.protocols), HEADING, footer=0.62)
    figure = page.figure()
    lines = []
    for block, protocol in enumerate(spec.protocols):
        regions = regions_of(site, protocol, view)
        page.head(figure, block, f"Protocol: {protocol}", PROTOCOL_REMARK[protocol])
        for index, run in enumerate(runs[0] for row in spec.rows if (runs := spec.runs_of(row, protocol))):
            scores = read_json(run.folder / "scores.json")
            axes = page.axes(figure, block, index)
            draw_confusion(axes, run, scores["threshold"], view, relief, label, regions)
            axes.set(xlim=(west, east), ylim=(south, north))
            f1 = scores["metrics"]["f1"]
            axes.set_title(f"{style.panel_letter(index)} {run.label}\nF1 {'–' if f1 is None else f'{f1:.3f}'}", fontsize=7.5, pad=3)
            if index == 0:
                style.scale_bar(axes, east - west)
                style.north_arrow(axes)
            note = f"seed {run.seed}, fraction"
            lines.append(record(spec, run.row, "f1", f1, protocol=protocol, n_seeds=1, data=site.data, note=note, published=None))
    anchor = (0.5, 0.2 / figure.get_figheight())
    figure.legend(handles=confusion_legend(spec, site, view, label), loc="lower center", bbox_to_anchor=anchor, ncols=4)
    style.sign(figure, spec, "First seed of each network.")
    return figure, frame_of(lines)


PROTOCOL_REMARK = {
    "published": "scored on the whole area, training windows included",
    "blocked": "scored on the outlined test blocks only",
}


def regions_of(site: SiteFiles, protocol: str, view: View) -> np.ndarray:
    """Regions of a protocol's split, thinned: 0 unused, 1 train, 2 validation, 3 test."""
    if protocol not in site.samples:
        raise HeadscarpError(
            f"site '{site.name}' has no samples of protocol '{protocol}'; make them, or leave the protocol out of the exhibit"
        )
    return view.thin(np.load(site.samples[protocol] / "regions.npy", mmap_mode="r"))


def scored_extent(site: SiteFiles, protocols: Sequence[str], view: View) -> tuple[float, float, float, float]:
    """West, east, south and north, in kilometres, of all that is scored under any of the protocols, with a rim of a twentieth."""
    scored = np.any([regions_of(site, protocol, view) == TEST for protocol in protocols], axis=0)
    limits = []
    for axis, (first, last) in ((0, view.extent[:2]), (1, view.extent[2:])):
        inside = np.flatnonzero(scored.any(axis=axis))
        share = np.array([inside[0], inside[-1] + 1]) / scored.shape[1 - axis]
        share = np.clip(share + np.ptp(share) / 20 * np.array([-1, 1]), 0, 1)
        low, high = share if axis == 0 else 1 - share[::-1]
        limits += [first + low * (last - first), first + high * (last - first)]
    return tuple(limits)


def draw_confusion(
    axes: Axes, run: RunFiles, threshold: float, view: View, relief: np.ndarray, label: np.ndarray, regions: np.ndarray
) -> None:
    """One panel: the scored region in the three colours over grey relief."""
    image = grey_relief(relief, label)
    paint(image, (regions == TRAIN) & (label != UNMAPPED), TRAINED_GREY, 0.65)
    paint(image, (regions == VALIDATION) & (label != UNMAPPED), VALIDATED_GREY, 0.65)
    probability = view.read(run.folder / "probability.tif", classes=True)
    scored = (regions == TEST) & (label != UNMAPPED)
    predicted, slide = probability >= threshold, label == LANDSLIDE
    for (colour, _), mask in zip(CONFUSION, (predicted & slide, predicted & ~slide, ~predicted & slide), strict=True):
        paint(image, mask & scored, colour)
    show(axes, image, view)
    hatch(axes, label == UNMAPPED, view)
    if (regions == TRAIN).any():
        outline(axes, regions == TEST, view, "black", 0.6)
    bare(axes)


def confusion_legend(spec: ExhibitSpec, site: SiteFiles, view: View, label: np.ndarray) -> list[Any]:
    """Legend handles of what the panels of all protocols show."""
    handles: list[Any] = style.swatches(CONFUSION)
    kinds = set(np.unique(np.concatenate([np.unique(regions_of(site, protocol, view)) for protocol in spec.protocols])))
    if TRAIN in kinds:
        handles += style.swatches([(TRAINED_GREY, "Training blocks"), (VALIDATED_GREY, "Validation blocks")])
        handles.append(Line2D([], [], color="black", lw=0.8, label="Test blocks"))
    if (label == UNMAPPED).any():
        handles += style.swatches([("white", "Not mapped")], hatch="//////")
    return handles


# --- what a network gives: probabilities


def probability_maps(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Image, inventory and the landslide probability mapped by the first seed of each run, protocol after protocol.

    Options: `composite` (three layers shown as red, green and blue; default red, green, blue).
    """
    site = spec.only_site()
    view = View.of(site_grid(site), longest_side=500)
    channels = spec.options.get("composite", TRUE_COLOUR)
    runs = [runs[0] for protocol in spec.protocols for row in spec.rows if (runs := spec.runs_of(row, protocol))]
    page = Page.fit(2 + len(runs), view.aspect, 1, 0, footer=0.85)
    figure = page.figure()
    panels = [page.axes(figure, 0, index) for index in range(2 + len(runs))]
    show(panels[0], composite(view, site, channels), view)
    panels[0].set_title(f"(a) Image: {', '.join(channels)}")
    draw_inventory(panels[1], site, view)
    panels[1].set_title("(b) Landslide inventory")
    lines = []
    for index, (axes, run) in enumerate(zip(panels[2:], runs, strict=False), start=2):
        drawn = show(axes, view.read(run.folder / "probability.tif"), view, cmap="cividis", vmin=0, vmax=1)
        precision = read_json(run.folder / "scores.json")["metrics"]["average_precision"]
        note = f"seed {run.seed}"
        lines.append(record(spec, run.row, "average_precision", precision, protocol=run.protocol, n_seeds=1, data=site.data, note=note))
        shown = "–" if precision is None else f"{precision:.3f}"
        axes.set_title(f"{style.panel_letter(index)} {run.label}\n{run.protocol}, AP {shown}", fontsize=7.5, pad=3)
        regions = regions_of(site, run.protocol, view)
        if (regions == TRAIN).any():
            outline(axes, regions == TEST, view, "white", 0.8)
    for axes in panels:
        bare(axes)
    style.scale_bar(panels[0], view.width_km)
    style.north_arrow(panels[0])
    bar = place(figure, (0.3 * style.WIDTH, figure.get_figheight() - 0.72, 0.4 * style.WIDTH, 0.1))
    figure.colorbar(drawn, cax=bar, orientation="horizontal", label="Probability of landslide")
    style.sign(figure, spec, "First seed. AP: average precision in the test blocks, outlined in white.")
    return figure, frame_of(lines)


def draw_inventory(axes: Axes, site: SiteFiles, view: View) -> None:
    """Mapped landslides over grey relief, unmapped land hatched."""
    label = view.read(layer_path(site, "label"), classes=True)
    image = grey_relief(hillshade(view, site), label)
    paint(image, label == LANDSLIDE, style.SLIDE)
    show(axes, image, view)
    hatch(axes, label == UNMAPPED, view)
