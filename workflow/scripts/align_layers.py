"""Rule align_layers: every layer of a site on one grid, with units, source and no data."""

from pathlib import Path

from headscarp.job import job
from headscarp.site.collage import build_scene_layers
from headscarp.site.layers import build_layers

if "snakemake" in globals():
    with job(snakemake.log[0]):
        build = build_scene_layers if snakemake.params.scene else build_layers
        build(
            snakemake.params.record,
            Path(snakemake.input.raw[0]).parent,
            snakemake.input.get("terrain"),
            snakemake.output[0],
        )
