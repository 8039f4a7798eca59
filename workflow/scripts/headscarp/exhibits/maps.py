"""Figures that are maps: the study area, the errors of each network, and probabilities."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import LightSource, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from headscarp.arrays import open_array
from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.exhibits import style
from headscarp.exhibits.rasters import View, layer_path, site_grid, value_range
from headscarp.exhibits.spec import ExhibitSpec, RunFiles, SiteFiles
from headscarp.exhibits.tidy import frame_of, record
from headscarp.files import read_json
from headscarp.geo.grid import Grid
from headscarp.vocabulary import require_known

TRAIN, VALIDATION, TEST = 1, 2, 3
CONFUSION = (
    (style.TRUE_POSITIVE, "True positive"),
    (style.FALSE_POSITIVE, "False positive"),
    (style.FALSE_NEGATIVE, "False negative"),
)
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


def composite(
    view: View, site: SiteFiles, channels: Sequence[str], limits: np.ndarray | None = None
) -> np.ndarray:
    """Three layers as red, green and blue, (row, col, 3), stretched between `limits` (those of the view
    itself unless given)."""
    return stretch(image_bands(view, site, channels), limits)


def stretch(bands: np.ndarray, limits: np.ndarray | None = None) -> np.ndarray:
    """Bands (row, col, 3) as an image 0..1 between `limits` (2, 3), those of the bands themselves unless
    given; white where no data."""
    low, high = band_limits(bands) if limits is None else limits
    stretched = np.clip((bands - low) / np.maximum(high - low, 1e-9), 0, 1) ** 0.85
    return np.where(np.isfinite(stretched), stretched, 1.0)


def image_bands(view: View, site: SiteFiles, channels: Sequence[str]) -> np.ndarray:
    """Three layers, (row, col, 3), unstretched."""
    if len(channels) != 3:
        raise HeadscarpError(
            f"an image needs three layers for red, green and blue but the exhibit's options name "
            f"{list(channels)}"
        )
    return np.stack([view.read(layer_path(site, channel)) for channel in channels], axis=-1)


def band_limits(bands: np.ndarray) -> np.ndarray:
    """2nd and 98th percentile (2, 3) of three bands (row, col, 3): what an image is stretched between."""
    return np.nanpercentile(bands, [2, 98], axis=(0, 1))


def mapped_area(view: View, site: SiteFiles) -> np.ndarray:
    """Pixels (row, col) of a view inside the study area: everywhere, where the site has no labels or only
    unmapped ones."""
    path = site.folder / "layers" / "label.tif"
    mapped = view.read(path, classes=True) != UNMAPPED if path.exists() else np.zeros(view.shape, bool)
    return mapped if mapped.any() else np.ones(view.shape, bool)


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


def outline(
    axes: Axes, mask: np.ndarray, view: View, colour: str, width: float, dashed: bool = False
) -> None:
    """Draw the edge of a mask (row, col), the border of the map included."""
    padded = np.pad(mask.astype(float), 1)
    west, east, south, north = view.extent
    dx, dy = (east - west) / mask.shape[1], (north - south) / mask.shape[0]
    x = west + (np.arange(padded.shape[1]) - 0.5) * dx
    y = north - (np.arange(padded.shape[0]) - 0.5) * dy
    if padded.any():
        axes.contour(
            x, y, padded, [0.5], colors=[colour], linewidths=width, linestyles="dashed" if dashed else "solid"
        )


def hatch(axes: Axes, mask: np.ndarray, view: View, pattern: str = "////", colour: str = "#A0A0A0") -> None:
    """Hatch the pixels of a mask (row, col)."""
    if mask.any():
        west, east, south, north = view.extent
        hatches = axes.contourf(
            np.linspace(west, east, mask.shape[1]),
            np.linspace(north, south, mask.shape[0]),
            mask.astype(float),
            [0.5, 1.5],
            colors="none",
            hatches=[pattern],
        )
        hatches.set_edgecolor(colour)
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
    return figure.add_axes(
        (left / style.WIDTH, 1 - (top + height) / tall, width / style.WIDTH, height / tall)
    )


# inches: above a block, above a panel, between panels, around the page
HEADING, TITLE, GAP, MARGIN = 0.42, 0.33, 0.09, 0.04


@dataclass(frozen=True)
class Page:
    """Equal map panels in blocks on one page, placed by hand: constrained layouts leave holes around maps,
    whose aspect is fixed."""

    columns: int
    rows: int
    across: int
    down: int
    panel: tuple[float, float]
    heading: float
    footer: float

    @classmethod
    def fit(cls, count: int, aspect: float, blocks: int, heading: float, footer: float) -> "Page":
        """The arrangement with the widest panels of one aspect (height / width): `count` in each block,
        blocks side by side or stacked."""
        pages = []
        for across, down in {(1, blocks), (blocks, 1)}:
            for columns in range(1, count + 1):
                rows = math.ceil(count / columns)
                widest = (
                    (style.WIDTH - 2 * MARGIN - GAP * (across - 1)) / across - GAP * (columns - 1)
                ) / columns
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
        """Left edge and distance from the top of a block, in inches; blocks are centred together on the
        page."""
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


BACKGROUNDS = ("relief", "composite")
# inches: beside a map for its northings and its colour bar, above and below it
LEFT, BAR, HEAD, FOOT = 0.45, 0.75, 0.5, 0.85
BETWEEN = 0.12


def site_map(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Shaded relief with slides, rivers, faults and study area beside an image, one row of panels for each
    site.

    Options: `composite` (three layers for red, green, blue; default red, green, blue); `background` (`relief`
    or `composite`: one panel instead of both; for all sites, or {site: background}); `points` (file among the
    raw files with surveyed sites and their column `size`, shown on the relief instead of the outlines of
    slides); `outlines` ({what people read: file among the raw files}).
    """
    channels = spec.options.get("composite", TRUE_COLOUR)
    views = [View.of(site_grid(site)) for site in spec.sites]
    panels = [backgrounds_of(spec, site) for site in spec.sites]
    widths = [(style.WIDTH - LEFT - BAR - BETWEEN * (len(shown) - 1)) / len(shown) for shown in panels]
    heights = [HEAD + width * view.aspect + FOOT for view, width in zip(views, widths, strict=True)]
    figure = style.new_figure(sum(heights) + 0.2, layout=None)
    top, number = 0.0, 0
    for site, view, shown, width, height in zip(spec.sites, views, panels, widths, heights, strict=True):
        grid = site_grid(site)
        label = view.read(layer_path(site, "label"), classes=True)
        for column, background in enumerate(shown):
            left = LEFT + column * (width + BETWEEN)
            axes = place(figure, (left, top + HEAD, width, width * view.aspect))
            if background == "relief":
                drawn = draw_relief(
                    axes,
                    site,
                    view,
                    label,
                    slides="points" not in spec.options,
                    border="outlines" not in spec.options,
                )
                bar = place(
                    figure,
                    (LEFT + len(shown) * (width + BETWEEN) - 0.02, top + HEAD, 0.1, width * view.aspect),
                )
                figure.colorbar(drawn, cax=bar, label="Elevation (m)")
                draw_points(axes, spec, site)
            else:
                show(axes, composite(view, site, channels), view)
                outline(axes, label == LANDSLIDE, view, IMAGE_SLIDE, 0.4)
            draw_outlines(axes, spec, site)
            axes.set_title(f"{style.panel_letter(number)} {panel_title(spec, background, channels)}", pad=4)
            kilometres(axes, grid, ylabel=column == 0)
            if column == 0:
                style.scale_bar(axes, view.width_km)
                style.north_arrow(axes)
            number += 1
        tall = figure.get_figheight()
        figure.text(0.01, 1 - (top + 0.05) / tall, f"{site.title} · {locator(grid)}", weight="bold", va="top")
        anchor = (0.5, 1 - (top + height) / tall)
        handles = site_legend(spec, site, label, shown)
        figure.legend(
            handles=handles,
            loc="lower center",
            bbox_to_anchor=anchor,
            ncols=6 if len(handles) <= 6 else 4,
            handlelength=1.6,
            columnspacing=1.4,
        )
        top += height
    style.sign(figure, spec)
    return figure, frame_of(place_records(spec))


