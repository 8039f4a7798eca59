"""`headscarp check` of sites that are not rasters on one grid: collages, scene by scene, and sets of patches;
and of files in the folder of data sets."""

import json
import shutil

import numpy as np
import pytest
import rasterio
import shapely
import yaml
from affine import Affine
from scipy import ndimage

from headscarp.__main__ import main
from headscarp.areas.check import grid as grid_of_check
from headscarp.areas.check import patches as patches_of_check
from headscarp.areas.check.card import examine_card
from headscarp.areas.check.findings import report
from headscarp.areas.init.write import write_card, write_picture_card
from headscarp.errors import HeadscarpError
from headscarp.yaml_files import read_yaml
from tests.conftest import REPOSITORY
from tests.site_files import CRS, make_grid, truncate, write_picture, write_raster, write_shapes

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
]

SIDE = 160
SCENES = ("north", "south", "west")


@pytest.fixture(autouse=True)
def no_folder_of_data_sets(monkeypatch):
    monkeypatch.delenv("HEADSCARP_DATA", raising=False)


def told(checked, level, *texts):
    """Whether a finding of a level has all of the texts."""
    return any(
        one.level == level and all(text in f"{one.subject} {one.text}" for text in texts)
        for one in checked.findings
    )


def slide_corners(rng):
    """First row and column of slides of 16 x 9 cells."""
    return rng.integers(8, SIDE - 24, (14, 2))


def write_scene(folder, number, cell=0.5, slides=True):
    """Image, surface model and mask of a scene, and polygons of the first."""
    rng = np.random.default_rng(number)
    folder.mkdir(parents=True)
    grid = make_grid(SIDE, SIDE, cell, west=500_000.0 + 1000 * number)
    mask, boxes = np.zeros((SIDE, SIDE), bool), []
    for row, col in slide_corners(rng) if slides else []:
        mask[row : row + 16, col : col + 9] = True
        boxes.append(shapely.box(*(grid.transform @ (col, row + 16)), *(grid.transform @ (col + 9, row))))
    light = 90 + 20 * ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), 4) + 60 * mask
    bands = np.stack([light, light + 8, light - 8]).clip(1, 255).astype(np.uint8)
    write_raster(folder / "rgb.tif", bands, grid)
    relief = 40 * ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), 9) + np.mgrid[:SIDE, :SIDE][0]
    write_raster(folder / "dsm.tif", relief.astype(np.float32), grid)
    write_raster(folder / "mask.tif", np.where(mask, 7, 0).astype(np.uint8), grid)
    shapes = shapely.get_parts(shapely.union_all(boxes))
    write_shapes(folder / "landslides.gpkg", list(shapes))
    write_shapes(folder / "area.gpkg", [shapely.box(*grid.bounds)])


def write_scenes(folder, change=lambda card: None, **scenes):
    """Three scenes below `folder`/data and the example's card for them in `areas`; `scenes` are options of
    each."""
    for number, scene in enumerate(SCENES):
        write_scene(folder / "data" / scene, number, **scenes.get(scene, {}))
    text = (REPOSITORY / "workflow/examples/vhr_scenes.yaml").read_text(encoding="utf-8")
    card = yaml.safe_load(text.replace("EPSG:32647", CRS).replace("EPSG:32646", CRS))
    for site in card["sites"].values():
        if "layers" in site:
            site["layers"] = dict(site["layers"], grid={"like": "rgb.tif"})
    card["sampling"] |= {"window": 32, "stride": 16}
    change(card)
    (folder / "areas").mkdir()
    (folder / "areas/vhr_scenes.yaml").write_text(yaml.safe_dump(card, sort_keys=False), encoding="utf-8")
    (folder / "config.yaml").write_text("cards: [vhr_scenes]\nscale: tiny\ndata: data\n")
    return folder


def checked_sites(folder, name="vhr_scenes"):
    return {one.name: one for one in examine_card(name, folder)}


