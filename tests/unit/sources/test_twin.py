"""The simulated sites: are they landscapes, do they match their site tables, and can the slides be learnt for
the right reasons?"""

import filecmp
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import richdem
from rasterio.features import rasterize
from scipy import ndimage, stats
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import precision_recall_curve

from headscarp.codes import SLIDE_NUMBER
from headscarp.errors import HeadscarpError
from headscarp.site.terrain import curvature
from headscarp.sources.twin.fields import resample_to
from headscarp.sources.twin.files import memory_mb, raw_files
from headscarp.sources.twin.geography import distance_to
from headscarp.sources.twin.reflectance import BANDS
from headscarp.sources.twin.scene import SimulatedSite, simulate_site
from headscarp.sources.twin.spec import TwinSpec
from headscarp.sources.twin.terrain import cells_of_lines
from headscarp.sources.twin.write import write_twin

pytestmark = pytest.mark.slow

ZIGUI = {
    "rows": 616,
    "cols": 976,
    "resolution_m": 15,
    "crs": "EPSG:32649",
    "longitude": 110.64,
    "latitude": 31.00,
    "date": "2013-09-15",
    "elevation_m": [80, 1220],
    "landslides": 74,
    "landslide_area_km2": 6.82,
    "study_area_km2": 116.29,
    "trigger": "rain",
    "reservoir": True,
    "river": [[0.0, 0.35], [0.3, 0.6], [0.55, 0.45], [0.8, 0.62], [1.0, 0.5]],
    "river_distance_m": 3063,
    "fault": [[0.44, -0.1], [0.6, 0.4], [0.66, 1.1]],
    "revegetation": 0.68,
    "vegetation_vigour": 0.85,
    "look_alike_share": 0.12,
    "snow_line_m": None,
    "sun_azimuth_deg": 139,
    "sun_elevation_deg": 55,
    "haze": 1.7,
    "noise": 0.003,
}
JIUZHAIGOU = {
    "rows": 733,
    "cols": 585,
    "resolution_m": 15,
    "crs": "EPSG:32648",
    "longitude": 103.82,
    "latitude": 33.20,
    "date": "2018-04-09",
    "elevation_m": [2268, 4121],
    "landslides": 124,
    "landslide_area_km2": 6.08,
    "study_area_km2": 44.26,
    "trigger": "earthquake",
    "reservoir": False,
    "river": [[0.55, 1.0], [0.35, 0.7], [0.45, 0.4], [0.3, 0.0]],
    "river_distance_m": 3032,
    "fault": [[0.25, -0.03], [0.6, 0.12], [1.05, 0.4]],
    "revegetation": 0.2,
    "vegetation_vigour": 0.05,
    "look_alike_share": 0.25,
    "snow_line_m": 3950,
    "sun_azimuth_deg": 139,
    "sun_elevation_deg": 58,
    "haze": 0.2,
    "noise": 0.001,
}
SEED = 1


@pytest.fixture(scope="module", params=[ZIGUI, JIUZHAIGOU], ids=["zigui", "jiuzhaigou"])
def scene(request) -> SimulatedSite:
    """Both sites at their full size: the site table and the statistics are promised for that."""
    return simulate_site(TwinSpec.from_record(request.param), SEED)


@pytest.fixture(scope="module")
def small_spec() -> TwinSpec:
    return TwinSpec.from_record(ZIGUI).scaled(0.25)


def slope_of(elevation: np.ndarray, spacing: float) -> np.ndarray:
    return np.degrees(np.arctan(np.hypot(*np.gradient(elevation.astype(float), spacing))))


def on_image(scene: SimulatedSite, dem_values: np.ndarray) -> np.ndarray:
    return np.repeat(np.repeat(dem_values, 2, 0), 2, 1)[: scene.spec.rows, : scene.spec.cols]


