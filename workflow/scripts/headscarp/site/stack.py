"""Writing the cube: layers stacked channel by channel, strip by strip."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.windows import Window

from headscarp.arrays import stream_array
from headscarp.files import read_json, write_json
from headscarp.geo.layer import ANGLE, CLASSES, open_raster
from headscarp.geo.rasters import components

ROWS_AT_ONCE = 512  # the block size of COGs
NOT_CHANNELS = ("label", "instances")
SERIES_KEYS = ("series", "never_clear_share")
OPTIONAL_KEYS = ("citation", *SERIES_KEYS)
LAYER_KEYS = ("kind", "effective_resolution_m", "derived_from")


@dataclass(frozen=True)
class Channel:
    """A channel of the cube: the layers it is read from by date (at None what is the same at all dates), and
    what is done to its values (float32, NaN = no data). Codes of classes and angles have no mean."""

    name: str
    units: str
    source: str
    layers: Mapping[str | None, Path]
    encode: Callable[[np.ndarray], np.ndarray]
    masked: bool
    has_mean: bool = True

    @property
    def dated(self) -> bool:
        return None not in self.layers


def build_cube(layers_folder: str | Path, out_folder: str | Path) -> None:
    """Stack all layers of a site into `cube.npy`, and write `label.npy`, `instances.npy` and `cube.json`,
    each whole or not at all.

    Every layer is a channel (classes as their code, angles in degrees). An angle has two more, `<layer>_sin`
    (east) and `<layer>_cos` (north), both 0 where flat; a class layer one more for each class,
    `<layer>_<code>`, 1 or 0. Static layers repeat at every date; a date that a dated layer lacks is NaN.
    Strips are read and appended one by one, so memory is bounded by a strip.

    cube.json: site, data, grid, dates, channels ({name, units, source, dated: it changes with the date,
    masked: clouds were taken out of it, has_mean: false for codes of classes and for angles; layer, kind,
    effective_resolution_m and derived_from of its layer in layers.json, by which it can be made at another
    place}), classes; the `citation` of layers.json, and of several dates `series` and `never_clear_share`,
    where it has them.

    Raises:
        HeadscarpError: a layer is missing or truncated, or the disk is full.
    """
    layers, out = Path(layers_folder), Path(out_folder)
    manifest = read_json(layers / "layers.json")
    records: dict[str, list[dict[str, Any]]] = {}
    for record in manifest["layers"]:
        records.setdefault(record["name"], []).append(record)
    of_layer = {
        name: channels_of(dates, layers) for name, dates in records.items() if name not in NOT_CHANNELS
    }
    channels = [channel for stacked in of_layer.values() for channel in stacked]
    plane = (manifest["grid"]["height"], manifest["grid"]["width"])
    shape = (len(manifest["dates"]), len(channels), *plane)
    strips = (
        strip
        for date in manifest["dates"]
        for channel in channels
        for strip in encoded_strips(channel, date, plane)
    )
    stream_array(out / "cube.npy", np.float32, shape, strips)
    stream_array(out / "label.npy", np.uint8, plane, strips_of(layers / "label.tif"))
    stream_array(out / "instances.npy", np.int32, plane, strips_of(layers / "instances.tif"))
    described = [
        {
            "name": channel.name,
            "units": channel.units,
            "source": channel.source,
            "dated": channel.dated,
            "masked": channel.masked,
            "has_mean": channel.has_mean,
            "layer": name,
        }
        | {key: records[name][0][key] for key in LAYER_KEYS if key in records[name][0]}
        for name, stacked in of_layer.items()
        for channel in stacked
    ]
    classes = next(
        (
            record["classes"]
            for record in manifest["layers"]
            if record["name"] == "label" and "classes" in record
        ),
        None,
    )
    header = {key: manifest[key] for key in ("site", "data", "grid", "dates")} | {
        "channels": described,
        "classes": classes,
    }
    write_json(out / "cube.json", header | {key: manifest[key] for key in OPTIONAL_KEYS if key in manifest})


def channels_of(records: Sequence[dict[str, Any]], folder: Path) -> list[Channel]:
    """The channels that one layer of the manifest gives; a dated layer has a record for each of its dates."""
    first = records[0]
    name, kind, layers = (
        first["name"],
        first["kind"],
        {record.get("date"): folder / record["path"] for record in records},
    )
    source = first["source"] if len(records) == 1 else f"{first['source']} (first of {len(records)} dates)"
    masked = first.get("masked", False)
    plain = Channel(
        name=name,
        units=first["units"],
        source=source,
        layers=layers,
        encode=lambda values: values,
        masked=masked,
        has_mean=kind not in (ANGLE, CLASSES),
    )
    if kind == ANGLE:
        return [
            plain,
            Channel(
                name=f"{name}_sin",
                units="1",
                source=f"sine of {name}, 0 where flat",
                layers=layers,
                encode=lambda values: components(values)[0],
                masked=masked,
            ),
            Channel(
                name=f"{name}_cos",
                units="1",
                source=f"cosine of {name}, 0 where flat",
                layers=layers,
                encode=lambda values: components(values)[1],
                masked=masked,
            ),
        ]
    if kind == CLASSES:
        return [plain] + [
            Channel(
                name=f"{name}_{code}",
                units="1",
                source=f"{name} is {meaning}",
                layers=layers,
                encode=lambda values, code=int(code): np.where(np.isnan(values), values, values == code),
                masked=masked,
            )
            for code, meaning in first["classes"].items()
        ]
    return [plain]


def encoded_strips(channel: Channel, date: str, plane: tuple[int, int]) -> Iterator[np.ndarray]:
    """A channel at a date as float32 strips (rows, col) of a `plane` (row, col) from north to south, NaN = no
    data."""
    path = channel.layers.get(date if channel.dated else None)
    if path is None:
        height, width = plane
        for top in range(0, height, ROWS_AT_ONCE):
            yield np.full((min(ROWS_AT_ONCE, height - top), width), np.nan, np.float32)
        return
    for strip in strips_of(path, masked=True):
        yield channel.encode(strip.astype(np.float32).filled(np.nan))


def strips_of(path: Path, masked: bool = False) -> Iterator[np.ndarray]:
    """Band 1 of a raster as strips (rows, col) from north to south."""
    with open_raster(path) as source:
        for top in range(0, source.height, ROWS_AT_ONCE):
            yield source.read(
                1, window=Window(0, top, source.width, min(ROWS_AT_ONCE, source.height - top)), masked=masked
            )
