"""Elevation models of every lattice, unit and kind of void, against the surface that they were made from."""

import numpy as np
import pytest
import rasterio
import shapely
import xarray
from affine import Affine
from pyproj import CRS, Transformer
from scipy import ndimage

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid, grid_for
from headscarp.geo.lattice import north_of, steps_at, upright, why_unfit
from headscarp.geo.layer import ANGLE, CONTINUOUS, notes_of, read_layer
from headscarp.geo.rasters import align, cell_size, cover_of, is_coarser, resolution_m
from headscarp.geo.vertical import metres_of
from headscarp.site.elevation import metric_dem
from headscarp.site.layers import build_layers
from headscarp.site.patches import coarse_dem
from headscarp.site.terrain import derive_terrain
from headscarp.sources.imports import import_file
from tests.site_files import read_manifest, write_raster, write_shapes

HOME = "EPSG:32654"  # of the surface and of the site
WEST, NORTH = 560_000.0, 4_740_000.0
SITE = Grid(HOME, Affine(10, 0, WEST, 0, -10, NORTH), 150, 150)
REACH = 500.0  # metres that a model goes on beyond the site, at least
US_FOOT = 1200 / 3937
# A conic whose meridian lies far to the west: its north is 17 degrees off true north at the site.
CONIC = (
    "+proj=lcc +lat_0=42 +lon_0=117 +lat_1=41 +lat_2=44.5 +x_0=500000 +y_0=0 +ellps=GRS80 +units=m +type=crs"
)
FEET = CONIC.replace("lon_0=117", "lon_0=141").replace("+units=m", "+units=us-ft")
EQUAL_AREA = "+proj=laea +lat_0=52 +lon_0=120 +x_0=4321000 +y_0=3210000 +ellps=GRS80 +units=m +type=crs"


def elevation(x, y):
    """Metres at metres east and north in HOME."""
    u, v = (x - WEST) / 1500, (y - NORTH) / 1500
    return 420 + 210 * u - 140 * v + 55 * np.sin(4.6 * u + 0.5) * np.cos(3.9 * v)


def truth(grid=SITE):
    """Slope and aspect in degrees and total curvature in 1/100 m of the surface, from its derivatives."""
    x, y = centres(grid.transform, grid.shape)
    u, v = (x - WEST) / 1500, (y - NORTH) / 1500
    a, b = 4.6 * u + 0.5, 3.9 * v
    east = (210 + 55 * 4.6 * np.cos(a) * np.cos(b)) / 1500
    north = (-140 - 55 * 3.9 * np.sin(a) * np.sin(b)) / 1500
    bend = -55 * (4.6**2 + 3.9**2) * np.sin(a) * np.cos(b) / 1500**2
    return np.degrees(np.arctan(np.hypot(east, north))), np.degrees(np.arctan2(-east, -north)), -100 * bend


def centres(transform, shape):
    col, row = np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5)
    return transform @ (col, row)


def lattice(crs, across, down, angle=0.0):
    """Transform and shape of cells of `across` x `down` (signed, CRS units) over the site and REACH beyond,
    turned by `angle` degrees."""
    there = Transformer.from_crs(HOME, crs, always_xy=True)
    side = 1500 + 2 * REACH
    share = np.linspace(0, 1, 9)
    ring = np.array([(a, b) for a in share for b in (0, 1)] + [(a, b) for b in share for a in (0, 1)])
    x, y = there.transform(WEST - REACH + side * ring[:, 0], NORTH + REACH - side * ring[:, 1])
    steps = Affine.rotation(angle) @ Affine.scale(across, down)
    col, row = ~steps @ (x, y)
    shape = int(np.ceil(np.ptp(row))), int(np.ceil(np.ptp(col)))
    return steps @ Affine.translation(col.min(), row.min()), shape


def heights(transform, shape, crs):
    x, y = centres(transform, shape)
    return elevation(*Transformer.from_crs(crs, HOME, always_xy=True).transform(x, y))


def write_model(path, crs, across, down, angle=0.0, unit=1.0, dtype="float32", **options):
    """A model of the surface, in multiples of `unit` metres."""
    transform, shape = lattice(crs, across, down, angle)
    values = heights(transform, shape, crs) / unit
    values = np.round(values) if np.issubdtype(dtype, np.integer) else values
    return write_raster(path, values.astype(dtype), Grid(crs, transform, *shape), crs, **options)


