"""The cube: what is stacked equals the layers, encodings included, and nothing is loaded whole."""

import json

import numpy as np
import pytest

from headscarp.errors import HeadscarpError
from headscarp.geo.layer import ANGLE, CLASSES, FLAT, Layer, write_layer
from headscarp.site import stack
from headscarp.site.cube import open_cube
from headscarp.site.stack import build_cube
from tests.site_files import make_grid, truncate

GRID = make_grid(70, 60)


@pytest.fixture
def layers(tmp_path):
    """A folder of four layers, label and instances, made by hand."""
    folder, rng = tmp_path / "layers", np.random.default_rng(5)
    red = rng.random(GRID.shape).astype(np.float32)
    red[3, 4] = np.nan
    aspect = rng.uniform(0, 360, GRID.shape).astype(np.float32)
    aspect[0, :3] = FLAT
    aspect[0, 3] = np.nan
    lithology = rng.integers(1, 3, GRID.shape).astype(np.uint8)
    lithology[5, 5] = 0
    label = rng.choice(np.array([0, 1, 255], np.uint8), GRID.shape)
    instances = np.where(label == 1, 4, 0).astype(np.int32)
    made = [
        Layer("red", red, GRID, "reflectance", "hand"),
        Layer("aspect", aspect, GRID, "degree", "hand", ANGLE),
        Layer("lithology", lithology, GRID, "class", "hand", CLASSES, 0),
        Layer("label", label, GRID, "class", "hand", CLASSES, 255),
        Layer("instances", instances, GRID, "number", "hand", CLASSES, 0),
    ]
    records = []
    for layer in made:
        write_layer(folder / f"{layer.name}.tif", layer)
        records.append(
            {
                "name": layer.name,
                "path": f"{layer.name}.tif",
                "units": layer.units,
                "source": layer.source,
                "kind": layer.kind,
            }
        )
    records[2]["classes"] = {"1": "soft", "2": "soft-hard", "3": "hard"}
    manifest = {
        "site": "valley",
        "data": "twin",
        "grid": GRID.to_record(),
        "layers": records,
        "dates": ["2018-04-09"],
        "notes": [],
    }
    (folder / "layers.json").write_text(json.dumps(manifest))
    return folder, {layer.name: layer.values for layer in made}


@pytest.mark.parametrize("rows_at_once", [16, 512])
def test_the_cube_equals_its_layers(layers, tmp_path, monkeypatch, rows_at_once):
    monkeypatch.setattr(stack, "ROWS_AT_ONCE", rows_at_once)
    folder, made = layers
    build_cube(folder, tmp_path / "cube")
    cube = open_cube(tmp_path / "cube")
    assert cube.channels == [
        "red",
        "aspect",
        "aspect_sin",
        "aspect_cos",
        "lithology",
        "lithology_1",
        "lithology_2",
        "lithology_3",
    ]
    assert cube.values.shape == (1, 8, *GRID.shape) and cube.values.dtype == np.float32
    plane = dict(zip(cube.channels, cube.values[0], strict=True))
    np.testing.assert_array_equal(plane["red"], made["red"])
    np.testing.assert_array_equal(plane["aspect"], made["aspect"])
    directed = made["aspect"] >= 0
    np.testing.assert_allclose(
        plane["aspect_sin"][directed], np.sin(np.radians(made["aspect"][directed])), atol=1e-6
    )
    np.testing.assert_allclose(
        plane["aspect_cos"][directed], np.cos(np.radians(made["aspect"][directed])), atol=1e-6
    )
    for name in ("aspect_sin", "aspect_cos"):
        assert (plane[name][0, :3] == 0).all() and np.isnan(plane[name][0, 3])
    known = made["lithology"] > 0
    for code in (1, 2, 3):
        np.testing.assert_array_equal(plane[f"lithology_{code}"][known], made["lithology"][known] == code)
    assert np.isnan([plane[name][5, 5] for name in cube.channels[4:]]).all()
    np.testing.assert_array_equal(plane["lithology"][known], made["lithology"][known])
    np.testing.assert_array_equal(cube.label, made["label"])
    np.testing.assert_array_equal(cube.instances, made["instances"])
    assert cube.label.dtype == np.uint8 and cube.instances.dtype == np.int32
    assert {key: cube.header[key] for key in ("site", "data", "dates", "grid")} == {
        "site": "valley",
        "data": "twin",
        "dates": ["2018-04-09"],
        "grid": GRID.to_record(),
    }
    assert cube.header["channels"][0] == {
        "name": "red",
        "units": "reflectance",
        "source": "hand",
        "dated": False,
        "masked": False,
        "has_mean": True,
        "layer": "red",
        "kind": "continuous",
    }
    names = ["lithology", "red", "aspect", "aspect_sin", "lithology_2"]
    assert cube.without_mean(names) == [True, False, True, False, False]


def test_nothing_is_read_before_it_is_indexed(layers, tmp_path):
    build_cube(layers[0], tmp_path / "cube")
    cube = open_cube(tmp_path / "cube")
    assert all(isinstance(array, np.memmap) for array in (cube.values, cube.label, cube.instances))
    assert not cube.values.flags.writeable


def test_an_unknown_channel_names_the_nearest(layers, tmp_path):
    build_cube(layers[0], tmp_path / "cube")
    cube = open_cube(tmp_path / "cube")
    assert cube.positions(["lithology_2", "red"]) == [6, 0]
    with pytest.raises(
        HeadscarpError, match="site valley: channel 'lithology_9' does not exist; did you mean 'lithology"
    ):
        cube.positions(["lithology_9"])


def test_a_damaged_cube_is_refused(layers, tmp_path):
    folder = tmp_path / "cube"
    with pytest.raises(HeadscarpError, match=r"cube\.json does not exist"):
        open_cube(folder)
    build_cube(layers[0], folder)
    header = json.loads((folder / "cube.json").read_text())
    (folder / "cube.json").write_text(json.dumps(header | {"dates": ["a", "b"]}))
    with pytest.raises(
        HeadscarpError, match=r"cube\.npy has the shape \(1, 8, 70, 60\), cube\.json says \(2, 8, 70, 60\)"
    ):
        open_cube(folder)
    truncate(folder / "cube.npy")
    with pytest.raises(HeadscarpError, match=r"cube\.npy is not a whole array"):
        open_cube(folder)
    (folder / "label.npy").unlink()
    build_cube(layers[0], folder)
    (folder / "label.npy").unlink()
    with pytest.raises(HeadscarpError, match=r"label\.npy does not exist"):
        open_cube(folder)


def test_a_truncated_layer_leaves_no_cube(layers, tmp_path):
    truncate(layers[0] / "aspect.tif", 0.6)
    with pytest.raises(HeadscarpError, match=r"aspect\.tif cannot be read.*truncated"):
        build_cube(layers[0], tmp_path / "cube")
    assert list((tmp_path / "cube").iterdir()) == []
    (layers[0] / "red.tif").unlink()
    with pytest.raises(HeadscarpError, match=r"red\.tif does not exist"):
        build_cube(layers[0], tmp_path / "cube")
