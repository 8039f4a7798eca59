"""Comparison of dates against maps whose changes are known."""

import json

import geopandas
import numpy as np
import pytest
from affine import Affine
from shapely.geometry import box

from headscarp.codes import SLIDE_NUMBER
from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.geo.layer import CLASSES, Layer, write_layer
from headscarp.mapping.change import ChangeRule, compare_dates, read_classes_on, track_landslides

CRS, WEST, NORTH = "EPSG:32647", 600_000.0, 3_300_000.0
RULE = ChangeRule(minimum_area_m2=8, growth_share=0.2, growth_pixels=2)


def grid(resolution, metres=64):
    size = round(metres / resolution)
    return Grid(CRS, Affine(resolution, 0, WEST, 0, -resolution, NORTH), size, size)


def scene(resolution, *slides, background=0):
    """Class codes on a grid with landslides in squares (top, left, bottom, right) in metres from the
    north-west."""
    codes = np.full(grid(resolution).shape, background, np.uint8)
    for square in slides:
        top, left, bottom, right = (round(edge / resolution) for edge in square)
        codes[top:bottom, left:right] = 1
    return codes


OLD, OLD_GROWN = (4, 4, 12, 12), (4, 4, 12, 20)
STEADY = (40, 4, 52, 16)
NEW = (4, 40, 20, 56)
LATE = (40, 40, 48, 48)
GONE = (56, 56, 60, 60)
DATES = {
    "jan": (2, (OLD, STEADY, GONE)),
    "feb": (0.5, (OLD, STEADY, NEW)),
    "mar": (1, (OLD_GROWN, STEADY, NEW, LATE)),
}


@pytest.fixture
def maps(tmp_path):
    """Class maps of three dates on grids of 2, 0.5 and 1 m, and the true slides of each."""
    paths = {}
    for date, (resolution, slides) in DATES.items():
        paths[date] = tmp_path / f"classes_{date}.tif"
        write(paths[date], scene(resolution, *slides), grid(resolution))
    return paths


def write(path, codes, where):
    write_layer(path, Layer("classes", codes, where, "class", "invented", CLASSES, 255))


def write_truth(folder, of_dates):
    """Slides {number: square} of each date as vector files."""
    paths = {}
    for date, slides in of_dates.items():
        shapes = [
            box(WEST + left, NORTH - bottom, WEST + right, NORTH - top)
            for top, left, bottom, right in slides.values()
        ]
        paths[date] = folder / f"slides_{date}.gpkg"
        geopandas.GeoDataFrame({SLIDE_NUMBER: list(slides)}, geometry=shapes, crs=CRS).to_file(paths[date])
    return paths


def compared(folder, maps, rule=RULE, truth=None):
    compare_dates(maps, folder / "landslides.gpkg", folder / "change.json", rule, truth)
    return geopandas.read_file(folder / "landslides.gpkg", layer="landslides"), json.loads(
        (folder / "change.json").read_text()
    )


def test_slides_are_followed_through_time(maps, tmp_path):
    slides, record = compared(tmp_path, maps)
    columns = ["status", "first_seen", "area_jan_m2", "area_feb_m2", "area_mar_m2"]
    assert list(slides.columns) == [*columns, "geometry"] and slides.crs == CRS
    assert slides[columns].to_numpy().tolist() == [
        ["new", "feb", 0, 256, 256],
        ["unchanged", "jan", 144, 144, 144],
        ["grown", "jan", 64, 64, 128],
        ["new", "mar", 0, 0, 64],
    ]
    np.testing.assert_allclose(slides.area, slides["area_mar_m2"])
    top, left, bottom, right = OLD_GROWN
    assert slides.geometry[2].equals(box(WEST + left, NORTH - bottom, WEST + right, NORTH - top))
    assert (
        record["dates"] == ["jan", "feb", "mar"]
        and record["resolution_m"] == 2
        and record["compared_share"] == 1
    )
    assert record["landslide_area_m2"] == {"jan": 224, "feb": 464, "mar": 592}
    assert record["by_status"] == {
        "new": {"count": 2, "area_m2": 320, "change_m2": 320},
        "grown": {"count": 1, "area_m2": 128, "change_m2": 64},
        "shrunk": {"count": 0, "area_m2": 0, "change_m2": 0},
        "unchanged": {"count": 1, "area_m2": 144, "change_m2": 0},
    }
    assert record["gone"] == {"count": 1, "area_m2": 0, "change_m2": -16} and record["truth"] is None
    assert record["rule"] == {"minimum_area_m2": 8, "growth_share": 0.2, "growth_pixels": 2}
    assert [(one["from"], one["to"]) for one in record["transitions"]] == [
        ("jan", "feb"),
        ("feb", "mar"),
        ("jan", "mar"),
    ]
    whole = np.array(record["transitions"][2]["area_m2"])
    assert whole.shape == (6, 6) and whole.sum() == 64**2
    assert whole[0, 1] == 320 + 64 and whole[1, 0] == 16 and whole[1, 1] == 208


