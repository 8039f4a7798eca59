"""The panels of the page of `headscarp check`: image, relief, coverage, alignment, values and areas."""

import textwrap

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.lines import Line2D

from headscarp.areas.alignment import REACH
from headscarp.areas.check.findings import Checked, ShownPatch
from headscarp.areas.slide_areas import area_density
from headscarp.codes import LANDSLIDE
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.ground import ELEVATION, shade, stretch
from headscarp.exhibits.panels.marks import bare, hatch, kilometres, north_arrow, outline, scale_bar, show
from headscarp.exhibits.panels.view import View

BAND_INKS = {
    "blue": "#0072B2",
    "green": "#009E73",
    "red": "#D55E00",
    "nir": "#CC79A7",
    "swir1": "#E69F00",
    "swir2": "#8C8C00",
    "coastal": "#56B4E9",
}
MOST_MISSING = 5


def empty(axes: Axes, text: str) -> None:
    """Say why a panel shows nothing."""
    axes.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(0, 1))
    axes.spines[:].set(visible=True, color="#CCCCCC")
    axes.text(0.5, 0.5, textwrap.fill(text, 34), ha="center", va="center", color=palette.MUTED, fontsize=8)


def draw_image(axes: Axes, checked: Checked, view: View) -> None:
    """The image with the outlines of the slides and of the area."""
    names = bands_to_show(checked.image_after())
    if not names:
        axes.set_title("(a) Image")
        empty(axes, "no image at hand")
        return
    show(axes, stretch(np.stack([view.thin(checked.layers[name]) for name in names], axis=-1)), view)
    if checked.label is not None:
        outline(axes, view.thin(checked.label) == LANDSLIDE, view, palette.IMAGE_SLIDE, 0.5)
    border(axes, checked, view, "#0072B2")
    finish_map(axes, checked, view)
    handles = [
        Line2D([], [], color=palette.IMAGE_SLIDE, lw=1.4, label="landslides"),
        Line2D([], [], color="#0072B2", lw=1.2, ls="--", label="study area"),
    ]
    axes.legend(
        handles=handles,
        loc="upper left",
        fontsize=6.5,
        frameon=True,
        framealpha=0.85,
        edgecolor="none",
        borderpad=0.3,
    )
    axes.set_title(f"(a) Image: {', '.join(dict.fromkeys(names))}")


def draw_patch(axes: Axes, patch: ShownPatch) -> None:
    """A patch with the outlines of its landslides."""
    share = "no label" if patch.share is None else f"{patch.share:.0%} landslide"
    axes.set_title(f"{textwrap.shorten(patch.name, 24, placeholder='…')}: {share}", fontsize=6, pad=2)
    axes.imshow(stretch(patch.image), interpolation="nearest")
    slides = np.pad(patch.label == LANDSLIDE, 1)
    if slides.any():
        rows, cols = (np.arange(-1, side - 1) for side in slides.shape)
        axes.contour(cols, rows, slides.astype(float), [0.5], colors=[palette.IMAGE_SLIDE], linewidths=0.7)
    axes.set(xticks=[], yticks=[])


def bands_to_show(names: list[str]) -> list[str]:
    """Three layers for red, green and blue."""
    found = [
        next((name for name in names if name.split(" ")[0].split("_")[-1] == band), None)
        for band in ("red", "green", "blue")
    ]
    if None not in found:
        return found
    return (names[-3:][::-1] if len(names) >= 3 else names[:1] * 3) if names else []


def border(axes: Axes, checked: Checked, view: View, colour: str) -> None:
    """The edge of the study area where it is not the whole map."""
    if not checked.outline.all():
        inside = view.thin(checked.outline)
        outline(axes, inside, view, "white", 1.8)
        outline(axes, inside, view, colour, 1.0, dashed=True)


def finish_map(axes: Axes, checked: Checked, view: View) -> None:
    kilometres(axes, checked.view)
    scale_bar(axes, view.width_km)
    north_arrow(axes)