def test_a_collage_is_checked_scene_by_scene(tmp_path, monkeypatch, capsys):
    write_scenes(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["check", "vhr_scenes"]) == 0
    out = capsys.readouterr().out
    found = checked_sites(tmp_path)
    assert list(found) == [*SCENES, *(f"without_{scene}" for scene in SCENES)]
    for scene in SCENES:
        with rasterio.open(tmp_path / "data" / scene / "mask.tif") as source:
            share = (source.read(1) == 7).mean()
        assert found[scene].landslides["share"] == pytest.approx(share, abs=0.002)
        assert not found[scene].split  # it is split where it is joined
        for name in (f"without_{scene}" for scene in SCENES):
            subject = [one for one in found[name].findings if one.subject == scene]
            assert len(subject) == 1 and f"{share:.2%} of that is landslide" in subject[0].text
        # the scene that is left out is the test, whole
        split = found[f"without_{scene}"].split["landslide_cells"]
        assert split["test"] == (found[scene].label == 1).sum()
        assert min(split.values()) > 0
        assert (tmp_path / f"results/sites/{scene}/check.png").exists()
        record = json.loads((tmp_path / f"results/sites/without_{scene}/check.json").read_text())
        assert record["split"]["landslide_cells"] == split and "North left out" in out


def test_what_is_wrong_with_a_scene_is_told_of_the_collage(tmp_path):
    def change(card):
        rasters = card["sites"]["south"]["layers"]["rasters"]
        card["sites"]["south"]["layers"]["rasters"] = {
            name: rasters[name] for name in ("red", "blue", "green")
        }
        west = card["sites"]["west"]["layers"]
        west["rasters"] = {name: one | {"scale": 1.0} for name, one in west["rasters"].items()}

    found = checked_sites(write_scenes(tmp_path, change, north={"cell": 1.0}))
    assert told(found["west"], "error", "red", "reflectance is beyond")
    joined = found["without_north"]
    assert joined.status == "error" and told(joined, "error", "west", "3 errors")
    assert told(joined, "error", "scenes north and south do not fit together", "same order")
    assert told(joined, "note", "pixels of the scenes differ in size (north 1, south 0.5, west 0.5)")
    assert not told(joined, "error", "north", "errors,")


def test_a_scene_without_landslides_cannot_be_left_out(tmp_path):
    found = checked_sites(write_scenes(tmp_path, south={"slides": False}))
    assert told(found["without_south"], "warning", "scene 'south' has no landslide")
    assert found["without_north"].split["landslide_cells"]["test"] > 0


def test_scenes_without_labels_or_of_many_cells_leave_the_split_out(tmp_path, monkeypatch):
    write_scenes(tmp_path, lambda card: card["sites"]["west"]["layers"].pop("labels"))
    found = checked_sites(tmp_path)
    assert told(found["without_north"], "error", "west", "without labels")
    assert told(found["without_north"], "note", "left out: west has no labels at hand")
    monkeypatch.setattr(grid_of_check, "MOST_CELLS", 10_000)
    assert told(checked_sites(tmp_path)["without_north"], "note", "left out: west has no labels")
    (tmp_path / "areas/vhr_scenes.yaml").unlink()
    (tmp_path / "areas").rmdir()
    for scene in SCENES:
        for path in (tmp_path / "data" / scene).iterdir():
            path.unlink()
        (tmp_path / "data" / scene).rmdir()
    found = checked_sites(write_scenes(tmp_path))
    assert told(found["without_north"], "note", "left out: north is too large to be split before a run")


def test_a_collage_of_what_is_no_scene_is_refused(tmp_path):
    def change(card):
        card["sites"]["without_west"]["scenes"] = ["without_north", "south"]

    with pytest.raises(
        HeadscarpError, match="site without_west joins without_north, which is not of rasters"
    ):
        checked_sites(write_scenes(tmp_path, change))
    card = read_yaml(tmp_path / "areas/vhr_scenes.yaml")
    card["sites"]["without_west"]["scenes"] = ["nroth", "south"]
    (tmp_path / "areas/vhr_scenes.yaml").write_text(yaml.safe_dump(card))
    with pytest.raises(HeadscarpError, match=r"site without_west, scenes: .*did you mean 'north'"):
        checked_sites(tmp_path)


def test_scenes_that_are_not_simulated_yet_and_sites_of_other_cards_are_told(tmp_path):
    with pytest.raises(
        HeadscarpError, match=r"mangkam_feb: .* to be simulated: `snakemake --cores 1 .*rgb_feb"
    ):
        checked_sites(tmp_path, "xia2021")
    with pytest.raises(
        HeadscarpError, match="describes no site, it borrows all; check their own cards: iburi2018, gao2021"
    ):
        checked_sites(tmp_path, "networks")


