"""Several dates: dated rasters, clouds and gaps from files to cube, collage and samples, against reads and
sums done by hand."""

import datetime
import json
import shutil
import tracemalloc

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.warp import transform as transform_points

from headscarp.codes import TEST, TRAIN
from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.geo.layer import Layer, read_layer
from headscarp.samples.build import build_samples, normalisation
from headscarp.samples.spec import SamplingSpec
from headscarp.samples.splits import refuse_close_subsets
from headscarp.samples.windows import Window, read_windows
from headscarp.site import stack
from headscarp.site.checks import check_record
from headscarp.site.collage import join_scenes
from headscarp.site.cube import open_cube
from headscarp.site.dates import files_by_date, rising_dates
from headscarp.site.layers import LayerFolder, build_layers
from headscarp.site.scene import check_scene
from headscarp.site.stack import build_cube
from tests.site_files import NORTH, WEST, make_grid, read_manifest, write_raster, write_shapes

# clear, cloudy, without files, and on another grid
DATES = ["2008-09-14", "2011-09-20", "2014-09-11", "2017-09-16"]
CLEAR, CLOUDY, ABSENT, MOVED = range(4)
GRID = make_grid(60, 90)
NEVER = (slice(20, 24), slice(40, 46))  # cloud at all dates
SNOW = 3  # a code of the masks that hides nothing
SLIDES = [(row, col) for row in range(4, 56, 12) for col in range(4, 84, 9)]


def in_degrees(grid, cell=0.00012, margin=4):
    """A grid in degrees that covers another with some margin."""
    west, south, east, north = grid.bounds
    x, y = transform_points(grid.crs, "EPSG:4326", [west, east, west, east], [south, south, north, north])
    west, north = min(x) - margin * cell, max(y) + margin * cell
    rows, cols = (
        int((edge - start) / step) + margin
        for edge, start, step in ((min(y), north, -cell), (max(x), west, cell))
    )
    return Grid("EPSG:4326", Affine(cell, 0, west, 0, -cell, north), rows, cols)


def centres(grid, crs):
    """x and y of the cells' centres in a CRS, (row, col) each."""
    col, row = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    x, y = grid.transform @ (col.ravel(), row.ravel())
    return (np.reshape(part, grid.shape) for part in transform_points(grid.crs, crs, x, y))


def plane(longitude, latitude):
    """Red and near infrared as linear functions of place, so that interpolation between cells is exact."""
    red = 0.2 + 8 * (longitude - 111) + 5 * (latitude - 30.7)
    return np.stack([red, 0.9 - red / 2]).astype(np.float32)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Folder of a site's raw files, layers and cube, its record, and the cube."""
    folder = tmp_path_factory.mktemp("series")
    raw, rng = folder / "raw", np.random.default_rng(3)
    raw.mkdir()
    for index, date in enumerate(DATES):
        if index == ABSENT:
            continue
        year, grid = date[:4], in_degrees(GRID) if index == MOVED else GRID
        bands = (
            plane(*centres(grid, "EPSG:4326"))
            if index == MOVED
            else rng.uniform(0.05, 0.6, (2, *grid.shape)).astype(np.float32)
        )
        if index == CLEAR:
            bands[:, 0, 0] = np.nan
        write_raster(raw / f"image_{year}.tif", bands, grid, grid.crs, nodata=np.nan, names=["red", "nir"])
        clouds = np.zeros(GRID.shape, np.uint8)
        clouds[NEVER] = 1
        if index == CLOUDY:
            clouds[30:50, 10:60], clouds[50:, 10:60], clouds[:5] = 1, 2, SNOW
        if index == MOVED:
            clouds[52:58, 70:80] = 2
        write_raster(raw / f"clouds_{year}.tif", clouds)
    for year in ("2008", "2011"):
        write_raster(raw / f"cover_{year}.tif", rng.integers(1, 3, GRID.shape).astype(np.uint8), nodata=0)
    write_raster(raw / "rain.tif", rng.uniform(300, 900, GRID.shape).astype(np.float32))
    corners = [(WEST + 15 * col, NORTH - 15 * row) for row, col in SLIDES]
    write_shapes(
        raw / "slides.gpkg",
        [shapely.box(x, y - 45, x + 45, y) for x, y in corners],
    )
    record = site_record()
    build_layers(record, raw, None, folder / "layers")
    build_cube(folder / "layers", folder / "cube")
    return folder, open_cube(folder / "cube")


