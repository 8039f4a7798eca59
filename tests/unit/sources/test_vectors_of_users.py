"""Vector files as users have them: odd geometries, layers, encodings, truncated and mistaken files,
longitudes beyond 180 degrees. Each becomes its right value or one line."""

import json
import shutil
import sqlite3
import struct
import zipfile

import geopandas
import numpy as np
import pytest
import shapely
from pyproj import Geod, Transformer
from rasterio.transform import from_bounds

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.sources.imports import import_file
from headscarp.sources.region import region_around
from tests.site_files import truncate, write_raster, write_shapes

WEST, SOUTH, EAST, NORTH = 141.90, 42.70, 141.94, 42.73
OUTLINE = shapely.box(WEST, SOUTH, EAST, NORTH)
DEGREES = "EPSG:4326"
SLIDES = [
    shapely.box(WEST + k * 5e-4, SOUTH + 0.01, WEST + k * 5e-4 + 3e-4, SOUTH + 0.0104) for k in range(60)
]


@pytest.fixture
def outline(tmp_path):
    source = write_shapes(tmp_path / "outline.geojson", [OUTLINE], crs=DEGREES)
    import_file({}, source, None, tmp_path / "raw" / "outline.gpkg")
    return tmp_path / "raw" / "outline.gpkg"


@pytest.fixture
def bring(tmp_path, outline):
    """Import a file round the outline; returns what was written and the notes in one text."""

    def run(origin, **spec):
        notes = import_file(spec, origin, outline, tmp_path / "raw" / "landslides.gpkg")
        return geopandas.read_file(tmp_path / "raw" / "landslides.gpkg"), "; ".join(notes)

    return run


@pytest.fixture
def framed(tmp_path):
    """Import a file as an outline; returns its one geometry, CRS and the notes in one text."""

    def run(origin, **spec):
        notes = import_file(spec, origin, None, tmp_path / "framed.gpkg")
        table = geopandas.read_file(tmp_path / "framed.gpkg")
        return table.geometry[0], table.crs, "; ".join(notes)

    return run


def line_of(call):
    """The one line that a call ends with."""
    with pytest.raises(HeadscarpError) as error:
        call()
    text = str(error.value)
    assert "\n" not in text and "Traceback" not in text
    return text


# --- geometries, by the bytes of ISO 13249-3 and the GeoPackage standard ---


def ring(*places):
    return struct.pack("<I", len(places)) + b"".join(struct.pack("<dd", *place) for place in places)


def wkb(kind, *parts):
    return struct.pack("<BI", 1, kind) + struct.pack("<I", len(parts)) + b"".join(parts)


def geopackage(path, shape, kind):
    """A GeoPackage of one feature whose geometry is given as bytes."""
    write_shapes(path, [OUTLINE], crs=DEGREES, name=["a"])
    with sqlite3.connect(path) as database:
        (table,) = database.execute("SELECT table_name FROM gpkg_contents").fetchone()
        for (trigger,) in database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            database.execute(f'DROP TRIGGER "{trigger}"')
        database.execute("DELETE FROM gpkg_extensions WHERE extension_name = 'gpkg_rtree_index'")
        database.execute(f'UPDATE "{table}" SET geom = ?', (b"GP\x00\x01" + struct.pack("<i", 4326) + shape,))
        database.execute("UPDATE gpkg_geometry_columns SET geometry_type_name = ?", (kind,))
    database.close()
    return path


X, Y, R = WEST + 0.01, SOUTH + 0.01, 0.001
SQUARE = [(X, Y), (X + R, Y), (X + R, Y + R), (X, Y + R), (X, Y)]
POLYGON = wkb(3, ring(*SQUARE))
CIRCLE = wkb(10, struct.pack("<BI", 1, 8) + ring((X - R, Y), (X, Y + R), (X + R, Y), (X, Y - R), (X - R, Y)))
POINT = struct.pack("<BI", 1, 1) + struct.pack("<dd", X, Y)


