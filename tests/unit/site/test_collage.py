"""Scenes of a user: joined into one cube, split by scenes, from their files to samples, and the table of
left-out scenes."""

import json

import numpy as np
import pytest
import shapely
from affine import Affine

from headscarp.codes import LANDSLIDE, TEST, TRAIN, UNMAPPED, UNUSED, VALIDATION
from headscarp.errors import HeadscarpError
from headscarp.exhibits.kinds import function_of
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.geo.grid import Grid
from headscarp.geo.layer import Layer, read_layer
from headscarp.samples.build import build_samples
from headscarp.samples.spec import SamplingSpec
from headscarp.samples.splits import blocked_split
from headscarp.samples.windows import read_windows
from headscarp.scoring.score import score_run, write_scores
from headscarp.site.checks import check_record
from headscarp.site.collage import build_scene_layers, cut_scene, join_scenes
from headscarp.site.cube import open_cube
from headscarp.site.stack import build_cube
from headscarp.site.terrain import derive_terrain
from headscarp.yaml_files import read_yaml
from tests.conftest import REPOSITORY
from tests.site_files import write_raster, write_shapes
from tests.world import run_record

GAP = 16
CHANNELS = ("red", "slope")


def scene_cube(folder, shape, seed, channels=CHANNELS, cell=0.5, slides=4, **header):
    """A cube as `build_cube` writes it, of noise with a few squares that slid."""
    rng = np.random.default_rng(seed)
    label, instances = np.zeros(shape, np.uint8), np.zeros(shape, np.int32)
    for number in range(1, slides + 1):
        row, col = 12 * (number - 1), rng.integers(shape[1] - 8)
        instances[row : row + 8, col : col + 8] = number
    label[instances > 0] = LANDSLIDE
    label[:2, :2] = UNMAPPED
    folder.mkdir(parents=True)
    values = rng.normal(size=(1, len(channels), *shape)).astype(np.float32)
    for name, array in (("cube", values), ("label", label), ("instances", instances)):
        np.save(folder / f"{name}.npy", array)
    grid = Grid("EPSG:32649", Affine(cell, 0, 5e5 + seed * 1000, 0, -cell, 3.4e6), *shape)
    described = [{"name": name, "units": "1", "source": ""} for name in channels]
    record = {
        "site": folder.name,
        "data": "real",
        "grid": grid.to_record(),
        "dates": ["2018"],
        "channels": described,
    } | header
    (folder / "cube.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def scenes(tmp_path):
    """Cubes of three scenes of different sizes."""
    shapes = {"a": (60, 50), "b": (72, 40), "c": (48, 64)}
    return {
        name: scene_cube(tmp_path / name, shape, seed) for seed, (name, shape) in enumerate(shapes.items())
    }


def spec(**split):
    return SamplingSpec.from_record(
        {"window": 8, "stride": 4, "background_ratio": 1.0, "split": {"kind": "scenes"} | split}
    )


def test_every_scene_stands_whole_in_the_collage_and_nothing_between(scenes, tmp_path):
    join_scenes("all", scenes, tmp_path / "all", GAP)
    collage = open_cube(tmp_path / "all")
    assert collage.values.shape == (1, 2, 60 + 16 + 72 + 16 + 48, 64)
    assert [(s["name"], s["row"], s["height"], s["width"]) for s in collage.header["scenes"]] == [
        ("a", 0, 60, 50),
        ("b", 76, 72, 40),
        ("c", 164, 48, 64),
    ]
    outside, last = np.ones(collage.label.shape, bool), 0
    for scene in collage.header["scenes"]:
        place = slice(scene["row"], scene["row"] + scene["height"]), slice(0, scene["width"])
        own = open_cube(scenes[scene["name"]])
        np.testing.assert_array_equal(collage.values[(..., *place)], own.values)
        np.testing.assert_array_equal(collage.label[place], own.label)
        np.testing.assert_array_equal(
            collage.instances[place], np.where(own.instances > 0, own.instances + last, 0)
        )
        last += own.instances.max()
        outside[place] = False
    assert np.isnan(collage.values[:, :, outside]).all()
    assert (collage.label[outside] == UNMAPPED).all() and (collage.instances[outside] == 0).all()
    assert np.unique(collage.instances).size - 1 == sum(
        np.unique(open_cube(folder).instances).size - 1 for folder in scenes.values()
    )


def test_a_collage_has_no_place_on_earth_but_its_scenes_have(scenes, tmp_path):
    join_scenes("all", scenes, tmp_path / "all", GAP)
    header = open_cube(tmp_path / "all").header
    assert header["site"] == "all" and header["data"] == "real" and header["dates"] == ["2018"]
    assert header["grid"]["crs"] == "EPSG:32649" and header["grid"]["transform"] == [0.5, 0, 0, 0, -0.5, 0]
    assert len(header["notes"]) == 1 and header["notes"][0].startswith(
        "a collage of scenes has no place on Earth"
    )
    values = np.arange(212 * 64, dtype=np.float32).reshape(212, 64)
    whole = Layer("probability", values, Grid.from_record(header["grid"]), "1", "")
    part = cut_scene(whole, header, "b")
    np.testing.assert_array_equal(part.values, values[76:148, :40])
    assert part.grid == Grid.from_record(open_cube(scenes["b"]).header["grid"])
    with pytest.raises(HeadscarpError, match="site all: scene 'd' does not exist"):
        cut_scene(whole, header, "d")


def test_pixels_of_different_size_are_noted(scenes, tmp_path):
    scene_cube(tmp_path / "coarse", (60, 60), 9, cell=0.8)
    join_scenes("all", scenes | {"coarse": tmp_path / "coarse"}, tmp_path / "all", GAP)
    assert (
        "pixels of the scenes differ in size (a 0.5, b 0.5, c 0.5, coarse 0.8)"
        in open_cube(tmp_path / "all").header["notes"][1]
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"channels": ("red",)},
            r"scenes a and odd do not fit together: scene odd lacks the channel 'slope'",
        ),
        ({"channels": ("red", "slope", "ndvi")}, r"scene a lacks the channel 'ndvi'"),
        ({"channels": ("red", "aspect")}, r"scene a lacks the channel 'aspect'"),
        ({"channels": ("slope", "red")}, r"their channels stand in another order, 'slope' first"),
        (
            {"classes": {"1": "slide"}},
            r"scenes a and odd (have different|do not have the same) classes \(None and \{'1': 'slide'\}\)",
        ),
        ({"dates": ["2018", "2019"]}, r"scenes a and odd have different numbers of dates \(1 and 2\)"),
    ],
)
def test_scenes_that_do_not_fit_together(scenes, tmp_path, changes, message):
    shape = (1, 2, 60, 60)
    scene_cube(tmp_path / "odd", (60, 60), 9, **changes)
    if "dates" in changes:
        np.save(tmp_path / "odd" / "cube.npy", np.zeros((2, *shape[1:]), np.float32))
    with pytest.raises(HeadscarpError, match=message):
        join_scenes("all", {"a": scenes["a"], "odd": tmp_path / "odd"}, tmp_path / "all", GAP)
    assert not (tmp_path / "all" / "cube.json").exists()


