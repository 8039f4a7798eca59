"""Rule train_susceptibility: a network trained on the neighbourhoods of cells."""

from pathlib import Path

from headscarp.job import job
from headscarp.training.cells import train_cells
from headscarp.training.gpu_slots import device_of_job

if "snakemake" in globals():
    with job(snakemake.log[0]), device_of_job() as device:
        train_cells(
            Path(snakemake.input.cube[0]).parent,
            Path(snakemake.input.samples[0]).parent,
            Path(snakemake.output.model).parent,
            snakemake.params.record,
            device,
            snakemake.threads,
        )
