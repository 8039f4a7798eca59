"""Legends: handles, and their place at the foot of a page."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from headscarp.exhibits.panels import palette


def swatches(entries: Iterable[tuple[str, str]], **extra: object) -> list[Rectangle]:
    """Legend handles: filled boxes of (colour, label)."""
    return [
        Rectangle((0, 0), 1, 1, fc=colour, ec=palette.INK, lw=0.4, label=label, **extra)
        for colour, label in entries
    ]


COMPACT = {"columnspacing": 1.4, "handlelength": 1.6}
WIDE = {"columnspacing": 2.0, "handlelength": 2.0}


def legend_at_foot(
    figure: Figure, handles: Sequence[Any], columns: int, spacing: Mapping[str, float] = COMPACT
) -> None:
    """The legend of a page of maps, above what is printed below them."""
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 0.2 / figure.get_figheight())}
    figure.legend(handles=handles, ncols=columns, **place, **spacing)
