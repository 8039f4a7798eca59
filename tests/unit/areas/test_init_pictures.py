"""`headscarp init` of two folders of pictures and masks: a card that the plan and the stations accept; what
cannot be is told with the remedy."""

import re

import numpy as np
import pytest
from affine import Affine

from headscarp.__main__ import main
from headscarp.areas.init.pictures import summary_of_pictures
from headscarp.areas.init.write import write_picture_card
from headscarp.errors import HeadscarpError
from headscarp.plan.plan import load_plan
from headscarp.samples.build import build_samples
from headscarp.samples.spec import SamplingSpec
from headscarp.schema import validate
from headscarp.site.patch_sheet import build_patch_set
from headscarp.sources.patch_sets.registry import open_patch_set
from headscarp.yaml_files import merge, read_yaml
from tests.conftest import REPOSITORY
from tests.site_files import write_picture

METRES = Affine(0.25, 0, 500_000, 0, -0.25, 3_400_000)


def a_mask(number, shape, values=(0, 1)):
    """A slide on other ground, at a place that tells the number."""
    mask = np.full(shape, values[0], np.uint8)
    mask[number : number + shape[0] // 3, 3 : 3 + shape[1] // 2] = values[1]
    return mask


def write_set(
    folder, count=9, shape=(48, 64), suffix=".jpg", name="img_{:03}", ending="_mask", masks=None, **place
):
    """Pictures in `pictures` and their masks in `truth`."""
    rng = np.random.default_rng(2)
    for number in range(count):
        stem = name.format(number)
        mask = a_mask(number, shape) if masks is None else masks[number]
        picture = rng.integers(0, 200, (3, *mask.shape)).astype(np.uint8)
        write_picture(folder / "pictures" / f"{stem}{suffix}", picture, **place)
        write_picture(folder / "truth" / f"{stem}{ending}.png", mask[None])
    return folder / "pictures", folder / "truth"


def card_of(folder, *folders, **options):
    """The card of two folders as parsed, which fits the schema, and what is said of it."""
    path, draft = write_picture_card(*folders, "slopes", folder=folder, **options)
    record = read_yaml(path)
    validate("card", record, "card")
    return record, "\n".join(summary_of_pictures(draft))


def test_the_plan_reads_the_card_and_every_scale_can_be_split(tmp_path, monkeypatch):
    folders = write_set(tmp_path, shape=(160, 200))
    record, told = card_of(tmp_path, *folders)
    site = record["sites"]["slopes"]
    assert site["source"] == "patch_set" and site["files"]["masks"] == {"path": "truth"}
    assert "9 pictures of 160 x 200 pixels, red, green and blue, uint8" in told
    assert "9 masks, 9 with landslides" in told and "1 is landslide" in told
    monkeypatch.chdir(tmp_path)
    for scale in ("tiny", "demo", "standard", "full"):
        plan = load_plan({"cards": ["slopes"], "scale": scale}, REPOSITORY)
        assert plan.selected == ("slopes",) and not plan.skipped
        card = plan.cards["slopes"]
        assert {one.network for one in card.experiments.values()} == {"random_forest", "unet", "resunet"}
        assert {"results/tables/slopes/comparison.csv", "results/figures/slopes/fig_close_ups.png"} <= set(
            plan.targets("slopes")
        )
    raw = tmp_path / "raw"
    raw.mkdir()
    for name, origin in site["files"].items():
        (raw / name).symlink_to(tmp_path / origin["path"])
    for scale in ("tiny", "standard"):
        plan = load_plan({"cards": ["slopes"], "scale": scale}, REPOSITORY)
        cube = tmp_path / scale
        build_patch_set(plan.sites["slopes"].patch_set, raw, cube)
        spec = SamplingSpec.from_record(merge(record["sampling"], record["scales"][scale]["sampling"]))
        tested = []
        for fold in range(3):
            build_samples(cube, cube / f"fold{fold}", spec, "blocked", 0, fold=fold)
            tested.append(np.load(cube / f"fold{fold}/regions.npy") == 3)
        # every labelled pixel is tested once
        assert np.array_equal(np.sum(tested, axis=0), np.load(cube / "label.npy") != 255)


def test_pictures_larger_than_windows_lose_pixels_below_full(tmp_path):
    record, told = card_of(tmp_path, *write_set(tmp_path, count=4, shape=(512, 600)))
    sizes = {name: scale["size"] for name, scale in record["scales"].items()}
    assert sizes == {"tiny": 0.125, "demo": 0.5, "standard": 0.5, "full": 1.0}
    assert record["sampling"]["window"] == 256 and record["scales"]["tiny"]["sampling"]["window"] == 32
    assert "GiB at full" in told


@pytest.mark.parametrize(
    ("place", "given", "size", "why"),
    [
        ({}, None, None, "no file tells the size of a pixel: lengths and areas count a pixel as one metre"),
        ({}, 0.2, 0.2, "as given by --pixel"),
        ({"transform": METRES}, None, 0.25, "GUESS metres, by the world file of the files"),
        ({"transform": METRES, "crs": "EPSG:32649"}, None, 0.25, "by the CRS of the files"),
        ({"transform": METRES, "crs": "EPSG:32649"}, 0.3, 0.3, "as given by --pixel"),
        ({"transform": Affine(1e-5, 0, 100, 0, -1e-5, 30)}, None, None, "no file tells"),
        ({"transform": Affine(1, 0, 64, 0, 1, 48)}, None, None, "no file tells"),
    ],
)
def test_the_size_of_a_pixel_is_that_of_the_files_or_is_given(tmp_path, place, given, size, why):
    suffix = ".tif" if "crs" in place else ".png"
    folders = write_set(tmp_path, suffix=suffix, ending="", **place)
    if "transform" in place and suffix == ".png":  # PNG keeps no place of its own
        for path in folders[0].glob("*.png"):
            (step, turn, west, skew, down, north) = place["transform"][:6]
            lines = step, skew, turn, down, west, north
            path.with_suffix(".pgw").write_text("\n".join(f"{one:.10f}" for one in lines))
            path.with_name(f"{path.name}.aux.xml").unlink(missing_ok=True)
    record, told = card_of(tmp_path, *folders, pixel=given)
    assert record["sites"]["slopes"]["patch_set"].get("resolution_m") == size
    assert why in told


def test_pixels_of_several_sizes_are_told_and_none_is_taken(tmp_path):
    folders = write_set(tmp_path, count=5, suffix=".tif", crs="EPSG:32649", transform=METRES)
    write_set(
        tmp_path,
        count=5,
        suffix=".tif",
        name="coarse_{}",
        crs="EPSG:32649",
        transform=METRES @ Affine.scale(4),
    )
    record, told = card_of(tmp_path, *folders)
    assert "resolution_m" not in record["sites"]["slopes"]["patch_set"]
    assert "pixels are of 0.25 to 1 m, no one size" in told


NOT, SLIDE, EMPTY = "not a landslide", "landslide", "unlabelled"


@pytest.mark.parametrize(
    ("kinds", "values", "why", "codes"),
    [
        ([(0, 255)], None, "masks hold 0 and 255: 255 is landslide", {0: 0, 255: 1}),
        ([(0, 1), (0, 255)], None, "GUESS some masks hold 0 and 1, others 0 and 255", {0: 0, 1: 1, 255: 1}),
        ([(0, 7)], {0: NOT, 7: SLIDE}, "GUESS 7 is landslide", {0: 0, 7: 1}),
        ([(3, 2)], {2: SLIDE, 3: NOT}, "GUESS 2 is landslide", {3: 0, 2: 1}),
        ([(0, 1, 255)], {0: NOT, 1: SLIDE, 255: EMPTY}, "GUESS 1 is landslide", {0: 0, 1: 1, 255: 255}),
        ([(0, 1, 2, 3)], {0: NOT, 1: SLIDE, 2: NOT, 3: NOT}, "mend the others", {0: 0, 1: 1, 2: 0, 3: 0}),
        ([(0, 128, 255)], {0: NOT, 128: NOT, 255: SLIDE}, "GUESS 255 is landslide", {0: 0, 128: 0, 255: 1}),
    ],
)
def test_values_of_masks_are_told_and_read_so(tmp_path, kinds, values, why, codes):
    """`kinds`: values of the masks in turn, background, landslide and others."""
    masks = []
    for number in range(6):
        background, slide, *others = kinds[number % len(kinds)]
        mask = a_mask(number, (48, 64), (background, slide))
        for row, other in enumerate(others):
            mask[-1 - row] = other
        masks.append(mask)
    record, told = card_of(tmp_path, *write_set(tmp_path, count=6, masks=masks))
    patch_set = record["sites"]["slopes"]["patch_set"]
    assert patch_set.get("values") == values and why in told
    for folder, name in (("pictures", "images"), ("truth", "masks")):
        (tmp_path / folder).rename(tmp_path / name)
    patches = open_patch_set(
        {key: one for key, one in patch_set.items() if key != "shrinks_with_scale"}, tmp_path
    ).patches
    for mask, patch in zip(masks, patches, strict=True):
        np.testing.assert_array_equal(patch.read().label, np.vectorize(codes.get)(mask))


def test_masks_that_may_be_inverted_are_told(tmp_path):
    _, told = card_of(
        tmp_path, *write_set(tmp_path, masks=[1 - a_mask(number, (48, 64)) for number in range(9)])
    )
    assert "WARNING 83% is landslide: if masks are inverted" in told
    assert "`values: {0: landslide, 1: not a landslide}`" in told


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("img_{:03}", None),
        ("{}", None),
        ("{0}_{0}", None),
        ("tile{1}_part{0}", {"tile0", "tile1", "tile2"}),
        ("tile{1}_r1_c{0}", {"tile0", "tile1", "tile2"}),
        ("S2_tile{1}_{0}", {"S2_tile0", "S2_tile1", "S2_tile2"}),
    ],
)
def test_names_that_begin_with_a_place_keep_its_pictures_together(tmp_path, name, places):
    rng = np.random.default_rng(0)
    for number in range(9):
        stem = name.format(number, number // 3)
        write_picture(tmp_path / f"images/{stem}.png", rng.integers(0, 255, (3, 48, 64)).astype(np.uint8))
        write_picture(tmp_path / f"masks/{stem}.png", a_mask(number, (48, 64))[None])
    record, told = card_of(tmp_path, tmp_path / "images", tmp_path / "masks")
    patch_set = record["sites"]["slopes"]["patch_set"]
    if places is None:
        assert "group" not in patch_set and "GUESS each picture shows a place of its own" in told
        return
    assert "GUESS names begin with one of 3 places" in told
    listed = {key: one for key, one in patch_set.items() if key != "shrinks_with_scale"}
    assert {patch.group for patch in open_patch_set(listed, tmp_path).patches} == places


def test_pictures_without_a_mask_are_told(tmp_path):
    images, masks = write_set(tmp_path)
    (masks / "img_004_mask.png").unlink()
    _, told = card_of(tmp_path, images, masks)
    assert "8 masks, 8 with landslides" in told
    assert "1 of 9 pictures without a mask (img_004): mapped, never trained or scored on" in told


def spoil(folder, how):
    """Two folders with something wrong; returns them."""
    images, masks = write_set(folder, count=6)
    dark = np.zeros((3, 48, 64), np.uint8)
    if how == "lonely mask":
        (images / "img_002.jpg").unlink()
    elif how == "grey":
        write_picture(images / "img_002.jpg", dark[:1])
    elif how == "small":
        write_picture(images / "img_002.jpg", dark[:, :10])
        write_picture(masks / "img_002_mask.png", dark[:1, :10])
    elif how == "size":
        write_picture(masks / "img_002_mask.png", dark[:1, :40])
    elif how == "colours":
        write_picture(masks / "img_002_mask.png", np.stack([dark[0], dark[0] + 9, dark[0]]))
    elif how == "jpeg":
        (masks / "img_002_mask.png").unlink()
        blurred = np.linspace(0, 255, 48 * 64).reshape(1, 48, 64).astype(np.uint8)
        write_picture(masks / "img_002_mask.jpg", blurred)
    elif how == "large values":
        write_picture(masks / "img_002_mask.png", np.full((1, 48, 64), 300, np.uint16))
    elif how in ("one value", "two slides"):
        for path in sorted(masks.iterdir())[2 if how == "two slides" else 0 :]:
            write_picture(path, dark[:1])
    elif how == "empty":
        for path in masks.iterdir():
            path.unlink()
    elif how == "truncated":
        (images / "img_002.jpg").write_bytes((images / "img_002.jpg").read_bytes()[:20])
    elif how == "twins":
        write_picture(images / "img_002.png", dark)
    elif how == "one folder":
        return images, images
    return images, masks


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            "lonely mask",
            r"1 of 6 masks in .*truth have no picture of their name in .*pictures \(img_002\); name",
        ),
        ("grey", r"img_002\.jpg has 1 bands; it must have 3"),
        ("small", r"img_002 has 10 x 64 pixels, too few .*less than 16 a side"),
        ("size", r"img_002_mask\.png has \(40, 64\) rows and columns, img_002\.jpg \(48, 64\)"),
        ("colours", r"img_002_mask\.png has 3 bands that differ"),
        ("jpeg", r"img_002_mask\.jpg holds \d+ values from 0 to 25\d, as JPEG blurs them; .*PNG or TIFF"),
        ("large values", r"img_002_mask\.png holds 300; a mask must hold whole numbers from 0 to 255"),
        ("one value", r"all masks hold the value 0 alone; landslides must have one"),
        ("two slides", r"2 of 6 masks hold landslides, and training, validation and test need"),
        ("empty", r"truth holds no picture \(\.tif.*give the folder in which they lie"),
        ("truncated", r"img_002\.jpg cannot be read"),
        ("twins", r"img_002\.(jpg|png) and img_002\.(jpg|png), which stand for one patch"),
        ("one folder", r"pictures is given twice; put pictures and masks into a folder each"),
    ],
)
def test_unfit_folders_are_refused_and_no_card_is_written(tmp_path, how, message):
    folders = spoil(tmp_path, how)
    with pytest.raises(HeadscarpError, match=re.compile(message, re.DOTALL)):
        write_picture_card(*folders, "slopes", folder=tmp_path)
    assert not (tmp_path / "areas").exists()


