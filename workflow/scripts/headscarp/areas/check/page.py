"""One page that shows what `headscarp check` found: image, relief, coverage, alignment, values and areas of a
study area; or patches of a set with the landslides of their masks."""

import textwrap
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from headscarp.areas.check.findings import (
    ERROR,
    LEVELS,
    NOTE,
    OK,
    WARNING,
    Checked,
    CheckedPatches,
    CheckedSite,
)
from headscarp.areas.check.panels import (
    draw_alignment,
    draw_areas,
    draw_coverage,
    draw_image,
    draw_patch,
    draw_relief,
    draw_values,
)
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.figure import DPI, look
from headscarp.exhibits.panels.location import locator
from headscarp.exhibits.panels.view import View
from headscarp.files import atomic_path

PAGE = (8.27, 11.69)  # inches: A4
LONGEST_SIDE = 700
INKS = {ERROR: palette.SLIDE, WARNING: "#B35900", NOTE: palette.WATER, OK: "#00694C"}
MARKS = {ERROR: "✖", WARNING: "▲", NOTE: "●", OK: "✔"}
# in the order in which the page tells them
TOPICS = ("alignment", "landslides", "split", "cells", "card", "files", "values")
MOST_LINES = 21
MOST_OF_TITLE = 36  # characters that stand beside the verdict
ROWS, COLUMNS = 4, 4  # of patches


def draw_page(checked: Checked, path: str | Path) -> None:
    """Write the page of a site as PNG, atomically."""
    with look():
        figure = Figure(figsize=PAGE)
        FigureCanvasAgg(figure)
        view = View.of(checked.view, LONGEST_SIDE)
        head(figure, checked, f"{locator(checked.grid)} · {checked.grid.crs} · {checked.card}")
        draw_image(panel(figure, 0.55, 0.95, 3.15, 2.95), checked, view)
        draw_relief(panel(figure, 4.35, 0.95, 3.15, 2.95), checked, view)
        draw_coverage(panel(figure, 0.55, 4.45, 3.15, 2.15), checked, view)
        draw_alignment(panel(figure, 4.6, 4.45, 2.6, 2.15), checked)
        draw_values(panel(figure, 0.55, 7.3, 3.15, 1.5), checked)
        draw_areas(panel(figure, 4.6, 7.3, 3.2, 1.5), checked)
        tell(figure, checked, 9.35)
        with atomic_path(path) as temporary:
            figure.savefig(temporary, dpi=DPI, metadata={"Software": None})


def draw_patches_page(checked: CheckedPatches, path: str | Path) -> None:
    """Write the page of a set of patches as PNG, atomically."""
    with look():
        figure = Figure(figsize=PAGE)
        FigureCanvasAgg(figure)
        head(figure, checked, f"patches, the landslides of their masks outlined · {checked.card}")
        for number, patch in enumerate(checked.shown[: ROWS * COLUMNS]):
            row, column = divmod(number, COLUMNS)
            draw_patch(panel(figure, 0.45 + 1.9 * column, 1.05 + 2.1 * row, 1.7, 1.7), patch)
        tell(figure, checked, 9.35)
        with atomic_path(path) as temporary:
            figure.savefig(temporary, dpi=DPI, metadata={"Software": None})


def panel(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at (left, distance from the top, width, height) in inches."""
    return figure.add_axes((left / PAGE[0], 1 - (top + height) / PAGE[1], width / PAGE[0], height / PAGE[1]))


def head(figure: Figure, checked: CheckedSite, line: str) -> None:
    """Title, a line below it, and verdict."""
    title = textwrap.shorten(checked.title, MOST_OF_TITLE, placeholder=" …")
    figure.text(0.045, 0.972, f"{title}: data check", fontsize=14, weight="bold", va="top")
    figure.text(
        0.045,
        0.949,
        line,
        fontsize=7.5,
        color=palette.MUTED,
        va="top",
    )
    colour = INKS[checked.status]
    box = {"boxstyle": "round,pad=0.45", "fc": "white", "ec": colour, "lw": 1.2}
    figure.text(
        0.955,
        0.968,
        f"{MARKS[checked.status]} {checked.verdict}",
        fontsize=9,
        color=colour,
        weight="bold",
        ha="right",
        va="top",
        bbox=box,
    )


def tell(figure: Figure, checked: CheckedSite, top: float) -> None:
    """The findings, the worst first, as far as they fit."""
    figure.text(0.045, 1 - top / PAGE[1], "What was found", fontsize=8.5, weight="bold", va="top")
    ranked = sorted(checked.findings, key=lambda one: (-LEVELS.index(one.level), TOPICS.index(one.topic)))
    line, shown = 0, 0
    for finding in ranked:
        wrapped = textwrap.wrap(f"{finding.subject}: {finding.text}", 185)
        wrapped = (
            wrapped
            if len(wrapped) <= 2
            else [wrapped[0], textwrap.shorten(" ".join(wrapped[1:]), 180, placeholder=" …")]
        )
        if line + len(wrapped) > MOST_LINES - (shown < len(ranked) - 1):
            break
        height = 1 - (top + 0.19 + 0.098 * line) / PAGE[1]
        figure.text(0.045, height, MARKS[finding.level], fontsize=6, color=INKS[finding.level], va="top")
        figure.text(
            0.062, height, "\n".join(wrapped), fontsize=5.8, color=palette.INK, va="top", linespacing=1.16
        )
        line, shown = line + len(wrapped), shown + 1
    if shown < len(ranked):
        height = 1 - (top + 0.19 + 0.098 * line) / PAGE[1]
        figure.text(
            0.062,
            height,
            f"and {len(ranked) - shown} more: see check.json",
            fontsize=5.8,
            color=palette.MUTED,
            va="top",
            style="italic",
        )