def site_record(**changes):
    images, clouds = (
        {date: f"{name}_{date[:4]}.tif" for date in np.delete(DATES, ABSENT).tolist()}
        for name in ("image", "clouds")
    )
    dated = {"files": images, "units": "reflectance", "mask": {"files": clouds, "values": [1, 2]}}
    cover = {
        "files": {DATES[1]: "cover_2011.tif", DATES[0]: "cover_2008.tif"},
        "kind": "classes",
        "units": "class",
    }
    return {
        "name": "valley",
        "data": "twin",
        "grid": {"like": "image_2008.tif"},
        "dates": list(DATES),
        "rasters": {
            "red": dated | {"band": "red"},
            "nir": dated | {"band": "nir", "scale": 2},
            "cover": cover | {"classes": {1: "grass", 2: "rock"}},
            "rain": {"file": "rain.tif", "units": "mm/yr"},
        },
        "indices": {"ndvi": {"nir": "nir", "red": "red"}},
        "labels": {"landslides": "slides.gpkg"},
    } | changes


def read_by_hand(folder, year, band):
    """A band of an image with what its clouds hide as NaN, by rasterio alone."""
    with (
        rasterio.open(folder / "raw" / f"image_{year}.tif") as image,
        rasterio.open(folder / "raw" / f"clouds_{year}.tif") as clouds,
    ):
        codes = clouds.read(1)
        return np.where(
            (codes == 1) | (codes == 2),
            np.nan,
            image.read(band) if image.shape == codes.shape else np.ones(codes.shape),
        )


def test_layers_of_each_date(site):
    folder, _ = site
    manifest = read_manifest(folder / "layers")
    dated = [(record["name"], record.get("date"), record["path"]) for record in manifest["layers"]]
    images = [DATES[index] for index in (CLEAR, CLOUDY, MOVED)]
    wanted = [(name, date, f"{name}_{date}.tif") for name in ("red", "nir") for date in images]
    wanted += [("cover", date, f"cover_{date}.tif") for date in DATES[:2]] + [("rain", None, "rain.tif")]
    wanted += [("ndvi", date, f"ndvi_{date}.tif") for date in images] + [
        (name, None, f"{name}.tif") for name in ("label", "instances")
    ]
    assert dated == wanted
    layer = read_layer(folder / "layers" / "nir_2011-09-20.tif")
    assert layer.source == "image_2011.tif, band nir, times 2, no data where clouds_2011.tif is 1 or 2"
    moved = next(record for record in manifest["layers"] if record["path"] == "red_2017-09-16.tif")
    assert moved["effective_resolution_m"] == moved["resolution_m"] == 15


def test_values_of_the_cube_are_those_of_the_files(site):
    folder, cube = site
    assert cube.channels == ["red", "nir", "cover", "cover_1", "cover_2", "rain", "ndvi"]
    assert cube.values.shape == (4, 7, *GRID.shape) and cube.header["dates"] == DATES
    assert [one["name"] for one in cube.header["channels"] if one["dated"]] == [
        "red",
        "nir",
        "cover",
        "cover_1",
        "cover_2",
        "ndvi",
    ]
    assert [one["name"] for one in cube.header["channels"] if one["masked"]] == ["red", "nir", "ndvi"]
    red, nir, cover, grass, _, rain, _ = np.moveaxis(cube.values, 1, 0)
    for index in (CLEAR, CLOUDY):
        year = DATES[index][:4]
        np.testing.assert_array_equal(red[index], read_by_hand(folder, year, 1))
        np.testing.assert_array_equal(nir[index], read_by_hand(folder, year, 2).astype(np.float32) * 2)
        with rasterio.open(folder / "raw" / f"cover_{year}.tif") as source:
            np.testing.assert_array_equal(cover[index], source.read(1))
            np.testing.assert_array_equal(grass[index], source.read(1) == 1)
    assert np.isfinite(red[CLOUDY][:5]).all() and np.isnan(red[CLOUDY][30:, 10:60]).all()
    expected = np.where(
        np.isnan(read_by_hand(folder, "2017", 1)), np.nan, plane(*centres(GRID, "EPSG:4326"))[0]
    )
    # GDAL's approximate transformer errs by up to an eighth of a cell, which is 1e-3 of red long.
    np.testing.assert_allclose(red[MOVED], expected, atol=2e-4)
    for absent in (red[ABSENT], nir[ABSENT], cover[ABSENT], cover[MOVED], grass[MOVED]):
        assert np.isnan(absent).all()
    with rasterio.open(folder / "raw" / "rain.tif") as source:
        np.testing.assert_array_equal(rain, np.broadcast_to(source.read(1), rain.shape))


