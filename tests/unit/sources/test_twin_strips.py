"""What a twin works out in strips of rows is to the bit what it would be of the whole scene at once."""

import filecmp

import numpy as np
import pytest
from scipy import fft, ndimage

from headscarp.sources.twin import fields
from headscarp.sources.twin.cover import NAMES
from headscarp.sources.twin.fields import correlated_noise, resample_to, slope_and_aspect, strips, widened
from headscarp.sources.twin.geography import distance_to
from headscarp.sources.twin.reflectance import BARE_COVERS, Surface, observe
from headscarp.sources.twin.spec import TwinSpec
from headscarp.sources.twin.write import write_twin
from tests.unit.sources.test_twin import JIUZHAIGOU
from tests.unit.sources.test_twin_city import RECORD as CITY

SHAPE = (97, 130)


@pytest.fixture(params=[130, 700, 5000], ids=["row by row", "of five rows", "of 38 rows"])
def cells(request, monkeypatch) -> int:
    """Cells of a strip: scenes of tests are smaller than one strip as it is."""
    monkeypatch.setattr(fields, "_STRIP_CELLS", request.param)
    return request.param


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(3)


def test_strips_cover_each_row_once_and_margins_end_at_the_border(cells):
    values = np.arange(97)
    parts = list(strips(SHAPE))
    np.testing.assert_array_equal(np.concatenate([values[rows] for rows in parts]), values)
    assert all((rows.stop - rows.start) * SHAPE[1] <= cells for rows in parts)
    for rows in parts:
        around, inner = widened(rows, 3, 97)
        np.testing.assert_array_equal(values[around][inner], values[rows])
        assert (values[around][0], values[around][-1]) == (max(0, rows.start - 3), min(96, rows.stop + 2))


@pytest.mark.parametrize("shape", [SHAPE, (64, 111)])
def test_noise_is_that_of_one_transform_of_the_whole_field(cells, shape):
    spectrum = fft.rfft2(np.random.default_rng(7).standard_normal(shape))
    squared = fft.fftfreq(shape[0])[:, None] ** 2 + fft.rfftfreq(shape[1])[None, :] ** 2
    spectrum *= (1 + (2 * np.pi * 9) ** 2 * squared) ** (-(1.2 + 1) / 2)
    spectrum[0, 0] = 0
    whole = fft.irfft2(spectrum, s=shape)
    np.testing.assert_array_equal(
        correlated_noise(np.random.default_rng(7), shape, 9, 1.2), whole / whole.std()
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_slopes_and_resampled_grids_are_those_of_the_whole_grid(cells, random, dtype):
    elevation = (50 * random.standard_normal(SHAPE)).astype(dtype)
    southward, eastward = np.gradient(elevation, 15.0)
    slope, aspect = slope_and_aspect(elevation, 15.0)
    np.testing.assert_array_equal(slope, np.degrees(np.arctan(np.hypot(southward, eastward))))
    np.testing.assert_array_equal(aspect, np.arctan2(-eastward, southward))
    for order in (1, 3):
        where = np.meshgrid((np.arange(290) + 0.5) / 3 - 0.5, (np.arange(388) + 0.5) / 3 - 0.5, indexing="ij")
        expected = ndimage.map_coordinates(elevation, where, order=order, mode="nearest")
        fine = resample_to(elevation, (290, 388), 3, order)
        np.testing.assert_array_equal(fine, expected)
        assert fine.dtype == dtype


def test_distances_are_those_of_the_whole_mask(cells, random):
    mask = random.random(SHAPE) < 0.002
    expected = ndimage.distance_transform_edt(~mask) * 15.0
    np.testing.assert_array_equal(distance_to(mask, 15.0), expected)
    np.testing.assert_array_equal(distance_to(mask, 15.0, np.float32), expected.astype(np.float32))
    assert np.isinf(distance_to(np.zeros(SHAPE, bool), 15.0)).all()


def test_an_image_has_no_seams(cells, random, monkeypatch):
    cover = random.integers(1, len(NAMES) + 1, SHAPE, np.uint8)
    bare = np.isin(cover, BARE_COVERS) | (random.random(SHAPE) < 0.1)
    count = int(bare.sum())
    surface = Surface(
        cover=cover,
        vigour=random.random(SHAPE),
        built=random.uniform(0.5, 1.5, int((cover == NAMES.index("built-up") + 1).sum())),
        bare=bare,
        bareness=random.random(count),
        brightness=random.uniform(0.5, 1.5, count),
        hardness=random.random(count),
    )
    slope, texture, lit = (random.uniform(0.5, 1.5, SHAPE) for _ in range(3))
    spec = TwinSpec.from_record(JIUZHAIGOU)
    of_strips = observe(spec, np.random.default_rng(1), slope, surface, texture, lit)
    monkeypatch.setattr(fields, "_STRIP_CELLS", cover.size)
    whole = observe(spec, np.random.default_rng(1), slope, surface, texture, lit)
    assert len(list(strips(SHAPE))) == 1
    np.testing.assert_array_equal(of_strips, whole)


@pytest.mark.parametrize(("record", "fraction"), [(JIUZHAIGOU, 0.2), (CITY, 0.03)], ids=["site", "region"])
def test_files_are_the_same_to_the_byte_however_wide_the_strips(record, fraction, tmp_path, monkeypatch):
    spec = TwinSpec.from_record(record).scaled(fraction)
    write_twin(tmp_path / "whole", spec, 1)
    monkeypatch.setattr(fields, "_STRIP_CELLS", 7 * spec.cols)
    write_twin(tmp_path / "strips", spec, 1)
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert filecmp.cmpfiles(tmp_path / "whole", tmp_path / "strips", names, shallow=False)[0] == names
