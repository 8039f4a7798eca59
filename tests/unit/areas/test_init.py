"""`headscarp init`: files of many kinds and CRSs become a card that the schema and the stations accept;
nothing is overwritten."""

from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.warp import transform_bounds

from headscarp.__main__ import main
from headscarp.areas.guess.names import date_in, optical_in, role_in, role_of_vectors, time_in
from headscarp.areas.guess.words import words
from headscarp.areas.init.draft import PLACEHOLDER
from headscarp.areas.init.write import snakefile_option, write_card, write_config
from headscarp.errors import HeadscarpError
from headscarp.plan.plan import load_plan
from headscarp.plan.read import resolve_card
from headscarp.samples.spec import SamplingSpec
from headscarp.schema import validate
from headscarp.yaml_files import read_yaml
from tests.conftest import REPOSITORY
from tests.site_files import CRS, NORTH, WEST, make_grid, write_raster, write_shapes

WORKFLOW = REPOSITORY / "workflow"
GRID = make_grid(120, 160, 10.0)
BOX = shapely.box(*GRID.bounds).buffer(-105)


def optical(rng, shape=GRID.shape, scale=10_000, bands=1):
    return (rng.uniform(0.02, 0.4, (bands, *shape)) * scale).astype(np.uint16)


def relief():
    rows, cols = np.mgrid[: GRID.height, : GRID.width]
    return (400 + 2.5 * rows + 40 * np.sin(cols / 9)).astype(np.float32)


def slides(count=6):
    west, south, _, _ = BOX.bounds
    return [
        shapely.box(west + 100 * k, south + 90 * k, west + 100 * k + 60, south + 90 * k + 50)
        for k in range(count)
    ]


@pytest.fixture
def outline(tmp_path):
    return write_shapes(tmp_path / "Val-Bella_AOI.geojson", [BOX])


@pytest.fixture
def card_of(tmp_path, outline):
    """A function that writes a card of some files and gives it as parsed, with its text; it fits the
    schema."""

    def write(*files, **options):
        path, _ = write_card(outline, files, folder=tmp_path, **options)
        record = read_yaml(path)
        validate("card", record, "card")
        config = {"scale": "tiny", "protocols": ["published", "blocked"]}
        resolve_card(
            record,
            config,
            WORKFLOW,
            {"random_forest", "unet", "resunet", "cnn_lstm"},
            {record["name"]: record},
        )
        SamplingSpec.from_record(record.get("sampling", {}))
        return record, path.read_text()

    return write


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("postEvent_B04", "red"),
        ("T54TXN_20180925_B8A_20m", "nir_narrow"),
        ("download.B2", "blue"),
        ("LC08_L2SP_SR_B5", "nir"),
        ("LT05_L2SP_SR_B5", "swir1"),
        ("nir08", "nir"),
        ("orthophoto", None),
        ("Red Edge 2", "rededge2"),
    ],
)
def test_bands_by_name(name, expected):
    assert optical_in(name, name) == expected


def test_names_times_and_dates():
    assert words("AtsumaPost_2018-09") == ["atsuma", "post", "2018", "09"]
    times = {
        "s2_pre_B02": "pre",
        "postevent_rgb": "post",
        "災害後_画像": "post",
        "preview": "",
        "posterior": "",
    }
    assert {name: time_in(name) for name in times} == times
    dates = {
        "S2A_20180906T013": "2018-09-06",
        "x_2018-09-06": "2018-09-06",
        "20181306": None,
        "1234567890": None,
    }
    assert {name: date_in(name) for name in dates} == dates
    roles = {
        "aw3d30_dsm": "dem",
        "slope_deg": "slope",
        "SCL": "mask",
        "lulc_2018": "land_cover",
        "demolished": None,
    }
    assert {name: role_in(name) for name in roles} == roles


@pytest.mark.parametrize(
    ("name", "geometry", "role"),
    [
        ("inventory", "Polygon", "label"),
        ("地すべり地形", "Polygon", "label"),
        ("study rivers", "LineString", "distance_to_rivers"),
        ("active_faults", "LineString", "distance_to_faults"),
        ("mapped_area", "Polygon", "area"),
        ("landslides", "Point", None),
        ("mudslide_roads", "LineString", "distance_to_roads"),
        ("parcels", "Polygon", None),
    ],
)
def test_vectors_by_name(name, geometry, role):
    assert role_of_vectors(name, geometry)[0] == role


