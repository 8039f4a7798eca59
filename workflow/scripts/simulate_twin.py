"""Rule simulate_twin: the raw rasters and vectors of a simulated study area."""

from pathlib import Path

from headscarp.job import job
from headscarp.sources.twin.simulate import simulate_twin

if "snakemake" in globals():
    with job(snakemake.log[0]):
        simulate_twin(
            Path(snakemake.output[0]).parent,
            snakemake.params.record,
            snakemake.params.size,
            snakemake.params.seed,
        )
