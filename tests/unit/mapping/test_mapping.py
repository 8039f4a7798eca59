"""Mapping: windows against one forward pass, seams, no data, polygons, and the forest against
scikit-learn."""

import json
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import geopandas
import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import average_precision_score
from torch import nn
from torch.nn import functional

from headscarp import networks
from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.geo.layer import Layer, read_layer, write_layer
from headscarp.mapping.forest import (
    run_forest,
    run_forest_elsewhere,
    sample_pixels,
    share_among_others,
    training_pixels,
)
from headscarp.mapping.network_map import map_run
from headscarp.mapping.polygons import polygonise, write_polygons
from headscarp.mapping.predict import Tiling, predict_strips
from headscarp.training.trainer import train_run
from headscarp.training.weights import load_network
from headscarp.training.windows import NormalisedCube, open_samples
from tests.conftest import REPOSITORY
from tests.unit.training.test_training_series import CHANNELS as SERIES_CHANNELS
from tests.unit.training.test_training_series import make_site as make_series
from tests.unit.training.test_training_series import planes_of

CPU = torch.device("cpu")
CHANNELS = ["red", "slope", "nir"]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


class SmallUNet(nn.Module):
    """Two poolings, skips by concatenation; an output pixel sees at most RADIUS pixels to each side."""

    RADIUS = 32

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 6, 3, padding=1)
        self.bottom = nn.Conv2d(6, 6, 3, padding=1)
        self.up = nn.ConvTranspose2d(6, 6, 2, stride=2)
        self.join = nn.Conv2d(12, 4, 3, padding=1)
        self.top = nn.ConvTranspose2d(4, 4, 2, stride=2)
        self.head = nn.Conv2d(8, classes, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        first = functional.relu(self.first(image))
        second = functional.relu(self.second(functional.max_pool2d(first, 2)))
        bottom = functional.relu(self.bottom(functional.max_pool2d(second, 2)))
        second = functional.relu(self.join(torch.cat([self.up(bottom), second], 1)))
        return self.head(torch.cat([self.top(second), first], 1)) * 5


class Pointwise(nn.Module):
    """Looks at single pixels; tells which window sizes it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[int, ...]] = []

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.asked.append(tuple(image.shape))
        return image.sum(1, keepdim=True)


def normalised_cube(height: int, width: int, channels: int = 3, seed: int = 0) -> NormalisedCube:
    cube = np.random.default_rng(seed).normal(size=(2, channels, height, width)).astype(np.float32)
    return NormalisedCube(cube, list(range(channels)), [0.0] * channels, [1.0] * channels)


def whole_map(model: nn.Module, cube: NormalisedCube, **options) -> np.ndarray:
    """All strips of a map as one array; strips must follow each other without a gap."""
    strips = list(predict_strips(model, cube, CPU, **options))
    ends = [top + values.shape[1] for top, values in strips]
    assert [top for top, _ in strips] == [0, *ends[:-1]] and ends[-1] == cube.shape[0]
    return np.concatenate([values for _, values in strips], axis=1)


class TestTiling:
    @pytest.mark.parametrize(
        ("trained_on", "expected"),
        [
            (64, 64),  # gao2021's
            (32, 64),
            (100, 128),
            (128, 128),
            (512, 512),
        ],
    )
    def test_windows_are_those_of_training(self, trained_on, expected):
        tiling = Tiling.like_training(trained_on)
        assert (tiling.window, tiling.overlap) == (expected, 32)
        size, origins = tiling.origins(3000)
        assert size <= tiling.window and origins[0] == 0 and origins[-1] + size >= 3000

    @given(st.integers(1, 900), st.integers(1, 8), st.integers(0, 40), st.integers(1, 40))
    @settings(max_examples=150, deadline=None)
    def test_windows_cover_and_weights_add_up(self, length, multiple, margin, fade):
        overlap = -(-(2 * margin + fade) // 32) * 32
        tiling = Tiling(overlap + 32 * multiple, margin, fade)
        size, origins = tiling.origins(length)
        padded = -(-length // 32) * 32
        assert size % 32 == 0 and size <= tiling.window and all(origin % 32 == 0 for origin in origins)
        assert origins[0] == 0 and origins[-1] + size == padded
        assert all(0 < after - before <= size - overlap for before, after in pairwise(origins))
        total = np.zeros(padded)
        weights = tiling.weights(length)
        for origin, weight in zip(origins, weights, strict=True):
            total[origin : origin + size] += weight
        np.testing.assert_allclose(total, 1, atol=1e-6)
        assert (weights[1:, :margin] == 0).all() and (weights[:-1, size - margin :] == 0).all()

    def test_windows_shrink_to_fit(self):
        assert Tiling(256, 32, 32).origins(200) == (224, [0])
        size, origins = Tiling(512, 32, 32).origins(976)
        assert (size, origins) == (416, [0, 320, 576])

    @pytest.mark.parametrize("sizes", [(100, 16, 16), (128, 64, 1), (128, -1, 32), (64, 16, 0)])
    def test_sizes_that_do_not_fit_are_told(self, sizes):
        with pytest.raises(HeadscarpError, match="window"):
            Tiling(*sizes)


class TestPredict:
    @pytest.mark.parametrize(("height", "width", "batch"), [(256, 320, 3), (250, 301, 1)])
    @pytest.mark.parametrize("classes", [1, 3])
    def test_windows_give_what_one_pass_gives(self, height, width, batch, classes):
        torch.manual_seed(1)
        model, cube = SmallUNet(3, classes), normalised_cube(height, width)
        padded = functional.pad(torch.from_numpy(cube.values[1])[None], (0, -width % 32, 0, -height % 32))
        with torch.inference_mode():
            logits = model(padded)[0, :, :height, :width]
        wanted = (logits.sigmoid() if classes == 1 else logits.softmax(0)).numpy()
        found = whole_map(model, cube, tiling=Tiling(160, SmallUNet.RADIUS, 32), batch=batch)
        assert found.shape == wanted.shape == (classes, height, width) and found.dtype == np.float32
        inner = (slice(None), slice(0, height - SmallUNet.RADIUS), slice(0, width - SmallUNet.RADIUS))
        np.testing.assert_allclose(found[inner], wanted[inner], atol=1e-5)
        if height % 32 == width % 32 == 0:
            np.testing.assert_allclose(found, wanted, atol=1e-5)
        # The comparison would notice windows without a margin.
        bare = whole_map(model, cube, tiling=Tiling(160, 0, 1))
        assert np.abs(bare[inner] - wanted[inner]).max() > 1e-3

    @pytest.mark.parametrize(
        "name", ["fcn8s", "fcn8s_vgg16", "segnet", "unet", "resunet", "fc_densenet", "tiramisu56"]
    )
    def test_the_alignment_suits_the_networks(self, name):
        """Deep networks see more than 128 pixels far; with a margin beyond that their windows, too, give what
        one pass gives."""
        torch.manual_seed(0)
        model, cube = networks.build(name, 3, width=0.0625).eval(), normalised_cube(1056, 32)
        with torch.inference_mode():
            wanted = model(torch.from_numpy(cube.values[1])[None])[0].sigmoid().numpy()
        found = whole_map(model, cube, tiling=Tiling(800, 320, 32))
        # untrained logits are large; rounding alone reaches 3e-5
        np.testing.assert_allclose(found, wanted, atol=1e-4)

    def test_a_constant_scene_has_no_seams(self):
        cube = np.full((1, 2, 300, 410), 0.3, np.float32)
        found = whole_map(
            Pointwise(), NormalisedCube(cube, [0, 1], [0.0, 0.0], [1.0, 1.0]), tiling=Tiling(128, 16, 32)
        )
        np.testing.assert_allclose(found, 1 / (1 + np.exp(-0.6)), atol=2e-7)

    @pytest.mark.parametrize("shape", [(5, 7), (1, 40), (33, 31), (64, 64), (70, 300)])
    def test_any_size_of_scene(self, shape):
        cube = normalised_cube(*shape)
        model = Pointwise()
        found = whole_map(model, cube, tiling=Tiling(128, 16, 32))
        np.testing.assert_allclose(found[0], 1 / (1 + np.exp(-cube.values[1].sum(0))), atol=1e-5)
        assert all(side % 32 == 0 and side <= 128 for asked in model.asked for side in asked[2:])

    def test_the_chosen_date_is_mapped(self):
        cube = normalised_cube(40, 40)
        found = whole_map(Pointwise(), cube, date=0)
        np.testing.assert_allclose(found[0], 1 / (1 + np.exp(-cube.values[0].sum(0))), atol=1e-5)

    def test_no_data(self):
        cube = normalised_cube(150, 140).values
        cube[1, :, 20:90, 60:120] = np.nan
        cube[1, 0, :10, :10] = np.nan
        normalised = NormalisedCube(cube, [2, 0], [1.0, 2.0], [2.0, 4.0])
        found = whole_map(Pointwise(), normalised, tiling=Tiling(96, 16, 32))[0]
        missing = np.zeros(found.shape, bool)
        missing[20:90, 60:120] = True
        np.testing.assert_array_equal(np.isnan(found), missing)
        logits = (cube[1, 2] - 1) / 2 + np.nan_to_num((cube[1, 0] - 2) / 4)
        np.testing.assert_allclose(found[~missing], (1 / (1 + np.exp(-logits)))[~missing], atol=1e-5)

    def test_bfloat16_stays_near(self):
        torch.manual_seed(1)
        model, cube = SmallUNet(3, 1), normalised_cube(64, 96)
        exact, rough = whole_map(model, cube), whole_map(model, cube, precision=torch.bfloat16)
        assert 0 < np.abs(exact - rough).max() < 0.1


@pytest.fixture
def site(tmp_path) -> tuple[Path, Path]:
    """Scene of 75 x 90 pixels with a grid; landslides are where red is high and slope too; blocked
    regions."""
    random = np.random.default_rng(0)
    cube_folder, samples_folder = tmp_path / "cube", tmp_path / "samples"
    cube_folder.mkdir()
    samples_folder.mkdir()
    names = ["nir", "elevation", "red", "slope"]
    cube = random.normal(5, 2, (1, 4, 75, 90)).astype(np.float32)
    label = ((cube[0, 2] > 5) & (cube[0, 3] > 5.5)).astype(np.uint8)
    cube[0, :, 50:60, 40:50] = np.nan
    cube[0, 0, 10:12, 10:12] = np.nan
    label[:, :3] = 255
    regions = np.zeros(label.shape, np.uint8)
    regions[:40], regions[45:55], regions[60:] = 1, 2, 3
    np.save(cube_folder / "cube.npy", cube)
    np.save(cube_folder / "label.npy", label)
    np.save(samples_folder / "regions.npy", regions)
    header = {"grid": GRID.to_record(), "channels": [{"name": name} for name in names]}
    (cube_folder / "cube.json").write_text(json.dumps(header))
    scale = {name: {"mean": 5.0, "sd": 2.0} for name in names}
    (samples_folder / "samples.json").write_text(json.dumps({"protocol": "blocked", "normalisation": scale}))
    lines = ["row,col,size,date,split"] + [f"{row},{col},32,0,train" for row in (0, 8) for col in (0, 30, 58)]
    (samples_folder / "windows.csv").write_text("\n".join(lines) + "\n")
    return cube_folder, samples_folder


GRID = Grid("EPSG:32654", Affine(10, 0, 500000, 0, -10, 4700000), 75, 90)


class TestMapRun:
    def test_a_run_is_mapped(self, site, tmp_path):
        spec = {
            "network": {"name": "unet", "width": 0.0625, "params": {}},
            "channels": CHANNELS,
            "classes": 1,
            "seed": 0,
            "recipe": {"batch": 2, "epochs": 1, "precision": "float32"},
        }
        run = tmp_path / "run"
        train_run(*site, run, spec, "cpu", progress=False)
        map_run(run, *site, run, device="cpu", tiling=Tiling(96, 16, 32))
        layer = read_layer(run / "probability.tif")
        assert (
            layer.name == "landslide probability"
            and layer.units == "1"
            and layer.grid == GRID
            and "unet" in layer.source
        )
        with rasterio.open(run / "probability.tif") as source:
            assert source.dtypes == ("float32",) and np.isnan(source.nodata)
            assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        model, _ = load_network(run)
        wanted = whole_map(model, open_samples(*site, CHANNELS).cube, tiling=Tiling(96, 16, 32))[0]
        np.testing.assert_array_equal(layer.values, wanted)
        assert np.isnan(layer.values).sum() == 100
        classes = read_layer(run / "classes.tif").values
        np.testing.assert_array_equal(classes, np.where(np.isnan(wanted), 255, wanted >= 0.5))
        record = json.loads((run / "map.json").read_text())
        assert record["pixels"] == 75 * 90 and record["seconds"] > 0 and record["device"].startswith("cpu")

    def test_a_run_maps_another_place(self, site, tmp_path):
        """Another site's cube has other channels in another order; values are scaled as on the site of
        training."""
        spec = {
            "network": {"name": "unet", "width": 0.0625, "params": {}},
            "channels": CHANNELS,
            "classes": 1,
            "seed": 0,
            "recipe": {"batch": 2, "epochs": 1, "precision": "float32"},
        }
        run, there, out = tmp_path / "run", tmp_path / "there", tmp_path / "run" / "there"
        train_run(*site, run, spec, "cpu", progress=False)
        there.mkdir()
        grid = Grid("EPSG:32649", Affine(10, 0, 400000, 0, -10, 3300000), 64, 96)
        cube = np.random.default_rng(1).normal(9, 3, (1, 4, 64, 96)).astype(np.float32)
        np.save(there / "cube.npy", cube)
        header = {
            "grid": grid.to_record(),
            "channels": [{"name": name} for name in ("slope", "nir", "rainfall", "red")],
        }
        (there / "cube.json").write_text(json.dumps(header))
        map_run(run, there, site[1], out, device="cpu", tiling=Tiling(96, 16, 32))
        layer = read_layer(out / "probability.tif")
        scaled = torch.from_numpy((cube[:, [3, 0, 1]] - 5) / 2)
        with torch.inference_mode():
            wanted = load_network(run)[0].eval()(scaled)[0, 0].sigmoid().numpy()
        assert layer.grid == grid
        np.testing.assert_allclose(layer.values, wanted, atol=1e-5)
        assert json.loads((out / "map.json").read_text())["pixels"] == 64 * 96
        assert sorted(path.name for path in run.iterdir()) == [
            "history.csv",
            "model.safetensors",
            "run.json",
            "there",
        ]
        header["channels"][0]["name"] = "aspect"
        (there / "cube.json").write_text(json.dumps(header))
        with pytest.raises(HeadscarpError, match=r"there/cube\.json: channel 'slope' does not exist"):
            map_run(run, there, site[1], tmp_path / "none", device="cpu")
        assert not (tmp_path / "none").exists()

    def test_other_statistics_may_normalise(self, site, tmp_path):
        """A run keeps the statistics that it was trained with, unless the map asks for others."""
        texts = {}
        for name, mean in (("trained", 4.0), ("target", 7.0)):
            texts[name] = tmp_path / f"{name}.json"
            texts[name].write_text(
                json.dumps({"normalisation": {channel: {"mean": mean, "sd": 3.0} for channel in CHANNELS}})
            )
        spec = {
            "network": {"name": "unet", "width": 0.0625, "params": {}},
            "channels": CHANNELS,
            "classes": 1,
            "seed": 0,
            "recipe": {"batch": 2, "epochs": 1, "precision": "float32"},
            "statistics": str(texts["trained"]),
        }
        run = tmp_path / "run"
        train_run(*site, run, spec, "cpu", progress=False)
        model, _ = load_network(run)
        for name, statistics in (("trained", None), ("target", texts["target"])):
            map_run(
                run,
                *site,
                tmp_path / name,
                device="cpu",
                tiling=Tiling(96, 16, 32),
                statistics=statistics,
            )
            cube = open_samples(*site, CHANNELS, texts[name]).cube
            wanted = whole_map(model, cube, tiling=Tiling(96, 16, 32))[0]
            np.testing.assert_array_equal(read_layer(tmp_path / name / "probability.tif").values, wanted)

    def test_the_file_is_like_those_of_write_layer(self, site, tmp_path):
        spec = {"network": {"params": {"n_estimators": 3}}, "channels": CHANNELS, "seed": 0}
        run_forest(*site, tmp_path / "run", tmp_path / "run", spec)
        layer = read_layer(tmp_path / "run" / "probability.tif")
        write_layer(tmp_path / "whole.tif", Layer(layer.name, layer.values, GRID, layer.units, layer.source))
        with (
            rasterio.open(tmp_path / "run" / "probability.tif") as ours,
            rasterio.open(tmp_path / "whole.tif") as theirs,
        ):
            assert (
                str(ours.profile) == str(theirs.profile)
                and ours.tags() == theirs.tags()
                and ours.overviews(1) == theirs.overviews(1)
            )
            np.testing.assert_array_equal(ours.read(1), theirs.read(1))

    def test_an_unfinished_run_is_told(self, site, tmp_path):
        with pytest.raises(HeadscarpError, match=r"run\.json"):
            map_run(tmp_path / "run", *site, tmp_path / "run")
        assert not (tmp_path / "run").exists()


class TestPolygons:
    def test_groups_become_polygons(self, tmp_path):
        probability = np.full((75, 90), 0.1, np.float32)
        probability[10:20, 10:15] = 0.8
        probability[12:14, 11:13] = 0.6
        probability[13, 12] = 0.2  # a hole
        probability[20, 15] = 0.9  # touches the first group by a corner only
        probability[40:43, 60:70] = 0.5
        probability[41, 65] = np.nan
        found = polygonise(probability, GRID, 0.5)
        assert found.area_m2.tolist() == [4900, 2900, 100] and found.crs == "EPSG:32654"
        np.testing.assert_allclose(found.area, found.area_m2)
        np.testing.assert_allclose(found.mean_probability, [(46 * 0.8 + 3 * 0.6) / 49, 0.5, 0.9], rtol=1e-6)
        assert found.is_valid.all() and len(found.geometry[0].interiors) == 1
        burnt = rasterize(found.geometry, GRID.shape, transform=GRID.transform)
        np.testing.assert_array_equal(burnt == 1, probability >= 0.5)
        assert polygonise(probability, GRID, 0.5, minimum_area_m2=2900).area_m2.tolist() == [4900, 2900]
        write_polygons(tmp_path / "landslides.gpkg", found)
        again = geopandas.read_file(tmp_path / "landslides.gpkg", layer="landslides")
        assert again.area_m2.tolist() == found.area_m2.tolist() and again.crs == found.crs

    @pytest.mark.parametrize("value", [0.1, np.nan])
    def test_a_map_without_landslides(self, tmp_path, value):
        found = polygonise(np.full((75, 90), value, np.float32), GRID)
        assert len(found) == 0 and list(found.columns) == ["area_m2", "mean_probability", "geometry"]
        write_polygons(tmp_path / "none.gpkg", found)
        assert len(geopandas.read_file(tmp_path / "none.gpkg")) == 0

    def test_degrees_are_refused(self):
        with pytest.raises(HeadscarpError, match="EPSG:4326"):
            polygonise(np.ones((2, 2), np.float32), Grid("EPSG:4326", Affine(1, 0, 0, 0, -1, 0), 2, 2))


class TestForest:
    spec: ClassVar = {
        "network": {"name": "random_forest", "params": {"n_estimators": 20}},
        "channels": CHANNELS,
        "seed": 3,
    }

    def test_it_is_scikit_learns(self, site, tmp_path):
        run_forest(*site, tmp_path / "run", tmp_path / "run", self.spec)
        cube, label = np.load(site[0] / "cube.npy")[0, [2, 3, 0]], np.load(site[0] / "label.npy")
        pixels = np.nan_to_num((cube - 5) / 2).reshape(3, -1).T.astype(np.float32)
        training = np.zeros(label.shape, bool)
        training[:40, 3:] = True
        forest = RandomForestClassifier(20, min_samples_leaf=5, random_state=3)
        forest.fit(pixels[training.ravel()], label[training] == 1)
        wanted = forest.predict_proba(pixels)[:, 1].reshape(label.shape)
        wanted[50:60, 40:50] = np.nan
        layer = read_layer(tmp_path / "run" / "probability.tif")
        np.testing.assert_allclose(layer.values, wanted, atol=1e-6)
        assert layer.grid == GRID
        record = json.loads((tmp_path / "run" / "run.json").read_text())
        assert list(record["importances"]) == CHANNELS and sum(
            record["importances"].values()
        ) == pytest.approx(1)
        np.testing.assert_allclose(list(record["importances"].values()), forest.feature_importances_)
        assert record["importances"]["nir"] < 0.2 and record["pixels"] == training.sum()
        assert json.loads((tmp_path / "run" / "map.json").read_text())["pixels"] == 75 * 90

    def test_it_maps_another_place_as_it_was_grown(self, site, tmp_path):
        """A place shows other values on another grid; at home the forest grown again maps as before."""
        run, home, away = (tmp_path / name for name in ("run", "home", "away"))
        run_forest(*site, run, home, self.spec)
        run_forest_elsewhere(run, *site, site[0], tmp_path / "again")
        for name in ("probability.tif", "classes.tif"):
            assert (tmp_path / "again" / name).read_bytes() == (home / name).read_bytes()
        place = tmp_path / "place"
        shutil.copytree(site[0], place)
        cube = np.load(place / "cube.npy")[:, :, 10:50, 5:70]
        np.save(place / "cube.npy", cube)
        np.save(place / "label.npy", np.load(place / "label.npy")[10:50, 5:70])
        header = json.loads((place / "cube.json").read_text())
        grid = Grid(GRID.crs, GRID.transform @ Affine.translation(5, 10), 40, 65)
        (place / "cube.json").write_text(json.dumps(header | {"grid": grid.to_record()}))
        run_forest_elsewhere(run, *site, place, away)
        layer, whole = (read_layer(folder / "probability.tif") for folder in (away, home))
        assert layer.grid == grid
        np.testing.assert_array_equal(layer.values, whole.values[10:50, 5:70])

    def test_an_ungrown_forest_is_told(self, site, tmp_path):
        with pytest.raises(HeadscarpError, match=r"run\.json"):
            run_forest_elsewhere(tmp_path / "run", *site, site[0], tmp_path / "away")
        assert not (tmp_path / "away").exists()

    def test_several_classes_are_told_apart_as_scikit_learn_does(self, site, tmp_path):
        label = np.load(site[0] / "label.npy")
        values = np.load(site[0] / "cube.npy")[0, [2, 3, 0]]
        label[(label == 0) & (values[1] > np.nanmedian(values[1]))] = 3
        np.save(site[0] / "label.npy", label)
        run_forest(*site, tmp_path / "run", tmp_path / "run", self.spec | {"classes": 6})
        pixels = np.nan_to_num((values - 5) / 2).reshape(3, -1).T.astype(np.float32)
        training = np.zeros(label.shape, bool)
        training[:40, 3:] = True
        forest = RandomForestClassifier(20, min_samples_leaf=5, random_state=3)
        forest.fit(pixels[training.ravel()], label[training])
        assert set(forest.classes_) == {0, 1, 3}
        codes, likely = (
            read_layer(tmp_path / "run" / f"{name}.tif").values for name in ("classes", "probability")
        )
        seen = ~np.isnan(values).all(axis=0)
        np.testing.assert_array_equal(codes[seen], forest.predict(pixels)[seen.ravel()])
        wanted = forest.predict_proba(pixels)[:, 1].reshape(label.shape)
        np.testing.assert_allclose(likely[seen], wanted[seen], atol=1e-6)

    def test_it_reads_all_dates(self, tmp_path):
        """Of a scene that shows its slides by the step between two dates only, one corner always clouded."""
        site = make_series(tmp_path)
        planes, label = planes_of(site), np.load(site[0] / "label.npy")
        spec = self.spec | {"channels": SERIES_CHANNELS, "dates": "all"}
        run_forest(*site, tmp_path / "run", tmp_path / "run", spec)
        pixels = np.nan_to_num(planes.reshape(-1, label.size)).T.astype(np.float32)
        clear = (planes[:, -1] > 0).any(0)
        training = (np.load(site[1] / "regions.npy") == 1) & (label != 255) & clear
        forest = RandomForestClassifier(20, min_samples_leaf=5, random_state=3)
        forest.fit(pixels[training.ravel()], label[training] == 1)
        wanted = np.where(clear, forest.predict_proba(pixels)[:, 1].reshape(label.shape), np.nan)
        mapped = read_layer(tmp_path / "run" / "probability.tif").values
        np.testing.assert_allclose(mapped, wanted, atol=0.05)
        assert np.nanmean(np.abs(mapped - wanted)) < 1e-3
        record = json.loads((tmp_path / "run" / "run.json").read_text())
        assert list(record["importances"])[:5] == [
            *(f"{name} 2008-09-01" for name in (*SERIES_CHANNELS, "observed")),
            f"{SERIES_CHANNELS[0]} 2011-09-01",
        ]
        tested = (np.load(site[1] / "regions.npy") == 2) & clear & (label != 255)
        run_forest(*site, tmp_path / "last", tmp_path / "last", self.spec | {"channels": SERIES_CHANNELS})
        last = read_layer(tmp_path / "last" / "probability.tif").values
        tested &= ~np.isnan(last)
        all_dates, one = (
            average_precision_score(label[tested], np.nan_to_num(values[tested])) for values in (mapped, last)
        )
        assert all_dates > 0.8 > 0.5 > one

    def test_the_sample_is_seeded_and_bounded(self, site):
        samples = open_samples(*site, CHANNELS)
        first, again, other = (sample_pixels(samples, -1, 200, seed) for seed in (1, 1, 2))
        assert (
            first[0].shape == (200, 3)
            and np.array_equal(first[0], again[0])
            and not np.array_equal(first[0], other[0])
        )

    def test_published_trains_inside_its_windows(self, site):
        record = json.loads((site[1] / "samples.json").read_text())
        (site[1] / "samples.json").write_text(json.dumps(record | {"protocol": "published"}))
        label = np.load(site[0] / "label.npy")
        np.save(site[1] / "regions.npy", np.where(label == 255, 0, 3).astype(np.uint8))
        wanted = np.zeros(label.shape, bool)
        wanted[:40, :62] = wanted[:40, 58:90] = True
        np.testing.assert_array_equal(training_pixels(open_samples(*site, CHANNELS)), wanted & (label != 255))

    def test_bad_input_is_told(self, site, tmp_path):
        with pytest.raises(HeadscarpError, match="n_estimators"):
            run_forest(
                *site,
                tmp_path / "run",
                tmp_path / "run",
                self.spec | {"network": {"params": {"n_estimator": 3}}},
            )
        np.save(site[0] / "label.npy", np.zeros((75, 90), np.uint8))
        with pytest.raises(HeadscarpError, match="only background"):
            run_forest(*site, tmp_path / "run", tmp_path / "run", self.spec)
        assert not (tmp_path / "run").exists()


FULL_DISK = """
import resource, signal, sys
import numpy as np
from headscarp.errors import HeadscarpError
from headscarp.mapping.raster import probability_raster
from headscarp.geo.grid import Grid
from rasterio import Affine

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
noise = np.random.default_rng(0).random((1024, 1024), np.float32)
try:
    grid = Grid("EPSG:32654", Affine(10, 0, 0, 0, -10, 0), 1024, 1024)
    with probability_raster("probability.tif", grid, "test") as write:
        write(0, noise)
except HeadscarpError as error:
    print(error)
"""


@pytest.mark.parametrize("limit", [100_000, 4_400_000])
def test_a_full_disk_leaves_no_map(tmp_path, limit):
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow" / "scripts")}
    command = [sys.executable, "-c", FULL_DISK, str(limit)]
    told = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert told.startswith("the disk is full: probability.tif could not be written")
    assert not list(tmp_path.iterdir())


def test_what_is_only_known_to_be_no_landslide_goes_to_the_other_classes_by_their_shares():
    by_code = np.array([[0.1, 0.0], [0.5, 0.2], [0.3, 0.0]], np.float32)
    share_among_others(by_code, np.array([0.1, 0.8], np.float32))
    np.testing.assert_allclose(by_code, [[0.125, 0.4], [0.5, 0.2], [0.375, 0.4]], rtol=1e-6)