def test_single_bands_of_two_times_an_elevation_model_and_an_inventory(card_of, tmp_path):
    rng = np.random.default_rng(0)
    files = [
        write_raster(tmp_path / f"s2_{time}_{band}.tif", optical(rng), GRID)
        for time in ("pre", "post")
        for band in ("B04", "B08")
    ]
    files.append(write_raster(tmp_path / "thing.tif", relief(), GRID))
    files.append(write_shapes(tmp_path / "landslides.shp", slides()))
    files.append(
        write_shapes(
            tmp_path / "rivers.gpkg", [shapely.LineString([(WEST, NORTH), (WEST + 1600, NORTH - 1200)])]
        )
    )
    record, text = card_of(*files, *tmp_path.glob("landslides.*"), event="2018-09-06")
    site = record["sites"]["val_bella"]
    assert site["source"] == "area" and record["name"] == "val_bella"
    assert site["files"]["before_red.tif"] == {"path": "s2_pre_B04.tif"}
    assert site["files"]["dem.tif"]["path"] == "thing.tif" and "by its values" in text
    rasters = site["layers"]["rasters"]
    assert {"pre_red", "pre_nir", "post_red", "post_nir"} == set(rasters)
    assert rasters["post_nir"] == {"file": "after_nir.tif", "units": "reflectance", "scale": 1e-4}
    assert site["layers"]["indices"] == {"ndvi": {"nir": "post_nir", "red": "post_red"}}
    assert site["layers"]["lines"] == {"distance_to_rivers": "rivers.gpkg"}
    assert site["layers"]["labels"] == {"landslides": "landslides.gpkg", "area": "outline.gpkg"}
    assert site["layers"]["dates"] == ["2018-09-06"]
    assert record["inputs"]["context"] == ["distance_to_rivers"]
    assert {"random_forest", "unet", "unet+terrain"} <= set(record["experiments"])
    assert record["protocols"] == ["blocked"]
    assert "GUESS reflectance times 10000" in text


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:32648", "EPSG:2154"])
def test_the_grid_is_in_the_utm_zone_of_the_outline_whatever_its_crs(tmp_path, crs):
    place = (
        shapely.box(3.0, 45.0, 3.02, 45.01)
        if crs == "EPSG:2154"
        else shapely.box(108.9, -30.81, 108.92, -30.8)
    )
    geopandas.GeoDataFrame(geometry=[place], crs=4326).to_crs(crs).to_file(tmp_path / "valley.shp")
    path, _ = write_card(tmp_path / "valley.shp", event="2020-02-29", folder=tmp_path, resolution=20)
    grid = read_yaml(path)["sites"]["valley"]["layers"]["grid"]
    assert grid == {
        "around": "outline.gpkg",
        "crs": "EPSG:32631" if crs == "EPSG:2154" else "EPSG:32749",
        "resolution_m": 20,
    }


def test_without_images_sentinel_2_before_and_after_the_event_is_named(card_of):
    record, text = card_of(event="2018-09-06")
    files = record["sites"]["val_bella"]["files"]
    assert (files["before.tif"]["stac"], files["before.tif"]["from"], files["before.tif"]["to"]) == (
        "sentinel2",
        "2018-05-09",
        "2018-09-05",
    )
    assert (files["after.tif"]["from"], files["after.tif"]["to"]) == ("2018-09-07", "2018-11-05")
    assert files["dem.tif"] == {"stac": "dem", "margin_m": 1000} and files["land_cover.tif"] == {
        "stac": "land_cover"
    }
    layers = record["sites"]["val_bella"]["layers"]
    assert layers["rasters"]["post_nir"] == {"file": "after.tif", "band": "nir", "units": "reflectance"}
    assert "labels" not in layers and record["experiments"] == {} and "trained elsewhere" in text


def test_a_series_takes_one_image_of_each_date(card_of, tmp_path):
    rng = np.random.default_rng(1)
    files = [
        write_raster(tmp_path / f"scene_{date}.tif", optical(rng, bands=4), GRID)
        for date in ("20200105", "20200610", "20201201")
    ]
    files.append(write_shapes(tmp_path / "inventory.gpkg", slides()))
    record, text = card_of(*files, dates=["2020-01-05", "2020-06-10"])
    layers = record["sites"]["val_bella"]["layers"]
    assert layers["dates"] == ["2020-01-05", "2020-06-10"]
    assert layers["rasters"]["nir"]["files"] == {
        "2020-01-05": "image_2020-01-05.tif",
        "2020-06-10": "image_2020-06-10.tif",
    }
    assert layers["rasters"]["nir"]["band"] == 4 and "usual order of 4 bands" in text
    assert "scene_20201201.tif (band 1): its date 2020-12-01 is none of --dates" in text
    assert record["experiments"]["cnn_lstm"]["dates"] == "all"


