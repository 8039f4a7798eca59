"""Rule score_susceptibility: the scores of susceptibility models on the test cells of their folds."""

from pathlib import Path

from headscarp.geo.layer import open_raster
from headscarp.job import job
from headscarp.samples.cell_table import read_cells
from headscarp.scoring.score import has_converged
from headscarp.scoring.susceptibility import score_cells, write_cell_scores


def score(susceptibility: str, samples_folder: Path, out_folder: Path, seed: int, run: str) -> None:
    """Read the map of every fold and the cells, and write scores.json, counts.npz and predictions.npz; `run`
    is run.json, which says whether training reached its plateau."""
    with open_raster(susceptibility) as source:
        maps = source.read()
    write_cell_scores(out_folder, *score_cells(maps, read_cells(samples_folder), seed, has_converged(run)))


if "snakemake" in globals():
    with job(snakemake.log[0]):
        score(
            snakemake.input.susceptibility,
            Path(snakemake.input.samples[0]).parent,
            Path(snakemake.output.scores).parent,
            int(snakemake.wildcards.seed),
            snakemake.input.run,
        )