@pytest.mark.parametrize(
    ("shape", "kind", "area"),
    [
        (CIRCLE, "CURVEPOLYGON", np.pi * R**2),
        (CIRCLE, "GEOMETRY", np.pi * R**2),
        (wkb(12, CIRCLE), "MULTISURFACE", np.pi * R**2),
        (wkb(7, POLYGON, POINT), "GEOMETRYCOLLECTION", R**2),
        (wkb(7, wkb(7, POLYGON), POINT), "GEOMETRYCOLLECTION", R**2),
        (wkb(3, ring(*SQUARE[:4])), "POLYGON", R**2),  # not closed
    ],
)
def test_curves_collections_and_open_rings_are_polygons(tmp_path, bring, framed, shape, kind, area):
    path = geopackage(tmp_path / "a.gpkg", shape, kind)
    table, _ = bring(path)
    assert set(table.geom_type) <= {"Polygon", "MultiPolygon"}
    assert table.area[0] == pytest.approx(area, rel=2e-3)
    assert framed(path)[0].area == pytest.approx(area, rel=2e-3)


@pytest.mark.parametrize(
    ("shape", "kind", "words"),
    [
        (wkb(15, POLYGON), "POLYHEDRALSURFACE", "cannot be read (Geometry type is not supported"),
        (wkb(15, POLYGON), "GEOMETRY", "no feature has a geometry"),
        (wkb(7, CIRCLE), "GEOMETRYCOLLECTION", "curves within collections"),
        (wkb(3, ring((np.nan, Y), *SQUARE[1:4], (np.nan, Y))), "POLYGON", "no feature has a geometry"),
        (wkb(3, ring((np.inf, Y), *SQUARE[1:4], (np.inf, Y))), "POLYGON", "no feature has a geometry"),
        (wkb(3, ring(*SQUARE[:2])), "POLYGON", "no feature has a geometry"),
        (b"\x01\x03\x00", "POLYGON", "no feature has a geometry"),
        (
            wkb(9, struct.pack("<BI", 1, 8) + ring(*SQUARE)),
            "COMPOUNDCURVE",
            "holds no area (LineString only)",
        ),
    ],
)
def test_geometries_that_are_none_are_one_line(tmp_path, framed, shape, kind, words):
    assert words in line_of(lambda: framed(geopackage(tmp_path / "a.gpkg", shape, kind)))


def test_features_without_geometry_are_counted(tmp_path, framed):
    shapes = [OUTLINE, None, shapely.Polygon(), shapely.Point(WEST, SOUTH)]
    whole, _, notes = framed(write_shapes(tmp_path / "a.gpkg", shapes, crs=DEGREES))
    assert whole.equals(OUTLINE) and "1 of 4 features have no geometry" in notes
    assert "outline of 1 polygons" in notes


def test_outlines_with_heights_and_bow_ties(tmp_path, framed):
    high = shapely.force_3d(OUTLINE, 12.0)
    bow = shapely.Polygon([(WEST, SOUTH), (EAST, NORTH), (EAST, SOUTH), (WEST, NORTH)])
    whole, _, notes = framed(write_shapes(tmp_path / "a.gpkg", [high], crs=DEGREES))
    assert whole.equals(OUTLINE) and not whole.has_z and "heights of 1" in notes
    whole, _, notes = framed(write_shapes(tmp_path / "b.gpkg", [bow], crs=DEGREES))
    assert whole.area == pytest.approx(OUTLINE.area / 2) and "1 of 1 geometries were invalid" in notes


# --- layers ---


def kml(*folders):
    """A KML with folders, each a name and what it holds."""
    text = "".join(f"<Folder><name>{name}</name>{content}</Folder>" for name, content in folders)
    return (
        '<?xml version="1.0" encoding="UTF-8"?><kml xmlns="http://www.opengis.net/kml/2.2">'
        f"<Document>{text}</Document></kml>"
    )


def placemark(shape):
    places = " ".join(f"{x},{y},0" for x, y in shapely.get_coordinates(shape))
    inner = f"<coordinates>{places}</coordinates>"
    if shape.geom_type == "Polygon":
        inner = f"<outerBoundaryIs><LinearRing>{inner}</LinearRing></outerBoundaryIs>"
    return f"<Placemark><{shape.geom_type}>{inner}</{shape.geom_type}></Placemark>"


