"""Rule train_susceptibility: a network trained on the neighbourhoods of cells."""

import os
from pathlib import Path

from headscarp.job import job
from headscarp.training.cells import train_cells

if "snakemake" in globals():
    with job(snakemake.log[0]):
        train_cells(
            Path(snakemake.input.cube[0]).parent,
            Path(snakemake.input.samples[0]).parent,
            Path(snakemake.output.model).parent,
            snakemake.params.record,
            os.environ["HEADSCARP_DEVICE"],
            snakemake.threads,
        )
