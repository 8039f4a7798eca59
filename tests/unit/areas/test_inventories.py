"""`headscarp init` finds inventories, mapped areas, outlines and tiles whatever they are called and stored
in, or says on the terminal why not."""

import sqlite3
import unicodedata
import zipfile

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine

from headscarp.__main__ import main
from headscarp.areas.check.card import examine_card
from headscarp.areas.guess.names import role_in, role_of_vectors
from headscarp.areas.guess.slide_names import instead_of_slides
from headscarp.areas.guess.vectors import layer_named
from headscarp.areas.init.summary import summary
from headscarp.areas.init.tiles import tiles_of
from headscarp.areas.init.write import write_card
from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.yaml_files import read_yaml
from tests.site_files import CRS, NORTH, WEST, make_grid, truncate, write_raster, write_shapes

GRID = make_grid(120, 160, 10.0)
BOX = shapely.box(*GRID.bounds)
EVENT = "2018-09-06"


def slides(count=6, side=40):
    west, south, _, _ = GRID.bounds
    return [
        shapely.box(
            west + 100 + 100 * k, south + 90 * k + 50, west + 100 + 100 * k + side, south + 90 * k + 90
        )
        for k in range(count)
    ]


@pytest.fixture
def card_of(tmp_path):
    """Write a card of some files; returns its site, and what is told of it, in one text."""

    def write(*files, outline=None, **options):
        outline = outline or write_shapes(tmp_path / "val.geojson", [BOX])
        path, draft = write_card(outline, files, folder=tmp_path, **{"event": EVENT} | options)
        (site,) = read_yaml(path)["sites"].values()
        path.unlink()
        return site, "\n".join(summary(draft))

    return write


def inventory_of(site):
    """The entry of the file that landslides are taken from, or None."""
    labels = site["layers"].get("labels")
    return site["files"][labels["landslides"]] if labels else None


# --- names ---


def listed(text):
    """Names, parted by commas and line breaks."""
    return [name.strip() for line in text.strip().splitlines() for name in line.split(",") if name.strip()]


INVENTORIES = listed("""
    mapped_landslides, landslide_extent, landslide_footprints, interpreted_landslides, mapped_landslide_area
    LS_inventory_2018, slides2018, landslideinventory, LandslideInventory2018, earthquake_induced_ls, ls
    ls_poly, LSpoly, lspolygons, debris_flows, mass_movements, rockfalls, mudflow, lahars, slope_failures
    scarps, landslide-2018, land_slides, co-seismic-landslide-polygons, inventory, scars, IFFI, frane
    glissements_de_terrain, Éboulements, deslizamientos, remocion_en_masa, derrumbes, deslizamentos
    movimentos_de_massa, rutschungen, Hangrutschung, Bergstürze, murgang, desprendimientos, heyelan
    longsor, sat_lo, 出水崩壊, 山崩, 滑坡, 崩塌, 泥石流, 地すべり地形, がけ崩れ, 산사태, оползни, भूस्खलन
    movimientos en masa, sạt lở, Slope Failures (2018)
""")
NO_INVENTORIES = listed("""
    false, tools, pulse, hills, islands, railslides, lithology, analysis, glasses, parcels, posterior, dense
    burn_scars, forest_inventory, building_inventory, ls_factor, LS8_B4, ls7_scene, landsat_ls
""")
AREAS = listed("""
    mapping_area, mapped_area, interpreted_area, study_area, aoi, AOI_2018, MappedArea, extent, footprint
    landslide_mapping_area, landslide_inventory_extent, inventory_boundary, landslide_aoi, 判読範囲
""")


@pytest.mark.parametrize("name", INVENTORIES)
def test_names_of_inventories(name):
    for form in ("NFC", "NFD"):
        assert role_of_vectors(unicodedata.normalize(form, name), "Polygon")[0] == "label"
    assert role_of_vectors(name, "LineString")[0] != "label"


