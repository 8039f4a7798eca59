"""Sets of patches: small ones made in each published format, read to one cube, split by whole patches, and
drawn as windows."""

import csv
import dataclasses
import json

import h5py
import numpy as np
import pytest
import rasterio
import xarray
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import block_reduce

from headscarp.codes import LANDSLIDE, NOT_LANDSLIDE, TEST, TRAIN, UNMAPPED, UNUSED, VALIDATION
from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.mapping.predict import ALIGNMENT, predict_patches
from headscarp.samples.build import build_samples
from headscarp.samples.patch_split import ground_squares, patch_split
from headscarp.samples.patches import PlacedPatch, read_patches
from headscarp.samples.spec import SamplingSpec
from headscarp.samples.windows import read_windows
from headscarp.schema import validate
from headscarp.site.cube import open_cube
from headscarp.site.patch_sheet import GAP, Sheet, build_patch_set, build_sheet, joined_label
from headscarp.sources.patch_sets import landslide4sense as landslide4sense_format
from headscarp.sources.patch_sets.ground import tells_in_part
from headscarp.sources.patch_sets.patch import Channel, Patch, Pixels, label_of_mask
from headscarp.sources.patch_sets.registry import open_patch_set
from headscarp.training.windows import open_normalised, open_samples
from headscarp.yaml_files import read_yaml
from tests.conftest import REPOSITORY
from tests.site_files import truncate, write_picture, write_raster

SIDE = 16
SPLIT_OF = {"TrainData": "train", "ValidData": "validation", "TestData": "test"}
REAL_PATCH = "data/sen12_emilia"


def a_mask(number, side=SIDE):
    """A mask (row, col) with one slide at a place that tells the number."""
    mask = np.zeros((side, side), np.uint8)
    mask[2 : 4 + number % 3, 3 : 6 + number % 5] = 1
    return mask


def build(raw, out, **record):
    build_patch_set({"name": "set", "data": "real"} | record, raw, out)
    with open(out / "patches.csv", newline="", encoding="utf-8") as stream:
        return open_cube(out), {line["patch"]: line for line in csv.DictReader(stream)}


def cut(array, line):
    """The part of a sheet that a line of patches.csv tells."""
    row, col, height, width = (int(line[key]) for key in ("row", "col", "height", "width"))
    return array[..., row : row + height, col : col + width]


