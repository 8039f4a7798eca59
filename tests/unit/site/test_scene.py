"""A user's scene: what is wrong with its files, what is reported of them, and what its layers become."""

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.enums import ColorInterp
from rasterio.warp import transform as transform_points

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.geo.layer import read_layer
from headscarp.site.collage import build_scene_layers
from headscarp.site.scene import PREPARED_RGB, check_scene, prepare_scene
from headscarp.site.terrain import derive_terrain
from tests.site_files import CRS, NORTH, WEST, make_grid, read_manifest, write_raster, write_shapes

GRID = make_grid(60, 50, 0.5)
SLIDE = shapely.box(WEST + 5, NORTH - 20, WEST + 15, NORTH - 10)  # 20 x 20 pixels from row 20, column 10


def image(dtype=np.uint8, full=255, bands=3):
    """An image of a known gradient, (band, row, col)."""
    row, col = np.mgrid[: GRID.height, : GRID.width]
    return np.stack([(0.2 + 0.1 * band + 0.005 * row + 0.002 * col) * full for band in range(bands)]).astype(
        dtype
    )


def surface(path, grid=None, crs=CRS, slope=1.0):
    """A plane that rises northwards by `slope` metres a metre, on any grid of any CRS."""
    grid = grid or make_grid(30, 30, 2.0, WEST - 5, NORTH + 5)
    row, col = np.mgrid[: grid.height, : grid.width] + 0.5
    x, y = grid.transform @ (col, row)
    _, north = transform_points(crs, CRS, x.ravel(), y.ravel())
    return write_raster(
        path, (slope * (np.array(north).reshape(grid.shape) - NORTH + 100)).astype(np.float32), grid, crs
    )


def record(labels=None, **changes):
    bands = {
        name: {"file": "rgb.tif", "band": band, "units": "reflectance"}
        for band, name in enumerate(("red", "green", "blue"), 1)
    }
    return {
        "name": "valley",
        "data": "real",
        "dem": "dsm.tif",
        "grid": {"like": "rgb.tif"},
        "dates": ["2018-02-01"],
        "rasters": bands,
        "terrain": ["slope"],
        "labels": labels or {"landslides": "landslides.gpkg"},
    } | changes


@pytest.fixture
def raw(tmp_path):
    """A scene in order: 8-bit image, polygons, a surface model in the image's CRS."""
    folder = tmp_path / "raw"
    folder.mkdir()
    write_raster(folder / "rgb.tif", image(), GRID)
    surface(folder / "dsm.tif")
    write_shapes(folder / "landslides.gpkg", [SLIDE])
    return folder


def layers_of(raw, tmp_path, scene):
    derive_terrain(raw / "dsm.tif", tmp_path / "terrain")
    build_scene_layers(scene, raw, tmp_path / "terrain", tmp_path / "layers")
    return tmp_path / "layers"


def prepared(raw, tmp_path, scene):
    """Reflectance (band, row, col) and the record and notes of `prepare_scene`."""
    (tmp_path / "out").mkdir()
    ready, notes = prepare_scene(scene, raw, tmp_path / "out")
    with rasterio.open(tmp_path / "out" / PREPARED_RGB) as source:
        return source.read(), ready, notes


def mask(raw, values, grid=GRID, **keys):
    """A mask with a square of `values[1]` in a plain of `values[0]`, and labels that map nothing yet."""
    codes = np.full(grid.shape, values[0], np.uint8)
    codes[20:40, 10:30] = values[1]
    write_raster(raw / "mask.tif", codes, grid, **keys)
    return codes


# --- the image ---


def test_bytes_become_reflectance_and_the_scale_is_noted(raw, tmp_path):
    values, ready, notes = prepared(raw, tmp_path, record())
    np.testing.assert_allclose(values, image() / 255.0, rtol=1e-6)
    assert ready["rasters"]["blue"] == {"file": PREPARED_RGB, "band": 3, "units": "reflectance"}
    assert ready["grid"] == {"like": PREPARED_RGB}
    assert (
        f"rgb.tif: uint8, no scale given; 1/255 is inferred from the data type, values reach {image().max()}"
        in notes
    )


