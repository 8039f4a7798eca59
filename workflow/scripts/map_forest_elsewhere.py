"""Rule map_forest_elsewhere: landslide probability and classes of a place that a forest was not grown on."""

from pathlib import Path

from headscarp.job import job
from headscarp.mapping.forest import run_forest_elsewhere

if "snakemake" in globals():
    with job(snakemake.log[0]):
        run_forest_elsewhere(
            Path(snakemake.input.run).parent,
            Path(snakemake.input.home[0]).parent,
            Path(snakemake.input.samples[0]).parent,
            Path(snakemake.input.cube[0]).parent,
            Path(snakemake.output.probability).parent,
            snakemake.threads,
        )
