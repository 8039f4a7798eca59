"""Series of one place in one file: read against GDAL, h5py and NumPy, and the layers and cubes that come of
small and of real ones."""

import ast

import h5py
import numpy as np
import pandas
import pyproj
import pytest
import rasterio
import shapely
import xarray
from affine import Affine
from rasterio.windows import Window

from headscarp.errors import HeadscarpError
from headscarp.files import read_json
from headscarp.geo.layer import read_layer
from headscarp.site.series_layers import build_series_layers
from headscarp.site.stack import build_cube
from headscarp.sources.series import read_series
from tests.site_files import CRS, NORTH, WEST, make_grid, read_manifest, truncate, write_shapes

pytestmark = pytest.mark.slow

CLEAR, CLOUD = 4, 9
DAYS = ("2020-01-01", "2020-01-11", "2020-01-31")
ROWS, COLS, CELL = 6, 9, 10.0


def images(seed=1, times=3):
    """Random reflectances times 10,000, (time, row, col)."""
    return np.random.default_rng(seed).integers(200, 9000, (times, ROWS, COLS)).astype(np.int16)


def write_netcdf(
    path,
    variables,
    days=DAYS,
    order=("time", "x", "y"),
    corners=True,
    rising=False,
    transform=True,
    crs=CRS,
    units="days since 2019-12-01",
    west=WEST,
    engine="h5netcdf",
    coordinates=(),
):
    """A NetCDF file of arrays (time, row, col) or (row, col), their rows from the north; dimensions are
    stored in any order.

    x and y are upper-left `corners` of the cells, or centres; rows are stored from south to north where y is
    `rising`.
    """
    shift = 0 if corners else CELL / 2
    x, y = west + CELL * np.arange(COLS) + shift, NORTH - CELL * np.arange(ROWS) - shift
    coords = {
        axis: (axis, values, {"standard_name": f"projection_{axis}_coordinate", "units": "m"})
        for axis, values in (("x", x), ("y", y))
    }
    if units:
        hours = (np.array(days, "datetime64[s]") - np.datetime64(units.split()[-1])) / np.timedelta64(1, "D")
        coords["time"] = ("time", hours, {"units": units})
    data = xarray.Dataset(coords=coords | dict(coordinates))
    for name, values in variables.items():
        dims = [dim for dim in order if dim != "time" or values.ndim == 3]
        source = ("time", "y", "x")[-values.ndim :]
        data[name] = (
            xarray.DataArray(values, dims=source).transpose(*dims).assign_attrs(grid_mapping="spatial_ref")
        )
    georeference = pyproj.CRS.from_user_input(crs).to_cf() if crs else {}
    if transform:
        georeference["GeoTransform"] = f"{west} {CELL} 0.0 {NORTH} 0.0 {-CELL}"
    data["spatial_ref"] = xarray.DataArray(0, attrs=georeference)
    (data.isel(y=slice(None, None, -1)) if rising else data).to_netcdf(path, engine=engine)
    return path


def record(**parts):
    entry = {"file": "a.nc", "variables": {"red": "B04"}, "units": "reflectance", "scale": 1e-4}
    return {
        "name": "hills",
        "data": "twin",
        "dates": list(DAYS),
        "series": [entry | parts.pop("entry", {})],
    } | parts


def build(folder, given):
    build_series_layers(given, folder, folder / "layers")
    return folder / "layers"


def plane(layers, name):
    return read_layer(layers / f"{name}.tif").values


# --- reading
# ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["h5netcdf", "scipy"])
@pytest.mark.parametrize("order", [("time", "x", "y"), ("time", "y", "x"), ("y", "x", "time")])
def test_dimensions_are_told_apart_by_their_names(tmp_path, order, engine):
    bands, height = images(), np.arange(ROWS * COLS, dtype=np.float32).reshape(ROWS, COLS)
    path = write_netcdf(tmp_path / "a.nc", {"B04": bands, "DEM": height}, order=order, engine=engine)
    series = read_series(path, ["B04", "DEM"])
    np.testing.assert_array_equal(series.variables["B04"], bands)
    np.testing.assert_array_equal(series.variables["DEM"], height)
    assert series.days == list(DAYS) and series.grid == make_grid(ROWS, COLS, CELL)


