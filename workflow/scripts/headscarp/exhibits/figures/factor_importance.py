"""Importance of the factors at each site (gao2021, Fig. 9)."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headscarp.arrays import open_array
from headscarp.codes import LANDSLIDE, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.exhibits.labels import factor_label
from headscarp.exhibits.panels import palette
from headscarp.exhibits.panels.charts import ruled
from headscarp.exhibits.panels.figure import new_figure, sign
from headscarp.exhibits.spec import ExhibitSpec, SiteFiles
from headscarp.exhibits.tidy import frame_of, record
from headscarp.files import read_json
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
SAMPLES, TREES, PIXELS_PER_CLASS, CLASSES = 5, 60, 3000, 10


def factor_importance(spec: ExhibitSpec) -> tuple[Figure, pd.DataFrame]:
    """Importance of the factors at each site: mean and sd over five samples, each site summing to 1.

    Each sample holds as many landslide as background pixels. Options: `factors` (channels of the cube) and
    `measures` (of `MEASURES`, a column of the figure each; default the Gini importance).
    """
    factors = list(spec.options.get("factors", FACTORS))
    measures = list(spec.options.get("measures", [GINI]))
    shares: dict[str, dict[str, np.ndarray]] = {measure: {} for measure in measures}
    for site in spec.sites:
        values, truth = factor_pixels(site, factors)
        for measure in measures:
            shares[measure][site.name] = MEASURES[measure].share(values, truth)
    lines = []
    for measure in measures:
        for site in spec.sites:
            for factor, of_samples in zip(factors, shares[measure][site.name].T, strict=True):
                value = {
                    "value": float(of_samples.mean()),
                    "sd": float(of_samples.std(ddof=1)),
                    "n_seeds": SAMPLES,
                }
                lines.append(record(spec, f"{site.name}:{factor}", measure, data=site.data, **value))
    return draw_importance(spec, factors, shares), frame_of(lines)


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


def balanced_samples(truth: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Number and pixels of each of the samples of as many landslide as background pixels.

    Raises:
        HeadscarpError: the pixels are all landslide or all background.
    """
    members = [np.flatnonzero(truth), np.flatnonzero(~truth)]
    size = min(PIXELS_PER_CLASS, *map(len, members))
    if size == 0:
        raise HeadscarpError(
            "the importance of factors needs landslide and background pixels but label.npy holds only "
            "one of them"
        )
    for seed in range(SAMPLES):
        rng = np.random.default_rng(seed)
        yield seed, np.concatenate([rng.choice(member, size, replace=False) for member in members])


def gini_importance(values: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Importances (sample, factor) of the factors in a random forest of 60 trees, each row summing to 1."""
    from sklearn.ensemble import RandomForestClassifier

    rows = []
    for seed, sample in balanced_samples(truth):
        forest = RandomForestClassifier(TREES, min_samples_leaf=3, random_state=seed, n_jobs=1)
        rows.append(forest.fit(values[sample], truth[sample]).feature_importances_)
    return np.array(rows)


def information_share(values: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Information gain (sample, factor) of each factor alone, each row divided by its sum."""
    return shares_of(information(values, truth)[0])


def gain_ratio_share(values: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Information gain ratio (sample, factor) of each factor alone, each row divided by its sum."""
    gain, split = information(values, truth)
    return shares_of(np.divide(gain, split, out=np.zeros_like(gain), where=split > 0))


def shares_of(measured: np.ndarray) -> np.ndarray:
    return measured / measured.sum(axis=1, keepdims=True)


def information(values: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Information gain and split information (sample, factor) in bits: H(truth) - H(truth | class) and
    H(class) (Quinlan 1986, doi:10.1007/BF00116251).

    Classes are ten of equal frequency, fewer where a factor has fewer values.
    """
    found = [
        [information_of(column, truth[sample]) for column in values[sample].T]
        for _, sample in balanced_samples(truth)
    ]
    gain, split = np.moveaxis(np.array(found), -1, 0)
    return gain, split


def information_of(values: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Information gain and split information of one factor; missing values are a class of their own."""
    edges = np.unique(np.nanquantile(values, np.linspace(0, 1, CLASSES + 1)[1:-1], method="lower"))
    member = np.where(np.isnan(values), edges.size + 1, np.digitize(values, edges, right=True))
    table = np.stack([np.bincount(member[truth == side], minlength=edges.size + 2) for side in (0, 1)])
    of_class, of_truth = entropy(table.sum(axis=0)), entropy(table.sum(axis=1))
    return of_truth + of_class - entropy(table.ravel()), of_class


def entropy(counts: np.ndarray) -> float:
    """Shannon entropy in bits of the shares of counts."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


class Measure(NamedTuple):
    """A measure of importance: what people read for it, and its shares (sample, factor)."""

    label: str
    share: Callable[[np.ndarray, np.ndarray], np.ndarray]


GINI = "gini_importance"
MEASURES = {
    GINI: Measure("Gini importance", gini_importance),
    "information_gain": Measure("Information gain", information_share),
    "gain_ratio": Measure("Information gain ratio", gain_ratio_share),
}


def draw_importance(
    spec: ExhibitSpec, factors: Sequence[str], shares: dict[str, dict[str, np.ndarray]]
) -> Figure:
    """Horizontal bars, a panel for each measure; on top the factor that is most important by the first (mean
    of the sites)."""
    first = next(iter(shares.values()))
    order = np.argsort(np.mean([of_site.mean(axis=0) for of_site in first.values()], axis=0))
    figure = new_figure(0.9 + 0.19 * len(factors) * max(len(spec.sites), 1.5))
    panels = figure.subplots(1, len(shares), sharey=True, squeeze=False)[0]
    for axes, (measure, of_sites) in zip(panels, shares.items(), strict=True):
        draw_bars(axes, spec, {name: of_site[:, order] for name, of_site in of_sites.items()})
        axes.set_xlabel(f"{MEASURES[measure].label}, share")
    panels[0].set_yticks(np.arange(len(factors)), [factor_label(factors[index]) for index in order])
    panels[0].set_ylim(-0.55, len(factors) - 0.45)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=len(spec.sites))
    sign(figure, spec, f"Mean and sd of {SAMPLES} samples; each site sums to 1.")
    return figure


def draw_bars(axes: Axes, spec: ExhibitSpec, of_sites: dict[str, np.ndarray]) -> None:
    """A bar for each site and factor (sample, factor), from below."""
    thickness = 0.8 / len(spec.sites)
    for index, site in enumerate(spec.sites):
        mean, sd = of_sites[site.name].mean(axis=0), of_sites[site.name].std(axis=0, ddof=1)
        y = np.arange(mean.size) + 0.4 - thickness * (index + 0.5)
        axes.barh(
            y,
            mean,
            thickness * 0.92,
            xerr=sd,
            color=palette.OKABE_ITO[index],
            label=site.title,
            error_kw={"lw": 0.8, "capsize": 1.5, "ecolor": palette.INK},
        )
        for where, value, spread in zip(y, mean, sd, strict=True):
            axes.text(
                value + spread + 0.004, where, f"{value:.2f}", va="center", fontsize=6.5, color=palette.INK
            )
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.12)
    ruled(axes, "x")
