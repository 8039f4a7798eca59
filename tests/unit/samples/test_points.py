"""Card ecuador: points of every kind of file are read alike, and where they lie on the raster of terrain."""

import json

import geopandas
import numpy as np
import pandas
import pytest
import rasterio
import rdata
import yaml
from pyproj import Transformer

from headscarp.errors import HeadscarpError
from headscarp.samples.cell_labels import labels_source
from headscarp.samples.cells import build_cells
from headscarp.samples.spec import CellsSpec
from headscarp.site.cube import open_cube
from headscarp.site.layers import build_layers
from headscarp.site.stack import build_cube
from headscarp.sources.archive import fetch_archive_file, read_table
from headscarp.sources.points import read_points
from tests.conftest import REPOSITORY
from tests.site_files import CRS, truncate

CARD = yaml.safe_load((REPOSITORY / "workflow" / "cards" / "ecuador.yaml").read_text(encoding="utf-8"))
COLUMNS = {"x": "east", "y": "north", "label": "slid"}
UTM17S = "EPSG:32717"
POINTS = {name: CARD["cells"][name]["points"] for name in ("ecuador", "ecuador_lsl")}
TABLES = {"ecuador": "mlr3_ecuador_751.csv", "ecuador_lsl": "lsl_350pts.csv"}
RASTER_COLUMNS = {
    "slope": "slope",
    "plan_curvature": "cplan",
    "profile_curvature": "cprof",
    "elevation": "elev",
    "log10_catchment_area": "log10_carea",
}


def some_points():
    rng = np.random.default_rng(3)
    return pandas.DataFrame(
        {"east": rng.uniform(5e5, 6e5, 9), "north": rng.uniform(3.4e6, 3.5e6, 9), "slid": rng.random(9) < 0.5}
    )


def write_points(path, table):
    if path.suffix == ".rda":
        rdata.write_rda(
            path,
            {"points": table.assign(slid=pandas.Categorical(table.slid.map({True: "TRUE", False: "FALSE"})))},
        )
    elif path.suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        geopandas.GeoDataFrame(
            table[["slid"]], geometry=geopandas.points_from_xy(table.east, table.north), crs=CRS
        ).to_file(path)
    return path


@pytest.mark.parametrize("name", ["points.rda", "points.csv", "points.gpkg", "points.geojson"])
def test_every_kind_of_file_gives_the_same_points(tmp_path, name):
    table = some_points()
    x, y, label = read_points(write_points(tmp_path / name, table), COLUMNS, CRS)
    # GeoJSON holds degrees with seven or more decimals.
    np.testing.assert_allclose(x, table.east, atol=0.02)
    np.testing.assert_allclose(y, table.north, atol=0.02)
    np.testing.assert_array_equal(label, table.slid)
    assert (x.dtype, y.dtype, label.dtype) == (np.float64, np.float64, bool)


@pytest.mark.parametrize("words", [("TRUE", "FALSE"), ("true", " False"), ("1", "0"), ("1.0", "0.0")])
def test_labels_may_be_words_or_numbers(tmp_path, words):
    (tmp_path / "p.csv").write_text(f"x,y,slid\n1,2,{words[0]}\n3,4,{words[1]}\n")
    assert read_points(tmp_path / "p.csv", {"x": "x", "y": "y", "label": "slid"}, CRS)[2].tolist() == [
        True,
        False,
    ]


