"""Source `stac`: composites of a local STAC API against the truth that its files were made from and
rasterio's own reprojection."""

import datetime
import json
import socket
import time

import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine
from rasterio.warp import Resampling, reproject

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.sources import downloads, stac, stac_read
from headscarp.sources.stac import fetch_raster
from headscarp.sources.stac_items import asset_of, stated_offset
from headscarp.sources.stac_sensors import judge_offset
from tests.stac_server import (
    CRS,
    OTHER_ZONE,
    Traffic,
    add_assets,
    add_item,
    make_catalogue,
    moved,
    serve_stac,
)

GRID = Grid(CRS, Affine(10, 0, 580000, 0, -10, 4740000), 40, 50)
SIX = ["blue", "green", "red", "nir", "swir1", "swir2"]
AFTER = {"stac": "sentinel2", "from": "2018-09-07", "to": "2018-10-30", "bands": ["blue"]}
CLEAR, SHADOW, CLOUD, SNOW = 4, 3, 9, 11


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("HEADSCARP_OFFLINE", raising=False)
    monkeypatch.setattr(downloads, "FIRST_WAIT_S", 0.01)
    monkeypatch.setitem(stac_read.GDAL_OPTIONS, "GDAL_HTTP_RETRY_DELAY", "0.01")


@pytest.fixture(scope="module")
def valley(tmp_path_factory):
    return make_catalogue(tmp_path_factory.mktemp("valley"))


@pytest.fixture
def numbers():
    """Digital numbers of a dark scene with vegetation, before any offset."""
    return np.random.default_rng(1).integers(100, 4000, GRID.shape).astype(np.uint16)


def scene(folder, name, when, blue, scl=CLEAR, baseline="02.06", **properties):
    """A Sentinel-2 item of one band on GRID; `scl` one code or an array."""
    assets = {"blue": blue, "scl": np.broadcast_to(np.uint8(scl), GRID.shape).astype(np.uint8)}
    add_item(
        folder,
        "sentinel-2-l2a",
        name,
        when,
        GRID,
        assets,
        properties={"s2:processing_baseline": baseline} | properties,
    )


def fetch(folder, spec, grid=GRID, traffic=None, mirror=None):
    """The raster (band, row, col) and the record that come of a spec."""
    target, record = folder / "out" / "x.tif", folder / "out" / "x.json"
    with serve_stac(folder, traffic) as url:
        fetch_raster(spec, grid, url, target, record, mirror)
    with rasterio.open(target) as raster:
        return raster.read(), json.loads(record.read_text())


def on_grid(path, grid, resampling, nodata=0):
    """A file on a grid by rasterio alone, float32, NaN = no data."""
    values = np.full(grid.shape, np.nan, np.float32)
    with rasterio.open(path) as source:
        reproject(
            source.read(1),
            values,
            src_transform=source.transform,
            src_crs=source.crs,
            dst_transform=grid.transform,
            dst_crs=grid.crs,
            src_nodata=nodata,
            dst_nodata=np.nan,
            resampling=resampling,
        )
    return values


# --- a whole catalogue: two days, two tiles in two zones, clouds, a wrong offset, a missing asset ---


