"""Rule map_forest: a pixel-wise random forest, and landslide probability and classes of its whole site."""

from pathlib import Path

from headscarp.job import job
from headscarp.mapping.forest import run_forest

if "snakemake" in globals():
    with job(snakemake.log[0]):
        run_forest(
            Path(snakemake.input.cube[0]).parent,
            Path(snakemake.input.samples[0]).parent,
            Path(snakemake.output.run).parent,
            Path(snakemake.output.probability).parent,
            snakemake.params.record,
            snakemake.threads,
        )
