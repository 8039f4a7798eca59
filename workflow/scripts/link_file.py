"""Rule link_file: a file of the user's data folder among the raw files of a site."""

from headscarp.job import job
from headscarp.sources.local import take_file

if "snakemake" in globals():
    with job(snakemake.log[0]):
        take_file(snakemake.input[0], snakemake.output[0], snakemake.params.crs)
