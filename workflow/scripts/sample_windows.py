"""Rule sample_windows: the index of windows and the regions of one protocol."""

from pathlib import Path

from headscarp.job import job
from headscarp.samples.build import build_samples
from headscarp.samples.spec import SamplingSpec

if "snakemake" in globals():
    with job(snakemake.log[0]):
        build_samples(
            Path(snakemake.input[0]).parent,
            Path(snakemake.output[0]).parent,
            SamplingSpec.from_record(snakemake.params.record),
            snakemake.wildcards.protocol,
            snakemake.params.seed,
            snakemake.params.groups,
            int(snakemake.wildcards.fold),
        )
