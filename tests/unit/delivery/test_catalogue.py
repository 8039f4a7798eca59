"""STAC items of maps and the collection of a site, read back by pystac and checked against the core schemas
that come with it."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine
from pyproj import Transformer
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.scientific import ScientificExtension
from pystac.validation import validate_dict
from shapely.geometry import Point, shape

from headscarp.delivery.catalogue import footprint, write_collection, write_item
from headscarp.delivery.mask import write_binary
from headscarp.delivery.styles import class_style, landslide_style, probability_style, write_style
from headscarp.errors import HeadscarpError
from headscarp.exhibits.panels import palette
from headscarp.geo.grid import Grid
from headscarp.mapping.polygons import landslide_polygons, write_polygons
from tests.mapped_area import GRID, SCORES, THRESHOLD, probability_map, write_layers, write_run

RECORD = {
    "card": "valley",
    "citation": "Kita (2018)",
    "site": "atsuma",
    "site_title": "Atsuma, Hokkaido",
    "placeless": False,
    "experiment": "unet+factors",
    "label": "U-Net, all factors",
    "protocol": "blocked",
    "seeds": [3],
    "scale": "tiny",
}


def records_of(run):
    """Records of a run whose files lie in one folder, as `write_run` writes them."""
    return run / "run.json", run / "scores.json"


def make_results(
    root, protocols=("blocked", "published"), data="real", dates=("2018-09-06",), placeless=False
):
    """A site with a mapped run of each protocol, their items and the site's collection; the path of the
    collection."""
    layers = write_layers(root / "sites/atsuma/layers", data=data, dates=dates)
    collection = root / "sites/atsuma/collection.json"
    items = []
    for protocol in protocols:
        run = write_run(root / f"runs/valley/atsuma/unet+factors/{protocol}/seed3")
        write_polygons(
            run / "landslides.gpkg",
            landslide_polygons(run / "probability.tif", THRESHOLD, layers),
        )
        write_binary(run / "probability.tif", THRESHOLD, run / "mask.tif")
        write_style(run / "probability.qml", probability_style())
        write_style(run / "mask.qml", class_style())
        write_style(run / "landslides.qml", landslide_style())
        write_item(
            run, *records_of(run), layers, collection, RECORD | {"protocol": protocol, "placeless": placeless}
        )
        items.append(run / "item.json")
    write_collection(
        collection, items, {"site": "atsuma", "title": "Atsuma, Hokkaido", "citation": "Kita (2018)"}
    )
    return collection


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    make_results(root)
    return root


@pytest.fixture(scope="module")
def collection(results):
    return pystac.read_file(str(results / "sites/atsuma/collection.json"))


@pytest.fixture(scope="module")
def item(collection):
    return next(collection.get_items())


def core_schemas_accept(path):
    """Check a file against the schemas of STAC's core; those of extensions would have to be fetched."""
    record = json.loads(Path(path).read_text())
    assert record["stac_version"] == "1.1.0"
    return validate_dict(record, extensions=[])


