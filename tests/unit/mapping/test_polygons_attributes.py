"""What a mapper asks of each mapped landslide."""

import geopandas
import numpy as np
import pytest
from affine import Affine
from geopandas.testing import assert_geodataframe_equal

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.geo.layer import Layer, read_layer, write_layer
from headscarp.mapping import polygons
from headscarp.mapping.polygons import (
    landslide_batches,
    landslide_polygons,
    longer_sides,
    write_batches,
    write_polygons,
)
from tests.mapped_area import GRID, THRESHOLD, probability_map, write_layers

COLUMNS = [
    "id",
    "area_m2",
    "length_m",
    "perimeter_m",
    "mean_probability",
    "max_probability",
    "mean_slope_deg",
    "mean_elevation_m",
    "relief_m",
    "date",
    "geometry",
]


@pytest.fixture
def as_map(tmp_path):
    """What writes values as a map, and tells the file."""

    def write(values, grid=GRID):
        path = tmp_path / "probability.tif"
        write_layer(path, Layer("landslide probability", values, grid, "1", "test"))
        return path

    return write


@pytest.fixture(scope="module")
def layers(tmp_path_factory):
    return write_layers(tmp_path_factory.mktemp("layers"))


class TestAttributes:
    def test_values_by_hand(self, as_map, layers):
        found = landslide_polygons(as_map(probability_map()), THRESHOLD, layers)
        assert list(found.columns) == COLUMNS and found.crs == "EPSG:32654"
        assert found.id.tolist() == [1, 2, 3]
        assert found.area_m2.tolist() == [8000, 5000, 100]
        assert found.length_m.tolist() == [200, 100, 10]
        assert found.perimeter_m.tolist() == [480, 300, 40]
        np.testing.assert_allclose(found.mean_probability, [0.6, (49 * 0.8 + 0.95) / 50, 0.5], rtol=1e-6)
        np.testing.assert_allclose(found.max_probability, [0.6, 0.95, 0.5], rtol=1e-6)
        # Half of the first lies in the west; one of its rows has no slope.
        np.testing.assert_allclose(found.mean_slope_deg, [20, 10, 30])
        np.testing.assert_allclose(found.mean_elevation_m, [141.5, 114.5, 105])
        np.testing.assert_allclose(found.relief_m, [3, 9, 0])
        assert found.date.tolist() == ["2018-09-06"] * 3

    def test_file_holds_them(self, as_map, layers, tmp_path):
        found = landslide_polygons(as_map(probability_map()), THRESHOLD, layers)
        write_polygons(tmp_path / "landslides.gpkg", found)
        again = geopandas.read_file(tmp_path / "landslides.gpkg", layer="landslides")
        assert list(again.columns) == COLUMNS
        for name in COLUMNS[:-1]:
            assert again[name].tolist() == found[name].tolist(), name

    @pytest.mark.parametrize("at_once", [1, 2, 3])
    def test_frames_one_after_the_other_are_the_whole(self, as_map, layers, tmp_path, monkeypatch, at_once):
        whole = landslide_polygons(as_map(probability_map()), THRESHOLD, layers)
        monkeypatch.setattr(polygons, "AT_ONCE", at_once)
        sizes = [len(one) for one in landslide_batches(as_map(probability_map()), THRESHOLD, layers)]
        assert sizes == {1: [1, 1, 1], 2: [2, 1], 3: [3]}[at_once]
        batches = landslide_batches(as_map(probability_map()), THRESHOLD, layers)
        write_batches(tmp_path / "landslides.gpkg", batches)
        again = geopandas.read_file(tmp_path / "landslides.gpkg", layer="landslides")
        assert_geodataframe_equal(again, whole, check_dtype=False, normalize=True)

    def test_length_of_a_slide_askew(self, as_map):
        values = np.zeros(GRID.shape, np.float32)
        for step in range(20):
            values[5 + step, 2 * step : 2 * step + 3] = 1
        (found,) = landslide_polygons(as_map(values), 0.5).itertuples()
        corners = np.array(found.geometry.exterior.coords)
        best = (np.inf, 0.0)
        for angle in np.radians(np.arange(0, 90, 0.02)):
            turned = corners @ [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
            sides = np.ptp(turned, axis=0)
            best = min(best, (sides.prod(), sides.max()))
        assert found.length_m == pytest.approx(best[1], rel=1e-3)
        assert found.length_m > 400

    def test_last_date_counts(self, as_map, tmp_path):
        folder = write_layers(tmp_path, names=(), dates=("2018-05-01", "2018-09-06", "2019-06-30"))
        assert set(landslide_polygons(as_map(probability_map()), THRESHOLD, folder).date) == {"2019-06-30"}


class TestWithoutLayers:
    def test_no_folder(self, as_map, tmp_path):
        found = landslide_polygons(as_map(probability_map()), THRESHOLD)
        assert list(found.columns) == COLUMNS and len(found) == 3
        write_polygons(tmp_path / "landslides.gpkg", found)
        again = geopandas.read_file(tmp_path / "landslides.gpkg")
        assert again[["mean_slope_deg", "mean_elevation_m", "relief_m", "date"]].isna().all(axis=None)

    def test_one_layer_is_missing(self, as_map, tmp_path):
        found = landslide_polygons(
            as_map(probability_map()), THRESHOLD, write_layers(tmp_path, names=["slope"])
        )
        assert found.mean_slope_deg.notna().all() and found[["mean_elevation_m", "relief_m"]].isna().all(
            axis=None
        )

    def test_slope_in_per_cent_is_not_taken_for_degrees(self, as_map, tmp_path):
        folder = write_layers(tmp_path)
        layer = read_layer(folder / "slope.tif")
        write_layer(folder / "slope.tif", Layer("slope", layer.values, GRID, "percent", "test"))
        found = landslide_polygons(as_map(probability_map()), THRESHOLD, folder)
        assert found.mean_slope_deg.isna().all() and found.relief_m.notna().all()

    def test_slide_without_elevation(self, as_map, tmp_path):
        folder = write_layers(tmp_path)
        values = read_layer(folder / "elevation.tif").values
        values[5, 70] = np.nan
        write_layer(folder / "elevation.tif", Layer("elevation", values, GRID, "m", "test"))
        found = landslide_polygons(as_map(probability_map()), THRESHOLD, folder)
        assert (
            found.relief_m.isna().tolist() == [False, False, True] == found.mean_elevation_m.isna().tolist()
        )

    def test_other_grid_is_refused(self, as_map, tmp_path):
        folder = write_layers(tmp_path)
        moved = Grid(GRID.crs, GRID.transform @ Affine.translation(1, 0), *GRID.shape)
        with pytest.raises(HeadscarpError, match=r"slope\.tif is not on the grid"):
            landslide_polygons(as_map(probability_map(), moved), THRESHOLD, folder)


class TestNone:
    @pytest.mark.parametrize("value", [0.1, np.nan])
    def test_a_map_without_landslides(self, as_map, layers, tmp_path, value):
        found = landslide_polygons(as_map(np.full(GRID.shape, value, np.float32)), THRESHOLD, layers)
        assert len(found) == 0 and list(found.columns) == COLUMNS
        write_polygons(tmp_path / "none.gpkg", found)
        assert len(geopandas.read_file(tmp_path / "none.gpkg")) == 0

    def test_no_polygons_have_no_sides(self):
        assert longer_sides(np.array([], object)).shape == (0,)
