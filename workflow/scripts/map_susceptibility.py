"""Rule map_susceptibility: the susceptibility of a whole map by a trained network."""

from pathlib import Path

from headscarp.job import job
from headscarp.mapping.susceptibility import map_susceptibility
from headscarp.training.gpu_slots import device_of_job

if "snakemake" in globals():
    with job(snakemake.log[0]), device_of_job() as device:
        map_susceptibility(
            Path(snakemake.input.model).parent,
            Path(snakemake.input.cube[0]).parent,
            Path(snakemake.input.samples[0]).parent,
            Path(snakemake.output.susceptibility).parent,
            device,
            snakemake.threads,
        )
