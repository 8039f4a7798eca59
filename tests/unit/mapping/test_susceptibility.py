"""Models of susceptibility: what they learn, that training resumes with the same bits, and that no stacked
value saw its own block."""

import csv
import json
import shutil

import numpy as np
import pytest
import rasterio
import torch
from safetensors.torch import load_file
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_class_weight

from headscarp.codes import TEST, TRAIN, VALIDATION
from headscarp.errors import HeadscarpError
from headscarp.mapping.cell_models import StackedGBDT, fit_cell_model, out_of_fold, training_cells
from headscarp.mapping.susceptibility import map_susceptibility
from headscarp.networks.neighbourhoods import neighbourhoods
from headscarp.samples.cell_table import read_cells, scaled_factors
from headscarp.samples.cells import build_cells
from headscarp.samples.spec import CellsSpec
from headscarp.scoring.susceptibility import score_cells
from headscarp.site.cube import open_cube
from headscarp.training import cells as learning
from headscarp.training.cells import balanced_weights, fold_batches, recipe_of_cells, train_cells
from headscarp.training.recipe import Recipe
from tests.cell_site import neighbourhood_site, smooth, write_cube

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
CHANNELS = ["wetness", "slope"]
RECIPE = {
    "loss": "bce",
    "batch": 32,
    "epochs": 3,
    "steps_per_epoch": 10,
    "learning_rate": 0.01,
    "class_weights": "balanced",
}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return make_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A map whose landslides follow the cell's own slope, and its interplay with rain."""
    folder = tmp_path_factory.mktemp("plain")
    slope, rain = smooth((80, 80), 1, 1.5), smooth((80, 80), 2, 4)
    score = slope * np.sign(rain) + np.random.default_rng(3).normal(0, 0.3, (80, 80))
    rain[:, :2] = np.nan
    cube = write_cube(
        folder / "cube", {"wetness": rain, "slope": slope, "slides": score > np.quantile(score, 0.8)}
    )
    source = {"kind": "layer", "channel": "slides", "above": 0.5}
    build_cells(
        cube, folder / "cells", CellsSpec(windows=(5,), folds=3, block=12), source, "blocked", 0, [CHANNELS]
    )
    return cube, folder / "cells"


def make_site(folder, folds=1, shape=(90, 90)):
    """Folders of cube and cells of a map whose landslides follow a mean of the neighbourhood."""
    cube = neighbourhood_site(folder / "cube", shape)
    source = {"kind": "layer", "channel": "slides", "above": 0.5}
    build_cells(
        cube,
        folder / "cells",
        CellsSpec(windows=(6, 8), folds=folds, block=20),
        source,
        "blocked",
        0,
        [CHANNELS],
    )
    return cube, folder / "cells"


def call_a_class(cube, channel):
    """Say in the cube's header that a channel holds codes."""
    header = json.loads((cube / "cube.json").read_text())
    for record in header["channels"]:
        record["has_mean"] = record["name"] != channel
    (cube / "cube.json").write_text(json.dumps(header))


def spec_of(name="cnn3d", params=None, recipe=None, **changes):
    params = {"windows": [6]} if params is None and name == "cnn3d" else params or {}
    network = {"name": name, "width": 0.125, "params": params}
    return {
        "network": network,
        "channels": CHANNELS,
        "classes": 1,
        "recipe": RECIPE | (recipe or {}),
        "seed": 0,
    } | changes


def read_map(run):
    with rasterio.open(run / "susceptibility.tif") as source:
        return source.read(), source.descriptions, source.transform


def auc(band, cells, fold=0):
    test = cells.split[fold] == TEST
    return roc_auc_score(cells.label[test], band[cells.row[test], cells.col[test]])