@pytest.mark.parametrize("rising", [False, True])
@pytest.mark.parametrize("transform", [False, True])
def test_cells_are_where_gdal_has_them(tmp_path, rising, transform):
    bands = images()
    path = write_netcdf(
        tmp_path / "a.nc",
        {"B04": bands},
        order=("time", "y", "x"),
        corners=False,
        rising=rising,
        transform=transform,
    )
    series = read_series(path, ["B04"])
    with rasterio.open(f"netcdf:{path}:B04") as gdal:
        assert gdal.crs == rasterio.crs.CRS.from_string(series.grid.crs)
        np.testing.assert_allclose(series.grid.transform, gdal.transform, atol=1e-6)
        np.testing.assert_array_equal(series.variables["B04"], gdal.read())
    np.testing.assert_array_equal(series.variables["B04"], bands)


def test_corners_and_centres_as_coordinates_give_the_same_cells_where_a_transform_says_where_they_are(
    tmp_path,
):
    corners = read_series(write_netcdf(tmp_path / "a.nc", {"B04": images()}, corners=True), ["B04"])
    centres = read_series(write_netcdf(tmp_path / "b.nc", {"B04": images()}, corners=False), ["B04"])
    assert corners.grid == centres.grid == make_grid(ROWS, COLS, CELL)