LATTICES = {
    "north-up": (HOME, 10, -10, 0),
    "neighbouring zone": ("EPSG:32653", 10, -10, 0),
    "south-up": (HOME, 10, 10, 0),
    "columns to the west": (HOME, -10, -10, 0),
    "upside down": (HOME, -10, 10, 0),
    "turned by 30 degrees": (HOME, 10, -10, 30),
    "turned by a quarter": (HOME, 10, -10, 90),
    "a quarter and mirrored": (HOME, 10, 10, 90),
    "turned and south-up": (HOME, 10, 10, -75),
    "oblong": (HOME, 10, -20, 0),
    "oblong, flat": (HOME, 20, -10, 0),
    "degrees": ("EPSG:4326", 1e-4, -1e-4, 0),
    "degrees, square on the ground": ("EPSG:4326", 1.22e-4, -9e-5, 0),
    "degrees, south-up": ("EPSG:4326", 1e-4, 1e-4, 0),
    "degrees of a vertical CRS": ("EPSG:4326+5773", 1e-4, -1e-4, 0),
    "degrees from the antipodes": ("+proj=longlat +datum=WGS84 +pm=90 +type=crs", 1e-4, -1e-4, 0),
    "Web Mercator": ("EPSG:3857", 12, -12, 0),
    "Web Mercator, south-up": ("EPSG:3857", 12, 12, 0),
    "an equal-area map": (EQUAL_AREA, 10, -10, 0),
    "a conic far from its meridian": (CONIC, 10, -10, 0),
    "a map in feet": (FEET, 32, -32, 0),
    "a map of kilometres": (CONIC.replace("+units=m", "+units=km"), 0.01, -0.01, 0),
    "axes to the west and south": (
        "+proj=tmerc +axis=wsu +lat_0=0 +lon_0=141 +ellps=WGS84 +type=crs",
        -10,
        10,
        0,
    ),
}


