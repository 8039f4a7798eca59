"""Runs across scenes: terrain over windows, parts of a grid, raw files of other cards, and what tables and
figures say of every pair."""

import copy
import json
import shutil

import numpy as np
import pytest
from rasterio.transform import array_bounds
from scipy import ndimage

from headscarp.errors import HeadscarpError
from headscarp.exhibits.figures.cross_matrix import cross_matrix
from headscarp.exhibits.pages import markdown_page
from headscarp.exhibits.render import sections_of
from headscarp.exhibits.sections import Page
from headscarp.exhibits.tables.costs import lightweight
from headscarp.exhibits.tables.gains import score_gains
from headscarp.exhibits.tables.scenes import cross_scene
from headscarp.geo.grid import part_of
from headscarp.geo.layer import read_layer
from headscarp.plan.model import Run
from headscarp.plan.plan import load_plan
from headscarp.scoring.score import score_run, write_scores
from headscarp.site import terrain
from headscarp.site.checks import check_record
from headscarp.site.terrain_names import check_terrain, names_over_windows, parse_windowed
from tests.conftest import REPOSITORY
from tests.site_files import make_grid, write_raster
from tests.world import one, run_record, spec_of

CELL = 30.0
GRID = make_grid(41, 47, CELL)

# --- terrain over windows


def rough(seed=3, shape=GRID.shape):
    return ndimage.gaussian_filter(np.random.default_rng(seed).normal(1000, 300, shape), 3)


@pytest.mark.parametrize("cells", [3, 9, 27])
def test_mean_elevation_is_that_of_scipy_s_uniform_filter(cells):
    dem, reach = rough(), cells // 2
    inner = np.s_[reach:-reach, reach:-reach]
    np.testing.assert_allclose(
        terrain.mean_elevation(dem, cells)[inner], ndimage.uniform_filter(dem, cells)[inner], rtol=1e-9
    )
    position = terrain.topographic_position(dem, GRID, cells)
    np.testing.assert_allclose(position[inner], (dem - ndimage.uniform_filter(dem, cells))[inner], atol=1e-3)


def test_slope_over_one_cell_is_richdem_s_and_over_more_that_of_the_smoothed_model():
    dem = rough()
    np.testing.assert_allclose(terrain.slope_over(dem, GRID, 1), terrain.slope(dem, GRID), rtol=1e-5)
    inner = np.s_[6:-6, 6:-6]
    smooth = terrain.slope(ndimage.uniform_filter(dem, 9), GRID)
    np.testing.assert_allclose(terrain.slope_over(dem, GRID, 9)[inner], smooth[inner], rtol=1e-5)
    assert np.median(smooth) < np.median(terrain.slope(dem, GRID))


@pytest.mark.parametrize("cells", [3, 9, 27])
def test_a_plane_keeps_its_slope_up_to_the_border_and_has_no_position(cells):
    """tan 20 degrees to the east: elevation falls by as much per metre everywhere."""
    dem = 5000 - np.tan(np.radians(20)) * CELL * np.arange(GRID.width) * np.ones((GRID.height, 1))
    np.testing.assert_allclose(terrain.slope_over(dem, GRID, cells), 20, atol=1e-3)
    np.testing.assert_allclose(terrain.topographic_position(dem, GRID, cells), 0, atol=1e-3)
    middle = terrain.relief(dem, GRID, cells)[:, cells:-cells]
    np.testing.assert_allclose(middle, (cells - 1) * CELL * np.tan(np.radians(20)), rtol=1e-4)


def test_a_ridge_stands_above_and_a_valley_below_its_surroundings():
    dem = np.full(GRID.shape, 500.0)
    dem[:, 10], dem[:, 35] = 590.0, 410.0
    position = terrain.topographic_position(dem, GRID, 9)
    np.testing.assert_allclose(position[:, 10], 80, rtol=1e-5)  # 90 m less a ninth of it
    np.testing.assert_allclose(position[:, 35], -80, rtol=1e-5)


