"""Rule draw_susceptibility_page: the page of a site's susceptibility."""

from headscarp.delivery.susceptibility_page import build_susceptibility_page
from headscarp.job import job

if "snakemake" in globals():
    with job(snakemake.log[0]):
        build_susceptibility_page(snakemake.params.record, snakemake.output.page)