class TestItem:
    def test_schema(self, item):
        assert core_schemas_accept(item.get_self_href())

    def test_a_made_up_corner_is_no_place(self, tmp_path):
        collection = make_results(tmp_path, placeless=True)
        (found, _) = pystac.read_file(str(collection)).get_items()
        assert found.geometry is None and found.bbox is None
        assert core_schemas_accept(found.get_self_href()) and core_schemas_accept(collection)
        assert not {"proj:code", "proj:bbox", "proj:transform"} & found.properties.keys()
        assert json.loads(collection.read_text())["extent"]["spatial"]["bbox"] == [[-180, -90, 180, 90]]

    def test_the_check_can_fail(self, item, tmp_path):
        record = json.loads(Path(item.get_self_href()).read_text())
        record["properties"]["datetime"] = "yesterday"
        (tmp_path / "item.json").write_text(json.dumps(record))
        with pytest.raises(pystac.STACValidationError):
            core_schemas_accept(tmp_path / "item.json")

    def test_where_and_when(self, item):
        assert item.datetime == datetime(2018, 9, 6, tzinfo=UTC)
        west, south, east, north = GRID.bounds
        to_degrees = Transformer.from_crs(GRID.crs, "EPSG:4326", always_xy=True)
        for x, y in ((west, south), (west, north), (east, south), (east, north)):
            corner = Point(to_degrees.transform(x, y))
            assert shape(item.geometry).distance(corner) < 1e-6
            assert (
                item.bbox[0] - 1e-6 <= corner.x <= item.bbox[2] + 1e-6
                and item.bbox[1] - 1e-6 <= corner.y <= item.bbox[3] + 1e-6
            )
        projection = ProjectionExtension.ext(item)
        with rasterio.open(item.assets["probability"].get_absolute_href()) as source:
            assert projection.code == source.crs.to_string() == "EPSG:32654"
            assert tuple(projection.shape) == source.shape
            assert tuple(projection.transform) == tuple(source.transform)[:6]
            assert tuple(projection.bbox) == tuple(source.bounds)

    def test_assets(self, item):
        assert set(item.assets) == {
            "probability",
            "mask",
            "landslides",
            "probability_style",
            "mask_style",
            "landslides_style",
            "thumbnail",
            "run",
            "scores",
        }
        for asset in item.assets.values():
            assert asset.href.startswith("./") and Path(asset.get_absolute_href()).exists()
        assert item.assets["landslides"].media_type == "application/geopackage+sqlite3"
        assert item.assets["mask"].media_type == "image/tiff; application=geotiff; profile=cloud-optimized"

    def test_bands(self, item):
        (band,) = item.assets["probability"].extra_fields["bands"]
        values = probability_map()
        assert (band["data_type"], band["nodata"]) == ("float32", "nan")
        assert band["statistics"]["minimum"] == np.nanmin(values) and band["statistics"][
            "maximum"
        ] == np.nanmax(values)
        assert band["statistics"]["mean"] == pytest.approx(np.nanmean(values.astype(float)))
        assert band["statistics"]["valid_percent"] == pytest.approx(
            100 * np.isfinite(values).mean(), abs=1e-3
        )
        (band,) = item.assets["mask"].extra_fields["bands"]
        assert band["data_type"] == "uint8" and band["nodata"] == 255
        assert {one["value"]: one["color_hint"] for one in band["classification:classes"]}[
            1
        ] == palette.SLIDE.removeprefix("#")

    def test_provenance(self, item):
        expected = {
            "card": "valley",
            "experiment": "unet+factors",
            "protocol": "blocked",
            "seeds": [3],
            "scale": "tiny",
            "data": "real",
        }
        assert {key: item.properties[f"headscarp:{key}"] for key in expected} == expected
        assert item.properties["headscarp:threshold"] == THRESHOLD
        assert item.properties["headscarp:scores"] == {
            "f1": 0.6123,
            "precision": 0.71,
            "recall": 0.55,
            "iou": 0.441,
            "auc": 0.9,
        }
        assert item.properties["processing:software"]["headscarp"] == "0.1.0"
        assert ScientificExtension.ext(item).citation == "Kita (2018)"

    def test_thumbnail(self, item):
        with (
            pytest.warns(rasterio.errors.NotGeoreferencedWarning),
            rasterio.open(item.assets["thumbnail"].get_absolute_href()) as source,
        ):
            picture = source.read()
        values = probability_map()
        assert picture.shape == (4, *GRID.shape)
        np.testing.assert_array_equal(picture[3] == 255, values >= 0.1)
        np.testing.assert_allclose(picture[:3, 42, 40], [148, 142, 119], atol=1)  # cividis at 0.6
        assert not list(Path(item.get_self_href()).parent.glob("*.aux.xml"))


