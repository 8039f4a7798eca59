"""What networks give: maps of probability."""

import pandas as pd
from matplotlib.figure import Figure

from headscarp.codes import TEST, TRAIN
from headscarp.exhibits.labels import score_text
from headscarp.exhibits.layers import site_grid
from headscarp.exhibits.panels.figure import WIDTH, panel_letter, sign
from headscarp.exhibits.panels.ground import TRUE_COLOUR, composite, has_image, left_out
from headscarp.exhibits.panels.marks import orient, outline, show
from headscarp.exhibits.panels.page import Page, place
from headscarp.exhibits.panels.scene import draw_inventory, regions_shown, site_shown
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.exhibits.tidy import frame_of, of_seed, record
from headscarp.files import read_json


def probability_maps(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Image (left out, which the figure says, where the site lacks its layers), inventory and the landslide
    probability mapped by the first seed of each run, protocol after protocol.

    Options: `composite` (three layers shown as red, green and blue; default red, green, blue); `elsewhere`
    (true: the maps of the target site).
    """
    site = site_shown(spec)
    view = View.of(site_grid(site), longest_side=500)
    channels = spec.options.get("composite", TRUE_COLOUR)
    runs = spec.first_runs(*spec.protocols)
    pictured = has_image(site, channels)
    count = pictured + 1 + len(runs)
    page = Page.fit(count, view.aspect, 1, 0, footer=0.85)
    figure = page.figure()
    panels = [page.axes_of(figure, 0, index) for index in range(count)]
    if pictured:
        show(panels[0], composite(view, site, channels), view)
        panels[0].set_title(f"(a) Image: {', '.join(channels)}")
    draw_inventory(panels[pictured], site, view)
    panels[pictured].set_title(f"{panel_letter(pictured)} Landslide inventory")
    lines = []
    for index, run in enumerate(runs, start=pictured + 1):
        axes = panels[index]
        drawn = show(axes, view.read(run.maps / "probability.tif"), view, cmap="cividis", vmin=0, vmax=1)
        precision = read_json(run.maps / "scores.json")["metrics"]["average_precision"]
        lines.append(record(spec, run.row, "average_precision", precision, **of_seed(run, site)))
        below = f"{run.protocol}, AP {score_text(precision)}"
        axes.set_title(f"{panel_letter(index)} {run.label}\n{below}", fontsize=7.5, pad=3)
        regions = regions_shown(spec, run.protocol, view)
        if (regions == TRAIN).any():
            outline(axes, regions == TEST, view, "white", 0.8)
    orient(panels[0], view.width_km)
    bar = place(figure, (0.3 * WIDTH, figure.get_figheight() - 0.72, 0.4 * WIDTH, 0.1))
    figure.colorbar(drawn, cax=bar, orientation="horizontal", label="Probability of landslide")
    where = (
        f"on all of {site.title}, which no run was trained on"
        if spec.options.get("elsewhere")
        else "in the test blocks, outlined in white"
    )
    remark = "" if pictured else f" {left_out(site, 'Image', *channels)}"
    sign(figure, spec, f"First seed. AP: average precision {where}.{remark}")
    return figure, frame_of(lines)
