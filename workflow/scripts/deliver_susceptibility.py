"""Rule deliver_susceptibility: a susceptibility map as its users take it."""

from pathlib import Path

from headscarp.delivery.susceptibility import deliver_susceptibility
from headscarp.exhibits.spec import RunFiles
from headscarp.job import job

if "snakemake" in globals():
    with job(snakemake.log[0]):
        deliver_susceptibility(
            RunFiles.from_record(snakemake.params.record),
            Path(snakemake.input.samples[0]).parent,
            Path(snakemake.input.layers),
            Path(snakemake.output[0]).parent,
        )
