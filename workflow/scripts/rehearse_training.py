"""Rule rehearse_training: what one training costs, from two steps of it on random numbers."""

import os

from headscarp import memory
from headscarp.files import write_json
from headscarp.job import job
from headscarp.mapping.rehearsal import rehearse

if "snakemake" in globals():
    with job(snakemake.log[0]):
        write_json(
            snakemake.output[0],
            rehearse(
                snakemake.params.record,
                os.environ["HEADSCARP_DEVICE"],
                snakemake.threads,
                memory.available(),
            ),
        )
