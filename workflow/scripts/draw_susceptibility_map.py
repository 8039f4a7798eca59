"""Rule draw_susceptibility_map: the interactive map of a site's susceptibility, with its tiles."""

from headscarp.delivery.susceptibility_map import build_susceptibility_map
from headscarp.job import job

if "snakemake" in globals():
    with job(snakemake.log[0]):
        build_susceptibility_map(snakemake.params.record, snakemake.output.page, snakemake.output.tiles)
