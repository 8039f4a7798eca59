"""Styles for QGIS, and the map of landslides and other ground that one of them is for."""

import re
from itertools import pairwise
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
import rasterio
from matplotlib.colors import to_rgb

from headscarp.codes import LAND_COVER
from headscarp.delivery.mask import write_binary
from headscarp.delivery.styles import (
    BINARY,
    class_style,
    landslide_style,
    probability_style,
    write_style,
)
from headscarp.errors import HeadscarpError
from headscarp.exhibits.panels import palette
from headscarp.geo.grid import Grid
from headscarp.geo.layer import Layer, read_layer, write_layer
from headscarp.mapping.polygons import landslide_polygons
from tests.mapped_area import GRID, probability_map, write_probability


def read_style(path, style):
    write_style(path, style)
    root = ElementTree.parse(path).getroot()
    assert root.tag == "qgis" and root.get("version").startswith("3.22")
    return root


def opacity_at(items, value):
    """Opacity of a value as QGIS interpolates it between the entries of a ramp."""
    return np.interp(
        value, [float(item.get("value")) for item in items], [float(item.get("alpha")) for item in items]
    )


class TestProbability:
    @pytest.fixture
    def items(self, tmp_path):
        root = read_style(tmp_path / "probability.qml", probability_style())
        renderer = root.find("pipe/rasterrenderer")
        assert (renderer.get("type"), renderer.get("band")) == ("singlebandpseudocolor", "1")
        return renderer.findall("rastershader/colorrampshader/item")

    def test_colours_are_those_of_the_figures(self, items):
        colours = matplotlib.colormaps["cividis"]  # what the figure `probability_maps` draws with
        for item in items:
            expected = 255 * np.array(colours(round(float(item.get("value")), 4))[:3])
            np.testing.assert_allclose(255 * np.array(to_rgb(item.get("color"))), expected, atol=0.51)
        assert {round(float(item.get("value")), 4) for item in items} == {
            round(step / 10, 4) for step in range(11)
        }

    def test_transparent_below_a_tenth(self, items):
        values = [float(item.get("value")) for item in items]
        assert values == sorted(values)
        assert not opacity_at(items, [0, 0.03, 0.0999]).any()
        assert (opacity_at(items, [0.1, 0.15, 0.6, 1]) == 255).all()

    def test_labels_in_per_cent(self, items):
        assert [item.get("label") for item in items][-2:] == ["90 %", "100 %"]


class TestClasses:
    def entries(self, path, names):
        root = read_style(path, class_style(names))
        renderer = root.find("pipe/rasterrenderer")
        assert renderer.get("type") == "paletted"
        return {int(entry.get("value")): entry for entry in renderer.findall("colorPalette/paletteEntry")}

    def test_land_cover(self, tmp_path):
        names = dict(enumerate(LAND_COVER))
        entries = self.entries(tmp_path / "mask.qml", names)
        assert {code: entry.get("label") for code, entry in entries.items()} == names
        assert {code: entry.get("color").upper() for code, entry in entries.items()} == palette.LAND_COVER
        assert {entry.get("alpha") for entry in entries.values()} == {"255"}

    def test_landslides_alone(self, tmp_path):
        entries = self.entries(tmp_path / "mask.qml", BINARY)
        assert {code: (entry.get("label"), entry.get("alpha")) for code, entry in entries.items()} == {
            0: ("not a landslide", "0"),
            1: ("landslide", "255"),
        }
        assert entries[1].get("color").upper() == palette.SLIDE

    def test_more_classes_than_colours(self, tmp_path):
        assert (
            self.entries(tmp_path / "mask.qml", dict.fromkeys(range(8), "a & b"))[7].get("label") == "a & b"
        )


class TestLandslides:
    def test_columns_ranges_and_symbols(self, tmp_path):
        root = read_style(tmp_path / "landslides.qml", landslide_style())
        write_layer(tmp_path / "probability.tif", Layer("p", probability_map(), GRID, "1", "test"))
        columns = set(landslide_polygons(tmp_path / "probability.tif", 0.5).columns)
        renderer = root.find("renderer-v2")
        assert renderer.get("type") == "graduatedSymbol" and renderer.get("attr") in columns
        ranges = renderer.findall("ranges/range")
        edges = [(float(one.get("lower")), float(one.get("upper"))) for one in ranges]
        assert edges[0][0] == 0 and edges[-1][1] == 1
        assert all(left[1] == right[0] for left, right in pairwise(edges))
        symbols = {symbol.get("name"): symbol for symbol in renderer.findall("symbols/symbol")}
        assert set(symbols) == {one.get("symbol") for one in ranges}
        assert all(
            layer.get("class") == "SimpleLine"
            for symbol in symbols.values()
            for layer in symbol.findall("layer")
        )
        colours = [
            symbol.findall("layer")[-1].find(".//Option[@name='line_color']").get("value")
            for symbol in symbols.values()
        ]
        cividis = matplotlib.colormaps["cividis"]
        expected = [255 * np.array(cividis(round((low + high) / 2, 4))[:3]) for low, high in edges]
        np.testing.assert_allclose(
            [[int(part) for part in colour.split(",")[:3]] for colour in colours], expected, atol=0.51
        )
        assert root.get("labelsEnabled") == "0"
        tip = root.find("mapTip").text
        assert set(re.findall(r'"(\w+)"', tip)) <= columns and tip.count("[%") == tip.count("%]")


class TestBinary:
    def test_map_of_landslides(self, tmp_path):
        write_probability(tmp_path / "probability.tif", probability_map(), source="headscarp: unet, seed 0")
        write_binary(tmp_path / "probability.tif", 0.5, tmp_path / "mask.tif")
        layer = read_layer(tmp_path / "mask.tif")
        expected = (probability_map() >= 0.5).astype(np.uint8)
        expected[:3, :3] = 255
        np.testing.assert_array_equal(layer.values, expected)
        assert (layer.grid, layer.kind, layer.nodata) == (GRID, "classes", 255)
        assert layer.source == "headscarp: unet, seed 0; landslide where the probability is 0.5 or more"
        with rasterio.open(tmp_path / "mask.tif") as file:
            assert file.dtypes == ("uint8",) and file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert file.colormap(1)[1][:3] == tuple(round(255 * part) for part in to_rgb(palette.SLIDE))

    def test_strips_of_a_tall_map(self, tmp_path):
        grid = Grid(GRID.crs, GRID.transform, 1030, 3)
        values = np.random.default_rng(0).random(grid.shape, dtype=np.float32)
        write_probability(tmp_path / "probability.tif", values, grid)
        write_binary(tmp_path / "probability.tif", 0.25, tmp_path / "mask.tif")
        np.testing.assert_array_equal(read_layer(tmp_path / "mask.tif").values, values >= 0.25)

    def test_missing_map(self, tmp_path):
        with pytest.raises(HeadscarpError, match=r"probability\.tif does not exist"):
            write_binary(tmp_path / "probability.tif", 0.5, tmp_path / "mask.tif")
        assert not list(tmp_path.iterdir())