def test_the_polygon_in_one_of_the_folders_of_a_kml_is_the_outline(tmp_path, framed):
    points, polygon = placemark(shapely.Point(WEST, SOUTH)), placemark(OUTLINE)
    (tmp_path / "a.kml").write_text(kml(("photos", points * 3), ("drawn", points + polygon)))
    whole, _, notes = framed(tmp_path / "a.kml")
    assert whole.equals(OUTLINE) and "of its layers photos, drawn only drawn holds polygons" in notes
    with zipfile.ZipFile(tmp_path / "b.kmz", "w") as archive:
        archive.write(tmp_path / "a.kml", "doc.kml")
    assert framed(tmp_path / "b.kmz")[0].equals(OUTLINE)
    (tmp_path / "c.kml").write_text(kml(("photos", points), ("north", polygon), ("south", polygon)))
    text = line_of(lambda: framed(tmp_path / "c.kml"))
    assert "which layer? it holds north, south;" in text and "photos" not in text
    assert f"'{tmp_path / 'c.kml'}|layername=north'" in text and "key `layer`" in text
    assert framed(tmp_path / "c.kml", layer="south")[0].equals(OUTLINE)
    (tmp_path / "d.kml").write_text(kml(("photos", points), ("track", placemark(shapely.LineString(SQUARE)))))
    assert "holds no area (no polygons in photos, track)" in line_of(lambda: framed(tmp_path / "d.kml"))


def test_tables_without_geometry_are_no_layers(tmp_path, framed, bring):
    write_shapes(tmp_path / "a.gpkg", [OUTLINE], crs=DEGREES)
    with sqlite3.connect(tmp_path / "a.gpkg") as database:
        database.execute("CREATE TABLE layer_styles (id INTEGER PRIMARY KEY, styleQML TEXT)")
        database.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES ('layer_styles', "
            "'attributes', 'layer_styles')"
        )
        database.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)")
        database.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES ('notes', "
            "'attributes', 'notes')"
        )
    database.close()
    assert framed(tmp_path / "a.gpkg")[0].equals(OUTLINE)
    assert len(bring(tmp_path / "a.gpkg")[0]) == 1
    with sqlite3.connect(tmp_path / "a.gpkg") as database:
        for table in ("gpkg_geometry_columns", "gpkg_ogr_contents"):
            database.execute(f"DELETE FROM {table}")
        database.execute("DELETE FROM gpkg_contents WHERE table_name = 'a'")
    database.close()
    assert "holds no geometries" in line_of(lambda: framed(tmp_path / "a.gpkg"))


# --- geodatabases and zips ---


def test_file_geodatabases_as_folders_and_zipped(tmp_path, bring):
    slides = geopandas.GeoDataFrame({"id": range(len(SLIDES))}, geometry=SLIDES, crs=DEGREES)
    slides.to_file(tmp_path / "slides.gdb", driver="OpenFileGDB", layer="export")
    expected = sorted(range(len(SLIDES)))
    assert sorted(bring(tmp_path / "slides.gdb")[0].id) == expected
    for name in ("slides.gdb.zip", "delivery.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("readme.txt", "no")
            for file in (tmp_path / "slides.gdb").iterdir():
                archive.write(file, f"slides.gdb/{file.name}")
        assert sorted(bring(tmp_path / name)[0].id) == expected, name
    (tmp_path / "empty.gdb").mkdir()
    assert "empty.gdb" in line_of(lambda: bring(tmp_path / "empty.gdb"))


def test_files_of_one_name_in_a_zip_do_not_hide_each_other(tmp_path, bring):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for folder, shapes in (("north", SLIDES[:5]), ("south", SLIDES[5:8])):
            file = write_shapes(tmp_path / f"{folder}.geojson", shapes, crs=DEGREES)
            archive.write(file, f"{folder}/slides.geojson")
    text = line_of(lambda: bring(tmp_path / "a.zip"))
    assert "several files: north/slides.geojson, south/slides.geojson" in text
    assert len(bring(tmp_path / "a.zip", layer="south/slides.geojson")[0]) == 3


# --- files that are none, or not whole ---

WRITERS = ("gpkg", "geojson", "fgb", "gml", "kml", "shp")


def whole_file(folder, ending):
    path = folder / f"a.{ending}"
    table = geopandas.GeoDataFrame({"name": ["x"] * len(SLIDES)}, geometry=SLIDES, crs=DEGREES)
    table.to_file(path, **({"driver": "KML"} if ending == "kml" else {}))
    return path


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9, 0.98])
@pytest.mark.parametrize("ending", WRITERS)
def test_a_truncated_file_is_one_line_and_never_a_part_of_it(tmp_path, bring, ending, share):
    path = truncate(whole_file(tmp_path, ending), share)
    text = line_of(lambda: bring(path))
    assert f"a.{ending}" in text and "truncated" in text
    assert not (tmp_path / "raw" / "landslides.gpkg").exists()