def test_growth_and_shrinkage_need_both_a_share_and_pixels():
    assert RULE.status(100, 119, 4) == RULE.status(10, 17, 4) == "unchanged"  # 19 %; less than two pixels
    assert RULE.status(100, 81, 4) == RULE.status(17, 10, 4) == "unchanged"
    assert RULE.status(100, 125, 4) == "grown" and RULE.status(100, 75, 4) == "shrunk"
    assert RULE.status(0, 20, 4) == "new" and RULE.status(20, 0, 4) == "gone"


def test_a_slide_that_shrinks_is_not_unchanged(maps, tmp_path):
    write(maps["mar"], scene(1, OLD, (*STEADY[:3], 10)), grid(1))
    slides, record = compared(tmp_path, maps)
    assert slides[["status", "area_mar_m2"]].to_numpy().tolist() == [["shrunk", 72], ["unchanged", 64]]
    assert record["by_status"]["shrunk"] == {"count": 1, "area_m2": 72, "change_m2": -72}
    assert record["by_status"]["unchanged"] == {"count": 1, "area_m2": 64, "change_m2": 0}


def test_small_groups_are_left_out(maps, tmp_path):
    slides, record = compared(
        tmp_path, maps, ChangeRule(minimum_area_m2=100, growth_share=0.2, growth_pixels=2)
    )
    # At 64 m2 the old slide of January and February is below the smallest unit, so what it grew to is new.
    assert slides[["status", "first_seen"]].to_numpy().tolist() == [
        ["new", "feb"],
        ["unchanged", "jan"],
        ["new", "mar"],
    ]
    assert record["gone"]["count"] == 0


def test_a_slide_of_several_parts_is_one():
    masks = np.zeros((2, 10, 10), bool)
    masks[0, 2, 1:9] = True
    masks[1, 2, [1, 2, 3, 6, 7, 8]] = True
    followed = track_landslides(masks, 2)
    assert followed.pixels.tolist() == [[8, 6]] and (followed.objects[1] == masks[1]).all()


def test_the_commonest_class_is_taken_on_the_coarser_grid(tmp_path):
    codes = np.zeros((128, 128), np.uint8)
    codes[:4, :4] = np.array([[3, 3, 3, 1], [3, 3, 3, 1], [3, 3, 3, 4], [3, 1, 1, 4]])
    codes[:4, 4:8] = 255
    write(tmp_path / "fine.tif", codes, grid(0.5))
    coarse = read_classes_on(tmp_path / "fine.tif", grid(2))
    assert coarse[0, :3].tolist() == [3, 255, 0] and coarse.dtype == np.uint8


def test_pixels_without_a_class_at_any_date_are_not_compared(maps, tmp_path):
    codes = scene(0.5, OLD, STEADY, NEW)
    codes[:, :64] = 255
    write(maps["feb"], codes, grid(0.5))
    slides, record = compared(tmp_path, maps)
    assert slides["status"].tolist() == ["new", "new"] and record["compared_share"] == 0.5
    write(maps["jan"], np.where(np.arange(32) < 16, scene(2), 255).astype(np.uint8), grid(2))
    with pytest.raises(HeadscarpError, match="no pixel in common"):
        compared(tmp_path, maps)


