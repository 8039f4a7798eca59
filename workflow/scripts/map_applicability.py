"""Rule map_applicability: where a susceptibility map may be believed."""

from pathlib import Path

from headscarp.job import job
from headscarp.mapping.applicability import map_applicability

if "snakemake" in globals():
    with job(snakemake.log[0]):
        map_applicability(
            Path(snakemake.input.cube[0]).parent,
            Path(snakemake.input.samples[0]).parent,
            Path(snakemake.input.run).parent,
            Path(snakemake.input.importance),
            Path(snakemake.output.map).parent,
        )
