"""Rule explain_run: where a trained network looks when it maps the largest slides of the test region."""

from pathlib import Path

from headscarp.job import job
from headscarp.mapping.explain import explain_run
from headscarp.training.gpu_slots import device_of_job

if "snakemake" in globals():
    with job(snakemake.log[0]), device_of_job() as device:
        explain_run(
            Path(snakemake.input.model).parent,
            Path(snakemake.input.cube[0]).parent,
            Path(snakemake.input.samples[0]).parent,
            device,
            snakemake.threads,
        )
