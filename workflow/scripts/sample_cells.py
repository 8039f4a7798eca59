"""Rule sample_cells: the labelled cells of one protocol."""

from pathlib import Path

from headscarp.job import job
from headscarp.samples.cell_labels import labels_source
from headscarp.samples.cells import build_cells
from headscarp.samples.spec import CellsSpec

if "snakemake" in globals():
    with job(snakemake.log[0]):
        files = {role: file for role, file in snakemake.input.items() if role != "cube"}
        build_cells(
            Path(snakemake.input.cube[0]).parent,
            Path(snakemake.output[0]).parent,
            CellsSpec.from_record(snakemake.params.record),
            labels_source(snakemake.params.record, files),
            snakemake.wildcards.protocol,
            snakemake.params.seed,
            snakemake.params.groups,
            int(snakemake.wildcards.fold),
        )