def test_bytes_named_bands_classes_label_rasters_and_what_is_left_over(card_of, tmp_path):
    rng = np.random.default_rng(2)
    rgb = rng.integers(0, 256, (3, *GRID.shape)).astype(np.uint8)
    named = write_raster(tmp_path / "ortho.tif", rgb, GRID, names=["green", "red", "blue"])
    cover = write_raster(
        tmp_path / "land_cover.tif", rng.choice([10, 60, 80], GRID.shape).astype(np.uint8), GRID
    )
    label = write_raster(
        tmp_path / "label.tif", rng.integers(0, 2, GRID.shape).astype(np.uint8), GRID, nodata=255
    )
    odd = write_raster(tmp_path / "odd.tif", rng.uniform(0, 1, GRID.shape).astype(np.float32), GRID)
    slope = write_raster(tmp_path / "slope.tif", rng.uniform(0, 60, GRID.shape).astype(np.float32), GRID)
    bare = write_raster(tmp_path / "nir.tif", optical(rng)[0], GRID, crs=None)
    points = write_shapes(tmp_path / "landslides.geojson", [BOX.centroid], crs=CRS)
    (tmp_path / "notes.docx").write_bytes(b"no raster")
    record, text = card_of(named, cover, label, odd, slope, bare, points, tmp_path / "notes.docx")
    layers = record["sites"]["val_bella"]["layers"]
    assert layers["rasters"]["red"] == {
        "file": "image.tif",
        "band": 2,
        "units": "brightness",
        "scale": 0.003921569,
    }
    assert layers["rasters"]["land_cover"]["classes"] == {
        10: "tree cover",
        60: "bare or sparse vegetation",
        80: "permanent water",
    }
    assert layers["labels"] == {
        "classes": "landslides.tif",
        "values": {0: "not a landslide", 1: "landslide"},
        "area": "outline.gpkg",
    }
    assert layers["dates"] == [PLACEHOLDER] and "PLACEHOLDER" in text
    for left in (
        "odd.tif: neither name nor values",
        "slope.tif: slope is derived",
        "landslides.geojson: 1 points",
        "notes.docx: cannot be read",
    ):
        assert f"not used: {left}" in text
    line = next(line for line in text.splitlines() if "image_nir.tif:" in line)
    assert "crs: 'EPSG:32649'" in line and "GUESS no CRS in the file" in line


def test_images_are_parted_by_their_dates_and_netcdf_variables_are_bands(card_of, tmp_path):
    rng = np.random.default_rng(3)
    files = [
        write_raster(tmp_path / f"s2_{date}.tif", optical(rng, bands=3), GRID)
        for date in ("2018-08-01", "2018-10-01")
    ]
    record, _ = card_of(*files, event="2018-09-06")
    rasters = record["sites"]["val_bella"]["layers"]["rasters"]
    assert rasters["pre_red"]["file"] == "before.tif" and rasters["post_red"] == rasters["pre_red"] | {
        "file": "after.tif"
    }
    xarray = pytest.importorskip("xarray")
    cube = {name: (("y", "x"), rng.uniform(0, 0.5, (20, 30))) for name in ("B04", "B08")}
    west, south, east, north = transform_bounds(CRS, "EPSG:4326", *GRID.bounds)
    places = {"y": np.linspace(north, south, 20), "x": np.linspace(west, east, 30)}
    xarray.Dataset(cube, places).to_netcdf(tmp_path / "image.nc", engine="h5netcdf")
    record, _ = card_of(tmp_path / "image.nc", name="nc")
    files = record["sites"]["nc"]["files"]
    assert files["image_nir.tif"] == {"path": "image.nc", "variable": "B08", "crs": "EPSG:4326"}


def test_the_plan_reads_the_card(tmp_path, outline, monkeypatch):
    write_shapes(tmp_path / "landslides.gpkg", slides())
    write_card(outline, [tmp_path / "landslides.gpkg"], event="2018-09-06", folder=tmp_path)
    monkeypatch.chdir(tmp_path)
    plan = load_plan({"cards": ["val_bella"], "scale": "tiny"}, REPOSITORY)
    assert set(plan.sites["val_bella"].files) >= {
        "outline.gpkg",
        "before.tif",
        "after.tif",
        "dem.tif",
        "landslides.gpkg",
    }
    assert "results/figures/val_bella/fig_site.png" in plan.targets("val_bella")


