"""Rule rehearse_training: what one training costs, from two steps of it on random numbers."""

from headscarp import memory
from headscarp.files import write_json
from headscarp.job import job
from headscarp.mapping.rehearsal import rehearse
from headscarp.training.gpu_slots import device_of_job

if "snakemake" in globals():
    with job(snakemake.log[0]), device_of_job() as device:
        found = rehearse(snakemake.params.record, device, snakemake.threads, memory.available())
        write_json(snakemake.output[0], found)