def backgrounds_of(spec: ExhibitSpec, site: SiteFiles) -> tuple[str, ...]:
    """The panels of one site: the backgrounds they are drawn on."""
    chosen = spec.options.get("background")
    if isinstance(chosen, Mapping):
        for name in chosen:
            require_known(
                name, [one.name for one in spec.sites], f"exhibit '{spec.name}', options, background: site"
            )
        chosen = chosen.get(site.name)
    return (
        BACKGROUNDS
        if chosen is None
        else (require_known(chosen, BACKGROUNDS, f"exhibit '{spec.name}', options: background"),)
    )


def panel_title(spec: ExhibitSpec, background: str, channels: Sequence[str]) -> str:
    if background == "composite":
        return f"Image: {', '.join(channels)}"
    return "Relief and surveyed landslides" if "points" in spec.options else "Relief and landslides"


# area in square points, colour
SIZES = {"small": (4, "#FDE0A0"), "medium": (22, "#E69F00"), "large": (80, "#D55E00")}


def draw_points(axes: Axes, spec: ExhibitSpec, site: SiteFiles) -> None:
    """Surveyed landslides as discs graduated by size, the largest first so that no small one is hidden."""
    if "points" not in spec.options:
        return
    survey = raw_vectors(site, spec.options["points"])
    if "size" not in survey:
        raise HeadscarpError(
            f"{site.raw / spec.options['points']} has no column 'size' (small, medium or large); name "
            f"the file of a survey as `points`"
        )
    for size in sorted(
        set(survey["size"]),
        key=lambda size: -SIZES[require_known(size, SIZES, f"{spec.options['points']}: size")][0],
    ):
        area, colour = SIZES[size]
        of_size = survey.geometry[survey["size"] == size]
        axes.scatter(
            of_size.x / 1000,
            of_size.y / 1000,
            s=area,
            c=colour,
            edgecolors=style.INK,
            linewidths=0.5,
            zorder=6,
        )