def write_h5(path, name, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file[name] = values


def landslide4sense(folder, counts=(("TrainData", 4), ("ValidData", 2), ("TestData", 3)), masked=SPLIT_OF):
    """The layout of the archive: {patch: image (row, col, 14)}."""
    rng, images = np.random.default_rng(3), {}
    for subset, count in counts:
        for number in range(1, count + 1):
            image = images[f"{subset}_{number}"] = rng.normal(size=(SIDE, SIDE, 14))
            write_h5(folder / subset / "img" / f"image_{number}.h5", "img", image)
            if subset in masked:
                write_h5(folder / subset / "mask" / f"mask_{number}.h5", "mask", a_mask(number))
    return images


def test_landslide4sense_comes_back_exactly(tmp_path):
    images = landslide4sense(
        tmp_path / "raw" / "data", counts=(("TrainData", 10), ("ValidData", 2), ("TestData", 3))
    )
    cube, lines = build(tmp_path / "raw", tmp_path / "cube", format="landslide4sense")
    assert list(lines)[:10] == [f"TrainData_{number}" for number in range(1, 11)]  # 10 behind 9
    assert cube.channels == [
        "coastal",
        "blue",
        "green",
        "red",
        "red_edge1",
        "red_edge2",
        "red_edge3",
        "nir",
        "water_vapour",
        "cirrus",
        "swir1",
        "swir2",
        "slope",
        "elevation",
    ]
    outside, numbers = np.ones(cube.label.shape, bool), []
    for name, image in images.items():
        line, subset = lines[name], name.split("_")[0]
        np.testing.assert_array_equal(cut(cube.values, line)[0], image.transpose(2, 0, 1).astype(np.float32))
        np.testing.assert_array_equal(cut(cube.label, line), a_mask(int(name.split("_")[1])))
        np.testing.assert_array_equal(cut(cube.instances, line) > 0, cut(cube.label, line) == 1)
        numbers += np.unique(cut(cube.instances, line))[1:].tolist()
        assert (
            line["split"] == SPLIT_OF[subset] and line["mapped"] == "1" and line["crs"] == line["group"] == ""
        )
        assert line["source"] == f"data/{subset}/img/image_{name.split('_')[1]}.h5"
        cut(outside, line)[...] = False
    assert sorted(numbers) == list(range(1, 16))  # one slide in each, numbered on
    assert outside.sum() == cube.label.size - 15 * SIDE**2  # patches do not overlap
    assert (
        np.isnan(cube.values[:, :, outside]).all()
        and (cube.label[outside] == UNMAPPED).all()
        and not cube.instances[outside].any()
    )
    header = cube.header
    assert (
        header["site"] == "set"
        and header["data"] == "real"
        and len(header["dates"]) == 1
        and header["classes"] is None
    )
    assert header["patches"] == {"count": 15, "gap": GAP}
    assert (
        header["grid"]["transform"] == [10, 0, 0, 0, -10, 0]
        and "no place on Earth" in header["notes"][0]
        and len(header["notes"]) == 1
    )
    assert header["channels"][7] == {
        "name": "nir",
        "units": "1",
        "source": "Sentinel-2 B08, rescaled by the authors",
        "dated": False,
        "masked": False,
    }


L4S = "data/l4s_14band_samples"
MOSAICS = "data/l4s_four_regions"


def test_real_patches_of_landslide4sense_have_the_bands_of_their_names(real_data, tmp_path):
    """Infrared bands beside each other are alike, cirrus sees no ground, and the slope is that of the
    elevations."""
    samples = real_data(L4S)
    for kind, prefix in (("img", "image_"), ("mask", "mask_")):
        (tmp_path / "TrainData" / kind).mkdir(parents=True)
        for path in samples.glob(f"{prefix}*.h5"):
            (tmp_path / "TrainData" / kind / path.name).symlink_to(path)
    cube, lines = build(tmp_path, tmp_path / "cube", format="landslide4sense")
    assert list(lines) == [f"TrainData_{number}" for number in (42, 168, 1002, 3520, 3597, 3645)]
    for line in lines.values():
        layers = dict(zip(cube.channels, cut(cube.values, line)[0], strict=True))

        def likeness(one, other, layers=layers):
            return np.corrcoef(layers[one].ravel(), layers[other].ravel())[0, 1]

        assert likeness("red_edge3", "nir") > 0.85 and likeness("swir1", "swir2") > 0.85
        assert likeness("water_vapour", "nir") > 0.6 > 0.5 > likeness("cirrus", "nir")
        layers["steepness"] = np.hypot(*np.gradient(layers["elevation"]))
        assert likeness("slope", "steepness") > 0.7


def test_a_real_patch_of_landslide4sense_is_that_of_the_mosaic_put_together_from_pictures(real_data):
    samples, mosaics = real_data(L4S), real_data(MOSAICS)
    found = landslide4sense_format.read_pixels(samples / "image_3597.h5", samples / "mask_3597.h5")
    bands = dict(zip(landslide4sense_format.BANDS, found.values[0], strict=False))
    with rasterio.open(mosaics / "kodagu_s2_rgb.tif") as source:
        window = rasterio.windows.Window(5 * 128, 11 * 128, 128, 128)  # patches.csv
        mosaic = source.read(window=window)
    with rasterio.open(mosaics / "kodagu_label.tif") as source:
        np.testing.assert_array_equal(found.label, source.read(1, window=window))
    for name, ours in zip(("red", "green", "blue"), mosaic, strict=True):
        assert np.corrcoef(bands[name].ravel(), ours.ravel())[0, 1] > 0.995
        assert np.median(ours / 60 / bands[name]) == pytest.approx(1, abs=0.05)


def test_archives_may_unpack_into_folders_of_their_own(tmp_path):
    landslide4sense(tmp_path / "plain")
    for subset in SPLIT_OF:
        (tmp_path / "raw" / subset).mkdir(parents=True)
        (tmp_path / "plain" / subset).rename(tmp_path / "raw" / subset / subset)
    _, lines = build(tmp_path / "raw", tmp_path / "cube", format="landslide4sense")
    assert len(lines) == 9 and lines["TestData_3"]["source"] == "TestData/TestData/img/image_3.h5"
    (tmp_path / "raw/copy/TrainData/img").mkdir(parents=True)
    with pytest.raises(
        HeadscarpError, match=r"has several folders 'TrainData' \(TrainData/TrainData, copy/TrainData\)"
    ):
        build(tmp_path / "raw", tmp_path / "cube", format="landslide4sense")


def test_patches_without_masks_are_never_scored(tmp_path):
    images = landslide4sense(tmp_path / "raw", masked=("TrainData",))
    images["TrainData_1"][3, 4, 5] = np.inf
    write_h5(tmp_path / "raw/TrainData/img/image_1.h5", "img", images["TrainData_1"])
    (tmp_path / "raw/TrainData/mask/mask_2.h5").unlink()
    cube, lines = build(tmp_path / "raw", tmp_path / "cube", format="landslide4sense")
    assert np.argwhere(np.isnan(cut(cube.values, lines["TrainData_1"]))).tolist() == [[0, 5, 3, 4]]
    bare = {name for name, line in lines.items() if line["mapped"] == "0"}
    assert bare == {"TrainData_2", "ValidData_1", "ValidData_2", "TestData_1", "TestData_2", "TestData_3"}
    assert all((cut(cube.label, lines[name]) == UNMAPPED).all() for name in bare)
    assert cube.header["notes"][1:] == [
        "1 of 4 train patches have no mask: they are unmapped and never scored",
        "2 of 2 validation patches have no mask: they are unmapped and never scored",
        "3 of 3 test patches have no mask: they are unmapped and never scored",
    ]
    spec = SamplingSpec.from_record({"window": 8, "stride": 8, "split": {"kind": "patches"}})
    with pytest.raises(
        HeadscarpError,
        match=r"validation has no patch with a landslide.*published no masks.*protocol blocked",
    ):
        build_samples(tmp_path / "cube", tmp_path / "published", spec, "published", 0)
    build_samples(tmp_path / "cube", tmp_path / "blocked", spec, "blocked", 0)
    regions = np.load(tmp_path / "blocked/regions.npy")
    assert sorted(int(cut(regions, line).max()) for name, line in lines.items() if name not in bare) == [
        TRAIN,
        VALIDATION,
        TEST,
    ]
    assert not any(cut(regions, lines[name]).any() for name in bare)


def spoil_landslide4sense(raw, how):
    image, mask = raw / "TrainData/img/image_2.h5", raw / "TrainData/mask/mask_2.h5"
    match how:
        case "truncated":
            truncate(image)
        case "bands":
            write_h5(image, "img", np.zeros((SIDE, SIDE, 13)))
        case "size":
            write_h5(image, "img", np.zeros((SIDE, SIDE + 2, 14)))
        case "dataset":
            write_h5(image, "image", np.zeros((SIDE, SIDE, 14)))
        case "mask size":
            write_h5(mask, "mask", np.zeros((SIDE, SIDE - 1)))
        case "mask values":
            write_h5(mask, "mask", np.arange(SIDE**2).reshape(SIDE, SIDE) % 3)
        case "no image":
            image.unlink()
        case "no training":
            (raw / "TrainData").rename(raw / "Train")
        case "empty":
            for path in raw.glob("TestData/*/*"):
                path.unlink()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("truncated", r"image_2.h5 cannot be read .* truncated or no HDF5"),
        ("bands", r"image_2.h5: 'img' has the shape \(16, 16, 13\); it must be \(row, col, 14\)"),
        (
            "size",
            r"image_2.h5: the patch 'TrainData_2' has the shape \(1, 14, 16, 18\).* the first, "
            r"'TrainData_1', \(1, 14, 16, 16\)",
        ),
        ("dataset", r"image_2.h5 has no data set 'img' \(it holds image\)"),
        ("mask size", r"the mask of the patch 'TrainData_2' has the shape \(16, 15\), its image \(16, 16\)"),
        ("mask values", r"mask_2.h5 holds the values 0, 1, 2; a mask must hold 0 and 1, or 0 and 255"),
        ("no image", r"TrainData: the mask '2' and 0 more have no image"),
        ("no training", r"has no folder 'TrainData' \(it holds TestData, Train, ValidData\); unpack"),
        ("empty", r"TestData holds no img/image_<number>.h5"),
    ],
)
def test_unfit_files_are_refused_and_nothing_is_left(tmp_path, how, message):
    landslide4sense(tmp_path / "raw")
    spoil_landslide4sense(tmp_path / "raw", how)
    with pytest.raises(HeadscarpError, match=message):
        build(tmp_path / "raw", tmp_path / "cube", format="landslide4sense")
    assert not list((tmp_path / "cube").glob("*"))


@pytest.mark.parametrize("values", [{0, 1}, {0, 255}, {0}, {1}, {255}])
def test_masks_of_0_and_1_and_of_0_and_255_mean_the_same(values):
    mask = np.array([sorted(values) * 4], np.uint8)
    np.testing.assert_array_equal(label_of_mask(mask, "m"), mask > 0)
    np.testing.assert_array_equal(label_of_mask(mask[..., None], "m"), mask > 0)


@pytest.mark.parametrize(
    "mask", [np.array([[1, 255]]), np.array([[0, np.nan]]), np.array([[0, 0.5]]), np.array([[-1, 0]])]
)
def test_other_masks_are_refused(mask):
    with pytest.raises(HeadscarpError, match="a mask must hold"):
        label_of_mask(mask, "m")


