"""Rule summarise_site: the summary page of a site's maps, and the STAC collection that lists them."""

from headscarp.delivery.catalogue import write_collection
from headscarp.delivery.summary_page import build_page
from headscarp.job import job

if "snakemake" in globals():
    with job(snakemake.log[0]):
        record = snakemake.params.record
        write_collection(snakemake.output.collection, snakemake.input.maps, {"site": record["name"]} | record)
        build_page(record, snakemake.output.page)