def test_packed_and_fill_values_are_decoded(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", {"B04": images(), "VV": images(2)}, order=("time", "y", "x"))
    stored = images()
    stored[1, 2, 3] = -1
    with h5py.File(path, "r+") as file:
        file["B04"][...] = stored
        file["B04"].attrs["_FillValue"] = np.int16(-1)
        file["B04"].attrs["scale_factor"] = 1e-4
    series = read_series(path, ["B04", "VV"])
    expected = stored * 1e-4
    expected[1, 2, 3] = np.nan
    np.testing.assert_allclose(series.variables["B04"], expected, rtol=1e-6)
    np.testing.assert_array_equal(series.variables["VV"], images(2))


def write_archive(folder, days=DAYS, **arrays):
    outline = shapely.box(WEST, NORTH - ROWS * 9.9, WEST + COLS * 10.1, NORTH)
    write_shapes(folder / "outline.geojson", [outline])
    np.savez(folder / "a.npz", when=np.array(days), **arrays)
    return {"outline": folder / "outline.geojson", "times": "when"}


def test_an_archive_takes_its_place_from_an_outline_and_its_times_from_an_array(tmp_path):
    days = ("2020-01-01T10:00:04", "2020-01-11T10:00:07", "2020-02-15T10:09:00")
    where = write_archive(
        tmp_path, days, NDVI=images().astype(np.float32), CLM=images() > 4000, DEM=images()[0]
    )
    series = read_series(tmp_path / "a.npz", ["NDVI", "CLM", "DEM"], **where)
    assert series.days == [day[:10] for day in days] and series.grid.crs == CRS
    np.testing.assert_allclose(series.grid.transform, Affine(10.1, 0, WEST, 0, -9.9, NORTH), atol=1e-6)
    np.testing.assert_array_equal(series.variables["NDVI"], images())
    np.testing.assert_array_equal(series.variables["CLM"], images() > 4000)
    np.testing.assert_array_equal(series.variables["DEM"], images()[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variables": {"B4": images()}}, "variable 'B04' does not exist; did you mean 'B4'"),
        ({"variables": {"B04": images()[0]}, "units": None}, "has no time axis"),
        ({"units": "moons since 2019-12-01"}, "has no time axis"),
        ({"days": (DAYS[0], DAYS[2], DAYS[1])}, "2020-01-11T00:00:00 comes after 2020-01-31T00:00:00"),
        ({"days": (DAYS[0], DAYS[1], DAYS[1])}, "2020-01-11T00:00:00 stands twice"),
        ({"crs": None}, "has no CRS"),
        (
            {"west": WEST + 7, "coordinates": {"x": WEST + CELL * np.arange(COLS)}},
            "GeoTransform does not fit",
        ),
        ({"coordinates": {"x": WEST + CELL * 1.2 * np.arange(COLS)}}, "GeoTransform does not fit"),
        ({"coordinates": {"x": WEST + CELL * np.arange(COLS) ** 2}}, "not evenly spaced"),
    ],
)
def test_an_unfit_netcdf_file_is_one_clear_message(tmp_path, change, message):
    path = write_netcdf(tmp_path / "a.nc", **({"variables": {"B04": images()}} | change))
    with pytest.raises(HeadscarpError, match=message) as raised:
        read_series(path, ["B04"])
    assert "a.nc" in str(raised.value)


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(HeadscarpError, match="does not exist; fetch it"):
        read_series(tmp_path / "a.nc", ["B04"])
    path = truncate(write_netcdf(tmp_path / "a.nc", {"B04": images()}), 0.6)
    with pytest.raises(HeadscarpError, match=r"a\.nc cannot be read .* truncated or no NetCDF"):
        read_series(path, ["B04"])
    with pytest.raises(
        HeadscarpError, match=r"no file of a series that can be read; known are \.nc and \.npz"
    ):
        read_series(tmp_path / "a.tif", ["B04"])
    four = xarray.Dataset({"B04": (("time", "band", "y", "x"), images()[:, None])})
    with xarray.open_dataset(write_netcdf(tmp_path / "b.nc", {"VV": images()})) as whole:
        whole.load().assign(B04=four.B04.assign_attrs(grid_mapping="spatial_ref")).to_netcdf(
            tmp_path / "c.nc", engine="h5netcdf"
        )
    with pytest.raises(HeadscarpError, match="'B04' has a dimension 'band'"):
        read_series(tmp_path / "c.nc", ["B04"])


def test_unfit_archives_are_named(tmp_path):
    where = write_archive(tmp_path, NDVI=images(), short=images()[:2], words=np.array(["a", "b", "c"]))
    with pytest.raises(HeadscarpError, match="give `outline` and `times`"):
        read_series(tmp_path / "a.npz", ["NDVI"])
    with pytest.raises(HeadscarpError, match="variable 'NVDI' does not exist; did you mean 'NDVI'"):
        read_series(tmp_path / "a.npz", ["NVDI"], **where)
    with pytest.raises(HeadscarpError, match=r"'short' has the shape \(2, 6, 9\); it must be \(3, 6, 9\)"):
        read_series(tmp_path / "a.npz", ["NDVI", "short"], **where)
    with pytest.raises(HeadscarpError, match="no time axis: 'words' holds no times"):
        read_series(tmp_path / "a.npz", ["NDVI"], where["outline"], "words")
    with pytest.raises(HeadscarpError, match="cannot be read"):
        read_series(truncate(tmp_path / "a.npz"), ["NDVI"], **where)
    np.savez(tmp_path / "a.npz", when=np.array([{}], dtype=object), NDVI=images())
    with pytest.raises(HeadscarpError, match="holds Python objects"):
        read_series(tmp_path / "a.npz", ["NDVI"], **where)


# --- layers
# ------------------------------------------------------------------------------------------


def test_clouds_are_no_data_an_image_of_clouds_alone_is_missing_and_what_is_never_clear_unmapped(tmp_path):
    bands, scene, slide = (
        images(),
        np.full((3, ROWS, COLS), CLEAR, np.int16),
        np.zeros((3, ROWS, COLS), np.uint8),
    )
    scene[0, :, :4], scene[1], scene[2, 0] = CLOUD, CLOUD, 3
    slide[:, 0:2, 1:3], slide[:, 4, 7] = 1, 1
    write_netcdf(tmp_path / "a.nc", {"B04": bands, "SCL": scene, "MASK": slide})
    given = record(
        entry={"mask": {"variable": "SCL", "values": [3, CLOUD]}}, labels={"file": "a.nc", "variable": "MASK"}
    )
    layers = build(tmp_path, given)
    for number in (0, 2):
        expected = np.where(scene[number] == CLEAR, bands[number] * 1e-4, np.nan)
        np.testing.assert_allclose(plane(layers, f"red_{DAYS[number]}"), expected, rtol=1e-6)
    manifest = read_manifest(layers)
    assert [one["missing"] for one in manifest["series"]] == [[], ["red"], []]
    np.testing.assert_allclose([one["clear_share"] for one in manifest["series"]], [5 / 9, 0, 5 / 6])
    assert any("no cell is clear on 2020-01-11" in note for note in manifest["notes"])
    never = np.all(scene != CLEAR, axis=0)
    assert never.any() and manifest["never_clear_share"] == pytest.approx(never.mean())
    label, instances = plane(layers, "label"), plane(layers, "instances")
    np.testing.assert_array_equal(label, np.where(never, 255, slide[0]))
    assert instances[1, 1] == instances[1, 2] != instances[4, 7] and set(np.unique(instances)) == {0, 1, 2}
    build_cube(layers, tmp_path / "cube")
    cube = np.load(tmp_path / "cube" / "cube.npy")
    assert cube.shape == (3, 1, ROWS, COLS) and np.isnan(cube[1]).all()
    np.testing.assert_array_equal(cube[2, 0], plane(layers, f"red_{DAYS[2]}"))


def test_pieces_of_one_day_are_put_together_and_other_days_left_out(tmp_path):
    values = images(times=4).astype(np.float32)
    values[1, :, :5] = np.nan
    values[2, :, 7:] = np.nan
    days = ("2020-01-01T10:00:00", "2020-01-11T10:00:00", "2020-01-11T10:07:00", "2020-01-25T10:00:00")
    write_netcdf(tmp_path / "a.nc", {"B04": values}, days=days)
    layers = build(tmp_path, record(dates=["2020-01-01", "2020-01-11"], entry={"scale": 1}))
    np.testing.assert_array_equal(
        plane(layers, "red_2020-01-11"), np.where(np.arange(COLS) < 5, values[2], values[1])
    )
    notes = " ".join(read_manifest(layers)["notes"])
    assert "the images of one day were put together: 2020-01-11" in notes
    assert "1 images belong to none of the site's dates and are left out: 2020-01-25" in notes


def test_all_dates_are_those_of_the_first_file(tmp_path):
    write_netcdf(tmp_path / "a.nc", {"B04": images()})
    layers = build(tmp_path, record(dates="all"))
    assert read_manifest(layers)["dates"] == list(DAYS)


def test_images_of_other_days_go_to_the_nearest_date_and_the_nearest_of_them_stands_for_it(tmp_path):
    radar = ("2019-12-27", "2020-01-02", "2020-01-06", "2020-01-09", "2020-01-22")
    values = images(3, len(radar)).astype(np.float32)
    write_netcdf(tmp_path / "a.nc", {"B04": images()})
    write_netcdf(tmp_path / "b.nc", {"VV": values}, days=radar)
    second = {"file": "b.nc", "variables": {"vv": "VV"}, "units": "dB", "within_days": 8}
    layers = build(tmp_path, record() | {"series": [*record()["series"], second]})
    # Of 12-27, 01-02 and 01-06 (as near to 01-11: the earlier date's) the second is nearest to 01-01; 01-22
    # is 9 days from 01-31.
    np.testing.assert_array_equal(plane(layers, "vv_2020-01-01"), values[1])
    np.testing.assert_array_equal(plane(layers, "vv_2020-01-11"), values[3])
    manifest = read_manifest(layers)
    assert manifest["series"][2]["missing"] == ["vv"] and not (layers / "vv_2020-01-31.tif").exists()
    notes = " ".join(manifest["notes"])
    assert (
        "b.nc: no image within 8 days of 2020-01-31" in notes
        and "2020-01-02 for 2020-01-01, 2020-01-09 for 2020-01-11" in notes
    )
    assert (
        "3 images belong to none of the site's dates and are left out: 2019-12-27, 2020-01-06, 2020-01-22"
        in notes
    )
    exact = record() | {"series": [*record()["series"], second | {"within_days": 0}]}
    with pytest.raises(HeadscarpError, match="'VV' has no value at any date of the site"):
        build(tmp_path, exact)


def test_a_file_on_another_grid_is_co_registered_and_one_that_lies_elsewhere_refused(tmp_path):
    ramp = np.broadcast_to(np.arange(COLS, dtype=np.float32) * CELL, (3, ROWS, COLS)).copy()
    write_netcdf(tmp_path / "a.nc", {"B04": images()})
    write_netcdf(tmp_path / "b.nc", {"VV": ramp}, west=WEST - 3.0)
    second = {"file": "b.nc", "variables": {"vv": "VV"}, "units": "dB"}
    layers = build(tmp_path, record() | {"series": [*record()["series"], second]})
    np.testing.assert_allclose(plane(layers, f"vv_{DAYS[0]}")[:, :-1], ramp[0, :, :-1] + 3.0, atol=1e-3)
    assert any(note.startswith("b.nc lies on another grid") for note in read_manifest(layers)["notes"])
    write_netcdf(tmp_path / "b.nc", {"VV": ramp}, west=WEST + 60.0)
    with pytest.raises(HeadscarpError, match=r"b\.nc covers 3\d% of the site"):
        build(tmp_path, record() | {"series": [*record()["series"], second]})


def test_terrain_is_derived_from_cells_of_the_models_own_size(tmp_path):
    # a plane of 30 m cells, each repeated to 3 x 3
    coarse = 500 - 30 * 0.2 * np.arange(3) + 0 * np.arange(2)[:, None]
    height = np.broadcast_to(np.repeat(np.repeat(coarse, 3, axis=0), 3, axis=1), (3, ROWS, COLS)).astype(
        np.float32
    )
    write_netcdf(tmp_path / "a.nc", {"B04": images(), "DEM": height})
    model = {"file": "a.nc", "variable": "DEM", "units": "m"}
    layers = build(tmp_path, record(static={"elevation": model | {"resolution_m": 30}}, terrain=["slope"]))
    np.testing.assert_allclose(plane(layers, "slope"), np.degrees(np.arctan(0.2)), rtol=1e-5)
    found = {one["name"]: one["effective_resolution_m"] for one in read_manifest(layers)["layers"]}
    assert found == {"red": 10, "elevation": 30, "slope": 30, "label": 10, "instances": 10}
    treads = plane(build(tmp_path, record(static={"elevation": model}, terrain=["slope"])), "slope")
    assert treads.min() == 0 and treads.max() > 16


def test_static_classes_and_indices(tmp_path):
    cover = np.tile(np.arange(COLS, dtype=np.int16) % 3, (ROWS, 1))
    write_netcdf(tmp_path / "a.nc", {"B04": images(), "B08": images(2), "LULC": cover})
    given = record(
        entry={"variables": {"red": "B04", "nir": "B08"}, "resolution_m": 20},
        static={"land_cover": {"file": "a.nc", "variable": "LULC", "classes": {1: "forest", 2: "grass"}}},
        indices={"ndvi": {"nir": "nir", "red": "red"}},
    )
    layers = build(tmp_path, given)
    np.testing.assert_array_equal(plane(layers, "land_cover"), np.where(cover == 0, 255, cover))
    nir, red = images(2).astype(float), images().astype(float)
    np.testing.assert_allclose(plane(layers, f"ndvi_{DAYS[1]}"), ((nir - red) / (nir + red))[1], atol=1e-6)
    records = {(one["name"], one.get("date")): one for one in read_manifest(layers)["layers"]}
    assert (
        records["ndvi", DAYS[2]]["effective_resolution_m"] == 20 and "date" not in records["land_cover", None]
    )
    build_cube(layers, tmp_path / "cube")
    cube = np.load(tmp_path / "cube" / "cube.npy")
    # red, nir, land_cover with a channel for each of its two classes, ndvi
    assert cube.shape == (3, 6, ROWS, COLS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dates": ["2020-01-01", "2020-01-12"]}, "has an image of 2020-01-12, the nearest is of 2020-01-11"),
        ({"dates": [DAYS[1], DAYS[0]]}, "2020-01-01 stands after 2020-01-11"),
        ({"entry": {"variables": {"red": "B4"}}}, "variable 'B4' does not exist; did you mean 'B04'"),
        ({"entry": {"variables": {"red": "DEM"}}}, "'DEM' does not change with time; name it in `static`"),
        ({"entry": {"variables": {}}}, "variables: {} will not do"),
        ({"entry": {"within_days": "six"}}, "series, entry 1, within_days: 'six' will not do"),
        ({"entry": {"scale": "1e-4"}}, "series, entry 1, scale: '1e-4' will not do.*with the point"),
        (
            {"entry": {"mask": {"variable": "SCL", "values": 9}}},
            r"mask, values: 9 will not do; it must be a list",
        ),
        ({"entry": {"mask": {"variable": "SCL", "codes": [9]}}}, "mask: unknown key 'codes'"),
        (
            {"static": {"elevation": {"file": "a.nc", "variable": "B04", "units": "m"}}},
            r"'B04' changes with time \(first on 2020-01-11\)",
        ),
        (
            {"static": {"red": {"file": "a.nc", "variable": "DEM", "units": "m"}}},
            "two layers are called 'red'",
        ),
        (
            {"static": {"elevation": {"file": "b.nc", "variable": "DEM", "units": "m"}}},
            "file of `series` 'b.nc' does not exist",
        ),
        ({"labels": {"file": "a.nc", "variable": "SCL"}}, "'SCL' changes with time"),
        ({"labels": {"file": "a.nc", "variable": "DEM"}}, "the label 'DEM' holds 7; it must be 1"),
        ({"terrain": ["slope"]}, "give one as `elevation` in `static`"),
        ({"indices": {"ndvi": {"nir": "nir", "red": "red"}}}, "layer of `series` 'nir' does not exist"),
    ],
)
def test_an_unfit_record_or_file_is_one_clear_message_and_leaves_nothing(tmp_path, change, message):
    scene = np.full((3, ROWS, COLS), CLEAR, np.int16)
    scene[1] = CLOUD
    write_netcdf(
        tmp_path / "a.nc", {"B04": images(), "SCL": scene, "DEM": np.full((ROWS, COLS), 7, np.float32)}
    )
    with pytest.raises(HeadscarpError, match=message):
        build(tmp_path, record(**change))
    assert [path.name for path in tmp_path.iterdir()] == ["a.nc"]