def test_a_collage_needs_two_scenes_and_a_gap(scenes, tmp_path):
    with pytest.raises(HeadscarpError, match="site all: a collage needs two scenes or more, it lists 1"):
        join_scenes("all", {"a": scenes["a"]}, tmp_path / "all", GAP)
    with pytest.raises(HeadscarpError, match="gap between scenes is 0 rows"):
        join_scenes("all", scenes, tmp_path / "all", 0)


# --- the split by scenes ---


def split_of(scenes, tmp_path, **split):
    join_scenes("all", scenes, tmp_path / "all", GAP)
    collage = open_cube(tmp_path / "all")
    label = np.array(collage.label)
    return (
        blocked_split(label, spec(**split), 0, scenes=collage.header["scenes"]),
        label,
        collage.header["scenes"],
    )


@pytest.mark.parametrize("left_out", ["a", "b", "c"])
def test_the_left_out_scene_is_the_test_and_nothing_else_is(scenes, tmp_path, left_out):
    split, label, places = split_of(scenes, tmp_path, test=left_out, validation=0.3)
    for scene in places:
        own = slice(scene["row"], scene["row"] + scene["height"]), slice(0, scene["width"])
        mapped = label[own] != UNMAPPED
        if scene["name"] == left_out:
            np.testing.assert_array_equal(split.regions[own], np.where(mapped, TEST, UNUSED))
        else:
            assert TEST not in split.regions[own] and TRAIN in split.regions[own]
    assert {window.split for window in split.windows} == {"train", "validation", "test"}
    inside = [
        [
            s["name"]
            for s in places
            if s["row"] <= w.row and w.row + w.size <= s["row"] + s["height"] and w.col + w.size <= s["width"]
        ]
        for w in split.windows
    ]
    assert all(len(names) == 1 for names in inside)  # no window sees two scenes or the ground between
    assert all(
        (names == [left_out]) == (w.split == "test") for names, w in zip(inside, split.windows, strict=True)
    )


