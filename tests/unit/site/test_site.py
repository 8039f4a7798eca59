"""Station `site`: co-registration, indices, distances, labels, and the folder of layers; what bad input
does."""

import json
import subprocess
import sys
import warnings
import zipfile

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.warp import transform_geom
from scipy.ndimage import distance_transform_edt

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid, grid_for
from headscarp.geo.layer import (
    ANGLE,
    CLASSES,
    CONTINUOUS,
    FLAT,
    Layer,
    grid_of,
    open_raster,
    read_layer,
    write_layer,
)
from headscarp.geo.rasters import CUBIC, align, resolution_m
from headscarp.site.distances import distance_to_lines
from headscarp.site.indices import mndwi, ndvi
from headscarp.site.label_rasters import meaning_of
from headscarp.site.labels import align_labels, rasterise_labels
from headscarp.site.layers import build_layers
from headscarp.site.terrain import derive_terrain
from tests.conftest import REPOSITORY
from tests.site_files import CRS, NORTH, WEST, make_grid, read_manifest, truncate, write_raster, write_shapes

GRID = make_grid()


def ramp(grid, east=0.01, north=0.02):
    """A linear surface in map coordinates, (row, col): bilinear resampling reproduces it."""
    row, col = np.mgrid[: grid.height, : grid.width] + 0.5
    x, y = grid.transform @ (col, row)
    return (east * (x - WEST) + north * (y - NORTH)).astype(np.float32)


# --- co-registration ---


def test_a_raster_on_the_grid_comes_through_unchanged(tmp_path):
    values = np.random.default_rng(0).normal(size=GRID.shape).astype(np.float32)
    np.testing.assert_array_equal(
        align(write_raster(tmp_path / "a.tif", values), 1, GRID, CONTINUOUS).values, values
    )


def test_continuous_values_are_bilinear(tmp_path):
    coarse = make_grid(22, 27, 30.0, WEST - 30, NORTH + 30)
    aligned = align(write_raster(tmp_path / "a.tif", ramp(coarse), coarse), 1, GRID, CONTINUOUS).values
    np.testing.assert_allclose(aligned, ramp(GRID), atol=1e-3)


def test_classes_are_nearest(tmp_path):
    coarse = make_grid(20, 25, 30.0)
    codes = np.random.default_rng(0).integers(1, 4, coarse.shape).astype(np.uint8)
    layer = align(write_raster(tmp_path / "a.tif", codes, coarse, nodata=0), 1, GRID, CLASSES)
    np.testing.assert_array_equal(layer.values, codes.repeat(2, 0).repeat(2, 1))
    assert layer.values.dtype == np.uint8 and layer.nodata == 0


def test_a_coarser_grid_takes_means_and_commonest_classes(tmp_path):
    rng, coarse = np.random.default_rng(1), make_grid(6, 8, 90.0)
    fine = make_grid(54, 72, 10.0)
    values = rng.normal(size=fine.shape).astype(np.float32)
    values[:9, :9] = np.nan
    values[9:12, :9] = np.nan
    blocks = values.astype(float).reshape(6, 9, 8, 9)
    with warnings.catch_warnings(action="ignore"):
        expected = np.nanmean(blocks, axis=(1, 3))
    np.testing.assert_allclose(
        align(write_raster(tmp_path / "a.tif", values, fine), 1, coarse, CONTINUOUS).values,
        expected,
        atol=1e-6,
    )
    codes = rng.choice([2, 5, 7], fine.shape, p=[0.2, 0.3, 0.5]).astype(np.uint8)
    codes[:, 36:] = rng.choice([2, 5, 7], (54, 36), p=[0.6, 0.2, 0.2])
    layer = align(write_raster(tmp_path / "b.tif", codes, fine, nodata=0), 1, coarse, CLASSES)
    counts = np.stack([(codes == code).reshape(6, 9, 8, 9).sum(axis=(1, 3)) for code in (2, 5, 7)])
    chosen = np.take_along_axis(counts, np.searchsorted([2, 5, 7], layer.values)[None], 0)[0]
    np.testing.assert_array_equal(chosen, counts.max(axis=0))
    # Whole multiples in another CRS count as well: one cell in 90 m of a raster in degrees.
    degrees = Grid("EPSG:4326", rasterio.transform.from_origin(111.0, 30.8, 1e-4, 1e-4), 200, 200)
    noise = rng.normal(size=degrees.shape).astype(np.float32)
    aligned = align(
        write_raster(tmp_path / "c.tif", noise, degrees, "EPSG:4326"),
        1,
        grid_for(degrees, CRS, 100),
        CONTINUOUS,
    ).values
    assert np.nanstd(aligned) < 0.2  # a mean of about a hundred values each