# --- real series
# ------------------------------------------------------------------------------------------

CLOUDY = {"variable": "SCL", "values": [0, 1, 3, 8, 9, 10, 11]}
EMILIA = {
    "name": "emilia_series",
    "data": "real",
    "dates": "all",
    "series": [
        {
            "file": "italy_s2_4120.nc",
            "variables": {"red": "B04", "nir": "B08"},
            "units": "reflectance",
            "scale": 1e-4,
            "mask": CLOUDY,
        },
        {"file": "italy_s1asc_4120.nc", "variables": {"vv": "VV"}, "units": "dB", "within_days": 6},
    ],
    "static": {
        "elevation": {"file": "italy_s2_4120.nc", "variable": "DEM", "units": "m", "resolution_m": 30}
    },
    "terrain": ["slope"],
    "indices": {"ndvi": {"nir": "nir", "red": "red"}},
    "labels": {"file": "italy_s2_4120.nc", "variable": "MASK"},
}


@pytest.fixture(scope="module")
def emilia(real_data, tmp_path_factory):
    """Raw folder and layers of the real patch."""
    raw, out = real_data("data/sen12_emilia"), tmp_path_factory.mktemp("emilia")
    build_series_layers(EMILIA, raw, out / "layers")
    return raw, out / "layers"