def test_the_share_of_blocks_validates(scenes, tmp_path):
    split, label, _ = split_of(scenes, tmp_path, test="a", validation=0.3, buffer=0)
    train, validation = ((split.regions == code).sum() for code in (TRAIN, VALIDATION))
    assert validation / (train + validation) == pytest.approx(0.3, abs=0.1)
    assert (label[split.regions == VALIDATION] == LANDSLIDE).any()


def test_a_whole_scene_validates(scenes, tmp_path):
    split, label, places = split_of(scenes, tmp_path, test="a", validation="c")
    codes = {"a": TEST, "b": TRAIN, "c": VALIDATION}
    for scene in places:
        own = slice(scene["row"], scene["row"] + scene["height"]), slice(0, scene["width"])
        np.testing.assert_array_equal(
            split.regions[own], np.where(label[own] == UNMAPPED, UNUSED, codes[scene["name"]])
        )


def test_a_scene_without_slides_trains_but_is_no_test(scenes, tmp_path):
    scenes = scenes | {"calm": scene_cube(tmp_path / "calm", (60, 60), 9, slides=0)}
    with pytest.raises(
        HeadscarpError,
        match=r"sampling\.split\.test: scene 'calm' has no landslide, so nothing can be scored on it",
    ):
        split_of(scenes, tmp_path, test="calm")
    split, _, places = split_of(scenes, tmp_path, test="a", validation="c")
    rows = range(places[-1]["row"], places[-1]["row"] + 60)
    assert {window.split for window in split.windows if window.row in rows} == {"train"}


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"test": "d"}, r"sampling\.split\.test: scene 'd' does not exist; known are: a, b, c"),
        ({"test": "a", "validation": "d"}, r"sampling\.split\.validation: scene 'd' does not exist"),
        (
            {"test": "a", "validation": "a"},
            r"sampling, split, validation: a is the test scene; name another one",
        ),
        (
            {"test": "a", "validation": 1.0},
            r"sampling, split, validation: 1.0 will not do; it must be a number above 0 and below 1",
        ),
        ({}, r"sampling, split: the key 'test' is missing; add it .The scene that is left out"),
        (
            {"test": "a", "fractions": [1]},
            r"sampling, split: unknown key 'fractions'",
        ),
    ],
)
def test_splits_that_cannot_be(scenes, tmp_path, split, message):
    with pytest.raises(HeadscarpError, match=message):
        split_of(scenes, tmp_path, **split)


def test_a_split_by_scenes_needs_a_collage(scenes):
    with pytest.raises(HeadscarpError, match=r"sampling\.split\.kind is scenes, but the site holds only one"):
        blocked_split(np.array(open_cube(scenes["a"]).label), spec(test="a"), 0)


def test_a_test_scene_smaller_than_a_window(scenes, tmp_path):
    tiny = scene_cube(tmp_path / "tiny", (13, 7), 9, slides=0)
    label = np.zeros((13, 7), np.uint8)
    label[5] = LANDSLIDE
    np.save(tiny / "label.npy", label)
    with pytest.raises(
        HeadscarpError, match=r"scene 'tiny' of 13 x 7 pixels is smaller than the window of 8"
    ):
        split_of(scenes | {"tiny": tiny}, tmp_path, test="tiny")


# --- from files to samples ---


