"""Landslides as users bring them, from `init` to the layers: the right label, or one sentence that says what
to do."""

from itertools import chain

import numpy as np
import pytest
import shapely

from headscarp.errors import HeadscarpError
from headscarp.samples.build import build_samples
from headscarp.samples.spec import SamplingSpec
from headscarp.site.stack import build_cube
from tests import valley as v

RASTER = ("before.tif", "after.tif", "dem.tif", "landslides.tif")
LOWEST = float(np.finfo(np.float32).min)


def mask(dtype="uint8", background=0, slide=1):
    return np.where(v.truth() == 1, slide, background).astype(dtype)


def run(folder, files):
    """All that init, check and the layers say of an area."""
    said, status = v.init(folder, files)
    assert status == 0, said
    return said + (folder / "areas" / "valley.yaml").read_text() + v.check(folder) + v.build(folder)


def require_truth(folder, said):
    codes, transform = v.label(folder)
    np.testing.assert_array_equal(codes, v.truth(transform, codes.shape), said)


@pytest.mark.parametrize(
    ("values", "nodata", "guess"),
    [
        (mask(), None, "{0: not a landslide, 1: landslide}"),
        (mask(), 0, "GUESS 0 is background although the file says it is no data"),
        (mask(), 1, "GUESS 1 is landslide although the file says it is no data"),
        (mask(), 255, "GUESS 1 is landslide"),
        (mask(slide=255), None, "{0: not a landslide, 255: landslide}"),
        (mask(slide=255), 255, "GUESS 255 is landslide although the file says it is no data"),
        (mask(slide=255), 0, "GUESS 0 is background although the file says it is no data"),
        (mask(slide=100), None, "GUESS 100 is landslide"),
        (mask(background=1, slide=2), None, "GUESS 1 is background, as it covers more"),
        (mask(background=2, slide=1), 0, "GUESS 2 is background, as it covers more"),
        (mask("int8"), None, "GUESS 1 is landslide"),
        (mask("int8", slide=-1), None, "GUESS -1 is landslide"),
        (mask("int16"), -9999, "GUESS 1 is landslide"),
        (mask("int32", background=-9999), -9999, "GUESS -9999 is background although"),
        (mask("float32"), LOWEST, "GUESS 1 is landslide"),
        (mask("float64"), 0, "GUESS 0 is background although"),
        (mask("float32", background=np.nan), np.nan, "{nan: not a landslide, 1: landslide}"),
        (mask("float32", background=LOWEST), None, "GUESS nan is background although"),
        (np.stack([mask(slide=255)] * 3), None, "GUESS 255 is landslide"),
    ],
)
def test_a_mask_of_any_kind_is_read(tmp_path, values, nodata, guess):
    v.valley(tmp_path)
    v.put(tmp_path / "landslides.tif", values, nodata=nodata)
    said = run(tmp_path, RASTER)
    assert guess in said and "0 errors" in said and "error:" not in said and "16 slides of" in said
    require_truth(tmp_path, said)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (mask("int32", slide=np.arange(v.SIDE)), "holds the values 0, "),
        (mask("float32", background=0.1, slide=0.9), "holds broken numbers (such as 0.1)"),
        (mask(background=1), "holds 1 only; background is to have a value"),
        (mask(slide=0), "holds 0 only; landslides are to have one"),
        (np.stack([mask(slide=255), mask(slide=9), mask()]), "has 3 bands that differ"),
    ],
)
def test_a_mask_that_tells_nothing_is_named_with_the_reason(tmp_path, values, why):
    v.valley(tmp_path)
    v.put(tmp_path / "landslides.tif", values)
    said = run(tmp_path, RASTER)
    assert f"not used: landslides.tif {why}" in said and "no polygons, every cell is unmapped" in said


def test_an_inverted_mask_is_warned_of(tmp_path):
    v.valley(tmp_path)
    v.put(tmp_path / "landslides.tif", mask(background=1, slide=0))
    said = run(tmp_path, RASTER)
    assert "is landslide: swap the two if they are inverted" in said
    assert "are landslides and background swapped?" in said


def test_a_card_of_names_for_a_mask_whose_background_is_no_data(tmp_path):
    v.valley(tmp_path)
    v.put(tmp_path / "landslides.tif", mask(), nodata=0)
    v.init(tmp_path, RASTER)
    card = tmp_path / "areas" / "valley.yaml"
    card.write_text(card.read_text().replace("values: {0:", "names: {0:"))
    remedy = (
        "landslides.tif declares 0 as no data, which is the class 'not a landslide' too; say what each value"
    )
    assert remedy in v.check(tmp_path)
    assert remedy in v.build(tmp_path)


COLUMNS = {
    "instance from 0": {"instance": range(16)},
    "instance as text": {"instance": [f"L{number:03d}" for number in range(16)]},
    "instance a flag": {"instance": [0] * 16},
    "instance with nulls": {"instance": [None if number % 2 else float(number) for number in range(16)]},
    "other names of headscarp's": {"label": [0] * 16, "status": ["x"] * 16, "started": [None] * 16},
}


