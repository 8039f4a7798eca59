"""A small sound study area as a user may bring it, of which a test changes one thing, and what the commands
and the stations make of it, without Snakemake.

Synthetic throughout: plants on smooth slopes, landslides that lay bare ground after the event.
"""

import io
import json
import os
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import geopandas
import numpy as np
import rasterio
import shapely
from affine import Affine
from rasterio.features import rasterize
from rasterio.transform import from_origin

from headscarp.__main__ import main
from headscarp.areas.check.card import examine_card
from headscarp.areas.check.findings import report
from headscarp.errors import HeadscarpError
from headscarp.site.layers import build_layers
from headscarp.site.terrain import derive_terrain
from headscarp.sources.imports import import_file
from headscarp.yaml_files import read_yaml

CRS = "EPSG:32654"
WEST, NORTH = 560_000.0, 4_740_000.0
CELL, INSIDE, PAD = 10.0, 64, 20  # metres; cells of the outline a side, and of the rasters beyond it
SIDE = INSIDE + 2 * PAD
TRANSFORM = from_origin(WEST - PAD * CELL, NORTH + PAD * CELL, CELL, CELL)
BOX = shapely.box(WEST, NORTH - INSIDE * CELL, WEST + INSIDE * CELL, NORTH)
EVENT = "2018-09-06"
BANDS = ("blue", "green", "red", "nir")
PLANTS = {"blue": 0.04, "green": 0.07, "red": 0.05, "nir": 0.34}
BARE = {"blue": 0.11, "green": 0.14, "red": 0.20, "nir": 0.25}
FILES = ("before.tif", "after.tif", "dem.tif", "landslides.gpkg")


def elevation(x, y):
    """Metres of elevation at metres east and north."""
    u, v = (x - WEST) / 2000, (y - NORTH) / 2000
    return 400 + 250 * u + 120 * v + 60 * np.sin(5 * u) * np.cos(4 * v)


def cells(transform=TRANSFORM, shape=(SIDE, SIDE)):
    """Coordinates (x, y) of the centres of cells (row, col)."""
    col, row = np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5)
    return transform @ (col, row)


def slides():
    """Sixteen landslides, about 40 x 70 m, in rows over the outline."""
    return [
        shapely.box(
            WEST + 60 + 140 * col, NORTH - 60 - 140 * row - 70, WEST + 100 + 140 * col, NORTH - 60 - 140 * row
        )
        for row in range(4)
        for col in range(4)
    ]


def truth(transform=TRANSFORM, shape=(SIDE, SIDE)):
    """1 where a landslide is, else 0, uint8 (row, col)."""
    return rasterize(slides(), out_shape=shape, transform=transform, dtype="uint8")


def image(bands=BANDS, after=True, seed=3):
    """Reflectance (band, row, col), float32."""
    rng = np.random.default_rng(seed + after)
    hit = truth() == 1 if after else np.zeros((SIDE, SIDE), bool)
    x, y = cells()
    shade = 1 + 0.2 * np.sin(x / 90) * np.cos(y / 70)
    planes = [np.where(hit, BARE[band], PLANTS[band]) * shade for band in bands]
    return np.clip(np.stack(planes) + rng.normal(0, 0.004, (len(bands), *hit.shape)), 1e-3, None).astype(
        "float32"
    )


def numbers(after=True, bands=BANDS):
    """The image as whole numbers, reflectance times 10 000."""
    return (image(bands, after) * 10_000).astype("uint16")


def dem():
    return elevation(*cells()).astype("float32")