def test_16_bits_need_a_scale_or_get_that_of_their_type(raw, tmp_path):
    write_raster(raw / "rgb.tif", image(np.uint16, 10_000), GRID)
    values, _, notes = prepared(raw, tmp_path, record())
    np.testing.assert_allclose(values, image(np.uint16, 10_000) / 65535.0, rtol=1e-6)
    (note,) = [note for note in notes if "scale" in note]
    assert (
        "uint16, no scale given; 1/65535 is inferred" in note
        and "give site valley, layers, rasters, red, green, blue a scale" in note
    )
    scaled = record()
    for entry in scaled["rasters"].values():
        entry["scale"] = 1e-4
    assert not any("scale" in note for note in check_scene(scaled, raw))
    (tmp_path / "out").rename(tmp_path / "first")
    values, _, _ = prepared(raw, tmp_path, scaled)
    np.testing.assert_allclose(values, image(np.uint16, 10_000) * 1e-4, rtol=1e-5)


@pytest.mark.parametrize(("dtype", "full"), [(np.float32, 255), (np.int16, 1000)])
def test_numbers_that_are_no_reflectance_are_refused(raw, dtype, full):
    write_raster(raw / "rgb.tif", image(dtype, full), GRID)
    with pytest.raises(
        HeadscarpError,
        match=r"rgb\.tif: .* and no scale; give site valley, layers, rasters, red, green, blue a scale",
    ):
        check_scene(record(), raw)


def test_an_alpha_band_masks_and_is_reported(raw, tmp_path):
    alpha = np.full(GRID.shape, 255, np.uint8)
    alpha[:15] = 0
    write_raster(raw / "rgb.tif", np.concatenate([image(), alpha[None]]), GRID)
    with rasterio.open(raw / "rgb.tif") as source:
        assert source.colorinterp[3] == ColorInterp.alpha
    folder = layers_of(raw, tmp_path, record())
    red = read_layer(folder / "red.tif").values
    assert np.isnan(red[:15]).all() and not np.isnan(red[15:]).any()
    # what is transparent does not mix in
    np.testing.assert_allclose(red[15], image()[0, 15] / 255, rtol=1e-5)
    assert (read_layer(folder / "label.tif").values[:15] == 255).all()
    notes = " ".join(read_manifest(folder)["notes"])
    assert "rgb.tif: band 4 is alpha and not a channel; its transparent pixels (25.0%) are no data" in notes


def test_a_fourth_band_that_the_card_names_is_no_alpha(raw, tmp_path):
    values = image(bands=4)
    values[3] = 0
    write_raster(raw / "rgb.tif", values, GRID)
    scene = record()
    scene["rasters"]["nir"] = {"file": "rgb.tif", "band": 4, "units": "reflectance"}
    read, ready, notes = prepared(raw, tmp_path, scene)
    assert not np.isnan(read).any() and ready["rasters"]["nir"]["band"] == 4
    assert not any("alpha" in note for note in notes)


def test_nodata_is_no_data_where_all_three_bands_have_it(raw, tmp_path):
    values = image()
    values[:, :10, :10] = 0
    values[0, 30, 30] = 0  # red alone is dark, not missing
    write_raster(raw / "rgb.tif", values, GRID, nodata=0)
    read, _, _ = prepared(raw, tmp_path, record())
    hole = np.zeros(GRID.shape, bool)
    hole[:10, :10] = True
    np.testing.assert_array_equal(np.isnan(read), np.broadcast_to(hole, read.shape))
    assert read[0, 30, 30] == 0


def test_degrees_cannot_be_the_sites_grid(raw, tmp_path):
    degrees = Grid("EPSG:4326", Affine(1e-5, 0, 111.0, 0, -1e-5, 30.7), 60, 50)
    write_raster(raw / "rgb.tif", image(), degrees, "EPSG:4326")
    with pytest.raises(
        HeadscarpError,
        match=r"EPSG:4326\) is not of square north-up pixels in metres.*keys crs .* and resolution_m",
    ):
        check_scene(record(), raw)


