"""A user's rasters and vectors around an outline, and layers from polygons."""

import json
import zipfile

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
import xarray
from affine import Affine
from pyproj import Geod, Transformer
from rasterio.enums import ColorInterp
from rasterio.features import rasterize

from headscarp.errors import HeadscarpError
from headscarp.geo.layer import read_layer
from headscarp.site.layers import build_layers
from headscarp.sources.imports import import_file
from tests.site_files import CRS, make_grid, read_manifest, truncate, write_raster, write_shapes

WEST, SOUTH, EAST, NORTH = 141.90, 42.70, 141.94, 42.73  # Atsuma, Hokkaido
OUTLINE = shapely.box(WEST, SOUTH, EAST, NORTH)
GEOD = Geod(ellps="WGS84")


@pytest.fixture
def outline(tmp_path):
    """A site's outline as `import_file` writes it."""
    source = write_shapes(tmp_path / "outline.geojson", [OUTLINE], crs="EPSG:4326")
    import_file({"path": "outline.geojson"}, source, None, tmp_path / "raw" / "outline.gpkg")
    return tmp_path / "raw" / "outline.gpkg"


@pytest.fixture
def bring(tmp_path, outline):
    """Import a file round the outline; returns the path of the result and the notes."""

    def run(origin, name, **spec):
        target = tmp_path / "raw" / name
        return target, import_file({"path": str(origin)} | spec, origin, outline, target)

    return run


def refused(call, *words):
    with pytest.raises(HeadscarpError) as error:
        call()
    for word in words:
        assert word in str(error.value), (word, str(error.value))


def lines_at(distances):
    """Short lines north, east, south and west of the outline's edges, at geodesic distances (m); column
    `metres`."""
    middle_x, middle_y = (WEST + EAST) / 2, (SOUTH + NORTH) / 2
    starts = {0: (middle_x, NORTH), 90: (EAST, middle_y), 180: (middle_x, SOUTH), 270: (WEST, middle_y)}
    shapes, metres = [], []
    for azimuth, (x, y) in starts.items():
        for distance in distances:
            near, far = GEOD.fwd(x, y, azimuth, distance), GEOD.fwd(x, y, azimuth, distance + 10)
            shapes.append(shapely.LineString([near[:2], far[:2]]))
            metres.append(distance)
    return geopandas.GeoDataFrame(
        {"metres": metres, "name": [f"厚真{n}" for n in range(len(metres))]}, geometry=shapes, crs="EPSG:4326"
    )


# --- vectors ---


@pytest.mark.parametrize(
    ("crs", "file"),
    [
        ("EPSG:4326", "a.geojson"),
        ("EPSG:6668", "a.gpkg"),  # JGD2011 in degrees, latitude first
        ("EPSG:32654", "a.shp"),
        ("EPSG:6680", "a.fgb"),  # Japan plane XII, northing first
        ("EPSG:3857", "a.gpkg"),  # where a metre of the map is 0.73 m on the ground
        ("EPSG:2229", "a.gpkg"),  # feet of California, of which Hokkaido is far
    ],
)
def test_margin_is_metres_on_the_ground(tmp_path, bring, crs, file):
    """Lines 1900 m off are within a margin of 2000 m, those 2300 m off are not (the box in another CRS is
    somewhat larger)."""
    lines = lines_at([0.5, 1900, 2300])
    if crs == "EPSG:2229":
        lines = lines[lines.metres != 2300]  # turned against north there, so that the box is larger still
    lines.to_crs(crs).to_file(tmp_path / file)
    target, notes = bring(tmp_path / file, "lines.gpkg", margin_m=2000)
    result = geopandas.read_file(target)
    assert result.crs == crs
    expected = lines[lines.metres < 2000]
    assert sorted(result.name) == sorted(expected.name)
    assert notes[0] == f"{file}: 8 features on the site and within its margin"
    there = geopandas.read_file(tmp_path / file).set_index("name").loc[result.name]
    assert shapely.equals_exact(result.geometry.to_numpy(), there.geometry.to_numpy()).all()


def test_features_are_whole_and_at_the_edge_counted(tmp_path, bring):
    """A long line that only crosses a corner of the box is kept whole; one that only shares its envelope is
    not."""
    crossing = shapely.LineString([(WEST - 1, NORTH), (EAST + 1, NORTH - 0.001)])
    envelope = shapely.LineString(
        [(WEST - 0.1, NORTH - 0.01), (WEST - 0.1, NORTH + 0.2), (EAST, NORTH + 0.2)]
    )
    target, _ = bring(write_shapes(tmp_path / "a.gpkg", [crossing, envelope], crs="EPSG:4326"), "lines.gpkg")
    (kept,) = geopandas.read_file(target).geometry
    assert kept.equals_exact(crossing, 0)


def test_geometries_are_repaired_flattened_and_counted(tmp_path, bring):
    x, y = WEST + 0.01, SOUTH + 0.01
    bow = shapely.Polygon([(x, y), (x + 0.01, y + 0.01), (x + 0.01, y), (x, y + 0.01)])
    high = shapely.Polygon([(x, y, 5), (x + 0.005, y, 5), (x, y + 0.005, 5)])
    target, notes = bring(
        write_shapes(tmp_path / "a.gpkg", [bow, high, None], crs="EPSG:4326", k=[1, 2, 3]), "landslides.gpkg"
    )
    result = geopandas.read_file(target)
    assert list(result.k) == [1, 2] and result.is_valid.all() and not result.has_z.any()
    assert result.geometry[0].area == pytest.approx(0.01**2 / 2)
    assert "1 of 2 geometries were invalid and were repaired" in " ".join(
        notes
    ) and "heights of 1 features" in " ".join(notes)


def test_attributes_that_a_geopackage_cannot_name(tmp_path, bring):
    told = {"fid": 1.5, "geom": "q", "Name": "a", "name": "b", "list": [1, 2]}
    feature = {"type": "Feature", "properties": told, "geometry": shapely.geometry.mapping(OUTLINE)}
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    target, notes = bring(tmp_path / "a.geojson", "a.gpkg")
    result = geopandas.read_file(target)
    assert (result.fid_1[0], result.geom_1[0], result.Name[0], result.name_1[0]) == (1.5, "q", "a", "b")
    assert "fid -> fid_1, geom -> geom_1, name -> name_1" in notes[-1]


