"""Rule forecast: hours, memory and disk of all that the selected cards need."""

from headscarp.delivery.forecast import write_forecast
from headscarp.job import job

if "snakemake" in globals():
    with job(snakemake.log[0]):
        write_forecast(
            snakemake.params.record,
            snakemake.output.csv,
            [snakemake.output.markdown, snakemake.output.html],
            snakemake.output.requests,
        )
