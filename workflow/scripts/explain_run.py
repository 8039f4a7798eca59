"""Rule explain_run: where a trained network looks when it maps the largest slides of the test region."""

import os
from pathlib import Path

from headscarp.job import job
from headscarp.mapping.explain import explain_run

if "snakemake" in globals():
    with job(snakemake.log[0]):
        explain_run(
            Path(snakemake.input.model).parent,
            Path(snakemake.input.cube[0]).parent,
            Path(snakemake.input.samples[0]).parent,
            os.environ["HEADSCARP_DEVICE"],
            snakemake.threads,
        )
