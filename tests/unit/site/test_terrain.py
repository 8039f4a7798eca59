"""Terrain derivatives against surfaces whose derivatives are known, and against shipped slopes of real
models."""

import numpy as np
import pytest
import rasterio
from scipy import ndimage

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid, grid_for, utm_crs
from headscarp.geo.layer import FLAT, read_layer
from headscarp.site import terrain
from tests.site_files import make_grid, write_raster

CELL = 30.0
GRID = make_grid(41, 41, CELL)
INNER = np.s_[1:-1, 1:-1]


def coordinates(grid=GRID):
    """Metres to the east and to the north of the grid's centre, (row, col)."""
    row, col = np.mgrid[: grid.height, : grid.width]
    return (col - grid.width // 2) * CELL, (grid.height // 2 - row) * CELL


def plane(degrees, facing):
    """Elevation of a plane that falls by an angle towards an azimuth."""
    east, north = coordinates()
    gradient, azimuth = np.tan(np.radians(degrees)), np.radians(facing)
    return 1000 - gradient * (east * np.sin(azimuth) + north * np.cos(azimuth))


@pytest.mark.parametrize("facing", [0, 45, 90, 135, 180, 225, 270, 315, 200])
def test_slope_and_aspect_of_a_plane_are_exact_up_to_the_border(facing):
    dem = plane(25, facing)
    np.testing.assert_allclose(terrain.slope(dem, GRID), 25, atol=1e-3)
    difference = (terrain.aspect(dem, GRID) - facing + 180) % 360 - 180
    np.testing.assert_allclose(difference, 0, atol=1e-2)


def test_a_flat_has_no_aspect_and_least_wetness_gradient():
    dem = np.full(GRID.shape, 7.0)
    assert (terrain.aspect(dem, GRID) == FLAT).all()
    area = terrain.flow_accumulation(dem, GRID)
    np.testing.assert_allclose(terrain.twi(dem, GRID), np.log(area / CELL / 1e-3), rtol=1e-5)


def test_curvatures_of_a_paraboloid():
    """z = (x2 + y2) / 2R has the second derivative 1 / R everywhere: ArcGIS's curvature is -200 / R, plan and
    profile half of it each."""
    east, north = coordinates()
    for sign in (1, -1):
        dem = 500 + sign * 0.0005 * (east**2 + north**2)
        np.testing.assert_allclose(terrain.curvature(dem, GRID)[INNER], -sign * 0.2, atol=1e-6)
        away = np.hypot(east, north)[INNER] > 2 * CELL
        np.testing.assert_allclose(terrain.plan_curvature(dem, GRID)[INNER][away], -sign * 0.1, atol=1e-6)
        np.testing.assert_allclose(terrain.profile_curvature(dem, GRID)[INNER][away], sign * 0.1, atol=1e-6)


def test_flow_down_a_plane_collects_column_by_column():
    area = terrain.flow_accumulation(plane(10, 180), GRID)
    np.testing.assert_allclose(area, np.arange(1, 42)[:, None] * np.ones(41) * CELL**2, rtol=1e-5)
    assert area[-1].sum() == pytest.approx(GRID.height * GRID.width * CELL**2, rel=1e-5)
    expected = np.log(area / CELL / np.tan(np.radians(10)))
    np.testing.assert_allclose(terrain.twi(plane(10, 180), GRID), expected, rtol=1e-4)


def test_flow_of_a_valley_leaves_through_its_mouth_and_a_pit_is_filled():
    east, north = coordinates()
    dem = 500 + 0.3 * np.abs(east) + 0.05 * north
    dem[20, 20] -= 40
    area = terrain.flow_accumulation(dem, GRID)
    assert area.argmax() == np.ravel_multi_index((40, 20), GRID.shape)
    assert area.max() > 0.75 * GRID.height * GRID.width * CELL**2


def test_relief_is_the_range_of_the_nine_cells_around():
    dem = np.random.default_rng(4).uniform(100, 200, GRID.shape)
    np.testing.assert_allclose(
        terrain.relief(dem, GRID), ndimage.generic_filter(dem, np.ptp, 3, mode="nearest"), rtol=1e-5
    )
    dem[12, 7] = np.nan
    relief = terrain.relief(dem, GRID)
    assert np.isnan(relief[11:14, 6:9]).all() and np.isnan(relief).sum() == 9


def test_relief_and_roughness_of_a_plane():
    """Three cells of 30 m at 25 degrees fall by 60 m x tan 25 to the east; the surface is 1 / cos 25 times
    its plan."""
    np.testing.assert_allclose(
        terrain.relief(plane(25, 90), GRID)[INNER], 2 * CELL * np.tan(np.radians(25)), rtol=1e-5
    )
    np.testing.assert_allclose(terrain.roughness(plane(25, 200), GRID), 1 / np.cos(np.radians(25)), rtol=1e-5)
    assert (terrain.roughness(np.full(GRID.shape, 7.0), GRID) == 1).all()
    # The greatest slope of zhang2024's Table 2, 71.275 degrees, gives nearly its greatest roughness, 3.321.
    np.testing.assert_allclose(terrain.roughness(plane(71.275, 0), GRID), 3.115, atol=1e-3)


def test_no_data_stays_no_data_and_never_enters_a_number():
    dem = plane(25, 90)
    dem[10:15, 10:15] = np.nan
    for name, (derive, _, _) in terrain.DERIVATIVES.items():
        values = derive(dem, GRID)
        assert np.isnan(values[10:15, 10:15]).all(), name
        assert not np.isnan(values[:8]).any(), name
    slope = terrain.slope(dem, GRID)
    np.testing.assert_allclose(slope[~np.isnan(slope)], 25, atol=1e-3)
    assert np.isnan(slope).sum() == 7 * 7


def test_richdem_keeps_quiet(capfd):
    terrain.twi(plane(5, 10), GRID)
    assert capfd.readouterr() == ("", "")


def test_slope_of_jiuzhaigou_agrees_with_the_shipped_one(real_data):
    folder = real_data("data/jiuzhaigou_dem")
    with rasterio.open(folder / "DEM_030.tif") as source:
        grid = Grid(source.crs.to_string(), source.transform, source.height, source.width)
        dem = source.read(1).astype(float)
    dem[dem <= 0] = np.nan  # outside the study area
    with rasterio.open(folder / "DEM_030_SLOPE.tif") as source:
        shipped = source.read(1, masked=True).filled(np.nan)
    difference = np.abs(terrain.slope(dem, grid) - shipped)
    assert np.isfinite(difference).sum() > 200_000
    assert np.nanmedian(difference) < 0.01
    assert np.nanpercentile(difference, 99) < 0.01


def test_slope_of_ecuador_agrees_with_saga(real_data):
    """SAGA fits a parabola (Zevenbergen and Thorne), RichDEM Horn's weighted differences: close, not
    equal."""
    with rasterio.open(real_data("data/lsm_ecuador/ta.tif")) as source:
        shipped, elevation = source.read(1), source.read(4)
        grid = Grid(source.crs.to_string(), source.transform, source.height, source.width)
    slope = terrain.slope(elevation, grid)
    both = np.isfinite(slope) & np.isfinite(shipped)
    assert np.median(np.abs(slope - shipped)[both]) < 1
    assert np.corrcoef(slope[both], shipped[both])[0, 1] > 0.98


def test_a_geographic_model_is_reprojected_before_it_is_sloped(real_data):
    dem = terrain.metric_dem(real_data("data/terrain_dems/zion_srtm_geographic.tif"))
    assert dem.grid.crs == "EPSG:32612"
    assert dem.grid.resolution == pytest.approx(92.5, abs=1)  # 3 arc seconds from north to south
    slope = terrain.slope(dem.values, dem.grid)
    assert 8 < np.nanmedian(slope) < 15 and np.nanmax(slope) < 75
    assert np.nanmin(dem.values) >= 1024 and np.nanmax(dem.values) <= 2892


def test_a_plane_in_degrees_keeps_its_slope(tmp_path):
    """A plane that falls 0.2 m per metre to the north, stored in degrees at 60 N where cells are half as wide
    as they are long."""
    step, metres = 1 / 3600, 111_412.0
    with rasterio.Env():
        grid = Grid("EPSG:4326", rasterio.transform.from_origin(9.0, 60.0, step, step), 120, 120)
    north = -np.arange(120)[:, None] * step * metres * np.ones(120)
    path = write_raster(tmp_path / "dem.tif", (5000 - 0.2 * north).astype(np.float32), grid, "EPSG:4326")
    dem = terrain.metric_dem(path)
    assert dem.grid.crs == "EPSG:32632" and dem.grid.resolution == pytest.approx(31, abs=0.5)
    slope = terrain.slope(dem.values, dem.grid)
    assert np.nanmedian(slope) == pytest.approx(np.degrees(np.arctan(0.2)), abs=0.1)
    assert terrain.metric_dem(path, resolution=60).grid.resolution == 60


def test_a_projected_model_stays_as_it_is(tmp_path):
    values = np.random.default_rng(0).uniform(80, 1220, (30, 20)).astype(np.float32)
    values[3, 4] = -32768
    path = write_raster(tmp_path / "dem.tif", values, make_grid(30, 20, 30.0), nodata=-32768)
    dem = terrain.metric_dem(path)
    assert dem.grid == make_grid(30, 20, 30.0)
    np.testing.assert_array_equal(dem.values, np.where(values < 0, np.nan, values))


def test_a_map_in_feet_comes_to_metres_and_its_heights_are_doubted(tmp_path):
    grid = Grid("EPSG:2230", rasterio.transform.from_origin(6.3e6, 2.1e6, 30, 30), 40, 40)
    path = write_raster(tmp_path / "dem.tif", np.full((40, 40), 9, np.float32), grid, "EPSG:2230")
    dem = terrain.metric_dem(path)
    assert dem.grid.crs == "EPSG:32611" and dem.grid.resolution == pytest.approx(9.1, abs=0.1)
    (doubt,) = dem.doubts
    assert "is in US survey foot, and nothing says in what its elevations are; metres are assumed" in doubt


def test_derived_layers_carry_their_units_and_source(tmp_path):
    path = write_raster(tmp_path / "dem.tif", plane(20, 130).astype(np.float32), GRID)
    terrain.derive_terrain(path, tmp_path / "terrain")
    units = {
        name: read_layer(tmp_path / "terrain" / f"{name}.tif").units
        for name in ("elevation", *terrain.DERIVATIVES)
    }
    assert units == {
        "elevation": "m",
        "slope": "degree",
        "aspect": "degree",
        "curvature": "1/100 m",
        "plan_curvature": "1/100 m",
        "profile_curvature": "1/100 m",
        "flow_accumulation": "m2",
        "twi": "ln(m)",
        "relief": "m",
        "roughness": "1",
    }
    assert len(list((tmp_path / "terrain").iterdir())) == 10
    slope = read_layer(tmp_path / "terrain" / "slope.tif")
    assert "Horn 1981" in slope.source and "dem.tif" in slope.source


def test_a_failed_derivation_leaves_nothing(tmp_path):
    path = write_raster(tmp_path / "dem.tif", np.full((20, 20), -1, np.int16), nodata=-1)
    with pytest.raises(HeadscarpError, match=r"dem\.tif, band 1, holds no data"):
        terrain.derive_terrain(path, tmp_path / "terrain")
    assert [entry.name for entry in tmp_path.iterdir()] == ["dem.tif"]


def test_grid_over_a_footprint_is_snapped_and_covers_it():
    source = Grid("EPSG:4326", rasterio.transform.from_origin(141.89, 42.77, 1e-4, 1e-4), 900, 1500)
    grid = grid_for(source, "EPSG:32654", 10)
    west, south, east, north = grid.bounds
    assert all(edge % 10 == 0 for edge in grid.bounds)
    corners = rasterio.warp.transform(
        "EPSG:4326", "EPSG:32654", [141.89, 142.04, 141.89, 142.04], [42.77, 42.77, 42.68, 42.68]
    )
    assert west <= min(corners[0]) < west + 10 and east - 10 < max(corners[0]) <= east
    assert south <= min(corners[1]) and max(corners[1]) <= north
    for crs, message in (
        ("EPSG:4326", "not in metres"),
        ("EPSG:999999", "unknown"),
        ("EPSG:2230", "not in metres"),
    ):
        with pytest.raises(HeadscarpError, match=message):
            grid_for(source, crs, 10)


@pytest.mark.parametrize(
    ("place", "code"),
    [((141.9, 42.7), "EPSG:32654"), ((-79.1, -4.0), "EPSG:32717"), ((179.9, 1), "EPSG:32660")],
)
def test_utm_zone(place, code):
    assert utm_crs(*place) == code
