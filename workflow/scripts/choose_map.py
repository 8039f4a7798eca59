"""Rule choose_map: which of several models' maps a site is given, with its calibration, threshold
and scores."""

from pathlib import Path

from headscarp.files import write_json
from headscarp.job import job
from headscarp.scoring.best_map import choose_map

if "snakemake" in globals():
    with job(snakemake.log[0]):
        choice, scores = choose_map(
            snakemake.params.record["candidates"],
            Path(snakemake.input.cube[0]).parent,
            snakemake.params.record["rule"],
            snakemake.params.record["method"],
        )
        write_json(snakemake.output.choice, choice)
        write_json(snakemake.output.scores, scores)