def test_shapefile_in_japanese_zipped_and_without_code_page(tmp_path, bring):
    """Members named in CP932 (with the byte of a backslash in 表), attributes in CP932 that the .dbf does not
    declare."""
    table = geopandas.GeoDataFrame(
        {"岩石": ["花崗岩", "ソース"]}, geometry=[OUTLINE, shapely.box(0, 0, 1, 1)], crs="EPSG:4326"
    )
    table.to_file(tmp_path / "s.shp", encoding="CP932")

    class Raw(zipfile.ZipInfo):
        def _encodeFilenameFlags(self):
            return self.filename.encode("cp932"), self.flag_bits & ~0x800

    with zipfile.ZipFile(tmp_path / "地質.zip", "w") as archive:
        for ending in ("shp", "shx", "dbf", "prj"):
            archive.writestr(Raw(f"地質/表.{ending}"), (tmp_path / f"s.{ending}").read_bytes())
        archive.writestr("../escaped.txt", "no")
        archive.writestr("地質/readme.txt", "no")
    target, _ = bring(tmp_path / "地質.zip", "lithology.gpkg", encoding="CP932")
    assert list(geopandas.read_file(target)["岩石"]) == ["花崗岩"]
    target, _ = bring(
        tmp_path / "地質.zip", "rock.gpkg", encoding="CP932", layer="表", where="\"岩石\" = '花崗岩'"
    )
    assert len(geopandas.read_file(target)) == 1
    assert not list(tmp_path.rglob("escaped.txt")) and not [
        path for path in (tmp_path / "raw").iterdir() if path.name.startswith(".")
    ]


def test_zip_of_several_files_and_bad_zips(tmp_path, bring):
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        for name, x in (("rivers", WEST), ("lakes", WEST + 0.01)):
            archive.writestr(f"{name}.geojson", shapely.to_geojson(shapely.box(x, SOUTH, x + 0.001, NORTH)))
    refused(lambda: bring(tmp_path / "two.zip", "a.gpkg"), "several files: lakes, rivers", "`layer`")
    refused(lambda: bring(tmp_path / "two.zip", "a.gpkg", layer="river"), "did you mean 'rivers'")
    target, _ = bring(tmp_path / "two.zip", "a.gpkg", layer="rivers")
    assert geopandas.read_file(target).total_bounds[0] == WEST
    refused(lambda: bring(tmp_path / "two.zip", "a.tif"), "holds none of .tif")
    refused(lambda: bring(truncate(tmp_path / "two.zip"), "b.gpkg"), "cannot be unpacked")
    assert not (tmp_path / "raw" / "b.gpkg").exists()


def test_openstreetmap(tmp_path, bring):
    ways = {
        10: (1, 2, "highway", "primary"),
        11: (1, 2, "waterway", "river"),
        12: (3, 4, "highway", "primary"),
    }
    nodes = {1: (WEST, SOUTH), 2: (EAST, NORTH), 3: (20, 10), 4: (20, 11)}
    text = "".join(f'<node id="{key}" lon="{x}" lat="{y}" version="1"/>' for key, (x, y) in nodes.items())
    text += "".join(
        f'<way id="{key}" version="1"><nd ref="{a}"/><nd ref="{b}"/><tag k="{tag}" v="{value}"/></way>'
        for key, (a, b, tag, value) in ways.items()
    )
    (tmp_path / "a.osm").write_text(f"<?xml version='1.0' encoding='UTF-8'?><osm version='0.6'>{text}</osm>")
    target, _ = bring(
        tmp_path / "a.osm", "roads.gpkg", layer="lines", where="highway IS NOT NULL", margin_m=5000
    )
    result = geopandas.read_file(target)
    assert list(result.osm_id) == ["10"] and result.crs == "EPSG:4326"
    refused(lambda: bring(tmp_path / "a.osm", "roads.gpkg"), "points, lines, multilinestrings", "`layer`")
    refused(lambda: bring(tmp_path / "a.osm", "roads.gpkg", layer="line"), "did you mean 'lines'")
    refused(
        lambda: bring(tmp_path / "a.osm", "r.gpkg", layer="lines", where="highways = 1"),
        "not understood",
        "highway, waterway",
    )
    refused(
        lambda: bring(tmp_path / "a.osm", "r.gpkg", layer="lines", where="railway = 'rail'"),
        "railway = 'rail' touches",
        "margin_m",
    )


def test_several_files_are_joined(tmp_path, outline):
    one = write_shapes(tmp_path / "a.gpkg", [OUTLINE], crs="EPSG:4326", k=[1])
    two = tmp_path / "b.shp"
    geopandas.GeoDataFrame({"k": [2]}, geometry=[OUTLINE], crs="EPSG:4326").to_crs("EPSG:32654").to_file(two)
    parts = [one, two, two.with_suffix(".dbf"), two.with_suffix(".prj")]
    notes = import_file({"dataset": "set"}, parts, outline, tmp_path / "x.gpkg")
    result = geopandas.read_file(tmp_path / "x.gpkg")
    assert list(result.k) == [1, 2] and result.crs == "EPSG:4326" and "a.gpkg, b.shp: 2 features" in notes[0]
    assert shapely.hausdorff_distance(*result.geometry) < 1e-6
    refused(
        lambda: import_file({}, [two.with_suffix(".dbf")], outline, tmp_path / "x.gpkg"),
        "the main one, such as the .shp",
    )


def test_crs_of_a_vector_file(tmp_path, bring):
    plain = write_shapes(tmp_path / "a.shp", [OUTLINE], crs=None)
    refused(lambda: bring(plain, "a.gpkg"), "a.shp has no CRS", "key `crs`")
    assert geopandas.read_file(bring(plain, "a.gpkg", crs="EPSG:6668")[0]).crs == "EPSG:6668"
    in_metres = geopandas.GeoSeries([OUTLINE], crs="EPSG:4326").to_crs("EPSG:32654")
    wrong = write_shapes(tmp_path / "wrong.gpkg", list(in_metres), crs="EPSG:32653")
    refused(lambda: bring(wrong, "a.gpkg"), "touches the site", "WGS 84 / UTM zone 53N", "correct its CRS")
    target, notes = bring(wrong, "a.gpkg", crs="EPSG:32654")
    assert (
        geopandas.read_file(target).crs == "EPSG:32654"
        and "says WGS 84 / UTM zone 53N; taken as EPSG:32654" in notes[-1]
    )
    refused(lambda: bring(plain, "a.gpkg", encoding="CP999"), "encoding 'CP999'")
    refused(lambda: bring(plain, "a.gpkg", crs="EPSG:1"), "file a.gpkg: the CRS 'EPSG:1' is unknown")