def test_angles_turn_the_short_way_and_flat_stays_flat(tmp_path):
    coarse = make_grid(20, 25, 30.0)
    angles = np.where(np.arange(25) % 2, 350.0, 10.0) * np.ones((20, 1))
    angles[:, 12:] = FLAT
    values = align(write_raster(tmp_path / "a.tif", angles.astype(np.float32), coarse), 1, GRID, ANGLE).values
    west = values[:, :20]
    assert ((west <= 11) | (west >= 349)).all() and (values[:, 26:] == FLAT).all()
    assert values[values != FLAT].min() >= 0 and values.max() < 360


@pytest.mark.parametrize("nodata", [-9999.0, None, float("nan")])
def test_no_data_and_nan_never_mix_into_values(tmp_path, nodata):
    coarse = make_grid(20, 25, 30.0)
    values = ramp(coarse) + 100
    values[5:8, 5:8] = -9999.0 if nodata == -9999.0 else np.nan
    aligned = align(
        write_raster(tmp_path / "a.tif", values, coarse, nodata=nodata), 1, GRID, CONTINUOUS
    ).values
    assert np.isnan(aligned[11:15, 11:15]).all() and np.isfinite(aligned[:9]).all()
    assert aligned[np.isfinite(aligned)].min() > 80


def test_cells_not_covered_are_no_data(tmp_path):
    part = make_grid(40, 30)
    layer = align(write_raster(tmp_path / "a.tif", ramp(part), part), 1, GRID, CONTINUOUS)
    assert np.isnan(layer.values[:, 30:]).all() and np.isfinite(layer.values[:, :30]).all()
    codes = align(write_raster(tmp_path / "b.tif", np.ones(part.shape, np.uint8), part), 1, GRID, CLASSES)
    assert codes.nodata == 255 and (codes.values[:, 30:] == 255).all()


def test_reprojection_puts_things_where_they_are(tmp_path):
    """A bright cell at a known longitude and latitude appears at that place of the UTM grid."""
    step = 1e-3
    source = Grid("EPSG:4326", rasterio.transform.from_origin(111.0, 30.8, step, step), 60, 60)
    values = np.zeros(source.shape, np.float32)
    values[20, 40] = 1
    grid = grid_for(source, CRS, 30)
    aligned = align(write_raster(tmp_path / "a.tif", values, source, "EPSG:4326"), 1, grid, CONTINUOUS).values
    row, col = np.unravel_index(np.nanargmax(aligned), grid.shape)
    place = transform_geom(
        CRS, "EPSG:4326", {"type": "Point", "coordinates": grid.transform @ (col + 0.5, row + 0.5)}
    )["coordinates"]
    assert place == pytest.approx((111.0 + 40.5 * step, 30.8 - 20.5 * step), abs=step / 2)
    assert np.isnan(aligned[0, 0]) or np.isnan(aligned[0, -1])  # a box of degrees is no box in metres


def test_a_band_is_found_by_its_name(tmp_path):
    path = write_raster(
        tmp_path / "bands.tif",
        np.stack([np.zeros(GRID.shape), np.ones(GRID.shape)]).astype(np.float32),
        names=["red", "nir"],
    )
    assert (
        align(path, "nir", GRID, CONTINUOUS).values.mean() == 1
        and align(path, 2, GRID, CONTINUOUS).name == "nir"
    )
    with pytest.raises(HeadscarpError, match=r"bands\.tif has no band 'nri'; did you mean 'nir'"):
        align(path, "nri", GRID, CONTINUOUS)
    with pytest.raises(HeadscarpError, match=r"bands\.tif has no band 3; it has the bands 1 to 2"):
        align(path, 3, GRID, CONTINUOUS)
    with pytest.raises(
        HeadscarpError, match=r"plain\.tif has no band 'nir'; its bands have no names, use a number"
    ):
        align(write_raster(tmp_path / "plain.tif", np.zeros(GRID.shape, np.float32)), "nir", GRID, CONTINUOUS)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_bad_rasters_are_refused(tmp_path):
    good = np.random.default_rng(0).normal(size=GRID.shape).astype(np.float32)

    def refused(path, message, kind=CONTINUOUS):
        with pytest.raises(HeadscarpError, match=message) as caught:
            align(path, 1, GRID, kind)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)

    refused(tmp_path / "missing.tif", "does not exist")
    refused(write_raster(tmp_path / "a.tif", good, crs=None), "has no CRS.*gdal_edit")
    refused(
        write_raster(tmp_path / "b.tif", good, make_grid(west=WEST + 1e5)),
        "covers 0% of the site, at least 50%",
    )
    refused(
        write_raster(tmp_path / "c.tif", good, make_grid(west=WEST + 500)), r"covers (3|4)\d% of the site"
    )
    refused(write_raster(tmp_path / "d.tif", good * np.nan), "holds no data on the site")
    refused(
        write_raster(tmp_path / "e.tif", np.full(GRID.shape, -1, np.int16), nodata=-1),
        "holds no data on the site",
    )
    refused(
        write_raster(tmp_path / "f.tif", np.zeros(GRID.shape, np.uint8), nodata=0),
        "holds no data on the site",
        CLASSES,
    )
    refused(write_raster(tmp_path / "g.tif", good), "holds classes as float32.*gdal_translate", CLASSES)
    (tmp_path / "h.tif").write_text("no raster")
    refused(tmp_path / "h.tif", "cannot be read")
    for number, share in enumerate((0.2, 0.6, 0.95)):
        big = np.random.default_rng(0).normal(size=(300, 400)).astype(np.float32)
        path = truncate(write_raster(tmp_path / f"t{number}.tif", big, make_grid(300, 400, 2.0)), share)
        refused(path, r"cannot be read.*truncated")
        with pytest.raises(HeadscarpError, match="truncated"):
            read_layer(path)