def test_the_real_model_is_that_of_the_mosaic_at_the_patchs_place(emilia):
    raw, layers = emilia
    place = pandas.read_csv(raw / "patches.csv").set_index("patch_id").loc["italy_4120"]
    with rasterio.open(raw / "dem_mosaic_10m.tif") as mosaic:
        expected = mosaic.read(1, window=Window(place.col, place.row, 128, 128))
    found = read_layer(layers / "elevation.tif")
    np.testing.assert_array_equal(found.values, expected)
    assert (expected != expected.T).mean() > 0.9  # a transposed one would not pass
    west, south, east, north = found.grid.bounds
    assert ((west + east) / 2, (south + north) / 2) == (705920, 4912000) and found.grid.crs == "EPSG:32632"


def test_real_slides_lie_under_the_boxes_of_their_annotations(emilia):
    raw, layers = emilia
    label = read_layer(layers / "label.tif")
    with h5py.File(raw / "italy_s2_4120.nc") as file:
        boxes = ast.literal_eval(f"[{file.attrs['ann_bbox'].item().decode()}]")
    row, col = np.indices(label.values.shape)
    x, y = label.grid.transform @ (col + 0.5, row + 0.5)
    # Half a cell more on each side: a cell is a slide that an annotation touches.
    under = np.any([(x > w - 5) & (x < e + 5) & (y > s - 5) & (y < n + 5) for w, s, e, n in boxes], axis=0)
    slide = label.values == 1
    assert slide.sum() == 631 and under[slide].mean() > 0.97
    assert under.T[slide].mean() < 0.5
    for w, s, e, n in boxes:
        if (e - w) * (n - s) > 2000:
            assert slide[(x > w) & (x < e) & (y > s) & (y < n)].any()