@pytest.fixture(scope="module")
def derived(tmp_path_factory):
    """{lattice: folder with dem.tif and terrain}, made once."""
    made = {}

    def folder_of(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp("lattice")
            write_model(made[name] / "dem.tif", *LATTICES[name])
            derive_terrain(made[name] / "dem.tif", made[name] / "terrain")
        return made[name]

    return folder_of


@pytest.mark.parametrize("name", LATTICES)
def test_terrain_of_every_lattice_is_that_of_the_surface(derived, name):
    folder = derived(name)
    found = {
        layer: align(folder / f"terrain/{layer}.tif", 1, SITE, ANGLE if layer == "aspect" else CONTINUOUS)
        for layer in ("elevation", "slope", "aspect", "curvature")
    }
    assert all(np.isfinite(layer.values).all() for layer in found.values())
    slope, aspect, curvature = truth()
    x, y = centres(SITE.transform, SITE.shape)
    assert np.abs(found["elevation"].values - elevation(x, y)).max() < 0.3
    off = np.abs(found["slope"].values - slope)
    assert np.median(off) < 0.05 and np.percentile(off, 99.9) < 0.3
    turned = (found["aspect"].values - aspect + 180) % 360 - 180
    assert abs(np.median(turned)) < 0.1 and np.percentile(np.abs(turned), 99) < 1
    bent = np.abs(curvature) > 0.2 * np.abs(curvature).max()
    ratio = found["curvature"].values[bent] / curvature[bent]
    assert abs(np.median(ratio) - 1) < 0.02 and np.percentile(np.abs(ratio - 1), 90) < 0.05


@pytest.mark.parametrize("name", LATTICES)
def test_what_was_done_to_a_lattice_is_told(derived, name):
    notes = notes_of(derived(name) / "terrain" / "elevation.tif")
    told = {
        "north-up": "",
        "neighbouring zone": "",
        "south-up": "do not run to the south",
        "columns to the west": "do not run to the south and the east",
        "turned by 30 degrees": "because its rows are turned by 30 degrees",
        "turned by a quarter": "were put in this order",
        "oblong": "resampled in EPSG:32654, cubic, to cells of 20 m, because its cells are oblong (10 x 20",
        "degrees": "to EPSG:32654, cubic, to cells of 11 m, because its CRS is in degrees",
        "Web Mercator": "EPSG:3857 to EPSG:32654, cubic, to cells of 8.8 m, because a metre on the ground is",
        "a conic far from its meridian": "its north is 17 degrees off true north",
        "a map in feet": "US survey foot, not in metres",
    }.get(name)
    if told == "":
        assert notes == []
    elif told is not None:
        assert any(told in note and note.startswith("dem.tif: ") for note in notes)


def test_whole_metres_keep_their_slopes(tmp_path):
    path = write_model(tmp_path / "dem.tif", "EPSG:3857", 40, 40, dtype="int16", nodata=-32768)
    derive_terrain(path, tmp_path / "terrain")
    slope, aspect, _ = truth()
    found = align(tmp_path / "terrain/slope.tif", 1, SITE, CONTINUOUS).values
    assert np.median(np.abs(found - slope)) < 0.3 and abs(np.median(found - slope)) < 0.05
    found = align(tmp_path / "terrain/aspect.tif", 1, SITE, ANGLE).values
    assert np.median(np.abs((found - aspect + 180) % 360 - 180)) < 3


def test_a_flip_changes_no_value_and_a_turned_model_keeps_its_corners_empty(tmp_path):
    plain = metric_dem(write_model(tmp_path / "a.tif", *LATTICES["north-up"]))
    for name in ("south-up", "columns to the west", "upside down"):
        turned = metric_dem(write_model(tmp_path / "b.tif", *LATTICES[name]))
        assert turned.grid.bounds == plain.grid.bounds and turned.grid.transform.e == -10
        np.testing.assert_allclose(turned.values, plain.values, rtol=1e-6)
    dem = metric_dem(write_model(tmp_path / "c.tif", *LATTICES["turned by 30 degrees"]))
    (transform, shape), known = lattice(*LATTICES["turned by 30 degrees"]), np.isfinite(dem.values)
    x, y = centres(dem.grid.transform, dem.grid.shape)
    col, row = ~transform @ (x, y)
    inside = (col > 0) & (col < shape[1]) & (row > 0) & (row < shape[0])
    assert np.array_equal(known, inside) and not known[0, 0] and not known[-1, -1]
    known &= (dem.values > np.nanmin(dem.values)) & (dem.values < np.nanmax(dem.values))
    assert np.abs(dem.values - elevation(x, y))[known].max() < 0.05  # up to the edge


def test_voids_do_not_bend_the_ground_beside_them(tmp_path):
    """Where a cell has no data, a reprojected model has none around it and is right up to there."""
    transform, shape = lattice("EPSG:4326", 1e-4, -1e-4)
    values = heights(transform, shape, "EPSG:4326").astype(np.float32)
    values[100:110, 90:120] = -32768
    values[60, 70] = -32768
    path = write_raster(tmp_path / "dem.tif", values, Grid("EPSG:4326", transform, *shape), "EPSG:4326")
    dem = metric_dem(path)
    x, y = centres(dem.grid.transform, dem.grid.shape)
    known = np.isfinite(dem.values)
    assert np.abs(dem.values - elevation(x, y))[known].max() < 0.05
    col, row = ~transform @ Transformer.from_crs(HOME, "EPSG:4326", always_xy=True).transform(x, y)
    near = (col > 89) & (col < 121) & (row > 99) & (row < 111) | (abs(col - 70.5) < 1.6) & (
        abs(row - 60.5) < 1.6
    )
    inside = (col > 0.1) & (col < shape[1] - 0.1) & (row > 0.1) & (row < shape[0] - 0.1)
    assert (
        known[inside & ~near].all() and not known[near & (abs(col - 105) < 15) & (abs(row - 105) < 5)].any()
    )


def test_blocks_of_narrow_cells_are_averaged_not_skipped(tmp_path):
    """Noise of cells of 5 m across is the smaller for four of them in one of 20 m."""
    rng = np.random.default_rng(0)
    transform, shape = lattice(HOME, 5, -20)
    noise = rng.normal(500, 2, shape).astype(np.float32)
    dem = metric_dem(write_raster(tmp_path / "dem.tif", noise, Grid(HOME, transform, *shape), HOME))
    assert dem.grid.resolution == 20 and np.nanstd(dem.values) < 1.05
    assert np.nanmean(dem.values) == pytest.approx(500, abs=0.05)


@pytest.mark.parametrize("name", LATTICES)
def test_upright_moves_cells_and_their_places_together(name):
    transform, shape = lattice(*LATTICES[name])
    places = np.moveaxis(np.array(centres(transform, shape)), 0, -1)
    for axis in (0, 1):
        values, turned = upright(places[..., axis], transform)
        np.testing.assert_allclose(values, centres(turned, values.shape)[axis], rtol=1e-9, atol=1e-9)
        assert turned.a >= 0 >= turned.e


# --- co-registration of any lattice ---


def test_cells_are_as_long_as_they_are_on_the_ground(tmp_path):
    def size(name, grid=SITE):
        with rasterio.open(write_model(tmp_path / "dem.tif", *LATTICES[name])) as source:
            assert cover_of(source, grid) == 1
            return cell_size(source, grid), is_coarser(grid, source)

    for name in ("north-up", "south-up", "upside down", "turned by 30 degrees", "turned by a quarter"):
        assert size(name) == (pytest.approx(10, rel=1e-6), False), name
    assert size("oblong")[0] == pytest.approx(20) and size("oblong, flat")[0] == pytest.approx(20)
    assert size("degrees")[0] == pytest.approx(11.1, abs=0.05)
    assert size("Web Mercator")[0] == pytest.approx(12 * np.cos(np.radians(42.8)), rel=0.005)
    assert size("a map in feet")[0] == pytest.approx(32 * US_FOOT, rel=1e-3)
    coarse = Grid(HOME, SITE.transform @ Affine.scale(1.5), 100, 100)
    assert size("turned by 30 degrees", coarse)[1] and size("south-up", coarse)[1]
    assert not size("oblong", coarse)[1]
    assert resolution_m(SITE, write_model(tmp_path / "dem.tif", *LATTICES["oblong"])) == 20


def test_bounds_of_a_grid_hold_all_of_its_cells():
    transform, shape = lattice(HOME, 10, 10, 30)
    grid = Grid(HOME, transform, *shape)
    x, y = centres(transform, shape)
    west, south, east, north = grid.bounds
    assert west < x.min() < west + 10 and east - 10 < x.max() < east
    assert south < y.min() < south + 10 and north - 10 < y.max() < north
    assert grid.resolution == pytest.approx(10)
    around = grid_for(grid, "EPSG:32653", 10)
    corners = Transformer.from_crs(HOME, "EPSG:32653", always_xy=True).transform(
        *transform @ (np.array([0, 0, shape[1], shape[1]]), np.array([0, shape[0], 0, shape[0]]))
    )
    west, south, east, north = around.bounds
    assert 0 <= min(corners[0]) - west < 12 and 0 <= min(corners[1]) - south < 12
    assert 0 <= east - max(corners[0]) < 12 and 0 <= north - max(corners[1]) < 12


def test_angles_count_from_the_north_of_the_grid(tmp_path):
    """Aspects of a plane in the neighbouring zone, whose north is 4 degrees off the site's."""
    transform, shape = lattice("EPSG:32653", 10, -10)
    path = write_raster(
        tmp_path / "aspect.tif",
        np.full(shape, 359.0, np.float32),
        Grid("EPSG:32653", transform, *shape),
        "EPSG:32653",
    )
    found = align(path, 1, SITE, ANGLE).values
    x, y = centres(SITE.transform, SITE.shape)
    there = Transformer.from_crs(HOME, "EPSG:32653", always_xy=True)
    east, north = np.subtract(there.transform(x, y + 1), there.transform(x, y))
    expected = 359 - np.degrees(np.arctan2(east, north))
    assert 3 < np.abs(np.median(expected - 359)) < 5
    assert np.abs((found - expected + 180) % 360 - 180).max() < 0.05


def test_north_and_lengths_are_measured_on_the_ground():
    steps = steps_at("EPSG:3857", Affine(10, 0, 15_800_000, 0, -10, 5_280_000), 0, 0)
    assert steps.across == pytest.approx(7.35, abs=0.05) and steps.turn == pytest.approx(0, abs=1e-6)
    assert steps_at("EPSG:4326", Affine(1, 0, 10, 0, -1, 60), 0, 0).across == pytest.approx(55_800, rel=1e-3)
    factors = CRS("EPSG:32653")
    assert north_of(
        factors.to_string(), *Transformer.from_crs(4326, factors, always_xy=True).transform(141, 43), 10
    ) == pytest.approx(6 * np.sin(np.radians(43)), abs=0.02)
    with pytest.raises(HeadscarpError, match="does not reach x"):
        steps_at("EPSG:32654", Affine(10, 0, 1e9, 0, -10, 1e9), 0, 0)


# --- the site's grid ---


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("south-up", "its rows run from south to north"),
        ("columns to the west", "its columns run from east to west"),
        ("turned by 30 degrees", "its rows are turned by 30 degrees"),
        ("oblong", "its cells are oblong"),
        ("degrees", "its CRS is in degrees"),
        ("Web Mercator", "a metre on the ground is 1.3"),
        ("a map in feet", "its CRS is in US survey foot"),
        ("axes to the west and south", "its rows run"),
    ],
)
def test_an_unfit_grid_cannot_be_the_sites(tmp_path, name, why):
    write_model(tmp_path / "after.tif", *LATTICES[name])
    record = {
        "name": "hill",
        "data": "real",
        "grid": {"like": "after.tif"},
        "dates": ["2018-09-06"],
        "rasters": {"red": {"file": "after.tif", "units": "reflectance"}},
    }
    with pytest.raises(
        HeadscarpError, match=r"after\.tif.*cannot be the site's.*EPSG:32654.*resolution_m"
    ) as caught:
        build_layers(record, tmp_path, None, tmp_path / "layers")
    assert why in str(caught.value) and "\n" not in str(caught.value)
    build_layers(
        record | {"grid": {"like": "after.tif", "crs": HOME, "resolution_m": 20}},
        tmp_path,
        None,
        tmp_path / "layers",
    )
    red = read_layer(tmp_path / "layers" / "red.tif")
    x, y = centres(red.grid.transform, red.grid.shape)
    off = np.abs(red.values - elevation(x, y))
    assert np.nanmedian(off) < 0.5 and np.nanpercentile(off, 95) < 2


