"""Rule deliver_map: a map as its users take it: mask, polygons, styles for QGIS and a STAC item beside the
probability."""

from pathlib import Path

from headscarp.delivery.package import deliver
from headscarp.job import job

if "snakemake" in globals():
    with job(snakemake.log[0]):
        deliver(
            Path(snakemake.input.probability).parent,
            Path(snakemake.input.run),
            Path(snakemake.input.scores),
            Path(snakemake.input.layers),
            Path(snakemake.params.collection),
            snakemake.params.record,
        )
