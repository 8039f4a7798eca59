"""Rule stack_patch_set: the cube of a set of patches."""

from pathlib import Path

from headscarp.job import job
from headscarp.site.patch_sheet import build_patch_set

if "snakemake" in globals():
    with job(snakemake.log[0]):
        build_patch_set(snakemake.params.record, snakemake.input[0], Path(snakemake.output[0]).parent)