def test_hr_gldd_comes_back_exactly(tmp_path):
    rng, raw = np.random.default_rng(4), tmp_path / "raw"
    raw.mkdir()
    arrays = {}
    for subset, count in (("train", 3), ("val", 2), ("test", 2)):
        arrays[subset] = (
            rng.uniform(size=(count, SIDE, SIDE, 4)),
            np.stack([a_mask(number) for number in range(count)])[..., None],
        )
        for letter, array in zip("XY", arrays[subset], strict=True):
            np.save(raw / f"{subset}{letter}.npy", array)
    cube, lines = build(raw, tmp_path / "cube", format="hr_gldd", resolution_m=3.125)
    assert cube.channels == ["blue", "green", "red", "nir"] and cube.header["grid"]["transform"][0] == 3.125
    assert {line["split"] for line in lines.values()} == {"train", "validation", "test"}
    for subset, (images, masks) in arrays.items():
        for index, (image, mask) in enumerate(zip(images, masks, strict=True)):
            line = lines[f"{subset}_{index}"]
            np.testing.assert_array_equal(
                cut(cube.values, line)[0], np.moveaxis(image, 2, 0).astype(np.float32)
            )
            np.testing.assert_array_equal(cut(cube.label, line), mask[..., 0])
            assert line["source"] == f"{subset}X.npy[{index}]"
    np.save(raw / "valY.npy", arrays["val"][1][:1])
    with pytest.raises(
        HeadscarpError, match=r"valY.npy has the shape \(1, 16, 16, 1\), valX.npy \(2, 16, 16, 4\)"
    ):
        build(raw, tmp_path / "cube", format="hr_gldd")
    truncate(raw / "testX.npy")
    np.save(raw / "valY.npy", arrays["val"][1])
    with pytest.raises(HeadscarpError, match=r"testX.npy is not a whole array"):
        build(raw, tmp_path / "cube", format="hr_gldd")
    (raw / "trainX.npy").unlink()
    with pytest.raises(HeadscarpError, match=r"no trainX.npy"):
        build(raw, tmp_path / "cube", format="hr_gldd")


def write_png(path, bands):
    with rasterio.open(
        path, "w", driver="PNG", count=len(bands), height=SIDE, width=SIDE, dtype="uint8"
    ) as target:
        target.write(bands)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_gdcld_keeps_events_and_reads_png_and_geotiff(tmp_path):
    rng, raw = np.random.default_rng(5), tmp_path / "raw"
    image = {}
    for subset, event, number in (
        ("train_data", "luding", 1),
        ("train_data", "luding", 2),
        ("val_data", "nippes", 1),
        ("test_data", "palu", 1),
    ):
        folder = raw / subset / event
        for kind in ("images", "labels"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
        values = image[f"{event}_{number}"] = rng.integers(1, 255, (3, SIDE, SIDE), dtype=np.uint8)
        if event == "palu":  # with a place, a nodata value and a mask of colours
            values[:, 0, 0] = 0
            write_raster(folder / "images" / f"{number}.tif", values, nodata=0)
            write_png(folder / "labels" / f"{number}.png", np.stack([a_mask(number) * 255] * 3))
        else:
            write_png(folder / "images" / f"{number}.png", values)
            write_png(folder / "labels" / f"{number}.png", a_mask(number)[None])
    cube, lines = build(raw, tmp_path / "cube", format="gdcld", masks="labels")
    assert cube.channels == ["red", "green", "blue"]
    assert [(line["split"], line["group"], line["crs"]) for line in lines.values()] == [
        ("train", "luding", ""),
        ("train", "luding", ""),
        ("validation", "nippes", ""),
        ("test", "palu", "EPSG:32649"),
    ]
    for line in lines.values():
        number = line["source"][-5]
        expected = image[f"{line['group']}_{number}"].astype(np.float32)
        if line["group"] == "palu":
            expected[:, 0, 0] = np.nan
        np.testing.assert_array_equal(cut(cube.values, line)[0], expected)
        np.testing.assert_array_equal(cut(cube.label, line), a_mask(int(number)))
    assert lines["test_data_palu_images_1"]["transform"] == "15 0 500000 0 -15 3400000"
    assert cube.header["notes"][1] == (
        "cells of some patches have other sizes (15 m) than 3 m; areas are counted in cells of that size"
    )
    with pytest.raises(HeadscarpError, match=r"train_data holds no image .* in a folder 'img'"):
        build(raw, tmp_path / "cube", format="gdcld", images="img")
    with pytest.raises(HeadscarpError, match=r"has no folder 'training'"):
        build(raw, tmp_path / "cube", format="gdcld", masks="labels", subsets={"train": "training"})
    truncate(raw / "test_data/palu/images/1.tif", 0.1)
    with pytest.raises(HeadscarpError, match=r"1.tif cannot be read"):
        build(raw, tmp_path / "cube", format="gdcld", masks="labels")


def cas(raw, areas=("moxi_uav", "palu_sat", "hokkaido_sat"), count=2):
    rng = np.random.default_rng(6)
    for area in areas:
        for kind in ("img", "mask", "label"):
            (raw / "CAS" / area / kind).mkdir(parents=True)
        for number in range(count):
            write_raster(
                raw / "CAS" / area / "img" / f"{area}{number}.tif",
                rng.integers(0, 255, (3, SIDE, SIDE), dtype=np.uint8),
            )
            write_raster(raw / "CAS" / area / "mask" / f"{area}{number}.tif", a_mask(number))
            write_raster(raw / "CAS" / area / "label" / f"{area}{number}.tif", a_mask(number) * 255)


def test_cas_takes_the_named_areas(tmp_path):
    cas(tmp_path / "raw")
    areas = {"train": ["palu_sat"], "test": ["moxi_uav"]}
    cube, lines = build(tmp_path / "raw", tmp_path / "cube", format="cas", areas=areas, resolution_m=15)
    assert [(line["split"], line["group"]) for line in lines.values()] == [("train", "palu_sat")] * 2 + [
        ("test", "moxi_uav")
    ] * 2
    for line in lines.values():
        with rasterio.open(tmp_path / "raw" / line["source"]) as source:
            np.testing.assert_array_equal(cut(cube.values, line)[0], source.read())
    assert len(cube.header["notes"]) == 1


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({}, r"the key 'areas' is missing; add it .Folders of areas by subset"),
        ({"areas": {"train": ["palu_sat"], "test": ["palu_sat"]}}, r"areas: 'palu_sat' is named twice"),
        ({"areas": {"train": ["palu"]}}, r"has no folder 'palu'"),
        ({"areas": {"training": ["palu_sat"]}}, r"areas: unknown key 'training'; did you mean 'train'"),
        ({"format": "cass"}, r"format: 'cass' does not exist; did you mean 'cas'"),
        ({"task": "a"}, r"patch_set: unknown key 'task'"),
        (
            {"resolution_m": 0, "areas": {"train": ["palu_sat"]}},
            r"resolution_m: 0 will not do; it must be a number above 0",
        ),
    ],
)
def test_unfit_records_are_refused(tmp_path, record, message):
    cas(tmp_path / "raw", count=1)
    with pytest.raises(HeadscarpError, match=message):
        build(tmp_path / "raw", tmp_path / "cube", **({"format": "cas"} | record))
    with pytest.raises(HeadscarpError, match="patch_set: the key 'format' is missing"):
        validate("patch_set", {}, "patch_set")


