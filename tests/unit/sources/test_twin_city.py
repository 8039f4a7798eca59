"""The simulated region of zhang2024: is it one landscape in all its files, and can susceptibility be learnt
from the factors?"""

import filecmp
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from rasterio.features import rasterize
from scipy import ndimage
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.metrics import roc_auc_score

from headscarp.codes import SLIDE_NUMBER
from headscarp.errors import HeadscarpError
from headscarp.sources.twin.files import raw_files
from headscarp.sources.twin.region import (
    LAND_USE,
    SOILS,
    block_majority,
    block_mean,
    size_class,
    slip_volume,
    survey,
    valley_side,
)
from headscarp.sources.twin.scene import SimulatedSite
from headscarp.sources.twin.spec import TwinSpec
from headscarp.sources.twin.strata import UNITS
from headscarp.sources.twin.write import write_twin

pytestmark = pytest.mark.slow

RECORD = {
    "rows": 9180,
    "cols": 12960,
    "resolution_m": 10,
    "crs": "EPSG:32649",
    "longitude": 110.5,
    "latitude": 29.33,
    "date": "2019-07-15",
    "sensor": "sentinel2",
    "dem_factor": 3,
    "elevation_m": [67, 1840],
    "landslides": 15000,
    "landslide_area_km2": 104.7,
    "study_area_km2": 9516,
    "trigger": "rain",
    "reservoir": False,
    "river": [[0.0, 0.72], [0.22, 0.5], [0.45, 0.66], [0.72, 0.52], [1.0, 0.7]],
    "river_distance_m": 6000,
    "fault": [[0.1, 1.1], [0.45, 0.5], [0.9, -0.1]],
    "revegetation": 0.2,
    "vegetation_vigour": 0.88,
    "look_alike_share": 0.012,
    "snow_line_m": None,
    "sun_azimuth_deg": 110,
    "sun_elevation_deg": 68,
    "haze": 1.7,
    "noise": 0.002,
    "region": {
        "district_km2": 397,
        "surveyed": {"small": 242, "medium": 32, "large": 1},
        "rainfall_mm": [1000, 1800],
    },
}
SEED = 1


@pytest.fixture(scope="module")
def city(tmp_path_factory) -> tuple[SimulatedSite, object]:
    """A small piece of the region and the folder of its raw files."""
    folder = tmp_path_factory.mktemp("city")
    return write_twin(folder, TwinSpec.from_record(RECORD).scaled(0.06), SEED), folder


def read(path):
    with rasterio.open(path) as source:
        return source.read(), source


def test_files_are_those_announced_and_lie_on_one_corner(city):
    scene, folder = city
    assert sorted(path.name for path in folder.iterdir()) == sorted(raw_files(RECORD))
    assert "soil.tif" not in raw_files({key: value for key, value in RECORD.items() if key != "region"})
    corner, extent = scene.spec.grid.transform, scene.spec.grid.bounds
    cells = {
        "bands": 10,
        "dem": 30,
        "land_use": 30,
        "ndvi_before": 30,
        "dem_90m": 90,
        "lithology": 90,
        "soil": 90,
        "rainfall": 1000,
    }
    for name, cell in cells.items():
        _, source = read(folder / f"{name}.tif")
        assert source.res == (cell, cell) and (source.transform.c, source.transform.f) == (corner.c, corner.f)
        assert source.bounds.right >= extent[2] and source.bounds.bottom <= extent[1]
    with rasterio.open(folder / "bands.tif") as bands:
        assert bands.descriptions == ("blue", "green", "red", "nir")


def test_scale_keeps_grids_whole_and_the_district_inside():
    spec = TwinSpec.from_record(RECORD)
    assert spec.scene_area_km2 == pytest.approx(11897, abs=1)
    for fraction in (0.06, 0.16, 0.3):
        small = spec.scaled(fraction)
        assert small.rows % 9 == small.cols % 9 == 0
        assert small.landslides == round(15000 * fraction**2)
        assert small.region.district_km2 <= 0.6 * small.study_area_km2 + 1e-9
    assert spec.scaled(0.16).region.district_km2 == pytest.approx(397 * 0.16)
    assert spec.scaled(0.16).region.surveyed == {"small": 39, "medium": 5, "large": 0}


def test_realised_numbers_match_the_spec(city):
    scene, _ = city
    spec, slide = scene.spec, scene.instances > 0
    assert scene.instances.max() == spec.landslides
    assert slide.sum() * 1e-4 == pytest.approx(spec.landslide_area_km2, rel=0.03)
    assert scene.mapped.sum() * 1e-4 == pytest.approx(spec.study_area_km2, rel=0.02)
    assert (scene.dem.min(), scene.dem.max()) == pytest.approx(spec.elevation_m, abs=5)
    district = scene.region.district
    assert ndimage.label(district)[1] == 1 and (scene.mapped | ~district).mean() > 0.999
    assert district.sum() * 1e-4 == pytest.approx(spec.region.district_km2, rel=0.05)
    assert slide[district].mean() == pytest.approx(slide[scene.mapped].mean(), rel=0.35)


