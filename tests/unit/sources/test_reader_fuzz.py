"""The reader of rasters against files of any type, packing, lattice, CRS and order of bands: what comes onto
the grid of the site is the right value, or there is one line that says why not.

`HEADSCARP_FUZZ=10000 pytest tests/unit/sources/test_reader_fuzz.py` tries so many new ones.
"""

import os
from datetime import timedelta

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from rasterio.enums import ColorInterp

from headscarp.errors import HeadscarpError
from headscarp.geo.grid import Grid
from headscarp.geo.layer import CLASSES, CONTINUOUS
from headscarp.geo.rasters import align
from headscarp.sources.imports import import_file
from tests import valley as v

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("HEADSCARP_FUZZ", 40))
GRID = Grid(v.CRS, Affine(v.CELL, 0, v.WEST, 0, -v.CELL, v.NORTH), v.INSIDE, v.INSIDE)
CRSS = (
    v.CRS,
    "EPSG:32653",
    "EPSG:3857",
    "EPSG:4326",
    "EPSG:6680",
    "EPSG:3395",
    "+proj=lcc +lat_1=30 +lat_2=62 +lat_0=0 +lon_0=105 +datum=WGS84 +units=m",
    "+proj=utm +zone=54 +datum=WGS84 +units=us-ft",
)
DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
VOIDS = ("none", "nodata", "mask", "alpha", "nan", "key")


def truth(band, x, y):
    """A smooth quantity from 0.2 to 0.8 at metres east and north of the site's zone."""
    u, w = (x - v.WEST) / 640, (v.NORTH - y) / 640
    return 0.5 + 0.15 * np.sin(2 * u + band) + 0.15 * np.cos(1.5 * w - 2 * band)


@st.composite
def files(draw):
    """How a file is written."""
    dtype = draw(st.sampled_from(DTYPES))
    whole = np.issubdtype(dtype, np.integer)
    void = draw(st.sampled_from(VOIDS))
    return dict(
        crs=draw(st.sampled_from(CRSS)),
        cell=draw(st.sampled_from([4.0, 10.0, 17.0])),
        oblong=draw(st.sampled_from([1.0, 0.5, 1.7])),
        turn=draw(st.sampled_from([0.0, 0.0, 0.0, 30.0, 90.0, 200.0])),
        south_up=draw(st.booleans()),
        west_left=draw(st.booleans()),
        dtype=dtype,
        bands=draw(st.integers(1, 4)),
        order=draw(st.randoms(use_true_random=False)),
        named=draw(st.booleans()),
        scale=draw(st.sampled_from([None, 1e-4, 0.01, 2.0, -0.01])),
        offset=draw(st.sampled_from([None, -0.1, 0.05, 3.0])),
        void="nodata" if void == "nan" and whole else void,
        nodata=draw(st.sampled_from(["low", "high", "zero"])),
        seed=draw(st.integers(0, 9)),
    )


def lattice(spec):
    """The transform and shape (rows, cols) of cells that cover the site and somewhat more."""
    to = Transformer.from_crs(v.CRS, spec["crs"], always_xy=True)
    west, south, east, north = to.transform_bounds(
        v.WEST - 300, v.NORTH - 640 - 300, v.WEST + 640 + 300, v.NORTH + 300
    )
    across, down = spec["cell"] * (east - west) / 1240, spec["cell"] * spec["oblong"] * (north - south) / 1240
    shape = int((north - south) / down) + 1, int((east - west) / across) + 1
    middle = ((west + east) / 2, (south + north) / 2)
    step_x = -across if spec["west_left"] else across
    step_y = down if spec["south_up"] else -down
    start = (east if spec["west_left"] else west), (south if spec["south_up"] else north)
    transform = Affine(step_x, 0, start[0], 0, step_y, start[1])
    # degrees are no lengths: a turned lattice would be a skewed one
    turn = spec["turn"] if spec["crs"] != "EPSG:4326" else 0.0
    return Affine.rotation(turn, pivot=middle) @ transform, shape


