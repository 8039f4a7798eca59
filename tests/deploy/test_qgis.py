"""The QGIS project of a site, and the styles beside its maps, opened and drawn by QGIS without a screen.

Set HEADSCARP_SCREENSHOTS to a folder to keep the pictures.
"""

import json
import math
import os
import shutil
import subprocess
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import rasterio
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from headscarp.delivery.styles import DOUBT, DOUBTFUL, uncertainty_style, write_style
from headscarp.delivery.susceptibility_styles import (
    OUTSIDE,
    write_classes_style,
    write_dissimilarity_style,
    write_steps_style,
)
from headscarp.exhibits.levels import LEVELS
from headscarp.exhibits.panels import palette
from tests.delivered_site import FOLDS, THRESHOLDS, write_delivered
from tests.deploy import apt
from tests.mapped_area import GRID, probability_map

PYTHON = "/usr/bin/python3"  # that of the system, whose packages QGIS is one of
SCRIPT = Path(__file__).parent / "qgis" / "open_project.py"
OLDEST = 32200
OWN = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PROJ_LIB", "PROJ_DATA", "GDAL_DATA")
CELL = 10  # pixels of a drawn map a pixel of the site
MM = 96 / 25.4  # pixels of the drawn page
CIVIDIS = matplotlib.colormaps["cividis"]
RUN = "headscarp_run1_"
BOUNDS, THRESHOLD = (0.1, 0.3, 0.5, 0.75, 1.0), 0.2
SLIDE, LOW_SLIDE, PLAIN = (15, 12), (41, 40), (25, 30)  # rows and columns with 0.8, 0.6 and 0.05


