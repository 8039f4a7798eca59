"""Equal map panels on one page."""

import math
import textwrap
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headscarp.exhibits.panels.figure import HEIGHT, WIDTH, new_figure
from headscarp.exhibits.panels.marks import bare


def place(figure: Figure, box: tuple[float, float, float, float]) -> Axes:
    """Axes at (left, distance from the top, width, height) in inches."""
    left, top, width, height = box
    tall = figure.get_figheight()
    return figure.add_axes((left / WIDTH, 1 - (top + height) / tall, width / WIDTH, height / tall))


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
                widest = ((WIDTH - 2 * MARGIN - GAP * (across - 1)) / across - GAP * (columns - 1)) / columns
                tallest = ((HEIGHT - footer) / down - heading) / rows - TITLE - GAP
                width = min(widest, tallest / aspect)
                pages.append(cls(columns, rows, across, down, (width, width * aspect), heading, footer))
        return max(pages, key=lambda page: (round(page.panel[0], 2), page.across, -page.columns))

    @property
    def block(self) -> tuple[float, float]:
        """Width and height of a block with its heading, gaps included."""
        width, height = self.panel
        return self.columns * (width + GAP), self.heading + self.rows * (height + TITLE + GAP)

    def figure(self) -> Figure:
        return new_figure(self.down * self.block[1] + self.footer, layout=None)

    def corner(self, block: int) -> tuple[float, float]:
        """Left edge and distance from the top of a block, in inches; blocks are centred together on the
        page."""
        left = (WIDTH - self.across * self.block[0] + GAP) / 2
        return left + block % self.across * self.block[0], block // self.across * self.block[1]

    def head(self, figure: Figure, block: int, text: str, remark: str) -> None:
        """Write the heading of a block."""
        left, top = self.corner(block)
        for line, (words, weight, size) in enumerate(((text, "bold", 8.5), (remark, "normal", 7.5))):
            height = 1 - (top + 0.05 + 0.17 * line) / figure.get_figheight()
            figure.text(left / WIDTH, height, words, weight=weight, fontsize=size, va="top")

    def axes(self, figure: Figure, block: int, index: int) -> Axes:
        """Axes of panel `index` of a block."""
        left, top = self.corner(block)
        width, height = self.panel
        left += index % self.columns * (width + GAP)
        top += self.heading + index // self.columns * (height + TITLE + GAP) + TITLE
        return place(figure, (left, top, width, height))


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
        widest = (WIDTH - 2 * MARGIN - self.caption) / self.columns - GAP
        tallest = ((HEIGHT - self.footer) / self.blocks - self.heading) / self.rows - GAP
        return min(widest, tallest, 2.3)

    @property
    def block(self) -> float:
        return self.heading + self.rows * (self.side + GAP)

    def figure(self) -> Figure:
        return new_figure(self.blocks * self.block + self.footer, layout=None)

    def left(self, column: int) -> float:
        """Left edge of a column in inches; panels are centred on the page."""
        used = self.caption + self.columns * (self.side + GAP) - GAP
        return (WIDTH - used) / 2 + self.caption + column * (self.side + GAP)

    def top(self, block: int, row: int) -> float:
        """Distance of a row of panels from the top in inches."""
        return block * self.block + self.heading + row * (self.side + GAP)

    def axes(self, figure: Figure, block: int, row: int, column: int) -> Axes:
        axes = place(figure, (self.left(column), self.top(block, row), self.side, self.side))
        bare(axes)
        return axes

    def head(self, figure: Figure, block: int, text: str) -> None:
        height = 1 - (block * self.block + 0.05) / figure.get_figheight()
        figure.text(self.left(0) / WIDTH, height, text, weight="bold", fontsize=8.5, va="top")

    def write_caption(self, figure: Figure, block: int, row: int, text: str) -> None:
        """Words beside a row of panels, read upwards."""
        middle = 1 - (self.top(block, row) + self.side / 2) / figure.get_figheight()
        words = textwrap.fill(text, max(10, int(self.side * 15)))
        figure.text(
            (self.left(0) - 0.07) / WIDTH,
            middle,
            words,
            rotation=90,
            ha="right",
            va="center",
            fontsize=7,
        )