# --- the folder of data sets


def test_local_files_are_looked_for_where_the_pipeline_looks(tmp_path, monkeypatch):
    write_scenes(tmp_path)
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    with pytest.raises(HeadscarpError, match=r"its grid lies on rgb\.tif, which is not at hand"):
        checked_sites(tmp_path)
    monkeypatch.setenv("HEADSCARP_DATA", str(tmp_path / "nowhere"))
    for given in (str(tmp_path / "elsewhere"), "elsewhere"):
        (tmp_path / "config.yaml").write_text(f"cards: [vhr_scenes]\ndata: {given}\n")
        assert checked_sites(tmp_path)["north"].files["rgb.tif"]["path"].endswith("elsewhere/north/rgb.tif")
    (tmp_path / "config.yaml").write_text("cards: [vhr_scenes]\n")
    monkeypatch.setenv("HEADSCARP_DATA", str(tmp_path / "elsewhere"))
    assert checked_sites(tmp_path)["north"].status != "error"


def test_what_the_folder_of_data_sets_lacks_is_told(tmp_path):
    write_scenes(tmp_path)
    (tmp_path / "data/south/dsm.tif").unlink()
    south = checked_sites(tmp_path)["south"]
    assert told(south, "error", "dsm.tif", "south/dsm.tif does not exist; set `data:` in config.yaml")
    (tmp_path / "config.yaml").write_text("cards: [vhr_scenes]\n")
    with pytest.raises(HeadscarpError, match=r"which is not at hand") as caught:
        checked_sites(tmp_path)
    assert "no folder of data sets is set" in str(caught.value)


def test_rasters_get_the_crs_that_the_site_gives_them(tmp_path):
    def change(card):
        card["sites"]["north"] |= {"crs": CRS, "files": ["rgb.tif", "dsm.tif", "mask.tif"]}
        card["sites"]["north"]["layers"]["labels"] = card["sites"]["south"]["layers"]["labels"]

    write_scenes(tmp_path, change)
    for name in ("rgb.tif", "dsm.tif", "mask.tif"):
        path = tmp_path / "data/north" / name
        with rasterio.open(path) as source:
            values, grid = source.read(), make_grid(SIDE, SIDE, 0.5)
        write_raster(path, values, grid, crs=None)
    north = checked_sites(tmp_path)["north"]
    assert north.status != "error" and north.files["rgb.tif"]["crs"] == CRS
    assert north.files["rgb.tif"]["path"] == str(tmp_path / "data/north/rgb.tif")


# --- sets of patches


def write_pictures(folder, count=9, side=64):
    """Pictures and masks in two folders, and the card that `init` writes of them."""
    rng = np.random.default_rng(1)
    for number in range(count):
        mask = np.zeros((side, side), np.uint8)
        mask[4 : 12 + 4 * number, 6:40] = 1
        write_picture(folder / f"pictures/p{number}.png", rng.integers(0, 255, (3, side, side), np.uint8))
        write_picture(folder / f"truth/p{number}.png", mask[None])
    write_picture_card(folder / "pictures", folder / "truth", "slopes", 0.5, folder)
    return folder


def mask_of(folder, number):
    with rasterio.open(folder / f"truth/p{number}.png") as source:
        return source.read()


def test_a_sound_set_of_patches_is_sound(tmp_path, monkeypatch, capsys):
    write_pictures(tmp_path, count=15, side=130)
    monkeypatch.chdir(tmp_path)
    assert main(["check", "slopes"]) == 0
    out = capsys.readouterr().out
    share = np.mean([mask_of(tmp_path, number).mean() for number in range(15)])
    assert "15 of 130 x 130 pixels: red, green, blue" in out and "cells of 0.5 m" in out
    assert f"{share:.2%} of what is labelled is landslide; 15 of 15 masks hold some" in out
    assert "0 errors, 0 warnings, 0 notes" in out
    record = json.loads((tmp_path / "results/sites/slopes/check.json").read_text())
    assert record["split"]["blocked"]["folds"] == 3
    assert min(record["split"]["blocked"]["least_landslide_pixels"].values()) > 0
    assert record["files"]["images"]["path"] == "pictures"
    assert sorted(path.name for path in (tmp_path / "results/sites/slopes").iterdir()) == [
        "check.json",
        "check.png",
    ]
    with rasterio.open(tmp_path / "results/sites/slopes/check.png") as page:
        assert page.height / page.width == pytest.approx(2**0.5, rel=0.01)
        assert (page.read([1, 2, 3]).std(axis=(1, 2)) > 20).all()


