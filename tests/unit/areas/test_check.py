"""`headscarp check`: a shift that was put in is found, wrong scales, missing CRSs and empty inventories are
told, a sound area is sound."""

import json
import socket

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.warp import transform_bounds
from scipy import ndimage

from headscarp.__main__ import main
from headscarp.areas.alignment import edge_alignment
from headscarp.areas.check.card import examine_card
from headscarp.areas.check.elevation import enlarged_by
from headscarp.areas.check.findings import report
from headscarp.areas.init.write import write_card
from headscarp.areas.slide_areas import area_density, power_law_tail
from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.site.labels import rasterise_numbers
from tests.site_files import CRS, make_grid, write_raster, write_shapes

pytestmark = pytest.mark.slow

GRID = make_grid(240, 300, 10.0)
EVENT = "2018-09-06"


def slide_shapes(rng, count=70):
    """Tongues of ground, about 60 x 120 m, anywhere on the grid."""
    west, south, east, north = GRID.bounds
    shapes = []
    for _ in range(count):
        x, y = rng.uniform(west + 250, east - 250), rng.uniform(south + 250, north - 250)
        tongue = shapely.LineString([(x, y), (x + rng.normal(0, 50), y - rng.uniform(40, 140))]).buffer(
            rng.uniform(20, 45)
        )
        shapes.append(tongue)
    return list(shapely.get_parts(shapely.union_all(shapes)))


@pytest.fixture(scope="module")
def scene():
    """Slides, and an image (3, row, col) in which they are bright on wooded ridges of changing
    illumination."""
    rng = np.random.default_rng(5)
    shapes = slide_shapes(rng)
    share = ndimage.gaussian_filter((rasterise_numbers(np.array(shapes), 1, GRID) > 0).astype(float), 0.6)
    relief = ndimage.gaussian_filter(rng.normal(0, 1, GRID.shape), 4)
    light = 1 + 0.35 * relief / relief.std()
    bands = []
    for wood, soil in ((0.04, 0.10), (0.06, 0.13), (0.05, 0.18)):
        bands.append(
            (
                (wood * (1 - share) + soil * share) * np.clip(light, 0.3, 2)
                + rng.normal(0, 0.004, GRID.shape)
            ).clip(0.001)
        )
    return shapes, np.stack(bands).astype(np.float32), (300 + 60 * relief / relief.std()).astype(np.float32)


def write_area(folder, scene, labels=None, image=None, image_options=None, label_options=None):
    """Files of an area and its card; returns the name of the card."""
    shapes, bands, elevation = scene
    bands = bands if image is None else image
    grid = make_grid(*bands.shape[1:], 10.0, **(image_options or {}).pop("place", {}))
    write_raster(folder / "after.tif", bands, grid, names=["blue", "green", "red"], **(image_options or {}))
    write_raster(folder / "dem.tif", elevation, GRID)
    write_shapes(folder / "landslides.gpkg", shapes if labels is None else labels, **(label_options or {}))
    write_shapes(folder / "hill.geojson", [shapely.box(*GRID.bounds).buffer(-55)])
    write_card(
        folder / "hill.geojson",
        [folder / name for name in ("after.tif", "dem.tif", "landslides.gpkg")],
        event=EVENT,
        folder=folder,
    )
    return "hill"


def told(checked, level, *texts):
    """Whether a finding of a level has all of the texts."""
    return any(
        one.level == level and all(text in f"{one.subject} {one.text}" for text in texts)
        for one in checked.findings
    )