def stored(spec, values):
    """Numbers that a file holds for values (band, row, col), the scale and offset that it tells, what the
    numbers then mean, and by which factor that is more than the values; None where the type cannot hold
    them."""
    dtype = np.dtype(spec["dtype"])
    scale, offset = spec["scale"], spec["offset"]
    if scale is None and offset is None:
        factor = {1: 100, 2: 10_000, 4: 100_000}.get(dtype.itemsize, 1) if dtype.kind in "iu" else 1
        numbers = values * factor
        told = (1.0, 0.0)
    else:
        factor = 1
        told = (scale or 1.0, offset or 0.0)
        numbers = (values - told[1]) / told[0]
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        if numbers.min() < info.min + 3 or numbers.max() > info.max - 3 or np.ptp(numbers) < 20:
            return None
        numbers = np.round(numbers)
    numbers = numbers.astype(dtype)
    return numbers, told, numbers.astype(float) * told[0] + told[1], factor


def write(path, spec, rng):
    """The file; returns by which factor its values are larger, what it means (band, row, col), NaN where it
    says nothing, the order of its bands, and its entry in a card; None where its type cannot hold such
    values."""
    transform, shape = lattice(spec)
    x, y = v.cells(transform, shape)
    x, y = Transformer.from_crs(spec["crs"], v.CRS, always_xy=True).transform(x, y)
    order = list(range(spec["bands"]))
    spec["order"].shuffle(order)
    made = stored(spec, np.stack([truth(band, x, y) for band in order]))
    if made is None:
        return None
    numbers, (scale, offset), meaning, factor = made
    dtype, void = numbers.dtype, spec["void"]
    empty = np.zeros(shape, bool)
    options = {"names": [f"q{band}" for band in order] if spec["named"] else None}
    entry = {"path": path.name}
    if void != "none":
        empty = x < v.WEST + 640 * rng.uniform(0.2, 0.6)  # the western part of the site
        value = {"low": -9999.0, "high": 1e6, "zero": 0.0}[spec["nodata"]] if dtype.kind == "f" else None
        if value is None:
            info = np.iinfo(dtype)
            value = {"low": info.min, "high": info.max, "zero": 0}[spec["nodata"]]
        if (numbers == value).any():
            return None
        if void == "nan":
            numbers[:, empty] = np.nan
        else:
            numbers[:, empty] = value
        if void == "nodata":
            options["nodata"] = value
        elif void == "key":
            entry["nodata"] = float(value)
        elif void == "mask":
            options["mask"] = np.where(empty, 0, 255).astype("uint8")
        elif void == "alpha":
            most = np.iinfo(dtype).max if dtype.kind in "iu" else 1
            numbers = np.concatenate([numbers, np.where(empty, 0, most).astype(dtype)[None]])
            options["names"] = None
            options["colours"] = [
                ColorInterp.gray,
                *[ColorInterp.undefined] * (len(numbers) - 2),
                ColorInterp.alpha,
            ]
    if (scale, offset) != (1.0, 0.0):
        options |= {"scales": [scale] * len(numbers), "offsets": [offset] * len(numbers)}
    v.put(path, numbers, transform, spec["crs"], **options)
    meaning[:, empty] = np.nan
    return factor, meaning, order, entry


