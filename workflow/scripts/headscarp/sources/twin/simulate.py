"""The raw files of a simulated study area, whatever its kind."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import rasterio

from headscarp.sources.twin.files import SERIES, VHR
from headscarp.sources.twin.series_spec import SeriesSpec
from headscarp.sources.twin.series_write import write_series_twin
from headscarp.sources.twin.spec import TwinSpec
from headscarp.sources.twin.vhr_spec import VhrSpec
from headscarp.sources.twin.vhr_write import write_vhr_twin
from headscarp.sources.twin.write import write_twin

_KINDS = {VHR: (VhrSpec, write_vhr_twin), SERIES: (SeriesSpec, write_series_twin)}


def simulate_twin(folder: Path, record: dict[str, Any], size: float, seed: int) -> None:
    """Write the raw files of a twin `record`, scaled to `size`, into `folder`."""
    spec_of, write = _KINDS.get(record.get("kind"), (TwinSpec, write_twin))
    write(folder, spec_of.from_record(record).scaled(size), seed)


def rehearse_twin(record: dict[str, Any], size: float, seed: int) -> dict[str, Any]:
    """What a twin of a `size` (1 is that of the paper) costs: seconds, bytes on disk, and {name: {pixels,
    area_m2}} of its rasters."""
    began = time.perf_counter()
    with TemporaryDirectory() as folder:
        simulate_twin(Path(folder), record, size, seed)
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        return {
            "size": size,
            "seconds": time.perf_counter() - began,
            "bytes": sum(path.stat().st_size for path in files),
            "rasters": {path.name: extent_of(path) for path in files if path.suffix == ".tif"},
        }


def extent_of(path: Path) -> dict[str, float]:
    with rasterio.open(path) as raster:
        pixels = raster.width * raster.height
        return {"pixels": pixels, "area_m2": pixels * abs(raster.transform.a * raster.transform.e)}
