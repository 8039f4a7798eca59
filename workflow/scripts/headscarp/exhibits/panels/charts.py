"""What charts share: rules behind them, and square panels for each protocol with the legend below."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headscarp.exhibits.labels import protocol_label
from headscarp.exhibits.panels.figure import WIDTH, new_figure
from headscarp.exhibits.spec import ExhibitSpec

GRID = "#DDDDDD"
LINES = ("-", (0, (4, 1.5)))


def ruled(axes: Axes, which: str) -> None:
    """Thin lines behind a chart at the ticks of the x, the y or both axes."""
    axes.grid(axis=which, color=GRID, lw=0.5)
    axes.set_axisbelow(True)


def protocol_panels(spec: ExhibitSpec) -> tuple[Figure, Sequence[Axes]]:
    """A figure with a square panel for each protocol, side by side, and room below for a legend with a line
    for each row."""
    side = min(3.6, (WIDTH - 0.6) / len(spec.protocols))
    figure = new_figure(side + 1.25 + 0.15 * len(spec.rows))
    panels = figure.subplots(1, len(spec.protocols), squeeze=False, sharex=True, sharey=True)[0]
    for axes, protocol in zip(panels, spec.protocols, strict=True):
        axes.set_title(f"Protocol {protocol_label(protocol)}")
        ruled(axes, "both")
    return figure, panels


def below(axes: Axes, title: str) -> None:
    """The legend of a panel below it, in one column."""
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(0, -0.17),
        borderaxespad=0,
        title=title,
        title_fontsize=7.5,
        alignment="left",
        labelspacing=0.3,
    )