def test_an_index_of_every_date(site):
    folder, cube = site
    ndvi = cube.values[:, cube.positions(["ndvi"])[0]]
    for index in (CLEAR, CLOUDY):
        red, nir = (read_by_hand(folder, DATES[index][:4], band) for band in (1, 2))
        np.testing.assert_allclose(ndvi[index], (2 * nir - red) / (2 * nir + red), atol=1e-6)
    assert (
        np.isnan(ndvi[ABSENT]).all() and np.isfinite(ndvi[MOVED]).sum() == GRID.height * GRID.width - 24 - 60
    )


def test_what_each_date_shows_is_told(site):
    folder, cube = site
    manifest, cells = read_manifest(folder / "layers"), GRID.height * GRID.width
    never, clouded = 24, 30 * 50
    shares = [1 - (never + 1) / cells, 1 - (never + clouded) / cells, 0, 1 - (never + 60) / cells]
    assert [one["date"] for one in manifest["series"]] == DATES
    np.testing.assert_allclose([one["clear_share"] for one in manifest["series"]], shares, atol=1e-9)
    assert [one["missing"] for one in manifest["series"]] == [
        [],
        [],
        ["red", "nir", "cover", "ndvi"],
        ["cover"],
    ]
    assert manifest["never_clear_share"] == pytest.approx(never / cells)
    assert {key: cube.header[key] for key in ("series", "never_clear_share")} == {
        "series": manifest["series"],
        "never_clear_share": manifest["never_clear_share"],
    }
    notes = manifest["notes"]
    moved = [note for note in notes if "another grid" in note]
    assert len(moved) == 1 and moved[0].startswith(
        "image_2017.tif (2017-09-16) lies on another grid (EPSG:4326, cells of 0.00012, "
    )
    assert "than the files of other dates (EPSG:32649, cells of 15," in moved[0]
    assert (
        "red, nir, ndvi: missing at 2014-09-11" in notes
        and "cover: missing at 2014-09-11, 2017-09-16" in notes
    )
    assert f"2014-09-11 0.00%, 2017-09-16 {shares[3]:.2%}; 0.44% of the site is clear at no date" in notes[-1]


@pytest.mark.parametrize("shift", [{"west": WEST + 15}, {"cell": 7.5, "rows": 120, "cols": 180}])
def test_a_shifted_or_finer_date_is_reported(tmp_path, shift):
    for year, grid in (
        ("2008", GRID),
        ("2009", GRID),
        ("2010", make_grid(**{"rows": 60, "cols": 90} | shift)),
    ):
        write_raster(tmp_path / f"a_{year}.tif", np.ones(grid.shape, np.float32), grid)
    files = {f"{year}-01-01": f"a_{year}.tif" for year in (2008, 2009, 2010)}
    record = {"name": "x", "data": "twin", "grid": {"like": "a_2008.tif"}, "dates": list(files)}
    build_layers(
        record | {"rasters": {"a": {"files": files, "units": ""}}}, tmp_path, None, tmp_path / "layers"
    )
    reported = [note for note in read_manifest(tmp_path / "layers")["notes"] if "another grid" in note]
    assert len(reported) == 1 and reported[0].startswith("a_2010.tif (2010-01-01)")


