"""Rule gather_parts: the map of a place out of those of its parts."""

from pathlib import Path

from headscarp.job import job
from headscarp.mapping.parts import gather_parts

if "snakemake" in globals():
    with job(snakemake.log[0]):
        gather_parts(list(snakemake.input), Path(snakemake.output.probability).parent)