def put(
    path, values, transform=TRANSFORM, crs=CRS, names=None, nodata=None, scales=None, offsets=None, **options
):
    """A GeoTIFF of (row, col) or (band, row, col) by rasterio alone; `units`, `colours`, `mask` of the same
    shape are set where given."""
    values = np.asarray(values)
    values = values[None] if values.ndim == 2 else values
    units, colours, mask = (options.pop(key, None) for key in ("units", "colours", "mask"))
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            path,
            "w",
            driver=options.pop("driver", "GTiff"),
            count=len(values),
            height=values.shape[1],
            width=values.shape[2],
            dtype=values.dtype,
            crs=crs,
            transform=transform,
            nodata=nodata,
            **options,
        ) as sink,
    ):
        if colours:
            sink.colorinterp = colours
        sink.write(values)
        for number, name in enumerate(names or [], start=1):
            sink.set_band_description(number, name)
        if scales:
            sink.scales = scales
        if offsets:
            sink.offsets = offsets
        if units:
            sink.set_band_unit(1, units)
        if mask is not None:
            sink.write_mask(mask)
    return path


def put_shapes(path, shapes, crs=CRS, layer=None, **columns):
    """A vector file of shapes."""
    table = geopandas.GeoDataFrame(columns or {"id": range(len(shapes))}, geometry=list(shapes), crs=crs)
    table.to_file(path, **({"layer": layer} if layer else {}))
    return path


def valley(folder):
    """The sound area: outline.geojson and FILES."""
    put_shapes(folder / "outline.geojson", [BOX])
    put(folder / "before.tif", numbers(after=False), names=BANDS, nodata=0)
    put(folder / "after.tif", numbers(), names=BANDS, nodata=0)
    put(folder / "dem.tif", dem(), nodata=-9999)
    put_shapes(folder / "landslides.gpkg", slides())
    return folder


@contextmanager
def inside(folder):
    """A block that works in a folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def command(folder, *words):
    """What a command prints in a folder, on both streams, and its exit status."""
    text = io.StringIO()
    with inside(folder), redirect_stdout(text), redirect_stderr(text):
        status = main([str(word) for word in words])
    return text.getvalue(), status


def init(folder, files=FILES, *options, outline="outline.geojson"):
    """`headscarp init` of files of a folder: what it prints, and its exit status."""
    return command(folder, "init", outline, *files, "--name", "valley", "--event", EVENT, *options)


def check(folder):
    """What `headscarp check` says of the card (no page is drawn), errors included."""
    try:
        return "\n".join(report(checked) for checked in examine_card("valley", folder))
    except HeadscarpError as error:
        return f"headscarp: {error}"


def site_of(folder):
    """The site of the card that `init` wrote."""
    return read_yaml(folder / "areas" / "valley.yaml")["sites"]["valley"]


def build(folder):
    """The stations up to the layers, of the card: all that they said, errors included, as lines."""
    said = []
    raw = folder / "results" / "sites" / "valley" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    with inside(folder):
        try:
            site = site_of(folder)
            for file, spec in sorted(site["files"].items(), key=lambda item: item[0] != "outline.gpkg"):
                if "path" in spec:
                    outline = None if file == "outline.gpkg" else raw / "outline.gpkg"
                    said += import_file(spec, spec["path"], outline, raw / file)
            derive_terrain(raw / site["layers"]["dem"], raw.parent / "terrain")
            record = site["layers"] | {"name": "valley", "data": "real"}
            build_layers(record, raw, raw.parent / "terrain", raw.parent / "layers")
            said += json.loads((raw.parent / "layers" / "layers.json").read_text())["notes"]
        except HeadscarpError as error:
            said.append(f"error: {error}")
    return "\n".join(said)


def layer(folder, name):
    """Values of a layer that `build` made, float64 (row, col), NaN = no data."""
    with rasterio.open(folder / "results" / "sites" / "valley" / "layers" / f"{name}.tif") as source:
        return source.read(1, masked=True).astype(float).filled(np.nan)


def label(folder):
    """The label that `build` made, uint8 (row, col), and its grid's transform."""
    with rasterio.open(folder / "results" / "sites" / "valley" / "layers" / "label.tif") as source:
        return source.read(1), source.transform


def shifted(transform, right=0.0, down=0.0):
    """A transform whose first cell lies farther right and down, in cells."""
    return transform @ Affine.translation(right, down)