def call(*arguments, folder):
    """The Python of QGIS, as on a desktop but without a screen and with a home of its own."""
    lent = {name: value for name, value in os.environ.items() if name not in OWN}
    own = {"QT_QPA_PLATFORM": "offscreen", "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    command = [PYTHON, *map(str, arguments)]
    return subprocess.run(command, env=lent | own, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def qgis(tmp_path_factory):
    """A home of QGIS, which is installed where this user may."""
    home = tmp_path_factory.mktemp("home")
    question = ("-c", "from qgis.core import Qgis; print(Qgis.QGIS_VERSION_INT)")
    if not Path(PYTHON).exists() or call(*question, folder=home).returncode:
        try:
            apt.install("python3-qgis")
        except apt.NotInstalled as reason:
            pytest.skip(f"no QGIS here: {reason}")
    version = int(call(*question, folder=home).stdout or 0)
    if version < OLDEST:
        pytest.skip(f"the QGIS of this system is {version}, older than {OLDEST}")
    return home


@pytest.fixture(scope="module")
def drawn(qgis, tmp_path_factory):
    """Folder of what QGIS told and drew of a project; the results were moved since it was written."""
    root = tmp_path_factory.mktemp("site")
    project = write_delivered(root / "here").relative_to(root / "here")
    shutil.move(root / "here", root / "there")
    folder = Path(os.environ.get("HEADSCARP_SCREENSHOTS", root)) / "qgis"
    folder.mkdir(parents=True, exist_ok=True)
    write_styled(root / "there/runs/styled")
    styles = [path for name in ("blocked", "styled") for path in (root / "there/runs" / name).glob("*.qml")]
    done = call(SCRIPT, root / "there" / project, folder, GRID.resolution / CELL, *styles, folder=qgis)
    assert not done.returncode, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def told(drawn):
    return json.loads((drawn / "report.json").read_text())


def ramp(last):
    """Values from 0 in the west to `last` in the east."""
    return np.broadcast_to(np.linspace(0, last, GRID.width, dtype=np.float32), GRID.shape)


STYLED = {
    "uncertainty": ramp(0.6),
    "susceptibility": ramp(1.0),
    "classes": np.broadcast_to(np.arange(GRID.width, dtype=np.uint8) // 16 + 1, GRID.shape),
    "applicability": ramp(0.5),
}


def write_styled(folder):
    """Maps that no project holds, each with its style beside it."""
    folder.mkdir()
    for name, values in STYLED.items():
        profile = {"count": 1, "dtype": values.dtype, "crs": GRID.crs, "transform": GRID.transform}
        size = {"height": GRID.height, "width": GRID.width}
        with rasterio.open(folder / f"{name}.tif", "w", driver="GTiff", **size, **profile) as file:
            file.write(values, 1)
    write_style(folder / "uncertainty.qml", uncertainty_style())
    steps = zip(BOUNDS, LEVELS, palette.SUSCEPTIBILITY, strict=True)
    write_steps_style(folder / "susceptibility.qml", list(steps))
    write_classes_style(folder / "classes.qml", LEVELS, palette.SUSCEPTIBILITY)
    write_dissimilarity_style(folder / "applicability.qml", THRESHOLD)


def picture(drawn, name):
    return 255 * imread(drawn / f"{name}.png")[..., :3]


def cells(drawn, name):
    """Colours 0..255 in the middle of each pixel of the site, (60, 80, 3)."""
    image = picture(drawn, name)
    assert image.shape == (CELL * GRID.height, CELL * GRID.width, 3)
    return image[CELL // 2 :: CELL, CELL // 2 :: CELL]


def colour(text):
    return 255 * np.array(to_rgb(text))


def image_colours():
    """What the composite must look like: three layers (see tests/mapped_area.py) between their 2nd and 98th
    percentiles, white where one lacks data."""
    rows, cols = np.mgrid[:60, :80]
    blue = np.where(cols < 40, 10 / 90, 30 / 90)
    blue[41] = np.nan
    bands = np.stack([rows / 60, cols / 80, blue], axis=-1)
    low, high = np.nanpercentile(bands, [2, 98], axis=(0, 1))
    colours = 255 * np.clip((bands - low) / (high - low), 0, 1)
    colours[41] = 255
    return colours


class TestProject:
    def test_it_opens_with_all_layers_valid_where_it_was_moved_to(self, told):
        assert told["read"] and told["error"] == "" and told["title"] == "Atsuma <Hokkaido>"
        assert len(told["layers"]) == 3 * 2 + 4
        for key, layer in told["layers"].items():
            assert layer["valid"] and layer["errors"] == [] and layer["crs"] == GRID.crs, key
            assert "/there/" in layer["source"]
        assert told["crs"] == GRID.crs and told["extent"] == list(GRID.bounds)

    def test_groups_stand_in_order_and_the_blocked_run_is_on(self, told):
        shown = {name: on for name, on, _ in told["tree"]}
        runs = [f"U-Net & factors · {protocol} · seed 3" for protocol in ("blocked", "published")]
        assert list(shown) == [*runs, "Susceptibility", "Inventory", "Ground"]
        assert [name for name, on in shown.items() if on] == [runs[0], "Ground"]
        assert told["shown"] == [f"{RUN}landslides", f"{RUN}probability", "headscarp_image"]

    def test_every_style_file_is_read(self, told):
        ramps = ("probability", "uncertainty", "susceptibility", "applicability")
        kinds = {"landslides": "graduatedSymbol", "mask": "paletted", "classes": "paletted"}
        kinds |= dict.fromkeys(ramps, "singlebandpseudocolor")
        assert set(told["styles"]) == {f"{name}.qml" for name in kinds}
        for name, kind in kinds.items():
            style = told["styles"][f"{name}.qml"]
            assert style["valid"] and style["read"] and style["renderer"] == kind, style["message"]


class TestMaps:
    def test_probabilities_have_the_colours_of_the_figures(self, drawn):
        values, seen = np.nan_to_num(probability_map()), cells(drawn, f"{RUN}probability")
        expected = np.where((values >= 0.1)[..., None], 255 * CIVIDIS(values.astype(float))[..., :3], 255)
        assert len(np.unique(values)) == 6
        # QGIS draws straight lines between tenths of the palette
        np.testing.assert_allclose(seen, expected, atol=5)

    def test_masks_and_inventory(self, drawn):
        found = probability_map() >= THRESHOLDS["blocked"]
        slide = np.zeros(GRID.shape, bool)
        slide[11:20, 10:15] = slide[30:40, 60:65] = True
        for name, mask in ((f"{RUN}mask", found), ("headscarp_inventory", slide)):
            expected = np.where(mask[..., None], colour(palette.SLIDE), 255)
            np.testing.assert_allclose(cells(drawn, name), expected, atol=1)

    def test_outlines_are_coloured_by_mean_probability(self, drawn):
        image = picture(drawn, f"{RUN}landslides")
        # a point of the left edges of two slides, of mean 0.803 and 0.6, just above the edge of its class
        for row, col, middle in ((15, 10, 0.9), (42, 30, 0.7)):
            edge = image[CELL * row, CELL * col - 2 : CELL * col + 2]
            expected = 255 * np.array(CIVIDIS(middle)[:3])
            assert (np.abs(edge - expected).max(axis=-1) < 8).any(), (edge, expected)
        assert (image[CELL * 15 + 5, CELL * 12 + 5] == 255).all()

    def test_susceptibility_is_the_mean_of_the_folds(self, drawn):
        west = np.mean(FOLDS)
        expected = np.empty((*GRID.shape, 3))
        for part, value in ((slice(None, 40), west), (slice(40, None), west + 0.2)):
            steps = np.linspace(0, 1, 5)
            colours = np.array([colour(one) for one in palette.SUSCEPTIBILITY])
            expected[:, part] = [np.interp(value, steps, channel) for channel in colours.T]
        expected[0] = 255  # unknown in one fold
        np.testing.assert_allclose(cells(drawn, "headscarp_susceptibility1"), expected, atol=2)

    def test_the_image_is_stretched_as_in_the_figures(self, drawn):
        np.testing.assert_allclose(cells(drawn, "headscarp_image"), image_colours(), atol=2)

    def test_relief_is_lit_from_the_north_west(self, drawn):
        # The ground rises by 1 m in 10 m towards the south, so that it faces north (Horn 1981).
        slope, high = math.atan(1.2 * 0.1), math.radians(45)
        light = math.sin(high) * math.cos(slope) + math.cos(high) * math.sin(slope) * math.cos(
            math.radians(315)
        )
        np.testing.assert_allclose(cells(drawn, "headscarp_relief")[2:-2, 2:-2], 255 * light, atol=2)

    def test_all_that_is_on_together(self, drawn):
        seen = cells(drawn, "project")
        for cell, value in ((SLIDE, 0.8), (LOW_SLIDE, 0.6)):
            np.testing.assert_allclose(seen[cell], 255 * np.array(CIVIDIS(value)[:3]), atol=3)
        np.testing.assert_allclose(seen[PLAIN], image_colours()[PLAIN], atol=2)


class TestStyles:
    """Maps as a user drops them into QGIS."""

    def test_what_models_doubt_hides_the_ground(self, drawn):
        alpha = np.clip(STYLED["uncertainty"] / DOUBTFUL, 0, 1)[..., None]
        expected = 255 * (1 - alpha) + colour(DOUBT) * alpha
        np.testing.assert_allclose(cells(drawn, "style_uncertainty"), expected, atol=3)

    def test_susceptibility_has_the_colour_of_its_class(self, drawn):
        levels = np.array([colour(one) for one in palette.SUSCEPTIBILITY])
        expected = levels[np.searchsorted(np.float32(BOUNDS), STYLED["susceptibility"])]
        np.testing.assert_allclose(cells(drawn, "style_susceptibility"), expected, atol=1)
        np.testing.assert_allclose(cells(drawn, "style_classes"), levels[STYLED["classes"] - 1], atol=1)

    def test_ground_outside_the_area_of_applicability_stands_out(self, drawn):
        share = STYLED["applicability"] / THRESHOLD
        tenths = np.linspace(0, 1, 11)
        inside = [np.interp(share, tenths, channel) for channel in 255 * CIVIDIS(tenths)[:, :3].T]
        expected = np.where((share <= 1)[..., None], np.stack(inside, axis=-1), colour(OUTSIDE))
        np.testing.assert_allclose(cells(drawn, "style_applicability"), expected, atol=2)


class TestPage:
    @pytest.fixture
    def page(self, drawn, told):
        assert told["exported"] == 0
        image = picture(drawn, "page")
        assert image.shape[:2] == (int(210 * MM), int(297 * MM))
        return image

    def part(self, page, told, name):
        left, top, width, height = (round(MM * number) for number in told["page"][name])
        return page[top : top + height, left : left + width]

    def has(self, part, wanted, least):
        """Whether at least so many pixels have a colour, about."""
        return np.count_nonzero(np.abs(part - wanted).max(axis=-1) < 40) >= least

    def test_the_map_shows_the_whole_site_at_its_place(self, page, told):
        left, top, width, height = told["page"]["map"]
        assert width / height == pytest.approx(80 / 60, rel=1e-4)
        expected = {
            SLIDE: 255 * np.array(CIVIDIS(0.8)[:3]),
            LOW_SLIDE: 255 * np.array(CIVIDIS(0.6)[:3]),
            PLAIN: image_colours()[PLAIN],
        }
        for (row, col), wanted in expected.items():
            y, x = MM * (top + height * (row + 0.5) / 60), MM * (left + width * (col + 0.5) / 80)
            np.testing.assert_allclose(page[int(y), int(x)], wanted, atol=6)

    def test_title_arrow_and_credit_are_written(self, page, told):
        for name in ("title", "subtitle", "north arrow", "credit"):
            dark = (self.part(page, told, name) < 150).all(axis=-1)
            assert np.count_nonzero(dark) > 50, name

    def test_the_legend_has_the_colours_of_the_outlines_and_of_the_ramp(self, page, told):
        legend = self.part(page, told, "legend")
        for value in (0.1, 0.5, 0.9):
            assert self.has(legend, 255 * np.array(CIVIDIS(value)[:3]), 30), value

    def test_the_scale_bar_is_as_long_as_it_says(self, page, told):
        bar = self.part(page, told, "scale bar")
        filled = (bar < 60).all(axis=-1)
        row = filled[filled.sum(axis=1).argmax()]  # its edge: both segments
        length = np.ptp(np.flatnonzero(row)) / MM
        # 2 segments of 50 m: the largest of 1, 2, 5 times ten that is at most 12 % of 800 m
        assert length == pytest.approx(2 * 50 * told["page"]["map"][2] / 800, abs=1)

    def test_nothing_lies_on_anything_else(self, told):
        boxes = {name: box for name, box in told["page"].items() if name != "page"}
        for name, (left, top, width, height) in boxes.items():
            assert left >= 0 and top >= 0 and left + width <= 297.01 and top + height <= 210.01, name
            for other, (x, y, w, h) in boxes.items():
                apart = (
                    left + width <= x + 0.01
                    or x + w <= left + 0.01
                    or top + height <= y + 0.01
                    or y + h <= top + 0.01
                )
                assert other == name or apart, (name, other)
