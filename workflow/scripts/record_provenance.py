"""Rule record_provenance: how the results of this folder came about."""

from headscarp.delivery.provenance import describe_results
from headscarp.files import write_json
from headscarp.job import job

if "snakemake" in globals():
    with job(snakemake.log[0]):
        write_json(
            snakemake.output[0],
            describe_results(snakemake.params.plan, snakemake.params.config, snakemake.params.root),
        )
