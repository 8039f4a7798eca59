"""A user's scene at very high resolution (RGB, surface model, mask or polygons), checked before any training
and made ready for layers.

What a user's files may have that other sources do not: an alpha band, integers of 8 or 16 bits, a surface
model on another grid, masks with values of their own, no landslide at all. Each is handled and noted, or
refused with the remedy.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.windows import Window

from headscarp.codes import LAND_COVER, LANDSLIDE, UNMAPPED
from headscarp.errors import HeadscarpError
from headscarp.files import atomic_path
from headscarp.geo.grid import Grid, require_metric_grid
from headscarp.geo.layer import grid_of, open_raster
from headscarp.geo.rasters import MINIMUM_COVER, band_of, cover_of
from headscarp.geo.vectors import read_vectors
from headscarp.site.checks import check_record
from headscarp.site.label_rasters import SLIDE_NAMES, codes_of_file, meaning_of
from headscarp.vocabulary import require_keys

RGB = ("red", "green", "blue")
# the value that counts as reflectance 1 where the card gives no scale
FULL_SCALE = {"uint8": 255, "uint16": 65535}
GREATEST_REFLECTANCE = 2.0  # glints exceed 1, numbers from 0 to 255 exceed this
DEFAULT_CLASS_NAMES = dict(enumerate(LAND_COVER))
PREPARED_RGB, PREPARED_CLASSES = "prepared_rgb.tif", "prepared_classes.tif"
ROWS_AT_ONCE = 512
THINNED_SIDE = 1000  # pixels a side of the thinned image from which range and transparency are judged


def check_scene(record: Mapping[str, Any], raw_folder: str | Path) -> list[str]:
    """Check all files of a scene before any work is done; returns what the reader should know of them.

    Args:
        record: the part `layers` of a card's site as `site.layers.build_layers` takes it, with rasters red,
            green and blue from one file (`scale` to reflectance may be left out for 8 and 16 bits), and
            `labels` either {landslides: vector file, area} or {classes: mask, values: {value of the mask:
            class name or unlabelled}, names: {code: class name}, area}. `names` are the six classes of Xia et
            al. (2021) unless given.

    Raises:
        HeadscarpError: a file is missing or unfit, or the record does not tell enough; the message names the
            file or key and the remedy.
    """
    raw, place = Path(raw_folder), f"site {record.get('name', '?')}, layers"
    check_record({key: value for key, value in record.items() if key != "labels"})
    path = raw / rgb_file(record, place)
    notes = check_rgb(path, record, place)
    if "dem" in record:
        notes += check_surface(raw / record["dem"], path)
    return notes + check_labels(record, raw, path, place)


def prepare_scene(
    record: Mapping[str, Any], raw_folder: str | Path, out_folder: str | Path
) -> tuple[dict[str, Any], list[str]]:
    """Write the image as reflectance into an existing folder, beside links to the scene's other files.

    `prepared_rgb.tif` is float32 on the image's own grid, NaN where the image is nodata in all three bands,
    masked or (alpha) transparent. A scene whose polygons are none gets `prepared_classes.tif`, 0 everywhere.

    Returns:
        The record for `site.layers.build_layers` with that folder as raw folder, and the notes of
        `check_scene`.

    Raises:
        HeadscarpError: as `check_scene`.
    """
    raw, out, place = Path(raw_folder), Path(out_folder), f"site {record.get('name', '?')}, layers"
    notes = check_scene(record, raw)
    image = rgb_file(record, place)
    for path in raw.iterdir():
        (out / path.name).symlink_to(path.resolve())
    entries = entries_of_file(record["rasters"], image)
    write_reflectance(raw / image, out / PREPARED_RGB, entries)
    rasters = dict(record["rasters"])
    for number, (name, entry) in enumerate(entries.items(), start=1):
        rasters[name] = {key: value for key, value in entry.items() if key != "scale"} | {
            "file": PREPARED_RGB,
            "band": number,
        }
    labels = dict(record["labels"])
    if "classes" in labels:
        labels = {"names": DEFAULT_CLASS_NAMES} | labels
    elif is_background(labels, raw, raw / image):
        write_background(raw / image, out / PREPARED_CLASSES)
        del labels["landslides"]
        labels |= {"classes": PREPARED_CLASSES, "names": SLIDE_NAMES}
    grid = record["grid"] | ({"like": PREPARED_RGB} if record["grid"]["like"] == image else {})
    return dict(record) | {"grid": grid, "rasters": rasters, "labels": labels}, notes


# --- the image ---


def rgb_file(record: Mapping[str, Any], place: str) -> str:
    """Name of the one file that holds red, green and blue.

    Raises:
        HeadscarpError: a band is missing, or they come from several files.
    """
    require_keys(record["rasters"], RGB, f"{place}, rasters")
    for name, entry in record["rasters"].items():
        require_keys(entry, ("file",), f"{place}, rasters, {name}")
    files = {record["rasters"][name]["file"] for name in RGB}
    if len(files) > 1:
        raise HeadscarpError(
            f"{place}, rasters: red, green and blue come from {', '.join(sorted(files))}; put them "
            "into one file, for example with `gdalbuildvrt -separate rgb.vrt` and `gdal_translate`"
        )
    return files.pop()


def check_rgb(path: Path, record: Mapping[str, Any], place: str) -> list[str]:
    """Bands, scale, transparency and grid of the image."""
    notes = []
    with open_raster(path) as source:
        entries = entries_of_file(record["rasters"], path.name)
        bands = {name: band_of(source, entry.get("band", 1)) for name, entry in entries.items()}
        if len({bands[name] for name in RGB}) < len(RGB):
            listed = ", ".join(str(bands[name]) for name in RGB)
            raise HeadscarpError(
                f"{place}, rasters: red, green and blue are the bands "
                f"{listed} of {path.name}; give each its own as `band`"
            )
        if "crs" not in record["grid"] and record["grid"].get("like") == path.name:
            require_metric_grid(grid_of(source), path, place)
        alpha = alpha_of(source, set(bands.values()))
        if alpha:
            clear = float(np.mean(~is_opaque(thinned_band(source, alpha).data, source.dtypes[alpha - 1])))
            notes.append(
                f"{path.name}: band {alpha} is alpha and not a channel; its transparent pixels "
                f"({clear:.1%}) are no data (name it among the site's rasters if it is a band of the image)"
            )
        return notes + check_scale(source, entries, place)


def entries_of_file(rasters: Mapping[str, Mapping[str, Any]], file: str) -> dict[str, Mapping[str, Any]]:
    """The rasters of a card that are bands of one file."""
    return {name: entry for name, entry in rasters.items() if entry["file"] == file}


def alpha_of(source: rasterio.DatasetReader, channels: set[int]) -> int | None:
    """Number of the alpha band, or None. GDAL marks the fourth band of any file of bytes as alpha, so one
    that is a channel is none."""
    found = [
        band
        for band, meaning in zip(source.indexes, source.colorinterp, strict=True)
        if meaning == ColorInterp.alpha
    ]
    return next((band for band in found if band not in channels), None)


def is_opaque(alpha: np.ndarray, dtype: str) -> np.ndarray:
    """Where an alpha band is at least half of its range."""
    most = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1.0
    return alpha >= most / 2


def thinned_band(source: rasterio.DatasetReader, band: int) -> np.ndarray:
    """A band thinned to at most THINNED_SIDE pixels a side (the nearest of each), nodata masked."""
    step = max(1, -(-max(source.shape) // THINNED_SIDE))
    return source.read(
        band, masked=True, out_shape=(max(1, source.height // step), max(1, source.width // step))
    )


def scale_of(source: rasterio.DatasetReader, entry: Mapping[str, Any]) -> float:
    """Factor from a band's numbers to reflectance: the card's, or that of the data type (1 / 255, 1 / 65535,
    1)."""
    dtype = source.dtypes[band_of(source, entry.get("band", 1)) - 1]
    return float(entry.get("scale", 1 / FULL_SCALE.get(dtype, 1)))


def check_scale(
    source: rasterio.DatasetReader, entries: Mapping[str, Mapping[str, Any]], place: str
) -> list[str]:
    """A note where the scale of channels had to be inferred.

    Raises:
        HeadscarpError: it cannot be inferred.
    """
    unscaled = {
        name: band_of(source, entry.get("band", 1)) for name, entry in entries.items() if "scale" not in entry
    }
    if not unscaled:
        return []
    dtype = source.dtypes[next(iter(unscaled.values())) - 1]
    seen = np.stack(
        [thinned_band(source, band).astype(np.float32).filled(np.nan) for band in unscaled.values()]
    )
    greatest = float(np.nanmax(seen, initial=-np.inf))
    remedy = (
        f"give {place}, rasters, {', '.join(unscaled)} a scale, for "
        "example 1.0e-4 where the numbers are reflectance times 10 000"
    )
    name = Path(source.name).name
    if dtype in FULL_SCALE:
        how = "" if dtype == "uint8" else f" ({remedy})"
        return [
            f"{name}: {dtype}, no scale given; 1/{FULL_SCALE[dtype]} is "
            f"inferred from the data type, values reach {greatest:g}{how}"
        ]
    if not np.issubdtype(dtype, np.floating) or greatest > GREATEST_REFLECTANCE:
        raise HeadscarpError(f"{source.name}: {dtype} with values up to {greatest:g} and no scale; {remedy}")
    return [f"{name}: {dtype}, no scale given; its values are taken for reflectance"]


def write_reflectance(path: Path, target: Path, entries: Mapping[str, Mapping[str, Any]]) -> None:
    """Bands of an image as reflectance, float32 GeoTIFF in the order of `entries`, NaN where all of red,
    green and blue are no data."""
    with open_raster(path) as source, atomic_path(target) as temporary:
        bands = [band_of(source, entry.get("band", 1)) for entry in entries.values()]
        scales = np.array([scale_of(source, entry) for entry in entries.values()], np.float32)
        colours = [band_of(source, entries[name].get("band", 1)) for name in RGB]
        alpha = alpha_of(source, set(bands))
        # the mask GDAL makes of a fourth band, alpha or not
        of_alpha = MaskFlags.alpha in source.mask_flag_enums[colours[0] - 1]
        with rasterio.open(
            temporary, "w", **profile_of(grid_of(source), len(bands), "float32", np.nan)
        ) as sink:
            for window in strips(source):
                seen = (
                    np.full((window.height, window.width), True)
                    if of_alpha
                    else source.read_masks(colours, window=window).any(axis=0)
                )
                if alpha:
                    seen &= is_opaque(source.read(alpha, window=window), source.dtypes[alpha - 1])
                values = source.read(bands, window=window).astype(np.float32) * scales[:, None, None]
                sink.write(np.where(seen, values, np.float32(np.nan)), window=window)
            for number, name in enumerate(entries, start=1):
                sink.set_band_description(number, name)
            how = ", ".join(f"{scale:.4g}" for scale in np.unique(scales))
            sink.update_tags(SOURCE=f"{path.name} ({source.dtypes[bands[0] - 1]}) times {how}")


def profile_of(grid: Grid, count: int, dtype: str, nodata: float) -> dict[str, Any]:
    return {
        "driver": "GTiff",
        "count": count,
        "dtype": dtype,
        "height": grid.height,
        "width": grid.width,
        "crs": grid.crs,
        "transform": grid.transform,
        "nodata": nodata,
        "compress": "deflate",
        "bigtiff": "if_safer",
    }


def strips(source: rasterio.DatasetReader) -> Iterator[Window]:
    """Windows over all rows of a raster, from north to south."""
    for top in range(0, source.height, ROWS_AT_ONCE):
        yield Window(0, top, source.width, min(ROWS_AT_ONCE, source.height - top))


# --- the surface model ---


def check_surface(path: Path, image: Path) -> list[str]:
    """Whether a surface model lies on another grid than the image, and how much of it it covers.

    Raises:
        HeadscarpError: less than half of the image.
    """
    with open_raster(image) as source:
        grid = grid_of(source)
    with open_raster(path) as source:
        own, cover = grid_of(source), cover_of(source, grid)
    if cover < MINIMUM_COVER:
        raise HeadscarpError(
            f"{path} ({own.crs}) covers {cover:.0%} of {image.name} ({grid.crs}), at least "
            f"{MINIMUM_COVER:.0%} are needed; check its CRS or take the surface model of this scene"
        )
    notes = []
    if own != grid:
        units = "degrees" if rasterio.crs.CRS.from_user_input(own.crs).is_geographic else "units"
        notes.append(
            f"{path.name}: on another grid than {image.name} ({own.crs}, cells of "
            f"{own.resolution:.3g} {units}; the image: {grid.crs}, {grid.resolution:.3g}); "
            "slopes are derived on its own cells and brought onto the site's grid"
        )
    if cover < 1:
        notes.append(f"{path.name}: covers {cover:.0%} of {image.name}; terrain is no data on the rest")
    return notes


# --- the labels ---


def check_labels(record: Mapping[str, Any], raw: Path, image: Path, place: str) -> list[str]:
    """A mask's values, or whether there are polygons at all."""
    labels = record.get("labels")
    if not labels or ("classes" in labels) == ("landslides" in labels):
        raise HeadscarpError(
            f"{place}: `labels` needs either `landslides` (a file of "
            "polygons) or `classes` (a mask), and one of them only"
        )
    require_keys(labels, ("values",) if "classes" in labels else (), f"{place}, labels")
    if "landslides" in labels:
        return [background_note(labels["landslides"])] if is_background(labels, raw, image) else []
    path = raw / labels["classes"]
    codes = codes_of_file(
        path, meaning_of(labels, f"{place}, labels", DEFAULT_CLASS_NAMES), f"{place}, labels"
    )
    with open_raster(path) as source, open_raster(image) as other:
        aligned = grid_of(source) == grid_of(other)
    notes = (
        []
        if aligned
        else [f"{path.name}: on another grid than {image.name}; the nearest or commonest class is taken"]
    )
    if LANDSLIDE not in codes.values():
        notes.append(background_note(path.name))
    return notes


def background_note(name: str) -> str:
    return f"{name}: no landslide; the scene trains as background and cannot be the test scene"


def is_background(labels: Mapping[str, Any], raw: Path, image: Path) -> bool:
    """Whether a file of polygons is empty, as that of a scene without landslides."""
    with open_raster(image) as source:
        return read_vectors(raw / labels["landslides"], source.crs.to_string()).empty


def write_background(image: Path, target: Path) -> None:
    """One cell of class 0 over the whole image."""
    with open_raster(image) as source:
        whole = Grid(
            source.crs.to_string(), source.transform @ Affine.scale(source.width, source.height), 1, 1
        )
    with (
        atomic_path(target) as temporary,
        rasterio.open(temporary, "w", **profile_of(whole, 1, "uint8", UNMAPPED)) as sink,
    ):
        sink.write(np.zeros((1, 1, 1), np.uint8))
        sink.update_tags(SOURCE="no landslides")