def test_bands_of_several_files_are_refused(raw):
    scene = record()
    scene["rasters"]["blue"]["file"] = "blue.tif"
    with pytest.raises(
        HeadscarpError, match=r"red, green and blue come from blue\.tif, rgb\.tif; put them into one file"
    ):
        check_scene(scene, raw)


def test_three_times_the_same_band_is_refused(raw):
    scene = record()
    for entry in scene["rasters"].values():
        del entry["band"]
    with pytest.raises(
        HeadscarpError,
        match=r"red, green and blue are the bands 1, 1, 1 of rgb\.tif; give each its own as `band`",
    ):
        check_scene(scene, raw)


# --- the surface model ---


def test_a_surface_model_of_another_crs_is_reported_and_brought_onto_the_grid(raw, tmp_path):
    (west,), (north,) = transform_points(CRS, "EPSG:4326", [WEST], [NORTH])
    degrees = Grid("EPSG:4326", Affine(2e-5, 0, west - 1e-4, 0, -2e-5, north + 1e-4), 40, 40)
    surface(raw / "dsm.tif", degrees, "EPSG:4326", slope=0.5)
    folder = layers_of(raw, tmp_path, record())
    slope = read_layer(folder / "slope.tif")
    assert slope.grid.shape == GRID.shape
    assert np.nanmedian(slope.values) == pytest.approx(np.degrees(np.arctan(0.5)), abs=1.0)
    assert "dsm.tif: on another grid than rgb.tif (EPSG:4326, cells of 2e-05 degrees" in " ".join(
        read_manifest(folder)["notes"]
    )


def test_a_surface_model_of_another_place_is_refused(raw):
    surface(raw / "dsm.tif", make_grid(30, 30, 2.0, WEST + 10_000))
    with pytest.raises(
        HeadscarpError,
        match=r"dsm\.tif \(EPSG:32649\) covers 0% of rgb\.tif .* take the surface model of this scene",
    ):
        check_scene(record(), raw)


# --- the labels ---


def test_unknown_values_of_a_mask_are_listed(raw):
    mask(raw, (3, 7))
    with pytest.raises(HeadscarpError) as error:
        check_scene(record({"classes": "mask.tif", "values": {7: "landslide"}}), raw)
    assert "mask.tif holds the values 3, which site valley, layers, labels.values does not map" in str(
        error.value
    )
    assert (
        "`3: unlabelled` (the classes are: bare land, landslide, building, vegetation, water, road, "
        "unlabelled)" in str(error.value)
    )
    with pytest.raises(
        HeadscarpError, match=r"labels\.values: class 'landslip' does not exist; did you mean 'landslide'\?"
    ):
        check_scene(record({"classes": "mask.tif", "values": {3: "road", 7: "landslip"}}), raw)


def test_values_become_classes_and_255_is_unlabelled(raw, tmp_path):
    codes = mask(raw, (4, 7))
    codes[:5], codes[5:10] = 255, 9
    write_raster(raw / "mask.tif", codes, GRID, nodata=9)
    scene = record({"classes": "mask.tif", "values": {4: "vegetation", 7: "landslide"}})
    folder = layers_of(raw, tmp_path, scene)
    written = read_layer(folder / "label.tif")
    assert written.nodata == 255
    np.testing.assert_array_equal(written.values, np.select([codes == 4, codes == 7], [3, 1], 255))
    manifest = read_manifest(folder)
    assert manifest["layers"][-2]["classes"]["3"] == "vegetation"
    assert not any(note.startswith("mask.tif") for note in manifest["notes"])


def test_own_names_of_classes(raw, tmp_path):
    mask(raw, (0, 200))
    labels = {
        "classes": "mask.tif",
        "names": {0: "other", 1: "landslide"},
        "values": {0: "other", 200: "landslide"},
    }
    folder = layers_of(raw, tmp_path, record(labels))
    assert np.unique(read_layer(folder / "label.tif").values).tolist() == [0, 1]


def test_a_mask_on_another_grid_is_reported(raw):
    mask(raw, (0, 1), make_grid(60, 50, 1.0))
    labels = {"classes": "mask.tif", "values": {0: "bare land", 1: "landslide"}}
    assert "mask.tif: on another grid than rgb.tif; the nearest or commonest class is taken" in check_scene(
        record(labels), raw
    )