def test_the_clearest_day_filled_from_the_next(valley, tmp_path):
    target = tmp_path / "after.tif"
    with serve_stac(valley.folder) as url:
        fetch_raster(AFTER | {"bands": SIX}, valley.grid, url, target, tmp_path / "after.json", None)
    record = json.loads((tmp_path / "after.json").read_text())
    with rasterio.open(target) as raster:
        values = raster.read()
        assert (raster.crs, raster.transform, raster.shape) == (
            valley.grid.crs,
            valley.grid.transform,
            valley.grid.shape,
        )
        assert list(raster.descriptions) == SIX
        assert set(raster.dtypes) == {"float32"}
        assert np.isnan(raster.nodata)
        assert set(raster.units) == {"reflectance"}
        assert "Sentinel-2 L2A" in raster.tags()["SOURCE"]
    truth = np.stack(list(valley.after.values()))
    # East of column 36 the tile lies in the site's zone, on its grid: pixels must be exact, whichever day
    # they are from, but for a few at the rim of the clouds that are clear in the other zone's tile only.
    apart = np.abs(values - truth)[:, :, 36:].max(axis=0)
    assert (apart > 0.51e-4).mean() < 0.003
    assert apart.max() < 0.1
    for band, asset in enumerate(valley.after):
        other_zone = on_grid(
            valley.folder / "cogs" / f"S2_20181005_53TQH_{asset}.tif", valley.grid, Resampling.bilinear
        )
        np.testing.assert_allclose(values[band][:, :34], (other_zone[:, :34] - 1000) / 1e4, atol=5e-4)
    first, second = record["days"]
    assert (first["day"], second["day"]) == ("2018-09-20", "2018-10-05")
    assert first["used_share"] + second["used_share"] == pytest.approx(1, abs=1e-3)
    assert second["used_share"] == second["clear_share"] > 0.9
    offsets = {item["id"]: item["offset"] for item in record["items"]}
    assert offsets["S2_20180920_54TWN"]["stated"] == -1000
    assert offsets["S2_20180920_54TWN"]["applied"] == 0
    assert "already" in offsets["S2_20180920_54TWN"]["check"]
    assert offsets["S2_20181005_54TWN"]["applied"] == -1000
    assert offsets["S2_20181005_54TWN"]["check"].startswith("confirmed")
    assert any("S2_20181005_lacking" in note and "green" in note for note in record["notes"])
    assert any("S2_20180920_54TWN" in note and "wrong" in note for note in record["notes"])
    assert record["clear_share"] == 1


def test_elevation_of_two_tiles_in_degrees(valley, tmp_path):
    with serve_stac(valley.folder) as url:
        fetch_raster(
            {"stac": "dem", "margin_m": 0},
            valley.grid,
            url,
            tmp_path / "dem.tif",
            tmp_path / "dem.json",
            None,
        )
    with rasterio.open(tmp_path / "dem.tif") as raster:
        values = raster.read(1)
        assert (raster.dtypes[0], raster.units[0]) == ("float32", "m")
    west, east = (
        on_grid(valley.folder / "cogs" / f"DEM_{half}_data.tif", valley.grid, Resampling.bilinear)
        for half in "WE"
    )
    assert np.isfinite(west).any()
    assert np.isfinite(east).any()
    # GDAL finds places to an eighth of a cell
    apart = np.abs(values - np.where(np.isfinite(east), east, west))
    assert apart.max() < 0.2
    assert apart.mean() < 0.03
    assert np.abs(values - valley.elevation).mean() < 1
    assert [item["id"] for item in json.loads((tmp_path / "dem.json").read_text())["items"]] == [
        "DEM_W",
        "DEM_E",
    ]


def test_land_cover_classes_are_never_mixed(valley, tmp_path):
    newer = {"map": np.full((9, 9), 30, np.uint8)}
    with serve_stac(valley.folder) as url:
        fetch_raster({"stac": "land_cover"}, valley.grid, url, tmp_path / "x.tif", tmp_path / "x.json", None)
    with rasterio.open(tmp_path / "x.tif") as raster:
        values = raster.read(1)
        assert (raster.dtypes[0], raster.nodata, raster.tags()["KIND"]) == ("uint8", 0, "classes")
    assert (values != valley.land_cover).mean() < 0.02
    assert set(np.unique(values)) == set(np.unique(valley.land_cover))
    folder = tmp_path / "editions"
    add_item(
        folder, "esa-worldcover", "A", "2020-06-01T00:00:00", GRID, {"map": np.full(GRID.shape, 10, np.uint8)}
    )
    add_item(folder, "esa-worldcover", "B", None, Grid(CRS, GRID.transform, 9, 9), newer)
    values, _ = fetch(folder, {"stac": "land_cover"})
    assert (values[0, :9, :9] == 30).all()
    assert (values[0, 9:] == 10).all()


# --- composites ---


def three_days(folder):
    """Three clear-ish days of random numbers with random clouds, and one column of pixels never clear."""
    random = np.random.default_rng(2)
    stack = random.integers(100, 4000, (3, *GRID.shape)).astype(np.uint16)
    masks = random.choice(
        [CLEAR, SNOW, CLOUD, SHADOW, 1, 8, 10], (3, *GRID.shape), p=[0.5, 0.1, 0.1, 0.1, 0.05, 0.05, 0.1]
    )
    masks[:, :, 7] = CLOUD
    for day, (blue, scl) in enumerate(zip(stack, masks, strict=True), start=1):
        scene(folder, f"S{day}", f"2018-09-1{day}T01:20:00", blue, scl)
    return np.where(np.isin(masks, (CLEAR, SNOW)), stack / 1e4, np.nan)


