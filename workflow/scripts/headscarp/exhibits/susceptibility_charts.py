"""Figures that are charts of susceptibility models and searches: ROC, success and prediction rates, the
course of a search."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from headscarp.codes import LANDSLIDE
from headscarp.errors import HeadscarpError
from headscarp.exhibits import style
from headscarp.exhibits.runs import Scored, aggregate, mean_of, scored_runs
from headscarp.exhibits.spec import ExhibitSpec, RunFiles, SearchFiles
from headscarp.exhibits.tidy import frame_of, read_csv, record
from headscarp.files import read_json
from headscarp.geo.layer import open_any_raster
from headscarp.samples.cell_table import Cells, read_cells
from headscarp.samples.splits import TEST, TRAIN, UNUSED


def protocol_panels(spec: ExhibitSpec) -> tuple[Figure, Sequence[Axes]]:
    """A figure with a square panel for each protocol, side by side, and room below for a legend with a line
    for each row."""
    side = min(3.6, (style.WIDTH - 0.6) / len(spec.protocols))
    figure = style.new_figure(side + 1.25 + 0.15 * len(spec.rows))
    panels = figure.subplots(1, len(spec.protocols), squeeze=False, sharex=True, sharey=True)[0]
    for axes, protocol in zip(panels, spec.protocols, strict=True):
        axes.set_title(f"Protocol {protocol}")
        axes.grid(color="#DDDDDD", lw=0.5)
        axes.set_axisbelow(True)
    return figure, panels


# --- Fig. 15 of zhang2024

FALSE_POSITIVE_RATES = (0.01, 0.05, 0.1, 0.2, 0.5)


def roc(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """ROC curves of all rows, a panel for each protocol, with AUC and its 95 % interval; seeds pooled in the
    curves, averaged in the AUC.

    The numbers behind it are the AUC and the true-positive rate at five false-positive rates.
    """
    runs = scored_runs(spec)
    lines = aggregate(spec, ["auc"])
    areas = {(line["row"], line["protocol"]): line for line in lines}
    figure, panels = protocol_panels(spec)
    for axes, protocol in zip(panels, spec.protocols, strict=True):
        axes.plot([0, 1], [0, 1], color=style.MUTED, lw=0.8, ls="--")
        for index, row in enumerate(spec.rows):
            group = [one for one in runs if (one.run.row, one.run.protocol) == (row, protocol)]
            if not group:
                continue
            fpr, tpr = roc_points(group)
            label = f"{spec.labels[row]}: {area_text(areas[row, protocol])}"
            axes.plot(
                fpr, tpr, color=style.OKABE_ITO[index % 8], ls=LINES[index // 8 % 2], lw=1.3, label=label
            )
            for rate in FALSE_POSITIVE_RATES:
                rest = {"protocol": protocol, "n_seeds": len(group), "data": spec.only_site().data}
                lines.append(
                    record(spec, row, f"tpr_at_fpr_{rate:.2f}", float(np.interp(rate, fpr, tpr)), **rest)
                )
        axes.set(xlim=(-0.01, 1), ylim=(0, 1.01), xlabel="False-positive rate", aspect="equal", anchor="N")
        below(axes, "AUC [95 % interval]")
    panels[0].set_ylabel("True-positive rate")
    style.sign(figure, spec, "Dashed: a map of chance. Intervals by bootstrap over blocks and seeds.")
    return figure, frame_of(lines)


LINES = ("-", (0, (4, 1.5)))


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


def roc_points(group: Sequence[Scored]) -> tuple[np.ndarray, np.ndarray]:
    """False- and true-positive rates, ascending from (0, 0) to (1, 1), at the bins of probability; blocks and
    seeds pooled.

    Raises:
        HeadscarpError: the evaluated cells are all landslides or all not.
    """
    cells = [one.cells() for one in group]
    positive, negative = (
        np.sum([getattr(of, kind).sum(axis=0) for of in cells], axis=0) for kind in ("positive", "negative")
    )
    if not positive.sum() or not negative.sum():
        raise HeadscarpError(
            f"{group[0].run.maps / 'counts.npz'} holds landslides only or none, so there is no ROC curve; "
            "make the samples again with both in the test region"
        )
    tpr, fpr = (
        np.concatenate([[0], np.cumsum(counts[::-1])]) / counts.sum() for counts in (positive, negative)
    )
    return fpr, tpr


def area_text(line: dict[str, Any]) -> str:
    """'0.871 [0.832, 0.903]' of the record of an AUC."""
    text = f"{line['value']:.3f}"
    return text if line["ci_low"] is None else f"{text} [{line['ci_low']:.3f}, {line['ci_high']:.3f}]"


# --- success and prediction rates

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
    areas under them are means over folds and seeds. The area is all cells of the map but those of the other
    subset, whose labels the map knows (or of which it knows none). The numbers behind it are those areas, and
    the share of test landslides in the most susceptible 10, 20 and 30 % of the area.
    """
    site, lines = spec.only_site(), []
    figure, panels = protocol_panels(spec)
    for axes, protocol in zip(panels, spec.protocols, strict=True):
        cells = read_cells(site.samples[protocol])
        axes.plot([0, 1], [0, 1], color=style.MUTED, lw=0.8, ls=":")
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
                    color=style.OKABE_ITO[index % 8],
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
    kinds = [Line2D([], [], color=style.INK, ls=line, lw=1.2, label=text) for _, _, line, text in RATES]
    figure.legend(handles=kinds, loc="outside upper center", ncols=2)
    style.sign(
        figure,
        spec,
        "Dotted: a map of chance. Area: all cells but those of other subsets. Mean of folds and seeds.",
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
    """Susceptibility, ascending, of all cells that have one but those sampled for another subset than
    `subset` in a fold."""
    others = (cells.split[fold] != subset) & (cells.split[fold] != UNUSED)
    counted = np.isfinite(susceptibility)
    counted[cells.row[others], cells.col[others]] = False
    return np.sort(susceptibility[counted])


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


# --- the course of a search

OBJECTIVES = {"accuracy": "Pixel accuracy on the test chips", "f1": "Landslide F1 on the validation windows"}
PAPERS_BEST = "iteration_16"


def search_chart(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Best value so far against trial, of every sampler, with every trial as a dot; a panel for each
    protocol, whose objectives differ.

    The paper's best accuracy (published row `iteration_16`, metric `accuracy`) is a line in panels whose
    objective is accuracy.

    Raises:
        HeadscarpError: the exhibit has no searches, or a search has no finished trial.
    """
    if not spec.searches:
        raise HeadscarpError(
            f"exhibit '{spec.name}' of card '{spec.card}' (search_chart) has no searches; name them as "
            f"`searches`"
        )
    protocols = list(dict.fromkeys(one.protocol for one in spec.searches))
    figure = style.new_figure(3.6)
    panels = figure.subplots(1, len(protocols), squeeze=False, sharex=True)[0]
    lines = []
    for axes, protocol in zip(panels, protocols, strict=True):
        of_protocol = [one for one in spec.searches if one.protocol == protocol]
        for index, search in enumerate(of_protocol):
            trials = read_trials(search)
            draw_trials(axes, trials, index, SAMPLERS.get(search.sampler, search.sampler))
            lines += trial_records(spec, search, trials)
        objective = read_json(of_protocol[0].folder / "best.json")["objective"]
        printed = spec.published_value(PAPERS_BEST, "accuracy") if objective == "accuracy" else None
        if printed is not None:
            axes.axhline(printed, color=style.MUTED, lw=0.9, ls="--")
            axes.annotate(
                f"paper {printed:g}",
                (1, printed),
                (-2, -2),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                ha="right",
                va="top",
                fontsize=7,
                color=style.MUTED,
            )
        axes.set(xlabel="Trial", ylabel=OBJECTIVES.get(objective, objective))
        axes.set_title(f"Protocol {protocol}")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.grid(axis="y", color="#DDDDDD", lw=0.5)
        axes.margins(y=0.1)
    handles, _ = panels[0].get_legend_handles_labels()
    dot = Line2D([], [], ls="", marker="o", ms=3, color=style.INK, alpha=0.6, label="One trial")
    figure.legend(handles=[*handles, dot], loc="outside upper center", ncols=len(handles) + 1)
    style.sign(figure, spec, "Lines: best value so far.")
    return figure, frame_of(lines)


SAMPLERS = {"gp": "Gaussian process", "random": "Random"}


def read_trials(search: SearchFiles) -> pd.DataFrame:
    """Columns trial (from 1) and value (NaN where it failed) of a search's trials.csv, and best, recomputed
    from them.

    Raises:
        HeadscarpError: the file is missing or damaged, or no trial has a value.
    """
    path = search.folder / "trials.csv"
    if not path.exists():
        raise HeadscarpError(f"{path} does not exist; run the search")
    trials = read_csv(path, ["trial", "value"])
    if not trials["value"].notna().any():
        raise HeadscarpError(f"{path} holds no finished trial; run the search again")
    trials = trials.sort_values("trial")
    return pd.DataFrame(
        {
            "trial": np.arange(1, len(trials) + 1),
            "value": trials["value"],
            "best": trials["value"].cummax().ffill(),
        }
    )


def draw_trials(axes: Axes, trials: pd.DataFrame, index: int, label: str) -> None:
    colour, marker = style.OKABE_ITO[index % 8], style.MARKERS[index % 8]
    axes.plot(
        trials["trial"], trials["value"], ls="", marker=marker, ms=3.2, color=colour, alpha=0.6, mec="none"
    )
    axes.step(
        trials["trial"], trials["best"], where="post", color=colour, lw=1.5, label=f"{label}, best so far"
    )


def trial_records(spec: ExhibitSpec, search: SearchFiles, trials: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Tidy records of every trial: its value and the best so far; row = search:sampler."""
    rest = {"protocol": search.protocol, "data": spec.only_site().data}
    for one in trials.itertuples():
        note = "" if np.isfinite(one.value) else "this trial gave no value"
        value = float(one.value) if np.isfinite(one.value) else None
        yield record(
            spec, f"{search.name}:{search.sampler}", f"value_{one.trial:02d}", value, note=note, **rest
        )
        yield record(
            spec, f"{search.name}:{search.sampler}", f"best_{one.trial:02d}", float(one.best), **rest
        )