def test_a_site_cannot_be_laid_out_in_web_mercator_but_in_a_national_map():
    with pytest.raises(
        HeadscarpError,
        match=r"EPSG:3857' cannot be.*1\.3\d m in its CRS here; use a UTM zone, here EPSG:32654",
    ):
        grid_for(SITE, "EPSG:3857", 10)
    for crs in ("EPSG:32654", "EPSG:32653", "EPSG:6690", "EPSG:2454"):
        grid_for(SITE, crs, 10)
    brest = Grid("EPSG:4326", Affine(1e-4, 0, -4.5, 0, -1e-4, 48.4), 100, 100)
    assert grid_for(brest, "EPSG:2154", 10).crs == "EPSG:2154"


def test_a_site_whose_north_is_far_off_is_told_so(tmp_path):
    transform, shape = lattice(CONIC, 10, -10)
    write_raster(tmp_path / "after.tif", np.ones(shape, np.float32), Grid(CONIC, transform, *shape), CONIC)
    record = {
        "name": "hill",
        "data": "real",
        "grid": {"like": "after.tif"},
        "dates": ["2018-09-06"],
        "rasters": {"red": {"file": "after.tif", "units": "reflectance"}},
    }
    build_layers(record, tmp_path, None, tmp_path / "layers")
    assert "17 degrees off true north" in read_manifest(tmp_path / "layers")["notes"][0]


