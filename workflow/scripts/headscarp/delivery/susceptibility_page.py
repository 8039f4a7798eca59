"""The page of a site's susceptibility: maps, scores, landslides in each class, factors and where the map may
be believed; one self-contained HTML file."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from headscarp.delivery.ground import label_path
from headscarp.delivery.mapped_runs import PROTOCOLS, VALIDATIONS
from headscarp.delivery.site_figures import PIXELS, png_text, relief_of
from headscarp.delivery.summary_page import Link, link, number
from headscarp.delivery.susceptibility_styles import OUTSIDE
from headscarp.exhibits.labels import factor_label, metric_label, score_text
from headscarp.exhibits.layers import site_grid
from headscarp.exhibits.levels import LEVELS
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.charts import ruled
from headscarp.exhibits.panels.figure import WIDTH, look, new_figure, panel_letter
from headscarp.exhibits.panels.ground import paint
from headscarp.exhibits.panels.legend import swatches
from headscarp.exhibits.panels.location import locator
from headscarp.exhibits.panels.marks import bare, north_arrow, scale_bar, show
from headscarp.exhibits.panels.page import Page, place
from headscarp.exhibits.panels.palette import SUSCEPTIBILITY
from headscarp.exhibits.panels.scene import draw_inventory
from headscarp.exhibits.panels.view import View
from headscarp.exhibits.spec import TWIN, RunFiles, SiteFiles
from headscarp.exhibits.tidy import SIMULATED
from headscarp.files import atomic_path, read_json
from headscarp.templating import fill

DELIVERED = "delivered"
CLASS_COLUMNS = {  # of classes.csv: head of the table, decimals
    "name": ("Class", None),
    "from": ("From", 3),
    "to": ("To", 3),
    "area_km2": ("Area (km²)", 2),
    "area_percent": ("Area (%)", 1),
    "landslide_cells": ("Landslide cells", 0),
    "landslide_percent": ("Landslides (%)", 1),
    "frequency_ratio": ("Frequency ratio", 2),
    "landslide_cells_per_km2": ("Landslide cells per km²", 1),
}
FILES = {
    "susceptibility.tif": "susceptibility, mean of the folds, and their standard deviation",
    "classes.tif": "five classes, natural breaks",
    "classes.csv": "area and landslides of each class",
    "cells.gpkg": "tested cells with label, fold and susceptibility",
    "factors.csv": "importance of each factor",
    "applicability.tif": "dissimilarity index and area of applicability",
}


def build_susceptibility_page(record: Mapping[str, Any], target: str | Path) -> None:
    """Write the page. Map, classes, factors and applicability are those of the first run under `blocked`, or
    of the first.

    Args:
        record: as for `exhibits.spec.SiteFiles`, and `card`, `citation` and `runs`, each of what `RunFiles`
            takes; `delivered/` in a run's maps holds what rule deliver_susceptibility wrote.
        target: the page; addresses in it are relative to its folder.

    Raises:
        HeadscarpError: a file is missing or unreadable.
    """
    site, folder = SiteFiles.from_record(dict(record)), Path(target).parent
    runs = [RunFiles.from_record(run) for run in record["runs"]]
    shown = min(runs, key=lambda run: run.protocol != "blocked")
    delivered = shown.maps / DELIVERED
    factors = pd.read_csv(delivered / "factors.csv")
    grid = site_grid(site)
    with look():
        maps, bars = png_text(draw_maps(site, shown)), png_text(draw_factors(factors))
    text = fill(
        "delivery/templates/susceptibility.html",
        title=site.title,
        simulated=site.data == TWIN,
        label=SIMULATED,
        place=locator(grid, site.placeless),
        crs=grid.crs,
        shown=shown,
        validation=validation(shown.protocol),
        summary=read_json(delivered / "summary.json"),
        maps=maps,
        factors=bars,
        auc=score_text(float(factors["auc"].iloc[0])),
        classes=class_lines(delivered / "classes.csv"),
        applicability=read_json(delivered / "applicability.json"),
        protocols=list(score_tables(runs)),
        files=[(run.label, validation(run.protocol), list(links(run, folder))) for run in runs],
        citation=record["citation"],
    )
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def draw_maps(site: SiteFiles, run: RunFiles) -> Figure:
    """The five classes, the spread of the folds, the area of applicability over relief, and the site's
    inventory if it has one."""
    view = View.of(site_grid(site), longest_side=PIXELS)
    delivered = run.maps / DELIVERED
    relief = relief_of(site, view)
    classes = view.read(delivered / "classes.tif", classes=True)
    coloured = relief.copy()
    for code, colour in enumerate(SUSCEPTIBILITY, start=1):
        paint(coloured, classes == code, colour, 0.75)
    dissimilarity = view.read(delivered / "applicability.tif")
    outside = relief.copy()
    paint(outside, dissimilarity > read_json(delivered / "applicability.json")["threshold"], OUTSIDE, 0.8)
    titles = ["Susceptibility", "Standard deviation of the folds", "Area of applicability"]
    titles += ["Inventory of the site"] if label_path(site) else []
    layout = Page.fit(len(titles), view.aspect, 1, 0, footer=0.75)
    figure = layout.figure()
    panels = [layout.axes_of(figure, 0, index) for index in range(len(titles))]
    show(panels[0], coloured, view)
    spread = np.ma.masked_invalid(view.read(delivered / "susceptibility.tif", band=2))
    drawn = show(panels[1], spread, view, cmap="cividis", vmin=0, vmax=max(float(spread.max()), 1e-6))
    show(panels[2], outside, view)
    if len(panels) > 3:
        draw_inventory(panels[3], site, view)
    for index, (axes, title) in enumerate(zip(panels, titles, strict=True)):
        axes.set_title(f"{panel_letter(index)} {title}")
        bare(axes)
    scale_bar(panels[0], view.width_km)
    north_arrow(panels[0])
    bar = place(figure, (0.08 * WIDTH, figure.get_figheight() - 0.6, 0.3 * WIDTH, 0.1))
    figure.colorbar(drawn, cax=bar, orientation="horizontal", label="Standard deviation")
    handles = swatches([*zip(SUSCEPTIBILITY, LEVELS, strict=True), (OUTSIDE, "Outside (c)")])
    figure.legend(
        handles=handles, ncols=3, loc="lower right", bbox_to_anchor=(0.97, 0.12 / figure.get_figheight())
    )
    return figure


def draw_factors(factors: pd.DataFrame) -> Figure:
    """What each factor is worth: the AUC lost when it is shuffled, mean and standard deviation over folds."""
    ordered = factors.iloc[::-1]
    figure = new_figure(0.6 + 0.22 * len(ordered))
    axes = figure.add_subplot()
    axes.barh(
        [factor_label(name) for name in ordered["factor"]],
        ordered["auc_drop"],
        xerr=ordered["sd"].fillna(0),
        color=palette.OKABE_ITO[0],
        error_kw={"lw": 0.8},
    )
    axes.axvline(0, color=palette.INK, lw=0.6)
    axes.set_xlabel("AUC lost when the factor is shuffled among test cells")
    ruled(axes, "x")
    return figure


def class_lines(path: Path) -> dict[str, Any]:
    """Heads and lines of the table of classes; no lines of a map of too few values."""
    table = pd.read_csv(path)
    columns = {name: CLASS_COLUMNS[name] for name in CLASS_COLUMNS if name in table}
    lines = [
        [
            line[name] if digits is None else number(float(line[name]), digits)
            for name, (_, digits) in columns.items()
        ]
        for _, line in table.iterrows()
    ]
    return {"heads": [head for head, _ in columns.values()], "lines": lines}


def score_tables(runs: Sequence[RunFiles]) -> Iterator[dict[str, Any]]:
    """Scores of all runs, a table for each protocol."""
    for protocol in dict.fromkeys(run.protocol for run in runs):
        summaries = [
            read_json(run.maps / DELIVERED / "summary.json") for run in runs if run.protocol == protocol
        ]
        metrics = list(summaries[0]["metrics"])
        yield {
            "name": validation(protocol),
            "about": PROTOCOLS.get(protocol, ""),
            "heads": [
                "Model",
                *map(metric_label, metrics),
                "Under the success-rate curve",
                "Under the prediction-rate curve",
            ],
            "lines": [
                [
                    one["label"],
                    *(score_text(one["metrics"][name]) for name in metrics),
                    score_text(one["success_rate_auc"]),
                    score_text(one["prediction_rate_auc"]),
                ]
                for one in summaries
            ],
        }


def validation(protocol: str) -> str:
    """A protocol of cells as the field calls it, with its own name where that is another."""
    name = VALIDATIONS.get(protocol, protocol)
    return f"{name} validation" + ("" if name == protocol else f" ({protocol})")


def links(run: RunFiles, folder: Path) -> Iterator[tuple[Link, str]]:
    """The delivered files of a run, each with what it is."""
    for name, about in FILES.items():
        yield link(run.maps / DELIVERED / name, folder, name), about
