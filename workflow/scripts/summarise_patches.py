"""Rule summarise_patches: terrain statistics and tabled values of patches as the layers of a site whose cells
are the patches."""

from pathlib import Path

from headscarp.job import job
from headscarp.site.patches import build_patch_layers

if "snakemake" in globals():
    with job(snakemake.log[0]):
        build_patch_layers(snakemake.params.record, Path(snakemake.input.raw[0]).parent, snakemake.output[0])
