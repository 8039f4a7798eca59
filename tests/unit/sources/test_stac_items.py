"""Source `stac`: what items say, recorded ones of real catalogues (tests/data/stac) and small ones of every
kind of the wild.

What is expected of the recorded ones is written down by hand from the products' documents: the Sentinel-2
Products Specification (bands, BOA_ADD_OFFSET), the Landsat Collection 2 Level 2 guide (SR_B2 to SR_B7 of
OLI, 0.0000275 x DN - 0.2), the handbooks of the Copernicus DEM and of ESA WorldCover.
"""

import datetime
import json
import shutil
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine
from rasterio.warp import transform

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.sources import downloads, stac, stac_items
from headscarp.sources.stac import fetch_raster
from headscarp.sources.stac_read import Signer, public_address
from tests.stac_server import CRS, add_assets, add_item, serve_stac

RECORDED = Path(__file__).parents[2] / "data" / "stac"
GRID = Grid(CRS, Affine(10, 0, 580000, 0, -10, 4740000), 12, 15)
CLEAR_SCL, CLEAR_QA = 4, 1 << 6

MSI = {
    "blue": "B02",
    "green": "B03",
    "red": "B04",
    "red_edge1": "B05",
    "red_edge2": "B06",
    "red_edge3": "B07",
    "nir": "B08",
    "narrow_nir": "B8A",
    "swir1": "B11",
    "swir2": "B12",
}
METRES = {"B02": 10, "B03": 10, "B04": 10, "B08": 10}  # the others 20
MSI_FILES = {band: f"_{name}_{METRES.get(name, 20)}m.tif" for band, name in MSI.items()}
OLI = {"blue": "SR_B2", "green": "SR_B3", "red": "SR_B4", "nir": "SR_B5", "swir1": "SR_B6", "swir2": "SR_B7"}
OLI_FILES = {band: f"_{name}.TIF" for band, name in OLI.items()}
USGS_FILES = OLI_FILES | {"blue": "_SR_B2_small.TIF"}  # as its recorder cut it


