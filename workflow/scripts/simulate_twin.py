"""Rule simulate_twin: the raw rasters and vectors of a simulated study area."""

from pathlib import Path

from headscarp.job import job
from headscarp.sources.twin.spec import TwinSpec
from headscarp.sources.twin.write import write_twin

if "snakemake" in globals():
    with job(snakemake.log[0]):
        spec = TwinSpec.from_record(snakemake.params.record).scaled(snakemake.params.size)
        write_twin(Path(snakemake.output[0]).parent, spec, snakemake.params.seed)
