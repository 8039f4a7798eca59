"""Writing the cube: layers stacked channel by channel, strip by strip."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.windows import Window

from headscarp.files import atomic_path, read_json, write_json
from headscarp.site.layer import ANGLE, CLASSES, open_raster
from headscarp.site.rasters import components

ROWS_AT_ONCE = 512  # the block size of COGs
NOT_CHANNELS = ("label", "instances")


@dataclass(frozen=True)
class Channel:
    """A channel of the cube: the layer it is read from, and what is done to its values (float32, NaN = no data)."""

    name: str
    units: str
    source: str
    layer: Path
    encode: Callable[[np.ndarray], np.ndarray]


def build_cube(layers_folder: str | Path, out_folder: str | Path) -> None:
    """Stack all layers of a site into `cube.npy`, and write `label.npy`, `instances.npy` and `cube.json`, each whole or not at all.

    Every layer is a channel (classes as their code, angles in degrees). An angle has two more, `<layer>_sin` (east) and `<layer>_cos`
    (north), both 0 where flat; a class layer one more for each class, `<layer>_<code>`, 1 or 0. Strips are read and appended one by
    one, so memory is bounded by a strip.

    Raises:
        HeadscarpError: a layer is missing or truncated, or the disk is full.
    """
    layers, out = Path(layers_folder), Path(out_folder)
    manifest = read_json(layers / "layers.json")
    channels = [channel for record in manifest["layers"] if record["name"] not in NOT_CHANNELS for channel in channels_of(record, layers)]
    plane = (manifest["grid"]["height"], manifest["grid"]["width"])
    shape = (len(manifest["dates"]), len(channels), *plane)
    write_array(out / "cube.npy", np.float32, shape, (strip for channel in channels for strip in encoded_strips(channel)))
    write_array(out / "label.npy", np.uint8, plane, strips_of(layers / "label.tif"))
    write_array(out / "instances.npy", np.int32, plane, strips_of(layers / "instances.tif"))
    described = [{"name": channel.name, "units": channel.units, "source": channel.source} for channel in channels]
    classes = next((record["classes"] for record in manifest["layers"] if record["name"] == "label" and "classes" in record), None)
    header = {key: manifest[key] for key in ("site", "data", "grid", "dates")} | {"channels": described, "classes": classes}
    write_json(out / "cube.json", header)


def channels_of(record: dict[str, Any], folder: Path) -> list[Channel]:
    """The channels that one layer of the manifest gives."""
    name, source, path = record["name"], record["source"], folder / record["path"]
    plain = Channel(name, record["units"], source, path, lambda values: values)
    if record["kind"] == ANGLE:
        return [
            plain,
            Channel(f"{name}_sin", "1", f"sine of {name}, 0 where flat", path, lambda values: components(values)[0]),
            Channel(f"{name}_cos", "1", f"cosine of {name}, 0 where flat", path, lambda values: components(values)[1]),
        ]
    if record["kind"] == CLASSES:
        return [plain] + [
            Channel(
                f"{name}_{code}",
                "1",
                f"{name} is {meaning}",
                path,
                lambda values, code=int(code): np.where(np.isnan(values), values, values == code),
            )
            for code, meaning in record["classes"].items()
        ]
    return [plain]


def encoded_strips(channel: Channel) -> Iterator[np.ndarray]:
    """A channel as float32 strips (rows, col) from north to south, NaN = no data."""
    for strip in strips_of(channel.layer, masked=True):
        yield channel.encode(strip.astype(np.float32).filled(np.nan))


def strips_of(path: Path, masked: bool = False) -> Iterator[np.ndarray]:
    """Band 1 of a raster as strips (rows, col) from north to south."""
    with open_raster(path) as source:
        for top in range(0, source.height, ROWS_AT_ONCE):
            yield source.read(1, window=Window(0, top, source.width, min(ROWS_AT_ONCE, source.height - top)), masked=masked)


def write_array(path: Path, dtype: type, shape: tuple[int, ...], parts: Iterator[np.ndarray]) -> None:
    """Write a .npy file from consecutive parts.

    Appended rather than filled through a memory map, because a full disk under a memory map kills the process.
    """
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for part in parts:
            stream.write(np.ascontiguousarray(part, dtype).data)
