"""One look for every figure: sizes, type, colours that colour-blind readers can tell apart, and saving that
is the same each time."""

import math
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from headscarp.delivery.styles import LAND_COVER, SLIDE  # noqa: F401 - the colours of exhibits, with those of styles for QGIS
from headscarp.exhibits.spec import TWIN, ExhibitSpec
from headscarp.exhibits.tidy import SIMULATED
from headscarp.files import atomic_path

WIDTH = 7.1  # inches: the text width of an A4 page
HEIGHT = 9.9  # inches: what a page leaves above a caption
DPI = 200

# Okabe & Ito's palette (https://jfly.uni-koeln.de/color/), told apart with deuteranopia and protanopia.
OKABE_ITO = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C00"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]
TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE = "#009E73", "#D55E00", "#0072B2"
WATER, FAULT, INK, MUTED = "#2166AC", "#111111", "#222222", "#777777"
ELEVATION = LinearSegmentedColormap.from_list(
    "hypsometric", ["#7A9A7E", "#B5C69A", "#EBDFB0", "#D3B48A", "#A98467", "#CFC4BC", "#FAFAFA"]
)

LOOK = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7.5,
    "figure.titlesize": 10,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.edgecolor": INK,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.3,
    "pdf.fonttype": 42,
    "svg.hashsalt": "headscarp",
}


def look() -> AbstractContextManager:
    """The settings inside which a figure must be drawn; they end with the block."""
    return matplotlib.rc_context(LOOK)


def new_figure(height: float, layout: str | None = "constrained") -> Figure:
    """A figure as wide as a page's text, `height` inches tall, on its own canvas (no pyplot state); layout
    None: axes placed by hand."""
    figure = Figure(figsize=(WIDTH, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, png: str | Path, pdf: str | Path) -> None:
    """Write a figure as PNG and PDF, each atomically and without a date, so that the same figure gives the
    same bytes."""
    for path, options in (
        (png, {"dpi": DPI, "metadata": {"Software": None}}),
        (pdf, {"dpi": DPI, "metadata": {"CreationDate": None}}),
    ):
        with look(), atomic_path(path) as temporary:
            figure.savefig(temporary, **options)


def sign(figure: Figure, spec: ExhibitSpec, remark: str = "") -> None:
    """Print below the figure what a reader must know without the caption: simulated sites, and `remark`."""
    twins = [site.title for site in spec.sites if site.data == TWIN]
    if len(twins) == len(spec.sites) and twins:
        remark = f"{SIMULATED[0].upper() + SIMULATED[1:]}. {remark}"
    elif twins:
        remark = f"{', '.join(twins)}: {SIMULATED}. {remark}"
    if remark:
        figure.supxlabel(remark.strip(), x=0.01, ha="left", fontsize=7, color=MUTED, style="italic")


def panel_letter(index: int) -> str:
    """(a), (b), ..., (z), (aa), ..."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    return f"({letters[index // 26 - 1] if index >= 26 else ''}{letters[index % 26]})"


def nice_length(longest: float) -> float:
    """The largest of 1, 2, 5 x 10^n that is not above `longest` (positive)."""
    magnitude = 10.0 ** math.floor(math.log10(longest) + 1e-9)
    return max(factor * magnitude for factor in (1, 2, 5) if factor * magnitude <= longest * (1 + 1e-9))


def scale_bar(axes: Axes, width_km: float) -> None:
    """A bar of a round length, about a quarter of the map, in the lower left of a map whose axes are in
    kilometres."""
    length = nice_length(width_km / 3.5)
    text = f"{length:g} km" if length >= 1 else f"{1000 * length:g} m"
    font = FontProperties(size=6.5)
    bar = AnchoredSizeBar(
        axes.transData,
        length,
        text,
        "lower left",
        pad=0.35,
        borderpad=0.3,
        sep=2,
        size_vertical=width_km / 90,
        fontproperties=font,
        label_top=True,
    )
    bar.patch.set(alpha=0.85, ec="none")
    bar.set_zorder(8)
    axes.add_artist(bar)


def north_arrow(axes: Axes) -> None:
    """An arrow to grid north in the upper right."""
    box = {"boxstyle": "square,pad=0.25", "fc": "white", "ec": "none", "alpha": 0.85}
    place = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "center", "va": "top"}
    axes.annotate(
        "▲\nN", (1, 1), (-8, -5), fontsize=6.5, linespacing=0.95, weight="bold", bbox=box, zorder=8, **place
    )


def swatches(entries: Iterable[tuple[str, str]], **extra: object) -> list[Rectangle]:
    """Legend handles: filled boxes of (colour, label)."""
    return [
        Rectangle((0, 0), 1, 1, fc=colour, ec=INK, lw=0.4, label=label, **extra) for colour, label in entries
    ]
