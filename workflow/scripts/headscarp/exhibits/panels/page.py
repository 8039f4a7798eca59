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
WIDEST = 2.3  # inches: of a panel in a grid


@dataclass(frozen=True)
class Page:
    """Equal map panels in rows and columns, in equal blocks side by side or below each other, placed by hand:
    constrained layouts leave holes around maps, whose aspect is fixed.

    Lengths are in inches: `panel` (width, height); `heading` above a block, `title` above each of its rows of
    panels and `caption` left of them; `footer` below all blocks; `gap` between panels.
    """

    rows: int
    columns: int
    panel: tuple[float, float]
    down: int = 1
    across: int = 1
    heading: float = 0.0
    footer: float = 0.0
    title: float = TITLE
    caption: float = 0.0
    gap: float = GAP

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
                pages.append(cls(rows, columns, (width, width * aspect), down, across, heading, footer))
        return max(pages, key=lambda page: (round(page.panel[0], 2), page.across, -page.columns))

    @classmethod
    def grid(
        cls, rows: int, columns: int, blocks: int, heading: float, footer: float, caption: float = 0.25
    ) -> "Page":
        """Square panels of so many rows and columns, as wide as the page allows, at most `WIDEST`; blocks
        below each other, with captions left of the rows and titles above the columns only."""
        widest = (WIDTH - 2 * MARGIN - caption) / columns - GAP
        tallest = ((HEIGHT - footer) / blocks - heading) / rows - GAP
        side = min(widest, tallest, WIDEST)
        return cls(
            rows, columns, (side, side), blocks, heading=heading, footer=footer, title=0.0, caption=caption
        )

    @property
    def side(self) -> float:
        """Width of a panel."""
        return self.panel[0]

    @property
    def block(self) -> tuple[float, float]:
        """Width and height of a block with its heading and captions, gaps included."""
        width, height = self.panel
        return (
            self.caption + self.columns * (width + self.gap),
            self.heading + self.rows * (height + self.title + self.gap),
        )

    def figure(self) -> Figure:
        return new_figure(self.down * self.block[1] + self.footer, layout=None)

    def left(self, column: int, block: int = 0) -> float:
        """Left edge of a column of panels; blocks are centred together on the page."""
        corner = (WIDTH - self.across * self.block[0] + self.gap) / 2 + block % self.across * self.block[0]
        return corner + self.caption + column * (self.panel[0] + self.gap)

    def top(self, row: int, block: int = 0) -> float:
        """Distance of a row of panels from the top of the page."""
        corner = block // self.across * self.block[1] + self.heading
        return corner + row * (self.panel[1] + self.title + self.gap) + self.title

    def axes(self, figure: Figure, block: int, row: int, column: int) -> Axes:
        """Axes of a panel, without ticks."""
        axes = place(figure, (self.left(column, block), self.top(row, block), *self.panel))
        bare(axes)
        return axes

    def axes_of(self, figure: Figure, block: int, index: int) -> Axes:
        """Axes of a panel of a block, counted row by row."""
        return self.axes(figure, block, *divmod(index, self.columns))

    def head(self, figure: Figure, block: int, text: str, remark: str = "") -> None:
        """Write the heading of a block, and a remark below it."""
        top = block // self.across * self.block[1]
        for line, (words, weight, size) in enumerate(((text, "bold", 8.5), (remark, "normal", 7.5))):
            height = 1 - (top + 0.05 + 0.17 * line) / figure.get_figheight()
            figure.text(self.left(0, block) / WIDTH, height, words, weight=weight, fontsize=size, va="top")

    def write_caption(self, figure: Figure, block: int, row: int, text: str) -> None:
        """Words beside a row of panels, read upwards."""
        middle = 1 - (self.top(row, block) + self.panel[1] / 2) / figure.get_figheight()
        words = textwrap.fill(text, max(10, int(self.side * 15)))
        look = {"rotation": 90, "ha": "right", "va": "center", "fontsize": 7}
        figure.text((self.left(0, block) - 0.07) / WIDTH, middle, words, **look)
