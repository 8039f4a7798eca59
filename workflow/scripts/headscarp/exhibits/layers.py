"""The layers of a site, whole or block by block, and what their manifest says of them."""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from headscarp.codes import UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.exhibits.spec import SiteFiles
from headscarp.files import read_json
from headscarp.geo.grid import Grid
from headscarp.geo.layer import open_raster, read_layer
from headscarp.vocabulary import require_known

CLASSES, BREAKS_SEED = 5, 0  # natural breaks of factors: how many classes, seed of their k-means
DIRECTIONS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")  # classes of aspect, beside level ground
# pattern and length of an ISO date in the name of a layer's file
DATED, ISO = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]", 10


def layer_path(site: SiteFiles, name: str, date: str | None = None) -> Path:
    """Where a layer of a site lies: that of `date` (ISO text) or, of a layer with dates, of its last one; one
    without is that of any date.

    Raises:
        HeadscarpError: the site has no such layer, or it has none of that date; the message names the
        nearest.
    """
    folder = site.folder / "layers"
    path = folder / f"{name}.tif"
    if path.exists():
        return path
    dated = {other.stem[-ISO:]: other for other in sorted(folder.glob(f"{name}_{DATED}.tif"))}
    if not dated:
        known = (
            ", ".join(
                sorted({other.stem.removesuffix(date_suffix(other.stem)) for other in folder.glob("*.tif")})
            )
            or "none"
        )
        raise HeadscarpError(
            f"{path} does not exist: site '{site.name}' has no layer '{name}' (it has: {known}); name "
            f"another in the exhibit"
        )
    return dated[require_known(date or max(dated), dated, f"site '{site.name}', layer '{name}': date")]


def has_layer(site: SiteFiles, name: str) -> bool:
    """Whether a site has a layer, of whatever date."""
    folder = site.folder / "layers"
    return (folder / f"{name}.tif").exists() or any(folder.glob(f"{name}_{DATED}.tif"))


def date_suffix(stem: str) -> str:
    """`_2020-09-22` of the name of the file of a layer with dates; nothing of one without."""
    return stem[-ISO - 1 :] if fnmatchcase(stem, f"*_{DATED}") else ""


def values_of(site: SiteFiles, name: str) -> np.ndarray:
    """A layer of a site whole, (row, col)."""
    return read_layer(layer_path(site, name)).values


def site_grid(site: SiteFiles) -> Grid:
    """The grid that all layers of a site share."""
    return Grid.from_record(read_json(site.folder / "layers" / "layers.json")["grid"])


def layer_record(site: SiteFiles, name: str) -> dict[str, Any]:
    """What the manifest says of a layer (name, units, kind, classes, ...); nothing where it does not list
    it."""
    layers = read_json(site.folder / "layers" / "layers.json")["layers"]
    return next((layer for layer in layers if layer["name"] == name), {})


def units_of(site: SiteFiles, name: str) -> str:
    """Units of a layer as its manifest states them."""
    return layer_record(site, name).get("units", "")


def class_names(site: SiteFiles, name: str) -> dict[int, str]:
    """{code: name} of a class layer, as its manifest states them.

    Raises:
        HeadscarpError: the site has no such layer, or the manifest names no classes for it.
    """
    path = layer_path(site, name)
    classes = layer_record(site, name).get("classes")
    if not classes:
        raise HeadscarpError(
            f"{path.parent / 'layers.json'} names no classes for layer '{name}' of site '{site.name}'; "
            "give {code: name} as `classes` of that raster in the card, or name a class layer in the exhibit"
        )
    return {int(code): text for code, text in classes.items()}


def is_classed(site: SiteFiles, name: str) -> bool:
    """Whether a layer holds classes with names."""
    return bool(layer_record(site, name).get("classes"))


def value_range(site: SiteFiles, name: str) -> tuple[float, float]:
    """Least and greatest value of a continuous layer, read block by block; NaN where it holds none."""
    low, high = np.inf, -np.inf
    with open_raster(layer_path(site, name)) as source:
        for _, window in source.block_windows(1):
            values = source.read(1, window=window, masked=True)
            finite = values.compressed()[np.isfinite(values.compressed())]
            if finite.size:
                low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return (low, high) if low <= high else (np.nan, np.nan)


def class_counts(site: SiteFiles, name: str) -> dict[int, int]:
    """Mapped pixels of each class of a class layer (0..255), read block by block; no data is left out."""
    counts = np.zeros(256, np.int64)
    label = site.folder / "layers" / "label.tif"
    with (
        open_raster(layer_path(site, name)) as source,
        open_raster(label if label.exists() else source.name) as mapped,
    ):
        for _, window in source.block_windows(1):
            values = source.read(1, window=window)
            inside = values != source.nodata
            if label.exists():
                inside &= mapped.read(1, window=window) != UNMAPPED
            counts += np.bincount(values[inside], minlength=256)
    return {code: int(counts[code]) for code in np.flatnonzero(counts)}