def test_the_event_lowers_the_real_ndvi_of_slides_alone_and_the_cube_tells_it(emilia, tmp_path):
    raw, layers = emilia
    build_cube(layers, tmp_path / "cube")
    cube, label = np.load(tmp_path / "cube" / "cube.npy"), np.load(tmp_path / "cube" / "label.npy")
    manifest = read_manifest(layers)
    assert cube.shape == (15, 6, 128, 128) and len(manifest["dates"]) == 15
    with h5py.File(raw / "italy_s2_4120.nc") as file:  # as it is stored: (time, x, y)
        nir, red, scene = (
            np.swapaxes(file[name][...], 1, 2).astype(np.float64) for name in ("B08", "B04", "SCL")
        )
    expected = np.where(np.isin(scene, CLOUDY["values"]), np.nan, (nir - red) / (nir + red))
    ndvi = cube[
        :, [one["name"] for one in read_json(tmp_path / "cube" / "cube.json")["channels"]].index("ndvi")
    ]
    np.testing.assert_allclose(ndvi, expected, atol=1e-5)
    # the event is of 2023-05-16
    before, after = (manifest["dates"].index(day) for day in ("2023-04-28", "2023-05-23"))
    assert np.isnan(ndvi[before + 1 : after]).all()  # all cloud
    # Radar sees through clouds, but only what has a mask says what is clear.
    assert manifest["series"][before + 1] == {
        "date": "2023-05-13",
        "clear_share": 0.0,
        "missing": ["red", "nir", "ndvi"],
    }
    means = [[np.nanmean(ndvi[date][label == code]) for date in (before, after)] for code in (1, 0)]
    np.testing.assert_allclose(means[0], [0.67, 0.54], atol=0.005)
    assert means[1][1] > means[1][0]


