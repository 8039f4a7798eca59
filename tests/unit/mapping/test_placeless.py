"""Maps of collages and of sheets of patches, which have no place on Earth: their files claim none, and all
that reads them goes on without."""

import json

import numpy as np
import pytest
import rasterio

from cut_map import cut
from headscarp.geo.grid import Grid
from headscarp.geo.layer import read_layer
from headscarp.mapping.averages import average_maps
from headscarp.mapping.forest import run_forest
from headscarp.mapping.network_map import map_run
from headscarp.mapping.parts import gather_parts
from headscarp.training.trainer import train_run
from tests.unit.mapping.test_mapping import CHANNELS, GRID, site  # noqa: F401

FOREST = {
    "network": {"name": "random_forest", "params": {"n_estimators": 5}},
    "channels": CHANNELS,
    "seed": 3,
}
NETWORK = {
    "network": {"name": "unet", "width": 0.0625, "params": {}},
    "channels": CHANNELS,
    "classes": 1,
    "seed": 0,
    "recipe": {"batch": 2, "epochs": 1, "precision": "float32"},
}
SCENE = Grid(GRID.crs, GRID.transform, 40, 60)
SCENES = [
    {"name": "valley", "site": "valley", "row": 32, "height": 40, "width": 60, "grid": SCENE.to_record()}
]
FILES = ("probability.tif", "classes.tif")


@pytest.fixture
def collage(site):  # noqa: F811
    """The same scene as a part of a collage."""
    header = json.loads((site[0] / "cube.json").read_text())
    (site[0] / "cube.json").write_text(json.dumps(header | {"site": "both", "scenes": SCENES}))
    return site


def require_no_place(folder):
    """No CRS, but the size of a pixel, which areas are counted with."""
    for name in FILES:
        with rasterio.open(folder / name) as source:
            assert source.crs is None and source.res == (10, 10), name
            assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


class TestCollage:
    def test_a_forest_and_the_mean_of_its_maps(self, collage, tmp_path):
        run = tmp_path / "run"
        run_forest(*collage, run, run, FOREST)
        require_no_place(run)
        average_maps([run / "probability.tif"] * 2, tmp_path / "mean")
        require_no_place(tmp_path / "mean")

    def test_a_network_whole_and_in_parts(self, collage, tmp_path):
        run, parts = tmp_path / "run", [tmp_path / "part1", tmp_path / "part2"]
        train_run(*collage, run, NETWORK, "cpu", progress=False)
        map_run(run, *collage, tmp_path / "whole", device="cpu")
        require_no_place(tmp_path / "whole")
        for number, part in enumerate(parts, start=1):
            map_run(run, *collage, part, device="cpu", part=number, parts=2)
            require_no_place(part)
        gather_parts(parts, tmp_path / "gathered")
        for name in FILES:
            assert (tmp_path / "gathered" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()

    def test_a_scene_of_it_has_its_own_place_again(self, collage, tmp_path):
        run = tmp_path / "run"
        run_forest(*collage, run, run, FOREST)
        maps = {str(run / name): str(tmp_path / "valley" / name) for name in FILES}
        cut(maps, json.loads((collage[0] / "cube.json").read_text()), "valley")
        for whole, part in maps.items():
            layer = read_layer(part)
            assert layer.grid == SCENE
            with rasterio.open(whole) as source:
                np.testing.assert_array_equal(layer.values, source.read(1)[32:72, :60])


def test_a_sheet_of_patches(site, tmp_path):  # noqa: F811
    header = json.loads((site[0] / "cube.json").read_text())
    (site[0] / "cube.json").write_text(json.dumps(header | {"patches": {"count": 1, "gap": 32}}))
    run_forest(*site, tmp_path, tmp_path, FOREST)
    require_no_place(tmp_path)


def test_a_site_of_its_own_keeps_its_place(site, tmp_path):  # noqa: F811
    run_forest(*site, tmp_path, tmp_path, FOREST)
    assert all(read_layer(tmp_path / name).grid == GRID for name in FILES)