def test_the_page_shows_patches_as_they_are(tmp_path):
    write_pictures(tmp_path, count=20, side=700)
    (tmp_path / "truth/p7.png").unlink()
    (checked,) = examine_card("slopes", tmp_path)
    assert len(checked.shown) == 16 and all("p7" not in one.name for one in checked.shown)
    for one in checked.shown:
        number = one.name.removeprefix("images_p")
        with rasterio.open(tmp_path / f"pictures/p{number}.png") as source:
            np.testing.assert_array_equal(one.image, np.moveaxis(source.read()[:, ::3, ::3], 0, -1))
        mask = mask_of(tmp_path, number)[0]
        assert one.share == pytest.approx(mask.mean())
        np.testing.assert_array_equal(one.label, mask[::3, ::3])


def test_what_is_wrong_with_patches_is_told(tmp_path):
    write_pictures(tmp_path, count=12)
    write_picture(tmp_path / "truth/p1.png", np.where(mask_of(tmp_path, 1) > 0, 5, 0).astype(np.uint8))
    write_picture(tmp_path / "truth/p2.png", mask_of(tmp_path, 2)[:, :50])
    write_picture(tmp_path / "pictures/p3.png", np.zeros((1, 64, 64), np.uint8))
    write_picture(tmp_path / "pictures/p4.png", np.full((3, 64, 64), 9, np.uint8))
    (tmp_path / "truth/p5.png").unlink()
    write_picture(tmp_path / "truth/p6.png", np.zeros((1, 64, 64), np.uint8))
    (checked,) = examine_card("slopes", tmp_path)
    assert told(checked, "error", "images/p1.png", f"{tmp_path}/truth/p1.png holds the values 0, 5")
    assert told(checked, "error", "images/p2.png", "(50, 64) rows and columns, p2.png (64, 64)")
    assert told(checked, "error", "images/p3.png", "p3.png has 1 bands; it must have 3")
    assert told(checked, "ok", "patches", "9 of 64 x 64 pixels")
    assert told(checked, "note", "masks", "1 of 9 patches have none", "images/p5.png", "never trained")
    assert told(checked, "warning", "red", "constant or empty in 1 of 9 patches")
    assert told(checked, "ok", "masks", "7 of 8 masks hold some")
    assert checked.status == "error" and "3 errors" in report(checked)


def test_a_folder_whose_name_begins_as_another_keeps_its_own(tmp_path):
    write_pictures(tmp_path)
    files = {"images": {"path": "pictures"}, "images_masks": {"path": "truth"}}
    edit(tmp_path, lambda card: card["sites"]["slopes"].update(files=files))
    edit(tmp_path, lambda card: card["sites"]["slopes"]["patch_set"].update(masks="images_masks"))
    write_picture(tmp_path / "truth/p2.png", mask_of(tmp_path, 2)[:, :50])
    (checked,) = examine_card("slopes", tmp_path)
    assert told(checked, "error", "images/p2.png", f"{tmp_path}/truth/p2.png has (50, 64)")


def test_many_faults_are_counted(tmp_path):
    write_pictures(tmp_path)
    for number in range(8):
        truncate(tmp_path / f"truth/p{number}.png", 0.1)
    (checked,) = examine_card("slopes", tmp_path)
    assert told(checked, "error", "patches", "2 more cannot be used either")


def test_masks_of_one_kind_of_ground_are_errors(tmp_path):
    write_pictures(tmp_path)
    for number in range(9):
        write_picture(tmp_path / f"truth/p{number}.png", np.zeros((1, 64, 64), np.uint8))
    (checked,) = examine_card("slopes", tmp_path)
    assert told(checked, "error", "masks", "0.00% of what is labelled is landslide", "`values`")
    assert not checked.split
    for number in range(9):
        (tmp_path / f"truth/p{number}.png").unlink()
    (checked,) = examine_card("slopes", tmp_path)
    assert told(checked, "error", "masks", "9 of 9 patches have none", "nothing can be learnt")