class TestBatches:
    def test_codes_reach_the_network_unmixed(self, tmp_path):
        site = make_site(tmp_path)
        call_a_class(site[0], "slope")
        spec = spec_of(params={"windows": [6, 8]})
        batches = learning.fold_batches(
            open_cube(site[0]), read_cells(site[1]), 0, spec, Recipe.from_record(spec["recipe"]), CPU
        )
        windows, _, _ = next(batches.training(1))
        for channel, picked in enumerate((False, True)):
            known = torch.isin(windows[:, 1, channel], batches.factors[channel])
            assert bool(known.all()) is picked

    def test_windows_labels_and_weights(self, site):
        cube, cells = open_cube(site[0]), read_cells(site[1])
        spec = spec_of(params={"windows": [6, 8]})
        batches = fold_batches(cube, cells, 0, spec, Recipe.from_record(spec["recipe"]), CPU)
        images, targets, weights = next(batches.training(0))
        assert images.shape == (32, 2, 2, 6, 6) and targets.shape == weights.shape == (32,)
        label = cells.label[cells.split[0] == TRAIN]
        wanted = compute_class_weight("balanced", classes=np.array([0, 1]), y=label)
        assert torch.allclose(
            balanced_weights(torch.from_numpy(label.astype(int))), torch.tensor(wanted, dtype=torch.float32)
        )
        assert torch.equal(weights, torch.tensor(wanted, dtype=torch.float32)[targets])
        factors = scaled_factors(cube, cells, 0, CHANNELS)
        windows = {
            factors[:, r - 3 : r + 3, c - 3 : c + 3].tobytes(): int(label)
            for r, c, label in zip(cells.row, cells.col, cells.label, strict=True)
        }
        assert [windows[image.numpy().tobytes()] for image in images[:, 0].contiguous()] == targets.tolist()

    def test_an_epoch_sees_every_training_cell_and_validation_every_validation_cell(self, site):
        cube, cells = open_cube(site[0]), read_cells(site[1])
        spec = spec_of(recipe={"steps_per_epoch": None})
        batches = fold_batches(cube, cells, 0, spec, Recipe.from_record(spec["recipe"]), CPU)
        assert batches.steps == -(-np.count_nonzero(cells.split[0] == TRAIN) // 32)
        for split, code, found in (
            ("train", TRAIN, batches.training(1)),
            ("validation", VALIDATION, batches.validation()),
        ):
            images = torch.cat([image for image, *_ in found])[: batches.count(split)]
            row, col = (values[cells.split[0] == code] for values in (cells.row, cells.col))
            factors = scaled_factors(cube, cells, 0, CHANNELS)
            assert sorted(images[:, 0, 0, 3, 3].tolist()) == sorted(factors[0, row, col].tolist())

    def test_unweighted(self, site):
        spec = spec_of(recipe={"class_weights": None})
        batches = fold_batches(
            open_cube(site[0]), read_cells(site[1]), 0, spec, Recipe.from_record(spec["recipe"]), CPU
        )
        assert set(next(batches.validation())[2].tolist()) == {1.0}


class TestTraining:
    def test_learns_a_neighbourhood_that_single_cells_cannot_tell(self, site, tmp_path):
        train_cells(
            *site,
            tmp_path / "cnn",
            spec_of(recipe={"epochs": 6, "steps_per_epoch": 40}),
            "cpu",
            1,
            progress=False,
        )
        map_susceptibility(tmp_path / "cnn", *site, tmp_path / "cnn", "cpu")
        fit_cell_model(*site, tmp_path / "lr", tmp_path / "lr", spec_of("logistic_regression"))
        cells = read_cells(site[1])
        by_window, by_cell = (auc(read_map(tmp_path / run)[0][0], cells) for run in ("cnn", "lr"))
        assert by_window > 0.8 and by_cell < 0.75

    def test_what_is_written(self, site, tmp_path):
        train_cells(*site, tmp_path, spec_of(), "cpu", 1, progress=False)
        assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors", "history.csv", "run.json"}
        with open(tmp_path / "history.csv") as stream:
            history = list(csv.DictReader(stream))
        assert list(history[0])[:6] == [
            "fold",
            "epoch",
            "train_loss",
            "train_accuracy",
            "validation_loss",
            "validation_accuracy",
        ]
        assert [line["epoch"] for line in history] == ["1", "2", "3"]
        assert all(0 < float(line["validation_accuracy"]) <= 1 for line in history)
        record = json.loads((tmp_path / "run.json").read_text())
        assert record["precision"] == "float32" and record["spec"]["recipe"]["loss"] == "cross_entropy"
        assert (
            record["folds"][0]["weights"] == "best"
            and record["protocol"] == "blocked"
            and record["epochs"] == 3
        )
        assert all(name.startswith("fold0.") for name in load_file(tmp_path / "model.safetensors"))

    def test_accuracy_counts_every_cell_once_whatever_its_weight(self, site, tmp_path):
        """Of the last epoch, against the trained network on all validation cells."""
        spec = spec_of(recipe={"steps_per_epoch": 60, "epochs": 1})
        train_cells(*site, tmp_path, spec, "cpu", 1, progress=False)
        cube, cells = open_cube(site[0]), read_cells(site[1])
        model = learning.load_fold_networks(tmp_path, 1)[0][0].eval()
        chosen = cells.split[0] == VALIDATION
        row, col, label = (
            torch.from_numpy(v[chosen].astype(np.int64)) for v in (cells.row, cells.col, cells.label)
        )
        with torch.no_grad():
            logits = model(
                neighbourhoods(torch.from_numpy(scaled_factors(cube, cells, 0, CHANNELS)), row, col, (6,))
            )
        with open(tmp_path / "history.csv") as stream:
            told = list(csv.DictReader(stream))[-1]
        assert float(told["validation_accuracy"]) == pytest.approx(
            (logits.argmax(1) == label).float().mean().item(), abs=1e-6
        )
        weight = torch.tensor(
            compute_class_weight("balanced", classes=np.array([0, 1]), y=cells.label[cells.split[0] == TRAIN])
        )
        loss = torch.nn.functional.cross_entropy(logits.double(), label, weight=weight)
        assert float(told["validation_loss"]) == pytest.approx(loss.item(), rel=1e-5)

    def test_resume_ends_with_the_same_bits(self, tmp_path, monkeypatch):
        site = make_site(tmp_path, folds=3, shape=(110, 110))
        train_cells(*site, tmp_path / "whole", spec_of(), "cpu", 1, progress=False)

        saved, epochs = learning.train.__globals__["save_checkpoint"], []

        def killed_in_the_second_epoch_of_the_second_fold(*args):
            saved(*args)
            epochs.append(1)
            if len(epochs) == 5:
                raise KeyboardInterrupt

        monkeypatch.setitem(
            learning.train.__globals__, "save_checkpoint", killed_in_the_second_epoch_of_the_second_fold
        )
        with pytest.raises(KeyboardInterrupt):
            train_cells(*site, tmp_path / "killed", spec_of(), "cpu", 1, progress=False)
        train_cells(*site, tmp_path / "killed", spec_of(), "cpu", 1, progress=False)
        assert len(epochs) == 9  # nothing was trained twice
        whole, killed = (load_file(tmp_path / run / "model.safetensors") for run in ("whole", "killed"))
        assert set(whole) == set(killed) and {name.split(".")[0] for name in whole} == {
            "fold0",
            "fold1",
            "fold2",
        }
        assert all(torch.equal(whole[name], killed[name]) for name in whole)
        assert not torch.equal(whole["fold0.head.0.weight"], whole["fold1.head.0.weight"])

    def test_folds_of_another_run_are_not_taken_up(self, site, tmp_path):
        digest = learning.fingerprint_of_cells(spec_of(), *site)
        assert digest != learning.fingerprint_of_cells(spec_of(seed=1), *site)
        other = tmp_path / "cells"
        shutil.copytree(site[1], other)
        record = json.loads((other / "cells.json").read_text())
        (other / "cells.json").write_text(json.dumps(record | {"seed": 5}))
        assert digest != learning.fingerprint_of_cells(spec_of(), site[0], other)

    @pytest.mark.parametrize(
        ("spec", "told"),
        [
            (
                spec_of(params={"windows": [12]}),
                r"windows of 12 cells, but the cells in .* were chosen for 8",
            ),
            (
                spec_of(recipe={"augment": True}),
                "recipe.augment is True, but cells are trained without it; set `augment: false`",
            ),
            (spec_of(recipe={"positive_weight": 2.0}), "`positive_weight: null`"),
            (spec_of(recipe={"class_weights": "balance"}), "did you mean 'balanced'"),
            (spec_of(recipe={"loss": "mse_bce"}), "use bce, cross_entropy or focal"),
            (spec_of(channels=["wetness", "slop"]), "did you mean 'slope'"),
        ],
    )
    def test_bad_input_is_told(self, site, tmp_path, spec, told):
        with pytest.raises(HeadscarpError, match=told):
            train_cells(*site, tmp_path, spec, "cpu", 1, progress=False)

    def test_the_loss_is_that_of_both_outputs(self):
        assert recipe_of_cells(Recipe()).loss == "cross_entropy"
        assert recipe_of_cells(Recipe(loss="focal")).loss == "focal"


class TestMap:
    def test_bands_are_folds_and_equal_the_networks_answers(self, tmp_path):
        site = make_site(tmp_path, folds=3, shape=(110, 110))
        call_a_class(site[0], "slope")
        train_cells(*site, tmp_path, spec_of(params={"windows": [6, 8]}), "cpu", 1, progress=False)
        map_susceptibility(tmp_path, *site, tmp_path, "cpu")
        bands, names, _ = read_map(tmp_path)
        assert names == tuple(f"landslide susceptibility, fold {fold}" for fold in range(3))
        cube, cells = open_cube(site[0]), read_cells(site[1])
        assert (
            not np.isnan(bands[:, cells.row, cells.col]).any()
            and np.isnan(bands[:, :4]).all()
            and np.isnan(bands[:, :, -3:]).all()
        )
        models, _ = learning.load_fold_networks(tmp_path, 3)
        for fold, model in enumerate(models):
            factors = torch.from_numpy(scaled_factors(cube, cells, fold, CHANNELS))
            with torch.no_grad():
                logits = model.eval()(
                    neighbourhoods(
                        factors, torch.tensor([20, 50]), torch.tensor([31, 40]), (6, 8), [False, True]
                    )
                )
            assert bands[fold, [20, 50], [31, 40]] == pytest.approx(logits.softmax(1)[:, 1].numpy(), abs=1e-5)
        assert json.loads((tmp_path / "map.json").read_text())["pixels"] == 110 * 110

    def test_weights_of_fewer_folds(self, site, tmp_path):
        train_cells(
            *site, tmp_path, spec_of(recipe={"epochs": 1, "steps_per_epoch": 1}), "cpu", 1, progress=False
        )
        with pytest.raises(HeadscarpError, match="cannot be loaded"):
            learning.load_fold_networks(tmp_path, 2)


class Memory(ClassifierMixin, BaseEstimator):
    """Knows the label of every cell that it was fitted to, and nothing else: 0.5."""

    def fit(self, values, slides):
        self.classes_ = np.array([False, True])
        self.known_ = {row.tobytes(): float(slide) for row, slide in zip(values, slides, strict=True)}
        return self

    def predict(self, values):
        return self.predict_proba(values)[:, 1] > 0.5

    def predict_proba(self, values):
        p = np.array([self.known_.get(row.tobytes(), 0.5) for row in values])
        return np.stack([1 - p, p], axis=1)


class TestProtocols:
    def test_only_as_released_a_model_that_remembers_tells_landslides_of_pure_chance(self, tmp_path):
        """Labels that no factor tells: whoever ranks them has seen them."""
        random = np.random.default_rng(3)
        planes = {name: random.normal(size=(80, 80)) for name in CHANNELS}
        cube = write_cube(tmp_path / "cube", planes | {"slides": random.random((80, 80)) < 0.2})
        source = {"kind": "layer", "channel": "slides", "above": 0.5}
        spec = {
            "network": {"name": "cell_forest", "width": 1, "params": {"n_estimators": 40}},
            "channels": CHANNELS,
            "seed": 0,
        }
        found = {}
        for protocol in ("published", "as_released", "blocked"):
            samples, run = tmp_path / protocol, tmp_path / f"{protocol}_run"
            build_cells(cube, samples, CellsSpec(windows=(3,)), source, protocol, 0, [CHANNELS])
            fit_cell_model(cube, samples, run, run / "home", spec)
            with rasterio.open(run / "home" / "susceptibility.tif") as raster:
                scores = score_cells(raster.read(), read_cells(samples), 0)[0]
            found[protocol] = scores["metrics"]["auc"]
        print({protocol: round(auc, 3) for protocol, auc in found.items()})
        assert found["as_released"] > 0.95
        assert abs(found["published"] - 0.5) < 0.06 and abs(found["blocked"] - 0.5) < 0.06


class TestCellModels:
    def test_out_of_fold_values_come_from_models_that_did_not_see_the_block(self):
        random = np.random.default_rng(0)
        blocks = random.integers(0, 12, 400)
        # all cells of a block are one: a model that saw any of them would know
        values = blocks[:, None].astype(np.float32)
        slides = blocks % 3 == 0
        assert (out_of_fold(Memory(), values, slides, blocks, 0) == 0.5).all()
        assert (Memory().fit(values, slides).predict_proba(values)[:, 1] == slides).all()
        shuffled = random.integers(0, 12, 400)  # were the folds not of these blocks, values would be known
        assert (out_of_fold(Memory(), values, slides, shuffled, 0) != 0.5).any()

    def test_landslides_in_one_block(self):
        blocks = np.repeat(np.arange(5), 20)
        with pytest.raises(HeadscarpError, match="lie in one spatial block only"):
            out_of_fold(Memory(), blocks[:, None].astype(float), blocks == 2, blocks, 0)

    def test_the_regression_learns_from_out_of_fold_values_and_standardised_factors(self, plain):
        values, slides, blocks = training_cells(open_cube(plain[0]), read_cells(plain[1]), 0, CHANNELS)
        model = StackedGBDT({"max_iter": 20}, 0, 1)
        model.fit(values, slides, blocks)
        features = np.column_stack([out_of_fold(model.trees, values, slides, blocks, 0), values])
        alone = LogisticRegression(class_weight="balanced", max_iter=1000).fit(
            StandardScaler().fit_transform(features), slides
        )
        assert model.described(CHANNELS)["coefficients"]["gbdt"] == pytest.approx(alone.coef_[0, 0], rel=1e-3)
        assert list(model.described(CHANNELS)["coefficients"]) == ["gbdt", *CHANNELS]

    @pytest.mark.parametrize(
        ("name", "params", "least"),
        [
            ("gbdt_lr", {"max_iter": 30}, 0.85),
            ("gbdt_lr", {"leaves": True, "n_estimators": 20}, 0.85),
            ("cell_forest", {"n_estimators": 20}, 0.85),
            ("logistic_regression", {}, 0.0),
        ],
    )
    def test_maps_and_records(self, plain, tmp_path, name, params, least):
        fit_cell_model(*plain, tmp_path, tmp_path, spec_of(name, params))
        bands, _, _ = read_map(tmp_path)
        cells = read_cells(plain[1])
        assert (
            bands.shape == (3, 80, 80)
            and np.isnan(bands[:, :, :2]).all()
            and not np.isnan(bands[:, :, 2:]).any()
        )
        assert min(auc(bands[fold], cells, fold) for fold in range(3)) > least
        record = json.loads((tmp_path / "run.json").read_text())
        told = record["folds"][0].get("importances") or record["folds"][0]["coefficients"]
        assert (
            len(record["folds"]) == 3
            and set(CHANNELS) <= set(told)
            and record["spec"]["network"]["name"] == name
        )
        assert (tmp_path / "map.json").exists()

    def test_balanced_weights_raise_the_probability_of_the_rare_class(self, plain, tmp_path):
        fit_cell_model(*plain, tmp_path, tmp_path, spec_of("logistic_regression"))
        values, slides, _ = training_cells(open_cube(plain[0]), read_cells(plain[1]), 0, CHANNELS)
        scaler = StandardScaler().fit(values)
        wanted = LogisticRegression(class_weight="balanced", max_iter=1000).fit(
            scaler.transform(values), slides
        )
        everywhere = np.stack([open_cube(plain[0]).values[0, k, 10:20, 10:20].ravel() for k in range(2)], 1)
        bands, _, _ = read_map(tmp_path)
        expected = wanted.predict_proba(scaler.transform(everywhere))[:, 1]
        assert bands[0, 10:20, 10:20].ravel() == pytest.approx(expected, abs=1e-4)

    @pytest.mark.parametrize(
        ("name", "params", "told"),
        [
            ("gbdt", {}, "did you mean 'gbdt_lr'"),
            (
                "gbdt_lr",
                {"max_itr": 3},
                "gbdt_lr: parameter 'max_itr' does not exist; did you mean 'max_iter'",
            ),
            ("gbdt_lr", {"leaves": True, "max_iter": 3}, "gbdt_lr with leaves: parameter 'max_iter'"),
            ("cell_forest", {"trees": 3}, "random forest: parameter 'trees'"),
            ("logistic_regression", {"c": 1}, "logistic_regression: parameter 'c'"),
        ],
    )
    def test_bad_input_is_told(self, plain, tmp_path, name, params, told):
        with pytest.raises(HeadscarpError, match=told):
            fit_cell_model(*plain, tmp_path, tmp_path, spec_of(name, params))
