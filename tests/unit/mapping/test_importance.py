"""Importance by permutation against scikit-learn's, and dissimilarity against plain distances of SciPy."""

import json

import numpy as np
import pandas as pd
import pytest
import rasterio
from scipy.spatial.distance import cdist, pdist
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.inspection import permutation_importance

from headscarp.errors import HeadscarpError
from headscarp.mapping.applicability import (
    channel_weights,
    map_applicability,
    read_importance,
    space_of,
    threshold_of,
    training_dissimilarity,
)
from headscarp.mapping.cell_models import fit_cell_model
from headscarp.mapping.importance import auc_drops, permute_factors
from headscarp.samples.cell_table import layers_of_channels, read_cells
from headscarp.samples.cells import build_cells
from headscarp.samples.spec import CellsSpec
from headscarp.site.cube import open_cube
from tests.cell_site import smooth, write_cube


class Known(ClassifierMixin, BaseEstimator):
    """A classifier that is a formula."""

    classes_ = np.array([False, True])

    def fit(self, values, slides):
        return self

    def predict_proba(self, values):
        probability = 1 / (1 + np.exp(-(2 * values[:, 0] + 0.5 * values[:, 1])))
        return np.stack([1 - probability, probability], axis=1)


def test_losses_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(20_000, 3))
    slides = rng.random(20_000) < Known().predict_proba(values)[:, 1]
    layers = {"much": [0], "little": [1], "nothing": [2]}
    whole, drops = auc_drops(lambda x: Known().predict_proba(x)[:, 1], values, slides, layers, rng)
    expected = permutation_importance(Known(), values, slides, scoring="roc_auc", n_repeats=5, random_state=1)
    np.testing.assert_allclose(list(drops.values()), expected.importances_mean, atol=0.004)
    assert drops["much"] > drops["little"] > 0 and drops["nothing"] == 0 and 0.8 < whole < 0.95


def test_channels_of_one_layer_are_shuffled_together():
    """Two copies of one factor: alone each says what the other does, together they are missed."""
    rng = np.random.default_rng(0)
    factor = rng.normal(size=2000)
    values, slides = np.stack([factor, factor], axis=1), factor > 0
    agree = lambda x: np.where(x[:, 0] == x[:, 1], x[:, 0], 0)  # noqa: E731 - knows when they are torn apart
    whole, drops = auc_drops(agree, values, slides, {"both": [0, 1]}, rng)
    assert whole == 1 and drops["both"] == pytest.approx(0.5, abs=0.05)
    _, alone = auc_drops(agree, values, slides, {"first": [0]}, rng)
    assert alone["first"] == pytest.approx(0.5, abs=0.01)  # all are torn apart, so that all are 0


def test_layers_of_channels():
    known = [
        "slope",
        "slope_9",
        "aspect",
        "aspect_sin",
        "aspect_cos",
        "soil",
        "soil_1",
        "soil_2",
        "cosine_sin",
    ]
    channels = ["slope", "aspect_sin", "aspect_cos", "soil_1", "soil_2", "cosine_sin"]
    found = layers_of_channels(channels, known)
    assert found == {"slope": [0], "aspect": [1, 2], "soil": [3, 4], "cosine_sin": [5]}


def test_dissimilarity_is_distance_over_mean_distance_of_weighted_standardised_factors():
    rng = np.random.default_rng(0)
    training, new = rng.normal([0, 50], [1, 20], (300, 2)), rng.normal([0, 50], [3, 60], (500, 2))
    group, weights = rng.integers(0, 5, 300), np.array([0.3, 0.1])
    space = space_of(training, weights)
    mean, sd = training.mean(0), training.std(0, ddof=1)
    placed, others = ((values - mean) / sd * weights for values in (training, new))
    expected = cdist(others, placed).min(1) / pdist(placed).mean()
    np.testing.assert_allclose(space.dissimilarity(new), expected, atol=1e-6)
    apart = cdist(placed, placed)
    crossed = [
        min(apart[i, j] for j in range(300) if group[j] != group[i]) / pdist(placed).mean()
        for i in range(300)
    ]
    np.testing.assert_allclose(training_dissimilarity(space, group), crossed, atol=1e-6)
    with pytest.raises(HeadscarpError, match="of one fold"):
        training_dissimilarity(space, np.zeros(300))
    with pytest.raises(HeadscarpError, match="do not differ"):
        space_of(np.ones((10, 2)), weights)