def test_layers_of_a_geopackage(tmp_path, bring):
    for name in ("rivers", "roads"):
        geopandas.GeoDataFrame({"is": [name]}, geometry=[OUTLINE], crs="EPSG:4326").to_file(
            tmp_path / "a.gpkg", layer=name
        )
    refused(lambda: bring(tmp_path / "a.gpkg", "a.gpkg"), "rivers, roads")
    assert geopandas.read_file(bring(tmp_path / "a.gpkg", "a.gpkg", layer="roads")[0])["is"][0] == "roads"


def test_keys_and_names_are_checked(tmp_path, bring):
    file = write_shapes(tmp_path / "a.gpkg", [OUTLINE], crs="EPSG:4326")
    refused(lambda: bring(file, "a.gpkg", margin=3), "key 'margin' does not exist; did you mean 'margin_m'")
    refused(lambda: bring(file, "a.gpkg", margin_m=-3), "margin_m is -3")
    refused(lambda: bring(file, "a.gpkg", variable="x"), "'variable'")
    refused(lambda: bring(file, "a.shp"), "file a.shp", "known are: .gpkg, .tif")
    refused(lambda: bring(tmp_path / "none.gpkg", "a.gpkg"), "none.gpkg does not exist")
    refused(lambda: bring(truncate(file, 0.1), "a.gpkg"), "a.gpkg", "cannot be read")


# --- the outline ---


def test_outline_is_one_polygon(tmp_path):
    parts = [
        OUTLINE,
        shapely.box(EAST, SOUTH, EAST + 0.01, NORTH),
        shapely.LineString([(141, 42), (142, 43)]),
    ]
    source = write_shapes(tmp_path / "a.gpkg", parts, crs="EPSG:4326")
    notes = import_file({"path": "a.gpkg"}, source, None, tmp_path / "outline.gpkg")
    (whole,) = geopandas.read_file(tmp_path / "outline.gpkg").geometry
    assert whole.equals(shapely.box(WEST, SOUTH, EAST + 0.01, NORTH))
    area = abs(GEOD.geometry_area_perimeter(whole)[0]) / 1e6
    assert f"{area:.6g} km2" in notes[0] and "west 141.9000 south 42.7000 east 141.9500" in notes[0]
    refused(lambda: import_file({"margin_m": 5}, source, None, tmp_path / "o.gpkg"), "key 'margin_m'")


@pytest.mark.parametrize(
    ("shape", "crs", "words"),
    [
        (shapely.box(SOUTH, WEST, NORTH, EAST), "EPSG:4326", ["seem to be swapped"]),
        (shapely.box(5e5, 47e5, 6e5, 48e5), "EPSG:4326", ["no degrees", "`crs`"]),
        (OUTLINE, "EPSG:32654", ["seem to be degrees", "UTM zone 54N"]),
        (
            shapely.MultiPolygon(
                [shapely.box(-80, 0, -70, 1), shapely.box(100, 0, 105, 1), shapely.box(15, 0, 16, 1)]
            ),
            "EPSG:4326",
            ["more than half the Earth"],
        ),
        (shapely.LineString(OUTLINE.exterior), "EPSG:4326", ["holds no area (LineString only)"]),
        (shapely.Point(141, 42), "EPSG:4326", ["holds no area (Point only)"]),
        (None, "EPSG:4326", ["has a geometry"]),
        (OUTLINE, None, ["no CRS"]),
    ],
)
def test_bad_outlines_are_refused(tmp_path, shape, crs, words):
    source = write_shapes(tmp_path / "a.gpkg", geopandas.GeoSeries([shape], crs=crs), crs=crs)
    refused(lambda: import_file({}, source, None, tmp_path / "outline.gpkg"), "a.gpkg", *words)
    assert not (tmp_path / "outline.gpkg").exists()


# --- rasters ---


def around(bounds_crs, margin=0.0):
    """The outline's box in a CRS."""
    return Transformer.from_crs("EPSG:4326", bounds_crs, always_xy=True).transform_bounds(
        WEST, SOUTH, EAST, NORTH
    )


def scene(
    path, dtype="int16", bands=3, crs="EPSG:32654", cell=50.0, cells=240, nodata=-99, turn=0.0, **kinds
):
    """Random numbers over more than the outline, some without data, possibly rotated; returns the values."""
    west, south, east, north = around(crs)
    middle = Affine.translation((west + east) / 2, (south + north) / 2) @ Affine.rotation(turn)
    transform = middle @ Affine(cell, 0, -cell * cells / 2, 0, -cell, cell * cells / 2)
    values = np.random.default_rng(3).integers(0, 200, (bands, cells, cells)).astype(dtype)
    if nodata is not None:
        values[:, 100:110, 100:110] = nodata
    profile = dict(
        driver="GTiff",
        count=bands,
        height=cells,
        width=cells,
        dtype=dtype,
        crs=crs,
        transform=transform,
        nodata=nodata,
    )
    with rasterio.open(path, "w", **profile | kinds) as sink:
        sink.write(values)
        for number in range(1, bands + 1):
            sink.set_band_description(number, f"b{number}")
            sink.set_band_unit(number, "m")
    return values


def same_cells(target, source_path):
    """Check that a part holds the numbers of its source at the same places, and return both open profiles'
    cover of the outline."""
    with rasterio.open(target) as part, rasterio.open(source_path) as source:
        assert part.crs == source.crs and part.dtypes == source.dtypes and part.count == source.count
        offset = ~source.transform @ part.transform
        left, top = round(offset.c), round(offset.f)
        assert np.allclose(offset[:6], (1, 0, left, 0, 1, top), atol=1e-6)
        window = rasterio.windows.Window(left, top, part.width, part.height)
        np.testing.assert_array_equal(part.read(), source.read(window=window))
        corners = [
            ~part.transform @ Transformer.from_crs("EPSG:4326", part.crs, always_xy=True).transform(x, y)
            for x in (WEST, EAST)
            for y in (SOUTH, NORTH)
        ]
        assert all(0 <= col <= part.width and 0 <= row <= part.height for col, row in corners)
        return part.width * part.height / (source.width * source.height)


