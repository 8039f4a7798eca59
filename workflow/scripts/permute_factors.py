"""Rule permute_factors: importance of the factors of a susceptibility model by permutation on test cells."""

from pathlib import Path

from headscarp.job import job
from headscarp.mapping.importance import permute_factors

if "snakemake" in globals():
    with job(snakemake.log[0]):
        permute_factors(
            Path(snakemake.input.cube[0]).parent,
            Path(snakemake.input.samples[0]).parent,
            Path(snakemake.input.run).parent,
            Path(snakemake.output[0]),
            snakemake.threads,
        )