@pytest.mark.parametrize("ending", WRITERS)
def test_the_same_files_whole(tmp_path, bring, ending):
    assert len(bring(whole_file(tmp_path, ending))[0]) == len(SLIDES)


def test_a_gml_that_ends_between_two_features(tmp_path, bring):
    path = whole_file(tmp_path, "gml")
    content = path.read_bytes()
    end = b"</ogr:featureMember>"
    path.write_bytes(content[: content.index(end, len(content) // 2) + len(end)])
    assert "truncated" in line_of(lambda: bring(path))


def test_parts_of_a_shapefile_that_are_missing_or_cut(tmp_path, bring):
    def shapefile(name):
        folder = tmp_path / name
        folder.mkdir()
        return whole_file(folder, "shp")

    path = shapefile("shx")
    path.with_suffix(".shx").unlink()
    assert "lacks its part .shx; put the .shx, .dbf and .prj" in line_of(lambda: bring(path))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(path, "a.shp")
    text = line_of(lambda: bring(tmp_path / "a.zip"))
    assert "a.zip lacks its part .shx" in text and "raw" not in text
    truncate(shapefile("cut").with_suffix(".shx"))
    assert "cannot be read" in line_of(lambda: bring(tmp_path / "cut" / "a.shp"))
    truncate(shapefile("attributes").with_suffix(".dbf"))
    assert "cannot be read" in line_of(lambda: bring(tmp_path / "attributes" / "a.shp"))
    bare = shapefile("bare")
    bare.with_suffix(".dbf").unlink()
    assert len(bring(bare)[0]) == len(SLIDES)
    projection = shapefile("projection").with_suffix(".prj")
    projection.write_text('GEOGCS["GCS_WGS_1984",DATUM[')
    assert "CRS that cannot be understood" in line_of(lambda: bring(projection.with_suffix(".shp")))


PAGE = "<!DOCTYPE html><html><body>404</body></html>"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        *((f"a.{ending}", "", "is empty (0 bytes)") for ending in (*WRITERS, "json", "gpx", "kmz", "osm")),
        *((f"a.{ending}", PAGE, "is a web page") for ending in (*WRITERS, "json", "gpx")),
        ("a.geojson", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
        ("a.json", '{"a": 1}', "of no kind that GDAL knows"),
        ("a.json", "[1, 2]", "of no kind that GDAL knows"),
        ("a.kml", "some notes", "cannot be read"),
        ("a.gpkg", "some notes", "of no kind that GDAL knows"),
        ("a.geojson", '{"type": "FeatureCollection", "features": []}', "no feature has a geometry"),
        ("a.parquet", "PAR1", "is GeoParquet, which cannot be read here; save it as GeoPackage"),
        ("a.mdb", "Standard Jet DB", "personal geodatabase"),
        ("a.qgz", "PK", "project, without its data"),
        ("a.zip", PAGE, "cannot be unpacked"),
    ],
)
def test_files_that_are_something_else(tmp_path, framed, name, content, words):
    (tmp_path / name).write_text(content)
    text = line_of(lambda: framed(tmp_path / name))
    assert words in text and name in text


def test_damage_that_only_pythons_own_errors_tell(tmp_path, bring):
    """Places beyond the file in a zip's directory; a CRS that is no text."""
    slides = whole_file(tmp_path, "geojson")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(slides, "a.geojson")
        start = archive.start_dir
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[start + 42 : start + 46] = struct.pack("<I", 2**31)
    end = content.rindex(b"PK\x05\x06")
    content[end + 16 : end + 20] = struct.pack("<I", start + 2**31 + 9)
    (tmp_path / "a.zip").write_bytes(content)
    assert "cannot be unpacked" in line_of(lambda: bring(tmp_path / "a.zip"))
    projection = whole_file(tmp_path, "shp").with_suffix(".prj")
    projection.write_bytes(projection.read_bytes().replace(b"Greenwich", b"Gre\xe2nwich"))
    assert "a CRS that cannot be understood" in line_of(lambda: bring(tmp_path / "a.shp"))


def test_folders_and_missing_files(tmp_path, framed):
    (tmp_path / "data").mkdir()
    assert "data is a folder; give the file in it" in line_of(lambda: framed(tmp_path / "data"))
    (tmp_path / "a.shp").mkdir()
    assert "a.shp is a folder" in line_of(lambda: framed(tmp_path / "a.shp"))
    assert "none.gpkg does not exist" in line_of(lambda: framed(tmp_path / "none.gpkg"))


# --- text ---


@pytest.mark.parametrize("encoding", ["CP932", "EUC-JP", "GBK", "CP1252"])
@pytest.mark.parametrize("declared", ["UTF-8", "nonsense", None])
def test_a_shapefile_in_another_code_page_is_read_all_the_same(tmp_path, bring, encoding, declared):
    text, column = ("Éboulis", "été") if encoding == "CP1252" else ("花崗岩", "岩石")
    table = geopandas.GeoDataFrame({column: [text]}, geometry=SLIDES[:1], crs=DEGREES)
    table.to_file(tmp_path / "a.shp", encoding=encoding)
    page = tmp_path / "a.cpg"
    page.unlink() if declared is None else page.write_text(declared)
    table, notes = bring(tmp_path / "a.shp")
    assert len(table) == 1 and ("not in the encoding that it says" in notes) == (declared == "UTF-8")
    assert bring(tmp_path / "a.shp", encoding=encoding)[0][column][0] == text


@pytest.mark.parametrize("ending", ["geojson", "fgb", "gpkg"])
def test_bytes_that_are_no_text(tmp_path, bring, ending):
    path = write_shapes(tmp_path / f"a.{ending}", SLIDES[:1], crs=DEGREES, name=["Éboulis"])
    path.write_bytes(path.read_bytes().replace("É".encode(), b"\xc9e"))
    table, notes = bring(path)
    assert len(table) == 1 and table.name[0].endswith("boulis") and "encoding" in notes


# --- the Earth is round ---

FIJI = shapely.box(179.97, -16.9, 180.03, -16.85)  # as one box beyond 180 degrees


def halves(shape):
    """A geometry about the meridian of 180 degrees, cut there as RFC 7946 says."""
    west = shapely.intersection(shape, shapely.box(0, -90, 180, 90))
    east = shapely.affinity.translate(shapely.intersection(shape, shapely.box(180, -90, 360, 90)), -360)
    return [west, east]


@pytest.mark.parametrize(
    ("shapes", "crs"),
    [
        ([FIJI], DEGREES),
        (halves(FIJI), DEGREES),
        ([shapely.MultiPolygon(halves(FIJI))], DEGREES),
        ([shapely.affinity.translate(FIJI, -360)], DEGREES),
        ([FIJI], "EPSG:32701"),
        ([FIJI], "EPSG:32760"),
        ([FIJI], "EPSG:3460"),  # Fiji Map Grid
    ],
)
def test_outlines_on_the_antimeridian(tmp_path, framed, shapes, crs):
    """Their area is that on the ellipsoid, and the region round them is as small as they are."""
    table = geopandas.GeoDataFrame(geometry=shapes, crs=DEGREES).to_crs(crs)
    table.to_file(tmp_path / "a.gpkg")
    whole, own, _ = framed(tmp_path / "a.gpkg")
    assert own.is_projected and whole.geom_type == "Polygon"
    expected = abs(Geod(ellps="WGS84").geometry_area_perimeter(FIJI)[0])
    assert whole.area == pytest.approx(expected, rel=2e-3)
    region = region_around(tmp_path / "framed.gpkg", 0)
    west, south, east, north = region.bounds
    assert (east - west) * (north - south) == pytest.approx(expected, rel=0.05)  # the box is turned
    assert region.crs in ("EPSG:32701", "EPSG:32760")


def test_files_round_an_outline_on_the_antimeridian(tmp_path, framed):
    """A raster in the UTM zone west of the meridian, and polygons in the one east of it, come whole."""
    framed(write_shapes(tmp_path / "a.geojson", [FIJI], crs=DEGREES))
    outline = tmp_path / "framed.gpkg"
    west, south, east, north = region_around(outline, 0).bounds_in("EPSG:32760")
    cells = np.arange(200 * 200, dtype=np.float32).reshape(200, 200)
    transform = from_bounds(west - 500, south - 500, east + 500, north + 500, 200, 200)
    write_raster(tmp_path / "dem.tif", cells, Grid("EPSG:32760", transform, 200, 200), crs="EPSG:32760")
    notes = import_file({}, tmp_path / "dem.tif", outline, tmp_path / "part.tif")
    assert not any("covers" in note for note in notes)
    places = [(179.98, -16.88), (-179.98, -16.87)]
    points = [
        shapely.Point(Transformer.from_crs(4326, 32701, always_xy=True).transform(*at)) for at in places
    ]
    write_shapes(tmp_path / "slides.gpkg", [point.buffer(30) for point in points], crs="EPSG:32701")
    import_file({}, tmp_path / "slides.gpkg", outline, tmp_path / "part.gpkg")
    assert len(geopandas.read_file(tmp_path / "part.gpkg")) == 2
    write_shapes(tmp_path / "torn.gpkg", halves(FIJI), crs=DEGREES)
    text = line_of(lambda: import_file({}, tmp_path / "torn.gpkg", outline, tmp_path / "torn_part.gpkg"))
    assert "crosses the meridian of 180 degrees" in text and "ogr2ogr -t_srs" in text


def test_longitudes_from_0_to_360(tmp_path, framed):
    chile = shapely.box(-73.05, -37.02, -73.0, -37.0)
    turned = shapely.affinity.translate(chile, 360)
    whole, _, notes = framed(write_shapes(tmp_path / "a.geojson", [turned], crs=DEGREES))
    assert shapely.hausdorff_distance(whole, chile) < 1e-9 and "brought to -180 to 180" in notes
    inside = shapely.affinity.translate(chile.centroid.buffer(0.001), 360)
    write_shapes(tmp_path / "b.geojson", [inside], crs=DEGREES)
    notes = import_file({}, tmp_path / "b.geojson", tmp_path / "framed.gpkg", tmp_path / "part.gpkg")
    (slide,) = geopandas.read_file(tmp_path / "part.gpkg").geometry
    assert slide.centroid.distance(chile.centroid) < 1e-9 and "longitudes from 0 to 360" in "; ".join(notes)


def test_a_stray_polygon_is_told(tmp_path, framed):
    stray = shapely.box(148.0, 47.0, 148.001, 47.001)
    _, _, notes = framed(write_shapes(tmp_path / "a.geojson", [OUTLINE, stray], crs=DEGREES))
    metres = Geod(ellps="WGS84").inv(*OUTLINE.centroid.coords[0], *stray.centroid.coords[0])[2]
    assert "WARNING its 2 polygons fill only" in notes and f"is {metres / 1000:.0f} km away" in notes
    beside = shapely.affinity.translate(OUTLINE, 0.05)
    assert "WARNING" not in framed(write_shapes(tmp_path / "b.geojson", [OUTLINE, beside], crs=DEGREES))[2]


def test_no_geojson_that_breaks_its_own_rules_ends_in_a_trace(tmp_path, framed):
    """Coordinates that are no numbers, no list, too few, of an unknown kind."""
    odd = (
        {"type": "Polygon", "coordinates": None},
        {"type": "Polygon", "coordinates": [[["a", 2], [2, 3], [3, 4], ["a", 2]]]},
        {"type": "Polygon", "coordinates": [[[1, 2], [2, 3]]]},
        {"type": "Ball", "coordinates": []},
        {"type": "GeometryCollection"},
    )
    for shape in odd:
        feature = {"type": "Feature", "properties": {}, "geometry": shape}
        text = json.dumps({"type": "FeatureCollection", "features": [feature]})
        (tmp_path / "a.geojson").write_text(text)
        assert "a.geojson" in line_of(lambda: framed(tmp_path / "a.geojson"))
        shutil.rmtree(tmp_path / "raw", ignore_errors=True)
