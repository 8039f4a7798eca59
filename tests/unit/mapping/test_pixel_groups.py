"""Groups of pixels found strip by strip against SciPy's labels of the whole array."""

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from geopandas.testing import assert_geodataframe_equal
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.features import rasterize
from scipy import ndimage

from headscarp.geo import layer as layers
from headscarp.geo.grid import Grid
from headscarp.geo.layer import Layer, write_layer
from headscarp.mapping.pixel_groups import pixel_groups, strips_of_array
from headscarp.mapping.polygons import landslide_polygons, polygonise
from tests.mapped_area import GRID as MAPPED_GRID
from tests.mapped_area import write_layers

TRANSFORM = Affine(10, 0, 500000, 0, -10, 4700000)
SHAPES = st.tuples(st.integers(1, 25), st.integers(1, 12))


def grid_of(values: np.ndarray) -> Grid:
    return Grid("EPSG:32654", TRANSFORM, *values.shape)


def in_strips(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(layers, "ROWS_AT_ONCE", rows)


def spiral(side: int) -> np.ndarray:
    """One group that leaves and enters every strip again and again, around another one."""
    mask = np.zeros((side, side), bool)
    row, col, down, right = 0, 0, 0, 1
    mask[0, 0] = True
    while True:
        ahead, beyond = (row + down, col + right), (row + 2 * down, col + 2 * right)
        inside = 0 <= ahead[0] < side and 0 <= ahead[1] < side
        met = 0 <= beyond[0] < side and 0 <= beyond[1] < side and mask[beyond]
        if not inside or met:
            down, right = right, -down
            if mask[row + down, col + right] or mask[row + 2 * down, col + 2 * right]:
                return mask
            continue
        row, col = ahead
        mask[row, col] = True


@given(arrays(bool, SHAPES), st.integers(1, 7))
@settings(max_examples=200, deadline=None)
def test_groups_are_those_of_the_whole(mask, rows):
    values = np.random.default_rng(mask.size).normal(size=mask.shape).astype(np.float32)
    values[::3, 1::4] = np.nan
    wanted, count = ndimage.label(mask)
    with pytest.MonkeyPatch.context() as patch:
        in_strips(patch, rows)
        with pixel_groups(strips_of_array(mask.astype(np.float32)), grid_of(mask), 0.5) as groups:
            pieces = [(np.zeros(0, int), np.zeros(0, object)), *groups.outlines()]
            numbers, outlines = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
            summary = groups.summary(strips_of_array(values))
            with rasterio.open(groups.numbers) as raster:
                found = raster.read(1)
    assert len(groups.pixels) == count + 1 and sorted(numbers) == list(range(1, count + 1))
    np.testing.assert_array_equal(found > 0, mask)
    assert (
        len(set(zip(found[mask], wanted[mask], strict=True))) == count
    )  # the same groups, otherwise numbered
    np.testing.assert_array_equal(np.bincount(found[mask], minlength=count + 1), groups.pixels)
    burnt = rasterize(zip(outlines, numbers, strict=True), mask.shape, transform=TRANSFORM) if count else 0
    np.testing.assert_array_equal(burnt, found)
    assert shapely.is_valid(outlines).all()
    for number in range(1, count + 1):
        members = values[found == number]
        members = members[~np.isnan(members)]
        if members.size:
            assert summary.mean[number] == pytest.approx(members.mean(dtype=float), abs=1e-9)
            assert (summary.maximum[number], summary.minimum[number]) == (members.max(), members.min())
        else:
            assert np.isnan([summary.mean[number], summary.maximum[number], summary.minimum[number]]).all()


@pytest.mark.parametrize("rows", [1, 2, 5, 64])
def test_a_spiral_is_one_group_whatever_the_strips(monkeypatch, rows):
    mask = spiral(41)
    assert ndimage.label(mask)[1] == 1 and mask.sum() > 800
    in_strips(monkeypatch, rows)
    found = polygonise(mask.astype(np.float32), grid_of(mask))
    assert len(found) == 1 and found.area_m2.tolist() == [100 * mask.sum()] == found.area.tolist()


@pytest.mark.parametrize("rows", [1, 3, 10])
def test_polygons_of_a_file_are_those_of_the_file_in_one_strip(tmp_path, monkeypatch, rows):
    """With attributes from layers, holes and no data; ties of area in one order."""
    random = np.random.default_rng(1)
    values = ndimage.gaussian_filter(random.normal(size=MAPPED_GRID.shape), 1).astype(np.float32) * 2
    values[10:14, 20:30] = np.nan
    write_layer(tmp_path / "map.tif", Layer("p", values, MAPPED_GRID, "1", "test"))
    folder = write_layers(tmp_path)
    whole = landslide_polygons(tmp_path / "map.tif", 0.3, folder)
    in_strips(monkeypatch, rows)
    found = landslide_polygons(tmp_path / "map.tif", 0.3, folder)
    assert len(whole) > 20 and any(one.interiors for one in whole.geometry)
    assert_geodataframe_equal(found, whole)


def test_small_groups_are_left_out_after_they_are_joined(monkeypatch):
    values = np.zeros((12, 4), np.float32)
    values[1:11, 1] = 1  # ten pixels, of which no strip holds more than three
    values[5, 3] = 1
    in_strips(monkeypatch, 3)
    found = polygonise(values, grid_of(values), minimum_area_m2=1000)
    assert found.area_m2.tolist() == [1000]