def test_a_sound_area_is_sound_and_leaves_a_record_and_a_page(tmp_path, scene, monkeypatch, capsys):
    name = write_area(tmp_path, scene)
    monkeypatch.chdir(tmp_path)
    assert main(["check", name]) == 0
    out = capsys.readouterr().out
    assert "0 errors" in out and "line up with the edges" in out
    record = json.loads((tmp_path / "results/sites/hill/check.json").read_text())
    assert record["status"] in ("ok", "note", "warning")
    assert record["landslides"]["count"] == len(scene[0])
    areas = shapely.area(scene[0])
    assert record["landslides"]["area_m2"]["median"] == pytest.approx(np.median(areas), rel=1e-3)
    truth = rasterise_numbers(np.array(scene[0]), 1, GRID)[6:-6, 6:-6] > 0
    assert record["landslides"]["share"] == pytest.approx(truth.mean(), rel=0.05)
    assert record["files"]["dem.tif"]["crs"] == CRS and record["files"]["dem.tif"]["resolution_m"] == 10
    assert (
        set(record["split"]["windows"]) == {"train", "validation", "test"}
        and min(record["split"]["windows"].values()) > 0
    )
    with rasterio.open(tmp_path / "results/sites/hill/check.png") as page:
        assert page.height / page.width == pytest.approx(2**0.5, rel=0.01)
        drawn = page.read([1, 2, 3]).std(axis=(1, 2))
    assert (drawn > 20).all()
    assert not (tmp_path / "results/sites/hill/raw").exists()


@pytest.mark.parametrize(("east", "north"), [(3, 0), (0, -3), (-2, 4)])
def test_labels_moved_by_whole_pixels_are_found(tmp_path, scene, east, north):
    moved = [shapely.affinity.translate(shape, 10 * east, 10 * north) for shape in scene[0]]
    (checked,) = examine_card(write_area(tmp_path, scene, moved), tmp_path)
    aligned = checked.alignment
    assert aligned.is_told
    assert aligned.cols == pytest.approx(east, abs=0.4) and aligned.rows == pytest.approx(-north, abs=0.4)
    words = [f"px {'east' if east > 0 else 'west'}"] * bool(east) + [
        "south" if north < 0 else "north"
    ] * bool(north)
    assert told(checked, "warning", "seem shifted", *words)
    assert checked.status == "warning"


def test_an_image_that_shows_no_slides_tells_no_shift(scene):
    label = (rasterise_numbers(np.array(scene[0]), 1, GRID) > 0).astype(np.uint8)
    noise = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=GRID.shape), 2)
    assert not edge_alignment([noise], label).is_told
    assert edge_alignment([np.full(GRID.shape, np.nan)], label) is None
    assert edge_alignment([noise], np.zeros(GRID.shape, np.uint8)) is None


def edit_card(folder, *changes):
    """Replace texts of the card."""
    path = folder / "areas" / "hill.yaml"
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


@pytest.mark.parametrize(
    ("factor", "dtype", "scale"), [(10_000, np.uint16, "1.0e-4"), (255, np.float32, "0.00392157")]
)
def test_a_wrong_scale_is_an_error_that_names_the_right_one(
    tmp_path, scene, factor, dtype, scale, monkeypatch
):
    name = write_area(tmp_path, scene, image=(scene[1] * factor).astype(dtype))
    path = tmp_path / "areas" / "hill.yaml"
    text = path.read_text()
    path.write_text(text.replace(", scale: 0.0001", "").replace("units: brightness", "units: reflectance"))
    monkeypatch.chdir(tmp_path)
    assert main(["check", name]) == 1
    (checked,) = examine_card(name, tmp_path)
    assert told(checked, "error", "post_red", scale)


def test_reflectance_scaled_twice_is_told(tmp_path, scene):
    name = write_area(tmp_path, scene)
    edit_card(tmp_path, ("units: reflectance", "units: reflectance, scale: 1.0e-4"))
    (checked,) = examine_card(name, tmp_path)
    assert told(checked, "error", "darker than any ground")


def test_files_beside_the_area_or_without_crs_are_errors(tmp_path, scene):
    (tmp_path / "c").mkdir()
    name = write_area(tmp_path, scene)
    away = make_grid(*GRID.shape, 10.0, west=900_000.0)
    write_raster(tmp_path / "after.tif", scene[1], away, names=["blue", "green", "red"])
    (checked,) = examine_card(name, tmp_path)
    assert told(checked, "error", "after.tif", "misses the site") and checked.status == "error"
    write_raster(tmp_path / "after.tif", scene[1], GRID, names=["blue", "green", "red"], crs=None)
    (checked,) = examine_card(name, tmp_path)
    assert told(checked, "error", "after.tif", "has no CRS") and "error" in report(checked)
    name = write_area(tmp_path / "c", scene)
    far = [shapely.affinity.translate(shape, 90_000) for shape in scene[0]]
    (tmp_path / "c" / "landslides.gpkg").unlink()
    write_shapes(tmp_path / "c" / "landslides.gpkg", far)
    (checked,) = examine_card(name, tmp_path / "c")
    assert told(checked, "error", "landslides.gpkg", "touches the site") and checked.alignment is None


