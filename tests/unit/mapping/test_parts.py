"""A scene mapped in parts against the scene mapped at once: strips bit for bit, files byte for byte."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.mapping.network_map import map_run
from headscarp.mapping.parts import gather_parts
from headscarp.mapping.predict import Tiling, predict_strips, rows_of_part
from headscarp.training.trainer import train_run
from headscarp.training.windows import SYMMETRIES, NormalisedCube, NormalisedSeries

CPU = torch.device("cpu")
CHANNELS = ["red", "slope"]
GRID = Grid("EPSG:32654", Affine(10, 0, 500000, 0, -10, 4700000), 230, 70)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


class OfWindow(nn.Module):
    """What it says of a pixel depends on all of its window: blending shows which windows were there."""

    def __init__(self, planes: int, classes: int) -> None:
        super().__init__()
        torch.manual_seed(planes + classes)
        self.near = nn.Conv2d(planes, classes, 5, padding=2)
        self.asked = 0

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.asked += len(image)
        return functional.relu(self.near(image)) + image.mean((1, 2, 3), keepdim=True) * 50


def cube_of(height: int, width: int, kind: type = NormalisedCube) -> NormalisedCube:
    """Two dates of two channels, holes of all sizes among them: a row of windows without data, too."""
    random = np.random.default_rng(height)
    values = random.normal(size=(2, 2, height, width)).astype(np.float32)
    values[:, :, height // 3 : height // 2] = np.nan
    values[:, :, height // 5 : height // 4, width // 2 :] = np.nan
    values[:, 0, :5] = np.nan
    scale = [0.0, 0.0], [1.0, 1.0]
    if kind is NormalisedSeries:
        scale = [[0.0, 0.0]] * 2, [[1.0, 1.0]] * 2
    return kind(values, [0, 1], *scale, [True, True])


def mapped(model: nn.Module, cube: NormalisedCube, rows: tuple[int, int] | None = None, **options):
    """The rows that are mapped; strips must follow each other and end where the rows do."""
    found = list(predict_strips(model, cube, CPU, batch=3, rows=rows, **options))
    first, last = rows or (0, cube.shape[0])
    ends = [top + values.shape[1] for top, values in found]
    assert [top for top, _ in found] == [first, *ends[:-1]] and ends[-1] == last
    return np.concatenate([values for _, values in found], axis=1)


@given(st.integers(1, 500), st.integers(1, 9), st.integers(1, 5), st.integers(0, 40), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_parts_below_each_other_are_the_map(height, parts, multiple, margin, fade):
    overlap = -(-(2 * margin + fade) // 32) * 32
    tiling = Tiling(overlap + 32 * multiple, margin, fade)
    parts = min(parts, height)
    model, cube = OfWindow(2, 1), cube_of(height, 50)
    whole = mapped(model, cube, tiling=tiling)
    found = [
        mapped(model, cube, rows_of_part(height, part, parts), tiling=tiling) for part in range(1, parts + 1)
    ]
    np.testing.assert_array_equal(np.concatenate(found, axis=1), whole)


@pytest.mark.parametrize("kind", [NormalisedCube, NormalisedSeries])
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("turns", [(), SYMMETRIES[1:]])
def test_so_they_are_of_series_classes_and_turns(kind, classes, turns):
    model = OfWindow(2 if kind is NormalisedCube else 6, classes)
    cube, options = cube_of(301, 90, kind), {"tiling": Tiling(96, 16, 32), "turns": turns}
    whole = mapped(model, cube, **options)
    assert np.isnan(whole).any() and np.isfinite(whole).any() and len(whole) == classes
    found = [mapped(model, cube, rows_of_part(301, part, 4), **options) for part in (1, 2, 3, 4)]
    np.testing.assert_array_equal(np.concatenate(found, axis=1), whole)
    # The comparison would notice a part that does not look beyond its rows.
    alone = [cube.part(slice(*rows_of_part(301, part, 4)), slice(None)) for part in (1, 2, 3, 4)]
    bare = np.concatenate([mapped(model, one, **options) for one in alone], axis=1)
    assert np.nanmax(np.abs(bare - whole)) > 1e-3


def test_a_part_asks_for_no_window_that_it_does_not_need():
    """At a seam no more than the rows of windows on both its sides are looked at twice."""
    tiling, cube = Tiling(64, 0, 32), cube_of(64 * 20, 64)
    cube.values[:] = 1
    asked = []
    for parts in (1, 4):
        model = OfWindow(2, 1)
        for part in range(1, parts + 1):
            mapped(model, cube, rows_of_part(cube.shape[0], part, parts), tiling=tiling)
        asked.append(model.asked)
    assert asked[0] < asked[1] <= asked[0] + 3 * 2


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_parts_share_all_rows_evenly(height, parts):
    if parts > height:
        with pytest.raises(HeadscarpError, match="make `parts` smaller"):
            rows_of_part(height, 1, parts)
        return
    rows = [rows_of_part(height, part, parts) for part in range(1, parts + 1)]
    assert [first for first, _ in rows] == [0, *(last for _, last in rows[:-1])] and rows[-1][1] == height
    sizes = {last - first for first, last in rows}
    assert min(sizes) >= 1 and max(sizes) - min(sizes) <= 1


@pytest.fixture
def site(tmp_path) -> tuple[Path, Path]:
    """A scene with a hole, and samples of it."""
    random = np.random.default_rng(0)
    cube_folder, samples_folder = tmp_path / "cube", tmp_path / "samples"
    cube_folder.mkdir()
    samples_folder.mkdir()
    cube = random.normal(5, 2, (1, 2, *GRID.shape)).astype(np.float32)
    label = ((cube[0, 0] > 5) + (cube[0, 1] > 5)).astype(np.uint8)
    cube[0, :, 70:110, 20:60] = np.nan
    np.save(cube_folder / "cube.npy", cube)
    np.save(cube_folder / "label.npy", label)
    np.save(samples_folder / "regions.npy", np.ones(label.shape, np.uint8))
    header = {"grid": GRID.to_record(), "channels": [{"name": name} for name in CHANNELS]}
    (cube_folder / "cube.json").write_text(json.dumps(header))
    scale = {name: {"mean": 5.0, "sd": 2.0} for name in CHANNELS}
    (samples_folder / "samples.json").write_text(
        json.dumps({"protocol": "published", "normalisation": scale})
    )
    lines = [f"{row},8,32,0,{split}" for row, split in ((0, "train"), (30, "train"), (60, "validation"))]
    (samples_folder / "windows.csv").write_text("\n".join(["row,col,size,date,split", *lines]) + "\n")
    return cube_folder, samples_folder


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("parts", [2, 7])
def test_gathered_files_are_those_of_one_job(site, tmp_path, classes, parts):
    spec = {
        "network": {"name": "unet", "width": 0.0625, "params": {}},
        "channels": CHANNELS,
        "classes": classes,
        "seed": 0,
        "recipe": {"batch": 2, "epochs": 1, "steps_per_epoch": 2, "precision": "float32"},
    }
    run = tmp_path / "run"
    train_run(*site, run, spec, "cpu", progress=False)
    options = {"device": "cpu", "tiling": Tiling(64, 0, 32)}
    map_run(run, *site, tmp_path / "whole", **options)
    folders = [tmp_path / f"part{part}" for part in range(1, parts + 1)]
    for part, folder in enumerate(folders, start=1):
        map_run(run, *site, folder, **options, part=part, parts=parts)
    gather_parts(folders, tmp_path / "gathered")
    for name in ("probability.tif", "classes.tif"):
        whole, gathered = (tmp_path / way / name for way in ("whole", "gathered"))
        assert gathered.read_bytes() == whole.read_bytes()
    records = [json.loads((folder / "map.json").read_text()) for folder in [tmp_path / "gathered", *folders]]
    assert records[0]["pixels"] == GRID.height * GRID.width == sum(one["pixels"] for one in records[1:])
    assert records[0]["seconds"] == pytest.approx(sum(one["seconds"] for one in records[1:]), abs=1e-3)


def test_a_part_that_is_gone_is_told(site, tmp_path):
    with pytest.raises(HeadscarpError, match=r"part1/probability\.tif does not exist"):
        gather_parts([tmp_path / "part1"], tmp_path / "gathered")
    assert not (tmp_path / "gathered").exists()