def test_a_window_that_reaches_no_data_is_no_data():
    dem = rough()
    dem[20, 20] = np.nan
    for derive, reach in ((terrain.topographic_position, 4), (terrain.relief, 4), (terrain.slope_over, 5)):
        missing = np.isnan(derive(dem, GRID, 9))
        assert (
            missing[20 - reach : 21 + reach, 20 - reach : 21 + reach].all()
            and missing.sum() == (2 * reach + 1) ** 2
        )


def test_layers_over_windows_are_made_when_asked_for_and_the_others_stay_as_they_are(tmp_path):
    path = write_raster(tmp_path / "dem.tif", rough().astype(np.float32), GRID)
    terrain.derive_terrain(path, tmp_path / "plain")
    terrain.derive_terrain(path, tmp_path / "more", ["slope_9", "relief_27", "tpi_9"])
    plain, more = (
        {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("plain", "more")
    )
    assert set(more) - set(plain) == {"slope_9.tif", "relief_27.tif", "tpi_9.tif"}
    assert all(more[name] == content for name, content in plain.items())
    layers = {
        name: read_layer(tmp_path / "more" / f"{name}.tif") for name in ("slope_9", "relief_27", "tpi_9")
    }
    assert {name: layer.units for name, layer in layers.items()} == {
        "slope_9": "degree",
        "relief_27": "m",
        "tpi_9": "m",
    }
    assert "9 x 9 cells" in layers["slope_9"].source and "Horn 1981" in layers["slope_9"].source
    assert "27 x 27 cells" in layers["relief_27"].source and "Weiss 2001" in layers["tpi_9"].source
    assert "cells of 30 m" in layers["tpi_9"].source


def test_names_over_windows():
    assert names_over_windows(["slope", "slope_9", "twi", "tpi_27"]) == ["slope_9", "tpi_27"]
    assert parse_windowed("relief_27") == ("relief", 27)
    for name in ("slope_4", "tpi_1", "relief_0"):
        with pytest.raises(HeadscarpError, match=f"'{name}' cannot be: a window is centred on a cell"):
            check_terrain(name, "site x, terrain")
    with pytest.raises(HeadscarpError, match="did you mean 'slope'"):
        check_terrain("slop", "site x, terrain")


# --- parts of a grid


def test_parts_of_a_grid_meet_without_sharing_a_cell():
    grid = make_grid(30, 41, 10.0)
    west, east = part_of(grid, "x", 0, 0.48), part_of(grid, "x", 0.48, 1)
    assert (west.width, east.width) == (20, 21) and west.height == east.height == 30
    bounds = [array_bounds(one.height, one.width, one.transform) for one in (west, east, grid)]
    assert bounds[0][2] == bounds[1][0] == bounds[2][0] + 200
    assert bounds[0][0] == bounds[2][0] and bounds[1][2] == bounds[2][2]
    south = part_of(grid, "y", 0.5, 1)
    assert (south.height, south.width) == (15, 41) and array_bounds(15, 41, south.transform)[1] == bounds[2][
        1
    ]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"axis": "x", "from": 0.5, "to": 0.5}, "from 0.5 to 0.5 is no part; give two rising shares"),
        ({"axis": "x", "from": 0, "to": 50}, "part, to: 50 will not do; it must be a number from 0 to 1"),
        ({"axis": "x", "from": "0", "to": 1}, "part, from: '0' will not do; it must be a number"),
        ({"axis": "z", "from": 0, "to": 1}, "part, axis: 'z' does not exist"),
        ({"axis": "x", "from": 0}, "the key 'to' is missing"),
        ({"axis": "x", "form": 0, "to": 1}, "did you mean 'from'"),
        ("west", "part: 'west' will not do; it must be a mapping of axis, from, to"),
    ],
)
def test_a_bad_part_is_one_clear_line(part, message):
    record = {
        "name": "s",
        "data": "real",
        "grid": {"like": "a.tif", "part": part},
        "dates": ["2018-09-06"],
        "rasters": {},
    }
    with pytest.raises(HeadscarpError) as error:
        check_record(record)
    assert "site s, layers, grid, part" in str(error.value) and message in str(error.value)


# --- the plan

