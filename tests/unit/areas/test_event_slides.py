"""`headscarp init --event` takes the landslides of the event from an inventory of many years, and says how
many are left out."""

import struct

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely

from headscarp.areas.check.card import examine_card
from headscarp.areas.guess.dated import dated
from headscarp.areas.init.summary import summary
from headscarp.areas.init.write import write_card
from headscarp.errors import HeadscarpError
from headscarp.sources.imports import import_file
from headscarp.yaml_files import read_yaml
from tests.site_files import CRS, make_grid, write_raster, write_shapes

GRID = make_grid(120, 160, 10.0)
BOX = shapely.box(*GRID.bounds)
EVENT = "2018-09-06"
# Of the event are the third, the fourth and the fifth; each landslide is 10 m longer than the one before it.
DAYS = ["2012-07-01", "2018-09-05", "2018-09-06", "2018-09-20", "2018-11-05", "2018-11-06", "2019-09-06"]
OF_EVENT = [2, 3, 4]


def slides(count):
    west, south, _, _ = GRID.bounds
    return [
        shapely.box(
            west + 200 * k + 50, south + 100 * k + 50, west + 200 * k + 90 + 10 * k, south + 100 * k + 90
        )
        for k in range(count)
    ]


@pytest.fixture
def card_of(tmp_path):
    """Write a card of an inventory with some columns; returns its entry, what is told, and the numbers of the
    landslides that the import takes."""

    def write(columns, ending="gpkg", images=(), **options):
        inventory = tmp_path / f"landslides.{ending}"
        frame = geopandas.GeoDataFrame(columns, geometry=slides(len(next(iter(columns.values())))), crs=CRS)
        frame.to_file(inventory, **({"driver": "OpenFileGDB"} if ending == "gdb" else {}))
        outline = write_shapes(tmp_path / "val.geojson", [BOX])
        path, draft = write_card(outline, [inventory, *images], folder=tmp_path, **{"event": EVENT} | options)
        (site,) = read_yaml(path)["sites"].values()
        entry = site["files"]["landslides.gpkg"]
        raw = {name: tmp_path / "raw" / name for name in ("outline.gpkg", "landslides.gpkg")}
        import_file({}, outline, None, raw["outline.gpkg"])
        import_file(entry, inventory, raw["outline.gpkg"], raw["landslides.gpkg"])
        taken = geopandas.read_file(raw["landslides.gpkg"]).to_crs(CRS)
        lengths = taken.geometry.bounds["maxx"] - taken.geometry.bounds["minx"]
        return entry, "\n".join(summary(draft)), sorted(((lengths - 40) / 10).round().astype(int))

    return write


@pytest.mark.parametrize("ending", ["gpkg", "shp", "geojson", "fgb", "gdb", "gml"])
@pytest.mark.parametrize(
    "column",
    [
        pytest.param(pd.to_datetime(pd.Series(DAYS)), id="dates"),
        pytest.param(DAYS, id="ISO text"),
        pytest.param([f"{day}T03:08:00" for day in DAYS], id="ISO text with hours"),
        pytest.param([int(day.replace("-", "")) for day in DAYS], id="whole numbers"),
        pytest.param([f"{int(day[8:])}.{int(day[5:7])}.{day[:4]}" for day in DAYS], id="day.month.year"),
    ],
)
def test_landslides_from_the_event_on_as_far_as_the_images_show(card_of, ending, column):
    entry, told, taken = card_of({"event_date"[: 10 if ending == "shp" else None]: column}, ending)
    assert taken == OF_EVENT, entry
    assert "the 3 of them that the column event_date dates to the event (2018-09-06 to 2018-11-05)" in told
    assert "4 of other dates are left out: remove `where` to take all" in told


def put_dates_of_dbase(path, days):
    """The attributes of a Shapefile: one column EVENT of dBASE's dates, which pyogrio does not write."""
    field = struct.pack("<11sc4xBB14x", b"EVENT_DATE", b"D", 8, 0)
    head = struct.pack("<4BIHH20x", 3, 126, 1, 1, len(days), 65, 9) + field + b"\r"
    path.write_bytes(head + b"".join(b" " + day.replace("-", "").encode() for day in days) + b"\x1a")