def test_real_radar_images_stand_for_the_nearest_dates(emilia):
    raw, layers = emilia
    manifest = read_manifest(layers)
    optical = pandas.to_datetime(manifest["dates"])
    with h5py.File(raw / "italy_s1asc_4120.nc") as file:
        radar = pandas.Timestamp("2022-11-24") + pandas.to_timedelta(file["time"][...], "D")
        stored = np.swapaxes(file["VV"][...], 1, 2)
    found = [one["date"] for one in manifest["layers"] if one["name"] == "vv"]
    assert len(found) == 11
    for date in found:
        gaps = np.abs(radar - pandas.Timestamp(date))
        assert gaps.min().days <= 6
        np.testing.assert_array_equal(plane(layers, f"vv_{date}"), stored[gaps.argmin()])
    for day in set(manifest["dates"]) - set(found):  # too far, or its nearest image is nearer to another date
        nearest = radar[np.abs(radar - pandas.Timestamp(day)).argmin()]
        gap = abs(nearest - pandas.Timestamp(day))
        assert gap.days > 6 or np.abs(optical - nearest).min() < gap


def test_the_real_slope_has_no_treads(emilia):
    _, layers = emilia
    slope = plane(layers, "slope")
    assert np.isfinite(slope).all() and 10 < slope.mean() < 20 and slope.max() < 45
    assert (slope == 0).mean() < 0.01


