"""Twins of very-high-resolution images: what they hold, how they change from date to date, and what slope
adds to colour."""

import copy
import filecmp
import json
from dataclasses import replace
from itertools import pairwise

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from rasterio.features import rasterize
from scipy import ndimage
from shapely.geometry import Point
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import average_precision_score, roc_auc_score

from headscarp.codes import SLIDE_NUMBER
from headscarp.errors import HeadscarpError
from headscarp.sources.twin import vhr_write
from headscarp.sources.twin.files import raw_files
from headscarp.sources.twin.vhr import BARE, BUILDING, LANDSLIDE, ROAD, VEGETATION, WATER, build_ground
from headscarp.sources.twin.vhr_image import observe, observed_cells
from headscarp.sources.twin.vhr_spec import SENSORS, VhrSpec
from headscarp.sources.twin.vhr_write import write_vhr_twin

pytestmark = pytest.mark.slow

MANGKAM = {
    "kind": "vhr",
    "side_m": 960,
    "crs": "EPSG:32647",
    "longitude": 99.0525,
    "latitude": 29.945,
    "valley_floor_m": 2700,
    "slope_deg": 32,
    "river": [[-0.05, 0.62], [0.2, 0.5], [0.5, 0.54], [0.78, 0.42], [1.05, 0.5]],
    "vegetation_share": 0.3,
    "greenness": 0.15,
    "buildings": 420,
    "landslides": 40,
    "landslide_share": 0.15,
    "nets": 6,
    "mine": [0.66, 0.2],
    "unstable": [0.24, 0.8],
    "dem_resolution_m": 5,
    "ndvi_resolution_m": 30,
    "images": {
        "jan": {"resolution_m": 0.8, "sensor": "beijing2", "date": "2018-01-15", "sun_deg": [155, 36]},
        "feb": {"resolution_m": 0.3, "sensor": "worldview3", "date": "2018-02-12", "sun_deg": [150, 44]},
        "mar": {"resolution_m": 0.5, "sensor": "superview1", "date": "2018-03-17", "sun_deg": [142, 54]},
    },
}
JIUZHAIGOU = MANGKAM | {
    "crs": "EPSG:32648",
    "longitude": 103.82,
    "latitude": 33.2,
    "valley_floor_m": 2400,
    "slope_deg": 36,
    "river": [[0.3, -0.05], [0.42, 0.25], [0.36, 0.5], [0.55, 0.75], [0.5, 1.05]],
    "vegetation_share": 0.75,
    "greenness": 0.9,
    "buildings": 220,
    "landslides": 75,
    "landslide_share": 0.14,
    "nets": 0,
    "mine": None,
    "unstable": None,
    "dem_resolution_m": 30,
    "images": {
        "aug": {"resolution_m": 0.3, "sensor": "google_earth", "date": "2017-08-14", "sun_deg": [128, 61]}
    },
}
SEED = 1


def spec_of(record, fraction):
    return VhrSpec.from_record(record).scaled(fraction)


def read(path):
    with rasterio.open(path) as source:
        return source.read().squeeze()


@pytest.fixture(scope="module")
def mangkam(tmp_path_factory):
    """Folder of the raw files at a quarter of the size, and the ground."""
    folder = tmp_path_factory.mktemp("mangkam")
    return folder, write_vhr_twin(folder, spec_of(MANGKAM, 0.25), SEED)


