"""Rule stack_cube: the cube that networks read, from the layers of a site."""

from pathlib import Path

from headscarp.job import job
from headscarp.site.stack import build_cube

if "snakemake" in globals():
    with job(snakemake.log[0]):
        build_cube(snakemake.input.layers, Path(snakemake.output[0]).parent)