@pytest.fixture(autouse=True)
def _local(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("HEADSCARP_OFFLINE", raising=False)
    monkeypatch.setattr(downloads, "ATTEMPTS", 1)


def recorded(name):
    return pystac.Item.from_dict(json.loads((RECORDED / f"{name}.json").read_text()))


def fetch(folder, spec, grid=GRID):
    """The raster (band, row, col) and the record that come of a folder of items."""
    target, record = folder / "out" / "x.tif", folder / "out" / "x.json"
    with serve_stac(folder) as url:
        fetch_raster(spec, grid, url, target, record, None)
    with rasterio.open(target) as raster:
        return raster.read(), json.loads(record.read_text())


# --- recorded items, through the search to the files that are read of them ---


def read_recorded(folder, name, spec, monkeypatch):
    """What `fetch_raster` makes of a recorded item on a grid in its middle, and what it reads of each address
    in the order in which it asks. Masks are clear; the other files have one number each, 100 apart."""
    item, read = recorded(name), {}
    first = 30 if spec["stac"] == "land_cover" else 5000

    def read_band(address, grid, dtype, resampling, nodata, mirror, sign, what):
        if address not in read:
            is_mask = address.upper().endswith(("SCL.TIF", "SCL_20M.TIF", "QA_PIXEL.TIF"))
            clear = CLEAR_SCL if spec["stac"] == "sentinel2" else CLEAR_QA
            value = clear if is_mask else first + 100 * sum(not one["is_mask"] for one in read.values())
            read[address] = {"is_mask": is_mask, "value": value, "dtype": dtype, "nodata": nodata}
        return np.full(grid.shape, read[address]["value"], dtype)

    monkeypatch.setattr(stac, "read_band", read_band)
    (folder / "items").mkdir()
    shutil.copy(RECORDED / f"{name}.json", folder / "items")
    longitude, latitude = (item.bbox[0] + item.bbox[2]) / 2, (item.bbox[1] + item.bbox[3]) / 2
    utm = (32600 if latitude > 0 else 32700) + int(longitude // 6) + 31
    crs = "EPSG:3031" if latitude < -80 else f"EPSG:{utm}"
    (x,), (y,) = transform("EPSG:4326", crs, [longitude], [latitude])
    grid = Grid(crs, Affine(10, 0, x, 0, -10, y), 4, 5)
    values, record = fetch(folder, spec | {"collection": item.collection_id}, grid)
    return values, record, read


@pytest.mark.parametrize(
    ("name", "files", "mask", "expected"),
    [
        (
            "planetary_computer_sentinel2_02.12",
            MSI_FILES,
            "_SCL_20m.tif",
            {"day": "2019-06-29", "tile": "06VVN", "cloud_cover": 0.314306, "crs": "EPSG:32606"}
            | {"baseline": 2.12, "offset": 0, "by": "processing baseline 02.12", "nodata": 0},
        ),
        (
            "planetary_computer_sentinel2_05.11",
            MSI_FILES,
            "_SCL_20m.tif",
            {"day": "2024-08-25", "tile": "13TDE", "cloud_cover": 48.747352, "crs": "EPSG:32613"}
            | {"baseline": 5.11, "offset": -1000, "by": "processing baseline 05.11", "nodata": 0},
        ),
        (
            "earth_search_v1_sentinel2",  # its assets say -0.1, but its files have it already
            {band: f"S2A_39QTA_20230628_0_L2A/{file}.tif" for band, file in MSI.items()},
            "/SCL.tif",
            {"day": "2023-06-28", "tile": "39QTA", "cloud_cover": 4.025136, "crs": "EPSG:32639"}
            | {"baseline": 5.09, "offset": 0, "by": "earthsearch:boa_offset_applied is true", "nodata": 0},
        ),
        (
            "earth_search_v0_sentinel2",  # no list of bands; the baseline is in the product's name alone
            {band: f"S2A_28QCH_20200714_0_L2A/{file}.tif" for band, file in MSI.items()},
            "/SCL.tif",
            {"day": "2020-07-14", "tile": "", "cloud_cover": 2.36, "crs": "EPSG:32628"}
            | {"baseline": 2.14, "offset": 0, "by": "processing baseline 02.14", "nodata": 0},
        ),
        (
            "planetary_computer_landsat",  # 9:41 in the morning of the next day by the sun of Tasmania
            OLI_FILES,
            "_QA_PIXEL.TIF",
            {"day": "2024-04-18", "tile": "089/090", "cloud_cover": 97.54, "crs": "EPSG:32655", "nodata": 0},
        ),
        (
            "usgs_landsat_bands_by_number",
            USGS_FILES,
            "_QA_PIXEL.TIF",
            {"day": "2020-01-01", "tile": "81/119", "cloud_cover": 0, "crs": "EPSG:3031", "nodata": 0},
        ),
    ],
)
def test_a_recorded_scene(tmp_path, monkeypatch, name, files, mask, expected):
    spec = {"stac": "sentinel2" if "offset" in expected else "landsat", "max_cloud": 100}
    spec |= {"from": expected["day"], "to": expected["day"], "bands": list(files)}
    values, record, read = read_recorded(tmp_path, name, spec, monkeypatch)
    addresses = {address: file for address, file in read.items() if not file["is_mask"]}
    assert next(address for address, file in read.items() if file["is_mask"]).endswith(mask)
    assert len(read) == len(files) + 1
    for (address, file), end, band in zip(addresses.items(), files.values(), values, strict=True):
        assert address.endswith(end)
        assert file["nodata"] == expected["nodata"]
        if "offset" in expected:
            np.testing.assert_allclose(band, (file["value"] + expected["offset"]) / 10000, atol=1e-6)
        else:
            np.testing.assert_allclose(band, file["value"] * 0.0000275 - 0.2, atol=1e-6)
    (item,) = record["items"]
    assert {key: item[key] for key in ("day", "tile", "cloud_cover")} == {
        key: expected[key] for key in ("day", "tile", "cloud_cover")
    }
    assert stac_items.crs_of(recorded(name)) == expected["crs"]
    if "offset" in expected:
        assert item["baseline"] == expected["baseline"]
        assert (item["offset"]["applied"], item["offset"]["by"]) == (expected["offset"], expected["by"])


@pytest.mark.parametrize(
    ("name", "spec", "file", "dtype", "nodata", "start", "crs"),
    [
        (
            "planetary_computer_dem",
            {"stac": "dem"},
            "/COP30_hh/Copernicus_DSM_COG_10_S90_00_W180_00_DEM.tif",
            "float32",
            None,
            "2021-04-22T00:00:00+00:00",
            "EPSG:4326",
        ),
        (
            "esa_worldcover",
            {"stac": "land_cover"},
            "/ESA_WorldCover_10m_2021_v200_N00E006_Map.tif",
            "uint8",
            0,
            "2021-01-01T00:00:00Z",
            "EPSG:4326",
        ),
    ],
)
def test_a_recorded_map(tmp_path, monkeypatch, name, spec, file, dtype, nodata, start, crs):
    values, record, read = read_recorded(tmp_path, name, spec, monkeypatch)
    ((address, reading),) = read.items()
    assert address.endswith(file)
    assert (reading["dtype"], reading["nodata"]) == (dtype, nodata)
    assert (values == reading["value"]).all()
    assert record["items"][0]["datetime"] == start
    assert stac_items.crs_of(recorded(name)) == crs


# --- kinds of items ---

NUMBERS = np.random.default_rng(1).integers(100, 4000, GRID.shape).astype(np.uint16)
SPEC = {"stac": "sentinel2", "from": "2018-09-10", "to": "2018-09-10", "bands": ["blue"]}
COASTAL_BLUE = [{"name": "B01", "common_name": "coastal"}, {"name": "B02", "common_name": "blue"}]


def scene(folder, added=0, **properties):
    """An item `S` whose blue band is NUMBERS + added; its asset is named `band`."""
    folder.mkdir(exist_ok=True)
    properties = {"s2:processing_baseline": "02.06"} | properties
    scl = np.full(GRID.shape, CLEAR_SCL, np.uint8)
    assets = {"band": NUMBERS + np.uint16(added), "scl": scl}
    add_item(folder, "sentinel-2-l2a", "S", "2018-09-10T01:20:00", GRID, assets, properties=properties)


def edit(folder, change):
    """Change the record of the item `S`."""
    path = folder / "items" / "S.json"
    item = json.loads(path.read_text())
    change(item)
    path.write_text(json.dumps(item))


def of_band(**fields):
    return lambda item: item["assets"]["band"].update(fields)


def older(version, bands, *indices):
    """Bands by number, as STAC had them."""

    def change(item):
        item["stac_version"] = version
        item["stac_extensions"] = ["eo"]
        item["assets"]["band"]["eo:bands"] = list(indices)
        if bands is not None:
            item["properties"]["eo:bands"] = bands

    return change


def renamed(band, mask):
    def change(item):
        item["assets"] = {band: item["assets"]["band"], mask: item["assets"]["scl"]}

    return change


def beside(**others):
    """The band called B02, and other assets before it that are no such files."""

    def change(item):
        band = item["assets"]["band"] | {"eo:bands": [{"name": "B02", "common_name": "blue"}]}
        item["assets"] = {key: {"href": "none.tif"} | other for key, other in others.items()} | {
            "band": band,
            "scl": item["assets"]["scl"],
        }

    return change


def of_properties(**fields):
    def change(item):
        item["assets"]["blue"] = item["assets"].pop("band")
        item["properties"].update({key.replace("__", ":"): value for key, value in fields.items()})

    return change


def of_bbox(item):
    west, south, east, north = item["bbox"]
    item["bbox"] = [west, south, 0, east, north, 900]
    item["assets"]["blue"] = item["assets"].pop("band")


BLUE_RECORD = {"name": "B02", "common_name": "blue"}


@pytest.mark.parametrize(
    "change",
    [
        older("1.0.0-beta.2", COASTAL_BLUE, 1),
        older("1.0.0", COASTAL_BLUE, 1),
        older("0.9.0", COASTAL_BLUE, 1),
        older("0.6.2", COASTAL_BLUE, 1),
        of_band(**{"eo:bands": ["B02"]}),
        of_band(**{"eo:bands": [BLUE_RECORD]}),
        of_band(**{"eo:bands": [{"common_name": "blue"}]}),
        of_band(bands=[{"name": "b", "eo:common_name": "blue"}]),
        of_band(**{"eo:bands": [BLUE_RECORD], "raster:bands": [{"name": "Band1", "scale": 1e-4}]}),
        of_band(**{"eo:bands": [BLUE_RECORD], "raster:bands": None, "bands": None}),
        renamed("B02.TIF", "SCL.TIF"),
        renamed("Blue", "Scl"),
        beside(jp2={"type": "image/jp2", "eo:bands": [BLUE_RECORD]}),
        beside(untyped={"href": "B02.jp2", "eo:bands": [BLUE_RECORD]}),
        beside(picture={"type": "image/png", "eo:bands": [BLUE_RECORD]}),
        beside(thumb={"roles": ["thumbnail"], "eo:bands": [BLUE_RECORD]}),
        beside(map={"type": "application/x-ogc-wms", "eo:bands": [BLUE_RECORD]}),
        beside(visual={"eo:bands": [{"common_name": name} for name in ("red", "green", "blue")]}),
        beside(coarse={"gsd": 60, "eo:bands": [{"name": "B02"}], "title": "listed before the finer one"}),
        beside(other={"gsd": 5, "eo:bands": [{"name": "B01", "common_name": "blue"}]}),
        of_properties(eo__cloud_cover=None),
        of_properties(eo__cloud_cover="12.5"),
        of_properties(eo__cloud_cover="unknown"),
        of_properties(
            datetime=None, start_datetime="2018-09-10T01:20:00Z", end_datetime="2018-09-10T01:20:15Z"
        ),
        of_properties(proj__epsg=None, grid__code=None),
        of_properties(proj__code=None, s2__mgrs_tile=None),
        of_bbox,
    ],
)
def test_a_band_is_found_however_it_is_described(tmp_path, change):
    scene(tmp_path)
    edit(tmp_path, lambda item: item["assets"]["band"].update({"gsd": 10}))
    edit(tmp_path, change)
    values, record = fetch(tmp_path, SPEC)
    np.testing.assert_allclose(values[0], NUMBERS / 1e4, atol=1e-6)
    assert [day["day"] for day in record["days"]] == ["2018-09-10"]
    assert record["items"][0]["cloud_cover"] in (None, 12.5)
    assert record["items"][0]["tile"] == ""


@pytest.mark.parametrize(
    "place", [{"properties": {"eo:bands": COASTAL_BLUE}}, {"summaries": {"eo:bands": COASTAL_BLUE}}]
)
def test_numbers_may_count_into_the_collection(tmp_path, place):
    scene(tmp_path)
    edit(tmp_path, older("0.8.1", None, 1))
    (tmp_path / "collections").mkdir()
    (tmp_path / "collections" / "sentinel-2-l2a.json").write_text(json.dumps(place))
    values, _ = fetch(tmp_path, SPEC)
    np.testing.assert_allclose(values[0], NUMBERS / 1e4, atol=1e-6)


@pytest.mark.parametrize(
    ("added", "fields", "properties", "offset", "word"),
    [
        # what a tool writes that finds no scale in the file
        (
            1000,
            {"raster:bands": [{"scale": 1, "offset": 0}]},
            {"s2:processing_baseline": "05.00"},
            -1000,
            "05.00",
        ),
        (1000, {"raster:bands": [{"offset": -0.1}]}, {"s2:processing_baseline": "05.00"}, -1000, "is -0.1"),
        (
            1000,
            {"raster:offset": -0.1, "raster:scale": 1e-4},
            {"s2:processing_baseline": "05.00"},
            -1000,
            "is -0.1",
        ),
        (
            1000,
            {"raster:bands": [{"scale": "0.0001", "offset": None}]},
            {"s2:processing_baseline": "05.00"},
            -1000,
            "05.00",
        ),
        # there was no offset before 04.00
        (
            0,
            {"raster:bands": [{"scale": 1e-4, "offset": -0.1}]},
            {"s2:processing_baseline": "02.06"},
            0,
            "02.06",
        ),
        # Earth Search v0
        (
            0,
            {},
            {"sentinel:processing_baseline": "04.00", "sentinel:boa_offset_applied": True},
            0,
            "sentinel:boa",
        ),
        (
            1000,
            {},
            {"sentinel:processing_baseline": "04.00", "sentinel:boa_offset_applied": False},
            -1000,
            "04.00",
        ),
        (
            1000,
            {},
            {"sentinel:product_id": "S2A_MSIL2A_20220629T104631_N0400_R051_T31UFU_20220629T170417"},
            -1000,
            "processing baseline 04.00",
        ),
        # Copernicus Data Space, STAC 1.1
        (
            1000,
            {"bands": [{"name": "B02"}], "raster:scale": 1e-4, "raster:offset": -0.1},
            {"processing:version": "05.11"},
            -1000,
            "is -0.1",
        ),
    ],
)
def test_the_offset_by_what_is_stated(tmp_path, added, fields, properties, offset, word):
    scene(tmp_path, added, **({"s2:processing_baseline": None} | properties))
    edit(tmp_path, lambda item: item["assets"].update(blue=item["assets"].pop("band") | fields))
    values, record = fetch(tmp_path, SPEC)
    np.testing.assert_allclose(values[0], NUMBERS / 1e4, atol=1e-6)
    found = record["items"][0]["offset"]
    assert (found["stated"], found["applied"]) == (offset, offset)
    assert word in found["by"]


@pytest.mark.parametrize(
    "fields", [{"raster:bands": [{"nodata": 7}]}, {"nodata": 7}, {"bands": [{"nodata": "7"}]}]
)
def test_the_number_without_data_of_a_file_that_declares_none(tmp_path, fields):
    numbers = NUMBERS.copy()
    numbers[2, 3] = 7
    scl = np.full(GRID.shape, CLEAR_SCL, np.uint8)
    add_item(tmp_path, "sentinel-2-l2a", "S", "2018-09-10T01:20:00", GRID, {"scl": scl})
    add_assets(tmp_path, "S", GRID, {"blue": numbers}, None, fields)
    values, _ = fetch(tmp_path, SPEC)
    expected = np.where(numbers == 7, np.nan, numbers / 1e4)
    np.testing.assert_allclose(values[0], expected, atol=1e-6)
    add_item(tmp_path, "cop-dem-glo-30", "D", "2021-04-22T00:00:00", GRID, {})
    add_assets(tmp_path, "D", GRID, {"data": numbers.astype(np.float32)}, None, fields)
    values, _ = fetch(tmp_path, {"stac": "dem"})
    np.testing.assert_array_equal(values[0], np.where(numbers == 7, np.nan, numbers))


def two_bands(item):
    fields = {"raster:bands": [{"scale": 1e-4, "offset": -0.1}]}
    item["assets"]["blue"] = item["assets"]["band"] | fields
    item["assets"]["green"] = item["assets"].pop("band") | {"raster:bands": [{"scale": 1e-4, "offset": 0}]}
    item["properties"]["s2:processing_baseline"] = "05.00"


LONG = {"datetime": None, "start_datetime": "2018-09-01T00:00:00Z", "end_datetime": "2018-09-30T00:00:00Z"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            older("1.0.0-beta.2", COASTAL_BLUE, 2),
            r"item S has no asset for blue \(its assets are band, scl\)",
        ),
        (older("1.0.0-beta.2", COASTAL_BLUE, -1), r"item S has no asset for blue"),
        (older("1.0.0-beta.2", {"B02": {}}, 1), r"item S has no asset for blue"),
        (older("0.8.1", COASTAL_BLUE, 2), r"gave no proper answer \(IndexError: .*set another `api:`"),
        (older("0.8.1", None, 1), r"item S has no asset for blue"),
        (of_band(type="image/jp2", **{"eo:bands": [BLUE_RECORD]}), "item S has no asset for blue"),
        (of_band(**{"eo:bands": [[1]]}), "item S has no asset for blue"),
        (
            of_band(bands=[BLUE_RECORD], **{"raster:scale": 2.75e-5, "raster:offset": -0.2}),
            r"item S states the scale 2\.75e-05 of its asset band, Sentinel-2 L2A has 0\.0001 .*collection:",
        ),
        (
            of_band(bands=[BLUE_RECORD], **{"raster:scale": 1e-4, "raster:offset": -0.2}),
            r"item S states the offset -0\.2 of its asset band, Sentinel-2 L2A has 0 or -0\.1 ",
        ),
        (
            of_properties(**LONG),
            r"no item .* from 2018-09-10 to 2018-09-10 but 1 of longer periods than a day",
        ),
        (lambda item: item.update(properties=None), "gave no proper answer .*set another `api:`"),
        (lambda item: item["assets"]["band"].pop("href"), "gave no proper answer .*set another `api:`"),
        (
            lambda item: item["assets"].update(blue=item["assets"].pop("band") | {"href": "s3://nowhere"}),
            r"asset 'blue' \(https://nowhere\.s3\.amazonaws\.com/\) of item S cannot be read",
        ),
        (
            lambda item: item["assets"].update(blue=item["assets"].pop("band") | {"href": "abfs://a/b.tif"}),
            r"asset 'blue' \(abfs://a/b\.tif\) of item S cannot be read",
        ),
    ],
)
def test_an_item_that_cannot_be_used_is_named_in_one_line(tmp_path, change, message):
    scene(tmp_path)
    edit(tmp_path, change)
    with pytest.raises(HeadscarpError, match=rf"^files, x\.tif: .*{message}") as error:
        fetch(tmp_path, SPEC)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out" / "x.tif").exists()


