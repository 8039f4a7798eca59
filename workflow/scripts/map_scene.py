"""Rules map_scene and map_part: landslide probability and classes of a whole place, or of a strip of it, by a
trained network."""

from pathlib import Path

from headscarp.job import job
from headscarp.mapping.network_map import map_run
from headscarp.mapping.predict import Tiling
from headscarp.training.gpu_slots import device_of_job
from headscarp.training.windows import SYMMETRIES

if "snakemake" in globals():
    with job(snakemake.log[0]), device_of_job() as device:
        map_run(
            Path(snakemake.input.model).parent,
            Path(snakemake.input.cube[0]).parent,
            Path(snakemake.input.samples[0]).parent,
            Path(snakemake.output.get("folder") or Path(snakemake.output.probability).parent),
            device,
            snakemake.threads,
            tiling=Tiling.of_card(snakemake.params.mapping, snakemake.params.trained_on),
            turns=SYMMETRIES[1:] if snakemake.params.symmetries else (),
            part=int(snakemake.wildcards.get("part", 1)),
            parts=int(snakemake.wildcards.get("parts", 1)),
        )