def test_without_masks_any_dated_layer_tells_what_is_clear(tmp_path):
    folder = LayerFolder(tmp_path, GRID)
    half = np.where(np.arange(GRID.width) < 45, 1, np.nan).astype(np.float32) * np.ones(
        GRID.shape, np.float32
    )
    for name, values, date in (("a", half, DATES[0]), ("b", half[:, ::-1], DATES[0]), ("a", half, DATES[1])):
        folder.add(Layer(name, values, GRID, "1", "by hand"), date=date)
    folder.write_manifest("valley", "real", DATES[:2])
    manifest = read_manifest(tmp_path)
    assert [one["clear_share"] for one in manifest["series"]] == [1.0, 0.5] and manifest[
        "never_clear_share"
    ] == 0
    folder.write_manifest("valley", "real", DATES[:2], masked=["a"])
    assert [one["clear_share"] for one in read_manifest(tmp_path)["series"]] == [0.5, 0.5]


def test_a_mask_without_a_date_is_told_and_a_static_one_serves_all(tmp_path):
    codes = np.zeros(GRID.shape, np.uint8)
    codes[:6] = 1
    write_raster(tmp_path / "a.tif", np.ones(GRID.shape, np.float32))
    write_raster(tmp_path / "clouds.tif", codes)
    files = dict.fromkeys(DATES[:2], "a.tif")
    for number, mask in enumerate(({"files": {DATES[0]: "clouds.tif"}}, {"file": "clouds.tif"})):
        raster = {"files": files, "units": "", "mask": mask | {"values": [1]}}
        record = {
            "name": "x",
            "data": "twin",
            "grid": {"like": "a.tif"},
            "dates": DATES[:2],
            "rasters": {"a": raster},
        }
        build_layers(record, tmp_path, None, tmp_path / f"layers_{number}")
        hidden = [
            np.isnan(read_layer(tmp_path / f"layers_{number}" / f"a_{date}.tif").values).mean()
            for date in DATES[:2]
        ]
        told = (
            "a 2011-09-20: its mask has no file for this date; nothing is hidden"
            in read_manifest(tmp_path / f"layers_{number}")["notes"]
        )
        assert (hidden, told) == (([0.1, 0.0], True), ([0.1, 0.1], False))[number]


@pytest.mark.parametrize("nodata", [None, 0])
def test_a_mask_on_another_grid_may_declare_clear_as_nodata(tmp_path, nodata):
    codes = np.zeros((40, 60), np.uint8)
    codes[:, :10] = 4
    write_raster(tmp_path / "a.tif", np.ones(GRID.shape, np.float32))
    write_raster(tmp_path / "clouds.tif", codes, make_grid(40, 60, 22.5), nodata=nodata)
    raster = {"file": "a.tif", "units": "", "mask": {"file": "clouds.tif", "values": [4]}}
    record = {
        "name": "x",
        "data": "twin",
        "grid": {"like": "a.tif"},
        "dates": ["2008-01-01"],
        "rasters": {"a": raster},
    }
    build_layers(record, tmp_path, None, tmp_path / "layers")
    centre = (np.arange(GRID.width) + 0.5) * 15
    # the nearest cell of the mask is the one that holds the centre
    hidden = np.broadcast_to(centre < 10 * 22.5, GRID.shape)
    np.testing.assert_array_equal(np.isnan(read_layer(tmp_path / "layers" / "a.tif").values), hidden)
    assert "series" not in read_manifest(tmp_path / "layers")


def test_dates_of_yaml_are_normalised():
    day = datetime.date
    assert rising_dates([day(2008, 9, 14), "2011-09-20"], "dates") == ["2008-09-14", "2011-09-20"]
    files = files_by_date(
        {"2011-09-20": "b.tif", day(2008, 9, 14): "a.tif"}, ["2008-09-14", "2011-09-20"], "files"
    )
    assert list(files.items()) == [("2008-09-14", "a.tif"), ("2011-09-20", "b.tif")]


def test_a_date_of_two_files_is_refused():
    files = {DATES[0]: "a.tif", datetime.date.fromisoformat(DATES[0]): "b.tif"}
    with pytest.raises(HeadscarpError, match=f"{DATES[0]} stands twice; keep one of a.tif and b.tif"):
        files_by_date(files, DATES, "files")