def test_half_an_image_and_an_empty_inventory(tmp_path, scene):
    half = scene[1].copy()
    half[:, :, 150:] = np.nan
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    (checked,) = examine_card(write_area(tmp_path / "a", scene, image=half), tmp_path / "a")
    assert told(checked, "warning", "after.tif", "50.")
    assert checked.landslides["without_image"] > 10 and told(checked, "warning", "where no image has data")
    name = write_area(tmp_path / "b", scene)
    empty = geopandas.GeoDataFrame({"id": np.array([], int)}, geometry=[], crs=CRS)
    (tmp_path / "b" / "landslides.gpkg").unlink()
    empty.to_file(tmp_path / "b" / "landslides.gpkg", layer="landslides", geometry_type="Polygon")
    (checked,) = examine_card(name, tmp_path / "b")
    assert told(checked, "error", "landslides.gpkg", "no feature")


def test_what_is_not_fetched_yet_is_listed_and_nothing_is_fetched(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("the network was touched"))
    write_shapes(tmp_path / "hill.geojson", [shapely.box(*GRID.bounds)])
    write_card(tmp_path / "hill.geojson", event=EVENT, folder=tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["check", "hill"]) == 0
    out = capsys.readouterr().out
    assert (
        "before.tif" in out
        and "to be fetched (sentinel2 2018-05-09 to 2018-09-05)" in out
        and "dem.tif" in out
    )
    assert (tmp_path / "results/sites/hill/check.png").exists()


def test_images_from_before_their_satellite_cannot_be_fetched(tmp_path):
    write_shapes(tmp_path / "hill.geojson", [shapely.box(*GRID.bounds)])
    write_card(tmp_path / "hill.geojson", event=EVENT, folder=tmp_path)
    card = tmp_path / "areas/hill.yaml"
    card.write_text(card.read_text().replace("2018-", "2005-"))
    (checked,) = examine_card("hill", tmp_path)
    assert told(
        checked, "error", "before.tif", "2005-05-09 to 2005-09-05 cannot be fetched, since Sentinel-2"
    )
    card.write_text(card.read_text().replace("stac: sentinel2", "stac: landsat"))
    (checked,) = examine_card("hill", tmp_path)
    assert checked.status != "error"


def test_windows_that_hold_the_event_and_placeholders_are_told(tmp_path):
    write_shapes(tmp_path / "hill.geojson", [shapely.box(*GRID.bounds)])
    write_card(tmp_path / "hill.geojson", event=EVENT, folder=tmp_path)
    edit_card(tmp_path, ("2018-09-05", "2018-09-20"))
    (checked,) = examine_card("areas/hill.yaml", tmp_path)
    assert told(checked, "warning", "before.tif", "is to be from before the event")
    edit_card(tmp_path, (f"dates: ['{EVENT}']", "dates: ['1900-01-01']"))
    (checked,) = examine_card("hill", tmp_path)
    assert told(checked, "warning", "dates", "could not tell")


