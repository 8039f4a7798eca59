"""Turned windows: what is read of aspect against the terrain derived anew from a turned elevation model."""

import numpy as np
import pytest
from affine import Affine
from scipy import ndimage

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.site.stack import components
from headscarp.site.terrain import aspect
from headscarp.training.batches import Batches
from headscarp.training.windows import (
    NormalisedCube,
    NormalisedSeries,
    Samples,
    apply_symmetry,
    directions_of,
)

SIDE = 24
CHANNELS = ["elevation", "aspect_cos", "aspect", "aspect_sin"]
MEAN, SD = [1000.0, 0.2, 170.0, -0.1], [50.0, 0.6, 110.0, 0.7]
GRID = Grid("EPSG:32648", Affine(30, 0, 500000, 0, -30, 4700000), SIDE, SIDE)


@pytest.fixture(scope="module")
def dem() -> np.ndarray:
    """Rolling ground with a plain in it (no aspect there) and a hole without data."""
    random = np.random.default_rng(5)
    ground = 1000 + 300 * ndimage.gaussian_filter(random.standard_normal((SIDE, SIDE)), 2)
    ground[4:9, 4:9] = ground[4, 4]
    ground[15, 18] = np.nan
    return ground.astype(np.float32)


def channels_of(dem: np.ndarray) -> np.ndarray:
    """The channels (channel, row, col) in their units, derived from an elevation model."""
    facing = aspect(dem, GRID)
    sine, cosine = components(facing)
    return np.stack([dem, cosine, facing, sine]).astype(np.float32)


def cube_of(dem: np.ndarray, kind: type = NormalisedCube, dates: int = 1) -> NormalisedCube:
    values = np.repeat(channels_of(dem)[None], dates, axis=0)
    means = [MEAN] * dates if dates > 1 else MEAN
    sds = [SD] * dates if dates > 1 else SD
    return kind(values, list(range(4)), means, sds, None, directions_of(CHANNELS))


def samples_of(cube: NormalisedCube) -> Samples:
    window = np.array([[0, 0, SIDE, 0]])
    label = np.triu(np.ones((SIDE, SIDE), np.uint8))
    return Samples(
        cube, label, np.ones((SIDE, SIDE), np.uint8), "blocked", {"train": window, "validation": window}
    )


WHOLE = slice(0, SIDE)


def assert_same_ground(found: np.ndarray, derived: np.ndarray) -> None:
    """The same channels in their units; an aspect of 0 and one of 360 degrees are the same."""
    np.testing.assert_array_equal(np.isnan(found), np.isnan(derived))
    for place, name in enumerate(CHANNELS):
        gap = found[place] - derived[place]
        if name == "aspect":
            np.testing.assert_array_equal(found[place] < -0.5, derived[place] < -0.5)
            gap = (gap + 180) % 360 - 180
        assert np.nanmax(np.abs(gap)) < (0.05 if name in ("aspect", "elevation") else 1e-3), name


class TestTurnedWindows:
    @pytest.mark.parametrize("symmetry", range(8))
    def test_aspect_is_that_of_a_turned_elevation_model(self, dem, symmetry):
        found = cube_of(dem).read(0, WHOLE, WHOLE, symmetry)
        units = found * np.array(SD)[:, None, None] + np.array(MEAN)[:, None, None]
        assert (channels_of(dem)[2] == -1).any()
        assert_same_ground(units, channels_of(np.ascontiguousarray(apply_symmetry(dem, symmetry))))

    @pytest.mark.parametrize("symmetry", [0, 3, 6])
    def test_so_it_is_at_every_date_of_a_series(self, dem, symmetry):
        turned = np.ascontiguousarray(apply_symmetry(dem, symmetry))
        found = cube_of(dem, NormalisedSeries, 3).read(2, WHOLE, WHOLE, symmetry).reshape(3, 5, SIDE, SIDE)
        for of_date in found:
            units = of_date[:4] * np.array(SD)[:, None, None] + np.array(MEAN)[:, None, None]
            assert_same_ground(units, channels_of(turned))
            assert (of_date[4] == 1).all()

    def test_what_is_missing_stays_the_mean_and_labels_turn_along(self, dem):
        samples = samples_of(cube_of(dem))
        image, target, mask = samples.read("train", 0, 5)
        holes = apply_symmetry(np.isnan(channels_of(dem)), 5)
        assert holes[1].any() and (image[holes] == 0).all()
        np.testing.assert_array_equal(target, apply_symmetry(samples.label, 5))
        assert mask.all()

    def test_batches_turn_training_windows_and_no_others(self, dem):
        samples = samples_of(cube_of(dem))
        read = {k: np.nan_to_num(samples.cube.read(0, WHOLE, WHOLE, k)) for k in range(8)}
        found = set()
        batches = Batches(samples, 1, seed=0, steps=40, augment=True)
        for image, _, _ in batches.training(0):
            found |= {k for k, wanted in read.items() if np.array_equal(image[0].numpy(), wanted)}
        assert found == set(range(8))
        for image, _, _ in batches.validation():
            np.testing.assert_array_equal(image[0].numpy(), read[0])

    def test_half_an_azimuth_cannot_be_turned(self, dem):
        values = channels_of(dem)[None]
        cube = NormalisedCube(values, [0, 1], MEAN[:2], SD[:2], None, directions_of(CHANNELS[:2]))
        assert cube.read(0, WHOLE, WHOLE).shape == (2, SIDE, SIDE)
        with pytest.raises(HeadscarpError, match=r"aspect_sin and aspect_cos only one.*augment: false"):
            cube.read(0, WHOLE, WHOLE, 1)
