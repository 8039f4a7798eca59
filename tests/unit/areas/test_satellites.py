"""Which images `headscarp init` orders where a user has none, by the date of the event."""

import datetime

import numpy as np
import pytest
import shapely

from headscarp.__main__ import main
from headscarp.areas.init.summary import summary
from headscarp.areas.init.write import write_card
from headscarp.errors import HeadscarpError
from headscarp.sources.stac import plan_task
from headscarp.yaml_files import read_yaml
from tests.site_files import make_grid, write_raster, write_shapes

GRID = make_grid(60, 60, 100.0)
BOX = shapely.box(*GRID.bounds)


@pytest.fixture
def card_of(tmp_path):
    """Write a card without images; returns its site, its text, and what is told."""

    def write(files=(), **options):
        outline = write_shapes(tmp_path / "val.geojson", [BOX])
        path, draft = write_card(outline, files, folder=tmp_path, **options)
        (site,) = read_yaml(path)["sites"].values()
        text = path.read_text()
        path.unlink()
        return site, text, "\n".join(summary(draft))

    return write


def images_of(site):
    return [entry for name, entry in site["files"].items() if name.startswith(("before", "after", "image"))]


@pytest.mark.parametrize(
    ("event", "satellite", "resolution"),
    [
        ("2018-09-06", "sentinel2", 10),
        ("2015-10-29", "sentinel2", 10),  # 120 days before it is 1 July 2015
        ("2015-10-28", "landsat", 30),  # the image before would miss its first day, so neither is Sentinel-2
        ("2015-07-25", "landsat", 30),  # only the image before lies before the mission
        ("2008-05-12", "landsat", 30),
        ("1999-09-21", "landsat", 30),
        ("1983-01-01", "landsat", 30),
    ],
)
def test_both_images_are_of_the_finest_satellite_that_was_there(card_of, event, satellite, resolution):
    site, text, told = card_of(event=event)
    before, after = images_of(site)
    assert before["stac"] == after["stac"] == satellite
    assert before["to"] < event < after["from"]
    assert site["layers"]["grid"]["resolution_m"] == resolution
    assert ("Landsat, since Sentinel-2 begins in July 2015" in text) == (satellite == "landsat")
    title = {"landsat": "Landsat", "sentinel2": "Sentinel-2"}[satellite]
    assert f"resolution {resolution} m, the pixels of {title}: " in told


def test_what_is_ordered_of_landsat_is_what_the_fetch_knows(card_of):
    site, _, _ = card_of(event="2008-05-12")
    for entry in images_of(site):
        task = plan_task(entry, GRID, "earth_search", "files, before.tif", None)
        assert (task.api, task.collection) == ("planetary_computer", "landsat-c2-l2")
        assert set(task.bands) == {"blue", "green", "red", "nir", "swir1", "swir2"}
    bands = {
        (entry["file"], entry["band"]) for entry in site["layers"]["rasters"].values() if "band" in entry
    }
    assert bands == {(f"{time}.tif", band) for time in ("before", "after") for band in task.bands}


def test_a_resolution_that_is_given_stays(card_of):
    site, _, told = card_of(event="2008-05-12", resolution=10)
    assert site["layers"]["grid"]["resolution_m"] == 10 and "resolution 10 m, as given: " in told


def test_a_series_is_of_one_satellite(card_of):
    site, text, _ = card_of(dates=["2014-06-01", "2016-06-01", "2018-06-01"])
    assert [entry["stac"] for entry in images_of(site)] == ["landsat"] * 3
    assert text.count("since Sentinel-2 begins in July 2015") == 3
    site, _, _ = card_of(dates=["2016-06-01", "2018-06-01"])
    assert [entry["stac"] for entry in images_of(site)] == ["sentinel2"] * 2


@pytest.mark.parametrize(
    ("event", "files"),
    [
        ("2012-07-12", ["before.tif", "after.tif"]),
        ("2013-04-20", ["before.tif"]),  # Landsat 8 has the days after it
        ("2011-11-01", ["after.tif"]),
        ("2013-09-01", []),
        ("2011-06-01", []),
    ],
)
def test_the_stripes_of_landsat_7_are_told(card_of, event, files):
    _, text, _ = card_of(event=event)
    warned = [line.split(":")[0].strip() for line in text.splitlines() if "SLC off" in line]
    assert warned == files


@pytest.mark.parametrize("options", [{"event": "1976-05-06"}, {"dates": ["1980-06-01", "1990-06-01"]}])
def test_before_landsat_there_is_nothing_to_fetch(card_of, tmp_path, options):
    message = "no image of .* can be fetched: surface reflectance begins with Landsat on 1982-08-22; give im"
    with pytest.raises(HeadscarpError, match=message):
        card_of(**options)
    assert not list(tmp_path.glob("areas/*"))
    photo = np.random.default_rng(0).integers(1, 255, (3, *GRID.shape)).astype(np.uint8)
    image = write_raster(tmp_path / "air_photo.tif", photo, GRID, names=["red", "green", "blue"])
    if "event" in options:
        assert card_of([image], **options)[0]["layers"]["dates"] == ["1976-05-06"]


def test_windows_that_landsat_begins_in_are_told(card_of):
    site, text, _ = card_of(event="1982-10-01")
    before, _ = images_of(site)
    assert before["from"] < "1982-08-22" < before["to"]
    assert "its surface reflectance begins on 1982-08-22" in text


def test_the_placeholder_is_no_date_of_images(tmp_path, monkeypatch, capsys):
    write_shapes(tmp_path / "val.geojson", [BOX])
    monkeypatch.chdir(tmp_path)
    assert main(["init", "val.geojson", "--event", "1900-01-01"]) == 2
    assert "nothing says which images to fetch; give the date of the landslides" in capsys.readouterr().err


def test_all_windows_are_days(card_of):
    """No window ends before it begins, whatever the date."""
    for event in ("1982-09-01", "2000-02-29", "2024-02-29"):
        for entry in images_of(card_of(event=event)[0]):
            first, last = (datetime.date.fromisoformat(entry[key]) for key in ("from", "to"))
            assert 0 < (last - first).days <= 120