def test_the_real_irregular_series_is_clear_where_its_mask_says(real_data, tmp_path):
    raw = real_data("data/optical_timeseries_misc")
    file = "eolearn_slovenia_patch.npz"
    given = {
        "name": "slovenia_series",
        "data": "real",
        "dates": "all",
        "series": [
            {
                "file": file,
                "outline": "eolearn_bbox.geojson",
                "times": "timestamps",
                "variables": {"ndvi": "NDVI"},
                "units": "1",
                "mask": {"variable": "CLM", "values": [1]},
            }
        ],
        "static": {
            "elevation": {"file": file, "variable": "DEM", "units": "m"},
            "land_cover": {
                "file": file,
                "variable": "LULC",
                "classes": {1: "cultivated land", 2: "forest", 3: "grassland"},
            },
        },
    }
    build_series_layers(given, raw, tmp_path / "layers")
    build_cube(tmp_path / "layers", tmp_path / "cube")
    cube, manifest = (
        np.load(tmp_path / "cube" / "cube.npy", mmap_mode="r"),
        read_manifest(tmp_path / "layers"),
    )
    with np.load(raw / file) as archive:
        ndvi, valid, height = archive["NDVI"], archive["IS_VALID"], archive["DEM"]
        days = archive["timestamps"].astype("datetime64[D]").astype(str)
    assert len(manifest["dates"]) == 67 and len(days) == 68  # two images are of one day
    gaps = np.diff(np.array(manifest["dates"], "datetime64[D]")).astype(int)
    assert gaps.min() == 5 and gaps.max() == 70
    for number, date in enumerate(manifest["dates"]):
        seen = np.flatnonzero(days == date)
        clear = valid[seen].any(axis=0)
        np.testing.assert_array_equal(np.isfinite(cube[number, 0]), clear)
        assert manifest["series"][number]["clear_share"] == pytest.approx(clear.mean())
        if len(seen) == 1:
            np.testing.assert_array_equal(cube[number, 0][clear], ndvi[seen[0]][clear])
        np.testing.assert_array_equal(cube[number, 1], height)
    assert sum(bool(one["missing"]) for one in manifest["series"]) == 19
    assert manifest["grid"]["crs"] == "EPSG:32633" and (np.load(tmp_path / "cube" / "label.npy") == 255).all()