def test_bad_calls_end_with_2(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_shapes(tmp_path / "hill.geojson", [shapely.box(*GRID.bounds)])
    write_card("hill.geojson", event=EVENT)
    assert main(["check", "hil"]) == 2
    assert "did you mean 'hill'" in capsys.readouterr().err
    edit_card(tmp_path, ("source: area", "sauce: area"))
    assert main(["check", "hill"]) == 2
    assert "sauce" in capsys.readouterr().err
    edit_card(tmp_path, ("sauce: area", "source: area"), ("path: hill.geojson", "path: gone.geojson"))
    assert main(["check", "hill"]) == 2
    assert "gone.geojson does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_an_elevation_model_that_was_enlarged_is_told(scene, factor):
    model = scene[2][:60, :60].astype(float)
    assert enlarged_by(np.kron(model, np.ones((factor, factor)))) == factor
    assert enlarged_by(np.roll(np.kron(model, np.ones((factor, factor))), 1, axis=1)) == factor
    assert enlarged_by(model) is None and enlarged_by(np.round(model / 20)) is None


def test_elevation_that_is_none_is_an_error(tmp_path, scene):
    shapes, bands, elevation = scene
    (checked,) = examine_card(write_area(tmp_path, (shapes, bands, 100 * elevation)), tmp_path)
    assert told(checked, "error", "dem.tif", "not on Earth", "key `units`")
    whole = np.round(elevation)
    write_raster(tmp_path / "dem.tif", whole, GRID)
    (checked,) = examine_card("hill", tmp_path)
    assert told(checked, "note", "elevation", "whole metres")


def test_what_the_pipeline_does_to_elevation_is_told(tmp_path, scene):
    shapes, bands, elevation = scene
    holes = elevation.copy()
    holes[100:140, 100:140] = -32768
    name = write_area(tmp_path, (shapes, bands, holes))
    (checked,) = examine_card(name, tmp_path)
    assert told(checked, "warning", "elevation", "1600 cells of -32768 were taken for no data")
    assert np.nanmin(checked.elevation) > 0 and np.isnan(checked.elevation).sum() == 1600
    south_up = Grid(GRID.crs, GRID.transform @ Affine(1, 0, 0, 0, -1, GRID.height), *GRID.shape)
    write_raster(tmp_path / "dem.tif", np.flipud(np.round(elevation / 0.3048)), south_up)
    with rasterio.open(tmp_path / "dem.tif", "r+") as target:
        target.set_band_unit(1, "feet")
    (checked,) = examine_card(name, tmp_path)
    assert told(checked, "note", "elevation", "in feet; times 0.3048 they are metres")
    assert told(checked, "note", "elevation", "do not run to the south")
    assert told(checked, "note", "elevation", "whole multiples of 0.3048 m")
    np.testing.assert_allclose(checked.elevation, elevation[5:-5, 5:-5], atol=0.16)


def test_the_tail_of_a_power_law_is_found():
    rng = np.random.default_rng(0)
    areas = 500 * (1 - rng.uniform(size=4000)) ** (-1 / 1.4)  # exponent 2.4
    body = rng.uniform(50, 500, 2000)
    tail = power_law_tail(np.concatenate([areas, body]))
    assert tail.exponent == pytest.approx(2.4, abs=3 * tail.error) and 300 < tail.cutoff < 1500
    assert power_law_tail(areas[:40]) is None and power_law_tail(np.full(100, 7.0)) is None
    centres, density = area_density(areas)
    slope = np.polyfit(np.log(centres[:10]), np.log(density[:10]), 1)[0]
    assert slope == pytest.approx(-2.4, abs=0.25)


def test_real_iburi_lines_up(real_data, tmp_path):
    folder = real_data("data/iburi_s2_dem")
    with rasterio.open(folder / "s2_post_B04.tif") as source:
        west, south, east, north = transform_bounds(source.crs, "EPSG:4326", *source.bounds)
    middle = shapely.affinity.scale(shapely.box(west, south, east, north), 0.4, 0.5)
    write_shapes(tmp_path / "iburi.geojson", [middle], crs="EPSG:4326")
    write_card(tmp_path / "iburi.geojson", sorted(folder.iterdir()), event=EVENT, folder=tmp_path)
    (checked,) = examine_card("iburi", tmp_path)
    assert checked.status == "warning" and told(checked, "ok", "line up with the edges of post_")
    assert checked.alignment.is_told and checked.alignment.pixels < 1.5
    assert told(checked, "note", "whole metres") and told(
        checked, "warning", "before_red.tif", "without data"
    )


def test_series_cards_are_refused_with_the_reason(tmp_path):
    with pytest.raises(HeadscarpError, match="series"):
        examine_card("emilia_series", tmp_path)
