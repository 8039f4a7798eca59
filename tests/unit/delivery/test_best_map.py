"""The map of a site: mean and spread of calibrated maps, against NumPy."""

import numpy as np
import pytest
import rasterio
from affine import Affine

from headscarp.delivery.best_map import write_best_map
from headscarp.geo.grid import Grid
from headscarp.mapping.map_files import write_map_rasters
from headscarp.scoring.calibration import Calibration

GRID = Grid("EPSG:32654", Affine(10, 0, 500000, 0, -10, 4700000), 70, 50)


def maps(folder, count):
    random, paths, values = np.random.default_rng(0), [], []
    for number in range(count):
        probability = random.random((1, GRID.height, GRID.width)).astype(np.float32)
        probability[0, :5, number] = np.nan
        (folder / str(number)).mkdir()
        write_map_rasters(folder / str(number), [(0, probability)], GRID, "test")
        paths.append(folder / str(number) / "probability.tif")
        values.append(probability[0])
    return paths, np.array(values)


@pytest.mark.parametrize("count", [1, 3])
def test_mean_and_spread(tmp_path, count):
    paths, values = maps(tmp_path, count)
    calibrations = [Calibration("platt", 0.5 + number, -0.2) for number in range(count)]
    choice = {
        "label": "U-Net",
        "seeds": list(range(count)),
        "calibrations": [one.record for one in calibrations],
    }
    write_best_map(tmp_path, choice, paths)
    calibrated = np.array([one.apply(each) for one, each in zip(calibrations, values, strict=True)], float)
    with (
        rasterio.open(tmp_path / "probability.tif") as mean,
        rasterio.open(tmp_path / "uncertainty.tif") as spread,
    ):
        np.testing.assert_allclose(mean.read(1), calibrated.mean(axis=0), rtol=1e-6)
        if count > 1:
            np.testing.assert_allclose(spread.read(1), calibrated.std(axis=0, ddof=1), rtol=1e-5)
        else:
            assert np.isnan(spread.read(1)).all()
        assert (spread.crs, spread.transform, spread.shape) == (mean.crs, mean.transform, mean.shape)
        assert np.isnan(spread.nodata) and "standard deviation" in spread.descriptions[0]
        assert "U-Net" in mean.tags()["SOURCE"]