@settings(
    max_examples=EXAMPLES,
    deadline=timedelta(seconds=30),
    suppress_health_check=list(HealthCheck),
    derandomize="HEADSCARP_FUZZ" not in os.environ,
)
@given(spec=files())
def test_any_raster_comes_right_onto_the_grid(tmp_path_factory, spec):
    folder = tmp_path_factory.mktemp("fuzz")
    rng = np.random.default_rng(spec["seed"])
    made = write(folder / "file.tif", spec, rng)
    if made is None:
        return
    factor, meaning, order, entry = made
    v.put_shapes(folder / "outline.geojson", [v.BOX])
    import_file({}, folder / "outline.geojson", None, folder / "outline.gpkg")
    try:
        import_file(entry, folder / "file.tif", folder / "outline.gpkg", folder / "raw.tif")
    except HeadscarpError as error:
        raise AssertionError(f"refused: {error}") from error
    x, y = v.cells(GRID.transform, GRID.shape)
    with rasterio.open(folder / "file.tif") as source:
        steps = source.count
    assert steps >= len(order)
    for number, band in enumerate(order, start=1):
        layer = align(
            folder / "raw.tif",
            f"q{band}" if spec["named"] and spec["void"] != "alpha" else number,
            GRID,
            CONTINUOUS,
        )
        expected = truth(band, x, y) * factor
        known = np.isfinite(layer.values)
        spread = np.nanmax(meaning) - np.nanmin(meaning)
        off = np.abs(layer.values - expected)[known]
        assert np.percentile(off, 99) < 0.04 * spread + quantum(spec, factor), (
            np.percentile(off, 99),
            spread,
        )
        assert off.max() < 0.15 * spread + quantum(spec, factor), (off.max(), spread)
        check_voids(known, meaning, x, spec)


def quantum(spec, factor):
    """What rounding to whole numbers changes."""
    return 0.6 * abs(spec["scale"] or 1.0) if np.issubdtype(spec["dtype"], np.integer) else 1e-6 * abs(factor)


def check_voids(known, meaning, x, spec):
    """The western part has no data where the file has none there, up to two cells, and all else has."""
    if not np.isnan(meaning).any():
        assert known.all()
        return
    border = x[known].min()
    reach = 2.5 * max(spec["cell"] * max(1.0, spec["oblong"]) * 1.5, v.CELL)
    assert known[x > border + reach].all() and not known[x < border - reach].any()
    assert v.WEST + 640 * 0.2 - reach < border < v.WEST + 640 * 0.6 + reach


@settings(max_examples=EXAMPLES, deadline=timedelta(seconds=30), suppress_health_check=list(HealthCheck))
@given(spec=files(), codes=st.sets(st.integers(1, 100), min_size=2, max_size=5))
def test_classes_stay_classes(tmp_path_factory, spec, codes):
    """Codes come onto the grid as they are, none is mixed from others, none comes from no data."""
    spec |= {"dtype": "uint8", "scale": None, "offset": None, "bands": 1, "void": "nodata", "named": False}
    folder, codes = tmp_path_factory.mktemp("fuzz"), sorted(codes)
    transform, shape = lattice(spec)
    x, y = v.cells(transform, shape)
    x, y = Transformer.from_crs(spec["crs"], v.CRS, always_xy=True).transform(x, y)
    values = np.array(codes)[((x - v.WEST + 3000) // 97).astype(int) % len(codes)].astype("uint8")
    empty = x < v.WEST + 200
    values[empty] = 0 if spec["nodata"] == "zero" else 255
    v.put(
        folder / "file.tif",
        values,
        transform,
        spec["crs"],
        nodata=int(values[empty][0]) if empty.any() else None,
    )
    v.put_shapes(folder / "outline.geojson", [v.BOX])
    import_file({}, folder / "outline.geojson", None, folder / "outline.gpkg")
    import_file({}, folder / "file.tif", folder / "outline.gpkg", folder / "raw.tif")
    layer = align(folder / "raw.tif", 1, GRID, CLASSES)
    known = layer.values != layer.nodata
    here, _ = v.cells(GRID.transform, GRID.shape)
    expected = np.array(codes)[((here - v.WEST + 3000) // 97).astype(int) % len(codes)]
    assert set(np.unique(layer.values[known])) <= set(codes)
    assert np.mean(layer.values[known] == expected[known]) > 0.75
    assert not known[here < v.WEST + 200 - 40].any() and known[here > v.WEST + 200 + 40].all()