@pytest.mark.parametrize("name", NO_INVENTORIES)
def test_names_that_only_look_like_inventories(name):
    assert role_of_vectors(name, "Polygon")[0] is None and role_in(name) != "label"


@pytest.mark.parametrize("name", AREAS)
def test_names_of_the_area_that_was_mapped(name):
    assert role_of_vectors(name, "Polygon")[0] == "area"


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("landslide_susceptibility", "may come"),
        ("LandslideHazard2018", "may come"),
        ("土砂災害警戒区域", "may come"),
        ("滑坡易发性", "may come"),
        ("no_landslide_area", "without"),
        ("non_landslides", "without"),
        ("landslide_density", "measure"),
        ("distance_to_landslides", "measure"),
        ("landslides", None),
        ("hazard", None),
    ],
)
def test_maps_about_landslides_are_no_inventories(name, what):
    told = instead_of_slides(name)
    assert (told is None) if what is None else (what in told)
    if what:
        assert role_of_vectors(name, "Polygon")[0] is None and role_in(name) != "label"


def test_roles_of_rasters_by_name():
    roles = {
        "ls_mask": "label",
        "LS": "label",
        "gt": "label",
        "ground_truth_label": "label",
        "mask_landslide": "label",
        "slope_failures": "label",
        "landslide_cover": "label",
        "landslide_dem": "dem",
        "landslide_lulc": "land_cover",
        "landslide_slope": "slope",
        "landslide_orthophoto": None,
        "cloud_mask": "mask",
        "SCL": "mask",
        "glo30": "dem",
        "aoi_s2": "area",
        "lithology": "lithology",
    }
    assert {name: role_in(name) for name in roles} == roles


# --- files ---


@pytest.mark.parametrize("name", INVENTORIES)
def test_an_inventory_of_any_of_these_names_is_taken(tmp_path, card_of, name):
    site, told = card_of(write_shapes(tmp_path / f"{name}.gpkg", slides()))
    assert inventory_of(site) == {"path": f"{name}.gpkg"}
    assert f"landslides: {name}.gpkg (6 of 6 on the site: polygons, by name)" in told


def test_a_style_table_is_no_layer_and_the_file_tells(tmp_path, card_of):
    slides_frame = geopandas.GeoDataFrame(geometry=slides(), crs=CRS)
    slides_frame.to_file(tmp_path / "landslides.gpkg", layer="export")
    with sqlite3.connect(tmp_path / "landslides.gpkg") as database:
        database.execute("CREATE TABLE layer_styles (id INTEGER PRIMARY KEY, styleQML TEXT)")
        database.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier) "
            "VALUES ('layer_styles', 'attributes', 'layer_styles')"
        )
    database.close()
    assert inventory_of(card_of(tmp_path / "landslides.gpkg")[0]) == {"path": "landslides.gpkg"}
    site, _ = card_of(f"{tmp_path / 'landslides.gpkg'}|layername=export")
    assert inventory_of(site) == {"path": "landslides.gpkg", "layer": "export"}


