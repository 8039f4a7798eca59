"""Rule score_run: the scores of one map on the evaluated region of its protocol."""

from pathlib import Path

import numpy as np

from headscarp.files import read_json
from headscarp.job import job
from headscarp.scoring.score import score_run, write_scores
from headscarp.site.layer import read_layer


def score(probability: str, cube_folder: Path, samples_folder: Path, run_folder: Path, protocol: str, seed: int) -> None:
    """Read the map, the labels and the regions, and write scores.json and cells.npz."""
    layer = read_layer(probability)
    header = read_json(cube_folder / "cube.json")
    scores, cells = score_run(
        layer.values,
        np.load(cube_folder / "label.npy"),
        np.load(cube_folder / "instances.npy"),
        np.load(samples_folder / "regions.npy"),
        np.load(samples_folder / "blocks.npy"),
        layer.grid.resolution**2,
        protocol,
        header["data"],
        seed,
    )
    write_scores(run_folder, scores, cells)


if "snakemake" in globals():
    with job(snakemake.log[0]):
        score(
            snakemake.input.probability,
            Path(snakemake.input.cube[0]).parent,
            Path(snakemake.input.samples[0]).parent,
            Path(snakemake.output.scores).parent,
            snakemake.wildcards.protocol,
            int(snakemake.wildcards.seed),
        )
