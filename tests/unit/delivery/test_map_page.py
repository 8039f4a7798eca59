"""The interactive map of a site: its tiles against the rasters and colours they are drawn from, its numbers
against the GeoPackage."""

import json
import math
import re
import shutil
from dataclasses import replace

import geopandas
import matplotlib
import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from pyproj import Transformer

from headscarp.delivery import map_tiles
from headscarp.delivery.map_page import build_map, error_colours, probability_colours, relief_colours
from headscarp.delivery.map_tiles import MOST_TILES, Drawing, Pyramid, write_tiles
from headscarp.errors import HeadscarpError
from headscarp.exhibits.panels import palette
from headscarp.files import write_json
from headscarp.geo.layer import CLASSES, Layer, write_layer
from headscarp.mapping.polygons import landslide_polygons, write_polygons
from tests.mapped_area import (
    GRID,
    SCORES,
    THRESHOLD,
    probability_map,
    record_of_page,
    write_layers,
    write_probability,
    write_run,
)
from tests.web_map import colour_at, page_record

TO_DEGREES = Transformer.from_crs(GRID.crs, "EPSG:4326", always_xy=True)


def record_of(root, **change):
    folders = {protocol: root / protocol for protocol in ("published", "blocked")}
    cited = {"citation": "Kita & others (2018) </script>"}
    return record_of_page(root / "site", folders, **cited | change)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the map of a site and all that it is drawn from; the run of the protocol blocked came
    last and finds less."""
    root = tmp_path_factory.mktemp("map")
    layers = write_layers(root / "site/layers")
    for protocol, threshold in (("published", THRESHOLD), ("blocked", 0.7)):
        run = write_run(root / protocol, SCORES | {"protocol": protocol, "threshold": threshold})
        write_polygons(
            run / "landslides.gpkg",
            landslide_polygons(run / "probability.tif", threshold, layers),
        )
    build_map(record_of(root), root / "site/map.html", root / "site/map")
    return root


def degrees_of(row, col):
    """Longitude and latitude of the centre of a pixel of the site."""
    x, y = GRID.transform @ (col + 0.5, row + 0.5)
    return TO_DEGREES.transform(x, y)


@pytest.fixture(scope="module")
def deepest(site):
    return page_record(site / "site/map.html")["deepest"]


class TestTiles:
    def test_every_pixel_of_the_site_lies_where_a_web_map_looks_for_it(self, site, deepest):
        expected = matplotlib.colormaps["cividis"](probability_map().astype(float))
        wrong = 0
        for row, col in np.ndindex(*GRID.shape):
            colour = colour_at(site / "site/map/run1/probability", deepest, *degrees_of(row, col))
            value = probability_map()[row, col]
            seen = colour[3] == 1 and np.abs(colour - expected[row, col]).max() < 0.01
            wrong += not (seen if value >= 0.1 else colour[3] == 0)
        assert wrong <= 5  # a centre may fall on the edge of two pixels of a tile

    def test_the_deepest_tiles_are_as_fine_as_the_site_and_not_twice_as_fine_again(self, deepest):
        _, latitude = degrees_of(30, 40)
        pixel = 2 * math.pi * 6_378_137 * math.cos(math.radians(latitude)) / 256 / 2**deepest
        assert 10 / 2.2 < pixel < 10 * 1.1

    def test_labels_and_errors_have_the_colours_of_the_figures(self, site, deepest):
        place = site / "site/map"
        assert np.allclose(
            colour_at(place / "inventory", deepest, *degrees_of(35, 62))[:3], to_rgb(palette.SLIDE), atol=0.01
        )
        assert colour_at(place / "inventory", deepest, *degrees_of(25, 30))[3] == 0
        cases = {
            (15, 12): palette.TRUE_POSITIVE,
            (10, 12): palette.FALSE_POSITIVE,
            (35, 62): palette.FALSE_NEGATIVE,
        }
        for (row, col), colour in cases.items():
            assert np.allclose(
                colour_at(place / "run1/errors", deepest, *degrees_of(row, col))[:3],
                to_rgb(colour),
                atol=0.01,
            )
        # 0.6, below the threshold of this run
        assert colour_at(place / "run1/errors", deepest, *degrees_of(41, 40))[3] == 0
        assert np.allclose(
            colour_at(place / "run2/errors", deepest, *degrees_of(41, 40))[:3],
            to_rgb(palette.FALSE_POSITIVE),
            atol=0.01,
        )

    def test_the_image_is_opaque_on_the_site_alone(self, site, deepest):
        image = site / "site/map/image"
        assert colour_at(image, deepest, *degrees_of(30, 40))[3] == 1
        assert (
            colour_at(image, deepest, *degrees_of(-1, 40))[3]
            == 0
            == colour_at(image, deepest, *degrees_of(30, -1))[3]
        )

    def test_a_tile_above_is_the_mean_of_the_four_below(self, site):
        record = page_record(site / "site/map.html")
        for zoom in range(record["least"], record["deepest"]):
            folder = site / "site/map/run1/probability"
            for path in (folder / str(zoom)).rglob("*.png"):
                col, row = int(path.parent.name), int(path.stem)
                whole = np.zeros((512, 512, 4))
                for i, j in np.ndindex(2, 2):
                    part = folder / str(zoom + 1) / str(2 * col + j) / f"{2 * row + i}.png"
                    if part.exists():
                        whole[256 * i : 256 * i + 256, 256 * j : 256 * j + 256] = matplotlib.image.imread(
                            part
                        )
                opacity = (
                    whole[::2, ::2, 3] + whole[1::2, ::2, 3] + whole[::2, 1::2, 3] + whole[1::2, 1::2, 3]
                )
                assert np.allclose(matplotlib.image.imread(path)[..., 3], opacity / 4, atol=0.01)

    def test_relief_meets_at_the_edges_of_tiles_and_is_lit_from_the_north_west(self):
        hill = 300 * np.exp(-((np.mgrid[:80, :80] - 40) ** 2).sum(axis=0) / 300)
        whole = relief_colours(hill, 10)[..., 0]
        assert np.allclose(relief_colours(hill[20:60, 20:60], 10)[1:-1, 1:-1, 0], whole[21:59, 21:59])
        assert whole[28, 28] > whole[0, 0] > whole[52, 52]

    def test_no_data_is_neither_right_nor_wrong(self):
        colours = error_colours(np.array([[np.nan, 0.9, 0.1]]), np.array([[1, np.nan, 0]]), 0.5)
        assert (colours[..., 3] == 0).all()

    def test_a_raster_of_another_grid_is_refused(self, site, tmp_path):
        layer = Layer("x", np.zeros((3, 4), np.float32), replace(GRID, height=3, width=4), "1", "test")
        write_layer(tmp_path / "small.tif", layer)
        with pytest.raises(HeadscarpError, match=r"small\.tif has \(3, 4\) pixels"):
            write_tiles(
                tmp_path, Drawing("x", (tmp_path / "small.tif",), lambda values: values), Pyramid.of(GRID)
            )


class TestCap:
    """Of a large site the deepest levels are left out, and overviews are drawn."""

    WIDE = replace(GRID, height=1500, width=2000)

    @pytest.mark.parametrize("side", [300, 2_000, 20_000, 100_000])
    @pytest.mark.parametrize("layers", [1, 5, 20])
    def test_no_page_has_more_tiles_than_it_may_and_none_a_level_less_than_it_could(self, side, layers):
        grid = replace(GRID, height=side, width=side)
        whole, pyramid = Pyramid.whole(grid), Pyramid.of(grid, layers)
        assert layers * pyramid.count <= MOST_TILES and pyramid.least <= pyramid.deepest <= whole.finest
        deeper = replace(pyramid, deepest=pyramid.deepest + 1)
        assert pyramid.deepest == whole.finest or layers * deeper.count > MOST_TILES

    def test_the_count_is_that_of_the_files(self, tmp_path):
        write_probability(tmp_path / "p.tif", np.full(self.WIDE.shape, 0.5, np.float32), self.WIDE)
        drawing = Drawing("p", (tmp_path / "p.tif",), lambda bands: probability_colours(bands[0]))
        pyramid = replace(Pyramid.whole(self.WIDE), deepest=Pyramid.whole(self.WIDE).finest - 1)
        write_tiles(tmp_path / "tiles", drawing, pyramid)
        assert len(list((tmp_path / "tiles").rglob("*.png"))) == pyramid.count

    @pytest.mark.parametrize(("most", "overview"), [(40, 2), (12, 4)])
    def test_a_page_keeps_to_the_cap_and_draws_overviews(self, site, tmp_path, monkeypatch, most, overview):
        monkeypatch.setattr(map_tiles, "MOST_TILES", most)
        layers, run = tmp_path / "site/layers", tmp_path / "run"
        write_layers(layers, names=("label",))
        manifest = json.loads((layers / "layers.json").read_text())
        write_json(layers / "layers.json", manifest | {"grid": self.WIDE.to_record()})
        write_layer(
            layers / "label.tif",
            Layer("label", np.full(self.WIDE.shape, 255, np.uint8), self.WIDE, "class", "test", CLASSES, 255),
        )
        shutil.copytree(site / "blocked", run)
        # what an overview holds is the mean of 0.3 and 0.7; a pixel of its own is one of them
        values = np.where(np.indices(self.WIDE.shape).sum(axis=0) % 2, 0.3, 0.7).astype(np.float32)
        write_probability(run / "probability.tif", values, self.WIDE)
        runs = [record_of(tmp_path)["runs"][0] | dict.fromkeys(("folder", "home", "maps"), str(run))]
        build_map(record_of(tmp_path, runs=runs, composite=None), tmp_path / "map.html", tmp_path / "map")
        tiles = list((tmp_path / "map").rglob("*.png"))
        record = page_record(tmp_path / "map.html")
        assert len(tiles) <= most and record["finest"] - record["deepest"] >= overview // 2
        assert "to stay small" in (tmp_path / "map.html").read_text()
        seen = colour_at(tmp_path / "map/run1/probability", record["deepest"], *degrees_of(700, 900))
        np.testing.assert_allclose(seen, matplotlib.colormaps["cividis"](0.5), atol=0.01)


class TestPage:
    def test_it_asks_for_nothing_that_is_not_beside_it(self, site):
        text = (site / "site/map.html").read_text()
        asked = re.findall(r'(?:src|href)="([^"]+)"', text)
        assert len(asked) >= 5 and not any(address.startswith(("http", "//")) for address in asked)
        assert all(
            (site / "site" / address).exists()
            for address in asked
            if address not in ("data:,", "summary.html")
        )
        for style in (site / "site/map").rglob("*.css"):
            assert not re.search(r"url\(['\"]?(https?:)?//|@import", style.read_text())
        assert not re.search(r"https?://", (site / "site/map/map.js").read_text())

    def test_what_it_says_is_escaped_and_whole(self, site):
        text, record = (site / "site/map.html").read_text(), page_record(site / "site/map.html")
        assert "<h1>Atsuma &lt;Hokkaido&gt;</h1>" in text and record["title"] == "Atsuma <Hokkaido>"
        outside = re.sub(r'<script type="application/json".*?</script>', "", text, flags=re.DOTALL)
        assert "Real data" in text and not re.search(r"[{}]", outside)
        assert [layer["name"] for layer in record["layers"]] == [
            "image",
            "relief",
            "inventory",
            "probability",
            "errors",
            "landslides",
        ]
        assert [run["title"].split(" · ")[1] for run in record["runs"]] == ["blocked", "published"]
        assert record["runs"][0]["scores"][0] == ["F1", 0.6123, [0.5012, 0.7034]]

    @pytest.mark.parametrize(("key", "protocol"), [("run1", "blocked"), ("run2", "published")])
    def test_numbers_of_landslides_are_those_of_the_geopackage(self, site, key, protocol):
        text = (site / "site/map" / key / "landslides.js").read_text()
        features = json.loads(text.removeprefix(f'takeLandslides("{key}",').removesuffix(");\n"))["features"]
        expected = geopandas.read_file(site / protocol / "landslides.gpkg")
        assert len(features) == len(expected) > 0
        outlines = geopandas.GeoDataFrame.from_features(features, crs="EPSG:4326").to_crs(GRID.crs)
        for feature, outline, (_, slide) in zip(
            features, outlines.geometry, expected.iterrows(), strict=True
        ):
            shown = feature["properties"]
            assert {
                "area_m2",
                "length_m",
                "mean_probability",
                "mean_slope_deg",
                "mean_elevation_m",
                "date",
            } <= set(shown)
            for name, value in shown.items():
                assert value == (None if slide[name] != slide[name] else slide[name]), name
            assert outline.symmetric_difference(slide.geometry).area < 0.01 * slide.geometry.area

    def test_a_simulated_site_without_runs_says_so(self, tmp_path):
        write_layers(tmp_path / "site/layers", data="twin", names=("elevation", "label"))
        build_map(
            record_of(tmp_path, data="twin", runs=[], composite=None, citation=None),
            tmp_path / "map.html",
            tmp_path / "map",
        )
        assert "Simulated site (twin): a simulated landscape" in (tmp_path / "map.html").read_text()
        record = page_record(tmp_path / "map.html")
        assert [(layer["name"], layer["shown"]) for layer in record["layers"]] == [
            ("relief", True),
            ("inventory", False),
        ]

    def test_the_same_site_gives_the_same_bytes(self, site, tmp_path):
        build_map(record_of(site), tmp_path / "map.html", tmp_path / "map")
        ours, theirs = (sorted(folder.rglob("*.*")) for folder in (site / "site/map", tmp_path / "map"))
        assert [path.read_bytes() for path in ours if path.is_file()] == [
            path.read_bytes() for path in theirs if path.is_file()
        ]