@pytest.mark.parametrize(
    ("crs", "cell", "turn"),
    [("EPSG:32654", 50, 0), ("EPSG:4326", 0.0005, 0), ("EPSG:32654", 50, 30), ("EPSG:6680", 40, 0)],
)
def test_raster_keeps_its_cells(tmp_path, bring, crs, cell, turn):
    scene(tmp_path / "a.tif", crs=crs, cell=cell, turn=turn)
    target, notes = bring(tmp_path / "a.tif", "image.tif")
    assert same_cells(target, tmp_path / "a.tif") < (0.4 if turn or crs == "EPSG:6680" else 0.25)
    with rasterio.open(target) as part:
        assert (
            part.nodata == -99 and part.descriptions == ("b1", "b2", "b3") and part.units == ("m", "m", "m")
        )
        assert (
            part.profile["tiled"]
            and part.profile["compress"] == "deflate"
            and part.tags()["SOURCE"] == "a.tif"
        )
    assert len(notes) == 1 and list(target.parent.glob("image*")) == [target]


def test_margin_of_a_raster(tmp_path, bring):
    """1 km more on each side: 20 cells of 50 m, in a CRS that is true to length, and a tenth of what is more
    on each side besides."""
    scene(tmp_path / "a.tif")
    sizes = []
    for margin in (0, 1000):
        with rasterio.open(bring(tmp_path / "a.tif", f"{margin}.tif", margin_m=margin)[0]) as part:
            sizes.append((part.width, part.height))
    assert [after - before for before, after in zip(*sizes, strict=True)] == pytest.approx([48, 48], abs=1)


