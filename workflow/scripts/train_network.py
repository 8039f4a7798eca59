"""Rule train_network: one trained network."""

import os
from pathlib import Path

from headscarp.job import job
from headscarp.learning.trainer import train_run

if "snakemake" in globals():
    with job(snakemake.log[0]):
        train_run(
            Path(snakemake.input.cube[0]).parent,
            Path(snakemake.input.samples[0]).parent,
            Path(snakemake.output.model).parent,
            snakemake.params.record,
            os.environ["HEADSCARP_DEVICE"],
            snakemake.threads,
        )