# --- files ---


@pytest.mark.parametrize("kind", [CONTINUOUS, CLASSES])
def test_a_layer_is_a_cog_with_all_that_belongs_to_it(tmp_path, kind):
    grid = make_grid(600, 700)
    values = ramp(grid) if kind == CONTINUOUS else np.ones(grid.shape, np.uint8)
    nodata = float("nan") if kind == CONTINUOUS else 0
    values[:3] = nodata
    write_layer(tmp_path / "slope.tif", Layer("slope", values, grid, "degree", "RichDEM", kind, nodata))
    with rasterio.open(tmp_path / "slope.tif") as source:
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG" and source.overviews(1)
        assert (source.descriptions, source.units, source.tags()["SOURCE"]) == (
            ("slope",),
            ("degree",),
            "RichDEM",
        )
        assert source.crs == CRS and source.transform == grid.transform
        np.testing.assert_equal(source.nodata, nodata)
        assert source.read_masks(1)[:3].max() == 0 and source.read_masks(1)[3:].min() == 255
    back = read_layer(tmp_path / "slope.tif")
    np.testing.assert_array_equal(back.values, values)
    assert (back.grid, back.kind, back.units) == (grid, kind, "degree")


FULL_DISK = """
import resource, sys
sys.path.insert(0, {scripts!r})
import numpy as np
from pathlib import Path
from headscarp.errors import HeadscarpError
from headscarp.site.layers import build_layers
from headscarp.site.stack import build_cube
import json
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    if sys.argv[1] == "layers":
        build_layers(json.loads(sys.argv[3]), "raw", "terrain", "layers")
    else:
        build_cube("layers", "cube")
except HeadscarpError as error:
    print(error)
"""


