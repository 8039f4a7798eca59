"""Rule record_average: what the runs were whose maps are averaged."""

from headscarp.files import write_json
from headscarp.job import job
from headscarp.mapping.averages import record_average

if "snakemake" in globals():
    with job(snakemake.log[0]):
        record = record_average(snakemake.input, snakemake.params.average, int(snakemake.wildcards.seed))
        write_json(snakemake.output[0], record)
