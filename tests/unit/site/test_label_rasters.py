"""Label rasters of users: every way to write one truth gives the same label, and what says too little is
refused with the remedy."""

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp

from headscarp.errors import HeadscarpError
from headscarp.schema import validate
from headscarp.site.label_rasters import counted_values, meaning_of
from headscarp.site.labels import align_labels
from tests.site_files import make_grid, write_raster

GRID = make_grid(12, 15, 10.0)
SLIDE, BACKGROUND = "landslide", "not a landslide"
LOWEST = float(np.finfo(np.float32).min)


def truth():
    """1 at two slides, 0 around them, 255 in the first row."""
    label = np.zeros(GRID.shape, np.uint8)
    label[3:6, 2:7] = label[8:10, 10:14] = 1
    label[0] = 255
    return label


def written(path, background, slide, none, dtype, nodata=None):
    """The truth with other numbers."""
    values = np.select([truth() == 0, truth() == 1], [background, slide], none)
    return write_raster(path, values.astype(dtype), GRID, nodata=nodata)


def label_of(path, **labels):
    return align_labels(path, meaning_of(labels), GRID).label


def refusal(path, **labels):
    with pytest.raises(HeadscarpError) as caught:
        label_of(path, **labels)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


@st.composite
def ways_to_write(draw):
    """Type, background, slide, value without a label, nodata value, and whether the card names the third."""
    dtype = draw(
        st.sampled_from(["uint8", "int8", "int16", "uint16", "int32", "uint32", "float32", "float64"])
    )
    if dtype.startswith("float"):
        numbers = st.integers(-(2**24), 2**24)
    else:
        numbers = st.integers(int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    background, slide, none = draw(st.lists(numbers, min_size=3, max_size=3, unique=True))
    named = draw(st.booleans())
    nodata = none if not named else draw(st.sampled_from([None, background, slide, none]))
    if dtype.startswith("float") and draw(st.booleans()):
        none = draw(st.sampled_from([np.nan, np.inf, LOWEST]))
        nodata = draw(st.sampled_from([None, np.nan, LOWEST, background, slide]))
    return dtype, background, slide, none, nodata, named and np.isfinite(none) and abs(none) < 1e30


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(way=ways_to_write())
def test_one_truth_gives_one_label_however_it_is_written(way, tmp_path):
    dtype, background, slide, none, nodata, named = way
    path = written(tmp_path / "mask.tif", background, slide, none, dtype, nodata)
    values = {background: BACKGROUND, slide: SLIDE} | ({none: "unlabelled"} if named else {})
    np.testing.assert_array_equal(label_of(path, values=values), truth())


@pytest.mark.parametrize("none", [np.nan, np.inf, LOWEST])
@pytest.mark.parametrize("nodata", [None, np.nan, LOWEST, -9999])
def test_cells_without_a_number_can_be_named(tmp_path, none, nodata):
    path = write_raster(
        tmp_path / "mask.tif", np.where(truth() == 1, 1, none).astype(np.float32), GRID, nodata=nodata
    )
    found = label_of(path, values={"nan": BACKGROUND, 1: SLIDE})
    np.testing.assert_array_equal(found, truth() == 1)
    assert set(np.unique(label_of(path, values={1: SLIDE}))) == {1, 255}


def test_255_is_unlabelled_unless_it_is_named(tmp_path):
    path = written(tmp_path / "mask.tif", 0, 1, 255, np.uint8)
    np.testing.assert_array_equal(label_of(path, values={0: BACKGROUND, 1: SLIDE}), truth())
    np.testing.assert_array_equal(label_of(path, names={0: BACKGROUND, 1: SLIDE}), truth())
    inverted = written(tmp_path / "inverted.tif", 255, 0, 7, np.uint8)
    found = label_of(inverted, values={255: BACKGROUND, 0: SLIDE, 7: "unlabelled"})
    np.testing.assert_array_equal(found, truth())


def test_a_part_beyond_the_raster_has_no_label(tmp_path):
    """Also where the value that the file has for no data is background: beyond the file nobody mapped."""
    part = make_grid(12, 9, 10.0)
    path = write_raster(tmp_path / "mask.tif", (truth() == 1)[:, :9].astype(np.uint8), part, nodata=0)
    found = label_of(path, values={0: BACKGROUND, 1: SLIDE})
    np.testing.assert_array_equal(found[:, :9], (truth() == 1)[:, :9])
    assert (found[:, 9:] == 255).all()


def test_the_commonest_class_is_of_classes_and_not_of_values(tmp_path):
    """Two values of one class together are commoner than one of another."""
    fine = make_grid(24, 30, 5.0)
    values = np.tile(np.array([[1, 2], [3, 3]], np.uint8), (12, 15))
    values[:2, :2] = [[1, 2], [2, 3]]
    path = write_raster(tmp_path / "mask.tif", values, fine)
    found = label_of(path, values={1: SLIDE, 2: SLIDE, 3: BACKGROUND})
    assert found[0, 0] == 1 and set(np.unique(found)) <= {0, 1}


@pytest.mark.parametrize(
    ("background", "slide", "nodata", "suggested"),
    [
        (0, 1, 0, "0: not a landslide, 1: landslide"),
        (0, 1, 1, "0: not a landslide, 1: landslide"),
        (0, 255, 255, "0: not a landslide, 255: landslide"),
        (0, 255, None, "0: not a landslide, 255: landslide"),
    ],
)
def test_without_values_what_says_two_things_is_refused(tmp_path, background, slide, nodata, suggested):
    values = np.where(truth() == 1, slide, background).astype(np.uint8)
    path = write_raster(tmp_path / "mask.tif", values, GRID, nodata=nodata)
    message = refusal(path, names={0: BACKGROUND, 1: SLIDE})
    assert f"`labels: {{values: {{{suggested}}}}}`" in message
    if nodata in (0, 1):
        assert f"declares {nodata} as no data" in message


def test_codes_of_names_as_before(tmp_path):
    """A nodata value that is no class, on any type."""
    names = {0: BACKGROUND, 1: SLIDE, 3: "road"}
    for number, (dtype, nodata) in enumerate(
        [(np.uint8, 255), (np.int16, -9999), (np.float32, np.nan), (np.float32, LOWEST), (np.uint8, 7)]
    ):
        path = written(tmp_path / f"{number}.tif", 0, 1, nodata, dtype, nodata)
        np.testing.assert_array_equal(label_of(path, names=names), truth())


@pytest.mark.parametrize(
    ("values", "labels", "said"),
    [
        (np.arange(180).reshape(12, 15), {"names": {0: "a", 1: "b"}}, ("number the slides", "polygonize")),
        (np.arange(180).reshape(12, 15), {"values": {0: "not a landslide"}}, ("number the slides",)),
        (np.full((12, 15), 0.37), {"values": {1: SLIDE}}, ("broken numbers (such as 0.37)", "gdal_calc.py")),
        (np.where(truth() == 1, 2, 0), {"names": {0: "a", 1: "b"}}, ("holds the values 2", "2: unlabelled")),
        (np.where(truth() == 1, -1, 0), {"values": {0: BACKGROUND}}, ("holds the values -1", "does not map")),
        (np.full((12, 15), 255), {"values": {0: BACKGROUND}}, ("holds no label on the site",)),
        (np.full((12, 15), 1 + 2j), {"values": {0: BACKGROUND}}, ("complex numbers",)),
    ],
)
def test_values_that_tell_nothing_are_refused_with_the_remedy(tmp_path, values, labels, said):
    dtype = {"c": np.complex64, "f": np.float32}.get(values.dtype.kind, np.int32)
    message = refusal(write_raster(tmp_path / "mask.tif", values.astype(dtype), GRID), **labels)
    assert all(text in message for text in said), message


def test_a_raster_of_other_quantities_is_no_label(tmp_path):
    wide = make_grid(120, 150, 10.0)
    path = write_raster(tmp_path / "dem.tif", np.arange(18_000, dtype=np.float32).reshape(120, 150), wide)
    assert "more than 10000 different values" in refusal(path, values={1: SLIDE})


def test_pictures_of_a_mask(tmp_path):
    """Bands that are alike are one; what alpha hides has no label; colours are refused."""
    grey = np.where(truth() == 1, 255, 0).astype(np.uint8)
    alike = write_raster(tmp_path / "rgb.tif", np.stack([grey] * 3), GRID)
    said = {0: BACKGROUND, 255: SLIDE}
    np.testing.assert_array_equal(label_of(alike, values=said), truth() == 1)
    alpha = np.where(truth() == 255, 0, 255).astype(np.uint8)
    clear = write_raster(tmp_path / "rgba.tif", np.stack([grey, grey, grey, alpha]), GRID)
    with rasterio.open(clear, "r+") as sink:
        sink.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    np.testing.assert_array_equal(label_of(clear, values=said), truth())
    red = write_raster(tmp_path / "red.tif", np.stack([grey, grey * 0, grey * 0]), GRID)
    assert "3 bands that differ" in refusal(red, values=said)


def test_a_mask_of_the_file_itself_hides_labels(tmp_path):
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = write_raster(tmp_path / "mask.tif", (truth() == 1).astype(np.uint8), GRID)
        with rasterio.open(path, "r+") as sink:
            sink.write_mask(truth() != 255)
    np.testing.assert_array_equal(label_of(path, values={0: BACKGROUND, 1: SLIDE}), truth())


def test_a_palette_is_read_by_its_numbers(tmp_path):
    path = write_raster(tmp_path / "mask.tif", (truth() == 1).astype(np.uint8), GRID)
    with rasterio.open(path, "r+") as sink:
        sink.write_colormap(1, {0: (255, 255, 255, 255), 1: (200, 0, 0, 255)})
    np.testing.assert_array_equal(label_of(path, values={0: BACKGROUND, 1: SLIDE}), truth() == 1)


def test_all_values_are_counted_over_all_chunks(tmp_path):
    grid = make_grid(1100, 1030, 10.0)
    values = np.random.default_rng(1).choice([0, 1, 7, np.nan], grid.shape, p=[0.6, 0.3, 0.05, 0.05])
    with rasterio.open(write_raster(tmp_path / "mask.tif", values.astype(np.float32), grid)) as source:
        counts = counted_values(source)
    assert counts == {value: int((values == value).sum()) for value in (0, 1, 7)} | {
        None: int(np.isnan(values).sum())
    }


def test_classes_in_the_card(tmp_path):
    path = written(tmp_path / "mask.tif", 4, 7, 255, np.uint8)
    names = {0: "bare", 1: "slide", 5: "road"}
    found = label_of(path, names=names, values={4: "road", 7: "slide"})
    np.testing.assert_array_equal(found, np.select([truth() == 0, truth() == 1], [5, 1], 255))
    with pytest.raises(
        HeadscarpError, match=r"labels\.values: class 'landslip' does not exist; did you mean"
    ):
        meaning_of({"values": {1: "landslip"}})


def test_the_schema_knows_what_values_may_be_called():
    def layers(values):
        labels = {"classes": "landslides.tif", "values": values}
        record = {"grid": {"like": "a.tif"}, "dates": ["2018-09-06"], "rasters": {}, "labels": labels}
        validate("layers", record, "card")

    layers({0: BACKGROUND, -9999: "unlabelled", "nan": "unlabelled", "255": SLIDE})
    with pytest.raises(HeadscarpError, match="whole number or nan"):
        layers({"0.5": SLIDE})
