"""Test windows of several classes: which are shown, and what their numbers count."""

import numpy as np
import pytest

from headscarp.codes import LANDSLIDE, NOT_LANDSLIDE, TEST, TRAIN, UNMAPPED
from headscarp.exhibits.figures.class_grid import share_right, windows_of_classes
from headscarp.exhibits.panels.series_windows import Series
from headscarp.exhibits.spec import ExhibitSpec
from headscarp.samples.windows import Window, write_windows
from headscarp.site.cube import Cube

SIDE = 8


def series_of(folder, codes, regions=None):
    """Windows side by side, each of one code but for its first row, which is bare land."""
    label = np.repeat(np.array(codes, np.uint8)[None], SIDE, axis=0).repeat(SIDE, axis=1)
    label[0] = 0
    write_windows(folder / "windows.csv", [Window(0, SIDE * n, SIDE, 0, "test") for n in range(len(codes))])
    blank = np.zeros((1, 1, *label.shape), np.float32)
    cube = Cube(blank, label, np.zeros(label.shape, np.int32), {})
    regions = np.full(label.shape, TEST, np.uint8) if regions is None else regions
    return Series(None, cube, (0, 0, 0), folder, regions)


@pytest.fixture
def spec():
    return ExhibitSpec.__new__(ExhibitSpec)


def test_each_class_has_the_window_of_which_it_covers_most(tmp_path, spec):
    series = series_of(tmp_path, [5, NOT_LANDSLIDE, LANDSLIDE, 0, 3, UNMAPPED])
    found = windows_of_classes(spec, series, "blocked")
    assert {code: window[1] // SIDE for code, window in found.items()} == {0: 3, LANDSLIDE: 2, 3: 4, 5: 0}


def test_ground_that_is_not_tested_is_not_shown(tmp_path, spec):
    series = series_of(tmp_path, [0, 5, 5])
    series.regions[:, SIDE : 2 * SIDE] = TRAIN
    assert windows_of_classes(spec, series, "blocked")[5][1] == 2 * SIDE


def test_ground_in_part_is_right_where_no_landslide_is_mapped():
    label = np.array([[0, NOT_LANDSLIDE, NOT_LANDSLIDE, LANDSLIDE, 3]], np.uint8)
    mapped = np.array([[0, 4, LANDSLIDE, LANDSLIDE, 5]], np.uint8)
    assert share_right(mapped, label, np.ones_like(label, bool)) == pytest.approx(3 / 5)
    assert share_right(mapped, label, np.array([[1, 1, 0, 0, 0]], bool)) == 1
