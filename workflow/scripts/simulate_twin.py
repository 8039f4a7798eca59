"""Rule simulate_twin: the raw rasters and vectors of a simulated study area."""

from pathlib import Path
from typing import Any

from headscarp.job import job
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


if "snakemake" in globals():
    with job(snakemake.log[0]):
        simulate_twin(
            Path(snakemake.output[0]).parent,
            snakemake.params.record,
            snakemake.params.size,
            snakemake.params.seed,
        )
