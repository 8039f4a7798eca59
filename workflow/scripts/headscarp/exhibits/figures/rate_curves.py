"""Success and prediction rates of susceptibility maps."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from headscarp.codes import LANDSLIDE, SPARE, TEST, TRAIN, UNUSED
from headscarp.errors import HeadscarpError
from headscarp.exhibits.averages import mean_of
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.charts import below, protocol_panels
from headscarp.exhibits.panels.figure import sign
from headscarp.exhibits.spec import ExhibitSpec, RunFiles
from headscarp.exhibits.tidy import frame_of, record
from headscarp.geo.layer import open_any_raster
from headscarp.samples.cell_table import Cells, read_cells

AREA_SHARES = np.linspace(0, 1, 201)
TOP_SHARES = (0.1, 0.2, 0.3)
RATES = (
    ("success", TRAIN, "--", "Success rate (training cells)"),
    ("prediction", TEST, "-", "Prediction rate (test cells)"),
)


def rate_curves(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Cumulative share of landslide cells against cumulative share of area in falling susceptibility, a panel
    for each protocol.

    Chung and Fabbri (2003): with training cells it says how well a map fits (success rate), with test cells
    how well it predicts (prediction rate). The map of each fold meets the cells of that fold; curves and
    areas under them are means over folds and seeds. The area is that of the subset's own cells (see
    `area_of`). The numbers behind it are those areas under the curves, and the share of test landslides in
    the most susceptible 10, 20 and 30 % of the area.
    """
    site, lines = spec.only_site(), []
    figure, panels = protocol_panels(spec)
    for axes, protocol in zip(panels, spec.protocols, strict=True):
        cells = read_cells(site.samples[protocol])
        axes.plot([0, 1], [0, 1], color=palette.MUTED, lw=0.8, ls=":")
        for index, row in enumerate(spec.rows):
            runs = spec.runs_of(row, protocol)
            rates = [run_rates(run, cells) for run in runs]
            for name, _, line, _ in RATES if runs else ():
                found = mean_of([one[name][1] for one in rates])
                label = f"{spec.labels[row]}: {found['value']:.3f}" if name == "prediction" else None
                curve = np.mean([one[name][0] for one in rates], axis=0)
                axes.plot(
                    AREA_SHARES,
                    curve,
                    color=palette.OKABE_ITO[index % 8],
                    ls=line,
                    lw=1.3 if label else 0.9,
                    label=label,
                )
                rest = {"protocol": protocol, "data": site.data}
                lines.append(record(spec, row, f"{name}_rate_auc", **found, **rest))
                for share in TOP_SHARES if name == "prediction" else ():
                    value = mean_of([float(np.interp(share, AREA_SHARES, one[name][0])) for one in rates])
                    lines.append(
                        record(spec, row, f"landslides_in_top_{100 * share:.0f}_percent", **value, **rest)
                    )
        axes.set(
            xlim=(0, 1),
            ylim=(0, 1.01),
            xlabel="Share of area, most susceptible first",
            aspect="equal",
            anchor="N",
        )
        axes.xaxis.set_major_formatter(PercentFormatter(1))
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        below(axes, "Area under the prediction-rate curve")
    panels[0].set_ylabel("Share of landslide cells")
    area = "all cells but points of other subsets" if of_points(cells) else "cells of the same subset"
    kinds = [Line2D([], [], color=palette.INK, ls=line, lw=1.2, label=text) for _, _, line, text in RATES]
    figure.legend(handles=kinds, loc="outside upper center", ncols=2)
    sign(
        figure,
        spec,
        f"Dotted: a map of chance. Area: {area}. Mean of folds and seeds.",
    )
    return figure, frame_of(lines)