def test_lonely_masks_and_missing_folders_are_told(tmp_path):
    write_pictures(tmp_path)
    (tmp_path / "pictures/p3.png").unlink()
    (checked,) = examine_card("slopes", tmp_path)
    assert told(checked, "error", "patches", "site slopes: the mask 'p3' and 0 more have no image")
    write_picture(tmp_path / "pictures/p3.png", np.zeros((3, 64, 64), np.uint8))
    truncate(tmp_path / "pictures/p3.png")
    (checked,) = examine_card("slopes", tmp_path)
    damaged = tmp_path / "pictures/p3.png"
    assert told(checked, "error", "patches", f"{damaged} cannot be read (its end is missing)")
    (tmp_path / "truth").rename(tmp_path / "gone")
    (checked,) = examine_card("slopes", tmp_path)
    assert told(checked, "error", "masks", "truth does not exist; paths start at the folder of config.yaml")


def test_an_archive_of_the_user_is_unpacked_for_the_time_of_the_check(tmp_path):
    write_pictures(tmp_path, count=15, side=130)
    for name, new in (("pictures", "images"), ("truth", "masks")):
        (tmp_path / "whole").mkdir(exist_ok=True)
        (tmp_path / name).rename(tmp_path / "whole" / new)
    shutil.make_archive(tmp_path / "set", "zip", tmp_path / "whole")
    edit(tmp_path, lambda card: card["sites"]["slopes"].update(files={"set.zip": {"path": "set.zip"}}))
    (checked,) = examine_card("slopes", tmp_path)
    assert checked.status == "ok" and told(checked, "ok", "masks", "15 of 15 masks hold some")
    assert not list((tmp_path / "results/sites/slopes").iterdir())
    truncate(tmp_path / "set.zip")
    (checked,) = examine_card("slopes", tmp_path)
    assert told(checked, "error", "patches", "set.zip could not be unpacked")


def edit(folder, change):
    card = read_yaml(folder / "areas/slopes.yaml")
    change(card)
    (folder / "areas/slopes.yaml").write_text(yaml.safe_dump(card, sort_keys=False))


def test_sizes_of_cells_and_of_windows_are_told(tmp_path):
    write_pictures(tmp_path)
    edit(tmp_path, lambda card: card["sites"]["slopes"]["patch_set"].pop("resolution_m"))
    edit(tmp_path, lambda card: card["sampling"].update(window=128, stride=64))
    (checked,) = examine_card("slopes", tmp_path)
    assert told(checked, "note", "resolution_m", "size of a pixel is not known", "give it as `resolution_m`")
    assert told(checked, "warning", "blocked", "patches of 64 pixels are smaller than the window of 128")
    for number in range(9):
        picture = np.random.default_rng(number).integers(0, 255, (3, 64, 64), np.uint8)
        place = {"crs": CRS, "transform": Affine(2, 0, 500_000, 0, -2, 3_400_000 - 5000 * number)}
        write_picture(tmp_path / f"pictures/p{number}.tif", picture, **place)
        (tmp_path / f"pictures/p{number}.png").unlink()
    edit(tmp_path, lambda card: card["sites"]["slopes"]["patch_set"].update(resolution_m=1))
    (checked,) = examine_card("slopes", tmp_path)
    assert told(checked, "warning", "resolution_m", "cells of 1 m, but 9 of 9 files have 2 to 2 m")


def test_a_large_sheet_is_not_split_and_says_so(tmp_path, monkeypatch):
    write_pictures(tmp_path)
    monkeypatch.setattr(patches_of_check, "MOST_CELLS", 1000)
    (checked,) = examine_card("slopes", tmp_path)
    assert told(checked, "note", "blocked", "left out: side by side they are 320 x 320 pixels")


