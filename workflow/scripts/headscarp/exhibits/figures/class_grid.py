"""Test windows of a site of several classes, one for each class, and the classes that networks tell there."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from headscarp.codes import LAND_COVER, LANDSLIDE, NOT_LANDSLIDE, UNMAPPED
from headscarp.exhibits.figures.scene_grid import place_text, titled_grid
from headscarp.exhibits.labels import score_text
from headscarp.exhibits.panels.figure import sign
from headscarp.exhibits.panels.ground import shared_limits
from headscarp.exhibits.panels.land_cover import class_handles, class_picture
from headscarp.exhibits.panels.legend import legend_at_foot, swatches
from headscarp.exhibits.panels.marks import bare, note_in_corner, show
from headscarp.exhibits.panels.palette import NOT_A_LANDSLIDE
from headscarp.exhibits.panels.scene import nothing_to_show
from headscarp.exhibits.panels.series import draw_image, image_at
from headscarp.exhibits.panels.series_windows import Series, overlap, test_windows
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.panels.windows import Window, slices
from headscarp.exhibits.spec import ExhibitSpec, RunFiles
from headscarp.exhibits.tidy import frame_of, of_seed, record
from headscarp.scoring.pixel import ratio


def class_grid(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """For each class the test window of which it covers most (none overlaps another): image, label, and the
    classes that the first seed of each row tells, a block for each protocol.

    The number in a panel, and behind the figure as `accuracy` of rows such as `rae_d:road`, is the share of
    the evaluated pixels that the map has right; ground that is only known to be no landslide is right where
    none is mapped. Options: `composite` (three channels for red, green, blue; default red, green, blue).

    Raises:
        HeadscarpError: no class is evaluated in a test window, or a channel does not exist.
    """
    places = {protocol: Series.of(spec, protocol) for protocol in spec.protocols}
    chosen = {protocol: windows_of_classes(spec, series, protocol) for protocol, series in places.items()}
    columns = 2 + max(len(spec.first_runs(protocol)) for protocol in spec.protocols)
    shape = max(map(len, chosen.values())), columns, len(chosen)
    page, titles = titled_grid(spec, shape, footer=0.62, caption=0.3)
    figure, lines = page.figure(), []
    for block, (protocol, windows) in enumerate(chosen.items()):
        page.head(figure, block, f"Protocol: {protocol}")
        series, runs = places[protocol], spec.first_runs(protocol)
        for row, (code, window) in enumerate(windows.items()):
            page.write_caption(figure, block, row, LAND_COVER[code].capitalize())
            panels = [page.axes(figure, block, row, column) for column in range(2 + len(runs))]
            view = View.of(series.grid, window=window)
            image = image_at(series.cube, 0, series.channels, window)
            draw_image(panels[0], image, shared_limits([image]), view)
            label = series.cube.label[slices(window)]
            show(panels[1], class_picture(label), view)
            bare(panels[1])
            for axes, run in zip(panels[2:], runs, strict=True):
                mapped = View.of(series.grid, window=window).read(run.maps / "classes.tif", classes=True)
                show(axes, class_picture(mapped), view)
                bare(axes)
                right = share_right(mapped, label, series.scored(window))
                note_in_corner(axes, score_text(right))
                lines.append(accuracy_record(spec, series, run, code, window, right))
            if row == 0:
                for axes, text in zip(
                    panels, ("Image", "Label", *(titles[run.row] for run in runs)), strict=True
                ):
                    axes.set_title(text, fontsize=6.5, pad=3, loc="center")
    shown = dict(enumerate(LAND_COVER))
    partly = any((series.cube.label == NOT_LANDSLIDE).any() for series in places.values())
    handles = [
        *class_handles(shown),
        *(swatches([(NOT_A_LANDSLIDE, "No landslide, class not told")]) if partly else []),
        *swatches([("white", "Not labelled")]),
    ]
    legend_at_foot(figure, handles, 4)
    sign(
        figure,
        spec,
        "Test windows, first seed of each network; in the panels: share of pixels that are right.",
    )
    return figure, frame_of(lines)


def windows_of_classes(spec: ExhibitSpec, series: Series, protocol: str) -> dict[int, Window]:
    """{code: the test window of which evaluated pixels of that class cover most}, of windows that overlap
    none of those of the codes before; without classes that no window holds."""
    windows = test_windows(series)
    counts = {
        window: np.bincount(series.cube.label[slices(window)][series.scored(window)], minlength=UNMAPPED)
        for window in windows
    }
    found: dict[int, Window] = {}
    for code in range(len(LAND_COVER)):
        free = [one for one in windows if not any(overlap(one, taken) for taken in found.values())]
        best = max(free, key=lambda window: counts[window][code], default=None)
        if best is not None and counts[best][code]:
            found[code] = best
    if not found:
        raise nothing_to_show(spec, protocol)
    return found


def share_right(mapped: np.ndarray, label: np.ndarray, scored: np.ndarray) -> float:
    """Share of the scored pixels whose mapped class is the label's; not landslide where the label tells no
    more."""
    right = (mapped == label) | ((label == NOT_LANDSLIDE) & (mapped != LANDSLIDE))
    return float(ratio(np.count_nonzero(right & scored), np.count_nonzero(scored)))


def accuracy_record(
    spec: ExhibitSpec, series: Series, run: RunFiles, code: int, window: Window, right: float
) -> dict:
    rest = of_seed(run, series.site, f", {place_text(series.site.name, window)}")
    return record(spec, f"{run.row}:{LAND_COVER[code].replace(' ', '_')}", "accuracy", right, **rest)
