"""Rule map_susceptibility: the susceptibility of a whole map by a trained network."""

import os
from pathlib import Path

from headscarp.job import job
from headscarp.mapping.susceptibility import map_susceptibility

if "snakemake" in globals():
    with job(snakemake.log[0]):
        map_susceptibility(
            Path(snakemake.input.model).parent,
            Path(snakemake.input.cube[0]).parent,
            Path(snakemake.input.samples[0]).parent,
            Path(snakemake.output.susceptibility).parent,
            os.environ["HEADSCARP_DEVICE"],
            snakemake.threads,
        )
