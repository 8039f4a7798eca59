"""Simulated time series: what they hold, how slides green over, what changes from date to date, and what the
series tells over one date."""

import copy
import filecmp
import json
from itertools import pairwise

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from scipy import stats
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import average_precision_score

from headscarp.codes import SLIDE_NUMBER
from headscarp.errors import HeadscarpError
from headscarp.sources.twin.cover import BAR, FIELD, FOREST, GRASS, ROCK, SHRUB, SNOW, WATER
from headscarp.sources.twin.files import raw_files
from headscarp.sources.twin.series import CLEAR, CLOUD, CLOUD_SHADOW, build_series, observation
from headscarp.sources.twin.series_spec import SeriesSpec
from headscarp.sources.twin.series_write import write_series_twin
from simulate_twin import simulate_twin

pytestmark = pytest.mark.slow

KARAKORAM = {
    "kind": "series",
    "rows": 3072,
    "cols": 4096,
    "resolution_m": 30,
    "crs": "EPSG:32643",
    "longitude": 74.8,
    "latitude": 36.3,
    "elevation_m": [1200, 5500],
    "landslides": 700,
    "landslide_area_km2": 105,
    "study_area_km2": 9500,
    "trigger": "rain",
    "river": [[0.0, 0.3], [0.22, 0.52], [0.45, 0.4], [0.7, 0.62], [1.0, 0.55]],
    "river_distance_m": 6000,
    "fault": [[0.1, 1.1], [0.4, 0.6], [0.95, -0.1]],
    "look_alike_share": 0.12,
    "noise": 0.004,
    "rainfall_mm": [120, 650],
    "greening_years": [8, 60],
    "dates": {
        2008: {
            "date": "2008-09-12",
            "sun_deg": [150, 52],
            "started": 0.34,
            "vigour": 0.42,
            "rain": 0.95,
            "haze": 1.0,
            "snow_line_m": 4200,
        },
        2011: {
            "date": "2011-10-05",
            "sun_deg": [156, 44],
            "started": 0.22,
            "vigour": 0.32,
            "rain": 1.20,
            "haze": 1.3,
            "cloud_share": 0.05,
            "snow_line_m": 3700,
        },
        2014: {
            "date": "2014-08-20",
            "sun_deg": [143, 59],
            "started": 0.18,
            "vigour": 0.48,
            "rain": 0.85,
            "haze": 1.1,
            "snow_line_m": 4500,
        },
        2017: {
            "date": "2017-07-30",
            "sun_deg": [134, 64],
            "started": 0.15,
            "vigour": 0.52,
            "rain": 1.15,
            "haze": 1.6,
            "cloud_share": 0.16,
            "snow_line_m": 4400,
        },
        2020: {
            "date": "2020-09-18",
            "sun_deg": [151, 50],
            "started": 0.11,
            "vigour": 0.38,
            "rain": 1.00,
            "haze": 0.9,
            "snow_line_m": 4100,
        },
    },
}
SICHUAN = KARAKORAM | {
    "rows": 2048,
    "cols": 2048,
    "crs": "EPSG:32648",
    "longitude": 103.5,
    "latitude": 31.2,
    "elevation_m": [700, 4200],
    "landslides": 400,
    "landslide_area_km2": 40,
    "study_area_km2": 2300,
    "trigger": "earthquake",
    "river": [[0.2, 0.0], [0.28, 0.3], [0.18, 0.6], [0.3, 0.85], [0.35, 1.0]],
    "river_distance_m": 4500,
    "fault": [[-0.1, 0.9], [0.45, 0.5], [1.1, 0.05]],
    "look_alike_share": 0.08,
    "rainfall_mm": [750, 1500],
    "greening_years": [3.5, 20],
    "dates": {
        2008: {
            "date": "2008-09-20",
            "sun_deg": [140, 55],
            "started": 0.62,
            "vigour": 0.80,
            "rain": 1.05,
            "haze": 1.8,
        },
        2011: {
            "date": "2011-10-12",
            "sun_deg": [155, 47],
            "started": 0.14,
            "vigour": 0.66,
            "rain": 0.90,
            "haze": 1.5,
        },
        2014: {
            "date": "2014-08-25",
            "sun_deg": [128, 62],
            "started": 0.10,
            "vigour": 0.90,
            "rain": 1.20,
            "haze": 2.0,
            "cloud_share": 0.20,
        },
        2017: {
            "date": "2017-09-28",
            "sun_deg": [147, 52],
            "started": 0.08,
            "vigour": 0.76,
            "rain": 1.10,
            "haze": 1.6,
            "cloud_share": 0.04,
        },
        2020: {
            "date": "2020-09-08",
            "sun_deg": [135, 58],
            "started": 0.06,
            "vigour": 0.84,
            "rain": 0.95,
            "haze": 1.4,
        },
    },
}
YEARS = (2008, 2011, 2014, 2017, 2020)
SEED = 1


