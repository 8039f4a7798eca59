"""The summary page of a site, parsed as a browser would, against the files that it is made from."""

import base64
import io
import json
import shutil
from html.parser import HTMLParser
from urllib.parse import unquote

import geopandas
import matplotlib.image
import numpy as np
import pytest

from headscarp.delivery.site_figures import inventory_areas
from headscarp.delivery.summary_page import build_page
from headscarp.exhibits.spec import SiteFiles
from headscarp.mapping.polygons import landslide_polygons, write_polygons
from tests.mapped_area import SCORES, THRESHOLD, record_of_page, write_layers, write_run

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Text of each element of a page by tag, the rows of its tables, and what it refers to; refuses tags that
    are not closed in turn."""

    def __init__(self, path):
        super().__init__()
        self.open, self.text, self.tables, self.links, self.images, self.tags = [], {}, [], [], [], set()
        self.feed(path.read_text(encoding="utf-8"))
        assert not self.open

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.add(tag)
        assert tag != "script" or not attributes
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("h1", "h2", "h3", "p", "li", "dt", "dd", "summary", "title"):
            self.text.setdefault(tag, []).append("")
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag == "a":
            self.links.append(attributes["href"])
        if tag == "img":
            self.images.append(attributes)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        for tag in set(self.open) & set(self.text):
            self.text[tag][-1] += data
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    root = tmp_path_factory.mktemp("results")
    layers = write_layers(root / "sites/atsuma/layers")
    (root / "sites/atsuma/raw").mkdir()
    (root / "sites/atsuma/map.html").touch()
    for protocol in ("published", "blocked"):
        run = write_run(
            root / f"runs/valley/atsuma/unet+factors/{protocol}/seed3", SCORES | {"protocol": protocol}
        )
        write_polygons(
            run / "landslides.gpkg",
            landslide_polygons(run / "probability.tif", THRESHOLD, layers),
        )
    return root


def in_one_folder(folder):
    """The folders of a run whose files lie in one, as `write_run` writes them."""
    return dict.fromkeys(("folder", "home", "maps"), str(folder))


def record_of(root, **change):
    folders = {
        protocol: root / f"runs/valley/atsuma/unet+factors/{protocol}/seed3"
        for protocol in ("published", "blocked")
    }
    return record_of_page(root / "sites/atsuma", folders, **change)


CHOICE = {
    "candidates": [
        {
            "experiment": "random_forest",
            "label": "Forest",
            "average_precision": 0.5,
            "by_seed": [0.4, None, 0.6],
            "converged": True,
        },
        {
            "experiment": "unet",
            "label": "U-Net",
            "average_precision": 0.7,
            "by_seed": [0.7, 0.8, 0.6],
            "converged": False,
        },
    ],
    "experiment": "unet",
    "label": "U-Net",
    "seeds": [0, 1, 2],
    "rule": {"recall": 0.9},
    "threshold": THRESHOLD,
    "calibrations": [{"method": "platt", "slope": 1.0, "offset": 0.0}] * 3,
    "reliability": {
        when: [
            {"probability": 0.1, "observed": observed, "pixels": 90},
            {"probability": 0.8, "observed": 0.7, "pixels": 10},
        ]
        for when, observed in (("before", 0.3), ("after", 0.12))
    },
    "notes": ["seed 1: a note on calibration"],
}


def page_of_best(results, tmp_path, **change):
    """The page of a site whose best map was chosen."""
    best = tmp_path / "best_map"
    shutil.copytree(results / "runs/valley/atsuma/unet+factors/blocked/seed3", best)
    (best / "choice.json").write_text(json.dumps(CHOICE | change))
    build_page(record_of(results, best=str(best)), tmp_path / "summary.html")
    return Page(tmp_path / "summary.html")


def test_the_best_map_comes_first_and_says_why(results, tmp_path):
    page = page_of_best(results, tmp_path)
    paragraphs = " ".join(page.text["p"])
    assert "By U-Net, protocol blocked, mean of seeds 0, 1, 2." in paragraphs
    assert "chosen on validation ground for a recall of 0.9" in paragraphs and "(platt)" in paragraphs
    assert "forest" not in paragraphs
    (table,) = table_with(page, "By training")
    assert [line[:2] for line in table[1:]] == [["U-Net (not converged)", "0.700"], ["Forest", "0.500"]]
    assert table[2][2] == "0.400, –, 0.600"
    assert "seed 1: a note on calibration" in page.text["li"]


@pytest.mark.parametrize(
    ("converged", "why"), [(False, "train them longer (scale standard)"), (True, "was of no use here")]
)
def test_a_forest_that_no_network_beats_is_told(results, tmp_path, converged, why):
    forest, network = CHOICE["candidates"]
    change = {
        "candidates": [forest | {"average_precision": 0.8}, network | {"converged": converged}],
        "experiment": "random_forest",
        "label": "Forest",
    }
    paragraphs = " ".join(page_of_best(results, tmp_path, **change).text["p"])
    assert "No network is better there than this pixel-wise forest" in paragraphs and why in paragraphs


@pytest.fixture(scope="module")
def page(results):
    build_page(record_of(results), results / "sites/atsuma/summary.html")
    return Page(results / "sites/atsuma/summary.html")


def table_with(page, head):
    return [table for table in page.tables if head in table[0]]


class TestPage:
    def test_it_stands_alone(self, page, results):
        assert not page.tags & {"link", "iframe"}
        assert all(
            image["src"].startswith("data:image/png;base64,") and image["alt"] for image in page.images
        )
        assert "http" not in "".join(page.links)
        assert "prefers-color-scheme: dark" in (results / "sites/atsuma/summary.html").read_text()

    @pytest.mark.parametrize("placeless", [False, True])
    def test_a_made_up_corner_tells_no_centre(self, results, tmp_path, placeless):
        build_page(record_of(results, placeless=placeless), tmp_path / "summary.html")
        text = (tmp_path / "summary.html").read_text()
        assert ("centre" in text.split("px of")[0]) is not placeless
        assert ("Latitude" in text) is not placeless and ("no place on Earth" in text) is placeless

    def test_links_lead_to_files(self, page, results):
        assert len(page.links) > 5
        for address in page.links:
            assert (results / "sites/atsuma" / unquote(address)).exists(), address
        assert any(address.endswith("unet+factors/blocked/seed3/landslides.gpkg") for address in page.links)

    def test_title_place_and_label(self, page):
        assert page.text["h1"] == ["Atsuma <Hokkaido>"]
        assert page.text["p"][0] == "Real data"
        place = page.text["p"][1]
        assert "42.77° N, 141.90° E" in place and "60 × 80 px of 10 m" in place and "2018-09-06" in place

    def test_largest_landslides(self, page, results):
        (table,) = table_with(page, "Area (m²)")
        polygons = geopandas.read_file(
            results / "runs/valley/atsuma/unet+factors/blocked/seed3/landslides.gpkg"
        )
        assert table[0] == [
            "No.",
            "Area (m²)",
            "Length (m)",
            "Mean probability",
            "Mean slope (°)",
            "Mean elevation (m)",
            "Relief (m)",
            "Latitude, longitude",
        ]
        degrees = polygons.geometry.centroid.to_crs("EPSG:4326")
        for cells, (_, slide), centre in zip(table[1:], polygons.iterrows(), degrees, strict=True):
            shown = [float(cell.replace(",", "")) for cell in cells[:-1]]
            names = [
                "id",
                "area_m2",
                "length_m",
                "mean_probability",
                "mean_slope_deg",
                "mean_elevation_m",
                "relief_m",
            ]
            np.testing.assert_allclose(shown, [slide[name] for name in names], atol=0.51)
            np.testing.assert_allclose(shown[3], slide["mean_probability"], atol=0.0051)
            np.testing.assert_allclose(
                [float(part) for part in cells[-1].split(", ")], [centre.y, centre.x], atol=2e-3
            )
        assert any("3 landslides, 0.01 km²" in text for text in page.text["p"])

    def test_scores(self, page):
        tables = table_with(page, "F1")
        assert [text for text in page.text["h3"] if "Protocol" in text] == [
            "Protocol: blocked",
            "Protocol: published",
        ]
        for heads, cells in tables:
            shown = dict(zip(heads, cells, strict=True))
            assert "Average precision" not in shown
            assert shown["Model"] == "U-Net & factors" and shown["Seed"] == "3"
            assert (
                shown["F1"] == "0.612[0.501, 0.703]"
                and shown["Precision"] == "0.710"
                and shown["AUC"] == "0.900"
            )
        assert "U-Net & factors, seed 3: a note on scores" in page.text["li"]

    def test_notes_sources_and_provenance(self, page):
        assert "red: no data on <half> of it" in page.text["li"]
        assert "Kita & others (2018)" in page.text["p"]
        (table,) = table_with(page, "Source")
        assert ["slope", "degree", "made <for> slope & tests"] in table
        facts = dict(zip(page.text["dt"], page.text["dd"], strict=True))
        assert facts == {
            "Card": "valley",
            "Scale": "tiny",
            "Seeds": "3",
            "Software": "torch 2.13.0, headscarp 0.1.0",
            "Devices": "cpu (1 thread)",
        }

    def test_map_shows_the_blocked_run_in_its_colours(self, page):
        assert any("protocol blocked, seed 3" in text for text in page.text["p"])
        (image,) = [image for image in page.images if "mapped landslides" in image["alt"]]
        picture = matplotlib.image.imread(io.BytesIO(base64.b64decode(image["src"].split(",")[1])))
        pixels = (255 * picture[..., :3].reshape(-1, 3)).round().astype(int)
        for colour in matplotlib.colormaps["cividis"]([0.8, 0.6])[:, :3]:
            assert (np.abs(pixels - 255 * colour).max(axis=1) <= 2).sum() > 500


class TestVariants:
    def test_twin_without_runs(self, tmp_path):
        write_layers(tmp_path / "sites/atsuma/layers", data="twin", dates=("2008-09-20", "2020-09-08"))
        build_page(
            record_of(tmp_path, data="twin", runs=[], citation=None), tmp_path / "sites/atsuma/summary.html"
        )
        page = Page(tmp_path / "sites/atsuma/summary.html")
        assert (
            page.text["p"][0].startswith("Simulated site (twin)")
            and "2008-09-20 to 2020-09-08 (2 dates)" in page.text["p"][1]
        )
        assert "No model was trained on this site." in page.text["p"] and not page.images

    def test_neither_image_nor_elevation(self, results, tmp_path):
        write_layers(tmp_path / "layers", names=("label",))
        build_page(record_of(results, folder=str(tmp_path), composite=None), tmp_path / "summary.html")
        assert len(Page(tmp_path / "summary.html").images) == 2

    def test_maps_of_a_scene(self, results, tmp_path):
        scene = tmp_path / "north"
        run = results / "runs/valley/atsuma/unet+factors/blocked/seed3"
        scene.mkdir(parents=True)
        for file in ("probability.tif", "landslides.gpkg"):
            (scene / file).write_bytes((run / file).read_bytes())
        record = record_of(results)
        record["runs"] = [record["runs"][0] | {"maps": str(scene)}]
        build_page(record, tmp_path / "summary.html")
        page = Page(tmp_path / "summary.html")
        assert "north/landslides.gpkg" in [address.removeprefix("./") for address in page.links]
        assert table_with(page, "F1")[0][1][2].startswith("0.612")
        (scene / "scores.json").write_text(json.dumps(SCORES | {"metrics": {"f1": 0.25}}))
        build_page(record, tmp_path / "summary.html")
        assert table_with(Page(tmp_path / "summary.html"), "F1")[0][1][2].startswith("0.250")

    def test_acquisition(self, tmp_path):
        write_layers(tmp_path / "layers")
        (tmp_path / "raw").mkdir()
        record = {
            "kind": "sentinel2",
            "api": {"name": "earth_search", "url": "https://example.org"},
            "bands": ["red", "nir"],
            "used_share": 0.9,
            "items": [
                {"id": "S2A_<1>", "cloud_cover": 12.5, "offset": {"applied": -1000}},
                {"id": "S2B_2", "cloud_cover": None},
            ],
            "notes": [],
        }
        (tmp_path / "raw/before.json").write_text(json.dumps(record))
        (tmp_path / "raw/manifest.json").write_text("{}")
        build_page(record_of(tmp_path, folder=str(tmp_path), runs=[]), tmp_path / "summary.html")
        page = Page(tmp_path / "summary.html")
        assert "before" in page.text["summary"] and "manifest" not in page.text["summary"]
        (table,) = table_with(page, "cloud cover")
        assert table == [
            ["id", "cloud cover", "offset"],
            ["S2A_<1>", "12.5", "applied -1000"],
            ["S2B_2", "–", "–"],
        ]
        assert {
            "kind: sentinel2",
            "api: name earth_search; url https://example.org",
            "bands: red, nir",
            "used share: 0.9",
        } <= set(page.text["li"])

    def test_no_landslides(self, tmp_path):
        write_layers(tmp_path / "layers")
        run = write_run(tmp_path / "run")
        write_polygons(
            run / "landslides.gpkg",
            landslide_polygons(run / "probability.tif", 0.99, tmp_path / "layers"),
        )
        record = record_of(tmp_path, folder=str(tmp_path))
        record["runs"] = [record["runs"][1] | in_one_folder(run)]
        build_page(record, tmp_path / "summary.html")
        page = Page(tmp_path / "summary.html")
        assert any(text.startswith("0 landslides") for text in page.text["p"]) and len(page.images) == 1


def test_inventory_areas(results):
    site = SiteFiles.from_record(record_of(results))
    assert sorted(inventory_areas(site)) == [4500, 5000]