def steepest_neighbour(dem: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flat index of, and gradient (m per cell) to, the steepest of eight neighbours; the cell itself and 0
    where none is lower."""
    rows, cols = np.indices(dem.shape)
    target, gradient = rows * dem.shape[1] + cols, np.zeros(dem.shape)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            if down == right == 0:
                continue
            at = np.clip(rows + down, 0, dem.shape[0] - 1), np.clip(cols + right, 0, dem.shape[1] - 1)
            fall = (dem - dem[at]) / np.hypot(down, right)
            better = fall > gradient
            gradient[better] = fall[better]
            target[better] = (at[0] * dem.shape[1] + at[1])[better]
    return target.ravel(), gradient


def test_every_drainage_path_reaches_the_border(scene):
    dem = scene.dem.astype(float)
    ends, _ = steepest_neighbour(dem)
    for _ in range(14):
        ends = ends[ends]
    rows, cols = np.unravel_index(ends, dem.shape)
    on_border = (rows == 0) | (cols == 0) | (rows == dem.shape[0] - 1) | (cols == dem.shape[1] - 1)
    assert on_border.all()


def test_slope_falls_with_catchment_as_a_power_law(scene):
    spacing = scene.spec.dem_grid.resolution
    dem = scene.dem.astype(float)
    area = np.array(richdem.FlowAccumulation(richdem.rdarray(dem, no_data=-9999), method="D8")) * spacing**2
    gradient = steepest_neighbour(dem)[1] / spacing
    channel = (area > 1e5) & (gradient > 1e-3)
    edges = np.geomspace(1e5, np.quantile(area[channel], 0.99), 9)
    group = np.digitize(area[channel], edges)
    mean_area = [area[channel][group == k].mean() for k in range(1, 9)]
    mean_slope = [gradient[channel][group == k].mean() for k in range(1, 9)]
    fit = stats.linregress(np.log(mean_area), np.log(mean_slope))
    assert -0.65 < fit.slope < -0.25
    assert fit.rvalue**2 > 0.85


def test_matches_its_site_table(scene):
    spec, pixel_km2 = scene.spec, scene.spec.resolution_m**2 / 1e6
    assert scene.bands.shape == (7, spec.rows, spec.cols)
    numbers = np.unique(scene.instances[scene.instances > 0])
    np.testing.assert_array_equal(numbers, np.arange(1, spec.landslides + 1))
    assert (scene.instances > 0).sum() * pixel_km2 == pytest.approx(spec.landslide_area_km2, rel=0.05)
    assert scene.mapped.sum() * pixel_km2 == pytest.approx(spec.study_area_km2, rel=0.01)
    assert (scene.dem.min(), scene.dem.max()) == pytest.approx(spec.elevation_m, abs=10)
    # After an earthquake the two sides of a valley are mapped, not its floor.
    assert ndimage.label(scene.mapped)[1] == (1 if spec.trigger == "rain" else 2)


def test_earthquake_site_has_the_ranges_of_table_2():
    """Table II of gao2021, Jiuzhaigou: 160 to 3032 m to rivers, 0 to 6860 m to faults, curvature -6.33 to
    5.67, NDVI -0.08 to 0.29."""
    spec = TwinSpec.from_record(JIUZHAIGOU)
    scene = simulate_site(spec, SEED)
    rivers, faults = (
        distance_to(cells_of_lines(lines, (spec.rows, spec.cols)), spec.resolution_m)[scene.mapped]
        for lines in (on_pixels(scene.rivers, spec), on_pixels(scene.faults, spec))
    )
    assert rivers.min() == pytest.approx(160, abs=30) and rivers.max() == pytest.approx(3032, abs=60)
    assert faults.min() < 30 and faults.max() == pytest.approx(6860, abs=150)
    convex = resample_to(curvature(scene.dem, spec.dem_grid), scene.mapped.shape, 2)[scene.mapped]
    assert convex.min() == pytest.approx(-6.33, abs=0.5) and convex.max() == pytest.approx(5.67, abs=0.5)
    nir, red = (scene.bands[BANDS.index(name)] for name in ("nir", "red"))
    ndvi = ((nir - red) / (nir + red))[scene.mapped]
    # A few pixels in deep shade are bluer than the paper's.
    assert np.quantile(ndvi, 0.001) == pytest.approx(-0.08, abs=0.03)
    assert ndvi.max() == pytest.approx(0.29, abs=0.02)


def on_pixels(lines: list, spec: TwinSpec) -> list[np.ndarray]:
    """Map geometries as rows and columns of the image."""
    found = []
    for line in lines:
        x, y = np.array(line.coords).T
        col, row = ~spec.grid.transform @ (x, y)
        found.append(np.column_stack([row, col]))
    return found


def test_slides_lie_in_the_study_area_whole_and_apart(scene):
    assert scene.mapped[scene.instances > 0].all()
    assert not (scene.cover[scene.instances > 0] == 11).any()
    assert ndimage.label(scene.instances > 0, np.ones((3, 3)))[1] == scene.spec.landslides


def test_slide_areas_follow_an_inverse_gamma(scene):
    areas = np.bincount(scene.instances.ravel())[1:] * scene.spec.resolution_m**2
    # Malamud et al. (2004): shape 1.4; SciPy fits the scale.
    fitted = stats.invgamma(*stats.invgamma.fit(areas, f0=1.4, floc=0))
    assert stats.kstest(areas, fitted.cdf).pvalue > 0.1
    assert stats.kstest(areas, stats.norm(areas.mean(), areas.std()).cdf).pvalue < 0.05


def test_slides_are_steeper_and_less_stable_than_the_scene(scene):
    slope = on_image(scene, slope_of(scene.dem, scene.spec.dem_grid.resolution))
    slide = scene.instances > 0
    rest = scene.mapped & ~slide
    assert slope[slide].mean() > slope[rest].mean() + 2
    assert np.median(scene.safety[slide]) < np.quantile(scene.safety[rest], 0.3)


def test_look_alikes_share_spectra_but_not_slopes(scene):
    look_alike = np.isin(scene.cover, (5, 6, 7, 8)) & scene.mapped & (scene.instances == 0)
    slide = scene.instances > 0
    slope = on_image(scene, slope_of(scene.dem, scene.spec.dem_grid.resolution))
    assert slope[slide].mean() > slope[look_alike].mean() + 4
    rest = scene.mapped & ~slide & ~look_alike
    red, nir = np.transpose([scene.bands[3:5, where].mean(axis=1) for where in (slide, look_alike, rest)])
    ndvi = (nir - red) / (nir + red)
    assert abs(ndvi[0] - ndvi[1]) < 0.5 * (ndvi[2] - max(ndvi[:2]))


def factors_of(scene: SimulatedSite) -> np.ndarray:
    """Influencing factors of gao2021 (10, row, col), computed here from the raw layers."""
    spec, shape = scene.spec, scene.mapped.shape
    fine = ndimage.zoom(scene.dem.astype(float), 2, order=1, grid_mode=True, mode="nearest")[
        : shape[0], : shape[1]
    ]
    southward, eastward = np.gradient(fine, spec.resolution_m)
    aspect = np.arctan2(-eastward, southward)
    distances = [
        ndimage.distance_transform_edt(
            rasterize(lines, shape, transform=spec.grid.transform, all_touched=True) == 0
        )
        for lines in (scene.rivers, scene.faults)
    ]
    green, red, nir, swir1 = scene.bands[2:6]
    return np.stack(
        [
            fine,
            slope_of(fine, spec.resolution_m),
            np.sin(aspect),
            np.cos(aspect),
            ndimage.laplace(fine),
            (nir - red) / (nir + red),
            (green - swir1) / (green + swir1),
            *distances,
            scene.lithology,
        ]
    )


def best_f1(truth: np.ndarray, probability: np.ndarray) -> float:
    precision, recall, _ = precision_recall_curve(truth, probability)
    return float(np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12)))


def test_a_forest_needs_the_factors(scene):
    rng = np.random.default_rng(0)
    features = np.concatenate([scene.bands, factors_of(scene)]).reshape(17, -1).T
    truth = scene.instances.ravel() > 0
    rows = np.indices(scene.mapped.shape)[0]
    # Trained on the northern half of the study area, tested on the southern: places cannot be learnt by
    # heart.
    half = (rows < np.median(rows[scene.mapped])) & scene.mapped
    train = rng.choice(np.flatnonzero(half), 10000, replace=False)
    test = rng.choice(np.flatnonzero(scene.mapped & ~half), 20000, replace=False)
    scores = []
    for columns in (slice(0, 7), slice(0, 17)):
        forest = RandomForestClassifier(50, min_samples_leaf=5, random_state=0).fit(
            features[train, columns], truth[train]
        )
        scores.append(best_f1(truth[test], forest.predict_proba(features[test, columns])[:, 1]))
    bands_only, with_factors = scores
    assert bands_only <= with_factors - 0.10
    assert 0.35 < with_factors < 0.80


def test_reflectance_is_physical(scene):
    assert np.isfinite(scene.bands).all()
    assert scene.bands.min() > 0
    assert scene.bands.max() <= 1
    _, _, _, red, nir, _, _ = scene.bands
    ndvi = (nir - red) / (nir + red)
    low, high = np.percentile(ndvi[scene.mapped], [0.1, 99])
    # Table II of gao2021: -0.60 to 0.68 in September at Zigui, -0.08 to 0.29 in April at Jiuzhaigou.
    assert high == pytest.approx(0.68 if scene.spec.reservoir else 0.29, abs=0.1)
    assert low == pytest.approx(-0.60 if scene.spec.reservoir else -0.08, abs=0.15)


def test_equal_seeds_give_equal_bytes_and_others_do_not(small_spec, tmp_path):
    first = write_twin(tmp_path / "a", small_spec, 5)
    write_twin(tmp_path / "b", small_spec, 5)
    other = simulate_site(small_spec, 6)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == sorted(
        [
            "bands.tif",
            "dem.tif",
            "lithology.tif",
            "faults.gpkg",
            "rivers.gpkg",
            "landslides.gpkg",
            "study_area.gpkg",
            "manifest.json",
        ]
    )
    assert names == sorted(raw_files(ZIGUI))
    assert filecmp.cmpfiles(tmp_path / "a", tmp_path / "b", names, shallow=False)[0] == names
    assert not np.array_equal(first.dem, other.dem)
    assert not np.array_equal(first.instances, other.instances)


def test_files_agree_with_the_scene(small_spec, tmp_path):
    scene = write_twin(tmp_path, small_spec, 5)
    with rasterio.open(tmp_path / "bands.tif") as bands:
        assert bands.descriptions == BANDS
        assert bands.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert "simulated" in bands.tags()["SOURCE"]
        np.testing.assert_array_equal(bands.read(), scene.bands)
        transform = bands.transform
    with rasterio.open(tmp_path / "dem.tif") as dem:
        assert dem.res == (30, 30)
        assert (dem.transform.c, dem.transform.f) == (transform.c, transform.f)
    slides = gpd.read_file(tmp_path / "landslides.gpkg")
    drawn = rasterize(
        zip(slides.geometry, slides[SLIDE_NUMBER], strict=True), scene.instances.shape, transform=transform
    )
    np.testing.assert_array_equal(drawn, scene.instances)
    np.testing.assert_allclose(slides["area_m2"], slides.geometry.area)
    study_area = gpd.read_file(tmp_path / "study_area.gpkg")
    assert len(study_area) == 1
    assert slides.within(study_area.geometry[0]).all()


def test_centre_is_where_the_site_table_says():
    spec = TwinSpec.from_record(ZIGUI)
    west, south, east, north = spec.grid.bounds
    centre = gpd.GeoSeries(
        gpd.points_from_xy([(west + east) / 2], [(south + north) / 2]), crs=spec.crs
    ).to_crs("EPSG:4326")[0]
    assert (centre.x, centre.y) == pytest.approx((110.64, 31.00), abs=2e-4)


def test_scaled_spec_keeps_densities():
    spec = TwinSpec.from_record(JIUZHAIGOU)
    small = spec.scaled(0.5)
    assert (small.rows, small.cols, small.landslides) == (366, 292, 31)
    assert small.landslide_area_km2 / small.study_area_km2 == pytest.approx(6.08 / 44.26)
    assert spec.scaled(0.05).landslides == 3


def test_bad_records_are_named():
    with pytest.raises(HeadscarpError, match=r"unknown key 'landslide'.*'landslides'"):
        TwinSpec.from_record({**ZIGUI, "landslide": 3})
    with pytest.raises(HeadscarpError, match="'haze' is missing"):
        TwinSpec.from_record({key: value for key, value in ZIGUI.items() if key != "haze"})
    with pytest.raises(HeadscarpError, match="trigger: 'rian' does not exist; did you mean 'rain'"):
        TwinSpec.from_record({**ZIGUI, "trigger": "rian"})
    with pytest.raises(HeadscarpError, match="must be below study_area_km2"):
        TwinSpec.from_record({**ZIGUI, "landslide_area_km2": 200})


def test_slides_without_any_place_to_start_are_refused(small_spec):
    with pytest.raises(HeadscarpError, match=r"slide 1 of 5 .* finds no room"):
        simulate_site(replace(small_spec, elevation_m=(80, 82)), 1)


def test_too_many_slides_are_refused(small_spec):
    with pytest.raises(HeadscarpError, match="finds no room"):
        simulate_site(replace(small_spec, landslide_area_km2=0.9 * small_spec.study_area_km2), 1)


def test_memory_goes_with_the_pixels_that_are_simulated():
    own = memory_mb(ZIGUI, 0.0)
    whole = memory_mb(ZIGUI, 1.0) - own
    assert 0 < own < 2000
    assert memory_mb(ZIGUI, 0.5) - own == pytest.approx(whole / 4, abs=1)
    assert memory_mb(ZIGUI | {"rows": 2 * ZIGUI["rows"]}, 1.0) - own == pytest.approx(2 * whole, abs=1)
    # A VHR scene is a square of so many metres, whatever the pixels of its images.
    small, large = (memory_mb({"kind": "vhr", "side_m": side}, 0.5) - own for side in (960, 1920))
    assert large == pytest.approx(4 * small, abs=4)