def test_file_geodatabases_and_zips(tmp_path, card_of):
    frame = geopandas.GeoDataFrame({"id": range(6)}, geometry=slides(), crs=CRS)
    frame.to_file(tmp_path / "delivery.gdb", driver="OpenFileGDB", layer="landslides")
    frame[:2].to_file(tmp_path / "delivery.gdb", driver="OpenFileGDB", layer="parcels")
    site, told = card_of(tmp_path / "delivery.gdb")
    assert inventory_of(site) == {"path": "delivery.gdb", "layer": "landslides"}
    assert "not used: delivery.gdb, layer parcels: 2 polygons whose name tells no use" in told
    for name in ("delivery.gdb.zip", "delivery.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for file in (tmp_path / "delivery.gdb").iterdir():
                archive.write(file, f"delivery.gdb/{file.name}")
        assert inventory_of(card_of(tmp_path / name)[0]) == {"path": name, "layer": "landslides"}
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        for file in ("landslides", "lakes"):
            shapes = write_shapes(tmp_path / f"{file}.geojson", slides())
            archive.write(shapes, f"{file}.geojson")
        archive.write(truncate(shapes), "broken.geojson")
    site, told = card_of(tmp_path / "two.zip")
    assert inventory_of(site) == {"path": "two.zip", "layer": "landslides"}
    assert "two.zip, layer lakes: 6 polygons whose name tells no use" in told
    assert "two.zip, layer broken: cannot be read" in told


def test_what_init_takes_the_check_can_read(tmp_path):
    """From a layer of a geodatabase in a zip to numbers of the check: one reader."""
    frame = geopandas.GeoDataFrame({"id": range(6)}, geometry=slides(), crs=CRS)
    frame.to_file(tmp_path / "d.gdb", driver="OpenFileGDB", layer="landslides")
    frame.to_file(tmp_path / "d.gdb", driver="OpenFileGDB", layer="export")
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        for file in (tmp_path / "d.gdb").iterdir():
            archive.write(file, f"d.gdb/{file.name}")
    outline = write_shapes(tmp_path / "val.geojson", [BOX])
    write_card(outline, [tmp_path / "d.zip"], event=EVENT, folder=tmp_path)
    (checked,) = examine_card("val", tmp_path)
    assert any("6 of 6 polygons on the grid" in one.text for one in checked.findings)


@pytest.mark.parametrize(
    ("kind", "words"), [("centroid", "6 points"), ("exterior", "6 lines"), ("susceptibility", "may come")]
)
def test_landslides_that_are_no_polygons_are_told(tmp_path, card_of, kind, words):
    shapes = slides() if kind == "susceptibility" else [getattr(shape, kind) for shape in slides()]
    shapes = [shapely.LineString(shape) if kind == "exterior" else shape for shape in shapes]
    name = "landslide_susceptibility" if kind == "susceptibility" else "landslides"
    site, told = card_of(write_shapes(tmp_path / f"{name}.gpkg", shapes))
    assert inventory_of(site) is None and "landslides: no file is an inventory" in told
    (line,) = [line for line in told.splitlines() if line.startswith("not used:")]
    assert words in line and (kind == "susceptibility" or "needed as polygons" in line)


def test_kinds_are_judged_on_all_features(tmp_path, card_of):
    """Points first, a null, a collection: what is polygons are the landslides."""
    shapes = [shapely.Point(WEST + 50, NORTH - 50), None, *slides(3)]
    shapes.append(shapely.GeometryCollection([slides(4)[3], shapely.Point(WEST + 50, NORTH - 50)]))
    site, told = card_of(write_shapes(tmp_path / "landslides.geojson", shapes))
    assert inventory_of(site) and "4 of 4 on the site" in told


def test_of_several_inventories_the_one_on_the_site_of_the_event_is_taken(tmp_path, card_of):
    far = [shapely.affinity.translate(shape, 90_000) for shape in slides()]
    here = write_shapes(tmp_path / "mapped_landslides_v2.gpkg", slides(4))
    elsewhere = write_shapes(tmp_path / "landslides.gpkg", far)
    site, told = card_of(elsewhere, here)
    assert inventory_of(site)["path"] == here.name
    assert "landslides.gpkg: none of its 6 polygons is on the site; it covers west 111.9" in told
    plain = write_shapes(tmp_path / "slides.gpkg", slides(2))
    site, told = card_of(here, plain, elsewhere)
    assert (
        inventory_of(site)["path"] == plain.name
        and "GUESS of 2 candidates the one of the event's year" in told
    )
    assert f"{here.name}: 4 polygons on the site that may be landslides; slides.gpkg is taken" in told
    dated = [write_shapes(tmp_path / f"landslides_{year}.gpkg", slides()) for year in (2016, 2018, 2020)]
    assert inventory_of(card_of(plain, *dated)[0])["path"] == "landslides_2018.gpkg"
    assert inventory_of(card_of(*dated, dates=["2018-06-01", "2020-06-01"])[0])["path"] == dated[2].name


def test_only_an_inventory_elsewhere_is_none(tmp_path, card_of):
    swapped = geopandas.GeoSeries(slides(), crs=CRS).to_crs(4326)
    swapped = [shapely.transform(shape, lambda places: places[:, ::-1]) for shape in swapped]
    area = write_shapes(tmp_path / "mapped_area.gpkg", [BOX])
    site, told = card_of(write_shapes(tmp_path / "landslides.geojson", swapped, crs="EPSG:4326"), area)
    assert inventory_of(site) is None and "mapped_area.gpkg" not in site["files"]
    # as latitudes, the longitudes lie beyond the pole
    assert "none of its 6 polygons is on the site; it covers" in told and "30.7" in told
    assert "mapped_area.gpkg: the area in which landslides were mapped, but none of the files" in told


def test_an_inventory_without_crs_gets_the_one_that_fits(tmp_path, card_of):
    bare = write_shapes(tmp_path / "landslides.shp", slides(), crs=None)
    site, told = card_of(bare)
    assert inventory_of(site) == {"path": "landslides.shp", "crs": CRS} and "GUESS no CRS in the file" in told
    degrees = list(geopandas.GeoSeries(slides(), crs=CRS).to_crs(4326))
    site, _ = card_of(write_shapes(tmp_path / "slides.shp", degrees, crs=None))
    assert inventory_of(site) == {"path": "slides.shp", "crs": "EPSG:4326"}
    far = [shapely.affinity.translate(shape, 90_000) for shape in slides()]
    site, told = card_of(write_shapes(tmp_path / "scars.shp", far, crs=None))
    assert (
        inventory_of(site) is None
        and "scars.shp: has no CRS, and its coordinates fit the site neither" in told
    )


@pytest.mark.parametrize("ending", ["gpkg", "geojson", "shp", "fgb", "gml"])
def test_truncated_inventories_are_told_with_the_reason_of_the_import(tmp_path, card_of, ending):
    path = truncate(write_shapes(tmp_path / f"landslides.{ending}", slides()), 0.6)
    site, told = card_of(path)
    assert inventory_of(site) is None and f"not used: landslides.{ending}: " in told and "truncated" in told


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("landslides.parquet", "is GeoParquet"),
        ("landslides.json", "no kind that GDAL knows"),
        ("landslides.geojson", "is a web page"),
        ("landslides.qgz", "is a project"),
        ("landslides.zip", "cannot be unpacked"),
    ],
)
def test_files_that_are_something_else_are_told(tmp_path, card_of, name, words):
    (tmp_path / name).write_text("<html>" if name.endswith(".geojson") else "text")
    site, told = card_of(tmp_path / name)
    assert inventory_of(site) is None and f"not used: {name}: " in told and words in told