def test_colours_points_and_masks_are_kept(tmp_path, bring):
    scene(tmp_path / "classes.tif", dtype="uint8", bands=1, nodata=None)
    with rasterio.open(tmp_path / "classes.tif", "r+") as sink:
        sink.write_colormap(1, {0: (0, 0, 0, 255), 7: (255, 10, 20, 255)})
        sink.update_tags(AREA_OR_POINT="Point", TIFFTAG_DATETIME="2018:09:06 00:00:00")
    target, _ = bring(tmp_path / "classes.tif", "land_cover.tif")
    same_cells(target, tmp_path / "classes.tif")
    with rasterio.open(target) as part:
        assert (
            part.colormap(1)[7] == (255, 10, 20, 255)
            and part.nodata is None
            and part.tags()["AREA_OR_POINT"] == "Point"
        )
    scene(tmp_path / "rgb.tif", dtype="uint8", bands=4, nodata=None, photometric="RGB", alpha="YES")
    target, _ = bring(tmp_path / "rgb.tif", "rgb.tif")
    same_cells(target, tmp_path / "rgb.tif")
    with rasterio.open(target) as part:
        assert part.colorinterp == (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
    scene(tmp_path / "masked.tif", dtype="uint8", bands=2, nodata=None)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(tmp_path / "masked.tif", "r+") as sink:
        hidden = np.full(sink.shape, 255, np.uint8)
        hidden[100:120] = 0
        sink.write_mask(hidden)
    with (
        rasterio.open(bring(tmp_path / "masked.tif", "masked.tif")[0]) as part,
        rasterio.open(tmp_path / "masked.tif") as source,
    ):
        top = round((~source.transform @ part.transform).f)
        np.testing.assert_array_equal(part.read_masks(1)[:, 0], hidden[top : top + part.height, 0])


def test_scaled_raster_becomes_numbers(tmp_path, bring):
    scene(tmp_path / "a.tif", nodata=None)
    with rasterio.open(tmp_path / "a.tif", "r+") as sink:
        sink.nodata, sink.scales, sink.offsets = 7, (0.1, 0.1, 2.0), (0.0, 0.0, -5.0)
    target, notes = bring(tmp_path / "a.tif", "a.tif")
    with rasterio.open(target) as part, rasterio.open(tmp_path / "a.tif") as source:
        offset = ~source.transform @ part.transform
        stored = source.read(
            window=rasterio.windows.Window(round(offset.c), round(offset.f), part.width, part.height)
        )
        expected = np.stack([stored[0] * 0.1, stored[1] * 0.1, stored[2] * 2.0 - 5]).astype(np.float32)
        expected[stored == 7] = np.nan
        np.testing.assert_array_equal(part.read(), expected)
        assert part.scales == (1, 1, 1) and np.isnan(part.nodata)
    assert "x 0.1 + 0, x 2 + -5, as float32" in notes[-1]


def test_vrt_with_relative_paths(tmp_path, bring):
    """The part stands alone: its source may move afterwards."""
    values = scene(tmp_path / "a.tif", bands=1)
    with rasterio.open(tmp_path / "a.tif") as source:
        geo = ", ".join(map(str, source.transform.to_gdal()))
    (tmp_path / "scene.vrt").write_text(
        f'<VRTDataset rasterXSize="240" '
        f'rasterYSize="240"><SRS>EPSG:32654</SRS><GeoTransform>{geo}</GeoTransform>'
        '<VRTRasterBand dataType="Int16" band="1"><NoDataValue>-99</NoDataValue><SimpleSource>'
        "<SourceFilename "
        'relativeToVRT="1">a.tif</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>'
    )
    target, _ = bring(tmp_path / "scene.vrt", "image.tif")
    same_cells(target, tmp_path / "a.tif")
    (tmp_path / "a.tif").rename(tmp_path / "moved.tif")
    same_cells(target, tmp_path / "moved.tif")
    refused(lambda: bring(tmp_path / "scene.vrt", "image.tif"), "scene.vrt", "cannot be read")
    assert values.any()


def test_tiles_of_one_lattice_are_joined(tmp_path, outline):
    values = scene(tmp_path / "whole.tif", bands=2)
    with rasterio.open(tmp_path / "whole.tif") as source:
        profile, lattice = source.profile, source.transform
    spans = {"w": (0, 130), "e": (120, 240)}
    for name, (left, right) in spans.items():
        with rasterio.open(
            tmp_path / f"{name}.tif",
            "w",
            **profile | {"width": right - left, "transform": lattice @ Affine.translation(left, 0)},
        ) as sink:
            cells = values[:, :, left:right].copy()
            if name == "e":  # where the first tile has data, the second does not count
                cells[:, :, :10] = np.where(cells[:, :, :10] == -99, -99, 7)
            sink.write(cells)
    tiles = [tmp_path / "w.tif", tmp_path / "e.tif"]
    import_file({"dataset": "x"}, tiles, outline, tmp_path / "x.tif")
    same_cells(tmp_path / "x.tif", tmp_path / "whole.tif")
    scene(tmp_path / "other.tif", bands=2, cell=30)
    refused(
        lambda: import_file({}, [tiles[0], tmp_path / "other.tif"], outline, tmp_path / "x.tif"),
        "no tile beside",
        "gdalwarp",
    )


def test_longitudes_from_0_to_360(tmp_path):
    """A world raster from Greenwich eastwards serves a site in the west."""
    source = write_shapes(tmp_path / "o.gpkg", [shapely.box(-71.5, -31.5, -70.5, -30.5)], crs="EPSG:4326")
    import_file({}, source, None, tmp_path / "outline.gpkg")
    values = np.arange(180 * 360, dtype=np.int32).reshape(180, 360)
    with rasterio.open(
        tmp_path / "w.tif",
        "w",
        driver="GTiff",
        count=1,
        height=180,
        width=360,
        dtype="int32",
        crs="EPSG:4326",
        transform=Affine(1, 0, 0, 0, -1, 90),
    ) as sink:
        sink.write(values, 1)
    import_file({}, tmp_path / "w.tif", tmp_path / "outline.gpkg", tmp_path / "x.tif")
    with rasterio.open(tmp_path / "x.tif") as part:
        assert [int(value) for (value,) in part.sample([(-71.2, -31.2)])] == [values[121, 288]]
    lon, lat = np.arange(0.5, 360), np.arange(-59.5, 60)
    rain(lon, lat, steps=1).to_netcdf(tmp_path / "w.nc", engine="h5netcdf")
    import_file({}, tmp_path / "w.nc", tmp_path / "outline.gpkg", tmp_path / "x.tif")
    # cells from -180 and from -60 degrees
    assert value_at(tmp_path / "x.tif", -71.2, -31.2) == 108 + 100 * 28


def test_unfit_rasters_are_refused(tmp_path, bring):
    scene(tmp_path / "a.tif", bands=1)
    with rasterio.open(tmp_path / "a.tif") as source:
        step = source.transform
    picture = np.zeros((1, 240, 240), np.uint8)
    with rasterio.open(
        tmp_path / "p.png", "w", driver="PNG", count=1, height=240, width=240, dtype="uint8"
    ) as sink:
        sink.write(picture)
    refused(lambda: bring(tmp_path / "p.png", "p.tif", crs="EPSG:32654"), "does not say where its cells lie")
    (tmp_path / "p.pgw").write_text(
        "\n".join(map(str, (step.a, 0, 0, step.e, step.c + step.a / 2, step.f + step.e / 2)))
    )
    refused(lambda: bring(tmp_path / "p.png", "p.tif"), "p.png has no CRS", "key `crs`")
    with rasterio.open(bring(tmp_path / "p.png", "p.tif", crs="EPSG:32654")[0]) as part:
        assert part.crs == "EPSG:32654"
        assert (part.transform.c - step.c) / step.a == pytest.approx(
            round((part.transform.c - step.c) / step.a), abs=1e-6
        )
    refused(
        lambda: bring(tmp_path / "a.tif", "x.tif", crs="EPSG:32648"),
        "misses the site",
        "it covers west 105.",
        "margin west 141.8996",
        "degrees",
    )
    refused(lambda: bring(truncate(tmp_path / "a.tif", 0.3), "x.tif"), "a.tif", "cannot be read")
    refused(lambda: bring(tmp_path / "none.tif", "x.tif"), "none.tif does not exist")
    refused(lambda: bring(tmp_path / "a.tif", "x.tif", time="2018"), "`time` is for NetCDF")
    assert not (tmp_path / "raw" / "x.tif").exists()


def test_partial_cover_is_told(tmp_path, bring):
    west, _, east, north = around("EPSG:32654")
    scene(tmp_path / "a.tif")
    with rasterio.open(tmp_path / "a.tif", "r+") as sink:
        # its west edge in the middle of the outline
        sink.transform = Affine(50, 0, (west + east) / 2, 0, -50, north + 3000)
    assert (
        "covers 50." in bring(tmp_path / "a.tif", "x.tif")[1][-1]
        or "covers 49." in bring(tmp_path / "a.tif", "x.tif")[1][-1]
    )


# --- NetCDF ---


def rain(lon, lat, steps=3, **attributes):
    """A data set of rain (time, lat, lon) that grows eastwards by 1 a cell, northwards by 100 and with time
    by 10 000."""
    x, y = np.meshgrid(
        np.argsort(np.argsort(np.where(lon > 180, lon - 360, lon))), np.argsort(np.argsort(lat))
    )
    values = np.stack([x + 100 * y + 10_000 * step for step in range(steps)])
    times = np.array(["2018-09-05", "2018-09-06T00", "2018-09-06T12"], "datetime64[ns]")[:steps]
    return xarray.Dataset(
        {"rain": (("time", "lat", "lon"), values.astype(np.float32), {"units": "mm"} | attributes)},
        {
            "time": times,
            "lat": ("lat", lat, {"units": "degrees_north"}),
            "lon": ("lon", lon, {"units": "degrees_east"}),
        },
    )


def value_at(path, x=141.921, y=42.711, band=1):
    with rasterio.open(path) as part:
        assert part.transform.a > 0 > part.transform.e
        return float(next(part.sample([(x, y)]))[band - 1])


AXES = np.arange(141.005, 143, 0.01), np.arange(42.005, 43.5, 0.01)
# the cell of value_at on AXES, by hand: floor((141.921 - 141) / 0.01), floor((42.711 - 42) / 0.01)
TRUTH = 92 + 100 * 71


@pytest.mark.parametrize("case", ["descending", "ascending", "transposed", "single", "packed", "classic"])
def test_netcdf_in_any_order(tmp_path, bring, case):
    lon, lat = AXES
    data = rain(lon, lat if case != "descending" else lat[::-1])
    if case == "transposed":
        data = data.transpose("lon", "time", "lat")
    if case == "single":
        data["lon"], data["lat"] = data.lon.astype("float32"), data.lat.astype("float32")
    packing = (
        {"dtype": "int16", "scale_factor": 2.0, "add_offset": 5.0, "_FillValue": -1}
        if case == "packed"
        else {"_FillValue": np.nan}
    )
    if case == "packed":
        data["rain"][:, 72, 92] = np.nan
    data["bounds_of_time"] = ("time", np.arange(3))
    data.to_netcdf(
        tmp_path / "rain.nc",
        engine="scipy" if case == "classic" else "h5netcdf",
        encoding={"rain": packing},
        format="NETCDF3_64BIT" if case == "classic" else None,
    )
    target, notes = bring(tmp_path / "rain.nc", "rain.tif", margin_m=3000)
    # packing keeps even numbers above the offset
    assert value_at(target) == pytest.approx(TRUTH, abs=1 if case == "packed" else 0)
    assert value_at(target, band=3) == pytest.approx(TRUTH + 20_000, abs=1 if case == "packed" else 0)
    with rasterio.open(target) as part:
        assert (
            part.descriptions == ("2018-09-05T00:00:00", "2018-09-06T00:00:00", "2018-09-06T12:00:00")
            and part.units[0] == "mm"
        )
        assert (
            part.crs == "EPSG:4326" and part.width < 20 and part.transform.a == pytest.approx(0.01, rel=1e-3)
        )
        west, north = part.transform @ (0, 0)
        assert west <= WEST - 0.036 and north >= NORTH + 0.027  # 3 km
    if case == "packed":
        assert "stored values x 2 + 5, as float32" in notes[-1] and np.isnan(value_at(target, y=42.721))


def test_netcdf_times_and_variables(tmp_path, bring):
    data = rain(*AXES)
    data["snow"] = data.rain + 1
    data.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    refused(lambda: bring(tmp_path / "a.nc", "a.tif"), "rain, snow", "`variable`")
    refused(lambda: bring(tmp_path / "a.nc", "a.tif", variable="rian"), "did you mean 'rain'")
    target, _ = bring(tmp_path / "a.nc", "a.tif", variable="snow", time="2018-09-06")
    assert value_at(target) == TRUTH + 10_001 and value_at(target, band=2) == TRUTH + 20_001
    target, _ = bring(tmp_path / "a.nc", "a.tif", variable="rain", time="2018-09-06 12:00")
    assert value_at(target) == TRUTH + 20_000
    refused(
        lambda: bring(tmp_path / "a.nc", "a.tif", variable="rain", time="2019"),
        "no step of rain",
        "2018-09-05T00:00:00 to 2018-09-06T12",
    )
    data.isel(time=0, drop=True).to_netcdf(tmp_path / "b.nc", engine="h5netcdf")
    refused(lambda: bring(tmp_path / "b.nc", "a.tif", variable="rain", time="2019"), "has no times")
    assert value_at(bring(tmp_path / "b.nc", "a.tif", variable="rain")[0]) == TRUTH


def test_netcdf_of_classes_stays_whole_numbers(tmp_path, bring):
    lon, lat = AXES
    codes = np.full((len(lat), len(lon)), 3, np.uint8)
    codes[71, 92], codes[72, 92] = 200, 255
    data = xarray.Dataset(
        {"cover": (("lat", "lon"), codes, {"_FillValue": np.uint8(255)})}, {"lat": lat, "lon": lon}
    )
    data.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    target, _ = bring(tmp_path / "a.nc", "a.tif")
    with rasterio.open(target) as part:
        assert part.dtypes == ("uint8",) and part.nodata == 255
    assert value_at(target) == 200 and value_at(target, y=42.721) == 255 and value_at(target, x=141.911) == 3


def test_netcdf_round_the_world_and_projected(tmp_path, bring):
    lon, lat = np.arange(0.05, 360, 0.1), np.arange(-59.95, 60, 0.1)
    data = rain(lon, lat, steps=1)
    data.to_netcdf(tmp_path / "w.nc", engine="h5netcdf")
    assert value_at(bring(tmp_path / "w.nc", "w.tif")[0], x=141.92, y=42.74) == 3219 + 100 * 1027
    x, y = np.arange(565, 585, 0.5), np.arange(4710, 4750, 0.5)  # km of UTM zone 54 N
    data = xarray.Dataset(
        {"v": (("y", "x"), np.add.outer(1000 * np.arange(80), np.arange(40)).astype(np.int32))},
        {
            "x": ("x", x, {"units": "km", "standard_name": "projection_x_coordinate"}),
            "y": ("y", y, {"units": "km", "standard_name": "projection_y_coordinate"}),
        },
    )
    data.to_netcdf(tmp_path / "p.nc", engine="h5netcdf")
    refused(lambda: bring(tmp_path / "p.nc", "p.tif"), "p.nc, variable 'v' has no CRS", "`crs`")
    expected = value_at(bring(tmp_path / "p.nc", "p.tif", crs="EPSG:32654")[0], 577_100.0, 4_730_100.0)
    assert expected == 1000 * 40 + 24
    data.v.attrs["grid_mapping"] = "utm"
    data["utm"] = ((), 0, {"crs_wkt": rasterio.crs.CRS.from_epsg(32654).to_wkt()})
    data.to_netcdf(tmp_path / "q.nc", engine="h5netcdf")
    target, _ = bring(tmp_path / "q.nc", "q.tif")
    assert value_at(target, 577_100.0, 4_730_100.0) == expected
    with rasterio.open(target) as part:
        assert part.crs == "EPSG:32654" and part.transform.a == 500


def test_unfit_netcdf_is_refused(tmp_path, bring):
    lon, lat = AXES
    uneven = rain(np.sort(np.concatenate([lon[::2], lon[1::8]])), lat)
    uneven.to_netcdf(tmp_path / "u.nc", engine="h5netcdf")
    refused(lambda: bring(tmp_path / "u.nc", "u.tif"), "'lon' are not evenly spaced", "cdo")
    rain(lon - 20, lat).to_netcdf(tmp_path / "far.nc", engine="h5netcdf")
    refused(
        lambda: bring(tmp_path / "far.nc", "f.tif"),
        "misses the site: it covers west 121.0000",
        "margin west 141.8996",
    )
    deep = rain(lon, lat).expand_dims(level=[1, 2])
    deep.to_netcdf(tmp_path / "deep.nc", engine="h5netcdf")
    refused(lambda: bring(tmp_path / "deep.nc", "d.tif"), "2 steps of 'level'")
    refused(lambda: bring(truncate(tmp_path / "deep.nc"), "d.tif"), "deep.nc", "cannot be read")
    (tmp_path / "no.nc").write_bytes(b"nothing")
    refused(lambda: bring(tmp_path / "no.nc", "d.tif"), "no NetCDF")


# --- layers from polygons ---


def area_record(**rasters):
    return {
        "name": "valley",
        "data": "real",
        "dates": ["2020-01-01"],
        "rasters": rasters,
        "grid": {"around": "outline.gpkg", "crs": CRS, "resolution_m": 15},
    }


@pytest.fixture
def rocks(tmp_path):
    """A folder of raw files: an outline, four overlapping rocks of which one has no name, and two zones of
    rain."""
    raw = tmp_path / "raw"
    raw.mkdir()
    grid = make_grid(west=500_010.0, north=3_400_005.0)
    west, south, east, north = grid.bounds
    write_shapes(raw / "outline.gpkg", [shapely.box(west + 3, south + 3, east - 3, north - 3)])
    shapes = [
        shapely.box(west, south, east - 200, north),
        shapely.Point(west + 300, south + 300).buffer(150),
        shapely.box(west, north - 100, west + 100, north),
        shapely.box(west + 100, north - 100, west + 200, north),
    ]
    write_shapes(
        raw / "lithology.gpkg", shapes, rock=["slate", " granite", "slate", None], code=[7, 3, 7, 300]
    )
    write_shapes(raw / "isohyets.gpkg", shapes[:2], mm=[1200, 1500.5], text=["1200", "1500.5"])
    return raw, grid, shapes


def by_hand(grid, shapes, values, nodata, dtype):
    return rasterize(
        zip(shapes, values, strict=True),
        out_shape=grid.shape,
        transform=grid.transform,
        fill=nodata,
        dtype=dtype,
    )


def test_classes_from_polygons(tmp_path, rocks):
    raw, grid, shapes = rocks
    entry = {"file": "lithology.gpkg", "attribute": "rock", "kind": "classes", "units": "class"}
    named = entry | {"classes": {20: "slate", 10: "granite", 5: "marl"}}
    build_layers(
        area_record(rock=entry, named=named, code=entry | {"attribute": "code"}),
        raw,
        None,
        tmp_path / "layers",
    )
    layers = {record["name"]: record for record in read_manifest(tmp_path / "layers")["layers"]}
    rock = read_layer(tmp_path / "layers" / "rock.tif")
    assert (rock.grid.bounds, rock.grid.shape) == (grid.bounds, grid.shape)
    np.testing.assert_array_equal(rock.values, by_hand(grid, shapes, [2, 1, 2, 255], 255, "uint8"))
    assert layers["rock"]["classes"] == {"1": "granite", "2": "slate"} and layers["rock"]["nodata"] == 255
    np.testing.assert_array_equal(
        read_layer(tmp_path / "layers" / "named.tif").values,
        by_hand(grid, shapes, [20, 10, 20, 255], 255, "uint8"),
    )
    assert layers["named"]["classes"] == {"20": "slate", "10": "granite", "5": "marl"}
    code = read_layer(tmp_path / "layers" / "code.tif").values
    np.testing.assert_array_equal(code, by_hand(grid, shapes, [7, 3, 7, 300], 65535, "uint16"))
    assert (
        layers["code"]["classes"] == {"3": "3", "7": "7", "300": "300"}
        and layers["code"]["effective_resolution_m"] == 15
    )
    assert (
        "lithology.gpkg: rock of 1 of 4 polygons is empty; they are no data"
        in read_manifest(tmp_path / "layers")["notes"]
    )


def test_numbers_from_polygons(tmp_path, rocks):
    raw, grid, shapes = rocks
    entry = {"file": "isohyets.gpkg", "attribute": "mm", "units": "m", "scale": 0.001}
    build_layers(
        area_record(rain=entry, text=entry | {"attribute": "text", "scale": 1}),
        raw,
        None,
        tmp_path / "layers",
    )
    expected = by_hand(grid, shapes[:2], [1200, 1500.5], np.nan, "float32")
    np.testing.assert_array_equal(read_layer(tmp_path / "layers" / "text.tif").values, expected)
    np.testing.assert_array_equal(
        read_layer(tmp_path / "layers" / "rain.tif").values, expected * np.float32(0.001)
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"attribute": "rocks"}, ["lithology.gpkg: attribute 'rocks'", "did you mean 'rock'"]),
        ({"classes": {1: "slate", 2: "granit"}}, ["holds granite", "did you mean 'granit'", "`classes`"]),
        ({"attribute": "code", "classes": {3: "granite", 7: "slate"}}, ["holds 300"]),
        ({"kind": "continuous"}, ["holds 'slate', which is no number"]),
        ({"file": "isohyets.gpkg", "attribute": "mm"}, ["no codes of classes"]),
        ({"resampling": "cubic"}, ["key 'resampling'"]),
        ({"kind": "class"}, ["did you mean 'classes'"]),
        ({"file": "far.gpkg"}, ["has no value on the site"]),
    ],
)
def test_bad_polygon_layers_are_refused(tmp_path, rocks, change, words):
    raw, _, shapes = rocks
    write_shapes(raw / "far.gpkg", [shapely.affinity.translate(shapes[0], 1e5)], rock=["slate"])
    entry = {"file": "lithology.gpkg", "attribute": "rock", "kind": "classes", "units": "class"} | change
    refused(lambda: build_layers(area_record(rock=entry), raw, None, tmp_path / "layers"), *words)
    assert not (tmp_path / "layers").exists()


