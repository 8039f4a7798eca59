"""`headscarp init --susceptibility`: an inventory and factors of any kind become a card that the schema, the
plan and the stations accept; what cannot be is told with the remedy."""

import re

import numpy as np
import pytest
import shapely

from headscarp.__main__ import main
from headscarp.areas.check.card import examine_card
from headscarp.areas.guess.legends import legend_of
from headscarp.areas.init.inventory import last_year_learnt
from headscarp.areas.init.write import write_card
from headscarp.errors import HeadscarpError
from headscarp.plan.plan import load_plan
from headscarp.schema import validate
from headscarp.yaml_files import read_yaml
from tests.conftest import REPOSITORY
from tests.site_files import NORTH, WEST, make_grid, write_raster, write_shapes

GRID = make_grid(120, 120, 30.0)
BOX = shapely.box(*GRID.bounds).buffer(-105)


def relief():
    rows, cols = np.mgrid[: GRID.height, : GRID.width]
    return (400 + 2.5 * rows + 40 * np.sin(cols / 9)).astype(np.float32)


def slides(count=100, side=60):
    rng = np.random.default_rng(0)
    corners = rng.uniform(200, 3300, (count, 2))
    return [shapely.box(WEST + x, NORTH - y - side, WEST + x + side, NORTH - y) for x, y in corners]


@pytest.fixture
def files(tmp_path):
    """An outline, an elevation model and an inventory with years."""
    years = np.where(np.arange(100) < 70, 2005, 2015).tolist()
    return {
        "outline": write_shapes(tmp_path / "valley_outline.gpkg", [BOX]),
        "dem": write_raster(tmp_path / "dem.tif", relief(), GRID),
        "slides": write_shapes(tmp_path / "kartierung.gpkg", slides(), jahr=years),
    }


def card_of(tmp_path, files, *factors, inventory="slides", **options):
    given = [files.get(inventory, inventory), files["dem"], *factors]
    path, _ = write_card(files["outline"], given, folder=tmp_path, susceptibility=True, **options)
    record = read_yaml(path)
    validate("card", record, "card")
    return record, path.read_text()


