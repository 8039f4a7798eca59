"""Rule train_network: one trained network."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headscarp.files import read_json
from headscarp.job import job
from headscarp.training.gpu_slots import device_of_job
from headscarp.training.trainer import train_run, tuned_recipe


def tuned(record: dict[str, Any], best: Sequence[str]) -> dict[str, Any]:
    """The run's record, with what a search found where there was one (`best` holds its best.json)."""
    return record | {"recipe": tuned_recipe(record["recipe"], read_json(best[0]))} if best else record


def normalised(record: dict[str, Any], statistics: str | None) -> dict[str, Any]:
    """The run's record, with the samples.json whose normalisation it uses in place of that of its own
    samples."""
    return record | {"statistics": statistics} if statistics else record


def only(files: str | Sequence[str] | None) -> str | None:
    """The file of an optional input, which a rule gives as a path or as a list of one or none."""
    return files if isinstance(files, str) else next(iter(files or []), None)


if "snakemake" in globals():
    with job(snakemake.log[0]), device_of_job() as device:
        train_run(
            Path(snakemake.input.cube[0]).parent,
            Path(snakemake.input.samples[0]).parent,
            Path(snakemake.output.model).parent,
            normalised(
                tuned(snakemake.params.record, snakemake.input.get("best")),
                only(snakemake.input.get("statistics")),
            ),
            device,
            snakemake.threads,
            start=only(snakemake.input.get("start")),
            gpu_cube_mib=int(os.environ["HEADSCARP_GPU_CUBE_MIB"]),
            compiled=os.environ["HEADSCARP_COMPILE"] == "1",
        )
