"""The QGIS project of a site, as a file; QGIS itself opens it in tests/deploy/test_qgis.py."""

import json
import zipfile
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio

from headscarp.delivery.project import write_project
from headscarp.errors import HeadscarpError
from headscarp.files import write_json
from tests.delivered_site import FOLDS, record_of, write_delivered
from tests.mapped_area import GRID, write_layers


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    write_delivered(folder)
    return folder


def read_project(path):
    with zipfile.ZipFile(path) as packed:
        (name,) = packed.namelist()
        assert name == f"{path.stem}.qgs"
        return ElementTree.fromstring(packed.read(name))


@pytest.fixture(scope="module")
def project(root):
    return read_project(root / "sites/atsuma/atsuma.qgz")


def layers_of(project):
    return {layer.findtext("id"): layer for layer in project.findall("projectlayers/maplayer")}


def groups_of(project):
    """{group: (whether it is on, {layer: whether it is on})} in the order of the list."""
    return {
        group.get("name"): (
            group.get("checked") == "Qt::Checked",
            {
                one.get("name"): one.get("checked") == "Qt::Checked"
                for one in group.findall("layer-tree-layer")
            },
        )
        for group in project.findall("layer-tree-group/layer-tree-group")
    }


def write_bare(root, names, **change):
    """The project of a site of a few layers without runs."""
    write_layers(root / "sites/atsuma/layers", names=names)
    path = root / "sites/atsuma/atsuma.qgz"
    write_project(
        record_of(root, **{"runs": [], "susceptibility": [], "composite": None} | change),
        path,
        path.with_name("qgis"),
    )
    return read_project(path)


class TestLayers:
    def test_each_lies_where_the_project_says_and_none_by_an_absolute_path(self, root, project):
        listed = layers_of(project)
        assert len(listed) == 10 == len({*listed})
        for layer in listed.values():
            source = layer.findtext("datasource")
            assert source.startswith(("./", "../"))
            assert (root / "sites/atsuma" / source.split("|")[0]).is_file()
        assert project.findtext("properties/Paths/Absolute") == "false"

    def test_the_list_of_layers_names_every_layer_once(self, project):
        tree = [one.get("id") for one in project.iterfind("layer-tree-group//layer-tree-layer")]
        assert sorted(tree) == sorted(layers_of(project))
        assert all(len(identifier) > 10 for identifier in tree)  # QGIS renames shorter ones

    def test_the_first_run_is_on_and_the_ground_lies_last(self, project):
        groups = groups_of(project)
        assert list(groups) == [
            "U-Net & factors · blocked · seed 3",
            "U-Net & factors · published · seed 3",
            "Susceptibility",
            "Inventory",
            "Ground",
        ]
        assert [on for on, _ in groups.values()] == [True, False, False, False, True]
        blocked = groups["U-Net & factors · blocked · seed 3"][1]
        assert list(blocked.items()) == [
            ("Mapped landslides, by mean probability", True),
            ("Landslides, probability 0.5 or more", False),
            ("Probability of landslide", True),
        ]
        assert groups["Ground"][1] == {"Image: red, green, blue": True, "Relief": False}

    def test_crs_and_extent_are_the_sites(self, project):
        for parent in (
            project.find("projectCrs"),
            *(layer.find("srs") for layer in layers_of(project).values()),
        ):
            assert parent.findtext("spatialrefsys/authid") == GRID.crs
            assert rasterio.CRS.from_wkt(parent.findtext("spatialrefsys/wkt")) == rasterio.CRS.from_string(
                GRID.crs
            )
        extent = project.find("ProjectViewSettings/DefaultViewExtent")
        assert tuple(float(extent.get(name)) for name in ("xmin", "ymin", "xmax", "ymax")) == GRID.bounds


