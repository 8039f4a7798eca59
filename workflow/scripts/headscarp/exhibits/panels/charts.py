"""What charts share: rules behind them, and square panels for each protocol with the legend below."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headscarp.exhibits.labels import protocol_label
from headscarp.exhibits.panels.figure import WIDTH, new_figure
from headscarp.exhibits.spec import ExhibitSpec

GRID = "#DDDDDD"
COLUMNS = 2  # panels side by side, below which there is room for names and numbers
LINES = ("-", (0, (4, 1.5)))


def ruled(axes: Axes, which: str) -> None:
    """Thin lines behind a chart at the ticks of the x, the y or both axes."""
    axes.grid(axis=which, color=GRID, lw=0.5)
    axes.set_axisbelow(True)


def protocol_panels(spec: ExhibitSpec) -> tuple[Figure, Sequence[Axes]]:
    """A figure with a square panel for each protocol, two side by side, and room below each for a legend with
    a line for each row."""
    columns = min(len(spec.protocols), COLUMNS)
    rows = -(-len(spec.protocols) // columns)
    side = min(3.6, (WIDTH - 0.6) / columns)
    figure = new_figure(rows * (side + 1.25 + 0.15 * len(spec.rows)))
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axes in panels[len(spec.protocols) :]:
        axes.remove()
    panels = panels[: len(spec.protocols)]
    for axes, protocol in zip(panels, spec.protocols, strict=True):
        axes.set_title(f"Protocol {protocol_label(protocol)}")
        axes.tick_params(labelbottom=True)  # the legend stands between it and a panel below
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
