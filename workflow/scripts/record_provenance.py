"""Rule record_provenance: how the results of this folder came about."""

from headscarp.files import write_json
from headscarp.job import job
from headscarp.provenance import record_of

if "snakemake" in globals():
    with job(snakemake.log[0]):
        write_json(
            snakemake.output[0],
            record_of(snakemake.params.plan, snakemake.params.config, snakemake.params.root),
        )