CONFIG = {"cards": ["xing2026"], "scale": "tiny"}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The cards of this paper and of the files that they share."""
    shutil.copytree(
        REPOSITORY / "workflow", tmp_path / "workflow", ignore=shutil.ignore_patterns("__pycache__")
    )
    for path in (tmp_path / "workflow/cards").glob("*.yaml"):
        if path.stem not in ("xing2026", "xing2026_real", "four_regions", "iburi2018"):
            path.unlink()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADSCARP_MIRROR", raising=False)
    return tmp_path


def test_cross_tables_read_every_run_on_every_other_region(root):
    plan = load_plan(CONFIG, root)
    files = plan.exhibits.inputs(plan.exhibits.find("xing2026", "cross_scene"))
    assert len(files) == 3 * 4 * (2 + 2 * 2)  # regions, rows, files of the run and of it on two others
    run = Run(card="xing2026", site="region_b", experiment="resu_cbnet", protocol="blocked", seed=0)
    assert {
        f"{run.home}/scores.json",
        f"{run.folder_of('region_a')}/counts.npz",
        f"{run.folder_of('region_c')}/scores.json",
    } <= set(files)
    assert run.home == run.folder_of("region_b") and len(set(files)) == len(files)
    assert f"{run.folder}/scores.json" not in files


def test_all_regions_have_the_common_bands_and_elevation_models_of_equal_cells(root):
    plan = load_plan(CONFIG, root)
    sites = plan.cards["xing2026"].sites.values()
    assert len({site.twin["sensor"] for site in sites}) == 3
    assert {site.twin["resolution_m"] * site.twin["dem_factor"] for site in sites} == {30}
    for site in sites:
        assert {"red", "green", "blue"} <= set(site.layers["rasters"])
        assert site.windowed_terrain == [
            "slope_9",
            "slope_27",
            "relief_9",
            "relief_27",
            "tpi_9",
            "tpi_27",
        ]
    assert plan.sites["iburi"].windowed_terrain == []


def test_raw_files_may_be_those_of_another_card(root):
    plan = load_plan(CONFIG | {"cards": ["xing2026", "xing2026_real"]}, root)
    west = plan.sites["iburi_west"]
    assert "results/sites/iburi/raw/post_B04.tif" in west.raw_files
    assert west.layers["grid"]["resolution_m"] == 25 and west.layers["grid"]["part"]["to"] == 0.48


def test_a_raw_site_of_no_card_is_named(root):
    overlay = {"xing2026_real": {"sites": {"iburi_west": {"raw": "ibury"}}}}
    with pytest.raises(
        HeadscarpError,
        match="card xing2026_real, site iburi_west: raw 'ibury' does not exist; did you mean 'iburi'",
    ):
        load_plan(CONFIG | {"overlay": overlay}, root)


def test_without_the_archive_the_real_card_is_skipped_and_the_twins_run(root):
    path = root / "workflow/cards/archive/iburi2018.csv"
    path.write_text(path.read_text().replace("https://", "http://127.0.0.1:9/"))
    plan = load_plan(CONFIG | {"cards": ["xing2026", "xing2026_real"]}, root)
    assert (
        plan.selected == ("xing2026",) and "files of site iburi are neither" in plan.skipped["xing2026_real"]
    )


# --- tables and figures

WIDTHS = {"region_a": 60, "region_b": 80}
SKILL = {"image": 1.0, "both": 3.0}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two regions of different sizes, two rows trained on each, scored at home and away by the library's own
    scoring."""
    root, rng, runs = tmp_path_factory.mktemp("cross"), np.random.default_rng(5), []
    places = {}
    for site, width in WIDTHS.items():
        label = (ndimage.gaussian_filter(rng.normal(size=(60, width)), 3) > 0.15).astype(np.uint8)
        cells = (np.arange(60)[:, None] // 15 * 10 + np.arange(width) // 15).astype(np.int32)
        regions = np.full(label.shape, 3, np.uint8)
        regions[:, :20], regions[:, 20:30] = 1, 2
        places[site] = label, ndimage.label(label)[0].astype(np.int32), regions, cells
    for trained in WIDTHS:
        for row, skill in SKILL.items():
            folder = root / "runs" / "card" / trained / row / "blocked" / "seed0"
            threshold = None
            for scored in sorted(WIDTHS, key=lambda site: site != trained):
                label, instances, regions, cells = places[scored]
                home = scored == trained
                logit = skill * (label - 0.5) * (2 if home else 1) + rng.normal(size=label.shape)
                probability = (1 / (1 + np.exp(-logit))).astype(np.float32)
                regions = regions if home else np.full_like(regions, 3)
                scores, arrays = score_run(
                    probability, label, instances, regions, cells, 100.0, "blocked", "twin", 0, threshold
                )
                threshold = scores["threshold"]
                write_scores(folder / scored, scores, arrays)
            maps = {"seconds": 1.5, "pixels": 500_000, "device": "CPU"}
            (folder / trained / "map.json").write_text(json.dumps(maps))
            runs.append(run_record(folder, row, row.capitalize(), "blocked", 0, folder / trained))
    sites = [
        {"name": site, "title": f"Region {site[-1].upper()} (simulated)", "folder": str(root), "data": "twin"}
        for site in WIDTHS
    ]
    described = {
        "network": "resu_cbnet",
        "width": 0.25,
        "params": {},
        "channels": ["red", "green", "blue"],
    }
    return {
        "sites": sites,
        "runs": runs,
        "experiments": {"image": described, "both": described | {"params": {"attention": False}}},
    }


def at_home(world, site="region_a"):
    return world | {
        "sites": [one for one in world["sites"] if one["name"] == site],
        "runs": [run for run in world["runs"] if f"/{site}/" in run["folder"]],
    }


def scores_at(world, trained, row, scored):
    folder = next(run["folder"] for run in world["runs"] if f"/{trained}/{row}/" in run["folder"])
    with open(f"{folder}/{scored}/scores.json") as stream:
        return json.load(stream)


def test_every_pair_of_regions_has_the_scores_of_its_own_file(world):
    frame = cross_scene(spec_of(world, "cross_scene"))
    assert frame["row"].nunique() == 2 * 2 * 2
    for trained in WIDTHS:
        for scored in WIDTHS:
            for row in SKILL:
                stored = scores_at(world, trained, row, scored)
                for name, metric in (
                    ("pa", "accuracy"),
                    ("cpa", "precision"),
                    ("f1", "f1"),
                    ("miou", "miou"),
                ):
                    line = one(frame, f"{trained}:{scored}:{row}", name, "blocked")
                    assert line["value"] == pytest.approx(100 * stored["metrics"][metric])
                    assert line["ci_low"] <= line["value"] <= line["ci_high"]
                share = one(frame, f"{trained}:{scored}:{row}", "landslide_share_percent", "blocked")
                assert share["value"] == pytest.approx(100 * stored["landslide_share"])
    assert "the test part of the region" in one(frame, "region_a:region_a:both", "f1", "blocked")["note"]
    assert "the whole region" in one(frame, "region_a:region_b:both", "f1", "blocked")["note"]


def test_an_unseen_region_is_scored_at_the_threshold_of_home(world):
    home, away = (scores_at(world, "region_b", "both", scored) for scored in ("region_b", "region_a"))
    assert home["threshold"] == away["threshold"]
    assert away["n_pixels"] == 60 * 60 and home["n_pixels"] == 60 * 50


def test_published_scores_stand_beside_the_pairs_that_the_card_names(world):
    published = [{"row": "region_1", "metric": "pa", "value": 92.8, "unit": "percent"}]
    options = {"published_rows": {"region_a:region_b:both": "region_1"}}
    frame = cross_scene(spec_of(world, "cross_scene", published=published, options=options))
    line = one(frame, "region_a:region_b:both", "pa", "blocked")
    assert line["published"] == 92.8 and line["difference"] == pytest.approx(line["value"] - 92.8)
    assert frame["published"].notna().sum() == 1
    with pytest.raises(HeadscarpError, match="published_rows: name 'region_a:region_d:both' does not exist"):
        cross_scene(
            spec_of(world, "cross_scene", options={"published_rows": {"region_a:region_d:both": "region_1"}})
        )
    labels = spec_of(world, "cross_scene").labels
    text = markdown_page(Page("T", "t", list(sections_of(frame, labels, compares=True))))
    assert (
        "| PA (pixel accuracy) | CPA (landslide precision) | F1 | mIoU |" in text
        and "(published 92.80)" in text
    )


def test_gains_are_differences_in_points_beside_the_printed_ones(world):
    published = [{"row": "multi", "metric": "f1_gain", "value": 6.9, "unit": "percentage points"}]
    pairs = [{"rows": ["both", "image"], "label": "what topography adds", "published": "multi"}]
    spec = spec_of(at_home(world), "score_gains", published=published, options={"pairs": pairs})
    frame = score_gains(spec)
    stored = {row: scores_at(world, "region_a", row, "region_a")["metrics"] for row in SKILL}
    for name, metric in (("pa", "accuracy"), ("cpa", "precision"), ("f1", "f1"), ("miou", "miou")):
        line = one(frame, "both_vs_image", name, "blocked")
        assert line["value"] == pytest.approx(100 * (stored["both"][metric] - stored["image"][metric]))
        assert line["ci_low"] < line["value"] < line["ci_high"]
        assert one(frame, "both", name, "blocked")["value"] == pytest.approx(100 * stored["both"][metric])
    gain = one(frame, "both_vs_image", "f1", "blocked")
    assert (
        gain["published"] == 6.9
        and gain["difference"] == pytest.approx(gain["value"] - 6.9)
        and gain["ci_low"] > 0
    )
    assert "what topography adds: difference in percentage points" in gain["note"]
    assert np.isnan(one(frame, "both_vs_image", "pa", "blocked")["published"])


def test_costs_are_counted_at_full_width_and_timed_on_the_map(world):
    from headscarp import networks

    frame = lightweight(spec_of(at_home(world), "lightweight"))
    for row, params in (("image", {}), ("both", {"attention": False})):
        model = networks.build("resu_cbnet", 3, **params)
        assert one(frame, row, "parameters")["value"] == networks.count_parameters(model)
        assert one(frame, row, "seconds_per_megapixel")["value"] == pytest.approx(3.0)
    # The first unit alone: 3 x 3 convolutions of 3 to 16 and 16 to 16 maps, and the shortcut, at every pixel
    # of a megapixel.
    assert (
        one(frame, "both", "giga_multiply_adds_per_megapixel")["value"]
        > (9 * 3 * 16 + 9 * 16 * 16) * 1e6 / 1e9
    )
    assert (
        set(frame["data"]) == {"network", "twin"}
        and "width 0.25" in one(frame, "image", "seconds_per_megapixel")["note"]
    )


def test_the_matrix_shows_f1_of_every_pair_and_frames_home(world):
    spec = spec_of(world, "cross_matrix")
    figure, frame = cross_matrix(spec)
    assert set(frame["metric"]) == {"f1"} and len(frame) == 8
    panels = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title(loc="left") or axes.get_title() for axes in panels] == ["(a) Image", "(b) Both"]
    for axes, row in zip(panels, SKILL, strict=True):
        shown = np.asarray(axes.images[0].get_array())
        for y, trained in enumerate(WIDTHS):
            for x, scored in enumerate(WIDTHS):
                value = 100 * scores_at(world, trained, row, scored)["metrics"]["f1"]
                assert shown[y, x] == pytest.approx(value)
                assert any(
                    text.get_text().startswith(f"{value:.1f}") and text.get_position() == (x, y)
                    for text in axes.texts
                )
        assert {patch.get_xy() for patch in axes.patches} == {(-0.5, -0.5), (0.5, 0.5)}
    assert "Simulated" in figure.get_supxlabel()


def test_a_pair_that_was_not_scored_is_named(world, tmp_path):
    broken = copy.deepcopy(world)
    moved = tmp_path / "runs" / "card" / "region_a" / "image" / "blocked" / "seed0"
    shutil.copytree(broken["runs"][0]["folder"], moved)
    shutil.rmtree(moved / "region_b")
    broken["runs"][0] |= {"folder": str(moved), "maps": str(moved / "region_a")}
    with pytest.raises(HeadscarpError, match=r"seed0/region_b/scores\.json"):
        cross_scene(spec_of(broken, "cross_scene"))