OUTLINES = ("#000000", "#CC79A7", "#56B4E9")


def draw_outlines(axes: Axes, spec: ExhibitSpec, site: SiteFiles) -> None:
    """Borders of the areas that the option `outlines` names, over a white halo that parts them from any
    ground."""
    for colour, file in zip(OUTLINES, spec.options.get("outlines", {}).values(), strict=False):
        rings = rings_of(raw_vectors(site, file))
        for ink, width in (("white", 2.6), (colour, 1.2)):
            axes.add_collection(
                PolyCollection(rings, facecolors="none", edgecolors=ink, linewidths=width, zorder=5),
                autolim=False,
            )


def outline_handles(spec: ExhibitSpec) -> list[Line2D]:
    """Legend handles of the option `outlines`."""
    names = spec.options.get("outlines", {})
    return [
        Line2D([], [], color=colour, lw=1.2, label=name)
        for colour, name in zip(OUTLINES, names, strict=False)
    ]


def raw_vectors(site: SiteFiles, file: str) -> Any:
    """A vector file among a site's raw files, in the CRS of the site's grid.

    Raises:
        HeadscarpError: it is missing, unreadable or has no CRS.
    """
    from headscarp.geo.vectors import read_vectors

    return read_vectors(site.raw / file, site_grid(site).crs)


def rings_of(polygons: Any) -> list[np.ndarray]:
    """Outer rings (vertex, 2) of polygons in kilometres."""
    parts = polygons.geometry.explode(index_parts=False)
    return [np.asarray(part.exterior.coords)[:, :2] / 1000 for part in parts if part.geom_type == "Polygon"]