def one_raster(**changes):
    raster = {"files": {DATES[0]: "image_2008.tif"}, "units": ""} | changes
    return {
        "rasters": {"a": {key: value for key, value in raster.items() if value is not None}},
        "indices": {},
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"dates": ["2008-09-14", "14.9.2011"]},
            "site valley, layers, dates, entry 2: '14.9.2011' will not do; it must be a day as year",
        ),
        ({"dates": ["2008-02-30"]}, r"'2008-02-30' will not do; it must be a day"),
        (
            {"dates": ["2011-09-20", "2008-09-14"]},
            "dates: 2008-09-14 stands after 2011-09-20; put the dates in rising order",
        ),
        ({"dates": ["2008-09-14", "2008-09-14"]}, "dates: '2008-09-14' stands twice; keep one"),
        ({"dates": ["2011-09-20", "2008-09-14", "2011-09-20"]}, "'2011-09-20' stands twice"),
        ({"dates": "2008-09-14"}, "dates: .* will not do; it must be a list of 1 or more"),
        (
            one_raster(files={"2011-09-21": "b.tif"}),
            "rasters, a, files: 2011-09-21 is not one of the site's dates, did you mean 2011-09-20",
        ),
        (
            one_raster(files={"2011-9": "b.tif"}),
            "rasters, a, files: the name '2011-9' will not do; it must be a day",
        ),
        (one_raster(files={}), "rasters, a, files: {} will not do"),
        (one_raster(file="image_2008.tif"), "rasters, a: both `file` and `files` are given"),
        (one_raster(files=None), "rasters, a: neither `file` nor `files` is given"),
        (
            one_raster(files=None, file="rain.tif"),
            "all rasters are the same at all 4 dates; give one of them `files`",
        ),
        (one_raster(mask={"file": "clouds_2008.tif"}), "rasters, a, mask: the key 'values' is missing"),
        (
            one_raster(mask={"file": "clouds_2008.tif", "values": []}),
            r"rasters, a, mask, values: \[\] will not do; it must be a list of 1 or more",
        ),
        (
            one_raster(mask={"file": "clouds_2008.tif", "values": ["cloud"]}),
            r"mask, values, entry 1: 'cloud' will not do; it must be a whole number",
        ),
        (one_raster(mask={"values": [1]}), "rasters, a, mask: neither `file` nor `files` is given"),
        (
            one_raster(mask={"files": {"2009-01-01": "c.tif"}, "values": [1]}),
            "mask, files: 2009-01-01 is not one of the site's dates",
        ),
        (
            one_raster(mask={"file": "c.tif", "value": [1]}),
            "mask: unknown key 'value'; did you mean 'values'",
        ),
        (
            one_raster(files=None, file="rain.tif", mask={"files": {DATES[0]: "c.tif"}, "values": [1]}),
            "a mask of `files` belongs to a raster of `files`",
        ),
        (one_raster(files={DATES[0]: "gone.tif"}), r"gone\.tif does not exist"),
        (one_raster(mask={"file": "gone.tif", "values": [1]}), r"gone\.tif does not exist"),
        (
            one_raster(mask={"file": "rain.tif", "values": [1]}),
            r"rain\.tif holds classes as float32; convert it to integers",
        ),
        (
            one_raster(files={DATES[0]: "beside.tif"}),
            r"beside\.tif covers 0% of the site, check its CRS and extent",
        ),
        (
            one_raster(mask={"file": "beside.tif", "values": [1]}),
            r"beside\.tif covers 0% of the site, check its CRS and extent",
        ),
    ],
)
def test_a_bad_series_is_refused_and_leaves_nothing(site, tmp_path, changes, message):
    beside = site[0] / "raw" / "beside.tif"
    if not beside.exists():
        write_raster(beside, np.ones(GRID.shape, np.uint8), make_grid(60, 90, west=WEST + 1e5))
    with pytest.raises(HeadscarpError, match=message):
        build_layers(site_record(**changes), site[0] / "raw", None, tmp_path / "layers")
    assert list(tmp_path.iterdir()) == []


def test_an_index_needs_a_date_that_all_its_layers_have():
    record = site_record()
    record["rasters"]["nir"] = record["rasters"]["nir"] | {"files": {DATES[2]: "image_2014.tif"}}
    with pytest.raises(HeadscarpError, match="indices, ndvi: nir and red have no date in common"):
        check_record(record)