def test_slides_are_strips_on_free_ground_near_a_cell_of_the_factors(city):
    scene, _ = city
    pixels = np.bincount(scene.instances.ravel())[1:]
    assert pixels.min() >= 4 and np.median(pixels) < pixels.mean()
    assert 0.7 * 9**2 < pixels.mean() < 1.2 * 9**2
    busy = scene.region.settlements | scene.region.water | (scene.cover == 9)
    assert not (busy & (scene.instances > 0)).any()
    # Length over width from the second moments of the larger slides: a disc has 1.
    long_over_wide = []
    for number in np.flatnonzero(pixels >= 20) + 1:
        axes = np.linalg.eigvalsh(np.cov(np.argwhere(scene.instances == number).T))
        long_over_wide.append(np.sqrt(axes[1] / axes[0]))
    assert np.median(long_over_wide) > 1.6


def test_coarse_layers_are_of_the_fine_ones(city):
    scene, folder = city
    dem, dem_90m = read(folder / "dem.tif")[0][0], read(folder / "dem_90m.tif")[0][0]
    blocks = dem.astype(float).reshape(dem_90m.shape[0], 3, dem_90m.shape[1], 3)
    np.testing.assert_allclose(dem_90m, blocks.mean(axis=(1, 3)), rtol=1e-6)
    units, soil, use = (read(folder / f"{name}.tif")[0][0] for name in ("lithology", "soil", "land_use"))
    assert set(np.unique(units)) <= set(range(1, len(UNITS) + 1)) and len(np.unique(units)) > 15
    assert set(np.unique(soil)) <= set(range(1, len(SOILS) + 1)) and len(np.unique(soil)) > 9
    assert set(np.unique(use)) <= set(LAND_USE) and len(np.unique(use)) >= 5
    water = block_mean(scene.region.water, 3)
    assert (use[water == 1] == 60).all() and not (use[water == 0] == 60).any()
    built = block_mean(scene.region.settlements, 3)
    assert (use[built == 1] == 80).all()


def test_ndvi_from_before_does_not_see_the_slides_and_that_of_the_image_does(city):
    scene, folder = city
    before = read(folder / "ndvi_before.tif")[0][0]
    red, nir = (block_mean(scene.bands[scene.spec.bands.index(name)], 3) for name in ("red", "nir"))
    after = (nir - red) / (nir + red)
    slides = block_mean(scene.instances > 0, 3)
    bare, free = slides > 0.6, ndimage.maximum_filter(slides, 3) == 0
    assert bare.sum() > 200
    # Elsewhere both are of one ground: haze, shade and noise alone part them.
    assert np.corrcoef(before[free], after[free])[0, 1] > 0.8
    dimmed = np.median((before - after)[free])
    assert np.median((before - after)[bare]) > dimmed + 0.15
    around = (ndimage.maximum_filter(slides, 9) > 0) & free
    labels = np.r_[np.ones(bare.sum()), np.zeros(around.sum())]
    seen, unseen = (roc_auc_score(labels, -np.r_[values[bare], values[around]]) for values in (after, before))
    print(f"AUC of low NDVI for slides: image {seen:.3f}, before {unseen:.3f}")
    assert seen > 0.85 and unseen < 0.65


def test_block_statistics_agree_with_loops():
    values = np.random.default_rng(0).integers(1, 4, (7, 8)).astype(np.uint8)
    padded = np.pad(values, [(0, 2), (0, 1)], mode="edge")
    for row in range(3):
        for col in range(3):
            block = padded[3 * row : 3 * row + 3, 3 * col : 3 * col + 3]
            assert block_mean(values, 3)[row, col] == pytest.approx(block.mean())
            assert block_majority(values, 3)[row, col] == np.bincount(block.ravel()).argmax()