def test_maps_without_landslides(maps, tmp_path):
    for date, (resolution, _) in DATES.items():
        write(maps[date], scene(resolution, background=3), grid(resolution))
    truth = write_truth(tmp_path, {"jan": {1: OLD}, "mar": {1: OLD_GROWN, 2: NEW}})
    slides, record = compared(tmp_path, maps, truth=truth)
    assert slides.empty and {"status", "first_seen", "area_mar_m2"} <= set(slides.columns)
    assert (
        record["truth"]["new"] == {"slides": 1, "found": 0, "mapped": 0, "false": 0}
        and record["truth"]["grown"]["slides"] == 1
    )


def test_scores_against_true_slides(maps, tmp_path):
    # The late slide is no true one, a true new slide is missed, and the half of the other that is true is its
    # larger one.
    missed = (24, 24, 32, 32)
    truth = write_truth(
        tmp_path,
        {
            "jan": {1: OLD, 2: STEADY},
            "feb": {1: OLD, 2: STEADY},
            "mar": {1: OLD_GROWN, 2: STEADY, 3: (4, 42, 20, 56), 4: missed},
        },
    )
    _, record = compared(tmp_path, maps, truth=truth)
    assert record["truth"] == {
        "overlap": 0.5,
        "new": {"slides": 2, "found": 1, "mapped": 2, "false": 1},
        "grown": {"slides": 1, "found": 1, "mapped": 1, "false": 0},
    }


def test_only_change_counts_as_found(maps, tmp_path):
    # The map shows 48 of the 64 m2 that the old slide grew by, and the new slide at the first date already.
    write(maps["jan"], scene(2, OLD, NEW), grid(2))
    write(maps["mar"], scene(1, (4, 4, 12, 18), NEW), grid(1))
    truth = write_truth(tmp_path, {"jan": {1: OLD}, "mar": {1: OLD_GROWN, 2: NEW}})
    found = compared(tmp_path, maps, truth=truth)[1]["truth"]
    assert found["grown"] == {"slides": 1, "found": 1, "mapped": 1, "false": 0}
    assert found["new"] == {"slides": 1, "found": 0, "mapped": 0, "false": 0}


def test_true_slides_beside_the_compared_pixels_do_not_count(maps, tmp_path):
    codes = scene(0.5, OLD, STEADY, NEW)
    codes[:, 64:] = 255
    write(maps["feb"], codes, grid(0.5))
    truth = write_truth(tmp_path, {"jan": {1: OLD}, "mar": {1: OLD_GROWN, 2: NEW, 3: (24, 24, 26, 26)}})
    found = compared(tmp_path, maps, truth=truth)[1]["truth"]
    assert found["new"]["slides"] == 0 and found["grown"]["slides"] == 1


def test_unfit_input_is_told(maps, tmp_path):
    with pytest.raises(HeadscarpError, match="two dates or more, but got 1: jan"):
        compared(tmp_path, {"jan": maps["jan"]})
    with pytest.raises(HeadscarpError, match=r"none\.tif does not exist"):
        compared(tmp_path, maps | {"mar": tmp_path / "none.tif"})
    truth = write_truth(tmp_path, {"jan": {1: OLD}, "mar": {1: OLD}})
    with pytest.raises(HeadscarpError, match="no true slides are given for mar"):
        compared(tmp_path, maps, truth={"jan": truth["jan"]})
    geopandas.read_file(truth["mar"]).drop(columns=SLIDE_NUMBER).to_file(truth["mar"])
    with pytest.raises(HeadscarpError, match="no column 'headscarp_slide'"):
        compared(tmp_path, maps, truth=truth)
    numbers = {
        "two": "1 of 2 values .* are no number of a slide",
        None: "are no number of a slide",
        0: "such as '0'",
        1.5: "such as '1.5'",
        1: "has the number 1 2 times",
    }
    for number, message in numbers.items():
        columns = {SLIDE_NUMBER: [1, number] if number != "two" else ["1", "two"]}
        shapes = [box(WEST, NORTH - 4, WEST + 4, NORTH), box(WEST + 8, NORTH - 4, WEST + 12, NORTH)]
        geopandas.GeoDataFrame(columns, geometry=shapes, crs=CRS).to_file(truth["mar"])
        with pytest.raises(HeadscarpError, match=rf"slides_mar\.gpkg: .*{message}"):
            compared(tmp_path, maps, truth=truth)
    with pytest.raises(HeadscarpError, match="growth_share is -1"):
        ChangeRule(growth_share=-1)
    assert not (tmp_path / "change.json").exists()