def place_records(spec: ExhibitSpec) -> Iterator[dict[str, Any]]:
    """Tidy records of where each site lies and how high: centre in degrees, lowest and highest elevation in
    metres."""
    for site in spec.sites:
        longitude, latitude = centre(site_grid(site))
        low, high = value_range(site, "elevation")
        numbers = {
            "centre_longitude": longitude,
            "centre_latitude": latitude,
            "elevation_min": low,
            "elevation_max": high,
        }
        for metric, value in numbers.items():
            yield record(
                spec,
                site.name,
                metric,
                value,
                data=site.data,
                note="unit m" if "elevation" in metric else "unit degree",
            )


def draw_relief(
    axes: Axes, site: SiteFiles, view: View, label: np.ndarray, slides: bool = True, border: bool = True
) -> ScalarMappable:
    """Hypsometric tints over shaded relief, with lines and, if asked, outlines of slides and of the mapped
    area; returns the mappable of the elevation."""
    elevation = view.read(layer_path(site, "elevation"))
    colours = ScalarMappable(Normalize(*np.nanpercentile(elevation, [0.2, 99.8])), style.ELEVATION)
    lit = np.clip(0.35 + 0.9 * shade(elevation, view), 0, 1.25)[..., None]
    tinted = np.clip(colours.to_rgba(elevation)[..., :3] * lit, 0, 1)
    tinted[~np.isfinite(elevation)] = 1
    show(axes, tinted, view)
    draw_lines(axes, site.raw / "rivers.gpkg", site_grid(site).crs, style.WATER, 0.8)
    draw_lines(axes, site.raw / "faults.gpkg", site_grid(site).crs, style.FAULT, 0.9, "dashed")
    if slides:
        patches = np.zeros((*label.shape, 4))
        patches[label == LANDSLIDE] = (*to_rgb(style.SLIDE), 0.45)
        show(axes, patches, view)
        outline(axes, label == LANDSLIDE, view, style.SLIDE, 0.4)
    if border:
        outline(axes, label != UNMAPPED, view, "black", 0.9)
    return colours


def draw_lines(axes: Axes, path: Path, crs: str, colour: str, width: float, linestyle: str = "solid") -> None:
    """Draw the lines of a vector file, if the site has it, clipped by the map."""
    if not path.exists():
        return
    from headscarp.geo.vectors import read_vectors

    frame = read_vectors(path, crs).explode(index_parts=False)
    limits = axes.get_xlim(), axes.get_ylim()
    lines = [
        np.asarray(line.coords)[:, :2] / 1000 for line in frame.geometry if line.geom_type == "LineString"
    ]
    axes.add_collection(
        LineCollection(lines, colors=colour, linewidths=width, linestyles=linestyle), autolim=False
    )
    axes.set(xlim=limits[0], ylim=limits[1])


def site_legend(spec: ExhibitSpec, site: SiteFiles, label: np.ndarray, shown: Sequence[str]) -> list[Any]:
    """Legend handles of what the panels of a site show."""
    handles: list[Any] = []
    if "relief" in shown and "points" in spec.options:
        for size, (area, colour) in SIZES.items():
            text = f"{size.capitalize()} landslide"
            handles.append(
                Line2D(
                    [], [], ls="", marker="o", ms=area**0.5, mfc=colour, mec=style.INK, mew=0.5, label=text
                )
            )
    elif "relief" in shown:
        handles += style.swatches([("#DC9A9F", "Landslide")])
        handles[0].set_edgecolor(style.SLIDE)
    if "composite" in shown:
        handles.append(Line2D([], [], color=IMAGE_SLIDE, lw=1.2, label="Landslide on the image"))
    handles += outline_handles(spec)
    if "relief" in shown:
        if (label == UNMAPPED).any() and "outlines" not in spec.options:
            handles.append(Line2D([], [], color="black", lw=0.9, label="Mapped area"))
        if (site.raw / "rivers.gpkg").exists():
            handles.append(Line2D([], [], color=style.WATER, lw=0.9, label="River"))
        if (site.raw / "faults.gpkg").exists():
            handles.append(Line2D([], [], color=style.FAULT, lw=0.9, ls="dashed", label="Fault"))
    return handles