class TestDescribedRasters:
    def test_the_image_has_the_layers_as_bands(self, root):
        with rasterio.open(root / "sites/atsuma/qgis/image.vrt") as image:
            assert image.crs == rasterio.CRS.from_string(GRID.crs) and image.transform == GRID.transform
            for band, name in enumerate(("red", "green", "blue"), start=1):
                with rasterio.open(root / f"sites/atsuma/layers/{name}.tif") as layer:
                    np.testing.assert_array_equal(image.read(band), layer.read(1))
                    assert np.isnan(image.nodata)

    def test_susceptibility_is_the_mean_of_the_folds(self, root):
        with rasterio.open(root / "sites/atsuma/qgis/susceptibility1.vrt") as mean:
            values = mean.read(1)
        assert np.isnan(values[0]).all()  # unknown in one fold
        np.testing.assert_allclose(values[1:, :40], np.mean(FOLDS), rtol=1e-6)
        np.testing.assert_allclose(values[1:, 40:], np.mean(FOLDS) + 0.2, rtol=1e-6)


class TestWhatIsThere:
    def test_an_area_without_image_runs_and_inventory_shows_its_relief(self, tmp_path):
        assert groups_of(write_bare(tmp_path, ("elevation",))) == {"Ground": (True, {"Relief": True})}

    def test_an_area_without_a_surface_model_shows_its_image(self, tmp_path):
        project = write_bare(tmp_path, ("red", "green", "blue"), composite=["red", "green", "blue"])
        assert groups_of(project) == {"Ground": (True, {"Image: red, green, blue": True})}

    def test_susceptibility_alone_is_on(self, root, tmp_path):
        maps = record_of(root)["susceptibility"]
        groups = groups_of(write_bare(tmp_path, ("elevation", "label"), susceptibility=maps))
        assert groups["Susceptibility"] == (True, {"Forest · blocked · seed 0": True})

    def test_several_classes_are_a_layer_of_their_own(self, root, tmp_path):
        record = record_of(root)
        layers = write_layers(tmp_path / "sites/atsuma/layers")
        manifest = json.loads((layers / "layers.json").read_text())
        names = {0: "bare land", 1: "landslide", 2: "water", 255: "unlabelled"}
        next(one for one in manifest["layers"] if one["name"] == "label")["classes"] = names
        write_json(layers / "layers.json", manifest)
        path = tmp_path / "sites/atsuma/atsuma.qgz"
        write_project(record | {"folder": str(path.parent)}, path, path.with_name("qgis"))
        listed = layers_of(read_project(path))
        for name in ("headscarp_run1_classes", "headscarp_inventory"):
            entries = listed[name].findall("pipe/rasterrenderer/colorPalette/paletteEntry")
            assert [(one.get("value"), one.get("label"), one.get("alpha")) for one in entries] == [
                ("0", "bare land", "255"),
                ("1", "landslide", "255"),
                ("2", "water", "255"),
            ]

    def test_a_composite_that_is_not_there_is_named(self, tmp_path):
        with pytest.raises(HeadscarpError, match="has no layer 'swir'"):
            write_bare(tmp_path, ("red", "green", "blue"), composite=["swir", "green", "blue"])
        assert not (tmp_path / "sites/atsuma/atsuma.qgz").exists()


class TestFile:
    def test_the_same_site_gives_the_same_bytes(self, root):
        path = root / "sites/atsuma/atsuma.qgz"
        before = path.read_bytes(), (path.with_name("qgis") / "image.vrt").read_bytes()
        write_project(record_of(root), path, path.with_name("qgis"))
        assert before == (path.read_bytes(), (path.with_name("qgis") / "image.vrt").read_bytes())

    def test_the_page_says_whose_data_it_shows_and_that_they_are_simulated(self, tmp_path):
        items = {
            one.get("id"): one.get("labelText")
            for one in write_bare(tmp_path, ("elevation",), data="twin").iterfind("Layouts/Layout/LayoutItem")
        }
        assert {"map", "legend", "scale bar", "north arrow"} <= set(items)
        assert items["title"] == "Atsuma <Hokkaido>"
        assert "Kita & others (2018)" in items["credit"] and items["credit"].startswith("Simulated site")