def draw_relief(axes: Axes, checked: Checked, view: View) -> None:
    """Shaded relief with elevation in colour, the slides and the area."""
    axes.set_title("(b) Elevation and landslides")
    if checked.elevation is None:
        empty(axes, "no elevation model at hand")
        return
    elevation = view.thin(checked.elevation)
    image = np.repeat(shade(elevation, view)[..., None], 3, axis=-1)
    tint = ScalarMappable(cmap=ELEVATION)
    tint.set_clim(np.nanmin(elevation), np.nanmax(elevation))
    colours = tint.to_rgba(np.nan_to_num(elevation, nan=np.nanmin(elevation)))[..., :3]
    image = np.clip(colours * (0.35 + 0.75 * image), 0, 1)
    image[~np.isfinite(elevation)] = 1
    if checked.label is not None:
        image[view.thin(checked.label) == LANDSLIDE] = np.array([0.70, 0.09, 0.17])
    show(axes, image, view)
    border(axes, checked, view, "black")
    finish_map(axes, checked, view)
    axes.set_ylabel("")
    bar = axes.inset_axes((1.03, 0, 0.035, 1))
    axes.figure.colorbar(tint, cax=bar, label="Elevation (m)")


def draw_coverage(axes: Axes, checked: Checked, view: View) -> None:
    """How many layers lack data, cell by cell."""
    layers = {name: values for name, values in checked.layers.items()} | (
        {"elevation": checked.elevation} if checked.elevation is not None else {}
    )
    axes.set_title(f"(c) Layers without data, of {len(layers)} at hand")
    if not layers:
        empty(axes, "no raster at hand")
        return
    missing = view.thin(sum(np.isnan(values).astype(int) for values in layers.values()))
    most = min(MOST_MISSING, max(1, len(layers)))
    colours = ListedColormap(["#F2F2F2", *colormaps["cividis_r"](np.linspace(0.25, 1, most))])
    drawn = show(
        axes,
        np.minimum(missing, most),
        view,
        cmap=colours,
        norm=BoundaryNorm(np.arange(-0.5, most + 1), most + 1),
    )
    if not checked.outline.all():
        hatch(axes, ~view.thin(checked.outline), view)
    border(axes, checked, view, "black")
    bare(axes)
    bar = axes.inset_axes((1.03, 0, 0.035, 1))
    scale = axes.figure.colorbar(drawn, cax=bar, ticks=range(most + 1))
    scale.ax.set_yticklabels([*map(str, range(most)), f"{most}{' or more' if most < len(layers) else ''}"])
    told = ", ".join(
        f"{name} {np.mean(np.isnan(values[checked.outline])):.0%}" for name, values in worst(layers, checked)
    )
    axes.set_xlabel(f"most: {told}" if told else "every layer has data in the whole area", fontsize=7)


def worst(layers: dict[str, np.ndarray], checked: Checked) -> list[tuple[str, np.ndarray]]:
    """The three layers that lack most inside the outline."""
    lacking = {name: np.mean(np.isnan(values[checked.outline])) for name, values in layers.items()}
    names = sorted((name for name in lacking if lacking[name] >= 0.005), key=lambda name: -lacking[name])[:3]
    return [(name, layers[name]) for name in names]