def test_lines_of_a_track_recorder_and_folders_of_earth(tmp_path, card_of):
    """The file's name tells what the only lines, or the only polygons, of its unnamed layers are."""
    x, y = geopandas.GeoSeries([BOX.centroid], crs=CRS).to_crs(4326)[0].coords[0]
    points = "".join(f'<trkpt lat="{y}" lon="{x + step}"/>' for step in (0, 0.001))
    (tmp_path / "rivers.gpx").write_text(
        '<gpx version="1.1" xmlns="http://www.topografix.com/GPX/1/1"><trk><name>a</name>'
        f"<trkseg>{points}</trkseg></trk></gpx>"
    )
    site, _ = card_of(tmp_path / "rivers.gpx")
    assert site["files"]["rivers.gpkg"] == {"path": "rivers.gpx", "layer": "tracks", "margin_m": 5000}
    frame = geopandas.GeoDataFrame(geometry=slides(), crs=CRS)
    frame.to_file(tmp_path / "landslides.gpkg", layer="Untitled")
    frame.set_geometry(frame.centroid).to_file(tmp_path / "landslides.gpkg", layer="Untitled 2")
    assert inventory_of(card_of(tmp_path / "landslides.gpkg")[0])["layer"] == "Untitled"


# --- outlines ---


def test_an_outline_of_several_layers_is_asked_for(tmp_path, card_of, monkeypatch, capsys):
    project = tmp_path / "project.gpkg"
    large = BOX.buffer(9000)
    geopandas.GeoDataFrame(geometry=[large], crs=CRS).to_file(project, layer="districts")
    geopandas.GeoDataFrame(geometry=[BOX], crs=CRS).to_file(project, layer="study_area")
    monkeypatch.chdir(tmp_path)
    assert main(["init", "project.gpkg", "--event", EVENT]) == 2
    err = capsys.readouterr().err
    assert (
        "which layer? it holds districts, study_area" in err and "'project.gpkg|layername=districts'" in err
    )
    assert main(["init", "project.gpkg|layername=study_area", "--event", EVENT]) == 0
    assert "grid: 120 x 160 cells of 10 m" in capsys.readouterr().out
    card = read_yaml(tmp_path / "areas" / "project.yaml")["sites"]["project"]
    assert card["files"]["outline.gpkg"] == {"path": "project.gpkg", "layer": "study_area"}
    (checked,) = examine_card("project", tmp_path)
    assert checked.grid.shape == GRID.shape
    assert main(["init", "project.gpkg|layername=study", "--event", EVENT, "--name", "b"]) == 2
    assert "did you mean 'study_area'" in capsys.readouterr().err


