"""Rule draw_map_page: the interactive map of a site, with its tiles."""

from headscarp.delivery.map_page import build_map
from headscarp.job import job

if "snakemake" in globals():
    with job(snakemake.log[0]):
        build_map(snakemake.params.record, snakemake.output.page, snakemake.output.tiles)