def centre(grid: Grid) -> tuple[float, float]:
    """Longitude and latitude of the centre of a grid in degrees."""
    from pyproj import Transformer

    west, south, east, north = grid.bounds
    return Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(
        (west + east) / 2, (south + north) / 2
    )


def locator(grid: Grid) -> str:
    """Where a grid lies: its centre in degrees, its size in pixels and its resolution."""
    longitude, latitude = centre(grid)
    place = (
        f"{abs(latitude):.2f}° {'N' if latitude >= 0 else 'S'}, {abs(longitude):.2f}° "
        f"{'E' if longitude >= 0 else 'W'}"
    )
    return f"centre {place} · {grid.height} × {grid.width} px of {grid.resolution:g} m"


# --- Figs 7-8 of gao2021: where each network is right and wrong


def confusion_maps(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """True positives, false positives and false negatives of the first seed of each run, a block of panels
    for each protocol.

    Under `blocked` only the test region, outlined, is coloured; the page shows what is scored under any
    protocol, with a rim. The numbers behind it are the F1 of that seed.
    """
    site = spec.only_site()
    view = View.of(site_grid(site))
    west, east, south, north = scored_extent(site, spec.protocols, view)
    relief = hillshade(view, site)
    label = view.read(layer_path(site, "label"), classes=True)
    page = Page.fit(
        len(spec.rows), (north - south) / (east - west), len(spec.protocols), HEADING, footer=0.62
    )
    figure = page.figure()
    lines = []
    for block, protocol in enumerate(spec.protocols):
        regions = regions_of(site, protocol, view)
        page.head(figure, block, f"Protocol: {protocol}", PROTOCOL_REMARK[protocol])
        for index, run in enumerate(runs[0] for row in spec.rows if (runs := spec.runs_of(row, protocol))):
            scores = read_json(run.maps / "scores.json")
            axes = page.axes(figure, block, index)
            draw_confusion(axes, run, scores["threshold"], view, relief, label, regions)
            axes.set(xlim=(west, east), ylim=(south, north))
            f1 = scores["metrics"]["f1"]
            axes.set_title(
                f"{style.panel_letter(index)} {run.label}\nF1 {'–' if f1 is None else f'{f1:.3f}'}",
                fontsize=7.5,
                pad=3,
            )
            if index == 0:
                style.scale_bar(axes, east - west)
                style.north_arrow(axes)
            note = f"seed {run.seed}, fraction"
            lines.append(
                record(
                    spec,
                    run.row,
                    "f1",
                    f1,
                    protocol=protocol,
                    n_seeds=1,
                    data=site.data,
                    note=note,
                    published=None,
                )
            )
    anchor = (0.5, 0.2 / figure.get_figheight())
    figure.legend(
        handles=confusion_legend(spec, site, view, label), loc="lower center", bbox_to_anchor=anchor, ncols=4
    )
    style.sign(figure, spec, "First seed of each network.")
    return figure, frame_of(lines)


PROTOCOL_REMARK = {
    "published": "scored on the whole area, training windows included",
    "blocked": "scored on the outlined test blocks only",
}


def samples_of(site: SiteFiles, protocol: str) -> Path:
    """Folder of the samples of a site under a protocol.

    Raises:
        HeadscarpError: the site has none.
    """
    if protocol not in site.samples:
        raise HeadscarpError(
            f"site '{site.name}' has no samples of protocol '{protocol}'; make them, or leave the "
            f"protocol out of the exhibit"
        )
    return site.samples[protocol]


def regions_of(site: SiteFiles, protocol: str, view: View) -> np.ndarray:
    """Regions of a protocol's split, thinned: 0 unused, 1 train, 2 validation, 3 test."""
    return view.thin(open_array(samples_of(site, protocol) / "regions.npy"))


def scored_extent(site: SiteFiles, protocols: Sequence[str], view: View) -> tuple[float, float, float, float]:
    """West, east, south and north, in kilometres, of all that is scored under any of the protocols, with a
    rim of a twentieth."""
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
    axes: Axes,
    run: RunFiles,
    threshold: float,
    view: View,
    relief: np.ndarray,
    label: np.ndarray,
    regions: np.ndarray,
) -> None:
    """One panel: the scored region in the three colours over grey relief."""
    image = grey_relief(relief, label)
    paint(image, (regions == TRAIN) & (label != UNMAPPED), TRAINED_GREY, 0.65)
    paint(image, (regions == VALIDATION) & (label != UNMAPPED), VALIDATED_GREY, 0.65)
    probability = view.read(run.maps / "probability.tif", classes=True)
    scored = (regions == TEST) & (label != UNMAPPED)
    predicted, slide = probability >= threshold, label == LANDSLIDE
    for (colour, _), mask in zip(
        CONFUSION, (predicted & slide, predicted & ~slide, ~predicted & slide), strict=True
    ):
        paint(image, mask & scored, colour)
    show(axes, image, view)
    hatch(axes, label == UNMAPPED, view)
    if (regions == TRAIN).any():
        outline(axes, regions == TEST, view, "black", 0.6)
    bare(axes)