@pytest.fixture(scope="module")
def jiuzhaigou(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jiuzhaigou")
    return folder, write_vhr_twin(folder, spec_of(JIUZHAIGOU, 0.25), SEED)


def test_the_full_scene_has_the_pixels_of_the_paper():
    spec = VhrSpec.from_record(MANGKAM)
    assert [spec.grid(image.resolution_m).shape for image in spec.images.values()] == [
        (1200, 1200),
        (3200, 3200),
        (1920, 1920),
    ]
    assert VhrSpec.from_record(JIUZHAIGOU).grid(0.3).shape == (3200, 3200)


def test_the_files_are_those_announced_and_all_images_cover_the_same_ground(mangkam, jiuzhaigou):
    for (folder, _), record in ((mangkam, MANGKAM), (jiuzhaigou, JIUZHAIGOU)):
        assert sorted(path.name for path in folder.iterdir()) == sorted(raw_files(record))
    grounds = set()
    for name, resolution in (("jan", 0.8), ("feb", 0.3), ("mar", 0.5)):
        with (
            rasterio.open(mangkam[0] / f"rgb_{name}.tif") as rgb,
            rasterio.open(mangkam[0] / f"classes_{name}.tif") as classes,
        ):
            assert (rgb.descriptions, set(rgb.dtypes), rgb.res) == (
                ("red", "green", "blue"),
                {"float32"},
                (resolution, resolution),
            )
            assert (classes.transform, classes.shape, classes.dtypes, classes.nodata) == (
                rgb.transform,
                rgb.shape,
                ("uint8",),
                255,
            )
            grounds.add(tuple(round(edge, 6) for edge in rgb.bounds))
            assert rgb.read().min() > 0 and rgb.read().max() <= 1
    assert len(grounds) == 1
    west, south, east, north = grounds.pop()
    assert (east - west, north - south) == (240, 240)
    for name, cell in (("dem", 5), ("ndvi", 30)):
        with rasterio.open(mangkam[0] / f"{name}.tif") as source:
            assert source.res == (cell, cell) and source.bounds.left == west and source.bounds.top == north
            assert source.bounds.right >= east and source.bounds.bottom <= south


@pytest.mark.parametrize("record", [MANGKAM, JIUZHAIGOU], ids=["mangkam", "jiuzhaigou"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_small_scenes_hold_every_class_on_every_date(record, seed):
    ground = build_ground(spec_of(record, 0.15), seed)
    areas = []
    for date in range(len(record["images"])):
        instances = ground.instances_at(date)
        shares = np.bincount(ground.classes_at(instances).ravel(), minlength=6) / instances.size
        assert shares.min() > 0.003 and shares.size == 6
        areas.append(np.bincount(instances.ravel(), minlength=len(ground.slides) + 1)[1:])
    for before, after in pairwise(areas):
        assert np.any((before == 0) & (after > 0)) and np.any((before > 0) & (after > 1.02 * before))
        assert (after >= before).all()


def test_slides_change_only_near_the_mine_and_on_the_unstable_slope(mangkam):
    ground = mangkam[1]
    cells = ground.spec.side_m / 0.3
    places = [np.array(place)[::-1] * cells for place in (ground.spec.mine, ground.spec.unstable)]
    first, last = ground.instances_at(0), ground.instances_at(2)
    near = {"changed": [], "unchanged": []}
    for slide in ground.slides:
        centre = np.array(ndimage.center_of_mass(last == slide.number))
        before, after = (first == slide.number).sum(), (last == slide.number).sum()
        assert {"new": before == 0, "grown": 0 < before < 0.98 * after, "unchanged": before == after}[
            slide.status
        ]
        kind = "unchanged" if slide.status == "unchanged" else "changed"
        near[kind].append(min(np.hypot(*(centre - place)) for place in places) / cells)
    assert np.median(near["changed"]) < 0.5 * np.median(near["unchanged"]) and max(near["changed"]) < 0.4


def test_the_unstable_slope_holds_the_slides_that_change_there(mangkam):
    folder, ground = mangkam
    (slope,) = gpd.read_file(folder / "unstable.gpkg").geometry
    slides = gpd.read_file(folder / "landslides_mar.gpkg").set_index(SLIDE_NUMBER).geometry
    moving = [slide.number for slide in ground.slides if slide.status != "unchanged"]
    inside = {number: slope.buffer(2).contains(slides[number].buffer(-2)) for number in moving}
    grid = ground.spec.grid(0.3)
    x, y = (
        grid.bounds[0] + ground.spec.unstable[0] * 240,
        grid.bounds[3] - ground.spec.unstable[1] * 240,
    )
    nearer = [slides[number].centroid.distance(Point(x, y)) < 96 for number in moving if inside[number]]
    assert len(nearer) == len([one for one in ground.slides if one.unstable]) and all(nearer)


def test_a_slide_in_two_parts_belongs_to_the_unstable_slope(mangkam, tmp_path, monkeypatch):
    folder, ground = mangkam
    last = ground.instances_at(len(ground.spec.images) - 1)
    number = max((one.number for one in ground.slides if one.unstable), key=lambda k: (last == k).sum())
    rows = np.nonzero(last == number)[0]
    middle = int(np.median(rows))
    depth = ground.depth.copy()
    depth[middle - 1 : middle + 2] = 9.0
    monkeypatch.setattr(vhr_write, "build_ground", lambda spec, seed: replace(ground, depth=depth))
    cut = write_vhr_twin(tmp_path, ground.spec, SEED)
    assert ndimage.label(cut.instances_at(len(ground.spec.images) - 1) == number)[1] == 2
    whole, parted = (gpd.read_file(path / "unstable.gpkg").geometry[0] for path in (folder, tmp_path))
    assert parted.area == pytest.approx(whole.area, rel=0.05)


def test_outlines_and_manifest_agree_with_the_class_rasters(mangkam):
    folder, ground = mangkam
    manifest = json.loads((folder / "manifest.json").read_text())
    started = {}
    for name, image in ground.spec.images.items():
        classes, slides = (
            read(folder / f"classes_{name}.tif"),
            gpd.read_file(folder / f"landslides_{name}.gpkg"),
        )
        with rasterio.open(folder / f"classes_{name}.tif") as source:
            burnt = rasterize(slides.geometry, out_shape=source.shape, transform=source.transform)
        np.testing.assert_array_equal(burnt == 1, classes == LANDSLIDE)
        np.testing.assert_allclose(slides["area_m2"], slides.area, atol=0.01)
        realised = manifest["realised"]["images"][image.date]
        count = ndimage.label(classes == LANDSLIDE, np.ones((3, 3)))[1]
        assert len(slides) <= count <= len(slides) + 3
        assert realised["landslides"] == len(slides) and realised["landslide_area_m2"] == pytest.approx(
            slides.area.sum(), abs=0.1
        )
        shares = np.bincount(classes.ravel(), minlength=6) / classes.size
        np.testing.assert_allclose(list(realised["class_share"].values()), shares, atol=1e-5)
        started |= dict(zip(slides[SLIDE_NUMBER], slides["started"], strict=True))
    dates = [image.date for image in ground.spec.images.values()]
    for slide in ground.slides:
        assert (started[slide.number] == dates[0]) == (slide.status != "new")
    assert manifest["resolution_m"]["ndvi.tif"] == {"nominal": 30, "effective": 30}
    assert manifest["resolution_m"]["rgb_mar.tif"] == {
        "nominal": 0.5,
        "effective": pytest.approx(0.5 * 2.3548 * 0.95, abs=1e-3),
    }


def test_nets_are_green_and_stay_landslides(mangkam):
    folder, ground = mangkam
    nets = gpd.read_file(folder / "nets.gpkg").geometry.buffer(-0.6)
    with rasterio.open(folder / "rgb_feb.tif") as source:
        netted = rasterize(nets[~nets.is_empty], out_shape=source.shape, transform=source.transform) == 1
    rgb, classes = read(folder / "rgb_feb.tif"), read(folder / "classes_feb.tif")
    assert netted.sum() > 500 and (classes[netted] == LANDSLIDE).all()
    bare = (classes == LANDSLIDE) & (ndimage.distance_transform_edt(~netted) > 10)
    greener = rgb[1] / rgb[0]
    assert np.median(greener[netted]) > 1.5 and np.median(greener[bare]) < 1
    assert sum(slide.netted for slide in ground.slides) >= 1 and all(
        slide.status == "unchanged" for slide in ground.slides if slide.netted
    )


def test_a_smaller_scene_keeps_the_number_of_slides():
    """Small scenes have smaller slides and not fewer, so that every part has some; tiny ones fewer."""
    for record in (MANGKAM, JIUZHAIGOU):
        counts = [spec_of(record, fraction).landslides for fraction in (1.0, 0.7, 0.45, 0.15)]
        assert counts[:3] == [record["landslides"]] * 3 and 15 < counts[3] <= record["landslides"]
    assert [spec_of(MANGKAM, fraction).nets for fraction in (1.0, 0.45)] == [6, 6]


@pytest.mark.parametrize("record", [MANGKAM, JIUZHAIGOU], ids=["mangkam", "jiuzhaigou"])
def test_every_half_of_a_scene_has_slides_in_the_sun_and_in_the_shade(record):
    """Whichever half is held out, what is learnt on the other has seen both: quarters, in any pair."""
    ground = build_ground(spec_of(record, 0.3), SEED)
    instances = ground.instances_at(len(record["images"]) - 1)
    south, east = np.gradient(ndimage.gaussian_filter(ground.elevation, 5.0), 0.3)
    azimuth = np.radians(next(iter(record["images"].values()))["sun_deg"][0])
    facing = -east * np.sin(azimuth) + south * np.cos(azimuth) > 0
    numbers = np.arange(1, len(ground.slides) + 1)
    sunny = ndimage.mean(facing, instances, numbers) > 0.5
    rows, cols = (np.array(ndimage.center_of_mass(instances > 0, instances, numbers)) * 2 // len(instances)).T
    counts = np.zeros((2, 2, 2), int)
    np.add.at(counts, (rows.astype(int), cols.astype(int), sunny.astype(int)), 1)
    for half in (counts[0], counts[1], counts[:, 0], counts[:, 1]):
        assert half.sum(axis=0).min() >= 4


def test_what_looks_like_slides_overlaps_them_in_colour_and_in_part_in_slope(mangkam):
    """Roofs, roads and works share colours with slides; slope of the DEM that users get tells them apart on
    the whole and not for sure."""
    folder, ground = mangkam
    rgb, classes = read(folder / "rgb_feb.tif"), read(folder / "classes_feb.tif")
    works = ground.works[: classes.shape[0], : classes.shape[1]] & (classes == BARE)
    slope = np.degrees(np.arctan(np.hypot(*np.gradient(read(folder / "dem.tif").astype(float), 5))))
    cell = (np.arange(classes.shape[0]) * 0.3 / 5).astype(int)
    slope = slope[np.ix_(cell, cell)]
    slide = classes == LANDSLIDE
    low, high = np.quantile(rgb[:, slide], [0.1, 0.9], axis=1)
    for mask, share in ((works, 0.4), (classes == ROAD, 0.25), (classes == BUILDING, 0.05)):
        alike = np.all((rgb[:, mask] >= low[:, None]) & (rgb[:, mask] <= high[:, None]), axis=0).mean()
        assert alike > share
    for mask, least in ((works, 0.85), (classes == BUILDING, 0.85)):
        both = np.concatenate([slope[slide], slope[mask]])
        steeper = roc_auc_score(np.arange(both.size) < slide.sum(), both)
        assert least < steeper < 0.99
        assert np.quantile(slope[mask], 0.95) > np.quantile(slope[slide], 0.1)


def test_slope_tells_slides_from_bare_and_built_ground_better_than_colour_alone(mangkam):
    folder, _ = mangkam
    rgb, classes = read(folder / "rgb_feb.tif"), read(folder / "classes_feb.tif")
    slope = np.degrees(np.arctan(np.hypot(*np.gradient(read(folder / "dem.tif").astype(float), 5))))
    cell = (np.arange(classes.shape[0]) * 0.3 / 5).astype(int)
    features = (
        np.concatenate([ndimage.uniform_filter(rgb, (0, 5, 5)), slope[np.ix_(cell, cell)][None]])
        .reshape(4, -1)
        .T
    )
    slide, west = classes.ravel() == LANDSLIDE, np.indices(classes.shape)[1].ravel() < classes.shape[1] // 2
    rng = np.random.default_rng(0)
    train, test = (rng.choice(np.flatnonzero(part), 15_000, replace=False) for part in (west, ~west))
    found = []
    for columns in (slice(0, 3), slice(0, 4)):
        forest = RandomForestClassifier(40, min_samples_leaf=20, random_state=0).fit(
            features[train, columns], slide[train]
        )
        found.append(
            average_precision_score(slide[test], forest.predict_proba(features[test, columns])[:, 1])
        )
    prevalence = slide[test].mean()
    assert found[1] > found[0] + 0.03 and prevalence < found[0] < 0.95


def test_ndvi_is_high_over_plants_and_low_over_water(jiuzhaigou, mangkam):
    for folder, ground in (jiuzhaigou, mangkam):
        ndvi = read(folder / "ndvi.tif")
        plants = (ground.base == VEGETATION).reshape(ndvi.shape[0], 100, ndvi.shape[1], 100).mean(axis=(1, 3))
        assert np.corrcoef(plants.ravel(), ndvi.ravel())[0, 1] > 0.7 and -0.3 < ndvi.min() < ndvi.max() < 0.9
    assert read(jiuzhaigou[0] / "ndvi.tif").mean() > 2 * read(mangkam[0] / "ndvi.tif").mean()


def test_the_same_place_differs_between_sensors(mangkam):
    """Water and plants do not change; their colour, sharpness and place in the images do."""
    folder, ground = mangkam
    water = {}
    for name in ground.spec.images:
        rgb, classes = read(folder / f"rgb_{name}.tif"), read(folder / f"classes_{name}.tif")
        deep = ndimage.binary_erosion(classes == WATER, iterations=3)
        water[name] = np.median(rgb[:, deep], axis=1)
    for one, other in (("jan", "feb"), ("feb", "mar"), ("jan", "mar")):
        assert np.abs(water[one] - water[other]).max() > 0.008


def test_a_sensor_shifts_blurs_and_answers_as_it_says(mangkam):
    spec = mangkam[1].spec
    image, sensor = spec.images["jan"], SENSORS["beijing2"]
    scene = np.zeros((3, spec.cells, spec.cells), np.float32)
    scene[:, 400, 300] = 100.0
    flat = np.zeros(scene.shape[1:], np.float32)
    seen = observe(scene, image, observed_cells(spec, image, flat), [0])
    row, col = ndimage.center_of_mass(np.where(seen[0] > seen[0].max() / 4, seen[0], 0))
    place = (np.array([row, col]) + 0.5) * 0.8 - (np.array([400, 300]) + 0.5) * 0.3
    np.testing.assert_allclose(place, sensor.shift_m[::-1], atol=0.4)
    grey = observe(np.full_like(scene, 0.2), image, observed_cells(spec, image, flat), [0])
    expected = np.array(sensor.gain) * 0.2 ** np.array(sensor.gamma) + np.array(sensor.offset)
    np.testing.assert_allclose(grey.mean(axis=(1, 2)), expected, atol=1e-4)
    assert grey.std(axis=(1, 2)) == pytest.approx(sensor.noise, rel=0.05)
    lean_rows, lean_cols = (
        tall - level
        for tall, level in zip(
            observed_cells(spec, image, flat + 5), observed_cells(spec, image, flat), strict=True
        )
    )
    np.testing.assert_allclose(
        [lean_rows, lean_cols],
        np.broadcast_to(-5 / 0.3 * np.array(sensor.lean[::-1])[:, None, None], (2, 300, 300)),
    )


def test_a_seed_fixes_every_byte(tmp_path):
    spec = spec_of(MANGKAM, 0.15)
    write_vhr_twin(tmp_path / "a", spec, 5)
    write_vhr_twin(tmp_path / "b", spec, 5)
    names = list(raw_files(MANGKAM))
    assert filecmp.cmpfiles(tmp_path / "a", tmp_path / "b", names, shallow=False)[0] == names
    write_vhr_twin(tmp_path / "b", spec, 6)
    assert not filecmp.cmp(tmp_path / "a" / "rgb_jan.tif", tmp_path / "b" / "rgb_jan.tif", shallow=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sides_m": 9}, "twin: unknown key 'sides_m'; did you mean 'side_m'"),
        ({"side_m": 961}, r"side_m \(961\) must be a multiple of 12 m"),
        ({"mine": None}, "give mine and unstable"),
        ({"images": {}}, "images: {} will not do; it must be a mapping of one name or more"),
        ({"ndvi_resolution_m": 32}, "ndvi_resolution_m"),
    ],
)
def test_a_bad_record_is_refused(change, message):
    with pytest.raises(HeadscarpError, match=message):
        VhrSpec.from_record(MANGKAM | change)


def test_bad_images_and_crowded_slopes_are_refused():
    record = copy.deepcopy(MANGKAM)
    record["images"]["feb"]["sensor"] = "worldview"
    with pytest.raises(
        HeadscarpError, match="images, feb, sensor: 'worldview' does not exist; did you mean 'worldview3'"
    ):
        VhrSpec.from_record(record)
    record = copy.deepcopy(MANGKAM)
    record["images"]["mar"]["date"] = "2018-01-01"
    with pytest.raises(HeadscarpError, match="not in order"):
        VhrSpec.from_record(record)
    with pytest.raises(HeadscarpError, match="finds no room; lower landslide_share"):
        build_ground(replace(spec_of(MANGKAM, 0.15), landslides=80, landslide_share=0.9), 1)