def test_dates_of_a_shapefile(card_of, tmp_path):
    shapes = write_shapes(tmp_path / "slides.shp", slides(len(DAYS)), id=DAYS)
    put_dates_of_dbase(tmp_path / "slides.dbf", DAYS)
    assert pd.api.types.is_datetime64_any_dtype(geopandas.read_file(shapes)["EVENT_DATE"])
    outline = write_shapes(tmp_path / "val.geojson", [BOX])
    path, draft = write_card(outline, [shapes], event=EVENT, folder=tmp_path)
    where = read_yaml(path)["sites"]["val"]["files"]["landslides.gpkg"]["where"]
    assert where == "\"EVENT_DATE\" >= '2018-09-06' AND \"EVENT_DATE\" < '2018-11-06'"
    taken = geopandas.read_file(shapes, where=where)["EVENT_DATE"]
    assert [str(day.date()) for day in taken] == [DAYS[number] for number in OF_EVENT]
    assert "the 3 of them that the column EVENT_DATE dates to the event" in "\n".join(summary(draft))


@pytest.mark.parametrize("ending", ["gpkg", "shp", "geojson", "fgb"])
@pytest.mark.parametrize(
    ("years", "where"),
    [
        ([2010, 2018, 2018, 2019], '"YEAR" = 2018'),
        ([2010.0, 2018.0, 2018.0, -9999.0], '"YEAR" = 2018'),
        (["2010", "2018", "2018", "2019"], "\"YEAR\" = '2018'"),
        (["Jan 2010", "Sept 2018", "autumn of 2018", ""], "\"YEAR\" IN ('Sept 2018', 'autumn of 2018')"),
    ],
)
def test_landslides_of_the_year_where_only_years_are_known(card_of, ending, years, where):
    entry, told, taken = card_of({"YEAR": years}, ending)
    assert entry["where"] == where and taken == [1, 2]
    assert "dates to the event (2018)" in told


def test_the_check_reads_what_was_chosen(card_of, tmp_path):
    card_of({"YEAR": [2010, 2018, 2018, 2019]})
    (checked,) = examine_card("val", tmp_path)
    assert any("2 of 2 polygons on the grid" in one.text for one in checked.findings)


def test_the_smallest_landslide_is_that_of_the_event(tmp_path):
    """Of 1 600 and 16 000 m2, the first from another year."""
    west, south, _, _ = GRID.bounds
    shapes = [shapely.box(west + 100, south + 100, west + 140, south + 140)] * 5
    shapes += [shapely.box(west + 300, south + 300, west + 400, south + 460)] * 5
    inventory = write_shapes(tmp_path / "slides.gpkg", shapes, year=[2001] * 5 + [2018] * 5)
    outline = write_shapes(tmp_path / "val.geojson", [BOX])
    path, _ = write_card(outline, [inventory], event=EVENT, folder=tmp_path)
    assert read_yaml(path)["best_map"]["minimum_area_m2"] == 16_000


def test_undated_landslides_are_left_out_where_others_are_of_other_years(card_of):
    _, told, taken = card_of({"date": ["2018-09-06", "2018-09-07", None, "2015-01-01"]})
    assert taken == [0, 1] and "1 of other dates and 1 undated are left out" in told
    entry, told, taken = card_of({"date": ["2018-09-06", "2018-09-07", None, "2018-09-08"]}, name="b")
    assert taken == [0, 1, 2, 3] and "where" not in entry and "left out" not in told


def test_a_column_that_dates_few_of_them_says_nothing(card_of):
    entry, told, _ = card_of({"date": ["2018-09-06", None, None, None, None]})
    assert "where" not in entry and "left out" not in told


def test_days_that_are_not_of_the_window_fall_back_to_the_year(card_of):
    """As where the day before is told, or that of mapping."""
    _, told, taken = card_of({"date": ["2015-02-03", "2018-09-05", "2018-12-24"]})
    assert taken == [1, 2]
    assert "(2018, as none is of 2018-09-06 to 2018-11-05); 1 of other dates are left out" in told


