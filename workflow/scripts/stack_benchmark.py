"""Rule stack_benchmark: the cube of a set of patches."""

from pathlib import Path

from headscarp.job import job
from headscarp.site.patch_sheet import build_benchmark

if "snakemake" in globals():
    with job(snakemake.log[0]):
        build_benchmark(snakemake.params.record, snakemake.input[0], Path(snakemake.output[0]).parent)