@pytest.mark.parametrize("cells", [1 << 26, 3 * 50 * 7])
def test_the_median_of_clear_observations(tmp_path, monkeypatch, cells):
    monkeypatch.setattr(stac, "CELLS_AT_ONCE", cells)
    observed = three_days(tmp_path)
    values, record = fetch(tmp_path, AFTER | {"composite": "median"})
    expected = np.full(GRID.shape, np.nan)
    for row, col in np.ndindex(GRID.shape):
        if len(clear := [value for value in observed[:, row, col] if value == value]):
            expected[row, col] = (
                sorted(clear)[len(clear) // 2] if len(clear) % 2 else (min(clear) + max(clear)) / 2
            )
    np.testing.assert_allclose(values[0], expected, atol=1e-6)
    assert np.isnan(values[0, :, 7]).all()
    assert record["clear_share"] == pytest.approx(np.isfinite(expected).mean(), abs=1e-4)
    assert record["never_clear_share"] == pytest.approx(np.isnan(expected).mean(), abs=1e-4)
    assert [day["used_share"] for day in record["days"]] == pytest.approx(
        np.isfinite(observed).mean(axis=(1, 2)), abs=1e-4
    )


def test_days_fill_in_the_order_of_their_clear_share_on_the_site(tmp_path):
    observed = three_days(tmp_path)
    values, record = fetch(tmp_path, AFTER)
    expected = np.full(GRID.shape, np.nan)
    for day in np.argsort(-np.isfinite(observed).mean(axis=(1, 2))):
        expected = np.where(np.isnan(expected), observed[day], expected)
    np.testing.assert_allclose(values[0], expected, atol=1e-6)
    assert sum(day["used_share"] for day in record["days"]) == pytest.approx(record["clear_share"], abs=1e-3)


def test_nothing_clear_at_all(tmp_path, numbers):
    scene(tmp_path, "S", "2018-09-10T01:20:00", numbers, CLOUD)
    with pytest.raises(HeadscarpError, match=r"x\.tif: none of 1 days .* free of clouds; widen"):
        fetch(tmp_path, AFTER)
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def test_two_tiles_of_a_day_and_the_newer_of_two_baselines(tmp_path, numbers):
    scene(tmp_path, "A_old", "2018-09-10T01:20:00", numbers)
    scene(tmp_path, "B_new", "2018-09-10T01:20:00", numbers + np.uint16(1001), baseline="05.00")
    values, record = fetch(tmp_path, AFTER)
    np.testing.assert_allclose(values[0], (numbers + 1.0) / 1e4, atol=1e-6)
    assert [item["id"] for item in record["items"]] == ["B_new"]
    assert len(record["days"]) == 1


def test_part_of_the_site_is_in_no_scene(tmp_path, numbers):
    half = Grid(CRS, GRID.transform, GRID.height, GRID.width // 2)
    scl = np.full(half.shape, CLEAR, np.uint8)
    scl[:4] = CLOUD
    add_item(
        tmp_path, "sentinel-2-l2a", "S", "2018-09-10T01:20:00", half, {"blue": numbers[:, :25], "scl": scl}
    )
    values, record = fetch(tmp_path, AFTER)
    assert np.isnan(values[0, :, 25:]).all()
    np.testing.assert_allclose(values[0, 4:, :25], numbers[4:, :25] / 1e4, atol=1e-6)
    assert (record["clear_share"], record["never_clear_share"], record["never_seen_share"]) == (
        0.45,
        0.05,
        0.5,
    )


# --- sensors ---


def test_landsat_scaling_and_quality_bits(tmp_path):
    numbers = np.full(GRID.shape, 10000, np.uint16)
    numbers[3] = 0
    quality = np.full(GRID.shape, 1 << 6, np.uint16)  # clear
    # fill, dilated cloud, cirrus, cloud, shadow; snow and water are ground
    for col, bit in enumerate((0, 1, 2, 3, 4, 5, 7)):
        quality[:, col] = 1 << bit
    add_item(
        tmp_path,
        "landsat-c2-l2",
        "LC08",
        "2018-09-10T01:20:00",
        GRID,
        {"nir08": numbers},
        properties={"landsat:wrs_path": "107"},
    )
    add_assets(tmp_path, "LC08", GRID, {"qa_pixel": quality}, nodata=1)
    values, record = fetch(tmp_path, AFTER | {"stac": "landsat", "bands": ["nir"]})
    assert np.isnan(values[0, :, :5]).all()
    assert np.isnan(values[0, 3]).all()
    np.testing.assert_allclose(np.delete(values[0, :, 5:], 3, axis=0), 10000 * 0.0000275 - 0.2, atol=1e-7)
    assert record["items"][0]["tile"].startswith("107")
    assert "offset" not in record["items"][0]


def test_a_planetary_computer_item_and_common_names(tmp_path, numbers):
    add_item(
        tmp_path,
        "sentinel-2-l2a",
        "S",
        "2018-09-10T01:20:00",
        GRID,
        {"B02": numbers, "SCL": np.full(GRID.shape, CLEAR, np.uint8)},
        properties={"s2:processing_baseline": "02.06"},
    )
    values, _ = fetch(tmp_path, AFTER)
    np.testing.assert_allclose(values[0], numbers / 1e4, atol=1e-6)
    item = pystac.Item("x", None, None, datetime.datetime(2020, 1, 1), {})
    item.add_asset(
        "picture",
        pystac.Asset("a.jp2", media_type="image/jp2", extra_fields={"eo:bands": [{"common_name": "nir"}]}),
    )
    item.add_asset(
        "visual",
        pystac.Asset("b.tif", extra_fields={"eo:bands": [{"common_name": "nir"}, {"common_name": "red"}]}),
    )
    item.add_asset(
        "band_8", pystac.Asset("c.tif", extra_fields={"bands": [{"name": "x", "eo:common_name": "nir"}]})
    )
    assert asset_of(item, ("nir", "B08")) == "band_8"
    assert asset_of(item, ("red", "B04")) is None


@pytest.mark.parametrize(
    ("added", "baseline", "fields", "properties", "applied", "word"),
    [
        (0, "02.06", {}, {}, 0, "confirmed"),
        (1000, "04.00", {}, {}, -1000, "confirmed"),
        (0, "05.09", {}, {"earthsearch:boa_offset_applied": True}, 0, "confirmed"),
        (1000, "05.09", {}, {"earthsearch:boa_offset_applied": False}, -1000, "confirmed"),
        (1000, "xx", {"raster:bands": [{"scale": 1e-4, "offset": -0.1}]}, {}, -1000, "confirmed"),
        (1000, "xx", {"bands": [{"raster:scale": 1e-4, "raster:offset": -0.1}]}, {}, -1000, "confirmed"),
        (0, "05.00", {"raster:bands": [{"scale": 1e-4, "offset": 0}]}, {}, 0, "confirmed"),
        (0, "05.00", {}, {}, 0, "wrong: applying"),
        (1000, "05.00", {}, {"earthsearch:boa_offset_applied": True}, -1000, "wrong: the darkest"),
        (1000, "02.06", {}, {}, -1000, "wrong: the darkest"),
    ],
)
def test_the_offset_by_the_catalogue_and_by_dark_pixels(
    tmp_path, numbers, added, baseline, fields, properties, applied, word
):
    properties = {"s2:processing_baseline": baseline} | properties
    blue = {"blue": numbers + np.uint16(added)}
    add_item(
        tmp_path,
        "sentinel-2-l2a",
        "S",
        "2018-09-10T01:20:00",
        GRID,
        blue,
        properties=properties,
        asset_fields=fields,
    )
    add_assets(tmp_path, "S", GRID, {"scl": np.full(GRID.shape, CLEAR, np.uint8)})
    values, record = fetch(tmp_path, AFTER)
    np.testing.assert_allclose(values[0], numbers / 1e4, atol=1e-6)
    assert record["items"][0]["offset"]["applied"] == applied
    assert word in record["items"][0]["offset"]["check"]
    assert any("wrong" in note for note in record["notes"]) == word.startswith("wrong")


def test_dark_pixels_do_not_decide_where_nothing_is_dark():
    snow = np.random.default_rng(0).uniform(5000, 9000, (3, 1000))
    for stated in (0, -1000):
        offset, found = judge_offset(snow, stated)
        assert offset == stated
        assert "cannot be decided" in found
    assert judge_offset(snow[:, :50], -1000) == (-1000, "not checked: 50 clear pixels are too few")
    # noise about nothing is no sign of an error
    water = np.concatenate([snow, np.random.default_rng(0).normal(1000, 60, (1, 1000))])
    assert judge_offset(water, -1000)[0] == -1000


def test_the_date_stands_in_for_an_unstated_baseline():
    for when, offset in ((datetime.datetime(2022, 1, 24), 0), (datetime.datetime(2022, 1, 25), -1000)):
        item = pystac.Item("x", None, [1, 1, 2, 2], when, {})
        item.add_asset("blue", pystac.Asset("a.tif"))
        assert stated_offset(item, "blue")[0] == offset


# --- the search ---


def test_days_are_solar_days_and_pages_are_turned(tmp_path, numbers):
    # At longitude 142 the sun is 9.5 hours ahead: 20:00 UTC of the 9th is the morning of the 10th.
    for name, when in (
        ("A", "2018-09-09T20:00:00"),
        ("B", "2018-09-10T10:00:00"),
        ("C", "2018-09-10T20:00:00"),
        ("D", "2018-09-08T01:00:00"),
    ):
        scene(tmp_path, name, when, numbers, CLEAR)
    traffic = Traffic()
    _, record = fetch(tmp_path, AFTER | {"from": "2018-09-10", "to": "2018-09-10"}, traffic=traffic)
    assert [day["day"] for day in record["days"]] == ["2018-09-10"]
    assert record["search"]["items"] == 2
    assert traffic.requests.count("/search") == 2


def test_cloudy_scenes_are_left_out(tmp_path, numbers):
    scene(tmp_path, "A", "2018-09-10T01:20:00", numbers, **{"eo:cloud_cover": 61})
    scene(tmp_path, "B", "2018-09-12T01:20:00", numbers, **{"eo:cloud_cover": 60})
    _, record = fetch(tmp_path, AFTER)
    assert [item["id"] for item in record["items"]] == ["B"]
    assert record["search"]["too_cloudy"] == 1
    with pytest.raises(
        HeadscarpError,
        match=r"no item at .*141\.97.* with at most 5 % clouds; without that limit there are 2; raise "
        r"max_cloud",
    ):
        fetch(tmp_path, AFTER | {"max_cloud": 5})
    with pytest.raises(
        HeadscarpError, match=r"sentinel-2-l2a of http.* has no item .* from 2017-01-01 to 2017-02-01; widen"
    ):
        fetch(tmp_path, AFTER | {"from": "2017-01-01", "to": "2017-02-01"})
    with pytest.raises(HeadscarpError, match="collection mine of"):
        fetch(tmp_path, {"stac": "dem", "collection": "mine"})


def test_no_item_has_the_asset(tmp_path, numbers):
    scene(tmp_path, "S", "2018-09-10T01:20:00", numbers)
    with pytest.raises(HeadscarpError, match=r"item S has no asset for swir1 \(its assets are blue, scl\)"):
        fetch(tmp_path, AFTER | {"bands": ["blue", "swir1"]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stac": "sentinel3"}, "did you mean 'sentinel2'"),
        ({"bands": ["blu"]}, "did you mean 'blue'"),
        ({"bands": ["blue", "blue"]}, "each once"),
        ({"composite": "mean"}, "did you mean 'median'"),
        ({"form": "2018-01-01"}, "did you mean 'from'"),
        ({"from": "2018-13-01"}, "is not a date"),
        ({"from": "2019-01-01"}, "later than"),
        ({"stac": "dem"}, r"key 'from' does not exist"),
    ],
)
def test_a_spec_that_is_not_right(tmp_path, change, message):
    with pytest.raises(HeadscarpError, match=rf"^files, x\.tif: .*{message}"):
        fetch_raster(AFTER | change, GRID, "earth_search", tmp_path / "x.tif", tmp_path / "x.json", None)


def test_apis_by_name():
    assert (
        stac.plan_task(AFTER, GRID, "earth_search", "x", None).url
        == "https://earth-search.aws.element84.com/v1"
    )
    task = stac.plan_task({"stac": "land_cover"}, GRID, "earth_search", "x", None)
    assert task.api == "planetary_computer"
    assert "earth_search does not give out ESA WorldCover" in task.notes[0]
    with pytest.raises(HeadscarpError, match="set `api: planetary_computer`"):
        stac.plan_task(
            {"stac": "landsat", "api": "earth_search"} | {key: AFTER[key] for key in ("from", "to", "bands")},
            GRID,
            "earth_search",
            "x",
            None,
        )
    with pytest.raises(HeadscarpError, match="did you mean 'earth_search'"):
        stac.plan_task(AFTER, GRID, "earthsearch", "x", None)


# --- reading ---


def test_only_the_needed_windows_are_read(tmp_path):
    large = Grid(CRS, GRID.transform @ Affine.translation(-900, -900), 2048, 2048)
    numbers = np.random.default_rng(0).integers(1, 10000, large.shape).astype(np.uint16)
    add_item(
        tmp_path,
        "sentinel-2-l2a",
        "S",
        "2018-09-10T01:20:00",
        large,
        {"blue": numbers, "scl": np.full(large.shape, CLEAR, np.uint8)},
    )
    size, traffic = (tmp_path / "cogs" / "S_blue.tif").stat().st_size, Traffic()
    values, _ = fetch(tmp_path, AFTER, traffic=traffic)
    np.testing.assert_allclose(values[0], numbers[900:940, 900:950] / 1e4, atol=1e-6)
    assert 0 < traffic.bytes["S_blue.tif"] < 0.35 * size
    traffic = Traffic()
    coarse = Grid(CRS, large.transform @ Affine.scale(32), 64, 64)
    fetch(tmp_path, AFTER, grid=coarse, traffic=traffic)
    assert 0 < traffic.bytes["S_blue.tif"] < 0.1 * size


@pytest.mark.parametrize("part", ["_blue", "_scl", "/search"])
@pytest.mark.parametrize(
    "fault",
    [
        ("reset", 1, 1),
        ("reset", 2, 0),
        ("short", 1, 0),
        ("short", 2, 1),
        (500, 1, 0),
        (503, 2, 0),
        (429, 2, 0),
    ],
)
def test_a_server_that_falters(tmp_path, numbers, part, fault):
    traffic = Traffic(retry_after=0)
    traffic.fail(part, *fault)
    scene(tmp_path, "S", "2018-09-10T01:20:00", numbers)
    values, _ = fetch(tmp_path, AFTER, traffic=traffic)
    np.testing.assert_allclose(values[0], numbers / 1e4, atol=1e-6)


# GDAL asks twice at once, whatever it is told
@pytest.mark.parametrize(("part", "times"), [("_blue", 3), ("/search", 1)])
def test_the_pause_that_a_server_asks_for_is_kept(tmp_path, numbers, part, times):
    traffic = Traffic(retry_after=1)
    traffic.fail(part, 429, times)
    scene(tmp_path, "S", "2018-09-10T01:20:00", numbers)
    start = time.monotonic()
    fetch(tmp_path, AFTER, traffic=traffic)
    assert time.monotonic() - start >= 1


@pytest.mark.parametrize("fault", [500, 429, "reset", "short", 404])
def test_a_server_that_never_gives_the_file(tmp_path, numbers, fault):
    traffic = Traffic(retry_after=0)
    traffic.fail("_blue", fault, times=1000)
    scene(tmp_path, "S", "2018-09-10T01:20:00", numbers)
    with pytest.raises(
        HeadscarpError,
        match=r"the asset 'blue' \(http.*S_blue\.tif\) of item S cannot be read\. Tried .*S_blue\.tif: ",
    ) as error:
        fetch(tmp_path, AFTER, traffic=traffic)
    if isinstance(fault, int):
        assert f"the server answered {fault}" in str(error.value)
    assert not (tmp_path / "out" / "x.tif").exists()


@pytest.mark.parametrize("crs", [CRS, OTHER_ZONE])
def test_a_truncated_file_is_an_error(tmp_path, numbers, crs):
    numbers = np.random.default_rng(0).integers(1, 10000, (600, 600)).astype(np.uint16)
    area = Grid(CRS, GRID.transform @ Affine.translation(-280, -280), 600, 600)
    tile, grid = moved(numbers, area, crs, 10.0, Resampling.nearest)
    add_item(
        tmp_path,
        "sentinel-2-l2a",
        "S",
        "2018-09-10T01:20:00",
        grid,
        {"blue": tile, "scl": np.full(grid.shape, CLEAR, np.uint8)},
    )
    path = tmp_path / "cogs" / "S_blue.tif"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(
        HeadscarpError, match=r"S_blue\.tif\) of item S cannot be read.*truncated or no raster"
    ):
        fetch(tmp_path, AFTER)
    assert not (tmp_path / "out" / "x.tif").exists()


def test_no_api_there(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/"
    with pytest.raises(
        HeadscarpError, match=rf"x\.tif: the STAC API {url} gave no proper answer .*check the network"
    ):
        fetch_raster(AFTER, GRID, url, tmp_path / "x.tif", tmp_path / "x.json", None)


def test_offline_is_an_error_before_anything_is_asked(tmp_path, numbers, monkeypatch):
    monkeypatch.setenv("HEADSCARP_OFFLINE", "1")
    scene(tmp_path, "S", "2018-09-10T01:20:00", numbers)
    traffic = Traffic()
    with pytest.raises(HeadscarpError, match="may not be asked offline"):
        fetch(tmp_path, AFTER, traffic=traffic)
    assert traffic.requests == []


@pytest.mark.parametrize("is_sound", [True, False])
def test_files_in_a_mirror_come_first(tmp_path, numbers, is_sound):
    scene(tmp_path, "S", "2018-09-10T01:20:00", numbers)
    traffic, mirror, content = Traffic(), tmp_path / "mirror", (tmp_path / "cogs" / "S_blue.tif").read_bytes()
    with serve_stac(tmp_path, traffic) as url:
        copy = mirror / url.removeprefix("http://") / "files" / "cogs" / "S_blue.tif"
        copy.parent.mkdir(parents=True)
        copy.write_bytes(content if is_sound else content[:400])
        fetch_raster(AFTER, GRID, url, tmp_path / "x.tif", tmp_path / "x.json", str(mirror))
    with rasterio.open(tmp_path / "x.tif") as raster:
        np.testing.assert_allclose(raster.read(1), numbers / 1e4, atol=1e-6)
    assert any("S_blue" in request for request in traffic.requests) != is_sound


def test_addresses_in_buckets_and_in_the_planetary_computer(tmp_path):
    assert (
        stac_read.public_address("s3://copernicus-dem-30m/a/b.tif")
        == "https://copernicus-dem-30m.s3.amazonaws.com/a/b.tif"
    )
    traffic = Traffic()
    (tmp_path / "items").mkdir()
    token = tmp_path / "sentinel2l2a01" / "sentinel2-l2"
    token.parent.mkdir()
    token.write_text(json.dumps({"token": "sv=1&sig=x%3D", "msft:expiry": "2999-01-01T00:00:00Z"}))
    address = "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/54/T/x.tif"
    with serve_stac(tmp_path, traffic) as url:
        sign = stac_read.Signer(f"{url}files")
        assert sign(address) == sign(address) == f"{address}?sv=1&sig=x%3D"
        assert sign(address + "?se=1") == address + "?se=1"
        assert sign("https://example.org/x.tif") == "https://example.org/x.tif"
        assert len(traffic.requests) == 1
        with pytest.raises(downloads.FetchFailed, match="404"):
            sign("https://other.blob.core.windows.net/none/x.tif")


# --- real data ---


def test_real_sentinel2_in_two_zones(real_data, tmp_path):
    """Bands 2 to 4 of Iburi as two tiles in two zones, before and after; clouds painted, one wrong flag, one
    missing asset."""
    grid, raw = Grid(CRS, Affine(10, 0, 574000, 0, -10, 4732000), 120, 700), real_data("data/iburi_s2_dem")
    bands = {"blue": "B02", "green": "B03", "red": "B04"}
    padded = Grid(CRS, grid.transform @ Affine.translation(-10, -10), grid.height + 20, grid.width + 20)
    truth = {
        (w, key): on_grid(raw / f"s2_{w}_{band}.tif", padded, Resampling.bilinear)
        for w in ("pre", "post")
        for key, band in bands.items()
    }
    for when, day, baseline in (("pre", "2018-08-20", "02.06"), ("post", "2018-10-20", "05.00")):
        for tile, crs, first, last in (("54T", CRS, 260, 700), ("53T", OTHER_ZONE, 0, 450)):
            window = Grid(
                CRS, grid.transform @ Affine.translation(first - 10, -10), grid.height + 20, last - first + 20
            )
            # The eastern tile after the event is in the old numbers, though its baseline says otherwise.
            added = 1000 if when == "post" and tile == "53T" else 0
            assets = {}
            for key in bands:
                values = truth[when, key][:, first : last + 20]
                numbers = np.where(np.isfinite(values), values + added, 0).round().astype(np.uint16)
                assets[key], part = (
                    (numbers, window)
                    if crs == CRS
                    else moved(numbers, window, crs, 10.0, Resampling.bilinear)
                )
            scl = np.where(assets["blue"] > 0, CLEAR, 0).astype(np.uint8)
            scl[40:60, 100:150] = CLOUD
            name = f"S2_{when}_{tile}"
            properties = {"s2:processing_baseline": baseline, "proj:code": crs}
            add_item(
                tmp_path,
                "sentinel-2-l2a",
                name,
                f"{day}T01:20:00",
                part,
                assets | {"scl": scl},
                properties=properties,
            )
    add_item(
        tmp_path,
        "sentinel-2-l2a",
        "S2_lacking",
        "2018-10-20T01:20:00",
        part,
        {"blue": assets["blue"], "scl": scl},
    )
    values, record = fetch(tmp_path, AFTER | {"bands": list(bands)}, grid)
    assert {item["id"]: item["offset"]["applied"] for item in record["items"]} == {
        "S2_post_54T": 0,
        "S2_post_53T": -1000,
    }
    assert any("S2_lacking" in note for note in record["notes"])
    for band, key in zip(values, bands, strict=True):
        expected = truth["post", key][10:-10, 10:-10] / 1e4
        native = np.isfinite(band[:, 260:]) & np.isfinite(expected[:, 260:])
        assert native.mean() > 0.9
        # the cloud's hole in one zone is filled from the other
        assert np.abs(band[:, 260:] - expected[:, 260:])[native].max() < 0.02
        assert np.percentile(np.abs(band[:, 260:] - expected[:, 260:])[native], 95) < 0.51e-4
        west = band[:, 20:240]
        assert np.corrcoef(west[np.isfinite(west)], expected[:, 20:240][np.isfinite(west)])[0, 1] > 0.97
    before, record = fetch(
        tmp_path,
        AFTER | {"from": "2018-08-01", "to": "2018-08-31", "bands": list(bands), "composite": "median"},
        grid,
    )
    missing = np.isnan(truth["pre", "blue"][10:-10, 10:-10]).mean()
    assert record["never_seen_share"] == pytest.approx(missing, abs=0.02)
    assert np.isnan(before[0]).mean() == pytest.approx(1 - record["clear_share"], abs=1e-4)


def test_real_elevation_in_degrees(real_data, tmp_path):
    path = real_data("data/jiuzhaigou_dem") / "DEM_030.tif"
    with rasterio.open(path) as source:
        heights = np.where(source.read(1) > 0, source.read(1), 0).astype(np.float32)
        whole = Grid(source.crs.to_string(), source.transform, source.height, source.width)
    degrees, tile = moved(heights, whole, "EPSG:4326", 1 / 3600, Resampling.bilinear)
    middle = tile.height // 2
    for name, first, last in (("N", 0, middle), ("S", middle, tile.height)):
        part = Grid(tile.crs, tile.transform @ Affine.translation(0, first), last - first, tile.width)
        add_item(tmp_path, "cop-dem-glo-30", name, "2021-04-22T00:00:00", part, {"data": degrees[first:last]})
    grid = Grid(whole.crs, Affine(30, 0, 398000, 0, -30, 3682000), 300, 150)
    values, record = fetch(tmp_path, {"stac": "dem"}, grid)
    truth = on_grid(path, grid, Resampling.bilinear, nodata=-9999)
    both = np.isfinite(values[0]) & (truth > 500)
    assert len(record["items"]) == 2
    assert both.mean() > 0.5
    assert np.median(np.abs(values[0] - truth)[both]) < 4  # twice interpolated on steep ground
    assert np.abs((values[0] - truth)[both].mean()) < 1