def test_patches_of_the_folder_of_data_sets_and_those_to_be_fetched(tmp_path):
    write_pictures(tmp_path, count=15, side=130)
    (tmp_path / "sets/slides").mkdir(parents=True)
    for name in ("pictures", "truth"):
        (tmp_path / name).rename(tmp_path / "sets/slides" / name)
    files = {"images": {"data": "slides/pictures"}, "masks": {"data": "slides/truth"}}
    edit(tmp_path, lambda card: card["sites"]["slopes"].update(files=files))
    (checked,) = examine_card("slopes", tmp_path)
    assert told(checked, "error", "masks", "no folder of data sets is set", "that holds slides/")
    (tmp_path / "config.yaml").write_text("data: sets\n")
    (checked,) = examine_card("slopes", tmp_path)
    assert checked.status == "ok"
    (checked,) = examine_card(str(REPOSITORY / "workflow/examples/landslide4sense.yaml"), tmp_path)
    assert told(checked, "note", "TestData.zip", "to be fetched (data set landslide4sense)", "snakemake")


def test_the_real_scenes_of_sichuan(real_data, monkeypatch, tmp_path):
    monkeypatch.setenv("HEADSCARP_DATA", str(real_data("data/sichuan_aerial_landslide").parent))
    (checked,) = examine_card("sichuan_aerial", tmp_path)
    assert told(checked, "ok", "patches", "36 of 1024 x 1024 pixels")
    assert checked.landslides["share"] == pytest.approx(0.19, abs=0.005)  # as the card says
    assert checked.split["blocked"]["folds"] == 3 and checked.status == "note"


# --- large grids


def write_valley(folder, susceptibility=False):
    """An area of 10 m cells with many slides, and its card."""
    rng = np.random.default_rng(3)
    grid = make_grid(300, 300, 10.0)
    write_shapes(folder / "hill.geojson", [shapely.box(*grid.bounds).buffer(-25)])
    corners = rng.uniform(150, 2700, (150, 2))
    west, south, _, _ = grid.bounds
    boxes = [shapely.box(west + x, south + y, west + x + 90, south + y + 120) for x, y in corners]
    write_shapes(folder / "landslides.gpkg", boxes)
    relief = 300 + 60 * ndimage.gaussian_filter(rng.normal(size=grid.shape), 4)
    write_raster(folder / "dem.tif", relief.astype(np.float32), grid)
    bands = rng.uniform(0.05, 0.3, (3, *grid.shape)).astype(np.float32)
    write_raster(folder / "after.tif", bands, grid, names=["blue", "green", "red"])
    images = [] if susceptibility else [folder / "after.tif"]
    files = [folder / "landslides.gpkg", folder / "dem.tif", *images]
    write_card(
        folder / "hill.geojson", files, event="2018-09-06", folder=folder, susceptibility=susceptibility
    )


def test_a_large_grid_is_split_on_coarser_cells_and_says_so(tmp_path, monkeypatch):
    write_valley(tmp_path)
    (fine,) = examine_card("hill", tmp_path)
    cells = fine.grid.height * fine.grid.width
    monkeypatch.setattr(grid_of_check, "MOST_CELLS", cells // 4)
    (coarse,) = examine_card("hill", tmp_path)
    assert told(coarse, "ok", "blocked", "windows with", "tried on 2.0 times coarser cells")
    for name, windows in fine.split["windows"].items():
        assert coarse.split["windows"][name] == pytest.approx(windows, rel=0.5)
        assert 4 * coarse.split["landslide_cells"][name] == pytest.approx(
            fine.split["landslide_cells"][name], rel=0.5
        )
    monkeypatch.setattr(grid_of_check, "MOST_CELLS", cells // 100)
    (tiny,) = examine_card("hill", tmp_path)
    assert told(tiny, "note", "blocked", "left out: the grid is too large", "windows of 32 are too small")
    assert not tiny.split


def test_cards_with_cells_are_told_of_cells(tmp_path, monkeypatch):
    write_valley(tmp_path, susceptibility=True)
    (checked,) = examine_card("hill", tmp_path)
    assert told(checked, "ok", "landslides.gpkg", "cells are landslides") and checked.split["folds"] == 5
    assert "window" not in report(checked)
    monkeypatch.setattr(grid_of_check, "MOST_CELLS", 1000)
    (checked,) = examine_card("hill", tmp_path)
    assert told(checked, "note", "landslides.gpkg", "left out: the grid is too large to label", "cells")
    assert "window" not in report(checked)
