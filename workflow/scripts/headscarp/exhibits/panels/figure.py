"""A figure: its size and type, and saving that is the same each time."""

from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from headscarp.exhibits.kinds import function_of
from headscarp.exhibits.panels import palette
from headscarp.exhibits.spec import TWIN, ExhibitSpec
from headscarp.exhibits.tidy import SIMULATED
from headscarp.files import atomic_path

WIDTH = 7.1  # inches: the text width of an A4 page
HEIGHT = 9.9  # inches: what a page leaves above a caption
DPI = 160  # of the PNG, for a screen: 1136 pixels wide
COLOURS = 256  # of the PNG: a palette holds no more
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
    "axes.edgecolor": palette.INK,
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
    """Write a figure as PNG for a screen and as PDF for print, each atomically and without a date, so that
    the same figure gives the same bytes."""
    with look(), atomic_path(png) as temporary:
        screen_picture(figure).save(temporary, dpi=(DPI, DPI))
    with look(), atomic_path(pdf) as temporary:
        figure.savefig(temporary, metadata={"CreationDate": None})


def screen_picture(figure: Figure) -> Image.Image:
    """A figure in a palette of its own: half of the bytes, the colours of charts exact, those of satellite
    images off by about 1 in 255."""
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI, pil_kwargs={"compress_level": 1})
    picture = Image.open(drawn).convert("RGB")
    return picture.quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)


def sign(figure: Figure, spec: ExhibitSpec, remark: str = "") -> None:
    """Print below the figure what a reader must know without the caption: simulated sites, and `remark`."""
    twins = [site.title for site in spec.sites if site.data == TWIN]
    if len(twins) == len(spec.sites) and twins:
        remark = f"{SIMULATED[0].upper() + SIMULATED[1:]}. {remark}"
    elif twins:
        remark = f"{', '.join(twins)}: {SIMULATED}. {remark}"
    if remark:
        figure.supxlabel(remark.strip(), x=0.01, ha="left", fontsize=7, color=palette.MUTED, style="italic")


def panel_letter(index: int) -> str:
    """(a), (b), ..., (z), (aa), ..."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    return f"({letters[index // 26 - 1] if index >= 26 else ''}{letters[index % 26]})"


def draw(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """A figure in the house style, and the tidy numbers behind it."""
    with look():
        return function_of(spec.kind)(spec)