def test_points_in_another_crs_are_brought_to_that_of_the_site(tmp_path):
    table = some_points()
    path = write_points(tmp_path / "points.csv", table)
    x, y, _ = read_points(path, COLUMNS | {"crs": CRS}, "EPSG:32650")
    expected = Transformer.from_crs(CRS, "EPSG:32650", always_xy=True).transform(
        table.east.to_numpy(), table.north.to_numpy()
    )
    np.testing.assert_allclose((x, y), expected, atol=1e-3)
    assert (abs(x - table.east) > 1e5).all()
    with pytest.raises(HeadscarpError, match="CRS 'EPSG:99999' of the points"):
        read_points(path, COLUMNS | {"crs": "EPSG:99999"}, CRS)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.csv", None, "does not exist"),
        ("p.txt", "east,north,slid\n1,2,1\n", "known are .rda"),
        ("p.csv", "east,nort,slid\n1,2,1\n", "'north' does not exist; did you mean 'nort'"),
        ("p.csv", "east,north,slid\n1,2,maybe\n", "holds 'maybe'"),
        ("p.csv", "east,north,slid\n1,,1\n", "1 values of the column 'north' are missing"),
        ("p.csv", "east,north,slid\n1,2,\n", "1 values of the column 'slid' are missing"),
        ("p.csv", "east,north,slid\nfar,2,1\n", "'east' holds something that is no number"),
        ("p.csv", "", "cannot be read"),
        ("p.rda", "no R data", "cannot be read"),
    ],
)
def test_a_file_that_holds_no_points_says_what_to_do(tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(HeadscarpError, match=message.replace(".", r"\.")) as error:
        read_points(tmp_path / name, COLUMNS, CRS)
    assert name in str(error.value)


def test_truncated_r_data_and_features_that_are_no_points_are_refused(tmp_path):
    path = truncate(write_points(tmp_path / "points.rda", some_points()))
    with pytest.raises(HeadscarpError, match="truncated or no R data"):
        read_points(path, COLUMNS, CRS)
    shapes = geopandas.GeoDataFrame(
        {"slid": [1]}, geometry=geopandas.points_from_xy([5e5], [3.4e6]).buffer(9), crs=CRS
    )
    shapes.to_file(tmp_path / "areas.gpkg")
    with pytest.raises(HeadscarpError, match="Polygon"):
        read_points(tmp_path / "areas.gpkg", COLUMNS, CRS)


@pytest.fixture(scope="module")
def raw(real_data, tmp_path_factory):
    """The raw files of the card, fetched as the workflow does: checked against the card's table."""
    folder, mirror = tmp_path_factory.mktemp("raw"), real_data("mirror")
    table = read_table(REPOSITORY / "workflow" / "cards" / CARD["archive"])
    for name in CARD["sites"]["ecuador"]["files"]:
        real_data(f"mirror/{table[name].url.split('://')[1]}")  # skips, so that a test never goes online
        fetch_archive_file(table[name], folder / name, str(mirror))
    return folder


@pytest.fixture(scope="module")
def cube(raw, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    record = {"name": "ecuador", "data": "real"} | CARD["sites"]["ecuador"]["layers"]
    build_layers(record, raw, folder / "no_terrain", folder / "layers")
    build_cube(folder / "layers", folder / "cube")
    return folder / "cube"


def columns_of(site):
    return {"x": "x", "y": "y"} | POINTS[site]


@pytest.mark.parametrize(("site", "landslides"), [("ecuador", 500), ("ecuador_lsl", 175)])
def test_r_data_equal_the_tables_made_from_them(raw, real_data, site, landslides):
    columns = {key: name for key, name in columns_of(site).items() if key != "crs"}
    x, y, label = read_points(raw / columns["file"], columns, UTM17S)
    table = pandas.read_csv(real_data(f"data/lsm_ecuador/{TABLES[site]}"))
    np.testing.assert_array_equal(x, table.x)
    np.testing.assert_array_equal(y, table.y)
    np.testing.assert_array_equal(label, table[columns["label"]])
    assert label.sum() == landslides


def at(raster, x, y):
    """Bands (band, point) of a raster at points, NaN outside, by rasterio alone."""
    with rasterio.open(raster) as source:
        values = np.array(list(source.sample(zip(x, y, strict=True)))).T
        inside = (
            (x >= source.bounds.left)
            & (x < source.bounds.right)
            & (y > source.bounds.bottom)
            & (y <= source.bounds.top)
        )
        return np.where(inside, values, np.nan), list(source.descriptions)


def test_the_cube_reproduces_the_terrain_of_the_350_points(raw, cube, real_data):
    x, y, _ = read_points(raw / "lsl.rda", columns_of("ecuador_lsl"), UTM17S)
    table = pandas.read_csv(real_data("data/lsm_ecuador/lsl_350pts.csv"))
    stack = open_cube(cube)
    with rasterio.open(raw / "ta.tif") as source:
        rows, cols = rasterio.transform.rowcol(source.transform, x, y)
    assert stack.channels == list(RASTER_COLUMNS)
    for channel, column in RASTER_COLUMNS.items():
        found = stack.values[0, stack.channels.index(channel), np.asarray(rows), np.asarray(cols)]
        np.testing.assert_allclose(found, table[column], rtol=1e-6, atol=1e-6)


def test_the_751_points_fit_the_raster_in_the_older_datum_only(raw, real_data):
    table = pandas.read_csv(real_data("data/lsm_ecuador/mlr3_ecuador_751.csv"))
    fit = {}
    for crs in (UTM17S, POINTS["ecuador"]["crs"]):
        x, y, _ = read_points(raw / "ecuador.rda", columns_of("ecuador") | {"crs": crs}, UTM17S)
        values, bands = at(raw / "ta.tif", x, y)
        known = ~np.isnan(values[bands.index("elev")])
        elevation, area = (values[bands.index(name)][known] for name in ("elev", "log10_carea"))
        fit[crs] = (
            np.mean(known),
            np.corrcoef(elevation, table.dem[known])[0, 1],
            np.corrcoef(area, table["log.carea"][known])[0, 1],
            np.median(abs(elevation - table.dem[known])),
        )
    declared, older = fit.values()
    assert declared[0] == pytest.approx(698 / 751) and older[0] == 1  # the 93 % of the data set's description
    assert declared[1] < 0.96 and older[1] > 0.995
    assert declared[2] < 0.1 and older[2] > 0.2
    assert declared[3] > 60 and older[3] < 30


@pytest.mark.parametrize(("site", "cells"), [("ecuador", 751 - 25 - 5), ("ecuador_lsl", 350 - 1 - 3)])
@pytest.mark.parametrize("protocol", ["published", "blocked"])
def test_each_point_of_the_card_is_tested_in_one_fold(raw, cube, tmp_path, site, cells, protocol):
    record = CARD["cells"][site]
    source = labels_source(record, {"points": raw / record["points"]["file"]})
    build_cells(
        cube, tmp_path, CellsSpec.from_record(record), source, protocol, 0, list(CARD["inputs"].values())
    )
    split = np.load(tmp_path / "cells.npz")["split"]
    assert split.shape == (5, cells) and ((split == 3).sum(0) == 1).all()
    counts = json.loads((tmp_path / "cells.json").read_text())["counts"]
    assert all(0 < fold["train"]["landslides"] < fold["train"]["cells"] for fold in counts)
    assert min(fold["train"]["cells"] for fold in counts) > 100