def test_mask_of_a_polygon_layer(tmp_path, rocks):
    raw, grid, _ = rocks
    cloud = np.zeros(grid.shape, np.uint8)
    cloud[:, :10] = 1
    write_raster(raw / "cloud.tif", cloud, grid)
    entry = {
        "file": "lithology.gpkg",
        "attribute": "rock",
        "kind": "classes",
        "units": "class",
        "mask": {"file": "cloud.tif", "values": [1]},
    }
    build_layers(area_record(rock=entry), raw, None, tmp_path / "layers")
    values = read_layer(tmp_path / "layers" / "rock.tif").values
    assert (values[:, :10] == 255).all() and (values[:, 10:30] != 255).any()


@pytest.mark.parametrize(
    ("grid", "word"),
    [
        ({"around": "outline.gpkg", "resolution_m": 15}, "'crs' is missing"),
        ({"around": "outline.gpkg", "crs": CRS}, "'resolution_m' is missing"),
        ({"around": "outline.gpkg", "like": "a.tif", "crs": CRS, "resolution_m": 15}, "exclude each other"),
        ({"around": "outline.gpkg", "crs": CRS, "resolution_m": 15, "within": "a.gpkg"}, "key 'within'"),
        ({"arround": "outline.gpkg", "crs": CRS, "resolution_m": 15}, "did you mean 'around'"),
    ],
)
def test_grid_around_is_checked(tmp_path, rocks, grid, word):
    entry = {"file": "isohyets.gpkg", "attribute": "mm", "units": "mm"}
    refused(
        lambda: build_layers(area_record(rain=entry) | {"grid": grid}, rocks[0], None, tmp_path / "layers"),
        word,
    )