def test_a_users_scene_has_one_file(tmp_path):
    rasters = {
        name: {"files": {"2008-09-14": "rgb.tif"}, "band": band, "units": ""}
        for band, name in enumerate(("red", "green", "blue"), 1)
    }
    record = {
        "name": "mine",
        "data": "real",
        "grid": {"like": "rgb.tif"},
        "dates": ["2008-09-14"],
        "rasters": rasters,
    }
    with pytest.raises(HeadscarpError, match="site mine, layers, rasters, red: the key 'file' is missing"):
        check_scene(record | {"labels": {"landslides": "slides.gpkg"}}, tmp_path)


def test_a_cube_is_written_strip_by_strip(site, tmp_path, monkeypatch):
    folder, cube = site
    monkeypatch.setattr(stack, "ROWS_AT_ONCE", 8)
    build_cube(folder / "layers", tmp_path / "warm")
    tracemalloc.start()
    build_cube(folder / "layers", tmp_path / "cube")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < cube.values.nbytes / 4
    assert (tmp_path / "cube" / "cube.npy").read_bytes() == (folder / "cube" / "cube.npy").read_bytes()


# --- samples ---

SPLIT = {
    "kind": "strips",
    "axis": "x",
    "edges": [0.5, 0.7],
    "subsets": ["train", "validation", "test"],
    "buffer": 2,
}
GROUPS = [["red", "nir"], ["rain"]]


def sample(cube_folder, out, protocol="blocked"):
    spec = SamplingSpec.from_record({"window": 8, "stride": 4, "background_ratio": 1.0, "split": SPLIT})
    build_samples(cube_folder, out, spec, protocol, 0, GROUPS)
    return json.loads((out / "samples.json").read_text()), np.load(out / "regions.npy")


@pytest.mark.parametrize("protocol", ["blocked", "published"])
def test_each_date_is_normalised_from_its_own_pixels(site, tmp_path, protocol):
    folder, cube = site
    record, regions = sample(folder / "cube", tmp_path, protocol)
    pixels = (
        regions == TRAIN
        if protocol == "blocked"
        else np.isin(np.arange(regions.size), np.flatnonzero(regions)).reshape(regions.shape)
    )
    for position, channel in enumerate(cube.channels):
        values = cube.values[:, position][:, pixels].astype(np.float64)
        one = record["normalisation"][channel]
        assert one["mean"] == pytest.approx(np.nanmean(values), rel=1e-9)
        assert one["sd"] == pytest.approx(np.nanstd(values), rel=1e-9)
        if channel == "rain":
            assert set(one) == {"mean", "sd"}
            continue
        for index, by_date in enumerate(one["by_date"]):
            if np.isnan(values[index]).all():
                assert by_date is None and index in (ABSENT, MOVED)
            else:
                assert by_date["mean"] == pytest.approx(
                    values[index][~np.isnan(values[index])].mean(), rel=1e-9
                )
                assert by_date["sd"] == pytest.approx(values[index][~np.isnan(values[index])].std(), rel=1e-9)


def test_the_test_region_does_not_touch_the_normalisation(site, tmp_path):
    folder, cube = site
    before, regions = sample(folder / "cube", tmp_path / "before")
    (tmp_path / "cube").mkdir()
    for name in ("cube.json", "label.npy", "instances.npy"):
        (tmp_path / "cube" / name).write_bytes((folder / "cube" / name).read_bytes())
    values = np.array(cube.values)
    values[:, :, regions == TEST] += 100
    np.save(tmp_path / "cube" / "cube.npy", values)
    after, _ = sample(tmp_path / "cube", tmp_path / "after")
    assert after["normalisation"] == before["normalisation"]
    values[:, :, regions == TRAIN] += 100
    np.save(tmp_path / "cube" / "cube.npy", values)
    moved, _ = sample(tmp_path / "cube", tmp_path / "moved")
    assert moved["normalisation"]["red"]["by_date"][CLEAR]["mean"] == pytest.approx(
        before["normalisation"]["red"]["by_date"][CLEAR]["mean"] + 100
    )