@pytest.mark.parametrize("limit", [20_000, 60_000])
def test_a_full_disk_leaves_nothing(tmp_path, limit):
    record = small_site(tmp_path, rows=150, cols=150)
    code = FULL_DISK.format(scripts=str(REPOSITORY / "workflow" / "scripts"))

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout

    before = sorted(path.name for path in tmp_path.iterdir())
    message = run("layers", str(limit), json.dumps(record))
    assert (
        message.startswith("the disk is full: layers could not be written") and "free some space" in message
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    build_layers(record, tmp_path / "raw", tmp_path / "terrain", tmp_path / "layers")
    message = run("cube", str(limit), "{}")
    assert message.startswith("the disk is full: cube/cube.npy could not be written")
    assert list((tmp_path / "cube").iterdir()) == []


# --- indices and distances ---


def test_indices():
    nir, red = np.array([0.5, 0.2, 0.0, np.nan]), np.array([0.1, 0.2, 0.0, 0.1])
    np.testing.assert_allclose(ndvi(nir, red), [0.4 / 0.6, 0, np.nan, np.nan], rtol=1e-6)
    np.testing.assert_allclose(mndwi(np.array([0.3]), np.array([0.1])), [0.5], rtol=1e-6)


def test_distance_agrees_with_a_distance_transform(tmp_path):
    column = WEST + 20.5 * 15
    path = write_shapes(
        tmp_path / "rivers.gpkg", [shapely.LineString([(column, NORTH + 1000), (column, NORTH - 5000)])]
    )
    cells = np.ones(GRID.shape)
    cells[:, 20] = 0
    np.testing.assert_allclose(
        distance_to_lines(path, GRID), distance_transform_edt(cells, sampling=15), atol=1e-3
    )


def test_distance_to_oblique_lines_outside_the_grid_and_in_degrees(tmp_path):
    line = shapely.LineString([(WEST - 900, NORTH + 100), (WEST - 100, NORTH - 2000)])
    path = write_shapes(
        tmp_path / "faults.gpkg",
        [shapely.MultiLineString([line, shapely.LineString([(WEST - 9e4, NORTH), (WEST - 9e4, NORTH - 9)])])],
    )
    geopandas.read_file(path).to_crs("EPSG:4326").to_file(tmp_path / "degrees.gpkg")
    row, col = np.mgrid[: GRID.height, : GRID.width] + 0.5
    x, y = GRID.transform @ (col, row)
    expected = shapely.distance(shapely.points(x, y), line)
    np.testing.assert_allclose(distance_to_lines(path, GRID), expected, rtol=1e-5)
    np.testing.assert_allclose(distance_to_lines(tmp_path / "degrees.gpkg", GRID), expected, atol=0.1)


def test_distance_to_polygons_is_0_inside(tmp_path):
    shapes = [shapely.Point(WEST + 200, NORTH - 250).buffer(120), box(30, 35, 4, 6)]
    line = shapely.LineString([(WEST + 700, NORTH), (WEST + 740, NORTH - 90)])
    path = write_shapes(tmp_path / "settlements.gpkg", [*shapes, line])
    row, col = np.mgrid[: GRID.height, : GRID.width] + 0.5
    expected = shapely.distance(
        shapely.points(*(GRID.transform @ (col, row))), shapely.union_all([*shapes, line])
    )
    distance = distance_to_lines(path, GRID)
    np.testing.assert_allclose(distance, expected, atol=1e-3)
    assert (distance == 0).sum() > 150


def test_bad_lines_are_refused(tmp_path):
    with pytest.raises(HeadscarpError, match=r"rivers\.gpkg does not exist"):
        distance_to_lines(tmp_path / "rivers.gpkg", GRID)
    with pytest.raises(HeadscarpError, match=r"points\.gpkg holds no lines"):
        distance_to_lines(write_shapes(tmp_path / "points.gpkg", [shapely.Point(WEST, NORTH)]), GRID)
    with pytest.raises(HeadscarpError, match=r"plain\.gpkg has no CRS.*ogr2ogr"):
        distance_to_lines(
            write_shapes(tmp_path / "plain.gpkg", [shapely.LineString([(0, 0), (1, 1)])], crs=None), GRID
        )
    (tmp_path / "broken.gpkg").write_text("no vector file")
    with pytest.raises(HeadscarpError, match=r"broken\.gpkg cannot be read"):
        distance_to_lines(tmp_path / "broken.gpkg", GRID)


# --- labels ---


def box(row, col, height, width):
    """A polygon over whole cells of GRID."""
    return shapely.box(
        WEST + 15 * col, NORTH - 15 * (row + height), WEST + 15 * (col + width), NORTH - 15 * row
    )


def test_labels_count_cells_by_their_centre(tmp_path):
    # less than half a cell: the same centres are inside
    shift = shapely.affinity.translate(box(20, 10, 3, 3), 7, 0)
    path = write_shapes(tmp_path / "slides.gpkg", [box(2, 3, 4, 5), shift], headscarp_slide=[7, 9])
    labels = rasterise_labels(path, GRID)
    expected = np.zeros(GRID.shape, int)
    expected[2:6, 3:8], expected[20:23, 10:13] = 7, 9
    np.testing.assert_array_equal(labels.instances, expected)
    np.testing.assert_array_equal(labels.label, expected > 0)
    assert (labels.label.dtype, labels.instances.dtype, labels.notes) == (np.uint8, np.int32, [])


def test_cells_outside_the_mapped_area_or_without_image_are_unmapped(tmp_path):
    slides = write_shapes(tmp_path / "slides.gpkg", [box(2, 3, 4, 5), box(30, 40, 4, 4), box(33, 3, 2, 2)])
    area = write_shapes(tmp_path / "area.gpkg", [box(0, 0, 40, 25)])
    covered = np.ones(GRID.shape, bool)
    covered[32:] = False
    labels = rasterise_labels(slides, GRID, area, covered)
    assert (
        (labels.label[:, 25:] == 255).all()
        and (labels.label[32:] == 255).all()
        and set(np.unique(labels.instances)) == {0, 1}
    )
    assert (labels.label == 1).sum() == 20
    assert labels.notes == ["slides.gpkg: 2 of 3 slides on the site hold no centre of a mapped cell"]


def test_polygons_are_repaired_dropped_and_reported(tmp_path):
    west, north = WEST + 150, NORTH - 150
    bow_tie = shapely.Polygon(
        [(west, north), (west + 120, north - 120), (west + 120, north), (west, north - 120)]
    )
    path = write_shapes(tmp_path / "slides.gpkg", [bow_tie, box(2, 3, 4, 5), box(500, 500, 4, 5)])
    labels = rasterise_labels(path, GRID)
    assert labels.notes == [
        "slides.gpkg: 1 of 3 geometries were invalid and were repaired",
        "slides.gpkg: 1 of 3 polygons are outside the site and were dropped",
    ]
    assert (labels.instances == 1).sum() == pytest.approx(shapely.make_valid(bow_tie).area / 225, rel=0.2)
    assert (labels.instances == 2).sum() == 20


def test_polygons_in_another_crs_and_a_zip_with_japanese_names(tmp_path):
    slides = geopandas.GeoDataFrame({"名称": ["崩壊"]}, geometry=[box(2, 3, 14, 15)], crs=CRS)
    slides.to_crs("EPSG:4612").to_file(tmp_path / "崩壊.shp", encoding="CP932")
    with zipfile.ZipFile(tmp_path / "slides.zip", "w") as archive:
        for part in tmp_path.glob("崩壊.*"):
            name = zipfile.ZipInfo("placeholder" + part.suffix)
            name.filename = part.name.encode("cp932").decode("cp437")  # as Japanese tools write them
            archive.writestr(name, part.read_bytes())
    expected = np.zeros(GRID.shape)
    expected[2:16, 3:18] = 1
    assert (rasterise_labels(tmp_path / "slides.zip", GRID).label != expected).sum() <= 2


def test_bad_labels_are_refused(tmp_path):
    def refused(message, slides, area=None):
        with pytest.raises(HeadscarpError, match=message) as caught:
            rasterise_labels(slides, GRID, area)
        assert "\n" not in str(caught.value)

    good = write_shapes(tmp_path / "good.gpkg", [box(2, 3, 4, 5)])
    refused(r"a\.gpkg does not exist", tmp_path / "a.gpkg")
    refused(
        r"b\.gpkg: none of its 1 polygons is on the site",
        write_shapes(tmp_path / "b.gpkg", [box(500, 500, 4, 5)]),
    )
    refused(r"c\.gpkg has no CRS", write_shapes(tmp_path / "c.gpkg", [box(2, 3, 4, 5)], crs=None))
    refused(r"d\.gpkg holds no polygons", write_shapes(tmp_path / "d.gpkg", [shapely.Point(WEST, NORTH)]))
    refused(
        r"e\.gpkg: no cell of the site has a landslide",
        write_shapes(tmp_path / "e.gpkg", [shapely.Point(WEST + 15, NORTH - 15).buffer(1)]),
    )
    refused(
        r"no cell of the site has a landslide in the mapped area",
        good,
        write_shapes(tmp_path / "f.gpkg", [box(30, 30, 5, 5)]),
    )
    refused(r"g\.zip cannot be read", truncate(zip_of(good, tmp_path / "g.zip")))


def zip_of(path, target):
    with zipfile.ZipFile(target, "w") as archive:
        archive.write(path, path.name)
    return target


def test_the_label_of_iburi_equals_the_shipped_one(real_data):
    """Class 1 of the shipped raster (others made it from the same tracing) on its own grid: every pixel, 12.2
    % of the mapped ones."""
    shapes = (
        real_data("mirror")
        / "raw.githubusercontent.com/koukita/2018_09_06_atumatyou"
        / "fd5895035d09edbbbc8c2b0478a9464358492897/docs/shp"
    )
    prefix = "%E8%83%86%E6%8C%AF%E6%9D%B1%E9%83%A8%E5%9C%B0%E9%9C%87_"
    slides, area = (
        shapes / f"{prefix}%E5%B1%B1%E8%85%B9%E5%B4%A9%E5%A3%8A%E3%83%88%E3%83%AC%E3%83%BC%E3%82%B9.zip",
        shapes / "%E5%88%A4%E8%AA%AD%E9%A0%98%E5%9F%9F.zip",
    )
    with open_raster(real_data("data/iburi_s2_dem/label_10m.tif")) as source:
        grid, shipped = grid_of(source), source.read(1)
    label = rasterise_labels(slides, grid, area).label
    np.testing.assert_array_equal(label == 1, shipped == 1)
    np.testing.assert_array_equal(label == 255, shipped == 255)
    assert (label == 1).sum() == 177_019 and (label != 255).sum() == pytest.approx(1_449_407, abs=1)


# --- classes as labels ---


def codes_named(*numbers):
    return meaning_of({"names": {number: f"class {number}" for number in numbers}})


def write_classes(path, grid=GRID, nodata=255):
    codes = np.zeros(grid.shape, np.uint8)
    codes[2:6, 3:8], codes[6, 8], codes[20:23, 10:13], codes[30:33] = 1, 1, 1, 4
    codes[0] = 255
    return write_raster(path, codes, grid, nodata=nodata), codes


@pytest.mark.parametrize("nodata", [255, None])
def test_classes_keep_their_codes_and_slides_are_numbered(tmp_path, nodata):
    path, codes = write_classes(tmp_path / "classes.tif", nodata=nodata)
    area = write_shapes(tmp_path / "area.gpkg", [box(0, 0, 32, 50)])
    covered = np.ones(GRID.shape, bool)
    covered[:, 12:] = False
    labels = align_labels(path, codes_named(0, 1, 4), GRID, area, covered)
    expected = np.where(covered & (np.arange(40)[:, None] < 32), codes, 255)
    np.testing.assert_array_equal(labels.label, expected)
    np.testing.assert_array_equal(labels.instances > 0, expected == 1)
    assert (
        (labels.instances[2:6, 3:8] == 1).all()
        and labels.instances[6, 8] == 1
        and (labels.instances[20:23, 10:12] == 2).all()
    )
    assert (labels.label.dtype, labels.instances.dtype, labels.notes) == (np.uint8, np.int32, [])


def test_classes_on_a_coarser_grid_are_the_commonest(tmp_path):
    fine = make_grid(120, 150, 5.0)
    codes = np.random.default_rng(4).choice([0, 1, 3], fine.shape, p=[0.3, 0.3, 0.4]).astype(np.uint8)
    label = align_labels(
        write_raster(tmp_path / "classes.tif", codes, fine), codes_named(0, 1, 3), GRID
    ).label
    counts = np.stack([(codes == code).reshape(40, 3, 50, 3).sum(axis=(1, 3)) for code in (0, 1, 3)])
    np.testing.assert_array_equal(
        np.take_along_axis(counts, np.searchsorted([0, 1, 3], label)[None], 0)[0], counts.max(axis=0)
    )


def test_unknown_classes_are_refused_and_a_scene_without_slides_is_noted(tmp_path):
    path, _ = write_classes(tmp_path / "classes.tif")
    with pytest.raises(
        HeadscarpError,
        match=r"classes\.tif holds the values 4, which labels\.names does not name \(it names 0, 1, 2\)",
    ):
        align_labels(path, codes_named(0, 1, 2), GRID)
    elsewhere = write_classes(tmp_path / "elsewhere.tif", make_grid(west=WEST + 9000))[0]
    with pytest.raises(HeadscarpError, match=r"elsewhere\.tif covers 0% of the site"):
        align_labels(elsewhere, codes_named(0, 1, 4), GRID)
    quiet = write_raster(tmp_path / "quiet.tif", np.zeros(GRID.shape, np.uint8))
    labels = align_labels(quiet, codes_named(0, 1), GRID)
    assert (
        labels.notes == ["quiet.tif: no mapped cell of the site is a landslide (code 1)"]
        and (labels.label == 0).all()
    )


# --- the folder of layers ---


def test_classes_and_cubic_layers_of_a_site(tmp_path):
    record = small_site(tmp_path)
    path, codes = write_classes(tmp_path / "raw" / "classes.tif")
    record["labels"] = {"classes": path.name, "names": {"0": "bare land", "1": "landslide", "4": "water"}}
    record["terrain_resampling"] = "cubic"
    record["rasters"]["dem"] = {"file": "dem.tif", "units": "m", "resampling": "cubic"}
    build(tmp_path, record)
    entries = {entry["name"]: entry for entry in read_manifest(tmp_path / "layers")["layers"]}
    assert entries["label"]["classes"] == {
        "0": "bare land",
        "1": "landslide",
        "4": "water",
        "255": "unmapped",
    }
    images = [read_layer(tmp_path / "layers" / f"{name}.tif").values for name in ("red", "nir")]
    unseen = np.isnan(images).all(axis=0)  # the elevation model there is no image
    expected = np.where(unseen, 255, codes)
    assert unseen.any()
    np.testing.assert_array_equal(read_layer(tmp_path / "layers" / "label.tif").values, expected)
    assert {entry["resolution_m"] for entry in entries.values()} == {15}
    effective = {name: entry["effective_resolution_m"] for name, entry in entries.items()}
    assert effective == {
        "red": 15,
        "nir": 15,
        "lithology": 30,
        "dem": 30,
        "elevation": 30,
        "slope": 30,
        "aspect": 30,
        "ndvi": 15,
        "distance_to_river": 15,
        "label": 15,
        "instances": 15,
    }
    with rasterio.open(tmp_path / "raw" / "dem.tif") as source:
        coarse = source.read(1).astype(float)
    for name in ("dem", "elevation"):
        values = read_layer(tmp_path / "layers" / f"{name}.tif").values
        np.testing.assert_allclose(values[4:-4, 4:-4], convolved(coarse)[4:-4, 4:-4], rtol=1e-5)


def convolved(coarse):
    """Cubic convolution (Keys 1981, a = -1/2) onto cells half the size, from the printed kernel."""

    def kernel(distance):
        near, far = (
            1.5 * distance**3 - 2.5 * distance**2 + 1,
            -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2,
        )
        return np.where(distance <= 1, near, np.where(distance < 2, far, 0))

    def weights(size):
        return kernel(np.abs((np.arange(2 * size)[:, None] + 0.5) / 2 - (np.arange(size)[None] + 0.5)))

    return weights(coarse.shape[0]) @ coarse @ weights(coarse.shape[1]).T


def test_cubic_aspect_turns_the_short_way(tmp_path):
    coarse = make_grid(20, 25, 30.0)
    angles = np.where(np.arange(25) % 2, 350.0, 10.0) * np.ones((20, 1))
    path = write_raster(tmp_path / "a.tif", angles.astype(np.float32), coarse)
    values = align(path, 1, GRID, ANGLE, resampling=CUBIC).values
    assert ((values < 13) | (values > 347)).all()
    sine, cosine = (convolved(part(np.radians(angles))) for part in (np.sin, np.cos))
    inside = (slice(4, -4),) * 2
    turned = np.degrees(np.arctan2(sine, cosine))[inside] - values[inside]
    np.testing.assert_allclose((turned + 180) % 360 - 180, 0, atol=1e-3)


def test_resolution_of_a_grid_in_degrees_is_in_metres():
    degrees = Grid("EPSG:4326", rasterio.transform.from_origin(111.0, 30.8, 0.001, 0.001), 20, 20)
    assert resolution_m(degrees) == pytest.approx(111, abs=1)


def small_site(folder, rows=40, cols=50):
    """Raw files of a small site in `folder`/raw, its terrain in `folder`/terrain, and its record."""
    raw = folder / "raw"
    raw.mkdir()
    grid, rng = make_grid(rows, cols), np.random.default_rng(3)
    bands = rng.integers(500, 4000, (2, rows, cols)).astype(np.uint16)
    bands[:, :, -1] = 0
    write_raster(raw / "bands.tif", bands, grid, nodata=0, names=["red", "nir"])
    coarse = make_grid(rows // 2, cols // 2, 30.0)
    write_raster(
        raw / "dem.tif",
        (ramp(coarse, 0.3, 0.1) + rng.normal(0, 2, coarse.shape) + 900).astype(np.float32),
        coarse,
    )
    write_raster(raw / "lithology.tif", rng.integers(1, 3, coarse.shape).astype(np.uint8), coarse, nodata=0)
    write_shapes(raw / "rivers.gpkg", [shapely.LineString([(WEST, NORTH), (WEST + 500, NORTH - 500)])])
    write_shapes(raw / "landslides.gpkg", [box(2, 3, 6, 5), box(12, 20, 8, 9)])
    write_shapes(raw / "study_area.gpkg", [box(1, 1, rows - 2, cols)])
    derive_terrain(raw / "dem.tif", folder / "terrain")
    return {
        "name": "valley",
        "data": "twin",
        "dem": "dem.tif",
        "grid": {"like": "bands.tif"},
        "dates": ["2018-04-09"],
        "citation": "By hand.",
        "rasters": {
            "red": {"file": "bands.tif", "band": "red", "units": "reflectance", "scale": 1e-4},
            "nir": {"file": "bands.tif", "band": "nir", "units": "reflectance", "scale": 1e-4},
            "lithology": {
                "file": "lithology.tif",
                "kind": "classes",
                "units": "class",
                "classes": {1: "soft", 2: "soft-hard", 3: "hard"},
            },
        },
        "terrain": ["elevation", "slope", "aspect"],
        "indices": {"ndvi": {"nir": "nir", "red": "red"}},
        "lines": {"distance_to_river": "rivers.gpkg"},
        "labels": {"landslides": "landslides.gpkg", "area": "study_area.gpkg"},
    }


def build(folder, record):
    build_layers(record, folder / "raw", folder / "terrain", folder / "layers")


def test_all_layers_of_a_site(tmp_path):
    record = small_site(tmp_path)
    build(tmp_path, record)
    manifest = read_manifest(tmp_path / "layers")
    names = [
        "red",
        "nir",
        "lithology",
        "elevation",
        "slope",
        "aspect",
        "ndvi",
        "distance_to_river",
        "label",
        "instances",
    ]
    assert [layer["name"] for layer in manifest["layers"]] == names
    assert sorted(path.name for path in (tmp_path / "layers").iterdir()) == sorted(
        [f"{name}.tif" for name in names] + ["layers.json"]
    )
    assert Grid.from_record(manifest["grid"]) == GRID and (manifest["site"], manifest["data"]) == (
        "valley",
        "twin",
    )
    assert manifest["dates"] == ["2018-04-09"] and "red: no data on 2.00% of the site" in manifest["notes"]
    for entry in manifest["layers"]:
        layer = read_layer(tmp_path / "layers" / entry["path"])
        assert (layer.name, layer.units, layer.source, layer.kind) == (
            entry["name"],
            entry["units"],
            entry["source"],
            entry["kind"],
        )
        assert layer.grid == GRID and layer.source.endswith("By hand.")
    with rasterio.open(tmp_path / "raw" / "bands.tif") as source:
        red, nir = source.read().astype(float)
    layers = {name: read_layer(tmp_path / "layers" / f"{name}.tif").values for name in names}
    np.testing.assert_allclose(layers["red"][:, :-1], red[:, :-1] / 1e4, rtol=1e-6)
    np.testing.assert_allclose(
        layers["ndvi"][:, :-1], (nir - red)[:, :-1] / (nir + red)[:, :-1], rtol=1e-4, atol=1e-6
    )
    assert np.isnan(layers["ndvi"][:, -1]).all()
    assert (layers["label"] == 1).sum() == 30 + 72 and set(np.unique(layers["instances"])) == {0, 1, 2}
    assert (layers["label"][:, 0] == 255).all() and (layers["label"][:, -1] == 255).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"raster": {}}, r"site valley, layers: unknown key 'raster'; did you mean 'rasters'"),
        ({"grid": {"crs": CRS, "like": "bands.tif"}}, "layers, grid: the key 'resolution_m' is missing"),
        ({"grid": {"resolution_m": 20, "like": "bands.tif"}}, "layers, grid: the key 'crs' is missing"),
        ({"terrain": ["slop"]}, "terrain: layer 'slop' does not exist; did you mean 'slope'"),
        (
            {"indices": {"ndvi": {"nir": "nri", "red": "red"}}},
            "indices, ndvi: raster layer 'nri' does not exist; did you mean 'nir'",
        ),
        ({"labels": {}}, "labels: the key 'landslides' is missing"),
        ({"labels": {"classes": "classes.tif"}}, "labels: nothing says what the values of classes.tif mean"),
        ({"labels": {"landslides": "a.gpkg", "classes": "classes.tif"}}, "exclude each other"),
        (
            {"labels": {"classes": "classes.tif", "names": {255: "unknown"}}},
            "names: the name '?255'? will not do; it must be a whole number from 0 to 254",
        ),
        (
            {"terrain_resampling": "cubical"},
            "terrain_resampling: 'cubical' does not exist; did you mean 'cubic'",
        ),
        (
            {"rasters": {"a": {"file": "bands.tif", "units": "", "resampling": "near"}}},
            "rasters, a, resampling: 'near' does not exist",
        ),
        (
            {
                "rasters": {
                    "a": {
                        "file": "a.tif",
                        "units": "",
                        "kind": "classes",
                        "classes": {1: "a"},
                        "resampling": "cubic",
                    }
                }
            },
            "classes go by the nearest cell",
        ),
        ({"dates": []}, "dates: .* will not do; it must be a list of 1 or more"),
        (
            {"rasters": {"a": {"file": "bands.tif", "units": "", "kind": "class"}}},
            "kind: 'class' does not exist; did you mean 'classes'",
        ),
        (
            {"rasters": {"a": {"file": "lithology.tif", "units": "", "kind": "classes"}}},
            "rasters, a: the key 'classes' is missing",
        ),
        ({"rasters": {"a": {"file": "gone.tif", "units": ""}}}, r"gone\.tif does not exist"),
    ],
)
def test_a_bad_record_is_refused_and_leaves_nothing(tmp_path, change, message):
    record = small_site(tmp_path) | {"indices": {}} | change
    with pytest.raises(HeadscarpError, match=message):
        build(tmp_path, record)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw", "terrain"]