def test_rain_rises_with_the_ground_and_roads_keep_to_gentle_ground(city):
    scene, folder = city
    rain = scene.region.rainfall
    assert (rain.min(), rain.max()) == (1000, 1800)
    rows, cols = (np.arange(size) * 100 + 50 for size in (scene.spec.rows // 100, scene.spec.cols // 100))
    height = ndimage.gaussian_filter(np.repeat(np.repeat(scene.dem, 3, 0), 3, 1).astype(float), 50)[
        np.ix_(rows, cols)
    ]
    assert np.corrcoef(height.ravel(), rain[: len(rows), : len(cols)].ravel())[0, 1] > 0.4
    roads = gpd.read_file(folder / "roads.gpkg")
    assert len(roads) > 3 and (roads.geom_type == "LineString").all()
    on_road = (
        rasterize(roads.geometry, scene.dem.shape, transform=scene.spec.dem_grid.transform, all_touched=True)
        == 1
    )
    slope = np.hypot(*np.gradient(scene.dem.astype(float), 30))
    assert slope[on_road].mean() < 0.8 * slope.mean()
    # One network: roads meet at places, but for the smoothing of their lines.
    assert roads.buffer(60).union_all().geom_type == "Polygon"


def test_exclusions_hold_look_alikes_and_no_slides(city):
    """Masking roads, settlements and water takes away false alarms only."""
    scene, folder = city
    slides = gpd.read_file(folder / "landslides.gpkg").union_all()
    for name in ("settlements", "water"):
        areas = gpd.read_file(folder / f"{name}.gpkg")
        assert areas.area.sum() == pytest.approx(getattr(scene.region, name).sum() * 100)
        assert areas.union_all().intersection(slides).area == 0


def test_survey_points_lie_on_slides_of_the_district(city):
    scene, folder = city
    sites, slides = (
        gpd.read_file(folder / "survey.gpkg"),
        gpd.read_file(folder / "landslides.gpkg").set_index(SLIDE_NUMBER),
    )
    assert {size: (sites["size"] == size).sum() for size in scene.region.surveyed} == {
        size: len(numbers) for size, numbers in scene.region.surveyed.items()
    }
    assert len(sites) > 5
    for site in sites.itertuples():
        slide = slides.loc[site.headscarp_slide]
        assert slide.geometry.contains(site.geometry)
        assert site.volume_m3 == pytest.approx(0.074 * slide.area_m2**1.450, abs=1)
    outline = gpd.read_file(folder / "district.gpkg").geometry[0]
    assert slides.loc[sites[SLIDE_NUMBER]].intersects(outline).all()


def test_volume_classes_are_those_of_the_standard():
    # 0.074 x 10000^1.45 = 0.074 x 10^5.8
    assert slip_volume(1e4) == pytest.approx(0.074 * 630957.34, rel=1e-6)
    assert list(size_class(np.array([9.9e4, 1e5, 9.9e5, 1e6, 1e7]))) == [
        "small",
        "medium",
        "medium",
        "large",
        "extra large",
    ]


def test_fragile_units_slide_more_often_and_slides_lie_on_steep_ground(city):
    scene, _ = city
    units = np.repeat(np.repeat(scene.region.units, 9, 0), 9, 1)
    slope = np.repeat(
        np.repeat(np.degrees(np.arctan(np.hypot(*np.gradient(scene.dem.astype(float), 30)))), 3, 0), 3, 1
    )
    # Slides a pixel, on ground steep enough: relief differs between the units.
    steep = scene.mapped & (slope > 15)
    fragile = np.isin(units, (1, 9, 11, 13, 14, 16))
    often, seldom = (
        len(np.unique(scene.instances[steep & where])) / (steep & where).sum()
        for where in (fragile, ~fragile)
    )
    assert often > 1.3 * seldom
    assert slope[scene.instances > 0].mean() > slope[scene.mapped].mean() + 4


def cell_factors(city) -> dict[str, np.ndarray]:
    """Static factors of 90 m cells, each of its own cell alone (relief: of its neighbours too)."""
    scene, folder = city
    region, shape = scene.region, scene.region.dem.shape
    southward, eastward = np.gradient(region.dem.astype(float), 90)
    transform = scene.spec.coarser_grid(9).transform
    lines = [gpd.read_file(folder / f"{name}.gpkg").geometry for name in ("roads", "rivers")]
    distances = [
        ndimage.distance_transform_edt(rasterize(line, shape, transform=transform, all_touched=True) == 0)
        for line in lines
    ]
    return {
        "elevation": region.dem.astype(float),
        "slope": np.hypot(southward, eastward),
        "eastward": eastward,
        "southward": southward,
        "curvature": ndimage.laplace(region.dem.astype(float)),
        "relief": ndimage.generic_filter(region.dem, np.ptp, 3),
        **{f"unit {code}": region.units == code for code in range(1, 20)},
        "land use": block_majority(region.land_use, 3),
        "roads": distances[0],
        "rivers": distances[1],
    }


def scores_elsewhere(city, factors: dict[str, np.ndarray]) -> float:
    """AUC of a forest, trained on one half of the scene and tested on the other; mean of both."""
    scene, _ = city
    values = np.stack(list(factors.values()), -1).reshape(-1, len(factors))
    ground = block_mean(scene.mapped, 9) == 1
    slide = block_mean(scene.instances > 0, 9).ravel() >= 0.1
    west = (np.indices(ground.shape)[1] < ground.shape[1] // 2).ravel()
    scores = []
    for train in (west, ~west):
        train, test = train & ground.ravel(), ~train & ground.ravel()
        forest = RandomForestClassifier(150, min_samples_leaf=5, random_state=0).fit(
            values[train], slide[train]
        )
        scores.append(roc_auc_score(slide[test], forest.predict_proba(values[test])[:, 1]))
    return np.mean(scores)


def test_susceptibility_can_be_learnt_elsewhere(city):
    """From static factors on 90 m cells alone; chance is left over."""
    assert 0.65 < scores_elsewhere(city, cell_factors(city)) < 0.93


def test_the_neighbourhood_tells_more_than_the_cell(city):
    """Means over windows about a cell of what its own factors say add to them: of where slides are, and of
    how safe the ground is, which chance has not yet touched."""
    scene, _ = city
    cell = cell_factors(city)
    around = {
        f"{name} over {window}": ndimage.uniform_filter(cell[name], window)
        for name in ("elevation", "slope", "relief")
        for window in (5, 11, 21)
    }
    alone, with_means = (scores_elsewhere(city, factors) for factors in (cell, cell | around))
    assert with_means > alone + 0.02
    ground = block_mean(scene.mapped, 9) == 1
    safety = block_mean(np.log(scene.safety), 9)[ground]
    west = np.indices(ground.shape)[1][ground] < ground.shape[1] // 2
    explained = []
    for factors in (cell, cell | around):
        values = np.stack([plane[ground] for plane in factors.values()], -1)
        trees = HistGradientBoostingRegressor(random_state=0).fit(values[west], safety[west])
        explained.append(trees.score(values[~west], safety[~west]))
    assert explained[1] > explained[0] + 0.1


def test_valley_sides_run_from_crest_to_foot():
    """Parallel ridges 300 m high and 1.8 km apart."""
    spec = TwinSpec.from_record(RECORD).scaled(0.06)
    across = np.arange(spec.dem_grid.width) * spec.dem_grid.resolution
    ridges = np.broadcast_to(150 * np.cos(2 * np.pi * across / 1800), spec.dem_grid.shape)
    upslope, depth = (field[20, 15:-15] for field in valley_side(spec, ridges))
    height = block_mean(ridges, 3)[20, 15:-15]
    assert depth == pytest.approx(np.full(depth.shape, 300), rel=0.03)
    np.testing.assert_allclose(upslope, 0.5 - height / 300, atol=0.03)


def test_equal_seeds_give_equal_bytes(tmp_path):
    spec = TwinSpec.from_record(RECORD).scaled(0.03)
    write_twin(tmp_path / "a", spec, 5)
    write_twin(tmp_path / "b", spec, 5)
    names = list(raw_files(RECORD))
    assert filecmp.cmpfiles(tmp_path / "a", tmp_path / "b", names, shallow=False)[0] == names


def test_bad_records_are_named():
    region = RECORD["region"]
    for change, message in (
        ({"sensor": "sentinel"}, "sensor: 'sentinel' does not exist; did you mean 'sentinel2'"),
        ({"rows": 9181}, r"rows \(9181\) and cols \(12960\) of a region must be multiples of 9"),
        (
            {"region": {**region, "distrikt_km2": 3}},
            "twin, region: unknown key 'distrikt_km2'; did you mean 'district_km2'",
        ),
        (
            {"region": {key: region[key] for key in ("district_km2", "surveyed")}},
            "key 'rainfall_mm' is missing",
        ),
        ({"region": {**region, "surveyed": {"small": 3}}}, "surveyed: the key 'medium' is missing"),
        (
            {"region": {**region, "surveyed": {**region["surveyed"], "huge": 3}}},
            "surveyed: unknown key 'huge'",
        ),
        ({"region": {**region, "district_km2": 9600}}, "district_km2 .* must be below study_area_km2"),
        ({"region": {**region, "rainfall_mm": [1800, 1000]}}, "must be .lowest, highest."),
    ):
        with pytest.raises(HeadscarpError, match=message):
            TwinSpec.from_record({**RECORD, **change})


def test_a_survey_takes_no_more_than_there_is(city):
    scene, _ = city
    greedy = replace(
        scene.spec, region=replace(scene.spec.region, surveyed={"small": 10**6, "medium": 0, "large": 3})
    )
    found = survey(greedy, np.random.default_rng(0), scene.instances, scene.region.district)
    inside = np.unique(scene.instances[scene.region.district])
    assert len(found["small"]) <= (inside > 0).sum() and found["medium"] == [] and found["large"] == []