def run_rates(run: RunFiles, cells: Cells) -> dict[str, tuple[np.ndarray, float]]:
    """{success | prediction: (curve at `AREA_SHARES`, area under it)} of one run, means over folds.

    Raises:
        HeadscarpError: map and cells differ in folds or size, a landslide cell has no susceptibility, or no
        fold holds a landslide cell.
    """
    path = run.maps / "susceptibility.tif"
    found: dict[str, list[tuple[np.ndarray, float]]] = {name: [] for name, *_ in RATES}
    with open_any_raster(path) as source:
        if source.count != cells.folds:
            raise HeadscarpError(
                f"{path} has {source.count} bands but the samples have {cells.folds} folds; make the "
                f"run's map again"
            )
        if cells.row.max() >= source.height or cells.col.max() >= source.width:
            raise HeadscarpError(
                f"{path} is smaller than its samples; make the samples and the run's map again on one site"
            )
        for fold in range(cells.folds):
            susceptibility = source.read(fold + 1, masked=True).astype(np.float32).filled(np.nan)
            for name, subset, _, _ in RATES:
                area = area_of(susceptibility, cells, fold, subset)
                chosen = (cells.split[fold] == subset) & (cells.label == LANDSLIDE)
                slides = susceptibility[cells.row[chosen], cells.col[chosen]]
                if np.isnan(slides).any():
                    missing = (
                        f"{np.count_nonzero(np.isnan(slides))} of {slides.size} landslide cells of "
                        f"fold {fold}"
                    )
                    raise HeadscarpError(
                        f"{path} has no susceptibility at {missing}; make the run's map again"
                    )
                if slides.size:
                    found[name].append((rate_curve(area, slides), rate_area(area, slides)))
    for name, subset, _, _ in RATES:
        if not found[name]:
            what = "training" if subset == TRAIN else "test"
            raise HeadscarpError(
                f"the samples hold no landslide among the {what} cells, so {path} has no {name}-rate curve"
            )
    return {
        name: (np.mean([c for c, _ in each], axis=0), float(np.mean([a for _, a in each])))
        for name, each in found.items()
    }


def area_of(susceptibility: np.ndarray, cells: Cells, fold: int, subset: int) -> np.ndarray:
    """Susceptibility, ascending, of the area in which landslides of a subset are looked for in a fold.

    That is the subset's cells: what lies outside the study area, in another subset or in the buffer between
    them is none. Background of the training ground that is not drawn is area too. Sampled points are few of
    the cells of their study area; there it is all cells of the map but the points of other subsets.
    """
    if not of_points(cells):
        chosen = cells.split[fold] == subset
        if subset == TRAIN:
            chosen |= cells.split[fold] == SPARE
        values = susceptibility[cells.row[chosen], cells.col[chosen]]
        return np.sort(values[np.isfinite(values)])
    others = (cells.split[fold] != subset) & (cells.split[fold] != UNUSED)
    counted = np.isfinite(susceptibility)
    counted[cells.row[others], cells.col[others]] = False
    return np.sort(susceptibility[counted])


def of_points(cells: Cells) -> bool:
    """Whether the cells are sampled points, not all cells of a study area."""
    return cells.record["label_source"] == "points"


def rate_curve(area: np.ndarray, slides: np.ndarray) -> np.ndarray:
    """Share of `slides` at least as susceptible as the most susceptible share of `area`, at each of
    `AREA_SHARES`.

    Args:
        area: susceptibility of all cells, ascending. slides: that of landslide cells.
    """
    thresholds = np.unique(slides)[::-1]
    x = (area.size - np.searchsorted(area, thresholds, side="left")) / area.size
    y = (slides.size - np.searchsorted(np.sort(slides), thresholds, side="left")) / slides.size
    # Between two slides' values the area grows and no slide is added, until the tie itself, across which both
    # grow.
    before = (area.size - np.searchsorted(area, thresholds, side="right")) / area.size
    corners_x = np.concatenate([[0], np.column_stack([before, x]).ravel(), [1]])
    corners_y = np.concatenate([[0], np.column_stack([np.concatenate([[0], y[:-1]]), y]).ravel(), [1]])
    return np.interp(AREA_SHARES, corners_x, corners_y)


def rate_area(area: np.ndarray, slides: np.ndarray) -> float:
    """Area under the exact rate curve: the chance that a landslide cell is more susceptible than a cell of
    the area, ties half."""
    lower, through = (np.searchsorted(area, slides, side=side) for side in ("left", "right"))
    return float((lower + through).mean() / (2 * area.size))