def test_layers_as_qgis_writes_them(tmp_path):
    path, layer = layer_named("a/b.gpkg|layername=x y")
    assert (str(path), layer) == ("a/b.gpkg", "x y")
    assert layer_named("a.gpkg")[1] is None
    (tmp_path / "a|b.gpkg").write_text("")
    assert layer_named(tmp_path / "a|b.gpkg") == (tmp_path / "a|b.gpkg", None)
    with pytest.raises(HeadscarpError, match=r"only \|layername=… is known"):
        layer_named("a.gpkg|layerid=0")


@pytest.mark.parametrize("beyond", [True, False])
def test_a_site_on_the_antimeridian_passes_init_and_check(tmp_path, beyond):
    fiji = shapely.box(179.99, -16.9, 180.01, -16.89)
    cut = [shapely.box(179.99, -16.9, 180, -16.89), shapely.box(-180, -16.9, -179.99, -16.89)]
    outline = write_shapes(tmp_path / "fiji.geojson", [fiji] if beyond else cut, crs="EPSG:4326")
    path, draft = write_card(outline, event=EVENT, folder=tmp_path)
    grid = draft.grid
    assert 200 < grid.width < 230 and 100 < grid.height < 130 and grid.crs in ("EPSG:32701", "EPSG:32760")
    ramp = np.add.outer(np.arange(grid.height), np.arange(grid.width)).astype(np.float32)
    write_raster(tmp_path / "dem.tif", ramp, grid, crs=grid.crs)
    path.unlink()
    write_card(outline, [tmp_path / "dem.tif"], event=EVENT, folder=tmp_path)
    (checked,) = examine_card("fiji", tmp_path)
    assert not [one for one in checked.findings if one.level == "error"]


def test_a_stray_polygon_is_a_warning_of_init_and_check(tmp_path):
    stray = shapely.affinity.translate(slides(1)[0], 300_000, 400_000)
    outline = write_shapes(tmp_path / "val.geojson", [BOX, stray])
    _, draft = write_card(outline, event=EVENT, folder=tmp_path)
    assert "WARNING its 2 polygons fill only" in "\n".join(summary(draft))
    (checked,) = examine_card("val", tmp_path)
    assert any(one.level == "warning" and "is it stray?" in one.text for one in checked.findings)


# --- rasters ---


def relief(grid):
    rows, cols = np.mgrid[: grid.height, : grid.width]
    return (400 + 2.5 * rows + 40 * np.sin(cols / 9)).astype(np.float32)


