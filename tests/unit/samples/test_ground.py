"""Collages of scenes that show one ground: blocks and bootstrap cells are of the ground, not of the sheet."""

import json

import numpy as np
import pytest
from affine import Affine

from headscarp.codes import TEST, TRAIN, UNMAPPED, VALIDATION
from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.samples.build import bootstrap_cells, build_samples
from headscarp.samples.ground import part_of_collage, shared_ground, slices_of_scene
from headscarp.samples.spec import SamplingSpec
from headscarp.samples.splits import blocked_split

SIDE_M, WINDOW = 240, 16
CELLS = {"fine": 0.5, "coarse": 1.0, "middle": 0.75}


def scene(name, cell, row, west=0.0, crs="EPSG:32647"):
    size = round(SIDE_M / cell)
    grid = Grid(crs, Affine(cell, 0, west, 0, -cell, SIDE_M), size, size)
    return {"name": name, "row": row, "height": size, "width": size, "grid": grid.to_record()}


@pytest.fixture
def collage():
    """Scenes of one square at three pixel sizes, one below the other, with slides at the same places."""
    rng = np.random.default_rng(0)
    slides = rng.uniform(20, SIDE_M - 20, (40, 2))
    scenes, row = [], 0
    for name, cell in CELLS.items():
        scenes.append(scene(name, cell, row))
        row += scenes[-1]["height"] + WINDOW
    label = np.full((row - WINDOW, scenes[0]["width"]), UNMAPPED, np.uint8)
    for one, cell in zip(scenes, CELLS.values(), strict=True):
        places = (np.indices((one["height"], one["width"])) + 0.5) * cell
        near = np.any([np.hypot(*(places - at[:, None, None])) < 6 for at in slides], axis=0)
        label[slices_of_scene(one)] = near
    return label, scenes


def ground_of(one, cell, rows, cols):
    """Metres from the north-west of pixels (row, col) of the collage that lie in a scene."""
    return (rows - one["row"] + 0.5) * cell, (cols + 0.5) * cell


@pytest.mark.parametrize("seed", range(3))
def test_no_ground_trains_in_one_scene_and_tests_in_another(collage, seed):
    label, scenes = collage
    spec = SamplingSpec.from_record({"window": WINDOW, "stride": 8, "split": {"kind": "blocks", "buffer": 4}})
    split = blocked_split(label, spec, seed, scenes=scenes)
    painted = {code: np.zeros((SIDE_M, SIDE_M), bool) for code in (TRAIN, VALIDATION, TEST)}
    for one, cell in zip(scenes, CELLS.values(), strict=True):
        part = split.regions[slices_of_scene(one)]
        assert set(np.unique(part)) >= {TRAIN, TEST}
        for code, ground in painted.items():
            rows, cols = np.nonzero(part == code)
            y, x = ground_of(one | {"row": 0}, cell, rows, cols)
            ground[y.astype(int), x.astype(int)] = True
    # A row or column of cells of a metre holds the border of two subsets where pixels do not divide it.
    for one, other in ((TRAIN, TEST), (TRAIN, VALIDATION), (VALIDATION, TEST)):
        assert not (painted[one] & painted[other]).any()
    alone = blocked_split(label, spec, seed)
    train, test = (
        {
            tuple(np.round(place).astype(int))
            for one, cell in zip(scenes, CELLS.values(), strict=True)
            for place in zip(
                *ground_of(one | {"row": 0}, cell, *np.nonzero(alone.regions[slices_of_scene(one)] == code)),
                strict=True,
            )
        }
        for code in (TRAIN, TEST)
    )
    assert train & test  # the sheet's own blocks leak, which is what this is for


def test_a_place_is_one_cell_of_the_bootstrap_in_all_scenes(collage):
    label, scenes = collage
    cells = bootstrap_cells(label != UNMAPPED, WINDOW, shared_ground(label.shape, scenes))
    assert (cells[label == UNMAPPED] == -1).all()
    fine, coarse = (cells[slices_of_scene(one)] for one in scenes[:2])
    np.testing.assert_array_equal(fine, np.kron(coarse, np.ones((2, 2), int)))
    assert len(np.unique(coarse)) == (SIDE_M / WINDOW) ** 2


def test_a_scene_is_scored_on_its_part_of_the_collage(collage, tmp_path):
    """Samples built from files: the part of one scene is what lies in its rows of the sheet."""
    label, scenes = collage
    (tmp_path / "cube").mkdir()
    values = np.where(label == UNMAPPED, np.nan, label + 1.0).astype(np.float32)[None, None]
    np.save(tmp_path / "cube" / "cube.npy", values)
    np.save(tmp_path / "cube" / "label.npy", label)
    header = {"channels": [{"name": "red"}], "scenes": scenes}
    (tmp_path / "cube" / "cube.json").write_text(json.dumps(header))
    spec = SamplingSpec.from_record({"window": WINDOW, "stride": 8, "background_ratio": 1.0})
    build_samples(tmp_path / "cube", tmp_path / "samples", spec, "blocked", seed=1)
    regions, blocks = part_of_collage(tmp_path / "samples", "coarse")
    whole = np.load(tmp_path / "samples" / "regions.npy")
    np.testing.assert_array_equal(regions, whole[496:736, :240])
    assert regions.shape == blocks.shape == (240, 240) and (regions == TEST).any()
    assert part_of_collage(tmp_path / "samples", "elsewhere") is None
    record = json.loads((tmp_path / "samples" / "samples.json").read_text())
    assert any("a place has the same subset in all of them" in note for note in record["notes"])
    assert sum(one["windows"]["train"] for one in record["scenes"]) == record["counts"]["train"]["windows"]


def test_scenes_apart_share_nothing_and_scenes_that_overlap_in_part_are_refused():
    apart = [scene("a", 1.0, 0), scene("b", 1.0, 300, west=1000.0)]
    assert shared_ground((540, 240), apart) is None
    assert shared_ground((540, 240), [scene("a", 1.0, 0), scene("b", 1.0, 300, crs="EPSG:32648")]) is None
    assert shared_ground((240, 240), []) is None
    with pytest.raises(HeadscarpError, match="a and b of a collage overlap in part"):
        shared_ground((540, 240), [scene("a", 1.0, 0), scene("b", 1.0, 300, west=60.0)])
