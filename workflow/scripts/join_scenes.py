"""Rule join_scenes: one cube of several scenes."""

from pathlib import Path

from headscarp.job import job
from headscarp.site.collage import join_scenes

if "snakemake" in globals():
    with job(snakemake.log[0]):
        folders = [Path(file).parent for file in snakemake.input if file.endswith("/cube.npy")]
        scenes = dict(zip(snakemake.params.scenes, folders, strict=True))
        join_scenes(snakemake.wildcards.site, scenes, Path(snakemake.output[0]).parent, snakemake.params.gap)