def test_an_existing_card_stays_as_it_is(tmp_path, outline, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["init", outline.name, "--event", "2018-09-06"]) == 0
    out = capsys.readouterr().out
    assert "headscarp check val_bella" in out and "--cores 2 val_bella" in out
    card = tmp_path / "areas" / "val_bella.yaml"
    before = card.read_bytes()
    assert main(["init", outline.name, "--event", "2019-01-01"]) == 2
    assert "exists already" in capsys.readouterr().err and card.read_bytes() == before
    assert main(["init", outline.name, "--event", "2018-09-06", "--name", "other"]) == 0
    assert [path.name for path in sorted(card.parent.iterdir())] == ["other.yaml", "val_bella.yaml"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"event": "6.9.2018"}, "write it as 2018-09-06"),
        ({}, "--event 2018-09-06"),
        ({"name": "Two Words", "event": "2018-09-06"}, "lower-case"),
        ({"resolution": 0, "event": "2018-09-06"}, "metres above 0"),
        ({"dates": ["2019-01-01", "2018-01-01"]}, "do not rise"),
        ({"files": ["missing.tif"], "event": "2018-09-06"}, "missing.tif does not exist"),
    ],
)
def test_bad_calls_say_what_to_do(tmp_path, outline, options, message):
    with pytest.raises(HeadscarpError, match=message):
        write_card(outline, folder=tmp_path, **options)
    assert not (tmp_path / "areas").exists()


def test_outlines_without_polygons_or_crs_are_refused(tmp_path):
    write_shapes(tmp_path / "line.geojson", [shapely.LineString([(WEST, NORTH), (WEST + 10, NORTH)])])
    with pytest.raises(HeadscarpError, match="holds no area"):
        write_card(tmp_path / "line.geojson", event="2018-09-06", folder=tmp_path)
    write_shapes(tmp_path / "bare.shp", [BOX], crs=None)
    with pytest.raises(HeadscarpError, match="no CRS"):
        write_card(tmp_path / "bare.shp", event="2018-09-06", folder=tmp_path)


def test_the_split_suits_the_size(tmp_path):
    kinds = []
    for cells in (100, 400, 1500):
        geopandas.GeoDataFrame(
            geometry=[shapely.box(WEST, NORTH - 10 * cells, WEST + 10 * cells, NORTH)], crs=CRS
        ).to_file(tmp_path / "a.gpkg")
        write_shapes(tmp_path / "slides.gpkg", slides())
        record = read_yaml(
            write_card(
                tmp_path / "a.gpkg", [tmp_path / "slides.gpkg"], f"a{cells}", "2018-09-06", folder=tmp_path
            )[0]
        )
        kinds.append((record["sampling"]["window"], record["sampling"]["split"]["kind"]))
    assert kinds == [(16, "strips"), (64, "strips"), (64, "blocks")]


def test_real_iburi(real_data, tmp_path):
    folder = real_data("data/iburi_s2_dem")
    with rasterio.open(folder / "s2_post_B04.tif") as source:
        bounds = transform_bounds(source.crs, "EPSG:4326", *source.bounds)
    write_shapes(tmp_path / "iburi.geojson", [shapely.box(*bounds)], crs="EPSG:4326")
    record = read_yaml(
        write_card(tmp_path / "iburi.geojson", sorted(folder.iterdir()), event="2018-09-06", folder=tmp_path)[
            0
        ]
    )
    site = record["sites"]["iburi"]
    assert site["layers"]["grid"]["crs"] == "EPSG:32654"
    assert (
        site["files"]["landslides.gpkg"]["layer"] == "landslides"
        and site["files"]["mapped_area.gpkg"]["layer"] == "mapped_area"
    )
    assert Path(site["files"]["dem.tif"]["path"]).name == "aw3d30_dsm.tif"
    assert set(site["layers"]["rasters"]) == {
        f"{time}_{band}" for time in ("pre", "post") for band in ("blue", "green", "red")
    }
    assert all(entry["scale"] == 1e-4 for entry in site["layers"]["rasters"].values())


def test_a_configuration_is_written_where_there_is_none_and_never_replaced(tmp_path):
    path = write_config("valley", tmp_path)
    assert read_yaml(path) == {"cards": ["valley"], "scale": "standard"}
    path.write_text("cards: [gao2021]\n")
    assert write_config("valley", tmp_path) is None
    assert read_yaml(path) == {"cards": ["gao2021"]}


def test_snakemake_is_told_where_the_workflow_is(tmp_path):
    option = snakefile_option(tmp_path)
    assert Path(option.split()[1]) == REPOSITORY / "Snakefile"
    assert snakefile_option(REPOSITORY) == ""
