"""Rule average_maps: the mean of the maps of several runs."""

from pathlib import Path

from headscarp.job import job
from headscarp.mapping.averages import average_maps

if "snakemake" in globals():
    with job(snakemake.log[0]):
        average_maps(snakemake.input.maps, Path(snakemake.output.probability).parent)