def test_the_command_writes_the_card_once_and_says_what_to_do(tmp_path, monkeypatch, capsys):
    write_set(tmp_path)
    monkeypatch.chdir(tmp_path)
    call = ["init", "pictures", "truth", "--name", "slopes", "--pixel", "0.5"]
    assert main(call) == 0
    out = capsys.readouterr().out
    assert "pixel: 0.5 m, as given" in out and "headscarp check slopes" in out
    assert (tmp_path / "config.yaml").exists()
    before = (tmp_path / "areas/slopes.yaml").read_bytes()
    assert main(call) == 2 and "exists already" in capsys.readouterr().err
    assert (tmp_path / "areas/slopes.yaml").read_bytes() == before


def test_tiles_as_they_are_cut_from_one_picture_stay_together_row_by_row(tmp_path):
    """Names that gdal_retile.py gives."""
    rng = np.random.default_rng(0)
    for row, col in np.ndindex(6, 6):
        name = f"slope_{row + 1}_{col + 1}.tif"
        write_picture(tmp_path / "images" / name, rng.integers(0, 255, (3, 40, 50)).astype(np.uint8))
        write_picture(tmp_path / "masks" / name, a_mask(row, (40, 50))[None])
    record, _ = card_of(tmp_path, tmp_path / "images", tmp_path / "masks")
    patch_set = record["sites"]["slopes"]["patch_set"]
    listed = {key: one for key, one in patch_set.items() if key != "shrinks_with_scale"}
    groups = {patch.group for patch in open_patch_set(listed, tmp_path).patches}
    assert groups == {f"slope_{row}" for row in range(1, 7)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pictures", "truth"], "give it a --name"),
        (["pictures", "--name", "x"], "pictures is a folder; give two"),
        (["pictures", "truth", "notes.txt", "--name", "x"], "pictures is a folder; give two"),
        (["pictures", "truth", "--name", "Big One"], "lower-case"),
        (["pictures", "truth", "--name", "x", "--pixel", "0"], "metres above 0"),
        (["pictures", "truth", "--name", "x", "--resolution", "10"], "--resolution: not for folders of"),
        (["pictures", "truth", "--name", "x", "--event", "2018-09-06"], "--event: not for folders of"),
        (["pictures", "truth", "--name", "x", "--susceptibility"], "--susceptibility: not for folders of"),
    ],
)
def test_bad_calls_say_what_to_do(tmp_path, monkeypatch, capsys, arguments, message):
    write_set(tmp_path, count=3)
    (tmp_path / "notes.txt").write_text("")
    monkeypatch.chdir(tmp_path)
    assert main(["init", *arguments]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "areas").exists()
