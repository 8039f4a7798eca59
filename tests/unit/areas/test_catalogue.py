"""The catalogue of bad inputs: a sound area in which one thing is changed, and what must come of it, a right
value or one sentence that says what to do. A trace is never right, and so is a silent wrong value."""

import sqlite3
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import Transformer
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin
from rasterio.warp import Resampling, calculate_default_transform, reproject
from scipy import ndimage

from tests import valley as v

NEAR = 0.02  # of a reflectance of 0.34, for what noise and interpolation change


@dataclass(frozen=True)
class Member:
    """A bad input: `make` changes the sound area in a folder; `files` and `options` are given to `init`;
    `edits` are replaced in the card; then each of `expects` is called with the folder and all that was said.
    """

    kind: str
    name: str
    make: Callable
    expects: tuple[Callable, ...]
    files: tuple[str, ...] = v.FILES
    options: tuple[str, ...] = ()
    edits: tuple[tuple[str, str], ...] = ()


def says(*texts):
    """All texts are said somewhere, in one line."""

    def look(folder, said):
        assert any(all(text in line for text in texts) for line in said.splitlines()), said

    return look


def never_says(text):
    def look(folder, said):
        assert text not in said, said

    return look


def has_median(name, value):
    """A layer has a median over the site."""

    def look(folder, said):
        assert np.nanmedian(v.layer(folder, name)) == pytest.approx(value, abs=NEAR), said

    return look


def shows_slides(name="post_red"):
    """A layer is brighter on the landslides than beside them, where they are: its bands and its place are
    right."""

    def look(folder, said):
        values, (codes, transform) = v.layer(folder, name), v.label(folder)
        hit = v.truth(transform, codes.shape) == 1
        core = hit & np.isfinite(values)
        assert core.sum() > 150, said
        assert np.median(values[core]) == pytest.approx(v.BARE["red"], abs=0.05)
        assert np.nanmedian(values[~hit]) == pytest.approx(v.PLANTS["red"], abs=0.02)

    return look


def has_label():
    """Every landslide is labelled, and nothing else, on all land."""

    def look(folder, said):
        codes, transform = v.label(folder)
        np.testing.assert_array_equal(codes, v.truth(transform, codes.shape))

    return look


def is_unmapped(share):
    """About a share of the label is unmapped."""

    def look(folder, said):
        assert np.mean(v.label(folder)[0] == 255) == pytest.approx(share, abs=0.03), said

    return look


def card_says(*texts):
    """One line of the card has all texts."""

    def look(folder, said):
        lines = (folder / "areas" / "valley.yaml").read_text().splitlines()
        assert any(all(text in line for text in texts) for line in lines), "\n".join(lines)

    return look


def warped(crs, transform, shape, values=None):
    """An image (band, row, col) on another lattice, cubic, NaN where there is none."""
    values = v.image() if values is None else values
    out = np.full((len(values), *shape), np.nan, np.float32)
    for plane, target in zip(values, out, strict=True):
        reproject(
            plane,
            target,
            src_transform=v.TRANSFORM,
            src_crs=v.CRS,
            dst_transform=transform,
            dst_crs=crs,
            dst_nodata=np.nan,
            resampling=Resampling.cubic,
        )
    return out


def on_lattice(crs, transform, shape):
    """An image after the event on another lattice."""
    return lambda folder: v.put(
        folder / "after.tif", warped(crs, transform, shape), transform, crs, v.BANDS, np.nan
    )


def in_crs(crs):
    """An image after the event in another CRS."""
    left, top = v.TRANSFORM @ (0, 0)
    right, bottom = v.TRANSFORM @ (v.SIDE, v.SIDE)
    transform, width, height = calculate_default_transform(
        v.CRS, crs, v.SIDE, v.SIDE, left, bottom, right, top
    )
    return on_lattice(crs, transform, (height, width))


def rotated(degrees):
    """An image after the event on a lattice that is turned round the middle of the area."""
    middle = v.TRANSFORM @ (v.SIDE / 2, v.SIDE / 2)
    turned = Affine.rotation(degrees, pivot=middle) @ v.TRANSFORM
    return on_lattice(v.CRS, turned, (v.SIDE, v.SIDE))


def after(values=None, **options):
    """Another image after the event."""

    def make(folder):
        given = v.numbers() if values is None else values() if callable(values) else values
        v.put(folder / "after.tif", given, **({"names": v.BANDS} | options))

    return make