def test_part_of_a_grid_around(tmp_path, rocks):
    raw, grid, _ = rocks
    record = area_record(rain={"file": "isohyets.gpkg", "attribute": "mm", "units": "mm"})
    record["grid"]["part"] = {"axis": "x", "from": 0, "to": 0.5}
    build_layers(record, raw, None, tmp_path / "layers")
    assert read_layer(tmp_path / "layers" / "rain.tif").grid.shape == (grid.height, grid.width // 2)


@pytest.mark.parametrize("crs", ["EPSG:32654", "EPSG:6680", "EPSG:32653"])
def test_imported_raster_fills_the_grid_around_its_outline(tmp_path, crs):
    """A site of 30 km whose outline leaves its box's corners free: no cell of the grid, turned against the
    raster's, lacks its source."""
    source = write_shapes(
        tmp_path / "o.gpkg",
        [shapely.Polygon([(141.8, 42.6), (142.15, 42.75), (141.9, 42.9)])],
        crs="EPSG:4326",
    )
    raw = tmp_path / "raw"
    import_file({}, source, None, raw / "outline.gpkg")
    west, north, step = 141.5, 43.1, 0.002
    values = np.add.outer(np.arange(400), np.arange(500)).astype(np.float32)
    profile = dict(
        driver="GTiff", count=1, height=400, width=500, dtype="float32", crs="EPSG:4326", nodata=-1
    )
    with rasterio.open(
        tmp_path / "a.tif", "w", transform=Affine(step, 0, west, 0, -step, north), **profile
    ) as sink:
        sink.write(values, 1)
    import_file({}, tmp_path / "a.tif", raw / "outline.gpkg", raw / "part.tif")
    (raw / "whole.tif").write_bytes((tmp_path / "a.tif").read_bytes())
    entry = {"units": "m", "resampling": "cubic"}
    record = area_record(part=entry | {"file": "part.tif"}, whole=entry | {"file": "whole.tif"})
    record["grid"] = {"around": "outline.gpkg", "crs": crs, "resolution_m": 150}
    build_layers(record, raw, None, tmp_path / "layers")
    part, whole = (read_layer(tmp_path / "layers" / f"{name}.tif") for name in ("part", "whole"))
    np.testing.assert_allclose(part.values, whole.values, atol=1e-3)
    assert part.values.size > 30_000 and not np.isnan(part.values).any()


# --- real data ---


def test_faults_round_jinsha_and_iburi(tmp_path, real_data):
    """As many faults as touch the boxes by geopandas alone, which reads the world for it."""
    source = real_data("data/faults_rivers/gem_active_faults_harmonized.shp")
    world = geopandas.read_file(source)
    for name, box in {"jinsha": (98.9, 31.0, 99.3, 31.4), "iburi": (141.8, 42.6, 142.1, 42.85)}.items():
        polygon = write_shapes(tmp_path / f"{name}.gpkg", [shapely.box(*box)], crs="EPSG:4326")
        import_file({}, polygon, None, tmp_path / f"{name}_outline.gpkg")
        import_file(
            {"dataset": "x", "margin_m": 50_000},
            source,
            tmp_path / f"{name}_outline.gpkg",
            tmp_path / "x.gpkg",
        )
        found = geopandas.read_file(tmp_path / "x.gpkg")
        inside, wider = (shapely.box(*box).buffer(width, join_style="mitre") for width in (0.449, 0.63))
        assert (
            np.count_nonzero(world.intersects(inside))
            <= len(found)
            <= np.count_nonzero(world.intersects(wider))
        )
        assert len(found) and set(found.geometry.to_wkb()) <= set(world.geometry.to_wkb())


def test_stage_iv_rain_on_a_curved_grid(tmp_path, real_data):
    """Hurricane Florence, Wilmington: the value of the nearest node, for every cell."""
    source = real_data("data/optical_timeseries_misc/stageiv_precip.nc")
    polygon = write_shapes(tmp_path / "o.gpkg", [shapely.box(-78.2, 34.0, -77.8, 34.4)], crs="EPSG:4326")
    import_file({}, polygon, None, tmp_path / "outline.gpkg")
    notes = import_file({"time": "2018-09-14T10"}, source, tmp_path / "outline.gpkg", tmp_path / "rain.tif")
    assert "curved" in " ".join(notes)
    with xarray.open_dataset(source, engine="scipy") as data, rasterio.open(tmp_path / "rain.tif") as part:
        stored = data.Total_precipitation_surface_1_Hour_Accumulation.sel(
            time="2018-09-14T10"
        ).values.squeeze()
        lon, lat = data.lon.values, data.lat.values
        values = part.read(1)
        for row, col in np.ndindex(values.shape):
            x, y = part.transform @ (col + 0.5, row + 0.5)
            away = ((lon - x) * np.cos(np.radians(34.2))) ** 2 + (lat - y) ** 2
            assert values[row, col] in stored[away <= away.min() * 1.02 + 1e-9]
        assert part.units == ("kg m^-2",) and part.count == 1 and values.max() > 5
