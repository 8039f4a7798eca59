"""`headscarp map`: a run's folder, copied anywhere, maps its own site's rasters as the stations do, and
others only if they are what it was trained on."""

import json
import shutil

import geopandas
import numpy as np
import pytest
import rasterio
import rasterio.warp
import shapely

from headscarp.files import write_json
from headscarp.mapping.network_map import map_run
from headscarp.mapping.predict import Tiling
from headscarp.samples.build import build_samples
from headscarp.samples.spec import SamplingSpec
from headscarp.site.stack import build_cube
from headscarp.training.trainer import train_run
from tests import valley

pytestmark = pytest.mark.slow

OPTICAL = ["pre_red", "post_red", "post_nir", "ndvi"]
TERRAIN = ["elevation", "slope", "aspect_sin", "aspect_cos", "twi", "tpi_9"]
WINDOW, THRESHOLD = 16, 0.4
RUN = "runs/valley/valley/unet/blocked/seed0"
DATES = ("2018-08-20", "2018-09-11")
FILES = ("before.tif", "after.tif", "dem.tif")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The files of a valley, the run of a network on them (`model`), and its map (`pipeline`)."""
    folder = valley.valley(tmp_path_factory.mktemp("trained"))
    return train(folder, [*FILES, "landslides.gpkg"], [*OPTICAL, *TERRAIN])


@pytest.fixture(scope="module")
def trained_on_series(tmp_path_factory):
    """The same of a network that reads images of two dates."""
    folder = valley.valley(tmp_path_factory.mktemp("series"))
    for name, date in (("before.tif", DATES[0]), ("after.tif", DATES[1])):
        shutil.move(folder / name, folder / f"image_{date}.tif")
    files = [f"image_{date}.tif" for date in DATES]
    options = "--dates", *DATES
    return train(folder, [*files, "dem.tif", "landslides.gpkg"], ["red", "nir", "slope"], options, "all")


def train(folder, files, channels, options=(), dates=None):
    """Train on the whole ground of a valley's rasters, and map it as the stations do; the run is then moved
    to `model`, the map to `pipeline`, and all else that was made removed."""
    west, north = valley.TRANSFORM @ (0, 0)
    east, south = valley.TRANSFORM @ (valley.SIDE, valley.SIDE)
    valley.put_shapes(folder / "outline.geojson", [shapely.box(west, south, east, north)])
    valley.init(folder, files, *options)
    card = folder / "areas" / "valley.yaml"
    card.write_text(card.read_text().replace("profile_curvature, twi]", "profile_curvature, twi, tpi_9]"))
    site, run = folder / "results" / "sites" / "valley", folder / "results" / RUN
    derive = valley.derive_terrain
    with pytest.MonkeyPatch.context() as patch:  # the stations of a card without Snakemake lack its parameter
        patch.setattr(valley, "derive_terrain", lambda dem, out: derive(dem, out, ["tpi_9"]))
        said = valley.build(folder)
    assert "error" not in said
    build_cube(site / "layers", site / "cube")
    split = {"kind": "strips", "axis": "x", "edges": [0.4, 0.65]}
    sampling = SamplingSpec.from_record({"window": WINDOW, "stride": 8, "split": split})
    build_samples(site / "cube", site / "samples", sampling, "blocked", 0)
    spec = {
        "network": {"name": "unet", "width": 0.125, "params": {}},
        "channels": channels,
        "classes": 1,
        "recipe": {"epochs": 2, "steps_per_epoch": 4, "learning_rate": 0.01},
        "seed": 0,
    } | ({"dates": dates} if dates else {})
    train_run(site / "cube", site / "samples", run, spec, device="cpu", progress=False)
    tiling = Tiling.like_training(WINDOW)
    map_run(run, site / "cube", site / "samples", folder / "pipeline", "cpu", tiling=tiling)
    scores = {"threshold": THRESHOLD, "metrics": {"f1": 0.5, "auc": None}}
    scores |= {"intervals": {"f1": [0.41234, 0.6], "auc": None}}
    write_json(run / "valley" / "scores.json", scores)
    shutil.move(run, folder / "model")
    shutil.rmtree(folder / "results")
    return folder


@pytest.fixture
def place(trained, tmp_path):
    """A folder with the run and the rasters, of which a test changes one thing."""
    for name in ("model", *FILES):
        (shutil.copytree if name == "model" else shutil.copy)(trained / name, tmp_path / name)
    return tmp_path


def mapped(folder, *files, options=()):
    """What `headscarp map` prints, and its exit status."""
    files = files or FILES
    return valley.command(folder, "map", *files, "--model", "model", "--out", "out", *options)


def refused(folder, *files, options=()):
    """The one line that `headscarp map` refuses with; it leaves no map."""
    text, status = mapped(folder, *files, options=options)
    assert status == 2 and not (folder / "out" / "probability.tif").exists(), text
    assert not list(folder.glob("out/.map-*"))
    return text


def read(path):
    with rasterio.open(path) as source:
        return source.read(1), source.transform, source.crs


def change_run(folder, change):
    """Change what run.json says."""
    path = folder / "model" / "run.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


class TestMap:
    def test_its_own_site_is_mapped_as_the_stations_do(self, trained, place):
        text, status = mapped(place)
        assert status == 0, text
        probability, transform, crs = read(place / "out" / "probability.tif")
        expected, its_transform, its_crs = read(trained / "pipeline" / "probability.tif")
        assert (transform, crs) == (its_transform, its_crs) and np.nanstd(expected) > 1e-3
        np.testing.assert_allclose(probability, expected, atol=1e-6)
        np.testing.assert_array_equal(
            read(place / "out" / "classes.tif")[0], read(trained / "pipeline" / "classes.tif")[0]
        )

    def test_what_lies_beside_the_map_follows_from_it(self, place):
        mapped(place)
        out = place / "out"
        assert {path.name for path in out.iterdir()} == {
            *("probability.tif", "classes.tif", "mask.tif", "landslides.gpkg", "map.json", "model_card.md"),
            *("probability.qml", "classes.qml", "mask.qml", "landslides.qml"),
        }
        probability = read(out / "probability.tif")[0]
        np.testing.assert_array_equal(read(out / "mask.tif")[0], probability >= THRESHOLD)
        slides = geopandas.read_file(out / "landslides.gpkg")
        assert slides.area_m2.sum() == pytest.approx((probability >= THRESHOLD).sum() * 100)
        assert slides.date.isna().all()  # no file's name tells a date
        record = json.loads((out / "map.json").read_text())
        assert record["run"] == "valley/valley/unet/blocked/seed0" and record["threshold"] == THRESHOLD
        assert record["layers"]["post_nir"].startswith("band 4 of after.tif (nir), times 0.0001")
        assert record["layers"]["tpi_9"] == "derived from band 1 of dem.tif"
        assert len(record["inputs"]) == 5 and "finished" in record

    def test_bands_in_another_order_and_the_date_of_a_name(self, trained, place):
        order = ["nir", "green", "red", "blue"]
        pixels = valley.numbers()[[valley.BANDS.index(band) for band in order]]
        valley.put(place / "after_20180911.tif", pixels, names=order, nodata=0)
        text, status = mapped(place, "before.tif", "after_20180911.tif", "dem.tif")
        assert status == 0, text
        np.testing.assert_allclose(
            read(place / "out" / "probability.tif")[0],
            read(trained / "pipeline" / "probability.tif")[0],
            atol=1e-6,
        )
        assert set(geopandas.read_file(place / "out" / "landslides.gpkg").date.astype(str)) == {"2018-09-11"}

    def test_bands_without_names_are_given_by_number(self, trained, place):
        for name, after in (("a.tif", False), ("b.tif", True)):
            valley.put(place / name, valley.numbers(after), nodata=0)
        chosen = ["--bands", "pre_red=a.tif:3,post_red=b.tif:3", "--bands", "post_nir=b.tif:4,dem=dem.tif"]
        text, status = mapped(place, "a.tif", "b.tif", "dem.tif", options=chosen)
        assert status == 0, text
        np.testing.assert_allclose(
            read(place / "out" / "probability.tif")[0],
            read(trained / "pipeline" / "probability.tif")[0],
            atol=1e-6,
        )

    def test_a_run_without_scores_gives_no_polygons(self, place):
        shutil.rmtree(place / "model" / "valley")
        _, status = mapped(place)
        names = {path.name for path in (place / "out").iterdir()}
        assert status == 0 and "probability.qml" in names and not {"mask.tif", "landslides.gpkg"} & names
        assert "was not scored" in (place / "out" / "model_card.md").read_text()

    def test_finer_pixels_are_brought_to_those_of_training(self, place):
        transform = valley.TRANSFORM @ valley.Affine.scale(0.5)
        for name, after in (("before.tif", False), ("after.tif", True)):
            values = np.kron(valley.numbers(after), np.ones((1, 2, 2), "uint16"))
            valley.put(place / name, values, transform, names=valley.BANDS, nodata=0)
        text, status = mapped(place)
        assert status == 0 and "has pixels of 5 m and is mapped at 10 m" in text
        assert read(place / "out" / "probability.tif")[0].shape == (valley.SIDE, valley.SIDE)


class TestSeries:
    def test_its_own_dates_are_mapped_as_the_stations_do(self, trained_on_series, tmp_path):
        files = [trained_on_series / f"image_{date}.tif" for date in DATES]
        shutil.copytree(trained_on_series / "model", tmp_path / "model")
        text, status = mapped(tmp_path, *reversed(files), trained_on_series / "dem.tif")
        assert status == 0, text
        expected = read(trained_on_series / "pipeline" / "probability.tif")[0]
        assert np.nanstd(expected) > 1e-3
        np.testing.assert_allclose(read(tmp_path / "out" / "probability.tif")[0], expected, atol=1e-6)

    def test_another_number_of_dates_is_refused(self, trained_on_series, tmp_path):
        shutil.copytree(trained_on_series / "model", tmp_path / "model")
        files = trained_on_series / f"image_{DATES[1]}.tif", trained_on_series / "dem.tif"
        text = refused(tmp_path, *files)
        assert "reads 2 dates (trained on 2018-08-20, 2018-09-11), but the names of the files tell 1" in text


class TestWarnings:
    def test_coarser_pixels(self, place):
        transform = valley.TRANSFORM @ valley.Affine.scale(2)
        for name, after in (("before.tif", False), ("after.tif", True)):
            values = valley.numbers(after)[:, ::2, ::2]
            valley.put(place / name, values, transform, names=valley.BANDS, nodata=0)
        text, status = mapped(place)
        assert status == 0
        assert "WARNING the image has pixels of 20 m, the network was trained on 10 m" in text

    def test_a_coarser_elevation_model(self, place):
        values, transform = valley.dem()[::3, ::3], valley.TRANSFORM @ valley.Affine.scale(3)
        valley.put(place / "dem.tif", values, transform, nodata=-9999)
        text, status = mapped(place)
        assert status == 0
        assert "WARNING the elevation model has cells of 30 m, that of training of 10 m" in text

    def test_ground_that_training_did_not_show(self, place):
        valley.put(place / "dem.tif", valley.dem() + 3000, nodata=-9999)
        text, status = mapped(place)
        assert status == 0 and "WARNING elevation: the median here is 3" in text
        assert json.loads((place / "out" / "map.json").read_text())["notes"]

    def test_sound_rasters_warn_of_nothing(self, place):
        assert "WARNING" not in mapped(place)[0]


class TestRefusals:
    def test_no_folder_of_a_run(self, place):
        (place / "model" / "run.json").unlink()
        assert "model holds no run.json; give the folder of a trained run" in refused(place)

    def test_a_mean_of_runs(self, place):
        change_run(place, lambda record: record.update(average={"of": "unet", "over": "seeds"}))
        assert "has no network of its own; give the folder of a run of the experiment 'unet'" in refused(
            place
        )

    def test_a_run_without_weights(self, place):
        (place / "model" / "model.safetensors").unlink()
        assert "model holds no model.safetensors: forests" in refused(place)

    def test_a_run_of_an_older_version(self, place):
        change_run(place, lambda record: record.pop("trained_on"))
        assert "lacks 'trained_on'" in refused(place)

    def test_layers_that_do_not_say_where_they_come_from(self, place):
        change_run(place, lambda record: record["trained_on"]["channels"][0].pop("layer"))
        assert "the layers of its site are of an older headscarp" in refused(place)

    def test_a_missing_band_names_the_nearest(self, place):
        valley.put(place / "after.tif", valley.numbers(), names=["blue", "green", "red", "near"], nodata=0)
        text = refused(place)
        assert "the network reads post_nir (reflectance), and no band is taken for it" in text
        assert "give --bands post_nir=" in text

    def test_a_missing_image(self, place):
        text = refused(place, "after.tif", "dem.tif")
        assert "the network reads pre_red (reflectance), and no band is taken for it" in text

    def test_a_missing_elevation_model_says_who_needs_it(self, place):
        text = refused(place, "before.tif", "after.tif")
        assert "reads elevation, slope, aspect, twi, tpi_9, which are derived from an elevation model" in text
        assert "--bands dem=FILE" in text

    def test_two_bands_that_may_be_one_layer(self, place):
        shutil.copy(place / "after.tif", place / "after_2.tif")
        text = refused(place, *FILES, "after_2.tif")
        assert "post_red may be band 3 of after.tif (red) and band 3 of after_2.tif (red); say which" in text

    @pytest.mark.parametrize(
        ("option", "told"),
        [
            (
                ["--bands", "post_redd=after.tif:3"],
                "layer 'post_redd' does not exist; did you mean 'post_red'?",
            ),
            (["--bands", "post_red=after.tif:9"], "after.tif has the bands '9' does not exist"),
            (["--bands", "post_red=aftr.tif:3"], "file 'aftr.tif' does not exist; did you mean 'after.tif'?"),
            (["--bands", "post_red=3"], "does not say of which file; write --bands post_red=before.tif:3"),
            (["--bands", "post_red"], "--bands post_red is not understood; write --bands NAME=VALUE"),
            (["--scale", "post_nr=2"], "--scale: layer 'post_nr' does not exist; did you mean 'post_nir'?"),
            (["--scale", "post_nir=two"], "--scale post_nir=two is no factor"),
        ],
    )
    def test_options_that_cannot_be(self, place, option, told):
        assert told in refused(place, options=option)

    def test_no_crs(self, place):
        valley.put(place / "before.tif", valley.numbers(after=False), crs=None, names=valley.BANDS, nodata=0)
        assert "before.tif has no CRS" in refused(place)

    def test_files_of_another_place(self, place):
        away = valley.shifted(valley.TRANSFORM, right=5000)
        valley.put(place / "after.tif", valley.numbers(), away, names=valley.BANDS, nodata=0)
        assert "after.tif misses the site" in refused(place)

    def test_values_of_another_unit(self, place):
        text = refused(place, options=["--scale", "post_red=1"])  # the numbers of the file, times 10000
        assert "post_red: the median here is" in text and "--scale post_red=FACTOR" in text

    def test_far_coarser_pixels(self, place):
        transform = valley.TRANSFORM @ valley.Affine.scale(6)
        for name, after in (("before.tif", False), ("after.tif", True)):
            values = valley.numbers(after)[:, ::6, ::6]
            valley.put(place / name, values, transform, names=valley.BANDS, nodata=0)
        assert "pixels of 60 m, and the network was trained on 10 m: at 6.0 times the size" in refused(place)

    def test_an_image_of_nothing(self, place):
        valley.put(place / "after.tif", np.zeros_like(valley.numbers()), names=valley.BANDS, nodata=0)
        assert "after.tif, band 3, holds no data on the site" in refused(place)


class TestModelCard:
    def test_it_tells_place_scores_and_limits(self, place):
        mapped(place)
        text = (place / "out" / "model_card.md").read_text()
        assert "| F1 | 0.500 | 0.412 to 0.600 |" in text and "ROC" not in text
        middle = valley.TRANSFORM @ (valley.SIDE / 2, valley.SIDE / 2)
        (east,), (north,) = rasterio.warp.transform(valley.CRS, "EPSG:4326", *([one] for one in middle))
        assert f"| Place | {north:.3f}° N, {east:.3f}° E |" in text and "| Dates | 2018-09-06 |" in text
        assert "name no licence" in text and "- after.tif, band 3, times 0.0001\n" in text
        record = json.loads((place / "model" / "run.json").read_text())
        assert ("not converged" in text) == (not record["converged"])
        assert all(f"| {name} |" in text for name in (*OPTICAL, *TERRAIN))
