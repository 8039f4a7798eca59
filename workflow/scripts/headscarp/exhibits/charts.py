"""Figures that are charts: factors of the sites, scores, calibration and learning of the runs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from headscarp.arrays import open_array
from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.exhibits import style
from headscarp.exhibits.rasters import units_of, values_of
from headscarp.exhibits.runs import Scored, aggregate, mean_of, scored_runs
from headscarp.exhibits.spec import ExhibitSpec, SiteFiles
from headscarp.exhibits.tidy import UNIT, frame_of, metric_label, read_csv, record, unit_text
from headscarp.files import read_json
from headscarp.scoring.breaks import natural_breaks
from headscarp.vocabulary import require_known

FACTORS = (
    "elevation",
    "slope",
    "aspect",
    "curvature",
    "ndvi",
    "mndwi",
    "distance_to_river",
    "distance_to_fault",
    "lithology",
)
FACTOR_LABELS = {"ndvi": "NDVI", "mndwi": "MNDWI", "twi": "TWI"}
FACTORS_SUFFIX = "+factors"


def factor_label(factor: str) -> str:
    """What people read for a factor."""
    return FACTOR_LABELS.get(factor, factor.replace("_", " ").capitalize())


# --- Fig. 9 of gao2021

FORESTS, TREES, PIXELS_PER_CLASS = 5, 60, 3000


def factor_importance(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Gini importance of the factors at each site: mean and sd over five random forests of 60 trees, each
    site summing to 1.

    Each forest sees its own sample of as many landslide as background pixels. Options: `factors` (channels of
    the cube).
    """
    factors = list(spec.options.get("factors", FACTORS))
    importances = {site.name: gini_importance(*factor_pixels(site, factors)) for site in spec.sites}
    lines = []
    for site in spec.sites:
        for factor, of_forests in zip(factors, importances[site.name].T, strict=True):
            value = {
                "value": float(of_forests.mean()),
                "sd": float(of_forests.std(ddof=1)),
                "n_seeds": FORESTS,
            }
            lines.append(record(spec, f"{site.name}:{factor}", "gini_importance", data=site.data, **value))
    return draw_importance(spec, factors, importances), frame_of(lines)