def confusion_legend(spec: ExhibitSpec, site: SiteFiles, view: View, label: np.ndarray) -> list[Any]:
    """Legend handles of what the panels of all protocols show."""
    handles: list[Any] = style.swatches(CONFUSION)
    kinds = set(
        np.unique(
            np.concatenate([np.unique(regions_of(site, protocol, view)) for protocol in spec.protocols])
        )
    )
    if TRAIN in kinds:
        handles += style.swatches([(TRAINED_GREY, "Training blocks"), (VALIDATED_GREY, "Validation blocks")])
        handles.append(Line2D([], [], color="black", lw=0.8, label="Test blocks"))
    if (label == UNMAPPED).any():
        handles += style.swatches([("white", "Not mapped")], hatch="//////")
    return handles


# --- what a network gives: probabilities


def probability_maps(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Image, inventory and the landslide probability mapped by the first seed of each run, protocol after
    protocol.

    Options: `composite` (three layers shown as red, green and blue; default red, green, blue).
    """
    site = spec.only_site()
    view = View.of(site_grid(site), longest_side=500)
    channels = spec.options.get("composite", TRUE_COLOUR)
    runs = [
        runs[0] for protocol in spec.protocols for row in spec.rows if (runs := spec.runs_of(row, protocol))
    ]
    page = Page.fit(2 + len(runs), view.aspect, 1, 0, footer=0.85)
    figure = page.figure()
    panels = [page.axes(figure, 0, index) for index in range(2 + len(runs))]
    show(panels[0], composite(view, site, channels), view)
    panels[0].set_title(f"(a) Image: {', '.join(channels)}")
    draw_inventory(panels[1], site, view)
    panels[1].set_title("(b) Landslide inventory")
    lines = []
    for index, (axes, run) in enumerate(zip(panels[2:], runs, strict=False), start=2):
        drawn = show(axes, view.read(run.maps / "probability.tif"), view, cmap="cividis", vmin=0, vmax=1)
        precision = read_json(run.maps / "scores.json")["metrics"]["average_precision"]
        note = f"seed {run.seed}"
        lines.append(
            record(
                spec,
                run.row,
                "average_precision",
                precision,
                protocol=run.protocol,
                n_seeds=1,
                data=site.data,
                note=note,
            )
        )
        shown = "–" if precision is None else f"{precision:.3f}"
        axes.set_title(
            f"{style.panel_letter(index)} {run.label}\n{run.protocol}, AP {shown}", fontsize=7.5, pad=3
        )
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