def test_bands_of_different_offsets(tmp_path):
    scene(tmp_path)
    edit(tmp_path, two_bands)
    with pytest.raises(
        HeadscarpError, match=r"item S states several offsets: blue: .* is -0\.1, green: .* is 0 "
    ):
        fetch(tmp_path, SPEC | {"bands": ["blue", "green"]})


def test_landsat_in_another_scaling_is_left_out_and_said(tmp_path):
    scaled = {"scale": 2.75e-5, "offset": -0.2, "nodata": 0}
    quality = np.full(GRID.shape, CLEAR_QA, np.uint16)
    for name, scaling in (("C1", {"scale": 1e-4}), ("C2", scaled)):
        add_item(tmp_path, "landsat-c2-l2", name, "2018-09-10T01:20:00", GRID, {})
        add_assets(tmp_path, name, GRID, {"nir08": NUMBERS + 7000}, 0, {"raster:bands": [scaling]})
        add_assets(tmp_path, name, GRID, {"qa_pixel": quality}, 1)
    values, record = fetch(tmp_path, SPEC | {"stac": "landsat", "bands": ["nir"]})
    np.testing.assert_allclose(values[0], (NUMBERS + 7000.0) * 2.75e-5 - 0.2, atol=1e-6)
    assert [item["id"] for item in record["items"]] == ["C2"]
    assert any("item C1 states the scale 0.0001 of its asset nir08" in note for note in record["notes"])