def test_the_date_of_the_image_after_says_how_far_it_shows(card_of, tmp_path):
    values = np.random.default_rng(0).uniform(200, 4000, (4, *GRID.shape)).astype(np.uint16)
    images = [write_raster(tmp_path / f"s2_{day}.tif", values, GRID) for day in ("20180801", "20180910")]
    _, told, taken = card_of({"date": pd.to_datetime(pd.Series(DAYS))}, images=images)
    assert taken == [2] and "2018-09-06 to 2018-09-10" in told


def test_the_last_date_of_a_series_says_how_far_it_shows(card_of):
    dates = ["2018-06-01", "2018-10-01"]
    _, told, taken = card_of({"date": pd.to_datetime(pd.Series(DAYS))}, dates=dates)
    assert taken == [2, 3] and "2018-09-06 to 2018-10-01" in told
    _, told, taken = card_of({"date": pd.to_datetime(pd.Series(DAYS))}, dates=dates, event=None, name="b")
    assert len(taken) == len(DAYS) and "GUESS landslides of all years, 2012 to 2019" in told


def test_older_landslides_are_no_labels_of_the_event(card_of, tmp_path):
    message = (
        r"landslides.gpkg: none of its landslides on the site is of the event of 2018-09-06: the column YEAR "
        r"says 2010 to 2012. Give the date of these landslides as --event, or the inventory of this event"
    )
    with pytest.raises(HeadscarpError, match=message):
        card_of({"YEAR": [2010, 2011, 2012]})
    assert not (tmp_path / "areas").exists()
    with pytest.raises(HeadscarpError, match="the column YEAR says 2010 to 2020"):
        card_of({"YEAR": [2010, 2020]})


def test_later_dates_may_be_those_of_mapping_and_are_warned_of(card_of):
    entry, told, taken = card_of({"date": ["2019-03-01", "2020-03-01"]})
    assert taken == [0, 1] and "where" not in entry
    assert "WARNING none is of the event of 2018-09-06: the column date says 2019 to 2020" in told


def test_without_an_event_all_years_are_taken_and_told(card_of, tmp_path):
    values = np.random.default_rng(0).uniform(200, 4000, (4, *GRID.shape)).astype(np.uint16)
    image = write_raster(tmp_path / "ortho.tif", values, GRID)
    for name, event in (("none", None), ("placeholder", "1900-01-01")):
        entry, told, taken = card_of({"YEAR": [2010, 2018, 2018]}, images=[image], event=event, name=name)
        assert taken == [0, 1, 2] and "where" not in entry and "dates: 1900-01-01 (PLACEHOLDER" in told
        assert (
            "GUESS landslides of all years, 2010 to 2018 by the column YEAR: nothing dates the event" in told
        )


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"id": [1, 2], "YEAR": [2010, 2018]}, "YEAR"),
        ({"img_date": ["2018-01-01"] * 2, "year": [2010, 2018]}, "year"),
        ({"last_edited_date": ["2018-01-01"] * 2}, None),
        ({"撮影年": [2018, 2018], "発生年": [2010, 2018]}, "発生年"),
        ({"year": [2010, 2018], "date": ["2010-01-02", "2018-09-06"]}, "date"),
        ({"date": ["2010-01-02", "2018-09-06"], "EventYear": [2010, 2018]}, "EventYear"),
        ({"Année": [2010, 2018]}, "Année"),
        ({"FECHA": ["6.9.2018", "7.9.2018"]}, "FECHA"),
        ({"data": [0.1, 0.4], "candidate": [2018, 2018], "area_m2": [2018, 2010]}, None),
        ({"date": ["unknown", "-"]}, None),
        ({}, None),
    ],
)
def test_the_column_that_tells_when(columns, expected):
    found = dated(geopandas.GeoDataFrame(columns, geometry=slides(2), crs=CRS))
    assert (found.column if found else None) == expected