def user_scene(folder, crs, cell, west, north, seed, dtype, full, dsm_crs):
    """Files of a scene: an image with a nodata corner, a tilted surface model on a coarser grid, and outlines
    of slides."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    grid = Grid(crs, Affine(cell, 0, west, 0, -cell, north), 96, 80)
    values = (rng.uniform(0.1, 0.9, (3, *grid.shape)) * full).astype(dtype)
    values[:, :20, :20] = 0
    write_raster(folder / "rgb.tif", values, grid, crs, nodata=0)
    coarse = Grid(crs, Affine(2 * cell, 0, west - 4, 0, -2 * cell, north + 4), 64, 56)
    write_raster(folder / "dsm.tif", (np.mgrid[:64, :56][0] * cell * 1.0).astype(np.float32), coarse, dsm_crs)
    boxes = [
        shapely.box(west + c * cell, north - (r + 8) * cell, west + (c + 8) * cell, north - r * cell)
        for r in range(4, 90, 12)
        for c in range(2, 72, 24)
    ]
    write_shapes(folder / "landslides.gpkg", boxes, crs)
    return {
        "name": folder.name,
        "data": "real",
        "dem": "dsm.tif",
        "grid": {"like": "rgb.tif"},
        "dates": ["2018-02-12"],
        "rasters": {
            name: {"file": "rgb.tif", "band": n, "units": "reflectance"}
            for n, name in enumerate(("red", "green", "blue"), 1)
        },
        "terrain": ["slope"],
        "labels": {"landslides": "landslides.gpkg"},
    }


def test_from_files_of_different_crs_to_samples(tmp_path):
    records = {
        "east": user_scene(
            tmp_path / "raw" / "east", "EPSG:32649", 0.5, 5e5, 3.4e6, 0, np.uint8, 255, "EPSG:32649"
        ),
        "west": user_scene(
            tmp_path / "raw" / "west", "EPSG:32648", 0.8, 4e5, 3.3e6, 1, np.uint16, 65535, "EPSG:32648"
        ),
        "south": user_scene(
            tmp_path / "raw" / "south", "EPSG:32748", 0.3, 3e5, 9.1e6, 2, np.uint8, 255, "EPSG:32748"
        ),
    }
    # One scene comes onto a grid of another CRS and resolution than its own.
    records["west"]["grid"] |= {"crs": "EPSG:32649", "resolution_m": 1.0}
    for name, record in records.items():
        raw, site = tmp_path / "raw" / name, tmp_path / "sites" / name
        derive_terrain(raw / "dsm.tif", site / "terrain")
        build_scene_layers(record, raw, site / "terrain", site / "layers")
        build_cube(site / "layers", site / "cube")
    cubes = {name: tmp_path / "sites" / name / "cube" for name in records}
    join_scenes("left", cubes, tmp_path / "left", 16)
    collage = open_cube(tmp_path / "left")
    assert collage.channels == ["red", "green", "blue", "slope"]
    record = {
        "window": 16,
        "stride": 8,
        "background_ratio": 1.0,
        "split": {"kind": "scenes", "test": "south", "validation": 0.3},
    }
    groups = [["red", "green", "blue"], ["red", "green", "blue", "slope"]]
    build_samples(
        tmp_path / "left", tmp_path / "samples", SamplingSpec.from_record(record), "blocked", 0, groups
    )
    samples = json.loads((tmp_path / "samples" / "samples.json").read_text())
    counts = {one["name"]: one["windows"] for one in samples["scenes"]}
    assert (
        samples["kind"] == "scenes"
        and counts["south"]["test"]
        and not counts["south"]["train"] + counts["south"]["validation"]
    )
    assert (
        not counts["east"]["test"] + counts["west"]["test"]
        and counts["east"]["train"] + counts["west"]["train"]
    )
    regions = np.load(tmp_path / "samples" / "regions.npy")
    assert (regions[np.isnan(collage.values[0, 0])] == UNUSED).all()  # holes are never scored
    assert (regions == TEST).sum() == 96 * 80 - 20 * 20
    for window in read_windows(tmp_path / "samples" / "windows.csv"):
        part = regions[window.row : window.row + window.size, window.col : window.col + window.size]
        assert (part != UNUSED).any()  # nor a window of nothing else drawn
    assert read_layer(tmp_path / "sites" / "west" / "layers" / "red.tif").grid.resolution == 1.0
    # Every scene's reflectance is on the scale of the others, whatever its numbers were.
    assert samples["normalisation"]["red"]["mean"] == pytest.approx(0.5, abs=0.03)


# --- exhibits and the example ---


def test_left_out_scenes_in_one_table(tmp_path):
    rng = np.random.default_rng(0)
    f1, runs = {}, []
    for site in ("without_a", "without_b"):
        label = (rng.random((64, 64)) < 0.2).astype(np.uint8)
        for row, noise in (("rae_d", 0.6), ("fstf_net", 0.2)):
            folder = tmp_path / "card" / site / row / "blocked" / "seed0"
            folder.mkdir(parents=True)
            probability = np.clip(label * 0.8 + noise * rng.normal(size=label.shape), 0, 1).astype(np.float32)
            regions = np.where(np.arange(64) < 16, VALIDATION, TEST)[:, None] * np.ones((1, 64), np.uint8)
            blocks = (np.arange(64)[:, None] // 16 * 4 + np.arange(64) // 16).astype(np.int32)
            regions, instances = regions.astype(np.uint8), label.astype(np.int32)
            scores, cells = score_run(
                probability, label, instances, regions, blocks, 1.0, "blocked", "real", 0
            )
            write_scores(folder, scores, cells)
            f1[site, row] = scores["metrics"]["f1"]
            runs.append(run_record(folder, row, row, "blocked", 0))
    sites = [
        {"name": site, "title": site, "folder": str(tmp_path / site), "data": "real"}
        for site in ("without_a", "without_b")
    ]
    spec = ExhibitSpec.from_record(
        {
            "card": "card",
            "name": "comparison",
            "kind": "left_out_scenes",
            "title": "",
            "caption": "",
            "sites": sites,
            "runs": runs,
        }
        | {"options": {"metrics": ["f1"], "pairs": [["fstf_net", "rae_d"]]}, "published": []}
    )
    frame = function_of("left_out_scenes")(spec).set_index("row")
    for (site, row), value in f1.items():
        assert frame.loc[f"{site}:{row}", "value"] == pytest.approx(value)
    gains = [f1[site, "fstf_net"] - f1[site, "rae_d"] for site in ("without_a", "without_b")]
    assert frame.loc["fstf_net_vs_rae_d", "value"] == pytest.approx(np.mean(gains))
    assert frame.loc["fstf_net_vs_rae_d", "sd"] == pytest.approx(abs(gains[0] - gains[1]) / np.sqrt(2))
    assert frame.loc["rae_d", "note"] == "mean and sd over 2 scenes"
    assert len(frame) == 4 + 2 + 1


def test_the_example_card_fits_the_code():
    card = read_yaml(REPOSITORY / "workflow" / "examples" / "vhr_scenes.yaml")
    scenes = {name: site for name, site in card["sites"].items() if site["source"] == "local"}
    collages = {name: site for name, site in card["sites"].items() if site["source"] == "collage"}
    produced = set()
    for name, site in scenes.items():
        layers = {"name": name, "data": site["data"]} | site["layers"]
        check_record({key: value for key, value in layers.items() if key != "labels"})
        named = [entry["file"] for entry in layers["rasters"].values()] + [layers["dem"]]
        named += [
            value for key, value in layers["labels"].items() if key in ("landslides", "classes", "area")
        ]
        assert set(named) <= set(site["files"])
        produced.add(tuple([*layers["rasters"], *layers["terrain"]]))
    assert len(produced) == 1
    assert {channel for group in card["inputs"].values() for channel in group} <= {
        *produced.pop(),
        "aspect_sin",
        "aspect_cos",
    }
    assert sorted(site["sampling"]["split"]["test"] for site in collages.values()) == sorted(scenes)
    for site in collages.values():
        assert site["scenes"] == list(scenes)
        split = card["sampling"]["split"] | site["sampling"]["split"]
        assert SamplingSpec.from_record(card["sampling"] | {"split": split}).kind == "scenes"