def factor_pixels(site: SiteFiles, factors: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Values (pixel, factor) and landslide truth (pixel,) of the mapped pixels of a site's first date that
    have any data."""
    folder = site.folder / "cube"
    channels = [channel["name"] for channel in read_json(folder / "cube.json")["channels"]]
    chosen = [
        channels.index(require_known(factor, channels, f"site '{site.name}': channel")) for factor in factors
    ]
    cube, label = open_array(folder / "cube.npy"), open_array(folder / "label.npy")
    mapped = label != UNMAPPED
    values = np.stack([cube[0, channel][mapped] for channel in chosen], axis=1)
    known = np.isfinite(values).any(axis=1)
    return values[known], label[mapped][known] == LANDSLIDE


def gini_importance(values: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Importances (forest, factor), each row summing to 1.

    Raises:
        HeadscarpError: the pixels are all landslide or all background.
    """
    from sklearn.ensemble import RandomForestClassifier

    members = [np.flatnonzero(truth), np.flatnonzero(~truth)]
    size = min(PIXELS_PER_CLASS, *map(len, members))
    if size == 0:
        raise HeadscarpError(
            "the importance of factors needs landslide and background pixels but label.npy holds only "
            "one of them"
        )
    rows = []
    for seed in range(FORESTS):
        rng = np.random.default_rng(seed)
        sample = np.concatenate([rng.choice(member, size, replace=False) for member in members])
        forest = RandomForestClassifier(TREES, min_samples_leaf=3, random_state=seed, n_jobs=1)
        rows.append(forest.fit(values[sample], truth[sample]).feature_importances_)
    return np.array(rows)


def draw_importance(spec: ExhibitSpec, factors: Sequence[str], importances: dict[str, np.ndarray]) -> Figure:
    """Horizontal bars, the most important factor (mean of the sites) on top."""
    order = np.argsort(np.mean([of_site.mean(axis=0) for of_site in importances.values()], axis=0))
    thickness = 0.8 / len(spec.sites)
    figure = style.new_figure(0.9 + 0.19 * len(factors) * max(len(spec.sites), 1.5))
    axes = figure.subplots()
    for index, site in enumerate(spec.sites):
        of_site = importances[site.name]
        mean, sd = of_site.mean(axis=0)[order], of_site.std(axis=0, ddof=1)[order]
        y = np.arange(len(factors)) + 0.4 - thickness * (index + 0.5)
        axes.barh(
            y,
            mean,
            thickness * 0.92,
            xerr=sd,
            color=style.OKABE_ITO[index],
            label=site.title,
            error_kw={"lw": 0.8, "capsize": 1.5, "ecolor": style.INK},
        )
        for where, value, spread in zip(y, mean, sd, strict=True):
            axes.text(
                value + spread + 0.004, where, f"{value:.2f}", va="center", fontsize=6.5, color=style.INK
            )
    axes.set_yticks(np.arange(len(factors)), [factor_label(factors[index]) for index in order])
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("Gini importance (sum of each site = 1)")
    axes.set_ylim(-0.55, len(factors) - 0.45)
    axes.margins(x=0.06)
    axes.grid(axis="x", color="#DDDDDD", lw=0.5)
    axes.set_axisbelow(True)
    axes.legend(loc="lower right")
    style.sign(figure, spec, f"Mean and sd of {FORESTS} forests.")
    return figure


# --- Fig. 10 of gao2021

CLASSES, BREAKS_SEED = 5, 0


def landslide_frequency(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Landslide pixels in five natural-break classes of factors, the classes' share of the area, and the
    ratio of the two.

    Options: `factors` (continuous layers; default slope, NDVI and distance to fault).
    """
    factors = list(spec.options.get("factors", ("slope", "ndvi", "distance_to_fault")))
    figure = style.new_figure(0.75 + 2.15 * len(spec.sites))
    panels = figure.subplots(len(spec.sites), len(factors), squeeze=False, sharey="row")
    lines = []
    for row, site in zip(panels, spec.sites, strict=True):
        label = values_of(site, "label")
        for axes, factor in zip(row, factors, strict=True):
            values = values_of(site, factor)
            usable = (label != UNMAPPED) & np.isfinite(values)
            classes = frequency_by_class(values[usable], label[usable] == LANDSLIDE, factor)
            draw_frequency(axes, classes, f"{factor_label(factor)}{unit_text(UNIT + units_of(site, factor))}")
            lines += frequency_records(spec, site, factor, classes)
        row[0].set_ylabel(f"{site.title}\nShare of pixels", fontsize=7.5)
    figure.legend(handles=[*style.swatches(FREQUENCY_COLOURS)], loc="outside upper right", ncols=2)
    style.sign(figure, spec, "Above the bars: frequency ratio, landslide share over area share.")
    return figure, frame_of(lines)


FREQUENCY_COLOURS = (("#D55E00", "Share of landslide pixels"), ("#BBBBBB", "Share of the study area"))


def frequency_by_class(values: np.ndarray, truth: np.ndarray, factor: str) -> pd.DataFrame:
    """Per natural-break class of flat `values`: low, high, landslide_share, area_share (each summing to 1)
    and frequency_ratio."""
    edges = natural_breaks(values, CLASSES, BREAKS_SEED, factor)
    member = np.digitize(values, edges[1:-1], right=True)
    counts, slides = (np.bincount(of, minlength=CLASSES) for of in (member, member[truth]))
    frame = pd.DataFrame(
        {
            "low": edges[:-1],
            "high": edges[1:],
            "landslide_share": slides / slides.sum(),
            "area_share": counts / counts.sum(),
        }
    )
    frame["frequency_ratio"] = frame["landslide_share"] / frame["area_share"]
    return frame


def frequency_records(
    spec: ExhibitSpec, site: SiteFiles, factor: str, classes: pd.DataFrame
) -> list[dict[str, Any]]:
    lines = []
    for number, one in enumerate(classes.itertuples(), start=1):
        for metric in ("landslide_share", "area_share", "frequency_ratio"):
            note = f"{factor} {one.low:.4g} to {one.high:.4g} {units_of(site, factor)}".strip()
            lines.append(
                record(
                    spec,
                    f"{site.name}:{factor}:{number}",
                    metric,
                    float(getattr(one, metric)),
                    data=site.data,
                    note=note,
                )
            )
    return lines


def draw_frequency(axes: Axes, classes: pd.DataFrame, title: str) -> None:
    x = np.arange(len(classes))
    for shift, metric, (colour, _) in zip(
        (-0.2, 0.2), ("landslide_share", "area_share"), FREQUENCY_COLOURS, strict=True
    ):
        axes.bar(x + shift, classes[metric], 0.38, color=colour)
    tops = classes[["landslide_share", "area_share"]].max(axis=1)
    for where, top, ratio in zip(x, tops, classes["frequency_ratio"], strict=True):
        axes.text(where, top + 0.01, f"{ratio:.2f}", ha="center", va="bottom", fontsize=6.5, color=style.INK)
    digits = 0 if classes["high"].max() >= 20 else 2
    axes.set_xticks(
        x,
        [
            f"{low:.{digits}f}–\n{high:.{digits}f}"
            for low, high in zip(classes["low"], classes["high"], strict=True)
        ],
        fontsize=6.5,
    )
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel(title)
    axes.margins(y=0.12)


# --- scores of all networks at a glance


def score_chart(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Dots with 95 % intervals for each network, on optical bands alone and with factors; one column of
    panels for each metric.

    Options: `metrics` (default average_precision and f1), `baseline` (row set apart at the bottom; default
    random_forest).
    """
    metrics = list(spec.options.get("metrics", ("average_precision", "f1")))
    frame = frame_of(aggregate(spec, metrics))
    shares = {one.run.protocol: one.scores["landslide_share"] for one in scored_runs(spec)}
    baseline = spec.options.get("baseline", "random_forest")
    bases = list(dict.fromkeys(row.removesuffix(FACTORS_SUFFIX) for row in spec.rows))
    bases.sort(key=lambda base: base == baseline)  # stable: the baseline goes last
    figure = style.new_figure((0.75 + 0.27 * len(bases)) * len(spec.protocols) + 0.5)
    panels = figure.subplots(len(spec.protocols), len(metrics), squeeze=False, sharey=True)
    for row, protocol in zip(panels, spec.protocols, strict=True):
        for axes, metric in zip(row, metrics, strict=True):
            part = frame[(frame["protocol"] == protocol) & (frame["metric"] == metric)].set_index("row")
            draw_dots(axes, part, bases)
            axes.set_title(f"{metric_label(metric)}, protocol {protocol}")
            if metric == "average_precision":
                axes.axvline(shares[protocol], color=style.MUTED, lw=0.8, ls=":")
        row[0].set_yticks(range(len(bases)), [base_label(spec, base) for base in bases])
        row[0].set_ylim(len(bases) - 0.4, -0.6)
        if baseline in bases[1:]:
            for axes in row:
                axes.axhline(len(bases) - 1.5, color=style.MUTED, lw=0.6)
    figure.legend(handles=dot_handles("average_precision" in metrics), loc="outside upper center", ncols=3)
    style.sign(figure, spec, "Mean of seeds; bars: 95 % bootstrap over blocks and seeds.")
    return figure, frame


DOTS = (("", "#0072B2", "o", "Optical bands"), (FACTORS_SUFFIX, "#D55E00", "s", "Optical bands + factors"))


def base_label(spec: ExhibitSpec, base: str) -> str:
    """Label of a network whatever its inputs: that of the run without factors, or what its name says."""
    return spec.labels.get(base) or spec.labels[base + FACTORS_SUFFIX].split(" + ")[0]


def draw_dots(axes: Axes, part: pd.DataFrame, bases: Sequence[str]) -> None:
    """Dots of one metric under one protocol; `part` is indexed by row."""
    for shift, (suffix, colour, marker, _) in zip((-0.14, 0.14), DOTS, strict=True):
        for y, base in enumerate(bases):
            if base + suffix in part.index and np.isfinite(part.loc[base + suffix, "value"]):
                line = part.loc[base + suffix]
                axes.plot(
                    [line["ci_low"], line["ci_high"]],
                    [y + shift] * 2,
                    color=colour,
                    lw=1.2,
                    solid_capstyle="butt",
                )
                axes.plot(line["value"], y + shift, marker, color=colour, ms=4.2, mec="white", mew=0.4)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#DDDDDD", lw=0.5)
    axes.set_axisbelow(True)


def dot_handles(chance: bool) -> list[Line2D]:
    handles = [
        Line2D([], [], color=colour, marker=marker, ms=4.2, lw=1.2, label=label)
        for _, colour, marker, label in DOTS
    ]
    return handles + (
        [Line2D([], [], color=style.MUTED, lw=0.8, ls=":", label="Landslide share (a map of chance)")]
        if chance
        else []
    )


# --- calibration

RELIABILITY_BINS = 16


def reliability(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Observed landslide share against mapped probability in 16 bins, seeds pooled, over the distribution of
    probabilities."""
    runs = scored_runs(spec)
    columns = len(spec.protocols)
    figure = style.new_figure(4.3)
    panels = figure.subplots(2, columns, squeeze=False, sharex=True, height_ratios=[3, 1])
    lines = []
    for (upper, lower), protocol in zip(panels.T, spec.protocols, strict=True):
        upper.plot([0, 1], [0, 1], color=style.MUTED, lw=0.8, ls="--")
        for index, row in enumerate(spec.rows):
            group = [one for one in runs if (one.run.row, one.run.protocol) == (row, protocol)]
            if not group:
                continue
            bins = calibration_bins(group)
            look = {"color": style.OKABE_ITO[index % 8], "lw": 1.1}
            filled = bins[bins["pixels"] > 0]
            upper.plot(
                filled["mapped"],
                filled["observed"],
                marker=style.MARKERS[index % 8],
                ms=3.2,
                label=spec.labels[row],
                **look,
            )
            lower.stairs(
                bins["pixels"] / bins["pixels"].sum(), np.linspace(0, 1, RELIABILITY_BINS + 1), **look
            )
            for number, one in enumerate(filled.itertuples(), start=1):
                note = (
                    f"{spec.labels[row]}: mean mapped probability and observed landslide share of the "
                    f"filled bins"
                )
                for metric in ("mapped", "observed"):
                    value = float(getattr(one, metric))
                    rest = {
                        "protocol": protocol,
                        "n_seeds": len(group),
                        "data": spec.only_site().data,
                        "note": note,
                    }
                    lines.append(record(spec, row, f"{metric}_{number:02d}", value, **rest))
        upper.set(xlim=(0, 1), ylim=(0, 1), aspect="auto", ylabel="Observed landslide share")
        upper.set_title(f"Protocol {protocol}")
        upper.legend(loc="upper left")
        lower.set(yscale="log", xlabel="Mapped probability of landslide", ylabel="Share of pixels")
    style.sign(figure, spec, "Dashed: perfect calibration.")
    return figure, frame_of(lines)


def calibration_bins(group: Sequence[Scored]) -> pd.DataFrame:
    """Pixels, mean mapped probability and observed landslide share in equal bins of probability, pooled over
    runs and cells."""
    cells = [one.cells() for one in group]
    positive, negative = (
        np.sum([getattr(of, kind).sum(axis=0) for of in cells], axis=0) for kind in ("positive", "negative")
    )
    centres = (np.arange(positive.size) + 0.5) / positive.size
    binned = [
        part.reshape(RELIABILITY_BINS, -1).sum(axis=1)
        for part in (positive + negative, (positive + negative) * centres, positive)
    ]
    pixels, summed, slides = binned
    with np.errstate(invalid="ignore"):
        return pd.DataFrame({"pixels": pixels, "mapped": summed / pixels, "observed": slides / pixels})


# --- learning


QUANTITIES = {"loss": "Loss", "accuracy": "Accuracy"}


def curves(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Training and validation loss by epoch, and accuracy above it where the runs record it: one column of
    panels for each row, its protocols in colours, its seeds as separate lines, folds averaged.

    The numbers behind it are those of the last epoch, mean and sd over seeds.
    """
    histories = {run.folder: training_of(read_history(run.folder / "history.csv")) for run in spec.runs}
    quantities = recorded(histories.values())
    columns = min(4, len(spec.rows))
    groups = -(-len(spec.rows) // columns)
    figure = style.new_figure(0.9 + 1.75 * groups * len(quantities))
    panels = figure.subplots(groups * len(quantities), columns, squeeze=False, sharey="row")
    for number, row in enumerate(spec.rows):
        first = number // columns * len(quantities)
        for line, quantity in enumerate(quantities):
            axes = panels[first + line, number % columns]
            for run in (run for run in spec.runs if run.row == row):
                draw_history(
                    axes, histories[run.folder], quantity, style.OKABE_ITO[spec.protocols.index(run.protocol)]
                )
            look_of_curves(axes, quantity)
            axes.set_xlabel("Epoch" if line == len(quantities) - 1 else "")
            axes.set_ylabel(QUANTITIES[quantity] if number % columns == 0 else "")
        panels[first, number % columns].set_title(spec.labels[row], fontsize=8)
    for axes in panels[-len(quantities) :, len(spec.rows) - columns * (groups - 1) :].flat:
        axes.set_axis_off()
    kinds = [
        Line2D([], [], color=style.INK, lw=1, label="Training"),
        Line2D([], [], color=style.INK, lw=1, ls="--", label="Validation"),
    ]
    protocols = [
        Line2D([], [], color=style.OKABE_ITO[index], lw=3, label=name)
        for index, name in enumerate(spec.protocols)
    ]
    figure.legend(handles=[*kinds, *protocols], loc="outside upper center", ncols=4)
    style.sign(figure, spec, "Mean of folds." if any("fold" in one for one in histories.values()) else "")
    return figure, frame_of(last_values(spec, histories, quantities))


def read_history(path: Path) -> pd.DataFrame:
    """A run's history.csv.

    Raises:
        HeadscarpError: it is missing or damaged, or holds no epoch.
    """
    history = read_csv(path, ["epoch", "train_loss", "validation_loss"])
    if history.empty:
        raise HeadscarpError(f"{path} holds no epoch; train the run again")
    return history


def training_of(history: pd.DataFrame) -> pd.DataFrame:
    """The epochs of a history in which the whole network was trained, without those of its pre-training."""
    if "phase" not in history:
        return history
    return (
        history[history["phase"] == "training"]
        .drop(columns=["phase", "reconstruction_error"])
        .reset_index(drop=True)
    )


def recorded(histories: Iterable[pd.DataFrame]) -> list[str]:
    """What the histories record of training: accuracy, if all of them do, and loss."""
    return ["accuracy", "loss"] if all("train_accuracy" in history for history in histories) else ["loss"]


def draw_history(axes: Axes, history: pd.DataFrame, quantity: str, colour: str) -> None:
    """Training (solid) and validation (dashed) values of one run by epoch, the mean of the folds that were
    still trained then."""
    by_epoch = history.groupby("epoch").mean()
    axes.plot(by_epoch.index, by_epoch[f"train_{quantity}"], color=colour, lw=1.0)
    axes.plot(by_epoch.index, by_epoch[f"validation_{quantity}"], color=colour, lw=1.0, ls="--")


def look_of_curves(axes: Axes, quantity: str) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.grid(axis="y", color="#DDDDDD", lw=0.5)
    if quantity == "loss":
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())


def last_values(
    spec: ExhibitSpec, histories: Mapping[Path, pd.DataFrame], quantities: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Tidy records of the last epoch of each row under each protocol; of every fold its own last epoch, then
    the mean of the folds."""
    for protocol in spec.protocols:
        for row in spec.rows:
            last = [last_epoch(histories[run.folder]) for run in spec.runs_of(row, protocol)]
            for metric in (
                [f"{subset}_{quantity}" for quantity in quantities for subset in ("train", "validation")]
                if last
                else ()
            ):
                value = mean_of([one[metric] if np.isfinite(one[metric]) else None for one in last])
                yield record(spec, row, metric, protocol=protocol, data=spec.only_site().data, **value)


def last_epoch(history: pd.DataFrame) -> pd.Series:
    """The last line of a history, averaged over folds if it has them."""
    return history.groupby("fold").last().mean() if "fold" in history else history.iloc[-1]