def write_sen12(path, seed, west=500_000.0, north=5_000_000.0, sensor="s2", dates=3):
    """A file as Sen12Landslides has them: dimensions (time, x, y); returns its variables (time, row, col)."""
    rng = np.random.default_rng(seed)
    names = (
        ["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"]
        if sensor == "s2"
        else ["VV", "VH"]
    )
    shape = (dates, SIDE, SIDE)
    arrays = {
        name: rng.integers(1, 9000, shape).astype(np.int16 if sensor == "s2" else np.float32)
        for name in names
    }
    if sensor == "s2":
        arrays["SCL"] = np.full(shape, 4, np.int16)
        arrays["SCL"][1, :, 5:9] = 9
    arrays["MASK"] = np.broadcast_to(a_mask(seed), shape)
    arrays["DEM"] = np.broadcast_to(rng.integers(0, 500, (SIDE, SIDE)).astype(np.int16), shape)
    data = xarray.Dataset(
        {
            name: (("time", "x", "y"), array.transpose(0, 2, 1), {"grid_mapping": "spatial_ref"})
            for name, array in arrays.items()
        },
        {
            "time": np.datetime64("2023-01-01", "ns") + np.arange(dates) * np.timedelta64(30, "D"),
            "x": west + 5 + 10.0 * np.arange(SIDE),
            "y": north - 5 - 10.0 * np.arange(SIDE),
        },
        {"event_date": "2023-02-15"},
    )
    data["spatial_ref"] = xarray.DataArray(0, attrs={"crs_wkt": rasterio.crs.CRS.from_epsg(32632).to_wkt()})
    path.parent.mkdir(parents=True, exist_ok=True)
    data.to_netcdf(path, engine="h5netcdf")
    return arrays


def test_sen12landslides_comes_back_turned_and_without_clouds(tmp_path):
    raw = tmp_path / "raw"
    arrays = {
        f"italy_{n}": write_sen12(raw / "s2" / f"italy_s2_{n}.nc", n, west=500_000.0 + 160 * n)
        for n in (1, 2, 10)
    }
    write_sen12(raw / "s1asc" / "italy_s1asc_1.nc", 1, sensor="s1asc")
    task = {
        "train": ["s2/italy_s2_1.nc"],
        "val": [{"s2": "x/italy_s2_2.nc", "s1asc": "x/italy_s1asc_2.nc"}],
        "test": ["italy_s2_10.nc"],
    }
    (raw / "task.json").write_text(json.dumps(task))
    cube, lines = build(raw, tmp_path / "cube", format="sen12landslides", sensor="s2", task="task.json")
    assert [(line["patch"], line["split"], line["group"]) for line in lines.values()] == [
        ("italy_1", "train", "italy"),
        ("italy_2", "validation", "italy"),
        ("italy_10", "test", "italy"),
    ]
    assert cube.values.shape[:2] == (3, 11) and cube.header["dates"] == ["image 1", "image 2", "image 3"]
    assert (
        cube.header["channels"][0]["dated"]
        and cube.header["channels"][0]["masked"]
        and not cube.header["channels"][10]["dated"]
    )
    for name, variables in arrays.items():
        values = cut(cube.values, lines[name])
        for channel, band in (("blue", "B02"), ("nir_narrow", "B8A"), ("swir2", "B12")):
            expected = variables[band].astype(np.float32) * np.float32(1e-4)
            expected[1, :, 5:9] = np.nan
            np.testing.assert_array_equal(values[:, cube.channels.index(channel)], expected)
        np.testing.assert_array_equal(values[:, 10], variables["DEM"])
        np.testing.assert_array_equal(cut(cube.label, lines[name]), variables["MASK"][0])
    assert (
        lines["italy_10"]["transform"] == "10 0 501600 0 -10 5000000"
        and lines["italy_10"]["crs"] == "EPSG:32632"
    )
    (raw / "one.json").write_text(json.dumps({"train": ["italy_s1asc_1.nc"]}))
    radar, _ = build(raw, tmp_path / "radar", format="sen12landslides", sensor="s1asc", task="one.json")
    assert radar.channels == ["vv", "vh", "elevation"] and [
        one["units"] for one in radar.header["channels"]
    ] == ["dB", "dB", "m"]


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (
            {"train": ["italy_s2_1.nc", "italy_s2_7.nc"]},
            r"lists 2 patches, of which 1 have no file of s2 in .*'italy_7' among them",
        ),
        (
            {"train": ["italy_s2_1.nc"], "test": ["italy_s1asc_1.nc"]},
            r"lists the patch 'italy_1' as train and as test",
        ),
        ({"training": []}, r"subset 'training' does not exist; did you mean 'train'"),
        ([], r"task.json is no task"),
    ],
)
def test_unfit_tasks_of_sen12landslides_are_refused(tmp_path, task, message):
    write_sen12(tmp_path / "italy_s2_1.nc", 1)
    (tmp_path / "task.json").write_text(json.dumps(task))
    with pytest.raises(HeadscarpError, match=message):
        build(tmp_path, tmp_path / "cube", format="sen12landslides", sensor="s2", task="task.json")