def test_composites_among_the_scenes_are_left_out_and_said(tmp_path):
    scene(tmp_path)
    edit(tmp_path, of_properties())
    path = tmp_path / "items" / "S.json"
    item = json.loads(path.read_text())
    item["id"], item["properties"] = "MONTH", item["properties"] | LONG
    (tmp_path / "items" / "MONTH.json").write_text(json.dumps(item))
    _, record = fetch(tmp_path, SPEC)
    assert [item["id"] for item in record["items"]] == ["S"]
    assert any("MONTH" in note and "longer periods than a day" in note for note in record["notes"])


@pytest.mark.parametrize(
    ("bbox", "longitudes", "middle"),
    [
        ([140, 1, 142, 2], None, 141),
        ([140, 1, 0, 142, 2, 9], None, 141),
        ([179, 1, -179, 2], None, 180),
        ([178, 1, -179, 2], None, 179.5),
        ([-180, 1, 180, 2], [[178.5, 180], [-180, -179.5]], 179.75),  # halves at the antimeridian
        (None, [[10, 12]], 11),
        (None, None, 0),
    ],
)
def test_the_middle_of_an_item_also_across_the_antimeridian(bbox, longitudes, middle):
    geometry = None
    if longitudes:
        rings = [[[[w, 1], [e, 1], [e, 2], [w, 2], [w, 1]]] for w, e in longitudes]
        geometry = {"type": "MultiPolygon", "coordinates": rings}
    item = pystac.Item("x", geometry, bbox, datetime.datetime(2020, 1, 1, 22, tzinfo=datetime.UTC), {})
    found = stac_items.middle_longitude(item)
    assert abs((found - middle + 180) % 360 - 180) < 0.3
    # 22:00 UTC is the next day east of 30 degrees
    assert stac_items.solar_day(item) == datetime.date(2020, 1, 2 if middle > 30 and found > 0 else 1)