def spec_of(record, fraction):
    return SeriesSpec.from_record(record).scaled(fraction)


def read(path):
    with rasterio.open(path) as source:
        return source.read().squeeze()


@pytest.fixture(scope="module", params=[(KARAKORAM, 0.07), (SICHUAN, 0.1)], ids=["karakoram", "sichuan"])
def simulated(request):
    """A series and its observations by year, somewhat below demo size."""
    series = build_series(spec_of(*request.param), SEED)
    return series, {int(name): observation(series, name) for name in series.spec.dates}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Raw files of a tiny site, as the rule writes them."""
    folder = tmp_path_factory.mktemp("karakoram")
    simulate_twin(folder, KARAKORAM, 0.05, SEED)
    return folder


def test_the_files_are_those_announced_and_fit_each_other(folder):
    assert sorted(path.name for path in folder.iterdir()) == sorted(raw_files(KARAKORAM))
    with rasterio.open(folder / "dem.tif") as dem:
        grid = (dem.crs.to_string(), dem.transform, dem.shape)
        assert dem.res == (30, 30)
    for year in YEARS:
        with (
            rasterio.open(folder / f"rgb_{year}.tif") as rgb,
            rasterio.open(folder / f"clouds_{year}.tif") as clouds,
        ):
            assert (rgb.descriptions, set(rgb.dtypes), clouds.dtypes) == (
                ("red", "green", "blue"),
                {"float32"},
                ("uint8",),
            )
            assert (
                (rgb.crs.to_string(), rgb.transform, rgb.shape)
                == (clouds.crs.to_string(), clouds.transform, clouds.shape)
                == grid
            )
            assert (
                rgb.read().min() > 0
                and rgb.read().max() <= 1
                and set(np.unique(clouds.read())) <= {CLEAR, CLOUD, CLOUD_SHADOW}
            )
        with rasterio.open(folder / f"precipitation_{year}.tif") as rain:
            assert rain.res == (990, 990) and rain.bounds.left == grid[1].c and rain.bounds.top == grid[1].f
            assert (
                rain.bounds.right >= grid[1].c + 30 * grid[2][1]
                and 50 < rain.read().min() < rain.read().max() < 1500
            )
    assert set(np.unique(read(folder / "lithology.tif"))) == {1, 2, 3}


def test_outlines_say_when_each_slide_started(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    slides = gpd.read_file(folder / "landslides.gpkg")
    assert list(slides[SLIDE_NUMBER]) == list(range(1, 36)) and slides["started"].max() <= 2020
    np.testing.assert_allclose(slides["area_m2"], slides.area, atol=0.01)
    years, counts = np.unique(slides["started"], return_counts=True)
    realised = manifest["realised"]
    assert realised["started"] == {str(year): count for year, count in zip(years, counts, strict=True)}
    assert realised["dates"]["2008"]["landslides"] == (slides["started"] <= 2008).sum()
    for year in YEARS:
        with rasterio.open(folder / f"clouds_{year}.tif") as source:
            assert realised["dates"][str(year)]["cloud_share"] == pytest.approx(
                (source.read() == CLOUD).mean(), abs=1e-4
            )
    assert manifest["data"] == "twin" and manifest["seed"] == SEED


def test_equal_seeds_give_equal_bytes_and_others_do_not(folder, tmp_path):
    simulate_twin(tmp_path / "again", KARAKORAM, 0.05, SEED)
    names = raw_files(KARAKORAM)
    assert filecmp.cmpfiles(folder, tmp_path / "again", names, shallow=False) == (list(names), [], [])
    write_series_twin(tmp_path / "other", spec_of(KARAKORAM, 0.05), SEED + 1)
    _, different, _ = filecmp.cmpfiles(folder, tmp_path / "other", names, shallow=False)
    assert set(names) - set(different) <= {f"clouds_{year}.tif" for year in YEARS}


def test_matches_its_record(simulated):
    series, seen = simulated
    spec, land, pixel_km2 = series.spec, series.land, 0.0009
    assert (land.dem.min(), land.dem.max()) == pytest.approx(spec.elevation_m, abs=10)
    numbers = np.unique(land.instances)
    np.testing.assert_array_equal(numbers, np.arange(spec.landslides + 1))
    assert (land.instances > 0).sum() * pixel_km2 == pytest.approx(spec.landslide_area_km2, rel=0.1)
    assert (
        land.mapped.sum() * pixel_km2 == pytest.approx(spec.study_area_km2, rel=0.02)
        and land.mapped[land.instances > 0].all()
    )
    for year, date in zip(YEARS, spec.dates.values(), strict=True):
        assert (seen[year].clouds == CLOUD).mean() == pytest.approx(date.cloud_share, abs=0.002)
        assert seen[year].rain.mean() / np.mean(
            [seen[other].rain.mean() for other in YEARS]
        ) == pytest.approx(date.rain, rel=0.12)
    assert not seen[2020].clouds.any()


def test_slides_start_in_the_shares_of_the_spec(simulated):
    series, _ = simulated
    edges = [-np.inf, *YEARS]
    for date, (after, year) in zip(series.spec.dates.values(), pairwise(edges), strict=True):
        share = ((series.started > after) & (series.started <= year)).mean()
        assert share == pytest.approx(date.started, abs=1 / series.spec.landslides)
    in_2008 = (series.started == 2008).mean()
    assert in_2008 > 0.5 if series.spec.trigger == "earthquake" else in_2008 < 0.15
    assert (series.started < 2008).sum() >= 3


def test_a_slide_is_bare_when_it_starts_and_then_greens_over(simulated):
    series, seen = simulated
    bareness = {year: mean_by_slide(series, seen[year].bareness) for year in YEARS}
    snowless = sum(mean_by_slide(series, seen[year].cover == SNOW) for year in YEARS) == 0
    for before, after in pairwise(YEARS):
        not_yet, old = (series.started > before) & snowless, (series.started <= before) & snowless
        new = not_yet & (series.started <= after)
        assert not bareness[before][not_yet].any()
        assert np.median(bareness[after][new]) > 0.4
        assert (bareness[after][old] <= bareness[before][old] + 1e-6).all()
        # The slowest slides keep more than the fastest do.
        kept = bareness[after][old] / np.maximum(bareness[before][old], 1e-6)
        assert stats.spearmanr(kept, series.greening[old]).statistic > 0.4
    assert series.greening.min() == pytest.approx(series.spec.greening_years[0])
    assert series.greening.max() == pytest.approx(series.spec.greening_years[1])


def test_the_mean_slide_gets_greener_in_the_image_from_date_to_date(simulated):
    series, seen = simulated
    old = np.isin(series.land.instances, 1 + np.flatnonzero(series.started <= 2008))
    open_ground = (series.land.instances == 0) & series.land.mapped
    plants, rock = (
        open_ground & np.isin(series.cover, (FOREST, SHRUB, GRASS)),
        open_ground & (series.cover == ROCK),
    )
    position = []
    for year in YEARS:
        clear = (seen[year].clouds == CLEAR) & (seen[year].cover != SNOW)
        red, green, _ = seen[year].rgb
        slide, green_end, bare_end = (
            ((green - red) / (green + red))[part & clear].mean() for part in (old, plants, rock)
        )
        # Between bare rock and plants of the same date: season, sun and haze are the same on all three.
        position.append((slide - bare_end) / (green_end - bare_end))
    assert stats.linregress(YEARS, position).slope > 0.01 and position[-1] > max(position[:2]) + 0.1


def test_snow_bars_and_fields_change_between_dates(simulated):
    series, seen = simulated
    spec = series.spec
    snow = [(seen[year].cover == SNOW).mean() for year in YEARS]
    lines = [date.snow_line_m for date in spec.dates.values()]
    if lines[0] is None:
        assert not any(snow)
    else:
        assert np.argsort(snow).tolist() == np.argsort(lines)[::-1].tolist() and snow[0] > 0
    rain = [date.rain for date in spec.dates.values()]
    bars = [(seen[year].cover == BAR).sum() for year in YEARS]
    water = [(seen[year].cover == WATER).sum() for year in YEARS]
    assert bars[int(np.argmin(rain))] > 1.5 * bars[int(np.argmax(rain))] > 0
    assert water[int(np.argmax(rain))] > water[int(np.argmin(rain))]
    clear_of_slides = (series.cover == FIELD) & (series.land.instances == 0)
    bare = np.array([seen[year].bareness[clear_of_slides] > 0.5 for year in YEARS])
    assert all(0.1 < share < 0.35 for share in bare.mean(axis=1)) and bare.all(axis=0).mean() < 0.02


def test_clouds_are_bright_and_their_shadows_dark(simulated):
    series, seen = simulated
    cloudy = next(year for year in YEARS if series.spec.dates[str(year)].cloud_share > 0.1)
    brightness, codes = seen[cloudy].rgb.mean(axis=0), seen[cloudy].clouds
    clear = np.median(brightness[codes == CLEAR])
    assert (
        np.median(brightness[codes == CLOUD]) > 3 * clear
        and np.median(brightness[codes == CLOUD_SHADOW]) < 0.8 * clear
    )


def test_the_series_tells_slides_from_what_looks_like_them_better_than_one_date(simulated):
    series, seen = simulated
    images = np.concatenate([np.where(seen[year].clouds > CLEAR, np.nan, seen[year].rgb) for year in YEARS])
    factors = np.stack([series.land.ground.slope, series.land.lithology])
    slides = (series.land.instances > 0).ravel()
    rng, row = np.random.default_rng(0), np.indices(series.cover.shape)[0]
    north = row < np.median(row.ravel()[slides])
    parts = [np.flatnonzero((series.land.mapped & side).ravel()) for side in (north, ~north)]
    score = {}
    for name, features in (
        ("last", images[-3:]),
        ("series", images),
        ("both", np.concatenate([images, factors])),
    ):
        values, scores = features.reshape(len(features), -1).T, []
        for train, test in (parts, parts[::-1]):
            some, others = (
                rng.choice(train, min(4000, train.size), False),
                rng.choice(test, min(8000, test.size), False),
            )
            some = np.union1d(some, train[slides[train]])
            forest = RandomForestClassifier(20, min_samples_leaf=4, random_state=0).fit(
                values[some], slides[some]
            )
            scores.append(average_precision_score(slides[others], forest.predict_proba(values[others])[:, 1]))
        score[name] = np.mean(scores)
    assert (
        score["series"] > 1.5 * score["last"]
        and score["series"] < score["both"] + 0.02
        and 0.2 < score["both"] < 0.85
    )


def test_dates_do_not_depend_on_the_order_in_which_they_are_simulated():
    series = build_series(spec_of(SICHUAN, 0.05), SEED)
    first = observation(series, "2017")
    observation(series, "2008")
    np.testing.assert_array_equal(observation(series, "2017").rgb, first.rgb)


@pytest.mark.parametrize(
    ("record", "fraction"), [(KARAKORAM, 0.04), (KARAKORAM, 0.16), (SICHUAN, 0.04), (SICHUAN, 0.06)]
)
def test_scaled_sites_keep_enough_slides_and_less_relief(record, fraction):
    whole, spec = SeriesSpec.from_record(record), spec_of(record, fraction)
    assert (spec.rows, spec.cols) == (round(whole.rows * fraction), round(whole.cols * fraction))
    assert spec.landslides == max(12, round(whole.landslides * fraction))
    lowest, highest = whole.elevation_m
    assert spec.elevation_m == pytest.approx((lowest, lowest + (highest - lowest) * fraction**0.5))
    for name, date in spec.dates.items():
        line = whole.dates[name].snow_line_m
        assert (
            date.snow_line_m is None
            if line is None
            else date.snow_line_m == pytest.approx(lowest + (line - lowest) * fraction**0.5)
        )


@pytest.mark.parametrize("record", [KARAKORAM, SICHUAN], ids=["karakoram", "sichuan"])
def test_the_smallest_sites_can_be_simulated(record):
    series = build_series(spec_of(record, 0.04), 2)
    assert series.land.instances.max() == series.spec.landslides


def mean_by_slide(series, values):
    areas = np.bincount(series.land.instances.ravel())
    return (np.bincount(series.land.instances.ravel(), values.ravel()) / areas)[1:]


def bad(**changes):
    record = copy.deepcopy(KARAKORAM)
    for path, value in changes.items():
        target, keys = record, path.split("__")
        for key in keys[:-1]:
            target = target[int(key) if key.isdigit() else key]
        target[keys[-1]] = value
    return record


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (bad(landslide=3), "unknown key 'landslide'; did you mean 'landslides'"),
        (
            bad(dates__2011__clouds=0.1),
            r"twin, dates, 2011: unknown key 'clouds'; did you mean 'cloud_share'",
        ),
        (
            bad(dates__2011__date="2007-01-05"),
            r"dates, 2011: 2007-01-05 comes after 2008-09-12 in the list; list the earliest date first",
        ),
        (bad(dates__2011__date="2008-09-12"), r"dates, 2011: the date 2008-09-12 is there twice"),
        (bad(dates__2011__date="2008-11-12"), r"two of the years \[2008, 2008, .*are the same"),
        (
            bad(dates__2011__date="autumn"),
            r"dates, 2011, date: 'autumn' will not do; it must be .* such as 2008-09-14",
        ),
        (
            bad(dates__2017__cloud_share=1.2),
            r"dates, 2017, cloud_share: 1.2 will not do; it must be a number from 0 to 0.9",
        ),
        (bad(dates__2017__cloud_share=-0.1), r"dates, 2017, cloud_share: -0.1 will not do"),
        (
            bad(dates__2017__vigour=1.5),
            r"dates, 2017, vigour: 1.5 will not do; it must be a number from 0 to 1",
        ),
        (bad(dates__2017__started=0.5), r"the shares `started` add up to 1.35, not 1"),
        (bad(dates__2017__sun_deg=[130, 0]), r"dates, 2017: the sun's elevation 0 must lie above 0"),
        (
            bad(dates={2008: KARAKORAM["dates"][2008]}),
            "twin, dates: .* will not do; it must be a mapping of 2 names or more",
        ),
        (
            bad(dates=["2008-09-12", "2011-10-05"]),
            r"twin, dates: .* will not do; it must be a mapping",
        ),
        (bad(greening_years=[9, 3]), r"greening_years \[9, 3\] must be \[lowest, highest\]"),
        (bad(trigger="storm"), "trigger: 'storm' does not exist"),
        ({key: value for key, value in KARAKORAM.items() if key != "noise"}, "key 'noise' is missing"),
    ],
)
def test_bad_records_are_refused_with_a_clear_message(record, message):
    with pytest.raises(HeadscarpError, match=message):
        SeriesSpec.from_record(record)
