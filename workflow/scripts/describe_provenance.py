"""Rule describe_provenance: how the results came about, as a page."""

from headscarp.delivery.provenance_page import build_provenance
from headscarp.files import read_json
from headscarp.job import job

if "snakemake" in globals():
    with job(snakemake.log[0]):
        build_provenance(read_json(snakemake.input.record), snakemake.output.page)