def test_the_threshold_is_the_upper_whisker_of_a_boxplot():
    from matplotlib.cbook import boxplot_stats

    for seed in range(20):  # of 4 n + 1 values hinges are quartiles, which matplotlib's whiskers go by
        values = np.random.default_rng(seed).exponential(size=401)
        assert threshold_of(values) == boxplot_stats(values)[0]["whishi"]
    assert threshold_of(np.array([1.0, 2, 3, 4, 100])) == 4


def test_weights_are_shared_by_the_channels_of_a_layer():
    drops = {"aspect": 0.2, "slope": 0.1, "rain": -0.05}
    layers = {"slope": [0], "aspect": [1, 2], "rain": [3]}
    np.testing.assert_allclose(channel_weights(drops, layers), [0.1, 0.1, 0.1, 0])
    np.testing.assert_allclose(channel_weights(dict.fromkeys(drops, -1.0), layers), np.ones(4))


def test_a_damaged_table_of_importance_is_told(tmp_path):
    (tmp_path / "factors.csv").write_text("layer,loss\nslope,1\n")
    with pytest.raises(HeadscarpError, match=r"factors.csv cannot be read as importance.*delete it"):
        read_importance(tmp_path / "factors.csv")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A forest on a map whose landslides are where it is wet; the east is wetter than any training cell."""
    folder = tmp_path_factory.mktemp("run")
    wet, dry = smooth((60, 80), 1), smooth((60, 80), 2)
    slides = wet > np.quantile(wet, 0.8)
    wet[:, 70:] += 50
    unknown = wet.copy()
    unknown[:5] = np.nan
    write_cube(folder / "cube", {"wetness": unknown, "noise": dry, "slides": slides})
    label = np.where(np.arange(80) < 70, slides, 255) * np.ones((60, 1))
    np.save(folder / "cube" / "label.npy", label.astype(np.uint8))
    source = {"kind": "layer", "channel": "label", "above": 0}
    spec = CellsSpec(windows=(1,), folds=3, block=10)
    build_cells(folder / "cube", folder / "cells", spec, source, "blocked", 0, [["wetness", "noise"]])
    record = {
        "network": {"name": "cell_forest", "params": {"n_estimators": 20}},
        "channels": ["wetness", "noise"],
        "seed": 0,
    }
    fit_cell_model(folder / "cube", folder / "cells", folder, folder / "maps", record)
    permute_factors(folder / "cube", folder / "cells", folder, folder / "factors.csv")
    map_applicability(folder / "cube", folder / "cells", folder, folder / "factors.csv", folder)
    return folder


def test_the_factor_that_decides_is_the_most_important(run):
    table = pd.read_csv(run / "factors.csv")
    assert list(table["factor"]) == ["wetness", "noise"] and set(table["folds"]) == {3}
    assert table["auc_drop"][0] == pytest.approx(table["auc"][0] - 0.5, abs=0.05)
    assert abs(table["auc_drop"][1]) < 0.02


def test_ground_unlike_all_training_cells_is_outside(run):
    with rasterio.open(run / "applicability.tif") as source:
        index, inside = source.read()
    record = json.loads((run / "applicability.json").read_text())
    assert np.isnan(index[:5]).all() and np.isnan(inside[:5]).all()
    assert (inside[5:, 70:] == 0).all() and inside[5:, :70].mean() > 0.95
    assert (inside[5:] == (index[5:] <= record["threshold"])).all()
    cells = read_cells(run / "cells")
    trained = (cells.split == 1).any(0)
    values = open_cube(run / "cube").values[-1, :2, cells.row[trained], cells.col[trained]].reshape(-1, 2)
    weights = [record["weights"][name] for name in ("wetness", "noise")]
    scale = np.array(weights) / values.std(0, ddof=1)
    place = open_cube(run / "cube").values[-1, :2, 30, 75]
    expected = cdist([place * scale], values * scale).min() / pdist(values * scale).mean()
    assert index[30, 75] == pytest.approx(expected, rel=1e-4)