def test_one_date_and_constant_dates():
    cube = np.random.default_rng(0).normal(size=(2, 2, 6, 5)).astype(np.float32)
    cube[1, 0] = 7
    mask = np.ones((6, 5), bool)
    assert set(normalisation(cube[:1], mask, ["a", "b"], dated=["a"])["a"]) == {"mean", "sd"}
    result = normalisation(cube, mask, ["a", "b"], dated=["a"])
    assert result["a"]["by_date"][1] == {"mean": 7.0, "sd": 1.0} and "by_date" not in result["b"]


def test_what_is_never_clear_is_not_scored(site, tmp_path):
    folder, cube = site
    _, regions = sample(folder / "cube", tmp_path, "published")
    # Without an image at any date land is unmapped, though the elevation model covers it.
    assert (regions[NEVER] == 0).all() and (cube.label[NEVER] == 255).all()
    assert np.count_nonzero(regions == 0) == 24
    # Cloudy at one date only (the last among them), and without a value at the clear date's corner: scored.
    assert (regions[35:50, 12:58] > 0).all() and (regions[52:58, 70:80] > 0).all() and regions[0, 0] > 0


def test_mapped_land_that_an_input_group_never_shows_is_not_scored(site, tmp_path):
    shutil.copytree(site[0] / "cube", tmp_path / "cube")
    label = np.load(tmp_path / "cube" / "label.npy")
    label[NEVER] = 0
    np.save(tmp_path / "cube" / "label.npy", label)
    record, regions = sample(tmp_path / "cube", tmp_path / "samples", "published")
    assert (regions[NEVER] == 0).all()
    assert (
        "24 mapped pixels lack all channels of an input group at all dates and are not scored"
        in record["notes"]
    )


def test_windows_stand_for_all_dates_of_their_place(site, tmp_path):
    sample(site[0] / "cube", tmp_path)
    assert {window.date for window in read_windows(tmp_path / "windows.csv")} == {3}


def test_dates_of_one_place_do_not_straddle_a_split():
    here = [Window(0, 0, 8, date, "train") for date in range(3)]
    refuse_close_subsets([*here, Window(40, 0, 8, 2, "test"), Window(40, 0, 8, 0, "test")], 4, "blocked")
    for other in (Window(0, 0, 8, 3, "test"), Window(3, 5, 8, 3, "validation")):
        with pytest.raises(HeadscarpError, match="blocked samples leak"):
            refuse_close_subsets([*here, other], 4, "blocked")


# --- collage ---


def test_a_collage_of_two_series(site, tmp_path):
    folder, cube = site
    other = tmp_path / "other"
    other.mkdir()
    days = [date.replace("-09-", "-10-") for date in DATES]
    header = cube.header | {"site": "other", "dates": days, "grid": cube.header["grid"] | {"height": 30}}
    (other / "cube.json").write_text(json.dumps(header))
    for name, array in (("cube", cube.values), ("label", cube.label), ("instances", cube.instances)):
        np.save(other / f"{name}.npy", array[..., 30:, :])
    join_scenes("both", {"valley": folder / "cube", "other": other}, tmp_path / "both", gap=8)
    both = open_cube(tmp_path / "both")
    assert both.values.shape == (4, 7, 60 + 8 + 30, 90)
    np.testing.assert_array_equal(both.values[:, :, :60], cube.values)
    np.testing.assert_array_equal(both.values[:, :, 68:], cube.values[:, :, 30:])
    assert np.isnan(both.values[:, :, 60:68]).all()
    assert both.header["dates"] == [f"{one}, {two}" for one, two in zip(DATES, days, strict=True)]
    assert both.header["channels"] == cube.header["channels"]
    assert "series" not in both.header and "never_clear_share" not in both.header
    (other / "cube.json").write_text(json.dumps(header | {"dates": days[:3]}))
    np.save(other / "cube.npy", cube.values[:3, :, 30:])
    with pytest.raises(
        HeadscarpError, match=r"scenes valley and other have different numbers of dates \(4 and 3\)"
    ):
        join_scenes("both", {"valley": folder / "cube", "other": other}, tmp_path / "again", gap=8)