@pytest.mark.parametrize("columns", COLUMNS.values(), ids=COLUMNS.keys())
def test_columns_of_users_do_not_matter(tmp_path, columns):
    v.valley(tmp_path)
    v.put_shapes(tmp_path / "landslides.gpkg", v.slides(), **columns)
    said = run(tmp_path, v.FILES)
    assert "16 of 16 polygons on the grid" in said and "0 errors" in said and "error:" not in said
    require_truth(tmp_path, said)
    assert set(np.unique(v.layer(tmp_path, "instances"))) >= set(range(1, 17))


def test_numbers_of_headscarp_that_are_unfit_are_told(tmp_path):
    v.valley(tmp_path)
    v.put_shapes(tmp_path / "landslides.gpkg", v.slides(), headscarp_slide=[1, 1, *range(3, 17)])
    said = run(tmp_path, v.FILES)
    assert "column 'headscarp_slide' has the number 1 2 times" in said


def test_slides_of_parts_that_overlap_or_are_drawn_twice_keep_their_cells(tmp_path):
    v.valley(tmp_path)
    first, second, *others = v.slides()
    drawn = [shapely.MultiPolygon([first, second]), *others, others[0], others[0], others[1].buffer(30)]
    v.put_shapes(tmp_path / "landslides.gpkg", drawn)
    said = run(tmp_path, v.FILES)
    assert "3 of 18 slides on the site lie wholly under others" in said and "covered twice" in said
    codes, transform = v.label(tmp_path)
    assert (codes[v.truth(transform, codes.shape) == 1] == 1).all()
    instances = v.layer(tmp_path, "instances")
    parts = (v.truth(transform, codes.shape) == 1)[:14] & (np.arange(64) < 26)
    assert np.nanmax(np.where(parts, instances[:14], np.nan)) == 1


def sampled(folder, protocol="blocked"):
    """Why samples of the layers that `build` made cannot be drawn."""
    build_cube(folder / "results" / "sites" / "valley" / "layers", folder / "cube")
    spec = SamplingSpec.from_record({"window": 16, "stride": 8})
    with pytest.raises(HeadscarpError) as caught:
        build_samples(folder / "cube", folder / "samples", spec, protocol, 0)
    assert not (folder / "samples").exists() and "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("protocol", ["blocked", "published"])
def test_an_area_that_is_the_inventory_leaves_no_background(tmp_path, protocol):
    v.valley(tmp_path)
    v.put_shapes(tmp_path / "mapped_area.gpkg", v.slides())
    said = run(tmp_path, (*v.FILES, "mapped_area.gpkg"))
    assert "100.00% of the mapped land is landslide" in said
    assert "`labels.area` (mapped_area.gpkg) must be all land that was searched for landslides" in said
    assert v.check(tmp_path).count("error    landslides.gpkg") == 1
    assert "holds landslides only and no background" in sampled(tmp_path, protocol)


@pytest.mark.parametrize("background", [{}, {0: "unlabelled"}])
def test_a_mask_of_slides_alone_leaves_no_background(tmp_path, background):
    v.valley(tmp_path)
    v.put(tmp_path / "landslides.tif", mask(), nodata=0)
    v.init(tmp_path, RASTER)
    card = tmp_path / "areas" / "valley.yaml"
    guess = "values: {0: not a landslide, 1: landslide}"
    assert guess in card.read_text()
    said = ", ".join(f"{value}: {name}" for value, name in chain(background.items(), [(1, "landslide")]))
    card.write_text(card.read_text().replace(guess, f"values: {{{said}}}"))
    assert "say in `labels.values` which value background has" in v.check(tmp_path)
    v.build(tmp_path)
    assert "a label raster must tell background from no data (`values`)" in sampled(tmp_path)


def test_a_mask_without_slides_on_the_site_is_an_error_of_the_check(tmp_path):
    v.valley(tmp_path)
    v.put(tmp_path / "landslides.tif", mask())
    v.init(tmp_path, RASTER)
    v.put(tmp_path / "landslides.tif", mask(slide=0))
    said = v.check(tmp_path)
    assert "error    landslides.tif  0.00% of the mapped land is landslide" in said
    assert "say in `labels.values` which value landslides have" in said
    v.build(tmp_path)
    assert "holds no landslide pixel" in sampled(tmp_path)


def test_an_area_beside_the_slides(tmp_path):
    v.valley(tmp_path)
    v.put_shapes(tmp_path / "mapped_area.gpkg", [shapely.box(v.WEST, v.NORTH - 40, v.WEST + 640, v.NORTH)])
    said = run(tmp_path, (*v.FILES, "mapped_area.gpkg"))
    assert said.count("no cell of the site has a landslide in the mapped area of") == 2
