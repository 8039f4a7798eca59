"""Averages of maps: over the symmetries of windows, held against a turned scene, and over seeds."""

import json

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.mapping.averages import average_maps, record_average
from headscarp.mapping.map_files import write_map_rasters, write_map_record
from headscarp.mapping.predict import Tiling, predict_strips
from headscarp.training.windows import (
    SYMMETRIES,
    NormalisedCube,
    apply_symmetry,
    directions_of,
    turn_directions,
    undo_symmetry,
)

CPU = torch.device("cpu")
CHANNELS = ["red", "aspect_sin", "aspect_cos"]
GRID = Grid("EPSG:32654", Affine(10, 0, 500000, 0, -10, 4700000), 40, 30)


class Lopsided(nn.Module):
    """Sees the pixel to its left and which way its slope faces: all but symmetric."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image[:, :1].roll(1, dims=3) * 2 + image[:, 1:2] - 0.5 * image[:, 2:3]


def cube_of(values: np.ndarray) -> NormalisedCube:
    positions = list(range(len(CHANNELS)))
    return NormalisedCube(values[None], positions, [0.0] * 3, [1.0] * 3, directions=directions_of(CHANNELS))


def ground(side: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    azimuth = rng.uniform(0, 2 * np.pi, (side, side))
    return np.stack([rng.normal(size=(side, side)), np.sin(azimuth), np.cos(azimuth)]).astype(np.float32)


def mapped(values: np.ndarray, turns=(), tiling=None) -> np.ndarray:
    strips = predict_strips(Lopsided(), cube_of(values), CPU, tiling=tiling, batch=3, turns=turns)
    return np.concatenate([strip for _, strip in strips], axis=1)[0]


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_a_turned_scene_gives_the_turned_map(symmetry):
    here = ground(64)
    there = apply_symmetry(here, symmetry).copy()
    turn_directions(there, directions_of(CHANNELS), symmetry)
    expected = apply_symmetry(mapped(here, SYMMETRIES[1:]), symmetry)
    np.testing.assert_allclose(mapped(there, SYMMETRIES[1:]), expected, atol=1e-6)
    if symmetry:  # which one look does not
        assert np.abs(mapped(there) - apply_symmetry(mapped(here), symmetry)).max() > 0.1


def test_the_mean_is_that_of_eight_looks_window_by_window():
    values = ground(100)
    values[:, 10:20, 30:50] = np.nan
    tiling = Tiling(64, 0, 32)
    alone = [mapped(values, (), tiling)] + [
        8 * mapped(values, [turn], tiling) / 4 - mapped(values, (), tiling) for turn in SYMMETRIES[1:]
    ]
    expected = np.mean(alone, axis=0)
    found = mapped(values, SYMMETRIES[1:], tiling)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(values).all(0))


@given(st.integers(0, 7), st.integers(1, 5), st.integers(1, 5))
@settings(deadline=None)
def test_undone_is_as_before(symmetry, height, width):
    array = np.arange(2 * height * width).reshape(2, height, width)
    np.testing.assert_array_equal(undo_symmetry(apply_symmetry(array, symmetry), symmetry), array)


def write_map(folder, values, grid=GRID, seconds=2.0):
    folder.mkdir(parents=True)
    write_map_rasters(folder, [(0, values[None])], grid, "test")
    write_map_record(folder, seconds, values.shape, "cpu")
    return folder / "probability.tif"


def test_maps_are_averaged_pixel_by_pixel(tmp_path):
    rng = np.random.default_rng(0)
    maps = [rng.random((40, 30), dtype=np.float32) for _ in range(3)]
    maps[1][5, 6] = np.nan
    paths = [write_map(tmp_path / str(seed), values) for seed, values in enumerate(maps)]
    out = tmp_path / "mean"
    out.mkdir()
    average_maps(paths, out)
    with rasterio.open(out / "probability.tif") as source:
        found = source.read(1)
        assert source.crs.to_string() == GRID.crs and source.transform == GRID.transform
    np.testing.assert_allclose(found, np.mean(maps, axis=0), atol=1e-7)
    assert np.isnan(found[5, 6])
    with rasterio.open(out / "classes.tif") as source:
        classes = source.read(1)
    assert classes[5, 6] == 255 and (classes[0] == (found[0] >= 0.5)).all()
    assert json.loads((out / "map.json").read_text())["seconds"] >= 6


def test_maps_of_different_grids_are_refused(tmp_path):
    values = np.zeros((40, 30), np.float32)
    moved = Grid(GRID.crs, GRID.transform @ Affine.translation(1, 0), 40, 30)
    paths = [write_map(tmp_path / "a", values), write_map(tmp_path / "b", values, moved)]
    with pytest.raises(HeadscarpError, match=r"b/probability\.tif lies on another grid than .*map both"):
        average_maps(paths, tmp_path)
    assert not (tmp_path / "probability.tif").exists()


@pytest.mark.parametrize("converged", [[True, True], [True, False]])
def test_a_mean_has_converged_where_all_runs_have(tmp_path, converged):
    for seed, reached in enumerate(converged):
        record = {"spec": {"channels": CHANNELS}, "seed": seed, "protocol": "blocked", "versions": {}}
        text = json.dumps(record | {"device": "cpu", "converged": reached})
        (tmp_path / f"{seed}.json").write_text(text)
    paths = [tmp_path / f"{seed}.json" for seed in range(2)]
    record = record_average(paths, {"of": "unet", "over": "seeds"}, 0)
    assert record["average"] == {"of": "unet", "over": "seeds", "seeds": [0, 1]}
    assert record["converged"] is all(converged) and len(record["inputs"]) == 2
