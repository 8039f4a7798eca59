"""Rule expect_time: how long the trainings and maps of an area will take, told before they begin."""

import sys

from headscarp.delivery.forecast import expected, write_forecast
from headscarp.job import job

if "snakemake" in globals():
    with job(snakemake.log[0]):
        forecast = write_forecast(
            snakemake.params.record,
            snakemake.output.csv,
            [snakemake.output.markdown, snakemake.output.html],
            snakemake.output.requests,
        )
        told = expected(forecast, snakemake.wildcards.card, snakemake.output.html)
        print(f"headscarp: {told}", file=sys.stderr)
