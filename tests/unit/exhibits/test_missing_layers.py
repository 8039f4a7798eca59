"""Figures of areas that lack a layer: the panel that needs it is left out, and the figure says so."""

import numpy as np
import pytest
from matplotlib.text import Text

from headscarp.exhibits.panels.figure import draw
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.files import write_json
from tests.mapped_area import write_layers, write_run

COLOURS = ("red", "green", "blue")
LABELS = ("label", "instances")


def spec_of(root, kind, **options):
    """An exhibit of one kind of a site and of the run that mapped it."""
    folders = {"blocked": str(root / "samples")}
    site = {
        "name": "atsuma",
        "title": "Atsuma",
        "folder": str(root / "site"),
        "data": "real",
        "samples": folders,
    }
    run = {
        "row": "unet",
        "label": "U-Net",
        "experiment": "unet",
        "protocol": "blocked",
        "seed": 0,
        "folder": str(root / "run"),
        "maps": str(root / "run"),
    }
    words = {"card": "valley", "name": "fig", "title": "A figure", "caption": ""}
    return ExhibitSpec.from_record(
        words | {"kind": kind, "sites": [site], "runs": [run], "options": options, "published": []}
    )


@pytest.fixture
def area(tmp_path):
    """What makes an area of some layers, with a run and samples whose test region is the eastern half."""

    def make(*names):
        write_layers(tmp_path / "site/layers", names=(*names, *LABELS))
        scores = {"threshold": 0.5, "metrics": {"f1": 0.6, "average_precision": 0.7}}
        write_run(tmp_path / "run", scores)
        regions = np.ones((60, 80), np.uint8)
        regions[:, 40:] = 3
        (tmp_path / "samples").mkdir()
        np.save(tmp_path / "samples/regions.npy", regions)
        write_json(tmp_path / "samples/samples.json", {})
        return tmp_path

    return make


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def titles(figure):
    return [title for title in (axes.get_title(loc="left") for axes in figure.axes) if title]


class TestSite:
    def test_without_a_surface_model_the_image_stands_alone(self, area):
        figure, frame = draw(spec_of(area(*COLOURS), "site_map"))
        assert titles(figure) == ["(a) Image: red, green, blue"]
        assert "Relief left out: Atsuma has no layer elevation." in texts(figure)
        assert not any("Elevation" in text for text in texts(figure))
        assert set(frame["metric"]) == {"centre_longitude", "centre_latitude"}

    def test_without_an_image_the_relief_stands_alone(self, area):
        figure, frame = draw(spec_of(area("elevation", "green"), "site_map"))
        assert titles(figure) == ["(a) Relief and landslides"]
        assert "Image left out: Atsuma has no layer red, blue." in texts(figure)
        assert {"elevation_min", "elevation_max"} <= set(frame["metric"])

    @pytest.mark.parametrize("options", [{}, {"background": "relief"}])
    def test_without_either_the_landslides_are_shown(self, area, options):
        figure, _ = draw(spec_of(area(), "site_map", **options))
        assert titles(figure) == ["(a) Landslides"]
        assert any("Relief left out" in text for text in texts(figure)) and "Landslide" in texts(figure)

    def test_with_all_nothing_is_left_out(self, area):
        figure, _ = draw(spec_of(area("elevation", *COLOURS), "site_map"))
        assert titles(figure) == ["(a) Relief and landslides", "(b) Image: red, green, blue"]
        assert not any("left out" in text for text in texts(figure))


class TestVeryHighResolution:
    def test_without_a_surface_model_the_image_stands_alone(self, area):
        figure, frame = draw(spec_of(area(*COLOURS), "vhr_site"))
        assert titles(figure) == ["(a) Image"] and set(frame["metric"]) == {
            "centre_longitude",
            "centre_latitude",
        }
        (said,) = [text for text in texts(figure) if "left out" in text]
        assert "Mean slope left out: Atsuma has no layer slope." in said
        assert "Hill shade left out: Atsuma has no layer elevation." in said

    def test_with_all_nothing_is_left_out(self, area):
        figure, frame = draw(spec_of(area("elevation", "slope", *COLOURS), "vhr_site"))
        assert titles(figure) == ["(a) Image", "(b) Mean slope", "(c) Hill shade"]
        assert "slope_mean" in set(frame["metric"])
        assert not any("left out" in text for text in texts(figure))


class TestMaps:
    @pytest.mark.parametrize("names", [(), ("elevation",), COLOURS])
    def test_confusion_needs_neither_relief_nor_image(self, area, names):
        figure, frame = draw(spec_of(area(*names), "confusion_maps"))
        assert titles(figure) == ["(a) U-Net\nF1 0.600"] and frame["value"].tolist() == [0.6]

    @pytest.mark.parametrize("names", [(), ("elevation",)])
    def test_probability_without_an_image(self, area, names):
        figure, frame = draw(spec_of(area(*names), "probability_maps"))
        assert titles(figure) == ["(a) Landslide inventory", "(b) U-Net\nblocked, AP 0.700"]
        assert any("Image left out: Atsuma has no layer red, green, blue." in text for text in texts(figure))
        assert frame["value"].tolist() == [0.7]

    def test_probability_without_a_surface_model(self, area):
        figure, _ = draw(spec_of(area(*COLOURS), "probability_maps"))
        assert [title[:3] for title in titles(figure)] == ["(a)", "(b)", "(c)"]
        assert not any("left out" in text for text in texts(figure))
