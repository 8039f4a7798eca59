"""`headscarp init` of pictures of one frame without a place: a card whose place is made up; what cannot be is
told with the remedy and leaves nothing."""

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine

from headscarp.__main__ import main
from headscarp.areas.check.card import examine_card
from headscarp.areas.check.findings import ERROR
from headscarp.areas.init.frame import frame_of
from headscarp.areas.init.summary import summary
from headscarp.areas.init.write import write_framed_card
from headscarp.errors import HeadscarpError
from headscarp.plan.plan import load_plan
from headscarp.schema import validate
from headscarp.yaml_files import merge, read_yaml
from tests.conftest import REPOSITORY
from tests.site_files import write_picture

SHAPE = (384, 512)


def a_mask(shape=SHAPE, slides=14):
    """Landslides (255) all over other ground."""
    mask, rng = np.zeros(shape, np.uint8), np.random.default_rng(1)
    for row, col in zip(
        rng.integers(0, shape[0] - 40, slides), rng.integers(0, shape[1] - 40, slides), strict=True
    ):
        mask[row : row + 40, col : col + 30] = 255
    return mask


def write_frame_files(folder, mask="slope_mask.png"):
    """A photo, its mask and, at half its pixels, heights."""
    rng = np.random.default_rng(2)
    truth = a_mask()
    light = rng.normal(90, 12, (3, *SHAPE)) + 80 * (truth > 0)
    write_picture(folder / "slope.jpg", light.clip(0, 255).astype(np.uint8))
    write_picture(folder / mask, truth[None])
    heights = 300 + np.add.outer(np.arange(SHAPE[0] // 2), np.arange(SHAPE[1] // 2)) * 0.5
    write_picture(folder / "dsm.tif", heights[None].astype(np.float32))
    return [folder / name for name in ("slope.jpg", mask, "dsm.tif")]


def card_of(folder, files, **options):
    path, draft = write_framed_card(files, folder=folder, **options)
    record = read_yaml(path)
    validate("card", record, "card")
    return record, "\n".join(summary(draft))


@pytest.mark.parametrize("mask", ["slope_mask.png", "mask.png", "landslides.png", "red_areas.png"])
def test_the_mask_is_found_whatever_it_is_called(tmp_path, mask):
    """A name may speak of what else rasters are of (slope)."""
    record, told = card_of(tmp_path, write_frame_files(tmp_path, mask), pixel=0.5)
    layers = record["sites"]["slope"]["layers"]
    assert layers["labels"]["values"] == {0: "not a landslide", 255: "landslide"}
    assert layers["grid"]["resolution_m"] == 0.5 and layers["dem"] == "dem.tif"
    assert [name for name in layers["rasters"]] == ["red", "green", "blue"]
    assert record["sites"]["slope"]["placeless"] is True
    assert "384 x 512 pixels of 0.5 m, as given by --pixel; its place is made up" in told
    assert "degrees" not in told


def test_check_and_plan_take_the_card(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_frame_files(tmp_path)
    assert (
        main(["init", "slope.jpg", "slope_mask.png", "dsm.tif", "--pixel", "0.5", "--event", "2018-09-06"])
        == 0
    )
    (checked,) = examine_card("slope")
    assert checked.status != ERROR and checked.grid.shape == SHAPE
    assert checked.landslides["share"] == pytest.approx((a_mask() > 0).mean(), abs=1e-5)
    config = merge(read_yaml(REPOSITORY / "config.yaml"), {"cards": ["slope"], "scale": "standard"})
    plan = load_plan(config, REPOSITORY)
    assert plan.sites["slope"].placeless
    assert not any("stac" in str(origin) for origin in plan.sites["slope"].origins.values())


def test_pictures_lie_pixel_on_pixel_in_their_frame(tmp_path):
    files = write_frame_files(tmp_path)
    write_framed_card(files, folder=tmp_path, pixel=0.13)
    box = geopandas.read_file(tmp_path / "areas/slope/outline.gpkg").total_bounds
    for name, step in (("slope", 0.13), ("slope_mask", 0.13), ("dsm", 0.26)):
        with rasterio.open(tmp_path / f"areas/slope/{name}.vrt") as placed:
            assert placed.bounds == pytest.approx(tuple(box)) and placed.res == pytest.approx((step, step))
            values = placed.read()
        with rasterio.open(next(path for path in files if path.stem == name)) as picture:
            np.testing.assert_array_equal(values, picture.read())
    assert np.isclose(np.array(box) / 0.13, np.round(np.array(box) / 0.13), atol=1e-6).all()


def test_a_world_file_tells_the_size_of_a_pixel(tmp_path):
    files = write_frame_files(tmp_path)
    (tmp_path / "slope.jgw").write_text("0.25\n0\n0\n-0.25\n100\n200\n")
    frame = frame_of(files, None)
    assert frame.pixel_m == 0.25 and "0.25 m, by the world file" in frame.told
    assert frame_of(files, 0.5).pixel_m == 0.5


@pytest.mark.parametrize(("east", "is_refused"), [(100.1, False), (130, True)])
def test_world_files_that_lay_pictures_apart_are_refused(tmp_path, east, is_refused):
    files = write_frame_files(tmp_path)
    (tmp_path / "slope.jgw").write_text("0.25\n0\n0\n-0.25\n100\n200\n")
    (tmp_path / "slope_mask.pgw").write_text(f"0.25\n0\n0\n-0.25\n{east}\n200\n")
    if is_refused:
        with pytest.raises(HeadscarpError, match=r"slope_mask.png and .*slope.jpg have world files that lay"):
            frame_of(files, 0.5)
    else:
        assert frame_of(files, 0.5).shape == SHAPE


def test_a_card_that_cannot_be_written_leaves_nothing(tmp_path):
    (photo, mask, dsm) = write_frame_files(tmp_path)
    with pytest.raises(HeadscarpError, match="none of the files is a picture of red, green and blue"):
        write_framed_card([dsm, mask], folder=tmp_path, pixel=1)
    assert not list((tmp_path / "areas").iterdir())
    write_framed_card([photo, mask], folder=tmp_path, pixel=1)
    (tmp_path / "areas/slope.yaml").unlink()
    with pytest.raises(HeadscarpError, match=r"areas/slope exists already.*another --name"):
        write_framed_card([photo, mask], folder=tmp_path, pixel=1)


def prepare(folder):
    """Files that do not fit together."""
    place = {"crs": "EPSG:32649", "transform": Affine(0.25, 0, 500_000, 0, -0.25, 3_400_000)}
    write_frame_files(folder)
    write_picture(folder / "placed.tif", np.zeros((3, *SHAPE), np.uint8), **place)
    write_picture(folder / "cut.png", a_mask((300, 512))[None])
    write_picture(folder / "other/slope.png", a_mask()[None])
    (folder / "slides.geojson").write_text('{"type": "FeatureCollection", "features": []}')


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["slope.jpg", "slope_mask.png"], "nothing tells how large a pixel of slope.jpg is"),
        (["slope.jpg", "slope_mask.png", "--pixel", "-1"], "metres above 0"),
        (["slope.jpg", "cut.png", "--pixel", "1"], "cut.png has 300 x 512 pixels and slope.jpg 384 x 512"),
        (
            ["slope.jpg", "placed.tif", "--pixel", "1"],
            "placed.tif has a CRS (EPSG:32649) and slope.jpg has none",
        ),
        (["placed.tif", "slope_mask.png"], "placed.tif is a raster and no outline"),
        (["slope.jpg", "other/slope.png", "--pixel", "1"], "have one name; rename all but one"),
        (["slope.jpg", "slides.geojson", "--pixel", "1"], "slides.geojson is a vector file"),
        (["missing.jpg", "slope_mask.png", "--pixel", "1"], "missing.jpg does not exist"),
        (
            ["slope.jpg", "slope_mask.png", "--pixel", "1", "--dates", "2018-09-06"],
            "--dates: not for pictures",
        ),
        (["slope.jpg", "slope_mask.png", "--pixel", "1", "--susceptibility"], "--susceptibility: not for"),
        (["outline.geojson", "--pixel", "2"], "--pixel is for pictures without CRS"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_remedy(tmp_path, monkeypatch, capsys, arguments, message):
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["init", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("areas/*"))
