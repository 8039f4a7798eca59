"""Rule fit_cell_model: a model of single cells and the susceptibility of a whole map by it."""

from pathlib import Path

from headscarp.job import job
from headscarp.mapping.cell_models import fit_cell_model

if "snakemake" in globals():
    with job(snakemake.log[0]):
        fit_cell_model(
            Path(snakemake.input.cube[0]).parent,
            Path(snakemake.input.samples[0]).parent,
            Path(snakemake.output.run).parent,
            Path(snakemake.output.susceptibility).parent,
            snakemake.params.record,
            snakemake.threads,
        )