def test_only_writing_needs_gdal():
    """The grid and the package itself import without rasterio: training has no GDAL."""
    code = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY / 'workflow' / 'scripts')!r}); import "
        f"headscarp.site.cube, headscarp.geo.grid; "
    )
    code += (
        "print([name for name in ('rasterio', 'geopandas', 'richdem', 'scipy', 'pandas') if name in "
        "sys.modules])"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


def test_a_grid_within_an_outline_is_cropped_to_whole_cells(tmp_path):
    record = small_site(tmp_path)
    outline = shapely.box(WEST + 15 * 3 + 4, NORTH - 15 * 30, WEST + 15 * 41, NORTH - 15 * 8 - 1)
    write_shapes(tmp_path / "raw" / "district.gpkg", [outline])
    record["grid"]["within"] = "district.gpkg"
    record["labels"]["area"] = "district.gpkg"
    build(tmp_path, record)
    layer = read_layer(tmp_path / "layers" / "nir.tif")
    assert layer.grid == make_grid(22, 38, 15.0, WEST + 45, NORTH - 120)
    with rasterio.open(tmp_path / "raw" / "bands.tif") as source:
        np.testing.assert_allclose(layer.values, source.read(2)[8:30, 3:41] * np.float32(1e-4), rtol=1e-6)
    label = read_layer(tmp_path / "layers" / "label.tif").values
    assert (label == 1).sum() == 72 and (label == 255).sum() == 0
    beside = write_shapes(
        tmp_path / "raw" / "beside.gpkg", [shapely.box(WEST - 900, NORTH, WEST - 800, NORTH + 100)]
    )
    record["grid"]["within"] = beside.name
    with pytest.raises(HeadscarpError, match=r"beside\.gpkg .* lies beside bands\.tif"):
        build_layers(record, tmp_path / "raw", tmp_path / "terrain", tmp_path / "other")


@pytest.mark.parametrize("absent", [True, False])
def test_a_site_without_polygons_is_unmapped(tmp_path, absent):
    record = small_site(tmp_path)
    record["labels"] = None
    if absent:
        del record["labels"]
    build(tmp_path, record)
    assert (read_layer(tmp_path / "layers" / "label.tif").values == 255).all()
    assert (read_layer(tmp_path / "layers" / "instances.tif").values == 0).all()
    assert "label: no polygons, every cell is unmapped" in read_manifest(tmp_path / "layers")["notes"]