# --- units of elevations ---


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        *[
            (text, 1)
            for text in ("m", "M", "metre", "metres", "Meters", "[m]", "(m)", "Meters above sea level")
        ],
        *[
            (text, 1)
            for text in ("m a.s.l.", "masl", "m.a.s.l", "Elevation (m)", "metres above mean sea level")
        ],
        *[
            (text, 0.3048)
            for text in ("ft", "foot", "Feet", "[ft]", "international foot", "ft (intl)", "feet MSL")
        ],
        *[
            (text, US_FOOT)
            for text in (
                "US survey foot",
                "us-ft",
                "ftUS",
                "ft (us)",
                "US feet",
                "Foot_US",
                "U.S. survey feet",
            )
        ],
        *[("km", 1000), ("dm", 0.1), ("cm", 0.01), ("centimeters", 0.01), ("mm", 0.001), ("Decimetre", 0.1)],
        *[
            (text, None)
            for text in ("", "m/s", "m2", "m^2", "degree", "furlong", "m or ft", "percent", "us", "1/100 m")
        ],
        *[(text, None) for text in ("meters per second", "US metre", "dB", "reflectance", "m above")][:-1],
    ],
)
def test_units_of_length_are_known_by_their_usual_spellings(text, metres):
    assert metres_of(text) == (None if metres is None else pytest.approx(metres, rel=1e-9))


def in_units(path, metres, text=None, crs=HOME):
    write_model(path, HOME, 20, -20, unit=metres)
    with rasterio.open(path, "r+") as target:
        target.crs = crs
        if text is not None:
            target.set_band_unit(1, text)
    return path


@pytest.mark.parametrize(
    ("metres", "text", "crs", "told"),
    [
        (1, "metre", HOME, None),
        (1, None, "EPSG:32654+5773", None),
        (0.3048, "ft", HOME, "in ft; times 0.3048 they are metres"),
        (US_FOOT, "US survey foot", HOME, "in US survey foot; times 0.3048006"),
        (US_FOOT, None, "EPSG:32654+6360", "in US survey foot; times 0.3048006"),
        (US_FOOT, "ft", "EPSG:32654+6360", "in US survey foot; times 0.3048006"),
        (0.1, "dm", HOME, "in dm; times 0.1"),
        (0.01, "centimetres", HOME, "in centimetres; times 0.01"),
        (1000, "km", HOME, "in km; times 1000"),
        (-1, None, "EPSG:32654+5831", "counts downwards; the sign of its numbers was turned"),
    ],
)
def test_heights_come_to_metres_by_what_the_file_says(tmp_path, metres, text, crs, told):
    dem = metric_dem(in_units(tmp_path / "dem.tif", metres, text, crs))
    x, y = centres(dem.grid.transform, dem.grid.shape)
    np.testing.assert_allclose(dem.values, elevation(x, y), atol=1e-3)
    assert dem.units == "m" and dem.grid.crs == HOME and not dem.doubts
    assert [told in change for change in dem.changes] == ([True] if told else [])


