"""Importance of the factors at each site (gao2021, Fig. 9)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
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
    figure = new_figure(0.9 + 0.19 * len(factors) * max(len(spec.sites), 1.5))
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
            color=palette.OKABE_ITO[index],
            label=site.title,
            error_kw={"lw": 0.8, "capsize": 1.5, "ecolor": palette.INK},
        )
        for where, value, spread in zip(y, mean, sd, strict=True):
            axes.text(
                value + spread + 0.004, where, f"{value:.2f}", va="center", fontsize=6.5, color=palette.INK
            )
    axes.set_yticks(np.arange(len(factors)), [factor_label(factors[index]) for index in order])
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("Gini importance (sum of each site = 1)")
    axes.set_ylim(-0.55, len(factors) - 0.45)
    axes.margins(x=0.06)
    ruled(axes, "x")
    axes.legend(loc="lower right")
    sign(figure, spec, f"Mean and sd of {FORESTS} forests.")
    return figure