def draw_alignment(axes: Axes, checked: Checked) -> None:
    """Correlation of the edges of labels and image for each shift of the labels."""
    axes.set_title("(d) Do labels fit the image?")
    aligned = checked.alignment
    if aligned is None:
        empty(axes, "no labels or no image to compare")
        return
    reach = REACH + 0.5
    drawn = axes.imshow(
        aligned.surface, extent=(-reach, reach, reach, -reach), cmap="cividis", interpolation="nearest"
    )
    axes.spines[:].set_visible(True)
    axes.axhline(0, color="white", lw=0.6, ls=":")
    axes.axvline(0, color="white", lw=0.6, ls=":")
    axes.plot(0, 0, "o", mfc="none", mec="white", ms=9, mew=1.4)
    axes.plot(
        -aligned.cols,
        -aligned.rows,
        "+",
        color=palette.SLIDE if aligned.is_told else palette.MUTED,
        ms=10,
        mew=2,
    )
    axes.set(xticks=range(-10, 11, 5), yticks=range(-10, 11, 5))
    axes.set(xlabel="Labels moved east (px)", ylabel="Labels moved south (px)")
    axes.figure.colorbar(drawn, ax=axes, label="Correlation of edges", fraction=0.046, pad=0.04)
    text = (
        f"best at {-aligned.cols:+.1f}, {-aligned.rows:+.1f} px"
        if aligned.is_told
        else "not told by this image"
    )
    axes.text(
        0.03,
        0.03,
        f"○ as they are   + {text}",
        transform=axes.transAxes,
        fontsize=6.5,
        color="white",
        bbox={"boxstyle": "square,pad=0.25", "fc": "#222222", "ec": "none", "alpha": 0.75},
    )


def draw_values(axes: Axes, checked: Checked) -> None:
    """Histogram of each band inside the outline."""
    names = checked.images or [name for name, unit in checked.units.items() if unit != "class"][:6]
    axes.set_title("(e) Values inside the area")
    inside = {
        name: checked.layers[name][checked.outline & np.isfinite(checked.layers[name])] for name in names
    }
    inside = {name: values for name, values in inside.items() if values.size}
    if not inside:
        empty(axes, "no values at hand")
        return
    together = np.concatenate([values[:: max(1, values.size // 20_000)] for values in inside.values()])
    low, high = np.percentile(together, [0.2, 99.8])
    edges = np.linspace(low, high if high > low else low + 1, 80)
    for index, (name, values) in enumerate(inside.items()):
        band = name.split(" ")[0].split("_")[-1]
        counts, _ = np.histogram(values, edges, density=True)
        colour = BAND_INKS.get(band, palette.OKABE_ITO[index % len(palette.OKABE_ITO)])
        axes.plot(
            (edges[:-1] + edges[1:]) / 2,
            counts,
            color=colour,
            lw=1.1,
            ls="--" if name.startswith("pre_") else "-",
            label=name,
        )
    units = ", ".join(dict.fromkeys(checked.units[name] for name in inside))
    axes.set(xlabel=units[0].upper() + units[1:], ylabel="Density", yticks=[], ylim=(0, None))
    if len(inside) <= 14:
        axes.legend(fontsize=6, ncols=1 + (len(inside) > 7), handlelength=1.8, labelspacing=0.25)


def draw_areas(axes: Axes, checked: Checked) -> None:
    """Frequency density of the slides' areas, the power law of the large ones, and the size of a cell."""
    axes.set_title("(f) Areas of landslides")
    if checked.areas is None or not len(checked.areas):
        empty(axes, "no landslides at hand")
        return
    centres, density = area_density(checked.areas)
    axes.loglog(
        centres, density, "o", color=palette.OKABE_ITO[0], ms=3.5, label=f"{len(checked.areas)} slides"
    )
    if checked.tail:
        tail = checked.tail
        x = np.geomspace(tail.cutoff, checked.areas.max(), 20)
        law = tail.count * (tail.exponent - 1) / tail.cutoff * (x / tail.cutoff) ** -tail.exponent
        axes.loglog(
            x,
            law,
            color=palette.OKABE_ITO[1],
            lw=1.4,
            label=f"tail, exponent {tail.exponent:.2f} ± {tail.error:.2f}",
        )
    axes.axvline(checked.grid.resolution**2, color=palette.MUTED, lw=0.9, ls="--", label="one cell")
    axes.set(xlabel="Area (m²)", ylabel="Slides per m²")
    axes.legend(fontsize=6.5, handlelength=1.6)