def test_tiles_by_the_words_of_the_catalogues():
    tiles = {
        "31UFU": {"sentinel:utm_zone": 31, "sentinel:latitude_band": "U", "sentinel:grid_square": "FU"},
        "39QTA": {"mgrs:utm_zone": 39, "mgrs:latitude_band": "Q", "mgrs:grid_square": "TA"},
        "06VVN": {"s2:mgrs_tile": "06VVN"},
        "33UWP": {"grid:code": "MGRS-33UWP"},
        "": {"mgrs:utm_zone": 39, "grid:code": None},
    }
    for tile, properties in tiles.items():
        item = pystac.Item("x", None, None, datetime.datetime(2020, 1, 1), properties)
        assert stac_items.tile_of(item) == tile


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("s3://sentinel-cogs/a/b.tif", "https://sentinel-cogs.s3.amazonaws.com/a/b.tif"),
        ("/vsis3/sentinel-cogs/a/b.tif", "https://sentinel-cogs.s3.amazonaws.com/a/b.tif"),
        ("gs://gcp-public-data/a/b.tif", "https://storage.googleapis.com/gcp-public-data/a/b.tif"),
        ("/vsicurl/https://example.org/b.tif?sig=x", "https://example.org/b.tif?sig=x"),
        ("https://example.org/b.tif?sig=x", "https://example.org/b.tif?sig=x"),
        ("./B02.tif", "./B02.tif"),
    ],
)
def test_addresses_of_buckets(address, public):
    assert public_address(address) == public
    assert Signer()(public) == public