def test_pictures_and_broken_numbers_are_no_masks(raw):
    labels = {"classes": "mask.tif", "values": {1: "landslide"}}
    write_raster(raw / "mask.tif", image(), GRID)
    with pytest.raises(
        HeadscarpError, match=r"mask\.tif has 3 bands that differ.* give the mask as one band"
    ):
        check_scene(record(labels), raw)
    write_raster(raw / "mask.tif", image(np.float32, 1)[0], GRID)
    with pytest.raises(HeadscarpError, match=r"mask\.tif holds broken numbers .* make it one of 0 and 1"):
        check_scene(record(labels), raw)


def test_a_scene_without_any_slide_is_background(raw, tmp_path):
    note = "no landslide; the scene trains as background and cannot be the test scene"
    mask(raw, (0, 0))
    assert f"mask.tif: {note}" in check_scene(
        record({"classes": "mask.tif", "values": {0: "bare land"}}), raw
    )
    write_shapes(raw / "landslides.gpkg", [])
    _, ready, notes = prepared(raw, tmp_path, record())
    assert f"landslides.gpkg: {note}" in notes
    with (
        rasterio.open(tmp_path / "out" / ready["labels"]["classes"]) as source,
        rasterio.open(raw / "rgb.tif") as rgb,
    ):
        assert source.read().tolist() == [[[0]]] and tuple(source.bounds) == tuple(rgb.bounds)


def test_labels_are_polygons_or_a_mask(raw):
    for labels in ({"area": "area.gpkg"}, {"landslides": "landslides.gpkg", "classes": "mask.tif"}):
        with pytest.raises(HeadscarpError, match=r"`labels` needs either `landslides` .* or `classes`"):
            check_scene(record(labels), raw)
    with pytest.raises(HeadscarpError, match="the key 'values' is missing"):
        check_scene(record({"classes": "mask.tif"}), raw)


def test_layers_of_a_scene(raw, tmp_path):
    folder = layers_of(raw, tmp_path, record())
    label = read_layer(folder / "label.tif").values
    expected = np.zeros(GRID.shape, np.uint8)
    expected[20:40, 10:30] = 1
    np.testing.assert_array_equal(label, expected)
    manifest = read_manifest(folder)
    assert [layer["name"] for layer in manifest["layers"]] == [
        "red",
        "green",
        "blue",
        "slope",
        "label",
        "instances",
    ]
    assert manifest["layers"][0]["source"] == "rgb.tif (uint8) times 0.003922"
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_layers_of_a_mask_and_of_a_scene_without_slides(raw, tmp_path):
    codes = mask(raw, (4, 7))
    codes[:5] = 255
    write_raster(raw / "mask.tif", codes, GRID)
    folder = layers_of(
        raw, tmp_path, record({"classes": "mask.tif", "values": {4: "vegetation", 7: "landslide"}})
    )
    np.testing.assert_array_equal(
        read_layer(folder / "label.tif").values, np.select([codes == 4, codes == 7], [3, 1], 255)
    )
    assert read_layer(folder / "instances.tif").values.max() == 1
    write_shapes(raw / "landslides.gpkg", [])
    write_raster(
        raw / "rgb.tif", np.where(np.arange(60)[:, None] < 6, 0, image()).astype(np.uint8), GRID, nodata=0
    )
    build_scene_layers(record(), raw, tmp_path / "terrain", tmp_path / "calm")
    label = read_layer(tmp_path / "calm" / "label.tif").values
    assert (label[:6] == 255).all() and (label[6:] == 0).all()
    described = {layer["name"]: layer.get("classes") for layer in read_manifest(tmp_path / "calm")["layers"]}
    # as polygons give them
    assert described["label"] == {"0": "not a landslide", "1": "landslide", "255": "unmapped"}


def test_nothing_is_left_where_a_file_is_unfit(raw, tmp_path):
    (raw / "landslides.gpkg").unlink()
    with pytest.raises(HeadscarpError, match=r"landslides\.gpkg does not exist"):
        build_scene_layers(record(), raw, None, tmp_path / "layers")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw"]
