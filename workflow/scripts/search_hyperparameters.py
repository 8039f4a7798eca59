"""Rule search_hyperparameters: the trials of one sampler, and the best of them."""

import os
from pathlib import Path

from headscarp.job import job
from headscarp.training.gpu_slots import device_of_job
from headscarp.training.search import run_search

if "snakemake" in globals():
    with job(snakemake.log[0]), device_of_job() as device:
        run_search(
            Path(snakemake.input.cube[0]).parent,
            Path(snakemake.input.samples[0]).parent,
            Path(snakemake.output.trials).parent,
            snakemake.params.record,
            device,
            snakemake.threads,
            int(os.environ["HEADSCARP_GPU_CUBE_MIB"]),
            os.environ["HEADSCARP_COMPILE"] == "1",
        )