def test_a_real_patch_of_sen12landslides_lies_as_the_file_says(real_data, tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    for sensor in ("s2", "s1asc"):
        (raw / f"italy_{sensor}_4120.nc").symlink_to(real_data(f"{REAL_PATCH}/italy_{sensor}_4120.nc"))
    (raw / "task.json").write_text(json.dumps({"test": ["italy_s2_4120.nc"]}))
    cube, lines = build(raw, tmp_path / "cube", format="sen12landslides", sensor="s2", task="task.json")
    with h5py.File(raw / "italy_s2_4120.nc") as file:
        red, scl = (file[name][...].transpose(0, 2, 1) for name in ("B04", "SCL"))
        mask, dem = file["MASK"][0].T, file["DEM"][0].T
    line = lines["italy_4120"]
    assert line["transform"] == "10 0 705280 0 -10 4912640" and line["split"] == "test"
    values = cut(cube.values, line)
    clear = ~np.isin(scl, (0, 1, 3, 8, 9, 10, 11))
    np.testing.assert_array_equal(np.isnan(values[:, 2]), ~clear)
    np.testing.assert_allclose(values[:, 2][clear], red[clear] * 1e-4, rtol=1e-6)
    np.testing.assert_array_equal(values[0, -1], dem)
    np.testing.assert_array_equal(cut(cube.label, line), mask)
    assert (cut(cube.label, line) == 1).sum() == 631  # as the authors' table counts


def memory_patches(count, side=SIDE, group=None, place=None, masked=None):
    """Patches whose values are their number; `group`, `place` and `masked` (with a mask or not) are functions
    of it."""

    def one(number):
        label = (
            a_mask(number, side)
            if masked is None or masked(number)
            else np.full((side, side), UNMAPPED, np.uint8)
        )
        values = np.full((1, 1, side, side), number, np.float32)
        return Pixels(values, label, place(number) if place else None)

    return [
        Patch(
            f"p{n}",
            ("train", "validation", "test")[n % 3],
            group(n) if group else "",
            f"p{n}.tif",
            lambda n=n: one(n),
        )
        for n in range(count)
    ]


def write_sheet(folder, patches):
    build_sheet(patches, folder, "set", "real", [Channel("value", "1", "")], 10.0)
    return open_cube(folder), read_patches(folder / "patches.csv")


@given(st.lists(st.tuples(st.integers(1, 150), st.integers(1, 150)), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_patches_stand_apart(sizes):
    sheet = Sheet(sizes)
    around = np.zeros(sheet.shape, bool)
    for number, (height, width) in enumerate(sizes):
        down, across = sheet.area(number)
        assert down.start % GAP == across.start % GAP == 0
        assert (down.stop - down.start, across.stop - across.start) == (height, width)
        assert down.start >= GAP and down.stop + GAP <= sheet.shape[0]
        assert across.start >= GAP and across.stop + GAP <= sheet.shape[1]
        near = slice(down.start - GAP, down.stop), slice(across.start - GAP, across.stop)
        assert not around[near].any()
        around[near] = True


@given(
    count=st.integers(3, 12),
    side=st.integers(8, 40),
    window=st.integers(8, 40),
    share=st.floats(0.1, 1),
    protocol=st.sampled_from(["published", "blocked"]),
    seed=st.integers(0, 9),
)
@settings(max_examples=40, deadline=None)
def test_no_window_covers_two_patches(count, side, window, share, protocol, seed):
    window = min(window, side)
    sheet, label, patches = Sheet([(side, side)] * count), None, []
    label, number = np.full(sheet.shape, UNMAPPED, np.uint8), np.full(sheet.shape, -1)
    for n in range(count):
        row, col = sheet.corners[n]
        patches.append(
            PlacedPatch(f"p{n}", ("train", "validation", "test")[n % 3], "", row, col, side, side, "", None)
        )
        label[patches[-1].area], number[patches[-1].area] = a_mask(n, side), n
    spec = SamplingSpec(
        window,
        max(1, int(share * window)),
        split=SamplingSpec.from_record({"split": {"kind": "patches"}}).split,
    )
    split, _ = patch_split(label, spec, seed, patches, protocol)
    owners = {}
    for w in split.windows:
        found = np.unique(number[w.row : w.row + w.size, w.col : w.col + w.size])
        assert len(found) == 1 and found[0] >= 0
        owners.setdefault(int(found[0]), set()).add(w.split)
        code = {"train": TRAIN, "validation": VALIDATION, "test": TEST}[w.split]
        assert (split.regions[w.row : w.row + w.size, w.col : w.col + w.size] == code).all()
    assert all(len(splits) == 1 for splits in owners.values())
    tested = np.zeros(sheet.shape, bool)
    for w in split.windows:
        if w.split == "test":
            tested[w.row : w.row + w.size, w.col : w.col + w.size] = True
    # the windows of test cover all that is scored
    np.testing.assert_array_equal(tested, split.regions == TEST)
    if protocol == "published":
        assert all(splits == {patches[n].split} for n, splits in owners.items())


def subsets_of(regions, patches):
    return np.array([int(regions[patch.area].max()) for patch in patches])


@pytest.mark.parametrize(
    ("group", "kept"),
    [
        (lambda n: f"event{n % 3}", True),  # the published split, n % 3, is by these
        (lambda n: f"event{n // 6}", False),  # five events in all subsets
        (lambda n: "", False),
    ],
)
def test_blocked_keeps_a_split_by_region_and_else_never_parts_events(tmp_path, group, kept):
    cube, patches = write_sheet(tmp_path, memory_patches(30, group=group))
    spec = SamplingSpec.from_record({"window": 8, "stride": 4, "split": {"kind": "patches"}})
    published, _ = patch_split(cube.label, spec, 1, patches, "published")
    blocked, note = patch_split(cube.label, spec, 1, patches, "blocked")
    again, _ = patch_split(cube.label, spec, 1, patches, "blocked")
    np.testing.assert_array_equal(blocked.regions, again.regions)
    found = subsets_of(blocked.regions, patches)
    np.testing.assert_array_equal(subsets_of(published.regions, patches), [1 + n % 3 for n in range(30)])
    if kept:
        np.testing.assert_array_equal(blocked.regions, published.regions)
        assert "is by region" in note
        return
    assert (found != subsets_of(published.regions, patches)).any()
    shares = np.bincount(found, minlength=4) / len(found)
    assert (
        shares[TRAIN] == pytest.approx(0.6, abs=0.1)
        and shares[UNUSED] == 0
        and shares.min(initial=1, where=shares > 0) > 0.1
    )
    if group(0):
        for event in range(5):
            assert len(set(found[event * 6 : event * 6 + 6])) == 1
        assert "by the events" in note
    else:
        assert "neighbours on the ground" in note
        other, _ = patch_split(cube.label, spec, 2, patches, "blocked")
        assert (subsets_of(other.regions, patches) != found).any()  # another seed, another split


def test_a_split_by_region_without_masks_of_a_subset_is_drawn_anew(tmp_path):
    cube, patches = write_sheet(
        tmp_path, memory_patches(18, group=lambda n: f"event{n % 9}", masked=lambda n: n % 3 < 2)
    )
    spec = SamplingSpec.from_record({"window": 8, "stride": 8, "split": {"kind": "patches"}})
    with pytest.raises(
        HeadscarpError, match=r"published split of 18 patches: test has no patch with a landslide in its mask"
    ):
        patch_split(cube.label, spec, 0, patches, "published")
    split, note = patch_split(cube.label, spec, 0, patches, "blocked")
    assert "by the events" in note and set(np.unique(split.regions)) == {UNUSED, TRAIN, VALIDATION, TEST}
    one_event = [dataclasses.replace(patch, group="all") for patch in patches[:2]]
    with pytest.raises(
        HeadscarpError,
        match=r"blocked split of 2 patches: train, validation or test has no patch with a landslide",
    ):
        patch_split(cube.label, spec, 0, one_event, "blocked")


def test_neighbours_on_the_ground_stay_together_and_subsets_stay_apart(tmp_path):
    def place(number):  # a region of 12 x 12 patches without gaps, listed in a random order
        row, col = divmod(int(order[number]), 12)
        return Grid("EPSG:32632", Affine(10, 0, 160 * col, 0, -10, 4.8e6 - 160 * row), SIDE, SIDE)

    order = np.random.default_rng(0).permutation(144)
    cube, patches = write_sheet(tmp_path, memory_patches(144, place=place))
    spec = SamplingSpec.from_record(
        {"window": 16, "stride": 16, "split": {"kind": "patches", "neighbourhood": 3, "buffer": 10}}
    )
    split, note = patch_split(cube.label, spec, 0, patches, "blocked")
    assert "neighbours stay together" in note
    ground = np.zeros((12, 12), int)
    ground[np.unravel_index(order, (12, 12))] = subsets_of(split.regions, patches)
    assert set(np.unique(ground)) == {UNUSED, TRAIN, VALIDATION, TEST}
    for row in range(12):
        for col in range(12):
            around = ground[max(row - 1, 0) : row + 2, max(col - 1, 0) : col + 2]
            assert ground[row, col] == UNUSED or set(around.flat) <= {UNUSED, ground[row, col]}
    assert {w.split for w in split.windows} == {"train", "validation", "test"}
    squares = ground_squares(patches)
    assert set(squares[:, 2]) == {SIDE} and squares[:, :2].min() == 0 and squares[:, :2].max() == 11 * SIDE
    touching = SamplingSpec.from_record(
        {"window": 16, "stride": 16, "split": {"kind": "patches", "neighbourhood": 3, "buffer": 0}}
    )
    free, _ = patch_split(cube.label, touching, 0, patches, "blocked")
    ground[np.unravel_index(order, (12, 12))] = subsets_of(free.regions, patches)
    # squares of 3 x 3 in one subset each
    assert (np.ptp(ground.reshape(4, 3, 4, 3).swapaxes(1, 2).reshape(4, 4, 9), axis=2) == 0).all()
    assert (subsets_of(free.regions, patches) > 0).all()  # patches that touch are 0 pixels apart


def test_kinds_of_split_and_of_site_must_suit(tmp_path):
    write_sheet(tmp_path / "sheet", memory_patches(6))
    with pytest.raises(HeadscarpError, match=r"is a sheet of patches, but sampling.split.kind is blocks"):
        build_samples(
            tmp_path / "sheet",
            tmp_path / "samples",
            SamplingSpec.from_record({"window": 8, "stride": 8}),
            "blocked",
            0,
        )
    patches = SamplingSpec.from_record({"window": 32, "stride": 8, "split": {"kind": "patches"}})
    with pytest.raises(HeadscarpError, match=r"patches of 16 pixels are smaller than the window of 32"):
        build_samples(tmp_path / "sheet", tmp_path / "samples", patches, "published", 0)
    header = json.loads((tmp_path / "sheet/cube.json").read_text())
    del header["patches"]
    (tmp_path / "sheet/cube.json").write_text(json.dumps(header))
    with pytest.raises(HeadscarpError, match=r"kind is patches, but .* is no sheet of patches"):
        build_samples(tmp_path / "sheet", tmp_path / "samples", patches, "published", 0)
    with pytest.raises(
        HeadscarpError, match="neighbourhood: 0 will not do; it must be a whole number from 1"
    ):
        SamplingSpec.from_record({"split": {"kind": "patches", "neighbourhood": 0}})


def test_damaged_indices_and_odd_patches_are_refused(tmp_path):
    write_sheet(tmp_path, memory_patches(3))
    path = tmp_path / "patches.csv"
    text = path.read_text()
    path.write_text(text.replace("p1,validation", "p1,val"))
    with pytest.raises(
        HeadscarpError, match=r"split 'val' does not exist; known are: test, train, validation"
    ):
        read_patches(path)
    path.write_text(text[:-30])
    with pytest.raises(HeadscarpError, match=r"patches.csv is damaged"):
        read_patches(path)
    path.unlink()
    with pytest.raises(HeadscarpError, match=r"patches.csv does not exist; run the rule"):
        read_patches(path)
    with pytest.raises(HeadscarpError, match=r"site set: the set has no patch"):
        write_sheet(tmp_path, [])


def test_from_files_to_batches_and_a_map_of_single_patches(tmp_path):
    """The chain after the cube works as for any site, and a network maps each patch as it would alone."""
    import torch

    images = landslide4sense(tmp_path / "raw")
    cube, lines = build(tmp_path / "raw", tmp_path / "cube", format="landslide4sense")
    spec = SamplingSpec.from_record(
        {"window": 16, "stride": 16, "background_ratio": 1.0, "split": {"kind": "patches"}}
    )
    for protocol in ("published", "blocked"):
        folder = tmp_path / protocol
        build_samples(tmp_path / "cube", folder, spec, protocol, 0, [["nir", "slope"]])
        record = json.loads((folder / "samples.json").read_text())
        assert record["kind"] == "patches" and record["buffer"] is None
        assert record["overlap"] == dict.fromkeys(record["overlap"], 0.0)
        blocks = np.load(folder / "blocks.npy")
        assert [set(np.unique(cut(blocks, line))) for line in lines.values()] == [{n} for n in range(9)]
        assert (blocks >= 0).sum() == 9 * SIDE**2
    counts = json.loads((tmp_path / "published/samples.json").read_text())["counts"]
    assert {name: one["windows"] for name, one in counts.items()} == {"train": 4, "validation": 2, "test": 3}
    assert counts["test"]["pixels"] == 3 * SIDE**2
    assert counts["test"]["landslide_share"] == pytest.approx(np.mean([a_mask(n).mean() for n in (1, 2, 3)]))
    for window in read_windows(tmp_path / "published/windows.csv"):
        line = next(
            line
            for line in lines.values()
            if (int(line["row"]), int(line["col"])) == (window.row, window.col)
        )
        assert window.split == line["split"]

    samples = open_samples(tmp_path / "cube", tmp_path / "published", ["nir", "slope"])
    image, target, mask = samples.read("test", 1)
    values = np.stack([images["TestData_2"][..., 7], images["TestData_2"][..., 12]])
    statistics = json.loads((tmp_path / "published/samples.json").read_text())["normalisation"]
    mean, sd = (
        np.array([statistics[name][key] for name in ("nir", "slope")])[:, None, None]
        for key in ("mean", "sd")
    )
    np.testing.assert_allclose(image, (values - mean) / sd, atol=1e-5)
    np.testing.assert_array_equal(target, a_mask(2))
    assert mask.all()

    class Everywhere(torch.nn.Module):
        """A logit that depends on the whole window: what a network with global pooling may see."""

        def forward(self, image):
            return image.sum((1, 2, 3), keepdim=True).expand(-1, 1, *image.shape[2:]) / 100

    normalised = open_normalised(tmp_path / "cube", tmp_path / "published", ["nir", "slope"])
    parts = [patch.area for patch in read_patches(tmp_path / "cube/patches.csv")]
    found = list(predict_patches(Everywhere(), normalised, parts, torch.device("cpu")))
    assert [top for top, _ in found] == [0, *np.cumsum([strip.shape[1] for _, strip in found])[:-1]]
    probability = np.concatenate([strip[0] for _, strip in found])
    assert probability.shape == cube.label.shape
    for name, line in lines.items():
        own = np.stack([images[name][..., 7], images[name][..., 12]])
        beyond = -SIDE % ALIGNMENT  # a scene is mirrored up to the coarsest stride
        seen = np.pad((own - mean) / sd, ((0, 0), (0, beyond), (0, beyond)), mode="reflect")
        logit = seen.sum() / 100
        np.testing.assert_allclose(cut(probability, line), 1 / (1 + np.exp(-logit)), rtol=1e-4)
    assert np.isnan(probability[cube.label == UNMAPPED]).all() and (cube.label == LANDSLIDE).any()


def test_the_example_card_names_channels_and_windows_that_exist():
    card = read_yaml(REPOSITORY / "workflow/examples/landslide4sense.yaml")
    spec = SamplingSpec.from_record(card["sampling"])
    (site,) = card["sites"].values()
    validate("patch_set", site["patch_set"], "patch_set")
    known = {channel.name for channel in landslide4sense_format.CHANNELS}
    assert spec.kind == "patches" and spec.window == 128
    assert {name for group in card["inputs"].values() for name in group} <= known
    assert "mapping" not in card


# --- pictures and masks in two folders


def write_pictures(raw, count=6, side=16, suffix=".png", name="tile{0}_part{1}"):
    """Pictures of which two show one place; the third part of each is landslide."""
    rng = np.random.default_rng(5)
    pictures = {}
    for number in range(count):
        stem = name.format(number // 2, number % 2)
        values = rng.integers(0, 255, (3, side, side), dtype=np.uint8)
        mask = np.zeros((side, side), np.uint8)
        mask[: side // 3] = 1
        for folder, bands, ending in (("images", values, suffix), ("masks", mask[None], ".png")):
            write_picture(raw / folder / f"{stem}{ending}", bands)
        pictures[stem] = values, mask
    return pictures


def test_pictures_come_with_their_places_and_without_a_size(tmp_path):
    pictures = write_pictures(tmp_path / "raw")
    cube, lines = build(tmp_path / "raw", tmp_path / "cube", format="images", group="tile[0-9]+")
    assert {line["group"] for line in lines.values()} == {"tile0", "tile1", "tile2"}
    assert cube.header["patches"]["size_known"] is False
    assert any("size of a pixel is not known" in note for note in cube.header["notes"])
    for name, line in lines.items():
        values, mask = pictures[name.removeprefix("images_")]
        np.testing.assert_array_equal(cut(cube.values[0], line), values)
        np.testing.assert_array_equal(cut(cube.label, line), mask)


def test_a_picture_without_a_group_is_a_place_of_its_own(tmp_path):
    write_pictures(tmp_path / "raw", suffix=".jpg")
    _, lines = build(tmp_path / "raw", tmp_path / "cube", format="images", resolution_m=0.5)
    assert sorted(line["group"] for line in lines.values()) == sorted(
        name.removeprefix("images_") for name in lines
    )


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ("scene", r"'scene' does not fit the beginning of the name tile0_part0"),
        ("(", r"no regular expression"),
    ],
)
def test_a_group_that_names_no_place_is_refused(tmp_path, group, message):
    write_pictures(tmp_path / "raw")
    with pytest.raises(HeadscarpError, match=message):
        build(tmp_path / "raw", tmp_path / "cube", format="images", group=group)


def test_cells_are_joined_by_means_and_by_the_greater_part(tmp_path):
    pictures = write_pictures(tmp_path / "raw", side=16)
    cube, lines = build(tmp_path / "raw", tmp_path / "cube", format="images", resolution_m=0.5, join=4)
    assert cube.header["grid"]["transform"][0] == 2.0
    for name, line in lines.items():
        values, mask = pictures[name.removeprefix("images_")]
        expected = [[block_reduce(band, (4, 4), np.mean) for band in values]]
        np.testing.assert_allclose(cut(cube.values, line), expected, rtol=1e-6)
        np.testing.assert_array_equal(cut(cube.label, line), block_reduce(mask, (4, 4), np.mean) >= 0.5)
    with pytest.raises(HeadscarpError, match=r"of which 32 become one .*`size` larger"):
        build(tmp_path / "raw", tmp_path / "other", format="images", join=32)


def test_all_places_are_tested_once_by_folds_that_share_none(tmp_path):
    write_pictures(tmp_path / "raw", count=24)
    build(tmp_path / "raw", tmp_path / "cube", format="images", group="tile[0-9]+")
    record = {"window": 16, "stride": 16, "seeded_on_landslides": False}
    spec = SamplingSpec.from_record(record | {"split": {"kind": "patches", "folds": 3}})
    lines = read_patches(tmp_path / "cube/patches.csv")
    tested = []
    for fold in range(3):
        build_samples(tmp_path / "cube", tmp_path / f"fold{fold}", spec, "blocked", 0, fold=fold)
        regions = np.load(tmp_path / f"fold{fold}/regions.npy")
        subset = {line.name: int(regions[line.area].max()) for line in lines}
        by_place = {(line.group, subset[line.name]) for line in lines}
        assert len(by_place) == len({line.group for line in lines}) and set(subset.values()) == {1, 2, 3}
        tested += [name for name, code in subset.items() if code == 3]
        assert json.loads((tmp_path / f"fold{fold}/samples.json").read_text())["folds"] == 3
    assert sorted(tested) == sorted(line.name for line in lines)


SLIDES = {"images": "slide_images", "masks": "slide_masks", "values": {0: "not a landslide", 1: "landslide"}}
COVER = {
    "images": "cover_images",
    "masks": "cover_masks",
    "group": "tile[0-9]+",
    "values": {1: "building", 2: "vegetation", 5: "bare land", 255: "unlabelled"},
}


def write_two_sets(raw):
    """Nine pictures that tell landslides alone, and nine of three places and other sizes that tell the other
    classes."""
    rng = np.random.default_rng(3)
    for number in range(9):
        mask = np.zeros((32, 32), np.uint8)
        mask[: 4 + number] = 1
        write_picture(raw / f"slide_images/s{number}.png", rng.integers(0, 255, (3, 32, 32), np.uint8))
        write_picture(raw / f"slide_masks/s{number}.png", mask[None])
        size = 24 + 3 * number, 40
        mask = np.where(rng.random(size) < 0.2, 255, rng.choice([1, 2, 5], size)).astype(np.uint8)
        name = f"tile{number // 3}_part{number % 3}.png"
        write_picture(raw / "cover_images" / name, rng.integers(0, 255, (3, *size), np.uint8))
        write_picture(raw / "cover_masks" / name, mask[None])


def test_two_sets_stand_on_one_sheet_with_what_each_tells(tmp_path):
    write_two_sets(tmp_path / "raw")
    cube, lines = build(tmp_path / "raw", tmp_path / "cube", format="images", sets=[SLIDES, COVER])
    codes = {"slide": {NOT_LANDSLIDE, LANDSLIDE}, "cover": {0, 2, 3, UNMAPPED}}
    sizes = set()
    for name, line in lines.items():
        assert set(np.unique(cut(cube.label, line))) == codes[name.split("_")[0]]
        sizes.add((line["height"], line["width"]))
    assert len(sizes) == 10
    assert len({line["group"] for line in lines.values()}) == 9 + 3
    outside = np.ones(cube.label.shape, bool)
    for line in lines.values():
        cut(outside, line)[:] = False
    assert (cube.label[outside] == UNMAPPED).all() and np.isnan(cube.values[..., outside]).all()


def test_a_mask_may_have_mask_behind_the_name_of_its_picture(tmp_path):
    pictures = write_pictures(tmp_path / "raw")
    for path in sorted((tmp_path / "raw/masks").iterdir())[::2]:
        path.rename(path.with_stem(f"{path.stem}_mask"))
    cube, lines = build(tmp_path / "raw", tmp_path / "cube", format="images")
    for name, line in lines.items():
        np.testing.assert_array_equal(cut(cube.label, line), pictures[name.removeprefix("images_")][1])
    double = tmp_path / "raw/masks/tile0_part1_mask.png"
    double.write_bytes((tmp_path / "raw/masks/tile0_part1.png").read_bytes())
    with pytest.raises(
        HeadscarpError, match=r"tile0_part1\.png and tile0_part1_mask\.png, which stand for one mask"
    ):
        build(tmp_path / "raw", tmp_path / "other", format="images")


def test_not_a_landslide_is_the_background_where_no_other_class_is_named(tmp_path):
    write_two_sets(tmp_path / "raw")
    alone = SLIDES | {"values": {0: "not a landslide", 1: "landslide", 2: "not a landslide"}}
    cube, lines = build(tmp_path / "raw", tmp_path / "cube", format="images", **alone)
    assert {code for line in lines.values() for code in np.unique(cut(cube.label, line))} == {0, LANDSLIDE}
    assert not tells_in_part({"format": "images"} | alone)
    assert tells_in_part({"format": "images", "sets": [SLIDES, COVER]})


def test_patches_of_several_sizes_are_mapped_one_by_one(tmp_path):
    import torch

    class Mean(torch.nn.Module):
        """A logit that depends on the whole window."""

        def forward(self, image):
            return image.mean((1, 2, 3), keepdim=True).expand(-1, 1, *image.shape[2:])

    write_two_sets(tmp_path / "raw")
    cube, lines = build(tmp_path / "raw", tmp_path / "cube", format="images", sets=[SLIDES, COVER])
    spec = SamplingSpec.from_record({"window": 16, "stride": 16, "split": {"kind": "patches"}})
    build_samples(tmp_path / "cube", tmp_path / "samples", spec, "blocked", 0)
    normalised = open_normalised(tmp_path / "cube", tmp_path / "samples", ["red"])
    parts = [patch.area for patch in read_patches(tmp_path / "cube/patches.csv")]
    strips = predict_patches(Mean(), normalised, parts, torch.device("cpu"))
    probability = np.concatenate([strip[0] for _, strip in strips])
    assert probability.shape == cube.label.shape
    inside = np.zeros(probability.shape, bool)
    for line in lines.values():
        cut(inside, line)[:] = True
        assert len(np.unique(cut(probability, line))) == 1  # one window, of this patch alone
    np.testing.assert_array_equal(np.isnan(probability), ~inside)


def test_folds_of_several_classes_hold_all_of_them(tmp_path):
    write_two_sets(tmp_path / "raw")
    build(tmp_path / "raw", tmp_path / "cube", format="images", sets=[SLIDES, COVER])
    label = np.load(tmp_path / "cube/label.npy")
    record = {"window": 16, "stride": 16, "seeded_on_landslides": False}
    spec = SamplingSpec.from_record(
        record | {"split": {"kind": "patches", "folds": 3, "fractions": [0.4, 0.3, 0.3]}}
    )
    for fold in range(3):
        build_samples(tmp_path / "cube", tmp_path / f"fold{fold}", spec, "blocked", 0, fold=fold)
        regions = np.load(tmp_path / f"fold{fold}/regions.npy")
        assert all(
            set(np.unique(label[regions == code])) == {0, 1, 2, 3, NOT_LANDSLIDE} for code in (1, 2, 3)
        )


def test_a_value_that_nothing_names_is_refused(tmp_path):
    write_two_sets(tmp_path / "raw")
    lacking = COVER | {"values": {1: "building", 2: "vegetation"}}
    with pytest.raises(HeadscarpError, match=r"tile0_part0.png holds 5, 255, which patch_set, values"):
        build(tmp_path / "raw", tmp_path / "cube", format="images", sets=[SLIDES, lacking])


@given(
    label=arrays(np.uint8, (6, 9), elements=st.sampled_from([0, 1, 2, 5, NOT_LANDSLIDE, UNMAPPED])),
    join=st.sampled_from([2, 3]),
)
@settings(max_examples=60, deadline=None)
def test_joined_labels_are_what_most_of_their_cells_are(label, join):
    height, width = 6 // join, 9 // join
    cells = label[:, : width * join].reshape(height, join, width, join)
    found = joined_label(cells, join)
    for row in range(height):
        for col in range(width):
            cell = cells[row, :, col].ravel().tolist()
            mapped = [code for code in cell if code != UNMAPPED]
            if 2 * len(mapped) < join * join:
                assert found[row, col] == UNMAPPED
            elif 2 * mapped.count(LANDSLIDE) >= len(mapped):
                assert found[row, col] == LANDSLIDE
            else:
                most = max(mapped.count(code) for code in mapped if code != LANDSLIDE)
                assert mapped.count(found[row, col]) == most


def test_real_land_cover_of_dubai_is_split_by_tile(real_data):
    folder = real_data("data/dubai_landcover")
    values = {1: "building", 2: "vegetation", 3: "water", 4: "road", 5: "bare land", 255: "unlabelled"}
    found = open_patch_set({"format": "images", "group": "tile[0-9]+", "values": values}, folder)
    assert len(found.patches) == 54
    assert sorted({patch.group for patch in found.patches}) == [f"tile{number}" for number in range(1, 7)]
    pixels = found.patches[0].read()
    assert pixels.label.shape == found.patches[0].size == pixels.values.shape[2:]
    assert set(np.unique(pixels.label)) <= {0, 2, 3, 4, 5, UNMAPPED}


def test_real_aerial_scenes_of_sichuan(real_data):
    folder = real_data("data/sichuan_aerial_landslide")
    found = open_patch_set({"format": "images"}, folder)
    assert len(found.patches) == 36 and found.resolution_m is None
    pixels = found.patches[3].read()
    assert pixels.values.shape == (1, 3, 1024, 1024) and set(np.unique(pixels.label)) == {0, 1}