@pytest.mark.parametrize(
    ("text", "crs", "message"),
    [
        ("furlong", HOME, r"in 'furlong', which is no known length; .*key `units`"),
        ("m", "EPSG:32654+6360", r"in m by the band's unit but in US survey foot by the vertical.*`units`"),
        ("ft", "EPSG:32654+5773", r"in ft by the band's unit but in metre by the vertical"),
    ],
)
def test_units_that_are_unknown_or_disagree_are_refused(tmp_path, text, crs, message):
    path = in_units(tmp_path / "dem.tif", 1, text, crs)
    with pytest.raises(HeadscarpError, match=message) as caught:
        metric_dem(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_scale_of_the_file_is_applied(tmp_path):
    path = write_model(tmp_path / "dem.tif", HOME, 20, -20, unit=0.1, dtype="int16")
    with rasterio.open(path, "r+") as target:
        target.scales, target.offsets = [0.1], [7]
    dem = metric_dem(path)
    x, y = centres(dem.grid.transform, dem.grid.shape)
    assert np.abs(dem.values - 7 - elevation(x, y)).max() < 0.051
    assert "stored numbers x 0.1 + 7" in dem.changes[0]


@pytest.mark.parametrize(
    ("metres", "text", "crs", "key", "note"),
    [
        (0.3048, None, HOME, "ft", None),
        (0.3048, "ft", HOME, "ft", None),
        (0.3048, "m", HOME, "ft", "in ft, as the key `units` says; the file says m"),
        (0.01, "furlong", HOME, "cm", "in cm, as the key `units` says; the file says furlong"),
        (1, None, "EPSG:32654+6360", "m", "in m, as the key `units` says; the file says US survey foot"),
        (US_FOOT, None, "EPSG:32654+6360", "us-ft", None),
    ],
)
def test_the_unit_that_the_card_gives_wins(tmp_path, metres, text, crs, key, note):
    path = in_units(tmp_path / "dem.tif", metres, text, crs)
    write_shapes(tmp_path / "box.geojson", [shapely.box(*SITE.bounds)], crs=HOME)
    import_file({}, tmp_path / "box.geojson", None, tmp_path / "outline.gpkg")
    notes = import_file({"units": key}, path, tmp_path / "outline.gpkg", tmp_path / "raw.tif")
    assert [note in one for one in notes[1:]] == ([True] if note else [])
    dem = metric_dem(tmp_path / "raw.tif")
    x, y = centres(dem.grid.transform, dem.grid.shape)
    np.testing.assert_allclose(dem.values, elevation(x, y), atol=1e-3)


def test_a_unit_of_a_netcdf_file_is_read_and_the_cards_wins(tmp_path):
    _, grid = valley(40, 50.0)
    x, y = centres(grid.transform, grid.shape)
    values = (["y", "x"], (elevation(x, y) / 0.3048).astype(np.float32), {"units": "feet"})
    xarray.Dataset({"z": values}, {"y": y[:, 0], "x": x[0]}).to_netcdf(tmp_path / "dem.nc", engine="h5netcdf")
    write_shapes(tmp_path / "box.geojson", [shapely.box(*SITE.bounds)], crs=HOME)
    import_file({}, tmp_path / "box.geojson", None, tmp_path / "outline.gpkg")
    for spec, factor in (({}, 1), ({"units": "m"}, 1 / 0.3048)):
        import_file(
            {"crs": HOME} | spec, tmp_path / "dem.nc", tmp_path / "outline.gpkg", tmp_path / "raw.tif"
        )
        dem = metric_dem(tmp_path / "raw.tif")
        here = elevation(*centres(dem.grid.transform, dem.grid.shape))
        np.testing.assert_allclose(dem.values, here * factor, rtol=1e-5)


# --- voids ---


def valley(side=160, cell=10.0):
    """Elevations of the surface, float32 (row, col), and their grid."""
    grid = Grid(HOME, Affine(cell, 0, WEST, 0, -cell, NORTH), side, side)
    return elevation(*centres(grid.transform, grid.shape)).astype(np.float32), grid


def modelled(path, values, grid, nodata=None):
    return metric_dem(write_raster(path, values, grid, grid.crs, nodata=nodata))


SENTINELS = (
    *(-32768, 32767, -9999, -99999, 65535, -999, 9999, 1e20, 9.96921e36, -2147483648),
    *(float(np.finfo(np.float32).min), float(np.finfo(np.float32).max), np.inf, -np.inf, -12345.0, 20_000.0),
)


@pytest.mark.parametrize("number", SENTINELS)
def test_numbers_that_stand_for_no_data_are_taken_out_and_told(tmp_path, number):
    values, grid = valley()
    holed = values.copy()
    holed[40:60, 50:80] = number
    holed[100, 100] = number
    dem = modelled(tmp_path / "dem.tif", holed, grid)
    expected = np.where(holed == np.float32(number), np.nan, values)
    np.testing.assert_array_equal(dem.values, expected)
    (doubt,) = dem.doubts
    assert f"dem.tif: 601 cells of {np.float32(number):g} were taken for no data" in doubt
    assert f"no data where 601 cells of {np.float32(number):g}" in dem.source


@pytest.mark.parametrize(
    ("dtype", "number"),
    [("int16", -32768), ("uint16", 65535), ("int32", -2147483648), ("float64", -1.7976931348623157e308)],
)
def test_sentinels_of_every_type(tmp_path, dtype, number):
    values, grid = valley()
    holed = values.astype(dtype)
    holed[3, 5] = number
    dem = modelled(tmp_path / "dem.tif", holed, grid)
    assert np.isnan(dem.values[3, 5]) and np.isnan(dem.values).sum() == 1 and "1 cell of" in dem.doubts[0]


@pytest.mark.parametrize("number", [0, -1, 1, -99, 999, 1500])
@pytest.mark.parametrize("cell", [10.0, 30.0])
def test_a_constant_behind_walls_is_a_void(tmp_path, number, cell):
    values, grid = valley(cell=cell)
    values -= values.min() - 200
    holed = values.copy()
    holed[40:60, 50:80] = number
    holed[100, 100:102] = number
    holed[0:9, 0:30] = number  # and at the border
    void = holed == number
    dem = modelled(tmp_path / "dem.tif", holed, grid)
    np.testing.assert_array_equal(dem.values, np.where(void, np.nan, values))
    assert f"{void.sum()} cells of {number:g} behind walls on all sides" in dem.doubts[0]


def test_a_void_in_whole_metres_and_a_swath_with_a_border_of_zeros(tmp_path):
    values, grid = valley()
    whole = np.round(values).astype("int16")
    col, row = np.meshgrid(np.arange(160), np.arange(160))
    beyond = col + row < 60
    whole[beyond] = 0
    whole[90:92, 20:22] = 0
    dem = modelled(tmp_path / "dem.tif", whole, grid)
    np.testing.assert_array_equal(np.isnan(dem.values), whole == 0)


def flat_places():
    """Ground that is level and no void: {name: elevations of `valley`'s grid}."""
    values, _ = valley()
    sea = np.maximum(values - 420, 0)
    cliffs = values - values.min() + 40
    cliffs[:, :60] = 0
    cliffs[60:, 60:] = np.minimum(cliffs[60:, 60:], 2 * np.arange(100)[None])
    island = 60 - 0.02 * ((np.arange(160) - 80)[:, None] ** 2 + (np.arange(160) - 80)[None] ** 2)
    lake = np.maximum(values, np.percentile(values, 20))
    gorge = np.abs(np.arange(160) - 80)[None] * 12 + np.arange(160)[:, None] * -0.5 + 600
    dammed = np.maximum(gorge, 560)
    plateau = np.minimum(values, np.percentile(values, 70))
    terraces = np.round(values / 20) * 20
    tower = values.copy()
    tower[50:54, 50:54] = np.round(values[50:54, 50:54].max()) + 60  # a roof
    rough = ndimage.gaussian_filter(np.random.default_rng(2).normal(0, 1, (53, 53)), 1)
    steep = 900 + 15 * rough / np.abs(np.diff(rough)).mean()  # of 30 m cells, up to 60 degrees
    steep = np.repeat(np.repeat(steep, 3, 0), 3, 1).round()
    return {
        "sea": sea,
        "a coast with cliffs": cliffs,
        "an island": np.maximum(island, 0),
        "a lake": lake,
        "a lake in a gorge": dammed,
        "a plateau": plateau,
        "terraces": terraces,
        "a roof": tower,
        "all level": np.full_like(values, 12.0),
        "cells repeated on rough ground": np.pad(steep, (0, 1), mode="edge"),
    }


@pytest.mark.parametrize("name", flat_places())
@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_level_ground_stays(tmp_path, name, dtype):
    values = flat_places()[name]
    _, grid = valley()
    dem = modelled(tmp_path / "dem.tif", values.astype(dtype), grid)
    assert np.isfinite(dem.values).all() and not dem.doubts


def test_sea_stays_beside_a_void_of_the_same_number(tmp_path):
    values, grid = valley()
    holed = np.maximum(values - 420, 0)
    holed[20:30, 130:150] = 0
    assert holed[15:35, 125:155][holed[15:35, 125:155] > 0].min() > 60
    dem = modelled(tmp_path / "dem.tif", holed, grid)
    assert np.isnan(dem.values[20:30, 130:150]).all() and np.isnan(dem.values).sum() == 200


@pytest.mark.parametrize(
    ("make", "low"),
    [
        (lambda values: values * 100, "elevations of 4"),  # centimetres
        (lambda values: values - 3000, "elevations of -2"),
        (lambda values: values * 1e6, "elevations of 4"),
        (lambda values: np.where(values > 700, values - 9999, values), "elevations of -9"),  # voids mixed
    ],
)
def test_elevations_that_are_not_on_earth_are_refused(tmp_path, make, low):
    values, grid = valley()
    with pytest.raises(
        HeadscarpError, match=r"dem\.tif: its elevations of .*not on Earth.*-500 and 9000.*`units`"
    ) as caught:
        modelled(tmp_path / "dem.tif", make(values).astype(np.float32), grid)
    assert low in str(caught.value) and "\n" not in str(caught.value)


def test_a_model_of_nothing_but_voids_is_refused(tmp_path):
    _, grid = valley()
    for number in (-32768, -9999):
        with pytest.raises(HeadscarpError, match=r"dem\.tif, band 1, holds no data"):
            modelled(tmp_path / "dem.tif", np.full(grid.shape, number, np.int16), grid)


# --- where it is told ---


def test_what_was_done_reaches_the_notes_of_the_site(tmp_path):
    values, grid = valley()
    values[40:60, 50:80] = 0
    path = write_raster(tmp_path / "dem.tif", values / 0.3048, grid, HOME)
    with rasterio.open(path, "r+") as target:
        target.set_band_unit(1, "ft")
    write_raster(tmp_path / "after.tif", np.ones(grid.shape, np.float32), grid, HOME)
    notes = derive_terrain(path, tmp_path / "terrain")
    assert len(notes) == 2 and "600 cells of 0" in notes[0] and "in ft" in notes[1]
    record = {
        "name": "hill",
        "data": "real",
        "dem": "dem.tif",
        "grid": {"like": "after.tif"},
        "dates": ["2018-09-06"],
        "rasters": {"red": {"file": "after.tif", "units": "reflectance"}},
        "terrain": ["slope"],
    }
    build_layers(record, tmp_path, tmp_path / "terrain", tmp_path / "layers")
    manifest = read_manifest(tmp_path / "layers")
    assert manifest["notes"][:2] == list(notes)
    source = next(layer["source"] for layer in manifest["layers"] if layer["name"] == "slope")
    assert "times 0.3048 to metres; no data where 600 cells of 0" in source


def test_patches_read_the_same_elevations(tmp_path):
    values, grid = valley()
    values[0:40, 0:40] = -32768
    path = write_raster(tmp_path / "dem.tif", values / 0.3048, grid, HOME)
    with rasterio.open(path, "r+") as target:
        target.set_band_unit(1, "ft")
    dem, patches, notes = coarse_dem(path, 20, 16)
    assert patches.shape == (10, 10) and len(notes) == 2
    x, y = centres(dem.grid.transform, dem.grid.shape)
    assert np.isnan(dem.values[:20, :20]).all() and np.isfinite(dem.values[:, 20:]).all()
    assert np.nanmax(np.abs(dem.values - elevation(x, y))) < 0.5
    write_model(tmp_path / "dem.tif", *LATTICES["Web Mercator"])
    with pytest.raises(HeadscarpError, match=r"dem\.tif cannot be cut into patches because a metre"):
        coarse_dem(tmp_path / "dem.tif", 20, 16)


def test_a_lattice_is_fit_or_it_is_said_why_not():
    for crs, lon in (("EPSG:32654", 141), ("EPSG:32654", 138.1), ("EPSG:32754", 143.9)):
        x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(lon, 70 if "326" in crs else -70)
        assert why_unfit(crs, Affine(10, 0, x, 0, -10, y), (100, 100)) is None
    x, y = Transformer.from_crs(4326, 32653, always_xy=True).transform(141.7, 70)
    assert "degrees off true north" in why_unfit("EPSG:32653", Affine(10, 0, x, 0, -10, y), (100, 100))