def part(path, values, grid, rows, cols):
    """A raster of a part of another one."""
    transform = grid.transform @ Affine.translation(cols.start, rows.start)
    cut = values[rows, cols]
    return write_raster(path, cut, Grid(CRS, transform, *cut.shape), nodata=-9999)


@pytest.mark.parametrize("overlap", [0, 12])
def test_tiles_of_an_elevation_model_are_joined(tmp_path, card_of, overlap):
    values = relief(GRID)
    rows = {"n": slice(0, 60 + overlap), "s": slice(60, 120)}
    cols = {"w": slice(0, 80 + overlap), "e": slice(80, 160)}
    names = [down + right for down in rows for right in cols]
    files = [part(tmp_path / f"dem_{n}.tif", values, GRID, rows[n[0]], cols[n[1]]) for n in names]
    site, told = card_of(*files)
    assert sorted(site["files"]["dem.tif"]["path"]) == sorted(file.name for file in files)
    assert "GUESS 4 tiles of one model, joined" in told and "not used" not in told


def test_only_one_of_two_whole_models_or_of_other_lattices_is_taken(tmp_path, card_of):
    values = relief(GRID)
    srtm = write_raster(tmp_path / "srtm_dem.tif", values, GRID)
    alos = write_raster(tmp_path / "alos_dem.tif", values + 3, GRID)
    site, told = card_of(srtm, alos)
    assert site["files"]["dem.tif"]["path"] == "srtm_dem.tif"
    assert "alos_dem.tif: another elevation model is taken (srtm_dem.tif" in told
    west = part(tmp_path / "dem_west.tif", values, GRID, slice(0, 120), slice(0, 90))
    shifted = Grid(CRS, GRID.transform @ Affine.translation(90.4, 0), 120, 70)
    east = write_raster(tmp_path / "dem_east.tif", values[:, 90:], shifted, nodata=-9999)
    site, told = card_of(west, east)
    assert site["files"]["dem.tif"]["path"] == "dem_west.tif"
    assert "dem_east.tif: another elevation model is taken (dem_west.tif, 56% of it; this one has 43%" in told


def test_which_rasters_are_tiles(tmp_path):
    values = relief(GRID)
    halves = [
        part(tmp_path / f"{name}.tif", values, GRID, slice(0, 120), cols)
        for name, cols in (("west", slice(0, 100)), ("east", slice(100, 160)))
    ]
    whole = write_raster(tmp_path / "whole.tif", values, GRID, nodata=-9999)
    degrees = write_raster(tmp_path / "other.tif", values.astype(np.int16), GRID, nodata=-9999)
    assert tiles_of(halves, {}, GRID) == halves
    assert tiles_of([whole, *halves], {}, GRID) == [whole]
    assert tiles_of([halves[0], degrees], {}, GRID) == halves[:1]  # another type of numbers


def test_codes_of_rocks_and_soils_are_no_land_cover(tmp_path, card_of):
    codes = np.full(GRID.shape, 10, np.uint8)
    codes[:40], codes[40:80] = 20, 30
    files = [write_raster(tmp_path / f"{name}.tif", codes, GRID) for name in ("lithology", "soil", "lulc")]
    site, told = card_of(*files)
    classes = {
        name: entry["classes"] for name, entry in site["layers"]["rasters"].items() if "classes" in entry
    }
    unnamed = {10: "class 10", 20: "class 20", 30: "class 30"}
    assert classes["lithology"] == classes["soil"] == unnamed
    assert classes["land_cover"] == {10: "tree cover", 20: "shrubland", 30: "grassland"}
    assert "GUESS the codes are those of ESA WorldCover: land_cover" in told


def test_a_map_of_susceptibility_is_no_mask_of_landslides(tmp_path, card_of):
    rng = np.random.default_rng(0)
    path = write_raster(tmp_path / "landslide_susceptibility.tif", rng.random(GRID.shape, np.float32), GRID)
    site, told = card_of(path)
    assert "labels" not in site["layers"]
    assert "landslide_susceptibility.tif: its name speaks of where landslides may come" in told