def classes_raster(path, codes=(1, 2, 7)):
    values = np.array(codes, np.uint8)[np.arange(GRID.width) * len(codes) // GRID.width]
    return write_raster(path, np.broadcast_to(values, GRID.shape).copy(), GRID, nodata=255)


def test_every_kind_of_factor_becomes_a_channel(tmp_path, files, monkeypatch):
    line = [shapely.LineString([(WEST, NORTH), (WEST + 3600, NORTH - 3600)])]
    halves = [
        shapely.box(WEST, NORTH - 3600, WEST + 1800, NORTH),
        shapely.box(WEST + 1800, NORTH - 3600, WEST + 3600, NORTH),
    ]
    (tmp_path / "rocks.csv").write_text("code,name\n1,granite\n2,gneiss\n7,schist\n")
    given = [
        classes_raster(tmp_path / "rocks.tif"),
        tmp_path / "rocks.csv",
        classes_raster(tmp_path / "zones.tif", (3, 4)),
        write_raster(tmp_path / "wetness.tif", relief() / 7, GRID),
        write_raster(tmp_path / "slope.tif", relief() / 20, GRID),
        write_shapes(tmp_path / "roads.shp", line),
        write_shapes(tmp_path / "lineaments.gpkg", line),
        write_shapes(tmp_path / "geomap.gpkg", halves, id=[1, 2], lith=["sand", "clay"]),
    ]
    record, text = card_of(tmp_path, files, *given)
    layers = record["sites"]["valley"]["layers"]
    assert layers["rasters"]["rocks"]["classes"] == {1: "granite", 2: "gneiss", 7: "schist"}
    assert layers["rasters"]["zones"]["classes"] == {3: "class 3", 4: "class 4"}
    assert "without a legend: name them here, or put zones.csv" in text
    assert layers["rasters"]["wetness"] == {"file": "wetness.tif", "units": "1"}
    assert layers["lines"] == {"distance_to_roads": "roads.gpkg", "distance_to_lineaments": "lineaments.gpkg"}
    assert layers["rasters"]["geomap"] == {
        "file": "geomap.gpkg",
        "attribute": "lith",
        "kind": "classes",
        "units": "class",
        "classes": {1: "clay", 2: "sand"},
    }
    assert "not used: slope.tif: slope is derived" in text and "rocks.csv: " not in text
    factors = record["inputs"]["factors"]
    wanted = ["rocks_1", "rocks_7", "zones_4", "geomap_2", "wetness", "distance_to_lineaments", "aspect_sin"]
    assert set(wanted) <= set(factors) and "rocks" not in factors
    assert layers["grid"]["resolution_m"] == 30 and record["protocols"] == ["published", "blocked"]
    assert set(record["experiments"]) == {"gbdt_lr", "logistic_regression", "cell_forest", "cnn3d"}
    cells = record["cells"]["valley"]
    assert cells["polygons"] == {"file": "landslides.gpkg", "area": "outline.gpkg"}
    assert cells["background_ratio"] == 5 and cells["folds"] == 5 and "temporal" not in cells
    monkeypatch.chdir(tmp_path)
    plan = load_plan({"cards": ["valley"], "scale": "tiny"}, REPOSITORY)
    targets = plan.targets("valley")
    assert "results/sites/valley/susceptibility.html" in targets
    assert len(plan.maps.susceptibility_record("valley")["runs"]) == 8


@pytest.mark.parametrize(("resolution", "is_told"), [(30.0, False), (5.0, False), (2.0, True)])
def test_fetched_terrain_that_is_coarser_than_cells_is_warned_of(tmp_path, files, resolution, is_told):
    options = {"folder": tmp_path, "susceptibility": True, "resolution": resolution}
    path, _ = write_card(files["outline"], [files["slides"]], **options)
    text = path.read_text()
    assert "stac: dem" in text and ("WARNING its cells of 30 m tell nothing" in text) is is_told


def test_years_ask_for_the_temporal_protocol(tmp_path, files, monkeypatch):
    record, _ = card_of(tmp_path, files, year="jahr")
    cells = record["cells"]["valley"]
    assert cells["polygons"]["year"] == "jahr" and cells["temporal"] == {"until": 2005}
    assert cells["protocols"] == ["temporal"] and record["exhibits"]["later"]["protocols"] == ["temporal"]
    assert record["sites"]["valley"]["layers"]["dates"] == ["2015-12-31"]
    monkeypatch.chdir(tmp_path)
    load_plan({"cards": ["valley"], "scale": "tiny"}, REPOSITORY)


def test_the_year_that_is_learnt_up_to_leaves_later_ones():
    assert last_year_learnt(np.array([2001.0] * 7 + [2002] * 2 + [2003])) == 2001
    assert last_year_learnt(np.array([2001.0] + [2003] * 9)) == 2001
    assert last_year_learnt(np.array([2001.0, 2001])) is None


def test_points_and_rasters_label_cells_too(tmp_path, files, monkeypatch):
    points = write_shapes(tmp_path / "scarps.shp", [one.centroid for one in slides()])
    record, text = card_of(tmp_path, files, inventory=points, name="points")
    assert record["cells"]["points"]["points"] == {"file": "landslides.gpkg", "area": "outline.gpkg"}
    assert "labels" not in record["sites"]["points"]["layers"] and "GUESS every point is a landslide" in text
    mask = np.zeros(GRID.shape, np.uint8)
    mask[20:40, 20:40] = 1
    raster = write_raster(tmp_path / "mask.tif", mask, GRID)
    record, _ = card_of(tmp_path, files, inventory=raster, name="raster")
    assert record["cells"]["raster"]["layer"] == {"channel": "label", "above": 0}
    labels = record["sites"]["raster"]["layers"]["labels"]
    assert labels == {
        "classes": "landslides.tif",
        "values": {0: "not a landslide", 1: "landslide"},
        "area": "outline.gpkg",
    }
    monkeypatch.chdir(tmp_path)
    load_plan({"cards": ["points", "raster"], "scale": "tiny"}, REPOSITORY)
    for name in ("points", "raster"):
        (checked,) = examine_card(name)
        assert checked.status in ("ok", "note", "warning"), [vars(one) for one in checked.findings]


def test_check_counts_the_cells_and_finds_a_column_that_is_gone(tmp_path, files):
    card_of(tmp_path, files, year="jahr")
    (checked,) = examine_card("valley", tmp_path)
    told = {one.subject: one for one in checked.findings if one.topic == "cells"}
    assert checked.status != "error" and "cells are landslides" in told["landslides.gpkg"].text
    assert re.search(r"\d+ slid later", told["landslides.gpkg"].text)
    path = tmp_path / "areas" / "valley.yaml"
    path.write_text(path.read_text().replace("year: jahr", "year: jahrgang"))
    (checked,) = examine_card("valley", tmp_path)
    assert checked.status == "error"
    assert any("column 'jahrgang'" in one.text for one in checked.findings if one.level == "error")


def test_the_command_says_what_comes_next(tmp_path, files, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = [str(files[name]) for name in ("outline", "slides", "dem")]
    assert main(["init", *arguments, "--susceptibility", "--year", "jahr"]) == 0
    out = capsys.readouterr().out
    assert "landslides: kartierung.gpkg" in out and "headscarp check valley" in out
    assert "no file is an inventory" not in out
    assert main(["init", str(files["outline"]), "--susceptibility", "--name", "none"]) == 2
    assert "no labels without an inventory" in capsys.readouterr().err


def bad_inventory(kind, tmp_path):
    if kind == "lines":
        return write_shapes(
            tmp_path / "slides.gpkg", [shapely.LineString([(WEST, NORTH), (WEST + 99, NORTH - 99)])]
        )
    if kind == "elsewhere":
        return write_shapes(
            tmp_path / "slides.gpkg", [shapely.box(WEST + 9e4, NORTH, WEST + 9.1e4, NORTH + 999)]
        )
    if kind == "numbered":
        values = (np.arange(GRID.width) // 10 * np.ones((GRID.height, 1))).astype(np.uint8)
        return write_raster(tmp_path / "slides.tif", values, GRID)
    if kind == "text":
        (tmp_path / "slides.docx").write_bytes(b"no inventory")
        return tmp_path / "slides.docx"
    points = [one.centroid for one in slides()]
    return write_shapes(tmp_path / "points.gpkg", points, jahr=[2001] * len(points))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("slides", {"year": "jahre"}, "column 'jahre'.*jahr"),
        ("slides", {"dates": ["2018-01-01"]}, "--dates is for series of images"),
        ("lines", {}, "slides.gpkg cannot be the inventory: it holds 1 lines; give landslides as polygons"),
        ("elsewhere", {}, "cannot be the inventory: none of its 1 polygons is on the site; it covers"),
        ("numbered", {}, "which do not tell landslides from the rest; make them 0 and 1"),
        ("text", {}, "the inventory, the first file after the outline: slides.docx"),
        ("points", {"year": "jahr"}, "--year jahr: points.gpkg holds points"),
    ],
)
def test_bad_inventories_are_told(tmp_path, files, kind, options, message):
    inventory = files.get(kind) or bad_inventory(kind, tmp_path)
    with pytest.raises(HeadscarpError, match=message):
        card_of(tmp_path, files, inventory=inventory, **options)


def test_one_year_cannot_be_tested_later(tmp_path, files):
    one = write_shapes(tmp_path / "one.gpkg", slides(), jahr=[2018] * 100)
    with pytest.raises(HeadscarpError, match=r"holds one year on the site.*leave --year out"):
        card_of(tmp_path, files, inventory=one, year="jahr")
    with pytest.raises(HeadscarpError, match="--year jahr dates the landslides of --susceptibility"):
        write_card(files["outline"], [one], folder=tmp_path, year="jahr", event="2018-09-06")


def test_factors_that_cannot_be_used_are_told(tmp_path, files):
    far = make_grid(40, 40, 30.0, west=WEST + 90_000)
    many = (np.arange(GRID.width) * np.ones((GRID.height, 1))).astype(np.uint8)
    given = [
        write_raster(tmp_path / "rain.tif", relief()[:40, :40], far),
        write_raster(
            tmp_path / "ortho.tif", np.zeros((3, *GRID.shape), np.uint8), GRID, names=["red", "green", "blue"]
        ),
        write_raster(tmp_path / "soil.tif", many, GRID),
        write_shapes(tmp_path / "plots.gpkg", [BOX], area=[3.5]),
        write_shapes(tmp_path / "wells.gpkg", [BOX.centroid]),
    ]
    _, text = card_of(tmp_path, files, *given)
    for told in (
        "rain.tif: .*does not overlap|rain.tif: .*outline",
        r"ortho.tif \(band 1\): a band of an image is no factor",
        r"plots.gpkg: no column of its polygons names classes \(columns: area\)",
        "soil.tif: its 1[0-9]+ classes are too many for a channel each; merge them to at most 64",
        "wells.gpkg: 1 points are no factor; give lines or polygons",
    ):
        assert re.search(f"not used: ({told})", text), told


@pytest.mark.parametrize("form", ["csv", "qml", "aux", "categories", "none"])
def test_legends_beside_a_raster(tmp_path, form):
    raster = tmp_path / "soil.tif"
    texts = {
        "csv": ("soil.csv", "value;soil\n1;loam\n5;clay\nx;other\n"),
        "qml": (
            "soil.qml",
            '<qgis><paletteEntry value="1" label="loam"/><paletteEntry value="5" label="clay"/></qgis>',
        ),
        "aux": (
            "soil.tif.aux.xml",
            "<PAMDataset><PAMRasterBand><GDALRasterAttributeTable><FieldDefn><Name>V</Name><Usage>5</Usage></FieldDefn>"
            "<FieldDefn><Name>N</Name><Usage>2</Usage></FieldDefn><Row><F>1</F><F>loam</F></Row><Row><F>5</F>"
            "<F>clay</F></Row></GDALRasterAttributeTable></PAMRasterBand></PAMDataset>",
        ),
        "categories": (
            "soil.tif.aux.xml",
            "<P><CategoryNames><Category/><Category>loam</Category></CategoryNames></P>",
        ),
    }
    if form == "none":
        assert legend_of(raster) is None
        return
    name, text = texts[form]
    (tmp_path / name).write_text(text)
    expected = {1: "loam"} if form == "categories" else {1: "loam", 5: "clay"}
    assert legend_of(raster) == (expected, name)


def test_a_damaged_legend_is_told(tmp_path):
    (tmp_path / "soil.qml").write_text("<qgis>")
    with pytest.raises(HeadscarpError, match=r"soil.qml: the legend cannot be read"):
        legend_of(tmp_path / "soil.tif")