def half_empty(folder, nodata=None, bands=v.BANDS):
    """An image whose swath ends in the area: 0 beyond it."""
    values = v.numbers(bands=bands)
    values[:, :, : v.SIDE // 2] = 0
    return v.put(folder / "after.tif", values, names=bands, nodata=nodata)


def single_bands(folder):
    """The same as a file a band."""
    values = v.numbers()
    values[:, :, : v.SIDE // 2] = 0
    for name, plane in zip(("B02", "B03", "B04", "B08"), values, strict=True):
        v.put(folder / f"post_{name}.tif", plane)


def with_alpha(folder):
    values = (v.image(("red", "green", "blue")) * 255 * 2).clip(0, 255).astype("uint8")
    alpha = np.full((1, v.SIDE, v.SIDE), 255, np.uint8)
    alpha[:, :, : v.SIDE // 2] = 0
    values[:, :, : v.SIDE // 2] = 200
    v.put(folder / "after.tif", np.concatenate([values, alpha]), photometric="RGB", alpha="YES")


def infrared_as_alpha(folder):
    """Bytes of blue, green, red, nir, which GDAL calls red, green, blue and alpha."""
    values = (v.image(v.BANDS) * 255 * 2).clip(0, 255).astype("uint8")
    v.put(folder / "after.tif", values, photometric="RGB", alpha="YES")


def masked(internal):
    def make(folder):
        values = v.numbers()
        values[:, :, : v.SIDE // 2] = 777
        mask = np.full((v.SIDE, v.SIDE), 255, np.uint8)
        mask[:, : v.SIDE // 2] = 0
        if internal:
            v.put(folder / "after.tif", values, names=v.BANDS, mask=mask)
            return
        v.put(folder / "after.tif", values, names=v.BANDS)
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(folder / "after.tif", "r+") as sink:
            sink.write_mask(mask)

    return make


def blurred_border(folder):
    """A mosaic in JPEG whose border of no data, 0, was blurred by the compression."""
    values = (v.image(("red", "green", "blue")) * 255 * 2).clip(20, 255).astype("uint8")
    values[:, :, : v.SIDE // 2] = 0
    rng = np.random.default_rng(0)
    values[:, :, v.SIDE // 2 - 4 : v.SIDE // 2] = rng.integers(1, 9, (3, v.SIDE, 4))
    v.put(
        folder / "after.tif",
        values,
        nodata=0,
        photometric="RGB",
        compress="JPEG",
        jpeg_quality=100,
        tiled=True,
        blockxsize=16,
        blockysize=16,
    )


def by_control_points(folder):
    side = v.SIDE
    points = [
        GroundControlPoint(row, col, *(v.TRANSFORM @ (col, row)))
        for row, col in ((0, 0), (0, side), (side, 0), (side, side), (side / 2, side / 2))
    ]
    with rasterio.open(
        folder / "after.tif", "w", driver="GTiff", count=4, height=side, width=side, dtype="uint16"
    ) as sink:
        sink.write(v.numbers())
        sink.gcps = (points, rasterio.crs.CRS.from_string(v.CRS))


def in_folders(one, other):
    def make(folder):
        for name, late in ((one, False), (other, True)):
            (folder / name).mkdir()
            for band, plane in zip(("B02", "B03", "B04", "B08"), v.numbers(late), strict=True):
                v.put(folder / name / f"{band}.tif", plane, nodata=0)

    return make


def files_in(one, other):
    bands = ("B02", "B03", "B04", "B08")
    return (*(f"{name}/{band}.tif" for name in (one, other) for band in bands), "dem.tif", "landslides.gpkg")


def cut(name, share=0.6):
    def make(folder):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: int(len(whole) * share)])

    return make


def overwrite(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def zipped(*members, name="after.zip"):
    """A zip of files of the area."""

    def make(folder):
        with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for member in members:
                archive.write(folder / member, member)

    return make


def nothing(folder):
    """The sound area."""


def index(value):
    """An index in whole numbers."""
    return lambda folder: v.put(folder / "ndvi.tif", (value + 900 * v.truth().astype(int)).astype("int16"))


def locked(folder):
    """A zip whose headers say that it wants a password."""
    zipped("after.tif")(folder)
    content = bytearray((folder / "after.zip").read_bytes())
    for mark, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(mark) + place] |= 1
    (folder / "after.zip").write_bytes(content)


def climbing(folder):
    """A zip whose member would be written beside its folder."""
    with zipfile.ZipFile(folder / "after.zip", "w") as archive:
        archive.write(folder / "after.tif", "../../after.tif")


PLACED = (shows_slides(), has_label(), has_median("post_nir", 0.336))
UNREADABLE = says("after.tif", "cannot be read")
ZIPPED = ("before.tif", "after.zip", "dem.tif", "landslides.gpkg")
PAGE = b"<!DOCTYPE html><html><body>404 Not Found</body></html>"
OUTSIDE = from_origin(v.WEST + 300_000, v.NORTH, 10, 10)
SWAPPED = dict(names=None, nodata=0)

RASTERS = [
    Member("raster", "numbers to be scaled", after(scales=[1e-4] * 4), PLACED),
    Member(
        "raster",
        "scale and offset",
        after(lambda: (v.image() * 10_000 + 1000).astype("uint16"), scales=[1e-4] * 4, offsets=[-0.1] * 4),
        PLACED,
    ),
    Member("raster", "scale of 0", after(scales=[0.0] * 4), (says("after.tif", "scale 0"),)),
    Member(
        "raster",
        "zeros beyond the swath",
        lambda folder: half_empty(folder),
        (
            says("warning", "after.tif", "without data"),
            card_says("after.tif", "nodata: 0", "GUESS"),
            is_unmapped(0.0),
        ),
    ),
    Member(
        "raster",
        "zeros beyond the swath, the only image",
        lambda folder: half_empty(folder),
        (says("0 in all bands: no data"), is_unmapped(0.5), shows_slides()),
        files=("after.tif", "dem.tif", "landslides.gpkg"),
    ),
    Member(
        "raster",
        "zeros beyond the swath, another value declared",
        lambda folder: half_empty(folder, nodata=65535),
        (card_says("after.tif", "nodata: 0"), is_unmapped(0.5)),
        files=("after.tif", "dem.tif", "landslides.gpkg"),
    ),
    Member(
        "raster",
        "zeros beyond the swath, a file a band",
        single_bands,
        (card_says("B04.tif", "nodata: 0"), is_unmapped(0.5)),
        files=("post_B02.tif", "post_B03.tif", "post_B04.tif", "post_B08.tif", "dem.tif", "landslides.gpkg"),
    ),
    Member(
        "raster",
        "alpha",
        with_alpha,
        (says("alpha"), is_unmapped(0.5)),
        files=("after.tif", "dem.tif", "landslides.gpkg"),
    ),
    Member(
        "raster",
        "an infrared band that GDAL calls alpha",
        infrared_as_alpha,
        (
            card_says("post_nir", "band: 4", "GUESS"),
            card_says("post_red", "band: 3", "GUESS"),
            is_unmapped(0.0),
        ),
    ),
    Member("raster", "mask inside", masked(True), (is_unmapped(0.5),), files=v.FILES[1:]),
    Member("raster", "mask beside", masked(False), (is_unmapped(0.5),), files=v.FILES[1:]),
    Member("raster", "border blurred by JPEG", blurred_border, (is_unmapped(0.5),), files=v.FILES[1:]),
    Member(
        "raster",
        "a value of no data that the type cannot hold",
        lambda folder: v.put(folder / "post_B04.tif", v.numbers()[2]),
        (says("no cell has its value of no data, -9999, which uint16 cannot hold"), shows_slides()),
        files=("post_B04.tif", "dem.tif", "landslides.gpkg"),
        edits=(("path: post_B04.tif}", "path: post_B04.tif, nodata: -9999}"),),
    ),
    Member(
        "raster",
        "no data of 3.4e38 that is declared rounded",
        after(lambda: with_value(v.image(), -3.4028235e38), nodata=-3.4e38),
        (is_unmapped(0.5), says("values beyond")),
        files=v.FILES[1:],
    ),
    Member(
        "raster",
        "infinite values",
        after(lambda: with_value(v.image(), np.inf)),
        (is_unmapped(0.5),),
        files=v.FILES[1:],
    ),
    Member(
        "raster",
        "unnamed bands: red, green, blue, nir",
        after(lambda: v.numbers(bands=("red", "green", "blue", "nir")), **SWAPPED),
        (card_says("post_red", "band: 1", "GUESS"), *PLACED),
    ),
    Member(
        "raster",
        "unnamed bands: blue, green, red, nir",
        after(**SWAPPED),
        (card_says("post_red", "band: 3", "GUESS"), *PLACED),
    ),
    Member(
        "raster",
        "unnamed bands in no known order: nir first",
        after(lambda: v.numbers(bands=("nir", "red", "green", "blue")), **SWAPPED),
        (says("after.tif", "nir is above red nowhere"),),
    ),
    Member(
        "raster",
        "bands whose colours are blue, green, red",
        after(
            lambda: v.numbers(bands=("blue", "green", "red")),
            names=None,
            nodata=0,
            colours=[ColorInterp.blue, ColorInterp.green, ColorInterp.red],
        ),
        (card_says("post_red", "band: 3"), shows_slides(), has_label()),
    ),
    Member(
        "raster",
        "named bands that are exchanged",
        after(names=("red", "green", "blue", "nir")),
        (says("warning", "post", "red and blue seem exchanged"),),
    ),
    Member(
        "raster",
        "eight bands of a sensor that nobody tells",
        after(lambda: v.numbers(bands=v.BANDS * 2), names=None),
        (says("after.tif", "band 1"), says("after.tif", "band 8")),
    ),
    Member(
        "raster",
        "the same names in two folders",
        in_folders("pre", "post"),
        PLACED,
        files=files_in("pre", "post"),
    ),
    Member(
        "raster",
        "the same names in two folders of dates",
        in_folders("2018-08-01", "2018-09-20"),
        PLACED,
        files=files_in("2018-08-01", "2018-09-20"),
    ),
    Member(
        "raster",
        "the same names in two folders that tell nothing",
        in_folders("one", "two"),
        (says("one/B02.tif", "two/B02.tif", "before"),),
        files=files_in("one", "two"),
    ),
    Member(
        "raster",
        "placed by control points only",
        by_control_points,
        (says("after.tif", "control points", "gdalwarp"),),
    ),
    Member(
        "raster",
        "placed nowhere",
        after(crs=None, transform=Affine.identity()),
        (says("after.tif", "does not say where its cells lie"),),
    ),
    Member("raster", "truncated", cut("after.tif", 0.5), (says("after.tif", "truncated"),)),
    Member(
        "raster",
        "a page of a web server",
        overwrite("after.tif", PAGE),
        (says("after.tif", "cannot be read"),),
    ),
    Member("raster", "empty", overwrite("after.tif", b""), (says("after.tif", "cannot be read"),)),
    Member(
        "raster",
        "a folder",
        lambda folder: (folder / "images").mkdir(),
        (says("images", "is a folder"),),
        files=(*v.FILES, "images"),
    ),
    Member(
        "raster",
        "an image in two tiles",
        lambda folder: image_tiles(folder),
        (card_says("post_west.tif", "post_east.tif", "GUESS"), *PLACED),
        files=("before.tif", "post_west.tif", "post_east.tif", "dem.tif", "landslides.gpkg"),
    ),
    Member("raster", "rows from south to north", lambda folder: flipped(folder), PLACED),
    Member("raster", "columns from east to west", lambda folder: mirrored(folder), PLACED),
    Member("raster", "turned by 30 degrees", rotated(30), PLACED),
    Member("raster", "turned by 90 degrees", rotated(90), PLACED),
    Member(
        "raster",
        "cells of 10 by 5 m",
        on_lattice(v.CRS, v.TRANSFORM @ Affine.scale(1, 0.5), (2 * v.SIDE, v.SIDE)),
        PLACED,
    ),
]

CRSS = [
    Member("CRS", "Web Mercator", in_crs("EPSG:3857"), PLACED),
    Member("CRS", "degrees", in_crs("EPSG:4326"), PLACED),
    Member("CRS", "a Japanese plane", in_crs("EPSG:6680"), PLACED),
    Member("CRS", "the neighbouring zone", in_crs("EPSG:32653"), PLACED),
    Member(
        "CRS", "none, coordinates of the grid", after(crs=None), (card_says("crs", "GUESS no CRS"), *PLACED)
    ),
    Member(
        "CRS",
        "none, coordinates of nowhere",
        after(crs=None, transform=from_origin(100, 50_000_000, 10, 10)),
        (says("after.tif", "has no CRS"),),
    ),
    Member("CRS", "another zone told", after(crs="EPSG:32651"), (says("after.tif", "misses the site"),)),
    Member("CRS", "elsewhere", after(transform=OUTSIDE), (says("after.tif", "misses the site"),)),
]


def slides(shapes=None, name="landslides.gpkg", **options):
    """Another inventory."""

    def make(folder):
        (folder / "landslides.gpkg").unlink()
        v.put_shapes(folder / name, v.slides() if shapes is None else shapes(), **options)

    return make


def with_style_table(folder):
    """An inventory whose layer has a name of its own, beside a table in which QGIS keeps styles."""
    slides(layer="export")(folder)
    with sqlite3.connect(folder / "landslides.gpkg") as base:
        base.execute("CREATE TABLE layer_styles (id INTEGER PRIMARY KEY, f_table_name TEXT)")
        base.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier) "
            "VALUES ('layer_styles', 'attributes', 'layer_styles')"
        )


def in_degrees(shapes):
    return list(geopandas.GeoSeries(shapes, crs=v.CRS).to_crs("EPSG:4326"))


def mask(values, **options):
    """An inventory as a raster: what `values` makes of the truth."""

    def make(folder):
        (folder / "landslides.gpkg").unlink()
        v.put(folder / "landslides.tif", values(v.truth()), **options)

    return make


def model(values=v.dem, **options):
    """Another elevation model."""
    return lambda folder: v.put(folder / "dem.tif", values(), **({"nodata": -9999} | options))


def with_hole(value, dtype="float32"):
    """An elevation model with a hole of one value that nothing declares."""

    def make(folder):
        heights = v.dem().astype(dtype)
        heights[45:55, 45:58] = value
        v.put(folder / "dem.tif", heights)

    return make


def has_slopes():
    """Slopes are those of the surface."""

    def look(folder, said):
        _, transform = v.label(folder)
        found = v.layer(folder, "slope")
        x, y = v.cells(transform, found.shape)
        east, north = (
            (v.elevation(x + 1, y) - v.elevation(x - 1, y)) / 2,
            (v.elevation(x, y + 1) - v.elevation(x, y - 1)) / 2,
        )
        off = np.abs(found - np.degrees(np.arctan(np.hypot(east, north))))
        assert np.nanmedian(off) < 0.3 and np.nanmax(off[3:-3, 3:-3]) < 3, said

    return look


MASK = ("before.tif", "after.tif", "dem.tif", "landslides.tif")
LABELLED = (has_label(), says("10.94%"))
VECTORS = [
    Member("vector", "a table of styles beside the inventory", with_style_table, LABELLED),
    Member("vector", "a column instance from 0 on", slides(instance=range(16)), LABELLED),
    Member("vector", "a column instance of text", slides(instance=[f"L{n}" for n in range(16)]), LABELLED),
    Member("vector", "a column instance that is empty", slides(instance=[None] * 16), LABELLED),
    Member(
        "vector", "an inventory in degrees", slides(lambda: in_degrees(v.slides()), crs="EPSG:4326"), LABELLED
    ),
    Member(
        "vector",
        "the mapped area and slides in one name",
        slides(name="mapped_landslides.gpkg"),
        LABELLED,
        files=("before.tif", "after.tif", "dem.tif", "mapped_landslides.gpkg"),
    ),
    Member(
        "vector",
        "landslides as lines",
        slides(lambda: [shapely.LineString(one.exterior.coords) for one in v.slides()]),
        (says("landslides.gpkg", "polygons"),),
    ),
    Member(
        "vector",
        "landslides as points",
        slides(lambda: [one.centroid for one in v.slides()]),
        (says("landslides.gpkg", "polygons"),),
    ),
    Member(
        "vector",
        "landslides elsewhere",
        slides(lambda: [shapely.affinity.translate(one, 90_000) for one in v.slides()]),
        (says("landslides.gpkg", "on the site"),),
    ),
    Member("vector", "an inventory of nothing", slides(list), (says("landslides.gpkg"),)),
    Member(
        "vector",
        "a truncated inventory",
        cut("landslides.gpkg", 0.4),
        (says("landslides.gpkg", "cannot be read"),),
    ),
    Member(
        "vector",
        "a page for an inventory",
        overwrite("landslides.gpkg", PAGE),
        (says("landslides.gpkg", "is a web page"),),
    ),
    Member(
        "vector",
        "a page for an outline",
        overwrite("outline.geojson", PAGE),
        (says("outline.geojson", "is a web page"),),
    ),
    Member(
        "vector",
        "a track for an outline",
        lambda folder: v.put_shapes(folder / "outline.geojson", [v.BOX.exterior]),
        (says("outline.geojson", "polygon"),),
    ),
    Member(
        "vector",
        "an outline of metres that says degrees",
        lambda folder: v.put_shapes(folder / "outline.geojson", [v.BOX], crs="EPSG:4326"),
        (says("outline.geojson", "degrees"),),
    ),
    Member(
        "vector",
        "an outline whose degrees are swapped",
        lambda folder: v.put_shapes(
            folder / "outline.geojson",
            [shapely.transform(one, lambda xy: xy[:, ::-1]) for one in in_degrees([v.BOX])],
            crs="EPSG:4326",
        ),
        (says("outline.geojson", "swapped"),),
    ),
    Member(
        "vector",
        "a stray polygon far away",
        lambda folder: v.put_shapes(
            folder / "outline.geojson", [v.BOX, shapely.affinity.translate(v.BOX, 40_000, 60_000)]
        ),
        (says("WARNING", "outline.geojson", "km away"),),
    ),
    Member(
        "vector",
        "a bow tie among the slides",
        slides(
            lambda: [
                *v.slides()[:15],
                shapely.Polygon(
                    [
                        (v.WEST + 500, v.NORTH - 500),
                        (v.WEST + 540, v.NORTH - 560),
                        (v.WEST + 540, v.NORTH - 500),
                        (v.WEST + 500, v.NORTH - 560),
                    ]
                ),
            ]
        ),
        (says("invalid", "repaired"),),
    ),
]
LABELS = [
    Member("labels", "0 and 255", mask(lambda truth: truth * 255), LABELLED, files=MASK),
    Member("labels", "0 and 1, no data 0", mask(lambda truth: truth, nodata=0), LABELLED, files=MASK),
    Member(
        "labels", "0 and 255, no data 255", mask(lambda truth: truth * 255, nodata=255), LABELLED, files=MASK
    ),
    Member(
        "labels",
        "numbers with a point",
        mask(lambda truth: truth.astype("float32"), nodata=-3.4e38),
        LABELLED,
        files=MASK,
    ),
    Member(
        "labels",
        "probabilities",
        mask(lambda truth: truth * np.float32(0.7) + np.float32(0.1)),
        (says("landslides.tif"),),
        files=MASK,
    ),
    Member(
        "labels",
        "a number a slide",
        mask(lambda truth: ndimage.label(truth)[0].astype("uint16")),
        (says("landslides.tif"),),
        files=MASK,
    ),
    Member("labels", "nothing but landslides", mask(np.ones_like), (says("landslides.tif"),), files=MASK),
]
MODELS = [
    Member(
        "elevation",
        "feet that the band tells",
        model(lambda: v.dem() / 0.3048, units="ft"),
        (has_slopes(), says("times 0.3048")),
    ),
    Member(
        "elevation",
        "feet that the CRS tells",
        model(lambda: v.dem() / np.float32(0.3048006), crs="EPSG:32654+6360"),
        (has_slopes(),),
    ),
    Member("elevation", "a unit nobody knows", model(units="furlong"), (says("furlong", "units"),)),
    Member("elevation", "centimetres that nothing tells", model(lambda: v.dem() * 100), (says("units"),)),
    Member("elevation", "holes of -32768", with_hole(-32768, "int16"), (says("-32768"),)),
    Member("elevation", "holes of 0", with_hole(0), (says("warning", "0"), has_slopes())),
    Member("elevation", "holes of 3.4e38", with_hole(3.4028235e38), (says("values beyond"),)),
    Member("elevation", "Web Mercator", lambda folder: model_in(folder, "EPSG:3857"), (has_slopes(),)),
    Member("elevation", "degrees", lambda folder: model_in(folder, "EPSG:4326"), (has_slopes(),)),
    Member(
        "elevation",
        "two tiles",
        lambda folder: two_tiles(folder),
        (has_slopes(), card_says("dem_west.tif", "dem_east.tif")),
        files=("before.tif", "after.tif", "dem_west.tif", "dem_east.tif", "landslides.gpkg"),
    ),
]


def model_in(folder, crs):
    """The elevation model on a lattice of another CRS, exact."""
    to, back = (Transformer.from_crs(*pair, always_xy=True) for pair in ((v.CRS, crs), (crs, v.CRS)))
    west, south, east, north = to.transform_bounds(v.WEST - 300, v.NORTH - 940, v.WEST + 940, v.NORTH + 300)
    step = (north - south) / 120
    shape = (120, int((east - west) / step) + 1)
    transform = from_origin(west, north, step, step)
    x, y = back.transform(*v.cells(transform, shape))
    v.put(folder / "dem.tif", v.elevation(x, y).astype("float32"), transform, crs)


def two_tiles(folder):
    """The model in two tiles that meet in the area."""
    heights, half = v.dem(), v.SIDE // 2
    v.put(folder / "dem_west.tif", heights[:, :half], nodata=-9999)
    v.put(folder / "dem_east.tif", heights[:, half:], v.shifted(v.TRANSFORM, half), nodata=-9999)


RED = "post_red: {file: after.tif, band: 3, units: reflectance, scale: 0.0001}"
DATES = [
    Member(
        "dates", "day first", nothing, (says("06.09.2018", "2018-09-06"),), options=("--event", "06.09.2018")
    ),
    Member(
        "dates", "without zeros", nothing, (says("2018-9-6", "2018-09-06"),), options=("--event", "2018-9-6")
    ),
    Member(
        "dates", "no such day", nothing, (says("2018-02-30", "no date"),), options=("--event", "2018-02-30")
    ),
    Member(
        "dates",
        "a series that falls",
        nothing,
        (says("do not rise"),),
        options=("--dates", "2018-09-06", "2018-08-01"),
    ),
    Member(
        "dates",
        "an image of before called after",
        lambda folder: (folder / "after.tif").rename(folder / "post_20180801.tif"),
        (says("warning", "after.tif", "2018-08-01"),),
        files=("before.tif", "post_20180801.tif", "dem.tif", "landslides.gpkg"),
    ),
    Member(
        "dates",
        "a date of the card that is none",
        nothing,
        (says("dates", "2018-13-01"),),
        edits=((v.EVENT, "2018-13-01"),),
    ),
]
CARDS = [
    Member(
        "card",
        "a key misspelt",
        nothing,
        (says("nodatta", "nodata"),),
        edits=(("after.tif}", "after.tif, nodatta: 0}"),),
    ),
    Member("card", "text for a number", nothing, (says("scale", "1e-4"),), edits=(("0.0001}", "1e-4}"),)),
    Member(
        "card",
        "a file that is not there",
        nothing,
        (says("gone.tif", "does not exist"),),
        edits=(("path: after.tif", "path: gone.tif"),),
    ),
    Member(
        "card",
        "a file that is only part of one",
        nothing,
        (says("after.tfw", "only part of a file"),),
        edits=(("path: after.tif", "path: after.tfw"),),
    ),
    Member(
        "card",
        "a band that is not there",
        nothing,
        (says("no band 9"),),
        edits=((RED, RED.replace("band: 3", "band: 9")),),
    ),
    Member(
        "card",
        "a band by a name that is not there",
        nothing,
        (says("no band 'rot'", "red"),),
        edits=((RED, RED.replace("band: 3", "band: rot")),),
    ),
    Member(
        "card",
        "a file that no entry names",
        nothing,
        (says("afterwards.tif", "add it there"),),
        edits=((RED, RED.replace("after.tif", "afterwards.tif")),),
    ),
    Member("card", "no YAML", nothing, (says("not valid YAML"),), edits=(("sites:", "sites: ["),)),
    Member(
        "card",
        "a key twice",
        nothing,
        (says("defined twice"),),
        edits=(("protocols:", "protocols: [blocked]\nprotocols:"),),
    ),
    Member(
        "card",
        "units of elevation that nobody knows",
        nothing,
        (says("units", "furlong"),),
        edits=(("margin_m: 1000}", "margin_m: 1000, units: furlong}"),),
    ),
    Member(
        "card",
        "a CRS that does not exist",
        nothing,
        (says("EPSG:99999"),),
        edits=(("path: after.tif}", "path: after.tif, crs: 'EPSG:99999'}"),),
    ),
    Member(
        "card",
        "a grid in degrees",
        nothing,
        (says("EPSG:4326", "not in metres"),),
        edits=(("crs: 'EPSG:32654', resolution_m", "crs: 'EPSG:4326', resolution_m"),),
    ),
    Member(
        "card", "a margin below 0", nothing, (says("margin_m"),), edits=(("margin_m: 1000", "margin_m: -5"),)
    ),
    Member(
        "card",
        "the variable of a GeoTIFF",
        nothing,
        (says("`variable`", "NetCDF"),),
        edits=(("path: after.tif}", "path: after.tif, variable: red}"),),
    ),
    Member(
        "card",
        "the same tile twice",
        nothing,
        (says("path"),),
        edits=(("path: after.tif}", "path: [after.tif, after.tif]}"),),
    ),
    Member(
        "card",
        "tiles that do not fit",
        nothing,
        (says("before.tif", "no tile beside"),),
        edits=(("path: after.tif}", "path: [dem.tif, before.tif]}"),),
    ),
]
VALUES = [
    Member(
        "values",
        "a factor that was taken twice",
        nothing,
        (says("error", "post_red", "darker than any ground"),),
        edits=((RED, RED.replace("0.0001", "1.0e-8")),),
    ),
    Member(
        "values",
        "a factor that was forgotten",
        nothing,
        (says("error", "post_red", "1.0e-4"),),
        edits=((RED, RED.replace(", scale: 0.0001", "")),),
    ),
    Member(
        "values",
        "an image that is one value",
        after(np.full((4, v.SIDE, v.SIDE), 900, np.uint16)),
        (says("warning", "post_red", "a constant"),),
    ),
    Member(
        "values",
        "NDVI times 10 000",
        index(6000),
        (says("error", "ndvi", "1.0e-4"),),
        files=(*v.FILES, "ndvi.tif"),
    ),
    Member(
        "values",
        "an image of nothing but no data",
        after(np.zeros((4, v.SIDE, v.SIDE), np.uint16), nodata=0),
        (says("after.tif", "no data"),),
    ),
]
ARCHIVES = [
    Member("archive", "an image in a zip", zipped("after.tif"), PLACED, files=ZIPPED),
    Member(
        "archive",
        "two images in a zip",
        zipped("after.tif", "dem.tif"),
        (says("after.zip", "several files", "layer"),),
        files=ZIPPED,
    ),
    Member(
        "archive",
        "truncated",
        lambda folder: (zipped("after.tif")(folder), cut("after.zip", 0.5)(folder)),
        (says("after.zip", "cannot be"),),
        files=ZIPPED,
    ),
    Member(
        "archive",
        "a page of a web server",
        overwrite("after.zip", PAGE),
        (says("after.zip", "cannot be"),),
        files=ZIPPED,
    ),
    Member(
        "archive",
        "nothing of use",
        zipped("outline.geojson", name="after.zip"),
        (never_says("post_red"),),
        files=ZIPPED,
    ),
    Member("archive", "a password", locked, (says("after.zip", "encrypted"),), files=ZIPPED),
    Member("archive", "a name that leads out of the folder", climbing, PLACED, files=ZIPPED),
]


def with_value(values, value):
    """The western half of an image without data."""
    values[:, :, : v.SIDE // 2] = value
    return values


def image_tiles(folder):
    """The image in two tiles that meet in the area."""
    values, half = v.numbers(), v.SIDE // 2
    v.put(folder / "post_west.tif", values[..., :half], names=v.BANDS, nodata=0)
    east = v.shifted(v.TRANSFORM, half)
    v.put(folder / "post_east.tif", values[..., half:], east, names=v.BANDS, nodata=0)


def flipped(folder):
    t = v.TRANSFORM
    south_up = Affine(t.a, 0, t.c, 0, -t.e, t.f + t.e * v.SIDE)
    v.put(folder / "after.tif", v.numbers()[:, ::-1], south_up, names=v.BANDS, nodata=0)


def mirrored(folder):
    t = v.TRANSFORM
    east_left = Affine(-t.a, 0, t.c + t.a * v.SIDE, 0, t.e, t.f)
    v.put(folder / "after.tif", v.numbers()[:, :, ::-1], east_left, names=v.BANDS, nodata=0)


CATALOGUE = [*RASTERS, *CRSS, *VECTORS, *LABELS, *MODELS, *DATES, *CARDS, *VALUES, *ARCHIVES]


@pytest.mark.parametrize(
    "member",
    CATALOGUE,
    ids=lambda member: f"{member.kind}: {member.name}",
)
def test_catalogue(member, tmp_path):
    v.valley(tmp_path)
    member.make(tmp_path)
    said, status = v.init(tmp_path, member.files, *member.options)
    for old, new in member.edits:
        card = tmp_path / "areas" / "valley.yaml"
        assert old in card.read_text()
        card.write_text(card.read_text().replace(old, new))
    if status == 0:
        said += (tmp_path / "areas" / "valley.yaml").read_text() + v.check(tmp_path) + v.build(tmp_path)
    assert "Traceback" not in said
    for expect in member.expects:
        expect(tmp_path, said)