class TestVariants:
    def test_several_dates_of_a_twin(self, tmp_path):
        path = make_results(tmp_path, ["blocked"], "twin", ("2008-09-20", "2014-08-25", "2020-09-08"))
        collection = pystac.read_file(str(path))
        (item,) = collection.get_items()
        assert core_schemas_accept(item.get_self_href()) and core_schemas_accept(path)
        assert item.datetime == item.common_metadata.end_datetime == datetime(2020, 9, 8, tzinfo=UTC)
        assert item.common_metadata.start_datetime == datetime(2008, 9, 20, tzinfo=UTC)
        assert collection.extent.temporal.intervals == [
            [datetime(2008, 9, 20, tzinfo=UTC), datetime(2020, 9, 8, tzinfo=UTC)]
        ]
        assert "simulated" in item.properties["description"] and "simulated" in collection.description
        assert collection.summaries.get_list("headscarp:data") == ["twin"]

    def test_scene_of_a_collage(self, tmp_path):
        layers = write_layers(tmp_path / "sites/north/layers")
        run = write_run(tmp_path / "run")
        scene = run / "north"
        scene.mkdir(parents=True)
        shutil.copy(run / "probability.tif", scene)
        write_item(
            scene,
            *records_of(run),
            layers,
            tmp_path / "sites/north/collection.json",
            RECORD | {"site": "north", "citation": None},
        )
        item = pystac.Item.from_file(str(scene / "item.json"))
        assert set(item.assets) == {"probability", "thumbnail", "run", "scores"}
        assert item.assets["scores"].href == "../scores.json"
        assert all(Path(asset.get_absolute_href()).exists() for asset in item.assets.values())
        assert not any("classification" in uri or "scientific" in uri for uri in item.stac_extensions)
        assert core_schemas_accept(scene / "item.json")

    def test_map_with_scores_of_its_own(self, tmp_path):
        layers, run = write_layers(tmp_path / "layers"), write_run(tmp_path / "run")
        other = run / "other"
        other.mkdir(parents=True)
        shutil.copy(run / "probability.tif", other)
        (other / "scores.json").write_text(json.dumps(SCORES | {"threshold": 0.25, "metrics": {"f1": 0.3}}))
        write_item(other, *records_of(run), layers, tmp_path / "collection.json", RECORD)
        item = pystac.Item.from_file(str(other / "item.json"))
        assert (item.assets["scores"].href, item.assets["run"].href) == ("./scores.json", "../run.json")
        assert item.properties["headscarp:threshold"] == 0.25 and item.properties["headscarp:scores"] == {
            "f1": 0.3
        }

    def test_crs_without_a_code(self):
        own = "+proj=laea +lat_0=42.7 +lon_0=142 +datum=WGS84 +units=m"
        place = footprint(
            Grid(rasterio.crs.CRS.from_string(own).to_wkt(), Affine(10, 0, -500, 0, -10, 500), 100, 100)
        )
        centre = shape(place).centroid
        assert (centre.x, centre.y) == pytest.approx((142, 42.7), abs=1e-4)

    def test_no_dates(self, tmp_path):
        layers, run = write_layers(tmp_path / "layers", dates=()), write_run(tmp_path / "run")
        with pytest.raises(HeadscarpError, match=r"layers\.json lists no date"):
            write_item(run, *records_of(run), layers, tmp_path / "collection.json", RECORD)
        assert not (run / "item.json").exists()


class TestCollection:
    def test_schema_and_items(self, collection):
        assert core_schemas_accept(collection.get_self_href())
        items = list(collection.get_items())
        assert [item.properties["headscarp:protocol"] for item in items] == ["blocked", "published"]
        assert len({item.id for item in items}) == 2
        for item in items:
            assert item.get_collection().id == item.get_root().id == item.collection_id == "atsuma"
            assert collection.extent.spatial.bboxes == [item.bbox]
        assert collection.summaries.get_list("headscarp:protocol") == ["blocked", "published"]

    def test_folder_can_be_moved(self, results, tmp_path):
        shutil.copytree(results, tmp_path / "moved")
        collection = pystac.read_file(str(tmp_path / "moved/sites/atsuma/collection.json"))
        for item in collection.get_items():
            assert all(
                Path(asset.get_absolute_href()).is_relative_to(tmp_path) for asset in item.assets.values()
            )
            assert item.get_collection().get_self_href().startswith(str(tmp_path))
        text = "".join(path.read_text() for path in tmp_path.rglob("*.json"))
        assert str(results) not in text

    def test_no_or_wrong_items(self, results, tmp_path):
        record = {"site": "elsewhere", "title": "Elsewhere", "citation": None}
        with pytest.raises(HeadscarpError, match="has no map"):
            write_collection(tmp_path / "collection.json", [], record)
        with pytest.raises(HeadscarpError, match="item of site atsuma, not of elsewhere"):
            write_collection(tmp_path / "collection.json", results.rglob("item.json"), record)
